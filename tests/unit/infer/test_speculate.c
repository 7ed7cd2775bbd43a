/* Drafting changes the speed of a text, not the text: greedy bits are those of the target alone, drawn tokens have its
 * distribution. */
#include "infer_fixture.h"

enum { MOST = 24, PROMPTS = 3 };

typedef struct written {
    int32_t ids[MOST];
    float logprobs[MOST];
    rt_generated g;
} written;

static void speculate(written *w, const rt_model *target, const rt_model *draft, const rt_prompt *p, size_t n,
                      const rt_speculation_options *o, rt_speculation *sum)
{
    rt_err err = {0};
    rt_speculator *s = NULL;
    int64_t longest = 1;
    for (size_t i = 0; i < n; i++) {
        longest = p[i].n > longest ? p[i].n : longest;
    }
    assert_ok(rt_speculator_new(&s, target, draft, NULL, o, longest, &err));
    const uint64_t allocations = rt_mem_get_stats().n_alloc;
    for (size_t i = 0; i < n; i++) {
        w[i].g = (rt_generated){.ids = w[i].ids, .logprobs = w[i].logprobs};
        assert_ok(rt_speculate(s, &p[i], i, &w[i].g, sum, &err));
    }
    assert_int_equal(rt_mem_get_stats().n_alloc, allocations);
    rt_speculator_free(s);
}

/* The model with its weights off by up to a third: often right. */
static rt_model *disturbed(const tiny_model *t)
{
    rt_model *m = tiny_open(t, RT_PRECISION_F32);
    for (size_t i = 0; i < m->n_params; i++) {
        const rt_param *p = &m->params[i];
        for (int64_t j = 0; j < p->n; j++) {
            p->w[j] *= 1 + 0.3f * sinf((float)j);
        }
    }
    rt_model_refresh(m);
    return m;
}

/* How many first drafts were not kept. */
static int64_t check_greedy(const rt_model *m, const rt_model *draft, bool own)
{
    rt_err err = {0};
    rt_generation g;
    rt_prompt *p = random_prompts(PROMPTS, 2, 20, m->hp.n_vocab, 4);
    assert_ok(rt_generate(&g, m, NULL, p, PROMPTS, &(rt_generate_options){.max_new = MOST}, &err));
    int64_t lost = 0;
    for (int k = 1; k <= 7; k += 3) {
        written w[PROMPTS];
        rt_speculation sum = {0};
        speculate(w, m, draft, p, PROMPTS, &(rt_speculation_options){.draft = k, .max_new = MOST}, &sum);
        for (int i = 0; i < PROMPTS; i++) {
            assert_same_text(&w[i].g, &g.seq[i]);
        }
        assert_int_equal(sum.written, PROMPTS * (MOST - 1));
        for (int i = 0; i < k && own; i++) {
            assert_int_equal(sum.kept[i], sum.judged[i]);
        }
        lost += sum.judged[0] - sum.kept[0];
    }
    rt_generation_release(&g);
    drop_prompts(p, PROMPTS);
    return lost;
}

static void greedy_text_is_that_of_the_target_alone(void **state)
{
    (void)state;
    for (int i = 0; i < N_ALL; i++) {
        const tiny_model t = tiny_at(i);
        rt_model *m = tiny_open(&t, RT_PRECISION_F32);
        if (!rt_kv_recurrent(m)) {
            rt_model *draft = disturbed(&t);
            assert_true(check_greedy(m, draft, false) > 0);
            assert_int_equal(check_greedy(m, m, true), 0); /* a model that drafts for itself is always right */
            rt_model_close(draft);
        }
        rt_model_close(m);
    }
}

static void what_cannot_be_wound_back_is_refused(void **state)
{
    (void)state;
    int refused = 0;
    for (int i = 0; i < N_ALL; i++) {
        const tiny_model t = tiny_at(i);
        rt_model *m = tiny_open(&t, RT_PRECISION_F32);
        rt_err err = {0};
        rt_speculator *s = NULL;
        if (rt_kv_recurrent(m)) {
            const rt_speculation_options o = {.draft = 2, .max_new = 4};
            assert_int_equal(rt_speculator_new(&s, m, m, NULL, &o, 4, &err), RT_UNSUPPORTED);
            assert_says(err.msg, "cannot");
            refused++;
        }
        rt_model_close(m);
    }
    assert_true(refused > 0);
}

enum { TOY = 6, DRAWS = 100000 };

static int32_t of_share(const float *p, double u)
{
    int32_t i = 0;
    for (double below = (double)p[0]; i + 1 < TOY && below <= u; below += (double)p[i]) {
        i++;
    }
    return i;
}

/* Leviathan et al. 2023, theorem: what comes out is distributed as p, and sum min(p, q) of the drafts stay. */
static void the_rule_gives_the_targets_distribution(void **state)
{
    (void)state;
    const float p[TOY] = {0.4f, 0.3f, 0.15f, 0.1f, 0.05f, 0.0f}, q[TOY] = {0.1f, 0.35f, 0.05f, 0.2f, 0.2f, 0.1f};
    rt_rng rng = rt_rng_init(11, "toy", 0);
    int64_t seen[TOY] = {0}, kept = 0;
    double alpha = 0, chi = 0;
    for (int i = 0; i < DRAWS; i++) {
        const int32_t x = of_share(q, rt_rng_f64(&rng));
        const bool stays = rt_draft_stays(p, q, x, rt_rng_f64(&rng));
        const double u = rt_rng_f64(&rng);
        kept += stays;
        seen[stays ? x : rt_draft_replace(p, q, TOY, u)]++;
    }
    for (int v = 0; v < TOY; v++) {
        const double expected = DRAWS * (double)p[v];
        alpha += (double)fminf(p[v], q[v]);
        chi += expected > 0 ? ((double)seen[v] - expected) * ((double)seen[v] - expected) / expected : 0;
    }
    assert_int_equal(seen[TOY - 1], 0);
    assert_true(chi < 18.5); /* 4 degrees of freedom: one in a thousand */
    assert_true(fabs((double)kept / DRAWS - alpha) < 4 * sqrt(alpha * (1 - alpha) / DRAWS));
}

/* Second tokens of many texts, drafted by another model, against the probabilities of the target. */
static void drawn_text_has_the_targets_distribution(void **state)
{
    (void)state;
    enum { TEXTS = 1000 };
    rt_model *m = tiny_open(&tiny_models[2], RT_PRECISION_F32), *draft = disturbed(&tiny_models[2]);
    const int32_t ids[] = {5, 6, 7};
    const rt_prompt p = {ids, 3};
    rt_err err = {0};
    rt_speculator *s = NULL;
    rt_speculation sum = {0};
    double surprise = 0, entropy = 0, spread = 0;
    const rt_speculation_options o = {.draft = 2, .max_new = 3, .temperature = 1, .seed = 3};
    assert_ok(rt_speculator_new(&s, m, draft, NULL, &o, 3, &err));
    for (uint64_t i = 0; i < TEXTS; i++) {
        written w = {0};
        w.g = (rt_generated){.ids = w.ids, .logprobs = w.logprobs};
        assert_ok(rt_speculate(s, &p, i, &w.g, &sum, &err));
        surprise -= (double)w.logprobs[1] / TEXTS;
    }
    rt_generation plain;
    rt_prompt *same = rt_calloc(TEXTS, sizeof *same);
    for (int i = 0; i < TEXTS; i++) {
        same[i] = p;
    }
    assert_ok(rt_generate(&plain, m, NULL, same, TEXTS,
                          &(rt_generate_options){.max_new = 2, .sampling = {.temperature = 1, .seed = 4}}, &err));
    for (int i = 0; i < TEXTS; i++) {
        const double x = -(double)plain.seq[i].logprobs[1];
        entropy += x / TEXTS;
        spread += x * x / TEXTS;
    }
    const double error = sqrt(2 * (spread - entropy * entropy) / TEXTS);
    if (!(fabs(surprise - entropy) < 4 * error)) {
        fail_msg("surprise of drafted tokens %g, of the target's own %g, error %g", surprise, entropy, error);
    }
    assert_true(sum.kept[0] < sum.judged[0]);
    rt_free(same);
    rt_generation_release(&plain);
    rt_speculator_free(s);
    rt_model_close(m);
    rt_model_close(draft);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_text_is_that_of_the_target_alone),
        cmocka_unit_test(what_cannot_be_wound_back_is_refused),
        cmocka_unit_test(the_rule_gives_the_targets_distribution),
        cmocka_unit_test(drawn_text_has_the_targets_distribution),
    };
    return cmocka_run_group_tests_name("speculate", tests, NULL, NULL);
}
