/* run_config.c - the record of settings and hashes a checkpoint is compared by. */
#include <stdio.h>

#include "tensor/gemm.h"
#include "train/run.h"
#include "train/step_layers.h"

static json_t *losses_to_json(const rt_train_options *o)
{
    json_t *list = json_array();
    for (int i = 0; list && i < o->n_losses; i++) {
        const rt_train_loss *l = &o->losses[i];
        json_t *one =
            json_pack("{s:s, s:f, s:f, s:f, s:f}", "name", rt_train_loss_name(l), "weight", l->weight, "temperature",
                      l->loss.temperature, "mix", l->loss.mix, "label_smoothing", l->loss.label_smoothing);
        const bool named = (!l->project || (one && json_object_set_new(one, "project", json_true()) == 0)) &&
                           (!l->layers || (one && json_object_set_new(one, "layers", json_true()) == 0));
        const bool whole = one && named &&
                           (l->over == 0 || (json_object_set_new(one, "to", json_real(l->to)) == 0 &&
                                             json_object_set_new(one, "over", json_integer(l->over)) == 0));
        if (!whole) {
            json_decref(one);
            one = NULL;
        }
        if (!one || json_array_append_new(list, one) != 0) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

/* Of the weights as they are given to the run: another student is not gone on with. */
static void student_hash(const rt_model *m, char hex[17])
{
    uint64_t hash = rt_xxh64(m->weights, (size_t)m->n_elements * sizeof(float));
    for (size_t i = 0; m->adapter != NULL && i < m->n_params; i++) { /* what is frozen lies elsewhere */
        const rt_param *p = &m->params[i];
        const uint64_t own =
            p->w != NULL ? rt_xxh64(p->w, (size_t)p->n * sizeof *p->w) : rt_xxh64(p->wb, (size_t)p->n * sizeof *p->wb);
        hash = rt_xxh64((const uint64_t[]){hash, own}, 2 * sizeof hash);
    }
    snprintf(hex, 17, "%016llx", (unsigned long long)hash);
}

/* {"layer_map": [...]} where there is a term between layers. */
static json_t *map_to_json(const rt_run *r)
{
    const rt_train_options *o = &r->o;
    const int64_t n = r->student->hp.n_layer;
    if (!rt_losses_compare_layers(o->losses, o->n_losses)) {
        return json_object();
    }
    json_t *list = json_array();
    for (int64_t i = 0; list && i < n; i++) {
        const int of = rt_step_layer_of(o->layer_map, i, n, r->teacher->hp.n_layer);
        if (json_array_append_new(list, json_integer(of)) != 0) {
            json_decref(list);
            list = NULL;
        }
    }
    return list ? json_pack("{s:o}", "layer_map", list) : NULL;
}

json_t *rt_run_config(const rt_run *r)
{
    const rt_train_options *o = &r->o;
    char student[17], data[65];
    student_hash(r->student, student);
    rt_digest_hex(r->info.hash, data);
    json_t *losses = losses_to_json(o);
    json_t *j = json_pack(
        "{s:s, s:s, s:I, s:s, s:o, s:I, s:I, s:f, s:I, s:I, s:s, s:f, s:f, s:I, s:f, s:f, s:f, s:f, s:f, "
        "s:f, s:I, s:I, s:I}",
        "data", data, "student", student, "parameters", (json_int_t)r->student->n_elements, "compute",
        rt_dtype_name(r->student->compute), "loss", losses, "steps", (json_int_t)o->steps, "tokens",
        (json_int_t)o->tokens, "budget", o->budget, "batch_tokens", (json_int_t)o->batch_tokens, "micro_tokens",
        (json_int_t)o->micro_tokens, "schedule", rt_schedule_name(o->schedule), "lr", o->lr, "lr_floor", o->lr_floor,
        "warmup", (json_int_t)o->warmup, "decay", o->decay, "beta1", o->optim.beta1, "beta2", o->optim.beta2, "eps",
        o->optim.eps, "weight_decay", o->optim.weight_decay, "clip", o->optim.clip, "seed", (json_int_t)o->seed,
        "eval_every", (json_int_t)o->eval_every, "patience", (json_int_t)o->patience);
    if (j && o->retain != NULL && json_object_set_new(j, "retain", rt_retain_config(o->retain)) != 0) {
        json_decref(j);
        j = NULL;
    }
    json_t *map = map_to_json(r);
    if (j && (!map || json_object_update(j, map) != 0)) {
        json_decref(j);
        j = NULL;
    }
    json_decref(map);
    if (j && o->optim.kind == RT_OPTIM_MUON) {
        json_t *muon =
            json_pack("{s:s, s:f}", "optimizer", rt_optim_name(o->optim.kind), "momentum", o->optim.momentum);
        if (!muon || json_object_update(j, muon) != 0) {
            json_decref(j);
            j = NULL;
        }
        json_decref(muon);
    }
    if (j && o->on_policy && json_object_set_new(j, "on_policy", rt_on_policy_config(o->on_policy)) != 0) {
        json_decref(j);
        j = NULL;
    }
    return j;
}

json_t *rt_run_machine(const rt_model *student)
{
    const rt_cpu *cpu = rt_cpu_get();
    return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "version", rt_version(), "compiler", __VERSION__, "isa",
                     rt_isa_name(cpu->isa), "cpu", cpu->model, "gemm", rt_gemm_backend(), "compute",
                     rt_dtype_name(student->compute));
}
