/* Answers in batches: generate, enter into the ledger, append to the file, note how far both go. A crash between any
 * two of these is undone on the next call, by cutting file and ledger back to the note. */
#include "teacher/write.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "format/json.h"
#include "text/utf8.h"

#define BATCH 32

typedef struct writer {
    const rt_write_job *job;
    char *part, *done, *note, *ledger_path;
    rt_ledger *ledger;
    FILE *f;
    int64_t rows; /* answers in the file */
    int64_t bytes, tokens;
    rt_str lines; /* of the batch */
} writer;

/* --- prompts ------------------------------------------------------------------------------------------------------ */

typedef struct prompt {
    json_t *row;
    rt_ids ids;
} prompt;

static rt_status encode_messages(const rt_tokenizer *t, const json_t *list, rt_ids *ids, rt_err *err)
{
    rt_chat_message m[64];
    size_t n = json_array_size(list);
    if (n > 0 && strcmp(rt_json_str(json_array_get(list, n - 1), "role", ""), "assistant") == 0) {
        n--;
    }
    if (n == 0 || n > sizeof m / sizeof m[0]) {
        return rt_fail(err, RT_INPUT, 0, "'messages' must hold 1 to 64 turns before the answer");
    }
    for (size_t i = 0; i < n; i++) {
        const json_t *turn = json_array_get(list, i);
        m[i] = (rt_chat_message){.role = rt_json_str(turn, "role", ""), .content = rt_json_str(turn, "content", "")};
    }
    return rt_chat_encode(t, m, n, true, ids, NULL, err);
}

static rt_status encode_prompt(const rt_tokenizer *t, prompt *p, rt_err *err)
{
    rt_status st = RT_OK;
    const json_t *messages = json_object_get(p->row, "messages");
    const char *text = rt_json_str(p->row, "prompt", NULL);
    if (json_is_array(messages)) {
        return encode_messages(t, messages, &p->ids, err);
    }
    if (text == NULL || text[0] == '\0') {
        return rt_fail(err, RT_INPUT, 0, "a row needs 'prompt' or 'messages'");
    }
    if (rt_chat_form(t) != NULL) {
        return rt_chat_encode(t, &(rt_chat_message){.role = "user", .content = text}, 1, true, &p->ids, NULL, err);
    }
    if (rt_tokenizer_adds_bos(t)) {
        RT_TRY(rt_ids_push(&p->ids, rt_tokenizer_bos(t), err));
    }
    RT_TRY(rt_encode_text(t, text, strlen(text), 0, &p->ids, err));
out:
    return st;
}

static void prompts_release(prompt *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        json_decref(p[i].row);
        rt_ids_release(&p[i].ids);
    }
    rt_free(p);
}

static rt_status read_file(const rt_write_job *job, const char *path, prompt **out, size_t *n, rt_err *err)
{
    rt_status st = RT_OK;
    rt_jsonl r = {0};
    RT_TRY(rt_jsonl_open(&r, path, err));
    for (;;) {
        json_t *row;
        RT_TRY(rt_jsonl_next(&r, &row, err));
        if (row == NULL) {
            break;
        }
        prompt *grown = rt_realloc(*out, (*n + 1) * sizeof **out);
        if (grown == NULL) {
            json_decref(row);
            RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
        }
        *out = grown;
        grown[*n] = (prompt){.row = row};
        (*n)++;
        st = encode_prompt(job->tokenizer, &grown[*n - 1], err);
        if (st != RT_OK) {
            st = rt_err_wrap(err, st, "%s:%llu", path, (unsigned long long)r.line);
            goto out;
        }
    }
out:
    rt_jsonl_close(&r);
    return st;
}

static rt_status read_prompts(const rt_write_job *job, prompt **out, size_t *n, rt_err *err)
{
    for (size_t i = 0; i < job->n_prompts; i++) {
        const rt_status st = read_file(job, job->prompts[i], out, n, err);
        if (st != RT_OK) {
            return st;
        }
    }
    return *n > 0 ? RT_OK
                  : rt_fail(err, RT_INPUT, 0, "'%s' holds no prompts", job->n_prompts > 0 ? job->prompts[0] : "");
}

/* --- the note: how far file and ledger belong together --------------------------------------------------------------
 */

static rt_status save_note(const writer *w, rt_err *err)
{
    const rt_ledger_mark mark = rt_ledger_at(w->ledger);
    json_t *j = json_pack("{s:I, s:I, s:I, s:o}", "rows", (json_int_t)w->rows, "bytes", (json_int_t)w->bytes, "tokens",
                          (json_int_t)w->tokens, "ledger", rt_ledger_mark_json(&mark));
    const rt_status st = j != NULL ? rt_json_save(j, w->note, err) : rt_fail(err, RT_MEMORY, 0, "out of memory");
    json_decref(j);
    return st;
}

static rt_status resume(writer *w, rt_err *err)
{
    rt_status st = RT_OK;
    json_t *j = NULL;
    rt_ledger_mark mark = {0};
    if (rt_path_exists(w->note)) {
        RT_TRY(rt_json_load(&j, w->note, err));
        w->rows = rt_json_i64(j, "rows", 0);
        w->bytes = rt_json_i64(j, "bytes", 0);
        w->tokens = rt_json_i64(j, "tokens", 0);
        if (!rt_ledger_mark_parse(json_object_get(j, "ledger"), &mark) || w->bytes < 0 || w->rows < 0 ||
            rt_path_size(w->part) < w->bytes) {
            RT_FAIL_OUT(err, RT_INPUT, 0, "'%s' does not fit '%s'; remove both to begin anew", w->note, w->part);
        }
        RT_TRY(rt_ledger_truncate_to(w->ledger, &mark, err));
    }
    w->f = fopen(w->part, w->bytes > 0 ? "r+b" : "wb");
    if (w->f == NULL || ftruncate(fileno(w->f), w->bytes) != 0 || fseek(w->f, 0, SEEK_END) != 0) {
        RT_FAIL_OUT(err, RT_IO, 0, "opening '%s': %s", w->part, strerror(errno));
    }
out:
    json_decref(j);
    return st;
}

/* --- batches ---------------------------------------------------------------------------------------------------------
 */

static rt_status add_answer(writer *w, const prompt *p, int64_t index, const rt_generated *g, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str bytes = {0}, text = {0}, origin = {0};
    json_t *row = json_object();
    const int64_t n = g->n > 0 && g->stop == RT_STOP_END ? g->n - 1 : g->n;
    RT_TRY(rt_decode_ids(w->job->tokenizer, g->ids, (size_t)n, &bytes, err));
    rt_utf8_repair(&text, rt_str_cstr(&bytes), bytes.n);
    rt_str_printf(&origin, "written by %s (%s)", rt_path_base(rt_permit_model(w->job->permit)),
                  rt_permit_licence(w->job->permit));
    static const char *const kept[] = {"id", "prompt", "messages"};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        json_t *v = json_object_get(p->row, kept[i]);
        if (v != NULL) {
            json_object_set(row, kept[i], v);
        }
    }
    json_object_set_new(row, "answer", json_stringn(rt_str_cstr(&text), text.n));
    json_object_set_new(row, "origin", json_string(rt_str_cstr(&origin)));
    json_object_set_new(row, "stop", json_string(rt_stop_name(g->stop)));
    rt_json_append(&w->lines, row);
    rt_str_putc(&w->lines, '\n');
    RT_TRY(rt_ledger_add_output(
        w->ledger,
        &(rt_ledger_output){.what = "text",
                            .doc = rt_json_str(p->row, "id", NULL),
                            .origin = rt_json_str(p->row, "origin", rt_json_str(p->row, "licence", NULL)),
                            .positions = (uint64_t)g->n,
                            .cache = "answers.jsonl",
                            .offset = (uint64_t)index,
                            .text = rt_str_cstr(&text),
                            .text_bytes = text.n},
        err));
    w->tokens += g->n;
out:
    json_decref(row);
    rt_str_release(&bytes);
    rt_str_release(&text);
    rt_str_release(&origin);
    return st;
}

/* Answer number i belongs to prompt i / answers; its index alone decides the random stream. */
static rt_status run_batch(writer *w, const prompt *p, int64_t first, int64_t n, rt_err *err)
{
    rt_status st = RT_OK;
    rt_prompt list[BATCH];
    rt_generation g = {0};
    for (int64_t i = 0; i < n; i++) {
        const prompt *of = &p[(first + i) / w->job->answers];
        list[i] = (rt_prompt){.ids = of->ids.p, .n = (int64_t)of->ids.n};
    }
    RT_TRY(rt_generate(&g, w->job->teacher, w->job->tokenizer, list, (size_t)n,
                       &(rt_generate_options){
                           .sampling = w->job->sampling, .max_new = w->job->max_new, .first_sequence = (uint64_t)first},
                       err));
    rt_str_clear(&w->lines);
    for (int64_t i = 0; i < n; i++) {
        RT_TRY(add_answer(w, &p[(first + i) / w->job->answers], first + i, &g.seq[i], err));
    }
    RT_TRY(rt_ledger_commit(w->ledger, NULL, err));
    rt_crash_point("write.ledger");
    RT_TRY(rt_fwrite(w->f, rt_str_cstr(&w->lines), w->lines.n, w->part, err));
    if (fflush(w->f) != 0 || fsync(fileno(w->f)) != 0) {
        RT_FAIL_OUT(err, RT_IO, 0, "writing '%s': %s", w->part, strerror(errno));
    }
    rt_crash_point("write.file");
    w->rows += n;
    w->bytes += (int64_t)w->lines.n;
    RT_TRY(save_note(w, err));
out:
    rt_generation_release(&g);
    return st;
}

static rt_status run_all(writer *w, const prompt *p, int64_t total, rt_err *err)
{
    rt_status st = RT_OK;
    rt_progress bar;
    rt_progress_begin(&bar, "writing");
    while (w->rows < total) {
        if (rt_interrupted()) {
            RT_FAIL_OUT(err, RT_CANCELLED, 0, "interrupted after %lld of %lld answers; the same command goes on",
                        (long long)w->rows, (long long)total);
        }
        RT_TRY(run_batch(w, p, w->rows, total - w->rows < BATCH ? total - w->rows : BATCH, err));
        rt_progress_update(&bar, (double)w->rows, (double)total, "%lld tokens", (long long)w->tokens);
    }
    RT_TRY(rt_ledger_finish(w->ledger, NULL, err));
    if (rename(w->part, w->done) != 0) {
        RT_FAIL_OUT(err, RT_IO, 0, "renaming '%s': %s", w->part, strerror(errno));
    }
out:
    rt_progress_end(&bar, "%lld answers", (long long)w->rows);
    return st;
}

static rt_status open_writer(writer *w, const rt_write_job *job, rt_err *err)
{
    w->job = job;
    w->part = rt_path_join(job->dir, "answers.part.jsonl");
    w->done = rt_path_join(job->dir, "answers.jsonl");
    w->note = rt_path_join(job->dir, "answers.json");
    w->ledger_path = rt_path_join(job->dir, "ledger.jsonl");
    if (w->part == NULL || w->done == NULL || w->note == NULL || w->ledger_path == NULL) {
        return rt_fail(err, RT_MEMORY, 0, "out of memory");
    }
    return RT_OK;
}

static void close_writer(writer *w)
{
    if (w->f != NULL) {
        fclose(w->f);
    }
    rt_ledger_close(w->ledger);
    rt_str_release(&w->lines);
    rt_free(w->part);
    rt_free(w->done);
    rt_free(w->note);
    rt_free(w->ledger_path);
}

rt_status rt_write_answers(const rt_write_job *job, rt_write_report *report, rt_err *err)
{
    rt_status st = RT_OK;
    writer w = {0};
    prompt *p = NULL;
    size_t n = 0;
    json_t *note = NULL;
    const double t0 = rt_now();
    RT_TRY(open_writer(&w, job, err));
    RT_TRY(read_prompts(job, &p, &n, err));
    const int64_t total = (int64_t)n * job->answers;
    if (rt_path_exists(w.done)) {
        RT_TRY(rt_json_load(&note, w.note, err));
        w.rows = rt_json_i64(note, "rows", 0);
        w.tokens = rt_json_i64(note, "tokens", 0);
        if (w.rows != total) {
            RT_FAIL_OUT(err, RT_INPUT, 0, "'%s' holds %lld answers, these prompts need %lld; choose another folder",
                        w.done, (long long)w.rows, (long long)total);
        }
    } else {
        RT_TRY(rt_mkdirs(job->dir, err));
        RT_TRY(rt_ledger_open(&w.ledger, w.ledger_path, job->permit, NULL, err));
        RT_TRY(resume(&w, err));
        RT_TRY(run_all(&w, p, total, err));
    }
    *report = (rt_write_report){.prompts = (int64_t)n, .answers = w.rows, .tokens = w.tokens, .seconds = rt_now() - t0};
out:
    json_decref(note);
    close_writer(&w);
    prompts_release(p, n);
    return st;
}
