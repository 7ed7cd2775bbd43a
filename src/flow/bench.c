/* The parts in the order of a run: the teacher speaks into a cache and writes, a student takes steps. */
#include "flow/bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "flow/bench_parts.h"

enum { SEQUENCE = 512 };

bool rt_bench_time_is_up(const rt_bench_work *b, int counted, double until)
{
    return counted >= b->rounds || (counted > 0 && b->job->quick && rt_now() - b->t0 > until);
}

void rt_bench_remove(const char *dir)
{
    char **names;
    size_t n;
    if (!rt_path_exists(dir) || rt_dir_names(dir, &names, &n, NULL) != RT_OK) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        char *path = rt_path_join(dir, names[i]);
        if (path != NULL) {
            (void)!rt_path_remove(path, NULL);
        }
        rt_free(path);
    }
    rt_dir_names_free(names, n);
    (void)rmdir(dir);
}

/* --- bare loops ------------------------------------------------------------------------------------------------- */

typedef struct bare_job {
    rt_dtype type;
    double done[RT_MAX_THREADS];
} bare_job;

static void bare_task(void *ud, int64_t task, int thread)
{
    (void)thread;
    enum { ROUNDS = 2000 }; /* some tens of milliseconds */
    bare_job *j = ud;
    j->done[task] = rt_kernels_get()->bare(j->type, ROUNDS);
}

static double bare_rate(rt_dtype type)
{
    bare_job j = {.type = type};
    const int n = rt_team_threads();
    const double t0 = rt_now();
    rt_team_for(n, bare_task, &j);
    const double seconds = rt_now() - t0;
    double done = 0;
    for (int i = 0; i < n; i++) {
        done += j.done[i];
    }
    return done / seconds;
}

void rt_bench_sample_bare(rt_bench_work *b)
{
    if (b->n_bare < RT_BENCH_SAMPLES) {
        b->bare[0][b->n_bare] = bare_rate(RT_F32);
        b->bare[1][b->n_bare] = rt_cpu_get()->fast_bf16 ? bare_rate(RT_BF16) : 0;
        b->n_bare++;
    }
}

static int by_value(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double rt_bench_median(double *x, int n)
{
    qsort(x, (size_t)n, sizeof *x, by_value);
    return n == 0 ? 0 : n % 2 ? x[n / 2] : (x[n / 2 - 1] + x[n / 2]) / 2;
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

static rt_status write_text(const rt_bench_work *b, rt_err *err)
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

/* --- all -------------------------------------------------------------------------------------------------------- */

static rt_status begin(rt_bench_work *b, rt_err *err)
{
    rt_status st = RT_OK;
    const char *tmp = getenv("TMPDIR");
    b->tokens = b->job->quick ? 2048 : 4096;
    b->rounds = b->job->quick ? 2 : 5;
    b->sequence = b->job->teacher->rope_rows < SEQUENCE ? b->job->teacher->rope_rows : SEQUENCE;
    if (b->sequence < 2 * RT_BENCH_PROMPT) {
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
    snprintf(b->copy_path, sizeof b->copy_path, "%s/copy", b->dir);
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

static void end(rt_bench_work *b)
{
    rt_cache_close(b->cache);
    rt_packed_release(&b->packed);
    rt_corpus_release(&b->corpus);
    if (b->dir[0] == '\0') {
        return;
    }
    rt_bench_remove(b->cache_path);
    rt_bench_remove(b->dir);
}

static rt_bench_bare summary(double *x, int n)
{
    const double median = rt_bench_median(x, n);
    return n > 0 ? (rt_bench_bare){.least = x[0], .median = median, .most = x[n - 1]} : (rt_bench_bare){0};
}

rt_status rt_bench_run(const rt_bench_job *job, rt_bench *out, rt_err *err)
{
    rt_status st = RT_OK;
    rt_bench_work b = {.job = job, .out = out, .t0 = rt_now()};
    *out = (rt_bench){0};
    for (int i = 0; i < RT_BENCH_LENGTHS; i++) {
        if ((job->lengths & 1u << i) != 0 && rt_bench_lengths[i] > job->teacher->rope_rows) {
            RT_FAIL_OUT(err, RT_USAGE, 0, "sequences of %d are longer than the model's context, %lld",
                        rt_bench_lengths[i], (long long)job->teacher->rope_rows);
        }
    }
    RT_TRY(begin(&b, err));
    for (int i = 0; i < 3; i++) {
        rt_bench_sample_bare(&b);
    }
    if (job->permit != NULL && (job->parts & (RT_BENCH_TEACHER | RT_BENCH_IO | RT_BENCH_STEP)) != 0) {
        rt_log(RT_LOG_INFO, "bench: teacher");
        RT_TRY(rt_bench_teacher(&b, err));
    }
    if ((job->parts & RT_BENCH_IO) != 0) {
        rt_log(RT_LOG_INFO, "bench: cache and tokenizer");
        RT_TRY(rt_bench_io(&b, err));
    }
    if ((job->parts & RT_BENCH_DECODE) != 0) {
        rt_log(RT_LOG_INFO, "bench: writing");
        RT_TRY(rt_bench_decoding(&b, err));
    }
    if ((job->parts & RT_BENCH_ANSWERS) != 0) {
        rt_log(RT_LOG_INFO, "bench: answers to prompts that begin the same");
        RT_TRY(rt_bench_answering(&b, err));
    }
    if ((job->parts & (RT_BENCH_STEP | RT_BENCH_LENGTH)) != 0) {
        rt_log(RT_LOG_INFO, "bench: student");
        RT_TRY(rt_bench_training(&b, err));
    }
    out->peak_bytes = (size_t)rt_rss_peak();
    out->bare_f32 = summary(b.bare[0], b.n_bare);
    out->bare_bf16 = rt_cpu_get()->fast_bf16 ? summary(b.bare[1], b.n_bare) : (rt_bench_bare){0};
    out->seconds = rt_now() - b.t0;
out:
    end(&b);
    return st;
}
