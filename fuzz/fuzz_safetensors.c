/* fuzz_safetensors.c - the safetensors reader over any bytes: what opens must be readable to its last byte. */
#include "format/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Keeps the compiler from leaving the reads out. */
static volatile uint64_t sink;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rt_safetensors *s = NULL;
    rt_err err = {0};
    uint64_t sum = 0;
    if (rt_safetensors_open_memory(&s, data, size, &err) != RT_OK) {
        RT_BUG_IF(err.msg[0] == '\0');
        return 0;
    }
    for (size_t i = 0; i < rt_safetensors_n(s); i++) {
        const rt_tensor_info *t = rt_safetensors_at(s, i);
        if (!t->data) {
            RT_BUG_IF(rt_safetensors_find(s, t->name));
            continue;
        }
        size_t bytes = 0;
        RT_BUG_IF(rt_safetensors_find(s, t->name) != t);
        RT_BUG_IF(!rt_dtype_bytes(t->dtype, (uint64_t)rt_tensor_info_elements(t), &bytes) || bytes != t->bytes);
        sum += rt_xxh64(t->data, t->bytes);
    }
    const char *format = rt_safetensors_meta(s, "format");
    sum += format ? (uint64_t)format[0] : 0;
    sink = sum;
    rt_safetensors_close(s);
    return 0;
}
