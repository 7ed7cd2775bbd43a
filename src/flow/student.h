/* student.h - a student folder: init.safetensors or model.safetensors, config.json, the tokenizer in both formats, and
 * README.md (flow/lineage.h), so that every later command can open it alone and judge it. */
#ifndef RT_FLOW_STUDENT_H
#define RT_FLOW_STUDENT_H

#include "model/models.h"
#include "teacher/cache.h"
#include "text/text.h"

/* Writes `m` as <dir>/<weights> with config.json beside it; `type` F32, F16 or BF16. */
RT_MUST_USE rt_status rt_student_save(const rt_model *m, const rt_tokenizer *t, const char *dir, const char *weights,
                                      rt_dtype type, rt_err *err);
/* Tokenizer of the model at `teacher` into `dir`: tokenizer.json and its companions; tokenizer.gguf where the teacher
 * is a GGUF, whose metadata is so kept byte for byte. */
RT_MUST_USE rt_status rt_student_save_tokenizer(const rt_tokenizer *t, const char *teacher, const char *dir,
                                                rt_err *err);
/* A training's result, <run>/student: `m`, the model at `from` trained on the cache, with its tokenizer and README.md.
 * Of a model with an adapter the merged one, and the adapter alone in <run>/adapter. */
RT_MUST_USE rt_status rt_student_save_trained(const rt_model *m, const rt_tokenizer *t, const char *from,
                                              const rt_cache_header *cache, const char *run, rt_err *err);
/* The model at `from` with what `m`, adapted from it, has learned; the pairs alone into the folder `adapter`. */
RT_MUST_USE rt_status rt_student_merge(rt_model **out, const rt_model *m, const char *from, const char *adapter,
                                       rt_err *err);
/* Opens the GGUF whose tokenizer.* keys belong to the model at `path`: itself, or tokenizer.gguf beside it. *out NULL:
 * none. */
RT_MUST_USE rt_status rt_student_vocabulary(rt_gguf **out, const char *path, rt_err *err);

#endif
