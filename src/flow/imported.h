/* imported.h - collecting from llama.cpp's logits file: the gate first, on what is declared about the model behind it;
 * then the file's positions through the same permit, ledger and cache as the engine's. */
#ifndef RT_FLOW_IMPORTED_H
#define RT_FLOW_IMPORTED_H

#include "flow/permit.h"
#include "teacher/collect.h"

typedef struct rt_imported_ask {
    const char *path;                         /* of the logits file, or a pipe */
    const char *tokenizer;                    /* of the model behind it: GGUF, tokenizer.json or a folder with one */
    const char *model, *licence, *base_model; /* declared; base_model may be NULL */
    const char *dir;                          /* the cache */
    const char *accept, *reason, *grant;
    rt_collect_options options; /* kind SAMPLE or TOPK */
} rt_imported_ask;

/* RT_LICENCE, before the file is opened, where the declared terms forbid it. */
RT_MUST_USE rt_status rt_imported_collect(const rt_imported_ask *ask, rt_collect_report *report, rt_err *err);

#endif
