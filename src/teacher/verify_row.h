/* verify_row.h - what the verification of a cache finds at one position. */
#ifndef RT_TEACHER_VERIFY_ROW_H
#define RT_TEACHER_VERIFY_ROW_H

#include "teacher/draw.h"
#include "teacher/gather.h"

/* What one position yields. */
typedef struct rt_verify_finding {
    double label_logp;
    double fit[3];                     /* before, here, after; NAN: no such neighbour */
    double entropy, surprise_variance; /* of one draw's -log p */
    double kl;
    bool identical;
} rt_verify_finding;

typedef struct rt_verify_run {
    const rt_cache_header *h;
    const rt_model *teacher;
    rt_acts *acts;
    rt_head *head;
    rt_gather g;
    rt_cache_sequence sequence;
    int64_t token0;              /* of the sequence in the packed corpus */
    int32_t *rows;               /* [n] chosen rows of the sequence */
    float *hidden;               /* HIDDEN: [n][d_model] their stored states */
    rt_verify_finding *findings; /* [n] */
    rt_draw_scratch *scratch;    /* [n_threads] */
    int n_threads;
    int32_t *ids, *counts; /* [n_threads][draws] */
} rt_verify_run;

/* Visitor of the teacher's head sweep over run->rows; `ud` is the run. Fills findings[row->index]. */
void rt_verify_row(void *ud, const rt_head_row *row);

#endif
