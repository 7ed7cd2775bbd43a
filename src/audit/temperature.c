/* temperature.c - the derivative of the NLL by 1/T only rises: its zero is found by halving (temperature.h). */
#include "audit/temperature.h"

#include <math.h>
#include <string.h>

#include "audit/weighted.h"
#include "format/json.h"

enum { HALVINGS = 60 };

typedef struct choices {
    const json_t *logprobs;
    size_t gold;
} choices;

typedef struct half {
    choices *items;
    size_t n;
} half;

static double logprob(const choices *c, size_t i)
{
    return json_number_value(json_array_get(c->logprobs, i));
}

/* Of the item at 1/T = scale. */
typedef struct belief {
    double nll, slope; /* and its derivative by the scale: mean log-likelihood under p, less that of the right one */
    double confidence;
    bool right;
} belief;

static belief believe(const choices *c, double scale)
{
    const size_t n = json_array_size(c->logprobs);
    double all = 0, mean = 0;
    size_t pick = 0;
    for (size_t i = 1; i < n; i++) {
        pick = logprob(c, i) > logprob(c, pick) ? i : pick;
    }
    const double best = logprob(c, pick), gold = logprob(c, c->gold);
    for (size_t i = 0; i < n; i++) {
        const double p = exp(scale * (logprob(c, i) - best));
        all += p;
        mean += p * logprob(c, i);
    }
    return (belief){log(all) - scale * (gold - best), mean / all - gold, 1 / all, pick == c->gold};
}

static double slope_at(const half *h, double scale)
{
    double sum = 0;
    for (size_t i = 0; i < h->n; i++) {
        sum += believe(&h->items[i], scale).slope;
    }
    return sum;
}

/* In the logarithm, for a T and its inverse are as likely. NAN: the least lies at no T within the bounds. */
static double fit(const half *h)
{
    double low = -log(RT_TEMPERATURE_MOST), high = -low;
    if (slope_at(h, exp(low)) >= 0 || slope_at(h, exp(high)) <= 0) {
        return NAN;
    }
    for (int i = 0; i < HALVINGS; i++) {
        const double middle = (low + high) / 2;
        if (slope_at(h, exp(middle)) > 0) {
            high = middle;
        } else {
            low = middle;
        }
    }
    return exp(-(low + high) / 2);
}

static rt_status measure(double *nll, double *ece, const half *h, double scale, rt_err *err)
{
    rt_status st = RT_OK;
    double *confidence = NULL;
    bool *right = NULL;
    size_t *order = NULL;
    *nll = 0;
    RT_TRY(RT_NEW(&confidence, h->n, "confidences", err));
    RT_TRY(RT_NEW(&right, h->n, "confidences", err));
    RT_TRY(RT_NEW(&order, h->n, "order of confidences", err));
    for (size_t i = 0; i < h->n; i++) {
        const belief b = believe(&h->items[i], scale);
        *nll += b.nll / (double)h->n;
        confidence[i] = b.confidence;
        right[i] = b.right;
    }
    rt_order_by(order, confidence, h->n);
    *ece = rt_calibration_error(&(rt_scored){confidence, right, order, h->n}, NULL, false);
out:
    rt_free(confidence);
    rt_free(right);
    rt_free(order);
    return st;
}

/* By the first byte: by the last digit a task may have chosen its rows already (hash_split.h). */
static int half_of(const char *name)
{
    return rt_sha256_of(name, strlen(name)).b[0] & 1;
}

static void put_item(half halves[2], const json_t *item)
{
    const char *name = rt_json_str(item, "group", rt_json_str(item, "id", ""));
    const json_t *logprobs = json_object_get(item, "loglikelihoods");
    const int64_t gold = rt_json_i64(item, "gold", -1);
    half *h = &halves[half_of(name)];
    if (json_array_size(logprobs) >= 2 && gold >= 0 && (size_t)gold < json_array_size(logprobs) &&
        json_object_get(item, "picks") != NULL) {
        h->items[h->n++] = (choices){logprobs, (size_t)gold};
    }
}

rt_status rt_temperature_fit(rt_temperature *out, const json_t *items, rt_err *err)
{
    rt_status st = RT_OK;
    half halves[2] = {{0}};
    size_t i;
    json_t *item;
    *out = (rt_temperature){0};
    RT_TRY(RT_NEW(&halves[0].items, json_array_size(items), "choices of items", err));
    RT_TRY(RT_NEW(&halves[1].items, json_array_size(items), "choices of items", err));
    json_array_foreach(items, i, item)
    {
        put_item(halves, item);
    }
    if (halves[0].n >= RT_TEMPERATURE_LEAST && halves[1].n >= RT_TEMPERATURE_LEAST) {
        *out = (rt_temperature){.n_fitted = (int64_t)halves[0].n, .n = (int64_t)halves[1].n, .value = fit(&halves[0])};
        RT_TRY(measure(&out->nll[0], &out->ece[0], &halves[1], 1, err));
        if (isfinite(out->value)) {
            RT_TRY(measure(&out->nll[1], &out->ece[1], &halves[1], 1 / out->value, err));
        } else {
            out->nll[1] = out->ece[1] = NAN;
        }
    }
out:
    rt_free(halves[0].items);
    rt_free(halves[1].items);
    return st;
}

json_t *rt_temperature_json(const rt_temperature *t)
{
    return t->n == 0 ? json_null()
                     : json_pack("{s:o, s:I, s:I, s:o, s:o, s:o, s:o}", "value", rt_number_json(t->value), "fitted_on",
                                 (json_int_t)t->n_fitted, "n", (json_int_t)t->n, "nll_before",
                                 rt_number_json(t->nll[0]), "nll", rt_number_json(t->nll[1]), "ece_before",
                                 rt_number_json(t->ece[0]), "ece", rt_number_json(t->ece[1]));
}
