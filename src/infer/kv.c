/* kv.c - key and value memory of one timeline, one block for both. */
#include "infer/kv.h"

static size_t half_floats(const rt_model *m, int64_t cap)
{
    return (size_t)m->hp.n_layer * (size_t)cap * (size_t)(m->hp.n_head_kv * m->hp.head_dim);
}

size_t rt_kv_bytes(const rt_model *m, int64_t cap)
{
    return 2 * half_floats(m, cap) * sizeof(float);
}

rt_status rt_kv_init(rt_kv *kv, const rt_model *m, int64_t cap, rt_err *err)
{
    *kv = (rt_kv){0};
    if (cap < 1 || cap > m->rope_rows) {
        return rt_fail(err, RT_USAGE, 0, "a timeline of %lld tokens; the context of the model has %lld", (long long)cap,
                       (long long)m->rope_rows);
    }
    void *block;
    rt_status st = rt_new_big(&block, rt_kv_bytes(m, cap), "keys and values of a timeline", err);
    if (st == RT_OK) {
        *kv = (rt_kv){.cap = cap, .k = block, .v = (float *)block + half_floats(m, cap)};
    }
    return st;
}

void rt_kv_release(rt_kv *kv)
{
    rt_free(kv->k);
    *kv = (rt_kv){0};
}

void rt_kv_rewind(rt_kv *kv, int64_t n)
{
    RT_BUG_IF(n < 0 || n > kv->n);
    kv->n = n;
}
