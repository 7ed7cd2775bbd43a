/* logits.c - one sequence after the other through net and head; the file is written when all is there. */
#include "infer/logits.h"

#include <math.h>
#include <string.h>

#include "infer/id_lists.h"
#include "tensor/loss.h"

/* One sequence is one batch. */
typedef struct pass {
    const rt_model *m;
    rt_acts *acts;
    rt_head *head;
    float *logits; /* [tokens, V] of the sequence, or: */
    const int32_t *ids;
    double *value; /* loss of each prediction */
    float weight;  /* 1 / predictions of all sequences */
    float *grads;  /* flat block */
    float *dx;     /* [tokens, D] */
} pass;

static void close_pass(pass *p)
{
    rt_acts_free(p->acts);
    rt_head_free(p->head);
    rt_free(p->value);
    rt_free(p->grads);
    rt_free(p->dx);
}

static rt_status check_sequences(const rt_model *m, const rt_ids *sequences, size_t n, int64_t *longest, int64_t *total,
                                 rt_err *err)
{
    *longest = *total = 0;
    if (n == 0) {
        return rt_fail(err, RT_INPUT, 0, "no sequences");
    }
    for (size_t i = 0; i < n; i++) {
        const int64_t len = (int64_t)sequences[i].n;
        rt_status st = rt_ids_check_context(m, sequences[i].p, len, "sequence", i, err);
        if (st != RT_OK) {
            return st;
        }
        *longest = len > *longest ? len : *longest;
        *total += len;
    }
    return RT_OK;
}

/* Asking for more than the machine has would end in the process being killed, far from the cause. */
static rt_status check_memory(size_t bytes, const char *what, rt_err *err)
{
    const int64_t room = rt_mem_available();
    if (room >= 0 && bytes > (size_t)room) {
        return rt_fail(err, RT_MEMORY, 0,
                       "%s need %zu MiB, the machine has %zu MiB left; give fewer or shorter sequences", what,
                       bytes >> 20, (size_t)room >> 20);
    }
    return RT_OK;
}

static rt_batch batch_of(const rt_ids *s, rt_span *span)
{
    *span = (rt_span){.n = (int64_t)s->n};
    return (rt_batch){.ids = s->p, .n_rows = span->n, .spans = span, .n_spans = 1};
}

static void keep_logits(void *ud, const rt_head_row *row)
{
    const pass *p = ud;
    const int64_t v = p->m->hp.n_vocab;
    memcpy(p->logits + row->row * v, row->logits, (size_t)v * sizeof(float));
}

static void add_logits(rt_st_writer *w, const rt_model *m, size_t index, int64_t tokens, const float *data)
{
    char name[32];
    snprintf(name, sizeof name, "seq%zu", index);
    rt_st_add(w, name, RT_F32, 2, (int64_t[]){tokens, m->hp.n_vocab}, data);
}

rt_status rt_logits_save(const rt_model *m, const rt_ids *sequences, size_t n, const char *path, rt_err *err)
{
    rt_status st = RT_OK;
    pass p = {.m = m};
    rt_st_writer *w = NULL;
    float *all = NULL;
    int64_t longest, total, rows;
    size_t bytes;
    RT_TRY(check_sequences(m, sequences, n, &longest, &total, err));
    if (!rt_mul_size((size_t)total, (size_t)m->hp.n_vocab * sizeof(float), &bytes)) {
        bytes = SIZE_MAX;
    }
    RT_TRY(check_memory(bytes, "these logits", err));
    RT_TRY(rt_pass_rows(&rows, m, &(rt_pass){.rows = longest, .span = longest, .bytes = (int64_t)bytes}, err));
    RT_TRY(rt_new_big((void **)&all, bytes, "logits", err));
    RT_TRY(rt_acts_new(&p.acts, m, longest, longest, RT_NET_FORWARD, err));
    RT_TRY(rt_head_new(&p.head, m, NULL, false, err));
    w = rt_st_writer_new();
    if (w == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory to write '%s'", path);
    }
    p.logits = all;
    for (size_t i = 0; i < n; i++) {
        rt_span span;
        const rt_batch b = batch_of(&sequences[i], &span);
        rt_net_forward(m, p.acts, &b);
        rt_head_run(
            p.head,
            &(rt_head_sweep){.model = m, .x = rt_acts_x(p.acts), .n_rows = b.n_rows, .visit = keep_logits, .ud = &p});
        add_logits(w, m, i, b.n_rows, p.logits);
        p.logits += b.n_rows * m->hp.n_vocab;
    }
    RT_TRY(rt_st_write(w, path, err));
out:
    rt_st_writer_free(w);
    close_pass(&p);
    rt_free(all);
    return st;
}

/* --- gradient -------------------------------------------------------------------------------------------------- */

static void next_token_loss(void *ud, const rt_head_row *row)
{
    const pass *p = ud;
    const rt_loss ce = {.kind = RT_LOSS_CE, .temperature = 1.0};
    const rt_target target = {.kind = RT_TARGET_LABEL, .label = p->ids[row->row + 1]};
    p->value[row->index] = rt_loss_row(&ce, row->logits, p->m->hp.n_vocab, &target, true, p->weight, NULL);
}

/* Adds one sequence's gradient; returns the sum of its losses. */
static double add_gradient(pass *p, const rt_ids *sequence)
{
    const rt_model *m = p->m;
    rt_span span;
    const rt_batch b = batch_of(sequence, &span);
    const int64_t n = b.n_rows - 1;
    double sum = 0;
    p->ids = b.ids;
    rt_net_forward(m, p->acts, &b);
    memset(p->dx, 0, (size_t)(b.n_rows * m->hp.d_model) * sizeof(float)); /* the last token predicts nothing */
    rt_head_run(p->head, &(rt_head_sweep){.model = m,
                                          .x = rt_acts_x(p->acts),
                                          .n_rows = n,
                                          .visit = next_token_loss,
                                          .ud = p,
                                          .dx = p->dx,
                                          .grads = p->grads});
    rt_net_backward(m, p->grads, p->acts, &b, p->dx);
    for (int64_t i = 0; i < n; i++) {
        sum += p->value[i];
    }
    return sum;
}

static rt_status write_gradient(const rt_model *m, const float *grads, float loss, const char *path, rt_err *err)
{
    rt_status st = RT_OK;
    void *block = NULL;
    rt_st_writer *w = rt_st_writer_new();
    if (w == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory to write '%s'", path);
    }
    RT_TRY(rt_model_add_tensors(w, m, grads, RT_F32, &block, err));
    rt_st_add(w, "loss", RT_F32, 1, (int64_t[]){1}, &loss);
    RT_TRY(rt_st_write(w, path, err));
out:
    rt_st_writer_free(w);
    rt_free(block);
    return st;
}

static rt_status open_gradient(pass *p, int64_t longest, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_model *m = p->m;
    const size_t grad_bytes = (size_t)m->n_elements * sizeof(float);
    RT_TRY(
        check_memory(rt_acts_bytes(m, longest, longest, RT_NET_TRAIN) + grad_bytes, "activations and gradients", err));
    RT_TRY(rt_new_big((void **)&p->grads, grad_bytes, "gradients", err));
    RT_TRY(RT_NEW(&p->dx, (size_t)(longest * m->hp.d_model), "gradient of the residual stream", err));
    RT_TRY(RT_NEW(&p->value, (size_t)longest, "losses", err));
    RT_TRY(rt_acts_new(&p->acts, m, longest, longest, RT_NET_TRAIN, err));
    RT_TRY(rt_head_new(&p->head, m, NULL, true, err));
out:
    return st;
}

rt_status rt_logits_save_gradient(const rt_model *m, const rt_ids *sequences, size_t n, const char *path, rt_err *err)
{
    rt_status st = RT_OK;
    pass p = {.m = m};
    int64_t longest, total;
    double loss = 0;
    RT_TRY(rt_model_check_trainable(m->arch, &m->hp, err));
    RT_TRY(check_sequences(m, sequences, n, &longest, &total, err));
    const int64_t predictions = total - (int64_t)n;
    if (predictions == 0) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "no sequence has a second token to predict");
    }
    RT_TRY(open_gradient(&p, longest, err));
    p.weight = (float)(1.0 / (double)predictions);
    for (size_t i = 0; i < n; i++) {
        if (sequences[i].n > 1) {
            loss += add_gradient(&p, &sequences[i]);
        }
    }
    loss /= (double)predictions;
    if (!isfinite(loss)) {
        RT_FAIL_OUT(err, RT_NUMERIC, 0, "the loss is not finite; the model is damaged");
    }
    RT_TRY(write_gradient(m, p.grads, (float)loss, path, err));
out:
    close_pass(&p);
    return st;
}
