/* write.h - texts a teacher writes: an answer (or several) to each prompt, as JSON lines that training reads like any
 * other document. Each answer is in the ledger before it is in the file. */
#ifndef RT_TEACHER_WRITE_H
#define RT_TEACHER_WRITE_H

#include "infer/infer.h"
#include "record/ledger.h"
#include "text/text.h"

/* All borrowed. Rows of the prompt files have "prompt" (a user's turn) or "messages" (a conversation; a closing
 * assistant turn is left out). Without a known chat template a prompt is continued as plain text. */
typedef struct rt_write_job {
    const rt_model *teacher;
    const rt_tokenizer *tokenizer;
    const rt_permit *permit;
    const char *const *prompts;
    size_t n_prompts;
    const char *dir; /* answers.jsonl and ledger.jsonl go here */
    int64_t max_new;
    int answers; /* a prompt, >= 1 */
    rt_sampling sampling;
} rt_write_job;

typedef struct rt_write_report {
    int64_t prompts, answers, tokens; /* in the file, over all calls */
    double seconds;                   /* of this call */
} rt_write_report;

/* Writes <dir>/answers.jsonl: {"id", "prompt" | "messages", "answer", "origin", "stop"} a line, in the order of the
 * prompts. Goes on where an earlier call was stopped; a finished file is left as it is. RT_INPUT without prompts. */
RT_MUST_USE rt_status rt_write_answers(const rt_write_job *job, rt_write_report *report, rt_err *err);

#endif
