/* test_mem.c - the allocator seam and arenas. */
#include "rt_test.h"

static void blocks_are_aligned_for_kernels(void **state)
{
    (void)state;
    for (size_t n = 0; n < 300; n += 37) {
        void *p = rt_malloc(n);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 64, 0);
        p = rt_realloc(p, 2 * n + 1);
        assert_int_equal((uintptr_t)p % 64, 0);
        rt_free(p);
    }
}

static void realloc_keeps_the_bytes(void **state)
{
    (void)state;
    unsigned char *p = rt_malloc(100);
    for (int i = 0; i < 100; i++) {
        p[i] = (unsigned char)i;
    }
    p = rt_realloc(p, 5000);
    p = rt_realloc(p, 50);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(p[i], i);
    }
    rt_free(p);
    p = rt_realloc(NULL, 8);
    assert_non_null(p);
    rt_free(p);
}

static void live_and_peak_are_counted(void **state)
{
    (void)state;
    rt_mem_stats before = rt_mem_get_stats();
    void *a = rt_malloc(1000), *b = rt_calloc(10, 100);
    rt_mem_stats during = rt_mem_get_stats();
    assert_int_equal(during.live_bytes, before.live_bytes + 2000);
    assert_int_equal(during.n_alloc, before.n_alloc + 2);
    assert_true(during.peak_bytes >= during.live_bytes);
    rt_free(a);
    rt_free(b);
    rt_free(NULL);
    rt_mem_stats after = rt_mem_get_stats();
    assert_int_equal(after.live_bytes, before.live_bytes);
    assert_int_equal(after.peak_bytes, during.peak_bytes);
}

static void an_array_grows_by_doubling_and_is_whole_when_it_cannot(void **state)
{
    (void)state;
    rt_err err = {0};
    uint16_t *list = NULL;
    size_t n = 0, cap = 0;
    const uint64_t before = rt_mem_get_stats().n_alloc;
    for (; n < 1000; n++) {
        assert_ok(RT_GROW(&list, n, &cap, "numbers", &err));
        list[n] = (uint16_t)n;
    }
    assert_true(cap >= 1000 && cap < 2000 && rt_mem_get_stats().n_alloc - before < 10);
    const size_t full = cap;
    rt_mem_fail_after(1);
    assert_int_equal(RT_GROW(&list, full, &cap, "numbers", &err), RT_MEMORY);
    rt_mem_fail_after(0);
    assert_says(err.msg, "numbers");
    assert_true(cap == full && list[999] == 999);
    size_t huge = SIZE_MAX / 2 + 1;
    assert_int_equal(RT_GROW(&list, huge, &huge, "numbers", &err), RT_MEMORY);
    huge = SIZE_MAX / 4 + 1;
    assert_int_equal(RT_GROW(&list, huge, &huge, "numbers", &err), RT_MEMORY);
    assert_true(list[0] == 0);
    rt_free(list);
}

static void size_overflow_is_refused(void **state)
{
    (void)state;
    size_t r;
    rt_err err = {0};
    double *p = NULL;
    assert_null(rt_calloc(SIZE_MAX / 2, 3));
    assert_null(rt_malloc(SIZE_MAX));
    assert_false(rt_mul_size(SIZE_MAX / 2, 3, &r));
    assert_true(rt_mul_size(6, 7, &r) && r == 42);
    assert_false(rt_add_size(SIZE_MAX, 1, &r));
    assert_true(rt_add_size(40, 2, &r) && r == 42);
    assert_int_equal(RT_NEW(&p, SIZE_MAX / 4, "moments", &err), RT_MEMORY);
    assert_null(p);
    assert_says(err.msg, "moments");
}

static void failure_on_purpose_starts_at_the_nth_and_stays(void **state)
{
    (void)state;
    rt_err err = {0};
    int *p = NULL;
    rt_mem_fail_after(3);
    void *a = rt_malloc(1), *b = rt_malloc(1), *c = rt_malloc(1), *d = rt_calloc(1, 1);
    rt_status st = RT_NEW(&p, 4, "token ids", &err), big = rt_new_big(&(void *){NULL}, 64 << 20, "weights", NULL);
    char *s = rt_strdup("x");
    void *kept = rt_realloc(a, 100);
    rt_mem_fail_after(0);
    assert_non_null(a);
    assert_non_null(b);
    assert_null(c);
    assert_null(d);
    assert_null(s);
    assert_null(kept); /* a is still ours */
    assert_int_equal(st, RT_MEMORY);
    assert_int_equal(big, RT_MEMORY);
    assert_says(err.msg, "token ids");
    assert_says(err.msg, "16 bytes");
    rt_free(a);
    rt_free(b);
    a = rt_malloc(1);
    assert_non_null(a);
    rt_free(a);
}

static void big_blocks_are_zeroed_and_returned(void **state)
{
    (void)state;
    rt_err err = {0};
    const size_t sizes[] = {1, 4096, ((size_t)4 << 20) - 1, ((size_t)4 << 20), ((size_t)9 << 20) + 12345};
    rt_mem_stats before = rt_mem_get_stats();
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        unsigned char *p = NULL;
        size_t n = sizes[i];
        assert_ok(rt_new_big((void **)&p, n, "weights", &err));
        assert_int_equal((uintptr_t)p % 64, 0);
        assert_int_equal(p[0] | p[n / 2] | p[n - 1], 0);
        memset(p, 0xff, n);
        assert_int_equal(rt_mem_get_stats().live_bytes, before.live_bytes + n);
        rt_free(p);
    }
    assert_int_equal(rt_mem_get_stats().live_bytes, before.live_bytes);
    void *none = NULL;
    assert_int_equal(rt_new_big(&none, SIZE_MAX - 100, "everything", &err), RT_MEMORY);
    assert_null(none);
}

static void strings_are_copied(void **state)
{
    (void)state;
    char *a = rt_strdup("retort"), *b = rt_strndup("retort", 3);
    assert_string_equal(a, "retort");
    assert_string_equal(b, "ret");
    rt_free(a);
    rt_free(b);
}

static void arena_objects_are_zeroed_apart_and_released_together(void **state)
{
    (void)state;
    rt_arena arena = {0};
    rt_mem_stats before = rt_mem_get_stats();
    unsigned char *last = NULL;
    for (size_t i = 0; i < 5000; i++) {
        unsigned char *p = rt_arena_alloc(&arena, 1 + i % 97);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % 16, 0);
        assert_int_equal(p[0] | p[i % 97], 0);
        memset(p, 0xee, 1 + i % 97);
        last = p;
    }
    unsigned char *large = rt_arena_alloc(&arena, 1 << 20);
    assert_int_equal(large[(1 << 20) - 1], 0);
    assert_int_equal(*last, 0xee);
    assert_string_equal(rt_arena_strndup(&arena, "teacher", 5), "teach");
    assert_null(rt_arena_alloc(&arena, SIZE_MAX));
    rt_arena_release(&arena);
    assert_null(arena.head);
    assert_int_equal(rt_mem_get_stats().live_bytes, before.live_bytes);
}

static void an_arena_survives_a_refused_block(void **state)
{
    (void)state;
    rt_arena arena = {0};
    assert_non_null(rt_arena_alloc(&arena, 10));
    rt_mem_fail_after(1);
    assert_null(rt_arena_alloc(&arena, 1 << 20));
    assert_non_null(rt_arena_alloc(&arena, 10)); /* still fits the first block */
    rt_mem_fail_after(0);
    rt_arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_aligned_for_kernels),
        cmocka_unit_test(realloc_keeps_the_bytes),
        cmocka_unit_test(live_and_peak_are_counted),
        cmocka_unit_test(an_array_grows_by_doubling_and_is_whole_when_it_cannot),
        cmocka_unit_test(size_overflow_is_refused),
        cmocka_unit_test(failure_on_purpose_starts_at_the_nth_and_stays),
        cmocka_unit_test(big_blocks_are_zeroed_and_returned),
        cmocka_unit_test(strings_are_copied),
        cmocka_unit_test(arena_objects_are_zeroed_apart_and_released_together),
        cmocka_unit_test(an_arena_survives_a_refused_block),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
