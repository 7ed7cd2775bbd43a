/* Hyper-connections held to a manifold (Zhu et al. 2024, Xie et al. 2025): the residual is n parallel streams. A block
 * reads a weighted sum of them; its output is spread over them while they are mixed by a doubly stochastic matrix. All
 * weights come from the streams themselves, row by row. */
#include "model/blocks.h"

#include <math.h>
#include <string.h>

typedef struct hyper_job {
    const rt_model *m;
    const float *x;               /* [N, n, D] */
    float *y;                     /* [N, D] in, or the streams out */
    float *mix;                   /* [N, n + n n]: weights of the output, mixing matrix [from][to] */
    const rt_param *const *param; /* function, base, scale */
    const float *out;             /* [N, D] the block's output */
    int64_t n_rows;
} hyper_job;

/* count weights z = base + scale (function . x), x with unit mean square, from number `first` on. */
static void weights(const hyper_job *j, const float *x, int64_t first, int64_t count, float scale, float *z)
{
    const rt_kernels *k = rt_kernels_get();
    const int64_t width = j->m->hp.hyper.n * j->m->hp.d_model;
    const double mean = k->sum_squares(x, width) / (double)width;
    const float unit = (float)(1.0 / sqrt(mean + j->m->hp.norm_eps));
    for (int64_t i = 0; i < count; i++) {
        z[i] = k->dot(j->param[0]->w + (first + i) * width, x, width) * unit * scale + j->param[1]->w[first + i];
    }
}

/* y = sum of the streams, each weighed by sigmoid(z) + eps. */
static void read_streams(const hyper_job *j, int64_t row)
{
    const rt_hyper *h = &j->m->hp.hyper;
    const int64_t d = j->m->hp.d_model;
    const float *x = j->x + row * h->n * d;
    float z[RT_MAX_STREAMS], *y = j->y + row * d;
    weights(j, x, 0, h->n, j->param[2]->w[0], z);
    memset(y, 0, (size_t)d * sizeof *y);
    for (int64_t s = 0; s < h->n; s++) {
        rt_kernels_get()->axpy(y, rt_sigmoid(z[s]) + (float)h->eps, x + s * d, d);
    }
}

/* Divides rows (or columns) of the n x n matrix by their sums. */
static void normalise(float *c, int64_t n, bool rows, float eps)
{
    const int64_t along = rows ? 1 : n, across = rows ? n : 1;
    for (int64_t i = 0; i < n; i++) {
        float sum = eps;
        for (int64_t k = 0; k < n; k++) {
            sum += c[i * across + k * along];
        }
        for (int64_t k = 0; k < n; k++) {
            c[i * across + k * along] /= sum;
        }
    }
}

/* Towards a doubly stochastic matrix (Sinkhorn & Knopp 1967), a fixed number of rounds. */
static void balance(float *c, const rt_hyper *h)
{
    const rt_kernels *k = rt_kernels_get();
    const float eps = (float)h->eps;
    for (int64_t i = 0; i < h->n; i++) {
        float *row = c + i * h->n;
        k->softmax_scale(row, h->n, 1.0f, k->logsumexp(row, h->n, 1.0f, NULL), 1.0f);
    }
    for (int64_t i = 0; i < h->n * h->n; i++) {
        c[i] += eps;
    }
    normalise(c, h->n, false, eps);
    for (int64_t t = 1; t < h->iterations; t++) {
        normalise(c, h->n, true, eps);
        normalise(c, h->n, false, eps);
    }
}

static void enter_rows(void *ud, int64_t task, int thread)
{
    (void)thread;
    const hyper_job *j = ud;
    const rt_hyper *h = &j->m->hp.hyper;
    const int64_t row0 = task * RT_ROW_BLOCK, end = row0 + RT_ROW_BLOCK < j->n_rows ? row0 + RT_ROW_BLOCK : j->n_rows;
    for (int64_t i = row0; i < end; i++) {
        const float *x = j->x + i * h->n * j->m->hp.d_model, *scale = j->param[2]->w;
        float *out = j->mix + i * (h->n + h->n * h->n), *matrix = out + h->n;
        read_streams(j, i);
        weights(j, x, h->n, h->n, scale[1], out);
        for (int64_t s = 0; s < h->n; s++) {
            out[s] = 2.0f * rt_sigmoid(out[s]);
        }
        weights(j, x, 2 * h->n, h->n * h->n, scale[2], matrix);
        balance(matrix, h);
    }
}

const float *rt_hyper_enter(const rt_block_run *r, rt_role function, const float *x_in)
{
    const hyper_job j = {.m = r->m,
                         .x = x_in,
                         .y = r->a->hyper_in,
                         .mix = r->a->hyper_mix,
                         .param = r->layer->p + function,
                         .n_rows = r->b->n_rows};
    rt_team_for((j.n_rows + RT_ROW_BLOCK - 1) / RT_ROW_BLOCK, enter_rows, (void *)&j);
    return r->a->hyper_in;
}

/* Columns of a row taken together, so that the streams may be changed in place. */
#define COLUMNS 64

static void leave_rows(void *ud, int64_t task, int thread)
{
    (void)thread;
    const hyper_job *j = ud;
    const rt_kernels *k = rt_kernels_get();
    const int64_t n = j->m->hp.hyper.n, d = j->m->hp.d_model;
    const int64_t row0 = task * RT_ROW_BLOCK, end = row0 + RT_ROW_BLOCK < j->n_rows ? row0 + RT_ROW_BLOCK : j->n_rows;
    float old[RT_MAX_STREAMS * COLUMNS];
    for (int64_t i = row0; i < end; i++) {
        const float *mix = j->mix + i * (n + n * n), *matrix = mix + n;
        for (int64_t c = 0; c < d; c += COLUMNS) {
            const int64_t w = d - c < COLUMNS ? d - c : COLUMNS;
            for (int64_t s = 0; s < n; s++) {
                memcpy(old + s * COLUMNS, j->x + (i * n + s) * d + c, (size_t)w * sizeof *old);
            }
            for (int64_t s = 0; s < n; s++) {
                float *y = j->y + (i * n + s) * d + c;
                memcpy(y, j->out + i * d + c, (size_t)w * sizeof *y);
                k->scale(y, mix[s], w);
                for (int64_t from = 0; from < n; from++) {
                    k->axpy(y, matrix[from * n + s], old + from * COLUMNS, w);
                }
            }
        }
    }
}

void rt_hyper_leave(const rt_block_run *r, const float *out, float *x_out)
{
    const hyper_job j = {
        .m = r->m, .x = r->stream, .y = x_out, .mix = r->a->hyper_mix, .out = out, .n_rows = r->b->n_rows};
    rt_team_for((j.n_rows + RT_ROW_BLOCK - 1) / RT_ROW_BLOCK, leave_rows, (void *)&j);
}

static void end_rows(void *ud, int64_t task, int thread)
{
    (void)thread;
    const hyper_job *j = ud;
    const int64_t row0 = task * RT_ROW_BLOCK, end = row0 + RT_ROW_BLOCK < j->n_rows ? row0 + RT_ROW_BLOCK : j->n_rows;
    for (int64_t i = row0; i < end; i++) {
        read_streams(j, i);
    }
}

void rt_hyper_end(const rt_model *m, const float *x, int64_t n_rows, float *y)
{
    const hyper_job j = {.m = m, .x = x, .y = y, .param = m->top.p + RT_ROLE_HYPER_END_FN, .n_rows = n_rows};
    rt_team_for((n_rows + RT_ROW_BLOCK - 1) / RT_ROW_BLOCK, end_rows, (void *)&j);
}
