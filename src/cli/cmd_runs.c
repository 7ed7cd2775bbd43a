/* retort runs: what was run here. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "flow/flow.h"
#include "format/json.h"

static const char *const about =
    "Lists the runs under --runs DIR, with their state, their time and the stages that are not done.\n"
    "--json prints {runs: [{name, dir, state, created, active_s, stages}]}.\n"
    "\n"
    "example:  retort runs";

static void print_run(const json_t *run)
{
    const char *name;
    json_t *state;
    printf("%-24s %-12s %-21s %7.0f s ", rt_json_str(run, "name", "?"), rt_json_str(run, "state", "?"),
           rt_json_str(run, "created", ""), rt_json_f64(run, "active_s", 0));
    json_object_foreach(json_object_get(run, "stages"), name, state)
    {
        if (strcmp(json_string_value(state), "done") != 0) {
            printf(" %s:%s", name, json_string_value(state));
        }
    }
    putchar('\n');
}

int rt_cmd_runs(int argc, char **argv)
{
    rt_cli c;
    int code;
    const char *dir = "runs";
    const rt_opt opts[] = {
        {"runs", 0, RT_OPT_STR, &dir, "DIR", "where run directories are (default: runs)"},
        {0},
    };
    if (!rt_cli_begin(&c, "runs", argc, argv, "runs [--runs DIR]", about, opts, 0, 0, "no operand is taken", &code)) {
        return code;
    }
    json_t *runs = NULL;
    const rt_status st = rt_flow_list(dir, &runs, &c.err);
    if (st == RT_OK && c.common.json) {
        json_t *j = json_pack("{s:O}", "runs", runs);
        rt_cli_print_json(j);
        json_decref(j);
    } else if (st == RT_OK) {
        size_t i;
        json_t *run;
        json_array_foreach(runs, i, run)
        {
            print_run(run);
        }
        if (json_array_size(runs) == 0) {
            printf("no runs in '%s'; to begin: retort run examples/quickstart.yaml\n", dir);
        }
    }
    json_decref(runs);
    return rt_cli_end(&c, st);
}
