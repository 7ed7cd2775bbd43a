/* http.h - requests to one server: one address, one credential, one User-Agent that names retort. No proxy, no
 * redirect, no cookie. Needs libcurl (build option RETORT_CURL); without it rt_http_open refuses. */
#ifndef RT_TEACHER_HTTP_H
#define RT_TEACHER_HTTP_H

#include "core/core.h"

typedef enum rt_http_place {
    RT_HTTP_LOOPBACK, /* localhost, 127.0.0.0/8, ::1 */
    RT_HTTP_PRIVATE,  /* a literal address of a private network */
    RT_HTTP_PUBLIC    /* everything else, names above all */
} rt_http_place;
const char *rt_http_place_name(rt_http_place p);

/* http[s]://host[:port][/prefix]: nothing that could be read in two ways, and no credentials. */
typedef struct rt_http_url {
    char text[256]; /* without a slash at the end */
    char host[128]; /* lower case, without brackets */
    bool encrypted;
    rt_http_place place;
} rt_http_url;
bool rt_http_is_url(const char *s); /* begins with http:// or https:// */
RT_MUST_USE rt_status rt_http_url_parse(rt_http_url *out, const char *s, rt_err *err);

typedef struct rt_http_options {
    rt_http_url url;
    const char *key; /* bearer token, NULL: none. Never part of a message, a log line or a file */
    double timeout;  /* seconds a request may take, its answer included */
    int parallel;    /* requests in flight at most */
} rt_http_options;

typedef struct rt_http rt_http;
/* Connects to nothing yet. RT_UNSUPPORTED in a build without libcurl. */
RT_MUST_USE rt_status rt_http_open(rt_http **out, const rt_http_options *o, rt_err *err);
void rt_http_close(rt_http *h);
const char *rt_http_library(void); /* "libcurl 7.88.1", NULL: none built in */

typedef struct rt_http_call { /* zero-initialise */
    const char *path;         /* "/v1/models", behind the address */
    rt_slice body;            /* JSON to be posted; none: GET. Borrowed */
    bool sent;
    int status; /* of the answer; 0: there was none, `failure` says why */
    rt_str answer;
    double retry_after; /* seconds the server told us to wait; 0: it did not */
    char failure[256];
} rt_http_call;
void rt_http_call_reset(rt_http_call *c); /* forgets the answer and frees it */
/* Sends the calls in order, some at once, and takes their answers. After an answer that asks us to wait (429, 503)
 * nothing more is sent: what was not keeps sent = false. RT_CANCELLED on an interrupt. */
RT_MUST_USE rt_status rt_http_run(rt_http *h, rt_http_call *calls, size_t n, rt_err *err);

#endif
