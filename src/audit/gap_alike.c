/* gap_alike.c - whether results may stand beside each other, and how far those of other seeds lie apart (gap.h). */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "audit/gap_items.h"
#include "audit/heldout.h"
#include "format/json.h"

/* --- alike -------------------------------------------------------------------------------------------------------- */

static void compare(json_t *list, const char *task, const char *what, const char *x, const char *y,
                    const rt_gap_model *a, const rt_gap_model *b)
{
    if (strcmp(x, y) != 0) {
        rt_str s = {0};
        rt_str_printf(&s, "%s: %s %s of the %s, %s of the %s", task, what, x, a->name, y, b->name);
        json_array_append_new(list, json_string(rt_str_cstr(&s)));
        rt_str_release(&s);
    }
}

void rt_gap_unlike(json_t *list, const rt_gap_model *a, const rt_gap_model *b, size_t task)
{
    const rt_task_result *x = &a->results[task], *y = &b->results[task];
    char items[2][17];
    snprintf(items[0], sizeof items[0], "%016" PRIx64, x->items_hash);
    snprintf(items[1], sizeof items[1], "%016" PRIx64, y->items_hash);
    compare(list, x->task, "version", x->version, y->version, a, b);
    compare(list, x->task, "rules", x->harness, y->harness, a, b);
    compare(list, x->task, "chat template", x->chat, y->chat, a, b);
    compare(list, x->task, "precision", x->precision, y->precision, a, b);
    compare(list, x->task, "texts", items[0], items[1], a, b);
}

/* --- seeds -------------------------------------------------------------------------------------------------------- */

/* Row i of the family, and i + n_rows, i + 2 n_rows ...: one a seed. */
static json_t *spread_json(const rt_family *f, size_t i, size_t n_rows)
{
    double sum = 0, squares = 0, least = INFINITY, most = -INFINITY;
    const size_t n = f->n / n_rows;
    for (size_t k = i; k < f->n; k += n_rows) {
        const double d = f->rows[k].paired.difference;
        sum += d;
        least = fmin(least, d);
        most = fmax(most, d);
    }
    for (size_t k = i; k < f->n; k += n_rows) {
        squares += pow(f->rows[k].paired.difference - sum / (double)n, 2);
    }
    return json_pack("{s:s, s:f, s:f, s:f, s:f}", "name", f->rows[i].name, "mean", sum / (double)n, "sd",
                     sqrt(squares / (double)(n - 1)), "least", least, "most", most);
}

rt_status rt_gap_seeds(json_t **out, const rt_gap_input *in, rt_err *err)
{
    rt_status st = RT_OK;
    json_t *rows = json_array();
    rt_family f = {.name = "seeds", .table = "", .model = in->student.name, .reference = in->teacher.name};
    if (in->n_seeds > 0) {
        RT_TRY(rt_gap_add_tasks(&f, &in->teacher, &in->student, in, RT_GAP_FEW_RESAMPLES, err));
        for (size_t k = 0; k < in->n_seeds; k++) {
            RT_TRY(rt_gap_add_tasks(&f, &in->teacher, &in->seeds[k], in, RT_GAP_FEW_RESAMPLES, err));
        }
        const size_t n_rows = f.n / (in->n_seeds + 1);
        for (size_t i = 0; i < n_rows; i++) {
            json_array_append_new(rows, spread_json(&f, i, n_rows));
        }
    }
    *out = json_pack("{s:I, s:O}", "n", (json_int_t)in->n_seeds + 1, "rows", rows);
    st = *out != NULL ? RT_OK : rt_fail(err, RT_MEMORY, 0, "no memory for seeds");
out:
    json_decref(rows);
    rt_family_release(&f);
    return st;
}
