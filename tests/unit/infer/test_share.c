/* Prompts that begin the same: what one has read, no other reads again, and nobody sees it in the bits. */
#include "infer/slot.h"
#include "infer_fixture.h"

/* What a sequence became: at most MOST tokens. */
enum { MOST = 12, LONG = 2 * RT_PIECE + 40 };

typedef struct heard {
    int32_t ids[MOST];
    float logprobs[MOST];
    int64_t n;
    rt_stop stop;
} heard;

typedef struct asked {
    const rt_prompt *p;
    heard *heard;
    int order[64], n_ended; /* indices in the order they ended */
    int64_t stop_at[64];    /* tokens after which a sequence is ended; 0: it goes on */
    size_t fail_at;         /* index whose end fails, plus 1 */
    size_t most_bytes;      /* in use at a token */
} asked;

static rt_prompt prompt_at(void *ud, size_t index)
{
    return ((const asked *)ud)->p[index];
}

static bool hear(void *ud, size_t index, const rt_generated *g)
{
    asked *a = ud;
    const size_t now = rt_mem_get_stats().live_bytes;
    a->most_bytes = now > a->most_bytes ? now : a->most_bytes;
    return g->n != a->stop_at[index];
}

static rt_status note_end(void *ud, size_t index, const rt_generated *g, rt_err *err)
{
    asked *a = ud;
    heard *h = &a->heard[index];
    memcpy(h->ids, g->ids, (size_t)g->n * sizeof *g->ids);
    memcpy(h->logprobs, g->logprobs, (size_t)g->n * sizeof *g->logprobs);
    h->n = g->n;
    h->stop = g->stop;
    a->order[a->n_ended++] = (int)index;
    return index + 1 == a->fail_at ? rt_fail(err, RT_IO, 0, "no place for answer %zu", index) : RT_OK;
}

static rt_generate_counts run(const rt_model *m, asked *a, size_t n, rt_generate_options o)
{
    rt_err err = {0};
    rt_generate_counts counts;
    o.on_token = hear;
    o.on_end = note_end;
    o.ud = a;
    assert_ok(rt_generate_each(m, NULL, &(rt_prompt_list){n, prompt_at, a}, &o, &counts, &err));
    assert_int_equal(a->n_ended, n);
    return counts;
}

/* A reference model with room for prompts of several pieces; closes `source`. */
static rt_model *with_context(rt_model *source, int64_t n_ctx)
{
    rt_err err = {0};
    rt_model *m = NULL;
    rt_hparams hp = source->hp;
    hp.n_ctx = n_ctx;
    assert_ok(rt_model_new(&m, source->arch, &hp, &(rt_model_options){.precision = RT_PRECISION_F32}, &err));
    for (size_t i = 0; i < m->n_params; i++) {
        rt_param_read(&source->params[i], m->params[i].w);
    }
    rt_model_refresh(m);
    source->hp.rope_divisors = NULL; /* now the other's */
    rt_model_close(source);
    return m;
}

/* Prompts 0, 1, 4 are one; 2 and 3 leave it after one piece and after two; 5 is its first two pieces; 6 is another. */
enum { N = 7 };
static void make_prompts(rt_prompt *p, int32_t ids[N][LONG], int64_t n_vocab)
{
    rt_rng rng = rt_rng_init(5, "shared prompts", 0);
    for (int j = 0; j < LONG; j++) {
        ids[0][j] = (int32_t)rt_rng_below(&rng, (uint64_t)n_vocab);
    }
    const int leaves[N] = {LONG, LONG, RT_PIECE + 9, 2 * RT_PIECE, LONG, LONG, 0};
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < LONG; j++) {
            ids[i][j] = j < leaves[i] ? ids[0][j] : (int32_t)((ids[0][j] + 1) % n_vocab);
        }
        p[i] = (rt_prompt){.ids = ids[i], .n = i == 5 ? 2 * RT_PIECE : LONG};
    }
}

/* Alone, side by side without sharing, and sharing with places for all, for three and for one. */
static void check_sharing(rt_model *m)
{
    static int32_t ids[N][LONG];
    rt_prompt p[N];
    static heard apart[N], shared[N], alone; /* static: their padding is equal */
    make_prompts(p, ids, m->hp.n_vocab);
    rt_generate_options o = {.sampling = {.temperature = 1, .seed = 2}, .max_new = MOST, .apart = true};
    rt_generate_counts c = run(m, &(asked){.p = p, .heard = apart}, N, o);
    const int64_t total = 6 * LONG + 2 * RT_PIECE;
    assert_int_equal(c.read, total);
    assert_int_equal(c.reused, 0);
    assert_int_equal(c.written, N * MOST);
    const int64_t pieces = RT_PIECE + 2 * RT_PIECE + RT_PIECE; /* of 2, 3 and 5: its last piece gives its last row */
    for (int batch = 1; batch <= N; batch += batch < 3 ? 2 : N - 3) {
        o.apart = false;
        o.max_batch = batch;
        c = run(m, &(asked){.p = p, .heard = shared}, N, o);
        assert_memory_equal(shared, apart, sizeof shared);
        assert_int_equal(c.read + c.reused, total);
        if (rt_kv_recurrent(m)) {
            assert_true(c.reused >= LONG); /* equal prompts */
        } else if (batch == N) {
            assert_int_equal(c.reused, 2 * LONG + pieces);
        }
    }
    for (size_t i = 0; i < N; i++) {
        o.first_sequence = i;
        run(m, &(asked){.p = &p[i], .heard = &alone}, 1, o);
        assert_memory_equal(&alone, &apart[i], sizeof alone);
    }
    rt_model_close(m);
}

static void sharing_changes_no_bit(void **state)
{
    (void)state;
    for (int i = 0; i < N_ALL; i++) {
        const tiny_model t = tiny_at(i);
        check_sharing(with_context(tiny_open(&t, RT_PRECISION_F32), 512));
    }
}

static void a_prefix_is_read_once(void **state)
{
    (void)state;
    enum { PROMPTS = 8, ANSWERS = 4, OWN = 20, ALL = RT_PIECE + OWN };
    rt_model *m = with_context(tiny_open(&tiny_models[0], RT_PRECISION_F32), 512);
    static int32_t ids[PROMPTS][ALL];
    rt_prompt p[PROMPTS * ANSWERS];
    heard h[PROMPTS * ANSWERS];
    for (int i = 0; i < PROMPTS * ANSWERS; i++) {
        int32_t *own = ids[i / ANSWERS];
        for (int j = 0; j < ALL; j++) {
            own[j] = j < RT_PIECE ? j % 50 : 3 + i / ANSWERS;
        }
        p[i] = (rt_prompt){.ids = own, .n = ALL};
    }
    for (int batch = 1; batch <= 16; batch *= 4) {
        const rt_generate_counts c = run(m, &(asked){.p = p, .heard = h}, PROMPTS * ANSWERS,
                                         (rt_generate_options){.max_new = 5, .max_batch = batch});
        assert_int_equal(c.read, RT_PIECE + PROMPTS * OWN);
        assert_int_equal(c.reused, PROMPTS * ANSWERS * ALL - c.read);
    }
    rt_model_close(m);
}

/* A sequence that goes on for long must not let all others pass: what they wrote waits for it. */
static void nobody_runs_too_far_ahead(void **state)
{
    (void)state;
    enum { MANY = 12, AHEAD = 4 };
    rt_model *m = tiny_open(&tiny_models[0], RT_PRECISION_F32);
    rt_prompt *p = random_prompts(MANY, 2, 6, m->hp.n_vocab, 5);
    static heard h[MANY], free_h[MANY];
    asked a = {.p = p, .heard = h}, freely = {.p = p, .heard = free_h};
    for (int i = 1; i < MANY; i++) {
        a.stop_at[i] = freely.stop_at[i] = 1;
    }
    run(m, &a, MANY, (rt_generate_options){.max_new = MOST, .max_batch = 3, .max_ahead = AHEAD});
    run(m, &freely, MANY, (rt_generate_options){.max_new = MOST, .max_batch = 3});
    const int held[] = {1, 2, 3, 0, 4}, passed[] = {1, 2, 3, 4, 5};
    for (int i = 0; i < 5; i++) {
        assert_int_equal(a.order[i], held[i]);
        assert_int_equal(freely.order[i], passed[i]);
    }
    assert_memory_equal(h, free_h, sizeof h);
    drop_prompts(p, MANY);
    rt_model_close(m);
}

static void memory_is_what_was_foreseen(void **state)
{
    (void)state;
    for (int i = 0; i < N_TINY; i++) {
        rt_model *m = tiny_open(&tiny_models[i], RT_PRECISION_F32);
        rt_prompt *p = random_prompts(20, 2, 20, m->hp.n_vocab, 5);
        heard h[20];
        asked a = {.p = p, .heard = h};
        int64_t longest = 0;
        for (int j = 0; j < 20; j++) {
            longest = p[j].n > longest ? p[j].n : longest;
        }
        const size_t before = rt_mem_get_stats().live_bytes;
        run(m, &a, 20, (rt_generate_options){.max_new = 6, .max_batch = 8});
        const size_t foreseen = rt_generate_bytes(m, longest, 6, 8), used = a.most_bytes - before;
        if (used > foreseen + 4096 || (double)used < 0.95 * (double)foreseen) {
            fail_msg("%s: %zu bytes foreseen, %zu used", tiny_models[i].name, foreseen, used);
        }
        drop_prompts(p, 20);
        rt_model_close(m);
    }
}

static void an_end_that_fails_ends_everything(void **state)
{
    (void)state;
    rt_model *m = tiny_open(&tiny_models[0], RT_PRECISION_F32);
    rt_prompt *p = random_prompts(6, 2, 6, m->hp.n_vocab, 5);
    heard h[6];
    rt_err err = {0};
    asked a = {.p = p, .heard = h, .fail_at = 3};
    const rt_generate_options o = {.max_new = 4, .max_batch = 2, .on_end = note_end, .ud = &a};
    assert_int_equal(rt_generate_each(m, NULL, &(rt_prompt_list){6, prompt_at, &a}, &o, NULL, &err), RT_IO);
    assert_says(err.msg, "no place for answer 2");
    assert_int_equal(a.n_ended, 3);
    drop_prompts(p, 6);
    rt_model_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sharing_changes_no_bit),
        cmocka_unit_test(a_prefix_is_read_once),
        cmocka_unit_test(nobody_runs_too_far_ahead),
        cmocka_unit_test(memory_is_what_was_foreseen),
        cmocka_unit_test(an_end_that_fails_ends_everything),
    };
    return cmocka_run_group_tests_name("share", tests, NULL, NULL);
}
