/* retort export: a model written as GGUF or as a safetensors folder. */
#include <stdio.h>

#include <retort/model.h>

#include "cli/command.h"
#include "text/draft_pair.h"

static const char *const about =
    "Writes MODEL as OUT: a GGUF of the given type, or with --type safetensors a folder in the Hugging\n"
    "Face layout. The tokenizer's metadata is copied byte for byte where it came from a GGUF; licence, base\n"
    "model and what retort recorded of the teacher go along. What the format cannot say is refused, never\n"
    "dropped. --draft-for TARGET refuses a vocabulary that llama.cpp would not take beside TARGET's for\n"
    "speculative decoding (docs/drafter.md).\n"
    "\n"
    "example:  retort export runs/quickstart/student -o student.gguf --type q8_0";

int rt_cmd_export(int argc, char **argv)
{
    rt_cli c;
    int code;
    const char *out = NULL, *type = "q8_0", *target = NULL;
    const rt_opt opts[] = {
        {"output", 'o', RT_OPT_OUT, &out, "OUT", "file, or folder for safetensors"},
        {"type", 0, RT_OPT_STR, &type, "TYPE", "f32, f16, bf16, q8_0 (default), q4_0, q4_1: GGUF; safetensors: folder"},
        {"draft-for", 0, RT_OPT_STR, &target, "TARGET", "the model whose drafter this will be: vocabularies must fit"},
        {0},
    };
    if (!rt_cli_begin(&c, "export", argc, argv, "export MODEL -o OUT [--type TYPE]", about, opts, 1, 1,
                      "one model is needed", &code)) {
        return code;
    }
    rt_status st = RT_OK;
    if (out == NULL) {
        RT_FAIL_OUT(&c.err, RT_USAGE, 0, "-o OUT is needed");
    }
    RT_TRY(rt_cli_check_model(&c, c.operands.v[0]));
    RT_TRY(rt_cli_check_apart(&c, c.operands.v[0], out));
    if (target != NULL) {
        RT_TRY(rt_draft_pair_check_files(c.operands.v[0], target, &c.err));
    }
    RT_TRY(retort_export(c.operands.v[0], out, type, &c.err));
    if (c.common.json) {
        json_t *j = json_pack("{s:s, s:s}", "output", out, "type", type);
        rt_cli_print_json(j);
        json_decref(j);
    } else {
        printf("%s: %s\n", out, type);
    }
out:
    return rt_cli_end(&c, st);
}
