/* audit_fixture.h - tasks with their golden answers, and paths. */
#ifndef RT_TESTS_AUDIT_FIXTURE_H
#define RT_TESTS_AUDIT_FIXTURE_H

#include "unit/infer/infer_fixture.h"

typedef struct golden_task {
    const char *name, *rows, *answers; /* below the repository's root */
    bool acc_norm;
} golden_task;

static const golden_task golden_tasks[] = {
    {"hellaswag", "examples/data/hellaswag.jsonl", "tests/golden/eval/hellaswag-200.jsonl", true},
    {"piqa", "tests/golden/eval/piqa-16.rows.jsonl", "tests/golden/eval/piqa-16.jsonl", true},
    {"arc_easy", "tests/golden/eval/arc_easy-16.rows.jsonl", "tests/golden/eval/arc_easy-16.jsonl", true},
    {"winogrande", "tests/golden/eval/winogrande-16.rows.jsonl", "tests/golden/eval/winogrande-16.jsonl", false},
    {"truthfulqa_mc1", "tests/golden/eval/truthfulqa_mc1-8.rows.jsonl", "tests/golden/eval/truthfulqa_mc1-8.jsonl", false},
};
enum { N_GOLDEN_TASKS = sizeof golden_tasks / sizeof golden_tasks[0] };

static inline void source_path(char path[512], const char *name)
{
    snprintf(path, 512, "%s/%s", RT_TEST_SOURCE, name);
}

/* Next row; fails at the end. */
static inline json_t *next_row(rt_jsonl *r)
{
    rt_err err = {0};
    json_t *row = NULL;
    assert_ok(rt_jsonl_next(r, &row, &err));
    assert_non_null(row);
    return row;
}

static inline void open_rows(rt_jsonl *r, const char *name)
{
    rt_err err = {0};
    static char path[512]; /* the reader borrows it */
    source_path(path, name);
    assert_ok(rt_jsonl_open(r, path, &err));
}

#endif
