/* jsonl.c - JSON lines over a mapped file, one object a line. */
#include <string.h>

#include "format/json.h"

rt_status rt_jsonl_open(rt_jsonl *r, const char *path, rt_err *err)
{
    static const uint8_t bom[3] = {0xef, 0xbb, 0xbf};
    *r = (rt_jsonl){.path = path};
    rt_status st = rt_map_open(&r->map, path, err);
    if (st == RT_OK && r->map.size >= sizeof bom && memcmp(r->map.data, bom, sizeof bom) == 0) {
        r->at = sizeof bom;
    }
    return st;
}

void rt_jsonl_close(rt_jsonl *r)
{
    rt_map_close(&r->map);
}

static bool is_blank(const uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (p[i] != ' ' && p[i] != '\t' && p[i] != '\r') {
            return false;
        }
    }
    return true;
}

/* The next line without its end; false when there is none. */
static bool next_line(rt_jsonl *r, const uint8_t **line, size_t *n)
{
    if (r->at >= r->map.size) {
        return false;
    }
    *line = r->map.data + r->at;
    size_t left = r->map.size - r->at;
    const uint8_t *end = memchr(*line, '\n', left);
    *n = end ? (size_t)(end - *line) : left;
    r->at += *n + (end != NULL);
    r->line++;
    return true;
}

rt_status rt_jsonl_next(rt_jsonl *r, json_t **out, rt_err *err)
{
    const uint8_t *line;
    size_t n;
    *out = NULL;
    do {
        if (!next_line(r, &line, &n)) {
            return RT_OK;
        }
    } while (is_blank(line, n));

    rt_err inner = {0};
    rt_status st = rt_json_parse(out, line, n, "record", &inner);
    if (st != RT_OK) {
        return rt_fail(err, st, r->line, "'%s' line %llu: %s", r->path, (unsigned long long)r->line, inner.msg);
    }
    if (!json_is_object(*out)) {
        json_decref(*out);
        *out = NULL;
        return rt_fail(err, RT_INPUT, r->line, "'%s' line %llu: not a JSON object", r->path,
                       (unsigned long long)r->line);
    }
    return RT_OK;
}
