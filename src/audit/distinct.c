/* distinct.c - different n-grams by comparison with all before (distinct.h). */
#include "audit/distinct.h"

#include <math.h>
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
