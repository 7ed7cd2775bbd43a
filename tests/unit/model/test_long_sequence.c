/* A sequence longer than attention takes at once, forward (1,024 queries) and backward (512 keys): its states are those
 * of the same rows a few at a time behind a timeline, its gradients those of differences. */
#include <math.h>
#include <string.h>

#include "model/models.h"
#include "model/net.h"
#include "rt_test.h"
#include "small_model.h"

enum { N_ROWS = 1300, N_VOCAB = 97, D = 64, FEW = 130, WINDOW = 700 };

static rt_err err;

/* Random, every layer's rows looking far back; of gemma3 the first layer WINDOW rows. */
static rt_model *new_model(const char *arch)
{
    const rt_arch *a = rt_arch_by_gguf(arch);
    const rt_model_options o = {.precision = RT_PRECISION_F32, .trainable = true};
    rt_hparams hp = small_hparams(a, 2, D, 4);
    rt_model *zero, *m;
    hp.n_vocab = N_VOCAB;
    hp.n_ctx = N_ROWS;
    hp.window = WINDOW;
    hp.layer_sliding[0] = a->local_rotary;
    assert_ok(rt_model_new(&zero, a, &hp, &o, &err));
    assert_ok(rt_model_random(&m, zero, &(rt_shape){0}, 3, &o, &err));
    for (int64_t i = 0; i < m->n_elements; i++) {
        m->weights[i] *= 4;
    }
    rt_model_close(zero);
    return m;
}

/* The loss is the sum of the last states, weighed at random. */
typedef struct pass {
    int32_t ids[N_ROWS];
    float weigh[N_ROWS * D], x[N_ROWS * D];
    float *grads;
} pass;

static pass *new_pass(const rt_model *m)
{
    pass *p = calloc(1, sizeof *p);
    rt_rng r = rt_rng_init(2, "long sequence", 0);
    for (int i = 0; i < N_ROWS; i++) {
        p->ids[i] = (int32_t)rt_rng_below(&r, N_VOCAB);
    }
    for (int i = 0; i < N_ROWS * D; i++) {
        p->weigh[i] = (float)rt_rng_normal(&r);
    }
    p->grads = calloc((size_t)m->n_elements, sizeof(float));
    return p;
}

static void free_pass(pass *p)
{
    free(p->grads);
    free(p);
}

static double run(pass *p, const rt_model *m, bool gradients)
{
    const rt_span span = {.n = N_ROWS};
    const rt_batch b = {.ids = p->ids, .n_rows = N_ROWS, .spans = &span, .n_spans = 1};
    rt_acts *acts;
    double loss = 0;
    assert_ok(rt_acts_new(&acts, m, N_ROWS, N_ROWS, gradients ? RT_NET_TRAIN : RT_NET_FORWARD, &err));
    rt_net_forward(m, acts, &b);
    memcpy(p->x, rt_acts_x(acts), sizeof p->x);
    for (int i = 0; i < N_ROWS * D; i++) {
        loss += (double)p->weigh[i] * (double)p->x[i];
    }
    if (gradients) {
        float *dx = malloc(sizeof p->weigh);
        memcpy(dx, p->weigh, sizeof p->weigh);
        memset(p->grads, 0, (size_t)m->n_elements * sizeof(float));
        rt_net_backward(m, p->grads, acts, &b, dx);
        free(dx);
    }
    rt_acts_free(acts);
    return loss;
}

/* |a - b| / |b| */
static double distance(const float *a, const float *b, int64_t n)
{
    double apart = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        apart += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        size += (double)b[i] * (double)b[i];
    }
    return sqrt(apart / size);
}

static void run_few_at_a_time(const rt_model *m, const int32_t *ids, float *x)
{
    rt_acts *acts;
    float *layers[2];
    rt_kv kv = {.cap = N_ROWS, .layer = layers};
    for (int l = 0; l < 2; l++) {
        layers[l] = calloc((size_t)rt_net_memory(m, l, N_ROWS), sizeof(float));
    }
    assert_ok(rt_acts_new(&acts, m, FEW, N_ROWS, RT_NET_FORWARD, &err));
    for (int64_t row = 0; row < N_ROWS; row += FEW) {
        const rt_span span = {.n = FEW, .kv = &kv};
        rt_net_forward(m, acts, &(rt_batch){.ids = ids + row, .n_rows = FEW, .spans = &span, .n_spans = 1});
        memcpy(x + row * D, rt_acts_x(acts), FEW * D * sizeof(float));
    }
    rt_acts_free(acts);
    free(layers[0]);
    free(layers[1]);
}

/* Along the gradient by one parameter, to both sides: the loss rises by the square of its length. */
static double slope_error(pass *p, rt_model *m, const rt_param *w)
{
    const float *g = p->grads + w->offset;
    float *own = malloc((size_t)w->n * sizeof *own);
    double g2 = 0, w2 = 0, loss[2];
    memcpy(own, w->w, (size_t)w->n * sizeof *own);
    for (int64_t i = 0; i < w->n; i++) {
        g2 += (double)g[i] * (double)g[i];
        w2 += (double)own[i] * (double)own[i];
    }
    const double step = 1e-3 * sqrt(w2 / g2);
    for (int side = 0; side < 2; side++) {
        for (int64_t i = 0; i < w->n; i++) {
            w->w[i] = own[i] + (float)((side == 0 ? step : -step) * (double)g[i]);
        }
        loss[side] = run(p, m, false);
    }
    memcpy(w->w, own, (size_t)w->n * sizeof *own);
    free(own);
    return fabs((loss[0] - loss[1]) / (2 * step * g2) - 1);
}

static void a_long_sequence_is_computed_as_its_rows_are(void **state)
{
    rt_model *m = new_model(*state);
    pass *p = new_pass(m);
    float *few = malloc(sizeof p->x);
    run(p, m, false);
    run_few_at_a_time(m, p->ids, few);
    assert_true(distance(p->x, few, N_ROWS * D) < 1e-5);
    free(few);
    free_pass(p);
    rt_model_close(m);
}

/* Differences are good to 0.2 %; without the farthest squares of queries and keys 0.7 % to 9 % are lacking. */
static void its_gradients_are_those_of_differences(void **state)
{
    rt_model *m = new_model(*state);
    pass *p = new_pass(m);
    run(p, m, true);
    for (size_t i = 0; i < m->n_params; i++) {
        const rt_role role = m->params[i].role;
        if (role == RT_ROLE_ATTN_Q || role == RT_ROLE_ATTN_K || role == RT_ROLE_ATTN_V) {
            assert_true(slope_error(p, m, &m->params[i]) < 0.004);
        }
    }
    free_pass(p);
    rt_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define EACH(test) cmocka_unit_test_prestate(test, "llama"), cmocka_unit_test_prestate(test, "gemma3")
        EACH(a_long_sequence_is_computed_as_its_rows_are),
        EACH(its_gradients_are_those_of_differences),
    };
    return cmocka_run_group_tests_name("long sequence", tests, NULL, NULL);
}
