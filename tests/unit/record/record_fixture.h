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

#endif
