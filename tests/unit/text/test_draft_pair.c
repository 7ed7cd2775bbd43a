/* Which vocabularies llama.cpp takes as draft and target. */
#include "rt_test.h"
#include "text/draft_pair.h"
#include "text/tokenizer_impl.h"

/* n tokens "t<i>", from id `odd` on another text. */
static rt_tokenizer *made(int32_t n, int32_t odd, rt_alphabet alphabet)
{
    rt_err err = {0};
    rt_tokenizer *t = NULL;
    assert_ok(rt_tokenizer_new(&t, &err));
    assert_ok(rt_vocab_init(&t->vocab, (size_t)n, alphabet, &err));
    for (int32_t i = 0; i < n; i++) {
        char text[16];
        const int bytes = snprintf(text, sizeof text, "%s%d", i == odd ? "o" : "t", i);
        assert_ok(rt_vocab_set(&t->vocab, i, (rt_slice){text, (size_t)bytes}, RT_TOKEN_NORMAL, &err));
    }
    assert_ok(rt_vocab_seal(&t->vocab, &err));
    t->bos = 1;
    t->eos = 2;
    return t;
}

static void refused(const rt_tokenizer *draft, const rt_tokenizer *target, const char *words)
{
    rt_err err = {0};
    assert_int_equal(rt_draft_pair_check(draft, target, "target.gguf", &err), RT_INPUT);
    assert_says(err.msg, "target.gguf");
    assert_says(err.msg, words);
}

static void the_rules_of_llama_cpp(void **state)
{
    (void)state;
    rt_err err = {0};
    rt_tokenizer *target = made(300, -1, RT_ALPHABET_BYTES);
    rt_tokenizer *special = made(300, RT_DRAFT_FIRST_COMPARED - 1, RT_ALPHABET_BYTES);
    rt_tokenizer *other = made(300, 77, RT_ALPHABET_BYTES), *kind = made(300, -1, RT_ALPHABET_SPACES);
    rt_tokenizer *longer = made(300 + RT_DRAFT_MOST_SPARE, -1, RT_ALPHABET_BYTES);
    rt_tokenizer *too_long = made(301 + RT_DRAFT_MOST_SPARE, -1, RT_ALPHABET_BYTES);
    assert_ok(rt_draft_pair_check(target, target, "target.gguf", &err));
    assert_ok(rt_draft_pair_check(special, target, "target.gguf", &err));
    assert_ok(rt_draft_pair_check(longer, target, "target.gguf", &err));
    assert_ok(rt_draft_pair_check(target, longer, "target.gguf", &err));
    refused(too_long, target, "300 tokens, this one 429; they may differ by 128");
    refused(target, too_long, "429 tokens, this one 300");
    refused(other, target, "token 77 is 't77' there and 'o77' here");
    refused(kind, target, "SentencePiece");
    special->adds_bos = true;
    refused(special, target, "add_bos_token is 0 there and 1 here");
    special->adds_bos = false;
    special->adds_eos = true;
    refused(special, target, "add_eos_token");
    special->adds_eos = false;
    special->bos = 0;
    refused(special, target, "bos_token_id");
    special->bos = 1;
    special->eos = 3;
    refused(special, target, "eos_token_id is 2 there and 3 here");
    rt_tokenizer *all[] = {target, special, other, kind, longer, too_long};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        rt_tokenizer_close(all[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_rules_of_llama_cpp)};
    return cmocka_run_group_tests_name("draft_pair", tests, NULL, NULL);
}
