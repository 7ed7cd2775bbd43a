/* loss_f32.c - the losses in float, log-sum-exp and softmax by the kernel table. */
#include "tensor/kernels.h"
#include "tensor/loss.h"

#define REAL float

static float row_max(const float *z, int64_t n)
{
    return z[rt_kernels_get()->argmax(z, n)];
}

static double row_logsumexp(const float *z, int64_t n, double inv_t)
{
    return rt_kernels_get()->logsumexp(z, n, (float)inv_t, NULL);
}

static void row_softmax(float *z, int64_t n, double inv_t, double lse, double w)
{
    rt_kernels_get()->softmax_scale(z, n, (float)inv_t, (float)lse, (float)w);
}

#include "tensor/loss_body.h"

double rt_loss_row(const rt_loss *l, float *z, int64_t v, const rt_target *t, bool grad, float weight, float *scratch)
{
    return loss_row(&(row){.loss = l,
                           .z = z,
                           .v = v,
                           .target = t,
                           .teacher = t->logits,
                           .logp = t->weight,
                           .log_tail = t->log_tail,
                           .grad = grad,
                           .weight = weight,
                           .scratch = scratch});
}
