/* The student before training: cut by what was measured or named, fresh, or a model that is given; and what is known of
 * it before. */
#include <stdio.h>
#include <string.h>

#include "flow/lineage.h"
#include "flow/shape.h"
#include "flow/state.h"
#include "flow/student.h"
#include "model/describe.h"
#include "teacher/importance.h"
#include "teacher/rank.h"

static bool is(const rt_flow *f, const char *init)
{
    return strcmp(f->recipe.init, init) == 0;
}

static bool begins_with_teacher(const rt_flow *f)
{
    return strcmp(f->recipe.from, f->recipe.teacher) == 0;
}

/* ---- before it is there ---- */

static rt_status shape_of(const rt_flow *f, const rt_arch *arch, const rt_hparams *hp, rt_shape *shape, rt_err *err)
{
    rt_err why = {0};
    *shape = f->recipe.shape;
    if (f->recipe.n_keep > 0) {
        shape->layers = f->recipe.n_keep;
    }
    const rt_status st = rt_shape_settle(shape, arch, hp, &why);
    if (st == RT_USAGE) {
        return rt_fail(err, RT_RECIPE, 0, "'student': %s", why.msg);
    }
    return st == RT_OK ? st : rt_fail(err, st, 0, "'student': %s", why.msg);
}

rt_status rt_flow_outline(const rt_flow *f, rt_model **out, rt_err *err)
{
    rt_status st = RT_OK;
    rt_model_description d = {0};
    rt_hparams hp;
    rt_shape shape;
    const int *keep = f->recipe.n_keep > 0 ? f->recipe.keep : NULL;
    if (begins_with_teacher(f)) {
        d.arch = f->teacher->arch;
        d.hp = f->teacher->hp;
    } else {
        RT_TRY(rt_model_describe(&d, f->recipe.from, err));
    }
    RT_TRY(shape_of(f, d.arch, &d.hp, &shape, err));
    for (int64_t i = 0; keep != NULL && i < shape.layers; i++) {
        if (keep[i] >= d.hp.n_layer || (i > 0 && keep[i] <= keep[i - 1])) {
            RT_FAIL_OUT(err, RT_RECIPE, 0, "'student.keep' entry %lld is layer %d: layers must ascend within 0..%lld",
                        (long long)i, keep[i], (long long)d.hp.n_layer - 1);
        }
    }
    if (d.hp.n_vocab != f->teacher->hp.n_vocab) {
        RT_FAIL_OUT(err, RT_RECIPE, 0, "'student.from' has %lld tokens, the teacher %lld: another tokenizer",
                    (long long)d.hp.n_vocab, (long long)f->teacher->hp.n_vocab);
    }
    rt_shape_hparams(&hp, d.arch, &d.hp, &shape, keep);
    RT_TRY(rt_model_outline(out, d.arch, &hp, err));
out:
    rt_model_description_release(&d);
    return st;
}

/* ---- making it ---- */

static rt_status texts_of_run(void *ud, const rt_packed **out, rt_err *err)
{
    rt_flow *f = ud;
    const rt_status st = rt_flow_need_texts(f, err);
    *out = &f->packed;
    return st;
}

static rt_status check_tokenizer(const rt_flow *f, rt_err *err)
{
    rt_tokenizer *own = NULL;
    rt_status st = rt_tokenizer_open(&own, f->recipe.from, err);
    if (st == RT_OK && memcmp(rt_tokenizer_hash(own).b, rt_tokenizer_hash(f->tokenizer).b, sizeof(rt_digest)) != 0) {
        st = rt_fail(err, RT_INPUT, 0, "'student.from': '%s' has another tokenizer than the teacher (token %d differs)",
                     f->recipe.from, rt_tokenizer_first_difference(own, f->tokenizer));
    }
    rt_tokenizer_close(own);
    return st;
}

/* By measurements kept under rankings/ by the model's hash. */
static rt_status make(rt_flow *f, const rt_model *whole, rt_student *s, rt_err *err)
{
    rt_status st = RT_OK;
    rt_digest hash;
    char *dir = NULL, *ranking = NULL, *importance = NULL;
    RT_BUG_IF(rt_digest_parse(rt_permit_model_sha256(rt_flow_weights_permit(f)), &hash) != 0);
    RT_TRY(rt_flow_path_to(f, "rankings", &dir, err));
    ranking = rt_ranking_path(dir, &hash);
    importance = rt_importance_path(dir, &hash);
    if (ranking == NULL || importance == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
    }
    const rt_run_recipe *r = &f->recipe;
    const rt_student_ask ask = {
        .init = r->init,
        .path = r->from,
        .running = whole,
        .hash = &hash,
        .memory = f->o->memory,
        .accepted_seconds = rt_flow_accepted_seconds(f),
        .shape = r->shape,
        .keep = r->keep,
        .n_keep = r->n_keep,
        .ranking = {r->ranking != NULL ? r->ranking : ranking, r->ranking == NULL},
        .importance = {r->importance != NULL ? r->importance : importance, r->importance == NULL},
        .seed = r->seed,
        .texts = texts_of_run,
        .ud = f,
    };
    RT_TRY(rt_student_make(s, &ask, err));
out:
    rt_free(dir);
    rt_free(ranking);
    rt_free(importance);
    return st;
}

static rt_status open_given(rt_flow *f, rt_student *s, rt_err *err)
{
    rt_status st = RT_OK;
    RT_TRY(rt_model_open(&s->model, f->recipe.from,
                         &(rt_model_options){.precision = RT_PRECISION_F32, .trainable = true}, err));
    RT_TRY(rt_shape_settle(&s->shape, s->model->arch, &s->model->hp, err));
    for (int i = 0; i < (int)s->shape.layers; i++) {
        s->layers[i] = i;
    }
out:
    return st;
}

static rt_status save_choice(rt_flow *f, const rt_student *s, const char *what, rt_err *err)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < s->shape.layers; i++) {
        json_array_append_new(list, json_integer(s->layers[i]));
    }
    json_t *j = json_pack("{s:s, s:s, s:o, s:o, s:f, s:I}", "init", f->recipe.init, "what", what, "keep", list, "shape",
                          rt_shape_json(&s->shape), "ranked_perplexity", s->ranked_perplexity, "importance_tokens",
                          (json_int_t)s->importance_tokens);
    if (j != NULL && (rt_flow_is_served(f) || !begins_with_teacher(f))) {
        json_object_set_new(j, "from", json_string(rt_path_base(f->recipe.from)));
    }
    const rt_status st = j != NULL ? rt_flow_save_json(f, "init", "student/init.json", j, err)
                                   : rt_fail(err, RT_MEMORY, 0, "out of memory");
    json_decref(j);
    return st;
}

/* A sentence for the card. */
static void describe(const rt_flow *f, const rt_hparams *whole, const rt_shape *shape, rt_str *what)
{
    if (is(f, "model")) {
        rt_str_puts(what, "The weights as they were");
    } else {
        rt_str_puts(what, is(f, "random") ? "Fresh weights in the model's shape: " : "Cut out of the model: ");
        rt_shape_print(what, whole, shape);
    }
    rt_str_puts(what, ".");
}

rt_status rt_stage_init(rt_flow *f, rt_err *err)
{
    rt_status st = RT_OK;
    rt_student s = {0};
    rt_model *own = NULL;
    rt_str what = {0};
    char *dir = NULL;
    RT_TRY(rt_flow_need_teacher(f, err));
    RT_TRY(rt_flow_need_tokenizer(f, err));
    RT_TRY(rt_flow_path_to(f, "student", &dir, err));
    const rt_model *whole = f->teacher;
    if (!begins_with_teacher(f)) {
        RT_TRY(check_tokenizer(f, err));
    }
    if (is(f, "model")) {
        RT_TRY(open_given(f, &s, err));
        whole = s.model;
    } else {
        if (!begins_with_teacher(f)) {
            RT_TRY(rt_model_open(&own, f->recipe.from,
                                 &(rt_model_options){.precision = rt_flow_precision(f), .memory = f->o->memory}, err));
            whole = own;
        }
        RT_TRY(make(f, whole, &s, err));
    }
    describe(f, &whole->hp, &s.shape, &what);
    RT_TRY(rt_student_save(s.model, f->tokenizer, dir, "init.safetensors", RT_F32, err));
    RT_TRY(rt_student_save_tokenizer(f->tokenizer, f->recipe.teacher, dir, err));
    RT_TRY(rt_lineage_of_cut(rt_flow_weights_permit(f), rt_str_cstr(&what), dir, err));
    RT_TRY(rt_manifest_add_output(&f->manifest, "init", "student/init.safetensors", err));
    RT_TRY(save_choice(f, &s, rt_str_cstr(&what), err));
out:
    rt_model_close(s.model);
    rt_model_close(own);
    rt_str_release(&what);
    rt_free(dir);
    return st;
}
