/* utf8.c - decoding by table 3-7 of the Unicode standard, repair, and normal form C. */
#include "text/utf8.h"

#include <utf8proc.h>

/* Length of the sequence that `lead` opens (0: none) and the range its second byte must lie in. */
static size_t sequence_of(uint8_t lead, uint8_t *lo, uint8_t *hi)
{
    *lo = 0x80;
    *hi = 0xBF;
    if (lead < 0x80) {
        return 1;
    }
    if (lead >= 0xC2 && lead <= 0xDF) {
        return 2;
    }
    if (lead >= 0xE0 && lead <= 0xEF) {
        *lo = lead == 0xE0 ? 0xA0 : 0x80; /* no overlong form */
        *hi = lead == 0xED ? 0x9F : 0xBF; /* no surrogate */
        return 3;
    }
    if (lead >= 0xF0 && lead <= 0xF4) {
        *lo = lead == 0xF0 ? 0x90 : 0x80;
        *hi = lead == 0xF4 ? 0x8F : 0xBF; /* nothing above U+10FFFF */
        return 4;
    }
    return 0;
}

size_t rt_utf8_char(const char *p, size_t n, size_t *part, uint32_t *cp)
{
    uint8_t lo, hi;
    uint8_t lead = (uint8_t)p[0];
    size_t len = sequence_of(lead, &lo, &hi);
    if (len <= 1) {
        *part = 1;
        if (cp) {
            *cp = lead;
        }
        return len;
    }
    uint32_t c = lead & (0xFFu >> (len + 1));
    for (size_t i = 1; i < len; i++) {
        uint8_t b = i < n ? (uint8_t)p[i] : 0;
        if (b < lo || b > hi) {
            *part = i;
            return 0;
        }
        c = c << 6 | (b & 0x3Fu);
        lo = 0x80;
        hi = 0xBF;
    }
    *part = len;
    if (cp) {
        *cp = c;
    }
    return len;
}

void rt_utf8_repair(rt_str *out, const char *text, size_t n)
{
    size_t good = 0; /* start of the well-formed run not yet copied */
    for (size_t i = 0; i < n;) {
        size_t part;
        bool ok = rt_utf8_char(text + i, n - i, &part, NULL) > 0;
        if (!ok) {
            rt_str_add(out, text + good, i - good);
            rt_str_add(out, "\xEF\xBF\xBD", 3);
            good = i + part;
        }
        i += part;
    }
    rt_str_add(out, text + good, n - good);
}

void rt_utf8_add(rt_str *out, uint32_t cp)
{
    utf8proc_uint8_t buf[4];
    utf8proc_ssize_t n = utf8proc_encode_char((utf8proc_int32_t)cp, buf);
    rt_str_add(out, buf, (size_t)n);
}

rt_status rt_utf8_nfc(rt_str *out, const char *text, size_t n, rt_err *err)
{
    const utf8proc_option_t options = UTF8PROC_STABLE | UTF8PROC_COMPOSE;
    const utf8proc_uint8_t *p = (const utf8proc_uint8_t *)text;
    utf8proc_int32_t *buf = NULL;
    rt_status st = RT_OK;
    utf8proc_ssize_t len = utf8proc_decompose(p, (utf8proc_ssize_t)n, NULL, 0, options);
    if (len < 0) {
        return rt_fail(err, RT_INPUT, 0, "normalising text: %s", utf8proc_errmsg(len));
    }
    /* One more: reencode ends its output with a zero byte. */
    RT_TRY(RT_NEW(&buf, (size_t)len + 1, "normal form C", err));
    len = utf8proc_decompose(p, (utf8proc_ssize_t)n, buf, len, options);
    if (len >= 0) {
        len = utf8proc_reencode(buf, len, options);
    }
    if (len < 0) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "normalising text: %s", utf8proc_errmsg(len));
    }
    rt_str_add(out, buf, (size_t)len);
out:
    rt_free(buf);
    return st;
}
