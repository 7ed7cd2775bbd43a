/* The student before training: which layers stay (named, from a ranking file, or ranked now) and the cut itself. */
#include <string.h>

#include "flow/lineage.h"
#include "flow/state.h"
#include "flow/student.h"
#include "teacher/rank.h"

/* Finds or makes a ranking that reaches down to `layers`. Rankings made here are kept under rankings/ by teacher hash.
 */
static rt_status find_ranking(rt_flow *f, rt_ranking *r, int layers, rt_err *err)
{
    rt_status st = RT_OK;
    rt_digest teacher;
    char *made = NULL, *dir = NULL;
    RT_BUG_IF(rt_digest_parse(f->teacher_sha, &teacher) != 0);
    if (f->recipe.ranking != NULL) {
        return rt_ranking_load(r, f->recipe.ranking, &teacher, f->teacher->hp.n_layer, err);
    }
    RT_TRY(rt_flow_path_to(f, "rankings", &dir, err));
    made = rt_ranking_path(dir, &teacher);
    if (made == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
    }
    if (rt_path_exists(made) && rt_ranking_load(r, made, &teacher, f->teacher->hp.n_layer, NULL) == RT_OK &&
        r->n_layer - r->n_removed <= layers) {
        goto out;
    }
    rt_rank_options o = rt_rank_default();
    o.down_to = layers;
    RT_TRY(rt_flow_need_texts(f, err));
    RT_TRY(rt_rank_layers(r, f->teacher, &teacher, &f->packed, &o, err));
    RT_TRY(rt_mkdirs(dir, err));
    RT_TRY(rt_ranking_save(r, made, err));
out:
    rt_free(made);
    rt_free(dir);
    return st;
}

static rt_status choose(rt_flow *f, int *keep, int *n_keep, double *ranked, rt_err *err)
{
    rt_ranking *r = NULL;
    rt_status st = RT_OK;
    *n_keep = f->recipe.n_keep > 0 ? f->recipe.n_keep : f->recipe.layers;
    *ranked = 0.0;
    if (f->recipe.n_keep > 0) {
        memcpy(keep, f->recipe.keep, (size_t)f->recipe.n_keep * sizeof *keep);
        return RT_OK;
    }
    if (*n_keep >= f->teacher->hp.n_layer) {
        return rt_fail(err, RT_RECIPE, 0, "'student.layers' is %d, the teacher has %lld: nothing would be cut", *n_keep,
                       (long long)f->teacher->hp.n_layer);
    }
    RT_TRY(RT_NEW(&r, 1, "ranking", err));
    RT_TRY(find_ranking(f, r, *n_keep, err));
    RT_TRY(rt_ranking_keep(r, *n_keep, keep, err));
    *ranked = rt_ranking_perplexity(r, *n_keep);
out:
    rt_free(r);
    return st;
}

static rt_status save_choice(rt_flow *f, const int *keep, int n_keep, double ranked, rt_err *err)
{
    json_t *list = json_array();
    for (int i = 0; i < n_keep; i++) {
        json_array_append_new(list, json_integer(keep[i]));
    }
    json_t *j = json_pack("{s:s, s:o, s:f}", "init", f->recipe.init, "keep", list, "ranked_perplexity", ranked);
    if (j != NULL && rt_flow_is_served(f)) {
        json_object_set_new(j, "from", json_string(rt_path_base(f->recipe.teacher)));
    }
    const rt_status st = j != NULL ? rt_flow_save_json(f, "init", "student/init.json", j, err)
                                   : rt_fail(err, RT_MEMORY, 0, "out of memory");
    json_decref(j);
    return st;
}

rt_status rt_stage_init(rt_flow *f, rt_err *err)
{
    rt_status st = RT_OK;
    rt_model *student = NULL, *exact = NULL;
    char *dir = NULL;
    int keep[RT_MAX_LAYERS], n_keep;
    double ranked;
    RT_TRY(rt_flow_need_teacher(f, err));
    RT_TRY(rt_flow_need_tokenizer(f, err));
    RT_TRY(choose(f, keep, &n_keep, &ranked, err));
    RT_TRY(rt_flow_path_to(f, "student", &dir, err));
    /* the running teacher may hold its matrices in bf16 only */
    RT_TRY(rt_model_open(&exact, f->recipe.teacher,
                         &(rt_model_options){.precision = RT_PRECISION_F32, .memory = f->o->memory}, err));
    RT_TRY(rt_model_cut(&student, exact, keep, n_keep,
                        &(rt_model_options){.precision = RT_PRECISION_F32, .trainable = true}, err));
    RT_TRY(rt_student_save(student, f->tokenizer, dir, "init.safetensors", RT_F32, err));
    RT_TRY(rt_student_save_tokenizer(f->tokenizer, f->recipe.teacher, dir, err));
    RT_TRY(rt_lineage_of_cut(rt_flow_weights_permit(f), dir, err));
    RT_TRY(rt_manifest_add_output(&f->manifest, "init", "student/init.safetensors", err));
    RT_TRY(save_choice(f, keep, n_keep, ranked, err));
out:
    rt_model_close(student);
    rt_model_close(exact);
    rt_free(dir);
    return st;
}
