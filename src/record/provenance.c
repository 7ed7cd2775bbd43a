/* provenance.c - reading what a model says of its origin, and adding to it. */
#include "record/provenance_impl.h"

#include <stdio.h>
#include <strings.h>

#include "format/gguf.h"
#include "format/safetensors.h"
#include "record/front_matter.h"

enum { CARD_BYTES = 1 << 20, TEXT_BYTES = 1 << 16, MAX_BASES = 16 };

#define HUB "https://huggingface.co/"

static rt_status out_of_memory(rt_err *err)
{
    return rt_fail(err, RT_MEMORY, 0, "no memory for a model's provenance");
}

/* ---- adding ---- */

static rt_status set_text(json_t *p, const char *key, const char *text, size_t n, rt_err *err)
{
    return json_object_set_new(p, key, json_stringn(text, n)) == 0 ? RT_OK : out_of_memory(err);
}

/* Of base models, as many as are looked at. */
static rt_status set_count(json_t *p, int64_t n, rt_err *err)
{
    n = n < 0 ? 0 : n > MAX_BASES ? MAX_BASES : n;
    return json_object_set_new(p, RT_PROVENANCE_BASES, json_integer(n)) == 0 ? RT_OK : out_of_memory(err);
}

/* "A AND B" has part "A"; with a table also where it is written in another way that the table knows. */
static bool has_part(const char *expression, const char *part, const rt_licence_table *t)
{
    rt_str one = {0};
    bool found = false;
    for (const char *at = expression, *next; at != NULL && !found; at = next) {
        const char *end = strstr(at, RT_PROVENANCE_AND);
        next = end != NULL ? end + strlen(RT_PROVENANCE_AND) : NULL;
        rt_str_clear(&one);
        rt_str_add(&one, at, end != NULL ? (size_t)(end - at) : strlen(at));
        const char *id = t != NULL ? rt_licence_find(t, rt_str_cstr(&one)) : NULL;
        found = strcasecmp(rt_str_cstr(&one), part) == 0 || (id != NULL && strcmp(id, part) == 0);
    }
    rt_str_release(&one);
    return found;
}

static rt_status add_part(json_t *p, const char *key, const char *part, rt_err *err)
{
    rt_str all = {0};
    const char *before = rt_json_str(p, key, "");
    if (has_part(before, part, NULL)) {
        return RT_OK;
    }
    rt_str_printf(&all, "%s%s%s", before, *before ? RT_PROVENANCE_AND : "", part);
    const rt_status st = all.failed ? out_of_memory(err) : set_text(p, key, all.p, all.n, err);
    rt_str_release(&all);
    return st;
}

/* Nothing can be added to a text; what it was recognised as takes its place. */
static void drop_licence_text(json_t *p, const char *key)
{
    if (rt_is_licence_text(rt_json_str(p, key, ""))) {
        json_object_del(p, key);
    }
}

rt_status rt_provenance_add_licence(json_t *p, const rt_licence_table *t, const char *id, rt_err *err)
{
    const char *tag = rt_licence_tag(t, id);
    drop_licence_text(p, RT_PROVENANCE_LICENCE);
    drop_licence_text(p, RT_PROVENANCE_LICENCE_NAME);
    if (has_part(rt_json_str(p, RT_PROVENANCE_LICENCE, ""), id, t) ||
        has_part(rt_json_str(p, RT_PROVENANCE_LICENCE_NAME, ""), id, t)) {
        return RT_OK;
    }
    if (tag != NULL) {
        return add_part(p, RT_PROVENANCE_LICENCE, tag, err);
    }
    rt_status st = RT_OK;
    if (json_object_get(p, RT_PROVENANCE_LICENCE) == NULL) {
        st = set_text(p, RT_PROVENANCE_LICENCE, "other", 5, err);
    }
    return st == RT_OK ? add_part(p, RT_PROVENANCE_LICENCE_NAME, id, err) : st;
}

void rt_provenance_label(rt_str *out, const json_t *p, const char *prefix)
{
    char key[64];
    snprintf(key, sizeof key, "%s.repo_url", prefix);
    const char *url = rt_json_str(p, key, "");
    snprintf(key, sizeof key, "%s.organization", prefix);
    const char *organization = rt_json_str(p, key, "");
    snprintf(key, sizeof key, "%s.name", prefix);
    const char *name = rt_json_str(p, key, "");
    if (rt_begins_with(url, HUB) && url[strlen(HUB)] != '\0') {
        rt_str_puts(out, url + strlen(HUB));
    } else if (*name) {
        rt_str_printf(out, "%s%s%s", organization, *organization ? "/" : "", name);
    }
}

void rt_provenance_base(rt_str *out, const json_t *p, int i)
{
    char prefix[40];
    snprintf(prefix, sizeof prefix, "general.base_model.%d", i);
    rt_str_clear(out);
    rt_provenance_label(out, p, prefix);
}

static bool has_base(const json_t *p, const char *label)
{
    rt_str own = {0};
    bool found = false;
    for (int i = 0; i < rt_provenance_n_bases(p) && !found; i++) {
        rt_provenance_base(&own, p, i);
        found = strcmp(rt_str_cstr(&own), label) == 0;
    }
    rt_str_release(&own);
    return found;
}

rt_status rt_provenance_add_base(json_t *p, const char *label, rt_err *err)
{
    rt_status st = RT_OK;
    char key[64];
    const int i = rt_provenance_n_bases(p);
    const char *slash = strchr(label, '/'), *name = label;
    if (*label == '\0' || i == MAX_BASES || has_base(p, label)) {
        return RT_OK;
    }
    if (slash != NULL && slash != label && slash[1] != '\0' && strchr(slash + 1, '/') == NULL) {
        snprintf(key, sizeof key, "general.base_model.%d.organization", i);
        RT_TRY(set_text(p, key, label, (size_t)(slash - label), err));
        name = slash + 1;
    }
    snprintf(key, sizeof key, "general.base_model.%d.name", i);
    RT_TRY(set_text(p, key, name, strlen(name), err));
    RT_TRY(set_count(p, i + 1, err));
out:
    return st;
}

void rt_provenance_drop(json_t *p, const char *prefix)
{
    const char *key;
    json_t *v;
    void *next;
    json_object_foreach_safe(p, next, key, v)
    {
        if (rt_begins_with(key, prefix)) {
            json_object_del(p, key);
        }
    }
}

/* ---- reading ---- */

static bool is_carried(const char *key)
{
    return rt_begins_with(key, RT_PROVENANCE_LICENCE) || rt_begins_with(key, "general.base_model.") ||
           rt_begins_with(key, "retort.") || strcmp(key, "general.name") == 0 ||
           strcmp(key, "general.organization") == 0 || strcmp(key, "general.repo_url") == 0;
}

/* Text that is none for a card or another file is left out: what it may have meant, the judgement knows. */
static bool is_text(rt_slice v)
{
    return v.n > 0 && v.n <= TEXT_BYTES && memchr(v.p, '\0', v.n) == NULL && rt_utf8_valid(v.p, v.n);
}

static rt_status read_gguf(json_t *p, const char *path, rt_err *err)
{
    rt_status st = RT_OK;
    rt_gguf *g = NULL;
    RT_TRY(rt_gguf_open(&g, path, err));
    for (size_t i = 0; i < rt_gguf_n_kv(g); i++) {
        const rt_gguf_kv *kv = rt_gguf_kv_at(g, i);
        rt_slice v;
        int64_t count;
        if (is_carried(kv->key) && kv->type == RT_GGUF_STRING && rt_gguf_get_str(g, kv->key, &v) && is_text(v)) {
            RT_TRY(set_text(p, kv->key, v.p, v.n, err));
        } else if (strcmp(kv->key, RT_PROVENANCE_BASES) == 0 && rt_gguf_get_i64(g, RT_PROVENANCE_BASES, &count)) {
            RT_TRY(set_count(p, count, err));
        }
    }
out:
    rt_gguf_close(g);
    return st;
}

static rt_status read_safetensors(json_t *p, const char *path, rt_err *err)
{
    static const struct {
        const char *from, *to;
    } keys[] = {{"license", RT_PROVENANCE_LICENCE},
                {RT_PROVENANCE_LICENCE, RT_PROVENANCE_LICENCE},
                {RT_PROVENANCE_LICENCE_NAME, RT_PROVENANCE_LICENCE_NAME},
                {"general.name", "general.name"}};
    rt_status st = RT_OK;
    rt_safetensors *s = NULL;
    const char *v;
    RT_TRY(rt_safetensors_open(&s, path, err));
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if ((v = rt_safetensors_meta(s, keys[i].from)) != NULL && is_text((rt_slice){v, strlen(v)})) {
            RT_TRY(set_text(p, keys[i].to, v, strlen(v), err));
        }
    }
    if ((v = rt_safetensors_meta(s, "general.base_model.0.name")) != NULL && is_text((rt_slice){v, strlen(v)})) {
        RT_TRY(rt_provenance_add_base(p, v, err));
    }
out:
    rt_safetensors_close(s);
    return st;
}

static rt_status take_head(json_t *p, const json_t *head, rt_err *err)
{
    rt_status st = RT_OK;
    const char *key;
    json_t *texts, *v;
    size_t i;
    json_object_foreach((json_t *)head, key, texts)
    {
        char own[64];
        snprintf(own, sizeof own, "%s", key);
        rt_swap_in_key(own, '_', '.');
        json_array_foreach(texts, i, v)
        {
            const rt_slice text = {json_string_value(v), json_string_length(v)};
            if (!is_text(text)) {
                continue;
            }
            if (strcmp(key, "license") == 0) {
                RT_TRY(add_part(p, RT_PROVENANCE_LICENCE, text.p, err));
            } else if (strcmp(key, "license_name") == 0) {
                RT_TRY(add_part(p, RT_PROVENANCE_LICENCE_NAME, text.p, err));
            } else if (strcmp(key, "license_link") == 0) {
                RT_TRY(set_text(p, RT_PROVENANCE_LICENCE_LINK, text.p, text.n, err));
            } else if (strcmp(key, "base_model") == 0) {
                RT_TRY(rt_provenance_add_base(p, text.p, err));
            } else if (rt_begins_with(own, "retort.")) {
                RT_TRY(set_text(p, own, text.p, text.n, err));
            }
        }
    }
out:
    return st;
}

static rt_status read_card(json_t *p, const char *dir, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str text = {0};
    json_t *head = NULL;
    char *path = rt_path_join(dir, "README.md");
    if (path == NULL) {
        return out_of_memory(err);
    }
    if (rt_path_exists(path)) {
        rt_err why = {0};
        RT_TRY(rt_file_read(&text, path, CARD_BYTES, err));
        st = rt_front_matter_parse(&head, rt_str_cstr(&text), text.n, path, &why);
        if (st != RT_OK && st != RT_INPUT) {
            RT_FAIL_OUT(err, st, why.pos, "%s", why.msg);
        }
        RT_TRY(take_head(p, head, err));
    }
out:
    json_decref(head);
    rt_str_release(&text);
    rt_free(path);
    return st;
}

rt_status rt_provenance_read(json_t **out, const char *path, rt_err *err)
{
    rt_status st = RT_OK;
    const bool folder = rt_path_is_dir(path);
    char *dir = folder ? rt_strdup(path) : rt_path_dir(path);
    json_t *p = json_object();
    if (dir == NULL || p == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for a model's provenance");
    }
    if (!folder) {
        RT_TRY(rt_gguf_is_file(path) ? read_gguf(p, path, err) : read_safetensors(p, path, err));
    }
    RT_TRY(read_card(p, dir, err));
    *out = p;
    p = NULL;
out:
    json_decref(p);
    rt_free(dir);
    return st;
}
