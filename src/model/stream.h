/* stream.h - models larger than memory, forward only: embedding, last norm and head stay, a layer's parameters are
 * decoded from the mapped file into one window when its turn comes, an expert's when a row was routed to it. The
 * values, and so all results, are those of a model in memory that keeps no codes. A streamed model serves one forward
 * pass at a time. Private to model. */
#ifndef RT_MODEL_STREAM_H
#define RT_MODEL_STREAM_H

#include "model/loader.h"

/* Takes over `ld`, in every case, and reads what stays. RT_MEMORY, with the smallest ceiling that would do, when that
 * and the windows leave no room for a pass (model.h: memory, span, beside). */
RT_MUST_USE rt_status rt_stream_new(rt_stream **out, rt_loader *ld, const rt_model_options *o, rt_err *err);
void rt_stream_free(rt_stream *s); /* accepts NULL */

/* All of a layer but its experts lies in memory until the next call. Reading ahead begins for the layer after it. */
void rt_stream_layer(const rt_model *m, int layer);
/* One of its experts, likewise. */
void rt_stream_expert(const rt_model *m, int layer, int64_t expert);
/* What one parameter belongs to, likewise. */
void rt_stream_param(const rt_model *m, const rt_param *p);

#endif
