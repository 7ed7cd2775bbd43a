/* Rotary settings: published numbers of YaRN's ramp, both spellings of config.json, GGUF and back, and refusals. */
#include <math.h>
#include <string.h>

#include "model/hparams.h"
#include "model/rope.h"
#include "rt_test.h"

/* An architecture as the rotary settings see it. */
static const rt_arch whole_heads = {.name = "llama"};
static const rt_arch part_heads = {.name = "llama", .partial_rotary = true};
static const rt_arch between_pairs = {.name = "llama", .yarn_between_pairs = true};
static const rt_arch scaled_scores = {.name = "llama", .yarn_scales_scores = true};

static rt_hparams yarn(int64_t n_rot, double theta, double factor)
{
    return (rt_hparams){.head_dim = n_rot,
                        .n_rot = n_rot,
                        .n_ctx = 4096,
                        .rope_theta = theta,
                        .rope_scaling = RT_ROPE_YARN,
                        .rope_factor = factor,
                        .rope_original_ctx = 4096,
                        .rope_beta_fast = 32.0,
                        .rope_beta_slow = 1.0,
                        .rope_truncate = true};
}

static rt_status parse(const rt_arch *arch, rt_hparams *hp, const char *json, rt_err *err)
{
    json_t *c;
    assert_int_equal(rt_json_parse(&c, json, strlen(json), "config.json", err), RT_OK);
    *hp = (rt_hparams){.head_dim = 64,
                       .n_ctx = 8192,
                       .rope_theta = 10000.0,
                       .rope_factor = 1.0,
                       .rope_beta_fast = 32.0,
                       .rope_beta_slow = 1.0,
                       .rope_truncate = true};
    rt_status st = rt_rope_from_hf(arch, hp, c, err);
    json_decref(c);
    return st != RT_OK ? st : rt_rope_check(hp, err);
}

static void assert_divisors(const rt_hparams *hp, int first, const double *want, int n)
{
    float got[64];
    rt_rope_divisors(hp, got);
    for (int i = 0; i < hp->n_rot / 2; i++) {
        const double w = i < first ? 1.0 : i < first + n ? want[i - first] : hp->rope_factor;
        assert_float_equal(got[i], w, 1e-5 * w);
    }
}

/* DeepSeek-V3, whose ramp runs from pair 10 to 23. */
static void yarn_ramp_is_rounded_to_whole_pairs(void **state)
{
    (void)state;
    const double want[] = {1.081081, 1.176471, 1.290323, 1.428571, 1.6,      1.818182,
                           2.105263, 2.5,      3.076923, 4,        5.714286, 10};
    const rt_hparams hp = yarn(64, 10000.0, 40.0);
    assert_divisors(&hp, 11, want, 12);
}

/* GPT-OSS does not round: 8.09 to 17.4. */
static void yarn_ramp_may_lie_between_pairs(void **state)
{
    (void)state;
    const double want[] = {1.1043, 1.247749, 1.434031, 1.685695, 2.044491, 2.597326, 3.559943, 5.656254, 13.75752};
    rt_hparams hp = yarn(64, 150000.0, 32.0);
    hp.rope_truncate = false;
    assert_divisors(&hp, 9, want, 9);
    assert_float_equal(rt_rope_amplitude(&hp), 1.3465736, 1e-6);
}

/* Kimi K2: beta_fast = beta_slow = 1, the ramp is a step; where both bounds fall on one pair too. */
static void yarn_ramp_of_no_width_is_a_step(void **state)
{
    (void)state;
    rt_hparams hp = yarn(64, 50000.0, 32.0);
    hp.rope_beta_fast = 1.0;
    assert_divisors(&hp, 20, NULL, 0);
    hp.n_rot = 2;
    hp.rope_original_ctx = 100000000; /* both bounds are cut to pair 1 */
    assert_divisors(&hp, 1, NULL, 0);
}

static void amplitude_follows_what_is_given(void **state)
{
    (void)state;
    rt_hparams hp = yarn(64, 10000.0, 40.0);
    assert_float_equal(rt_rope_amplitude(&hp), 1.3688879, 1e-6);
    hp.rope_mscale = 1.0;
    assert_float_equal(rt_rope_amplitude(&hp), 1.3688879, 1e-6); /* one of the two alone says nothing */
    hp.rope_mscale_all_dim = 0.707;
    assert_float_equal(rt_rope_amplitude(&hp), 1.3688879 / 1.2608038, 1e-6);
    hp.rope_attn_factor = 1.25;
    assert_float_equal(rt_rope_amplitude(&hp), 1.25, 0);
    hp.rope_factor = 0.5;
    hp.rope_attn_factor = 0.0;
    assert_float_equal(rt_rope_amplitude(&hp), 1.0, 0);
}

static void table_holds_amplitude_times_cosines_then_sines(void **state)
{
    (void)state;
    float cs[3 * 4];
    rt_rope_table(cs, 3, 4, 100.0, (const float[]){1.0f, 4.0f}, 2.0);
    assert_float_equal(cs[0], 2.0, 0);
    assert_float_equal(cs[2], 0.0, 0);
    assert_float_equal(cs[2 * 4], 2.0 * cos(2.0), 1e-6);
    assert_float_equal(cs[2 * 4 + 1], 2.0 * cos(2.0 / 10.0 / 4.0), 1e-6);
    assert_float_equal(cs[2 * 4 + 3], 2.0 * sin(2.0 / 10.0 / 4.0), 1e-6);
}

static void both_spellings_of_config_say_the_same(void **state)
{
    (void)state;
    rt_err err;
    rt_hparams now, before;
    assert_ok(parse(&whole_heads, &now,
                    "{\"rope_parameters\": {\"rope_type\": \"yarn\", \"rope_theta\": 50000.0, \"factor\": 32.0,"
                    " \"original_max_position_embeddings\": 4096, \"beta_fast\": 1.0, \"beta_slow\": 1.0,"
                    " \"mscale\": 1.0, \"mscale_all_dim\": 0.707, \"truncate\": false}}",
                    &err));
    assert_ok(parse(&whole_heads, &before,
                    "{\"rope_theta\": 50000.0, \"rope_scaling\": {\"type\": \"yarn\", \"factor\": 32,"
                    " \"original_max_position_embeddings\": 4096, \"beta_fast\": 1, \"beta_slow\": 1,"
                    " \"mscale\": 1, \"mscale_all_dim\": 0.707, \"truncate\": false}}",
                    &err));
    assert_memory_equal(&now, &before, sizeof now);
    assert_float_equal(now.rope_mscale_all_dim, 0.707, 0);
    assert_float_equal(now.rope_factor, 32.0, 0);
    assert_false(now.rope_truncate);
}

static void what_yarn_leaves_out_has_its_defaults(void **state)
{
    (void)state;
    rt_err err;
    rt_hparams hp;
    assert_ok(parse(&whole_heads, &hp,
                    "{\"rope_scaling\": {\"rope_type\": \"yarn\", \"factor\": null, \"beta_fast\": null,"
                    " \"original_max_position_embeddings\": 2048}}",
                    &err));
    assert_float_equal(hp.rope_factor, 4.0, 0); /* context over original context */
    assert_float_equal(hp.rope_beta_fast, 32.0, 0);
    assert_true(hp.rope_truncate);
}

static void part_of_a_head_is_rotated_where_the_family_knows_it(void **state)
{
    (void)state;
    rt_err err;
    rt_hparams hp;
    assert_ok(parse(&part_heads, &hp, "{\"rope_parameters\": {\"partial_rotary_factor\": 0.5}}", &err));
    assert_int_equal(hp.n_rot, 32);
    assert_ok(parse(&part_heads, &hp, "{\"rotary_dim\": 16}", &err));
    assert_int_equal(hp.n_rot, 16);
    assert_ok(parse(&whole_heads, &hp, "{\"rotary_dim\": 16}", &err));
    assert_int_equal(hp.n_rot, 64);
    assert_int_equal(parse(&part_heads, &hp, "{\"rotary_dim\": 200}", &err), RT_INPUT);
}

static void unusable_settings_are_refused(void **state)
{
    (void)state;
    static const char *const settings[] = {
        "\"factor\": 0.0",
        "\"factor\": 4.0, \"beta_fast\": -1.0",
        "\"factor\": 4.0, \"original_max_position_embeddings\": 0",
        "\"original_max_position_embeddings\": 0",
        "\"factor\": 4.0, \"rope_theta\": 1.0",
        "\"factor\": 40.0, \"mscale\": -3.0, \"mscale_all_dim\": 1.0",
    };
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        rt_err err;
        rt_hparams hp;
        char json[256];
        snprintf(json, sizeof json, "{\"rope_scaling\": {\"type\": \"yarn\", %s}}", settings[i]);
        assert_int_equal(parse(&whole_heads, &hp, json, &err), RT_INPUT);
    }
}

/* Writes the settings as GGUF keys and reads them back into an otherwise empty *back. */
static rt_status through_gguf(const rt_arch *arch, const rt_hparams *hp, rt_hparams *back, rt_err *err)
{
    rt_status st = RT_OK;
    rt_gguf *g = NULL;
    char *dir = rt_test_scratch(), *path = rt_path_join(dir, "rope.gguf");
    rt_gguf_writer *w = rt_gguf_writer_new();
    assert_non_null(w);
    RT_TRY(rt_rope_to_gguf(w, arch, hp, err));
    RT_TRY(rt_gguf_write(w, path, err));
    RT_TRY(rt_gguf_open(&g, path, err));
    *back = (rt_hparams){.head_dim = hp->head_dim, .n_ctx = 9, .rope_truncate = !arch->yarn_between_pairs};
    RT_TRY(rt_rope_from_gguf(arch, back, &(rt_keys){.g = g, .arch = arch->name, .err = err}));
out:
    rt_gguf_close(g);
    rt_gguf_writer_free(w);
    rt_free(path);
    rt_test_scratch_drop(dir);
    return st;
}

static void assert_same_rotation(const rt_hparams *a, const rt_hparams *b)
{
    float d[2][64];
    rt_rope_divisors(a, d[0]);
    rt_rope_divisors(b, d[1]);
    for (int i = 0; i < a->n_rot / 2; i++) {
        assert_float_equal(d[0][i], d[1][i], 1e-6 * d[0][i]);
    }
    assert_float_equal(rt_rope_amplitude(a), rt_rope_amplitude(b), 1e-6);
}

static void gguf_keeps_the_rotation(void **state)
{
    (void)state;
    rt_err err;
    rt_hparams back, hp = yarn(64, 10000.0, 40.0);
    hp.rope_mscale = 1.0;
    hp.rope_mscale_all_dim = 0.707;
    assert_ok(through_gguf(&whole_heads, &hp, &back, &err));
    assert_same_rotation(&hp, &back);
    hp.rope_mscale = 0.707;
    assert_ok(through_gguf(&scaled_scores, &hp, &back, &err));
    assert_same_rotation(&hp, &back);
    assert_float_equal(back.rope_mscale_all_dim, 0.707, 1e-6);
    hp.rope_truncate = false;
    assert_ok(through_gguf(&between_pairs, &hp, &back, &err));
    assert_same_rotation(&hp, &back);
}

static void gguf_refuses_a_rotation_its_readers_do_not_make(void **state)
{
    (void)state;
    rt_err err;
    rt_hparams back, hp = yarn(64, 10000.0, 40.0);
    hp.rope_mscale = 1.0;
    hp.rope_mscale_all_dim = 0.707;
    assert_int_equal(through_gguf(&scaled_scores, &hp, &back, &err), RT_UNSUPPORTED);
    assert_non_null(strstr(err.msg, "mscale"));
    assert_int_equal(through_gguf(&between_pairs, &hp, &back, &err), RT_UNSUPPORTED);
    hp.rope_truncate = false;
    assert_int_equal(through_gguf(&whole_heads, &hp, &back, &err), RT_UNSUPPORTED);
}

static void config_keeps_every_setting(void **state)
{
    (void)state;
    rt_err err;
    rt_hparams hp, back;
    assert_ok(parse(&part_heads, &hp,
                    "{\"rope_parameters\": {\"rope_type\": \"yarn\", \"factor\": 32.0, \"truncate\": false,"
                    " \"original_max_position_embeddings\": 4096, \"mscale\": 1.0, \"mscale_all_dim\": 0.5,"
                    " \"attention_factor\": 1.5, \"partial_rotary_factor\": 0.25}}",
                    &err));
    json_t *c = json_object();
    rt_rope_to_hf(c, &part_heads, &hp);
    for (int i = 0; i < 2; i++) { /* either spelling alone */
        json_t *one = json_copy(c);
        assert_int_equal(json_object_del(one, i == 0 ? "rope_parameters" : "rope_scaling"), 0);
        char *text = json_dumps(one, 0);
        assert_ok(parse(&part_heads, &back, text, &err));
        assert_memory_equal(&hp, &back, sizeof hp);
        rt_free(text);
        json_decref(one);
    }
    json_decref(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(yarn_ramp_is_rounded_to_whole_pairs),
        cmocka_unit_test(yarn_ramp_may_lie_between_pairs),
        cmocka_unit_test(yarn_ramp_of_no_width_is_a_step),
        cmocka_unit_test(amplitude_follows_what_is_given),
        cmocka_unit_test(table_holds_amplitude_times_cosines_then_sines),
        cmocka_unit_test(both_spellings_of_config_say_the_same),
        cmocka_unit_test(what_yarn_leaves_out_has_its_defaults),
        cmocka_unit_test(part_of_a_head_is_rotated_where_the_family_knows_it),
        cmocka_unit_test(unusable_settings_are_refused),
        cmocka_unit_test(gguf_keeps_the_rotation),
        cmocka_unit_test(gguf_refuses_a_rotation_its_readers_do_not_make),
        cmocka_unit_test(config_keeps_every_setting),
    };
    return cmocka_run_group_tests_name("rope", tests, NULL, NULL);
}
