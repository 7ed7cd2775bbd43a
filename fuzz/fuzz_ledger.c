/* fuzz_ledger.c - hostile ledgers: any bytes as a whole file; and each line as an entry that gets sealed, so that the
 * fuzzer reaches what lies behind the hash. What was sealed must verify. */
#include <stdlib.h>
#include <string.h>

#include "format/json.h"
#include "record/chain.h"

static void verify(const void *p, size_t n, bool must)
{
    rt_ledger_report r;
    rt_err err = {0};
    rt_status st = rt_ledger_verify_bytes(&r, p, n, "fuzz", &err);
    if (st == RT_OK) {
        rt_ledger_report_release(&r);
    } else if (must) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rt_chain c = {0};
    rt_str lines = {0};
    const char *p = (const char *)data, *end = p + size;
    verify(data, size, false);
    while (p < end) {
        const char *nl = memchr(p, '\n', (size_t)(end - p));
        size_t n = (size_t)((nl ? nl : end) - p);
        rt_err err = {0};
        json_t *entry = NULL;
        if (n < 4096 && rt_json_parse(&entry, p, n, "line", &err) == RT_OK && json_is_object(entry)) {
            json_object_del(entry, "seq");
            json_object_del(entry, "prev");
            json_object_del(entry, "hash");
            if (rt_chain_seal(&c, entry, &lines, &err) == RT_MEMORY) {
                abort();
            }
        }
        json_decref(entry);
        p += n + 1;
    }
    if (c.at.entries > 0) {
        verify(lines.p, lines.n, true);
        lines.p[lines.n / 2] ^= 1;
        verify(lines.p, lines.n, false);
    }
    rt_str_release(&lines);
    return 0;
}
