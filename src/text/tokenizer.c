/* tokenizer.c - the handle: finishing it, and what it answers about itself. */
#include "text/tokenizer.h"

#include <string.h>

#include "text/tokenizer_impl.h"

rt_status rt_ids_push(rt_ids *ids, int32_t id, rt_err *err)
{
    const rt_status st = RT_GROW(&ids->p, ids->n, &ids->cap, "token ids", err);
    if (st == RT_OK) {
        ids->p[ids->n++] = id;
    }
    return st;
}

void rt_ids_release(rt_ids *ids)
{
    rt_free(ids->p);
    *ids = (rt_ids){0};
}

rt_status rt_tokenizer_new(rt_tokenizer **out, rt_err *err)
{
    rt_status st = RT_NEW(out, 1, "tokenizer", err);
    if (st == RT_OK) {
        rt_tokenizer *t = *out;
        t->bos = t->eos = t->eot = t->eom = t->pad = t->unk = t->byte_unk = -1;
    }
    return st;
}

void rt_tokenizer_close(rt_tokenizer *t)
{
    if (t) {
        rt_pretok_close(t->pretok);
        rt_specials_release(&t->specials);
        rt_specials_release(&t->user_specials);
        rt_bpe_release(&t->bpe);
        rt_vocab_release(&t->vocab);
        rt_free(t->from);
        rt_free(t->chat_template);
        rt_free(t->chat_system);
        rt_free(t);
    }
}

rt_status rt_tokenizer_set_pre(rt_tokenizer *t, const char *name, size_t n, rt_err *err)
{
    t->pre = rt_pre_find(name, n);
    if (t->pre) {
        return RT_OK;
    }
    rt_str known = {0};
    rt_pre_list(&known);
    rt_status st = rt_fail(err, RT_UNSUPPORTED, 0, "pre-tokenizer '%.*s' is not known; known are %s",
                           (int)(n < 64 ? n : 64), name, rt_str_cstr(&known));
    rt_str_release(&known);
    return st;
}

bool rt_merge_split(rt_slice line, rt_slice *left, rt_slice *right)
{
    const char *space = line.n ? memchr(line.p, ' ', line.n) : NULL;
    if (!space) {
        return false;
    }
    *left = (rt_slice){line.p, (size_t)(space - line.p)};
    *right = (rt_slice){space + 1, line.n - left->n - 1};
    return left->n > 0 && right->n > 0 && !memchr(right->p, ' ', right->n);
}

static rt_status collect_specials(rt_tokenizer *t, rt_err *err)
{
    rt_status st = RT_OK;
    size_t n_all = 0, n_user = 0;
    for (int32_t id = 0; id < t->vocab.n; id++) {
        rt_token_kind kind = t->vocab.tokens[id].kind;
        n_user += kind == RT_TOKEN_USER;
        n_all += kind == RT_TOKEN_USER || kind == RT_TOKEN_CONTROL || kind == RT_TOKEN_UNKNOWN;
    }
    RT_TRY(rt_specials_init(&t->specials, n_all, err));
    RT_TRY(rt_specials_init(&t->user_specials, n_user, err));
    for (int32_t id = 0; id < t->vocab.n; id++) {
        const rt_token *token = &t->vocab.tokens[id];
        if (token->kind == RT_TOKEN_USER) {
            rt_specials_add(&t->user_specials, token->text, id);
        }
        if (token->kind == RT_TOKEN_USER || token->kind == RT_TOKEN_CONTROL || token->kind == RT_TOKEN_UNKNOWN) {
            rt_specials_add(&t->specials, token->text, id);
        }
    }
    rt_specials_seal(&t->specials);
    rt_specials_seal(&t->user_specials);
out:
    return st;
}

/* Lengths go in before texts, so that no two tokenizers write the same bytes. Padding at the end is left out: files
 * differ in it. So do SentencePiece vocabularies: one file has scores and the other merges made from them, one writes
 * user-defined tokens with spaces and the other with U+2581; their tokens go in as the bytes they stand for. */
static rt_status hash_tokenizer(rt_tokenizer *t, rt_err *err)
{
    rt_sha256 h;
    rt_status st = rt_sha256_open(&h, err);
    if (st != RT_OK) {
        return st;
    }
    rt_sha256_add(&h, t->pre->name, strlen(t->pre->name) + 1);
    const size_t n_merges = t->vocab.alphabet == RT_ALPHABET_SPACES ? 0 : t->bpe.n_merges;
    uint64_t counts[2] = {(uint64_t)rt_vocab_n_used(&t->vocab), n_merges};
    rt_sha256_add(&h, counts, sizeof counts);
    for (uint64_t id = 0; id < counts[0]; id++) {
        const rt_token *token = &t->vocab.tokens[id];
        rt_token_kind kind =
            token->kind == RT_TOKEN_UNKNOWN ? RT_TOKEN_CONTROL : token->kind; /* tokenizer.json has one kind */
        const rt_slice *text = t->vocab.alphabet == RT_ALPHABET_SPACES ? &token->bytes : &token->text;
        uint32_t head[2] = {(uint32_t)kind, (uint32_t)text->n};
        rt_sha256_add(&h, head, sizeof head);
        rt_sha256_add(&h, text->p, text->n);
    }
    rt_sha256_add(&h, t->bpe.merges, n_merges * sizeof *t->bpe.merges);
    t->hash = rt_sha256_close(&h);
    return RT_OK;
}

static int32_t find_first(const rt_tokenizer *t, const char *const *names)
{
    for (; *names; names++) {
        int32_t id = rt_tokenizer_find(t, *names);
        if (id >= 0) {
            return id;
        }
    }
    return -1;
}

/* Files often name no end of turn; the token is then known by its text. */
static void find_turn_ends(rt_tokenizer *t)
{
    static const char *const eot[] = {"<|im_end|>", "<|eot_id|>", "<end_of_turn>", "<|return|>", "<|end|>",
                                      "[EOT]",      NULL};
    static const char *const eom[] = {"<|eom_id|>", NULL};
    t->eot = t->eot >= 0 ? t->eot : find_first(t, eot);
    t->eom = t->eom >= 0 ? t->eom : find_first(t, eom);
}

static rt_status check_special_ids(const rt_tokenizer *t, rt_err *err)
{
    const struct {
        const char *name;
        int32_t id;
    } all[] = {{"bos", t->bos}, {"eos", t->eos},     {"eot", t->eot},
               {"eom", t->eom}, {"padding", t->pad}, {"unknown", t->unk}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i].id < -1 || all[i].id >= t->vocab.n) {
            return rt_fail(err, RT_INPUT, 0, "%s token id %d is outside the vocabulary of %d", all[i].name, all[i].id,
                           t->vocab.n);
        }
    }
    if (t->adds_bos && t->bos < 0) {
        return rt_fail(err, RT_INPUT, 0, "tokenizer asks for a BOS token but names none");
    }
    return RT_OK;
}

rt_status rt_tokenizer_finish(rt_tokenizer *t, rt_err *err)
{
    rt_status st = RT_OK;
    find_turn_ends(t);
    RT_TRY(check_special_ids(t, err));
    RT_TRY(collect_specials(t, err));
    if (t->pre->steps) {
        RT_TRY(rt_pretok_open(&t->pretok, t->pre, err));
    }
    RT_TRY(hash_tokenizer(t, err));
    if (t->chat_template) {
        RT_TRY(rt_chat_form_match(t->chat_template, &t->chat_form, &t->chat_system, err));
    }
out:
    return st;
}

int32_t rt_tokenizer_n_vocab(const rt_tokenizer *t)
{
    return t->vocab.n;
}

const char *rt_tokenizer_pre(const rt_tokenizer *t)
{
    return t->pre->name;
}

int32_t rt_tokenizer_bos(const rt_tokenizer *t)
{
    return t->bos;
}

int32_t rt_tokenizer_eos(const rt_tokenizer *t)
{
    return t->eos;
}

int32_t rt_tokenizer_eot(const rt_tokenizer *t)
{
    return t->eot;
}

bool rt_tokenizer_adds_bos(const rt_tokenizer *t)
{
    return t->adds_bos;
}

bool rt_tokenizer_is_end(const rt_tokenizer *t, int32_t id)
{
    return id >= 0 && (id == t->eos || id == t->eot || id == t->eom);
}

int32_t rt_tokenizer_find(const rt_tokenizer *t, const char *piece)
{
    return rt_vocab_find(&t->vocab, piece, strlen(piece));
}

rt_digest rt_tokenizer_hash(const rt_tokenizer *t)
{
    return t->hash;
}

int32_t rt_tokenizer_first_difference(const rt_tokenizer *a, const rt_tokenizer *b)
{
    int32_t na = rt_vocab_n_used(&a->vocab), nb = rt_vocab_n_used(&b->vocab);
    for (int32_t id = 0; id < na && id < nb; id++) {
        rt_slice x = a->vocab.tokens[id].text, y = b->vocab.tokens[id].text;
        if (x.n != y.n || memcmp(x.p, y.p, x.n) != 0) {
            return id;
        }
    }
    return -1;
}
