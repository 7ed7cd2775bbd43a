/* The yardstick: every product of a step, in a step's order, shapes and strides, on operands of its own. */
#include "flow/bench_gemm.h"

#include <string.h>

#include "tensor/gemm.h"

/* Rows of a chunk of the head sweep with gradients (model/head.c). */
enum { HEAD_CHUNK = 256 };

struct rt_gemm_bench {
    const rt_model *m;
    void *x, *dy;  /* inputs and output gradients, in the model's compute type */
    float *y, *dx; /* outputs */
    float *dw;     /* one matrix at a time would stay in cache: the flat block, as in a step */
};

static int64_t largest(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Products whose outputs lie side by side in one row: q, k, v and gate, up. */
static int64_t row_width(const rt_model *m, const rt_param *p)
{
    switch (p->role) {
    case RT_ROLE_ATTN_Q:
    case RT_ROLE_ATTN_K:
    case RT_ROLE_ATTN_V: return (m->hp.n_head + 2 * m->hp.n_head_kv) * m->hp.head_dim;
    case RT_ROLE_FFN_GATE:
    case RT_ROLE_FFN_UP: return 2 * m->hp.d_ff;
    default: return p->dims[0];
    }
}

/* Small values without structure: zeros would be multiplied faster than a step's numbers are. */
static void fill(void *p, rt_dtype t, int64_t n)
{
    rt_rng rng = rt_rng_init(1, "gemm bench", 0);
    float block[1024];
    for (size_t i = 0; i < sizeof block / sizeof block[0]; i++) {
        block[i] = (float)rt_rng_normal(&rng);
    }
    for (int64_t i = 0; i < n; i += 1024) {
        const int64_t k = n - i < 1024 ? n - i : 1024;
        if (t == RT_BF16) {
            rt_kernels_get()->f32_to_bf16((uint16_t *)p + i, block, k);
        } else {
            memcpy((float *)p + i, block, (size_t)k * sizeof(float));
        }
    }
}

rt_status rt_gemm_bench_new(rt_gemm_bench **out, const rt_model *m, int64_t rows, rt_err *err)
{
    rt_status st = RT_OK;
    rt_gemm_bench *b = NULL;
    const int64_t size = rt_dtype_block_bytes(m->compute);
    int64_t in = 0, width = 0;
    for (size_t i = 0; i < m->n_params; i++) {
        const rt_param *p = &m->params[i];
        if (p->expert >= 0) {
            RT_FAIL_OUT(err, RT_UNSUPPORTED, 0, "the products of a mixture of experts depend on its routing");
        }
        if (p->n_dims == 2 && p != m->embed && p != m->output) {
            in = largest(in, p->dims[1]);
            width = largest(width, row_width(m, p));
        }
    }
    const int64_t inputs = largest(rows * in, HEAD_CHUNK * m->hp.d_model),
                  outputs = largest(rows * width, HEAD_CHUNK * m->hp.n_vocab);
    RT_TRY(RT_NEW(&b, 1, "matrix products", err));
    b->m = m;
    RT_TRY(rt_new_big(&b->x, (size_t)(inputs * size), "matrix products", err));
    RT_TRY(rt_new_big(&b->dy, (size_t)(outputs * size), "matrix products", err));
    RT_TRY(rt_new_big((void **)&b->y, (size_t)outputs * sizeof(float), "matrix products", err));
    RT_TRY(rt_new_big((void **)&b->dx, (size_t)inputs * sizeof(float), "matrix products", err));
    RT_TRY(rt_new_big((void **)&b->dw, (size_t)m->n_elements * sizeof(float), "matrix products", err));
    fill(b->x, m->compute, inputs);
    fill(b->dy, m->compute, outputs);
    *out = b;
    b = NULL;
out:
    rt_gemm_bench_free(b);
    return st;
}

void rt_gemm_bench_free(rt_gemm_bench *b)
{
    if (b != NULL) {
        rt_free(b->x);
        rt_free(b->dy);
        rt_free(b->y);
        rt_free(b->dx);
        rt_free(b->dw);
        rt_free(b);
    }
}

static const void *weights(const rt_gemm_bench *b, const rt_param *p)
{
    return b->m->compute == RT_BF16 ? (const void *)p->wb : (const void *)p->w;
}

static void forward(rt_gemm_bench *b, const rt_param *p, int64_t rows, int64_t width)
{
    rt_gemm_run(&(rt_gemm){.m = rows,
                           .n = p->dims[0],
                           .k = p->dims[1],
                           .type = b->m->compute,
                           .a = b->x,
                           .lda = p->dims[1],
                           .b = weights(b, p),
                           .ldb = p->dims[1],
                           .trans_b = true,
                           .c = b->y,
                           .ldc = width});
}

static void backward(rt_gemm_bench *b, const rt_param *p, int64_t rows, int64_t width)
{
    rt_gemm_run(&(rt_gemm){.m = p->dims[0],
                           .n = p->dims[1],
                           .k = rows,
                           .type = b->m->compute,
                           .a = b->dy,
                           .lda = width,
                           .trans_a = true,
                           .b = b->x,
                           .ldb = p->dims[1],
                           .c = b->dw + p->offset,
                           .ldc = p->dims[1],
                           .accumulate = true});
    rt_gemm_run(&(rt_gemm){.m = rows,
                           .n = p->dims[1],
                           .k = p->dims[0],
                           .type = b->m->compute,
                           .a = b->dy,
                           .lda = width,
                           .b = weights(b, p),
                           .ldb = p->dims[1],
                           .c = b->dx,
                           .ldc = p->dims[1]});
}

static bool in_layers(const rt_model *m, const rt_param *p)
{
    return p->n_dims == 2 && p != m->embed && p != m->output;
}

double rt_gemm_bench_run(rt_gemm_bench *b, int64_t rows, int64_t head_rows)
{
    const rt_model *m = b->m;
    const double t0 = rt_now();
    for (size_t i = 0; i < m->n_params; i++) {
        if (in_layers(m, &m->params[i])) {
            forward(b, &m->params[i], rows, row_width(m, &m->params[i]));
        }
    }
    for (int64_t first = 0; first < head_rows; first += HEAD_CHUNK) {
        const int64_t n = head_rows - first < HEAD_CHUNK ? head_rows - first : HEAD_CHUNK;
        forward(b, m->output, n, m->hp.n_vocab);
        backward(b, m->output, n, m->hp.n_vocab);
    }
    for (size_t i = m->n_params; i-- > 0;) {
        if (in_layers(m, &m->params[i])) {
            backward(b, &m->params[i], rows, row_width(m, &m->params[i]));
        }
    }
    return rt_now() - t0;
}
