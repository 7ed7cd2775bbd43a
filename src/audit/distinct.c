/* distinct.c - different n-grams by comparison with all before (distinct.h). */
#include "audit/distinct.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

double rt_distinct(const int32_t *ids, size_t n, size_t order)
{
    size_t different = 0;
    if (order == 0 || n < order) {
        return NAN;
    }
    const size_t all = n - order + 1;
    for (size_t i = 0; i < all; i++) {
        bool seen = false;
        for (size_t k = 0; k < i && !seen; k++) {
            seen = memcmp(ids + i, ids + k, order * sizeof *ids) == 0;
        }
        different += !seen;
    }
    return (double)different / (double)all;
}

rt_status rt_distinct_add(rt_family *f, size_t order, const double *reference, const double *model,
                          const int64_t *groups, size_t n, uint64_t seed, rt_err *err)
{
    rt_status st = RT_OK;
    double *values = NULL;
    int64_t *own = NULL;
    size_t kept = 0;
    char name[32];
    snprintf(name, sizeof name, "distinct-%zu", order);
    RT_TRY(RT_NEW(&values, 2 * n, "texts", err));
    RT_TRY(RT_NEW(&own, n, "groups of texts", err));
    for (size_t i = 0; i < n; i++) {
        if (isfinite(reference[i]) && isfinite(model[i])) {
            values[kept] = reference[i];
            values[n + kept] = model[i];
            own[kept++] = groups[i];
        }
    }
    if (kept > 0) {
        RT_TRY(rt_family_add(
            f, &(rt_family_label){.name = name, .metric = "different n-grams", .kind = "variety"}, values, values + n,
            kept, &(rt_paired_options){.margin = RT_DISTINCT_MARGIN, .chance = NAN, .groups = own, .seed = seed}, err));
    }
out:
    rt_free(values);
    rt_free(own);
    return st;
}
