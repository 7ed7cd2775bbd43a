/* fidelity.h - does the teacher, as it speaks here, say what its file says? KL between its forward pass with rounded
 * products and the f32 one of the same file, over positions from all over the text. What a student learns of the
 * difference is the rounding. */
#ifndef RT_TEACHER_FIDELITY_H
#define RT_TEACHER_FIDELITY_H

#include "core/stat.h"
#include "model/models.h"
#include "teacher/cache.h"

#define RT_TEACHER_KL_BOUND 0.05 /* nats a position: beyond, targets are refused */

typedef struct rt_teacher_fidelity {
    rt_stat kl;           /* KL(f32 | as it speaks), nats at T = 1; clusters are pieces of text. n = 0: not measured */
    rt_dtype compute;     /* of the products as it speaks; when measured */
    char unmeasured[160]; /* why it was not measured; "" when it was */
} rt_teacher_fidelity;

/* Not measured, and why. */
rt_teacher_fidelity rt_teacher_fidelity_none(const char *why);
/* Runs both over about a thousand tokens, fewer of a short text; the f32 form is read layer by layer. A teacher that
 * speaks in f32, lies in no file, has no room beside it for the other form, or would be read from its file again for
 * more than a tenth of the work is not measured. The packing has passed rt_packed_check. RT_NUMERIC: not finite. */
RT_MUST_USE rt_status rt_teacher_fidelity_measure(rt_teacher_fidelity *f, const rt_model *teacher, const rt_packed *p,
                                                  rt_err *err);
/* RT_FINDING when measured and beyond the bound, unless accepted; names cause and remedies. `name`: the teacher. */
RT_MUST_USE rt_status rt_teacher_fidelity_judge(const rt_teacher_fidelity *f, const char *name, bool accepted,
                                                rt_err *err);
bool rt_teacher_fidelity_exceeds(const rt_teacher_fidelity *f);

/* {compute, reference, positions, pieces, kl, stderr (null: one piece), bound} or {unmeasured}. Owned, NULL when memory
 * is out. */
json_t *rt_teacher_fidelity_json(const rt_teacher_fidelity *f);

/* CACHE/fidelity.json is written before the first shard, so that a collection that goes on does not measure again. Of a
 * cache with this header: what is kept, else measured now and kept. */
RT_MUST_USE rt_status rt_teacher_fidelity_take(rt_teacher_fidelity *f, const rt_model *teacher, const rt_packed *p,
                                               const char *dir, const rt_cache_header *h, rt_err *err);
/* What is kept, if anything. */
RT_MUST_USE rt_status rt_teacher_fidelity_kept(rt_teacher_fidelity *f, const char *dir, const rt_cache_header *h,
                                               rt_err *err);

#endif
