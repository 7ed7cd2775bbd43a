/* tokenizer_open.c - finds the tokenizer that belongs to a path. */
#include <stdio.h>
#include <string.h>

#include "text/tokenizer_impl.h"

#define TEMPLATE_LIMIT (4u << 20)

static rt_status open_gguf(rt_tokenizer **out, const char *path, rt_err *err)
{
    rt_gguf *g = NULL;
    rt_status st = rt_gguf_open(&g, path, err);
    if (st != RT_OK) {
        return st;
    }
    st = rt_tokenizer_from_gguf(out, g, err);
    rt_gguf_close(g);
    return st == RT_OK ? st : rt_err_wrap(err, st, "tokenizer of '%s'", path);
}

/* Newer folders keep the chat template in a file of its own; it then takes the place of the configuration's. */
static rt_status add_template(json_t **config, const char *dir, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str text = {0};
    char *path = rt_path_join(dir, "chat_template.jinja");
    if (!path) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory to open '%s'", dir);
    }
    if (!rt_path_exists(path)) {
        goto out;
    }
    RT_TRY(rt_file_read(&text, path, TEMPLATE_LIMIT, err));
    *config = *config ? *config : json_object();
    if (json_object_set_new(*config, "chat_template", json_stringn(rt_str_cstr(&text), text.n)) != 0) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "'%s' is not UTF-8 text, or memory is out", path);
    }
out:
    rt_str_release(&text);
    rt_free(path);
    return st;
}

static rt_status open_hf(rt_tokenizer **out, const char *path, rt_err *err)
{
    rt_status st = RT_OK;
    json_t *root = NULL, *config = NULL;
    char *dir = rt_path_dir(path);
    char *config_path = dir ? rt_path_join(dir, "tokenizer_config.json") : NULL;
    if (!config_path) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory to open '%s'", path);
    }
    RT_TRY(rt_json_load(&root, path, err));
    if (rt_path_exists(config_path)) {
        RT_TRY(rt_json_load(&config, config_path, err));
    }
    RT_TRY(add_template(&config, dir, err));
    st = rt_tokenizer_from_hf(out, root, config, err);
    if (st != RT_OK) {
        st = rt_err_wrap(err, st, "tokenizer '%s'", path);
    }
out:
    json_decref(root);
    json_decref(config);
    rt_free(config_path);
    rt_free(dir);
    return st;
}

static rt_status open_in(rt_tokenizer **out, const char *dir, rt_err *err)
{
    rt_status st = RT_OK;
    char *gguf = rt_path_join(dir, "tokenizer.gguf"), *hf = rt_path_join(dir, "tokenizer.json");
    if (!gguf || !hf) {
        st = rt_fail(err, RT_MEMORY, 0, "no memory to open '%s'", dir);
    } else if (rt_path_exists(gguf)) {
        st = open_gguf(out, gguf, err);
    } else if (rt_path_exists(hf)) {
        st = open_hf(out, hf, err);
    } else {
        st =
            rt_fail(err, RT_NOT_FOUND, 0, "no tokenizer in '%s': expected tokenizer.gguf or tokenizer.json there", dir);
    }
    rt_free(gguf);
    rt_free(hf);
    return st;
}

static rt_status looks_like_gguf(const char *path, bool *yes, rt_err *err)
{
    char magic[4] = {0};
    FILE *f = fopen(path, "rb");
    if (!f) {
        return rt_fail(err, RT_IO, 0, "cannot open '%s'", path);
    }
    *yes = fread(magic, 1, sizeof magic, f) == sizeof magic && memcmp(magic, "GGUF", 4) == 0;
    (void)fclose(f); /* nothing was written */
    return RT_OK;
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);
    return n >= k && strcmp(s + n - k, end) == 0;
}

/* A JSON file that may itself be a tokenizer, not one that stands beside it. */
static bool is_tokenizer_json(const char *path)
{
    return ends_with(path, ".json") && !ends_with(path, "config.json") && !ends_with(path, ".index.json");
}

static rt_status open_of(rt_tokenizer **out, const char *path, rt_err *err)
{
    bool gguf = false;
    if (!rt_path_exists(path)) {
        return rt_fail(err, RT_NOT_FOUND, 0, "no file or folder '%s' to take a tokenizer from", path);
    }
    if (rt_path_is_dir(path)) {
        return open_in(out, path, err);
    }
    rt_status st = looks_like_gguf(path, &gguf, err);
    if (st != RT_OK) {
        return st;
    }
    if (gguf) {
        return open_gguf(out, path, err);
    }
    if (is_tokenizer_json(path)) {
        return open_hf(out, path, err);
    }
    char *dir = rt_path_dir(path);
    st = dir ? open_in(out, dir, err) : rt_fail(err, RT_MEMORY, 0, "no memory to open '%s'", path);
    rt_free(dir);
    return st;
}

rt_status rt_tokenizer_open(rt_tokenizer **out, const char *path, rt_err *err)
{
    rt_status st = RT_OK;
    rt_tokenizer *t = NULL;
    RT_TRY(open_of(&t, path, err));
    t->from = rt_strdup(path);
    if (!t->from) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory to open '%s'", path);
    }
    *out = t;
    t = NULL;
out:
    rt_tokenizer_close(t);
    return st;
}
