/* retort run: a recipe carried out, or only planned. */
#include <stdio.h>

#include "cli/commands.h"
#include "cli/opts.h"
#include "flow/flow.h"

static const char *const about =
    "Carries out RECIPE in runs/<name>: licence gate, teacher outputs, student, training, export, audit, report. The same command\n"
    "goes on where a killed run was; a stage whose inputs are unchanged is not done again. --dry-run judges the licence, measures\n"
    "the machine for a few seconds and says what would be done, how long it takes and how much memory and disk it needs.";

static void print_json(const json_t *j)
{
    json_dumpf(j, stdout, JSON_COMPACT);
    putchar('\n');
}

static void print_plan(const json_t *plan)
{
    json_dumpf(plan, stdout, JSON_INDENT(2));
    putchar('\n');
}

static void print_summary(const json_t *s)
{
    printf("page:   %s\nmodel:  %s\ntry it: retort generate %s -p \"Once upon a time\" -n 48\n", json_string_value(json_object_get(s, "report")),
           json_string_value(json_object_get(s, "model")), json_string_value(json_object_get(s, "model")));
}

int rt_cmd_run(int argc, char **argv)
{
    rt_common c;
    rt_opt_list operands = {0}, sets = {0};
    rt_flow_options o = {0};
    bool dry = false, done = false;
    rt_err err = {0};
    const rt_opt opts[] = {
        {"dry-run", 'n', RT_OPT_FLAG, &dry, NULL, "plan only: licence verdict, time, memory, disk; writes nothing"},
        {"set", 0, RT_OPT_STRS, &sets, "KEY=VALUE", "override a key of the recipe, e.g. train.lr=3e-4"},
        {"runs", 0, RT_OPT_STR, &o.runs_dir, "DIR", "where run directories are (default: runs)"},
        {"accept-licence", 0, RT_OPT_STR, &o.accept_licence, "ID", "accept the duties of this licence; recorded with your name"},
        {"reason", 0, RT_OPT_STR, &o.accept_reason, "TEXT", "why, where the licence's terms are unknown"},
        {0},
    };
    rt_status st = rt_opts_parse(argc, argv, "run RECIPE.yaml [options]", about, opts, &c, &operands, &done, &err);
    if (st == RT_OK && !done && operands.n != 1) {
        st = rt_fail(&err, RT_USAGE, 0, "one recipe is needed, e.g. retort run examples/quickstart.yaml");
    }
    if (st != RT_OK || done) {
        return done ? 0 : rt_cli_fail("run", st, &err);
    }
    json_t *out = NULL;
    o.recipe = operands.v[0];
    o.sets = sets.v;
    o.n_sets = sets.n;
    st = dry ? rt_flow_plan(&o, &out, &err) : rt_flow_run(&o, &out, &err);
    if (st == RT_OK) {
        (c.json ? print_json : dry ? print_plan : print_summary)(out);
    }
    json_decref(out);
    return st == RT_OK ? 0 : rt_cli_fail("run", st, &err);
}
