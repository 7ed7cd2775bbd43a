/* Faults that let a distillation run on and go wrong in silence: masks, packing, denominators, shifted targets, tied
 * weights, rounding. docs/silent_faults.md lists all such promises and where each is held. */
#include "unit/train/toy.h"

typedef struct made {
    rt_step_report r;
    float *grads;
} made;

static const rt_train_loss fkl = {.loss = {.kind = RT_LOSS_FORWARD_KL, .temperature = 1}, .weight = 1};

/* The sequences listed, one after the other. */
static rt_source_batch pack(rt_source *s, const int64_t *sequences, int n)
{
    rt_source_batch b = {.net = {.ids = s->b_ids, .spans = s->b_spans},
                         .rows = s->b_rows,
                         .labels = s->b_labels,
                         .targets = s->b_targets};
    for (int i = 0; i < n; i++) {
        toy_add_sequence(s, &b, sequences[i]);
    }
    return b;
}

static made run(rt_model *m, const rt_source *s, const rt_source_batch *b)
{
    rt_err err;
    rt_step *step;
    made out = {.grads = rt_calloc((size_t)m->n_elements, sizeof(float))};
    const rt_step_options o = {.losses = {fkl}, .n_losses = 1, .batch_tokens = TOY_MAX_ROWS, .micro_tokens = 96};
    assert_ok(rt_step_new(&step, m, &s->info, &o, &err));
    assert_ok(rt_step_run(step, b, out.grads, &out.r, &err));
    rt_step_free(step);
    return out;
}

static double relative_difference(const float *a, const float *b, int64_t n)
{
    double diff = 0, norm = 0;
    for (int64_t i = 0; i < n; i++) {
        diff += pow((double)a[i] - (double)b[i], 2);
        norm += pow((double)b[i], 2);
    }
    return sqrt(diff / norm);
}

typedef struct toys {
    rt_model *teacher, *student;
    rt_source *source;
} toys;

static toys make(rt_source_kind kind)
{
    toys t = {.teacher = toy_teacher(), .student = toy_student()};
    t.source = toy_source(kind, t.teacher);
    return t;
}

static void drop(toys *t)
{
    rt_source_close(t->source);
    rt_model_close(t->teacher);
    rt_model_close(t->student);
}

static void the_target_of_a_masked_position_changes_no_bit(void **state)
{
    (void)state;
    toys t = make(RT_SOURCE_SAMPLE);
    made of[2];
    for (int k = 0; k < 2; k++) {
        rt_source_batch b = pack(t.source, (int64_t[]){0, 1, 2}, 3);
        int64_t counted = 0;
        for (int64_t i = 0; i < b.n_rows; i++) {
            counted += i % 3 != 0;
            t.source->b_labels[i] = i % 3 == 0 ? -1 : t.source->b_labels[i];
            if (i % 3 == 0 && k == 1) {
                t.source->b_targets[i] = t.source->b_targets[i + 1];
            }
        }
        of[k] = run(t.student, t.source, &b);
        assert_int_equal(of[k].r.rows, counted);
    }
    assert_memory_equal(of[0].grads, of[1].grads, (size_t)t.student->n_elements * sizeof(float));
    assert_true(of[0].r.loss == of[1].r.loss && of[0].r.ce == of[1].r.ce);
    rt_free(of[0].grads);
    rt_free(of[1].grads);
    drop(&t);
}

static void packed_sequences_do_not_see_their_neighbours(void **state)
{
    (void)state;
    toys t = make(RT_SOURCE_SAMPLE);
    const int64_t n = t.student->n_elements, order[4] = {0, 1, 2, 5}, other[4] = {5, 0, 2, 1};
    float *sum = rt_calloc((size_t)n, sizeof *sum);
    double loss_sum = 0;
    int64_t rows = 0;
    for (int i = 0; i < 4; i++) {
        rt_source_batch b = pack(t.source, &order[i], 1);
        made alone = run(t.student, t.source, &b);
        loss_sum += alone.r.loss_sum;
        rows += alone.r.rows;
        for (int64_t k = 0; k < n; k++) {
            sum[k] += alone.grads[k] * (float)alone.r.rows;
        }
        rt_free(alone.grads);
    }
    for (int k = 0; k < 2; k++) {
        rt_source_batch b = pack(t.source, k == 0 ? order : other, 4);
        made packed = run(t.student, t.source, &b);
        assert_int_equal(packed.r.rows, rows);
        assert_true(fabs(packed.r.loss_sum - loss_sum) < 1e-5 * fabs(loss_sum));
        for (int64_t i = 0; i < n; i++) {
            packed.grads[i] *= (float)rows;
        }
        assert_true(relative_difference(packed.grads, sum, n) < 1e-5);
        rt_free(packed.grads);
    }
    rt_free(sum);
    drop(&t);
}

/* The mean is over tokens: not over sequences, whose means count the tokens of a short one for more. */
static void a_token_weighs_the_same_in_a_short_and_a_long_sequence(void **state)
{
    (void)state;
    toys t = make(RT_SOURCE_SAMPLE);
    const int64_t both[2] = {0, 2};
    rt_source_batch b = pack(t.source, &both[0], 1);
    made longer = run(t.student, t.source, &b);
    b = pack(t.source, &both[1], 1);
    made shorter = run(t.student, t.source, &b);
    b = pack(t.source, both, 2);
    made packed = run(t.student, t.source, &b);
    const double of_tokens = (longer.r.loss_sum + shorter.r.loss_sum) / (double)(longer.r.rows + shorter.r.rows);
    const double of_sequences = (longer.r.loss + shorter.r.loss) / 2;
    assert_true(longer.r.rows > 2 * shorter.r.rows);
    assert_true(fabs(packed.r.loss - of_tokens) < 1e-6);
    assert_true(fabs(packed.r.loss - of_sequences) > 1e-4);
    rt_free(longer.grads);
    rt_free(shorter.grads);
    rt_free(packed.grads);
    drop(&t);
}

static void targets_shifted_by_one_position_raise_the_loss(void **state)
{
    (void)state;
    toys t = make(RT_SOURCE_TOPK);
    rt_source_batch b = pack(t.source, (int64_t[]){0, 1, 2, 3}, 4);
    made right = run(t.student, t.source, &b);
    memmove(t.source->b_targets, t.source->b_targets + 1, (size_t)(b.n_rows - 1) * sizeof(rt_target));
    made wrong = run(t.student, t.source, &b);
    if (!(wrong.r.loss > right.r.loss + 0.5)) {
        fail_msg("shifted %g, right %g", wrong.r.loss, right.r.loss);
    }
    rt_free(right.grads);
    rt_free(wrong.grads);
    drop(&t);
}

/* The same model with an output matrix of its own that has the embedding's values. */
static rt_model *untied_twin(const rt_model *m)
{
    rt_err err;
    rt_model *twin;
    rt_hparams hp = m->hp;
    const rt_model_options o = {.precision = RT_PRECISION_F32, .trainable = true};
    hp.tied = false;
    hp.rope_divisors = NULL;
    assert_null(m->hp.rope_divisors);
    assert_ok(rt_model_new(&twin, m->arch, &hp, &o, &err));
    for (size_t i = 0; i < twin->n_params; i++) {
        const rt_param *to = &twin->params[i], *from = rt_model_find(m, to->name);
        from = from != NULL ? from : m->embed;
        memcpy(to->w, from->w, (size_t)to->n * sizeof(float));
    }
    rt_model_refresh(twin);
    return twin;
}

static void a_tied_matrix_gets_the_gradients_of_both_its_uses(void **state)
{
    (void)state;
    toys t = make(RT_SOURCE_SAMPLE);
    rt_model *twin = untied_twin(t.student);
    assert_true(t.student->hp.tied && twin->output != twin->embed);
    rt_source_batch b = pack(t.source, (int64_t[]){0, 1}, 2);
    made tied = run(t.student, t.source, &b), apart = run(twin, t.source, &b);
    assert_true(tied.r.loss == apart.r.loss);
    const float *of_output = apart.grads + twin->output->offset;
    for (size_t i = 0; i < t.student->n_params; i++) {
        const rt_param *p = &t.student->params[i], *q = rt_model_find(twin, p->name);
        float *g = apart.grads + q->offset;
        for (int64_t k = 0; p == t.student->embed && k < p->n; k++) {
            g[k] += of_output[k];
        }
        assert_true(relative_difference(tied.grads + p->offset, g, p->n) < 1e-6);
    }
    rt_free(tied.grads);
    rt_free(apart.grads);
    rt_model_close(twin);
    drop(&t);
}

static void bf16_products_move_the_kl_by_less_than_a_percent(void **state)
{
    (void)state;
    rt_err err;
    rt_model *m;
    toys t = make(RT_SOURCE_TOPK);
    const rt_model_options o = {.precision = RT_PRECISION_BF16, .trainable = true};
    assert_ok(rt_model_open(&m, RT_TEST_GOLDEN "/models/llama", &o, &err));
    memcpy(m->weights, t.student->weights, (size_t)m->n_elements * sizeof(float));
    rt_model_refresh(m);
    rt_source_batch b = pack(t.source, (int64_t[]){0, 1, 2, 3, 4, 5}, 6);
    made exact = run(t.student, t.source, &b), rounded = run(m, t.source, &b);
    assert_true(rounded.r.kl != exact.r.kl);
    assert_true(fabs(rounded.r.kl / exact.r.kl - 1) < 0.01);
    rt_free(exact.grads);
    rt_free(rounded.grads);
    rt_model_close(m);
    drop(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_target_of_a_masked_position_changes_no_bit),
        cmocka_unit_test(packed_sequences_do_not_see_their_neighbours),
        cmocka_unit_test(a_token_weighs_the_same_in_a_short_and_a_long_sequence),
        cmocka_unit_test(targets_shifted_by_one_position_raise_the_loss),
        cmocka_unit_test(a_tied_matrix_gets_the_gradients_of_both_its_uses),
        cmocka_unit_test(bf16_products_move_the_kl_by_less_than_a_percent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
