// SPDX-License-Identifier: BSD-3-Clause
/*
 * The serving side of vhost-user: connections, dispatch of messages, and the transport of the
 * device. For what each message does see server_messages.c, for the backend channel
 * server_backend.c.
 */
#include "vhost/server.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "vhost/server_private.h"
#include "virtio/device_state.h"
#include "virtio/feature.h"

/* Messages handled before other event sources get their turn. */
#define MESSAGES_PER_TURN 32

/*
 * Lines at once, and the time that earns another: longer than the second after which QEMU
 * reconnects, or each refusal of it would be logged for ever.
 */
#define LOG_BURST	10
#define LOG_INTERVAL_MS 30000

static void end_connection(struct vhost_server *server);

void vhost_server_warn(struct vhost_server *server, const char *format, ...)
{
	struct log_limit *limit = &server->log_limit;
	char text[640];
	va_list arguments;

	if (!log_limit_take(limit, clock_now_ms()))
		return;
	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	if (limit->suppressed > 0)
		log_warning("%s (%u such lines dropped before)", text, limit->suppressed);
	else
		log_warning("%s", text);
	limit->suppressed = 0;
}

void vhost_server_mark_broken(struct vhost_server *server, const struct error *error)
{
	if (!server->broken)
		server->fault = *error;
	server->broken = true;
}

static bool connected(const struct vhost_server *server)
{
	return server->channel.fd >= 0;
}

bool vhost_server_end_if_broken(struct vhost_server *server)
{
	if (!connected(server))
		return false;
	if (server->memory.lost) {
		struct error error;

		error_set(&error, EPROTO, "the frontend truncated a file of memory that it shares");
		vhost_server_mark_broken(server, &error);
	}
	if (server->memory.guest.log_exceeded) {
		struct error error;

		error_set(&error, EPROTO, "the frontend's log has no place for a page of memory");
		vhost_server_mark_broken(server, &error);
	}
	if (!server->broken)
		return false;
	end_connection(server);
	return true;
}

/* The operations of the device's transport. */

static void config_changed(struct virtio_device *device)
{
	struct vhost_server *server = device->transport_context;

	if (vhost_server_has(server, VHOST_PROTOCOL_CONFIG))
		vhost_server_tell_frontend(server, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, NULL);
}

static void keep_state(struct virtio_device *device)
{
	struct vhost_server *server = device->transport_context;
	uint8_t bytes[DEVICE_STATE_MAX];
	int length;

	if (!server->inflight.state_offset)
		return;
	length = virtio_device_save(device, bytes);
	vhost_inflight_keep_state(&server->inflight, bytes, length > 0 ? (size_t)length : 0);
}

static const struct virtio_transport_ops transport_ops = {
	.config_changed = config_changed,
	.keep_state = keep_state,
	.map = vhost_server_map,
	.unmap = vhost_server_unmap,
};

static void report_fault(struct virtio_device *device, const struct virtqueue *queue,
			 const char *reason)
{
	struct vhost_server *server = device->transport_context;

	if (queue)
		vhost_server_warn(server, "queue %u: %s; the device needs a reset", queue->index,
				  reason);
	else
		vhost_server_warn(server, "%s; the device needs a reset", reason);
	for (uint16_t i = 0; i < device->queue_count; i++)
		if (!queue || queue->index == i)
			vhost_event_signal(&server->rings[i].err);
}

/* Messages */

static int send_reply(struct vhost_server *server, struct vhost_message *reply, struct error *error)
{
	int ret = vhost_channel_send(&server->channel, reply, 0, error);

	for (unsigned int i = 0; i < reply->fd_count; i++)
		close_fd(&reply->fds[i]);
	return ret;
}

static int acknowledge(struct vhost_server *server, uint32_t request, bool good,
		       struct error *error)
{
	struct vhost_message reply = {
		.header = {request, VHOST_FLAG_VERSION | VHOST_FLAG_REPLY, sizeof(uint64_t)},
		.payload.number = good ? 0 : 1,
	};

	return send_reply(server, &reply, error);
}

/* Handles the message in the channel; a negative errno with *error set ends the connection. */
static int handle_message(struct vhost_server *server, struct error *error)
{
	struct vhost_message *request = server->channel.message;
	uint32_t id = request->header.request;
	const struct vhost_message_row *row = vhost_find_frontend_message(id);
	bool acknowledged = request->header.flags & VHOST_FLAG_NEED_REPLY &&
			    vhost_server_has(server, VHOST_PROTOCOL_REPLY_ACK);
	struct vhost_message reply = {
		.header = {id, VHOST_FLAG_VERSION | VHOST_FLAG_REPLY, 0},
	};
	struct error ignored;
	uint32_t smallest;
	int ret;

	if (!row || !vhost_server_has(server, row->feature)) {
		if (acknowledged)
			return acknowledge(server, id, false, error);
		return error_set(error, EPROTO, "message %u (%s) is %s", id, vhost_message_name(id),
				 row ? "of a feature that was not negotiated" : "not supported");
	}
	/* The first number says most: a value, or a ring and its setting. */
	log_debug("%s 0x%llx", row->name, (unsigned long long)request->payload.number);
	vhost_payload_bounds(row->reply, &smallest, &reply.header.size);
	ret = vhost_server_find_handler(id)(server, request, &reply, error);
	if (ret < 0) {
		error_prefix(error, "%s", row->name);
		if (acknowledged && row->reply == VHOST_PAYLOAD_NOTHING)
			acknowledge(server, id, false, &ignored);
		return ret;
	}
	if (ret == VHOST_REFUSED)
		log_debug("%s refused: %s", row->name, error->message);
	if (row->reply != VHOST_PAYLOAD_NOTHING)
		return send_reply(server, &reply, error);
	return acknowledged ? acknowledge(server, id, ret == 0, error) : 0;
}

static void on_readable(void *context, uint32_t events)
{
	struct vhost_server *server = context;
	struct error error;
	int ret = 0;

	(void)events;
	for (int i = 0; i < MESSAGES_PER_TURN && !server->broken; i++) {
		ret = vhost_channel_receive(&server->channel, &error);
		if (ret != VHOST_RECEIVE_MESSAGE)
			break;
		ret = handle_message(server, &error);
		vhost_channel_release(&server->channel);
		if (ret < 0)
			break;
	}
	if (ret < 0)
		vhost_server_mark_broken(server, &error);
	if (ret == VHOST_RECEIVE_END)
		end_connection(server);
	else
		vhost_server_end_if_broken(server);
}

/* Connections */

static void watch_listener(struct vhost_server *server, bool watch)
{
	struct error error;

	if (server->listener.fd < 0 || server->listening == watch)
		return;
	if (!watch) {
		event_loop_remove(server->loop, &server->listener);
	} else if (event_loop_add(server->loop, &server->listener, EPOLLIN, &error) < 0) {
		log_error("%s", error.message);
		event_loop_stop(server->loop, 1);
		return;
	}
	server->listening = watch;
}

static void end_connection(struct vhost_server *server)
{
	struct virtio_device *device = server->device;
	bool broken = server->broken;
	struct error ignored;

	if (broken)
		vhost_server_warn(server, "connection ended: %s", server->fault.message);
	else
		log_debug("the frontend hung up");
	event_loop_remove(server->loop, &server->channel_source);
	vhost_channel_close(&server->channel);
	vhost_server_close_backend(server);
	state_transfer_abort(&server->transfer, "the connection ended");
	state_transfer_end(&server->transfer, &ignored);
	for (uint16_t i = 0; i < device->queue_count; i++)
		vhost_ring_close(&server->rings[i]);
	virtio_device_reset(device);
	vhost_inflight_close(&server->inflight);
	server->log_all = false;
	server->memory.guest.log = NULL;
	server->memory.guest.log_exceeded = false;
	vhost_mapping_close(&server->log);
	vhost_event_close(&server->log_event);
	server->memory.guest.ops = NULL;
	vhost_iotlb_close(&server->iotlb);
	vhost_memory_clear(&server->memory);
	server->protocol_features = 0;
	server->features_set = server->transfer.loaded = false;
	server->protocol_bit = false;
	server->broken = false;
	if (server->once)
		event_loop_stop(server->loop, broken ? 1 : 0);
	watch_listener(server, true);
}

static int start_connection(struct vhost_server *server, int fd, struct error *error)
{
	int ret = vhost_channel_open(&server->channel, fd, vhost_find_frontend_message, error);

	if (ret < 0)
		return ret;
	server->channel_source.fd = fd;
	ret = event_loop_add(server->loop, &server->channel_source, EPOLLIN, error);
	if (ret < 0)
		vhost_channel_close(&server->channel);
	return ret;
}

static void on_connection(void *context, uint32_t events)
{
	struct vhost_server *server = context;
	struct error error;
	int fd = accept4(server->listener.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)events;
	if (fd < 0) {
		if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED)
			return;
		/*
		 * Out of descriptors or memory: accept would fail again and again, without a pause.
		 */
		log_error("cannot accept a connection: %s", strerror(errno));
		event_loop_stop(server->loop, 1);
		return;
	}
	log_debug("a frontend connected");
	if (start_connection(server, fd, &error) < 0) {
		vhost_server_warn(server, "%s", error.message);
		return;
	}
	/* Others wait in the backlog until this connection ends. */
	watch_listener(server, false);
}

static int check_socket(struct vhost_server *server, int fd, bool listening, struct error *error)
{
	int type = 0, accepting = 0;
	socklen_t length = sizeof(int);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) < 0 || type != SOCK_STREAM)
		return error_set_usage(error, "descriptor %d is not a stream socket", fd);
	length = sizeof(int);
	if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &accepting, &length) < 0)
		return error_set_errno(error, errno, "cannot examine descriptor %d", fd);
	if (!accepting == listening)
		return error_set_usage(error, "descriptor %d is %s listening socket", fd,
				       listening ? "no" : "a");
	server->name_length = sizeof(server->name);
	if (getsockname(fd, (struct sockaddr *)&server->name, &server->name_length) < 0 ||
	    server->name_length > sizeof(server->name))
		server->name_length = 0;
	return 0;
}

int vhost_server_listen(struct vhost_server *server, int fd, struct error *error)
{
	cleanup_fd int owned = fd;
	int ret = check_socket(server, fd, true, error);

	if (ret < 0)
		return ret;
	/* Do not block if the client is gone again before accept. */
	if (fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK) < 0)
		return error_set_errno(error, errno, "cannot set up descriptor %d", fd);
	server->listener.fd = fd;
	ret = event_loop_add(server->loop, &server->listener, EPOLLIN, error);
	if (ret < 0) {
		server->listener.fd = -1;
		return ret;
	}
	server->listening = true;
	take_fd(&owned);
	return 0;
}

int vhost_server_serve(struct vhost_server *server, int fd, struct error *error)
{
	int ret = check_socket(server, fd, false, error);

	if (ret < 0) {
		close(fd);
		return ret;
	}
	server->once = true;
	return start_connection(server, fd, error);
}

/* Polling of rings in shared memory */

static bool poll_rings(void *context)
{
	struct vhost_server *server = context;
	bool worked = false;

	if (vhost_server_end_if_broken(server))
		return true;
	for (uint16_t i = 0; i < server->device->queue_count; i++)
		worked |= vhost_ring_poll(&server->rings[i]);
	if (server->memory.guest.log_written) {
		server->memory.guest.log_written = false;
		vhost_event_signal(&server->log_event);
	}
	return worked;
}

static bool prepare_rings(void *context, int *timeout_ms)
{
	struct vhost_server *server = context;
	bool work = false;

	for (uint16_t i = 0; i < server->device->queue_count; i++)
		work |= vhost_ring_prepare(&server->rings[i], timeout_ms);
	return work || server->broken || server->memory.lost || server->memory.guest.log_exceeded ||
	       server->memory.guest.log_written;
}

struct vhost_server *vhost_server_new(struct event_loop *loop, struct virtio_device *device,
				      struct error *error)
{
	struct vhost_server *server;

	/* SET_VRING_KICK, _CALL and _ERR have eight bits for the ring. */
	if (device->queue_count > VHOST_RING_INDEX_MASK + 1) {
		error_set_usage(error,
				"%u queues are more than the 256 that vhost-user can address",
				device->queue_count);
		return NULL;
	}
	server = calloc(1, sizeof(*server));
	if (server)
		server->rings = calloc(device->queue_count, sizeof(*server->rings));
	if (!server || !server->rings) {
		free(server);
		error_set(error, ENOMEM, "out of memory");
		return NULL;
	}
	server->loop = loop;
	server->device = device;
	server->channel.fd = -1;
	server->backend.fd = server->backend_source.fd = -1;
	server->channel_source = (struct event_source){-1, on_readable, server};
	server->listener = (struct event_source){-1, on_connection, server};
	server->poller = (struct event_poller){.poll = poll_rings,
					       .prepare = prepare_rings,
					       .context = server};
	server->log_event = VHOST_EVENT_NONE;
	state_transfer_init(&server->transfer, loop, device);
	server->log_limit = (struct log_limit){
		.burst = LOG_BURST,
		.interval_ms = LOG_INTERVAL_MS,
	};
	vhost_memory_init(&server->memory);
	server->memory.iotlb = &server->iotlb;

	/* Addresses can be translated here, so the device can be behind an IOMMU. */
	device->offered |= FEATURE(VIRTIO_F_ACCESS_PLATFORM);
	/*
	 * No message resets a single queue. QEMU passes the offer to the guest, but forwards no
	 * such reset: the device would continue to use the ring that the guest freed.
	 */
	device->offered &= ~FEATURE(VIRTIO_F_RING_RESET);
	device->memory = &server->memory.guest;
	device->transport = &transport_ops;
	device->transport_context = server;
	device->report_fault = report_fault;
	for (uint16_t i = 0; i < device->queue_count; i++)
		vhost_ring_init(&server->rings[i], server, &device->queues[i]);
	event_loop_add_poller(loop, &server->poller);
	return server;
}

void vhost_server_free(struct vhost_server *server)
{
	if (!server)
		return;
	server->once = false;
	if (server->listener.fd >= 0) {
		watch_listener(server, false);
		close_fd(&server->listener.fd);
	}
	if (connected(server))
		end_connection(server);
	event_loop_remove_poller(server->loop, &server->poller);
	free(server->rings);
	free(server);
}
