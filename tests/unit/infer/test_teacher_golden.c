/* Two real teachers equal transformers: SmolLM2-135M-Instruct from its Q4_1 GGUF on eight prompts, Gemma 3 270M from
 * its Q4_K_M GGUF on five. Logits, log-sum-exp, losses, hidden states and greedy text in f32; the same text to within
 * the noise of bf16 where that is the compute type. */
#include "infer_fixture.h"

enum { MAX_PROMPTS = 8, MAX_TOKENS = 64, TOP = 20, NEW = 32 };

typedef struct prompt_case {
    int64_t n;
    const int32_t *ids, *top_ids, *greedy;     /* [n], [n, 20], [32] */
    const float *top_logits, *logsumexp, *nll; /* [n, 20], [n], [n - 1] */
    const float *hidden, *logits, *gap;        /* [31, d] or NULL; [V] or NULL; [32] */
} prompt_case;

typedef struct teacher {
    const char *model, *golden;
    int n_layer, n_prompts;
    int with_hidden, with_logits; /* the wide fields are kept of so many prompts (tests/golden/gen/trim_smollm2.py) */
    rt_safetensors *file;
    prompt_case prompts[MAX_PROMPTS];
} teacher;

static teacher smollm2 = {.model = TEACHER,
                          .golden = RT_TEST_GOLDEN "/smollm2/smollm2_135m_instruct.safetensors",
                          .n_layer = 30,
                          .n_prompts = 8,
                          .with_hidden = 2,
                          .with_logits = 1};
static teacher gemma3 = {.model = "gemma-3-270m.Q4_K_M.gguf",
                         .golden = RT_TEST_SOURCE "/tests/golden/gemma3_270m.safetensors",
                         .n_layer = 18,
                         .n_prompts = 5};

static const void *field(const teacher *t, int i, const char *what, rt_dtype type, int64_t want_n)
{
    char name[64];
    int64_t n;
    snprintf(name, sizeof name, "p%d.%s", i, what);
    const void *data = golden_data(t->file, name, type, &n);
    assert_true(want_n < 0 || n == want_n);
    return data;
}

static void load_golden(teacher *t)
{
    rt_err err = {0};
    assert_ok(rt_safetensors_open(&t->file, t->golden, &err));
    for (int i = 0; i < t->n_prompts; i++) {
        prompt_case *p = &t->prompts[i];
        char name[64];
        snprintf(name, sizeof name, "p%d.ids", i);
        p->ids = golden_data(t->file, name, RT_I32, &p->n);
        assert_in_range(p->n, 2, MAX_TOKENS);
        p->top_ids = field(t, i, "top20_ids", RT_I32, p->n * TOP);
        p->top_logits = field(t, i, "top20_logits", RT_F32, p->n * TOP);
        p->logsumexp = field(t, i, "logsumexp", RT_F32, p->n);
        p->nll = field(t, i, "nll", RT_F32, p->n - 1);
        p->hidden = i < t->with_hidden ? field(t, i, "hidden_last", RT_F32, -1) : NULL;
        p->greedy = field(t, i, "greedy_ids", RT_I32, NEW);
        p->gap = field(t, i, "greedy_gap", RT_F32, NEW);
        p->logits = i < t->with_logits ? field(t, i, "logits_last", RT_F32, -1) : NULL;
    }
}

static int load_all(void **state)
{
    (void)state;
    load_golden(&smollm2);
    load_golden(&gemma3);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    rt_safetensors_close(smollm2.file);
    rt_safetensors_close(gemma3.file);
    return 0;
}

static rt_model *open_teacher(const teacher *t, rt_precision precision)
{
    rt_err err = {0};
    rt_model *m = NULL;
    assert_ok(rt_model_open(&m, rt_test_model(t->model), &(rt_model_options){.precision = precision}, &err));
    assert_int_equal(m->hp.n_layer, t->n_layer);
    return m;
}

/* --- one prompt through the net, row by row against the golden file -------------------------------------------- */

typedef struct row_check {
    const rt_model *m;
    const prompt_case *p;
    double logit[MAX_TOKENS], lse[MAX_TOKENS], nll[MAX_TOKENS]; /* absolute differences */
    double own_nll[MAX_TOKENS];
    bool top1[MAX_TOKENS], top20[MAX_TOKENS];
    double last;   /* difference of the last row's logits, over the whole vocabulary */
    float *hidden; /* [d] of the last row after the final norm */
} row_check;

/* The ids of the 20 largest logits, where neighbours in the reference are further apart than the noise. */
static bool same_top20(const float *z, int64_t v, const int32_t *ids, const float *logits)
{
    for (int i = 0; i < TOP; i++) {
        const bool clear_above = i == 0 || logits[i - 1] - logits[i] > 1e-2f;
        const bool clear_below = i + 1 < TOP && logits[i] - logits[i + 1] > 1e-2f;
        int64_t larger = 0;
        for (int64_t j = 0; j < v; j++) {
            larger += z[j] > z[ids[i]];
        }
        if (clear_above && clear_below && larger != i) {
            return false;
        }
    }
    return true;
}

static void check_row(void *ud, const rt_head_row *row)
{
    row_check *c = ud;
    const prompt_case *p = c->p;
    const int64_t r = row->row, v = c->m->hp.n_vocab, last = p->n - 1;
    const rt_kernels *k = rt_kernels_get();
    const double lse = (double)k->logsumexp(row->logits, v, 1.0f, NULL);
    for (int i = 0; i < TOP; i++) {
        const double d = fabs((double)row->logits[p->top_ids[r * TOP + i]] - (double)p->top_logits[r * TOP + i]);
        c->logit[r] = fmax(c->logit[r], d);
    }
    c->top1[r] = k->argmax(row->logits, v) == p->top_ids[r * TOP];
    c->top20[r] = same_top20(row->logits, v, p->top_ids + r * TOP, p->top_logits + r * TOP);
    c->lse[r] = fabs(lse - (double)p->logsumexp[r]);
    if (r < last) {
        c->own_nll[r] = lse - (double)row->logits[p->ids[r + 1]];
        c->nll[r] = fabs(c->own_nll[r] - (double)p->nll[r]);
    } else {
        memcpy(c->hidden, row->hidden, (size_t)c->m->hp.d_model * sizeof(float));
        for (int64_t j = 0; p->logits != NULL && j < v; j++) {
            c->last = fmax(c->last, fabs((double)row->logits[j] - (double)p->logits[j]));
        }
    }
}

/* Leaves the activations of all layers in `acts`. */
static row_check run_prompt(const rt_model *m, rt_acts *acts, rt_head *head, const prompt_case *p)
{
    row_check c = {.m = m, .p = p, .hidden = rt_calloc((size_t)m->hp.d_model, sizeof(float))};
    rt_net_forward(m, acts, &(rt_batch){.ids = p->ids, .n_rows = p->n, .n_spans = 1, .spans = &(rt_span){.n = p->n}});
    rt_head_run(head, &(rt_head_sweep){.model = m, .x = rt_acts_x(acts), .n_rows = p->n, .visit = check_row, .ud = &c});
    return c;
}

static double largest(const double *x, int64_t n)
{
    double most = 0;
    for (int64_t i = 0; i < n; i++) {
        most = x[i] > most || isnan(x[i]) ? x[i] : most;
    }
    return most;
}

/* Relative to the size of the state: the residual stream holds outliers in the hundreds. */
static double hidden_difference(const rt_model *m, const rt_acts *acts, const row_check *c)
{
    double worst = 0;
    const int64_t d = m->hp.d_model;
    for (int l = 0; l <= m->hp.n_layer; l++) {
        const float *got = l == m->hp.n_layer ? c->hidden : rt_acts_layer_input(acts, l) + (c->p->n - 1) * d;
        const float *want = c->p->hidden + l * d;
        double diff = 0, norm = 0;
        for (int64_t i = 0; i < d; i++) {
            diff += ((double)got[i] - (double)want[i]) * ((double)got[i] - (double)want[i]);
            norm += (double)want[i] * (double)want[i];
        }
        worst = fmax(worst, sqrt(diff / norm));
    }
    return worst;
}

static void f32_equals_transformers(void **state)
{
    const teacher *t = *state;
    rt_err err = {0};
    rt_model *m = open_teacher(t, RT_PRECISION_F32);
    rt_acts *acts = NULL;
    rt_head *head = NULL;
    double logit = 0, lse = 0, nll = 0, hidden = 0;
    assert_ok(rt_acts_new(&acts, m, MAX_TOKENS, MAX_TOKENS, RT_NET_TRAIN, &err));
    assert_ok(rt_head_new(&head, m, NULL, false, &err));
    for (int i = 0; i < t->n_prompts; i++) {
        const prompt_case *p = &t->prompts[i];
        row_check c = run_prompt(m, acts, head, p);
        logit = fmax(logit, fmax(largest(c.logit, p->n), c.last));
        lse = fmax(lse, largest(c.lse, p->n));
        nll = fmax(nll, largest(c.nll, p->n - 1));
        hidden = p->hidden != NULL ? fmax(hidden, hidden_difference(m, acts, &c)) : hidden;
        for (int64_t r = 0; r < p->n; r++) {
            assert_true(c.top20[r]);
        }
        rt_free(c.hidden);
    }
    print_message("%s: logits within %.2g, logsumexp %.2g, nll %.2g, hidden states %.2g (relative)\n", t->model, logit,
                  lse, nll, hidden);
    assert_true(logit <= 5e-3);
    assert_true(lse <= 2e-3);
    assert_true(nll <= 2e-3);
    assert_true(hidden <= 1e-4);
    rt_acts_free(acts);
    rt_head_free(head);
    rt_model_close(m);
}

static void bf16_agrees_with_transformers(void **state)
{
    const teacher *t = *state;
    rt_err err = {0};
    rt_model *m = open_teacher(t, RT_PRECISION_BF16);
    rt_acts *acts = NULL;
    rt_head *head = NULL;
    int64_t rows = 0, agreed = 0, predictions = 0;
    double own = 0, reference = 0;
    assert_ok(rt_acts_new(&acts, m, MAX_TOKENS, MAX_TOKENS, RT_NET_FORWARD, &err));
    assert_ok(rt_head_new(&head, m, NULL, false, &err));
    for (int i = 0; i < t->n_prompts; i++) {
        const prompt_case *p = &t->prompts[i];
        row_check c = run_prompt(m, acts, head, p);
        for (int64_t r = 0; r < p->n; r++) {
            agreed += c.top1[r];
            own += r + 1 < p->n ? c.own_nll[r] : 0;
            reference += r + 1 < p->n ? (double)p->nll[r] : 0;
        }
        rows += p->n;
        predictions += p->n - 1;
        rt_free(c.hidden);
    }
    const double shift = (own - reference) / (double)predictions;
    print_message("%s: top-1 agreement %.2f %%, mean nll off by %.2g\n", t->model,
                  100.0 * (double)agreed / (double)rows, shift);
    assert_true((double)agreed >= 0.95 * (double)rows);
    assert_true(fabs(shift) <= 0.02);
    rt_acts_free(acts);
    rt_head_free(head);
    rt_model_close(m);
}

static void greedy_text_equals_transformers(void **state)
{
    const teacher *t = *state;
    rt_err err = {0};
    rt_model *m = open_teacher(t, RT_PRECISION_F32);
    rt_prompt p[MAX_PROMPTS];
    rt_generation g;
    for (int i = 0; i < t->n_prompts; i++) {
        p[i] = (rt_prompt){t->prompts[i].ids, t->prompts[i].n};
    }
    /* end tokens are no more than tokens in the reference */
    assert_ok(rt_generate(&g, m, NULL, p, (size_t)t->n_prompts, &(rt_generate_options){.max_new = NEW}, &err));
    for (int i = 0; i < t->n_prompts; i++) {
        for (int j = 0; j < NEW && t->prompts[i].gap[j] >= 2e-3f; j++) {
            if (g.seq[i].ids[j] != t->prompts[i].greedy[j]) {
                fail_msg("prompt %d: token %d is %d, transformers has %d", i, j, g.seq[i].ids[j],
                         t->prompts[i].greedy[j]);
            }
        }
    }
    rt_generation_release(&g);
    rt_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(f32_equals_transformers, &smollm2),
        cmocka_unit_test_prestate(bf16_agrees_with_transformers, &smollm2),
        cmocka_unit_test_prestate(greedy_text_equals_transformers, &smollm2),
        cmocka_unit_test_prestate(f32_equals_transformers, &gemma3),
        cmocka_unit_test_prestate(bf16_agrees_with_transformers, &gemma3),
        cmocka_unit_test_prestate(greedy_text_equals_transformers, &gemma3),
    };
    printf("isa: %s\n", rt_isa_name(rt_cpu_get()->isa));
    return cmocka_run_group_tests_name("teacher_golden", tests, load_all, close_all);
}
