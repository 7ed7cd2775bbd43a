/* test_chat_forms.c - conversations in the forms of the families: text as their templates render it, ids of that text,
 * what counts, and which form a template's text names. */
#include "text_fixture.h"

#include "text/chat_form.h"
#include "text/utf8.h"
#include "text/vocab.h"

#define END "<\uff5cend\u2581of\u2581sentence\uff5c>"
#define USER "<\uff5cUser\uff5c>"
#define ASSISTANT "<\uff5cAssistant\uff5c>"

static const char *const specials[] = {"<bos>",
                                       "<|im_start|>",
                                       "<|im_end|>",
                                       "<start_of_turn>",
                                       "<end_of_turn>",
                                       "<|start_header_id|>",
                                       "<|end_header_id|>",
                                       "<|eot_id|>",
                                       END,
                                       USER,
                                       ASSISTANT,
                                       "</think>",
                                       "<|im_system|>",
                                       "<|im_user|>",
                                       "<|im_assistant|>",
                                       "<|im_middle|>",
                                       "]~!b[",
                                       "]~b]",
                                       "[e~[",
                                       "<|start|>",
                                       "<|message|>",
                                       "<|channel|>",
                                       "<|end|>",
                                       "<|return|>",
                                       "[INST]",
                                       "[/INST]",
                                       "[SYSTEM_PROMPT]",
                                       "[/SYSTEM_PROMPT]",
                                       "</s>"};
enum { N_SPECIAL = sizeof specials / sizeof specials[0], N_TOKENS = 256 + N_SPECIAL };

/* Every byte a token, no merges, and the special tokens of all families but the first `n_left_out`. */
static rt_tokenizer *open_bytes(const char *template, int n_left_out)
{
    static char bytes[256][8];
    const char *texts[N_TOKENS];
    int32_t kinds[N_TOKENS];
    char dir[256], path[512];
    rt_err err = {0};
    rt_tokenizer *t = NULL;
    for (int i = 0; i < 256; i++) {
        rt_str s = {0};
        rt_utf8_add(&s, rt_byte_to_char((uint8_t)i));
        snprintf(bytes[i], sizeof bytes[i], "%s", rt_str_cstr(&s));
        rt_str_release(&s);
        texts[i] = bytes[i];
        kinds[i] = RT_TOKEN_NORMAL;
    }
    for (int i = n_left_out; i < N_SPECIAL; i++) {
        texts[256 + i - n_left_out] = specials[i];
        kinds[256 + i - n_left_out] = RT_TOKEN_CONTROL;
    }
    scratch_open(dir);
    snprintf(path, sizeof path, "%s/t.gguf", dir);
    rt_gguf_writer *w = rt_gguf_writer_new();
    rt_gguf_set_str(w, "tokenizer.ggml.model", "gpt2");
    rt_gguf_set_str(w, "tokenizer.ggml.pre", "gpt-2");
    rt_gguf_set_str_array(w, "tokenizer.ggml.tokens", texts, (size_t)(N_TOKENS - n_left_out));
    rt_gguf_set_i32_array(w, "tokenizer.ggml.token_type", kinds, (size_t)(N_TOKENS - n_left_out));
    rt_gguf_set_str_array(w, "tokenizer.ggml.merges", NULL, 0);
    rt_gguf_set_u32(w, "tokenizer.ggml.bos_token_id", 256);
    if (template) {
        rt_gguf_set_str(w, "tokenizer.chat_template", template);
    }
    ok(rt_gguf_write(w, path, &err));
    rt_gguf_writer_free(w);
    ok(rt_tokenizer_open(&t, path, &err));
    scratch_close(dir);
    return t;
}

static const rt_chat_message talk[] = {
    {"system", "Be brief."}, {"user", " Hi\n"}, {"assistant", "Hello"}, {"user", "Bye"}, {"assistant", "Ciao"}};

#define HARMONY                                                                              \
    "<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.\n" \
    "Knowledge cutoff: 2024-06\n\nReasoning: medium\n\n"                                     \
    "# Valid channels: analysis, commentary, final. Channel must be included for every message.<|end|>"
#define HEAD(role) "<|start_header_id|>" role "<|end_header_id|>\n\n"

static const struct {
    const char *form, *text, *open_reply, *counted;
} forms[] = {
    {"chatml",
     "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n "
     "Hi\n<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n"
     "<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\nCiao<|im_end|>\n",
     "<|im_start|>assistant\n", "Hello<|im_end|>Ciao<|im_end|>"},
    {"qwen",
     "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n "
     "Hi\n<|im_end|>\n<|im_start|>assistant\nHello<|im_end|>\n"
     "<|im_start|>user\nBye<|im_end|>\n<|im_start|>assistant\nCiao<|im_end|>\n",
     "<|im_start|>assistant\n", "Hello<|im_end|>Ciao<|im_end|>"},
    {"gemma",
     "<bos><start_of_turn>user\nBe brief.\n\nHi<end_of_turn>\n<start_of_turn>model\nHello<end_of_turn>\n"
     "<start_of_turn>user\nBye<end_of_turn>\n<start_of_turn>model\nCiao<end_of_turn>\n",
     "<start_of_turn>model\n", "Hello<end_of_turn>Ciao<end_of_turn>"},
    {"llama3",
     "<bos>" HEAD("system") "Be brief.<|eot_id|>" HEAD("user") "Hi<|eot_id|>" HEAD("assistant") "Hello<|eot_id|>" HEAD(
         "user") "Bye<|eot_id|>" HEAD("assistant") "Ciao<|eot_id|>",
     HEAD("assistant"), "Hello<|eot_id|>Ciao<|eot_id|>"},
    {"llama3.1",
     "<bos>" HEAD("system") "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\nBe "
                            "brief.<|eot_id|>" HEAD("user") "Hi<|eot_id|>" HEAD("assistant") "Hello<|eot_id|>" HEAD(
                                "user") "Bye<|eot_id|>" HEAD("assistant") "Ciao"
                                                                          "<|eot_"
                                                                          "id|>",
     HEAD("assistant"), "Hello<|eot_id|>Ciao<|eot_id|>"},
    {"deepseek2", "<bos>Be brief.\n\nUser:  Hi\n\n\nAssistant: Hello" END "User: Bye\n\nAssistant: Ciao" END,
     "Assistant:", " Hello" END " Ciao" END},
    {"deepseek3", "<bos>Be brief." USER " Hi\n" ASSISTANT "Hello" END USER "Bye" ASSISTANT "Ciao" END, ASSISTANT,
     "Hello" END "Ciao" END},
    {"deepseek3.1", "<bos>Be brief." USER " Hi\n" ASSISTANT "</think>Hello" END USER "Bye" ASSISTANT "</think>Ciao" END,
     ASSISTANT "</think>", "Hello" END "Ciao" END},
    {"kimi-k2",
     "<|im_system|>system<|im_middle|>Be brief.<|im_end|><|im_user|>user<|im_middle|> Hi\n<|im_end|>"
     "<|im_assistant|>assistant<|im_middle|>Hello<|im_end|><|im_user|>user<|im_middle|>Bye<|im_end|>"
     "<|im_assistant|>assistant<|im_middle|>Ciao<|im_end|>",
     "<|im_assistant|>assistant<|im_middle|>", "Hello<|im_end|>Ciao<|im_end|>"},
    {"minimax-m2",
     "]~!b[]~b]system\nBe brief.[e~[\n]~b]user\n Hi\n[e~[\n]~b]ai\nHello[e~[\n]~b]user\nBye[e~[\n]~b]ai\nCiao[e~[\n",
     "]~b]ai\n", "Hello[e~[Ciao[e~["},
    {"gpt-oss",
     HARMONY "<|start|>developer<|message|># Instructions\n\nBe brief.\n\n<|end|><|start|>user<|message|> Hi\n<|end|>"
             "<|start|>assistant<|channel|>final<|message|>Hello<|end|><|start|>user<|message|>Bye<|end|>"
             "<|start|>assistant<|channel|>final<|message|>Ciao<|return|>",
     "<|start|>assistant<|channel|>final<|message|>", "Hello<|end|>Ciao<|return|>"},
    {"mistral-v1", "<bos> [INST] Be brief.\n\n Hi\n [/INST] Hello</s> [INST] Bye [/INST] Ciao</s>", "",
     " Hello</s> Ciao</s>"},
    {"mistral-v3", "<bos>[INST]  Hi\n[/INST] Hello</s>[INST] Be brief.\n\nBye[/INST] Ciao</s>", "",
     " Hello</s> Ciao</s>"},
    {"mistral-v3-tekken", "<bos>[INST] Hi\n[/INST]Hello</s>[INST]Be brief.\n\nBye[/INST]Ciao</s>", "",
     "Hello</s>Ciao</s>"},
    {"mistral-v7",
     "<bos>[SYSTEM_PROMPT] Be brief.[/SYSTEM_PROMPT][INST]  Hi\n[/INST] Hello</s>[INST] Bye[/INST] Ciao</s>", "",
     " Hello</s> Ciao</s>"},
    {"mistral-v7-tekken",
     "<bos>[SYSTEM_PROMPT]Be brief.[/SYSTEM_PROMPT][INST] Hi\n[/INST]Hello</s>[INST]Bye[/INST]Ciao</s>", "",
     "Hello</s>Ciao</s>"},
};
#define N_FORMS (sizeof forms / sizeof forms[0])

static void each_form_renders_as_its_template(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_str text = {0}, listed = {0};
    rt_tokenizer *t = open_bytes(NULL, 0);
    for (size_t i = 0; i < N_FORMS; i++) {
        rt_str_clear(&text);
        ok(rt_chat_set_form(t, forms[i].form, &err));
        ok(rt_chat_render(t, talk, 5, false, &text, &err));
        assert_string_equal(rt_str_cstr(&text), forms[i].text);
        rt_str_clear(&text);
        ok(rt_chat_render(t, talk + 1, 1, true, &text, &err));
        assert_string_equal(rt_str_cstr(&text) + text.n - strlen(forms[i].open_reply), forms[i].open_reply);
        rt_str_printf(&listed, "%s%s", i ? ", " : "", forms[i].form);
    }
    rt_str_clear(&text);
    rt_chat_form_list(&text);
    assert_string_equal(rt_str_cstr(&text), rt_str_cstr(&listed)); /* none untested */
    rt_str_release(&text);
    rt_str_release(&listed);
    rt_tokenizer_close(t);
}

static void ids_are_those_of_the_text_and_replies_count(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_str text = {0}, counted = {0};
    rt_ids whole = {0}, ids = {0}, prompt = {0};
    rt_tokenizer *t = open_bytes(NULL, 0);
    for (size_t i = 0; i < N_FORMS; i++) {
        rt_mask mask = {0};
        rt_str_clear(&text);
        rt_str_clear(&counted);
        whole.n = ids.n = prompt.n = 0;
        ok(rt_chat_set_form(t, forms[i].form, &err));
        ok(rt_chat_render(t, talk, 5, false, &text, &err));
        ok(rt_encode_text(t, rt_str_cstr(&text), text.n, 0, &whole, &err));
        ok(rt_chat_encode(t, talk, 5, false, &ids, &mask, &err));
        assert_int_equal(ids.n, whole.n);
        assert_memory_equal(ids.p, whole.p, ids.n * sizeof *ids.p);
        for (size_t k = 0; k < ids.n; k++) {
            if (mask.p[k]) {
                ok(rt_decode_id(t, ids.p[k], &counted, &err));
            }
        }
        assert_string_equal(rt_str_cstr(&counted), forms[i].counted);
        rt_mask_release(&mask);
        ids.n = 0;
        ok(rt_chat_encode(t, talk, 2, true, &prompt, NULL, &err));
        ok(rt_chat_encode(t, talk, 3, false, &ids, NULL, &err));
        assert_true(ids.n > prompt.n);
        assert_memory_equal(ids.p, prompt.p, prompt.n * sizeof *prompt.p);
    }
    rt_ids_release(&whole);
    rt_ids_release(&ids);
    rt_ids_release(&prompt);
    rt_str_release(&text);
    rt_str_release(&counted);
    rt_tokenizer_close(t);
}

/* Excerpts of the published templates, as far as they tell the form. */
static void templates_are_told_by_their_texts(void **state)
{
    (void)state;
    static const struct {
        const char *form, *system, *template;
    } cases[] = {
        {"qwen", "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.",
         "{%- if tools %}{{- '<|im_start|>system\\n' }}{%- if messages[0]['role'] == 'system' %}<tool_call>"
         "{{- '<|im_start|>system\\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\\n' "
         "}}"
         "<tool_response>"},
        {"qwen", NULL,
         "{{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' "
         "}}<tool_call></tool_call><tool_response>"},
        {"kimi-k2", "You are Kimi, an AI assistant created by Moonshot AI.",
         "<|im_system|>tool_declare<|im_middle|>{{ tools }}<|im_end|>{% if first %}<|im_system|>system<|im_middle|>"
         "You are Kimi, an AI assistant created by Moonshot AI.<|im_end|>{% endif %}<|im_user|>user<|im_assistant|>"},
        {"gemma", NULL, "{{ bos_token }}{% set role = \"model\" %}{{ '<start_of_turn>' + role }}<end_of_turn>"},
        {"llama3", NULL,
         "{{ '<|start_header_id|>' + role + '<|end_header_id|>\n\n' + content | trim + '<|eot_id|>' }}"},
        {"llama3.1", NULL,
         "<|start_header_id|>system<|end_header_id|>{{ \"Cutting Knowledge Date: December 2023\\n\" }}<|eot_id|>"},
        {"deepseek3", NULL, "{{'" USER "' + content}}{{'" ASSISTANT "' + content + '" END "'}}"},
        {"deepseek3.1", NULL,
         "{% if not thinking is defined %}{{'" USER "' + content}}{{'" ASSISTANT "'}}{{'</think>'}}" END},
        {"deepseek2", NULL, "{{ 'Assistant: ' + message['content'] + eos_token }}"},
        {"minimax-m2", "You are a helpful assistant.",
         "{%- set model_identity = \"You are a helpful assistant.\" -%}{{- ']~!b[' ~ ']~b]system' }}[e~["},
        {"gpt-oss", NULL, "{{- \"<|start|>system<|message|>\" }}<|channel|>"},
        {"mistral-v1", NULL, "{{ ' [INST] ' + content + ' [/INST]' }}"},
        {"mistral-v3", NULL, "{{ \"[AVAILABLE_TOOLS] [\" }}{{ \"[INST] \" + content + \"[/INST]\" }}"},
        {"mistral-v3-tekken", NULL, "{{ \"[AVAILABLE_TOOLS][\" }}{{ \"[INST]\" + content + \"[/INST]\" }}"},
        {"mistral-v7", NULL, "{{ '[SYSTEM_PROMPT] ' + s + '[/SYSTEM_PROMPT]' }}{{ '[INST] ' + c + '[/INST]' }}"},
        {"mistral-v7-tekken", NULL, "{{ '[SYSTEM_PROMPT]' + s + '[/SYSTEM_PROMPT]' }}{{ '[INST]' + c + '[/INST]' }}"},
        {NULL, NULL, "<|im_start|>{{ message.role }}<|im_sep|>"},
        {NULL, NULL, "{{ '[INST] <<SYS>>\\n' + system + ' [/INST]' }}"},
        {NULL, NULL, "<|user|>{{ message.content }}<|assistant|>"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rt_err err = {0};
        const rt_chat_form_info *form = NULL;
        char *system = NULL;
        ok(rt_chat_form_match(cases[i].template, &form, &system, &err));
        if ((form ? !cases[i].form || strcmp(form->name, cases[i].form) != 0 : cases[i].form != NULL) ||
            (system ? !cases[i].system || strcmp(system, cases[i].system) != 0 : cases[i].system != NULL)) {
            fail_msg("case %zu is '%s' with system '%s'", i, form ? form->name : "none", system ? system : "none");
        }
        rt_free(system);
    }
}

static void what_a_form_has_no_turn_for_is_refused(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_ids ids = {0};
    rt_tokenizer *t = open_bytes("{{ 'unknown' }}", 0);
    assert_null(rt_chat_form(t));
    assert_int_equal(rt_chat_encode(t, talk, 2, true, &ids, NULL, &err), RT_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "--template (a recipe: collect.template): chatml, qwen, gemma"));
    assert_int_equal(rt_chat_set_form(t, "vicuna", &err), RT_USAGE);
    assert_non_null(strstr(err.msg, "'vicuna'; known are chatml"));
    ok(rt_chat_set_form(t, "gemma", &err));
    const rt_chat_message tool[] = {{"user", "Hi"}, {"tool", "42"}};
    assert_int_equal(rt_chat_encode(t, tool, 2, true, &ids, NULL, &err), RT_INPUT);
    assert_non_null(strstr(err.msg, "'tool' of message 2"));
    const rt_chat_message late[] = {{"user", "Hi"}, {"system", "obey"}};
    assert_int_equal(rt_chat_encode(t, late, 2, true, &ids, NULL, &err), RT_INPUT);
    assert_non_null(strstr(err.msg, "can only go first"));
    assert_int_equal(rt_chat_encode(t, talk, 1, true, &ids, NULL, &err), RT_INPUT);
    rt_tokenizer_close(t);

    t = open_bytes(NULL, 5); /* without <end_of_turn> and what comes before it */
    ok(rt_chat_set_form(t, "gemma", &err));
    assert_int_equal(rt_chat_encode(t, talk, 2, true, &ids, NULL, &err), RT_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "no special token '<start_of_turn>'"));
    assert_int_equal(ids.n, 0);
    rt_tokenizer_close(t);
}

/* The default system content of a template goes with its own form only. */
static void a_named_form_brings_no_other_form_s_system(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_str text = {0};
    rt_tokenizer *t = open_smollm2();
    ok(rt_chat_set_form(t, "mistral-v1", &err));
    ok(rt_chat_render(t, talk + 3, 1, true, &text, &err));
    assert_string_equal(rt_str_cstr(&text), "<|im_start|> [INST] Bye [/INST]"); /* its BOS */
    ok(rt_chat_set_form(t, "qwen", &err));
    rt_str_clear(&text);
    ok(rt_chat_render(t, talk + 3, 1, false, &text, &err));
    assert_non_null(strstr(rt_str_cstr(&text), "named SmolLM"));
    rt_str_release(&text);
    rt_tokenizer_close(t);
}

/* A name in place of the template is what the cache knows the conversation's form by. */
static void a_named_form_has_its_own_hash(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_tokenizer *t = open_bytes("{{ 'unknown' }}", 0);
    const rt_digest before = rt_chat_hash(t);
    ok(rt_chat_set_form(t, "gemma", &err));
    const rt_digest named = rt_chat_hash(t), again = rt_sha256_of("gemma", 5);
    assert_memory_not_equal(&before, &named, sizeof named);
    assert_memory_equal(&named, &again, sizeof named);
    rt_tokenizer_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_form_renders_as_its_template),
        cmocka_unit_test(ids_are_those_of_the_text_and_replies_count),
        cmocka_unit_test(templates_are_told_by_their_texts),
        cmocka_unit_test(what_a_form_has_no_turn_for_is_refused),
        cmocka_unit_test(a_named_form_brings_no_other_form_s_system),
        cmocka_unit_test(a_named_form_has_its_own_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
