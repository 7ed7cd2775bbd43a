/* kv.h - life of what a model keeps of a timeline: memory for a fixed number of rows, filled by rt_net_forward. */
#ifndef RT_INFER_KV_H
#define RT_INFER_KV_H

#include "model/net.h"

/* Empty, with room for `cap` rows, at most the context of the model (m->rope_rows). */
RT_MUST_USE rt_status rt_kv_init(rt_kv *kv, const rt_model *m, int64_t cap, rt_err *err);
void rt_kv_release(rt_kv *kv); /* also after a failed init, and twice */
/* Forgets all rows. */
void rt_kv_clear(rt_kv *kv);
/* Remembers the rows there are now; rewind forgets those that came since, as often as wanted. */
void rt_kv_mark(rt_kv *kv, const rt_model *m);
void rt_kv_rewind(rt_kv *kv, const rt_model *m);
/* The timeline holds states, which cannot be wound back to any row but the marked one. */
bool rt_kv_recurrent(const rt_model *m);
/* `to` (of the same cap, or `from` itself) becomes the first n of the rows of `from`; with states n is the mark. */
void rt_kv_copy(rt_kv *to, const rt_kv *from, const rt_model *m, int64_t n);
size_t rt_kv_bytes(const rt_model *m, int64_t cap);

#endif
