/* retort eval: a model on held-out text, alone or beside its teacher, and on tasks. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "audit/drafting.h"
#include "audit/heldout.h"
#include "audit/kl_base_stats.h"
#include "audit/task.h"
#include "audit/written.h"
#include "cli/command.h"
#include "model/identity.h"

static const char *const about =
    "Measures MODEL: perplexity of held-out text (--text), its fidelity to a teacher over that text\n"
    "(--against: KL divergence, top-1 agreement, acceptance of speculative decoding), and tasks (--task with\n"
    "--data) scored as lm-evaluation-harness does: multiple choice, next words, answers, bias. A task is a name\n"
    "or a description of your own, a .yaml file. --draft K lets MODEL draft for the teacher, greedy and drawn,\n"
    "behind beginnings of the held-out texts (docs/drafter.md). --prompts with --against measures fidelity on\n"
    "text that MODEL itself writes after them, where its own mistakes lead (docs/on-policy.md). What --items has\n"
    "already is not computed again. Errors are standard errors; on text they are clustered by title.\n"
    "docs/evaluation.md has the formulas.\n"
    "\n"
    "example:  retort eval models/SmolLM2-135M-Instruct.Q4_1.gguf --task hellaswag --data "
    "examples/data/hellaswag.jsonl --limit 50";

#define SEQUENCE 512
enum { DRAFT_GREEDY, DRAFT_DRAWN, N_DRAFTS };
enum { DRAFT_PROMPT = 32, DRAFT_TEXT = 64 }; /* tokens of a held-out text, and behind it */

typedef struct eval_args {
    const char *kl_base, *task, *data, *items, *harness, *against;
    rt_opt_list text, prompts;
    int64_t limit, sequence, max_tokens, draft, draft_prompts;
    rt_written_options own;
} eval_args;

static rt_status check_args(const eval_args *a, rt_err *err)
{
    if (a->kl_base != NULL && (a->task != NULL || a->text.n > 0 || a->prompts.n > 0)) {
        return rt_fail(err, RT_USAGE, 0, "--kl-base is measured alone: its text is in the file");
    }
    if (a->kl_base == NULL && a->task == NULL && a->text.n == 0 && a->prompts.n == 0) {
        return rt_fail(err, RT_USAGE, 0, "nothing to measure: give --task with --data, --text, or --prompts");
    }
    if ((a->task != NULL) != (a->data != NULL)) {
        return rt_fail(err, RT_USAGE, 0, "--task and --data go together: --data is the file of the task's questions");
    }
    if (a->task == NULL && (a->items != NULL || a->harness != NULL || a->limit > 0)) {
        return rt_fail(err, RT_USAGE, 0, "--items, --limit and --lm-eval-dir are about the questions of a --task");
    }
    if (a->text.n == 0 && a->prompts.n == 0 && a->against != NULL) {
        return rt_fail(err, RT_USAGE, 0, "--against needs --text or --prompts, on which both models are compared");
    }
    if (a->prompts.n > 0 && (a->against == NULL || a->text.n > 0)) {
        return rt_fail(err, RT_USAGE, 0,
                       "--prompts needs --against, who judges what is written after them, and goes without --text");
    }
    if (a->own.prompt_tokens < 1 || a->own.new_tokens < 1 || a->own.max_prompts < 0) {
        return rt_fail(err, RT_USAGE, 0, "--prompt-tokens and --new-tokens are 1 or more, --max-prompts 0 or more");
    }
    if (a->draft != 0 && (a->against == NULL || a->text.n == 0)) {
        return rt_fail(err, RT_USAGE, 0, "--draft needs --against, the model that verifies the drafts, and --text");
    }
    if (a->draft < 0 || a->draft > RT_DRAFT_MOST || a->draft_prompts < 1) {
        return rt_fail(err, RT_USAGE, 0, "option '--draft': %lld is no length of 1 to %d tokens, on %lld texts",
                       (long long)a->draft, RT_DRAFT_MOST, (long long)a->draft_prompts);
    }
    if (a->sequence < 0 || a->sequence == 1 || a->sequence > INT32_MAX) {
        return rt_fail(err, RT_USAGE, 0, "option '--sequence': %lld is no length of two tokens or more",
                       (long long)a->sequence);
    }
    return RT_OK;
}

/* --- tasks -------------------------------------------------------------------------------------------------------- */

static void print_metric(const rt_task_metric *m)
{
    const bool share = strncmp(m->name, "acc", 3) == 0 || strncmp(m->name, "exact_match", 11) == 0 ||
                       strstr(m->name, "refused") != NULL || strcmp(m->name, "rules_agree") == 0;
    const double scale = share ? 100 : 1;
    printf("%-28s %.*f%s", m->name, share ? 1 : 4, scale * m->value, share ? " %" : "");
    if (isfinite(m->stderr_)) {
        printf(" ± %.*f", share ? 1 : 4, scale * m->stderr_);
    }
    if (isnan(m->value)) {
        printf(" (no question is about it)");
    }
    printf("\n");
}

static void print_calibration(const rt_calibration *c)
{
    printf("%-28s %.3f, adaptive %.3f; mean confidence %.1f %%, right %.1f %%", "calibration error", c->ece,
           c->adaptive_ece, 100 * c->confidence, 100 * c->accuracy);
    if (isfinite(c->brier)) {
        printf("; Brier %.3f", c->brier);
    }
    printf("; of the surest half right %.1f %%\n", 100 * c->selective[1]);
    const rt_temperature *t = &c->temperature;
    if (t->n > 0 && !isfinite(t->value)) {
        printf("%-28s none calibrates this model, by %lld questions; calibration error of the other %lld %.3f\n",
               "best temperature", (long long)t->n_fitted, (long long)t->n, t->ece[0]);
    } else if (t->n > 0) {
        printf("%-28s %.2f, fitted on %lld questions; calibration error of the other %lld %.3f, without it %.3f\n",
               "best temperature", t->value, (long long)t->n_fitted, (long long)t->n, t->ece[1], t->ece[0]);
    }
}

static void print_result(const rt_task_result *r)
{
    printf("%s, version %s: %lld questions", r->task, r->version, (long long)r->n);
    if (r->chance > 0) {
        printf(", guessing %.1f %%", 100 * r->chance);
    }
    printf(r->reused > 0 ? ", %lld of them known from before\n" : "\n", (long long)r->reused);
    for (size_t i = 0; i < r->n_metrics; i++) {
        print_metric(&r->metrics[i]);
    }
    if (r->calibration.n > 0) {
        print_calibration(&r->calibration);
    }
}

/* By which an items file knows whose log-likelihoods it holds. */
static rt_status identify(rt_cli *c, const char *path, const rt_model *m, char id[96])
{
    rt_digest digest;
    char hex[65];
    const rt_status st = rt_model_sha256(path, NULL, &digest, &c->err);
    if (st == RT_OK) {
        rt_digest_hex(digest, hex);
        snprintf(id, 96, "%s %s%s %s", hex, rt_dtype_name(m->compute), m->coded ? " coded" : "",
                 rt_isa_name(rt_cpu_get()->isa));
    }
    return st;
}

static rt_status run_task(rt_cli *c, const eval_args *a, const rt_task *task, const rt_model *m, const rt_tokenizer *t)
{
    rt_status st = RT_OK;
    rt_task_result r = {0};
    char id[96] = "";
    const char *path = c->operands.v[0];
    if (a->items != NULL) {
        RT_TRY(identify(c, path, m, id));
    }
    RT_TRY(rt_task_run(
        &r, task, m, t, a->data,
        &(rt_task_options){.limit = a->limit, .items = a->items, .model_id = id, .keep_texts = a->harness != NULL},
        &c->err));
    if (a->harness != NULL) {
        RT_TRY(rt_task_save_harness(&r, a->harness, path, a->limit, &c->err));
    }
    if (c->common.json) {
        json_t *j = rt_task_json(&r);
        rt_cli_print_json(j);
        json_decref(j);
    } else {
        print_result(&r);
    }
out:
    rt_task_result_release(&r);
    return st;
}

/* --- text --------------------------------------------------------------------------------------------------------- */

static rt_status open_teacher(rt_cli *c, const char *path, const rt_tokenizer *t, rt_model **out)
{
    rt_status st = RT_OK;
    rt_tokenizer *own = NULL;
    RT_TRY(rt_tokenizer_open(&own, path, &c->err));
    const int32_t id = rt_tokenizer_first_difference(t, own);
    if (id >= 0) {
        RT_FAIL_OUT(&c->err, RT_INPUT, 0,
                    "'%s' has another tokenizer (token %d differs): distributions over tokens cannot be compared", path,
                    id);
    }
    RT_TRY(rt_cli_open_model(c, path, out));
out:
    rt_tokenizer_close(own);
    return st;
}

static void print_stat(const char *name, const rt_stat *s, const char *unit)
{
    printf("%-24s %.4f", name, s->mean);
    if (isfinite(s->stderr_)) {
        printf(" ± %.4f", s->stderr_);
    }
    printf("%s\n", unit);
}

static void print_fidelity(const rt_fidelity *f)
{
    printf("%lld tokens of %lld documents, %lld clusters\n", (long long)f->positions, (long long)f->documents,
           (long long)f->nll.clusters);
    printf("%-24s %.4g\n", "perplexity", exp(f->nll.mean));
    print_stat("cross-entropy", &f->nll, " nats a token");
    print_calibration(&f->calibration);
    if (f->kl.n > 0) {
        printf("%-24s %.4g\n", "perplexity of teacher", exp(f->teacher_nll.mean));
        print_stat("KL to teacher", &f->kl, " nats a token");
        print_stat("reverse KL", &f->reverse_kl, " nats a token");
        print_stat("top-1 agreement", &f->top1, "");
        print_stat("acceptance", &f->acceptance, "");
    }
}

static void print_speedup(const char *name, const rt_speedup *s, int draft)
{
    if (!isfinite(s->value)) {
        return;
    }
    printf("%-24s %.2f times the target alone: a draft step costs %.2f of its own, verifying %.2f; ", name, s->value,
           s->c, s->v);
    if (s->best == 0) {
        printf("no draft up to %d pays\n", draft);
    } else {
        printf("best are drafts of %d, %.2f times\n", s->best, s->best_value);
    }
}

static void print_drafting(const rt_drafting *d)
{
    printf("drafts of %d, temperature %g: %lld tokens behind %lld texts\n", d->o.draft, d->o.temperature,
           (long long)d->written, (long long)d->prompts);
    for (int i = 0; i < d->o.draft; i++) {
        char name[32];
        snprintf(name, sizeof name, "kept at place %d", i + 1);
        if (isnan(d->alpha[i].mean)) {
            printf("%-24s no token got there\n", name);
        } else {
            print_stat(name, &d->alpha[i], "");
        }
    }
    print_stat("tokens a step", &d->tau, "");
    printf("%-24s %.1f tokens/s, %.1f without drafts: %.2f times\n", "this engine", d->tokens_per_s,
           d->alone_tokens_per_s, d->tokens_per_s / d->alone_tokens_per_s);
    print_speedup("predicted", &d->predicted, d->o.draft);
    print_speedup("bound by bytes read", &d->bound, d->o.draft);
}

static rt_status run_drafts(rt_cli *c, const eval_args *a, const rt_model *teacher, const rt_model *m,
                            const rt_tokenizer *t, const rt_corpus *corpus, rt_drafting d[N_DRAFTS])
{
    rt_status st = RT_OK;
    for (int i = 0; i < N_DRAFTS; i++) {
        RT_TRY(rt_drafting_measure(&d[i], teacher, m, t, corpus,
                                   &(rt_drafting_options){.draft = (int)a->draft,
                                                          .temperature = i == DRAFT_DRAWN,
                                                          .prompts = a->draft_prompts,
                                                          .prompt = DRAFT_PROMPT,
                                                          .text = DRAFT_TEXT,
                                                          .seed = (uint64_t)c->common.seed},
                                   &c->err));
    }
out:
    return st;
}

/* What the model writes after the prompts, ready to be measured. */
static rt_status write_own(rt_cli *c, const eval_args *a, const rt_model *m, const rt_tokenizer *t, rt_corpus *out)
{
    rt_status st = RT_OK;
    rt_corpus prompts = {0};
    rt_written_options own = a->own;
    own.seed = (uint64_t)c->common.seed;
    RT_TRY(rt_corpus_load(&prompts, t,
                          &(rt_corpus_options){.paths = a->prompts.v, .n_paths = a->prompts.n, .chat = true}, &c->err));
    RT_TRY(rt_written_corpus(out, m, t, &prompts, &own, &c->err));
out:
    rt_corpus_release(&prompts);
    return st;
}

static rt_status run_text(rt_cli *c, const eval_args *a, const rt_model *m, const rt_tokenizer *t)
{
    rt_status st = RT_OK;
    rt_model *teacher = NULL;
    rt_corpus corpus = {0};
    rt_heldout *h = NULL;
    rt_fidelity f;
    rt_drafting d[N_DRAFTS];
    const int n_drafts = a->draft > 0 ? N_DRAFTS : 0;
    int64_t sequence = a->sequence > 0 ? a->sequence : m->rope_rows < SEQUENCE ? m->rope_rows : SEQUENCE;
    if (a->prompts.n > 0) {
        RT_TRY(write_own(c, a, m, t, &corpus));
        sequence = rt_corpus_longest(&corpus);
    } else {
        const rt_corpus_options o = {.paths = a->text.v, .n_paths = a->text.n, .max_tokens = a->max_tokens};
        RT_TRY(rt_corpus_load(&corpus, t, &o, &c->err));
    }
    if (a->against != NULL) {
        RT_TRY(open_teacher(c, a->against, t, &teacher));
    }
    RT_TRY(rt_heldout_new(&h, teacher, &corpus, (int)sequence, a->max_tokens, &c->err));
    RT_TRY(rt_heldout_measure(h, m, &f, &c->err));
    if (n_drafts > 0) {
        RT_TRY(run_drafts(c, a, teacher, m, t, &corpus, d));
    }
    if (c->common.json) {
        json_t *j = rt_fidelity_json(&f);
        json_object_set_new(j, "sequence", json_integer(sequence));
        json_t *drafts = n_drafts > 0 ? json_array() : NULL;
        for (int i = 0; i < n_drafts; i++) {
            json_array_append_new(drafts, rt_drafting_json(&d[i]));
        }
        if (drafts != NULL) {
            json_object_set_new(j, "drafts", drafts);
        }
        rt_cli_print_json(j);
        json_decref(j);
    } else {
        print_fidelity(&f);
        for (int i = 0; i < n_drafts; i++) {
            print_drafting(&d[i]);
        }
    }
out:
    rt_heldout_free(h);
    rt_model_close(teacher);
    rt_corpus_release(&corpus);
    return st;
}

static rt_status run_kl_base(rt_cli *c, const char *path, const rt_tokenizer *t)
{
    rt_status st = RT_OK;
    rt_model *m = NULL;
    rt_kl_base *base = NULL;
    rt_kl_base_stats s;
    RT_TRY(rt_kl_base_open(&base, path, &c->err));
    c->span = rt_kl_base_shape_of(base).n_ctx;
    RT_TRY(rt_cli_open_model(c, c->operands.v[0], &m));
    RT_TRY(rt_kl_base_measure(&s, m, t, base, &c->err));
    if (c->common.json) {
        json_t *j = rt_kl_base_json(&s);
        rt_cli_print_json(j);
        json_decref(j);
    } else {
        rt_kl_base_print(stdout, &s);
    }
out:
    rt_model_close(m);
    rt_kl_base_close(base);
    return st;
}

int rt_cmd_eval(int argc, char **argv)
{
    rt_cli c;
    int code;
    eval_args a = {.draft_prompts = 32, .own = {.prompt_tokens = 64, .new_tokens = 128, .temperature = 1}};
    const rt_opt opts[] = {
        {"text", 0, RT_OPT_STRS, &a.text, "FILE...", "held-out text, .jsonl or .txt: perplexity"},
        {"against", 'a', RT_OPT_STR, &a.against, "TEACHER",
         "with --text: KL, top-1 agreement, acceptance beside this model"},
        {"draft", 0, RT_OPT_INT, &a.draft, "K",
         "MODEL drafts K tokens a step for TEACHER: share kept by place, tokens a step, gain"},
        {"draft-prompts", 0, RT_OPT_INT, &a.draft_prompts, "N", "texts continued with drafts (default 32)"},
        {"kl-base", 0, RT_OPT_STR, &a.kl_base, "FILE",
         "logits file: the figures of llama-perplexity --kl-divergence (docs/logits-file.md)"},
        {"prompts", 0, RT_OPT_STRS, &a.prompts, "FILE...",
         "with --against: rows with \"prompt\", \"messages\" or \"text\", which MODEL continues"},
        {"prompt-tokens", 0, RT_OPT_INT, &a.own.prompt_tokens, "N", "prompts: of a text's beginning (default 64)"},
        {"new-tokens", 0, RT_OPT_INT, &a.own.new_tokens, "N", "prompts: written after it at most (default 128)"},
        {"max-prompts", 0, RT_OPT_INT, &a.own.max_prompts, "N", "prompts: the first so many (default: all)"},
        {"temp", 0, RT_OPT_NUM, &a.own.temperature, "T", "prompts: temperature of writing (default 1)"},
        {"sequence", 0, RT_OPT_INT, &a.sequence, "N",
         "tokens a document is cut into (default 512, or the model's context)"},
        {"max-tokens", 0, RT_OPT_INT, &a.max_tokens, "N", "whole documents up to this many tokens (default: all)"},
        {"task", 0, RT_OPT_STR, &a.task, "NAME", "built-in task, e.g. hellaswag, or a description in a .yaml file"},
        {"lm-eval-dir", 0, RT_OPT_OUT, &a.harness, "DIR",
         "write results_*.json and samples_*.jsonl as lm-evaluation-harness does"},
        {"data", 'd', RT_OPT_STR, &a.data, "FILE", "the task's questions, JSON lines"},
        {"limit", 0, RT_OPT_INT, &a.limit, "N", "only the first N questions"},
        {"items", 0, RT_OPT_OUT, &a.items, "OUT.jsonl", "write log-likelihoods and picks of every question"},
        RT_CLI_MEMORY(&c.memory),
        {0},
    };
    if (!rt_cli_begin(
            &c, "eval", argc, argv,
            "eval MODEL (--text FILE... | --prompts FILE... | --task NAME --data FILE | --kl-base FILE) [options]",
            about, opts, 1, 1, "one model is needed", &code)) {
        return code;
    }
    rt_status st = RT_OK;
    rt_model *m = NULL;
    rt_tokenizer *t = NULL;
    rt_task *task = NULL;
    RT_TRY(check_args(&a, &c.err));
    if (a.task != NULL) {
        RT_TRY(rt_task_open(&task, a.task, &c.err));
    }
    RT_TRY(rt_cli_check_model(&c, c.operands.v[0]));
    RT_TRY(rt_tokenizer_open(&t, c.operands.v[0], &c.err));
    if (a.kl_base != NULL) {
        st = run_kl_base(&c, a.kl_base, t);
        goto out;
    }
    c.span = a.sequence;
    RT_TRY(rt_cli_open_model(&c, c.operands.v[0], &m));
    if (a.text.n > 0 || a.prompts.n > 0) {
        RT_TRY(run_text(&c, &a, m, t));
    }
    if (task != NULL) {
        RT_TRY(run_task(&c, &a, task, m, t));
    }
out:
    rt_task_close(task);
    rt_model_close(m);
    rt_tokenizer_close(t);
    return rt_cli_end(&c, st);
}
