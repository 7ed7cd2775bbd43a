/* Muon along five steps made in float64 with torch (golden muon.safetensors): a tall, a wide and a square matrix, and
 * both sizes of the update. */
#include <string.h>

#include "tensor/ref.h"
#include "unit/tensor/golden.h"

enum { STEPS = 5, LARGEST = 16 * 40, WORK = 2 * LARGEST + 2 * 16 * 16 };

typedef struct shape {
    const char *name;
    int64_t rows, cols;
} shape;
static const shape shapes[] = {{"tall", 24, 16}, {"wide", 16, 40}, {"square", 16, 16}};

typedef struct trajectory {
    rt_safetensors *file;
    const float *start, *grads; /* [rows, cols], [STEPS, rows, cols] */
    const double *end;
} trajectory;

static trajectory open_trajectory(const shape *s, const char *size)
{
    trajectory t = {0};
    rt_err err;
    char name[64];
    const int64_t n = s->rows * s->cols;
    if (rt_safetensors_open(&t.file, RT_TEST_SOURCE "/tests/golden/muon.safetensors", &err) != RT_OK) {
        fail_msg("%s", err.msg);
    }
    snprintf(name, sizeof name, "%s.p0", s->name);
    t.start = golden_data(t.file, name, RT_F32, n);
    snprintf(name, sizeof name, "%s.grads", s->name);
    t.grads = golden_data(t.file, name, RT_F32, STEPS * n);
    snprintf(name, sizeof name, "%s.%s", s->name, size);
    t.end = golden_data(t.file, name, RT_F64, n);
    return t;
}

static rt_ref_muon numbers(double scale)
{
    return (rt_ref_muon){.lr = 0.02, .momentum = 0.95, .weight_decay = 0.1, .scale = scale, .grad_scale = 1.0};
}

static void follow(const shape *s, const char *size, double scale)
{
    trajectory t = open_trajectory(s, size);
    const int64_t n = s->rows * s->cols;
    double w[LARGEST], m[LARGEST] = {0}, g[LARGEST], work[WORK];
    float w32[LARGEST], m32[LARGEST] = {0}, work32[WORK];
    const rt_ref_muon p = numbers(scale);
    for (int64_t i = 0; i < n; i++) {
        w[i] = w32[i] = t.start[i];
    }
    for (int step = 0; step < STEPS; step++) {
        for (int64_t i = 0; i < n; i++) {
            g[i] = t.grads[step * n + i];
        }
        rt_ref_muon_f64(w, m, g, &p, s->rows, s->cols, work);
        rt_ref_muon_f32(w32, m32, t.grads + step * n, &p, s->rows, s->cols, work32);
    }
    for (int64_t i = 0; i < n; i++) {
        if (!(fabs(w[i] - t.end[i]) <= 1e-9) || !(fabs(w32[i] - t.end[i]) <= 1e-4)) {
            fail_msg("%s, %s, element %lld: %.15g, in float %.9g, reference %.15g", s->name, size, (long long)i, w[i],
                     w32[i], t.end[i]);
        }
    }
    rt_safetensors_close(t.file);
}

static void five_steps_follow_the_reference(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const shape *s = &shapes[i];
        const double rows = (double)s->rows, cols = (double)s->cols;
        follow(s, "original", sqrt(fmax(1.0, rows / cols)));
        follow(s, "match_rms_adamw", 0.2 * sqrt(fmax(rows, cols)));
    }
}

/* A gradient of the same direction makes the same step whatever its size, and no gradient makes none. */
static void the_size_of_the_gradient_does_not_matter(void **state)
{
    (void)state;
    trajectory t = open_trajectory(&shapes[0], "original");
    const int64_t n = shapes[0].rows * shapes[0].cols;
    double w[2][LARGEST], m[2][LARGEST] = {{0}}, g[LARGEST], work[WORK];
    rt_ref_muon p = numbers(1.0);
    for (int k = 0; k < 2; k++) {
        p.grad_scale = k == 0 ? 1.0 : 1e-3;
        for (int64_t i = 0; i < n; i++) {
            w[k][i] = t.start[i];
            g[i] = t.grads[i];
        }
        rt_ref_muon_f64(w[k], m[k], g, &p, shapes[0].rows, shapes[0].cols, work);
    }
    for (int64_t i = 0; i < n; i++) {
        assert_true(fabs(w[0][i] - w[1][i]) < 1e-12);
    }
    memset(g, 0, sizeof g);
    memset(m, 0, sizeof m);
    p.weight_decay = 0.0;
    memcpy(w[1], w[0], sizeof w[0]);
    rt_ref_muon_f64(w[1], m[1], g, &p, shapes[0].rows, shapes[0].cols, work);
    assert_memory_equal(w[1], w[0], (size_t)n * sizeof w[0][0]);
    rt_safetensors_close(t.file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(five_steps_follow_the_reference),
        cmocka_unit_test(the_size_of_the_gradient_does_not_matter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
