/* spm_rules.c - the two ways in which files say how a SentencePiece vocabulary merges: a score for each token, or a
 * list of merges. */
#include "text/spm_rules.h"

#include <stdlib.h>

#include "text/utf8.h"

rt_status rt_spm_scores(const rt_bpe *b, const rt_vocab *v, float *scores, rt_err *err)
{
    if (b->score_ranks) {
        for (int32_t id = 0; id < v->n; id++) {
            scores[id] = rt_bpe_score(b, id);
        }
        return RT_OK;
    }
    if (b->n_merges > (1u << 24)) {
        return rt_fail(err, RT_UNSUPPORTED, 0, "%zu merges are more than scores can order", b->n_merges);
    }
    for (int32_t id = 0; id < v->n; id++) {
        scores[id] = -(float)b->n_merges;
    }
    for (size_t i = b->n_merges; i-- > 0;) { /* the first merge that makes a token decides */
        scores[b->merges[i].id] = -(float)i;
    }
    return RT_OK;
}

typedef struct ranked_merge {
    rt_merge merge;
    uint32_t rank;
    size_t left; /* bytes of the left part */
} ranked_merge;

/* Best score first; then, so that the order is one, by token and by length of the left part. */
static int by_rank(const void *pa, const void *pb)
{
    const ranked_merge *a = pa, *b = pb;
    if (a->rank != b->rank) {
        return a->rank < b->rank ? -1 : 1;
    }
    if (a->merge.id != b->merge.id) {
        return a->merge.id < b->merge.id ? -1 : 1;
    }
    return (a->left > b->left) - (a->left < b->left);
}

/* Every way to make token `id` out of two tokens; with `out` NULL only counts. */
static size_t ways_to_make(const rt_bpe *b, const rt_vocab *v, int32_t id, ranked_merge *out)
{
    const rt_token *t = &v->tokens[id];
    size_t n = 0, part;
    for (size_t at = 0; t->kind == RT_TOKEN_NORMAL && at < t->text.n; at += part) {
        (void)rt_utf8_char(t->text.p + at, t->text.n - at, &part, NULL);
        const int32_t left = at > 0 ? rt_vocab_find(v, t->text.p, at) : -1;
        const int32_t right = left >= 0 ? rt_vocab_find(v, t->text.p + at, t->text.n - at) : -1;
        if (right >= 0) {
            if (out) {
                out[n] = (ranked_merge){{left, right, id}, b->score_ranks[id], at};
            }
            n++;
        }
    }
    return n;
}

rt_status rt_spm_merges(const rt_bpe *b, const rt_vocab *v, rt_merge **merges, size_t *n, rt_err *err)
{
    rt_status st = RT_OK;
    ranked_merge *all = NULL;
    size_t at = 0;
    *merges = NULL;
    *n = 0;
    for (int32_t id = 0; id < v->n; id++) {
        *n += ways_to_make(b, v, id, NULL);
    }
    RT_TRY(RT_NEW(&all, *n, "merges", err));
    RT_TRY(RT_NEW(merges, *n, "merges", err));
    for (int32_t id = 0; id < v->n; id++) {
        at += ways_to_make(b, v, id, all + at);
    }
    if (*n > 1) {
        qsort(all, *n, sizeof *all, by_rank);
    }
    for (size_t i = 0; i < *n; i++) {
        (*merges)[i] = all[i].merge;
    }
out:
    rt_free(all);
    return st;
}
