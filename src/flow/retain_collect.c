/* The rows that are taught beside the data: chosen, held against what is measured on, answered (retain.h). */
#include <string.h>

#include "flow/measured.h"
#include "flow/retain.h"
#include "teacher/collect.h"
#include "teacher/write.h"

/* --- the rows ------------------------------------------------------------------------------------------------------
 */

typedef struct chooser {
    const rt_retain_spec *spec;
    rt_measured measured;
    rt_str out;
    size_t n;
} chooser;

static rt_status choose_row(chooser *c, const char *path, uint64_t line, const json_t *row, rt_err *err)
{
    const char *id = rt_json_str(row, "id", NULL);
    if (c->spec->split != RT_SPLIT_ALL && (id == NULL || !rt_hash_split_has(c->spec->split, id))) {
        return RT_OK;
    }
    if (rt_measured_text(row) == NULL) {
        return rt_fail(err, RT_INPUT, 0, "'%s' line %llu has no text 'prompt'", path, (unsigned long long)line);
    }
    if (c->spec->policy && rt_json_str(row, "answer", NULL) == NULL) {
        return rt_fail(err, RT_INPUT, 0, "'%s' line %llu has no text 'answer': retain.answers is policy", path,
                       (unsigned long long)line);
    }
    rt_json_append(&c->out, row);
    rt_str_putc(&c->out, '\n');
    c->n++;
    return rt_measured_refuse(&c->measured, path, line, row, err);
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

/* The rows that are taught, one after another as the recipe names their files. */
static rt_status choose(const rt_flow *f, rt_str *out, rt_err *err)
{
    rt_status st = RT_OK;
    chooser c = {.spec = &f->recipe.retain};
    RT_TRY(rt_measured_read(&c.measured, f, err));
    for (size_t i = 0; i < c.spec->n_prompts; i++) {
        RT_TRY(choose_rows(&c, c.spec->prompts[i], err));
    }
    if (c.n == 0) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "'%s' has no row that may be taught", c.spec->prompts[0]);
    }
    if (c.out.failed) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for rows that are retained");
    }
    *out = c.out;
    c.out = (rt_str){0};
out:
    rt_str_release(&c.out);
    rt_measured_release(&c.measured);
    return st;
}

rt_status rt_flow_retain_check(const rt_flow *f, rt_err *err)
{
    rt_str rows = {0};
    if (!rt_flow_retains(f)) {
        return RT_OK;
    }
    if (!f->recipe.retain.policy && rt_flow_is_served(f)) {
        return rt_fail(
            err, RT_RECIPE, 0,
            "'retain.answers: teacher' needs the teacher's weights here; of a server's model collect answers "
            "with `retort collect --targets text` and give them as `retain.answers: policy`");
    }
    const rt_status st = choose(f, &rows, err);
    rt_str_release(&rows);
    return st;
}

static rt_status write_rows(const rt_flow *f, const char *path, rt_err *err)
{
    rt_str rows = {0};
    rt_status st = choose(f, &rows, err);
    if (st == RT_OK) {
        st = rt_file_write(path, rows.p, rows.n, err);
    }
    rt_str_release(&rows);
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
