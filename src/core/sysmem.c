/* sysmem.c - memory of this process and what the machine, or the cgroup it runs in, can still give. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "core/str.h"
#include "core/sys.h"

#define CGROUP_ROOT "/sys/fs/cgroup"

/* Value of the line "<key> <number>" of a small kernel file; -1 when absent. */
static int64_t read_keyed(const char *path, const char *key)
{
    FILE *f = fopen(path, "re");
    char line[256];
    int64_t value = -1;
    size_t n = strlen(key);
    while (value < 0 && f && fgets(line, sizeof line, f)) {
        char *end = line;
        long long number = strncmp(line, key, n) == 0 ? strtoll(line + n, &end, 10) : 0;
        if (end > line + n) {
            value = number;
        }
    }
    if (f) {
        fclose(f);
    }
    return value;
}

/* A file that holds one number; -1 for "max" and when absent. */
static int64_t read_number(const char *dir, const char *name)
{
    char path[512];
    int n = snprintf(path, sizeof path, "%s/%s", dir, name);
    return n > 0 && (size_t)n < sizeof path ? read_keyed(path, "") : -1;
}

/* Bytes below this cgroup's own limit; page cache that can go counts as free. -1 = no limit. */
static int64_t cgroup_room(const char *dir)
{
    char stat_path[512];
    int64_t max = read_number(dir, "memory.max"), used = read_number(dir, "memory.current");
    if (max < 0 || used < 0) {
        return -1;
    }
    int n = snprintf(stat_path, sizeof stat_path, "%s/memory.stat", dir);
    int64_t cache = n > 0 && (size_t)n < sizeof stat_path ? read_keyed(stat_path, "inactive_file") : -1;
    int64_t room = max - used + (cache > 0 ? cache : 0);
    return room > 0 ? room : 0;
}

/* The tightest limit from this process's cgroup (version 2) up to the root; -1 = none. */
static int64_t cgroup_available(void)
{
    char line[256] = "", dir[512];
    FILE *f = fopen("/proc/self/cgroup", "re");
    while (f && fgets(line, sizeof line, f) && strncmp(line, "0::", 3) != 0) {
        line[0] = '\0';
    }
    if (f) {
        fclose(f);
    }
    line[strcspn(line, "\n")] = '\0';
    snprintf(dir, sizeof dir, "%s%s", CGROUP_ROOT, line[0] ? line + 3 : "");
    int64_t least = -1;
    for (;;) {
        int64_t room = cgroup_room(dir);
        if (room >= 0 && (least < 0 || room < least)) {
            least = room;
        }
        char *slash = strrchr(dir, '/');
        if (strlen(dir) <= strlen(CGROUP_ROOT) || !slash) {
            return least;
        }
        *slash = '\0';
    }
}

int64_t rt_mem_available(void)
{
    int64_t machine = read_keyed("/proc/meminfo", "MemAvailable:");
    int64_t cgroup = cgroup_available();
    if (machine >= 0) {
        machine *= 1024;
    }
    return cgroup >= 0 && (machine < 0 || cgroup < machine) ? cgroup : machine;
}

int64_t rt_rss_peak(void)
{
    struct rusage u;
    getrusage(RUSAGE_SELF, &u);
    return (int64_t)u.ru_maxrss * 1024;
}

static int64_t status_bytes(const char *key)
{
    const int64_t kilobytes = read_keyed("/proc/self/status", key);
    return kilobytes > 0 ? kilobytes * 1024 : 0;
}

int64_t rt_rss_now(void)
{
    return status_bytes("VmRSS:");
}

int64_t rt_rss_of_files(void)
{
    return status_bytes("RssFile:");
}
