/* page_provenance.c - where everything came from and by what right: teacher, licence, texts, ledger, files. */
#include <math.h>

#include "report/page.h"

enum { ROWS_SHOWN = 60 };

static void teacher(rt_str *out, const json_t *t)
{
    rt_str_puts(out, "<h3>Teacher</h3>\n<dl class=\"facts\">\n");
    rt_page_pair_json(out, "Name", t, "name");
    rt_page_pair_json(out, "File", t, "path");
    rt_page_pair_json(out, "SHA-256", t, "sha256");
    rt_page_pair_json(out, "Architecture", t, "architecture");
    rt_page_pair_num(out, "Parameters", t, "parameters", rt_num_exact);
    rt_page_pair_json(out, "Layers", t, "layers");
    rt_page_pair_num(out, "Size", t, "bytes", rt_num_bytes);
    rt_page_pair_json(out, "Weights stored as", t, "type");
    rt_str_puts(out, "</dl>\n");
}

static void student(rt_str *out, const json_t *s)
{
    const json_t *keep = json_object_get(s, "keep");
    rt_str_puts(out, "<h3>Student</h3>\n<dl class=\"facts\">\n");
    rt_page_pair_json(out, "File", s, "file");
    rt_page_pair_json(out, "Started by", s, "init");
    if (json_object_get(s, "what") != NULL) {
        rt_page_pair_json(out, "Shape", s, "what");
    }
    rt_str_puts(out, "<div><dt>Layers kept, counted from 0</dt><dd>");
    for (size_t i = 0; i < json_array_size(keep) && i < 8 * ROWS_SHOWN; i++) {
        rt_str_printf(out, "%s%lld", i ? ", " : "", (long long)json_integer_value(json_array_get(keep, i)));
    }
    rt_str_puts(out, json_array_size(keep) ? "</dd></div>\n" : "unknown</dd></div>\n");
    rt_page_pair_num(out, "Size", s, "bytes", rt_num_bytes);
    rt_page_pair_json(out, "Weights stored as", s, "type");
    rt_str_puts(out, "</dl>\n");
}

/* ---- licence ---- */

static void duties(rt_str *out, const json_t *list)
{
    size_t i;
    json_t *d;
    rt_str_puts(out, "<div><dt>Duties</dt><dd>");
    if (json_array_size(list) == 0) {
        rt_str_puts(out, list ? "none" : "unknown");
    } else {
        rt_str_puts(out, "<ul>");
        json_array_foreach(list, i, d)
        {
            if (i < ROWS_SHOWN) {
                rt_str_puts(out, "<li>");
                rt_html_json(out, json_is_object(d) ? json_object_get(d, "text") : d, "?");
                rt_str_puts(out, "</li>");
            }
        }
        rt_str_puts(out, "</ul>");
    }
    rt_str_puts(out, "</dd></div>\n");
}

/* What the verdict rests on: {source, value, licence, file?}. */
static void evidence(rt_str *out, const json_t *list)
{
    size_t i;
    json_t *e;
    rt_str_puts(out, "<div><dt>Evidence</dt><dd>");
    if (json_array_size(list) == 0) {
        rt_str_puts(out, "unknown");
    }
    json_array_foreach(list, i, e)
    {
        if (i < ROWS_SHOWN) {
            rt_html_put(out, "%s%s: %s", i ? "; " : "", rt_json_str(e, "source", "unnamed"),
                        rt_json_str(e, "value", "?"));
        }
    }
    rt_str_puts(out, "</dd></div>\n");
}

static void licence(rt_str *out, const json_t *facts)
{
    const json_t *t = json_object_get(facts, "teacher"), *permit = json_object_get(facts, "permit");
    const json_t *decision = json_object_get(permit, "decision"), *grant = json_object_get(permit, "grant");
    rt_str uses = {0};
    rt_texts_join(&uses, json_object_get(permit, "uses"), ", ");
    rt_str_puts(out, "<h3>Licence</h3>\n<dl class=\"facts\">\n");
    rt_page_pair(out, "Licence", rt_json_str(t, "licence", rt_json_str(permit, "id", NULL)));
    rt_page_pair(out, "Verdict", rt_json_str(t, "verdict", rt_json_str(permit, "verdict", NULL)));
    rt_page_pair(out, "Judged for", uses.n ? rt_str_cstr(&uses) : NULL);
    duties(out, json_object_get(t, "duties") ? json_object_get(t, "duties") : json_object_get(permit, "duties"));
    evidence(out, json_object_get(permit, "evidence"));
    rt_page_pair_json(out, "Table of licences", permit, "table_version");
    rt_page_pair_json(out, "Permit", permit, "permit_id");
    if (decision != NULL) {
        rt_page_pair_json(out, "Decided by", decision, "by");
        rt_page_pair_json(out, "Reason given", decision, "reason");
    }
    if (grant != NULL) {
        rt_page_pair_json(out, "Granted by", grant, "grantor");
        rt_page_pair_json(out, "Grant of", grant, "date");
        rt_page_pair_json(out, "Grant, SHA-256", grant, "sha256");
    }
    rt_str_puts(out, "</dl>\n");
    out->failed |= uses.failed;
    rt_str_release(&uses);
}

/* ---- texts, ledger, files ---- */

static void more_rows(rt_str *out, size_t n)
{
    if (n > ROWS_SHOWN) {
        rt_html_put(out, "<p class=\"note\">%zu more are in run.json.</p>\n", n - ROWS_SHOWN);
    }
}

static void texts(rt_str *out, const json_t *data)
{
    static const rt_column columns[] = {
        {"Text", ""}, {"Use", ""}, {"Documents", "n"}, {"Tokens", "n"}, {"Origin", ""}, {"Licence", ""},
    };
    size_t i;
    json_t *d;
    rt_str_puts(out, "<h3>Texts</h3>\n");
    if (json_array_size(data) == 0) {
        rt_page_absent(out, "Which texts were used is not recorded.");
        return;
    }
    rt_page_table(out, columns, sizeof columns / sizeof *columns);
    json_array_foreach(data, i, d)
    {
        if (i >= ROWS_SHOWN) {
            break;
        }
        rt_page_row(out, rt_json_str(d, "name", "unnamed"), "");
        rt_page_cell_json(out, &columns[1], json_object_get(d, "use"), "unknown");
        rt_page_cell(out, &columns[2], rt_num_exact(rt_json_f64(d, "documents", NAN)).s);
        rt_page_cell(out, &columns[3], rt_num_exact(rt_json_f64(d, "tokens", NAN)).s);
        rt_page_cell_json(out, &columns[4], json_object_get(d, "origin"), "not stated");
        rt_page_cell_json(out, &columns[5], json_object_get(d, "licence"), "not stated");
        rt_str_puts(out, "</tr>\n");
    }
    rt_page_table_end(out);
    more_rows(out, json_array_size(data));
}

static void ledger(rt_str *out, const json_t *l)
{
    rt_str_puts(out, "<h3>Ledger</h3>\n");
    if (l == NULL) {
        rt_page_absent(out, "No ledger is recorded.");
        return;
    }
    rt_str_puts(out, "<dl class=\"facts\">\n");
    rt_page_pair_json(out, "Hash of the last entry", l, "head");
    rt_page_pair_num(out, "Entries", l, "entries", rt_num_exact);
    rt_page_pair_num(out, "Teacher outputs", l, "outputs", rt_num_exact);
    rt_page_pair_num(out, "Positions", l, "positions", rt_num_exact);
    rt_str_puts(out, "</dl>\n");
}

static void files(rt_str *out, const json_t *list)
{
    static const rt_column columns[] = {{"File", ""}, {"Size", "n"}, {"SHA-256", "hash"}};
    size_t i;
    json_t *f;
    rt_str_puts(out, "<h3>Files made</h3>\n");
    if (json_array_size(list) == 0) {
        rt_page_absent(out, "No file is recorded.");
        return;
    }
    rt_page_table(out, columns, sizeof columns / sizeof *columns);
    json_array_foreach(list, i, f)
    {
        if (i >= ROWS_SHOWN) {
            break;
        }
        rt_page_row(out, rt_json_str(f, "path", "unnamed"), "");
        rt_page_cell(out, &columns[1], rt_num_bytes(rt_json_f64(f, "bytes", NAN)).s);
        rt_page_cell_json(out, &columns[2], json_object_get(f, "sha256"), "unknown");
        rt_str_puts(out, "</tr>\n");
    }
    rt_page_table_end(out);
    more_rows(out, json_array_size(list));
}

void rt_page_provenance(rt_str *out, const json_t *facts)
{
    rt_page_section(out, "provenance", "Provenance");
    rt_str_puts(out, "<div class=\"charts\">\n<div>");
    teacher(out, json_object_get(facts, "teacher"));
    rt_str_puts(out, "</div>\n<div>");
    licence(out, facts);
    rt_str_puts(out, "</div>\n<div>");
    student(out, json_object_get(facts, "student"));
    ledger(out, json_object_get(facts, "ledger"));
    rt_str_puts(out, "</div>\n</div>\n");
    texts(out, json_object_get(facts, "data"));
    files(out, json_object_get(facts, "files"));
    rt_str_puts(out, "</section>\n");
}
