/* net.h - the layers driven forward and backward over a batch of rows (tokens). Rows belong to spans; attention stays
 * inside a span, so a span is a packed document piece in training or one timeline in generation. */
#ifndef RT_MODEL_NET_H
#define RT_MODEL_NET_H

#include "model/model.h"

/* What the layers keep of one timeline: keys and values of its rows, or a state. infer owns it. */
typedef struct rt_kv {
    int64_t cap, n; /* rows there is room for, rows filled (rt_net_forward appends and advances n) */
    float **layer;  /* [n_layer] memory of each, laid out by its block */
    int64_t marked; /* see rt_kv_mark */
    float *saved;
} rt_kv;

/* Floats layer `layer` keeps of a timeline of `cap` rows. */
int64_t rt_net_memory(const rt_model *m, int layer, int64_t cap);
/* What it keeps of the first n rows, from one timeline to another of the same cap. */
void rt_net_copy_rows(const rt_model *m, int layer, int64_t cap, int64_t n, float *to, const float *from);
/* The layer keeps a state: winding a timeline back needs a copy of it. */
bool rt_net_recurrent(const rt_model *m, int layer);

typedef struct rt_span {
    int64_t row0, n; /* rows of the batch */
    rt_kv *kv;       /* NULL: no past. Else rows stand at positions kv->n .. and are appended */
} rt_span;

typedef struct rt_batch {
    const int32_t *ids; /* [n_rows] */
    int64_t n_rows;
    const rt_span *spans;
    int64_t n_spans;
} rt_batch;

typedef enum rt_net_mode {
    RT_NET_FORWARD,   /* nothing is kept for a backward pass */
    RT_NET_TRAIN,     /* activations kept */
    RT_NET_RECOMPUTE, /* of each layer its input kept: the backward pass runs it again; the same bits as RT_NET_TRAIN */
    RT_NET_ROWS /* few rows: every row computed in an order of its own, bits independent of the other rows (decoding) */
} rt_net_mode;
static inline bool rt_net_trains(rt_net_mode mode)
{
    return mode == RT_NET_TRAIN || mode == RT_NET_RECOMPUTE;
}

/* Activation memory for up to max_rows rows. One per thread of control. */
typedef struct rt_acts rt_acts;
RT_MUST_USE rt_status rt_acts_new(rt_acts **out, const rt_model *m, int64_t max_rows, int64_t max_span,
                                  rt_net_mode mode, rt_err *err);
void rt_acts_free(rt_acts *a);
/* Bytes rt_acts_new will take. */
size_t rt_acts_bytes(const rt_model *m, int64_t max_rows, int64_t max_span, rt_net_mode mode);

/* Whole stack: afterwards rt_acts_x is the residual stream after the last layer, before the final norm.
 * Ids must be inside the vocabulary, spans (with their past) inside max_span and m->rope_rows: checked by callers that
 * take input. */
void rt_net_forward(const rt_model *m, rt_acts *a, const rt_batch *b);
float *rt_acts_x(rt_acts *a); /* [n_rows, d_model]; of several streams their weighted sum */

/* Shown what each layer reads, or the gradient by it: [n_rows, rt_net_width]. */
typedef struct rt_net_visitor {
    void (*visit)(void *ud, int layer, float *x);
    void *ud;
} rt_net_visitor;
/* As rt_net_forward without a past, to be looked at: what layers 0 .. last read is shown, and `last` and what follows
 * it are not run. Modes that do not train. */
void rt_net_forward_shown(const rt_model *m, rt_acts *a, const rt_batch *b, int last, const rt_net_visitor *v);

/* Floats of a row of the residual between layers: d_model, times the streams. */
int64_t rt_net_width(const rt_model *m);
/* Pieces, for ranking layers with shared prefixes. x: [n_rows, rt_net_width] in place; KV spans not allowed. */
void rt_net_embed(const rt_model *m, const rt_batch *b, float *x);
void rt_net_layer(const rt_model *m, rt_acts *a, const rt_batch *b, int layer, float *x);

/* After rt_net_forward in a training mode with the same batch. dx: gradient of the loss with respect to rt_acts_x,
 * overwritten. Adds parameter gradients to the flat block `grads` (params[i].offset). */
void rt_net_backward(const rt_model *m, float *grads, rt_acts *a, const rt_batch *b, float *dx);
/* The same with losses of their own on what layers read: the visitor adds their gradient to that of each layer's input
 * as it passes. */
void rt_net_backward_shown(const rt_model *m, float *grads, rt_acts *a, const rt_batch *b, float *dx,
                           const rt_net_visitor *v);

/* Training modes: input of layer l, [n_rows, rt_net_width] (l == n_layer: what follows the last). */
const float *rt_acts_layer_input(const rt_acts *a, int layer);
/* Tests and measures. Router logits [n_rows, n_expert] of a mixture layer after a TRAIN forward, else NULL. */
const float *rt_acts_router_logits(const rt_acts *a, int layer);
/* Experts [n_rows, n_expert_used] chosen there, in no particular order, and the weights of their outputs. */
const int32_t *rt_acts_router_choice(const rt_acts *a, int layer, const float **weight);

/* Wall-clock seconds of attention proper, without its projections, since the last call. */
double rt_acts_take_attention_seconds(rt_acts *a);

#endif
