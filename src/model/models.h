/* models.h - all of model. */
#ifndef RT_MODEL_MODELS_H
#define RT_MODEL_MODELS_H
#include "model/activity.h"
#include "model/adapter.h"
#include "model/ceiling.h"
#include "model/cut.h"
#include "model/head.h"
#include "model/model.h"
#include "model/net.h"
#endif
