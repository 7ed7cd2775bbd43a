/* cpu.c - instruction sets, caches and processors of this machine. */
#define _GNU_SOURCE
#include "core/cpu.h"

#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "core/log.h"
#include "core/team.h"

static rt_cpu cpu;
static bool amd;
static pthread_once_t detected_once = PTHREAD_ONCE_INIT;

static const char *const isa_names[RT_ISA_COUNT] = {"generic", "avx2", "avx512", "avx512bf16", "amx"};

const char *rt_isa_name(rt_isa isa)
{
    return (unsigned)isa < RT_ISA_COUNT ? isa_names[isa] : "unknown";
}

#if defined(__x86_64__)
#include <cpuid.h>

typedef struct cpu_leaf {
    unsigned a, b, c, d;
} cpu_leaf;

static cpu_leaf leaf(unsigned n, unsigned sub)
{
    cpu_leaf r = {0};
    __get_cpuid_count(n, sub, &r.a, &r.b, &r.c, &r.d);
    return r;
}

static bool has(unsigned reg, int bit)
{
    return reg >> bit & 1;
}

/* Register states the operating system saves at a task switch; without them the instructions must not be used. */
static uint64_t os_state_mask(void)
{
    uint32_t lo, hi;
    __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
    return (uint64_t)hi << 32 | lo;
}

/* Linux gives the tile registers only to processes that ask. */
static bool request_tiles(void)
{
    enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
    return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

static rt_isa detect_isa(void)
{
    enum { YMM_STATE = 0x6, ZMM_STATE = 0xe6, TILE_STATE = 0x60000 };
    cpu_leaf l1 = leaf(1, 0), l7 = leaf(7, 0), l7_1 = leaf(7, 1);
    uint64_t os = has(l1.c, 27) ? os_state_mask() : 0;
    bool avx2 = has(l1.c, 28) && has(l1.c, 12) && has(l1.c, 29) && has(l7.b, 5); /* AVX, FMA, F16C, AVX2 */
    if (!avx2 || (os & YMM_STATE) != YMM_STATE) {
        return RT_ISA_GENERIC;
    }
    bool avx512 = has(l7.b, 16) && has(l7.b, 17) && has(l7.b, 30) && has(l7.b, 31); /* F, DQ, BW, VL */
    if (!avx512 || (os & ZMM_STATE) != ZMM_STATE) {
        return RT_ISA_AVX2;
    }
    if (!has(l7_1.a, 5) || !has(l7.c, 11)) { /* AVX512_BF16, and AVX512_VNNI, which all that have it have */
        return RT_ISA_AVX512;
    }
    bool amx = has(l7.d, 22) && has(l7.d, 24) && (os & TILE_STATE) == TILE_STATE; /* AMX-BF16, AMX-TILE */
    return amx && request_tiles() ? RT_ISA_AMX : RT_ISA_AVX512BF16;
}

static void detect_names(void)
{
    cpu_leaf l0 = leaf(0, 0);
    char vendor[13] = {0};
    memcpy(vendor, &l0.b, 4);
    memcpy(vendor + 4, &l0.d, 4);
    memcpy(vendor + 8, &l0.c, 4);
    amd = strcmp(vendor, "AuthenticAMD") == 0;

    char brand[49] = {0};
    for (unsigned i = 0; i < 3; i++) {
        cpu_leaf l = leaf(0x80000002u + i, 0);
        memcpy(brand + 16 * i, &l, sizeof l);
    }
    const char *start = brand + strspn(brand, " ");
    size_t n = strlen(start);
    while (n > 0 && start[n - 1] == ' ') {
        n--;
    }
    memcpy(cpu.model, start, n);
}

#else

static rt_isa detect_isa(void)
{
    return RT_ISA_GENERIC;
}

static void detect_names(void)
{
    struct utsname u;
    if (uname(&u) == 0) {
        size_t n = strnlen(u.machine, sizeof cpu.model - 1);
        memcpy(cpu.model, u.machine, n);
    }
}

#endif

static size_t cache_bytes(int name)
{
    long n = sysconf(name);
    return n > 0 ? (size_t)n : 0;
}

static int allowed_processors(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : (int)sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > RT_MAX_THREADS ? RT_MAX_THREADS : n;
}

/* The level RETORT_ISA asks for; the highest when unset or unknown. */
static rt_isa isa_ceiling(void)
{
    const char *name = getenv("RETORT_ISA");
    if (!name || !*name) {
        return RT_ISA_COUNT - 1;
    }
    for (int i = 0; i < RT_ISA_COUNT; i++) {
        if (strcmp(name, isa_names[i]) == 0) {
            return (rt_isa)i;
        }
    }
    rt_log(RT_LOG_WARN, "RETORT_ISA='%s' is none of generic, avx2, avx512, avx512bf16, amx: ignored", name);
    return RT_ISA_COUNT - 1;
}

/* AMD's AVX512-BF16 products run at twice the f32 rate (measured on Zen 4); Intel's without AMX gain nothing sure. */
static void apply_isa(rt_isa isa)
{
    cpu.isa = isa < cpu.detected ? isa : cpu.detected;
    cpu.fast_bf16 = cpu.isa == RT_ISA_AMX || (cpu.isa == RT_ISA_AVX512BF16 && amd);
}

static void detect(void)
{
    detect_names();
    cpu.detected = detect_isa();
    cpu.l1d = cache_bytes(_SC_LEVEL1_DCACHE_SIZE);
    cpu.l2 = cache_bytes(_SC_LEVEL2_CACHE_SIZE);
    cpu.l3 = cache_bytes(_SC_LEVEL3_CACHE_SIZE);
    cpu.n_cpu = allowed_processors();
    apply_isa(isa_ceiling());
}

const rt_cpu *rt_cpu_get(void)
{
    pthread_once(&detected_once, detect);
    return &cpu;
}

rt_isa rt_cpu_force_isa(rt_isa isa)
{
    pthread_once(&detected_once, detect);
    apply_isa(isa);
    return cpu.isa;
}
