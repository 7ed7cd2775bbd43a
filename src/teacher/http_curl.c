/* http_curl.c - libcurl's multi interface from one thread. */
#include <curl/curl.h>
#include <pthread.h>
#include <string.h>

#include "teacher/http.h"

enum { ANSWER_BYTES = 256 << 20, CONNECT_MS = 10000, POLL_MS = 100 };

typedef struct lane {
    CURL *easy;
    rt_http_call *call; /* NULL: free */
    char error[CURL_ERROR_SIZE];
} lane;

struct rt_http {
    rt_http_options o;
    CURLM *multi;
    struct curl_slist *get_headers, *post_headers;
    lane *lanes; /* [o.parallel] */
};

static pthread_once_t curl_once = PTHREAD_ONCE_INIT;
static bool curl_ready;

static void curl_begin(void)
{
    curl_ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
}

const char *rt_http_library(void)
{
    return "libcurl " LIBCURL_VERSION;
}

/* ---- opening ---- */

static size_t take_bytes(char *p, size_t size, size_t n, void *ud)
{
    lane *l = ud;
    rt_str *s = &l->call->answer;
    n *= size;
    if (n > ANSWER_BYTES - s->n) {
        return 0; /* ends the transfer */
    }
    rt_str_add(s, p, n);
    return s->failed ? 0 : n;
}

static bool lane_open(rt_http *h, lane *l)
{
    char agent[64];
    CURL *c = l->easy = curl_easy_init();
    snprintf(agent, sizeof agent, "retort/%s (model distillation)", rt_version());
    return c != NULL && curl_easy_setopt(c, CURLOPT_USERAGENT, agent) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)CONNECT_MS) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)(h->o.timeout * 1000)) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_ERRORBUFFER, l->error) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, take_bytes) == CURLE_OK &&
           curl_easy_setopt(c, CURLOPT_WRITEDATA, l) == CURLE_OK && curl_easy_setopt(c, CURLOPT_PRIVATE, l) == CURLE_OK;
}

static bool add_header(struct curl_slist **list, const char *line)
{
    struct curl_slist *longer = curl_slist_append(*list, line);
    *list = longer != NULL ? longer : *list;
    return longer != NULL;
}

static bool make_headers(rt_http *h, const char *key)
{
    rt_str line = {0};
    bool ok = add_header(&h->get_headers, "Accept: application/json") &&
              add_header(&h->post_headers, "Accept: application/json") &&
              add_header(&h->post_headers, "Content-Type: application/json") &&
              add_header(&h->post_headers, "Expect:"); /* no round trip before a long body */
    if (key != NULL) {
        rt_str_printf(&line, "Authorization: Bearer %s", key);
        ok = ok && !line.failed && add_header(&h->get_headers, rt_str_cstr(&line)) &&
             add_header(&h->post_headers, rt_str_cstr(&line));
        rt_str_release(&line);
    }
    return ok;
}

rt_status rt_http_open(rt_http **out, const rt_http_options *o, rt_err *err)
{
    rt_status st = RT_OK;
    rt_http *h = NULL;
    *out = NULL;
    if (o->key != NULL && (strpbrk(o->key, "\r\n") != NULL || *o->key == '\0')) {
        RT_FAIL_OUT(err, RT_USAGE, 0, "the API key is empty or has a line break in it");
    }
    if (o->key != NULL && !o->url.encrypted && o->url.place == RT_HTTP_PUBLIC) {
        RT_FAIL_OUT(err, RT_USAGE, 0, "an API key is not sent to '%s' in the clear: write https://", o->url.text);
    }
    pthread_once(&curl_once, curl_begin);
    RT_TRY(RT_NEW(&h, 1, "HTTP client", err));
    h->o = *o;
    h->o.key = NULL; /* it lives in the headers alone */
    RT_TRY(RT_NEW(&h->lanes, (size_t)o->parallel, "HTTP connections", err));
    h->multi = curl_ready ? curl_multi_init() : NULL;
    bool ok = h->multi != NULL && make_headers(h, o->key);
    for (int i = 0; ok && i < o->parallel; i++) {
        ok = lane_open(h, &h->lanes[i]);
    }
    if (!ok) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "libcurl cannot be set up for '%s'", o->url.text);
    }
    *out = h;
    h = NULL;
out:
    rt_http_close(h);
    return st;
}

void rt_http_close(rt_http *h)
{
    if (h == NULL) {
        return;
    }
    for (int i = 0; h->lanes != NULL && i < h->o.parallel; i++) {
        curl_easy_cleanup(h->lanes[i].easy);
    }
    curl_multi_cleanup(h->multi);
    curl_slist_free_all(h->get_headers);
    curl_slist_free_all(h->post_headers);
    rt_free(h->lanes);
    rt_free(h);
}

/* ---- calls ---- */

static bool lane_start(rt_http *h, lane *l, rt_http_call *call)
{
    char url[512];
    CURL *c = l->easy;
    bool ok = snprintf(url, sizeof url, "%s%s", h->o.url.text, call->path) < (int)sizeof url &&
              curl_easy_setopt(c, CURLOPT_URL, url) == CURLE_OK;
    if (call->body.p != NULL) {
        ok = ok && curl_easy_setopt(c, CURLOPT_POST, 1L) == CURLE_OK &&
             curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.n) == CURLE_OK &&
             curl_easy_setopt(c, CURLOPT_POSTFIELDS, call->body.p) == CURLE_OK &&
             curl_easy_setopt(c, CURLOPT_HTTPHEADER, h->post_headers) == CURLE_OK;
    } else {
        ok = ok && curl_easy_setopt(c, CURLOPT_HTTPGET, 1L) == CURLE_OK &&
             curl_easy_setopt(c, CURLOPT_HTTPHEADER, h->get_headers) == CURLE_OK;
    }
    l->error[0] = '\0';
    call->sent = true;
    l->call = ok && curl_multi_add_handle(h->multi, c) == CURLM_OK ? call : NULL;
    return l->call != NULL;
}

/* Returns whether the server asks us to wait. */
static bool lane_end(rt_http *h, lane *l, CURLcode result)
{
    rt_http_call *call = l->call;
    long status = 0;
    curl_off_t wait = 0;
    if (result == CURLE_OK) {
        curl_easy_getinfo(l->easy, CURLINFO_RESPONSE_CODE, &status);
        curl_easy_getinfo(l->easy, CURLINFO_RETRY_AFTER, &wait);
        call->status = (int)status;
        call->retry_after = (double)wait;
    } else {
        snprintf(call->failure, sizeof call->failure, "%s",
                 l->error[0] != '\0' ? l->error : curl_easy_strerror(result));
    }
    curl_multi_remove_handle(h->multi, l->easy);
    l->call = NULL;
    return status == 429 || status == 503;
}

static int take_finished(rt_http *h, bool *told_to_wait)
{
    int left, n = 0;
    for (CURLMsg *m; (m = curl_multi_info_read(h->multi, &left)) != NULL;) {
        lane *l = NULL;
        if (m->msg == CURLMSG_DONE && curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &l) == CURLE_OK) {
            const CURLcode result = m->data.result; /* the message goes with its handle */
            *told_to_wait = lane_end(h, l, result) || *told_to_wait;
            n++;
        }
    }
    return n;
}

static void drop_all(rt_http *h)
{
    for (int i = 0; i < h->o.parallel; i++) {
        if (h->lanes[i].call != NULL) {
            curl_multi_remove_handle(h->multi, h->lanes[i].easy);
            h->lanes[i].call = NULL;
        }
    }
}

rt_status rt_http_run(rt_http *h, rt_http_call *calls, size_t n, rt_err *err)
{
    rt_status st = RT_OK;
    size_t next = 0;
    int active = 0, running;
    bool told_to_wait = false;
    for (;;) {
        for (int i = 0; i < h->o.parallel && next < n && !told_to_wait; i++) {
            if (h->lanes[i].call == NULL) {
                if (!lane_start(h, &h->lanes[i], &calls[next++])) {
                    RT_FAIL_OUT(err, RT_MEMORY, 0, "libcurl cannot send to '%s'", h->o.url.text);
                }
                active++;
            }
        }
        if (active == 0) {
            break;
        }
        if (curl_multi_perform(h->multi, &running) != CURLM_OK) {
            RT_FAIL_OUT(err, RT_REMOTE, 0, "libcurl fails at '%s'", h->o.url.text);
        }
        const int ended = take_finished(h, &told_to_wait);
        active -= ended;
        if (rt_interrupted()) {
            RT_FAIL_OUT(err, RT_CANCELLED, 0, "interrupted while '%s' was answering", h->o.url.text);
        }
        if (ended == 0 && curl_multi_poll(h->multi, NULL, 0, POLL_MS, NULL) != CURLM_OK) {
            RT_FAIL_OUT(err, RT_REMOTE, 0, "libcurl fails at '%s'", h->o.url.text);
        }
    }
out:
    drop_all(h);
    return st;
}
