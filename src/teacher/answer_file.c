/* answer_file.c - answers wait for those before them; then, a batch at a time, they are entered into the ledger,
 * appended to the file, and it is noted how far both go. A crash between any two of these is undone on the next call,
 * by cutting file and ledger back to the note. */
#include "teacher/answer_file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "text/utf8.h"

/* Those ready but not entered yet, and those behind the first that is missing. */
enum { RING = RT_ANSWER_BATCH + RT_ANSWER_AHEAD };

struct rt_answer_file {
    const rt_answer_job *job;
    char *part, *done, *note, *ledger_path;
    char asked[65]; /* SHA-256 of what the answers are to */
    rt_ledger *ledger;
    FILE *f;
    int64_t rows; /* answers in the file */
    int64_t bytes, tokens;
    rt_answer *waiting; /* [RING] answer i at i modulo that */
    bool *there;        /* [RING] */
    int64_t ready;      /* answers from `rows` on that are there without a gap */
    bool broken;        /* file and ledger may no longer fit the note */
    rt_str lines;       /* of the batch */
    rt_progress bar;
};

/* --- the note: how far file and ledger belong together --------------------------------------------------------------
 */

/* All an answer depends on but the machine: a folder holds the answers to one asking. */
static rt_status hash_asked(rt_answer_file *w, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_answer_job *job = w->job;
    const rt_sampling *s = &job->sampling;
    rt_str text = {0};
    rt_digest_hex(job->form, w->asked);
    rt_str_printf(&text, "%s %s %d %lld %.17g %lld %.17g %.17g %llu\n", rt_permit_model_sha256(job->permit), w->asked,
                  job->answers, (long long)job->max_new, s->temperature, (long long)s->top_k, s->top_p, s->min_p,
                  (unsigned long long)s->seed);
    for (size_t i = 0; i < job->prompts->n; i++) {
        rt_json_append(&text, job->prompts->rows[i].row);
        rt_str_putc(&text, '\n');
    }
    if (text.failed) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
    }
    rt_digest_hex(rt_sha256_of(text.p, text.n), w->asked);
out:
    rt_str_release(&text);
    return st;
}

static rt_status save_note(const rt_answer_file *w, rt_err *err)
{
    const rt_ledger_mark mark = rt_ledger_at(w->ledger);
    json_t *j = json_pack("{s:s, s:I, s:I, s:I, s:o}", "asked", w->asked, "rows", (json_int_t)w->rows, "bytes",
                          (json_int_t)w->bytes, "tokens", (json_int_t)w->tokens, "ledger", rt_ledger_mark_json(&mark));
    const rt_status st = j != NULL ? rt_json_save(j, w->note, err) : rt_fail(err, RT_MEMORY, 0, "out of memory");
    json_decref(j);
    return st;
}

/* A note of a version that did not say what was asked for is held against the number alone. */
static rt_status read_note(rt_answer_file *w, bool finished, int64_t total, rt_ledger_mark *mark, rt_err *err)
{
    rt_status st = RT_OK;
    json_t *j = NULL;
    const char *file = finished ? w->done : w->part;
    RT_TRY(rt_json_load(&j, w->note, err));
    w->rows = rt_json_i64(j, "rows", 0);
    w->bytes = rt_json_i64(j, "bytes", 0);
    w->tokens = rt_json_i64(j, "tokens", 0);
    if (!rt_ledger_mark_parse(json_object_get(j, "ledger"), mark) || w->bytes < 0 || w->rows < 0 ||
        rt_path_size(file) < w->bytes) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "'%s' does not fit '%s'; remove both to begin anew", w->note, file);
    }
    if (finished ? w->rows != total : w->rows > total) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "'%s' holds %lld answers, these prompts need %lld; choose another folder", file,
                    (long long)w->rows, (long long)total);
    }
    if (strcmp(rt_json_str(j, "asked", w->asked), w->asked) != 0) {
        RT_FAIL_OUT(err, RT_INPUT, 0,
                    "'%s' holds answers that were asked for otherwise (other prompts, tokens, sampling, form or "
                    "teacher); choose another folder, or remove '%s'",
                    file, w->job->dir);
    }
out:
    json_decref(j);
    return st;
}

static rt_status resume(rt_answer_file *w, int64_t total, rt_err *err)
{
    rt_status st = RT_OK;
    rt_ledger_mark mark = {0};
    const bool noted = rt_path_exists(w->note);
    if (noted) {
        RT_TRY(read_note(w, false, total, &mark, err));
        RT_TRY(rt_ledger_truncate_to(w->ledger, &mark, err));
    }
    w->f = fopen(w->part, w->bytes > 0 ? "r+b" : "wb");
    if (w->f == NULL || ftruncate(fileno(w->f), w->bytes) != 0 || fseek(w->f, 0, SEEK_END) != 0) {
        RT_FAIL_OUT(err, RT_IO, 0, "opening '%s': %s", w->part, strerror(errno));
    }
    /* Without it what a crash in the first batch leaves in the ledger would stay, and be entered again. */
    RT_TRY(noted ? RT_OK : save_note(w, err));
out:
    return st;
}

/* --- answers ---------------------------------------------------------------------------------------------------------
 */

static rt_status add_answer(rt_answer_file *w, const rt_prompt_row *p, int64_t index, const rt_answer *a, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str text = {0}, origin = {0};
    json_t *row = json_object();
    rt_utf8_repair(&text, rt_str_cstr(&a->text), a->text.n);
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
    json_object_set_new(row, "stop", json_string(a->stop));
    rt_json_append(&w->lines, row);
    rt_str_putc(&w->lines, '\n');
    RT_TRY(rt_ledger_add_output(
        w->ledger,
        &(rt_ledger_output){.what = "text",
                            .doc = rt_json_str(p->row, "id", NULL),
                            .origin = rt_json_str(p->row, "origin", rt_json_str(p->row, "licence", NULL)),
                            .positions = (uint64_t)a->tokens,
                            .cache = "answers.jsonl",
                            .offset = (uint64_t)index,
                            .text = rt_str_cstr(&text),
                            .text_bytes = text.n},
        err));
    w->tokens += a->tokens;
out:
    json_decref(row);
    rt_str_release(&text);
    rt_str_release(&origin);
    return st;
}

static void drop_answer(rt_answer_file *w, int64_t index)
{
    rt_str_release(&w->waiting[index % RING].text);
    w->there[index % RING] = false;
}

/* The answers that are ready. */
static rt_status enter(rt_answer_file *w, rt_err *err)
{
    rt_status st = RT_OK;
    const int64_t first = w->rows, n = w->ready;
    w->broken = true;
    rt_str_clear(&w->lines);
    for (int64_t i = first; i < first + n; i++) {
        const rt_answer *a = &w->waiting[i % RING];
        RT_TRY(a->text.failed ? rt_fail(err, RT_MEMORY, 0, "out of memory") : RT_OK);
        RT_TRY(add_answer(w, rt_answer_prompt(w, i), i, a, err));
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
    for (int64_t i = first; i < first + n; i++) {
        drop_answer(w, i);
    }
    w->ready = 0;
    w->broken = false;
out:
    return st;
}

const rt_prompt_row *rt_answer_prompt(const rt_answer_file *f, int64_t index)
{
    return &f->job->prompts->rows[index / f->job->answers];
}

rt_status rt_answer_put(rt_answer_file *f, int64_t index, rt_answer *a, rt_err *err)
{
    RT_BUG_IF(index < f->rows || index - f->rows >= RING);
    f->waiting[index % RING] = *a;
    f->there[index % RING] = true;
    *a = (rt_answer){0};
    while (f->ready < RING && f->there[(f->rows + f->ready) % RING]) {
        f->ready++;
    }
    const rt_status st = f->ready >= RT_ANSWER_BATCH ? enter(f, err) : RT_OK;
    rt_progress_update(&f->bar, (double)(f->rows + f->ready), (double)f->job->prompts->n * f->job->answers,
                       "%lld tokens", (long long)f->tokens);
    return st;
}

static rt_status run_all(rt_answer_file *w, int64_t total, rt_err *err)
{
    rt_status st = RT_OK;
    rt_progress_begin(&w->bar, "writing");
    RT_TRY(RT_NEW(&w->waiting, RING, "answers", err));
    RT_TRY(RT_NEW(&w->there, RING, "answers", err));
    st = w->job->answer(w->job->ud, w, w->rows, total, err);
    if (!w->broken && w->ready > 0) { /* also of a run that failed or was stopped */
        const rt_status entered = enter(w, st == RT_OK ? err : NULL);
        st = st == RT_OK ? entered : st;
    }
    if (st == RT_CANCELLED) {
        RT_FAIL_OUT(err, RT_CANCELLED, 0, "interrupted after %lld of %lld answers; the same command goes on",
                    (long long)w->rows, (long long)total);
    }
    RT_TRY(st);
    RT_TRY(rt_ledger_finish(w->ledger, NULL, err));
    if (rename(w->part, w->done) != 0) {
        RT_FAIL_OUT(err, RT_IO, 0, "renaming '%s': %s", w->part, strerror(errno));
    }
out:
    rt_progress_end(&w->bar, "%lld answers", (long long)w->rows);
    return st;
}

static rt_status open_writer(rt_answer_file *w, const rt_answer_job *job, rt_err *err)
{
    w->job = job;
    w->part = rt_path_join(job->dir, "answers.part.jsonl");
    w->done = rt_path_join(job->dir, "answers.jsonl");
    w->note = rt_path_join(job->dir, "answers.json");
    w->ledger_path = rt_path_join(job->dir, "ledger.jsonl");
    if (w->part == NULL || w->done == NULL || w->note == NULL || w->ledger_path == NULL) {
        return rt_fail(err, RT_MEMORY, 0, "out of memory");
    }
    return hash_asked(w, err);
}

static void close_writer(rt_answer_file *w)
{
    if (w->f != NULL) {
        fclose(w->f);
    }
    rt_ledger_close(w->ledger);
    rt_str_release(&w->lines);
    for (int64_t i = 0; w->there != NULL && i < RING; i++) {
        drop_answer(w, i);
    }
    rt_free(w->waiting);
    rt_free(w->there);
    rt_free(w->part);
    rt_free(w->done);
    rt_free(w->note);
    rt_free(w->ledger_path);
}

rt_status rt_answer_file_write(const rt_answer_job *job, rt_answer_report *report, rt_err *err)
{
    rt_status st = RT_OK;
    rt_answer_file w = {0};
    rt_ledger_mark mark;
    const double t0 = rt_now();
    RT_TRY(open_writer(&w, job, err));
    const int64_t total = (int64_t)job->prompts->n * job->answers;
    if (rt_path_exists(w.done)) {
        RT_TRY(read_note(&w, true, total, &mark, err));
    } else {
        RT_TRY(rt_mkdirs(job->dir, err));
        RT_TRY(rt_ledger_open(&w.ledger, w.ledger_path, job->permit, job->settings, err));
        RT_TRY(resume(&w, total, err));
        RT_TRY(run_all(&w, total, err));
    }
    *report = (rt_answer_report){
        .prompts = (int64_t)job->prompts->n, .answers = w.rows, .tokens = w.tokens, .seconds = rt_now() - t0};
out:
    close_writer(&w);
    return st;
}
