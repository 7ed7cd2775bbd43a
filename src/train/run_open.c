/* run_open.c - a run from options to buffers: checks, length in steps, memory, and the state an earlier call left. */
#include <math.h>
#include <string.h>

#include "train/run.h"

#define WRITE_SPEED 500e6 /* bytes a second assumed until a checkpoint has been timed */

rt_train_options rt_train_default(void)
{
    return (rt_train_options){
        .losses = {rt_train_loss_of(RT_LOSS_FORWARD_KL, 1)},
        .n_losses = 1,
        .batch_tokens = 4096,
        .schedule = RT_SCHEDULE_WSD,
        .lr = 6e-4,
        .warmup = -1,
        .decay = 0.25,
        .optim = rt_optim_default(),
        .checkpoint_seconds = 120,
    };
}

/* --- checks ----------------------------------------------------------------------------------------------------- */

static rt_status check_length(const rt_train_options *o, rt_err *err)
{
    int given = (o->steps != 0) + (o->tokens != 0) + (o->budget != 0);
    if (o->replay ? given > 0 : given != 1) {
        return rt_fail(err, RT_USAGE, 0, "the length of training is given by one of steps, tokens, budget or replay");
    }
    if (o->steps < 0 || o->tokens < 0 || o->budget < 0 || !isfinite(o->budget)) {
        return rt_fail(err, RT_USAGE, 0, "the length of training must be positive");
    }
    return RT_OK;
}

static rt_status check_range(const char *what, double v, double min, double max, rt_err *err)
{
    if (!(v >= min && v <= max)) {
        return rt_fail(err, RT_USAGE, 0, "'%s' is %g, expected %g to %g", what, v, min, max);
    }
    return RT_OK;
}

static rt_status check_options(const rt_train_options *o, rt_err *err)
{
    const struct {
        const char *name;
        double v, min, max;
    } ranges[] = {
        {"lr", o->lr, 0, 1},
        {"lr_floor", o->lr_floor, 0, 1},
        {"decay", o->decay, 0, 1},
        {"momentum", o->optim.momentum, 0, 0.999999},
        {"beta1", o->optim.beta1, 0, 0.999999},
        {"beta2", o->optim.beta2, 0, 0.9999999},
        {"eps", o->optim.eps, 1e-30, 1},
        {"weight_decay", o->optim.weight_decay, 0, 10},
        {"clip", o->optim.clip, 0, 1e30},
        {"batch_tokens", (double)o->batch_tokens, 1, 1e9},
        {"micro_tokens", (double)o->micro_tokens, 0, 1e9},
        {"warmup", (double)o->warmup, -1, 1e9},
        {"eval_every", (double)o->eval_every, 0, 1e9},
        {"patience", (double)o->patience, 0, 1e9},
        {"checkpoint_steps", (double)o->checkpoint_steps, 0, 1e9},
        {"checkpoint_seconds", o->checkpoint_seconds, 0, 1e9},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        rt_status st = check_range(ranges[i].name, ranges[i].v, ranges[i].min, ranges[i].max, err);
        if (st != RT_OK) {
            return st;
        }
    }
    return check_length(o, err);
}

/* Its labels are the student's own words: to learn them is to learn to repeat oneself. */
static rt_status check_own_text(const rt_run *r, rt_err *err)
{
    const rt_train_options *o = &r->o;
    if (!o->on_policy || rt_on_policy_share(o->on_policy) == 0) {
        return RT_OK;
    }
    if (r->info.kind != RT_SOURCE_DENSE) {
        return rt_fail(err, RT_USAGE, 0, "what the student writes must be judged by a teacher that answers now");
    }
    if (rt_losses_learn_labels(o->losses, o->n_losses)) {
        return rt_fail(err, RT_USAGE, 0,
                       "loss 'ce' would teach the student its own words: on its own text take losses that compare "
                       "with the teacher, e.g. reverse_kl or jsd");
    }
    return RT_OK;
}

/* --- length ----------------------------------------------------------------------------------------------------- */

/* Steps until `tokens` have been seen: batches are walked as the source will form them; `own` is what the student adds
 * to each. */
static int64_t steps_for_tokens(rt_source *source, const rt_source_info *info, int64_t tokens, int64_t batch_tokens,
                                int64_t own)
{
    rt_source_cursor at = {0};
    int64_t steps = 0, seen = 0;
    while (seen < tokens) {
        int64_t batch = rt_source_peek_tokens(source, &at, batch_tokens);
        if (batch + own <= 0) {
            break;
        }
        seen += batch + own;
        steps++;
        for (int64_t left = batch; left > 0;) {
            left -= rt_source_peek_tokens(source, &at, 1);
            if (++at.index == info->n_sequences) {
                at = (rt_source_cursor){at.epoch + 1, 0};
            }
        }
    }
    return steps;
}

static void make_plan(rt_run *r)
{
    const rt_train_options *o = &r->o;
    rt_schedule s = {.kind = o->schedule, .lr = o->lr, .floor = o->lr_floor};
    int64_t total = RT_STEPS_UNKNOWN;
    if (o->steps > 0) {
        total = o->steps;
    } else if (o->tokens > 0) {
        const int64_t corpus = rt_run_corpus_tokens(r);
        total = steps_for_tokens(r->source, &r->info, o->tokens, corpus, o->batch_tokens - corpus);
    }
    rt_plan_init(&r->plan, &s, o->decay, o->warmup, total, o->budget);
}

/* --- memory ----------------------------------------------------------------------------------------------------- */

static const char *const recompute_names[] = {"auto", "none", "layers"};

bool rt_recompute_from_name(const char *name, rt_recompute *out)
{
    for (size_t i = 0; i < sizeof recompute_names / sizeof recompute_names[0]; i++) {
        if (strcmp(name, recompute_names[i]) == 0) {
            *out = (rt_recompute)i;
            return true;
        }
    }
    return false;
}

static rt_step_options step_options(const rt_train_options *o, const rt_source_info *source, const rt_model *teacher)
{
    rt_step_options s = {.n_losses = o->n_losses,
                         .batch_tokens = rt_run_batch_capacity(o, source),
                         .micro_tokens = o->micro_tokens,
                         .recompute = o->recompute == RT_RECOMPUTE_LAYERS,
                         .teacher = teacher,
                         .layer_map = o->layer_map};
    memcpy(s.losses, o->losses, sizeof s.losses);
    return s;
}

static int64_t usual_micro_tokens(const rt_train_options *o)
{
    return o->batch_tokens < RT_STEP_MICRO_TOKENS ? o->batch_tokens : RT_STEP_MICRO_TOKENS;
}

size_t rt_train_bytes(const rt_model *student, const rt_source_info *source, const rt_model *teacher,
                      const rt_train_options *o)
{
    rt_step_options s = step_options(o, source, teacher);
    if (s.micro_tokens == 0) {
        s.micro_tokens = usual_micro_tokens(o);
    }
    const int64_t d_teacher = teacher != NULL ? teacher->hp.d_model : student->hp.d_model;
    return rt_optim_bytes(student, &o->optim) + rt_step_bytes(student, source, &s) +
           rt_projections_bytes(o->losses, o->n_losses, d_teacher, student->hp.d_model) +
           rt_retain_bytes(student, o->retain, &s);
}

size_t rt_run_fit(rt_train_options *o, const rt_model *student, const rt_source_info *source, const rt_model *teacher,
                  int64_t available)
{
    const bool halve = o->micro_tokens == 0, choose = o->recompute == RT_RECOMPUTE_AUTO;
    if (halve) {
        o->micro_tokens = usual_micro_tokens(o);
    }
    if (choose) {
        o->recompute = RT_RECOMPUTE_NONE;
    }
    for (;;) {
        const size_t need = rt_train_bytes(student, source, teacher, o);
        if (available < 0 || need <= (size_t)available) {
            return need;
        }
        if (halve && o->micro_tokens / 2 >= source->sequence) {
            o->micro_tokens /= 2;
        } else if (choose && o->recompute == RT_RECOMPUTE_NONE) {
            o->recompute = RT_RECOMPUTE_LAYERS;
        } else {
            return need;
        }
    }
}

static rt_status fit_memory(rt_run *r, rt_err *err)
{
    const int64_t available = rt_mem_available();
    const size_t need = rt_run_fit(&r->o, r->student, &r->info, r->teacher, available);
    const size_t text = r->info.bytes + (r->o.on_policy ? rt_on_policy_bytes(r->o.on_policy) : 0); /* taken already */
    r->predicted_bytes = need + text + rt_model_trainable_bytes(r->student);
    rt_log(RT_LOG_INFO,
           "training takes %.0f MB: student %.0f, optimiser %.0f, activations of %lld tokens %.0f%s, of an online "
           "teacher and a writing student %.0f",
           (double)r->predicted_bytes / 1e6, (double)rt_model_trainable_bytes(r->student) / 1e6,
           (double)rt_optim_bytes(r->student, &r->o.optim) / 1e6, (long long)r->o.micro_tokens,
           (double)(need - rt_optim_bytes(r->student, &r->o.optim)) / 1e6,
           r->o.recompute == RT_RECOMPUTE_LAYERS ? " (layers run again in the backward pass)" : "", (double)text / 1e6);
    if (available >= 0 && need > (size_t)available && !r->o.ignore_memory) {
        return rt_fail(err, RT_MEMORY, 0,
                       "training needs %.2f GB more memory, the machine has %.2f GB: take %sa smaller student, shorter "
                       "sequences or fewer tokens a step",
                       (double)need / 1e9, (double)available / 1e9,
                       r->o.recompute == RT_RECOMPUTE_NONE ? "recompute: layers, " : "");
    }
    return RT_OK;
}

/* At most four checkpoints lie side by side: two kept, the best, the one being written. */
static rt_status fit_disk(const rt_run *r, rt_err *err)
{
    double need = 4.0 * 3 * (double)r->student->n_elements * sizeof(float);
    int64_t free_bytes = rt_disk_free(r->dir);
    if (free_bytes >= 0 && (double)free_bytes < need) {
        return rt_fail(err, RT_IO, 0, "checkpoints in '%s' need %.2f GB, the disk has %.2f GB free", r->dir, need / 1e9,
                       (double)free_bytes / 1e9);
    }
    return RT_OK;
}

/* --- opening ---------------------------------------------------------------------------------------------------- */

static rt_status make_paths(rt_run *r, rt_err *err)
{
    r->dir = rt_path_join(r->o.run_dir, "checkpoints");
    r->metrics_path = rt_path_join(r->o.run_dir, "metrics.jsonl");
    r->schedule_path = r->dir ? rt_path_join(r->dir, "schedule.json") : NULL;
    if (!r->metrics_path || !r->schedule_path) {
        return rt_fail(err, RT_MEMORY, 0, "no memory for the paths of the run");
    }
    return rt_mkdirs(r->dir, err);
}

static rt_status make_records(rt_run *r, rt_err *err)
{
    r->config = rt_run_config(r);
    r->machine = rt_run_machine(r->student);
    return r->config && r->machine ? RT_OK : rt_fail(err, RT_MEMORY, 0, "no memory for the record of settings");
}

static void start_counts(rt_train_counts *n)
{
    *n = (rt_train_counts){.best_step = -1, .validated_step = -1, .watched_step = -1, .passed_step = -1};
    n->best_kl = n->best_top1 = n->last_kl = n->last_top1 = n->first_loss = n->last_loss = NAN;
}

static rt_status start_afresh(rt_run *r, rt_err *err)
{
    rt_str formula = {0}, text = {0};
    rt_losses_formula(&formula, r->o.losses, r->o.n_losses);
    if (r->o.on_policy) {
        rt_on_policy_describe(r->o.on_policy, &text);
    }
    rt_log(RT_LOG_INFO, "minimises %s%s%s", rt_str_cstr(&formula), text.n ? " on " : "", rt_str_cstr(&text));
    if (rt_losses_compare_layers(r->o.losses, r->o.n_losses) && r->o.layer_map == NULL) {
        rt_log(RT_LOG_INFO, "layers of the student stand beside evenly spaced ones of the teacher: no map was given");
    }
    json_t *header = json_pack("{s:i, s:s, s:s*, s:O, s:O, s:I}", "retort_metrics", 1, "formula", rt_str_cstr(&formula),
                               "text", text.n ? rt_str_cstr(&text) : NULL, "config", r->config, "machine", r->machine,
                               "predicted_bytes", (json_int_t)r->predicted_bytes);
    rt_str_release(&formula);
    rt_str_release(&text);
    if (!header) {
        return rt_fail(err, RT_MEMORY, 0, "no memory for the header of '%s'", r->metrics_path);
    }
    rt_status st = rt_metrics_create(&r->metrics, r->metrics_path, header, err);
    json_decref(header);
    return st;
}

/* A micro-batch size chosen once holds for the whole run: it is part of what the bits depend on. */
static void adopt_micro_tokens(rt_run *r, const rt_prior *p)
{
    if (r->o.micro_tokens == 0) {
        const json_t *config = p->path ? p->c.config : json_object_get(p->schedule, "config");
        r->o.micro_tokens = rt_json_i64(config, "micro_tokens", 0);
    }
}

rt_status rt_run_open(rt_run *r, rt_model *student, rt_source *source, const rt_model *teacher,
                      const rt_train_options *o, rt_err *err)
{
    rt_status st = RT_OK;
    rt_prior prior = {0};
    *r = (rt_run){.student = student, .teacher = teacher, .source = source, .o = *o, .saved_step = -1};
    r->info = *rt_source_get_info(source);
    r->t0 = r->t_checkpoint = rt_now();
    r->cpu0 = rt_cpu_seconds();
    start_counts(&r->n);
    RT_TRY(check_options(o, err));
    RT_TRY(check_own_text(r, err));
    const rt_step_options asked = step_options(o, &r->info, teacher);
    RT_TRY(rt_step_check(student, &r->info, &asked, err));
    RT_TRY(make_paths(r, err));
    RT_TRY(rt_prior_find(&prior, r, err));
    adopt_micro_tokens(r, &prior);
    RT_TRY(fit_memory(r, err));
    if (!prior.own) {
        RT_TRY(fit_disk(r, err));
    }
    RT_TRY(make_records(r, err));
    RT_TRY(rt_prior_check(&prior, r, err));
    if (teacher != NULL) {
        RT_TRY(rt_projections_init(&r->projections, o->losses, o->n_losses, teacher->hp.d_model, student->hp.d_model,
                                   o->seed, err));
    }
    rt_step_options settled = step_options(&r->o, &r->info, teacher);
    settled.projections = &r->projections;
    RT_TRY(rt_step_new(&r->step, student, &r->info, &settled, err));
    if (o->retain != NULL) {
        RT_TRY(rt_retain_new(&r->retain, student, o->retain, &settled, err));
        rt_step_scale(r->step, rt_retain_rest(o->retain));
    }
    RT_TRY(rt_optim_init(&r->optim, student, &r->o.optim, err));
    r->optim.projections = &r->projections;
    r->checkpoint_took = 3.0 * (double)student->n_elements * sizeof(float) / WRITE_SPEED;
    make_plan(r);
    RT_TRY(rt_prior_restore(&prior, r, err));
    if (!prior.path || !prior.own) {
        RT_TRY(start_afresh(r, err));
    }
out:
    rt_prior_release(&prior);
    if (st != RT_OK) {
        rt_run_release(r);
    }
    return st;
}

void rt_run_release(rt_run *r)
{
    rt_step_free(r->step);
    rt_retain_free(r->retain);
    rt_optim_release(&r->optim);
    rt_projections_release(&r->projections);
    rt_metrics_close(&r->metrics);
    json_decref(r->config);
    json_decref(r->machine);
    rt_free(r->dir);
    rt_free(r->schedule_path);
    rt_free(r->metrics_path);
    *r = (rt_run){0};
}

double rt_run_active(const rt_run *r)
{
    return r->active0 + rt_now() - r->t0;
}
