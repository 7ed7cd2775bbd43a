/* calibration.c - confidence beside accuracy (calibration.h). */
#include "audit/calibration.h"

#include <math.h>

#include "format/json.h"

const double rt_calibration_coverage[3] = {0.1, 0.5, 0.8};

rt_status rt_calibration_of(rt_calibration *out, const double *confidence, const bool *right, size_t n, double brier,
                            rt_err *err)
{
    rt_status st = RT_OK;
    size_t *order = NULL;
    *out = (rt_calibration){.n = (int64_t)n, .brier = brier};
    if (n == 0) {
        return RT_OK;
    }
    RT_TRY(RT_NEW(&order, n, "order of confidences", err));
    rt_order_by(order, confidence, n);
    const rt_scored s = {confidence, right, order, n};
    for (size_t i = 0; i < n; i++) {
        out->accuracy += right[i];
        out->confidence += confidence[i];
    }
    out->accuracy /= (double)n;
    out->confidence /= (double)n;
    out->ece = rt_calibration_error(&s, NULL, false);
    out->adaptive_ece = rt_calibration_error(&s, NULL, true);
    out->auroc = rt_auroc(&s, NULL);
    out->risk_coverage = rt_risk_coverage(&s, NULL);
    for (int k = 0; k < 3; k++) {
        out->selective[k] = rt_selective_accuracy(&s, NULL, rt_calibration_coverage[k]);
    }
    rt_calibration_bins(out->bins, &s, NULL, false);
out:
    rt_free(order);
    return st;
}

bool rt_calibration_item(const json_t *item, double *confidence, bool *right, double *brier)
{
    const json_t *logprobs = json_object_get(item, "loglikelihoods");
    const int64_t gold = rt_json_i64(item, "gold", -1);
    const size_t n = json_array_size(logprobs);
    double best = -INFINITY, all = 0;
    size_t pick = 0;
    if (n < 2 || gold < 0 || json_object_get(item, "picks") == NULL) {
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        const double v = json_number_value(json_array_get(logprobs, i));
        pick = v > best ? i : pick;
        best = fmax(best, v);
    }
    for (size_t i = 0; i < n; i++) {
        all += exp(json_number_value(json_array_get(logprobs, i)) - best);
    }
    *brier = 0;
    for (size_t i = 0; i < n; i++) {
        const double p = exp(json_number_value(json_array_get(logprobs, i)) - best) / all;
        const double miss = p - ((int64_t)i == gold);
        *brier += miss * miss;
    }
    *confidence = 1 / all;
    *right = (int64_t)pick == gold;
    return true;
}

/* Without these the others would be chosen by what is right: how sure a model may be cannot be seen in them. */
static bool is_of_several_right(const json_t *item)
{
    return json_object_get(item, "picks") != NULL && rt_json_i64(item, "gold", -1) < 0;
}

rt_status rt_calibration_of_items(rt_calibration *out, const json_t *items, rt_err *err)
{
    rt_status st = RT_OK;
    double *confidence = NULL, brier = 0;
    bool *right = NULL;
    size_t n = 0, i;
    json_t *item;
    *out = (rt_calibration){0};
    json_array_foreach(items, i, item)
    {
        if (is_of_several_right(item)) {
            return RT_OK;
        }
    }
    RT_TRY(RT_NEW(&confidence, json_array_size(items), "confidences", err));
    RT_TRY(RT_NEW(&right, json_array_size(items), "confidences", err));
    json_array_foreach(items, i, item)
    {
        double own;
        if (rt_calibration_item(item, &confidence[n], &right[n], &own)) {
            brier += own;
            n++;
        }
    }
    RT_TRY(rt_calibration_of(out, confidence, right, n, n > 0 ? brier / (double)n : NAN, err));
    RT_TRY(rt_temperature_fit(&out->temperature, items, err));
out:
    rt_free(confidence);
    rt_free(right);
    return st;
}

json_t *rt_calibration_json(const rt_calibration *c)
{
    json_t *selective = json_array(), *bins = json_array();
    for (int k = 0; k < 3; k++) {
        json_array_append_new(selective, json_pack("{s:f, s:o}", "coverage", rt_calibration_coverage[k], "accuracy",
                                                   rt_number_json(c->selective[k])));
    }
    for (int k = 0; k < RT_CALIBRATION_BINS; k++) {
        const rt_calibration_bin *b = &c->bins[k];
        json_array_append_new(bins, json_pack("{s:I, s:o, s:o}", "n", (json_int_t)b->weight, "confidence",
                                              rt_number_json(b->confidence), "accuracy", rt_number_json(b->accuracy)));
    }
    return json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "n", (json_int_t)c->n, "accuracy",
                     rt_number_json(c->accuracy), "confidence", rt_number_json(c->confidence), "ece",
                     rt_number_json(c->ece), "adaptive_ece", rt_number_json(c->adaptive_ece), "brier",
                     rt_number_json(c->brier), "auroc", rt_number_json(c->auroc), "selective", selective,
                     "risk_coverage", rt_number_json(c->risk_coverage), "temperature",
                     rt_temperature_json(&c->temperature), "bins", bins);
}
