/* The engine equals transformers on small models of every architecture: logits, hidden states, router choices, losses,
 * greedy tokens and the gradient of every parameter, in f32, within the bounds of tests/golden/README.md. What a case
 * checks is what its golden file holds. RETORT_GOLDEN_MODELS=DIR runs the folders in DIR, or DIR itself where it is a
 * model, in place of the cases kept here. */
#include "model_fixture.h"

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
        const float *teacher = golden_f32(s->f, "teacher_logits", 2 * t * v);
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

static void run(run_state *s, const golden_case *c, objective goal)
{
    rt_err err = {0};
    fixture_open(&s->f, c);
    const rt_model *m = s->f.m;
    const int64_t n = s->f.batch.n_rows, v = m->hp.n_vocab, d = m->hp.d_model;
    const bool gradients = goal != OBJECTIVE_NONE && m->trainable;
    assert_true(n <= (int64_t)(sizeof s->log.value / sizeof s->log.value[0]));
    assert_ok(rt_acts_new(&s->acts, m, n, s->f.t, m->trainable ? RT_NET_TRAIN : RT_NET_FORWARD, &err));
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
    const int64_t width = golden_width(&s->f, "hidden.0");
    float *x = rt_calloc((size_t)(s->f.batch.n_rows * width), sizeof(float));
    char name[32];
    for (int l = 0; l < m->hp.n_layer; l++) {
        if (l == 0) {
            rt_net_embed(m, &s->f.batch, x);
        } else if (!m->trainable) { /* such a run keeps no inputs of layers */
            rt_net_layer(m, s->acts, &s->f.batch, l - 1, x);
        }
        snprintf(name, sizeof name, "hidden.%d", l);
        check_rows(s, name, m->trainable ? rt_acts_layer_input(s->acts, l) : x, width);
    }
    rt_free(x);
    snprintf(name, sizeof name, "hidden.%d", (int)m->hp.n_layer);
    check_rows(s, name, s->log.hidden, m->hp.d_model);
}

static void check_router_row(const run_state *s, int layer, int64_t i)
{
    const int64_t k = s->f.m->hp.n_expert_used, row = kept_row(&s->f, i);
    char name[32];
    snprintf(name, sizeof name, "router.%d.experts", layer);
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
    for (int l = 0; s->f.m->trainable && l < s->f.m->hp.n_layer; l++) {
        char name[32];
        snprintf(name, sizeof name, "router.%d.logits", l);
        if (golden_find(&s->f, name) != NULL) {
            const float *logits = rt_acts_router_logits(s->acts, l);
            assert_non_null(logits);
            check_rows(s, name, logits, s->f.m->hp.n_expert);
            for (int64_t i = 0; i < s->f.n_rows; i++) {
                check_router_row(s, l, i);
            }
        }
    }
}

/* How far a gradient is from the file's; fails beyond the bounds. A tensor without gradient counts as zero. */
static double gradient_error(const run_state *s, const char *name, const float *got, const rt_safetensors *ref)
{
    const rt_tensor_info *t = rt_safetensors_find(ref, name);
    const int64_t n = (int64_t)rt_tensor_info_elements(t);
    const char *exponent = rt_safetensors_meta(ref, name);
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
        fail_msg("%s %s: relative error %g, worst %g of %g", s->f.c->name, name, sqrt(diff / norm), worst, peak);
    }
    return norm > 0 ? sqrt(diff / norm) : 0;
}

/* Every gradient of the file equals the engine's, and what is not in the file has none. */
static double check_gradients(const run_state *s, const char *path)
{
    rt_err err = {0};
    rt_safetensors *ref;
    double worst = 0;
    assert_ok(rt_safetensors_open(&ref, path, &err));
    for (size_t i = 0; i < rt_safetensors_n(ref); i++) {
        const char *name = rt_safetensors_at(ref, i)->name;
        const rt_param *p = rt_model_find(s->f.m, name);
        worst = worse(worst, gradient_error(s, name, p != NULL ? s->grads + p->offset : NULL, ref));
    }
    for (size_t i = 0; i < s->f.m->n_params; i++) {
        const rt_param *p = &s->f.m->params[i];
        for (int64_t j = 0; rt_safetensors_find(ref, p->name) == NULL && j < p->n; j++) {
            assert_true(s->grads[p->offset + j] == 0.0f);
        }
    }
    rt_safetensors_close(ref);
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

static void check_objective(const golden_case *c, objective goal, const char *loss, double scale, int left_out,
                            const char *file)
{
    char path[600];
    run_state s = {0};
    run(&s, c, goal);
    const double value = scale * mean_value(&s, (double)(s.f.batch.n_rows - left_out));
    assert_true(fabs(value - (double)golden_f32(&s.f, loss, 1)[0]) <= 2e-5);
    snprintf(path, sizeof path, "%s/%s.safetensors", c->folder, file);
    if (s.grads != NULL && rt_path_exists(path)) {
        print_message("%s: %s within %.1e\n", c->name, file, check_gradients(&s, path));
    }
    run_release(&s);
}

static void gradient_of_cross_entropy_equals_torch(void **state)
{
    check_objective(*state, OBJECTIVE_CE, "loss_ce", 1.0, 2, "grads_ce");
}

static void gradient_of_forward_kl_equals_torch(void **state)
{
    check_objective(*state, OBJECTIVE_KL, "loss_kl_T2", 4.0, 0, "grads_kl");
}

/* --- the cases ------------------------------------------------------------------------------------------------ */

enum { MAX_CASES = 64 };

typedef struct case_list {
    golden_case cases[MAX_CASES];
    int n;
} case_list;

static void add_case(case_list *l, const char *weights, const char *folder)
{
    if (l->n == MAX_CASES) {
        fail_msg("more than %d cases", MAX_CASES);
    }
    golden_case *c = &l->cases[l->n++];
    snprintf(c->name, sizeof c->name, "%s", rt_path_base(folder));
    snprintf(c->folder, sizeof c->folder, "%s", folder);
    snprintf(c->weights, sizeof c->weights, "%s", weights);
}

/* A folder with golden.safetensors is a case, and one more where it has the weights as MXFP4 too. */
static bool add_folder(case_list *l, const char *folder)
{
    char path[600];
    snprintf(path, sizeof path, "%s/golden.safetensors", folder);
    if (!rt_path_exists(path)) {
        return false;
    }
    add_case(l, folder, folder);
    snprintf(path, sizeof path, "%s/model_mxfp4.safetensors", folder);
    if (rt_path_exists(path)) {
        add_case(l, path, folder);
        snprintf(l->cases[l->n - 1].name, sizeof l->cases->name, "%s (mxfp4)", rt_path_base(folder));
    }
    return true;
}

static void add_folders(case_list *l, const char *dir)
{
    rt_err err = {0};
    char **names, path[500];
    size_t n;
    assert_ok(rt_dir_names(dir, &names, &n, &err));
    for (size_t i = 0; i < n; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        (void)add_folder(l, path);
    }
    rt_dir_names_free(names, n);
}

static void add_kept(case_list *l)
{
    add_case(l, RT_TEST_GOLDEN "/models/llama", RT_TEST_GOLDEN "/models/llama");
    add_case(l, RT_TEST_GOLDEN "/gguf/llama3_rope.gguf", RT_TEST_GOLDEN "/models/llama3_rope");
    add_case(l, RT_TEST_GOLDEN "/models/qwen3", RT_TEST_GOLDEN "/models/qwen3");
    add_case(l, RT_TEST_GOLDEN "/models/qwen3_moe", RT_TEST_GOLDEN "/models/qwen3_moe");
    add_case(l, RT_TEST_GOLDEN "/models/gemma3_text", RT_TEST_GOLDEN "/models/gemma3_text");
}

static bool has_kl(const golden_case *c)
{
    rt_err err = {0};
    rt_safetensors *golden = NULL;
    char path[600];
    snprintf(path, sizeof path, "%s/golden.safetensors", c->folder);
    const bool opened = rt_safetensors_open(&golden, path, &err) == RT_OK;
    const bool found = opened && rt_safetensors_find(golden, "loss_kl_T2") != NULL;
    rt_safetensors_close(golden);
    return found;
}

static int add_tests(struct CMUnitTest *tests, golden_case *c)
{
    const struct CMUnitTest all[TESTS_A_CASE] = {
        cmocka_unit_test_prestate(forward_equals_transformers, c),
        cmocka_unit_test_prestate(greedy_tokens_equal_transformers, c),
        cmocka_unit_test_prestate(gradient_of_cross_entropy_equals_torch, c),
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
    static struct CMUnitTest tests[TESTS_A_CASE * MAX_CASES];
    const char *dir = getenv("RETORT_GOLDEN_MODELS");
    if (dir == NULL || *dir == '\0') {
        add_kept(&list);
    } else if (!add_folder(&list, dir)) {
        add_folders(&list, dir);
    }
    int n = 0;
    for (int i = 0; i < list.n; i++) {
        n += add_tests(tests + n, &list.cases[i]);
    }
    printf("isa: %s, %d models\n", rt_isa_name(rt_cpu_get()->isa), list.n);
    return list.n == 0 || _cmocka_run_group_tests("model_golden", tests, (size_t)n, NULL, NULL) != 0;
}
