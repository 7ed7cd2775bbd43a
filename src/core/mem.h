/* mem.h - the one door to the heap. Counts what is live and the peak, can be made to fail on purpose.
 * Blocks are 64-byte aligned so that kernels may use aligned loads. rt_free accepts NULL. */
#ifndef RT_CORE_MEM_H
#define RT_CORE_MEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/err.h"

/* NULL when memory is out (or made to be); size 0 gives a valid block. */
void *rt_malloc(size_t size);
void *rt_calloc(size_t n, size_t size); /* checks n * size */
void *rt_realloc(void *p, size_t size);
void rt_free(void *p);
char *rt_strdup(const char *s);
char *rt_strndup(const char *s, size_t n);

/* The same with the error filled: *out = block or RT_MEMORY with "what" in the message. */
RT_MUST_USE rt_status rt_new(void **out, size_t n, size_t size, const char *what, rt_err *err);
/* Zeroed array: RT_TRY(RT_NEW(&p, n, "token ids", err)) */
#define RT_NEW(pp, n, what, err) rt_new((void **)(pp), (n), sizeof **(pp), (what), (err))

/* Room for one more in an array of n elements, *cap of them allocated: doubled when it is full, with the error filled
 * and the array as it was where that fails. RT_TRY(RT_GROW(&list, n, &cap, "words", err)); list[n++] = ... */
RT_MUST_USE rt_status rt_grow(void **array, size_t n, size_t *cap, size_t size, const char *what, rt_err *err);
#define RT_GROW(pp, n, cap, what, err) rt_grow((void **)(pp), (n), (cap), sizeof **(pp), (what), (err))

/* Large numeric block, zeroed, huge-page advised; rt_free releases it. */
RT_MUST_USE rt_status rt_new_big(void **out, size_t bytes, const char *what, rt_err *err);

typedef struct rt_mem_stats {
    size_t live_bytes, peak_bytes;
    uint64_t n_alloc; /* allocations since start; equal before and after a step that allocates nothing */
} rt_mem_stats;
rt_mem_stats rt_mem_get_stats(void);
/* Test seam: the n-th allocation from now (1 = next) and all later ones fail; 0 switches off. */
void rt_mem_fail_after(uint64_t n);

/* Overflow-checked size arithmetic: false on overflow. */
bool rt_mul_size(size_t a, size_t b, size_t *out);
bool rt_add_size(size_t a, size_t b, size_t *out);

/* Arena: many small objects with one lifetime. Zero-initialise, then release. */
typedef struct rt_arena {
    struct rt_arena_block *head;
} rt_arena;
void *rt_arena_alloc(rt_arena *a, size_t size); /* zeroed, 16-byte aligned, NULL when memory is out */
char *rt_arena_strndup(rt_arena *a, const char *s, size_t n);
void rt_arena_release(rt_arena *a);

#endif
