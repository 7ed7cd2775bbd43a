/* verify.h - is this cache what this teacher says about its text? Positions chosen at random are computed again. */
#ifndef RT_TEACHER_VERIFY_H
#define RT_TEACHER_VERIFY_H

#include "model/models.h"
#include "teacher/cache.h"

typedef struct rt_verify_report {
    int64_t positions, sequences;
    double label_nll; /* of the realised tokens at these positions, nats at T = 1 */
    double identical; /* SAMPLE: share of positions whose draws come out again, id for id and count for count */
    double z; /* SAMPLE: (cross-entropy of the stored draws - entropy) in its standard errors; 0 +- 1 expected */
    double entropy_error;              /* SAMPLE: mean absolute difference, nats */
    double kl, kl_limit;               /* TOPK (k + 1 buckets), HIDDEN: mean KL(teacher | stored), nats */
    double fit, fit_before, fit_after; /* mean log p of what is stored at the position, one before, one after */
    int shift;                         /* 0, or -1 / +1: the target stored one before / after belongs here */
    char text[256];                    /* the verdict in words */
} rt_verify_report;

/* RT_FINDING when the cache does not hold what the teacher says; the message and report->text say how. */
RT_MUST_USE rt_status rt_cache_verify(const rt_cache *c, const rt_model *teacher, int64_t n_positions, uint64_t seed,
                                      rt_verify_report *report, rt_err *err);

#endif
