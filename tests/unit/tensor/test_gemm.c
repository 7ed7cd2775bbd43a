/* test_gemm.c - matrix products: right in every arrangement, inside their bounds, the same bits at any team size.
 * `test_gemm --bench [THREADS]` times the shapes of a small student instead. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "tensor/gemm.h"
#include "tensor/kernels.h"

enum { GUARD = 64 };
static const float GUARD_VALUE = 12345.0f;

typedef struct fixture {
    rt_gemm g;
    float *a, *b; /* values as the product sees them */
    void *a16, *b16;
    float *block;  /* C between guards, rows of ldc > n */
    float *before; /* C's content before the product */
} fixture;

static uint32_t state = 1;

static float uniform(void)
{
    state = state * 1664525u + 1013904223u;
    return (float)(state >> 8) / (1 << 23) - 1.0f;
}

static float *random_floats(int64_t n)
{
    float *x = rt_malloc((size_t)n * sizeof *x);
    for (int64_t i = 0; i < n; i++) {
        x[i] = uniform();
    }
    return x;
}

static void *to_bf16(float *x, int64_t n)
{
    uint16_t *y = rt_malloc((size_t)n * sizeof *y);
    rt_kernels_get()->f32_to_bf16(y, x, n);
    rt_kernels_get()->bf16_to_f32(x, y, n);
    return y;
}

static int64_t block_floats(const rt_gemm *g)
{
    return g->m * g->ldc + 2 * GUARD;
}

static void fill_c(fixture *f)
{
    for (int64_t i = 0; i < block_floats(&f->g); i++) {
        f->block[i] = GUARD_VALUE;
    }
    for (int64_t i = 0; i < f->g.m; i++) {
        memcpy(f->g.c + i * f->g.ldc, f->before + i * f->g.n, (size_t)f->g.n * sizeof(float));
    }
}

static fixture setup(int64_t m, int64_t n, int64_t k, rt_dtype type, bool ta, bool tb, bool accumulate)
{
    fixture f = {.g = {.m = m, .n = n, .k = k, .type = type, .trans_a = ta, .trans_b = tb, .accumulate = accumulate}};
    f.g.lda = (ta ? m : k) + 3;
    f.g.ldb = (tb ? k : n) + 5;
    f.g.ldc = n + 2;
    int64_t na = (ta ? k : m) * f.g.lda, nb = (tb ? n : k) * f.g.ldb;
    f.a = random_floats(na);
    f.b = random_floats(nb);
    f.before = random_floats(m * n);
    if (type == RT_BF16) {
        f.a16 = to_bf16(f.a, na);
        f.b16 = to_bf16(f.b, nb);
    }
    f.g.a = type == RT_BF16 ? f.a16 : f.a;
    f.g.b = type == RT_BF16 ? f.b16 : f.b;
    f.block = rt_malloc((size_t)block_floats(&f.g) * sizeof(float));
    f.g.c = f.block + GUARD;
    fill_c(&f);
    return f;
}

static void teardown(fixture *f)
{
    rt_free(f->a);
    rt_free(f->b);
    rt_free(f->a16);
    rt_free(f->b16);
    rt_free(f->block);
    rt_free(f->before);
}

/* Element (i, j) in double, and the sum of the absolute products, which scales the rounding of any order of summing. */
static double exact(const fixture *f, int64_t i, int64_t j, double *size)
{
    const rt_gemm *g = &f->g;
    double sum = g->accumulate ? f->before[i * g->n + j] : 0;
    *size = fabs(sum);
    for (int64_t p = 0; p < g->k; p++) {
        double x = f->a[g->trans_a ? p * g->lda + i : i * g->lda + p];
        double y = f->b[g->trans_b ? j * g->ldb + p : p * g->ldb + j];
        sum += x * y;
        *size += fabs(x * y);
    }
    return sum;
}

static void check_guards(const fixture *f)
{
    const rt_gemm *g = &f->g;
    for (int64_t i = 0; i < GUARD; i++) {
        assert_true(f->block[i] == GUARD_VALUE);
        assert_true(g->c[g->m * g->ldc + i] == GUARD_VALUE);
    }
    for (int64_t i = 0; i < g->m; i++) {
        for (int64_t j = g->n; j < g->ldc; j++) {
            assert_true(g->c[i * g->ldc + j] == GUARD_VALUE);
        }
    }
}

/* Elements (i, j) on a lattice of the given steps. */
static void check_values(const fixture *f, int64_t step_i, int64_t step_j)
{
    const rt_gemm *g = &f->g;
    for (int64_t i = 0; i < g->m; i += step_i) {
        for (int64_t j = 0; j < g->n; j += step_j) {
            double size, want = exact(f, i, j, &size), got = g->c[i * g->ldc + j];
            if (!(fabs(got - want) <= 2e-6 * size + 1e-30)) {
                fail_msg("%ldx%ldx%ld %s ta %d tb %d acc %d: c[%ld,%ld] is %.9g, expected %.9g", (long)g->m, (long)g->n,
                         (long)g->k, rt_dtype_name(g->type), g->trans_a, g->trans_b, g->accumulate, (long)i, (long)j,
                         got, want);
            }
        }
    }
}

static void run_and_check(int64_t m, int64_t n, int64_t k, int arrangement, int64_t step_i, int64_t step_j)
{
    fixture f = setup(m, n, k, arrangement & 8 ? RT_BF16 : RT_F32, arrangement & 1, arrangement & 2, arrangement & 4);
    rt_gemm_run(&f.g);
    check_guards(&f);
    check_values(&f, step_i, step_j);
    teardown(&f);
}

static void small_odd_sizes_match_the_double_loop(void **unused)
{
    (void)unused;
    for (int i = 0; i < 160; i++) {
        int64_t m = 1 + (int64_t)(fabsf(uniform()) * 70), n = 1 + (int64_t)(fabsf(uniform()) * 70);
        run_and_check(m, n, 1 + (int64_t)(fabsf(uniform()) * 70), i % 16, 1, 1);
    }
}

static void several_tiles_match_the_double_loop(void **unused)
{
    (void)unused;
    for (int arrangement = 0; arrangement < 16; arrangement++) {
        run_and_check(300, 1100, 270, arrangement, 37, 29);
        run_and_check(513, 2049, 65, arrangement, 31, 41);
    }
}

static void student_shapes_match_the_double_loop(void **unused)
{
    (void)unused;
    for (int type = 0; type < 16; type += 8) {
        run_and_check(2048, 576, 576, type | 2, 311, 97);
        run_and_check(256, 49152, 576, type | 2, 83, 1999);
        run_and_check(2048, 3072, 576, type, 311, 397);
        run_and_check(49152, 576, 256, type | 1 | 4, 4801, 97);
    }
}

static void every_level_is_right(void **unused)
{
    (void)unused;
    rt_isa top = rt_cpu_get()->isa;
    for (int isa = RT_ISA_GENERIC; isa <= (int)top; isa++) {
        rt_cpu_force_isa(isa);
        print_message("%s: %s\n", rt_isa_name(isa), rt_gemm_backend());
        for (int arrangement = 0; arrangement < 16; arrangement++) {
            run_and_check(67, 141, 530, arrangement, 1, 3);
            run_and_check(1, 33, 7, arrangement, 1, 1);
        }
    }
    rt_cpu_force_isa(top);
}

static void an_empty_sum_clears_or_keeps(void **unused)
{
    (void)unused;
    for (int accumulate = 0; accumulate < 2; accumulate++) {
        fixture f = setup(5, 7, 0, RT_F32, false, false, accumulate);
        rt_gemm_run(&f.g);
        check_guards(&f);
        check_values(&f, 1, 1);
        teardown(&f);
    }
}

static void bits_do_not_depend_on_the_team(void **unused)
{
    (void)unused;
    int before = rt_team_threads();
    for (int arrangement = 0; arrangement < 16; arrangement++) {
        fixture f = setup(600, 1100, 700, arrangement & 8 ? RT_BF16 : RT_F32, arrangement & 1, arrangement & 2,
                          arrangement & 4);
        size_t bytes = (size_t)block_floats(&f.g) * sizeof(float);
        float *first = rt_malloc(bytes);
        for (int threads = 1; threads <= 4; threads *= 2) {
            rt_team_set_threads(threads);
            fill_c(&f);
            rt_gemm_run(&f.g);
            if (threads == 1) {
                memcpy(first, f.block, bytes);
            }
            assert_memory_equal(first, f.block, bytes);
        }
        rt_free(first);
        teardown(&f);
    }
    rt_team_set_threads(before);
}

static void a_second_pass_makes_no_primitive(void **unused)
{
    (void)unused;
    fixture f[16];
    for (int i = 0; i < 16; i++) {
        f[i] = setup(300 + i, 600, 128, i & 8 ? RT_BF16 : RT_F32, i & 1, i & 2, i & 4);
        rt_gemm_run(&f[i].g);
    }
    int64_t n = rt_gemm_n_primitives();
    uint64_t n_alloc = rt_mem_get_stats().n_alloc;
    for (int i = 0; i < 16; i++) {
        rt_gemm_run(&f[i].g);
    }
    assert_int_equal(rt_gemm_n_primitives(), n);
    assert_int_equal(rt_mem_get_stats().n_alloc, n_alloc);
    for (int i = 0; i < 16; i++) {
        teardown(&f[i]);
    }
}

/* Ragged row counts: more shapes than the cache keeps. */
static void the_cache_of_shapes_is_bounded(void **unused)
{
    (void)unused;
    float a[64] = {0}, b[64] = {0}, c[64];
    rt_gemm g = {.m = 1, .n = 1, .k = 1, .type = RT_BF16, .a = a, .b = b, .c = c, .lda = 1, .ldb = 1, .ldc = 1};
    int64_t start = rt_gemm_n_primitives();
    rt_gemm_run(&g);
    if (rt_gemm_n_primitives() == start) {
        return; /* no primitives at this level */
    }
    for (int i = 0; i < 4200; i++) {
        g.ldc = 2 + i;
        rt_gemm_run(&g);
    }
    assert_true(rt_gemm_n_primitives() <= 4096);
    assert_true(rt_gemm_n_primitives() > start);
}

static void the_product_survives_a_failing_heap(void **unused)
{
    (void)unused;
    fixture f = setup(61, 93, 211, RT_BF16, false, true, false);
    rt_mem_fail_after(1);
    rt_gemm_run(&f.g);
    rt_mem_fail_after(0);
    check_guards(&f);
    check_values(&f, 1, 1);
    teardown(&f);
}

/* --- bench --- */

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double best_rate(int64_t m, int64_t n, int64_t k, rt_dtype type, bool ta, bool tb, bool accumulate)
{
    size_t size = type == RT_BF16 ? 2 : 4;
    rt_gemm g = {.m = m, .n = n, .k = k, .type = type, .trans_a = ta, .trans_b = tb, .accumulate = accumulate};
    g.lda = ta ? m : k;
    g.ldb = tb ? k : n;
    g.ldc = n;
    void *a = rt_calloc((size_t)(m * k), size), *b = rt_calloc((size_t)(n * k), size);
    g.a = a;
    g.b = b;
    g.c = rt_calloc((size_t)(m * n), sizeof(float));
    double best = 1e9;
    for (int i = 0; i < 6; i++) {
        double t = seconds();
        rt_gemm_run(&g);
        t = seconds() - t;
        best = t < best ? t : best;
    }
    rt_free(a);
    rt_free(b);
    rt_free(g.c);
    return 2.0 * (double)m * (double)n * (double)k / best / 1e9;
}

static void bench(void)
{
    static const int64_t shapes[][3] = {{2048, 576, 576},  {2048, 192, 576},  {2048, 1536, 576},
                                        {2048, 3072, 576}, {2048, 576, 1536}, {4096, 576, 576},
                                        {512, 576, 576},   {256, 49152, 576}, {1024, 49152, 576}};
    printf("%s, %d threads, GF/s: forward Y = X W^T, input gradient dX = dY W, weight gradient dW += dY^T X\n",
           rt_gemm_backend(), rt_team_threads());
    for (int type = 0; type < 2; type++) {
        rt_dtype t = type ? RT_BF16 : RT_F32;
        printf("%-5s rows   out    in | forward    dX    dW\n", rt_dtype_name(t));
        for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
            int64_t m = shapes[i][0], n = shapes[i][1], k = shapes[i][2];
            printf("%10ld %5ld %5ld | %7.0f %5.0f %5.0f\n", (long)m, (long)n, (long)k,
                   best_rate(m, n, k, t, false, true, false), best_rate(m, k, n, t, false, false, false),
                   best_rate(n, k, m, t, true, false, true));
            fflush(stdout);
        }
    }
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--bench") == 0) {
        if (argc > 2) {
            rt_team_set_threads((int)strtol(argv[2], NULL, 10));
        }
        bench();
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_odd_sizes_match_the_double_loop), cmocka_unit_test(several_tiles_match_the_double_loop),
        cmocka_unit_test(student_shapes_match_the_double_loop),  cmocka_unit_test(every_level_is_right),
        cmocka_unit_test(an_empty_sum_clears_or_keeps),          cmocka_unit_test(bits_do_not_depend_on_the_team),
        cmocka_unit_test(a_second_pass_makes_no_primitive),      cmocka_unit_test(the_product_survives_a_failing_heap),
        cmocka_unit_test(the_cache_of_shapes_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
