/* source_next.c - the order of sequences and the filling of batches. */
#include <string.h>

#include "teacher/source_impl.h"

/* ---- order ---- */

/* Fisher and Yates with a generator of the epoch's own: no state is carried from epoch to epoch. */
static void make_order(const rt_source *s, int64_t epoch, int32_t *order)
{
    rt_rng r = rt_rng_init(s->o.seed, "order of sequences", (uint64_t)epoch);
    for (int64_t i = 0; i < s->info.n_sequences; i++) {
        order[i] = (int32_t)i;
    }
    for (int64_t i = s->info.n_sequences - 1; i > 0 && !s->o.in_order; i--) {
        int64_t j = (int64_t)rt_rng_below(&r, (uint64_t)i + 1);
        int32_t swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
}

/* Sequence at the cursor, counted from the source's first. */
static int64_t sequence_at(rt_source *s, const rt_source_cursor *c)
{
    int slot = (int)(c->epoch & 1);
    if (s->order_epoch[slot] != c->epoch) {
        make_order(s, c->epoch, s->order[slot]);
        s->order_epoch[slot] = c->epoch;
    }
    return s->order[slot][c->index];
}

static void advance(const rt_source *s, rt_source_cursor *c)
{
    if (++c->index == s->info.n_sequences) {
        *c = (rt_source_cursor){.epoch = c->epoch + 1};
    }
}

/* Moves `c` behind the next batch and returns its tokens; `take` (may be NULL) is called for each sequence. */
static rt_status walk(rt_source *s, rt_source_cursor *c, int64_t batch_tokens, int64_t *n_tokens,
                      rt_status (*take)(rt_source *s, int64_t sequence, rt_err *err), rt_err *err)
{
    rt_status st = RT_OK;
    const int64_t epoch = c->epoch;
    *n_tokens = 0;
    do {
        int64_t i = sequence_at(s, c);
        if (*n_tokens > 0 && *n_tokens + s->n_tokens[i] > batch_tokens) {
            break;
        }
        *n_tokens += s->n_tokens[i];
        if (take) {
            RT_TRY(take(s, s->o.first + i, err));
        }
        advance(s, c);
    } while (*n_tokens < batch_tokens && !(s->o.stop_at_epoch && c->epoch != epoch));
out:
    return st;
}

int64_t rt_source_peek_tokens(rt_source *s, const rt_source_cursor *cursor, int64_t batch_tokens)
{
    rt_source_cursor c = *cursor;
    int64_t n_tokens = 0;
    RT_BUG_IF(batch_tokens > 0 && walk(s, &c, batch_tokens, &n_tokens, NULL, NULL) != RT_OK);
    return n_tokens;
}

/* ---- content ---- */

static void add_more(rt_source *s)
{
    for (size_t i = 0; s->o.more && i < s->o.more->n_sequences; i++) {
        rt_gather_add_packed(&s->g, s->o.more, (int64_t)i);
    }
}

static void copy_targets(rt_source *s, int64_t row0)
{
    int64_t row = row0;
    for (int64_t i = 0; i < s->sequence.n; i++) {
        if (s->sequence.mask[i] == 0) {
            continue;
        }
        const rt_target *from = &s->sequence.targets[i];
        size_t at = (size_t)(row * s->info.max_entries);
        memcpy(s->entry_ids + at, from->ids, (size_t)from->n * sizeof *from->ids);
        memcpy(s->entry_weights + at, from->weight, (size_t)from->n * sizeof *from->weight);
        s->targets[row] = *from;
        s->targets[row].ids = s->entry_ids + at;
        s->targets[row++].weight = s->entry_weights + at;
    }
}

static void copy_hidden(rt_source *s, int64_t row0)
{
    const size_t d = (size_t)s->info.d_model;
    float *to = s->hidden + (size_t)row0 * d;
    for (int64_t i = 0; i < s->sequence.n; i++) {
        if (s->sequence.mask[i] != 0) {
            memcpy(to, s->sequence.hidden[i], d * sizeof *to);
            to += d;
        }
    }
}

static rt_status take_cached(rt_source *s, int64_t sequence, rt_err *err)
{
    int64_t row0 = s->g.n_rows;
    rt_status st = rt_cache_read(s->cache, sequence, &s->sequence, err);
    if (st != RT_OK) {
        return st;
    }
    rt_gather_add_cached(&s->g, &s->sequence);
    if (s->info.kind == RT_SOURCE_HIDDEN) {
        copy_hidden(s, row0);
    } else {
        copy_targets(s, row0);
    }
    return RT_OK;
}

static rt_status take_packed(rt_source *s, int64_t sequence, rt_err *err)
{
    (void)err;
    rt_gather_add_packed(&s->g, s->packed, sequence);
    return RT_OK;
}

static void set_labels(rt_source *s)
{
    for (int64_t i = 0; i < s->g.n_rows; i++) {
        s->targets[i] = (rt_target){.kind = RT_TARGET_LABEL, .label = s->g.labels[i]};
    }
}

/* The teacher's draws for the batch, in the form a cache would have given them. */
static void draw_targets(rt_source *s)
{
    const rt_cache_row *rows = rt_answers_run(s->answers, &s->g);
    for (int64_t i = 0; i < s->g.n_rows; i++) {
        float *weight = s->entry_weights + i * s->info.max_entries;
        for (int j = 0; j < rows[i].n; j++) {
            weight[j] = (float)rows[i].counts[j] / (float)s->info.draws;
        }
        s->targets[i] = (rt_target){.kind = RT_TARGET_SAMPLE,
                                    .label = s->g.labels[i],
                                    .n = rows[i].n,
                                    .ids = rows[i].ids,
                                    .weight = weight,
                                    .entropy = rows[i].entropy};
    }
}

static void answer(rt_source *s, rt_source_batch *b)
{
    switch (s->info.kind) {
    case RT_SOURCE_LABELS: set_labels(s); break;
    case RT_SOURCE_SAMPLE:
        if (s->answers) {
            draw_targets(s);
        }
        break;
    case RT_SOURCE_DENSE:
        rt_net_forward(s->teacher, s->acts, &b->net);
        b->teacher = s->teacher;
        b->teacher_x = rt_acts_x(s->acts);
        break;
    case RT_SOURCE_TOPK:
    case RT_SOURCE_HIDDEN: break;
    }
}

rt_status rt_source_next(rt_source *s, rt_source_cursor *cursor, int64_t batch_tokens, rt_source_batch *b, rt_err *err)
{
    rt_status st = RT_OK;
    rt_source_cursor c = *cursor;
    int64_t n_tokens, n_rows;
    if (c.epoch < 0 || c.index < 0 || c.index >= s->info.n_sequences) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "place %lld of epoch %lld is outside the data (%lld sequences)",
                    (long long)c.index, (long long)c.epoch, (long long)s->info.n_sequences);
    }
    RT_BUG_IF(batch_tokens > s->g.max_tokens);
    rt_gather_clear(&s->g);
    if (batch_tokens > 0) {
        RT_TRY(walk(s, &c, batch_tokens, &n_tokens, s->cache ? take_cached : take_packed, err));
    }
    n_rows = s->g.n_rows;
    add_more(s);
    *b = (rt_source_batch){.net = rt_gather_batch(&s->g),
                           .n_sequences = s->g.n_sequences,
                           .n_rows = s->g.n_rows,
                           .rows = s->g.rows,
                           .labels = s->g.labels,
                           .positions = s->cache ? NULL : s->g.positions,
                           .n_more = s->g.n_rows - n_rows,
                           .targets = s->targets,
                           .teacher_hidden = s->hidden};
    answer(s, b);
    *cursor = c;
out:
    return st;
}
