// SPDX-License-Identifier: BSD-3-Clause
/* The targets of the attempts of unit/break_out.h. */
#ifndef AVP_TESTS_UNIT_BREAK_OUT_OUTSIDE_H
#define AVP_TESTS_UNIT_BREAK_OUT_OUTSIDE_H

#include <linux/io_uring.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <sys/un.h>

#include "unit/scratch.h"

#define SECRET	     "something that nobody granted"
#define RING_ENTRIES 256

/* The targets. */
struct outside {
	struct scratch scratch;
	char secret[128], beside[128];
	struct sockaddr_un path, abstract, mailbox;
	struct sockaddr_in internet;
	int listeners[4];
	pid_t victim;
	int pidfd;     /* of the victim */
	int pair[2];   /* of sockets, for signals of theirs */
	int namespace; /* of the victim */
	/*
	 * Descriptors for attempts that would otherwise fail before the call that they are about.
	 * If one is closed, the call reports that, unless it is denied first.
	 */
	int stream, datagram, internet_stream; /* unconnected sockets */
	int memory;			       /* executable */
	int segment;			       /* of shared memory, by its number */
	void *attached;
	struct rlimit descriptors;
	struct io_uring_params ring;
};

extern struct outside outside;

#endif
