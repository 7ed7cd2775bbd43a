/* generate.c - continuous batching: slots hold the sequences under way, the live ones in front. */
#include "infer/generate.h"

#include <math.h>
#include <string.h>

#include "infer/id_lists.h"
#include "infer/slot.h"

#define DEFAULT_BATCH 32

typedef struct rt_generator {
    const rt_model *m;
    const rt_tokenizer *t;
    rt_generator_size size;
    const rt_generate_options *o; /* this and the next two: of the call in progress */
    const rt_prompt_list *prompts;
    size_t next;
    rt_slots slots;
    rt_generate_counts counts;
    rt_acts *prefill, *decode;
    rt_head *head;
    int32_t *ids;      /* [slots] last token of each live sequence */
    rt_span *spans;    /* [slots] */
    rt_sampled *drawn; /* [slots] */
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

/* The last token needs no row of the context. */
int64_t rt_generate_room(const rt_model *m, int64_t n, int64_t max_new)
{
    const int64_t room = rt_least(max_new, m->rope_rows - n + 1);
    return room > 0 ? room : 0;
}

static int64_t rows_for(const rt_model *m, int64_t n, int64_t max_new)
{
    return n + rt_generate_room(m, n, max_new) - 1;
}

static int64_t batch_of(int max_batch)
{
    return max_batch > 0 ? max_batch : DEFAULT_BATCH;
}

size_t rt_generate_bytes(const rt_model *m, int64_t longest, int64_t max_new, int max_batch)
{
    const int64_t rows = rows_for(m, longest, max_new), slots = batch_of(max_batch);
    return rt_acts_bytes(m, rt_least(longest, RT_PIECE), rows, RT_NET_FORWARD) +
           rt_acts_bytes(m, slots, rows, RT_NET_ROWS) + rt_head_bytes(m, NULL, false) +
           rt_slots_bytes(m, slots, rows, rt_least(max_new, m->rope_rows)) +
           (size_t)slots * (sizeof(int32_t) + sizeof(rt_span) + sizeof(rt_sampled)) +
           rt_sample_scratch_bytes(m->hp.n_vocab) * (size_t)rt_team_threads();
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
    for (size_t i = 0; i < e->prompts->n; i++) {
        const rt_prompt p = e->prompts->at(e->prompts->ud, i);
        RT_TRY(rt_ids_check_context(e->m, p.ids, p.n, "prompt", i, err));
    }
out:
    return st;
}

/* As many sequences at a time as the model's ceiling allows. */
static rt_status places_below_ceiling(int64_t *n, const engine *e, int64_t longest, rt_err *err)
{
    const int64_t left = rt_ceiling_left(e->m), max_new = e->o->max_new;
    *n = rt_least(batch_of(e->o->max_batch), (int64_t)e->prompts->n);
    while (*n > 1 && (int64_t)rt_generate_bytes(e->m, longest, max_new, (int)*n) > left) {
        *n /= 2;
    }
    return rt_ceiling_check(e->m, (int64_t)rt_generate_bytes(e->m, longest, max_new, (int)*n), "writing one text",
                            ", or fewer new tokens", err);
}

/* What a call with these prompts needs. */
static rt_status size_for(engine *e, rt_err *err)
{
    rt_generator_size *z = &e->size;
    *z = (rt_generator_size){.longest = 1, .max_new = 1};
    for (size_t i = 0; i < e->prompts->n; i++) {
        const int64_t n = e->prompts->at(e->prompts->ud, i).n, room = rt_generate_room(e->m, n, e->o->max_new);
        z->longest = n > z->longest ? n : z->longest;
        z->max_new = room > z->max_new ? room : z->max_new;
    }
    return places_below_ceiling(&z->places, e, z->longest, err);
}

static rt_status open_engine(engine *e, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_model *m = e->m;
    const rt_generator_size *z = &e->size;
    const int64_t rows = rt_least(z->longest + z->max_new - 1, m->rope_rows);
    RT_TRY(rt_slots_init(&e->slots, m, z->places, rows, z->max_new, err));
    RT_TRY(rt_acts_new(&e->prefill, m, rt_least(z->longest, RT_PIECE), rows, RT_NET_FORWARD, err));
    RT_TRY(rt_acts_new(&e->decode, m, z->places, rows, RT_NET_ROWS, err));
    RT_TRY(rt_head_new(&e->head, m, NULL, false, err));
    RT_TRY(RT_NEW(&e->ids, (size_t)z->places, "batch ids", err));
    RT_TRY(RT_NEW(&e->spans, (size_t)z->places, "batch spans", err));
    RT_TRY(RT_NEW(&e->drawn, (size_t)z->places, "drawn tokens", err));
    e->scratch_bytes = rt_sample_scratch_bytes(m->hp.n_vocab);
    RT_TRY(rt_new((void **)&e->scratch, (size_t)rt_team_threads(), e->scratch_bytes, "sampler scratch", err));
out:
    return st;
}

static void close_engine(engine *e)
{
    rt_slots_release(&e->slots);
    rt_acts_free(e->prefill);
    rt_acts_free(e->decode);
    rt_head_free(e->head);
    rt_free(e->ids);
    rt_free(e->spans);
    rt_free(e->drawn);
    rt_free(e->scratch);
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
    const rt_slot *s = &e->slots.slot[j->first + row->index];
    e->drawn[j->first + row->index] =
        rt_sample(&e->o->sampling, row->logits, e->m->hp.n_vocab, e->o->first_sequence + s->index, (uint64_t)s->seq.n,
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
    rt_slot *s = &e->slots.slot[i];
    rt_generated *g = &s->seq;
    const rt_sampled d = e->drawn[i];
    if (isnan(d.logprob)) {
        return rt_fail(err, RT_NUMERIC, 0, "prompt %zu: logits after %lld tokens are not finite; the model is damaged",
                       s->index, (long long)(s->held.n + g->n));
    }
    g->ids[g->n] = d.id;
    g->logprobs[g->n++] = d.logprob;
    e->counts.written++;
    const bool end = !e->o->ignore_end && e->t != NULL && rt_tokenizer_is_end(e->t, d.id);
    if (end) {
        g->stop = RT_STOP_END;
    } else if (g->n == s->room) {
        g->stop = s->room == e->o->max_new ? RT_STOP_LENGTH : RT_STOP_CONTEXT;
    }
    s->done = end || g->n == s->room;
    if (e->o->on_token != NULL && !e->o->on_token(e->o->ud, s->index, g) && !s->done) {
        g->stop = RT_STOP_CALLER;
        s->done = true;
    }
    return s->done && e->o->on_end != NULL ? e->o->on_end(e->o->ud, s->index, g, err) : RT_OK;
}

/* --- the two passes -------------------------------------------------------------------------------------------- */

/* Reads what no slot holds of a prompt, piece by piece. */
static void read_prompt(engine *e, rt_slot *s, int64_t from)
{
    const rt_prompt *p = &s->held;
    int64_t rows = 0;
    for (int64_t i = from; i < p->n; i += rows) {
        rows = rt_least(p->n - i, RT_PIECE);
        rt_net_forward(
            e->m, e->prefill,
            &(rt_batch){.ids = p->ids + i, .n_rows = rows, .n_spans = 1, .spans = &(rt_span){.n = rows, .kv = &s->kv}});
    }
    if (rows > 0) {
        memcpy(s->end, rt_acts_x(e->prefill) + (rows - 1) * e->m->hp.d_model,
               (size_t)e->m->hp.d_model * sizeof *s->end);
    }
    rt_kv_mark(&s->kv, e->m);
}

/* Gives the next prompt the slot behind the live ones and draws its first token. */
static rt_status admit(engine *e, rt_err *err)
{
    const int64_t at = e->slots.n_live;
    const rt_prompt p = e->prompts->at(e->prompts->ud, e->next);
    const int64_t held = rt_slots_take(&e->slots, e->m, &p, !e->o->apart);
    rt_slot *s = &e->slots.slot[at];
    s->index = e->next++;
    s->seq.n = 0;
    s->room = rt_generate_room(e->m, p.n, e->o->max_new);
    e->counts.read += p.n - held;
    e->counts.reused += held;
    read_prompt(e, s, held);
    draw(e, s->end, at, 1);
    const rt_status st = accept(e, at, err);
    e->slots.n_live += !s->done;
    return st;
}

/* One token for every live sequence. */
static rt_status step(engine *e, rt_err *err)
{
    rt_status st = RT_OK;
    const int64_t n = e->slots.n_live;
    for (int64_t i = 0; i < n; i++) {
        rt_slot *s = &e->slots.slot[i];
        e->ids[i] = s->seq.ids[s->seq.n - 1];
        e->spans[i] = (rt_span){.row0 = i, .n = 1, .kv = &s->kv};
    }
    rt_net_forward(e->m, e->decode, &(rt_batch){.ids = e->ids, .n_rows = n, .spans = e->spans, .n_spans = n});
    draw(e, rt_acts_x(e->decode), 0, n);
    for (int64_t i = 0; i < n; i++) {
        RT_TRY(accept(e, i, err));
    }
    rt_slots_sort(&e->slots);
out:
    return st;
}

/* There is a prompt, a place for it, and it is not too far ahead of the slowest sequence. */
static bool may_admit(const engine *e)
{
    size_t oldest = e->next;
    for (int64_t i = 0; i < e->slots.n_live; i++) {
        const size_t index = e->slots.slot[i].index;
        oldest = index < oldest ? index : oldest;
    }
    return e->next < e->prompts->n && e->slots.n_live < e->slots.n &&
           (e->o->max_ahead == 0 || e->next - oldest < e->o->max_ahead);
}

static rt_status run(engine *e, rt_err *err)
{
    rt_status st = RT_OK;
    while (e->slots.n_live > 0 || e->next < e->prompts->n) {
        if (rt_interrupted()) {
            RT_FAIL_OUT(err, RT_CANCELLED, 0, "generation interrupted");
        }
        RT_TRY(may_admit(e) ? admit(e, err) : step(e, err));
    }
out:
    return st;
}

rt_status rt_generate_each(const rt_model *m, const rt_tokenizer *t, const rt_prompt_list *prompts,
                           const rt_generate_options *o, rt_generate_counts *counts, rt_err *err)
{
    rt_status st = RT_OK;
    engine e = {.m = m, .t = t, .o = o, .prompts = prompts};
    RT_TRY(check_input(&e, err));
    if (prompts->n > 0) {
        RT_TRY(size_for(&e, err));
        RT_TRY(open_engine(&e, err));
        RT_TRY(run(&e, err));
    }
out:
    if (counts != NULL) {
        *counts = e.counts;
    }
    close_engine(&e);
    return st;
}

/* --- many calls ------------------------------------------------------------------------------------------------- */

size_t rt_generator_bytes(const rt_model *m, const rt_generator_size *z)
{
    return rt_generate_bytes(m, z->longest, z->max_new, (int)z->places);
}

rt_status rt_generator_new(rt_generator **out, const rt_model *m, const rt_tokenizer *t, const rt_generator_size *size,
                           rt_err *err)
{
    rt_status st = RT_OK;
    rt_generator *g = NULL;
    RT_TRY(RT_NEW(&g, 1, "generator", err));
    g->m = m;
    g->t = t;
    g->size = *size;
    RT_TRY(open_engine(g, err));
    *out = g;
    g = NULL;
out:
    rt_generator_free(g);
    return st;
}

void rt_generator_free(rt_generator *g)
{
    if (g != NULL) {
        close_engine(g);
        rt_free(g);
    }
}

rt_status rt_generator_run(rt_generator *g, const rt_prompt_list *prompts, const rt_generate_options *o,
                           rt_generate_counts *counts, rt_err *err)
{
    rt_status st = RT_OK;
    g->prompts = prompts;
    g->o = o;
    g->next = 0;
    g->counts = (rt_generate_counts){0};
    g->slots.n_live = 0; /* an interrupted call may have left some */
    rt_slots_forget(&g->slots);
    RT_TRY(check_input(g, err));
    for (size_t i = 0; i < prompts->n; i++) {
        RT_BUG_IF(prompts->at(prompts->ud, i).n > g->size.longest || o->max_new > g->size.max_new);
    }
    RT_TRY(run(g, err));
out:
    if (counts != NULL) {
        *counts = g->counts;
    }
    return st;
}
