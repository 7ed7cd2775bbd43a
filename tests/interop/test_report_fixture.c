/* test_report_fixture.c - a page from facts alone, without a run: test_report_fixture FACTS.json PAGE.html. Without
 * arguments the golden facts become a page in the working directory. */
#include <stdio.h>

#include "report/report.h"

#include "format/json.h"

int main(int argc, char **argv)
{
    const char *facts_path = argc == 3 ? argv[1] : RT_TEST_GOLDEN "/report/facts.json";
    const char *page_path = argc == 3 ? argv[2] : "report-fixture.html";
    json_t *facts = NULL;
    rt_err err = {0};
    rt_status st = rt_json_load(&facts, facts_path, &err);
    if (st == RT_OK) {
        st = rt_report_write(page_path, facts, &err);
    }
    if (st != RT_OK) {
        fprintf(stderr, "test_report_fixture: %s\n", err.msg);
    }
    json_decref(facts);
    return st == RT_OK ? 0 : 1;
}
