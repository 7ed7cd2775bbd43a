/* prompts.c - reading prompt files, and the form in which a model is asked. */
#include "teacher/prompts.h"

#include <string.h>

static bool is_answered(const json_t *list)
{
    const size_t n = json_array_size(list);
    return n > 0 && strcmp(rt_json_str(json_array_get(list, n - 1), "role", ""), "assistant") == 0;
}

static size_t count_messages(const json_t *list)
{
    return json_array_size(list) - is_answered(list);
}

size_t rt_prompt_turns(const rt_prompt_row *p, rt_chat_message turns[RT_PROMPT_TURNS])
{
    const json_t *list = json_object_get(p->row, "messages");
    if (!json_is_array(list)) {
        turns[0] = (rt_chat_message){.role = "user", .content = rt_json_str(p->row, "prompt", "")};
        return 1;
    }
    const size_t n = count_messages(list);
    for (size_t i = 0; i < n; i++) {
        const json_t *turn = json_array_get(list, i);
        turns[i] =
            (rt_chat_message){.role = rt_json_str(turn, "role", ""), .content = rt_json_str(turn, "content", "")};
    }
    return n;
}

rt_status rt_prompt_check(const rt_prompt_row *p, rt_err *err)
{
    const json_t *list = json_object_get(p->row, "messages");
    if (json_is_array(list)) {
        const size_t n = count_messages(list);
        return n > 0 && n <= RT_PROMPT_TURNS
                   ? RT_OK
                   : rt_fail(err, RT_INPUT, 0, "%s:%llu: 'messages' must hold 1 to %d turns before the answer", p->path,
                             (unsigned long long)p->line, RT_PROMPT_TURNS);
    }
    return *rt_json_str(p->row, "prompt", "") != '\0'
               ? RT_OK
               : rt_fail(err, RT_INPUT, 0, "%s:%llu: a row needs 'prompt' or 'messages'", p->path,
                         (unsigned long long)p->line);
}

const json_t *rt_prompt_closing(const rt_prompt_row *p)
{
    const json_t *list = json_object_get(p->row, "messages");
    return is_answered(list) ? json_object_get(json_array_get(list, json_array_size(list) - 1), "content") : NULL;
}

bool rt_prompt_is_chat(const rt_prompt_row *p, const rt_tokenizer *t)
{
    return json_is_array(json_object_get(p->row, "messages")) || rt_chat_form(t) != NULL;
}

rt_status rt_prompt_encode(const rt_prompt_row *p, const rt_tokenizer *t, rt_ids *ids, rt_err *err)
{
    rt_status st = RT_OK;
    rt_chat_message turns[RT_PROMPT_TURNS];
    const size_t n = rt_prompt_turns(p, turns);
    if (rt_prompt_is_chat(p, t)) {
        return rt_chat_encode(t, turns, n, true, ids, NULL, err);
    }
    if (rt_tokenizer_adds_bos(t)) {
        RT_TRY(rt_ids_push(ids, rt_tokenizer_bos(t), err));
    }
    RT_TRY(rt_encode_text(t, turns[0].content, strlen(turns[0].content), RT_ENCODE_PLAIN, ids, err));
out:
    return st;
}

static rt_status read_file(rt_prompts *p, const char *path, rt_err *err)
{
    rt_status st = RT_OK;
    rt_jsonl r = {0};
    RT_TRY(rt_jsonl_open(&r, path, err));
    for (;;) {
        json_t *row;
        RT_TRY(rt_jsonl_next(&r, &row, err));
        if (row == NULL) {
            break;
        }
        rt_prompt_row *grown = rt_realloc(p->rows, (p->n + 1) * sizeof *p->rows);
        if (grown == NULL) {
            json_decref(row);
            RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
        }
        p->rows = grown;
        grown[p->n++] = (rt_prompt_row){.row = row, .path = path, .line = r.line};
        RT_TRY(rt_prompt_check(&grown[p->n - 1], err));
    }
out:
    rt_jsonl_close(&r);
    return st;
}

rt_status rt_prompts_read(rt_prompts *p, const char *const *paths, size_t n_paths, rt_err *err)
{
    for (size_t i = 0; i < n_paths; i++) {
        const rt_status st = read_file(p, paths[i], err);
        if (st != RT_OK) {
            return st;
        }
    }
    return p->n > 0 ? RT_OK : rt_fail(err, RT_INPUT, 0, "'%s' holds no prompts", n_paths > 0 ? paths[0] : "");
}

void rt_prompts_release(rt_prompts *p)
{
    for (size_t i = 0; i < p->n; i++) {
        json_decref(p->rows[i].row);
    }
    rt_free(p->rows);
    *p = (rt_prompts){0};
}
