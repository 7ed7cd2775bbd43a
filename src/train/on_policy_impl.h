/* on_policy_impl.h - what writing a student's text and keeping it share. */
#ifndef RT_TRAIN_ON_POLICY_IMPL_H
#define RT_TRAIN_ON_POLICY_IMPL_H

#include "train/on_policy.h"

struct rt_on_policy {
    rt_on_policy_options o;
    int64_t n_vocab, share; /* share: tokens of a step that may be written */
    rt_prompt *prompts;     /* [n_prompts] views into the corpus */
    int64_t n_prompts;
    rt_digest hash; /* of the prompts */
    rt_generator *generator;
    size_t bytes;
    int32_t *numbers;    /* [max_texts] the prompts of the text at present */
    int32_t *chosen;     /* [max_texts] of the text under way */
    rt_generated *texts; /* [max_texts] as they were written */
    int32_t *ids;        /* of these, [max_texts][new_tokens] */
    float *logprobs;
    int64_t max_texts, max_tokens;
    rt_packed text; /* one segment a text, one text a sequence */
    rt_collapse collapse;
    rt_alarm alarm;
    char what[160];
};

void rt_on_policy_clear_text(rt_packed *p);
/* The prompt and its continuation become one sequence; a position counts where it predicts a written token. */
void rt_on_policy_add_text(rt_packed *p, const rt_prompt *prompt, const int32_t *ids, int64_t n);

#endif
