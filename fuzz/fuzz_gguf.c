/* fuzz_gguf.c - the GGUF reader over any bytes: what opens must be readable to its last byte. */
#include "format/gguf.h"
#include "format/quant.h"

#define DECODE_MAX (1 << 16)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Keeps the compiler from leaving the reads out. */
static volatile double sink;

static double read_key(const rt_gguf *g, const rt_gguf_kv *kv)
{
    double sum = 0, f;
    int64_t i;
    bool b;
    rt_slice s;
    rt_gguf_array a;
    sum += rt_gguf_get_i64(g, kv->key, &i) ? (double)i : 0;
    sum += rt_gguf_get_f64(g, kv->key, &f) ? f : 0;
    sum += rt_gguf_get_bool(g, kv->key, &b) && b;
    if (rt_gguf_get_str(g, kv->key, &s)) {
        sum += (double)rt_xxh64(s.p, s.n);
    }
    if (rt_gguf_get_array(g, kv->key, &a)) {
        const uint8_t *cursor = NULL;
        while (rt_gguf_next_str(&a, &cursor, &s)) {
            sum += (double)rt_xxh64(s.p, s.n);
        }
        for (uint64_t k = 0; a.type != RT_GGUF_STRING && k < a.n; k++) {
            sum += (double)rt_gguf_array_i64(&a, k) + rt_gguf_array_f64(&a, k);
        }
    }
    return sum;
}

static double read_tensor(const rt_tensor_info *t)
{
    static float values[DECODE_MAX];
    int64_t n = rt_tensor_info_elements(t);
    double sum = t->bytes ? (double)rt_xxh64(t->data, t->bytes) : 0;
    if (rt_dtype_can_decode(t->dtype) && n > 0 && n <= DECODE_MAX) {
        rt_decode(t->dtype, t->data, values, n);
        sum += (double)values[n - 1];
    }
    return sum;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rt_gguf *g = NULL;
    rt_err err = {0};
    double sum = 0;
    if (rt_gguf_open_memory(&g, data, size, &err) != RT_OK) {
        RT_BUG_IF(err.msg[0] == '\0');
        return 0;
    }
    for (size_t i = 0; i < rt_gguf_n_kv(g); i++) {
        sum += read_key(g, rt_gguf_kv_at(g, i));
    }
    for (size_t i = 0; i < rt_gguf_n_tensors(g); i++) {
        const rt_tensor_info *t = rt_gguf_tensor(g, i);
        RT_BUG_IF(rt_gguf_find(g, t->name) != t);
        sum += read_tensor(t);
    }
    sink = sum;
    rt_gguf_close(g);
    return 0;
}
