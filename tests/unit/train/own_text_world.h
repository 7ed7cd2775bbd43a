/* own_text_world.h - a student that writes, its teacher, and a corpus: what a run on own text needs. */
#ifndef RT_TESTS_TRAIN_OWN_TEXT_WORLD_H
#define RT_TESTS_TRAIN_OWN_TEXT_WORLD_H

#include "model/adapter.h"
#include "unit/teacher/teacher_fixture.h"
#include "unit/train/toy_model.h"

enum { BATCH = 128, SEQUENCE = 32, PROMPT = 4, NEW = 12, STEPS = 11 };

typedef struct world {
    rt_model *teacher, *student;
    rt_corpus corpus;
    rt_packed packed;
    rt_permit *permit;
    rt_on_policy *own;
    rt_source *source;
    rt_scored *scored;
    char *dir;
    rt_train_options o;
} world;

static inline rt_on_policy_options own_options(double fraction, int64_t refresh)
{
    rt_on_policy_options o = rt_on_policy_default();
    o.fraction = fraction;
    o.prompt_tokens = PROMPT;
    o.new_tokens = NEW;
    o.refresh = refresh;
    o.seed = 4;
    return o;
}

static inline rt_train_options run_options(const char *dir)
{
    rt_train_options o = rt_train_default();
    o.run_dir = dir;
    o.losses[0] = rt_train_loss_of(RT_LOSS_REVERSE_KL, 1);
    o.steps = STEPS;
    o.batch_tokens = BATCH;
    o.micro_tokens = 64;
    o.lr = 2e-3;
    o.checkpoint_seconds = 0;
    o.checkpoint_steps = 4;
    return o;
}

/* A student whose products round their inputs. */
static inline rt_model *bf16_student(void)
{
    rt_err err;
    rt_model *m;
    const rt_model_options o = {.precision = RT_PRECISION_BF16, .trainable = true};
    assert_ok(rt_model_open(&m, RT_TEST_GOLDEN "/models/llama", &o, &err));
    return m;
}

/* The reference model with pairs beside its matrices that have moved; only they are trained. */
static inline rt_model *adapted_student(void)
{
    rt_err err;
    rt_adapter_options o;
    rt_model *m = toy_model(false);
    assert_ok(rt_adapter_parse(&o, "rank=4,targets=q,v,o,down", &err));
    assert_ok(rt_model_adapt(m, &o, &err));
    rt_rng r = rt_rng_init(6, "adapted student", 0);
    for (int64_t i = 0; i < m->n_elements; i++) {
        m->weights[i] += 0.05f * (float)rt_rng_normal(&r);
    }
    return m;
}

/* Takes directory and student; `own` NULL: a run on the corpus alone. */
static inline void open_in(world *w, char *dir, rt_model *student, const rt_on_policy_options *own)
{
    rt_err err = {0};
    *w = (world){.teacher = toy_teacher(), .student = student, .permit = apache_permit("toy"), .dir = dir};
    rt_source_options so = {.seed = 4, .max_batch_tokens = BATCH};
    char *ledger = rt_path_join(dir, "ledger.jsonl");
    w->o = run_options(dir);
    toy_corpus(&w->corpus, 40, (int)w->teacher->hp.n_vocab, false, 9);
    assert_ok(rt_pack(&w->packed, &w->corpus, SEQUENCE, &err));
    if (own != NULL) {
        assert_ok(rt_on_policy_new(&w->own, w->student, NULL, &w->corpus, SEQUENCE, BATCH, own, &err));
        so.more = rt_on_policy_text(w->own);
        so.more_tokens = rt_on_policy_tokens(w->own);
    }
    assert_ok(rt_source_from_corpus(&w->source, &w->packed, RT_SOURCE_DENSE, w->teacher, w->permit, &so, &err));
    assert_ok(rt_scored_open(&w->scored, ledger, w->permit, &w->corpus, &w->packed, NULL, &err));
    w->o.on_policy = w->own;
    w->o.scored = w->scored;
    rt_free(ledger);
}

static inline void open_world(world *w, double fraction, int64_t refresh)
{
    const rt_on_policy_options own = own_options(fraction, refresh);
    open_in(w, rt_test_scratch(), toy_student(), &own);
}

static inline void close_all(world *w)
{
    rt_scored_close(w->scored);
    rt_source_close(w->source);
    rt_on_policy_free(w->own);
    rt_packed_release(&w->packed);
    rt_corpus_release(&w->corpus);
    rt_permit_free(w->permit);
    rt_model_close(w->teacher);
    rt_model_close(w->student);
}

static inline void close_world(world *w)
{
    close_all(w);
    rt_test_scratch_drop(w->dir);
}

static inline rt_status train(world *w, rt_train_result *r, rt_err *err)
{
    return rt_train_run(w->student, w->source, w->teacher, &w->o, r, err);
}

static inline int one_thread(void **state)
{
    (void)state;
    rt_team_set_threads(1);
    rt_log_set_level(RT_LOG_ERROR);
    return 0;
}

#endif
