/* optim.c - clipping to a global norm and AdamW in one pass over memory for update, bf16 copy and zeroing; matrices
 * that are Muon's go one by one after it. */
#include "train/optim.h"

#include <math.h>
#include <string.h>

/* Elements a task: small enough to spread over threads, large enough that the call costs nothing (16 bytes an element).
 */
#define TASK_ELEMENTS (64 * 1024)

struct rt_optim_task {
    const rt_param *p;
    int64_t first, n; /* elements of the parameter */
};

static const char *const names[RT_OPTIM_COUNT] = {[RT_OPTIM_ADAMW] = "adamw", [RT_OPTIM_MUON] = "muon"};

const char *rt_optim_name(rt_optim_kind k)
{
    return names[k];
}

bool rt_optim_from_name(const char *name, rt_optim_kind *out)
{
    for (int k = 0; k < RT_OPTIM_COUNT; k++) {
        if (strcmp(name, names[k]) == 0) {
            *out = (rt_optim_kind)k;
            return true;
        }
    }
    return false;
}

rt_optim_options rt_optim_default(void)
{
    return (rt_optim_options){
        .momentum = 0.95, .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1, .clip = 1};
}

static int64_t count_tasks(const rt_model *m)
{
    int64_t n = 0;
    for (size_t i = 0; i < m->n_params; i++) {
        n += m->params[i].frozen ? 0 : (m->params[i].n + TASK_ELEMENTS - 1) / TASK_ELEMENTS;
    }
    return n;
}

rt_optim_kind rt_optim_of(const rt_optim *o, const rt_param *p)
{
    return o->o.kind == RT_OPTIM_MUON && rt_muon_takes(p) ? RT_OPTIM_MUON : RT_OPTIM_ADAMW;
}

size_t rt_optim_bytes(const rt_model *m, const rt_optim_options *options)
{
    return (options->kind == RT_OPTIM_MUON ? rt_muon_bytes(m) : 0) + 3 * (size_t)m->n_elements * sizeof(float) +
           (size_t)count_tasks(m) * (sizeof(struct rt_optim_task) + sizeof(double));
}

static void lay_grid(rt_optim *o)
{
    int64_t k = 0;
    for (size_t i = 0; i < o->model->n_params; i++) {
        const rt_param *p = &o->model->params[i];
        for (int64_t first = 0; !p->frozen && first < p->n; first += TASK_ELEMENTS) {
            int64_t left = p->n - first;
            o->tasks[k++] = (struct rt_optim_task){p, first, left < TASK_ELEMENTS ? left : TASK_ELEMENTS};
        }
    }
}

rt_status rt_optim_init(rt_optim *o, rt_model *m, const rt_optim_options *options, rt_err *err)
{
    rt_status st = RT_OK;
    size_t bytes;
    *o = (rt_optim){.o = *options, .model = m, .n_tasks = count_tasks(m)};
    if (!m->trainable) {
        RT_FAIL_OUT(err, RT_USAGE, 0, "model '%s' was not opened for training", m->path ? m->path : "student");
    }
    if (!rt_mul_size((size_t)m->n_elements, sizeof(float), &bytes)) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "the model is too large for this machine's addresses");
    }
    RT_TRY(rt_new_big((void **)&o->grads, bytes, "gradients", err));
    RT_TRY(rt_new_big((void **)&o->m, bytes, "first moments", err));
    RT_TRY(rt_new_big((void **)&o->v, bytes, "second moments", err));
    RT_TRY(RT_NEW(&o->tasks, (size_t)o->n_tasks, "optimiser tasks", err));
    RT_TRY(RT_NEW(&o->partial, (size_t)o->n_tasks, "partial sums", err));
    if (options->kind == RT_OPTIM_MUON) {
        RT_TRY(rt_muon_init(&o->muon, m, err));
    }
    lay_grid(o);
out:
    if (st != RT_OK) {
        rt_optim_release(o);
    }
    return st;
}

void rt_optim_release(rt_optim *o)
{
    rt_free(o->grads);
    rt_free(o->m);
    rt_free(o->v);
    rt_free(o->tasks);
    rt_free(o->partial);
    rt_muon_release(&o->muon);
    *o = (rt_optim){0};
}

static void norm_task(void *arg, int64_t task, int thread)
{
    (void)thread;
    rt_optim *o = arg;
    const struct rt_optim_task *t = &o->tasks[task];
    o->partial[task] = rt_kernels_get()->sum_squares(o->grads + t->p->offset + t->first, t->n);
}

double rt_optim_norm(rt_optim *o)
{
    rt_team_for(o->n_tasks, norm_task, o);
    double sum = 0;
    for (int64_t i = 0; i < o->n_tasks; i++) {
        sum += o->partial[i];
    }
    return sqrt(sum + (o->projections != NULL ? rt_projections_squares(o->projections) : 0));
}

typedef struct update_job {
    rt_optim *o;
    rt_adamw decayed, plain;
} update_job;

static void update_task(void *arg, int64_t task, int thread)
{
    (void)thread;
    const update_job *job = arg;
    rt_optim *o = job->o;
    const struct rt_optim_task *t = &o->tasks[task];
    int64_t at = t->p->offset + t->first;
    if (rt_optim_of(o, t->p) == RT_OPTIM_MUON) {
        return;
    }
    const rt_adamw *how = rt_param_decays(t->p) ? &job->decayed : &job->plain;
    uint16_t *wb = t->p->wb ? t->p->wb + t->first : NULL;
    rt_kernels_get()->adamw(t->p->w + t->first, wb, o->m + at, o->v + at, o->grads + at, how, t->n);
    memset(o->grads + at, 0, (size_t)t->n * sizeof(float)); /* still in cache */
}

static void update_matrices(rt_optim *o, double lr, double scale)
{
    const rt_muon_rule rule = {
        .lr = lr, .momentum = o->o.momentum, .weight_decay = o->o.weight_decay, .grad_scale = scale};
    for (size_t i = 0; i < o->model->n_params; i++) {
        const rt_param *p = &o->model->params[i];
        if (rt_optim_of(o, p) == RT_OPTIM_MUON) {
            rt_muon_update(&o->muon, p, o->m + p->offset, o->grads + p->offset, &rule);
        }
    }
}

void rt_optim_update(rt_optim *o, double lr, double norm)
{
    o->t++;
    double scale = o->o.clip > 0 ? fmin(1, o->o.clip / (norm + 1e-6)) : 1;
    update_job job = {.o = o,
                      .plain = {
                          .lr = (float)lr,
                          .beta1 = (float)o->o.beta1,
                          .beta2 = (float)o->o.beta2,
                          .eps = (float)o->o.eps,
                          .bias1 = (float)(1 - pow(o->o.beta1, (double)o->t)),
                          .bias2 = (float)(1 - pow(o->o.beta2, (double)o->t)),
                          .grad_scale = (float)scale,
                      }};
    job.decayed = job.plain;
    job.decayed.weight_decay = (float)o->o.weight_decay;
    rt_team_for(o->n_tasks, update_task, &job);
    update_matrices(o, lr, scale);
    if (o->projections != NULL) {
        rt_projections_update(o->projections, &job.plain);
    }
}
