/* tensor_test.h - what the tests of this directory share: golden tensors, random rows, finite differences. */
#ifndef RT_TESTS_TENSOR_TEST_H
#define RT_TESTS_TENSOR_TEST_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "core/core.h"

/* Standard normal numbers times `scale`. */
static inline void fill_normal(double *x, int64_t n, double scale, rt_rng *rng)
{
    for (int64_t i = 0; i < n; i++) {
        x[i] = scale * rt_rng_normal(rng);
    }
}

static inline double max_abs(const double *x, int64_t n)
{
    double max = 0.0;
    for (int64_t i = 0; i < n; i++) {
        max = fmax(max, fabs(x[i]));
    }
    return max;
}

/* d f / d *x by central differences; truncation and rounding both near 1e-10 of f's scale. */
typedef double (*scalar_fn)(void *arg);
static inline double central_difference(scalar_fn f, void *arg, double *x)
{
    const double h = 1e-5;
    double x0 = *x;
    *x = x0 + h;
    double above = f(arg);
    *x = x0 - h;
    double below = f(arg);
    *x = x0;
    return (above - below) / (2.0 * h);
}

/* Every element of `grad` is the difference quotient with respect to x, to `bound` of the largest element. */
static inline void assert_gradient(const char *what, scalar_fn f, void *arg, double *x, const double *grad, int64_t n,
                                   double bound)
{
    double scale = max_abs(grad, n);
    for (int64_t i = 0; i < n; i++) {
        double want = central_difference(f, arg, &x[i]);
        if (!(fabs(grad[i] - want) <= bound * scale)) {
            fail_msg("%s: gradient %lld is %.12g, differences give %.12g (largest %.3g)", what, (long long)i, grad[i],
                     want, scale);
        }
    }
}

#endif
