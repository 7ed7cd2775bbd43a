/* test_report_fixture.c - a page from facts alone, without a run: test_report_fixture FACTS.json PAGE.html, or PAGE.md.
 * A frontier of runs is known by its groups. Without arguments the golden facts become a page in the working directory.
 */
#include <stdio.h>
#include <string.h>

#include "report/frontier.h"
#include "report/report.h"

#include "format/json.h"

static rt_status print(rt_str *out, const json_t *facts, const char *path, rt_err *err)
{
    const size_t n = strlen(path);
    const bool markdown = n > 3 && strcmp(path + n - 3, ".md") == 0,
               frontier = json_object_get(facts, "groups") != NULL;
    return (frontier   ? markdown ? rt_frontier_markdown : rt_frontier_html
            : markdown ? rt_report_markdown
                       : rt_report_html)(out, facts, err);
}

int main(int argc, char **argv)
{
    const char *facts_path = argc == 3 ? argv[1] : RT_TEST_GOLDEN "/report/facts.json";
    const char *page_path = argc == 3 ? argv[2] : "report-fixture.html";
    json_t *facts = NULL;
    rt_str page = {0};
    rt_err err = {0};
    rt_status st = rt_json_load(&facts, facts_path, &err);
    if (st == RT_OK) {
        st = print(&page, facts, page_path, &err);
    }
    if (st == RT_OK) {
        st = rt_file_write(page_path, page.p, page.n, &err);
    }
    if (st != RT_OK) {
        fprintf(stderr, "test_report_fixture: %s\n", err.msg);
    }
    rt_str_release(&page);
    json_decref(facts);
    return st == RT_OK ? 0 : 1;
}
