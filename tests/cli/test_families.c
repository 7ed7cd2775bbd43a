/* Every family is described by `inspect`, from both formats; others are refused by name and by what their layers would
 * need; those without a backward pass are kept from becoming students, by the block that lacks it. */
#include <sys/wait.h>

#include "hashed.h"
#include "model/models.h"
#include "scratch.h"

enum { INPUT = 3 };

/* What the program prints, both streams; *code its exit code. */
static const char *retort(int *code, const char *args, const char *path)
{
    static char text[8192];
    char command[1400];
    const char *program = getenv("RETORT");
    assert_non_null(program);
    snprintf(command, sizeof command, "cd '%s' && '%s' %s '%s' 2>&1", scratch, program, args, path);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    *code = WEXITSTATUS(pclose(f));
    return text;
}

static void write_file(const char *path, const char *text)
{
    rt_err err = {0};
    assert_ok(rt_file_write(path, text, strlen(text), &err));
}

/* --- every family ------------------------------------------------------------------------------------------------- */

static void assert_described(const char *path, const char *name, const rt_model *m)
{
    rt_err err = {0};
    int code;
    json_t *j = NULL;
    const char *text = retort(&code, "inspect --json", path);
    assert_ok(rt_json_parse(&j, text, strlen(text), path, &err));
    assert_int_equal(code, 0);
    assert_string_equal(rt_json_str(j, "architecture", ""), name);
    assert_int_equal(rt_json_i64(j, "parameters", 0), m->n_elements);
    assert_int_equal(rt_json_i64(j, "layers", 0), m->hp.n_layer);
    assert_int_equal(rt_json_i64(j, "vocab_size", 0), m->hp.n_vocab);
    json_decref(j);
}

static void every_family_is_described_from_both_formats(void **state)
{
    (void)state;
    char *file = rt_path_join(scratch, "model.gguf");
    for (int i = 0; i < N_HASHED; i++) {
        rt_err err = {0};
        rt_model *m = NULL;
        char *folder = hashed_folder(hashed_models[i].name);
        assert_ok(rt_model_open(&m, folder, &(rt_model_options){.precision = RT_PRECISION_F32}, &err));
        assert_described(folder, m->arch->hf_type, m);
        if (hashed_models[i].gguf) {
            assert_ok(rt_model_save_gguf(m, file, RT_F32, NULL, NULL, &err));
            assert_described(file, m->arch->name, m);
        }
        rt_model_close(m);
        rt_free(folder);
    }
    rt_free(file);
}

/* --- others ------------------------------------------------------------------------------------------------------- */

static void assert_refused(const char *args, const char *path, const char *const *words)
{
    int code;
    const char *text = retort(&code, args, path);
    if (code != INPUT) {
        fail_msg("retort %s %s: exit code %d: %s", args, path, code, text);
    }
    for (; *words != NULL; words++) {
        assert_says(text, *words);
    }
}

static void an_unknown_gguf_is_refused_by_name_and_missing_block(void **state)
{
    (void)state;
    rt_err err = {0};
    const float values[4] = {0};
    char *path = rt_path_join(scratch, "mamba.gguf");
    rt_gguf_writer *w = rt_gguf_writer_new();
    rt_gguf_set_str(w, "general.architecture", "mamba");
    rt_gguf_add_tensor(w, "token_embd.weight", RT_F32, 2, (const int64_t[]){2, 2}, values);
    rt_gguf_add_tensor(w, "blk.0.attn_norm.weight", RT_F32, 1, (const int64_t[]){2}, values);
    rt_gguf_add_tensor(w, "blk.0.ssm_conv1d.weight", RT_F32, 2, (const int64_t[]){2, 2}, values);
    assert_ok(rt_gguf_write(w, path, &err));
    rt_gguf_writer_free(w);
    const char *const words[] = {path, "'mamba'", "'blk.0.ssm_conv1d.weight'", "known: llama", NULL};
    assert_refused("inspect", path, words);
    assert_refused("export -o out.gguf", path, words);
    rt_free(path);
}

static void an_unknown_folder_is_refused_by_name_and_missing_block(void **state)
{
    (void)state;
    rt_err err = {0};
    const float values[4] = {0};
    char *folder = rt_path_join(scratch, "mamba2"), *config = rt_path_join(folder, "config.json");
    char *weights = rt_path_join(folder, "model.safetensors");
    rt_st_writer *w = rt_st_writer_new();
    assert_ok(rt_mkdirs(folder, &err));
    write_file(config, "{\"model_type\": \"mamba2\"}");
    rt_st_add(w, "backbone.embeddings.weight", RT_F32, 2, (const int64_t[]){2, 2}, values);
    rt_st_add(w, "backbone.layers.0.mixer.A_log", RT_F32, 1, (const int64_t[]){2}, values);
    assert_ok(rt_st_write(w, weights, &err));
    rt_st_writer_free(w);
    const char *const words[] = {folder, "'mamba2'", "'backbone.layers.0.mixer.A_log'", "known: llama", NULL};
    assert_refused("inspect", folder, words);
    rt_free(folder);
    rt_free(config);
    rt_free(weights);
}

/* --- forward only ------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name, *block;
} read_only[] = {{"minimax_text01", "'lightning attention'"},
                 {"deepseek_v4", "'windowed shared-key attention'"},
                 {"deepseek_v32", "indexer"}};
enum { N_READ_ONLY = sizeof read_only / sizeof read_only[0] };

/* The model with a licence and a tokenizer, so that nothing else is in the way. */
static char *teacher_folder(const char *name)
{
    char *folder = rt_path_join(scratch, name), path[600];
    hashed_unpack(name, folder);
    snprintf(path, sizeof path, "%s/README.md", folder);
    write_file(path, "---\nlicense: apache-2.0\n---\n");
    snprintf(path, sizeof path, "%s/tokenizer.json", folder);
    write_file(path, "{\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
                     "\"use_regex\":true},\"added_tokens\":[],\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":1,"
                     "\"c\":2,\"ab\":3},\"merges\":[\"a b\"]}}");
    return folder;
}

static void what_has_no_backward_pass_becomes_no_student(void **state)
{
    (void)state;
    char recipe[1200], *file = rt_path_join(scratch, "recipe.yaml"), *text = rt_path_join(scratch, "text.jsonl");
    write_file(text, "{\"text\": \"abcabcabcabcabcabcabcabc\"}\n{\"text\": \"cabcabcabcabcabcabcabcab\"}\n");
    for (int i = 0; i < N_READ_ONLY; i++) {
        const char *const words[] = {read_only[i].block, NULL};
        char *folder = teacher_folder(read_only[i].name), *student = rt_path_join(scratch, "student");
        assert_refused("init -o student --keep 0", folder, words);
        assert_refused("init --text text.jsonl --layers 1 -o student", folder, words);
        snprintf(recipe, sizeof recipe,
                 "name: small\nteacher: {model: %s}\ndata: {text: [text.jsonl]}\nstudent: {keep: [0]}\n"
                 "train: {tokens: 100, sequence: 16}\n",
                 folder);
        write_file(file, recipe);
        assert_refused("run --dry-run", file, words);
        assert_refused("run", file, words);
        assert_false(rt_path_exists(student));
        rt_free(student);
        rt_free(folder);
    }
    rt_free(file);
    rt_free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_family_is_described_from_both_formats),
        cmocka_unit_test(an_unknown_gguf_is_refused_by_name_and_missing_block),
        cmocka_unit_test(an_unknown_folder_is_refused_by_name_and_missing_block),
        cmocka_unit_test(what_has_no_backward_pass_becomes_no_student),
    };
    return cmocka_run_group_tests_name("families", tests, make_scratch, drop_scratch);
}
