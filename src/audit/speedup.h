/* speedup.h - how much faster a target writes with a drafter, by what its drafts are worth and cost. */
#ifndef RT_AUDIT_SPEEDUP_H
#define RT_AUDIT_SPEEDUP_H

#include <jansson.h>
#include <stdbool.h>

#include "core/stat.h"

/* Costs in units of one step of the target alone. */
typedef struct rt_speedup {
    double c;          /* of a draft step */
    double v;          /* of verifying the longest draft: its tokens and one more together */
    double value;      /* over the target alone, with the longest draft; NAN when a cost is */
    int best;          /* length up to it that gives most; 0: none does better than no draft */
    double best_value; /* 1 for none */
} rt_speedup;

/* Leviathan et al. 2023, theorem 3.8, with shares alpha[draft] kept by place and a v of its own: k tokens a draft give
 * (1 + alpha_1 + alpha_1 alpha_2 + ...) / (k c + v_k). v_k lies on the line from one row, which is a step of the
 * target, to v. catches_up: after a draft that was wholly kept one more draft step reads its last token. */
rt_speedup rt_speedup_predict(const rt_stat *alpha, int draft, double c, double v, bool catches_up);
/* {c, v, value, best, best_value}. Owned, NULL when memory is out. */
json_t *rt_speedup_json(const rt_speedup *s);

#endif
