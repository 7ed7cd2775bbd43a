/* ref_decl.h - the declarations of ref.h for one element type: REAL, and REF(op) which makes the name.
 * Gradients named "+=" in the comments are added to, the others are written. Included twice: no guard. */

/* C[m,n] = op(A)[m,k] op(B)[k,n], plus C when accumulate; storage as in tensor/gemm.h. */
typedef struct REF(gemm_args) {
    int64_t m, n, k;
    const REAL *a, *b;
    int64_t lda, ldb;
    bool trans_a, trans_b;
    REAL *c;
    int64_t ldc;
    bool accumulate;
} REF(gemm_args);
void REF(matmul)(const REF(gemm_args) * g);
/* da += , db += (either may be NULL), stored like a and b, from dc [m, ldc]. */
void REF(matmul_backward)(const REF(gemm_args) * g, const REAL *dc, REAL *da, REAL *db);

/* y = x * rstd * (w + w_offset), rstd = 1/sqrt(mean(x^2) + eps); rstd [rows] may be NULL. x, y [rows, d]. */
void REF(rmsnorm)(REAL *y, REAL *rstd, const REAL *x, const REAL *w, double w_offset, double eps, int64_t rows,
                  int64_t d);
/* dx +=, dw += */
void REF(rmsnorm_backward)(REAL *dx, REAL *dw, const REAL *dy, const REAL *x, const REAL *w, double w_offset,
                           double eps, int64_t rows, int64_t d);

/* Rotates pairs (i, i + n_rot/2) of every head in place; cs [rows][n_rot]: cosines, then sines.
 * sign 1 forward, -1 backward: the transpose of a rotation is its inverse. */
void REF(rope)(REAL *x, int64_t ld, int n_head, int head_dim, int n_rot, const REAL *cs, double sign, int64_t rows);
/* The same with pairs (2i, 2i + 1). */
void REF(rope_pairs)(REAL *x, int64_t ld, int n_head, int head_dim, int n_rot, const REAL *cs, double sign,
                     int64_t rows);

/* y = unit(gate, up) */
void REF(glu)(REAL *y, int64_t ldy, const REAL *gate, const REAL *up, int64_t ldx, const rt_glu *unit, int64_t rows,
              int64_t f);
void REF(glu_backward)(REAL *dgate, REAL *dup, int64_t ldd, const REAL *dy, int64_t lddy, const REAL *gate,
                       const REAL *up, int64_t ldx, const rt_glu *unit, int64_t rows, int64_t f);

/* One query head over one segment; the meaning of every field is rt_attn's. */
typedef struct REF(attn_args) {
    int64_t n_q, n_kv, window;
    int head_dim, head_dim_v;
    double scale;
    const REAL *q, *k, *v;
    int64_t ldq, ldk, ldv;
    REAL *o;
    int64_t ldo;
    const REAL *sink;
    REAL *lse;       /* [n_q]; may be NULL when no backward follows */
    const REAL *do_; /* [n_q, ldo] */
    REAL *dq;        /* written */
    REAL *dk, *dv;   /* += */
    REAL *dsink;     /* written */
} REF(attn_args);
void REF(attn)(const REF(attn_args) * a);
void REF(attn_backward)(const REF(attn_args) * a);

/* y[i] = table[ids[i]], rows of d */
void REF(embed)(REAL *y, const REAL *table, const int32_t *ids, int64_t n, int64_t d);
/* dtable[ids[i]] += dy[i] */
void REF(embed_backward)(REAL *dtable, const REAL *dy, const int32_t *ids, int64_t n, int64_t d);

double REF(logsumexp)(const REAL *z, int64_t n, double inv_t, REAL *max_out);
/* z = exp(z * inv_t - lse) * w */
void REF(softmax_scale)(REAL *z, int64_t n, double inv_t, double lse, double w);

/* Sum over the rows whose label is >= 0 of -log softmax(z)[label]. z [rows, v]. */
double REF(cross_entropy)(const REAL *z, const int32_t *labels, int64_t rows, int64_t v);
/* dz = weight * d(that sum)/dz; rows without a label get zeros. */
void REF(cross_entropy_backward)(REAL *dz, const REAL *z, const int32_t *labels, double weight, int64_t rows,
                                 int64_t v);

/* Mixture-of-experts router as rt_route (tensor/route.h) over rows: logits [rows, n_expert], bias [n_expert] or NULL;
 * ids, weights [rows, n_used]. */
void REF(router)(int32_t *ids, REAL *weights, const REAL *logits, const REAL *bias, const rt_routing *r, int64_t rows);
/* dlogits written; the choice of experts is taken as constant. */
void REF(router_backward)(REAL *dlogits, const REAL *dweights, const int32_t *ids, const REAL *logits,
                          const rt_routing *r, int64_t rows);

/* w -= lr * weight_decay * w; moments; w -= lr * m_hat / (sqrt(v_hat) + eps), on g * grad_scale. */
void REF(adamw)(REAL *w, REAL *m, REAL *v, const REAL *g, const rt_ref_adamw *p, int64_t n);

/* One Muon step of w [rows, cols]: m <- mu m + (1 - mu) g; u = (1 - mu) g + mu m, made orthogonal by five Newton-Schulz
 * steps; w -= lr (weight_decay w + scale u). work: 2 rows cols + 2 min(rows, cols)^2. */
void REF(muon)(REAL *w, REAL *m, const REAL *g, const rt_ref_muon *p, int64_t rows, int64_t cols, REAL *work);
