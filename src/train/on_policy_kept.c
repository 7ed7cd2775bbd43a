/* on_policy_kept.c - what is said of a student's text in headers and checkpoints, and taken up again. */
#include <string.h>

#include "train/on_policy_impl.h"

json_t *rt_on_policy_config(const rt_on_policy *w)
{
    char hex[65];
    rt_digest_hex(w->hash, hex);
    return json_pack("{s:f, s:I, s:I, s:f, s:f, s:I, s:s}", "fraction", w->o.fraction, "prompt_tokens",
                     (json_int_t)w->o.prompt_tokens, "new_tokens", (json_int_t)w->o.new_tokens, "temperature",
                     w->o.temperature, "top_p", w->o.top_p, "refresh", (json_int_t)w->o.refresh, "prompts", hex);
}

void rt_on_policy_describe(const rt_on_policy *w, rt_str *s)
{
    if (w->share == 0) {
        rt_str_puts(s, "the corpus");
        return;
    }
    rt_str_printf(s,
                  "%g of a step's tokens written by the student (%lld prompts continued by up to %lld tokens at "
                  "temperature %g, top-p %g, written anew every %lld steps; only what is written counts)",
                  w->o.fraction, (long long)w->n_prompts, (long long)w->o.new_tokens, w->o.temperature, w->o.top_p,
                  (long long)w->o.refresh);
    rt_str_puts(s, w->o.fraction < 1 ? ", the rest from the corpus" : "");
}

/* [number of the prompt, written ids...] */
static json_t *text_json(const rt_on_policy *w, size_t i)
{
    const rt_segment *s = &w->text.segments[i];
    json_t *list = json_array();
    bool whole = list && json_array_append_new(list, json_integer(w->numbers[i])) == 0;
    for (int64_t k = w->prompts[w->numbers[i]].n; whole && k < s->n; k++) {
        whole = json_array_append_new(list, json_integer(w->text.ids[s->start + k])) == 0;
    }
    if (!whole) {
        json_decref(list);
        return NULL;
    }
    return list;
}

json_t *rt_on_policy_json(const rt_on_policy *w)
{
    json_t *texts = json_array();
    for (size_t i = 0; texts && i < w->text.n_sequences; i++) {
        if (json_array_append_new(texts, text_json(w, i)) != 0) {
            json_decref(texts);
            texts = NULL;
        }
    }
    return json_pack("{s:o, s:o, s:i, s:s}", "texts", texts, "collapse", rt_collapse_json(&w->collapse), "alarm",
                     (int)w->alarm, "what", w->what);
}

static rt_status damaged(rt_err *err)
{
    return rt_fail(err, RT_INPUT, 0, "the student's text in the checkpoint is damaged");
}

static rt_status restore_text(rt_on_policy *w, const json_t *list, rt_err *err)
{
    const size_t i = w->text.n_sequences, n = json_array_size(list);
    const int64_t number = json_integer_value(json_array_get(list, 0));
    if (n < 2 || (int64_t)i >= w->max_texts || number < 0 || number >= w->n_prompts ||
        (int64_t)n - 1 > w->o.new_tokens || w->text.n_tokens + w->prompts[number].n + (int64_t)n - 1 > w->max_tokens) {
        return damaged(err);
    }
    int32_t *ids = w->text.ids + w->text.n_tokens + w->prompts[number].n;
    for (size_t k = 1; k < n; k++) {
        const json_int_t id = json_integer_value(json_array_get(list, k));
        if (id < 0 || id >= w->n_vocab) {
            return damaged(err);
        }
        ids[k - 1] = (int32_t)id;
    }
    w->numbers[i] = (int32_t)number;
    rt_on_policy_add_text(&w->text, &w->prompts[number], ids, (int64_t)n - 1);
    return RT_OK;
}

rt_status rt_on_policy_restore(rt_on_policy *w, const json_t *j, rt_err *err)
{
    const json_t *texts = json_object_get(j, "texts");
    const int64_t alarm = rt_json_i64(j, "alarm", -1);
    rt_status st = RT_OK;
    if (!json_is_array(texts) || !rt_collapse_parse(json_object_get(j, "collapse"), &w->collapse) ||
        alarm < RT_ALARM_NONE || alarm > RT_ALARM_STOP) {
        return damaged(err);
    }
    rt_on_policy_clear_text(&w->text);
    for (size_t i = 0; i < json_array_size(texts) && st == RT_OK; i++) {
        st = restore_text(w, json_array_get(texts, i), err);
    }
    w->alarm = (rt_alarm)alarm;
    snprintf(w->what, sizeof w->what, "%s", rt_json_str(j, "what", ""));
    return st;
}
