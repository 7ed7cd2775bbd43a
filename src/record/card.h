/* card.h - the model card: README.md with YAML front matter, from facts that were measured or recorded. */
#ifndef RT_RECORD_CARD_H
#define RT_RECORD_CARD_H

#include <jansson.h>

#include "core/core.h"

/* Facts (all optional but `name` and `permit`; an absent fact is said to be unknown, never guessed):
 *   name            "smollm2-half"
 *   library_name    "transformers" (default) or "gguf"
 *   permit          rt_permit_json of the teacher
 *   teacher         {name, repo?, sha256, architecture?, parameters?, quantisation?}
 *   student         {parameters, layers, hidden, init: "prune"|"scratch"|..., architecture?}
 *   language        ["en"]
 *   data            [{name, documents?, tokens?, origin?, licence?}]; an entry without origin makes provenance
 * incomplete how             {loss, tokens, steps?, seconds?, cpu_seconds?, machine?, targets?, draws?, temperature?}
 *   kept            [{what, student, teacher?, baseline?, retained?, unit?, n?, stderr?}]: measured figures, in this
 * order; `retained` is a share (0.93), `stderr` that of the student's figure lost            ["sentence", ...] in words
 *   not_measured    ["safeguards", ...]
 *   ledger          {head, entries, outputs, positions}
 *   files           [{path, bytes, sha256}]
 *   command         "retort run recipe.yaml"
 *   tool            "retort 0.1.0"
 * Text from files is escaped: a hostile name can neither break out of the YAML nor make links or HTML. */
RT_MUST_USE rt_status rt_card_print(rt_str *out, const json_t *facts, rt_err *err);
/* The same into a file, atomically; first checks that the card and the name keep the checkable duties
 * (rt_duties_check). */
RT_MUST_USE rt_status rt_card_write(const char *path, const json_t *facts, rt_err *err);

/* true when every data set has a stated origin and the teacher was observed, not declared. */
bool rt_card_provenance_complete(const json_t *facts);

/* Appends `text` so that Markdown shows it as it is, on one line. */
void rt_md_escape(rt_str *out, const char *text);
/* Appends `text` as a YAML scalar, quoted unless it is a plain word. */
void rt_yaml_scalar(rt_str *out, const char *text);
/* A line of front matter: "key: value", and an item of a list: "- value". */
void rt_yaml_line(rt_str *out, const char *key, const char *value);
void rt_yaml_item(rt_str *out, const char *value);

#endif
