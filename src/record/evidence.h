/* evidence.h - what a model's files say about its licence and its ancestors, collected but not judged. */
#ifndef RT_RECORD_EVIDENCE_H
#define RT_RECORD_EVIDENCE_H

#include "record/licence.h"

/* Zero-initialise, fill, release. */
typedef struct rt_evidence {
    char *name;          /* what the model calls itself, NULL when it does not */
    json_t *items;       /* [{source, file, value, licence, about: "model"|"ancestor", [text_sha256]}] */
    json_t *base_models; /* ["org/name", ...] as stated */
    bool declared;       /* someone's word, not read from the model's own files */
} rt_evidence;

/* Reads a GGUF file (general.*), a safetensors file (__metadata__) or a folder in the Hugging Face layout
 * (README.md front matter, LICENSE, config.json), the model card beside a single file, and the family that names give
 * away. A LICENSE file counts only in a folder that is a model's own (it has config.json or a model card with a
 * licence). */
RT_MUST_USE rt_status rt_evidence_collect(rt_evidence *e, const rt_licence_table *t, const char *path, rt_err *err);
/* For a teacher whose files are not here: `licence` and `base_model` may be NULL. */
RT_MUST_USE rt_status rt_evidence_declare(rt_evidence *e, const rt_licence_table *t, const char *model_name,
                                          const char *licence, const char *base_model, rt_err *err);
/* Terms of the hosted service behind `host`. */
RT_MUST_USE rt_status rt_evidence_add_host(rt_evidence *e, const rt_licence_table *t, const char *host, rt_err *err);
/* Names by which a licence text lies in a model's folder; NULL ends the list. */
extern const char *const rt_licence_file_names[];
void rt_evidence_release(rt_evidence *e);

#endif
