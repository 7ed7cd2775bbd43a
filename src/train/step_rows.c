/* step_rows.c - losses of one row, mixed when there are several. */
#include "train/step_rows.h"

#include <math.h>
#include <string.h>

#include "tensor/kernels.h"

bool rt_step_has_target(const rt_source_batch *b, int64_t row, bool distils, int64_t d_model)
{
    if (b->labels[row] < 0) {
        return false;
    }
    if (distils && b->targets) {
        return b->targets[row].n > 0;
    }
    if (!distils || !b->teacher_hidden) {
        return true;
    }
    /* a state after the final norm is never all zero: that is what an absent one looks like */
    const float *h = b->teacher_hidden + row * d_model;
    for (int64_t i = 0; i < d_model; i++) {
        if (h[i] != 0) {
            return true;
        }
    }
    return false;
}

static rt_target target_of(const rt_step_rows *s, const rt_train_loss *l, int64_t at, const float *teacher)
{
    if (!rt_loss_distils(l->loss.kind)) {
        return (rt_target){.kind = RT_TARGET_LABEL, .label = s->batch->labels[at]};
    }
    if (s->batch->targets) {
        return s->batch->targets[at];
    }
    return (rt_target){.kind = RT_TARGET_DENSE, .label = s->batch->labels[at], .logits = teacher};
}

static void note(rt_row_value *v, const rt_train_loss *l, double value)
{
    v->loss += l->weight * value;
    if (rt_loss_distils(l->loss.kind) && isnan(v->kl)) {
        v->kl = value;
    }
}

/* One term: the gradient replaces the logits where they lie. */
static void run_single(const rt_step_rows *s, float *z, int64_t at, const float *teacher, float *scratch)
{
    const rt_train_loss *l = &s->losses[0];
    rt_target t = target_of(s, l, at, teacher);
    note(&s->values[at], l, rt_loss_row(&l->loss, z, s->n_vocab, &t, true, (float)(l->weight * s->weight), scratch));
}

/* Several: each from its own copy of the logits, summed in list order. */
static void run_mixed(const rt_step_rows *s, float *z, int64_t at, const float *teacher, float *scratch)
{
    size_t bytes = (size_t)s->n_vocab * sizeof(float);
    float *logits = scratch + s->n_vocab, *term = logits + s->n_vocab;
    memcpy(logits, z, bytes);
    memset(z, 0, bytes);
    for (int i = 0; i < s->n_losses; i++) {
        const rt_train_loss *l = &s->losses[i];
        rt_target t = target_of(s, l, at, teacher);
        memcpy(term, logits, bytes);
        double value = rt_loss_row(&l->loss, term, s->n_vocab, &t, true, (float)(l->weight * s->weight), scratch);
        note(&s->values[at], l, value);
        rt_kernels_get()->add(z, term, s->n_vocab);
    }
}

/* Gradient norms of one row at weight 1, from copies. */
static void probe(const rt_step_rows *s, const float *z, int64_t at, const float *teacher, float *scratch)
{
    const rt_kernels *k = rt_kernels_get();
    rt_row_value *v = &s->values[at];
    size_t bytes = (size_t)s->n_vocab * sizeof(float);
    float *copy = scratch + s->n_vocab;
    for (int i = 0; i < s->n_losses; i++) {
        const rt_train_loss *l = &s->losses[i];
        if (rt_loss_distils(l->loss.kind)) {
            rt_target t = target_of(s, l, at, teacher);
            memcpy(copy, z, bytes);
            (void)rt_loss_row(&l->loss, copy, s->n_vocab, &t, true, 1, scratch);
            v->kd_square += k->sum_squares(copy, s->n_vocab);
        }
    }
    const rt_loss ce = {.kind = RT_LOSS_CE, .temperature = 1};
    rt_target label = {.kind = RT_TARGET_LABEL, .label = s->batch->labels[at]};
    memcpy(copy, z, bytes);
    (void)rt_loss_row(&ce, copy, s->n_vocab, &label, true, 1, scratch);
    v->ce_square = k->sum_squares(copy, s->n_vocab);
}

void rt_step_visit(void *ud, const rt_head_row *row)
{
    const rt_step_rows *s = ud;
    int64_t at = s->first + row->index;
    rt_row_value *v = &s->values[at];
    if (!v->counted) {
        memset(row->logits, 0, (size_t)s->n_vocab * sizeof(float));
        return;
    }
    float *scratch = s->scratch + (int64_t)row->thread * RT_STEP_SCRATCH * s->n_vocab;
    v->ce = rt_kernels_get()->logsumexp(row->logits, s->n_vocab, 1, NULL) - row->logits[s->batch->labels[at]];
    if (s->distils && at % RT_STEP_PROBE == 0) {
        probe(s, row->logits, at, row->teacher, scratch);
    }
    if (s->n_losses == 1) {
        run_single(s, row->logits, at, row->teacher, scratch);
    } else {
        run_mixed(s, row->logits, at, row->teacher, scratch);
    }
}
