/* evidence_files.c - where evidence is read: GGUF and safetensors metadata, model card, licence file, config. */
#include <stdio.h>
#include <string.h>

#include "format/gguf.h"
#include "format/json.h"
#include "format/safetensors.h"
#include "record/evidence_item.h"
#include "record/front_matter.h"

enum { CARD_BYTES = 1 << 20, LICENCE_BYTES = 1 << 20, MAX_BASES = 16 };

/* ---- single files ---- */

static rt_status read_gguf_bases(rt_evidence *e, const rt_licence_table *t, const rt_gguf *g, const char *file,
                                 rt_err *err)
{
    int64_t count = 0;
    rt_gguf_get_i64(g, "general.base_model.count", &count);
    for (int64_t i = 0; i < count && i < MAX_BASES; i++) {
        char key[64];
        rt_slice org = {0}, name = {0};
        rt_str full = {0};
        snprintf(key, sizeof key, "general.base_model.%d.organization", (int)i);
        rt_gguf_get_str(g, key, &org);
        snprintf(key, sizeof key, "general.base_model.%d.name", (int)i);
        if (!rt_gguf_get_str(g, key, &name)) {
            snprintf(key, sizeof key, "general.base_model.%d.repo_url", (int)i);
            rt_gguf_get_str(g, key, &name);
            org.n = 0;
        }
        if (org.n > 0) {
            rt_str_add(&full, org.p, org.n);
            rt_str_putc(&full, '/');
        }
        rt_str_add(&full, name.p, name.n);
        rt_status st = full.failed ? rt_fail(err, RT_MEMORY, 0, "no memory for the base models") : RT_OK;
        if (st == RT_OK && name.n > 0) {
            st = rt_evidence_add_base(e, t, key, file, (rt_slice){full.p, full.n}, err);
        }
        rt_str_release(&full);
        if (st != RT_OK) {
            return st;
        }
    }
    return RT_OK;
}

static rt_status read_gguf(rt_evidence *e, const rt_licence_table *t, const char *path, rt_err *err)
{
    static const char *const tags[] = {"general.license", "general.license.name"};
    static const char *const names[] = {"general.name", "general.basename", "general.finetune"};
    rt_status st = RT_OK;
    rt_gguf *g = NULL;
    rt_slice v;
    const char *file = rt_path_base(path);
    RT_TRY(rt_gguf_open(&g, path, err));
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        if (rt_gguf_get_str(g, tags[i], &v) && v.n > 0) {
            RT_TRY(rt_evidence_add_tag(e, t, tags[i], file, v, err));
        }
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!rt_gguf_get_str(g, names[i], &v) || v.n == 0) {
            continue;
        }
        char buf[RT_EVIDENCE_VALUE_BYTES + 1];
        size_t n = v.n < RT_EVIDENCE_VALUE_BYTES ? v.n : RT_EVIDENCE_VALUE_BYTES;
        memcpy(buf, v.p, n);
        buf[n] = '\0';
        RT_TRY(rt_evidence_set_name(e, v, err));
        RT_TRY(rt_evidence_add_name(e, t, names[i], file, buf, "model", err));
    }
    RT_TRY(read_gguf_bases(e, t, g, file, err));
out:
    rt_gguf_close(g);
    return st;
}

static rt_status read_safetensors(rt_evidence *e, const rt_licence_table *t, const char *path, rt_err *err)
{
    static const char *const tags[] = {"license", "general.license", "general.license.name"};
    rt_status st = RT_OK;
    rt_safetensors *s = NULL;
    const char *file = rt_path_base(path), *v;
    RT_TRY(rt_safetensors_open(&s, path, err));
    for (size_t i = 0; i < sizeof tags / sizeof *tags; i++) {
        if ((v = rt_safetensors_meta(s, tags[i])) != NULL && *v) {
            RT_TRY(rt_evidence_add_tag(e, t, tags[i], file, (rt_slice){v, strlen(v)}, err));
        }
    }
    if ((v = rt_safetensors_meta(s, "general.name")) != NULL && *v) {
        RT_TRY(rt_evidence_set_name(e, (rt_slice){v, strlen(v)}, err));
        RT_TRY(rt_evidence_add_name(e, t, "general.name", file, v, "model", err));
    }
    if ((v = rt_safetensors_meta(s, "general.base_model.0.name")) != NULL && *v) {
        RT_TRY(rt_evidence_add_base(e, t, "general.base_model.0.name", file, (rt_slice){v, strlen(v)}, err));
    }
out:
    rt_safetensors_close(s);
    return st;
}

/* ---- folders ---- */

static rt_status read_card(rt_evidence *e, const rt_licence_table *t, const char *path, bool *has_licence, rt_err *err)
{
    static const char *const tags[] = {"license", "license_name"};
    rt_status st = RT_OK;
    rt_str text = {0};
    json_t *head = NULL, *v;
    size_t i, k;
    rt_err why = {0};
    RT_TRY(rt_file_read(&text, path, CARD_BYTES, err));
    st = rt_front_matter_parse(&head, rt_str_cstr(&text), text.n, path, &why);
    if (st == RT_INPUT) {
        /* A card that cannot be read may say anything: it counts as one whose licence is not known. */
        rt_evidence_item it = {.source = "model card",
                               .file = "README.md",
                               .licence = "unreadable-card",
                               .about = "model",
                               .value = {why.msg, strlen(why.msg)}};
        st = rt_evidence_add(e, &it, err);
        goto out;
    }
    RT_TRY(st == RT_OK ? RT_OK : rt_fail(err, st, 0, "%s", why.msg));
    for (k = 0; k < sizeof tags / sizeof *tags; k++) {
        json_array_foreach(json_object_get(head, tags[k]), i, v)
        {
            *has_licence = true;
            rt_slice s = {json_string_value(v), json_string_length(v)};
            RT_TRY(rt_evidence_add_tag(e, t, tags[k], "README.md", s, err));
        }
    }
    json_array_foreach(json_object_get(head, "base_model"), i, v)
    {
        rt_slice s = {json_string_value(v), json_string_length(v)};
        RT_TRY(i < MAX_BASES ? rt_evidence_add_base(e, t, "base_model", "README.md", s, err) : RT_OK);
    }
out:
    json_decref(head);
    rt_str_release(&text);
    return st;
}

const char *const rt_licence_file_names[] = {"LICENSE",     "LICENSE.txt", "LICENSE.md", "LICENCE",
                                             "LICENCE.txt", "license.txt", "COPYING",    NULL};

static rt_status read_licence_file(rt_evidence *e, const rt_licence_table *t, const char *dir, rt_err *err)
{
    for (const char *const *name = rt_licence_file_names; *name; name++) {
        char *path = rt_path_join(dir, *name);
        if (!path) {
            return rt_fail(err, RT_MEMORY, 0, "no memory for a path");
        }
        rt_status st = RT_OK;
        rt_str text = {0};
        if (rt_path_exists(path) && !rt_path_is_dir(path)) {
            st = rt_file_read(&text, path, LICENCE_BYTES, err);
            st = st == RT_OK
                     ? rt_evidence_add_text(e, t, "licence file", *name, (rt_slice){rt_str_cstr(&text), text.n}, err)
                     : st;
        }
        rt_str_release(&text);
        rt_free(path);
        if (st != RT_OK) {
            return st;
        }
    }
    return RT_OK;
}

static rt_status read_config(rt_evidence *e, const rt_licence_table *t, const char *path, rt_err *err)
{
    json_t *config = NULL;
    rt_status st = rt_json_load(&config, path, err);
    const char *name = rt_json_str(config, "_name_or_path", "");
    if (st == RT_OK && *name) {
        st = rt_evidence_add_name(e, t, "_name_or_path", "config.json", name, "ancestor", err);
    }
    json_decref(config);
    return st;
}

/* `own`: the folder itself is the model; else it is where a single file lies. */
static rt_status read_folder(rt_evidence *e, const rt_licence_table *t, const char *dir, bool own, rt_err *err)
{
    rt_status st = RT_OK;
    char *card = rt_path_join(dir, "README.md"), *config = rt_path_join(dir, "config.json");
    if (!card || !config) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for a path");
    }
    if (rt_path_exists(config)) {
        own = true;
        RT_TRY(read_config(e, t, config, err));
    }
    if (rt_path_exists(card)) {
        bool has_licence = false;
        RT_TRY(read_card(e, t, card, &has_licence, err));
        own = own || has_licence;
    }
    if (own) {
        RT_TRY(read_licence_file(e, t, dir, err));
    }
out:
    rt_free(card);
    rt_free(config);
    return st;
}

/* ---- public ---- */

rt_status rt_evidence_collect(rt_evidence *e, const rt_licence_table *t, const char *path, rt_err *err)
{
    rt_status st = RT_OK;
    char *dir = NULL;
    bool folder = rt_path_is_dir(path);
    if (!rt_path_exists(path)) {
        return rt_fail(err, RT_NOT_FOUND, 0, "model '%s' does not exist", path);
    }
    RT_TRY(rt_evidence_prepare(e, err));
    dir = folder ? rt_strdup(path) : rt_path_dir(path);
    if (!dir) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for a path");
    }
    for (size_t n = strlen(dir); n > 1 && dir[n - 1] == '/'; n--) {
        dir[n - 1] = '\0';
    }
    if (!folder) {
        RT_TRY(rt_gguf_is_file(path) ? read_gguf(e, t, path, err) : read_safetensors(e, t, path, err));
    }
    RT_TRY(read_folder(e, t, dir, folder, err));
    const char *base = rt_path_base(folder ? dir : path);
    RT_TRY(rt_evidence_add_name(e, t, folder ? "folder name" : "file name", NULL, base, "model", err));
    RT_TRY(rt_evidence_set_name(e, (rt_slice){base, strlen(base)}, err));
out:
    rt_free(dir);
    return st;
}
