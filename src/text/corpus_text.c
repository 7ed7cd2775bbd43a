/* corpus_text.c - a plain-text file: documents stand between lines of three or more dashes or stars. */
#include <string.h>

#include "text/corpus_impl.h"
#include "text/utf8.h"

static bool is_rule(const char *p, size_t n)
{
    while (n > 0 && (p[n - 1] == '\r' || p[n - 1] == ' ' || p[n - 1] == '\t')) {
        n--;
    }
    size_t same = 0;
    while (same < n && p[same] == p[0]) {
        same++;
    }
    return n >= 3 && same == n && (p[0] == '-' || p[0] == '*');
}

static bool is_blank(const char *p, size_t n)
{
    size_t i = 0;
    while (i < n && (p[i] == ' ' || (p[i] >= '\t' && p[i] <= '\r'))) {
        i++;
    }
    return i == n;
}

/* Line feeds at the ends of a document belong to the separator's layout. */
static rt_slice trim_lines(rt_slice s)
{
    while (s.n > 0 && (s.p[0] == '\n' || s.p[0] == '\r')) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && (s.p[s.n - 1] == '\n' || s.p[s.n - 1] == '\r')) {
        s.n--;
    }
    return s;
}

static rt_status add_document(rt_corpus_builder *b, rt_slice text, uint64_t line, rt_err *err)
{
    rt_status st = RT_OK;
    rt_document d;
    if (is_blank(text.p, text.n)) {
        return RT_OK;
    }
    rt_draft_begin(b, &d, line);
    RT_TRY(rt_draft_open(b, err));
    RT_TRY(rt_draft_add(b, text.p, text.n, 0, true, err));
    RT_TRY(rt_draft_end_text(b, false, err));
    d.text_hash = rt_sha256_of(text.p, text.n);
    RT_TRY(rt_draft_keep(b, &d, err));
out:
    return st;
}

/* Anything but UTF-8 is more likely a model, an archive or UTF-16 than text to learn from. */
static rt_status check_utf8(const char *text, size_t n, rt_err *err)
{
    for (size_t i = 0, part; i < n; i += part) {
        if (rt_utf8_char(text + i, n - i, &part, NULL) == 0) {
            return rt_fail(err, RT_INPUT, i, "byte %zu is not UTF-8 text", i);
        }
    }
    return RT_OK;
}

rt_status rt_corpus_add_text(rt_corpus_builder *b, const char *text, size_t n, rt_err *err)
{
    rt_status st = RT_OK;
    if (n >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0) {
        text += 3; /* byte order mark */
        n -= 3;
    }
    RT_TRY(check_utf8(text, n, err));
    size_t start = 0; /* of the document being read */
    uint64_t line = 1, first = 1;
    bool separated = false;
    for (size_t at = 0; at < n && !rt_corpus_full(b); line++) {
        const char *end = memchr(text + at, '\n', n - at);
        size_t next = end ? (size_t)(end - text) + 1 : n;
        if (is_rule(text + at, next - at - (end != NULL))) {
            RT_TRY(add_document(b, trim_lines((rt_slice){text + start, at - start}), first, err));
            separated = true;
            start = next;
            first = line + 1;
        }
        at = next;
    }
    if (n > start && !rt_corpus_full(b)) {
        rt_slice rest = {text + start, n - start};
        RT_TRY(add_document(b, separated ? trim_lines(rest) : rest, first, err));
    }
out:
    return st;
}
