/* recipe_answers.h - the part of a recipe that says what the teacher writes and what of it is kept. Private to flow. */
#ifndef RT_FLOW_RECIPE_ANSWERS_H
#define RT_FLOW_RECIPE_ANSWERS_H

#include "flow/recipe.h"

extern const rt_field rt_data_fields[], rt_answers_fields[];
/* Views of a list of texts, `cap` at most; `what` names it in the error. */
RT_MUST_USE rt_status rt_recipe_strings(const json_t *list, const char *what, const char **out, size_t cap, size_t *n,
                                        rt_err *err);
RT_MUST_USE rt_status rt_recipe_read_data(rt_run_recipe *r, const json_t *data, rt_err *err);
/* Of a recipe whose data is read; fields from `answers` to `filter`. */
RT_MUST_USE rt_status rt_recipe_read_answers(rt_run_recipe *r, const json_t *answers, rt_err *err);

#endif
