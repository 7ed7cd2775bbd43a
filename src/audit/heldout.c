/* heldout.c - the held-out text packed once, the teacher's states over it kept, every model measured against both. */
#include "audit/heldout.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "audit/heldout_slice.h"
#include "teacher/gather.h"

/* Rows of a forward pass: whole sequences up to this many. */
#define BATCH_ROWS 2048

struct rt_heldout {
    const rt_model *teacher;
    rt_document *docs; /* those used; a first that is too long is cut */
    size_t n_docs;
    rt_packed packed;
    int32_t *cluster; /* [n_docs] */
    size_t n_clusters;
    int64_t n_positions;
    int64_t longest; /* piece of a document */
    int32_t max_id;
    float *hidden; /* [n_positions, d of the teacher] after the final norm; NULL without a teacher */
};

/* --- choosing the text -------------------------------------------------------------------------------------------- */

/* A view of the first documents, made of borrowed ids and an own list of documents. */
static rt_status first_documents(rt_heldout *h, rt_corpus *view, int64_t max_tokens, rt_err *err)
{
    int64_t total = 0;
    size_t n = 0;
    while (n < view->n_docs && (max_tokens == 0 || n == 0 || total + view->docs[n].n <= max_tokens)) {
        total += view->docs[n++].n;
    }
    if (n == 0) {
        return rt_fail(err, RT_INPUT, 0, "the held-out text has no documents");
    }
    const rt_status st = RT_NEW(&h->docs, n, "held-out documents", err);
    if (st == RT_OK) {
        memcpy(h->docs, view->docs, n * sizeof *h->docs);
        if (max_tokens > 0 && h->docs[0].n > max_tokens) {
            h->docs[0].n = max_tokens;
        }
        view->docs = h->docs;
        view->n_docs = h->n_docs = n;
    }
    return st;
}

typedef struct label {
    const char *cluster;
    int32_t doc;
} label;

static int by_cluster(const void *a, const void *b)
{
    return strcmp(((const label *)a)->cluster, ((const label *)b)->cluster);
}

static rt_status number_clusters(rt_heldout *h, rt_err *err)
{
    rt_status st = RT_OK;
    label *labels = NULL;
    const size_t n_docs = h->n_docs;
    RT_TRY(RT_NEW(&labels, n_docs, "clusters", err));
    RT_TRY(RT_NEW(&h->cluster, n_docs, "clusters", err));
    for (size_t i = 0; i < n_docs; i++) {
        labels[i] = (label){h->docs[i].cluster != NULL ? h->docs[i].cluster : "", (int32_t)i};
    }
    qsort(labels, n_docs, sizeof *labels, by_cluster);
    for (size_t i = 0; i < n_docs; i++) {
        h->n_clusters += i == 0 || by_cluster(&labels[i - 1], &labels[i]) != 0;
        h->cluster[labels[i].doc] = (int32_t)h->n_clusters - 1;
    }
out:
    rt_free(labels);
    return st;
}

static rt_status survey(rt_heldout *h, rt_err *err)
{
    const rt_packed *p = &h->packed;
    for (int64_t i = 0; i < p->n_tokens; i++) {
        h->n_positions += p->loss_mask[i] != 0;
        h->max_id = p->ids[i] > h->max_id ? p->ids[i] : h->max_id;
    }
    for (size_t i = 0; i < p->n_segments; i++) {
        h->longest = p->segments[i].n > h->longest ? p->segments[i].n : h->longest;
    }
    if (h->n_positions == 0) {
        return rt_fail(err, RT_INPUT, 0,
                       "the held-out text predicts nothing: no document has a second token that counts");
    }
    return RT_OK;
}

/* --- one pass of a model over the text ---------------------------------------------------------------------------- */

typedef struct pass {
    const rt_heldout *h;
    const rt_model *m;
    const rt_model *teacher; /* of the head; NULL while the teacher itself is run for its states */
    rt_acts *acts;
    rt_head *head;
    rt_gather batch;
    int64_t at; /* positions before the batch */
    int64_t next_sequence;
    int64_t n_vocab;                /* common ids */
    int64_t stride;                 /* of scratch */
    float *scratch;                 /* [threads][stride] */
    float *hidden;                  /* where the teacher's states go */
    double (*value)[RT_N_MEASURES]; /* [rows of the batch] */
} pass;

static rt_status check_model(const rt_heldout *h, const rt_model *m, rt_err *err)
{
    if (h->longest > m->rope_rows) {
        return rt_fail(err, RT_INPUT, 0,
                       "pieces of %lld tokens do not fit into the model's context of %lld; use shorter sequences",
                       (long long)h->longest, (long long)m->rope_rows);
    }
    if (h->max_id >= m->hp.n_vocab) {
        return rt_fail(err, RT_INPUT, 0, "the text has id %d, the model's vocabulary ends at %lld: wrong tokenizer",
                       h->max_id, (long long)m->hp.n_vocab - 1);
    }
    return RT_OK;
}

static rt_status open_pass(pass *p, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_packed *packed = &p->h->packed;
    rt_pass need = {.rows = BATCH_ROWS < packed->n_tokens ? BATCH_ROWS : packed->n_tokens,
                    .span = packed->sequence < packed->n_tokens ? packed->sequence : packed->n_tokens,
                    .teacher = p->teacher,
                    .bytes_per_row = (int64_t)sizeof *p->value};
    int64_t rows;
    p->n_vocab = p->m->hp.n_vocab;
    if (p->teacher != NULL && p->teacher->hp.n_vocab < p->n_vocab) {
        p->n_vocab = p->teacher->hp.n_vocab;
    }
    if (p->teacher != NULL) {
        p->stride = (2 * p->n_vocab + 15) / 16 * 16;
        need.bytes = p->stride * rt_team_threads() * (int64_t)sizeof *p->scratch;
    }
    RT_TRY(rt_pass_rows(&rows, p->m, &need, err));
    RT_TRY(rt_gather_init(&p->batch, rows, err));
    RT_TRY(rt_acts_new(&p->acts, p->m, rows, p->h->longest, RT_NET_FORWARD, err));
    RT_TRY(rt_head_new(&p->head, p->m, p->teacher, false, err));
    RT_TRY(RT_NEW(&p->value, (size_t)rows, "values of rows", err));
    if (p->teacher != NULL) {
        RT_TRY(RT_NEW(&p->scratch, (size_t)p->stride * (size_t)rt_team_threads(), "probabilities", err));
    }
out:
    return st;
}

static void close_pass(pass *p)
{
    rt_gather_release(&p->batch);
    rt_acts_free(p->acts);
    rt_head_free(p->head);
    rt_free(p->value);
    rt_free(p->scratch);
}

/* Fills the batch with the sequences that come next; false at the end. */
static bool next_batch(pass *p)
{
    const rt_packed *packed = &p->h->packed;
    const int64_t n = (int64_t)packed->n_sequences;
    p->at += p->batch.n_rows;
    rt_gather_clear(&p->batch);
    while (p->next_sequence < n &&
           p->batch.n_tokens + rt_packed_sequence_tokens(packed, p->next_sequence) <= p->batch.max_tokens) {
        rt_gather_add_packed(&p->batch, packed, p->next_sequence++);
    }
    return p->batch.n_tokens > 0;
}

static void keep_hidden(void *ud, const rt_head_row *row)
{
    const pass *p = ud;
    const int64_t d = p->m->hp.d_model;
    memcpy(p->hidden + (p->at + row->index) * d, row->hidden, (size_t)d * sizeof(float));
}

static void compare_row(void *ud, const rt_head_row *row)
{
    const pass *p = ud;
    float *scratch = p->scratch != NULL ? p->scratch + row->thread * p->stride : NULL;
    rt_compare_rows(p->value[row->index], row->logits, row->teacher, scratch, p->n_vocab, p->batch.labels[row->index]);
}

static rt_status run_batch(pass *p, rt_head_visitor visit, rt_err *err)
{
    if (rt_interrupted()) {
        return rt_fail(err, RT_CANCELLED, 0,
                       "interrupted after %lld of %lld positions of held-out text: of these nothing is kept",
                       (long long)p->at, (long long)p->h->n_positions);
    }
    const rt_batch b = rt_gather_batch(&p->batch);
    rt_net_forward(p->m, p->acts, &b);
    rt_head_sweep s = {.model = p->m,
                       .x = rt_acts_x(p->acts),
                       .rows = p->batch.rows,
                       .n_rows = p->batch.n_rows,
                       .visit = visit,
                       .ud = p};
    if (p->teacher != NULL) {
        s.teacher = p->teacher;
        s.teacher_hidden = p->h->hidden + p->at * p->teacher->hp.d_model;
    }
    rt_head_run(p->head, &s);
    return RT_OK;
}

/* --- the teacher's states ----------------------------------------------------------------------------------------- */

static rt_status run_teacher(rt_heldout *h, rt_err *err)
{
    rt_status st = RT_OK;
    pass p = {.h = h, .m = h->teacher};
    const int64_t room = rt_mem_available();
    size_t bytes;
    if (!rt_mul_size((size_t)h->n_positions, (size_t)h->teacher->hp.d_model * sizeof(float), &bytes) ||
        (room >= 0 && bytes > (size_t)room)) {
        RT_FAIL_OUT(err, RT_MEMORY, 0,
                    "the teacher's states over %lld positions do not fit into memory; use less held-out text",
                    (long long)h->n_positions);
    }
    RT_TRY(check_model(h, h->teacher, err));
    RT_TRY(rt_new_big((void **)&h->hidden, bytes, "teacher's states", err));
    RT_TRY(open_pass(&p, err));
    p.hidden = h->hidden;
    while (next_batch(&p)) {
        RT_TRY(run_batch(&p, keep_hidden, err));
    }
out:
    close_pass(&p);
    return st;
}

rt_status rt_heldout_new(rt_heldout **out, const rt_model *teacher, const rt_corpus *corpus, int sequence,
                         int64_t max_tokens, rt_err *err)
{
    rt_status st = RT_OK;
    rt_heldout *h = NULL;
    rt_corpus view = *corpus;
    RT_TRY(RT_NEW(&h, 1, "held-out text", err));
    h->teacher = teacher;
    RT_TRY(first_documents(h, &view, max_tokens, err));
    RT_TRY(rt_pack(&h->packed, &view, sequence, err));
    RT_TRY(number_clusters(h, err));
    RT_TRY(survey(h, err));
    if (teacher != NULL) {
        RT_TRY(run_teacher(h, err));
    }
    *out = h;
    h = NULL;
out:
    rt_heldout_free(h);
    return st;
}

void rt_heldout_free(rt_heldout *h)
{
    if (h != NULL) {
        rt_packed_release(&h->packed);
        rt_free(h->docs);
        rt_free(h->cluster);
        rt_free(h->hidden);
        rt_free(h);
    }
}

/* --- measuring ---------------------------------------------------------------------------------------------------- */

typedef struct sums {
    double *total[RT_N_MEASURES]; /* [clusters] each */
    int64_t *count;               /* [clusters] */
    size_t segment;               /* of the last row */
    uint8_t *seen;                /* [documents] */
    rt_slices *slices;            /* NULL: not asked for */
    double *confidence;           /* [positions] */
    bool *right;                  /* [positions] */
    int64_t documents;
} sums;

static rt_status open_sums(sums *s, const rt_heldout *h, rt_err *err)
{
    rt_status st = RT_OK;
    for (int i = 0; i < RT_N_MEASURES; i++) {
        RT_TRY(RT_NEW(&s->total[i], h->n_clusters, "cluster sums", err));
    }
    RT_TRY(RT_NEW(&s->count, h->n_clusters, "cluster counts", err));
    RT_TRY(RT_NEW(&s->seen, h->n_docs, "documents seen", err));
    RT_TRY(RT_NEW(&s->confidence, (size_t)h->n_positions, "confidences", err));
    RT_TRY(RT_NEW(&s->right, (size_t)h->n_positions, "confidences", err));
out:
    return st;
}

static void close_sums(sums *s)
{
    for (int i = 0; i < RT_N_MEASURES; i++) {
        rt_free(s->total[i]);
    }
    rt_free(s->count);
    rt_free(s->seen);
    rt_free(s->confidence);
    rt_free(s->right);
    rt_slices_free(s->slices);
}

/* In the order of the text, whatever thread computed a row. */
static rt_status add_batch(sums *s, const pass *p, rt_err *err)
{
    const rt_heldout *h = p->h;
    for (int64_t i = 0; i < p->batch.n_rows; i++) {
        const rt_segment *segment = &h->packed.segments[s->segment];
        while (p->batch.positions[i] >= segment->start + segment->n) {
            segment = &h->packed.segments[++s->segment];
        }
        const rt_document *doc = &h->docs[segment->doc];
        const int32_t g = h->cluster[segment->doc];
        for (int k = 0; k < RT_N_MEASURES; k++) {
            if (!isfinite(p->value[i][k])) {
                return rt_fail(err, RT_NUMERIC, 0,
                               "a value on held-out document '%s' ('%s' line %llu) is not finite: a model is damaged",
                               doc->id, doc->source, (unsigned long long)doc->line);
            }
            s->total[k][g] += p->value[i][k];
        }
        if (s->slices != NULL) {
            rt_slices_add(s->slices, segment, p->batch.positions[i], (size_t)g, p->value[i]);
        }
        s->confidence[p->at + i] = p->value[i][RT_MEASURE_CONFIDENCE];
        s->right[p->at + i] = p->value[i][RT_MEASURE_RIGHT] == 1;
        s->count[g]++;
        s->documents += !s->seen[segment->doc];
        s->seen[segment->doc] = 1;
    }
    return RT_OK;
}

static rt_fidelity conclude(const sums *s, const rt_heldout *h)
{
    rt_stat stat[RT_N_MEASURES];
    for (int k = 0; k < RT_N_MEASURES; k++) {
        const bool measured = k < RT_MEASURE_TEACHER_NLL || h->teacher != NULL;
        stat[k] = rt_stat_clustered(s->total[k], s->count, measured ? h->n_clusters : 0);
    }
    return (rt_fidelity){.nll = stat[RT_MEASURE_NLL],
                         .teacher_nll = stat[RT_MEASURE_TEACHER_NLL],
                         .kl = stat[RT_MEASURE_KL],
                         .reverse_kl = stat[RT_MEASURE_REVERSE_KL],
                         .top1 = stat[RT_MEASURE_TOP1],
                         .acceptance = stat[RT_MEASURE_ACCEPTANCE],
                         .positions = h->n_positions,
                         .documents = s->documents,
                         .own_text = stat[RT_MEASURE_NLL].clusters == 1};
}

rt_status rt_heldout_measure_slices(rt_heldout *h, const rt_model *m, rt_fidelity *out, json_t **slices, rt_err *err)
{
    rt_status st = RT_OK;
    pass p = {.h = h, .m = m, .teacher = h->teacher};
    sums s = {0};
    RT_TRY(check_model(h, m, err));
    RT_TRY(open_pass(&p, err));
    RT_TRY(open_sums(&s, h, err));
    if (slices != NULL && h->teacher != NULL) {
        RT_TRY(rt_slices_new(&s.slices, &h->packed, h->docs, h->n_docs, h->n_clusters, err));
    }
    while (next_batch(&p)) {
        RT_TRY(run_batch(&p, compare_row, err));
        RT_TRY(add_batch(&s, &p, err));
    }
    *out = conclude(&s, h);
    if (s.slices != NULL) {
        *slices = rt_slices_json(s.slices);
    }
    RT_TRY(rt_calibration_of(&out->calibration, s.confidence, s.right, (size_t)h->n_positions, NAN, err));
out:
    close_pass(&p);
    close_sums(&s);
    return st;
}

rt_status rt_heldout_measure(rt_heldout *h, const rt_model *m, rt_fidelity *out, rt_err *err)
{
    return rt_heldout_measure_slices(h, m, out, NULL, err);
}
