/* bpe.c - merging with a priority queue. Symbols form a linked list; each remembers the rank of the pair it opens, and
 * a queue entry (rank, position) that no longer agrees with it is stale. */
#include "text/bpe.h"

#include <string.h>

#include "text/utf8.h"

#define NO_RANK UINT32_MAX
#define NONE UINT32_MAX /* no such symbol */

struct rt_pair_slot {
    int32_t left, right;
    uint32_t rank; /* NO_RANK: the slot is free */
    int32_t id;
};

struct rt_symbol {
    int32_t id, merged; /* merged: id of this symbol joined with the next one; id -1: no token is this text */
    uint32_t prev, next;
    uint32_t rank;  /* of the pair (this, next) */
    uint32_t at, n; /* its text in the piece */
};

static uint32_t pair_hash(int32_t left, int32_t right)
{
    uint64_t key = (uint64_t)(uint32_t)left << 32 | (uint32_t)right;
    return (uint32_t)(key * 0x9E3779B97F4A7C15u >> 32);
}

static struct rt_pair_slot *pair_slot(const rt_bpe *b, int32_t left, int32_t right)
{
    uint32_t i = pair_hash(left, right) & b->mask;
    while (b->slots[i].rank != NO_RANK && (b->slots[i].left != left || b->slots[i].right != right)) {
        i = (i + 1) & b->mask;
    }
    return &b->slots[i];
}

static rt_status find_bytes(rt_bpe *b, const rt_vocab *v, rt_err *err)
{
    for (int c = 0; c < 256; c++) {
        rt_str s = {0};
        if (v->alphabet == RT_ALPHABET_SPACES) {
            rt_str_printf(&s, "<0x%02X>", (unsigned)c);
        } else {
            rt_utf8_add(&s, rt_byte_to_char((uint8_t)c));
        }
        b->byte_id[c] = s.failed ? -1 : rt_vocab_find(v, s.p, s.n);
        bool failed = s.failed;
        rt_str_release(&s);
        if (failed) {
            return rt_fail(err, RT_MEMORY, 0, "no memory for the byte tokens");
        }
    }
    return RT_OK;
}

rt_status rt_bpe_init(rt_bpe *b, const rt_vocab *v, size_t n_merges, rt_err *err)
{
    rt_status st = RT_OK;
    if (n_merges > UINT32_MAX / 4) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "tokenizer has %zu merges", n_merges);
    }
    uint32_t n_slots = 16;
    while (n_slots < n_merges * 2) {
        n_slots *= 2;
    }
    RT_TRY(n_merges > 0 ? RT_NEW(&b->merges, n_merges, "merges", err) : RT_OK);
    RT_TRY(RT_NEW(&b->slots, n_slots, "index of the merges", err));
    for (uint32_t i = 0; i < n_slots; i++) {
        b->slots[i].rank = NO_RANK;
    }
    b->mask = n_slots - 1;
    b->vocab = v;
    b->of_characters = v->alphabet == RT_ALPHABET_SPACES;
    RT_TRY(find_bytes(b, v, err));
out:
    return st;
}

rt_status rt_bpe_add(rt_bpe *b, const rt_vocab *v, rt_slice left, rt_slice right, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str joined = {0};
    rt_str_add(&joined, left.p, left.n);
    rt_str_add(&joined, right.p, right.n);
    if (joined.failed) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for merge %zu", b->n_merges);
    }
    rt_merge m = {rt_vocab_find(v, left.p, left.n), rt_vocab_find(v, right.p, right.n),
                  rt_vocab_find(v, rt_str_cstr(&joined), joined.n)};
    if (m.left < 0 || m.right < 0 || m.id < 0) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "merge %zu ('%.*s' + '%.*s') uses a token that is not in the vocabulary",
                    b->n_merges, (int)(left.n < 64 ? left.n : 64), left.p, (int)(right.n < 64 ? right.n : 64), right.p);
    }
    /* A pair given twice keeps its later rank, as in HF's tokenizers. */
    struct rt_pair_slot *s = pair_slot(b, m.left, m.right);
    *s = (struct rt_pair_slot){m.left, m.right, (uint32_t)b->n_merges, m.id};
    b->merges[b->n_merges++] = m;
out:
    rt_str_release(&joined);
    return st;
}

/* Bits of a float in an order that its value has: higher scores get lower numbers, NO_RANK is none of them. */
static uint32_t rank_of_score(float score)
{
    uint32_t bits;
    memcpy(&bits, &score, sizeof bits);
    return ~(bits & 0x80000000u ? ~bits : bits | 0x80000000u);
}

float rt_bpe_score(const rt_bpe *b, int32_t id)
{
    const uint32_t ordered = ~b->score_ranks[id], bits = ordered & 0x80000000u ? ordered ^ 0x80000000u : ~ordered;
    float score;
    memcpy(&score, &bits, sizeof score);
    return score;
}

rt_status rt_bpe_set_scores(rt_bpe *b, const rt_vocab *v, const float *scores, rt_err *err)
{
    rt_status st = RT_OK;
    RT_TRY(RT_NEW(&b->score_ranks, (size_t)v->n, "scores of the tokens", err));
    for (int32_t id = 0; id < v->n; id++) {
        b->score_ranks[id] = rank_of_score(scores[id]);
        b->longest = v->tokens[id].text.n > b->longest ? v->tokens[id].text.n : b->longest;
    }
out:
    return st;
}

void rt_bpe_release(rt_bpe *b)
{
    rt_free(b->score_ranks);
    rt_free(b->merges);
    rt_free(b->slots);
    *b = (rt_bpe){0};
}

void rt_bpe_work_release(rt_bpe_work *w)
{
    rt_free(w->symbols);
    rt_free(w->heap);
    *w = (rt_bpe_work){0};
}

/* Room for n symbols and their queue: n - 1 entries at the start, and each of the n - 1 merges takes one out and puts
 * at most two in. */
static rt_status reserve(rt_bpe_work *w, size_t n, rt_err *err)
{
    rt_status st = RT_OK;
    if (n <= w->cap) {
        return RT_OK;
    }
    rt_bpe_work_release(w);
    size_t cap = n < 256 ? 256 : n;
    RT_TRY(RT_NEW(&w->symbols, cap, "symbols of a piece", err));
    RT_TRY(RT_NEW(&w->heap, cap * 2, "merge queue", err));
    w->cap = cap;
out:
    return st;
}

static void heap_push(uint64_t *h, size_t *n, uint64_t key)
{
    size_t i = (*n)++;
    for (; i > 0 && h[(i - 1) / 2] > key; i = (i - 1) / 2) {
        h[i] = h[(i - 1) / 2];
    }
    h[i] = key;
}

static uint64_t heap_pop(uint64_t *h, size_t *n)
{
    uint64_t top = h[0], last = h[--*n];
    size_t i = 0;
    for (size_t child = 1; child < *n; child = 2 * i + 1) {
        child += child + 1 < *n && h[child + 1] < h[child];
        if (last <= h[child]) {
            break;
        }
        h[i] = h[child];
        i = child;
    }
    h[i] = last;
    return top;
}

typedef struct merging {
    const rt_bpe *b;
    rt_bpe_work *w;
    const char *piece;
    size_t n_heap;
} merging;

/* What the rules say about joining two neighbours; rank NO_RANK: nothing. */
static uint32_t pair_rank(const merging *m, const struct rt_symbol *left, const struct rt_symbol *right, int32_t *id)
{
    if (!m->b->score_ranks) {
        const struct rt_pair_slot *p = pair_slot(m->b, left->id, right->id);
        *id = p->id;
        return p->rank;
    }
    const size_t n = (size_t)left->n + right->n;
    *id = n <= m->b->longest ? rt_vocab_find(m->b->vocab, m->piece + left->at, n) : -1;
    return *id >= 0 ? m->b->score_ranks[*id] : NO_RANK;
}

/* Looks up the pair that `at` opens now and queues it when there is a rule for it. */
static void open_pair(merging *m, uint32_t at)
{
    struct rt_symbol *s = &m->w->symbols[at];
    s->rank = s->next == NONE ? NO_RANK : pair_rank(m, s, &m->w->symbols[s->next], &s->merged);
    if (s->rank != NO_RANK) {
        heap_push(m->w->heap, &m->n_heap, (uint64_t)s->rank << 32 | at);
        m->w->n_queued++;
    }
}

static void merge_all(const rt_bpe *b, rt_bpe_work *w, const char *piece, size_t n)
{
    merging m = {b, w, piece, 0};
    w->n_queued = 0;
    for (size_t i = 0; i < n; i++) {
        open_pair(&m, (uint32_t)i);
    }
    while (m.n_heap > 0) {
        uint64_t key = heap_pop(w->heap, &m.n_heap);
        uint32_t at = (uint32_t)key;
        struct rt_symbol *s = &w->symbols[at];
        if (s->rank != (uint32_t)(key >> 32)) {
            continue;
        }
        struct rt_symbol *gone = &w->symbols[s->next];
        gone->rank = NO_RANK;
        s->id = s->merged;
        s->n += gone->n;
        s->next = gone->next;
        if (s->next != NONE) {
            w->symbols[s->next].prev = at;
        }
        open_pair(&m, at);
        if (s->prev != NONE) {
            open_pair(&m, s->prev);
        }
    }
}

static void add_symbol(rt_bpe_work *w, uint32_t *n_symbols, int32_t id, size_t at, size_t n)
{
    const uint32_t i = (*n_symbols)++;
    /* the first one's prev is NONE by wrap-around */
    w->symbols[i] = (struct rt_symbol){.id = id, .prev = i - 1, .next = i + 1, .at = (uint32_t)at, .n = (uint32_t)n};
}

static void start_bytes(const rt_bpe *b, rt_bpe_work *w, const char *piece, size_t from, size_t to, uint32_t *n_symbols)
{
    for (size_t i = from; i < to; i++) {
        int32_t id = b->byte_id[(uint8_t)piece[i]];
        if (id >= 0) {
            add_symbol(w, n_symbols, id, i, 1);
        }
    }
}

/* With scores, a character without a token stays whole, for a longer text may be a token; it comes apart at the end. */
static void start_characters(const rt_bpe *b, rt_bpe_work *w, const char *piece, size_t n, uint32_t *n_symbols)
{
    size_t part;
    for (size_t i = 0; i < n; i += part) {
        (void)rt_utf8_char(piece + i, n - i, &part, NULL);
        int32_t id = rt_vocab_find(b->vocab, piece + i, part);
        if (id >= 0 || b->score_ranks) {
            add_symbol(w, n_symbols, id, i, part);
        } else {
            start_bytes(b, w, piece, i, i + part, n_symbols);
        }
    }
}

static rt_status push_symbol(const rt_bpe *b, const struct rt_symbol *s, const char *piece, rt_ids *out, rt_err *err)
{
    rt_status st = RT_OK;
    if (s->id >= 0) {
        return rt_ids_push(out, s->id, err);
    }
    for (uint32_t i = s->at; i < s->at + s->n; i++) {
        int32_t id = b->byte_id[(uint8_t)piece[i]];
        if (id >= 0) {
            RT_TRY(rt_ids_push(out, id, err));
        }
    }
out:
    return st;
}

rt_status rt_bpe_encode(const rt_bpe *b, rt_bpe_work *w, const char *piece, size_t n, rt_ids *out, rt_err *err)
{
    rt_status st = RT_OK;
    if (n > INT32_MAX) {
        RT_FAIL_OUT(err, RT_UNSUPPORTED, 0, "a piece of text of %zu bytes is too long", n);
    }
    RT_TRY(reserve(w, n, err));
    uint32_t n_symbols = 0;
    if (b->of_characters) {
        start_characters(b, w, piece, n, &n_symbols);
    } else {
        start_bytes(b, w, piece, 0, n, &n_symbols);
    }
    if (n_symbols == 0) {
        return RT_OK;
    }
    w->symbols[n_symbols - 1].next = NONE;
    merge_all(b, w, piece, n_symbols);
    for (uint32_t i = 0; i != NONE; i = w->symbols[i].next) {
        RT_TRY(push_symbol(b, &w->symbols[i], piece, out, err));
    }
out:
    return st;
}
