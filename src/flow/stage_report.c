/* Page, facts and model card from what the other stages left. */
#include "flow/facts.h"
#include "report/report.h"

rt_status rt_stage_report(rt_flow *f, rt_err *err)
{
    rt_status st = RT_OK;
    json_t *facts = NULL, *card = NULL;
    char *page = NULL, *readme = NULL;
    RT_TRY(rt_facts_collect(&facts, f, err));
    RT_TRY(rt_flow_save_json(f, "report", "report.json", facts, err));
    RT_TRY(rt_flow_path_to(f, "report.html", &page, err));
    RT_TRY(rt_report_write(page, facts, err));
    RT_TRY(rt_manifest_add_output(&f->manifest, "report", "report.html", err));
    card = rt_facts_card(facts);
    RT_TRY(rt_flow_path_to(f, "export/README.md", &readme, err));
    RT_TRY(rt_card_write(readme, card, err));
    RT_TRY(rt_manifest_add_output(&f->manifest, "report", "export/README.md", err));
out:
    json_decref(facts);
    json_decref(card);
    rt_free(page);
    rt_free(readme);
    return st;
}
