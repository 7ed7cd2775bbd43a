/* slot.c - which place holds the longest beginning of a prompt, and how it passes to another. */
#include "infer/slot.h"

#include <string.h>

size_t rt_slots_bytes(const rt_model *m, int64_t n, int64_t rows, int64_t most)
{
    const size_t each = sizeof(rt_slot) + (size_t)m->hp.n_layer * sizeof(float *) +
                        (size_t)m->hp.d_model * sizeof(float) + (size_t)most * (sizeof(int32_t) + sizeof(float)) +
                        rt_kv_bytes(m, rows);
    return (size_t)n * each;
}

rt_status rt_slots_init(rt_slots *s, const rt_model *m, int64_t n, int64_t rows, int64_t most, rt_err *err)
{
    rt_status st = RT_OK;
    float *end, *logprobs;
    int32_t *ids;
    RT_TRY(RT_NEW(&s->slot, (size_t)n, "sequence slots", err));
    s->n = n;
    s->whole_only = rt_kv_recurrent(m);
    RT_TRY(RT_NEW(&end, (size_t)(n * m->hp.d_model), "ends of prompts", err));
    s->blocks[0] = end;
    RT_TRY(RT_NEW(&ids, (size_t)(n * most), "ids under way", err));
    s->blocks[1] = ids;
    RT_TRY(RT_NEW(&logprobs, (size_t)(n * most), "log-probabilities under way", err));
    s->blocks[2] = logprobs;
    for (int64_t i = 0; i < n; i++) {
        rt_slot *slot = &s->slot[i];
        slot->end = end + i * m->hp.d_model;
        slot->seq = (rt_generated){.ids = ids + i * most, .logprobs = logprobs + i * most};
        RT_TRY(rt_kv_init(&slot->kv, m, rows, err));
    }
out:
    return st;
}

void rt_slots_release(rt_slots *s)
{
    for (int64_t i = 0; i < s->n; i++) {
        rt_kv_release(&s->slot[i].kv);
    }
    rt_free(s->slot);
    for (size_t i = 0; i < sizeof s->blocks / sizeof s->blocks[0]; i++) {
        rt_free(s->blocks[i]);
    }
    *s = (rt_slots){0};
}

/* Rows a place can give to prompt p. */
static int64_t rows_shared(const rt_slots *s, const rt_slot *slot, const rt_prompt *p)
{
    const int64_t shorter = slot->held.n < p->n ? slot->held.n : p->n;
    int64_t n = 0;
    while (n < shorter && slot->held.ids[n] == p->ids[n]) {
        n++;
    }
    if (n == p->n && n == slot->held.n) {
        return n;
    }
    const int64_t most = n < p->n ? n : n - 1; /* the last row's stream is only there where the prompts end together */
    return s->whole_only ? 0 : most / RT_PIECE * RT_PIECE;
}

static void swap(rt_slot *a, rt_slot *b)
{
    const rt_slot was = *a;
    *a = *b;
    *b = was;
}

int64_t rt_slots_take(rt_slots *s, const rt_model *m, const rt_prompt *p, bool share)
{
    int64_t best = s->n_live, most = 0;
    for (int64_t i = s->n - 1; share && i >= 0; i--) { /* from behind: a place that is free needs no copy */
        const int64_t n = rows_shared(s, &s->slot[i], p);
        if (n > most) {
            best = i;
            most = n;
        }
    }
    if (best > s->n_live) {
        swap(&s->slot[best], &s->slot[s->n_live]);
        best = s->n_live;
    }
    rt_slot *to = &s->slot[s->n_live];
    const rt_slot *from = &s->slot[best];
    if (most > 0) {
        rt_kv_copy(&to->kv, &from->kv, m, most);
    } else {
        rt_kv_clear(&to->kv);
    }
    if (most == p->n && to != from) {
        memcpy(to->end, from->end, (size_t)m->hp.d_model * sizeof *to->end);
    }
    to->held = *p;
    return most;
}

void rt_slots_forget(rt_slots *s)
{
    RT_BUG_IF(s->n_live > 0);
    for (int64_t i = 0; i < s->n; i++) {
        s->slot[i].held = (rt_prompt){0};
    }
}

void rt_slots_sort(rt_slots *s)
{
    int64_t kept = 0;
    for (int64_t i = 0; i < s->n_live; i++) {
        if (!s->slot[i].done) {
            swap(&s->slot[i], &s->slot[kept++]);
        }
    }
    s->n_live = kept;
}
