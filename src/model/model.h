/* model.h - a language model in memory: description, hyper-parameters, parameters. Values are kept in Hugging Face's
 * arrangement (half-split RoPE, norm weights as trained) whatever file they came from. */
#ifndef RT_MODEL_MODEL_H
#define RT_MODEL_MODEL_H

#include "format/format.h"
#include "model/arch.h"
#include "tensor/qmatrix.h"

/* Trained product of two small matrices that is added to a frozen one (adapter.h). */
typedef struct rt_low_rank rt_low_rank;
typedef struct rt_adapter rt_adapter;

/* One parameter tensor. Matrices are [dims[0] = out, dims[1] = in] row-major. At least one of w, wb is set:
 * trainable models and vectors have w; bf16 compute adds wb (frozen bf16 models have only wb for matrices). */
typedef struct rt_param {
    char name[96]; /* Hugging Face name */
    rt_role role;
    int layer;        /* -1: model scope */
    int expert;       /* -1: none */
    bool frozen;      /* takes no gradient and is not trained */
    bool is_low_rank; /* a half of some matrix's pair, of whose role and layer it is */
    int n_dims;
    int64_t dims[2];
    int64_t n;      /* elements */
    int64_t offset; /* of the first element in a flat f32 block over all parameters (gradients, moments) */
    float *w;
    uint16_t *wb;
    rt_qmatrix q;           /* besides, its codes as the file has them; panels NULL: none */
    const rt_low_rank *low; /* besides, what is added to it; NULL: nothing */
} rt_param;

typedef struct rt_layer {
    /* NULL where absent; expert roles: the first expert, the others follow at stride n_expert_params of the model */
    const rt_param *p[RT_ROLE_COUNT];
} rt_layer;

/* Parameters read from the file layer by layer (stream.h). */
typedef struct rt_stream rt_stream;
typedef struct rt_stream_counts {
    int64_t layers, experts, parameters; /* decoded since the model was opened */
    int64_t bytes;                       /* of weights in memory */
} rt_stream_counts;

typedef struct rt_model {
    const rt_arch *arch;
    rt_hparams hp;
    rt_param *params;
    size_t n_params;
    size_t n_expert_params; /* parameters of one expert, which follow each other */
    int64_t n_elements;     /* length of the flat block: the sum of n, or with an adapter of what is trained */
    rt_layer *layers;       /* [n_layer] */
    rt_layer top;           /* what belongs to no layer */
    const rt_param *embed, *output_norm, *output; /* output == embed when tied */
    rt_dtype compute;                             /* F32 or BF16: type of GEMM inputs */
    bool trainable;                               /* has f32 masters of everything */
    bool coded;                                   /* some matrices keep their codes, for RT_NET_ROWS */
    float *weights;                               /* flat block when trainable: params[i].w = weights + offset */
    void *blocks[3];                              /* memory behind the parameters */
    bool by_layer;       /* layers come from the file when their turn comes, through `stream` */
    rt_stream *stream;   /* NULL: all in memory */
    rt_adapter *adapter; /* NULL: none */
    int64_t ceiling;     /* bytes the process may hold while the model is used (ceiling.h); 0: not said */
    int64_t head_rows;   /* of a chunk of the head without gradients */
    char *path;          /* where it was opened, NULL: made in memory */
    rt_dtype file_dtype; /* most frequent matrix type in the file, for show */
    float *rope_cs[2];   /* tables [rope_rows][n_rot]: cos then sin; 1 = sliding layers with local_rotary, 0 = others */
    int64_t rope_rows;
} rt_model;

typedef enum rt_precision { RT_PRECISION_AUTO, RT_PRECISION_F32, RT_PRECISION_BF16 } rt_precision;
#define RT_SPAN 512
typedef struct rt_model_options {
    rt_precision precision; /* AUTO: bf16 where rt_cpu says fast_bf16, else f32; F32: decoding too */
    bool trainable;
    int64_t memory; /* ceiling: bytes the process may hold with this model and passes through it; 0: what the machine
                       has. Larger models, if not trainable, are streamed, reading the file once a batch */
    bool by_layer;  /* streamed although the whole would fit */
    int64_t span;   /* longest sequence that will be run, to be counted under the ceiling; 0: RT_SPAN */
    int64_t (*beside)(const rt_model *m, int64_t span, const void *ud); /* bytes its user holds beside a pass over such
                                                                           a sequence, counted likewise; NULL: none */
    const void *beside_ud;
} rt_model_options;

/* MODEL is a GGUF file, a safetensors file, or a folder in the Hugging Face layout. */
RT_MUST_USE rt_status rt_model_open(rt_model **out, const char *path, const rt_model_options *o, rt_err *err);
void rt_model_close(rt_model *m); /* accepts NULL */
/* What a streamed model has read so far; zeros for one in memory. */
rt_stream_counts rt_model_streamed(const rt_model *m);

/* Fresh trainable model with zeroed parameters. Copies hp (not rope_divisors: pass a block the model takes over, or
 * NULL). */
RT_MUST_USE rt_status rt_model_new(rt_model **out, const rt_arch *arch, const rt_hparams *hp, const rt_model_options *o,
                                   rt_err *err);
/* The list of parameters alone, without memory behind them: what a model of this shape would be. */
RT_MUST_USE rt_status rt_model_outline(rt_model **out, const rt_arch *arch, const rt_hparams *hp, rt_err *err);
/* Student from the teacher's weights (cut.h for other shapes): the layers keep[0..n_keep-1] (ascending), everything
 * else as it is. */
RT_MUST_USE rt_status rt_model_cut(rt_model **out, const rt_model *teacher, const int *keep, int n_keep,
                                   const rt_model_options *o, rt_err *err);
/* After the f32 masters changed outside the optimiser: rewrites the bf16 copies. */
void rt_model_refresh(rt_model *m);

/* Refuses (RT_UNSUPPORTED) an architecture with a block that has no backward pass, by name. */
RT_MUST_USE rt_status rt_model_check_trainable(const rt_arch *arch, const rt_hparams *hp, rt_err *err);

const rt_param *rt_model_find(const rt_model *m, const char *hf_name);
/* Weight decay applies (matrices other than the embedding and head). */
bool rt_param_decays(const rt_param *p);
/* Operand of a product in the compute type. The router always runs in f32, its choices are discrete; and what connects
 * streams, for all their values pass through it. */
bool rt_param_is_operand(const rt_param *p);
/* The first of w[0..count-1], which share their input, and those that lie behind it in memory in every form that
 * products read or write: one matrix, and so one product. *used: how many. */
rt_param rt_param_join(const rt_param *const *w, int count, int *used);
/* Dequantised copy of one parameter into dst[p->n]. */
void rt_param_read(const rt_param *p, float *dst);

/* Bytes of a trainable model's weights in memory: f32 masters, their bf16 copies where products take them, and what is
 * frozen. */
size_t rt_model_trainable_bytes(const rt_model *m);
/* Forward and training FLOPs a token without attention: 2 x matrix parameters (head counted once). */
double rt_model_flops_per_token(const rt_model *m);

/* --- saving --------------------------------------------------------------------------------------------------- */
/* Refuses what the format cannot say. `tokenizer`: GGUF whose tokenizer.* keys are copied byte for byte (may be NULL:
 * none); `extra`: JSON object of further keys, strings and integers ("general.name", "retort.ledger", ...), may be
 * NULL. Matrices are written as `type` (embedding and head as Q8_0 when it is a four-bit type; rows whose length is no
 * multiple of the block as F16), vectors as F32. */
RT_MUST_USE rt_status rt_model_save_gguf(const rt_model *m, const char *path, rt_dtype type, const rt_gguf *tokenizer,
                                         const json_t *extra, rt_err *err);
/* Bytes of the parameters in such a file. */
int64_t rt_model_gguf_bytes(const rt_model *m, rt_dtype type);
/* Weights (F32) as one safetensors file, and config.json beside it (bos/eos/pad ids from `ids` = {bos, eos, pad}, -1:
 * none). */
RT_MUST_USE rt_status rt_model_save_safetensors(const rt_model *m, const char *path, rt_dtype type, rt_err *err);
/* The parameters (values, or those of `flat`, a block laid out by their offsets, then without the frozen ones) as
 * tensors of such a file, under published names. *block is what the writer borrows; free it after writing. */
RT_MUST_USE rt_status rt_model_add_tensors(rt_st_writer *w, const rt_model *m, const float *flat, rt_dtype type,
                                           void **block, rt_err *err);
RT_MUST_USE rt_status rt_model_save_config(const rt_model *m, const char *path, const int32_t ids[3], rt_dtype type,
                                           rt_err *err);

#endif
