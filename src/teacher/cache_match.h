/* cache_match.h - does a cache belong to this student's tokens, and was it this teacher that spoke? Ids of equal number
 * and other meaning train without any error, so it is asked before. */
#ifndef RT_TEACHER_CACHE_MATCH_H
#define RT_TEACHER_CACHE_MATCH_H

#include "teacher/cache.h"

/* RT_INPUT unless `t`, the tokenizer of the model at `model`, is the one the cache was collected with. `teacher`: path
 * of the teacher, whose tokenizer says which id is the first to differ; NULL: the hashes are named. */
RT_MUST_USE rt_status rt_cache_match_tokenizer(const rt_cache *c, const rt_tokenizer *t, const char *model,
                                               const char *teacher, rt_err *err);
/* RT_INPUT unless the model at `path` is the cache's teacher by its SHA-256. A cache whose teacher was declared and not
 * read knows no hash and matches any. */
RT_MUST_USE rt_status rt_cache_match_teacher(const rt_cache *c, const char *path, rt_err *err);

#endif
