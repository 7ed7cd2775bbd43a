/* retort report: page and card of a run written again from its files, and what all runs cost beside what they kept. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "flow/flow.h"
#include "report/frontier.h"
#include "report/report.h"

static const char *const about =
    "Writes report.html, report.json and the model card of a run again from what its stages left, without\n"
    "doing any of them again. --format md writes report.md too, for a repository; report.json holds all figures.\n"
    "With --runs DIR in the place of a run it writes DIR/frontier.html and .json: what every run there cost\n"
    "beside how near its student came to the teacher, and which runs no other beats in both.\n"
    "\n"
    "example:  retort report runs/quickstart";

static const char *const names[] = {"html", "md", "json"};
static const char *const files[] = {"report.html", "report.md", "report.json"};
static const char *const frontier_files[] = {"frontier.html", "frontier.md", "frontier.json"};
enum { HTML, MARKDOWN, JSON, N_FORMATS };

static rt_status find_format(int *out, const char *name, rt_err *err)
{
    for (*out = 0; *out < N_FORMATS; ++*out) {
        if (strcmp(name, names[*out]) == 0) {
            return RT_OK;
        }
    }
    return rt_fail(err, RT_USAGE, 0, "option '--format': '%s' is none of html, md, json", name);
}

/* --- one run ------------------------------------------------------------------------------------------------------ */

static rt_status write_markdown(const char *run, const char *path, rt_err *err)
{
    rt_status st = RT_OK;
    json_t *facts = NULL;
    rt_str text = {0};
    char *source = rt_path_join(run, files[JSON]);
    if (source == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
    }
    RT_TRY(rt_json_load(&facts, source, err));
    RT_TRY(rt_report_markdown(&text, facts, err));
    RT_TRY(rt_file_write(path, text.p, text.n, err));
out:
    json_decref(facts);
    rt_str_release(&text);
    rt_free(source);
    return st;
}

static rt_status report_run(const char *run, const char *page, int format, rt_err *err)
{
    rt_status st = RT_OK;
    if (!rt_path_is_dir(run)) {
        RT_FAIL_OUT(err, RT_NOT_FOUND, 0, "'%s' is no run directory; retort runs lists them", run);
    }
    RT_TRY(rt_flow_report(run, err));
    RT_TRY(format == MARKDOWN ? write_markdown(run, page, err) : RT_OK);
out:
    return st;
}

/* --- all runs ----------------------------------------------------------------------------------------------------- */

/* A run whose report cannot be read is named, and does not keep the others from theirs. */
static void add_run(json_t *frontier, const json_t *run)
{
    json_t *facts = NULL;
    rt_err own = {0};
    const char *name = rt_json_str(run, "name", "?");
    char *path = rt_path_join(rt_json_str(run, "dir", "."), files[JSON]);
    if (path == NULL || !rt_path_exists(path)) {
        rt_frontier_leave_out(frontier, name, "it has no report yet");
    } else if (rt_json_load(&facts, path, &own) != RT_OK) {
        rt_frontier_leave_out(frontier, name, own.msg);
    } else {
        rt_frontier_add(frontier, name, facts);
    }
    json_decref(facts);
    rt_free(path);
}

typedef rt_status printer(rt_str *out, const json_t *frontier, rt_err *err);

static rt_status write_frontier(const char *dir, int format, printer *print, const json_t *frontier, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str text = {0};
    char *path = rt_path_join(dir, frontier_files[format]);
    if (path == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
    }
    RT_TRY(print(&text, frontier, err));
    RT_TRY(rt_file_write(path, text.p, text.n, err));
out:
    rt_str_release(&text);
    rt_free(path);
    return st;
}

static rt_status report_runs(const char *dir, int format, rt_err *err)
{
    rt_status st = RT_OK;
    json_t *runs = NULL, *run, *frontier = rt_frontier_new();
    char *path = rt_path_join(dir, frontier_files[JSON]);
    size_t i;
    if (path == NULL || frontier == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
    }
    RT_TRY(rt_flow_list(dir, &runs, err));
    if (json_array_size(runs) == 0) {
        RT_FAIL_OUT(err, RT_NOT_FOUND, 0, "no runs in '%s'; retort run makes them", dir);
    }
    json_array_foreach(runs, i, run)
    {
        add_run(frontier, run);
    }
    RT_TRY(rt_frontier_conclude(frontier, err));
    RT_TRY(rt_json_save(frontier, path, err));
    RT_TRY(write_frontier(dir, HTML, rt_frontier_html, frontier, err));
    RT_TRY(format == MARKDOWN ? write_frontier(dir, MARKDOWN, rt_frontier_markdown, frontier, err) : RT_OK);
out:
    json_decref(runs);
    json_decref(frontier);
    rt_free(path);
    return st;
}

int rt_cmd_report(int argc, char **argv)
{
    rt_cli c;
    int code, format = HTML;
    const char *name = names[HTML], *runs = NULL;
    const rt_opt opts[] = {
        {"runs", 0, RT_OPT_STR, &runs, "DIR", "all runs of a directory, in the place of one run"},
        {"format", 0, RT_OPT_STR, &name, "html|md|json",
         "which file is named at the end (default html); md is written"},
        {0},
    };
    if (!rt_cli_begin(&c, "report", argc, argv, "report RUN|--runs DIR [options]", about, opts, 0, 1,
                      "one run directory is needed, e.g. runs/quickstart", &code)) {
        return code;
    }
    rt_status st = RT_OK;
    char *page = NULL;
    RT_TRY(find_format(&format, name, &c.err));
    if ((c.operands.n == 1) == (runs != NULL)) {
        RT_FAIL_OUT(&c.err, RT_USAGE, 0,
                    "one run directory is needed, e.g. runs/quickstart, or --runs with all of them");
    }
    const char *dir = runs != NULL ? runs : c.operands.v[0];
    page = rt_path_join(dir, (runs != NULL ? frontier_files : files)[format]);
    if (page == NULL) {
        RT_FAIL_OUT(&c.err, RT_MEMORY, 0, "out of memory");
    }
    RT_TRY(runs != NULL ? report_runs(dir, format, &c.err) : report_run(dir, page, format, &c.err));
    if (c.common.json) {
        json_t *j = json_pack("{s:s, s:s}", runs != NULL ? "runs" : "run", dir, "report", page);
        rt_cli_print_json(j);
        json_decref(j);
    } else {
        printf("report: %s\n", page);
    }
out:
    rt_free(page);
    return rt_cli_end(&c, st);
}
