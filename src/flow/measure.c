/* Timing the two things a recipe spends its time on, with made-up text of the recipe's own shapes. */
#include "flow/measure.h"

#include <string.h>

#include "infer/generate.h"
#include "infer/kv.h"
#include "teacher/answer_file.h"
#include "teacher/forecast.h"
#include "tensor/loss.h"

typedef struct bench {
    rt_batch batch;
    int32_t *ids;
    rt_span *spans;
    int64_t n_vocab;
    double value; /* keeps the visitor honest */
} bench;

static rt_status bench_init(bench *b, int64_t n_vocab, int64_t rows, int64_t sequence, rt_err *err)
{
    rt_status st = RT_OK;
    const int64_t n_spans = (rows + sequence - 1) / sequence;
    rt_rng rng = rt_rng_init(1, "pace", 0);
    RT_TRY(RT_NEW(&b->ids, (size_t)rows, "ids", err));
    RT_TRY(RT_NEW(&b->spans, (size_t)n_spans, "spans", err));
    for (int64_t i = 0; i < rows; i++) {
        b->ids[i] = (int32_t)rt_rng_below(&rng, (uint64_t)n_vocab);
    }
    for (int64_t i = 0; i < n_spans; i++) {
        const int64_t left = rows - i * sequence;
        b->spans[i] = (rt_span){.row0 = i * sequence, .n = left < sequence ? left : sequence};
    }
    b->batch = (rt_batch){.ids = b->ids, .n_rows = rows, .spans = b->spans, .n_spans = n_spans};
    b->n_vocab = n_vocab;
out:
    return st;
}

static void bench_release(bench *b)
{
    rt_free(b->ids);
    rt_free(b->spans);
}

static void look(void *ud, const rt_head_row *row)
{
    const bench *b = ud;
    (void)rt_kernels_get()->logsumexp(row->logits, b->n_vocab, 1.0f, NULL);
}

static void cross_entropy(void *ud, const rt_head_row *row)
{
    const bench *b = ud;
    const rt_loss ce = {.kind = RT_LOSS_CE, .temperature = 1.0};
    const rt_target t = {.kind = RT_TARGET_LABEL, .label = b->ids[row->index]};
    (void)rt_loss_row(&ce, row->logits, b->n_vocab, &t, true, 1.0f / (float)b->batch.n_rows, NULL);
}

enum { WARM = 2, COUNTED = 2 };

static rt_status time_teacher(double *tokens_per_s, const rt_model *m, bench *b, int64_t sequence, rt_err *err)
{
    rt_status st = RT_OK;
    rt_acts *acts = NULL;
    rt_head *head = NULL;
    double best = 0;
    RT_TRY(rt_acts_new(&acts, m, b->batch.n_rows, sequence, RT_NET_FORWARD, err));
    RT_TRY(rt_head_new(&head, m, NULL, false, err));
    for (int i = 0; i < WARM + COUNTED; i++) {
        const double t0 = rt_now();
        rt_net_forward(m, acts, &b->batch);
        rt_head_run(head, &(rt_head_sweep){
                              .model = m, .x = rt_acts_x(acts), .n_rows = b->batch.n_rows, .visit = look, .ud = b});
        const double rate = (double)b->batch.n_rows / (rt_now() - t0);
        best = i >= WARM && rate > best ? rate : best;
    }
    *tokens_per_s = best;
out:
    rt_acts_free(acts);
    rt_head_free(head);
    return st;
}

/* One whole pass may take minutes: told from a part of it. */
static rt_status time_streamed(double *tokens_per_s, const rt_model *m, int64_t batch_tokens, int64_t sequence,
                               rt_err *err)
{
    double seconds = 0;
    const rt_status st = rt_forecast(&seconds, m, batch_tokens, batch_tokens, sequence, err);
    *tokens_per_s = (double)batch_tokens / seconds;
    return st;
}

rt_status rt_pace_forward(double *tokens_per_s, const rt_model *m, int64_t rows, int64_t sequence, rt_err *err)
{
    rt_status st = RT_OK;
    bench b = {0};
    RT_TRY(bench_init(&b, m->hp.n_vocab, rows, sequence, err));
    RT_TRY(m->stream != NULL ? time_streamed(tokens_per_s, m, rows, sequence, err)
                             : time_teacher(tokens_per_s, m, &b, sequence, err));
out:
    bench_release(&b);
    return st;
}

rt_status rt_pace_decode(double *tokens_per_s, const rt_model *m, int n, rt_err *err)
{
    rt_status st = RT_OK;
    rt_acts *acts = NULL;
    rt_head *head = NULL;
    rt_kv kv = {0};
    bench b = {.n_vocab = m->hp.n_vocab};
    const int64_t cap = WARM + n;
    double t0 = 0;
    RT_TRY(rt_acts_new(&acts, m, 1, cap, RT_NET_ROWS, err));
    RT_TRY(rt_head_new(&head, m, NULL, false, err));
    RT_TRY(rt_kv_init(&kv, m, cap, err));
    const rt_span span = {.n = 1, .kv = &kv};
    const int32_t id = 1;
    const rt_batch one = {.ids = &id, .n_rows = 1, .spans = &span, .n_spans = 1};
    for (int64_t i = 0; i < cap; i++) {
        t0 = i == WARM ? rt_now() : t0;
        rt_net_forward(m, acts, &one);
        rt_head_run(head,
                    &(rt_head_sweep){
                        .model = m, .x = rt_acts_x(acts), .n_rows = 1, .mode = RT_NET_ROWS, .visit = look, .ud = &b});
    }
    *tokens_per_s = (double)n / (rt_now() - t0);
out:
    rt_kv_release(&kv);
    rt_acts_free(acts);
    rt_head_free(head);
    return st;
}

static rt_status time_step(double *tokens_per_s, const rt_model *m, bench *b, int64_t sequence, rt_err *err)
{
    rt_status st = RT_OK;
    rt_acts *acts = NULL;
    rt_head *head = NULL;
    float *grads = NULL, *dx = NULL;
    double best = 0;
    RT_TRY(rt_acts_new(&acts, m, b->batch.n_rows, sequence, RT_NET_TRAIN, err));
    RT_TRY(rt_head_new(&head, m, NULL, true, err));
    RT_TRY(rt_new_big((void **)&grads, (size_t)m->n_elements * sizeof(float), "gradients", err));
    RT_TRY(RT_NEW(&dx, (size_t)(b->batch.n_rows * m->hp.d_model), "gradients", err));
    for (int i = 0; i < WARM + COUNTED; i++) {
        const double t0 = rt_now();
        rt_net_forward(m, acts, &b->batch);
        rt_head_run(head, &(rt_head_sweep){.model = m,
                                           .x = rt_acts_x(acts),
                                           .n_rows = b->batch.n_rows,
                                           .visit = cross_entropy,
                                           .ud = b,
                                           .dx = dx,
                                           .grads = grads});
        rt_net_backward(m, grads, acts, &b->batch, dx);
        const double rate = (double)b->batch.n_rows / (rt_now() - t0);
        best = i >= WARM && rate > best ? rate : best;
    }
    *tokens_per_s = best;
out:
    rt_acts_free(acts);
    rt_head_free(head);
    rt_free(grads);
    rt_free(dx);
    return st;
}

static rt_status build(rt_model **out, const rt_model *outline, const rt_model *teacher, bool trainable, rt_err *err)
{
    const rt_precision precision = teacher->compute == RT_BF16 ? RT_PRECISION_BF16 : RT_PRECISION_F32;
    return rt_model_new(out, outline->arch, &outline->hp,
                        &(rt_model_options){.precision = precision, .trainable = trainable}, err);
}

rt_status rt_pace_measure(rt_pace *out, const rt_model *teacher, const rt_model *student, int64_t batch_tokens,
                          int64_t sequence, rt_err *err)
{
    rt_status st = RT_OK;
    bench b = {0};
    rt_model *built = NULL;
    const double t0 = rt_now();
    RT_TRY(bench_init(&b, teacher->hp.n_vocab, batch_tokens, sequence, err));
    RT_TRY(rt_pace_forward(&out->teacher_tokens_per_s, teacher, batch_tokens, sequence, err));
    RT_TRY(build(&built, student, teacher, true, err));
    RT_TRY(time_step(&out->step_tokens_per_s, built, &b, sequence, err));
    out->seconds = rt_now() - t0;
out:
    rt_model_close(built);
    bench_release(&b);
    return st;
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

enum { WRITTEN = 9, WRITTEN_PROMPT = 64 };

static rt_status time_writing(double *seconds, const rt_model *m, const rt_prompt *prompts, int together,
                              int64_t max_new, rt_err *err)
{
    rt_generation g = {0};
    const double t0 = rt_now();
    const rt_status st = rt_generate(&g, m, NULL, prompts, (size_t)together,
                                     &(rt_generate_options){.max_new = max_new, .ignore_end = true}, err);
    *seconds = rt_now() - t0;
    rt_generation_release(&g);
    return st;
}

/* What WRITTEN tokens take longer than one is the writing. */
rt_status rt_pace_writing(double *tokens_per_s, double *seconds, const rt_model *m, int together, int64_t prompt_tokens,
                          rt_err *err)
{
    rt_status st = RT_OK;
    bench b = {0};
    rt_prompt prompts[RT_ANSWER_BATCH];
    const int64_t n = prompt_tokens < 1 ? 1 : prompt_tokens < WRITTEN_PROMPT ? prompt_tokens : WRITTEN_PROMPT;
    double one = 0, many = 0;
    const double t0 = rt_now();
    if (m->stream != NULL) {
        RT_TRY(rt_forecast(&many, m, together, together, 1, err));
        *tokens_per_s = together / many;
        goto out;
    }
    RT_TRY(bench_init(&b, m->hp.n_vocab, together * n, n, err));
    for (int i = 0; i < together; i++) {
        prompts[i] = (rt_prompt){.ids = b.ids + i * n, .n = n};
    }
    RT_TRY(time_writing(&one, m, prompts, together, 1, err)); /* the first time warms up */
    RT_TRY(time_writing(&one, m, prompts, together, 1, err));
    RT_TRY(time_writing(&many, m, prompts, together, WRITTEN, err));
    *tokens_per_s = together * (WRITTEN - 1) / (many > one ? many - one : many);
out:
    *seconds += rt_now() - t0;
    bench_release(&b);
    return st;
}

rt_status rt_pace_outline_writing(double *tokens_per_s, double *seconds, const rt_model *student,
                                  const rt_model *teacher, int together, int64_t prompt_tokens, rt_err *err)
{
    rt_status st = RT_OK;
    rt_model *built = NULL;
    RT_TRY(build(&built, student, teacher, false, err));
    RT_TRY(rt_pace_writing(tokens_per_s, seconds, built, together, prompt_tokens, err));
out:
    rt_model_close(built);
    return st;
}
