/* permit.h - the gate asked about a model, on disk or declared: identity, evidence, a person's decision, permit. */
#ifndef RT_FLOW_PERMIT_H
#define RT_FLOW_PERMIT_H

#include "record/gate.h"

/* What is said about a model that is not here. Nothing of it was observed, but the names. */
typedef struct rt_declared {
    const char *licence;    /* tag or SPDX id */
    const char *base_model; /* NULL: none */
    const char *host;       /* whose service serves it; NULL: a server of one's own */
    const char *served;     /* the server's name for it; NULL: not asked yet */
    const char *weights;    /* a model here that goes into the student too; NULL: none */
} rt_declared;

typedef struct rt_permit_ask {
    const char *model;           /* path; a name where it is declared */
    const rt_declared *declared; /* NULL: the model's own files are read */
    unsigned uses;               /* RT_USE_... */
    const char *dir;             /* decisions lie in <dir>/decisions.jsonl; made when one is recorded */
    const char *accept; /* id of the licence whose duties or unknown terms are accepted; NULL: nothing new is decided */
    const char *reason; /* why, where the terms are unknown */
    bool planned;       /* what is accepted counts now and is not recorded */
    const char *grant;  /* written grant of the rights holder; NULL: none */
    bool noncommercial;
    const char *hashes; /* where hashes of files are remembered (rt_model_sha256); NULL: nowhere */
} rt_permit_ask;

/* *evidence (NULL: not wanted; zero-initialised) gets what was found, to be released by the caller in every case. */
RT_MUST_USE rt_status rt_permit_get(rt_permit **out, const rt_permit_ask *ask, rt_evidence *evidence, rt_err *err);

#endif
