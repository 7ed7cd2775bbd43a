/* cache_decode.c - the reading half of the codec. Its input is hostile until proven otherwise. */
#include "teacher/cache_decoder.h"

/* ---- book ---- */

typedef bool (*taker)(void *ud, int32_t v);

/* Ascending numbers below `limit`, at most `room` of them. */
static bool get_ascending(rt_bits_in *in, int64_t limit, int64_t room, taker take, void *ud)
{
    uint32_t n = rt_bits_get_gamma(in);
    if (n == 0 || n - 1 > room) {
        return false;
    }
    int order = n > 1 ? (int)rt_bits_get(in, 5) : 0;
    int64_t v = -1;
    for (uint32_t i = 1; i < n; i++) {
        uint32_t gap;
        if (!rt_bits_get_golomb(in, order, (uint32_t)limit, &gap)) {
            return false;
        }
        v += (int64_t)gap + 1;
        if (v >= limit || !take(ud, (int32_t)v)) {
            return false;
        }
    }
    return rt_bits_ok(in);
}

/* Sets a bit; false when it was set. */
static bool mark(uint8_t *bits, int32_t at)
{
    uint8_t was = bits[at >> 3];
    bits[at >> 3] = (uint8_t)(was | 1u << (at & 7));
    return bits[at >> 3] != was;
}

typedef struct ranking {
    rt_decoder *d;
    uint8_t *seen; /* a bit an id */
} ranking;

static bool take_ranked(void *ud, int32_t id)
{
    ranking *r = ud;
    r->d->id_of_rank[r->d->n_ranked++] = id;
    return mark(r->seen, id);
}

/* Classes from the most popular down to `last`; with `rest`, all other ids after them. */
static rt_status get_ranking(rt_decoder *d, rt_bits_in *in, int64_t n_vocab, int last, bool rest, rt_err *err)
{
    rt_status st = RT_OK;
    ranking r = {.d = d};
    RT_TRY(RT_NEW(&d->id_of_rank, (size_t)n_vocab, "id ranks", err));
    RT_TRY(RT_NEW(&r.seen, (size_t)n_vocab / 8 + 1, "id marks", err));
    for (int c = RT_MODEL_CLASSES; c >= last; c--) {
        d->class_first[c] = d->n_ranked;
        if (!get_ascending(in, n_vocab, n_vocab - d->n_ranked, take_ranked, &r)) {
            RT_FAIL_OUT(err, RT_INPUT, rt_bits_byte(in), "damaged table of ids");
        }
    }
    for (int32_t id = 0; rest && id < n_vocab; id++) {
        if (mark(r.seen, id)) {
            d->id_of_rank[d->n_ranked++] = id;
        }
    }
out:
    rt_free(r.seen);
    return st;
}

/* The list of a kind while it is read. */
typedef struct listing {
    uint8_t *class_of;                  /* [n_ranked] class of each rank in the kind, 0: not listed */
    int32_t size[RT_MODEL_CLASSES + 1]; /* ranks below `end` of each class */
    int32_t end;                        /* beyond the last listed rank */
    int32_t first;                      /* rank that numbers count from */
} listing;

static bool take_listed(void *ud, int32_t at)
{
    listing *l = ud;
    l->end = l->first + at + 1;
    l->class_of[l->first + at] = RT_MODEL_LISTED;
    return true;
}

/* The ids listed among those of class c in the shard. */
static bool get_listed(const rt_decoder *d, rt_bits_in *in, int c, listing *l)
{
    int32_t n = d->class_first[c - 1] - d->class_first[c];
    l->first = d->class_first[c];
    if (!get_ascending(in, n, n, take_listed, l)) {
        return false;
    }
    for (int32_t rank = l->first; rank < l->first + n; rank++) {
        if (l->class_of[rank] != 0) {
            uint32_t class_of = rt_decoder_symbol(d, in, rt_bits_peek(in), RT_MODEL_LIST + c) >> 4;
            if (class_of < RT_MODEL_LISTED || class_of > RT_MODEL_CLASSES) {
                return false;
            }
            l->class_of[rank] = (uint8_t)class_of;
        }
    }
    return rt_bits_ok(in);
}

static rt_status get_list(const rt_decoder *d, rt_bits_in *in, rt_decoder_kind *kind, rt_err *err)
{
    rt_status st = RT_OK;
    listing l = {.end = 0};
    int32_t next[RT_MODEL_CLASSES + 1] = {0};
    RT_TRY(RT_NEW(&l.class_of, (size_t)d->n_ranked, "classes of ids", err));
    for (int c = RT_MODEL_CLASSES; c >= RT_MODEL_LISTED; c--) {
        if (!get_listed(d, in, c, &l)) {
            RT_FAIL_OUT(err, RT_INPUT, rt_bits_byte(in), "damaged list of ids");
        }
    }
    RT_TRY(RT_NEW(&kind->ids, (size_t)l.end, "ranking of a kind", err));
    kind->n = l.end;
    for (int32_t rank = 0; rank < l.end; rank++) {
        l.size[l.class_of[rank]]++;
    }
    for (int c = RT_MODEL_CLASSES; c > 0; c--) {
        next[c - 1] = next[c] + l.size[c];
    }
    for (int32_t rank = 0; rank < l.end; rank++) {
        kind->ids[next[l.class_of[rank]]++] = d->id_of_rank[rank];
    }
out:
    rt_free(l.class_of);
    return st;
}

static rt_status get_kinds(rt_decoder *d, rt_bits_in *in, rt_err *err)
{
    rt_status st = RT_OK;
    uint32_t n = rt_bits_get_gamma(in);
    if (n == 0 || n - 1 > RT_MODEL_MAX_KINDS) {
        RT_FAIL_OUT(err, RT_INPUT, rt_bits_byte(in), "impossible number of kinds of rows");
    }
    for (; d->n_kinds < (int)n - 1; d->n_kinds++) {
        RT_TRY(get_list(d, in, &d->kinds[d->n_kinds], err));
    }
out:
    return st;
}

/* The code lengths of a context; `plain`: four bits each. */
static bool get_lengths(const rt_decoder *d, rt_bits_in *in, bool plain, uint8_t length[RT_PREFIX_SYMBOLS], bool *used)
{
    uint32_t n = rt_bits_get_gamma(in);
    if (n == 0 || n - 1 > RT_PREFIX_SYMBOLS) {
        return false;
    }
    memset(length, 0, RT_PREFIX_SYMBOLS);
    for (int s = 0; s + 1 < (int)n; s++) {
        uint32_t found = plain ? 0 : rt_decoder_symbol(d, in, rt_bits_peek(in), rt_model_length_context(length, s));
        uint32_t v = plain ? rt_bits_get(in, 4) : found >> 4;
        if (v > RT_PREFIX_LIMIT || (!plain && found == 0)) {
            return false;
        }
        length[s] = (uint8_t)v;
    }
    *used = n > 1;
    return rt_bits_ok(in);
}

/* Tables of the contexts from `first` up to `end`, after the n_tables there are. */
static rt_status get_tables(rt_decoder *d, rt_bits_in *in, int first, int end, bool plain, rt_err *err)
{
    for (int c = first; c < end; c++) {
        uint8_t length[RT_PREFIX_SYMBOLS];
        bool used;
        if (!get_lengths(d, in, plain, length, &used)) {
            return rt_fail(err, RT_INPUT, rt_bits_byte(in), "damaged table of codes");
        }
        if (used && !rt_prefix_table(length, d->tables[d->n_tables])) {
            return rt_fail(err, RT_INPUT, rt_bits_byte(in), "code lengths that make no code");
        }
        d->table_of[c] = used ? d->n_tables++ : -1;
    }
    return RT_OK;
}

rt_status rt_decoder_new(rt_decoder **out, rt_bits_in *book, int64_t n_vocab, int version, rt_err *err)
{
    rt_status st = RT_OK;
    rt_decoder *d = NULL;
    RT_BUG_IF(n_vocab < 1 || n_vocab > RT_CODEC_MAX_VOCAB);
    RT_TRY(RT_NEW(&d, 1, "cache decoder", err));
    RT_TRY(get_ranking(d, book, n_vocab, version > 1 ? RT_MODEL_RANKED : 1, version > 1, err));
    RT_TRY(RT_NEW(&d->tables, RT_DECODER_CONTEXTS, "decoding tables", err));
    if (version == 1) {
        RT_TRY(get_tables(d, book, 0, RT_V1_CONTEXTS, true, err));
    } else {
        RT_TRY(get_tables(d, book, RT_MODEL_LENGTH, RT_MODEL_CONTEXTS, true, err));
        RT_TRY(get_tables(d, book, 0, RT_MODEL_LENGTH, false, err));
        RT_TRY(get_kinds(d, book, err));
    }
    *out = d;
    d = NULL;
out:
    rt_decoder_free(d);
    return st;
}

void rt_decoder_free(rt_decoder *d)
{
    if (d) {
        for (int k = 0; k < RT_MODEL_MAX_KINDS; k++) {
            rt_free(d->kinds[k].ids);
        }
        rt_free(d->id_of_rank);
        rt_free(d->tables);
        rt_free(d);
    }
}

/* ---- text ---- */

/* An id of the text by its rank among all. */
static bool get_plain_id(const rt_decoder *d, rt_bits_in *in, int32_t *id)
{
    uint64_t word = rt_bits_peek(in);
    uint32_t found = rt_decoder_symbol(d, in, word, RT_MODEL_ID);
    uint32_t low = found >> 4;
    if (found == 0 || low > 21) {
        return false;
    }
    uint32_t rank = rt_decoder_low_bits(in, word, found, 1, low) - 1;
    if (rank >= (uint32_t)d->n_ranked) {
        return false;
    }
    *id = d->id_of_rank[rank];
    return true;
}

bool rt_decoder_get_id(const rt_decoder *d, rt_bits_in *in, const rt_coded_row *before, int32_t *id)
{
    if (before) {
        int largest = rt_model_largest(before->counts, before->n);
        uint32_t found = rt_decoder_symbol(d, in, rt_bits_peek(in), rt_model_next_context(largest));
        if (found == 0) {
            return false;
        }
        if (found >> 4 != RT_MODEL_ESCAPE) {
            int at = rt_model_entry_at(before->counts, before->n, (int)(found >> 4));
            *id = at < 0 ? -1 : before->ids[at];
            return at >= 0;
        }
    }
    return get_plain_id(d, in, id);
}

bool rt_decoder_get_ids(const rt_decoder *d, rt_bits_in *in, int32_t *ids, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        if (!get_plain_id(d, in, &ids[i])) {
            return false;
        }
    }
    return rt_bits_ok(in);
}

/* ---- rows ---- */

static bool get_entropy_and_size(const rt_decoder *d, rt_bits_in *in, rt_coded_row *row)
{
    uint64_t word = rt_bits_peek(in);
    uint32_t found = rt_decoder_symbol(d, in, word, RT_MODEL_ENTROPY + row->kind), high = found >> 4;
    if (found == 0 || high >= RT_MODEL_ENTROPY_HIGH) {
        return false;
    }
    row->entropy = (int)rt_decoder_low_bits(in, word, found, high, RT_MODEL_ENTROPY_LOW);
    row->n = rt_decoder_open_ended(d, in, RT_MODEL_SIZE + (int)high) + 1;
    return row->n >= 1 && row->n <= row->total;
}

/* The id at this place of a kind's ranking, -1: there is none. */
static int32_t id_at(const rt_decoder *d, const rt_decoder_kind *kind, int64_t place)
{
    if (place < kind->n) {
        return kind->ids[place];
    }
    return place < d->n_ranked ? d->id_of_rank[place] : -1;
}

static bool get_entries(const rt_decoder *d, rt_bits_in *in, const rt_decoder_kind *kind, rt_coded_row *row)
{
    int spare = row->total - row->n;
    int64_t rank = -1;
    for (int i = 0; i < row->n; i++) {
        int left = row->n - i, count = 1;
        uint64_t word = rt_bits_peek(in);
        uint32_t found = rt_decoder_symbol(d, in, word, rt_model_gap_context((int32_t)rank, left, spare));
        uint32_t low = found >> 6, top = 2 | (found >> 5 & 1);
        if (found == 0 || low >= RT_MODEL_OCTAVES) {
            return false;
        }
        rank += rt_decoder_low_bits(in, word, found, top, low) - 1;
        row->ids[i] = id_at(d, kind, rank);
        if (row->ids[i] < 0) {
            return false;
        }
        if (left == 1) {
            count += spare;
        } else if ((found >> 4 & 1) != 0) {
            count = spare <= 1 ? 2 : rt_decoder_open_ended(d, in, rt_model_count_context(left, spare)) + 2;
        }
        if (count < 1 || count > spare + 1) {
            return false;
        }
        row->counts[i] = count;
        spare -= count - 1;
    }
    return rt_bits_ok(in);
}

bool rt_decoder_get_row(const rt_decoder *d, rt_bits_in *in, uint8_t *kind_after, int room, rt_coded_row *row)
{
    uint8_t *after = &kind_after[row->token];
    uint32_t found = rt_decoder_symbol(d, in, rt_bits_peek(in), RT_MODEL_KIND + *after);
    row->kind = (int)(found >> 4);
    if (found == 0 || row->kind >= d->n_kinds) {
        return false;
    }
    *after = (uint8_t)(row->kind + 1);
    row->n = row->total;
    if (row->sample && !get_entropy_and_size(d, in, row)) {
        return false;
    }
    return row->n <= room && get_entries(d, in, &d->kinds[row->kind], row);
}
