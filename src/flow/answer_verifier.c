/* answer_verifier.c - the user's own command as a judge: a JSON line an answer in, a verdict a line out. It is as
 * trusted as the recipe it stands in. */
#include "flow/answer_filter.h"

#include <string.h>

#include "core/child.h"

enum { VERDICT_MOST = 64 /* bytes a line */ };

static void put_row(rt_str *out, const rt_candidate *c)
{
    json_t *row = json_object(), *gold = json_object_get(c->prompt->row, "answer");
    static const char *const taken[] = {"id", "prompt", "messages"};
    for (size_t i = 0; i < sizeof taken / sizeof taken[0]; i++) {
        json_t *v = json_object_get(c->prompt->row, taken[i]);
        if (v != NULL) {
            json_object_set(row, taken[i], v);
        }
    }
    gold = gold != NULL ? gold : (json_t *)(uintptr_t)rt_prompt_closing(c->prompt);
    json_object_set_new(row, "answer", json_stringn(c->text.p, c->text.n));
    json_object_set_new(row, "gold", gold != NULL ? json_incref(gold) : json_null());
    rt_json_append(out, row);
    rt_str_putc(out, '\n');
    json_decref(row);
}

static rt_status read_verdict(bool *good, rt_slice line, const char *command, size_t number, rt_err *err)
{
    *good = rt_slice_eq(line, "true");
    return *good || rt_slice_eq(line, "false")
               ? RT_OK
               : rt_fail(err, RT_INPUT, number,
                         "verifier '%s': line %zu of what it printed is '%.*s', not true or false", command, number,
                         (int)(line.n < VERDICT_MOST ? line.n : VERDICT_MOST), line.p);
}

/* The next line, without its end; false: there is none. */
static bool next_line(rt_slice *line, rt_slice *rest)
{
    if (rest->n == 0) {
        return false;
    }
    const char *end = memchr(rest->p, '\n', rest->n);
    const size_t n = end != NULL ? (size_t)(end - rest->p) : rest->n, taken = end != NULL ? n + 1 : n;
    *line = (rt_slice){rest->p, n > 0 && rest->p[n - 1] == '\r' ? n - 1 : n};
    *rest = (rt_slice){rest->p + taken, rest->n - taken};
    return true;
}

static rt_status take_verdicts(rt_candidate *c, size_t n, size_t asked, const rt_str *said, const char *command,
                               rt_err *err)
{
    rt_status st = RT_OK;
    rt_slice rest = {rt_str_cstr(said), said->n}, line = {0};
    size_t given = 0;
    for (size_t i = 0; i < n; i++) {
        bool good;
        if (c[i].fate != RT_FATE_KEPT) {
            continue;
        }
        if (!next_line(&line, &rest)) {
            RT_FAIL_OUT(err, RT_INPUT, 0, "verifier '%s' gave %zu verdicts on %zu answers: a line an answer is wanted",
                        command, given, asked);
        }
        given++;
        RT_TRY(read_verdict(&good, line, command, given, err));
        c[i].fate = good ? RT_FATE_KEPT : RT_FATE_VERIFIER;
    }
    if (next_line(&line, &rest)) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "verifier '%s' gave more than %zu verdicts on %zu answers", command, asked,
                    asked);
    }
out:
    return st;
}

rt_status rt_answers_verify(const rt_filter_job *job, rt_candidate *c, size_t n, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str asked = {0}, said = {0};
    size_t rows = 0;
    const char *command = job->rules->verifier;
    for (size_t i = 0; i < n; i++) {
        if (c[i].fate == RT_FATE_KEPT) {
            put_row(&asked, &c[i]);
            rows++;
        }
    }
    if (asked.failed) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
    }
    if (rows == 0) {
        goto out;
    }
    RT_TRY(rt_file_write(job->verify, rt_str_cstr(&asked), asked.n, err));
    rt_log(RT_LOG_INFO, "filter: '%s' judges %zu answers of %s", command, rows, job->verify);
    st = rt_child_filter(&said, command, job->verify, job->rules->verifier_seconds, rows * VERDICT_MOST, err);
    if (st != RT_OK) {
        st = rt_err_wrap(err, st, "answers.filter.verifier");
        goto out;
    }
    RT_TRY(take_verdicts(c, n, rows, &said, command, err));
out:
    rt_str_release(&asked);
    rt_str_release(&said);
    return st;
}
