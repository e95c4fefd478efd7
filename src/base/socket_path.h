// SPDX-License-Identifier: BSD-3-Clause
/*
 * A listening Unix stream socket that others find by its path.
 *
 * Whoever listens holds a lock on the file PATH.lock (flock(2)) from before it binds until it ends,
 * however it ends. So a socket without a listener that a killed process left behind can be
 * distinguished from one that is about to be listened on, and is replaced.
 */
#ifndef AVP_BASE_SOCKET_PATH_H
#define AVP_BASE_SOCKET_PATH_H

#include <sys/types.h>

#include "base/error.h"

/* The longest path of a socket, in bytes (unix(7)). */
#define SOCKET_PATH_LENGTH 107

struct socket_path {
	char *path; /* absolute; NULL: none */
	dev_t device;
	ino_t inode;
	int lock_fd; /* valid only with a path */
};

/*
 * Makes a socket that listens at @path with room for @backlog connections, not blocking and closed
 * on exec. A socket of this user that is there and that nobody listens on is replaced, unless
 * everybody may replace files in its directory. Of several processes that call this at the same
 * time one succeeds. Returns the socket, owned by the caller, with *made set for
 * socket_path_remove; or a negative errno with *error set, a usage error that starts with @option
 * when the path is wrong: something else is there, or no socket can be made there.
 */
int socket_path_listen(struct socket_path *made, const char *path, int backlog, const char *option,
		       struct error *error);

/*
 * Connects a Unix stream socket, closed on exec, to the one at @path; with SOCK_NONBLOCK in @flags
 * it does not block, now or later. Returns the socket, owned by the caller, or a negative errno:
 * -ENAMETOOLONG, @path is longer than SOCKET_PATH_LENGTH.
 */
int socket_path_connect(const char *path, int flags);

/*
 * Removes the socket and its lock from the file system, unless others have taken their places, and
 * frees what *made owns. Safe on one that is zeroed.
 */
void socket_path_remove(struct socket_path *made);

#endif
