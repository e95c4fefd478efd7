// SPDX-License-Identifier: BSD-3-Clause
/* A listening Unix stream socket that others find by its path. */
#ifndef AVP_BASE_SOCKET_PATH_H
#define AVP_BASE_SOCKET_PATH_H

#include <sys/types.h>

#include "base/error.h"

struct socket_path {
	char *path; /* absolute; NULL: none */
	dev_t device;
	ino_t inode;
};

/*
 * Makes a socket that listens at @path with room for @backlog connections, not blocking and closed
 * on exec. Returns it, owned by the caller, with *made set for socket_path_remove; or a negative
 * errno with *error set, a usage error that starts with @option when it is the path's fault:
 * something is there, or it cannot be.
 */
int socket_path_listen(struct socket_path *made, const char *path, int backlog, const char *option,
		       struct error *error);

/*
 * Removes the socket from the file system, unless another one has taken its place, and frees what
 * *made owns. Safe on one that is zeroed.
 */
void socket_path_remove(struct socket_path *made);

#endif
