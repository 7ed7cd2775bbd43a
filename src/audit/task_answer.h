/* task_answer.h - what of a generated answer counts, and whether it is right: regular expressions as Python's re reads
 * them. Private to audit. */
#ifndef RT_AUDIT_TASK_ANSWER_H
#define RT_AUDIT_TASK_ANSWER_H

#include <jansson.h>

#include "core/core.h"

typedef struct rt_answer_rules rt_answer_rules;

/* From the keys extract, ignore, ignore_case of a description. RT_RECIPE: a pattern is none. */
RT_MUST_USE rt_status rt_answer_rules_open(rt_answer_rules **out, const json_t *spec, rt_err *err);
void rt_answer_rules_close(rt_answer_rules *r);
size_t rt_answer_rules_count(const rt_answer_rules *r);                   /* at least 1: the answer as it is */
const char *rt_answer_rules_name(const rt_answer_rules *r, size_t index); /* "exact_match,strict-match" */

#define RT_ANSWER_NONE "[invalid]"
/* Appends what way `index` takes from the answer; RT_ANSWER_NONE when it finds nothing. Texts are well-formed UTF-8. */
RT_MUST_USE rt_status rt_answer_extract(rt_str *out, const rt_answer_rules *r, size_t index, rt_slice answer,
                                        rt_err *err);
/* Are both the same once the ignored parts are gone? */
RT_MUST_USE rt_status rt_answer_equal(bool *equal, const rt_answer_rules *r, rt_slice a, rt_slice b, rt_err *err);

/* Appends what rt_answer_equal compares. */
RT_MUST_USE rt_status rt_answer_normalise(rt_str *out, const rt_answer_rules *r, rt_slice s, rt_err *err);

#endif
