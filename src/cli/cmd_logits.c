/* retort logits: raw answers for other programs to compare with. */
#include <stdio.h>

#include "cli/command.h"
#include "infer/infer.h"

static const char *const about =
    "Reads lines {\"ids\": [...]} and writes f32 logits [tokens, vocabulary] as safetensors, a tensor seq0,\n"
    "seq1, ... a line. --grad also writes the gradient of the next-token loss (mean over all predictions,\n"
    "nats) by parameter name, and `loss`.\n"
    "\n"
    "example:  retort logits model.gguf --ids prompts.jsonl -o logits.safetensors";

int rt_cmd_logits(int argc, char **argv)
{
    rt_cli c;
    int code;
    const char *ids = NULL, *out = NULL, *grad = NULL;
    const rt_opt opts[] = {
        {"ids", 0, RT_OPT_STR, &ids, "FILE.jsonl", "sequences, {\"ids\": [...]} a line"},
        {"output", 'o', RT_OPT_OUT, &out, "OUT", "safetensors file for the logits"},
        {"grad", 0, RT_OPT_OUT, &grad, "OUT2", "safetensors file for the gradients"},
        RT_CLI_MEMORY(&c.memory),
        {0},
    };
    if (!rt_cli_begin(&c, "logits", argc, argv, "logits MODEL --ids FILE.jsonl -o OUT.safetensors [options]", about,
                      opts, 1, 1, "one model is needed", &code)) {
        return code;
    }
    rt_status st = RT_OK;
    rt_model *m = NULL;
    rt_id_lists l = {0};
    if (ids == NULL || (out == NULL && grad == NULL)) {
        RT_FAIL_OUT(&c.err, RT_USAGE, 0, "--ids FILE.jsonl and one of -o OUT, --grad OUT2 are needed");
    }
    RT_TRY(rt_cli_check_model(&c, c.operands.v[0]));
    RT_TRY(rt_id_lists_read(&l, ids, &c.err));
    if (l.n == 0) {
        RT_FAIL_OUT(&c.err, RT_INPUT, 0, "'%s' holds no sequences; write a line {\"ids\": [1, 2, 3]} for each", ids);
    }
    for (size_t i = 0; i < l.n; i++) {
        c.span = (int64_t)l.list[i].n > c.span ? (int64_t)l.list[i].n : c.span;
    }
    RT_TRY(rt_cli_open_model(&c, c.operands.v[0], &m));
    if (out != NULL) {
        RT_TRY(rt_logits_save(m, l.list, l.n, out, &c.err));
    }
    if (grad != NULL) {
        RT_TRY(rt_logits_save_gradient(m, l.list, l.n, grad, &c.err));
    }
    if (c.common.json) {
        json_t *j = json_pack("{s:s?, s:s?, s:I}", "logits", out, "grad", grad, "sequences", (json_int_t)l.n);
        rt_cli_print_json(j);
        json_decref(j);
    }
out:
    rt_id_lists_release(&l);
    rt_model_close(m);
    return rt_cli_end(&c, st);
}
