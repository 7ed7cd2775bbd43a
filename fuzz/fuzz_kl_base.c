/* fuzz_kl_base.c - the reader of llama.cpp's logits file over any bytes: what opens must be readable to its last
 * position or be refused in words. */
#include "format/kl_base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Keeps the compiler from leaving the reads out. */
static volatile float sink;

static void read_all(rt_kl_base *b)
{
    rt_err err = {0};
    void *row = NULL;
    const rt_kl_base_shape s = rt_kl_base_shape_of(b);
    const int64_t n = s.n_chunk * rt_kl_base_scored(&s);
    float sum = 0;
    RT_BUG_IF(rt_new(&row, 1, rt_kl_base_row_bytes(s.n_vocab), "a row", &err) != RT_OK);
    for (int64_t i = 0; i < n; i++) {
        if (rt_kl_base_next(b, row, 1, &err) != RT_OK) {
            RT_BUG_IF(err.msg[0] == '\0');
            break;
        }
        const rt_kl_base_row r = rt_kl_base_row_at(row, s.n_vocab, 0);
        sum += rt_kl_base_logp(&r, s.n_vocab - 1);
    }
    sink = sum;
    rt_free(row);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rt_kl_base *b = NULL;
    rt_err err = {0};
    FILE *f = size > 0 ? fmemopen((void *)(uintptr_t)data, size, "rb") : NULL;
    if (!f) {
        return 0;
    }
    if (rt_kl_base_read(&b, f, "input", &err) == RT_OK) {
        read_all(b);
        rt_kl_base_close(b);
    } else {
        RT_BUG_IF(err.msg[0] == '\0');
    }
    (void)fclose(f);
    return 0;
}
