/* gap.c - items of two results as rows of a family (gap.h). */
#include "audit/gap_items.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "audit/heldout.h"

static const rt_task_metric *metric_of(const rt_task_result *r)
{
    const rt_task_metric *norm = rt_task_result_metric(r, "acc_norm"), *acc = rt_task_result_metric(r, "acc");
    for (size_t k = 0; norm == NULL && acc == NULL && k < r->n_metrics; k++) {
        acc = strncmp(r->metrics[k].name, "exact_match", 11) == 0 ? &r->metrics[k] : NULL;
    }
    return norm != NULL ? norm : acc;
}

/* The values that `use` takes, and their groups, closed up; how many. */
static size_t choose(double *t, double *s, int64_t *groups, size_t n, const bool *use)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (use == NULL || use[i]) {
            t[kept] = t[i];
            s[kept] = s[i];
            groups[kept++] = groups[i];
        }
    }
    return kept;
}

bool rt_gap_has_row(const rt_task_result *r)
{
    return metric_of(r) != NULL;
}

rt_status rt_gap_add(rt_family *f, const rt_task_result *reference, const rt_task_result *model,
                     const rt_gap_options *o, rt_err *err)
{
    rt_status st = RT_OK;
    double *t = NULL, *s = NULL;
    int64_t *groups = NULL;
    const size_t n = (size_t)reference->n;
    const rt_task_metric *m = o->metric != NULL ? rt_task_result_metric(reference, o->metric) : metric_of(reference);
    if (m == NULL) {
        RT_FAIL_OUT(err, RT_UNSUPPORTED, 0, "task %s has no %s to compare", reference->task,
                    o->metric != NULL ? o->metric : "share of right answers");
    }
    RT_TRY(rt_gap_check(f, reference, model, err));
    RT_TRY(RT_NEW(&t, n, "values of items", err));
    RT_TRY(RT_NEW(&s, n, "values of items", err));
    RT_TRY(RT_NEW(&groups, n, "groups of items", err));
    rt_gap_values(t, reference, m->name);
    rt_gap_values(s, model, m->name);
    RT_TRY(rt_gap_groups(groups, reference->items, err));
    RT_TRY(rt_family_add(f,
                         &(rt_family_label){.name = o->name != NULL ? o->name : reference->task,
                                            .metric = m->name,
                                            .kind = reference->skill},
                         t, s, choose(t, s, groups, n, o->use),
                         &(rt_paired_options){.margin = o->margin,
                                              .chance = o->chance != NULL ? *o->chance : reference->chance,
                                              .groups = groups,
                                              .same_model = rt_gap_same_model(reference, model),
                                              .seed = o->seed,
                                              .resamples = o->resamples},
                         err));
out:
    rt_free(t);
    rt_free(s);
    rt_free(groups);
    return st;
}

rt_status rt_gap_add_tasks(rt_family *f, const rt_gap_model *reference, const rt_gap_model *model,
                           const rt_gap_input *in, int resamples, rt_err *err)
{
    rt_status st = RT_OK;
    for (size_t i = 0; i < in->n_tasks; i++) {
        if (rt_gap_has_row(&reference->results[i])) {
            RT_TRY(rt_gap_add(f, &reference->results[i], &model->results[i],
                              &(rt_gap_options){.margin = in->margin, .seed = in->seed, .resamples = resamples}, err));
        }
    }
out:
    return st;
}
