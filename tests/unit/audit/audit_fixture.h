/* audit_fixture.h - tasks with their golden answers, and paths. */
#ifndef RT_TESTS_AUDIT_FIXTURE_H
#define RT_TESTS_AUDIT_FIXTURE_H

#include "unit/infer/infer_fixture.h"

#define EVAL RT_TEST_GOLDEN "/eval/"
#define TASKS RT_TEST_GOLDEN "/tasks/"

typedef struct golden_task {
    const char *name, *rows, *answers;
} golden_task;

static const golden_task golden_tasks[] = {
    {"hellaswag", RT_TEST_SOURCE "/examples/data/hellaswag.jsonl", EVAL "hellaswag-200.jsonl"},
    {"piqa", EVAL "piqa-16.rows.jsonl", EVAL "piqa-16.jsonl"},
    {"arc_easy", EVAL "arc_easy-16.rows.jsonl", EVAL "arc_easy-16.jsonl"},
    {"winogrande", EVAL "winogrande-16.rows.jsonl", EVAL "winogrande-16.jsonl"},
    {"lambada_openai", TASKS "lambada_openai-16.rows.jsonl", TASKS "lambada_openai-16.jsonl"},
    {"crows_pairs", TASKS "crows_pairs-16.rows.jsonl", TASKS "crows_pairs-16.jsonl"},
    {"truthfulqa_mc2", TASKS "truthfulqa_mc2-10.rows.jsonl", TASKS "truthfulqa_mc2-10.jsonl"},
    {"bbq", TASKS "bbq-12.rows.jsonl", TASKS "bbq-12.jsonl"},
    {"truthfulqa_mc1", EVAL "truthfulqa_mc1-8.rows.jsonl", EVAL "truthfulqa_mc1-8.jsonl"},
};
enum { N_GOLDEN_TASKS = sizeof golden_tasks / sizeof golden_tasks[0] };

/* Next row; fails at the end. */
static inline json_t *next_row(rt_jsonl *r)
{
    rt_err err = {0};
    json_t *row = NULL;
    assert_ok(rt_jsonl_next(r, &row, &err));
    assert_non_null(row);
    return row;
}

static inline void open_rows(rt_jsonl *r, const char *path)
{
    rt_err err = {0};
    assert_ok(rt_jsonl_open(r, path, &err));
}

#endif
