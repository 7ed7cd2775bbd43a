/* Mixtures of experts learn from mixtures of experts: the teacher speaks into a cache, one of its layers is left out,
 * and the student comes back to it, router and all, on text it was not trained on. */
#include "audit/heldout.h"
#include "hashed.h"
#include "train/trainer.h"
#include "unit/teacher/collect_fixture.h"

enum { SEQUENCE = 64, BATCH = 512, STEPS = 300 };

typedef struct family {
    const char *name;
    int keep; /* the one layer of two */
} family;

/* DeepSeek-V3's first layer is dense. */
static const family families[] = {{"qwen3_moe", 0}, {"deepseek_v3", 1}, {"minimax_m2", 1}};

static rt_model *open_teacher(const char *name)
{
    char *folder = hashed_folder(name);
    rt_model *m = sharp_model(folder, 4);
    rt_free(folder);
    return m;
}

static rt_model *cut_student(const rt_model *teacher, int keep)
{
    rt_err err = {0};
    rt_model *m = NULL;
    const rt_model_options o = {.precision = RT_PRECISION_F32, .trainable = true};
    assert_ok(rt_model_cut(&m, teacher, &keep, 1, &o, &err));
    assert_int_equal(m->hp.n_layer, 1);
    assert_int_equal(m->hp.route.n_expert, teacher->hp.route.n_expert);
    assert_true(m->hp.layer_moe[0] != 0);
    return m;
}

static double kl_on(const rt_corpus *text, const rt_model *teacher, const rt_model *m)
{
    rt_err err = {0};
    rt_heldout *h = NULL;
    rt_fidelity f;
    assert_ok(rt_heldout_new(&h, teacher, text, SEQUENCE, 0, &err));
    assert_ok(rt_heldout_measure(h, m, &f, &err));
    rt_heldout_free(h);
    return f.kl.mean;
}

static void train(rt_model *student, const char *cache_dir, const char *run_dir)
{
    rt_err err = {0};
    rt_cache *cache = NULL;
    rt_source *source = NULL;
    rt_train_result r;
    rt_train_options o = rt_train_default();
    o.run_dir = run_dir;
    o.batch_tokens = BATCH;
    o.steps = STEPS;
    o.lr = 3e-3;
    assert_ok(rt_cache_open(&cache, cache_dir, &err));
    assert_ok(rt_source_from_cache(&source, cache, &(rt_source_options){.seed = 4, .max_batch_tokens = BATCH}, &err));
    assert_ok(rt_train_run(student, source, NULL, &o, &r, &err));
    assert_int_equal(r.counts.step, STEPS);
    rt_source_close(source);
    rt_cache_close(cache);
}

/* The routers have moved with the rest. */
static void assert_routers_learned(const rt_model *student, const rt_model *teacher, int keep)
{
    const rt_param *now = student->layers[0].p[RT_ROLE_ROUTER], *before = teacher->layers[keep].p[RT_ROLE_ROUTER];
    assert_int_equal(now->n, before->n);
    assert_memory_not_equal(now->w, before->w, (size_t)now->n * sizeof(float));
}

static void a_cut_mixture_comes_back_to_its_teacher(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        rt_err err = {0};
        small_job job;
        rt_corpus unseen;
        char *dir = rt_test_scratch();
        small_job_of(&job, open_teacher(families[i].name), 800, dir, RT_CACHE_TOPK);
        toy_corpus(&unseen, 60, (int)job.teacher->hp.n_vocab, false, 77);
        job.job.options.k = 64;
        job.job.options.sequences_per_shard = 0;
        rt_collect_report collected;
        assert_ok(rt_collect(&job.job, &collected, &err));
        rt_model *student = cut_student(job.teacher, families[i].keep);
        const double before = kl_on(&unseen, job.teacher, student);
        train(student, job.cache, dir);
        const double after = kl_on(&unseen, job.teacher, student);
        print_message("%s: KL to the teacher on unseen text %.3f, after %d steps %.3f\n", families[i].name, before,
                      STEPS, after);
        assert_true(after < 0.5 * before);
        assert_routers_learned(student, job.teacher, families[i].keep);
        rt_model_close(student);
        rt_corpus_release(&unseen);
        small_job_close(&job);
        rt_test_scratch_drop(dir);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_cut_mixture_comes_back_to_its_teacher)};
    return cmocka_run_group_tests_name("mixture", tests, NULL, NULL);
}
