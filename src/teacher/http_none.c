/* http_none.c - a build without libcurl: no server can be asked, and the refusal says so. */
#include "teacher/http.h"

const char *rt_http_library(void)
{
    return NULL;
}

rt_status rt_http_open(rt_http **out, const rt_http_options *o, rt_err *err)
{
    *out = NULL;
    return rt_fail(err, RT_UNSUPPORTED, 0,
                   "cannot ask '%s': this retort was built without libcurl; install libcurl4-openssl-dev and build "
                   "again (cmake -DRETORT_CURL=ON)",
                   o->url.text);
}

void rt_http_close(rt_http *h)
{
    RT_BUG_IF(h != NULL);
}

rt_status rt_http_run(rt_http *h, rt_http_call *calls, size_t n, rt_err *err)
{
    (void)calls;
    RT_BUG_IF(h != NULL || n > 0);
    return rt_fail(err, RT_UNSUPPORTED, 0, "this retort was built without libcurl");
}
