/* yaml_tree.c - libyaml's events into a tree of marked nodes, and settings from the command line into that tree. */
#include "format/yaml_tree.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#define DEPTH_MAX 32
#define NODES_MAX 16384

typedef struct builder {
    yaml_parser_t parser;
    rt_arena *arena;
    const char *source;
    bool name_lines;
    int n_nodes;
    rt_err *err;
} builder;

rt_status rt_yaml_fail(const rt_yaml_node *at, rt_err *err, const char *fmt, ...)
{
    char what[sizeof err->msg];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    if (at->line == 0) {
        (void)rt_fail(err, RT_RECIPE, 0, "%s: %s", at->source, what);
    } else {
        (void)rt_fail(err, RT_RECIPE, (uint64_t)at->line, "%s:%d:%d: %s", at->source, at->line, at->column, what);
    }
    return RT_RECIPE;
}

static rt_status no_memory(rt_err *err)
{
    (void)rt_fail(err, RT_MEMORY, 0, "no memory for the recipe");
    return RT_MEMORY;
}

/* ---- building ---- */

static rt_status new_node(builder *b, rt_yaml_kind kind, yaml_mark_t mark, rt_yaml_node **out)
{
    rt_yaml_node *n = rt_arena_alloc(b->arena, sizeof *n);
    if (!n) {
        return no_memory(b->err);
    }
    *n = (rt_yaml_node){.kind = kind, .source = b->source};
    if (b->name_lines) {
        n->line = (int)mark.line + 1;
        n->column = (int)mark.column + 1;
    }
    *out = n;
    if (++b->n_nodes > NODES_MAX) {
        return rt_yaml_fail(n, b->err, "more than %d values", NODES_MAX);
    }
    return RT_OK;
}

static rt_status fail_syntax(builder *b)
{
    const yaml_parser_t *p = &b->parser;
    rt_yaml_node at = {.source = b->source};
    if (p->error == YAML_MEMORY_ERROR) {
        return no_memory(b->err);
    }
    if (b->name_lines) {
        at.line = (int)p->problem_mark.line + 1;
        at.column = (int)p->problem_mark.column + 1;
    }
    if (p->error == YAML_READER_ERROR) {
        return rt_yaml_fail(&at, b->err, "bad YAML: %s at byte %zu", p->problem ? p->problem : "unreadable",
                            p->problem_offset);
    }
    const char *problem = p->problem ? p->problem : "cannot be read";
    if (p->context && b->name_lines) {
        return rt_yaml_fail(&at, b->err, "bad YAML: %s %s begun at line %zu", problem, p->context,
                            p->context_mark.line + 1);
    }
    return rt_yaml_fail(&at, b->err, "bad YAML: %s", problem);
}

static rt_status next_event(builder *b, yaml_event_t *e)
{
    return yaml_parser_parse(&b->parser, e) ? RT_OK : fail_syntax(b);
}

static const char *anchor_of(const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_SCALAR_EVENT: return (const char *)e->data.scalar.anchor;
    case YAML_SEQUENCE_START_EVENT: return (const char *)e->data.sequence_start.anchor;
    case YAML_MAPPING_START_EVENT: return (const char *)e->data.mapping_start.anchor;
    default: return NULL;
    }
}

static const char *tag_of(const yaml_event_t *e)
{
    switch (e->type) {
    case YAML_SCALAR_EVENT: return (const char *)e->data.scalar.tag;
    case YAML_SEQUENCE_START_EVENT: return (const char *)e->data.sequence_start.tag;
    case YAML_MAPPING_START_EVENT: return (const char *)e->data.mapping_start.tag;
    default: return NULL;
    }
}

static rt_status refuse_fancy(const yaml_event_t *e, const rt_yaml_node *n, rt_err *err)
{
    if (e->type == YAML_ALIAS_EVENT) {
        return rt_yaml_fail(n, err, "alias '*%s': write the value out, recipes have no aliases",
                            (const char *)e->data.alias.anchor);
    }
    if (anchor_of(e)) {
        return rt_yaml_fail(n, err, "anchor '&%s': recipes have no anchors", anchor_of(e));
    }
    if (tag_of(e)) {
        return rt_yaml_fail(n, err, "tag '%s': recipes have no tags", tag_of(e));
    }
    return RT_OK;
}

static rt_status take_scalar(builder *b, const yaml_event_t *e, rt_yaml_node *n)
{
    const char *text = (const char *)e->data.scalar.value;
    if (memchr(text, '\0', e->data.scalar.length)) {
        return rt_yaml_fail(n, b->err, "text with a NUL character");
    }
    n->quoted = e->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    n->text = rt_arena_strndup(b->arena, text, e->data.scalar.length);
    return n->text ? RT_OK : no_memory(b->err);
}

static rt_status take_node(builder *b, yaml_event_t *e, int depth, rt_yaml_node **out);

static rt_status take_list(builder *b, rt_yaml_node *list, int depth)
{
    rt_status st;
    rt_yaml_node **end = &list->first;
    for (;;) {
        yaml_event_t e;
        RT_TRY(next_event(b, &e));
        if (e.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&e);
            return RT_OK;
        }
        RT_TRY(take_node(b, &e, depth, end));
        end = &(*end)->next;
    }
out:
    return st;
}

static rt_status take_map(builder *b, rt_yaml_node *map, int depth)
{
    rt_status st;
    rt_yaml_node **end = &map->first;
    for (;;) {
        yaml_event_t e;
        rt_yaml_node *key = NULL;
        RT_TRY(next_event(b, &e));
        if (e.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&e);
            return RT_OK;
        }
        RT_TRY(take_node(b, &e, depth, &key));
        if (key->kind != RT_YAML_SCALAR) {
            st = rt_yaml_fail(key, b->err, "a key must be a single word, not a list or map");
            goto out;
        }
        const rt_yaml_node *twin = rt_yaml_find(map, key->text);
        if (twin) {
            st = rt_yaml_fail(key, b->err, "key '%s' was already given at line %d", key->text, twin->key->line);
            goto out;
        }
        RT_TRY(next_event(b, &e));
        RT_TRY(take_node(b, &e, depth, end));
        (*end)->key = key;
        end = &(*end)->next;
    }
out:
    return st;
}

/* The node that begins with event `e`, which is used up. */
static rt_status take_node(builder *b, yaml_event_t *e, int depth, rt_yaml_node **out)
{
    rt_status st;
    rt_yaml_node *n = NULL;
    rt_yaml_kind kind = e->type == YAML_MAPPING_START_EVENT    ? RT_YAML_MAP
                        : e->type == YAML_SEQUENCE_START_EVENT ? RT_YAML_LIST
                                                               : RT_YAML_SCALAR;
    RT_TRY(new_node(b, kind, e->start_mark, &n));
    RT_TRY(refuse_fancy(e, n, b->err));
    if (depth >= DEPTH_MAX) {
        st = rt_yaml_fail(n, b->err, "nested deeper than %d levels", DEPTH_MAX);
        goto out;
    }
    if (kind == RT_YAML_SCALAR) {
        st = take_scalar(b, e, n);
    } else {
        st = kind == RT_YAML_MAP ? take_map(b, n, depth + 1) : take_list(b, n, depth + 1);
    }
    *out = n;
out:
    yaml_event_delete(e);
    return st;
}

/* The events around the one document. */
static rt_status take_document(builder *b, rt_yaml_node **root)
{
    rt_status st;
    yaml_event_t e;
    bool in_document = false;
    *root = NULL;
    for (;;) {
        RT_TRY(next_event(b, &e));
        switch (e.type) {
        case YAML_STREAM_END_EVENT: yaml_event_delete(&e); return RT_OK;
        case YAML_STREAM_START_EVENT:
        case YAML_DOCUMENT_END_EVENT: yaml_event_delete(&e); break;
        case YAML_DOCUMENT_START_EVENT:
            if (in_document) {
                rt_yaml_node at = {
                    .source = b->source, .line = b->name_lines ? (int)e.start_mark.line + 1 : 0, .column = 1};
                yaml_event_delete(&e);
                st = rt_yaml_fail(&at, b->err, "a second document: a recipe is one");
                goto out;
            }
            in_document = true;
            yaml_event_delete(&e);
            break;
        default: RT_TRY(take_node(b, &e, 0, root));
        }
    }
out:
    return st;
}

rt_status rt_yaml_parse(rt_yaml_node **root, rt_arena *arena, const char *text, size_t n, const char *source,
                        bool name_lines, rt_err *err)
{
    builder b = {.arena = arena, .source = source, .name_lines = name_lines, .err = err};
    if (!yaml_parser_initialize(&b.parser)) {
        return no_memory(err);
    }
    yaml_parser_set_encoding(&b.parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&b.parser, (const unsigned char *)text, n);
    rt_status st = take_document(&b, root);
    yaml_parser_delete(&b.parser);
    return st;
}

/* ---- looking and setting ---- */

bool rt_yaml_is_null(const rt_yaml_node *n)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    for (size_t i = 0; n->kind == RT_YAML_SCALAR && !n->quoted && i < sizeof nulls / sizeof nulls[0]; i++) {
        if (strcmp(n->text, nulls[i]) == 0) {
            return true;
        }
    }
    return false;
}

rt_yaml_node *rt_yaml_find(const rt_yaml_node *map, const char *key)
{
    for (rt_yaml_node *n = map->first; n; n = n->next) {
        if (strcmp(n->key->text, key) == 0) {
            return n;
        }
    }
    return NULL;
}

/* Where the child that `segment` names hangs, or where a new one belongs; NULL when a list has no such element. */
static rt_yaml_node **find_link(rt_yaml_node *parent, const char *segment)
{
    rt_yaml_node **link = &parent->first;
    int64_t wanted = -1;
    if (parent->kind == RT_YAML_LIST && (!rt_parse_i64(segment, &wanted) || wanted < 0)) {
        return NULL;
    }
    for (int64_t i = 0; *link; link = &(*link)->next, i++) {
        if (parent->kind == RT_YAML_LIST ? i == wanted : strcmp((*link)->key->text, segment) == 0) {
            return link;
        }
    }
    return parent->kind == RT_YAML_LIST ? NULL : link;
}

/* Hangs `n` where `link` points, in the place of what is there. */
static rt_status put_node(rt_arena *arena, rt_yaml_node **link, rt_yaml_node *n, const char *segment, rt_err *err)
{
    n->next = *link ? (*link)->next : NULL;
    n->key = rt_arena_alloc(arena, sizeof *n->key);
    if (!n->key) {
        return no_memory(err);
    }
    *n->key = (rt_yaml_node){.kind = RT_YAML_SCALAR, .text = segment, .source = n->source};
    *link = n;
    return RT_OK;
}

static rt_status put_at_path(rt_yaml_node *parent, rt_arena *arena, char *path, rt_yaml_node *value, rt_err *err)
{
    for (;;) {
        char *dot = strchr(path, '.');
        if (dot) {
            *dot = '\0';
        }
        if (parent->kind == RT_YAML_SCALAR) {
            return rt_yaml_fail(value, err, "'%s' would lie in a single value", path);
        }
        rt_yaml_node **link = find_link(parent, path);
        if (!link) {
            return rt_yaml_fail(value, err, "'%s' is no element of the list (they are numbered from 0)", path);
        }
        if (!dot) {
            return put_node(arena, link, value, path, err);
        }
        if (!*link || rt_yaml_is_null(*link)) {
            rt_yaml_node *map = rt_arena_alloc(arena, sizeof *map);
            if (!map) {
                return no_memory(err);
            }
            *map = (rt_yaml_node){.kind = RT_YAML_MAP, .source = value->source};
            rt_status st = put_node(arena, link, map, path, err);
            if (st != RT_OK) {
                return st;
            }
        }
        parent = *link;
        path = dot + 1;
    }
}

rt_status rt_yaml_set(rt_yaml_node *root, rt_arena *arena, const char *setting, rt_err *err)
{
    rt_status st;
    rt_str source = {0};
    rt_yaml_node *value = NULL, at = {0};
    const char *equals = strchr(setting, '=');
    rt_str_printf(&source, "--set '%.200s'", setting);
    char *path = equals ? rt_arena_strndup(arena, setting, (size_t)(equals - setting)) : NULL;
    at.source = source.failed ? NULL : rt_arena_strndup(arena, source.p, source.n);
    if (!at.source || (equals && !path)) {
        st = no_memory(err);
        goto out;
    }
    if (!equals || equals == setting) {
        st = rt_yaml_fail(&at, err, "expected key=value");
        goto out;
    }
    RT_TRY(rt_yaml_parse(&value, arena, equals + 1, strlen(equals + 1), at.source, false, err));
    if (!value) {
        st = rt_yaml_fail(&at, err, "no value behind the '='");
        goto out;
    }
    RT_TRY(put_at_path(root, arena, path, value, err));
out:
    rt_str_release(&source);
    return st;
}
