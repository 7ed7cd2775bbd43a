/* fuzz_recipe.c - recipes over any bytes (behind a NUL: one --set): what is accepted, printed and read again is the
 * same. */
#include <string.h>

#include "../tests/unit/format/recipe_schema.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *first = NULL, *second = NULL;
    rt_err err = {0};
    rt_str text = {0};
    const uint8_t *nul = size > 0 ? memchr(data, '\0', size) : NULL;
    size_t n = nul ? (size_t)(nul - data) : size;
    char *set = nul ? rt_strndup((const char *)nul + 1, size - n - 1) : NULL;
    const char *sets[1] = {set};
    if (rt_recipe_parse(&first, (const char *)data, n, "fuzz", recipe_schema, sets, set ? 1 : 0, &err) == RT_OK) {
        rt_recipe_print(&text, first);
        RT_BUG_IF(text.failed);
        RT_BUG_IF(rt_recipe_parse(&second, text.p, text.n, "again", recipe_schema, NULL, 0, &err) != RT_OK);
        RT_BUG_IF(!json_equal(first, second));
    } else {
        RT_BUG_IF(err.msg[0] == '\0');
    }
    rt_str_release(&text);
    json_decref(first);
    json_decref(second);
    rt_free(set);
    return 0;
}
