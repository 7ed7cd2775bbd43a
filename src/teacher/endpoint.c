/* endpoint.c - opening, and who answers: what /v1/models and llama-server's /props say, compared again and again. */
#include "teacher/endpoint.h"

#include <stdlib.h>
#include <string.h>

#include "teacher/endpoint_impl.h"

rt_endpoint_options rt_endpoint_default(void)
{
    return (rt_endpoint_options){.parallel = 4, .attempts = 5, .wait = 1, .max_wait = 600, .timeout = 300};
}

static rt_status find_key(rt_endpoint *e, rt_err *err)
{
    if (e->o.key_env == NULL) {
        return RT_OK;
    }
    e->key = getenv(e->o.key_env);
    return e->key != NULL && *e->key != '\0'
               ? RT_OK
               : rt_fail(err, RT_USAGE, 0, "the environment variable '%s', which is to hold the API key, is not set",
                         e->o.key_env);
}

rt_status rt_endpoint_open(rt_endpoint **out, const rt_endpoint_options *o, rt_err *err)
{
    rt_status st = RT_OK;
    rt_endpoint *e = NULL;
    *out = NULL;
    if (o->parallel < 1 || o->parallel > 256 || o->attempts < 1 || !(o->wait >= 0) || !(o->max_wait >= 0) ||
        !(o->timeout > 0 && o->timeout <= 86400)) {
        RT_FAIL_OUT(err, RT_USAGE, 0,
                    "an endpoint takes 1 to 256 requests at a time, at least one try, and times "
                    "above zero");
    }
    RT_TRY(RT_NEW(&e, 1, "endpoint", err));
    e->o = *o;
    e->slots = 1;
    RT_TRY(rt_http_url_parse(&e->url, o->url, err));
    RT_TRY(find_key(e, err));
    const rt_http_options http = {.url = e->url, .key = e->key, .timeout = o->timeout, .parallel = o->parallel};
    RT_TRY(rt_http_open(&e->http, &http, err));
    *out = e;
    e = NULL;
out:
    rt_endpoint_close(e);
    return st;
}

void rt_endpoint_close(rt_endpoint *e)
{
    if (e != NULL) {
        rt_http_close(e->http);
        json_decref(e->identity);
        json_decref(e->speaker);
        rt_free(e);
    }
}

/* ---- who answers ---- */

/* A name that a line of text can hold. */
static bool is_printable(const char *name)
{
    for (; *name != '\0'; name++) {
        if ((unsigned char)*name < ' ' || *name == 127) {
            return false;
        }
    }
    return true;
}

/* The entry of /v1/models that is meant: the one of that name, or the only one. */
static rt_status find_model(const rt_endpoint *e, const json_t *models, const json_t **out, rt_err *err)
{
    const json_t *list = json_object_get(models, "data");
    const size_t n = json_array_size(list);
    rt_str names = {0};
    *out = n == 1 ? json_array_get(list, 0) : NULL;
    for (size_t i = 0; i < n; i++) {
        const json_t *m = json_array_get(list, i);
        const char *id = rt_json_str(m, "id", "");
        *out = strcmp(id, e->o.model) == 0 ? m : *out;
        rt_str_puts(&names, i > 0 ? ", " : "");
        rt_json_append_text(&names, id, strlen(id));
    }
    const char *id = rt_json_str(*out, "id", NULL);
    const rt_status st =
        n == 0 ? rt_fail(err, RT_REMOTE, 0, "'%s' lists no models (/v1/models)", e->url.text)
        : id == NULL || !is_printable(id)
            ? rt_fail(err, RT_REMOTE, 0, "'%s' serves no model '%s'; it serves %.300s: name one with --model",
                      e->url.text, e->o.model, rt_str_cstr(&names))
            : RT_OK;
    rt_str_release(&names);
    return st;
}

static void set_copy(json_t *to, const char *key, const json_t *from, const char *name)
{
    json_t *v = json_object_get(from, name);
    if (v != NULL && !json_is_null(v)) {
        json_object_set(to, key, v);
    }
}

static void set_template(json_t *identity, const json_t *props)
{
    const char *text = rt_json_str(props, "chat_template", NULL);
    char hex[65];
    if (text != NULL) {
        rt_digest_hex(rt_sha256_of(text, strlen(text)), hex);
        json_object_set_new(identity, "template_sha256", json_string(hex));
    }
}

static json_t *describe(const rt_endpoint *e, const json_t *model, const json_t *props)
{
    const bool llama = json_object_get(props, "total_slots") != NULL;
    json_t *identity =
        json_pack("{s:s, s:s, s:s, s:s, s:s}", "url", e->url.text, "place", rt_http_place_name(e->url.place),
                  "declared", e->o.model, "served", rt_json_str(model, "id", ""), "server",
                  llama ? "llama-server" : rt_json_str(model, "owned_by", "not said"));
    if (identity == NULL) {
        return NULL;
    }
    set_copy(identity, "meta", model, "meta");
    set_copy(identity, "root", model, "root");
    set_copy(identity, "context", model, "max_model_len");
    if (llama) {
        set_copy(identity, "model_path", props, "model_path");
        set_copy(identity, "build", props, "build_info");
        set_copy(identity, "context", json_object_get(props, "default_generation_settings"), "n_ctx");
        set_template(identity, props);
    }
    return identity;
}

static void put_value(rt_str *s, const json_t *v)
{
    if (v != NULL) {
        rt_json_append(s, v);
    } else {
        rt_str_puts(s, "not said");
    }
}

static rt_status other_server(const rt_endpoint *e, const json_t *was, const json_t *is, rt_err *err)
{
    rt_str a = {0}, b = {0};
    put_value(&a, was);
    put_value(&b, is);
    const rt_status st =
        rt_fail(err, RT_REMOTE, 0,
                "'%s' is not the server that this run began with: it was %.120s and is now %.120s; what it answered "
                "last was thrown away. Start the first one again and the same command goes on, or choose another "
                "folder",
                e->url.text, rt_str_cstr(&a), rt_str_cstr(&b));
    rt_str_release(&a);
    rt_str_release(&b);
    return st;
}

/* Fields that only one of the two has count as well. */
static rt_status compare(const rt_endpoint *e, const json_t *now, rt_err *err)
{
    const json_t *const sides[] = {e->identity, now};
    const char *key;
    json_t *v;
    for (size_t i = 0; i < 2; i++) {
        json_object_foreach((json_t *)sides[i], key, v)
        {
            const json_t *was = json_object_get(e->identity, key), *is = json_object_get(now, key);
            if (!json_equal(was, is)) {
                return other_server(e, was, is, err);
            }
        }
    }
    return RT_OK;
}

void rt_endpoint_expect(rt_endpoint *e, json_t *identity)
{
    json_decref(e->identity);
    e->identity = json_incref(identity);
}

rt_status rt_endpoint_identify(rt_endpoint *e, rt_err *err)
{
    rt_status st = RT_OK;
    json_t *now = NULL;
    const json_t *model;
    rt_ask asks[2] = {{.path = "/v1/models"}, {.path = "/props", .optional = true}};
    RT_TRY(rt_endpoint_ask(e, asks, 2, err));
    RT_TRY(find_model(e, asks[0].answer, &model, err));
    now = describe(e, model, asks[1].answer);
    if (now == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for the server's identity");
    }
    const int64_t slots = rt_json_i64(asks[1].answer, "total_slots", 1);
    e->slots = slots > 0 && slots <= 256 ? (int)slots : 1;
    if (e->identity == NULL) {
        e->identity = json_incref(now);
    }
    st = compare(e, now, err);
out:
    json_decref(now);
    rt_asks_release(asks, 2);
    return st;
}

rt_status rt_endpoint_same_speaker(rt_endpoint *e, const json_t *answer, rt_err *err)
{
    static const char *const keys[] = {"model", "system_fingerprint"};
    e->speaker = e->speaker != NULL ? e->speaker : json_object();
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        json_t *is = json_object_get(answer, keys[i]);
        const json_t *was = json_object_get(e->speaker, keys[i]);
        if (json_is_string(is) && was == NULL) {
            json_object_set(e->speaker, keys[i], is);
        } else if (json_is_string(is) && !json_equal(was, is)) {
            return other_server(e, was, is, err);
        }
    }
    return RT_OK;
}

/* ---- getters ---- */

const rt_http_url *rt_endpoint_url(const rt_endpoint *e)
{
    return &e->url;
}

int rt_endpoint_parallel(const rt_endpoint *e)
{
    return e->o.parallel;
}

const json_t *rt_endpoint_identity(const rt_endpoint *e)
{
    return e->identity;
}

const char *rt_endpoint_served(const rt_endpoint *e)
{
    return rt_json_str(e->identity, "served", "");
}

bool rt_endpoint_is_llama(const rt_endpoint *e)
{
    return strcmp(rt_json_str(e->identity, "server", ""), "llama-server") == 0;
}

int64_t rt_endpoint_vocab(const rt_endpoint *e)
{
    return rt_json_i64(json_object_get(e->identity, "meta"), "n_vocab", 0);
}

int64_t rt_endpoint_context(const rt_endpoint *e)
{
    return rt_json_i64(e->identity, "context", 0);
}

int rt_endpoint_slots(const rt_endpoint *e)
{
    return e->slots;
}
