/* Alarms of a student that writes worse and worse. */
#include "train/collapse.h"

#include "rt_test.h"

enum { TEXTS = 4, LONG = 40 };

/* Texts of n tokens that repeat with a period, ended or not. */
static rt_alarm watch(rt_collapse *c, int64_t n, int period, bool ended, char what[160])
{
    int32_t ids[TEXTS][LONG];
    rt_generated seq[TEXTS];
    for (int i = 0; i < TEXTS; i++) {
        for (int k = 0; k < LONG; k++) {
            ids[i][k] = k % period;
        }
        seq[i] = (rt_generated){.ids = ids[i], .n = n, .stop = ended ? RT_STOP_END : RT_STOP_LENGTH};
    }
    const rt_writing w = rt_writing_of(&(rt_generation){.seq = seq, .n = TEXTS});
    return rt_collapse_watch(c, &w, what);
}

static void every_way_to_collapse_has_its_alarm(void **state)
{
    (void)state;
    static const struct {
        int64_t n;
        int period;
        bool ended;
        rt_alarm at_last;
        const char *says;
    } ways[] = {
        {LONG, LONG, true, RT_ALARM_NONE, ""},
        {8, LONG, true, RT_ALARM_WARN, "80 % of the length"},
        {1, LONG, true, RT_ALARM_STOP, "100 % of the texts end with their first token"},
        {LONG, 3, true, RT_ALARM_STOP, "of the runs of four tokens stood before"},
        {LONG, LONG, false, RT_ALARM_WARN, "100 % of the texts that would have ended"},
    };
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        rt_collapse c = {0};
        char what[160];
        rt_alarm loudest = RT_ALARM_NONE;
        assert_int_equal(watch(&c, LONG, LONG, true, what), RT_ALARM_NONE);
        for (int turn = 0; turn < 30; turn++) {
            const rt_alarm now = watch(&c, ways[i].n, ways[i].period, ways[i].ended, what);
            assert_true(now >= loudest); /* a warning comes before the end */
            assert_true(now <= loudest + 1);
            loudest = now;
        }
        assert_int_equal(loudest, ways[i].at_last);
        assert_non_null(strstr(what, ways[i].says));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_way_to_collapse_has_its_alarm)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
