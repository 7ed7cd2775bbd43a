/* provenance.h - what a model's own files say about where it comes from and on what terms, so that it can be carried
 * into files made of the model. It is one JSON object with the keys that GGUF has for this: general.name, .organization
 * and .repo_url; general.license, .license.name and .license.link; general.base_model.count and, from 0 on,
 * general.base_model.<n>.name, .organization and .repo_url; retort.*. A folder keeps the same in the head of README.md,
 * retort.a.b as retort_a_b. Nothing is judged here (record/judge.c). */
#ifndef RT_RECORD_PROVENANCE_H
#define RT_RECORD_PROVENANCE_H

#include "record/licence.h"

/* From the metadata of a GGUF or safetensors file and from README.md beside it, or from README.md of a folder. A card
 * that cannot be read says nothing. The caller decrefs. */
RT_MUST_USE rt_status rt_provenance_read(json_t **out, const char *path, rt_err *err);

/* States licence `id` of the table too, unless it is stated already. It takes the place of a whole licence text. */
RT_MUST_USE rt_status rt_provenance_add_licence(json_t *p, const rt_licence_table *t, const char *id, rt_err *err);
/* Adds a base model by what people call it: "org/name", or a name alone. */
RT_MUST_USE rt_status rt_provenance_add_base(json_t *p, const char *label, rt_err *err);
/* Removes the keys that begin with `prefix`. */
void rt_provenance_drop(json_t *p, const char *prefix);

/* "org/name" of the model itself, from the keys under "general", or of a base model, "general.base_model.0"; empty when
 * there is no name. */
void rt_provenance_label(rt_str *out, const json_t *p, const char *prefix);

/* README.md of a model called `name`: the head, `what` (one line of plain text that says what was done), and the facts
 * in words. */
RT_MUST_USE rt_status rt_provenance_print(rt_str *out, const json_t *p, const char *name, const char *what,
                                          rt_err *err);

#endif
