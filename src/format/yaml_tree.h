/* yaml_tree.h - the plain part of YAML as a tree whose every node knows where it was written: one document of maps,
 * lists and scalars. Anchors, aliases, tags, keys that are no scalars and keys given twice are refused. */
#ifndef RT_FORMAT_YAML_TREE_H
#define RT_FORMAT_YAML_TREE_H

#include "core/core.h"

typedef enum rt_yaml_kind { RT_YAML_SCALAR, RT_YAML_LIST, RT_YAML_MAP } rt_yaml_kind;

typedef struct rt_yaml_node {
    rt_yaml_kind kind;
    bool quoted;                       /* scalar written in quotes or as a block: text whatever it looks like */
    const char *text;                  /* scalar */
    const char *source;                /* file name, or the option that set it */
    int line, column;                  /* from 1; 0 when it comes from an option */
    struct rt_yaml_node *key;          /* the key of a map's child */
    struct rt_yaml_node *first, *next; /* children of a list or map; sibling */
} rt_yaml_node;

/* Nodes live in `arena`; `source` is borrowed. `name_lines` is false for text that has no lines worth naming. */
RT_MUST_USE rt_status rt_yaml_parse(rt_yaml_node **root, rt_arena *arena, const char *text, size_t n,
                                    const char *source, bool name_lines, rt_err *err);
/* Applies "key.sub=value" to the tree: maps on the way are made, list elements are named by number from 0. */
RT_MUST_USE rt_status rt_yaml_set(rt_yaml_node *root, rt_arena *arena, const char *setting, rt_err *err);
/* Child of a map, NULL when absent. */
rt_yaml_node *rt_yaml_find(const rt_yaml_node *map, const char *key);
/* An empty scalar, ~ or null: a key without value. */
bool rt_yaml_is_null(const rt_yaml_node *n);
/* RT_RECIPE with "file:line:column: " or "--set 'key=value': " in front. */
rt_status rt_yaml_fail(const rt_yaml_node *at, rt_err *err, const char *fmt, ...) RT_PRINTF(3, 4);

#endif
