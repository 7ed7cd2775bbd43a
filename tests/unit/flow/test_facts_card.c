/* The card says of each task what was lost by the items that both models answered. */
#include "flow/facts.h"
#include "rt_test.h"

/* 90 and 82 of 100: the student misses eight of the teacher's, and has none that the teacher has not. Errors of the two
 * shares are 3.0 and 3.9 points, 4.9 together; that of the difference is 2.7. */
static json_t *facts_with(json_t *gap)
{
    json_t *teacher = json_pack("{s:s, s:[{s:s, s:i, s:f, s:f}]}", "id", "teacher", "tasks", "task", "quiz", "n", 100,
                                "acc", 0.9, "stderr", 0.0302),
           *student = json_pack("{s:s, s:[{s:s, s:i, s:f, s:f}]}", "id", "student", "tasks", "task", "quiz", "n", 100,
                                "acc", 0.82, "stderr", 0.0386);
    return json_pack("{s:[o, o], s:o}", "models", teacher, student, "gap", gap);
}

static json_t *gap_with(double difference, json_t *error)
{
    return json_pack("{s:[{s:[{s:s, s:f, s:o}]}, {s:[{s:s, s:f, s:f}]}]}", "families", "rows", "name", "quiz",
                     "difference", difference, "stderr", error, "rows", "name", "quiz", "difference", 0.5, "stderr",
                     0.5);
}

static void a_loss_is_judged_by_the_items_of_both(void **state)
{
    (void)state;
    static const char alone[] = "quiz: 8.0 points below the teacher on 100 items.";
    const struct {
        json_t *gap;
        const char *says;
    } cases[] = {
        {gap_with(-0.08, json_real(0.0273)),
         "quiz: 8.0 points below the teacher, beyond twice the standard error of the difference (2.7) on 100 items."},
        {gap_with(-0.08, json_real(0.0499)),
         "quiz: 8.0 points below the teacher, within twice the standard error of the difference (5.0) on 100 items."},
        {gap_with(0, json_real(0)),
         "quiz: 0.0 points below the teacher, within twice the standard error of the difference (0.0) on 100 items."},
        {gap_with(-0.08, json_null()), alone}, /* one group */
        {json_pack("{s:[{s:[]}]}", "families", "rows"), alone},
        {json_null(), alone},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        json_t *facts = facts_with(cases[i].gap), *card = rt_facts_card(facts);
        const json_t *lost = json_object_get(card, "lost");
        assert_int_equal(json_array_size(lost), 1);
        assert_string_equal(json_string_value(json_array_get(lost, 0)), cases[i].says);
        json_decref(card);
        json_decref(facts);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loss_is_judged_by_the_items_of_both),
    };
    return cmocka_run_group_tests_name("facts_card", tests, NULL, NULL);
}
