/* record_fixture.h - teachers with given licences, and a permit to work with. */
#ifndef RT_TESTS_RECORD_FIXTURE_H
#define RT_TESTS_RECORD_FIXTURE_H

#include "format/json.h"
#include "record/record.h"
#include "rt_test.h"

#define TEACHER_SHA "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static inline rt_licence_table *open_table(void)
{
    rt_err err = {0};
    rt_licence_table *t = NULL;
    assert_ok(rt_licence_table_open(&t, NULL, &err));
    return t;
}

static inline void write_text(const char *dir, const char *name, const char *text)
{
    rt_err err = {0};
    char *path = rt_path_join(dir, name);
    assert_ok(rt_file_write(path, text, strlen(text), &err));
    rt_free(path);
}

/* A folder that is a model by its config.json, with a card whose front matter is `head`. */
static inline char *model_folder(const char *dir, const char *name, const char *head)
{
    rt_err err = {0};
    char *path = rt_path_join(dir, name), card[2048];
    assert_ok(rt_mkdirs(path, &err));
    write_text(path, "config.json", "{\"model_type\":\"llama\"}");
    if (head) {
        snprintf(card, sizeof card, "---\n%s\n---\n# A model\n", head);
        write_text(path, "README.md", card);
    }
    return path;
}

/* A permit for an Apache-2.0 teacher, as if its file had been read. */
static inline rt_permit *apache_permit(const char *model)
{
    rt_err err = {0};
    rt_licence_table *t = open_table();
    rt_evidence e = {0};
    rt_permit *p = NULL;
    assert_ok(rt_evidence_declare(&e, t, "toy teacher", "apache-2.0", NULL, &err));
    e.declared = false;
    rt_gate_request r = {.model = model, .model_sha256 = TEACHER_SHA, .evidence = &e, .uses = RT_USE_ALL};
    assert_ok(rt_gate_check(&p, t, &r, NULL, &err));
    rt_evidence_release(&e);
    rt_licence_table_close(t);
    return p;
}

/* Facts of a small finished run, as record/card.h lists them. */
static inline json_t *facts_of(const char *name, const char *teacher)
{
    rt_permit *p = apache_permit("teacher.gguf");
    json_t *f = json_pack(
        "{s:s, s:O, s:{s:s, s:s, s:I}, s:{s:s, s:i}, s:[s], s:[{s:s, s:i, s:i, s:s}], s:{s:s, s:i, s:f},"
        "s:[{s:s, s:f, s:f, s:f, s:i, s:f}], s:[s], s:[s], s:{s:s, s:i}, s:s}",
        "name", name, "permit", rt_permit_json(p), "teacher", "name", teacher, "sha256", TEACHER_SHA, "parameters",
        (json_int_t)134515008, "student", "init", "prune", "layers", 15, "language", "en", "data", "name", "books",
        "documents", 12, "tokens", 450000, "origin", "Project Gutenberg", "how", "loss", "forward_kl", "tokens", 450000,
        "seconds", 312.5, "kept", "what", "perplexity", "student", 62.1234567, "teacher", 30.0, "retained", 0.934, "n",
        1000, "stderr", 0.5, "lost", "longer texts drift", "not_measured", "safeguards", "ledger", "head", "feed",
        "outputs", 77, "command", "retort run recipe.yaml");
    rt_permit_free(p);
    assert_non_null(f);
    return f;
}

#endif
