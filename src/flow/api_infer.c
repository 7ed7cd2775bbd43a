/* The public interface of retort/infer.h. */
#include <string.h>

#include <retort/infer.h>

#include "flow/api_options.h"
#include "infer/infer.h"

rt_status retort_score(const retort_model *m, const int32_t *context, size_t n_context, const int32_t *ids, size_t n,
                       float *logprobs, double *total, rt_err *err)
{
    rt_score score = {0};
    if (n_context > INT32_MAX || n > INT32_MAX) {
        return rt_fail(err, RT_INPUT, 0, "%zu tokens after %zu are more than any context takes", n, n_context);
    }
    const rt_status st = rt_score_run(
        m,
        &(rt_score_request){
            .context = context, .n_context = (int64_t)n_context, .ids = ids, .n = (int64_t)n, .logprobs = logprobs},
        1, &score, NULL, err);
    if (st == RT_OK && total != NULL) {
        *total = score.logprob;
    }
    return st;
}

static bool forward_token(void *ud, size_t index, const rt_generated *g)
{
    (void)index;
    const retort_generate_options *o = ud;
    return o->on_token(o->user, g->ids[g->n - 1], g->logprobs[g->n - 1]) != 0;
}

rt_status retort_generate(const retort_model *m, const retort_tokenizer *t, const int32_t *prompt, size_t n_prompt,
                          const retort_generate_options *given, int32_t *ids, float *logprobs, size_t *n, rt_err *err)
{
    rt_status st = RT_OK;
    rt_generation g = {0};
    retort_generate_options o = retort_generate_defaults();
    *n = 0;
    RT_TRY(rt_api_take_options(&o, given, err));
    if (n_prompt > INT32_MAX) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "a prompt of %zu tokens is longer than any context", n_prompt);
    }
    const rt_generate_options own = {
        .sampling =
            {.temperature = o.temperature, .top_k = o.top_k, .top_p = o.top_p, .min_p = o.min_p, .seed = o.seed},
        .max_new = o.max_tokens,
        .ignore_end = o.ignore_end != 0,
        .on_token = o.on_token != NULL ? forward_token : NULL,
        .ud = &o,
    };
    RT_TRY(rt_generate(&g, m, t, &(rt_prompt){.ids = prompt, .n = (int64_t)n_prompt}, 1, &own, err));
    *n = (size_t)g.seq[0].n;
    memcpy(ids, g.seq[0].ids, *n * sizeof *ids);
    if (logprobs != NULL) {
        memcpy(logprobs, g.seq[0].logprobs, *n * sizeof *logprobs);
    }
out:
    rt_generation_release(&g);
    return st;
}
