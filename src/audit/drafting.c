/* drafting.c - drafts over the beginnings of held-out documents, counted by title. */
#include "audit/drafting.h"

#include <string.h>

#include "audit/heldout.h"

typedef struct chosen {
    const rt_document **docs;
    rt_prompt *prompts;
    int32_t *cluster;
    size_t n, n_clusters;
} chosen;

static const char *title(const rt_document *d)
{
    return d->cluster != NULL ? d->cluster : "";
}

/* Documents spread evenly over the corpus that go on behind the prompt. Titles are few: each is looked for among those
 * there are. */
static rt_status choose(chosen *c, const rt_corpus *corpus, const rt_drafting_options *o, rt_err *err)
{
    rt_status st = RT_OK;
    const size_t most = (size_t)o->prompts < corpus->n_docs ? (size_t)o->prompts : corpus->n_docs;
    RT_TRY(RT_NEW(&c->docs, most + 1, "prompts", err));
    RT_TRY(RT_NEW(&c->prompts, most + 1, "prompts", err));
    RT_TRY(RT_NEW(&c->cluster, most + 1, "prompts", err));
    for (size_t i = 0; i < most; i++) {
        const rt_document *d = &corpus->docs[i * corpus->n_docs / most];
        if (d->n <= o->prompt) {
            continue;
        }
        size_t same = 0;
        while (same < c->n && strcmp(title(c->docs[same]), title(d)) != 0) {
            same++;
        }
        c->cluster[c->n] = same < c->n ? c->cluster[same] : (int32_t)c->n_clusters++;
        c->docs[c->n] = d;
        c->prompts[c->n++] = (rt_prompt){.ids = corpus->ids.p + d->first, .n = o->prompt};
    }
    if (c->n == 0) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "no document has more than the %lld tokens of a prompt", (long long)o->prompt);
    }
out:
    return st;
}

static void drop(chosen *c)
{
    rt_free((void *)c->docs);
    rt_free(c->prompts);
    rt_free(c->cluster);
}

/* Means with errors: tokens over rounds (place -1), then kept over judged at every place. */
static rt_status conclude(rt_drafting *out, const chosen *c, const rt_speculation *of, rt_err *err)
{
    rt_status st = RT_OK;
    double *total = NULL;
    int64_t *count = NULL;
    RT_TRY(RT_NEW(&total, c->n_clusters, "cluster sums", err));
    RT_TRY(RT_NEW(&count, c->n_clusters, "cluster counts", err));
    for (int place = -1; place < out->o.draft; place++) {
        for (size_t g = 0; g < c->n_clusters; g++) {
            total[g] = (double)(place < 0 ? of[g].written : of[g].kept[place]);
            count[g] = place < 0 ? of[g].rounds : of[g].judged[place];
        }
        const rt_stat s = rt_stat_clustered(total, count, c->n_clusters);
        if (place < 0) {
            out->tau = s;
        } else {
            out->alpha[place] = s;
        }
    }
out:
    rt_free(total);
    rt_free(count);
    return st;
}

typedef struct stopwatch {
    double begin, end;
    int64_t written;
} stopwatch;

static bool note_time(void *ud, size_t index, const rt_generated *g)
{
    (void)index;
    stopwatch *w = ud;
    w->end = rt_now();
    if (g->n == 1) {
        w->begin = w->end; /* what the prompt took does not count */
    } else {
        w->written++;
    }
    return true;
}

/* The target without a drafter, one prompt after the other. */
static rt_status run_alone(rt_drafting *out, const rt_model *target, const rt_tokenizer *t, const chosen *c,
                           rt_err *err)
{
    rt_status st = RT_OK;
    double seconds = 0;
    int64_t written = 0;
    for (size_t i = 0; i < c->n; i++) {
        stopwatch w = {0};
        rt_generation g;
        RT_TRY(rt_generate(&g, target, t, &c->prompts[i], 1,
                           &(rt_generate_options){.sampling = {.temperature = out->o.temperature, .seed = out->o.seed},
                                                  .max_new = out->o.text,
                                                  .first_sequence = i,
                                                  .on_token = note_time,
                                                  .ud = &w},
                           err));
        rt_generation_release(&g);
        seconds += w.end - w.begin;
        written += w.written;
    }
    out->alone_tokens_per_s = seconds > 0 ? (double)written / seconds : 0;
out:
    return st;
}

rt_status rt_drafting_measure(rt_drafting *out, const rt_model *target, const rt_model *draft, const rt_tokenizer *t,
                              const rt_corpus *corpus, const rt_drafting_options *o, rt_err *err)
{
    rt_status st = RT_OK;
    chosen c = {0};
    rt_speculator *s = NULL;
    rt_speculation *of = NULL;
    rt_generated g = {0};
    double seconds = 0;
    *out = (rt_drafting){.o = *o};
    RT_TRY(choose(&c, corpus, o, err));
    RT_TRY(RT_NEW(&of, c.n_clusters, "counts of drafts", err));
    RT_TRY(RT_NEW(&g.ids, (size_t)o->text, "a text", err));
    RT_TRY(RT_NEW(&g.logprobs, (size_t)o->text, "a text", err));
    RT_TRY(rt_speculator_new(&s, target, draft, t,
                             &(rt_speculation_options){
                                 .draft = o->draft, .temperature = o->temperature, .seed = o->seed, .max_new = o->text},
                             o->prompt, err));
    for (size_t i = 0; i < c.n; i++) {
        rt_speculation *sum = &of[c.cluster[i]];
        const int64_t before = sum->written;
        const double so_far = sum->seconds;
        RT_TRY(rt_speculate(s, &c.prompts[i], i, &g, sum, err));
        out->written += sum->written - before;
        seconds += sum->seconds - so_far;
    }
    out->prompts = (int64_t)c.n;
    out->tokens_per_s = seconds > 0 ? (double)out->written / seconds : 0;
    RT_TRY(conclude(out, &c, of, err));
    RT_TRY(run_alone(out, target, t, &c, err));
out:
    rt_speculator_free(s);
    rt_free(of);
    rt_free(g.ids);
    rt_free(g.logprobs);
    drop(&c);
    return st;
}

json_t *rt_drafting_json(const rt_drafting *d)
{
    json_t *alpha = json_array();
    for (int i = 0; i < d->o.draft; i++) {
        json_array_append_new(alpha, rt_stat_json(&d->alpha[i]));
    }
    return json_pack("{s:i, s:f, s:I, s:I, s:o, s:o, s:f, s:f}", "draft", d->o.draft, "temperature", d->o.temperature,
                     "prompts", (json_int_t)d->prompts, "written", (json_int_t)d->written, "alpha", alpha, "tau",
                     rt_stat_json(&d->tau), "tokens_per_s", d->tokens_per_s, "alone_tokens_per_s",
                     d->alone_tokens_per_s);
}
