/* cache_kinds.c - k-means in bits: a row belongs where its ids cost least, an id costs what its share in the rows of a
 * kind says, smoothed by its share in all rows. */
#include "teacher/cache_kinds.h"

#include <math.h>

enum { ROWS_A_KIND = 1024, ROUNDS = 40, SMOOTHING = 12000 };

int rt_kinds_wanted(int64_t n_rows)
{
    int64_t n = n_rows / ROWS_A_KIND;
    return n < 1 ? 1 : n > RT_MODEL_MAX_KINDS ? RT_MODEL_MAX_KINDS : (int)n;
}

typedef struct sorter {
    int n_kinds;
    int64_t n_vocab;
    const rt_kind_rows *rows;
    uint8_t *kind;
    int32_t (*count)[RT_MODEL_MAX_KINDS]; /* [n_vocab] occurrences of an id in the rows of each kind */
    float (*cost)[RT_MODEL_MAX_KINDS];    /* [n_vocab] bits */
    float prior[RT_MODEL_MAX_KINDS];      /* bits of the kind itself */
} sorter;

static void count_ids(int32_t (*count)[RT_MODEL_MAX_KINDS], const rt_kind_rows *rows, const uint8_t *kind,
                      int64_t n_vocab)
{
    const int32_t *id = rows->ids;
    memset(count, 0, (size_t)n_vocab * sizeof *count);
    for (int64_t i = 0; i < rows->n; i++) {
        for (const int32_t *end = id + rows->size[i]; id < end; id++) {
            count[*id][kind[i]]++;
        }
    }
}

static void price(sorter *s)
{
    double total[RT_MODEL_MAX_KINDS] = {0}, all = 0, rows[RT_MODEL_MAX_KINDS] = {0};
    count_ids(s->count, s->rows, s->kind, s->n_vocab);
    for (int64_t i = 0; i < s->rows->n; i++) {
        rows[s->kind[i]]++;
        total[s->kind[i]] += s->rows->size[i];
        all += s->rows->size[i];
    }
    for (int k = 0; k < s->n_kinds; k++) {
        s->prior[k] = (float)-log2((rows[k] + 1) / (double)(s->rows->n + s->n_kinds));
    }
    for (int64_t id = 0; id < s->n_vocab; id++) {
        int32_t anywhere = 0;
        for (int k = 0; k < s->n_kinds; k++) {
            anywhere += s->count[id][k];
        }
        for (int k = 0; anywhere > 0 && k < s->n_kinds; k++) {
            double share = (s->count[id][k] + SMOOTHING * (anywhere / all)) / (total[k] + SMOOTHING);
            s->cost[id][k] = (float)-log2(share);
        }
    }
}

/* Number of rows that changed their kind. */
static int64_t assign(sorter *s)
{
    const int32_t *id = s->rows->ids;
    int64_t moved = 0;
    for (int64_t i = 0; i < s->rows->n; i++) {
        float bits[RT_MODEL_MAX_KINDS];
        int best = 0;
        memcpy(bits, s->prior, sizeof bits);
        for (const int32_t *end = id + s->rows->size[i]; id < end; id++) {
            for (int k = 0; k < RT_MODEL_MAX_KINDS; k++) {
                bits[k] += s->cost[*id][k];
            }
        }
        for (int k = 1; k < s->n_kinds; k++) {
            best = bits[k] < bits[best] ? k : best;
        }
        moved += s->kind[i] != best;
        s->kind[i] = (uint8_t)best;
    }
    return moved;
}

rt_status rt_kinds_sort(uint8_t *kind, int n_kinds, const rt_kind_rows *rows, int64_t n_vocab, rt_err *err)
{
    rt_status st = RT_OK;
    sorter s = {.n_kinds = n_kinds, .n_vocab = n_vocab, .rows = rows, .kind = kind};
    RT_TRY(RT_NEW(&s.count, (size_t)n_vocab, "ids by kind of row", err));
    RT_TRY(RT_NEW(&s.cost, (size_t)n_vocab, "bits of ids", err));
    for (int round = 0; n_kinds > 1 && round < ROUNDS; round++) {
        price(&s);
        if (assign(&s) < rows->n / 512) {
            break;
        }
    }
out:
    rt_free(s.count);
    rt_free(s.cost);
    return st;
}

/* ---- rankings ---- */

/* `rank` holds counts and gets places. */
static void rank_one(rt_kinds *kinds, int k, const int32_t *id_of_rank, int64_t n_vocab)
{
    int32_t size[RT_MODEL_CLASSES + 1] = {0}, next[RT_MODEL_CLASSES + 1] = {0};
    for (int64_t id = 0; id < n_vocab; id++) {
        int bits = rt_bit_length((uint32_t)kinds->rank[id][k]);
        kinds->listed[id][k] = (uint8_t)(bits >= RT_MODEL_LISTED ? bits : 0);
        size[kinds->listed[id][k]]++;
    }
    for (int c = RT_MODEL_CLASSES; c > 0; c--) {
        next[c - 1] = next[c] + size[c];
    }
    for (int64_t i = 0; i < n_vocab; i++) {
        int32_t id = id_of_rank[i];
        kinds->rank[id][k] = next[kinds->listed[id][k]]++;
    }
}

rt_status rt_kinds_rank(rt_kinds *k, const uint8_t *kind, int n_kinds, const rt_kind_rows *rows,
                        const int32_t *id_of_rank, int64_t n_vocab, rt_err *err)
{
    rt_status st = RT_OK;
    rt_kinds_release(k);
    RT_TRY(RT_NEW(&k->rank, (size_t)n_vocab, "ids by kind of row", err));
    RT_TRY(RT_NEW(&k->listed, (size_t)n_vocab, "ids by kind of row", err));
    k->n = n_kinds;
    count_ids(k->rank, rows, kind, n_vocab);
    for (int i = 0; i < n_kinds; i++) {
        rank_one(k, i, id_of_rank, n_vocab);
    }
out:
    return st;
}

void rt_kinds_release(rt_kinds *k)
{
    rt_free(k->rank);
    rt_free(k->listed);
    memset(k, 0, sizeof *k);
}
