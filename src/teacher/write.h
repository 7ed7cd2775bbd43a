/* write.h - texts the engine writes: an answer (or several) to each prompt. */
#ifndef RT_TEACHER_WRITE_H
#define RT_TEACHER_WRITE_H

#include "infer/infer.h"
#include "teacher/answer_file.h"

/* All borrowed. Without a known chat template a prompt is continued as plain text. */
typedef struct rt_write_job {
    const rt_model *teacher;
    const rt_tokenizer *tokenizer;
    const rt_permit *permit;
    const rt_prompts *prompts;
    const char *dir; /* answers.jsonl and ledger.jsonl go here */
    int64_t max_new;
    int answers; /* a prompt, >= 1 */
    rt_sampling sampling;
} rt_write_job;

typedef struct rt_write_report {
    rt_answer_report file;
    rt_generate_counts counts; /* of this call, like the rest */
    int batch;                 /* answers at a time */
    size_t bytes;              /* foreseen for them */
} rt_write_report;

RT_MUST_USE rt_status rt_write_answers(const rt_write_job *job, rt_write_report *report, rt_err *err);

#endif
