/* state_loss.c - names of the hidden-state losses, and their rows in float and in double. */
#include "tensor/state_loss.h"

#include <math.h>
#include <string.h>

#define LEAST_NORMS 1e-8

#define REAL float
#define ROW(name) name##_f32
#include "tensor/state_loss_body.h"
#undef REAL
#undef ROW
#define REAL double
#define ROW(name) name##_f64
#include "tensor/state_loss_body.h"
#undef REAL
#undef ROW

static const struct {
    const char *name, *formula;
} losses[RT_STATE_LOSS_COUNT] = {
    [RT_STATE_NONE] = {"", ""},
#define RT_STATE_LOSS(name, recipe, formula) [RT_STATE_##name] = {recipe, formula},
#include "tensor/state_loss.def"
#undef RT_STATE_LOSS
};

const char *rt_state_loss_name(rt_state_loss k)
{
    return losses[k].name;
}

const char *rt_state_loss_formula(rt_state_loss k)
{
    return losses[k].formula;
}

bool rt_state_loss_from_name(const char *name, rt_state_loss *out)
{
    for (int k = RT_STATE_NONE + 1; k < RT_STATE_LOSS_COUNT; k++) {
        if (strcmp(name, losses[k].name) == 0) {
            *out = (rt_state_loss)k;
            return true;
        }
    }
    return false;
}

double rt_state_loss_row(rt_state_loss k, const float *y, const float *t, int64_t d, float weight, float *dy)
{
    return (k == RT_STATE_COSINE ? cosine_f32 : mse_f32)(y, t, d, (double)weight, dy);
}

double rt_state_loss_row_f64(rt_state_loss k, const double *y, const double *t, int64_t d, double weight, double *dy)
{
    return (k == RT_STATE_COSINE ? cosine_f64 : mse_f64)(y, t, d, weight, dy);
}
