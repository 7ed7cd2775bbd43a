/* infer.h - all of infer. */
#ifndef RT_INFER_INFER_H
#define RT_INFER_INFER_H
#include "infer/generate.h"
#include "infer/id_lists.h"
#include "infer/kv.h"
#include "infer/logits.h"
#include "infer/sample.h"
#include "infer/score.h"
#include "infer/speculate.h"
#endif
