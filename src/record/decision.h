/* decision.h - the two papers that change a verdict: a person's recorded decision, and a rights holder's grant. */
#ifndef RT_RECORD_DECISION_H
#define RT_RECORD_DECISION_H

#include "record/gate.h"

/* Appends the decision to accept `licence` under `ruling`; the file is replaced as a whole, so that a crash leaves the
 * old one or the new one. */
RT_MUST_USE rt_status rt_decision_append(const char *path, const rt_gate_request *r, const json_t *ruling,
                                         const json_t *licence, const char *by, const char *reason, rt_err *err);
/* *out = the latest decision that covers model, terms and uses of the ruling (caller decrefs), NULL when there is none.
 */
RT_MUST_USE rt_status rt_decision_find(json_t **out, const char *path, const rt_gate_request *r, const json_t *ruling,
                                       rt_err *err);

/* Reads a grant and checks that it is whole, in force and meant for this request:
 * {grantor, date, scope, commercial, sha256, [licence]}. RT_LICENCE says what it lacks. Caller decrefs. */
RT_MUST_USE rt_status rt_grant_load(json_t **out, const rt_licence_table *t, const rt_gate_request *r, rt_err *err);
/* Does a loaded grant lift the verdict of this licence? One without `licence` speaks of the whole model. */
bool rt_grant_covers(const json_t *grant, const char *licence);

bool rt_uses_within(const json_t *wanted, const json_t *given); /* both lists of use names */

#endif
