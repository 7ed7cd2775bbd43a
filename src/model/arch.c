/* Registry of architectures and look-ups over the role table. */
#include "model/arch.h"

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

const rt_arch *rt_arch_by_gguf(const char *name)
{
    for (size_t i = 0; i < N_ARCHS; i++) {
        if (strcmp(archs[i]->name, name) == 0) {
            return archs[i];
        }
    }
    return NULL;
}

const rt_arch *rt_arch_by_hf(const char *model_type)
{
    for (size_t i = 0; i < N_ARCHS; i++) {
        bool same = strcmp(archs[i]->hf_type, model_type) == 0;
        for (int j = 0; j < 2 && archs[i]->hf_types_too[j] != NULL; j++) {
            same |= strcmp(archs[i]->hf_types_too[j], model_type) == 0;
        }
        if (same) {
            return archs[i];
        }
    }
    return NULL;
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
