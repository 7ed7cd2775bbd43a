/* The yardstick: every product of a step, in a step's order, shapes and strides, on operands of its own. */
#include "flow/bench_gemm.h"

#include <math.h>
#include <string.h>

#include "model/head.h"
#include "tensor/gemm.h"

/* Matrices of one input whose outputs lie side by side are one product where they are neighbours in memory (q, k, v;
 * gate, up), as in model/rows.c. */
typedef struct product {
    const rt_param *first;
    int64_t out, in;
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

/* `p` goes on where the product ends, in its row and in memory. */
static bool joins(const rt_model *m, const product *a, const rt_param *p)
{
    return a->out < a->width && a->first->layer == p->layer && row_width(m, p) == a->width && p->dims[1] == a->in &&
           a->first->offset + a->out * a->in == p->offset;
}

static rt_status list_products(rt_gemm_bench *b, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_model *m = b->m;
    RT_TRY(RT_NEW(&b->products, m->n_params, "matrix products", err));
    for (size_t i = 0; i < m->n_params; i++) {
        const rt_param *p = &m->params[i];
        product *last = b->n_products > 0 ? &b->products[b->n_products - 1] : NULL;
        if (p->expert >= 0) {
            RT_FAIL_OUT(err, RT_UNSUPPORTED, 0, "the products of a mixture of experts depend on its routing");
        }
        if (p->n_dims != 2 || p == m->embed || p == m->output) {
            continue;
        }
        if (last != NULL && joins(m, last, p)) {
            last->out += p->dims[0];
        } else {
            b->products[b->n_products++] =
                (product){.first = p, .out = p->dims[0], .in = p->dims[1], .width = row_width(m, p)};
        }
    }
out:
    return st;
}

static product head_product(const rt_model *m)
{
    return (product){
        .first = m->output, .out = m->output->dims[0], .in = m->output->dims[1], .width = m->output->dims[0]};
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
        inputs = largest(inputs, rows * b->products[i].in);
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
    return b->m->compute == RT_BF16 ? (const void *)p->first->wb : (const void *)p->first->w;
}

static void forward(rt_gemm_bench *b, const product *p, int64_t rows)
{
    rt_gemm_run(&(rt_gemm){.m = rows,
                           .n = p->out,
                           .k = p->in,
                           .type = b->m->compute,
                           .a = b->x,
                           .lda = p->in,
                           .b = weights(b, p),
                           .ldb = p->in,
                           .trans_b = true,
                           .c = b->y,
                           .ldc = p->width});
}

static void weight_gradient(rt_gemm_bench *b, const product *p, int64_t rows)
{
    rt_gemm_run(&(rt_gemm){.m = p->out,
                           .n = p->in,
                           .k = rows,
                           .type = b->m->compute,
                           .a = b->dy,
                           .lda = p->width,
                           .trans_a = true,
                           .b = b->x,
                           .ldb = p->in,
                           .c = b->dw + p->first->offset,
                           .ldc = p->in,
                           .accumulate = true});
}

static void input_gradient(rt_gemm_bench *b, const product *p, int64_t rows)
{
    rt_gemm_run(&(rt_gemm){.m = rows,
                           .n = p->in,
                           .k = p->out,
                           .type = b->m->compute,
                           .a = b->dy,
                           .lda = p->width,
                           .b = weights(b, p),
                           .ldb = p->in,
                           .c = b->dx,
                           .ldc = p->in});
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
    return 2.0 * (double)rows * (double)p->out * (double)p->in / best;
}

int rt_gemm_bench_rates(rt_gemm_bench *b, int64_t micro, int rounds, rt_bench_product *out, int most)
{
    int n = 0;
    for (int64_t i = 0; i <= b->n_products && n < most; i++) {
        const bool is_head = i == b->n_products;
        const product p = is_head ? head_product(b->m) : b->products[i];
        bool known = false;
        for (int k = 0; k < n; k++) {
            known |= out[k].out == p.out && out[k].in == p.in;
        }
        if (known) {
            continue;
        }
        const int64_t rows = is_head ? RT_HEAD_GRAD_CHUNK : micro;
        out[n++] = (rt_bench_product){.type = b->m->compute,
                                      .path = rt_gemm_backend(),
                                      .rows = rows,
                                      .out = p.out,
                                      .in = p.in,
                                      .forward = best_rate(b, &p, rows, rounds, forward),
                                      .dx = best_rate(b, &p, rows, rounds, input_gradient),
                                      .dw = best_rate(b, &p, rows, rounds, weight_gradient)};
    }
    return n;
}
