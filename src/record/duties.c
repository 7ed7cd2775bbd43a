/* duties.c - the licence duties that a program can check on a model that is about to be passed on. */
#include <string.h>

#include "format/json.h"
#include "record/licence.h"

static bool shows_any(const json_t *any, const char *card)
{
    size_t i;
    json_t *words;
    json_array_foreach(any, i, words)
    {
        if (json_is_string(words) && strstr(card, json_string_value(words))) {
            return true;
        }
    }
    return false;
}

rt_status rt_duties_check(const json_t *duties, const char *name, const char *card, rt_err *err)
{
    size_t i;
    json_t *d;
    json_array_foreach(duties, i, d)
    {
        const char *kind = rt_json_str(d, "kind", "");
        const char *value = rt_json_str(d, "value", "");
        bool met = true;
        if (strcmp(kind, "name-prefix") == 0) {
            met = strncmp(name, value, strlen(value)) == 0;
        } else if (strcmp(kind, "display") == 0) {
            met = shows_any(json_object_get(d, "any"), card);
        }
        if (!met) {
            return rt_fail(err, RT_LICENCE, 0, "model '%s' does not keep the licence duty '%s': %s", name,
                           rt_json_str(d, "id", "?"), rt_json_str(d, "text", ""));
        }
    }
    return RT_OK;
}
