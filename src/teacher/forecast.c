/* forecast.c - a batch costs its layers and its head; layers of a kind are alike, so one stands for all. Reading it
 * from a cold disk is part of its time. */
#include "teacher/forecast.h"

#include <math.h>
#include <stdio.h>

#include "core/log.h"

enum { HEAD_ROWS = 64, LONG = 3600 };

static void ignore_row(void *ud, const rt_head_row *row)
{
    (void)ud;
    (void)row;
}

/* Seconds of all layers for one batch. Of each kind two are run; the second counts, the first warms up what is shared.
 */
static double time_layers(const rt_model *m, rt_acts *acts, const rt_batch *b)
{
    double of_kind[2] = {0};
    int timed[2] = {0}, n[2] = {0};
    rt_net_embed(m, b, rt_acts_x(acts));
    for (int l = 0; l < (int)m->hp.n_layer; l++) {
        const int kind = m->hp.layer_moe[l] != 0;
        n[kind]++;
        if (timed[kind] < 2) {
            const double t0 = rt_now();
            rt_net_layer(m, acts, b, l, rt_acts_x(acts));
            of_kind[kind] = rt_now() - t0;
            timed[kind]++;
        }
    }
    return of_kind[0] * n[0] + of_kind[1] * n[1];
}

static double time_head_row(const rt_model *m, rt_head *head, const float *x)
{
    double seconds = 0;
    for (int i = 0; i < 2; i++) {
        const double t0 = rt_now();
        rt_head_run(head, &(rt_head_sweep){.model = m, .x = x, .n_rows = HEAD_ROWS, .visit = ignore_row});
        seconds = rt_now() - t0;
    }
    return seconds / HEAD_ROWS;
}

rt_status rt_forecast(double *seconds, const rt_model *m, int64_t tokens, int64_t batch_tokens, int64_t sequence,
                      rt_err *err)
{
    rt_status st = RT_OK;
    rt_acts *acts = NULL;
    rt_head *head = NULL;
    int32_t *ids = NULL;
    rt_span *spans = NULL;
    int64_t rows;
    const rt_pass pass = {.rows = batch_tokens > HEAD_ROWS ? batch_tokens : HEAD_ROWS, .span = sequence};
    RT_TRY(rt_pass_rows(&rows, m, &pass, err));
    const int64_t n_spans = (rows - 1) / sequence + 1;
    RT_TRY(RT_NEW(&ids, (size_t)rows, "ids", err));
    RT_TRY(RT_NEW(&spans, (size_t)n_spans, "spans", err));
    for (int64_t i = 0; i < rows; i++) {
        ids[i] = (int32_t)(i * 7919 % m->hp.n_vocab); /* rows that differ, so that they go to different experts */
    }
    for (int64_t i = 0; i < n_spans; i++) {
        const int64_t left = rows - i * sequence;
        spans[i] = (rt_span){.row0 = i * sequence, .n = left < sequence ? left : sequence};
    }
    RT_TRY(rt_acts_new(&acts, m, rows, sequence, RT_NET_FORWARD, err));
    RT_TRY(rt_head_new(&head, m, NULL, false, err));
    const rt_batch b = {.ids = ids, .n_rows = rows, .spans = spans, .n_spans = n_spans};
    const double layers = time_layers(m, acts, &b), row = time_head_row(m, head, rt_acts_x(acts));
    *seconds = (double)((tokens + rows - 1) / rows) * layers + (double)tokens * row;
out:
    rt_acts_free(acts);
    rt_head_free(head);
    rt_free(ids);
    rt_free(spans);
    return st;
}

rt_status rt_forecast_judge(const rt_model *m, double seconds, double accepted, const char *work, const char *ways_out,
                            rt_err *err)
{
    const double hours = seconds / 3600;
    if (accepted > 0 && seconds > accepted) {
        return rt_fail(err, RT_USAGE, 0,
                       "%s would take about %.4g h, %.4g h are accepted: use %s, or accept it with --accept-time %.0fh",
                       work, hours, accepted / 3600, ways_out, ceil(hours * 1.25));
    }
    if (m->stream != NULL) {
        const bool is_long = seconds > LONG;
        rt_log(is_long ? RT_LOG_WARN : RT_LOG_INFO,
               "the teacher is larger than the memory it may take and is read layer by layer: %s will take %.*f %s%s%s",
               work, is_long ? 1 : 0, is_long ? hours : seconds, is_long ? "h" : "s", is_long ? "; quicker: " : "",
               is_long ? ways_out : "");
    }
    return RT_OK;
}

rt_status rt_forecast_say(const rt_model *m, int64_t tokens, int64_t batch_tokens, int64_t sequence, double accepted,
                          rt_err *err)
{
    double seconds;
    char work[64];
    if (m->stream == NULL && accepted == 0) {
        return RT_OK;
    }
    const rt_status st = rt_forecast(&seconds, m, tokens, batch_tokens, sequence, err);
    snprintf(work, sizeof work, "the teacher's pass over %lld tokens", (long long)tokens);
    return st != RT_OK ? st
                       : rt_forecast_judge(m, seconds, accepted, work,
                                           "a served teacher (collect URL; teacher.endpoint in a recipe), more memory "
                                           "or fewer tokens (collect.tokens)",
                                           err);
}
