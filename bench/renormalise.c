/* bench_renormalise TEACHER FROM TO: copies a top-k cache so that the k probabilities of every position are divided by
 * their sum and nothing is left outside them. Training on such targets is the common mistake that retort refuses to
 * make (docs/losses.md#targets); bench/targets.sh measures what it costs. The teacher is asked for through the gate
 * once more, since its outputs are written once more. What its mean log p of the text was is kept as a mean. */
#include <math.h>
#include <stdio.h>

#include "core/core.h"
#include "flow/permit.h"
#include "teacher/cache.h"

typedef struct copy {
    rt_cache *from;
    rt_cache_writer *to;
    rt_packed packed;   /* of the sequence that is copied; its index has the places of all */
    rt_cache_row *rows; /* [sequence] */
    float *logp;        /* [sequence][k] */
    float label_logp;   /* mean over the cache */
} copy;

static void copy_release(copy *c)
{
    rt_cache_abandon(c->to);
    rt_cache_close(c->from);
    rt_free(c->packed.segments);
    rt_free(c->packed.sequence_first_segment);
    rt_free(c->rows);
    rt_free(c->logp);
}

static rt_status copy_init(copy *c, const char *from, const char *to, const rt_permit *permit, rt_err *err)
{
    rt_status st = RT_OK;
    RT_TRY(rt_cache_open(&c->from, from, err));
    rt_cache_header h = *rt_cache_get_header(c->from);
    if (h.kind != RT_CACHE_TOPK) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "'%s' holds %s targets: only the likeliest ids can be renormalised", from,
                    rt_cache_kind_name(h.kind));
    }
    snprintf(h.teacher_name, sizeof h.teacher_name, "%.100s, renormalised", rt_cache_get_header(c->from)->teacher_name);
    c->label_logp = -(float)rt_cache_teacher_nll(c->from);
    RT_TRY(RT_NEW(&c->packed.segments, (size_t)h.sequence, "segments of a sequence", err));
    RT_TRY(RT_NEW(&c->packed.sequence_first_segment, (size_t)h.n_sequences + 1, "places of sequences", err));
    RT_TRY(RT_NEW(&c->rows, (size_t)h.sequence, "rows of a sequence", err));
    RT_TRY(RT_NEW(&c->logp, (size_t)h.sequence * (size_t)h.k, "log p of a sequence", err));
    RT_TRY(rt_cache_create(&c->to, to, &h, permit, err));
out:
    return st;
}

/* log (p_i / sum p) */
static void renormalise(const rt_target *t, float *logp)
{
    double mass = 0;
    for (int i = 0; i < t->n; i++) {
        mass += exp((double)t->weight[i]);
    }
    for (int i = 0; i < t->n; i++) {
        logp[i] = fminf((float)((double)t->weight[i] - log(mass)), 0);
    }
}

static rt_status copy_sequence(copy *c, int64_t i, rt_cache_sequence *s, rt_err *err)
{
    rt_status st = RT_OK;
    const int k = rt_cache_get_header(c->from)->k;
    RT_TRY(rt_cache_read(c->from, i, s, err));
    for (int64_t j = 0; j < s->n_segments; j++) {
        c->packed.segments[j] = (rt_segment){
            .start = s->segment_start[j], .n = s->segment_start[j + 1] - s->segment_start[j], .doc = s->segment_doc[j]};
    }
    for (int64_t j = 0; j < s->n; j++) {
        const rt_target *t = &s->targets[j];
        renormalise(t, c->logp + j * k);
        c->rows[j] = (rt_cache_row){
            .n = t->n, .ids = t->ids, .logp = c->logp + j * k, .log_tail = -INFINITY, .label_logp = c->label_logp};
    }
    c->packed.ids = s->ids;
    c->packed.loss_mask = s->mask;
    c->packed.sequence_first_segment[i] = 0;
    c->packed.sequence_first_segment[i + 1] = s->n_segments;
    RT_TRY(rt_cache_append(c->to, &c->packed, i, c->rows, err));
out:
    return st;
}

static rt_status copy_all(copy *c, rt_err *err)
{
    rt_status st = RT_OK;
    rt_cache_sequence s = {0};
    const int64_t n = rt_cache_get_header(c->from)->n_sequences;
    for (int64_t i = rt_cache_next_sequence(c->to); i < n; i++) {
        RT_TRY(copy_sequence(c, i, &s, err));
    }
    st = rt_cache_finish(c->to, err);
    c->to = NULL;
out:
    rt_cache_sequence_release(&s);
    return st;
}

int main(int argc, char **argv)
{
    rt_status st = RT_OK;
    rt_err err = {0};
    rt_permit *permit = NULL;
    copy c = {0};
    if (argc != 4) {
        fprintf(stderr, "usage: bench_renormalise TEACHER FROM TO\n");
        return rt_status_exit_code(RT_USAGE);
    }
    RT_TRY(rt_permit_get(&permit, &(rt_permit_ask){.model = argv[1], .uses = RT_USE_TRAIN_ON_OUTPUTS, .dir = argv[3]},
                         NULL, &err));
    RT_TRY(copy_init(&c, argv[2], argv[3], permit, &err));
    RT_TRY(copy_all(&c, &err));
out:
    copy_release(&c);
    rt_permit_free(permit);
    if (st != RT_OK) {
        fprintf(stderr, "bench_renormalise: %s\n", err.msg);
    }
    return rt_status_exit_code(st);
}
