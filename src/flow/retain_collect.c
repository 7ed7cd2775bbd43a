/* The rows that are taught beside the data: chosen, held against what is measured on, answered (retain.h). */
#include <string.h>

#include "flow/retain.h"
#include "teacher/collect.h"
#include "teacher/write.h"

/* --- what is measured on is not taught ---------------------------------------------------------------------------- */

static const char *text_of(const json_t *row)
{
    return rt_json_str(row, "prompt", rt_json_str(row, "question", rt_json_str(row, "instruction", NULL)));
}

/* Ids and prompts of a file, as keys. */
static rt_status note_rows(json_t *known, const char *path, rt_err *err)
{
    rt_status st = RT_OK;
    rt_jsonl lines = {0};
    json_t *row = NULL;
    RT_TRY(rt_jsonl_open(&lines, path, err));
    for (;;) {
        RT_TRY(rt_jsonl_next(&lines, &row, err));
        if (row == NULL) {
            break;
        }
        const char *id = rt_json_str(row, "id", NULL), *text = text_of(row);
        if ((id != NULL && json_object_set_new(known, id, json_string(path)) != 0) ||
            (text != NULL && json_object_set_new(known, text, json_string(path)) != 0)) {
            RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for the rows of '%s'", path);
        }
        json_decref(row);
        row = NULL;
    }
out:
    json_decref(row);
    rt_jsonl_close(&lines);
    return st;
}

static rt_status note_measured(const rt_flow *f, json_t *known, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_run_recipe *r = &f->recipe;
    for (size_t i = 0; i < r->n_tasks; i++) {
        RT_TRY(note_rows(known, r->task_data[i], err));
    }
    for (size_t i = 0; i < r->retain.n_watch; i++) {
        RT_TRY(note_rows(known, r->retain.watch[i].data, err));
    }
out:
    return st;
}

/* --- the rows ------------------------------------------------------------------------------------------------------
 */

typedef struct chooser {
    const rt_retain_spec *spec;
    const json_t *measured;
    rt_str out;
    size_t n;
} chooser;

static rt_status choose_row(chooser *c, const char *path, uint64_t line, const json_t *row, rt_err *err)
{
    const char *id = rt_json_str(row, "id", NULL), *text = text_of(row);
    const json_t *id_of = id != NULL ? json_object_get(c->measured, id) : NULL;
    const json_t *text_in = text != NULL ? json_object_get(c->measured, text) : NULL;
    if (c->spec->split != RT_SPLIT_ALL && (id == NULL || !rt_hash_split_has(c->spec->split, id))) {
        return RT_OK;
    }
    if (text == NULL) {
        return rt_fail(err, RT_INPUT, 0, "'%s' line %llu has no text 'prompt'", path, (unsigned long long)line);
    }
    if (c->spec->policy && rt_json_str(row, "answer", NULL) == NULL) {
        return rt_fail(err, RT_INPUT, 0, "'%s' line %llu has no text 'answer': retain.answers is policy", path,
                       (unsigned long long)line);
    }
    if (id_of != NULL || text_in != NULL) {
        return rt_fail(err, RT_INPUT, 0,
                       "'%s' line %llu: row '%s' would be taught and is measured on in '%s'; take other rows, or "
                       "retain.split to keep them apart",
                       path, (unsigned long long)line, id != NULL ? id : "?",
                       json_string_value(id_of != NULL ? id_of : text_in));
    }
    rt_json_append(&c->out, row);
    rt_str_putc(&c->out, '\n');
    c->n++;
    return RT_OK;
}

static rt_status choose_rows(chooser *c, const char *path, rt_err *err)
{
    rt_status st = RT_OK;
    rt_jsonl lines = {0};
    json_t *row = NULL;
    RT_TRY(rt_jsonl_open(&lines, path, err));
    for (;;) {
        RT_TRY(rt_jsonl_next(&lines, &row, err));
        if (row == NULL) {
            break;
        }
        RT_TRY(choose_row(c, path, lines.line, row, err));
        json_decref(row);
        row = NULL;
    }
out:
    json_decref(row);
    rt_jsonl_close(&lines);
    return st;
}

/* Writes the rows that are taught, one after another as the recipe names their files. */
static rt_status write_rows(const rt_flow *f, const char *path, rt_err *err)
{
    rt_status st = RT_OK;
    json_t *measured = json_object();
    chooser c = {.spec = &f->recipe.retain, .measured = measured};
    RT_TRY(note_measured(f, measured, err));
    for (size_t i = 0; i < c.spec->n_prompts; i++) {
        RT_TRY(choose_rows(&c, c.spec->prompts[i], err));
    }
    if (c.n == 0) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "'%s' has no row that may be taught", c.spec->prompts[0]);
    }
    if (c.out.failed) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for rows that are retained");
    }
    RT_TRY(rt_file_write(path, c.out.p, c.out.n, err));
    rt_log(RT_LOG_INFO, "retain: %zu rows", c.n);
out:
    rt_str_release(&c.out);
    json_decref(measured);
    return st;
}

/* --- the teacher's part ---------------------------------------------------------------------------------------------
 */

static rt_status write_answers(rt_flow *f, const char *dir, const char *rows, rt_err *err)
{
    rt_status st = RT_OK;
    rt_prompts prompts = {0};
    rt_write_report report;
    RT_TRY(rt_prompts_read(&prompts, &rows, 1, err));
    RT_TRY(rt_write_answers(&(rt_write_job){.teacher = f->teacher,
                                            .tokenizer = f->tokenizer,
                                            .permit = f->permit,
                                            .prompts = &prompts,
                                            .dir = dir,
                                            .max_new = f->recipe.retain.new_tokens,
                                            .answers = 1},
                            &report, err));
    rt_log(RT_LOG_INFO, "retain: %lld answers of the teacher, %lld tokens", (long long)report.file.answers,
           (long long)report.file.tokens);
out:
    rt_prompts_release(&prompts);
    return st;
}

/* Its distributions over its answers, as over the texts. */
static rt_status collect_answers(rt_flow *f, const char *answers, const char *ledger, rt_err *err)
{
    rt_status st = RT_OK;
    rt_corpus corpus = {0};
    rt_packed packed = {0};
    rt_collect_report report;
    char *dir = NULL;
    RT_TRY(rt_flow_path_to(f, "retain/cache", &dir, err));
    RT_TRY(rt_corpus_load(&corpus, f->tokenizer,
                          &(rt_corpus_options){.paths = &answers, .n_paths = 1, .chat = rt_chat_form(f->tokenizer)},
                          err));
    RT_TRY(rt_pack(&packed, &corpus, (int)f->recipe.sequence, err));
    RT_TRY(rt_collect(&(rt_collect_job){.teacher = f->teacher,
                                        .tokenizer = f->tokenizer,
                                        .corpus = &corpus,
                                        .packed = &packed,
                                        .permit = f->permit,
                                        .dir = dir,
                                        .ledger = ledger,
                                        .name = "retain/cache",
                                        .options = rt_flow_collect_options(f)},
                      &report, err));
    RT_TRY(rt_manifest_add_output(&f->manifest, "collect", "retain/cache/cache.json", err));
out:
    rt_packed_release(&packed);
    rt_corpus_release(&corpus);
    rt_free(dir);
    return st;
}

rt_status rt_flow_retain_collect(rt_flow *f, rt_err *err)
{
    rt_status st = RT_OK;
    char *dir = NULL, *rows = NULL, *answers = NULL, *ledger = NULL;
    const bool policy = f->recipe.retain.policy;
    if (!policy && rt_flow_is_served(f)) {
        RT_FAIL_OUT(err, RT_RECIPE, 0,
                    "'retain.answers: teacher' needs the teacher's weights here; of a server's model collect answers "
                    "with `retort collect --targets text` and give them as `retain.answers: policy`");
    }
    RT_TRY(rt_flow_path_to(f, "retain", &dir, err));
    RT_TRY(rt_flow_path_to(f, "retain/rows.jsonl", &rows, err));
    RT_TRY(rt_flow_path_to(f, "retain/answers.jsonl", &answers, err));
    RT_TRY(rt_flow_path_to(f, "ledger.jsonl", &ledger, err));
    RT_TRY(rt_mkdirs(dir, err));
    RT_TRY(write_rows(f, policy ? answers : rows, err));
    if (!policy) {
        RT_TRY(write_answers(f, dir, rows, err));
        RT_TRY(collect_answers(f, answers, ledger, err));
    }
    RT_TRY(rt_manifest_add_output(&f->manifest, "collect", "retain/answers.jsonl", err));
out:
    rt_free(dir);
    rt_free(rows);
    rt_free(answers);
    rt_free(ledger);
    return st;
}
