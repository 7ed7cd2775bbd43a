/* task_generate.h - answers to many prompts, greedy, cut at the first stop text. Private to audit. */
#ifndef RT_AUDIT_TASK_GENERATE_H
#define RT_AUDIT_TASK_GENERATE_H

#include "audit/task_desc.h"
#include "infer/generate.h"

/* Each answer lives in the arena. An answer does not depend on the other prompts. */
RT_MUST_USE rt_status rt_task_generate(rt_slice *answers, const rt_task *task, int64_t max_new, const rt_model *m,
                                       const rt_tokenizer *t, const rt_prompt *prompts, size_t n, rt_arena *arena,
                                       rt_err *err);
/* Bytes before the first stop text; all of them when there is none. *stop (may be NULL): bytes of that text. */
size_t rt_task_before_stop(const json_t *stops, rt_slice s, size_t *stop);

#endif
