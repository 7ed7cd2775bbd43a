/* maps.h - linear maps that share their input. With few rows and a coded model the input is rounded to codes once and
 * all maps run as one job of the team. Private to model. */
#ifndef RT_MODEL_MAPS_H
#define RT_MODEL_MAPS_H

#include "model/carve.h"
#include "model/rows.h"

typedef struct rt_linear_map {
    float *y; /* [n, out] */
    int64_t ldy;
    const rt_param *w;
} rt_linear_map;
#define RT_MAX_MAPS 4

/* y = x W^T of each map, x as in rt_linear. q8: room for n rows of codes where the model is coded, in RT_NET_ROWS mode.
 */
void rt_linear_maps(const rt_linear_map *maps, int n_maps, const void *x, rt_dtype t, int64_t ldx, int64_t n,
                    rt_net_mode mode, const rt_q8_rows *q8);

/* Room for n rows of up to k elements. */
static inline rt_q8_rows rt_carve_q8(rt_carver *c, int64_t n, int64_t k)
{
    rt_q8_rows r = {.k = k};
    r.codes = rt_carve(c, n * k, 1);
    r.scales = rt_carve_floats(c, n * (k / RT_Q_BLOCK + 1) * 2);
    return r;
}

#endif
