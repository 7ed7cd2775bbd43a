/* projection.c - memory, first values and update of projections. They are small: one thread does it. */
#include "train/projection.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { BLOCKS = 4 }; /* values, gradient, two moments */

bool rt_projection_needed(const rt_train_loss *l, int64_t d_teacher, int64_t d_student)
{
    return l->state != RT_STATE_NONE && (l->project || d_teacher != d_student);
}

static rt_status make(rt_projection *p, int term, int64_t d_teacher, int64_t d_student, uint64_t seed, rt_err *err)
{
    rt_status st = RT_OK;
    const int64_t n = d_teacher * d_student;
    const float spread = 1.0f / sqrtf((float)d_student);
    *p = (rt_projection){.dims = {d_teacher, d_student}};
    snprintf(p->name, sizeof p->name, "projection.%d", term);
    rt_rng rng = rt_rng_init(seed, p->name, 0);
    RT_TRY(rt_new_big((void **)&p->w, BLOCKS * (size_t)n * sizeof(float), "projection of states", err));
    p->grad = p->w + n;
    p->m = p->grad + n;
    p->v = p->m + n;
    for (int64_t i = 0; i < n; i++) {
        p->w[i] = spread * (float)rt_rng_normal(&rng);
    }
out:
    return st;
}

rt_status rt_projections_init(rt_projections *p, const rt_train_loss *losses, int n, int64_t d_teacher,
                              int64_t d_student, uint64_t seed, rt_err *err)
{
    rt_status st = RT_OK;
    *p = (rt_projections){0};
    for (int i = 0; i < n; i++) {
        if (rt_projection_needed(&losses[i], d_teacher, d_student)) {
            RT_TRY(make(&p->list[p->n++], i, d_teacher, d_student, seed, err));
        }
    }
out:
    if (st != RT_OK) {
        rt_projections_release(p);
    }
    return st;
}

void rt_projections_release(rt_projections *p)
{
    for (int i = 0; i < p->n; i++) {
        rt_free(p->list[i].w);
    }
    *p = (rt_projections){0};
}

size_t rt_projections_bytes(const rt_train_loss *losses, int n, int64_t d_teacher, int64_t d_student)
{
    size_t bytes = 0;
    for (int i = 0; i < n; i++) {
        if (rt_projection_needed(&losses[i], d_teacher, d_student)) {
            bytes += BLOCKS * (size_t)(d_teacher * d_student) * sizeof(float);
        }
    }
    return bytes;
}

double rt_projections_squares(const rt_projections *p)
{
    double sum = 0;
    for (int i = 0; i < p->n; i++) {
        sum += rt_kernels_get()->sum_squares(p->list[i].grad, p->list[i].dims[0] * p->list[i].dims[1]);
    }
    return sum;
}

void rt_projections_update(rt_projections *p, const rt_adamw *rule)
{
    for (int i = 0; i < p->n; i++) {
        rt_projection *one = &p->list[i];
        const int64_t n = one->dims[0] * one->dims[1];
        rt_kernels_get()->adamw(one->w, NULL, one->m, one->v, one->grad, rule, n);
        memset(one->grad, 0, (size_t)n * sizeof(float));
    }
}
