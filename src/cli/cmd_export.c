/* retort export: a model written as GGUF or as a safetensors folder. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "flow/student.h"

static const char *const about =
    "Writes MODEL as OUT: a GGUF of the given type, or with --type safetensors a folder in the Hugging Face layout. The tokenizer's\n"
    "metadata is copied byte for byte where it came from a GGUF. What the format cannot say is refused, never dropped.\n\n"
    "example: retort export runs/quickstart/student -o student.gguf --type q8_0";

static rt_status export_gguf(rt_cli *c, const rt_model *m, const char *out, const char *type)
{
    rt_status st = RT_OK;
    rt_gguf *vocabulary = NULL;
    rt_dtype dtype;
    json_t *facts = json_pack("{s:s, s:s}", "general.name", rt_path_base(c->operands.v[0]), "retort.version", rt_version());
    if (!rt_dtype_from_name(type, &dtype)) {
        RT_FAIL_OUT(&c->err, RT_USAGE, 0, "option '--type': '%s' is not one of f32, f16, bf16, q8_0, q4_0, q4_1, safetensors", type);
    }
    RT_TRY(rt_student_vocabulary(&vocabulary, c->operands.v[0], &c->err));
    if (vocabulary == NULL) {
        rt_log(RT_LOG_WARN, "'%s' has no GGUF vocabulary beside it: the file is written without a tokenizer", c->operands.v[0]);
    }
    RT_TRY(rt_model_save_gguf(m, out, dtype, vocabulary, facts, &c->err));
out:
    json_decref(facts);
    rt_gguf_close(vocabulary);
    return st;
}

static rt_status export_folder(rt_cli *c, const rt_model *m, const char *out)
{
    rt_status st = RT_OK;
    rt_tokenizer *t = NULL;
    RT_TRY(rt_tokenizer_open(&t, c->operands.v[0], &c->err));
    RT_TRY(rt_student_save(m, t, out, "model.safetensors", RT_F32, &c->err));
    RT_TRY(rt_student_save_tokenizer(t, c->operands.v[0], out, &c->err));
out:
    rt_tokenizer_close(t);
    return st;
}

int rt_cmd_export(int argc, char **argv)
{
    rt_cli c;
    int code;
    const char *out = NULL, *type = "q8_0";
    const rt_opt opts[] = {
        {"output", 'o', RT_OPT_OUT, &out, "OUT", "file, or folder for safetensors"},
        {"type", 0, RT_OPT_STR, &type, "TYPE", "f32, f16, bf16, q8_0 (default), q4_0, q4_1: GGUF; safetensors: folder"},
        {0},
    };
    if (!rt_cli_begin(&c, "export", argc, argv, "export MODEL -o OUT [--type TYPE]", about, opts, 1, 1, "one model is needed", &code)) {
        return code;
    }
    rt_status st = RT_OK;
    rt_model *m = NULL;
    if (out == NULL) {
        RT_FAIL_OUT(&c.err, RT_USAGE, 0, "-o OUT is needed");
    }
    RT_TRY(rt_cli_check_model(&c, c.operands.v[0]));
    RT_TRY(rt_model_open(&m, c.operands.v[0], &(rt_model_options){.precision = RT_PRECISION_F32}, &c.err));
    RT_TRY(strcmp(type, "safetensors") == 0 ? export_folder(&c, m, out) : export_gguf(&c, m, out, type));
    if (c.common.json) {
        json_t *j = json_pack("{s:s, s:s, s:I}", "output", out, "type", type, "parameters", (json_int_t)m->n_elements);
        rt_cli_print_json(j);
        json_decref(j);
    } else {
        printf("%s: %s, %.1f M parameters\n", out, type, (double)m->n_elements / 1e6);
    }
out:
    rt_model_close(m);
    return rt_cli_end(&c, st);
}
