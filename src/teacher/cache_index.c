/* cache_index.c - writing and reading cache.json. */
#include "teacher/cache_index.h"

#include <stdlib.h>

#include "format/json.h"

#define FORMAT_NAME "retort target cache"

void rt_cache_index_release(rt_cache_index *x)
{
    rt_free(x->checksums);
    rt_free(x->bytes);
    memset(x, 0, sizeof *x);
}

rt_digest rt_cache_index_hash(const rt_cache_header *h, int version, const uint64_t *checksums, int64_t n_shards)
{
    rt_shard_head head;
    rt_digest parts[2];
    rt_shard_head_from(&head, h);
    head.version = (uint32_t)version;
    parts[0] = rt_sha256_of(&head, sizeof head);
    parts[1] = rt_sha256_of(checksums, (size_t)n_shards * sizeof *checksums);
    return rt_sha256_of(parts, sizeof parts);
}

/* ---- writing ---- */

static void set_hash(json_t *o, const char *key, const rt_digest *d)
{
    char hex[65];
    rt_digest_hex(*d, hex);
    json_object_set_new(o, key, json_string(hex));
}

static void set_u64(json_t *o, const char *key, uint64_t v)
{
    char hex[17];
    snprintf(hex, sizeof hex, "%016llx", (unsigned long long)v);
    json_object_set_new(o, key, json_string(hex));
}

static json_t *header_json(const rt_cache_header *h)
{
    json_t *o = json_pack("{s:s, s:f, s:I, s:i, s:I, s:I, s:I, s:I, s:s, s:s, s:s, s:b}", "kind",
                          rt_cache_kind_name(h->kind), "temperature", h->temperature, "vocab_size",
                          (json_int_t)h->n_vocab, "sequence", h->sequence, "sequences", (json_int_t)h->n_sequences,
                          "tokens", (json_int_t)h->n_tokens, "targets", (json_int_t)h->n_targets, "sequences_per_shard",
                          (json_int_t)h->sequences_per_shard, "teacher_name", h->teacher_name, "licence", h->licence,
                          "verdict", h->verdict, "provenance_incomplete", h->provenance_incomplete);
    if (!o) {
        return NULL;
    }
    json_object_set_new(o, "precision", json_string(rt_dtype_name(h->compute)));
    if (h->kind == RT_CACHE_SAMPLE) {
        json_object_set_new(o, "draws", json_integer(h->draws));
        json_object_set_new(o, "generator", json_string("philox4x32-10"));
        set_u64(o, "seed", h->seed);
    } else if (h->kind == RT_CACHE_TOPK) {
        json_object_set_new(o, "k", json_integer(h->k));
    } else {
        json_object_set_new(o, "hidden_type", json_string(rt_dtype_name(h->hidden_dtype)));
        json_object_set_new(o, "hidden_width", json_integer(h->d_model));
    }
    set_hash(o, "teacher_sha256", &h->teacher);
    set_hash(o, "tokenizer_sha256", &h->tokenizer);
    set_hash(o, "chat_template_sha256", &h->chat_template);
    set_hash(o, "data_sha256", &h->data);
    set_hash(o, "layout_sha256", &h->layout);
    return o;
}

static json_t *shard_json(const rt_shard_head *s)
{
    char file[16];
    rt_shard_file_name(s->shard, file);
    json_t *o = json_pack("{s:s, s:I, s:I, s:I, s:I, s:f}", "file", file, "bytes", (json_int_t)s->file_bytes,
                          "sequences", (json_int_t)s->shard_sequences, "tokens", (json_int_t)s->shard_tokens, "targets",
                          (json_int_t)s->shard_targets, "teacher_nll_sum", s->shard_nll);
    if (o) {
        set_u64(o, "checksum", s->checksum);
    }
    return o;
}

rt_status rt_cache_index_save(const char *dir, const rt_cache_header *h, const json_t *fidelity,
                              const rt_shard_head *shards, int64_t n_shards, rt_err *err)
{
    rt_status st = RT_OK;
    uint64_t *checksums = NULL;
    json_t *root = json_object(), *list = json_array();
    char *path = rt_path_join(dir, RT_CACHE_INDEX_FILE);
    int64_t bytes = 0;
    RT_TRY(RT_NEW(&checksums, (size_t)n_shards, "shard checksums", err));
    if (!path || !root || !list) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for the index of a cache");
    }
    for (int64_t i = 0; i < n_shards; i++) {
        json_array_append_new(list, shard_json(&shards[i]));
        checksums[i] = shards[i].checksum;
        bytes += (int64_t)shards[i].file_bytes;
    }
    rt_digest hash = rt_cache_index_hash(h, RT_SHARD_VERSION, checksums, n_shards);
    json_object_set_new(root, "format", json_string(FORMAT_NAME));
    json_object_set_new(root, "version", json_integer(RT_SHARD_VERSION));
    set_hash(root, "hash", &hash);
    json_object_set_new(root, "bytes", json_integer(bytes));
    json_object_set_new(root, "bytes_per_token", json_real((double)bytes / (double)h->n_tokens));
    json_object_set_new(root, "header", header_json(h));
    if (fidelity) {
        json_object_set(root, "teacher_fidelity", (json_t *)fidelity);
    }
    json_object_set(root, "shards", list);
    if (json_array_size(list) != (size_t)n_shards || json_object_size(root) != (fidelity ? 8 : 7)) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for the index of a cache");
    }
    RT_TRY(rt_json_save(root, path, err));
out:
    json_decref(list);
    json_decref(root);
    rt_free(path);
    rt_free(checksums);
    return st;
}

/* ---- reading ---- */

static bool parse_hex64(const char *s, uint64_t *out)
{
    char *end;
    if (strlen(s) != 16 || strspn(s, "0123456789abcdef") != 16) {
        return false;
    }
    *out = strtoull(s, &end, 16);
    return *end == '\0';
}

static rt_status read_index(rt_cache_index *x, const json_t *root, rt_err *err)
{
    rt_status st = RT_OK;
    const json_t *list = json_object_get(root, "shards");
    if (strcmp(rt_json_str(root, "format", ""), FORMAT_NAME) != 0) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "'format' is not '%s'", FORMAT_NAME);
    }
    int64_t version = rt_json_i64(root, "version", 0);
    if (version < 1 || version > RT_SHARD_VERSION) {
        RT_FAIL_OUT(err, RT_UNSUPPORTED, 0, "version %lld, this program reads 1 to %d", (long long)version,
                    RT_SHARD_VERSION);
    }
    if (!json_is_array(list) || json_array_size(list) == 0) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "no shards listed");
    }
    if (rt_digest_parse(rt_json_str(root, "hash", ""), &x->hash) != 0) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "'hash' is no SHA-256");
    }
    x->n_shards = (int64_t)json_array_size(list);
    RT_TRY(RT_NEW(&x->checksums, (size_t)x->n_shards, "shard checksums", err));
    RT_TRY(RT_NEW(&x->bytes, (size_t)x->n_shards, "shard sizes", err));
    for (int64_t i = 0; i < x->n_shards; i++) {
        const json_t *s = json_array_get(list, (size_t)i);
        x->bytes[i] = rt_json_i64(s, "bytes", -1);
        if (!parse_hex64(rt_json_str(s, "checksum", ""), &x->checksums[i]) || x->bytes[i] < 0) {
            RT_FAIL_OUT(err, RT_INPUT, 0, "shard %lld has no checksum or size", (long long)i);
        }
    }
out:
    return st;
}

rt_status rt_cache_index_load(rt_cache_index *x, const char *dir, rt_err *err)
{
    rt_status st = RT_OK;
    json_t *root = NULL;
    char *path = rt_path_join(dir, RT_CACHE_INDEX_FILE);
    if (!path) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for a path");
    }
    if (!rt_path_exists(path)) {
        char *answers = rt_path_join(dir, "answers.jsonl");
        const bool texts = answers != NULL && rt_path_exists(answers);
        rt_free(answers);
        if (texts) {
            RT_FAIL_OUT(
                err, RT_NOT_FOUND, 0,
                "'%s' holds answers, no targets: give its answers.jsonl to collect as --text, and train on that", dir);
        }
        RT_FAIL_OUT(err, RT_NOT_FOUND, 0, "'%s' is no complete cache (no %s): run collect on it to the end", dir,
                    RT_CACHE_INDEX_FILE);
    }
    RT_TRY(rt_json_load(&root, path, err));
    st = read_index(x, root, err);
    if (st != RT_OK) {
        st = rt_err_wrap(err, st, "'%s'", path);
    }
out:
    json_decref(root);
    rt_free(path);
    return st;
}
