/* toy.h - a source of batches under the test's control: this file stands in for teacher/source.h's functions at link
 * time, so that targets can be withheld, shuffled or watched. */
#ifndef RT_TESTS_TRAIN_TOY_H
#define RT_TESTS_TRAIN_TOY_H

#include <math.h>
#include <signal.h>

#include "tensor/gemm.h"
#include "unit/train/toy_model.h"

enum { TOY_SEQUENCES = 12, TOY_LONGEST = 24, TOY_DRAWS = 50, TOY_TOP = 16, TOY_MAX_ROWS = TOY_SEQUENCES * TOY_LONGEST };

/* --- the source ----------------------------------------------------------------------------------------------------
 */

typedef struct toy_row {
    int n;
    int32_t ids[TOY_DRAWS];
    float weight[TOY_DRAWS];
    float log_tail, entropy;
} toy_row;

struct rt_source {
    rt_source_info info;
    const rt_model *teacher; /* DENSE */
    rt_acts *acts;
    int32_t ids[TOY_SEQUENCES][TOY_LONGEST];
    int64_t length[TOY_SEQUENCES];
    toy_row rows[TOY_SEQUENCES][TOY_LONGEST];
    float *hidden; /* [sequence][position][d] */
    /* one batch */
    int32_t b_ids[TOY_MAX_ROWS], b_rows[TOY_MAX_ROWS], b_labels[TOY_MAX_ROWS];
    rt_span b_spans[2 * TOY_SEQUENCES];
    rt_target b_targets[TOY_MAX_ROWS];
    float *b_hidden;
    /* under the test's control */
    int64_t missing_every;   /* every n-th target is absent; 0: none */
    bool shuffled;           /* targets of other positions */
    int64_t calls, raise_at; /* rt_source_next calls so far; SIGTERM at this one */
    int64_t poison_at;       /* an entropy that is no number in this call's targets */
    uint64_t allocs_at[2];   /* n_alloc seen at calls watch[0], watch[1] */
    int64_t primitives_at[2], watch[2];
};

/* Two segments a sequence: the first third and the rest. */
static inline int64_t toy_cut(const rt_source *s, int64_t q)
{
    return s->length[q] / 3;
}

static inline bool toy_predicts(const rt_source *s, int64_t q, int64_t t)
{
    return t + 1 != toy_cut(s, q) && t + 1 < s->length[q];
}

typedef struct toy_logits {
    float *logits, *hidden; /* [rows][V], [rows][d] */
    int64_t v, d;
} toy_logits;

static inline void toy_keep(void *ud, const rt_head_row *row)
{
    toy_logits *k = ud;
    memcpy(k->logits + row->index * k->v, row->logits, (size_t)k->v * sizeof(float));
    memcpy(k->hidden + row->index * k->d, row->hidden, (size_t)k->d * sizeof(float));
}

static inline void toy_draw(toy_row *row, const double *p, int64_t v, rt_rng *rng)
{
    int counts[512] = {0};
    for (int d = 0; d < TOY_DRAWS; d++) {
        double u = rt_rng_f64(rng);
        int64_t i = 0;
        for (; i + 1 < v && u >= p[i]; i++) {
            u -= p[i];
        }
        counts[i]++;
    }
    row->n = 0;
    for (int64_t i = 0; i < v; i++) {
        row->entropy -= p[i] > 0 ? (float)(p[i] * log(p[i])) : 0;
        if (counts[i]) {
            row->ids[row->n] = (int32_t)i;
            row->weight[row->n++] = (float)counts[i] / TOY_DRAWS;
        }
    }
}

static inline void toy_top(toy_row *row, const double *p, int64_t v)
{
    bool taken[512] = {false};
    double mass = 0;
    for (row->n = 0; row->n < TOY_TOP; row->n++) {
        int64_t best = -1;
        for (int64_t i = 0; i < v; i++) {
            best = !taken[i] && (best < 0 || p[i] > p[best]) ? i : best;
        }
        taken[best] = true;
        mass += p[best];
        row->ids[row->n] = (int32_t)best;
        row->weight[row->n] = (float)log(p[best]);
    }
    row->log_tail = (float)log1p(-mass);
}

static inline void toy_ask_teacher(rt_source *s, const rt_model *teacher, int64_t q)
{
    rt_err err;
    rt_acts *acts;
    rt_head *head;
    int64_t n = s->length[q], cut = toy_cut(s, q), v = teacher->hp.n_vocab, d = teacher->hp.d_model;
    rt_span spans[2] = {{.row0 = 0, .n = cut}, {.row0 = cut, .n = n - cut}};
    rt_batch b = {.ids = s->ids[q], .n_rows = n, .spans = spans, .n_spans = 2};
    toy_logits k = {.logits = rt_malloc((size_t)(n * v) * sizeof(float)),
                    .hidden = s->hidden + q * TOY_LONGEST * d,
                    .v = v,
                    .d = d};
    assert_ok(rt_acts_new(&acts, teacher, TOY_LONGEST, TOY_LONGEST, RT_NET_FORWARD, &err));
    assert_ok(rt_head_new(&head, teacher, NULL, false, &err));
    rt_net_forward(teacher, acts, &b);
    rt_head_run(
        head,
        &(rt_head_sweep){
            .model = teacher, .x = rt_acts_x(acts), .n_rows = n, .mode = RT_NET_FORWARD, .visit = toy_keep, .ud = &k});
    for (int64_t t = 0; t < n; t++) {
        double p[512], sum = 0;
        const float *z = k.logits + t * v;
        for (int64_t i = 0; i < v; i++) {
            sum += p[i] = exp((double)z[i]);
        }
        for (int64_t i = 0; i < v; i++) {
            p[i] /= sum;
        }
        rt_rng rng = rt_rng_init(11, "draws", (uint64_t)(q * TOY_LONGEST + t));
        if (s->info.kind == RT_SOURCE_SAMPLE) {
            toy_draw(&s->rows[q][t], p, v, &rng);
        } else if (s->info.kind == RT_SOURCE_TOPK) {
            toy_top(&s->rows[q][t], p, v);
        }
    }
    rt_head_free(head);
    rt_acts_free(acts);
    rt_free(k.logits);
}

static inline rt_source *toy_source(rt_source_kind kind, const rt_model *teacher)
{
    rt_err err;
    rt_source *s;
    int64_t d = teacher->hp.d_model;
    rt_rng rng = rt_rng_init(5, "text", 0);
    assert_ok(RT_NEW(&s, 1, "toy source", &err));
    s->info = (rt_source_info){.kind = kind,
                               .n_sequences = TOY_SEQUENCES,
                               .n_vocab = teacher->hp.n_vocab,
                               .d_model = d,
                               .sequence = TOY_LONGEST,
                               .draws = TOY_DRAWS,
                               .max_entries = TOY_DRAWS,
                               .temperature = 1};
    s->teacher = teacher;
    s->hidden = rt_calloc(TOY_MAX_ROWS * (size_t)d, sizeof(float));
    s->b_hidden = rt_calloc(TOY_MAX_ROWS * (size_t)d, sizeof(float));
    assert_ok(rt_acts_new(&s->acts, teacher, TOY_MAX_ROWS, TOY_LONGEST, RT_NET_FORWARD, &err));
    for (int64_t q = 0; q < TOY_SEQUENCES; q++) {
        s->length[q] = q % 3 == 2 ? 9 : TOY_LONGEST - q % 2;
        for (int64_t t = 0; t < s->length[q]; t++) {
            s->ids[q][t] = (int32_t)rt_rng_below(&rng, 40); /* few ids, met again and again */
            s->info.n_targets += toy_predicts(s, q, t);
        }
        s->info.n_tokens += s->length[q];
        toy_ask_teacher(s, teacher, q);
    }
    s->info.hash = rt_sha256_of(s->rows, sizeof s->rows);
    return s;
}

void rt_source_close(rt_source *s)
{
    if (s) {
        rt_acts_free(s->acts);
        rt_free(s->hidden);
        rt_free(s->b_hidden);
        rt_free(s);
    }
}

const rt_source_info *rt_source_get_info(const rt_source *s)
{
    return &s->info;
}

/* A rotation of the order in each epoch: enough to tell a lost cursor. */
static inline int64_t toy_at(rt_source_cursor c)
{
    return (c.index * 5 + c.epoch) % TOY_SEQUENCES;
}

static inline void toy_step(rt_source_cursor *c)
{
    if (++c->index == TOY_SEQUENCES) {
        *c = (rt_source_cursor){c->epoch + 1, 0};
    }
}

static inline void toy_add_row(rt_source *s, rt_source_batch *b, int64_t q, int64_t t, int64_t row)
{
    int64_t i = b->n_rows++, d = s->info.d_model;
    int64_t from = s->shuffled ? (t * 7 + 3) % (s->length[q] - 1) : t, of = s->shuffled ? (q + 1) % TOY_SEQUENCES : q;
    const toy_row *r = &s->rows[of][s->shuffled ? from % (s->length[of] - 1) : from];
    bool missing = s->missing_every && (q * TOY_LONGEST + t) % s->missing_every == 0;
    s->b_rows[i] = (int32_t)row;
    s->b_labels[i] = s->ids[q][t + 1];
    s->b_targets[i] = (rt_target){.kind = s->info.kind == RT_SOURCE_SAMPLE ? RT_TARGET_SAMPLE
                                          : s->info.kind == RT_SOURCE_TOPK ? RT_TARGET_TOPK
                                                                           : RT_TARGET_LABEL,
                                  .label = s->b_labels[i],
                                  .n = missing ? 0 : r->n,
                                  .ids = r->ids,
                                  .weight = r->weight,
                                  .log_tail = r->log_tail,
                                  .entropy = r->entropy};
    memcpy(s->b_hidden + i * d, s->hidden + (q * TOY_LONGEST + t) * d, (size_t)d * sizeof(float));
}

static inline void toy_add_sequence(rt_source *s, rt_source_batch *b, int64_t q)
{
    int64_t row0 = b->net.n_rows, cut = toy_cut(s, q);
    s->b_spans[b->net.n_spans++] = (rt_span){.row0 = row0, .n = cut};
    s->b_spans[b->net.n_spans++] = (rt_span){.row0 = row0 + cut, .n = s->length[q] - cut};
    for (int64_t t = 0; t < s->length[q]; t++) {
        s->b_ids[row0 + t] = s->ids[q][t];
        if (toy_predicts(s, q, t)) {
            toy_add_row(s, b, q, t, row0 + t);
        }
    }
    b->net.n_rows += s->length[q];
    b->n_sequences++;
}

int64_t rt_source_peek_tokens(rt_source *s, const rt_source_cursor *cursor, int64_t batch_tokens)
{
    rt_source_cursor c = *cursor;
    int64_t n = 0;
    for (int count = 0; count < TOY_SEQUENCES && (n == 0 || n + s->length[toy_at(c)] <= batch_tokens); count++) {
        n += s->length[toy_at(c)];
        toy_step(&c);
    }
    return n;
}

rt_status rt_source_next(rt_source *s, rt_source_cursor *cursor, int64_t batch_tokens, rt_source_batch *b, rt_err *err)
{
    (void)err;
    int64_t tokens = rt_source_peek_tokens(s, cursor, batch_tokens);
    *b = (rt_source_batch){.net = {.ids = s->b_ids, .spans = s->b_spans}, .rows = s->b_rows, .labels = s->b_labels};
    while (b->net.n_rows < tokens) {
        toy_add_sequence(s, b, toy_at(*cursor));
        toy_step(cursor);
    }
    if (s->info.kind == RT_SOURCE_HIDDEN) {
        b->teacher_hidden = s->b_hidden;
    } else if (s->info.kind == RT_SOURCE_DENSE) {
        rt_net_forward(s->teacher, s->acts, &b->net);
        b->teacher = s->teacher;
        b->teacher_x = rt_acts_x(s->acts);
    } else {
        b->targets = s->b_targets;
    }
    s->calls++;
    for (int i = 0; i < 2; i++) {
        if (s->watch[i] == s->calls) {
            s->allocs_at[i] = rt_mem_get_stats().n_alloc;
            s->primitives_at[i] = rt_gemm_n_primitives();
        }
    }
    if (s->poison_at == s->calls) {
        s->b_targets[1].entropy = NAN;
    }
    if (s->raise_at == s->calls) {
        raise(SIGTERM);
    }
    return RT_OK;
}

#endif
