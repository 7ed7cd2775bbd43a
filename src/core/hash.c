/* hash.c - SHA-256 and XXH3-64 of bytes in memory. */
#include "core/hash.h"

#include <openssl/evp.h>
#include <string.h>
#include <xxhash.h>

rt_status rt_sha256_open(rt_sha256 *h, rt_err *err)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    h->ctx = ctx;
    if (!ctx || !EVP_DigestInit_ex(ctx, EVP_sha256(), NULL)) {
        EVP_MD_CTX_free(ctx);
        h->ctx = NULL;
        return rt_fail(err, RT_MEMORY, 0, "no memory for a hash context");
    }
    return RT_OK;
}

void rt_sha256_add(rt_sha256 *h, const void *p, size_t n)
{
    /* With a fixed algorithm and a live context there is no way to fail. */
    RT_BUG_IF(!EVP_DigestUpdate(h->ctx, p, n));
}

rt_digest rt_sha256_close(rt_sha256 *h)
{
    rt_digest d = {0};
    if (h->ctx) {
        RT_BUG_IF(!EVP_DigestFinal_ex(h->ctx, d.b, NULL));
        EVP_MD_CTX_free(h->ctx);
        h->ctx = NULL;
    }
    return d;
}

rt_digest rt_sha256_of(const void *p, size_t n)
{
    rt_digest d;
    RT_BUG_IF(!EVP_Digest(p, n, d.b, NULL, EVP_sha256(), NULL));
    return d;
}

void rt_digest_hex(rt_digest d, char hex[65])
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < sizeof d.b; i++) {
        hex[2 * i] = digits[d.b[i] >> 4];
        hex[2 * i + 1] = digits[d.b[i] & 15];
    }
    hex[64] = '\0';
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

int rt_digest_parse(const char *hex, rt_digest *out)
{
    rt_digest d;
    if (strlen(hex) != 2 * sizeof d.b) {
        return -1;
    }
    for (size_t i = 0; i < sizeof d.b; i++) {
        int hi = hex_value(hex[2 * i]), lo = hex_value(hex[2 * i + 1]);
        if (hi < 0 || lo < 0) {
            return -1;
        }
        d.b[i] = (uint8_t)(hi << 4 | lo);
    }
    *out = d;
    return 0;
}

uint64_t rt_xxh64(const void *p, size_t n)
{
    return XXH3_64bits(p, n);
}
