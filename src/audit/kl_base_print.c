/* kl_base_print.c - the figures as llama-perplexity prints them, label for label, and as JSON. */
#include <math.h>

#include "audit/kl_base_stats.h"

/* Derived as it derives them. */
typedef struct derived {
    rt_kl_mean ppl, ppl_base, ln_ratio, ratio, difference, rms;
    double correlation, same_top_error;
} derived;

/* Error of a difference of two means with this covariance. */
static double error_of_difference(double a, double b, double covariance)
{
    const double variance = a * a + b * b - 2 * covariance;
    return variance > 0 ? sqrt(variance) : 0;
}

static derived derive(const rt_kl_base_stats *s)
{
    derived d;
    const double q = exp(s->nll.mean), base = exp(s->nll_base.mean), rms = sqrt(s->dp2.mean);
    d.ppl = (rt_kl_mean){q, q * s->nll.error};
    d.ppl_base = (rt_kl_mean){base, base * s->nll_base.error};
    d.correlation = s->covariance / (s->nll.error * s->nll_base.error);
    d.ln_ratio = (rt_kl_mean){s->nll.mean - s->nll_base.mean,
                              error_of_difference(s->nll.error, s->nll_base.error, s->covariance)};
    d.ratio = (rt_kl_mean){exp(d.ln_ratio.mean), exp(d.ln_ratio.mean) * d.ln_ratio.error};
    d.difference = (rt_kl_mean){q - base, error_of_difference(d.ppl.error, d.ppl_base.error, q * base * s->covariance)};
    d.rms = (rt_kl_mean){rms, rms > 0 ? 0.5 / rms * s->dp2.error : 0};
    d.same_top_error = s->positions > 1 ? sqrt(s->same_top * (1 - s->same_top) / (double)(s->positions - 1)) : 0;
    return d;
}

static void print_quantiles(FILE *f, const double *at, const char *what, bool quartiles, double scale, int width,
                            int places, const char *unit)
{
    static const char *const names[RT_KL_QUANTILES] = {"Maximum", "99.9%  ", "99.0%  ", "95.0%  ", "90.0%  ",
                                                       "75.0%  ", "Median ", "25.0%  ", "10.0%  ", " 5.0%  ",
                                                       " 1.0%  ", " 0.1%  ", "Minimum"};
    for (int i = 0; i < RT_KL_QUANTILES; i++) {
        const bool quartile = rt_kl_quantiles[i] == 0.75 || rt_kl_quantiles[i] == 0.25;
        if (quartiles || !quartile) {
            fprintf(f, "%s %s: %*.*f%s\n", names[i], what, width, places, scale * at[i], unit);
        }
    }
}

void rt_kl_base_print(FILE *f, const rt_kl_base_stats *s)
{
    const derived d = derive(s);
    fprintf(f, "====== Perplexity statistics ======\n");
    fprintf(f, "Mean PPL(Q)                   : %10.6f ± %10.6f\n", d.ppl.mean, d.ppl.error);
    fprintf(f, "Mean PPL(base)                : %10.6f ± %10.6f\n", d.ppl_base.mean, d.ppl_base.error);
    fprintf(f, "Cor(ln(PPL(Q)), ln(PPL(base))): %6.2f%%\n", 100 * d.correlation);
    fprintf(f, "Mean ln(PPL(Q)/PPL(base))     : %10.6f ± %10.6f\n", d.ln_ratio.mean, d.ln_ratio.error);
    fprintf(f, "Mean PPL(Q)/PPL(base)         : %10.6f ± %10.6f\n", d.ratio.mean, d.ratio.error);
    fprintf(f, "Mean PPL(Q)-PPL(base)         : %10.6f ± %10.6f\n", d.difference.mean, d.difference.error);
    fprintf(f, "\n====== KL divergence statistics ======\n");
    fprintf(f, "Mean    KLD: %10.6f ± %10.6f\n", s->kld.mean, s->kld.error);
    print_quantiles(f, s->kld_at, "KLD", false, 1, 10, 6, "");
    fprintf(f, "\n====== Token probability statistics ======\n");
    fprintf(f, "Mean    Δp: %6.3f ± %5.3f %%\n", 100 * s->dp.mean, 100 * s->dp.error);
    print_quantiles(f, s->dp_at, "Δp", true, 100, 6, 3, "%");
    fprintf(f, "RMS Δp    : %6.3f ± %5.3f %%\n", 100 * d.rms.mean, 100 * d.rms.error);
    fprintf(f, "Same top p: %6.3f ± %5.3f %%\n", 100 * s->same_top, 100 * d.same_top_error);
}

static json_t *mean_json(rt_kl_mean m)
{
    return json_pack("{s:f, s:f}", "mean", m.mean, "error", m.error);
}

static json_t *quantile_json(const double *at)
{
    json_t *j = json_array();
    for (int i = 0; i < RT_KL_QUANTILES; i++) {
        json_array_append_new(j, json_pack("[f, f]", rt_kl_quantiles[i], at[i]));
    }
    return j;
}

json_t *rt_kl_base_json(const rt_kl_base_stats *s)
{
    const derived d = derive(s);
    return json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:{s:f, s:f}}", "positions",
                     (json_int_t)s->positions, "perplexity", mean_json(d.ppl), "perplexity_base", mean_json(d.ppl_base),
                     "ln_perplexity_ratio", mean_json(d.ln_ratio), "perplexity_ratio", mean_json(d.ratio),
                     "perplexity_difference", mean_json(d.difference), "kld", mean_json(s->kld), "kld_quantiles",
                     quantile_json(s->kld_at), "dp", mean_json(s->dp), "dp_quantiles", quantile_json(s->dp_at),
                     "rms_dp", mean_json(d.rms), "same_top", "mean", s->same_top, "error", d.same_top_error);
}
