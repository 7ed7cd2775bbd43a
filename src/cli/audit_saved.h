/* audit_saved.h - a model's results in a folder, which stands for the model in a later audit. */
#ifndef RT_CLI_AUDIT_SAVED_H
#define RT_CLI_AUDIT_SAVED_H

#include "audit/task.h"

bool rt_audit_is_saved(const char *path);
/* DIR/NAME/TASK.json for each result, and at last the mark by which the folder is known; `model` is the file they are
 * of. */
RT_MUST_USE rt_status rt_audit_save(const char *dir, const char *name, const char *model, const rt_task_result *results,
                                    size_t n, rt_err *err);
RT_MUST_USE rt_status rt_audit_load(rt_task_result *out, const char *dir, const char *task, rt_err *err);

#endif
