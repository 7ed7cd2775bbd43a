/* chunks.h - a model over a text cut into chunks of equal length, each by itself, of which the second half is scored:
 * how llama-perplexity reads texts (format/kl_base.h). */
#ifndef RT_INFER_CHUNKS_H
#define RT_INFER_CHUNKS_H

#include "format/kl_base.h"
#include "model/models.h"
#include "text/tokenizer.h"

typedef struct rt_chunks rt_chunks;
/* Borrows the model. A tokenizer that puts BOS before texts has every chunk's first id replaced by it. RT_INPUT when
 * the shape is of another vocabulary or longer than the context. */
RT_MUST_USE rt_status rt_chunks_new(rt_chunks **out, const rt_model *m, const rt_tokenizer *t,
                                    const rt_kl_base_shape *shape, rt_err *err);
void rt_chunks_free(rt_chunks *c);
void rt_chunks_forward(rt_chunks *c, const int32_t *ids); /* [n_ctx] */
/* Scored positions from .. from + n - 1 of that chunk to the visitor (head.h; index counts from `from`). */
void rt_chunks_visit(rt_chunks *c, int64_t from, int64_t n, rt_head_visitor visit, void *ud);

/* Scored positions whose rows are in memory at a time. */
#define RT_CHUNK_ROWS 64

/* Writes the logits file of a text: whole chunks of n_ctx tokens, two or more; the rest is left out. */
RT_MUST_USE rt_status rt_logits_save_kl_base(rt_kl_base_shape *shape, const rt_model *m, const rt_tokenizer *t,
                                             const char *text_path, int64_t n_ctx, const char *path, rt_err *err);

#endif
