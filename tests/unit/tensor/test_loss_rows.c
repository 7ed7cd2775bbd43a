/* Which pairs are refused and why; identity of student and teacher; rows that break careless arithmetic; the float
 * build against the double one. */
#include "unit/tensor/loss_cases.h"

static void names_go_there_and_back(void **state)
{
    (void)state;
    for (int k = 0; k < RT_LOSS_COUNT; k++) {
        rt_loss_kind found;
        assert_true(rt_loss_from_name(rt_loss_name((rt_loss_kind)k), &found));
        assert_int_equal(found, k);
        assert_true(strlen(rt_loss_formula((rt_loss_kind)k)) > 0);
    }
    rt_loss_kind found;
    assert_false(rt_loss_from_name("kl", &found)); /* which direction? */
}

static void expect_refusal(rt_loss loss, rt_target_kind t, double cached, rt_status code, const char *reason)
{
    rt_err err;
    rt_err_clear(&err);
    assert_int_equal(rt_loss_check(&loss, t, cached, &err), code);
    if (!strstr(err.msg, reason)) {
        fail_msg("'%s' does not say '%s'", err.msg, reason);
    }
}

static void impossible_pairs_are_refused_with_the_reason(void **state)
{
    (void)state;
    rt_loss rkl = {.kind = RT_LOSS_REVERSE_KL, .temperature = 1.0};
    rt_loss fkl2 = {.kind = RT_LOSS_FORWARD_KL, .temperature = 2.0};
    rt_loss ce = {.kind = RT_LOSS_CE, .temperature = 1.0}, jsd = {.kind = RT_LOSS_JSD, .temperature = 1.0, .mix = 1.0};
    rt_loss z = {.kind = RT_LOSS_Z_LOSS, .temperature = 1.0}, lk = {.kind = RT_LOSS_LK, .temperature = 1.0};
    rt_loss smooth = fkl2, cold = fkl2, hot_ce = ce, smooth_ce = ce;
    smooth.label_smoothing = 0.1;
    cold.temperature = 0.0;
    hot_ce.temperature = 2.0;
    smooth_ce.label_smoothing = 1.0;
    expect_refusal(rkl, RT_TARGET_SAMPLE, 1.0, RT_UNSUPPORTED, "hold draws");
    expect_refusal(fkl2, RT_TARGET_SAMPLE, 1.0, RT_UNSUPPORTED, "made at temperature 1");
    expect_refusal(fkl2, RT_TARGET_TOPK, 1.0, RT_UNSUPPORTED, "collect again at 2");
    expect_refusal(fkl2, RT_TARGET_LABEL, 1.0, RT_UNSUPPORTED, "use 'ce'");
    expect_refusal(ce, RT_TARGET_DENSE, 1.0, RT_UNSUPPORTED, "use 'forward_kl'");
    expect_refusal(z, RT_TARGET_DENSE, 1.0, RT_UNSUPPORTED, "needs labels");
    expect_refusal(lk, RT_TARGET_SAMPLE, 1.0, RT_UNSUPPORTED, "hold draws");
    expect_refusal(lk, RT_TARGET_LABEL, 1.0, RT_UNSUPPORTED, "teacher's distribution");
    expect_refusal(jsd, RT_TARGET_DENSE, 1.0, RT_USAGE, "between 0 and 1");
    expect_refusal(smooth, RT_TARGET_DENSE, 1.0, RT_USAGE, "does not apply");
    expect_refusal(smooth_ce, RT_TARGET_LABEL, 1.0, RT_USAGE, "less than 1");
    expect_refusal(cold, RT_TARGET_DENSE, 1.0, RT_USAGE, "above 0");
    expect_refusal(hot_ce, RT_TARGET_LABEL, 1.0, RT_USAGE, "expected 1");
    assert_int_equal(rt_loss_check(&fkl2, RT_TARGET_DENSE, 1.0, NULL), RT_OK);
    assert_int_equal(rt_loss_check(&fkl2, RT_TARGET_TOPK, 2.0, NULL), RT_OK);
}

static void check_identity(rt_loss loss, rt_target_kind kind)
{
    if (kind == RT_TARGET_LABEL || kind == RT_TARGET_SAMPLE) {
        return; /* zero only in expectation */
    }
    loss_case c;
    double z[LOSS_V];
    loss_case_fill(&c, loss, kind, 2);
    memcpy(z, c.teacher, sizeof z);
    assert_true(fabs(loss_case_run(&c, z, true, 1.0)) < 1e-12);
    bool kink = loss.kind == RT_LOSS_TVD || loss.kind == RT_LOSS_ACCEPTANCE || loss.kind == RT_LOSS_LK;
    if (!kink || kind == RT_TARGET_DENSE) { /* rounding decides which side of the kink it is */
        assert_true(max_abs(z, LOSS_V) < 1e-12);
    }
}

static void student_equal_to_teacher_has_no_loss_and_no_gradient(void **state)
{
    (void)state;
    for_each_loss_pair(1.0, check_identity);
    for_each_loss_pair(2.0, check_identity);
}

static void check_float(rt_loss loss, rt_target_kind kind)
{
    for (uint64_t seed = 1; seed <= 20; seed++) {
        loss_case c;
        float z[LOSS_V], scratch[LOSS_V];
        double want[LOSS_V];
        loss_case_fill(&c, loss, kind, seed);
        for (int i = 0; i < LOSS_V; i++) {
            z[i] = (float)c.z[i];
            want[i] = z[i];
            c.teacher[i] = c.teacher_f32[i];
        }
        double want_value = loss_case_run(&c, want, true, 0.25);
        float before[LOSS_V];
        memcpy(before, z, sizeof z);
        double value = rt_loss_row(&loss, z, LOSS_V, &c.target, false, 0.25f, NULL);
        assert_memory_equal(z, before, sizeof z);
        assert_true(value == rt_loss_row(&loss, z, LOSS_V, &c.target, true, 0.25f, scratch));
        assert_true(fabs(value - want_value) < 1e-6 + 2e-5 * fabs(want_value));
        for (int i = 0; i < LOSS_V; i++) {
            assert_true(fabs(z[i] - want[i]) < 1e-6 + 2e-5 * max_abs(want, LOSS_V));
        }
    }
}

static void float_build_equals_double_build(void **state)
{
    (void)state;
    rt_isa start = rt_cpu_get()->isa;
    for (int isa = RT_ISA_GENERIC; isa <= (int)start; isa++) {
        rt_cpu_force_isa((rt_isa)isa);
        for_each_loss_pair(0.7, check_float);
        for_each_loss_pair(2.0, check_float);
    }
    rt_cpu_force_isa(start);
}

/* One row of each kind of trouble, in both element types. */
static void expect_finite(const loss_case *c)
{
    double z[LOSS_V];
    float f[LOSS_V], scratch[LOSS_V];
    memcpy(z, c->z, sizeof z);
    for (int i = 0; i < LOSS_V; i++) {
        f[i] = (float)z[i];
    }
    double in_double = loss_case_run(c, z, true, 1.0);
    double in_float = rt_loss_row(&c->loss, f, LOSS_V, &c->target, true, 1.0f, scratch);
    bool finite = isfinite(in_double) && isfinite(in_float);
    for (int i = 0; i < LOSS_V; i++) {
        finite = finite && isfinite(z[i]) && isfinite(f[i]);
    }
    if (!finite) {
        fail_msg("%s on '%s': value %g in double, %g in float", rt_loss_name(c->loss.kind),
                 rt_target_kind_name(c->target.kind), in_double, in_float);
    }
}

static void check_extremes(rt_loss loss, rt_target_kind kind)
{
    loss_case c;
    loss_case_fill(&c, loss, kind, 4);
    for (int i = 0; i < LOSS_V; i++) { /* student certain of a token the teacher rules out, logits +-1e4 */
        c.z[i] = i % 2 ? -1e4 : 1e4 * (i == 2);
    }
    expect_finite(&c);
    loss_case_fill(&c, loss, kind, 4);
    for (int i = 0; i < LOSS_V; i++) { /* one-hot teacher */
        c.teacher[i] = i == 7 ? 1e4 : -1e4;
        c.teacher_f32[i] = (float)c.teacher[i];
    }
    for (int j = 0; j < LOSS_K; j++) {
        c.logp[j] = c.ids[j] == 7 ? 0.0 : -2e4;
        c.logp_f32[j] = (float)c.logp[j];
        c.counts[j] = c.ids[j] == 7;
    }
    c.log_tail = -INFINITY;
    c.target.log_tail = -INFINITY;
    expect_finite(&c);
    loss_case_fill(&c, loss, kind, 4);
    for (int i = 25; i < LOSS_V; i++) { /* padding of the vocabulary: no probability on either side */
        c.z[i] = c.teacher[i] = -INFINITY;
        c.teacher_f32[i] = -INFINITY;
    }
    c.ids[4] = 24; /* was 27: an entry among the padding would be a fault of the cache */
    expect_finite(&c);
}

static void hard_rows_stay_finite(void **state)
{
    (void)state;
    assert_int_equal(for_each_loss_pair(1.0, check_extremes), LOSS_PAIRS);
    for_each_loss_pair(0.7, check_extremes);
}

static void padding_of_the_vocabulary_changes_nothing(void **state)
{
    (void)state;
    rt_loss loss = {.kind = RT_LOSS_FORWARD_KL, .temperature = 1.5};
    loss_case c;
    loss_case_fill(&c, loss, RT_TARGET_DENSE, 9);
    float z[LOSS_V + 128], teacher[LOSS_V + 128], scratch[LOSS_V + 128], plain[LOSS_V];
    for (int i = 0; i < LOSS_V + 128; i++) {
        z[i] = i < LOSS_V ? (float)c.z[i] : -INFINITY;
        teacher[i] = i < LOSS_V ? c.teacher_f32[i] : -INFINITY;
    }
    memcpy(plain, z, sizeof plain);
    double want = rt_loss_row(&loss, plain, LOSS_V, &c.target, true, 1.0f, scratch);
    c.target.logits = teacher;
    double got = rt_loss_row(&loss, z, LOSS_V + 128, &c.target, true, 1.0f, scratch);
    assert_true(fabs(got - want) < 1e-6);
    for (int i = 0; i < LOSS_V + 128; i++) {
        assert_true(fabsf(z[i] - (i < LOSS_V ? plain[i] : 0.0f)) < 1e-6f);
    }
}

/* Without the tail bucket the minimum of reverse KL has the mass P/e on the entries. */
static void reverse_kl_with_tail_leads_the_students_mass_to_the_teachers(void **state)
{
    (void)state;
    loss_case c;
    loss_case_fill(&c, (rt_loss){.kind = RT_LOSS_REVERSE_KL, .temperature = 1.0}, RT_TARGET_TOPK, 6);
    double z[LOSS_V], g[LOSS_V], mass = 0.0;
    memcpy(z, c.z, sizeof z);
    for (int step = 0; step < 4000; step++) {
        memcpy(g, z, sizeof g);
        loss_case_run(&c, g, true, 1.0);
        for (int i = 0; i < LOSS_V; i++) {
            z[i] -= 0.5 * g[i];
        }
    }
    double lse = rt_ref_logsumexp_f64(z, LOSS_V, 1.0, NULL);
    for (int j = 0; j < LOSS_K; j++) {
        mass += exp(z[c.ids[j]] - lse);
    }
    assert_true(fabs(mass - (1.0 - exp(c.log_tail))) < 1e-3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_go_there_and_back),
        cmocka_unit_test(impossible_pairs_are_refused_with_the_reason),
        cmocka_unit_test(student_equal_to_teacher_has_no_loss_and_no_gradient),
        cmocka_unit_test(float_build_equals_double_build),
        cmocka_unit_test(hard_rows_stay_finite),
        cmocka_unit_test(padding_of_the_vocabulary_changes_nothing),
        cmocka_unit_test(reverse_kl_with_tail_leads_the_students_mass_to_the_teachers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
