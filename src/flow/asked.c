/* asked.c - prompts and held-out rows read, named, and kept apart. */
#include "flow/asked.h"

#include <string.h>

/* --- names -------------------------------------------------------------------------------------------------------- */

/* "<file>:<line>", where other files before it are called the same "<file>#2:<line>": owned. */
static json_t *name_of(const rt_prompt_row *p, const char *const *paths)
{
    const char *file = rt_path_base(p->path);
    const unsigned long long line = p->line;
    size_t same = 1;
    for (size_t i = 0; paths[i] != p->path; i++) {
        same += strcmp(rt_path_base(paths[i]), file) == 0;
    }
    return same == 1 ? json_sprintf("%s:%llu", file, line) : json_sprintf("%s#%zu:%llu", file, same, line);
}

/* Answers of one prompt are told by its id, and an item of a task is. */
static rt_status name_rows(rt_prompts *list, const char *const *paths, rt_err *err)
{
    for (size_t i = 0; i < list->n; i++) {
        const rt_prompt_row *p = &list->rows[i];
        const json_t *id = json_object_get(p->row, "id");
        json_t *name = json_is_string(id)    ? json_incref((json_t *)(uintptr_t)id)
                       : json_is_integer(id) ? json_sprintf("%lld", (long long)json_integer_value(id))
                                             : name_of(p, paths);
        if (name == NULL || json_object_set_new(p->row, "id", name) != 0) {
            return rt_fail(err, RT_MEMORY, 0, "out of memory");
        }
    }
    return RT_OK;
}

/* --- prompts ------------------------------------------------------------------------------------------------------ */

static rt_status exclude(rt_asked *a, const rt_overlap *o, rt_err *err)
{
    size_t kept = 0;
    for (size_t i = 0; i < a->prompts.n; i++) {
        rt_overlap_how how;
        const rt_status st = rt_overlap_prompt(o, &a->prompts.rows[i], &how, NULL, err);
        if (st != RT_OK) {
            return st;
        }
        if (how == RT_OVERLAP_NONE) {
            const rt_prompt_row row = a->prompts.rows[i];
            a->prompts.rows[i] = a->prompts.rows[kept];
            a->prompts.rows[kept++] = row;
        } else {
            a->excluded[how]++;
        }
    }
    for (size_t i = kept; i < a->prompts.n; i++) {
        json_decref(a->prompts.rows[i].row);
    }
    a->prompts.n = kept;
    return RT_OK;
}

static int64_t excluded_of(const rt_asked *a)
{
    return a->excluded[RT_OVERLAP_ID] + a->excluded[RT_OVERLAP_TEXT] + a->excluded[RT_OVERLAP_WORDS];
}

static void cut_to_budget(rt_asked *a, int64_t most)
{
    while (most > 0 && (int64_t)a->prompts.n > most) {
        json_decref(a->prompts.rows[--a->prompts.n].row);
        a->left++;
    }
}

/* --- documents beside them ---------------------------------------------------------------------------------------- */

/* Every text of a row, names of fields left out. */
static void gather(rt_str *out, const json_t *v)
{
    const char *key;
    json_t *below;
    size_t i;
    if (json_is_string(v)) {
        rt_str_add(out, json_string_value(v), json_string_length(v));
        rt_str_putc(out, '\n');
    }
    json_array_foreach((json_t *)(uintptr_t)v, i, below)
    {
        gather(out, below);
    }
    json_object_foreach((json_t *)(uintptr_t)v, key, below)
    {
        gather(out, below);
    }
}

static rt_status refuse_overlap(const rt_overlap *o, const rt_str *text, const char *path, uint64_t line, rt_err *err)
{
    rt_overlap_how how;
    const rt_status st = text->failed ? rt_fail(err, RT_MEMORY, 0, "out of memory")
                                      : rt_overlap_text(o, rt_str_cstr(text), text->n, &how, err);
    if (st != RT_OK || how == RT_OVERLAP_NONE) {
        return st;
    }
    return rt_fail(err, RT_INPUT, line,
                   "'%s' line %llu has 13 words in a row of a held-out row; a score over text that was trained on says "
                   "nothing: take the document or the row out",
                   path, (unsigned long long)line);
}

static rt_status check_document_rows(const rt_overlap *o, const char *path, rt_err *err)
{
    rt_status st = RT_OK;
    rt_jsonl lines = {0};
    rt_str text = {0};
    json_t *row = NULL;
    RT_TRY(rt_jsonl_open(&lines, path, err));
    for (;;) {
        RT_TRY(rt_jsonl_next(&lines, &row, err));
        if (row == NULL) {
            break;
        }
        rt_str_clear(&text);
        gather(&text, row);
        RT_TRY(refuse_overlap(o, &text, path, lines.line, err));
        json_decref(row);
        row = NULL;
    }
out:
    json_decref(row);
    rt_jsonl_close(&lines);
    rt_str_release(&text);
    return st;
}

static rt_status check_document_text(const rt_overlap *o, const char *path, rt_err *err)
{
    rt_str text = {0};
    rt_status st = rt_file_read(&text, path, SIZE_MAX / 4, err);
    if (st == RT_OK) {
        st = refuse_overlap(o, &text, path, 1, err);
    }
    rt_str_release(&text);
    return st;
}

static rt_status check_documents(const rt_flow *f, const rt_overlap *o, rt_err *err)
{
    rt_status st = RT_OK;
    for (size_t i = 0; i < f->recipe.n_text; i++) {
        const char *path = f->recipe.text[i];
        const size_t n = strlen(path);
        const bool rows = n > 6 && strcmp(path + n - 6, ".jsonl") == 0;
        RT_TRY(rows ? check_document_rows(o, path, err) : check_document_text(o, path, err));
    }
out:
    return st;
}

/* --- all of it ---------------------------------------------------------------------------------------------------- */

rt_status rt_asked_read(rt_asked *a, const rt_flow *f, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_run_recipe *r = &f->recipe;
    rt_overlap *o = NULL;
    RT_TRY(rt_prompts_read(&a->prompts, r->prompts, r->n_prompts, err));
    a->given = (int64_t)a->prompts.n;
    if (r->n_held_out > 0) {
        RT_TRY(rt_prompts_read(&a->held_out, r->held_out, r->n_held_out, err));
        RT_TRY(rt_overlap_new(&o, &a->held_out, err));
        RT_TRY(check_documents(f, o, err));
        RT_TRY(exclude(a, o, err));
    }
    if (a->prompts.n == 0) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "no prompt is left: all %lld stand among the held-out rows of '%s' too",
                    (long long)a->given, r->held_out[0]);
    }
    if (excluded_of(a) > 0) {
        rt_log(
            RT_LOG_WARN,
            "answers: %lld of %lld prompts stand among the held-out rows and are left out (%lld by id, %lld by text, "
            "%lld by 13 words in a row)",
            (long long)excluded_of(a), (long long)a->given, (long long)a->excluded[RT_OVERLAP_ID],
            (long long)a->excluded[RT_OVERLAP_TEXT], (long long)a->excluded[RT_OVERLAP_WORDS]);
    }
    cut_to_budget(a, f->split.prompts);
    RT_TRY(name_rows(&a->prompts, r->prompts, err));
    RT_TRY(name_rows(&a->held_out, r->held_out, err));
out:
    rt_overlap_free(o);
    return st;
}

rt_status rt_asked_check_documents(const rt_flow *f, rt_err *err)
{
    rt_status st = RT_OK;
    rt_prompts held_out = {0};
    rt_overlap *o = NULL;
    if (f->recipe.n_held_out > 0) {
        RT_TRY(rt_prompts_read(&held_out, f->recipe.held_out, f->recipe.n_held_out, err));
        RT_TRY(rt_overlap_new(&o, &held_out, err));
        RT_TRY(check_documents(f, o, err));
    }
out:
    rt_overlap_free(o);
    rt_prompts_release(&held_out);
    return st;
}

void rt_asked_release(rt_asked *a)
{
    rt_prompts_release(&a->prompts);
    rt_prompts_release(&a->held_out);
}

rt_status rt_asked_tokens(const rt_asked *a, const rt_tokenizer *t, int64_t *all, int64_t *longest, rt_err *err)
{
    rt_status st = RT_OK;
    rt_ids ids = {0};
    *all = *longest = 0;
    for (size_t i = 0; i < a->prompts.n; i++) {
        ids.n = 0;
        RT_TRY(rt_prompt_encode(&a->prompts.rows[i], t, &ids, err));
        *all += (int64_t)ids.n;
        *longest = (int64_t)ids.n > *longest ? (int64_t)ids.n : *longest;
    }
out:
    rt_ids_release(&ids);
    return st;
}

json_t *rt_asked_json(const rt_asked *a)
{
    json_t *excluded = json_object();
    for (int how = RT_OVERLAP_NONE + 1; how < RT_OVERLAP_KINDS; how++) {
        json_object_set_new(excluded, rt_overlap_name((rt_overlap_how)how), json_integer(a->excluded[how]));
    }
    return json_pack("{s:I, s:I, s:o, s:I, s:I}", "given", (json_int_t)a->given, "asked", (json_int_t)a->prompts.n,
                     "excluded", excluded, "left_out", (json_int_t)a->left, "held_out", (json_int_t)a->held_out.n);
}
