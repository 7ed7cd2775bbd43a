/* log.c - messages for people: levels, a sink, and one live line while something long runs. */
#include "core/log.h"

#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/sys.h"

#define PLAIN_INTERVAL 10.0 /* seconds between lines where nobody watches */
#define LIVE_INTERVAL 0.1
#define LOG_MESSAGE_MAX 2048

static pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t log_once = PTHREAD_ONCE_INIT;
static rt_log_fn log_fn;
static void *log_ud;
static rt_log_level log_least = RT_LOG_INFO;
static bool on_tty, with_colour, live_line_shown;

static void log_setup(void)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    const char *level = getenv("RETORT_LOG"), *no_colour = getenv("NO_COLOR"), *term = getenv("TERM");
    for (int i = 0; level && i < 4; i++) {
        if (strcmp(level, names[i]) == 0) {
            log_least = (rt_log_level)i;
        }
    }
    on_tty = isatty(STDERR_FILENO) && !(term && strcmp(term, "dumb") == 0);
    with_colour = on_tty && !(no_colour && *no_colour);
}

static void wipe_live_line(void)
{
    if (live_line_shown) {
        fputs("\r\033[K", stderr);
        live_line_shown = false;
    }
}

static void print_to_stderr(rt_log_level level, const char *msg)
{
    static const char *const prefixes[] = {"debug: ", "", "warning: ", "error: "};
    static const char *const colours[] = {"\033[2m", "", "\033[33m", "\033[31m"};
    bool colour = with_colour && *colours[level];
    wipe_live_line();
    fprintf(stderr, "%s%s%s%s\n", colour ? colours[level] : "", prefixes[level], colour ? "\033[0m" : "", msg);
}

static void emit(rt_log_level level, const char *msg)
{
    pthread_mutex_lock(&log_lock);
    if (level >= log_least) {
        if (log_fn) {
            log_fn(log_ud, level, msg);
        } else {
            print_to_stderr(level, msg);
        }
    }
    pthread_mutex_unlock(&log_lock);
}

void rt_log_set(rt_log_fn fn, void *ud)
{
    pthread_mutex_lock(&log_lock);
    log_fn = fn;
    log_ud = ud;
    pthread_mutex_unlock(&log_lock);
}

void rt_log_set_level(rt_log_level least)
{
    pthread_once(&log_once, log_setup);
    pthread_mutex_lock(&log_lock);
    log_least = least;
    pthread_mutex_unlock(&log_lock);
}

void rt_log(rt_log_level level, const char *fmt, ...)
{
    char msg[LOG_MESSAGE_MAX];
    va_list ap;
    pthread_once(&log_once, log_setup);
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    emit(level, msg);
}

/* --- progress --- */

/* 42s, 7m05s, 3h12m */
static void format_seconds(char *out, size_t n, double s)
{
    int t = s < 1e8 ? (int)lround(s) : 100000000;
    if (t < 60) {
        snprintf(out, n, "%ds", t);
    } else if (t < 3600) {
        snprintf(out, n, "%dm%02ds", t / 60, t % 60);
    } else {
        snprintf(out, n, "%dh%02dm", t / 3600, t / 60 % 60);
    }
}

static void format_progress(char *out, size_t n, const rt_progress *p, double done, double total, const char *detail)
{
    char clock[32];
    const char *gap = *detail ? "  " : "";
    double elapsed = rt_now() - p->t0;
    if (total > 0 && done > 0) {
        double left = total > done ? elapsed * (total - done) / done : 0;
        format_seconds(clock, sizeof clock, left);
        snprintf(out, n, "%s %3.0f%%  ETA %s%s%s", p->what, 100 * fmin(done / total, 1), clock, gap, detail);
    } else {
        format_seconds(clock, sizeof clock, elapsed);
        snprintf(out, n, "%s %s%s%s", p->what, clock, gap, detail);
    }
}

void rt_progress_begin(rt_progress *p, const char *what)
{
    pthread_once(&log_once, log_setup);
    double now = rt_now();
    pthread_mutex_lock(&log_lock);
    bool live = on_tty && !log_fn && log_least <= RT_LOG_INFO;
    pthread_mutex_unlock(&log_lock);
    *p = (rt_progress){.what = what, .t0 = now, .t_last = live ? 0 : now, .live = live};
}

static void show_live(const char *line)
{
    pthread_mutex_lock(&log_lock);
    fprintf(stderr, "\r\033[K%s", line);
    fflush(stderr);
    live_line_shown = true;
    pthread_mutex_unlock(&log_lock);
}

void rt_progress_update(rt_progress *p, double done, double total, const char *fmt, ...)
{
    double now = rt_now();
    if (now - p->t_last < (p->live ? LIVE_INTERVAL : PLAIN_INTERVAL)) {
        return;
    }
    p->t_last = now;
    char detail[512] = "", line[1024];
    if (fmt) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(detail, sizeof detail, fmt, ap);
        va_end(ap);
    }
    format_progress(line, sizeof line, p, done, total, detail);
    if (p->live) {
        show_live(line);
    } else {
        emit(RT_LOG_INFO, line);
    }
}

void rt_progress_end(rt_progress *p, const char *fmt, ...)
{
    char detail[512] = "", clock[32], line[1024];
    if (fmt) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(detail, sizeof detail, fmt, ap);
        va_end(ap);
    }
    format_seconds(clock, sizeof clock, rt_now() - p->t0);
    snprintf(line, sizeof line, "%s done in %s%s%s", p->what, clock, *detail ? "  " : "", detail);
    if (p->live) {
        pthread_mutex_lock(&log_lock);
        wipe_live_line();
        pthread_mutex_unlock(&log_lock);
    }
    emit(RT_LOG_INFO, line);
}
