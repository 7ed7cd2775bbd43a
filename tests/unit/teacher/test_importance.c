/* Students cut to another shape: what stays is what it was, what goes is what nobody used, and the gains make up for
 * the channels that left. */
#include "teacher/importance.h"

#include <math.h>

#include "model/describe.h"
#include "small_model.h"
#include "unit/teacher/teacher_fixture.h"

enum { N_VOCAB = 320, N_ROWS = 48 };

static const rt_model_options exact = {.precision = RT_PRECISION_F32, .trainable = true};
static const rt_digest some_hash = {{4, 5, 6}};
static rt_err err;

/* A model of an architecture with random weights and gains that are not all the same. */
static rt_model *toy_model(const char *arch, bool tied)
{
    rt_model *shape = NULL, *m = NULL;
    const rt_arch *a = rt_arch_by_gguf(arch);
    rt_hparams hp = small_hparams(a, 3, 128, 6);
    hp.n_vocab = N_VOCAB;
    hp.n_ctx = 64;
    hp.norm_eps = 1e-12; /* of no weight beside embeddings this small */
    hp.tied = tied;
    hp.window = 8;
    if (a->sliding_period != 0) {
        hp.layer_sliding[0] = hp.layer_sliding[2] = 1;
    }
    assert_ok(rt_model_new(&shape, a, &hp, &exact, &err));
    assert_ok(rt_model_random(&m, shape, &(rt_shape){0}, 7, &exact, &err));
    for (size_t i = 0; i < m->n_params; i++) {
        rt_rng r = rt_rng_init(3, m->params[i].name, 0);
        for (int64_t k = 0; m->params[i].n_dims == 1 && k < m->params[i].n; k++) {
            m->params[i].w[k] += (float)(0.3 * rt_rng_normal(&r));
        }
    }
    rt_model_close(shape);
    return m;
}

static void keep_logits(void *ud, const rt_head_row *row)
{
    memcpy((float *)ud + row->index * N_VOCAB, row->logits, N_VOCAB * sizeof(float));
}

/* Of two made-up documents; the caller frees. */
static float *logits_of(const rt_model *m)
{
    int32_t ids[N_ROWS];
    rt_rng r = rt_rng_init(11, "ids", 0);
    for (int i = 0; i < N_ROWS; i++) {
        ids[i] = (int32_t)rt_rng_below(&r, N_VOCAB);
    }
    const rt_span spans[] = {{.row0 = 0, .n = 20}, {.row0 = 20, .n = N_ROWS - 20}};
    const rt_batch b = {.ids = ids, .n_rows = N_ROWS, .spans = spans, .n_spans = 2};
    rt_acts *acts = NULL;
    rt_head *head = NULL;
    float *out = NULL;
    assert_ok(RT_NEW(&out, (size_t)N_ROWS * N_VOCAB, "logits", &err));
    assert_ok(rt_acts_new(&acts, m, N_ROWS, N_ROWS, RT_NET_FORWARD, &err));
    assert_ok(rt_head_new(&head, m, NULL, false, &err));
    rt_net_forward(m, acts, &b);
    rt_head_run(head,
                &(rt_head_sweep){.model = m, .x = rt_acts_x(acts), .n_rows = N_ROWS, .visit = keep_logits, .ud = out});
    rt_head_free(head);
    rt_acts_free(acts);
    return out;
}

static void assert_same_logits(const rt_model *a, const rt_model *b, double tolerance)
{
    float *x = logits_of(a), *y = logits_of(b);
    double largest = 0, worst = 0;
    for (int i = 0; i < N_ROWS * N_VOCAB; i++) {
        largest = fmax(largest, fabs((double)x[i]));
        worst = fmax(worst, fabs((double)x[i] - (double)y[i]));
    }
    assert_true(largest > 0);
    if (!(worst <= tolerance * largest)) {
        fail_msg("%s: logits differ by %g of %g", a->arch->name, worst, largest);
    }
    rt_free(x);
    rt_free(y);
}

static void measure(rt_importance *i, const rt_model *m)
{
    rt_packed p = {0};
    toy_packed(&p, 20, 64, N_VOCAB, false, 5);
    assert_ok(rt_importance_measure(i, m, &some_hash, &p, 512, &err));
    rt_packed_release(&p);
}

/* `m` in a smaller shape by its own importance. */
static rt_model *smaller(const rt_model *m, rt_shape shape)
{
    rt_importance i = {0};
    rt_cut cut;
    void *block = NULL;
    rt_model *out = NULL;
    measure(&i, m);
    assert_ok(rt_shape_settle(&shape, m->arch, &m->hp, &err));
    assert_ok(rt_importance_cut(&cut, &block, &i, m, &shape, NULL, &err));
    assert_ok(rt_model_prune(&out, m, &cut, &exact, &err));
    rt_free(block);
    rt_importance_release(&i);
    return out;
}

static const char *const archs[] = {"llama", "qwen2", "qwen3", "gemma3"};
#define EACH_ARCH(name) for (const char *const *name = archs; name < archs + sizeof archs / sizeof *archs; name++)

static float *row_of(const rt_model *m, int layer, rt_role role, int64_t row)
{
    const rt_param *p = layer < 0 ? m->embed : m->layers[layer].p[role];
    return m->weights + p->offset + row * p->dims[1];
}

static void the_full_shape_is_the_teacher_bit_for_bit(void **state)
{
    (void)state;
    EACH_ARCH(name)
    {
        rt_model *m = toy_model(*name, true), *same = smaller(m, (rt_shape){0});
        assert_int_equal(same->n_elements, m->n_elements);
        assert_memory_equal(same->weights, m->weights, (size_t)m->n_elements * sizeof(float));
        rt_model_close(m);
        rt_model_close(same);
    }
}

/* Nothing is read from them or written to them: embedding columns and the rows that write into the stream are 0. */
static void channels_that_are_zero_everywhere_leave_without_a_trace(void **state)
{
    (void)state;
    for (int tied = 0; tied < 2; tied++) {
        EACH_ARCH(name)
        {
            rt_model *m = toy_model(*name, tied != 0 || strcmp(*name, "gemma3") == 0);
            for (int64_t c = 1; c < m->hp.d_model; c += 4) {
                for (int64_t v = 0; v < N_VOCAB; v++) {
                    row_of(m, -1, RT_ROLE_EMBED, v)[c] = 0;
                }
                for (int l = 0; l < m->hp.n_layer; l++) {
                    memset(row_of(m, l, RT_ROLE_ATTN_OUT, c), 0, (size_t)(m->hp.n_head * 16) * sizeof(float));
                    memset(row_of(m, l, RT_ROLE_FFN_DOWN, c), 0, (size_t)m->hp.d_ff * sizeof(float));
                }
            }
            rt_model *cut = smaller(m, (rt_shape){.hidden = 96});
            assert_int_equal(cut->hp.d_model, 96);
            assert_int_equal(cut->hp.head_dim, 16);
            assert_same_logits(m, cut, 2e-5);
            rt_model_close(m);
            rt_model_close(cut);
        }
    }
}

static void neurons_and_heads_that_say_nothing_leave_without_a_trace(void **state)
{
    (void)state;
    EACH_ARCH(name)
    {
        rt_model *m = toy_model(*name, true);
        for (int l = 0; l < m->hp.n_layer; l++) {
            const int64_t head = (l + 1) % 3; /* another one in every layer */
            for (int64_t n = 5 * l; n < 5 * l + 32; n++) {
                memset(row_of(m, l, RT_ROLE_FFN_UP, n), 0, (size_t)m->hp.d_model * sizeof(float));
            }
            for (int64_t n = head * 16; n < head * 16 + 16; n++) {
                memset(row_of(m, l, RT_ROLE_ATTN_V, n), 0, (size_t)m->hp.d_model * sizeof(float));
                const rt_param *bias = m->layers[l].p[RT_ROLE_ATTN_V_BIAS];
                if (bias != NULL) {
                    m->weights[bias->offset + n] = 0;
                }
            }
        }
        rt_model *cut = smaller(m, (rt_shape){.ffn = 128, .kv_heads = 2});
        assert_int_equal(cut->hp.n_head, 4);
        assert_int_equal(cut->hp.n_head_kv, 2);
        assert_int_equal(cut->hp.d_ff, 128);
        assert_same_logits(m, cut, 1e-5);
        rt_model_close(m);
        rt_model_close(cut);
    }
}

/* f = sqrt(D/d sum_C s / sum s) by hand, and f^2 = mean over tokens of the kept mean square over the whole one. */
static void gains_make_up_for_the_mean_square_of_what_stays(void **state)
{
    (void)state;
    enum { D = 128, KEPT = 32 };
    rt_model *m = toy_model("llama", true);
    rt_importance i = {0};
    rt_cut cut;
    void *block = NULL;
    rt_shape shape = {.hidden = KEPT};
    measure(&i, m);
    assert_ok(rt_shape_settle(&shape, m->arch, &m->hp, &err));
    assert_ok(rt_importance_cut(&cut, &block, &i, m, &shape, NULL, &err));
    for (int64_t n = 0, p = 0; p < (int64_t)m->n_params; p++) {
        double all = 0, kept = 0;
        if (!rt_activity_counts(m, &m->params[p])) {
            assert_true(cut.gain[p] == 1.0f);
            continue;
        }
        for (int64_t c = 0; c < D; c++) {
            all += (double)i.square[n * D + c];
        }
        for (int64_t c = 0; c < KEPT; c++) {
            kept += (double)i.square[n * D + cut.hidden[c]];
        }
        assert_true(fabs(all / D - 1) < 1e-5); /* x / rms(x) has a mean square of 1 */
        assert_true(fabs((double)cut.gain[p] - sqrt(kept / KEPT)) < 1e-5);
        n++;
    }
    rt_model *out = NULL;
    assert_ok(rt_model_prune(&out, m, &cut, &exact, &err));
    for (int64_t c = 0; c < KEPT; c++) {
        const float was = m->output_norm->w[cut.hidden[c]], f = cut.gain[m->output_norm - m->params];
        assert_true(fabs((double)(out->output_norm->w[c] - was * f)) < 1e-6);
        assert_true(out->embed->w[c] == m->embed->w[cut.hidden[c]]);
    }
    rt_free(block);
    rt_importance_release(&i);
    rt_model_close(m);
    rt_model_close(out);
}

/* Means over tokens by plain loops over what one span leaves behind. */
static void importance_is_the_mean_of_what_runs_through(void **state)
{
    (void)state;
    rt_model *m = toy_model("llama", true);
    rt_packed p = {0};
    rt_importance i = {0};
    rt_activity *a = NULL;
    rt_acts *acts = NULL;
    toy_packed(&p, 1, 64, N_VOCAB, false, 9);
    const rt_segment *s = &p.segments[0];
    const rt_span span = {.row0 = 0, .n = s->n};
    const rt_batch b = {.ids = p.ids + s->start, .n_rows = s->n, .spans = &span, .n_spans = 1};
    assert_ok(rt_importance_measure(&i, m, &some_hash, &p, 64, &err));
    assert_int_equal(i.tokens, s->n);
    assert_ok(rt_activity_new(&a, m, &err));
    assert_ok(rt_acts_new(&acts, m, 64, 64, RT_NET_TRAIN, &err));
    rt_net_forward(m, acts, &b);
    const float *x = rt_acts_layer_input(acts, 1);
    const rt_param *norm = m->layers[1].p[RT_ROLE_ATTN_NORM];
    int64_t at = 0; /* of the norm among the norms */
    for (const rt_param *q = m->params; q < norm; q++) {
        at += rt_activity_counts(m, q);
    }
    rt_activity_add(a, acts, &b);
    for (int64_t c = 0; c < m->hp.d_model; c++) {
        double output = 0, square = 0;
        for (int64_t r = 0; r < s->n; r++) {
            double ms = 0;
            for (int64_t k = 0; k < m->hp.d_model; k++) {
                ms += pow((double)x[r * m->hp.d_model + k], 2) / (double)m->hp.d_model;
            }
            const double n = (double)x[r * m->hp.d_model + c] / sqrt(ms);
            output += fabs(n * (double)norm->w[c]);
            square += n * n;
        }
        assert_true(fabs(a->output[at * m->hp.d_model + c] - output) < 1e-9 * output);
        assert_true(fabs((double)i.square[at * m->hp.d_model + c] - square / (double)s->n) < 1e-6 * square);
    }
    rt_acts_free(acts);
    rt_activity_free(a);
    rt_importance_release(&i);
    rt_packed_release(&p);
    rt_model_close(m);
}

static void a_saved_importance_is_the_same_and_only_for_its_teacher(void **state)
{
    (void)state;
    char *dir = rt_test_scratch(), *path = rt_importance_path(dir, &some_hash);
    rt_model *m = toy_model("qwen3", true), *cut = smaller(m, (rt_shape){.hidden = 96});
    rt_importance i = {0}, again = {0}, got = {0};
    measure(&i, m);
    measure(&again, m);
    const size_t bytes = (size_t)(i.square + i.n_norms * i.d_model - i.block) * sizeof(float);
    assert_memory_equal(again.block, i.block, bytes);
    assert_ok(rt_importance_save(&i, path, &err));
    assert_ok(rt_importance_load(&got, path, &some_hash, m, &err));
    assert_memory_equal(got.block, i.block, bytes);
    assert_int_equal(got.tokens, i.tokens);
    assert_memory_equal(&got.data, &i.data, sizeof i.data);
    rt_importance_release(&got);
    assert_int_equal(rt_importance_load(&got, path, &(rt_digest){{9}}, m, &err), RT_INPUT);
    assert_says(err.msg, "another teacher");
    assert_int_equal(rt_importance_load(&got, path, &some_hash, cut, &err), RT_INPUT);
    assert_says(err.msg, "shape");
    i.ffn[3] = INFINITY;
    assert_ok(rt_importance_save(&i, path, &err));
    assert_int_equal(rt_importance_load(&got, path, &some_hash, m, &err), RT_INPUT);
    assert_says(err.msg, "entry 3 of 'ffn'");
    rt_importance_release(&i);
    rt_importance_release(&again);
    rt_model_close(m);
    rt_model_close(cut);
    rt_free(path);
    rt_test_scratch_drop(dir);
}

static void a_damaged_teacher_is_refused(void **state)
{
    (void)state;
    rt_model *m = toy_model("qwen3", true);
    rt_packed p = {0};
    rt_importance i = {0};
    m->layers[1].p[RT_ROLE_ATTN_NORM]->w[0] = NAN;
    toy_packed(&p, 20, 64, N_VOCAB, false, 5);
    assert_int_equal(rt_importance_measure(&i, m, &some_hash, &p, 512, &err), RT_NUMERIC);
    assert_says(err.msg, "damaged");
    rt_importance_release(&i);
    rt_packed_release(&p);
    rt_model_close(m);
}

/* What is written is opened again with the same logits. */
static void a_cut_model_survives_both_formats(void **state)
{
    (void)state;
    EACH_ARCH(name)
    {
        char *dir = rt_test_scratch(), *gguf = rt_path_join(dir, "m.gguf");
        char *weights = rt_path_join(dir, "model.safetensors"), *config = rt_path_join(dir, "config.json");
        const int32_t ids[3] = {1, 2, 2};
        rt_model *m = toy_model(*name, true), *back = NULL;
        rt_model_description described;
        const int layers[] = {0, 2};
        rt_model *thin = smaller(m, (rt_shape){.hidden = 96, .ffn = 96, .kv_heads = 1}), *cut = NULL;
        assert_ok(rt_model_cut(&cut, thin, layers, 2, &exact, &err));
        assert_ok(rt_model_save_gguf(cut, gguf, RT_F32, NULL, NULL, &err));
        assert_ok(rt_model_open(&back, gguf, &exact, &err));
        assert_same_logits(cut, back, 1e-5);
        assert_ok(rt_model_save_gguf(cut, gguf, RT_Q4_0, NULL, NULL, &err));
        assert_ok(rt_model_describe(&described, gguf, &err));
        assert_int_equal(rt_model_gguf_bytes(cut, RT_Q4_0), described.bytes);
        rt_model_description_release(&described);
        rt_model_close(back);
        assert_ok(rt_model_save_safetensors(cut, weights, RT_F32, &err));
        assert_ok(rt_model_save_config(cut, config, ids, RT_F32, &err));
        assert_ok(rt_model_open(&back, dir, &exact, &err));
        assert_int_equal(back->hp.head_dim, 16);
        assert_int_equal(back->hp.n_head, 2);
        assert_same_logits(cut, back, 0);
        rt_model_close(back);
        rt_model_close(cut);
        rt_model_close(thin);
        rt_model_close(m);
        rt_free(gguf);
        rt_free(weights);
        rt_free(config);
        rt_test_scratch_drop(dir);
    }
}

static void moments(const rt_param *p, double *mean, double *std)
{
    double sum = 0, square = 0;
    for (int64_t i = 0; i < p->n; i++) {
        sum += (double)p->w[i];
        square += (double)p->w[i] * (double)p->w[i];
    }
    *mean = sum / (double)p->n;
    *std = sqrt(square / (double)p->n - *mean * *mean);
}

/* Standard deviations within four standard errors; the stream's writers are smaller by sqrt(2 layers). */
static void random_students_have_the_moments_they_promise(void **state)
{
    (void)state;
    rt_model *m = toy_model("gemma3", true), *a = NULL, *b = NULL, *other = NULL;
    const rt_shape shape = {.layers = 2, .hidden = 64};
    assert_ok(rt_model_random(&a, m, &shape, 5, &exact, &err));
    assert_ok(rt_model_random(&b, m, &shape, 5, &exact, &err));
    assert_ok(rt_model_random(&other, m, &shape, 6, &exact, &err));
    assert_memory_equal(a->weights, b->weights, (size_t)a->n_elements * sizeof(float));
    assert_memory_not_equal(a->weights, other->weights, (size_t)a->n_elements * sizeof(float));
    for (size_t i = 0; i < a->n_params; i++) {
        const rt_param *p = &a->params[i];
        if (p->n_dims == 1) {
            assert_true(p->w[0] == 0.0f); /* a gain of 1 + w */
            continue;
        }
        const bool writes = p->role == RT_ROLE_ATTN_OUT || p->role == RT_ROLE_FFN_DOWN;
        const double want = writes ? RT_INIT_STD / 2 : RT_INIT_STD, n = (double)p->n;
        double mean, std;
        moments(p, &mean, &std);
        assert_true(fabs(mean) < 4 * want / sqrt(n));
        assert_true(fabs(std - want) < 4 * want / sqrt(2 * n));
    }
    rt_model_close(m);
    rt_model_close(a);
    rt_model_close(b);
    rt_model_close(other);
}

static void refuse(const rt_model *m, rt_shape shape, rt_status want, const char *says)
{
    assert_int_equal(rt_shape_settle(&shape, m->arch, &m->hp, &err), want);
    assert_says(err.msg, says);
}

static void impossible_shapes_are_refused_with_a_way_out(void **state)
{
    (void)state;
    rt_model *m = toy_model("llama", true);
    refuse(m, (rt_shape){.layers = 4}, RT_USAGE, "cannot have 4 layers: its teacher has 3");
    refuse(m, (rt_shape){.hidden = 100}, RT_USAGE, "100 residual channels are no multiple of 32");
    refuse(m, (rt_shape){.hidden = 160}, RT_USAGE, "its teacher has 128");
    refuse(m, (rt_shape){.ffn = 20}, RT_USAGE, "take 32");
    refuse(m, (rt_shape){.kv_heads = -1}, RT_USAGE, "cannot have -1 key/value heads");
    rt_model mixture = *m;
    mixture.hp.layer_moe[1] = 1;
    refuse(&mixture, (rt_shape){.ffn = 96}, RT_UNSUPPORTED, "layer 1 is a mixture of experts");
    rt_model latent = *m;
    latent.hp.layer_mixer[0] = RT_MIXER_MLA;
    refuse(&latent, (rt_shape){.kv_heads = 1}, RT_UNSUPPORTED, "layer 0 is no grouped attention");
    rt_shape all = {.layers = 2};
    assert_ok(rt_shape_settle(&all, m->arch, &m->hp, &err));
    assert_int_equal(all.hidden, 128);
    assert_int_equal(all.kv_heads, 3);
    rt_model_close(m);
}

/* Six heads: 96 channels are a multiple of them, 64 are not. */
static void widths_that_transformers_does_not_open_are_known(void **state)
{
    (void)state;
    rt_hparams hp = {.n_head = 6, .d_model = 96};
    assert_true(rt_shape_opens_in_transformers(rt_arch_by_gguf("llama"), &hp));
    hp.d_model = 64;
    assert_false(rt_shape_opens_in_transformers(rt_arch_by_gguf("llama"), &hp));
    assert_false(rt_shape_opens_in_transformers(rt_arch_by_gguf("gemma3"), &hp));
    assert_true(rt_shape_opens_in_transformers(rt_arch_by_gguf("qwen3"), &hp));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_full_shape_is_the_teacher_bit_for_bit),
        cmocka_unit_test(channels_that_are_zero_everywhere_leave_without_a_trace),
        cmocka_unit_test(neurons_and_heads_that_say_nothing_leave_without_a_trace),
        cmocka_unit_test(gains_make_up_for_the_mean_square_of_what_stays),
        cmocka_unit_test(importance_is_the_mean_of_what_runs_through),
        cmocka_unit_test(a_saved_importance_is_the_same_and_only_for_its_teacher),
        cmocka_unit_test(a_damaged_teacher_is_refused),
        cmocka_unit_test(a_cut_model_survives_both_formats),
        cmocka_unit_test(random_students_have_the_moments_they_promise),
        cmocka_unit_test(impossible_shapes_are_refused_with_a_way_out),
        cmocka_unit_test(widths_that_transformers_does_not_open_are_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
