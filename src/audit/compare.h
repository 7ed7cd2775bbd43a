/* compare.h - what one position says of a model, and of a model beside its teacher. Private to audit. */
#ifndef RT_AUDIT_COMPARE_H
#define RT_AUDIT_COMPARE_H

#include "core/core.h"

enum {
    RT_MEASURE_NLL,
    RT_MEASURE_CONFIDENCE, /* probability of the student's most probable token */
    RT_MEASURE_RIGHT,      /* is it the token that follows */
    RT_MEASURE_TEACHER_NLL,
    RT_MEASURE_KL,
    RT_MEASURE_REVERSE_KL,
    RT_MEASURE_TOP1,
    RT_MEASURE_ACCEPTANCE,
    RT_MEASURE_ENTROPY, /* of the teacher's distribution, nats */
    RT_N_MEASURES
};

/* Student logits z[v]; teacher logits t[v], NULL: the values from the teacher's on are not set. scratch: 2 v floats. */
void rt_compare_rows(double value[RT_N_MEASURES], const float *z, const float *t, float *scratch, int64_t v,
                     int32_t label);

#endif
