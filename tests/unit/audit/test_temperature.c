/* A model that is right in what it ranks and wrong in scale only is repaired by one number, found on one half of the
 * items and good on the other. */
#include "audit/temperature.h"

#include <math.h>

#include "audit/calibration.h"
#include "format/json.h"
#include "rt_test.h"

enum { N = 4000, CHOICES = 3 };

/* Truth is drawn from softmax(z); the model says z times `scale`, shifted as log-likelihoods are. */
static json_t *items_of(size_t n, double scale)
{
    json_t *items = json_array();
    for (size_t i = 0; i < n; i++) {
        rt_rng rng = rt_rng_init(7, "temperature", i);
        double z[CHOICES], all = 0;
        char id[24];
        snprintf(id, sizeof id, "q%zu", i);
        for (size_t k = 0; k < CHOICES; k++) {
            z[k] = 2 * rt_rng_f64(&rng);
            all += exp(z[k]);
        }
        double left = rt_rng_f64(&rng) * all;
        int gold = 0;
        while (gold < CHOICES - 1 && left >= exp(z[gold])) {
            left -= exp(z[gold++]);
        }
        json_array_append_new(items, json_pack("{s:s, s:[f, f, f], s:i, s:{s:i}}", "id", id, "loglikelihoods",
                                               scale * z[0] - 30, scale * z[1] - 30, scale * z[2] - 30, "gold", gold,
                                               "picks", "acc", 0));
    }
    return items;
}

static rt_temperature fit(json_t *items)
{
    rt_err err = {0};
    rt_temperature t;
    assert_ok(rt_temperature_fit(&t, items, &err));
    json_decref(items);
    return t;
}

static void the_scale_that_was_put_in_is_found(void **state)
{
    (void)state;
    static const double scales[] = {4, 1, 0.25};
    for (size_t i = 0; i < 3; i++) {
        const rt_temperature t = fit(items_of(N, scales[i]));
        assert_int_equal(t.n_fitted + t.n, N);
        assert_true(t.n_fitted > N / 3 && t.n > N / 3);
        assert_true(fabs(log(t.value / scales[i])) < 0.2);
        if (scales[i] != 1) {
            assert_true(t.nll[1] < t.nll[0] - 0.01 && t.ece[1] < t.ece[0] / 2);
        }
    }
}

/* Against a plain search over a grid, on the half that it was fitted on. */
static void no_other_temperature_is_better_where_it_was_fitted(void **state)
{
    (void)state;
    rt_err err = {0};
    json_t *one = items_of(400, 3), *item;
    size_t i;
    const rt_temperature t = fit(json_incref(one));
    double best = INFINITY, at = NAN;
    for (double v = 0.5; v < 8; v *= 1.001) {
        double nll = 0;
        json_array_foreach(one, i, item)
        {
            const json_t *ll = json_object_get(item, "loglikelihoods");
            double all = 0;
            for (size_t k = 0; k < CHOICES; k++) {
                all += exp((json_number_value(json_array_get(ll, k)) + 30) / v);
            }
            const rt_digest d = rt_sha256_of(rt_json_str(item, "id", ""), strlen(rt_json_str(item, "id", "")));
            const double gold = json_number_value(json_array_get(ll, (size_t)rt_json_i64(item, "gold", 0)));
            nll += d.b[0] % 2 == 0 ? log(all) - (gold + 30) / v : 0;
        }
        at = nll < best ? v : at;
        best = fmin(best, nll);
    }
    assert_true(fabs(log(t.value / at)) < 0.002);
    /* items of a group stay on one half, whatever their ids are */
    json_array_foreach(one, i, item)
    {
        json_object_set_new(item, "group", json_string("g"));
    }
    const rt_temperature none = fit(json_incref(one));
    assert_int_equal(none.n, 0);
    rt_calibration c;
    assert_ok(rt_calibration_of_items(&c, one, &err));
    json_t *j = rt_calibration_json(&c);
    assert_true(json_is_null(json_object_get(j, "temperature")));
    json_decref(j);
    json_decref(one);
}

static void too_few_items_give_no_temperature(void **state)
{
    (void)state;
    assert_int_equal(fit(items_of(30, 1)).n, 0);
}

/* Of 200 items with the same beliefs the right choice is the `gold`th. */
static rt_temperature fit_same(int gold)
{
    json_t *items = items_of(200, 1), *item;
    size_t i;
    json_array_foreach(items, i, item)
    {
        json_object_set_new(item, "loglikelihoods", json_pack("[f, f, f]", -1.0, -2.0, -3.0));
        json_object_set_new(item, "gold", json_integer(gold));
    }
    return fit(items);
}

static void a_fit_at_its_bound_is_no_temperature(void **state)
{
    (void)state;
    const rt_temperature cases[] = {fit_same(0) /* the surer the better */, fit_same(2) /* the flatter */};
    for (size_t i = 0; i < 2; i++) {
        json_t *j = rt_temperature_json(&cases[i]);
        assert_true(isnan(cases[i].value) && isfinite(cases[i].ece[0]));
        assert_true(json_is_null(json_object_get(j, "value")) && json_is_null(json_object_get(j, "ece")));
        assert_true(json_is_real(json_object_get(j, "ece_before")));
        json_decref(j);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_scale_that_was_put_in_is_found),
        cmocka_unit_test(no_other_temperature_is_better_where_it_was_fitted),
        cmocka_unit_test(too_few_items_give_no_temperature),
        cmocka_unit_test(a_fit_at_its_bound_is_no_temperature),
    };
    return cmocka_run_group_tests_name("temperature", tests, NULL, NULL);
}
