// SPDX-License-Identifier: BSD-3-Clause
/* What the attempts of unit/break_out.h are about. */
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

/* What is to be reached. */
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
	 * What a process could have open whose other attempts would fail before the call that they
	 * are about. Where it was closed the call says so, unless it is refused.
	 */
	int stream, datagram, internet_stream; /* sockets of no connection */
	int memory;			       /* that may be executed */
	int segment;			       /* of shared memory, by its number */
	void *attached;
	struct rlimit descriptors;
	struct io_uring_params ring;
};

extern struct outside outside;

#endif
