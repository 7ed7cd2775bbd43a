/* fuzz_front_matter.c - hostile model cards: front matter, licence texts, escaping. */
#include "core/core.h"
#include "record/card.h"
#include "record/front_matter.h"
#include "record/licence.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static rt_licence_table *table;
    rt_err err = {0};
    rt_str text = {0}, out = {0};
    json_t *head = NULL;
    const char *ids[4];
    if (!table && rt_licence_table_open(&table, NULL, &err) != RT_OK) {
        return 0;
    }
    if (rt_front_matter_parse(&head, (const char *)data, size, "fuzz", &err) == RT_OK) {
        json_decref(head);
    }
    rt_licence_find_text(table, (const char *)data, size, ids, 4);
    rt_str_add(&text, data, size);
    rt_licence_find(table, rt_str_cstr(&text));
    rt_licence_find_family(table, rt_str_cstr(&text));
    rt_licence_find_host(table, rt_str_cstr(&text));
    rt_md_escape(&out, rt_str_cstr(&text));
    rt_yaml_scalar(&out, rt_str_cstr(&text));
    rt_str_release(&text);
    rt_str_release(&out);
    return 0;
}
