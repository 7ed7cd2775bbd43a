/* num.h - arithmetic of counts. */
#ifndef RT_CORE_NUM_H
#define RT_CORE_NUM_H

#include <stdint.h>

static inline int64_t rt_least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

#endif
