/* claim.c - lists and a sentence from verdicts (claim.h). */
#include "audit/claim.h"

#include <math.h>
#include <string.h>

#include "format/json.h"

/* --- what was kept and what is lacking ---------------------------------------------------------------------------- */

enum { COMPETITIVE, LACKING, UNDECIDED, NOT_MEASURABLE, N_LISTS };
static const char *const keys[N_LISTS] = {"competitive", "lacking", "open", "not_measurable"};

/* Beside a reference that does not clearly beat guessing, even a gain is no competitiveness. */
static int list_of(const rt_family_row *r)
{
    if (r->paired.at_floor) {
        return NOT_MEASURABLE;
    }
    switch (r->verdict) {
    case RT_PAIRED_KEPT:
    case RT_PAIRED_GAINED: return COMPETITIVE;
    case RT_PAIRED_LOST: return LACKING;
    case RT_PAIRED_WORSE:
    case RT_PAIRED_OPEN: return UNDECIDED;
    case RT_PAIRED_FLOOR: break;
    }
    return NOT_MEASURABLE;
}

static void put_names(rt_str *s, const json_t *names)
{
    size_t i;
    json_t *name;
    json_array_foreach(names, i, name)
    {
        rt_str_printf(s, "%s%s", i > 0 ? ", " : "", json_string_value(name));
    }
}

static void put_statement(rt_str *s, json_t *const lists[N_LISTS], const rt_family *f, bool worse_everywhere)
{
    const size_t kept = json_array_size(lists[COMPETITIVE]), lost = json_array_size(lists[LACKING]);
    if (worse_everywhere) {
        rt_str_printf(s, "the %s is worse than the %s in everything that can be measured: competitive in nothing",
                      f->model, f->reference);
    } else if (kept == 0 && lost == 0) {
        rt_str_puts(s, "these items decide nothing: neither competitive nor lacking can be claimed");
    } else if (kept == 0) {
        rt_str_puts(s, "competitive in nothing that was measured");
    } else {
        rt_str_puts(s, "competitive on ");
        put_names(s, lists[COMPETITIVE]);
    }
    if (!worse_everywhere && lost > 0) {
        rt_str_puts(s, ", lacking ");
        put_names(s, lists[LACKING]);
    }
}

json_t *rt_claims_json(const rt_family *f)
{
    json_t *lists[N_LISTS], *j = json_object();
    rt_str s = {0};
    size_t measured = 0, worse = 0;
    for (int k = 0; k < N_LISTS; k++) {
        lists[k] = json_array();
    }
    for (size_t i = 0; i < f->n; i++) {
        const int k = list_of(&f->rows[i]);
        json_array_append_new(lists[k], json_string(f->rows[i].name));
        measured += k != NOT_MEASURABLE;
        worse += rt_paired_is_loss(f->rows[i].paired.verdict);
    }
    const bool worse_everywhere = measured > 0 && worse == measured;
    put_statement(&s, lists, f, worse_everywhere);
    json_object_set_new(j, "statement", json_string(rt_str_cstr(&s)));
    json_object_set_new(j, "worse_everywhere", json_boolean(worse_everywhere));
    for (int k = 0; k < N_LISTS; k++) {
        json_object_set_new(j, keys[k], lists[k]);
    }
    rt_str_release(&s);
    return j;
}

/* --- benchmarks it was trained for -------------------------------------------------------------------------------- */

typedef struct side {
    double sum, variance; /* of retentions */
    size_t n;
    json_t *names;
} side;

static bool is_seen(const char *name, const json_t *trained_for)
{
    size_t i;
    json_t *one;
    json_array_foreach(trained_for, i, one)
    {
        if (strcmp(name, rt_json_str(one, "task", "")) == 0) {
            return true;
        }
    }
    return false;
}

static void add(side *s, const rt_family_row *r)
{
    const double *kept = r->paired.retention, error = (kept[2] - kept[1]) / (2 * RT_Z95);
    s->sum += kept[0];
    s->variance += error * error;
    s->n++;
    json_array_append_new(s->names, json_string(r->name));
}

static json_t *side_json(const side *s)
{
    return json_pack("{s:O, s:f}", "tasks", s->names, "retention", s->sum / (double)s->n);
}

json_t *rt_claims_seen_json(const rt_family *f, const json_t *trained_for)
{
    side a = {.names = json_array()}, b = {.names = json_array()};
    json_t *j = json_null();
    for (size_t i = 0; i < f->n; i++) {
        if (isfinite(f->rows[i].paired.retention[0])) {
            add(is_seen(f->rows[i].name, trained_for) ? &a : &b, &f->rows[i]);
        }
    }
    if (a.n > 0 && b.n > 0) {
        const double n = (double)a.n, m = (double)b.n, difference = a.sum / n - b.sum / m;
        const double half = RT_Z95 * sqrt(a.variance / (n * n) + b.variance / (m * m));
        j = json_pack("{s:o, s:o, s:f, s:o, s:o}", "seen", side_json(&a), "unseen", side_json(&b), "difference",
                      difference, "low", rt_number_json(difference - half), "high", rt_number_json(difference + half));
    }
    json_decref(a.names);
    json_decref(b.names);
    return j;
}
