/* The head sweep (head.h): chunk of rows -> final norm -> logits -> visitor -> both backward products. */
#include "model/head.h"

#include <string.h>

#include "model/maps.h"

struct rt_head {
    int64_t chunk;
    rt_dtype type;                    /* operands of the model */
    float *x;                         /* [chunk, D] rows gathered */
    float *hidden;                    /* [chunk, D] after the norm */
    void *operand;                    /* [chunk, D] */
    rt_q8_rows q8;                    /* [chunk, D or Dt] codes, coded models only */
    float *logits;                    /* [chunk, V] */
    void *dlogits;                    /* [chunk, V] operand, bf16 only */
    float *dhidden;                   /* [chunk, D] */
    float *dx;                        /* [chunk, D] */
    float *partial;                   /* [row blocks, D] */
    float *t_x, *t_hidden, *t_logits; /* the teacher's, [chunk, Dt], [chunk, Dt], [chunk, Vt] */
    void *t_operand;
    void *block;
};

static int64_t plain_chunk(const rt_model *m, const rt_model *teacher)
{
    return teacher != NULL && teacher->head_rows < m->head_rows ? teacher->head_rows : m->head_rows;
}

static void carve_all(rt_carver *c, rt_head *h, const rt_model *m, const rt_model *teacher, bool gradients)
{
    const int64_t d = m->hp.d_model, v = m->hp.n_vocab;
    const int64_t n = h->chunk = gradients ? RT_HEAD_GRAD_CHUNK : plain_chunk(m, teacher);
    h->type = m->compute;
    h->x = rt_carve_floats(c, n * d);
    h->hidden = rt_carve_floats(c, n * d);
    h->operand = rt_carve(c, n * d, (size_t)rt_dtype_block_bytes(m->compute));
    h->logits = rt_carve_floats(c, n * v);
    if (m->coded || (teacher != NULL && teacher->coded)) {
        h->q8 = rt_carve_q8(c, n, teacher != NULL && teacher->hp.d_model > d ? teacher->hp.d_model : d);
    }
    if (gradients) {
        h->dlogits = m->compute == RT_BF16 ? rt_carve(c, n * v, sizeof(uint16_t)) : NULL;
        h->dhidden = rt_carve_floats(c, n * d);
        h->dx = rt_carve_floats(c, n * d);
        h->partial = rt_carve_floats(c, (n + RT_ROW_BLOCK - 1) / RT_ROW_BLOCK * d);
    }
    if (teacher != NULL) {
        h->t_x = rt_carve_floats(c, n * teacher->hp.d_model);
        h->t_hidden = rt_carve_floats(c, n * teacher->hp.d_model);
        h->t_operand = rt_carve(c, n * teacher->hp.d_model, (size_t)rt_dtype_block_bytes(teacher->compute));
        h->t_logits = rt_carve_floats(c, n * teacher->hp.n_vocab);
    }
}

size_t rt_head_bytes(const rt_model *m, const rt_model *teacher, bool gradients)
{
    rt_head h = {0};
    rt_carver c = {0};
    carve_all(&c, &h, m, teacher, gradients);
    return c.used;
}

rt_status rt_head_new(rt_head **out, const rt_model *m, const rt_model *teacher, bool gradients, rt_err *err)
{
    rt_status st = RT_OK;
    rt_head *h = NULL;
    RT_TRY(RT_NEW(&h, 1, "head buffers", err));
    RT_TRY(rt_new_big(&h->block, rt_head_bytes(m, teacher, gradients), "head buffers", err));
    carve_all(&(rt_carver){.base = h->block}, h, m, teacher, gradients);
    *out = h;
    h = NULL;
out:
    rt_head_free(h);
    return st;
}

void rt_head_free(rt_head *h)
{
    if (h != NULL) {
        rt_free(h->block);
        rt_free(h);
    }
}

static int64_t row_of(const rt_head_sweep *s, int64_t i)
{
    return s->rows != NULL ? s->rows[i] : i;
}

static void gather(float *dst, const float *x, const rt_head_sweep *s, int64_t first, int64_t n, int64_t d)
{
    for (int64_t i = 0; i < n; i++) {
        memcpy(dst + i * d, x + row_of(s, first + i) * d, (size_t)d * sizeof(float));
    }
}

/* Logits of n rows whose state after the norm is `hidden`. */
static void project(const rt_model *m, float *logits, const float *hidden, void *operand, const rt_q8_rows *q8,
                    int64_t n, rt_net_mode mode)
{
    const int64_t d = m->hp.d_model;
    const rt_dtype t = mode == RT_NET_ROWS ? RT_F32 : m->compute;
    const void *x = rt_rows_operand(hidden, operand, t, n * d);
    rt_linear_maps(&(rt_linear_map){logits, m->hp.n_vocab, m->output}, 1, x, t, d, n, mode, q8);
}

typedef struct visit_job {
    const rt_head *h;
    const rt_head_sweep *s;
    int64_t first;
} visit_job;

static void visit_row(void *ud, int64_t task, int thread)
{
    const visit_job *j = ud;
    const rt_model *m = j->s->model, *t = j->s->teacher;
    const rt_head_row row = {
        .index = j->first + task,
        .row = row_of(j->s, j->first + task),
        .logits = j->h->logits + task * m->hp.n_vocab,
        .hidden = j->h->hidden + task * m->hp.d_model,
        .teacher = t != NULL ? j->h->t_logits + task * t->hp.n_vocab : NULL,
        .thread = thread,
    };
    j->s->visit(j->s->ud, &row);
}

/* Returns its states. */
static const float *teacher_logits(rt_head *h, const rt_head_sweep *s, int64_t first, int64_t n)
{
    const rt_model *t = s->teacher;
    const float *hidden = h->t_hidden;
    if (s->teacher_hidden != NULL) {
        hidden = s->teacher_hidden + first * t->hp.d_model;
    } else {
        gather(h->t_x, s->teacher_x, s, first, n, t->hp.d_model);
        rt_rows_norm(h->t_hidden, RT_F32, h->t_x, t->output_norm, t, n);
    }
    project(t, h->t_logits, hidden, h->t_operand, &h->q8, n, s->mode);
    return hidden;
}

/* teacher: its states where the sweep has one. */
static void backward(rt_head *h, const rt_head_sweep *s, int64_t first, int64_t n, const float *teacher)
{
    const rt_model *m = s->model;
    const int64_t d = m->hp.d_model, v = m->hp.n_vocab;
    const void *dz = rt_rows_operand(h->logits, h->dlogits, h->type, n * v);
    const void *x = h->type == RT_BF16 ? h->operand : h->hidden;
    rt_linear_dw(s->grads, dz, h->type, v, x, d, m->output, n);
    rt_linear_dx(h->dhidden, false, dz, h->type, v, m->output, n);
    if (s->visit_states != NULL) {
        s->visit_states(s->ud, &(rt_head_states){first, n, h->hidden, teacher, h->dhidden});
    }
    memset(h->dx, 0, (size_t)(n * d) * sizeof(float));
    rt_rows_norm_backward(h->dx, s->grads, h->dhidden, h->x, m->output_norm, m, n, h->partial);
    for (int64_t i = 0; i < n; i++) {
        memcpy(s->dx + row_of(s, first + i) * d, h->dx + i * d, (size_t)d * sizeof(float));
    }
}

void rt_head_run(rt_head *h, const rt_head_sweep *s)
{
    const rt_model *m = s->model;
    for (int64_t first = 0; first < s->n_rows; first += h->chunk) {
        const int64_t n = s->n_rows - first < h->chunk ? s->n_rows - first : h->chunk;
        const float *teacher = NULL;
        gather(h->x, s->x, s, first, n, m->hp.d_model);
        rt_rows_norm(h->hidden, RT_F32, h->x, m->output_norm, m, n);
        project(m, h->logits, h->hidden, h->operand, &h->q8, n, s->mode);
        if (s->teacher != NULL) {
            teacher = teacher_logits(h, s, first, n);
        }
        rt_team_for(n, visit_row, &(visit_job){h, s, first});
        if (s->grads != NULL) {
            backward(h, s, first, n, teacher);
        }
    }
}
