/* The public interface of retort/distil.h. */
#include <string.h>

#include <retort/distil.h>

#include "audit/heldout.h"
#include "flow/api_options.h"
#include "flow/flow.h"
#include "flow/permit.h"
#include "flow/student.h"
#include "teacher/cache_match.h"
#include "teacher/collect.h"
#include "train/trainer.h"

enum { SEQUENCE = 512 };

static int default_sequence(const rt_model *m)
{
    return m->rope_rows < SEQUENCE ? (int)m->rope_rows : SEQUENCE;
}

/* --- collect ------------------------------------------------------------------------------------------------------ */

static rt_status collect_options(const retort_collect_options *o, rt_collect_options *out, rt_err *err)
{
    *out = rt_collect_default();
    for (int kind = RT_CACHE_SAMPLE; kind <= RT_CACHE_HIDDEN; kind++) {
        if (strcmp(o->targets, rt_cache_kind_name((rt_cache_kind)kind)) == 0) {
            out->kind = (rt_cache_kind)kind;
            out->draws = o->draws;
            out->k = o->k;
            out->temperature = o->temperature;
            out->seed = o->seed;
            out->accept_degraded = o->accept_degraded_teacher != 0;
            out->hidden_dtype = o->hidden_f32 ? RT_F32 : RT_F16;
            return RT_OK;
        }
    }
    return rt_fail(err, RT_USAGE, 0, "targets '%s' are not one of sample, topk, hidden", o->targets);
}

retort_collect_result rt_api_collect_result(const rt_collect_report *r)
{
    retort_collect_result result = {.tokens = r->tokens,
                                    .positions = r->targets,
                                    .bytes = r->bytes,
                                    .bytes_per_token = r->bytes_per_token,
                                    .draws = r->draws,
                                    .teacher_nll = r->teacher_nll,
                                    .seconds = r->seconds,
                                    .tokens_per_s = r->tokens_per_s,
                                    .teacher_kl = r->fidelity.kl.mean,
                                    .teacher_kl_stderr = r->fidelity.kl.stderr_,
                                    .teacher_kl_positions = r->fidelity.kl.n};
    snprintf(result.teacher_unmeasured, sizeof result.teacher_unmeasured, "%s", r->fidelity.unmeasured);
    return result;
}

/* What a teacher needs to speak: leave, tokenizer, weights, and the texts packed. */
typedef struct speech {
    rt_permit *permit;
    rt_tokenizer *tokenizer;
    rt_model *teacher;
    rt_corpus corpus;
    rt_packed packed;
} speech;

static void speech_release(speech *s)
{
    rt_packed_release(&s->packed);
    rt_corpus_release(&s->corpus);
    rt_permit_free(s->permit);
    rt_tokenizer_close(s->tokenizer);
    rt_model_close(s->teacher);
}

static rt_status speech_open(speech *s, const rt_permit_ask *ask, const rt_corpus_options *texts,
                             const retort_collect_options *o, const rt_collect_options *asked, rt_err *err)
{
    rt_status st = RT_OK;
    rt_precision precision = RT_PRECISION_AUTO;
    RT_TRY(rt_api_precision(o->precision, &precision, err));
    RT_TRY(rt_permit_get(&s->permit, ask, NULL, err));
    RT_TRY(rt_tokenizer_open(&s->tokenizer, ask->model, err));
    if (o->chat_form != NULL) {
        RT_TRY(rt_chat_set_form(s->tokenizer, o->chat_form, err));
    }
    RT_TRY(rt_corpus_load(&s->corpus, s->tokenizer, texts, err)); /* first, for it counts under the ceiling */
    RT_TRY(rt_model_open(&s->teacher, ask->model,
                         &(rt_model_options){.precision = precision,
                                             .memory = o->memory,
                                             .span = o->sequence,
                                             .beside = rt_collect_beside,
                                             .beside_ud = asked},
                         err));
    RT_TRY(rt_pack(&s->packed, &s->corpus, o->sequence > 0 ? (int)o->sequence : default_sequence(s->teacher), err));
out:
    return st;
}

rt_status retort_collect(const char *teacher, const char *const *texts, size_t n_texts, const char *cache,
                         const retort_collect_options *given, retort_collect_result *result, rt_err *err)
{
    rt_status st = RT_OK;
    retort_collect_options o = retort_collect_defaults();
    rt_collect_job job = {.dir = cache};
    rt_collect_report report;
    speech s = {0};
    char *ledger = rt_path_join(cache, "ledger.jsonl");
    if (ledger == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
    }
    RT_TRY(rt_api_take_options(&o, given, err));
    RT_TRY(collect_options(&o, &job.options, err));
    const rt_permit_ask ask = {.model = teacher,
                               .uses = RT_USE_TRAIN_ON_OUTPUTS,
                               .dir = cache,
                               .accept = o.accept_licence,
                               .reason = o.reason,
                               .grant = o.grant};
    const rt_corpus_options documents = {.paths = texts, .n_paths = n_texts, .max_tokens = o.tokens};
    RT_TRY(speech_open(&s, &ask, &documents, &o, &job.options, err));
    job.teacher = s.teacher;
    job.tokenizer = s.tokenizer;
    job.corpus = &s.corpus;
    job.packed = &s.packed;
    job.permit = s.permit;
    job.ledger = ledger;
    RT_TRY(rt_collect(&job, &report, err));
    if (result != NULL) {
        *result = rt_api_collect_result(&report);
    }
out:
    speech_release(&s);
    rt_free(ledger);
    return st;
}

/* --- train -------------------------------------------------------------------------------------------------------- */

static rt_status train_options(const retort_train_options *o, const char *run, rt_train_options *out, rt_err *err)
{
    *out = rt_train_default();
    out->run_dir = run;
    out->tokens = o->tokens;
    out->budget = o->seconds;
    out->batch_tokens = o->batch_tokens;
    out->lr = o->lr;
    out->seed = o->seed;
    if (!rt_optim_from_name(o->optimizer, &out->optim.kind)) {
        return rt_fail(err, RT_USAGE, 0, "optimizer '%s' is not one of adamw, muon", o->optimizer);
    }
    if ((o->tokens > 0) == (o->seconds > 0)) {
        return rt_fail(err, RT_USAGE, 0, "either tokens or seconds say how long to train");
    }
    return rt_losses_parse(out->losses, &out->n_losses, o->loss, o->temperature, err);
}

rt_status retort_train(const char *student, const char *cache, const char *run, const retort_train_options *given,
                       retort_train_result *result, rt_err *err)
{
    rt_status st = RT_OK;
    retort_train_options o = retort_train_defaults();
    rt_train_options own;
    rt_train_result r;
    rt_precision precision = RT_PRECISION_AUTO;
    rt_model *m = NULL, *teacher = NULL;
    rt_tokenizer *t = NULL;
    rt_cache *c = NULL;
    rt_source *source = NULL;
    RT_TRY(rt_api_take_options(&o, given, err));
    RT_TRY(rt_api_precision(o.precision, &precision, err));
    RT_TRY(train_options(&o, run, &own, err));
    RT_TRY(rt_cache_open(&c, cache, err));
    const rt_cache_header *header = rt_cache_get_header(c);
    RT_TRY(rt_tokenizer_open(&t, student, err));
    RT_TRY(rt_cache_match_tokenizer(c, t, student, o.teacher, err));
    RT_TRY(rt_model_open(&m, student, &(rt_model_options){.precision = precision, .trainable = true}, err));
    if (o.teacher != NULL && (header->kind == RT_CACHE_HIDDEN || rt_losses_compare_layers(own.losses, own.n_losses))) {
        RT_TRY(rt_cache_match_teacher(c, o.teacher, err));
        RT_TRY(rt_model_open(&teacher, o.teacher, &(rt_model_options){.precision = precision}, err));
    }
    RT_TRY(rt_source_from_cache(&source, c, &(rt_source_options){.seed = o.seed, .max_batch_tokens = o.batch_tokens},
                                err));
    RT_TRY(rt_train_run(m, source, teacher, &own, &r, err));
    RT_TRY(rt_student_save_trained(m, t, student, header, run, err));
    if (result != NULL) {
        *result = (retort_train_result){.steps = r.counts.step,
                                        .tokens = r.counts.tokens,
                                        .seconds = r.counts.active,
                                        .tokens_per_s = r.tokens_per_s,
                                        .first_loss = r.counts.first_loss,
                                        .last_loss = r.counts.last_loss,
                                        .resumed = r.resumed};
    }
out:
    rt_source_close(source);
    rt_cache_close(c);
    rt_tokenizer_close(t);
    rt_model_close(teacher);
    rt_model_close(m);
    return st;
}

/* --- evaluate ----------------------------------------------------------------------------------------------------- */

rt_status retort_evaluate(const retort_model *m, const retort_model *teacher, const retort_tokenizer *t,
                          const char *const *texts, size_t n_texts, int64_t max_tokens, retort_fidelity *out,
                          rt_err *err)
{
    rt_status st = RT_OK;
    rt_corpus corpus = {0};
    rt_heldout *h = NULL;
    rt_fidelity f;
    RT_TRY(rt_corpus_load(&corpus, t,
                          &(rt_corpus_options){.paths = texts, .n_paths = n_texts, .max_tokens = max_tokens}, err));
    RT_TRY(rt_heldout_new(&h, teacher, &corpus, default_sequence(m), max_tokens, err));
    RT_TRY(rt_heldout_measure(h, m, &f, err));
    *out = (retort_fidelity){.positions = f.positions,
                             .documents = f.documents,
                             .nll = f.nll.mean,
                             .nll_stderr = f.nll.stderr_,
                             .kl = f.kl.mean,
                             .kl_stderr = f.kl.stderr_,
                             .top1 = f.top1.mean,
                             .top1_stderr = f.top1.stderr_,
                             .acceptance = f.acceptance.mean,
                             .acceptance_stderr = f.acceptance.stderr_};
out:
    rt_heldout_free(h);
    rt_corpus_release(&corpus);
    return st;
}

/* --- run ---------------------------------------------------------------------------------------------------------- */

static rt_status carry_out(rt_status (*work)(const rt_flow_options *, json_t **, rt_err *), const char *recipe,
                           const retort_run_options *given, char **text, rt_err *err)
{
    rt_status st = RT_OK;
    json_t *j = NULL;
    rt_str s = {0};
    retort_run_options o = retort_run_defaults();
    RT_TRY(rt_api_take_options(&o, given, err));
    RT_TRY(work(&(rt_flow_options){.recipe = recipe,
                                   .sets = o.sets,
                                   .n_sets = o.n_sets,
                                   .runs_dir = o.runs_dir,
                                   .accept_licence = o.accept_licence,
                                   .accept_reason = o.reason},
                &j, err));
    if (text != NULL) {
        rt_json_append(&s, j);
        *text = s.failed ? NULL : rt_strdup(rt_str_cstr(&s));
        st = *text != NULL ? RT_OK : rt_fail(err, RT_MEMORY, 0, "out of memory");
    }
out:
    rt_str_release(&s);
    json_decref(j);
    return st;
}

rt_status retort_run(const char *recipe, const retort_run_options *o, char **json, rt_err *err)
{
    return carry_out(rt_flow_run, recipe, o, json, err);
}

rt_status retort_plan(const char *recipe, const retort_run_options *o, char **json, rt_err *err)
{
    return carry_out(rt_flow_plan, recipe, o, json, err);
}

void retort_free(void *p)
{
    rt_free(p);
}
