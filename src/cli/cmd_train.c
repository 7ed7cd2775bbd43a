/* retort train: a student trained from a cache. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "flow/student.h"
#include "teacher/cache_match.h"
#include "train/trainer.h"

static const char *const about =
    "Trains STUDENT (a folder made by `init`, or any model) on the targets in CACHE. The trained model is\n"
    "RUN/student/model.safetensors; metrics and checkpoints lie beside it. Give either --tokens or\n"
    "--budget. STUDENT must have the tokenizer the cache was collected with. The same command goes on\n"
    "where a killed one was, with the same bits; --replay RUN repeats the schedule another run decided by\n"
    "the clock. --lora trains a low-rank pair beside each matrix and leaves the matrices as they are: the\n"
    "pairs alone go to RUN/adapter in PEFT's layout, the merged model to RUN/student.\n"
    "\n"
    "example:  retort train student --cache cache --tokens 200k -o run";

typedef struct train_args {
    const char *cache, *loss, *out, *teacher, *schedule, *optimizer, *recompute, *lora;
    double loss_temperature;
    bool ignore_memory;
    rt_adapter_options adapter;
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
    if (a->cache == NULL || a->out == NULL) {
        return rt_fail(&c->err, RT_USAGE, 0, "--cache CACHE and -o RUN are needed");
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
    if (a->lora != NULL && rt_adapter_parse(&a->adapter, a->lora, &why) != RT_OK) {
        return rt_fail(&c->err, RT_USAGE, 0, "option '--lora': %s", why.msg);
    }
    a->adapter.seed = (uint64_t)c->common.seed;
    a->o.run_dir = a->out;
    a->o.seed = (uint64_t)c->common.seed;
    a->o.ignore_memory = a->ignore_memory;
    return RT_OK;
}

static bool needs_teacher(const rt_cache *cache, const train_args *a)
{
    return rt_cache_get_header(cache)->kind == RT_CACHE_HIDDEN &&
           (rt_losses_distil(a->o.losses, a->o.n_losses) || rt_losses_compare_states(a->o.losses, a->o.n_losses));
}

static rt_status train(rt_cli *c, train_args *a)
{
    rt_status st = RT_OK;
    rt_model *student = NULL, *teacher = NULL;
    rt_tokenizer *t = NULL;
    rt_cache *cache = NULL;
    rt_source *source = NULL;
    rt_train_result result;
    const char *from = c->operands.v[0];
    const rt_precision p = strcmp(c->common.precision, "f32") == 0 ? RT_PRECISION_F32 : RT_PRECISION_AUTO;
    RT_TRY(prepare(c, a));
    RT_TRY(rt_cli_check_model(c, from));
    RT_TRY(rt_cache_open(&cache, a->cache, &c->err));
    RT_TRY(rt_tokenizer_open(&t, from, &c->err));
    RT_TRY(rt_cache_match_tokenizer(cache, t, from, a->teacher, &c->err));
    RT_TRY(rt_model_open(&student, from, &(rt_model_options){.precision = p, .trainable = a->lora == NULL}, &c->err));
    if (a->lora != NULL) {
        RT_TRY(rt_model_adapt(student, &a->adapter, &c->err));
    }
    if (needs_teacher(cache, a)) {
        if (a->teacher == NULL) {
            RT_FAIL_OUT(&c->err, RT_USAGE, 0, "'%s' holds hidden states: --teacher MODEL is needed for their head",
                        a->cache);
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

int rt_cmd_train(int argc, char **argv)
{
    rt_cli c;
    int code;
    train_args a = {.loss = "forward_kl",
                    .schedule = "wsd",
                    .optimizer = "adamw",
                    .recompute = "auto",
                    .loss_temperature = 1.0,
                    .o = rt_train_default()};
    const rt_opt opts[] = {
        {"cache", 0, RT_OPT_STR, &a.cache, "CACHE", "folder made by `collect`"},
        {"output", 'o', RT_OPT_OUT, &a.out, "RUN", "folder for metrics, checkpoints and the trained student"},
        {"loss", 0, RT_OPT_STR, &a.loss, "LOSS",
         "forward_kl (default), ce, ..., or terms: forward_kl:0.9,ce:0.1 (docs/losses.md)"},
        {"temperature", 0, RT_OPT_NUM, &a.loss_temperature, "T", "of the loss (default 1)"},
        {"teacher", 0, RT_OPT_STR, &a.teacher, "MODEL", "the teacher, for a cache of hidden states"},
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
        {"ignore-memory", 0, RT_OPT_FLAG, &a.ignore_memory, NULL,
         "begin although the prediction exceeds this machine's memory"},
        {0},
    };
    if (!rt_cli_begin(&c, "train", argc, argv,
                      "train STUDENT --cache CACHE (--tokens N | --budget TIME) -o RUN [options]", about, opts, 1, 1,
                      "one student is needed", &code)) {
        return code;
    }
    return rt_cli_end(&c, train(&c, &a));
}
