/* kernel_bench.h - times each kernel of one level on one thread, at the sizes of a small student. */
#ifndef RT_TESTS_KERNEL_BENCH_H
#define RT_TESTS_KERNEL_BENCH_H

#include <time.h>

#include "kernel_test.h"

typedef struct bench {
    const rt_kernels *k;
    float *x, *y, *z, *w, *v;
    uint16_t *h;
    rt_attn attn;
} bench;

enum { BENCH_N = 1 << 22, BENCH_T = 512, BENCH_D = 576, BENCH_F = 1536, BENCH_V = 49152 };

static inline double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* `work` is bytes moved or operations done by one call; printed per nanosecond: GB/s or GF/s. */
static inline void report(const char *name, const char *unit, double work, void (*call)(bench *), bench *b)
{
    double best = 1e9;
    for (int i = 0; i < 7; i++) {
        double t = now();
        call(b);
        t = now() - t;
        best = t < best ? t : best;
    }
    printf("  %-26s %8.1f %s\n", name, work / best / 1e9, unit);
    fflush(stdout);
}

static inline void run_to_bf16(bench *b)
{
    b->k->f32_to_bf16(b->h, b->x, BENCH_N);
}
static inline void run_axpy(bench *b)
{
    b->k->axpy(b->y, 0.5f, b->x, BENCH_N);
}
static inline void run_squares(bench *b)
{
    b->y[0] = (float)b->k->sum_squares(b->x, BENCH_N);
}

static inline void run_norm(bench *b)
{
    b->k->rmsnorm(b->h, RT_BF16, NULL, b->x, b->w, 0, 1e-5f, BENCH_T, BENCH_D);
}

static inline void run_norm_backward(bench *b)
{
    b->k->rmsnorm_backward(b->y, b->z, b->v, b->x, b->w, 0, 1e-5f, BENCH_T, BENCH_D);
}

static inline void run_rope(bench *b)
{
    b->k->rope(b->y, BENCH_D, 9, 64, 64, b->x, 1.0f, BENCH_T);
}

static inline void run_glu(bench *b)
{
    b->k->glu(b->h, RT_BF16, BENCH_F, b->x, b->z, BENCH_F, &RT_GLU_PLAIN(RT_ACT_SILU), BENCH_T, BENCH_F);
}

static inline void run_glu_backward(bench *b)
{
    b->k->glu_backward(b->h, b->h + BENCH_N / 2, RT_BF16, BENCH_F, b->v, BENCH_F, b->x, b->z, BENCH_F,
                       &RT_GLU_PLAIN(RT_ACT_SILU), BENCH_T, BENCH_F);
}

static inline void run_lse(bench *b)
{
    for (int i = 0; i < 16; i++) {
        b->y[i] = b->k->logsumexp(b->x + (int64_t)i * BENCH_V, BENCH_V, 1.0f, NULL);
    }
}

static inline void run_adamw(bench *b)
{
    rt_adamw p = {1e-6f, 0.9f, 0.95f, 1e-8f, 0.1f, 0.5f, 0.5f, 1.0f};
    b->k->adamw(b->w, b->h, b->y, b->v, b->x, &p, BENCH_N);
}

static inline void run_matvec(bench *b)
{
    b->k->matvec(b->y, BENCH_N / BENCH_D, b->x, BENCH_D, 1, b->w, RT_F32, BENCH_D, BENCH_N / BENCH_D, BENCH_D);
}

static inline void run_matvec_bf16(bench *b)
{
    b->k->matvec(b->y, BENCH_N / BENCH_D, b->x, BENCH_D, 1, b->h, RT_BF16, BENCH_D, BENCH_N / BENCH_D, BENCH_D);
}

static inline void run_matvec_batch(bench *b)
{
    b->k->matvec(b->y, BENCH_F, b->x, BENCH_D, 32, b->h, RT_BF16, BENCH_D, BENCH_F, BENCH_D);
}

static inline void run_attn(bench *b)
{
    b->k->attn(&b->attn);
}
static inline void run_attn_backward(bench *b)
{
    b->k->attn_backward(&b->attn);
}

static inline void run_attn_bf16(bench *b)
{
    b->k->attn_bf16(&b->attn);
}
static inline void run_attn_bf16_backward(bench *b)
{
    b->k->attn_bf16_backward(&b->attn);
}

static inline void bench_attention(bench *b, int64_t t)
{
    enum { HEAD = 64, LD = 576 };
    float *scratch = rt_malloc(rt_attn_scratch_floats(t, HEAD) * sizeof *scratch);
    float *lse = new_floats(t);
    b->attn = (rt_attn){.n_q = t,
                        .n_kv = t,
                        .head_dim = HEAD,
                        .head_dim_v = HEAD,
                        .scale = 0.125f,
                        .q = b->x,
                        .k = b->x + HEAD,
                        .v = b->x + 2 * HEAD,
                        .ldq = LD,
                        .ldk = LD,
                        .ldv = LD,
                        .o = b->y,
                        .ldo = LD,
                        .lse = lse,
                        .do_ = b->x + 3 * HEAD,
                        .dq = b->z,
                        .dk = b->z + HEAD,
                        .dv = b->z + 2 * HEAD,
                        .scratch = scratch};
    /* products of the visible half of the square: two forward, five backward */
    double half = (double)t * (double)(t + 1) / 2 * HEAD * 2;
    char name[64];
    snprintf(name, sizeof name, "attn %d", (int)t);
    report(name, "GF/s", 2 * half, run_attn, b);
    snprintf(name, sizeof name, "attn_backward %d", (int)t);
    report(name, "GF/s", 5 * half, run_attn_backward, b);
    snprintf(name, sizeof name, "attn_bf16 %d", (int)t);
    report(name, "GF/s", 2 * half, run_attn_bf16, b);
    snprintf(name, sizeof name, "attn_bf16_backward %d", (int)t);
    report(name, "GF/s", 5 * half, run_attn_bf16_backward, b);
    rt_free(scratch);
    drop_floats(lse, t);
}

static inline void bench_decode(bench *b)
{
    b->attn.n_q = 1;
    b->attn.n_kv = 2048;
    float *scratch = rt_malloc(rt_attn_scratch_floats(b->attn.n_kv, b->attn.head_dim) * sizeof *scratch);
    b->attn.scratch = scratch;
    report("attn 1 query, 2048 keys", "GB/s", 2048.0 * 64 * 8, run_attn, b);
    rt_free(scratch);
}

static inline void bench_kernels(const rt_kernels *k)
{
    bench b = {.k = k};
    float **all[] = {&b.x, &b.y, &b.z, &b.w, &b.v};
    for (int i = 0; i < 5; i++) {
        *all[i] = new_random(BENCH_N, 30 + (uint64_t)i);
    }
    k->scale(b.v, 0.0f, BENCH_N);
    b.h = rt_calloc(BENCH_N, sizeof *b.h);
    double n = BENCH_N, td = (double)BENCH_T * BENCH_D, tf = (double)BENCH_T * BENCH_F;
    report("f32_to_bf16 16 MiB", "GB/s", n * 6, run_to_bf16, &b);
    report("axpy 16 MiB", "GB/s", n * 12, run_axpy, &b);
    report("sum_squares 16 MiB", "GB/s", n * 4, run_squares, &b);
    report("rmsnorm 512 x 576", "GB/s", td * 6, run_norm, &b);
    report("rmsnorm_backward 512 x 576", "GB/s", td * 16, run_norm_backward, &b);
    report("rope 512 x 9 x 64", "GB/s", td * 8, run_rope, &b);
    report("glu 512 x 1536", "GB/s", tf * 10, run_glu, &b);
    report("glu_backward 512 x 1536", "GB/s", tf * 16, run_glu_backward, &b);
    report("logsumexp 16 x 49152", "G/s", 16.0 * BENCH_V, run_lse, &b);
    report("matvec f32 1 row", "GB/s", n * 4, run_matvec, &b);
    report("matvec bf16 1 row", "GB/s", n * 2, run_matvec_bf16, &b);
    report("matvec bf16 32 rows", "GF/s", 64.0 * BENCH_F * BENCH_D, run_matvec_batch, &b);
    bench_attention(&b, 512);
    bench_attention(&b, 2048);
    bench_attention(&b, 4096);
    bench_decode(&b);
    report("adamw 4 M", "GB/s", n * 30, run_adamw, &b);
    for (int i = 0; i < 5; i++) {
        drop_floats(*all[i], BENCH_N);
    }
    rt_free(b.h);
}

#endif
