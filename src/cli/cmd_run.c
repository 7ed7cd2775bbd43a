/* retort run: a recipe carried out, or only planned. */
#include <stdio.h>

#include "cli/command.h"
#include "flow/flow.h"

static const char *const about =
    "Carries out RECIPE in runs/<name>: licence gate, teacher outputs, student, training, export, audit, report. The same command\n"
    "goes on where a killed run was; a stage whose inputs are unchanged is not done again. --dry-run judges the licence, measures\n"
    "the machine for a few seconds and says what would be done, how long it takes and how much memory and disk it needs.";

static void print_plan(const json_t *plan)
{
    json_dumpf(plan, stdout, JSON_INDENT(2));
    putchar('\n');
}

static void print_summary(const json_t *s)
{
    const char *model = json_string_value(json_object_get(s, "model"));
    printf("page:   %s\nmodel:  %s\ntry it: retort generate %s -p \"Once upon a time\" -n 48\n",
           json_string_value(json_object_get(s, "report")), model, model);
}

int rt_cmd_run(int argc, char **argv)
{
    rt_cli c;
    int code;
    rt_opt_list sets = {0};
    rt_flow_options o = {0};
    bool dry = false;
    const rt_opt opts[] = {
        {"dry-run", 'n', RT_OPT_FLAG, &dry, NULL, "plan only: licence verdict, time, memory, disk; writes nothing"},
        {"set", 0, RT_OPT_STRS, &sets, "KEY=VALUE", "override a key of the recipe, e.g. train.lr=3e-4"},
        {"runs", 0, RT_OPT_STR, &o.runs_dir, "DIR", "where run directories are (default: runs)"},
        {"accept-licence", 0, RT_OPT_STR, &o.accept_licence, "ID", "accept the duties of this licence; recorded with your name"},
        {"reason", 0, RT_OPT_STR, &o.accept_reason, "TEXT", "why, where the licence's terms are unknown"},
        {0},
    };
    if (!rt_cli_begin(&c, "run", argc, argv, "run RECIPE.yaml [options]", about, opts, 1, 1,
                      "one recipe is needed, e.g. examples/quickstart.yaml", &code)) {
        return code;
    }
    json_t *out = NULL;
    o.recipe = c.operands.v[0];
    o.sets = sets.v;
    o.n_sets = sets.n;
    const rt_status st = dry ? rt_flow_plan(&o, &out, &c.err) : rt_flow_run(&o, &out, &c.err);
    if (st == RT_OK) {
        (c.common.json ? rt_cli_print_json : dry ? print_plan : print_summary)(out);
    }
    json_decref(out);
    return rt_cli_end(&c, st);
}
