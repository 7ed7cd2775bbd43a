/* Rotary position tables (Su et al. 2021) with linear, Llama-3 and YaRN (Peng et al. 2023) frequency scaling. */
#include "model/rope.h"

#include <math.h>

static double llama3_divisor(const rt_hparams *hp, double freq)
{
    const double wavelength = 2.0 * M_PI / freq;
    const double orig = (double)hp->rope_original_ctx;
    if (wavelength > orig / hp->rope_low_freq) {
        return hp->rope_factor;
    }
    if (wavelength < orig / hp->rope_high_freq) {
        return 1.0;
    }
    const double s = (orig / wavelength - hp->rope_low_freq) / (hp->rope_high_freq - hp->rope_low_freq);
    return 1.0 / ((1.0 - s) / hp->rope_factor + s);
}

/* The pair that turns `rotations` times over the original context, as a real number. */
static double yarn_pair(const rt_hparams *hp, double rotations)
{
    return (double)hp->n_rot * log((double)hp->rope_original_ctx / (2.0 * M_PI * rotations)) /
           (2.0 * log(hp->rope_theta));
}

/* Pairs before `low` keep their frequency, pairs from `high` on get it divided by the factor. */
static double yarn_divisor(const rt_hparams *hp, int64_t i)
{
    double low = yarn_pair(hp, hp->rope_beta_fast), high = yarn_pair(hp, hp->rope_beta_slow);
    if (hp->rope_truncate) {
        low = floor(low);
        high = ceil(high);
    }
    low = fmax(low, 0.0);
    high = fmin(high, (double)hp->n_rot - 1.0);
    if (low == high) {
        high += 0.001;
    }
    const double ramp = fmin(fmax(((double)i - low) / (high - low), 0.0), 1.0);
    return 1.0 / (ramp / hp->rope_factor + 1.0 - ramp);
}

void rt_rope_divisors(const rt_hparams *hp, float *out)
{
    for (int64_t i = 0; i < hp->n_rot / 2; i++) {
        double d = 1.0;
        if (hp->rope_divisors != NULL) {
            d = hp->rope_divisors[i];
        } else if (hp->rope_scaling == RT_ROPE_LINEAR) {
            d = hp->rope_factor;
        } else if (hp->rope_scaling == RT_ROPE_LLAMA3) {
            d = llama3_divisor(hp, pow(hp->rope_theta, -2.0 * (double)i / (double)hp->n_rot));
        } else if (hp->rope_scaling == RT_ROPE_YARN) {
            d = yarn_divisor(hp, i);
        }
        out[i] = (float)d;
    }
}

double rt_rope_mscale(double factor, double m)
{
    return factor > 1.0 ? 0.1 * m * log(factor) + 1.0 : 1.0;
}

double rt_rope_amplitude(const rt_hparams *hp)
{
    if (hp->rope_scaling != RT_ROPE_YARN) {
        return 1.0;
    }
    if (hp->rope_attn_factor > 0.0) {
        return hp->rope_attn_factor;
    }
    if (hp->rope_mscale != 0.0 && hp->rope_mscale_all_dim != 0.0) {
        return rt_rope_mscale(hp->rope_factor, hp->rope_mscale) /
               rt_rope_mscale(hp->rope_factor, hp->rope_mscale_all_dim);
    }
    return rt_rope_mscale(hp->rope_factor, 1.0);
}

void rt_rope_table(float *cs, int64_t rows, int64_t n_rot, double theta, const float *divisors, double amplitude)
{
    const int64_t half = n_rot / 2;
    for (int64_t i = 0; i < half; i++) {
        double freq = pow(theta, -2.0 * (double)i / (double)n_rot);
        if (divisors != NULL) {
            freq /= (double)divisors[i];
        }
        for (int64_t t = 0; t < rows; t++) {
            cs[t * n_rot + i] = (float)(amplitude * cos((double)t * freq));
            cs[t * n_rot + half + i] = (float)(amplitude * sin((double)t * freq));
        }
    }
}
