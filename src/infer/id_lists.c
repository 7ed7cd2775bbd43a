/* id_lists.c - reading lists of token ids from JSON lines. */
#include "infer/id_lists.h"

rt_status rt_ids_check(const rt_model *m, const int32_t *ids, int64_t n, const char *what, size_t index, rt_err *err)
{
    for (int64_t i = 0; i < n; i++) {
        if (ids[i] < 0 || ids[i] >= m->hp.n_vocab) {
            return rt_fail(err, RT_INPUT, 0, "%s %zu: id %d at place %lld is outside the vocabulary of %lld tokens",
                           what, index, (int)ids[i], (long long)i, (long long)m->hp.n_vocab);
        }
    }
    return RT_OK;
}

rt_status rt_ids_check_context(const rt_model *m, const int32_t *ids, int64_t n, const char *what, size_t index,
                               rt_err *err)
{
    if (n < 1) {
        return rt_fail(err, RT_INPUT, 0, "%s %zu is empty; it needs at least one token", what, index);
    }
    if (n > m->rope_rows) {
        return rt_fail(err, RT_INPUT, 0, "%s %zu has %lld tokens, the context of the model %lld; shorten it", what,
                       index, (long long)n, (long long)m->rope_rows);
    }
    return rt_ids_check(m, ids, n, what, index, err);
}

static rt_status append_list(rt_id_lists *l, rt_ids **out, rt_err *err)
{
    const rt_status st = RT_GROW(&l->list, l->n, &l->cap, "lists of ids", err);
    if (st != RT_OK) {
        return st;
    }
    *out = &l->list[l->n++];
    **out = (rt_ids){0};
    return RT_OK;
}

static rt_status take_line(rt_id_lists *l, const json_t *line, const rt_jsonl *r, rt_err *err)
{
    rt_status st = RT_OK;
    rt_ids *ids = NULL;
    const json_t *array = json_object_get(line, "ids");
    if (!json_is_array(array)) {
        RT_FAIL_OUT(err, RT_INPUT, r->line, "'%s' line %llu: no array 'ids'", r->path, (unsigned long long)r->line);
    }
    RT_TRY(append_list(l, &ids, err));
    for (size_t i = 0; i < json_array_size(array); i++) {
        const json_t *id = json_array_get(array, i);
        if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) > INT32_MAX) {
            RT_FAIL_OUT(err, RT_INPUT, r->line, "'%s' line %llu: 'ids' entry %zu is no token id", r->path,
                        (unsigned long long)r->line, i);
        }
        RT_TRY(rt_ids_push(ids, (int32_t)json_integer_value(id), err));
    }
out:
    return st;
}

rt_status rt_id_lists_read(rt_id_lists *out, const char *path, rt_err *err)
{
    rt_status st = RT_OK;
    rt_jsonl r;
    json_t *line = NULL;
    RT_TRY(rt_jsonl_open(&r, path, err));
    for (;;) {
        st = rt_jsonl_next(&r, &line, err);
        if (st != RT_OK || line == NULL) {
            break;
        }
        st = take_line(out, line, &r, err);
        json_decref(line);
        if (st != RT_OK) {
            break;
        }
    }
    rt_jsonl_close(&r);
out:
    return st;
}

void rt_id_lists_release(rt_id_lists *l)
{
    for (size_t i = 0; i < l->n; i++) {
        rt_ids_release(&l->list[i]);
    }
    rt_free(l->list);
    *l = (rt_id_lists){0};
}
