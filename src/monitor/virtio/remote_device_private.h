// SPDX-License-Identifier: BSD-3-Clause
/*
 * What remote_device.c (the device and its driver) and remote_connection.c (the connection to the
 * process) share. All with the lock.
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

#endif
