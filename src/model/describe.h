/* describe.h - what a model file is, from its headers alone: no weight is decoded. */
#ifndef RT_MODEL_DESCRIBE_H
#define RT_MODEL_DESCRIBE_H

#include "model/model.h"

/* Keeps the file open: tensors are views into it. Zero-initialise; rt_model_description_release frees. */
typedef struct rt_model_description {
    const char *format;    /* "gguf" or "safetensors" */
    char architecture[64]; /* as the file names it */
    const rt_arch *arch;   /* NULL: vocabulary_only */
    bool vocabulary_only;  /* a GGUF without tensors: everything below is 0 */
    int64_t parameters;    /* values stored; scales, and tables that follow from hyper-parameters, apart */
    rt_hparams hp;         /* without rope_divisors */
    bool mixed;            /* matrices are of several types */
    rt_dtype dtype;        /* of most values in matrices */
    int64_t bytes;         /* of all tensors */
    rt_gguf *gguf;         /* one of these two */
    rt_hf hf;
} rt_model_description;

/* MODEL is a GGUF file, a safetensors file, or a folder in the Hugging Face layout. An architecture that is not
 * supported is refused by name. */
RT_MUST_USE rt_status rt_model_describe(rt_model_description *d, const char *path, rt_err *err);
void rt_model_description_release(rt_model_description *d);
size_t rt_model_description_n_tensors(const rt_model_description *d);
const rt_tensor_info *rt_model_description_tensor(const rt_model_description *d, size_t i);

#endif
