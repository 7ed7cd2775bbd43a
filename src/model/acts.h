/* acts.h - activation memory of a batch: what each layer keeps for the backward pass and the scratch all layers share.
 * N = rows, D = d_model, Q = heads x head size, KV = key/value heads x head size, W = Q + 2 KV, F = d_ff. Private to
 * model. */
#ifndef RT_MODEL_ACTS_H
#define RT_MODEL_ACTS_H

#include "model/net.h"

/* Mixture of experts: (row, choice) pairs sorted by expert are "slots". S = N x experts used, I = d_expert. */
typedef struct rt_moe_acts {
    float *logits;     /* [N, E] */
    int32_t *expert;   /* [N, k] chosen, ascending by rank */
    float *weight;     /* [N, k] after normalisation */
    int32_t *slot;     /* [N, k] slot of each choice */
    int32_t *slot_row; /* [S] */
    int32_t *first;    /* [E + 1] first slot of each expert */
    float *gate_up;    /* [S, 2I] */
    float *shared;     /* [N, 2 d_shared] gate and up of the dense FFN beside the experts */
    float *out;        /* [S, D] expert outputs before weighting */
} rt_moe_acts;

/* Latent attention. QL, KVL = widths of the latents, R = rotated channels, KVB = heads x (plain key + value). */
typedef struct rt_mla_acts {
    float *q_raw;   /* [N, QL] query latent before its norm */
    float *q;       /* [N, Q] rotated */
    float *kv_raw;  /* [N, KVL + R] before norm and rotation */
    float *kv;      /* [N, KVL + R] after: what a timeline keeps */
    float *wide;    /* [N, KVB] keys' plain channels and values of each head */
    float *index_k; /* [N, index width] keys of the indexer */
} rt_mla_acts;

/* Scratch of latent attention. */
typedef struct rt_mla_scratch {
    void *op_q;               /* [N, QL] operand: normed query latent */
    void *op_kv;              /* [N, KVL + R] operand */
    float *k;                 /* [N, Q] keys, rotated channels repeated for every head */
    float *dq, *dk;           /* [N, Q] TRAIN mode */
    float *dwide;             /* [N, KVB] */
    float *dlatent;           /* [N, max(QL, KVL)] gradient of a normed latent */
    float *draw;              /* [N, max(QL, KVL + R)] and of what came before */
    float *index_q, *index_w; /* [N, heads x width], [N, heads] */
    float *absorbed;          /* [threads] queries and outputs of a block of rows in the latent's space */
    size_t absorbed_floats;
} rt_mla_scratch;

typedef struct rt_layer_acts {
    float *x;        /* [N, D] input */
    float *qk_raw;   /* [N, Q + KV] before their norm, architectures with qk_norm */
    float *qkv;      /* [N, W] after norm and rotation; lightning attention: [N, 4Q], q k v head by head, gate */
    float *o;        /* [N, Q] attention output before the projection */
    float *lse;      /* [heads, N] */
    float *attn_out; /* [N, D] before the post-norm, architectures with post_norms */
    float *x_mid;    /* [N, D] between attention and FFN */
    float *gate_up;  /* [N, 2F] */
    float *ffn_out;  /* [N, D] before the post-norm */
    rt_mla_acts mla;
    rt_moe_acts moe;
} rt_layer_acts;

/* Compressed attention. Widths: rt_compression. */
typedef struct rt_compressed_acts {
    float *latent;       /* [N, q_lora] */
    void *op_latent;     /* operand: normed */
    float *kv;           /* [N, head_dim] before norm and rotation */
    float *tokens;       /* [N, 2 width] values and gates for the pool */
    float *index_tokens; /* for the indexer's */
    float *index_q;      /* [N, n_index_head, index_dim] */
    float *index_weight; /* [N, n_index_head] */
    float *group;        /* [N, o_groups, o_rank] */
    void *op_group;
} rt_compressed_acts;

struct rt_acts {
    const rt_model *m;
    rt_net_mode mode;
    int64_t max_rows, max_span;
    rt_dtype type;         /* of GEMM operands: the model's compute type; F32 in RT_NET_ROWS mode */
    rt_layer_acts *layers; /* [n_layer] in training modes, else one that all share; RECOMPUTE: all but x is shared */
    float *x;              /* [N, D] after the last layer */

    float *x_end;                  /* [N, D] of several streams (then x is [N, n, D]) what the head reads */
    float *hyper_in;               /* [N, D] what a block reads of them */
    float *hyper_mix;              /* [N, n + n n] */
    rt_compressed_acts compressed; /* where a layer has such a mixer */
    float *timeline;               /* memory of timelines of spans without a cache */

    float *cs[2];        /* [N, n_rot] rotation of each row; [1] as rope_cs of the model */
    float *attn_scratch; /* [threads] */
    size_t attn_scratch_floats;
    double attention_seconds; /* in scores, softmax and their products, since last asked */

    void *op_d;          /* [N, D] operand: normed input */
    void *op_dy;         /* [N, D] operand: gradient of a block's output */
    void *op_mid;        /* [N, max(F, Q, d_shared)] operand */
    void *op_wide;       /* [N, max(2F, W, 2 d_shared)] operand */
    float *f_d;          /* [N, D] */
    float *f_mid;        /* [N, max(F, Q, d_shared)] */
    float *f_wide;       /* [N, W] */
    float *f_raw;        /* [N, Q + KV] */
    float *sink_partial; /* [N, heads] gradients of sinks, of a piece at its first row, else 0 */
    float *partial;      /* [row blocks, max(D, Q + KV)] sums for norm weights */
    rt_q8_rows q8;       /* rows of any product's input as codes, RT_NET_ROWS mode with a coded model */

    rt_mla_scratch mla;

    /* mixture scratch: S slots */
    float *moe_norm;    /* [N, D] normed input, as the router sees it */
    void *moe_op_d;     /* [S, D] operand: gathered rows */
    void *moe_op_dy;    /* [S, D] operand: gradients of expert outputs, TRAIN mode */
    void *moe_op_i;     /* [S, I] operand */
    void *moe_op_2i;    /* [S, 2I] operand */
    float *moe_f_i;     /* [S, I] */
    float *moe_f_d;     /* [S, D] */
    float *moe_dlogits; /* [N, E] */

    void *block; /* all of the above */
};

/* Rows of one task in element-wise work; fixed, so sums do not depend on the number of threads. */
#define RT_ROW_BLOCK 64

#endif
