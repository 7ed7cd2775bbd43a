/* retort generate: a text continued, shown as it comes. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "infer/infer.h"
#include "text/text.h"
#include "text/utf8.h"

static const char *const about =
    "Continues TEXT by up to N tokens: greedy, or drawn with --temp above 0. --chat puts the text into\n"
    "the model's chat template as a user's turn; --template names its form where the template is not\n"
    "known: chatml, qwen, gemma, llama3, llama3.1, deepseek2, deepseek3, deepseek3.1, kimi-k2, minimax-m2,\n"
    "gpt-oss, mistral-v1, mistral-v3, mistral-v3-tekken, mistral-v7, mistral-v7-tekken.\n"
    "--json prints {text, ids, logprobs} of the continuation alone.\n"
    "\n"
    "example:  retort generate models/SmolLM2-135M-Instruct.Q4_1.gguf -p \"Once upon a time\" -n 48";

typedef struct printer {
    const rt_tokenizer *t;
    rt_str pending; /* bytes of a character that is not complete yet */
    bool live;
} printer;

/* Models may have more rows than their tokenizer has tokens: such ids stand for nothing. */
static rt_status add_text(const rt_tokenizer *t, int32_t id, rt_str *out, rt_err *err)
{
    return id < rt_tokenizer_n_vocab(t) ? rt_decode_id(t, id, out, err) : RT_OK;
}

/* Shows the complete characters so far; ill-formed ones are repaired when the text ends. */
static bool show(void *ud, size_t index, const rt_generated *g)
{
    (void)index;
    printer *p = ud;
    if (p->live && !rt_tokenizer_is_end(p->t, g->ids[g->n - 1]) &&
        add_text(p->t, g->ids[g->n - 1], &p->pending, NULL) == RT_OK &&
        rt_utf8_valid(rt_str_cstr(&p->pending), p->pending.n)) {
        fputs(rt_str_cstr(&p->pending), stdout);
        fflush(stdout);
        rt_str_clear(&p->pending);
    }
    return true;
}

/* What is left is part of a character that never became whole. */
static void finish_text(printer *p)
{
    rt_str rest = {0};
    rt_utf8_repair(&rest, rt_str_cstr(&p->pending), p->pending.n);
    puts(rt_str_cstr(&rest));
    rt_str_release(&rest);
}

static rt_status print_json(const rt_tokenizer *t, const rt_generated *g, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str bytes = {0}, text = {0};
    json_t *ids = json_array(), *logprobs = json_array(), *j = NULL;
    for (int64_t i = 0; i < g->n; i++) {
        json_array_append_new(ids, json_integer(g->ids[i]));
        json_array_append_new(logprobs, rt_number_json((double)g->logprobs[i]));
        if (!rt_tokenizer_is_end(t, g->ids[i]) || i + 1 < g->n) {
            RT_TRY(add_text(t, g->ids[i], &bytes, err));
        }
    }
    rt_utf8_repair(&text, rt_str_cstr(&bytes), bytes.n);
    j = json_pack("{s:s%, s:O, s:O, s:s}", "text", rt_str_cstr(&text), text.n, "ids", ids, "logprobs", logprobs, "stop",
                  rt_stop_name(g->stop));
    rt_cli_print_json(j);
out:
    json_decref(ids);
    json_decref(logprobs);
    json_decref(j);
    rt_str_release(&bytes);
    rt_str_release(&text);
    return st;
}

static rt_status prompt_ids(const rt_tokenizer *t, const char *text, bool chat, rt_ids *ids, rt_err *err)
{
    rt_status st = RT_OK;
    if (chat) {
        return rt_chat_encode(t, &(rt_chat_message){.role = "user", .content = text}, 1, true, ids, NULL, err);
    }
    if (rt_tokenizer_adds_bos(t) && rt_tokenizer_bos(t) >= 0) {
        RT_TRY(rt_ids_push(ids, rt_tokenizer_bos(t), err));
    }
    RT_TRY(rt_encode_text(t, text, strlen(text), 0, ids, err));
    if (ids->n == 0) {
        RT_FAIL_OUT(err, RT_USAGE, 0, "the prompt is empty; give one with -p TEXT");
    }
out:
    return st;
}

int rt_cmd_generate(int argc, char **argv)
{
    rt_cli c;
    int code;
    const char *prompt = NULL, *template = NULL;
    bool chat = false;
    rt_generate_options o = {.max_new = 128};
    const rt_opt opts[] = {
        {"prompt", 'p', RT_OPT_STR, &prompt, "TEXT", "the text to continue"},
        {"n-predict", 'n', RT_OPT_INT, &o.max_new, "N", "tokens at most (default 128)"},
        {"chat", 0, RT_OPT_FLAG, &chat, NULL, "the text is a user's turn of the model's chat template"},
        {"template", 0, RT_OPT_STR, &template, "NAME", "form of the turns, in place of the one the template says"},
        {"temp", 0, RT_OPT_NUM, &o.sampling.temperature, "T", "temperature; 0 is greedy (default)"},
        {"top-k", 0, RT_OPT_INT, &o.sampling.top_k, "K", "draw from the K most probable (default 0: off)"},
        {"top-p", 0, RT_OPT_NUM, &o.sampling.top_p, "P", "draw from the fewest that reach P (default 0: off)"},
        {"min-p", 0, RT_OPT_NUM, &o.sampling.min_p, "P",
         "draw from those with P times the largest probability (default 0: off)"},
        {"ignore-eos", 0, RT_OPT_FLAG, &o.ignore_end, NULL, "do not stop at an end token"},
        {0},
    };
    if (!rt_cli_begin(&c, "generate", argc, argv, "generate MODEL -p TEXT [-n N] [options]", about, opts, 1, 1,
                      "one model is needed", &code)) {
        return code;
    }
    rt_status st = RT_OK;
    rt_model *m = NULL;
    printer p = {.live = !c.common.json};
    rt_tokenizer *t = NULL;
    rt_ids ids = {0};
    rt_generation g = {0};
    if (prompt == NULL) {
        RT_FAIL_OUT(&c.err, RT_USAGE, 0, "a prompt is needed: -p TEXT");
    }
    if (template != NULL && !chat) {
        RT_FAIL_OUT(&c.err, RT_USAGE, 0, "--template names the form of a turn: it goes with --chat");
    }
    RT_TRY(rt_cli_check_model(&c, c.operands.v[0]));
    RT_TRY(rt_tokenizer_open(&t, c.operands.v[0], &c.err));
    if (template != NULL) {
        RT_TRY(rt_chat_set_form(t, template, &c.err));
    }
    RT_TRY(rt_cli_open_model(&c, c.operands.v[0], &m));
    RT_TRY(prompt_ids(t, prompt, chat, &ids, &c.err));
    p.t = t;
    o.sampling.seed = (uint64_t)c.common.seed;
    o.on_token = show;
    o.ud = &p;
    RT_TRY(rt_generate(&g, m, t, &(rt_prompt){.ids = ids.p, .n = (int64_t)ids.n}, 1, &o, &c.err));
    if (c.common.json) {
        RT_TRY(print_json(t, &g.seq[0], &c.err));
    } else {
        finish_text(&p);
    }
out:
    rt_generation_release(&g);
    rt_str_release(&p.pending);
    rt_ids_release(&ids);
    rt_tokenizer_close(t);
    rt_model_close(m);
    return rt_cli_end(&c, st);
}
