/* calibration.h - is a model as sure as it is right? Guo et al. 2017 (arXiv 1706.04599) have the expected calibration
 * error, Nixon et al. 2019 (arXiv 1904.01685) bins of equal weight, Geifman and El-Yaniv 2017 (arXiv 1705.08500) risk
 * and coverage. */
#ifndef RT_AUDIT_CALIBRATION_H
#define RT_AUDIT_CALIBRATION_H

#include <jansson.h>

#include "audit/temperature.h"
#include "audit/weighted.h"

typedef struct rt_calibration {
    int64_t n;                                    /* picks; 0: nothing was measured */
    double accuracy, confidence;                  /* means; their difference is what the model is too sure by */
    double ece, adaptive_ece;                     /* bins of equal width, of equal weight */
    double brier;                                 /* sum over choices of (p - right)^2, 0 .. 2; NAN where not known */
    double auroc;                                 /* of the confidence, for being right; NAN when all or none are */
    double selective[3];                          /* accuracy among the surest 10 %, 50 %, 80 % */
    double risk_coverage;                         /* area under the curve: 0 is best */
    rt_temperature temperature;                   /* of items with choices */
    rt_calibration_bin bins[RT_CALIBRATION_BINS]; /* of equal width, for a reliability diagram */
} rt_calibration;
extern const double rt_calibration_coverage[3];

/* confidence[n]: the probability of the pick, right[n]: was it right. brier: its mean, or NAN. */
RT_MUST_USE rt_status rt_calibration_of(rt_calibration *out, const double *confidence, const bool *right, size_t n,
                                        double brier, rt_err *err);
/* Of a task's items that have choices and one right one: the softmax over the sums of log-probabilities is the model's
 * belief. n = 0 when it has none, or of an item several choices are right. */
RT_MUST_USE rt_status rt_calibration_of_items(rt_calibration *out, const json_t *items, rt_err *err);
/* What an item says: the pick's probability, whether it is right, Brier's score. false: it has no choices, or several
 * are right. */
bool rt_calibration_item(const json_t *item, double *confidence, bool *right, double *brier);
/* {n, accuracy, confidence, ece, adaptive_ece, brier, auroc, selective: [{coverage, accuracy}], risk_coverage,
 * temperature: rt_temperature_json, bins: [{n, confidence, accuracy}]}; owned. */
json_t *rt_calibration_json(const rt_calibration *c);

#endif
