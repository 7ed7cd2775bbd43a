/* Sums of activity: a task is a norm or a layer, its rows in order, so that bits do not depend on threads. */
#include "model/activity.h"

#include <math.h>

#include "model/params.h"
#include "model/rows.h"

bool rt_activity_counts(const rt_model *m, const rt_param *p)
{
    return rt_role_is_norm(p->role) && rt_param_desc(m, p)->shape[0] == RT_DIM_D;
}

int64_t rt_activity_norms(const rt_model *m)
{
    int64_t n = 0;
    for (size_t i = 0; i < m->n_params; i++) {
        n += rt_activity_counts(m, &m->params[i]);
    }
    return n;
}

rt_status rt_activity_new(rt_activity **out, const rt_model *m, rt_err *err)
{
    rt_status st = RT_OK;
    rt_activity *a = NULL;
    const size_t layers = (size_t)m->hp.n_layer, d = (size_t)m->hp.d_model, f = (size_t)m->hp.d_ff;
    RT_TRY(RT_NEW(&a, 1, "activity", err));
    a->m = m;
    RT_TRY(RT_NEW(&a->norm, m->n_params, "list of norms", err));
    for (size_t i = 0; i < m->n_params; i++) {
        if (rt_activity_counts(m, &m->params[i])) {
            a->norm[a->n_norms++] = (int64_t)i;
        }
    }
    RT_TRY(RT_NEW(&a->output, (size_t)a->n_norms * d, "activity of channels", err));
    RT_TRY(RT_NEW(&a->square, (size_t)a->n_norms * d, "activity of channels", err));
    RT_TRY(RT_NEW(&a->ffn, layers * f + 1, "activity of neurons", err));
    RT_TRY(RT_NEW(&a->row, layers * f + 1, "activity of neurons", err));
    RT_TRY(RT_NEW(&a->heads, layers * (size_t)m->hp.n_head_kv, "activity of heads", err));
    *out = a;
    a = NULL;
out:
    rt_activity_free(a);
    return st;
}

void rt_activity_free(rt_activity *a)
{
    if (a == NULL) {
        return;
    }
    rt_free(a->norm);
    rt_free(a->output);
    rt_free(a->square);
    rt_free(a->ffn);
    rt_free(a->row);
    rt_free(a->heads);
    rt_free(a);
}

typedef struct job {
    rt_activity *a;
    const rt_acts *acts;
    const rt_batch *b;
} job;

static const float *norm_input(const rt_acts *acts, const rt_param *p)
{
    switch (p->role) {
    case RT_ROLE_ATTN_NORM: return acts->layers[p->layer].x;
    case RT_ROLE_ATTN_POST_NORM: return acts->layers[p->layer].attn_out;
    case RT_ROLE_FFN_NORM: return acts->layers[p->layer].x_mid;
    case RT_ROLE_FFN_POST_NORM: return acts->layers[p->layer].ffn_out;
    case RT_ROLE_OUTPUT_NORM: return acts->x;
    default: RT_BUG_IF(true);
    }
}

static void add_norm(void *ud, int64_t task, int thread)
{
    (void)thread;
    const job *j = ud;
    const rt_param *p = &j->a->m->params[j->a->norm[task]];
    const int64_t d = j->a->m->hp.d_model;
    const double offset = (double)j->a->m->arch->norm_offset;
    const float *x = norm_input(j->acts, p);
    double *output = j->a->output + task * d, *square = j->a->square + task * d;
    for (int64_t r = 0; r < j->b->n_rows; r++, x += d) {
        double sum = 0;
        for (int64_t i = 0; i < d; i++) {
            sum += (double)x[i] * (double)x[i];
        }
        const double inverse = sum > 0 ? 1.0 / sqrt(sum / (double)d) : 0.0;
        for (int64_t i = 0; i < d; i++) {
            const double n = (double)x[i] * inverse;
            output[i] += fabs(n * ((double)p->w[i] + offset));
            square[i] += n * n;
        }
    }
}

static void add_ffn(const job *j, int64_t l)
{
    const int64_t f = j->a->m->hp.d_ff;
    float *y = j->a->row + l * f;
    double *sum = j->a->ffn + l * f;
    for (int64_t r = 0; r < j->b->n_rows; r++) {
        const float *gate = j->acts->layers[l].gate_up + r * 2 * f;
        rt_kernels_get()->glu(y, RT_F32, f, gate, gate + f, 2 * f, &j->a->m->hp.glu, 1, f);
        for (int64_t i = 0; i < f; i++) {
            sum[i] += fabs((double)y[i]);
        }
    }
}

static void add_heads(const job *j, int64_t l)
{
    const rt_hparams *hp = &j->a->m->hp;
    const int64_t width = hp->n_head / hp->n_head_kv * hp->head_dim;
    const float *o = j->acts->layers[l].o;
    for (int64_t r = 0; r < j->b->n_rows; r++) {
        for (int64_t g = 0; g < hp->n_head_kv; g++, o += width) {
            double square = 0;
            for (int64_t i = 0; i < width; i++) {
                square += (double)o[i] * (double)o[i];
            }
            j->a->heads[l * hp->n_head_kv + g] += sqrt(square);
        }
    }
}

static void add_layer(void *ud, int64_t task, int thread)
{
    (void)thread;
    const job *j = ud;
    const rt_hparams *hp = &j->a->m->hp;
    if (hp->layer_moe[task] == 0) {
        add_ffn(j, task);
    }
    if (hp->layer_mixer[task] == RT_MIXER_ATTENTION) {
        add_heads(j, task);
    }
}

void rt_activity_add(rt_activity *a, const rt_acts *acts, const rt_batch *b)
{
    job j = {a, acts, b};
    RT_BUG_IF(acts->mode != RT_NET_TRAIN);
    rt_team_for(a->n_norms, add_norm, &j);
    rt_team_for(a->m->hp.n_layer, add_layer, &j);
    a->rows += b->n_rows;
}
