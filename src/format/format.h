/* format.h - all of format. */
#ifndef RT_FORMAT_FORMAT_H
#define RT_FORMAT_FORMAT_H
#include "format/gguf.h"
#include "format/hf.h"
#include "format/json.h"
#include "format/quant.h"
#include "format/recipe.h"
#include "format/safetensors.h"
#include "format/tensor_info.h"
#include "format/tensor_rows.h"
#endif
