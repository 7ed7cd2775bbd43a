/* provenance_impl.h - keys and small questions shared by the halves of provenance: reading and adding, printing. */
#ifndef RT_RECORD_PROVENANCE_IMPL_H
#define RT_RECORD_PROVENANCE_IMPL_H

#include <string.h>

#include "format/json.h"
#include "record/provenance.h"

#define RT_PROVENANCE_LICENCE "general.license"
#define RT_PROVENANCE_LICENCE_NAME "general.license.name"
#define RT_PROVENANCE_LICENCE_LINK "general.license.link"
#define RT_PROVENANCE_BASES "general.base_model.count"
#define RT_PROVENANCE_AND " AND " /* between the licences of one expression */

static inline bool rt_begins_with(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* A whole licence text where a tag belongs. */
static inline bool rt_is_licence_text(const char *v)
{
    return strchr(v, '\n') != NULL || strlen(v) > 160;
}

/* retort_teacher_sha256 -> retort.teacher.sha256, and back. */
static inline void rt_swap_in_key(char *key, char from, char to)
{
    for (; *key; key++) {
        *key = *key == from ? to : *key;
    }
}

static inline int rt_provenance_n_bases(const json_t *p)
{
    return (int)rt_json_i64(p, RT_PROVENANCE_BASES, 0);
}
/* "org/name" of base model i, in place of what `out` held. */
void rt_provenance_base(rt_str *out, const json_t *p, int i);

#endif
