/* fuzz_endpoint.c - hostile servers: any answer, read in every way a teacher's log-probabilities may come. A row that
 * is accepted holds distinct ids inside the vocabulary and probabilities. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "teacher/endpoint_row.c"
#include "teacher/endpoint_way.c"

enum { VOCAB = 4, K = 3 };

static rt_tokenizer *tokenizer(void)
{
    static const char text[] =
        "{\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,"
        "\"use_regex\":true},\"added_tokens\":[],\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,"
        "\"b\":1,\"c\":2,\"ab\":3},\"merges\":[\"a b\"]}}";
    static rt_tokenizer *t;
    json_t *root = NULL;
    if (t == NULL && (rt_json_parse(&root, text, strlen(text), "tokenizer", NULL) != RT_OK ||
                      rt_tokenizer_from_hf(&t, root, NULL, NULL) != RT_OK)) {
        abort();
    }
    json_decref(root);
    return t;
}

static void check_row(const rt_cache_row *row)
{
    double mass = exp((double)row->log_tail);
    for (int i = 0; i < row->n; i++) {
        mass += exp((double)row->logp[i]);
        for (int k = 0; k < i; k++) {
            if (row->ids[i] == row->ids[k]) {
                abort();
            }
        }
        if (row->ids[i] < 0 || row->ids[i] >= VOCAB || !(row->logp[i] <= 0)) {
            abort();
        }
    }
    if (row->n != K || !(mass < 1.01) || !(row->label_logp <= 0)) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int32_t ids[] = {0, 1, 3};
    rt_err err = {0};
    json_t *answer = NULL;
    rt_endpoint_row row = {0};
    if (rt_json_parse(&answer, data, size, "answer", &err) != RT_OK ||
        rt_endpoint_row_open(&row, "fuzz", tokenizer(), VOCAB, &err) != RT_OK) {
        return 0;
    }
    for (const rt_endpoint_way *w = rt_endpoint_ways; w->name != NULL; w++) {
        int32_t best[K];
        float logp[K];
        rt_cache_row out;
        rt_endpoint_row_begin(&row, K, ids[2], best, logp);
        if (w->honoured(answer, ids, 3) && w->read(answer, 2, &row, &err) == RT_OK &&
            rt_endpoint_row_end(&row, &out, &err) == RT_OK) {
            check_row(&out);
        }
    }
    rt_endpoint_row_release(&row);
    json_decref(answer);
    return 0;
}
