/* cache_encode.c - the writing half of the codec. */
#include <stdlib.h>

#include "teacher/cache_codec.h"
#include "teacher/cache_model.h"

struct rt_encoder {
    int64_t n_vocab;
    uint32_t *popularity;                      /* [n_vocab] occurrences */
    int32_t *rank_of_id;                       /* [n_vocab] */
    int32_t *id_of_rank;                       /* [n_vocab] */
    int32_t *chosen;                           /* [n_vocab] room for ids or ranks of a class */
    int32_t class_first[RT_MODEL_CLASSES + 1]; /* first rank of each class, the most popular class being the first */
    rt_kinds kinds;
    uint8_t *kind_after;                  /* [n_vocab] in this sequence: 1 + kind of the last row after an id */
    uint32_t (*count)[RT_PREFIX_SYMBOLS]; /* [RT_MODEL_CONTEXTS] */
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
    RT_TRY(RT_NEW(&e->chosen, (size_t)n_vocab, "ids of a class", err));
    RT_TRY(RT_NEW(&e->kind_after, (size_t)n_vocab, "kinds after ids", err));
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
        rt_free(e->chosen);
        rt_kinds_release(&e->kinds);
        rt_free(e->kind_after);
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
    rt_kinds_release(&e->kinds);
}

/* ---- ranking ---- */

void rt_encoder_note(rt_encoder *e, const int32_t *ids, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        e->popularity[ids[i]] += e->popularity[ids[i]] < INT32_MAX;
    }
}

static int class_of(const rt_encoder *e, int32_t id)
{
    int bits = rt_bit_length(e->popularity[id]);
    return bits >= RT_MODEL_RANKED ? bits : 0;
}

/* Classes and not exact counts order the ids: the table of a shard then costs a few bits an id. Within a class ids
 * ascend. */
void rt_encoder_rank(rt_encoder *e)
{
    int32_t rank = 0;
    for (int c = RT_MODEL_CLASSES; c >= 0; c--) {
        e->class_first[c] = rank;
        for (int32_t id = 0; id < e->n_vocab; id++) {
            if (class_of(e, id) == c) {
                e->rank_of_id[id] = rank;
                e->id_of_rank[rank++] = id;
            }
        }
    }
}

rt_status rt_encoder_find_kinds(rt_encoder *e, const rt_kind_rows *rows, const int32_t *tokens, uint8_t *kind,
                                rt_err *err)
{
    rt_status st = RT_OK;
    int n_kinds = rt_kinds_wanted(rows->n);
    for (int64_t i = 0; i < rows->n; i++) {
        kind[i] = (uint8_t)(((uint32_t)tokens[i] * 2654435761u >> 8) % (uint32_t)n_kinds);
    }
    RT_TRY(rt_kinds_sort(kind, n_kinds, rows, e->n_vocab, err));
    RT_TRY(rt_kinds_rank(&e->kinds, kind, n_kinds, rows, e->id_of_rank, e->n_vocab, err));
out:
    return st;
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

/* v >= 0 with small values likely. */
static void put_open_ended(rt_encoder *e, rt_bits_out *out, int context, int v)
{
    int symbol = v < RT_MODEL_ESCAPE ? v : RT_MODEL_ESCAPE;
    put_symbol(e, out, context, symbol);
    if (out && symbol == RT_MODEL_ESCAPE) {
        rt_bits_put_gamma(out, (uint32_t)(v - RT_MODEL_ESCAPE + 1));
    }
}

void rt_encoder_put_id(rt_encoder *e, rt_bits_out *out, const rt_coded_row *before, int32_t id)
{
    if (before) {
        int place = rt_model_place(before->counts, before->n, before->ids, id);
        put_symbol(e, out, rt_model_next_context(rt_model_largest(before->counts, before->n)), place);
        if (place < RT_MODEL_ESCAPE) {
            return;
        }
    }
    uint32_t v = (uint32_t)e->rank_of_id[id] + 1;
    int low = rt_bits_below_top(v);
    put_symbol(e, out, RT_MODEL_ID, low);
    put_low_bits(out, v, low);
}

/* ---- rows ---- */

void rt_encoder_begin_sequence(rt_encoder *e)
{
    memset(e->kind_after, 0, (size_t)e->n_vocab);
}

static int compare_keys(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

void rt_encoder_sort(rt_encoder *e, int kind, const int32_t *ids, int n, int32_t *order)
{
    RT_BUG_IF(n > RT_CODEC_MAX_TOTAL);
    for (int i = 0; i < n; i++) {
        e->keys[i] = (uint64_t)(uint32_t)e->kinds.rank[ids[i]][kind] << 32 | (uint32_t)i;
    }
    qsort(e->keys, (size_t)n, sizeof *e->keys, compare_keys);
    for (int i = 0; i < n; i++) {
        order[i] = (int32_t)(e->keys[i] & UINT32_MAX);
    }
}

static void put_entropy_and_size(rt_encoder *e, rt_bits_out *out, const rt_coded_row *row)
{
    int high = row->entropy >> RT_MODEL_ENTROPY_LOW;
    RT_BUG_IF(high < 0 || high >= RT_MODEL_ENTROPY_HIGH);
    put_symbol(e, out, RT_MODEL_ENTROPY + row->kind, high);
    put_low_bits(out, (uint32_t)row->entropy, RT_MODEL_ENTROPY_LOW);
    put_open_ended(e, out, RT_MODEL_SIZE + high, row->n - 1);
}

void rt_encoder_put_row(rt_encoder *e, rt_bits_out *out, const rt_coded_row *row)
{
    uint8_t *after = &e->kind_after[row->token];
    int spare = row->total - row->n;
    int32_t rank = -1;
    RT_BUG_IF(spare < 0 || (!row->sample && spare > 0));
    put_symbol(e, out, RT_MODEL_KIND + *after, row->kind);
    *after = (uint8_t)(row->kind + 1);
    if (row->sample) {
        put_entropy_and_size(e, out, row);
    }
    for (int i = 0; i < row->n; i++) {
        int left = row->n - i, count = row->counts[i];
        int32_t next = e->kinds.rank[row->ids[i]][row->kind];
        uint32_t v = (uint32_t)(next - rank) + 1; /* at least 2: there is a bit after the highest */
        RT_BUG_IF(next <= rank || count < 1 || count > spare + 1);
        bool told = left > 1 && count > 1; /* the last entry takes what is left */
        int low = rt_bits_below_top(v) - 1, second = (int)(v >> low & 1);
        put_symbol(e, out, rt_model_gap_context(rank, left, spare), 4 * low + 2 * second + told);
        put_low_bits(out, v, low);
        if (told && spare > 1) {
            put_open_ended(e, out, rt_model_count_context(left, spare), count - 2);
        }
        rank = next;
        spare -= count - 1;
    }
    RT_BUG_IF(spare != 0);
}

/* ---- codes and book ---- */

/* Ascending numbers: how many, then gaps in the Golomb order that fits their mean. */
static void put_ascending(rt_bits_out *out, const int32_t *v, int32_t n)
{
    rt_bits_put_gamma(out, (uint32_t)n + 1);
    if (n == 0) {
        return;
    }
    int order = rt_bits_below_top((uint32_t)(v[n - 1] + 1) / (uint32_t)n);
    rt_bits_put(out, (uint32_t)order, 5);
    int32_t before = -1;
    for (int32_t i = 0; i < n; i++) {
        rt_bits_put_golomb(out, (uint32_t)(v[i] - before - 1), order);
        before = v[i];
    }
}

/* Of each class in the shard the ids that the kind lists, then their classes in the kind. */
static void put_list(rt_encoder *e, rt_bits_out *out, int kind)
{
    for (int c = RT_MODEL_CLASSES; c >= RT_MODEL_LISTED; c--) {
        const int32_t *ids = e->id_of_rank + e->class_first[c];
        int32_t n = 0;
        for (int32_t i = 0; i < e->class_first[c - 1] - e->class_first[c]; i++) {
            if (e->kinds.listed[ids[i]][kind] != 0) {
                e->chosen[n++] = i;
            }
        }
        if (out) {
            put_ascending(out, e->chosen, n);
        }
        for (int32_t i = 0; i < n; i++) {
            put_symbol(e, out, RT_MODEL_LIST + c, e->kinds.listed[ids[e->chosen[i]]][kind]);
        }
    }
}

/* Lengths of a context's codes, themselves in codes; of those codes as plain numbers. */
static void put_code_lengths(rt_encoder *e, rt_bits_out *out, int context)
{
    const uint8_t *length = e->length[context];
    int n = RT_PREFIX_SYMBOLS;
    while (n > 0 && length[n - 1] == 0) {
        n--;
    }
    if (out) {
        rt_bits_put_gamma(out, (uint32_t)n + 1);
    }
    for (int s = 0; s < n; s++) {
        if (context < RT_MODEL_LENGTH) {
            put_symbol(e, out, rt_model_length_context(length, s), length[s]);
        } else {
            rt_bits_put(out, length[s], 4);
        }
    }
}

void rt_encoder_make_codes(rt_encoder *e)
{
    for (int k = 0; k < e->kinds.n; k++) {
        put_list(e, NULL, k);
    }
    for (int c = 0; c < RT_MODEL_CONTEXTS; c++) {
        rt_prefix_lengths(e->count[c], e->length[c]);
        RT_BUG_IF(!rt_prefix_codes(e->length[c], e->code[c]));
        if (c < RT_MODEL_LENGTH) {
            put_code_lengths(e, NULL, c);
        }
    }
}

void rt_encoder_put_book(rt_encoder *e, rt_bits_out *out)
{
    for (int c = RT_MODEL_CLASSES; c >= RT_MODEL_RANKED; c--) {
        put_ascending(out, e->id_of_rank + e->class_first[c], e->class_first[c - 1] - e->class_first[c]);
    }
    for (int c = RT_MODEL_LENGTH; c < RT_MODEL_CONTEXTS; c++) {
        put_code_lengths(e, out, c);
    }
    for (int c = 0; c < RT_MODEL_LENGTH; c++) {
        put_code_lengths(e, out, c);
    }
    rt_bits_put_gamma(out, (uint32_t)e->kinds.n + 1);
    for (int k = 0; k < e->kinds.n; k++) {
        put_list(e, out, k);
    }
}
