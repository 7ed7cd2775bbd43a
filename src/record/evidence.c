/* evidence.c - reads what a model's own files, its card, its licence text and the names in them say.
 * Names are weak: they can make a verdict stricter, they never establish a licence (record/judge.c). */
#include "record/evidence.h"

#include <ctype.h>
#include <string.h>

#include "format/gguf.h"
#include "format/json.h"
#include "format/safetensors.h"
#include "record/front_matter.h"

enum { VALUE_BYTES = 160, ID_BYTES = 64, CARD_BYTES = 1 << 20, LICENCE_BYTES = 1 << 20, MAX_BASES = 16, MAX_TEXTS = 8 };

/* Text from a file as a JSON string: cut, one line, and always valid UTF-8. */
static json_t *safe_text(const char *p, size_t n)
{
    char buf[VALUE_BYTES];
    size_t len = n < sizeof buf ? n : sizeof buf;
    memcpy(buf, p, len);
    while (len > 0 && len < n && ((unsigned char)p[len] & 0xc0) == 0x80) {
        len--; /* not through the middle of a character */
    }
    bool utf8 = rt_utf8_valid(buf, len);
    for (size_t i = 0; i < len; i++) {
        if ((unsigned char)buf[i] < ' ' || buf[i] == 127) {
            buf[i] = ' ';
        } else if (!utf8 && (unsigned char)buf[i] > 127) {
            buf[i] = '?';
        }
    }
    return json_stringn(buf, len);
}

/* Id for a licence that the table lacks: what the model wrote, in a form one can type after --accept-licence. */
static void foreign_id(const char *value, size_t n, char out[ID_BYTES])
{
    size_t k = 0;
    for (size_t i = 0; i < n && k + 1 < ID_BYTES; i++) {
        char c = (char)tolower((unsigned char)value[i]);
        bool plain = isalnum((unsigned char)c) || c == '.' || c == '+';
        if (plain || (k > 0 && out[k - 1] != '-')) {
            out[k++] = plain ? c : '-';
        }
    }
    while (k > 0 && out[k - 1] == '-') {
        k--;
    }
    out[k] = '\0';
    if (k == 0) {
        memcpy(out, "other", 6);
    }
}

typedef struct item {
    const char *source, *file, *licence, *about;
    rt_slice value;
    bool weak;
    const char *text_sha256;
} item;

static rt_status add_item(rt_evidence *e, const item *it, rt_err *err)
{
    json_t *o = json_pack("{s:s, s:o*, s:s, s:s}", "source", it->source, "value", safe_text(it->value.p, it->value.n),
                          "licence", it->licence, "about", it->about);
    bool ok = o != NULL;
    ok = ok && (!it->file || json_object_set_new(o, "file", safe_text(it->file, strlen(it->file))) == 0);
    ok = ok && (!it->weak || json_object_set_new(o, "weak", json_true()) == 0);
    ok = ok && (!it->text_sha256 || json_object_set_new(o, "text_sha256", json_string(it->text_sha256)) == 0);
    ok = ok && json_array_append(e->items, o) == 0;
    json_decref(o);
    return ok ? RT_OK : rt_fail(err, RT_MEMORY, 0, "no memory for licence evidence");
}

static rt_status prepare(rt_evidence *e, rt_err *err)
{
    e->items = e->items ? e->items : json_array();
    e->base_models = e->base_models ? e->base_models : json_array();
    return e->items && e->base_models ? RT_OK : rt_fail(err, RT_MEMORY, 0, "no memory for licence evidence");
}

/* ---- kinds of evidence ---- */

/* A whole licence text: an item for each licence whose marking phrases it has. */
static rt_status add_text(rt_evidence *e, const rt_licence_table *t, const char *source, const char *file, rt_slice text,
                          rt_err *err)
{
    const char *ids[MAX_TEXTS];
    char hex[65];
    size_t n = rt_licence_find_text(t, text.p, text.n, ids, MAX_TEXTS);
    rt_digest_hex(rt_sha256_of(text.p, text.n), hex);
    if (n == 0) {
        ids[n++] = "unrecognised-text";
    }
    for (size_t i = 0; i < n; i++) {
        item it = {.source = source, .file = file, .licence = ids[i], .about = "model", .text_sha256 = hex};
        it.value = (rt_slice){"licence text", strlen("licence text")};
        rt_status st = add_item(e, &it, err);
        if (st != RT_OK) {
            return st;
        }
    }
    return RT_OK;
}

/* A tag or SPDX id. Of an expression "A OR B", "A AND B" every part counts: the stricter one decides. */
static rt_status add_tag(rt_evidence *e, const rt_licence_table *t, const char *source, const char *file, rt_slice v,
                         rt_err *err)
{
    if (v.n > VALUE_BYTES || memchr(v.p, '\n', v.n)) {
        return add_text(e, t, source, file, v, err);
    }
    char buf[VALUE_BYTES + 1];
    memcpy(buf, v.p, v.n);
    buf[v.n] = '\0';
    for (char *part = buf, *next; part; part = next) {
        char *either = strstr(part, " OR "), *both = strstr(part, " AND ");
        char *cut = either && (!both || either < both) ? either : both;
        next = NULL;
        if (cut) {
            next = cut + (cut == either ? 4 : 5);
            *cut = '\0';
        }
        char foreign[ID_BYTES];
        const char *id = rt_licence_find(t, part);
        if (!id) {
            foreign_id(part, strlen(part), foreign);
            id = foreign;
        }
        item it = {.source = source, .file = file, .licence = id, .about = "model", .value = v};
        rt_status st = add_item(e, &it, err);
        if (st != RT_OK) {
            return st;
        }
    }
    return RT_OK;
}

static rt_status add_name(rt_evidence *e, const rt_licence_table *t, const char *source, const char *file, const char *name,
                          const char *about, rt_err *err)
{
    const char *id = rt_licence_find_family(t, name);
    item it = {.source = source, .file = file, .licence = id, .about = about, .value = {name, strlen(name)}, .weak = true};
    return id ? add_item(e, &it, err) : RT_OK;
}

static rt_status set_name(rt_evidence *e, rt_slice name, rt_err *err)
{
    if (e->name || name.n == 0) {
        return RT_OK;
    }
    json_t *safe = safe_text(name.p, name.n);
    e->name = safe ? rt_strdup(json_string_value(safe)) : NULL;
    json_decref(safe);
    return e->name ? RT_OK : rt_fail(err, RT_MEMORY, 0, "no memory for the model's name");
}

static rt_status add_base(rt_evidence *e, const rt_licence_table *t, const char *source, const char *file, rt_slice name,
                          rt_err *err)
{
    json_t *safe = safe_text(name.p, name.n);
    if (!safe || json_array_append_new(e->base_models, safe) != 0) {
        return rt_fail(err, RT_MEMORY, 0, "no memory for the base models");
    }
    return add_name(e, t, source, file, json_string_value(safe), "ancestor", err);
}

/* ---- files ---- */

static rt_status read_gguf_bases(rt_evidence *e, const rt_licence_table *t, const rt_gguf *g, const char *file, rt_err *err)
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
            st = add_base(e, t, key, file, (rt_slice){full.p, full.n}, err);
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
            RT_TRY(add_tag(e, t, tags[i], file, v, err));
        }
    }
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!rt_gguf_get_str(g, names[i], &v) || v.n == 0) {
            continue;
        }
        char buf[VALUE_BYTES + 1];
        size_t n = v.n < VALUE_BYTES ? v.n : VALUE_BYTES;
        memcpy(buf, v.p, n);
        buf[n] = '\0';
        RT_TRY(set_name(e, v, err));
        RT_TRY(add_name(e, t, names[i], file, buf, "model", err));
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
            RT_TRY(add_tag(e, t, tags[i], file, (rt_slice){v, strlen(v)}, err));
        }
    }
    if ((v = rt_safetensors_meta(s, "general.name")) != NULL && *v) {
        RT_TRY(set_name(e, (rt_slice){v, strlen(v)}, err));
        RT_TRY(add_name(e, t, "general.name", file, v, "model", err));
    }
    if ((v = rt_safetensors_meta(s, "general.base_model.0.name")) != NULL && *v) {
        RT_TRY(add_base(e, t, "general.base_model.0.name", file, (rt_slice){v, strlen(v)}, err));
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
        item it = {.source = "model card", .file = "README.md", .licence = "unreadable-card", .about = "model",
                   .value = {why.msg, strlen(why.msg)}};
        st = add_item(e, &it, err);
        goto out;
    }
    RT_TRY(st == RT_OK ? RT_OK : rt_fail(err, st, 0, "%s", why.msg));
    for (k = 0; k < sizeof tags / sizeof *tags; k++) {
        json_array_foreach(json_object_get(head, tags[k]), i, v) {
            *has_licence = true;
            rt_slice s = {json_string_value(v), json_string_length(v)};
            RT_TRY(add_tag(e, t, tags[k], "README.md", s, err));
        }
    }
    json_array_foreach(json_object_get(head, "base_model"), i, v) {
        rt_slice s = {json_string_value(v), json_string_length(v)};
        RT_TRY(i < MAX_BASES ? add_base(e, t, "base_model", "README.md", s, err) : RT_OK);
    }
out:
    json_decref(head);
    rt_str_release(&text);
    return st;
}

static rt_status read_licence_file(rt_evidence *e, const rt_licence_table *t, const char *dir, rt_err *err)
{
    static const char *const names[] = {"LICENSE", "LICENSE.txt", "LICENSE.md", "LICENCE", "LICENCE.txt", "license.txt",
                                        "COPYING"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char *path = rt_path_join(dir, names[i]);
        if (!path) {
            return rt_fail(err, RT_MEMORY, 0, "no memory for a path");
        }
        rt_status st = RT_OK;
        rt_str text = {0};
        if (rt_path_exists(path) && !rt_path_is_dir(path)) {
            st = rt_file_read(&text, path, LICENCE_BYTES, err);
            st = st == RT_OK ? add_text(e, t, "licence file", names[i], (rt_slice){rt_str_cstr(&text), text.n}, err) : st;
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
        st = add_name(e, t, "_name_or_path", "config.json", name, "ancestor", err);
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

static bool is_gguf(const char *path)
{
    char magic[4] = {0};
    FILE *f = fopen(path, "rb");
    bool yes = f && fread(magic, 1, 4, f) == 4 && memcmp(magic, "GGUF", 4) == 0;
    if (f) {
        fclose(f);
    }
    return yes;
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
    RT_TRY(prepare(e, err));
    dir = folder ? rt_strdup(path) : rt_path_dir(path);
    if (!dir) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for a path");
    }
    for (size_t n = strlen(dir); n > 1 && dir[n - 1] == '/'; n--) {
        dir[n - 1] = '\0';
    }
    if (!folder) {
        RT_TRY(is_gguf(path) ? read_gguf(e, t, path, err) : read_safetensors(e, t, path, err));
    }
    RT_TRY(read_folder(e, t, dir, folder, err));
    const char *base = rt_path_base(folder ? dir : path);
    RT_TRY(add_name(e, t, folder ? "folder name" : "file name", NULL, base, "model", err));
    RT_TRY(set_name(e, (rt_slice){base, strlen(base)}, err));
out:
    rt_free(dir);
    return st;
}

rt_status rt_evidence_declare(rt_evidence *e, const rt_licence_table *t, const char *model_name, const char *licence,
                              const char *base_model, rt_err *err)
{
    rt_status st = RT_OK;
    e->declared = true;
    RT_TRY(prepare(e, err));
    RT_TRY(set_name(e, (rt_slice){model_name, strlen(model_name)}, err));
    RT_TRY(add_name(e, t, "declared name", NULL, model_name, "model", err));
    if (licence && *licence) {
        RT_TRY(add_tag(e, t, "declared licence", NULL, (rt_slice){licence, strlen(licence)}, err));
    }
    if (base_model && *base_model) {
        RT_TRY(add_base(e, t, "declared base model", NULL, (rt_slice){base_model, strlen(base_model)}, err));
    }
out:
    return st;
}

rt_status rt_evidence_add_host(rt_evidence *e, const rt_licence_table *t, const char *host, rt_err *err)
{
    rt_status st = prepare(e, err);
    item it = {.source = "host", .licence = rt_licence_find_host(t, host), .about = "model", .value = {host, strlen(host)}};
    e->declared = true;
    return st == RT_OK ? add_item(e, &it, err) : st;
}

void rt_evidence_release(rt_evidence *e)
{
    rt_free(e->name);
    json_decref(e->items);
    json_decref(e->base_models);
    *e = (rt_evidence){0};
}
