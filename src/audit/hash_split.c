/* hash_split.c - see hash_split.h. */
#include "audit/hash_split.h"

#include <string.h>

rt_hash_split rt_hash_split_of(const char *name)
{
    return strcmp(name, "even-hash") == 0 ? RT_SPLIT_EVEN : strcmp(name, "odd-hash") == 0 ? RT_SPLIT_ODD : RT_SPLIT_ALL;
}

bool rt_hash_split_has(rt_hash_split split, const char *id)
{
    const rt_digest d = rt_sha256_of(id, strlen(id));
    const bool even = (d.b[sizeof d.b - 1] & 1) == 0;
    return split == RT_SPLIT_ALL || even == (split == RT_SPLIT_EVEN);
}
