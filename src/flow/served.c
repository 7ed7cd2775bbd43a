/* served.c - a served teacher from gate to folder. */
#include "flow/served.h"

#include <string.h>

#include "teacher/endpoint_score.h"
#include "teacher/endpoint_text.h"

/* ---- opening ---- */

rt_status rt_served_permit(rt_permit **out, const rt_served_ask *ask, const char *served, const char *accept,
                           rt_err *err)
{
    rt_http_url url;
    const rt_status st = rt_http_url_parse(&url, ask->server.url, err);
    const rt_declared declared = {.licence = ask->licence,
                                  .base_model = ask->base_model,
                                  .host = url.place == RT_HTTP_PUBLIC ? url.host : NULL,
                                  .served = served,
                                  .weights = ask->weights};
    const rt_permit_ask gate = {.model = ask->server.model,
                                .declared = &declared,
                                .uses = RT_USE_TRAIN_ON_OUTPUTS | (ask->weights != NULL ? RT_USE_DERIVE_WEIGHTS : 0u),
                                .dir = ask->decisions != NULL ? ask->decisions : ask->dir,
                                .accept = accept,
                                .reason = ask->reason,
                                .planned = ask->planned,
                                .grant = ask->grant,
                                .noncommercial = ask->noncommercial};
    return st == RT_OK ? rt_permit_get(out, &gate, NULL, err) : st;
}

static rt_status ask_gate(rt_served *s, const char *served, const char *accept, rt_err *err)
{
    rt_permit_free(s->permit);
    s->permit = NULL;
    return rt_served_permit(&s->permit, s->ask, served, accept, err);
}

/* The name the server gives its model may tell of another family than the declared one. */
static rt_status ask_gate_again(rt_served *s, rt_err *err)
{
    const char *served = rt_endpoint_served(s->endpoint);
    rt_err first = {0};
    const rt_status st = ask_gate(s, served, NULL, &first);
    if (st == RT_LICENCE && s->ask->accept != NULL) {
        return ask_gate(s, served, s->ask->accept, err);
    }
    if (st != RT_OK && err != NULL) {
        *err = first;
    }
    return st;
}

/* <dir>/endpoint.json says who answered when the folder was begun. */
static rt_status identify(rt_served *s, rt_err *err)
{
    rt_status st = RT_OK;
    json_t *before = NULL;
    char *path = rt_path_join(s->ask->dir, "endpoint.json");
    if (path == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
    }
    if (rt_path_exists(path)) {
        RT_TRY(rt_json_load(&before, path, err));
        rt_endpoint_expect(s->endpoint, before);
    }
    RT_TRY(rt_endpoint_identify(s->endpoint, err));
    RT_TRY(ask_gate_again(s, err));
out:
    json_decref(before);
    rt_free(path);
    return st;
}

/* Once the server has shown that it can do what is wanted. */
static rt_status note_identity(const rt_served *s, rt_err *err)
{
    rt_status st = RT_OK;
    char *path = rt_path_join(s->ask->dir, "endpoint.json");
    if (path == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
    }
    RT_TRY(rt_mkdirs(s->ask->dir, err));
    RT_TRY(rt_json_save(rt_endpoint_identity(s->endpoint), path, err));
out:
    rt_free(path);
    return st;
}

rt_status rt_served_open(rt_served *s, const rt_served_ask *ask, rt_err *err)
{
    rt_status st = RT_OK;
    s->ask = ask;
    RT_TRY(rt_endpoint_open(&s->endpoint, &ask->server, err));
    RT_TRY(ask_gate(s, NULL, ask->accept, err));
    RT_TRY(identify(s, err));
    rt_log(RT_LOG_INFO, "endpoint: '%s' serves %s, declared as %s, licence %s: %s; declared, not observed",
           rt_endpoint_url(s->endpoint)->text, rt_endpoint_served(s->endpoint), ask->server.model,
           rt_permit_licence(s->permit), rt_verdict_name(rt_permit_verdict(s->permit)));
out:
    return st;
}

void rt_served_close(rt_served *s)
{
    rt_permit_free(s->permit);
    rt_endpoint_close(s->endpoint);
    *s = (rt_served){0};
}

/* ---- log-probabilities ---- */

/* Rows of the model's vocabulary, where the tokenizer lies beside its config.json; else 0. */
static int64_t vocabulary_beside(const char *tokenizer)
{
    json_t *config = NULL;
    char *dir = rt_path_is_dir(tokenizer) ? rt_strdup(tokenizer) : rt_path_dir(tokenizer);
    char *path = dir != NULL ? rt_path_join(dir, "config.json") : NULL;
    int64_t n = 0;
    if (path != NULL && rt_path_exists(path) && rt_json_load(&config, path, NULL) == RT_OK) {
        n = rt_json_i64(config, "vocab_size", rt_json_i64(json_object_get(config, "text_config"), "vocab_size", 0));
    }
    json_decref(config);
    rt_free(path);
    rt_free(dir);
    return n;
}

static int sequence_of(const rt_served *s, const rt_served_texts *texts)
{
    const int64_t context = rt_endpoint_context(s->endpoint), wanted = texts->sequence > 0 ? texts->sequence : 512;
    return texts->sequence == 0 && context > 0 && context < wanted ? (int)context : (int)wanted;
}

rt_status rt_served_collect(rt_served *s, const rt_served_corpus *c, rt_collect_report *report, rt_err *err)
{
    rt_status st = RT_OK;
    rt_endpoint_scorer *scorer = NULL;
    RT_TRY(rt_endpoint_scorer_new(&scorer, s->endpoint, c->tokenizer, c->n_vocab, c->k, c->packed->sequence, err));
    RT_TRY(note_identity(s, err));
    rt_collect_job job = {.remote = rt_endpoint_scorer_remote(scorer),
                          .tokenizer = c->tokenizer,
                          .corpus = c->corpus,
                          .packed = c->packed,
                          .permit = s->permit,
                          .dir = s->ask->dir,
                          .ledger = c->ledger,
                          .name = c->name,
                          .options = rt_collect_default()};
    job.options.kind = RT_CACHE_TOPK;
    job.options.k = c->k;
    RT_TRY(rt_collect(&job, report, err));
out:
    rt_endpoint_scorer_free(scorer);
    return st;
}

rt_status rt_served_score(rt_served *s, const rt_served_texts *texts, rt_collect_report *report, rt_err *err)
{
    rt_status st = RT_OK;
    rt_tokenizer *t = NULL;
    rt_corpus corpus = {0};
    rt_packed packed = {0};
    char *ledger = rt_path_join(s->ask->dir, "ledger.jsonl");
    if (ledger == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "out of memory");
    }
    RT_TRY(rt_tokenizer_open(&t, texts->tokenizer, err));
    RT_TRY(rt_corpus_load(
        &corpus, t, &(rt_corpus_options){.paths = texts->paths, .n_paths = texts->n_paths, .max_tokens = texts->tokens},
        err));
    RT_TRY(rt_pack(&packed, &corpus, sequence_of(s, texts), err));
    RT_TRY(rt_served_collect(s,
                             &(rt_served_corpus){.tokenizer = t,
                                                 .corpus = &corpus,
                                                 .packed = &packed,
                                                 .n_vocab = vocabulary_beside(texts->tokenizer),
                                                 .k = texts->k,
                                                 .ledger = ledger},
                             report, err));
out:
    rt_packed_release(&packed);
    rt_corpus_release(&corpus);
    rt_tokenizer_close(t);
    rt_free(ledger);
    return st;
}

/* ---- texts ---- */

static json_t *text_settings(const rt_served *s, const rt_served_prompts *p)
{
    char seed[17];
    snprintf(seed, sizeof seed, "%016llx", (unsigned long long)p->sampling.seed);
    return json_pack("{s:s, s:I, s:f, s:f, s:I, s:f, s:s, s:O}", "targets", "text", "max_tokens",
                     (json_int_t)p->max_new, "temperature", p->sampling.temperature, "top_p", p->sampling.top_p,
                     "top_k", (json_int_t)p->sampling.top_k, "min_p", p->sampling.min_p, "seed", seed, "endpoint",
                     rt_endpoint_identity(s->endpoint));
}

rt_status rt_served_write(rt_served *s, const rt_served_prompts *p, rt_answer_report *report, rt_err *err)
{
    rt_status st = RT_OK;
    rt_prompts prompts = {0};
    json_t *settings = text_settings(s, p);
    if (settings == NULL) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for the ledger's settings");
    }
    RT_TRY(rt_prompts_read(&prompts, p->paths, p->n_paths, err));
    RT_TRY(note_identity(s, err));
    RT_TRY(rt_endpoint_write_answers(&(rt_endpoint_text_job){.endpoint = s->endpoint,
                                                             .permit = s->permit,
                                                             .prompts = &prompts,
                                                             .dir = s->ask->dir,
                                                             .settings = settings,
                                                             .max_new = p->max_new,
                                                             .answers = p->answers,
                                                             .sampling = p->sampling},
                                     report, err));
out:
    json_decref(settings);
    rt_prompts_release(&prompts);
    return st;
}
