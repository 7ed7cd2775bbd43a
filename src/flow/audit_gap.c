/* The gap between a run's student and its teacher, with its baselines, on the items of the audit. */
#include "flow/audit_gap.h"

#include <string.h>

#include "flow/retain.h"

/* Marks of the items that stand in the training text, whether their tasks are of its kind, and their texts for the
 * search of slices; [n_tasks] each. */
typedef struct evidence {
    rt_contamination *contaminated;
    rt_domain *domain;
    json_t **docs;
} evidence;

static size_t put_paths(const char **to, const char *const *paths, size_t n)
{
    memcpy(to, paths, n * sizeof *paths);
    return n;
}

/* Everything the student was trained on: documents, the answers that were kept, what was retained, prompts it went on
 * from. */
static rt_status look_into_texts(evidence *e, const rt_flow *f, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_run_recipe *r = &f->recipe;
    const char *paths[2 * RT_MAX_PATHS + 2];
    char *retained = NULL;
    size_t n = put_paths(paths, r->text, r->n_text);
    n += put_paths(paths + n, r->own_text.prompts, r->own_text.n_prompts);
    if (f->kept != NULL) {
        paths[n++] = f->kept;
    }
    if (rt_flow_retains(f)) {
        RT_TRY(rt_flow_path_to(f, "retain/answers.jsonl", &retained, err));
        paths[n++] = retained;
    }
    RT_TRY(rt_contamination_find(e->contaminated, (const json_t *const *)e->docs, r->n_tasks, paths, n, err));
out:
    rt_free(retained);
    return st;
}

/* By the names of the user's own files: those a run writes have its names. */
static rt_status find_domain(evidence *e, const rt_run_recipe *r, rt_err *err)
{
    const char *paths[4 * RT_MAX_PATHS];
    const rt_status st = RT_NEW(&e->domain, r->n_tasks, "tasks", err);
    size_t n = put_paths(paths, r->text, r->n_text);
    n += put_paths(paths + n, r->prompts, r->n_prompts);
    n += put_paths(paths + n, r->own_text.prompts, r->own_text.n_prompts);
    n += put_paths(paths + n, r->retain.prompts, r->retain.n_prompts);
    const rt_trained_on known = {
        .declared = r->seen, .n_declared = r->n_seen, .is_declared = r->seen_declared, .files = paths, .n_files = n};
    for (size_t i = 0; st == RT_OK && i < r->n_tasks; i++) {
        e->domain[i] = rt_domain_of(r->tasks[i], r->task_data[i], &e->contaminated[i], &known);
    }
    return st;
}

static rt_status open_evidence(evidence *e, const rt_flow *f, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_run_recipe *r = &f->recipe;
    rt_task *task = NULL;
    RT_TRY(RT_NEW(&e->contaminated, r->n_tasks, "marks of items", err));
    RT_TRY(RT_NEW(&e->docs, r->n_tasks, "items of tasks", err));
    for (size_t i = 0; i < r->n_tasks; i++) {
        RT_TRY(rt_task_open(&task, r->tasks[i], err));
        RT_TRY(rt_task_docs(&e->docs[i], task, r->task_data[i], f->split.audit_limit, err));
        rt_task_close(task);
        task = NULL;
    }
    RT_TRY(look_into_texts(e, f, err));
    RT_TRY(find_domain(e, r, err));
out:
    rt_task_close(task);
    return st;
}

static void close_evidence(evidence *e, size_t n_tasks)
{
    for (size_t i = 0; e->docs != NULL && e->contaminated != NULL && i < n_tasks; i++) {
        json_decref(e->docs[i]);
        rt_contamination_release(&e->contaminated[i]);
    }
    rt_free(e->domain);
    rt_free(e->docs);
    rt_free(e->contaminated);
}

static rt_gap_model judged(rt_task_result *const results[RT_N_JUDGED], int k)
{
    static const char *const names[RT_N_JUDGED] = {"teacher", "student", "twin", "cut"};
    return (rt_gap_model){names[k], results[k]};
}

rt_status rt_flow_gap(json_t **out, const rt_flow *f, rt_task_result *const results[RT_N_JUDGED], rt_err *err)
{
    rt_status st = RT_OK;
    evidence e = {0};
    rt_gap_model baselines[RT_N_JUDGED];
    size_t n = 0;
    *out = NULL;
    if (f->recipe.n_tasks == 0 || rt_flow_is_served(f)) {
        *out = json_null();
        return RT_OK;
    }
    RT_TRY(open_evidence(&e, f, err));
    for (int k = f->recipe.twin ? RT_JUDGED_TWIN : RT_JUDGED_CUT; k < RT_N_JUDGED; k++) {
        baselines[n++] = judged(results, k);
    }
    RT_TRY(rt_gap_report(out,
                         &(rt_gap_input){.teacher = judged(results, RT_JUDGED_TEACHER),
                                         .student = judged(results, RT_JUDGED_STUDENT),
                                         .baselines = baselines,
                                         .n_baselines = n,
                                         .n_tasks = f->recipe.n_tasks,
                                         .margin = RT_GAP_MARGIN,
                                         .seed = f->recipe.seed,
                                         .contaminated = e.contaminated,
                                         .domain = e.domain,
                                         .docs = (const json_t *const *)e.docs,
                                         .unlike = true},
                         err));
out:
    close_evidence(&e, f->recipe.n_tasks);
    return st;
}
