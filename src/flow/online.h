/* online.h - training without a cache: the teacher answers while the student trains, on texts and on what the student
 * itself writes. */
#ifndef RT_FLOW_ONLINE_H
#define RT_FLOW_ONLINE_H

#include "flow/permit.h"
#include "text/text.h"
#include "train/trainer.h"

typedef struct rt_online_ask {
    const char *teacher, *student, *run; /* models; folder of the run, where the ledger and decisions go */
    const rt_permit *permit;             /* NULL: the gate is asked, with the next three */
    const char *accept, *reason, *grant;
    const char *const *texts; /* may be none where the student writes everything */
    size_t n_texts;
    const char *const *prompts; /* JSON lines for the student to continue; none: the beginnings of the texts */
    size_t n_prompts;
    int64_t text_tokens;      /* stop after the document that reaches so many; 0: all */
    int64_t sequence;         /* longest; 0: 512, or what the models' contexts allow */
    rt_precision precision;   /* of the teacher */
    bool on_policy;           /* the student writes, as `own` says */
    rt_on_policy_options own; /* its seed is the run's */
} rt_online_ask;

typedef struct rt_online { /* zero-initialise; close in every case */
    rt_permit *permit;     /* where the gate was asked here */
    rt_model *teacher;
    rt_corpus text, prompts;
    rt_packed packed;
    rt_on_policy *on_policy;
    rt_source *source;
    rt_scored *scored;
    rt_cache_header speaker; /* what a cache of this teacher would say of it */
} rt_online;

/* `student` with its tokenizer `t`, about to be trained as `o` says, whose on_policy and scored are set here. The gate
 * is asked before any model is run; a teacher with another tokenizer is refused. */
RT_MUST_USE rt_status rt_online_open(rt_online *n, const rt_online_ask *a, const rt_model *student,
                                     const rt_tokenizer *t, rt_train_options *o, rt_err *err);
void rt_online_close(rt_online *n);

#endif
