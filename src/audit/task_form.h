/* task_form.h - texts made from a row: "Question: {question|strip}\nAnswer:". Private to audit. */
#ifndef RT_AUDIT_TASK_FORM_H
#define RT_AUDIT_TASK_FORM_H

#include <jansson.h>

#include "core/core.h"

/* The value at "choices.text" or "choices.0" inside a row; NULL: none. */
const json_t *rt_form_field(const json_t *row, const char *path);
/* Is every {field|filter} closed, and every filter known? RT_RECIPE. */
RT_MUST_USE rt_status rt_form_check(const char *form, rt_err *err);
/* Appends the form with its fields in place; "{{" is a brace. RT_INPUT: the row lacks one. The form has been checked.
 */
RT_MUST_USE rt_status rt_form_expand(rt_str *out, const char *form, const json_t *row, rt_err *err);

#endif
