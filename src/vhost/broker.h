// SPDX-License-Identifier: BSD-3-Clause
/*
 * The monitor sandboxes itself before it reads anything of the guest; then it can neither open nor
 * connect. What it needs later it requests from a broker over a socket of packets. The broker is a
 * process outside the sandbox that has started the device processes or knows their sockets. It does
 * not trust the monitor, which can do no more than the two requests below.
 */
#ifndef AVP_VHOST_BROKER_H
#define AVP_VHOST_BROKER_H

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/* The monitor's side. Any thread may call its functions; each blocks until the answer. */
struct broker {
	int fd; /* -1: no broker, every request fails */
	pthread_mutex_t lock;
	uint32_t sequence; /* of the last request */
};

#define BROKER_NONE                                          \
	{                                                    \
		.fd = -1, .lock = PTHREAD_MUTEX_INITIALIZER, \
	}

/*
 * Connects to the process of device @device; retries for @wait_ms while it does not listen yet.
 * Returns a descriptor, owned by the caller, or a negative errno with *error set.
 */
int broker_connect(struct broker *broker, uint32_t device, int wait_ms, struct error *error);

/*
 * Opens the host's scheduling statistics of thread @thread of this process (Linux,
 * Documentation/scheduler/sched-stats.rst). Returns a descriptor or a negative errno.
 */
int broker_open_schedule(struct broker *broker, pid_t thread);

void broker_close(struct broker *broker);

/* The serving side. */
struct broker_service {
	pid_t monitor;		  /* only its threads may be requested */
	const char *const *paths; /* of the devices' sockets */
	size_t count;
	/*
	 * Whether the monitor may connect to device @device now: 0, or a negative errno with *error
	 * set. NULL: to each of them.
	 */
	int (*permit)(void *context, size_t device, struct error *error);
	void *context;
};

/* Makes both ends: a socket of packets. Returns 0 or a negative errno with *error set. */
int broker_make_pair(int ends[2], struct error *error);

/*
 * Receives one request from @fd and answers it; blocks only for the request. Returns 1, or 0 when
 * the monitor has closed the socket.
 */
int broker_answer(int fd, const struct broker_service *service);

#endif
