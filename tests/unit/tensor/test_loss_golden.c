/* Losses against float64 references made with torch (golden losses/; the hard rows 1 to 6 are: student =
 * teacher, teacher +40 and student +40 on one logit, student +1000, teacher -1000, teacher -1e4 on 300 entries).
 * The references carry T^2 and leave the JSD undivided: reference = T^2 b(1-b) * ours. */
#include <string.h>

#include "tensor/loss.h"
#include "unit/tensor/golden.h"

enum { ROWS = 37, V = 501, K = 16, ROW_EQUAL = 1, ROW_OFFSET = 4 };

typedef struct golden_case {
    const char *file;
    rt_loss loss;
    rt_target_kind target;
    double undivided; /* b(1-b) for the JSD, else 1 */
} golden_case;

#define DENSE(name, kind_, t, mix_)                                                                                \
    {                                                                                                              \
        .file = name, .loss = {.kind = RT_LOSS_##kind_, .temperature = t, .mix = mix_}, .target = RT_TARGET_DENSE, \
        .undivided = RT_LOSS_##kind_ == RT_LOSS_JSD ? (mix_) * (1.0 - (mix_)) : 1.0                                \
    }
static const golden_case cases[] = {
    {"ce", {RT_LOSS_CE, 1, 0, 0}, RT_TARGET_LABEL, 1},
    {"ce_smooth01", {RT_LOSS_CE, 1, 0, 0.1}, RT_TARGET_LABEL, 1},
    DENSE("fkl_T1", FORWARD_KL, 1, 0),
    DENSE("fkl_T2", FORWARD_KL, 2, 0),
    DENSE("rkl_T2", REVERSE_KL, 2, 0),
    DENSE("jsd_b01_T1", JSD, 1, 0.1),
    DENSE("jsd_b05_T2", JSD, 2, 0.5),
    DENSE("skew_fkl_a01_T2", SKEW_FORWARD_KL, 2, 0.1),
    DENSE("skew_rkl_a01_T2", SKEW_REVERSE_KL, 2, 0.1),
    DENSE("tvd_T2", TVD, 2, 0),
    {"fkl_top16_tail_T1", {RT_LOSS_FORWARD_KL, 1, 0, 0}, RT_TARGET_TOPK, 1},
    {"fkl_top16_tail_T2", {RT_LOSS_FORWARD_KL, 2, 0, 0}, RT_TARGET_TOPK, 1},
};

typedef struct golden {
    const golden_case *c;
    rt_safetensors *inputs, *file;
    const float *student, *teacher, *mask; /* [ROWS, V], [ROWS, V], [ROWS] */
    const int32_t *labels, *ids;           /* [ROWS], [ROWS, K] */
    const double *logp, *log_tail;         /* [ROWS, K], [ROWS] */
    const double *values, *grads;          /* [ROWS], [ROWS, V] */
    double n_counted;
} golden;

static golden open_case(const golden_case *c)
{
    golden g = {.c = c, .inputs = golden_open("losses", "inputs"), .file = golden_open("losses", c->file)};
    g.student = golden_data(g.inputs, "student_logits", RT_F32, ROWS * V);
    g.teacher = golden_data(g.inputs, "teacher_logits", RT_F32, ROWS * V);
    g.mask = golden_data(g.inputs, "row_mask", RT_F32, ROWS);
    g.labels = golden_data(g.inputs, "labels", RT_I32, ROWS);
    g.values = golden_data(g.file, "value_rows", RT_F64, ROWS);
    g.grads = golden_data(g.file, "grad", RT_F64, ROWS * V);
    if (c->target == RT_TARGET_TOPK) {
        g.ids = golden_data(g.file, "topk_idx", RT_I32, ROWS * K);
        g.logp = golden_data(g.file, "topk_logp", RT_F64, ROWS * K);
        g.log_tail = golden_data(g.file, "tail_logp", RT_F64, ROWS);
    }
    for (int r = 0; r < ROWS; r++) {
        g.n_counted += g.mask[r];
    }
    return g;
}

static void close_case(golden *g)
{
    rt_safetensors_close(g->file);
    rt_safetensors_close(g->inputs);
}

/* Row r of the case as a target; `logp` receives the float copy of the log-probabilities. */
static rt_target target_of(const golden *g, int r, float logp[K])
{
    rt_target t = {.kind = g->c->target, .logits = g->teacher + r * V};
    t.label = g->labels[r] < 0 ? 0 : g->labels[r]; /* rows not counted: the reference takes label 0 */
    if (g->ids != NULL) {
        t.n = K;
        t.ids = g->ids + r * K;
        t.weight = logp;
        t.log_tail = (float)g->log_tail[r];
        for (int j = 0; j < K; j++) {
            logp[j] = (float)g->logp[r * K + j];
        }
    }
    return t;
}

static void expect_near(const golden *g, const char *what, int row, int i, double got, double want, double bound)
{
    if (!(fabs(got - want) <= bound)) {
        fail_msg("%s row %d %s %d: %.12g, reference %.12g, allowed %.3g", g->c->file, row, what, i, got, want, bound);
    }
}

/* At the kink of |p - q| the gradient is a choice. */
static bool gradient_defined(const golden *g, int row)
{
    return !(g->c->loss.kind == RT_LOSS_TVD && row == ROW_EQUAL);
}

static void check_row_f64(const golden *g, int r)
{
    double z[V], teacher[V], scratch[V];
    float logp[K];
    rt_target t = target_of(g, r, logp);
    for (int i = 0; i < V; i++) {
        z[i] = g->student[r * V + i];
        teacher[i] = g->teacher[r * V + i];
    }
    const double *lp = g->logp ? g->logp + r * K : NULL;
    double tail = g->log_tail ? g->log_tail[r] : 0.0, weight = g->mask[r] / g->n_counted;
    double value = rt_loss_row_f64(&g->c->loss, z, V, &t, teacher, lp, tail, true, weight, scratch);
    value *= rt_loss_factor(&g->c->loss) * g->c->undivided;
    expect_near(g, "value", r, 0, value, g->values[r], 1e-10 * fmax(1.0, fabs(g->values[r])));
    for (int i = 0; i < V && gradient_defined(g, r); i++) {
        double want = g->grads[r * V + i];
        expect_near(g, "gradient", r, i, z[i] * g->c->undivided, want, 1e-10 * fmax(1.0, fabs(want)));
    }
}

static void check_row_f32(const golden *g, int r)
{
    float z[V], scratch[V], logp[K];
    rt_target t = target_of(g, r, logp);
    for (int i = 0; i < V; i++) {
        z[i] = g->student[r * V + i];
    }
    float weight = (float)(g->mask[r] / g->n_counted);
    double value = rt_loss_row(&g->c->loss, z, V, &t, true, weight, scratch);
    value *= rt_loss_factor(&g->c->loss) * g->c->undivided;
    double relative = r == ROW_OFFSET ? 3e-4 : 2e-5;
    expect_near(g, "value", r, 0, value, g->values[r], 1e-6 + relative * fabs(g->values[r]));
    double largest = max_abs(g->grads + r * V, V), share = r == ROW_OFFSET ? 3e-4 : 2e-4;
    for (int i = 0; i < V && gradient_defined(g, r); i++) {
        expect_near(g, "gradient", r, i, z[i] * g->c->undivided, g->grads[r * V + i], 1e-6 + share * largest);
    }
}

static void double_build_equals_the_reference(void **state)
{
    (void)state;
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        golden g = open_case(&cases[c]);
        for (int r = 0; r < ROWS; r++) {
            check_row_f64(&g, r);
        }
        close_case(&g);
    }
}

static void float_build_equals_the_reference_at_every_isa_level(void **state)
{
    (void)state;
    rt_isa start = rt_cpu_get()->isa;
    for (int isa = RT_ISA_GENERIC; isa <= (int)start; isa++) {
        rt_cpu_force_isa((rt_isa)isa);
        for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
            golden g = open_case(&cases[c]);
            for (int r = 0; r < ROWS; r++) {
                check_row_f32(&g, r);
            }
            close_case(&g);
        }
    }
    rt_cpu_force_isa(start);
}

/* ---- further losses, by their values alone: their gradients are held by difference quotients ---- */

static const golden_case value_cases[] = {
    {"z_loss", {RT_LOSS_Z_LOSS, 1, 0, 0}, RT_TARGET_LABEL, 1},
    DENSE("rkl_T1", REVERSE_KL, 1, 0),
    DENSE("jsd_b01_T2", JSD, 2, 0.1),
    DENSE("jsd_b05_T1", JSD, 1, 0.5),
    DENSE("jsd_b09_T1", JSD, 1, 0.9),
    DENSE("jsd_b09_T2", JSD, 2, 0.9),
    DENSE("skew_fkl_a01_T1", SKEW_FORWARD_KL, 1, 0.1),
    DENSE("skew_rkl_a01_T1", SKEW_REVERSE_KL, 1, 0.1),
    DENSE("tvd_T1", TVD, 1, 0),
};

static golden open_values(const golden_case *c)
{
    golden g = {.c = c, .inputs = golden_open("losses", "inputs")};
    rt_err err;
    assert_int_equal(rt_safetensors_open(&g.file, RT_TEST_SOURCE "/tests/golden/loss_values.safetensors", &err), RT_OK);
    g.student = golden_data(g.inputs, "student_logits", RT_F32, ROWS * V);
    g.teacher = golden_data(g.inputs, "teacher_logits", RT_F32, ROWS * V);
    g.labels = golden_data(g.inputs, "labels", RT_I32, ROWS);
    g.values = golden_data(g.file, c->file, RT_F64, ROWS);
    return g;
}

static double value_f64(const golden *g, const rt_loss *loss, int r)
{
    double z[V], teacher[V];
    float none[K];
    rt_target t = target_of(g, r, none);
    for (int i = 0; i < V; i++) {
        z[i] = g->student[r * V + i];
        teacher[i] = g->teacher[r * V + i];
    }
    return rt_loss_row_f64(loss, z, V, &t, teacher, NULL, 0.0, false, 0.0, NULL);
}

static double value_f32(const golden *g, const rt_loss *loss, int r)
{
    float z[V], none[K];
    rt_target t = target_of(g, r, none);
    memcpy(z, g->student + r * V, sizeof z);
    return rt_loss_row(loss, z, V, &t, false, 0.0f, NULL);
}

static void values_of_further_losses_equal_the_reference(void **state)
{
    (void)state;
    for (size_t c = 0; c < sizeof value_cases / sizeof *value_cases; c++) {
        golden g = open_values(&value_cases[c]);
        const rt_loss *loss = &value_cases[c].loss;
        const double units = rt_loss_factor(loss) * value_cases[c].undivided;
        for (int r = 0; r < ROWS; r++) {
            double want = g.values[r], relative = r == ROW_OFFSET ? 3e-4 : 2e-5;
            expect_near(&g, "value", r, 0, value_f64(&g, loss, r) * units, want, 1e-10 * fmax(1.0, fabs(want)));
            expect_near(&g, "float value", r, 0, value_f32(&g, loss, r) * units, want, 1e-6 + relative * fabs(want));
        }
        close_case(&g);
    }
}

/* alpha = 1 - total variation, and LK is made of forward KL and it: both references are there. */
static void losses_of_the_acceptance_follow_from_their_parts(void **state)
{
    (void)state;
    golden g = open_values(&value_cases[sizeof value_cases / sizeof *value_cases - 1]);
    golden kl = open_case(&(golden_case)DENSE("fkl_T1", FORWARD_KL, 1, 0));
    const rt_loss acceptance = {.kind = RT_LOSS_ACCEPTANCE, .temperature = 1},
                  lk = {.kind = RT_LOSS_LK, .temperature = 1};
    for (int r = 0; r < ROWS; r++) {
        double alpha = 1.0 - g.values[r], w = exp(-3.0 * alpha), want = w * kl.values[r] + (1.0 - w) * g.values[r];
        expect_near(&g, "alpha", r, 0, exp(-value_f64(&g, &acceptance, r)), alpha, 1e-10);
        expect_near(&g, "LK", r, 0, value_f64(&g, &lk, r), want, 1e-10 * fmax(1.0, want));
    }
    close_case(&kl);
    close_case(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(double_build_equals_the_reference),
        cmocka_unit_test(float_build_equals_the_reference_at_every_isa_level),
        cmocka_unit_test(values_of_further_losses_equal_the_reference),
        cmocka_unit_test(losses_of_the_acceptance_follow_from_their_parts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
