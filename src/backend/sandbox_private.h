// SPDX-License-Identifier: BSD-3-Clause
/* What sandbox.c has of the other files of the sandbox. */
#ifndef AVP_BACKEND_SANDBOX_PRIVATE_H
#define AVP_BACKEND_SANDBOX_PRIVATE_H

/*
 * Takes the calling process, which has one thread, to a root directory in which there is nothing but
 * the absolute paths @paths, files or directories, which NULL ends. To be called while capabilities are still there. Returns 0 or a negative
 * errno, and then the process may be in a mount namespace in which /proc is hidden.
 */
int sandbox_hide_files(const char *const *paths);

#endif
