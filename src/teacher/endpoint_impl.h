/* endpoint_impl.h - the handle, shared by asking (endpoint_ask.c) and knowing who answers (endpoint.c). */
#ifndef RT_TEACHER_ENDPOINT_IMPL_H
#define RT_TEACHER_ENDPOINT_IMPL_H

#include "teacher/endpoint.h"

struct rt_endpoint {
    rt_endpoint_options o;
    rt_http *http;
    rt_http_url url;
    const char *key; /* in the environment; to keep it out of messages */
    json_t *identity;
    json_t *speaker; /* {model, system_fingerprint} of the first answer */
    int slots;
};

/* The answer comes from whom the first one came from. */
RT_MUST_USE rt_status rt_endpoint_same_speaker(rt_endpoint *e, const json_t *answer, rt_err *err);

#endif
