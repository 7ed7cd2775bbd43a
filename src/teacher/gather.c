/* gather.c - building batches of whole sequences. */
#include "teacher/gather.h"

#include <string.h>

rt_status rt_gather_init(rt_gather *g, int64_t max_tokens, rt_err *err)
{
    rt_status st = RT_OK;
    size_t n = (size_t)max_tokens;
    g->max_tokens = max_tokens;
    RT_TRY(RT_NEW(&g->ids, n, "batch ids", err));
    RT_TRY(RT_NEW(&g->spans, n, "batch spans", err));
    RT_TRY(RT_NEW(&g->rows, n, "batch rows", err));
    RT_TRY(RT_NEW(&g->labels, n, "batch labels", err));
    RT_TRY(RT_NEW(&g->positions, n, "batch positions", err));
out:
    return st;
}

void rt_gather_release(rt_gather *g)
{
    rt_free(g->ids);
    rt_free(g->spans);
    rt_free(g->rows);
    rt_free(g->labels);
    rt_free(g->positions);
    memset(g, 0, sizeof *g);
}

void rt_gather_clear(rt_gather *g)
{
    g->n_tokens = g->n_spans = g->n_rows = g->n_sequences = 0;
}

static void add_row(rt_gather *g, int64_t row, int32_t label, int64_t position)
{
    g->rows[g->n_rows] = (int32_t)row;
    g->labels[g->n_rows] = label;
    g->positions[g->n_rows++] = position;
}

void rt_gather_add_piece(rt_gather *g, const rt_packed *p, const rt_segment *s, int64_t n)
{
    RT_BUG_IF(n > s->n || g->n_tokens + n > g->max_tokens);
    memcpy(g->ids + g->n_tokens, p->ids + s->start, (size_t)n * sizeof *g->ids);
    g->spans[g->n_spans++] = (rt_span){.row0 = g->n_tokens, .n = n};
    for (int64_t k = 0; k < n; k++) {
        if (p->loss_mask[s->start + k] != 0) {
            add_row(g, g->n_tokens + k, p->ids[s->start + k + 1], s->start + k);
        }
    }
    g->n_tokens += n;
}

void rt_gather_add_packed(rt_gather *g, const rt_packed *p, int64_t sequence)
{
    for (int64_t i = p->sequence_first_segment[sequence]; i < p->sequence_first_segment[sequence + 1]; i++) {
        rt_gather_add_piece(g, p, &p->segments[i], p->segments[i].n);
    }
    g->n_sequences++;
}

void rt_gather_add_cached(rt_gather *g, const rt_cache_sequence *s)
{
    RT_BUG_IF(g->n_tokens + s->n > g->max_tokens);
    memcpy(g->ids + g->n_tokens, s->ids, (size_t)s->n * sizeof *g->ids);
    for (int64_t i = 0; i < s->n_segments; i++) {
        g->spans[g->n_spans++] =
            (rt_span){.row0 = g->n_tokens + s->segment_start[i], .n = s->segment_start[i + 1] - s->segment_start[i]};
    }
    for (int64_t i = 0; i < s->n; i++) {
        if (s->mask[i] != 0) {
            add_row(g, g->n_tokens + i, s->label[i], -1);
        }
    }
    g->n_tokens += s->n;
    g->n_sequences++;
}

static int64_t piece_tokens(const rt_segment *s)
{
    return s->n < RT_PIECE_TOKENS ? s->n : RT_PIECE_TOKENS;
}

rt_status rt_gather_spread(rt_gather *g, const rt_packed *p, int64_t tokens, rt_err *err)
{
    const int64_t n_segments = (int64_t)p->n_segments, room = tokens > RT_PIECE_TOKENS ? tokens : RT_PIECE_TOKENS;
    int64_t all = 0;
    for (int64_t i = 0; i < n_segments; i++) {
        all += piece_tokens(&p->segments[i]);
    }
    RT_BUG_IF(all == 0);
    int64_t n = (room * n_segments + all - 1) / all; /* pieces of mean length that fill the room */
    n = n < n_segments ? n : n_segments;
    const rt_status st = rt_gather_init(g, room, err);
    for (int64_t i = 0; st == RT_OK && i < n; i++) {
        const rt_segment *s = &p->segments[i * n_segments / n];
        if (g->n_tokens + piece_tokens(s) <= room) {
            rt_gather_add_piece(g, p, s, piece_tokens(s));
        }
    }
    return st;
}

rt_batch rt_gather_batch(const rt_gather *g)
{
    return (rt_batch){.ids = g->ids, .n_rows = g->n_tokens, .spans = g->spans, .n_spans = g->n_spans};
}

int64_t rt_packed_sequence_tokens(const rt_packed *p, int64_t sequence)
{
    const rt_segment *first = &p->segments[p->sequence_first_segment[sequence]];
    const rt_segment *last = &p->segments[p->sequence_first_segment[sequence + 1] - 1];
    return last->start + last->n - first->start;
}

int64_t rt_packed_sequence_targets(const rt_packed *p, int64_t sequence)
{
    int64_t n = 0, first = p->segments[p->sequence_first_segment[sequence]].start;
    for (int64_t i = first; i < first + rt_packed_sequence_tokens(p, sequence); i++) {
        n += p->loss_mask[i] != 0;
    }
    return n;
}

rt_status rt_packed_fits(const rt_packed *p, int64_t context, int64_t n_vocab, rt_err *err)
{
    if (p->n_sequences == 0) {
        return rt_fail(err, RT_INPUT, 0, "the corpus has no sequences");
    }
    if (context > 0 && p->sequence > context) {
        return rt_fail(err, RT_INPUT, 0, "sequences of %d tokens do not fit into the teacher's context of %lld",
                       p->sequence, (long long)context);
    }
    for (int64_t i = 0; i < p->n_tokens; i++) {
        if (p->ids[i] < 0 || p->ids[i] >= n_vocab) {
            return rt_fail(err, RT_INPUT, (uint64_t)i,
                           "token %lld of the corpus has id %d, the teacher's vocabulary ends at %lld: wrong tokenizer",
                           (long long)i, p->ids[i], (long long)n_vocab - 1);
        }
    }
    return RT_OK;
}

rt_status rt_packed_check(const rt_packed *p, const rt_model *m, rt_err *err)
{
    return rt_packed_fits(p, m->rope_rows, m->hp.n_vocab, err);
}
