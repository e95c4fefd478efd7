// SPDX-License-Identifier: BSD-3-Clause
/* Functions shared by the files of the sandbox. */
#ifndef AVP_HOST_SANDBOX_PRIVATE_H
#define AVP_HOST_SANDBOX_PRIVATE_H

#include <seccomp.h>
#include <stdint.h>

#include "base/error.h"

/* Applies the capabilities selected with libcap-ng. */
int sandbox_apply_capabilities(struct error *error);

/*
 * Begins a system call filter; @action is the default for calls without a rule. Calls by the
 * numbers of another architecture, 32-bit and x32, fail with EPERM: killing would end only one
 * thread. The caller releases *filter at the end, also after an error.
 */
int sandbox_filter_begin(scmp_filter_ctx *filter, uint32_t action, struct error *error);

#define cleanup_filter __attribute__((cleanup(sandbox_filter_release)))
void sandbox_filter_release(scmp_filter_ctx *filter);

/*
 * Moves the calling process, which has one thread, to a root directory that contains only the
 * absolute paths @paths, files or directories; ends with NULL. Call it before capabilities are
 * dropped. Returns 0 or a negative errno; then the process may be in a mount namespace in which
 * /proc is hidden.
 */
int sandbox_hide_files(const char *const *paths);

#endif
