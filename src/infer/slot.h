/* slot.h - places of the sequences under way: the memory of their timelines, and what they hold of prompts already
 * read, for prompts that begin the same. Private to infer. */
#ifndef RT_INFER_SLOT_H
#define RT_INFER_SLOT_H

#include "infer/generate.h"
#include "infer/kv.h"

/* Rows of a prompt read at once. Fixed, because where a prompt is cut may show in the last bits: a whole piece is a
 * function of the tokens up to its end, whichever prompt they begin. */
#define RT_PIECE 128

typedef struct rt_slot {
    rt_kv kv;
    rt_prompt held;   /* the prompt whose rows the timeline begins with, also after the sequence ended; n = 0: none */
    float *end;       /* [d_model] residual stream of its last row */
    size_t index;     /* of the prompt */
    rt_generated seq; /* ids and log-probabilities are the slot's own, [most] */
    int64_t room;     /* most tokens the sequence can get */
    bool done;
} rt_slot;

typedef struct rt_slots {
    rt_slot *slot; /* [n] the live ones in front */
    int64_t n, n_live;
    bool whole_only; /* states cannot be wound back: only equal prompts share */
    void *blocks[3]; /* ends, ids and log-probabilities of all */
} rt_slots;

/* n places for timelines of `rows` rows and sequences of `most` tokens. Release also after a failure. */
RT_MUST_USE rt_status rt_slots_init(rt_slots *s, const rt_model *m, int64_t n, int64_t rows, int64_t most, rt_err *err);
void rt_slots_release(rt_slots *s);
size_t rt_slots_bytes(const rt_model *m, int64_t n, int64_t rows, int64_t most);

/* Readies the first place behind the live ones for a prompt, and where `share` with as many of its rows as a place
 * (live or not) has: all, then `end` is there too, or whole pieces, never the last row. Returns their number. */
int64_t rt_slots_take(rt_slots *s, const rt_model *m, const rt_prompt *p, bool share);
/* What places hold of prompts is void: the weights have changed. None may be live. */
void rt_slots_forget(rt_slots *s);
/* Puts the sequences that are done behind the live ones. */
void rt_slots_sort(rt_slots *s);

#endif
