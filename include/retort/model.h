/* model.h - models and their tokenizers: opened, asked, written in another format, closed. */
#ifndef RETORT_MODEL_H
#define RETORT_MODEL_H

#include <retort/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Weights in memory. Reading it from several threads is fine; computing with retort at all is for one thread at a time,
 * which spreads the work over the processors itself. */
typedef struct rt_model retort_model;

enum {
    RETORT_PRECISION_AUTO = 0, /* bf16 inputs of matrix products where this processor is faster with them, else f32 */
    RETORT_PRECISION_F32 = 1
};

/* Options structures begin with their size, by which the library knows what the caller was compiled with: get one from
 * its _defaults function and change what you like. NULL in place of options means the defaults. */
typedef struct retort_model_options {
    size_t size;
    int precision;
} retort_model_options;

static inline retort_model_options retort_model_defaults(void)
{
    retort_model_options o = {sizeof(retort_model_options), RETORT_PRECISION_AUTO};
    return o;
}

/* `path`: a GGUF file, a safetensors file with config.json beside it, or a folder in the Hugging Face layout. */
RT_API rt_status retort_model_open(retort_model **out, const char *path, const retort_model_options *o, rt_err *err);
RT_API void retort_model_close(retort_model *m); /* accepts NULL */

RT_API int64_t retort_model_parameters(const retort_model *m);
RT_API int64_t retort_model_layers(const retort_model *m);
RT_API int64_t retort_model_vocabulary(const retort_model *m);
RT_API int64_t retort_model_context(const retort_model *m);          /* tokens */
RT_API const char *retort_model_architecture(const retort_model *m); /* "llama"; lives as long as the model */

/* The model at `path` as file or folder `out`. `type`: "f32", "f16", "bf16", "q8_0", "q4_0", "q4_1" for a GGUF,
 * "safetensors" for a folder. Licence and base model go along. */
RT_API rt_status retort_export(const char *path, const char *out, const char *type, rt_err *err);

/* Text to token ids and back. May be used by several threads at once. */
typedef struct rt_tokenizer retort_tokenizer;

/* `path`: as for models; no weights are read. */
RT_API rt_status retort_tokenizer_open(retort_tokenizer **out, const char *path, rt_err *err);
RT_API void retort_tokenizer_close(retort_tokenizer *t); /* accepts NULL */

/* Ids of `text` (n_text bytes, any) without BOS or EOS; special tokens in it are recognised. At most `room` are written
 * to `ids` (NULL when room is 0); *n is how many there are: call again with more room when it is larger. */
RT_API rt_status retort_tokenize(const retort_tokenizer *t, const char *text, size_t n_text, int32_t *ids, size_t room,
                                 size_t *n, rt_err *err);
/* Bytes of the ids; a token may end inside a character. At most `room` bytes are written, without a NUL; *n is how many
 * there are. */
RT_API rt_status retort_detokenize(const retort_tokenizer *t, const int32_t *ids, size_t n_ids, char *text, size_t room,
                                   size_t *n, rt_err *err);
RT_API int32_t retort_tokenizer_bos(const retort_tokenizer *t); /* -1: none */
RT_API int32_t retort_tokenizer_eos(const retort_tokenizer *t); /* -1: none */

#ifdef __cplusplus
}
#endif
#endif
