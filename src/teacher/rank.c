/* rank.c - greedy layer removal. The residual stream before each remaining layer is kept, so that leaving layer i out
 * costs the layers behind it alone, and what lies before a removed layer is never computed again. */
#include "teacher/rank.h"

#include <math.h>
#include <string.h>

#include "teacher/forecast.h"
#include "teacher/gather.h"

rt_rank_options rt_rank_default(void)
{
    return (rt_rank_options){.tokens = 1024, .down_to = 1};
}

typedef struct ranker {
    const rt_model *m;
    rt_gather g;
    rt_batch batch;
    rt_acts *acts;
    rt_head *head;
    int layers[RT_MAX_LAYERS]; /* that remain */
    int n;
    float **before;   /* [n + 1] residual stream before each of them, and after the last */
    float *x;         /* of the candidate */
    size_t row_bytes; /* of one such stream */
    double *logp;     /* [n_rows] */
    rt_progress progress;
    double done, total; /* work, in layer passes */
    double head_cost;   /* of a sweep, in layer passes */
} ranker;

/* ---- scoring ---- */

static void visit(void *ud, const rt_head_row *h)
{
    ranker *k = ud;
    float lse = rt_kernels_get()->logsumexp(h->logits, k->m->hp.n_vocab, 1, NULL);
    k->logp[h->index] = (double)h->logits[k->g.labels[h->index]] - (double)lse;
}

/* Mean -log p of the text, given the stream after the last layer. */
static double score(ranker *k, const float *x)
{
    double sum = 0;
    rt_head_run(k->head, &(rt_head_sweep){.model = k->m,
                                          .x = x,
                                          .rows = k->g.rows,
                                          .n_rows = k->g.n_rows,
                                          .mode = RT_NET_FORWARD,
                                          .visit = visit,
                                          .ud = k});
    for (int64_t i = 0; i < k->g.n_rows; i++) {
        sum -= k->logp[i];
    }
    k->done += k->head_cost;
    return sum / (double)k->g.n_rows;
}

/* Recomputes the streams behind position `from`. */
static void run_from(ranker *k, int from)
{
    for (int i = from; i < k->n; i++) {
        memcpy(k->before[i + 1], k->before[i], k->row_bytes);
        rt_net_layer(k->m, k->acts, &k->batch, k->layers[i], k->before[i + 1]);
        k->done++;
    }
}

static double score_without(ranker *k, int candidate)
{
    memcpy(k->x, k->before[candidate], k->row_bytes);
    for (int i = candidate + 1; i < k->n; i++) {
        rt_net_layer(k->m, k->acts, &k->batch, k->layers[i], k->x);
        k->done++;
    }
    return score(k, k->x);
}

/* ---- one depth ---- */

static rt_status remove_one(ranker *k, rt_ranking *r, rt_err *err)
{
    int best = 0;
    double best_nll = INFINITY;
    for (int i = 0; i < k->n; i++) {
        if (rt_interrupted()) {
            return rt_fail(err, RT_CANCELLED, 0, "ranking stopped with %d layers left", k->n);
        }
        double nll = score_without(k, i);
        if (nll < best_nll) {
            best_nll = nll;
            best = i;
        }
        rt_progress_update(&k->progress, k->done, k->total, "%d layers left", k->n);
    }
    if (!isfinite(best_nll)) {
        return rt_fail(err, RT_NUMERIC, 0, "no layer of the remaining %d can go: the loss is not finite", k->n);
    }
    r->removed[r->n_removed] = k->layers[best];
    r->perplexity_after[r->n_removed++] = exp(best_nll);
    k->n--;
    memmove(&k->layers[best], &k->layers[best + 1], (size_t)(k->n - best) * sizeof *k->layers);
    run_from(k, best);
    return RT_OK;
}

/* ---- whole ---- */

static rt_status take_text(ranker *k, const rt_packed *p, int64_t tokens, rt_err *err)
{
    rt_status st = RT_OK;
    RT_TRY(rt_gather_spread(&k->g, p, tokens, err));
    if (k->g.n_rows == 0) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "the text to rank layers on has no token that counts");
    }
    k->batch = rt_gather_batch(&k->g);
out:
    return st;
}

static double work_to_do(const ranker *k, int down_to)
{
    double sum = k->n + k->head_cost;
    for (int n = k->n; n > down_to; n--) {
        /* candidates, and on average half of the streams again */
        sum += n * (n - 1) / 2.0 + n * k->head_cost + n / 2.0;
    }
    return sum;
}

/* From one pass through all layers and the head. */
static rt_status forecast(const ranker *k, double accepted_seconds, rt_err *err)
{
    double pass;
    if (k->m->stream == NULL && accepted_seconds == 0) {
        return RT_OK;
    }
    const rt_status st = rt_forecast(&pass, k->m, k->g.n_tokens, k->g.n_tokens, RT_PIECE_TOKENS, err);
    return st != RT_OK ? st
                       : rt_forecast_judge(k->m, pass / (k->n + k->head_cost) * k->total, accepted_seconds,
                                           "ranking its layers",
                                           "layers named to be kept (student.keep), a ranking made before "
                                           "(student.ranking), or more memory",
                                           err);
}

static rt_status check_memory(const ranker *k, rt_err *err)
{
    const size_t bytes = rt_acts_bytes(k->m, k->g.n_tokens, RT_PIECE_TOKENS, RT_NET_FORWARD) +
                         rt_head_bytes(k->m, NULL, false) + (size_t)(k->n + 2) * k->row_bytes;
    return rt_ceiling_check(k->m, (int64_t)bytes, "ranking layers", ", or name the layers to keep (student.keep)", err);
}

static rt_status prepare(ranker *k, int down_to, double accepted_seconds, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_hparams *hp = &k->m->hp;
    double layer_flops = rt_model_flops_per_token(k->m) - 2.0 * (double)hp->n_vocab * (double)hp->d_model;
    k->n = (int)hp->n_layer;
    k->row_bytes = (size_t)(k->g.n_tokens * hp->d_model) * sizeof(float);
    k->head_cost = 2.0 * (double)hp->n_vocab * (double)hp->d_model / (layer_flops / k->n);
    k->total = work_to_do(k, down_to);
    for (int i = 0; i < k->n; i++) {
        k->layers[i] = i;
    }
    RT_TRY(forecast(k, accepted_seconds, err));
    RT_TRY(check_memory(k, err));
    RT_TRY(rt_acts_new(&k->acts, k->m, k->g.n_tokens, RT_PIECE_TOKENS, RT_NET_FORWARD, err));
    RT_TRY(rt_head_new(&k->head, k->m, NULL, false, err));
    RT_TRY(RT_NEW(&k->logp, (size_t)k->g.n_rows, "scores", err));
    RT_TRY(RT_NEW(&k->before, (size_t)k->n + 1, "streams before layers", err));
    RT_TRY(rt_new_big((void **)&k->x, k->row_bytes, "stream of a candidate", err));
    for (int i = 0; i <= k->n; i++) {
        RT_TRY(rt_new_big((void **)&k->before[i], k->row_bytes, "stream before a layer", err));
    }
out:
    return st;
}

static void release(ranker *k)
{
    for (int i = 0; k->before && i <= (int)k->m->hp.n_layer; i++) {
        rt_free(k->before[i]);
    }
    rt_free(k->before);
    rt_free(k->x);
    rt_free(k->logp);
    rt_head_free(k->head);
    rt_acts_free(k->acts);
    rt_gather_release(&k->g);
}

rt_status rt_rank_layers(rt_ranking *r, const rt_model *teacher, const rt_digest *teacher_hash, const rt_packed *p,
                         const rt_rank_options *o, rt_err *err)
{
    rt_status st = RT_OK;
    ranker k = {.m = teacher};
    *r = (rt_ranking){.teacher = *teacher_hash, .data = p->hash, .n_layer = (int)teacher->hp.n_layer};
    if (o->down_to < 1 || o->down_to > r->n_layer) {
        RT_FAIL_OUT(err, RT_USAGE, 0, "cannot rank down to %d of %d layers", o->down_to, r->n_layer);
    }
    RT_TRY(rt_model_check_trainable(teacher->arch, &teacher->hp, err)); /* a ranking is for cutting a student */
    RT_TRY(rt_packed_check(p, teacher, err));
    RT_TRY(take_text(&k, p, o->tokens, err));
    RT_TRY(prepare(&k, o->down_to, o->accepted_seconds, err));
    r->tokens = k.g.n_tokens;
    r->targets = k.g.n_rows;
    rt_progress_begin(&k.progress, "rank layers");
    rt_net_embed(teacher, &k.batch, k.before[0]);
    run_from(&k, 0);
    r->perplexity = exp(score(&k, k.before[k.n]));
    while (k.n > o->down_to) {
        RT_TRY(remove_one(&k, r, err));
    }
    rt_progress_end(&k.progress, "perplexity %.4g to %.4g", r->perplexity, rt_ranking_perplexity(r, k.n));
out:
    release(&k);
    return st;
}
