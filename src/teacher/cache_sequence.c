/* cache_sequence.c - one sequence out of a shard. Bits: segments, mask, then ids of the text, each with its row; hidden
 * states follow as plain bytes. Views are laid out in one block that only ever grows. */
#include <math.h>

#include "format/half.h"
#include "teacher/cache_shard.h"

/* Places of the views in the block. */
typedef struct layout {
    size_t ids, label, segment_start, segment_doc, targets, entry_ids, entry_counts, entry_weights, hidden;
    size_t states, mask, kind_after, bytes;
    size_t max_entries;
} layout;

static bool place(layout *l, size_t *at, size_t n, size_t size)
{
    size_t bytes;
    *at = l->bytes;
    return rt_mul_size(n, size, &bytes) && bytes <= SIZE_MAX / 2 - 64 &&
           rt_add_size(l->bytes, (bytes + 63) & ~(size_t)63, &l->bytes);
}

/* No entry is shorter than a bit, so a small file cannot ask for much. */
static bool plan(layout *l, const rt_shard_head *d, const rt_shard_entry *e)
{
    size_t n = e->n_tokens, bits = (size_t)(e[1].at - e->at) * 8;
    size_t per_row = d->kind == RT_CACHE_SAMPLE ? d->draws : d->k;
    bool hidden = d->kind == RT_CACHE_HIDDEN;
    memset(l, 0, sizeof *l);
    l->max_entries = hidden ? 0 : e->n_targets * per_row < bits ? e->n_targets * per_row : bits;
    return place(l, &l->ids, n, sizeof(int32_t)) && place(l, &l->label, n, sizeof(int32_t)) &&
           place(l, &l->segment_start, n + 1, sizeof(int32_t)) && place(l, &l->segment_doc, n, sizeof(int32_t)) &&
           place(l, &l->targets, hidden ? 0 : n, sizeof(rt_target)) &&
           place(l, &l->entry_ids, l->max_entries, sizeof(int32_t)) &&
           place(l, &l->entry_counts, l->max_entries, sizeof(int32_t)) &&
           place(l, &l->entry_weights, l->max_entries, sizeof(float)) &&
           place(l, &l->hidden, hidden ? n : 0, sizeof(float *)) &&
           place(l, &l->states, hidden ? e->n_targets * (size_t)d->d_model : 0, sizeof(float)) &&
           place(l, &l->mask, n, 1) && place(l, &l->kind_after, hidden || d->version == 1 ? 0 : (size_t)d->n_vocab, 1);
}

static rt_status make_room(rt_cache_sequence *out, const rt_shard_head *d, const layout *l, int64_t n, rt_err *err)
{
    if (l->bytes > out->storage_cap) {
        rt_free(out->storage);
        out->storage_cap = 0;
        out->storage = rt_malloc(l->bytes);
        if (!out->storage) {
            return rt_fail(err, RT_MEMORY, 0, "no memory for a sequence of %zu bytes", l->bytes);
        }
        out->storage_cap = l->bytes;
    }
    char *p = out->storage;
    out->n = n;
    out->n_segments = 0;
    out->ids = (int32_t *)(void *)(p + l->ids);
    out->label = (int32_t *)(void *)(p + l->label);
    out->segment_start = (int32_t *)(void *)(p + l->segment_start);
    out->segment_doc = (int32_t *)(void *)(p + l->segment_doc);
    out->mask = (uint8_t *)(p + l->mask);
    out->targets = d->kind == RT_CACHE_HIDDEN ? NULL : (rt_target *)(void *)(p + l->targets);
    out->hidden = d->kind == RT_CACHE_HIDDEN ? (const float **)(void *)(p + l->hidden) : NULL;
    return RT_OK;
}

/* Segments: their number, then length and document (as a signed step from the one before) of each. */
static bool get_segments(rt_bits_in *in, rt_cache_sequence *out)
{
    uint32_t n_segments = rt_bits_get_gamma(in);
    int64_t start = 0, doc = 0;
    if (n_segments == 0 || n_segments > out->n) {
        return false;
    }
    for (uint32_t i = 0; i < n_segments; i++) {
        uint32_t length = rt_bits_get_gamma(in), step = rt_bits_get_gamma(in);
        if (length == 0 || step == 0 || length > out->n - start) {
            return false;
        }
        step--;
        doc += (step & 1) != 0 ? -(int64_t)(step >> 1) - 1 : (int64_t)(step >> 1);
        if (doc < 0 || doc > INT32_MAX) {
            return false;
        }
        out->segment_start[i] = (int32_t)start;
        out->segment_doc[i] = (int32_t)doc;
        start += length;
    }
    out->segment_start[n_segments] = (int32_t)start;
    out->n_segments = n_segments;
    return start == out->n && rt_bits_ok(in);
}

/* One bit says that all positions with a successor count; else a bit a position. */
static bool get_mask(rt_bits_in *in, rt_cache_sequence *out, uint32_t n_targets)
{
    bool full = rt_bits_get(in, 1) != 0;
    uint32_t n = 0;
    for (int64_t i = 0; i < out->n; i++) {
        out->mask[i] = full ? 1 : (uint8_t)rt_bits_get(in, 1);
    }
    for (int64_t s = 0; s < out->n_segments; s++) {
        uint8_t *last = &out->mask[out->segment_start[s + 1] - 1];
        if (!full && *last != 0) {
            return false;
        }
        *last = 0;
    }
    for (int64_t i = 0; i < out->n; i++) {
        n += out->mask[i];
    }
    return n == n_targets && rt_bits_ok(in);
}

static float get_half(rt_bits_in *in)
{
    return rt_half_decode((uint16_t)rt_bits_get(in, 16));
}

/* What a row of the codec is as a target, its weights at `weight`; value: entropy or log of the tail's mass. */
static bool set_target(rt_target *t, const rt_coded_row *row, float value, float *weight, rt_bits_in *in)
{
    *t = (rt_target){.kind = row->sample ? RT_TARGET_SAMPLE : RT_TARGET_TOPK,
                     .n = row->n,
                     .ids = row->ids,
                     .weight = weight,
                     .label = -1};
    if (row->sample) {
        for (int i = 0; i < row->n; i++) {
            weight[i] = (float)row->counts[i] / (float)row->total;
        }
        t->entropy = value;
        return isfinite(value) && value >= 0;
    }
    for (int i = 0; i < row->n; i++) {
        weight[i] = get_half(in);
        if (!isfinite(weight[i]) || weight[i] > 0) {
            return false;
        }
    }
    t->log_tail = value;
    return value <= 0 && rt_bits_ok(in);
}

/* Value of the row, its entries and, for top-k, half of each log p. */
static bool get_row(const rt_shard *s, rt_bits_in *in, uint8_t *kind_after, rt_target *t, rt_coded_row *row,
                    float *weight, int room)
{
    float value = 0;
    if (s->head.version == 1 || !row->sample) {
        value = get_half(in);
    }
    if (s->head.version == 1) {
        row->n = rt_decoder_get_row_v1(s->decoder, in, row->total, room, row->ids, row->counts);
        if (row->n < 0 || (!row->sample && row->n != row->total)) {
            return false;
        }
    } else if (!rt_decoder_get_row(s->decoder, in, kind_after, room, row)) {
        return false;
    } else if (row->sample) {
        value = (float)row->entropy / RT_MODEL_ENTROPY_STEPS;
    }
    return set_target(t, row, value, weight, in);
}

/* Ids of the text, in version 2 told by the rows before them, and a row where the mask says so. */
static bool get_ids_and_rows(const rt_shard *s, rt_bits_in *in, const layout *l, rt_cache_sequence *out)
{
    char *p = out->storage;
    int32_t *ids = (int32_t *)(void *)(p + l->entry_ids), *counts = (int32_t *)(void *)(p + l->entry_counts);
    float *weight = (float *)(void *)(p + l->entry_weights);
    uint8_t *kind_after = (uint8_t *)(p + l->kind_after);
    bool sample = s->head.kind == RT_CACHE_SAMPLE, old = s->head.version == 1;
    rt_coded_row row = {.sample = sample, .total = (int)(sample ? s->head.draws : s->head.k)};
    size_t at = 0;
    if (!old) {
        memset(kind_after, 0, (size_t)s->head.n_vocab);
    }
    for (int64_t i = 0; i < out->n; i++) {
        const rt_coded_row *before = i > 0 && out->mask[i - 1] != 0 ? &row : NULL;
        if (!old && !rt_decoder_get_id(s->decoder, in, before, &out->ids[i])) {
            return false;
        }
        out->targets[i] = (rt_target){.kind = sample ? RT_TARGET_SAMPLE : RT_TARGET_TOPK, .label = -1};
        if (out->mask[i] != 0) {
            size_t room = l->max_entries - at < RT_CODEC_MAX_TOTAL ? l->max_entries - at : RT_CODEC_MAX_TOTAL;
            row.token = out->ids[i];
            row.ids = ids + at;
            row.counts = counts + at;
            if (!get_row(s, in, kind_after, &out->targets[i], &row, weight + at, (int)room)) {
                return false;
            }
            at += (size_t)row.n;
        }
    }
    return rt_bits_ok(in);
}

static bool get_hidden(const rt_shard *s, rt_bits_in *in, const layout *l, const rt_cache_sequence *out)
{
    const rt_shard_head *d = &s->head;
    size_t width = (size_t)d->d_model, at = rt_bits_byte(in);
    size_t element = d->hidden_dtype == RT_F32 ? 4 : 2;
    float *row = (float *)(void *)((char *)out->storage + l->states);
    for (int64_t i = 0; i < out->n; i++) {
        out->hidden[i] = out->mask[i] != 0 ? row : NULL;
        if (out->mask[i] == 0) {
            continue;
        }
        if (at > in->size || width * element > in->size - at) {
            return false;
        }
        if (element == 4) {
            memcpy(row, in->p + at, width * element);
        } else {
            for (size_t j = 0; j < width; j++) {
                uint16_t half;
                memcpy(&half, in->p + at + 2 * j, sizeof half);
                row[j] = rt_half_decode(half);
            }
        }
        at += width * element;
        for (size_t j = 0; j < width; j++) {
            if (!isfinite(row[j])) {
                return false;
            }
        }
        row += width;
    }
    in->at = (uint64_t)at * 8;
    return true;
}

static void set_labels(rt_cache_sequence *out)
{
    for (int64_t i = 0; i < out->n; i++) {
        out->label[i] = out->mask[i] != 0 ? out->ids[i + 1] : -1;
        if (out->targets) {
            out->targets[i].label = out->label[i];
        }
    }
}

/* What is wrong with the sequence's bits, NULL: nothing. */
static const char *decode(const rt_shard *s, const layout *l, uint32_t n_targets, rt_bits_in *in,
                          rt_cache_sequence *out)
{
    bool hidden = s->head.kind == RT_CACHE_HIDDEN;
    if (!get_segments(in, out)) {
        return "bad segments";
    }
    if (!get_mask(in, out, n_targets)) {
        return "bad mask";
    }
    if ((hidden || s->head.version == 1) && !rt_decoder_get_ids(s->decoder, in, out->ids, out->n)) {
        return "bad token ids";
    }
    if (hidden ? !get_hidden(s, in, l, out) : !get_ids_and_rows(s, in, l, out)) {
        return "bad targets";
    }
    set_labels(out);
    return rt_bits_byte(in) == in->size ? NULL : "bytes left over";
}

rt_status rt_shard_read(const rt_shard *s, int64_t local, rt_cache_sequence *out, rt_err *err)
{
    RT_BUG_IF(!s->decoder || local < 0 || local >= s->head.shard_sequences);
    rt_status st = RT_OK;
    const rt_shard_entry *e = &s->entries[local];
    rt_bits_in in = {.p = s->payload + e->at, .size = (size_t)(e[1].at - e->at)};
    layout l;
    if (!plan(&l, &s->head, e)) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "cache shard '%s': sequence %lld is too large", s->path, (long long)local);
    }
    RT_TRY(make_room(out, &s->head, &l, e->n_tokens, err));
    const char *wrong = decode(s, &l, e->n_targets, &in, out);
    if (wrong) {
        RT_FAIL_OUT(err, RT_INPUT, (uint64_t)(in.p - s->data) + rt_bits_byte(&in),
                    "cache shard '%s': sequence %lld: %s", s->path, (long long)local, wrong);
    }
out:
    return st;
}

void rt_cache_sequence_release(rt_cache_sequence *s)
{
    rt_free(s->storage);
    memset(s, 0, sizeof *s);
}
