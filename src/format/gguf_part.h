/* gguf_part.h - what the GGUF reader's files share: one file of a (possibly split) model. */
#ifndef RT_FORMAT_GGUF_PART_H
#define RT_FORMAT_GGUF_PART_H

#include "format/gguf.h"
#include "format/name_index.h"

#define RT_GGUF_ALIGNMENT 32  /* where general.alignment does not say otherwise */
#define RT_GGUF_NAME_MAX 63   /* bytes of a tensor name */
#define RT_GGUF_KEY_MAX 65535 /* bytes of a key */
#define RT_GGUF_STRING_MAX (1u << 30)
#define RT_GGUF_ARRAY_MAX (1u << 30)

typedef struct rt_gguf_part {
    rt_map map;     /* open when the part owns its bytes */
    rt_arena arena; /* names and keys */
    rt_gguf_kv *kv;
    size_t n_kv;
    rt_name_index kv_index;
    rt_tensor_info *tensors;
    size_t n_tensors;
} rt_gguf_part;

struct rt_gguf {
    rt_gguf_part *parts; /* keys are those of the first */
    size_t n_parts;
    rt_tensor_info *tensors; /* of all parts */
    size_t n_tensors;
    rt_name_index tensor_index;
};

/* Fills `p` from bytes that outlive it. On failure release it all the same. */
RT_MUST_USE rt_status rt_gguf_part_read(rt_gguf_part *p, const uint8_t *data, size_t size, rt_err *err);
void rt_gguf_part_release(rt_gguf_part *p);

/* Bytes of a value, 0 for string and array. */
size_t rt_gguf_type_bytes(rt_gguf_type t);
/* An integer or bool of the part's metadata; false when absent, of another type or out of range. */
bool rt_gguf_part_i64(const rt_gguf_part *p, const char *key, int64_t *out);

#endif
