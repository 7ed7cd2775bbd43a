/* prompts.h - what a teacher is asked to answer: rows with "prompt" (a user's turn) or "messages" (a conversation). */
#ifndef RT_TEACHER_PROMPTS_H
#define RT_TEACHER_PROMPTS_H

#include "format/json.h"
#include "text/chat.h"

typedef struct rt_prompt_row {
    json_t *row;
    const char *path; /* borrowed, with the line for messages */
    uint64_t line;
} rt_prompt_row;

typedef struct rt_prompts { /* zero-initialise; release in every case */
    rt_prompt_row *rows;
    size_t n;
} rt_prompts;
/* RT_INPUT where a file holds none, or a row is neither. */
RT_MUST_USE rt_status rt_prompts_read(rt_prompts *p, const char *const *paths, size_t n_paths, rt_err *err);
void rt_prompts_release(rt_prompts *p);

enum { RT_PROMPT_TURNS = 64 };
/* The row has what a prompt needs; RT_INPUT names file and line. Rows read by rt_prompts_read have been checked. */
RT_MUST_USE rt_status rt_prompt_check(const rt_prompt_row *p, rt_err *err);
/* The conversation to be answered; a closing assistant turn is left out. Views into the row; returns how many turns. */
size_t rt_prompt_turns(const rt_prompt_row *p, rt_chat_message turns[RT_PROMPT_TURNS]);
/* What a closing assistant turn says, a text of the row; NULL: there is none. */
const json_t *rt_prompt_closing(const rt_prompt_row *p);
/* Is it put as a conversation? Without a known chat template a prompt is continued as plain text. */
bool rt_prompt_is_chat(const rt_prompt_row *p, const rt_tokenizer *t);
/* Appends the ids behind which the answer begins: when answers are written, and when they are judged. */
RT_MUST_USE rt_status rt_prompt_encode(const rt_prompt_row *p, const rt_tokenizer *t, rt_ids *ids, rt_err *err);

#endif
