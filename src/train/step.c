/* step.c - micro-batches forward, through the head sweep, and back. */
#include "train/step.h"

#include <math.h>
#include <string.h>

#include "train/step_layers.h"

struct rt_step {
    const rt_model *model, *teacher;
    rt_source_info source;
    rt_train_loss losses[RT_TRAIN_LOSSES]; /* as given; rows and states have them at their present weights */
    int n_losses;
    rt_step_rows rows;
    rt_step_states states;
    rt_step_layers layers;
    int64_t batch_rows, micro_rows; /* capacities in tokens */
    rt_acts *acts;
    rt_head *head;
    float *dx;        /* [micro_rows, d_model] */
    rt_span *spans;   /* [micro_rows] spans of the micro-batch, counted from its first row */
    int32_t *row_ids; /* [micro_rows] */
    double scale;     /* of the gradient */
    double head_seconds;
};

/* Part of a batch: whole spans, and the rows with targets in them. */
typedef struct micro {
    int64_t span, n_spans; /* in batch->net.spans */
    int64_t token, n_tokens;
    int64_t row, n_rows; /* in batch->rows */
} micro;

static int64_t micro_capacity(const rt_source_info *source, const rt_step_options *o)
{
    int64_t n = o->micro_tokens > source->sequence ? o->micro_tokens : source->sequence;
    int64_t batch = o->batch_tokens > source->sequence ? o->batch_tokens : source->sequence;
    return n < batch ? n : batch;
}

static int64_t batch_capacity(const rt_source_info *source, const rt_step_options *o)
{
    return o->batch_tokens > source->sequence ? o->batch_tokens : source->sequence;
}

static rt_net_mode net_mode(const rt_step_options *o)
{
    return o->recompute ? RT_NET_RECOMPUTE : RT_NET_TRAIN;
}

static bool sees_teacher_logits(const rt_source_info *source, const rt_step_options *o)
{
    return (rt_losses_distil(o->losses, o->n_losses) || rt_losses_compare_states(o->losses, o->n_losses)) &&
           (source->kind == RT_SOURCE_HIDDEN || source->kind == RT_SOURCE_DENSE);
}

size_t rt_step_bytes(const rt_model *m, const rt_source_info *source, const rt_step_options *o)
{
    int64_t micro_rows = micro_capacity(source, o);
    const rt_model *teacher = sees_teacher_logits(source, o) ? o->teacher : NULL;
    size_t scratch = (size_t)rt_team_threads() * RT_STEP_SCRATCH * (size_t)m->hp.n_vocab * sizeof(float);
    size_t per_token = (size_t)m->hp.d_model * sizeof(float) + sizeof(rt_span) + sizeof(int32_t);
    if (teacher != NULL && rt_losses_compare_states(o->losses, o->n_losses)) {
        scratch += rt_step_states_bytes(teacher->hp.d_model);
    }
    scratch += rt_step_layers_bytes(m, o, micro_rows, source->sequence);
    return rt_acts_bytes(m, micro_rows, source->sequence, net_mode(o)) + rt_head_bytes(m, teacher, true) + scratch +
           (size_t)micro_rows * per_token + (size_t)batch_capacity(source, o) * sizeof(rt_row_value);
}

/* --- checks ----------------------------------------------------------------------------------------------------- */

static rt_target_kind target_kind(rt_source_kind k)
{
    switch (k) {
    case RT_SOURCE_SAMPLE: return RT_TARGET_SAMPLE;
    case RT_SOURCE_TOPK: return RT_TARGET_TOPK;
    case RT_SOURCE_LABELS: return RT_TARGET_LABEL;
    case RT_SOURCE_HIDDEN:
    case RT_SOURCE_DENSE: break;
    }
    return RT_TARGET_DENSE;
}

/* Terms between states need the teacher's (those between layers make them), and leave the head to another term. */
static rt_status check_states(const rt_source_info *source, const rt_step_options *o, rt_err *err)
{
    int others = 0;
    const char *name = NULL, *last = NULL;
    for (int i = 0; i < o->n_losses; i++) {
        const rt_train_loss *l = &o->losses[i];
        name = l->state != RT_STATE_NONE ? rt_train_loss_name(l) : name;
        last = l->state != RT_STATE_NONE && !l->layers ? name : last;
        others += l->state == RT_STATE_NONE;
    }
    if (last != NULL && source->kind != RT_SOURCE_HIDDEN && source->kind != RT_SOURCE_DENSE) {
        return rt_fail(err, RT_USAGE, 0,
                       "loss '%s' needs the teacher's states, which these targets do not hold: collect 'hidden' "
                       "targets",
                       last);
    }
    if (name != NULL && others == 0) {
        return rt_fail(err, RT_USAGE, 0, "loss '%s' does not train the head: add a term over the vocabulary to it",
                       name);
    }
    return RT_OK;
}

static rt_status check_losses(const rt_source_info *source, const rt_step_options *o, rt_err *err)
{
    if (o->n_losses < 1 || o->n_losses > RT_TRAIN_LOSSES) {
        return rt_fail(err, RT_USAGE, 0, "a training loss has 1 to %d terms, not %d", RT_TRAIN_LOSSES, o->n_losses);
    }
    for (int i = 0; i < o->n_losses; i++) {
        const rt_train_loss *l = &o->losses[i];
        rt_status st = rt_train_loss_check(l, err);
        if (st != RT_OK) {
            return st;
        }
        if (l->state != RT_STATE_NONE) {
            continue;
        }
        bool distils = rt_loss_distils(l->loss.kind);
        if (distils && source->kind == RT_SOURCE_LABELS) {
            return rt_fail(err, RT_USAGE, 0, "loss '%s' needs a teacher's targets, this data has labels only",
                           rt_loss_name(l->loss.kind));
        }
        st = rt_loss_check(&l->loss, distils ? target_kind(source->kind) : RT_TARGET_LABEL,
                           distils ? source->temperature : 1, err);
        if (st != RT_OK) {
            return st;
        }
    }
    return RT_OK;
}

static rt_status check_vocabulary(const rt_model *m, const rt_source_info *source, const rt_step_options *o,
                                  rt_err *err)
{
    /* text alone tells no more than its largest id */
    bool fits = source->kind == RT_SOURCE_LABELS ? source->n_vocab <= m->hp.n_vocab : source->n_vocab == m->hp.n_vocab;
    if (!fits) {
        return rt_fail(err, RT_INPUT, 0, "the targets have a vocabulary of %lld, the student one of %lld",
                       (long long)source->n_vocab, (long long)m->hp.n_vocab);
    }
    if (!sees_teacher_logits(source, o)) {
        return RT_OK;
    }
    if (!o->teacher) {
        return rt_fail(err, RT_USAGE, 0, "targets of this kind need the teacher's head: give the teacher model");
    }
    if (o->teacher->hp.n_vocab != m->hp.n_vocab || o->teacher->hp.d_model != source->d_model) {
        return rt_fail(err, RT_INPUT, 0, "the teacher has vocabulary %lld and width %lld, expected %lld and %lld",
                       (long long)o->teacher->hp.n_vocab, (long long)o->teacher->hp.d_model, (long long)m->hp.n_vocab,
                       (long long)source->d_model);
    }
    return RT_OK;
}

/* Rotations are tabled for a model's context alone. Of a cache's teacher only the head is run. */
static rt_status check_context(const rt_model *m, const char *whose, const rt_source_info *source, rt_err *err)
{
    if (source->sequence > m->rope_rows) {
        return rt_fail(err, RT_INPUT, 0,
                       "the data has sequences of %d tokens, the %s's context is %lld: collect with shorter sequences, "
                       "or take a %s with a longer context",
                       source->sequence, whose, (long long)m->rope_rows, whose);
    }
    return RT_OK;
}

rt_status rt_step_check(const rt_model *m, const rt_source_info *source, const rt_step_options *o, rt_err *err)
{
    rt_status st = RT_OK;
    RT_TRY(check_losses(source, o, err));
    RT_TRY(check_states(source, o, err));
    RT_TRY(check_vocabulary(m, source, o, err));
    RT_TRY(check_context(m, "student", source, err));
    RT_TRY(rt_step_layers_check(m, o, err));
    if (o->teacher && (source->kind == RT_SOURCE_DENSE || rt_losses_compare_layers(o->losses, o->n_losses))) {
        RT_TRY(check_context(o->teacher, "teacher", source, err));
    }
out:
    return st;
}

rt_status rt_step_new(rt_step **out, const rt_model *m, const rt_source_info *source, const rt_step_options *o,
                      rt_err *err)
{
    rt_status st = RT_OK;
    rt_step *s = NULL;
    RT_TRY(rt_step_check(m, source, o, err));
    RT_TRY(RT_NEW(&s, 1, "training step", err));
    s->model = m;
    s->source = *source;
    s->scale = 1;
    s->micro_rows = micro_capacity(source, o);
    s->batch_rows = batch_capacity(source, o);
    s->teacher = sees_teacher_logits(source, o) ? o->teacher : NULL;
    s->rows = (rt_step_rows){.n_vocab = m->hp.n_vocab};
    s->n_losses = o->n_losses;
    memcpy(s->losses, o->losses, sizeof s->losses);
    s->rows.distils = rt_losses_distil(o->losses, o->n_losses);
    if (rt_losses_compare_states(o->losses, o->n_losses)) {
        RT_TRY(rt_step_states_init(&s->states, o->losses, o->n_losses, false, o->projections, m->hp.d_model,
                                   s->teacher->hp.d_model, err));
        s->rows.states = &s->states;
    }
    RT_TRY(rt_step_layers_init(&s->layers, m, o, s->micro_rows, source->sequence, err));
    rt_step_weigh(s, 0);
    RT_TRY(rt_acts_new(&s->acts, m, s->micro_rows, source->sequence, net_mode(o), err));
    RT_TRY(rt_head_new(&s->head, m, s->teacher, true, err));
    RT_TRY(RT_NEW(&s->dx, (size_t)(s->micro_rows * m->hp.d_model), "gradient of the residual stream", err));
    RT_TRY(RT_NEW(&s->spans, (size_t)s->micro_rows, "spans", err));
    RT_TRY(RT_NEW(&s->row_ids, (size_t)s->micro_rows, "rows", err));
    RT_TRY(RT_NEW(&s->rows.values, (size_t)s->batch_rows, "values of rows", err));
    RT_TRY(RT_NEW(&s->rows.scratch, (size_t)rt_team_threads() * RT_STEP_SCRATCH * (size_t)m->hp.n_vocab,
                  "scratch of the losses", err));
    *out = s;
out:
    if (st != RT_OK) {
        rt_step_free(s);
    }
    return st;
}

void rt_step_free(rt_step *s)
{
    if (!s) {
        return;
    }
    rt_acts_free(s->acts);
    rt_head_free(s->head);
    rt_free(s->dx);
    rt_free(s->spans);
    rt_free(s->row_ids);
    rt_free(s->rows.values);
    rt_free(s->rows.scratch);
    rt_step_states_release(&s->states);
    rt_step_layers_release(&s->layers);
    rt_free(s);
}

void rt_step_scale(rt_step *s, double scale)
{
    s->scale = scale;
}

void rt_step_weigh(rt_step *s, int64_t step)
{
    rt_step_states *layers = &s->layers.states, *states = &s->states;
    s->rows.n_losses = states->n_losses = layers->n_losses = 0;
    for (int i = 0; i < s->n_losses; i++) {
        rt_train_loss *l = s->losses[i].state == RT_STATE_NONE ? &s->rows.losses[s->rows.n_losses++]
                           : s->losses[i].layers               ? &layers->losses[layers->n_losses++]
                                                               : &states->losses[states->n_losses++];
        *l = s->losses[i];
        l->weight = rt_train_loss_weight(l, step);
    }
}

/* --- micro-batches ---------------------------------------------------------------------------------------------- */

/* The next run of whole spans that fits; false at the end. */
static bool next_micro(const rt_step *s, const rt_source_batch *b, micro *m)
{
    m->span += m->n_spans;
    m->token += m->n_tokens;
    m->row += m->n_rows;
    m->n_spans = m->n_tokens = m->n_rows = 0;
    while (m->span + m->n_spans < b->net.n_spans) {
        int64_t n = b->net.spans[m->span + m->n_spans].n;
        if (m->n_spans > 0 && m->n_tokens + n > s->micro_rows) {
            break;
        }
        m->n_spans++;
        m->n_tokens += n;
    }
    while (m->row + m->n_rows < b->n_rows && b->rows[m->row + m->n_rows] < m->token + m->n_tokens) {
        m->n_rows++;
    }
    return m->n_spans > 0;
}

static rt_batch micro_batch(const rt_step *s, const rt_source_batch *b, const micro *m)
{
    for (int64_t i = 0; i < m->n_spans; i++) {
        s->spans[i] = b->net.spans[m->span + i];
        s->spans[i].row0 -= m->token;
    }
    for (int64_t i = 0; i < m->n_rows; i++) {
        s->row_ids[i] = b->rows[m->row + i] - (int32_t)m->token;
    }
    return (rt_batch){.ids = b->net.ids + m->token, .n_rows = m->n_tokens, .spans = s->spans, .n_spans = m->n_spans};
}

static void run_micro(rt_step *s, const rt_source_batch *b, const micro *m, float *grads)
{
    int64_t d = s->model->hp.d_model;
    rt_batch batch = micro_batch(s, b, m);
    rt_net_forward(s->model, s->acts, &batch);
    memset(s->dx, 0, (size_t)(m->n_tokens * d) * sizeof(float));
    s->rows.first = m->row;
    rt_head_sweep sweep = {
        .model = s->model,
        .x = rt_acts_x(s->acts),
        .rows = s->row_ids,
        .n_rows = m->n_rows,
        .mode = RT_NET_TRAIN,
        .visit = rt_step_visit,
        .visit_states = s->states.n_losses > 0 ? rt_step_visit_states : NULL,
        .ud = &s->rows,
        .dx = s->dx,
        .grads = grads,
    };
    if (s->teacher) {
        sweep.teacher = s->teacher;
        if (b->teacher_hidden) {
            sweep.teacher_hidden = b->teacher_hidden + m->row * s->source.d_model;
        } else {
            sweep.teacher_x = b->teacher_x + m->token * s->source.d_model;
        }
    }
    const double t0 = rt_now();
    rt_head_run(s->head, &sweep);
    s->head_seconds += rt_now() - t0;
    const bool layers = rt_step_layers_active(&s->layers);
    if (layers) {
        rt_step_layers_compare(&s->layers, &s->rows, s->acts, &batch, s->row_ids, m->n_rows);
    }
    rt_net_backward_shown(s->model, grads, s->acts, &batch, s->dx,
                          layers ? &(rt_net_visitor){.visit = rt_step_layers_add, .ud = &s->layers} : NULL);
}

/* --- the step --------------------------------------------------------------------------------------------------- */

/* Which rows count, before any of them is computed: their number is the denominator. */
static void count_rows(rt_step *s, const rt_source_batch *b, rt_step_report *r)
{
    for (int64_t i = 0; i < b->n_rows; i++) {
        bool counted = rt_step_has_target(b, i, s->rows.distils || s->states.n_losses > 0, s->source.d_model);
        s->rows.values[i] = (rt_row_value){.kl = NAN, .counted = counted};
        r->rows += counted;
    }
    r->missing = b->n_rows - r->rows;
}

/* In row order, whoever computed them. */
static void sum_values(const rt_step *s, int64_t n_rows, rt_step_report *r)
{
    double kl = 0, ce = 0, state = 0, kd_square = 0, ce_square = 0;
    for (int64_t i = 0; i < n_rows; i++) {
        const rt_row_value *v = &s->rows.values[i];
        if (!v->counted) {
            continue;
        }
        r->loss_sum += v->loss;
        kl += v->kl;
        ce += v->ce;
        state += v->state;
        kd_square += v->kd_square;
        ce_square += v->ce_square;
        r->probed += s->rows.distils && i % RT_STEP_PROBE == 0;
    }
    double n = (double)r->rows;
    r->loss = r->loss_sum / n;
    r->kl = s->rows.distils ? kl / n : NAN;
    r->ce = ce / n;
    r->state = s->states.first || (s->layers.states.first && rt_step_layers_active(&s->layers)) ? state / n : NAN;
    if (r->probed) {
        r->kd_norm = sqrt(kd_square / (double)r->probed);
        r->ce_norm = sqrt(ce_square / (double)r->probed);
    }
}

rt_status rt_step_run(rt_step *s, const rt_source_batch *b, float *grads, rt_step_report *r, rt_err *err)
{
    *r = (rt_step_report){.tokens = b->net.n_rows};
    if (b->net.n_rows > s->batch_rows || b->n_rows > b->net.n_rows) {
        return rt_fail(err, RT_INPUT, 0, "a batch of %lld tokens is larger than the %lld asked for",
                       (long long)b->net.n_rows, (long long)s->batch_rows);
    }
    if (s->teacher && !b->teacher_hidden && (b->teacher != s->teacher || !b->teacher_x)) {
        return rt_fail(err, RT_USAGE, 0, "the data's teacher is not the teacher given to training");
    }
    count_rows(s, b, r);
    if (r->rows == 0) {
        return rt_fail(err, RT_INPUT, 0, "a batch of %lld tokens has no position with a target", (long long)r->tokens);
    }
    s->rows.batch = b;
    s->rows.weight = s->scale / (double)r->rows;
    for (micro m = {0}; next_micro(s, b, &m);) {
        if (m.n_rows > 0) {
            run_micro(s, b, &m, grads);
        }
    }
    sum_values(s, b->n_rows, r);
    return RT_OK;
}

rt_step_seconds rt_step_take_seconds(rt_step *s)
{
    const rt_step_seconds seconds = {s->head_seconds, rt_acts_take_attention_seconds(s->acts)};
    s->head_seconds = 0;
    return seconds;
}
