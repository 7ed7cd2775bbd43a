/* lineage.h - where a model comes from and on what terms, carried into every file made of it, so that the licence gate
 * judges a student no milder than its teacher. Folders say it in README.md, GGUF files in general.* and retort.* keys
 * (record/provenance.h). */
#ifndef RT_FLOW_LINEAGE_H
#define RT_FLOW_LINEAGE_H

#include "record/gate.h"
#include "teacher/cache.h"

/* README.md in `dir` for a student made from the permit's model, `what` in a sentence; licence files of a teacher's
 * folder are copied. */
RT_MUST_USE rt_status rt_lineage_of_cut(const rt_permit *permit, const char *what, const char *dir, rt_err *err);
/* README.md in `dir` for the model at `student`, trained on the cache. */
RT_MUST_USE rt_status rt_lineage_of_training(const char *student, const rt_cache_header *cache, const char *dir,
                                             rt_err *err);
/* Keys that a GGUF made of the model at `path` begins with; the caller decrefs. */
RT_MUST_USE rt_status rt_lineage_keys(json_t **out, const char *path, rt_err *err);
/* The card and the licence files of the model at `path` into `dir`; a card is written where it has none. */
RT_MUST_USE rt_status rt_lineage_copy(const char *path, const char *dir, rt_err *err);

#endif
