/* weighted.h - figures that are no mean over observations: how well a score tells two kinds apart, and whether a model
 * is as sure as it is right. Each is a function of how often every observation counts (NULL: once), so that a bootstrap
 * asks again and again without sorting again. Private to audit. */
#ifndef RT_AUDIT_WEIGHTED_H
#define RT_AUDIT_WEIGHTED_H

#include "core/core.h"

enum { RT_CALIBRATION_BINS = 10 };

/* Borrowed. `order` goes over the observations by ascending score. */
typedef struct rt_scored {
    const double *score;
    const bool *positive; /* harmful; right */
    const size_t *order;
    size_t n;
} rt_scored;

/* Places 0 .. n-1 by ascending x, equals in their order. */
void rt_order_by(size_t *order, const double *x, size_t n);

/* Chance that a positive observation has the higher score, a tie counting half (Mann-Whitney); NAN without both kinds.
 */
double rt_auroc(const rt_scored *s, const double *weight);

/* The score is the probability that the model gives its pick. */
typedef struct rt_calibration_bin {
    double weight, confidence, accuracy; /* means; NAN where nothing falls in */
} rt_calibration_bin;
/* Bins of equal width, (k/10, (k+1)/10], or of equal weight. */
void rt_calibration_bins(rt_calibration_bin bins[RT_CALIBRATION_BINS], const rt_scored *s, const double *weight,
                         bool equal_weight);
/* Expected calibration error: mean over observations of |accuracy - confidence| of their bin. */
double rt_calibration_error(const rt_scored *s, const double *weight, bool equal_weight);
/* Share of right picks among the surest `coverage` of the observations. */
double rt_selective_accuracy(const rt_scored *s, const double *weight, double coverage);
/* Mean over coverages of the share of wrong picks: area under the risk-coverage curve. */
double rt_risk_coverage(const rt_scored *s, const double *weight);

#endif
