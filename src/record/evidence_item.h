/* evidence_item.h - the two halves of evidence meet here: what was said (evidence.c) and where it was read
 * (evidence_files.c). */
#ifndef RT_RECORD_EVIDENCE_ITEM_H
#define RT_RECORD_EVIDENCE_ITEM_H

#include "record/evidence.h"

enum { RT_EVIDENCE_VALUE_BYTES = 160 }; /* kept of any value */

typedef struct rt_evidence_item {
    const char *source, *file, *licence, *about; /* `file` may be NULL */
    rt_slice value;
    bool weak;               /* a name, not a statement about the licence */
    const char *text_sha256; /* of a whole licence text, else NULL */
} rt_evidence_item;

RT_MUST_USE rt_status rt_evidence_prepare(rt_evidence *e, rt_err *err);
RT_MUST_USE rt_status rt_evidence_add(rt_evidence *e, const rt_evidence_item *it, rt_err *err);
/* A tag or SPDX id; anything long or of several lines is taken as a licence text. */
RT_MUST_USE rt_status rt_evidence_add_tag(rt_evidence *e, const rt_licence_table *t, const char *source,
                                          const char *file, rt_slice v, rt_err *err);
RT_MUST_USE rt_status rt_evidence_add_text(rt_evidence *e, const rt_licence_table *t, const char *source,
                                           const char *file, rt_slice text, rt_err *err);
/* Evidence only when the table knows a family in the name. */
RT_MUST_USE rt_status rt_evidence_add_name(rt_evidence *e, const rt_licence_table *t, const char *source,
                                           const char *file, const char *name, const char *about, rt_err *err);
RT_MUST_USE rt_status rt_evidence_add_base(rt_evidence *e, const rt_licence_table *t, const char *source,
                                           const char *file, rt_slice name, rt_err *err);
/* The first name given stays. */
RT_MUST_USE rt_status rt_evidence_set_name(rt_evidence *e, rt_slice name, rt_err *err);

#endif
