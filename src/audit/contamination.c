/* contamination.c - runs of words of all items in one sorted list, and one pass over the training text
 * (contamination.h). */
#include "audit/contamination.h"

#include <stdlib.h>
#include <string.h>

#include "audit/words.h"
#include "format/json.h"

/* --- runs of the items -------------------------------------------------------------------------------------------- */

typedef struct run {
    uint64_t hash;
    uint32_t task, item;
} run;

typedef struct run_index {
    run *runs;
    size_t n, cap;
    uint32_t lengths; /* bit n: some run has n words */
    uint8_t *maybe;   /* [1 << FILTER / 8] bits by hash: most runs of the text are none of these */
} run_index;
enum { FILTER = 22 };

static rt_status add_run(run_index *x, run r, size_t n_words, rt_err *err)
{
    const rt_status st = RT_GROW(&x->runs, x->n, &x->cap, "runs of words", err);
    if (st != RT_OK) {
        return st;
    }
    x->runs[x->n++] = r;
    x->lengths |= 1u << n_words;
    const uint64_t bit = r.hash >> (64 - FILTER);
    x->maybe[bit / 8] |= (uint8_t)(1u << (bit % 8));
    return RT_OK;
}

static rt_status request_words(rt_words *w, const json_t *request, rt_err *err)
{
    rt_status st = RT_OK;
    size_t i;
    json_t *part;
    w->n = 0;
    json_array_foreach(request, i, part)
    {
        RT_TRY(rt_words_add(w, json_string_value(part), json_string_length(part), err));
    }
out:
    return st;
}

static const json_t *request_of(const json_t *doc, size_t k)
{
    return json_array_get(json_object_get(doc, "arguments"), k);
}

/* Words that the first requests of all items begin with. */
static rt_status common_words(size_t *out, const json_t *docs, rt_err *err)
{
    rt_status st = RT_OK;
    rt_words first = {0}, w = {0};
    size_t i, common = 0;
    json_t *doc;
    RT_TRY(request_words(&first, request_of(json_array_get(docs, 0), 0), err));
    common = json_array_size(docs) > 1 ? first.n : 0;
    json_array_foreach(docs, i, doc)
    {
        size_t same = 0;
        RT_TRY(request_words(&w, request_of(doc, 0), err));
        while (common > 0 && same < common && same < w.n && w.hash[same] == first.hash[same]) {
            same++;
        }
        common = same;
    }
    *out = common;
out:
    rt_words_release(&first);
    rt_words_release(&w);
    return st;
}

/* Every run of 13 words of an item; the whole of one that has fewer. *checked: it has some. */
static rt_status add_item(run_index *x, const json_t *doc, size_t skip, run r, rt_words *w, bool *checked, rt_err *err)
{
    rt_status st = RT_OK;
    *checked = false;
    for (size_t k = 0; k < json_array_size(json_object_get(doc, "arguments")); k++) {
        RT_TRY(request_words(w, request_of(doc, k), err));
        const size_t n = w->n > skip ? w->n - skip : 0, length = n < RT_WORDS_RUN ? n : RT_WORDS_RUN;
        if (length < RT_CONTAMINATION_LEAST) {
            continue;
        }
        *checked = true;
        for (size_t i = skip; i + length <= w->n; i++) {
            r.hash = rt_words_hash(w, i, length);
            RT_TRY(add_run(x, r, length, err));
        }
    }
out:
    return st;
}

static rt_status add_task(run_index *x, rt_contamination *out, const json_t *docs, uint32_t task, rt_err *err)
{
    rt_status st = RT_OK;
    rt_words w = {0};
    size_t i, skip;
    json_t *doc;
    *out = (rt_contamination){.items = (int64_t)json_array_size(docs)};
    RT_TRY(RT_NEW(&out->hit, json_array_size(docs), "marks of items", err));
    RT_TRY(common_words(&skip, docs, err));
    json_array_foreach(docs, i, doc)
    {
        bool checked;
        RT_TRY(add_item(x, doc, skip, (run){.task = task, .item = (uint32_t)i}, &w, &checked, err));
        out->checked += checked;
    }
out:
    rt_words_release(&w);
    return st;
}

static int by_hash(const void *a, const void *b)
{
    const uint64_t x = ((const run *)a)->hash, y = ((const run *)b)->hash;
    return x < y ? -1 : x > y;
}

/* --- the training text -------------------------------------------------------------------------------------------- */

static void mark(const run_index *x, uint64_t hash, rt_contamination *out)
{
    const uint64_t bit = hash >> (64 - FILTER);
    if (!(x->maybe[bit / 8] >> (bit % 8) & 1)) {
        return;
    }
    size_t low = 0, high = x->n;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (x->runs[middle].hash < hash) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    for (; low < x->n && x->runs[low].hash == hash; low++) {
        rt_contamination *o = &out[x->runs[low].task];
        bool *hit = &o->hit[x->runs[low].item];
        o->found += !*hit;
        *hit = true;
    }
}

static rt_status search(const run_index *x, const char *p, size_t n, rt_words *w, rt_contamination *out, rt_err *err)
{
    w->n = 0;
    const rt_status st = rt_words_add(w, p, n, err);
    for (size_t length = RT_CONTAMINATION_LEAST; st == RT_OK && length <= RT_WORDS_RUN; length++) {
        for (size_t i = 0; (x->lengths >> length & 1) && i + length <= w->n; i++) {
            mark(x, rt_words_hash(w, i, length), out);
        }
    }
    return st;
}

/* Every text in a row, however deep. */
static rt_status search_json(const run_index *x, const json_t *j, rt_words *w, rt_contamination *out, rt_err *err)
{
    rt_status st = RT_OK;
    size_t i;
    const char *key;
    json_t *v;
    if (json_is_string(j)) {
        return search(x, json_string_value(j), json_string_length(j), w, out, err);
    }
    json_array_foreach(j, i, v)
    {
        RT_TRY(search_json(x, v, w, out, err));
    }
    json_object_foreach((json_t *)j, key, v)
    {
        RT_TRY(search_json(x, v, w, out, err));
    }
out:
    return st;
}

static rt_status search_rows(const run_index *x, const char *path, rt_words *w, rt_contamination *out, rt_err *err)
{
    rt_status st = RT_OK;
    rt_jsonl rows = {0};
    json_t *row = NULL;
    RT_TRY(rt_jsonl_open(&rows, path, err));
    for (;;) {
        RT_TRY(rt_jsonl_next(&rows, &row, err));
        if (row == NULL) {
            break;
        }
        RT_TRY(search_json(x, row, w, out, err));
        json_decref(row);
        row = NULL;
    }
out:
    json_decref(row);
    rt_jsonl_close(&rows);
    return st;
}

static rt_status search_file(const run_index *x, const char *path, rt_words *w, rt_contamination *out, rt_err *err)
{
    rt_map map = {0};
    const size_t n = strlen(path);
    if (n > 6 && strcmp(path + n - 6, ".jsonl") == 0) {
        return search_rows(x, path, w, out, err);
    }
    rt_status st = rt_map_open(&map, path, err);
    if (st == RT_OK) {
        st = search(x, (const char *)map.data, map.size, w, out, err);
    }
    rt_map_close(&map);
    return st;
}

rt_status rt_contamination_find(rt_contamination *out, const json_t *const *docs, size_t n_tasks,
                                const char *const *paths, size_t n_paths, rt_err *err)
{
    rt_status st = RT_OK;
    run_index x = {0};
    rt_words w = {0};
    memset(out, 0, n_tasks * sizeof *out);
    RT_TRY(RT_NEW(&x.maybe, (size_t)1 << FILTER >> 3, "filter of words", err));
    for (size_t k = 0; k < n_tasks; k++) {
        RT_TRY(add_task(&x, &out[k], docs[k], (uint32_t)k, err));
    }
    if (x.n > 0) {
        qsort(x.runs, x.n, sizeof *x.runs, by_hash);
    }
    for (size_t i = 0; i < n_paths; i++) {
        RT_TRY(search_file(&x, paths[i], &w, out, err));
    }
out:
    rt_free(x.runs);
    rt_free(x.maybe);
    rt_words_release(&w);
    return st;
}

void rt_contamination_release(rt_contamination *o)
{
    rt_free(o->hit);
    *o = (rt_contamination){0};
}
