/* cache_match.c - tokenizer and teacher compared with the hashes in a cache's header. */
#include "teacher/cache_match.h"

#include <string.h>

#include "model/identity.h"

static bool is_same(rt_digest a, rt_digest b)
{
    return memcmp(a.b, b.b, sizeof a.b) == 0;
}

/* The first id at which the teacher's tokenizer parts from `t`; -1: unknown. */
static int32_t first_difference(const rt_cache_header *h, const rt_tokenizer *t, const char *teacher)
{
    rt_tokenizer *own = NULL;
    int32_t id = -1;
    if (teacher != NULL && rt_tokenizer_open(&own, teacher, NULL) == RT_OK &&
        is_same(rt_tokenizer_hash(own), h->tokenizer)) {
        id = rt_tokenizer_first_difference(t, own);
    }
    rt_tokenizer_close(own);
    return id;
}

/* What serves any tokenizer. */
#define TEXT_LEVEL                                                                                                    \
    "between tokenizers text is what can be taught: collect --targets text, then train on the answers with the loss " \
    "ce"

rt_status rt_cache_match_tokenizer(const rt_cache *c, const rt_tokenizer *t, const char *model, const char *teacher,
                                   rt_err *err)
{
    const rt_cache_header *h = rt_cache_get_header(c);
    char own[65], wanted[65];
    if (is_same(rt_tokenizer_hash(t), h->tokenizer)) {
        return RT_OK;
    }
    const int32_t id = first_difference(h, t, teacher);
    if (id >= 0) {
        return rt_fail(
            err, RT_INPUT, 0,
            "'%s' has another tokenizer than the teacher '%s' (token %d differs): the cache's ids mean other "
            "text to it; " TEXT_LEVEL,
            model, h->teacher_name, id);
    }
    rt_digest_hex(rt_tokenizer_hash(t), own);
    rt_digest_hex(h->tokenizer, wanted);
    return rt_fail(
        err, RT_INPUT, 0,
        "'%s' has another tokenizer than the teacher '%s' (hash %.16s, the cache's is %.16s): the cache's ids "
        "mean other text to it; " TEXT_LEVEL,
        model, h->teacher_name, own, wanted);
}

rt_status rt_cache_match_teacher(const rt_cache *c, const char *path, rt_err *err)
{
    static const rt_digest unknown = {{0}};
    const rt_cache_header *h = rt_cache_get_header(c);
    rt_digest own;
    char own_hex[65], wanted[65];
    if (is_same(h->teacher, unknown)) {
        return RT_OK;
    }
    const rt_status st = rt_model_sha256(path, NULL, &own, err);
    if (st != RT_OK || is_same(own, h->teacher)) {
        return st;
    }
    rt_digest_hex(own, own_hex);
    rt_digest_hex(h->teacher, wanted);
    return rt_fail(err, RT_INPUT, 0,
                   "'%s' is not the teacher of this cache: its SHA-256 begins with %.16s, that of '%s', which made the "
                   "cache, with %.16s",
                   path, own_hex, h->teacher_name, wanted);
}
