/* on_policy.h - text that the student writes with the weights it has, for its teacher to judge: what a student does at
 * its own mistakes is never seen on text of others (GKD, Agarwal et al. 2024, arXiv 2306.13649). Continuations of
 * prompts become sequences in which only what was written counts; a source ends every batch with them
 * (teacher/source.h). They are written anew every `refresh` steps and used until then (replay: DistiLLM, Ko et al.
 * 2024, arXiv 2402.03898). What is written is a function of the weights, the seed and the step. */
#ifndef RT_TRAIN_ON_POLICY_H
#define RT_TRAIN_ON_POLICY_H

#include "text/corpus.h"
#include "train/collapse.h"

typedef struct rt_on_policy_options {
    double fraction;       /* of a step's tokens, prompts among them; 0: nothing is written */
    int64_t prompt_tokens; /* of a document without a prompt of its own */
    int64_t new_tokens;    /* written after a prompt, at most */
    double temperature;    /* of writing, not of the loss; 0: greedy */
    double top_p;          /* 1: all tokens */
    int64_t refresh;       /* steps a text is used */
    uint64_t seed;
} rt_on_policy_options;
/* half of a step, 64 tokens continued by 128, temperature 1, nothing cut off, new text for every step */
rt_on_policy_options rt_on_policy_default(void);
RT_MUST_USE rt_status rt_on_policy_check(const rt_on_policy_options *o, rt_err *err);

typedef struct rt_on_policy rt_on_policy;
/* Prompts are the documents of `prompts`: what comes before the first token that counts in a conversation, the first
 * prompt_tokens of others. Those whose continuation would be longer than `sequence` are left out; RT_INPUT where none
 * is left. Borrows all but the options. Everything is laid out here: writing allocates nothing. */
RT_MUST_USE rt_status rt_on_policy_new(rt_on_policy **out, const rt_model *student, const rt_tokenizer *t,
                                       const rt_corpus *prompts, int64_t sequence, int64_t batch_tokens,
                                       const rt_on_policy_options *o, rt_err *err);
void rt_on_policy_free(rt_on_policy *w); /* accepts NULL */

/* What is written at present, for rt_source_options.more: the same address for ever. */
const rt_packed *rt_on_policy_text(const rt_on_policy *w);
int64_t rt_on_policy_tokens(const rt_on_policy *w); /* most tokens it ever has */
int64_t rt_on_policy_share(const rt_on_policy *w);  /* tokens of a step that it takes the place of */
size_t rt_on_policy_bytes(const rt_on_policy *w);   /* keys and values, activations, texts */

typedef struct rt_on_policy_report {
    bool written; /* now; else what was there is used again */
    int64_t texts, tokens;
    double nll; /* mean -log q of the tokens written, as the sampler saw it */
    rt_writing writing;
    rt_alarm alarm; /* holds until the next writing */
    char what[160]; /* in words, "" for none */
} rt_on_policy_report;
/* Before the 0-based update `step`. RT_CANCELLED on an interrupt: the text is the one before. */
RT_MUST_USE rt_status rt_on_policy_write(rt_on_policy *w, int64_t step, rt_on_policy_report *r, rt_err *err);

/* Settings and prompts, which must be equal for a run to go on. NULL: memory is out. */
json_t *rt_on_policy_config(const rt_on_policy *w);
/* "0.5 of a step's tokens written by the student (...)": where the text comes from. */
void rt_on_policy_describe(const rt_on_policy *w, rt_str *s);
/* The text at present and the state of the alarms, for a checkpoint. NULL: memory is out. */
json_t *rt_on_policy_json(const rt_on_policy *w);
RT_MUST_USE rt_status rt_on_policy_restore(rt_on_policy *w, const json_t *j, rt_err *err);

#endif
