/* ledger.c - the one writer of a ledger: entries are sealed in memory and become durable at a commit, salts first, so
 * that a crash leaves at most salts too many or one torn line, both cut at the next opening. */
#include "record/ledger.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/json.h"
#include "record/chain.h"

struct rt_ledger {
    char *path, *salts_path;
    int fd, salts_fd;
    rt_chain chain;      /* what was added */
    rt_chain stored;     /* what is durable */
    rt_str lines, salts; /* between the two */
    json_t *permit, *settings;
    char permit_id[65];
};

/* ---- files ---- */

static rt_status io_fail(const char *path, const char *doing, rt_err *err)
{
    return rt_fail(err, RT_IO, 0, "%s '%s' failed", doing, path);
}

static rt_status write_at(int fd, const rt_str *s, size_t at, const char *path, rt_err *err)
{
    for (size_t done = 0; done < s->n;) {
        ssize_t k = pwrite(fd, s->p + done, s->n - done, (off_t)(at + done));
        if (k < 0 && errno == EINTR) {
            continue;
        }
        if (k <= 0) {
            return io_fail(path, "writing", err);
        }
        done += (size_t)k;
    }
    return fsync(fd) == 0 ? RT_OK : io_fail(path, "storing", err);
}

static rt_status cut_to(int fd, size_t size, const char *path, rt_err *err)
{
    return ftruncate(fd, (off_t)size) == 0 && fsync(fd) == 0 ? RT_OK : io_fail(path, "cutting", err);
}

static rt_status open_files(rt_ledger *l, rt_err *err)
{
    l->fd = open(l->path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
    if (l->fd < 0) {
        return io_fail(l->path, "opening", err);
    }
    if (flock(l->fd, LOCK_EX | LOCK_NB) != 0) {
        return rt_fail(err, RT_IO, 0, "ledger '%s' is being written by another process", l->path);
    }
    l->salts_fd = open(l->salts_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (l->salts_fd < 0) {
        return io_fail(l->salts_path, "opening", err);
    }
    if (fchmod(l->salts_fd, 0600) != 0) {
        return io_fail(l->salts_path, "protecting", err);
    }
    return rt_dir_sync(l->path, err);
}

/* ---- going on with what is there ---- */

static rt_status read_chain(rt_chain *c, const char *path, uint64_t max_entries, size_t *size, rt_err *err)
{
    rt_map map = {0};
    rt_status st = rt_map_open(&map, path, err);
    if (st != RT_OK) {
        return st;
    }
    *size = map.size;
    st = rt_chain_read(c, map.data, map.size, max_entries, path, NULL, NULL, err);
    rt_map_close(&map);
    return st;
}

/* Cuts both files to where `c` stands. */
static rt_status cut_files(rt_ledger *l, const rt_chain *c, rt_err *err)
{
    struct stat sb;
    size_t need = (size_t)c->at.outputs * RT_SALT_BYTES;
    if (fstat(l->salts_fd, &sb) != 0) {
        return io_fail(l->salts_path, "reading", err);
    }
    if ((uint64_t)sb.st_size < need) {
        return rt_fail(err, RT_INPUT, 0, "'%s' has salts for %lld of %llu outputs; bring the file back before going on",
                       l->salts_path, (long long)sb.st_size / RT_SALT_BYTES, (unsigned long long)c->at.outputs);
    }
    rt_status st = cut_to(l->fd, c->end, l->path, err);
    return st == RT_OK ? cut_to(l->salts_fd, need, l->salts_path, err) : st;
}

static rt_status recover(rt_ledger *l, rt_err *err)
{
    rt_chain c = {0};
    size_t size = 0;
    rt_status st = read_chain(&c, l->path, UINT64_MAX, &size, err);
    if (st != RT_OK) {
        return st;
    }
    if (c.end < size) {
        rt_log(RT_LOG_WARN, "ledger '%s': cut a last line torn by a crash (%zu bytes after entry %llu)", l->path,
               size - c.end, (unsigned long long)c.at.entries);
    }
    st = cut_files(l, &c, err);
    l->chain = l->stored = c;
    return st;
}

rt_status rt_ledger_open(rt_ledger **out, const char *path, const rt_permit *permit, const json_t *settings,
                         rt_err *err)
{
    rt_status st = RT_OK;
    rt_ledger *l = NULL;
    *out = NULL;
    RT_BUG_IF(permit == NULL);
    RT_TRY(RT_NEW(&l, 1, "ledger", err));
    l->fd = l->salts_fd = -1;
    l->path = rt_strdup(path);
    l->salts_path = rt_salts_path(path);
    l->permit = json_deep_copy(rt_permit_json(permit));
    l->settings = settings ? json_deep_copy(settings) : json_object();
    if (!l->path || !l->salts_path || !l->permit || !l->settings) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for ledger '%s'", path);
    }
    memcpy(l->permit_id, rt_permit_id(permit), sizeof l->permit_id);
    RT_TRY(open_files(l, err));
    RT_TRY(recover(l, err));
    *out = l;
    l = NULL;
out:
    rt_ledger_close(l);
    return st;
}

void rt_ledger_close(rt_ledger *l)
{
    if (!l) {
        return;
    }
    if (l->fd >= 0) {
        close(l->fd);
    }
    if (l->salts_fd >= 0) {
        close(l->salts_fd);
    }
    rt_str_release(&l->lines);
    rt_str_release(&l->salts);
    json_decref(l->permit);
    json_decref(l->settings);
    rt_free(l->path);
    rt_free(l->salts_path);
    rt_free(l);
}

/* ---- adding ---- */

/* Takes `entry`, NULL included. */
static rt_status add_entry(rt_ledger *l, json_t *entry, rt_err *err)
{
    rt_status st = entry ? rt_chain_seal(&l->chain, entry, &l->lines, err)
                         : rt_fail(err, RT_MEMORY, 0, "no memory for a ledger entry (or text that is not UTF-8)");
    json_decref(entry);
    return st == RT_OK ? st : rt_err_wrap(err, st, "ledger '%s'", l->path);
}

/* A session begins at the start of a ledger, after a closing entry, and when the permit is another one. */
static rt_status begin_session(rt_ledger *l, rt_err *err)
{
    char now[21];
    if (l->chain.in_session && strcmp(l->chain.permit_id, l->permit_id) == 0) {
        return RT_OK;
    }
    rt_timestamp(now);
    return add_entry(l,
                     json_pack("{s:s, s:s, s:s, s:O, s:O}", "kind", "open", "time", now, "tool", rt_version(), "permit",
                               l->permit, "settings", l->settings),
                     err);
}

static rt_status new_salt(uint8_t salt[RT_SALT_BYTES], rt_err *err)
{
    return getrandom(salt, RT_SALT_BYTES, 0) == RT_SALT_BYTES ? RT_OK
                                                              : rt_fail(err, RT_IO, 0, "no random numbers for a salt");
}

rt_status rt_ledger_add_output(rt_ledger *l, const rt_ledger_output *o, rt_err *err)
{
    rt_status st = RT_OK;
    uint8_t salt[RT_SALT_BYTES];
    char hex[65] = "", permit[17] = "";
    bool ok = true;
    RT_TRY(begin_session(l, err));
    RT_TRY(new_salt(salt, err));
    if (o->text) {
        rt_digest_hex(rt_salted_hash(salt, o->text, o->text_bytes, &ok), hex);
    }
    rt_str_add(&l->salts, salt, sizeof salt);
    if (!ok || l->salts.failed) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for a ledger entry");
    }
    memcpy(permit, l->permit_id, 16);
    json_t *e = json_pack("{s:s, s:I, s:s, s:s, s:s*, s:s*, s:I}", "kind", "output", "output",
                          (json_int_t)l->chain.at.outputs, "permit", permit, "what", o->what, "doc", o->doc, "origin",
                          o->origin, "positions", (json_int_t)o->positions);
    if (e && o->cache) {
        json_object_set_new(e, "cache", json_string(o->cache));
        json_object_set_new(e, "offset", json_integer((json_int_t)o->offset));
    }
    if (e && o->text) {
        json_object_set_new(e, "bytes", json_integer((json_int_t)o->text_bytes));
        json_object_set_new(e, "salted_sha256", json_string(hex));
    }
    st = add_entry(l, e, err);
    if (st != RT_OK) {
        l->salts.n -= sizeof salt;
    }
out:
    return st;
}

rt_status rt_ledger_add_decision(rt_ledger *l, const json_t *payload, rt_err *err)
{
    char now[21];
    rt_timestamp(now);
    rt_status st = begin_session(l, err);
    return st == RT_OK
               ? add_entry(l, json_pack("{s:s, s:s, s:O}", "kind", "decision", "time", now, "decision", payload), err)
               : st;
}

rt_status rt_ledger_begin_anew(rt_ledger *l, rt_err *err)
{
    rt_status st = RT_OK;
    const uint64_t lost = l->chain.at.positions - l->chain.settled;
    json_t *said = NULL;
    if (lost == 0) {
        return RT_OK;
    }
    said = json_pack("{s:{s:I}}", RT_CHAIN_ANEW, "positions", (json_int_t)lost);
    if (said == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for a ledger entry");
    }
    RT_TRY(rt_ledger_add_decision(l, said, err));
    rt_log(RT_LOG_WARN, "ledger '%s': %llu positions are scored anew: no checkpoint remained of them", l->path,
           (unsigned long long)lost);
out:
    json_decref(said);
    return st;
}

rt_ledger_mark rt_ledger_at(const rt_ledger *l)
{
    return l->chain.at;
}

rt_status rt_ledger_commit(rt_ledger *l, rt_ledger_mark *mark, rt_err *err)
{
    rt_status st = RT_OK;
    if (l->lines.failed || l->salts.failed) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for ledger '%s'", l->path);
    }
    if (l->lines.n > 0) {
        st = write_at(l->salts_fd, &l->salts, (size_t)l->stored.at.outputs * RT_SALT_BYTES, l->salts_path, err);
        rt_crash_point("ledger-salts");
        st = st == RT_OK ? write_at(l->fd, &l->lines, l->stored.end, l->path, err) : st;
        if (st != RT_OK) {
            /* A full disk must not leave half a line; the commit may be tried again. */
            rt_err ignored = {0};
            if (cut_to(l->fd, l->stored.end, l->path, &ignored) != RT_OK) {
                rt_log(RT_LOG_WARN, "ledger '%s' may end in a torn line", l->path);
            }
            goto out;
        }
        rt_crash_point("ledger-lines");
        rt_str_clear(&l->lines);
        rt_str_clear(&l->salts);
        l->stored = l->chain;
    }
    if (mark) {
        *mark = l->stored.at;
    }
out:
    return st;
}

rt_status rt_ledger_finish(rt_ledger *l, rt_ledger_mark *mark, rt_err *err)
{
    rt_status st = RT_OK;
    char now[21];
    rt_timestamp(now);
    if (l->chain.in_session || l->chain.at.entries == 0) {
        RT_TRY(begin_session(l, err));
        RT_TRY(add_entry(l,
                         json_pack("{s:s, s:s, s:I, s:I}", "kind", "close", "time", now, "outputs",
                                   (json_int_t)l->chain.at.outputs, "positions", (json_int_t)l->chain.at.positions),
                         err));
    }
    st = rt_ledger_commit(l, mark, err);
out:
    return st;
}

rt_status rt_ledger_truncate_to(rt_ledger *l, const rt_ledger_mark *mark, rt_err *err)
{
    rt_chain c = {0};
    size_t size = 0;
    rt_status st = read_chain(&c, l->path, mark->entries, &size, err);
    if (st != RT_OK) {
        return st;
    }
    if (c.at.entries < mark->entries) {
        return rt_fail(err, RT_INPUT, c.at.entries, "ledger '%s' ends after %llu entries, the run refers to %llu",
                       l->path, (unsigned long long)c.at.entries, (unsigned long long)mark->entries);
    }
    if (memcmp(&c.at.head, &mark->head, sizeof c.at.head) != 0 || c.at.outputs != mark->outputs ||
        c.at.positions != mark->positions) {
        return rt_fail(err, RT_INPUT, mark->entries,
                       "ledger '%s' is not the one the run refers to: it differs by entry %llu", l->path,
                       (unsigned long long)mark->entries);
    }
    st = cut_files(l, &c, err);
    if (st == RT_OK) {
        rt_str_clear(&l->lines);
        rt_str_clear(&l->salts);
        l->chain = l->stored = c;
    }
    return st;
}
