/* ledger.h - the record of every teacher output: append-only JSON lines in a hash chain. Format: docs/ledger.md.
 *
 * Each line ends in ,"hash":"<hex>"} where hash = SHA-256 of the line's bytes before that; `prev` is the hash of the
 * line before. Texts enter as SHA-256(salt || text); the salts lie in a private side file (ledger.jsonl ->
 * ledger.salts, mode 0600), 16 bytes an output. */
#ifndef RT_RECORD_LEDGER_H
#define RT_RECORD_LEDGER_H

#include "record/gate.h"

typedef struct rt_ledger rt_ledger;

/* A place in the chain that other records (manifest, cache) may point to. */
typedef struct rt_ledger_mark {
    uint64_t entries;   /* lines up to here */
    uint64_t outputs;   /* of these, teacher outputs */
    uint64_t positions; /* sum of their positions */
    rt_digest head;     /* hash of the last line; all zero for none */
} rt_ledger_mark;

/* Creates `path` or goes on with it: checks the chain, cuts a last line that was torn by a crash (and logs that), holds
 * a lock against a second writer. `settings` (borrows, may be NULL) goes into the opening entry: sampler, seed,
 * tokenizer... The permit is copied. The opening entry is written with the first addition. */
RT_MUST_USE rt_status rt_ledger_open(rt_ledger **out, const char *path, const rt_permit *permit, const json_t *settings,
                                     rt_err *err);
/* Frees; what was added since the last commit is dropped, as a crash would. */
void rt_ledger_close(rt_ledger *l);

typedef struct rt_ledger_output {
    const char *what;   /* "sample", "topk", "hidden", "text" */
    const char *doc;    /* id of the document or prompt, may be NULL */
    const char *origin; /* where that came from, NULL: not stated */
    uint64_t positions; /* positions with a target */
    const char *cache;  /* cache file, relative to the run; NULL when none */
    uint64_t offset;    /* byte offset in it */
    const void *text;   /* the text the outputs belong to (teacher-written text or the scored document) */
    size_t text_bytes;
} rt_ledger_output;
RT_MUST_USE rt_status rt_ledger_add_output(rt_ledger *l, const rt_ledger_output *o, rt_err *err);
/* Something decided on the way (resume, degraded teacher accepted...). Borrows. */
RT_MUST_USE rt_status rt_ledger_add_decision(rt_ledger *l, const json_t *payload, rt_err *err);
/* What follows does over what was entered since the last closing entry, of which nothing but the record remained.
 * Adds a decision that counts these positions; nothing where there are none. */
RT_MUST_USE rt_status rt_ledger_begin_anew(rt_ledger *l, rt_err *err);
/* Makes everything added so far durable (one fsync of salts and one of lines). `mark` may be NULL. */
RT_MUST_USE rt_status rt_ledger_commit(rt_ledger *l, rt_ledger_mark *mark, rt_err *err);
/* Writes the closing entry with the counts and commits. */
RT_MUST_USE rt_status rt_ledger_finish(rt_ledger *l, rt_ledger_mark *mark, rt_err *err);
rt_ledger_mark rt_ledger_at(const rt_ledger *l); /* includes what is not committed yet */

/* Resume: throws away what was recorded after `mark`. RT_INPUT when the chain does not pass through the mark. */
RT_MUST_USE rt_status rt_ledger_truncate_to(rt_ledger *l, const rt_ledger_mark *mark, rt_err *err);

typedef struct rt_ledger_report {
    rt_ledger_mark mark;
    bool closed;       /* ends with a closing entry */
    bool torn;         /* bytes after the last complete line (not part of the chain) */
    bool has_salts;    /* side file present and long enough */
    uint64_t unstated; /* outputs whose text has no stated origin */
    uint64_t repeated; /* positions that were scored again because nothing but the record remained of them */
    json_t *caches;    /* positions by cache file */
    json_t *permits;   /* permit objects of the opening entries, in order */
} rt_ledger_report;
/* Reads the whole chain: hashes, links, numbering, counts. RT_INPUT names the first entry that does not hold (err->pos
 * = line). */
RT_MUST_USE rt_status rt_ledger_verify(rt_ledger_report *out, const char *path, rt_err *err);
void rt_ledger_report_release(rt_ledger_report *r);
/* The same over bytes in memory (fuzzing). */
RT_MUST_USE rt_status rt_ledger_verify_bytes(rt_ledger_report *out, const void *p, size_t n, const char *what,
                                             rt_err *err);
/* Was `text` the text of output number `index` (from 0)? Needs the salts. */
RT_MUST_USE rt_status rt_ledger_match(const char *path, uint64_t index, const void *text, size_t n, bool *same,
                                      rt_err *err);

/* {entries, outputs, positions, head}: how a mark is kept in run.json. */
json_t *rt_ledger_mark_json(const rt_ledger_mark *m); /* owned, NULL when memory is out */
bool rt_ledger_mark_parse(const json_t *o, rt_ledger_mark *out);

#endif
