/* cache_write.c - filling a cache shard by shard. A shard's rows wait in memory, since its codes are made from all of
 * them; then the file appears at once. The same rows give the same bytes, however often the work was interrupted. */
#include <math.h>

#include "format/half.h"
#include "teacher/cache_index.h"

/* What waits: plain arrays inside growing byte strings. */
typedef struct pending_segment {
    int32_t n, doc;
} pending_segment;
typedef struct pending_sequence {
    uint32_t n_tokens, n_targets, n_segments;
    double nll;
} pending_sequence;

struct rt_cache_writer {
    rt_cache_header header;
    char *dir;
    json_t *fidelity;      /* of the teacher; NULL: not said */
    int64_t next;          /* sequence */
    rt_shard_head *shards; /* [n_shards] heads of those on disk */
    int64_t n_shards;
    rt_encoder *encoder;
    int32_t order[RT_CODEC_MAX_TOTAL], coded_ids[RT_CODEC_MAX_TOTAL], coded_counts[RT_CODEC_MAX_TOTAL];
    rt_str sequences, segments, ids, mask;
    rt_str row_sizes, row_values; /* value: entropy or log of the tail's mass */
    rt_str entry_ids, entry_counts, entry_logp, hidden;
    rt_str row_kinds; /* found when a shard is written */
};

#define VIEW(type, str) ((const type *)(const void *)(str).p)

enum { N_PENDING = 11 };

static void list_pending(rt_cache_writer *w, rt_str *all[N_PENDING])
{
    rt_str *const each[N_PENDING] = {&w->sequences,  &w->segments,   &w->ids,       &w->mask,
                                     &w->row_sizes,  &w->row_values, &w->entry_ids, &w->entry_counts,
                                     &w->entry_logp, &w->hidden,     &w->row_kinds};
    for (size_t i = 0; i < N_PENDING; i++) {
        all[i] = each[i];
    }
}

static void drop_pending(rt_cache_writer *w)
{
    rt_str *all[N_PENDING];
    list_pending(w, all);
    for (size_t i = 0; i < N_PENDING; i++) {
        rt_str_clear(all[i]);
    }
}

/* ---- a shard's bytes ---- */

/* The walk over what waits. With out NULL the symbols are counted, else written. */
typedef struct walk {
    rt_cache_writer *w;
    rt_bits_out *out;
    size_t segment, token, row, entry, hidden; /* next of each */
} walk;

static void put_segments(walk *k, const pending_sequence *s)
{
    const pending_segment *segments = VIEW(pending_segment, k->w->segments) + k->segment;
    int32_t doc = 0;
    rt_bits_put_gamma(k->out, s->n_segments);
    for (uint32_t i = 0; i < s->n_segments; i++) {
        int32_t step = segments[i].doc - doc;
        rt_bits_put_gamma(k->out, (uint32_t)segments[i].n);
        rt_bits_put_gamma(k->out, (step < 0 ? 2 * (uint32_t)(-step) - 1 : 2 * (uint32_t)step) + 1);
        doc = segments[i].doc;
    }
}

static void put_mask(walk *k, const pending_sequence *s)
{
    const uint8_t *mask = VIEW(uint8_t, k->w->mask) + k->token;
    bool full = s->n_targets == s->n_tokens - s->n_segments;
    rt_bits_put(k->out, full, 1);
    for (uint32_t i = 0; !full && i < s->n_tokens; i++) {
        rt_bits_put(k->out, mask[i], 1);
    }
}

/* The row at the walk's place in coded order. */
static rt_coded_row coded_row(walk *k, int32_t token)
{
    rt_cache_writer *w = k->w;
    bool sample = w->header.kind == RT_CACHE_SAMPLE;
    const int32_t *ids = VIEW(int32_t, w->entry_ids) + k->entry;
    const int32_t *counts = sample ? VIEW(int32_t, w->entry_counts) + k->entry : NULL;
    rt_coded_row row = {.token = token,
                        .kind = VIEW(uint8_t, w->row_kinds)[k->row],
                        .sample = sample,
                        .total = sample ? w->header.draws : w->header.k,
                        .n = VIEW(int32_t, w->row_sizes)[k->row],
                        .ids = w->coded_ids,
                        .counts = w->coded_counts};
    rt_encoder_sort(w->encoder, row.kind, ids, row.n, w->order);
    for (int i = 0; i < row.n; i++) {
        row.ids[i] = ids[w->order[i]];
        row.counts[i] = counts ? counts[w->order[i]] : 1;
    }
    if (sample) {
        row.entropy = rt_model_entropy_steps(VIEW(float, w->row_values)[k->row]);
    }
    return row;
}

static rt_coded_row put_row(walk *k, int32_t token)
{
    rt_cache_writer *w = k->w;
    rt_coded_row row = coded_row(k, token);
    if (k->out && !row.sample) {
        rt_bits_put(k->out, rt_half_encode(VIEW(float, w->row_values)[k->row]), 16);
    }
    rt_encoder_put_row(w->encoder, k->out, &row);
    for (int i = 0; k->out && !row.sample && i < row.n; i++) {
        rt_bits_put(k->out, rt_half_encode(VIEW(float, w->entry_logp)[k->entry + (size_t)w->order[i]]), 16);
    }
    k->entry += (size_t)row.n;
    k->row++;
    return row;
}

static void put_ids_and_rows(walk *k, const pending_sequence *s)
{
    rt_cache_writer *w = k->w;
    const int32_t *ids = VIEW(int32_t, w->ids) + k->token;
    const uint8_t *mask = VIEW(uint8_t, w->mask) + k->token;
    bool rows = w->header.kind != RT_CACHE_HIDDEN;
    rt_coded_row row;
    rt_encoder_begin_sequence(w->encoder);
    for (uint32_t i = 0; i < s->n_tokens; i++) {
        rt_encoder_put_id(w->encoder, k->out, rows && i > 0 && mask[i - 1] != 0 ? &row : NULL, ids[i]);
        if (rows && mask[i] != 0) {
            row = put_row(k, ids[i]);
        }
    }
}

static void put_sequence(walk *k, const pending_sequence *s)
{
    rt_cache_writer *w = k->w;
    if (k->out) {
        put_segments(k, s);
        put_mask(k, s);
    }
    put_ids_and_rows(k, s);
    if (k->out) {
        rt_bits_align(k->out);
        if (w->header.kind == RT_CACHE_HIDDEN && s->n_targets > 0) {
            size_t bytes =
                (size_t)s->n_targets * (size_t)w->header.d_model * (w->header.hidden_dtype == RT_F32 ? 4 : 2);
            rt_str_add(&k->out->bytes, w->hidden.p + k->hidden, bytes);
            k->hidden += bytes;
        }
    }
    k->segment += s->n_segments;
    k->token += s->n_tokens;
}

static void put_all(rt_cache_writer *w, rt_bits_out *out, rt_shard_entry *entries, size_t n_sequences)
{
    walk k = {.w = w, .out = out};
    for (size_t i = 0; i < n_sequences; i++) {
        const pending_sequence *s = &VIEW(pending_sequence, w->sequences)[i];
        entries[i] = (rt_shard_entry){.at = out ? out->bytes.n : 0, .n_tokens = s->n_tokens, .n_targets = s->n_targets};
        put_sequence(&k, s);
    }
    entries[n_sequences] = (rt_shard_entry){.at = out ? out->bytes.n : 0};
}

/* The kind of every row that waits. */
static rt_status find_kinds(rt_cache_writer *w, rt_err *err)
{
    rt_status st = RT_OK;
    rt_kind_rows rows = {.n = (int64_t)(w->row_sizes.n / sizeof(int32_t)),
                         .size = VIEW(int32_t, w->row_sizes),
                         .ids = VIEW(int32_t, w->entry_ids)};
    int32_t *tokens = NULL;
    uint8_t *kinds = NULL;
    int64_t n = 0;
    RT_TRY(RT_NEW(&tokens, (size_t)rows.n, "ids at rows", err));
    RT_TRY(RT_NEW(&kinds, (size_t)rows.n, "kinds of rows", err));
    for (size_t i = 0; i < w->mask.n; i++) {
        if (w->mask.p[i] != 0) {
            tokens[n++] = VIEW(int32_t, w->ids)[i];
        }
    }
    RT_TRY(rt_encoder_find_kinds(w->encoder, &rows, tokens, kinds, err));
    rt_str_add(&w->row_kinds, kinds, (size_t)rows.n);
    if (w->row_kinds.failed) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for kinds of rows");
    }
out:
    rt_free(tokens);
    rt_free(kinds);
    return st;
}

static rt_status encode(rt_cache_writer *w, rt_bits_out *book, rt_bits_out *payload, rt_shard_entry *entries,
                        size_t n_sequences, rt_err *err)
{
    rt_status st = RT_OK;
    rt_encoder_reset(w->encoder);
    rt_encoder_note(w->encoder, VIEW(int32_t, w->ids), (int64_t)(w->ids.n / sizeof(int32_t)));
    rt_encoder_note(w->encoder, VIEW(int32_t, w->entry_ids), (int64_t)(w->entry_ids.n / sizeof(int32_t)));
    rt_encoder_rank(w->encoder);
    if (w->row_sizes.n > 0) {
        RT_TRY(find_kinds(w, err));
    }
    put_all(w, NULL, entries, n_sequences);
    rt_encoder_make_codes(w->encoder);
    rt_encoder_put_book(w->encoder, book);
    rt_bits_align(book);
    put_all(w, payload, entries, n_sequences);
out:
    return st;
}

static rt_status write_file(const rt_cache_writer *w, rt_shard_head *head, const rt_str *image, rt_err *err)
{
    rt_status st = RT_OK;
    char file[16];
    const size_t after = offsetof(rt_shard_head, checksum) + sizeof head->checksum;
    rt_shard_file_name(head->shard, file);
    char *path = rt_path_join(w->dir, file);
    if (!path || image->failed) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for a cache shard");
    }
    head->checksum = rt_xxh64(image->p + after, image->n - after);
    memcpy(image->p + offsetof(rt_shard_head, checksum), &head->checksum, sizeof head->checksum);
    RT_TRY(rt_file_write(path, image->p, image->n, err));
out:
    rt_free(path);
    return st;
}

static rt_status write_shard(rt_cache_writer *w, rt_err *err)
{
    rt_status st = RT_OK;
    rt_bits_out book = {0}, payload = {0};
    rt_str image = {0};
    rt_shard_entry *entries = NULL;
    size_t n_sequences = w->sequences.n / sizeof(pending_sequence);
    RT_TRY(RT_NEW(&entries, n_sequences + 1, "a shard's index", err));
    RT_TRY(encode(w, &book, &payload, entries, n_sequences, err));

    rt_shard_head head;
    rt_shard_head_from(&head, &w->header);
    head.shard = w->n_shards;
    head.shard_sequences = (int64_t)n_sequences;
    head.shard_tokens = (int64_t)(w->ids.n / sizeof(int32_t));
    for (size_t i = 0; i < n_sequences; i++) {
        head.shard_targets += entries[i].n_targets;
        head.shard_nll += VIEW(pending_sequence, w->sequences)[i].nll;
    }
    head.book_bytes = book.bytes.n;
    head.payload_bytes = payload.bytes.n;
    head.file_bytes = sizeof head + (n_sequences + 1) * sizeof *entries + book.bytes.n + payload.bytes.n;
    rt_str_add(&image, &head, sizeof head);
    rt_str_add(&image, entries, (n_sequences + 1) * sizeof *entries);
    rt_str_add(&image, rt_str_cstr(&book.bytes), book.bytes.n);
    rt_str_add(&image, rt_str_cstr(&payload.bytes), payload.bytes.n);
    image.failed = image.failed || book.bytes.failed || payload.bytes.failed;
    RT_TRY(write_file(w, &head, &image, err));
    w->shards[w->n_shards++] = head;
    drop_pending(w);
out:
    rt_free(entries);
    rt_str_release(&book.bytes);
    rt_str_release(&payload.bytes);
    rt_str_release(&image);
    return st;
}

/* ---- appending ---- */

static rt_status add_hidden(rt_cache_writer *w, const float *x, int64_t position, rt_err *err)
{
    bool f32 = w->header.hidden_dtype == RT_F32;
    for (int64_t j = 0; j < w->header.d_model; j++) {
        uint16_t half = rt_half_encode(x[j]);
        if (!isfinite(x[j]) || (!f32 && (half & 0x7fff) >= 0x7c00)) {
            return rt_fail(err, RT_NUMERIC, (uint64_t)position, "hidden state %g of token %lld does not fit into %s",
                           (double)x[j], (long long)position, rt_dtype_name(w->header.hidden_dtype));
        }
        if (f32) {
            rt_str_add(&w->hidden, &x[j], sizeof x[j]);
        } else {
            rt_str_add(&w->hidden, &half, sizeof half);
        }
    }
    return RT_OK;
}

/* Ids in range and a total that fits are the caller's promise; finite numbers are the teacher's, so they are checked.
 */
static rt_status add_row(rt_cache_writer *w, const rt_cache_row *r, int64_t position, rt_err *err)
{
    bool sample = w->header.kind == RT_CACHE_SAMPLE;
    size_t n = (size_t)r->n;
    float value = sample ? r->entropy : r->log_tail;
    RT_BUG_IF(r->n < 1 || r->n > RT_CODEC_MAX_TOTAL || (!sample && r->n != w->header.k));
    for (int i = 0; i < r->n; i++) {
        RT_BUG_IF(r->ids[i] < 0 || r->ids[i] >= w->header.n_vocab);
        if (!sample && !(r->logp[i] <= 0 && r->logp[i] >= -65504)) {
            return rt_fail(err, RT_NUMERIC, (uint64_t)position, "log p %g at token %lld", (double)r->logp[i],
                           (long long)position);
        }
    }
    if (sample ? !(value >= 0 && value <= RT_MODEL_ENTROPY_MOST) : !(value <= 0)) {
        return rt_fail(err, RT_NUMERIC, (uint64_t)position, "%s %g at token %lld",
                       sample ? "entropy" : "log of the tail mass", (double)value, (long long)position);
    }
    rt_str_add(&w->row_sizes, &r->n, sizeof r->n);
    rt_str_add(&w->row_values, &value, sizeof value);
    rt_str_add(&w->entry_ids, r->ids, n * sizeof *r->ids);
    if (sample) {
        rt_str_add(&w->entry_counts, r->counts, n * sizeof *r->counts);
    } else {
        rt_str_add(&w->entry_logp, r->logp, n * sizeof *r->logp);
    }
    return RT_OK;
}

static bool pending_failed(rt_cache_writer *w)
{
    bool failed = false;
    rt_str *all[N_PENDING];
    list_pending(w, all);
    for (size_t i = 0; i < N_PENDING; i++) {
        failed = failed || all[i]->failed;
    }
    return failed;
}

rt_status rt_cache_append(rt_cache_writer *w, const rt_packed *p, int64_t sequence, const rt_cache_row *rows,
                          rt_err *err)
{
    RT_BUG_IF(sequence != w->next || sequence >= w->header.n_sequences);
    rt_status st = RT_OK;
    int64_t first = p->sequence_first_segment[sequence], end = p->sequence_first_segment[sequence + 1];
    int64_t token0 = p->segments[first].start;
    pending_sequence s = {.n_segments = (uint32_t)(end - first)};
    for (int64_t i = first; i < end; i++) {
        rt_str_add(&w->segments, &(pending_segment){(int32_t)p->segments[i].n, p->segments[i].doc},
                   sizeof(pending_segment));
        s.n_tokens += (uint32_t)p->segments[i].n;
    }
    rt_str_add(&w->ids, p->ids + token0, s.n_tokens * sizeof *p->ids);
    rt_str_add(&w->mask, p->loss_mask + token0, s.n_tokens);
    for (uint32_t i = 0; i < s.n_tokens; i++) {
        if (p->loss_mask[token0 + i] == 0) {
            continue;
        }
        s.n_targets++;
        s.nll -= (double)rows[i].label_logp;
        if (w->header.kind == RT_CACHE_HIDDEN) {
            RT_TRY(add_hidden(w, rows[i].hidden, token0 + i, err));
        } else {
            RT_TRY(add_row(w, &rows[i], token0 + i, err));
        }
    }
    if (!isfinite(s.nll)) {
        RT_FAIL_OUT(err, RT_NUMERIC, (uint64_t)token0, "log p of the text is not finite in sequence %lld",
                    (long long)sequence);
    }
    rt_str_add(&w->sequences, &s, sizeof s);
    if (pending_failed(w)) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for the rows of a cache shard: use fewer sequences a shard");
    }
    w->next++;
    if (w->next % w->header.sequences_per_shard == 0 || w->next == w->header.n_sequences) {
        RT_TRY(write_shard(w, err));
    }
out:
    return st;
}

/* ---- opening and closing ---- */

void rt_cache_header_name(rt_cache_header *h, const rt_permit *permit)
{
    const char *name = rt_path_base(rt_permit_model(permit));
    const size_t n = rt_utf8_cut(name, strlen(name), sizeof h->teacher_name - 1);
    snprintf(h->teacher_name, sizeof h->teacher_name, "%.*s", (int)n, name);
    snprintf(h->licence, sizeof h->licence, "%s", rt_permit_licence(permit));
    snprintf(h->verdict, sizeof h->verdict, "%s", rt_verdict_name(rt_permit_verdict(permit)));
}

/* Complete shards of an earlier run, up to the first gap. */
static rt_status find_shards(rt_cache_writer *w, int64_t n_shards, rt_err *err)
{
    rt_status st = RT_OK;
    rt_shard shard = {0};
    rt_shard_head mine;
    char *path = NULL;
    rt_shard_head_from(&mine, &w->header);
    for (int64_t i = 0; i < n_shards; i++) {
        char file[16];
        rt_shard_file_name(i, file);
        path = rt_path_join(w->dir, file);
        if (!path) {
            RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for a path");
        }
        if (!rt_path_exists(path)) {
            break;
        }
        RT_TRY(rt_shard_open(&shard, path, err));
        const char *field = rt_shard_head_difference(&mine, &shard.head);
        if (field || shard.head.shard != i) {
            RT_FAIL_OUT(err, RT_INPUT, 0, "'%s' belongs to another cache (%s differs): collect into an empty directory",
                        path, field ? field : "shard number");
        }
        RT_TRY(rt_shard_check(&shard, err));
        w->shards[w->n_shards++] = shard.head;
        w->next += shard.head.shard_sequences;
        rt_shard_release(&shard);
        rt_free(path);
        path = NULL;
    }
out:
    rt_shard_release(&shard);
    rt_free(path);
    return st;
}

rt_status rt_cache_create(rt_cache_writer **out, const char *dir, const rt_cache_header *h, const rt_permit *permit,
                          rt_err *err)
{
    rt_status st = RT_OK;
    rt_cache_writer *w = NULL;
    if (!permit) {
        RT_FAIL_OUT(err, RT_LICENCE, 0, "no permit for this teacher: nothing may be collected");
    }
    RT_TRY(rt_cache_header_check(h, err));
    RT_TRY(RT_NEW(&w, 1, "cache writer", err));
    w->header = *h;
    snprintf(w->header.licence, sizeof w->header.licence, "%s", rt_permit_licence(permit));
    snprintf(w->header.verdict, sizeof w->header.verdict, "%s", rt_verdict_name(rt_permit_verdict(permit)));
    w->dir = rt_strdup(dir);
    if (!w->dir) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for a path");
    }
    RT_TRY(rt_mkdirs(dir, err));
    int64_t n_shards = (h->n_sequences - 1) / h->sequences_per_shard + 1;
    RT_TRY(RT_NEW(&w->shards, (size_t)n_shards, "shard heads", err));
    RT_TRY(rt_encoder_new(&w->encoder, h->n_vocab, err));
    RT_TRY(find_shards(w, n_shards, err));
    *out = w;
    w = NULL;
out:
    rt_cache_abandon(w);
    return st;
}

int64_t rt_cache_next_sequence(const rt_cache_writer *w)
{
    return w->next;
}

void rt_cache_keep_fidelity(rt_cache_writer *w, json_t *fidelity)
{
    json_decref(w->fidelity);
    w->fidelity = json_incref(fidelity);
}

rt_status rt_cache_finish(rt_cache_writer *w, rt_err *err)
{
    rt_status st = RT_OK;
    int64_t n_tokens = 0, n_targets = 0;
    if (w->next != w->header.n_sequences) {
        RT_FAIL_OUT(err, RT_INTERNAL, 0, "cache '%s' has %lld of %lld sequences", w->dir, (long long)w->next,
                    (long long)w->header.n_sequences);
    }
    for (int64_t i = 0; i < w->n_shards; i++) {
        n_tokens += w->shards[i].shard_tokens;
        n_targets += w->shards[i].shard_targets;
    }
    if (n_tokens != w->header.n_tokens || n_targets != w->header.n_targets) {
        RT_FAIL_OUT(err, RT_INTERNAL, 0, "cache '%s' holds %lld tokens and %lld targets, its header says %lld and %lld",
                    w->dir, (long long)n_tokens, (long long)n_targets, (long long)w->header.n_tokens,
                    (long long)w->header.n_targets);
    }
    RT_TRY(rt_cache_index_save(w->dir, &w->header, w->fidelity, w->shards, w->n_shards, err));
out:
    rt_cache_abandon(w);
    return st;
}

void rt_cache_abandon(rt_cache_writer *w)
{
    if (!w) {
        return;
    }
    rt_str *all[N_PENDING];
    list_pending(w, all);
    for (size_t i = 0; i < N_PENDING; i++) {
        rt_str_release(all[i]);
    }
    rt_encoder_free(w->encoder);
    json_decref(w->fidelity);
    rt_free(w->shards);
    rt_free(w->dir);
    rt_free(w);
}
