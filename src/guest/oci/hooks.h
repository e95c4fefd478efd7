// SPDX-License-Identifier: BSD-3-Clause
/*
 * Hooks: programs that a bundle has run at points of a container's life (OCI runtime-spec 1.3,
 * config.md, "POSIX-platform Hooks"; runtime.md, "Lifecycle").
 */
#ifndef AVP_GUEST_OCI_HOOKS_H
#define AVP_GUEST_OCI_HOOKS_H

#include <jansson.h>

#include "base/error.h"

/* The points, in their order; ends with NULL. */
extern const char *const hook_points[];

/*
 * Checks the object `hooks` of a bundle, which may be NULL: none. @source names the file. Returns
 * 0, or a negative errno with *error set, a usage error.
 */
int hooks_check(const json_t *hooks, const char *source, struct error *error);

/*
 * Runs the hooks of a point, one after the other, with @state, the container's, on their standard
 * input. Each gets the environment that the bundle gives it, and has the time that it gives it;
 * blocks that long. Their output goes to standard error. Returns 0, or a negative errno with *error
 * set at the first one that fails.
 */
int hooks_run(const json_t *hooks, const char *point, const json_t *state, struct error *error);

#endif
