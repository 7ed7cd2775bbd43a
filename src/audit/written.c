/* written.c - prompts continued, and the continuations put together as a corpus. */
#include "audit/written.h"

#include <string.h>

static rt_status copy_text(rt_corpus *c, const char **to, const char *from, rt_err *err)
{
    *to = rt_arena_strndup(&c->arena, from, strlen(from));
    return *to != NULL ? RT_OK : rt_fail(err, RT_MEMORY, 0, "no memory for the name of a document");
}

static rt_status add_document(rt_corpus *c, const rt_document *from, const rt_prompt *p, const rt_generated *g,
                              rt_err *err)
{
    rt_status st = RT_OK;
    rt_document *d = &c->docs[c->n_docs];
    *d = (rt_document){.first = (int64_t)c->ids.n, .n = p->n + g->n, .opened = from->opened, .line = from->line};
    RT_TRY(copy_text(c, &d->id, from->id, err));
    RT_TRY(copy_text(c, &d->source, from->source, err));
    RT_TRY(copy_text(c, &d->cluster, from->cluster, err));
    for (int64_t i = 0; i < d->n; i++) {
        c->mask[c->ids.n] = i >= p->n;
        RT_TRY(rt_ids_push(&c->ids, i < p->n ? p->ids[i] : g->ids[i - p->n], err));
    }
    c->n_docs++;
out:
    return st;
}

static rt_status put_together(rt_corpus *c, const rt_corpus *prompts, const rt_prompt *p, const rt_generation *g,
                              rt_err *err)
{
    rt_status st = RT_OK;
    size_t n = 0;
    for (size_t i = 0; i < g->n; i++) {
        n += (size_t)(p[i].n + g->seq[i].n);
    }
    RT_TRY(RT_NEW(&c->docs, g->n, "written documents", err));
    RT_TRY(RT_NEW(&c->mask, n, "mask of written documents", err));
    for (size_t i = 0; i < g->n; i++) {
        RT_TRY(add_document(c, &prompts->docs[i], &p[i], &g->seq[i], err));
    }
    c->hash = rt_sha256_of(c->ids.p, c->ids.n * sizeof *c->ids.p);
out:
    return st;
}

rt_status rt_written_corpus(rt_corpus *out, const rt_model *m, const rt_tokenizer *t, const rt_corpus *prompts,
                            const rt_written_options *o, rt_err *err)
{
    rt_status st = RT_OK;
    rt_generation g = {0};
    rt_prompt *p = NULL;
    const bool some = o->max_prompts > 0 && (size_t)o->max_prompts < prompts->n_docs;
    const size_t n = some ? (size_t)o->max_prompts : prompts->n_docs;
    const rt_generate_options go = {.sampling = {.temperature = o->temperature, .seed = o->seed},
                                    .max_new = o->new_tokens};
    RT_TRY(RT_NEW(&p, n, "prompts", err));
    for (size_t i = 0; i < n; i++) {
        const rt_document *d = &prompts->docs[i];
        p[i] = (rt_prompt){prompts->ids.p + d->first, rt_document_prompt(prompts, d, o->prompt_tokens)};
    }
    RT_TRY(rt_generate(&g, m, t, p, n, &go, err));
    RT_TRY(put_together(out, prompts, p, &g, err));
out:
    rt_generation_release(&g);
    rt_free(p);
    return st;
}

int64_t rt_corpus_longest(const rt_corpus *c)
{
    int64_t n = 0;
    for (size_t i = 0; i < c->n_docs; i++) {
        n = c->docs[i].n > n ? c->docs[i].n : n;
    }
    return n;
}
