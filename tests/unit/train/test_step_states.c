/* Terms between states: values and gradients against float64 references, through a map and without, and in a step. */
#include "train/step_layers.h"

#include "model/cut.h"
#include "unit/train/toy.h"

enum { ROWS = 37, D = 48, D_TEACHER = 64 };

/* "proj", or with the loss's name "hidden_mse.grad_proj" */
static const void *tensor(const rt_safetensors *f, const char *loss, const char *what, rt_dtype type)
{
    char name[64];
    snprintf(name, sizeof name, "%s%s%s", loss, loss[0] != '\0' ? "." : "", what);
    const rt_tensor_info *t = rt_safetensors_find(f, name);
    assert_non_null(t);
    assert_int_equal(t->dtype, type);
    return t->data;
}

static void expect_close(const float *got, const double *want, int64_t n, const char *what)
{
    double diff = 0, norm = 0;
    for (int64_t i = 0; i < n; i++) {
        diff += pow((double)got[i] - want[i], 2);
        norm += pow(want[i], 2);
    }
    if (!(sqrt(diff) <= 2e-6 * sqrt(norm))) {
        fail_msg("%s: relative error %g", what, sqrt(diff / norm));
    }
}

/* The term as a step computes it, over the reference's rows, of which the masked ones do not count. */
static void check_golden(rt_state_loss kind)
{
    rt_err err;
    rt_safetensors *f;
    assert_ok(rt_safetensors_open(&f, RT_TEST_SOURCE "/tests/golden/hidden_states.safetensors", &err));
    const float *mask = tensor(f, "", "row_mask", RT_F32), *hidden = tensor(f, "", "student_hidden", RT_F32);
    const char *name = rt_state_loss_name(kind);
    rt_row_value values[ROWS];
    float *dhidden = rt_calloc(ROWS * D, sizeof(float));
    rt_step_rows rows = {.values = values};
    const rt_train_loss loss = rt_train_state_loss_of(kind);
    rt_step_states s;
    rt_projections maps;
    assert_ok(rt_projections_init(&maps, &loss, 1, D_TEACHER, D, 1, &err));
    assert_int_equal(maps.n, 1);
    memcpy(maps.list[0].w, tensor(f, "", "proj", RT_F32), D_TEACHER * D * sizeof(float));
    double counted = 0;
    for (int i = 0; i < ROWS; i++) {
        values[i] = (rt_row_value){.counted = mask[i] != 0};
        counted += values[i].counted;
    }
    rows.weight = 1 / counted;
    assert_ok(rt_step_states_init(&s, &loss, 1, false, &maps, D, D_TEACHER, &err));
    rt_step_compare_states(
        &s, &rows,
        &(rt_head_states){
            .n = ROWS, .hidden = hidden, .teacher = tensor(f, "", "teacher_hidden", RT_F32), .dhidden = dhidden});
    const double *want = tensor(f, name, "value_rows", RT_F64);
    double mean = 0;
    for (int i = 0; i < ROWS; i++) {
        assert_true(!values[i].counted || fabs(values[i].state - want[i]) <= 2e-5 * fabs(want[i]) + 1e-6);
        mean += values[i].loss / counted;
    }
    assert_true(fabs(mean - *(const double *)tensor(f, name, "value", RT_F64)) <= 1e-5 * mean);
    expect_close(dhidden, tensor(f, name, "grad_student_hidden", RT_F64), ROWS * D, "gradient by the states");
    expect_close(maps.list[0].grad, tensor(f, name, "grad_proj", RT_F64), D_TEACHER * D, "gradient by the map");
    rt_step_states_release(&s);
    rt_projections_release(&maps);
    rt_free(dhidden);
    rt_safetensors_close(f);
}

static void cosine_through_a_map_equals_the_reference(void **state)
{
    (void)state;
    check_golden(RT_STATE_COSINE);
}

static void square_distance_through_a_map_equals_the_reference(void **state)
{
    (void)state;
    check_golden(RT_STATE_MSE);
}

static void gradients_equal_difference_quotients_in_double(void **state)
{
    (void)state;
    enum { N = 33 };
    rt_rng rng = rt_rng_init(7, "states", 0);
    for (rt_state_loss k = RT_STATE_COSINE; k < RT_STATE_LOSS_COUNT; k++) {
        double y[N], t[N], dy[N];
        for (int i = 0; i < N; i++) {
            y[i] = rt_rng_normal(&rng);
            t[i] = rt_rng_normal(&rng);
        }
        (void)rt_state_loss_row_f64(k, y, t, N, 0.7, dy);
        for (int i = 0; i < N; i++) {
            const double at = y[i], h = 1e-5;
            y[i] = at + h;
            const double above = rt_state_loss_row_f64(k, y, t, N, 1, NULL);
            y[i] = at - h;
            const double below = rt_state_loss_row_f64(k, y, t, N, 1, NULL);
            y[i] = at;
            assert_true(fabs(dy[i] - 0.7 * (above - below) / (2 * h)) < 1e-9);
        }
        assert_true(rt_state_loss_row_f64(k, t, t, N, 1, dy) < 1e-15);
        memset(y, 0, sizeof y); /* a state of nothing has no direction, and no NaN */
        assert_true(isfinite(rt_state_loss_row_f64(k, y, t, N, 1, dy)) && isfinite(dy[0]));
    }
}

/* --- in a step --------------------------------------------------------------------------------------------------- */

typedef struct made {
    rt_step_report r;
    float *grads;
    rt_projections maps;
} made;

static rt_train_loss term(bool project)
{
    rt_train_loss l = rt_train_state_loss_of(RT_STATE_COSINE);
    l.weight = 0.5;
    l.project = project;
    return l;
}

static bool recompute;

static made run_with(rt_model *m, rt_source *s, const rt_model *teacher, rt_train_loss l, const int *map, int64_t micro)
{
    rt_err err;
    rt_step *step;
    rt_source_batch b;
    rt_source_cursor c = {0};
    made out = {.grads = rt_calloc((size_t)m->n_elements, sizeof(float))};
    rt_step_options o = {.losses = {l, rt_train_loss_of(RT_LOSS_FORWARD_KL, 1)},
                         .n_losses = 2,
                         .batch_tokens = 96,
                         .micro_tokens = micro,
                         .projections = &out.maps,
                         .teacher = teacher,
                         .layer_map = map,
                         .recompute = recompute};
    assert_ok(rt_projections_init(&out.maps, o.losses, o.n_losses, teacher->hp.d_model, m->hp.d_model, 1, &err));
    assert_ok(rt_step_new(&step, m, &s->info, &o, &err));
    assert_ok(rt_source_next(s, &c, 96, &b, &err));
    assert_ok(rt_step_run(step, &b, out.grads, &out.r, &err));
    rt_step_free(step);
    return out;
}

static made run(rt_model *m, rt_source *s, bool project, int64_t micro)
{
    return run_with(m, s, s->teacher, term(project), NULL, micro);
}

static void drop(made *m)
{
    rt_free(m->grads);
    rt_projections_release(&m->maps);
}

static double distance(const float *a, const float *b, int64_t n)
{
    double diff = 0, norm = 0;
    for (int64_t i = 0; i < n; i++) {
        diff += pow((double)a[i] - (double)b[i], 2);
        norm += pow((double)a[i], 2);
    }
    return sqrt(diff / norm);
}

static void cached_and_online_states_give_one_gradient_whatever_the_micro_batches(void **state)
{
    (void)state;
    rt_model *teacher = toy_teacher(), *student = toy_student();
    rt_source *cached = toy_source(RT_SOURCE_HIDDEN, teacher), *online = toy_source(RT_SOURCE_DENSE, teacher);
    for (int project = 0; project < 2; project++) {
        made whole = run(student, cached, project, 96), halves = run(student, cached, project, 48),
             dense = run(student, online, project, 96);
        assert_int_equal(whole.maps.n, project);
        assert_true(whole.r.state > 0 && fabs(whole.r.loss - 0.5 * whole.r.state - whole.r.kl) < 1e-6);
        assert_true(distance(whole.grads, halves.grads, student->n_elements) < 1e-6);
        assert_true(distance(whole.grads, dense.grads, student->n_elements) < 1e-5);
        if (project) {
            const int64_t n = whole.maps.list[0].dims[0] * whole.maps.list[0].dims[1];
            assert_true(distance(whole.maps.list[0].grad, halves.maps.list[0].grad, n) < 1e-6);
        }
        drop(&whole);
        drop(&halves);
        drop(&dense);
    }
    rt_source_close(cached);
    rt_source_close(online);
    rt_model_close(teacher);
    rt_model_close(student);
}

/* Along its own direction the loss of the whole model changes by the square of the gradient's norm. */
static void expect_slope(rt_model *student, rt_source *s, const rt_model *teacher, rt_train_loss l, const int *map)
{
    made at = run_with(student, s, teacher, l, map, 96);
    double squares = 0, loss[2];
    for (int64_t i = 0; i < student->n_elements; i++) {
        squares += pow((double)at.grads[i], 2);
    }
    const double h = 1e-2 / sqrt(squares);
    for (int side = 0; side < 2; side++) {
        const float by = (float)(side == 0 ? h : -2 * h);
        for (int64_t i = 0; i < student->n_elements; i++) {
            student->weights[i] += by * at.grads[i];
        }
        rt_model_refresh(student);
        made moved = run_with(student, s, teacher, l, map, 96);
        loss[side] = moved.r.loss;
        drop(&moved);
    }
    const double slope = (loss[0] - loss[1]) / (2 * h);
    if (!(fabs(slope - squares) < 5e-3 * squares)) {
        fail_msg("slope %g, gradient squared %g", slope, squares);
    }
    drop(&at);
}

static void the_gradient_of_a_step_is_the_slope_of_its_loss(void **state)
{
    (void)state;
    rt_model *teacher = toy_teacher(), *student = toy_student();
    rt_source *s = toy_source(RT_SOURCE_HIDDEN, teacher);
    expect_slope(student, s, s->teacher, term(false), NULL);
    rt_source_close(s);
    rt_model_close(teacher);
    rt_model_close(student);
}

/* --- inside the stack -------------------------------------------------------------------------------------------- */

enum { LAYERS = 2 };
static const int kept[LAYERS] = {0, 2};

/* Layers 0 and 2 of three, shaken. */
static rt_model *shallow_student(void)
{
    rt_err err;
    rt_model *whole = toy_student(), *out;
    const rt_model_options o = {.precision = RT_PRECISION_F32, .trainable = true};
    rt_cut cut = {.shape = {.layers = LAYERS}, .layers = kept};
    assert_int_equal(whole->hp.n_layer, 3);
    assert_ok(rt_shape_settle(&cut.shape, whole->arch, &whole->hp, &err));
    assert_ok(rt_model_prune(&out, whole, &cut, &o, &err));
    rt_model_close(whole);
    return out;
}

static rt_train_loss between_layers(rt_state_loss kind, bool project)
{
    rt_train_loss l = rt_train_state_loss_of(kind);
    l.weight = 0.5;
    l.project = project;
    l.layers = true;
    return l;
}

/* What layer `layer` of m reads in the first batch of the source, [rows with targets][d]. */
static float *layer_inputs(const rt_model *m, rt_source *s, int layer, int64_t *n)
{
    rt_err err;
    rt_acts *acts;
    rt_source_batch b;
    rt_source_cursor c = {0};
    const int64_t d = m->hp.d_model;
    assert_ok(rt_source_next(s, &c, 96, &b, &err));
    assert_ok(rt_acts_new(&acts, m, 96, 96, RT_NET_TRAIN, &err));
    rt_net_forward(m, acts, &b.net);
    float *x = rt_malloc((size_t)(b.n_rows * d) * sizeof *x);
    for (int64_t i = 0; i < b.n_rows; i++) {
        memcpy(x + i * d, rt_acts_layer_input(acts, layer) + b.rows[i] * d, (size_t)d * sizeof *x);
    }
    *n = b.n_rows;
    rt_acts_free(acts);
    return x;
}

/* 1 - cosine of two arrays of rows, in the mean. */
static double mean_distance(const float *a, const float *b, int64_t n, int64_t d)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        double yt = 0, yy = 0, tt = 0;
        for (int64_t j = 0; j < d; j++) {
            const double y = a[i * d + j], t = b[i * d + j];
            yt += y * t;
            yy += y * y;
            tt += t * t;
        }
        sum += 1 - yt / sqrt(yy * tt);
    }
    return sum / (double)n;
}

/* meant: what `map` says, or stands for where it is NULL. */
static void expect_distance(rt_model *student, const rt_model *teacher, const int *map, const int *meant)
{
    rt_source *s = toy_source(RT_SOURCE_SAMPLE, teacher);
    const int layers = (int)student->hp.n_layer;
    double want = 0;
    for (int l = 1; l < layers; l++) {
        int64_t n;
        float *own = layer_inputs(student, s, l, &n), *theirs = layer_inputs(teacher, s, meant[l], &n);
        want += mean_distance(own, theirs, n, student->hp.d_model) / (layers - 1);
        rt_free(own);
        rt_free(theirs);
    }
    made got = run_with(student, s, teacher, between_layers(RT_STATE_COSINE, false), map, 96);
    assert_true(want > 1e-3 && fabs(got.r.state - want) < 1e-5);
    assert_true(fabs(got.r.loss - 0.5 * got.r.state - got.r.kl) < 1e-6);
    drop(&got);
    rt_source_close(s);
}

static const int crossed[] = {0, 2, 1};

static void a_term_between_layers_is_the_mean_distance_of_what_they_read(void **state)
{
    (void)state;
    rt_model *teacher = toy_teacher(), *shallow = shallow_student(), *whole = toy_student();
    expect_distance(shallow, teacher, kept, kept);
    expect_distance(shallow, teacher, NULL, (const int[]){0, 1});
    expect_distance(whole, teacher, crossed, crossed);
    rt_model_close(teacher);
    rt_model_close(shallow);
    rt_model_close(whole);
}

static void the_gradient_between_layers_is_the_slope_of_its_loss(void **state)
{
    (void)state;
    rt_model *teacher = toy_teacher();
    static const rt_source_kind kinds[] = {RT_SOURCE_SAMPLE, RT_SOURCE_DENSE};
    for (int i = 0; i < 8; i++) {
        rt_model *student = i < 4 ? shallow_student() : toy_student();
        rt_source *s = toy_source(kinds[i % 2], teacher);
        recompute = i % 4 == 1 || i % 4 == 2;
        expect_slope(student, s, teacher, between_layers(i / 2 % 2 ? RT_STATE_MSE : RT_STATE_COSINE, i % 2 == 1),
                     i < 4 ? kept : crossed);
        rt_source_close(s);
        rt_model_close(student);
    }
    recompute = false;
    rt_model_close(teacher);
}

static void micro_batches_do_not_change_a_term_between_layers(void **state)
{
    (void)state;
    rt_model *teacher = toy_teacher(), *student = shallow_student();
    rt_source *s = toy_source(RT_SOURCE_SAMPLE, teacher);
    const rt_train_loss l = between_layers(RT_STATE_COSINE, true);
    made whole = run_with(student, s, teacher, l, kept, 96), halves = run_with(student, s, teacher, l, kept, 48);
    const int64_t n = whole.maps.list[0].dims[0] * whole.maps.list[0].dims[1];
    assert_true(distance(whole.grads, halves.grads, student->n_elements) < 1e-6);
    assert_true(distance(whole.maps.list[0].grad, halves.maps.list[0].grad, n) < 1e-6);
    drop(&whole);
    drop(&halves);
    rt_source_close(s);
    rt_model_close(teacher);
    rt_model_close(student);
}

static void a_teacher_is_no_distance_from_itself_and_rests_at_weight_zero(void **state)
{
    (void)state;
    rt_model *teacher = toy_teacher(), *same = toy_teacher();
    rt_source *s = toy_source(RT_SOURCE_SAMPLE, teacher);
    rt_train_loss l = between_layers(RT_STATE_COSINE, false);
    made at = run_with(same, s, teacher, l, NULL, 96);
    assert_true(fabs(at.r.state) < 1e-6);
    drop(&at);
    l.weight = 0;
    l.to = 1;
    l.over = 10;
    made rests = run_with(same, s, teacher, l, NULL, 96);
    assert_true(isnan(rests.r.state) && fabs(rests.r.loss - rests.r.kl) < 1e-6);
    drop(&rests);
    rt_source_close(s);
    rt_model_close(teacher);
    rt_model_close(same);
}

static void impossible_pairs_are_refused(void **state)
{
    (void)state;
    rt_err err;
    rt_model *teacher = toy_teacher(), *student = toy_student();
    rt_source_info info = {.kind = RT_SOURCE_SAMPLE,
                           .n_vocab = student->hp.n_vocab,
                           .d_model = teacher->hp.d_model,
                           .sequence = 24,
                           .temperature = 1};
    rt_step_options o = {.losses = {rt_train_loss_of(RT_LOSS_FORWARD_KL, 1), term(false)},
                         .n_losses = 2,
                         .batch_tokens = 96,
                         .micro_tokens = 96,
                         .teacher = teacher};
    assert_int_equal(rt_step_check(student, &info, &o, &err), RT_USAGE);
    assert_says(err.msg, "'hidden_cosine' needs the teacher's states");
    info.kind = RT_SOURCE_LABELS;
    o.losses[0] = rt_train_loss_of(RT_LOSS_CE, 1);
    assert_int_equal(rt_step_check(student, &info, &o, &err), RT_USAGE);
    info.kind = RT_SOURCE_HIDDEN;
    o.losses[0] = o.losses[1];
    o.n_losses = 1;
    assert_int_equal(rt_step_check(student, &info, &o, &err), RT_USAGE);
    assert_says(err.msg, "does not train the head");
    info.kind = RT_SOURCE_SAMPLE;
    o.losses[0] = rt_train_loss_of(RT_LOSS_FORWARD_KL, 1);
    o.losses[1] = between_layers(RT_STATE_MSE, false);
    o.n_losses = 2;
    assert_ok(rt_step_check(student, &info, &o, &err));
    o.layer_map = (const int[]){0, 1, 3};
    assert_int_equal(rt_step_check(student, &info, &o, &err), RT_USAGE);
    assert_says(err.msg, "layer 2 of the student stands for layer 3 of a teacher of 3");
    o.teacher = NULL;
    assert_int_equal(rt_step_check(student, &info, &o, &err), RT_USAGE);
    assert_says(err.msg, "needs the teacher's weights");
    rt_model_close(teacher);
    rt_model_close(student);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cosine_through_a_map_equals_the_reference),
        cmocka_unit_test(square_distance_through_a_map_equals_the_reference),
        cmocka_unit_test(gradients_equal_difference_quotients_in_double),
        cmocka_unit_test(cached_and_online_states_give_one_gradient_whatever_the_micro_batches),
        cmocka_unit_test(the_gradient_of_a_step_is_the_slope_of_its_loss),
        cmocka_unit_test(a_term_between_layers_is_the_mean_distance_of_what_they_read),
        cmocka_unit_test(the_gradient_between_layers_is_the_slope_of_its_loss),
        cmocka_unit_test(micro_batches_do_not_change_a_term_between_layers),
        cmocka_unit_test(a_teacher_is_no_distance_from_itself_and_rests_at_weight_zero),
        cmocka_unit_test(impossible_pairs_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
