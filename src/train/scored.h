/* scored.h - what an online teacher says while training goes on, in the ledger. Positions are counted by document in
 * the step and written down before each checkpoint, so that of a run that goes on each is there once; the student's own
 * text is one entry with the hash of all that was written since the last. */
#ifndef RT_TRAIN_SCORED_H
#define RT_TRAIN_SCORED_H

#include "record/ledger.h"
#include "teacher/source.h"

typedef struct rt_scored rt_scored;
/* Keeps `path` locked until closed. Borrows corpus and packed, the text the source was opened with; `settings` (loss,
 * origin of the text...) goes into the opening entry. */
RT_MUST_USE rt_status rt_scored_open(rt_scored **out, const char *path, const rt_permit *permit,
                                     const rt_corpus *corpus, const rt_packed *packed, const json_t *settings,
                                     rt_err *err);
void rt_scored_close(rt_scored *s); /* accepts NULL; what was counted since the last commit is dropped */

/* The teacher has answered at the rows of this batch. */
void rt_scored_add(rt_scored *s, const rt_source_batch *b);
/* Everything counted so far is durable. `step`: updates done. */
RT_MUST_USE rt_status rt_scored_commit(rt_scored *s, int64_t step, rt_ledger_mark *mark, rt_err *err);
/* The run begins at its first step. What an attempt that left no checkpoint has entered stays, and is counted as such.
 */
RT_MUST_USE rt_status rt_scored_begin(rt_scored *s, rt_err *err);
/* Goes back to where a checkpoint was, made after so many updates. */
RT_MUST_USE rt_status rt_scored_resume(rt_scored *s, int64_t step, const rt_ledger_mark *mark, rt_err *err);
RT_MUST_USE rt_status rt_scored_finish(rt_scored *s, rt_ledger_mark *mark, rt_err *err);

#endif
