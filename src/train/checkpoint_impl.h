/* checkpoint_impl.h - what the two files of checkpoints share. */
#ifndef RT_TRAIN_CHECKPOINT_IMPL_H
#define RT_TRAIN_CHECKPOINT_IMPL_H

#include "train/checkpoint.h"

/* Owned; NULL: memory is out. */
json_t *rt_checkpoint_to_json(const rt_checkpoint *c);
/* Reads c->doc; `path` is for the message. RT_INPUT: another version, or part of it is missing. */
RT_MUST_USE rt_status rt_checkpoint_from_json(rt_checkpoint *c, const char *path, rt_err *err);

#endif
