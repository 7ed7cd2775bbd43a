/* cache_encode.c - the writing half of the codec. */
#include <stdlib.h>

#include "teacher/cache_codec.h"
#include "teacher/cache_model.h"

struct rt_encoder {
    int64_t n_vocab;
    uint32_t *popularity; /* [n_vocab] occurrences */
    int32_t *rank_of_id;  /* [n_vocab] */
    int32_t *id_of_rank;  /* [n_vocab] */
    int32_t
        class_first[RT_MODEL_CLASSES + 1]; /* first rank of each class, the most popular class first; then their end */
    uint32_t (*count)[RT_PREFIX_SYMBOLS];  /* [RT_MODEL_CONTEXTS] */
    uint8_t (*length)[RT_PREFIX_SYMBOLS];
    uint16_t (*code)[RT_PREFIX_SYMBOLS];
    uint64_t keys[RT_CODEC_MAX_TOTAL];
};

rt_status rt_encoder_new(rt_encoder **out, int64_t n_vocab, rt_err *err)
{
    rt_status st = RT_OK;
    rt_encoder *e = NULL;
    RT_BUG_IF(n_vocab < 1 || n_vocab > RT_CODEC_MAX_VOCAB);
    RT_TRY(RT_NEW(&e, 1, "cache encoder", err));
    e->n_vocab = n_vocab;
    RT_TRY(RT_NEW(&e->popularity, (size_t)n_vocab, "id counts", err));
    RT_TRY(RT_NEW(&e->rank_of_id, (size_t)n_vocab, "id ranks", err));
    RT_TRY(RT_NEW(&e->id_of_rank, (size_t)n_vocab, "id ranks", err));
    RT_TRY(RT_NEW(&e->count, RT_MODEL_CONTEXTS, "symbol counts", err));
    RT_TRY(RT_NEW(&e->length, RT_MODEL_CONTEXTS, "code lengths", err));
    RT_TRY(RT_NEW(&e->code, RT_MODEL_CONTEXTS, "codes", err));
    *out = e;
    e = NULL;
out:
    rt_encoder_free(e);
    return st;
}

void rt_encoder_free(rt_encoder *e)
{
    if (e) {
        rt_free(e->popularity);
        rt_free(e->rank_of_id);
        rt_free(e->id_of_rank);
        rt_free(e->count);
        rt_free(e->length);
        rt_free(e->code);
        rt_free(e);
    }
}

void rt_encoder_reset(rt_encoder *e)
{
    memset(e->popularity, 0, (size_t)e->n_vocab * sizeof *e->popularity);
    memset(e->count, 0, RT_MODEL_CONTEXTS * sizeof *e->count);
}

/* ---- ranking ---- */

void rt_encoder_note(rt_encoder *e, const int32_t *ids, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        e->popularity[ids[i]] += e->popularity[ids[i]] < INT32_MAX;
    }
}

/* Classes and not exact counts order the ids: the table of a shard then costs a few bits an id. Within a class ids
 * ascend. */
void rt_encoder_rank(rt_encoder *e)
{
    int32_t rank = 0;
    for (int c = 0; c < RT_MODEL_CLASSES; c++) {
        e->class_first[c] = rank;
        for (int32_t id = 0; id < e->n_vocab; id++) {
            if (rt_bit_length(e->popularity[id]) == RT_MODEL_CLASSES - c) {
                e->rank_of_id[id] = rank;
                e->id_of_rank[rank++] = id;
            }
        }
    }
    e->class_first[RT_MODEL_CLASSES] = rank;
}

/* ---- symbols ---- */

static void put_symbol(rt_encoder *e, rt_bits_out *out, int context, int symbol)
{
    if (out) {
        rt_bits_put(out, e->code[context][symbol], e->length[context][symbol]);
    } else {
        e->count[context][symbol]++;
    }
}

static void put_low_bits(rt_bits_out *out, uint32_t v, int n)
{
    if (out) {
        rt_bits_put(out, v & ((1u << n) - 1), n);
    }
}

void rt_encoder_put_ids(rt_encoder *e, rt_bits_out *out, const int32_t *ids, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        uint32_t v = (uint32_t)e->rank_of_id[ids[i]] + 1;
        int low = rt_bits_below_top(v);
        put_symbol(e, out, RT_MODEL_ID, low);
        put_low_bits(out, v, low);
    }
}

static int compare_keys(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

void rt_encoder_sort(rt_encoder *e, const int32_t *ids, int n, int32_t *order)
{
    RT_BUG_IF(n > RT_CODEC_MAX_TOTAL);
    for (int i = 0; i < n; i++) {
        e->keys[i] = (uint64_t)(uint32_t)e->rank_of_id[ids[i]] << 32 | (uint32_t)i;
    }
    qsort(e->keys, (size_t)n, sizeof *e->keys, compare_keys);
    for (int i = 0; i < n; i++) {
        order[i] = (int32_t)(e->keys[i] & UINT32_MAX);
    }
}

static void put_count(rt_encoder *e, rt_bits_out *out, int count, int left)
{
    int symbol = count - 2 < RT_MODEL_COUNT_ESCAPE ? count - 2 : RT_MODEL_COUNT_ESCAPE;
    put_symbol(e, out, rt_model_count_context(left), symbol);
    if (out && symbol == RT_MODEL_COUNT_ESCAPE) {
        rt_bits_put_gamma(out, (uint32_t)(count - 2 - RT_MODEL_COUNT_ESCAPE + 1));
    }
}

void rt_encoder_put_row(rt_encoder *e, rt_bits_out *out, const int32_t *ids, const int32_t *counts,
                        const int32_t *order, int n, int total)
{
    int32_t rank = -1;
    int left = total;
    for (int i = 0; i < n; i++) {
        int32_t next = e->rank_of_id[ids[order[i]]];
        int count = counts ? counts[order[i]] : 1;
        uint32_t gap = (uint32_t)(next - rank);
        RT_BUG_IF(next <= rank || count < 1);
        int low = rt_bits_below_top(gap);
        put_symbol(e, out, rt_model_gap_context(rank, left), 2 * low + (count > 1));
        put_low_bits(out, gap, low);
        if (count > 1) {
            put_count(e, out, count, left);
        }
        rank = next;
        left -= count;
    }
    RT_BUG_IF(left != 0);
}

/* ---- codes and book ---- */

void rt_encoder_make_codes(rt_encoder *e)
{
    for (int c = 0; c < RT_MODEL_CONTEXTS; c++) {
        rt_prefix_lengths(e->count[c], e->length[c]);
        RT_BUG_IF(!rt_prefix_codes(e->length[c], e->code[c]));
    }
}

/* Ids of one class: how many, then gaps in the Golomb order that fits their mean. */
static void put_class(const rt_encoder *e, rt_bits_out *out, int32_t first, int32_t end)
{
    uint32_t n = (uint32_t)(end - first);
    rt_bits_put_gamma(out, n + 1);
    if (n == 0) {
        return;
    }
    int order = rt_bits_below_top((uint32_t)e->n_vocab / n);
    rt_bits_put(out, (uint32_t)order, 5);
    int32_t before = -1;
    for (int32_t r = first; r < end; r++) {
        rt_bits_put_golomb(out, (uint32_t)(e->id_of_rank[r] - before - 1), order);
        before = e->id_of_rank[r];
    }
}

void rt_encoder_put_book(const rt_encoder *e, rt_bits_out *out)
{
    for (int c = 0; c < RT_MODEL_CLASSES; c++) {
        put_class(e, out, e->class_first[c], e->class_first[c + 1]);
    }
    for (int c = 0; c < RT_MODEL_CONTEXTS; c++) {
        int n = RT_PREFIX_SYMBOLS;
        while (n > 0 && e->length[c][n - 1] == 0) {
            n--;
        }
        rt_bits_put_gamma(out, (uint32_t)n + 1);
        for (int s = 0; s < n; s++) {
            rt_bits_put(out, e->length[c][s], 4);
        }
    }
}
