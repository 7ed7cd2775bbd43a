/* fuzz_tokenizer.c - any bytes through the teacher's tokenizer. The first byte is the flags, the rest the text.
 * Decoding must give the text back: ill-formed parts replaced, bytes the vocabulary lacks left out, nothing else
 * changed. The vocabulary is $RETORT_FUZZ_VOCAB (SentencePiece's too, without a space before text), else the one the
 * build unpacked.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "text/tokenizer_impl.h"
#include "text/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FIXTURE RT_TEST_GOLDEN "/tokenizer/smollm2-vocab.gguf"

static rt_tokenizer *open_vocabulary(void)
{
    const char *path = getenv("RETORT_FUZZ_VOCAB");
    rt_tokenizer *t = NULL;
    rt_err err = {0};
    if (rt_tokenizer_open(&t, path ? path : FIXTURE, &err) != RT_OK) {
        (void)fprintf(stderr, "%s\n", err.msg);
        abort();
    }
    return t;
}

static void expected_text(const rt_tokenizer *t, const char *text, size_t n, rt_str *out)
{
    rt_str repaired = {0};
    rt_utf8_repair(&repaired, text, n);
    for (size_t i = 0; i < repaired.n; i++) {
        const bool mark = repaired.n - i >= 3 && memcmp(repaired.p + i, RT_SPACE_MARK, 3) == 0;
        if (mark && t->vocab.alphabet == RT_ALPHABET_SPACES) { /* cannot be told from a space afterwards */
            rt_str_putc(out, ' ');
            i += 2;
        } else if (t->bpe.byte_id[(uint8_t)repaired.p[i]] >= 0) {
            rt_str_putc(out, repaired.p[i]);
        }
    }
    rt_str_release(&repaired);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static rt_tokenizer *t;
    if (!t) {
        t = open_vocabulary();
    }
    if (size == 0) {
        return 0;
    }
    const char *text = (const char *)data + 1;
    int flags = data[0] & RT_ENCODE_PLAIN;
    rt_ids ids = {0};
    rt_str back = {0}, expected = {0};
    rt_err err = {0};
    RT_BUG_IF(rt_encode_text(t, text, size - 1, flags, &ids, &err) != RT_OK);
    RT_BUG_IF(rt_decode_ids(t, ids.p, ids.n, &back, &err) != RT_OK);
    expected_text(t, text, size - 1, &expected);
    RT_BUG_IF(back.n != expected.n || memcmp(rt_str_cstr(&back), rt_str_cstr(&expected), back.n) != 0);
    for (size_t i = 0; flags && i < ids.n; i++) {
        RT_BUG_IF(t->vocab.tokens[ids.p[i]].kind == RT_TOKEN_CONTROL);
    }
    rt_ids_release(&ids);
    rt_str_release(&back);
    rt_str_release(&expected);
    return 0;
}
