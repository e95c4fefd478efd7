// SPDX-License-Identifier: BSD-3-Clause
/*
 * A device in another process (vhost-user specification; VIRTIO 1.4, 3.1 and 2.1).
 */
#include "monitor/virtio/remote_device.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_ring.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "vhost/channel.h"
#include "virtio/feature.h"

#define COMPONENT	"monitor"
#define CONNECT_WAIT_MS 10000
/*
 * Delays between attempts to reconnect, doubled from the first to the last. After a process that
 * stayed connected for at least the last delay, they start with the first again.
 */
#define RETRY_FIRST_MS 20
#define RETRY_LAST_MS  1000
/*
 * How long to wait for the end of a process that was given up: ample for SIGKILL, also on a busy
 * host.
 */
#define END_MS 5000
/* Messages of the process that are handled in one turn of the loop. */
#define MESSAGES_A_TURN 64

#define STATUS_CHOSEN \
	(VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)

/*
 * Gives up the process; the loop will see the end of the connection, and reconnect. The process
 * still has guest memory, to which it may write for pending requests, so it must end before the
 * driver learns that the request is over. If it does not end, because nobody kills it or its system
 * call never returns, it would write to memory that the guest uses for something else.
 */
static void give_up(struct remote_device *remote, const struct error *error)
{
	struct pollfd end = {.fd = vhost_client_fd(remote->client), .events = POLLRDHUP};

	/* It has ended by itself: do not report it, its successor may already be running. */
	if (poll(&end, 1, 0) > 0)
		return;
	log_line(LOG_WARNING, COMPONENT, "%s: %s", remote->name, error->message);
	remote->events->given_up(remote->context);
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

/* Finishes the operation; @result is that of its last call. */
static int finish(struct vhost_client *client, int result, struct error *error)
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
	result = finish(remote->client, result, error);
	if ((result < 0 && result != -EIO) || vhost_client_is_broken(remote->client))
		give_up(remote, error);
	return result == -EIO ? -EINVAL : 0;
}

/* Configuration space */

/* Returns 1 if it changed, 0, or the negative errno that broke the connection. */
static int read_config(struct remote_device *remote, struct vhost_client *client,
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
	if (read_config(remote, remote->client, &error) < 0)
		give_up(remote, &error);
	remote->events->config_changed(remote->context);
}

static int handle_map(void *context, const struct vhost_shmem_map *map, int fd)
{
	struct remote_device *remote = context;

	return shared_memory_map(&remote->shared_memory, map, fd);
}

static int handle_unmap(void *context, const struct vhost_shmem_map *map)
{
	struct remote_device *remote = context;

	return shared_memory_unmap(&remote->shared_memory, map);
}

static const struct vhost_client_ops client_ops = {
	.config_changed = handle_config_changed,
	.shmem_map = handle_map,
	.shmem_unmap = handle_unmap,
};

/* Handles messages that the process sent while it was asked something else. */
static void take_messages(struct remote_device *remote)
{
	struct error error;
	int result = 1;

	if (!begin(remote))
		return;
	for (int i = 0; i < MESSAGES_A_TURN && result > 0; i++)
		result = vhost_client_handle_backend(remote->client, &error);
	finish_for_driver(remote, result < 0 ? result : 0, &error);
}

static bool refresh_config(struct remote_device *remote)
{
	struct error error;
	int result;

	if (!begin(remote))
		return false;
	result = read_config(remote, remote->client, &error);
	finish_for_driver(remote, result < 0 ? result : 0, &error);
	return result > 0;
}

bool remote_refresh_config(struct remote_device *remote)
{
	bool changed;

	if (!remote->started)
		return false;
	changed = refresh_config(remote);
	take_messages(remote);
	return changed;
}

void remote_write_config(struct remote_device *remote, uint32_t offset, const void *data,
			 uint32_t length)
{
	const struct device_shape *shape = remote->shape;
	uint8_t before[DEVICE_SHAPE_CONFIG_MAX];
	struct error error;
	int result;

	remote->as_new = false;
	if (offset < shape->setting_offset + shape->setting_length &&
	    shape->setting_offset < offset + length)
		remote->config_written = true;
	if (!remote->client || !vhost_client_has(remote->client, VHOST_PROTOCOL_CONFIG))
		return;
	begin(remote);
	/* A refused write has no effect. */
	result = vhost_client_write_config(remote->client, offset, data, length, &error);
	/* The driver sees its own bytes when it reads; other changes need an interrupt. */
	memcpy(before, remote->config, sizeof(before));
	if (result == 0)
		result = read_config(remote, remote->client, &error);
	finish_for_driver(remote, result < 0 ? result : 0, &error);
	memcpy(before + offset, remote->config + offset, length);
	if (memcmp(before, remote->config, sizeof(before)))
		remote->events->config_changed(remote->context);
	take_messages(remote);
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
		progress.position = (uint16_t)VHOST_PACKED_BASE;
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

static void forget_inflight(struct remote_device *remote)
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
		forget_inflight(remote);
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

/* Sends a process all that the driver has set up; @fresh: at DRIVER_OK. */
static int send_all(struct remote_device *remote, struct vhost_client *client, bool fresh,
		    struct error *error)
{
	bool status = vhost_client_has(client, VHOST_PROTOCOL_STATUS);
	int result = vhost_client_set_features(client, remote->negotiated, error);

	if (result == 0 && status)
		result = vhost_client_set_status(client, STATUS_CHOSEN, error);
	if (result == 0 && !fresh)
		result = send_setting(remote, client, error);
	if (result == 0 && !remote->memory_sent)
		result = vhost_client_set_memory(client, remote->memory->regions,
						 remote->memory->count, error);
	if (result == 0 && remote->inflight_fd < 0)
		result = make_inflight(remote, client, error);
	if (result == 0 && remote->inflight_fd >= 0)
		result = vhost_client_set_inflight(client, &remote->inflight, remote->inflight_fd,
						   error);
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
			changed = read_config(remote, remote->client, &error);
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
		result = finish_for_driver(remote, send_all(remote, remote->client, true, &error),
					   &error);
	remote->memory_sent |= result == 0;
	remote->refused = result < 0;
	take_messages(remote);
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
	take_messages(remote);
	return result;
}

static int stop_ring(struct remote_device *remote, uint16_t index, struct error *error)
{
	if (!remote->rings[index].running || !remote->rings_sent)
		return 0;
	return vhost_client_stop_ring(remote->client, index, NULL, error);
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
}

void remote_stop_ring(struct remote_device *remote, uint16_t index)
{
	struct error error;

	if (begin(remote))
		finish_for_driver(remote, stop_ring(remote, index, &error), &error);
	forget_ring(remote, index);
	take_messages(remote);
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
			changed = read_config(remote, remote->client, &error);
		/* A process that cannot reset is useless. */
		if (finish_for_driver(remote, changed < 0 ? changed : result, &error) < 0)
			give_up(remote, &error);
		remote->as_new = result == 0;
	}
	/* What the process requested before its answer has been done by now. */
	shared_memory_clear(&remote->shared_memory);
	for (uint16_t i = 0; i < remote->queue_count; i++)
		forget_ring(remote, i);
	if (changed > 0)
		remote->events->config_changed(remote->context);
	forget_inflight(remote);
	remote->started = remote->rings_sent = false;
	remote->refused = remote->lost_requests = remote->config_written = false;
	remote->negotiated = 0;
	take_messages(remote);
}

/* The connection */

/* Lets remote_hang_up shut down the connection @fd; -1: none. */
static void set_hang_up_fd(struct remote_device *remote, int fd)
{
	pthread_mutex_lock(&remote->hang_up_lock);
	close_fd(&remote->hang_up_fd);
	remote->hang_up_fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (remote->closing && fd >= 0)
		shutdown(fd, SHUT_RDWR);
	pthread_mutex_unlock(&remote->hang_up_lock);
}

static bool is_closing(struct remote_device *remote)
{
	bool closing;

	pthread_mutex_lock(&remote->hang_up_lock);
	closing = remote->closing;
	pthread_mutex_unlock(&remote->hang_up_lock);
	return closing;
}

void remote_hang_up(struct remote_device *remote)
{
	pthread_mutex_lock(&remote->hang_up_lock);
	remote->closing = true;
	if (remote->hang_up_fd >= 0)
		shutdown(remote->hang_up_fd, SHUT_RDWR);
	pthread_mutex_unlock(&remote->hang_up_lock);
}

static void watch(struct remote_device *remote)
{
	int backend = vhost_client_backend_fd(remote->client);
	struct error error;

	/* Only its end: answers are read where requests are sent. */
	remote->connection.fd = vhost_client_fd(remote->client);
	if (event_loop_add(remote->loop, &remote->connection, EPOLLRDHUP, &error) < 0)
		log_error("%s: %s: the end of its process is noticed late", remote->name,
			  error.message);
	/* A duplicate, as the client may close its own at any time in any thread. */
	remote->backend.fd = backend < 0 ? -1 : fcntl(backend, F_DUPFD_CLOEXEC, 0);
	if (backend >= 0 &&
	    (remote->backend.fd < 0 ||
	     event_loop_add(remote->loop, &remote->backend, EPOLLIN | EPOLLET, NULL) < 0))
		log_error("%s: no descriptor or watch is left: what its process asks for is not "
			  "answered",
			  remote->name);
	remote->attached_ms = clock_now_ms();
}

static void unwatch(struct remote_device *remote)
{
	event_loop_remove(remote->loop, &remote->connection);
	event_loop_remove(remote->loop, &remote->backend);
	remote->connection.fd = -1;
	close_fd(&remote->backend.fd);
}

/* Negotiates on a new connection and learns what is offered, such as @regions. */
static struct vhost_client *negotiate(struct remote_device *remote, int fd,
				      struct vhost_shmem_config *regions, struct error *error)
{
	struct vhost_client *client;
	int result;

	set_hang_up_fd(remote, fd);
	client = vhost_client_new(fd, VHOST_CLIENT_TIMEOUT_MS, error);
	if (!client)
		return NULL;
	vhost_client_begin(client);
	result = vhost_client_negotiate(client, &client_ops, remote, error);
	*regions = (struct vhost_shmem_config){.count = 0};
	if (result == 0 && vhost_client_has(client, VHOST_PROTOCOL_SHMEM))
		result = vhost_client_get_shmem_config(client, regions, error);
	if (finish(client, result, error) < 0) {
		vhost_client_free(client);
		return NULL;
	}
	return client;
}

/* Whether the process can continue where the last one stopped. */
static bool replaces(const struct remote_device *remote, const struct vhost_client *client,
		     const struct vhost_shmem_config *regions, struct error *error)
{
	uint64_t queues = vhost_client_queue_count(client);

	if (remote->features & ~vhost_client_features(client) ||
	    (queues && queues < remote->queue_count)) {
		error_set(error, EPROTO, "the new device process offers less than the one before");
		return false;
	}
	if (!shared_memory_matches(&remote->shared_memory, regions)) {
		error_set(error, EPROTO,
			  "the new device process has other shared memory regions than the one "
			  "before");
		return false;
	}
	return true;
}

static int make_event(int *fd, unsigned int count, struct error *error)
{
	close_fd(fd);
	*fd = eventfd(count, EFD_CLOEXEC | EFD_NONBLOCK);
	return *fd < 0 ? error_set_errno(error, errno, "cannot make an eventfd") : 0;
}

uint16_t remote_call_count(const struct remote_device *remote)
{
	return remote->one_call ? 1 : 1 + remote->queue_count;
}

/* All eventfds, counting from @count. */
static int make_events(struct remote_device *remote, unsigned int count, struct error *error)
{
	int result = 0;

	for (uint16_t i = 0; i < remote_call_count(remote) && result == 0; i++)
		result = make_event(&remote->calls[i], count, error);
	for (uint16_t i = 0; i < remote->queue_count && result == 0; i++)
		result = make_event(&remote->rings[i].kick_fd, count, error);
	return result;
}

/* Whether the driver has made requests available that are not used yet. */
static bool has_requests(const struct remote_device *remote)
{
	for (uint16_t i = 0; i < remote->queue_count; i++) {
		const struct remote_ring *ring = &remote->rings[i];
		const volatile uint16_t *available_index;

		if (!ring->running)
			continue;
		available_index = monitor_memory_at(
			remote->memory, ring->driver + offsetof(struct vring_avail, idx),
			sizeof(*available_index));
		/* Packed rings have a record, or were not offered: see learn. */
		if (!ring->used_index || !available_index || *available_index != *ring->used_index)
			return true;
	}
	return false;
}

/* Whether requests are lost to a process that must not get them a second time. */
static bool loses_requests(const struct remote_device *remote)
{
	return remote->shape->replay == DEVICE_REPLAY_NOTHING && remote->started &&
	       !remote->refused && remote->inflight_fd < 0 && has_requests(remote);
}

/*
 * Sends a new process everything. The eventfds are connected before it gets them, so that no kick
 * is lost, and signalled, so that both sides check the rings: earlier kicks may have been lost.
 */
static int set_up_again(struct remote_device *remote, struct vhost_client *client,
			struct error *error)
{
	int result;

	remote->memory_sent = remote->as_new = false;
	shared_memory_inherit(&remote->shared_memory);
	if (remote->lost_requests) {
		log_line(
			LOG_WARNING, COMPONENT,
			"%s: its process died with requests in flight, which are not repeated: the "
			"device needs a reset by its driver",
			remote->name);
		remote->lost_requests = false;
		remote->refused = true;
		remote->events->needs_reset(remote->context);
	}
	remote->rings_sent = remote->started && !remote->refused;
	remote->events->disconnect(remote->context);
	result = make_events(remote, 1, error);
	if (result == 0)
		remote->events->connect(remote->context);
	vhost_client_begin(client);
	if (result == 0 && remote->rings_sent)
		result = send_all(remote, client, false, error);
	result = finish(client, result, error);
	remote->memory_sent = result == 0 && remote->rings_sent;
	/* Do not retry: the next process would refuse it, too. */
	if (result == -EIO) {
		remote->refused = true;
		remote->events->needs_reset(remote->context);
	}
	return result;
}

/* One attempt. Returns whether the process is connected again. */
static bool connect_again(struct remote_device *remote, struct error *error)
{
	struct vhost_shmem_config regions;
	int fd = broker_connect(remote->peer.broker, remote->peer.device, 0, error);
	struct vhost_client *client = fd < 0 ? NULL : negotiate(remote, fd, &regions, error);
	bool back;

	if (!client)
		return false;
	pthread_mutex_lock(&remote->lock);
	back = replaces(remote, client, &regions, error) &&
	       set_up_again(remote, client, error) == 0;
	if (back) {
		remote->client = client;
		log_line(LOG_INFO, COMPONENT, "%s: attached again", remote->name);
		watch(remote);
		remote->config_length = 0;
		if (refresh_config(remote))
			remote->events->config_changed(remote->context);
		take_messages(remote);
	} else {
		/* It may have started rings before it died. */
		if (remote->rings_sent)
			remote->lost_requests |= loses_requests(remote);
		vhost_client_free(client);
	}
	pthread_mutex_unlock(&remote->lock);
	return back;
}

static void pause_before_retry(struct remote_device *remote)
{
	timer_set_ms(&remote->retry, (uint64_t)remote->pause_ms);
	remote->pause_ms = remote->pause_ms * 2 < RETRY_LAST_MS ? remote->pause_ms * 2 :
								  RETRY_LAST_MS;
}

static void retry(struct remote_device *remote)
{
	struct error error;

	if (connect_again(remote, &error))
		return;
	set_hang_up_fd(remote, -1);
	/* Log only when it takes longer than a restart. */
	if (remote->pause_ms >= RETRY_LAST_MS && !remote->failure_logged) {
		log_line(LOG_WARNING, COMPONENT, "%s: %s", remote->name, error.message);
		remote->failure_logged = true;
	}
	pause_before_retry(remote);
}

static void handle_retry(void *context)
{
	retry(context);
}

/* The connection has ended. */
static void handle_connection(void *context, uint32_t events)
{
	struct remote_device *remote = context;
	bool stayed = clock_now_ms() - remote->attached_ms >= RETRY_LAST_MS;

	pthread_mutex_lock(&remote->lock);
	/* Those that the driver adds from now on are the next process's. */
	remote->lost_requests |= loses_requests(remote);
	unwatch(remote);
	vhost_client_free(remote->client);
	remote->client = NULL;
	if (is_closing(remote)) {
		pthread_mutex_unlock(&remote->lock);
		return;
	}
	log_line(LOG_INFO, COMPONENT, "%s: the device process is gone; waiting for another",
		 remote->name);
	pthread_mutex_unlock(&remote->lock);
	set_hang_up_fd(remote, -1);
	if (!stayed) {
		pause_before_retry(remote);
		return;
	}
	remote->pause_ms = RETRY_FIRST_MS;
	remote->failure_logged = false;
	retry(remote);
}

static void handle_backend(void *context, uint32_t events)
{
	struct remote_device *remote = context;

	pthread_mutex_lock(&remote->lock);
	take_messages(remote);
	pthread_mutex_unlock(&remote->lock);
}

static int learn(struct remote_device *remote, struct error *error)
{
	uint64_t queues = vhost_client_queue_count(remote->client);

	remote->features = vhost_client_features(remote->client);
	if (!(remote->features & FEATURE(VIRTIO_F_VERSION_1)))
		return error_set(error, EPROTO,
				 "its device process does not serve a VIRTIO 1 "
				 "device");
	/* Only the record has the state of a packed ring after its process died. */
	if (!vhost_client_has(remote->client, VHOST_PROTOCOL_INFLIGHT_SHMFD))
		remote->features &= ~FEATURE(VIRTIO_F_RING_PACKED);
	if (queues == 0)
		queues = remote->shape->queues;
	remote->queue_count = queues < DEVICE_SHAPE_QUEUES_MAX ? (uint16_t)queues :
								 DEVICE_SHAPE_QUEUES_MAX;
	return read_config(remote, remote->client, error) < 0 ? -error->code : 0;
}

int remote_open(struct remote_device *remote, const char *name, const struct remote_peer *peer,
		const struct device_shape *shape, const struct monitor_memory *memory,
		bool one_call, struct event_loop *loop, const struct remote_events *events,
		void *context, struct error *error)
{
	struct vhost_shmem_config regions;
	cleanup_fd int fd = peer->fd;
	int result = 0;

	*remote = (struct remote_device){
		.name = name,
		.peer = *peer,
		.shape = shape,
		.memory = memory,
		.one_call = one_call,
		.loop = loop,
		.events = events,
		.context = context,
		.inflight_fd = -1,
		.connection = {-1, handle_connection, remote},
		.backend = {-1, handle_backend, remote},
		.pause_ms = RETRY_FIRST_MS,
		.hang_up_fd = -1,
	};
	pthread_mutex_init(&remote->lock, NULL);
	pthread_mutex_init(&remote->hang_up_lock, NULL);
	for (int i = 0; i < DEVICE_SHAPE_QUEUES_MAX; i++)
		remote->rings[i].kick_fd = -1;
	for (int i = 0; i < REMOTE_CALLS_MAX; i++)
		remote->calls[i] = -1;
	result = timer_open(&remote->retry, loop, CLOCK_MONOTONIC, handle_retry, remote, error);
	if (result == 0 && fd < 0) {
		fd = broker_connect(peer->broker, peer->device, CONNECT_WAIT_MS, error);
		result = fd < 0 ? fd : 0;
	}
	if (result == 0) {
		remote->client = negotiate(remote, take_fd(&fd), &regions, error);
		result = remote->client ? 0 : -error->code;
	}
	/* Before the next call, during which the process may map something already. */
	if (result == 0)
		result = shared_memory_open(&remote->shared_memory, name, &regions, loop, error);
	if (result == 0)
		result = learn(remote, error);
	if (result == 0)
		result = make_events(remote, 0, error);
	if (result < 0) {
		error_prefix(error, "%s", name);
		remote_close(remote);
		return result;
	}
	watch(remote);
	return 0;
}

void remote_close(struct remote_device *remote)
{
	unwatch(remote);
	timer_close(&remote->retry);
	vhost_client_free(remote->client);
	set_hang_up_fd(remote, -1);
	forget_inflight(remote);
	shared_memory_close(&remote->shared_memory);
	for (int i = 0; i < REMOTE_CALLS_MAX; i++)
		close_fd(&remote->calls[i]);
	for (int i = 0; i < DEVICE_SHAPE_QUEUES_MAX; i++)
		close_fd(&remote->rings[i].kick_fd);
	pthread_mutex_destroy(&remote->hang_up_lock);
	pthread_mutex_destroy(&remote->lock);
}
