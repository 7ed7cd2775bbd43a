/* scored.c - counting positions by document, and entering them. */
#include "train/scored.h"

#include <stdio.h>

#define WHAT "dense"
#define OWN_TEXT "written by the student"

struct rt_scored {
    rt_ledger *ledger;
    const rt_corpus *corpus;
    const rt_packed *packed;
    int64_t *positions; /* [corpus->n_docs] since the last commit */
    int64_t own;        /* the same of the student's text */
    rt_digest own_hash; /* over the batches' hashes since the last commit */
    int64_t step;       /* of the last commit */
};

rt_status rt_scored_open(rt_scored **out, const char *path, const rt_permit *permit, const rt_corpus *corpus,
                         const rt_packed *packed, const json_t *settings, rt_err *err)
{
    rt_status st = RT_OK;
    rt_scored *s = NULL;
    RT_TRY(RT_NEW(&s, 1, "record of the teacher's answers", err));
    s->corpus = corpus;
    s->packed = packed;
    RT_TRY(RT_NEW(&s->positions, corpus->n_docs, "positions of documents", err));
    RT_TRY(rt_ledger_open(&s->ledger, path, permit, settings, err));
    *out = s;
    s = NULL;
out:
    rt_scored_close(s);
    return st;
}

void rt_scored_close(rt_scored *s)
{
    if (s != NULL) {
        rt_ledger_close(s->ledger);
        rt_free(s->positions);
        rt_free(s);
    }
}

/* --- counting --------------------------------------------------------------------------------------------------- */

/* Document of a packed position: segments are ordered by their start. */
static int32_t document_of(const rt_packed *p, int64_t position)
{
    size_t low = 0, high = p->n_segments;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        if (p->segments[middle].start <= position) {
            low = middle;
        } else {
            high = middle;
        }
    }
    return p->segments[low].doc;
}

/* Labels are the written tokens, and they come last. */
static void add_own(rt_scored *s, const int32_t *labels, int64_t n)
{
    const rt_digest pair[2] = {s->own_hash, rt_sha256_of(labels, (size_t)n * sizeof *labels)};
    s->own_hash = rt_sha256_of(pair, sizeof pair);
    s->own += n;
}

void rt_scored_add(rt_scored *s, const rt_source_batch *b)
{
    const int64_t n = b->n_rows - b->n_more;
    for (int64_t i = 0; i < n; i++) {
        s->positions[document_of(s->packed, b->positions[i])]++;
    }
    if (b->n_more > 0) {
        add_own(s, b->labels + n, b->n_more);
    }
}

/* --- entering --------------------------------------------------------------------------------------------------- */

static rt_status enter_document(rt_scored *s, size_t i, rt_err *err)
{
    const rt_document *d = &s->corpus->docs[i];
    const rt_status st = rt_ledger_add_output(s->ledger,
                                              &(rt_ledger_output){.what = WHAT,
                                                                  .doc = d->id,
                                                                  .origin = d->origin,
                                                                  .positions = (uint64_t)s->positions[i],
                                                                  .text = d->text_hash.b,
                                                                  .text_bytes = sizeof d->text_hash.b},
                                              err);
    s->positions[i] = 0;
    return st;
}

static rt_status enter_own(rt_scored *s, int64_t step, rt_err *err)
{
    char doc[64];
    snprintf(doc, sizeof doc, "steps %lld to %lld", (long long)s->step + 1, (long long)step);
    const rt_status st = rt_ledger_add_output(s->ledger,
                                              &(rt_ledger_output){.what = WHAT,
                                                                  .doc = doc,
                                                                  .origin = OWN_TEXT,
                                                                  .positions = (uint64_t)s->own,
                                                                  .text = s->own_hash.b,
                                                                  .text_bytes = sizeof s->own_hash.b},
                                              err);
    s->own = 0;
    s->own_hash = (rt_digest){0};
    return st;
}

rt_status rt_scored_commit(rt_scored *s, int64_t step, rt_ledger_mark *mark, rt_err *err)
{
    rt_status st = RT_OK;
    for (size_t i = 0; i < s->corpus->n_docs; i++) {
        if (s->positions[i] > 0) {
            RT_TRY(enter_document(s, i, err));
        }
    }
    if (s->own > 0) {
        RT_TRY(enter_own(s, step, err));
    }
    s->step = step;
    RT_TRY(rt_ledger_commit(s->ledger, mark, err));
out:
    return st;
}

rt_status rt_scored_begin(rt_scored *s, rt_err *err)
{
    return rt_ledger_begin_anew(s->ledger, err);
}

rt_status rt_scored_resume(rt_scored *s, int64_t step, const rt_ledger_mark *mark, rt_err *err)
{
    s->step = step;
    return rt_ledger_truncate_to(s->ledger, mark, err);
}

rt_status rt_scored_finish(rt_scored *s, rt_ledger_mark *mark, rt_err *err)
{
    return rt_ledger_finish(s->ledger, mark, err);
}
