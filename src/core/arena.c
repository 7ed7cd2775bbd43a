/* arena.c - many small objects with one lifetime, cut from a list of larger blocks. */
#include <string.h>

#include "core/mem.h"

#define ARENA_ALIGN 16
#define ARENA_BLOCK ((size_t)64 << 10)

typedef struct rt_arena_block {
    struct rt_arena_block *next;
    size_t used, size; /* bytes of data */
    _Alignas(ARENA_ALIGN) char data[];
} rt_arena_block;

/* An object larger than a block gets one of its own. */
static rt_arena_block *block_new(size_t need)
{
    size_t size = need > ARENA_BLOCK ? need : ARENA_BLOCK, total;
    rt_arena_block *b = rt_add_size(size, sizeof *b, &total) ? rt_calloc(1, total) : NULL;
    if (b) {
        b->size = size;
    }
    return b;
}

void *rt_arena_alloc(rt_arena *a, size_t size)
{
    size_t need;
    if (!rt_add_size(size, ARENA_ALIGN - 1, &need)) {
        return NULL;
    }
    need &= ~(size_t)(ARENA_ALIGN - 1);
    rt_arena_block *b = a->head;
    if (!b || b->size - b->used < need) {
        b = block_new(need);
        if (!b) {
            return NULL;
        }
        b->next = a->head;
        a->head = b;
    }
    void *p = b->data + b->used;
    b->used += need;
    return p;
}

char *rt_arena_strndup(rt_arena *a, const char *s, size_t n)
{
    size_t total;
    char *copy = rt_add_size(n, 1, &total) ? rt_arena_alloc(a, total) : NULL;
    if (copy && n) {
        memcpy(copy, s, n);
    }
    return copy;
}

void rt_arena_release(rt_arena *a)
{
    while (a->head) {
        rt_arena_block *next = a->head->next;
        rt_free(a->head);
        a->head = next;
    }
}
