/* task_constant.c - right answers sorted, the longest run taken. */
#include "audit/task_constant.h"

#include <stdlib.h>
#include <string.h>

#include "audit/task_rows.h"

typedef struct gold {
    rt_str text;
    size_t index;
} gold;

static int by_text(const void *a, const void *b)
{
    const gold *x = a, *y = b;
    const int order = strcmp(rt_str_cstr(&x->text), rt_str_cstr(&y->text));
    return order != 0 ? order : (x->index > y->index) - (x->index < y->index);
}

rt_status rt_task_constant(size_t *index, double *share, const rt_task *t, const rt_task_question *questions, size_t n,
                           rt_err *err)
{
    rt_status st = RT_OK;
    gold *golds = NULL;
    size_t most = 0;
    RT_TRY(RT_NEW(&golds, n, "right answers", err));
    for (size_t i = 0; i < n; i++) {
        golds[i].index = i;
        RT_TRY(rt_answer_normalise(&golds[i].text, t->rules, questions[i].item.answer, err));
    }
    qsort(golds, n, sizeof *golds, by_text);
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && strcmp(rt_str_cstr(&golds[end].text), rt_str_cstr(&golds[i].text)) == 0; end++) {
        }
        if (end - i > most || (end - i == most && golds[i].index < *index)) {
            most = end - i;
            *index = golds[i].index;
        }
    }
    *share = (double)most / (double)n;
out:
    for (size_t i = 0; golds != NULL && i < n; i++) {
        rt_str_release(&golds[i].text);
    }
    rt_free(golds);
    return st;
}

rt_status rt_task_run_constant(rt_task_result *out, const rt_task *task, const char *data, int64_t limit, rt_err *err)
{
    rt_status st = RT_OK;
    rt_task_rows rows = {.task = task, .path = data};
    size_t best = 0;
    double share;
    *out = (rt_task_result){0};
    if (task->scoring != RT_SCORING_GENERATE) {
        RT_FAIL_OUT(err, RT_UNSUPPORTED, 0, "task %s is not answered in text: its chance is the share of right choices",
                    task->name);
    }
    RT_TRY(rt_task_rows_read(&rows, limit, err));
    RT_TRY(rt_task_constant(&best, &share, task, rows.questions, rows.n, err));
    for (size_t i = 0; i < rows.n; i++) {
        rows.questions[i].answer = rows.questions[best].item.answer;
    }
    RT_TRY(rt_task_result_fill(out, task, rows.questions, rows.n, NULL, NULL, NULL, err));
out:
    rt_task_rows_release(&rows);
    if (st != RT_OK) {
        rt_task_result_release(out);
    }
    return st;
}
