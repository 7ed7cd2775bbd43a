/* hash.h - SHA-256 (OpenSSL) for what is recorded, XXH3-64 for look-up. */
#ifndef RT_CORE_HASH_H
#define RT_CORE_HASH_H

#include <stdint.h>

#include "core/err.h"

typedef struct rt_sha256 {
    void *ctx;
} rt_sha256;
typedef struct rt_digest {
    uint8_t b[32];
} rt_digest;

RT_MUST_USE rt_status rt_sha256_open(rt_sha256 *h, rt_err *err);
void rt_sha256_add(rt_sha256 *h, const void *p, size_t n);
rt_digest rt_sha256_close(rt_sha256 *h); /* finishes and frees */
rt_digest rt_sha256_of(const void *p, size_t n);
/* `hex` gets 64 characters and NUL. */
void rt_digest_hex(rt_digest d, char hex[65]);
int rt_digest_parse(const char *hex, rt_digest *out); /* 0 on success */

/* Hash of a file. Remembered in `memo` (path of a small JSON file, may be NULL) by (path, size, mtime, inode). */
RT_MUST_USE rt_status rt_file_sha256(const char *path, const char *memo, rt_digest *out, rt_err *err);

uint64_t rt_xxh64(const void *p, size_t n);

#endif
