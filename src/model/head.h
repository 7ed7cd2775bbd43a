/* head.h - the one sweep over chunks of rows of final norm + vocabulary projection. [rows x vocab] is never whole in
 * memory: each chunk's logits are shown to a visitor row by row; with gradients the visitor leaves d loss / d logits in
 * place and the two backward products follow while the chunk is warm. Collect, evaluation, generation and training are
 * its clients. */
#ifndef RT_MODEL_HEAD_H
#define RT_MODEL_HEAD_H

#include "model/net.h"

/* Rows of a chunk. With gradients the f32 accumulation into the vocabulary matrix is paid once a chunk, so a chunk is
 * large; without, logits should stay near the cache. */
#define RT_HEAD_GRAD_CHUNK 512
#define RT_HEAD_PLAIN_CHUNK 64
#define RT_HEAD_FEWEST 8 /* where a ceiling leaves little room */

typedef struct rt_head_row {
    int64_t index;        /* 0 .. n_rows-1 of the sweep */
    int64_t row;          /* row in x */
    float *logits;        /* [n_vocab], may be overwritten; in a gradient sweep must be */
    const float *hidden;  /* [d_model] state after the final norm */
    const float *teacher; /* [n_vocab of the teacher] logits when the sweep has a teacher, else NULL */
    int thread;           /* 0 .. rt_team_threads()-1, for the visitor's scratch */
} rt_head_row;
/* Called from several threads at once, each row exactly once; must not fail: note troubles in `ud`. */
typedef void (*rt_head_visitor)(void *ud, const rt_head_row *row);

/* States after the final norm of rows index0 .. index0+n-1 of a gradient sweep with a teacher, and its own. */
typedef struct rt_head_states {
    int64_t index0, n;
    const float *hidden;  /* [n, d_model] */
    const float *teacher; /* [n, d_model of the teacher] */
    float *dhidden;       /* [n, d_model] gradient by `hidden`, to be added to */
} rt_head_states;
/* Called once a chunk, after its rows, by the thread that runs the sweep. */
typedef void (*rt_head_states_visitor)(void *ud, const rt_head_states *s);

typedef struct rt_head_sweep {
    const rt_model *model;
    const float *x;      /* [*, d_model] residual stream before the final norm */
    const int32_t *rows; /* [n_rows] rows of x to visit in this order; NULL: 0 .. n_rows-1 */
    int64_t n_rows;
    rt_net_mode mode; /* RT_NET_ROWS: bits of a row independent of the others; no gradient */
    rt_head_visitor visit;
    rt_head_states_visitor visit_states; /* NULL: none */
    void *ud;
    /* gradients: both set or both NULL */
    float *dx;    /* [*, d_model]: rows visited are overwritten, the others are the caller's (zero them) */
    float *grads; /* flat block, added to */
    /* optional second model whose logits the visitor sees */
    const rt_model *teacher;
    const float *teacher_x;      /* its residual stream, rows as in `x` */
    const float *teacher_hidden; /* or: its states after the final norm, [n_rows, d] in sweep order */
} rt_head_sweep;

/* Buffers of the sweep, sized once. */
typedef struct rt_head rt_head;
RT_MUST_USE rt_status rt_head_new(rt_head **out, const rt_model *m, const rt_model *teacher, bool gradients,
                                  rt_err *err);
void rt_head_free(rt_head *h);
size_t rt_head_bytes(const rt_model *m, const rt_model *teacher, bool gradients);
void rt_head_run(rt_head *h, const rt_head_sweep *s);

#endif
