/* A student that learns on text of its own: what it sees, what counts, what is recorded, and when it is stopped. */
#include <signal.h>

#include "unit/train/own_text_world.h"

/* `key` of the first line of this event (NULL: of a step) of metrics.jsonl. */
static double first_of(const world *w, const char *event, const char *key)
{
    rt_err err;
    rt_jsonl r;
    json_t *o;
    double value = NAN;
    char *path = rt_path_join(w->dir, "metrics.jsonl");
    assert_ok(rt_jsonl_open(&r, path, &err));
    for (;;) {
        assert_ok(rt_jsonl_next(&r, &o, &err));
        if (o == NULL) {
            break;
        }
        const char *is = rt_json_str(o, "event", NULL);
        if (isnan(value) && (event != NULL ? is && strcmp(is, event) == 0 : !is)) {
            value = rt_json_f64(o, key, NAN);
        }
        json_decref(o);
    }
    rt_jsonl_close(&r);
    rt_free(path);
    return value;
}

/* --- what is seen ------------------------------------------------------------------------------------------------ */

/* Each token's are compared in test_generate (logprobs_equal_a_fresh_scoring); here is the mean, as a run logs both. */
static void the_sampler_and_the_trainer_give_the_same_log_probabilities(void **state)
{
    (void)state;
    static const struct {
        rt_model *(*student)(void);
        double bound;
    } cases[] = {{toy_student, 1e-4}, {bf16_student, 0.02}, {adapted_student, 1e-4}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rt_err err;
        rt_train_result r;
        world w;
        const rt_on_policy_options own = own_options(1, 1);
        open_in(&w, rt_test_scratch(), cases[i].student(), &own);
        w.o.steps = 1;
        assert_ok(train(&w, &r, &err));
        const double sampler = first_of(&w, "written", "nll"), trainer = first_of(&w, NULL, "ce");
        assert_true(fabs(sampler - trainer) <= cases[i].bound);
        assert_int_equal(first_of(&w, "written", "tokens"), first_of(&w, NULL, "rows"));
        close_world(&w);
    }
}

static void only_what_is_written_counts(void **state)
{
    (void)state;
    rt_err err;
    rt_on_policy_report r;
    world w;
    open_world(&w, 0.5, 1);
    const rt_packed *text = rt_on_policy_text(w.own);
    assert_ok(rt_on_policy_write(w.own, 0, &r, &err));
    assert_true(r.texts >= (BATCH / 2) / (PROMPT + NEW)); /* some documents are shorter than a prompt */
    assert_int_equal(r.tokens, r.texts * NEW);
    assert_int_equal(text->n_sequences, r.texts);
    assert_true(text->n_tokens <= BATCH / 2);
    for (size_t i = 0; i < text->n_segments; i++) {
        const rt_segment *s = &text->segments[i];
        for (int64_t k = 0; k < s->n; k++) {
            assert_int_equal(text->loss_mask[s->start + k], k >= s->n - 1 - NEW && k < s->n - 1);
        }
    }
    close_world(&w);
}

static void each_step_has_its_share_of_own_text(void **state)
{
    (void)state;
    rt_err err;
    rt_source_batch b;
    rt_on_policy_report r;
    world w;
    open_world(&w, 0.5, 1);
    rt_source_cursor c = {0};
    for (int step = 0; step < 3; step++) {
        assert_ok(rt_on_policy_write(w.own, step, &r, &err));
        assert_ok(rt_source_next(w.source, &c, BATCH - rt_on_policy_share(w.own), &b, &err));
        assert_int_equal(b.n_more, r.tokens);
        assert_in_range(b.net.n_rows, BATCH - SEQUENCE, BATCH);
        assert_true(b.net.n_rows - rt_on_policy_text(w.own)->n_tokens <= BATCH / 2);
    }
    close_world(&w);
}

static void a_text_is_used_until_it_is_refreshed(void **state)
{
    (void)state;
    rt_err err;
    rt_on_policy_report r;
    world w;
    open_world(&w, 0.5, 3);
    int32_t before[BATCH];
    for (int step = 0; step < 7; step++) {
        const rt_packed *text = rt_on_policy_text(w.own);
        assert_ok(rt_on_policy_write(w.own, step, &r, &err));
        assert_int_equal(r.written, step % 3 == 0);
        const bool same = step > 0 && memcmp(before, text->ids, (size_t)text->n_tokens * sizeof *before) == 0;
        assert_int_equal(same, step % 3 != 0);
        memcpy(before, text->ids, (size_t)text->n_tokens * sizeof *before);
    }
    close_world(&w);
}

static void a_conversation_is_continued_where_its_answer_begins(void **state)
{
    (void)state;
    rt_err err;
    rt_on_policy *own;
    rt_on_policy_report r;
    rt_corpus c;
    const rt_on_policy_options o = own_options(1, 1);
    rt_model *m = toy_student();
    toy_corpus(&c, 1, (int)m->hp.n_vocab, true, 21);
    c.docs[0].n = 30; /* the generator masks the first third of what it made: mark ten tokens */
    for (int k = 0; k < 30; k++) {
        c.mask[k] = k >= 10;
    }
    assert_ok(rt_on_policy_new(&own, m, NULL, &c, SEQUENCE, BATCH, &o, &err));
    assert_ok(rt_on_policy_write(own, 0, &r, &err));
    assert_int_equal(rt_on_policy_text(own)->segments[0].n, 10 + NEW);
    assert_memory_equal(rt_on_policy_text(own)->ids, c.ids.p, 10 * sizeof *c.ids.p);
    rt_on_policy_free(own);
    rt_corpus_release(&c);
    rt_model_close(m);
}

/* --- memory and record ------------------------------------------------------------------------------------------- */

static uint64_t allocations_of(int64_t steps)
{
    rt_err err;
    rt_train_result r;
    world w;
    open_world(&w, 0.5, 2);
    w.o.steps = steps;
    w.o.checkpoint_steps = 0;
    w.o.scored = NULL; /* entries are made with checkpoints, one a document */
    const uint64_t before = rt_mem_get_stats().n_alloc;
    assert_ok(train(&w, &r, &err));
    const uint64_t n = rt_mem_get_stats().n_alloc - before;
    close_world(&w);
    return n;
}

static void a_step_that_writes_allocates_nothing(void **state)
{
    (void)state;
    (void)allocations_of(4); /* what is made once a process */
    assert_int_equal(allocations_of(20), allocations_of(4));
}

static void the_prediction_holds_the_writing_student_and_the_teacher(void **state)
{
    (void)state;
    rt_err err;
    rt_train_result r;
    world w;
    open_world(&w, 0.5, 1);
    const size_t own = rt_on_policy_bytes(w.own), teacher = rt_source_get_info(w.source)->bytes;
    assert_true(own > 0 && teacher > 0);
    assert_ok(train(&w, &r, &err));
    assert_true(r.predicted_bytes > own + teacher);
    close_world(&w);
}

static void every_scored_position_is_in_the_ledger(void **state)
{
    (void)state;
    rt_err err;
    rt_train_result r;
    rt_ledger_report report;
    world w;
    open_world(&w, 0.5, 2);
    char *path = rt_path_join(w.dir, "ledger.jsonl");
    assert_ok(train(&w, &r, &err));
    assert_ok(rt_ledger_verify(&report, path, &err));
    assert_true(report.closed);
    assert_int_equal(report.mark.positions, r.counts.rows);
    rt_ledger_report_release(&report);
    rt_free(path);
    close_world(&w);
}

static void the_header_says_what_is_minimised_on_whose_text(void **state)
{
    (void)state;
    rt_err err;
    rt_train_result r;
    rt_jsonl lines;
    json_t *header;
    world w;
    open_world(&w, 0.5, 2);
    w.o.steps = 1;
    assert_ok(train(&w, &r, &err));
    char *path = rt_path_join(w.dir, "metrics.jsonl");
    assert_ok(rt_jsonl_open(&lines, path, &err));
    assert_ok(rt_jsonl_next(&lines, &header, &err));
    assert_non_null(strstr(rt_json_str(header, "formula", ""), "sum q (log q - log p)"));
    assert_non_null(strstr(rt_json_str(header, "text", ""), "0.5 of a step's tokens written by the student"));
    assert_non_null(strstr(rt_json_str(header, "text", ""), "the rest from the corpus"));
    json_decref(header);
    rt_jsonl_close(&lines);
    rt_free(path);
    close_world(&w);
}

/* --- learning, and its end --------------------------------------------------------------------------------------- */

static void nearer_after(int64_t steps, double lr, rt_model *student)
{
    rt_err err;
    rt_train_result r;
    world w;
    const rt_on_policy_options own = own_options(1, 1);
    open_in(&w, rt_test_scratch(), student, &own);
    w.o.steps = steps;
    w.o.lr = lr;
    w.o.checkpoint_steps = 0;
    assert_ok(train(&w, &r, &err));
    assert_true(r.last.kl < 0.7 * r.counts.first_loss);
    close_world(&w);
}

static void the_student_comes_nearer_on_its_own_text(void **state)
{
    (void)state;
    nearer_after(60, 2e-3, toy_student());
}

static void an_adapter_comes_nearer_on_its_own_text(void **state)
{
    (void)state;
    nearer_after(60, 1e-2, adapted_student());
}

/* Every validation is the best so far. */
static rt_status ever_better(void *ud, const rt_model *m, double *kl, double *top1, rt_err *err)
{
    double *next = ud;
    (void)m;
    (void)err;
    *kl = *next *= 0.99;
    *top1 = 0;
    return RT_OK;
}

/* A rate that blows the weights up leaves a student that says one thing only. */
static void a_collapsing_student_is_stopped_and_its_last_good_weights_are_kept(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_train_result r;
    rt_checkpoint c;
    world w;
    open_world(&w, 1, 1);
    w.o.steps = 400;
    w.o.checkpoint_steps = 1;
    w.o.lr = 0.3;
    w.o.warmup = 100; /* the first steps are small ones */
    double kl = 1;
    w.o.validate = ever_better;
    w.o.validate_ud = &kl;
    w.o.eval_every = 1;
    assert_int_equal(train(&w, &r, &err), RT_NUMERIC);
    assert_non_null(strstr(err.msg, "the student collapses on its own text"));
    assert_non_null(strstr(err.msg, "runs of four tokens stood before"));
    char *checkpoints = rt_path_join(w.dir, "checkpoints"), *newest = rt_checkpoint_newest(checkpoints);
    assert_non_null(newest);
    assert_ok(rt_checkpoint_read(newest, &c, &err));
    assert_int_equal(rt_json_i64(c.on_policy, "alarm", -1), RT_ALARM_NONE);
    assert_true(c.counts.step > 0 && c.counts.step < r.counts.step);
    assert_int_equal(r.counts.best_step, c.counts.step); /* what is not saved is no candidate */
    rt_checkpoint_release(&c);
    rt_free(newest);
    rt_free(checkpoints);
    close_world(&w);
}

/* The last of all tests: the flag stays raised. */
static void an_interrupt_while_writing_leaves_the_text_before(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_on_policy_report r;
    world w;
    open_world(&w, 0.5, 1);
    assert_ok(rt_on_policy_write(w.own, 0, &r, &err));
    json_t *before = rt_on_policy_json(w.own);
    rt_interrupt_install();
    raise(SIGTERM);
    assert_int_equal(rt_on_policy_write(w.own, 1, &r, &err), RT_CANCELLED);
    json_t *after = rt_on_policy_json(w.own);
    assert_true(json_equal(before, after));
    json_decref(before);
    json_decref(after);
    close_world(&w);
}

/* --- refusals ---------------------------------------------------------------------------------------------------- */

static void learning_its_own_words_is_refused(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_train_result r;
    world w;
    open_world(&w, 0.5, 1);
    w.o.losses[w.o.n_losses++] = rt_train_loss_of(RT_LOSS_CE, 1);
    assert_int_equal(train(&w, &r, &err), RT_USAGE);
    assert_non_null(strstr(err.msg, "its own words"));
    w.o.losses[w.o.n_losses - 1] = rt_train_state_loss_of(RT_STATE_MSE);
    w.o.steps = 1;
    assert_ok(train(&w, &r, &err));
    close_world(&w);
}

static void prompts_without_room_are_refused(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_on_policy *own = NULL;
    rt_on_policy_options o = own_options(0.5, 1);
    rt_corpus c;
    rt_model *m = toy_student();
    toy_corpus(&c, 5, (int)m->hp.n_vocab, false, 9);
    o.new_tokens = SEQUENCE;
    assert_int_equal(rt_on_policy_new(&own, m, NULL, &c, SEQUENCE, BATCH, &o, &err), RT_INPUT);
    assert_non_null(strstr(err.msg, "no prompt leaves room"));
    o = own_options(1.5, 1);
    assert_int_equal(rt_on_policy_new(&own, m, NULL, &c, SEQUENCE, BATCH, &o, &err), RT_USAGE);
    o = own_options(0.5, 0);
    assert_int_equal(rt_on_policy_new(&own, m, NULL, &c, SEQUENCE, BATCH, &o, &err), RT_USAGE);
    rt_corpus_release(&c);
    rt_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sampler_and_the_trainer_give_the_same_log_probabilities),
        cmocka_unit_test(only_what_is_written_counts),
        cmocka_unit_test(each_step_has_its_share_of_own_text),
        cmocka_unit_test(a_text_is_used_until_it_is_refreshed),
        cmocka_unit_test(a_conversation_is_continued_where_its_answer_begins),
        cmocka_unit_test(a_step_that_writes_allocates_nothing),
        cmocka_unit_test(the_prediction_holds_the_writing_student_and_the_teacher),
        cmocka_unit_test(every_scored_position_is_in_the_ledger),
        cmocka_unit_test(the_header_says_what_is_minimised_on_whose_text),
        cmocka_unit_test(the_student_comes_nearer_on_its_own_text),
        cmocka_unit_test(an_adapter_comes_nearer_on_its_own_text),
        cmocka_unit_test(a_collapsing_student_is_stopped_and_its_last_good_weights_are_kept),
        cmocka_unit_test(learning_its_own_words_is_refused),
        cmocka_unit_test(prompts_without_room_are_refused),
        cmocka_unit_test(an_interrupt_while_writing_leaves_the_text_before),
    };
    return cmocka_run_group_tests(tests, one_thread, NULL);
}
