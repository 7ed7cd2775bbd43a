/* The yardstick: every product of a step, in a step's order, shapes and strides, on operands of its own. */
#include "flow/bench_gemm.h"

#include <math.h>
#include <string.h>

#include "model/head.h"
#include "tensor/gemm.h"

typedef struct product {
    rt_param w;    /* one matrix, or neighbours joined */
    int64_t width; /* of a row of the output */
} product;

struct rt_gemm_bench {
    const rt_model *m;
    product *products;
    int64_t n_products; /* of the layers, in order; the head is not among them */
    void *x, *dy;       /* inputs and output gradients, in the model's compute type */
    float *y, *dx;      /* outputs */
    float *dw;          /* one matrix at a time would stay in cache: the flat block, as in a step */
};

static int64_t largest(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

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

/* Parameters from the one at `i` on whose outputs share a row, at most the q, k and v of a layer. */
static int share_row(const rt_model *m, size_t i, const rt_param *w[3])
{
    const rt_param *first = &m->params[i];
    int64_t out = 0;
    int n = 0;
    for (; n < 3 && i + (size_t)n < m->n_params && out < row_width(m, first); n++) {
        const rt_param *p = first + n;
        if (n > 0 && (p->n_dims != 2 || p->layer != first->layer || row_width(m, p) != row_width(m, first))) {
            break;
        }
        w[n] = p;
        out += p->dims[0];
    }
    return n;
}

static rt_status list_products(rt_gemm_bench *b, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_model *m = b->m;
    RT_TRY(RT_NEW(&b->products, m->n_params, "matrix products", err));
    for (size_t i = 0; i < m->n_params; i++) {
        const rt_param *p = &m->params[i];
        if (p->expert >= 0) {
            RT_FAIL_OUT(err, RT_UNSUPPORTED, 0, "the products of a mixture of experts depend on its routing");
        }
        if (p->n_dims != 2 || p == m->embed || p == m->output) {
            continue;
        }
        const rt_param *w[3];
        int used;
        const rt_param all = rt_param_join(w, share_row(m, i, w), &used);
        b->products[b->n_products++] = (product){.w = all, .width = row_width(m, p)};
        i += (size_t)used - 1;
    }
out:
    return st;
}

static product head_product(const rt_model *m)
{
    return (product){.w = *m->output, .width = m->output->dims[0]};
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
    int64_t inputs = RT_HEAD_GRAD_CHUNK * m->hp.d_model, outputs = RT_HEAD_GRAD_CHUNK * m->hp.n_vocab;
    RT_TRY(RT_NEW(&b, 1, "matrix products", err));
    b->m = m;
    RT_TRY(list_products(b, err));
    for (int64_t i = 0; i < b->n_products; i++) {
        inputs = largest(inputs, rows * b->products[i].w.dims[1]);
        outputs = largest(outputs, rows * b->products[i].width);
    }
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
        rt_free(b->products);
        rt_free(b->x);
        rt_free(b->dy);
        rt_free(b->y);
        rt_free(b->dx);
        rt_free(b->dw);
        rt_free(b);
    }
}

static const void *weights(const rt_gemm_bench *b, const product *p)
{
    return b->m->compute == RT_BF16 ? (const void *)p->w.wb : (const void *)p->w.w;
}

static void forward(rt_gemm_bench *b, const product *p, int64_t rows)
{
    rt_gemm_run(&(rt_gemm){.m = rows,
                           .n = p->w.dims[0],
                           .k = p->w.dims[1],
                           .type = b->m->compute,
                           .a = b->x,
                           .lda = p->w.dims[1],
                           .b = weights(b, p),
                           .ldb = p->w.dims[1],
                           .trans_b = true,
                           .c = b->y,
                           .ldc = p->width});
}

static void weight_gradient(rt_gemm_bench *b, const product *p, int64_t rows)
{
    rt_gemm_run(&(rt_gemm){.m = p->w.dims[0],
                           .n = p->w.dims[1],
                           .k = rows,
                           .type = b->m->compute,
                           .a = b->dy,
                           .lda = p->width,
                           .trans_a = true,
                           .b = b->x,
                           .ldb = p->w.dims[1],
                           .c = b->dw + p->w.offset,
                           .ldc = p->w.dims[1],
                           .accumulate = true});
}

static void input_gradient(rt_gemm_bench *b, const product *p, int64_t rows)
{
    rt_gemm_run(&(rt_gemm){.m = rows,
                           .n = p->w.dims[1],
                           .k = p->w.dims[0],
                           .type = b->m->compute,
                           .a = b->dy,
                           .lda = p->width,
                           .b = weights(b, p),
                           .ldb = p->w.dims[1],
                           .c = b->dx,
                           .ldc = p->w.dims[1]});
}

static int64_t piece(int64_t rows, int64_t first, int64_t size)
{
    return rows - first < size ? rows - first : size;
}

double rt_gemm_bench_run(rt_gemm_bench *b, int64_t rows, int64_t micro, int64_t head_rows)
{
    const product head = head_product(b->m);
    const double t0 = rt_now();
    for (int64_t at = 0; at < rows; at += micro) {
        const int64_t n = piece(rows, at, micro);
        for (int64_t i = 0; i < b->n_products; i++) {
            forward(b, &b->products[i], n);
        }
        for (int64_t i = b->n_products; i-- > 0;) {
            weight_gradient(b, &b->products[i], n);
            input_gradient(b, &b->products[i], n);
        }
    }
    for (int64_t at = 0; at < head_rows; at += RT_HEAD_GRAD_CHUNK) {
        const int64_t n = piece(head_rows, at, RT_HEAD_GRAD_CHUNK);
        forward(b, &head, n);
        weight_gradient(b, &head, n);
        input_gradient(b, &head, n);
    }
    return rt_now() - t0;
}

/* --- single shapes ---------------------------------------------------------------------------------------------- */

static double best_rate(rt_gemm_bench *b, const product *p, int64_t rows, int rounds,
                        void (*run)(rt_gemm_bench *, const product *, int64_t))
{
    double best = INFINITY;
    for (int i = 0; i <= rounds; i++) {
        const double t0 = rt_now();
        run(b, p, rows);
        best = fmin(best, rt_now() - t0);
    }
    return 2.0 * (double)rows * (double)p->w.dims[0] * (double)p->w.dims[1] / best;
}

int rt_gemm_bench_rates(rt_gemm_bench *b, int64_t micro, int rounds, rt_bench_product *out, int most)
{
    int n = 0;
    for (int64_t i = 0; i <= b->n_products && n < most; i++) {
        const bool is_head = i == b->n_products;
        const product p = is_head ? head_product(b->m) : b->products[i];
        bool known = false;
        for (int k = 0; k < n; k++) {
            known |= out[k].out == p.w.dims[0] && out[k].in == p.w.dims[1];
        }
        if (known) {
            continue;
        }
        const int64_t rows = is_head ? RT_HEAD_GRAD_CHUNK : micro;
        out[n++] = (rt_bench_product){.type = b->m->compute,
                                      .path = rt_gemm_backend(),
                                      .rows = rows,
                                      .out = p.w.dims[0],
                                      .in = p.w.dims[1],
                                      .forward = best_rate(b, &p, rows, rounds, forward),
                                      .dx = best_rate(b, &p, rows, rounds, input_gradient),
                                      .dw = best_rate(b, &p, rows, rounds, weight_gradient)};
    }
    return n;
}
