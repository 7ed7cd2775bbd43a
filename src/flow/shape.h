/* shape.h - the student before training: which layers, channels, neurons and heads of a model stay, by what was
 * measured or by name; or a fresh one of that shape. */
#ifndef RT_FLOW_SHAPE_H
#define RT_FLOW_SHAPE_H

#include "model/models.h"
#include "text/text.h"

/* A file of measurements: read where it is there and reaches far enough, else made. */
typedef struct rt_measured {
    const char *path; /* NULL: measured, and not kept */
    bool own;         /* a memo of these commands: one that cannot be used is made again; else it is an error */
} rt_measured;

typedef struct rt_student_ask {
    const char *init;        /* "prune" or "random" */
    const char *path;        /* of the model that is cut */
    const rt_model *running; /* the same, opened as the machine likes it best: what is measured */
    const rt_digest *hash;   /* of it */
    int64_t memory;          /* as in rt_model_options */
    double accepted_seconds; /* a ranking that would take longer is refused; 0: none is */
    rt_shape shape;
    const int *keep; /* the very layers; NULL: by the ranking, down to shape.layers */
    int n_keep;
    rt_measured ranking, importance;
    uint64_t seed; /* random */
    /* Text to measure on, asked for when there is need of it. */
    rt_status (*texts)(void *ud, const rt_packed **out, rt_err *err);
    void *ud;
} rt_student_ask;

typedef struct rt_student {
    rt_model *model; /* trainable, in f32; the caller closes it */
    rt_shape shape;
    int layers[RT_MAX_LAYERS]; /* [shape.layers] of the model that was cut; random: the first ones */
    double ranked_perplexity;  /* of these layers in their full width; 0: not ranked */
    int64_t importance_tokens; /* that widths were measured on; 0: none was cut */
} rt_student;

/* RT_USAGE when nothing would be cut. */
RT_MUST_USE rt_status rt_student_make(rt_student *out, const rt_student_ask *ask, rt_err *err);

/* "12 of 30 layers, 384 of 576 residual channels": what is smaller; "the whole shape" where nothing is. */
void rt_shape_print(rt_str *s, const rt_hparams *whole, const rt_shape *shape);
/* {"layers": 12, "hidden": 384, "ffn": 1024, "kv_heads": 2}; NULL when memory is out. */
json_t *rt_shape_json(const rt_shape *shape);

#endif
