// SPDX-License-Identifier: BSD-3-Clause
/*
 * The resource limits of this process (getrlimit(2)), as a shell's ulimit, systemd's Limit… or a
 * container's runtime set them.
 */
#ifndef AVP_BASE_RESOURCE_LIMIT_H
#define AVP_BASE_RESOURCE_LIMIT_H

#include "base/error.h"

/*
 * Has the main thread and all that follows get along with the limits that are in force: the stack
 * may grow to what a program takes for granted, and a write beyond RLIMIT_FSIZE fails instead of
 * ending the process. Call first. Returns 0, or a negative errno with *error set where that cannot
 * be had.
 */
int resource_limit_prepare(struct error *error);

/* Long enough for any text of resource_limit_describe. */
#define RESOURCE_LIMIT_TEXT 96

/*
 * Which limit may be why a call failed with @code, a positive errno value, and how high it is: "
 * (…)". Returns @buffer, which is "" when there is none.
 */
const char *resource_limit_describe(char buffer[RESOURCE_LIMIT_TEXT], int code);

/*
 * The same for what another program, with the limits of this process, said of a call that failed:
 * by the text of an errno in @said.
 */
const char *resource_limit_describe_text(char buffer[RESOURCE_LIMIT_TEXT], const char *said);

/* The stack of each thread that is not the main one: what the main one has at least. */
#define RESOURCE_LIMIT_STACK (512u << 10)

#endif
