/* mem.c - the one door to the heap: aligned, counted blocks with a header that remembers their size. */
#define _GNU_SOURCE
#include "core/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define BLOCK_ALIGN 64
#define GROW_FIRST ((size_t)32)
#define HUGE_PAGE ((size_t)2 << 20)
#define HEADER_LIVE UINT64_C(0x52544f5254424c4b)
#define HEADER_FREED UINT64_C(0xdeadb10cdeadb10c)

/* Sits right before the caller's bytes; a whole cache line, so that the alignment carries over. */
typedef struct block_header {
    uint64_t magic;
    size_t size;      /* the caller's bytes */
    size_t map_bytes; /* length of the mapping, 0 for blocks of the C heap */
    char pad[BLOCK_ALIGN - sizeof(uint64_t) - 2 * sizeof(size_t)];
} block_header;
_Static_assert(sizeof(block_header) == BLOCK_ALIGN, "the header keeps blocks aligned");

static atomic_size_t live_bytes, peak_bytes;
static atomic_uint_fast64_t n_alloc;
static atomic_uint_fast64_t fail_from; /* value of n_alloc from which requests fail; 0 = never */

static bool request_refused(void)
{
    uint64_t seq = atomic_fetch_add_explicit(&n_alloc, 1, memory_order_relaxed) + 1;
    uint64_t from = atomic_load_explicit(&fail_from, memory_order_relaxed);
    return from != 0 && seq >= from;
}

static void count_live(size_t size)
{
    size_t live = atomic_fetch_add_explicit(&live_bytes, size, memory_order_relaxed) + size;
    size_t peak = atomic_load_explicit(&peak_bytes, memory_order_relaxed);
    while (live > peak && !atomic_compare_exchange_weak_explicit(&peak_bytes, &peak, live, memory_order_relaxed,
                                                                 memory_order_relaxed)) {
    }
}

static block_header *header_of(void *p)
{
    block_header *h = (block_header *)p - 1;
    RT_BUG_IF(h->magic != HEADER_LIVE); /* freed twice, or never ours */
    return h;
}

static void *block_open(void *base, size_t size, size_t map_bytes)
{
    block_header *h = base;
    *h = (block_header){.magic = HEADER_LIVE, .size = size, .map_bytes = map_bytes};
    count_live(size);
    return h + 1;
}

void *rt_malloc(size_t size)
{
    size_t total;
    void *base;
    if (request_refused() || !rt_add_size(size, sizeof(block_header), &total) ||
        posix_memalign(&base, BLOCK_ALIGN, total) != 0) {
        return NULL;
    }
    return block_open(base, size, 0);
}

void *rt_calloc(size_t n, size_t size)
{
    size_t total;
    void *p = rt_mul_size(n, size, &total) ? rt_malloc(total) : NULL;
    if (p) {
        memset(p, 0, total);
    }
    return p;
}

void *rt_realloc(void *p, size_t size)
{
    if (!p) {
        return rt_malloc(size);
    }
    size_t old = header_of(p)->size;
    void *q = rt_malloc(size);
    if (q) {
        memcpy(q, p, old < size ? old : size);
        rt_free(p);
    }
    return q;
}

void rt_free(void *p)
{
    if (!p) {
        return;
    }
    block_header *h = header_of(p);
    atomic_fetch_sub_explicit(&live_bytes, h->size, memory_order_relaxed);
    h->magic = HEADER_FREED;
    if (h->map_bytes) {
        munmap(h, h->map_bytes);
    } else {
        free(h);
    }
}

char *rt_strndup(const char *s, size_t n)
{
    size_t total;
    char *copy = rt_add_size(n, 1, &total) ? rt_malloc(total) : NULL;
    if (copy) {
        memcpy(copy, s, n);
        copy[n] = '\0';
    }
    return copy;
}

char *rt_strdup(const char *s)
{
    return rt_strndup(s, strlen(s));
}

rt_status rt_new(void **out, size_t n, size_t size, const char *what, rt_err *err)
{
    *out = rt_calloc(n, size);
    if (*out) {
        return RT_OK;
    }
    size_t total;
    if (!rt_mul_size(n, size, &total)) {
        return rt_fail(err, RT_MEMORY, 0, "%s: %zu elements of %zu bytes exceed the address space", what, n, size);
    }
    return rt_fail(err, RT_MEMORY, 0, "no memory for %s (%zu bytes)", what, total);
}

rt_status rt_grow(void **array, size_t n, size_t *cap, size_t size, const char *what, rt_err *err)
{
    size_t wanted = GROW_FIRST, bytes;
    if (n < *cap) {
        return RT_OK;
    }
    const bool fits = (*cap == 0 || rt_mul_size(*cap, 2, &wanted)) && rt_mul_size(wanted, size, &bytes);
    void *more = fits ? rt_realloc(*array, bytes) : NULL;
    if (!more) {
        return rt_fail(err, RT_MEMORY, 0, "no memory for more than %zu %s", n, what);
    }
    *array = more;
    *cap = wanted;
    return RT_OK;
}

/* A zeroed mapping that starts on a huge-page boundary; NULL when memory is out. */
static void *map_huge(size_t bytes)
{
    size_t with_slack;
    if (!rt_add_size(bytes, HUGE_PAGE, &with_slack)) {
        return NULL;
    }
    char *raw = mmap(NULL, with_slack, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (raw == MAP_FAILED) {
        return NULL;
    }
    size_t lead = (HUGE_PAGE - (uintptr_t)raw % HUGE_PAGE) % HUGE_PAGE;
    if (lead) {
        munmap(raw, lead);
    }
    if (HUGE_PAGE - lead) {
        munmap(raw + lead + bytes, HUGE_PAGE - lead);
    }
    madvise(raw + lead, bytes, MADV_HUGEPAGE);
    return raw + lead;
}

/* The address sanitizer watches the C heap only, so under it every block comes from there. */
static bool wants_mapping(size_t bytes)
{
#if defined(__SANITIZE_ADDRESS__)
    (void)bytes;
    return false;
#else
    return bytes >= 2 * HUGE_PAGE;
#endif
}

rt_status rt_new_big(void **out, size_t bytes, const char *what, rt_err *err)
{
    if (!wants_mapping(bytes)) {
        return rt_new(out, 1, bytes, what, err);
    }
    *out = NULL;
    size_t total;
    if (!request_refused() && rt_add_size(bytes, sizeof(block_header) + HUGE_PAGE - 1, &total)) {
        total = total / HUGE_PAGE * HUGE_PAGE;
        void *base = map_huge(total);
        if (base) {
            *out = block_open(base, bytes, total);
            return RT_OK;
        }
    }
    return rt_fail(err, RT_MEMORY, 0, "no memory for %s (%zu bytes)", what, bytes);
}

rt_mem_stats rt_mem_get_stats(void)
{
    return (rt_mem_stats){
        .live_bytes = atomic_load(&live_bytes),
        .peak_bytes = atomic_load(&peak_bytes),
        .n_alloc = atomic_load(&n_alloc),
    };
}

void rt_mem_fail_after(uint64_t n)
{
    atomic_store(&fail_from, n ? atomic_load(&n_alloc) + n : 0);
}

bool rt_mul_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

bool rt_add_size(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}
