/* Products by codes at every level of this machine against the decoded weights: exact but for f32 sums on the rounded
 * rows, within half a step of the rounding on the rows themselves; the same bits alone and among others. */
#include "format/quant.h"
#include "kernel_test.h"
#include "rt_test.h"

enum { MAX_ROWS = 37 };

typedef struct shape {
    rt_dtype type;
    int64_t n_out, k;
} shape;

static const shape shapes[] = {{RT_Q4_0, 16, 32}, {RT_Q4_0, 23, 96},   {RT_Q4_1, 16, 64},
                               {RT_Q4_1, 1, 576}, {RT_Q4_1, 49, 224},  {RT_Q4_1, 32, 1536},
                               {RT_Q8_0, 16, 32}, {RT_Q8_0, 37, 1536}, {RT_Q8_0, 5, 576}};
enum { N_SHAPES = sizeof shapes / sizeof shapes[0] };

typedef struct fixture {
    shape s;
    void *block;
    rt_qmatrix q;
    float *w; /* decoded */
    rt_q8_rows rows;
} fixture;

/* Rows of random blocks, all codes alike, packed and decoded. */
static fixture set_up(const shape *s)
{
    rt_err err = {0};
    fixture f = {.s = *s, .rows = {.k = s->k}};
    const size_t row_bytes = (size_t)(s->k / rt_dtype_block(s->type) * rt_dtype_block_bytes(s->type));
    rt_rng rng = rt_rng_init(7, "codes", (uint64_t)(s->n_out * s->k));
    uint8_t *row = rt_malloc(row_bytes);
    assert_ok(rt_new_big(&f.block, rt_qmatrix_bytes(s->type, s->n_out, s->k), "codes", &err));
    f.q = rt_qmatrix_over(f.block, s->type, s->n_out, s->k);
    f.w = new_floats(s->n_out * s->k);
    f.rows.codes = rt_malloc((size_t)(MAX_ROWS * s->k));
    f.rows.scales = rt_malloc((size_t)(MAX_ROWS * s->k / RT_Q_BLOCK * 2) * sizeof(float));
    for (int64_t i = 0; i < s->n_out; i++) {
        for (size_t b = 0; b < row_bytes; b++) {
            row[b] = (uint8_t)rt_rng_below(&rng, 256);
        }
        for (int64_t b = 0; b < s->k / RT_Q_BLOCK; b++) {
            uint16_t scale[2] = {rt_f32_to_f16((float)rt_rng_normal(&rng) * 0.05f),
                                 rt_f32_to_f16((float)rt_rng_normal(&rng) * 0.3f)};
            memcpy(row + b * rt_dtype_block_bytes(s->type), scale, s->type == RT_Q4_1 ? 4 : 2);
        }
        rt_qmatrix_put_row(&f.q, i, row);
        rt_decode(s->type, row, f.w + i * s->k, s->k);
    }
    rt_free(row);
    return f;
}

static void tear_down(fixture *f)
{
    drop_floats(f->w, f->s.n_out * f->s.k);
    rt_free(f->block);
    rt_free(f->rows.codes);
    rt_free(f->rows.scales);
}

static void multiply(const rt_kernels *k, const fixture *f, float *y, int64_t ldy, const float *x, int64_t ldx,
                     int64_t n)
{
    k->q8_rows(&f->rows, 0, x, ldx, n);
    k->qmatvec(y, ldy, &f->rows, n, &f->q, 0, rt_qmatrix_panels(f->s.n_out));
}

/* A product in double: of the rounded row (`size`: its terms' magnitudes, those of the codes' own zero included), and
 * of the row itself (`slack`: what rounding each element by half a step may change). */
typedef struct expected {
    double rounded, size, exact, slack;
} expected;

static expected expect(const fixture *f, const float *x, int64_t r, int64_t j)
{
    expected e = {0};
    const int64_t blocks = f->s.k / RT_Q_BLOCK;
    for (int64_t i = 0; i < f->s.k; i++) {
        const double d = f->rows.scales[(r * blocks + i / RT_Q_BLOCK) * 2], w = f->w[j * f->s.k + i];
        const double rounded = d * f->rows.codes[r * f->s.k + i];
        const double zero = f->s.type == RT_Q4_1 ? 0.6 : 0.6 * 16; /* largest |m| of these blocks */
        e.rounded += w * rounded;
        e.size += (fabs(w) + zero) * fabs(rounded);
        e.exact += w * x[i];
        e.slack += fabs(w) * d * 0.5001;
    }
    return e;
}

static void check_products(const rt_kernels *k)
{
    for (int c = 0; c < N_SHAPES; c++) {
        fixture f = set_up(&shapes[c]);
        const int64_t ldx = f.s.k + 5, ldy = f.s.n_out + 3;
        float *x = new_random(MAX_ROWS * ldx, 41), *y = new_floats(MAX_ROWS * ldy);
        multiply(k, &f, y, ldy, x, ldx, MAX_ROWS);
        for (int64_t r = 0; r < MAX_ROWS; r++) {
            for (int64_t j = 0; j < f.s.n_out; j++) {
                const expected e = expect(&f, x + r * ldx, r, j);
                const double got = y[r * ldy + j];
                assert_true(fabs(got - e.rounded) <= 2e-6 * e.size + 1e-30);
                assert_true(fabs(got - e.exact) <= e.slack + 2e-6 * e.size + 1e-30);
            }
            assert_true(y[r * ldy + f.s.n_out] == GUARD_VALUE);
        }
        drop_floats(x, MAX_ROWS * ldx);
        drop_floats(y, MAX_ROWS * ldy);
        tear_down(&f);
    }
}

static void check_independence(const rt_kernels *k)
{
    for (int c = 0; c < N_SHAPES; c++) {
        fixture f = set_up(&shapes[c]);
        const int64_t n = f.s.n_out;
        float *x = new_random(MAX_ROWS * f.s.k, 43), *all = new_floats(MAX_ROWS * n), *one = new_floats(n);
        multiply(k, &f, all, n, x, f.s.k, MAX_ROWS);
        for (int64_t r = 0; r < MAX_ROWS; r++) {
            multiply(k, &f, one, n, x + r * f.s.k, f.s.k, 1);
            assert_memory_equal(one, all + r * n, (size_t)n * sizeof *one);
        }
        drop_floats(x, MAX_ROWS * f.s.k);
        drop_floats(all, MAX_ROWS * n);
        drop_floats(one, n);
        tear_down(&f);
    }
}

static void check_odd_rows(const rt_kernels *k)
{
    static const float odd[] = {0.0f, 1e-38f, 1e30f, NAN, INFINITY, -INFINITY};
    for (int c = 0; c < N_SHAPES; c++) {
        fixture f = set_up(&shapes[c]);
        float *x = new_floats(f.s.k), *y = new_floats(f.s.n_out);
        for (int o = 0; o < 6; o++) {
            memset(x, 0, (size_t)f.s.k * sizeof *x);
            x[f.s.k / 2] = odd[o];
            multiply(k, &f, y, f.s.n_out, x, f.s.k, 1);
            for (int64_t j = 0; j < f.s.n_out; j++) {
                if (isfinite(odd[o])) {
                    const double want = (double)f.w[j * f.s.k + f.s.k / 2] * odd[o];
                    assert_true(fabs(y[j] - want) <= 1e-5 * odd[o] + 1e-30);
                } else {
                    assert_true(isnan(y[j]));
                }
            }
        }
        drop_floats(x, f.s.k);
        drop_floats(y, f.s.n_out);
        tear_down(&f);
    }
}

static void products_match_the_decoded_weights(void **state)
{
    (void)state;
    at_every_level(check_products);
}

static void a_row_has_the_same_bits_alone_and_among_others(void **state)
{
    (void)state;
    at_every_level(check_independence);
}

static void zeros_and_what_is_not_finite_stay_so(void **state)
{
    (void)state;
    at_every_level(check_odd_rows);
}

static void only_whole_blocks_of_known_types_are_kept(void **state)
{
    (void)state;
    assert_true(rt_qmatrix_serves(RT_Q4_1, 576));
    assert_false(rt_qmatrix_serves(RT_Q4_1, 48));
    assert_false(rt_qmatrix_serves(RT_Q6_K, 256));
    assert_false(rt_qmatrix_serves(RT_BF16, 64));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_match_the_decoded_weights),
        cmocka_unit_test(a_row_has_the_same_bits_alone_and_among_others),
        cmocka_unit_test(zeros_and_what_is_not_finite_stay_so),
        cmocka_unit_test(only_whole_blocks_of_known_types_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
