/* chain.c - seals and checks the lines of a ledger. The hash is taken over bytes as they stand in the file, so that
 * checking needs no canonical JSON: cut the last 75 bytes of a line, hash the rest. */
#include "record/chain.h"

#include <string.h>

#include "format/json.h"

/* ,"hash":"<64 hex>"} */
static const char tail_head[] = ",\"hash\":\"";
enum { TAIL_HEAD = sizeof tail_head - 1, TAIL = TAIL_HEAD + 64 + 2, LINE_BYTES = 1 << 22 };

char *rt_salts_path(const char *path)
{
    static const char ending[] = ".jsonl";
    rt_str s = {0};
    size_t n = strlen(path), k = sizeof ending - 1;
    rt_str_add(&s, path, n > k && strcmp(path + n - k, ending) == 0 ? n - k : n);
    rt_str_puts(&s, ".salts");
    char *out = s.failed ? NULL : rt_strdup(rt_str_cstr(&s));
    rt_str_release(&s);
    return out;
}

rt_digest rt_salted_hash(const uint8_t salt[RT_SALT_BYTES], const void *text, size_t n, bool *ok)
{
    rt_sha256 h;
    rt_digest none = {{0}};
    *ok = rt_sha256_open(&h, NULL) == RT_OK;
    if (!*ok) {
        return none;
    }
    rt_sha256_add(&h, salt, RT_SALT_BYTES);
    rt_sha256_add(&h, text, n);
    return rt_sha256_close(&h);
}

/* ---- what an entry does to the chain ---- */

static bool get_count(const json_t *entry, const char *key, uint64_t *out)
{
    const json_t *v = json_object_get(entry, key);
    *out = json_is_integer(v) && json_integer_value(v) >= 0 ? (uint64_t)json_integer_value(v) : 0;
    return json_is_integer(v) && json_integer_value(v) >= 0;
}

/* Moves the chain over a checked entry; returns what is wrong with its content, NULL when nothing is. */
static const char *apply(rt_chain *c, const json_t *entry)
{
    const char *kind = rt_json_str(entry, "kind", "");
    const json_t *anew;
    uint64_t a, b;
    if (strcmp(kind, "open") == 0) {
        const char *id = rt_json_str(json_object_get(entry, "permit"), "permit_id", "");
        if (strlen(id) != 64) {
            return "opening entry carries no permit";
        }
        memcpy(c->permit_id, id, 65);
        c->in_session = true;
    } else if (!c->in_session) {
        return "entry stands outside of a session";
    } else if (strcmp(kind, "output") == 0) {
        if (!get_count(entry, "output", &a) || a != c->at.outputs) {
            return "outputs are not numbered in order";
        }
        if (!get_count(entry, "positions", &b) || b > (uint64_t)INT64_MAX - c->at.positions) {
            return "output has no count of positions";
        }
        if (strncmp(rt_json_str(entry, "permit", ""), c->permit_id, 16) != 0) {
            return "output cites another permit";
        }
        c->at.outputs++;
        c->at.positions += b;
    } else if (strcmp(kind, "close") == 0) {
        if (!get_count(entry, "outputs", &a) || !get_count(entry, "positions", &b) || a != c->at.outputs ||
            b != c->at.positions) {
            return "closing counts do not agree with the entries";
        }
        c->in_session = false;
        c->settled = c->at.positions;
    } else if (strcmp(kind, "decision") != 0) {
        return "kind of entry is not known";
    } else if ((anew = json_object_get(json_object_get(entry, "decision"), RT_CHAIN_ANEW)) != NULL) {
        if (!get_count(anew, "positions", &b) || b != c->at.positions - c->settled) {
            return "a beginning anew repeats other positions than there are";
        }
        c->settled = c->at.positions;
        c->repeated += b;
    }
    c->at.entries++;
    return NULL;
}

/* ---- writing ---- */

/* A line that no reader would take would close the ledger for good. */
static rt_status refuse_long(const json_t *entry, size_t n, rt_err *err)
{
    const char *key, *longest = "";
    size_t most = 0;
    json_t *v;
    rt_str text = {0};
    json_object_foreach((json_t *)(uintptr_t)entry, key, v)
    {
        rt_str_clear(&text);
        rt_json_append(&text, v);
        longest = text.n > most ? key : longest;
        most = text.n > most ? text.n : most;
    }
    rt_str_release(&text);
    return rt_fail(err, RT_INPUT, 0,
                   "an entry of %zu bytes, at most %d can be read back: '%s' takes %zu; shorten what it is taken from "
                   "(doc: the \"id\" of a row)",
                   n, LINE_BYTES, longest, most);
}

rt_status rt_chain_seal(rt_chain *c, const json_t *entry, rt_str *lines, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str line = {0};
    rt_chain next = *c;
    char hex[65];
    rt_digest_hex(c->at.head, hex);
    json_t *o = json_pack("{s:I, s:s}", "seq", (json_int_t)c->at.entries, "prev", hex);
    if (!o || json_object_update_missing(o, (json_t *)entry) != 0) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for a ledger entry");
    }
    const char *fault = apply(&next, o);
    if (fault) {
        RT_FAIL_OUT(err, RT_INTERNAL, 0, "ledger entry refused: %s", fault);
    }
    rt_json_append(&line, o);
    if (line.failed || line.n < 2) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for a ledger entry");
    }
    next.at.head = rt_sha256_of(line.p, line.n - 1);
    rt_digest_hex(next.at.head, hex);
    line.p[line.n - 1] = ','; /* the closing brace moves behind the hash */
    rt_str_printf(&line, "%s%s\"}\n", tail_head + 1, hex);
    if (!line.failed && line.n - 1 > LINE_BYTES) {
        st = refuse_long(entry, line.n - 1, err);
        goto out;
    }
    size_t before = lines->n;
    rt_str_add(lines, line.p, line.n);
    if (line.failed || lines->failed) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for a ledger entry");
    }
    next.end += lines->n - before;
    *c = next;
out:
    json_decref(o);
    rt_str_release(&line);
    return st;
}

/* ---- reading ---- */

/* The line's own hash, checked against its bytes. */
static const char *check_seal(const char *line, size_t n, rt_digest *hash)
{
    char hex[65];
    if (n <= TAIL || memcmp(line + n - TAIL, tail_head, TAIL_HEAD) != 0 || memcmp(line + n - 2, "\"}", 2) != 0) {
        return "entry has no hash";
    }
    rt_digest_hex(rt_sha256_of(line, n - TAIL), hex);
    if (memcmp(hex, line + n - 2 - 64, 64) != 0) {
        return "hash does not fit the entry";
    }
    return rt_digest_parse(hex, hash) == 0 ? NULL : "entry has no hash";
}

static const char *check_links(const rt_chain *c, const json_t *entry)
{
    uint64_t seq;
    char prev[65];
    rt_digest_hex(c->at.head, prev);
    if (!json_is_object(entry)) {
        return "entry is no object";
    }
    if (!get_count(entry, "seq", &seq) || seq != c->at.entries) {
        return "entry is out of sequence";
    }
    return strcmp(rt_json_str(entry, "prev", ""), prev) == 0 ? NULL : "entry does not follow the one before";
}

static rt_status read_line(rt_chain *c, const char *line, size_t n, const char *what, rt_chain_visit visit, void *ud,
                           rt_err *err)
{
    rt_status st = RT_OK;
    json_t *entry = NULL;
    rt_digest hash;
    rt_err why = {0};
    const uint64_t seq = c->at.entries;
    const char *fault = n > LINE_BYTES ? "entry is too long" : check_seal(line, n, &hash);
    if (!fault && rt_json_parse(&entry, line, n, what, &why) != RT_OK) {
        fault = "entry is not valid JSON";
    }
    fault = fault ? fault : check_links(c, entry);
    fault = fault ? fault : apply(c, entry);
    if (fault) {
        RT_FAIL_OUT(err, RT_INPUT, seq + 1, "ledger '%s', entry %llu (line %llu): %s", what, (unsigned long long)seq,
                    (unsigned long long)(seq + 1), fault);
    }
    c->at.head = hash;
    c->end += n + 1;
    st = visit ? visit(ud, c, entry, err) : RT_OK;
out:
    json_decref(entry);
    return st;
}

rt_status rt_chain_read(rt_chain *c, const void *p, size_t n, uint64_t max_entries, const char *what,
                        rt_chain_visit visit, void *ud, rt_err *err)
{
    const char *bytes = p;
    while (c->end < n && c->at.entries < max_entries) {
        const char *line = bytes + c->end;
        const char *nl = memchr(line, '\n', n - c->end);
        if (!nl) {
            break;
        }
        rt_status st = read_line(c, line, (size_t)(nl - line), what, visit, ud, err);
        if (st != RT_OK) {
            return st;
        }
    }
    return RT_OK;
}
