/* team.c - the team of threads: workers that draw task numbers from one counter and sleep between jobs. Sleep, not
 * spin: on a machine that others use too, a spinning member takes the time of the one everybody waits for
 * (docs/decisions/0004-sleeping-team.md). */
#include "core/team.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "core/cpu.h"

#ifdef RT_TEAM_BESIDE_OPENMP
#include <omp.h>
#endif
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

typedef struct team_job {
    rt_task_fn fn;
    void *arg;
    int64_t n_tasks;
    atomic_int_fast64_t next;
} team_job;

static atomic_int team_size;                                  /* 0 until set or asked for */
static pthread_mutex_t call_lock = PTHREAD_MUTEX_INITIALIZER; /* one job at a time: thread indices are then unique */
static _Thread_local int thread_index = -1;                   /* -1 outside of a job */

/* --- flush-to-zero and denormals-are-zero --- */

static unsigned long float_mode_fast(void)
{
#if defined(__x86_64__)
    unsigned old = _mm_getcsr();
    _mm_setcsr(old | 0x8040u);
    return old;
#elif defined(__aarch64__)
    unsigned long old;
    __asm__ volatile("mrs %0, fpcr" : "=r"(old));
    __asm__ volatile("msr fpcr, %0" : : "r"(old | 1ul << 24));
    return old;
#else
    return 0;
#endif
}

static void float_mode_restore(unsigned long old)
{
#if defined(__x86_64__)
    _mm_setcsr((unsigned)old);
#elif defined(__aarch64__)
    __asm__ volatile("msr fpcr, %0" : : "r"(old));
#else
    (void)old;
#endif
}

/* --- a thread's share of a job --- */

static void work(team_job *job, int thread)
{
    unsigned long mode = float_mode_fast();
    thread_index = thread;
    for (;;) {
        int64_t task = atomic_fetch_add_explicit(&job->next, 1, memory_order_relaxed);
        if (task >= job->n_tasks) {
            break;
        }
        job->fn(job->arg, task, thread);
    }
    thread_index = -1;
    float_mode_restore(mode);
}

/* Libraries on OpenMP (oneDNN) called from a member would open teams of their own and split sums by their size. The
 * number of threads is a setting of the calling thread, so each member makes it once. */
void rt_team_claim(void)
{
#ifdef RT_TEAM_BESIDE_OPENMP
    static _Thread_local bool claimed;
    if (!claimed) {
        omp_set_num_threads(1);
        claimed = true;
    }
#endif
}

/* Rounds a member looks for the next job, or the caller for the end of this one, before it sleeps: a few microseconds,
 * about what a sleep and a wake cost. */
#define SPIN_ROUNDS 400

static void pause_briefly(void)
{
#if defined(__x86_64__)
    _mm_pause();
#endif
}

/* Workers live until the process ends. `generation` numbers the jobs. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t start, done;
    int n_workers, wanted; /* wanted: workers of this job, indices 1..wanted */
    atomic_int busy;
    atomic_uint_fast64_t generation;
    team_job *job;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .start = PTHREAD_COND_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};

static void *worker_main(void *arg)
{
    int index = (int)(intptr_t)arg;
    uint64_t seen = 0;
    rt_team_claim();
    for (;;) {
        for (int i = 0; i < SPIN_ROUNDS && atomic_load(&pool.generation) == seen; i++) {
            pause_briefly();
        }
        pthread_mutex_lock(&pool.lock);
        while (atomic_load(&pool.generation) == seen || !pool.job) {
            pthread_cond_wait(&pool.start, &pool.lock);
        }
        seen = atomic_load(&pool.generation);
        team_job *job = index <= pool.wanted ? pool.job : NULL;
        pthread_mutex_unlock(&pool.lock);
        if (job) {
            work(job, index);
            if (atomic_fetch_sub(&pool.busy, 1) == 1) {
                pthread_mutex_lock(&pool.lock);
                pthread_cond_signal(&pool.done);
                pthread_mutex_unlock(&pool.lock);
            }
        }
    }
    return NULL;
}

/* A machine that refuses a thread gets the work done by fewer. */
static void add_workers(int n)
{
    while (pool.n_workers < n) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, worker_main, (void *)(intptr_t)(pool.n_workers + 1)) != 0) {
            return;
        }
        pthread_detach(thread);
        pool.n_workers++;
    }
}

static void run_on(team_job *job, int n_threads)
{
    pthread_mutex_lock(&pool.lock);
    add_workers(n_threads - 1);
    pool.wanted = n_threads - 1 < pool.n_workers ? n_threads - 1 : pool.n_workers;
    atomic_store(&pool.busy, pool.wanted);
    pool.job = job;
    atomic_fetch_add(&pool.generation, 1);
    pthread_cond_broadcast(&pool.start);
    pthread_mutex_unlock(&pool.lock);

    work(job, 0);

    for (int i = 0; i < SPIN_ROUNDS && atomic_load(&pool.busy) > 0; i++) {
        pause_briefly();
    }
    pthread_mutex_lock(&pool.lock);
    while (atomic_load(&pool.busy) > 0) {
        pthread_cond_wait(&pool.done, &pool.lock);
    }
    pool.job = NULL;
    pthread_mutex_unlock(&pool.lock);
}

void rt_team_set_threads(int n)
{
    rt_team_claim();
    atomic_store(&team_size, n < 1 ? 1 : n > RT_MAX_THREADS ? RT_MAX_THREADS : n);
}

int rt_team_threads(void)
{
    int n = atomic_load(&team_size);
    if (n == 0) {
        rt_team_set_threads(rt_cpu_get()->n_cpu);
        n = atomic_load(&team_size);
    }
    return n;
}

void rt_team_for(int64_t n_tasks, rt_task_fn fn, void *arg)
{
    if (n_tasks <= 0) {
        return;
    }
    if (thread_index >= 0) {
        for (int64_t task = 0; task < n_tasks; task++) {
            fn(arg, task, thread_index);
        }
        return;
    }
    rt_team_claim();
    int n_threads = rt_team_threads();
    team_job job = {.fn = fn, .arg = arg, .n_tasks = n_tasks};
    pthread_mutex_lock(&call_lock);
    if (n_threads == 1 || n_tasks == 1) {
        work(&job, 0);
    } else {
        run_on(&job, n_tasks < n_threads ? (int)n_tasks : n_threads);
    }
    pthread_mutex_unlock(&call_lock);
}
