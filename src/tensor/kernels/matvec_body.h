/* matvec_body.h - a few rows times a weight matrix, for decoding: bound by reading the weights once. The sum of every
 * (row, output) is one chain of vectors in the order of k, then one fixed tree, in whatever block it is done. */

enum { MATVEC_OUT = 4, MATVEC_ROWS = RT_W == 16 ? 4 : 2 };

VEC vf load_weight(const void *w, const rt_dtype type, int64_t at, int64_t c)
{
    return type == RT_BF16 ? vf_load_bf16((const uint16_t *)w + at, c) : vf_load((const float *)w + at, c);
}

VEC void matvec_block(const int rows, const int outs, float *y, int64_t ldy, const float *x, int64_t ldx,
                      const void *w, const rt_dtype type, int64_t ldw, int64_t at, int64_t k)
{
    vf sum[MATVEC_ROWS][MATVEC_OUT] = {0};
    FOR_LANES(i, c, k, {
        vf wi[MATVEC_OUT];
        UNROLL
        for (int j = 0; j < outs; j++) {
            wi[j] = load_weight(w, type, at + j * ldw + i, c);
        }
        UNROLL
        for (int r = 0; r < rows; r++) {
            vf xi = vf_load(x + r * ldx + i, c);
            UNROLL
            for (int j = 0; j < outs; j++) {
                sum[r][j] = vf_fma(xi, wi[j], sum[r][j]);
            }
        }
    });
    UNROLL
    for (int r = 0; r < rows; r++) {
        UNROLL
        for (int j = 0; j < outs; j++) {
            y[r * ldy + j] = vf_sum(sum[r][j]);
        }
    }
}

/* Outputs outside: their weights are read from memory once and stay near while the rows pass. */
VEC void matvec_typed(float *y, int64_t ldy, const float *x, int64_t ldx, int64_t n_rows, const void *w,
                      const rt_dtype type, int64_t ldw, int64_t n_out, int64_t k)
{
    int64_t j = 0;
    for (; j + MATVEC_OUT <= n_out; j += MATVEC_OUT) {
        int64_t r = 0;
        for (; r + MATVEC_ROWS <= n_rows; r += MATVEC_ROWS) {
            matvec_block(MATVEC_ROWS, MATVEC_OUT, y + r * ldy + j, ldy, x + r * ldx, ldx, w, type, ldw, j * ldw, k);
        }
        for (; r < n_rows; r++) {
            matvec_block(1, MATVEC_OUT, y + r * ldy + j, ldy, x + r * ldx, ldx, w, type, ldw, j * ldw, k);
        }
    }
    for (; j < n_out; j++) {
        for (int64_t r = 0; r < n_rows; r++) {
            matvec_block(1, 1, y + r * ldy + j, ldy, x + r * ldx, ldx, w, type, ldw, j * ldw, k);
        }
    }
}

static void matvec(float *y, int64_t ldy, const float *x, int64_t ldx, int64_t n_rows, const void *w, rt_dtype wtype,
                   int64_t ldw, int64_t n_out, int64_t k)
{
    if (wtype == RT_BF16) {
        matvec_typed(y, ldy, x, ldx, n_rows, w, RT_BF16, ldw, n_out, k);
    } else {
        matvec_typed(y, ldy, x, ldx, n_rows, w, RT_F32, ldw, n_out, k);
    }
}
