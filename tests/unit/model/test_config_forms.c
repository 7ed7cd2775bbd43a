/* config.json as published before transformers 5 means what today's means, and what contradicts the architecture is
 * refused. */
#include "model_fixture.h"

#include "model/describe.h"

/* The fixture's config.json in a folder with its weights, changed by `edit`, and opened. */
static rt_status open_edited(rt_model **m, const char *name, void (*edit)(json_t *config), rt_err *open_err)
{
    rt_err err = {0};
    char *scratch = rt_test_scratch(), *path = rt_path_join(scratch, "config.json");
    json_t *config = NULL;
    hashed_unpack(name, scratch);
    assert_ok(rt_json_load(&config, path, &err));
    edit(config);
    assert_ok(rt_json_save(config, path, &err));
    json_decref(config);
    const rt_status st = rt_model_open(m, scratch, &(rt_model_options){.precision = RT_PRECISION_F32}, open_err);
    rt_free(path);
    rt_test_scratch_drop(scratch);
    return st;
}

static void leave(json_t *config)
{
    (void)config;
}

/* rope_parameters taken apart: the base beside rope_scaling, which holds the rest. */
static void as_gpt_oss_was_published(json_t *config)
{
    json_t *rope = json_incref(json_object_get(config, "rope_parameters"));
    json_object_del(config, "rope_parameters");
    json_object_set(config, "rope_theta", json_object_get(rope, "rope_theta"));
    json_object_del(rope, "rope_theta");
    json_object_set_new(config, "rope_scaling", rope);
    json_object_del(config, "swiglu_alpha");
    json_object_set_new(config, "swiglu_limit", json_real(7.0));
    json_object_set_new(config, "experts_per_token", json_integer(2));
}

static void as_minimax_m2_was_published(json_t *config)
{
    const int64_t head = rt_json_i64(config, "head_dim", 0);
    json_object_del(config, "rope_parameters");
    json_object_set_new(config, "rope_theta", json_integer(5000000));
    json_object_set_new(config, "rotary_dim", json_integer(head / 2));
    json_object_set_new(config, "scoring_func", json_string("sigmoid"));
    json_object_set_new(config, "qk_norm_type", json_string("per_layer"));
    json_object_set_new(config, "sliding_window", json_null());
    json_object_set_new(config, "model_type", json_string("minimax"));
    json_object_set_new(config, "architectures", json_pack("[s]", "MiniMaxM2ForCausalLM"));
}

static void assert_same_settings(const char *name, void (*edit)(json_t *config))
{
    rt_err err = {0};
    rt_model *now = NULL, *then = NULL;
    assert_ok(open_edited(&now, name, leave, &err));
    assert_ok(open_edited(&then, name, edit, &err));
    const rt_hparams *a = &now->hp, *b = &then->hp;
    assert_int_equal(a->n_rot, b->n_rot);
    assert_memory_equal(now->rope_cs[0], then->rope_cs[0], (size_t)(now->rope_rows * a->n_rot) * sizeof(float));
    assert_memory_equal(a->layer_sliding, b->layer_sliding, sizeof a->layer_sliding);
    assert_memory_equal(a->layer_moe, b->layer_moe, sizeof a->layer_moe);
    assert_int_equal(a->window, b->window);
    assert_int_equal(a->route.score, b->route.score);
    assert_int_equal(a->route.normalise, b->route.normalise);
    assert_true(a->route.scale == b->route.scale);
    assert_true(a->glu.limit == b->glu.limit && a->glu.alpha == b->glu.alpha);
    rt_model_close(now);
    rt_model_close(then);
}

static void gpt_oss_and_minimax_open_as_they_were_published(void **state)
{
    (void)state;
    assert_same_settings("gpt_oss", as_gpt_oss_was_published);
    assert_same_settings("minimax_m2", as_minimax_m2_was_published);
}

static void without_experts(json_t *config)
{
    json_object_del(config, "num_local_experts");
}

static void with_dense_layers(json_t *config)
{
    json_object_set_new(config, "mlp_only_layers", json_pack("[i]", 0));
}

/* There is no dense unit such a layer could run. */
static void mixtures_throughout_have_experts_in_every_layer(void **state)
{
    (void)state;
    static const char *const names[] = {"gpt_oss", "minimax_m2"};
    for (size_t i = 0; i < 2; i++) {
        rt_err err = {0};
        rt_model *m = NULL;
        assert_int_equal(open_edited(&m, names[i], without_experts, &err), RT_INPUT);
        assert_says(err.msg, "number of experts is 0");
        rt_err_clear(&err);
        assert_ok(open_edited(&m, names[i], with_dense_layers, &err));
        assert_int_equal(m->hp.layer_moe[0], 1);
        rt_model_close(m);
    }
}

/* What a header says of four-bit experts is what it says of the same in full. */
static void four_bit_experts_count_like_others(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_model_description full, four;
    char *folder = hashed_folder("gpt_oss"), *weights = rt_path_join(folder, "model_mxfp4.safetensors");
    assert_ok(rt_model_describe(&full, folder, &err));
    assert_ok(rt_model_describe(&four, weights, &err));
    assert_int_equal(four.parameters, full.parameters);
    assert_int_equal(full.dtype, RT_F32);
    assert_int_equal(four.dtype, RT_MXFP4);
    assert_true(four.mixed);
    rt_model_description_release(&full);
    rt_model_description_release(&four);
    rt_free(weights);
    rt_free(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gpt_oss_and_minimax_open_as_they_were_published),
        cmocka_unit_test(four_bit_experts_count_like_others),
        cmocka_unit_test(mixtures_throughout_have_experts_in_every_layer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
