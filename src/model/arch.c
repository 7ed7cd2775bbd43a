/* Registry of architectures and look-ups over the role table. */
#include "model/arch.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define RT_ARCH(name, listed) extern const rt_arch rt_arch_##name;
#include "model/archs.def"
#undef RT_ARCH

static const rt_arch *const archs[] = {
#define RT_ARCH(name, listed) &rt_arch_##name,
#include "model/archs.def"
#undef RT_ARCH
};
#define N_ARCHS (sizeof(archs) / sizeof(archs[0]))

const rt_fused rt_arch_fused[] = {
    {"blk.%d.attn_qkv.weight", {RT_ROLE_ATTN_Q, RT_ROLE_ATTN_K, RT_ROLE_ATTN_V}},
    {"blk.%d.ffn_gate_up_exps.weight", {RT_ROLE_EXPERT_GATE, RT_ROLE_EXPERT_UP, RT_ROLE_COUNT}},
    {0},
};

const rt_arch *rt_arch_by_gguf(const char *name)
{
    for (size_t i = 0; i < N_ARCHS; i++) {
        if (strcmp(archs[i]->name, name) == 0) {
            return archs[i];
        }
    }
    return NULL;
}

/* 0: another's type, 1: a spelling of its type, 2: its type, 3: its class, too. */
static int likeness(const rt_arch *arch, const char *model_type, const char *hf_class)
{
    int found = strcmp(arch->hf_type, model_type) == 0 ? 2 : 0;
    for (int j = 0; j < 2 && found == 0 && arch->hf_types_too[j] != NULL; j++) {
        found = strcmp(arch->hf_types_too[j], model_type) == 0;
    }
    return found > 0 && hf_class != NULL && strcmp(arch->hf_class, hf_class) == 0 ? 3 : found;
}

const rt_arch *rt_arch_by_hf(const char *model_type, const char *hf_class)
{
    const rt_arch *best = NULL;
    int most = 0;
    for (size_t i = 0; i < N_ARCHS; i++) {
        const int found = likeness(archs[i], model_type, hf_class);
        if (found > most) {
            most = found;
            best = archs[i];
        }
    }
    return best;
}

/* `name` is the pattern with digits in place of each %d. */
static bool matches(const char *pattern, const char *name)
{
    while (*pattern != '\0' && *name != '\0') {
        if (pattern[0] == '%' && pattern[1] == 'd' && isdigit((unsigned char)*name)) {
            pattern += 2;
            name += strspn(name, "0123456789");
        } else if (*pattern++ != *name++) {
            return false;
        }
    }
    return *pattern == *name;
}

static bool describes(const rt_tensor_desc *d, const char *name, bool gguf)
{
    return gguf ? matches(rt_tensor_gguf(d), name)
                : (d->hf != NULL && matches(d->hf, name)) || (d->hf_stack != NULL && matches(d->hf_stack, name));
}

bool rt_arch_knows_tensor(const char *name, bool gguf)
{
    for (size_t i = 0; i < N_ARCHS; i++) {
        for (size_t j = 0; j < archs[i]->n_tensors; j++) {
            if (describes(&archs[i]->tensors[j], name, gguf)) {
                return true;
            }
        }
    }
    for (size_t i = 0; gguf && rt_arch_fused[i].name != NULL; i++) {
        if (matches(rt_arch_fused[i].name, name)) {
            return true;
        }
    }
    return false;
}

const char *rt_arch_list(void)
{
#define RT_ARCH(name, listed) ", " listed
    static const char list[] =
#include "model/archs.def"
        ;
#undef RT_ARCH
    return list + strlen(", ");
}

const char *rt_role_gguf(rt_role r)
{
    static const char *const names[] = {
#define RT_ROLE(name, gguf) gguf,
#include "model/roles.def"
#undef RT_ROLE
    };
    return names[r];
}

bool rt_role_is_norm(rt_role r)
{
    switch (r) {
    case RT_ROLE_ATTN_NORM:
    case RT_ROLE_ATTN_Q_NORM:
    case RT_ROLE_ATTN_K_NORM:
    case RT_ROLE_ATTN_POST_NORM:
    case RT_ROLE_LIGHTNING_NORM:
    case RT_ROLE_MLA_Q_NORM:
    case RT_ROLE_MLA_KV_NORM:
    case RT_ROLE_INDEX_K_NORM:
    case RT_ROLE_POOL_NORM:
    case RT_ROLE_INDEX_POOL_NORM:
    case RT_ROLE_FFN_NORM:
    case RT_ROLE_FFN_POST_NORM:
    case RT_ROLE_OUTPUT_NORM: return true;
    default: return false;
    }
}

const char *rt_tensor_gguf(const rt_tensor_desc *d)
{
    return d->gguf != NULL ? d->gguf : rt_role_gguf(d->role);
}

void rt_name_numbered(char *out, size_t n, const char *pattern, int first, int second)
{
    size_t at = 0;
    int number = first;
    for (const char *p = pattern; *p != '\0' && at + 1 < n; p++) {
        if (p[0] == '%' && p[1] == 'd') {
            at += (size_t)snprintf(out + at, n - at, "%d", number);
            number = second;
            p++;
        } else {
            out[at++] = *p;
        }
    }
    RT_BUG_IF(at >= n);
    out[at] = '\0';
}

bool rt_arch_has(const rt_arch *arch, rt_role r)
{
    for (size_t i = 0; i < arch->n_tensors; i++) {
        if (arch->tensors[i].role == r) {
            return true;
        }
    }
    return false;
}

int64_t rt_dim_size(rt_dim d, const rt_hparams *hp)
{
    switch (d) {
    case RT_DIM_NONE: return 1;
    case RT_DIM_D: return hp->d_model;
    case RT_DIM_V: return hp->n_vocab;
    case RT_DIM_Q: return hp->n_head * hp->head_dim;
    case RT_DIM_KV: return hp->n_head_kv * hp->head_dim;
    case RT_DIM_H: return hp->n_head;
    case RT_DIM_HD: return hp->head_dim;
    case RT_DIM_F: return hp->d_ff;
    case RT_DIM_E: return hp->route.n_expert;
    case RT_DIM_I: return hp->d_expert;
    case RT_DIM_S: return hp->d_shared;
    case RT_DIM_O: return hp->n_head * hp->head_dim_v;
    case RT_DIM_QL: return hp->q_lora;
    case RT_DIM_KVL: return hp->kv_lora;
    case RT_DIM_KVA: return hp->kv_lora + hp->n_rot;
    case RT_DIM_KVB: return hp->n_head * (hp->head_dim - hp->n_rot + hp->head_dim_v);
    case RT_DIM_IH: return hp->n_index_head;
    case RT_DIM_ID: return hp->index_dim;
    case RT_DIM_IQ: return hp->n_index_head * hp->index_dim;
    case RT_DIM_3Q: return 3 * hp->n_head * hp->head_dim;
    case RT_DIM_K: return hp->route.n_used;
    case RT_DIM_GROUP_IN: return hp->n_head * hp->head_dim / hp->compression.o_groups;
    case RT_DIM_GROUP_OUT: return hp->compression.o_groups * hp->compression.o_rank;
    case RT_DIM_2HD: return 2 * hp->head_dim;
    case RT_DIM_HEAVY: return hp->compression.heavy;
    case RT_DIM_SPARSE: return hp->compression.sparse;
    case RT_DIM_2ID: return 2 * hp->index_dim;
    case RT_DIM_N: return hp->hyper.n;
    case RT_DIM_ND: return hp->hyper.n * hp->d_model;
    case RT_DIM_NMIX: return (2 + hp->hyper.n) * hp->hyper.n;
    case RT_DIM_1: return 1;
    case RT_DIM_3: return 3;
    }
    return 0;
}
