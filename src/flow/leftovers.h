/* leftovers.h - what earlier attempts of a stage left in the run directory: their time, and their files when the recipe
 * has changed since. Private to flow. */
#ifndef RT_FLOW_LEFTOVERS_H
#define RT_FLOW_LEFTOVERS_H

#include "flow/state.h"

/* Before a stage begins: files made from other inputs than these are removed, the ledger is set aside under a name of
 * its own. What was made from the same inputs stays and is gone on with. */
RT_MUST_USE rt_status rt_leftovers_clear(rt_flow *f, const char *stage, const char *inputs, rt_err *err);
/* Before a stage begins: puts the time of an attempt that was killed on the stage's account, as far as its files show
 * it, and notes when this attempt began. */
void rt_leftovers_account(rt_flow *f, const char *stage);
/* The account is up to date: nothing is to be found after this moment. */
void rt_leftovers_seen(rt_flow *f, const char *stage);
/* The attempt ends and accounts for itself. */
void rt_leftovers_closed(rt_flow *f, const char *stage);

#endif
