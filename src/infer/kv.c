/* kv.c - memory of one timeline: one block for all layers, one for the states put aside. */
#include "infer/kv.h"

#include <string.h>

/* Floats of the layers' memories, or of the states among them. */
static size_t total_floats(const rt_model *m, int64_t cap, bool states)
{
    size_t n = 0;
    for (int l = 0; l < m->hp.n_layer; l++) {
        n += !states || rt_net_recurrent(m, l) ? (size_t)rt_net_memory(m, l, cap) : 0;
    }
    return n;
}

size_t rt_kv_bytes(const rt_model *m, int64_t cap)
{
    return (total_floats(m, cap, false) + total_floats(m, cap, true)) * sizeof(float);
}

rt_status rt_kv_init(rt_kv *kv, const rt_model *m, int64_t cap, rt_err *err)
{
    rt_status st = RT_OK;
    float *block;
    *kv = (rt_kv){.cap = cap};
    if (cap < 1 || cap > m->rope_rows) {
        RT_FAIL_OUT(err, RT_USAGE, 0, "a timeline of %lld tokens; the context of the model has %lld", (long long)cap,
                    (long long)m->rope_rows);
    }
    RT_TRY(RT_NEW(&kv->layer, (size_t)m->hp.n_layer, "memory of a timeline", err));
    RT_TRY(rt_new_big((void **)&block, rt_kv_bytes(m, cap), "memory of a timeline", err));
    for (int l = 0; l < m->hp.n_layer; l++) {
        kv->layer[l] = block;
        block += rt_net_memory(m, l, cap);
    }
    kv->saved = block;
out:
    if (st != RT_OK) {
        rt_kv_release(kv);
    }
    return st;
}

void rt_kv_release(rt_kv *kv)
{
    if (kv->layer != NULL) {
        rt_free(kv->layer[0]);
    }
    rt_free(kv->layer);
    *kv = (rt_kv){0};
}

/* Copies every layer's state to where it is put aside. */
static void save_states(const rt_kv *kv, const rt_model *m)
{
    float *saved = kv->saved;
    for (int l = 0; l < m->hp.n_layer; l++) {
        if (rt_net_recurrent(m, l)) {
            const int64_t n = rt_net_memory(m, l, kv->cap);
            memcpy(saved, kv->layer[l], (size_t)n * sizeof(float));
            saved += n;
        }
    }
}

void rt_kv_mark(rt_kv *kv, const rt_model *m)
{
    kv->marked = kv->n;
    save_states(kv, m);
}

void rt_kv_rewind(rt_kv *kv, const rt_model *m)
{
    rt_kv_copy(kv, kv, m, kv->marked);
}

bool rt_kv_recurrent(const rt_model *m)
{
    return total_floats(m, 1, true) > 0;
}

void rt_kv_copy(rt_kv *to, const rt_kv *from, const rt_model *m, int64_t n)
{
    const float *saved = from->saved;
    for (int l = 0; l < m->hp.n_layer; l++) {
        if (rt_net_recurrent(m, l)) {
            const int64_t size = rt_net_memory(m, l, from->cap);
            memcpy(to->layer[l], saved, (size_t)size * sizeof(float));
            saved += size;
        } else if (to != from) {
            rt_net_copy_rows(m, l, from->cap, n, to->layer[l], from->layer[l]);
        }
    }
    to->n = n;
}

void rt_kv_clear(rt_kv *kv)
{
    kv->n = kv->marked = 0;
}
