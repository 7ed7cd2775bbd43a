/* cache_decode.c - the reading half of the codec. Its input is hostile until proven otherwise. */
#include "teacher/cache_codec.h"
#include "teacher/cache_model.h"

struct rt_decoder {
    int32_t n_ranked;
    int32_t *id_of_rank;                 /* [n_ranked] */
    int16_t table_of[RT_MODEL_CONTEXTS]; /* -1: the context never occurs */
    uint16_t (*tables)[RT_PREFIX_TABLE];
};

/* ---- book ---- */

/* Appends the ids of one class to id_of_rank; `seen` has a bit an id. */
static bool get_class(rt_decoder *d, rt_bits_in *in, int64_t n_vocab, uint8_t *seen)
{
    uint32_t n = rt_bits_get_gamma(in);
    if (n == 0 || n - 1 > n_vocab - d->n_ranked) {
        return false;
    }
    int order = n > 1 ? (int)rt_bits_get(in, 5) : 0;
    int64_t id = -1;
    for (uint32_t i = 1; i < n; i++) {
        uint32_t gap;
        if (!rt_bits_get_golomb(in, order, (uint32_t)n_vocab, &gap)) {
            return false;
        }
        id += (int64_t)gap + 1;
        if (id >= n_vocab || (seen[id >> 3] >> (id & 7) & 1) != 0) {
            return false;
        }
        seen[id >> 3] = (uint8_t)(seen[id >> 3] | 1u << (id & 7));
        d->id_of_rank[d->n_ranked++] = (int32_t)id;
    }
    return rt_bits_ok(in);
}

static bool get_lengths(rt_bits_in *in, uint8_t length[RT_PREFIX_SYMBOLS], bool *used)
{
    uint32_t n = rt_bits_get_gamma(in);
    if (n == 0 || n - 1 > RT_PREFIX_SYMBOLS) {
        return false;
    }
    memset(length, 0, RT_PREFIX_SYMBOLS);
    for (uint32_t s = 0; s + 1 < n; s++) {
        length[s] = (uint8_t)rt_bits_get(in, 4);
    }
    *used = n > 1;
    return rt_bits_ok(in);
}

rt_status rt_decoder_new(rt_decoder **out, rt_bits_in *book, int64_t n_vocab, rt_err *err)
{
    rt_status st = RT_OK;
    rt_decoder *d = NULL;
    uint8_t *seen = NULL;
    uint8_t(*length)[RT_PREFIX_SYMBOLS] = NULL;
    RT_BUG_IF(n_vocab < 1 || n_vocab > RT_CODEC_MAX_VOCAB);
    RT_TRY(RT_NEW(&d, 1, "cache decoder", err));
    RT_TRY(RT_NEW(&d->id_of_rank, (size_t)n_vocab, "id ranks", err));
    RT_TRY(RT_NEW(&seen, (size_t)n_vocab / 8 + 1, "id marks", err));
    RT_TRY(RT_NEW(&length, RT_MODEL_CONTEXTS, "code lengths", err));
    for (int c = 0; c < RT_MODEL_CLASSES; c++) {
        if (!get_class(d, book, n_vocab, seen)) {
            RT_FAIL_OUT(err, RT_INPUT, rt_bits_byte(book), "damaged table of ids");
        }
    }
    int16_t n_tables = 0;
    for (int c = 0; c < RT_MODEL_CONTEXTS; c++) {
        bool used;
        if (!get_lengths(book, length[n_tables], &used)) {
            RT_FAIL_OUT(err, RT_INPUT, rt_bits_byte(book), "damaged table of codes");
        }
        d->table_of[c] = used ? n_tables++ : -1;
    }
    RT_TRY(RT_NEW(&d->tables, (size_t)n_tables, "decoding tables", err));
    for (int t = 0; t < n_tables; t++) {
        if (!rt_prefix_table(length[t], d->tables[t])) {
            RT_FAIL_OUT(err, RT_INPUT, rt_bits_byte(book), "code lengths that make no code");
        }
    }
    *out = d;
    d = NULL;
out:
    rt_free(length);
    rt_free(seen);
    rt_decoder_free(d);
    return st;
}

void rt_decoder_free(rt_decoder *d)
{
    if (d) {
        rt_free(d->id_of_rank);
        rt_free(d->tables);
        rt_free(d);
    }
}

/* ---- symbols ---- */

/* The symbol and its code's length as one number, 0 when there is none. */
static inline uint32_t get_symbol(const rt_decoder *d, rt_bits_in *in, uint64_t word, int context)
{
    int t = d->table_of[context];
    uint32_t found = t < 0 ? 0 : d->tables[t][word & (RT_PREFIX_TABLE - 1)];
    in->at += found & 15;
    return found;
}

/* 1 followed by the `low` bits after the code that `found` describes; word still begins with that code. Code and low
 * bits together are fewer than the bits a word holds. */
static inline uint32_t low_bits(rt_bits_in *in, uint64_t word, uint32_t found, uint32_t low)
{
    in->at += low;
    return 1u << low | (uint32_t)(word >> (found & 15) & ((1ull << low) - 1));
}

bool rt_decoder_get_ids(const rt_decoder *d, rt_bits_in *in, int32_t *ids, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        uint64_t word = rt_bits_peek(in);
        uint32_t found = get_symbol(d, in, word, RT_MODEL_ID);
        uint32_t low = found >> 4;
        if (found == 0 || low > 21) {
            return false;
        }
        uint32_t rank = low_bits(in, word, found, low) - 1;
        if (rank >= (uint32_t)d->n_ranked) {
            return false;
        }
        ids[i] = d->id_of_rank[rank];
    }
    return rt_bits_ok(in);
}

/* A count above one, or 0: the bits are none that fits. */
static int get_count(const rt_decoder *d, rt_bits_in *in, int left)
{
    uint32_t found = get_symbol(d, in, rt_bits_peek(in), rt_model_count_context(left));
    uint32_t count = (found >> 4) + 2;
    if (found == 0) {
        return 0;
    }
    if (found >> 4 == RT_MODEL_COUNT_ESCAPE) {
        uint32_t more = rt_bits_get_gamma(in);
        if (more == 0 || more > RT_CODEC_MAX_TOTAL) {
            return 0;
        }
        count += more - 1;
    }
    return count <= (uint32_t)left ? (int)count : 0;
}

int rt_decoder_get_row(const rt_decoder *d, rt_bits_in *in, int total, int max, int32_t *ids, int32_t *counts)
{
    int32_t rank = -1;
    int n = 0;
    for (int left = total; left > 0; n++) {
        uint64_t word = rt_bits_peek(in);
        uint32_t found = get_symbol(d, in, word, rt_model_gap_context(rank, left));
        uint32_t low = found >> 5;
        if (found == 0 || low > 21 || n == max) {
            return -1;
        }
        int64_t next = (int64_t)rank + low_bits(in, word, found, low);
        if (next >= d->n_ranked) {
            return -1;
        }
        rank = (int32_t)next;
        int count = (found >> 4 & 1) != 0 ? get_count(d, in, left) : 1;
        if (count == 0) {
            return -1;
        }
        ids[n] = d->id_of_rank[rank];
        counts[n] = count;
        left -= count;
    }
    return rt_bits_ok(in) ? n : -1;
}
