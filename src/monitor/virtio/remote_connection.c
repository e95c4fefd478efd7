// SPDX-License-Identifier: BSD-3-Clause
/*
 * The connection to the process of a device: made, lost, and made again with the next process
 * (vhost-user specification, "Communication").
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "monitor/virtio/remote_device_private.h"
#include "virtio/feature.h"

#define CONNECT_WAIT_MS 10000
/*
 * Delays between attempts to reconnect, doubled from the first to the last. After a process that
 * stayed connected for at least the last delay, they start with the first again.
 */
#define RETRY_FIRST_MS 20
#define RETRY_LAST_MS  1000

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
	result = vhost_client_negotiate(client, &remote_client_ops, remote, error);
	*regions = (struct vhost_shmem_config){.count = 0};
	if (result == 0 && vhost_client_has(client, VHOST_PROTOCOL_SHMEM))
		result = vhost_client_get_shmem_config(client, regions, error);
	if (remote_finish(client, result, error) < 0) {
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
	return remote->shape->replay == DEVICE_REPLAY_NOTHING && remote->rings_sent &&
	       !remote->refused && remote->inflight_fd < 0 && has_requests(remote);
}

/*
 * This process cannot go on where the last one stopped: the device is given up until its driver
 * resets it. A driver that has not started it yet learns that when it has.
 */
static void give_up_device(struct remote_device *remote)
{
	remote->refused = true;
	/* Also what the process that refuses has mapped itself. */
	shared_memory_inherit(&remote->shared_memory);
	shared_memory_disinherit(&remote->shared_memory);
	if (remote->started)
		remote->events->needs_reset(remote->context);
}

/*
 * Sends a new process everything. The eventfds are connected before it gets them, so that no kick
 * is lost, and signalled, so that both sides check the rings: earlier kicks may have been lost.
 */
static int set_up_again(struct remote_device *remote, struct vhost_client *client,
			struct error *error)
{
	int result;

	remote->memory_sent = remote->as_new = remote->state_taken = false;
	shared_memory_inherit(&remote->shared_memory);
	if (remote->lost_requests) {
		log_line(
			LOG_WARNING, REMOTE_COMPONENT,
			"%s: its process died with requests in flight, which are not repeated: the "
			"device needs a reset by its driver",
			remote->name);
		remote->lost_requests = false;
		give_up_device(remote);
	}
	remote->rings_sent = remote->started && !remote->refused;
	remote->events->disconnect(remote->context);
	result = make_events(remote, 1, error);
	if (result == 0)
		remote->events->connect(remote->context);
	vhost_client_begin(client);
	if (result == 0 && remote->rings_sent)
		result = remote_send_all(remote, client, false, error);
	result = remote_finish(client, result, error);
	remote->memory_sent = result == 0 && remote->rings_sent;
	/* Do not retry: the next process would refuse it, too. */
	if (result == -EIO)
		give_up_device(remote);
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
	back = replaces(remote, client, &regions, error);
	/* A later process may be right, but the driver cannot wait for it. */
	if (!back)
		give_up_device(remote);
	back = back && set_up_again(remote, client, error) == 0;
	if (back) {
		remote->client = client;
		log_line(LOG_INFO, REMOTE_COMPONENT, "%s: attached again", remote->name);
		watch(remote);
		remote->config_length = 0;
		if (remote_reread_config(remote))
			remote->events->config_changed(remote->context);
		remote_take_messages(remote);
		remote->attachments++;
		remote->events->reported(remote->context, REMOTE_ATTACHED,
					 remote->state_lost[0] ? remote->state_lost : NULL);
		remote->state_lost[0] = 0;
	} else {
		/* It may have started rings before it died. */
		remote->lost_requests |= loses_requests(remote);
		if (remote->state_taken)
			remote_lose_state(remote, "the process that had taken it did not go on");
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
		log_line(LOG_WARNING, REMOTE_COMPONENT, "%s: %s", remote->name, error.message);
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
	bool stayed;

	pthread_mutex_lock(&remote->lock);
	/* One that was released ended because it was asked to. */
	stayed = remote->former || clock_now_ms() - remote->attached_ms >= RETRY_LAST_MS;
	/* Those that the driver adds from now on are the next process's. */
	remote->lost_requests |= loses_requests(remote);
	unwatch(remote);
	if (remote->client)
		remote->events->reported(remote->context, REMOTE_DETACHED, NULL);
	vhost_client_free(take_pointer(remote->former));
	vhost_client_free(take_pointer(remote->client));
	if (is_closing(remote)) {
		pthread_mutex_unlock(&remote->lock);
		return;
	}
	log_line(LOG_INFO, REMOTE_COMPONENT, "%s: the device process is gone; waiting for another",
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
	remote_take_messages(remote);
	pthread_mutex_unlock(&remote->lock);
}

static void handle_release(void *context, uint32_t events)
{
	struct remote_device *remote = context;
	eventfd_t count;

	if (eventfd_read(remote->release.fd, &count) < 0)
		return;
	pthread_mutex_lock(&remote->lock);
	remote_let_go(remote);
	pthread_mutex_unlock(&remote->lock);
}

void remote_release(struct remote_device *remote, uint64_t attachments)
{
	remote->release_of = attachments;
	eventfd_write(remote->release.fd, 1);
}

static int open_release(struct remote_device *remote, struct error *error)
{
	int result = make_event(&remote->release.fd, 0, error);

	return result < 0 ? result : event_loop_add(remote->loop, &remote->release, EPOLLIN, error);
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
	return remote_read_config(remote, remote->client, error) < 0 ? -error->code : 0;
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
		.release = {-1, handle_release, remote},
		.as_new = true,
		.pause_ms = RETRY_FIRST_MS,
		.hang_up_fd = -1,
	};
	pthread_mutex_init(&remote->lock, NULL);
	pthread_mutex_init(&remote->hang_up_lock, NULL);
	for (int i = 0; i < DEVICE_SHAPE_QUEUES_MAX; i++)
		remote->rings[i] = (struct remote_ring){
			.kick_fd = -1,
			.position = (uint16_t)VHOST_PACKED_BASE,
		};
	for (int i = 0; i < REMOTE_CALLS_MAX; i++)
		remote->calls[i] = -1;
	result = timer_open(&remote->retry, loop, CLOCK_MONOTONIC, handle_retry, remote, error);
	if (result == 0)
		result = open_release(remote, error);
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
	event_loop_remove(remote->loop, &remote->release);
	close_fd(&remote->release.fd);
	vhost_client_free(remote->former);
	vhost_client_free(remote->client);
	remote_forget_state(remote);
	set_hang_up_fd(remote, -1);
	remote_forget_inflight(remote);
	shared_memory_close(&remote->shared_memory);
	for (int i = 0; i < REMOTE_CALLS_MAX; i++)
		close_fd(&remote->calls[i]);
	for (int i = 0; i < DEVICE_SHAPE_QUEUES_MAX; i++)
		close_fd(&remote->rings[i].kick_fd);
	pthread_mutex_destroy(&remote->hang_up_lock);
	pthread_mutex_destroy(&remote->lock);
}
