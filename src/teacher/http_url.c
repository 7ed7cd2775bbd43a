/* http_url.c - what needs no network: addresses read strictly, so that the host the gate judges is the host that is
 * asked, and calls made ready for another try. */
#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "teacher/http.h"

const char *rt_http_place_name(rt_http_place p)
{
    static const char *const names[] = {"loopback", "private network", "public"};
    return names[p];
}

bool rt_http_is_url(const char *s)
{
    return strncasecmp(s, "http://", 7) == 0 || strncasecmp(s, "https://", 8) == 0;
}

static rt_http_place place_of(const char *host)
{
    unsigned char a[16];
    if (strcmp(host, "localhost") == 0) {
        return RT_HTTP_LOOPBACK;
    }
    if (inet_pton(AF_INET, host, a) == 1) {
        const bool private_net = a[0] == 10 || (a[0] == 172 && (a[1] & 0xf0) == 16) || (a[0] == 192 && a[1] == 168);
        return a[0] == 127 ? RT_HTTP_LOOPBACK : private_net ? RT_HTTP_PRIVATE : RT_HTTP_PUBLIC;
    }
    if (inet_pton(AF_INET6, host, a) == 1) {
        static const unsigned char loopback[16] = {[15] = 1};
        const bool private_net = (a[0] & 0xfe) == 0xfc;
        return memcmp(a, loopback, sizeof a) == 0 ? RT_HTTP_LOOPBACK : private_net ? RT_HTTP_PRIVATE : RT_HTTP_PUBLIC;
    }
    return RT_HTTP_PUBLIC;
}

/* The host's characters at p, brackets of an IPv6 address left out; NULL: it is none. Returns what follows. */
static const char *read_host(const char *p, char *host, size_t cap)
{
    const bool brackets = *p == '[';
    size_t n = 0;
    for (p += brackets; isalnum((unsigned char)*p) || *p == '.' || *p == '-' || (brackets && *p == ':'); p++) {
        if (n + 1 >= cap) {
            return NULL;
        }
        host[n++] = (char)tolower((unsigned char)*p);
    }
    host[n] = '\0';
    if (n == 0 || (brackets && *p++ != ']')) {
        return NULL;
    }
    return p;
}

static const char *read_port(const char *p)
{
    long port = 0;
    if (*p != ':') {
        return p;
    }
    for (p++; isdigit((unsigned char)*p) && port < 65536; p++) {
        port = port * 10 + (*p - '0');
    }
    return port > 0 && port < 65536 ? p : NULL;
}

static bool is_prefix(const char *p)
{
    if (*p != '\0' && *p != '/') {
        return false;
    }
    for (; *p != '\0'; p++) {
        if (!isalnum((unsigned char)*p) && strchr("/._-", *p) == NULL) {
            return false;
        }
    }
    return true;
}

rt_status rt_http_url_parse(rt_http_url *out, const char *s, rt_err *err)
{
    size_t n = strlen(s);
    *out = (rt_http_url){0};
    if (strchr(s, '@') != NULL) {
        return rt_fail(err, RT_USAGE, 0,
                       "the endpoint's address holds credentials: put the key into an environment variable and name "
                       "that (--api-key-env)");
    }
    out->encrypted = strncasecmp(s, "https://", 8) == 0;
    const char *p = rt_http_is_url(s) ? read_host(strstr(s, "//") + 2, out->host, sizeof out->host) : NULL;
    p = p != NULL ? read_port(p) : NULL;
    if (p == NULL || !is_prefix(p) || n >= sizeof out->text) {
        return rt_fail(err, RT_USAGE, 0, "'%.200s' is no address of a server; write http://HOST:PORT or https://HOST",
                       s);
    }
    while (s[n - 1] == '/') {
        n--;
    }
    /* clients are often given the address with the API's own prefix */
    if (n > 3 && strncmp(s + n - 3, "/v1", 3) == 0) {
        n -= 3;
    }
    memcpy(out->text, s, n);
    out->place = place_of(out->host);
    return RT_OK;
}

void rt_http_call_reset(rt_http_call *c)
{
    rt_str_release(&c->answer);
    c->sent = false;
    c->status = 0;
    c->retry_after = 0;
    c->failure[0] = '\0';
}
