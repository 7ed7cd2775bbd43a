/* audit_print.c - tables of verdicts, each with what its items can tell apart, and the claims they allow. */
#include "cli/audit_print.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "format/json.h"

/* --- tables of verdicts ------------------------------------------------------------------------------------------- */

/* Shares read as points. */
static double scale_of(const json_t *row)
{
    return strcmp(rt_json_str(row, "unit", "share"), "share") == 0 ? 100 : 1;
}

static void print_p(double p)
{
    if (isnan(p)) {
        printf("     -  ");
    } else {
        printf("%6.3f  ", p);
    }
}

static void print_retention(const json_t *row)
{
    const json_t *kept = json_object_get(row, "retention");
    const double value = rt_json_f64(kept, "value", NAN);
    if (isfinite(value)) {
        printf("; %.0f %% [%.0f, %.0f] above guessing kept", 100 * value, 100 * rt_json_f64(kept, "low", NAN),
               100 * rt_json_f64(kept, "high", NAN));
    }
}

static void print_row(const json_t *row, int metric_width)
{
    const double scale = scale_of(row);
    const char *verdict = rt_json_str(row, "verdict", ""), *alone = rt_json_str(row, "verdict_alone", "");
    const int64_t needed = rt_json_i64(row, "needed", 0);
    const double flips = rt_json_f64(row, "flips", NAN);
    const int digits = scale == 1 ? 3 : 1;
    printf("%-18s %-*s %6lld  %5.*f  %5.*f  %+5.*f [%+.*f, %+.*f]  ", rt_json_str(row, "name", ""), metric_width,
           rt_json_str(row, "metric", ""), (long long)rt_json_i64(row, "n", 0), digits,
           scale * rt_json_f64(row, "teacher", NAN), digits, scale * rt_json_f64(row, "student", NAN), digits,
           scale * rt_json_f64(row, "estimate", NAN), digits, scale * rt_json_f64(row, "low", NAN), digits,
           scale * rt_json_f64(row, "high", NAN));
    printf(isnan(flips) ? "    -  " : "%5.1f  ", 100 * flips);
    print_p(rt_json_f64(row, "p_adjusted", NAN));
    printf("%s, margin %g", verdict, scale * rt_json_f64(row, "margin", NAN));
    if (strcmp(verdict, alone) != 0) {
        printf(" (%s by itself)", alone);
    }
    print_retention(row);
    if (needed > 0) {
        printf("; about %lld items would decide", (long long)needed);
    }
    printf("\n");
}

static void print_family(const json_t *f)
{
    size_t i;
    json_t *row;
    const json_t *rows = json_object_get(f, "rows");
    const double scale = scale_of(json_array_get(rows, 0)), half = rt_json_f64(f, "half_width", NAN);
    printf("%s: %s beside %s\n", rt_json_str(f, "table", ""), rt_json_str(f, "model", ""),
           rt_json_str(f, "reference", ""));
    const bool tasks = strcmp(rt_json_str(f, "family", ""), "tasks") == 0;
    const int width = tasks ? 12 : 22;
    printf("%-18s %-*s %6s  %5.5s  %5.5s  %s  flips  p Holm  verdict\n", "task", width, "metric", "items",
           rt_json_str(f, "reference", ""), rt_json_str(f, "model", ""), "change [95 %]");
    json_array_foreach(rows, i, row)
    {
        print_row(row, width);
    }
    if (!tasks) { /* units differ */
        printf("\n");
    } else if (isfinite(half)) {
        printf("half-width up to %.1f: what is smaller cannot be seen with these items\n\n", scale * half);
    } else {
        printf("no half-width: the items are of one group\n\n");
    }
}

/* --- what they allow to be said ----------------------------------------------------------------------------------- */

static void print_names(const char *what, const json_t *names)
{
    size_t i;
    json_t *name;
    if (json_array_size(names) > 0) {
        printf("%-15s ", what);
        json_array_foreach(names, i, name)
        {
            printf("%s%s", i > 0 ? ", " : "", json_string_value(name));
        }
        printf("\n");
    }
}

static void print_claims(const json_t *claims)
{
    printf("claim:          %s\n", rt_json_str(claims, "statement", ""));
    print_names("open:", json_object_get(claims, "open"));
    print_names("not measurable:", json_object_get(claims, "not_measurable"));
}

static void print_seen(const json_t *trained_for, const json_t *seen)
{
    size_t i;
    json_t *one;
    if (json_is_array(trained_for)) {
        printf("trained for:    %s", json_array_size(trained_for) > 0 ? "" : "none of these, as far as is known");
    }
    json_array_foreach(trained_for, i, one)
    {
        printf("%s%s (%s)", i > 0 ? ", " : "", rt_json_str(one, "task", ""), rt_json_str(one, "how", ""));
    }
    printf(json_is_array(trained_for) ? "\n" : "");
    if (json_is_object(seen)) {
        printf(
            "                %.0f %% of the teacher kept above guessing there, elsewhere %.0f %%: %+.0f points [%+.0f, "
            "%+.0f]\n",
            100 * rt_json_f64(json_object_get(seen, "seen"), "retention", NAN),
            100 * rt_json_f64(json_object_get(seen, "unseen"), "retention", NAN),
            100 * rt_json_f64(seen, "difference", NAN), 100 * rt_json_f64(seen, "low", NAN),
            100 * rt_json_f64(seen, "high", NAN));
    }
}

/* --- what stands beside every score ------------------------------------------------------------------------------- */

static void print_contamination(const json_t *list)
{
    size_t i;
    json_t *task;
    if (!json_is_array(list)) {
        printf("contamination:  not looked for; --train-text FILE... names what the student was trained on\n");
    }
    json_array_foreach(list, i, task)
    {
        const int64_t items = rt_json_i64(task, "items", 0), checked = rt_json_i64(task, "checked", 0);
        printf("contamination:  %s: %lld of %lld items stand in the training text", rt_json_str(task, "task", ""),
               (long long)rt_json_i64(task, "found", 0), (long long)checked);
        printf(checked < items ? ", %lld more are too short to look for\n" : "\n", (long long)(items - checked));
    }
}

static void print_seeds(const json_t *seeds)
{
    size_t i;
    json_t *row;
    if (rt_json_i64(seeds, "n", 1) == 1) {
        printf("seeds:          one; how far another would lie from it is not known\n");
    }
    json_array_foreach(json_object_get(seeds, "rows"), i, row)
    {
        printf("seeds:          %s: %+.1f, standard deviation %.1f, %+.1f to %+.1f over %lld\n",
               rt_json_str(row, "name", ""), 100 * rt_json_f64(row, "mean", NAN), 100 * rt_json_f64(row, "sd", NAN),
               100 * rt_json_f64(row, "least", NAN), 100 * rt_json_f64(row, "most", NAN),
               (long long)rt_json_i64(seeds, "n", 1));
    }
}

static void print_search(const json_t *search)
{
    if (json_is_object(search)) {
        printf("slices:         %lld searched on one half of the items; the %lld that looked worst were judged on the "
               "other\n",
               (long long)rt_json_i64(search, "searched", 0), (long long)rt_json_i64(search, "judged", 0));
    }
}

static void print_unlike(const json_t *list)
{
    size_t i;
    json_t *text;
    json_array_foreach(list, i, text)
    {
        printf("not alike:      %s\n", json_string_value(text));
    }
}

void rt_audit_print(const json_t *report)
{
    size_t i;
    json_t *family;
    json_array_foreach(json_object_get(report, "families"), i, family)
    {
        print_family(family);
    }
    print_claims(json_object_get(report, "claims"));
    print_seen(json_object_get(report, "trained_for"), json_object_get(report, "seen"));
    print_seeds(json_object_get(report, "seeds"));
    print_search(json_object_get(report, "slice_search"));
    print_contamination(json_object_get(report, "contamination"));
    print_unlike(json_object_get(report, "unlike"));
}
