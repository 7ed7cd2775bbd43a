/* gguf_keys.c - one place that joins an architecture's name and a key's suffix. */
#include "model/gguf_keys.h"

#include <stdio.h>

const char *rt_keys_name(char buf[160], const char *arch, const char *suffix)
{
    snprintf(buf, 160, "%s.%s", arch, suffix);
    return buf;
}

int64_t rt_keys_need_i64(rt_keys *k, const char *suffix)
{
    char key[160];
    int64_t v = 0;
    if (!rt_gguf_get_i64(k->g, rt_keys_name(key, k->arch, suffix), &v) && k->st == RT_OK) {
        k->st = rt_fail(k->err, RT_INPUT, 0, "key '%s' is missing or no integer", key);
    }
    return v;
}

int64_t rt_keys_i64(const rt_keys *k, const char *suffix, int64_t dflt)
{
    char key[160];
    int64_t v;
    return rt_gguf_get_i64(k->g, rt_keys_name(key, k->arch, suffix), &v) ? v : dflt;
}

double rt_keys_f64(const rt_keys *k, const char *suffix, double dflt)
{
    char key[160];
    double v;
    return rt_gguf_get_f64(k->g, rt_keys_name(key, k->arch, suffix), &v) ? v : dflt;
}

bool rt_keys_bool(const rt_keys *k, const char *suffix, bool dflt)
{
    char key[160];
    bool v;
    return rt_gguf_get_bool(k->g, rt_keys_name(key, k->arch, suffix), &v) ? v : dflt;
}

void rt_keys_set_u32(rt_gguf_writer *w, const char *arch, const char *suffix, int64_t v)
{
    char key[160];
    rt_gguf_set_u32(w, rt_keys_name(key, arch, suffix), (uint32_t)v);
}

void rt_keys_set_f32(rt_gguf_writer *w, const char *arch, const char *suffix, double v)
{
    char key[160];
    rt_gguf_set_f32(w, rt_keys_name(key, arch, suffix), (float)v);
}

void rt_keys_set_bool(rt_gguf_writer *w, const char *arch, const char *suffix, bool v)
{
    char key[160];
    rt_gguf_set_bool(w, rt_keys_name(key, arch, suffix), v);
}

void rt_keys_set_str(rt_gguf_writer *w, const char *arch, const char *suffix, const char *v)
{
    char key[160];
    rt_gguf_set_str(w, rt_keys_name(key, arch, suffix), v);
}
