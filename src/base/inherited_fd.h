// SPDX-License-Identifier: BSD-3-Clause
/*
 * Descriptors that a program was started with: standard input, output and error, which may be
 * missing, and those that its command line names by number.
 */
#ifndef AVP_BASE_INHERITED_FD_H
#define AVP_BASE_INHERITED_FD_H

#include "base/error.h"

/*
 * Occupies those of the descriptors 0 to 2 that are closed, so that nothing opened later becomes
 * standard output or error and gets what is printed or logged. Reading, writing or inheriting them
 * still fails with EBADF, as for a closed descriptor; children inherit them. Call it before
 * anything is opened. Returns 0 or a negative errno.
 */
int inherited_fd_fill_standard(void);

/*
 * Closes the descriptors above the standard ones that this program was started with and has not
 * taken over: those that are not closed on exec.
 */
void inherited_fd_close_others(void);

/*
 * Takes over the descriptor @fd, which the command line named. Returns a descriptor above 2 that
 * leads to the same and is closed on exec, owned by the caller: @fd itself, or, for one of 0 to 2,
 * a duplicate: the original number then gets the placeholder, so that log lines never reach the
 * file. Returns -EBADF when @fd was not inherited, or another negative errno.
 */
int inherited_fd_take(int fd);

/*
 * The same for a socket of the type @type, SOCK_STREAM or SOCK_SEQPACKET. @option names it in
 * errors: that it is not such a socket is a usage error. Returns the descriptor, or a negative
 * errno with *error set.
 */
int inherited_fd_take_socket(int fd, int type, const char *option, struct error *error);

#endif
