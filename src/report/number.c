/* number.c - numbers as people read them. */
#include "report/number.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* No line may break between a number and its unit. */
#define NB "\u00a0"

static rt_num words(const char *text)
{
    rt_num out;
    snprintf(out.s, sizeof out.s, "%s", text);
    return out;
}

/* Decimals that leave `digits` significant ones, 0..6. */
static int decimals_for(double v, int digits)
{
    if (v == 0) {
        return 2;
    }
    int places = digits - 1 - (int)floor(log10(fabs(v)));
    return places < 0 ? 0 : places > 6 ? 6 : places;
}

/* %.*f, but never "-0.00". */
static void fixed(char *buf, size_t size, double v, int decimals)
{
    snprintf(buf, size, "%.*f", decimals, v);
    if (buf[0] == '-' && strspn(buf + 1, "0.") == strlen(buf + 1)) {
        memmove(buf, buf + 1, strlen(buf));
    }
}

rt_num rt_num_plain(double v)
{
    rt_num out;
    if (!isfinite(v)) {
        return words("unknown");
    }
    if (v != 0 && (fabs(v) >= 1e6 || fabs(v) < 1e-3)) {
        int exponent = (int)floor(log10(fabs(v)));
        snprintf(out.s, sizeof out.s, "%.2f" NB "×" NB "10^%d", v / pow(10, exponent), exponent);
    } else {
        fixed(out.s, sizeof out.s, v, fabs(v) >= 1000 ? 0 : decimals_for(v, 3));
    }
    return out;
}

rt_num rt_num_exact(double v)
{
    rt_num out = {0};
    char digits[32];
    if (!isfinite(v) || fabs(v) >= 1e18) {
        return words("unknown");
    }
    int n = snprintf(digits, sizeof digits, "%.0f", v);
    size_t at = 0;
    for (int i = 0; i < n; i++) {
        if (i > 0 && digits[i - 1] != '-' && (n - i) % 3 == 0) {
            out.s[at++] = ',';
        }
        out.s[at++] = digits[i];
    }
    return out;
}

/* `v` with the first unit it reaches. */
static rt_num scaled(double v, const char *const units[4], const char *unit)
{
    static const double sizes[4] = {1e12, 1e9, 1e6, 1e3};
    rt_num out;
    if (!isfinite(v)) {
        return words("unknown");
    }
    for (int i = 0; i < 4; i++) {
        if (fabs(v) >= sizes[i] * 0.9995) {
            double x = v / sizes[i];
            snprintf(out.s, sizeof out.s, "%.*f" NB "%s", fabs(x) < 99.95 ? 1 : 0, x, units[i]);
            return out;
        }
    }
    snprintf(out.s, sizeof out.s, "%g%s", v, unit);
    return out;
}

rt_num rt_num_short(double v)
{
    static const char *const units[4] = {"T", "B", "M", "k"};
    return scaled(v, units, "");
}

rt_num rt_num_bytes(double v)
{
    static const char *const units[4] = {"TB", "GB", "MB", "kB"};
    return scaled(v, units, NB "B");
}

rt_num rt_num_seconds(double v)
{
    rt_num out;
    if (!isfinite(v) || v < 0 || v > 1e12) {
        return words("unknown");
    }
    if (v < 10) {
        snprintf(out.s, sizeof out.s, "%.1f" NB "s", v);
    } else if (v < 59.5) {
        snprintf(out.s, sizeof out.s, "%.0f" NB "s", v);
    } else {
        long long s = (long long)(v + 0.5);
        if (s < 3600) {
            snprintf(out.s, sizeof out.s, "%lld" NB "min" NB "%02lld" NB "s", s / 60, s % 60);
        } else {
            snprintf(out.s, sizeof out.s, "%lld" NB "h" NB "%02lld" NB "min", s / 3600, s / 60 % 60);
        }
    }
    return out;
}

rt_num rt_num_share(double v)
{
    rt_num out;
    if (!isfinite(v)) {
        return words("unknown");
    }
    char digits[40];
    fixed(digits, sizeof digits, 100 * v, 1);
    snprintf(out.s, sizeof out.s, "%s" NB "%%", digits);
    return out;
}

/* Decimals for a half-width: one significant digit, two when it begins with 1. */
static int decimals_of_error(double half)
{
    double lead = half / pow(10, floor(log10(half)));
    return decimals_for(half, lead < 1.95 ? 2 : 1);
}

/* `mean` and its half-width to the same digits, with `least` decimals or more; `alone` without a half-width to go by.
 */
static rt_num with_error(double mean, double half, rt_num alone, const char *unit, const char *after, int least)
{
    rt_num out;
    char m[32], h[32];
    if (!isfinite(mean) || fabs(mean) >= 1e15) {
        return words("unknown");
    }
    if (!isfinite(half) || half >= 1e15) {
        snprintf(out.s, sizeof out.s, "%.60s (error unknown)", alone.s);
        return out;
    }
    int places = half > 0 ? decimals_of_error(half) : 3;
    places = places > least ? places : least;
    fixed(m, sizeof m, mean, places);
    fixed(h, sizeof h, half, places);
    snprintf(out.s, sizeof out.s, "%s%s" NB "±" NB "%s%s", m, unit, h, after);
    return out;
}

rt_num rt_num_pm(double mean, double half)
{
    return with_error(mean, half, rt_num_plain(mean), "", "", 0);
}

rt_num rt_num_share_pm(double mean, double half)
{
    return with_error(100 * mean, 100 * half, rt_num_share(mean), NB "%", "", 1);
}

rt_num rt_num_points_pm(double mean, double half)
{
    rt_num out;
    char digits[40];
    if (isfinite(half) || !isfinite(mean)) {
        return with_error(100 * mean, 100 * half, words(""), "", NB "points", 1);
    }
    fixed(digits, sizeof digits, 100 * fmin(fmax(mean, -1), 1), 1);
    snprintf(out.s, sizeof out.s, "%s" NB "points", digits);
    return out;
}
