/* loss_body.h - value and gradient of one row of logits, for the element type REAL; the including file gives
 * row_max, row_logsumexp and row_softmax. Sums are in double.
 *
 * Every divergence is a sum of terms over buckets (tokens, or the top k and the rest) and only needs, per bucket,
 * p, q, d = log p - log q. With g = q * d(value)/dq per bucket, the softmax gives the gradient
 *     d value / d z_i = (g_i - q_i * sum g) / T,
 * whatever constant is added to d(value)/dq: hence two sweeps over the vocabulary, the sum between them. */
#include <math.h>
#include <tgmath.h>

typedef struct row {
    const rt_loss *loss;
    REAL *z;
    int64_t v;
    const rt_target *target;
    const REAL *teacher, *logp;
    double log_tail;
    bool grad;
    double weight;
    REAL *scratch;
    double inv_t, scale; /* 1/T; weight * factor / T */
} row;

/* The logarithm of no probability (a logit of -infinity): finite, so that 0 log 0 is 0 and log 0 - log 0 too, and
 * not so large that adding it would cost the other terms their digits. */
#define LOG_ZERO (-1e6)

/* NaN stays NaN, unlike fmax. */
static double at_least(double x, double least)
{
    return x < least ? least : x;
}

/* log(m/q) of the mixture m = b p + (1-b) q. Divides by the larger of p and q, and is exact as p goes to q. */
static inline double log_mix(double p, double q, double d, double b)
{
    if (p > q) {
        return d + log1p((REAL)((1.0 - b) * (q - p) / p));
    }
    return q > 0.0 ? log1p((REAL)(b * (p - q) / q)) : 0.0;
}

/* q/m of the same mixture. */
static inline double share_of(double p, double q, double b)
{
    double m = b * p + (1.0 - b) * q;
    return m > 0.0 ? q / m : 0.0;
}

/* g of total variation, which is also that of -alpha, the acceptance sum min(p, q): a constant apart it is -q where the
 * student gives too little, so that it is no larger than alpha and can be divided by it. */
static inline double shortfall(double p, double q)
{
    return q < p ? -q : 0.0;
}

/* The losses of alpha: their gradient is forward KL's and total variation's in a proportion that only the whole row
 * tells. Until it is known their terms are forward KL's, whose g says p. */
static inline bool needs_alpha(const rt_loss *l)
{
    return l->kind == RT_LOSS_ACCEPTANCE || l->kind == RT_LOSS_LK;
}

/* One bucket's share of the value; *g as above. p = 0 and q = 0 contribute 0, as their limits do. */
static inline double term(const rt_loss *l, double p, double q, double d, double *g)
{
    double mix = l->mix, m;
    switch (l->kind) {
    case RT_LOSS_ACCEPTANCE:
    case RT_LOSS_LK:
    case RT_LOSS_FORWARD_KL: *g = -p; return p * d;
    case RT_LOSS_REVERSE_KL: *g = -q * d; return -q * d;
    case RT_LOSS_JSD:
        m = log_mix(p, q, d, mix);
        *g = -q * m / mix;
        return p * (d - m) / (1.0 - mix) - q * m / mix;
    case RT_LOSS_SKEW_FORWARD_KL:
        m = log_mix(p, q, d, mix);
        *g = -(1.0 - mix) * p * share_of(p, q, mix);
        return p * (d - m);
    case RT_LOSS_SKEW_REVERSE_KL:
        m = log_mix(p, q, d, 1.0 - mix);
        *g = -q * (m + mix * share_of(p, q, 1.0 - mix));
        return -q * m;
    case RT_LOSS_TVD: *g = shortfall(p, q); return 0.5 * fabs(p - q);
    case RT_LOSS_CE:
    case RT_LOSS_Z_LOSS:
    case RT_LOSS_COUNT: break;
    }
    rt_bug_at(__FILE__, __LINE__, "loss without a term");
}

#define LK_RATE 3.0          /* the weight of KL is e^(-3 alpha), taken as a constant by the gradient */
#define LEAST_LOG_P (-100.0) /* an empty bucket of the teacher: 0 in float, yet reverse KL stays finite */

/* What is summed over the buckets of a row. */
typedef struct sums {
    double value, total; /* of the terms; of their g */
    double alpha, lack;  /* of min(p, q); of the shortfalls */
} sums;

static inline double add_term(sums *s, const rt_loss *l, double p, double q, double d)
{
    double g;
    s->value += term(l, p, q, d, &g);
    s->total += g;
    if (needs_alpha(l)) {
        s->alpha += p < q ? p : q;
        s->lack += shortfall(p, q);
    }
    return g;
}

/* A loss of alpha once the row is summed: shares of forward KL's gradient and of total variation's. */
typedef struct blend {
    double kl, tv;
} blend;

static blend settle(sums *s, const rt_loss *l)
{
    double alpha = at_least(s->alpha, exp(LEAST_LOG_P)), w = exp(-LK_RATE * alpha);
    blend b = {.kl = w, .tv = 1.0 - w};
    if (l->kind == RT_LOSS_ACCEPTANCE) {
        b = (blend){.kl = 0.0, .tv = 1.0 / alpha};
        s->value = -log(alpha);
    } else {
        s->value = w * s->value + (1.0 - w) * (1.0 - s->alpha);
    }
    s->total = b.kl * s->total + b.tv * s->lack;
    return b;
}

/* g of a bucket from forward KL's. */
static inline double blended(blend b, double g, double q)
{
    return b.kl * g + b.tv * shortfall(-g, q);
}

/* ---- label ---- */

/* (log sum exp)^2 keeps the logits' scale, which cross-entropy leaves free, near one whose exponentials sum to 1. */
static double z_row(const row *r)
{
    double lse = row_logsumexp(r->z, r->v, 1.0);
    if (r->grad) {
        row_softmax(r->z, r->v, 1.0, lse, 2.0 * lse * r->scale);
    }
    return lse * lse;
}

static double label_row(const row *r)
{
    if (r->loss->kind == RT_LOSS_Z_LOSS) {
        return z_row(r);
    }
    int32_t y = r->target->label;
    double e = r->loss->label_smoothing, mean = 0.0;
    if (e > 0.0) {
        for (int64_t i = 0; i < r->v; i++) {
            mean += r->z[i];
        }
        mean /= (double)r->v;
    }
    double lse = row_logsumexp(r->z, r->v, 1.0);
    double value = lse - (1.0 - e) * r->z[y] - e * mean;
    if (r->grad) {
        row_softmax(r->z, r->v, 1.0, lse, r->scale);
        r->z[y] -= (REAL)((1.0 - e) * r->scale);
        for (int64_t i = 0; e > 0.0 && i < r->v; i++) {
            r->z[i] -= (REAL)(e / (double)r->v * r->scale);
        }
    }
    return value;
}

/* ---- draws of the teacher: forward KL whose expectation over the draws is the dense one's ---- */

static double sample_row(const row *r)
{
    const rt_target *t = r->target;
    double lse = row_logsumexp(r->z, r->v, r->inv_t);
    double value = -(double)t->entropy, mass = 0.0;
    for (int j = 0; j < t->n; j++) {
        value += t->weight[j] * (lse - r->z[t->ids[j]] * r->inv_t);
        mass += t->weight[j];
    }
    if (r->grad) {
        row_softmax(r->z, r->v, r->inv_t, lse, mass * r->scale);
        for (int j = 0; j < t->n; j++) {
            r->z[t->ids[j]] -= (REAL)(t->weight[j] * r->scale);
        }
    }
    return value;
}

/* ---- top k and one bucket for the rest ---- */

#define MASKED ((REAL)-1e30) /* no probability at any T; stays finite when divided by it */

typedef struct buckets {
    REAL z[RT_LOSS_MAX_TOPK]; /* logits of the entries */
    double g[RT_LOSS_MAX_TOPK];
    bool tail;            /* some token is no entry */
    double lse_tail, lse; /* of the other tokens; of all */
    double g_tail;
} buckets;

/* Takes the entries out of the row and sums what is left: 1 - sum q would lose a small tail to rounding. */
static void split_entries(buckets *b, const row *r)
{
    const rt_target *t = r->target;
    for (int j = 0; j < t->n; j++) {
        b->z[j] = r->z[t->ids[j]];
        r->z[t->ids[j]] = MASKED;
    }
    b->tail = t->n < r->v;
    b->lse_tail = b->tail ? row_logsumexp(r->z, r->v, r->inv_t) : -INFINITY;
    double max = b->lse_tail;
    for (int j = 0; j < t->n; j++) {
        max = fmax(max, b->z[j] * r->inv_t);
    }
    double sum = exp(b->lse_tail - max);
    for (int j = 0; j < t->n; j++) {
        sum += exp(b->z[j] * r->inv_t - max);
    }
    b->lse = max + log(sum);
}

static double bucket_term(const row *r, sums *s, double log_p, double log_q)
{
    log_p = at_least(log_p, LEAST_LOG_P);
    return add_term(s, r->loss, exp(log_p), exp(log_q), log_p - at_least(log_q, LOG_ZERO));
}

static double q_of(const row *r, const buckets *b, int j)
{
    return exp(b->z[j] * r->inv_t - b->lse);
}

static void settle_buckets(const row *r, buckets *b, sums *s)
{
    blend mix = settle(s, r->loss);
    b->g_tail = b->tail ? blended(mix, b->g_tail, exp(b->lse_tail - b->lse)) : 0.0;
    for (int j = 0; j < r->target->n; j++) {
        b->g[j] = blended(mix, b->g[j], q_of(r, b, j));
    }
}

static double topk_row(const row *r)
{
    const rt_target *t = r->target;
    RT_BUG_IF(t->n > RT_LOSS_MAX_TOPK);
    buckets b;
    sums s = {0};
    split_entries(&b, r);
    b.g_tail = b.tail ? bucket_term(r, &s, r->log_tail, b.lse_tail - b.lse) : 0.0;
    for (int j = 0; j < t->n; j++) {
        b.g[j] = bucket_term(r, &s, r->logp[j], b.z[j] * r->inv_t - b.lse);
    }
    if (needs_alpha(r->loss)) {
        settle_buckets(r, &b, &s);
    }
    if (r->grad && b.tail) { /* the bucket's gradient falls on its tokens in proportion to q */
        double w = b.g_tail - exp(b.lse_tail - b.lse) * s.total;
        row_softmax(r->z, r->v, r->inv_t, b.lse_tail, w * r->scale);
    }
    for (int j = 0; j < t->n; j++) {
        r->z[t->ids[j]] = r->grad ? (REAL)((b.g[j] - q_of(r, &b, j) * s.total) * r->scale) : b.z[j];
    }
    return s.value;
}

/* ---- the teacher's whole distribution ---- */

enum { BLOCK = 256 };

/* log softmax_i = (x_i - max) / T - log_sum: the maximum is kept apart, so that a large offset costs no digits. */
typedef struct norm {
    REAL max;
    double log_sum;
} norm;

static void softmax_block(REAL *y, const REAL *x, int64_t n, norm s, double inv_t)
{
    for (int64_t i = 0; i < n; i++) {
        y[i] = x[i] - s.max;
    }
    row_softmax(y, n, inv_t, s.log_sum, 1.0);
}

static int64_t block_size(const row *r, int64_t first)
{
    return r->v - first < BLOCK ? r->v - first : BLOCK;
}

/* Four sums side by side: one alone would wait for every addition. */
static double sum_block(const REAL *x, int64_t n)
{
    double s0 = 0.0, s1 = 0.0, s2 = 0.0, s3 = 0.0;
    int64_t i = 0;
    for (; i + 4 <= n; i += 4) {
        s0 += x[i];
        s1 += x[i + 1];
        s2 += x[i + 2];
        s3 += x[i + 3];
    }
    for (; i < n; i++) {
        s0 += x[i];
    }
    return (s0 + s1) + (s2 + s3);
}

static norm norm_of(const row *r, const REAL *x)
{
    REAL e[BLOCK];
    norm s = {.max = row_max(x, r->v)};
    double sum = 0.0;
    for (int64_t i = 0; i < r->v; i += BLOCK) {
        int64_t n = block_size(r, i);
        softmax_block(e, x + i, n, s, r->inv_t);
        sum += sum_block(e, n);
    }
    s.log_sum = log(sum);
    return s;
}

static double dense_row(const row *r)
{
    norm zn = norm_of(r, r->z), tn = norm_of(r, r->teacher);
    sums s = {0};
    REAL p[BLOCK], q[BLOCK];
    for (int64_t i = 0; i < r->v; i += BLOCK) {
        int64_t n = block_size(r, i);
        softmax_block(p, r->teacher + i, n, tn, r->inv_t);
        softmax_block(q, r->z + i, n, zn, r->inv_t);
        for (int64_t j = 0; j < n; j++) {
            double log_p = ((double)r->teacher[i + j] - tn.max) * r->inv_t - tn.log_sum;
            double log_q = ((double)r->z[i + j] - zn.max) * r->inv_t - zn.log_sum;
            double g = add_term(&s, r->loss, p[j], q[j], at_least(log_p, LOG_ZERO) - at_least(log_q, LOG_ZERO));
            if (r->grad) {
                r->scratch[i + j] = (REAL)g;
                r->z[i + j] = q[j];
            }
        }
    }
    if (needs_alpha(r->loss)) {
        blend mix = settle(&s, r->loss);
        for (int64_t i = 0; r->grad && i < r->v; i++) {
            r->scratch[i] = (REAL)blended(mix, r->scratch[i], r->z[i]);
        }
    }
    for (int64_t i = 0; r->grad && i < r->v; i++) {
        r->z[i] = (REAL)((r->scratch[i] - r->z[i] * s.total) * r->scale);
    }
    return s.value;
}

static double loss_row(row *r)
{
    r->inv_t = 1.0 / r->loss->temperature;
    r->scale = r->weight * rt_loss_factor(r->loss) * r->inv_t;
    switch (r->target->kind) {
    case RT_TARGET_LABEL: return label_row(r);
    case RT_TARGET_SAMPLE: return sample_row(r);
    case RT_TARGET_TOPK: return topk_row(r);
    case RT_TARGET_DENSE: return dense_row(r);
    }
    rt_bug_at(__FILE__, __LINE__, "target of no kind");
}
