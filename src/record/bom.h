/* bom.h - the bill of materials: CycloneDX 1.6 ML-BOM (bom.cdx.json) from the facts of the model card. */
#ifndef RT_RECORD_BOM_H
#define RT_RECORD_BOM_H

#include <jansson.h>

#include "core/core.h"

/* `facts` as in record/card.h. *out: the model as a component with its card, the teacher as its ancestor, the training
 * texts and shipped files as components. The same facts and time give the same bytes. Caller decrefs. */
RT_MUST_USE rt_status rt_bom_make(json_t **out, const json_t *facts, rt_err *err);
RT_MUST_USE rt_status rt_bom_write(const char *path, const json_t *facts, rt_err *err); /* atomic */

#endif
