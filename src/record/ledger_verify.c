/* ledger_verify.c - reading a ledger: the whole chain with its counts, one text against its hash, marks. */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "format/json.h"
#include "record/chain.h"
#include "record/ledger.h"

/* ---- the whole chain ---- */

static rt_status tally(void *ud, const rt_chain *c, const json_t *entry, rt_err *err)
{
    rt_ledger_report *r = ud;
    const char *kind = rt_json_str(entry, "kind", ""), *cache = rt_json_str(entry, "cache", NULL);
    bool ok = true;
    if (strcmp(kind, "open") == 0) {
        ok = json_array_append(r->permits, json_object_get(entry, "permit")) == 0;
    } else if (strcmp(kind, "output") == 0) {
        r->unstated += rt_json_str(entry, "origin", NULL) == NULL;
        if (cache) {
            int64_t n = rt_json_i64(r->caches, cache, 0) + rt_json_i64(entry, "positions", 0);
            ok = json_object_set_new(r->caches, cache, json_integer(n)) == 0;
        }
    }
    return ok ? RT_OK : rt_fail(err, RT_MEMORY, c->at.entries, "no memory to verify a ledger");
}

rt_status rt_ledger_verify_bytes(rt_ledger_report *out, const void *p, size_t n, const char *what, rt_err *err)
{
    rt_chain c = {0};
    *out = (rt_ledger_report){.caches = json_object(), .permits = json_array()};
    rt_status st = out->caches && out->permits ? rt_chain_read(&c, p, n, UINT64_MAX, what, tally, out, err)
                                               : rt_fail(err, RT_MEMORY, 0, "no memory to verify a ledger");
    if (st == RT_OK && c.at.entries == 0) {
        st = rt_fail(err, RT_INPUT, 0, "ledger '%s' has no entries", what);
    }
    out->mark = c.at;
    out->closed = st == RT_OK && !c.in_session;
    out->torn = c.end < n;
    out->repeated = c.repeated;
    if (st != RT_OK) {
        rt_ledger_report_release(out);
    }
    return st;
}

rt_status rt_ledger_verify(rt_ledger_report *out, const char *path, rt_err *err)
{
    rt_map map = {0};
    char *salts = rt_salts_path(path);
    rt_status st = salts ? rt_map_open(&map, path, err) : rt_fail(err, RT_MEMORY, 0, "no memory for a path");
    if (st == RT_OK) {
        st = rt_ledger_verify_bytes(out, map.data, map.size, path, err);
        rt_map_close(&map);
    }
    if (st == RT_OK) {
        int64_t size = rt_path_size(salts);
        out->has_salts = size >= 0 && (uint64_t)size / RT_SALT_BYTES >= out->mark.outputs;
    }
    rt_free(salts);
    return st;
}

void rt_ledger_report_release(rt_ledger_report *r)
{
    json_decref(r->caches);
    json_decref(r->permits);
    r->caches = r->permits = NULL;
}

/* ---- one text ---- */

typedef struct wanted {
    uint64_t index;
    bool found;
    char hex[65];
} wanted;

static rt_status look_for(void *ud, const rt_chain *c, const json_t *entry, rt_err *err)
{
    wanted *w = ud;
    (void)c;
    (void)err;
    if (strcmp(rt_json_str(entry, "kind", ""), "output") == 0 &&
        (uint64_t)rt_json_i64(entry, "output", -1) == w->index) {
        const char *hex = rt_json_str(entry, "salted_sha256", "");
        w->found = strlen(hex) == 64;
        memcpy(w->hex, w->found ? hex : "", w->found ? sizeof w->hex : 1);
    }
    return RT_OK;
}

static rt_status read_salt(const char *path, uint64_t index, uint8_t salt[RT_SALT_BYTES], rt_err *err)
{
    char *file = rt_salts_path(path);
    int fd = file ? open(file, O_RDONLY | O_CLOEXEC) : -1;
    bool ok = fd >= 0 && index <= INT64_MAX / RT_SALT_BYTES &&
              pread(fd, salt, RT_SALT_BYTES, (off_t)(index * RT_SALT_BYTES)) == RT_SALT_BYTES;
    rt_status st =
        ok ? RT_OK
           : rt_fail(err, RT_NOT_FOUND, 0, "no salt for output %llu of ledger '%s'", (unsigned long long)index, path);
    if (fd >= 0) {
        close(fd);
    }
    rt_free(file);
    return st;
}

rt_status rt_ledger_match(const char *path, uint64_t index, const void *text, size_t n, bool *same, rt_err *err)
{
    rt_status st = RT_OK;
    rt_map map = {0};
    rt_chain c = {0};
    wanted w = {.index = index};
    uint8_t salt[RT_SALT_BYTES];
    char hex[65];
    bool ok = false;
    *same = false;
    RT_TRY(rt_map_open(&map, path, err));
    RT_TRY(rt_chain_read(&c, map.data, map.size, UINT64_MAX, path, look_for, &w, err));
    if (!w.found) {
        RT_FAIL_OUT(err, RT_NOT_FOUND, 0, "ledger '%s' has no text hash for output %llu", path,
                    (unsigned long long)index);
    }
    RT_TRY(read_salt(path, index, salt, err));
    rt_digest_hex(rt_salted_hash(salt, text, n, &ok), hex);
    if (!ok) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory to hash a text");
    }
    *same = memcmp(hex, w.hex, 64) == 0;
out:
    rt_map_close(&map);
    return st;
}

/* ---- marks ---- */

json_t *rt_ledger_mark_json(const rt_ledger_mark *m)
{
    char hex[65];
    rt_digest_hex(m->head, hex);
    return json_pack("{s:I, s:I, s:I, s:s}", "entries", (json_int_t)m->entries, "outputs", (json_int_t)m->outputs,
                     "positions", (json_int_t)m->positions, "head", hex);
}

bool rt_ledger_mark_parse(const json_t *o, rt_ledger_mark *out)
{
    int64_t e = rt_json_i64(o, "entries", -1), k = rt_json_i64(o, "outputs", -1), p = rt_json_i64(o, "positions", -1);
    *out = (rt_ledger_mark){0};
    if (e < 0 || k < 0 || p < 0 || rt_digest_parse(rt_json_str(o, "head", ""), &out->head) != 0) {
        return false;
    }
    out->entries = (uint64_t)e;
    out->outputs = (uint64_t)k;
    out->positions = (uint64_t)p;
    return true;
}
