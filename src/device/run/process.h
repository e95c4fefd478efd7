// SPDX-License-Identifier: BSD-3-Clause
/*
 * The process around a device: its socket, signals, the sandbox, and the loop. The conventions are
 * those of the vhost-user specification, "Backend program conventions".
 */
#ifndef AVP_DEVICE_RUN_PROCESS_H
#define AVP_DEVICE_RUN_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/control.h"
#include "base/error.h"
#include "base/event_loop.h"
#include "base/option.h"
#include "base/socket_path.h"
#include "device/kit/serve_options.h"
#include "virtio/device.h"

/* One for the device, and one for each port of a console. */
#define DEVICE_PROCESS_SOCKETS 17

struct device_process {
	const struct serve_options *options;
	struct event_loop loop;
	struct event_source signal_source; /* fd -1: not open */
	struct control_channel control;	   /* from the parent */
	int socket_fd;			   /* -1: none, or owned by the server */
	bool listening;			   /* socket_fd is a listening socket */
	int ready_fd;			   /* -1: none, or readiness reported already */
	/* Sockets that this process made and removes at the end. */
	struct socket_path bound[DEVICE_PROCESS_SOCKETS];
	size_t bound_count;
	/* For answers to device_process_reopen. */
	void (*reopened)(void *context, int fd, const char *why);
	void *reopened_context;
	bool asking;
	unsigned int needs; /* of enum sandbox_need: what the device needs beyond serving */
};

/*
 * Prepares the process: signals, loop and socket. @given names the options that were given; @name
 * is the component of log lines; the caller keeps it. On failure nothing is left behind.
 */
int device_process_open(struct device_process *process, const struct serve_options *options,
			const struct option_list *given, const char *name, struct error *error);

/*
 * Drops all rights except those in process->needs. Call it when everything is open and before
 * threads are started.
 */
int device_process_drop_rights(const struct device_process *process, struct error *error);

/*
 * Sets the callback for what is opened again: @fd is a descriptor, owned by the callback, or -1,
 * with the reason in @why. Returns false when this process has no supervisor to ask.
 */
bool device_process_on_reopened(struct device_process *process,
				void (*reopened)(void *context, int fd, const char *why),
				void *context);

/*
 * Asks the supervisor to open again what the option @option of this process names, item @index of
 * those it names. The callback follows from the loop. Returns 0 or a negative errno: -EBUSY while
 * an answer is due.
 */
int device_process_reopen(struct device_process *process, const char *option, uint64_t index);

/*
 * Drops the remaining rights and serves @device until a signal, or the end of the connection that
 * --fd gave. Returns the exit status, or a negative errno with *error set.
 */
int device_process_serve(struct device_process *process, struct virtio_device *device,
			 struct error *error);

/*
 * Closes what is open and removes the socket. Safe on one that was only zeroed or failed to open.
 */
void device_process_close(struct device_process *process);
#define cleanup_device_process __attribute__((cleanup(device_process_close)))

#endif
