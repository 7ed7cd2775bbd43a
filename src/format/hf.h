/* hf.h - a model folder in the Hugging Face layout: config.json, tokenizer.json, weights in one or more files. */
#ifndef RT_FORMAT_HF_H
#define RT_FORMAT_HF_H

#include "format/json.h"
#include "format/safetensors.h"

typedef struct rt_hf {
    char *dir;
    json_t *config;          /* config.json */
    rt_safetensors *weights; /* model.safetensors, or the sharded index */
} rt_hf;

/* `path`: the folder, or one .safetensors file in it (then that file is the weights). Zero-initialise first. */
RT_MUST_USE rt_status rt_hf_open(rt_hf *h, const char *path, rt_err *err);
void rt_hf_close(rt_hf *h);

#endif
