/* collect.c - the loop: a batch of whole sequences through the teacher, its rows to the cache writer. Batches begin
 * anew with every shard, so that a resumed run forms the same batches and hence the same bits. */
#include "teacher/collect.h"

#include "teacher/answers.h"
#include "teacher/cache_shard.h"
#include "teacher/collect_record.h"
#include "teacher/forecast.h"

rt_collect_options rt_collect_default(void)
{
    return (rt_collect_options){.kind = RT_CACHE_SAMPLE,
                                .draws = 50,
                                .k = 32,
                                .temperature = 1,
                                .seed = 1,
                                .hidden_dtype = RT_F16,
                                .batch_tokens = 2048};
}

/* ---- header ---- */

static int64_t vocabulary(const rt_collect_job *job)
{
    return job->remote ? job->remote->n_vocab : job->teacher->hp.n_vocab;
}

static int64_t batch_tokens(const rt_collect_job *job)
{
    const int64_t wanted = job->remote ? job->remote->batch_tokens : job->options.batch_tokens;
    return wanted > job->packed->sequence ? wanted : job->packed->sequence;
}

/* In the cache; sample: twice the bytes seen on books */
static int64_t bytes_per_target(const rt_collect_options *o, const rt_model *teacher)
{
    return o->kind == RT_CACHE_SAMPLE ? 8 + o->draws
           : o->kind == RT_CACHE_TOPK ? 8 + 4 * (int64_t)o->k
                                      : teacher->hp.d_model * rt_dtype_block_bytes(o->hidden_dtype);
}

/* `teacher` NULL: a remote one. */
static int64_t sequences_per_shard(const rt_collect_options *o, const rt_model *teacher, int64_t sequence)
{
    const int64_t shard_tokens = 65536, shard_hidden_bytes = 8 << 20;
    int64_t tokens = shard_tokens;
    if (o->sequences_per_shard > 0) {
        return o->sequences_per_shard;
    }
    if (o->kind == RT_CACHE_HIDDEN) {
        tokens = shard_hidden_bytes / bytes_per_target(o, teacher);
    } else if (teacher == NULL) {
        tokens = 4096; /* a server's answers cost more to lose */
    }
    const int64_t n = tokens / sequence;
    return n > 0 ? n : 1;
}

rt_status rt_collect_header(const rt_collect_job *job, rt_cache_header *h, rt_err *err)
{
    const rt_collect_options *o = &job->options;
    const rt_packed *p = job->packed;
    *h = (rt_cache_header){.kind = o->kind,
                           .draws = o->draws,
                           .k = o->k,
                           .hidden_dtype = o->hidden_dtype,
                           .d_model = job->teacher ? job->teacher->hp.d_model : 0,
                           .compute = job->teacher ? job->teacher->compute : RT_F32,
                           .n_vocab = vocabulary(job),
                           .temperature = o->kind == RT_CACHE_HIDDEN ? 1 : o->temperature,
                           .seed = o->kind == RT_CACHE_SAMPLE ? o->seed : 0,
                           .sequence = p->sequence,
                           .n_sequences = (int64_t)p->n_sequences,
                           .n_tokens = p->n_tokens,
                           .sequences_per_shard = sequences_per_shard(o, job->teacher, p->sequence),
                           .tokenizer = rt_tokenizer_hash(job->tokenizer),
                           .chat_template = rt_chat_hash(job->tokenizer),
                           .data = job->corpus->hash,
                           .layout = p->hash};
    for (int64_t i = 0; i < p->n_tokens; i++) {
        h->n_targets += p->loss_mask[i] != 0;
    }
    for (size_t i = 0; i < job->corpus->n_docs; i++) {
        h->provenance_incomplete = h->provenance_incomplete || !job->corpus->docs[i].origin;
    }
    const char *sha256 = rt_permit_model_sha256(job->permit);
    if (*sha256 && rt_digest_parse(sha256, &h->teacher) != 0) {
        return rt_fail(err, RT_INTERNAL, 0, "the permit's model hash is no SHA-256");
    }
    rt_cache_header_name(h, job->permit);
    return rt_cache_header_check(h, err);
}

/* ---- work ---- */

typedef struct work {
    const rt_collect_job *job;
    rt_cache_header header;
    rt_cache_writer *writer;
    rt_collect_record record;
    rt_answers *answers;
    int64_t batch_tokens; /* of a batch at most */
    rt_gather g;
    rt_cache_row *rows; /* [sequence] of the sequence being appended */
    rt_collect_report *report;
} work;

static rt_answer_options answer_options(const rt_collect_options *o, int64_t max_tokens, int64_t sequence)
{
    return (rt_answer_options){.kind = o->kind,
                               .draws = o->draws,
                               .k = o->k,
                               .temperature = o->temperature,
                               .seed = o->seed,
                               .max_tokens = max_tokens,
                               .max_span = sequence};
}

size_t rt_collect_bytes(const rt_collect_job *job)
{
    const rt_answer_options o = answer_options(&job->options, batch_tokens(job), job->packed->sequence);
    return rt_answers_bytes(job->teacher, &o);
}

/* A shard is encoded in memory, and grows by doubling. */
static int64_t shard_bytes(const rt_collect_options *o, const rt_model *teacher, int64_t sequence)
{
    return 2 * sequences_per_shard(o, teacher, sequence) * sequence * bytes_per_target(o, teacher);
}

int64_t rt_collect_beside(const rt_model *teacher, int64_t sequence, const void *options)
{
    const rt_answer_options o = answer_options(options, sequence, sequence);
    return rt_answers_beside(teacher, &o) + shard_bytes(options, teacher, sequence);
}

/* The shards on disk already are not subtracted. */
static rt_status check_disk(const work *w, rt_err *err)
{
    const rt_cache_header *h = &w->header;
    int64_t per_target = bytes_per_target(&w->job->options, w->job->teacher);
    int64_t left = h->n_sequences - rt_cache_next_sequence(w->writer);
    double need = (double)h->n_targets * (double)per_target * (double)left / (double)h->n_sequences;
    int64_t have = rt_disk_free(w->job->dir);
    if (have >= 0 && (double)have < need) {
        return rt_fail(err, RT_IO, 0, "the cache needs up to %.0f MB, '%s' has %.0f MB free", need * 1e-6, w->job->dir,
                       (double)have * 1e-6);
    }
    return RT_OK;
}

/* Sequences from `first` that go through the teacher together. */
static int64_t gather_batch(work *w, int64_t first)
{
    const rt_cache_header *h = &w->header;
    int64_t shard_end = (first / h->sequences_per_shard + 1) * h->sequences_per_shard;
    int64_t end = shard_end < h->n_sequences ? shard_end : h->n_sequences, i = first;
    rt_gather_clear(&w->g);
    do {
        rt_gather_add_packed(&w->g, w->job->packed, i++);
    } while (i < end && w->g.n_tokens + rt_packed_sequence_tokens(w->job->packed, i) <= w->batch_tokens);
    return i;
}

/* `answers` are those of the sequence's targets, *n_targets of them. */
static rt_status append_sequence(work *w, int64_t sequence, const rt_cache_row *answers, int64_t *n_targets,
                                 rt_err *err)
{
    rt_status st = RT_OK;
    const rt_packed *p = w->job->packed;
    const rt_cache_header *h = &w->header;
    int64_t token0 = p->segments[p->sequence_first_segment[sequence]].start;
    bool ends_shard = (sequence + 1) % h->sequences_per_shard == 0 || sequence + 1 == h->n_sequences;
    *n_targets = 0;
    for (int64_t i = 0; i < rt_packed_sequence_tokens(p, sequence); i++) {
        if (p->loss_mask[token0 + i] != 0) {
            w->rows[i] = answers[(*n_targets)++];
        }
    }
    if (ends_shard) {
        RT_TRY(rt_collect_record_shard(&w->record, sequence / h->sequences_per_shard, err));
        rt_crash_point("collect.ledger");
    }
    RT_TRY(rt_cache_append(w->writer, p, sequence, w->rows, err));
    if (ends_shard) {
        rt_crash_point("collect.shard");
    }
out:
    return st;
}

static rt_status ask_teacher(work *w, const rt_cache_row **answers, rt_err *err)
{
    const rt_remote *remote = w->job->remote;
    if (remote) {
        return remote->answer(remote->ud, &w->g, answers, err);
    }
    *answers = rt_answers_run(w->answers, &w->g);
    return RT_OK;
}

static rt_status run_batches(work *w, rt_err *err)
{
    rt_status st = RT_OK;
    rt_progress progress;
    int64_t next = rt_cache_next_sequence(w->writer), n = w->header.n_sequences;
    const double share = (double)w->header.n_tokens / (double)n;
    double t0 = rt_now();
    if (next == n) {
        return RT_OK;
    }
    rt_progress_begin(&progress, "collect");
    while (next < n) {
        if (rt_interrupted()) {
            RT_FAIL_OUT(
                err, RT_CANCELLED, 0,
                "collect stopped at sequence %lld of %lld; the same command goes on behind the last whole shard",
                (long long)next, (long long)n);
        }
        int64_t end = gather_batch(w, next);
        const rt_cache_row *answers = NULL;
        RT_TRY(ask_teacher(w, &answers, err));
        rt_crash_point("collect.batch");
        for (; next < end; next++) {
            int64_t n_targets;
            RT_TRY(append_sequence(w, next, answers, &n_targets, err));
            answers += n_targets;
        }
        w->report->tokens_now += w->g.n_tokens;
        w->report->seconds = rt_now() - t0;
        rt_progress_update(&progress, (double)next * share, (double)w->header.n_tokens, "%.0f tokens/s",
                           (double)w->report->tokens_now / w->report->seconds);
    }
    rt_progress_end(&progress, "%lld tokens", (long long)w->report->tokens_now);
out:
    return st;
}

/* ---- whole ---- */

static rt_status check_job(const rt_collect_job *job, rt_err *err)
{
    if (!job->permit) {
        return rt_fail(err, RT_LICENCE, 0, "no permit for this teacher: nothing may be collected");
    }
    if (rt_tokenizer_n_vocab(job->tokenizer) > vocabulary(job)) {
        return rt_fail(err, RT_INPUT, 0, "the tokenizer has %d tokens, the teacher %lld: wrong tokenizer",
                       rt_tokenizer_n_vocab(job->tokenizer), (long long)vocabulary(job));
    }
    if (job->remote && job->remote->whole && job->options.kind == RT_CACHE_HIDDEN) {
        return rt_fail(err, RT_UNSUPPORTED, 0,
                       "these logits come without the states they were made from: --targets sample or topk");
    }
    if (job->remote && !job->remote->whole && (job->options.kind != RT_CACHE_TOPK || job->options.temperature != 1)) {
        return rt_fail(err, RT_UNSUPPORTED, 0,
                       "a served teacher gives its likeliest tokens at temperature 1 only: --targets topk");
    }
    return job->remote ? rt_packed_fits(job->packed, job->remote->context, vocabulary(job), err)
                       : rt_packed_check(job->packed, job->teacher, err);
}

/* What is left to do here, in time. */
static rt_status forecast(const work *w, rt_err *err)
{
    int64_t tokens = 0;
    for (int64_t i = rt_cache_next_sequence(w->writer); i < w->header.n_sequences; i++) {
        tokens += rt_packed_sequence_tokens(w->job->packed, i);
    }
    return rt_forecast_say(w->job->teacher, tokens, w->batch_tokens, w->header.sequence,
                           w->job->options.accepted_seconds, err);
}

static rt_status open_teacher(work *w, rt_err *err)
{
    rt_status st = RT_OK;
    const rt_cache_header *h = &w->header;
    const rt_collect_options *c = &w->job->options;
    rt_answer_options o = answer_options(c, batch_tokens(w->job), h->sequence);
    RT_TRY(rt_answers_fit(&o, w->job->teacher, shard_bytes(c, w->job->teacher, h->sequence), err));
    w->batch_tokens = o.max_tokens;
    RT_TRY(forecast(w, err));
    RT_TRY(rt_teacher_fidelity_take(&w->report->fidelity, w->job->teacher, w->job->packed, w->job->dir, h, err));
    rt_crash_point("collect.fidelity");
    RT_TRY(rt_teacher_fidelity_judge(&w->report->fidelity, h->teacher_name, c->accept_degraded, err));
    RT_TRY(rt_answers_new(&w->answers, w->job->teacher, &o, err));
out:
    return st;
}

static rt_status open_speaker(work *w, rt_err *err)
{
    rt_status st = RT_OK;
    RT_TRY(check_disk(w, err));
    w->batch_tokens = batch_tokens(w->job);
    if (w->job->teacher) {
        RT_TRY(open_teacher(w, err));
    }
    RT_TRY(rt_gather_init(&w->g, w->batch_tokens, err));
    RT_TRY(RT_NEW(&w->rows, (size_t)w->job->packed->sequence, "rows of a sequence", err));
out:
    return st;
}

static rt_status prepare(work *w, rt_err *err)
{
    rt_status st = RT_OK;
    rt_teacher_fidelity *f = &w->report->fidelity;
    RT_TRY(rt_cache_create(&w->writer, w->job->dir, &w->header, w->job->permit, err));
    const int64_t done = rt_cache_next_sequence(w->writer);
    if (w->job->remote) {
        *f = rt_teacher_fidelity_none(w->job->remote->whole ? "the logits come from a file" : "the teacher is served");
    } else if (done == w->header.n_sequences) {
        RT_TRY(rt_teacher_fidelity_kept(f, w->job->dir, &w->header, err));
    }
    if (done < w->header.n_sequences) {
        RT_TRY(open_speaker(w, err));
    }
    RT_TRY(rt_collect_record_open(&w->record, w->job, &w->header, f, err));
    /* shards may have outlived their ledger's loss: what is on disk must be accounted for before more is added */
    for (int64_t i = 0; i * w->header.sequences_per_shard < done; i++) {
        RT_TRY(rt_collect_record_shard(&w->record, i, err));
    }
    rt_cache_keep_fidelity(w->writer, w->record.fidelity);
out:
    return st;
}

static rt_status fill_report(const work *w, rt_err *err)
{
    rt_cache *c = NULL;
    rt_collect_report *r = w->report;
    rt_status st = rt_cache_open(&c, w->job->dir, err);
    if (st != RT_OK) {
        return st;
    }
    r->tokens = w->header.n_tokens;
    r->targets = w->header.n_targets;
    r->sequences = w->header.n_sequences;
    r->bytes = rt_cache_bytes(c);
    r->bytes_per_token = (double)r->bytes / (double)r->tokens;
    r->draws = w->header.kind == RT_CACHE_SAMPLE ? w->header.draws : 0;
    r->teacher_nll = rt_cache_teacher_nll(c);
    r->tokens_per_s = r->tokens_now > 0 && r->seconds > 0 ? (double)r->tokens_now / r->seconds : 0;
    r->hash = rt_cache_hash(c);
    rt_cache_close(c);
    return RT_OK;
}

rt_status rt_collect(const rt_collect_job *job, rt_collect_report *report, rt_err *err)
{
    rt_status st = RT_OK;
    work w = {.job = job, .report = report};
    *report = (rt_collect_report){0};
    RT_TRY(check_job(job, err));
    RT_TRY(rt_collect_header(job, &w.header, err));
    RT_TRY(prepare(&w, err));
    RT_TRY(run_batches(&w, err));
    RT_TRY(rt_collect_record_finish(&w.record, err));
    rt_cache_writer *writer = w.writer;
    w.writer = NULL; /* gone either way */
    RT_TRY(rt_cache_finish(writer, err));
    RT_TRY(fill_report(&w, err));
out:
    rt_cache_abandon(w.writer);
    rt_collect_record_close(&w.record);
    rt_answers_free(w.answers);
    rt_gather_release(&w.g);
    rt_free(w.rows);
    return st;
}
