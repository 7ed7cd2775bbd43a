/* What held-out text says of a model beside its teacher is what plain sums over every document piece say. */
#include "audit/heldout.h"
#include "audit_fixture.h"
#include "unit/teacher/teacher_fixture.h"

enum { TINY_VOCAB = 331, DOCS = 40, SEQUENCE = 32 };

static rt_model *tiny(bool trainable)
{
    rt_err err = {0};
    rt_model *m = NULL;
    assert_ok(rt_model_open(&m, RT_TEST_GOLDEN "/models/llama",
                            &(rt_model_options){.precision = RT_PRECISION_F32, .trainable = trainable}, &err));
    return m;
}

static rt_model *cut(const rt_model *m)
{
    rt_err err = {0};
    rt_model *out = NULL;
    assert_ok(rt_model_cut(&out, m, (const int[]){0, 2}, 2,
                           &(rt_model_options){.precision = RT_PRECISION_F32, .trainable = true}, &err));
    return out;
}

/* Every fourth document shares a title with its neighbours. */
static void text(rt_corpus *c)
{
    toy_corpus(c, DOCS, TINY_VOCAB, true, 5);
    for (int i = 0; i < DOCS; i++) {
        c->docs[i].cluster = c->docs[i / 4 * 4].id;
    }
}

static rt_fidelity measure(const rt_model *teacher, const rt_model *m, const rt_corpus *c, int64_t max_tokens)
{
    rt_err err = {0};
    rt_heldout *h = NULL;
    rt_fidelity f;
    assert_ok(rt_heldout_new(&h, teacher, c, SEQUENCE, max_tokens, &err));
    assert_ok(rt_heldout_measure(h, m, &f, &err));
    rt_heldout_free(h);
    return f;
}

/* --- the plain way ------------------------------------------------------------------------------------------------ */

static void copy_logits(void *ud, const rt_head_row *row)
{
    memcpy((float *)ud + row->row * TINY_VOCAB, row->logits, TINY_VOCAB * sizeof(float));
}

static void log_softmax(const rt_model *m, const int32_t *ids, int64_t n, double *out)
{
    static float logits[SEQUENCE * TINY_VOCAB];
    rt_err err = {0};
    rt_acts *acts = NULL;
    rt_head *head = NULL;
    assert_ok(rt_acts_new(&acts, m, n, n, RT_NET_FORWARD, &err));
    assert_ok(rt_head_new(&head, m, NULL, false, &err));
    rt_net_forward(m, acts, &(rt_batch){.ids = ids, .n_rows = n, .n_spans = 1, .spans = &(rt_span){.n = n}});
    rt_head_run(head,
                &(rt_head_sweep){.model = m, .x = rt_acts_x(acts), .n_rows = n, .visit = copy_logits, .ud = logits});
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int64_t v = 0; v < TINY_VOCAB; v++) {
            sum += exp((double)logits[i * TINY_VOCAB + v]);
        }
        for (int64_t v = 0; v < TINY_VOCAB; v++) {
            out[i * TINY_VOCAB + v] = (double)logits[i * TINY_VOCAB + v] - log(sum);
        }
    }
    rt_acts_free(acts);
    rt_head_free(head);
}

typedef struct plain {
    double nll[DOCS], kl[DOCS], top1[DOCS], acceptance[DOCS];
    int64_t count[DOCS];
} plain;

static void add_position(plain *s, int g, const double *p, const double *q, int32_t label)
{
    int best_p = 0, best_q = 0;
    for (int v = 0; v < TINY_VOCAB; v++) {
        s->kl[g] += exp(p[v]) * (p[v] - q[v]);
        s->acceptance[g] += fmin(exp(p[v]), exp(q[v]));
        best_p = p[v] > p[best_p] ? v : best_p;
        best_q = q[v] > q[best_q] ? v : best_q;
    }
    s->nll[g] -= q[label];
    s->top1[g] += best_p == best_q;
    s->count[g]++;
}

static void plain_sums(plain *s, const rt_model *teacher, const rt_model *m, const rt_corpus *c)
{
    static double p[SEQUENCE * TINY_VOCAB], q[SEQUENCE * TINY_VOCAB];
    memset(s, 0, sizeof *s);
    for (int d = 0; d < DOCS; d++) {
        const rt_document *doc = &c->docs[d];
        for (int64_t at = doc->first; at < doc->first + doc->n; at += SEQUENCE) {
            const int64_t left = doc->first + doc->n - at, n = left < SEQUENCE ? left : SEQUENCE;
            log_softmax(teacher, c->ids.p + at, n, p);
            log_softmax(m, c->ids.p + at, n, q);
            for (int64_t i = 0; i + 1 < n; i++) {
                if (c->mask[at + i + 1] != 0) {
                    add_position(s, d / 4, p + i * TINY_VOCAB, q + i * TINY_VOCAB, c->ids.p[at + i + 1]);
                }
            }
        }
    }
}

static void assert_stat(const rt_stat *got, const double *total, const int64_t *count)
{
    const rt_stat want = rt_stat_clustered(total, count, DOCS);
    assert_int_equal(got->n, want.n);
    assert_int_equal(got->clusters, DOCS / 4);
    assert_true(fabs(got->mean - want.mean) <= 1e-5);
    assert_true(fabs(got->stderr_ - want.stderr_) <= 1e-5);
}

static void measures_are_the_plain_sums_by_cluster(void **state)
{
    (void)state;
    rt_corpus c;
    plain s;
    rt_model *teacher = tiny(false), *student = cut(teacher);
    text(&c);
    plain_sums(&s, teacher, student, &c);
    const rt_fidelity f = measure(teacher, student, &c, 0);
    assert_stat(&f.nll, s.nll, s.count);
    assert_stat(&f.kl, s.kl, s.count);
    assert_stat(&f.top1, s.top1, s.count);
    assert_stat(&f.acceptance, s.acceptance, s.count);
    assert_int_equal(f.positions, f.kl.n);
    assert_true(f.kl.mean > 1e-3 && f.documents > DOCS / 2 && f.documents <= DOCS);
    assert_false(f.own_text);
    rt_corpus_release(&c);
    rt_model_close(student);
    rt_model_close(teacher);
}

/* --- promises ----------------------------------------------------------------------------------------------------- */

static void a_teacher_does_not_differ_from_itself(void **state)
{
    (void)state;
    rt_corpus c;
    rt_model *m = tiny(false);
    text(&c);
    const rt_fidelity f = measure(m, m, &c, 0);
    assert_true(fabs(f.kl.mean) < 1e-6);
    assert_true(f.top1.mean == 1);
    assert_true(fabs(f.acceptance.mean - 1) <= 1e-6);
    assert_true(f.nll.mean == f.teacher_nll.mean);
    rt_corpus_release(&c);
    rt_model_close(m);
}

/* The reference model's own loss over its own two sequences. */
static void perplexity_is_that_of_the_reference(void **state)
{
    (void)state;
    int64_t n, one;
    rt_safetensors *g = golden_open("models/llama/golden.safetensors");
    const int32_t *ids = golden_data(g, "input_ids", RT_I32, &n);
    const float *loss = golden_data(g, "loss_ce", RT_F32, &one);
    uint8_t mask[64];
    rt_document docs[2] = {{.n = n / 2, .id = "a", .cluster = "a", .source = "golden"},
                           {.first = n / 2, .n = n / 2, .id = "b", .cluster = "b", .source = "golden"}};
    const rt_corpus c = {.ids = {.p = (int32_t *)ids, .n = (size_t)n}, .mask = mask, .docs = docs, .n_docs = 2};
    memset(mask, 1, sizeof mask);
    rt_model *m = tiny(false);
    const rt_fidelity f = measure(NULL, m, &c, 0);
    assert_int_equal(f.nll.n, n - 2);
    assert_true(fabs(f.nll.mean - (double)*loss) <= 2e-5);
    assert_int_equal(f.kl.n, 0);
    assert_true(isnan(f.kl.mean));
    json_t *j = rt_fidelity_json(&f);
    assert_true(fabs(json_number_value(json_object_get(j, "perplexity")) - exp((double)*loss)) <= 0.01);
    assert_null(json_object_get(j, "kl"));
    json_decref(j);
    rt_model_close(m);
    rt_safetensors_close(g);
}

static void whole_documents_up_to_the_limit_are_used(void **state)
{
    (void)state;
    rt_corpus c;
    rt_model *m = tiny(false);
    text(&c);
    int64_t three = c.docs[0].n + c.docs[1].n + c.docs[2].n;
    rt_corpus first = c, alone = c;
    first.n_docs = 3;
    const rt_fidelity a = measure(NULL, m, &c, three + c.docs[3].n - 1), b = measure(NULL, m, &first, 0);
    assert_int_equal(a.positions, b.positions);
    assert_true(a.nll.mean == b.nll.mean);
    rt_document cut_doc = c.docs[0];
    cut_doc.n = c.docs[0].n * 2 / 3;
    alone.docs = &cut_doc;
    alone.n_docs = 1;
    const rt_fidelity d = measure(NULL, m, &c, cut_doc.n), e = measure(NULL, m, &alone, 0);
    assert_int_equal(d.positions, e.positions);
    assert_true(d.nll.mean == e.nll.mean && d.own_text && isnan(d.nll.stderr_));
    rt_corpus_release(&c);
    rt_model_close(m);
}

/* The same model with five more rows in its vocabulary, which would win everywhere if they counted. */
static rt_model *padded(const rt_model *m)
{
    rt_err err = {0};
    rt_model *out = NULL;
    rt_hparams hp = m->hp;
    hp.n_vocab += 5;
    hp.rope_divisors = NULL;
    assert_ok(
        rt_model_new(&out, m->arch, &hp, &(rt_model_options){.precision = RT_PRECISION_F32, .trainable = true}, &err));
    for (size_t i = 0; i < m->n_params; i++) {
        const rt_param *to = rt_model_find(out, m->params[i].name);
        memcpy(to->w, m->params[i].w, (size_t)m->params[i].n * sizeof(float));
        for (int64_t k = m->params[i].n; k < to->n; k++) {
            to->w[k] = 3;
        }
    }
    return out;
}

static void padding_rows_do_not_count(void **state)
{
    (void)state;
    rt_corpus c;
    rt_model *m = tiny(true), *p = padded(m);
    text(&c);
    const rt_fidelity plain_teacher = measure(m, p, &c, 0), padded_teacher = measure(p, m, &c, 0);
    assert_true(fabs(plain_teacher.kl.mean) < 1e-6 && plain_teacher.top1.mean == 1);
    assert_true(fabs(padded_teacher.kl.mean) < 1e-6 && padded_teacher.top1.mean == 1);
    rt_corpus_release(&c);
    rt_model_close(p);
    rt_model_close(m);
}

static void a_damaged_model_is_refused_with_the_document(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_corpus c;
    rt_heldout *h = NULL;
    rt_fidelity f;
    rt_model *m = tiny(true), *bad = tiny(true);
    text(&c);
    bad->output_norm->w[3] = NAN;
    assert_ok(rt_heldout_new(&h, m, &c, SEQUENCE, 0, &err));
    assert_int_equal(rt_heldout_measure(h, bad, &f, &err), RT_NUMERIC);
    assert_says(err.msg, "document 'doc");
    assert_ok(rt_heldout_measure(h, m, &f, &err));
    rt_heldout_free(h);
    rt_corpus_release(&c);
    rt_model_close(m);
    rt_model_close(bad);
}

static void text_that_cannot_be_measured_is_refused(void **state)
{
    (void)state;
    rt_corpus c, foreign;
    rt_model *m = tiny(false);
    rt_heldout *h = NULL;
    toy_corpus(&c, 2, TINY_VOCAB, false, 5);
    toy_corpus(&foreign, DOCS, TINY_VOCAB, false, 5);
    foreign.ids.p[7] = TINY_VOCAB;
    rt_err err = {0};
    assert_int_equal(rt_heldout_new(&h, m, &foreign, SEQUENCE, 0, &err), RT_INPUT);
    assert_says(err.msg, "wrong tokenizer");
    c.docs[0].n = c.docs[1].n = 1;
    assert_int_equal(rt_heldout_new(&h, m, &c, SEQUENCE, 0, &err), RT_INPUT);
    assert_says(err.msg, "predicts nothing");
    foreign.ids.p[7] = 0;
    foreign.docs[0].n = m->rope_rows + 1;
    assert_true((size_t)foreign.docs[0].n < foreign.ids.n);
    assert_int_equal(rt_heldout_new(&h, m, &foreign, 1 << 16, 0, &err), RT_INPUT);
    assert_says(err.msg, "context");
    rt_corpus_release(&c);
    rt_corpus_release(&foreign);
    rt_model_close(m);
}

static void values_do_not_depend_on_the_thread_count(void **state)
{
    (void)state;
    rt_corpus c;
    rt_model *teacher = tiny(false), *student = cut(teacher);
    text(&c);
    rt_team_set_threads(1);
    const rt_fidelity a = measure(teacher, student, &c, 0);
    rt_team_set_threads(3);
    const rt_fidelity b = measure(teacher, student, &c, 0);
    assert_memory_equal(&a.nll, &b.nll, sizeof a.nll);
    assert_memory_equal(&a.kl, &b.kl, sizeof a.kl);
    assert_memory_equal(&a.acceptance, &b.acceptance, sizeof a.acceptance);
    rt_corpus_release(&c);
    rt_model_close(student);
    rt_model_close(teacher);
}

static void lack_of_memory_is_reported_and_nothing_leaks(void **state)
{
    (void)state;
    rt_corpus c;
    rt_model *m = tiny(false);
    text(&c);
    const size_t before = rt_mem_get_stats().live_bytes;
    for (uint64_t n = 1;; n++) {
        rt_err err = {0};
        rt_heldout *h = NULL;
        rt_fidelity f;
        rt_mem_fail_after(n);
        rt_status st = rt_heldout_new(&h, m, &c, SEQUENCE, 200, &err);
        if (st == RT_OK) {
            st = rt_heldout_measure(h, m, &f, &err);
        }
        rt_mem_fail_after(0);
        rt_heldout_free(h);
        assert_int_equal(rt_mem_get_stats().live_bytes, before);
        if (st == RT_OK) {
            break;
        }
        assert_int_equal(st, RT_MEMORY);
    }
    rt_corpus_release(&c);
    rt_model_close(m);
}

/* Every position is in one band of each dimension, and their sums are the whole. */
static void slices_cut_the_text_without_rest(void **state)
{
    (void)state;
    static const char *const dimensions[] = {"position", "context", "token frequency", "teacher entropy", "domain"};
    rt_err err = {0};
    rt_corpus c;
    rt_heldout *h = NULL;
    rt_fidelity f;
    json_t *slices = NULL, *slice;
    size_t i;
    text(&c);
    for (int d = 0; d < DOCS; d++) {
        c.docs[d].source = d % 4 == 0 ? "some/books.jsonl" : "news.jsonl";
    }
    rt_model *m = tiny(true), *student = cut(m);
    assert_ok(rt_heldout_new(&h, m, &c, SEQUENCE, 0, &err));
    assert_ok(rt_heldout_measure_slices(h, student, &f, &slices, &err));
    for (size_t d = 0; d < sizeof dimensions / sizeof dimensions[0]; d++) {
        int64_t n = 0;
        double kl = 0, gap = 0;
        json_array_foreach(slices, i, slice)
        {
            if (strcmp(rt_json_str(slice, "dimension", ""), dimensions[d]) == 0) {
                const double own = (double)rt_json_i64(slice, "n", 0);
                n += rt_json_i64(slice, "n", 0);
                kl += own * rt_json_f64(json_object_get(slice, "kl"), "mean", 0);
                gap += own * rt_json_f64(json_object_get(slice, "gap"), "mean", 0);
            }
        }
        assert_int_equal(n, f.positions);
        assert_true(fabs(kl / (double)n - f.kl.mean) < 1e-9);
        assert_true(fabs(gap / (double)n - (f.nll.mean - f.teacher_nll.mean)) < 1e-9);
    }
    json_decref(slices);
    rt_heldout_free(h);
    rt_model_close(student);
    rt_model_close(m);
    rt_corpus_release(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(measures_are_the_plain_sums_by_cluster),
        cmocka_unit_test(a_teacher_does_not_differ_from_itself),
        cmocka_unit_test(perplexity_is_that_of_the_reference),
        cmocka_unit_test(whole_documents_up_to_the_limit_are_used),
        cmocka_unit_test(padding_rows_do_not_count),
        cmocka_unit_test(a_damaged_model_is_refused_with_the_document),
        cmocka_unit_test(text_that_cannot_be_measured_is_refused),
        cmocka_unit_test(values_do_not_depend_on_the_thread_count),
        cmocka_unit_test(lack_of_memory_is_reported_and_nothing_leaks),
        cmocka_unit_test(slices_cut_the_text_without_rest),
    };
    return cmocka_run_group_tests_name("heldout", tests, NULL, NULL);
}
