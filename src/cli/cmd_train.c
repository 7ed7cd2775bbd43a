/* retort train: a student trained from a cache, or beside its teacher on texts and on what it writes itself. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "flow/online.h"
#include "flow/student.h"
#include "teacher/cache_match.h"
#include "train/trainer.h"

static const char *const about =
    "Trains STUDENT (a folder made by `init`, or any model) on the targets in CACHE. The trained model is\n"
    "RUN/student/model.safetensors; metrics and checkpoints lie beside it. One of --tokens, --steps,\n"
    "--budget, --replay says how long; --replay RUN repeats the schedule another run decided by the clock.\n"
    "STUDENT must have the tokenizer the cache was collected with. The same command goes on where a\n"
    "killed one was, with the same bits. --lora trains a low-rank pair beside each matrix and leaves the\n"
    "matrices as they are: the pairs alone go to RUN/adapter in PEFT's layout, the merged model to\n"
    "RUN/student.\n"
    "\n"
    "Without a cache --teacher answers while STUDENT trains, on --text and, with --on-policy, on what\n"
    "STUDENT writes itself: continuations of --prompts, or of the texts' beginnings (docs/on-policy.md).\n"
    "The licence gate is asked first, and what the teacher scored enters RUN/ledger.jsonl.\n"
    "\n"
    "example:  retort train student --cache cache --tokens 200k -o run\n"
    "example:  retort train run/student --teacher teacher.gguf --text books.jsonl --on-policy 0.5 \\\n"
    "          --loss jsd --lr 1e-4 --tokens 20k -o run2";

typedef struct train_args {
    const char *cache, *loss, *out, *teacher, *schedule, *optimizer, *recompute, *lora, *template, *accept, *reason,
        *grant, *map;
    int layer_map[RT_MAX_LAYERS], n_mapped;
    rt_opt_list text, prompts;
    double loss_temperature, fraction;
    int64_t sequence;
    bool ignore_memory;
    rt_adapter_options adapter;
    rt_on_policy_options own;
    rt_train_options o;
} train_args;

static void print_result(const rt_cli *c, const train_args *a, const rt_train_result *r)
{
    if (c->common.json) {
        json_t *j = json_pack("{s:s, s:I, s:I, s:f, s:f, s:f, s:f, s:s, s:b, s:b}", "run", a->out, "steps",
                              (json_int_t)r->counts.step, "tokens", (json_int_t)r->counts.tokens, "seconds",
                              r->counts.active, "first_loss", r->counts.first_loss, "last_loss", r->counts.last_loss,
                              "tokens_per_s", r->tokens_per_s, "stopped", r->counts.stopped, "resumed", (int)r->resumed,
                              "comparable", (int)r->comparable);
        rt_cli_print_json(j);
        json_decref(j);
        return;
    }
    printf("%s: %lld steps, %lld tokens, loss %.4f -> %.4f, %.0f tokens/s (%s)\n", a->out, (long long)r->counts.step,
           (long long)r->counts.tokens, r->counts.first_loss, r->counts.last_loss, r->tokens_per_s, r->counts.stopped);
}

static rt_status prepare(rt_cli *c, train_args *a)
{
    rt_err why;
    const bool online = a->text.n > 0 || a->fraction != 0;
    if (a->out == NULL || (a->cache == NULL && !online)) {
        return rt_fail(&c->err, RT_USAGE, 0,
                       "-o RUN is needed, and --cache CACHE, or --teacher MODEL with --text FILE or --on-policy");
    }
    if (a->prompts.n > 0 && a->fraction == 0) {
        return rt_fail(&c->err, RT_USAGE, 0,
                       "--prompts are for the student to continue: say with --on-policy how much");
    }
    if (online && (a->cache != NULL || a->teacher == NULL)) {
        return rt_fail(&c->err, RT_USAGE, 0,
                       "--text, --on-policy and --prompts go with --teacher MODEL, and without --cache: a cache holds "
                       "the texts it is about");
    }
    if (rt_losses_parse(a->o.losses, &a->o.n_losses, a->loss, a->loss_temperature, &why) != RT_OK) {
        return rt_fail(&c->err, RT_USAGE, 0, "option '--loss': %s", why.msg);
    }
    if (!rt_schedule_from_name(a->schedule, &a->o.schedule)) {
        return rt_fail(&c->err, RT_USAGE, 0, "option '--schedule': '%s' is not one of wsd, cosine, linear",
                       a->schedule);
    }
    if (!rt_optim_from_name(a->optimizer, &a->o.optim.kind)) {
        return rt_fail(&c->err, RT_USAGE, 0, "option '--optimizer': '%s' is not one of adamw, muon", a->optimizer);
    }
    if (!rt_recompute_from_name(a->recompute, &a->o.recompute)) {
        return rt_fail(&c->err, RT_USAGE, 0, "option '--recompute': '%s' is not one of auto, none, layers",
                       a->recompute);
    }
    if ((a->o.tokens > 0) + (a->o.steps > 0) + (a->o.budget > 0) + (a->o.replay != NULL) != 1) {
        return rt_fail(&c->err, RT_USAGE, 0, "one of --tokens, --steps, --budget, --replay says how long to train");
    }
    if (a->cache != NULL && a->sequence > 0) {
        return rt_fail(&c->err, RT_USAGE, 0, "--sequence cuts --text: '%s' was cut when it was collected", a->cache);
    }
    if (a->map != NULL && !rt_losses_compare_layers(a->o.losses, a->o.n_losses)) {
        return rt_fail(
            &c->err, RT_USAGE, 0,
            "--layer-map says nothing about this loss: give a term between layers, as hidden_cosine:layers=1");
    }
    if (a->map != NULL) {
        const rt_status st = rt_cli_layers("--layer-map", a->map, a->layer_map, &a->n_mapped, &c->err);
        if (st != RT_OK) {
            return st;
        }
    }
    a->o.layer_map = a->map != NULL ? a->layer_map : NULL;
    if (a->lora != NULL && rt_adapter_parse(&a->adapter, a->lora, &why) != RT_OK) {
        return rt_fail(&c->err, RT_USAGE, 0, "option '--lora': %s", why.msg);
    }
    a->adapter.seed = (uint64_t)c->common.seed;
    a->o.run_dir = a->out;
    a->o.seed = (uint64_t)c->common.seed;
    a->o.ignore_memory = a->ignore_memory;
    return RT_OK;
}

/* Why the teacher's weights are needed beside the cache; NULL: they are not. */
static const char *needs_teacher(const rt_cache *cache, const train_args *a)
{
    const rt_train_options *o = &a->o;
    if (rt_losses_compare_layers(o->losses, o->n_losses)) {
        return "a loss between layers (layers=1) runs it beside the student";
    }
    const bool head = rt_losses_distil(o->losses, o->n_losses) || rt_losses_compare_states(o->losses, o->n_losses);
    return head && rt_cache_get_header(cache)->kind == RT_CACHE_HIDDEN ? "the cache holds states for its head" : NULL;
}

static rt_precision precision_of(const rt_cli *c)
{
    return strcmp(c->common.precision, "f32") == 0 ? RT_PRECISION_F32 : RT_PRECISION_AUTO;
}

static rt_status open_student(rt_cli *c, const train_args *a, rt_model **out)
{
    const rt_model_options o = {.precision = precision_of(c), .trainable = a->lora == NULL};
    const rt_status st = rt_model_open(out, c->operands.v[0], &o, &c->err);
    if (st == RT_OK && a->map != NULL && a->n_mapped != (*out)->hp.n_layer) {
        return rt_fail(&c->err, RT_USAGE, 0, "option '--layer-map' names %d layers, '%s' has %lld", a->n_mapped,
                       c->operands.v[0], (long long)(*out)->hp.n_layer);
    }
    return st == RT_OK && a->lora != NULL ? rt_model_adapt(*out, &a->adapter, &c->err) : st;
}

/* The teacher answers while the student trains. */
static rt_status train_online(rt_cli *c, train_args *a)
{
    rt_status st = RT_OK;
    const char *from = c->operands.v[0];
    rt_online online = {0};
    rt_model *student = NULL;
    rt_tokenizer *t = NULL;
    rt_train_result result;
    a->own.fraction = a->fraction;
    const rt_online_ask ask = {.teacher = a->teacher,
                               .student = from,
                               .run = a->out,
                               .accept = a->accept,
                               .reason = a->reason,
                               .grant = a->grant,
                               .texts = a->text.v,
                               .n_texts = a->text.n,
                               .prompts = a->prompts.v,
                               .n_prompts = a->prompts.n,
                               .sequence = a->sequence,
                               .precision = precision_of(c),
                               .on_policy = a->fraction > 0,
                               .own = a->own};
    RT_TRY(rt_on_policy_check(&a->own, &c->err));
    RT_TRY(rt_tokenizer_open(&t, from, &c->err));
    if (a->template != NULL) {
        RT_TRY(rt_chat_set_form(t, a->template, &c->err));
    }
    RT_TRY(open_student(c, a, &student));
    RT_TRY(rt_online_open(&online, &ask, student, t, &a->o, &c->err));
    RT_TRY(rt_train_run(student, online.source, online.teacher, &a->o, &result, &c->err));
    RT_TRY(rt_student_save_trained(student, t, from, &online.speaker, a->out, &c->err));
    print_result(c, a, &result);
out:
    rt_online_close(&online);
    rt_tokenizer_close(t);
    rt_model_close(student);
    return st;
}

static rt_status train_from_cache(rt_cli *c, train_args *a)
{
    rt_status st = RT_OK;
    rt_model *student = NULL, *teacher = NULL;
    rt_tokenizer *t = NULL;
    rt_cache *cache = NULL;
    rt_source *source = NULL;
    rt_train_result result;
    const char *from = c->operands.v[0];
    const rt_precision p = precision_of(c);
    RT_TRY(rt_cache_open(&cache, a->cache, &c->err));
    RT_TRY(rt_tokenizer_open(&t, from, &c->err));
    RT_TRY(rt_cache_match_tokenizer(cache, t, from, a->teacher, &c->err));
    RT_TRY(open_student(c, a, &student));
    const char *why = needs_teacher(cache, a);
    if (why != NULL) {
        if (a->teacher == NULL) {
            RT_FAIL_OUT(&c->err, RT_USAGE, 0, "--teacher MODEL is needed beside '%s': %s", a->cache, why);
        }
        RT_TRY(rt_cache_match_teacher(cache, a->teacher, &c->err));
        RT_TRY(rt_model_open(&teacher, a->teacher, &(rt_model_options){.precision = p}, &c->err));
    }
    RT_TRY(rt_source_from_cache(
        &source, cache, &(rt_source_options){.seed = a->o.seed, .max_batch_tokens = a->o.batch_tokens}, &c->err));
    RT_TRY(rt_train_run(student, source, teacher, &a->o, &result, &c->err));
    RT_TRY(rt_student_save_trained(student, t, from, rt_cache_get_header(cache), a->out, &c->err));
    print_result(c, a, &result);
out:
    rt_source_close(source);
    rt_cache_close(cache);
    rt_tokenizer_close(t);
    rt_model_close(teacher);
    rt_model_close(student);
    return st;
}

static rt_status train(rt_cli *c, train_args *a)
{
    rt_status st = prepare(c, a);
    if (st == RT_OK) {
        st = rt_cli_check_model(c, c->operands.v[0]);
    }
    if (st != RT_OK) {
        return st;
    }
    return a->cache != NULL ? train_from_cache(c, a) : train_online(c, a);
}

int rt_cmd_train(int argc, char **argv)
{
    rt_cli c;
    int code;
    train_args a = {.loss = "forward_kl",
                    .schedule = "wsd",
                    .optimizer = "adamw",
                    .recompute = "auto",
                    .loss_temperature = 1.0,
                    .own = rt_on_policy_default(),
                    .o = rt_train_default()};
    const rt_opt opts[] = {
        {"cache", 0, RT_OPT_STR, &a.cache, "CACHE", "folder made by `collect`"},
        {"output", 'o', RT_OPT_OUT, &a.out, "RUN", "folder for metrics, checkpoints and the trained student"},
        {"loss", 0, RT_OPT_STR, &a.loss, "LOSS",
         "forward_kl (default), ce, ..., or terms: forward_kl:0.9,ce:0.1 (docs/losses.md)"},
        {"temperature", 0, RT_OPT_NUM, &a.loss_temperature, "T", "of the loss (default 1)"},
        {"teacher", 0, RT_OPT_STR, &a.teacher, "MODEL",
         "the teacher: for --text, a cache of hidden states, or a loss between layers"},
        {"layer-map", 0, RT_OPT_STR, &a.map, "0,1,4,...",
         "loss between layers: the teacher's beside each of STUDENT's (default: evenly)"},
        {"text", 0, RT_OPT_STRS, &a.text, "FILE...", "documents on which --teacher answers now, .jsonl or .txt"},
        {"sequence", 0, RT_OPT_INT, &a.sequence, "T", "longest sequence of --text (default 512, or the context)"},
        {"on-policy", 0, RT_OPT_NUM, &a.fraction, "SHARE", "of a step's tokens that the student writes (default 0)"},
        {"prompts", 0, RT_OPT_STRS, &a.prompts, "FILE...",
         "on-policy: rows to continue (default: the texts' beginnings)"},
        {"template", 0, RT_OPT_STR, &a.template, "NAME", "form of the turns of conversations, as for retort generate"},
        {"prompt-tokens", 0, RT_OPT_INT, &a.own.prompt_tokens, "N", "on-policy: of a text's beginning (default 64)"},
        {"new-tokens", 0, RT_OPT_INT, &a.own.new_tokens, "N", "on-policy: written after it at most (default 128)"},
        {"temp", 0, RT_OPT_NUM, &a.own.temperature, "T", "on-policy: temperature of writing (default 1)"},
        {"top-p", 0, RT_OPT_NUM, &a.own.top_p, "P", "on-policy: draw among the fewest with this share (default: all)"},
        {"refresh", 0, RT_OPT_INT, &a.own.refresh, "STEPS", "on-policy: steps a text is used (default 1)"},
        {"budget", 0, RT_OPT_DURATION, &a.o.budget, "TIME", "train so long, e.g. 5m; counted over restarts"},
        {"tokens", 0, RT_OPT_INT, &a.o.tokens, "N", "train on so many tokens"},
        {"steps", 0, RT_OPT_INT, &a.o.steps, "N", "train for so many steps"},
        {"replay", 0, RT_OPT_STR, &a.o.replay, "RUN", "repeat the schedule of another run"},
        {"from", 0, RT_OPT_STR, &a.o.from, "CKPT", "go on from this checkpoint"},
        {"batch-tokens", 0, RT_OPT_INT, &a.o.batch_tokens, "N", "tokens a step (default 4096)"},
        {"lr", 0, RT_OPT_NUM, &a.o.lr, "LR", "peak learning rate (default 6e-4)"},
        {"optimizer", 0, RT_OPT_STR, &a.optimizer, "NAME", "adamw (default), or muon for the matrices inside"},
        {"lora", 0, RT_OPT_STR, &a.lora, "SPEC", "adapt instead: rank=16,alpha=32[,targets=q,k,v,o,gate,up,down]"},
        {"schedule", 0, RT_OPT_STR, &a.schedule, "NAME", "wsd (default), cosine, linear"},
        {"warmup", 0, RT_OPT_INT, &a.o.warmup, "STEPS", "default: 2 % of the run, at least 50 steps, at most a tenth"},
        {"decay", 0, RT_OPT_NUM, &a.o.decay, "SHARE", "wsd: share of the run that falls (default 0.25)"},
        {"checkpoint-steps", 0, RT_OPT_INT, &a.o.checkpoint_steps, "N", "steps between checkpoints (default: by time)"},
        {"recompute", 0, RT_OPT_STR, &a.recompute, "WHAT",
         "layers (run again going back: less memory), none, auto (default: if short)"},
        {"accept-licence", 0, RT_OPT_STR, &a.accept, "ID",
         "accept the duties of this licence; recorded in RUN/decisions.jsonl"},
        {"reason", 0, RT_OPT_STR, &a.reason, "TEXT", "why, where the licence's terms are unknown"},
        {"grant", 0, RT_OPT_STR, &a.grant, "FILE", "written grant of the rights holder"},
        {"ignore-memory", 0, RT_OPT_FLAG, &a.ignore_memory, NULL,
         "begin although the prediction exceeds this machine's memory"},
        {0},
    };
    if (!rt_cli_begin(&c, "train", argc, argv,
                      "train STUDENT (--cache CACHE | --teacher MODEL --text FILE...) --tokens N -o RUN [options]",
                      about, opts, 1, 1, "one student is needed", &code)) {
        return code;
    }
    return rt_cli_end(&c, train(&c, &a));
}
