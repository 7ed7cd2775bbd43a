/* loss.c - names of the losses, and which loss can be computed from which kind of target. The sums themselves are
 * in loss_body.h, compiled for float and for double. */
#include "tensor/loss.h"

#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    int power; /* of T in the training gradient's factor */
    bool distils;
    const char *formula;
} losses[RT_LOSS_COUNT] = {
#define RT_LOSS(name, recipe, power, distils, formula) [RT_LOSS_##name] = {recipe, power, distils, formula},
#include "tensor/loss.def"
#undef RT_LOSS
};

const char *rt_loss_name(rt_loss_kind k)
{
    return losses[k].name;
}

const char *rt_loss_formula(rt_loss_kind k)
{
    return losses[k].formula;
}

bool rt_loss_from_name(const char *name, rt_loss_kind *out)
{
    for (int k = 0; k < RT_LOSS_COUNT; k++) {
        if (strcmp(name, losses[k].name) == 0) {
            *out = (rt_loss_kind)k;
            return true;
        }
    }
    return false;
}

bool rt_loss_distils(rt_loss_kind k)
{
    return losses[k].distils;
}

double rt_loss_factor(const rt_loss *l)
{
    return losses[l->kind].power == 2 ? l->temperature * l->temperature : 1.0;
}

const char *rt_target_kind_name(rt_target_kind k)
{
    static const char *const names[] = {[RT_TARGET_LABEL] = "label",
                                        [RT_TARGET_SAMPLE] = "sample",
                                        [RT_TARGET_TOPK] = "topk",
                                        [RT_TARGET_DENSE] = "dense"};
    return names[k];
}

static rt_status check_numbers(const rt_loss *l, rt_err *err)
{
    if (!(l->temperature > 0.0) || !isfinite(l->temperature)) {
        return rt_fail(err, RT_USAGE, 0, "temperature of loss '%s' is %g, expected a number above 0",
                       rt_loss_name(l->kind), l->temperature);
    }
    bool mixes = l->kind == RT_LOSS_JSD || l->kind == RT_LOSS_SKEW_FORWARD_KL || l->kind == RT_LOSS_SKEW_REVERSE_KL;
    if (mixes && !(l->mix > 0.0 && l->mix < 1.0)) {
        return rt_fail(err, RT_USAGE, 0,
                       "mixing weight of loss '%s' is %g, expected a number between 0 and 1; "
                       "its ends are the losses 'forward_kl' and 'reverse_kl'",
                       rt_loss_name(l->kind), l->mix);
    }
    if (!(l->label_smoothing >= 0.0 && l->label_smoothing < 1.0)) {
        return rt_fail(err, RT_USAGE, 0, "label smoothing is %g, expected 0 or more and less than 1",
                       l->label_smoothing);
    }
    if (l->label_smoothing > 0.0 && l->kind != RT_LOSS_CE) {
        return rt_fail(err, RT_USAGE, 0, "label smoothing does not apply to loss '%s'; only 'ce' has labels",
                       rt_loss_name(l->kind));
    }
    if (!rt_loss_distils(l->kind) && l->temperature != 1.0) {
        return rt_fail(err, RT_USAGE, 0, "temperature of loss '%s' is %g, expected 1", rt_loss_name(l->kind),
                       l->temperature);
    }
    return RT_OK;
}

static rt_status check_pair(const rt_loss *l, rt_target_kind t, rt_err *err)
{
    const char *name = rt_loss_name(l->kind);
    const bool distils = rt_loss_distils(l->kind);
    if (!distils && t != RT_TARGET_LABEL) {
        return rt_fail(err, RT_UNSUPPORTED, 0,
                       "loss '%s' needs labels, not '%s' targets; use 'forward_kl', which has "
                       "the gradient of the cross entropy with the teacher",
                       name, rt_target_kind_name(t));
    }
    if (distils && t == RT_TARGET_LABEL) {
        return rt_fail(err, RT_UNSUPPORTED, 0,
                       "loss '%s' needs the teacher's distribution, which a label is not; use 'ce'", name);
    }
    if (distils && l->kind != RT_LOSS_FORWARD_KL && t == RT_TARGET_SAMPLE) {
        return rt_fail(err, RT_UNSUPPORTED, 0,
                       "loss '%s' needs the teacher's probabilities, and 'sample' targets hold "
                       "draws; use 'forward_kl', or collect 'topk' or 'hidden' targets",
                       name);
    }
    return RT_OK;
}

rt_status rt_loss_check(const rt_loss *l, rt_target_kind t, double cached_temperature, rt_err *err)
{
    rt_status st;
    RT_TRY(check_numbers(l, err));
    RT_TRY(check_pair(l, t, err));
    bool fixed = t == RT_TARGET_SAMPLE || t == RT_TARGET_TOPK;
    if (fixed && fabs(l->temperature - cached_temperature) > 1e-6 * cached_temperature) {
        RT_FAIL_OUT(err, RT_UNSUPPORTED, 0,
                    "loss '%s' at temperature %g cannot use '%s' targets made at temperature "
                    "%g: what lies outside their entries cannot be re-tempered; collect again at %g, or collect "
                    "'hidden' targets",
                    rt_loss_name(l->kind), l->temperature, rt_target_kind_name(t), cached_temperature, l->temperature);
    }
out:
    return st;
}
