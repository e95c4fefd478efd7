// SPDX-License-Identifier: BSD-3-Clause
/*
 * Supervises the device processes of a guest: starts each with a listening socket of its own,
 * waits until all serve, and starts one again that dies. The socket belongs to the supervisor and
 * is inherited, so that the engine can connect at any time, also while the process is being
 * started again.
 */
#ifndef AVP_GUEST_RUN_SUPERVISOR_H
#define AVP_GUEST_RUN_SUPERVISOR_H

#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/event_loop.h"
#include "guest/config/config.h"
#include "host/terminal.h"

/*
 * The policy. A process that dies is started again at once; when it dies again before it has lived
 * for RESTART_QUIET_MS, after a delay that doubles from SUPERVISOR_DELAY_MS to
 * SUPERVISOR_DELAY_MAXIMUM_MS. One that has died as often in a row as the guest's restart limit
 * says (restart_policy.h) has failed for good, and so has the guest. One that does not serve
 * SUPERVISOR_READY_MS after its start, or that its user gives up, is killed, and has died.
 */
#define SUPERVISOR_DELAY_MS	    100
#define SUPERVISOR_DELAY_MAXIMUM_MS 5000
#define SUPERVISOR_READY_MS	    10000
/*
 * A process that has left so many heartbeats in a row unanswered hangs: it is killed, and has died.
 */
#define SUPERVISOR_UNANSWERED 2
/* How long device processes get to end when they are asked to, all of them together. */
#define SUPERVISOR_STOP_MS 2000

struct supervisor;

/* Called from the loop; they must not free the supervisor. */
struct supervisor_events {
	/* Every device process serves for the first time. */
	void (*ready)(void *context);
	/* One serves again after it was started again. */
	void (*restarted)(void *context, const struct device_config *device);
	/* One failed, at its start or for good. Called once; no process is started any more. */
	void (*failed)(void *context, const struct error *error);
};

struct supervisor_setup {
	struct event_loop *loop;
	const struct guest_config *config; /* checked; must outlive the supervisor */
	const struct supervisor_events *events;
	void *context;
	/* For the device that talks to the terminal; the caller's. NULL: there is none. */
	const struct terminal *terminal;
};

/* What is known of one device. */
struct supervisor_device {
	const struct device_config *config;
	/* Its frontend connects to the path /proc/self/fd/<connect_fd>, with this one inherited. */
	int connect_fd;
	pid_t pid; /* 0: not running at the moment */
	unsigned int restarts;
};

/*
 * Opens the files of all devices and makes their sockets: engines may connect from now on, and
 * wait. Returns 0 with *supervisor set, or a negative errno with *error set.
 */
int supervisor_open(struct supervisor **supervisor, const struct supervisor_setup *setup,
		    struct error *error);

/*
 * Starts the processes of all devices; ready and failed come from the loop, but ready before the
 * return when there are no devices. Returns 0, or a negative errno with *error set when the program
 * cannot be executed: then the supervisor is only good to be freed.
 */
int supervisor_start(struct supervisor *supervisor, struct error *error);

/* Device @index, in the order of the configuration. */
struct supervisor_device supervisor_device(const struct supervisor *supervisor, size_t index);

/* Who uses device @name has given its process up: kills it, for another to be started. */
void supervisor_kill_device(struct supervisor *supervisor, const char *name);

/*
 * Ends all device processes, waiting for them, and closes their sockets and files; what is known
 * of them stays. NULL is fine.
 */
void supervisor_stop(struct supervisor *supervisor);

/* Stops and frees the supervisor. NULL is fine. */
void supervisor_free(struct supervisor *supervisor);

#endif
