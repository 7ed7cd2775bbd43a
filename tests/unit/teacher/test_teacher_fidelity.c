/* A teacher whose products round too far is found before anything is collected; what was found is kept and told. */
#include "format/json.h"
#include "teacher/answers.h"
#include "teacher/fidelity.h"
#include "unit/teacher/collect_fixture.h"

/* A file of a teacher with an opinion, and the teacher as it speaks with bf16 products. */
static rt_model *rounded_teacher_read(const char *dir, bool by_layer)
{
    rt_err err = {0};
    rt_model *sharp = small_teacher(8), *m = NULL;
    char *path = rt_path_join(dir, "teacher.gguf");
    assert_ok(rt_model_save_gguf(sharp, path, RT_F32, NULL, NULL, &err));
    assert_ok(rt_model_open(&m, path, &(rt_model_options){.precision = RT_PRECISION_BF16, .by_layer = by_layer}, &err));
    rt_model_close(sharp);
    rt_free(path);
    return m;
}

static rt_model *rounded_teacher(const char *dir)
{
    return rounded_teacher_read(dir, false);
}

/* One bit of the mantissa is left. */
static void quantise_crudely(rt_model *m)
{
    for (size_t i = 0; i < m->n_params; i++) {
        for (int64_t k = 0; m->params[i].wb && k < m->params[i].n; k++) {
            m->params[i].wb[k] &= 0xffc0;
        }
    }
}

static json_t *json_of_file(const char *dir, const char *name)
{
    rt_err err = {0};
    json_t *j = NULL;
    char *path = rt_path_join(dir, name);
    assert_ok(rt_json_load(&j, path, &err));
    rt_free(path);
    return j;
}

/* Lines of the ledger of this kind; *last is one of them, owned by the caller. */
static int ledger_lines(const small_job *s, const char *kind, json_t **last)
{
    rt_err err = {0};
    rt_jsonl lines = {0};
    json_t *line = NULL;
    int n = 0;
    *last = NULL;
    assert_ok(rt_jsonl_open(&lines, s->ledger, &err));
    while (rt_jsonl_next(&lines, &line, &err) == RT_OK && line) {
        if (strcmp(rt_json_str(line, "kind", ""), kind) == 0) {
            json_decref(*last);
            *last = json_incref(line);
            n++;
        }
        json_decref(line);
    }
    rt_jsonl_close(&lines);
    return n;
}

/* The oracle: both forms whole in memory, rows put side by side in double. */
static double plain_divergence(const small_job *s)
{
    rt_err err = {0};
    rt_model *both[2] = {s->teacher, NULL};
    rt_gather g = {0};
    assert_ok(rt_model_open(&both[1], s->teacher->path, &(rt_model_options){.precision = RT_PRECISION_F32}, &err));
    assert_ok(rt_gather_spread(&g, &s->packed, 512, &err));
    const int64_t v = s->teacher->hp.n_vocab;
    rt_answers *a[2];
    const rt_answer_options o = {
        .kind = RT_CACHE_TOPK, .k = (int)v, .temperature = 1, .max_tokens = 512, .max_span = RT_PIECE_TOKENS};
    double *logp = calloc((size_t)(2 * v), sizeof *logp), sum = 0;
    const rt_cache_row *rows[2];
    for (int k = 0; k < 2; k++) {
        assert_ok(rt_answers_new(&a[k], both[k], &o, &err));
        rows[k] = rt_answers_run(a[k], &g);
    }
    for (int64_t i = 0; i < g.n_rows; i++) {
        for (int k = 0; k < 2; k++) {
            for (int j = 0; j < rows[k][i].n; j++) {
                logp[k * v + rows[k][i].ids[j]] = (double)rows[k][i].logp[j];
            }
        }
        for (int64_t j = 0; j < v; j++) {
            sum += exp(logp[v + j]) * (logp[v + j] - logp[j]);
        }
    }
    const double mean = sum / (double)g.n_rows;
    for (int k = 0; k < 2; k++) {
        rt_answers_free(a[k]);
    }
    rt_gather_release(&g);
    rt_model_close(both[1]);
    free(logp);
    return mean;
}

static void a_teacher_near_its_f32_path_is_collected_and_the_figure_told(void **state)
{
    (void)state;
    rt_err err = {0};
    char *dir = rt_test_scratch();
    small_job s;
    rt_collect_report r, again;
    json_t *open;
    small_job_of(&s, rounded_teacher(dir), 40, dir, RT_CACHE_SAMPLE);
    assert_ok(rt_collect(&s.job, &r, &err));
    assert_true(r.fidelity.kl.mean > 0 && r.fidelity.kl.mean < RT_TEACHER_KL_BOUND);
    assert_true(r.fidelity.kl.n > 200 && r.fidelity.kl.clusters > 1 && r.fidelity.kl.stderr_ > 0);
    const double oracle = plain_divergence(&s);
    assert_true(fabs(r.fidelity.kl.mean - oracle) < 1e-5 + 0.01 * oracle);
    assert_int_equal(ledger_lines(&s, "open", &open), 1);
    json_t *index = json_of_file(s.cache, "cache.json"), *told = json_object_get(index, "teacher_fidelity");
    assert_true(json_equal(told, json_object_get(json_object_get(open, "settings"), "teacher_fidelity")));
    assert_true(rt_json_f64(told, "kl", 0) == r.fidelity.kl.mean);
    assert_int_equal(rt_json_i64(told, "positions", 0), r.fidelity.kl.n);
    assert_string_equal(rt_json_str(told, "compute", ""), "BF16");
    assert_string_equal(rt_json_str(told, "reference", ""), "F32");
    assert_ok(rt_collect(&s.job, &again, &err)); /* complete: told again, not measured */
    assert_true(again.fidelity.kl.mean == r.fidelity.kl.mean && again.fidelity.kl.stderr_ == r.fidelity.kl.stderr_);
    json_decref(index);
    json_decref(open);
    small_job_close(&s);
    rt_test_scratch_drop(dir);
}

static void a_damaged_teacher_is_refused_unless_accepted_and_that_is_recorded(void **state)
{
    (void)state;
    rt_err err = {0};
    char *dir = rt_test_scratch();
    small_job s;
    rt_collect_report r;
    json_t *decision;
    small_job_of(&s, rounded_teacher(dir), 40, dir, RT_CACHE_SAMPLE);
    quantise_crudely(s.teacher);
    assert_int_equal(rt_collect(&s.job, &r, &err), RT_FINDING);
    assert_true(r.fidelity.kl.mean > RT_TEACHER_KL_BOUND);
    assert_says(err.msg, "BF16 products");
    assert_says(err.msg, "--precision f32");
    assert_says(err.msg, "--accept-degraded-teacher");
    char *shard = rt_path_join(s.cache, "00000.rtc");
    assert_false(rt_path_exists(shard));
    assert_false(rt_path_exists(s.ledger));
    s.job.options.accept_degraded = true;
    for (int i = 0; i < 2; i++) {
        assert_ok(rt_collect(&s.job, &r, &err));
        assert_int_equal(ledger_lines(&s, "decision", &decision), 1);
        const json_t *told = json_object_get(json_object_get(decision, "decision"), "degraded_teacher_accepted");
        assert_true(rt_json_f64(told, "kl", 0) == r.fidelity.kl.mean);
        assert_true(rt_json_f64(told, "bound", 0) == RT_TEACHER_KL_BOUND);
        json_decref(decision);
    }
    rt_free(shard);
    small_job_close(&s);
    rt_test_scratch_drop(dir);
}

/* What was measured stands although the teacher would now measure otherwise; for another cache it does not. */
static void a_figure_is_kept_for_its_cache_alone(void **state)
{
    (void)state;
    rt_err err = {0};
    char *dir = rt_test_scratch();
    small_job s;
    rt_teacher_fidelity f, kept;
    rt_cache_header h;
    small_job_of(&s, rounded_teacher(dir), 40, dir, RT_CACHE_SAMPLE);
    assert_ok(rt_mkdirs(s.cache, &err));
    assert_ok(rt_collect_header(&s.job, &h, &err));
    assert_ok(rt_teacher_fidelity_take(&f, s.teacher, &s.packed, s.cache, &h, &err));
    quantise_crudely(s.teacher);
    assert_ok(rt_teacher_fidelity_take(&kept, s.teacher, &s.packed, s.cache, &h, &err));
    assert_true(kept.kl.mean == f.kl.mean && kept.kl.n == f.kl.n);
    h.seed++;
    assert_ok(rt_teacher_fidelity_take(&kept, s.teacher, &s.packed, s.cache, &h, &err));
    assert_true(kept.kl.mean > RT_TEACHER_KL_BOUND);
    small_job_close(&s);
    rt_test_scratch_drop(dir);
}

static void the_figure_does_not_depend_on_threads(void **state)
{
    (void)state;
    rt_err err = {0};
    char *dir = rt_test_scratch();
    small_job s;
    rt_teacher_fidelity f[2];
    const int before = rt_team_threads();
    small_job_of(&s, rounded_teacher(dir), 40, dir, RT_CACHE_SAMPLE);
    for (int i = 0; i < 2; i++) {
        rt_team_set_threads(i + 1);
        assert_ok(rt_teacher_fidelity_measure(&f[i], s.teacher, &s.packed, &err));
    }
    rt_team_set_threads(before);
    assert_true(f[0].kl.mean == f[1].kl.mean && f[0].kl.stderr_ == f[1].kl.stderr_);
    small_job_close(&s);
    rt_test_scratch_drop(dir);
}

static void where_nothing_is_rounded_or_known_that_is_said(void **state)
{
    (void)state;
    rt_err err = {0};
    char *dir = rt_test_scratch();
    small_job s;
    rt_collect_report r;
    json_t *open;
    small_job_open(&s, dir, RT_CACHE_SAMPLE);
    assert_ok(rt_collect(&s.job, &r, &err));
    assert_int_equal(r.fidelity.kl.n, 0);
    assert_string_equal(r.fidelity.unmeasured, "the teacher speaks in f32");
    ledger_lines(&s, "open", &open);
    const json_t *told = json_object_get(json_object_get(open, "settings"), "teacher_fidelity");
    assert_string_equal(rt_json_str(told, "unmeasured", ""), r.fidelity.unmeasured);
    json_decref(open);
    small_job_close(&s);
    rt_test_scratch_drop(dir);
}

static void a_teacher_read_layer_by_layer_is_not_read_again_for_a_short_text(void **state)
{
    (void)state;
    rt_err err = {0};
    char *dir = rt_test_scratch();
    small_job s;
    rt_collect_report r;
    small_job_of(&s, rounded_teacher_read(dir, true), 40, dir, RT_CACHE_SAMPLE);
    assert_ok(rt_collect(&s.job, &r, &err));
    assert_int_equal(r.fidelity.kl.n, 0);
    assert_says(r.fidelity.unmeasured, "layer by layer");
    small_job_close(&s);
    rt_test_scratch_drop(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_teacher_near_its_f32_path_is_collected_and_the_figure_told),
        cmocka_unit_test(a_damaged_teacher_is_refused_unless_accepted_and_that_is_recorded),
        cmocka_unit_test(a_figure_is_kept_for_its_cache_alone),
        cmocka_unit_test(the_figure_does_not_depend_on_threads),
        cmocka_unit_test(where_nothing_is_rounded_or_known_that_is_said),
        cmocka_unit_test(a_teacher_read_layer_by_layer_is_not_read_again_for_a_short_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
