/* identity.h - by which hash a model is known: in permits, caches, rankings, manifests and ledgers. */
#ifndef RT_MODEL_IDENTITY_H
#define RT_MODEL_IDENTITY_H

#include "core/core.h"

/* SHA-256 of the file at `path`, or of model.safetensors where `path` is a folder. A model in several files (a folder
 * whose weights are sharded, a split GGUF) is known by all of them: the SHA-256 of what `sha256sum` prints for shards,
 * index and config.json in the order of their names. `memo`: file in which hashes are remembered (core/hash.h), or
 * NULL. RT_NOT_FOUND where there are no weights. */
RT_MUST_USE rt_status rt_model_sha256(const char *path, const char *memo, rt_digest *out, rt_err *err);

#endif
