/* Steps of a student: from the cache beside the bare products, and at several sequence lengths. */
#include "flow/bench_parts.h"

#include <math.h>

#include "flow/bench_gemm.h"
#include "train/optim.h"
#include "train/step.h"

const int rt_bench_lengths[RT_BENCH_LENGTHS] = {512, 1024, 2048, 4096, 8192};

/* Seconds after the start when a quick measurement goes on to the next part. */
enum { STEPS_UNTIL = 42 };

static rt_status open_source(const rt_bench_work *b, rt_source **out, rt_err *err)
{
    const rt_source_options o = {.seed = 1, .max_batch_tokens = b->tokens, .n_vocab = b->job->teacher->hp.n_vocab};
    return b->cache != NULL ? rt_source_from_cache(out, b->cache, &o, err)
                            : rt_source_from_corpus(out, &b->packed, RT_SOURCE_LABELS, NULL, NULL, &o, err);
}

static rt_step_options options_for(const rt_bench_work *b, rt_loss_kind kind, int64_t tokens)
{
    return (rt_step_options){.losses[0] = {.loss = {.kind = kind, .temperature = 1.0}, .weight = 1.0},
                             .n_losses = 1,
                             .batch_tokens = tokens,
                             .recompute = b->job->recompute,
                             .micro_tokens = tokens < RT_STEP_MICRO_TOKENS ? tokens : RT_STEP_MICRO_TOKENS};
}

/* The first step ever makes primitives and touches memory: one round without `gemm` is for that.
 * Steps and the bare products by turns, so that both see the machine in the same mood; medians of both count. */
static rt_status time_steps(rt_bench_work *b, rt_step *step, rt_source *source, rt_optim *optim, rt_gemm_bench *gemm,
                            int rounds, rt_err *err)
{
    rt_status st = RT_OK;
    rt_source_cursor cursor = {0};
    rt_source_batch batch;
    rt_step_report r;
    rt_bench *out = b->out;
    double seconds[RT_BENCH_TURNS], bare[RT_BENCH_TURNS], head[RT_BENCH_TURNS], attention[RT_BENCH_TURNS];
    int n = 0;
    while (n < rounds && !rt_bench_time_is_up(b, n, STEPS_UNTIL)) {
        rt_bench_sample_bare(b);
        RT_TRY(rt_source_next(source, &cursor, b->tokens, &batch, err));
        const double t0 = rt_now();
        RT_TRY(rt_step_run(step, &batch, optim->grads, &r, err));
        rt_optim_update(optim, 1e-5, rt_optim_norm(optim));
        const double step_seconds = rt_now() - t0;
        const rt_step_seconds parts = rt_step_take_seconds(step);
        const double gemm_seconds = gemm != NULL ? rt_gemm_bench_run(gemm, r.tokens, RT_STEP_MICRO_TOKENS, r.rows) : 0;
        out->step_tokens = r.tokens;
        out->turns[n] = (rt_bench_turn){step_seconds, gemm_seconds};
        seconds[n] = step_seconds;
        bare[n] = gemm_seconds;
        head[n] = parts.head / step_seconds;
        attention[n++] = parts.attention / step_seconds;
    }
    out->n_turns = n;
    out->step_seconds = rt_bench_median(seconds, n);
    out->gemm_seconds = rt_bench_median(bare, n);
    out->head_share = rt_bench_median(head, n);
    out->attention_share = rt_bench_median(attention, n);
    out->step_tokens_per_s = (double)out->step_tokens / out->step_seconds;
    out->step_over_gemm = out->gemm_seconds > 0 ? out->step_seconds / out->gemm_seconds : 0;
out:
    return st;
}

/* --- lengths ---------------------------------------------------------------------------------------------------- */

typedef struct made_up {
    int32_t *ids, *rows, *labels;
    rt_span *spans;
    rt_source_batch batch;
} made_up;

static void drop_batch(made_up *m)
{
    rt_free(m->ids);
    rt_free(m->rows);
    rt_free(m->labels);
    rt_free(m->spans);
}

/* `tokens` ids at random in sequences of `length`, every position with a label. */
static rt_status make_batch(made_up *m, int64_t tokens, int64_t length, int64_t n_vocab, rt_err *err)
{
    rt_status st = RT_OK;
    rt_rng rng = rt_rng_init(1, "bench lengths", 0);
    const int64_t n_spans = tokens / length;
    RT_TRY(RT_NEW(&m->ids, (size_t)tokens, "ids", err));
    RT_TRY(RT_NEW(&m->rows, (size_t)tokens, "rows", err));
    RT_TRY(RT_NEW(&m->labels, (size_t)tokens, "labels", err));
    RT_TRY(RT_NEW(&m->spans, (size_t)n_spans, "spans", err));
    for (int64_t i = 0; i < tokens; i++) {
        m->ids[i] = (int32_t)rt_rng_below(&rng, (uint64_t)n_vocab);
        m->labels[i] = (int32_t)rt_rng_below(&rng, (uint64_t)n_vocab);
        m->rows[i] = (int32_t)i;
    }
    for (int64_t i = 0; i < n_spans; i++) {
        m->spans[i] = (rt_span){.row0 = i * length, .n = length};
    }
    m->batch = (rt_source_batch){
        .net = {.ids = m->ids, .n_rows = tokens, .spans = m->spans, .n_spans = n_spans},
        .n_sequences = n_spans,
        .n_rows = tokens,
        .rows = m->rows,
        .labels = m->labels,
    };
out:
    return st;
}

/* Forward, loss and backward of one batch at a length; the update does not depend on it and is left out. */
static rt_status time_length(rt_bench_work *b, const rt_model *student, float *grads, int which, rt_err *err)
{
    rt_status st = RT_OK;
    const int64_t length = rt_bench_lengths[which], tokens = length > b->tokens ? length : b->tokens;
    const rt_source_info info = {
        .kind = RT_SOURCE_LABELS, .n_vocab = student->hp.n_vocab, .sequence = (int)length, .temperature = 1};
    const rt_step_options o = options_for(b, RT_LOSS_CE, tokens);
    rt_bench_length *out = &b->out->lengths[which];
    made_up m = {0};
    rt_step *step = NULL;
    rt_step_report r;
    RT_TRY(make_batch(&m, tokens, length, student->hp.n_vocab, err));
    RT_TRY(rt_step_new(&step, student, &info, &o, err));
    for (int i = 0; i < 3; i++) { /* the first makes primitives and touches memory */
        rt_bench_sample_bare(b);
        const double t0 = rt_now();
        RT_TRY(rt_step_run(step, &m.batch, grads, &r, err));
        const double seconds = rt_now() - t0, rate = (double)tokens / seconds;
        const double attention = rt_step_take_seconds(step).attention;
        if (i > 0 && rate > out->tokens_per_s) {
            *out = (rt_bench_length){rate, attention / seconds};
        }
    }
out:
    rt_step_free(step);
    drop_batch(&m);
    return st;
}

/* Unless it is told, a quick measurement has time for the shortest and one four times as long. */
static bool wanted(const rt_bench_work *b, int which)
{
    if (b->job->lengths != 0) {
        return (b->job->lengths & 1u << which) != 0;
    }
    return !b->job->quick || (which % 2 == 0 && rt_bench_lengths[which] <= b->tokens);
}

static rt_status time_lengths(rt_bench_work *b, const rt_model *student, float *grads, rt_err *err)
{
    rt_status st = RT_OK;
    for (int i = 0; i < RT_BENCH_LENGTHS; i++) {
        if (wanted(b, i) && rt_bench_lengths[i] <= student->rope_rows) {
            RT_TRY(time_length(b, student, grads, i, err));
        }
    }
out:
    return st;
}

/* --- all of it -------------------------------------------------------------------------------------------------- */

static rt_status cut_student(rt_bench_work *b, rt_model **out, rt_err *err)
{
    const rt_model *teacher = b->job->teacher;
    const rt_precision precision = teacher->compute == RT_BF16 ? RT_PRECISION_BF16 : RT_PRECISION_F32;
    int keep[RT_MAX_LAYERS];
    b->out->student_layers = (int)(teacher->hp.n_layer + 1) / 2;
    for (int i = 0; i < b->out->student_layers; i++) {
        keep[i] = i;
    }
    return rt_model_cut(out, teacher, keep, b->out->student_layers,
                        &(rt_model_options){.precision = precision, .trainable = true}, err);
}

/* Steps from the cache and the products they are made of. before: resident bytes before there was a student. */
static rt_status measure_steps(rt_bench_work *b, const rt_model *student, rt_optim *optim, int64_t before, rt_err *err)
{
    rt_status st = RT_OK;
    rt_source *source = NULL;
    rt_step *step = NULL;
    rt_gemm_bench *gemm = NULL;
    const rt_step_options options = options_for(b, b->cache != NULL ? RT_LOSS_FORWARD_KL : RT_LOSS_CE, b->tokens);
    RT_TRY(open_source(b, &source, err));
    RT_TRY(rt_step_new(&step, student, rt_source_get_info(source), &options, err));
    b->out->predicted_bytes = rt_model_trainable_bytes(student) + rt_optim_bytes(student, &optim->o) +
                              rt_step_bytes(student, rt_source_get_info(source), &options);
    RT_TRY(time_steps(b, step, source, optim, NULL, 1, err));
    b->out->training_bytes = (size_t)(rt_rss_now() - before);
    st = rt_gemm_bench_new(&gemm, student, RT_STEP_MICRO_TOKENS, err);
    if (st != RT_OK && st != RT_UNSUPPORTED) {
        goto out;
    }
    RT_TRY(time_steps(b, step, source, optim, gemm, b->rounds, err));
    if (gemm != NULL) {
        b->out->n_products =
            rt_gemm_bench_rates(gemm, RT_STEP_MICRO_TOKENS, b->job->quick ? 2 : 5, b->out->products, RT_BENCH_PRODUCTS);
    }
out:
    rt_gemm_bench_free(gemm);
    rt_step_free(step);
    rt_source_close(source);
    return st;
}

rt_status rt_bench_training(rt_bench_work *b, rt_err *err)
{
    rt_status st = RT_OK;
    rt_model *student = NULL;
    rt_optim optim = {0};
    const rt_optim_options optim_options = rt_optim_default();
    const int64_t before = rt_rss_now();
    RT_TRY(cut_student(b, &student, err));
    RT_TRY(rt_optim_init(&optim, student, &optim_options, err));
    if ((b->job->parts & RT_BENCH_STEP) != 0) {
        RT_TRY(measure_steps(b, student, &optim, before, err));
    }
    if ((b->job->parts & RT_BENCH_LENGTH) != 0) {
        RT_TRY(time_lengths(b, student, optim.grads, err));
    }
out:
    rt_optim_release(&optim);
    rt_model_close(student);
    return st;
}
