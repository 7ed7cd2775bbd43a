/* loss_f64.c - the losses in double, on plain loops. */
#include "tensor/loss.h"
#include "tensor/ref.h"

#define REAL double

static double row_max(const double *z, int64_t n)
{
    double max = z[0];
    for (int64_t i = 1; i < n; i++) {
        max = z[i] > max ? z[i] : max;
    }
    return max;
}

static double row_logsumexp(const double *z, int64_t n, double inv_t)
{
    return rt_ref_logsumexp_f64(z, n, inv_t, NULL);
}

static void row_softmax(double *z, int64_t n, double inv_t, double lse, double w)
{
    rt_ref_softmax_scale_f64(z, n, inv_t, lse, w);
}

#include "tensor/loss_body.h"

double rt_loss_row_f64(const rt_loss *l, double *z, int64_t v, const rt_target *t, const double *teacher,
                       const double *logp, double log_tail, bool grad, double weight, double *scratch)
{
    return loss_row(&(row){.loss = l,
                           .z = z,
                           .v = v,
                           .target = t,
                           .teacher = teacher,
                           .logp = logp,
                           .log_tail = log_tail,
                           .grad = grad,
                           .weight = weight,
                           .scratch = scratch});
}
