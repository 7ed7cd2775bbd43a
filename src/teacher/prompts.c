/* prompts.c - reading prompt files. */
#include "teacher/prompts.h"

#include <string.h>

static size_t count_messages(const json_t *list)
{
    const size_t n = json_array_size(list);
    const bool answered = n > 0 && strcmp(rt_json_str(json_array_get(list, n - 1), "role", ""), "assistant") == 0;
    return n - answered;
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

static rt_status check(const rt_prompt_row *p, rt_err *err)
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
        RT_TRY(check(&grown[p->n - 1], err));
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
