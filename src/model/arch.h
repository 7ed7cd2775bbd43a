/* arch.h - architectures as data. One const description says which tensors exist under which names and shapes in
 * both file formats and which blocks a layer is made of; loader, saver, cutter, size estimate and card read it. */
#ifndef RT_MODEL_ARCH_H
#define RT_MODEL_ARCH_H

#include "tensor/kernels.h"
#include "tensor/route.h"

/* What a tensor is for. `RT_ROLE(name)` order is the order parameters are stored in. */
typedef enum rt_role {
#define RT_ROLE(name, gguf) RT_ROLE_##name,
#include "model/roles.def"
#undef RT_ROLE
    RT_ROLE_COUNT
} rt_role;

/* Symbolic dimensions of shapes. */
typedef enum rt_dim {
    RT_DIM_NONE,
    RT_DIM_D,
    RT_DIM_V,
    RT_DIM_Q,
    RT_DIM_KV,
    RT_DIM_HD,
    RT_DIM_H,
    RT_DIM_F,
    RT_DIM_E,
    RT_DIM_I,
    RT_DIM_S,
    RT_DIM_3Q,
    RT_DIM_O,  /* all value heads */
    RT_DIM_QL, /* latents: of queries, of keys and values, the latter with rotated channels, and expanded */
    RT_DIM_KVL,
    RT_DIM_KVA,
    RT_DIM_KVB,
    RT_DIM_IH, /* indexer: heads, head size, all heads */
    RT_DIM_ID,
    RT_DIM_IQ,
    RT_DIM_K,
    RT_DIM_GROUP_IN,  /* output of a group of heads */
    RT_DIM_GROUP_OUT, /* what the groups make of it together */
    RT_DIM_2HD,
    RT_DIM_HEAVY, /* tokens of an entry */
    RT_DIM_SPARSE,
    RT_DIM_2ID,
    RT_DIM_N,    /* streams */
    RT_DIM_ND,   /* all of them */
    RT_DIM_NMIX, /* weights that connect a block to them */
    RT_DIM_1,
    RT_DIM_3
} rt_dim;

typedef enum rt_scope { RT_SCOPE_MODEL, RT_SCOPE_LAYER, RT_SCOPE_EXPERT } rt_scope;

/* What lets the rows of a span see each other in a layer: the first of its two blocks. */
typedef enum rt_mixer {
    RT_MIXER_ATTENTION,
    RT_MIXER_LIGHTNING,
    RT_MIXER_MLA,
    RT_MIXER_MLA_INDEXED,
    RT_MIXER_WINDOWED, /* shared key/value of the last tokens */
    RT_MIXER_HEAVY,    /* and pooled entries of many tokens, all of them */
    RT_MIXER_SPARSE,   /* and pooled entries of few tokens, those an indexer picks */
    RT_MIXER_COUNT
} rt_mixer;

/* When a tensor is present. */
typedef enum rt_when {
    RT_WHEN_ALWAYS,
    RT_WHEN_UNTIED,
    RT_WHEN_DENSE,
    RT_WHEN_MOE,
    RT_WHEN_SHARED,
    RT_WHEN_ATTENTION, /* by the layer's mixer */
    RT_WHEN_LIGHTNING,
    RT_WHEN_Q_DIRECT, /* latent attention: queries from a latent or not */
    RT_WHEN_Q_LATENT,
    RT_WHEN_HEAVY,
    RT_WHEN_SPARSE,
    RT_WHEN_HASHED, /* mixture whose experts follow from the token */
    RT_WHEN_ROUTED  /* the other mixtures */
} rt_when;

/* RT_FORM_*: how the values in a GGUF differ from those in memory (Hugging Face's). */
typedef enum rt_form {
    RT_FORM_SAME,
    RT_FORM_PERMUTED_Q,
    RT_FORM_PERMUTED_K,
    RT_FORM_PLUS_ONE,
    RT_FORM_SPLIT_KV
} rt_form;

/* RT_STACK_*: which rows of each expert's share of a stack belong to the tensor. */
typedef enum rt_stack_rows {
    RT_STACK_ALL,
    RT_STACK_FIRST_HALF,
    RT_STACK_SECOND_HALF,
    RT_STACK_EVEN,
    RT_STACK_ODD
} rt_stack_rows;

typedef struct rt_tensor_desc {
    rt_role role;
    rt_scope scope;
    rt_when when;
    rt_dim shape[2]; /* [out, in] or [n] */
    rt_form gguf_form;
    bool frozen;    /* takes no gradient and is not trained */
    const char *hf; /* "model.layers.%d.mlp.experts.%d.up_proj.weight" */
    /* Folders may hold all experts in one tensor [experts, rows, in] instead, named like this; NULL: never. */
    const char *hf_stack; /* "model.layers.%d.mlp.experts.gate_up_proj" */
    rt_stack_rows stack_rows;
    const char *gguf; /* the name there, NULL: the role's */
} rt_tensor_desc;

/* Weights of a residual connection, x_out = alpha norm(x_in) + beta y. */
typedef struct rt_residual {
    double alpha, beta;
} rt_residual;

/* Shared-key attention with pooled entries. */
typedef struct rt_compression {
    int64_t o_groups, o_rank; /* groups of heads with an output matrix, and its rows */
    int64_t heavy, sparse;    /* tokens of an entry */
} rt_compression;

#define RT_MAX_STREAMS 16
/* Residual streams connected by weights of their own. */
typedef struct rt_hyper {
    int64_t n; /* 0: one plain stream */
    int64_t iterations;
    double eps;
} rt_hyper;

typedef enum rt_rope_scaling { RT_ROPE_PLAIN, RT_ROPE_LINEAR, RT_ROPE_LLAMA3, RT_ROPE_YARN } rt_rope_scaling;

#define RT_MAX_LAYERS 512

typedef struct rt_hparams {
    int64_t n_layer, d_model, d_ff, n_head, n_head_kv, head_dim, n_vocab, n_ctx;
    int64_t head_dim_v; /* width of a value head: head_dim, but in latent attention */
    double norm_eps;
    double attn_scale;  /* on q k^T */
    double embed_scale; /* 1, or sqrt(d_model) */
    bool tied;          /* head = embedding */

    int64_t n_rot;           /* channels of a head that are rotated */
    double rope_theta;       /* full-attention layers */
    double rope_theta_local; /* sliding layers of architectures with local_rotary */
    rt_rope_scaling rope_scaling;
    double rope_factor, rope_low_freq, rope_high_freq;
    int64_t rope_original_ctx;
    double rope_beta_fast, rope_beta_slow;   /* YaRN: turns over the original context that bound the ramp */
    bool rope_truncate;                      /* bounds of the ramp rounded to whole pairs */
    double rope_mscale, rope_mscale_all_dim; /* 0: not given */
    double rope_attn_factor;                 /* on cosines and sines; 0: follows from the fields above */
    float *rope_divisors; /* [n_rot/2] read from a GGUF's rope_freqs, NULL: computed from the fields above; owned by
                             the model */

    int64_t kv_lora, q_lora;                    /* latent attention: widths of the latents; 0: none */
    bool rope_halves;                           /* latent attention: rotated pairs are halves apart, else neighbours */
    int64_t n_index_head, index_dim, index_top; /* indexer: heads, their width, keys a query is left with */

    int64_t window;                       /* sliding layers: keys seen, itself included */
    uint8_t layer_sliding[RT_MAX_LAYERS]; /* 1: sliding attention */

    uint8_t layer_mixer[RT_MAX_LAYERS];                 /* rt_mixer */
    rt_residual after_mixer[RT_MIXER_COUNT], after_ffn; /* architectures with norm_residual */

    rt_compression compression;
    rt_hyper hyper;

    rt_glu glu; /* of dense FFN and experts */
    rt_routing route;
    int64_t d_expert;                    /* width of an expert */
    int64_t d_shared;                    /* width of the dense FFN beside the experts, 0: none */
    uint8_t layer_moe[RT_MAX_LAYERS];    /* 1: mixture of experts in place of the dense FFN */
    uint8_t layer_hashed[RT_MAX_LAYERS]; /* 1: its experts follow from the token */
} rt_hparams;

/* How the files of an architecture with experts speak of them. */
typedef struct rt_arch_moe {
    rt_routing route;       /* what files that do not say mean; sizes 0, n_group and scale may be 0: 1 */
    bool gguf_says;         /* a GGUF has keys for scores, groups and weights; else `route` holds */
    bool hf_says;           /* config.json has them */
    bool hf_norm_topk;      /* normalised weights when such a config.json is silent */
    bool hf_stacked;        /* Hugging Face files have the stacks, of plain values with the input first */
    bool leading_dense;     /* dense layers are the first ones, their number is written */
    const char *hf_experts; /* config.json key of the number of experts */
    const char *hf_width;   /* and of their width */
} rt_arch_moe;

typedef struct rt_arch {
    const char *name;            /* GGUF's general.architecture */
    const char *hf_type;         /* config.json model_type */
    const char *hf_types_too[2]; /* other spellings of it, NULL: none */
    const char *hf_class;        /* config.json architectures[0] */
    bool read_only;              /* models of it are not written */
    bool qkv_bias, qk_norm;
    bool post_norms;     /* norm after attention and after FFN, before the residual (Gemma) */
    bool norm_residual;  /* the residual is the block's normed input, weighted (MiniMax-01) */
    float norm_offset;   /* weights act as w + offset */
    bool embed_scaled;   /* embeddings times sqrt(d_model) */
    bool hf_whole_heads; /* transformers opens models whose d_model is a multiple of the number of heads alone */
    bool always_tied;
    rt_activation act;
    const rt_glu *glu; /* the gated unit where it is not the plain one */
    rt_arch_moe moe;
    int64_t sliding_period; /* 0: none; else layer i is full when (i + 1) % period == 0, unless the file says */
    int wide_scale_layers;  /* a GGUF of so many layers scales scores by d_model / heads, not by the head size */
    int64_t full_period;    /* lightning layers: layer i is softmax when (i + 1) % period == 0, unless the file says */
    bool mla;               /* latent attention in every layer */
    const struct rt_arch *without_choice_bias; /* what a GGUF of this name without exp_probs_b is; NULL: this one */
    bool local_rotary;                         /* sliding layers rotate with rope_theta_local, unscaled (Gemma) */
    bool partial_rotary;                       /* files may say that only the first channels of a head are rotated */
    bool yarn_between_pairs;                   /* GGUF readers do not round the bounds of YaRN's ramp (GPT-OSS) */
    bool yarn_scales_scores; /* YaRN's mscale_all_dim is a factor on the attention scores (DeepSeek) */
    const rt_tensor_desc *tensors;
    size_t n_tensors;
} rt_arch;

const rt_arch *rt_arch_by_gguf(const char *name); /* NULL: unknown */
/* Of those with this config.json model_type in one of its spellings, the one of this class (NULL: not said). */
const rt_arch *rt_arch_by_hf(const char *model_type, const char *hf_class);
/* "llama, qwen2, ..." for refusals. */
const char *rt_arch_list(void);
/* Some architecture has a tensor of this name. */
bool rt_arch_knows_tensor(const char *name, bool gguf);

/* Tensors of a GGUF that may hold several parameters of a layer, one behind the other; the last has no name. */
typedef struct rt_fused {
    const char *name;
    rt_role roles[3]; /* RT_ROLE_COUNT: no more */
} rt_fused;
extern const rt_fused rt_arch_fused[];

const char *rt_role_gguf(rt_role r); /* "blk.%d.attn_q.weight" */
const char *rt_tensor_gguf(const rt_tensor_desc *d);
/* `pattern` with its first %d replaced by `first`, a second one by `second`. */
void rt_name_numbered(char *out, size_t n, const char *pattern, int first, int second);
/* Gain of an RMS norm. */
bool rt_role_is_norm(rt_role r);
/* The architecture has tensors of this role. */
bool rt_arch_has(const rt_arch *arch, rt_role r);
int64_t rt_dim_size(rt_dim d, const rt_hparams *hp);

#endif
