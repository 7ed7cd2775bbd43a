/* fuzz_json.c - JSON over any bytes: what is read, printed and read again is the same. */
#include "format/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *first = NULL, *second = NULL;
    rt_err err = {0};
    rt_str text = {0};
    if (rt_json_parse(&first, data, size, "fuzz", &err) != RT_OK) {
        RT_BUG_IF(err.msg[0] == '\0');
        return 0;
    }
    rt_json_append(&text, first);
    RT_BUG_IF(text.failed);
    RT_BUG_IF(rt_json_parse(&second, text.p, text.n, "again", &err) != RT_OK);
    RT_BUG_IF(!json_equal(first, second));
    rt_str_release(&text);
    json_decref(first);
    json_decref(second);
    return 0;
}
