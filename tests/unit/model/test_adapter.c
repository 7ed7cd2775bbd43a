/* Low-rank pairs: an adapted model begins as it was, its gradients are those of its loss, merging changes nothing. */
#include "model/adapter.h"

#include <math.h>
#include <string.h>

#include "rt_test.h"
#include "small_model.h"

enum { N_VOCAB = 97, N_ROWS = 300 }; /* more than the rows of one round of products */

static const rt_model_options frozen = {.precision = RT_PRECISION_F32};
static const rt_model_options trainable = {.precision = RT_PRECISION_F32, .trainable = true};
static const char *const archs[] = {"llama", "qwen2", "gemma3"};
#define EACH_ARCH(name) for (const char *const *name = archs; name < archs + sizeof archs / sizeof *archs; name++)
static rt_err err;

/* Random weights, saved and opened as the file of a model that is not trained. */
static rt_model *toy(const char *arch, const char *dir, const rt_model_options *o)
{
    const rt_arch *a = rt_arch_by_gguf(arch);
    rt_hparams hp = small_hparams(a, 2, 64, 4);
    hp.n_vocab = N_VOCAB;
    hp.n_ctx = N_ROWS;
    char *path = rt_path_join(dir, "m.gguf");
    rt_model *zero = NULL, *m = NULL, *back = NULL;
    assert_ok(rt_model_new(&zero, a, &hp, &trainable, &err));
    assert_ok(rt_model_random(&m, zero, &(rt_shape){0}, 3, &trainable, &err));
    for (int64_t i = 0; i < m->n_elements; i++) {
        m->weights[i] *= 4; /* logits with an opinion */
    }
    assert_ok(rt_model_save_gguf(m, path, RT_F32, NULL, NULL, &err));
    assert_ok(rt_model_open(&back, path, o, &err));
    rt_model_close(zero);
    rt_model_close(m);
    rt_free(path);
    return back;
}

typedef struct pass {
    int32_t ids[N_ROWS], labels[N_ROWS];
    rt_span span;
    rt_batch batch;
    float logits[N_ROWS * N_VOCAB];
    double nll[N_ROWS];
    bool gradient;
} pass;

static void visit(void *ud, const rt_head_row *row)
{
    pass *p = ud;
    float *z = row->logits;
    memcpy(p->logits + row->index * N_VOCAB, z, N_VOCAB * sizeof(float));
    double most = -INFINITY, sum = 0;
    for (int i = 0; i < N_VOCAB; i++) {
        most = fmax(most, (double)z[i]);
    }
    for (int i = 0; i < N_VOCAB; i++) {
        sum += exp((double)z[i] - most);
    }
    const int32_t label = p->labels[row->index];
    p->nll[row->index] = most + log(sum) - (double)z[label];
    for (int i = 0; i < N_VOCAB && p->gradient; i++) {
        z[i] = (float)(exp((double)z[i] - most) / sum - (i == label ? 1.0 : 0.0));
    }
}

static void pass_init(pass *p, int64_t n)
{
    rt_rng r = rt_rng_init(2, "adapter", 0);
    for (int i = 0; i < N_ROWS; i++) {
        p->ids[i] = (int32_t)rt_rng_below(&r, N_VOCAB);
        p->labels[i] = (int32_t)rt_rng_below(&r, N_VOCAB);
    }
    p->span = (rt_span){.n = n};
    p->batch = (rt_batch){.ids = p->ids, .n_rows = n, .spans = &p->span, .n_spans = 1};
}

/* Sum of -log p; gradients added to `grads` unless NULL. */
static double run(pass *p, const rt_model *m, rt_net_mode mode, float *grads)
{
    rt_acts *acts = NULL;
    rt_head *head = NULL;
    float *dx = NULL;
    double sum = 0;
    p->gradient = grads != NULL;
    const int64_t n = p->batch.n_rows;
    assert_ok(rt_acts_new(&acts, m, n, n, mode, &err));
    assert_ok(rt_head_new(&head, m, NULL, grads != NULL, &err));
    assert_ok(RT_NEW(&dx, (size_t)(n * m->hp.d_model), "gradients", &err));
    rt_net_forward(m, acts, &p->batch);
    rt_head_run(head, &(rt_head_sweep){.model = m,
                                       .x = rt_acts_x(acts),
                                       .n_rows = n,
                                       .mode = mode,
                                       .visit = visit,
                                       .ud = p,
                                       .dx = grads != NULL ? dx : NULL,
                                       .grads = grads});
    if (grads != NULL) {
        rt_net_backward(m, grads, acts, &p->batch, dx);
    }
    for (int64_t i = 0; i < n; i++) {
        sum += p->nll[i];
    }
    rt_free(dx);
    rt_head_free(head);
    rt_acts_free(acts);
    return sum;
}

static void adapt(rt_model *m, bool moved)
{
    rt_adapter_options o;
    assert_ok(rt_adapter_parse(&o, "rank=4,alpha=6", &err));
    assert_ok(rt_model_adapt(m, &o, &err));
    for (size_t i = 0; moved && i < m->n_params; i++) {
        rt_rng r = rt_rng_init(8, m->params[i].name, 0);
        for (int64_t k = 0; m->params[i].is_low_rank && k < m->params[i].n; k++) {
            m->params[i].w[k] += (float)(0.1 * rt_rng_normal(&r));
        }
    }
}

static double difference(const pass *a, const pass *b, int64_t n)
{
    double worst = 0;
    for (int64_t i = 0; i < n * N_VOCAB; i++) {
        worst = fmax(worst, fabs((double)a->logits[i] - (double)b->logits[i]));
    }
    return worst;
}

static void an_adapted_model_begins_as_the_model_it_was(void **state)
{
    (void)state;
    char *dir = rt_test_scratch();
    static pass a, b;
    EACH_ARCH(name)
    {
        rt_model *m = toy(*name, dir, &frozen);
        const int64_t whole = m->n_elements;
        pass_init(&a, N_ROWS);
        pass_init(&b, N_ROWS);
        (void)run(&a, m, RT_NET_FORWARD, NULL);
        adapt(m, false);
        assert_true(m->n_elements < whole / 2);
        (void)run(&b, m, RT_NET_FORWARD, NULL);
        assert_true(difference(&a, &b, N_ROWS) == 0);
        rt_model_close(m);
    }
    rt_test_scratch_drop(dir);
}

static void merging_and_decoding_give_the_same_logits(void **state)
{
    (void)state;
    char *dir = rt_test_scratch();
    static pass a, b;
    EACH_ARCH(name)
    {
        rt_model *m = toy(*name, dir, &frozen), *plain = toy(*name, dir, &trainable);
        adapt(m, true);
        pass_init(&a, N_ROWS);
        pass_init(&b, N_ROWS);
        (void)run(&a, m, RT_NET_FORWARD, NULL);
        (void)run(&b, plain, RT_NET_FORWARD, NULL);
        assert_true(difference(&a, &b, N_ROWS) > 0.1);
        rt_adapter_merge(plain, m);
        (void)run(&b, plain, RT_NET_FORWARD, NULL);
        assert_true(difference(&a, &b, N_ROWS) < 1e-3);
        pass_init(&b, 5);
        pass_init(&a, 5);
        (void)run(&a, m, RT_NET_FORWARD, NULL);
        (void)run(&b, m, RT_NET_ROWS, NULL);
        assert_true(difference(&a, &b, 5) < 1e-3);
        rt_model_close(m);
        rt_model_close(plain);
    }
    rt_test_scratch_drop(dir);
}

/* Along the gradient of each A and each B by itself the loss changes by its length squared. */
static void gradients_are_those_of_the_loss(void **state)
{
    (void)state;
    char *dir = rt_test_scratch();
    static pass p;
    EACH_ARCH(name)
    {
        rt_model *m = toy(*name, dir, &frozen);
        float *grads = NULL;
        adapt(m, true);
        pass_init(&p, N_ROWS);
        assert_ok(RT_NEW(&grads, (size_t)m->n_elements, "gradients", &err));
        (void)run(&p, m, RT_NET_TRAIN, grads);
        for (size_t i = 0; i < m->n_params; i++) {
            const rt_param *q = &m->params[i];
            if (!q->is_low_rank) {
                assert_true(q->frozen);
                continue;
            }
            const float *g = grads + q->offset;
            double square = 0, loss[2];
            for (int64_t k = 0; k < q->n; k++) {
                square += (double)g[k] * (double)g[k];
            }
            assert_true(square > 0);
            const double step = 0.5 / square; /* the loss changes by half a nat */
            for (int s = 0; s < 2; s++) {
                for (int64_t k = 0; k < q->n; k++) {
                    q->w[k] += (float)((s == 0 ? step : -2 * step) * (double)g[k]);
                }
                loss[s] = run(&p, m, RT_NET_FORWARD, NULL);
            }
            for (int64_t k = 0; k < q->n; k++) {
                q->w[k] += (float)(step * (double)g[k]);
            }
            const double slope = (loss[0] - loss[1]) / (2 * step);
            if (!(fabs(slope / square - 1) < 5e-3)) {
                fail_msg("%s %s: slope %g, gradient says %g", *name, q->name, slope, square);
            }
        }
        rt_free(grads);
        rt_model_close(m);
    }
    rt_test_scratch_drop(dir);
}

static void peft_finds_its_names(void **state)
{
    (void)state;
    char *dir = rt_test_scratch(), *weights = rt_path_join(dir, "a/adapter_model.safetensors");
    char *config = rt_path_join(dir, "a/adapter_config.json"), *folder = rt_path_join(dir, "a");
    rt_adapter_options o;
    rt_safetensors *s = NULL;
    json_t *j = NULL;
    rt_model *m = toy("llama", dir, &frozen);
    assert_ok(rt_adapter_parse(&o, "rank=8,targets=q,down", &err));
    assert_true(o.alpha == 16);
    assert_ok(rt_model_adapt(m, &o, &err));
    assert_ok(rt_adapter_save(m, "org/base", folder, &err));
    assert_ok(rt_safetensors_open(&s, weights, &err));
    assert_int_equal(rt_safetensors_n(s), 2 * 2 * 2);
    const rt_tensor_info *a = rt_safetensors_find(s, "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight");
    const rt_tensor_info *b = rt_safetensors_find(s, "base_model.model.model.layers.0.mlp.down_proj.lora_B.weight");
    assert_non_null(a);
    assert_non_null(b);
    assert_int_equal(a->dims[0], 8);
    assert_int_equal(a->dims[1], 64);
    assert_int_equal(b->dims[0], 64);
    assert_int_equal(b->dims[1], 8);
    assert_ok(rt_json_load(&j, config, &err));
    assert_string_equal(rt_json_str(j, "peft_type", ""), "LORA");
    assert_string_equal(rt_json_str(j, "base_model_name_or_path", ""), "org/base");
    assert_int_equal(rt_json_i64(j, "r", 0), 8);
    assert_int_equal(json_array_size(json_object_get(j, "target_modules")), 2);
    json_decref(j);
    rt_safetensors_close(s);
    rt_model_close(m);
    rt_free(weights);
    rt_free(config);
    rt_free(folder);
    rt_test_scratch_drop(dir);
}

static void what_cannot_be_adapted_is_refused(void **state)
{
    (void)state;
    rt_adapter_options o;
    assert_int_equal(rt_adapter_parse(&o, "rank=0", &err), RT_USAGE);
    assert_says(err.msg, "rank=1..1024");
    assert_int_equal(rt_adapter_parse(&o, "rank=4,targets=q,head", &err), RT_USAGE);
    assert_says(err.msg, "'head' is no matrix that is adapted: q, k, v");
    assert_int_equal(rt_adapter_parse(&o, "dropout=0.1", &err), RT_USAGE);
    char *dir = rt_test_scratch();
    rt_model *m = toy("llama", dir, &frozen);
    m->hp.layer_moe[1] = 1;
    assert_ok(rt_adapter_parse(&o, "rank=4", &err));
    assert_int_equal(rt_model_adapt(m, &o, &err), RT_UNSUPPORTED);
    assert_says(err.msg, "layer 1 of 'llama'");
    rt_model_close(m);
    rt_test_scratch_drop(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_adapted_model_begins_as_the_model_it_was),
        cmocka_unit_test(merging_and_decoding_give_the_same_logits),
        cmocka_unit_test(gradients_are_those_of_the_loss),
        cmocka_unit_test(peft_finds_its_names),
        cmocka_unit_test(what_cannot_be_adapted_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
