// SPDX-License-Identifier: BSD-3-Clause
/*
 * A listening socket that only processes of this guest can reach. It leaves nothing in the file
 * system, even if the program is killed.
 */
#ifndef AVP_GUEST_RUN_LISTENER_H
#define AVP_GUEST_RUN_LISTENER_H

#include "base/error.h"

struct listener {
	int listen_fd;	/* for the process that accepts */
	int connect_fd; /* for the one that connects, to the path /proc/self/fd/<connect_fd> */
};

#define LISTENER_NONE ((struct listener){-1, -1})

/* Makes a Unix stream socket that listens. Returns 0 or a negative errno with *error set. */
int listener_open(struct listener *listener, struct error *error);
void listener_close(struct listener *listener);

#endif
