/* answer_filter.c - rules for an answer by itself, then for the answers of a prompt among each other. */
#include "flow/answer_filter.h"

#include <stdlib.h>
#include <string.h>

const char *rt_fate_name(rt_fate fate)
{
    static const char *const names[RT_FATE_COUNT] = {"kept",     "unfinished", "length",   "repetition",
                                                     "sequence", "verifier",   "majority", "duplicate"};
    return names[fate];
}

/* --- by itself ---------------------------------------------------------------------------------------------------- */

enum { GRAM = 4 };

static int by_value(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

rt_status rt_repetition(double *share, const int32_t *ids, size_t n, rt_err *err)
{
    rt_status st = RT_OK;
    uint64_t *grams = NULL;
    const size_t all = n >= GRAM ? n - GRAM + 1 : 0;
    size_t again = 0;
    *share = 0;
    if (all == 0) {
        return RT_OK;
    }
    RT_TRY(RT_NEW(&grams, all, "runs of an answer", err));
    for (size_t i = 0; i < all; i++) {
        grams[i] = rt_xxh64(ids + i, GRAM * sizeof *ids);
    }
    qsort(grams, all, sizeof *grams, by_value);
    for (size_t i = 1; i < all; i++) {
        again += grams[i] == grams[i - 1];
    }
    *share = (double)again / (double)all;
out:
    rt_free(grams);
    return st;
}

static rt_status judge(const rt_filter_job *job, rt_candidate *c, int64_t prompt_tokens, rt_ids *ids, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_answer_filter *f = job->rules;
    double repetition;
    ids->n = 0;
    RT_TRY(rt_encode_text(job->tokenizer, c->text.p, c->text.n, RT_ENCODE_PLAIN | RT_ENCODE_CONTINUES, ids, err));
    RT_TRY(rt_repetition(&repetition, ids->p, ids->n, err));
    const int64_t tokens = (int64_t)ids->n;
    const int64_t whole = prompt_tokens + tokens + 1; /* and what ends it */
    c->fate = f->finished && !c->finished                        ? RT_FATE_UNFINISHED
              : tokens < f->min_tokens || tokens > f->max_tokens ? RT_FATE_LENGTH
              : repetition > f->repetition                       ? RT_FATE_REPETITION
              : whole > job->sequence                            ? RT_FATE_SEQUENCE
                                                                 : RT_FATE_KEPT;
out:
    return st;
}

static rt_status judge_all(const rt_filter_job *job, rt_candidate *c, size_t n, rt_err *err)
{
    rt_status st = RT_OK;
    rt_ids ids = {0};
    int64_t prompt_tokens = 0;
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || c[i].prompt != c[i - 1].prompt) {
            ids.n = 0;
            RT_TRY(rt_prompt_encode(c[i].prompt, job->tokenizer, &ids, err));
            prompt_tokens = (int64_t)ids.n;
        }
        RT_TRY(judge(job, &c[i], prompt_tokens, &ids, err));
    }
out:
    rt_ids_release(&ids);
    return st;
}

static rt_status compare_exact(const rt_filter_job *job, rt_candidate *c, size_t n, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str taken = {0}, gold = {0};
    for (size_t i = 0; i < n; i++) {
        rt_str_clear(&taken);
        rt_str_clear(&gold);
        const rt_prompt_row *p = c[i].prompt;
        st = rt_task_gold(&gold, job->task, p->row, err);
        if (st != RT_OK) {
            st = rt_err_wrap(err, st, "%s:%llu: 'answers.filter.verifier: exact' needs the right answer", p->path,
                             (unsigned long long)p->line);
            goto out;
        }
        RT_TRY(rt_task_take(&taken, job->task, c[i].text, NULL, err));
        const bool right = taken.n == gold.n && memcmp(rt_str_cstr(&taken), rt_str_cstr(&gold), gold.n) == 0;
        if (c[i].fate == RT_FATE_KEPT && !right) {
            c[i].fate = RT_FATE_VERIFIER;
        }
    }
out:
    rt_str_release(&taken);
    rt_str_release(&gold);
    return st;
}

/* --- among each other --------------------------------------------------------------------------------------------- */

static bool is_same(const rt_str *a, const rt_str *b)
{
    return a->n == b->n && memcmp(rt_str_cstr(a), rt_str_cstr(b), a->n) == 0;
}

/* Self-consistency (Wang et al. 2023): one saying has more votes than any other, and two at least; the rest goes. What
 * says nothing has no vote. */
static void vote(rt_candidate *c, const rt_str *said, const bool *says, size_t n)
{
    size_t best = n, most = 1;
    bool tied = false;
    for (size_t i = 0; i < n; i++) {
        size_t votes = 0;
        bool first = true;
        for (size_t k = 0; k < n && says[i] && c[i].fate == RT_FATE_KEPT; k++) {
            const bool same = says[k] && c[k].fate == RT_FATE_KEPT && is_same(&said[i], &said[k]);
            votes += same;
            first &= !(same && k < i);
        }
        if (first && votes >= 2 && votes >= most) {
            tied = votes == most && best < n;
            best = i;
            most = votes;
        }
    }
    for (size_t i = 0; i < n; i++) {
        const bool agrees = best < n && !tied && says[i] && is_same(&said[i], &said[best]);
        if (c[i].fate == RT_FATE_KEPT && !agrees) {
            c[i].fate = RT_FATE_MAJORITY;
        }
    }
}

static void drop_equal(rt_candidate *c, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < i && c[i].fate == RT_FATE_KEPT; k++) {
            const bool same = c[k].fate == RT_FATE_KEPT && c[k].text.n == c[i].text.n &&
                              memcmp(c[k].text.p, c[i].text.p, c[i].text.n) == 0;
            c[i].fate = same ? RT_FATE_DUPLICATE : c[i].fate;
        }
    }
}

static rt_status filter_prompt(const rt_filter_job *job, rt_candidate *c, size_t n, rt_err *err)
{
    rt_status st = RT_OK;
    rt_str *said = NULL;
    bool *says = NULL;
    RT_TRY(RT_NEW(&said, n, "answers of a prompt", err));
    RT_TRY(RT_NEW(&says, n, "answers of a prompt", err));
    for (size_t i = 0; job->rules->majority && i < n; i++) {
        RT_TRY(rt_task_take(&said[i], job->task, c[i].text, &says[i], err));
    }
    if (job->rules->majority) {
        vote(c, said, says, n);
    }
    if (job->rules->distinct) {
        drop_equal(c, n);
    }
out:
    for (size_t i = 0; said != NULL && i < n; i++) {
        rt_str_release(&said[i]);
    }
    rt_free(said);
    rt_free(says);
    return st;
}

rt_status rt_answers_filter(const rt_filter_job *job, rt_candidate *c, size_t n, rt_err *err)
{
    rt_status st = RT_OK;
    RT_TRY(judge_all(job, c, n, err));
    if (job->rules->exact) {
        RT_TRY(compare_exact(job, c, n, err));
    } else if (job->rules->verifier != NULL) {
        RT_TRY(rt_answers_verify(job, c, n, err));
    }
    for (size_t i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && c[end].prompt == c[i].prompt; end++) {
        }
        RT_TRY(filter_prompt(job, c + i, end - i, err));
    }
out:
    return st;
}
