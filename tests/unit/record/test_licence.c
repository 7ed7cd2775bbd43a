/* test_licence.c - the table answers for every licence it knows, and is silent about none. */
#include "record_fixture.h"

static void the_built_in_table_is_the_file_in_the_tree(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_licence_table *built_in = open_table(), *file = NULL;
    assert_ok(rt_licence_table_open(&file, RT_TEST_SOURCE "/src/record/licences.json", &err));
    assert_string_equal(rt_licence_table_sha256(built_in), rt_licence_table_sha256(file));
    assert_int_equal(strlen(rt_licence_table_version(built_in)), 10);
    rt_licence_table_close(built_in);
    rt_licence_table_close(file);
}

static void names_people_write_lead_to_the_entry(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"apache-2.0", "apache-2.0"},
        {"Apache-2.0", "apache-2.0"},
        {"Apache License 2.0", "apache-2.0"},
        {"APACHE_2.0", "apache-2.0"},
        {"MIT", "mit"},
        {"The MIT License", "mit"},
        {"Llama 3.1 Community License Agreement", "llama3.1"},
        {"llama3.1", "llama3.1"},
        {"BSD-3-Clause", "bsd-3-clause"},
        {"CC-BY-NC-4.0", "cc-by-nc-4.0"},
        {"Gemma", "gemma"},
        {"qwen-research", "qwen-research"},
        {"mrl", "mistral-research"},
        {"CC BY-SA 4.0", "cc-by-sa-4.0"},
    };
    rt_licence_table *t = open_table();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *id = rt_licence_find(t, cases[i][0]);
        assert_non_null(id);
        assert_string_equal(id, cases[i][1]);
    }
    assert_null(rt_licence_find(t, "apache-3.0"));
    assert_null(rt_licence_find(t, ""));
    assert_null(rt_licence_find(t, "  - - "));
    rt_licence_table_close(t);
}

typedef struct verdict_case {
    const char *id;
    rt_verdict outputs, weights, outputs_nc;
} verdict_case;

#define P RT_VERDICT_PERMIT
#define D RT_VERDICT_DUTIES
#define U RT_VERDICT_UNKNOWN
#define X RT_VERDICT_DENY

static void verdicts_are_those_of_the_terms(void **state)
{
    (void)state;
    static const verdict_case cases[] = {
        {"apache-2.0", P, P, P},
        {"mit", P, P, P},
        {"bsd-3-clause", P, P, P},
        {"cc0-1.0", P, P, P},
        {"cc-by-4.0", P, P, P},
        {"cc-by-sa-4.0", D, D, D},
        {"cc-by-nc-4.0", X, X, P},
        {"mistral-research", X, X, P},
        {"llama2", X, U, X},
        {"llama3", X, U, X},
        {"llama3.1", D, D, D},
        {"llama3.2", D, D, D},
        {"llama3.3", D, D, D},
        {"llama4", D, D, D},
        {"gemma", D, D, D},
        {"tongyi-qianwen", X, U, X},
        {"qwen", D, D, D},
        {"qwen-research", X, X, D},
        {"deepseek", D, D, D},
        {"kimi-k2", D, D, D},
        {"minimax-m2.5", D, D, D},
        {"minimax-m2.7", X, X, D},
        {"minimax-m3", D, D, D},
        {"minimax-01", U, U, U},
        {"openrail", D, D, D},
        {"openrail++", D, D, D},
        {"bigcode-openrail-m", D, D, D},
        {"tencent-hunyuan", X, U, X},
        {"openai-terms", X, X, X},
        {"anthropic-terms", X, X, X},
        {"google-gemini-terms", X, X, X},
        {"xai-terms", X, X, X},
        {"other", U, U, U},
        {"missing", U, U, U},
        {"falcon-llm-license", U, U, U},
        {"never-heard-of", U, U, U},
    };
    rt_licence_table *t = open_table();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const verdict_case *c = &cases[i];
        rt_verdict worst = c->outputs > c->weights ? c->outputs : c->weights;
        if (rt_licence_judge(t, c->id, RT_USE_TRAIN_ON_OUTPUTS, false) != c->outputs ||
            rt_licence_judge(t, c->id, RT_USE_DERIVE_WEIGHTS, false) != c->weights ||
            rt_licence_judge(t, c->id, RT_USE_ALL, false) != worst ||
            rt_licence_judge(t, c->id, RT_USE_TRAIN_ON_OUTPUTS, true) != c->outputs_nc) {
            fail_msg("verdict of '%s'", c->id);
        }
    }
    rt_licence_table_close(t);
}

static void duties_come_once_and_say_what_to_do(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_licence_table *t = open_table();
    json_t *duties = json_array(), *d;
    size_t i;
    assert_ok(rt_licence_duties(t, "llama3.1", RT_USE_ALL, duties, &err));
    assert_int_equal(json_array_size(duties), 5);
    json_array_foreach(duties, i, d)
    {
        assert_true(strlen(rt_json_str(d, "id", "")) > 0);
        assert_true(strlen(rt_json_str(d, "text", "")) > 10);
    }
    json_decref(duties);
    rt_licence_table_close(t);
}

static void families_are_told_apart(void **state)
{
    (void)state;
    static const char *const cases[][2] = {
        {"Meta-Llama-3-8B-Instruct", "llama3"},
        {"meta-llama/Llama-3.1-8B", "llama3.1"},
        {"Llama 3.3 70B", "llama3.3"},
        {"llama2-7b-chat", "llama2"},
        {"DeepSeek-R1-Distill-Llama-8B", "llama3.1"},
        {"deepseek_r1_distill_llama_70b", "llama3.3"},
        {"DeepSeek-R1-Distill-Qwen-7B", "apache-2.0"},
        {"Qwen-7B-Chat", "tongyi-qianwen"},
        {"Qwen2.5-3B", "qwen-research"},
        {"google/gemma-2-2b", "gemma"},
        {"gemma-4-e2b", "apache-2.0"},
        {"/models/very/deep/path/that/is/long/and/longer/and/longer/still/so/that/it/does/not/fit/at/all/gemma-3-270m",
         "gemma"},
    };
    static const char *const none[] = {
        "SmolLM2-135M-Instruct", "Qwen2.5-32B", "Qwen2.5-7B", "llama-30b", "TinyLlama-1.1B", ""};
    rt_licence_table *t = open_table();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *id = rt_licence_find_family(t, cases[i][0]);
        if (!id || strcmp(id, cases[i][1]) != 0) {
            fail_msg("family of '%s' is '%s'", cases[i][0], id ? id : "(none)");
        }
    }
    for (size_t i = 0; i < sizeof none / sizeof *none; i++) {
        assert_null(rt_licence_find_family(t, none[i]));
    }
    rt_licence_table_close(t);
}

static void hosts_match_whole_labels_and_others_are_refused(void **state)
{
    (void)state;
    rt_licence_table *t = open_table();
    assert_string_equal(rt_licence_find_host(t, "api.openai.com"), "openai-terms");
    assert_string_equal(rt_licence_find_host(t, "my-corp.OPENAI.azure.com"), "openai-terms");
    assert_string_equal(rt_licence_find_host(t, "api.anthropic.com"), "anthropic-terms");
    assert_string_equal(rt_licence_find_host(t, "notapi.x.ai"), "hosted-service");
    assert_string_equal(rt_licence_find_host(t, "llm.example.org"), "hosted-service");
    assert_int_equal(rt_licence_judge(t, "hosted-service", RT_USE_TRAIN_ON_OUTPUTS, true), RT_VERDICT_DENY);
    rt_licence_table_close(t);
}

static void licence_texts_are_recognised_whatever_their_lines(void **state)
{
    (void)state;
    static const char apache[] =
        "                 Apache License\n           Version 2.0, January 2004\n  http://www.apache.org/licenses/";
    static const char modified[] =
        "Modified MIT License\nPermission is hereby granted, free of\ncharge, to any person obtaining a copy";
    const char *ids[4];
    rt_licence_table *t = open_table();
    assert_int_equal(rt_licence_find_text(t, apache, sizeof apache - 1, ids, 4), 1);
    assert_string_equal(ids[0], "apache-2.0");
    assert_int_equal(rt_licence_find_text(t, modified, sizeof modified - 1, ids, 4), 2);
    assert_string_equal(ids[0], "mit");
    assert_string_equal(ids[1], "modified-mit");
    assert_int_equal(rt_licence_find_text(t, "do as you like", 14, ids, 4), 0);
    rt_licence_table_close(t);
}

/* Terms behind long notices count too; of a text that is too long to be read none do. */
static void a_licence_text_is_judged_whole_or_not_at_all(void **state)
{
    (void)state;
    static const char mit[] = "Permission is hereby granted, free of charge, to any person obtaining a copy\n";
    const char *ids[4];
    rt_licence_table *t = open_table();
    rt_str s = {0};
    rt_str_puts(&s, mit);
    while (s.n < (size_t)100 << 10) {
        rt_str_puts(&s, "A notice of another part.\n");
    }
    rt_str_puts(&s, "Llama 2 Community License Agreement\n");
    assert_int_equal(rt_licence_find_text(t, s.p, s.n, ids, 4), 2);
    assert_true(strcmp(ids[0], "llama2") == 0 || strcmp(ids[1], "llama2") == 0);
    while (s.n < (size_t)2 << 20) {
        rt_str_puts(&s, "A notice of another part.\n");
    }
    assert_int_equal(rt_licence_find_text(t, s.p, s.n, ids, 4), 0);
    rt_str_release(&s);
    rt_licence_table_close(t);
}

static void a_broken_table_is_refused_as_a_whole(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{",
        "{\"table_version\":\"1\"}",
        "{\"table_version\":\"1\",\"licences\":[{}],\"families\":[]}",
        "{\"table_version\":\"1\",\"licences\":[{\"id\":\"a\"}],\"families\":[]}",
        ("{\"table_version\":\"1\",\"licences\":[{\"id\":\"a\",\"train-on-outputs\":{\"commercial\":\"yes\"}}],"
         "\"families\":[]}"),
        "{\"table_version\":\"1\",\"licences\":[],\"families\":[{\"name\":\"x\",\"licence\":\"y\"}]}",
        "{\"table_version\":\"1\",\"licences\":[3],\"families\":[]}",
        "[]",
    };
    char *dir = rt_test_scratch(), *path = rt_path_join(dir, "t.json");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rt_err err = {0};
        rt_licence_table *t = NULL;
        write_text(dir, "t.json", bad[i]);
        assert_int_equal(rt_licence_table_open(&t, path, &err), RT_INPUT);
        assert_null(t);
        assert_says(err.msg, "t.json");
    }
    rt_free(path);
    rt_test_scratch_drop(dir);
}

static void export_duties_are_checked(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_licence_table *t = open_table();
    json_t *duties = json_array();
    assert_ok(rt_licence_duties(t, "llama3.1", RT_USE_ALL, duties, &err));
    assert_int_equal(rt_duties_check(duties, "tiny", "Built with Llama", &err), RT_LICENCE);
    assert_says(err.msg, "llama-name");
    assert_int_equal(rt_duties_check(duties, "Llama-tiny", "no mark", &err), RT_LICENCE);
    assert_says(err.msg, "built-with-llama");
    assert_int_equal(rt_duties_check(duties, "Llama-tiny", "... Built with Llama ...", &err), RT_OK);
    json_decref(duties);
    rt_licence_table_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_built_in_table_is_the_file_in_the_tree),
        cmocka_unit_test(names_people_write_lead_to_the_entry),
        cmocka_unit_test(verdicts_are_those_of_the_terms),
        cmocka_unit_test(duties_come_once_and_say_what_to_do),
        cmocka_unit_test(families_are_told_apart),
        cmocka_unit_test(hosts_match_whole_labels_and_others_are_refused),
        cmocka_unit_test(licence_texts_are_recognised_whatever_their_lines),
        cmocka_unit_test(a_licence_text_is_judged_whole_or_not_at_all),
        cmocka_unit_test(a_broken_table_is_refused_as_a_whole),
        cmocka_unit_test(export_duties_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
