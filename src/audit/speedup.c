/* speedup.c - the model of speculative decoding. */
#include "audit/speedup.h"

#include <math.h>

#include "format/json.h"

rt_speedup rt_speedup_predict(const rt_stat *alpha, int draft, double c, double v, bool catches_up)
{
    rt_speedup s = {.c = c, .v = v, .best_value = 1};
    double reached = 1, tau = 1;
    for (int k = 1; k <= draft; k++) {
        const double kept = alpha[k - 1].mean;
        reached *= isnan(kept) ? 0 : kept; /* no token got there */
        tau += reached;
        s.value = tau / ((k + (catches_up ? reached : 0)) * c + 1 + (v - 1) * k / draft);
        if (s.value > s.best_value) {
            s.best = k;
            s.best_value = s.value;
        }
    }
    return s;
}

json_t *rt_speedup_json(const rt_speedup *s)
{
    return json_pack("{s:o, s:o, s:o, s:i, s:f}", "c", rt_number_json(s->c), "v", rt_number_json(s->v), "value",
                     rt_number_json(s->value), "best", s->best, "best_value", s->best_value);
}
