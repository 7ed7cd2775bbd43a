/* step_states.c - a chunk of states: map forward, rows of the losses, map backward. Products are f32 in the fixed grid
 * of all products, so the bits do not depend on threads. */
#include "train/step_states.h"

#include <string.h>

#include "tensor/gemm.h"

rt_status rt_step_states_init(rt_step_states *s, const rt_train_loss *losses, int n, bool layers,
                              rt_projections *projections, int64_t d, int64_t d_teacher, rt_err *err)
{
    rt_status st = RT_OK;
    int used = 0, states = 0;
    *s = (rt_step_states){.layers = layers, .share = 1, .d = d, .d_teacher = d_teacher};
    for (int i = 0; i < n; i++) {
        if (losses[i].state == RT_STATE_NONE) {
            continue;
        }
        const bool needed = rt_projection_needed(&losses[i], d_teacher, d);
        RT_BUG_IF(needed && (projections == NULL || used == projections->n));
        rt_projection *map = needed ? &projections->list[used++] : NULL;
        if (losses[i].layers == layers) {
            s->first = s->first || states == 0;
            s->projections[s->n_losses] = map;
            s->losses[s->n_losses++] = losses[i];
        }
        states++;
    }
    const size_t size = (size_t)(RT_HEAD_GRAD_CHUNK * d_teacher);
    RT_TRY(RT_NEW(&s->mapped, size, "mapped states", err));
    RT_TRY(RT_NEW(&s->dmapped, size, "gradients of mapped states", err));
out:
    return st;
}

void rt_step_states_release(rt_step_states *s)
{
    rt_free(s->mapped);
    rt_free(s->dmapped);
    s->mapped = s->dmapped = NULL;
}

size_t rt_step_states_bytes(int64_t d_teacher)
{
    return 2 * (size_t)(RT_HEAD_GRAD_CHUNK * d_teacher) * sizeof(float);
}

typedef struct rows_job {
    const rt_step_rows *rows;
    const rt_head_states *chunk;
    const rt_train_loss *loss;
    const float *mapped; /* [n, d_teacher] */
    float *dmapped;
    int64_t d_teacher;
    double share;
    bool keeps; /* rows keep the value */
} rows_job;

static void visit_row(void *ud, int64_t i, int thread)
{
    (void)thread;
    const rows_job *j = ud;
    const rt_train_loss *l = j->loss;
    rt_row_value *v = &j->rows->values[j->rows->first + j->chunk->index0 + i];
    float *dy = j->dmapped + i * j->d_teacher;
    if (!v->counted) {
        memset(dy, 0, (size_t)j->d_teacher * sizeof *dy);
        return;
    }
    const double value = rt_state_loss_row(l->state, j->mapped + i * j->d_teacher, j->chunk->teacher + i * j->d_teacher,
                                           j->d_teacher, (float)(j->share * l->weight * j->rows->weight), dy);
    v->loss += j->share * l->weight * value;
    if (j->keeps) {
        v->state += j->share * value;
    }
}

/* mapped = hidden W^T */
static void map(const rt_step_states *s, const rt_projection *p, const rt_head_states *c)
{
    rt_gemm_run(&(rt_gemm){.m = c->n,
                           .n = s->d_teacher,
                           .k = s->d,
                           .type = RT_F32,
                           .a = c->hidden,
                           .lda = s->d,
                           .b = p->w,
                           .ldb = s->d,
                           .trans_b = true,
                           .c = s->mapped,
                           .ldc = s->d_teacher});
}

/* dhidden += dmapped W, dW += dmapped^T hidden */
static void map_backward(const rt_step_states *s, const rt_projection *p, const rt_head_states *c)
{
    rt_gemm_run(&(rt_gemm){.m = c->n,
                           .n = s->d,
                           .k = s->d_teacher,
                           .type = RT_F32,
                           .a = s->dmapped,
                           .lda = s->d_teacher,
                           .b = p->w,
                           .ldb = s->d,
                           .c = c->dhidden,
                           .ldc = s->d,
                           .accumulate = true});
    rt_gemm_run(&(rt_gemm){.m = s->d_teacher,
                           .n = s->d,
                           .k = c->n,
                           .type = RT_F32,
                           .a = s->dmapped,
                           .lda = s->d_teacher,
                           .trans_a = true,
                           .b = c->hidden,
                           .ldb = s->d,
                           .c = p->grad,
                           .ldc = s->d,
                           .accumulate = true});
}

void rt_step_compare_states(const rt_step_states *s, const rt_step_rows *rows, const rt_head_states *chunk)
{
    for (int i = 0; i < s->n_losses; i++) {
        const rt_projection *p = s->projections[i];
        rows_job job = {.rows = rows,
                        .chunk = chunk,
                        .loss = &s->losses[i],
                        .mapped = p != NULL ? s->mapped : chunk->hidden,
                        .dmapped = s->dmapped,
                        .d_teacher = s->d_teacher,
                        .share = s->share,
                        .keeps = s->first && i == 0};
        if (p != NULL) {
            map(s, p, chunk);
        }
        rt_team_for(chunk->n, visit_row, &job);
        if (p != NULL) {
            map_backward(s, p, chunk);
        } else {
            rt_kernels_get()->add(chunk->dhidden, s->dmapped, chunk->n * s->d);
        }
    }
}

void rt_step_visit_states(void *ud, const rt_head_states *chunk)
{
    const rt_step_rows *rows = ud;
    rt_step_compare_states(rows->states, rows, chunk);
}
