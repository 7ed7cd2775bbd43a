/* Gradient of one step: micro-batches, denominators, targets of every kind, threads, memory. */
#include "unit/train/toy.h"

typedef struct made {
    rt_step_report r;
    float *grads;
    int64_t n;
} made;

static rt_train_loss loss_of(rt_loss_kind k, double weight)
{
    return (rt_train_loss){.loss = {.kind = k, .temperature = 1, .mix = 0.5}, .weight = weight};
}

static const rt_train_loss fkl = {.loss = {.kind = RT_LOSS_FORWARD_KL, .temperature = 1}, .weight = 1};
static const rt_train_loss ce = {.loss = {.kind = RT_LOSS_CE, .temperature = 1}, .weight = 1};

/* Gradient of `losses` over the first `batch` tokens of the source. */
static made run(rt_model *m, rt_source *s, const rt_train_loss *losses, int n, int64_t batch, int64_t micro)
{
    rt_err err;
    rt_step *step;
    rt_source_batch b;
    rt_source_cursor c = {0};
    made out = {.n = m->n_elements, .grads = rt_calloc((size_t)m->n_elements, sizeof(float))};
    rt_step_options o = {.n_losses = n, .batch_tokens = batch, .micro_tokens = micro, .teacher = s->teacher};
    memcpy(o.losses, losses, (size_t)n * sizeof *losses);
    assert_ok(rt_step_new(&step, m, &s->info, &o, &err));
    assert_ok(rt_source_next(s, &c, batch, &b, &err));
    assert_ok(rt_step_run(step, &b, out.grads, &out.r, &err));
    rt_step_free(step);
    return out;
}

static double relative_difference(const made *a, const made *b)
{
    double diff = 0, norm = 0;
    for (int64_t i = 0; i < a->n; i++) {
        diff += pow((double)a->grads[i] - (double)b->grads[i], 2);
        norm += pow((double)a->grads[i], 2);
    }
    return sqrt(diff / norm);
}

static double norm_of(const made *a)
{
    double norm = 0;
    for (int64_t i = 0; i < a->n; i++) {
        norm += pow((double)a->grads[i], 2);
    }
    return sqrt(norm);
}

static void cross_entropy_equals_the_reference(void **state)
{
    (void)state;
    rt_err err;
    rt_safetensors *f;
    rt_model *m = toy_model(true);
    assert_ok(rt_safetensors_open(&f, RT_TEST_GOLDEN "/models/llama/golden.safetensors", &err));
    const int32_t *ids = rt_safetensors_find(f, "input_ids")->data;
    rt_source_info info = {.kind = RT_SOURCE_LABELS, .n_vocab = m->hp.n_vocab, .sequence = 24, .temperature = 1};
    rt_step_options o = {.losses = {ce}, .n_losses = 1, .batch_tokens = 48, .micro_tokens = 24};
    int32_t rows[46], labels[46];
    int n = 0;
    for (int i = 0; i < 48; i++) {
        if (i % 24 != 23) {
            rows[n] = i;
            labels[n++] = ids[i + 1];
        }
    }
    rt_span spans[2] = {{.row0 = 0, .n = 24}, {.row0 = 24, .n = 24}};
    rt_source_batch b = {.net = {.ids = ids, .n_rows = 48, .spans = spans, .n_spans = 2},
                         .n_sequences = 2,
                         .n_rows = 46,
                         .rows = rows,
                         .labels = labels};
    rt_step *step;
    rt_step_report r;
    float *grads = rt_calloc((size_t)m->n_elements, sizeof(float));
    assert_ok(rt_step_new(&step, m, &info, &o, &err));
    assert_ok(rt_step_run(step, &b, grads, &r, &err));
    double want = (double)((const float *)rt_safetensors_find(f, "loss_ce")->data)[0];
    assert_true(fabs(r.loss - want) < 2e-5);
    assert_true(fabs(r.ce - want) < 2e-5);
    assert_true(isnan(r.kl));
    rt_free(grads);
    rt_step_free(step);
    rt_safetensors_close(f);
    rt_model_close(m);
}

static void micro_batches_do_not_change_the_gradient(void **state)
{
    (void)state;
    static const rt_source_kind kinds[] = {RT_SOURCE_SAMPLE, RT_SOURCE_TOPK, RT_SOURCE_HIDDEN, RT_SOURCE_DENSE};
    rt_model *teacher = toy_teacher(), *student = toy_student();
    for (size_t i = 0; i < 4; i++) {
        rt_source *s = toy_source(kinds[i], teacher);
        made whole = run(student, s, &fkl, 1, 96, 96), halves = run(student, s, &fkl, 1, 96, 48),
             ones = run(student, s, &fkl, 1, 96, 1);
        assert_true(whole.r.tokens > 72);
        assert_int_equal(whole.r.rows, ones.r.rows);
        assert_true(fabs(whole.r.loss - ones.r.loss) < 1e-6 * whole.r.loss);
        assert_true(relative_difference(&whole, &halves) < 1e-6);
        assert_true(relative_difference(&whole, &ones) < 1e-6);
        rt_free(whole.grads);
        rt_free(halves.grads);
        rt_free(ones.grads);
        rt_source_close(s);
    }
    rt_model_close(teacher);
    rt_model_close(student);
}

static void a_student_equal_to_its_teacher_has_nothing_to_learn(void **state)
{
    (void)state;
    rt_model *teacher = toy_teacher(), *same = toy_teacher();
    for (int hidden = 0; hidden < 2; hidden++) {
        rt_source *s = toy_source(hidden ? RT_SOURCE_HIDDEN : RT_SOURCE_DENSE, teacher);
        static const rt_loss_kind kinds[] = {RT_LOSS_FORWARD_KL, RT_LOSS_REVERSE_KL, RT_LOSS_JSD, RT_LOSS_TVD};
        for (size_t i = 0; i < 4; i++) {
            rt_train_loss l = loss_of(kinds[i], 1);
            made a = run(same, s, &l, 1, 96, 96);
            assert_true(fabs(a.r.loss) < 1e-6);
            if (kinds[i] != RT_LOSS_TVD) { /* its sign function jumps at equality */
                assert_true(norm_of(&a) < 1e-5);
                assert_true(a.r.kd_norm < 1e-4 * a.r.ce_norm);
            }
            rt_free(a.grads);
        }
        rt_source_close(s);
    }
    rt_model_close(teacher);
    rt_model_close(same);
}

static void cached_states_and_the_online_teacher_agree(void **state)
{
    (void)state;
    rt_model *teacher = toy_teacher(), *student = toy_student();
    rt_source *dense = toy_source(RT_SOURCE_DENSE, teacher), *hidden = toy_source(RT_SOURCE_HIDDEN, teacher);
    rt_source *sample = toy_source(RT_SOURCE_SAMPLE, teacher);
    made a = run(student, dense, &fkl, 1, 240, 96), b = run(student, hidden, &fkl, 1, 240, 96);
    made c = run(student, sample, &fkl, 1, 240, 96);
    assert_true(a.r.kl > 0.1);
    assert_true(fabs(a.r.kl - b.r.kl) < 1e-4 * a.r.kl);
    assert_true(relative_difference(&a, &b) < 1e-4);
    /* the draws' noise in the value: variance of log p - log q over 50 draws and all rows */
    assert_true(fabs(a.r.kl - c.r.kl) < 4 * 2.0 / sqrt(50.0 * (double)c.r.rows));
    rt_free(a.grads);
    rt_free(b.grads);
    rt_free(c.grads);
    rt_source_close(dense);
    rt_source_close(hidden);
    rt_source_close(sample);
    rt_model_close(teacher);
    rt_model_close(student);
}

static void a_mixture_is_the_weighted_sum_of_its_terms(void **state)
{
    (void)state;
    rt_model *teacher = toy_teacher(), *student = toy_student();
    rt_source *s = toy_source(RT_SOURCE_TOPK, teacher);
    rt_train_loss both[2] = {loss_of(RT_LOSS_FORWARD_KL, 0.7), loss_of(RT_LOSS_CE, 0.3)};
    made a = run(student, s, both, 2, 96, 96), k = run(student, s, &fkl, 1, 96, 96),
         c = run(student, s, &ce, 1, 96, 96);
    for (int64_t i = 0; i < k.n; i++) {
        k.grads[i] = 0.7f * k.grads[i] + 0.3f * c.grads[i];
    }
    assert_true(relative_difference(&a, &k) < 1e-5);
    assert_true(fabs(a.r.loss - (0.7 * k.r.loss + 0.3 * c.r.loss)) < 1e-6);
    assert_true(fabs(a.r.kl - k.r.kl) < 1e-6);
    assert_true(fabs(a.r.ce - c.r.loss) < 1e-5);
    rt_free(a.grads);
    rt_free(k.grads);
    rt_free(c.grads);
    rt_source_close(s);
    rt_model_close(teacher);
    rt_model_close(student);
}

/* A term whose weight moves is that term at the weight of the step. */
static void a_moving_weight_is_taken_at_its_step(void **state)
{
    (void)state;
    rt_err err;
    rt_step *step;
    rt_source_batch b;
    rt_source_cursor cursor = {0};
    rt_step_report r;
    rt_model *teacher = toy_teacher(), *student = toy_student();
    rt_source *s = toy_source(RT_SOURCE_TOPK, teacher);
    const size_t n = (size_t)student->n_elements;
    rt_train_loss moving[2] = {fkl, loss_of(RT_LOSS_CE, 1)}, still[2] = {fkl, loss_of(RT_LOSS_CE, 0.25)};
    moving[1].over = 4;
    made want = run(student, s, still, 2, 96, 96), start = run(student, s, moving, 2, 96, 96);
    rt_step_options o = {.losses = {moving[0], moving[1]}, .n_losses = 2, .batch_tokens = 96, .micro_tokens = 96};
    float *grads = rt_calloc(n, sizeof *grads);
    assert_ok(rt_step_new(&step, student, &s->info, &o, &err));
    assert_ok(rt_source_next(s, &cursor, 96, &b, &err));
    rt_step_weigh(step, 3);
    assert_ok(rt_step_run(step, &b, grads, &r, &err));
    assert_memory_equal(grads, want.grads, n * sizeof *grads);
    assert_memory_not_equal(grads, start.grads, n * sizeof *grads);
    assert_true(r.loss == want.r.loss);
    rt_step_free(step);
    rt_free(grads);
    rt_free(want.grads);
    rt_free(start.grads);
    rt_source_close(s);
    rt_model_close(teacher);
    rt_model_close(student);
}

static void positions_without_target_leave_the_denominator(void **state)
{
    (void)state;
    rt_model *teacher = toy_teacher(), *student = toy_student();
    rt_source *s = toy_source(RT_SOURCE_SAMPLE, teacher);
    made all = run(student, s, &fkl, 1, 96, 96);
    s->missing_every = 5;
    made some = run(student, s, &fkl, 1, 96, 96);
    made twin = run(student, s, &ce, 1, 96, 96); /* labels are all there */
    assert_true(some.r.missing > 5);
    assert_int_equal(some.r.rows + some.r.missing, all.r.rows);
    assert_true(fabs(some.r.loss - some.r.loss_sum / (double)some.r.rows) < 1e-12);
    assert_int_equal(twin.r.missing, 0);
    rt_free(all.grads);
    rt_free(some.grads);
    rt_free(twin.grads);
    rt_source_close(s);
    rt_model_close(teacher);
    rt_model_close(student);
}

static void bits_do_not_depend_on_threads(void **state)
{
    (void)state;
    rt_model *teacher = toy_teacher(), *student = toy_student();
    rt_source *s = toy_source(RT_SOURCE_SAMPLE, teacher);
    made at[3];
    for (int t = 0; t < 3; t++) {
        rt_team_set_threads(t + 1);
        at[t] = run(student, s, &fkl, 1, 96, 48);
        assert_memory_equal(&at[t].r, &at[0].r, sizeof at[0].r);
        assert_memory_equal(at[t].grads, at[0].grads, (size_t)at[0].n * sizeof(float));
    }
    for (int t = 0; t < 3; t++) {
        rt_free(at[t].grads);
    }
    rt_source_close(s);
    rt_model_close(teacher);
    rt_model_close(student);
}

static void memory_is_predicted(void **state)
{
    (void)state;
    rt_err err;
    rt_step *step;
    rt_model *teacher = toy_teacher(), *student = toy_student();
    rt_source *s = toy_source(RT_SOURCE_DENSE, teacher);
    rt_step_options o = {.losses = {fkl}, .n_losses = 1, .batch_tokens = 96, .micro_tokens = 48, .teacher = teacher};
    size_t before = rt_mem_get_stats().live_bytes;
    for (int i = 0; i < 2; i++) {
        o.recompute = i == 1;
        size_t predicted = rt_step_bytes(student, &s->info, &o);
        assert_ok(rt_step_new(&step, student, &s->info, &o, &err));
        size_t took = rt_mem_get_stats().live_bytes - before;
        assert_true((double)took < 1.02 * (double)predicted + 65536);
        assert_true((double)took > 0.98 * (double)predicted - 65536);
        rt_step_free(step);
        assert_int_equal(rt_mem_get_stats().live_bytes, before);
    }
    rt_source_close(s);
    rt_model_close(teacher);
    rt_model_close(student);
}

/* Forward, gradient by input and by weight of every matrix, each once; the head only where there is a target. */
static void a_step_multiplies_what_its_formula_says(void **state)
{
    (void)state;
    rt_model *teacher = toy_teacher(), *student = toy_student();
    rt_source *s = toy_source(RT_SOURCE_TOPK, teacher);
    const rt_train_loss losses[] = {fkl};
    const double before = rt_gemm_flops();
    made m = run(student, s, losses, 1, 96, 96);
    const double head = 6.0 * (double)student->output->n, all = 3.0 * rt_model_flops_per_token(student);
    const double expected = (all - head) * (double)m.r.tokens + head * (double)m.r.rows;
    assert_true(fabs(rt_gemm_flops() - before - expected) <= 1e-6 * expected);
    rt_free(m.grads);
    rt_source_close(s);
    rt_model_close(teacher);
    rt_model_close(student);
}

static void what_cannot_be_computed_is_refused(void **state)
{
    (void)state;
    rt_err err;
    rt_step *step;
    rt_model *m = toy_model(true);
    rt_source_info info = {.kind = RT_SOURCE_LABELS, .n_vocab = m->hp.n_vocab, .sequence = 24, .temperature = 1};
    rt_step_options o = {.losses = {fkl}, .n_losses = 1, .batch_tokens = 96, .micro_tokens = 48};
    assert_int_equal(rt_step_new(&step, m, &info, &o, &err), RT_USAGE);
    assert_says(err.msg, "labels only");
    info.kind = RT_SOURCE_HIDDEN;
    assert_int_equal(rt_step_new(&step, m, &info, &o, &err), RT_USAGE);
    assert_says(err.msg, "teacher");
    info.kind = RT_SOURCE_SAMPLE;
    info.n_vocab++;
    assert_int_equal(rt_step_new(&step, m, &info, &o, &err), RT_INPUT);
    assert_says(err.msg, "332");
    info.n_vocab--;
    o.losses[0] = loss_of(RT_LOSS_REVERSE_KL, 1);
    assert_int_not_equal(rt_step_new(&step, m, &info, &o, &err), RT_OK);
    o.losses[0] = loss_of(RT_LOSS_FORWARD_KL, 0);
    assert_int_equal(rt_step_new(&step, m, &info, &o, &err), RT_USAGE);
    rt_model_close(m);
}

static void sequences_longer_than_a_context_are_refused(void **state)
{
    (void)state;
    rt_err err;
    rt_step *step;
    rt_model *m = toy_model(true), *teacher = toy_teacher();
    rt_source_info info = {
        .kind = RT_SOURCE_SAMPLE, .n_vocab = m->hp.n_vocab, .d_model = m->hp.d_model, .temperature = 1};
    rt_step_options o = {.losses = {fkl}, .n_losses = 1, .batch_tokens = 96, .micro_tokens = 48, .teacher = teacher};
    info.sequence = (int)m->rope_rows + 1;
    assert_int_equal(rt_step_new(&step, m, &info, &o, &err), RT_INPUT);
    assert_says(err.msg, "sequences of 257 tokens");
    assert_says(err.msg, "student's context is 256");
    info.kind = RT_SOURCE_DENSE;
    info.sequence = 48;
    teacher->rope_rows = 47;
    assert_int_equal(rt_step_new(&step, m, &info, &o, &err), RT_INPUT);
    assert_says(err.msg, "teacher's context is 47");
    info.kind = RT_SOURCE_HIDDEN; /* the teacher is its head */
    assert_ok(rt_step_new(&step, m, &info, &o, &err));
    rt_step_free(step);
    rt_model_close(teacher);
    rt_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cross_entropy_equals_the_reference),
        cmocka_unit_test(micro_batches_do_not_change_the_gradient),
        cmocka_unit_test(a_student_equal_to_its_teacher_has_nothing_to_learn),
        cmocka_unit_test(cached_states_and_the_online_teacher_agree),
        cmocka_unit_test(a_mixture_is_the_weighted_sum_of_its_terms),
        cmocka_unit_test(a_moving_weight_is_taken_at_its_step),
        cmocka_unit_test(positions_without_target_leave_the_denominator),
        cmocka_unit_test(bits_do_not_depend_on_threads),
        cmocka_unit_test(memory_is_predicted),
        cmocka_unit_test(a_step_multiplies_what_its_formula_says),
        cmocka_unit_test(what_cannot_be_computed_is_refused),
        cmocka_unit_test(sequences_longer_than_a_context_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
