/* cache_decode_v1.c - rows as version 1 of the format had them: caches made before there were kinds of rows. */
#include "teacher/cache_decoder.h"

int rt_decoder_get_row_v1(const rt_decoder *d, rt_bits_in *in, int total, int room, int32_t *ids, int32_t *counts)
{
    int32_t rank = -1;
    int n = 0;
    for (int left = total; left > 0; n++) {
        uint64_t word = rt_bits_peek(in);
        int octave = rt_bit_length((uint32_t)(rank + 1)), left_octave = rt_bit_length((uint32_t)left);
        uint32_t found = rt_decoder_symbol(d, in, word, RT_V1_GAP + octave * RT_V1_LEFT_OCTAVES + left_octave);
        uint32_t low = found >> 5;
        if (found == 0 || low > 21 || n == room) {
            return -1;
        }
        int64_t next = (int64_t)rank + rt_decoder_low_bits(in, word, found, 1, low);
        if (next >= d->n_ranked) {
            return -1;
        }
        rank = (int32_t)next;
        int count = 1;
        if ((found >> 4 & 1) != 0) {
            count = rt_decoder_open_ended(d, in, RT_V1_COUNT + left_octave) + 2;
            if (count < 2 || count > left) {
                return -1;
            }
        }
        ids[n] = d->id_of_rank[rank];
        counts[n] = count;
        left -= count;
    }
    return rt_bits_ok(in) ? n : -1;
}
