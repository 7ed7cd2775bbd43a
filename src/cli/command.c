/* The frame of every command. */
#include "cli/command.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "flow/permit.h"

bool rt_cli_begin(rt_cli *c, const char *name, int argc, char **argv, const char *usage, const char *about,
                  const rt_opt *opts, size_t least, size_t most, const char *what, int *code)
{
    bool done = false;
    *c = (rt_cli){.name = name};
    rt_status st = rt_opts_parse(argc, argv, usage, about, opts, &c->common, &c->operands, &done, &c->err);
    if (st == RT_OK && !done && (c->operands.n < least || c->operands.n > most)) {
        st = rt_fail(&c->err, RT_USAGE, 0, "%s; usage: retort %s", what, usage);
    }
    *code = st == RT_OK ? 0 : rt_cli_fail(name, st, &c->err);
    return st == RT_OK && !done;
}

int rt_cli_end(rt_cli *c, rt_status st)
{
    if (st == RT_OK && (fflush(stdout) != 0 || ferror(stdout))) {
        st = rt_fail(&c->err, RT_IO, 0, "writing standard output: %s", strerror(errno));
    }
    return st == RT_OK ? 0 : rt_cli_fail(c->name, st, &c->err);
}

/* A folder's config.json, or the one beside a file. */
static rt_status has_config(const char *path, bool folder, bool *has, rt_err *err)
{
    char *dir = folder ? rt_strdup(path) : rt_path_dir(path);
    char *config = dir != NULL ? rt_path_join(dir, "config.json") : NULL;
    *has = config != NULL && rt_path_exists(config);
    const rt_status st = config != NULL ? RT_OK : rt_fail(err, RT_MEMORY, 0, "out of memory");
    rt_free(config);
    rt_free(dir);
    return st;
}

/* Says that `path` is no model; where it is the folder of a run, where that one's student is. */
static rt_status no_model_folder(const char *path, rt_err *err)
{
    bool student = false;
    char *inner = rt_path_join(path, "student");
    rt_status st = inner != NULL ? has_config(inner, true, &student, err) : rt_fail(err, RT_MEMORY, 0, "out of memory");
    if (st == RT_OK) {
        st = rt_fail(err, RT_INPUT, 0, "folder '%s' is no model: it has no config.json%s%s%s", path,
                     student ? "; its student is '" : "", student ? inner : "", student ? "'" : "");
    }
    rt_free(inner);
    return st;
}

rt_status rt_cli_check_model(rt_cli *c, const char *path)
{
    rt_status st = RT_OK;
    bool config;
    unsigned char head[9] = {0}; /* of safetensors: the length of a JSON object, and its first character */
    const bool folder = rt_path_is_dir(path);
    if (!rt_path_exists(path)) {
        RT_FAIL_OUT(&c->err, RT_NOT_FOUND, 0, "model '%s' does not exist", path);
    }
    RT_TRY(has_config(path, folder, &config, &c->err));
    if (folder) {
        RT_TRY(config ? RT_OK : no_model_folder(path, &c->err));
        goto out;
    }
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        RT_FAIL_OUT(&c->err, RT_IO, 0, "cannot open model '%s': %s", path, strerror(errno));
    }
    const size_t n = fread(head, 1, sizeof head, f);
    (void)fclose(f); /* nothing was written */
    if (n >= 4 && memcmp(head, "GGUF", 4) == 0) {
        goto out;
    }
    if (n < sizeof head || head[7] != 0 || head[8] != '{') {
        RT_FAIL_OUT(&c->err, RT_INPUT, 0,
                    "'%s' is neither a GGUF file (those begin with 'GGUF') nor a safetensors file", path);
    }
    if (!config) {
        RT_FAIL_OUT(&c->err, RT_INPUT, 0, "'%s' has no config.json beside it; keep the files of a model together",
                    path);
    }
out:
    return st;
}

static bool is_same(const char *one, const char *other)
{
    struct stat a, b;
    return stat(one, &a) == 0 && stat(other, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

rt_status rt_cli_check_apart(rt_cli *c, const char *path, const char *out)
{
    rt_status st = RT_OK;
    char *read = rt_path_join(path, "model.safetensors"), *written = rt_path_join(out, "model.safetensors");
    if (read == NULL || written == NULL) {
        RT_FAIL_OUT(&c->err, RT_MEMORY, 0, "out of memory");
    }
    if (is_same(path, out) || is_same(path, written) || is_same(read, out)) {
        RT_FAIL_OUT(&c->err, RT_USAGE, 0,
                    "'%s' is the model that is read, or holds it: it would be overwritten; name another with -o", out);
    }
out:
    rt_free(read);
    rt_free(written);
    return st;
}

rt_status rt_cli_open_model(rt_cli *c, const char *path, rt_model **out)
{
    const rt_precision p = strcmp(c->common.precision, "f32") == 0 ? RT_PRECISION_F32 : RT_PRECISION_AUTO;
    return rt_model_open(out, path, &(rt_model_options){.precision = p, .memory = c->memory, .span = c->span}, &c->err);
}

rt_status rt_cli_permit(rt_cli *c, const char *model, unsigned uses, const char *dir, const char *accept,
                        const char *reason, const char *grant, rt_permit **out)
{
    return rt_permit_get(
        out,
        &(rt_permit_ask){.model = model, .uses = uses, .dir = dir, .accept = accept, .reason = reason, .grant = grant},
        NULL, &c->err);
}

rt_status rt_cli_layers(const char *option, const char *list, int *layers, int *n, rt_err *err)
{
    char *copy = rt_strdup(list), *next = copy;
    if (copy == NULL) {
        return rt_fail(err, RT_MEMORY, 0, "out of memory");
    }
    rt_status st = RT_OK;
    *n = 0;
    while (next != NULL && st == RT_OK) {
        const char *p = strsep(&next, ",");
        int64_t layer;
        if (*n == RT_MAX_LAYERS || !rt_parse_i64(p, &layer) || layer < 0 || layer >= RT_MAX_LAYERS) {
            st = rt_fail(err, RT_USAGE, 0, "option '%s': '%s' is no layer number; write %s 0,1,2,28,29", option, p,
                         option);
        } else {
            layers[(*n)++] = (int)layer;
        }
    }
    rt_free(copy);
    return st;
}

void rt_cli_print_json(const json_t *j)
{
    json_dumpf(j, stdout, JSON_COMPACT);
    putchar('\n');
}
