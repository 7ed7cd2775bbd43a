/* retort init: a student cut out of a teacher's layers. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "flow/lineage.h"
#include "flow/student.h"
#include "record/record.h"
#include "teacher/rank.h"

static const char *const about =
    "Writes folder STUDENT (model.safetensors, config.json, tokenizer, README.md): the teacher with some of\n"
    "its layers, everything else as it is. Which layers: --keep names them, --ranking reads them from a\n"
    "file, else they are ranked on --text (minutes). The licence gate is asked first: cutting derives\n"
    "weights. --plan prints sizes and costs of all depths and writes nothing.\n"
    "\n"
    "example:  retort init teacher.gguf -o student --layers 15 --text books.jsonl";

typedef struct init_args {
    const char *out, *keep, *ranking, *accept, *reason, *grant;
    rt_opt_list text;
    int64_t layers;
    bool plan;
} init_args;

static rt_status parse_keep(const char *list, int *keep, int *n, rt_err *err)
{
    char *copy = rt_strdup(list), *save = NULL;
    if (copy == NULL) {
        return rt_fail(err, RT_MEMORY, 0, "out of memory");
    }
    rt_status st = RT_OK;
    for (char *p = strtok_r(copy, ",", &save); p != NULL && st == RT_OK; p = strtok_r(NULL, ",", &save)) {
        int64_t layer;
        if (*n == RT_MAX_LAYERS || !rt_parse_i64(p, &layer) || layer < 0 || layer >= RT_MAX_LAYERS) {
            st = rt_fail(err, RT_USAGE, 0, "option '--keep': '%s' is no layer number; write --keep 0,1,2,28,29", p);
        } else {
            keep[(*n)++] = (int)layer;
        }
    }
    rt_free(copy);
    return st;
}

static rt_status rank(const init_args *a, const rt_model *teacher, const rt_tokenizer *t, const rt_digest *hash,
                      rt_ranking *r, rt_err *err)
{
    rt_status st = RT_OK;
    rt_corpus corpus = {0};
    rt_packed packed = {0};
    rt_rank_options o = rt_rank_default();
    if (a->ranking != NULL && rt_path_exists(a->ranking)) {
        return rt_ranking_load(r, a->ranking, hash, teacher->hp.n_layer, err);
    }
    if (a->text.n == 0) {
        return rt_fail(err, RT_USAGE, 0, "ranking layers needs --text FILE (or give --keep, or an existing --ranking)");
    }
    o.down_to = (int)a->layers;
    RT_TRY(rt_corpus_load(
        &corpus, t, &(rt_corpus_options){.paths = a->text.v, .n_paths = a->text.n, .max_tokens = 16 * o.tokens}, err));
    RT_TRY(rt_pack(&packed, &corpus, 512, err));
    RT_TRY(rt_rank_layers(r, teacher, hash, &packed, &o, err));
    if (a->ranking != NULL) {
        RT_TRY(rt_ranking_save(r, a->ranking, err));
    }
out:
    rt_packed_release(&packed);
    rt_corpus_release(&corpus);
    return st;
}

/* A line a depth: parameters and FLOPs a token of the student. */
static json_t *plan(const rt_model *m)
{
    json_t *depths = json_array();
    const double all = rt_model_flops_per_token(m), head = 2.0 * (double)m->output->n;
    for (int64_t l = 1; l <= m->hp.n_layer; l++) {
        double n = 0;
        for (size_t i = 0; i < m->n_params; i++) {
            n += m->params[i].layer < l ? (double)m->params[i].n : 0.0;
        }
        const double flops = head + (all - head) * (double)l / (double)m->hp.n_layer;
        json_array_append_new(depths, json_pack("{s:I, s:f, s:f, s:f, s:f}", "layers", (json_int_t)l, "parameters", n,
                                                "forward_flops_per_token", flops, "training_flops_per_token",
                                                3.0 * flops, "relative_speed", all / flops));
    }
    return json_pack("{s:I, s:o}", "teacher_layers", (json_int_t)m->hp.n_layer, "depths", depths);
}

static void print_plan(const rt_cli *c, const rt_model *m)
{
    json_t *p = plan(m), *d;
    size_t i;
    if (c->common.json) {
        rt_cli_print_json(p);
    } else {
        printf("layers  parameters  training MFLOP/token  speed of the teacher x\n");
        json_array_foreach(json_object_get(p, "depths"), i, d)
        {
            printf("%6d  %9.1fM  %20.0f  %6.2f\n", (int)rt_json_i64(d, "layers", 0),
                   rt_json_f64(d, "parameters", 0) / 1e6, rt_json_f64(d, "training_flops_per_token", 0) / 1e6,
                   rt_json_f64(d, "relative_speed", 0));
        }
    }
    json_decref(p);
}

static rt_status make(rt_cli *c, const init_args *a, const rt_model *teacher, const rt_permit *permit)
{
    rt_status st = RT_OK;
    rt_digest hash;
    rt_tokenizer *t = NULL;
    rt_model *student = NULL, *exact = NULL;
    rt_ranking *r = NULL;
    int keep[RT_MAX_LAYERS], n = 0;
    RT_TRY(rt_tokenizer_open(&t, c->operands.v[0], &c->err));
    if (a->keep != NULL) {
        RT_TRY(parse_keep(a->keep, keep, &n, &c->err));
    } else {
        n = (int)a->layers;
        RT_TRY(RT_NEW(&r, 1, "ranking", &c->err));
        RT_BUG_IF(rt_digest_parse(rt_permit_model_sha256(permit), &hash) != 0);
        RT_TRY(rank(a, teacher, t, &hash, r, &c->err));
        RT_TRY(rt_ranking_keep(r, n, keep, &c->err));
    }
    /* ranking may run in bf16, the weights are taken as they are in the file */
    RT_TRY(rt_model_open(&exact, c->operands.v[0], &(rt_model_options){.precision = RT_PRECISION_F32}, &c->err));
    RT_TRY(rt_model_cut(&student, exact, keep, n, &(rt_model_options){.precision = RT_PRECISION_F32, .trainable = true},
                        &c->err));
    RT_TRY(rt_student_save(student, t, a->out, "model.safetensors", RT_F32, &c->err));
    RT_TRY(rt_student_save_tokenizer(t, c->operands.v[0], a->out, &c->err));
    RT_TRY(rt_lineage_of_cut(permit, a->out, &c->err));
    json_t *list = json_array();
    for (int i = 0; i < n; i++) {
        json_array_append_new(list, json_integer(keep[i]));
    }
    json_t *j =
        json_pack("{s:s, s:o, s:I}", "student", a->out, "keep", list, "parameters", (json_int_t)student->n_elements);
    c->common.json ? rt_cli_print_json(j)
                   : (void)printf("%s: %d layers, %.1f M parameters\n", a->out, n, (double)student->n_elements / 1e6);
    json_decref(j);
out:
    rt_free(r);
    rt_model_close(student);
    rt_model_close(exact);
    rt_tokenizer_close(t);
    return st;
}

int rt_cmd_init(int argc, char **argv)
{
    rt_cli c;
    int code;
    init_args a = {0};
    const rt_opt opts[] = {
        {"output", 'o', RT_OPT_OUT, &a.out, "STUDENT", "folder to write"},
        {"layers", 'l', RT_OPT_INT, &a.layers, "L", "how many layers to keep"},
        {"keep", 0, RT_OPT_STR, &a.keep, "0,1,2,...", "the very layers to keep"},
        {"ranking", 0, RT_OPT_STR, &a.ranking, "FILE", "ranking to read, or to write when it is not there yet"},
        {"text", 0, RT_OPT_STRS, &a.text, "FILE...", "text to rank layers on"},
        {"plan", 0, RT_OPT_FLAG, &a.plan, NULL, "print sizes and costs of all depths only"},
        {"accept-licence", 0, RT_OPT_STR, &a.accept, "ID",
         "accept the duties of this licence; recorded in STUDENT/decisions.jsonl"},
        {"reason", 0, RT_OPT_STR, &a.reason, "TEXT", "why, where the licence's terms are unknown"},
        {"grant", 0, RT_OPT_STR, &a.grant, "FILE", "written grant of the rights holder"},
        {0},
    };
    if (!rt_cli_begin(&c, "init", argc, argv, "init TEACHER -o STUDENT --layers L [options]", about, opts, 1, 1,
                      "one teacher is needed", &code)) {
        return code;
    }
    rt_status st = RT_OK;
    rt_model *teacher = NULL;
    rt_permit *permit = NULL;
    if (!a.plan && (a.out == NULL || (a.keep == NULL) == (a.layers <= 0))) {
        RT_FAIL_OUT(&c.err, RT_USAGE, 0, "-o STUDENT and one of --layers, --keep are needed");
    }
    RT_TRY(rt_cli_check_model(&c, c.operands.v[0]));
    if (!a.plan) {
        RT_TRY(rt_cli_permit(&c, c.operands.v[0], RT_USE_DERIVE_WEIGHTS, a.out, a.accept, a.reason, a.grant, &permit));
    }
    RT_TRY(rt_cli_open_model(&c, c.operands.v[0], &teacher));
    if (a.plan) {
        print_plan(&c, teacher);
    } else {
        RT_TRY(make(&c, &a, teacher, permit));
    }
out:
    rt_permit_free(permit);
    rt_model_close(teacher);
    return rt_cli_end(&c, st);
}
