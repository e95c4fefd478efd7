// SPDX-License-Identifier: BSD-3-Clause
/*
 * Supervises the device processes of a guest: starts each with a listening socket of its own, waits
 * until all serve, and restarts those that die. The supervisor owns the sockets and the processes
 * inherit them, so an engine can connect at any time, even while a process restarts.
 */
#ifndef AVP_GUEST_RUN_SUPERVISOR_H
#define AVP_GUEST_RUN_SUPERVISOR_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/event_loop.h"
#include "base/log.h"
#include "guest/config/config.h"
#include "host/descriptor_store.h"
#include "host/terminal.h"

/* How long all device processes together get to exit when asked to. */
#define SUPERVISOR_STOP_MS 2000

struct supervisor;

/* Called from the loop; they must not free the supervisor. */
struct supervisor_events {
	/* Every device process serves for the first time. */
	void (*ready)(void *context);
	/* An event of a device: see struct supervised_ops. May be NULL. */
	void (*happened)(void *context, const struct log_field *fields);
	/* A restarted device process serves. */
	void (*restarted)(void *context, const struct device_config *device);
	/*
	 * What supervisor_restart_device began is done: see struct device_restart. May be NULL, if
	 * that is not called.
	 */
	void (*replaced)(void *context, size_t index, const char *lost, const struct error *error);
	/* A first start failed, or the limit is reached. Called once; nothing starts any more. */
	void (*failed)(void *context, const struct error *error);
};

struct supervisor_setup {
	struct event_loop *loop;
	const struct guest_config *config; /* checked; must outlive the supervisor */
	const struct supervisor_events *events;
	void *context;
	/* For the device that uses the terminal, or NULL; owned by the caller. */
	const struct terminal *terminal;
	/*
	 * Where the devices' sockets are kept, so that engines reach the devices of the next
	 * supervisor of this guest after this one was killed; or NULL. Owned by the caller.
	 */
	struct descriptor_store *store;
};

/* The state of one device. */
struct supervisor_device {
	const struct device_config *config;
	/* The frontend inherits this descriptor and connects to /proc/self/fd/<connect_fd>. */
	int connect_fd;
	pid_t pid; /* 0: not running at the moment */
	bool serving;
	/* "starting", "serving", "restarting" (in an orderly way), "ended" or "given-up". */
	const char *state;
	unsigned int restarts, replacements; /* see struct supervised_process */
};

/*
 * Opens the files of all devices and makes their sockets: from now on engines may connect, and then
 * wait. Returns 0 with *supervisor set, or a negative errno with *error set.
 */
int supervisor_open(struct supervisor **supervisor, const struct supervisor_setup *setup,
		    struct error *error);

/*
 * Starts the processes of all devices. The events ready and failed come from the loop; without
 * devices ready comes before the return. Returns 0, or a negative errno with *error set when a
 * program cannot be executed; then only free the supervisor.
 */
int supervisor_start(struct supervisor *supervisor, struct error *error);

/* Device @index, in the order of the configuration. */
struct supervisor_device supervisor_device(const struct supervisor *supervisor, size_t index);

/* Kills the process of device @name, which its frontend has given up, so that it is restarted. */
void supervisor_kill_device(struct supervisor *supervisor, const char *name);

/*
 * Begins the orderly restart of device @index; have the engine let go of its process next. The
 * event replaced follows. Returns 0, or a negative errno with *error set: see device_restart_begin.
 */
int supervisor_restart_device(struct supervisor *supervisor, size_t index, struct error *error);

/* The engine has let go of the process of a device, or attached another: see device_restart.h. */
void supervisor_released(struct supervisor *supervisor, size_t index, const char *lost);
void supervisor_attached(struct supervisor *supervisor, size_t index, const char *lost);

/* Has the device processes log at @level; those to be started take the level of this process. */
void supervisor_set_log_level(struct supervisor *supervisor, enum log_level level);

/*
 * Ends all device processes, waits for them, and closes their sockets and files.
 * supervisor_device stays valid. NULL is fine.
 */
void supervisor_stop(struct supervisor *supervisor);

/* Stops and frees the supervisor. NULL is fine. */
void supervisor_free(struct supervisor *supervisor);

#endif
