/* chat_forms.c - the forms, and the texts by which templates of a family are told. */
#include <string.h>

#include "text/chat_form.h"

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

#define IM_FRAME(role)                           \
    {                                            \
        "<|im_start|>" role "\n", "<|im_end|>\n" \
    }
#define IM_FRAMES                                                                                        \
    .marks = LIST("<|im_start|>", "<|im_end|>"), .system = IM_FRAME("system"), .user = IM_FRAME("user"), \
    .assistant = IM_FRAME("assistant")

#define HEADER_FRAME(role, text)                                              \
    {                                                                         \
        "<|start_header_id|>" role "<|end_header_id|>\n\n" text, "<|eot_id|>" \
    }
#define HEADER_FRAMES                                                                                    \
    .marks = LIST("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"), .bos = true, .trims = true, \
    .user = HEADER_FRAME("user", ""), .assistant = HEADER_FRAME("assistant", "")

#define DEEPSEEK_END "<\uff5cend\u2581of\u2581sentence\uff5c>"
#define DEEPSEEK_USER "<\uff5cUser\uff5c>"
#define DEEPSEEK_ASSISTANT "<\uff5cAssistant\uff5c>"

#define KIMI_FRAME(mark, role)                               \
    {                                                        \
        "<|im_" mark "|>" role "<|im_middle|>", "<|im_end|>" \
    }
#define MINIMAX_FRAME(role)        \
    {                              \
        "]~b]" role "\n", "[e~[\n" \
    }

static const rt_chat_form_info forms[] = {
    {.name = "chatml", IM_FRAMES, .tool = IM_FRAME("tool")},
    {.name = "qwen", IM_FRAMES, .default_after = "<|im_start|>system\n", .default_before = "<|im_end|>"},
    {.name = "gemma",
     .marks = LIST("<start_of_turn>", "<end_of_turn>"),
     .bos = true,
     .user = {"<start_of_turn>user\n", "<end_of_turn>\n"},
     .assistant = {"<start_of_turn>model\n", "<end_of_turn>\n"},
     .trims = true,
     .system_place = RT_SYSTEM_IN_FIRST_USER},
    {.name = "llama3", HEADER_FRAMES, .system = HEADER_FRAME("system", "")},
    {.name = "llama3.1",
     HEADER_FRAMES,
     .system = HEADER_FRAME("system", "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"),
     .system_default = ""},
    {.name = "deepseek2",
     .marks = LIST(DEEPSEEK_END),
     .bos = true,
     .system = {"", "\n\n"},
     .user = {"User: ", "\n\n"},
     .assistant = {"Assistant:", DEEPSEEK_END},
     .reply_lead = " "},
    {.name = "deepseek3",
     .marks = LIST(DEEPSEEK_USER, DEEPSEEK_ASSISTANT, DEEPSEEK_END),
     .bos = true,
     .system = {"", ""},
     .user = {DEEPSEEK_USER, ""},
     .assistant = {DEEPSEEK_ASSISTANT, DEEPSEEK_END}},
    {.name = "deepseek3.1",
     .marks = LIST(DEEPSEEK_USER, DEEPSEEK_ASSISTANT, DEEPSEEK_END, "</think>"),
     .bos = true,
     .system = {"", ""},
     .user = {DEEPSEEK_USER, ""},
     .assistant = {DEEPSEEK_ASSISTANT "</think>", DEEPSEEK_END}},
    {.name = "kimi-k2",
     .marks = LIST("<|im_system|>", "<|im_user|>", "<|im_assistant|>", "<|im_middle|>", "<|im_end|>"),
     .system = KIMI_FRAME("system", "system"),
     .user = KIMI_FRAME("user", "user"),
     .assistant = KIMI_FRAME("assistant", "assistant"),
     .tool = KIMI_FRAME("system", "tool"),
     .default_after = "<|im_system|>system<|im_middle|>",
     .default_before = "<|im_end|>"},
    {.name = "minimax-m2",
     .marks = LIST("]~!b[", "]~b]", "[e~["),
     .head = "]~!b[",
     .system = MINIMAX_FRAME("system"),
     .user = MINIMAX_FRAME("user"),
     .assistant = MINIMAX_FRAME("ai"),
     .default_after = "setmodel_identity='",
     .default_before = "'"},
    {.name = "gpt-oss",
     .marks = LIST("<|start|>", "<|message|>", "<|channel|>", "<|end|>", "<|return|>"),
     .head = "<|start|>system<|message|>You are ChatGPT, a large language model trained by OpenAI.\n"
             "Knowledge cutoff: 2024-06\n\nReasoning: medium\n\n"
             "# Valid channels: analysis, commentary, final. Channel must be included for every message.<|end|>",
     .system = {"<|start|>developer<|message|># Instructions\n\n", "\n\n<|end|>"},
     .user = {"<|start|>user<|message|>", "<|end|>"},
     .assistant = {"<|start|>assistant<|channel|>final<|message|>", "<|end|>"},
     .last_close = "<|return|>"},
    {.name = "mistral-v1",
     .marks = LIST("</s>"),
     .bos = true,
     .user = {" [INST] ", " [/INST]"},
     .assistant = {"", "</s>"},
     .reply_lead = " ",
     .system_place = RT_SYSTEM_IN_FIRST_USER},
    {.name = "mistral-v3",
     .marks = LIST("[INST]", "[/INST]", "</s>"),
     .bos = true,
     .user = {"[INST] ", "[/INST]"},
     .assistant = {"", "</s>"},
     .reply_lead = " ",
     .system_place = RT_SYSTEM_IN_LAST_USER},
    {.name = "mistral-v3-tekken",
     .marks = LIST("[INST]", "[/INST]", "</s>"),
     .bos = true,
     .user = {"[INST]", "[/INST]"},
     .assistant = {"", "</s>"},
     .system_place = RT_SYSTEM_IN_LAST_USER},
    {.name = "mistral-v7",
     .marks = LIST("[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[INST]", "[/INST]", "</s>"),
     .bos = true,
     .system = {"[SYSTEM_PROMPT] ", "[/SYSTEM_PROMPT]"},
     .user = {"[INST] ", "[/INST]"},
     .assistant = {"", "</s>"},
     .reply_lead = " "},
    {.name = "mistral-v7-tekken",
     .marks = LIST("[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]", "[INST]", "[/INST]", "</s>"),
     .bos = true,
     .system = {"[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"},
     .user = {"[INST]", "[/INST]"},
     .assistant = {"", "</s>"}},
};
#define N_FORMS (sizeof forms / sizeof forms[0])

/* A template is of the form of the first row of which it has all texts and not the last. */
static const struct {
    const char *form;
    const char *const *has;
    const char *lacks; /* NULL: nothing */
} prints[] = {
    {"qwen", LIST("<|im_start|>", "<tool_call>", "<tool_response>"), "<|im_sep|>"},
    {"kimi-k2", LIST("<|im_middle|>", "<|im_user|>", "<|im_assistant|>"), NULL},
    {"gpt-oss", LIST("<|start|>", "<|message|>", "<|channel|>"), NULL},
    {"gemma", LIST("<start_of_turn>", "<end_of_turn>", "model"), NULL},
    {"llama3.1", LIST("<|start_header_id|>", "<|eot_id|>", "Cutting Knowledge Date: December 2023"), NULL},
    {"llama3", LIST("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"), "Cutting Knowledge"},
    {"deepseek3.1", LIST(DEEPSEEK_USER, DEEPSEEK_ASSISTANT, "not thinking", "</think>"), NULL},
    {"deepseek3", LIST(DEEPSEEK_USER, DEEPSEEK_ASSISTANT, DEEPSEEK_END), NULL},
    {"deepseek2", LIST("'Assistant: ' + message['content'] + eos_token"), NULL},
    {"minimax-m2", LIST("]~!b[", "]~b]", "[e~["), NULL},
    {"mistral-v7-tekken", LIST("[SYSTEM_PROMPT]", "[INST]", "'[INST]'"), "[INST] "},
    {"mistral-v7-tekken", LIST("[SYSTEM_PROMPT]", "[INST]", "\"[INST]\""), "[INST] "},
    {"mistral-v7", LIST("[SYSTEM_PROMPT]", "[INST] "), NULL},
    {"mistral-v1", LIST(" [INST] ", "[/INST]"), "<<SYS>>"},
    {"mistral-v3-tekken", LIST("[AVAILABLE_TOOLS]", "\"[INST]\""), NULL},
    {"mistral-v3", LIST("[AVAILABLE_TOOLS]", "[INST] "), NULL},
};

const rt_chat_form_info *rt_chat_form_by_name(const char *name)
{
    for (size_t i = 0; i < N_FORMS; i++) {
        if (strcmp(forms[i].name, name) == 0) {
            return &forms[i];
        }
    }
    return NULL;
}

const rt_chat_form_info *rt_chat_form_by_print(const char *template)
{
    for (size_t i = 0; i < sizeof prints / sizeof prints[0]; i++) {
        bool all = !prints[i].lacks || !strstr(template, prints[i].lacks);
        for (const char *const *text = prints[i].has; all && *text; text++) {
            all = strstr(template, *text) != NULL;
        }
        if (all) {
            return rt_chat_form_by_name(prints[i].form);
        }
    }
    return NULL;
}

void rt_chat_form_list(rt_str *s)
{
    for (size_t i = 0; i < N_FORMS; i++) {
        rt_str_printf(s, "%s%s", i ? ", " : "", forms[i].name);
    }
}
