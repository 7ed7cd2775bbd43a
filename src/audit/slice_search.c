/* slice_search.c - slices of items as bits, the worst on one half, verdicts on the other (slice_search.h). */
#include "audit/slice_search.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "audit/hash_split.h"
#include "format/json.h"

/* --- what an item's text is like ---------------------------------------------------------------------------------- */

typedef enum dimension { WORDS, NUMBERS, FOREIGN, QUESTION, NEGATION, CATEGORY, N_DIMENSIONS } dimension;

static const struct {
    dimension dimension;
    const char *label;
    double lo, hi;
} bands[] = {
#define RT_ITEM_SLICE(dimension, label, lo, hi) {dimension, label, lo, hi},
#include "audit/item_slices.def"
#undef RT_ITEM_SLICE
};
enum { N_BANDS = sizeof bands / sizeof bands[0], MAX_SLICES = 64 };

static bool is_negation(const char *p, size_t n)
{
    static const char *const list[] = {"not", "never", "no", "none", "nobody", "nothing", "cannot"};
    for (size_t i = 0; i < sizeof list / sizeof list[0]; i++) {
        if (rt_slice_eq((rt_slice){p, n}, list[i])) {
            return true;
        }
    }
    return n > 3 && memcmp(p + n - 3, "n't", 3) == 0;
}

static void look(double v[N_DIMENSIONS], const char *p, size_t n)
{
    double foreign = 0;
    for (size_t i = 0; i < n;) {
        const size_t first = i;
        for (; i < n && !isspace((unsigned char)p[i]); i++) {
            v[NUMBERS] += isdigit((unsigned char)p[i]) != 0;
            v[QUESTION] += p[i] == '?';
            foreign += (unsigned char)p[i] >= 0x80;
        }
        v[WORDS] += i > first;
        v[NEGATION] += is_negation(p + first, i - first);
        i += i == first;
    }
    v[FOREIGN] = n > 0 ? foreign / (double)n : 0;
}

/* --- slices of a task --------------------------------------------------------------------------------------------- */

typedef struct slices {
    uint64_t *in; /* [n] bit k: the item is in slice k */
    bool *first;  /* [n] it belongs to the half that is searched */
    size_t n, n_slices;
    const char *label[MAX_SLICES]; /* borrowed */
    dimension dimension[MAX_SLICES];
} slices;

static size_t category_of(slices *s, const char *name)
{
    size_t k = N_BANDS;
    while (k < s->n_slices && strcmp(s->label[k], name) != 0) {
        k++;
    }
    if (k == s->n_slices && k < MAX_SLICES) {
        s->label[k] = name;
        s->dimension[k] = CATEGORY;
        s->n_slices++;
    }
    return k;
}

/* Items of a group, which are not independent, belong to one half: `id` is the group's where there is one. */
static void place(slices *s, size_t i, const json_t *doc, const char *id)
{
    double v[N_DIMENSIONS] = {0};
    char salted[128];
    const json_t *context = json_array_get(json_array_get(json_object_get(doc, "arguments"), 0), 0);
    const char *category = rt_json_str(doc, "category", NULL);
    look(v, json_string_value(context), json_string_length(context));
    for (size_t k = 0; k < N_BANDS; k++) {
        const double x = v[bands[k].dimension];
        s->in[i] |= x >= bands[k].lo && x < bands[k].hi ? 1ull << k : 0;
    }
    const size_t c = category != NULL ? category_of(s, category) : MAX_SLICES;
    s->in[i] |= c < MAX_SLICES ? 1ull << c : 0;
    snprintf(salted, sizeof salted, "search %.100s", id);
    s->first[i] = rt_hash_split_has(RT_SPLIT_EVEN, salted);
}

static rt_status open_slices(slices *s, const json_t *docs, const rt_task_result *r, rt_err *err)
{
    rt_status st = RT_OK;
    s->n = (size_t)r->n;
    s->n_slices = N_BANDS;
    if (json_array_size(docs) != s->n) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "%s: texts of %zu items, results of %zu", r->task, json_array_size(docs), s->n);
    }
    RT_TRY(RT_NEW(&s->in, s->n, "slices of items", err));
    RT_TRY(RT_NEW(&s->first, s->n, "halves of items", err));
    for (size_t k = 0; k < N_BANDS; k++) {
        s->label[k] = bands[k].label;
        s->dimension[k] = bands[k].dimension;
    }
    for (size_t i = 0; i < s->n; i++) {
        const json_t *item = json_array_get(r->items, i);
        place(s, i, json_array_get(docs, i), rt_json_str(item, "group", rt_json_str(item, "id", "")));
    }
out:
    return st;
}

static void close_slices(slices *s)
{
    rt_free(s->in);
    rt_free(s->first);
}

/* --- the search --------------------------------------------------------------------------------------------------- */

typedef struct found {
    size_t task;
    uint64_t bits; /* an item is in it when it has all of them */
    double t;      /* of the difference on the first half; the lower the worse */
} found;

static size_t choose(bool *use, const slices *s, uint64_t bits, bool first)
{
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        use[i] = s->first[i] == first && (s->in[i] & bits) == bits;
        n += use[i];
    }
    return n;
}

static void keep(found best[RT_SLICES_JUDGED], found one)
{
    for (size_t i = 0; i < RT_SLICES_JUDGED; i++) {
        if (one.t < best[i].t) {
            const found next = best[i];
            best[i] = one;
            one = next;
        }
    }
}

static rt_status try_slice(found best[RT_SLICES_JUDGED], size_t *searched, const slices *s, bool *use, found one,
                           const rt_gap_input *in, rt_err *err)
{
    rt_status st = RT_OK;
    rt_family half = {.name = "half", .table = "", .model = in->student.name, .reference = in->teacher.name};
    if (choose(use, s, one.bits, false) < RT_SLICE_ITEMS || choose(use, s, one.bits, true) < RT_SLICE_ITEMS) {
        return RT_OK;
    }
    ++*searched;
    RT_TRY(rt_gap_add(
        &half, &in->teacher.results[one.task], &in->student.results[one.task],
        &(rt_gap_options){.margin = in->margin, .seed = in->seed, .use = use, .resamples = RT_GAP_FEW_RESAMPLES}, err));
    one.t = half.rows[0].paired.difference / half.rows[0].paired.stderr_;
    if (one.t < 0) {
        keep(best, one);
    }
out:
    rt_family_release(&half);
    return st;
}

static rt_status search_task(found best[RT_SLICES_JUDGED], size_t *searched, const slices *s, size_t task,
                             const rt_gap_input *in, rt_err *err)
{
    rt_status st = RT_OK;
    bool *use = NULL;
    RT_TRY(RT_NEW(&use, s->n, "items of a slice", err));
    for (size_t a = 0; a < s->n_slices; a++) {
        RT_TRY(try_slice(best, searched, s, use, (found){.task = task, .bits = 1ull << a}, in, err));
        for (size_t b = a + 1; b < s->n_slices; b++) {
            if (s->dimension[a] != s->dimension[b]) {
                RT_TRY(
                    try_slice(best, searched, s, use, (found){.task = task, .bits = 1ull << a | 1ull << b}, in, err));
            }
        }
    }
out:
    rt_free(use);
    return st;
}

static rt_status judge(rt_family *f, const slices *s, const found *one, const rt_gap_input *in, rt_err *err)
{
    rt_status st = RT_OK;
    bool *use = NULL;
    rt_str name = {0};
    const char *between = ": ";
    RT_TRY(RT_NEW(&use, s->n, "items of a slice", err));
    rt_str_puts(&name, in->teacher.results[one->task].task);
    for (size_t k = 0; k < s->n_slices; k++) {
        if (one->bits >> k & 1) {
            rt_str_printf(&name, "%s%s", between, s->label[k]);
            between = " and ";
        }
    }
    choose(use, s, one->bits, false);
    RT_TRY(rt_gap_add(f, &in->teacher.results[one->task], &in->student.results[one->task],
                      &(rt_gap_options){.margin = in->margin, .seed = in->seed, .name = rt_str_cstr(&name), .use = use},
                      err));
out:
    rt_free(use);
    rt_str_release(&name);
    return st;
}

rt_status rt_slice_search(rt_family *f, size_t *searched, const rt_gap_input *in, rt_err *err)
{
    rt_status st = RT_OK;
    slices *tasks = NULL;
    found best[RT_SLICES_JUDGED];
    *searched = 0;
    for (size_t i = 0; i < RT_SLICES_JUDGED; i++) {
        best[i] = (found){.t = INFINITY};
    }
    RT_TRY(RT_NEW(&tasks, in->n_tasks, "slices of tasks", err));
    for (size_t i = 0; i < in->n_tasks; i++) {
        if (!rt_gap_has_row(&in->teacher.results[i])) {
            continue;
        }
        RT_TRY(open_slices(&tasks[i], in->docs[i], &in->teacher.results[i], err));
        RT_TRY(search_task(best, searched, &tasks[i], i, in, err));
    }
    for (size_t i = 0; i < RT_SLICES_JUDGED && best[i].t < 0; i++) {
        RT_TRY(judge(f, &tasks[best[i].task], &best[i], in, err));
    }
    RT_TRY(rt_family_conclude(f, err));
out:
    for (size_t i = 0; tasks != NULL && i < in->n_tasks; i++) {
        close_slices(&tasks[i]);
    }
    rt_free(tasks);
    return st;
}
