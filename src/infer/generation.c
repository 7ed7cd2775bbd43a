/* generation.c - the continuations of a list of prompts, all kept. */
#include <string.h>

#include "infer/generate.h"

typedef struct keeper {
    const rt_prompt *prompts;
    const rt_generate_options *o; /* of the caller */
    rt_generation *out;
} keeper;

static rt_prompt prompt_at(void *ud, size_t index)
{
    return ((const keeper *)ud)->prompts[index];
}

static bool pass_token(void *ud, size_t index, const rt_generated *g)
{
    const keeper *k = ud;
    return k->o->on_token(k->o->ud, index, g);
}

static rt_status keep(void *ud, size_t index, const rt_generated *g, rt_err *err)
{
    const keeper *k = ud;
    rt_generated *to = &k->out->seq[index];
    memcpy(to->ids, g->ids, (size_t)g->n * sizeof *g->ids);
    memcpy(to->logprobs, g->logprobs, (size_t)g->n * sizeof *g->logprobs);
    to->n = g->n;
    to->stop = g->stop;
    return k->o->on_end != NULL ? k->o->on_end(k->o->ud, index, to, err) : RT_OK;
}

static rt_status open_results(const keeper *k, const rt_model *m, size_t n, rt_err *err)
{
    rt_status st = RT_OK;
    rt_generation *g = k->out;
    size_t total = 0;
    int32_t *ids;
    float *logprobs;
    for (size_t i = 0; i < n; i++) {
        total += (size_t)rt_generate_room(m, k->prompts[i].n, k->o->max_new);
    }
    RT_TRY(RT_NEW(&g->seq, n, "generated sequences", err));
    g->n = n;
    RT_TRY(RT_NEW(&ids, total, "generated ids", err));
    g->blocks[0] = ids;
    RT_TRY(RT_NEW(&logprobs, total, "log-probabilities", err));
    g->blocks[1] = logprobs;
    for (size_t i = 0; i < n; i++) {
        const int64_t room = rt_generate_room(m, k->prompts[i].n, k->o->max_new);
        g->seq[i] = (rt_generated){.ids = ids, .logprobs = logprobs};
        ids += room;
        logprobs += room;
    }
out:
    return st;
}

void rt_generation_release(rt_generation *g)
{
    rt_free(g->seq);
    rt_free(g->blocks[0]);
    rt_free(g->blocks[1]);
    *g = (rt_generation){0};
}

rt_status rt_generate(rt_generation *out, const rt_model *m, const rt_tokenizer *t, const rt_prompt *prompts, size_t n,
                      const rt_generate_options *o, rt_err *err)
{
    rt_status st = RT_OK;
    keeper k = {.prompts = prompts, .o = o, .out = out};
    rt_generate_options each = *o;
    each.on_token = o->on_token != NULL ? pass_token : NULL;
    each.on_end = keep;
    each.ud = &k;
    *out = (rt_generation){0};
    if (n == 0) {
        return RT_OK;
    }
    RT_TRY(open_results(&k, m, n, err));
    RT_TRY(rt_generate_each(m, t, &(rt_prompt_list){n, prompt_at, &k}, &each, &out->counts, err));
out:
    if (st != RT_OK) {
        rt_generation_release(out);
    }
    return st;
}
