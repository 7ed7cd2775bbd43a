/* ref_body.h - bodies of ref.h for one element type: REAL, and REF(op) which makes the name. Letters are those of
 * the papers; dx is the gradient of x. Forward and backward of an op stand together. */
#include <math.h>

/* ---- matrix product ---- */

void REF(matmul)(const REF(gemm_args) * g)
{
    for (int64_t i = 0; i < g->m; i++) {
        for (int64_t j = 0; j < g->n; j++) {
            REAL *c = &g->c[i * g->ldc + j];
            double sum = g->accumulate ? (double)*c : 0.0;
            for (int64_t l = 0; l < g->k; l++) {
                double a = g->trans_a ? g->a[l * g->lda + i] : g->a[i * g->lda + l];
                double b = g->trans_b ? g->b[j * g->ldb + l] : g->b[l * g->ldb + j];
                sum += a * b;
            }
            *c = (REAL)sum;
        }
    }
}

void REF(matmul_backward)(const REF(gemm_args) * g, const REAL *dc, REAL *da, REAL *db)
{
    if (da != NULL && !g->trans_a) { /* dA = dC op(B)^T */
        REF(matmul)
        (&(REF(gemm_args)){.m = g->m,
                           .n = g->k,
                           .k = g->n,
                           .a = dc,
                           .lda = g->ldc,
                           .b = g->b,
                           .ldb = g->ldb,
                           .trans_b = !g->trans_b,
                           .c = da,
                           .ldc = g->lda,
                           .accumulate = true});
    } else if (da != NULL) { /* stored [k, m]: dA^T = op(B) dC^T */
        REF(matmul)
        (&(REF(gemm_args)){.m = g->k,
                           .n = g->m,
                           .k = g->n,
                           .a = g->b,
                           .lda = g->ldb,
                           .trans_a = g->trans_b,
                           .b = dc,
                           .ldb = g->ldc,
                           .trans_b = true,
                           .c = da,
                           .ldc = g->lda,
                           .accumulate = true});
    }
    if (db != NULL && !g->trans_b) { /* dB = op(A)^T dC */
        REF(matmul)
        (&(REF(gemm_args)){.m = g->k,
                           .n = g->n,
                           .k = g->m,
                           .a = g->a,
                           .lda = g->lda,
                           .trans_a = !g->trans_a,
                           .b = dc,
                           .ldb = g->ldc,
                           .c = db,
                           .ldc = g->ldb,
                           .accumulate = true});
    } else if (db != NULL) { /* stored [n, k]: dB^T = dC^T op(A) */
        REF(matmul)
        (&(REF(gemm_args)){.m = g->n,
                           .n = g->k,
                           .k = g->m,
                           .a = dc,
                           .lda = g->ldc,
                           .trans_a = true,
                           .b = g->a,
                           .ldb = g->lda,
                           .trans_b = g->trans_a,
                           .c = db,
                           .ldc = g->ldb,
                           .accumulate = true});
    }
}

/* ---- RMSNorm (Zhang & Sennrich 2019) ---- */

static double rms_inverse(const REAL *x, double eps, int64_t d)
{
    double sum = 0.0;
    for (int64_t j = 0; j < d; j++) {
        sum += (double)x[j] * x[j];
    }
    return 1.0 / sqrt(sum / (double)d + eps);
}

void REF(rmsnorm)(REAL *y, REAL *rstd, const REAL *x, const REAL *w, double w_offset, double eps, int64_t rows,
                  int64_t d)
{
    for (int64_t i = 0; i < rows; i++, x += d, y += d) {
        double r = rms_inverse(x, eps, d);
        for (int64_t j = 0; j < d; j++) {
            y[j] = (REAL)(x[j] * r * (w[j] + w_offset));
        }
        if (rstd != NULL) {
            rstd[i] = (REAL)r;
        }
    }
}

/* With u = dy (w + offset): dx = r u - x r^3 mean(u x). */
void REF(rmsnorm_backward)(REAL *dx, REAL *dw, const REAL *dy, const REAL *x, const REAL *w, double w_offset,
                           double eps, int64_t rows, int64_t d)
{
    for (int64_t i = 0; i < rows; i++, x += d, dy += d, dx += d) {
        double r = rms_inverse(x, eps, d);
        double ux = 0.0;
        for (int64_t j = 0; j < d; j++) {
            ux += dy[j] * (w[j] + w_offset) * x[j];
        }
        double c = r * r * r * ux / (double)d;
        for (int64_t j = 0; j < d; j++) {
            dx[j] += (REAL)(r * dy[j] * (w[j] + w_offset) - c * x[j]);
            dw[j] += (REAL)(dy[j] * (x[j] * r));
        }
    }
}

/* ---- rotary embedding (Su et al. 2021) ---- */

static void rotate(REAL *a, REAL *b, double c, double s)
{
    double x = *a, y = *b;
    *a = (REAL)(x * c - y * s);
    *b = (REAL)(y * c + x * s);
}

void REF(rope)(REAL *x, int64_t ld, int n_head, int head_dim, int n_rot, const REAL *cs, double sign, int64_t rows)
{
    int half = n_rot / 2;
    for (int64_t r = 0; r < rows; r++, cs += n_rot) {
        for (int h = 0; h < n_head; h++) {
            REAL *p = x + r * ld + (int64_t)h * head_dim;
            for (int i = 0; i < half; i++) {
                rotate(&p[i], &p[i + half], cs[i], sign * cs[half + i]);
            }
        }
    }
}

void REF(rope_pairs)(REAL *x, int64_t ld, int n_head, int head_dim, int n_rot, const REAL *cs, double sign,
                     int64_t rows)
{
    int half = n_rot / 2;
    for (int64_t r = 0; r < rows; r++, cs += n_rot) {
        for (int h = 0; h < n_head; h++) {
            REAL *p = x + r * ld + (int64_t)h * head_dim;
            for (int i = 0; i < half; i++) {
                rotate(&p[2 * i], &p[2 * i + 1], cs[i], sign * cs[half + i]);
            }
        }
    }
}

/* ---- gated linear units (Shazeer 2020) ---- */

/* The activation at x; *slope gets its derivative. GELU in the tanh form of Hendrycks & Gimpel (2016). */
static double activation(const rt_glu *unit, double x, double *slope)
{
    if (unit->act == RT_ACT_SILU) {
        double a = unit->alpha, s = 1.0 / (1.0 + exp(-a * x));
        *slope = s * (1.0 + a * x * (1.0 - s));
        return x * s;
    }
    const double a = 0.79788456080286535588 /* sqrt(2/pi) */, b = 0.044715;
    double t = tanh(a * (x + b * x * x * x));
    *slope = 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * a * (1.0 + 3.0 * b * x * x);
    return 0.5 * x * (1.0 + t);
}

/* x cut to [low, limit] when the unit has a limit; *slope gets 0 where it was cut, else 1. */
static double cut(const rt_glu *unit, double x, double low, double *slope)
{
    *slope = unit->limit > 0 && (x > unit->limit || x < low) ? 0.0 : 1.0;
    return *slope > 0 ? x : x < low ? low : unit->limit;
}

void REF(glu)(REAL *y, int64_t ldy, const REAL *gate, const REAL *up, int64_t ldx, const rt_glu *unit, int64_t rows,
              int64_t f)
{
    double slope;
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < f; j++) {
            double g = cut(unit, gate[i * ldx + j], -INFINITY, &slope);
            double u = cut(unit, up[i * ldx + j], -unit->limit, &slope);
            y[i * ldy + j] = (REAL)(activation(unit, g, &slope) * (u + unit->up_offset));
        }
    }
}

void REF(glu_backward)(REAL *dgate, REAL *dup, int64_t ldd, const REAL *dy, int64_t lddy, const REAL *gate,
                       const REAL *up, int64_t ldx, const rt_glu *unit, int64_t rows, int64_t f)
{
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < f; j++) {
            double slope, open_gate, open_up, d = dy[i * lddy + j];
            double g = cut(unit, gate[i * ldx + j], -INFINITY, &open_gate);
            double u = cut(unit, up[i * ldx + j], -unit->limit, &open_up);
            double value = activation(unit, g, &slope);
            dup[i * ldd + j] = (REAL)(d * value * open_up);
            dgate[i * ldd + j] = (REAL)(d * (u + unit->up_offset) * slope * open_gate);
        }
    }
}

/* ---- attention of one head ---- */

static double dot(const REAL *x, const REAL *y, int n)
{
    double sum = 0.0;
    for (int i = 0; i < n; i++) {
        sum += (double)x[i] * y[i];
    }
    return sum;
}

/* Keys [*first, *end) are seen by query row i. */
static void attn_span(const REF(attn_args) * a, int64_t i, int64_t *first, int64_t *end)
{
    int64_t pos = i + a->n_kv - a->n_q;
    *first = a->window > 0 && pos >= a->window ? pos - a->window + 1 : 0;
    *end = pos + 1;
}

static double attn_score(const REF(attn_args) * a, int64_t i, int64_t j)
{
    return a->scale * dot(a->q + i * a->ldq, a->k + j * a->ldk, a->head_dim);
}

static double attn_row_lse(const REF(attn_args) * a, int64_t i)
{
    int64_t first, end;
    attn_span(a, i, &first, &end);
    double max = a->sink != NULL ? *a->sink : -INFINITY;
    for (int64_t j = first; j < end; j++) {
        max = fmax(max, attn_score(a, i, j));
    }
    double sum = a->sink != NULL ? exp(*a->sink - max) : 0.0;
    for (int64_t j = first; j < end; j++) {
        sum += exp(attn_score(a, i, j) - max);
    }
    return max + log(sum);
}

/* o[c..c+n) of query row i, n <= ATTN_COLUMNS: bounded, so that the sums in double need no heap. */
enum { ATTN_COLUMNS = 128 };
static void attn_columns(const REF(attn_args) * a, int64_t i, double lse, int c, int n)
{
    double sum[ATTN_COLUMNS] = {0};
    int64_t first, end;
    attn_span(a, i, &first, &end);
    for (int64_t j = first; j < end; j++) {
        double p = exp(attn_score(a, i, j) - lse);
        for (int l = 0; l < n; l++) {
            sum[l] += p * a->v[j * a->ldv + c + l];
        }
    }
    for (int l = 0; l < n; l++) {
        a->o[i * a->ldo + c + l] = (REAL)sum[l];
    }
}

void REF(attn)(const REF(attn_args) * a)
{
    for (int64_t i = 0; i < a->n_q; i++) {
        double lse = attn_row_lse(a, i);
        for (int c = 0; c < a->head_dim_v; c += ATTN_COLUMNS) {
            int left = a->head_dim_v - c;
            attn_columns(a, i, lse, c, left < ATTN_COLUMNS ? left : ATTN_COLUMNS);
        }
        if (a->lse != NULL) {
            a->lse[i] = (REAL)lse;
        }
    }
}

/* dS = P (dP - rowsum(P dP)), and rowsum(P dP) = do . o (Dao et al. 2022, eq. 4). A sink has dP = 0. */
void REF(attn_backward)(const REF(attn_args) * a)
{
    int hd = a->head_dim, hdv = a->head_dim_v;
    double dsink = 0.0;
    for (int64_t i = 0; i < a->n_q; i++) {
        int64_t first, end;
        attn_span(a, i, &first, &end);
        const REAL *q = a->q + i * a->ldq, *dout = a->do_ + i * a->ldo;
        REAL *dq = a->dq + i * a->ldq;
        double delta = dot(dout, a->o + i * a->ldo, hdv);
        dsink -= a->sink != NULL ? exp(*a->sink - a->lse[i]) * delta : 0.0;
        for (int c = 0; c < hd; c++) {
            dq[c] = 0;
        }
        for (int64_t j = first; j < end; j++) {
            const REAL *k = a->k + j * a->ldk;
            double p = exp(attn_score(a, i, j) - a->lse[i]);
            double ds = p * (dot(dout, a->v + j * a->ldv, hdv) - delta) * a->scale;
            for (int c = 0; c < hd; c++) {
                dq[c] += (REAL)(ds * k[c]);
                a->dk[j * a->ldk + c] += (REAL)(ds * q[c]);
            }
            for (int c = 0; c < hdv; c++) {
                a->dv[j * a->ldv + c] += (REAL)(p * dout[c]);
            }
        }
    }
    if (a->sink != NULL) {
        *a->dsink = (REAL)dsink;
    }
}

/* ---- embedding ---- */

void REF(embed)(REAL *y, const REAL *table, const int32_t *ids, int64_t n, int64_t d)
{
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < d; j++) {
            y[i * d + j] = table[ids[i] * d + j];
        }
    }
}

void REF(embed_backward)(REAL *dtable, const REAL *dy, const int32_t *ids, int64_t n, int64_t d)
{
    for (int64_t i = 0; i < n; i++) {
        for (int64_t j = 0; j < d; j++) {
            dtable[ids[i] * d + j] += dy[i * d + j];
        }
    }
}

/* ---- softmax and cross entropy ---- */

double REF(logsumexp)(const REAL *z, int64_t n, double inv_t, REAL *max_out)
{
    double max = -INFINITY, sum = 0.0;
    for (int64_t i = 0; i < n; i++) {
        max = fmax(max, z[i]);
    }
    for (int64_t i = 0; i < n; i++) {
        sum += exp((z[i] - max) * inv_t);
    }
    if (max_out != NULL) {
        *max_out = (REAL)(max * inv_t);
    }
    return max * inv_t + log(sum);
}

void REF(softmax_scale)(REAL *z, int64_t n, double inv_t, double lse, double w)
{
    for (int64_t i = 0; i < n; i++) {
        z[i] = (REAL)(exp(z[i] * inv_t - lse) * w);
    }
}

double REF(cross_entropy)(const REAL *z, const int32_t *labels, int64_t rows, int64_t v)
{
    double sum = 0.0;
    for (int64_t i = 0; i < rows; i++, z += v) {
        if (labels[i] >= 0) {
            sum += REF(logsumexp)(z, v, 1.0, NULL) - z[labels[i]];
        }
    }
    return sum;
}

void REF(cross_entropy_backward)(REAL *dz, const REAL *z, const int32_t *labels, double weight, int64_t rows, int64_t v)
{
    for (int64_t i = 0; i < rows; i++, z += v, dz += v) {
        double lse = REF(logsumexp)(z, v, 1.0, NULL);
        for (int64_t j = 0; j < v; j++) {
            double target = j == labels[i] ? 1.0 : 0.0;
            dz[j] = labels[i] >= 0 ? (REAL)(weight * (exp(z[j] - lse) - target)) : 0;
        }
    }
}

/* ---- mixture-of-experts router ---- */

static double router_score(const REAL *z, const rt_routing *r, int e)
{
    switch (r->score) {
    case RT_SCORE_SIGMOID: return 1.0 / (1.0 + exp(-(double)z[e]));
    case RT_SCORE_SQRT_SOFTPLUS: return sqrt(log1p(exp((double)z[e])));
    default: return exp(z[e] - REF(logsumexp)(z, r->n_expert, 1.0, NULL));
    }
}

/* What the choice goes by. */
static double router_key(const REAL *z, const REAL *bias, const rt_routing *r, int e)
{
    return router_score(z, r, e) + (bias != NULL ? bias[e] : 0.0);
}

static double router_group_score(const REAL *z, const REAL *bias, const rt_routing *r, int group)
{
    const int size = (int)(r->n_expert / r->n_group);
    double first = -INFINITY, second = -INFINITY;
    for (int e = group * size; e < (group + 1) * size; e++) {
        double key = router_key(z, bias, r, e);
        second = fmax(second, fmin(first, key));
        first = fmax(first, key);
    }
    return r->group_score == RT_GROUP_TOP2 ? first + second : first;
}

/* The expert's group is among the best: fewer than n_group_used others come before it. */
static bool router_open(const REAL *z, const REAL *bias, const rt_routing *r, int e)
{
    const int own = (int)(e / (r->n_expert / r->n_group));
    const double score = router_group_score(z, bias, r, own);
    int before = 0;
    for (int g = 0; g < r->n_group; g++) {
        double other = router_group_score(z, bias, r, g);
        before += other > score || (other == score && g < own);
    }
    return before < r->n_group_used;
}

static double chosen_mass(const REAL *z, const int32_t *ids, const rt_routing *r)
{
    double mass = 0.0;
    for (int i = 0; r->normalise && i < r->n_used; i++) {
        mass += router_score(z, r, ids[i]);
    }
    return r->normalise ? mass : 1.0;
}

void REF(router)(int32_t *ids, REAL *weights, const REAL *logits, const REAL *bias, const rt_routing *r, int64_t rows)
{
    for (int64_t row = 0; row < rows; row++, logits += r->n_expert, ids += r->n_used, weights += r->n_used) {
        for (int i = 0; i < r->n_used; i++) { /* the next in the order (descending key, ascending id) */
            ids[i] = -1;
            for (int e = 0; e < r->n_expert; e++) {
                double key = router_key(logits, bias, r, e);
                double last = i > 0 ? router_key(logits, bias, r, ids[i - 1]) : INFINITY;
                bool later = key < last || (key == last && e > ids[i - 1]);
                bool better = ids[i] < 0 || key > router_key(logits, bias, r, ids[i]);
                ids[i] = later && better && router_open(logits, bias, r, e) ? e : ids[i];
            }
        }
        double mass = chosen_mass(logits, ids, r);
        for (int i = 0; i < r->n_used; i++) {
            weights[i] = (REAL)(r->scale * router_score(logits, r, ids[i]) / mass);
        }
    }
}

/* Weights w_i = scale p_i / M with M = sum of the chosen p, or 1; so dp_i = scale (dw_i - sum_j dw_j p_j / M) / M, the
 * sum only with M. Softmax: dlogit_e = p_e (dp_e - sum_j dp_j p_j); sigmoid: dlogit_e = p_e (1 - p_e) dp_e; square
 * root of softplus: dlogit_e = (1 - exp(-p_e^2)) / 2 p_e dp_e. */
void REF(router_backward)(REAL *dlogits, const REAL *dweights, const int32_t *ids, const REAL *logits,
                          const rt_routing *r, int64_t rows)
{
    for (int64_t row = 0; row < rows; row++) {
        const REAL *z = logits + row * r->n_expert, *dw = dweights + row * r->n_used;
        const int32_t *chosen = ids + row * r->n_used;
        double mass = chosen_mass(z, chosen, r), mean = 0.0, total = 0.0;
        for (int i = 0; r->normalise && i < r->n_used; i++) {
            mean += dw[i] * router_score(z, r, chosen[i]) / mass;
        }
        for (int i = 0; i < r->n_used; i++) {
            total += r->scale * (dw[i] - mean) / mass * router_score(z, r, chosen[i]);
        }
        for (int e = 0; e < r->n_expert; e++) {
            double p = router_score(z, r, e), dp = 0.0;
            for (int i = 0; i < r->n_used; i++) {
                dp += chosen[i] == e ? r->scale * (dw[i] - mean) / mass : 0.0;
            }
            dlogits[row * r->n_expert + e] =
                (REAL)(r->score == RT_SCORE_SOFTMAX
                           ? p * (dp - total)
                           : dp * (r->score == RT_SCORE_SIGMOID ? p * (1.0 - p) : -expm1(-p * p) / (2.0 * p)));
        }
    }
}

/* ---- AdamW (Loshchilov & Hutter 2019, decoupled decay) ---- */

void REF(adamw)(REAL *w, REAL *m, REAL *v, const REAL *g, const rt_ref_adamw *p, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        double grad = g[i] * p->grad_scale;
        double m1 = p->beta1 * m[i] + (1.0 - p->beta1) * grad;
        double v1 = p->beta2 * v[i] + (1.0 - p->beta2) * grad * grad;
        double step = m1 / p->bias1 / (sqrt(v1 / p->bias2) + p->eps);
        m[i] = (REAL)m1;
        v[i] = (REAL)v1;
        w[i] = (REAL)(w[i] * (1.0 - p->lr * p->weight_decay) - p->lr * step);
    }
}

/* ---- Muon (Jordan et al. 2024) ---- */

/* x [r, c] with r <= c <- a x + b (x x^T) x + c (x x^T)^2 x, from singular values of at most 1 towards 1. */
static void REF(newton_schulz)(REAL *x, REAL *y, REAL *gram, REAL *square, int64_t r, int64_t c)
{
    for (int64_t i = 0; i < r * c; i++) {
        y[i] = x[i];
    }
    REF(matmul)
    (&(REF(gemm_args)){
        .m = r, .n = r, .k = c, .a = x, .lda = c, .b = x, .ldb = c, .trans_b = true, .c = gram, .ldc = r});
    REF(matmul)
    (&(REF(gemm_args)){.m = r, .n = r, .k = r, .a = gram, .lda = r, .b = gram, .ldb = r, .c = square, .ldc = r});
    for (int64_t i = 0; i < r * r; i++) {
        gram[i] = (REAL)(-4.7750 * gram[i] + 2.0315 * square[i]);
    }
    for (int64_t i = 0; i < r * c; i++) {
        x[i] = (REAL)(3.4445 * x[i]);
    }
    REF(matmul)
    (&(REF(gemm_args)){
        .m = r, .n = c, .k = r, .a = gram, .lda = r, .b = y, .ldb = c, .c = x, .ldc = c, .accumulate = true});
}

void REF(muon)(REAL *w, REAL *m, const REAL *g, const rt_ref_muon *p, int64_t rows, int64_t cols, REAL *work)
{
    const bool tall = rows > cols;
    const int64_t r = tall ? cols : rows, c = tall ? rows : cols, n = rows * cols;
    REAL *x = work, *y = x + n, *gram = y + n, *square = gram + r * r;
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) {
        double grad = g[i] * p->grad_scale;
        m[i] = (REAL)(p->momentum * m[i] + (1.0 - p->momentum) * grad);
        double u = (1.0 - p->momentum) * grad + p->momentum * m[i];
        x[tall ? i % cols * rows + i / cols : i] = (REAL)u;
        sum += u * u;
    }
    const double norm = sqrt(sum) > 1e-7 ? sqrt(sum) : 1e-7;
    for (int64_t i = 0; i < n; i++) {
        x[i] = (REAL)(x[i] / norm);
    }
    for (int step = 0; step < 5; step++) {
        REF(newton_schulz)(x, y, gram, square, r, c);
    }
    for (int64_t i = 0; i < n; i++) {
        double u = x[tall ? i % cols * rows + i / cols : i];
        w[i] = (REAL)(w[i] * (1.0 - p->lr * p->weight_decay) - p->lr * p->scale * u);
    }
}
