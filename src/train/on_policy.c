/* on_policy.c - choosing prompts, writing, and laying what was written out as sequences. */
#include "train/on_policy_impl.h"

#include <math.h>
#include <string.h>

enum { MOST_PLACES = 32 }; /* texts written at a time */

rt_on_policy_options rt_on_policy_default(void)
{
    return (rt_on_policy_options){
        .fraction = 0.5, .prompt_tokens = 64, .new_tokens = 128, .temperature = 1, .top_p = 1, .refresh = 1};
}

rt_status rt_on_policy_check(const rt_on_policy_options *o, rt_err *err)
{
    if (!(o->fraction >= 0 && o->fraction <= 1)) {
        return rt_fail(err, RT_USAGE, 0, "the student can write 0 to 1 of a step's tokens, not %g", o->fraction);
    }
    if (o->prompt_tokens < 1 || o->new_tokens < 1 || o->refresh < 1) {
        return rt_fail(err, RT_USAGE, 0,
                       "tokens of a prompt, tokens written after it and steps a text is used are 1 or more, not %lld, "
                       "%lld and %lld",
                       (long long)o->prompt_tokens, (long long)o->new_tokens, (long long)o->refresh);
    }
    return rt_sampling_check(&(rt_sampling){.temperature = o->temperature, .top_p = o->top_p}, err);
}

/* --- prompts ---------------------------------------------------------------------------------------------------- */

static rt_status take_prompts(rt_on_policy *w, const rt_corpus *c, int64_t sequence, rt_err *err)
{
    rt_status st = RT_OK;
    rt_sha256 h = {0};
    RT_TRY(RT_NEW(&w->prompts, c->n_docs, "prompts", err));
    RT_TRY(rt_sha256_open(&h, err));
    for (size_t i = 0; i < c->n_docs; i++) {
        const rt_document *d = &c->docs[i];
        const rt_prompt p = {.ids = c->ids.p + d->first, .n = rt_document_prompt(c, d, w->o.prompt_tokens)};
        if (p.n > 0 && p.n + w->o.new_tokens <= sequence) {
            w->prompts[w->n_prompts++] = p;
            rt_sha256_add(&h, &p.n, sizeof p.n);
            rt_sha256_add(&h, p.ids, (size_t)p.n * sizeof *p.ids);
        }
    }
    if (w->n_prompts == 0) {
        RT_FAIL_OUT(err, RT_INPUT, 0,
                    "no prompt leaves room for %lld new tokens in sequences of %lld: take shorter prompts, fewer new "
                    "tokens or longer sequences",
                    (long long)w->o.new_tokens, (long long)sequence);
    }
    if ((size_t)w->n_prompts < c->n_docs) {
        rt_log(RT_LOG_INFO, "%zu of %zu prompts are left out: their continuation could exceed %lld tokens",
               c->n_docs - (size_t)w->n_prompts, c->n_docs, (long long)sequence);
    }
out:
    w->hash = h.ctx != NULL ? rt_sha256_close(&h) : (rt_digest){0};
    return st;
}

/* --- memory ----------------------------------------------------------------------------------------------------- */

static void find_extremes(const rt_on_policy *w, int64_t *shortest, int64_t *longest)
{
    *shortest = *longest = w->prompts[0].n;
    for (int64_t i = 1; i < w->n_prompts; i++) {
        *shortest = w->prompts[i].n < *shortest ? w->prompts[i].n : *shortest;
        *longest = w->prompts[i].n > *longest ? w->prompts[i].n : *longest;
    }
}

static rt_status lay_out(rt_on_policy *w, const rt_model *m, const rt_tokenizer *t, rt_err *err)
{
    rt_status st = RT_OK;
    int64_t shortest, longest;
    find_extremes(w, &shortest, &longest);
    const int64_t least = longest + w->o.new_tokens;
    w->max_texts = w->share / (shortest + w->o.new_tokens) + 1;
    w->max_tokens = w->share > least ? w->share : least;
    const rt_generator_size size = {.longest = longest,
                                    .max_new = w->o.new_tokens,
                                    .places = w->max_texts < MOST_PLACES ? w->max_texts : MOST_PLACES};
    const size_t most_new = (size_t)(w->max_texts * w->o.new_tokens);
    rt_packed *p = &w->text;
    RT_TRY(RT_NEW(&w->texts, (size_t)w->max_texts, "texts under way", err));
    RT_TRY(RT_NEW(&w->ids, most_new, "texts under way", err));
    RT_TRY(RT_NEW(&w->logprobs, most_new, "texts under way", err));
    RT_TRY(RT_NEW(&w->numbers, (size_t)w->max_texts, "chosen prompts", err));
    RT_TRY(RT_NEW(&w->chosen, (size_t)w->max_texts, "chosen prompts", err));
    RT_TRY(RT_NEW(&p->ids, (size_t)w->max_tokens, "written texts", err));
    RT_TRY(RT_NEW(&p->loss_mask, (size_t)w->max_tokens, "mask of written texts", err));
    RT_TRY(RT_NEW(&p->segments, (size_t)w->max_texts, "written texts", err));
    RT_TRY(RT_NEW(&p->sequence_first_segment, (size_t)w->max_texts + 1, "written texts", err));
    p->sequence = (int)least;
    RT_TRY(rt_generator_new(&w->generator, m, t, &size, err));
    w->bytes =
        rt_generator_bytes(m, &size) + (size_t)w->max_tokens * (sizeof *p->ids + sizeof *p->loss_mask) +
        (size_t)w->max_texts * (sizeof *w->texts + 2 * sizeof *w->numbers + sizeof *p->segments + sizeof(int64_t)) +
        most_new * (sizeof *w->ids + sizeof *w->logprobs);
out:
    return st;
}

rt_status rt_on_policy_new(rt_on_policy **out, const rt_model *student, const rt_tokenizer *t, const rt_corpus *prompts,
                           int64_t sequence, int64_t batch_tokens, const rt_on_policy_options *o, rt_err *err)
{
    rt_status st = RT_OK;
    rt_on_policy *w = NULL;
    RT_TRY(rt_on_policy_check(o, err));
    RT_TRY(RT_NEW(&w, 1, "text of the student", err));
    w->o = *o;
    w->n_vocab = student->hp.n_vocab;
    w->share = (int64_t)llround(o->fraction * (double)batch_tokens);
    if (w->share > 0) {
        RT_TRY(take_prompts(w, prompts, sequence < student->rope_rows ? sequence : student->rope_rows, err));
        RT_TRY(lay_out(w, student, t, err));
    }
    *out = w;
    w = NULL;
out:
    rt_on_policy_free(w);
    return st;
}

void rt_on_policy_free(rt_on_policy *w)
{
    if (w == NULL) {
        return;
    }
    rt_generator_free(w->generator);
    rt_packed_release(&w->text);
    rt_free(w->prompts);
    rt_free(w->texts);
    rt_free(w->ids);
    rt_free(w->logprobs);
    rt_free(w->numbers);
    rt_free(w->chosen);
    rt_free(w);
}

const rt_packed *rt_on_policy_text(const rt_on_policy *w)
{
    return &w->text;
}

int64_t rt_on_policy_tokens(const rt_on_policy *w)
{
    return w->max_tokens;
}

int64_t rt_on_policy_share(const rt_on_policy *w)
{
    return w->share;
}

size_t rt_on_policy_bytes(const rt_on_policy *w)
{
    return w->bytes;
}

/* --- writing ---------------------------------------------------------------------------------------------------- */

/* As many as fit into the share, always one; which, is a function of seed and turn. */
static size_t choose(rt_on_policy *w, int64_t turn)
{
    rt_rng r = rt_rng_init(w->o.seed, "prompts to continue", (uint64_t)turn);
    size_t n = 0;
    for (int64_t tokens = 0;; n++) {
        const int32_t i = (int32_t)rt_rng_below(&r, (uint64_t)w->n_prompts);
        tokens += w->prompts[i].n + w->o.new_tokens;
        if (n > 0 && tokens > w->share) {
            return n;
        }
        w->chosen[n] = i;
    }
}

void rt_on_policy_add_text(rt_packed *p, const rt_prompt *prompt, const int32_t *ids, int64_t n)
{
    const int64_t at = p->n_tokens, whole = prompt->n + n;
    memcpy(p->ids + at, prompt->ids, (size_t)prompt->n * sizeof *p->ids);
    memmove(p->ids + at + prompt->n, ids, (size_t)n * sizeof *p->ids);
    memset(p->loss_mask + at, 0, (size_t)whole);
    memset(p->loss_mask + at + prompt->n - 1, 1, (size_t)n);
    p->segments[p->n_segments++] = (rt_segment){.start = at, .n = whole, .src = -1, .doc = -1};
    p->sequence_first_segment[++p->n_sequences] = (int64_t)p->n_segments;
    p->n_tokens += whole;
}

void rt_on_policy_clear_text(rt_packed *p)
{
    p->n_tokens = 0;
    p->n_segments = p->n_sequences = 0;
}

static double mean_nll(const rt_generation *g)
{
    double sum = 0;
    int64_t n = 0;
    for (size_t i = 0; i < g->n; i++) {
        for (int64_t k = 0; k < g->seq[i].n; k++) {
            sum -= (double)g->seq[i].logprobs[k];
        }
        n += g->seq[i].n;
    }
    return sum / (double)n;
}

static rt_prompt prompt_at(void *ud, size_t index)
{
    const rt_on_policy *w = ud;
    return w->prompts[w->chosen[index]];
}

static rt_status keep(void *ud, size_t index, const rt_generated *g, rt_err *err)
{
    (void)err;
    rt_on_policy *w = ud;
    const int64_t at = (int64_t)index * w->o.new_tokens;
    w->texts[index] = (rt_generated){.ids = w->ids + at, .logprobs = w->logprobs + at, .n = g->n, .stop = g->stop};
    memcpy(w->ids + at, g->ids, (size_t)g->n * sizeof *g->ids);
    memcpy(w->logprobs + at, g->logprobs, (size_t)g->n * sizeof *g->logprobs);
    return RT_OK;
}

static rt_status write_texts(rt_on_policy *w, int64_t turn, rt_on_policy_report *r, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_generate_options o = {
        .sampling = {.temperature = w->o.temperature, .top_p = w->o.top_p, .seed = w->o.seed},
        .max_new = w->o.new_tokens,
        .first_sequence = (uint64_t)turn << 24,
        .on_end = keep,
        .ud = w};
    const size_t n = choose(w, turn);
    const rt_generation g = {.seq = w->texts, .n = n};
    RT_TRY(rt_generator_run(w->generator, &(rt_prompt_list){.n = n, .at = prompt_at, .ud = w}, &o, NULL, err));
    rt_on_policy_clear_text(&w->text);
    memcpy(w->numbers, w->chosen, n * sizeof *w->numbers);
    for (size_t i = 0; i < n; i++) {
        rt_on_policy_add_text(&w->text, &w->prompts[w->numbers[i]], w->texts[i].ids, w->texts[i].n);
        r->tokens += w->texts[i].n;
    }
    r->written = true;
    r->texts = (int64_t)n;
    r->nll = mean_nll(&g);
    r->writing = rt_writing_of(&g);
    w->alarm = rt_collapse_watch(&w->collapse, &r->writing, w->what);
out:
    return st;
}

rt_status rt_on_policy_write(rt_on_policy *w, int64_t step, rt_on_policy_report *r, rt_err *err)
{
    rt_status st = RT_OK;
    *r = (rt_on_policy_report){0};
    if (w->share > 0 && (step % w->o.refresh == 0 || w->text.n_sequences == 0)) {
        RT_TRY(write_texts(w, step / w->o.refresh, r, err));
    }
    r->alarm = w->alarm;
    memcpy(r->what, w->what, sizeof r->what);
out:
    return st;
}
