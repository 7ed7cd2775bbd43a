/* task_text.h - string operations with the meaning they have in Python, which the harness's tasks are written in.
 * Texts are well-formed UTF-8. Private to audit. */
#ifndef RT_AUDIT_TASK_TEXT_H
#define RT_AUDIT_TASK_TEXT_H

#include "core/core.h"

/* str.strip and str.rstrip as views. */
rt_slice rt_text_strip(rt_slice s);
rt_slice rt_text_rstrip(rt_slice s);
/* Appends str.capitalize: first character title case, all others lower case. Characters whose case mapping is longer
 * than one character stay as they are. */
void rt_text_capitalize(rt_str *out, rt_slice s);
/* Appends str.lower, with the same exception. */
void rt_text_lower(rt_str *out, rt_slice s);
/* len(re.split(r"\s+", s)). */
int64_t rt_text_words(rt_slice s);
/* len(s): characters, not bytes. */
int64_t rt_text_length(rt_slice s);
/* Appends HellaSwag's clean text: stripped, " [title]" -> ". ", "[...]" deleted, double spaces halved once. */
void rt_text_clean_hellaswag(rt_str *out, rt_slice s);

#endif
