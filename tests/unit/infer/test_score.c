/* Scores are what a plain forward pass over the whole text says, however requests are packed and shared. */
#include "infer_fixture.h"

enum { MAX_ROWS = 64, MAX_VOCAB = 400 };

typedef struct plain_pass {
    float logits[MAX_ROWS][MAX_VOCAB];
    int64_t n_vocab;
} plain_pass;

static void keep_row(void *ud, const rt_head_row *row)
{
    plain_pass *p = ud;
    memcpy(p->logits[row->row], row->logits, (size_t)p->n_vocab * sizeof(float));
}

/* Log-probabilities of the continuation from logits of one unshared pass. */
static void expect(const rt_model *m, const rt_score_request *r, double *logprobs, bool *greedy)
{
    static plain_pass pass;
    rt_err err = {0};
    rt_acts *acts = NULL;
    rt_head *head = NULL;
    int32_t ids[MAX_ROWS];
    const int64_t n = r->n_context + r->n - 1, v = pass.n_vocab = m->hp.n_vocab;
    memcpy(ids, r->context, (size_t)r->n_context * sizeof *ids);
    memcpy(ids + r->n_context, r->ids, (size_t)(r->n - 1) * sizeof *ids);
    assert_ok(rt_acts_new(&acts, m, n, n, RT_NET_FORWARD, &err));
    assert_ok(rt_head_new(&head, m, NULL, false, &err));
    rt_net_forward(m, acts, &(rt_batch){.ids = ids, .n_rows = n, .n_spans = 1, .spans = &(rt_span){.n = n}});
    rt_head_run(head, &(rt_head_sweep){.model = m, .x = rt_acts_x(acts), .n_rows = n, .visit = keep_row, .ud = &pass});
    *greedy = true;
    for (int64_t i = 0; i < r->n; i++) {
        const float *z = pass.logits[r->n_context - 1 + i];
        double sum = 0;
        for (int64_t j = 0; j < v; j++) {
            sum += exp((double)z[j] - (double)z[r->ids[i]]);
            *greedy &= z[j] <= z[r->ids[i]];
        }
        logprobs[i] = -log(sum);
    }
    rt_acts_free(acts);
    rt_head_free(head);
}

static void check(const rt_model *m, const rt_score_request *r, const rt_score *s)
{
    double want[MAX_ROWS], sum = 0;
    bool greedy;
    expect(m, r, want, &greedy);
    for (int64_t i = 0; i < r->n; i++) {
        sum += want[i];
        assert_true(fabs((double)r->logprobs[i] - want[i]) <= 1e-4);
    }
    assert_true(fabs(s->logprob - sum) <= 1e-4 * (double)r->n);
    assert_int_equal(s->greedy, greedy);
}

enum { CONTEXTS = 9, CHOICES = 4, REQUESTS = CONTEXTS * CHOICES + 3 };

/* Contexts with four choices each (one of a single token), then three requests that share nothing. */
static void make_requests(const rt_prompt *contexts, const rt_prompt *choices, rt_score_request *r,
                          float (*logprobs)[MAX_ROWS])
{
    for (int i = 0; i < REQUESTS; i++) {
        const rt_prompt *c = &contexts[i < CONTEXTS * CHOICES ? i / CHOICES : i - CONTEXTS * CHOICES];
        r[i] = (rt_score_request){
            .context = c->ids, .n_context = c->n, .ids = choices[i].ids, .n = choices[i].n, .logprobs = logprobs[i]};
    }
    r[0].n_context = r[1].n_context = r[2].n_context = r[3].n_context = 1;
}

static void count_progress(void *ud, size_t done, size_t n)
{
    size_t *last = ud;
    assert_true(done > *last && done <= n);
    *last = done;
}

static void scores_equal_a_plain_pass_however_packed(void **state)
{
    (void)state;
    static const int64_t sizes[] = {0, 1, 40, 100};
    for (int i = 0; i < N_TINY; i++) {
        rt_err err = {0};
        rt_model *m = tiny_open(&tiny_models[i], RT_PRECISION_F32);
        rt_prompt *contexts = random_prompts(CONTEXTS, 2, 20, m->hp.n_vocab, 1),
                  *choices = random_prompts(REQUESTS, 1, 8, m->hp.n_vocab, 2);
        rt_score_request r[REQUESTS];
        rt_score s[REQUESTS];
        static float logprobs[REQUESTS][MAX_ROWS];
        make_requests(contexts, choices, r, logprobs);
        for (int j = 0; j < 4; j++) {
            size_t done = 0;
            assert_ok(rt_score_run(
                m, r, REQUESTS, s,
                &(rt_score_options){.max_rows = sizes[j], .on_progress = count_progress, .ud = &done}, &err));
            assert_int_equal(done, REQUESTS);
            for (int k = 0; k < REQUESTS; k++) {
                check(m, &r[k], &s[k]);
            }
        }
        drop_prompts(contexts, CONTEXTS);
        drop_prompts(choices, REQUESTS);
        rt_model_close(m);
    }
}

static void greedy_text_scores_as_greedy(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_model *m = tiny_open(&tiny_models[0], RT_PRECISION_F32);
    const int32_t ids[] = {9, 4, 17};
    rt_generation g;
    assert_ok(rt_generate(&g, m, NULL, &(rt_prompt){ids, 3}, 1, &(rt_generate_options){.max_new = 6}, &err));
    rt_score s[2];
    int32_t other[6];
    memcpy(other, g.seq[0].ids, sizeof other);
    other[5] = (other[5] + 1) % (int32_t)m->hp.n_vocab;
    const rt_score_request r[2] = {{.context = ids, .n_context = 3, .ids = g.seq[0].ids, .n = 6},
                                   {.context = ids, .n_context = 3, .ids = other, .n = 6}};
    assert_ok(rt_score_run(m, r, 2, s, NULL, &err));
    assert_true(s[0].greedy);
    assert_false(s[1].greedy);
    assert_true(s[0].logprob > s[1].logprob);
    rt_generation_release(&g);
    rt_model_close(m);
}

static void impossible_requests_are_refused(void **state)
{
    (void)state;
    rt_model *m = tiny_open(&tiny_models[0], RT_PRECISION_F32);
    rt_prompt *p = random_prompts(1, m->rope_rows, m->rope_rows, m->hp.n_vocab, 1);
    const int32_t bad[] = {(int32_t)m->hp.n_vocab}, good[] = {1, 2};
    const struct {
        rt_score_request r;
        const char *words;
    } cases[] = {
        {{.context = p->ids, .n_context = p->n, .ids = good, .n = 2}, "the context of the model"},
        {{.context = p->ids, .n_context = 0, .ids = good, .n = 2}, "is empty"},
        {{.context = good, .n_context = 2, .ids = good, .n = 0}, "continuation is empty"},
        {{.context = good, .n_context = 2, .ids = bad, .n = 1}, "outside the vocabulary"},
        {{.context = bad, .n_context = 1, .ids = good, .n = 1}, "outside the vocabulary"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        rt_err err = {0};
        rt_score s;
        assert_int_equal(rt_score_run(m, &cases[i].r, 1, &s, NULL, &err), RT_INPUT);
        assert_says(err.msg, cases[i].words);
    }
    rt_score s;
    rt_err err = {0};
    assert_ok(rt_score_run(m, &(rt_score_request){.context = p->ids, .n_context = p->n, .ids = good, .n = 1}, 1, &s,
                           NULL, &err));
    assert_ok(rt_score_run(m, NULL, 0, NULL, NULL, &err));
    drop_prompts(p, 1);
    rt_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scores_equal_a_plain_pass_however_packed),
        cmocka_unit_test(greedy_text_scores_as_greedy),
        cmocka_unit_test(impossible_requests_are_refused),
    };
    return cmocka_run_group_tests_name("score", tests, NULL, NULL);
}
