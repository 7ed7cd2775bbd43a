/* heldout.h - fidelity on held-out text: perplexity, KL to the teacher, top-1 agreement, acceptance of speculative
 * decoding. The teacher's states are computed once and serve every model measured against it. */
#ifndef RT_AUDIT_HELDOUT_H
#define RT_AUDIT_HELDOUT_H

#include <jansson.h>

#include "audit/calibration.h"
#include "model/models.h"
#include "text/text.h"

typedef struct rt_heldout rt_heldout;

/* Keeps corpus and teacher (NULL: perplexity only) until freed. Uses the first documents up to max_tokens (0: all),
 * packed at `sequence`: whole ones, but a first document that is longer is cut. */
RT_MUST_USE rt_status rt_heldout_new(rt_heldout **out, const rt_model *teacher, const rt_corpus *corpus, int sequence,
                                     int64_t max_tokens, rt_err *err);
void rt_heldout_free(rt_heldout *h);

typedef struct rt_fidelity {
    rt_stat nll;                  /* nats a token; perplexity = exp(mean) */
    rt_stat teacher_nll;          /* this and below: n = 0 without a teacher */
    rt_stat kl;                   /* KL(teacher | student), nats a token, T = 1 */
    rt_stat reverse_kl;           /* KL(student | teacher) */
    rt_stat top1;                 /* share of positions with the teacher's most probable token on top */
    rt_stat acceptance;           /* mean of sum_v min(p_v, q_v) */
    rt_calibration calibration;   /* of its most probable next tokens; Brier's score is NAN */
    int64_t positions, documents; /* predicted tokens; documents that have some */
    bool own_text;                /* all text is of one cluster: standard errors are missing */
} rt_fidelity;
/* Vocabulary sizes may differ by padding rows: common ids are compared, the rest is -inf on both sides. RT_NUMERIC when
 * a value is not finite. */
RT_MUST_USE rt_status rt_heldout_measure(rt_heldout *h, const rt_model *m, rt_fidelity *out, rt_err *err);
/* The same by slices of the text (slices.def, and each of its files): [{dimension, slice, n, kl, nll, teacher_nll, gap,
 * top1: rt_stat_json}], gap = nll - teacher_nll; errors clustered as above. Without a teacher *slices is left as
 * it is. Owned. */
RT_MUST_USE rt_status rt_heldout_measure_slices(rt_heldout *h, const rt_model *m, rt_fidelity *out, json_t **slices,
                                                rt_err *err);
/* {positions, documents, own_text, perplexity, nll: {mean, stderr, n, clusters}, calibration} and with a teacher
 * {teacher_perplexity, teacher_nll, kl, reverse_kl, top1, acceptance}; a number that is missing is null. Owned, NULL
 * when memory is out. */
json_t *rt_fidelity_json(const rt_fidelity *f);
json_t *rt_stat_json(const rt_stat *s);

#endif
