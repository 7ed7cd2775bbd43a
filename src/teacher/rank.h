/* rank.h - in which order layers can be taken out of a teacher. Greedy: at each depth every remaining layer is left out
 * in turn, the text is scored, and the layer whose loss hurts least goes for good. Evenly spaced layers are no
 * substitute: 12 of SmolLM2-135M's 30 then give a perplexity above 1e6 where this order gives 504. */
#ifndef RT_TEACHER_RANK_H
#define RT_TEACHER_RANK_H

#include "model/models.h"
#include "teacher/cache.h"

typedef struct rt_ranking {
    rt_digest teacher, data;
    int64_t tokens, targets; /* scored */
    int n_layer;             /* of the teacher */
    int n_removed;
    double perplexity;                      /* of the whole teacher */
    int removed[RT_MAX_LAYERS];             /* in this order */
    double perplexity_after[RT_MAX_LAYERS]; /* with the first i + 1 of them gone */
} rt_ranking;

typedef struct rt_rank_options {
    int64_t tokens;          /* scored: pieces of up to 256, from all over the corpus */
    int down_to;             /* layers left at the end, >= 1 */
    double accepted_seconds; /* a ranking that would take longer is refused (RT_USAGE); 0: none is */
} rt_rank_options;
rt_rank_options rt_rank_default(void); /* 1024 tokens, down to 1 */

/* Layer passes and head sweeps go with the square of the depth: minutes; where the teacher is read layer by layer, what
 * it will take is said first. RT_CANCELLED when interrupted. */
RT_MUST_USE rt_status rt_rank_layers(rt_ranking *r, const rt_model *teacher, const rt_digest *teacher_hash,
                                     const rt_packed *p, const rt_rank_options *o, rt_err *err);

/* Layers that stay when n_keep are wanted, ascending. RT_INPUT when the ranking does not go so far. */
RT_MUST_USE rt_status rt_ranking_keep(const rt_ranking *r, int n_keep, int *keep, rt_err *err);
/* Perplexity with n_keep layers. */
double rt_ranking_perplexity(const rt_ranking *r, int n_keep);

/* "<dir>/<first 16 digits of the hash>.json"; the caller frees; NULL when memory is out. */
char *rt_ranking_path(const char *dir, const rt_digest *teacher_hash);
RT_MUST_USE rt_status rt_ranking_save(const rt_ranking *r, const char *path, rt_err *err);
/* `teacher_hash`, `n_layer`: of the teacher at hand; a ranking of another one is refused. */
RT_MUST_USE rt_status rt_ranking_load(rt_ranking *r, const char *path, const rt_digest *teacher_hash, int64_t n_layer,
                                      rt_err *err);

#endif
