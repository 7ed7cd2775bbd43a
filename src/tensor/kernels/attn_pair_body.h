/* attn_pair_body.h - attention of one head with bf16 operands, PAIR_ROWS queries against PAIR_KEYS keys at a time (Dao
 * et al. 2022: running maximum forward, recomputed probabilities backward). As in attn_body.h scores are kept
 * transposed, lanes are queries. Every operand is read as it was packed or made: the left factors of O and dQ are the
 * probabilities and their gradients paired along keys, those of dV and dK the same rounded by rows; only Q and dO are
 * turned, a block at a time. Exponentials are powers of 2. */

enum { PAIR_ROWS = RT_ATTN_PAIR_ROWS, PAIR_KEYS = RT_ATTN_PAIR_KEYS, PAIR_ALIGN = 32 };

static int64_t pair_up(int64_t n)
{
    return (n + PAIR_ALIGN - 1) / PAIR_ALIGN * PAIR_ALIGN;
}

static int64_t larger_of(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* What a call keeps in its scratch. d and dv, the widths of keys and of values, are rounded up to PAIR_ALIGN, zeros
 * beyond, and so are the keys: all of them forward, pair_chunk backward. */
typedef struct pair_work {
    int64_t d, dv;
    pair *k_rows, *v_rows;    /* [keys][d/2], [keys][dv/2] pairs along d; values backward only */
    pair *k_pairs, *v_pairs;  /* [keys/2][d] backward, [keys/2][dv] forward: pairs along keys */
    pair *q_lanes, *do_lanes; /* [d/2][PAIR_ROWS], [dv/2][PAIR_ROWS] pairs along d, lanes queries */
    pair *q_pairs, *do_pairs; /* [PAIR_ROWS/2][d], [PAIR_ROWS/2][dv] pairs along queries */
    pair *p_rows, *ds_rows;   /* [PAIR_KEYS][PAIR_ROWS/2] pairs along queries */
    pair *p_pairs, *ds_pairs; /* [PAIR_KEYS/2][PAIR_ROWS] pairs along keys: P forward, dS backward */
    float *s, *ds;            /* [PAIR_KEYS][PAIR_ROWS] */
    float *out;               /* [PAIR_ROWS][dv] sums of O */
} pair_work;

static pair *take(float **at, int64_t n)
{
    pair *p = (pair *)(void *)*at;
    *at += n;
    return p;
}

/* For `keys` keys at a time. */
static pair_work pair_work_in(const rt_attn *a, int64_t keys)
{
    const int64_t d = pair_up(a->head_dim), dv = pair_up(a->head_dim_v), all = pair_up(keys);
    pair_work w = {.d = d, .dv = dv};
    float *at = a->scratch;
    w.k_rows = take(&at, all * d / 2);
    w.v_rows = w.v_pairs = take(&at, all * dv / 2);
    w.k_pairs = take(&at, a->do_ != NULL ? all * d / 2 : 0);
    w.q_lanes = take(&at, d / 2 * PAIR_ROWS);
    w.do_lanes = take(&at, dv / 2 * PAIR_ROWS);
    w.q_pairs = take(&at, d / 2 * PAIR_ROWS);
    w.do_pairs = take(&at, dv / 2 * PAIR_ROWS);
    w.p_rows = take(&at, PAIR_KEYS * PAIR_ROWS / 2);
    w.ds_rows = take(&at, PAIR_KEYS * PAIR_ROWS / 2);
    w.p_pairs = w.ds_pairs = take(&at, PAIR_KEYS * PAIR_ROWS / 2);
    w.s = (float *)take(&at, PAIR_KEYS * PAIR_ROWS);
    w.ds = w.out = (float *)take(&at, larger_of(PAIR_KEYS, dv) * PAIR_ROWS);
    return w;
}

/* --- packing ---------------------------------------------------------------------------------------------------- */

/* Rows of floats to rows of bf16; `rows` real ones, zeros up to `all`. */
static void pack_rows(pair *to, const float *from, int64_t ld, int64_t rows, int64_t all, int64_t n, int64_t d)
{
    memset(to + rows * d / 2, 0, (size_t)((all - rows) * d / 2) * sizeof *to);
    for (int64_t i = 0; i < rows; i++) {
        uint16_t *row = (uint16_t *)(void *)(to + i * d / 2);
        f32_to_bf16(row, from + i * ld, n);
        memset(row + n, 0, (size_t)(d - n) * sizeof *row);
    }
}

/* Two rows of floats as one of pairs, for every two rows. */
static void pack_pairs(pair *to, const float *from, int64_t ld, int64_t rows, int64_t all, int64_t n, int64_t d)
{
    const int64_t packed = (rows + 1) / 2;
    memset(to + packed * d, 0, (size_t)((all / 2 - packed) * d) * sizeof *to);
    for (int64_t i = 0; i < packed; i++) {
        const float *low = from + 2 * i * ld, *high = 2 * i + 1 < rows ? low + ld : NULL;
        FOR_LANES(j, c, n, {
            vf a = vf_load(low + j, c), b = high != NULL ? vf_load(high + j, c) : (vf){0};
            vf_store((float *)(void *)(to + i * d + j), (vf)vf_round_pairs(a, b).pairs, c);
        });
        memset(to + i * d + n, 0, (size_t)(d - n) * sizeof *to);
    }
}

/* Queries (or their gradients) with lanes = queries and pairs along d; `rows_of` [PAIR_ROWS][d/2] is used between. */
static void pack_lanes(pair *to, pair *rows_of, const float *from, int64_t ld, int64_t rows, int64_t n, int64_t d)
{
    pack_rows(rows_of, from, ld, rows, PAIR_ROWS, n, d);
    for (int64_t i0 = 0; i0 < PAIR_ROWS; i0 += RT_W) {
        for (int64_t j0 = 0; j0 < d / 2; j0 += RT_W) {
            vu square[RT_W];
            UNROLL
            for (int i = 0; i < RT_W; i++) {
                square[i] = vu_load(rows_of + (i0 + i) * d / 2 + j0);
            }
            vu_turn(square);
            UNROLL
            for (int i = 0; i < RT_W; i++) {
                vu_store(to + (j0 + i) * PAIR_ROWS + i0, square[i]);
            }
        }
    }
}

/* --- a block of queries ----------------------------------------------------------------------------------------- */

/* Keys [k0, k1) that some query of the block sees, both at PAIR_ALIGN. */
typedef struct pair_block {
    int64_t q0, nq, k0, k1, position; /* position of query q0 */
    int64_t lanes;                    /* nq at PAIR_ALIGN */
} pair_block;

static pair_block pair_block_at(const rt_attn *a, int64_t q0)
{
    const int64_t nq = a->n_q - q0 < PAIR_ROWS ? a->n_q - q0 : PAIR_ROWS;
    pair_block b = {.q0 = q0, .nq = nq, .position = q0 + a->n_kv - a->n_q + a->ahead, .lanes = pair_up(nq)};
    int64_t first = a->window > 0 ? b.position - a->window + 1 : 0;
    b.k0 = first > 0 ? first / PAIR_ALIGN * PAIR_ALIGN : 0;
    b.k1 = pair_up(b.position + b.nq < a->n_kv ? b.position + b.nq : a->n_kv);
    return b;
}

/* S^T of the keys [j, j + n) into w->s, -infinity where unseen; the packed rows begin with key j. */
static void pair_scores(const rt_attn *a, const pair_work *w, const pair_block *b, const pair *k_rows, int64_t j,
                        int64_t n)
{
    pair_gemm(n, b->lanes, w->d / 2, w->s, PAIR_ROWS, k_rows, w->d / 2, 1, w->q_lanes, PAIR_ROWS, false);
    const bool diagonal = j + n > b->position, edge = a->window > 0 && j <= b->position + PAIR_ROWS - a->window;
    if (diagonal || edge) {
        hide(w->s, PAIR_ROWS, n, b->position - j, a->window);
    }
}

/* One vector of lanes of two neighbouring keys as rows and as pairs of them; rows may be NULL. */
VEC void store_pairs(pair *rows, pair *pairs, int64_t j, int64_t lane, vf even, vf odd)
{
    const pair_rows r = vf_round_pairs(even, odd);
    if (rows != NULL) {
        uint16_t *row = (uint16_t *)(void *)(rows + j * PAIR_ROWS / 2) + lane;
        *(vh_any *)row = r.a;
        *(vh_any *)(row + PAIR_ROWS) = r.b;
    }
    if (pairs != NULL) {
        vu_store(pairs + j / 2 * PAIR_ROWS + lane, r.pairs);
    }
}

/* Scores of n keys in MICRO_VECS vectors of lanes become P^T relative to the new maximum `top`, in powers of 2;
 * `shrink` is what turns sums relative to the old one into such. */
VEC void pair_softmax(const pair_work *w, float scale, int64_t n, int64_t lane, float *top, float *sum, float *shrink)
{
    const float *s = w->s + lane;
    running r;
    raise_top(&r, s, PAIR_ROWS, n, scale, top + lane, sum + lane);
    for (int64_t j = 0; j < n; j += 2) {
        UNROLL
        for (int v = 0; v < MICRO_VECS; v++) {
            const float *at = s + j * PAIR_ROWS + v * RT_W;
            const vf even = vf_exp2(vf_fma(vf_load(at, RT_W), vf_set(scale), -r.top[v]));
            const vf odd = vf_exp2(vf_fma(vf_load(at + PAIR_ROWS, RT_W), vf_set(scale), -r.top[v]));
            store_pairs(NULL, w->p_pairs, j, lane + v * RT_W, even, odd);
            r.sum[v] += even + odd;
        }
    }
    store_running(&r, top + lane, sum + lane, shrink + lane);
}

static void pair_attend(const rt_attn *a, const pair_work *w, const pair_block *b)
{
    float top[PAIR_ROWS], sum[PAIR_ROWS] = {0}, shrink[PAIR_ROWS];
    for (int i = 0; i < PAIR_ROWS; i++) {
        top[i] = -3e38f;
    }
    pack_lanes(w->q_lanes, w->q_pairs, a->q + b->q0 * a->ldq, a->ldq, b->nq, a->head_dim, w->d);
    for (int64_t j = b->k0; j < b->k1; j += PAIR_KEYS) {
        const int64_t n = b->k1 - j < PAIR_KEYS ? b->k1 - j : PAIR_KEYS;
        pair_scores(a, w, b, w->k_rows + j * w->d / 2, j, n);
        for (int64_t lane = 0; lane < b->lanes; lane += MICRO_VECS * RT_W) {
            pair_softmax(w, a->scale * LOG2_E, n, lane, top, sum, shrink);
        }
        for (int64_t i = 0; j > b->k0 && i < b->nq; i++) {
            if (shrink[i] != 1.0f) {
                scale(w->out + i * w->dv, shrink[i], w->dv);
            }
        }
        pair_gemm(b->nq, w->dv, n / 2, w->out, w->dv, w->p_pairs, 1, PAIR_ROWS, w->v_pairs + j / 2 * w->dv, w->dv,
                  j > b->k0);
    }
    for (int64_t i = 0; i < b->nq; i++) {
        const float high = top[i] * LN_2, lse = with_sink(high + logf(sum[i]), a->sink);
        if (a->lse != NULL) {
            a->lse[b->q0 + i] = lse;
        }
        const float share = a->sink != NULL ? expf(high - lse) : 1.0f / sum[i];
        float *o = a->o + (b->q0 + i) * a->ldo;
        FOR_LANES(j, c, a->head_dim_v, { vf_store(o + j, vf_load(w->out + i * w->dv + j, c) * share, c); });
    }
}

static void attn_bf16(const rt_attn *a)
{
    enum { FEW = 16 }; /* packing all keys for a few queries costs more than it gains */
    if (a->n_q < FEW) {
        attn(a);
        return;
    }
    const pair_work w = pair_work_in(a, a->n_kv);
    const int64_t all = pair_up(a->n_kv);
    pack_rows(w.k_rows, a->k, a->ldk, a->n_kv, all, a->head_dim, w.d);
    pack_pairs(w.v_pairs, a->v, a->ldv, a->n_kv, all, a->head_dim_v, w.dv);
    for (int64_t q0 = 0; q0 < a->n_q; q0 += PAIR_ROWS) {
        const pair_block b = pair_block_at(a, q0);
        pair_attend(a, &w, &b);
    }
}

/* --- backward: keys in chunks whose operands and gradients stay in the cache while all their queries pass ------- */

static int64_t pair_chunk(const rt_attn *a)
{
    const int64_t widest = larger_of(a->head_dim, a->head_dim_v);
    const int64_t keys = RT_ATTN_PAIR_CHUNK / widest / PAIR_KEYS * PAIR_KEYS;
    const int64_t least = keys < PAIR_KEYS ? PAIR_KEYS : keys;
    return least < a->n_kv ? least : a->n_kv;
}

/* From S^T and dP^T of n keys in MICRO_VECS vectors of lanes: P^T and dS^T = scale P (dP - delta) as operands; lse in
 * powers of 2. */
VEC void pair_softmax_gradient(const pair_work *w, float scale, int64_t n, int64_t lane, const float *lse,
                               const float *delta)
{
    for (int64_t j = 0; j < n; j += 2) {
        UNROLL
        for (int v = 0; v < MICRO_VECS; v++) {
            const int64_t l = lane + v * RT_W, at = j * PAIR_ROWS + l, next = at + PAIR_ROWS;
            const vf high = vf_load(lse + l, RT_W), d = vf_load(delta + l, RT_W), factor = vf_set(scale * LOG2_E);
            const vf p0 = vf_exp2(vf_fma(vf_load(w->s + at, RT_W), factor, -high));
            const vf p1 = vf_exp2(vf_fma(vf_load(w->s + next, RT_W), factor, -high));
            store_pairs(w->p_rows, NULL, j, l, p0, p1);
            store_pairs(w->ds_rows, w->ds_pairs, j, l, scale * p0 * (vf_load(w->ds + at, RT_W) - d),
                        scale * p1 * (vf_load(w->ds + next, RT_W) - d));
        }
    }
}

/* A block of queries and the chunk [c0, c1) of keys, which has been packed. */
static void pair_backward(const rt_attn *a, const pair_work *w, const pair_block *b, int64_t c0, int64_t c1)
{
    const float *q = a->q + b->q0 * a->ldq, *o = a->o + b->q0 * a->ldo, *d_o = a->do_ + b->q0 * a->ldo;
    const int64_t begin = b->k0 > c0 ? b->k0 : c0, end = b->k1 < pair_up(c1) ? b->k1 : pair_up(c1),
                  pairs = b->lanes / 2;
    float lse[PAIR_ROWS] = {0}, delta[PAIR_ROWS] = {0};
    for (int64_t i = 0; i < b->nq; i++) {
        lse[i] = a->lse[b->q0 + i] * LOG2_E;
        delta[i] = dot(d_o + i * a->ldo, o + i * a->ldo, a->head_dim_v);
    }
    pack_lanes(w->q_lanes, w->q_pairs, q, a->ldq, b->nq, a->head_dim, w->d);
    pack_lanes(w->do_lanes, w->do_pairs, d_o, a->ldo, b->nq, a->head_dim_v, w->dv);
    pack_pairs(w->q_pairs, q, a->ldq, b->nq, PAIR_ROWS, a->head_dim, w->d);
    pack_pairs(w->do_pairs, d_o, a->ldo, b->nq, PAIR_ROWS, a->head_dim_v, w->dv);
    for (int64_t j = begin; j < end; j += PAIR_KEYS) {
        const int64_t n = end - j < PAIR_KEYS ? end - j : PAIR_KEYS, real = c1 - j < n ? c1 - j : n, at = j - c0;
        pair_scores(a, w, b, w->k_rows + at * w->d / 2, j, n);
        pair_gemm(n, b->lanes, w->dv / 2, w->ds, PAIR_ROWS, w->v_rows + at * w->dv / 2, w->dv / 2, 1, w->do_lanes,
                  PAIR_ROWS, false);
        for (int64_t lane = 0; lane < b->lanes; lane += MICRO_VECS * RT_W) {
            pair_softmax_gradient(w, a->scale, n, lane, lse, delta);
        }
        pair_gemm(b->nq, a->head_dim, n / 2, a->dq + b->q0 * a->ldq, a->ldq, w->ds_pairs, 1, PAIR_ROWS,
                  w->k_pairs + at / 2 * w->d, w->d, true);
        pair_gemm(real, a->head_dim, pairs, a->dk + j * a->ldk, a->ldk, w->ds_rows, PAIR_ROWS / 2, 1, w->q_pairs, w->d,
                  true);
        pair_gemm(real, a->head_dim_v, pairs, a->dv + j * a->ldv, a->ldv, w->p_rows, PAIR_ROWS / 2, 1, w->do_pairs,
                  w->dv, true);
    }
}

/* A sink's value is 0, so that its dP is too. */
static float sink_gradient(const rt_attn *a)
{
    float sum = 0;
    for (int64_t i = 0; i < a->n_q; i++) {
        sum -= expf(*a->sink - a->lse[i]) * dot(a->do_ + i * a->ldo, a->o + i * a->ldo, a->head_dim_v);
    }
    return sum;
}

static void attn_bf16_backward(const rt_attn *a)
{
    const int64_t chunk = pair_chunk(a);
    const pair_work w = pair_work_in(a, chunk);
    if (a->sink != NULL && !a->more) {
        *a->dsink = sink_gradient(a);
    }
    for (int64_t i = 0; !a->more && i < a->n_q; i++) {
        memset(a->dq + i * a->ldq, 0, (size_t)a->head_dim * sizeof(float));
    }
    for (int64_t c0 = 0; c0 < a->n_kv; c0 += chunk) {
        const int64_t c1 = c0 + chunk < a->n_kv ? c0 + chunk : a->n_kv, n = c1 - c0, all = pair_up(n);
        pack_rows(w.k_rows, a->k + c0 * a->ldk, a->ldk, n, all, a->head_dim, w.d);
        pack_rows(w.v_rows, a->v + c0 * a->ldv, a->ldv, n, all, a->head_dim_v, w.dv);
        pack_pairs(w.k_pairs, a->k + c0 * a->ldk, a->ldk, n, all, a->head_dim, w.d);
        for (int64_t q0 = 0; q0 < a->n_q; q0 += PAIR_ROWS) {
            const pair_block b = pair_block_at(a, q0);
            if (b.k1 > c0 && b.k0 < c1) {
                pair_backward(a, &w, &b, c0, c1);
            }
        }
    }
}
