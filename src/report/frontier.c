/* frontier.c - runs in groups that share a scale, and the frontier of each (frontier.h). */
#include "report/frontier.h"

#include <math.h>
#include <string.h>

#include "report/figure.h"

json_t *rt_frontier_new(void)
{
    return json_pack("{s:[], s:[]}", "groups", "left_out");
}

void rt_frontier_leave_out(json_t *frontier, const char *name, const char *why)
{
    json_array_append_new(json_object_get(frontier, "left_out"), json_pack("{s:s, s:s}", "name", name, "why", why));
}

static double number(const json_t *o, const char *key)
{
    return rt_json_f64(o, key, NAN);
}

/* Of the same teacher on the same text: as many positions, and the very same perplexity of the teacher. */
static json_t *group_of(json_t *frontier, const json_t *facts)
{
    size_t i;
    json_t *g, *groups = json_object_get(frontier, "groups");
    const json_t *teacher = json_object_get(facts, "teacher"),
                 *fidelity = json_object_get(rt_role_model(facts, RT_ROLE_TEACHER), "fidelity");
    const char *sha256 = rt_json_str(teacher, "sha256", "");
    const double positions = number(fidelity, "positions"), perplexity = number(fidelity, "perplexity");
    json_array_foreach(groups, i, g)
    {
        if (strcmp(rt_json_str(g, "teacher_sha256", ""), sha256) == 0 && number(g, "positions") == positions &&
            number(g, "teacher_perplexity") == perplexity) {
            return g;
        }
    }
    g = json_pack("{s:s, s:s, s:o, s:o, s:[]}", "teacher", rt_json_str(teacher, "name", "unknown teacher"),
                  "teacher_sha256", sha256, "positions", rt_number_json(positions), "teacher_perplexity",
                  rt_number_json(perplexity), "runs");
    json_array_append_new(groups, g);
    return g;
}

static double flop_of(const json_t *facts)
{
    const double student = number(json_object_get(facts, "student"), "parameters"),
                 teacher = number(json_object_get(facts, "teacher"), "parameters");
    return 6 * student * number(json_object_get(facts, "train"), "tokens") +
           2 * teacher * number(json_object_get(facts, "collect"), "tokens");
}

void rt_frontier_add(json_t *frontier, const char *name, const json_t *facts)
{
    const json_t *student = rt_role_model(facts, RT_ROLE_STUDENT), *teacher = rt_role_model(facts, RT_ROLE_TEACHER);
    const rt_figure kl = rt_figure_fidelity(student, "kl");
    const double seconds = number(json_object_get(facts, "cost"), "seconds"),
                 of_teacher = number(json_object_get(teacher, "fidelity"), "perplexity"),
                 of_student = number(json_object_get(student, "fidelity"), "perplexity");
    if (!isfinite(seconds) || !isfinite(of_teacher) || !rt_figure_known(kl)) {
        rt_frontier_leave_out(frontier, name,
                              isfinite(seconds) ? "its distance to the teacher was not measured"
                                                : "its time is not recorded");
        return;
    }
    json_t *run = json_pack(
        "{s:s, s:f, s:o, s:o, s:o, s:o, s:f, s:o, s:o, s:b}", "name", name, "seconds", seconds, "tokens",
        rt_number_json(number(json_object_get(facts, "train"), "tokens")), "flop", rt_number_json(flop_of(facts)),
        "parameters", rt_number_json(number(json_object_get(facts, "student"), "parameters")), "bytes",
        rt_number_json(number(json_object_get(facts, "student"), "bytes")), "kl", kl.mean, "kl_half",
        rt_number_json(kl.half), "perplexity_ratio", rt_number_json(of_student / of_teacher), "on_frontier", 0);
    json_array_append_new(json_object_get(group_of(frontier, facts), "runs"), run);
}

/* --- conclusion --------------------------------------------------------------------------------------------------- */

static int by_seconds(const void *a, const void *b)
{
    const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
    const double s = number(x, "seconds"), t = number(y, "seconds");
    return s != t ? (s < t ? -1 : 1) : strcmp(rt_json_str(x, "name", ""), rt_json_str(y, "name", ""));
}

static rt_status sort_runs(json_t *group, rt_err *err)
{
    rt_status st = RT_OK;
    size_t i;
    json_t *run, **order = NULL, *runs = json_object_get(group, "runs"), *sorted = json_array();
    RT_TRY(RT_NEW(&order, json_array_size(runs), "runs", err));
    json_array_foreach(runs, i, run)
    {
        order[i] = run;
    }
    qsort(order, json_array_size(runs), sizeof(json_t *), by_seconds);
    for (i = 0; i < json_array_size(runs); i++) {
        json_array_append(sorted, order[i]);
    }
    json_object_set(group, "runs", sorted);
out:
    rt_free(order);
    json_decref(sorted);
    return st;
}

static bool beats(const json_t *a, const json_t *b)
{
    const double s = number(a, "seconds"), t = number(b, "seconds"), k = number(a, "kl"), l = number(b, "kl");
    return s <= t && k <= l && (s < t || k < l);
}

static void mark(json_t *runs)
{
    size_t i, k;
    json_t *run, *other;
    json_array_foreach(runs, i, run)
    {
        bool beaten = false;
        json_array_foreach(runs, k, other)
        {
            beaten |= beats(other, run);
        }
        json_object_set_new(run, "on_frontier", json_boolean(!beaten));
    }
}

rt_status rt_frontier_conclude(json_t *frontier, rt_err *err)
{
    rt_status st = RT_OK;
    size_t i;
    json_t *group;
    json_array_foreach(json_object_get(frontier, "groups"), i, group)
    {
        RT_TRY(sort_runs(group, err));
        mark(json_object_get(group, "runs"));
    }
out:
    return st;
}
