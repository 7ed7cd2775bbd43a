/* kernels.h - the table of CPU kernels, filled generic -> avx2 -> avx512 -> ... by the ISA level in force.
 * Every kernel works on a range of rows or elements handed to one thread; cutting work into tasks is the caller's
 * (core/team.h), at sizes that do not depend on the thread count. Kernels cannot fail. All rows are contiguous
 * unless a stride (ld*, in elements) is given. tensor/ref.h holds the plain-loop oracle of each. */
#ifndef RT_TENSOR_KERNELS_H
#define RT_TENSOR_KERNELS_H

#include "core/core.h"
#include "tensor/qmatrix.h"

typedef enum rt_activation { RT_ACT_SILU, RT_ACT_GELU_TANH } rt_activation;

/* A gated unit: act(gate) * (up + up_offset), with SiLU as x sigmoid(alpha x). limit > 0: gate is cut at limit and up
 * at +-limit first, and what was cut has no gradient. (GPT-OSS: limit 7, alpha 1.702, up_offset 1) */
typedef struct rt_glu {
    rt_activation act;
    float limit, alpha, up_offset;
} rt_glu;
/* The usual one, nothing cut: SwiGLU, GeGLU. */
#define RT_GLU_PLAIN(act_) ((rt_glu){.act = (act_), .alpha = 1.0f})

/* One head of attention over one segment. Row i of q stands at key position i + n_kv - n_q (training: n_q == n_kv,
 * decoding: n_q new rows after n_kv - n_q cached ones). Causal; window > 0: key j is seen when pos - j < window. */
typedef struct rt_attn {
    int64_t n_q, n_kv, window;
    int head_dim, head_dim_v; /* width of a query and a key, and of a value and an output */
    int group; /* up to four queries, no lse: query heads side by side, and their sinks, that share keys; 0: one */
    float scale;
    const float *q, *k, *v; /* [n_q, ldq], [n_kv, ldk], [n_kv, ldv]; already at the head's first column */
    int64_t ldq, ldk, ldv;
    float *o; /* [n_q, ldo] */
    int64_t ldo;
    const float *sink; /* the head's sink: one more score of every query, with nothing behind it; NULL: none */
    float *lse;        /* [n_q] stride 1: log-sum-exp of the scaled scores (and sink); NULL when no backward follows */
    /* backward only: reads q k v o lse do_, writes dq, ADDS to dk, dv (several query heads share one kv head) */
    int64_t ahead;       /* more rows that each query stands behind: keys of other calls */
    bool more;           /* other keys of these queries came before: ADDS to dq, leaves dsink */
    const float *do_;    /* [n_q, ldo] */
    float *dq, *dk, *dv; /* strides ldq, ldk, ldv */
    float *dsink;        /* written; not used without a sink */
    float *scratch;      /* rt_attn_scratch_floats of n_kv and the wider of the two widths, of this thread */
} rt_attn;
#define RT_ATTN_MAX_GROUP 64 /* what the scratch has room for */
size_t rt_attn_scratch_floats(int64_t n_kv, int width);

typedef struct rt_adamw {
    float lr, beta1, beta2, eps, weight_decay;
    float bias1, bias2; /* 1 - beta^t */
    float grad_scale;   /* clip factor */
} rt_adamw;

typedef struct rt_kernels {
    const char *name; /* "avx512" */

    void (*f32_to_bf16)(uint16_t *y, const float *x, int64_t n); /* nearest even */
    void (*bf16_to_f32)(float *y, const uint16_t *x, int64_t n);
    void (*add)(float *y, const float *x, int64_t n);           /* y += x */
    void (*axpy)(float *y, float a, const float *x, int64_t n); /* y += a x */
    void (*scale)(float *y, float a, int64_t n);
    float (*dot)(const float *x, const float *y, int64_t n);
    double (*sum_squares)(const float *x, int64_t n);

    /* y = x * rstd * (w + w_offset), rstd = 1/sqrt(mean(x^2) + eps) saved per row when rstd != NULL.
     * y is f32 or bf16 by `ytype`. (Zhang & Sennrich 2019; Gemma: w_offset = 1) */
    void (*rmsnorm)(void *y, rt_dtype ytype, float *rstd, const float *x, const float *w, float w_offset, float eps,
                    int64_t rows, int64_t d);
    /* dx += gradient; dw += sum over rows. rstd is recomputed from x. */
    void (*rmsnorm_backward)(float *dx, float *dw, const float *dy, const float *x, const float *w, float w_offset,
                             float eps, int64_t rows, int64_t d);

    /* Rotary embedding of `n_head` heads of `head_dim` in rows of stride ld, pairs (i, i + n_rot/2). cs: [rows][n_rot]:
     * cos of the n_rot/2 angles then sin. `sign` = 1 forward, -1 backward (inverse rotation). */
    void (*rope)(float *x, int64_t ld, int n_head, int head_dim, int n_rot, const float *cs, float sign, int64_t rows);
    /* The same with pairs (2i, 2i + 1). */
    void (*rope_pairs)(float *x, int64_t ld, int n_head, int head_dim, int n_rot, const float *cs, float sign,
                       int64_t rows);

    /* y = unit(gate, up), rows with strides; y f32 or bf16 */
    void (*glu)(void *y, rt_dtype ytype, int64_t ldy, const float *gate, const float *up, int64_t ldx,
                const rt_glu *unit, int64_t rows, int64_t f);
    /* dgate, dup (f32 or bf16 by dtype_, stride ldd) from dy, gate, up */
    void (*glu_backward)(void *dgate, void *dup, rt_dtype dtype_, int64_t ldd, const float *dy, int64_t lddy,
                         const float *gate, const float *up, int64_t ldx, const rt_glu *unit, int64_t rows, int64_t f);

    void (*attn)(const rt_attn *a);
    void (*attn_backward)(const rt_attn *a);
    /* The same with q, k, v, do_, probabilities and their gradients rounded to bf16 in the products; sums and softmax
     * f32. Fast at levels where rt_cpu says fast_bf16; a few queries go through `attn`. */
    void (*attn_bf16)(const rt_attn *a);
    void (*attn_bf16_backward)(const rt_attn *a);

    /* Log-sum-exp of z[n] * inv_t; *max_out (may be NULL) = max of z * inv_t. */
    float (*logsumexp)(const float *z, int64_t n, float inv_t, float *max_out);
    /* z = exp(z * inv_t - lse) * w, in place */
    void (*softmax_scale)(float *z, int64_t n, float inv_t, float lse, float w);
    int64_t (*argmax)(const float *z, int64_t n); /* first of equals */

    /* y[r][j] = sum_k x[r][k] w[j][k] for n_rows rows and n_out outputs, w f32 or bf16 row-major [n_out, k].
     * The sum over k runs in one fixed order for every (r, j): bits of a row do not depend on the other rows. x, y f32.
     */
    void (*matvec)(float *y, int64_t ldy, const float *x, int64_t ldx, int64_t n_rows, const void *w, rt_dtype wtype,
                   int64_t ldw, int64_t n_out, int64_t k);

    /* n_rows rows from row `row` of `to` on: x, in f32, as codes. */
    void (*q8_rows)(const rt_q8_rows *to, int64_t row, const float *x, int64_t ldx, int64_t n_rows);
    /* As matvec, for the panels [panel, end) of a matrix of codes; y at its first output. */
    void (*qmatvec)(float *y, int64_t ldy, const rt_q8_rows *x, int64_t n_rows, const rt_qmatrix *w, int64_t panel,
                    int64_t end);

    /* Nothing but sums of products in registers, f32 or in pairs of bf16: what this processor gives at this moment.
     * Returns the operations done. */
    double (*bare)(rt_dtype type, int64_t rounds);

    /* One AdamW step (Loshchilov & Hutter 2019, decoupled decay) over n parameters; wb (may be NULL) gets the bf16
     * copy. */
    void (*adamw)(float *w, uint16_t *wb, float *m, float *v, const float *g, const rt_adamw *p, int64_t n);
} rt_kernels;

/* Table for the level in force (rt_cpu_get()->isa at first use, or after rt_kernels_select). */
const rt_kernels *rt_kernels_get(void);
/* Tests: table of one level (NULL when this machine or build has none of its own: then the next lower applies). */
const rt_kernels *rt_kernels_for(rt_isa isa);

#endif
