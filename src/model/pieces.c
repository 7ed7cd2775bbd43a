/* pieces.c - tasks of attention: pieces of queries forward, squares of queries and keys backward. */
#include "model/pieces.h"

#include "core/team.h"

/* Forward a piece packs all keys it sees anew; backward a square is what a kernel keeps in its cache. */
enum { FORWARD_ROWS = 1024, BACKWARD_ROWS = 512 };

typedef struct pieces_job {
    const rt_batch *b;
    int64_t heads, n, wave; /* n: pieces of the longest span */
    rt_attn_piece_fn fn;
    void *ud;
} pieces_job;

static int64_t most_pieces(const rt_batch *b, int64_t rows)
{
    int64_t longest = 0;
    for (int64_t i = 0; i < b->n_spans; i++) {
        longest = b->spans[i].n > longest ? b->spans[i].n : longest;
    }
    return (longest + rows - 1) / rows;
}

static int64_t row_end(const rt_span *sp, int64_t row0, int64_t rows)
{
    return row0 + rows < sp->n ? row0 + rows : sp->n;
}

/* The last pieces, which see most keys, begin. */
static void forward_piece(void *ud, int64_t task, int thread)
{
    const pieces_job *j = ud;
    const int64_t per_piece = j->b->n_spans * j->heads, q0 = (j->n - 1 - task / per_piece) * FORWARD_ROWS;
    const rt_span *sp = &j->b->spans[task % per_piece / j->heads];
    if (q0 < sp->n) {
        const int64_t q1 = row_end(sp, q0, FORWARD_ROWS);
        j->fn(j->ud, &(rt_attn_piece){.span = sp, .head = task % j->heads, .q0 = q0, .q1 = q1, .k1 = q1}, thread);
    }
}

void rt_attn_pieces(const rt_batch *b, int64_t heads, rt_attn_piece_fn fn, void *ud)
{
    pieces_job job = {.b = b, .heads = heads, .n = most_pieces(b, FORWARD_ROWS), .fn = fn, .ud = ud};
    rt_team_for(job.n * b->n_spans * heads, forward_piece, &job);
}

static void backward_piece(void *ud, int64_t task, int thread)
{
    const pieces_job *j = ud;
    const int64_t per_piece = j->b->n_spans * j->heads, k0 = task / per_piece * BACKWARD_ROWS;
    const int64_t q0 = k0 + j->wave * BACKWARD_ROWS;
    const rt_span *sp = &j->b->spans[task % per_piece / j->heads];
    if (q0 < sp->n) {
        j->fn(j->ud,
              &(rt_attn_piece){.span = sp,
                               .head = task % j->heads,
                               .q0 = q0,
                               .q1 = row_end(sp, q0, BACKWARD_ROWS),
                               .k0 = k0,
                               .k1 = row_end(sp, k0, BACKWARD_ROWS)},
              thread);
    }
}

void rt_attn_pieces_backward(const rt_batch *b, int64_t heads, int64_t window, rt_attn_piece_fn fn, void *ud)
{
    pieces_job job = {.b = b, .heads = heads, .n = most_pieces(b, BACKWARD_ROWS), .fn = fn, .ud = ud};
    for (; job.wave < job.n; job.wave++) {
        const int64_t nearest = (job.wave - 1) * BACKWARD_ROWS + 1; /* from a first query back to a last key */
        if (window > 0 && nearest >= window) {
            break;
        }
        rt_team_for((job.n - job.wave) * b->n_spans * heads, backward_piece, &job);
    }
}

rt_attn rt_attn_of_piece(rt_attn whole, const rt_attn_piece *piece)
{
    rt_attn a = whole;
    a.n_kv = whole.n_kv - whole.n_q + piece->k1 - piece->k0;
    a.n_q = piece->q1 - piece->q0;
    a.ahead = piece->q1 - piece->k1;
    a.q += piece->q0 * a.ldq;
    a.o += piece->q0 * a.ldo;
    a.lse += piece->q0;
    a.k += piece->k0 * a.ldk;
    a.v += piece->k0 * a.ldv;
    if (whole.do_ != NULL) {
        a.more = piece->k0 != piece->q0;
        a.do_ += piece->q0 * a.ldo;
        a.dq += piece->q0 * a.ldq;
        a.dk += piece->k0 * a.ldk;
        a.dv += piece->k0 * a.ldv;
    }
    return a;
}
