/* retort audit: what a model lost beside its teacher, task by task. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "audit/gap.h"
#include "cli/command.h"

static const char *const about =
    "Gives MODEL and its TEACHER the same items of every task and says what was kept, lost or gained: paired\n"
    "differences with 95 % bootstrap intervals (whole groups where items have any), items that flipped,\n"
    "McNemar's p adjusted by Holm over the tasks, and how much of the teacher's ability above guessing is\n"
    "left - where the teacher is clearly above guessing itself. A verdict is against the margin.\n"
    "docs/evaluation.md has the formulas. Exit code 10 with --gate when something is lost or worse.\n"
    "\n"
    "example:  retort audit runs/quickstart/student.gguf --against models/SmolLM2-135M-Instruct.Q4_1.gguf "
    "--task hellaswag=examples/data/hellaswag.jsonl --limit 100";

#define MARGIN 0.02

typedef struct audit_args {
    const char *against;
    rt_opt_list tasks; /* NAME=FILE */
    int64_t limit;
    double margin;
    bool gate;
} audit_args;

typedef struct audited {
    rt_task *task;
    const char *data;
    rt_task_result teacher, student;
} audited;

static rt_status open_task(audited *a, const char *entry, rt_err *err)
{
    const char *eq = strchr(entry, '=');
    if (eq == NULL || eq == entry || eq[1] == '\0') {
        return rt_fail(err, RT_USAGE, 0, "option '--task': '%s' is not NAME=FILE, a task and its items", entry);
    }
    char *name = rt_strndup(entry, (size_t)(eq - entry));
    a->data = eq + 1;
    const rt_status st =
        name != NULL ? rt_task_open(&a->task, name, err) : rt_fail(err, RT_MEMORY, 0, "no memory for a task");
    rt_free(name);
    return st;
}

static rt_status run_model(rt_cli *c, const audit_args *o, const char *path, audited *list, bool teacher)
{
    rt_status st = RT_OK;
    rt_model *m = NULL;
    rt_tokenizer *t = NULL;
    RT_TRY(rt_tokenizer_open(&t, path, &c->err));
    RT_TRY(rt_cli_open_model(c, path, &m));
    for (size_t i = 0; i < o->tasks.n; i++) {
        RT_TRY(rt_task_run(teacher ? &list[i].teacher : &list[i].student, list[i].task, m, t, list[i].data,
                           &(rt_task_options){.limit = o->limit}, &c->err));
    }
out:
    rt_model_close(m);
    rt_tokenizer_close(t);
    return st;
}

static void print_gap(const rt_gap *g)
{
    const rt_paired *p = &g->paired;
    printf("%-16s %-12s %6lld  %5.1f  %5.1f  %+5.1f [%+.1f, %+.1f]  ±%.1f  %5.1f  ", g->task, g->metric,
           (long long)p->n, 100 * p->teacher, 100 * p->student, 100 * p->difference, 100 * p->low, 100 * p->high,
           100 * p->half_width, 100 * p->flips);
    printf(isnan(g->p_adjusted) ? "     -  " : "%6.3f  ", g->p_adjusted);
    printf("%s", rt_paired_verdict_name(p->verdict));
    if (p->at_floor) {
        printf("; teacher at floor, retention not measurable");
    } else if (isfinite(p->retention[0])) {
        printf("; %.0f %% [%.0f, %.0f] above guessing kept", 100 * p->retention[0], 100 * p->retention[1],
               100 * p->retention[2]);
    }
    if (p->needed > 0) {
        printf("; about %lld items would decide", (long long)p->needed);
    }
    printf("\n");
}

static rt_status show(rt_cli *c, const audit_args *o, const rt_gap *gaps, size_t n)
{
    if (c->common.json) {
        json_t *rows = json_array();
        for (size_t i = 0; i < n; i++) {
            json_array_append_new(rows, rt_gap_json(&gaps[i]));
        }
        json_t *j = json_pack("{s:s, s:s, s:f, s:I, s:o}", "model", c->operands.v[0], "teacher", o->against, "margin",
                              o->margin, "seed", (json_int_t)c->common.seed, "tasks", rows);
        rt_cli_print_json(j);
        json_decref(j);
    } else {
        printf("%-16s %-12s %6s  %5s  %5s  %s  flips  p Holm  verdict, margin %.1f points\n", "task", "metric", "items",
               "teach", "model", "change [95 %], half", 100 * o->margin);
        for (size_t i = 0; i < n; i++) {
            print_gap(&gaps[i]);
        }
    }
    for (size_t i = 0; o->gate && i < n; i++) {
        const rt_paired_verdict v = gaps[i].paired.verdict;
        if (v == RT_PAIRED_LOST || v == RT_PAIRED_WORSE) {
            return rt_fail(&c->err, RT_FINDING, 0, "gate: %s is %s", gaps[i].task, rt_paired_verdict_name(v));
        }
    }
    return RT_OK;
}

static rt_status compare(rt_cli *c, const audit_args *o, const audited *list)
{
    rt_status st = RT_OK;
    rt_gap *gaps = NULL;
    RT_TRY(RT_NEW(&gaps, o->tasks.n, "comparisons", &c->err));
    for (size_t i = 0; i < o->tasks.n; i++) {
        RT_TRY(
            rt_gap_compare(&gaps[i], &list[i].teacher, &list[i].student, o->margin, (uint64_t)c->common.seed, &c->err));
    }
    RT_TRY(rt_gap_adjust(gaps, o->tasks.n, &c->err));
    RT_TRY(show(c, o, gaps, o->tasks.n));
out:
    rt_free(gaps);
    return st;
}

int rt_cmd_audit(int argc, char **argv)
{
    rt_cli c;
    int code;
    audit_args a = {.margin = MARGIN};
    const rt_opt opts[] = {
        {"against", 'a', RT_OPT_STR, &a.against, "TEACHER", "the model to compare with"},
        {"task", 0, RT_OPT_EACH, &a.tasks, "NAME=FILE", "a task as for retort eval, and its items; once for each task"},
        {"limit", 0, RT_OPT_INT, &a.limit, "N", "only the first N items of each task"},
        {"margin", 0, RT_OPT_NUM, &a.margin, "M", "a loss up to this counts as kept (default 0.02: 2 points)"},
        {"gate", 0, RT_OPT_FLAG, &a.gate, NULL, "exit with code 10 when a verdict is lost or worse"},
        {0},
    };
    if (!rt_cli_begin(&c, "audit", argc, argv, "audit MODEL --against TEACHER --task NAME=FILE... [options]", about,
                      opts, 1, 1, "one model is needed", &code)) {
        return code;
    }
    rt_status st = RT_OK;
    audited *list = NULL;
    if (a.against == NULL || a.tasks.n == 0) {
        RT_FAIL_OUT(&c.err, RT_USAGE, 0, "nothing to compare: give --against with the teacher, and --task NAME=FILE");
    }
    if (!(a.margin > 0)) {
        RT_FAIL_OUT(&c.err, RT_USAGE, 0, "option '--margin': %g is not above 0", a.margin);
    }
    RT_TRY(rt_cli_check_model(&c, c.operands.v[0]));
    RT_TRY(rt_cli_check_model(&c, a.against));
    RT_TRY(RT_NEW(&list, a.tasks.n, "tasks", &c.err));
    for (size_t i = 0; i < a.tasks.n; i++) {
        RT_TRY(open_task(&list[i], a.tasks.v[i], &c.err));
    }
    RT_TRY(run_model(&c, &a, a.against, list, true));
    RT_TRY(run_model(&c, &a, c.operands.v[0], list, false));
    RT_TRY(compare(&c, &a, list));
out:
    for (size_t i = 0; list != NULL && i < a.tasks.n; i++) {
        rt_task_close(list[i].task);
        rt_task_result_release(&list[i].teacher);
        rt_task_result_release(&list[i].student);
    }
    rt_free(list);
    return rt_cli_end(&c, st);
}
