/* retort init: a student in a smaller shape than its teacher. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "flow/candidates.h"
#include "flow/lineage.h"
#include "flow/shape.h"
#include "flow/student.h"
#include "record/record.h"

static const char *const about =
    "Writes folder STUDENT (model.safetensors, config.json, tokenizer, README.md): the teacher with fewer\n"
    "layers (--layers), and narrower: fewer channels of the residual stream (--hidden), neurons of the\n"
    "feed-forward blocks (--ffn) and key/value heads with their queries (--kv-heads). Which of them stay is\n"
    "measured on --text: layers by what leaving them out does to the perplexity (minutes), widths by what\n"
    "runs through them (seconds). --keep names layers; --ranking and --importance keep the measurements.\n"
    "--init random takes the shape alone. TEACHER may be a student that was trained: cut it again, and\n"
    "train it on the same teacher. The licence gate is asked first: cutting derives weights.\n"
    "--plan prints sizes, costs and speeds here of candidates and writes nothing.\n"
    "\n"
    "example:  retort init teacher.gguf -o student --layers 15 --text books.jsonl\n"
    "          retort init teacher.gguf -o student --hidden 384 --ffn 1024 --text books.jsonl";

typedef struct init_args {
    const char *out, *init, *keep, *ranking, *importance, *accept, *reason, *grant;
    rt_opt_list text;
    int64_t layers, hidden, ffn, kv_heads;
    bool plan, force;
} init_args;

/* Text to measure on, read when it is asked for. */
typedef struct text {
    const init_args *a;
    const rt_tokenizer *tokenizer;
    int sequence;
    rt_corpus corpus;
    rt_packed packed;
} text;

enum { TEXT_TOKENS = 1 << 16, TEXT_SEQUENCE = 512 };

static rt_status read_text(void *ud, const rt_packed **out, rt_err *err)
{
    text *t = ud;
    rt_status st = RT_OK;
    *out = &t->packed;
    if (t->packed.n_tokens > 0) {
        return RT_OK;
    }
    if (t->a->text.n == 0) {
        return rt_fail(err, RT_USAGE, 0,
                       "measuring what can go needs --text FILE (or --keep and an existing --ranking or --importance)");
    }
    RT_TRY(rt_corpus_load(
        &t->corpus, t->tokenizer,
        &(rt_corpus_options){.paths = t->a->text.v, .n_paths = t->a->text.n, .max_tokens = TEXT_TOKENS}, err));
    RT_TRY(rt_pack(&t->packed, &t->corpus, t->sequence, err));
out:
    return st;
}

static rt_shape shape_of(const init_args *a)
{
    return (rt_shape){.layers = a->layers, .hidden = a->hidden, .ffn = a->ffn, .kv_heads = a->kv_heads};
}

static void print_plan(const json_t *plan)
{
    size_t i;
    const json_t *c;
    printf("layers  hidden    ffn  kv  parameters   f16 MB  q8_0 MB  q4_0 MB  MFLOP/token  training tok/s  decode "
           "tok/s\n");
    json_array_foreach(json_object_get(plan, "candidates"), i, c)
    {
        const json_t *bytes = json_object_get(c, "bytes");
        printf("%6lld  %6lld  %5lld  %2lld  %9.1fM  %7.1f  %7.1f  %7.1f  %11.0f  %14.0f  %12.0f\n",
               (long long)rt_json_i64(c, "layers", 0), (long long)rt_json_i64(c, "hidden", 0),
               (long long)rt_json_i64(c, "ffn", 0), (long long)rt_json_i64(c, "kv_heads", 0),
               (double)rt_json_i64(c, "parameters", 0) / 1e6, (double)rt_json_i64(bytes, "f16", 0) / 1e6,
               (double)rt_json_i64(bytes, "q8_0", 0) / 1e6, (double)rt_json_i64(bytes, "q4_0", 0) / 1e6,
               rt_json_f64(c, "forward_flops_per_token", 0) / 1e6, rt_json_f64(c, "training_tokens_per_s", 0),
               rt_json_f64(c, "decode_tokens_per_s", 0));
    }
    printf("Speeds are scaled from the teacher's, measured here: %.0f tok/s of text, %.0f tok/s decoding.\n",
           rt_json_f64(plan, "forward_tokens_per_s", 0), rt_json_f64(plan, "decode_tokens_per_s", 0));
}

static rt_status show_plan(rt_cli *c, const init_args *a, const rt_model *teacher)
{
    json_t *plan = NULL;
    const rt_shape asked = shape_of(a);
    const rt_status st = rt_candidates(&plan, teacher, &asked, &c->err);
    if (st == RT_OK) {
        c->common.json ? rt_cli_print_json(plan) : print_plan(plan);
    }
    json_decref(plan);
    return st;
}

static rt_status ask_for(const init_args *a, rt_student_ask *ask, int *keep, rt_err *err)
{
    if (strcmp(a->init, "prune") != 0 && strcmp(a->init, "random") != 0) {
        return rt_fail(err, RT_USAGE, 0, "option '--init' takes prune or random, not '%s'", a->init);
    }
    if (strcmp(a->init, "random") == 0 && a->keep != NULL) {
        return rt_fail(err, RT_USAGE, 0, "--keep names layers of the teacher; a random student has none: say --layers");
    }
    ask->init = a->init;
    ask->shape = shape_of(a);
    ask->keep = keep;
    ask->ranking.path = a->ranking;
    ask->importance.path = a->importance;
    ask->texts = read_text;
    return a->keep != NULL ? rt_cli_layers("--keep", a->keep, keep, &ask->n_keep, err) : RT_OK;
}

static void print_made(const rt_cli *c, const char *out, const char *what, const rt_student *s)
{
    json_t *list = json_array();
    for (int64_t i = 0; i < s->shape.layers; i++) {
        json_array_append_new(list, json_integer(s->layers[i]));
    }
    json_t *j = json_pack("{s:s, s:o, s:o, s:I}", "student", out, "keep", list, "shape", rt_shape_json(&s->shape),
                          "parameters", (json_int_t)s->model->n_elements);
    c->common.json ? rt_cli_print_json(j)
                   : (void)printf("%s: %s %.1f M parameters\n", out, what, (double)s->model->n_elements / 1e6);
    json_decref(j);
}

static rt_status make(rt_cli *c, const init_args *a, const rt_model *teacher, const rt_permit *permit)
{
    rt_status st = RT_OK;
    rt_digest hash;
    rt_tokenizer *t = NULL;
    rt_student s = {0};
    rt_str what = {0};
    int keep[RT_MAX_LAYERS];
    const char *path = c->operands.v[0];
    text words = {.a = a, .sequence = teacher->rope_rows < TEXT_SEQUENCE ? (int)teacher->rope_rows : TEXT_SEQUENCE};
    rt_student_ask ask = {.path = path, .running = teacher, .hash = &hash, .seed = c->common.seed, .ud = &words};
    RT_TRY(ask_for(a, &ask, keep, &c->err));
    RT_TRY(rt_tokenizer_open(&t, path, &c->err));
    words.tokenizer = t;
    RT_BUG_IF(rt_digest_parse(rt_permit_model_sha256(permit), &hash) != 0);
    RT_TRY(rt_student_make(&s, &ask, &c->err));
    rt_str_puts(&what,
                strcmp(a->init, "random") == 0 ? "Fresh weights in the model's shape: " : "Cut out of the model: ");
    rt_shape_print(&what, &teacher->hp, &s.shape);
    rt_str_puts(&what, ".");
    RT_TRY(rt_student_save(s.model, t, a->out, "model.safetensors", RT_F32, &c->err));
    RT_TRY(rt_student_save_tokenizer(t, path, a->out, &c->err));
    RT_TRY(rt_lineage_of_cut(permit, rt_str_cstr(&what), a->out, &c->err));
    print_made(c, a->out, rt_str_cstr(&what), &s);
out:
    rt_model_close(s.model);
    rt_str_release(&what);
    rt_packed_release(&words.packed);
    rt_corpus_release(&words.corpus);
    rt_tokenizer_close(t);
    return st;
}

/* A student that is there may be hours of training. */
static rt_status check_free(const init_args *a, rt_err *err)
{
    rt_status st = RT_OK;
    char *weights = rt_path_join(a->out, "model.safetensors");
    if (weights == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for a path");
    }
    if (!a->force && rt_path_exists(weights)) {
        RT_FAIL_OUT(err, RT_USAGE, 0, "'%s' is there already: name another folder with -o, or replace it with --force",
                    weights);
    }
out:
    rt_free(weights);
    return st;
}

int rt_cmd_init(int argc, char **argv)
{
    rt_cli c;
    int code;
    init_args a = {.init = "prune"};
    const rt_opt opts[] = {
        {"output", 'o', RT_OPT_OUT, &a.out, "STUDENT", "folder to write"},
        {"layers", 'l', RT_OPT_INT, &a.layers, "L", "how many layers to keep"},
        {"hidden", 0, RT_OPT_INT, &a.hidden, "D", "residual channels to keep, a multiple of 32"},
        {"ffn", 0, RT_OPT_INT, &a.ffn, "F", "feed-forward neurons to keep, a multiple of 32"},
        {"kv-heads", 0, RT_OPT_INT, &a.kv_heads, "K", "key/value heads to keep, each with its queries"},
        {"init", 0, RT_OPT_STR, &a.init, "KIND", "prune: the teacher's weights; random: fresh ones (default: prune)"},
        {"keep", 0, RT_OPT_STR, &a.keep, "0,1,2,...", "the very layers to keep"},
        {"ranking", 0, RT_OPT_STR, &a.ranking, "FILE",
         "ranking of layers to read, or to write when it is not there yet"},
        {"importance", 0, RT_OPT_STR, &a.importance, "FILE", "the same for widths (.safetensors)"},
        {"text", 0, RT_OPT_STRS, &a.text, "FILE...", "text to measure on"},
        {"plan", 0, RT_OPT_FLAG, &a.plan, NULL, "print sizes, costs and speeds only"},
        {"force", 0, RT_OPT_FLAG, &a.force, NULL, "replace the model that is in STUDENT"},
        {"accept-licence", 0, RT_OPT_STR, &a.accept, "ID",
         "accept the duties of this licence; recorded in STUDENT/decisions.jsonl"},
        {"reason", 0, RT_OPT_STR, &a.reason, "TEXT", "why, where the licence's terms are unknown"},
        {"grant", 0, RT_OPT_STR, &a.grant, "FILE", "written grant of the rights holder"},
        {0},
    };
    if (!rt_cli_begin(&c, "init", argc, argv, "init TEACHER -o STUDENT --layers L --hidden D [options]", about, opts, 1,
                      1, "one teacher is needed", &code)) {
        return code;
    }
    rt_status st = RT_OK;
    rt_model *teacher = NULL;
    rt_permit *permit = NULL;
    if (!a.plan && (a.out == NULL || (a.keep != NULL && a.layers != 0))) {
        RT_FAIL_OUT(&c.err, RT_USAGE, 0, "-o STUDENT is needed, and only one of --layers, --keep");
    }
    RT_TRY(rt_cli_check_model(&c, c.operands.v[0]));
    if (!a.plan) {
        RT_TRY(rt_cli_check_apart(&c, c.operands.v[0], a.out));
        RT_TRY(check_free(&a, &c.err));
        RT_TRY(rt_cli_permit(&c, c.operands.v[0],
                             strcmp(a.init, "random") == 0 ? RT_USE_TRAIN_ON_OUTPUTS : RT_USE_DERIVE_WEIGHTS, a.out,
                             a.accept, a.reason, a.grant, &permit));
    }
    RT_TRY(rt_cli_open_model(&c, c.operands.v[0], &teacher));
    if (a.plan) {
        RT_TRY(show_plan(&c, &a, teacher));
    } else {
        RT_TRY(make(&c, &a, teacher, permit));
    }
out:
    rt_permit_free(permit);
    rt_model_close(teacher);
    return rt_cli_end(&c, st);
}
