/* front_matter.c - reads the block between two '---' lines at the head of a model card with libyaml. Only top-level
 * text and lists of text are looked at, so aliases and nesting cost nothing. */
#include "record/front_matter.h"

#include <string.h>
#include <yaml.h>

static const char *const wanted[] = {"license", "license_name", "license_link", "base_model", "datasets", "language"};

/* The bytes between the opening and the closing '---' line. */
static bool find_block(const char *card, size_t n, rt_slice *out)
{
    size_t at = n >= 3 && memcmp(card, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    const char *nl = n - at > 4 && memcmp(card + at, "---", 3) == 0 ? memchr(card + at, '\n', n - at) : NULL;
    if (!nl || (size_t)(nl - (card + at)) > 4) {
        return false;
    }
    const char *start = nl + 1, *end = card + n;
    for (const char *line = start; line < end;) {
        const char *stop = memchr(line, '\n', (size_t)(end - line));
        size_t len = (size_t)((stop ? stop : end) - line);
        if (len >= 3 && len <= 4 && memcmp(line, "---", 3) == 0) {
            *out = (rt_slice){start, (size_t)(line - start)};
            return true;
        }
        line = stop ? stop + 1 : end;
    }
    return false;
}

/* "retort_teacher_sha256": what retort itself wrote. */
static bool is_own(const char *key, size_t n)
{
    static const char prefix[] = "retort_";
    return n > strlen(prefix) && memcmp(key, prefix, strlen(prefix)) == 0 &&
           strspn(key, "abcdefghijklmnopqrstuvwxyz0123456789_") == n;
}

static bool is_wanted(const yaml_node_t *key)
{
    if (key && key->type == YAML_SCALAR_NODE && is_own((const char *)key->data.scalar.value, key->data.scalar.length)) {
        return true;
    }
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        size_t n = strlen(wanted[i]);
        if (key && key->type == YAML_SCALAR_NODE && key->data.scalar.length == n &&
            memcmp(key->data.scalar.value, wanted[i], n) == 0) {
            return true;
        }
    }
    return false;
}

/* NULL only when memory is out; text that is not UTF-8 cannot come out of libyaml. */
static bool append_scalar(json_t *list, const yaml_node_t *node)
{
    if (!node || node->type != YAML_SCALAR_NODE) {
        return true;
    }
    return json_array_append_new(list, json_stringn((const char *)node->data.scalar.value, node->data.scalar.length)) ==
           0;
}

static json_t *texts_of(yaml_document_t *doc, const yaml_node_t *value)
{
    json_t *list = json_array();
    bool ok = list && value;
    if (ok && value->type == YAML_SEQUENCE_NODE) {
        const yaml_node_item_t *i = value->data.sequence.items.start;
        for (; ok && i < value->data.sequence.items.top; i++) {
            ok = append_scalar(list, yaml_document_get_node(doc, *i));
        }
    } else if (ok) {
        ok = append_scalar(list, value);
    }
    if (!ok) {
        json_decref(list);
        list = NULL;
    }
    return list;
}

static rt_status read_mapping(json_t *out, yaml_document_t *doc, const char *what, rt_err *err)
{
    const yaml_node_t *root = yaml_document_get_root_node(doc);
    if (!root) {
        return RT_OK;
    }
    if (root->type != YAML_MAPPING_NODE) {
        return rt_fail(err, RT_INPUT, 0, "front matter of '%s' is no mapping", what);
    }
    const yaml_node_pair_t *pair = root->data.mapping.pairs.start;
    for (; pair < root->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(doc, pair->key);
        if (!is_wanted(key)) {
            continue;
        }
        const char *name = (const char *)key->data.scalar.value;
        if (json_object_get(out, name)) {
            return rt_fail(err, RT_INPUT, key->start_mark.line + 2, "front matter of '%s' has '%s' twice", what, name);
        }
        json_t *texts = texts_of(doc, yaml_document_get_node(doc, pair->value));
        if (!texts || json_object_set_new(out, name, texts) != 0) {
            return rt_fail(err, RT_MEMORY, 0, "no memory for the front matter of '%s'", what);
        }
    }
    return RT_OK;
}

rt_status rt_front_matter_parse(json_t **out, const char *card, size_t n, const char *what, rt_err *err)
{
    rt_status st = RT_OK;
    rt_slice block;
    yaml_parser_t parser;
    yaml_document_t doc;
    *out = NULL;
    if (!find_block(card, n, &block)) {
        return RT_OK;
    }
    if (!yaml_parser_initialize(&parser)) {
        return rt_fail(err, RT_MEMORY, 0, "no memory to read '%s'", what);
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)block.p, block.n);
    if (!yaml_parser_load(&parser, &doc)) {
        st = rt_fail(err, RT_INPUT, parser.problem_mark.line + 2, "front matter of '%s', line %zu: %s", what,
                     parser.problem_mark.line + 2, parser.problem ? parser.problem : "not valid YAML");
        yaml_parser_delete(&parser);
        return st;
    }
    json_t *o = json_object();
    st = o ? read_mapping(o, &doc, what, err) : rt_fail(err, RT_MEMORY, 0, "no memory to read '%s'", what);
    if (st == RT_OK) {
        *out = o;
    } else {
        json_decref(o);
    }
    yaml_document_delete(&doc);
    yaml_parser_delete(&parser);
    return st;
}
