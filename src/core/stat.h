/* stat.h - means with standard errors that know of clusters (documents of one title, questions on one passage). */
#ifndef RT_CORE_STAT_H
#define RT_CORE_STAT_H

#include <stddef.h>
#include <stdint.h>

#define RT_Z95 1.959963984540054 /* half-width of a 95 % interval in standard errors */

typedef struct rt_stat {
    double mean;      /* NAN when there is no observation */
    double stderr_;   /* NAN when there is one observation, or one cluster */
    int64_t n;        /* observations */
    int64_t clusters; /* that have some */
} rt_stat;

/* Ratio estimate sum(total) / sum(count) over clusters, with the linearised (sandwich) standard error
 * sqrt(G/(G-1) sum_g (total_g - mean count_g)^2) / sum(count). count_g = observations in cluster g; a cluster without
 * any (its total is 0) is left out. */
rt_stat rt_stat_clustered(const double *total, const int64_t *count, size_t n_clusters);
/* Independent observations: sample standard deviation / sqrt(n), as lm-evaluation-harness. */
rt_stat rt_stat_plain(const double *x, size_t n);

#endif
