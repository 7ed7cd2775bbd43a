/* The teacher speaks once; what it said goes to the cache, that it said it to the ledger. */
#include <math.h>
#include <string.h>

#include "flow/asked.h"
#include "flow/retain.h"
#include "teacher/collect.h"

static rt_status save_report(rt_flow *f, const rt_collect_report *r, rt_err *err)
{
    json_t *j = json_pack("{s:s, s:i, s:i, s:f, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:o}", "targets",
                          rt_cache_kind_name(f->recipe.targets), "draws", f->recipe.draws, "k", f->recipe.k,
                          "temperature", f->recipe.temperature, "tokens", (json_int_t)r->tokens, "positions",
                          (json_int_t)r->targets, "sequences", (json_int_t)r->sequences, "bytes", (json_int_t)r->bytes,
                          "bytes_per_token", r->bytes_per_token, "seconds", r->seconds, "tokens_per_s", r->tokens_per_s,
                          "teacher_nll", r->teacher_nll, "teacher_fidelity", rt_teacher_fidelity_json(&r->fidelity));
    if (j == NULL) {
        return rt_fail(err, RT_NUMERIC, 0, "the teacher's mean log-likelihood is not finite");
    }
    const rt_status st = rt_flow_save_json(f, "collect", "collect.json", j, err);
    json_decref(j);
    return st;
}

/* Where the ledger stands goes into run.json: export and card name it. */
static rt_status note_ledger(rt_flow *f, const char *path, rt_err *err)
{
    rt_ledger_report rep = {0};
    rt_status st = rt_ledger_verify(&rep, path, err);
    if (st == RT_OK) {
        json_t *mark = rt_ledger_mark_json(&rep.mark);
        st = mark != NULL ? rt_manifest_set(&f->manifest, "ledger", mark, err)
                          : rt_fail(err, RT_MEMORY, 0, "out of memory");
        json_decref(mark);
    }
    rt_ledger_report_release(&rep);
    return st;
}

/* The served model must speak the student's tokens. */
static rt_status check_tokenizer(const rt_flow *f, rt_err *err)
{
    rt_tokenizer *theirs = NULL;
    if (f->recipe.tokenizer == NULL) {
        return RT_OK;
    }
    rt_status st = rt_tokenizer_open(&theirs, f->recipe.tokenizer, err);
    if (st == RT_OK && memcmp(rt_tokenizer_hash(theirs).b, rt_tokenizer_hash(f->tokenizer).b, sizeof(rt_digest)) != 0) {
        st = rt_fail(err, RT_INPUT, 0, "wrong vocabulary: '%s' (teacher.tokenizer) is not the tokenizer of '%s'",
                     f->recipe.tokenizer, f->recipe.teacher);
    }
    rt_tokenizer_close(theirs);
    return st;
}

static rt_status collect_served(rt_flow *f, const char *dir, const char *ledger, rt_collect_report *report, rt_err *err)
{
    rt_status st = RT_OK;
    rt_served s = {0};
    const rt_served_ask ask = rt_flow_served_ask(f, dir);
    RT_TRY(check_tokenizer(f, err));
    RT_TRY(rt_served_open(&s, &ask, err));
    RT_TRY(rt_served_collect(&s,
                             &(rt_served_corpus){.tokenizer = f->tokenizer,
                                                 .corpus = &f->text,
                                                 .packed = &f->packed,
                                                 .n_vocab = f->teacher->hp.n_vocab,
                                                 .k = f->recipe.k,
                                                 .ledger = ledger,
                                                 .name = "cache"},
                             report, err));
    RT_TRY(rt_flow_take_permit(f, &s.permit, err));
out:
    rt_served_close(&s);
    return st;
}

double rt_flow_accepted_seconds(const rt_flow *f)
{
    const double usual = f->recipe.budget > RT_FLOW_TEACHER_SECONDS ? f->recipe.budget : RT_FLOW_TEACHER_SECONDS;
    return f->o->accept_seconds > 0 ? f->o->accept_seconds : usual;
}

rt_collect_options rt_flow_collect_options(const rt_flow *f)
{
    rt_collect_options o = rt_collect_default();
    o.kind = f->recipe.targets;
    o.draws = f->recipe.draws;
    o.k = f->recipe.k;
    o.temperature = f->recipe.temperature;
    o.seed = f->recipe.seed;
    o.hidden_dtype = f->recipe.hidden_dtype;
    o.accept_degraded = f->recipe.accept_degraded;
    o.accepted_seconds = rt_flow_accepted_seconds(f);
    return o;
}

static rt_status collect_here(rt_flow *f, const char *dir, const char *ledger, rt_collect_report *report, rt_err *err)
{
    return rt_collect(&(rt_collect_job){.teacher = f->teacher,
                                        .tokenizer = f->tokenizer,
                                        .corpus = &f->text,
                                        .packed = &f->packed,
                                        .permit = f->permit,
                                        .dir = dir,
                                        .ledger = ledger,
                                        .name = "cache",
                                        .options = rt_flow_collect_options(f)},
                      report, err);
}

rt_status rt_stage_collect(rt_flow *f, rt_err *err)
{
    rt_status st = RT_OK;
    char *dir = NULL, *ledger = NULL;
    rt_collect_report report;
    RT_TRY(rt_flow_retain_check(f, err));
    RT_TRY(rt_asked_check_documents(f, err));
    RT_TRY(rt_flow_need_teacher(f, err));
    RT_TRY(rt_flow_need_texts(f, err));
    RT_TRY(rt_flow_path_to(f, "cache", &dir, err));
    RT_TRY(rt_flow_path_to(f, "ledger.jsonl", &ledger, err));
    RT_TRY(rt_flow_is_served(f) ? collect_served(f, dir, ledger, &report, err)
                                : collect_here(f, dir, ledger, &report, err));
    if (rt_flow_retains(f)) {
        RT_TRY(rt_flow_retain_collect(f, err));
    }
    RT_TRY(note_ledger(f, ledger, err));
    RT_TRY(rt_manifest_add_output(&f->manifest, "collect", "cache/cache.json", err));
    RT_TRY(save_report(f, &report, err));
    char draws[32] = "", fidelity[64] = "";
    if (report.draws > 0) {
        snprintf(draws, sizeof draws, " with %d draws", report.draws);
    }
    if (report.fidelity.kl.n > 0) {
        snprintf(fidelity, sizeof fidelity, ", %.2g nats from its f32 path", report.fidelity.kl.mean);
    }
    rt_log(RT_LOG_INFO, "collect: %lld tokens, %.1f bytes a token%s, teacher perplexity %.1f%s",
           (long long)report.tokens, report.bytes_per_token, draws, exp(report.teacher_nll), fidelity);
out:
    rt_free(dir);
    rt_free(ledger);
    return st;
}
