/* kl_base_stats.h - a model beside the logits file of another: the figures of llama-perplexity --kl-divergence, by its
 * formulas, so that either program's figures can stand for the other's. Its standard errors take positions for
 * independent and are too small; rt_heldout has errors by document. */
#ifndef RT_AUDIT_KL_BASE_STATS_H
#define RT_AUDIT_KL_BASE_STATS_H

#include <jansson.h>

#include "infer/chunks.h"

/* A mean and its standard error, sqrt((mean of squares - mean^2) / (n - 1)). */
typedef struct rt_kl_mean {
    double mean, error;
} rt_kl_mean;

/* Largest to smallest: maximum, 99.9, 99, 95, 90, 75, 50, 25, 10, 5, 1, 0.1 %, minimum; linear between values. */
#define RT_KL_QUANTILES 13
extern const double rt_kl_quantiles[RT_KL_QUANTILES]; /* as fractions */

typedef struct rt_kl_base_stats {
    int64_t positions;
    rt_kl_mean nll, nll_base; /* -ln p of the text by the model (Q) and by the file (base) */
    double covariance;        /* of their means */
    rt_kl_mean kld;           /* sum over p_base > e^-16 of p_base (ln p_base - ln p_Q), nats */
    rt_kl_mean dp, dp2;       /* p_Q - p_base of the text's token, and its square */
    double same_top;          /* share of positions where both have the same most probable token */
    double kld_at[RT_KL_QUANTILES], dp_at[RT_KL_QUANTILES];
} rt_kl_base_stats;

RT_MUST_USE rt_status rt_kl_base_measure(rt_kl_base_stats *out, const rt_model *m, const rt_tokenizer *t,
                                         rt_kl_base *base, rt_err *err);
/* The three blocks, with llama.cpp's labels. */
void rt_kl_base_print(FILE *f, const rt_kl_base_stats *s);
json_t *rt_kl_base_json(const rt_kl_base_stats *s); /* owned; NULL when memory is out */

#endif
