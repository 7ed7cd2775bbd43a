/* prefix_code.h - length-limited canonical prefix codes over small alphabets, as the target cache stores its symbols.
 */
#ifndef RT_TEACHER_PREFIX_CODE_H
#define RT_TEACHER_PREFIX_CODE_H

#include <stdbool.h>
#include <stdint.h>

enum {
    RT_PREFIX_SYMBOLS = 128,
    RT_PREFIX_LIMIT = 11, /* longest code in bits: a decoding table is 4 KiB */
    RT_PREFIX_TABLE = 1 << RT_PREFIX_LIMIT
};

/* Code lengths for the counted symbols, 0 for those that never occur. A single symbol gets length 1. */
void rt_prefix_lengths(const uint32_t count[RT_PREFIX_SYMBOLS], uint8_t length[RT_PREFIX_SYMBOLS]);
/* Codes of these lengths, first bit lowest. false when no such code exists. */
bool rt_prefix_codes(const uint8_t length[RT_PREFIX_SYMBOLS], uint16_t code[RT_PREFIX_SYMBOLS]);
/* table[next RT_PREFIX_LIMIT bits] = symbol << 4 | length; 0 where no code begins so. false as above. */
bool rt_prefix_table(const uint8_t length[RT_PREFIX_SYMBOLS], uint16_t table[RT_PREFIX_TABLE]);

#endif
