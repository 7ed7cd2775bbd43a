/* fuzz_tokenizer_json.c - any bytes as tokenizer.json, or as GGUF when they begin so. "config" in the object, if there,
 * stands for tokenizer_config.json. What opens must encode and decode. */
#include <string.h>

#include "text/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char text[] = "abc <eos>[x] 12 d\xC3\xA9j\xC3\xA0\n\xFF";

static void use(const rt_tokenizer *t)
{
    rt_ids ids = {0};
    rt_str out = {0};
    rt_err err = {0};
    const rt_chat_message m = {"user", "hi"};
    for (int flags = 0; flags <= RT_ENCODE_PLAIN; flags++) {
        RT_BUG_IF(rt_encode_text(t, text, sizeof text - 1, flags, &ids, &err) != RT_OK);
    }
    RT_BUG_IF(rt_decode_ids(t, ids.p, ids.n, &out, &err) != RT_OK);
    rt_status st = rt_chat_encode(t, &m, 1, true, &ids, NULL, &err);
    RT_BUG_IF((st == RT_OK) && !rt_chat_form(t));
    rt_ids_release(&ids);
    rt_str_release(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rt_tokenizer *t = NULL;
    rt_err err = {0};
    if (size >= 4 && memcmp(data, "GGUF", 4) == 0) {
        rt_gguf *g = NULL;
        if (rt_gguf_open_memory(&g, data, size, &err) == RT_OK && rt_tokenizer_from_gguf(&t, g, &err) == RT_OK) {
            use(t);
        }
        rt_tokenizer_close(t);
        rt_gguf_close(g);
        return 0;
    }
    json_t *root = NULL;
    if (rt_json_parse(&root, data, size, "input", &err) == RT_OK &&
        rt_tokenizer_from_hf(&t, root, json_object_get(root, "config"), &err) == RT_OK) {
        use(t);
    }
    rt_tokenizer_close(t);
    json_decref(root);
    return 0;
}
