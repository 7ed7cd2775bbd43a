/* asked.h - what the teacher of a run is asked and what its answers are judged by: the recipe's prompts less those that
 * are held out, and the held-out rows. Private to flow. */
#ifndef RT_FLOW_ASKED_H
#define RT_FLOW_ASKED_H

#include "flow/overlap.h"
#include "flow/state.h"

/* Below the run directory. */
#define RT_ANSWERS_DIR "answers"
#define RT_ANSWERS_ASKED "answers/prompts.jsonl"
#define RT_ANSWERS_HELD_OUT "answers/held_out.jsonl"
#define RT_ANSWERS_WRITTEN "answers/answers.jsonl"
#define RT_ANSWERS_KEPT "answers/kept.jsonl"

typedef struct rt_asked { /* zero-initialise; release in every case */
    rt_prompts prompts;   /* every row has an id: its own, or "<file>:<line>", "<file>#2:<line>" of a second
                           * file of that name */
    rt_prompts held_out;
    int64_t given;                      /* prompts in the files */
    int64_t excluded[RT_OVERLAP_KINDS]; /* of these, by how they overlap */
    int64_t left;                       /* of the others, those for which the budget has no time */
} rt_asked;

/* RT_INPUT: a document of data.text has held-out words, which nobody else takes out, or no prompt is left. */
RT_MUST_USE rt_status rt_asked_read(rt_asked *a, const rt_flow *f, rt_err *err);
/* The former alone: documents may change when the teacher has answered. Without held-out rows nothing. */
RT_MUST_USE rt_status rt_asked_check_documents(const rt_flow *f, rt_err *err);
void rt_asked_release(rt_asked *a);
/* Tokens of all prompts, as they are put to the teacher, and of the longest. */
RT_MUST_USE rt_status rt_asked_tokens(const rt_asked *a, const rt_tokenizer *t, int64_t *all, int64_t *longest,
                                      rt_err *err);
/* {given, asked, excluded: {id, text, words}, left_out, held_out}; owned. */
json_t *rt_asked_json(const rt_asked *a);

#endif
