/* retort report: page and card of a run written again from its files. */
#include <stdio.h>

#include "cli/command.h"
#include "flow/flow.h"

static const char *const about =
    "Writes report.html, report.json and the model card of a run again from what its stages left, without\n"
    "doing any of them again.\n"
    "\n"
    "example:  retort report runs/quickstart";

int rt_cmd_report(int argc, char **argv)
{
    rt_cli c;
    int code;
    if (!rt_cli_begin(&c, "report", argc, argv, "report RUN", about, NULL, 1, 1,
                      "one run directory is needed, e.g. runs/quickstart", &code)) {
        return code;
    }
    rt_status st = RT_OK;
    const char *run = c.operands.v[0];
    char *page = rt_path_join(run, "report.html");
    if (page == NULL) {
        RT_FAIL_OUT(&c.err, RT_MEMORY, 0, "out of memory");
    }
    if (!rt_path_is_dir(run)) {
        RT_FAIL_OUT(&c.err, RT_NOT_FOUND, 0, "'%s' is no run directory; retort runs lists them", run);
    }
    RT_TRY(rt_flow_report(run, &c.err));
    if (c.common.json) {
        json_t *j = json_pack("{s:s, s:s}", "run", run, "report", page);
        rt_cli_print_json(j);
        json_decref(j);
    } else {
        printf("page:   %s\n", page);
    }
out:
    rt_free(page);
    return rt_cli_end(&c, st);
}
