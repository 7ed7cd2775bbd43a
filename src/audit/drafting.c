/* drafting.c - drafts over the beginnings of held-out documents, counted by title. */
#include "audit/drafting.h"

#include <string.h>

#include "audit/heldout.h"
#include "model/describe.h"

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

/* Over many sequences; what a prompt took does not count. */
typedef struct stopwatch {
    double last, seconds;
    int64_t written;
} stopwatch;

static bool note_time(void *ud, size_t index, const rt_generated *g)
{
    (void)index;
    stopwatch *w = ud;
    const double now = rt_now();
    if (g->n > 1) {
        w->seconds += now - w->last;
        w->written++;
    }
    w->last = now;
    return true;
}

/* The target without a drafter behind prompt i. */
static rt_status write_alone(stopwatch *w, const rt_drafting_options *o, const rt_model *target, const rt_tokenizer *t,
                             const chosen *c, size_t i, rt_err *err)
{
    rt_generation g;
    const rt_status st =
        rt_generate(&g, target, t, &c->prompts[i], 1,
                    &(rt_generate_options){.sampling = {.temperature = o->temperature, .seed = o->seed},
                                           .max_new = o->text,
                                           .first_sequence = i,
                                           .on_token = note_time,
                                           .ud = w},
                    err);
    rt_generation_release(&g);
    return st;
}

/* Bytes of weights that a token is multiplied with: their share of the parameters, at the file's mean size of one. */
static rt_status step_bytes(double *out, const rt_model *m, rt_err *err)
{
    rt_model_description d;
    const rt_status st = rt_model_describe(&d, m->path, err);
    if (st == RT_OK) {
        *out = (double)d.bytes * (rt_model_flops_per_token(m) / 2) / (double)d.parameters;
        rt_model_description_release(&d);
    }
    return st;
}

/* What all texts together took, and what it predicts. */
static rt_status predict(rt_drafting *out, const rt_model *target, const rt_model *draft, const rt_speculation *of,
                         size_t n, rt_err *err)
{
    rt_status st = RT_OK;
    int64_t rounds = 0, drafted = 0;
    double drafting = 0, seconds = 0, target_bytes, draft_bytes;
    for (size_t g = 0; g < n; g++) {
        out->written += of[g].written;
        rounds += of[g].rounds;
        drafted += of[g].drafted;
        drafting += of[g].drafting;
        seconds += of[g].seconds;
    }
    out->tokens_per_s = seconds > 0 ? (double)out->written / seconds : 0;
    out->predicted = rt_speedup_predict(out->alpha, out->o.draft, out->alone_tokens_per_s * drafting / (double)drafted,
                                        out->alone_tokens_per_s * (seconds - drafting) / (double)rounds, true);
    RT_TRY(step_bytes(&target_bytes, target, err));
    RT_TRY(step_bytes(&draft_bytes, draft, err));
    out->bound = rt_speedup_predict(out->alpha, out->o.draft, draft_bytes / target_bytes, 1, false);
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
    stopwatch alone = {0};
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
        RT_TRY(rt_speculate(s, &c.prompts[i], i, &g, &of[c.cluster[i]], err));
        RT_TRY(write_alone(&alone, o, target, t, &c, i, err)); /* in turn, so that both see the same machine */
    }
    out->prompts = (int64_t)c.n;
    out->alone_tokens_per_s = alone.seconds > 0 ? (double)alone.written / alone.seconds : 0;
    RT_TRY(conclude(out, &c, of, err));
    RT_TRY(predict(out, target, draft, of, c.n_clusters, err));
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
    return json_pack("{s:i, s:f, s:I, s:I, s:o, s:o, s:f, s:f, s:o, s:o}", "draft", d->o.draft, "temperature",
                     d->o.temperature, "prompts", (json_int_t)d->prompts, "written", (json_int_t)d->written, "alpha",
                     alpha, "tau", rt_stat_json(&d->tau), "tokens_per_s", d->tokens_per_s, "alone_tokens_per_s",
                     d->alone_tokens_per_s, "predicted", rt_speedup_json(&d->predicted), "bound",
                     rt_speedup_json(&d->bound));
}
