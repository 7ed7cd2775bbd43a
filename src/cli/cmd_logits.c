/* retort logits: raw answers for other programs to compare with. */
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "infer/chunks.h"
#include "infer/infer.h"

static const char *const about =
    "Reads lines {\"ids\": [...]} and writes f32 logits [tokens, vocabulary] as safetensors, a tensor seq0,\n"
    "seq1, ... a line. --grad also writes the gradient of the next-token loss (mean over all predictions,\n"
    "nats) by parameter name, and `loss`. With --text and --kl-base it writes what llama-perplexity\n"
    "--kl-divergence-base would: llama.cpp, or `retort eval --kl-base`, then judges another model beside it.\n"
    "\n"
    "example:  retort logits model.gguf --ids prompts.jsonl -o logits.safetensors";

static rt_status write_kl_base(rt_cli *c, const char *text, const char *path, int64_t sequence)
{
    rt_status st = RT_OK;
    rt_model *m = NULL;
    rt_tokenizer *t = NULL;
    rt_kl_base_shape shape;
    const char *model = c->operands.v[0];
    c->span = sequence > 0 ? sequence : RT_SPAN;
    if (c->span < 4) {
        RT_FAIL_OUT(&c->err, RT_USAGE, 0, "option '--sequence': a chunk has 4 tokens or more");
    }
    RT_TRY(rt_cli_check_model(c, model));
    RT_TRY(rt_tokenizer_open(&t, model, &c->err));
    RT_TRY(rt_cli_open_model(c, model, &m));
    RT_TRY(rt_logits_save_kl_base(&shape, m, t, text, c->span, path, &c->err));
    if (c->common.json) {
        json_t *j = json_pack("{s:s, s:I, s:I, s:I}", "kl_base", path, "n_ctx", (json_int_t)shape.n_ctx, "n_vocab",
                              (json_int_t)shape.n_vocab, "n_chunk", (json_int_t)shape.n_chunk);
        rt_cli_print_json(j);
        json_decref(j);
    }
out:
    rt_model_close(m);
    rt_tokenizer_close(t);
    return st;
}

int rt_cmd_logits(int argc, char **argv)
{
    rt_cli c;
    int code;
    const char *ids = NULL, *out = NULL, *grad = NULL, *text = NULL, *kl_base = NULL;
    int64_t sequence = 0;
    const rt_opt opts[] = {
        {"ids", 0, RT_OPT_STR, &ids, "FILE.jsonl", "sequences, {\"ids\": [...]} a line"},
        {"output", 'o', RT_OPT_OUT, &out, "OUT", "safetensors file for the logits"},
        {"grad", 0, RT_OPT_OUT, &grad, "OUT2", "safetensors file for the gradients"},
        {"text", 0, RT_OPT_STR, &text, "FILE", "plain text, for --kl-base"},
        {"kl-base", 0, RT_OPT_OUT, &kl_base, "OUT3", "logits file of llama.cpp, 16 bits an entry"},
        {"sequence", 0, RT_OPT_INT, &sequence, "N", "kl-base: tokens of a chunk (default 512)"},
        RT_CLI_MEMORY(&c.memory),
        {0},
    };
    if (!rt_cli_begin(&c, "logits", argc, argv,
                      "logits MODEL (--ids FILE.jsonl -o OUT.safetensors | --text FILE --kl-base OUT3) [options]",
                      about, opts, 1, 1, "one model is needed", &code)) {
        return code;
    }
    rt_status st = RT_OK;
    rt_model *m = NULL;
    rt_id_lists l = {0};
    if (text != NULL || kl_base != NULL) {
        if (text == NULL || kl_base == NULL || ids != NULL || out != NULL || grad != NULL) {
            RT_FAIL_OUT(&c.err, RT_USAGE, 0, "--text FILE and --kl-base OUT3 go together, and alone");
        }
        st = write_kl_base(&c, text, kl_base, sequence);
        goto out;
    }
    if (ids == NULL || (out == NULL && grad == NULL)) {
        RT_FAIL_OUT(&c.err, RT_USAGE, 0,
                    "--ids FILE.jsonl and one of -o OUT, --grad OUT2 are needed; or --text FILE and --kl-base OUT3");
    }
    if (out != NULL && grad != NULL && strcmp(out, grad) == 0) {
        RT_FAIL_OUT(&c.err, RT_USAGE, 0, "-o and --grad name one file: '%s'", out);
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
