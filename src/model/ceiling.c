/* The ceiling of a model (ceiling.h): what is held now, what a pass would add. */
#include "model/ceiling.h"

#include <stdio.h>

#include "model/head.h"
#include "model/loader.h"

#define MB 1000000

/* Neither counted as asked for nor read from a file: what the allocator keeps, code that products are compiled to; and
 * of every thread its stack, what the library of products packs (in f32 whole panels), and pages of weights that are
 * being read. */
#define PROCESS_BYTES (16 * (int64_t)MB)
#define THREAD_BYTES_BF16 (4 * (int64_t)MB + RT_LOADER_PAGES)
#define THREAD_BYTES_F32 (10 * (int64_t)MB + RT_LOADER_PAGES)

static int64_t held(const rt_model *m)
{
    return (int64_t)rt_mem_get_stats().live_bytes + rt_rss_of_files() + PROCESS_BYTES +
           rt_team_threads() * (m->compute == RT_BF16 ? THREAD_BYTES_BF16 : THREAD_BYTES_F32);
}

/* What the machine can give counts where nothing else was said. */
static int64_t left_at_opening(const rt_model *m)
{
    const int64_t machine = rt_mem_available();
    return m->ceiling > 0 ? m->ceiling - held(m) : machine >= 0 ? machine : INT64_MAX;
}

int64_t rt_ceiling_left(const rt_model *m)
{
    return m->ceiling > 0 ? m->ceiling - held(m) : INT64_MAX;
}

static rt_status refuse(const rt_model *m, int64_t bytes, const char *what, const char *remedy, rt_err *err)
{
    const int64_t least = (held(m) + bytes) / MB + 2; /* pages of the program may come and go */
    return rt_fail(err, RT_MEMORY, 0,
                   "%s would take the process to %lld MB, and it may hold %lld MB: allow that much (--memory %lldM)%s",
                   what, (long long)least, (long long)(m->ceiling / MB), (long long)least, remedy);
}

rt_status rt_ceiling_check(const rt_model *m, int64_t bytes, const char *what, const char *remedy, rt_err *err)
{
    return bytes <= rt_ceiling_left(m) ? RT_OK : refuse(m, bytes, what, remedy, err);
}

static int64_t pass_bytes(const rt_model *m, const rt_pass *p, int64_t rows)
{
    return (int64_t)rt_acts_bytes(m, rows, p->span, RT_NET_FORWARD) + (int64_t)rt_head_bytes(m, p->teacher, false) +
           p->bytes + rows * p->bytes_per_row;
}

rt_status rt_pass_rows(int64_t *rows, const rt_model *m, const rt_pass *p, rt_err *err)
{
    const int64_t left = rt_ceiling_left(m);
    *rows = p->rows > p->span ? p->rows : p->span;
    while (*rows > p->span && pass_bytes(m, p, *rows) > left) {
        *rows = *rows / 2 > p->span ? *rows / 2 : p->span;
    }
    const int64_t need = pass_bytes(m, p, *rows);
    if (need > left) {
        char what[96];
        snprintf(what, sizeof what, "a pass over sequences of %lld tokens", (long long)p->span);
        return refuse(m, need, what, " or use shorter sequences", err);
    }
    return RT_OK;
}

static rt_pass shortest_pass(const rt_model *m, const rt_model_options *o)
{
    const int64_t wanted = o->span > 0 ? o->span : RT_SPAN, n = wanted < m->rope_rows ? wanted : m->rope_rows;
    return (rt_pass){.rows = n, .span = n, .bytes = o->beside != NULL ? o->beside(m, n, o->beside_ud) : 0};
}

int64_t rt_ceiling_room(const rt_model *m, const rt_model_options *o)
{
    const rt_pass p = shortest_pass(m, o);
    return left_at_opening(m) - pass_bytes(m, &p, p.rows);
}

rt_status rt_ceiling_refuse(const rt_model *m, int64_t bytes, const rt_model_options *o, rt_err *err)
{
    const rt_pass p = shortest_pass(m, o);
    char what[128];
    snprintf(what, sizeof what, "embedding, head, the largest layer, and a pass over a sequence of %lld tokens",
             (long long)p.span);
    return refuse(m, bytes + pass_bytes(m, &p, p.rows), what, " or use shorter sequences", err);
}

void rt_ceiling_widen_head(rt_model *m, const rt_model_options *o)
{
    enum { PART = 4 };
    const int64_t room = rt_ceiling_room(m, o), row = m->hp.n_vocab * (int64_t)sizeof(float);
    while (m->head_rows < RT_HEAD_PLAIN_CHUNK && 2 * m->head_rows * row <= room / PART) {
        m->head_rows *= 2;
    }
}

void rt_ceiling_lift(rt_model *m)
{
    m->ceiling = 0;
}
