/* endpoint.h - a teacher behind HTTP: an OpenAI-compatible server (llama-server, vLLM, SGLang and their like). Asks
 * with patience, knows who answers, and stops when it is somebody else. See docs/endpoint.md. */
#ifndef RT_TEACHER_ENDPOINT_H
#define RT_TEACHER_ENDPOINT_H

#include "format/json.h"
#include "teacher/http.h"

typedef struct rt_endpoint_options {
    const char *url;
    const char *model;   /* what the user says is served there */
    const char *key_env; /* name of the environment variable with the API key; NULL: no key is sent */
    int parallel;        /* requests in flight at most */
    int attempts;        /* tries a request before giving up */
    double wait;         /* seconds before the second try, doubled for each further one; Retry-After goes before */
    double max_wait;     /* a server that asks for a longer wait ends the run */
    double timeout;      /* seconds a request */
} rt_endpoint_options;
rt_endpoint_options rt_endpoint_default(void); /* 4 in flight, 5 tries, 1 s, 10 minutes, 5 minutes */

typedef struct rt_endpoint rt_endpoint;
/* Reads address and key; asks nothing yet. */
RT_MUST_USE rt_status rt_endpoint_open(rt_endpoint **out, const rt_endpoint_options *o, rt_err *err);
void rt_endpoint_close(rt_endpoint *e);
const rt_http_url *rt_endpoint_url(const rt_endpoint *e);
int rt_endpoint_parallel(const rt_endpoint *e);

/* Who the server was when this work was begun, as rt_endpoint_identity said then. Before rt_endpoint_identify. */
void rt_endpoint_expect(rt_endpoint *e, json_t *identity);
/* Asks the server who it is; the first call remembers, every later one is RT_REMOTE unless the answer is the same. */
RT_MUST_USE rt_status rt_endpoint_identify(rt_endpoint *e, rt_err *err);
/* {url, place, declared, served, server, meta?, model_path?, build?, template_sha256?, context?}; NULL before
 * rt_endpoint_identify. View. */
const json_t *rt_endpoint_identity(const rt_endpoint *e);
const char *rt_endpoint_served(const rt_endpoint *e); /* the server's own name for the model */
bool rt_endpoint_is_llama(const rt_endpoint *e);      /* llama-server, which scores in its own way */
int64_t rt_endpoint_vocab(const rt_endpoint *e);      /* 0: not said, likewise below */
int64_t rt_endpoint_context(const rt_endpoint *e);
int rt_endpoint_slots(const rt_endpoint *e); /* timelines llama-server keeps apart, at least 1 */

typedef struct rt_ask {
    const char *path;
    json_t *question;  /* NULL: GET; owned by the caller */
    bool optional;     /* "no such thing here" (400, 404, 405, 422, 501) is an answer too: `answer` stays NULL */
    json_t *answer;    /* owned by the caller, rt_asks_release */
    char refusal[200]; /* optional: what the server said instead */
} rt_ask;
/* Until every question has its answer: waits as the server says, tries again what failed on the way. RT_REMOTE names
 * address, cause and remedy; it never holds the key. */
RT_MUST_USE rt_status rt_endpoint_ask(rt_endpoint *e, rt_ask *asks, size_t n, rt_err *err);
void rt_asks_release(rt_ask *asks, size_t n); /* questions and answers */

#endif
