/* endpoint_ask.c - patience: what failed on the way is asked again, after the wait the server asks for, a bounded
 * number of times. */
#include <math.h>
#include <string.h>
#include <time.h>

#include "teacher/endpoint_impl.h"

typedef struct pending {
    rt_http_call call;
    rt_str body;
    int tries;
} pending;

typedef struct round_state {
    double told;       /* longest wait the server asked for */
    char failure[200]; /* the last one that may pass */
} round_state;

/* The server's own words, on one line, without the key. */
static void quote(const rt_endpoint *e, const rt_http_call *c, char *out, size_t cap)
{
    json_t *j = NULL;
    const char *said = "";
    out[0] = '\0';
    if (rt_json_parse(&j, rt_str_cstr(&c->answer), c->answer.n, "", NULL) == RT_OK) {
        const json_t *error = json_object_get(j, "error");
        said = json_is_string(error) ? json_string_value(error)
                                     : rt_json_str(error, "message", rt_json_str(j, "message", ""));
    }
    if (e->key == NULL || strstr(said, e->key) == NULL) {
        snprintf(out, cap, "%s%.150s", *said != '\0' ? ": " : "", said);
    }
    for (char *p = out; *p != '\0'; p++) {
        *p = (unsigned char)*p < ' ' || *p == 127 ? ' ' : *p;
    }
    json_decref(j);
}

static bool may_pass(int status)
{
    return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 || status == 504;
}

static bool is_absent(int status)
{
    return status == 400 || status == 404 || status == 405 || status == 422 || status == 501;
}

static rt_status refused(const rt_endpoint *e, const rt_http_call *c, const char *said, rt_err *err)
{
    const char *remedy = "";
    if (c->status == 401 || c->status == 403) {
        remedy = e->key == NULL ? "; if it needs a key, name the environment variable that holds it (--api-key-env)"
                                : "; it does not take this key";
    } else if (c->status >= 300 && c->status < 400) {
        remedy = "; redirects are not followed: give the address it points to";
    }
    return rt_fail(err, RT_REMOTE, 0, "'%s%s' answers HTTP %d%s%s", e->url.text, c->path, c->status, said, remedy);
}

/* Answered, to be tried again (ask->answer stays NULL), or over. */
static rt_status judge(rt_endpoint *e, pending *p, rt_ask *ask, bool *done, round_state *r, rt_err *err)
{
    rt_err parse = {0};
    rt_http_call *c = &p->call;
    char said[200];
    *done = false;
    p->tries++;
    if (c->status == 0) {
        snprintf(r->failure, sizeof r->failure, "%.150s", c->failure);
        return RT_OK;
    }
    if (c->status == 200) {
        if (rt_json_parse(&ask->answer, rt_str_cstr(&c->answer), c->answer.n, "the answer", &parse) != RT_OK) {
            snprintf(r->failure, sizeof r->failure, "%.150s", parse.msg);
            return RT_OK;
        }
        *done = true;
        return rt_endpoint_same_speaker(e, ask->answer, err);
    }
    quote(e, c, said, sizeof said);
    if (ask->optional && is_absent(c->status)) {
        snprintf(ask->refusal, sizeof ask->refusal, "HTTP %d%.180s", c->status, said);
        *done = true;
        return RT_OK;
    }
    if (!may_pass(c->status)) {
        return refused(e, c, said, err);
    }
    r->told = fmax(r->told, c->retry_after);
    snprintf(r->failure, sizeof r->failure, "HTTP %d%.180s", c->status, said);
    return RT_OK;
}

static rt_status wait_for(const rt_endpoint *e, double seconds, rt_err *err)
{
    const double until = rt_now() + seconds;
    while (rt_now() < until) {
        const double left = fmin(until - rt_now(), 0.1);
        if (rt_interrupted()) {
            return rt_fail(err, RT_CANCELLED, 0, "interrupted while waiting for '%s'", e->url.text);
        }
        nanosleep(&(struct timespec){.tv_nsec = (long)(fmax(left, 0) * 1e9)}, NULL);
    }
    return RT_OK;
}

/* Before the round after `tries` failures. */
static rt_status wait_round(const rt_endpoint *e, const round_state *r, int tries, rt_err *err)
{
    const double own = fmin(ldexp(e->o.wait, tries > 16 ? 16 : tries - 1), fmin(e->o.max_wait, fmax(e->o.wait, 60)));
    const double seconds = r->told > 0 ? r->told : own;
    if (tries >= e->o.attempts) {
        return rt_fail(err, RT_REMOTE, 0,
                       "'%s' did not answer in %d %s, the last time: %s; the same command goes on where this one "
                       "stopped",
                       e->url.text, tries, tries == 1 ? "try" : "tries", r->failure);
    }
    if (seconds > e->o.max_wait) {
        return rt_fail(err, RT_REMOTE, 0,
                       "'%s' asks to wait %.0f s (%s), longer than --max-wait %.0f; the same command goes on later",
                       e->url.text, seconds, r->failure, e->o.max_wait);
    }
    rt_log(RT_LOG_INFO, "endpoint: %s; waits %.3g s%s", r->failure, seconds, r->told > 0 ? ", as the server asks" : "");
    return wait_for(e, seconds, err);
}

/* One round over what is still open: those in `open` that stay open are moved to its front. */
static rt_status run_round(rt_endpoint *e, pending *open, size_t *n_open, rt_ask **of, round_state *r, int *tries,
                           rt_err *err)
{
    rt_status st = RT_OK;
    rt_http_call *calls = NULL;
    size_t kept = 0;
    *tries = 0;
    RT_TRY(RT_NEW(&calls, *n_open, "HTTP calls", err));
    for (size_t i = 0; i < *n_open; i++) {
        calls[i] = (rt_http_call){.path = open[i].call.path, .body = open[i].call.body};
    }
    st = rt_http_run(e->http, calls, *n_open, err);
    for (size_t i = 0; i < *n_open; i++) {
        bool done = false;
        open[i].call = calls[i];
        if (st == RT_OK && calls[i].sent) {
            st = judge(e, &open[i], of[i], &done, r, err);
        }
        rt_http_call_reset(&open[i].call);
        if (done) {
            rt_str_release(&open[i].body);
            continue;
        }
        *tries = open[i].tries > *tries ? open[i].tries : *tries;
        open[kept] = open[i];
        of[kept++] = of[i];
    }
    *n_open = kept;
out:
    rt_free(calls);
    return st;
}

static rt_status prepare(pending *p, rt_ask *ask, rt_err *err)
{
    *p = (pending){.call = {.path = ask->path}};
    ask->answer = NULL;
    ask->refusal[0] = '\0';
    if (ask->question != NULL) {
        rt_json_append(&p->body, ask->question);
        p->call.body = (rt_slice){p->body.p, p->body.n};
    }
    return p->body.failed ? rt_fail(err, RT_MEMORY, 0, "no memory for a request") : RT_OK;
}

rt_status rt_endpoint_ask(rt_endpoint *e, rt_ask *asks, size_t n, rt_err *err)
{
    rt_status st = RT_OK;
    pending *open = NULL;
    rt_ask **of = NULL;
    size_t n_open = 0;
    RT_TRY(RT_NEW(&open, n, "requests", err));
    RT_TRY(RT_NEW(&of, n, "requests", err));
    while (n_open < n) {
        of[n_open] = &asks[n_open];
        st = prepare(&open[n_open], &asks[n_open], err);
        n_open++;
        RT_TRY(st);
    }
    while (n_open > 0) {
        round_state r = {0};
        int tries;
        RT_TRY(run_round(e, open, &n_open, of, &r, &tries, err));
        if (n_open > 0 && r.failure[0] != '\0') {
            RT_TRY(wait_round(e, &r, tries, err));
        }
    }
out:
    for (size_t i = 0; open != NULL && i < n_open; i++) {
        rt_str_release(&open[i].body);
    }
    rt_free(open);
    rt_free(of);
    return st;
}

void rt_asks_release(rt_ask *asks, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        json_decref(asks[i].question);
        json_decref(asks[i].answer);
        asks[i].question = asks[i].answer = NULL;
    }
}
