/* The recipe's block `train.on_policy`: its schema and its reading (docs/on-policy.md). */
#include "flow/recipe.h"

#define OWN_LOSS "jsd"
#define RATE_SHARE (1.0 / 3) /* of train.lr: the student has learnt most of what it will */

const rt_field rt_on_policy_schema[] = {
    {.key = "fraction",
     .kind = RT_FIELD_NUM,
     .min = 0.001,
     .max = 1,
     .required = true,
     .help = "share of a step's tokens that the student writes, prompts among them; the rest is `data.text`"},
    {.key = "prompts",
     .kind = RT_FIELD_STRS,
     .help = ".jsonl rows with `prompt` or `messages` to continue; default: the beginnings of `data.text`"},
    {.key = "prompt_tokens",
     .kind = RT_FIELD_INT,
     .min = 1,
     .max = 8192,
     .dflt = "64",
     .help = "how much of a text is its beginning"},
    {.key = "new_tokens",
     .kind = RT_FIELD_INT,
     .min = 1,
     .max = 8192,
     .dflt = "128",
     .help = "written after it, at most"},
    {.key = "temperature", .kind = RT_FIELD_NUM, .min = 0, .max = 20, .dflt = "1", .help = "of writing"},
    {.key = "top_p",
     .kind = RT_FIELD_NUM,
     .min = 0,
     .max = 1,
     .dflt = "1",
     .help = "draw among the fewest tokens with this share"},
    {.key = "refresh", .kind = RT_FIELD_INT, .min = 1, .max = 1e6, .dflt = "1", .help = "steps a text is used"},
    {.key = "loss",
     .kind = RT_FIELD_STR,
     .dflt = OWN_LOSS,
     .help = "one that compares with the teacher, as for `retort train --loss`"},
    {.key = "tokens",
     .kind = RT_FIELD_INT,
     .min = 1,
     .max = 1e13,
     .help = "length of the phase; default: a tenth of the training before, with a budget a fifth of its time"},
    {.key = "lr",
     .kind = RT_FIELD_NUM,
     .min = 1e-8,
     .max = 1,
     .help = "peak learning rate; default: a third of train.lr"},
    {0},
};

static rt_status read_own_loss(rt_own_text_spec *out, const char *text, double temperature, rt_err *err)
{
    rt_err why;
    if (rt_losses_parse(out->losses, &out->n_losses, text, temperature, &why) != RT_OK) {
        return rt_fail(err, RT_RECIPE, 0, "'train.on_policy.loss': %s", why.msg);
    }
    if (rt_losses_learn_labels(out->losses, out->n_losses)) {
        return rt_fail(err, RT_RECIPE, 0,
                       "'train.on_policy.loss': ce would teach the student its own words; take jsd or reverse_kl");
    }
    return RT_OK;
}

rt_status rt_own_text_spec_read(rt_own_text_spec *out, const rt_run_recipe *r, rt_err *err)
{
    rt_status st = RT_OK;
    const json_t *block = json_object_get(json_object_get(r->json, "train"), "on_policy");
    const json_t *prompts = json_object_get(block, "prompts");
    *out = (rt_own_text_spec){.wanted = block != NULL};
    if (block == NULL) {
        return RT_OK;
    }
    if (r->server.url != NULL) {
        RT_FAIL_OUT(err, RT_RECIPE, 0,
                    "'train.on_policy': what the student writes is judged by weights, which a server keeps");
    }
    out->own = (rt_on_policy_options){.fraction = rt_json_f64(block, "fraction", 0),
                                      .prompt_tokens = rt_json_i64(block, "prompt_tokens", 64),
                                      .new_tokens = rt_json_i64(block, "new_tokens", 128),
                                      .temperature = rt_json_f64(block, "temperature", 1),
                                      .top_p = rt_json_f64(block, "top_p", 1),
                                      .refresh = rt_json_i64(block, "refresh", 1),
                                      .seed = r->seed};
    out->tokens = rt_json_i64(block, "tokens", 0);
    out->lr = rt_json_f64(block, "lr", RATE_SHARE * r->lr);
    out->n_prompts = json_array_size(prompts);
    if (out->n_prompts > RT_MAX_PATHS) {
        RT_FAIL_OUT(err, RT_RECIPE, 0, "'train.on_policy.prompts' has %zu entries, at most %d are taken",
                    out->n_prompts, RT_MAX_PATHS);
    }
    for (size_t i = 0; i < out->n_prompts; i++) {
        out->prompts[i] = json_string_value(json_array_get(prompts, i));
    }
    RT_TRY(read_own_loss(out, rt_json_str(block, "loss", OWN_LOSS), r->loss_temperature, err));
    RT_TRY(rt_on_policy_check(&out->own, err));
out:
    return st;
}
