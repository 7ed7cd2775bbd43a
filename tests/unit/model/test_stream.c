/* A model larger than the memory it may take gives the same bits as one in memory, keeps below its ceiling, and reads
 * only the experts that rows were routed to. */

#include "golden_cases.h"
#include "streamed.h"

#define MB ((int64_t)1 << 20)

/* A llama (or a mixture like Qwen3's) with made-up weights, written as GGUF of F32. */
static char *made_up_model(const char *dir, const char *arch, const char *source, int64_t n_layer, int64_t d, int64_t f)
{
    rt_err err = {0};
    rt_model *pattern = NULL, *m = NULL;
    char *golden = rt_path_join(RT_TEST_GOLDEN, source), *path = rt_path_join(dir, "model.gguf");
    assert_ok(rt_model_open(&pattern, golden, &(rt_model_options){.precision = RT_PRECISION_F32}, &err));
    rt_hparams hp = pattern->hp;
    hp.rope_divisors = NULL;
    for (int64_t l = 0; l < n_layer; l++) {
        hp.layer_moe[l] = hp.route.n_expert > 0;
        hp.layer_mixer[l] = hp.layer_mixer[0];
        hp.layer_sliding[l] = hp.layer_sliding[0];
    }
    hp.n_layer = n_layer;
    hp.d_model = d;
    hp.d_ff = f;
    assert_ok(rt_model_new(&m, rt_arch_by_gguf(arch), &hp,
                           &(rt_model_options){.precision = RT_PRECISION_F32, .trainable = true}, &err));
    rt_rng r = rt_rng_init(5, "made-up weights", 0);
    for (int64_t i = 0; i < m->n_elements; i++) {
        m->weights[i] = (float)(0.1 * (rt_rng_f64(&r) - 0.5));
    }
    assert_ok(rt_model_save_gguf(m, path, RT_F32, NULL, NULL, &err));
    rt_model_close(m);
    rt_model_close(pattern);
    rt_free(golden);
    return path;
}

#define SPAN 48 /* tokens of the sequences here */

static rt_model *open_with(const char *path, rt_precision precision, int64_t memory)
{
    rt_err err = {0};
    rt_model *m = NULL;
    const rt_model_options o = {.precision = precision, .memory = memory, .span = SPAN};
    assert_ok(rt_model_open(&m, path, &o, &err));
    return m;
}

/* Residual stream after the last layer, of n ids that are a function of `seed`; freed by the caller. */
static float *forward(const rt_model *m, int64_t n, int seed)
{
    rt_err err = {0};
    rt_acts *a = NULL;
    int32_t ids[64];
    float *x = NULL;
    for (int64_t i = 0; i < n; i++) {
        ids[i] = (int32_t)((i * 7 + seed) % m->hp.n_vocab);
    }
    assert_ok(rt_acts_new(&a, m, n, n, RT_NET_FORWARD, &err));
    rt_net_forward(m, a, &(rt_batch){.ids = ids, .n_rows = n, .spans = &(rt_span){.row0 = 0, .n = n}, .n_spans = 1});
    assert_ok(RT_NEW(&x, (size_t)(n * m->hp.d_model), "rows", &err));
    memcpy(x, rt_acts_x(a), (size_t)(n * m->hp.d_model) * sizeof *x);
    rt_acts_free(a);
    return x;
}

static rt_model *open_streamed(const char *path, rt_precision precision)
{
    rt_err err = {0};
    rt_model *m = NULL;
    assert_ok(streamed_open(&m, path, precision, SPAN, &err));
    return m;
}

static int64_t weight_bytes(const rt_model *m)
{
    return m->n_elements * (m->compute == RT_BF16 ? 2 : 4);
}

static void check_same_bits(const char *path, rt_precision precision)
{
    rt_model *whole = open_with(path, precision, INT64_MAX);
    rt_model *streamed = open_streamed(path, precision);
    assert_null(whole->stream);
    for (int seed = 0; seed < 3; seed++) {
        float *a = forward(whole, 48, seed), *b = forward(streamed, 48, seed);
        assert_memory_equal(a, b, (size_t)(48 * whole->hp.d_model) * sizeof *a);
        rt_free(a);
        rt_free(b);
    }
    assert_int_equal(rt_model_streamed(streamed).layers, 3 * streamed->hp.n_layer);
    assert_int_equal(rt_model_streamed(whole).layers, 0);
    rt_model_close(whole);
    rt_model_close(streamed);
}

static void gives_the_bits_of_a_model_in_memory(void **state)
{
    (void)state;
    static const struct {
        const char *arch, *source;
    } cases[] = {{"llama", "models/llama"}, {"qwen3moe", "models/qwen3_moe"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *dir = rt_test_scratch();
        char *path = made_up_model(dir, cases[i].arch, cases[i].source, 6, 64, 128);
        check_same_bits(path, RT_PRECISION_F32);
        check_same_bits(path, RT_PRECISION_BF16);
        rt_free(path);
        rt_test_scratch_drop(dir);
    }
}

static void reads_only_the_experts_that_rows_go_to(void **state)
{
    (void)state;
    char *dir = rt_test_scratch();
    char *path = made_up_model(dir, "qwen3moe", "models/qwen3_moe", 4, 64, 128);
    rt_model *whole = open_with(path, RT_PRECISION_F32, INT64_MAX);
    rt_model *m = open_streamed(path, RT_PRECISION_F32);
    const int64_t used = m->hp.route.n_used, all = m->hp.route.n_expert;
    assert_true(used < all);
    rt_free(forward(m, 1, 3));
    assert_int_equal(rt_model_streamed(m).experts, m->hp.n_layer * used);
    const int64_t one_row = rt_model_streamed(m).parameters;
    rt_free(forward(m, 48, 3));
    assert_true(rt_model_streamed(m).experts <= m->hp.n_layer * (used + all));
    assert_true(one_row < m->n_elements - m->embed->n - m->hp.n_layer * (all - used) * 3 * m->hp.d_expert * 64 + 1);
    rt_model_close(m);
    rt_model_close(whole);
    rt_free(path);
    rt_test_scratch_drop(dir);
}

typedef struct kept_row {
    float *logits;
    int64_t n_vocab;
} kept_row;

static void keep_row(void *ud, const rt_head_row *row)
{
    const kept_row *k = ud;
    memcpy(k->logits, row->logits, (size_t)k->n_vocab * sizeof(float));
}

/* Logits after the last of n ids. */
static float *last_logits(const rt_model *m, int64_t n)
{
    rt_err err = {0};
    rt_head *head = NULL;
    float *logits = NULL, *x = forward(m, n, 1);
    assert_ok(RT_NEW(&logits, (size_t)m->hp.n_vocab, "logits", &err));
    assert_ok(rt_head_new(&head, m, NULL, false, &err));
    rt_head_run(head, &(rt_head_sweep){.model = m,
                                       .x = x + (n - 1) * m->hp.d_model,
                                       .n_rows = 1,
                                       .visit = keep_row,
                                       .ud = &(kept_row){logits, m->hp.n_vocab}});
    rt_head_free(head);
    rt_free(x);
    return logits;
}

static bool has_tables(const rt_model *m)
{
    bool found = false;
    for (size_t i = 0; i < m->n_params; i++) {
        found |= m->params[i].role == RT_ROLE_ROUTER_TABLE;
    }
    return found;
}

static void every_architecture_scores_the_same_bits(void **state)
{
    (void)state;
    rt_err err = {0};
    int tied = 0, untied = 0, latent = 0;
    case_list l = {.n = 0};
    golden_cases(&l);
    for (int i = 0; i < l.n; i++) {
        const char *path = l.cases[i].weights;
        rt_model *whole = open_with(path, RT_PRECISION_F32, INT64_MAX), *m = NULL;
        if (has_tables(whole)) {
            assert_int_equal(streamed_open(&m, path, RT_PRECISION_F32, SPAN, &err), RT_UNSUPPORTED);
            rt_model_close(whole);
            continue;
        }
        m = open_streamed(path, RT_PRECISION_F32);
        float *a = last_logits(whole, 48), *b = last_logits(m, 48);
        assert_memory_equal(a, b, (size_t)m->hp.n_vocab * sizeof *a);
        tied += m->output == m->embed;
        untied += m->output != m->embed;
        latent += m->hp.kv_lora > 0;
        rt_free(a);
        rt_free(b);
        rt_model_close(m);
        rt_model_close(whole);
    }
    assert_true(tied > 0 && untied > 0 && latent > 0);
}

static void a_student_is_cut_from_it_as_from_one_in_memory(void **state)
{
    (void)state;
    static const char *const names[] = {"llama", "qwen3_moe"};
    const rt_model_options trainable = {.precision = RT_PRECISION_F32, .trainable = true};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        rt_err err = {0};
        char path[512];
        rt_model *a = NULL, *b = NULL;
        snprintf(path, sizeof path, RT_TEST_GOLDEN "/models/%s", names[i]);
        rt_model *whole = open_with(path, RT_PRECISION_F32, INT64_MAX), *m = open_streamed(path, RT_PRECISION_F32);
        assert_ok(rt_model_cut(&a, whole, &(int){1}, 1, &trainable, &err));
        assert_ok(rt_model_cut(&b, m, &(int){1}, 1, &trainable, &err));
        assert_int_equal(a->n_elements, b->n_elements);
        assert_memory_equal(a->weights, b->weights, (size_t)a->n_elements * sizeof(float));
        assert_int_equal(rt_model_streamed(m).layers, 1);
        rt_model_close(a);
        rt_model_close(b);
        rt_model_close(m);
        rt_model_close(whole);
    }
}

static void refuses_a_ceiling_below_one_layer_and_writing(void **state)
{
    (void)state;
    rt_err err = {0};
    char *dir = rt_test_scratch();
    char *path = made_up_model(dir, "llama", "models/llama", 6, 64, 128);
    rt_model *m = NULL;
    assert_int_equal(rt_model_open(&m, path, &(rt_model_options){.memory = 1000}, &err), RT_MEMORY);
    assert_says(err.msg, "largest layer");
    assert_says(err.msg, "--memory ");
    rt_model *whole = open_with(path, RT_PRECISION_F32, INT64_MAX);
    m = open_streamed(path, RT_PRECISION_F32);
    assert_true(rt_model_streamed(m).bytes < weight_bytes(whole));
    assert_int_equal(rt_model_save_gguf(m, "/nonexistent/x.gguf", RT_F32, NULL, NULL, &err), RT_UNSUPPORTED);
    rt_model_close(whole);
    rt_model_close(m);
    rt_free(path);
    rt_test_scratch_drop(dir);
}

/* ---- the ceiling, seen from outside: a process of its own, its high-water mark ---- */

/* Opens and runs the model below the ceiling; prints the most the process ever held, whether it was streamed, and the
 * result's hash. Refused: the ceiling that would have done. */
static int child(const char *path, const char *memory)
{
    rt_err err = {0};
    rt_model *m = NULL;
    const rt_model_options o = {.precision = RT_PRECISION_F32, .memory = strtoll(memory, NULL, 10), .span = SPAN};
    if (rt_model_open(&m, path, &o, &err) != RT_OK) {
        const char *named = strstr(err.msg, "--memory ");
        printf("refused %lld\n", named != NULL ? strtoll(named + strlen("--memory "), NULL, 10) * 1000000 : -1);
        return 0;
    }
    float *logits = last_logits(m, SPAN);
    rt_digest h = rt_sha256_of(logits, (size_t)m->hp.n_vocab * sizeof *logits);
    char hex[65];
    rt_digest_hex(h, hex);
    printf("%s %lld %s\n", m->stream != NULL ? "streamed" : "whole", (long long)rt_rss_peak(), hex);
    rt_free(logits);
    rt_model_close(m);
    return 0;
}

typedef struct seen {
    char how[16], hex[65];
    long long bytes;
} seen;

static seen run_child(const char *path, int64_t memory)
{
    char command[1200], self[512];
    const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    seen s = {{0}, {0}, 0};
    assert_true(n > 0);
    self[n] = '\0';
    snprintf(command, sizeof command, "'%s' --child '%s' %lld", self, path, (long long)memory);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    assert_true(fscanf(f, "%15s %lld %64s", s.how, &s.bytes, s.hex) >= 2);
    assert_int_equal(pclose(f), 0);
    return s;
}

static void the_process_stays_below_its_ceiling(void **state)
{
    (void)state;
#if defined(__SANITIZE_ADDRESS__)
    skip(); /* holds shadows of all it has, and keeps what was freed */
#endif
    enum { LAYERS = 16, D = 512, F = 2048 };
    char *dir = rt_test_scratch();
    char *path = made_up_model(dir, "llama", "models/llama", LAYERS, D, F);
    const int64_t file = rt_path_size(path);
    const seen whole = run_child(path, INT64_MAX), refused = run_child(path, MB);
    assert_string_equal(whole.how, "whole");
    assert_true(whole.bytes > file);
    assert_string_equal(refused.how, "refused");
    assert_true(refused.bytes > MB && refused.bytes < file);
    int streamed = 0;
    /* from the smallest that works to one that has room for all */
    for (int64_t ceiling = refused.bytes; ceiling < 2 * file; ceiling += file / 4) {
        const seen s = run_child(path, ceiling);
        assert_string_not_equal(s.how, "refused");
        assert_true(s.bytes <= ceiling);
        assert_string_equal(s.hex, whole.hex);
        streamed += strcmp(s.how, "streamed") == 0;
    }
    assert_true(streamed >= 2);
    rt_free(path);
    rt_test_scratch_drop(dir);
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "--child") == 0) {
        return child(argv[2], argv[3]);
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_bits_of_a_model_in_memory),
        cmocka_unit_test(reads_only_the_experts_that_rows_go_to),
        cmocka_unit_test(every_architecture_scores_the_same_bits),
        cmocka_unit_test(a_student_is_cut_from_it_as_from_one_in_memory),
        cmocka_unit_test(refuses_a_ceiling_below_one_layer_and_writing),
        cmocka_unit_test(the_process_stays_below_its_ceiling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
