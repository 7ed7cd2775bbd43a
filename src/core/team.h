/* team.h - one team of threads a process. Work is cut into tasks whose number never depends on the thread
 * count; tasks are handed out dynamically, reductions are the caller's, over tasks in index order. Hence the
 * same bits at any thread count. */
#ifndef RT_CORE_TEAM_H
#define RT_CORE_TEAM_H

#include <stdint.h>

typedef void (*rt_task_fn)(void *arg, int64_t task, int thread);

/* Threads in the team, default: the processors this process may run on. Set before heavy use; 1..RT_MAX_THREADS. */
#define RT_MAX_THREADS 256
void rt_team_set_threads(int n);
int rt_team_threads(void);
/* Runs fn(arg, 0..n_tasks-1, thread index). Returns when all are done. A nested call runs inline.
 * Workers run with flush-to-zero and denormals-are-zero; the caller's mode is restored. Cannot fail. */
void rt_team_for(int64_t n_tasks, rt_task_fn fn, void *arg);
/* Makes OpenMP libraries called from this thread use one thread of their own. Every call above does it too; needed
 * only where a library object whose form depends on the thread count is made before the first of them. */
void rt_team_claim(void);

#endif
