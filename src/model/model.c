/* Life of a model: made in memory, refreshed, measured, closed. */
#include "model/model.h"

#include <string.h>

#include "model/adapter.h"
#include "model/stream.h"

rt_status rt_model_new(rt_model **out, const rt_arch *arch, const rt_hparams *hp, const rt_model_options *o,
                       rt_err *err)
{
    rt_model_options in_memory = *o;
    in_memory.memory = INT64_MAX; /* there is no file to stream from */
    return rt_params_build(out, arch, hp, &in_memory, err);
}

void rt_model_close(rt_model *m)
{
    if (m == NULL) {
        return;
    }
    rt_stream_free(m->stream);
    rt_adapter_free(m->adapter);
    for (size_t i = 0; i < sizeof m->blocks / sizeof m->blocks[0]; i++) {
        rt_free(m->blocks[i]);
    }
    rt_free(m->rope_cs[0]);
    rt_free(m->rope_cs[1]);
    rt_free(m->hp.rope_divisors);
    rt_free(m->params);
    rt_free(m->layers);
    rt_free(m->path);
    rt_free(m);
}

const rt_param *rt_model_find(const rt_model *m, const char *hf_name)
{
    for (size_t i = 0; i < m->n_params; i++) {
        if (strcmp(m->params[i].name, hf_name) == 0) {
            return &m->params[i];
        }
    }
    return NULL;
}

static void refresh_param(void *ud, int64_t task, int thread)
{
    (void)thread;
    const rt_param *p = &((const rt_model *)ud)->params[task];
    if (p->w != NULL && p->wb != NULL) {
        rt_kernels_get()->f32_to_bf16(p->wb, p->w, p->n);
    }
}

void rt_model_refresh(rt_model *m)
{
    rt_team_for((int64_t)m->n_params, refresh_param, m);
}

size_t rt_model_trainable_bytes(const rt_model *m)
{
    size_t bytes = 0;
    for (size_t i = 0; i < m->n_params; i++) {
        const rt_param *p = &m->params[i];
        bytes += (size_t)p->n * ((p->w != NULL ? sizeof *p->w : 0) + (p->wb != NULL ? sizeof *p->wb : 0));
    }
    return bytes;
}

double rt_model_flops_per_token(const rt_model *m)
{
    double n = 0;
    for (size_t i = 0; i < m->n_params; i++) {
        const rt_param *p = &m->params[i];
        if (p->n_dims != 2 || p == m->embed || p->role == RT_ROLE_ROUTER_TABLE) {
            continue;
        }
        const bool routed = p->expert >= 0;
        n += (double)p->n * (routed ? (double)m->hp.route.n_used / (double)m->hp.route.n_expert : 1.0);
    }
    if (m->output == m->embed) {
        n += (double)m->embed->n;
    }
    return 2.0 * n;
}
