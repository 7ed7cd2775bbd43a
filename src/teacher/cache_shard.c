/* cache_shard.c - head and index of a shard: conversion, comparison, checks. */
#include "teacher/cache_shard.h"

#include <math.h>

static const char *const kind_names[] = {"sample", "topk", "hidden"};

const char *rt_cache_kind_name(rt_cache_kind k)
{
    return kind_names[k];
}

void rt_shard_file_name(int64_t shard, char file[16])
{
    snprintf(file, 16, "%05u.rtc", (unsigned)(shard % 100000000));
}

/* ---- head ---- */

void rt_shard_head_from(rt_shard_head *d, const rt_cache_header *h)
{
    memset(d, 0, sizeof *d);
    memcpy(d->magic, RT_SHARD_MAGIC, sizeof d->magic);
    d->version = RT_SHARD_VERSION;
    d->kind = (uint32_t)h->kind;
    d->draws = h->kind == RT_CACHE_SAMPLE ? (uint32_t)h->draws : 0;
    d->k = h->kind == RT_CACHE_TOPK ? (uint32_t)h->k : 0;
    d->hidden_dtype = h->kind == RT_CACHE_HIDDEN ? (uint32_t)h->hidden_dtype : 0;
    d->d_model = h->kind == RT_CACHE_HIDDEN ? h->d_model : 0;
    d->sequence = (uint32_t)h->sequence;
    d->n_vocab = h->n_vocab;
    d->temperature = h->temperature;
    d->seed = h->seed;
    d->n_sequences = h->n_sequences;
    d->n_tokens = h->n_tokens;
    d->n_targets = h->n_targets;
    d->sequences_per_shard = h->sequences_per_shard;
    memcpy(d->teacher, h->teacher.b, sizeof d->teacher);
    memcpy(d->tokenizer, h->tokenizer.b, sizeof d->tokenizer);
    memcpy(d->chat_template, h->chat_template.b, sizeof d->chat_template);
    memcpy(d->data, h->data.b, sizeof d->data);
    memcpy(d->layout, h->layout.b, sizeof d->layout);
    snprintf(d->teacher_name, sizeof d->teacher_name, "%s", h->teacher_name);
    snprintf(d->licence, sizeof d->licence, "%s", h->licence);
    snprintf(d->verdict, sizeof d->verdict, "%s", h->verdict);
    d->provenance_incomplete = h->provenance_incomplete;
    d->compute = (uint32_t)h->compute;
}

rt_digest rt_cache_header_hash(const rt_cache_header *h)
{
    rt_shard_head head;
    rt_shard_head_from(&head, h);
    return rt_sha256_of(&head, sizeof head);
}

void rt_shard_head_to(rt_cache_header *h, const rt_shard_head *d)
{
    memset(h, 0, sizeof *h);
    h->kind = (rt_cache_kind)d->kind;
    h->draws = (int)d->draws;
    h->k = (int)d->k;
    h->hidden_dtype = (rt_dtype)d->hidden_dtype;
    h->d_model = d->d_model;
    h->sequence = (int)d->sequence;
    h->n_vocab = d->n_vocab;
    h->temperature = d->temperature;
    h->seed = d->seed;
    h->n_sequences = d->n_sequences;
    h->n_tokens = d->n_tokens;
    h->n_targets = d->n_targets;
    h->sequences_per_shard = d->sequences_per_shard;
    memcpy(h->teacher.b, d->teacher, sizeof d->teacher);
    memcpy(h->tokenizer.b, d->tokenizer, sizeof d->tokenizer);
    memcpy(h->chat_template.b, d->chat_template, sizeof d->chat_template);
    memcpy(h->data.b, d->data, sizeof d->data);
    memcpy(h->layout.b, d->layout, sizeof d->layout);
    memcpy(h->teacher_name, d->teacher_name, sizeof h->teacher_name - 1);
    memcpy(h->licence, d->licence, sizeof h->licence - 1);
    memcpy(h->verdict, d->verdict, sizeof h->verdict - 1);
    h->provenance_incomplete = d->provenance_incomplete != 0;
    h->compute = (rt_dtype)d->compute;
}

#define FIELD(member, text)                                                       \
    {                                                                             \
        text, offsetof(rt_shard_head, member), sizeof((rt_shard_head *)0)->member \
    }
static const struct {
    const char *name;
    size_t at, n;
} shared_fields[] = {
    FIELD(version, "format version"),
    FIELD(kind, "kind of targets"),
    FIELD(draws, "draws"),
    FIELD(k, "k"),
    FIELD(hidden_dtype, "type of hidden states"),
    FIELD(sequence, "sequence length"),
    FIELD(d_model, "width of hidden states"),
    FIELD(n_vocab, "vocabulary size"),
    FIELD(temperature, "temperature"),
    FIELD(seed, "seed"),
    FIELD(compute, "precision of the teacher"),
    FIELD(teacher, "teacher hash"),
    FIELD(tokenizer, "tokenizer hash"),
    FIELD(chat_template, "chat template hash"),
    FIELD(data, "data hash"),
    FIELD(layout, "packing hash"),
    FIELD(n_sequences, "number of sequences"),
    FIELD(n_tokens, "number of tokens"),
    FIELD(n_targets, "number of targets"),
    FIELD(sequences_per_shard, "sequences a shard"),
    FIELD(teacher_name, "teacher name"),
    FIELD(licence, "licence"),
    FIELD(verdict, "licence verdict"),
    FIELD(provenance_incomplete, "provenance mark"),
};

const char *rt_shard_head_difference(const rt_shard_head *a, const rt_shard_head *b)
{
    for (size_t i = 0; i < sizeof shared_fields / sizeof *shared_fields; i++) {
        if (memcmp((const char *)a + shared_fields[i].at, (const char *)b + shared_fields[i].at, shared_fields[i].n) !=
            0) {
            return shared_fields[i].name;
        }
    }
    return NULL;
}

static bool kind_is_sound(const rt_cache_header *h)
{
    switch (h->kind) {
    case RT_CACHE_SAMPLE: return h->draws >= 1 && h->draws <= RT_CODEC_MAX_TOTAL;
    case RT_CACHE_TOPK: return h->k >= 1 && h->k <= RT_LOSS_MAX_TOPK && h->k <= h->n_vocab;
    case RT_CACHE_HIDDEN:
        return (h->hidden_dtype == RT_F16 || h->hidden_dtype == RT_F32) && h->d_model >= 1 &&
               h->d_model <= RT_CACHE_MAX_WIDTH;
    }
    return false;
}

rt_status rt_cache_header_check(const rt_cache_header *h, rt_err *err)
{
    if (!kind_is_sound(h)) {
        return rt_fail(err, RT_INPUT, 0, "cache header: %s",
                       h->kind == RT_CACHE_SAMPLE ? "draws must be 1 to 4096"
                       : h->kind == RT_CACHE_TOPK ? "k must be 1 to 1024 and not above the vocabulary size"
                                                  : "unknown kind, or hidden states neither f16 nor f32 or too wide");
    }
    if (h->n_vocab < 1 || h->n_vocab > RT_CODEC_MAX_VOCAB) {
        return rt_fail(err, RT_INPUT, 0, "cache header: vocabulary size %lld, expected 1 to %d", (long long)h->n_vocab,
                       RT_CODEC_MAX_VOCAB);
    }
    if (h->sequence < 1 || h->sequence > RT_CACHE_MAX_SEQUENCE) {
        return rt_fail(err, RT_INPUT, 0, "cache header: sequence length %d, expected 1 to %d", h->sequence,
                       RT_CACHE_MAX_SEQUENCE);
    }
    if (!(h->temperature > 0) || !isfinite(h->temperature)) {
        return rt_fail(err, RT_INPUT, 0, "cache header: temperature %g is not above zero", h->temperature);
    }
    if (h->n_sequences < 1 || h->sequences_per_shard < 1 || h->n_tokens < h->n_sequences || h->n_targets < 0 ||
        h->n_targets > h->n_tokens || h->n_tokens / h->sequence > h->n_sequences) {
        return rt_fail(err, RT_INPUT, 0, "cache header: impossible counts: %lld sequences, %lld tokens, %lld targets",
                       (long long)h->n_sequences, (long long)h->n_tokens, (long long)h->n_targets);
    }
    return RT_OK;
}

int64_t rt_shard_n_sequences(const rt_cache_header *h, int64_t shard)
{
    if (shard < 0 || shard > (h->n_sequences - 1) / h->sequences_per_shard) {
        return 0;
    }
    int64_t left = h->n_sequences - shard * h->sequences_per_shard;
    return left < h->sequences_per_shard ? left : h->sequences_per_shard;
}

/* ---- opening ---- */

static rt_status check_head(const rt_shard *s, rt_err *err)
{
    const rt_shard_head *d = &s->head;
    rt_cache_header h;
    if (memcmp(d->magic, RT_SHARD_MAGIC, sizeof d->magic) != 0) {
        return rt_fail(err, RT_INPUT, 0, "no cache shard (wrong magic)");
    }
    if (d->version < 1 || d->version > RT_SHARD_VERSION) {
        return rt_fail(err, RT_UNSUPPORTED, offsetof(rt_shard_head, version),
                       "cache format %u, this program reads 1 to %d", d->version, RT_SHARD_VERSION);
    }
    if (d->file_bytes != s->size) {
        return rt_fail(err, RT_INPUT, s->size, "truncated: %zu bytes, the head says %llu", s->size,
                       (unsigned long long)d->file_bytes);
    }
    if (d->draws > RT_CODEC_MAX_TOTAL || d->k > RT_CODEC_MAX_TOTAL || d->sequence > RT_CACHE_MAX_SEQUENCE ||
        (d->compute != RT_F32 && d->compute != RT_BF16)) {
        return rt_fail(err, RT_INPUT, 0, "impossible number in the head");
    }
    rt_shard_head_to(&h, d);
    if (rt_cache_header_check(&h, err) != RT_OK) {
        return RT_INPUT;
    }
    if (d->shard_sequences < 1 || d->shard_sequences != rt_shard_n_sequences(&h, d->shard)) {
        return rt_fail(err, RT_INPUT, offsetof(rt_shard_head, shard), "shard %lld cannot hold %lld sequences",
                       (long long)d->shard, (long long)d->shard_sequences);
    }
    if (!isfinite(d->shard_nll)) {
        return rt_fail(err, RT_INPUT, offsetof(rt_shard_head, shard_nll), "impossible number in the head");
    }
    return RT_OK;
}

/* Least bytes a sequence takes: a bit a token, and the rows. A row of draws has nine bits at least. */
static bool entry_is_sound(const rt_shard *s, const rt_shard_entry *e)
{
    const rt_shard_head *d = &s->head;
    uint64_t bytes = e[1].at - e->at;
    uint64_t row = d->kind == RT_CACHE_HIDDEN   ? (uint64_t)d->d_model * (d->hidden_dtype == RT_F32 ? 4 : 2)
                   : d->kind == RT_CACHE_SAMPLE ? 1
                                                : 2;
    return e[1].at >= e->at && e[1].at <= d->payload_bytes && e->n_tokens >= 1 && e->n_tokens <= d->sequence &&
           e->n_targets <= e->n_tokens && bytes >= (uint64_t)e->n_tokens / 8 && bytes >= e->n_targets * row;
}

static rt_status check_index(const rt_shard *s, rt_err *err)
{
    const rt_shard_head *d = &s->head;
    uint64_t n_tokens = 0, n_targets = 0;
    for (int64_t i = 0; i < d->shard_sequences; i++) {
        if (!entry_is_sound(s, &s->entries[i])) {
            return rt_fail(err, RT_INPUT, sizeof *d + (uint64_t)i * sizeof(rt_shard_entry),
                           "impossible index entry %lld", (long long)i);
        }
        n_tokens += s->entries[i].n_tokens;
        n_targets += s->entries[i].n_targets;
    }
    if (s->entries[0].at != 0 || s->entries[d->shard_sequences].at != d->payload_bytes ||
        n_tokens != (uint64_t)d->shard_tokens || n_targets != (uint64_t)d->shard_targets) {
        return rt_fail(err, RT_INPUT, sizeof *d, "head and index do not add up");
    }
    return RT_OK;
}

static rt_status parse(rt_shard *s, rt_err *err)
{
    rt_status st = RT_OK;
    if (s->size < sizeof s->head) {
        RT_FAIL_OUT(err, RT_INPUT, s->size, "truncated: %zu bytes are no head", s->size);
    }
    memcpy(&s->head, s->data, sizeof s->head);
    RT_TRY(check_head(s, err));
    uint64_t rest = s->size - sizeof s->head;
    uint64_t n_entries = (uint64_t)s->head.shard_sequences + 1;
    if (n_entries > rest / sizeof(rt_shard_entry) || s->head.book_bytes > rest || s->head.payload_bytes > rest ||
        n_entries * sizeof(rt_shard_entry) + s->head.book_bytes + s->head.payload_bytes != rest) {
        RT_FAIL_OUT(err, RT_INPUT, sizeof s->head, "the parts do not fill the file");
    }
    s->entries = (const rt_shard_entry *)(const void *)(s->data + sizeof s->head);
    s->payload = s->data + (s->size - s->head.payload_bytes);
    RT_TRY(check_index(s, err));
out:
    return st == RT_OK ? st : rt_err_wrap(err, st, "cache shard '%s'", s->path);
}

rt_status rt_shard_from_bytes(rt_shard *s, const void *p, size_t n, const char *path, rt_err *err)
{
    s->path = rt_strdup(path);
    if (!s->path) {
        return rt_fail(err, RT_MEMORY, 0, "no memory for a path");
    }
    s->data = p;
    s->size = n;
    return parse(s, err);
}

rt_status rt_shard_open(rt_shard *s, const char *path, rt_err *err)
{
    rt_status st = rt_map_open(&s->map, path, err);
    return st == RT_OK ? rt_shard_from_bytes(s, s->map.data, s->map.size, path, err) : st;
}

rt_status rt_shard_check(rt_shard *s, rt_err *err)
{
    rt_status st = RT_OK;
    const size_t after = offsetof(rt_shard_head, checksum) + sizeof s->head.checksum;
    if (rt_xxh64(s->data + after, s->size - after) != s->head.checksum) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "checksum does not match, the file is damaged: collect it again");
    }
    rt_bits_in book = {.p = (const uint8_t *)&s->entries[s->head.shard_sequences + 1], .size = s->head.book_bytes};
    RT_TRY(rt_decoder_new(&s->decoder, &book, s->head.n_vocab, (int)s->head.version, err));
out:
    return st == RT_OK ? st : rt_err_wrap(err, st, "cache shard '%s'", s->path);
}

void rt_shard_release(rt_shard *s)
{
    rt_decoder_free(s->decoder);
    rt_free(s->path);
    rt_map_close(&s->map);
    memset(s, 0, sizeof *s);
}
