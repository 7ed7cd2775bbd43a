/* manifest.h - run.json: which stages of a run are done, from what, at what cost. The one source of truth of a run
 * directory. */
#ifndef RT_RECORD_MANIFEST_H
#define RT_RECORD_MANIFEST_H

#include <jansson.h>

#include "core/core.h"

/* {schema, tool, name, created, stages: [{name, state, inputs, outputs: [{path, bytes, sha256}], runs, started,
 * finished, active_s, cpu_s, peak_rss, messages: [..]}], ...}; state: pending | running | interrupted | done | failed.
 * Further keys of the root (recipe hash, permit, ledger mark, plan) belong to the caller: rt_manifest_set. */
enum { RT_MANIFEST_SCHEMA = 1 };

typedef struct rt_manifest {
    char *path, *dir;
    json_t *root;
    double t_begin, cpu_begin; /* clock at the last begin or tick of the running stage */
} rt_manifest;

/* Zero-initialise. A stage that was running when the process died is `interrupted` now. A newer schema is refused. */
RT_MUST_USE rt_status rt_manifest_load_or_new(rt_manifest *m, const char *path, const char *run_name, rt_err *err);
void rt_manifest_release(rt_manifest *m);
RT_MUST_USE rt_status rt_manifest_save(const rt_manifest *m, rt_err *err); /* atomic */

/* The stage's object, made when missing; view; NULL when memory is out. */
json_t *rt_manifest_stage(rt_manifest *m, const char *name);
/* The same without making it: a view, NULL where there is none. */
const json_t *rt_manifest_find(const rt_manifest *m, const char *name);
/* true when the stage is done from exactly these inputs and each output is still there with its bytes:
 * size always, SHA-256 as well (remembered by size, mtime and inode in <dir>/.hashes.json). */
bool rt_manifest_is_current(rt_manifest *m, const char *name, const char *inputs_sha256);
/* A stage that the recipe no longer wants leaves the list of stages, with its account, and comes back as it was, to
 * place `at`, when it is wanted again. They save; nothing where there is no such stage. */
RT_MUST_USE rt_status rt_manifest_set_aside(rt_manifest *m, const char *name, rt_err *err);
RT_MUST_USE rt_status rt_manifest_take_back(rt_manifest *m, const char *name, size_t at, rt_err *err);
/* running; same inputs as an interrupted or failed attempt: its account goes on, else it and the outputs are forgotten.
 * Saves. */
RT_MUST_USE rt_status rt_manifest_begin(rt_manifest *m, const char *name, const char *inputs_sha256, rt_err *err);
/* Adds the time since begin or the last tick. Call at checkpoints, so that a killed run loses little of its account.
 * Saves. */
RT_MUST_USE rt_status rt_manifest_tick(rt_manifest *m, const char *name, rt_err *err);
/* `file` relative to the run directory; hashed now. A second time replaces the first. */
RT_MUST_USE rt_status rt_manifest_add_output(rt_manifest *m, const char *name, const char *file, rt_err *err);
RT_MUST_USE rt_status rt_manifest_add_message(rt_manifest *m, const char *name, const char *text, rt_err *err);
/* `result` RT_OK: done; RT_CANCELLED: interrupted; else failed, with rt_status_text among the messages. Saves. */
RT_MUST_USE rt_status rt_manifest_finish(rt_manifest *m, const char *name, rt_status result, rt_err *err);

/* Active seconds over all stages and restarts, the running one included up to now. */
double rt_manifest_active_seconds(const rt_manifest *m);
/* Root key of the caller's own; takes no reference away from `v` (borrows). */
RT_MUST_USE rt_status rt_manifest_set(rt_manifest *m, const char *key, json_t *v, rt_err *err);
const json_t *rt_manifest_get(const rt_manifest *m, const char *key); /* view, NULL when absent */

#endif
