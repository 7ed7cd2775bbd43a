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
    const char *weights;   /* a model here that goes into the student too, judged with it for both uses; NULL: none */
    const char *dir;       /* what is collected goes here, and who answered: endpoint.json */
    const char *decisions; /* folder of decisions.jsonl; NULL: dir */
    const char *accept, *reason, *grant;
    bool planned; /* as in rt_permit_ask */
    bool noncommercial;
} rt_served_ask;

typedef struct rt_served { /* zero-initialise; close in every case */
    const rt_served_ask *ask;
    rt_endpoint *endpoint;
    rt_permit *permit;
} rt_served;

/* The gate alone, asked about what is declared: nothing is sent. `served`: the server's own name for the model, NULL:
 * not asked yet. `accept` in place of the ask's. */
RT_MUST_USE rt_status rt_served_permit(rt_permit **out, const rt_served_ask *ask, const char *served,
                                       const char *accept, rt_err *err);

/* RT_LICENCE before anything is sent where the declared terms, or those of the service, forbid it. RT_REMOTE where the
 * server is not the one that `dir` was begun with. */
RT_MUST_USE rt_status rt_served_open(rt_served *s, const rt_served_ask *ask, rt_err *err);
void rt_served_close(rt_served *s);

/* TOPK targets of a packed corpus. */
typedef struct rt_served_corpus {
    const rt_tokenizer *tokenizer;
    const rt_corpus *corpus;
    const rt_packed *packed;
    int64_t n_vocab; /* of the student; 0: not known */
    int k;
    const char *ledger, *name; /* as in rt_collect_job */
} rt_served_corpus;
RT_MUST_USE rt_status rt_served_collect(rt_served *s, const rt_served_corpus *c, rt_collect_report *report,
                                        rt_err *err);

typedef struct rt_served_texts {
    const char *tokenizer; /* of the served model: GGUF, tokenizer.json or a folder with one */
    const char *const *paths;
    size_t n_paths;
    int64_t tokens;   /* 0: all */
    int64_t sequence; /* 0: 512, or the server's context */
    int k;
} rt_served_texts;
/* The same of files, into <dir>. */
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
