/* kernel_test.h - what the kernel tests share: every level this machine has, guarded buffers, awkward numbers. */
#ifndef RT_TESTS_KERNEL_TEST_H
#define RT_TESTS_KERNEL_TEST_H

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "tensor/kernels.h"
#include "tensor/ref.h"
#include "tensor_test.h"

/* Runs the check with the table of every level that this machine and build have. */
static inline void at_every_level(void (*check)(const rt_kernels *k))
{
    for (int isa = 0; isa < RT_ISA_COUNT; isa++) {
        const rt_kernels *k = rt_kernels_for((rt_isa)isa);
        if (k) {
            print_message("             %s\n", k->name);
            check(k);
        }
    }
}

/* Floats with guards before and after: kernels must not write outside. */
enum { GUARD = 32 };
static const float GUARD_VALUE = -777.25f;

static inline float *new_floats(int64_t n)
{
    float *block = rt_malloc((size_t)(n + 2 * GUARD) * sizeof *block);
    for (int64_t i = 0; i < n + 2 * GUARD; i++) {
        block[i] = GUARD_VALUE;
    }
    return block + GUARD;
}

static inline void drop_floats(float *x, int64_t n)
{
    for (int64_t i = 0; i < GUARD; i++) {
        assert_true(x[i - GUARD] == GUARD_VALUE);
        assert_true(x[n + i] == GUARD_VALUE);
    }
    rt_free(x - GUARD);
}

/* Numbers a training step meets: mostly of order 1, some tiny, some denormal, some zero. */
static inline float *new_random(int64_t n, uint64_t seed)
{
    static const float odd[] = {0.0f, -0.0f, 1e-39f, -1e-42f, 1e-20f};
    rt_rng rng = rt_rng_init(seed, "kernels", 0);
    float *x = new_floats(n);
    for (int64_t i = 0; i < n; i++) {
        double r = rt_rng_normal(&rng);
        x[i] = i % 17 == 3 ? odd[i / 17 % 5] : (float)r;
    }
    return x;
}

static inline float *new_copy(const float *x, int64_t n)
{
    float *y = new_floats(n);
    memcpy(y, x, (size_t)n * sizeof *y);
    return y;
}

/* |got - want| <= rel * |want| + abs, equal infinities, NaN only where expected. */
static inline void assert_near(const char *what, const char *level, const float *got, const float *want, int64_t n,
                               double rel, double abs)
{
    for (int64_t i = 0; i < n; i++) {
        bool same = got[i] == want[i] || (isnan(got[i]) && isnan(want[i]));
        if (!same && !(fabs((double)got[i] - want[i]) <= rel * fabs(want[i]) + abs)) {
            fail_msg("%s (%s): element %lld of %lld is %.9g, expected %.9g", what, level, (long long)i, (long long)n,
                     got[i], want[i]);
        }
    }
}

#endif
