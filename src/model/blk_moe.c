/* Mixture-of-experts feed-forward block: softmax router over all experts, top-k, optional renormalisation (Qwen3-MoE).
 * (row, choice) pairs are sorted by expert into slots, so each expert is one set of products over its slots. */
#include "model/blocks.h"

#include <math.h>
#include <string.h>

typedef struct moe_shape {
    int64_t n, d, e, k, i; /* rows, width, experts, experts used, expert width */
} moe_shape;

static moe_shape shape_of(const rt_block_run *r)
{
    const rt_hparams *hp = &r->m->hp;
    return (moe_shape){r->b->n_rows, hp->d_model, hp->n_expert, hp->n_expert_used, hp->d_expert};
}

/* Softmax over all experts in place, then the k largest (first of equals) by descending probability. */
static void choose(float *p, const moe_shape *s, bool normalise, int32_t *expert, float *weight)
{
    const rt_kernels *kr = rt_kernels_get();
    kr->softmax_scale(p, s->e, 1.0f, kr->logsumexp(p, s->e, 1.0f, NULL), 1.0f);
    float sum = 0.0f;
    for (int64_t j = 0; j < s->k; j++) {
        int32_t best = -1;
        for (int32_t e = 0; e < s->e; e++) {
            bool taken = false;
            for (int64_t i = 0; i < j; i++) {
                taken |= expert[i] == e;
            }
            if (!taken && (best < 0 || p[e] > p[best])) {
                best = e;
            }
        }
        expert[j] = best;
        weight[j] = p[best];
        sum += p[best];
    }
    for (int64_t j = 0; normalise && j < s->k; j++) {
        weight[j] /= sum;
    }
}

/* Counting sort of (row, choice) by expert; rows ascend within an expert. */
static void assign_slots(rt_moe_acts *a, const moe_shape *s)
{
    memset(a->first, 0, (size_t)(s->e + 1) * sizeof *a->first);
    for (int64_t c = 0; c < s->n * s->k; c++) {
        a->first[a->expert[c] + 1]++;
    }
    for (int64_t e = 0; e < s->e; e++) {
        a->first[e + 1] += a->first[e];
    }
    for (int64_t c = 0; c < s->n * s->k; c++) {
        const int32_t slot = a->first[a->expert[c]]++;
        a->slot[c] = slot;
        a->slot_row[slot] = (int32_t)(c / s->k);
    }
    for (int64_t e = s->e; e > 0; e--) { /* undo the advance of the pass above */
        a->first[e] = a->first[e - 1];
    }
    a->first[0] = 0;
}

static void gather_rows(const rt_block_run *r, const moe_shape *s)
{
    const size_t row_bytes = (size_t)s->d * (size_t)rt_dtype_block_bytes(r->a->type);
    for (int64_t t = 0; t < s->n * s->k; t++) {
        memcpy((char *)r->a->moe_op_d + (size_t)t * row_bytes,
               (const char *)r->a->op_d + (size_t)r->la->moe.slot_row[t] * row_bytes, row_bytes);
    }
}

/* Parameter of expert e with this role: gate, up, down of an expert follow each other. */
static const rt_param *expert_param(const rt_block_run *r, rt_role role, int64_t e)
{
    return r->layer->p[role] + 3 * e;
}

/* Normed input of the block as operand, and the router's view of it in f32. */
static void route(const rt_block_run *r, const float *x_in, const moe_shape *s)
{
    rt_moe_acts *a = &r->la->moe;
    rt_rows_norm(r->a->f_d, RT_F32, x_in, r->layer->p[RT_ROLE_FFN_NORM], r->m, s->n);
    rt_linear(a->logits, s->e, r->a->f_d, RT_F32, s->d, r->layer->p[RT_ROLE_ROUTER], s->n, r->a->mode);
    for (int64_t i = 0; i < s->n; i++) {
        float *p = r->a->moe_dlogits + i * s->e;
        memcpy(p, a->logits + i * s->e, (size_t)s->e * sizeof(float));
        choose(p, s, r->m->hp.norm_topk, a->expert + i * s->k, a->weight + i * s->k);
    }
    assign_slots(a, s);
}

void rt_moe_forward(const rt_block_run *r, const float *x_in, float *x_out)
{
    rt_acts *a = r->a;
    rt_moe_acts *moe = &r->la->moe;
    const moe_shape s = shape_of(r);
    const rt_dtype t = a->type;
    route(r, x_in, &s);
    rt_rows_norm(a->op_d, t, x_in, r->layer->p[RT_ROLE_FFN_NORM], r->m, s.n);
    gather_rows(r, &s);
    for (int64_t e = 0; e < s.e; e++) {
        const int64_t s0 = moe->first[e], n = moe->first[e + 1] - s0;
        if (n == 0) {
            continue;
        }
        float *gate_up = moe->gate_up + s0 * 2 * s.i;
        const void *x = rt_operand_at(a->moe_op_d, t, s0 * s.d);
        void *mid = rt_operand_at(a->moe_op_i, t, s0 * s.i);
        rt_linear(gate_up, 2 * s.i, x, t, s.d, expert_param(r, RT_ROLE_EXPERT_GATE, e), n, a->mode);
        rt_linear(gate_up + s.i, 2 * s.i, x, t, s.d, expert_param(r, RT_ROLE_EXPERT_UP, e), n, a->mode);
        rt_rows_glu(mid, t, gate_up, r->m->arch->act, n, s.i);
        rt_linear(moe->out + s0 * s.d, s.d, mid, t, s.i, expert_param(r, RT_ROLE_EXPERT_DOWN, e), n, a->mode);
    }
    memset(a->f_d, 0, (size_t)(s.n * s.d) * sizeof(float));
    for (int64_t c = 0; c < s.n * s.k; c++) {
        rt_kernels_get()->axpy(a->f_d + c / s.k * s.d, moe->weight[c], moe->out + moe->slot[c] * s.d, s.d);
    }
    rt_block_residual(r, RT_ROLE_FFN_POST_NORM, r->la->ffn_out, a->f_d, x_in, x_out);
}

/* Gradient of the router's logits of one row, given dw = d loss / d weight of each choice. p: softmax over all experts.
 */
static void router_gradient(float *p, const moe_shape *s, bool normalise, const int32_t *expert, const float *weight,
                            float *dw)
{
    float sum = 0.0f, dot = 0.0f;
    for (int64_t j = 0; j < s->k; j++) {
        sum += p[expert[j]];
        dot += dw[j] * weight[j];
    }
    float total = 0.0f;
    for (int64_t j = 0; j < s->k; j++) {
        if (normalise) { /* w = p / sum: dp = (dw - sum_i dw_i w_i) / sum */
            dw[j] = (dw[j] - dot) / sum;
        }
        total += dw[j] * p[expert[j]];
    }
    for (int64_t e = 0; e < s->e; e++) {
        float dp = 0.0f;
        for (int64_t j = 0; j < s->k; j++) {
            dp += expert[j] == e ? dw[j] : 0.0f;
        }
        p[e] *= dp - total;
    }
}

static void route_backward(const rt_block_run *r, const moe_shape *s, const float *dy)
{
    const rt_kernels *kr = rt_kernels_get();
    const rt_moe_acts *moe = &r->la->moe;
    float dw[RT_MAX_EXPERTS_USED];
    for (int64_t i = 0; i < s->n; i++) {
        float *p = r->a->moe_dlogits + i * s->e;
        memcpy(p, moe->logits + i * s->e, (size_t)s->e * sizeof(float));
        kr->softmax_scale(p, s->e, 1.0f, kr->logsumexp(p, s->e, 1.0f, NULL), 1.0f);
        for (int64_t j = 0; j < s->k; j++) {
            dw[j] = kr->dot(dy + i * s->d, moe->out + moe->slot[i * s->k + j] * s->d, s->d);
        }
        router_gradient(p, s, r->m->hp.norm_topk, moe->expert + i * s->k, moe->weight + i * s->k, dw);
    }
}

/* Gradients of expert e; moe_f_d gets those of its gathered inputs. dout: operand [S, D]. */
static void expert_backward(const rt_block_run *r, const moe_shape *s, int64_t e, const void *dout_all)
{
    rt_acts *a = r->a;
    const rt_moe_acts *moe = &r->la->moe;
    const rt_dtype t = a->type;
    const int64_t s0 = moe->first[e], n = moe->first[e + 1] - s0;
    if (n == 0) {
        return;
    }
    const float *gate_up = moe->gate_up + s0 * 2 * s->i;
    const void *dout = rt_operand_at((void *)dout_all, t, s0 * s->d), *x = rt_operand_at(a->moe_op_d, t, s0 * s->d);
    void *mid = rt_operand_at(a->moe_op_i, t, s0 * s->i), *dgate = rt_operand_at(a->moe_op_2i, t, s0 * 2 * s->i);
    void *dup = rt_operand_at(dgate, t, s->i);
    float *dmid = a->moe_f_i + s0 * s->i, *dx = a->moe_f_d + s0 * s->d;
    const rt_param *gate = expert_param(r, RT_ROLE_EXPERT_GATE, e), *up = expert_param(r, RT_ROLE_EXPERT_UP, e);
    const rt_param *down = expert_param(r, RT_ROLE_EXPERT_DOWN, e);
    rt_rows_glu(mid, t, gate_up, r->m->arch->act, n, s->i);
    rt_linear_dw(r->grads, dout, t, s->d, mid, s->i, down, n);
    rt_linear_dx(dmid, false, dout, t, s->d, down, n);
    rt_rows_glu_backward(dgate, t, dmid, gate_up, r->m->arch->act, n, s->i);
    rt_linear_dw(r->grads, dgate, t, 2 * s->i, x, s->d, gate, n);
    rt_linear_dw(r->grads, dup, t, 2 * s->i, x, s->d, up, n);
    rt_linear_dx(dx, false, dgate, t, 2 * s->i, gate, n);
    rt_linear_dx(dx, true, dup, t, 2 * s->i, up, n);
}

void rt_moe_backward(const rt_block_run *r, const float *x_in, float *dx)
{
    rt_acts *a = r->a;
    const rt_kernels *kr = rt_kernels_get();
    const rt_moe_acts *moe = &r->la->moe;
    const moe_shape s = shape_of(r);
    const rt_param *norm = r->layer->p[RT_ROLE_FFN_NORM], *router = r->layer->p[RT_ROLE_ROUTER];
    const float *dy = rt_block_residual_backward(r, RT_ROLE_FFN_POST_NORM, r->la->ffn_out, dx);
    route_backward(r, &s, dy);
    for (int64_t c = 0; c < s.n * s.k; c++) { /* moe->out has served: it becomes the gradient of the experts' outputs */
        float *dout = moe->out + moe->slot[c] * s.d;
        memcpy(dout, dy + c / s.k * s.d, (size_t)s.d * sizeof(float));
        kr->scale(dout, moe->weight[c], s.d);
    }
    rt_rows_norm(a->op_d, a->type, x_in, norm, r->m, s.n);
    gather_rows(r, &s);
    const void *dout = rt_rows_operand(moe->out, a->moe_op_dy, a->type, s.n * s.k * s.d);
    for (int64_t e = 0; e < s.e; e++) {
        expert_backward(r, &s, e, dout);
    }
    memset(a->f_d, 0, (size_t)(s.n * s.d) * sizeof(float));
    for (int64_t c = 0; c < s.n * s.k; c++) {
        kr->add(a->f_d + c / s.k * s.d, a->moe_f_d + moe->slot[c] * s.d, s.d);
    }
    float *normed = a->moe_f_d; /* at least [N, D], free again */
    rt_rows_norm(normed, RT_F32, x_in, norm, r->m, s.n);
    rt_linear_dw(r->grads, a->moe_dlogits, RT_F32, s.e, normed, s.d, router, s.n);
    rt_linear_dx(a->f_d, true, a->moe_dlogits, RT_F32, s.e, router, s.n);
    rt_rows_norm_backward(dx, r->grads, a->f_d, x_in, norm, r->m, s.n, a->partial);
}
