/* chain.h - the hash chain under the ledger: how a line is sealed, and how lines are read back and checked. */
#ifndef RT_RECORD_CHAIN_H
#define RT_RECORD_CHAIN_H

#include "record/ledger.h"

enum { RT_SALT_BYTES = 16 };
#define RT_CHAIN_ANEW "begun_anew" /* key of a decision: {positions} since the close before are scored again */

/* Where a reader or writer stands in the chain. Zero-initialise for the beginning. */
typedef struct rt_chain {
    rt_ledger_mark at;
    size_t end;         /* byte after the last complete line */
    bool in_session;    /* between an opening and a closing entry */
    uint64_t settled;   /* positions up to the last close, or the last beginning anew */
    uint64_t repeated;  /* positions of attempts of which no weights remained */
    char permit_id[65]; /* of the last opening entry */
} rt_chain;

/* Appends `entry` ({kind, ...}, gets seq and prev put in front) as a sealed line to `lines` and moves the chain on. */
RT_MUST_USE rt_status rt_chain_seal(rt_chain *c, const json_t *entry, rt_str *lines, rt_err *err);

/* Called for each entry after it has been checked; the chain already stands behind it. */
typedef rt_status (*rt_chain_visit)(void *ud, const rt_chain *c, const json_t *entry, rt_err *err);
/* Reads complete lines until `max_entries` or the end; bytes after the last newline are left alone (c->end < n).
 * RT_INPUT names the first entry that does not hold, err->pos is its line number. */
RT_MUST_USE rt_status rt_chain_read(rt_chain *c, const void *p, size_t n, uint64_t max_entries, const char *what,
                                    rt_chain_visit visit, void *ud, rt_err *err);

/* "ledger.jsonl" -> "ledger.salts"; the caller frees. */
char *rt_salts_path(const char *path);
rt_digest rt_salted_hash(const uint8_t salt[RT_SALT_BYTES], const void *text, size_t n, bool *ok);

#endif
