// SPDX-License-Identifier: BSD-3-Clause
/*
 * The process of a device is replaced by another one, which goes on with the state of the device
 * (vhost-user specification, "Migrating back-end state").
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "monitor/virtio/remote_device_private.h"
#include "virtio/device_state.h"

/* Stops the rings and saves the state, in an operation. @stopped: no ring runs any more. */
static int halt(struct remote_device *remote, bool *stopped, struct error *error)
{
	int result = 0;

	for (uint16_t i = 0; i < remote->queue_count && result == 0; i++)
		result = remote_halt_ring(remote, i, error);
	*stopped = result == 0;
	/* Nothing was set up, or the process refused it: then there is no state to carry on. */
	if (result == 0 && remote->rings_sent)
		result = vhost_client_save_state(remote->client, remote->state, DEVICE_STATE_MAX,
						 &remote->state_length, error);
	return result;
}

static int let_go(struct remote_device *remote, struct error *error)
{
	bool stopped;
	int result;

	if (!remote->client)
		return error_set(error, ENOTCONN, "no process is connected");
	/* Nobody would end that one. */
	if (remote->attachments != remote->release_of)
		return error_set(error, ESTALE, "another process is connected already");
	if (!vhost_client_has(remote->client, VHOST_PROTOCOL_DEVICE_STATE))
		return error_set(error, EOPNOTSUPP, "the process does not offer its state");
	/* One that this process was not given, because the driver has to reset the device. */
	remote_forget_state(remote);
	remote->state = malloc(DEVICE_STATE_MAX);
	if (!remote->state)
		return error_set(error, ENOMEM, "out of memory");
	vhost_client_begin(remote->client);
	result = remote_finish(remote->client, halt(remote, &stopped, error), error);
	if (result < 0 || !remote->state_length)
		remote_forget_state(remote);
	if (!stopped || vhost_client_is_broken(remote->client)) {
		remote_give_up(remote, error);
		return result;
	}
	/*
	 * The rings are the next process's, and so is the driver from now on: what it does is not
	 * sent to this one, whose state was saved.
	 */
	remote->rings_sent = false;
	remote->former = take_pointer(remote->client);
	remote->events->reported(remote->context, REMOTE_DETACHED, NULL);
	return result;
}

void remote_let_go(struct remote_device *remote)
{
	struct error error;
	int result = let_go(remote, &error);

	if (result < 0)
		log_line(LOG_WARNING, REMOTE_COMPONENT, "%s: its state is not saved: %s",
			 remote->name, error.message);
	remote->events->reported(remote->context, REMOTE_RELEASED,
				 result < 0 ? error.message : NULL);
}

static int load(struct remote_device *remote, struct vhost_client *client, struct error *error)
{
	if (!vhost_client_has(client, VHOST_PROTOCOL_DEVICE_STATE))
		return error_set(error, EIO, "the process does not take a state");
	return vhost_client_load_state(client, remote->state, remote->state_length, error);
}

int remote_load_state(struct remote_device *remote, struct vhost_client *client,
		      struct error *error)
{
	int result;

	if (!remote->state)
		return 0;
	/* So that the refusal of what was sent before is not taken for that of the state. */
	result = vhost_client_confirm(client, error);
	if (result < 0)
		return result;
	result = load(remote, client, error);
	remote_forget_state(remote);
	remote->state_taken = result == 0;
	if (result == 0)
		return 0;
	remote_lose_state(remote, error->message);
	return result == -EIO ? 0 : result;
}

void remote_lose_state(struct remote_device *remote, const char *why)
{
	snprintf(remote->state_lost, sizeof(remote->state_lost), "%s", why);
	log_line(LOG_WARNING, REMOTE_COMPONENT, "%s: its state is not loaded: %s", remote->name,
		 why);
}

void remote_forget_state(struct remote_device *remote)
{
	free(take_pointer(remote->state));
	remote->state_length = 0;
	remote->state_lost[0] = 0;
}
