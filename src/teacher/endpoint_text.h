/* endpoint_text.h - texts a served teacher writes, in the form in which the engine writes them (write.h). */
#ifndef RT_TEACHER_ENDPOINT_TEXT_H
#define RT_TEACHER_ENDPOINT_TEXT_H

#include "infer/sample.h"
#include "teacher/answer_file.h"
#include "teacher/endpoint.h"

/* All borrowed; the endpoint has been identified. The server's own chat template forms the conversation. */
typedef struct rt_endpoint_text_job {
    rt_endpoint *endpoint;
    const rt_permit *permit;
    const rt_prompts *prompts;
    const char *dir;
    const json_t *settings; /* for the ledger */
    int64_t max_new;
    int answers;
    rt_sampling sampling;
} rt_endpoint_text_job;

/* Asked as many at a time as the endpoint allows; who answers is checked again after every batch, before any of it is
 * kept. */
RT_MUST_USE rt_status rt_endpoint_write_answers(const rt_endpoint_text_job *job, rt_answer_report *report, rt_err *err);

#endif
