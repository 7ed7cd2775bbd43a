/* The dry run: what a recipe would do here, without writing anything. */
#include <string.h>

#include "flow/asked.h"
#include "flow/own_text.h"
#include "model/models.h"
#include "train/step_layers.h"

/* Bytes a token of each kind of target, as measured on prose (docs/cache.md). */
static double cache_bytes_per_token(const rt_run_recipe *r, const rt_model *teacher)
{
    switch (r->targets) {
    case RT_CACHE_SAMPLE: return 23.8;
    case RT_CACHE_TOPK: return 4.0 * r->k + 2.0;
    case RT_CACHE_HIDDEN: return (double)teacher->hp.d_model * rt_dtype_block_bytes(r->hidden_dtype);
    }
    return 0.0;
}

/* Tokens of all answers with their prompts, were each as long as it may be and all kept; *asked: how many prompts. */
static rt_status answer_tokens(rt_flow *f, int64_t *tokens, int64_t *asked, rt_err *err)
{
    rt_status st = RT_OK;
    rt_asked a = {0};
    int64_t longest;
    RT_TRY(rt_flow_need_tokenizer(f, err));
    RT_TRY(rt_asked_read(&a, f, err));
    RT_TRY(rt_asked_tokens(&a, f->tokenizer, tokens, &longest, err));
    *asked = (int64_t)a.prompts.n;
    *tokens = f->recipe.answers * (*tokens + *asked * f->recipe.new_tokens);
out:
    rt_asked_release(&a);
    return st;
}

/* Tokens that are collected; of answers that are not written yet, the most there can be. */
static rt_status corpus_tokens(rt_flow *f, int64_t *tokens, int64_t *asked, rt_err *err)
{
    *asked = 0;
    if (!rt_flow_has_prompts(f)) {
        const rt_status st = rt_flow_need_texts(f, err);
        *tokens = st == RT_OK ? f->packed.n_tokens : 0;
        return st;
    }
    const rt_status st = answer_tokens(f, tokens, asked, err);
    const int64_t most = f->split.collect_tokens;
    *tokens = most > 0 && *tokens > most ? most : *tokens;
    return st;
}

/* Of the student's training from the cache, and of the phase after it; the twin sees as many tokens as both. */
typedef struct lengths {
    double seconds;
    int64_t tokens;
    rt_own_share own;
} lengths;

static lengths lengths_of(const rt_flow *f, int64_t collect)
{
    const rt_split *s = &f->split;
    lengths l;
    if (s->train_seconds > 0) {
        l.own = rt_flow_own_share(f, s->train_seconds, 0);
        l.seconds = s->train_seconds - l.own.seconds;
        l.tokens = (int64_t)(l.seconds / rt_split_train_token(&f->recipe, s));
    } else {
        l.tokens = s->train_tokens > 0 ? s->train_tokens : collect;
        l.seconds = (double)l.tokens * rt_split_train_token(&f->recipe, s);
        l.own = rt_flow_own_share(f, 0, l.tokens);
    }
    return l;
}

/* How long a server takes is not known before. */
static json_t *stage_seconds(const rt_flow *f, int64_t collect, const lengths *l)
{
    const double c = (double)collect / f->split.teacher_tokens_per_s;
    const double twin = (double)(l->tokens + l->own.tokens) / f->split.step_tokens_per_s;
    return json_pack("{s:o, s:f, s:f, s:f}", "collect", rt_flow_is_served(f) ? json_null() : json_real(c), "train",
                     l->seconds, "on_policy", l->own.seconds, "twin", f->recipe.twin ? twin : 0.0);
}

/* Masters, gradients, two moments, bf16 copies, activations of one micro-batch, head buffers, the teacher, and what
 * terms between layers keep. */
static double peak_bytes(const rt_flow *f, const rt_model *student)
{
    const int64_t most = f->recipe.batch_tokens < RT_STEP_MICRO_TOKENS ? f->recipe.batch_tokens : RT_STEP_MICRO_TOKENS;
    const int64_t rows = most > f->recipe.sequence ? most : f->recipe.sequence;
    const bool again = strcmp(f->recipe.recompute, "layers") == 0;
    const double teacher =
        f->teacher->stream != NULL ? (double)rt_model_streamed(f->teacher).bytes : (double)f->teacher->n_elements * 2.0;
    rt_step_options layers = {.n_losses = f->recipe.n_losses, .teacher = f->teacher};
    memcpy(layers.losses, f->recipe.losses, sizeof layers.losses);
    return (double)student->n_elements * 18.0 + teacher + (double)rt_head_bytes(student, NULL, true) +
           (double)rt_step_layers_bytes(student, &layers, rows, f->recipe.sequence) +
           (double)rt_acts_bytes(student, rows, f->recipe.sequence, again ? RT_NET_RECOMPUTE : RT_NET_TRAIN);
}

rt_status rt_flow_plan(const rt_flow_options *o, json_t **plan, rt_err *err)
{
    rt_status st = RT_OK;
    rt_flow f = {0};
    rt_model *student = NULL;
    RT_TRY(rt_flow_open(&f, o, false, err));
    RT_TRY(rt_flow_gate(&f, err));
    RT_TRY(rt_flow_check_files(&f, err));
    RT_TRY(rt_flow_split(&f, err));
    int64_t collect, asked;
    RT_TRY(corpus_tokens(&f, &collect, &asked, err));
    RT_TRY(rt_flow_need_teacher(&f, err));
    RT_TRY(rt_flow_outline(&f, &student, err));
    const double elements = (double)student->n_elements;
    const lengths l = lengths_of(&f, collect);
    *plan = json_pack("{s:s, s:s, s:o, s:{s:s, s:s, s:s}, s:f, s:{s:I, s:I, s:I, s:f}, s:I, s:I, s:o, s:f, s:f}",
                      "name", f.recipe.name, "dir", f.dir, "recipe", json_incref(f.recipe.json), "licence", "id",
                      rt_permit_licence(f.permit), "verdict", rt_verdict_name(rt_permit_verdict(f.permit)),
                      "teacher_sha256", rt_permit_model_sha256(f.permit), "budget_seconds", f.recipe.budget, "student",
                      "layers", (json_int_t)student->hp.n_layer, "hidden", (json_int_t)student->hp.d_model, "ffn",
                      (json_int_t)student->hp.d_ff, "parameters", elements, "collect_tokens", (json_int_t)collect,
                      "train_tokens", (json_int_t)l.tokens, "seconds", stage_seconds(&f, collect, &l),
                      "peak_memory_bytes", peak_bytes(&f, student), "disk_bytes",
                      (double)collect * cache_bytes_per_token(&f.recipe, f.teacher) +
                          elements * (4.0 + 12.0 * 3.0) * (f.recipe.twin ? 2.0 : 1.0));
    if (*plan == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
    }
    if (asked > 0) {
        json_object_set_new(*plan, "prompts", json_integer(asked));
        json_object_set_new(json_object_get(*plan, "seconds"), "answers",
                            rt_flow_is_served(&f) ? json_null() : json_real(f.split.answer_seconds));
    }
    if (rt_flow_writes(&f)) {
        json_object_set_new(*plan, "on_policy_tokens", json_integer((json_int_t)l.own.tokens));
    }
    json_object_set_new(*plan, "pace", rt_split_json(&f.split));
    json_object_set_new(*plan, "accepted_seconds", json_real(rt_flow_accepted_seconds(&f)));
out:
    rt_model_close(student);
    rt_flow_close(&f);
    return st;
}
