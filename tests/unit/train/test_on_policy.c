/* A student that learns on text of its own: what it sees, what counts, what a kill leaves, and when it is stopped. Runs
 * that are killed are processes of their own (this program with arguments). */
#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "unit/teacher/teacher_fixture.h"
#include "unit/train/toy_model.h"

enum { BATCH = 128, SEQUENCE = 32, PROMPT = 4, NEW = 12, STEPS = 11 };

typedef struct world {
    rt_model *teacher, *student;
    rt_corpus corpus;
    rt_packed packed;
    rt_permit *permit;
    rt_on_policy *own;
    rt_source *source;
    rt_scored *scored;
    char *dir;
    rt_train_options o;
} world;

static rt_on_policy_options own_options(double fraction, int64_t refresh)
{
    rt_on_policy_options o = rt_on_policy_default();
    o.fraction = fraction;
    o.prompt_tokens = PROMPT;
    o.new_tokens = NEW;
    o.refresh = refresh;
    o.seed = 4;
    return o;
}

static rt_train_options run_options(const char *dir)
{
    rt_train_options o = rt_train_default();
    o.run_dir = dir;
    o.losses[0] = rt_train_loss_of(RT_LOSS_REVERSE_KL, 1);
    o.steps = STEPS;
    o.batch_tokens = BATCH;
    o.micro_tokens = 64;
    o.lr = 2e-3;
    o.checkpoint_seconds = 0;
    o.checkpoint_steps = 4;
    return o;
}

/* A student whose products round their inputs. */
static rt_model *bf16_student(void)
{
    rt_err err;
    rt_model *m;
    const rt_model_options o = {.precision = RT_PRECISION_BF16, .trainable = true};
    assert_ok(rt_model_open(&m, RT_TEST_GOLDEN "/models/llama", &o, &err));
    return m;
}

static rt_model *(*new_student)(void) = toy_student;

/* `own` NULL: a run on the corpus alone. */
static void open_in(world *w, char *dir, const rt_on_policy_options *own)
{
    rt_err err = {0};
    *w = (world){.teacher = toy_teacher(), .student = new_student(), .permit = apache_permit("toy"), .dir = dir};
    rt_source_options so = {.seed = 4, .max_batch_tokens = BATCH};
    char *ledger = rt_path_join(dir, "ledger.jsonl");
    w->o = run_options(dir);
    toy_corpus(&w->corpus, 40, (int)w->teacher->hp.n_vocab, false, 9);
    assert_ok(rt_pack(&w->packed, &w->corpus, SEQUENCE, &err));
    if (own != NULL) {
        assert_ok(rt_on_policy_new(&w->own, w->student, NULL, &w->corpus, SEQUENCE, BATCH, own, &err));
        so.more = rt_on_policy_text(w->own);
        so.more_tokens = rt_on_policy_tokens(w->own);
    }
    assert_ok(rt_source_from_corpus(&w->source, &w->packed, RT_SOURCE_DENSE, w->teacher, w->permit, &so, &err));
    assert_ok(rt_scored_open(&w->scored, ledger, w->permit, &w->corpus, &w->packed, NULL, &err));
    w->o.on_policy = w->own;
    w->o.scored = w->scored;
    rt_free(ledger);
}

static void open_world(world *w, double fraction, int64_t refresh)
{
    const rt_on_policy_options own = own_options(fraction, refresh);
    open_in(w, rt_test_scratch(), &own);
}

static void close_all(world *w)
{
    rt_scored_close(w->scored);
    rt_source_close(w->source);
    rt_on_policy_free(w->own);
    rt_packed_release(&w->packed);
    rt_corpus_release(&w->corpus);
    rt_permit_free(w->permit);
    rt_model_close(w->teacher);
    rt_model_close(w->student);
}

static void close_world(world *w)
{
    close_all(w);
    rt_test_scratch_drop(w->dir);
}

static rt_status train(world *w, rt_train_result *r, rt_err *err)
{
    return rt_train_run(w->student, w->source, w->teacher, &w->o, r, err);
}

static rt_digest weights_of(const rt_model *m)
{
    return rt_sha256_of(m->weights, (size_t)m->n_elements * sizeof(float));
}

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
    static const double bounds[] = {1e-4, 0.02};
    for (int bf16 = 0; bf16 < 2; bf16++) {
        rt_err err;
        rt_train_result r;
        world w;
        new_student = bf16 ? bf16_student : toy_student;
        open_world(&w, 1, 1);
        w.o.steps = 1;
        assert_ok(train(&w, &r, &err));
        const double sampler = first_of(&w, "written", "nll"), trainer = first_of(&w, NULL, "ce");
        assert_true(fabs(sampler - trainer) <= bounds[bf16]);
        assert_int_equal(first_of(&w, "written", "tokens"), first_of(&w, NULL, "rows"));
        close_world(&w);
    }
    new_student = toy_student;
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

/* --- bits -------------------------------------------------------------------------------------------------------- */

static rt_digest trained(const rt_on_policy_options *own, int threads)
{
    rt_err err;
    rt_train_result r;
    const int usual = rt_team_threads();
    rt_team_set_threads(threads);
    world w;
    open_in(&w, rt_test_scratch(), own);
    assert_ok(train(&w, &r, &err));
    const rt_digest d = weights_of(w.student);
    close_world(&w);
    rt_team_set_threads(usual);
    return d;
}

static void without_own_text_a_run_is_the_plain_one(void **state)
{
    (void)state;
    const rt_on_policy_options none = own_options(0, 1), half = own_options(0.5, 2);
    const rt_digest plain = trained(NULL, 1), zero = trained(&none, 1), some = trained(&half, 1);
    assert_memory_equal(&plain, &zero, sizeof plain);
    assert_memory_not_equal(&plain, &some, sizeof plain);
}

static void bits_do_not_depend_on_threads(void **state)
{
    (void)state;
    const rt_on_policy_options half = own_options(0.5, 2);
    const rt_digest one = trained(&half, 1), two = trained(&half, 2);
    assert_memory_equal(&one, &two, sizeof one);
}

static int train_as_child(char *dir, const char *threads)
{
    rt_err err = {0};
    rt_train_result r;
    rt_team_set_threads(atoi(threads));
    const rt_on_policy_options own = own_options(0.5, 3);
    world w;
    open_in(&w, dir, &own);
    rt_status st = train(&w, &r, &err);
    if (st == RT_OK) {
        char *out = rt_path_join(dir, "weights.bin");
        const rt_digest d = weights_of(w.student);
        st = rt_file_write(out, d.b, sizeof d.b, &err);
        rt_free(out);
    } else {
        fprintf(stderr, "%s\n", err.msg);
    }
    close_all(&w);
    return rt_status_exit_code(st);
}

static int run_child(const char *dir, const char *threads, const char *crash)
{
    int status;
    const pid_t pid = fork();
    if (pid == 0) {
        if (crash) {
            setenv("RETORT_CRASH_AT", crash, 1);
        }
        setenv("RETORT_LOG", "warn", 1);
        execl("/proc/self/exe", "test_on_policy", "child", dir, threads, (char *)NULL);
        _exit(127);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

typedef struct left {
    rt_digest weights;
    uint64_t positions; /* of the ledger, each once */
    uint64_t repeated;
} left;

static left left_in(const char *dir)
{
    rt_err err;
    rt_str bytes = {0};
    rt_ledger_report ledger;
    left l;
    char *path = rt_path_join(dir, "weights.bin"), *lines = rt_path_join(dir, "ledger.jsonl");
    assert_ok(rt_file_read(&bytes, path, sizeof l.weights.b, &err));
    memcpy(l.weights.b, bytes.p, sizeof l.weights.b);
    assert_ok(rt_ledger_verify(&ledger, lines, &err));
    assert_true(ledger.closed);
    assert_int_equal(ledger.unstated, 0);
    l.positions = ledger.mark.positions - ledger.repeated;
    l.repeated = ledger.repeated;
    rt_ledger_report_release(&ledger);
    rt_str_release(&bytes);
    rt_free(path);
    rt_free(lines);
    return l;
}

/* Checkpoints are at 4 and 8, text is written at 0, 3, 6, 9: both lie inside the use of a text. */
static void killed_while_a_text_is_in_use_the_run_ends_with_the_same_bits_and_ledger(void **state)
{
    (void)state;
    static const char *const crashes[] = {"train.step:6", "train.step:10", "train.before_checkpoint:2",
                                          "ledger-salts:2", "ledger-lines:3"};
    char *calm = rt_test_scratch();
    assert_int_equal(run_child(calm, "1", NULL), 0);
    const left want = left_in(calm);
    for (size_t i = 0; i < sizeof crashes / sizeof crashes[0]; i++) {
        char *dir = rt_test_scratch();
        assert_int_equal(run_child(dir, i % 2 ? "2" : "1", crashes[i]), -SIGKILL);
        assert_int_equal(run_child(dir, i % 2 ? "1" : "2", NULL), 0);
        const left got = left_in(dir);
        assert_memory_equal(&got.weights, &want.weights, sizeof want.weights);
        assert_int_equal(got.positions, want.positions);
        rt_test_scratch_drop(dir);
    }
    rt_test_scratch_drop(calm);
}

/* The ledger has what the first checkpoint would have been of. */
static void killed_before_the_first_checkpoint_the_ledger_says_what_was_scored_twice(void **state)
{
    (void)state;
    char *calm = rt_test_scratch(), *dir = rt_test_scratch();
    assert_int_equal(run_child(calm, "1", NULL), 0);
    assert_int_equal(run_child(dir, "1", "ledger-lines:1"), -SIGKILL);
    assert_int_equal(run_child(dir, "1", "ledger-lines:1"), -SIGKILL);
    assert_int_equal(run_child(dir, "1", NULL), 0);
    const left want = left_in(calm), got = left_in(dir);
    assert_memory_equal(&got.weights, &want.weights, sizeof want.weights);
    assert_int_equal(want.repeated, 0);
    assert_true(got.repeated > 0 && got.repeated % 2 == 0);
    assert_int_equal(got.positions, want.positions);
    rt_test_scratch_drop(calm);
    rt_test_scratch_drop(dir);
}

static void a_damaged_text_in_a_checkpoint_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"[[0, 1, 99999]]", "[[0, -1]]",   "[[77777, 1]]", "[[0]]", "[7]", "{}",
                                        "[[0,1],[0,1],7]", "[[-1, 1, 2]]"};
    world w;
    open_world(&w, 0.5, 1);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        rt_err err = {0};
        json_t *j = rt_on_policy_json(w.own);
        json_object_set_new(j, "texts", json_loads(texts[i], 0, NULL));
        assert_int_equal(rt_on_policy_restore(w.own, j, &err), RT_INPUT);
        json_decref(j);
    }
    close_world(&w);
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

static void the_student_comes_nearer_on_its_own_text(void **state)
{
    (void)state;
    rt_err err;
    rt_train_result r;
    world w;
    open_world(&w, 1, 1);
    w.o.steps = 60;
    w.o.checkpoint_steps = 0;
    assert_ok(train(&w, &r, &err));
    assert_true(r.last.kl < 0.7 * r.counts.first_loss);
    close_world(&w);
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

enum { TEXTS = 4, LONG = 40 };

/* Texts of n tokens that repeat with a period, ended or not. */
static rt_alarm watch(rt_collapse *c, int64_t n, int period, bool ended, char what[160])
{
    int32_t ids[TEXTS][LONG];
    rt_generated seq[TEXTS];
    for (int i = 0; i < TEXTS; i++) {
        for (int k = 0; k < LONG; k++) {
            ids[i][k] = k % period;
        }
        seq[i] = (rt_generated){.ids = ids[i], .n = n, .stop = ended ? RT_STOP_END : RT_STOP_LENGTH};
    }
    const rt_writing w = rt_writing_of(&(rt_generation){.seq = seq, .n = TEXTS});
    return rt_collapse_watch(c, &w, what);
}

static void every_way_to_collapse_has_its_alarm(void **state)
{
    (void)state;
    static const struct {
        int64_t n;
        int period;
        bool ended;
        rt_alarm at_last;
        const char *says;
    } ways[] = {
        {LONG, LONG, true, RT_ALARM_NONE, ""},
        {8, LONG, true, RT_ALARM_WARN, "80 % of the length"},
        {1, LONG, true, RT_ALARM_STOP, "100 % of the texts end with their first token"},
        {LONG, 3, true, RT_ALARM_STOP, "of the runs of four tokens stood before"},
        {LONG, LONG, false, RT_ALARM_WARN, "100 % of the texts that would have ended"},
    };
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        rt_collapse c = {0};
        char what[160];
        rt_alarm loudest = RT_ALARM_NONE;
        assert_int_equal(watch(&c, LONG, LONG, true, what), RT_ALARM_NONE);
        for (int turn = 0; turn < 30; turn++) {
            const rt_alarm now = watch(&c, ways[i].n, ways[i].period, ways[i].ended, what);
            assert_true(now >= loudest); /* a warning comes before the end */
            assert_true(now <= loudest + 1);
            loudest = now;
        }
        assert_int_equal(loudest, ways[i].at_last);
        assert_non_null(strstr(what, ways[i].says));
    }
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

static int one_thread(void **state)
{
    (void)state;
    rt_team_set_threads(1);
    rt_log_set_level(RT_LOG_ERROR);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "child") == 0) {
        return train_as_child(argv[2], argv[3]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sampler_and_the_trainer_give_the_same_log_probabilities),
        cmocka_unit_test(only_what_is_written_counts),
        cmocka_unit_test(each_step_has_its_share_of_own_text),
        cmocka_unit_test(a_text_is_used_until_it_is_refreshed),
        cmocka_unit_test(a_conversation_is_continued_where_its_answer_begins),
        cmocka_unit_test(without_own_text_a_run_is_the_plain_one),
        cmocka_unit_test(bits_do_not_depend_on_threads),
        cmocka_unit_test(killed_while_a_text_is_in_use_the_run_ends_with_the_same_bits_and_ledger),
        cmocka_unit_test(killed_before_the_first_checkpoint_the_ledger_says_what_was_scored_twice),
        cmocka_unit_test(a_damaged_text_in_a_checkpoint_is_refused),
        cmocka_unit_test(a_step_that_writes_allocates_nothing),
        cmocka_unit_test(the_prediction_holds_the_writing_student_and_the_teacher),
        cmocka_unit_test(every_scored_position_is_in_the_ledger),
        cmocka_unit_test(the_header_says_what_is_minimised_on_whose_text),
        cmocka_unit_test(the_student_comes_nearer_on_its_own_text),
        cmocka_unit_test(a_collapsing_student_is_stopped_and_its_last_good_weights_are_kept),
        cmocka_unit_test(every_way_to_collapse_has_its_alarm),
        cmocka_unit_test(learning_its_own_words_is_refused),
        cmocka_unit_test(prompts_without_room_are_refused),
        cmocka_unit_test(an_interrupt_while_writing_leaves_the_text_before),
    };
    return cmocka_run_group_tests(tests, one_thread, NULL);
}
