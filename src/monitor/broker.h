// SPDX-License-Identifier: BSD-3-Clause
/*
 * The monitor locks itself in before it looks at a guest, and opens and connects nothing any more.
 * What it needs later it asks a broker for, over a socket of packets: a process that is not
 * locked in, has started the device processes or was told of their sockets, and trusts the monitor
 * with no more than what the two requests below give.
 */
#ifndef AVP_MONITOR_BROKER_H
#define AVP_MONITOR_BROKER_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/* The monitor's side. Its functions may be called from any thread; each waits for the answer. */
struct broker {
	int fd; /* -1: there is none, and every request fails */
	pthread_mutex_t lock;
	uint32_t sequence; /* of the last request */
};

#define BROKER_NONE                                          \
	{                                                    \
		.fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER, \
	}

/*
 * Connects to the process of the device @device, tried again for @wait_ms if it does not listen
 * yet. Returns a descriptor, the caller's, or a negative errno with *error set.
 */
int broker_connect(struct broker *broker, uint32_t device, int wait_ms, struct error *error);

/*
 * Opens what the host's scheduler tells of the thread @thread of this process (Linux,
 * Documentation/scheduler/sched-stats.rst). Returns a descriptor or a negative errno.
 */
int broker_open_schedule(struct broker *broker, pid_t thread);

void broker_close(struct broker *broker);

/* The serving side. */
struct broker_service {
	pid_t monitor;		  /* whose threads may be asked for */
	const char *const *paths; /* of the devices' sockets */
	size_t count;
};

/* Makes both ends: a socket of packets. Returns 0 or a negative errno with *error set. */
int broker_make_pair(int ends[2], struct error *error);

/*
 * Takes one request from @fd and answers it; waits for a request, but for nothing else. Returns 1,
 * or 0 when no more will come.
 */
int broker_answer(int fd, const struct broker_service *service);

#endif
