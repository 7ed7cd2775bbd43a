/* answer_file.h - answers to prompts as JSON lines that training reads like any other document, each in the ledger
 * before it is in the file. Who answers is a function: the engine (write.h) or a server (endpoint_text.h). */
#ifndef RT_TEACHER_ANSWER_FILE_H
#define RT_TEACHER_ANSWER_FILE_H

#include "infer/sample.h"
#include "record/ledger.h"
#include "teacher/prompts.h"

typedef struct rt_answer {
    rt_str text;
    int64_t tokens;
    char stop[32]; /* why it ended */
} rt_answer;

typedef struct rt_answer_file rt_answer_file;
enum { RT_ANSWER_BATCH = 32 /* entered together */, RT_ANSWER_AHEAD = 1024 };
/* Answer number `index`; its text changes hands. Answers may come in any order, each less than RT_ANSWER_AHEAD behind
 * the first that is missing. */
RT_MUST_USE rt_status rt_answer_put(rt_answer_file *f, int64_t index, rt_answer *a, rt_err *err);
/* The prompt of an answer. */
const rt_prompt_row *rt_answer_prompt(const rt_answer_file *f, int64_t index);
/* Puts the answers first, first + 1, ... end - 1. */
typedef rt_status (*rt_answer_fn)(void *ud, rt_answer_file *f, int64_t first, int64_t end, rt_err *err);

/* All borrowed. */
typedef struct rt_answer_job {
    const rt_permit *permit;
    const rt_prompts *prompts;
    const char *dir; /* answers.jsonl and ledger.jsonl go here */
    int answers;     /* a prompt, >= 1; answer number i belongs to prompt i / answers */
    rt_digest form;  /* of the chat template; zero: the server's own */
    int64_t max_new;
    rt_sampling sampling;
    const json_t *settings; /* for the ledger; NULL: none */
    rt_answer_fn answer;
    void *ud;
} rt_answer_job;

typedef struct rt_answer_report {
    int64_t prompts, answers, tokens; /* in the file, over all calls */
    double seconds;                   /* of this call */
} rt_answer_report;

/* Writes <dir>/answers.jsonl: {"id", "prompt" | "messages", "answer", "origin", "stop"} a line, in the order of the
 * prompts. Goes on where an earlier call was stopped; a finished file is left as it is. RT_INPUT where the folder
 * holds answers to another asking: other prompts, sampling, form, teacher. */
RT_MUST_USE rt_status rt_answer_file_write(const rt_answer_job *job, rt_answer_report *report, rt_err *err);

#endif
