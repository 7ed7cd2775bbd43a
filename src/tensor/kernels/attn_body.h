/* attn_body.h - attention of one head, RT_ATTN_ROWS queries against RT_ATTN_KEYS keys at a time, causal or windowed
 * (Dao et al. 2022: running maximum forward, recomputed probabilities backward). Scores are kept transposed,
 * S^T[key][query]: vector lanes are queries, so that neither the softmax nor its gradient sums across lanes, and K, V,
 * their gradients and the outputs are used as they lie in memory; only Q and dO are turned. Keys that no query of the
 * block sees are never touched. Exponentials are powers of 2. */

enum { ROWS = RT_ATTN_ROWS, ROW_VECS = RT_ATTN_ROWS / RT_W };

#define LOG2_E 1.44269504f
#define LN_2 0.693147181f

/* A block of queries and the keys [k0, k1) that one of them sees. Query i sees key k0 + j when
 * last - (n_seen - 1) <= j <= last, with last = i + offset. */
typedef struct attn_block {
    int64_t q0, nq, k0, nk;
    int64_t offset;     /* position of query q0 minus k0 */
    float *s, *ds;      /* [RT_ATTN_KEYS][ROWS], of `keys_from` */
    float *qt, *dot_;   /* [head_dim][ROWS], [head_dim_v][ROWS], zero beyond nq */
    float *lse, *delta; /* [ROWS] */
} attn_block;

static attn_block block_at(const rt_attn *a, int64_t q0)
{
    int64_t shift = a->n_kv - a->n_q + a->ahead;
    int64_t nq = a->n_q - q0 < ROWS ? a->n_q - q0 : ROWS;
    int64_t k0 = a->window > 0 && q0 + shift - a->window + 1 > 0 ? q0 + shift - a->window + 1 : 0;
    int64_t k1 = q0 + nq + shift < a->n_kv ? q0 + nq + shift : a->n_kv;
    attn_block b = {.q0 = q0, .nq = nq, .k0 = k0, .nk = k1 - k0, .offset = q0 + shift - k0};
    const int64_t together = a->n_kv < RT_ATTN_KEYS ? a->n_kv : RT_ATTN_KEYS;
    b.s = a->scratch;
    b.ds = b.s + together * ROWS;
    b.qt = b.ds + together * ROWS;
    b.dot_ = b.qt + a->head_dim * ROWS;
    b.lse = b.dot_ + a->head_dim_v * ROWS;
    b.delta = b.lse + ROWS;
    return b;
}

/* The block with those of its keys alone that are taken together from its key j on. */
static attn_block keys_from(attn_block b, int64_t j)
{
    b.k0 += j;
    b.offset -= j;
    b.nk = b.nk - j < RT_ATTN_KEYS ? b.nk - j : RT_ATTN_KEYS;
    return b;
}

static void turn(float *to, const float *from, int64_t ld, int64_t rows, int64_t d)
{
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < d; j++) {
            to[j * ROWS + i] = from[i * ld + j];
        }
    }
    for (int64_t i = rows; i < ROWS; i++) {
        for (int64_t j = 0; j < d; j++) {
            to[j * ROWS + i] = 0;
        }
    }
}

/* Of scores [nk][width], -infinity where the query does not see the key: query i sees key j when j - offset <= i, and
 * before it stands a window's width further. Only rows near the diagonal and the window's edge have such lanes. */
static void hide(float *s, int width, int64_t nk, int64_t offset, int64_t window)
{
    const vi numbers = vi_lane_numbers(), low = (vi)vf_set(-__builtin_inff());
    for (int64_t j = 0; j < nk; j++) {
        const int64_t first = j - offset, end = window > 0 ? first + window : width;
        if (first <= 0 && end >= width) {
            continue;
        }
        const int from = (int)(first < width ? first : width), to = (int)(end < 0 ? 0 : end < width ? end : width);
        for (int i = 0; i < width; i += RT_W) {
            float *at = s + j * width + i;
            const vi lane = numbers + i, hidden = (lane < from) | (lane >= to);
            vf_store(at, (vf)(((vi)vf_load(at, RT_W) & ~hidden) | (low & hidden)), RT_W);
        }
    }
}

/* Its queries have been turned. */
static void scores(const rt_attn *a, const attn_block *b)
{
    micro_gemm(b->nk, ROWS, a->head_dim, b->s, ROWS, a->k + b->k0 * a->ldk, a->ldk, 1, b->qt, ROWS, false);
    hide(b->s, ROWS, b->nk, b->offset, a->window);
}

/* What MICRO_VECS vectors of lanes keep of the keys before: the largest scaled score and the sum of exponentials. */
typedef struct running {
    vf top[MICRO_VECS], sum[MICRO_VECS], shrink[MICRO_VECS];
} running;

/* Takes the maximum of n more scores s [n][ld] in; `sum` becomes relative to it, as whatever is multiplied with
 * `shrink` does. */
VEC void raise_top(running *r, const float *s, int64_t ld, int64_t n, float scale, const float *top, const float *sum)
{
    vf m[MICRO_VECS];
    UNROLL
    for (int v = 0; v < MICRO_VECS; v++) {
        m[v] = vf_load(s + v * RT_W, RT_W);
    }
    for (int64_t j = 1; j < n; j++) {
        UNROLL
        for (int v = 0; v < MICRO_VECS; v++) {
            m[v] = vf_max(vf_load(s + j * ld + v * RT_W, RT_W), m[v]);
        }
    }
    UNROLL
    for (int v = 0; v < MICRO_VECS; v++) {
        const vf before = vf_load(top + v * RT_W, RT_W);
        r->top[v] = vf_max(m[v] * scale, before);
        r->shrink[v] = vf_exp2(before - r->top[v]);
        r->sum[v] = vf_load(sum + v * RT_W, RT_W) * r->shrink[v];
    }
}

VEC void store_running(const running *r, float *top, float *sum, float *shrink)
{
    UNROLL
    for (int v = 0; v < MICRO_VECS; v++) {
        vf_store(top + v * RT_W, r->top[v], RT_W);
        vf_store(sum + v * RT_W, r->sum[v], RT_W);
        vf_store(shrink + v * RT_W, r->shrink[v], RT_W);
    }
}

/* S^T becomes P^T relative to the new maximum `top`, in powers of 2; `shrink` is what turns sums relative to the old
 * one into such. */
VEC void softmax_columns(const attn_block *b, float scale, int64_t lane, float *top, float *sum, float *shrink)
{
    float *s = b->s + lane;
    running r;
    raise_top(&r, s, ROWS, b->nk, scale, top + lane, sum + lane);
    for (int64_t j = 0; j < b->nk; j++) {
        UNROLL
        for (int v = 0; v < MICRO_VECS; v++) {
            float *at = s + j * ROWS + v * RT_W;
            const vf p = vf_exp2(vf_fma(vf_load(at, RT_W), vf_set(scale), -r.top[v]));
            vf_store(at, p, RT_W);
            r.sum[v] += p;
        }
    }
    store_running(&r, top + lane, sum + lane, shrink + lane);
}

/* log-sum-exp of a query with the head's sink among its scores. */
static float with_sink(float lse, const float *sink)
{
    if (!sink) {
        return lse;
    }
    float high = lse > *sink ? lse : *sink, low = lse > *sink ? *sink : lse;
    return high + log1pf(expf(low - high));
}

static void attn_rows(const rt_attn *a, const attn_block *b)
{
    float top[ROWS], sum[ROWS] = {0}, shrink[ROWS];
    float *o = a->o + b->q0 * a->ldo;
    for (int i = 0; i < ROWS; i++) {
        top[i] = -3e38f; /* lanes past the last query saw nothing when the window ends before them */
    }
    turn(b->qt, a->q + b->q0 * a->ldq, a->ldq, b->nq, a->head_dim);
    for (int64_t j = 0; j < b->nk; j += RT_ATTN_KEYS) {
        const attn_block part = keys_from(*b, j);
        scores(a, &part);
        for (int lane = 0; lane < b->nq; lane += MICRO_VECS * RT_W) {
            softmax_columns(&part, a->scale * LOG2_E, lane, top, sum, shrink);
        }
        for (int64_t i = 0; j > 0 && i < b->nq; i++) {
            if (shrink[i] != 1.0f) {
                scale(o + i * a->ldo, shrink[i], a->head_dim_v);
            }
        }
        micro_gemm(b->nq, a->head_dim_v, part.nk, o, a->ldo, part.s, 1, ROWS, a->v + part.k0 * a->ldv, a->ldv, j > 0);
    }
    for (int64_t i = 0; i < b->nq; i++) {
        const float high = top[i] * LN_2, lse = with_sink(high + logf(sum[i]), a->sink);
        scale(o + i * a->ldo, a->sink ? expf(high - lse) : 1.0f / sum[i], a->head_dim_v);
        if (a->lse) {
            a->lse[b->q0 + i] = lse;
        }
    }
}

/* One query (decoding) of each head of a group: scores are rows, K is read as a weight matrix, once for the group. */
static void attn_one(const rt_attn *a, int64_t i)
{
    const int64_t end = i + a->n_kv - a->n_q + 1, d = a->head_dim, heads = a->group > 0 ? a->group : 1;
    const int64_t k0 = a->window > 0 && end > a->window ? end - a->window : 0, nk = end - k0;
    float *s = a->scratch, *o = a->o + i * a->ldo;
    matvec(s, nk, a->q + i * a->ldq, d, heads, a->k + k0 * a->ldk, RT_F32, a->ldk, nk, d);
    for (int64_t h = 0; h < heads; h++) {
        const float lse = with_sink(logsumexp(s + h * nk, nk, a->scale, NULL), a->sink ? a->sink + h : NULL);
        softmax_scale(s + h * nk, nk, a->scale, lse, 1.0f);
        if (a->lse) {
            a->lse[i] = lse;
        }
    }
    micro_gemm(heads, a->head_dim_v, nk, o, a->head_dim_v, s, nk, 1, a->v + k0 * a->ldv, a->ldv, false);
}

static void attn(const rt_attn *a)
{
    /* Below this the unused lanes of a block cost more than its reuse of K and V gains. */
    enum { FEW = 4 };
    for (int64_t q0 = 0; q0 < a->n_q; q0 += ROWS) {
        if (a->n_q <= FEW) {
            for (int64_t i = 0; i < a->n_q; i++) {
                attn_one(a, i);
            }
            return;
        }
        attn_block b = block_at(a, q0);
        attn_rows(a, &b);
    }
}

/* From S^T and (dO V^T)^T: P^T into s, dS^T = scale P (dP - delta) into ds; delta = sum over dO o, lse in powers of 2.
 */
VEC void softmax_gradient(const attn_block *b, float scale, int v)
{
    float *s = b->s + v * RT_W, *ds = b->ds + v * RT_W;
    const vf lse = vf_load(b->lse + v * RT_W, RT_W), delta = vf_load(b->delta + v * RT_W, RT_W);
    for (int64_t j = 0; j < b->nk; j++) {
        const vf p = vf_exp2(vf_fma(vf_load(s + j * ROWS, RT_W), vf_set(scale * LOG2_E), -lse));
        vf_store(s + j * ROWS, p, RT_W);
        vf_store(ds + j * ROWS, scale * p * (vf_load(ds + j * ROWS, RT_W) - delta), RT_W);
    }
}

/* Of some of the block's keys; dQ begins with the first of them. */
static void attn_backward_keys(const rt_attn *a, const attn_block *b, bool first)
{
    const float *q = a->q + b->q0 * a->ldq, *d_o = a->do_ + b->q0 * a->ldo;
    const float *k = a->k + b->k0 * a->ldk, *v = a->v + b->k0 * a->ldv;
    const int64_t d = a->head_dim, dv = a->head_dim_v;
    scores(a, b);
    micro_gemm(b->nk, ROWS, dv, b->ds, ROWS, v, a->ldv, 1, b->dot_, ROWS, false);
    for (int i = 0; i < ROW_VECS; i++) {
        softmax_gradient(b, a->scale, i);
    }
    micro_gemm(b->nq, d, b->nk, a->dq + b->q0 * a->ldq, a->ldq, b->ds, 1, ROWS, k, a->ldk, a->more || !first);
    micro_gemm(b->nk, d, b->nq, a->dk + b->k0 * a->ldk, a->ldk, b->ds, ROWS, 1, q, a->ldq, true);
    micro_gemm(b->nk, dv, b->nq, a->dv + b->k0 * a->ldv, a->ldv, b->s, ROWS, 1, d_o, a->ldo, true);
}

static void attn_backward_rows(const rt_attn *a, const attn_block *b)
{
    const float *o = a->o + b->q0 * a->ldo, *d_o = a->do_ + b->q0 * a->ldo;
    const int64_t dv = a->head_dim_v;
    for (int64_t i = 0; i < ROWS; i++) {
        b->lse[i] = i < b->nq ? a->lse[b->q0 + i] * LOG2_E : 0;
        b->delta[i] = i < b->nq ? dot(d_o + i * a->ldo, o + i * a->ldo, dv) : 0;
    }
    for (int64_t i = 0; a->sink && !a->more && i < b->nq; i++) { /* its value is 0, so that dP is too */
        *a->dsink -= expf(*a->sink - a->lse[b->q0 + i]) * b->delta[i];
    }
    turn(b->qt, a->q + b->q0 * a->ldq, a->ldq, b->nq, a->head_dim);
    turn(b->dot_, d_o, a->ldo, b->nq, dv);
    for (int64_t j = 0; j < b->nk; j += RT_ATTN_KEYS) {
        const attn_block part = keys_from(*b, j);
        attn_backward_keys(a, &part, j == 0);
    }
}

static void attn_backward(const rt_attn *a)
{
    if (a->sink && !a->more) {
        *a->dsink = 0;
    }
    for (int64_t q0 = 0; q0 < a->n_q; q0 += ROWS) {
        attn_block b = block_at(a, q0);
        attn_backward_rows(a, &b);
    }
}
