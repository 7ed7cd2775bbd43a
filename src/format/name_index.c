/* name_index.c - a sorted array of pointers to named items. */
#include "format/name_index.h"

#include <stdlib.h>
#include <string.h>

static const char *name_of(const void *item)
{
    return *(const char *const *)item;
}

static int compare_items(const void *a, const void *b)
{
    return strcmp(name_of(*(const void *const *)a), name_of(*(const void *const *)b));
}

rt_status rt_name_index_init(rt_name_index *x, const void *items, size_t n, size_t stride, const char **twice,
                             rt_err *err)
{
    *twice = NULL;
    rt_status st = RT_NEW(&x->item, n, "name index", err);
    if (st != RT_OK) {
        return st;
    }
    x->n = n;
    for (size_t i = 0; i < n; i++) {
        x->item[i] = (const char *)items + i * stride;
    }
    if (n > 1) {
        qsort(x->item, n, sizeof *x->item, compare_items);
    }
    for (size_t i = 1; i < n && !*twice; i++) {
        if (strcmp(name_of(x->item[i - 1]), name_of(x->item[i])) == 0) {
            *twice = name_of(x->item[i]);
        }
    }
    return RT_OK;
}

void rt_name_index_release(rt_name_index *x)
{
    rt_free(x->item);
    *x = (rt_name_index){0};
}

const void *rt_name_index_find(const rt_name_index *x, const char *name)
{
    size_t low = 0, high = x->n;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int c = strcmp(name, name_of(x->item[middle]));
        if (c == 0) {
            return x->item[middle];
        }
        if (c < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

bool rt_name_is_plain(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        if (c < 0x20 || c == 0x7f) {
            return false;
        }
    }
    return rt_utf8_valid(p, n);
}
