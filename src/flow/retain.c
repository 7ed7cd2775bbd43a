/* What must not be lost: for training a source of its own and looks at a few metrics (retain.h). */
#include "flow/retain.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "format/json.h"

bool rt_flow_retains(const rt_flow *f)
{
    return f->recipe.retain.n_prompts > 0;
}

/* Scores the rows anew each time: they are few, and no answer is written. */
static rt_status look(void *ud, const rt_model *m, rt_watched list[RT_WATCHED], size_t *n, rt_err *err)
{
    rt_status st = RT_OK;
    rt_flow_retain *r = ud;
    rt_task_result result = {0};
    const rt_retain_spec *spec = &r->f->recipe.retain;
    for (*n = 0; *n < spec->n_watch; ++*n) {
        const rt_watch_spec *w = &spec->watch[*n];
        RT_TRY(rt_task_run(&result, r->tasks[*n], m, r->f->tokenizer, w->data, &(rt_task_options){.no_answers = true},
                           err));
        const rt_task_metric *metric = rt_task_result_metric(&result, w->metric);
        list[*n] = (rt_watched){.value = metric != NULL ? metric->value : NAN, .min = w->min, .max = w->max};
        snprintf(list[*n].name, sizeof list[*n].name, "%.24s %.32s", w->task, w->metric);
        rt_task_result_release(&result);
    }
    memcpy(r->last, list, sizeof r->last);
    r->n_last = *n;
out:
    rt_task_result_release(&result);
    return st == RT_OK ? rt_flow_tick(r->f, "train", err) : st;
}

/* What the rows say themselves has labels only. */
static rt_status open_policy(rt_flow_retain *r, const char *answers, const rt_source_options *o, rt_err *err)
{
    rt_status st = RT_OK;
    rt_source_options own = *o;
    own.n_vocab = r->f->teacher->hp.n_vocab;
    RT_TRY(rt_corpus_load(&r->corpus, r->f->tokenizer,
                          &(rt_corpus_options){.paths = &answers, .n_paths = 1, .chat = rt_chat_form(r->f->tokenizer)},
                          err));
    RT_TRY(rt_pack(&r->packed, &r->corpus, (int)r->f->recipe.sequence, err));
    RT_TRY(rt_source_from_corpus(&r->options.source, &r->packed, RT_SOURCE_LABELS, NULL, NULL, &own, err));
    r->options.losses[0] = rt_train_loss_of(RT_LOSS_CE, 1.0);
    r->options.n_losses = 1;
out:
    return st;
}

static rt_status open_taught(rt_flow_retain *r, const rt_source_options *o, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_run_recipe *recipe = &r->f->recipe;
    char *dir = NULL;
    RT_TRY(rt_flow_path_to(r->f, "retain/cache", &dir, err));
    RT_TRY(rt_cache_open(&r->cache, dir, err));
    RT_TRY(rt_source_from_cache(&r->options.source, r->cache, o, err));
    memcpy(r->options.losses, recipe->losses, sizeof recipe->losses);
    r->options.n_losses = recipe->n_losses;
out:
    rt_free(dir);
    return st;
}

rt_status rt_flow_retain_open(rt_flow_retain *r, rt_flow *f, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_retain_spec *spec = &f->recipe.retain;
    const rt_source_options o = {.seed = f->recipe.seed, .max_batch_tokens = spec->batch_tokens};
    char *answers = NULL;
    r->f = f;
    r->options = (rt_retain_options){.weight = spec->weight,
                                     .batch_tokens = spec->batch_tokens,
                                     .look = spec->n_watch > 0 ? look : NULL,
                                     .ud = r,
                                     .every = spec->every,
                                     .keep = spec->keep};
    RT_TRY(rt_flow_retain_check(f, err)); /* what is watched may be new */
    RT_TRY(rt_flow_path_to(f, "retain/answers.jsonl", &answers, err));
    RT_TRY(spec->policy ? open_policy(r, answers, &o, err) : open_taught(r, &o, err));
    for (size_t i = 0; i < spec->n_watch; i++) {
        RT_TRY(rt_task_open(&r->tasks[i], spec->watch[i].task, err));
    }
out:
    rt_free(answers);
    return st;
}

void rt_flow_retain_close(rt_flow_retain *r)
{
    rt_source_close(r->options.source);
    rt_cache_close(r->cache);
    rt_packed_release(&r->packed);
    rt_corpus_release(&r->corpus);
    for (size_t i = 0; i < RT_WATCHED; i++) {
        rt_task_close(r->tasks[i]);
    }
    *r = (rt_flow_retain){0};
}

json_t *rt_flow_retain_json(const rt_flow_retain *r)
{
    const rt_retain_spec *spec = &r->f->recipe.retain;
    json_t *watch = json_array();
    for (size_t i = 0; i < r->n_last; i++) {
        const rt_watched *w = &r->last[i];
        json_array_append_new(watch, json_pack("{s:s, s:o, s:o, s:o, s:b}", "name", w->name, "value",
                                               rt_number_json(w->value), "min", rt_number_json(w->min), "max",
                                               rt_number_json(w->max), "holds", (int)rt_watched_holds(w)));
    }
    const rt_source_info *info = rt_source_get_info(r->options.source);
    return json_pack("{s:s, s:f, s:I, s:I, s:I, s:o}", "answers", spec->policy ? "policy" : "teacher", "weight",
                     spec->weight, "batch_tokens", (json_int_t)spec->batch_tokens, "tokens", (json_int_t)info->n_tokens,
                     "positions", (json_int_t)info->n_targets, "watch", watch);
}
