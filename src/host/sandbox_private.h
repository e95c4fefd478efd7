// SPDX-License-Identifier: BSD-3-Clause
/* What the files of the sandbox have of each other. */
#ifndef AVP_HOST_SANDBOX_PRIVATE_H
#define AVP_HOST_SANDBOX_PRIVATE_H

#include <seccomp.h>
#include <stdint.h>

#include "base/error.h"

/* Applies the set of capabilities that was put together with libcap-ng. */
int sandbox_apply_capabilities(struct error *error);

/*
 * Begins a filter of system calls, with @action for those that no rule is about. Calls by the
 * numbers of another architecture, 32-bit and x32 ones, fail with EPERM: to kill would end one
 * thread and leave the others. *filter is released in the end, also behind an error.
 */
int sandbox_filter_begin(scmp_filter_ctx *filter, uint32_t action, struct error *error);

#define cleanup_filter __attribute__((cleanup(sandbox_filter_release)))
void sandbox_filter_release(scmp_filter_ctx *filter);

/*
 * Takes the calling process, which has one thread, to a root directory in which there is nothing
 * but the absolute paths @paths, files or directories, which NULL ends. To be called while
 * capabilities are still there. Returns 0 or a negative errno, and then the process may be in a
 * mount namespace in which /proc is hidden.
 */
int sandbox_hide_files(const char *const *paths);

#endif
