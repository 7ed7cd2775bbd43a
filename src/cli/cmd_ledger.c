/* retort ledger: is the record of a teacher's outputs whole, in all of a run? */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "format/json.h"
#include "record/record.h"

static const char *const about =
    "Reads a ledger line by line: every hash, the chain from each entry to the next, numbering and\n"
    "counts. Of a run directory every ledger is read, those in its folders and those set aside too (of\n"
    "answers, of what is retained, of training with the teacher at hand), and it is seen that the chains\n"
    "pass through the places the run recorded, so that a ledger cut short or taken away does not pass\n"
    "for a whole one. The first entry that does not hold is named, with exit code 3.\n"
    "\n"
    "example:  retort ledger verify runs/quickstart";

typedef struct verified {
    char *path, *name; /* name: below the run directory */
    rt_ledger_report report;
    bool matched; /* with the mark in run.json */
} verified;

typedef struct verification {
    const char *operand;
    char *manifest; /* NULL: a ledger by itself, or a directory without run.json */
    verified *v;
    size_t n;
} verification;

static void release(verification *all)
{
    for (size_t i = 0; i < all->n; i++) {
        rt_ledger_report_release(&all->v[i].report);
        rt_free(all->v[i].path);
        rt_free(all->v[i].name);
    }
    rt_free(all->v);
    rt_free(all->manifest);
}

/* --- finding ------------------------------------------------------------------------------------------------------ */

/* Takes both. */
static rt_status add(verification *all, char *path, char *name, rt_err *err)
{
    verified *more = rt_realloc(all->v, (all->n + 1) * sizeof *more);
    all->v = more != NULL ? more : all->v;
    if (path == NULL || name == NULL || more == NULL) {
        rt_free(path);
        rt_free(name);
        return rt_fail(err, RT_MEMORY, 0, "out of memory");
    }
    all->v[all->n++] = (verified){.path = path, .name = name};
    return RT_OK;
}

/* ledger.jsonl, and ledger-1.jsonl of teacher outputs that another recipe asked for. One that was opened and got no
 * entry yet says nothing. */
static bool is_ledger(const char *name, const char *path)
{
    const char *dot = strrchr(name, '.');
    return strncmp(name, "ledger", 6) == 0 && dot != NULL && strcmp(dot, ".jsonl") == 0 && rt_path_size(path) > 0;
}

/* `below`: the folder's name within the run, "" for the run itself, whose folders are looked into. */
static rt_status find_in(verification *all, const char *dir, const char *below, rt_err *err)
{
    rt_status st = RT_OK;
    char **names = NULL;
    size_t n = 0;
    RT_TRY(rt_dir_names(dir, &names, &n, err));
    for (int folders = 0; folders < 2; folders++) {
        for (size_t i = 0; i < n && st == RT_OK; i++) {
            char *path = rt_path_join(dir, names[i]);
            if (path == NULL) {
                RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
            }
            if (folders == 0 && is_ledger(names[i], path)) {
                st = add(all, rt_strdup(path), rt_path_join(below, names[i]), err);
            } else if (folders == 1 && *below == '\0' && rt_path_is_dir(path)) {
                st = find_in(all, path, names[i], err);
            }
            rt_free(path);
        }
        RT_TRY(st);
    }
out:
    rt_dir_names_free(names, n);
    return st;
}

static rt_status find(verification *all, rt_err *err)
{
    rt_status st = RT_OK;
    if (!rt_path_is_dir(all->operand)) {
        if (rt_path_exists(all->operand)) {
            RT_TRY(add(all, rt_strdup(all->operand), rt_strdup(rt_path_base(all->operand)), err));
        }
    } else {
        RT_TRY(find_in(all, all->operand, "", err));
        all->manifest = rt_path_join(all->operand, "run.json");
        if (all->manifest == NULL) {
            RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
        }
        if (!rt_path_exists(all->manifest)) {
            rt_free(all->manifest);
            all->manifest = NULL;
        }
    }
    if (all->n == 0) {
        RT_FAIL_OUT(err, RT_NOT_FOUND, 0, "no ledger '%s'; a run writes one when it collects", all->operand);
    }
out:
    return st;
}

/* --- comparing with the run --------------------------------------------------------------------------------------- */

static rt_status compare(verification *all, const char *name, const json_t *mark, rt_err *err)
{
    rt_ledger_mark said;
    verified *v = NULL;
    if (!rt_ledger_mark_parse(mark, &said)) {
        return rt_fail(err, RT_INPUT, 0, "'%s': what is said of '%s' is no place in a ledger", all->manifest, name);
    }
    for (size_t i = 0; i < all->n; i++) {
        v = strcmp(all->v[i].name, name) == 0 ? &all->v[i] : v;
    }
    if (v == NULL) {
        return rt_fail(err, RT_INPUT, 0, "ledger '%s/%s', of which '%s' recorded %llu entries, is not there",
                       all->operand, name, all->manifest, (unsigned long long)said.entries);
    }
    if (said.entries != v->report.mark.entries || memcmp(&said.head, &v->report.mark.head, sizeof said.head) != 0) {
        return rt_fail(
            err, RT_INPUT, said.entries,
            "ledger '%s' has %llu entries and another end than the %llu '%s' recorded: it was cut or exchanged",
            v->path, (unsigned long long)v->report.mark.entries, (unsigned long long)said.entries, all->manifest);
    }
    v->matched = true;
    return RT_OK;
}

/* run.json is written after the ledgers, so it never knows more. A run that was stopped before could not say. */
static rt_status compare_with_run(verification *all, rt_err *err)
{
    rt_status st = RT_OK;
    json_t *root = NULL, *mark;
    const char *name;
    if (all->manifest == NULL) {
        return RT_OK;
    }
    RT_TRY(rt_json_load(&root, all->manifest, err));
    if ((mark = json_object_get(root, "ledger")) != NULL) {
        RT_TRY(compare(all, "ledger.jsonl", mark, err));
    }
    json_object_foreach(json_object_get(root, "ledgers"), name, mark)
    {
        RT_TRY(compare(all, name, mark, err));
    }
out:
    json_decref(root);
    return st;
}

/* --- telling ------------------------------------------------------------------------------------------------------ */

static json_t *json_of(const verification *all, const verified *v)
{
    const rt_ledger_report *r = &v->report;
    json_t *j = rt_ledger_mark_json(&r->mark);
    json_object_set_new(j, "ledger", json_string(v->path));
    json_object_set_new(j, "valid", json_true());
    json_object_set_new(j, "matches_run", all->manifest != NULL ? json_boolean(v->matched) : json_null());
    json_object_set_new(j, "closed", json_boolean(r->closed));
    json_object_set_new(j, "torn", json_boolean(r->torn));
    json_object_set_new(j, "has_salts", json_boolean(r->has_salts));
    json_object_set_new(j, "without_origin", json_integer((json_int_t)r->unstated));
    json_object_set_new(j, "repeated", json_integer((json_int_t)r->repeated));
    json_object_set(j, "caches", r->caches);
    json_object_set(j, "permits", r->permits);
    return j;
}

/* The first, with the others of a run beside it. */
static void print_json(const verification *all)
{
    json_t *j = json_of(all, &all->v[0]), *others = json_array();
    for (size_t i = 1; i < all->n; i++) {
        json_array_append_new(others, json_of(all, &all->v[i]));
    }
    json_object_set_new(j, "others", others);
    rt_cli_print_json(j);
    json_decref(j);
}

static void print_one(const verified *v)
{
    const rt_ledger_report *r = &v->report;
    char head[65];
    rt_digest_hex(r->mark.head, head);
    printf("%s: whole%s\n", v->path, v->matched ? ", and as the run recorded it" : "");
    printf("  %llu entries, %llu teacher outputs, %llu positions\n", (unsigned long long)r->mark.entries,
           (unsigned long long)r->mark.outputs, (unsigned long long)r->mark.positions);
    if (r->repeated > 0) {
        printf("  %llu of these were scored again, because a kill left nothing else of them\n",
               (unsigned long long)r->repeated);
    }
    printf("  head %s\n", head);
    printf("  %s%s%s\n", r->closed ? "closed" : "still open", r->torn ? ", last line torn by a crash" : "",
           r->has_salts ? "" : ", without its salts: texts cannot be proved");
    if (r->unstated > 0) {
        printf("  %llu outputs are about texts without a stated origin: provenance incomplete\n",
               (unsigned long long)r->unstated);
    }
}

static void print_text(const verification *all)
{
    for (size_t i = 0; i < all->n; i++) {
        print_one(&all->v[i]);
    }
}

int rt_cmd_ledger(int argc, char **argv)
{
    rt_cli c;
    int code;
    verification all = {0};
    if (!rt_cli_begin(&c, "ledger", argc, argv, "ledger verify LEDGER|RUN", about, NULL, 2, 2,
                      "'verify' and a ledger or a run are needed", &code)) {
        return code;
    }
    rt_status st = RT_OK;
    if (strcmp(c.operands.v[0], "verify") != 0) {
        RT_FAIL_OUT(&c.err, RT_USAGE, 0, "'%s' is nothing a ledger can be asked; use: retort ledger verify LEDGER|RUN",
                    c.operands.v[0]);
    }
    all.operand = c.operands.v[1];
    RT_TRY(find(&all, &c.err));
    for (size_t i = 0; i < all.n; i++) {
        RT_TRY(rt_ledger_verify(&all.v[i].report, all.v[i].path, &c.err));
    }
    RT_TRY(compare_with_run(&all, &c.err));
    (c.common.json ? print_json : print_text)(&all);
out:
    release(&all);
    return rt_cli_end(&c, st);
}
