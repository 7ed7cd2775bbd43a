/* muon.c - momentum, Newton-Schulz and update of one matrix, each over the whole team. */
#include "train/muon.h"

#include <math.h>
#include <string.h>

#include "tensor/gemm.h"
#include "tensor/kernels.h"

#define TASK_ELEMENTS ((int64_t)64 * 1024)
#define LEAST_NORM 1e-7

/* X <- A X + B (X X^T) X + C (X X^T)^2 X takes every singular value of a matrix of norm 1 near 1 in five steps. */
#define STEPS 5
#define NS_A 3.4445
#define NS_B (-4.7750)
#define NS_C 2.0315

static int64_t n_tasks(int64_t n)
{
    return (n + TASK_ELEMENTS - 1) / TASK_ELEMENTS;
}

bool rt_muon_takes(const rt_param *p)
{
    return rt_param_is_operand(p) && rt_param_decays(p) && !p->frozen;
}

/* --- memory ----------------------------------------------------------------------------------------------------- */

static rt_muon sizes_of(const rt_model *m)
{
    rt_muon mu = {0};
    for (size_t i = 0; i < m->n_params; i++) {
        const rt_param *p = &m->params[i];
        if (rt_muon_takes(p)) {
            int64_t side = p->dims[0] < p->dims[1] ? p->dims[0] : p->dims[1];
            mu.n = p->n > mu.n ? p->n : mu.n;
            mu.side = side > mu.side ? side : mu.side;
        }
    }
    return mu;
}

size_t rt_muon_bytes(const rt_model *m)
{
    const rt_muon mu = sizes_of(m);
    return 2 * (size_t)(mu.n + mu.side * mu.side) * sizeof(float) + (size_t)n_tasks(mu.n) * sizeof(double);
}

rt_status rt_muon_init(rt_muon *mu, const rt_model *m, rt_err *err)
{
    rt_status st = RT_OK;
    *mu = sizes_of(m);
    const size_t n = (size_t)mu->n, square = (size_t)(mu->side * mu->side);
    RT_TRY(RT_NEW(&mu->x, n, "Muon's matrix", err));
    RT_TRY(RT_NEW(&mu->y, n, "Muon's matrix", err));
    RT_TRY(RT_NEW(&mu->gram, square, "Muon's products", err));
    RT_TRY(RT_NEW(&mu->poly, square, "Muon's products", err));
    RT_TRY(RT_NEW(&mu->partial, (size_t)n_tasks(mu->n), "partial sums", err));
out:
    if (st != RT_OK) {
        rt_muon_release(mu);
    }
    return st;
}

void rt_muon_release(rt_muon *mu)
{
    rt_free(mu->x);
    rt_free(mu->y);
    rt_free(mu->gram);
    rt_free(mu->poly);
    rt_free(mu->partial);
    *mu = (rt_muon){0};
}

/* --- by elements ------------------------------------------------------------------------------------------------ */

typedef struct job {
    rt_muon *mu;
    const rt_param *p;
    float *m, *g;
    const rt_muon_rule *rule;
    float factor; /* of scale_task; of the update */
    int64_t n;
} job;

static int64_t task_length(const job *j, int64_t task)
{
    int64_t left = j->n - task * TASK_ELEMENTS;
    return left < TASK_ELEMENTS ? left : TASK_ELEMENTS;
}

/* m <- mu m + (1 - mu) g; x <- (1 - mu) g + mu m, Nesterov's look ahead. */
static void momentum_task(void *arg, int64_t task, int thread)
{
    (void)thread;
    const job *j = arg;
    const rt_kernels *k = rt_kernels_get();
    const int64_t at = task * TASK_ELEMENTS, n = task_length(j, task);
    const float keep = (float)j->rule->momentum, take = (float)((1 - j->rule->momentum) * j->rule->grad_scale);
    float *m = j->m + at, *x = j->mu->x + at;
    k->scale(m, keep, n);
    k->axpy(m, take, j->g + at, n);
    memcpy(x, j->g + at, (size_t)n * sizeof *x);
    k->scale(x, take, n);
    k->axpy(x, keep, m, n);
    j->mu->partial[task] = k->sum_squares(x, n);
}

static void scale_task(void *arg, int64_t task, int thread)
{
    (void)thread;
    const job *j = arg;
    rt_kernels_get()->scale(j->mu->x + task * TASK_ELEMENTS, j->factor, task_length(j, task));
}

static void update_task(void *arg, int64_t task, int thread)
{
    (void)thread;
    const job *j = arg;
    const rt_kernels *k = rt_kernels_get();
    const int64_t at = task * TASK_ELEMENTS, n = task_length(j, task);
    float *w = j->p->w + at;
    k->scale(w, (float)(1 - j->rule->lr * j->rule->weight_decay), n);
    k->axpy(w, j->factor, j->mu->x + at, n);
    if (j->p->wb != NULL) {
        k->f32_to_bf16(j->p->wb + at, w, n);
    }
    memset(j->g + at, 0, (size_t)n * sizeof(float));
}

static void normalise(job *j)
{
    double sum = 0;
    for (int64_t i = 0; i < n_tasks(j->n); i++) {
        sum += j->mu->partial[i];
    }
    j->factor = (float)(1 / fmax(sqrt(sum), LEAST_NORM));
    rt_team_for(n_tasks(j->n), scale_task, j);
}

/* --- Newton-Schulz ---------------------------------------------------------------------------------------------- */

/* poly <- A + B gram + C poly, poly being gram^2 */
static void polynomial(float *poly, const float *gram, int64_t side)
{
    for (int64_t i = 0; i < side * side; i++) {
        poly[i] = (float)NS_C * poly[i] + (float)NS_B * gram[i];
    }
    for (int64_t i = 0; i < side; i++) {
        poly[i * side + i] += (float)NS_A;
    }
}

/* c [m, n] = op(a) op(b) of whole matrices, as rt_gemm has them. */
static void product(float *c, int64_t m, int64_t n, int64_t k, const float *a, bool trans_a, const float *b,
                    bool trans_b)
{
    rt_gemm_run(&(rt_gemm){.m = m,
                           .n = n,
                           .k = k,
                           .type = RT_F32,
                           .a = a,
                           .b = b,
                           .lda = trans_a ? m : k,
                           .ldb = trans_b ? k : n,
                           .trans_a = trans_a,
                           .trans_b = trans_b,
                           .c = c,
                           .ldc = n});
}

/* The squares are of the shorter side: X X^T left of a wide X, X^T X right of a tall one. */
static void orthogonalise(rt_muon *mu, int64_t rows, int64_t cols)
{
    const bool wide = rows <= cols;
    const int64_t side = wide ? rows : cols, other = wide ? cols : rows;
    for (int step = 0; step < STEPS; step++) {
        float *x = mu->x;
        product(mu->gram, side, side, other, x, !wide, x, wide);
        product(mu->poly, side, side, side, mu->gram, false, mu->gram, false);
        polynomial(mu->poly, mu->gram, side);
        product(mu->y, rows, cols, side, wide ? mu->poly : x, false, wide ? x : mu->poly, false);
        mu->x = mu->y;
        mu->y = x;
    }
}

void rt_muon_update(rt_muon *mu, const rt_param *p, float *m, float *g, const rt_muon_rule *rule)
{
    const double larger = (double)(p->dims[0] > p->dims[1] ? p->dims[0] : p->dims[1]);
    job j = {.mu = mu, .p = p, .m = m, .g = g, .rule = rule, .n = p->n};
    rt_team_for(n_tasks(j.n), momentum_task, &j);
    normalise(&j);
    orthogonalise(mu, p->dims[0], p->dims[1]);
    /* an orthogonal matrix has elements of root mean square 1/sqrt(larger side); AdamW's updates have about 0.2 */
    j.factor = (float)(-rule->lr * 0.2 * sqrt(larger));
    rt_team_for(n_tasks(j.n), update_task, &j);
}
