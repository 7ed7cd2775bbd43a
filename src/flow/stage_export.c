/* The trained student in the formats asked for, with the tokenizer's metadata and the record of where it came from. */
#include <stdio.h>
#include <string.h>

#include "flow/state.h"
#include "flow/student.h"

static bool is_folder(const rt_export_spec *e)
{
    return strcmp(e->type, "safetensors") == 0;
}

size_t rt_export_first(const rt_run_recipe *r)
{
    for (size_t i = 0; i < r->n_exports; i++) {
        if (!is_folder(&r->exports[i])) {
            return i;
        }
    }
    return 0;
}

void rt_export_file(const rt_run_recipe *r, size_t i, char out[64])
{
    if (is_folder(&r->exports[i])) {
        snprintf(out, 64, "export/model.safetensors");
    } else {
        snprintf(out, 64, i == rt_export_first(r) ? "export/model.gguf" : "export/model-%s.gguf", r->exports[i].type);
    }
}

/* GGUF keys that say what the file is and what it was made from. */
static json_t *gguf_facts(const rt_flow *f)
{
    const char *base = f->evidence.name != NULL ? f->evidence.name : rt_path_base(f->recipe.teacher);
    const json_t *mark = rt_manifest_get(&f->manifest, "ledger");
    json_t *j = json_pack("{s:s, s:s, s:i, s:s, s:s, s:s, s:s, s:s}", "general.name", f->recipe.name, "general.license",
                          rt_permit_licence(f->permit), "general.base_model.count", 1, "general.base_model.0.name",
                          base, "retort.version", rt_version(), "retort.teacher.sha256",
                          rt_permit_model_sha256(f->permit), "retort.licence.verdict",
                          rt_verdict_name(rt_permit_verdict(f->permit)), "retort.permit", rt_permit_id(f->permit));
    const char *head = rt_json_str(mark, "head", NULL);
    if (j != NULL && rt_flow_is_served(f)) {
        json_object_set_new(j, "retort.teacher.name", json_string(f->recipe.server.model));
    }
    if (j != NULL && head != NULL) {
        json_object_set_new(j, "retort.ledger.head", json_string(head));
    }
    return j;
}

static rt_status export_gguf(rt_flow *f, const rt_model *m, const char *type, const char *name, rt_err *err)
{
    rt_status st = RT_OK;
    rt_gguf *vocabulary = NULL;
    rt_dtype dtype;
    char *path = NULL;
    json_t *facts = gguf_facts(f);
    if (facts == NULL || !rt_dtype_from_name(type, &dtype)) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
    }
    RT_TRY(rt_flow_path_to(f, name, &path, err));
    RT_TRY(rt_student_vocabulary(&vocabulary, f->recipe.teacher, err));
    RT_TRY(rt_model_save_gguf(m, path, dtype, vocabulary, facts, err));
    RT_TRY(rt_manifest_add_output(&f->manifest, "export", name, err));
out:
    rt_gguf_close(vocabulary);
    json_decref(facts);
    rt_free(path);
    return st;
}

static rt_status export_folder(rt_flow *f, const rt_model *m, const char *dir, rt_err *err)
{
    static const char *const names[] = {"export/model.safetensors", "export/config.json", "export/tokenizer.json"};
    rt_status st = RT_OK;
    RT_TRY(rt_student_save(m, f->tokenizer, dir, "model.safetensors", RT_F32, err));
    RT_TRY(rt_tokenizer_save_hf(f->tokenizer, dir, err));
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        RT_TRY(rt_manifest_add_output(&f->manifest, "export", names[i], err));
    }
out:
    return st;
}

rt_status rt_stage_export(rt_flow *f, rt_err *err)
{
    rt_status st = RT_OK;
    rt_model *m = NULL;
    char *student = NULL, *dir = NULL;
    RT_TRY(rt_flow_need_tokenizer(f, err));
    RT_TRY(rt_flow_path_to(f, "student/model.safetensors", &student, err));
    RT_TRY(rt_flow_path_to(f, "export", &dir, err));
    RT_TRY(rt_mkdirs(dir, err));
    RT_TRY(rt_model_open(&m, student, &(rt_model_options){.precision = RT_PRECISION_F32}, err));
    for (size_t i = 0; i < f->recipe.n_exports; i++) {
        char name[64];
        rt_export_file(&f->recipe, i, name);
        RT_TRY(is_folder(&f->recipe.exports[i]) ? export_folder(f, m, dir, err)
                                                : export_gguf(f, m, f->recipe.exports[i].type, name, err));
        RT_TRY(rt_flow_tick(f, "export", err)); /* the file is on record before the next is begun */
    }
out:
    rt_model_close(m);
    rt_free(student);
    rt_free(dir);
    return st;
}
