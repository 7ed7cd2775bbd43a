/* corpus.c - reads files into one run of token ids with documents, masks, origins and a hash of what made them. */
#include "text/corpus.h"

#include <string.h>

#include "text/corpus_impl.h"

/* --- the builder ------------------------------------------------------------------------------------------------- */

rt_status rt_corpus_keep_str(rt_corpus_builder *b, const char *s, const char **out, rt_err *err)
{
    *out = s ? rt_arena_strndup(&b->c->arena, s, strlen(s)) : NULL;
    return s && !*out ? rt_fail(err, RT_MEMORY, 0, "no memory for the corpus") : RT_OK;
}

bool rt_corpus_full(const rt_corpus_builder *b)
{
    return b->o->max_tokens > 0 && (int64_t)b->c->ids.n >= b->o->max_tokens;
}

void rt_draft_begin(rt_corpus_builder *b, rt_document *d, uint64_t line)
{
    *d = (rt_document){.first = (int64_t)b->c->ids.n, .source = b->source, .origin = b->origin, .line = line};
}

/* Brings the mask to the length of the ids. */
static rt_status extend_mask(rt_corpus_builder *b, bool counts, rt_err *err)
{
    size_t n = b->c->ids.n;
    if (n > b->mask.cap) {
        uint8_t *p = rt_realloc(b->mask.p, b->c->ids.cap);
        if (!p) {
            return rt_fail(err, RT_MEMORY, 0, "no memory for the mask of %zu tokens", n);
        }
        b->mask.p = p;
        b->mask.cap = b->c->ids.cap;
    }
    if (n > b->mask.n) {
        memset(b->mask.p + b->mask.n, counts, n - b->mask.n);
        b->mask.n = n;
    }
    return RT_OK;
}

static rt_status add_id(rt_corpus_builder *b, int32_t id, bool counts, rt_err *err)
{
    rt_status st = rt_ids_push(&b->c->ids, id, err);
    return st == RT_OK ? extend_mask(b, counts, err) : st;
}

/* What a text says is text: special tokens spelled out in it are not recognised. */
rt_status rt_draft_add(rt_corpus_builder *b, const char *text, size_t n, int flags, bool counts, rt_err *err)
{
    rt_status st = rt_encode_text(b->t, text, n, RT_ENCODE_PLAIN | flags, &b->c->ids, err);
    return st == RT_OK ? extend_mask(b, counts, err) : st;
}

rt_status rt_draft_open(rt_corpus_builder *b, rt_err *err)
{
    return rt_tokenizer_adds_bos(b->t) ? add_id(b, rt_tokenizer_bos(b->t), false, err) : RT_OK;
}

rt_status rt_draft_end_text(rt_corpus_builder *b, bool wanted, rt_err *err)
{
    if (wanted && rt_tokenizer_eos(b->t) < 0) {
        return rt_fail(err, RT_INPUT, 0, "the row is to end with EOS, but the tokenizer has none");
    }
    return b->o->add_eos || wanted ? add_id(b, rt_tokenizer_eos(b->t), true, err) : RT_OK;
}

static rt_status default_names(rt_corpus_builder *b, rt_document *d, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str id = {0};
    if (!d->id) {
        rt_str_printf(&id, "%s:%llu", rt_path_base(b->source), (unsigned long long)d->line);
        RT_TRY(rt_corpus_keep_str(b, rt_str_cstr(&id), &d->id, err));
    }
    d->cluster = d->cluster ? d->cluster : d->id;
out:
    rt_str_release(&id);
    return st;
}

rt_status rt_draft_keep(rt_corpus_builder *b, rt_document *d, rt_err *err)
{
    rt_status st = RT_OK;
    rt_corpus *c = b->c;
    d->n = (int64_t)c->ids.n - d->first;
    if (d->n == 0) {
        return RT_OK;
    }
    d->opened = rt_tokenizer_adds_bos(b->t) && c->ids.p[d->first] == rt_tokenizer_bos(b->t);
    if (c->n_docs == INT32_MAX) {
        RT_FAIL_OUT(err, RT_UNSUPPORTED, d->line, "more than %d documents", INT32_MAX);
    }
    RT_TRY(RT_GROW(&c->docs, c->n_docs, &b->docs_cap, "documents", err));
    RT_TRY(default_names(b, d, err));
    c->docs[c->n_docs++] = *d;
out:
    return st;
}

/* --- files ------------------------------------------------------------------------------------------------------- */

rt_status rt_corpus_origin(rt_corpus_builder *b, const json_t *o, const char **out, rt_err *err)
{
    const char *origin = rt_json_str(o, "origin", NULL);
    const char *licence = rt_json_str(o, "licence", rt_json_str(o, "license", NULL));
    rt_str s = {0};
    rt_str_puts(&s, origin ? origin : "");
    rt_str_puts(&s, origin && licence ? ", " : "");
    rt_str_puts(&s, licence ? licence : "");
    rt_status st = s.failed ? rt_fail(err, RT_MEMORY, 0, "no memory for the origin of a document")
                            : rt_corpus_keep_str(b, s.n ? rt_str_cstr(&s) : NULL, out, err);
    rt_str_release(&s);
    return st;
}

/* <file>.origin.json says for a whole file what rows may say for themselves. */
static rt_status read_origin_file(rt_corpus_builder *b, const char *path, rt_err *err)
{
    rt_status st = RT_OK;
    json_t *o = NULL;
    rt_str name = {0};
    rt_str_printf(&name, "%s.origin.json", path);
    b->origin = NULL;
    if (!rt_path_exists(rt_str_cstr(&name))) {
        goto out;
    }
    RT_TRY(rt_json_load(&o, rt_str_cstr(&name), err));
    RT_TRY(rt_corpus_origin(b, o, &b->origin, err));
out:
    json_decref(o);
    rt_str_release(&name);
    return st;
}

static rt_status read_jsonl(rt_corpus_builder *b, const char *path, rt_err *err)
{
    rt_status st = RT_OK;
    rt_jsonl r = {0};
    json_t *row = NULL;
    RT_TRY(rt_jsonl_open(&r, path, err));
    rt_sha256_add(&b->hash, r.map.data, r.map.size);
    while (!rt_corpus_full(b)) {
        RT_TRY(rt_jsonl_next(&r, &row, err));
        if (!row) {
            break;
        }
        st = rt_corpus_add_row(b, row, r.line, err);
        if (st != RT_OK) {
            st = rt_err_wrap(err, st, "'%s' line %llu", path, (unsigned long long)r.line);
            goto out;
        }
        json_decref(row);
        row = NULL;
    }
out:
    json_decref(row);
    rt_jsonl_close(&r);
    return st;
}

static rt_status read_text(rt_corpus_builder *b, const char *path, rt_err *err)
{
    rt_map map = {0};
    rt_status st = rt_map_open(&map, path, err);
    if (st != RT_OK) {
        return st;
    }
    rt_sha256_add(&b->hash, map.data, map.size);
    st = rt_corpus_add_text(b, (const char *)map.data, map.size, err);
    rt_map_close(&map);
    return st == RT_OK ? st : rt_err_wrap(err, st, "'%s'", path);
}

static bool ends_with(const char *s, const char *end)
{
    size_t n = strlen(s), k = strlen(end);
    return n >= k && strcmp(s + n - k, end) == 0;
}

static rt_status read_file(rt_corpus_builder *b, const char *path, rt_err *err)
{
    rt_status st = RT_OK;
    if (ends_with(path, ".json")) {
        RT_FAIL_OUT(err, RT_UNSUPPORTED, 0,
                    "'%s' is one JSON document; documents come as .jsonl (one object a line) or text", path);
    }
    RT_TRY(rt_corpus_keep_str(b, path, &b->source, err));
    RT_TRY(read_origin_file(b, path, err));
    RT_TRY(ends_with(path, ".jsonl") ? read_jsonl(b, path, err) : read_text(b, path, err));
out:
    return st;
}

/* --- the corpus -------------------------------------------------------------------------------------------------- */

static rt_status check_options(const rt_tokenizer *t, const rt_corpus_options *o, rt_err *err)
{
    for (size_t i = 0; i < o->n_paths; i++) {
        if (!rt_path_exists(o->paths[i]) || rt_path_is_dir(o->paths[i])) {
            return rt_fail(err, RT_NOT_FOUND, 0, "no file '%s' to read documents from", o->paths[i]);
        }
    }
    if (o->add_eos && rt_tokenizer_eos(t) < 0) {
        return rt_fail(err, RT_INPUT, 0, "documents are to end with EOS, but the tokenizer has none");
    }
    return RT_OK;
}

/* Everything that changes the ids, besides the bytes of the files. */
static void hash_options(rt_corpus_builder *b)
{
    rt_digest digests[2] = {rt_tokenizer_hash(b->t), rt_chat_hash(b->t)};
    int64_t numbers[3] = {b->o->max_tokens, b->o->add_eos, b->o->chat};
    const char *field = b->o->text_field ? b->o->text_field : "";
    rt_sha256_add(&b->hash, digests, sizeof digests);
    rt_sha256_add(&b->hash, numbers, sizeof numbers);
    rt_sha256_add(&b->hash, field, strlen(field) + 1);
}

rt_status rt_corpus_load(rt_corpus *c, const rt_tokenizer *t, const rt_corpus_options *o, rt_err *err)
{
    rt_status st = RT_OK;
    *c = (rt_corpus){0};
    rt_corpus_builder b = {.c = c, .t = t, .o = o};
    RT_TRY(check_options(t, o, err));
    RT_TRY(rt_sha256_open(&b.hash, err));
    hash_options(&b);
    for (size_t i = 0; i < o->n_paths && !rt_corpus_full(&b); i++) {
        RT_TRY(read_file(&b, o->paths[i], err));
    }
    if (c->n_docs == 0) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "no documents with text in '%s'%s", o->n_paths ? o->paths[0] : "",
                    o->n_paths > 1 ? " and the other files" : "");
    }
out:
    c->mask = b.mask.p;
    if (b.hash.ctx) {
        c->hash = rt_sha256_close(&b.hash);
    }
    if (st != RT_OK) {
        rt_corpus_release(c);
    }
    return st;
}

int64_t rt_document_prompt(const rt_corpus *c, const rt_document *d, int64_t otherwise)
{
    int64_t n = 0;
    while (n < d->n && c->mask[d->first + n] == 0) {
        n++;
    }
    return n > 1 ? n : otherwise < d->n ? otherwise : d->n;
}

void rt_corpus_release(rt_corpus *c)
{
    rt_ids_release(&c->ids);
    rt_free(c->mask);
    rt_free(c->docs);
    rt_arena_release(&c->arena);
    *c = (rt_corpus){0};
}
