/* attn_pair_body.h - attention of one head with bf16 operands, RT_ATTN_ROWS queries against PAIR_KEYS keys at a time
 * (Dao et al. 2022: running maximum forward, recomputed probabilities backward). As in attn_body.h lanes are queries,
 * here of the outputs too: O^T and dQ^T are summed per block of queries and turned once. Every operand is then read as
 * it was packed: K and V by rows and by columns once a call, Q and dO once a block, P^T and dS^T as they are made. */

enum { PAIR_KEYS = 256, PAIR_ALIGN = 32 };

static int64_t pair_up(int64_t n)
{
    return (n + PAIR_ALIGN - 1) / PAIR_ALIGN * PAIR_ALIGN;
}

/* What a call keeps in its scratch. d and dv, the widths of keys and of values, and n_kv are rounded up to PAIR_ALIGN,
 * zeros beyond. */
typedef struct pair_work {
    int64_t d, dv, n_kv;
    pair *k_rows, *v_rows;       /* [n_kv][d/2], [n_kv][dv/2] pairs along d */
    pair *k_columns, *v_columns; /* [d][n_kv/2], [dv][n_kv/2] pairs along keys */
    pair *q_lanes, *do_lanes;    /* [d/2][ROWS], [dv/2][ROWS] pairs along d, lanes queries */
    pair *q_pairs, *do_pairs;    /* [ROWS/2][d], [ROWS/2][dv] pairs along queries */
    pair *p_rows, *ds_rows;      /* [PAIR_KEYS][ROWS/2] pairs along queries */
    pair *p_pairs, *ds_pairs;    /* [PAIR_KEYS/2][ROWS] pairs along keys */
    float *s, *ds;               /* [PAIR_KEYS][ROWS] */
    float *out;                  /* [dv][ROWS] O^T or [d][ROWS] dQ^T */
} pair_work;

static pair *take(float **at, int64_t n)
{
    pair *p = (pair *)(void *)*at;
    *at += n;
    return p;
}

static pair_work pair_work_in(const rt_attn *a)
{
    pair_work w = {.d = pair_up(a->head_dim), .dv = pair_up(a->head_dim_v), .n_kv = pair_up(a->n_kv)};
    float *at = a->scratch;
    w.k_rows = take(&at, w.n_kv * w.d / 2);
    w.v_rows = take(&at, w.n_kv * w.dv / 2);
    w.k_columns = take(&at, w.n_kv * w.d / 2);
    w.v_columns = take(&at, w.n_kv * w.dv / 2);
    w.q_lanes = take(&at, w.d / 2 * ROWS);
    w.do_lanes = take(&at, w.dv / 2 * ROWS);
    w.q_pairs = take(&at, w.d / 2 * ROWS);
    w.do_pairs = take(&at, w.dv / 2 * ROWS);
    w.p_rows = take(&at, PAIR_KEYS * ROWS / 2);
    w.ds_rows = take(&at, PAIR_KEYS * ROWS / 2);
    w.p_pairs = take(&at, PAIR_KEYS * ROWS / 2);
    w.ds_pairs = take(&at, PAIR_KEYS * ROWS / 2);
    w.s = (float *)take(&at, PAIR_KEYS * ROWS);
    w.ds = (float *)take(&at, PAIR_KEYS * ROWS);
    w.out = (float *)take(&at, (w.d > w.dv ? w.d : w.dv) * ROWS);
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
    memset(to, 0, (size_t)(all / 2 * d) * sizeof *to);
    for (int64_t i = 0; i < rows; i += 2) {
        const float *low = from + i * ld, *high = i + 1 < rows ? low + ld : NULL;
        FOR_LANES(j, c, n, {
            vf a = vf_load(low + j, c), b = high != NULL ? vf_load(high + j, c) : (vf){0};
            vf_store((float *)(void *)(to + i / 2 * d + j), (vf)vf_round_pairs(a, b).pairs, c);
        });
    }
}

/* to[j][i] = from[i][j], `rows` a multiple of 16. */
static void turn_pairs(pair *to, int64_t ldto, const pair *from, int64_t rows, int64_t d)
{
    enum { SIDE = 16 };
    for (int64_t i0 = 0; i0 < rows; i0 += SIDE) {
        for (int64_t j = 0; j < d; j++) {
            UNROLL
            for (int64_t i = 0; i < SIDE; i++) {
                to[j * ldto + i0 + i] = from[(i0 + i) * d + j];
            }
        }
    }
}

/* `n_kv` keys (or values) of n floats by rows and by columns, either of which may be NULL; the columns' pairs pass
 * through `between` [ROWS/2][d]. */
static void pack_keys(pair *by_rows, pair *by_columns, pair *between, const float *from, int64_t ld, int64_t n_kv,
                      int64_t n)
{
    const int64_t all = pair_up(n_kv), d = pair_up(n);
    if (by_rows != NULL) {
        pack_rows(by_rows, from, ld, n_kv, all, n, d);
    }
    for (int64_t j = 0; by_columns != NULL && j < all; j += ROWS) {
        const int64_t left = n_kv - j, rows = left < ROWS ? left : ROWS;
        pack_pairs(between, from + j * ld, ld, rows, ROWS, n, d);
        turn_pairs(by_columns + j / 2, all / 2, between, ROWS / 2, d);
    }
}

/* Queries (or their gradients) with lanes = queries and pairs along d; `between` [ROWS][d/2]. */
static void pack_lanes(pair *to, pair *between, const float *from, int64_t ld, int64_t rows, int64_t n, int64_t d)
{
    pack_rows(between, from, ld, rows, ROWS, n, d);
    turn_pairs(to, ROWS, between, ROWS, d / 2);
}

/* --- a block of queries ----------------------------------------------------------------------------------------- */

/* Keys [k0, k1) that some query of the block sees, both at PAIR_ALIGN. */
typedef struct pair_block {
    int64_t q0, nq, k0, k1, position; /* position of query q0 */
} pair_block;

static pair_block pair_block_at(const rt_attn *a, int64_t q0)
{
    pair_block b = {.q0 = q0, .nq = a->n_q - q0 < ROWS ? a->n_q - q0 : ROWS, .position = q0 + a->n_kv - a->n_q};
    int64_t first = a->window > 0 ? b.position - a->window + 1 : 0;
    b.k0 = first > 0 ? first / PAIR_ALIGN * PAIR_ALIGN : 0;
    b.k1 = pair_up(b.position + b.nq);
    return b;
}

/* S^T of the keys [j, j + n) into w->s, -infinity where unseen. */
static void pair_scores(const rt_attn *a, const pair_work *w, const pair_block *b, int64_t j, int64_t n)
{
    pair_gemm(n, ROWS, w->d / 2, w->s, ROWS, w->k_rows + j * w->d / 2, w->d / 2, w->q_lanes, ROWS, false);
    const bool diagonal = j + n > b->position, edge = a->window > 0 && j <= b->position + ROWS - a->window;
    if (diagonal || edge) {
        hide(&(attn_block){.s = w->s, .nk = n, .offset = b->position - j}, a->window);
    }
}

/* One vector of lanes of two neighbouring keys as operands of the next products. */
VEC void store_pairs(pair *rows, pair *pairs, int64_t j, int v, vf even, vf odd)
{
    const pair_rows r = vf_round_pairs(even, odd);
    uint16_t *row = (uint16_t *)(void *)(rows + j * ROWS / 2) + v * RT_W;
    *(vh_any *)row = r.a;
    *(vh_any *)(row + ROWS) = r.b;
    vu_store(pairs + j / 2 * ROWS + v * RT_W, r.pairs);
}

/* Scores of n keys become P^T relative to the new maximum; what was summed before is scaled to it. */
VEC void pair_softmax(const pair_work *w, float scale, int64_t n, int64_t d, int v, float *top, float *sum)
{
    float *s = w->s + v * RT_W;
    vf before = vf_load(top + v * RT_W, RT_W), m0 = before, m1 = m0;
    for (int64_t j = 0; j < n; j += 2) {
        m0 = vf_max(vf_load(s + j * ROWS, RT_W) * scale, m0);
        m1 = vf_max(vf_load(s + (j + 1) * ROWS, RT_W) * scale, m1);
    }
    vf m = vf_max(m0, m1), shrink = vf_exp(before - m), s0 = {0}, s1 = {0};
    for (int64_t j = 0; j < n; j += 2) {
        vf p0 = vf_exp(vf_load(s + j * ROWS, RT_W) * scale - m);
        vf p1 = vf_exp(vf_load(s + (j + 1) * ROWS, RT_W) * scale - m);
        vu_store(w->p_pairs + j / 2 * ROWS + v * RT_W, vf_round_pairs(p0, p1).pairs);
        s0 += p0;
        s1 += p1;
    }
    vf_store(top + v * RT_W, m, RT_W);
    vf_store(sum + v * RT_W, vf_load(sum + v * RT_W, RT_W) * shrink + (s0 + s1), RT_W);
    for (int64_t i = 0; i < d; i++) {
        float *o = w->out + i * ROWS + v * RT_W;
        vf_store(o, vf_load(o, RT_W) * shrink, RT_W);
    }
}

/* to[i][j] = from[j][i] * factor[i]; lanes beyond nq are dropped. */
static void turn_back(float *to, int64_t ld, const float *from, int64_t nq, int64_t n, const float *factor)
{
    enum { SIDE = 16 };
    for (int64_t j0 = 0; j0 < n; j0 += SIDE) {
        const int64_t end = j0 + SIDE < n ? j0 + SIDE : n;
        for (int64_t i = 0; i < nq; i++) {
            for (int64_t j = j0; j < end; j++) {
                to[i * ld + j] = from[j * ROWS + i] * factor[i];
            }
        }
    }
}

static void pair_attend(const rt_attn *a, const pair_work *w, const pair_block *b)
{
    float top[ROWS], sum[ROWS] = {0};
    for (int i = 0; i < ROWS; i++) {
        top[i] = -3e38f;
    }
    memset(w->out, 0, (size_t)(w->dv * ROWS) * sizeof(float));
    pack_lanes(w->q_lanes, w->q_pairs, a->q + b->q0 * a->ldq, a->ldq, b->nq, a->head_dim, w->d);
    for (int64_t j = b->k0; j < b->k1; j += PAIR_KEYS) {
        const int64_t n = b->k1 - j < PAIR_KEYS ? b->k1 - j : PAIR_KEYS;
        pair_scores(a, w, b, j, n);
        for (int v = 0; v < ROW_VECS; v++) {
            pair_softmax(w, a->scale, n, a->head_dim_v, v, top, sum);
        }
        pair_gemm(a->head_dim_v, ROWS, n / 2, w->out, ROWS, w->v_columns + j / 2, w->n_kv / 2, w->p_pairs, ROWS, true);
    }
    for (int64_t i = 0; i < b->nq; i++) {
        const float lse = with_sink(top[i] + logf(sum[i]), a->sink);
        if (a->lse != NULL) {
            a->lse[b->q0 + i] = lse;
        }
        sum[i] = a->sink != NULL ? expf(top[i] - lse) : 1.0f / sum[i];
    }
    turn_back(a->o + b->q0 * a->ldo, a->ldo, w->out, b->nq, a->head_dim_v, sum);
}

static void attn_bf16(const rt_attn *a)
{
    if (a->n_q < ROWS / 2) { /* packing all keys for a few queries costs more than it gains */
        attn(a);
        return;
    }
    const pair_work w = pair_work_in(a);
    pack_keys(w.k_rows, NULL, NULL, a->k, a->ldk, a->n_kv, a->head_dim);
    pack_keys(NULL, w.v_columns, w.do_pairs, a->v, a->ldv, a->n_kv, a->head_dim_v);
    for (int64_t q0 = 0; q0 < a->n_q; q0 += ROWS) {
        const pair_block b = pair_block_at(a, q0);
        pair_attend(a, &w, &b);
    }
}

/* --- backward --------------------------------------------------------------------------------------------------- */

/* From S^T and dP^T of n keys: P^T and dS^T = scale P (dP - delta) as operands. */
VEC void pair_softmax_gradient(const pair_work *w, float scale, int64_t n, int v, const float *lse, const float *delta)
{
    const float *s = w->s + v * RT_W, *dp = w->ds + v * RT_W;
    const vf l = vf_load(lse + v * RT_W, RT_W), d = vf_load(delta + v * RT_W, RT_W);
    for (int64_t j = 0; j < n; j += 2) {
        vf p0 = vf_exp(vf_load(s + j * ROWS, RT_W) * scale - l);
        vf p1 = vf_exp(vf_load(s + (j + 1) * ROWS, RT_W) * scale - l);
        store_pairs(w->p_rows, w->p_pairs, j, v, p0, p1);
        store_pairs(w->ds_rows, w->ds_pairs, j, v, scale * p0 * (vf_load(dp + j * ROWS, RT_W) - d),
                    scale * p1 * (vf_load(dp + (j + 1) * ROWS, RT_W) - d));
    }
}

static void pair_backward_keys(const rt_attn *a, const pair_work *w, const pair_block *b, int64_t j, const float *lse,
                               const float *delta)
{
    const int64_t n = b->k1 - j < PAIR_KEYS ? b->k1 - j : PAIR_KEYS, real = a->n_kv - j < n ? a->n_kv - j : n;
    pair_scores(a, w, b, j, n);
    pair_gemm(n, ROWS, w->dv / 2, w->ds, ROWS, w->v_rows + j * w->dv / 2, w->dv / 2, w->do_lanes, ROWS, false);
    for (int v = 0; v < ROW_VECS; v++) {
        pair_softmax_gradient(w, a->scale, n, v, lse, delta);
    }
    pair_gemm(a->head_dim, ROWS, n / 2, w->out, ROWS, w->k_columns + j / 2, w->n_kv / 2, w->ds_pairs, ROWS, true);
    pair_gemm(real, a->head_dim, ROWS / 2, a->dk + j * a->ldk, a->ldk, w->ds_rows, ROWS / 2, w->q_pairs, w->d, true);
    pair_gemm(real, a->head_dim_v, ROWS / 2, a->dv + j * a->ldv, a->ldv, w->p_rows, ROWS / 2, w->do_pairs, w->dv, true);
}

static void pair_backward(const rt_attn *a, const pair_work *w, const pair_block *b)
{
    static const float ones[ROWS] = {[0 ... ROWS - 1] = 1.0f};
    const float *q = a->q + b->q0 * a->ldq, *o = a->o + b->q0 * a->ldo, *d_o = a->do_ + b->q0 * a->ldo;
    float lse[ROWS] = {0}, delta[ROWS] = {0};
    for (int64_t i = 0; i < b->nq; i++) {
        lse[i] = a->lse[b->q0 + i];
        delta[i] = dot(d_o + i * a->ldo, o + i * a->ldo, a->head_dim_v);
        if (a->sink != NULL) { /* its value is 0, so that dP is too */
            *a->dsink -= expf(*a->sink - lse[i]) * delta[i];
        }
    }
    memset(w->out, 0, (size_t)(w->d * ROWS) * sizeof(float));
    pack_lanes(w->q_lanes, w->q_pairs, q, a->ldq, b->nq, a->head_dim, w->d);
    pack_lanes(w->do_lanes, w->do_pairs, d_o, a->ldo, b->nq, a->head_dim_v, w->dv);
    pack_pairs(w->q_pairs, q, a->ldq, b->nq, ROWS, a->head_dim, w->d);
    pack_pairs(w->do_pairs, d_o, a->ldo, b->nq, ROWS, a->head_dim_v, w->dv);
    for (int64_t j = b->k0; j < b->k1; j += PAIR_KEYS) {
        pair_backward_keys(a, w, b, j, lse, delta);
    }
    turn_back(a->dq + b->q0 * a->ldq, a->ldq, w->out, b->nq, a->head_dim, ones);
}

static void attn_bf16_backward(const rt_attn *a)
{
    const pair_work w = pair_work_in(a);
    if (a->sink != NULL) {
        *a->dsink = 0;
    }
    pack_keys(w.k_rows, w.k_columns, w.q_pairs, a->k, a->ldk, a->n_kv, a->head_dim);
    pack_keys(w.v_rows, NULL, NULL, a->v, a->ldv, a->n_kv, a->head_dim_v);
    for (int64_t q0 = 0; q0 < a->n_q; q0 += ROWS) {
        const pair_block b = pair_block_at(a, q0);
        pair_backward(a, &w, &b);
    }
}
