/* endpoint_vocab.c - the round trip of a sample text through the server's tokenizer and ours. */
#include "teacher/endpoint_vocab.h"

#include <string.h>

const char rt_endpoint_sample[] =
    "The river bends 12345 times; nobody counts it's ships.\n\n\tif (x != 0) { return -1; }  "
    "Stra\xc3\x9f"
    "e, na\xc3\xafve, \xd0\xbc\xd0\xb8\xd1\x80, "
    "\xe4\xb8\x96\xe7\x95\x8c, \xf0\x9f\x8c\x8a \xe2\x82\xac"
    "42";

static void put_ids(rt_str *s, const json_t *list, const rt_ids *own, size_t from)
{
    const size_t n = list != NULL ? json_array_size(list) : own->n;
    for (size_t i = from; i < n && i < from + 4; i++) {
        const long long id = list != NULL ? (long long)json_integer_value(json_array_get(list, i)) : own->p[i];
        rt_str_printf(s, "%s%lld", i > from ? " " : "", id);
    }
}

static rt_status compare(const rt_endpoint *e, const json_t *theirs, const rt_ids *own, rt_err *err)
{
    size_t at = 0;
    rt_str a = {0}, b = {0};
    while (at < own->n && at < json_array_size(theirs) &&
           json_integer_value(json_array_get(theirs, at)) == own->p[at]) {
        at++;
    }
    if (at == own->n && at == json_array_size(theirs)) {
        return RT_OK;
    }
    put_ids(&a, theirs, NULL, at);
    put_ids(&b, NULL, own, at);
    const rt_status st = rt_fail(err, RT_REMOTE, 0,
                                 "wrong vocabulary: from token %zu of a sample text '%s' reads ids %s, the tokenizer "
                                 "%s; give the tokenizer of the served model (--tokenizer)",
                                 at, rt_endpoint_url(e)->text, rt_str_cstr(&a), rt_str_cstr(&b));
    rt_str_release(&a);
    rt_str_release(&b);
    return st;
}

static json_t *question(const rt_endpoint *e)
{
    return rt_endpoint_is_llama(e)
               ? json_pack("{s:s, s:b, s:b}", "content", rt_endpoint_sample, "add_special", 0, "parse_special", 1)
               : json_pack("{s:s, s:s, s:b}", "model", rt_endpoint_served(e), "prompt", rt_endpoint_sample,
                           "add_special_tokens", 0);
}

rt_status rt_endpoint_check_vocab(rt_endpoint *e, const rt_tokenizer *t, rt_err *err)
{
    rt_status st = RT_OK;
    rt_ids own = {0};
    rt_ask ask = {.path = "/tokenize", .optional = true, .question = question(e)};
    const int64_t n_vocab = rt_endpoint_vocab(e);
    if (n_vocab > 0 && n_vocab < rt_tokenizer_n_vocab(t)) {
        RT_FAIL_OUT(err, RT_REMOTE, 0,
                    "wrong vocabulary: '%s' has %lld tokens, the tokenizer %d; give the tokenizer of "
                    "the served model (--tokenizer)",
                    rt_endpoint_url(e)->text, (long long)n_vocab, rt_tokenizer_n_vocab(t));
    }
    RT_TRY(rt_encode_text(t, rt_endpoint_sample, strlen(rt_endpoint_sample), 0, &own, err));
    RT_TRY(rt_endpoint_ask(e, &ask, 1, err));
    if (json_is_array(json_object_get(ask.answer, "tokens"))) {
        RT_TRY(compare(e, json_object_get(ask.answer, "tokens"), &own, err));
    }
out:
    rt_asks_release(&ask, 1);
    rt_ids_release(&own);
    return st;
}
