/* gguf_keys.h - keys of one architecture, "<architecture>.<suffix>", read and written. Private to model. */
#ifndef RT_MODEL_GGUF_KEYS_H
#define RT_MODEL_GGUF_KEYS_H

#include "format/format.h"

typedef struct rt_keys {
    const rt_gguf *g;
    const char *arch;
    rt_err *err;
    rt_status st; /* of the first required key that was missing */
} rt_keys;

/* The full key in `buf`, which is returned. */
const char *rt_keys_name(char buf[160], const char *arch, const char *suffix);

int64_t rt_keys_need_i64(rt_keys *k, const char *suffix); /* 0 and k->st set when missing */
/* The default where the key is absent or of another kind. */
int64_t rt_keys_i64(const rt_keys *k, const char *suffix, int64_t dflt);
double rt_keys_f64(const rt_keys *k, const char *suffix, double dflt);
bool rt_keys_bool(const rt_keys *k, const char *suffix, bool dflt);

void rt_keys_set_u32(rt_gguf_writer *w, const char *arch, const char *suffix, int64_t v);
void rt_keys_set_f32(rt_gguf_writer *w, const char *arch, const char *suffix, double v);
void rt_keys_set_bool(rt_gguf_writer *w, const char *arch, const char *suffix, bool v);
void rt_keys_set_str(rt_gguf_writer *w, const char *arch, const char *suffix, const char *v);

#endif
