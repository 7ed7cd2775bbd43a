/* imported.c - a logits file from gate to cache. */
#include "flow/imported.h"

#include "teacher/kl_import.h"

static rt_status ask_gate(rt_permit **out, const rt_imported_ask *ask, rt_err *err)
{
    const rt_declared declared = {.licence = ask->licence, .base_model = ask->base_model};
    return rt_permit_get(out,
                         &(rt_permit_ask){.model = ask->model,
                                          .declared = &declared,
                                          .uses = RT_USE_TRAIN_ON_OUTPUTS,
                                          .dir = ask->dir,
                                          .accept = ask->accept,
                                          .reason = ask->reason,
                                          .grant = ask->grant},
                         NULL, err);
}

/* What the ledger says of who answered: nothing of it was observed but the file. */
static json_t *identity_of(const rt_imported_ask *ask, const rt_kl_base *b)
{
    const rt_kl_base_shape s = rt_kl_base_shape_of(b);
    return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I}", "logits_file", rt_path_base(ask->path), "model", ask->model,
                     "evidence", "declared, not observed", "n_ctx", (json_int_t)s.n_ctx, "n_vocab",
                     (json_int_t)s.n_vocab, "n_chunk", (json_int_t)s.n_chunk);
}

rt_status rt_imported_collect(const rt_imported_ask *ask, rt_collect_report *report, rt_err *err)
{
    rt_status st = RT_OK;
    rt_permit *permit = NULL;
    rt_kl_base *base = NULL;
    rt_kl_import *import = NULL;
    rt_tokenizer *t = NULL;
    rt_corpus corpus = {0};
    rt_packed packed = {0};
    json_t *identity = NULL;
    const rt_collect_options *o = &ask->options;
    char *ledger = rt_path_join(ask->dir, "ledger.jsonl");
    if (ledger == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
    }
    RT_TRY(ask_gate(&permit, ask, err));
    RT_TRY(rt_tokenizer_open(&t, ask->tokenizer, err));
    RT_TRY(rt_kl_base_open(&base, ask->path, err));
    rt_log(RT_LOG_INFO, "import: '%s', declared as %s, licence %s: %s; declared, not observed", ask->path, ask->model,
           rt_permit_licence(permit), rt_verdict_name(rt_permit_verdict(permit)));
    RT_TRY(rt_kl_import_corpus(&corpus, base, t, rt_path_base(ask->path), err));
    RT_TRY(rt_pack(&packed, &corpus, (int)rt_kl_base_shape_of(base).n_ctx, err));
    identity = identity_of(ask, base);
    if (identity == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
    }
    RT_TRY(rt_kl_import_new(
        &import, base,
        &(rt_answer_options){
            .kind = o->kind, .draws = o->draws, .k = o->k, .temperature = o->temperature, .seed = o->seed},
        identity, err));
    RT_TRY(rt_collect(&(rt_collect_job){.remote = rt_kl_import_remote(import),
                                        .tokenizer = t,
                                        .corpus = &corpus,
                                        .packed = &packed,
                                        .permit = permit,
                                        .dir = ask->dir,
                                        .ledger = ledger,
                                        .options = *o},
                      report, err));
out:
    rt_kl_import_free(import);
    json_decref(identity);
    rt_packed_release(&packed);
    rt_corpus_release(&corpus);
    rt_kl_base_close(base);
    rt_tokenizer_close(t);
    rt_permit_free(permit);
    rt_free(ledger);
    return st;
}
