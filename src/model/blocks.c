/* The kinds of blocks there are. */
#include "model/blocks.h"

#include <string.h>

const rt_block_kind *rt_block_mixer(const rt_hparams *hp, int layer)
{
    static const rt_block_kind kinds[RT_MIXER_COUNT] = {
        [RT_MIXER_ATTENTION] = {.name = "attention",
                                .forward = rt_attn_forward,
                                .backward = rt_attn_backward,
                                .memory = rt_attn_memory,
                                .copy_rows = rt_attn_copy_rows},
        [RT_MIXER_LIGHTNING] = {.name = "lightning attention",
                                .forward = rt_lightning_forward,
                                .memory = rt_lightning_memory,
                                .recurrent = true},
        [RT_MIXER_MLA] = {.name = "latent attention",
                          .forward = rt_mla_forward,
                          .backward = rt_mla_backward,
                          .memory = rt_mla_memory,
                          .copy_rows = rt_mla_copy_rows},
        [RT_MIXER_MLA_INDEXED] = {.name = "latent attention to the keys of an indexer",
                                  .forward = rt_mla_indexed_forward,
                                  .memory = rt_mla_memory,
                                  .copy_rows = rt_mla_copy_rows},
        [RT_MIXER_WINDOWED] = {.name = "windowed shared-key attention",
                               .forward = rt_compressed_forward,
                               .memory = rt_compressed_memory},
        [RT_MIXER_HEAVY] = {.name = "heavily compressed attention",
                            .forward = rt_compressed_forward,
                            .memory = rt_compressed_memory},
        [RT_MIXER_SPARSE] = {.name = "compressed sparse attention",
                             .forward = rt_compressed_forward,
                             .memory = rt_compressed_memory},
    };
    return &kinds[hp->layer_mixer[layer]];
}

const rt_block_kind *rt_block_ffn(const rt_hparams *hp, int layer)
{
    static const rt_block_kind dense = {.name = "feed-forward", .forward = rt_ffn_forward, .backward = rt_ffn_backward};
    static const rt_block_kind mixture = {
        .name = "mixture of experts", .forward = rt_moe_forward, .backward = rt_moe_backward};
    return hp->layer_moe[layer] ? &mixture : &dense;
}

rt_status rt_model_check_trainable(const rt_arch *arch, const rt_hparams *hp, rt_err *err)
{
    for (int l = 0; l < hp->n_layer; l++) {
        const rt_block_kind *mixer = rt_block_mixer(hp, l), *ffn = rt_block_ffn(hp, l);
        const rt_block_kind *missing = mixer->backward == NULL ? mixer : ffn->backward == NULL ? ffn : NULL;
        if (missing != NULL) {
            return rt_fail(err, RT_UNSUPPORTED, 0,
                           "architecture '%s' (%s) cannot be trained: its block '%s' (layer %d) has no backward pass; "
                           "such a model can be read, scored and taught from",
                           arch->name, arch->hf_type, missing->name, l);
        }
    }
    return RT_OK;
}

int64_t rt_net_memory(const rt_model *m, int layer, int64_t cap)
{
    const rt_block_kind *mixer = rt_block_mixer(&m->hp, layer);
    return mixer->memory != NULL ? mixer->memory(&m->hp, layer, cap) : 0;
}

void rt_net_copy_rows(const rt_model *m, int layer, int64_t cap, int64_t n, float *to, const float *from)
{
    const rt_block_kind *mixer = rt_block_mixer(&m->hp, layer);
    if (mixer->copy_rows != NULL) {
        mixer->copy_rows(&m->hp, cap, n, to, from);
    } else {
        memcpy(to, from, (size_t)rt_net_memory(m, layer, cap) * sizeof(float));
    }
}

bool rt_net_recurrent(const rt_model *m, int layer)
{
    return rt_block_mixer(&m->hp, layer)->recurrent;
}
