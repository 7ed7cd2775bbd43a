/* task_pair.c - the harness's way from two texts to two lists of ids: white space at the end of the context belongs
 * to the continuation, and the continuation's ids are those that the joined text has more than the context alone. */
#include "audit/task_pair.h"

#include <string.h>

#include "audit/task_text.h"
#include "text/chat.h"

/* The tokenizer's own default: special tokens are recognised, BOS is there when its model wants it. */
static rt_status encode(const rt_tokenizer *t, const char *text, size_t n, rt_ids *ids, rt_err *err)
{
    rt_status st = RT_OK;
    if (rt_tokenizer_adds_bos(t)) {
        RT_TRY(rt_ids_push(ids, rt_tokenizer_bos(t), err));
    }
    RT_TRY(rt_encode_text(t, text, n, 0, ids, err));
out:
    return st;
}

static int32_t prefix_of(const rt_tokenizer *t)
{
    return rt_tokenizer_bos(t) >= 0 ? rt_tokenizer_bos(t) : rt_tokenizer_eos(t);
}

/* What stands for nothing. */
static rt_status push_prefix(rt_ids *pool, const rt_tokenizer *t, rt_err *err)
{
    if (prefix_of(t) < 0) {
        return rt_fail(err, RT_UNSUPPORTED, 0,
                       "the context is empty and the tokenizer has neither BOS nor EOS to stand for it");
    }
    return rt_ids_push(pool, prefix_of(t), err);
}

/* Nothing to condition on: one token, the first of the continuation when it already is that. */
static rt_status encode_alone(rt_task_pair *out, rt_ids *pool, const rt_tokenizer *t, rt_slice continuation,
                              rt_err *err)
{
    rt_status st = RT_OK;
    out->context = pool->n;
    out->n_context = 1;
    RT_TRY(push_prefix(pool, t, err));
    out->continuation = pool->n;
    RT_TRY(encode(t, continuation.p, continuation.n, pool, err));
    if (pool->n - out->continuation > 1 && pool->p[out->continuation] == prefix_of(t)) {
        out->context = out->continuation++;
    }
    out->n = pool->n - out->continuation;
out:
    return st;
}

static rt_status encode_behind(rt_task_pair *out, rt_ids *pool, const rt_tokenizer *t, rt_slice context,
                               const rt_str *whole, rt_err *err)
{
    rt_status st = RT_OK;
    rt_ids joined = {0};
    if (out->n_context == 0) {
        out->context = pool->n;
        RT_TRY(encode(t, context.p, context.n, pool, err));
        out->n_context = pool->n - out->context;
    }
    out->continuation = pool->n;
    RT_TRY(encode(t, rt_str_cstr(whole), whole->n, &joined, err));
    for (size_t i = out->n_context; i < joined.n; i++) {
        RT_TRY(rt_ids_push(pool, joined.p[i], err));
    }
    out->n = pool->n - out->continuation;
out:
    rt_ids_release(&joined);
    return st;
}

rt_status rt_task_encode(rt_task_pair *out, rt_ids *pool, const rt_tokenizer *t, rt_slice context,
                         rt_slice continuation, const rt_task_pair *before, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str whole = {0};
    *out = (rt_task_pair){0};
    rt_str_add(&whole, context.p, context.n);
    rt_str_add(&whole, continuation.p, continuation.n);
    if (whole.failed) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for a question");
    }
    context = rt_text_rstrip(context);
    if (context.n == 0) {
        RT_TRY(encode_alone(out, pool, t, (rt_slice){rt_str_cstr(&whole), whole.n}, err));
    } else {
        if (before != NULL) {
            out->context = before->context;
            out->n_context = before->n_context;
        }
        RT_TRY(encode_behind(out, pool, t, context, &whole, err));
    }
    if (out->n == 0) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "a choice adds no token to its context");
    }
out:
    rt_str_release(&whole);
    return st;
}

rt_status rt_task_encode_prompt(rt_task_pair *out, rt_ids *pool, const rt_tokenizer *t, rt_slice prompt, size_t room,
                                rt_err *err)
{
    rt_status st = RT_OK;
    *out = (rt_task_pair){.context = pool->n};
    RT_TRY(encode(t, prompt.p, prompt.n, pool, err));
    if (pool->n == out->context) {
        RT_TRY(push_prefix(pool, t, err));
    }
    out->n_context = pool->n - out->context;
    if (out->n_context > room) {
        out->context += out->n_context - room;
        out->n_context = room;
    }
    out->continuation = pool->n;
out:
    return st;
}

rt_status rt_task_encode_turn(rt_ids *pool, const rt_tokenizer *t, rt_slice prompt, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str text = {0};
    rt_str_add(&text, prompt.p, prompt.n);
    if (rt_chat_form(t) == NULL) {
        rt_str_putc(&text, '\n');
    }
    if (text.failed) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for a prompt");
    }
    if (rt_chat_form(t) == NULL) {
        RT_TRY(encode(t, rt_str_cstr(&text), text.n, pool, err));
    } else {
        const rt_chat_message message = {"user", rt_str_cstr(&text)};
        RT_TRY(rt_chat_encode(t, &message, 1, true, pool, NULL, err));
    }
out:
    rt_str_release(&text);
    return st;
}

rt_status rt_task_encode_text(rt_ids *pool, size_t *first, size_t *n, const rt_tokenizer *t, rt_slice text, rt_err *err)
{
    rt_status st = RT_OK;
    *first = pool->n;
    RT_TRY(push_prefix(pool, t, err));
    RT_TRY(encode(t, text.p, text.n, pool, err));
    *n = pool->n - *first - 1;
out:
    return st;
}

bool rt_task_window(rt_task_pair *out, size_t first, size_t n, size_t w, size_t n_ctx)
{
    const size_t start = w * n_ctx;
    if (start >= n) {
        return false;
    }
    const size_t predicted = n - start < n_ctx ? n - start : n_ctx, context = w == 0 ? 1 : n_ctx + 1 - predicted;
    *out = (rt_task_pair){.context = first + 1 + start - context,
                          .n_context = context,
                          .continuation = first + 1 + start,
                          .n = predicted};
    return true;
}

rt_status rt_task_truncate(rt_task_pair *p, int64_t n_ctx, rt_err *err)
{
    /* the last token is only predicted */
    const size_t room = (size_t)n_ctx;
    if (p->n > room) {
        return rt_fail(err, RT_INPUT, 0, "a choice of %zu tokens does not fit into the model's context of %zu", p->n,
                       room);
    }
    const size_t most = room + 1 - p->n;
    if (p->n_context > most) {
        p->context += p->n_context - most;
        p->n_context = most;
    }
    return RT_OK;
}
