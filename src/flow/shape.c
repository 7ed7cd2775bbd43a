/* Making a student: measurements found or made, and the cut by them. */
#include "flow/shape.h"

#include <string.h>

#include "teacher/importance.h"
#include "teacher/rank.h"

/* ---- measurements ---- */

static bool is_there(const rt_measured *m)
{
    return m->path != NULL && rt_path_exists(m->path);
}

static rt_status make_dir_of(const char *path, rt_err *err)
{
    char *dir = rt_path_dir(path);
    const rt_status st = dir != NULL ? rt_mkdirs(dir, err) : rt_fail(err, RT_MEMORY, 0, "out of memory");
    rt_free(dir);
    return st;
}

static rt_status find_ranking(rt_ranking *r, const rt_student_ask *a, int layers, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_packed *text = NULL;
    if (is_there(&a->ranking)) {
        rt_err *why = a->ranking.own ? NULL : err;
        st = rt_ranking_load(r, a->ranking.path, a->hash, a->running->hp.n_layer, why);
        if (!a->ranking.own || (st == RT_OK && r->n_layer - r->n_removed <= layers)) {
            return st;
        }
    }
    rt_rank_options o = rt_rank_default();
    o.accepted_seconds = a->accepted_seconds;
    o.down_to = layers;
    RT_TRY(a->texts(a->ud, &text, err));
    RT_TRY(rt_rank_layers(r, a->running, a->hash, text, &o, err));
    if (a->ranking.path != NULL) {
        RT_TRY(make_dir_of(a->ranking.path, err));
        RT_TRY(rt_ranking_save(r, a->ranking.path, err));
    }
out:
    return st;
}

static rt_status find_importance(rt_importance *i, const rt_student_ask *a, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_packed *text = NULL;
    if (is_there(&a->importance)) {
        rt_err *why = a->importance.own ? NULL : err;
        st = rt_importance_load(i, a->importance.path, a->hash, a->running, why);
        if (!a->importance.own || st == RT_OK) {
            return st;
        }
    }
    RT_TRY(a->texts(a->ud, &text, err));
    RT_TRY(rt_importance_measure(i, a->running, a->hash, text, RT_IMPORTANCE_TOKENS, err));
    if (a->importance.path != NULL) {
        RT_TRY(make_dir_of(a->importance.path, err));
        RT_TRY(rt_importance_save(i, a->importance.path, err));
    }
out:
    return st;
}

/* ---- choosing ---- */

static bool is_narrower(const rt_shape *s, const rt_hparams *whole)
{
    return s->hidden < whole->d_model || s->ffn < whole->d_ff || s->kv_heads < whole->n_head_kv;
}

static rt_status choose_layers(rt_student *out, const rt_student_ask *a, rt_err *err)
{
    rt_status st = RT_OK;
    rt_ranking *r = NULL;
    if (a->n_keep > 0) {
        memcpy(out->layers, a->keep, (size_t)a->n_keep * sizeof *a->keep);
        return RT_OK;
    }
    if (strcmp(a->init, "random") == 0 || out->shape.layers == a->running->hp.n_layer) {
        for (int i = 0; i < (int)out->shape.layers; i++) {
            out->layers[i] = i;
        }
        return RT_OK;
    }
    RT_TRY(RT_NEW(&r, 1, "ranking", err));
    RT_TRY(find_ranking(r, a, (int)out->shape.layers, err));
    RT_TRY(rt_ranking_keep(r, (int)out->shape.layers, out->layers, err));
    out->ranked_perplexity = rt_ranking_perplexity(r, (int)out->shape.layers);
out:
    rt_free(r);
    return st;
}

static rt_status prune(rt_student *out, const rt_student_ask *a, const rt_model_options *o, rt_err *err)
{
    rt_status st = RT_OK;
    rt_importance importance = {0};
    rt_model *exact = NULL;
    void *block = NULL;
    rt_cut cut = {.shape = out->shape, .layers = out->layers};
    if (is_narrower(&out->shape, &a->running->hp)) {
        RT_TRY(find_importance(&importance, a, err));
        RT_TRY(rt_importance_cut(&cut, &block, &importance, a->running, &out->shape, out->layers, err));
        out->importance_tokens = importance.tokens;
    }
    /* beside the running one, of which nothing is asked meanwhile */
    const int64_t memory = a->memory > 0 ? a->memory + rt_model_streamed(a->running).bytes : 0;
    /* the running model may hold its matrices in bf16 only */
    RT_TRY(rt_model_open(&exact, a->path,
                         &(rt_model_options){.precision = RT_PRECISION_F32, .memory = memory, .span = 1}, err));
    RT_TRY(rt_model_prune(&out->model, exact, &cut, o, err));
out:
    rt_model_close(exact);
    rt_importance_release(&importance);
    rt_free(block);
    return st;
}

/* Other readers have the head size said; a user may want to know before training. */
static void warn_of_readers(const rt_model *m)
{
    if (!rt_shape_opens_in_transformers(m->arch, &m->hp)) {
        rt_log(RT_LOG_WARN,
               "transformers opens models of '%s' only where the residual width is a multiple of the heads: %lld of "
               "%lld is not; retort and readers of GGUF take it",
               m->arch->hf_type, (long long)m->hp.d_model, (long long)m->hp.n_head);
    }
}

rt_status rt_student_make(rt_student *out, const rt_student_ask *a, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_model *m = a->running;
    const rt_model_options o = {.precision = RT_PRECISION_F32, .trainable = true};
    *out = (rt_student){.shape = a->shape};
    if (a->n_keep > 0) {
        out->shape.layers = a->n_keep;
    }
    RT_TRY(rt_shape_settle(&out->shape, m->arch, &m->hp, err));
    RT_TRY(choose_layers(out, a, err));
    if (strcmp(a->init, "random") == 0) {
        RT_TRY(rt_model_random(&out->model, m, &out->shape, a->seed, &o, err));
        warn_of_readers(out->model);
        goto out;
    }
    if (out->shape.layers == m->hp.n_layer && !is_narrower(&out->shape, &m->hp)) {
        RT_FAIL_OUT(err, RT_USAGE, 0,
                    "nothing would be cut: the model has %lld layers, and the student is to have as many, as wide",
                    (long long)m->hp.n_layer);
    }
    RT_TRY(prune(out, a, &o, err));
    warn_of_readers(out->model);
out:
    return st;
}

/* ---- in words ---- */

static void add(rt_str *s, int64_t n, int64_t of, const char *what)
{
    if (n != of) {
        rt_str_printf(s, "%s%lld of %lld %s", s->n > 0 ? ", " : "", (long long)n, (long long)of, what);
    }
}

void rt_shape_print(rt_str *s, const rt_hparams *whole, const rt_shape *shape)
{
    rt_str out = {0};
    add(&out, shape->layers, whole->n_layer, "layers");
    add(&out, shape->hidden, whole->d_model, "residual channels");
    add(&out, shape->ffn, whole->d_ff, "feed-forward neurons");
    add(&out, shape->kv_heads, whole->n_head_kv, "key/value heads");
    rt_str_puts(s, out.n > 0 ? rt_str_cstr(&out) : "the whole shape");
    s->failed |= out.failed;
    rt_str_release(&out);
}

json_t *rt_shape_json(const rt_shape *s)
{
    return json_pack("{s:I, s:I, s:I, s:I}", "layers", (json_int_t)s->layers, "hidden", (json_int_t)s->hidden, "ffn",
                     (json_int_t)s->ffn, "kv_heads", (json_int_t)s->kv_heads);
}
