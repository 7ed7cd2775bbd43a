/* markup.h - what every page and picture must be: well-formed XML without anything that acts or is fetched. */
#ifndef RT_TESTS_MARKUP_H
#define RT_TESTS_MARKUP_H

#include "rt_test.h"

/* Length of the name at `p`. */
static inline size_t name_length(const char *p)
{
    return strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-:");
}

/* An entity that XML knows, at `p`, which is '&'. */
static inline void check_entity(const char *p)
{
    static const char *const known[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strncmp(p, known[i], strlen(known[i])) == 0) {
            return;
        }
    }
    fail_msg("not an entity: %.20s", p);
}

/* Attributes name="value" from `p` up to '>'; returns where that is. *closed: the tag ends in "/>". */
static inline const char *check_attributes(const char *p, bool *closed)
{
    *closed = false;
    for (;;) {
        p += strspn(p, " ");
        if (*p == '/') {
            *closed = true;
            p++;
        }
        if (*p == '>') {
            return p;
        }
        size_t n = name_length(p);
        if (n == 0 || p[n] != '=' || p[n + 1] != '"') {
            fail_msg("not an attribute: %.40s", p);
        }
        if (strncmp(p, "on", 2) == 0 || strncmp(p, "src", 3) == 0 || strncmp(p, "style", 5) == 0 ||
            (strncmp(p, "href=", 5) == 0 && p[6] != '#')) {
            fail_msg("an attribute that acts or fetches: %.40s", p);
        }
        for (p += n + 2; *p != '"'; p++) {
            if (*p == '<' || *p == '\0') {
                fail_msg("an attribute without an end");
            }
            if (*p == '&') {
                check_entity(p);
            }
        }
        p++;
    }
}

/* Every element closed in order, attributes quoted, no element that acts. */
static inline void check_markup(const char *text)
{
    char open[64][24];
    size_t depth = 0;
    const char *p = text;
    if (strncmp(p, "<!DOCTYPE html>", 15) == 0) {
        p += 15;
    }
    for (; *p; p++) {
        if (*p == '&') {
            check_entity(p);
        }
        if (*p != '<') {
            continue;
        }
        bool ending = p[1] == '/', closed = false;
        const char *name = p + 1 + ending;
        size_t n = name_length(name);
        if (n == 0 || n >= sizeof open[0]) {
            fail_msg("not a tag: %.40s", p);
        }
        static const char *const active[] = {"script", "iframe", "object", "embed",        "link",
                                             "img",    "form",   "base",   "foreignObject"};
        for (size_t i = 0; i < sizeof active / sizeof *active; i++) {
            if (n == strlen(active[i]) && strncmp(name, active[i], n) == 0) {
                fail_msg("an element that acts: %.40s", p);
            }
        }
        p = check_attributes(name + n, &closed);
        if (ending) {
            if (depth == 0 || strlen(open[depth - 1]) != n || strncmp(open[depth - 1], name, n) != 0) {
                fail_msg("'%.*s' is closed where '%s' is open", (int)n, name, depth ? open[depth - 1] : "nothing");
            }
            depth--;
        } else if (!closed) {
            assert_true(depth < 64);
            memcpy(open[depth], name, n);
            open[depth++][n] = '\0';
        }
    }
    if (depth > 0) {
        fail_msg("'%s' is never closed", open[depth - 1]);
    }
}

/* How often `part` is in `text`. */
static inline size_t count_of(const char *text, const char *part)
{
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, part)) != NULL; p += strlen(part)) {
        n++;
    }
    return n;
}

#endif
