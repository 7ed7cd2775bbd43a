/* Texts and teacher of a run, opened when a stage first needs them. */
#include "flow/state.h"

#include <string.h>

#include "flow/asked.h"

rt_precision rt_flow_precision(const rt_flow *f)
{
    return strcmp(f->recipe.precision, "f32") == 0 ? RT_PRECISION_F32 : RT_PRECISION_AUTO;
}

rt_status rt_flow_need_teacher(rt_flow *f, rt_err *err)
{
    if (f->teacher != NULL) {
        return RT_OK;
    }
    const rt_collect_options asked = rt_flow_collect_options(f);
    return rt_model_open(&f->teacher, f->recipe.teacher,
                         &(rt_model_options){.precision = rt_flow_precision(f),
                                             .memory = f->o->memory,
                                             .span = f->recipe.sequence,
                                             .beside = rt_flow_is_served(f) ? NULL : rt_collect_beside,
                                             .beside_ud = &asked},
                         err);
}

bool rt_flow_has_prompts(const rt_flow *f)
{
    return f->recipe.n_prompts > 0;
}

/* Every HOLD_OUT-th document is held out when the recipe names no held-out text; answers to one prompt, which have one
 * id, stay together. */
#define HOLD_OUT 20

/* Documents of one id in a row are one. */
static size_t count_ids(const rt_corpus *c)
{
    size_t n = c->n_docs > 0;
    for (size_t i = 1; i < c->n_docs; i++) {
        n += strcmp(c->docs[i].id, c->docs[i - 1].id) != 0;
    }
    return n;
}

/* Moves the documents whose place says so from `all` into `held`, which must be zero; both keep views into all's arena.
 */
static rt_status hold_out(rt_corpus *all, rt_corpus *held, rt_err *err)
{
    rt_status st = RT_OK;
    rt_document *docs = NULL;
    if (count_ids(all) < HOLD_OUT) {
        RT_FAIL_OUT(err, RT_RECIPE, 0, "%zu documents are too few to hold some out; name held-out text as data.valid",
                    count_ids(all));
    }
    RT_TRY(RT_NEW(&docs, all->n_docs, "held-out documents", err));
    RT_TRY(RT_NEW(&held->mask, all->ids.n, "held-out mask", err));
    size_t kept = 0, n = 0, place = 0;
    const char *id = all->docs[0].id;
    for (size_t i = 0; i < all->n_docs; i++) {
        place += strcmp(all->docs[i].id, id) != 0;
        id = all->docs[i].id;
        if (place % HOLD_OUT != HOLD_OUT - 1) {
            all->docs[kept++] = all->docs[i];
            continue;
        }
        rt_document d = all->docs[i];
        memcpy(held->mask + held->ids.n, all->mask + d.first, (size_t)d.n);
        const int64_t first = (int64_t)held->ids.n;
        for (int64_t t = 0; t < d.n; t++) {
            RT_TRY(rt_ids_push(&held->ids, all->ids.p[d.first + t], err));
        }
        d.first = first;
        docs[n++] = d;
    }
    all->n_docs = kept;
    held->docs = docs;
    held->n_docs = n;
    held->hash = rt_sha256_of(&all->hash, sizeof all->hash);
    docs = NULL;
out:
    rt_free(docs);
    return st;
}

rt_status rt_flow_check_files(const rt_flow *f, rt_err *err)
{
    const rt_run_recipe *r = &f->recipe;
    const struct {
        const char *key, *const *paths;
        size_t n;
    } lists[] = {{"data.text", r->text, r->n_text},
                 {"data.valid", r->valid, r->n_valid},
                 {"data.prompts", r->prompts, r->n_prompts},
                 {"data.held_out", r->held_out, r->n_held_out},
                 {"train.on_policy.prompts", r->own_text.prompts, r->own_text.n_prompts}};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        for (size_t k = 0; k < lists[i].n; k++) {
            if (!rt_path_exists(lists[i].paths[k])) {
                return rt_fail(err, RT_NOT_FOUND, 0,
                               "'%s' names '%s', which does not exist; relative paths begin at the directory of the "
                               "command",
                               lists[i].key, lists[i].paths[k]);
            }
        }
    }
    return RT_OK;
}

static rt_status load(rt_flow *f, rt_corpus *c, const char *const *paths, size_t n, int64_t max_tokens, rt_err *err)
{
    return rt_corpus_load(c, f->tokenizer, &(rt_corpus_options){.paths = paths, .n_paths = n, .max_tokens = max_tokens},
                          err);
}

/* So much of a held-out file is read, and one document in so many of it is left to validations. */
#define HELD_OUT_TOKENS ((int64_t)1 << 20)
#define WATCHED_SHARE 5

int64_t rt_flow_held_out_tokens(const rt_flow *f)
{
    const int64_t wanted = f->recipe.audit_tokens + RT_VALIDATION_TOKENS;
    return wanted > HELD_OUT_TOKENS ? wanted : HELD_OUT_TOKENS;
}

/* Validations choose weights, so the audit judges on other documents: the last ones are theirs, the others the audit's.
 */
static void part_held_out(rt_flow *f)
{
    const rt_corpus *all = &f->valid;
    const size_t most = all->n_docs / WATCHED_SHARE;
    size_t n = 0;
    int64_t tokens = 0;
    while (n < most) {
        tokens += all->docs[all->n_docs - 1 - n].n;
        if (n > 0 && tokens > RT_VALIDATION_TOKENS) {
            break;
        }
        n++;
    }
    f->audited = f->watched = *all;
    f->held_out_shared = n == 0;
    if (n > 0) {
        f->audited.n_docs -= n;
        f->watched.docs += f->audited.n_docs;
        f->watched.n_docs = n;
    } else {
        rt_log(RT_LOG_WARN, "held-out text: %zu documents are too few to keep validation and audit apart", all->n_docs);
    }
}

void rt_flow_drop_texts(rt_flow *f)
{
    rt_packed_release(&f->packed);
    rt_corpus_release(&f->valid);
    rt_corpus_release(&f->text);
    f->audited = f->watched = (rt_corpus){0};
    f->texts_open = false;
}

/* The student will have the teacher's tokenizer: whether it can be a drafter is known before anything is made. */
static rt_status check_drafts(const rt_flow *f, rt_err *err)
{
    rt_status st = RT_OK;
    for (size_t i = 0; i < f->recipe.n_exports; i++) {
        rt_tokenizer *target = NULL;
        const char *path = f->recipe.exports[i].draft_for;
        if (path != NULL) {
            RT_TRY(rt_tokenizer_open(&target, path, err));
            st = rt_draft_pair_check(f->tokenizer, target, path, err);
            rt_tokenizer_close(target);
            RT_TRY(st);
        }
    }
out:
    return st;
}

rt_status rt_flow_need_tokenizer(rt_flow *f, rt_err *err)
{
    rt_status st = RT_OK;
    if (f->tokenizer != NULL) {
        return RT_OK;
    }
    RT_TRY(rt_tokenizer_open(&f->tokenizer, f->recipe.teacher, err));
    if (f->recipe.chat_form != NULL) {
        RT_TRY(rt_chat_set_form(f->tokenizer, f->recipe.chat_form, err));
    }
    RT_TRY(check_drafts(f, err));
out:
    return st;
}

/* Documents of the recipe, and the answers that were kept. */
static rt_status load_training(rt_flow *f, rt_err *err)
{
    const rt_run_recipe *r = &f->recipe;
    const char *paths[RT_MAX_PATHS + 1];
    size_t n = r->n_text;
    rt_status st = RT_OK;
    memcpy(paths, r->text, n * sizeof *paths);
    if (rt_flow_has_prompts(f)) {
        rt_free(f->kept);
        RT_TRY(rt_flow_path_to(f, RT_ANSWERS_KEPT, &f->kept, err));
        paths[n++] = f->kept;
    }
    RT_TRY(load(f, &f->text, paths, n, f->split.collect_tokens, err));
out:
    return st;
}

rt_status rt_flow_need_texts(rt_flow *f, rt_err *err)
{
    const rt_run_recipe *r = &f->recipe;
    rt_status st = RT_OK;
    if (f->texts_open) {
        return RT_OK;
    }
    RT_TRY(rt_flow_need_tokenizer(f, err));
    RT_TRY(load_training(f, err));
    if (r->n_valid > 0) {
        RT_TRY(load(f, &f->valid, r->valid, r->n_valid, rt_flow_held_out_tokens(f), err));
    } else {
        RT_TRY(hold_out(&f->text, &f->valid, err));
    }
    RT_TRY(rt_pack(&f->packed, &f->text, (int)r->sequence, err));
    part_held_out(f);
    f->texts_open = true;
out:
    return st;
}
