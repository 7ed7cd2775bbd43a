/* retort run: a recipe carried out, or only planned. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "flow/flow.h"
#include "flow/recipe.h"

static const char *const about =
    "Carries out RECIPE in runs/<name>: licence gate, teacher outputs, student, training, export, audit,\n"
    "report. The same command goes on where a killed run was; a stage whose inputs are unchanged is not\n"
    "done again. --dry-run judges the licence, measures the machine for a few seconds and says what would\n"
    "be done, how long it takes and how much memory and disk it needs. --seed, --threads and --precision\n"
    "take the place of the recipe's.\n"
    "\n"
    "example:  retort run examples/quickstart.yaml --set budget=20m --set student.layers=12";

static double number(const json_t *o, const char *key)
{
    return json_number_value(json_object_get(o, key));
}

static void print_collect(double tokens, double seconds, double accepted)
{
    printf("collect:  %.0f tokens in about %.0f s\n", tokens, seconds);
    if (seconds > accepted) {
        printf("          refused, more than %.0f s, unless --accept-time allows it;\n"
               "          a served teacher (teacher.endpoint) or fewer tokens (collect.tokens) take less\n",
               accepted);
    }
}

static void print_answers(const json_t *plan, const json_t *seconds)
{
    const json_t *took = json_object_get(seconds, "answers");
    if (json_is_null(took)) {
        printf("answers:  to %.0f prompts, as fast as the server writes\n", number(plan, "prompts"));
    } else if (took != NULL) {
        printf("answers:  to %.0f prompts in at most %.0f s; what follows is for answers as long as they may be\n",
               number(plan, "prompts"), json_number_value(took));
    }
}

static void print_plan(const json_t *p)
{
    const json_t *licence = json_object_get(p, "licence"), *student = json_object_get(p, "student");
    const json_t *seconds = json_object_get(p, "seconds"), *pace = json_object_get(p, "pace");
    printf("run:      %s\n", json_string_value(json_object_get(p, "dir")));
    printf("licence:  %s, %s\n", json_string_value(json_object_get(licence, "id")),
           json_string_value(json_object_get(licence, "verdict")));
    printf("student:  %.0f layers, %.1f M parameters\n", number(student, "layers"),
           number(student, "parameters") / 1e6);
    print_answers(p, seconds);
    if (json_is_null(json_object_get(seconds, "collect"))) {
        printf("collect:  %.0f tokens, as fast as the server answers\n", number(p, "collect_tokens"));
    } else {
        print_collect(number(p, "collect_tokens"), number(seconds, "collect"), number(p, "accepted_seconds"));
    }
    printf("train:    about %.0f tokens in %.0f s, and %.0f s for the twin\n", number(p, "train_tokens"),
           number(seconds, "train"), number(seconds, "twin"));
    if (json_object_get(p, "on_policy_tokens") != NULL) {
        printf("own text: about %.0f tokens in %.0f s, the student's writing and the teacher's reading with them\n",
               number(p, "on_policy_tokens"), number(seconds, "on_policy"));
    }
    if (number(p, "budget_seconds") > 0) {
        printf("budget:   %.0f s, with planning, export, audit and report\n", number(p, "budget_seconds"));
    } else {
        printf("budget:   none given; export, audit and report come on top\n");
    }
    printf("needs:    %.1f GB of memory, %.1f GB of disk\n", number(p, "peak_memory_bytes") / 1e9,
           number(p, "disk_bytes") / 1e9);
    printf("measured: teacher %.0f tokens/s, training %.0f tokens/s\n", number(pace, "teacher_tokens_per_s"),
           number(pace, "step_tokens_per_s"));
}

static void print_summary(const json_t *s)
{
    const char *model = json_string_value(json_object_get(s, "model"));
    printf("page:   %s\nmodel:  %s\ntry it: %s generate %s -p \"Once upon a time\" -n 48\n",
           json_string_value(json_object_get(s, "report")), model, program_invocation_name, model);
}

/* Options of all commands that a recipe also has a key for. */
typedef struct overrides {
    char seed[48], threads[48], precision[48];
} overrides;

static rt_status add_set(rt_opt_list *sets, const char *set, rt_err *err)
{
    if (sets->n == RT_OPT_MAX) {
        return rt_fail(err, RT_USAGE, 0, "option '--set' takes at most %d values", RT_OPT_MAX);
    }
    sets->v[sets->n++] = set;
    return RT_OK;
}

static rt_status add_overrides(overrides *o, const rt_common *common, rt_opt_list *sets, rt_err *err)
{
    rt_status st = RT_OK;
    if (common->seed_given) {
        snprintf(o->seed, sizeof o->seed, "seed=%lld", (long long)common->seed);
        RT_TRY(add_set(sets, o->seed, err));
    }
    if (common->threads > 0) {
        snprintf(o->threads, sizeof o->threads, "threads=%lld", (long long)common->threads);
        RT_TRY(add_set(sets, o->threads, err));
    }
    if (common->precision_given) {
        snprintf(o->precision, sizeof o->precision, "train.precision=%s", common->precision);
        RT_TRY(add_set(sets, o->precision, err));
    }
out:
    return st;
}

static void print_keys(void)
{
    rt_str page = {0};
    rt_run_recipe_doc(&page);
    fputs(rt_str_cstr(&page), stdout);
    rt_str_release(&page);
}

int rt_cmd_run(int argc, char **argv)
{
    rt_cli c;
    int code;
    rt_opt_list sets = {0};
    rt_flow_options o = {0};
    bool dry = false, keys = false;
    const rt_opt opts[] = {
        {"dry-run", 'n', RT_OPT_FLAG, &dry, NULL, "plan only: licence verdict, time, memory, disk; writes nothing"},
        {"set", 0, RT_OPT_EACH, &sets, "KEY=VALUE", "override a key of the recipe, e.g. train.lr=3e-4"},
        {"keys", 0, RT_OPT_FLAG, &keys, NULL, "print the keys of a recipe and stop"},
        {"runs", 0, RT_OPT_STR, &o.runs_dir, "DIR", "where run directories are (default: runs)"},
        {"accept-licence", 0, RT_OPT_STR, &o.accept_licence, "ID",
         "accept the duties of this licence; recorded with your name, not by --dry-run"},
        {"reason", 0, RT_OPT_STR, &o.accept_reason, "TEXT", "why, where the licence's terms are unknown"},
        {"accept-time", 0, RT_OPT_DURATION, &o.accept_seconds, "TIME",
         "let the teacher take so long, e.g. 72h (default: 24h, or a longer budget)"},
        RT_CLI_MEMORY(&o.memory),
        {0},
    };
    if (!rt_cli_begin(&c, "run", argc, argv, "run RECIPE.yaml [options]", about, opts, 0, 1,
                      "one recipe is needed, e.g. examples/quickstart.yaml", &code)) {
        return code;
    }
    rt_status st = RT_OK;
    json_t *out = NULL;
    overrides own;
    if (keys) {
        print_keys();
        goto out;
    }
    if (c.operands.n == 0) {
        RT_FAIL_OUT(&c.err, RT_USAGE, 0, "one recipe is needed, e.g. examples/quickstart.yaml");
    }
    RT_TRY(add_overrides(&own, &c.common, &sets, &c.err));
    o.recipe = c.operands.v[0];
    o.sets = sets.v;
    o.n_sets = sets.n;
    RT_TRY(dry ? rt_flow_plan(&o, &out, &c.err) : rt_flow_run(&o, &out, &c.err));
    (c.common.json ? rt_cli_print_json : dry ? print_plan : print_summary)(out);
out:
    json_decref(out);
    return rt_cli_end(&c, st);
}
