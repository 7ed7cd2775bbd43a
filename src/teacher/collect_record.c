/* collect_record.c - entering a shard's outputs into the ledger. After a crash the ledger may be ahead of the shards,
 * never behind: what it already has of a shard is recognised by the shard's name and the running sum of positions. */
#include "teacher/collect_record.h"

#include "format/json.h"
#include "teacher/cache_shard.h"

/* ---- opening ---- */

static json_t *settings_json(const rt_cache_header *h)
{
    char seed[17], tokenizer[65], data[65], layout[65];
    snprintf(seed, sizeof seed, "%016llx", (unsigned long long)h->seed);
    rt_digest_hex(h->tokenizer, tokenizer);
    rt_digest_hex(h->data, data);
    rt_digest_hex(h->layout, layout);
    json_t *o = json_pack("{s:s, s:f, s:s, s:s, s:s}", "targets", rt_cache_kind_name(h->kind), "temperature",
                          h->temperature, "tokenizer_sha256", tokenizer, "data_sha256", data, "layout_sha256", layout);
    if (o && h->kind == RT_CACHE_SAMPLE) {
        json_object_set_new(o, "draws", json_integer(h->draws));
        json_object_set_new(o, "generator", json_string("philox4x32-10"));
        json_object_set_new(o, "seed", json_string(seed));
    } else if (o && h->kind == RT_CACHE_TOPK) {
        json_object_set_new(o, "k", json_integer(h->k));
    }
    return o;
}

static rt_status read_known(rt_collect_record *r, rt_err *err)
{
    rt_ledger_report before = {0};
    if (rt_path_size(r->job->ledger) <= 0) {
        return RT_OK;
    }
    rt_status st = rt_ledger_verify(&before, r->job->ledger, err);
    if (st == RT_OK) {
        r->known = json_incref(before.caches);
    }
    rt_ledger_report_release(&before);
    return st;
}

static void make_tag(rt_collect_record *r)
{
    char hex[65];
    rt_digest_hex(rt_cache_header_hash(r->header), hex);
    memcpy(r->tag, hex, sizeof r->tag - 1);
}

rt_status rt_collect_record_open(rt_collect_record *r, const rt_collect_job *job, const rt_cache_header *h,
                                 const rt_teacher_fidelity *fidelity, rt_err *err)
{
    rt_status st = RT_OK;
    json_t *settings = settings_json(h);
    if (settings && job->remote) {
        json_object_set(settings, "endpoint", (json_t *)job->remote->identity);
    }
    r->fidelity = rt_teacher_fidelity_json(fidelity);
    r->degraded = rt_teacher_fidelity_exceeds(fidelity);
    r->job = job;
    r->header = h;
    r->name = rt_strdup(job->name ? job->name : rt_path_base(job->dir));
    if (!settings || !r->name || json_object_set(settings, "teacher_fidelity", r->fidelity) != 0) {
        RT_FAIL_OUT(err, RT_MEMORY, 0, "no memory for the ledger's settings");
    }
    make_tag(r);
    RT_TRY(RT_NEW(&r->positions, job->corpus->n_docs, "positions of documents", err));
    RT_TRY(RT_NEW(&r->docs, job->corpus->n_docs, "documents of a shard", err));
    /* opening cuts a torn last line, so the chain is whole when it is read */
    RT_TRY(rt_ledger_open(&r->ledger, job->ledger, job->permit, settings, err));
    RT_TRY(read_known(r, err));
out:
    json_decref(settings);
    return st;
}

/* ---- a shard ---- */

static int64_t segment_targets(const rt_packed *p, const rt_segment *s)
{
    int64_t n = 0;
    for (int64_t i = s->start; i < s->start + s->n; i++) {
        n += p->loss_mask[i] != 0;
    }
    return n;
}

/* Fills docs and positions; returns how many documents have any. */
static size_t find_documents(rt_collect_record *r, int64_t shard)
{
    const rt_packed *p = r->job->packed;
    int64_t first = shard * r->header->sequences_per_shard, end = first + rt_shard_n_sequences(r->header, shard);
    size_t n = 0;
    for (int64_t i = p->sequence_first_segment[first]; i < p->sequence_first_segment[end]; i++) {
        const rt_segment *s = &p->segments[i];
        int64_t targets = segment_targets(p, s);
        if (targets > 0 && r->positions[s->doc] == 0) {
            r->docs[n++] = s->doc;
        }
        r->positions[s->doc] += targets;
    }
    return n;
}

static rt_status add_document(rt_collect_record *r, int32_t doc, const char *cache, rt_err *err)
{
    const rt_document *d = &r->job->corpus->docs[doc];
    return rt_ledger_add_output(r->ledger,
                                &(rt_ledger_output){.what = rt_cache_kind_name(r->header->kind),
                                                    .doc = d->id,
                                                    .origin = d->origin,
                                                    .positions = (uint64_t)r->positions[doc],
                                                    .cache = cache,
                                                    .text = d->text_hash.b,
                                                    .text_bytes = sizeof d->text_hash.b},
                                err);
}

/* Before the first outputs of the cache, so that it is there once. */
static rt_status add_acceptance(rt_collect_record *r, rt_err *err)
{
    json_t *said = json_pack("{s:O}", "degraded_teacher_accepted", r->fidelity);
    const rt_status st =
        said ? rt_ledger_add_decision(r->ledger, said, err) : rt_fail(err, RT_MEMORY, 0, "no memory for a decision");
    json_decref(said);
    return st;
}

rt_status rt_collect_record_shard(rt_collect_record *r, int64_t shard, rt_err *err)
{
    rt_status st = RT_OK;
    char file[16], cache[512];
    rt_shard_file_name(shard, file);
    snprintf(cache, sizeof cache, "%s/%s#%s", r->name, file, r->tag);
    int64_t known = rt_json_i64(r->known, cache, 0);
    size_t n = find_documents(r, shard);
    if (r->degraded && shard == 0 && known == 0) {
        RT_TRY(add_acceptance(r, err));
    }
    for (size_t i = 0; i < n; i++) {
        int64_t positions = r->positions[r->docs[i]];
        if (known >= positions) {
            known -= positions;
        } else if (known == 0) {
            RT_TRY(add_document(r, r->docs[i], cache, err));
        } else {
            break;
        }
    }
    if (known != 0) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "ledger '%s' records other documents for '%s' than this corpus has",
                    r->job->ledger, cache);
    }
    RT_TRY(rt_ledger_commit(r->ledger, NULL, err));
out:
    for (size_t i = 0; i < n; i++) {
        r->positions[r->docs[i]] = 0;
    }
    return st;
}

rt_status rt_collect_record_finish(rt_collect_record *r, rt_err *err)
{
    return rt_ledger_finish(r->ledger, NULL, err);
}

void rt_collect_record_close(rt_collect_record *r)
{
    rt_ledger_close(r->ledger);
    json_decref(r->known);
    json_decref(r->fidelity);
    rt_free(r->name);
    rt_free(r->positions);
    rt_free(r->docs);
    memset(r, 0, sizeof *r);
}
