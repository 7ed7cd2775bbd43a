/* answer_filter.h - which of a teacher's answers are trained on. Rules are asked one after the other; the first that
 * speaks against an answer drops it, and is counted. Private to flow. */
#ifndef RT_FLOW_ANSWER_FILTER_H
#define RT_FLOW_ANSWER_FILTER_H

#include "audit/task_match.h"
#include "flow/recipe.h"
#include "teacher/prompts.h"

typedef enum rt_fate {
    RT_FATE_KEPT,
    RT_FATE_UNFINISHED, /* cut off by the limit of new tokens */
    RT_FATE_LENGTH,
    RT_FATE_REPETITION,
    RT_FATE_SEQUENCE, /* prompt and answer are longer than the sequences of training */
    RT_FATE_VERIFIER, /* the right answer, or the user's command */
    RT_FATE_MAJORITY,
    RT_FATE_DUPLICATE,
    RT_FATE_COUNT
} rt_fate;
const char *rt_fate_name(rt_fate fate); /* "kept", "unfinished", ... */

typedef struct rt_candidate {
    const rt_prompt_row *prompt;
    rt_slice text; /* what is trained on: up to the first stop text, which belongs to it; well-formed UTF-8 */
    bool ended;    /* by an end token */
    bool finished; /* by that, or by a stop text */
    rt_fate fate;
} rt_candidate;

typedef struct rt_filter_job {
    const rt_answer_filter *rules;
    const rt_task *task;
    const rt_tokenizer *tokenizer;
    int64_t sequence;
    const char *verify; /* file that becomes the verifier's input */
} rt_filter_job;

/* Candidates of one prompt follow each other. RT_INPUT: the verifier failed, or did not give one verdict an answer. */
RT_MUST_USE rt_status rt_answers_filter(const rt_filter_job *job, rt_candidate *c, size_t n, rt_err *err);

/* The user's command on all that are still kept (answer_verifier.c). */
RT_MUST_USE rt_status rt_answers_verify(const rt_filter_job *job, rt_candidate *c, size_t n, rt_err *err);
/* 1 - different / all runs of four ids; 0 for fewer than four. */
RT_MUST_USE rt_status rt_repetition(double *share, const int32_t *ids, size_t n, rt_err *err);

#endif
