/* source_impl.h - what opening a source and filling its batches share. */
#ifndef RT_TEACHER_SOURCE_IMPL_H
#define RT_TEACHER_SOURCE_IMPL_H

#include "teacher/answers.h"
#include "teacher/source.h"

struct rt_source {
    rt_source_info info;
    rt_source_options o;
    const rt_cache *cache; /* one of these two */
    const rt_packed *packed;
    const rt_model *teacher; /* when it answers now */
    rt_answers *answers;     /* SAMPLE online */
    rt_acts *acts;           /* DENSE */
    int32_t *n_tokens;       /* [info.n_sequences] */
    int32_t *order[2];       /* [info.n_sequences] of an even and an odd epoch */
    int64_t order_epoch[2];  /* -1: not made yet */
    rt_gather g;
    rt_cache_sequence sequence;
    rt_target *targets; /* [g.max_tokens] */
    int32_t *entry_ids; /* [g.max_tokens][info.max_entries] */
    float *entry_weights;
    float *hidden; /* [g.max_tokens][info.d_model] */
};

#endif
