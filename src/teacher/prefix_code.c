/* prefix_code.c - Huffman's construction, canonical numbering, one-step decoding tables. */
#include "teacher/prefix_code.h"

#include <string.h>

/* Joins the two lightest trees until one is left; the depth of a leaf is its code length. Ties go to the lower number,
 * so that equal counts give equal codes everywhere. Returns the greatest length. */
static int huffman(const uint32_t count[RT_PREFIX_SYMBOLS], uint8_t length[RT_PREFIX_SYMBOLS])
{
    enum { MAX_NODES = 2 * RT_PREFIX_SYMBOLS };
    uint64_t weight[MAX_NODES];
    int parent[MAX_NODES], symbol[RT_PREFIX_SYMBOLS];
    int n_leaves = 0;
    for (int s = 0; s < RT_PREFIX_SYMBOLS; s++) {
        length[s] = 0;
        if (count[s] > 0) {
            symbol[n_leaves] = s;
            weight[n_leaves++] = count[s];
        }
    }
    if (n_leaves == 1) {
        length[symbol[0]] = 1;
        return 1;
    }
    memset(parent, 0, sizeof parent);
    for (int node = n_leaves; node < 2 * n_leaves - 1; node++) {
        weight[node] = 0;
        for (int child = 0; child < 2; child++) {
            int lightest = -1;
            for (int i = 0; i < node; i++) {
                if (parent[i] == 0 && (lightest < 0 || weight[i] < weight[lightest])) {
                    lightest = i;
                }
            }
            parent[lightest] = node;
            weight[node] += weight[lightest];
        }
    }
    int longest = 0;
    for (int i = 0; i < n_leaves; i++) {
        int depth = 0;
        for (int node = i; parent[node] != 0; node = parent[node]) {
            depth++;
        }
        length[symbol[i]] = (uint8_t)depth;
        longest = depth > longest ? depth : longest;
    }
    return longest;
}

void rt_prefix_lengths(const uint32_t count[RT_PREFIX_SYMBOLS], uint8_t length[RT_PREFIX_SYMBOLS])
{
    uint32_t flatter[RT_PREFIX_SYMBOLS];
    memcpy(flatter, count, sizeof flatter);
    /* Halving the counts, rounded up, levels the tree; a few rounds suffice and the loss is a fraction of a percent. */
    while (huffman(flatter, length) > RT_PREFIX_LIMIT) {
        for (int s = 0; s < RT_PREFIX_SYMBOLS; s++) {
            flatter[s] = flatter[s] / 2 + (flatter[s] & 1);
        }
    }
}

static uint16_t reverse(uint32_t code, int n)
{
    uint32_t r = 0;
    for (int i = 0; i < n; i++) {
        r |= (code >> i & 1) << (n - 1 - i);
    }
    return (uint16_t)r;
}

bool rt_prefix_codes(const uint8_t length[RT_PREFIX_SYMBOLS], uint16_t code[RT_PREFIX_SYMBOLS])
{
    uint32_t next = 0;
    for (int n = 1; n <= RT_PREFIX_LIMIT; n++) {
        next <<= 1;
        for (int s = 0; s < RT_PREFIX_SYMBOLS; s++) {
            if (length[s] > RT_PREFIX_LIMIT) {
                return false;
            }
            if (length[s] == n) {
                if (next >> n != 0) {
                    return false;
                }
                code[s] = reverse(next++, n);
            }
        }
    }
    return true;
}

bool rt_prefix_table(const uint8_t length[RT_PREFIX_SYMBOLS], uint16_t table[RT_PREFIX_TABLE])
{
    uint16_t code[RT_PREFIX_SYMBOLS];
    memset(table, 0, RT_PREFIX_TABLE * sizeof *table);
    if (!rt_prefix_codes(length, code)) {
        return false;
    }
    for (int s = 0; s < RT_PREFIX_SYMBOLS; s++) {
        for (uint32_t bits = code[s]; length[s] > 0 && bits < RT_PREFIX_TABLE; bits += 1u << length[s]) {
            table[bits] = (uint16_t)(s << 4 | length[s]);
        }
    }
    return true;
}
