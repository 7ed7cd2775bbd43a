/* task.c - descriptions of tasks: the built-in ones (tasks.yaml) and a user's file. */
#include "audit/task.h"

#include <string.h>

#include "audit/task_desc.h"
#include "audit/task_form.h"
#include "audit/task_score.h"

static const unsigned char builtin_yaml[] = {
#include "audit/tasks.yaml.inc"
};

enum { FILE_MAX = 1 << 20, NEW_TOKENS_MAX = 4096, NEW_TOKENS = 256 };

static const char scorings[] = "choice|greedy|mass|pair|bbq|rolling|generate|refusal";

static const rt_field extract_fields[] = {
    {.key = "name", .kind = RT_FIELD_STR, .required = true, .help = "of the metric"},
    {.key = "pattern",
     .kind = RT_FIELD_STR,
     .required = true,
     .help = "regular expression; its first group that took part"},
    {.key = "take", .kind = RT_FIELD_ENUM, .choices = "first|last", .dflt = "first", .help = "which match"},
    {0},
};
static const rt_field task_fields[] = {
    {.key = "name", .kind = RT_FIELD_STR, .required = true, .help = "in results"},
    {.key = "like", .kind = RT_FIELD_STR, .help = "a built-in task whose keys hold where none is given here"},
    {.key = "version", .kind = RT_FIELD_STR, .help = "of the description; default 1.0"},
    {.key = "score", .kind = RT_FIELD_ENUM, .choices = scorings, .help = "default choice"},
    {.key = "context", .kind = RT_FIELD_STR, .help = "text before the answer, with {field|filter}s"},
    {.key = "chat",
     .kind = RT_FIELD_BOOL,
     .help = "generate: the row's `prompt` or `messages`, formed as the model's template has it, is the context"},
    {.key = "contexts", .kind = RT_FIELD_STRS, .help = "several, for one continuation"},
    {.key = "continuation", .kind = RT_FIELD_STR, .help = "text after it"},
    {.key = "choices", .kind = RT_FIELD_STRS, .help = "the field of a list, or several texts"},
    {.key = "delimiter", .kind = RT_FIELD_STR, .help = "in front of a continuation; default a space"},
    {.key = "clean", .kind = RT_FIELD_ENUM, .choices = "none|hellaswag", .help = "of context and choices"},
    {.key = "gold",
     .kind = RT_FIELD_STR,
     .help = "field of the right choice, or a text with {field|filter}s; default: the first is right"},
    {.key = "labels", .kind = RT_FIELD_STRS, .help = "the field of a list, or several texts: what gold may say"},
    {.key = "truths", .kind = RT_FIELD_STR, .help = "field of a list: 1 for a true choice"},
    {.key = "unknown", .kind = RT_FIELD_STRS, .help = "bbq: phrases in the place of the row's own"},
    {.key = "text", .kind = RT_FIELD_STR, .help = "field of the text to be scored whole"},
    {.key = "answer", .kind = RT_FIELD_STR, .help = "field of the right answer"},
    {.key = "group", .kind = RT_FIELD_STR, .help = "items with the same text here are not independent"},
    {.key = "variants", .kind = RT_FIELD_STRS, .help = "contexts for one row, each an item; {wrong} is a wrong choice"},
    {.key = "order", .kind = RT_FIELD_BOOL, .help = "choice: options by letters, {lettered}, in every turned order"},
    {.key = "kin", .kind = RT_FIELD_STR, .help = "rows with the same text here ask the same in another way"},
    {.key = "side", .kind = RT_FIELD_STR, .help = "which side a row speaks for"},
    {.key = "sides", .kind = RT_FIELD_STRS, .help = "the two sides that are held against each other"},
    {.key = "harmful",
     .kind = RT_FIELD_BOOL,
     .help =
         "whether rows that do not say so themselves are: their texts are not kept, a prompt without a label should "
         "be refused; default of refusal true, else false"},
    {.key = "category", .kind = RT_FIELD_STR, .help = "what results are also told apart by"},
    {.key = "rows", .kind = RT_FIELD_ENUM, .choices = RT_HASH_SPLITS, .help = "those whose id's SHA-256 ends so"},
    {.key = "skill",
     .kind = RT_FIELD_STR,
     .help = "what it asks for, e.g. arithmetic: rows of a report are ordered by it"},
    {.key = "metrics",
     .kind = RT_FIELD_STRS,
     .help = "choice: of acc, acc_norm, acc_bytes, default acc; generate: exact_match, f1, default exact_match"},
    {.key = "stop", .kind = RT_FIELD_STRS, .help = "texts at which an answer ends"},
    {.key = "max_tokens", .kind = RT_FIELD_INT, .min = 1, .max = NEW_TOKENS_MAX, .help = "of an answer; default 256"},
    {.key = "extract", .kind = RT_FIELD_MAPS, .children = extract_fields, .help = "what of the answer counts"},
    {.key = "ignore", .kind = RT_FIELD_STRS, .help = "regular expressions deleted on both sides"},
    {.key = "ignore_case", .kind = RT_FIELD_BOOL, .help = "compare in lower case"},
    {.key = "refusing", .kind = RT_FIELD_STRS, .help = "refusal: how answers begin that refuse"},
    {.key = "complying", .kind = RT_FIELD_STRS, .help = "refusal: how answers begin that do not"},
    {.key = "refusal_prefixes", .kind = RT_FIELD_STRS, .help = "refusal: an answer that begins so refuses; lower case"},
    {.key = "refusal_phrases", .kind = RT_FIELD_STRS, .help = "refusal: so does one with this in its first sentence"},
    {0},
};
static const rt_field list_fields[] = {
    {.key = "tasks", .kind = RT_FIELD_MAPS, .required = true, .children = task_fields, .help = "descriptions"},
    {0},
};

/* --- built-in ------------------------------------------------------------------------------------------------------
 */

static rt_status load_builtin(json_t **root, rt_err *err)
{
    return rt_recipe_parse(root, (const char *)builtin_yaml, sizeof builtin_yaml, "built-in tasks", list_fields, NULL,
                           0, err);
}

static const json_t *find_spec(const json_t *root, const char *name)
{
    size_t i;
    json_t *spec;
    json_array_foreach(json_object_get(root, "tasks"), i, spec)
    {
        if (strcmp(rt_json_str(spec, "name", ""), name) == 0) {
            return spec;
        }
    }
    return NULL;
}

static rt_status list_names(rt_str *out, const json_t *root, rt_err *err)
{
    size_t i;
    json_t *spec;
    json_array_foreach(json_object_get(root, "tasks"), i, spec)
    {
        rt_str_printf(out, "%s%s", i > 0 ? ", " : "", rt_json_str(spec, "name", ""));
    }
    return out->failed ? rt_fail(err, RT_MEMORY, 0, "no memory for the list of tasks") : RT_OK;
}

rt_status rt_task_names(rt_str *out, rt_err *err)
{
    rt_status st = RT_OK;
    json_t *root = NULL;
    RT_TRY(load_builtin(&root, err));
    RT_TRY(list_names(out, root, err));
out:
    json_decref(root);
    return st;
}

static rt_status unknown_name(const json_t *root, const char *name, rt_status code, rt_err *err)
{
    rt_str names = {0};
    rt_status st = list_names(&names, root, err);
    if (st == RT_OK) {
        st = rt_fail(err, code, 0, "task '%s' is not known; known are %s; a file of your own ends in .yaml", name,
                     rt_str_cstr(&names));
    }
    rt_str_release(&names);
    return st;
}

/* What `spec` says, over what the task it is like says. A built-in task is like one without a `like` of its own. */
static rt_status merge(json_t **out, const json_t *root, const json_t *spec, rt_err *err)
{
    const char *like = rt_json_str(spec, "like", NULL);
    const json_t *base = like != NULL ? find_spec(root, like) : NULL;
    if (like != NULL && base == NULL) {
        return unknown_name(root, like, RT_RECIPE, err);
    }
    const char *further = rt_json_str(base, "like", NULL);
    const json_t *first = further != NULL ? find_spec(root, further) : NULL;
    *out = json_object();
    if (*out == NULL || (first != NULL && json_object_update(*out, (json_t *)first) != 0) ||
        (base != NULL && json_object_update(*out, (json_t *)base) != 0) ||
        json_object_update(*out, (json_t *)spec) != 0) {
        return rt_fail(err, RT_MEMORY, 0, "no memory for a task");
    }
    return RT_OK;
}

/* --- checks --------------------------------------------------------------------------------------------------------
 */

static rt_status check_forms(const json_t *list, rt_err *err)
{
    rt_status st = RT_OK;
    size_t i;
    json_t *form;
    json_array_foreach(list, i, form)
    {
        RT_TRY(rt_form_check(json_string_value(form), err));
    }
out:
    return st;
}

static rt_status check_metrics(const rt_task *t, rt_err *err)
{
    const bool generate = t->scoring == RT_SCORING_GENERATE;
    size_t i;
    json_t *m;
    json_array_foreach(t->metrics, i, m)
    {
        const char *name = json_string_value(m);
        if (generate ? strcmp(name, "exact_match") != 0 && strcmp(name, "f1") != 0
                     : !rt_score_knows(RT_SCORING_CHOICE, name)) {
            return rt_fail(err, RT_RECIPE, 0, "metric '%s' is not known; there are %s", name,
                           generate ? "exact_match and f1"
                                    : "acc, acc_norm, acc_bytes, consistent, yields and asymmetry");
        }
    }
    return RT_OK;
}

static bool has_text(const json_t *list, const char *text)
{
    size_t i;
    json_t *entry;
    json_array_foreach(list, i, entry)
    {
        if (strcmp(json_string_value(entry), text) == 0) {
            return true;
        }
    }
    return false;
}

/* What each scoring cannot do without. */
static rt_status check_needs(const rt_task *t, rt_err *err)
{
    const bool several = json_array_size(t->contexts) > 1;
    const char *missing = NULL;
    switch (t->scoring) {
    case RT_SCORING_CHOICE:
        missing = several ? (t->continuation ? NULL : "continuation") : t->choices ? NULL : "choices";
        break;
    case RT_SCORING_GREEDY: missing = t->continuation ? NULL : "continuation"; break;
    case RT_SCORING_MASS: missing = !t->choices ? "choices" : t->truths ? NULL : "truths"; break;
    case RT_SCORING_PAIR: missing = t->choices ? NULL : "choices"; break;
    case RT_SCORING_BBQ: missing = json_array_size(t->choices) == 3 ? t->gold ? NULL : "gold" : "three choices"; break;
    case RT_SCORING_ROLLING: missing = t->text ? NULL : "text"; break;
    case RT_SCORING_GENERATE: missing = t->answer ? NULL : "answer"; break;
    case RT_SCORING_REFUSAL:
        missing = json_array_size(t->refusing) == 0    ? "refusing"
                  : json_array_size(t->complying) == 0 ? "complying"
                  : t->refusal_prefixes == NULL        ? "refusal_prefixes"
                                                       : NULL;
        break;
    case RT_N_SCORINGS: break;
    }
    return missing == NULL ? RT_OK : rt_fail(err, RT_RECIPE, 0, "task '%s' lacks '%s'", t->name, missing);
}

static rt_scoring scoring_of(const char *name)
{
    const char *p = scorings;
    for (int i = 0; i < RT_N_SCORINGS; i++) {
        const size_t n = strcspn(p, "|");
        if (rt_slice_eq((rt_slice){p, n}, name)) {
            return (rt_scoring)i;
        }
        p += n + 1;
    }
    return RT_SCORING_CHOICE;
}

static rt_status read_spec(rt_task *t, rt_err *err)
{
    rt_status st = RT_OK;
    const json_t *s = t->spec;
    t->name = rt_json_str(s, "name", "");
    t->version = rt_json_str(s, "version", "1.0");
    t->skill = rt_json_str(s, "skill", "");
    t->scoring = scoring_of(rt_json_str(s, "score", "choice"));
    t->context = rt_json_str(s, "context", "");
    t->continuation = rt_json_str(s, "continuation", NULL);
    t->delimiter = rt_json_str(s, "delimiter", " ");
    t->gold = rt_json_str(s, "gold", NULL);
    t->truths = rt_json_str(s, "truths", NULL);
    t->text = rt_json_str(s, "text", NULL);
    t->answer = rt_json_str(s, "answer", NULL);
    t->group = rt_json_str(s, "group", NULL);
    t->category = rt_json_str(s, "category", NULL);
    t->kin = rt_json_str(s, "kin", NULL);
    t->side = rt_json_str(s, "side", NULL);
    t->sides = json_object_get(s, "sides");
    t->variants = json_object_get(s, "variants");
    t->order = rt_json_bool(s, "order", false);
    t->harmful = rt_json_bool(s, "harmful", t->scoring == RT_SCORING_REFUSAL);
    t->rows = rt_hash_split_of(rt_json_str(s, "rows", "all"));
    t->refusing = json_object_get(s, "refusing");
    t->complying = json_object_get(s, "complying");
    t->refusal_prefixes = json_object_get(s, "refusal_prefixes");
    t->refusal_phrases = json_object_get(s, "refusal_phrases");
    t->contexts = json_object_get(s, "contexts");
    t->choices = json_object_get(s, "choices");
    t->labels = json_object_get(s, "labels");
    t->unknown = json_object_get(s, "unknown");
    t->stop = json_object_get(s, "stop");
    t->metrics = json_object_get(s, "metrics");
    t->max_tokens = rt_json_i64(s, "max_tokens", NEW_TOKENS);
    t->clean_hellaswag = strcmp(rt_json_str(s, "clean", "none"), "hellaswag") == 0;
    RT_TRY(check_needs(t, err));
    RT_TRY(rt_form_check(t->context, err));
    RT_TRY(t->continuation != NULL ? rt_form_check(t->continuation, err) : RT_OK);
    RT_TRY(t->gold != NULL ? rt_form_check(t->gold, err) : RT_OK);
    RT_TRY(t->group != NULL ? rt_form_check(t->group, err) : RT_OK);
    RT_TRY(t->category != NULL ? rt_form_check(t->category, err) : RT_OK);
    RT_TRY(t->kin != NULL ? rt_form_check(t->kin, err) : RT_OK);
    RT_TRY(t->side != NULL ? rt_form_check(t->side, err) : RT_OK);
    RT_TRY(check_forms(t->variants, err));
    if ((t->side != NULL) != (json_array_size(t->sides) == 2)) {
        RT_FAIL_OUT(err, RT_RECIPE, 0, "task '%s': 'side' goes with two 'sides'", t->name);
    }
    RT_TRY(check_forms(t->contexts, err));
    RT_TRY(check_forms(t->choices, err));
    RT_TRY(check_metrics(t, err));
    t->chat = rt_json_bool(s, "chat", false);
    t->f1 = t->scoring == RT_SCORING_GENERATE && has_text(t->metrics, "f1");
    if (t->chat && (t->scoring != RT_SCORING_GENERATE || *t->context != '\0')) {
        RT_FAIL_OUT(err, RT_RECIPE, 0, "task '%s': 'chat' goes with score: generate, in place of 'context'", t->name);
    }
    if (t->scoring == RT_SCORING_GENERATE) {
        RT_TRY(rt_answer_rules_open(&t->rules, s, err));
        if (rt_answer_rules_count(t->rules) + t->f1 > RT_TASK_METRICS) {
            RT_FAIL_OUT(err, RT_RECIPE, 0, "more than %d ways to extract an answer", RT_TASK_METRICS);
        }
    }
out:
    return st;
}

/* --- the public side ------------------------------------------------------------------------------------------------
 */

static bool is_file(const char *name)
{
    const size_t n = strlen(name);
    return strchr(name, '/') != NULL || (n > 5 && strcmp(name + n - 5, ".yaml") == 0);
}

rt_status rt_task_open(rt_task **out, const char *name_or_file, rt_err *err)
{
    rt_status st = RT_OK;
    json_t *root = NULL, *own = NULL;
    const json_t *spec = NULL;
    rt_task *t = NULL;
    const bool file = is_file(name_or_file);
    *out = NULL;
    RT_TRY(RT_NEW(&t, 1, "task", err));
    RT_TRY(load_builtin(&root, err));
    if (file) {
        RT_TRY(rt_recipe_load(&own, name_or_file, task_fields, NULL, 0, err));
        spec = own;
    } else if ((spec = find_spec(root, name_or_file)) == NULL) {
        st = unknown_name(root, name_or_file, RT_USAGE, err);
        goto out;
    }
    st = merge(&t->spec, root, spec, err);
    st = st == RT_OK ? read_spec(t, err) : st;
    if (st != RT_OK) {
        st = file ? rt_err_wrap(err, st, "'%s'", name_or_file) : st;
        goto out;
    }
    *out = t;
    t = NULL;
out:
    json_decref(root);
    json_decref(own);
    rt_task_close(t);
    return st;
}

void rt_task_close(rt_task *t)
{
    if (t != NULL) {
        rt_answer_rules_close(t->rules);
        json_decref(t->spec);
        rt_free(t);
    }
}

const char *rt_task_name(const rt_task *t)
{
    return t->name;
}

const char *rt_task_skill(const rt_task *t)
{
    return t->skill;
}

const char *rt_task_version(const rt_task *t)
{
    return t->version;
}

bool rt_task_is_chat(const rt_task *t)
{
    return t->chat;
}

bool rt_task_takes(const rt_task *t, const json_t *row)
{
    const json_t *id = json_object_get(row, "id");
    return t->rows == RT_SPLIT_ALL || (json_is_string(id) && rt_hash_split_has(t->rows, json_string_value(id)));
}

bool rt_task_hides(const rt_task *t, const json_t *row)
{
    return rt_json_bool(row, "harmful", t->harmful);
}

bool rt_task_metric_needs_answers(const rt_task *t, const char *metric)
{
    static const char *const of_answers[] = {"refused", "over_refused", "rules_agree", "pair_same"};
    bool needs = false;
    for (size_t i = 0; i < sizeof of_answers / sizeof *of_answers; i++) {
        needs |= strcmp(metric, of_answers[i]) == 0;
    }
    return needs && t->scoring == RT_SCORING_REFUSAL;
}

bool rt_task_has_metric(const rt_task *t, const char *metric)
{
    rt_task_metric list[RT_TASK_METRICS];
    const size_t n = rt_score_metrics(t, list);
    for (size_t i = 0; i < n; i++) {
        if (strcmp(list[i].name, metric) == 0) {
            return true;
        }
    }
    return false;
}
