/* retort inspect: what a model file is, and on what terms it may be used. Reads headers, never decodes weights. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "model/describe.h"
#include "model/identity.h"
#include "record/record.h"
#include "text/text.h"

static const char *const about =
    "Says what MODEL is: architecture, size, number types, tokenizer, and what its files say about its\n"
    "licence, with the verdict for making a student of it. Nothing is decoded, so a large model takes no\n"
    "longer than a small one (but for the SHA-256).\n"
    "\n"
    "example:  retort inspect models/SmolLM2-135M-Instruct.Q4_1.gguf --tensors";

typedef struct facts {
    rt_model_description model;
    json_t *tokenizer, *ruling;
    char sha256[65]; /* "" when not asked for */
} facts;

static void facts_release(facts *f)
{
    rt_model_description_release(&f->model);
    json_decref(f->tokenizer);
    json_decref(f->ruling);
}

static json_t *id_or_null(int32_t id)
{
    return id >= 0 ? json_integer(id) : json_null();
}

/* A tokenizer that is absent or of an unknown kind is a fact about the model, not a failure. */
static rt_status read_tokenizer(facts *f, const char *path, rt_err *err)
{
    rt_tokenizer *t = NULL;
    rt_err why = {0};
    rt_slice kind;
    const bool none = f->model.gguf != NULL && !rt_gguf_get_str(f->model.gguf, "tokenizer.ggml.model", &kind);
    const rt_status st = none ? RT_NOT_FOUND : rt_tokenizer_open(&t, path, &why);
    if (st == RT_NOT_FOUND) {
        f->tokenizer = json_null();
        return RT_OK;
    }
    if (st == RT_UNSUPPORTED) {
        f->tokenizer = json_pack("{s:b, s:s}", "supported", 0, "reason", why.msg);
        return RT_OK;
    }
    if (st != RT_OK) {
        return rt_fail(err, st, why.pos, "%s", why.msg);
    }
    char hex[65];
    rt_digest_hex(rt_tokenizer_hash(t), hex);
    const char *chat = rt_chat_form(t);
    f->tokenizer = json_pack("{s:b, s:s, s:i, s:o, s:o, s:o, s:b, s:o, s:s}", "supported", 1, "pre",
                             rt_tokenizer_pre(t), "vocab_size", (int)rt_tokenizer_n_vocab(t), "bos",
                             id_or_null(rt_tokenizer_bos(t)), "eos", id_or_null(rt_tokenizer_eos(t)), "eot",
                             id_or_null(rt_tokenizer_eot(t)), "adds_bos", rt_tokenizer_adds_bos(t), "chat_template",
                             chat != NULL ? json_string(chat) : json_null(), "sha256", hex);
    rt_tokenizer_close(t);
    return RT_OK;
}

static rt_status read_licence(facts *f, const char *path, bool noncommercial, rt_err *err)
{
    rt_status st = RT_OK;
    rt_licence_table *table = NULL;
    rt_evidence e = {0};
    RT_TRY(rt_licence_table_open(&table, NULL, err));
    RT_TRY(rt_evidence_collect(&e, table, path, err));
    RT_TRY(rt_gate_judge(
        &f->ruling, table,
        &(rt_gate_request){.model = path, .evidence = &e, .uses = RT_USE_ALL, .noncommercial = noncommercial}, err));
out:
    rt_evidence_release(&e);
    rt_licence_table_close(table);
    return st;
}

static rt_status collect_facts(facts *f, const char *path, bool hash, bool noncommercial, rt_err *err)
{
    rt_status st = RT_OK;
    rt_digest d;
    RT_TRY(rt_model_describe(&f->model, path, err));
    RT_TRY(read_tokenizer(f, path, err));
    RT_TRY(read_licence(f, path, noncommercial, err));
    if (hash) {
        RT_TRY(rt_model_sha256(path, NULL, &d, err));
        rt_digest_hex(d, f->sha256);
    }
out:
    return st;
}

/* --- JSON --------------------------------------------------------------------------------------------------------- */

static json_t *tensor_json(const rt_tensor_info *t, bool hash)
{
    const bool known = t->dtype < RT_DTYPE_COUNT;
    json_t *j = json_pack("{s:s, s:s*, s:o, s:I}", "name", t->name, "type", known ? rt_dtype_name(t->dtype) : NULL,
                          "shape", json_array(), "bytes", (json_int_t)t->bytes);
    for (int i = 0; i < t->n_dims; i++) {
        json_array_append_new(json_object_get(j, "shape"), json_integer((json_int_t)t->dims[i]));
    }
    if (hash && t->data != NULL) {
        char hex[65];
        rt_digest_hex(rt_sha256_of(t->data, t->bytes), hex);
        json_object_set_new(j, "sha256", json_string(hex));
    }
    return j;
}

static json_t *count_or_null(const facts *f, int64_t n)
{
    return f->model.vocabulary_only ? json_null() : json_integer((json_int_t)n);
}

static json_t *quantisation(const facts *f)
{
    return f->model.vocabulary_only ? json_null() : json_string(rt_dtype_name(f->model.dtype));
}

static json_t *licence_json(const json_t *ruling)
{
    static const char *const keys[] = {"id",       "verdict", "duties",     "evidence", "table_version",
                                       "licences", "uses",    "commercial", "reason",   "conflict"};
    json_t *j = json_object();
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        json_t *v = json_object_get(ruling, keys[i]);
        json_object_set(j, keys[i], v);
    }
    return j;
}

static json_t *vocabulary_size(const facts *f)
{
    return f->model.vocabulary_only ? json_integer(rt_json_i64(f->tokenizer, "vocab_size", 0))
                                    : json_integer(f->model.hp.n_vocab);
}

static void print_json(const facts *f, const char *path, bool tensors, bool hash)
{
    const rt_model_description *m = &f->model;
    json_t *j = json_pack("{s:s, s:s, s:s, s:b}", "path", path, "format", m->format, "architecture", m->architecture,
                          "vocabulary_only", m->vocabulary_only);
    json_object_set_new(j, "parameters", count_or_null(f, m->parameters));
    json_object_set_new(j, "layers", count_or_null(f, m->hp.n_layer));
    json_object_set_new(j, "hidden", count_or_null(f, m->hp.d_model));
    json_object_set_new(j, "context", count_or_null(f, m->hp.n_ctx));
    json_object_set_new(j, "vocab_size", vocabulary_size(f));
    json_object_set_new(j, "quantisation", quantisation(f));
    json_object_set_new(j, "mixed_types", json_boolean(m->mixed));
    json_object_set(j, "tokenizer", f->tokenizer);
    json_object_set_new(j, "licence", licence_json(f->ruling));
    json_object_set(j, "base_models", json_object_get(f->ruling, "base_models"));
    json_object_set_new(j, "sha256", json_string(f->sha256));
    if (tensors) {
        json_t *list = json_array();
        for (size_t i = 0; i < rt_model_description_n_tensors(m); i++) {
            json_array_append_new(list, tensor_json(rt_model_description_tensor(m, i), hash));
        }
        json_object_set_new(j, "tensors", list);
    }
    rt_cli_print_json(j);
    json_decref(j);
}

/* --- for people --------------------------------------------------------------------------------------------------- */

static void print_tensors(const facts *f, bool hash)
{
    for (size_t i = 0; i < rt_model_description_n_tensors(&f->model); i++) {
        json_t *t = tensor_json(rt_model_description_tensor(&f->model, i), hash);
        const json_t *shape = json_object_get(t, "shape");
        printf("  %-44s %-7s [", rt_json_str(t, "name", "?"), rt_json_str(t, "type", "?"));
        for (size_t k = 0; k < json_array_size(shape); k++) {
            printf(k > 0 ? ", %lld" : "%lld", (long long)json_integer_value(json_array_get(shape, k)));
        }
        printf("] %s\n", rt_json_str(t, "sha256", ""));
        json_decref(t);
    }
}

static void print_licence(const json_t *ruling)
{
    size_t i;
    const json_t *item;
    printf("licence       %s: %s\n", rt_json_str(ruling, "id", "none stated"),
           rt_json_str(ruling, "verdict", "unknown"));
    printf("              %s\n", rt_json_str(ruling, "reason", ""));
    json_array_foreach(json_object_get(ruling, "duties"), i, item)
    {
        printf("  duty        %s\n", rt_json_str(item, "text", ""));
    }
    json_array_foreach(json_object_get(ruling, "evidence"), i, item)
    {
        printf("  evidence    %s: %s\n", rt_json_str(item, "source", ""), rt_json_str(item, "value", ""));
    }
    json_array_foreach(json_object_get(ruling, "base_models"), i, item)
    {
        printf("  made from   %s\n", json_string_value(item));
    }
    printf("              table of %s; retort run judges again and records it\n",
           rt_json_str(ruling, "table_version", ""));
}

static void print_text(const facts *f, const char *path, bool tensors, bool hash)
{
    const rt_model_description *m = &f->model;
    printf("%s (%s)\n", path, m->format);
    printf("architecture  %s%s\n", m->architecture,
           m->vocabulary_only ? " (vocabulary only: a tokenizer without weights)" : "");
    if (!m->vocabulary_only) {
        printf("parameters    %.2f M in %zu tensors, %.1f MB\n", (double)m->parameters * 1e-6,
               rt_model_description_n_tensors(m), (double)m->bytes * 1e-6);
        printf("shape         %lld layers, hidden %lld, feed-forward %lld, %lld heads of %lld (%lld for keys), context "
               "%lld\n",
               (long long)m->hp.n_layer, (long long)m->hp.d_model, (long long)m->hp.d_ff, (long long)m->hp.n_head,
               (long long)m->hp.head_dim, (long long)m->hp.n_head_kv, (long long)m->hp.n_ctx);
        printf("numbers       %s%s\n", rt_dtype_name(m->dtype), m->mixed ? " mostly" : "");
    }
    if (json_is_null(f->tokenizer)) {
        printf("tokenizer     none\n");
    } else if (!rt_json_bool(f->tokenizer, "supported", false)) {
        printf("tokenizer     not supported: %s\n", rt_json_str(f->tokenizer, "reason", ""));
    } else {
        printf("tokenizer     %s, %lld tokens, chat template: %s\n", rt_json_str(f->tokenizer, "pre", ""),
               (long long)rt_json_i64(f->tokenizer, "vocab_size", 0),
               rt_json_str(f->tokenizer, "chat_template", "none known"));
    }
    print_licence(f->ruling);
    if (f->sha256[0] != '\0') {
        printf("sha256        %s\n", f->sha256);
    }
    if (tensors) {
        print_tensors(f, hash);
    }
}

int rt_cmd_inspect(int argc, char **argv)
{
    rt_cli c;
    int code;
    bool tensors = false, hash = false, noncommercial = false;
    const rt_opt opts[] = {
        {"tensors", 0, RT_OPT_FLAG, &tensors, NULL, "list every tensor: name, type, shape"},
        {"hash", 0, RT_OPT_FLAG, &hash, NULL,
         "SHA-256 of the model (always in --json), with --tensors of every tensor"},
        {"noncommercial", 0, RT_OPT_FLAG, &noncommercial, NULL, "judge the licence for non-commercial use"},
        {0},
    };
    if (!rt_cli_begin(&c, "inspect", argc, argv, "inspect MODEL [options]", about, opts, 1, 1, "one model is needed",
                      &code)) {
        return code;
    }
    facts f = {0};
    const char *path = c.operands.v[0];
    rt_status st = rt_cli_check_model(&c, path);
    if (st == RT_OK) {
        st = collect_facts(&f, path, hash || c.common.json, noncommercial, &c.err);
    }
    if (st == RT_OK && c.common.json) {
        print_json(&f, path, tensors, hash);
    } else if (st == RT_OK) {
        print_text(&f, path, tensors, hash);
    }
    facts_release(&f);
    return rt_cli_end(&c, st);
}
