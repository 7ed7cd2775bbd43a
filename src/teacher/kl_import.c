/* kl_import.c - a chunk is a document, a sequence and a batch. */
#include "teacher/kl_import.h"

#include <stdio.h>
#include <string.h>

/* --- the text ----------------------------------------------------------------------------------------------------- */

/* The first ids that a text of some more of them gives: another tokenizer goes another way at once. */
static rt_status check_tokenizer(const rt_kl_base *b, const rt_tokenizer *t, const char *name, rt_err *err)
{
    enum { COMPARED = 64, MORE = 16 }; /* a shorter text: its first half at least */
    rt_status st = RT_OK;
    rt_ids again = {0};
    rt_str text = {0};
    const rt_kl_base_shape s = rt_kl_base_shape_of(b);
    const int32_t *ids = rt_kl_base_ids(b);
    const int64_t all = s.n_ctx * s.n_chunk;
    const int64_t skip = rt_tokenizer_adds_bos(t) && ids[0] == rt_tokenizer_bos(t) ? 1 : 0;
    const int64_t n = rt_least(all - skip, COMPARED + MORE), compared = n - rt_least(n / 2, MORE);
    if (s.n_vocab < rt_tokenizer_n_vocab(t)) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "'%s' is over %lld tokens, the tokenizer has %d: wrong tokenizer", name,
                    (long long)s.n_vocab, rt_tokenizer_n_vocab(t));
    }
    for (int64_t i = 0; i < all; i++) {
        if (ids[i] >= rt_tokenizer_n_vocab(t)) {
            RT_FAIL_OUT(err, RT_INPUT, 0, "token %lld of '%s' is %d, the tokenizer has %d: wrong tokenizer",
                        (long long)i, name, ids[i], rt_tokenizer_n_vocab(t));
        }
    }
    RT_TRY(rt_decode_ids(t, ids + skip, (size_t)n, &text, err));
    RT_TRY(rt_encode_text(t, text.p, text.n, RT_ENCODE_PLAIN, &again, err));
    for (int64_t i = 0; i < compared; i++) {
        if (i >= (int64_t)again.n || again.p[i] != ids[skip + i]) {
            RT_FAIL_OUT(err, RT_INPUT, 0, "token %lld of '%s' is %d where the tokenizer makes %d: wrong tokenizer",
                        (long long)(skip + i), name, ids[skip + i], i < (int64_t)again.n ? again.p[i] : -1);
        }
    }
out:
    rt_str_release(&text);
    rt_ids_release(&again);
    return st;
}

static rt_status describe_chunk(rt_corpus *c, const rt_tokenizer *t, int64_t chunk, int64_t n_ctx, const char *source,
                                rt_err *err)
{
    rt_status st = RT_OK;
    rt_str text = {0};
    char id[48];
    snprintf(id, sizeof id, "chunk:%lld", (long long)chunk);
    rt_document *d = &c->docs[chunk];
    *d = (rt_document){.first = chunk * n_ctx,
                       .n = n_ctx,
                       .opened = rt_tokenizer_adds_bos(t),
                       .source = source,
                       .id = rt_arena_strndup(&c->arena, id, strlen(id)),
                       .line = (uint64_t)chunk + 1};
    if (d->source == NULL || d->id == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
    }
    d->cluster = d->id;
    RT_TRY(rt_decode_ids(t, c->ids.p + d->first, (size_t)n_ctx, &text, err));
    d->text_hash = rt_sha256_of(text.p, text.n);
out:
    rt_str_release(&text);
    return st;
}

rt_status rt_kl_import_corpus(rt_corpus *c, const rt_kl_base *b, const rt_tokenizer *t, const char *name, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_kl_base_shape s = rt_kl_base_shape_of(b);
    const int32_t *ids = rt_kl_base_ids(b);
    const bool bos = rt_tokenizer_adds_bos(t);
    const char *source = NULL;
    *c = (rt_corpus){0};
    RT_TRY(check_tokenizer(b, t, name, err));
    source = rt_arena_strndup(&c->arena, name, strlen(name));
    RT_TRY(RT_NEW(&c->mask, (size_t)(s.n_ctx * s.n_chunk), "mask of the chunks", err));
    RT_TRY(RT_NEW(&c->docs, (size_t)s.n_chunk, "chunks", err));
    c->n_docs = (size_t)s.n_chunk;
    for (int64_t i = 0; i < s.n_ctx * s.n_chunk; i++) {
        const int64_t at = i % s.n_ctx;
        RT_TRY(rt_ids_push(&c->ids, bos && at == 0 ? rt_tokenizer_bos(t) : ids[i], err));
        c->mask[i] = at > rt_kl_base_first(&s);
    }
    for (int64_t i = 0; i < s.n_chunk; i++) {
        RT_TRY(describe_chunk(c, t, i, s.n_ctx, source, err));
    }
    c->hash = rt_sha256_of(c->ids.p, c->ids.n * sizeof *c->ids.p);
out:
    return st;
}

/* --- the answers -------------------------------------------------------------------------------------------------- */

struct rt_kl_import {
    rt_kl_base *base;
    rt_kl_base_shape shape;
    rt_answers *answers;
    rt_remote remote;
    int64_t next; /* chunk that the file stands at */
    char *rows;   /* [scored] of a chunk */
    float *logp;  /* [threads][n_vocab] */
};

static void answer_row(void *ud, int64_t i, int thread)
{
    const rt_kl_import *k = ud;
    const int64_t n_vocab = k->shape.n_vocab;
    const rt_kl_base_row row = rt_kl_base_row_at(k->rows, n_vocab, i);
    float *logp = k->logp + (int64_t)thread * n_vocab;
    for (int64_t v = 0; v < n_vocab; v++) {
        logp[v] = rt_kl_base_logp(&row, v);
    }
    rt_answers_put(k->answers, i, logp, thread);
}

static rt_status answer(void *ud, const rt_gather *g, const rt_cache_row **rows, rt_err *err)
{
    rt_kl_import *k = ud;
    const int64_t scored = rt_kl_base_scored(&k->shape), chunk = g->positions[0] / k->shape.n_ctx;
    RT_BUG_IF(g->n_rows != scored || chunk < k->next);
    for (; k->next <= chunk; k->next++) {
        const rt_status st = rt_kl_base_next(k->base, k->rows, scored, err);
        if (st != RT_OK) {
            return st;
        }
    }
    rt_answers_begin(k->answers, g);
    rt_team_for(scored, answer_row, k);
    *rows = rt_answers_rows(k->answers);
    return RT_OK;
}

rt_status rt_kl_import_new(rt_kl_import **out, rt_kl_base *b, const rt_answer_options *given, const json_t *identity,
                           rt_err *err)
{
    rt_status st = RT_OK;
    rt_kl_import *k = NULL;
    rt_answer_options o = *given;
    RT_TRY(RT_NEW(&k, 1, "imported logits", err));
    k->base = b;
    k->shape = rt_kl_base_shape_of(b);
    o.n_vocab = k->shape.n_vocab;
    o.max_tokens = o.max_span = k->shape.n_ctx;
    RT_TRY(rt_answers_new(&k->answers, NULL, &o, err));
    const size_t scored = (size_t)rt_kl_base_scored(&k->shape), n_vocab = (size_t)k->shape.n_vocab;
    RT_TRY(RT_NEW(&k->rows, scored * rt_kl_base_row_bytes(k->shape.n_vocab), "logits of a chunk", err));
    RT_TRY(RT_NEW(&k->logp, (size_t)rt_team_threads() * n_vocab, "log-probabilities", err));
    k->remote = (rt_remote){.n_vocab = k->shape.n_vocab,
                            .context = k->shape.n_ctx,
                            .batch_tokens = k->shape.n_ctx,
                            .whole = true,
                            .identity = identity,
                            .answer = answer,
                            .ud = k};
    *out = k;
    k = NULL;
out:
    rt_kl_import_free(k);
    return st;
}

void rt_kl_import_free(rt_kl_import *k)
{
    if (k != NULL) {
        rt_answers_free(k->answers);
        rt_free(k->rows);
        rt_free(k->logp);
        rt_free(k);
    }
}

const rt_remote *rt_kl_import_remote(const rt_kl_import *k)
{
    return &k->remote;
}
