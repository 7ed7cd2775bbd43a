/* collect_declared.c - teachers of `retort collect` that are not here: a server, and a file of logits. */
#include <string.h>

#include "cli/collect.h"
#include "flow/api_options.h"
#include "flow/imported.h"
#include "flow/served.h"

static void print_report(const rt_cli *c, const rt_collect_args *a, const rt_collect_report *r)
{
    const retort_collect_result result = rt_api_collect_result(r);
    rt_collect_print_cache(c, a, &result);
}

/* --- a server ----------------------------------------------------------------------------------------------------- */

static rt_status check_served(const rt_collect_args *a, rt_err *err)
{
    const bool text = strcmp(a->targets, "text") == 0;
    if (a->verify != NULL) {
        return rt_fail(err, RT_USAGE, 0, "--verify computes with the engine: name a file of the same model");
    }
    if (!text && strcmp(a->targets, "topk") != 0) {
        return rt_fail(err, RT_USAGE, 0, "a server gives --targets topk or text, not %s", a->targets);
    }
    if (a->model == NULL || a->licence == NULL) {
        return rt_fail(err, RT_USAGE, 0,
                       "a server does not say on what terms its model is: --model NAME and --teacher-licence ID are "
                       "needed");
    }
    if (a->template != NULL) {
        return rt_fail(err, RT_USAGE, 0, "--template forms turns for the engine; a server forms them itself");
    }
    if (!text && a->tokenizer == NULL) {
        return rt_fail(err, RT_USAGE, 0,
                       "--targets topk from a server needs --tokenizer FILE, that of the served model");
    }
    if (a->accept_degraded) {
        return rt_fail(err, RT_USAGE, 0,
                       "--accept-degraded-teacher is about the engine's products; a server's are its own");
    }
    if (!text && a->temperature != 1) {
        return rt_fail(err, RT_USAGE, 0, "a server gives log-probabilities at temperature 1 only");
    }
    return RT_OK;
}

static rt_status score_served(rt_cli *c, const rt_collect_args *a, rt_served *s)
{
    rt_collect_report r;
    const rt_status st = rt_served_score(s,
                                         &(rt_served_texts){.tokenizer = a->tokenizer,
                                                            .paths = a->text.v,
                                                            .n_paths = a->text.n,
                                                            .tokens = a->tokens,
                                                            .sequence = a->sequence,
                                                            .k = (int)a->k},
                                         &r, &c->err);
    if (st == RT_OK) {
        print_report(c, a, &r);
    }
    return st;
}

static rt_status write_served(rt_cli *c, const rt_collect_args *a, rt_served *s)
{
    rt_answer_report r;
    const rt_status st = rt_served_write(s,
                                         &(rt_served_prompts){.paths = a->prompts.v,
                                                              .n_paths = a->prompts.n,
                                                              .max_new = a->max_new,
                                                              .answers = (int)a->answers,
                                                              .sampling = rt_collect_sampling(c, a)},
                                         &r, &c->err);
    if (st == RT_OK) {
        rt_collect_print_answers(c, a, &r, NULL);
    }
    return st;
}

rt_status rt_collect_served(rt_cli *c, const rt_collect_args *a)
{
    rt_status st = RT_OK;
    rt_served s = {0};
    const rt_served_ask ask = {.server = {.url = c->operands.v[0],
                                          .model = a->model,
                                          .key_env = a->key_env,
                                          .parallel = (int)a->parallel,
                                          .attempts = (int)a->attempts,
                                          .wait = a->wait,
                                          .max_wait = a->max_wait,
                                          .timeout = a->timeout},
                               .licence = a->licence,
                               .base_model = a->base_model,
                               .dir = a->out,
                               .accept = a->accept,
                               .reason = a->reason,
                               .grant = a->grant};
    RT_TRY(check_served(a, &c->err));
    RT_TRY(rt_served_open(&s, &ask, &c->err));
    RT_TRY(strcmp(a->targets, "text") == 0 ? write_served(c, a, &s) : score_served(c, a, &s));
out:
    rt_served_close(&s);
    return st;
}

/* --- a logits file -------------------------------------------------------------------------------------------------
 */

static rt_status check_import(const rt_cli *c, const rt_collect_args *a, rt_err *err)
{
    if (c->operands.n > 0 || a->text.n > 0 || a->prompts.n > 0 || a->verify != NULL) {
        return rt_fail(err, RT_USAGE, 0,
                       "--import has its teacher and its text in the file: leave out TEACHER, --text, --prompts, "
                       "--verify");
    }
    if (strcmp(a->targets, "sample") != 0 && strcmp(a->targets, "topk") != 0) {
        return rt_fail(err, RT_USAGE, 0, "a logits file gives --targets sample or topk, not %s%s", a->targets,
                       strcmp(a->targets, "hidden") == 0 ? ": the states are not in it" : "");
    }
    if (a->accept_degraded) {
        return rt_fail(err, RT_USAGE, 0,
                       "--accept-degraded-teacher is about the engine's products; the file has its own");
    }
    if (a->tokens > 0 || a->sequence > 0) {
        return rt_fail(err, RT_USAGE, 0, "the file has its chunks already: leave out --tokens and --sequence");
    }
    if (a->out == NULL || a->model == NULL || a->licence == NULL || a->tokenizer == NULL) {
        return rt_fail(err, RT_USAGE, 0,
                       "a logits file does not say whose it is: -o CACHE, --model NAME, --teacher-licence ID and "
                       "--tokenizer FILE are needed");
    }
    if (a->draws < 1 || a->draws > INT32_MAX || a->k < 1 || a->k > INT32_MAX || !(a->temperature > 0)) {
        return rt_fail(err, RT_USAGE, 0, "--draws, --k and --temperature must be above 0");
    }
    return RT_OK;
}

rt_status rt_collect_imported(rt_cli *c, const rt_collect_args *a)
{
    rt_status st = RT_OK;
    rt_collect_report r = {0};
    rt_imported_ask ask = {.path = a->import,
                           .tokenizer = a->tokenizer,
                           .model = a->model,
                           .licence = a->licence,
                           .base_model = a->base_model,
                           .dir = a->out,
                           .accept = a->accept,
                           .reason = a->reason,
                           .grant = a->grant,
                           .options = rt_collect_default()};
    RT_TRY(check_import(c, a, &c->err));
    ask.options.kind = strcmp(a->targets, "topk") == 0 ? RT_CACHE_TOPK : RT_CACHE_SAMPLE;
    ask.options.draws = (int)a->draws;
    ask.options.k = (int)a->k;
    ask.options.temperature = a->temperature;
    ask.options.seed = (uint64_t)c->common.seed;
    RT_TRY(rt_imported_collect(&ask, &r, &c->err));
    print_report(c, a, &r);
out:
    return st;
}
