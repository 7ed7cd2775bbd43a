/* test_gate.c - no teacher is used without a permit, and a permit says what it rests on. */
#include "format/gguf.h"
#include "record_fixture.h"

typedef struct world {
    char *dir, *decisions, *grant;
    rt_licence_table *t;
    rt_evidence e;
    rt_gate_request r;
    rt_permit *p;
    json_t *ruling;
    rt_err err;
} world;

static int enter(void **state)
{
    world *w = calloc(1, sizeof *w);
    w->dir = rt_test_scratch();
    w->decisions = rt_path_join(w->dir, "records/decisions.jsonl");
    w->grant = rt_path_join(w->dir, "grant.json");
    w->t = open_table();
    w->r = (rt_gate_request){.model = "teacher.gguf",
                             .model_sha256 = TEACHER_SHA,
                             .evidence = &w->e,
                             .uses = RT_USE_ALL,
                             .decisions = w->decisions};
    *state = w;
    return 0;
}

static void forget(world *w)
{
    rt_evidence_release(&w->e);
    rt_permit_free(w->p);
    json_decref(w->ruling);
    w->p = NULL;
    w->ruling = NULL;
    rt_err_clear(&w->err);
}

static int leave(void **state)
{
    world *w = *state;
    forget(w);
    rt_licence_table_close(w->t);
    rt_free(w->decisions);
    rt_free(w->grant);
    rt_test_scratch_drop(w->dir);
    free(w);
    return 0;
}

/* The teacher states `licence` (NULL: nothing) and calls itself `name`. */
static rt_status check(world *w, const char *name, const char *licence)
{
    forget(w);
    rt_err err = {0};
    assert_ok(rt_evidence_declare(&w->e, w->t, name, licence, NULL, &err));
    w->e.declared = false;
    return rt_gate_check(&w->p, w->t, &w->r, &w->ruling, &w->err);
}

static void a_free_licence_gets_a_permit_with_its_record(void **state)
{
    world *w = *state;
    assert_int_equal(check(w, "toy", "apache-2.0"), RT_OK);
    assert_int_equal(rt_permit_verdict(w->p), RT_VERDICT_PERMIT);
    assert_string_equal(rt_permit_licence(w->p), "apache-2.0");
    assert_string_equal(rt_permit_model_sha256(w->p), TEACHER_SHA);
    assert_string_equal(rt_permit_decision(w->p), "");
    assert_false(rt_permit_declared(w->p));
    assert_int_equal(json_array_size(rt_permit_duties(w->p)), 2);
    const json_t *j = rt_permit_json(w->p);
    assert_string_equal(rt_json_str(j, "verdict", ""), "permit");
    assert_string_equal(rt_json_str(j, "tag", ""), "apache-2.0");
    assert_string_equal(rt_json_str(j, "permit_id", ""), rt_permit_id(w->p));
    assert_int_equal(json_array_size(json_object_get(j, "evidence")), 1);

    char first[65];
    memcpy(first, rt_permit_id(w->p), 65);
    assert_int_equal(check(w, "toy", "apache-2.0"), RT_OK);
    assert_string_equal(first, rt_permit_id(w->p));
    assert_int_equal(check(w, "toy", "mit"), RT_OK);
    assert_string_not_equal(first, rt_permit_id(w->p));
}

static void no_licence_is_refused_with_the_way_on(void **state)
{
    world *w = *state;
    assert_int_equal(check(w, "toy", NULL), RT_LICENCE);
    assert_null(w->p);
    assert_int_equal(rt_status_exit_code(RT_LICENCE), 4);
    assert_says(w->err.msg, "teacher.gguf");
    assert_says(w->err.msg, "states no licence");
    assert_says(w->err.msg, "unknown");
    assert_says(w->err.msg, "--accept-licence missing --reason");
    assert_string_equal(rt_json_str(w->ruling, "id", ""), "missing");
    assert_int_equal(check(w, "toy", "My Own Licence v3"), RT_LICENCE);
    assert_says(w->err.msg, "My Own Licence v3");
    assert_says(w->err.msg, "--accept-licence my-own-licence-v3");
}

static void duties_need_an_acceptance_that_stays_on_record(void **state)
{
    world *w = *state;
    assert_int_equal(check(w, "gemma-3-270m", "gemma"), RT_LICENCE);
    assert_says(w->err.msg, "permit-with-duties");
    assert_says(w->err.msg, "gemma-derivative");
    assert_says(w->err.msg, "--accept-licence gemma");
    assert_int_equal(rt_gate_decide(w->t, &w->r, "llama3.1", "me", NULL, &w->err), RT_LICENCE);
    assert_says(w->err.msg, "not 'llama3.1'");
    assert_false(rt_path_exists(w->decisions));

    assert_int_equal(rt_gate_decide(w->t, &w->r, "Gemma", "someone@desk", NULL, &w->err), RT_OK);
    assert_int_equal(check(w, "gemma-3-270m", "gemma"), RT_OK);
    assert_int_equal(rt_permit_verdict(w->p), RT_VERDICT_DUTIES);
    assert_int_equal(strlen(rt_permit_decision(w->p)), 64);
    const json_t *d = json_object_get(rt_permit_json(w->p), "decision");
    assert_string_equal(rt_json_str(d, "by", ""), "someone@desk");
    assert_string_equal(rt_json_str(d, "model_sha256", ""), TEACHER_SHA);
    assert_string_equal(rt_json_str(d, "table_version", ""), rt_licence_table_version(w->t));
    assert_int_equal(strlen(rt_json_str(d, "time", "")), 20);
}

static void a_plan_takes_an_acceptance_that_stays_nowhere(void **state)
{
    world *w = *state;
    w->r.accept = "llama3.1";
    assert_int_equal(check(w, "gemma-3-270m", "gemma"), RT_LICENCE);
    assert_says(w->err.msg, "--accept-licence gemma");
    w->r.accept = "gemma";
    assert_int_equal(check(w, "gemma-3-270m", "gemma"), RT_OK);
    assert_int_equal(rt_permit_verdict(w->p), RT_VERDICT_DUTIES);
    assert_string_equal(rt_permit_decision(w->p), "");
    assert_false(rt_path_exists(w->decisions));
    w->r.accept = "missing";
    assert_int_equal(check(w, "toy", NULL), RT_LICENCE);
    assert_says(w->err.msg, "--reason");
    w->r.accept = NULL;
    assert_int_equal(check(w, "gemma-3-270m", "gemma"), RT_LICENCE);
}

static void a_decision_covers_only_what_was_decided(void **state)
{
    world *w = *state;
    w->r.uses = RT_USE_TRAIN_ON_OUTPUTS;
    assert_int_equal(check(w, "gemma-3-270m", "gemma"), RT_LICENCE);
    assert_int_equal(rt_gate_decide(w->t, &w->r, "gemma", NULL, NULL, &w->err), RT_OK);
    assert_int_equal(check(w, "gemma-3-270m", "gemma"), RT_OK);

    w->r.uses = RT_USE_ALL; /* deriving weights was not decided */
    assert_int_equal(check(w, "gemma-3-270m", "gemma"), RT_LICENCE);
    w->r.uses = RT_USE_TRAIN_ON_OUTPUTS;
    w->r.noncommercial = true; /* other terms */
    assert_int_equal(check(w, "gemma-3-270m", "gemma"), RT_LICENCE);
    w->r.noncommercial = false;
    w->r.model_sha256 = "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"; /* another file */
    assert_int_equal(check(w, "gemma-3-270m", "gemma"), RT_LICENCE);
    w->r.model_sha256 = TEACHER_SHA;
    assert_int_equal(check(w, "toy", "llama3.1"), RT_LICENCE); /* the same file, now with other terms */
    assert_int_equal(check(w, "gemma-3-270m", "gemma"), RT_OK);
}

static void decisions_are_only_added_to(void **state)
{
    world *w = *state;
    rt_str before = {0}, after = {0};
    assert_int_equal(check(w, "toy", "gemma"), RT_LICENCE);
    assert_int_equal(rt_gate_decide(w->t, &w->r, "gemma", NULL, NULL, &w->err), RT_OK);
    assert_int_equal(rt_file_read(&before, w->decisions, 1 << 20, &w->err), RT_OK);
    assert_int_equal(check(w, "toy", "llama4"), RT_LICENCE);
    assert_int_equal(rt_gate_decide(w->t, &w->r, "llama4", NULL, NULL, &w->err), RT_OK);
    assert_int_equal(rt_file_read(&after, w->decisions, 1 << 20, &w->err), RT_OK);
    assert_true(after.n > before.n);
    assert_memory_equal(before.p, after.p, before.n);
    rt_str_release(&before);
    rt_str_release(&after);
    char *dir = rt_path_dir(w->decisions);
    write_text(dir, "decisions.jsonl", "{\"id\": tampered\n");
    assert_int_equal(check(w, "toy", "llama4"), RT_INPUT);
    assert_says(w->err.msg, "decisions.jsonl");
    rt_free(dir);
}

static void what_is_unknown_needs_a_reason(void **state)
{
    world *w = *state;
    assert_int_equal(check(w, "toy", "other"), RT_LICENCE);
    assert_int_equal(rt_gate_decide(w->t, &w->r, "other", "me", "", &w->err), RT_LICENCE);
    assert_says(w->err.msg, "--reason");
    assert_int_equal(rt_gate_decide(w->t, &w->r, "other", "me", "asked the author, mail of 3 May", &w->err), RT_OK);
    assert_int_equal(check(w, "toy", "other"), RT_OK);
    assert_int_equal(rt_permit_verdict(w->p), RT_VERDICT_UNKNOWN);
    assert_string_equal(rt_json_str(json_object_get(rt_permit_json(w->p), "decision"), "reason", ""),
                        "asked the author, mail of 3 May");
}

static void deny_yields_to_no_decision(void **state)
{
    static const char *const denied[] = {"llama2",          "llama3",       "tongyi-qianwen",  "cc-by-nc-4.0",
                                         "tencent-hunyuan", "openai-terms", "anthropic-terms", "qwen-research",
                                         "minimax-m2.7",    "mnpl"};
    world *w = *state;
    for (size_t i = 0; i < sizeof denied / sizeof *denied; i++) {
        assert_int_equal(check(w, "toy", denied[i]), RT_LICENCE);
        assert_null(w->p);
        assert_says(w->err.msg, "denied");
        assert_says(w->err.msg, "--grant");
        assert_int_equal(rt_gate_decide(w->t, &w->r, denied[i], "me", "I want to", &w->err), RT_LICENCE);
        assert_false(rt_path_exists(w->decisions));
    }
    w->r.noncommercial = true;
    assert_int_equal(check(w, "toy", "cc-by-nc-4.0"), RT_OK);
    assert_false(rt_json_bool(rt_permit_json(w->p), "commercial", true));
}

static void a_grant_lifts_a_deny_when_it_is_whole_and_fits(void **state)
{
    static const char *const unfit[][2] = {
        {"{\"grantor\":\"Meta\",\"date\":\"2026-01-05\"}", "scope"},
        {"{\"grantor\":\"Meta\",\"date\":\"soon\",\"scope\":\"s\",\"licence\":\"llama3\",\"uses\":[\"train-on-"
         "outputs\"]}",
         "date"},
        {"{\"grantor\":\"Meta\",\"date\":\"2999-01-01\",\"scope\":\"s\",\"licence\":\"llama3\"}", "future"},
        {"{\"grantor\":\"Meta\",\"date\":\"2026-01-05\",\"expires\":\"2026-01-06\",\"scope\":\"s\",\"licence\":"
         "\"llama3\"}",
         "expired"},
        {"{\"grantor\":\"Meta\",\"date\":\"2026-01-05\",\"scope\":\"s\",\"uses\":[\"train-on-outputs\"]}", "neither"},
        {"{\"grantor\":\"Meta\",\"date\":\"2026-01-05\",\"scope\":\"s\",\"licence\":\"llama3\",\"uses\":[\"derive-"
         "weights\"]}",
         "uses"},
        {"{\"grantor\":\"Meta\",\"date\":\"2026-01-05\",\"scope\":\"s\",\"licence\":\"llama3\",\"uses\":[\"train-on-"
         "outputs\"]}",
         "commercial"},
        {"{\"grantor\":\"Meta\",\"date\":\"2026-01-05\",\"scope\":\"s\",\"model_sha256\":\"abc\",\"uses\":[\"train-on-"
         "outputs\"],"
         "\"commercial\":true}",
         "another model"},
        {"{\"grantor\":\"Meta\",\"date\":\"2026-01-05\",\"scope\":\"s\",\"licence\":\"llama2\",\"uses\":[\"train-on-"
         "outputs\"],"
         "\"commercial\":true}",
         "denied"},
    };
    world *w = *state;
    w->r.uses = RT_USE_TRAIN_ON_OUTPUTS;
    w->r.grant = w->grant;
    assert_int_equal(setenv("RETORT_NOW", "2026-11-21T00:00:00Z", 1), 0);
    for (size_t i = 0; i < sizeof unfit / sizeof *unfit; i++) {
        write_text(w->dir, "grant.json", unfit[i][0]);
        assert_int_equal(check(w, "toy", "llama3"), RT_LICENCE);
        assert_says(w->err.msg, unfit[i][1]);
    }
    write_text(w->dir, "grant.json",
               "{\"grantor\":\"Meta\",\"date\":\"2026-01-05\",\"scope\":\"one student\",\"licence\":\"llama3\","
               "\"uses\":[\"train-on-outputs\"],\"commercial\":true}");
    assert_int_equal(check(w, "toy", "llama3"), RT_OK);
    assert_int_equal(rt_permit_verdict(w->p), RT_VERDICT_DENY); /* the terms still say so; the grant is named */
    assert_int_equal(strlen(rt_permit_grant_sha256(w->p)), 64);
    assert_string_equal(rt_json_str(json_object_get(rt_permit_json(w->p), "grant"), "grantor", ""), "Meta");
    assert_int_equal(unsetenv("RETORT_NOW"), 0);
}

static void the_stricter_of_two_statements_decides(void **state)
{
    static const struct {
        const char *head, *licence, *id;
        rt_status st;
        bool conflict;
    } cases[] = {
        {"license: apache-2.0", NULL, "apache-2.0", RT_OK, false},
        {"license: apache-2.0\nbase_model: HuggingFaceTB/SmolLM2-135M", NULL, "apache-2.0", RT_OK, false},
        {"license: mit\nbase_model: meta-llama/Llama-3.1-8B", NULL, "llama3.1", RT_LICENCE, false},
        {"license: mit\nbase_model:\n- a/b\n- meta-llama/Meta-Llama-3-8B", NULL, "llama3", RT_LICENCE, false},
        {"license: [mit, cc-by-nc-4.0]", NULL, "cc-by-nc-4.0", RT_LICENCE, true},
        {"license: apache-2.0", "LLAMA 2 COMMUNITY LICENSE AGREEMENT ...", "llama2", RT_LICENCE, true},
        {"license: apache-2.0", "You may do as you like on Sundays.", "unrecognised-text", RT_LICENCE, true},
        {"license: other\nlicense_name: mit", NULL, "mit", RT_OK, false},
        {"license: other\nlicense_name: qwen-research", NULL, "qwen-research", RT_LICENCE, false},
        {"license: other",
         "Modified MIT License. Permission is hereby granted, free of charge, to any person obtaining a copy ... "
         "\"Kimi K2\"",
         "kimi-k2", RT_LICENCE, true},
        {"license: MIT OR Apache-2.0", NULL, "mit", RT_OK, true},
        {"license: Apache-2.0 AND CC-BY-NC-4.0", NULL, "cc-by-nc-4.0", RT_LICENCE, true},
        {"license: [unclosed", NULL, "unreadable-card", RT_LICENCE, false},
        {"license: mit\nlicense: apache-2.0", NULL, "unreadable-card", RT_LICENCE, false},
        {"tags: [x]", NULL, "missing", RT_LICENCE, false},
        {NULL, NULL, "missing", RT_LICENCE, false},
    };
    world *w = *state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%zu", i);
        forget(w);
        rt_err err = {0};
        char *dir = model_folder(w->dir, name, cases[i].head);
        if (cases[i].licence) {
            write_text(dir, "LICENSE", cases[i].licence);
        }
        assert_ok(rt_evidence_collect(&w->e, w->t, dir, &err));
        rt_status st = rt_gate_check(&w->p, w->t, &w->r, &w->ruling, &w->err);
        if (st != cases[i].st || strcmp(rt_json_str(w->ruling, "id", ""), cases[i].id) != 0 ||
            rt_json_bool(w->ruling, "conflict", false) != cases[i].conflict) {
            fail_msg("case %zu: %s, %s, conflict %d", i, rt_status_text(st), rt_json_str(w->ruling, "id", ""),
                     rt_json_bool(w->ruling, "conflict", false));
        }
        rt_free(dir);
    }
}

static void write_gguf(world *w, const char *name, const char *const *kv)
{
    rt_err err = {0};
    char *path = rt_path_join(w->dir, name);
    rt_gguf_writer *g = rt_gguf_writer_new();
    rt_gguf_set_str(g, "general.architecture", "llama");
    for (; *kv; kv += 2) {
        rt_gguf_set_str(g, kv[0], kv[1]);
        if (strstr(kv[0], "base_model")) {
            rt_gguf_set_u32(g, "general.base_model.count", 1);
        }
    }
    assert_ok(rt_gguf_write(g, path, &err));
    rt_gguf_writer_free(g);
    rt_free(path);
}

static rt_status check_file(world *w, const char *name)
{
    rt_err err = {0};
    char *path = rt_path_join(w->dir, name);
    forget(w);
    assert_ok(rt_evidence_collect(&w->e, w->t, path, &err));
    rt_status st = rt_gate_check(&w->p, w->t, &w->r, &w->ruling, &w->err);
    rt_free(path);
    return st;
}

static void gguf_metadata_is_evidence(void **state)
{
    world *w = *state;
    write_gguf(w, "a.gguf", (const char *const[]){"general.license", "apache-2.0", "general.name", "Toy", NULL});
    assert_int_equal(check_file(w, "a.gguf"), RT_OK);
    assert_string_equal(w->e.name, "Toy");

    write_gguf(w, "DeepSeek-R1-Distill-Llama-8B.gguf", (const char *const[]){"general.license", "mit", NULL});
    assert_int_equal(check_file(w, "DeepSeek-R1-Distill-Llama-8B.gguf"), RT_LICENCE);
    assert_string_equal(rt_json_str(w->ruling, "id", ""), "llama3.1");
    assert_says(w->err.msg, "file name");

    write_gguf(w, "b.gguf",
               (const char *const[]){"general.license", "mit", "general.base_model.0.organization", "meta-llama",
                                     "general.base_model.0.name", "Llama 2 7b", NULL});
    assert_int_equal(check_file(w, "b.gguf"), RT_LICENCE);
    assert_string_equal(rt_json_str(w->ruling, "id", ""), "llama2");
    assert_string_equal(json_string_value(json_array_get(w->e.base_models, 0)), "meta-llama/Llama 2 7b");

    /* A name never stands in for a licence, even that of a free family. */
    write_gguf(w, "gemma-4-e2b.gguf", (const char *const[]){"general.name", "gemma-4-e2b", NULL});
    assert_int_equal(check_file(w, "gemma-4-e2b.gguf"), RT_LICENCE);
    assert_string_equal(rt_json_str(w->ruling, "id", ""), "missing");
}

static void a_stray_licence_file_does_not_license_a_gguf_beside_it(void **state)
{
    world *w = *state;
    write_gguf(w, "a.gguf", (const char *const[]){"general.name", "Toy", NULL});
    write_text(w->dir, "LICENSE", "Apache License\nVersion 2.0, January 2004");
    write_text(w->dir, "README.md", "# Some project\n");
    assert_int_equal(check_file(w, "a.gguf"), RT_LICENCE);
    assert_string_equal(rt_json_str(w->ruling, "id", ""), "missing");
    write_text(w->dir, "README.md", "---\nlicense: apache-2.0\n---\n# The model\n");
    assert_int_equal(check_file(w, "a.gguf"), RT_OK);
}

static void hostile_metadata_stays_text(void **state)
{
    world *w = *state;
    write_gguf(w, "a.gguf",
               (const char *const[]){"general.license", "\x1b[2J\xff\xfe{\"verdict\":\"permit\"}", "general.name",
                                     "\xc3\x28", NULL});
    assert_int_equal(check_file(w, "a.gguf"), RT_LICENCE);
    for (const char *p = w->err.msg; *p; p++) {
        assert_true((unsigned char)*p >= ' ');
    }
}

static void hosted_services_are_refused_whatever_the_model_says(void **state)
{
    world *w = *state;
    rt_err err = {0};
    forget(w);
    assert_ok(rt_evidence_declare(&w->e, w->t, "some-model", "apache-2.0", NULL, &err));
    assert_ok(rt_evidence_add_host(&w->e, w->t, "api.openai.com", &err));
    w->r.model_sha256 = NULL;
    assert_int_equal(rt_gate_check(&w->p, w->t, &w->r, NULL, &w->err), RT_LICENCE);
    assert_says(w->err.msg, "openai-terms");
}

static void what_is_declared_is_marked(void **state)
{
    world *w = *state;
    rt_err err = {0};
    forget(w);
    assert_ok(rt_evidence_declare(&w->e, w->t, "toy", "mit", NULL, &err));
    w->r.model_sha256 = NULL;
    assert_int_equal(rt_gate_check(&w->p, w->t, &w->r, NULL, &w->err), RT_OK);
    assert_true(rt_permit_declared(w->p));
    assert_string_equal(rt_permit_model_sha256(w->p), "");
}

/* A failed allocation may refuse, it may never permit. */
static void running_out_of_memory_permits_nothing(void **state)
{
    world *w = *state;
    rt_err err = {0};
    char *dir = model_folder(w->dir, "m", "license: [mit, llama3]\nbase_model: google/gemma-2-2b");
    write_text(dir, "LICENSE",
               "MIT License\nPermission is hereby granted, free of charge, to any person obtaining a copy");
    bool enough = false;
    for (uint64_t n = 1; !enough && n < 20000; n += 1 + n / 30) {
        forget(w);
        rt_mem_fail_after(n);
        rt_status st = rt_evidence_collect(&w->e, w->t, dir, &w->err);
        st = st == RT_OK ? rt_gate_check(&w->p, w->t, &w->r, NULL, &w->err) : st;
        rt_mem_fail_after(0);
        assert_null(w->p);
        assert_int_not_equal(st, RT_OK);
        enough = st == RT_LICENCE && strstr(w->err.msg, "llama3");
    }
    assert_true(enough);
    forget(w);
    assert_ok(rt_evidence_collect(&w->e, w->t, dir, &err));
    rt_free(dir);
}

static void only_the_gate_knows_what_a_permit_is_made_of(void **state)
{
    (void)state;
    char found[256] = "";
    FILE *f = popen("cd " RT_TEST_SOURCE
                    " && grep -rlE 'struct rt_permit *\\{|sizeof *\\(? *(struct )?rt_permit' src include",
                    "r");
    size_t n = fread(found, 1, sizeof found - 1, f);
    pclose(f);
    found[n] = '\0';
    assert_string_equal(found, "src/record/gate.c\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, enter, leave)
        T(a_free_licence_gets_a_permit_with_its_record),
        T(no_licence_is_refused_with_the_way_on),
        T(duties_need_an_acceptance_that_stays_on_record),
        T(a_plan_takes_an_acceptance_that_stays_nowhere),
        T(a_decision_covers_only_what_was_decided),
        T(decisions_are_only_added_to),
        T(what_is_unknown_needs_a_reason),
        T(deny_yields_to_no_decision),
        T(a_grant_lifts_a_deny_when_it_is_whole_and_fits),
        T(the_stricter_of_two_statements_decides),
        T(gguf_metadata_is_evidence),
        T(a_stray_licence_file_does_not_license_a_gguf_beside_it),
        T(hostile_metadata_stays_text),
        T(hosted_services_are_refused_whatever_the_model_says),
        T(what_is_declared_is_marked),
        T(running_out_of_memory_permits_nothing),
        T(only_the_gate_knows_what_a_permit_is_made_of),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
