// SPDX-License-Identifier: BSD-3-Clause
/*
 * What remote_device.c (the device and its driver), remote_connection.c (the connection to the
 * process) and remote_release.c (the end of one that is replaced) share. All with the lock.
 */
#ifndef AVP_MONITOR_VIRTIO_REMOTE_DEVICE_PRIVATE_H
#define AVP_MONITOR_VIRTIO_REMOTE_DEVICE_PRIVATE_H

#include "monitor/virtio/remote_device.h"

#define REMOTE_COMPONENT "monitor"

/* What the monitor does when a process asks for it. */
extern const struct vhost_client_ops remote_client_ops;

/* Finishes an operation; @result is that of its last call. */
int remote_finish(struct vhost_client *client, int result, struct error *error);

/*
 * Reads configuration space. Returns 1 if it changed, 0, or the negative errno that broke the
 * connection. remote_reread_config is an operation on the process that is connected, and returns
 * whether it changed.
 */
int remote_read_config(struct remote_device *remote, struct vhost_client *client,
		       struct error *error);
bool remote_reread_config(struct remote_device *remote);

/* Handles messages that the process sent while it was asked something else. */
void remote_take_messages(struct remote_device *remote);

/* Sends a process all that the driver has set up; @fresh: at DRIVER_OK. */
int remote_send_all(struct remote_device *remote, struct vhost_client *client, bool fresh,
		    struct error *error);

void remote_forget_inflight(struct remote_device *remote);

/*
 * Gives up the process; the loop will see the end of the connection, and reconnect. The process
 * still has guest memory, to which it may write for pending requests, so it must end before the
 * driver learns that the request is over. If it does not end, because nobody kills it or its system
 * call never returns, it would write to memory that the guest uses for something else.
 */
void remote_give_up(struct remote_device *remote, const struct error *error);

/* Stops a ring of the process that is connected, and notes its position. */
int remote_halt_ring(struct remote_device *remote, uint16_t index, struct error *error);

/* The rest is of remote_release.c. */

/* Stops the rings, saves the state and lets go of the process: see remote_release. */
void remote_let_go(struct remote_device *remote);

/*
 * Gives the state that was saved, if any, to a new process, in an operation. Whatever comes of it,
 * it is not tried again. A negative errno only when the connection broke, or when what was sent
 * before is refused (-EIO).
 */
int remote_load_state(struct remote_device *remote, struct vhost_client *client,
		      struct error *error);

/* The state belongs to a driver that is gone. */
void remote_forget_state(struct remote_device *remote);
/* It did not get to the next process: says so, now and when a process is attached. */
void remote_lose_state(struct remote_device *remote, const char *why);

#endif
