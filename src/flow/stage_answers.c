/* The teacher answers the prompts. */
#include "flow/asked.h"
#include "teacher/forecast.h"
#include "teacher/write.h"

static rt_status save_rows(rt_flow *f, const char *name, const rt_prompts *rows, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str lines = {0};
    char *path = NULL;
    for (size_t i = 0; i < rows->n; i++) {
        rt_json_append(&lines, rows->rows[i].row);
        rt_str_putc(&lines, '\n');
    }
    if (lines.failed) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
    }
    RT_TRY(rt_flow_path_to(f, name, &path, err));
    RT_TRY(rt_file_write(path, rt_str_cstr(&lines), lines.n, err));
    RT_TRY(rt_manifest_add_output(&f->manifest, "answers", name, err));
out:
    rt_str_release(&lines);
    rt_free(path);
    return st;
}

static rt_status write_here(rt_flow *f, const rt_asked *a, const char *dir, rt_answer_report *report, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_run_recipe *r = &f->recipe;
    rt_write_report written = {0};
    RT_TRY(rt_flow_need_teacher(f, err));
    if (f->teacher->stream != NULL) { /* every token reads it anew */
        const int64_t tokens = (int64_t)a->prompts.n * r->answers * r->new_tokens;
        RT_TRY(rt_forecast_say(f->teacher, tokens, RT_ANSWER_BATCH, 1, rt_flow_accepted_seconds(f), err));
    }
    RT_TRY(rt_write_answers(&(rt_write_job){.teacher = f->teacher,
                                            .tokenizer = f->tokenizer,
                                            .permit = f->permit,
                                            .prompts = &a->prompts,
                                            .dir = dir,
                                            .max_new = r->new_tokens,
                                            .answers = r->answers,
                                            .sampling = r->sampling},
                            &written, err));
    *report = written.file;
out:
    return st;
}

static rt_status write_served(rt_flow *f, const char *dir, const char *asked, rt_answer_report *report, rt_err *err)
{
    rt_status st = RT_OK;
    rt_served s = {0};
    const rt_served_ask ask = rt_flow_served_ask(f, dir);
    RT_TRY(rt_served_open(&s, &ask, err));
    RT_TRY(rt_served_write(&s,
                           &(rt_served_prompts){.paths = &asked,
                                                .n_paths = 1,
                                                .max_new = f->recipe.new_tokens,
                                                .answers = f->recipe.answers,
                                                .sampling = f->recipe.sampling},
                           report, err));
    RT_TRY(rt_flow_take_permit(f, &s.permit, err));
out:
    rt_served_close(&s);
    return st;
}

rt_status rt_stage_answers(rt_flow *f, rt_err *err)
{
    rt_status st = RT_OK;
    rt_asked a = {0};
    rt_answer_report report = {0};
    json_t *facts = NULL;
    char *dir = NULL, *asked = NULL;
    RT_TRY(rt_flow_need_tokenizer(f, err));
    RT_TRY(rt_asked_read(&a, f, err));
    RT_TRY(rt_flow_path_to(f, RT_ANSWERS_DIR, &dir, err));
    RT_TRY(rt_flow_path_to(f, RT_ANSWERS_ASKED, &asked, err));
    RT_TRY(rt_mkdirs(dir, err));
    RT_TRY(save_rows(f, RT_ANSWERS_ASKED, &a.prompts, err));
    RT_TRY(save_rows(f, RT_ANSWERS_HELD_OUT, &a.held_out, err));
    RT_TRY(rt_flow_is_served(f) ? write_served(f, dir, asked, &report, err) : write_here(f, &a, dir, &report, err));
    RT_TRY(rt_manifest_add_output(&f->manifest, "answers", RT_ANSWERS_WRITTEN, err));
    RT_TRY(rt_manifest_add_output(&f->manifest, "answers", RT_ANSWERS_DIR "/ledger.jsonl", err));
    facts = rt_asked_json(&a);
    json_object_set_new(facts, "answers", json_integer(report.answers));
    json_object_set_new(facts, "tokens", json_integer(report.tokens));
    RT_TRY(rt_flow_save_json(f, "answers", RT_ANSWERS_DIR "/asked.json", facts, err));
    rt_log(RT_LOG_INFO, "answers: %lld of %lld tokens to %zu prompts", (long long)report.answers,
           (long long)report.tokens, a.prompts.n);
out:
    json_decref(facts);
    rt_asked_release(&a);
    rt_free(dir);
    rt_free(asked);
    return st;
}
