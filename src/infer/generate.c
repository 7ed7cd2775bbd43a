/* generate.c - continuous batching: slots hold the sequences under way, the live ones in front. */
#include "infer/generate.h"

#include <math.h>

#include "infer/id_lists.h"
#include "infer/kv.h"

/* Rows of a prompt read at once. Fixed, because where a prompt is cut may show in the last bits. */
#define PREFILL_ROWS 512
#define DEFAULT_BATCH 32

typedef struct slot {
    rt_kv kv;
    size_t prompt;
    rt_generated *seq;
    int64_t room; /* most tokens the sequence can get */
    bool done;
} slot;

typedef struct engine {
    const rt_model *m;
    const rt_tokenizer *t;
    const rt_generate_options *o;
    const rt_prompt *prompts;
    size_t n_prompts, next;
    rt_generated *seq;
    slot *slots;
    int64_t n_slots, n_live;
    rt_acts *prefill, *decode;
    rt_head *head;
    int32_t *ids;      /* [n_slots] last token of each live sequence */
    rt_span *spans;    /* [n_slots] */
    rt_sampled *drawn; /* [n_slots] */
    char *scratch;     /* of the sampler, a part a thread */
    size_t scratch_bytes;
} engine;

const char *rt_stop_name(rt_stop s)
{
    static const char *const names[] = {
        [RT_STOP_LENGTH] = "length", [RT_STOP_END] = "end", [RT_STOP_CONTEXT] = "context", [RT_STOP_CALLER] = "caller"};
    return names[s];
}

/* --- sizes and memory ------------------------------------------------------------------------------------------ */

/* Tokens that can follow n: the last one needs no row of the context. */
static int64_t room_after(const rt_model *m, int64_t n, int64_t max_new)
{
    const int64_t left = m->rope_rows - n + 1;
    return max_new < left ? max_new : left;
}

static int64_t rows_for(const rt_model *m, int64_t n, int64_t max_new)
{
    return n + room_after(m, n, max_new) - 1;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t batch_of(int max_batch)
{
    return max_batch > 0 ? max_batch : DEFAULT_BATCH;
}

size_t rt_generate_bytes(const rt_model *m, int64_t longest, int64_t max_new, int max_batch)
{
    const int64_t rows = rows_for(m, longest, max_new), slots = batch_of(max_batch);
    return rt_acts_bytes(m, least(longest, PREFILL_ROWS), rows, RT_NET_FORWARD) +
           rt_acts_bytes(m, slots, rows, RT_NET_ROWS) + rt_head_bytes(m, NULL, false) +
           (size_t)slots * rt_kv_bytes(m, rows) + rt_sample_scratch_bytes(m->hp.n_vocab) * (size_t)rt_team_threads();
}

static rt_status check_input(const engine *e, rt_err *err)
{
    rt_status st = RT_OK;
    RT_TRY(rt_sampling_check(&e->o->sampling, err));
    if (e->o->max_new < 1) {
        RT_FAIL_OUT(err, RT_USAGE, 0, "%lld new tokens asked for; ask for at least one", (long long)e->o->max_new);
    }
    if (e->o->max_batch < 0) {
        RT_FAIL_OUT(err, RT_USAGE, 0, "a batch of %d sequences; give 1 or more", e->o->max_batch);
    }
    for (size_t i = 0; i < e->n_prompts; i++) {
        RT_TRY(rt_ids_check_context(e->m, e->prompts[i].ids, e->prompts[i].n, "prompt", i, err));
    }
out:
    return st;
}

static rt_status open_results(rt_generation *g, const engine *e, rt_err *err)
{
    rt_status st = RT_OK;
    size_t total = 0;
    RT_TRY(RT_NEW(&g->seq, e->n_prompts, "generated sequences", err));
    g->n = e->n_prompts;
    for (size_t i = 0; i < e->n_prompts; i++) {
        total += (size_t)room_after(e->m, e->prompts[i].n, e->o->max_new);
    }
    int32_t *ids;
    float *logprobs;
    RT_TRY(RT_NEW(&ids, total, "generated ids", err));
    g->blocks[0] = ids;
    RT_TRY(RT_NEW(&logprobs, total, "log-probabilities", err));
    g->blocks[1] = logprobs;
    for (size_t i = 0; i < e->n_prompts; i++) {
        const int64_t room = room_after(e->m, e->prompts[i].n, e->o->max_new);
        g->seq[i] = (rt_generated){.ids = ids, .logprobs = logprobs};
        ids += room;
        logprobs += room;
    }
out:
    return st;
}

static rt_status open_engine(engine *e, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_model *m = e->m;
    int64_t longest = 1, rows = 1;
    for (size_t i = 0; i < e->n_prompts; i++) {
        const int64_t n = e->prompts[i].n, r = rows_for(m, n, e->o->max_new);
        longest = n > longest ? n : longest;
        rows = r > rows ? r : rows;
    }
    const int64_t n_slots = least(batch_of(e->o->max_batch), (int64_t)e->n_prompts);
    RT_TRY(RT_NEW(&e->slots, (size_t)n_slots, "sequence slots", err));
    e->n_slots = n_slots;
    for (int64_t i = 0; i < n_slots; i++) {
        RT_TRY(rt_kv_init(&e->slots[i].kv, m, rows, err));
    }
    RT_TRY(rt_acts_new(&e->prefill, m, least(longest, PREFILL_ROWS), rows, RT_NET_FORWARD, err));
    RT_TRY(rt_acts_new(&e->decode, m, n_slots, rows, RT_NET_ROWS, err));
    RT_TRY(rt_head_new(&e->head, m, NULL, false, err));
    RT_TRY(RT_NEW(&e->ids, (size_t)n_slots, "batch ids", err));
    RT_TRY(RT_NEW(&e->spans, (size_t)n_slots, "batch spans", err));
    RT_TRY(RT_NEW(&e->drawn, (size_t)n_slots, "drawn tokens", err));
    e->scratch_bytes = rt_sample_scratch_bytes(m->hp.n_vocab);
    RT_TRY(rt_new((void **)&e->scratch, (size_t)rt_team_threads(), e->scratch_bytes, "sampler scratch", err));
out:
    return st;
}

static void close_engine(engine *e)
{
    for (int64_t i = 0; i < e->n_slots; i++) {
        rt_kv_release(&e->slots[i].kv);
    }
    rt_free(e->slots);
    rt_acts_free(e->prefill);
    rt_acts_free(e->decode);
    rt_head_free(e->head);
    rt_free(e->ids);
    rt_free(e->spans);
    rt_free(e->drawn);
    rt_free(e->scratch);
}

void rt_generation_release(rt_generation *g)
{
    rt_free(g->seq);
    rt_free(g->blocks[0]);
    rt_free(g->blocks[1]);
    *g = (rt_generation){0};
}

/* --- drawing tokens -------------------------------------------------------------------------------------------- */

typedef struct draw_job {
    engine *e;
    int64_t first; /* slot of row 0 of the sweep */
} draw_job;

static void draw_row(void *ud, const rt_head_row *row)
{
    const draw_job *j = ud;
    engine *e = j->e;
    const slot *s = &e->slots[j->first + row->index];
    e->drawn[j->first + row->index] =
        rt_sample(&e->o->sampling, row->logits, e->m->hp.n_vocab, e->o->first_sequence + s->prompt, (uint64_t)s->seq->n,
                  e->scratch + (size_t)row->thread * e->scratch_bytes);
}

/* Tokens for the slots from `first` on; x holds their rows. The head works row by row for a prompt's end too: the first
 * token is drawn from the same bits as if it had been decoded. */
static void draw(engine *e, const float *x, int64_t first, int64_t n)
{
    rt_head_run(
        e->head,
        &(rt_head_sweep){
            .model = e->m, .x = x, .n_rows = n, .mode = RT_NET_ROWS, .visit = draw_row, .ud = &(draw_job){e, first}});
}

/* Appends what was drawn for slot i and sees whether the sequence ends with it. */
static rt_status accept(engine *e, int64_t i, rt_err *err)
{
    slot *s = &e->slots[i];
    rt_generated *g = s->seq;
    const rt_sampled d = e->drawn[i];
    if (isnan(d.logprob)) {
        const int64_t rows = e->prompts[s->prompt].n + g->n;
        return rt_fail(err, RT_NUMERIC, 0, "prompt %zu: logits after %lld tokens are not finite; the model is damaged",
                       s->prompt, (long long)rows);
    }
    g->ids[g->n] = d.id;
    g->logprobs[g->n++] = d.logprob;
    const bool end = !e->o->ignore_end && e->t != NULL && rt_tokenizer_is_end(e->t, d.id);
    if (end) {
        g->stop = RT_STOP_END;
    } else if (g->n == s->room) {
        g->stop = s->room == e->o->max_new ? RT_STOP_LENGTH : RT_STOP_CONTEXT;
    }
    s->done = end || g->n == s->room;
    if (e->o->on_token != NULL && !e->o->on_token(e->o->ud, s->prompt, g) && !s->done) {
        g->stop = RT_STOP_CALLER;
        s->done = true;
    }
    if (s->done && e->o->on_end != NULL) {
        e->o->on_end(e->o->ud, s->prompt, g);
    }
    return RT_OK;
}

/* --- the two passes -------------------------------------------------------------------------------------------- */

/* Reads the next prompt into the slot behind the live ones and draws its first token. */
static rt_status admit(engine *e, rt_err *err)
{
    const int64_t at = e->n_live;
    slot *s = &e->slots[at];
    s->prompt = e->next++;
    s->seq = &e->seq[s->prompt];
    const rt_prompt *p = &e->prompts[s->prompt];
    s->room = room_after(e->m, p->n, e->o->max_new);
    rt_kv_clear(&s->kv);
    int64_t rows = 0;
    for (int64_t i = 0; i < p->n; i += rows) {
        rows = least(p->n - i, PREFILL_ROWS);
        rt_net_forward(
            e->m, e->prefill,
            &(rt_batch){.ids = p->ids + i, .n_rows = rows, .n_spans = 1, .spans = &(rt_span){.n = rows, .kv = &s->kv}});
    }
    draw(e, rt_acts_x(e->prefill) + (rows - 1) * e->m->hp.d_model, at, 1);
    rt_status st = accept(e, at, err);
    e->n_live += !s->done;
    return st;
}

/* One token for every live sequence. */
static rt_status step(engine *e, rt_err *err)
{
    rt_status st = RT_OK;
    for (int64_t i = 0; i < e->n_live; i++) {
        const rt_generated *g = e->slots[i].seq;
        e->ids[i] = g->ids[g->n - 1];
        e->spans[i] = (rt_span){.row0 = i, .n = 1, .kv = &e->slots[i].kv};
    }
    rt_net_forward(e->m, e->decode,
                   &(rt_batch){.ids = e->ids, .n_rows = e->n_live, .spans = e->spans, .n_spans = e->n_live});
    draw(e, rt_acts_x(e->decode), 0, e->n_live);
    int64_t kept = 0;
    for (int64_t i = 0; i < e->n_live; i++) {
        RT_TRY(accept(e, i, err));
        if (!e->slots[i].done) {
            const slot s = e->slots[kept];
            e->slots[kept++] = e->slots[i];
            e->slots[i] = s;
        }
    }
    e->n_live = kept;
out:
    return st;
}

static rt_status run(engine *e, rt_err *err)
{
    rt_status st = RT_OK;
    while (e->n_live > 0 || e->next < e->n_prompts) {
        if (rt_interrupted()) {
            RT_FAIL_OUT(err, RT_CANCELLED, 0, "generation interrupted");
        }
        if (e->n_live < e->n_slots && e->next < e->n_prompts) {
            RT_TRY(admit(e, err));
        } else {
            RT_TRY(step(e, err));
        }
    }
out:
    return st;
}

rt_status rt_generate(rt_generation *out, const rt_model *m, const rt_tokenizer *t, const rt_prompt *prompts, size_t n,
                      const rt_generate_options *o, rt_err *err)
{
    rt_status st = RT_OK;
    engine e = {.m = m, .t = t, .o = o, .prompts = prompts, .n_prompts = n};
    *out = (rt_generation){0};
    RT_TRY(check_input(&e, err));
    if (n == 0) {
        goto out;
    }
    RT_TRY(open_results(out, &e, err));
    e.seq = out->seq;
    RT_TRY(open_engine(&e, err));
    RT_TRY(run(&e, err));
out:
    close_engine(&e);
    if (st != RT_OK) {
        rt_generation_release(out);
    }
    return st;
}
