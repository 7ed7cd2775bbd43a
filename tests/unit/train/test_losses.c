/* The training loss as text: what is written is what is minimised, recorded and shown. */
#include <math.h>

#include "rt_test.h"
#include "train/losses.h"

static void read_ok(const char *text, double temperature, rt_train_loss out[RT_TRAIN_LOSSES], int *n)
{
    rt_err err;
    if (rt_losses_parse(out, n, text, temperature, &err) != RT_OK) {
        fail_msg("'%s': %s", text, err.msg);
    }
}

static void a_loss_is_read_back_as_it_was_written(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "forward_kl",
        "forward_kl:0.9,ce:0.1",
        "jsd:mix=0.3,ce:0.5:to=0:over=200,z_loss:0.0001",
        "skew_reverse_kl:2,lk,acceptance:0.25,tvd",
        "ce:smoothing=0.1",
        "forward_kl,hidden_cosine:0.1:to=0:over=200",
        "lk,hidden_mse:0.5:project=1",
        "lk,hidden_cosine:0.5:to=0:over=20:project=1:layers=1",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        rt_train_loss l[RT_TRAIN_LOSSES];
        rt_str s = {0};
        int n;
        read_ok(texts[i], 2, l, &n);
        rt_losses_print(&s, l, n);
        assert_string_equal(rt_str_cstr(&s), texts[i]);
        rt_str_release(&s);
    }
}

static void terms_get_their_numbers_and_the_usual_ones(void **state)
{
    (void)state;
    rt_train_loss l[RT_TRAIN_LOSSES];
    int n;
    read_ok("jsd,skew_forward_kl:weight=0.25,ce:0.5:to=0.1:over=2k:smoothing=0.2", 3, l, &n);
    assert_int_equal(n, 3);
    assert_true(l[0].loss.kind == RT_LOSS_JSD && l[0].loss.mix == 0.5 && l[0].weight == 1 &&
                l[0].loss.temperature == 3);
    assert_true(l[1].loss.mix == 0.1 && l[1].weight == 0.25 && l[1].over == 0);
    assert_true(l[2].weight == 0.5 && l[2].to == 0.1 && l[2].over == 2000 && l[2].loss.label_smoothing == 0.2);
    assert_true(l[2].loss.temperature == 1); /* labels have none */
    assert_true(rt_losses_distil(l, n));
    assert_false(rt_losses_distil(l + 2, 1));
}

static void what_is_no_loss_is_refused_with_the_reason(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "'' is no loss; there are ce, z_loss, forward_kl"},
        {"kl", "'kl' is no loss"},
        {"forward_kl,", "'' is no loss"},
        {"forward_kl:0", "weight 0, expected a positive number"},
        {"forward_kl:-1", "weight -1"},
        {"forward_kl:nan", "weight"},
        {"forward_kl:1:to=-2:over=5", "expected a positive number"},
        {"forward_kl:1:to=2", "over 0 steps, expected 1 or more"},
        {"forward_kl:1:over=-5", "'over=-5' says nothing"},
        {"forward_kl:mix=0.3", "'mix=0.3' says nothing about loss 'forward_kl'"},
        {"jsd:smoothing=0.3", "'smoothing=0.3' says nothing about loss 'jsd'"},
        {"ce:much", "expected a weight, or one of weight, to, over, smoothing as key=number"},
        {"hidden_mse:mix=0.3", "'mix=0.3' says nothing about loss 'hidden_mse'"},
        {"hidden_cosine:project=2", "weight, to, over, project, layers as key=number"},
        {"forward_kl:project=1", "'project=1' says nothing about loss 'forward_kl'"},
        {"ce,ce,ce,ce,ce", "more than 4 terms"},
        {"a_name_that_goes_on_and_on_and_on_and_on_and_on_and_on_and_on_and_on_and_on_and_on_and_on_and_on", "no term"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rt_train_loss l[RT_TRAIN_LOSSES];
        rt_err err;
        int n;
        rt_err_clear(&err);
        assert_int_equal(rt_losses_parse(l, &n, cases[i].text, 1, &err), RT_USAGE);
        if (strstr(err.msg, cases[i].why) == NULL) {
            fail_msg("'%s' is refused with '%s', expected '%s'", cases[i].text, err.msg, cases[i].why);
        }
    }
}

static void a_weight_moves_linearly_and_then_stays(void **state)
{
    (void)state;
    rt_train_loss l = rt_train_loss_of(RT_LOSS_CE, 1);
    assert_true(rt_train_loss_weight(&l, 0) == 1 && rt_train_loss_weight(&l, 1000) == 1);
    l.weight = 0.5;
    l.to = 0.1;
    l.over = 4;
    const double want[] = {0.5, 0.4, 0.3, 0.2, 0.1, 0.1, 0.1};
    for (int s = 0; s < 7; s++) {
        assert_true(fabs(rt_train_loss_weight(&l, s) - want[s]) < 1e-15);
    }
}

/* States and labels have none. */
static void the_temperature_is_that_of_the_first_term_with_one(void **state)
{
    (void)state;
    rt_train_loss l[RT_TRAIN_LOSSES];
    int n;
    read_ok("ce:0.5,forward_kl:0.5", 2.5, l, &n);
    l[0] = rt_train_state_loss_of(RT_STATE_MSE);
    assert_true(rt_losses_temperature(l, n) == 2.5);
    assert_true(rt_losses_temperature(l, 1) == 1);
}

static void expect_formula(const char *text, double temperature, const char *want)
{
    rt_train_loss l[RT_TRAIN_LOSSES];
    rt_str s = {0};
    int n;
    read_ok(text, temperature, l, &n);
    rt_losses_formula(&s, l, n);
    assert_string_equal(rt_str_cstr(&s), want);
    rt_str_release(&s);
}

static void the_formula_tells_every_term_weight_and_factor(void **state)
{
    (void)state;
    expect_formula("forward_kl", 2, "sum p (log p - log q)");
    expect_formula("forward_kl:0.9,ce:0.1", 2, "0.9 T^2 (sum p (log p - log q)) + 0.1 (-log q[y], T = 1)");
    expect_formula("ce:smoothing=0.1", 1, "-log q[y], T = 1, label smoothing 0.1");
    expect_formula("forward_kl,hidden_mse:0.1:project=1", 1,
                   "1 (sum p (log p - log q)) + 0.1 (mean (y - t)^2, y = W x student's, t = teacher's state after "
                   "the final norm)");
    expect_formula(
        "forward_kl,hidden_cosine:layers=1", 1,
        "1 (sum p (log p - log q)) + 1 (1 - y.t / (|y| |t|), y = student's, t = teacher's input of each layer "
        "but the first, mean over them)");
    expect_formula("skew_forward_kl,ce:1:to=0:over=9", 1,
                   "1 (KL(p | a p + (1-a) q), a = 0.1) + 1->0 (-log q[y], T = 1)");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loss_is_read_back_as_it_was_written),
        cmocka_unit_test(terms_get_their_numbers_and_the_usual_ones),
        cmocka_unit_test(what_is_no_loss_is_refused_with_the_reason),
        cmocka_unit_test(a_weight_moves_linearly_and_then_stays),
        cmocka_unit_test(the_temperature_is_that_of_the_first_term_with_one),
        cmocka_unit_test(the_formula_tells_every_term_weight_and_factor),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
