/* served.h - collecting from a teacher behind HTTP: the gate first, on what is declared; then who answers; then texts
 * or log-probabilities, through the same permit, ledger and cache as the engine's. */
#ifndef RT_FLOW_SERVED_H
#define RT_FLOW_SERVED_H

#include "flow/permit.h"
#include "infer/sample.h"
#include "teacher/answer_file.h"
#include "teacher/collect.h"
#include "teacher/endpoint.h"

typedef struct rt_served_ask {
    rt_endpoint_options server;
    const char *licence, *base_model; /* declared; base_model may be NULL */
    const char *dir;                  /* what is collected goes here, and who answered: endpoint.json */
    const char *decisions;            /* folder of decisions.jsonl; NULL: dir */
    const char *accept, *reason, *grant;
    bool noncommercial;
} rt_served_ask;

typedef struct rt_served { /* zero-initialise; close in every case */
    const rt_served_ask *ask;
    rt_endpoint *endpoint;
    rt_evidence evidence;
    rt_permit *permit;
} rt_served;

/* RT_LICENCE before anything is sent where the declared terms, or those of the service, forbid it. RT_REMOTE where the
 * server is not the one that `dir` was begun with. */
RT_MUST_USE rt_status rt_served_open(rt_served *s, const rt_served_ask *ask, rt_err *err);
void rt_served_close(rt_served *s);

typedef struct rt_served_texts {
    const char *tokenizer; /* of the served model: GGUF, tokenizer.json or a folder with one */
    const char *const *paths;
    size_t n_paths;
    int64_t tokens;   /* 0: all */
    int64_t sequence; /* 0: 512, or the server's context */
    int k;
} rt_served_texts;
/* TOPK targets into <dir>. */
RT_MUST_USE rt_status rt_served_score(rt_served *s, const rt_served_texts *texts, rt_collect_report *report,
                                      rt_err *err);

typedef struct rt_served_prompts {
    const char *const *paths;
    size_t n_paths;
    int64_t max_new;
    int answers;
    rt_sampling sampling;
} rt_served_prompts;
/* <dir>/answers.jsonl */
RT_MUST_USE rt_status rt_served_write(rt_served *s, const rt_served_prompts *p, rt_answer_report *report, rt_err *err);

#endif
