/* Life of a model: made in memory, cut from another, refreshed, closed. */
#include "model/model.h"

#include <string.h>

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
    return (size_t)m->n_elements * (sizeof(float) + (m->compute == RT_BF16 ? sizeof(uint16_t) : 0));
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

rt_status rt_model_cut(rt_model **out, const rt_model *teacher, const int *keep, int n_keep, const rt_model_options *o,
                       rt_err *err)
{
    rt_status st = RT_OK;
    rt_model *m = NULL;
    rt_hparams hp = teacher->hp;
    RT_BUG_IF(!o->trainable); /* the copy goes through f32 masters */
    if (n_keep < 1 || n_keep > teacher->hp.n_layer) {
        RT_FAIL_OUT(err, RT_USAGE, 0, "cannot keep %d of %lld layers", n_keep, (long long)teacher->hp.n_layer);
    }
    for (int i = 0; i < n_keep; i++) {
        if (keep[i] < 0 || keep[i] >= teacher->hp.n_layer || (i > 0 && keep[i] <= keep[i - 1])) {
            RT_FAIL_OUT(err, RT_USAGE, 0, "keep-list entry %d is layer %d: layers must ascend within 0..%lld", i,
                        keep[i], (long long)teacher->hp.n_layer - 1);
        }
        hp.layer_moe[i] = teacher->hp.layer_moe[keep[i]];
        hp.layer_mixer[i] = teacher->hp.layer_mixer[keep[i]];
        hp.layer_hashed[i] = teacher->hp.layer_hashed[keep[i]];
        hp.layer_sliding[i] = teacher->hp.layer_sliding[keep[i]];
    }
    hp.n_layer = n_keep;
    hp.rope_divisors = NULL;
    if (teacher->hp.rope_divisors != NULL) {
        RT_TRY(RT_NEW(&hp.rope_divisors, (size_t)(hp.n_rot / 2), "rotary divisors", err));
        memcpy(hp.rope_divisors, teacher->hp.rope_divisors, (size_t)(hp.n_rot / 2) * sizeof(float));
    }
    RT_TRY(rt_params_build(&m, teacher->arch, &hp, o, err));
    hp.rope_divisors = NULL;
    for (size_t i = 0, j = 0; i < m->n_params; i++, j++) {
        rt_param *p = &m->params[i];
        const int wanted = p->layer < 0 ? -1 : keep[p->layer];
        while (teacher->params[j].layer != wanted || teacher->params[j].role != p->role ||
               teacher->params[j].expert != p->expert) {
            j++; /* both lists have one order, the teacher's has more layers */
            RT_BUG_IF(j >= teacher->n_params);
        }
        if (teacher->stream != NULL) {
            rt_stream_param(teacher, &teacher->params[j]);
        }
        rt_param_read(&teacher->params[j], p->w);
        p->frozen = teacher->params[j].frozen;
    }
    rt_model_refresh(m);
    *out = m;
    m = NULL;
out:
    rt_free(hp.rope_divisors);
    rt_model_close(m);
    return st;
}
