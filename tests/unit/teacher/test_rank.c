/* The ranking leaves out what hurts least, its figures are those of really cut models, and it survives its file. */
#include "teacher/answers.h"
#include "teacher/rank.h"
#include "unit/teacher/collect_fixture.h"

static const rt_digest some_hash = {{1, 2, 3}};

/* On all of the corpus, as the ranking sees it when it asks for that many tokens. */
static double perplexity(const rt_model *m, const rt_packed *p)
{
    rt_err err = {0};
    rt_answers *a = NULL;
    rt_gather g = {0};
    double nll = 0;
    const rt_answer_options o = {
        .kind = RT_CACHE_TOPK, .k = 1, .temperature = 1, .max_tokens = p->n_tokens, .max_span = p->sequence};
    assert_ok(rt_answers_new(&a, m, &o, &err));
    assert_ok(rt_gather_init(&g, p->n_tokens, &err));
    for (int64_t i = 0; i < (int64_t)p->n_sequences; i++) {
        rt_gather_add_packed(&g, p, i);
    }
    const rt_cache_row *rows = rt_answers_run(a, &g);
    for (int64_t i = 0; i < g.n_rows; i++) {
        nll -= (double)rows[i].label_logp;
    }
    double result = exp(nll / (double)g.n_rows);
    rt_gather_release(&g);
    rt_answers_free(a);
    return result;
}

static void figures_are_those_of_cut_models(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_packed p = {0};
    rt_model *m = small_teacher(1);
    rt_ranking r;
    const int n_layer = (int)m->hp.n_layer;
    toy_packed(&p, 20, 64, (int)m->hp.n_vocab, false, 5);
    assert_ok(rt_rank_layers(&r, m, &some_hash, &p, &(rt_rank_options){.tokens = 4096, .down_to = 1}, &err));
    assert_int_equal(r.n_removed, n_layer - 1);
    for (int n_keep = n_layer; n_keep >= 1; n_keep--) {
        int keep[RT_MAX_LAYERS];
        rt_model *cut = NULL;
        assert_ok(rt_ranking_keep(&r, n_keep, keep, &err));
        assert_ok(rt_model_cut(&cut, m, keep, n_keep,
                               &(rt_model_options){.precision = RT_PRECISION_F32, .trainable = true}, &err));
        double want = perplexity(cut, &p);
        assert_true(fabs(rt_ranking_perplexity(&r, n_keep) / want - 1) < 1e-4);
        rt_model_close(cut);
    }
    rt_packed_release(&p);
    rt_model_close(m);
}

static void the_first_to_go_hurts_least(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_packed p = {0};
    rt_model *m = small_teacher(1);
    rt_ranking r;
    const int n_layer = (int)m->hp.n_layer;
    toy_packed(&p, 20, 64, (int)m->hp.n_vocab, false, 5);
    assert_ok(rt_rank_layers(&r, m, &some_hash, &p, &(rt_rank_options){.tokens = 4096, .down_to = n_layer - 1}, &err));
    assert_int_equal(r.n_removed, 1);
    for (int out = 0; out < n_layer; out++) {
        int keep[RT_MAX_LAYERS], n = 0;
        rt_model *cut = NULL;
        for (int i = 0; i < n_layer; i++) {
            if (i != out) {
                keep[n++] = i;
            }
        }
        assert_ok(rt_model_cut(&cut, m, keep, n, &(rt_model_options){.precision = RT_PRECISION_F32, .trainable = true},
                               &err));
        assert_true(perplexity(cut, &p) >= r.perplexity_after[0] * (1 - 1e-4));
        rt_model_close(cut);
    }
    int keep[RT_MAX_LAYERS];
    assert_int_equal(rt_ranking_keep(&r, n_layer - 2, keep, &err), RT_INPUT);
    assert_says(err.msg, "rank again");
    rt_packed_release(&p);
    rt_model_close(m);
}

static void a_saved_ranking_is_the_same_and_only_for_its_teacher(void **state)
{
    (void)state;
    rt_err err = {0};
    char *dir = rt_test_scratch(), *path = rt_ranking_path(dir, &some_hash);
    rt_ranking r = {.teacher = some_hash,
                    .data = {{9}},
                    .tokens = 1000,
                    .targets = 990,
                    .n_layer = 5,
                    .n_removed = 3,
                    .perplexity = 20,
                    .removed = {3, 1, 4},
                    .perplexity_after = {22.5, 31.25, 1.5e6}};
    rt_ranking got;
    assert_says(path, "0102030000000000.json");
    assert_ok(rt_ranking_save(&r, path, &err));
    assert_ok(rt_ranking_load(&got, path, &some_hash, 5, &err));
    assert_memory_equal(&got.teacher, &r.teacher, sizeof r.teacher);
    assert_memory_equal(&got.data, &r.data, sizeof r.data);
    assert_memory_equal(got.removed, r.removed, sizeof r.removed);
    assert_memory_equal(got.perplexity_after, r.perplexity_after, sizeof r.perplexity_after);
    assert_int_equal(got.n_removed, 3);
    assert_int_equal(got.targets, 990);
    int keep[5];
    assert_ok(rt_ranking_keep(&got, 3, keep, &err));
    assert_memory_equal(keep, ((int[]){0, 2, 4}), 3 * sizeof(int));
    rt_digest other = {{7}};
    assert_int_equal(rt_ranking_load(&got, path, &other, 5, &err), RT_INPUT);
    assert_says(err.msg, "another teacher");
    assert_int_equal(rt_ranking_load(&got, path, &some_hash, 6, &err), RT_INPUT);
    r.removed[2] = 3;
    assert_ok(rt_ranking_save(&r, path, &err));
    assert_int_equal(rt_ranking_load(&got, path, &some_hash, 5, &err), RT_INPUT);
    rt_free(path);
    rt_test_scratch_drop(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(figures_are_those_of_cut_models),
        cmocka_unit_test(the_first_to_go_hurts_least),
        cmocka_unit_test(a_saved_ranking_is_the_same_and_only_for_its_teacher),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
