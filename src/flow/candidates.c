/* Sizes from outlines, speeds from the model at hand. */
#include "flow/candidates.h"

#include "flow/measure.h"
#include "flow/shape.h"

enum { ROWS = 512, DECODED = 12 };

typedef struct table {
    const rt_model *m;
    double flops_per_s, decode_bytes_per_s;
    json_t *list;
} table;

/* Read for a token: everything but an embedding that is no head. */
static double bytes_read(const rt_model *m, rt_dtype type)
{
    const double all = (double)rt_model_gguf_bytes(m, type);
    return m->output == m->embed ? all : all * (double)(m->n_elements - m->embed->n) / (double)m->n_elements;
}

static rt_status measure(table *t, json_t *out, rt_err *err)
{
    double forward, decode;
    const rt_model *m = t->m;
    rt_status st = rt_pace_forward(&forward, m, ROWS, ROWS < m->rope_rows ? ROWS : m->rope_rows, err);
    st = st == RT_OK ? rt_pace_decode(&decode, m, DECODED, err) : st;
    if (st != RT_OK) {
        return st;
    }
    t->flops_per_s = forward * rt_model_flops_per_token(m);
    t->decode_bytes_per_s = decode * bytes_read(m, m->coded ? m->file_dtype : m->compute);
    json_object_set_new(out, "forward_tokens_per_s", json_real(forward));
    json_object_set_new(out, "decode_tokens_per_s", json_real(decode));
    return RT_OK;
}

static json_t *described(const table *t, const rt_model *m, const rt_shape *s)
{
    const double flops = rt_model_flops_per_token(m);
    json_t *j = rt_shape_json(s);
    json_t *more =
        json_pack("{s:I, s:{s:I, s:I, s:I}, s:f, s:f, s:f, s:f}", "parameters", (json_int_t)m->n_elements, "bytes",
                  "f16", (json_int_t)rt_model_gguf_bytes(m, RT_F16), "q8_0",
                  (json_int_t)rt_model_gguf_bytes(m, RT_Q8_0), "q4_0", (json_int_t)rt_model_gguf_bytes(m, RT_Q4_0),
                  "forward_flops_per_token", flops, "training_flops_per_token", 3 * flops, "training_tokens_per_s",
                  t->flops_per_s / (3 * flops), "decode_tokens_per_s", t->decode_bytes_per_s / bytes_read(m, RT_Q8_0));
    json_object_update(j, more);
    json_decref(more);
    return j;
}

/* A shape that this model cannot be cut to is left out, but for one that is asked for. */
static rt_status add(table *t, rt_shape s, bool asked, rt_err *err)
{
    rt_status st = RT_OK;
    rt_model *m = NULL;
    rt_hparams hp;
    st = rt_shape_settle(&s, t->m->arch, &t->m->hp, asked ? err : NULL);
    if (st != RT_OK) {
        return asked ? st : RT_OK;
    }
    rt_shape_hparams(&hp, t->m->arch, &t->m->hp, &s, NULL);
    RT_TRY(rt_model_outline(&m, t->m->arch, &hp, err));
    if (json_array_append_new(t->list, described(t, m, &s)) != 0) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
    }
out:
    rt_model_close(m);
    return st;
}

static int64_t eighths(int64_t width, int n)
{
    const int64_t w = width * n / 8 / RT_WIDTH_UNIT * RT_WIDTH_UNIT;
    return w > 0 ? w : RT_WIDTH_UNIT;
}

rt_status rt_candidates(json_t **out, const rt_model *m, const rt_shape *asked, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_shape own = {m->hp.n_layer, m->hp.d_model, m->hp.d_ff, m->hp.n_head_kv};
    table t = {.m = m, .list = json_array()};
    json_t *teacher = rt_shape_json(&own), *j = json_object();
    RT_TRY(rt_model_check_trainable(m->arch, &m->hp, err));
    RT_TRY(measure(&t, j, err));
    if (asked->layers + asked->hidden + asked->ffn + asked->kv_heads > 0) {
        RT_TRY(add(&t, *asked, true, err));
    }
    for (int64_t l = 1; l <= own.layers; l++) {
        RT_TRY(add(&t, (rt_shape){.layers = l}, false, err));
    }
    for (int n = 7; n >= 2; n--) {
        RT_TRY(add(&t, (rt_shape){.hidden = eighths(own.hidden, n), .ffn = eighths(own.ffn, n)}, false, err));
    }
    json_object_set_new(teacher, "parameters", json_integer((json_int_t)m->n_elements));
    json_object_set(j, "teacher", teacher);
    json_object_set(j, "candidates", t.list);
    *out = json_incref(j);
out:
    json_decref(t.list);
    json_decref(teacher);
    json_decref(j);
    return st;
}
