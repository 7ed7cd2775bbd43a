/* front_matter.h - the YAML head of a model card, as far as licence and ancestry go, with retort's own keys. */
#ifndef RT_RECORD_FRONT_MATTER_H
#define RT_RECORD_FRONT_MATTER_H

#include <jansson.h>

#include "core/core.h"

/* {license?: [..], license_name?: [..], license_link?: [..], base_model?: [..], datasets?: [..], language?: [..],
 * retort_*?: [..]}, each a list of text whatever the card wrote. *out = NULL when there is no front matter. RT_INPUT
 * when it is not valid YAML. Caller decrefs. */
RT_MUST_USE rt_status rt_front_matter_parse(json_t **out, const char *card, size_t n, const char *what, rt_err *err);

#endif
