/* fidelity.c - measurements as JSON. */
#include <math.h>

#include "audit/heldout.h"
#include "format/json.h"

json_t *rt_stat_json(const rt_stat *s)
{
    return json_pack("{s:o, s:o, s:I, s:I}", "mean", rt_number_json(s->mean), "stderr", rt_number_json(s->stderr_), "n",
                     (json_int_t)s->n, "clusters", (json_int_t)s->clusters);
}

json_t *rt_fidelity_json(const rt_fidelity *f)
{
    json_t *j = json_pack("{s:I, s:I, s:b, s:o, s:o, s:o}", "positions", (json_int_t)f->positions, "documents",
                          (json_int_t)f->documents, "own_text", (int)f->own_text, "perplexity",
                          rt_number_json(exp(f->nll.mean)), "nll", rt_stat_json(&f->nll), "calibration",
                          rt_calibration_json(&f->calibration));
    if (j == NULL || f->kl.n == 0) {
        return j;
    }
    json_t *beside = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "teacher_perplexity",
                               rt_number_json(exp(f->teacher_nll.mean)), "teacher_nll", rt_stat_json(&f->teacher_nll),
                               "kl", rt_stat_json(&f->kl), "reverse_kl", rt_stat_json(&f->reverse_kl), "top1",
                               rt_stat_json(&f->top1), "acceptance", rt_stat_json(&f->acceptance));
    if (beside == NULL || json_object_update(j, beside) != 0) {
        json_decref(j);
        j = NULL;
    }
    json_decref(beside);
    return j;
}
