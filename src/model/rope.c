/* Rotary position tables (Su et al. 2021) with linear and Llama-3 frequency scaling. */
#include "model/hparams.h"

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

void rt_rope_divisors(const rt_hparams *hp, float *out)
{
    for (int64_t i = 0; i < hp->head_dim / 2; i++) {
        double d = 1.0;
        if (hp->rope_divisors != NULL) {
            d = hp->rope_divisors[i];
        } else if (hp->rope_scaling == RT_ROPE_LINEAR) {
            d = hp->rope_factor;
        } else if (hp->rope_scaling == RT_ROPE_LLAMA3) {
            d = llama3_divisor(hp, pow(hp->rope_theta, -2.0 * (double)i / (double)hp->head_dim));
        }
        out[i] = (float)d;
    }
}

void rt_rope_table(float *cs, int64_t rows, int64_t head_dim, double theta, const float *divisors)
{
    const int64_t half = head_dim / 2;
    for (int64_t i = 0; i < half; i++) {
        double freq = pow(theta, -2.0 * (double)i / (double)head_dim);
        if (divisors != NULL) {
            freq /= (double)divisors[i];
        }
        for (int64_t t = 0; t < rows; t++) {
            cs[t * head_dim + i] = (float)cos((double)t * freq);
            cs[t * head_dim + half + i] = (float)sin((double)t * freq);
        }
    }
}
