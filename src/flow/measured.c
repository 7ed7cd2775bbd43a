/* measured.c - rows of tasks and held-out files read as prompts, and others held against them. */
#include "flow/measured.h"

#include "audit/task.h"

const char *rt_measured_text(const json_t *row)
{
    return rt_json_str(row, "prompt", rt_json_str(row, "question", rt_json_str(row, "instruction", NULL)));
}

/* The row as a prompt: its id, where that is a text, and what is asked. */
static rt_status prompt_of(rt_prompt_row *out, const char *path, uint64_t line, const json_t *row, rt_err *err)
{
    json_t *id = json_object_get(row, "id"), *messages = json_object_get(row, "messages");
    const char *text = rt_measured_text(row);
    const bool turns = json_is_array(messages);
    *out = (rt_prompt_row){.row = json_object(), .path = path, .line = line};
    if (json_is_string(id)) {
        json_object_set(out->row, "id", id);
    }
    if (turns) {
        json_object_set(out->row, "messages", messages);
    } else {
        json_object_set_new(out->row, "prompt", json_string(text != NULL ? text : ""));
    }
    const rt_status st = out->row == NULL ? rt_fail(err, RT_MEMORY, 0, "no memory for a row of '%s'", path)
                         : turns          ? rt_prompt_check(out, err)
                                          : RT_OK;
    if (st != RT_OK) {
        json_decref(out->row);
    }
    return st;
}

static rt_status note_row(rt_prompts *measured, const char *path, uint64_t line, const json_t *row, rt_err *err)
{
    rt_prompt_row *grown = rt_realloc(measured->rows, (measured->n + 1) * sizeof *grown);
    if (grown == NULL) {
        return rt_fail(err, RT_MEMORY, 0, "no memory for the rows of '%s'", path);
    }
    measured->rows = grown;
    const rt_status st = prompt_of(&grown[measured->n], path, line, row, err);
    measured->n += st == RT_OK;
    return st;
}

/* The rows that a task asks; those it leaves to training are none of them. */
static rt_status note_rows(rt_prompts *measured, const char *task, const char *path, rt_err *err)
{
    rt_status st = RT_OK;
    rt_jsonl lines = {0};
    rt_task *t = NULL;
    json_t *row = NULL;
    RT_TRY(rt_task_open(&t, task, err));
    RT_TRY(rt_jsonl_open(&lines, path, err));
    for (;;) {
        RT_TRY(rt_jsonl_next(&lines, &row, err));
        if (row == NULL) {
            break;
        }
        RT_TRY(rt_task_takes(t, row) ? note_row(measured, path, lines.line, row, err) : RT_OK);
        json_decref(row);
        row = NULL;
    }
out:
    json_decref(row);
    rt_task_close(t);
    rt_jsonl_close(&lines);
    return st;
}

rt_status rt_measured_read(rt_measured *m, const rt_flow *f, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_run_recipe *r = &f->recipe;
    for (size_t i = 0; i < r->n_tasks; i++) {
        RT_TRY(note_rows(&m->rows, r->tasks[i], r->task_data[i], err));
    }
    for (size_t i = 0; i < r->retain.n_watch; i++) {
        RT_TRY(note_rows(&m->rows, r->retain.watch[i].task, r->retain.watch[i].data, err));
    }
    for (size_t i = 0; i < r->n_held_out; i++) {
        RT_TRY(note_rows(&m->rows, r->task, r->held_out[i], err));
    }
    RT_TRY(rt_overlap_new(&m->overlap, &m->rows, err));
out:
    return st;
}

void rt_measured_release(rt_measured *m)
{
    rt_overlap_free(m->overlap);
    rt_prompts_release(&m->rows);
    *m = (rt_measured){0};
}

rt_status rt_measured_refuse(const rt_measured *m, const char *path, uint64_t line, const json_t *row, rt_err *err)
{
    rt_overlap_how how;
    size_t at = 0;
    rt_prompt_row asked;
    rt_status st = prompt_of(&asked, path, line, row, err);
    if (st != RT_OK) {
        return st;
    }
    st = rt_overlap_prompt(m->overlap, &asked, &how, &at, err);
    if (st == RT_OK && how != RT_OVERLAP_NONE) {
        const rt_prompt_row *other = &m->rows.rows[at];
        st =
            rt_fail(err, RT_INPUT, 0,
                    "'%s' line %llu: row '%s' would be taught and is measured on in '%s' line %llu (the same %s); take "
                    "other rows, or keep halves apart: `retain.split`, and `rows` in the task",
                    path, (unsigned long long)line, rt_json_str(row, "id", "?"), other->path,
                    (unsigned long long)other->line, rt_overlap_name(how));
    }
    json_decref(asked.row);
    return st;
}

rt_status rt_measured_refuse_files(const rt_flow *f, const char *const *paths, size_t n, rt_err *err)
{
    rt_status st = RT_OK;
    rt_measured m = {0};
    rt_prompts rows = {0};
    if (n == 0) {
        return RT_OK;
    }
    RT_TRY(rt_measured_read(&m, f, err));
    RT_TRY(rt_prompts_read(&rows, paths, n, err));
    for (size_t i = 0; i < rows.n; i++) {
        RT_TRY(rt_measured_refuse(&m, rows.rows[i].path, rows.rows[i].line, rows.rows[i].row, err));
    }
out:
    rt_prompts_release(&rows);
    rt_measured_release(&m);
    return st;
}
