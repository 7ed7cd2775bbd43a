/* sys.c - clocks, fault points, interruption. */
#include "core/sys.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "core/log.h"
#include "core/str.h"

double rt_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

double rt_cpu_seconds(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + 1e-6 * (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static bool is_timestamp(const char *s)
{
    static const char form[] = "0000-00-00T00:00:00Z";
    size_t i = 0;
    for (; form[i] && s[i]; i++) {
        bool digit = s[i] >= '0' && s[i] <= '9';
        if (form[i] == '0' ? !digit : s[i] != form[i]) {
            return false;
        }
    }
    return form[i] == s[i];
}

void rt_timestamp(char out[21])
{
    const char *fixed = getenv("RETORT_NOW");
    if (fixed && is_timestamp(fixed)) {
        memcpy(out, fixed, 21);
        return;
    }
    time_t now = time(NULL);
    struct tm tm;
    gmtime_r(&now, &tm);
    strftime(out, 21, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* --- fault points --- */

static pthread_once_t crash_once = PTHREAD_ONCE_INIT;
static const char *crash_spec; /* the environment's string, NULL when no fault is asked for */
static size_t crash_name_len;
static atomic_int_fast64_t crash_left;

static void crash_parse(void)
{
    const char *spec = getenv("RETORT_CRASH_AT");
    const char *colon = spec ? strrchr(spec, ':') : NULL;
    int64_t n;
    if (colon && rt_parse_i64(colon + 1, &n) && n > 0) {
        crash_spec = spec;
        crash_name_len = (size_t)(colon - spec);
        atomic_store(&crash_left, n);
    } else if (spec && *spec) {
        rt_log(RT_LOG_WARN, "RETORT_CRASH_AT='%s' is not <point>:<n>: ignored", spec);
    }
}

void rt_crash_point(const char *point)
{
    pthread_once(&crash_once, crash_parse);
    if (!crash_spec || strlen(point) != crash_name_len || strncmp(point, crash_spec, crash_name_len) != 0) {
        return;
    }
    if (atomic_fetch_sub(&crash_left, 1) == 1) {
        kill(getpid(), SIGKILL);
    }
}

/* --- interruption --- */

static volatile sig_atomic_t interrupt_signal;

static void on_signal(int sig)
{
    interrupt_signal = sig;
}

/* The first signal asks, a second one of the same kind kills. */
void rt_interrupt_install(void)
{
    struct sigaction sa = {.sa_handler = on_signal, .sa_flags = SA_RESTART | (int)SA_RESETHAND};
    sigemptyset(&sa.sa_mask);
    sigaction(SIGINT, &sa, NULL);
    sigaction(SIGTERM, &sa, NULL);
}

bool rt_interrupted(void)
{
    return interrupt_signal != 0;
}

int rt_interrupt_signal(void)
{
    return interrupt_signal;
}
