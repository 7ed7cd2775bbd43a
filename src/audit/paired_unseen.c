/* paired_unseen.c - where no item moved in a direction a bootstrap sees nothing to resample, and its interval ends as
 * if none ever could. What may still have happened: with none among G independent groups, a share f of them moves with
 * 95 % confidence at most where (1 - f)^G = 0.05 (exact; the "rule of three", about 3/G: Hanley and Lippman-Hand 1983,
 * JAMA 249:1743). */
#include <math.h>

#include "audit/paired_parts.h"

#define LEVEL 0.05

double rt_paired_most(const rt_paired_options *o)
{
    return o->most > 0 ? o->most : 1;
}

void rt_paired_unseen(rt_paired *p, const rt_paired_unmoved *none, const rt_paired_options *o)
{
    if (o->same_model || p->groups < 2 || !(none->worse || none->better)) {
        return;
    }
    const double above = p->teacher - o->chance; /* NAN without chance, as retention is */
    p->may_flip = 1 - pow(LEVEL, 1 / (double)p->groups);
    if (none->worse) {
        p->low -= none->most * p->may_flip;
        p->retention[1] -= none->most * p->may_flip / above;
    }
    if (none->better) {
        p->high += none->most * p->may_flip;
        p->retention[2] += none->most * p->may_flip / above;
    }
    p->half_width = (p->high - p->low) / 2;
}

/* Share of items that must move to make up the margin, where the interval shows how far they can. */
static double share_of_margin(const rt_paired *p, const rt_paired_options *o)
{
    const double most = p->flips == 0 ? p->high / p->may_flip : rt_paired_most(o);
    return fmin(1, o->margin / most);
}

double rt_paired_unseen_p(const rt_paired *p, const rt_paired_options *o)
{
    const bool lost = o->lower_is_better ? p->better > 0 : p->worse > 0;
    return p->may_flip > 0 && !lost ? pow(1 - share_of_margin(p, o), (double)p->groups) : 0;
}

double rt_paired_unseen_needed(const rt_paired *p, const rt_paired_options *o)
{
    const double share = share_of_margin(p, o);
    return share < 1 ? ceil(log(LEVEL) / log1p(-share)) * (double)p->n / (double)p->groups : 1;
}
