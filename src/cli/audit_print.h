/* audit_print.h - a report of a gap (audit/gap.h) as text for a terminal. */
#ifndef RT_CLI_AUDIT_PRINT_H
#define RT_CLI_AUDIT_PRINT_H

#include <jansson.h>

void rt_audit_print(const json_t *report);

#endif
