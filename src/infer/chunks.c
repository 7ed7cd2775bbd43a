/* chunks.c - one chunk is one batch; its rows leave the head in pieces. */
#include "infer/chunks.h"

#include <math.h>
#include <string.h>

#include "core/file.h"
#include "infer/id_lists.h"

struct rt_chunks {
    const rt_model *m;
    rt_kl_base_shape shape;
    int32_t bos; /* -1: chunks begin as they are */
    int32_t *ids;
    int32_t *rows; /* [scored] */
    rt_acts *acts;
    rt_head *head;
};

rt_status rt_chunks_new(rt_chunks **out, const rt_model *m, const rt_tokenizer *t, const rt_kl_base_shape *shape,
                        rt_err *err)
{
    rt_status st = RT_OK;
    rt_chunks *c = NULL;
    int64_t rows;
    if (shape->n_vocab != m->hp.n_vocab) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "the logits are over %lld tokens, the model has %lld: another vocabulary",
                    (long long)shape->n_vocab, (long long)m->hp.n_vocab);
    }
    if (shape->n_ctx > m->rope_rows) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "chunks of %lld tokens do not fit into the model's context of %lld",
                    (long long)shape->n_ctx, (long long)m->rope_rows);
    }
    if (rt_tokenizer_adds_bos(t) && rt_tokenizer_bos(t) >= m->hp.n_vocab) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "the tokenizer begins texts with id %d, the model has %lld: another vocabulary",
                    (int)rt_tokenizer_bos(t), (long long)m->hp.n_vocab);
    }
    RT_TRY(RT_NEW(&c, 1, "chunks", err));
    c->m = m;
    c->shape = *shape;
    c->bos = rt_tokenizer_adds_bos(t) ? rt_tokenizer_bos(t) : -1;
    RT_TRY(RT_NEW(&c->ids, (size_t)shape->n_ctx, "ids of a chunk", err));
    RT_TRY(RT_NEW(&c->rows, (size_t)rt_kl_base_scored(shape), "rows of a chunk", err));
    for (int64_t i = 0; i < rt_kl_base_scored(shape); i++) {
        c->rows[i] = (int32_t)(rt_kl_base_first(shape) + i);
    }
    RT_TRY(rt_pass_rows(&rows, m,
                        &(rt_pass){.rows = shape->n_ctx,
                                   .span = shape->n_ctx,
                                   .bytes = RT_CHUNK_ROWS * (int64_t)rt_kl_base_row_bytes(shape->n_vocab)},
                        err));
    RT_TRY(rt_acts_new(&c->acts, m, rows, shape->n_ctx, RT_NET_FORWARD, err));
    RT_TRY(rt_head_new(&c->head, m, NULL, false, err));
    *out = c;
    c = NULL;
out:
    rt_chunks_free(c);
    return st;
}

void rt_chunks_free(rt_chunks *c)
{
    if (c != NULL) {
        rt_acts_free(c->acts);
        rt_head_free(c->head);
        rt_free(c->ids);
        rt_free(c->rows);
        rt_free(c);
    }
}

void rt_chunks_forward(rt_chunks *c, const int32_t *ids)
{
    const rt_span span = {.n = c->shape.n_ctx};
    memcpy(c->ids, ids, (size_t)c->shape.n_ctx * sizeof *ids);
    if (c->bos >= 0) {
        c->ids[0] = c->bos;
    }
    rt_net_forward(c->m, c->acts, &(rt_batch){.ids = c->ids, .n_rows = span.n, .spans = &span, .n_spans = 1});
}

void rt_chunks_visit(rt_chunks *c, int64_t from, int64_t n, rt_head_visitor visit, void *ud)
{
    rt_head_run(
        c->head,
        &(rt_head_sweep){
            .model = c->m, .x = rt_acts_x(c->acts), .rows = c->rows + from, .n_rows = n, .visit = visit, .ud = ud});
}

/* --- writing ------------------------------------------------------------------------------------------------------ */

static rt_status read_text(rt_ids *ids, const rt_tokenizer *t, const char *path, rt_err *err)
{
    enum { MOST = 1 << 30 };
    rt_status st = RT_OK;
    rt_str text = {0};
    RT_TRY(rt_file_read(&text, path, MOST, err));
    if (rt_tokenizer_adds_bos(t)) {
        RT_TRY(rt_ids_push(ids, rt_tokenizer_bos(t), err));
    }
    RT_TRY(rt_encode_text(t, text.p, text.n, RT_ENCODE_PLAIN, ids, err));
out:
    rt_str_release(&text);
    return st;
}

typedef struct encoder {
    char *rows; /* [RT_CHUNK_ROWS] */
    int64_t n_vocab;
} encoder;

static void encode_row(void *ud, const rt_head_row *row)
{
    const encoder *e = ud;
    rt_kl_base_encode(e->rows + (size_t)row->index * rt_kl_base_row_bytes(e->n_vocab), row->logits, e->n_vocab);
}

static rt_status check_rows(const encoder *e, int64_t n, int64_t chunk, rt_err *err)
{
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(rt_kl_base_row_at(e->rows, e->n_vocab, i).least)) {
            return rt_fail(err, RT_NUMERIC, 0, "chunk %lld: its logits are not finite; the model is damaged",
                           (long long)chunk);
        }
    }
    return RT_OK;
}

static rt_status write_chunks(FILE *f, rt_chunks *c, const int32_t *ids, const char *path, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_kl_base_shape *s = &c->shape;
    const size_t row_bytes = rt_kl_base_row_bytes(s->n_vocab);
    const int64_t scored = rt_kl_base_scored(s);
    encoder e = {.n_vocab = s->n_vocab};
    rt_progress progress;
    RT_TRY(RT_NEW(&e.rows, RT_CHUNK_ROWS * row_bytes, "rows of logits", err));
    rt_progress_begin(&progress, "logits");
    for (int64_t i = 0; i < s->n_chunk; i++) {
        if (rt_interrupted()) {
            RT_FAIL_OUT(err, RT_CANCELLED, 0, "stopped at chunk %lld of %lld; '%s' is not written", (long long)i,
                        (long long)s->n_chunk, path);
        }
        rt_chunks_forward(c, ids + i * s->n_ctx);
        for (int64_t from = 0; from < scored; from += RT_CHUNK_ROWS) {
            const int64_t n = scored - from < RT_CHUNK_ROWS ? scored - from : RT_CHUNK_ROWS;
            rt_chunks_visit(c, from, n, encode_row, &e);
            RT_TRY(check_rows(&e, n, i, err));
            RT_TRY(rt_fwrite(f, e.rows, (size_t)n * row_bytes, path, err));
        }
        rt_progress_update(&progress, (double)(i + 1), (double)s->n_chunk, "chunks");
    }
    rt_progress_end(&progress, "%lld chunks", (long long)s->n_chunk);
out:
    rt_free(e.rows);
    return st;
}

rt_status rt_logits_save_kl_base(rt_kl_base_shape *shape, const rt_model *m, const rt_tokenizer *t,
                                 const char *text_path, int64_t n_ctx, const char *path, rt_err *err)
{
    rt_status st = RT_OK;
    rt_ids ids = {0};
    rt_atomic file = {0};
    rt_chunks *c = NULL;
    RT_TRY(read_text(&ids, t, text_path, err));
    RT_TRY(rt_ids_check(m, ids.p, (int64_t)ids.n, text_path, 0, err));
    *shape = (rt_kl_base_shape){.n_ctx = n_ctx, .n_vocab = m->hp.n_vocab, .n_chunk = (int64_t)ids.n / n_ctx};
    if (shape->n_chunk < 2) { /* llama-perplexity wants two */
        RT_FAIL_OUT(err, RT_INPUT, 0,
                    "'%s' has %zu tokens, two chunks of %lld are needed: a longer text, or a smaller --sequence",
                    text_path, ids.n, (long long)n_ctx);
    }
    RT_TRY(rt_chunks_new(&c, m, t, shape, err));
    RT_TRY(rt_atomic_open(&file, path, err));
    RT_TRY(rt_kl_base_write_head(file.f, shape, ids.p, path, err));
    RT_TRY(write_chunks(file.f, c, ids.p, path, err));
    RT_TRY(rt_atomic_commit(&file, err));
out:
    rt_atomic_discard(&file);
    rt_chunks_free(c);
    rt_ids_release(&ids);
    return st;
}
