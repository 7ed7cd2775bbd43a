/* gemm.c - cuts a product into tiles of C whose grid depends on the shape alone, and hands them to the team. */
#include "tensor/gemm.h"

#include <stdatomic.h>

#include "tensor/gemm_dnnl.h"
#include "tensor/kernels/tables.h"

static atomic_int_fast64_t multiply_adds;

/* Tiles of `rows` x `columns`; those of the last row and column may be smaller, so there are up to four shapes,
 * numbered 2 * (last row) + (last column). */
typedef struct gemm_job {
    const rt_gemm *g;
    int64_t rows, columns, n_down, n_across;
    bool dnnl;
    rt_dnnl_plan *plans[4];
    rt_gemm_tile_fn portable;
} gemm_job;

static int64_t pieces(int64_t n, int64_t size)
{
    return (n + size - 1) / size;
}

/* Tall tiles reuse what the library packs of B, so rows are cut finer only when the columns alone do not give enough
 * tiles to keep a team busy to the end; pieces are of equal size up to whole vectors. (docs/kernels.md has the rates.)
 */
static void cut(gemm_job *job)
{
    enum { ENOUGH = 8, MOST_COLUMNS = 2048, FEWEST_COLUMNS = 256 };
    static const int64_t heights[] = {512, 256, 128};
    int64_t m = job->g->m, n = job->g->n, down = 1, across = 1;
    for (size_t i = 0; i < sizeof heights / sizeof heights[0]; i++) {
        down = pieces(m, heights[i]);
        across = pieces(n, MOST_COLUMNS);
        while (down * across < ENOUGH && n / (across + 1) >= FEWEST_COLUMNS) {
            across++;
        }
        if (down * across >= ENOUGH) {
            break;
        }
    }
    job->rows = pieces(pieces(m, down), 16) * 16;
    job->columns = pieces(pieces(n, across), 32) * 32;
    job->n_down = pieces(m, job->rows);
    job->n_across = pieces(n, job->columns);
}

static int shape_of(const gemm_job *job, int64_t i, int64_t j)
{
    return 2 * (i == job->n_down - 1) + (j == job->n_across - 1);
}

static rt_gemm tile_at(const gemm_job *job, int64_t i, int64_t j)
{
    rt_gemm t = *job->g;
    int64_t row = i * job->rows, column = j * job->columns;
    size_t size = t.type == RT_BF16 ? sizeof(uint16_t) : sizeof(float);
    t.m = t.m - row < job->rows ? t.m - row : job->rows;
    t.n = t.n - column < job->columns ? t.n - column : job->columns;
    t.a = (const char *)t.a + (size_t)(t.trans_a ? row : row * t.lda) * size;
    t.b = (const char *)t.b + (size_t)(t.trans_b ? column * t.ldb : column) * size;
    t.c += row * t.ldc + column;
    return t;
}

/* Down the columns first: neighbours share B. */
static void run_tile(void *arg, int64_t task, int thread)
{
    const gemm_job *job = arg;
    int64_t i = task % job->n_down, j = task / job->n_down;
    rt_gemm t = tile_at(job, i, j);
    if (!job->dnnl || !rt_dnnl_run(job->plans[shape_of(job, i, j)], &t, thread)) {
        job->portable(&t);
    }
}

static void acquire_plans(gemm_job *job)
{
    for (int64_t down = 0; down < 2 && down < job->n_down; down++) {
        for (int64_t across = 0; across < 2 && across < job->n_across; across++) {
            int64_t i = down ? job->n_down - 1 : 0, j = across ? job->n_across - 1 : 0;
            rt_gemm t = tile_at(job, i, j);
            job->plans[shape_of(job, i, j)] = rt_dnnl_acquire(&t);
        }
    }
}

void rt_gemm_run(const rt_gemm *g)
{
    if (g->m <= 0 || g->n <= 0) {
        return;
    }
    atomic_fetch_add_explicit(&multiply_adds, g->m * g->n * g->k, memory_order_relaxed);
    rt_isa isa = rt_cpu_get()->isa;
    gemm_job job = {.g = g, .portable = rt_kernel_set_at(isa)->gemm_tile};
    /* oneDNN refuses an empty sum, which clears C or leaves it */
    job.dnnl = g->k > 0 && rt_dnnl_serves(isa, g->type);
    cut(&job);
    if (job.dnnl && g->type == RT_BF16) {
        acquire_plans(&job);
    }
    rt_team_for(job.n_down * job.n_across, run_tile, &job);
    for (int i = 0; i < 4; i++) {
        rt_dnnl_release(job.plans[i]);
    }
}

int64_t rt_gemm_n_primitives(void)
{
    return rt_dnnl_n_plans();
}

double rt_gemm_flops(void)
{
    return 2.0 * (double)atomic_load_explicit(&multiply_adds, memory_order_relaxed);
}

const char *rt_gemm_backend(void)
{
    return rt_dnnl_serves(rt_cpu_get()->isa, RT_F32) ? rt_dnnl_name() : "portable";
}
