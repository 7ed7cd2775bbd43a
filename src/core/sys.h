/* sys.h - clocks, memory of this process, fault points, interruption. */
#ifndef RT_CORE_SYS_H
#define RT_CORE_SYS_H

#include <stdbool.h>
#include <stdint.h>

double rt_now(void);            /* seconds, monotonic */
double rt_cpu_seconds(void);    /* user + system of this process */
int64_t rt_rss_peak(void);      /* bytes, high-water mark */
int64_t rt_rss_now(void);       /* bytes in memory at this moment, 0 where the system does not say */
int64_t rt_rss_of_files(void);  /* bytes of that which are pages of files: the program, what is mapped */
int64_t rt_mem_available(void); /* bytes the machine (or cgroup) can still give; -1 unknown */
/* "2026-11-21T23:41:38Z"; RETORT_NOW (same form) overrides, for reproducible records. */
void rt_timestamp(char out[21]);

/* Fault injection: RETORT_CRASH_AT=<point>:<n> kills the process (SIGKILL) at the n-th passage of `point`. */
void rt_crash_point(const char *point);

/* SIGINT/SIGTERM raise a flag; long loops look at it, save, and return RT_CANCELLED. */
void rt_interrupt_install(void);
bool rt_interrupted(void);
int rt_interrupt_signal(void); /* 0, SIGINT or SIGTERM */

#endif
