/* licence.h - the versioned table: what a licence says about training on outputs and deriving weights.
 * The table is licences.json, built in; a newer one can be read from disk. */
#ifndef RT_RECORD_LICENCE_H
#define RT_RECORD_LICENCE_H

#include <jansson.h>

#include "core/core.h"

/* Ordered from mild to strict: the stricter of two verdicts is the larger. */
typedef enum rt_verdict { RT_VERDICT_PERMIT, RT_VERDICT_DUTIES, RT_VERDICT_UNKNOWN, RT_VERDICT_DENY } rt_verdict;
const char *rt_verdict_name(rt_verdict v); /* "permit", "permit-with-duties", "unknown", "deny" */

/* Bit set. Cutting a student out of the teacher's weights is both. */
enum { RT_USE_TRAIN_ON_OUTPUTS = 1, RT_USE_DERIVE_WEIGHTS = 2, RT_USE_ALL = 3 };

typedef struct rt_licence_table rt_licence_table;
/* `path` NULL: the built-in table. The whole table is checked here, so that look-ups cannot fail. */
RT_MUST_USE rt_status rt_licence_table_open(rt_licence_table **out, const char *path, rt_err *err);
void rt_licence_table_close(rt_licence_table *t);
const char *rt_licence_table_version(const rt_licence_table *t); /* "2026-11-21" */
const char *rt_licence_table_sha256(const rt_licence_table *t);  /* of the JSON text, 64 hex digits */

/* The table's id for a tag, SPDX id or common name ("Apache License 2.0" -> "apache-2.0"); NULL when it has none.
 * The string lives as long as the table. Case, blanks and underscores do not matter. */
const char *rt_licence_find(const rt_licence_table *t, const char *name);
/* Ids whose marking phrases all occur in a licence text: up to `max` of them; returns how many. */
size_t rt_licence_find_text(const rt_licence_table *t, const char *text, size_t n, const char **ids, size_t max);
/* The licence that goes with a model's family name ("DeepSeek-R1-Distill-Llama-8B" -> "llama3.1"); NULL: no family
 * known. */
const char *rt_licence_find_family(const rt_licence_table *t, const char *model_name);
/* Terms of a hosted service by host name; an unlisted host is "hosted-service", which is denied. */
const char *rt_licence_find_host(const rt_licence_table *t, const char *host);
/* true for ids that name no terms ("other", "modified-mit"): better evidence about the same model replaces them. */
bool rt_licence_is_generic(const rt_licence_table *t, const char *id);
/* Tag for a model card's `license:`; NULL: the card says "other" and gives the name. */
const char *rt_licence_tag(const rt_licence_table *t, const char *id);
const char *rt_licence_reason(const rt_licence_table *t, const char *id); /* one sentence, never NULL */

/* Strictest verdict over `uses` (bit set). An id the table lacks is unknown. */
rt_verdict rt_licence_judge(const rt_licence_table *t, const char *id, unsigned uses, bool noncommercial);
/* Appends the duties of `uses` as objects {id, kind, text, value|any} to `duties`, each once. */
RT_MUST_USE rt_status rt_licence_duties(const rt_licence_table *t, const char *id, unsigned uses, json_t *duties,
                                        rt_err *err);

/* Export check: does a model called `name`, offered with the text `card`, keep the duties that a program can check
 * (name prefix, words to display)? RT_LICENCE names the first duty that is not met. */
RT_MUST_USE rt_status rt_duties_check(const json_t *duties, const char *name, const char *card, rt_err *err);

#endif
