/* pack.c - fills sequences of a fixed length with pieces of documents, first fit in document order. */
#include <string.h>

#include "text/corpus.h"

/* Sequences looked at for room; the oldest one is closed when more would be open. Keeps packing linear in the pieces.
 */
#define N_OPEN 64

typedef struct piece {
    int64_t src, n;
    int32_t doc;
    int64_t sequence; /* it was put into */
} piece;

typedef struct packing {
    piece *pieces;
    size_t n_pieces;
    int64_t n_sequences;
    struct {
        int64_t sequence, room;
    } open[N_OPEN]; /* oldest first */
    int n_open;
} packing;

/* Tokens at the begin of the document's piece at `at` that are repeated from the document's: BOS or none. */
static int64_t repeated(const rt_document *d, int64_t at)
{
    return d->opened && at > 0;
}

static size_t count_pieces(const rt_corpus *c, int64_t sequence)
{
    size_t n = 0;
    for (size_t i = 0; i < c->n_docs; i++) {
        for (int64_t at = 0; at < c->docs[i].n; at += sequence - repeated(&c->docs[i], at)) {
            n++;
        }
    }
    return n;
}

static void close_open(packing *p, int i)
{
    p->n_open--;
    memmove(&p->open[i], &p->open[i + 1], (size_t)(p->n_open - i) * sizeof p->open[0]);
}

/* First open sequence with room for n tokens, else a new one; a full piece needs no place among the open ones. */
static int64_t place(packing *p, int64_t n, int64_t sequence)
{
    int i = 0;
    if (n == sequence) {
        return p->n_sequences++;
    }
    while (i < p->n_open && p->open[i].room < n) {
        i++;
    }
    if (i == p->n_open) {
        if (p->n_open == N_OPEN) {
            close_open(p, 0);
            i--;
        }
        p->open[i].sequence = p->n_sequences++;
        p->open[i].room = sequence;
        p->n_open++;
    }
    int64_t chosen = p->open[i].sequence;
    p->open[i].room -= n;
    if (p->open[i].room == 0) {
        close_open(p, i);
    }
    return chosen;
}

/* Returns the number of tokens. */
static int64_t cut_and_place(packing *p, const rt_corpus *c, int64_t sequence)
{
    int64_t n_tokens = 0;
    for (size_t i = 0; i < c->n_docs; i++) {
        const rt_document *d = &c->docs[i];
        for (int64_t at = 0, own; at < d->n; at += own) {
            const int64_t again = repeated(d, at), room = sequence - again;
            own = d->n - at < room ? d->n - at : room;
            const int64_t n = own + again;
            p->pieces[p->n_pieces++] = (piece){d->first + at, n, (int32_t)i, place(p, n, sequence)};
            n_tokens += n;
        }
    }
    return n_tokens;
}

/* Counting sort by sequence; pieces of one sequence keep document order. */
static void order_segments(rt_packed *out, const packing *p)
{
    int64_t *first = out->sequence_first_segment;
    for (size_t i = 0; i < p->n_pieces; i++) {
        first[p->pieces[i].sequence + 1]++;
    }
    for (size_t s = 0; s < out->n_sequences; s++) {
        first[s + 1] += first[s];
    }
    for (size_t i = 0; i < p->n_pieces; i++) {
        const piece *q = &p->pieces[i];
        out->segments[first[q->sequence]++] = (rt_segment){.n = q->n, .src = q->src, .doc = q->doc};
    }
    /* Filling moved each start to the next one's place. */
    memmove(first + 1, first, out->n_sequences * sizeof *first);
    first[0] = 0;
}

static void copy_tokens(rt_packed *out, const rt_corpus *c)
{
    int64_t at = 0;
    for (size_t i = 0; i < out->n_segments; i++) {
        rt_segment *s = &out->segments[i];
        const rt_document *d = &c->docs[s->doc];
        const int64_t again = repeated(d, s->src - d->first), own = s->n - again;
        s->start = at;
        memcpy(out->ids + at, c->ids.p + d->first, (size_t)again * sizeof *out->ids);
        memcpy(out->ids + at + again, c->ids.p + s->src, (size_t)own * sizeof *out->ids);
        for (int64_t k = 1; k < s->n; k++) {
            out->loss_mask[at + k - 1] = c->mask[s->src + k - again];
        }
        at += s->n;
    }
}

static rt_status hash_packed(rt_packed *p, rt_err *err)
{
    rt_sha256 h;
    rt_status st = rt_sha256_open(&h, err);
    if (st != RT_OK) {
        return st;
    }
    int64_t numbers[4] = {p->sequence, p->n_tokens, (int64_t)p->n_segments, (int64_t)p->n_sequences};
    rt_sha256_add(&h, numbers, sizeof numbers);
    for (size_t i = 0; i < p->n_segments; i++) {
        int64_t s[3] = {p->segments[i].start, p->segments[i].n, p->segments[i].doc};
        rt_sha256_add(&h, s, sizeof s);
    }
    rt_sha256_add(&h, p->sequence_first_segment, (p->n_sequences + 1) * sizeof *p->sequence_first_segment);
    rt_sha256_add(&h, p->ids, (size_t)p->n_tokens * sizeof *p->ids);
    rt_sha256_add(&h, p->loss_mask, (size_t)p->n_tokens);
    p->hash = rt_sha256_close(&h);
    return RT_OK;
}

rt_status rt_pack(rt_packed *out, const rt_corpus *c, int sequence, rt_err *err)
{
    rt_status st = RT_OK;
    packing p = {0};
    *out = (rt_packed){.sequence = sequence};
    if (sequence < 2) {
        RT_FAIL_OUT(err, RT_USAGE, 0, "sequence length %d is too short: nothing is predicted in it", sequence);
    }
    RT_TRY(RT_NEW(&p.pieces, count_pieces(c, sequence), "pieces of documents", err));
    out->n_tokens = cut_and_place(&p, c, sequence);
    out->n_segments = p.n_pieces;
    out->n_sequences = (size_t)p.n_sequences;
    RT_TRY(RT_NEW(&out->ids, (size_t)out->n_tokens, "packed tokens", err));
    RT_TRY(RT_NEW(&out->loss_mask, (size_t)out->n_tokens, "packed mask", err));
    RT_TRY(RT_NEW(&out->segments, out->n_segments, "segments", err));
    RT_TRY(RT_NEW(&out->sequence_first_segment, out->n_sequences + 1, "sequences", err));
    order_segments(out, &p);
    copy_tokens(out, c);
    RT_TRY(hash_packed(out, err));
out:
    rt_free(p.pieces);
    if (st != RT_OK) {
        rt_packed_release(out);
    }
    return st;
}

void rt_packed_release(rt_packed *p)
{
    rt_free(p->ids);
    rt_free(p->loss_mask);
    rt_free(p->segments);
    rt_free(p->sequence_first_segment);
    *p = (rt_packed){0};
}
