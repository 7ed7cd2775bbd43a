/* Reading and writing the cache, and the tokenizer, on one thread. */
#include "flow/bench_parts.h"

#include <math.h>

/* Every sequence, `rounds` times: what training asks for. */
static rt_status read_cache(rt_bench_work *b, rt_err *err)
{
    rt_status st = RT_OK;
    rt_cache_sequence s = {0};
    const rt_cache_header *h = rt_cache_get_header(b->cache);
    double best = INFINITY;
    for (int i = 0; i < b->rounds + 1; i++) {
        const double t0 = rt_now();
        for (int64_t j = 0; j < h->n_sequences; j++) {
            RT_TRY(rt_cache_read(b->cache, j, &s, err));
        }
        best = fmin(best, rt_now() - t0);
    }
    b->out->cache_read_tokens_per_s = (double)h->n_tokens / best;
    b->out->cache_read_bytes_per_s = (double)rt_cache_bytes(b->cache) / best;
out:
    rt_cache_sequence_release(&s);
    return st;
}

typedef struct copier {
    rt_cache_row *rows; /* [sequence] */
    int32_t *counts;    /* [sequence][draws] */
} copier;

static rt_status append_copy(rt_bench_work *b, copier *c, rt_cache_writer *w, const rt_cache_sequence *s, int64_t i,
                             rt_err *err)
{
    const int draws = rt_cache_get_header(b->cache)->draws;
    for (int64_t j = 0; j < s->n; j++) {
        const rt_target *t = &s->targets[j];
        int32_t *counts = c->counts + j * draws;
        for (int k = 0; s->mask[j] && k < t->n; k++) {
            counts[k] = (int32_t)lrintf(t->weight[k] * (float)draws);
        }
        c->rows[j] = (rt_cache_row){.n = t->n, .ids = t->ids, .counts = counts, .entropy = t->entropy};
    }
    return rt_cache_append(w, &b->packed, i, c->rows, err);
}

/* The cache once more, from its own contents: encoding, checksums and files without the teacher. */
static rt_status write_cache(rt_bench_work *b, rt_err *err)
{
    rt_status st = RT_OK;
    rt_cache_sequence s = {0};
    rt_cache_writer *w = NULL;
    copier c = {0};
    double seconds = 0;
    const rt_cache_header *h = rt_cache_get_header(b->cache);
    RT_TRY(RT_NEW(&c.rows, (size_t)h->sequence, "rows of a sequence", err));
    RT_TRY(RT_NEW(&c.counts, (size_t)h->sequence * (size_t)h->draws, "counts of a sequence", err));
    RT_TRY(rt_cache_create(&w, b->copy_path, h, b->job->permit, err));
    for (int64_t i = 0; i < h->n_sequences; i++) {
        RT_TRY(rt_cache_read(b->cache, i, &s, err));
        const double t0 = rt_now();
        RT_TRY(append_copy(b, &c, w, &s, i, err));
        seconds += rt_now() - t0;
    }
    const double t0 = rt_now();
    st = rt_cache_finish(w, err);
    w = NULL;
    seconds += rt_now() - t0;
    b->out->cache_write_bytes_per_s = (double)rt_cache_bytes(b->cache) / seconds;
out:
    rt_cache_abandon(w);
    rt_bench_remove(b->copy_path);
    rt_cache_sequence_release(&s);
    rt_free(c.rows);
    rt_free(c.counts);
    return st;
}

static rt_status encode_text(rt_bench_work *b, rt_err *err)
{
    enum { SECONDS_TENTHS = 5 };
    rt_status st = RT_OK;
    rt_str text = {0};
    double bytes = 0, seconds = 0;
    RT_TRY(rt_file_read(&text, b->text_path, SIZE_MAX, err));
    while (seconds < SECONDS_TENTHS / 10.0) {
        rt_ids ids = {0};
        const double t0 = rt_now();
        st = rt_encode_text(b->job->tokenizer, rt_str_cstr(&text), text.n, 0, &ids, err);
        seconds += rt_now() - t0;
        bytes += (double)text.n;
        rt_ids_release(&ids);
        RT_TRY(st);
    }
    b->out->tokenizer_bytes_per_s = bytes / seconds;
out:
    rt_str_release(&text);
    return st;
}

rt_status rt_bench_io(rt_bench_work *b, rt_err *err)
{
    rt_status st = RT_OK;
    if (b->cache != NULL) {
        RT_TRY(read_cache(b, err));
        RT_TRY(write_cache(b, err));
    }
    RT_TRY(encode_text(b, err));
out:
    return st;
}
