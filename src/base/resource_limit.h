// SPDX-License-Identifier: BSD-3-Clause
/*
 * The resource limits of this process (getrlimit(2)), as a shell's ulimit, systemd's Limit… or a
 * container's runtime set them.
 */
#ifndef AVP_BASE_RESOURCE_LIMIT_H
#define AVP_BASE_RESOURCE_LIMIT_H

#include "base/error.h"

/*
 * Prepares this process for its limits: raises the soft limit of the stack to the default of Linux,
 * and makes a write beyond RLIMIT_FSIZE fail instead of killing the process. Call first. Returns 0,
 * or a negative errno with *error set.
 */
int resource_limit_prepare(struct error *error);

/*
 * Raises the soft limit of descriptors to the hard one. For a process that does not use select, and
 * that untrusted processes can make keep descriptors: the others must not run out of them.
 */
void resource_limit_raise_descriptors(void);

/* Long enough for any text of resource_limit_describe. */
#define RESOURCE_LIMIT_TEXT 96

/*
 * Which limit may be why a call failed with @code, a positive errno value, and how high it is: "
 * (…)". Returns @buffer, which is "" when there is none.
 */
const char *resource_limit_describe(char buffer[RESOURCE_LIMIT_TEXT], int code);

/*
 * The same for the message @said of another program under the same limits: finds the errno by its
 * text.
 */
const char *resource_limit_describe_text(char buffer[RESOURCE_LIMIT_TEXT], const char *said);

/* The stack of each thread other than the main one, and the least that the main one needs. */
#define RESOURCE_LIMIT_STACK (512u << 10)

#endif
