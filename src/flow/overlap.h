/* overlap.h - training prompts that stand among rows that are measured on: a score over what was trained on says
 * nothing.
 * Private to flow. */
#ifndef RT_FLOW_OVERLAP_H
#define RT_FLOW_OVERLAP_H

#include "teacher/prompts.h"

typedef enum rt_overlap_how {
    RT_OVERLAP_NONE,
    RT_OVERLAP_ID,    /* the same id */
    RT_OVERLAP_TEXT,  /* the same words, case and white space aside */
    RT_OVERLAP_WORDS, /* 13 words in a row (audit/words.h) */
    RT_OVERLAP_KINDS
} rt_overlap_how;
const char *rt_overlap_name(rt_overlap_how how); /* "id", "text", "words" */

typedef struct rt_overlap rt_overlap;

/* Words in a row that more than a tenth of the held-out rows have (and more than one) are the form of the prompts,
 * examples in front for one, and count for nothing. */
RT_MUST_USE rt_status rt_overlap_new(rt_overlap **out, const rt_prompts *held_out, rt_err *err);
void rt_overlap_free(rt_overlap *o);
/* *row: the first held-out row that it is in; where it is in none, as it was. NULL: not asked for. */
RT_MUST_USE rt_status rt_overlap_prompt(const rt_overlap *o, const rt_prompt_row *p, rt_overlap_how *how, size_t *row,
                                        rt_err *err);
/* Of any text: the same words in a row. */
RT_MUST_USE rt_status rt_overlap_text(const rt_overlap *o, const char *text, size_t n, rt_overlap_how *how,
                                      rt_err *err);

#endif
