/* Mixture-of-experts feed-forward block: a router (tensor/route.h), experts of which each row uses a few, and in some
 * architectures a dense unit beside them for every row. (row, choice) pairs are sorted by expert into slots, so each
 * expert is one set of products over its slots. */
#include "model/blocks.h"
#include "model/stream.h"

#include <string.h>

typedef struct moe_shape {
    int64_t n, d, e, k, i; /* rows, width, experts, experts used, expert width */
} moe_shape;

static moe_shape shape_of(const rt_block_run *r)
{
    const rt_hparams *hp = &r->m->hp;
    return (moe_shape){r->b->n_rows, hp->d_model, hp->route.n_expert, hp->route.n_used, hp->d_expert};
}

/* --- routing: one task a block of rows ------------------------------------------------------------------------- */

typedef struct route_job {
    const rt_block_run *r;
    const float *dy; /* backward */
} route_job;

/* The rows of a task; *end past the last. */
static int64_t first_row(const moe_shape *s, int64_t task, int64_t *end)
{
    const int64_t row0 = task * RT_ROW_BLOCK;
    *end = row0 + RT_ROW_BLOCK < s->n ? row0 + RT_ROW_BLOCK : s->n;
    return row0;
}

static void route_rows(void *ud, int64_t task, int thread)
{
    (void)thread;
    const rt_block_run *r = ((const route_job *)ud)->r;
    const rt_param *bias = r->layer->p[RT_ROLE_ROUTER_CHOICE], *table = r->layer->p[RT_ROLE_ROUTER_TABLE];
    const moe_shape s = shape_of(r);
    rt_moe_acts *a = &r->la->moe;
    int64_t end;
    for (int64_t i = first_row(&s, task, &end); i < end; i++) {
        float *p = r->a->moe_dlogits + i * s.e;
        memcpy(p, a->logits + i * s.e, (size_t)s.e * sizeof(float));
        if (table != NULL) { /* the experts follow from the token */
            for (int64_t c = 0; c < s.k; c++) {
                a->expert[i * s.k + c] = (int32_t)table->w[r->b->ids[i] * s.k + c];
            }
            rt_route_given(&r->m->hp.route, p, a->expert + i * s.k, a->weight + i * s.k);
        } else {
            rt_route(&r->m->hp.route, p, bias != NULL ? bias->w : NULL, a->expert + i * s.k, a->weight + i * s.k);
        }
    }
}

/* Gradient of the logits, from that of each choice's weight: dy . its expert's output. */
static void route_rows_backward(void *ud, int64_t task, int thread)
{
    (void)thread;
    const route_job *j = ud;
    const rt_block_run *r = j->r;
    const moe_shape s = shape_of(r);
    const rt_moe_acts *a = &r->la->moe;
    float dw[RT_MAX_EXPERTS_USED];
    int64_t end;
    for (int64_t i = first_row(&s, task, &end); i < end; i++) {
        float *p = r->a->moe_dlogits + i * s.e;
        memcpy(p, a->logits + i * s.e, (size_t)s.e * sizeof(float));
        for (int64_t c = 0; c < s.k; c++) {
            dw[c] = rt_kernels_get()->dot(j->dy + i * s.d, a->out + a->slot[i * s.k + c] * s.d, s.d);
        }
        rt_route_backward(&r->m->hp.route, p, a->expert + i * s.k, dw);
    }
}

static int64_t row_tasks(const moe_shape *s)
{
    return (s->n + RT_ROW_BLOCK - 1) / RT_ROW_BLOCK;
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

/* --- experts --------------------------------------------------------------------------------------------------- */

static void gather_rows(const rt_block_run *r, const moe_shape *s, const void *x)
{
    const size_t row_bytes = (size_t)s->d * (size_t)rt_dtype_block_bytes(r->a->type);
    for (int64_t t = 0; t < s->n * s->k; t++) {
        memcpy((char *)r->a->moe_op_d + (size_t)t * row_bytes,
               (const char *)x + (size_t)r->la->moe.slot_row[t] * row_bytes, row_bytes);
    }
}

/* Parameter of expert e with this role, NULL when the architecture has none. */
static const rt_param *expert_param(const rt_block_run *r, rt_role role, int64_t e)
{
    const rt_param *first = r->layer->p[role];
    return first != NULL ? first + (size_t)e * r->m->n_expert_params : NULL;
}

static void expert_forward(const rt_block_run *r, const moe_shape *s, int64_t e)
{
    rt_acts *a = r->a;
    const rt_moe_acts *moe = &r->la->moe;
    const rt_dtype t = a->type;
    const int64_t s0 = moe->first[e], n = moe->first[e + 1] - s0;
    if (n == 0) {
        return;
    }
    if (r->m->stream != NULL) {
        rt_stream_expert(r->m, r->l, e);
    }
    float *gate = moe->gate_up + s0 * 2 * s->i, *up = gate + s->i, *out = moe->out + s0 * s->d;
    const void *x = rt_operand_at(a->moe_op_d, t, s0 * s->d);
    void *mid = rt_operand_at(a->moe_op_i, t, s0 * s->i);
    const rt_linear_map maps[] = {{gate, 2 * s->i, expert_param(r, RT_ROLE_EXPERT_GATE, e)},
                                  {up, 2 * s->i, expert_param(r, RT_ROLE_EXPERT_UP, e)}};
    rt_block_maps(r, maps, 2, x, s->d, n);
    rt_rows_bias(gate, 2 * s->i, expert_param(r, RT_ROLE_EXPERT_GATE_BIAS, e), n);
    rt_rows_bias(up, 2 * s->i, expert_param(r, RT_ROLE_EXPERT_UP_BIAS, e), n);
    rt_rows_glu(mid, t, gate, &r->m->hp.glu, n, s->i);
    rt_block_maps(r, &(rt_linear_map){out, s->d, expert_param(r, RT_ROLE_EXPERT_DOWN, e)}, 1, mid, s->i, n);
    rt_rows_bias(out, s->d, expert_param(r, RT_ROLE_EXPERT_DOWN_BIAS, e), n);
}

void rt_moe_forward(const rt_block_run *r, const float *x_in, float *x_out)
{
    rt_acts *a = r->a;
    rt_moe_acts *moe = &r->la->moe;
    const rt_layer *w = r->layer;
    const moe_shape s = shape_of(r);
    rt_rows_norm(a->moe_norm, RT_F32, x_in, w->p[RT_ROLE_FFN_NORM], r->m, s.n);
    rt_linear(moe->logits, s.e, a->moe_norm, RT_F32, s.d, w->p[RT_ROLE_ROUTER], s.n, a->mode);
    rt_rows_bias(moe->logits, s.e, w->p[RT_ROLE_ROUTER_BIAS], s.n);
    rt_team_for(row_tasks(&s), route_rows, &(route_job){.r = r});
    assign_slots(moe, &s);
    const void *x = rt_rows_operand(a->moe_norm, a->op_d, a->type, s.n * s.d);
    gather_rows(r, &s, x);
    for (int64_t e = 0; e < s.e; e++) {
        expert_forward(r, &s, e);
    }
    if (r->m->hp.d_shared > 0) {
        rt_glu_forward(r, x, RT_ROLE_SHARED_GATE, r->m->hp.d_shared, moe->shared, a->f_d);
    } else {
        memset(a->f_d, 0, (size_t)(s.n * s.d) * sizeof(float));
    }
    for (int64_t c = 0; c < s.n * s.k; c++) {
        rt_kernels_get()->axpy(a->f_d + c / s.k * s.d, moe->weight[c], moe->out + moe->slot[c] * s.d, s.d);
    }
    rt_block_residual(r, RT_ROLE_FFN_POST_NORM, r->la->ffn_out, a->f_d, x_in, x_out);
}

/* --- backward -------------------------------------------------------------------------------------------------- */

/* Gradients of expert e; moe_f_d gets those of its gathered inputs. moe->out holds the gradients of the experts'
 * outputs, dout_all the same as operand. Gate and up have served after the first lines: they become gradients. */
static void expert_backward(const rt_block_run *r, const moe_shape *s, int64_t e, const void *dout_all)
{
    rt_acts *a = r->a;
    const rt_moe_acts *moe = &r->la->moe;
    const rt_dtype t = a->type;
    const int64_t s0 = moe->first[e], n = moe->first[e + 1] - s0;
    if (n == 0) {
        return;
    }
    float *gate = moe->gate_up + s0 * 2 * s->i, *up = gate + s->i;
    float *dmid = a->moe_f_i + s0 * s->i, *dx = a->moe_f_d + s0 * s->d;
    const void *dout = rt_operand_at((void *)dout_all, t, s0 * s->d), *x = rt_operand_at(a->moe_op_d, t, s0 * s->d);
    void *mid = rt_operand_at(a->moe_op_i, t, s0 * s->i);
    const rt_param *w_gate = expert_param(r, RT_ROLE_EXPERT_GATE, e), *w_up = expert_param(r, RT_ROLE_EXPERT_UP, e);
    const rt_param *w_down = expert_param(r, RT_ROLE_EXPERT_DOWN, e);
    rt_rows_glu(mid, t, gate, &r->m->hp.glu, n, s->i);
    rt_rows_bias_backward(r->grads, moe->out + s0 * s->d, s->d, expert_param(r, RT_ROLE_EXPERT_DOWN_BIAS, e), n);
    rt_linear_dw(r->grads, dout, t, s->d, mid, s->i, w_down, n);
    rt_linear_dx(dmid, false, dout, t, s->d, w_down, n);

    rt_rows_glu_backward(gate, RT_F32, dmid, gate, &r->m->hp.glu, n, s->i);
    rt_rows_bias_backward(r->grads, gate, 2 * s->i, expert_param(r, RT_ROLE_EXPERT_GATE_BIAS, e), n);
    rt_rows_bias_backward(r->grads, up, 2 * s->i, expert_param(r, RT_ROLE_EXPERT_UP_BIAS, e), n);
    const void *dgate = rt_rows_operand(gate, rt_operand_at(a->moe_op_2i, t, s0 * 2 * s->i), t, n * 2 * s->i);
    const void *dup = rt_operand_at((void *)dgate, t, s->i);
    rt_linear_dw(r->grads, dgate, t, 2 * s->i, x, s->d, w_gate, n);
    rt_linear_dw(r->grads, dup, t, 2 * s->i, x, s->d, w_up, n);
    rt_linear_dx(dx, false, dgate, t, 2 * s->i, w_gate, n);
    rt_linear_dx(dx, true, dup, t, 2 * s->i, w_up, n);
}

void rt_moe_backward(const rt_block_run *r, const float *x_in, float *dx)
{
    rt_acts *a = r->a;
    const rt_kernels *kr = rt_kernels_get();
    const rt_moe_acts *moe = &r->la->moe;
    const moe_shape s = shape_of(r);
    const rt_param *norm = r->layer->p[RT_ROLE_FFN_NORM], *router = r->layer->p[RT_ROLE_ROUTER];
    const float *dy = rt_block_residual_backward(r, RT_ROLE_FFN_POST_NORM, r->la->ffn_out, dx);
    rt_team_for(row_tasks(&s), route_rows_backward, &(route_job){.r = r, .dy = dy});
    for (int64_t c = 0; c < s.n * s.k; c++) { /* moe->out has served: it becomes the gradient of the experts' outputs */
        float *dout = moe->out + moe->slot[c] * s.d;
        memcpy(dout, dy + c / s.k * s.d, (size_t)s.d * sizeof(float));
        kr->scale(dout, moe->weight[c], s.d);
    }
    rt_rows_norm(a->moe_norm, RT_F32, x_in, norm, r->m, s.n);
    const void *x = rt_rows_operand(a->moe_norm, a->op_d, a->type, s.n * s.d);
    gather_rows(r, &s, x);
    const void *dout = rt_rows_operand(moe->out, a->moe_op_dy, a->type, s.n * s.k * s.d);
    for (int64_t e = 0; e < s.e; e++) {
        expert_backward(r, &s, e, dout);
    }
    if (r->m->hp.d_shared > 0) {
        const void *dy_op = rt_rows_operand(dy, a->op_dy, a->type, s.n * s.d);
        rt_glu_backward(r, x, RT_ROLE_SHARED_GATE, r->m->hp.d_shared, moe->shared, dy_op, a->f_d);
    } else {
        memset(a->f_d, 0, (size_t)(s.n * s.d) * sizeof(float));
    }
    for (int64_t c = 0; c < s.n * s.k; c++) {
        kr->add(a->f_d + c / s.k * s.d, a->moe_f_d + moe->slot[c] * s.d, s.d);
    }
    rt_linear_dw(r->grads, a->moe_dlogits, RT_F32, s.e, a->moe_norm, s.d, router, s.n);
    rt_rows_bias_backward(r->grads, a->moe_dlogits, s.e, r->layer->p[RT_ROLE_ROUTER_BIAS], s.n);
    rt_linear_dx(a->f_d, true, a->moe_dlogits, RT_F32, s.e, router, s.n);
    rt_rows_norm_backward(dx, r->grads, a->f_d, x_in, norm, r->m, s.n, a->partial);
}
