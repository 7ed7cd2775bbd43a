/* page_cost.c - what the run took: time, tokens, processor seconds, memory, stage by stage, and on which machine. */
#include <math.h>
#include <string.h>

#include "report/page.h"

enum { STAGES_SHOWN = 16 };

static void cost_row(rt_str *out, const char *name, const json_t *c, const rt_column *columns)
{
    double seconds = rt_json_f64(c, "seconds", NAN), cpu = rt_json_f64(c, "cpu_seconds", NAN);
    rt_page_row(out, name, "");
    rt_page_cell(out, &columns[1], rt_num_seconds(seconds).s);
    rt_page_cell(out, &columns[2], rt_num_seconds(cpu).s);
    rt_page_cell(out, &columns[3], seconds > 0 ? rt_num_plain(cpu / seconds).s : "unknown");
    rt_page_cell(out, &columns[4], rt_num_bytes(rt_json_f64(c, "peak_bytes", NAN)).s);
    rt_str_puts(out, "</tr>\n");
}

static void table(rt_str *out, const json_t *cost)
{
    static const rt_column columns[] = {
        {"Stage", ""}, {"Time", "n"}, {"Processor time", "n"}, {"Processors busy", "n"}, {"Peak memory", "n"},
    };
    size_t i;
    json_t *stage;
    rt_page_table(out, columns, sizeof columns / sizeof *columns);
    json_array_foreach(json_object_get(cost, "stages"), i, stage)
    {
        if (i < STAGES_SHOWN) {
            cost_row(out, rt_json_str(stage, "name", "unnamed"), stage, columns);
        }
    }
    cost_row(out, "all", cost, columns);
    rt_page_table_end(out);
}

static void stage_chart(rt_str *out, const json_t *cost)
{
    rt_bar bars[STAGES_SHOWN];
    rt_num words[STAGES_SHOWN];
    size_t n = 0, i;
    json_t *stage;
    json_array_foreach(json_object_get(cost, "stages"), i, stage)
    {
        double seconds = rt_json_f64(stage, "seconds", NAN);
        if (n < STAGES_SHOWN && isfinite(seconds)) {
            words[n] = rt_num_seconds(seconds);
            bars[n] = (rt_bar){"plain", rt_json_str(stage, "name", "unnamed"), words[n].s, seconds, NAN};
            n++;
        }
    }
    if (n > 0) {
        rt_page_bars(out, &(rt_bar_chart){"Where the time went", "Stages in their order.", "time", RT_UNIT_SECONDS,
                                          bars, n, NAN});
    }
}

static void collected(rt_str *out, const json_t *collect)
{
    const char *targets = rt_json_str(collect, "targets", "");
    const json_t *fidelity = json_object_get(collect, "teacher_fidelity");
    rt_str_puts(out, "<div><h3>Teacher's outputs</h3>\n<dl class=\"facts\">\n");
    rt_page_pair_json(out, "Targets", collect, "targets");
    if (strcmp(targets, "topk") != 0) {
        rt_page_pair_json(out, "Draws a token", collect, "draws");
    }
    if (strcmp(targets, "sample") != 0) {
        rt_page_pair_json(out, "Top k", collect, "k");
    }
    rt_page_pair_json(out, "Temperature", collect, "temperature");
    rt_page_pair_num(out, "Tokens read", collect, "tokens", rt_num_exact);
    rt_page_pair_num(out, "Positions kept", collect, "positions", rt_num_exact);
    rt_page_pair_num(out, "Cache", collect, "bytes", rt_num_bytes);
    rt_page_pair_num(out, "Bytes a token", collect, "bytes_per_token", rt_num_plain);
    rt_page_pair_num(out, "Tokens a second", collect, "tokens_per_s", rt_num_plain);
    rt_page_pair_num(out, "Teacher's cross-entropy, nats a token", collect, "teacher_nll", rt_num_plain);
    if (json_object_get(fidelity, "unmeasured") != NULL) {
        rt_page_pair_json(out, "KL to its f32 path not measured", fidelity, "unmeasured");
    } else if (fidelity != NULL) { /* records made before it was measured have none */
        rt_page_pair_num(out, "Teacher's KL to its f32 path, nats a token", fidelity, "kl", rt_num_plain);
    }
    rt_str_puts(out, "</dl></div>\n");
}

static void machine(rt_str *out, const json_t *m)
{
    rt_str_puts(out, "<div><h3>Machine</h3>\n<dl class=\"facts\">\n");
    rt_page_pair_json(out, "Processor", m, "cpu");
    rt_page_pair_json(out, "Instruction set used", m, "isa");
    rt_page_pair_json(out, "Threads", m, "threads");
    rt_page_pair_json(out, "Matrix products", m, "gemm");
    rt_page_pair_json(out, "Precision", m, "precision");
    rt_str_puts(out, "</dl></div>\n");
}

/* What was to be retained, and its price in fidelity. */
static void retained(rt_str *out, const json_t *r)
{
    size_t i;
    json_t *w;
    if (!json_is_object(r)) {
        return;
    }
    rt_str_puts(out, "<div><h3>Retained behaviour</h3>\n<dl class=\"facts\">\n");
    rt_page_pair_json(out, "Answers by", r, "answers");
    rt_page_pair_num(out, "Share of a step's weight", r, "weight", rt_num_share);
    json_array_foreach(json_object_get(r, "watch"), i, w)
    {
        const char *name = rt_json_str(w, "name", "?");
        rt_page_pair_num(out, name, w, "value", rt_num_plain);
        rt_page_pair(out, "within its bounds", rt_json_bool(w, "holds", false) ? "yes" : "no");
    }
    rt_page_pair_num(out, "KL to the teacher, nats a token", r, "kl", rt_num_plain);
    if (json_object_get(r, "beside") != NULL) {
        rt_page_pair_json(out, "Run without it", r, "beside");
        rt_page_pair_num(out, "KL without it", r, "kl_without", rt_num_plain);
        rt_page_pair_num(out, "Price: more KL by", r, "price", rt_num_share);
    }
    rt_str_puts(out, "</dl></div>\n");
}

void rt_page_cost(rt_str *out, const json_t *facts)
{
    const json_t *cost = json_object_get(facts, "cost");
    rt_page_section(out, "cost", "Cost");
    if (cost == NULL) {
        rt_page_absent(out, "What the run took is not recorded.");
    } else {
        table(out, cost);
    }
    rt_str_puts(out, "<div class=\"charts\">\n");
    stage_chart(out, cost);
    collected(out, json_object_get(facts, "collect"));
    retained(out, json_object_get(facts, "retain"));
    machine(out, json_object_get(facts, "machine"));
    rt_str_puts(out, "</div>\n</section>\n");
}
