/* fidelity.c - two passes over the same pieces of text, and one sweep that shows both heads' logits side by side. */
#include "teacher/fidelity.h"

#include <math.h>
#include <string.h>

#include "teacher/gather.h"

enum {
    MOST_TOKENS = 1024, /* four pieces */
    FEWEST_TOKENS = 2 * RT_PIECE_TOKENS,
    SHARE = 64,            /* of the text's tokens, one in so many */
    FEWEST_READINGS = 20,  /* of a streamed teacher's file, beside which two more are little */
    READING_TOKENS = 2048, /* tokens a reading, about */
};

typedef struct comparison {
    const rt_model *teacher;
    rt_model *reference; /* the same file in f32 */
    rt_gather g;
    float *x[2];    /* [n_tokens, d_model] residual stream of teacher, reference */
    double *kl;     /* [n_rows] */
    double *total;  /* [n_spans] */
    int64_t *count; /* [n_spans] */
    rt_progress progress;
} comparison;

/* ---- what can be compared ---- */

rt_teacher_fidelity rt_teacher_fidelity_none(const char *why)
{
    rt_teacher_fidelity f = {0};
    snprintf(f.unmeasured, sizeof f.unmeasured, "%s", why);
    return f;
}

/* NULL: nothing stands against measuring. */
static const char *needless(const rt_model *m, const rt_packed *p)
{
    return m->compute == RT_F32 ? "the teacher speaks in f32"
           : m->path == NULL    ? "the teacher lies in no file"
           : m->stream != NULL && p->n_tokens < (int64_t)FEWEST_READINGS * READING_TOKENS
               ? "the teacher is read layer by layer, and the text is too short for two more readings"
               : NULL;
}

/* Layer by layer it takes little room beside the teacher; tables of experts must be read whole. */
static rt_status open_reference(comparison *c, rt_err *err)
{
    rt_model_options o = {
        .precision = RT_PRECISION_F32, .memory = c->teacher->ceiling, .span = RT_PIECE_TOKENS, .by_layer = true};
    rt_status st = rt_model_open(&c->reference, c->teacher->path, &o, err);
    if (st == RT_UNSUPPORTED) {
        o.by_layer = false;
        st = rt_model_open(&c->reference, c->teacher->path, &o, err);
    }
    return st;
}

/* Tokens that both passes have room for. */
static rt_status choose_tokens(const comparison *c, const rt_packed *p, int64_t *tokens, rt_err *err)
{
    rt_status st = RT_OK;
    const int64_t share = p->n_tokens / SHARE, least = share > FEWEST_TOKENS ? share : FEWEST_TOKENS;
    rt_pass pass = {.rows = rt_least(least, MOST_TOKENS),
                    .span = RT_PIECE_TOKENS,
                    .bytes_per_row = 2 * c->teacher->hp.d_model * (int64_t)sizeof(float)};
    RT_TRY(rt_pass_rows(tokens, c->reference, &pass, err));
    pass.rows = *tokens;
    pass.teacher = c->reference;
    RT_TRY(rt_pass_rows(tokens, c->teacher, &pass, err));
out:
    return st;
}

/* ---- comparing ---- */

static rt_status keep_stream(comparison *c, const rt_model *m, int which, rt_err *err)
{
    rt_status st = RT_OK;
    rt_acts *acts = NULL;
    const rt_batch b = rt_gather_batch(&c->g);
    const size_t bytes = (size_t)(c->g.n_tokens * m->hp.d_model) * sizeof(float);
    if (rt_interrupted()) {
        RT_FAIL_OUT(err, RT_CANCELLED, 0, "collect stopped before the first shard");
    }
    RT_TRY(rt_new_big((void **)&c->x[which], bytes, "stream of the teacher", err));
    RT_TRY(rt_acts_new(&acts, m, c->g.n_tokens, RT_PIECE_TOKENS, RT_NET_FORWARD, err));
    rt_net_forward(m, acts, &b);
    memcpy(c->x[which], rt_acts_x(acts), bytes);
    rt_progress_update(&c->progress, 2 - which, 3, "%s", rt_dtype_name(m->compute));
out:
    rt_acts_free(acts);
    return st;
}

static void compare_row(void *ud, const rt_head_row *row)
{
    const comparison *c = ud;
    static const rt_loss kl = {.kind = RT_LOSS_FORWARD_KL, .temperature = 1};
    const rt_target f32 = {.kind = RT_TARGET_DENSE, .logits = row->teacher};
    c->kl[row->index] = rt_loss_row(&kl, row->logits, c->teacher->hp.n_vocab, &f32, false, 0, NULL);
}

static rt_status compare(comparison *c, rt_err *err)
{
    rt_status st = RT_OK;
    rt_head *head = NULL;
    RT_TRY(RT_NEW(&c->kl, (size_t)c->g.n_rows, "divergences", err));
    RT_TRY(keep_stream(c, c->reference, 1, err));
    RT_TRY(keep_stream(c, c->teacher, 0, err));
    RT_TRY(rt_head_new(&head, c->teacher, c->reference, false, err));
    rt_head_run(head, &(rt_head_sweep){.model = c->teacher,
                                       .x = c->x[0],
                                       .rows = c->g.rows,
                                       .n_rows = c->g.n_rows,
                                       .mode = RT_NET_FORWARD,
                                       .visit = compare_row,
                                       .ud = c,
                                       .teacher = c->reference,
                                       .teacher_x = c->x[1]});
out:
    rt_head_free(head);
    return st;
}

static rt_status summarise(comparison *c, rt_stat *kl, rt_err *err)
{
    rt_status st = RT_OK;
    int64_t piece = 0;
    RT_TRY(RT_NEW(&c->total, (size_t)c->g.n_spans, "sums of pieces", err));
    RT_TRY(RT_NEW(&c->count, (size_t)c->g.n_spans, "counts of pieces", err));
    for (int64_t i = 0; i < c->g.n_rows; i++) {
        while (c->g.rows[i] >= c->g.spans[piece].row0 + c->g.spans[piece].n) {
            piece++;
        }
        c->total[piece] += c->kl[i];
        c->count[piece]++;
    }
    *kl = rt_stat_clustered(c->total, c->count, (size_t)c->g.n_spans);
    if (!isfinite(kl->mean)) {
        RT_FAIL_OUT(err, RT_NUMERIC, 0,
                    "'%s': its logits, in %s or in f32, are not finite: the file is damaged, or its numbers are too "
                    "large",
                    c->teacher->path, rt_dtype_name(c->teacher->compute));
    }
out:
    return st;
}

static void release(comparison *c)
{
    rt_model_close(c->reference);
    rt_gather_release(&c->g);
    rt_free(c->x[0]);
    rt_free(c->x[1]);
    rt_free(c->kl);
    rt_free(c->total);
    rt_free(c->count);
}

rt_status rt_teacher_fidelity_measure(rt_teacher_fidelity *f, const rt_model *teacher, const rt_packed *p, rt_err *err)
{
    rt_status st = RT_OK;
    comparison c = {.teacher = teacher};
    const char *why = needless(teacher, p);
    int64_t tokens = 0;
    if (why) {
        *f = rt_teacher_fidelity_none(why);
        return RT_OK;
    }
    *f = (rt_teacher_fidelity){.compute = teacher->compute};
    rt_progress_begin(&c.progress, "teacher fidelity");
    st = open_reference(&c, err);
    st = st == RT_OK ? choose_tokens(&c, p, &tokens, err) : st;
    if (st == RT_MEMORY || st == RT_UNSUPPORTED) {
        rt_err_clear(err);
        st = RT_OK;
        *f = rt_teacher_fidelity_none("the f32 form of the teacher finds no room beside it");
        goto out;
    }
    RT_TRY(st);
    RT_TRY(rt_gather_spread(&c.g, p, tokens, err));
    if (c.g.n_rows == 0) {
        *f = rt_teacher_fidelity_none("no position of the sample counts");
        goto out;
    }
    RT_TRY(compare(&c, err));
    RT_TRY(summarise(&c, &f->kl, err));
    rt_progress_end(&c.progress, "KL %.2e nats to the f32 path of the file, %lld positions", f->kl.mean,
                    (long long)f->kl.n);
out:
    release(&c);
    return st;
}
