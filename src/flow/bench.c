/* The parts in the order of a run: the teacher speaks into a cache, a student takes steps from it, the teacher writes.
 */
#include "flow/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "flow/bench_gemm.h"
#include "infer/infer.h"
#include "teacher/collect.h"
#include "train/optim.h"
#include "train/step.h"

const int rt_bench_batches[RT_BENCH_DECODES] = {1, 8, 32};

enum { SEQUENCE = 512, PROMPT = 16 };
/* Seconds after the start when a quick measurement goes on to the next part. */
enum { TEACHER_UNTIL = 15, STEPS_UNTIL = 40 };

typedef struct bench {
    const rt_bench_job *job;
    rt_bench *out;
    char dir[128], text_path[160], cache_path[160], ledger_path[160];
    rt_corpus corpus;
    rt_packed packed;
    rt_cache *cache; /* NULL: nothing was permitted */
    int64_t tokens;  /* of text, a batch of the teacher and a step of the student */
    int64_t sequence;
    int rounds; /* counted ones, at most */
    double t0;
} bench;

/* A round has been counted and this part's share of the time is over. */
static bool time_is_up(const bench *b, int counted, double until)
{
    return counted >= b->rounds || (counted > 0 && b->job->quick && rt_now() - b->t0 > until);
}

/* --- text ------------------------------------------------------------------------------------------------------- */

/* English-like enough for the teacher's entropy, and so the cache's size, to be near that of plain prose. */
static void add_sentence(rt_str *s, rt_rng *rng)
{
    static const char *const who[] = {"The old captain",    "A tired student",   "My younger sister",   "The doctor",
                                      "An honest merchant", "The whole village", "Nobody in the house", "The teacher",
                                      "A small black dog",  "The river"};
    static const char *const did[] = {
        "walked slowly towards", "had never seen", "quietly remembered",      "was afraid of",
        "carried the letter to", "could not find", "told a long story about", "waited for",
        "turned away from",      "wanted to buy"};
    static const char *const what[] = {
        "the frozen lake",           "the last train to the city", "an empty room above the shop",
        "the king of that country",  "her father's garden",        "the new machine",
        "the end of the war",        "a box of coloured glass",    "the road between the mountains",
        "the people who lived there"};
    static const char *const end[] = {".",
                                      " before the winter came.",
                                      ", as everyone expected.",
                                      " and said nothing more.",
                                      " in the morning.",
                                      ", but it was already too late.",
                                      " without knowing why.",
                                      " for the first time in years."};
    rt_str_printf(s, "%s %s %s%s ", who[rt_rng_below(rng, 10)], did[rt_rng_below(rng, 10)], what[rt_rng_below(rng, 10)],
                  end[rt_rng_below(rng, 8)]);
}

static rt_status write_text(const bench *b, rt_err *err)
{
    rt_str s = {0};
    rt_rng rng = rt_rng_init(1, "bench text", 0);
    for (int64_t documents = 0; documents < b->tokens / b->sequence; documents++) {
        rt_str_puts(&s, "{\"origin\": \"made up for measuring\", \"text\": \"");
        for (int i = 0; i < 64; i++) { /* more than SEQUENCE tokens in any vocabulary */
            add_sentence(&s, &rng);
        }
        rt_str_puts(&s, "\"}\n");
    }
    const rt_status st =
        s.failed ? rt_fail(err, RT_MEMORY, 0, "out of memory") : rt_file_write(b->text_path, rt_str_cstr(&s), s.n, err);
    rt_str_release(&s);
    return st;
}

/* --- teacher ---------------------------------------------------------------------------------------------------- */

static rt_status remove_names(const char *dir, rt_err *err)
{
    char **names;
    size_t n;
    rt_status st = rt_dir_names(dir, &names, &n, err);
    if (st != RT_OK) {
        return st;
    }
    for (size_t i = 0; i < n && st == RT_OK; i++) {
        char *path = rt_path_join(dir, names[i]);
        st = path != NULL ? rt_path_remove(path, err) : rt_fail(err, RT_MEMORY, 0, "out of memory");
        rt_free(path);
    }
    rt_dir_names_free(names, n);
    return st;
}

/* A cache and its ledger made anew each round: what `collect` does. */
static rt_status measure_teacher(bench *b, rt_err *err)
{
    rt_status st = RT_OK;
    rt_collect_options o = rt_collect_default();
    rt_collect_report r = {0};
    o.batch_tokens = b->tokens;
    for (int i = 0; !time_is_up(b, i - 1, TEACHER_UNTIL); i++) { /* the first makes primitives and touches memory */
        if (rt_path_exists(b->cache_path)) {
            RT_TRY(remove_names(b->cache_path, err));
        }
        RT_TRY(rt_collect(&(rt_collect_job){.teacher = b->job->teacher,
                                            .tokenizer = b->job->tokenizer,
                                            .corpus = &b->corpus,
                                            .packed = &b->packed,
                                            .permit = b->job->permit,
                                            .dir = b->cache_path,
                                            .ledger = b->ledger_path,
                                            .options = o},
                          &r, err));
        if (i > 0 && r.tokens_per_s > b->out->teacher_tokens_per_s) {
            b->out->teacher_tokens_per_s = r.tokens_per_s;
        }
    }
    b->out->cache_bytes_per_token = r.bytes_per_token;
    b->out->draws = r.draws;
    RT_TRY(rt_cache_open(&b->cache, b->cache_path, err));
out:
    return st;
}

/* --- student ---------------------------------------------------------------------------------------------------- */

static rt_status open_source(const bench *b, rt_source **out, rt_err *err)
{
    const rt_source_options o = {.seed = 1, .max_batch_tokens = b->tokens, .n_vocab = b->job->teacher->hp.n_vocab};
    return b->cache != NULL ? rt_source_from_cache(out, b->cache, &o, err)
                            : rt_source_from_corpus(out, &b->packed, RT_SOURCE_LABELS, NULL, NULL, &o, err);
}

/* Steps and the bare products by turns, so that both see the machine in the same mood; the faster of each counts. */
static rt_status time_steps(bench *b, rt_step *step, rt_source *source, rt_optim *optim, rt_gemm_bench *gemm,
                            rt_err *err)
{
    rt_status st = RT_OK;
    rt_source_cursor cursor = {0};
    rt_source_batch batch;
    rt_step_report r;
    rt_bench *out = b->out;
    for (int i = 0; !time_is_up(b, i - 1, STEPS_UNTIL); i++) {
        RT_TRY(rt_source_next(source, &cursor, b->tokens, &batch, err));
        const double t0 = rt_now();
        RT_TRY(rt_step_run(step, &batch, optim->grads, &r, err));
        rt_optim_update(optim, 1e-5, rt_optim_norm(optim));
        const double step_seconds = rt_now() - t0;
        const double gemm_seconds = gemm != NULL ? rt_gemm_bench_run(gemm, r.tokens, r.rows) : 0;
        if (i == 0) {
            continue;
        }
        out->step_tokens = r.tokens;
        out->step_seconds = i == 1 || step_seconds < out->step_seconds ? step_seconds : out->step_seconds;
        out->gemm_seconds = i == 1 || gemm_seconds < out->gemm_seconds ? gemm_seconds : out->gemm_seconds;
    }
    out->step_tokens_per_s = (double)out->step_tokens / out->step_seconds;
    out->step_over_gemm = out->gemm_seconds > 0 ? out->step_seconds / out->gemm_seconds : 0;
out:
    return st;
}

static rt_status measure_step(bench *b, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_model *teacher = b->job->teacher;
    rt_model *student = NULL;
    rt_source *source = NULL;
    rt_step *step = NULL;
    rt_gemm_bench *gemm = NULL;
    rt_optim optim = {0};
    int keep[RT_MAX_LAYERS];
    const int layers = b->out->student_layers = (int)(teacher->hp.n_layer + 1) / 2;
    const rt_optim_options optim_options = rt_optim_default();
    const rt_precision precision = teacher->compute == RT_BF16 ? RT_PRECISION_BF16 : RT_PRECISION_F32;
    const rt_loss_kind kind = b->cache != NULL ? RT_LOSS_FORWARD_KL : RT_LOSS_CE;
    const rt_step_options options = {.losses[0] = {.loss = {.kind = kind, .temperature = 1.0}, .weight = 1.0},
                                     .n_losses = 1,
                                     .batch_tokens = b->tokens,
                                     .micro_tokens = b->tokens};
    for (int i = 0; i < layers; i++) {
        keep[i] = i;
    }
    RT_TRY(rt_model_cut(&student, teacher, keep, layers, &(rt_model_options){.precision = precision, .trainable = true},
                        err));
    RT_TRY(open_source(b, &source, err));
    RT_TRY(rt_step_new(&step, student, rt_source_get_info(source), &options, err));
    RT_TRY(rt_optim_init(&optim, student, &optim_options, err));
    st = rt_gemm_bench_new(&gemm, student, b->tokens, err);
    if (st != RT_OK && st != RT_UNSUPPORTED) {
        goto out;
    }
    RT_TRY(time_steps(b, step, source, &optim, gemm, err));
out:
    rt_gemm_bench_free(gemm);
    rt_optim_release(&optim);
    rt_step_free(step);
    rt_source_close(source);
    rt_model_close(student);
    return st;
}

/* --- writing ---------------------------------------------------------------------------------------------------- */

typedef struct stopwatch {
    double begin, end; /* after the last sequence's second token; after the last token */
} stopwatch;

static bool note_time(void *ud, size_t index, const rt_generated *g)
{
    (void)index;
    stopwatch *w = ud;
    w->end = rt_now();
    if (g->n <= 2) {
        w->begin = w->end;
    }
    return true;
}

static rt_status measure_decode(bench *b, int which, rt_err *err)
{
    rt_status st = RT_OK;
    rt_generation g = {0};
    stopwatch w = {0};
    const int batch = rt_bench_batches[which];
    const int64_t wanted = b->job->quick ? 8 : 34, room = b->sequence - PROMPT, n_new = wanted < room ? wanted : room;
    rt_prompt *prompts = NULL;
    const rt_generate_options o = {
        .max_new = n_new, .ignore_end = true, .max_batch = batch, .on_token = note_time, .ud = &w};
    RT_TRY(RT_NEW(&prompts, (size_t)batch, "prompts", err));
    for (int i = 0; i < batch; i++) {
        prompts[i] = (rt_prompt){.ids = b->corpus.ids.p + i * PROMPT, .n = PROMPT};
    }
    RT_TRY(rt_generate(&g, b->job->teacher, b->job->tokenizer, prompts, (size_t)batch, &o, err));
    b->out->decode_tokens_per_s[which] = (double)(batch * (n_new - 2)) / (w.end - w.begin);
out:
    rt_generation_release(&g);
    rt_free(prompts);
    return st;
}

/* --- all -------------------------------------------------------------------------------------------------------- */

static rt_status begin(bench *b, rt_err *err)
{
    rt_status st = RT_OK;
    const char *tmp = getenv("TMPDIR");
    b->tokens = b->job->quick ? 2048 : 4096;
    b->rounds = b->job->quick ? 2 : 5;
    b->sequence = b->job->teacher->rope_rows < SEQUENCE ? b->job->teacher->rope_rows : SEQUENCE;
    if (b->sequence < 2 * PROMPT) {
        RT_FAIL_OUT(err, RT_UNSUPPORTED, 0, "a context of %lld tokens is too short to be measured",
                    (long long)b->sequence);
    }
    snprintf(b->dir, sizeof b->dir, "%.64s/retort-bench-XXXXXX", tmp != NULL && *tmp != '\0' ? tmp : "/tmp");
    if (mkdtemp(b->dir) == NULL) {
        b->dir[0] = '\0';
        RT_FAIL_OUT(err, RT_IO, 0, "no temporary directory can be made in '%.64s'; set TMPDIR",
                    tmp != NULL ? tmp : "/tmp");
    }
    snprintf(b->text_path, sizeof b->text_path, "%s/text.jsonl", b->dir);
    snprintf(b->cache_path, sizeof b->cache_path, "%s/cache", b->dir);
    snprintf(b->ledger_path, sizeof b->ledger_path, "%s/cache/ledger.jsonl", b->dir);
    const char *const paths[] = {b->text_path};
    RT_TRY(write_text(b, err));
    RT_TRY(rt_corpus_load(&b->corpus, b->job->tokenizer, &(rt_corpus_options){.paths = paths, .n_paths = 1}, err));
    for (size_t i = 0; i < b->corpus.n_docs; i++) { /* full sequences, so that each batch has the same shape */
        b->corpus.docs[i].n = b->corpus.docs[i].n < b->sequence ? b->corpus.docs[i].n : b->sequence;
    }
    RT_TRY(rt_pack(&b->packed, &b->corpus, (int)b->sequence, err));
out:
    return st;
}

static void end(bench *b)
{
    rt_cache_close(b->cache);
    rt_packed_release(&b->packed);
    rt_corpus_release(&b->corpus);
    if (b->dir[0] == '\0') {
        return;
    }
    if (rt_path_exists(b->cache_path)) {
        (void)!remove_names(b->cache_path, NULL);
        (void)rmdir(b->cache_path);
    }
    (void)!remove_names(b->dir, NULL);
    (void)rmdir(b->dir); /* a rest in /tmp is no reason to fail */
}

rt_status rt_bench_run(const rt_bench_job *job, rt_bench *out, rt_err *err)
{
    rt_status st = RT_OK;
    bench b = {.job = job, .out = out, .t0 = rt_now()};
    *out = (rt_bench){0};
    RT_TRY(begin(&b, err));
    if (job->permit != NULL) {
        rt_log(RT_LOG_INFO, "bench: teacher");
        RT_TRY(measure_teacher(&b, err));
    }
    rt_log(RT_LOG_INFO, "bench: student");
    RT_TRY(measure_step(&b, err));
    rt_log(RT_LOG_INFO, "bench: writing");
    for (int i = 0; i < RT_BENCH_DECODES; i++) {
        RT_TRY(measure_decode(&b, i, err));
    }
    out->peak_bytes = (size_t)rt_rss_peak();
    out->seconds = rt_now() - b.t0;
out:
    end(&b);
    return st;
}
