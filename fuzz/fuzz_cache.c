/* fuzz_cache.c - a cache shard from anyone's hands: head, index, tables, every sequence. Size and checksum are put
 * right first, so that mutations reach what lies behind them. The reader is compiled in here: it needs neither engine
 * nor writer. */
#include "teacher/cache_decode.c"
#include "teacher/cache_decode_v1.c"
#include "teacher/cache_sequence.c"
#include "teacher/cache_shard.c"
#include "teacher/prefix_code.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_sequence(const rt_cache_sequence *q, const rt_shard_head *d)
{
    for (int64_t i = 0; i < q->n; i++) {
        RT_BUG_IF(q->ids[i] < 0 || q->ids[i] >= d->n_vocab);
        RT_BUG_IF(q->mask[i] != 0 && q->label[i] != q->ids[i + 1]);
        for (int k = 0; q->targets && k < q->targets[i].n; k++) {
            RT_BUG_IF(q->targets[i].ids[k] < 0 || q->targets[i].ids[k] >= d->n_vocab);
            RT_BUG_IF(!isfinite(q->targets[i].weight[k]));
        }
    }
}

static void read_all(const rt_shard *s)
{
    rt_cache_sequence q = {0};
    rt_err err = {0};
    for (int64_t i = 0; i < s->head.shard_sequences; i++) {
        if (rt_shard_read(s, i, &q, &err) == RT_OK) {
            check_sequence(&q, &s->head);
        }
    }
    rt_cache_sequence_release(&q);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rt_shard s = {0};
    rt_err err = {0};
    rt_shard_head head;
    uint8_t *copy = rt_malloc(size);
    if (!copy) {
        return 0;
    }
    if (size > 0) {
        memcpy(copy, data, size);
    }
    if (size >= sizeof head) {
        memcpy(&head, data, sizeof head);
        head.file_bytes = size;
        memcpy(copy, &head, sizeof head);
        head.checksum =
            rt_xxh64(copy + offsetof(rt_shard_head, file_bytes), size - offsetof(rt_shard_head, file_bytes));
        memcpy(copy, &head, sizeof head);
    }
    if (rt_shard_from_bytes(&s, copy, size, "input", &err) == RT_OK && rt_shard_check(&s, &err) == RT_OK) {
        read_all(&s);
    }
    rt_shard_release(&s);
    rt_free(copy);
    return 0;
}
