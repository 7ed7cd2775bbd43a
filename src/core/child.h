/* child.h - a command of the user's own as a filter: a file goes in, what it prints comes back. */
#ifndef RT_CORE_CHILD_H
#define RT_CORE_CHILD_H

#include "core/str.h"

/* Runs `command` by /bin/sh -c in the caller's directory and environment, the file `input` as its standard input, and
 * appends what it prints; its standard error is the caller's. It is a process group of its own, which is killed whole
 * on every failure. RT_INPUT: it ended with another status than 0, or by a signal, or it took more than `seconds`, or
 * printed more than `most` bytes; the message names the command. RT_CANCELLED on an interrupt. */
RT_MUST_USE rt_status rt_child_filter(rt_str *out, const char *command, const char *input, double seconds, size_t most,
                                      rt_err *err);

#endif
