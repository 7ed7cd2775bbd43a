/* stat.c - means and their standard errors (stat.h). */
#include "core/stat.h"

#include <math.h>

rt_stat rt_stat_clustered(const double *total, const int64_t *count, size_t n_clusters)
{
    rt_stat s = {.mean = NAN, .stderr_ = NAN};
    double sum = 0, squares = 0;
    for (size_t g = 0; g < n_clusters; g++) {
        sum += total[g];
        s.n += count[g];
        s.clusters += count[g] > 0;
    }
    if (s.n == 0) {
        return s;
    }
    s.mean = sum / (double)s.n;
    for (size_t g = 0; g < n_clusters; g++) {
        const double residual = total[g] - s.mean * (double)count[g];
        squares += residual * residual;
    }
    if (s.clusters > 1) {
        const double groups = (double)s.clusters;
        s.stderr_ = sqrt(groups / (groups - 1) * squares) / (double)s.n;
    }
    return s;
}

rt_stat rt_stat_plain(const double *x, size_t n)
{
    rt_stat s = {.mean = NAN, .stderr_ = NAN, .n = (int64_t)n, .clusters = (int64_t)n};
    double sum = 0, squares = 0;
    if (n == 0) {
        return s;
    }
    for (size_t i = 0; i < n; i++) {
        sum += x[i];
    }
    s.mean = sum / (double)n;
    for (size_t i = 0; i < n; i++) {
        squares += (x[i] - s.mean) * (x[i] - s.mean);
    }
    if (n > 1) {
        s.stderr_ = sqrt(squares / (double)(n - 1) / (double)n);
    }
    return s;
}
