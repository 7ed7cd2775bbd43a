/* retort collect: what a teacher says about texts, kept in a cache; or texts it writes; or a cache checked. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/collect.h"
#include "flow/served.h"
#include "teacher/cache_match.h"
#include "teacher/verify.h"

static const char *const about =
    "Runs TEACHER over the documents of --text and keeps its distributions in folder CACHE: `sample`\n"
    "(unbiased draws, the default), `topk` (k entries and the tail's mass) or `hidden` (the state before\n"
    "the head: every loss later, exactly). With --prompts and --targets text the teacher writes an answer\n"
    "to each prompt. The licence gate is asked first; every output enters CACHE/ledger.jsonl. The same\n"
    "command goes on where a killed one was. --verify computes random positions of a cache again.\n"
    "A teacher that bf16 products take more than 0.05 nats from its f32 path is refused (exit code 10).\n"
    "\n"
    "TEACHER may be the address of an OpenAI-compatible server (llama-server, vLLM, SGLang), for `topk`\n"
    "and `text`; --model and --teacher-licence then say what is served there (docs/endpoint.md). Or --import\n"
    "FILE, logits that llama-perplexity --kl-divergence-base wrote, in place of TEACHER and --text.\n"
    "\n"
    "example:  retort collect teacher.gguf --text books.jsonl -o cache --tokens 200k\n"
    "          retort collect teacher.gguf --verify cache";

/* --- what is printed ---------------------------------------------------------------------------------------------- */

static json_t *fidelity_json(const retort_collect_result *r)
{
    return r->teacher_kl_positions == 0
               ? json_pack("{s:s}", "unmeasured", r->teacher_unmeasured)
               : json_pack("{s:I, s:f, s:o}", "positions", (json_int_t)r->teacher_kl_positions, "kl", r->teacher_kl,
                           "stderr", rt_number_json(r->teacher_kl_stderr));
}

static void print_fidelity(const retort_collect_result *r)
{
    if (r->teacher_kl_positions == 0) {
        printf("teacher fidelity: not measured, %s\n", r->teacher_unmeasured);
        return;
    }
    printf("teacher fidelity: %.2g nats", r->teacher_kl);
    if (isfinite(r->teacher_kl_stderr)) {
        printf(" +- %.1g", r->teacher_kl_stderr);
    }
    printf(" from the f32 path of its file, at %lld positions\n", (long long)r->teacher_kl_positions);
}

void rt_collect_print_cache(const rt_cli *c, const rt_collect_args *a, const retort_collect_result *r)
{
    if (c->common.json) {
        json_t *j = json_pack("{s:s, s:s, s:I, s:I, s:I, s:f, s:i, s:f, s:f, s:f, s:o}", "cache", a->out, "targets",
                              a->targets, "tokens", (json_int_t)r->tokens, "positions", (json_int_t)r->positions,
                              "bytes", (json_int_t)r->bytes, "bytes_per_token", r->bytes_per_token, "draws", r->draws,
                              "teacher_nll", r->teacher_nll, "seconds", r->seconds, "tokens_per_s", r->tokens_per_s,
                              "teacher_fidelity", fidelity_json(r));
        rt_cli_print_json(j);
        json_decref(j);
        return;
    }
    printf("%s: %lld tokens, %.1f bytes a token", a->out, (long long)r->tokens, r->bytes_per_token);
    if (r->draws > 0) {
        printf(" with %d draws", r->draws);
    }
    printf(", teacher perplexity %.2f\n", exp(r->teacher_nll));
    print_fidelity(r);
}

void rt_collect_print_answers(const rt_cli *c, const rt_collect_args *a, const rt_answer_report *r,
                              const rt_write_report *w)
{
    if (c->common.json) {
        json_t *j = json_pack("{s:s, s:I, s:I, s:f}", "output", a->out, "answers", (json_int_t)r->answers, "tokens",
                              (json_int_t)r->tokens, "seconds", r->seconds);
        if (w != NULL) {
            json_object_set_new(j, "written", json_integer((json_int_t)w->counts.written));
            json_object_set_new(j, "prompt_tokens_read", json_integer((json_int_t)w->counts.read));
            json_object_set_new(j, "prompt_tokens_reused", json_integer((json_int_t)w->counts.reused));
        }
        rt_cli_print_json(j);
        json_decref(j);
        return;
    }
    printf("%s/answers.jsonl: %lld answers, %lld tokens\n", a->out, (long long)r->answers, (long long)r->tokens);
    if (w != NULL && w->counts.reused > 0) {
        printf("prompts: %lld tokens read, %lld reused\n", (long long)w->counts.read, (long long)w->counts.reused);
    }
}

/* --- with the engine ------------------------------------------------------------------------------------------------
 */

static rt_status verify(rt_cli *c, const rt_collect_args *a)
{
    rt_status st = RT_OK;
    rt_model *teacher = NULL;
    rt_cache *cache = NULL;
    rt_verify_report r = {0};
    RT_TRY(rt_cache_open(&cache, a->verify, &c->err));
    RT_TRY(rt_cache_match_teacher(cache, c->operands.v[0], &c->err));
    RT_TRY(rt_cli_open_model(c, c->operands.v[0], &teacher));
    st = rt_cache_verify(cache, teacher, a->positions, (uint64_t)c->common.seed, &r, &c->err);
    if (c->common.json && r.text[0] != '\0') {
        json_t *j = json_pack("{s:s, s:b, s:I, s:f, s:f, s:f, s:i, s:s}", "cache", a->verify, "ok", st == RT_OK,
                              "positions", (json_int_t)r.positions, "identical", r.identical, "z", r.z, "kl", r.kl,
                              "shift", r.shift, "verdict", r.text);
        rt_cli_print_json(j);
        json_decref(j);
    } else if (st == RT_OK) {
        printf("%s\n", r.text);
    }
out:
    rt_cache_close(cache);
    rt_model_close(teacher);
    return st;
}

static rt_status score(rt_cli *c, const rt_collect_args *a)
{
    retort_collect_options o = retort_collect_defaults();
    retort_collect_result r;
    o.targets = a->targets;
    o.draws = (int)a->draws;
    o.k = (int)a->k;
    o.temperature = a->temperature;
    o.tokens = a->tokens;
    o.memory = c->memory;
    o.sequence = a->sequence;
    o.seed = (uint64_t)c->common.seed;
    o.precision = strcmp(c->common.precision, "f32") == 0 ? RETORT_PRECISION_F32 : RETORT_PRECISION_AUTO;
    o.hidden_f32 = strcmp(a->hidden_type, "f32") == 0;
    o.accept_licence = a->accept;
    o.reason = a->reason;
    o.grant = a->grant;
    o.chat_form = a->template;
    o.accept_degraded_teacher = a->accept_degraded;
    const rt_status st = retort_collect(c->operands.v[0], a->text.v, a->text.n, a->out, &o, &r, &c->err);
    if (st == RT_OK) {
        rt_collect_print_cache(c, a, &r);
    }
    return st;
}

rt_sampling rt_collect_sampling(const rt_cli *c, const rt_collect_args *a)
{
    return (rt_sampling){.temperature = a->temperature,
                         .top_k = a->top_k,
                         .top_p = a->top_p,
                         .min_p = a->min_p,
                         .seed = (uint64_t)c->common.seed};
}

static rt_status write_answers(rt_cli *c, const rt_collect_args *a)
{
    rt_status st = RT_OK;
    rt_model *teacher = NULL;
    rt_tokenizer *t = NULL;
    rt_permit *permit = NULL;
    rt_prompts prompts = {0};
    rt_write_report r;
    const char *model = c->operands.v[0];
    RT_TRY(rt_cli_permit(c, model, RT_USE_TRAIN_ON_OUTPUTS, a->out, a->accept, a->reason, a->grant, &permit));
    RT_TRY(rt_tokenizer_open(&t, model, &c->err));
    if (a->template != NULL) {
        RT_TRY(rt_chat_set_form(t, a->template, &c->err));
    }
    RT_TRY(rt_prompts_read(&prompts, a->prompts.v, a->prompts.n, &c->err));
    RT_TRY(rt_cli_open_model(c, model, &teacher));
    RT_TRY(rt_write_answers(&(rt_write_job){.teacher = teacher,
                                            .tokenizer = t,
                                            .permit = permit,
                                            .prompts = &prompts,
                                            .dir = a->out,
                                            .max_new = a->max_new,
                                            .answers = (int)a->answers,
                                            .sampling = rt_collect_sampling(c, a)},
                            &r, &c->err));
    rt_collect_print_answers(c, a, &r.file, &r);
out:
    rt_permit_free(permit);
    rt_prompts_release(&prompts);
    rt_tokenizer_close(t);
    rt_model_close(teacher);
    return st;
}

/* --- the command -------------------------------------------------------------------------------------------------- */

enum { ANSWERS = 1, NEW_TOKENS = 256 }; /* where nothing is said */

static rt_status check_args(const rt_collect_args *a, rt_err *err)
{
    const bool text = strcmp(a->targets, "text") == 0;
    if (a->verify != NULL) {
        return RT_OK;
    }
    if (!text && (a->prompts.n > 0 || a->answers != ANSWERS || a->max_new != NEW_TOKENS || a->top_k != 0 ||
                  a->top_p != 0 || a->min_p != 0)) {
        return rt_fail(err, RT_USAGE, 0,
                       "--prompts, --answers, --n-predict, --top-k, --top-p and --min-p say what the teacher writes: "
                       "they go with --targets text");
    }
    if (text && a->text.n > 0) {
        return rt_fail(err, RT_USAGE, 0,
                       "--text are documents that the teacher reads: with --targets text it answers --prompts alone");
    }
    if (text && a->tokens + a->sequence > 0) {
        return rt_fail(err, RT_USAGE, 0,
                       "--tokens and --sequence are about documents: with --targets text --prompts, --answers and "
                       "--n-predict say how much is written");
    }
    if (text && a->accept_degraded) {
        return rt_fail(err, RT_USAGE, 0,
                       "--accept-degraded-teacher is about distributions: it does not go with --targets text");
    }
    if (a->out == NULL || (text ? a->prompts.n : a->text.n) == 0) {
        return rt_fail(err, RT_USAGE, 0, "%s",
                       text ? "-o CACHE and --prompts FILE are needed with --targets text"
                            : "-o CACHE and --text FILE are needed");
    }
    if (strcmp(a->hidden_type, "f16") != 0 && strcmp(a->hidden_type, "f32") != 0) {
        return rt_fail(err, RT_USAGE, 0, "option '--hidden-type': '%s' is not one of f16, f32", a->hidden_type);
    }
    if (a->draws > INT32_MAX || a->k > INT32_MAX || a->sequence > INT32_MAX || a->answers > INT32_MAX ||
        a->parallel > INT32_MAX || a->attempts > INT32_MAX) {
        return rt_fail(
            err, RT_USAGE, 0,
            "a count above %d is none that --draws, --k, --sequence, --answers, --parallel or --attempts can "
            "take",
            INT32_MAX);
    }
    return RT_OK;
}

static rt_status collect(rt_cli *c, const rt_collect_args *a)
{
    rt_status st = RT_OK;
    if (a->import != NULL) {
        st = rt_collect_imported(c, a);
        goto out;
    }
    if (c->operands.n == 0) {
        RT_FAIL_OUT(&c->err, RT_USAGE, 0,
                    "one teacher is needed; usage: retort collect TEACHER --text FILE... -o CACHE");
    }
    RT_TRY(check_args(a, &c->err));
    if (rt_http_is_url(c->operands.v[0])) {
        st = rt_collect_served(c, a);
        goto out;
    }
    if (a->model != NULL || a->licence != NULL || a->base_model != NULL || a->tokenizer != NULL || a->key_env != NULL) {
        RT_FAIL_OUT(&c->err, RT_USAGE, 0, "what a server serves is said of a server alone: '%s' is no http address",
                    c->operands.v[0]);
    }
    RT_TRY(rt_cli_check_model(c, c->operands.v[0]));
    if (a->verify != NULL) {
        RT_TRY(verify(c, a));
    } else if (strcmp(a->targets, "text") == 0) {
        RT_TRY(write_answers(c, a));
    } else {
        RT_TRY(score(c, a));
    }
out:
    return st;
}

int rt_cmd_collect(int argc, char **argv)
{
    rt_cli c;
    int code;
    const rt_endpoint_options server = rt_endpoint_default();
    rt_collect_args a = {.targets = "sample",
                         .hidden_type = "f16",
                         .draws = 50,
                         .k = 32,
                         .max_new = NEW_TOKENS,
                         .answers = ANSWERS,
                         .positions = 1000,
                         .temperature = 1.0,
                         .parallel = server.parallel,
                         .attempts = server.attempts,
                         .wait = server.wait,
                         .max_wait = server.max_wait,
                         .timeout = server.timeout};
    const rt_opt opts[] = {
        {"text", 0, RT_OPT_STRS, &a.text, "FILE...", "documents: .jsonl or .txt"},
        {"prompts", 0, RT_OPT_STRS, &a.prompts, "FILE...", "rows with \"prompt\" or \"messages\", for --targets text"},
        {"output", 'o', RT_OPT_OUT, &a.out, "CACHE", "folder to write"},
        {"targets", 0, RT_OPT_STR, &a.targets, "KIND", "sample (default), topk, hidden, text"},
        {"tokens", 0, RT_OPT_INT, &a.tokens, "N", "stop after so many tokens of text (default: all)"},
        {"sequence", 0, RT_OPT_INT, &a.sequence, "T", "longest sequence (default 512, or the teacher's context)"},
        {"draws", 0, RT_OPT_INT, &a.draws, "N", "sample: draws a position (default 50)"},
        {"k", 0, RT_OPT_INT, &a.k, "K", "topk: entries a position (default 32)"},
        {"hidden-type", 0, RT_OPT_STR, &a.hidden_type, "f16|f32", "hidden: type of the states (default f16)"},
        {"temperature", 0, RT_OPT_NUM, &a.temperature, "T", "of the distribution, or of the writing (default 1)"},
        {"top-k", 0, RT_OPT_INT, &a.top_k, "K", "text: draw among the K likeliest (default: all)"},
        {"top-p", 0, RT_OPT_NUM, &a.top_p, "P", "text: draw among the fewest that have this share (default: all)"},
        {"min-p", 0, RT_OPT_NUM, &a.min_p, "P", "text: leave out what is rarer than this share of the likeliest"},
        {"n-predict", 'n', RT_OPT_INT, &a.max_new, "N", "text: tokens an answer at most (default 256)"},
        {"answers", 0, RT_OPT_INT, &a.answers, "N", "text: answers a prompt (default 1)"},
        {"template", 0, RT_OPT_STR, &a.template, "NAME", "form of the turns of conversations, as for retort generate"},
        {"import", 0, RT_OPT_STR, &a.import, "FILE",
         "logits file of llama.cpp, or a pipe: text and targets (sample, topk) come from it"},
        {"verify", 0, RT_OPT_STR, &a.verify, "CACHE", "compute random positions of this cache again and compare"},
        {"positions", 0, RT_OPT_INT, &a.positions, "N", "verify: how many (default 1000)"},
        RT_CLI_MEMORY(&c.memory),
        {"accept-licence", 0, RT_OPT_STR, &a.accept, "ID",
         "accept the duties of this licence; recorded in CACHE/decisions.jsonl"},
        {"reason", 0, RT_OPT_STR, &a.reason, "TEXT", "why, where the licence's terms are unknown"},
        {"grant", 0, RT_OPT_STR, &a.grant, "FILE", "written grant of the rights holder"},
        {"accept-degraded-teacher", 0, RT_OPT_FLAG, &a.accept_degraded, NULL,
         "accept a teacher that bf16 takes beyond 0.05 nats from its f32 path; recorded"},
        {"model", 0, RT_OPT_STR, &a.model, "NAME", "server, import: the model that is served there, or made the file"},
        {"teacher-licence", 0, RT_OPT_STR, &a.licence, "ID",
         "server, import: that model's licence; declared, not observed"},
        {"base-model", 0, RT_OPT_STR, &a.base_model, "NAME", "server, import: what that model was made from"},
        {"tokenizer", 0, RT_OPT_STR, &a.tokenizer, "FILE",
         "server (topk), import: that model's GGUF, tokenizer.json or folder"},
        {"api-key-env", 0, RT_OPT_STR, &a.key_env, "NAME", "server: environment variable that holds the API key"},
        {"parallel", 0, RT_OPT_INT, &a.parallel, "N", "server: requests at a time at most (default 4)"},
        {"attempts", 0, RT_OPT_INT, &a.attempts, "N", "server: tries a request before giving up (default 5)"},
        {"wait", 0, RT_OPT_NUM, &a.wait, "S", "server: seconds before the second try, then doubled (default 1)"},
        {"max-wait", 0, RT_OPT_NUM, &a.max_wait, "S", "server: give up when it asks for a longer wait (default 600)"},
        {"timeout", 0, RT_OPT_NUM, &a.timeout, "S", "server: seconds a request may take (default 300)"},
        {0},
    };
    if (!rt_cli_begin(&c, "collect", argc, argv, "collect TEACHER --text FILE... -o CACHE [options]", about, opts, 0, 1,
                      "one teacher is needed", &code)) {
        return code;
    }
    return rt_cli_end(&c, collect(&c, &a));
}
