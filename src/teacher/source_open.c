/* source_open.c - making a source: where sequences come from, their sizes, and all memory a batch can need. */
#include <string.h>

#include "teacher/source_impl.h"

/* ---- memory ---- */

/* For sequences of up to `longest` tokens. */
static rt_status make_buffers(rt_source *s, int64_t longest, rt_err *err)
{
    rt_status st = RT_OK;
    const int64_t least = s->o.max_batch_tokens > longest ? s->o.max_batch_tokens : longest;
    size_t n, n_tokens = (size_t)(least + s->o.more_tokens);
    RT_TRY(rt_gather_init(&s->g, (int64_t)n_tokens, err));
    for (int i = 0; i < 2; i++) {
        RT_TRY(RT_NEW(&s->order[i], (size_t)s->info.n_sequences, "order of sequences", err));
        s->order_epoch[i] = -1;
    }
    if (s->info.kind != RT_SOURCE_HIDDEN && s->info.kind != RT_SOURCE_DENSE) {
        RT_TRY(RT_NEW(&s->targets, n_tokens, "batch targets", err));
    }
    if (s->info.max_entries > 0) {
        if (!rt_mul_size(n_tokens, (size_t)s->info.max_entries, &n)) {
            RT_FAIL_OUT(err, RT_MEMORY, 0, "a batch of %zu tokens is too large", n_tokens);
        }
        RT_TRY(RT_NEW(&s->entry_ids, n, "ids of batch targets", err));
        RT_TRY(RT_NEW(&s->entry_weights, n, "weights of batch targets", err));
    }
    if (s->info.kind == RT_SOURCE_HIDDEN) {
        if (!rt_mul_size(n_tokens, (size_t)s->info.d_model, &n)) {
            RT_FAIL_OUT(err, RT_MEMORY, 0, "a batch of %zu tokens is too large", n_tokens);
        }
        RT_TRY(RT_NEW(&s->hidden, n, "hidden states of a batch", err));
    }
out:
    return st;
}

/* The part of the sequences asked for, of `total`. */
static rt_status choose_part(rt_source *s, int64_t total, rt_err *err)
{
    int64_t first = s->o.first, count = s->o.count > 0 ? s->o.count : total - first;
    if (first < 0 || first >= total || count > total - first) {
        return rt_fail(err, RT_USAGE, 0, "%lld sequences from number %lld on asked for, there are %lld",
                       (long long)count, (long long)first, (long long)total);
    }
    s->o.count = s->info.n_sequences = count;
    return RT_NEW(&s->n_tokens, (size_t)count, "lengths of sequences", err);
}

static rt_status new_source(rt_source **out, const rt_source_options *o, rt_err *err)
{
    rt_status st = RT_NEW(out, 1, "batch source", err);
    if (st == RT_OK) {
        (*out)->o = *o;
        (*out)->o.temperature = o->temperature > 0 ? o->temperature : 1;
    }
    return st;
}

/* A checkpoint depends on what is delivered, whatever file it came from. */
static rt_digest hash_source(const rt_source *s, rt_digest content, const char *teacher_sha256)
{
    char text[512], hex[65];
    rt_digest_hex(content, hex);
    int n = snprintf(text, sizeof text, "%s %d %lld %lld %d %.17g %llu %s", hex, (int)s->info.kind,
                     (long long)s->o.first, (long long)s->o.count, s->info.draws, s->info.temperature,
                     (unsigned long long)s->o.draw_seed, teacher_sha256);
    return rt_sha256_of(text, (size_t)n);
}

/* ---- from a cache ---- */

static void describe_cache(rt_source *s, const rt_cache_header *h)
{
    static const rt_source_kind kinds[] = {RT_SOURCE_SAMPLE, RT_SOURCE_TOPK, RT_SOURCE_HIDDEN};
    s->info.kind = kinds[h->kind];
    s->info.n_vocab = h->n_vocab;
    s->info.d_model = h->d_model;
    s->info.sequence = h->sequence;
    s->info.draws = h->draws;
    s->info.temperature = h->temperature;
}

/* Decodes every sequence once: damage shows now and not hours later, the reading buffer has its size, and those of a
 * batch get theirs from what is there, not from what a header claims. */
static rt_status read_all(rt_source *s, int64_t *longest, rt_err *err)
{
    rt_status st = RT_OK;
    *longest = 0;
    for (int64_t i = 0; i < s->info.n_sequences; i++) {
        int64_t n_targets;
        RT_TRY(rt_cache_read(s->cache, s->o.first + i, &s->sequence, err));
        n_targets = 0;
        for (int64_t k = 0; k < s->sequence.n; k++) {
            n_targets += s->sequence.mask[k];
            if (s->sequence.targets && s->sequence.targets[k].n > s->info.max_entries) {
                s->info.max_entries = s->sequence.targets[k].n;
            }
        }
        *longest = s->sequence.n > *longest ? s->sequence.n : *longest;
        s->n_tokens[i] = (int32_t)s->sequence.n;
        s->info.n_tokens += s->sequence.n;
        s->info.n_targets += n_targets;
    }
out:
    return st;
}

rt_status rt_source_from_cache(rt_source **out, const rt_cache *c, const rt_source_options *o, rt_err *err)
{
    rt_status st = RT_OK;
    rt_source *s = NULL;
    int64_t longest;
    const rt_cache_header *h = rt_cache_get_header(c);
    RT_TRY(new_source(&s, o, err));
    s->cache = c;
    describe_cache(s, h);
    RT_TRY(choose_part(s, h->n_sequences, err));
    RT_TRY(read_all(s, &longest, err));
    RT_TRY(make_buffers(s, longest, err));
    s->o.draw_seed = h->seed;
    s->info.hash = hash_source(s, rt_cache_hash(c), "");
    *out = s;
    s = NULL;
out:
    rt_source_close(s);
    return st;
}

/* ---- from a corpus ---- */

static int64_t least_vocabulary(const rt_packed *p)
{
    int32_t largest = 0;
    for (int64_t i = 0; i < p->n_tokens; i++) {
        largest = p->ids[i] > largest ? p->ids[i] : largest;
    }
    return (int64_t)largest + 1;
}

static rt_status check_request(rt_source_kind kind, const rt_model *teacher, const rt_permit *permit,
                               const rt_source_options *o, rt_err *err)
{
    if (kind == RT_SOURCE_LABELS) {
        return RT_OK;
    }
    if (kind == RT_SOURCE_SAMPLE && o->more) {
        return rt_fail(err, RT_USAGE, 0,
                       "the teacher's whole distribution is needed at text that is not in the corpus");
    }
    if (kind != RT_SOURCE_SAMPLE && kind != RT_SOURCE_DENSE) {
        return rt_fail(err, RT_USAGE, 0, "an online teacher gives dense or sampled targets only");
    }
    if (!teacher || !permit) {
        return rt_fail(err, RT_LICENCE, 0, "no permit for this teacher: its answers may not be used");
    }
    if (kind == RT_SOURCE_SAMPLE && (o->draws < 1 || o->draws > 4096)) {
        return rt_fail(err, RT_USAGE, 0, "draws must be 1 to 4096, not %d", o->draws);
    }
    return RT_OK;
}

static void describe_corpus(rt_source *s, rt_source_kind kind)
{
    const rt_model *t = s->teacher;
    s->info.kind = kind;
    s->info.sequence = s->packed->sequence;
    if (s->o.more && s->o.more->sequence > s->info.sequence) {
        s->info.sequence = s->o.more->sequence;
    }
    s->info.n_vocab = s->o.n_vocab > 0 ? s->o.n_vocab : least_vocabulary(s->packed);
    if (t) {
        s->info.n_vocab = kind != RT_SOURCE_LABELS || s->o.n_vocab == 0 ? t->hp.n_vocab : s->o.n_vocab;
        s->info.d_model = kind == RT_SOURCE_DENSE ? t->hp.d_model : 0;
    }
    s->info.draws = kind == RT_SOURCE_SAMPLE ? s->o.draws : 0;
    s->info.max_entries = s->info.draws;
    s->info.temperature = kind == RT_SOURCE_SAMPLE ? s->o.temperature : 1;
}

static void count_corpus(rt_source *s)
{
    for (int64_t i = 0; i < s->info.n_sequences; i++) {
        int64_t n = rt_packed_sequence_tokens(s->packed, s->o.first + i);
        s->n_tokens[i] = (int32_t)n;
        s->info.n_tokens += n;
        s->info.n_targets += rt_packed_sequence_targets(s->packed, s->o.first + i);
    }
}

static rt_status make_teacher(rt_source *s, rt_err *err)
{
    rt_status st = RT_OK;
    RT_TRY(rt_packed_check(s->packed, s->teacher, err));
    if (s->info.kind == RT_SOURCE_DENSE) {
        RT_TRY(rt_acts_new(&s->acts, s->teacher, s->g.max_tokens, s->info.sequence, RT_NET_FORWARD, err));
        s->info.bytes = rt_acts_bytes(s->teacher, s->g.max_tokens, s->info.sequence, RT_NET_FORWARD);
    } else {
        const rt_answer_options o = {.kind = RT_CACHE_SAMPLE,
                                     .draws = s->o.draws,
                                     .temperature = s->o.temperature,
                                     .seed = s->o.draw_seed,
                                     .max_tokens = s->g.max_tokens,
                                     .max_span = s->info.sequence};
        RT_TRY(rt_answers_new(&s->answers, s->teacher, &o, err));
        s->info.bytes = rt_answers_bytes(s->teacher, &o);
    }
out:
    return st;
}

rt_status rt_source_from_corpus(rt_source **out, const rt_packed *p, rt_source_kind kind, const rt_model *teacher,
                                const rt_permit *permit, const rt_source_options *o, rt_err *err)
{
    rt_status st = RT_OK;
    rt_source *s = NULL;
    RT_TRY(check_request(kind, teacher, permit, o, err));
    RT_TRY(new_source(&s, o, err));
    s->packed = p;
    s->teacher = teacher;
    describe_corpus(s, kind);
    if (least_vocabulary(p) > s->info.n_vocab) {
        RT_FAIL_OUT(err, RT_INPUT, 0, "the corpus has id %lld, the vocabulary ends at %lld: wrong tokenizer",
                    (long long)least_vocabulary(p) - 1, (long long)s->info.n_vocab - 1);
    }
    RT_TRY(choose_part(s, (int64_t)p->n_sequences, err));
    RT_TRY(make_buffers(s, s->info.sequence, err));
    count_corpus(s);
    if (kind != RT_SOURCE_LABELS) {
        RT_TRY(make_teacher(s, err));
    }
    s->info.hash = hash_source(s, p->hash, permit ? rt_permit_model_sha256(permit) : "");
    *out = s;
    s = NULL;
out:
    rt_source_close(s);
    return st;
}

void rt_source_close(rt_source *s)
{
    if (!s) {
        return;
    }
    rt_answers_free(s->answers);
    rt_acts_free(s->acts);
    rt_gather_release(&s->g);
    rt_cache_sequence_release(&s->sequence);
    rt_free(s->n_tokens);
    rt_free(s->order[0]);
    rt_free(s->order[1]);
    rt_free(s->targets);
    rt_free(s->entry_ids);
    rt_free(s->entry_weights);
    rt_free(s->hidden);
    rt_free(s);
}

const rt_source_info *rt_source_get_info(const rt_source *s)
{
    return &s->info;
}
