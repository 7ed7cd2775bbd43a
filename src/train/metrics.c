/* metrics.c - writes and cuts metrics.jsonl. */
#include "train/metrics.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

static rt_status open_at_end(rt_metrics *m, rt_err *err)
{
    m->f = fopen(m->path, "ab");
    return m->f ? RT_OK : rt_fail(err, RT_IO, 0, "cannot write '%s'", m->path);
}

static rt_status take_path(rt_metrics *m, const char *path, rt_err *err)
{
    *m = (rt_metrics){.path = rt_strdup(path)};
    return m->path ? RT_OK : rt_fail(err, RT_MEMORY, 0, "no memory for the path '%s'", path);
}

rt_status rt_metrics_create(rt_metrics *m, const char *path, const json_t *header, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str text = {0};
    RT_TRY(take_path(m, path, err));
    rt_json_append(&text, header);
    rt_str_putc(&text, '\n');
    if (text.failed) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for the header of '%s'", path);
    }
    RT_TRY(rt_file_write(path, text.p, text.n, err));
    m->bytes = (int64_t)text.n;
    RT_TRY(open_at_end(m, err));
out:
    rt_str_release(&text);
    if (st != RT_OK) {
        rt_metrics_close(m);
    }
    return st;
}

/* Largest "active" in the lines of text[0..n); a torn last line is skipped. */
static double largest_active(const char *text, size_t n)
{
    double most = 0;
    while (n > 0) {
        const char *nl = memchr(text, '\n', n);
        size_t len = nl ? (size_t)(nl - text) : n;
        json_t *o;
        if (nl && rt_json_parse(&o, text, len, "metrics", NULL) == RT_OK) {
            most = fmax(most, rt_json_f64(o, "active", 0));
            json_decref(o);
        }
        size_t used = nl ? len + 1 : len;
        text += used;
        n -= used;
    }
    return most;
}

rt_status rt_metrics_resume(rt_metrics *m, const char *path, int64_t bytes, double *last_active, rt_err *err)
{
    rt_status st = RT_OK;
    rt_map map = {0};
    *last_active = 0;
    RT_TRY(take_path(m, path, err));
    if (rt_path_size(path) < bytes) {
        RT_FAIL_OUT(err, RT_NOT_FOUND, 0, "'%s' is shorter than its checkpoint says", path);
    }
    RT_TRY(rt_map_open(&map, path, err));
    *last_active = largest_active((const char *)map.data + bytes, map.size - (size_t)bytes);
    if (map.size > (size_t)bytes) {
        RT_TRY(rt_file_write(path, map.data, (size_t)bytes, err));
    }
    m->bytes = bytes;
    RT_TRY(open_at_end(m, err));
out:
    rt_map_close(&map);
    if (st != RT_OK) {
        rt_metrics_close(m);
    }
    return st;
}

void rt_metrics_close(rt_metrics *m)
{
    if (m->f) {
        fclose(m->f);
    }
    rt_free(m->path);
    rt_str_release(&m->line);
    rt_str_release(&m->missing);
    *m = (rt_metrics){0};
}

void rt_metrics_begin(rt_metrics *m, const char *event)
{
    rt_str_clear(&m->line);
    rt_str_clear(&m->missing);
    rt_str_putc(&m->line, '{');
    if (event) {
        rt_metrics_str(m, "event", event);
    }
}

static void add_key(rt_str *s, const char *key)
{
    rt_str_printf(s, "%s\"%s\": ", s->n > 1 ? ", " : "", key);
}

void rt_metrics_int(rt_metrics *m, const char *key, int64_t v)
{
    add_key(&m->line, key);
    rt_str_printf(&m->line, "%lld", (long long)v);
}

void rt_metrics_num(rt_metrics *m, const char *key, double v)
{
    add_key(&m->line, key);
    if (isfinite(v)) {
        rt_json_append_real(&m->line, v);
        return;
    }
    rt_str_puts(&m->line, "null");
    rt_str_printf(&m->missing, "%s\"%s\"", m->missing.n ? ", " : "", key);
}

void rt_metrics_str(rt_metrics *m, const char *key, const char *v)
{
    add_key(&m->line, key);
    rt_json_append_text(&m->line, v, strlen(v));
}

rt_status rt_metrics_end(rt_metrics *m, rt_err *err)
{
    if (m->missing.n) {
        add_key(&m->line, "nonfinite");
        rt_str_printf(&m->line, "[%s]", rt_str_cstr(&m->missing));
    }
    rt_str_puts(&m->line, "}\n");
    if (m->line.failed || m->missing.failed) {
        return rt_fail(err, RT_MEMORY, 0, "no memory for a line of '%s'", m->path);
    }
    rt_status st = rt_fwrite(m->f, m->line.p, m->line.n, m->path, err);
    if (st != RT_OK) {
        return st;
    }
    if (fflush(m->f) != 0) {
        return rt_fail(err, RT_IO, 0, "cannot write '%s'", m->path);
    }
    m->bytes += (int64_t)m->line.n;
    return RT_OK;
}

rt_status rt_metrics_sync(rt_metrics *m, rt_err *err)
{
    if (fflush(m->f) != 0 || fsync(fileno(m->f)) != 0) {
        return rt_fail(err, RT_IO, 0, "cannot write '%s'", m->path);
    }
    return RT_OK;
}
