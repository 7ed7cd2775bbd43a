/* heldout_slice.c - sums by slice and cluster, and their means with clustered errors (heldout_slice.h). */
#include "audit/heldout_slice.h"

#include <math.h>
#include <string.h>

#include "audit/heldout.h"

static const struct {
    rt_dimension dimension;
    const char *label;
    double lo, hi;
} bands[] = {
#define RT_SLICE(dimension, label, lo, hi) {RT_DIM_##dimension, label, lo, hi},
#include "audit/slices.def"
#undef RT_SLICE
};
enum { N_BANDS = sizeof bands / sizeof bands[0] };

static const char *const dimension_names[RT_N_DIMENSIONS] = {"position", "context", "token frequency",
                                                             "teacher entropy"};

typedef enum figure { KL, NLL, TEACHER_NLL, GAP, TOP1, N_FIGURES } figure;
static const char *const figure_names[N_FIGURES] = {"kl", "nll", "teacher_nll", "gap", "top1"};

struct rt_slices {
    const rt_packed *packed;
    const rt_document *docs;
    int32_t *seen;        /* [n_ids] how often the text holds a token */
    size_t *domain;       /* [n_docs] */
    const char **domains; /* [n_domains] their files */
    size_t n_domains, n_clusters;
    double *total;  /* [slices][N_FIGURES][n_clusters] */
    int64_t *count; /* [slices][n_clusters] */
};

static rt_status count_tokens(rt_slices *s, rt_err *err)
{
    int32_t most = 0;
    for (int64_t i = 0; i < s->packed->n_tokens; i++) {
        most = s->packed->ids[i] > most ? s->packed->ids[i] : most;
    }
    const rt_status st = RT_NEW(&s->seen, (size_t)most + 1, "counts of tokens", err);
    for (int64_t i = 0; st == RT_OK && i < s->packed->n_tokens; i++) {
        s->seen[s->packed->ids[i]]++;
    }
    return st;
}

static void number_domains(rt_slices *s, size_t n_docs)
{
    for (size_t d = 0; d < n_docs; d++) {
        size_t k = 0;
        while (k < s->n_domains && strcmp(s->domains[k], s->docs[d].source) != 0) {
            k++;
        }
        s->domains[k] = s->docs[d].source;
        s->n_domains += k == s->n_domains;
        s->domain[d] = k;
    }
}

rt_status rt_slices_new(rt_slices **out, const rt_packed *packed, const rt_document *docs, size_t n_docs,
                        size_t n_clusters, rt_err *err)
{
    rt_status st = RT_OK;
    rt_slices *s = NULL;
    RT_TRY(RT_NEW(&s, 1, "slices", err));
    *s = (rt_slices){.packed = packed, .docs = docs, .n_clusters = n_clusters};
    RT_TRY(RT_NEW(&s->domain, n_docs, "domains", err));
    RT_TRY(RT_NEW(&s->domains, n_docs, "domains", err));
    number_domains(s, n_docs);
    RT_TRY(count_tokens(s, err));
    const size_t n = N_BANDS + s->n_domains;
    RT_TRY(RT_NEW(&s->total, n * N_FIGURES * n_clusters, "sums of slices", err));
    RT_TRY(RT_NEW(&s->count, n * n_clusters, "sums of slices", err));
    *out = s;
    s = NULL;
out:
    rt_slices_free(s);
    return st;
}

void rt_slices_free(rt_slices *s)
{
    if (s != NULL) {
        rt_free(s->seen);
        rt_free(s->domain);
        rt_free(s->domains);
        rt_free(s->total);
        rt_free(s->count);
        rt_free(s);
    }
}

static double *totals(const rt_slices *s, size_t slice, int f)
{
    return s->total + (slice * N_FIGURES + (size_t)f) * s->n_clusters;
}

static void add_to(rt_slices *s, size_t slice, size_t cluster, const double value[N_FIGURES])
{
    for (int f = 0; f < N_FIGURES; f++) {
        totals(s, slice, f)[cluster] += value[f];
    }
    s->count[slice * s->n_clusters + cluster]++;
}

void rt_slices_add(rt_slices *s, const rt_segment *segment, int64_t position, size_t cluster,
                   const double value[RT_N_MEASURES])
{
    const double own[N_FIGURES] = {
        [KL] = value[RT_MEASURE_KL],
        [NLL] = value[RT_MEASURE_NLL],
        [TEACHER_NLL] = value[RT_MEASURE_TEACHER_NLL],
        [GAP] = value[RT_MEASURE_NLL] - value[RT_MEASURE_TEACHER_NLL],
        [TOP1] = value[RT_MEASURE_TOP1],
    };
    const rt_document *doc = &s->docs[segment->doc];
    const bool bos_again = doc->opened && segment->src > doc->first; /* it is no token of the document */
    const int64_t before = position - segment->start + 1;
    const double at[RT_N_DIMENSIONS] = {
        [RT_DIM_POSITION] = (double)(segment->src - doc->first + before - bos_again),
        [RT_DIM_CONTEXT] = (double)before,
        [RT_DIM_FREQUENCY] = s->seen[s->packed->ids[position + 1]],
        [RT_DIM_ENTROPY] = value[RT_MEASURE_ENTROPY],
    };
    for (size_t i = 0; i < N_BANDS; i++) {
        const double v = at[bands[i].dimension];
        if (v >= bands[i].lo && v < bands[i].hi) {
            add_to(s, i, cluster, own);
        }
    }
    add_to(s, N_BANDS + s->domain[segment->doc], cluster, own);
}

static void add_json(json_t *list, const rt_slices *s, size_t slice, const char *dimension, const char *label)
{
    json_t *j = NULL;
    for (int f = 0; f < N_FIGURES; f++) {
        const rt_stat stat = rt_stat_clustered(totals(s, slice, f), s->count + slice * s->n_clusters, s->n_clusters);
        if (stat.n == 0) {
            return;
        }
        if (j == NULL) {
            j = json_pack("{s:s, s:s, s:I}", "dimension", dimension, "slice", label, "n", (json_int_t)stat.n);
        }
        json_object_set_new(j, figure_names[f], rt_stat_json(&stat));
    }
    json_array_append_new(list, j);
}

json_t *rt_slices_json(const rt_slices *s)
{
    json_t *list = json_array();
    for (size_t i = 0; i < N_BANDS; i++) {
        add_json(list, s, i, dimension_names[bands[i].dimension], bands[i].label);
    }
    for (size_t i = 0; s->n_domains > 1 && i < s->n_domains; i++) {
        add_json(list, s, N_BANDS + i, "domain", rt_path_base(s->domains[i]));
    }
    return list;
}
