/* retort ledger: is the record of a teacher's outputs whole? */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "format/json.h"
#include "record/record.h"

static const char *const about =
    "Reads a ledger line by line: every hash, the chain from each entry to the next, numbering and\n"
    "counts. Given a run directory, also that the chain passes through the place the run recorded, so\n"
    "that a ledger cut short does not pass for a whole one. The first entry that does not hold is named,\n"
    "with exit code 3.\n"
    "\n"
    "example:  retort ledger verify runs/quickstart";

typedef struct verified {
    char *path, *manifest; /* manifest NULL: a ledger by itself */
    rt_ledger_report report;
    bool matched; /* with the mark in run.json */
} verified;

static void verified_release(verified *v)
{
    rt_ledger_report_release(&v->report);
    rt_free(v->path);
    rt_free(v->manifest);
}

static rt_status find_files(verified *v, const char *operand, rt_err *err)
{
    const bool run = rt_path_is_dir(operand);
    v->path = run ? rt_path_join(operand, "ledger.jsonl") : rt_strdup(operand);
    v->manifest = run ? rt_path_join(operand, "run.json") : NULL;
    if (v->path == NULL || (run && v->manifest == NULL)) {
        return rt_fail(err, RT_MEMORY, 0, "out of memory");
    }
    if (!rt_path_exists(v->path)) {
        return rt_fail(err, RT_NOT_FOUND, 0, "no ledger '%s'; a run writes one when it collects", v->path);
    }
    if (run && !rt_path_exists(v->manifest)) {
        rt_free(v->manifest);
        v->manifest = NULL;
    }
    return RT_OK;
}

/* run.json is written after the ledger, so it never knows more. */
static rt_status compare_with_run(verified *v, rt_err *err)
{
    rt_status st = RT_OK;
    json_t *root = NULL;
    rt_ledger_mark said;
    if (v->manifest == NULL) {
        return RT_OK;
    }
    RT_TRY(rt_json_load(&root, v->manifest, err));
    const json_t *mark = json_object_get(root, "ledger");
    if (mark == NULL) {
        goto out; /* the run was stopped before it could say */
    }
    if (!rt_ledger_mark_parse(mark, &said)) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "'%s': key 'ledger' is no place in a ledger", v->manifest);
    }
    if (said.entries != v->report.mark.entries || memcmp(&said.head, &v->report.mark.head, sizeof said.head) != 0) {
        RT_FAIL_OUT(err, RT_INPUT, said.entries,
                    "ledger '%s' has %llu entries and another end than the %llu '%s' recorded: it was cut or exchanged",
                    v->path, (unsigned long long)v->report.mark.entries, (unsigned long long)said.entries, v->manifest);
    }
    v->matched = true;
out:
    json_decref(root);
    return st;
}

static void print_json(const verified *v)
{
    const rt_ledger_report *r = &v->report;
    json_t *j = rt_ledger_mark_json(&r->mark);
    json_object_set_new(j, "ledger", json_string(v->path));
    json_object_set_new(j, "valid", json_true());
    json_object_set_new(j, "matches_run", v->manifest != NULL ? json_boolean(v->matched) : json_null());
    json_object_set_new(j, "closed", json_boolean(r->closed));
    json_object_set_new(j, "torn", json_boolean(r->torn));
    json_object_set_new(j, "has_salts", json_boolean(r->has_salts));
    json_object_set_new(j, "without_origin", json_integer((json_int_t)r->unstated));
    json_object_set(j, "caches", r->caches);
    json_object_set(j, "permits", r->permits);
    rt_cli_print_json(j);
    json_decref(j);
}

static void print_text(const verified *v)
{
    const rt_ledger_report *r = &v->report;
    char head[65];
    rt_digest_hex(r->mark.head, head);
    printf("%s: whole%s\n", v->path, v->matched ? ", and as the run recorded it" : "");
    printf("  %llu entries, %llu teacher outputs, %llu positions\n", (unsigned long long)r->mark.entries,
           (unsigned long long)r->mark.outputs, (unsigned long long)r->mark.positions);
    printf("  head %s\n", head);
    printf("  %s%s%s\n", r->closed ? "closed" : "still open", r->torn ? ", last line torn by a crash" : "",
           r->has_salts ? "" : ", without its salts: texts cannot be proved");
    if (r->unstated > 0) {
        printf("  %llu outputs are about texts without a stated origin: provenance incomplete\n",
               (unsigned long long)r->unstated);
    }
}

int rt_cmd_ledger(int argc, char **argv)
{
    rt_cli c;
    int code;
    verified v = {0};
    if (!rt_cli_begin(&c, "ledger", argc, argv, "ledger verify LEDGER|RUN", about, NULL, 2, 2,
                      "'verify' and a ledger or a run are needed", &code)) {
        return code;
    }
    rt_status st = RT_OK;
    if (strcmp(c.operands.v[0], "verify") != 0) {
        RT_FAIL_OUT(&c.err, RT_USAGE, 0, "'%s' is nothing a ledger can be asked; use: retort ledger verify LEDGER|RUN",
                    c.operands.v[0]);
    }
    RT_TRY(find_files(&v, c.operands.v[1], &c.err));
    RT_TRY(rt_ledger_verify(&v.report, v.path, &c.err));
    RT_TRY(compare_with_run(&v, &c.err));
    (c.common.json ? print_json : print_text)(&v);
out:
    verified_release(&v);
    return rt_cli_end(&c, st);
}
