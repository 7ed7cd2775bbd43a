/* retort report: page and card of a run written again from its files. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "flow/flow.h"
#include "report/report.h"

static const char *const about =
    "Writes report.html, report.json and the model card of a run again from what its stages left, without\n"
    "doing any of them again. --format md writes report.md too, for a repository; report.json holds all figures.\n"
    "\n"
    "example:  retort report runs/quickstart";

static const char *const names[] = {"html", "md", "json"};
static const char *const files[] = {"report.html", "report.md", "report.json"};
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

int rt_cmd_report(int argc, char **argv)
{
    rt_cli c;
    int code, format = HTML;
    const char *name = names[HTML];
    const rt_opt opts[] = {
        {"format", 0, RT_OPT_STR, &name, "html|md|json",
         "which file is named at the end (default html); md is written"},
        {0},
    };
    if (!rt_cli_begin(&c, "report", argc, argv, "report RUN [options]", about, opts, 1, 1,
                      "one run directory is needed, e.g. runs/quickstart", &code)) {
        return code;
    }
    rt_status st = RT_OK;
    const char *run = c.operands.v[0];
    char *page = NULL;
    RT_TRY(find_format(&format, name, &c.err));
    page = rt_path_join(run, files[format]);
    if (page == NULL) {
        RT_FAIL_OUT(&c.err, RT_MEMORY, 0, "out of memory");
    }
    if (!rt_path_is_dir(run)) {
        RT_FAIL_OUT(&c.err, RT_NOT_FOUND, 0, "'%s' is no run directory; retort runs lists them", run);
    }
    RT_TRY(rt_flow_report(run, &c.err));
    RT_TRY(format == MARKDOWN ? write_markdown(run, page, &c.err) : RT_OK);
    if (c.common.json) {
        json_t *j = json_pack("{s:s, s:s}", "run", run, "report", page);
        rt_cli_print_json(j);
        json_decref(j);
    } else {
        printf("report: %s\n", page);
    }
out:
    rt_free(page);
    return rt_cli_end(&c, st);
}
