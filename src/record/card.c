/* card.c - the model card. Front matter first, then sections in the order in which a reader asks: what is it made from,
 * may I use it, how was it made, what does it keep and lack, can I check that, can I do it again. */
#include "record/card.h"

#include <string.h>

#include "format/json.h"
#include "record/licence.h"

static const json_t *at(const json_t *o, const char *key)
{
    return json_object_get(o, key);
}

/* ---- small pieces ---- */

/* "- **key**: value" when there is a value. */
static void line(rt_str *s, const char *key, const char *value)
{
    if (value && *value) {
        rt_str_printf(s, "- %s: ", key);
        rt_md_escape(s, value);
        rt_str_putc(s, '\n');
    }
}

/* A number as people read it: counts with thin groups of three, the rest with four digits; "-" when absent. */
static void figure(rt_str *s, const json_t *v)
{
    if (json_is_integer(v)) {
        char digits[24];
        int n = snprintf(digits, sizeof digits, "%lld", (long long)json_integer_value(v));
        for (int i = 0; i < n; i++) {
            bool group = i > 0 && digits[i - 1] != '-' && (n - i) % 3 == 0;
            rt_str_printf(s, "%s%c", group ? "," : "", digits[i]);
        }
    } else if (json_is_real(v)) {
        rt_str_printf(s, "%.4g", json_real_value(v));
    } else {
        rt_str_puts(s, "-");
    }
}

static void number_line(rt_str *s, const char *key, const json_t *v, const char *unit)
{
    if (json_is_number(v)) {
        rt_str_printf(s, "- %s: ", key);
        figure(s, v);
        rt_str_printf(s, "%s%s\n", *unit ? " " : "", unit);
    }
}

static void escaped_list(rt_str *s, const json_t *texts, const char *when_empty)
{
    size_t i;
    json_t *t;
    json_array_foreach(texts, i, t)
    {
        rt_str_puts(s, "- ");
        rt_md_escape(s, json_is_string(t) ? json_string_value(t) : "?");
        rt_str_putc(s, '\n');
    }
    if (json_array_size(texts) == 0) {
        rt_str_printf(s, "%s\n", when_empty);
    }
}

bool rt_card_provenance_complete(const json_t *facts)
{
    const json_t *data = at(facts, "data");
    size_t i;
    json_t *d;
    if (json_array_size(data) == 0 || rt_json_bool(at(facts, "permit"), "declared", true)) {
        return false;
    }
    json_array_foreach(data, i, d)
    {
        if (!*rt_json_str(d, "origin", "")) {
            return false;
        }
    }
    return true;
}

/* Weights were copied from the teacher, so that the hub's base_model is true. */
static bool is_derived(const json_t *facts)
{
    const char *init = rt_json_str(at(facts, "student"), "init", "scratch");
    return strcmp(init, "scratch") != 0 && strcmp(init, "random") != 0;
}

static const char *teacher_name(const json_t *facts)
{
    const json_t *t = at(facts, "teacher");
    return rt_json_str(t, "repo", rt_json_str(t, "name", "an unnamed teacher"));
}

/* Whose weights the student began with: the teacher's, or where a server keeps those, another model's. */
static const char *base_name(const json_t *facts)
{
    return rt_json_str(at(facts, "student"), "from", teacher_name(facts));
}

/* ---- front matter ---- */

static void front_matter(rt_str *s, const json_t *facts)
{
    const json_t *permit = at(facts, "permit");
    const char *tag = rt_json_str(permit, "tag", NULL);
    size_t i;
    json_t *v;
    rt_str_puts(s, "---\n");
    rt_yaml_line(s, "license", tag ? tag : "other");
    if (!tag) {
        rt_yaml_line(s, "license_name", rt_json_str(permit, "id", "unknown"));
    }
    if (json_array_size(at(facts, "language")) > 0) {
        rt_str_puts(s, "language:\n");
        json_array_foreach(at(facts, "language"), i, v)
        {
            rt_yaml_item(s, json_is_string(v) ? json_string_value(v) : "und");
        }
    }
    rt_yaml_line(s, "library_name", rt_json_str(facts, "library_name", "transformers"));
    rt_yaml_line(s, "pipeline_tag", "text-generation");
    if (is_derived(facts)) {
        rt_yaml_line(s, "base_model", base_name(facts));
        rt_yaml_line(s, "base_model_relation", "finetune");
    }
    if (json_array_size(at(facts, "data")) > 0) {
        rt_str_puts(s, "datasets:\n");
        json_array_foreach(at(facts, "data"), i, v)
        {
            rt_yaml_item(s, rt_json_str(v, "name", "unnamed"));
        }
    }
    rt_str_puts(s, "tags:\n- distillation\n- retort\n---\n\n");
}

/* ---- sections ---- */

/* Words that a licence wants shown stand at the top, not only in the list of duties. */
static void show_marks(rt_str *s, const json_t *duties)
{
    size_t i;
    json_t *d;
    json_array_foreach(duties, i, d)
    {
        const json_t *words = json_array_get(at(d, "any"), 0);
        if (strcmp(rt_json_str(d, "kind", ""), "display") == 0 && json_is_string(words)) {
            rt_str_printf(s, "**%s**\n\n", json_string_value(words));
        }
    }
}

static void head(rt_str *s, const json_t *facts)
{
    rt_str_puts(s, "# ");
    rt_md_escape(s, rt_json_str(facts, "name", ""));
    rt_str_puts(s, "\n\n");
    show_marks(s, at(at(facts, "permit"), "duties"));
    rt_str_puts(s, "A small language model distilled from ");
    rt_md_escape(s, teacher_name(facts));
    rt_str_puts(s, ".\n\n");
    if (!rt_card_provenance_complete(facts)) {
        rt_str_puts(s, "**Provenance incomplete**: see the section on provenance.\n\n");
    }
}

static void made_from(rt_str *s, const json_t *facts)
{
    const json_t *t = at(facts, "teacher"), *permit = at(facts, "permit"), *student = at(facts, "student");
    rt_str_puts(s, "## Made from\n\n");
    line(s, "Teacher", rt_json_str(t, "name", NULL));
    line(s, "Repository", rt_json_str(t, "repo", NULL));
    line(s, "Architecture", rt_json_str(t, "architecture", NULL));
    number_line(s, "Parameters of the teacher", at(t, "parameters"), "");
    line(s, "Quantisation of the teacher as used", rt_json_str(t, "quantisation", NULL));
    const char *sha = rt_json_str(t, "sha256", "");
    line(s, "SHA-256 of the teacher", *sha ? sha : "not known");
    if (rt_json_bool(permit, "declared", false)) {
        rt_str_puts(s, "- Teacher and licence are declared, not observed.\n");
    }
    line(s, "Start of the student's weights", rt_json_str(student, "init", NULL));
    line(s, "Model they were taken from", rt_json_str(student, "from", NULL));
    number_line(s, "Parameters of the student", at(student, "parameters"), "");
    number_line(s, "Layers", at(student, "layers"), "");
    number_line(s, "Hidden size", at(student, "hidden"), "");
    if (is_derived(facts)) {
        rt_str_printf(s, "- The weights were modified: taken from %s, cut, and trained further.\n",
                      at(student, "from") ? "that model" : "the teacher");
    }
}

static void licence(rt_str *s, const json_t *facts)
{
    const json_t *permit = at(facts, "permit"), *decision = at(permit, "decision"), *grant = at(permit, "grant");
    size_t i;
    json_t *v;
    rt_str_puts(s, "\n## Allowed by what\n\n");
    line(s, "Licence of the teacher", rt_json_str(permit, "id", NULL));
    line(s, "Verdict for this use", rt_json_str(permit, "verdict", NULL));
    line(s, "Licence table", rt_json_str(permit, "table_version", NULL));
    if (rt_json_bool(permit, "conflict", false)) {
        rt_str_puts(s, "- The teacher's files state more than one licence; the strictest was applied.\n");
    }
    if (!rt_json_bool(permit, "commercial", true)) {
        rt_str_puts(s, "- Judged for non-commercial use only.\n");
    }
    line(s, "Duties accepted by", rt_json_str(decision, "by", NULL));
    line(s, "On", rt_json_str(decision, "time", NULL));
    line(s, "Reason", rt_json_str(decision, "reason", NULL));
    line(s, "Written grant of", rt_json_str(grant, "grantor", NULL));
    line(s, "Grant dated", rt_json_str(grant, "date", NULL));
    line(s, "Scope of the grant", rt_json_str(grant, "scope", NULL));
    line(s, "SHA-256 of the grant", rt_json_str(grant, "sha256", NULL));
    rt_str_puts(s, "\nDuties of whoever passes this model on:\n\n");
    json_array_foreach(at(permit, "duties"), i, v)
    {
        rt_str_puts(s, "- ");
        rt_md_escape(s, rt_json_str(v, "text", "?"));
        rt_str_putc(s, '\n');
    }
    if (json_array_size(at(permit, "duties")) == 0) {
        rt_str_puts(s, "None is known for this use.\n");
    }
}

static void how(rt_str *s, const json_t *facts)
{
    const json_t *h = at(facts, "how");
    rt_str_puts(s, "\n## How\n\n");
    line(s, "Loss", rt_json_str(h, "loss", NULL));
    line(s, "Targets", rt_json_str(h, "targets", NULL));
    number_line(s, "Draws a position", at(h, "draws"), "");
    number_line(s, "Temperature", at(h, "temperature"), "");
    number_line(s, "Training tokens", at(h, "tokens"), "");
    number_line(s, "Steps", at(h, "steps"), "");
    number_line(s, "Time", at(h, "seconds"), "s");
    number_line(s, "Processor time", at(h, "cpu_seconds"), "s");
    line(s, "Machine", rt_json_str(h, "machine", NULL));
    if (json_object_size(h) == 0) {
        rt_str_puts(s, "Not recorded.\n");
    }
}

static void kept_row(rt_str *s, const json_t *k)
{
    rt_str_puts(s, "| ");
    rt_md_escape(s, rt_json_str(k, "what", "?"));
    if (*rt_json_str(k, "unit", "")) {
        rt_str_puts(s, " (");
        rt_md_escape(s, rt_json_str(k, "unit", ""));
        rt_str_putc(s, ')');
    }
    rt_str_puts(s, " | ");
    figure(s, at(k, "student"));
    if (json_is_number(at(k, "stderr"))) {
        rt_str_puts(s, " ± ");
        figure(s, at(k, "stderr"));
    }
    rt_str_puts(s, " | ");
    figure(s, at(k, "teacher"));
    rt_str_puts(s, " | ");
    figure(s, at(k, "baseline"));
    rt_str_puts(s, " | ");
    if (json_is_number(at(k, "retained"))) {
        rt_str_printf(s, "%.1f %%", 100 * json_number_value(at(k, "retained")));
    } else {
        rt_str_puts(s, "-");
    }
    rt_str_puts(s, " | ");
    figure(s, at(k, "n"));
    rt_str_puts(s, " |\n");
}

static void kept_and_lost(rt_str *s, const json_t *facts)
{
    size_t i;
    json_t *k;
    rt_str_puts(s, "\n## Kept\n\n");
    if (json_array_size(at(facts, "kept")) > 0) {
        rt_str_puts(s, "| measure | student | teacher | baseline | retained | n |\n|---|---|---|---|---|---|\n");
        json_array_foreach(at(facts, "kept"), i, k)
        {
            kept_row(s, k);
        }
    } else {
        rt_str_puts(s, "Nothing was measured.\n");
    }
    rt_str_puts(s, "\n## Lost\n\n");
    escaped_list(s, at(facts, "lost"), "Nothing was found; that is no proof that nothing is missing.");
    rt_str_puts(s, "\n## Not measured\n\n");
    escaped_list(s, at(facts, "not_measured"), "No list was given.");
}

static void data_row(rt_str *s, const json_t *d)
{
    const char *origin = rt_json_str(d, "origin", ""), *own = rt_json_str(d, "licence", "");
    rt_str_puts(s, "| ");
    rt_md_escape(s, rt_json_str(d, "name", "unnamed"));
    rt_str_puts(s, " | ");
    figure(s, at(d, "documents"));
    rt_str_puts(s, " | ");
    figure(s, at(d, "tokens"));
    rt_str_puts(s, " | ");
    rt_md_escape(s, *origin ? origin : "not stated");
    rt_str_puts(s, " | ");
    rt_md_escape(s, *own ? own : "not stated");
    rt_str_puts(s, " |\n");
}

static void provenance(rt_str *s, const json_t *facts)
{
    const json_t *ledger = at(facts, "ledger");
    size_t i;
    json_t *v;
    rt_str_puts(s, "\n## Provenance\n\n");
    rt_str_puts(
        s, rt_card_provenance_complete(facts)
               ? "Every training text has a stated origin and the teacher's file was observed.\n\n"
               : "**Provenance incomplete**: a training text has no stated origin, or the teacher was declared and "
                 "not observed.\n\n");
    line(s, "Ledger, hash of the last entry", rt_json_str(ledger, "head", NULL));
    number_line(s, "Entries", at(ledger, "entries"), "");
    number_line(s, "Teacher outputs", at(ledger, "outputs"), "");
    number_line(s, "Positions", at(ledger, "positions"), "");
    line(s, "Permit", rt_json_str(at(facts, "permit"), "permit_id", NULL));
    if (json_array_size(at(facts, "data")) > 0) {
        rt_str_puts(s, "\n| training text | documents | tokens | origin | licence |\n|---|---|---|---|---|\n");
        json_array_foreach(at(facts, "data"), i, v)
        {
            data_row(s, v);
        }
    }
    if (json_array_size(at(facts, "files")) > 0) {
        rt_str_puts(s, "\n| file | bytes | SHA-256 |\n|---|---|---|\n");
        json_array_foreach(at(facts, "files"), i, v)
        {
            rt_str_puts(s, "| ");
            rt_md_escape(s, rt_json_str(v, "path", "?"));
            rt_str_puts(s, " | ");
            figure(s, at(v, "bytes"));
            rt_str_printf(s, " | ");
            rt_md_escape(s, rt_json_str(v, "sha256", "-"));
            rt_str_puts(s, " |\n");
        }
    }
}

/* The fence is longer than any run of backticks inside. */
static void reproduce(rt_str *s, const json_t *facts)
{
    const char *command = rt_json_str(facts, "command", NULL);
    size_t longest = 2, run = 0;
    if (!command) {
        return;
    }
    for (const char *p = command; *p; p++) {
        run = *p == '`' ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    rt_str_puts(s, "\n## Again\n\n");
    for (int side = 0; side < 2; side++) {
        for (size_t i = 0; i <= longest; i++) {
            rt_str_putc(s, '`');
        }
        rt_str_puts(s, side == 0 ? "sh\n" : "\n");
        rt_str_printf(s, "%s%s", side == 0 ? command : "", side == 0 ? "\n" : "");
    }
    rt_str_puts(s, "\nMade with ");
    rt_md_escape(s, rt_json_str(facts, "tool", "retort"));
    rt_str_puts(s, ".\n");
}

/* ---- public ---- */

rt_status rt_card_print(rt_str *out, const json_t *facts, rt_err *err)
{
    if (!*rt_json_str(facts, "name", "") || !json_is_object(at(facts, "permit"))) {
        return rt_fail(err, RT_INPUT, 0, "a model card needs the model's name and its permit");
    }
    front_matter(out, facts);
    head(out, facts);
    made_from(out, facts);
    licence(out, facts);
    how(out, facts);
    kept_and_lost(out, facts);
    provenance(out, facts);
    reproduce(out, facts);
    return out->failed ? rt_fail(err, RT_MEMORY, 0, "no memory for the model card") : RT_OK;
}

rt_status rt_card_write(const char *path, const json_t *facts, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str text = {0};
    RT_TRY(rt_card_print(&text, facts, err));
    RT_TRY(rt_duties_check(at(at(facts, "permit"), "duties"), rt_json_str(facts, "name", ""), rt_str_cstr(&text), err));
    RT_TRY(rt_file_write(path, text.p, text.n, err));
out:
    rt_str_release(&text);
    return st;
}
