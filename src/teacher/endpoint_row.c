/* endpoint_row.c - entries in, the likeliest k and the tail's mass out. */
#include "teacher/endpoint_row.h"

#include <math.h>
#include <string.h>

/* Log-probabilities come rounded; more than this above 1 is not rounding. */
#define MASS_SLACK 1e-3
/* Mass of a tail that rounding has eaten. */
#define LEAST_TAIL 1e-9
#define LEAST_LOGP -65504.0 /* the cache's half floats end there */

rt_status rt_endpoint_row_open(rt_endpoint_row *r, const char *url, const rt_tokenizer *t, int64_t n_vocab, rt_err *err)
{
    *r = (rt_endpoint_row){.url = url, .tokenizer = t, .n_vocab = n_vocab};
    return RT_NEW(&r->compared, (size_t)n_vocab, "ids compared", err);
}

void rt_endpoint_row_release(rt_endpoint_row *r)
{
    rt_free(r->compared);
    *r = (rt_endpoint_row){0};
}

void rt_endpoint_row_begin(rt_endpoint_row *r, int k, int32_t label, int32_t *ids, float *logp)
{
    r->k = k;
    r->n = r->listed = 0;
    r->label = label;
    r->ids = ids;
    r->logp = logp;
    r->label_logp = NAN;
}

/* A character that was cut in two shows as U+FFFD. */
static bool is_cut(const rt_slice *text)
{
    for (size_t i = 0; i + 2 < text->n; i++) {
        if (memcmp(text->p + i, "\xef\xbf\xbd", 3) == 0) {
            return true;
        }
    }
    return false;
}

static rt_slice without_blank(rt_slice s)
{
    const size_t blank = s.n > 0 && s.p[0] == ' ';
    return (rt_slice){s.p + blank, s.n - blank};
}

/* The first bytes of a token, fit for a line of text. */
static void show(rt_str *out, rt_slice text)
{
    for (size_t i = 0; i < text.n && i < 24; i++) {
        const unsigned char c = (unsigned char)text.p[i];
        if (c < ' ' || c > '~') {
            rt_str_printf(out, "\\x%02x", c);
        } else {
            rt_str_putc(out, (char)c);
        }
    }
}

static rt_status other_token(const rt_endpoint_row *r, int32_t id, rt_slice theirs, rt_slice own, rt_err *err)
{
    rt_str a = {0}, b = {0};
    show(&a, theirs);
    show(&b, own);
    const rt_status st = rt_fail(err, RT_REMOTE, 0,
                                 "wrong vocabulary: token %d is '%s' at '%s' and '%s' to the tokenizer; give the "
                                 "tokenizer of the served model (--tokenizer)",
                                 id, rt_str_cstr(&a), r->url, rt_str_cstr(&b));
    rt_str_release(&a);
    rt_str_release(&b);
    return st;
}

static rt_status compare_text(rt_endpoint_row *r, int32_t id, const rt_slice *text, bool exact, rt_err *err)
{
    rt_str own = {0};
    if (text == NULL || text->n == 0 || r->compared[id] || id >= rt_tokenizer_n_vocab(r->tokenizer) ||
        (!exact && is_cut(text))) {
        return RT_OK;
    }
    rt_status st = rt_decode_id(r->tokenizer, id, &own, err);
    if (st == RT_OK && own.n > 0) {
        rt_slice a = {own.p, own.n}, b = *text;
        if (!exact) {
            a = without_blank(a);
            b = without_blank(b);
        }
        r->compared[id] = 1;
        if (a.n != b.n || memcmp(a.p, b.p, a.n) != 0) {
            st = other_token(r, id, b, a, err);
        }
    }
    rt_str_release(&own);
    return st;
}

static rt_status check_entry(const rt_endpoint_row *r, int64_t id, const json_t *logprob, rt_err *err)
{
    if (id < 0 || id >= r->n_vocab) {
        return rt_fail(err, RT_REMOTE, 0, "wrong vocabulary: '%s' speaks of token %lld, the vocabulary ends at %lld",
                       r->url, (long long)id, (long long)r->n_vocab - 1);
    }
    if (!json_is_number(logprob) || !(json_number_value(logprob) <= 1e-5)) {
        return rt_fail(err, RT_REMOTE, 0, "'%s' gives a log-probability that is none, for token %lld", r->url,
                       (long long)id);
    }
    return RT_OK;
}

rt_status rt_endpoint_row_label(rt_endpoint_row *r, int64_t id, const json_t *logprob, rt_err *err)
{
    const rt_status st = check_entry(r, id, logprob, err);
    if (st == RT_OK && id == r->label) {
        r->label_logp = fmin(json_number_value(logprob), 0);
    }
    return st;
}

rt_status rt_endpoint_row_add(rt_endpoint_row *r, int64_t id, const json_t *logprob, const rt_slice *text, bool exact,
                              rt_err *err)
{
    rt_status st = RT_OK;
    RT_TRY(rt_endpoint_row_label(r, id, logprob, err));
    RT_TRY(compare_text(r, (int32_t)id, text, exact, err));
    const float lp = (float)fmax(fmin(json_number_value(logprob), 0), LEAST_LOGP);
    for (int i = 0; i < r->n; i++) {
        if (r->ids[i] == id) {
            RT_FAIL_OUT(err, RT_REMOTE, 0, "'%s' lists token %lld twice at one position", r->url, (long long)id);
        }
    }
    r->listed++;
    if (r->n == r->k && lp <= r->logp[r->n - 1]) {
        goto out;
    }
    int at = r->n < r->k ? r->n++ : r->k - 1;
    for (; at > 0 && lp > r->logp[at - 1]; at--) {
        r->logp[at] = r->logp[at - 1];
        r->ids[at] = r->ids[at - 1];
    }
    r->logp[at] = lp;
    r->ids[at] = (int32_t)id;
out:
    return st;
}

rt_status rt_endpoint_row_end(rt_endpoint_row *r, rt_cache_row *out, rt_err *err)
{
    double mass = 0;
    if (r->n < r->k) {
        return rt_fail(err, RT_REMOTE, 0,
                       "'%s' was asked for %d log-probabilities a position and gave %d: lower --k below that, or raise "
                       "the server's own limit",
                       r->url, r->k, r->listed);
    }
    for (int i = 0; i < r->n; i++) {
        mass += exp((double)r->logp[i]);
    }
    if (mass > 1 + MASS_SLACK) {
        return rt_fail(err, RT_REMOTE, 0, "'%s' gives probabilities that add up to %.4f at one position", r->url, mass);
    }
    if (isnan(r->label_logp)) {
        return rt_fail(err, RT_REMOTE, 0, "'%s' does not say how likely the text's own token is", r->url);
    }
    *out = (rt_cache_row){.n = r->n,
                          .ids = r->ids,
                          .logp = r->logp,
                          .log_tail = r->n == r->n_vocab ? -INFINITY : (float)log(fmax(1 - mass, LEAST_TAIL)),
                          .label_logp = (float)r->label_logp};
    return RT_OK;
}
