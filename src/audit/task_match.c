/* task_match.c - a task's stop texts and rules, one after the other. */
#include "audit/task_match.h"

#include "audit/task_generate.h"
#include "audit/task_item.h"

size_t rt_task_cut(const rt_task *t, rt_slice answer, bool *stopped)
{
    size_t stop;
    const size_t n = rt_task_before_stop(t->stop, answer, &stop);
    *stopped = stop > 0;
    return n + stop;
}

rt_status rt_task_take(rt_str *out, const rt_task *t, rt_slice answer, bool *found, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str taken = {0};
    answer.n = rt_task_before_stop(t->stop, answer, NULL);
    RT_TRY(rt_answer_extract(&taken, t->rules, 0, answer, err));
    if (found != NULL) {
        *found = !rt_slice_eq((rt_slice){rt_str_cstr(&taken), taken.n}, RT_ANSWER_NONE);
    }
    RT_TRY(rt_answer_normalise(out, t->rules, (rt_slice){rt_str_cstr(&taken), taken.n}, err));
out:
    rt_str_release(&taken);
    return st;
}

rt_status rt_task_gold(rt_str *out, const rt_task *t, const json_t *row, rt_err *err)
{
    rt_status st = RT_OK;
    rt_arena arena = {0};
    rt_task_item item;
    RT_TRY(rt_task_item_read(&item, t, row, 0, 0, &arena, err));
    RT_TRY(rt_answer_normalise(out, t->rules, item.answer, err));
out:
    rt_arena_release(&arena);
    return st;
}
