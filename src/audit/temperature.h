/* temperature.h - would one number make a model as sure as it is right? Temperature scaling (Guo et al. 2017, arXiv
 * 1706.04599, section 4.2): p = softmax(log-likelihoods / T), T the one with the least NLL of the right choices. What
 * it repairs was scale only, and no pick changes; what is left is lost knowledge of when one is right. */
#ifndef RT_AUDIT_TEMPERATURE_H
#define RT_AUDIT_TEMPERATURE_H

#include <jansson.h>

#include "core/core.h"

enum { RT_TEMPERATURE_LEAST = 20 }; /* items on each half; with fewer nothing is fitted */
#define RT_TEMPERATURE_MOST 100.0   /* T lies between 1 / it and it */

typedef struct rt_temperature {
    int64_t n_fitted, n; /* items of the half it was fitted on, and of the other, which the rest is about; 0: none */
    double value; /* above 1: the model is too sure; NAN: the fit ran into its bound, no T calibrates the model */
    double nll[2], ece[2]; /* per item, at T = 1 and at this T (NAN where it is); ece over bins of equal width */
} rt_temperature;

/* Of items with choices and one right one; halves by the first byte of the SHA-256 of their group,
 * else of their id. */
RT_MUST_USE rt_status rt_temperature_fit(rt_temperature *out, const json_t *items, rt_err *err);
/* {value, fitted_on, n, nll_before, nll, ece_before, ece}: value, nll and ece null where no T calibrates; null where
 * nothing was fitted. Owned. */
json_t *rt_temperature_json(const rt_temperature *t);

#endif
