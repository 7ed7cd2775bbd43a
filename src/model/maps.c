/* Decoding by codes: rows in, panels of every map handed out together. */
#include "model/maps.h"

#include "model/low_rank.h"

#define ROWS_TASK 4           /* rows rounded by one task */
#define ROUND_ALONE (1 << 14) /* elements that are not worth a job of the team */
#define PANELS_TASK 4

typedef struct maps_job {
    rt_linear_map map[RT_MAX_MAPS];
    int n_maps;
    const float *x;
    int64_t ldx, n;
    rt_q8_rows q8;
} maps_job;

static void round_rows(void *ud, int64_t task, int thread)
{
    (void)thread;
    const maps_job *j = ud;
    const int64_t row = task * ROWS_TASK, n = j->n - row < ROWS_TASK ? j->n - row : ROWS_TASK;
    rt_kernels_get()->q8_rows(&j->q8, row, j->x + row * j->ldx, j->ldx, n);
}

static int64_t tasks_of(const rt_linear_map *m)
{
    return (rt_qmatrix_panels(m->w->q.n_out) + PANELS_TASK - 1) / PANELS_TASK;
}

static void multiply(void *ud, int64_t task, int thread)
{
    (void)thread;
    const maps_job *j = ud;
    const rt_linear_map *m = j->map;
    while (task >= tasks_of(m)) {
        task -= tasks_of(m++);
    }
    const int64_t panels = rt_qmatrix_panels(m->w->q.n_out), first = task * PANELS_TASK;
    rt_kernels_get()->qmatvec(m->y, m->ldy, &j->q8, j->n, &m->w->q, first,
                              first + PANELS_TASK < panels ? first + PANELS_TASK : panels);
}

static void run_coded(maps_job *j)
{
    const int64_t k = j->map[0].w->dims[1];
    int64_t tasks = 0;
    j->q8.k = k;
    if (j->n * k <= ROUND_ALONE) {
        rt_kernels_get()->q8_rows(&j->q8, 0, j->x, j->ldx, j->n);
    } else {
        rt_team_for((j->n + ROWS_TASK - 1) / ROWS_TASK, round_rows, j);
    }
    for (int i = 0; i < j->n_maps; i++) {
        tasks += tasks_of(&j->map[i]);
    }
    rt_team_for(tasks, multiply, j);
}

/* The first map and those that are one product with it: outputs side by side, weights joined. Returns how many. */
static int run_together(const rt_linear_map *map, int n_maps, const void *x, rt_dtype t, int64_t ldx, int64_t n,
                        rt_net_mode mode)
{
    const rt_param *w[RT_MAX_MAPS] = {map->w};
    int side_by_side = 1, used;
    for (; side_by_side < n_maps; side_by_side++) {
        const rt_linear_map *last = &map[side_by_side - 1], *next = last + 1;
        if (next->ldy != map->ldy || next->y != last->y + last->w->dims[0]) {
            break;
        }
        w[side_by_side] = next->w;
    }
    const rt_param all = rt_param_join(w, side_by_side, &used);
    rt_linear(map->y, map->ldy, x, t, ldx, &all, n, mode);
    return used;
}

void rt_linear_maps(const rt_linear_map *maps, int n_maps, const void *x, rt_dtype t, int64_t ldx, int64_t n,
                    rt_net_mode mode, const rt_q8_rows *q8)
{
    maps_job j = {.x = x, .ldx = ldx, .n = n, .q8 = *q8};
    for (int i = 0; i < n_maps;) {
        if (mode == RT_NET_ROWS && maps[i].w->q.panels != NULL) {
            j.map[j.n_maps++] = maps[i++];
        } else {
            i += run_together(maps + i, n_maps - i, x, t, ldx, n, mode);
        }
    }
    if (j.n_maps > 0) {
        run_coded(&j);
    }
    for (int i = 0; i < n_maps; i++) {
        rt_low_rank_forward(maps[i].y, maps[i].ldy, x, t, ldx, maps[i].w, n, mode);
    }
}
