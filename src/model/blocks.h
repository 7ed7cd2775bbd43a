/* blocks.h - the one interface every kind of block has: forward adds its output to the residual stream, backward turns
 * the gradient of the output stream into that of the input stream, in place. Private to model. */
#ifndef RT_MODEL_BLOCKS_H
#define RT_MODEL_BLOCKS_H

#include <math.h>

#include "model/maps.h"

static inline float rt_sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x));
}

/* What a block works on: layer `l` of a batch. */
typedef struct rt_block_run {
    const rt_model *m;
    rt_acts *a;
    const rt_batch *b;
    const rt_layer *layer;
    rt_layer_acts *la;
    int l;
    const float *stream; /* the residual the block reads, where x_in is a sum over several streams */
    float *grads;        /* flat block, backward only */
    bool again; /* forward for the sake of the backward pass: the block's output is known and may be left as it is */
} rt_block_run;

/* x_out = x_in + block(x_in); x_out may be x_in. What backward needs is left in la. */
typedef void (*rt_block_forward)(const rt_block_run *r, const float *x_in, float *x_out);
/* dx: gradient of x_out in, of x_in out. x_in as in forward. */
typedef void (*rt_block_backward)(const rt_block_run *r, const float *x_in, float *dx);

/* Kinds of blocks: a layer is one that mixes rows and one that works on each row (RT_MIXER_*; dense or mixture). */
typedef struct rt_block_kind {
    const char *name;
    rt_block_forward forward;
    rt_block_backward backward;                                      /* NULL: the kind cannot be trained */
    int64_t (*memory)(const rt_hparams *hp, int layer, int64_t cap); /* floats kept of a timeline, NULL: none */
    /* The memory of the first n rows from one timeline to another of the same cap; NULL: all of it is copied. */
    void (*copy_rows)(const rt_hparams *hp, int64_t cap, int64_t n, float *to, const float *from);
    bool recurrent; /* the memory is a state that cannot be wound back */
} rt_block_kind;

const rt_block_kind *rt_block_mixer(const rt_hparams *hp, int layer);
const rt_block_kind *rt_block_ffn(const rt_hparams *hp, int layer);

void rt_attn_forward(const rt_block_run *r, const float *x_in, float *x_out);
void rt_attn_backward(const rt_block_run *r, const float *x_in, float *dx);
int64_t rt_attn_memory(const rt_hparams *hp, int layer, int64_t cap);
void rt_attn_copy_rows(const rt_hparams *hp, int64_t cap, int64_t n, float *to, const float *from);
void rt_lightning_forward(const rt_block_run *r, const float *x_in, float *x_out);
int64_t rt_lightning_memory(const rt_hparams *hp, int layer, int64_t cap);
void rt_mla_forward(const rt_block_run *r, const float *x_in, float *x_out);
void rt_mla_backward(const rt_block_run *r, const float *x_in, float *dx);
void rt_mla_indexed_forward(const rt_block_run *r, const float *x_in, float *x_out);
int64_t rt_mla_memory(const rt_hparams *hp, int layer, int64_t cap);
void rt_mla_copy_rows(const rt_hparams *hp, int64_t cap, int64_t n, float *to, const float *from);
void rt_compressed_forward(const rt_block_run *r, const float *x_in, float *x_out);
int64_t rt_compressed_memory(const rt_hparams *hp, int layer, int64_t cap);
void rt_ffn_forward(const rt_block_run *r, const float *x_in, float *x_out);
void rt_ffn_backward(const rt_block_run *r, const float *x_in, float *dx);
void rt_moe_forward(const rt_block_run *r, const float *x_in, float *x_out);
void rt_moe_backward(const rt_block_run *r, const float *x_in, float *dx);

/* Gated unit over the operand x [n_rows, D] with the three matrices whose roles begin at `gate` (gate, up, down), of
 * width f: y [n_rows, D]; gate_up [n_rows, 2f] is kept for backward. */
void rt_glu_forward(const rt_block_run *r, const void *x, rt_role gate, int64_t f, float *gate_up, float *y);
/* Its first half, all that backward asks for: gate and up. */
void rt_glu_expand(const rt_block_run *r, const void *x, rt_role gate, int64_t f, float *gate_up);
/* dy, x: operands. Weight gradients are added, dx is written. */
void rt_glu_backward(const rt_block_run *r, const void *x, rt_role gate, int64_t f, const float *gate_up,
                     const void *dy, float *dx);

/* Maps of a block's input, in the operand type of its activations. */
static inline void rt_block_maps(const rt_block_run *r, const rt_linear_map *maps, int n_maps, const void *x,
                                 int64_t ldx, int64_t n)
{
    rt_linear_maps(maps, n_maps, x, r->a->type, ldx, n, r->a->mode, &r->a->q8);
}

/* End of every block: x_out = x_in + y, with the post-norm of architectures that have one (then y is kept in `saved`),
 * or x_out = alpha norm(x_in) + beta y. */
void rt_block_residual(const rt_block_run *r, rt_role post_norm, float *saved, float *y, const float *x_in,
                       float *x_out);
/* Gradient of the block's own output y, from dx; the result is dx itself or lies in a->f_d. */
const float *rt_block_residual_backward(const rt_block_run *r, rt_role post_norm, const float *saved, const float *dx);

/* Several streams (roles: function, base, scale from `function` on): what the block reads of x_in [N, n, D], left in
 * the batch's memory; streams with its output `out` added, x_out may be r->stream; and what is read behind the last
 * layer, y [N, D]. */
const float *rt_hyper_enter(const rt_block_run *r, rt_role function, const float *x_in);
void rt_hyper_leave(const rt_block_run *r, const float *out, float *x_out);
void rt_hyper_end(const rt_model *m, const float *x, int64_t n_rows, float *y);

#endif
