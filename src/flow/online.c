/* online.c - permit, teacher, texts, the writing student, the source and the ledger of a run without a cache. */
#include "flow/online.h"

#include <string.h>

enum { SEQUENCE = 512 };

static rt_status check(const rt_online_ask *a, rt_err *err)
{
    if (a->n_texts == 0 && !(a->on_policy && a->own.fraction == 1 && a->n_prompts > 0)) {
        return rt_fail(err, RT_USAGE, 0,
                       "texts are needed, unless the student writes everything, as continuations of prompts");
    }
    if (a->sequence < 0 || a->sequence == 1 || a->sequence > INT32_MAX) {
        return rt_fail(err, RT_USAGE, 0, "%lld is no length of two tokens or more", (long long)a->sequence);
    }
    return RT_OK;
}

static rt_status ask_gate(rt_online *n, const rt_online_ask *a, rt_err *err)
{
    const rt_permit_ask ask = {.model = a->teacher,
                               .uses = RT_USE_TRAIN_ON_OUTPUTS,
                               .dir = a->run,
                               .accept = a->accept,
                               .reason = a->reason,
                               .grant = a->grant};
    return a->permit != NULL ? RT_OK : rt_permit_get(&n->permit, &ask, NULL, err);
}

static void name_speaker(rt_online *n, const rt_permit *p)
{
    rt_cache_header *h = &n->speaker;
    rt_cache_header_name(h, p);
    (void)rt_digest_parse(rt_permit_model_sha256(p), &h->teacher);
}

static rt_status open_teacher(rt_online *n, const rt_online_ask *a, const rt_tokenizer *t, rt_err *err)
{
    rt_status st = RT_OK;
    rt_tokenizer *own = NULL;
    RT_TRY(rt_tokenizer_open(&own, a->teacher, err));
    const int32_t id = rt_tokenizer_first_difference(t, own);
    if (id >= 0) {
        RT_FAIL_OUT(err, RT_INPUT, 0,
                    "'%s' and '%s' have different tokenizers (token %d differs): the teacher would judge other text",
                    a->teacher, a->student, id);
    }
    RT_TRY(rt_model_open(&n->teacher, a->teacher, &(rt_model_options){.precision = a->precision}, err));
out:
    rt_tokenizer_close(own);
    return st;
}

/* Where there are prompts alone, they stand for the texts too; none of them is trained on. */
static rt_status open_texts(rt_online *n, const rt_online_ask *a, const rt_tokenizer *t, int64_t sequence, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_corpus_options prompts = {.paths = a->prompts, .n_paths = a->n_prompts, .chat = true};
    const rt_corpus_options texts = {.paths = a->texts, .n_paths = a->n_texts, .max_tokens = a->text_tokens};
    RT_TRY(rt_corpus_load(&n->text, t, a->n_texts > 0 ? &texts : &prompts, err));
    if (a->on_policy && a->n_texts > 0 && a->n_prompts > 0) {
        RT_TRY(rt_corpus_load(&n->prompts, t, &prompts, err));
    }
    RT_TRY(rt_pack(&n->packed, &n->text, (int)sequence, err));
out:
    return st;
}

static rt_status open_ledger(rt_online *n, const rt_online_ask *a, const rt_permit *permit, const rt_train_options *o,
                             rt_err *err)
{
    rt_status st = RT_OK;
    rt_str loss = {0}, text = {0};
    json_t *settings = NULL;
    char *path = rt_path_join(a->run, "ledger.jsonl");
    rt_losses_print(&loss, o->losses, o->n_losses);
    if (n->on_policy != NULL) {
        rt_on_policy_describe(n->on_policy, &text);
    }
    settings = json_pack("{s:s, s:s, s:s}", "targets", "dense", "loss", rt_str_cstr(&loss), "text",
                         text.n ? rt_str_cstr(&text) : "the corpus");
    if (path == NULL || settings == NULL || loss.failed || text.failed) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for the ledger's settings");
    }
    RT_TRY(rt_mkdirs(a->run, err));
    RT_TRY(rt_scored_open(&n->scored, path, permit, &n->text, &n->packed, settings, err));
out:
    json_decref(settings);
    rt_str_release(&loss);
    rt_str_release(&text);
    rt_free(path);
    return st;
}

rt_status rt_online_open(rt_online *n, const rt_online_ask *a, const rt_model *student, const rt_tokenizer *t,
                         rt_train_options *o, rt_err *err)
{
    rt_status st = RT_OK;
    rt_on_policy_options own = a->own;
    rt_source_options source = {.seed = o->seed, .max_batch_tokens = o->batch_tokens};
    own.seed = o->seed;
    RT_TRY(check(a, err));
    RT_TRY(ask_gate(n, a, err));
    const rt_permit *permit = a->permit != NULL ? a->permit : n->permit;
    name_speaker(n, permit);
    RT_TRY(open_teacher(n, a, t, err));
    const int64_t context = rt_least(student->rope_rows, n->teacher->rope_rows);
    const int64_t sequence = a->sequence > 0 ? a->sequence : rt_least(context, SEQUENCE);
    RT_TRY(open_texts(n, a, t, sequence, err));
    if (a->on_policy) {
        const rt_corpus *prompts = n->prompts.n_docs > 0 ? &n->prompts : &n->text;
        RT_TRY(rt_on_policy_new(&n->on_policy, student, t, prompts, rt_least(sequence, context), o->batch_tokens, &own,
                                err));
        source.more = rt_on_policy_text(n->on_policy);
        source.more_tokens = rt_on_policy_tokens(n->on_policy);
    }
    RT_TRY(rt_source_from_corpus(&n->source, &n->packed, RT_SOURCE_DENSE, n->teacher, permit, &source, err));
    RT_TRY(open_ledger(n, a, permit, o, err));
    o->on_policy = n->on_policy;
    o->scored = n->scored;
out:
    return st;
}

void rt_online_close(rt_online *n)
{
    rt_scored_close(n->scored);
    rt_source_close(n->source);
    rt_on_policy_free(n->on_policy);
    rt_packed_release(&n->packed);
    rt_corpus_release(&n->prompts);
    rt_corpus_release(&n->text);
    rt_model_close(n->teacher);
    rt_permit_free(n->permit);
    *n = (rt_online){0};
}
