/* The kinds of blocks there are. */
#include "model/blocks.h"

const rt_block_kind *rt_block_mixer(const rt_hparams *hp, int layer)
{
    static const rt_block_kind kinds[RT_MIXER_COUNT] = {
        [RT_MIXER_ATTENTION] = {"attention", rt_attn_forward, rt_attn_backward},
    };
    return &kinds[hp->layer_mixer[layer]];
}

const rt_block_kind *rt_block_ffn(const rt_hparams *hp, int layer)
{
    static const rt_block_kind dense = {"feed-forward", rt_ffn_forward, rt_ffn_backward};
    static const rt_block_kind mixture = {"mixture of experts", rt_moe_forward, rt_moe_backward};
    return hp->layer_moe[layer] ? &mixture : &dense;
}
