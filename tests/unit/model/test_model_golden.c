/* The engine equals transformers on small models of every architecture: logits, hidden states, router choices, losses,
 * greedy tokens and the gradient of every parameter, in f32, within the bounds of tests/golden/README.md. What a case
 * checks is what its golden file holds. RETORT_GOLDEN_MODELS=DIR runs the folders in DIR, or DIR itself where it is a
 * model, in place of the cases kept here. */
#include "model_fixture.h"

#include "model/stack.h"
#include "tensor/loss.h"

typedef enum objective { OBJECTIVE_NONE, OBJECTIVE_CE, OBJECTIVE_KL } objective;

/* Visits every row: keeps logits and states, and with an objective turns logits into losses and gradients. */
typedef struct sweep_log {
    const fixture *f;
    objective goal;
    bool gradients;
    float *logits, *hidden;
    double value[64];
    float *scratch; /* [threads][V] */
} sweep_log;

static void visit(void *ud, const rt_head_row *row)
{
    sweep_log *s = ud;
    const int64_t v = s->f->m->hp.n_vocab, d = s->f->m->hp.d_model, t = s->f->t;
    float *scratch = s->scratch + row->thread * v;
    memcpy(s->logits + row->row * v, row->logits, (size_t)v * sizeof(float));
    memcpy(s->hidden + row->row * d, row->hidden, (size_t)d * sizeof(float));
    if (s->goal == OBJECTIVE_CE && row->row % t == t - 1) { /* nothing follows the last id */
        memset(row->logits, 0, (size_t)v * sizeof(float));
    } else if (s->goal == OBJECTIVE_CE) {
        const rt_target target = {.kind = RT_TARGET_LABEL, .label = s->f->batch.ids[row->row + 1]};
        const rt_loss ce = {.kind = RT_LOSS_CE, .temperature = 1.0};
        const float weight = 1.0f / (float)(2 * (t - 1));
        s->value[row->row] = rt_loss_row(&ce, row->logits, v, &target, s->gradients, weight, scratch);
    } else if (s->goal == OBJECTIVE_KL) {
        const float *kept = s->f->teacher;
        const float *teacher = kept != NULL ? kept : golden_f32(s->f, "teacher_logits", 2 * t * v);
        const rt_target target = {.kind = RT_TARGET_DENSE, .logits = teacher + row->row * v};
        const rt_loss kl = {.kind = RT_LOSS_FORWARD_KL, .temperature = 2.0};
        const float weight = 1.0f / (float)(2 * t);
        s->value[row->row] = rt_loss_row(&kl, row->logits, v, &target, s->gradients, weight, scratch);
    }
}

typedef struct run_state {
    fixture f;
    rt_acts *acts;
    rt_head *head;
    float *dx, *grads;
    sweep_log log;
} run_state;

static void run_in_mode(run_state *s, const golden_case *c, objective goal, rt_net_mode mode)
{
    rt_err err = {0};
    fixture_open(&s->f, c);
    const rt_model *m = s->f.m;
    const int64_t n = s->f.batch.n_rows, v = m->hp.n_vocab, d = m->hp.d_model;
    const bool gradients = goal != OBJECTIVE_NONE && m->trainable;
    assert_true(n <= (int64_t)(sizeof s->log.value / sizeof s->log.value[0]));
    assert_ok(rt_acts_new(&s->acts, m, n, s->f.t, mode, &err));
    assert_ok(rt_head_new(&s->head, m, NULL, gradients, &err));
    s->dx = gradients ? rt_calloc((size_t)(n * d), sizeof(float)) : NULL;
    s->grads = gradients ? rt_calloc((size_t)m->n_elements, sizeof(float)) : NULL;
    s->log = (sweep_log){.f = &s->f,
                         .goal = goal,
                         .gradients = gradients,
                         .logits = rt_calloc((size_t)(n * v), sizeof(float)),
                         .hidden = rt_calloc((size_t)(n * d), sizeof(float)),
                         .scratch = rt_calloc((size_t)(rt_team_threads() * v), sizeof(float))};
    rt_net_forward(m, s->acts, &s->f.batch);
    rt_head_run(s->head, &(rt_head_sweep){.model = m,
                                          .x = rt_acts_x(s->acts),
                                          .n_rows = n,
                                          .visit = visit,
                                          .ud = &s->log,
                                          .dx = s->dx,
                                          .grads = s->grads});
    if (gradients) {
        rt_net_backward(m, s->grads, s->acts, &s->f.batch, s->dx);
    }
}

static void run(run_state *s, const golden_case *c, objective goal)
{
    run_in_mode(s, c, goal, RT_NET_TRAIN);
}

static void run_release(run_state *s)
{
    rt_acts_free(s->acts);
    rt_head_free(s->head);
    rt_free(s->dx);
    rt_free(s->grads);
    rt_free(s->log.logits);
    rt_free(s->log.hidden);
    rt_free(s->log.scratch);
    fixture_close(&s->f);
}

static double mean_value(const run_state *s, double count)
{
    double sum = 0;
    for (int64_t i = 0; i < s->f.batch.n_rows; i++) {
        sum += s->log.value[i];
    }
    return sum / count;
}

/* Fails when the kept rows of `got` are further from the golden tensor than 1e-4. */
static void check_rows(const run_state *s, const char *name, const float *got, int64_t width)
{
    const double worst = rows_difference(&s->f, name, got, width);
    if (!(worst <= 1e-4)) {
        fail_msg("%s: %s differs by %g", s->f.c->name, name, worst);
    }
}

/* hidden.0 is the embedding output, the last is after the final norm. */
static void check_hidden(run_state *s)
{
    const rt_model *m = s->f.m;
    char name[32];
    for (int l = 0; l < m->hp.n_layer; l++) {
        snprintf(name, sizeof name, "hidden.%d", l);
        check_rows(s, name, rt_acts_layer_input(s->acts, l), golden_width(&s->f, name));
    }
    snprintf(name, sizeof name, "hidden.%d", (int)m->hp.n_layer);
    check_rows(s, name, s->log.hidden, m->hp.d_model);
}

static void check_router_row(const run_state *s, int layer, int64_t i)
{
    const int64_t row = kept_row(&s->f, i);
    char name[32];
    snprintf(name, sizeof name, "router.%d.experts", layer);
    const int64_t k = golden_width(&s->f, name);
    const int32_t *want = (const int32_t *)golden_data(&s->f, name, RT_I32, s->f.n_rows * k) + i * k;
    snprintf(name, sizeof name, "router.%d.weights", layer);
    const float *want_weight = golden_f32(&s->f, name, s->f.n_rows * k) + i * k;
    const float *weight;
    const int32_t *expert = rt_acts_router_choice(s->acts, layer, &weight);
    for (int64_t j = 0; j < k; j++) {
        int64_t found = 0;
        while (found < k && expert[row * k + found] != want[j]) {
            found++;
        }
        if (found == k || !(fabs((double)weight[row * k + found] - (double)want_weight[j]) <= 1e-4)) {
            fail_msg("%s: layer %d, row %d: expert %d is not chosen with weight %g", s->f.c->name, layer, (int)row,
                     want[j], (double)want_weight[j]);
        }
    }
}

static void check_router(const run_state *s)
{
    for (int l = 0; l < s->f.m->hp.n_layer; l++) {
        char name[32];
        snprintf(name, sizeof name, "router.%d.logits", l);
        if (golden_find(&s->f, name) != NULL) {
            const float *logits = rt_acts_router_logits(s->acts, l);
            assert_non_null(logits);
            check_rows(s, name, logits, golden_width(&s->f, name));
            for (int64_t i = 0; i < s->f.n_rows; i++) {
                check_router_row(s, l, i);
            }
        }
    }
}

/* The gradient of a tensor as files publish it, which may be a stack of parameters; NULL: there is none. The caller
 * frees. *frozen: what is stored so coarsely is not trained, and must have no gradient. */
static float *gradient_of(const run_state *s, const char *name, bool *frozen)
{
    rt_hf_tensor t;
    *frozen = false;
    for (size_t i = 0; i < s->f.m->n_params; i++) {
        if (rt_hf_tensor_of(&t, s->f.m, &s->f.m->params[i]) && strcmp(t.name, name) == 0) {
            float *out = rt_malloc((size_t)t.n * sizeof(float));
            rt_hf_tensor_values(&t, s->f.m, s->grads, out);
            *frozen = t.p->frozen;
            for (int64_t j = 0; *frozen && j < t.n; j++) {
                assert_true(out[j] == 0.0f);
            }
            return out;
        }
    }
    return NULL;
}

/* Gradients of every parameter as a file has them: in units of a power of two where it holds half precision. */
static double full_error(const run_state *s, const rt_tensor_info *t, const char *exponent, const float *got)
{
    const int64_t n = (int64_t)rt_tensor_info_elements(t);
    const double unit = exponent != NULL ? ldexp(1.0, atoi(exponent)) : 1.0;
    float *want = rt_malloc((size_t)n * sizeof(float));
    rt_decode(t->dtype, t->data, want, n);
    double diff = 0, norm = 0, worst = 0, peak = 0;
    for (int64_t j = 0; j < n; j++) {
        const double w = want[j] * unit, g = got != NULL ? got[j] : 0;
        diff += (g - w) * (g - w);
        norm += w * w;
        worst = worse(worst, fabs(g - w));
        peak = fmax(peak, fabs(w));
    }
    rt_free(want);
    const double rounding = exponent != NULL ? 5e-4 * peak : 0;
    if (!(sqrt(diff) <= 1e-3 * sqrt(norm) + 1e-12) || !(worst <= 1e-4 * fmax(1.0, peak) + rounding)) {
        fail_msg("%s %s: relative error %g, worst %g of %g", s->f.c->name, t->name, sqrt(diff / norm), worst, peak);
    }
    return norm > 0 ? sqrt(diff / norm) : 0;
}

static double check_full(const run_state *s, const char *path)
{
    rt_err err = {0};
    rt_safetensors *ref;
    double worst = 0;
    assert_ok(rt_safetensors_open(&ref, path, &err));
    for (size_t i = 0; i < rt_safetensors_n(ref); i++) {
        const rt_tensor_info *t = rt_safetensors_at(ref, i);
        bool frozen;
        float *got = gradient_of(s, t->name, &frozen); /* none counts as zero */
        worst = frozen ? worst : worse(worst, full_error(s, t, rt_safetensors_meta(ref, t->name), got));
        rt_free(got);
    }
    for (size_t i = 0; i < s->f.m->n_params; i++) {
        const rt_param *p = &s->f.m->params[i];
        rt_hf_tensor t;
        const bool absent = rt_hf_tensor_of(&t, s->f.m, p) && rt_safetensors_find(ref, t.name) == NULL;
        for (int64_t j = 0; absent && j < p->n; j++) {
            assert_true(s->grads[p->offset + j] == 0.0f);
        }
    }
    rt_safetensors_close(ref);
    return worst;
}

/* The error of a gradient of norm `norm` as its sketch estimates it. */
static double sketched_error(const run_state *s, const hashed_tensor *t, const float *want, double norm)
{
    bool frozen;
    float *got = gradient_of(s, t->name, &frozen);
    const uint64_t key = hashed_key("sign/", t->name, "");
    double sketch[HASHED_PROJECTIONS] = {0}, sum = 0;
    for (int64_t i = 0; got != NULL && i < t->n; i++) {
        hashed_sketch(sketch, key, t->n, i, got[i]);
    }
    rt_free(got);
    if (frozen) {
        return 0;
    }
    for (int j = 0; j < HASHED_PROJECTIONS; j++) {
        sum += (sketch[j] - want[j]) * (sketch[j] - want[j]);
    }
    const double error = sqrt(sum / (t->n > HASHED_PROJECTIONS ? HASHED_PROJECTIONS : 1));
    if (!(error <= 1e-3 * norm + 1e-12)) {
        fail_msg("%s %s: relative error %g", s->f.c->name, t->name, error / norm);
    }
    return norm > 0 ? error / norm : 0;
}

static double check_sketches(const run_state *s, const char *kind)
{
    char name[32];
    const size_t n = json_array_size(json_object_get(s->f.hashed, "tensors"));
    double worst = 0;
    snprintf(name, sizeof name, "sketch_%s", kind);
    const float *sketch = golden_f32(&s->f, name, (int64_t)n * HASHED_PROJECTIONS);
    snprintf(name, sizeof name, "norm_%s", kind);
    const float *norm = golden_f32(&s->f, name, (int64_t)n);
    for (size_t i = 0; i < n; i++) {
        const hashed_tensor t = hashed_tensor_at(s->f.hashed, i);
        worst = worse(worst, sketched_error(s, &t, sketch + i * HASHED_PROJECTIONS, (double)norm[i]));
    }
    return worst;
}

static void forward_equals_transformers(void **state)
{
    const golden_case *c = *state;
    run_state s = {0};
    run(&s, c, OBJECTIVE_NONE);
    check_rows(&s, "logits", s.log.logits, s.f.m->hp.n_vocab);
    print_message("%s: logits within %.1e\n", c->name,
                  rows_difference(&s.f, "logits", s.log.logits, s.f.m->hp.n_vocab));
    check_hidden(&s);
    check_router(&s);
    run_release(&s);
}

/* One pass over prompt and answer: every greedy token is the likeliest after those before it. */
static void greedy_tokens_equal_transformers(void **state)
{
    run_state s = {0};
    run(&s, *state, OBJECTIVE_NONE);
    const int64_t t = s.f.t, v = s.f.m->hp.n_vocab;
    const int32_t *ids = golden_data(&s.f, "greedy_ids", RT_I32, t);
    const int32_t prompt = *(const int32_t *)golden_data(&s.f, "greedy_prompt_len", RT_I32, 1);
    s.f.batch.ids = ids;
    s.f.batch.n_rows = t;
    s.f.batch.n_spans = 1;
    rt_net_forward(s.f.m, s.acts, &s.f.batch);
    rt_head_run(s.head,
                &(rt_head_sweep){.model = s.f.m, .x = rt_acts_x(s.acts), .n_rows = t, .visit = visit, .ud = &s.log});
    for (int64_t i = prompt; i < t; i++) {
        const float *row = s.log.logits + (i - 1) * v;
        int32_t best = 0;
        for (int32_t j = 1; j < v; j++) {
            best = row[j] > row[best] ? j : best;
        }
        assert_int_equal(best, ids[i]);
    }
    run_release(&s);
}

static void check_objective(const golden_case *c, objective goal, const char *loss, double scale, int left_out)
{
    const char *kind = goal == OBJECTIVE_CE ? "ce" : "kl";
    char path[700];
    run_state s = {0};
    run(&s, c, goal);
    const double value = scale * mean_value(&s, (double)(s.f.batch.n_rows - left_out));
    assert_true(fabs(value - (double)golden_f32(&s.f, loss, 1)[0]) <= 2e-5);
    snprintf(path, sizeof path, "%s/grads_%s.safetensors", c->gradients, kind);
    const bool full = rt_path_exists(path);
    if (s.grads != NULL && (full || s.f.hashed != NULL)) {
        const double worst = full ? check_full(&s, path) : check_sketches(&s, kind);
        print_message("%s: gradients of %s within %.1e\n", c->name, loss, worst);
    }
    run_release(&s);
}

static void gradient_of_cross_entropy_equals_torch(void **state)
{
    check_objective(*state, OBJECTIVE_CE, "loss_ce", 1.0, 2);
}

static void layers_run_again_give_the_same_gradient(void **state)
{
    run_state kept = {0}, again = {0};
    run(&kept, *state, OBJECTIVE_CE);
    run_in_mode(&again, *state, OBJECTIVE_CE, RT_NET_RECOMPUTE);
    const rt_model *m = kept.f.m;
    const int64_t n = kept.f.batch.n_rows;
    if (kept.grads != NULL) {
        assert_memory_equal(kept.grads, again.grads, (size_t)m->n_elements * sizeof(float));
    }
    assert_true(rt_acts_bytes(m, n, kept.f.t, RT_NET_RECOMPUTE) < rt_acts_bytes(m, n, kept.f.t, RT_NET_TRAIN));
    run_release(&kept);
    run_release(&again);
}

static void gradient_of_forward_kl_equals_torch(void **state)
{
    check_objective(*state, OBJECTIVE_KL, "loss_kl_T2", 4.0, 0);
}

/* The tests' own instrument: a relative error of 1e-3 shows in a sketch as 1e-3 within a third. */
static void sketch_estimates_the_error_of_a_gradient(void **state)
{
    (void)state;
    enum { N = 6000, TRIALS = 20 };
    for (int trial = 0; trial < TRIALS; trial++) {
        rt_rng rng = rt_rng_init(11, "sketch", (uint64_t)trial);
        double sketch[HASHED_PROJECTIONS] = {0}, norm = 0, estimate = 0;
        for (int i = 0; i < N; i++) {
            const double error = 1e-3 * rt_rng_normal(&rng);
            norm += error * error;
            hashed_sketch(sketch, hashed_key("sign/", "a gradient", ""), N, i, error);
        }
        for (int j = 0; j < HASHED_PROJECTIONS; j++) {
            estimate += sketch[j] * sketch[j] / HASHED_PROJECTIONS;
        }
        assert_true(fabs(sqrt(estimate / norm) - 1.0) <= 1.0 / 3);
    }
}

/* --- every test of every case ---------------------------------------------------------------------------------- */

static int add_tests(struct CMUnitTest *tests, golden_case *c)
{
    const struct CMUnitTest all[TESTS_A_CASE] = {
        cmocka_unit_test_prestate(forward_equals_transformers, c),
        cmocka_unit_test_prestate(greedy_tokens_equal_transformers, c),
        cmocka_unit_test_prestate(gradient_of_cross_entropy_equals_torch, c),
        cmocka_unit_test_prestate(layers_run_again_give_the_same_gradient, c),
        cmocka_unit_test_prestate(gradient_of_forward_kl_equals_torch, c),
    };
    const int n = TESTS_A_CASE - !has_kl(c);
    for (int i = 0; i < n; i++) {
        snprintf(c->titles[i], sizeof c->titles[i], "%s: %s", c->name, all[i].name);
        tests[i] = all[i];
        tests[i].name = c->titles[i];
    }
    return n;
}

int main(void)
{
    static case_list list;
    static struct CMUnitTest tests[TESTS_A_CASE * MAX_CASES + 1] = {
        cmocka_unit_test(sketch_estimates_the_error_of_a_gradient)};
    golden_cases(&list);
    int n = 1;
    for (int i = 0; i < list.n; i++) {
        n += add_tests(tests + n, &list.cases[i]);
    }
    printf("isa: %s, %d models\n", rt_isa_name(rt_cpu_get()->isa), list.n);
    return list.n == 0 || _cmocka_run_group_tests("model_golden", tests, (size_t)n, NULL, NULL) != 0;
}
