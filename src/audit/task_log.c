/* task_log.c - reading and writing the items file. */
#include "audit/task_log.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "format/json.h"

static void key_text(char out[17], uint64_t key)
{
    snprintf(out, 17, "%016" PRIx64, key);
}

rt_status rt_task_log_read(json_t **lines, const char *path, const uint64_t *keys, size_t n, rt_err *err)
{
    rt_status st = RT_OK;
    rt_jsonl file = {0};
    json_t *line = NULL;
    char want[17];
    *lines = json_array();
    if (*lines == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for '%s'", path);
    }
    if (!rt_path_exists(path)) {
        return RT_OK;
    }
    RT_TRY(rt_jsonl_open(&file, path, err));
    for (size_t i = 0; i < n; i++) {
        RT_TRY(rt_jsonl_next(&file, &line, err));
        if (line == NULL) {
            break;
        }
        key_text(want, keys[i]);
        if (strcmp(rt_json_str(line, "key", ""), want) != 0) {
            RT_FAIL_OUT(err, RT_INPUT, 0,
                        "'%s' line %llu is an item of another model, precision, task or data; remove the file or name "
                        "another",
                        path, (unsigned long long)file.line);
        }
        json_array_append_new(*lines, line);
        line = NULL;
    }
out:
    json_decref(line);
    rt_jsonl_close(&file);
    return st;
}

rt_status rt_task_log_write(const json_t *lines, const char *path, const uint64_t *keys, rt_err *err)
{
    rt_str text = {0};
    size_t i;
    json_t *line;
    char key[17];
    json_array_foreach(lines, i, line)
    {
        key_text(key, keys[i]);
        json_t *with_key = json_copy(line);
        json_object_set_new(with_key, "key", json_string(key));
        rt_json_append(&text, with_key);
        rt_str_putc(&text, '\n');
        json_decref(with_key);
    }
    const rt_status st = text.failed ? rt_fail(err, RT_MEMORY, 0, "no memory to write '%s'", path)
                                     : rt_file_write(path, rt_str_cstr(&text), text.n, err);
    rt_str_release(&text);
    return st;
}
