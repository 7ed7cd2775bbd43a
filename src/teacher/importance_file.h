/* importance_file.h - memory of the four arrays by the model's sizes. Private to teacher. */
#ifndef RT_TEACHER_IMPORTANCE_FILE_H
#define RT_TEACHER_IMPORTANCE_FILE_H

#include "teacher/importance.h"

RT_MUST_USE rt_status rt_importance_layout(rt_importance *i, const rt_model *m, rt_err *err);

#endif
