/* compress.h - what compressed attention keeps of a timeline: the shared key/value of every token, and pools whose
 * entries stand for `ratio` tokens each. Private to model. */
#ifndef RT_MODEL_COMPRESS_H
#define RT_MODEL_COMPRESS_H

#include "model/blocks.h"

/* Entry w is a softmax-weighted sum, channel by channel, of the tokens of window w; in an overlapping pool the first
 * halves of the tokens of window w - 1 join the second halves of those of window w. */
typedef struct rt_pool {
    int64_t ratio;                /* tokens a window; 0: the layer has no such pool */
    int64_t size;                 /* channels of an entry */
    int64_t width;                /* channels of a token: size, or 2 size where windows overlap */
    const rt_param *const *param; /* values, gates, gate biases by place in the window, norm */
    float *tokens;                /* [cap, 2 width] values, then gates */
    float *entries;               /* [cap / ratio, size] normed and rotated */
} rt_pool;

typedef struct rt_timeline {
    int64_t n0; /* rows before this batch's */
    float *kv;  /* [cap, head_dim] key and value of a token, normed and rotated */
    rt_pool pool, index;
} rt_timeline;

/* Floats behind a timeline of `cap` rows. */
int64_t rt_timeline_floats(const rt_hparams *hp, int layer, int64_t cap);
/* The span's: in its cache, or in memory of the batch where it has none. */
rt_timeline rt_timeline_of(const rt_block_run *r, const rt_span *sp);
/* The shapes of the layer's pools, without memory. */
rt_pool rt_pool_of(const rt_block_run *r, bool index);

/* Puts a token's values and gates in their place. */
void rt_pool_store(const rt_pool *p, const float *token, int64_t pos);
/* Entry w, once the tokens of its windows are there; scratch: 2 size floats. */
void rt_pool_entry(const rt_pool *p, const rt_model *m, int64_t w, float *scratch);

#endif
