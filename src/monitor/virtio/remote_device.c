// SPDX-License-Identifier: BSD-3-Clause
/*
 * A device in another process, as its driver uses it (vhost-user specification; VIRTIO 1.4, 3.1 and
 * 2.1). remote_connection.c has the connection.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "monitor/virtio/remote_device_private.h"
#include "virtio/feature.h"

/*
 * How long to wait for the end of a process that was given up: ample for SIGKILL, also on a busy
 * host.
 */
#define END_MS 5000
/* Messages of the process that are handled in one turn of the loop. */
#define MESSAGES_A_TURN 64

#define STATUS_CHOSEN \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)

void remote_give_up(struct remote_device *remote, const struct error *error)
{
	struct pollfd end = {.fd = vhost_client_fd(remote->client), .events = POLLRDHUP};

	/* It has ended by itself: do not report it, its successor may already be running. */
	if (poll(&end, 1, 0) > 0)
		return;
	log_line(LOG_WARNING, REMOTE_COMPONENT, "%s: %s", remote->name, error->message);
	remote->events->reported(remote->context, REMOTE_GIVEN_UP, NULL);
	if (poll(&end, 1, END_MS) == 0 && remote->memory_sent)
		remote->events->not_ended(remote->context);
	shutdown(end.fd, SHUT_RDWR);
}

/* Begins an operation of several calls. Returns whether the process is connected. */
static bool begin(struct remote_device *remote)
{
	if (remote->client)
		vhost_client_begin(remote->client);
	return remote->client;
}

int remote_finish(struct vhost_client *client, int result, struct error *error)
{
	struct error last;
	int finished = vhost_client_finish(client, &last);

	/* The call during which the connection broke has the better error. */
	if (finished < 0 && (result == 0 || result == -EIO))
		*error = last;
	return result == 0 || finished == -EIO ? finished : result;
}

/*
 * Finishes the operation. A refusal (-EIO) is the driver's fault, whether or not the connection
 * lasts. If only the connection broke, that is a success for the driver, as the next process is
 * sent everything again.
 */
static int finish_for_driver(struct remote_device *remote, int result, struct error *error)
{
	result = remote_finish(remote->client, result, error);
	if ((result < 0 && result != -EIO) || vhost_client_is_broken(remote->client))
		remote_give_up(remote, error);
	return result == -EIO ? -EINVAL : 0;
}

/* Configuration space */

int remote_read_config(struct remote_device *remote, struct vhost_client *client,
		       struct error *error)
{
	const uint32_t *sizes = remote->shape->config_sizes;
	uint8_t config[DEVICE_SHAPE_CONFIG_MAX] = {0};
	uint32_t length = 0;
	int result = -EIO;

	if (!vhost_client_has(client, VHOST_PROTOCOL_CONFIG)) {
		remote->config_size = remote->shape->config_length;
		if (remote->config_size)
			memcpy(remote->config, remote->shape->config, remote->config_size);
		return 0;
	}
	for (int i = 0; i < DEVICE_SHAPE_SIZES && sizes[i] && result == -EIO; i++) {
		if (remote->config_length && sizes[i] != remote->config_length)
			continue;
		length = sizes[i];
		result = vhost_client_read_config(client, 0, config, length, error);
	}
	if (result < 0)
		return result == -EIO ? 0 : result;
	remote->config_length = length;
	if (remote->config_size == length && !memcmp(config, remote->config, sizeof(config)))
		return 0;
	memcpy(remote->config, config, sizeof(config));
	remote->config_size = length;
	return 1;
}

static void handle_config_changed(void *context)
{
	struct remote_device *remote = context;
	struct error error;
	uint8_t status = 0;

	if (vhost_client_has(remote->client, VHOST_PROTOCOL_STATUS) &&
	    vhost_client_get_status(remote->client, &status, &error) == 0 &&
	    (status & VIRTIO_CONFIG_S_NEEDS_RESET)) {
		remote->as_new = false;
		remote->events->needs_reset(remote->context);
	}
	/* Notify even if it is unchanged: a console reports its size that way. */
	if (remote_read_config(remote, remote->client, &error) < 0)
		remote_give_up(remote, &error);
	remote->events->config_changed(remote->context);
}

static int handle_map(void *context, const struct vhost_shmem_map *map, int fd)
{
	struct remote_device *remote = context;

	/* The next reset has to end it in the process, too. */
	remote->as_new = false;
	return shared_memory_map(&remote->shared_memory, map, fd);
}

static int handle_unmap(void *context, const struct vhost_shmem_map *map)
{
	struct remote_device *remote = context;

	return shared_memory_unmap(&remote->shared_memory, map);
}

const struct vhost_client_ops remote_client_ops = {
	.config_changed = handle_config_changed,
	.shmem_map = handle_map,
	.shmem_unmap = handle_unmap,
};

void remote_take_messages(struct remote_device *remote)
{
	struct error error;
	int result = 1;

	if (!begin(remote))
		return;
	for (int i = 0; i < MESSAGES_A_TURN && result > 0; i++)
		result = vhost_client_handle_backend(remote->client, &error);
	finish_for_driver(remote, result < 0 ? result : 0, &error);
}

bool remote_reread_config(struct remote_device *remote)
{
	struct error error;
	int result;

	if (!begin(remote))
		return false;
	result = remote_read_config(remote, remote->client, &error);
	finish_for_driver(remote, result < 0 ? result : 0, &error);
	return result > 0;
}

bool remote_refresh_config(struct remote_device *remote)
{
	bool changed;

	if (!remote->started)
		return false;
	changed = remote_reread_config(remote);
	remote_take_messages(remote);
	return changed;
}

void remote_write_config(struct remote_device *remote, uint32_t offset, const void *data,
			 uint32_t length)
{
	const struct device_shape *shape = remote->shape;
	bool setting = offset < shape->setting_offset + shape->setting_length &&
		       shape->setting_offset < offset + length;
	uint8_t before[DEVICE_SHAPE_CONFIG_MAX];
	struct error error;
	int result;

	remote->as_new = false;
	remote->config_written |= setting;
	/* The next process is sent it. */
	if (setting && !remote->client)
		memcpy(remote->config + offset, data, length);
	if (!remote->client || !vhost_client_has(remote->client, VHOST_PROTOCOL_CONFIG))
		return;
	begin(remote);
	/* A refused write has no effect. */
	result = vhost_client_write_config(remote->client, offset, data, length, &error);
	/* The driver sees its own bytes when it reads; other changes need an interrupt. */
	memcpy(before, remote->config, sizeof(before));
	if (result == 0)
		result = remote_read_config(remote, remote->client, &error);
	finish_for_driver(remote, result < 0 ? result : 0, &error);
	memcpy(before + offset, remote->config + offset, length);
	if (memcmp(before, remote->config, sizeof(before)))
		remote->events->config_changed(remote->context);
	remote_take_messages(remote);
}

/* Rings */

static bool is_packed(const struct remote_device *remote)
{
	return remote->negotiated & FEATURE(VIRTIO_F_RING_PACKED);
}

/* The in-flight record of one ring, or NULL. */
static void *ring_record(const struct remote_device *remote, uint16_t index)
{
	return vhost_inflight_record(&remote->inflight_area, index, remote->rings[index].size);
}

struct inflight_progress remote_progress(const struct remote_device *remote, uint16_t index)
{
	const struct remote_ring *ring = &remote->rings[index];
	const void *record = ring_record(remote, index);
	struct inflight_progress progress = {.position = 0};

	/*
	 * A process initializes the record when it starts the ring: until then use the start value.
	 */
	if ((!record || !inflight_read_progress(record, remote->inflight_area.queue_size,
						is_packed(remote), &progress)) &&
	    is_packed(remote))
		progress.position = ring->position;
	if (ring->used_index)
		progress.position = *ring->used_index;
	return progress;
}

static int send_ring(struct remote_device *remote, struct vhost_client *client, uint16_t index,
		     bool fresh, struct error *error)
{
	const struct remote_ring *ring = &remote->rings[index];
	uint32_t position = remote_progress(remote, index).position;
	const struct vhost_client_ring message = {
		.index = index,
		.size = ring->size,
		.descriptors = ring->descriptors,
		.driver = ring->driver,
		.device = ring->device,
		/*
		 * Requests that were taken and not used are taken again; the record has more
		 * details, if there is one.
		 */
		.base = is_packed(remote) ? position << 16 | position :
			fresh		  ? 0 :
					    position,
		.kick_fd = ring->kick_fd,
		.call_fd = remote->calls[remote->one_call ? REMOTE_CONFIG_CALL : 1 + index],
		.err_fd = -1,
	};

	return vhost_client_start_ring(client, &message, error);
}

void remote_forget_inflight(struct remote_device *remote)
{
	vhost_inflight_close(&remote->inflight_area);
	close_fd(&remote->inflight_fd);
	remote->inflight_lost = false;
}

/* Has the process make an in-flight record, and maps it. */
static int make_inflight(struct remote_device *remote, struct vhost_client *client,
			 struct error *error)
{
	int result;

	if (!vhost_client_has(client, VHOST_PROTOCOL_INFLIGHT_SHMFD))
		return 0;
	/* Large enough for rings that a driver starts later. */
	result = vhost_client_get_inflight(client, remote->queue_count,
					   remote->shape->queue_size_max, &remote->inflight,
					   &remote->inflight_fd, error);
	if (result < 0)
		return result;
	if (remote->inflight.queue_count == remote->queue_count &&
	    remote->inflight.queue_size == remote->shape->queue_size_max)
		result = vhost_inflight_open(&remote->inflight_area, &remote->inflight,
					     is_packed(remote), remote->inflight_fd,
					     &remote->inflight_lost, error);
	else
		result = error_set(error, EPROTO, "its in-flight record is not what was asked for");
	/* Do not pass it to later processes. */
	if (result < 0)
		remote_forget_inflight(remote);
	return result;
}

/* Sends a new process what the driver has set in configuration space. */
static int send_setting(struct remote_device *remote, struct vhost_client *client,
			struct error *error)
{
	const struct device_shape *shape = remote->shape;
	int result;

	if (!remote->config_written || !vhost_client_has(client, VHOST_PROTOCOL_CONFIG))
		return 0;
	/* A refusal of the write does not matter, but of the messages before it does. */
	result = vhost_client_confirm(client, error);
	if (result < 0)
		return result;
	result = vhost_client_write_config(client, shape->setting_offset,
					   remote->config + shape->setting_offset,
					   shape->setting_length, error);
	if (result == 0)
		result = vhost_client_confirm(client, error);
	return result == -EIO ? 0 : result;
}

int remote_send_all(struct remote_device *remote, struct vhost_client *client, bool fresh,
		    struct error *error)
{
	bool status = vhost_client_has(client, VHOST_PROTOCOL_STATUS);
	int result = vhost_client_set_features(client, remote->negotiated, error);

	if (result == 0 && status)
		result = vhost_client_set_status(client, STATUS_CHOSEN, error);
	if (result == 0 && !remote->memory_sent)
		result = vhost_client_set_memory(client, remote->memory->regions,
						 remote->memory->count, error);
	if (result == 0 && remote->inflight_fd < 0)
		result = make_inflight(remote, client, error);
	if (result == 0 && remote->inflight_fd >= 0)
		result = vhost_client_set_inflight(client, &remote->inflight, remote->inflight_fd,
						   error);
	if (result == 0 && !fresh)
		result = remote_load_state(remote, client, error);
	/* The driver may have written it after the state was saved. */
	if (result == 0 && !fresh)
		result = send_setting(remote, client, error);
	for (uint16_t i = 0; i < remote->queue_count && result == 0; i++)
		if (remote->rings[i].running)
			result = send_ring(remote, client, i, fresh, error);
	if (result == 0 && status)
		result = vhost_client_set_status(client, STATUS_CHOSEN | VIRTIO_CONFIG_S_DRIVER_OK,
						 error);
	return result;
}

bool remote_set_features(struct remote_device *remote, uint64_t features)
{
	struct error error;
	int result = 0, changed = 0;

	remote->as_new = false;
	remote->negotiated = features;
	if (begin(remote)) {
		result = vhost_client_set_features(remote->client, features, &error);
		/*
		 * Some fields depend on the features: a disk's writeback (VIRTIO 1.4, 5.2.5.2).
		 */
		if (result == 0)
			changed = remote_read_config(remote, remote->client, &error);
		result = finish_for_driver(remote, changed < 0 ? changed : result, &error);
	}
	if (changed > 0)
		remote->events->config_changed(remote->context);
	return result == 0;
}

int remote_start(struct remote_device *remote)
{
	struct error error;
	int result = 0;

	remote->as_new = false;
	remote->started = true;
	remote->rings_sent = begin(remote);
	if (remote->rings_sent)
		result = finish_for_driver(
			remote, remote_send_all(remote, remote->client, true, &error), &error);
	remote->memory_sent |= result == 0;
	remote->refused = result < 0;
	remote_take_messages(remote);
	return result;
}

int remote_start_ring(struct remote_device *remote, uint16_t index)
{
	struct error error;
	int result = remote->refused ? -EINVAL : 0;

	remote->rings[index].running = true;
	if (result == 0 && begin(remote))
		result = finish_for_driver(
			remote, send_ring(remote, remote->client, index, true, &error), &error);
	remote->refused |= result < 0;
	remote_take_messages(remote);
	return result;
}

static int stop_ring(struct remote_device *remote, uint16_t index, struct error *error)
{
	if (!remote->rings[index].running || !remote->rings_sent)
		return 0;
	return vhost_client_stop_ring(remote->client, index, NULL, error);
}

int remote_halt_ring(struct remote_device *remote, uint16_t index, struct error *error)
{
	struct remote_ring *ring = &remote->rings[index];
	uint32_t base;
	int result;

	if (!ring->running || !remote->rings_sent)
		return 0;
	result = vhost_client_stop_ring(remote->client, index, &base, error);
	if (result == 0)
		ring->position = (uint16_t)base;
	/* It may have closed the record before it died. */
	else if (ring_record(remote, index) && is_packed(remote))
		inflight_read_end(ring_record(remote, index), &ring->position);
	return result;
}

static void forget_ring(struct remote_device *remote, uint16_t index)
{
	void *record = ring_record(remote, index);

	if (!remote->rings[index].running)
		return;
	/*
	 * The next ring must not inherit what a process that died, or that does not clear its
	 * record, leaves in it.
	 */
	if (record)
		inflight_forget(record);
	remote->rings[index].running = false;
	remote->rings[index].used_index = NULL;
	remote->rings[index].position = (uint16_t)VHOST_PACKED_BASE;
}

void remote_stop_ring(struct remote_device *remote, uint16_t index)
{
	struct error error;

	if (begin(remote))
		finish_for_driver(remote, stop_ring(remote, index, &error), &error);
	forget_ring(remote, index);
	/* It may say how far the device got in this ring. */
	remote_forget_state(remote);
	remote_take_messages(remote);
}

/* Stops all rings, and resets the device if the process supports that. */
static int stop_all(struct remote_device *remote, struct error *error)
{
	int result = 0;

	for (uint16_t i = 0; i < remote->queue_count && result == 0; i++)
		result = stop_ring(remote, i, error);
	if (result == 0 && (vhost_client_has(remote->client, VHOST_PROTOCOL_STATUS) ||
			    vhost_client_has(remote->client, VHOST_PROTOCOL_RESET_DEVICE)))
		result = vhost_client_reset(remote->client, error);
	return result;
}

void remote_reset(struct remote_device *remote)
{
	struct error error;
	int result = 0, changed = 0;

	/* Drivers reset a device both before and after use. */
	if (!remote->as_new && begin(remote)) {
		result = stop_all(remote, &error);
		/* For the next driver: the last one may have changed it. */
		if (result == 0)
			changed = remote_read_config(remote, remote->client, &error);
		/* A process that cannot reset is useless. */
		if (finish_for_driver(remote, changed < 0 ? changed : result, &error) < 0)
			remote_give_up(remote, &error);
		remote->as_new = result == 0;
	}
	/* What the process requested before its answer has been done by now. */
	shared_memory_clear(&remote->shared_memory);
	for (uint16_t i = 0; i < remote->queue_count; i++)
		forget_ring(remote, i);
	if (changed > 0)
		remote->events->config_changed(remote->context);
	remote_forget_inflight(remote);
	remote_forget_state(remote);
	remote->started = remote->rings_sent = false;
	remote->refused = remote->lost_requests = remote->config_written = false;
	remote->negotiated = 0;
	remote_take_messages(remote);
}
