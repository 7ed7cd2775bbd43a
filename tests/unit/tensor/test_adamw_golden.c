/* AdamW along a trajectory of 20 steps made in float64 with torch (golden optim/): decay on w only, gradients
 * clipped to global norm 1, learning rate given per step. */
#include <string.h>

#include "tensor/kernels.h"
#include "tensor/ref.h"
#include "unit/tensor/golden.h"

enum { STEPS = 20, NW = 17 * 13, NB = 13, N = NW + NB }; /* w and b one after the other */

typedef struct trajectory {
    rt_safetensors *file;
    double start[N], grads[STEPS][N], points[STEPS][N], last_m[N], last_v[N];
    const double *lr, *norm; /* [STEPS], norm before clipping */
} trajectory;

static void take(double *out, const trajectory *t, const char *name, int64_t first, int64_t n, int64_t total)
{
    const double *data = golden_data(t->file, name, RT_F64, total);
    memcpy(out, data + first, (size_t)n * sizeof *out);
}

static void load(trajectory *t)
{
    t->file = golden_open("optim", "adamw");
    take(t->start, t, "w0", 0, NW, NW);
    take(t->start + NW, t, "b0", 0, NB, NB);
    take(t->last_m, t, "m_w", 0, NW, NW);
    take(t->last_m + NW, t, "m_b", 0, NB, NB);
    take(t->last_v, t, "v_w", 0, NW, NW);
    take(t->last_v + NW, t, "v_b", 0, NB, NB);
    for (int s = 0; s < STEPS; s++) {
        take(t->grads[s], t, "grads_w", s * NW, NW, STEPS * NW);
        take(t->grads[s] + NW, t, "grads_b", s * NB, NB, STEPS * NB);
        take(t->points[s], t, "w", s * NW, NW, STEPS * NW);
        take(t->points[s] + NW, t, "b", s * NB, NB, STEPS * NB);
    }
    t->lr = golden_data(t->file, "lr", RT_F64, STEPS);
    t->norm = golden_data(t->file, "grad_norm", RT_F64, STEPS);
}

static rt_ref_adamw numbers(double lr, int step, double clip)
{
    rt_ref_adamw p = {.lr = lr, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1, .grad_scale = clip};
    p.bias1 = 1.0 - pow(p.beta1, step + 1);
    p.bias2 = 1.0 - pow(p.beta2, step + 1);
    return p;
}

static double clip_factor(double sum_of_squares)
{
    return fmin(1.0, 1.0 / (sqrt(sum_of_squares) + 1e-6));
}

static void expect_equal(const char *what, int step, const double *want, const double *got, double bound)
{
    for (int i = 0; i < N; i++) {
        if (!(fabs(got[i] - want[i]) <= bound)) {
            fail_msg("%s after step %d, element %d: %.15g, reference %.15g", what, step + 1, i, got[i], want[i]);
        }
    }
}

static void double_steps_follow_the_reference(void **state)
{
    (void)state;
    static trajectory t;
    load(&t);
    double w[N], m[N] = {0}, v[N] = {0};
    memcpy(w, t.start, sizeof w);
    for (int s = 0; s < STEPS; s++) {
        double sum = 0.0;
        for (int i = 0; i < N; i++) {
            sum += t.grads[s][i] * t.grads[s][i];
        }
        assert_true(fabs(sqrt(sum) - t.norm[s]) < 1e-12);
        rt_ref_adamw p = numbers(t.lr[s], s, clip_factor(sum));
        rt_ref_adamw_f64(w, m, v, t.grads[s], &p, NW);
        p.weight_decay = 0.0;
        rt_ref_adamw_f64(w + NW, m + NW, v + NW, t.grads[s] + NW, &p, NB);
        expect_equal("weights", s, t.points[s], w, 1e-11);
    }
    expect_equal("first moment", STEPS - 1, t.last_m, m, 1e-11);
    expect_equal("second moment", STEPS - 1, t.last_v, v, 1e-11);
    rt_safetensors_close(t.file);
}

static uint16_t bf16_of(const rt_kernels *k, float x)
{
    uint16_t y;
    k->f32_to_bf16(&y, &x, 1);
    return y;
}

static void follow_in_float(const trajectory *t, const rt_kernels *k)
{
    float w[N], m[N] = {0}, v[N] = {0}, g[N];
    uint16_t wb[N];
    double got[N];
    for (int i = 0; i < N; i++) {
        w[i] = (float)t->start[i];
    }
    for (int s = 0; s < STEPS; s++) {
        for (int i = 0; i < N; i++) {
            g[i] = (float)t->grads[s][i];
        }
        double clip = clip_factor(k->sum_squares(g, N));
        rt_ref_adamw p = numbers(t->lr[s], s, clip);
        rt_adamw f = {.lr = (float)p.lr,
                      .beta1 = (float)p.beta1,
                      .beta2 = (float)p.beta2,
                      .eps = (float)p.eps,
                      .weight_decay = (float)p.weight_decay,
                      .bias1 = (float)p.bias1,
                      .bias2 = (float)p.bias2,
                      .grad_scale = (float)clip};
        k->adamw(w, wb, m, v, g, &f, NW);
        f.weight_decay = 0.0f;
        k->adamw(w + NW, NULL, m + NW, v + NW, g + NW, &f, NB);
    }
    for (int i = 0; i < N; i++) {
        got[i] = w[i];
    }
    expect_equal(k->name, STEPS - 1, t->points[STEPS - 1], got, 2e-6);
    for (int i = 0; i < NW; i++) {
        assert_int_equal(wb[i], bf16_of(k, w[i]));
    }
}

static void float_kernels_of_every_isa_level_follow_the_reference(void **state)
{
    (void)state;
    static trajectory t;
    load(&t);
    for (int isa = RT_ISA_GENERIC; isa < RT_ISA_COUNT; isa++) {
        const rt_kernels *k = rt_kernels_for((rt_isa)isa);
        if (k != NULL) {
            print_message("level %s\n", k->name);
            follow_in_float(&t, k);
        }
    }
    rt_safetensors_close(t.file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(double_steps_follow_the_reference),
        cmocka_unit_test(float_kernels_of_every_isa_level_follow_the_reference),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
