// SPDX-License-Identifier: BSD-3-Clause
/*
 * The backend channel of a vhost-user server: notices and requests to the frontend, and its answers
 * to the requests (vhost-user specification, "Back-end communication" and "Back-end message
 * types").
 *
 * The device never waits for an answer: a frontend may handle the channel only after it got the
 * answer that it waits for on the connection itself. Answers come in the order of the requests. A
 * frontend that gives none gets no further requests, and loses nothing else.
 */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "vhost/server_private.h"
#include "virtio/feature.h"

/* Answers handled before other event sources get their turn. */
#define ANSWERS_PER_TURN 32

uint64_t vhost_server_protocol_features(const struct vhost_server *server)
{
	const struct virtio_device *device = server->device;
	uint64_t features = vhost_protocol_features;

	if (device->region_count == 0)
		features &= ~FEATURE(VHOST_PROTOCOL_SHMEM);
	if (!device->class->save)
		features &= ~FEATURE(VHOST_PROTOCOL_DEVICE_STATE);
	return features;
}

/*
 * Takes the requests off the list and tells the device: those that it adds meanwhile stay. While
 * the channel is @open the frontend will answer, and the answers are awaited without effect.
 */
static void cancel_requests(struct vhost_server *server, bool open)
{
	struct vhost_request cancelled[VHOST_REQUESTS_MAX];
	unsigned int count = server->request_count;

	memcpy(cancelled, server->requests, sizeof(cancelled));
	for (unsigned int i = 0; i < count; i++)
		server->requests[i].mapping = NULL;
	if (!open)
		server->request_count = 0;
	for (unsigned int i = 0; i < count; i++)
		if (cancelled[i].mapping)
			cancelled[i].mapping->done(server->device, cancelled[i].mapping,
						   -ECANCELED);
}

void vhost_server_cancel_requests(struct vhost_server *server)
{
	cancel_requests(server, true);
}

void vhost_server_close_backend(struct vhost_server *server)
{
	event_loop_remove(server->loop, &server->backend_source);
	server->backend_source.fd = -1;
	server->backend_lost = false;
	vhost_channel_close(&server->backend);
	cancel_requests(server, false);
}

/* Tells the device what became of its oldest request. */
static int take_answer(struct vhost_server *server, struct error *error)
{
	const struct vhost_message *answer = server->backend.message;
	struct vhost_request request = server->requests[0];
	int64_t number = (int64_t)answer->payload.number;
	int result;

	if (!(answer->header.flags & VHOST_FLAG_REPLY))
		return error_set(error, EPROTO, "message %u is not an answer",
				 answer->header.request);
	if (server->request_count == 0)
		return error_set(error, EPROTO, "message %u is an answer that nobody asked for",
				 answer->header.request);
	if (answer->header.request != request.id)
		return error_set(error, EPROTO, "message %u is the answer to message %u",
				 answer->header.request, request.id);
	if (answer->header.size != sizeof(uint64_t) || answer->fd_count > 0)
		return error_set(error, EPROTO, "the answer has %u bytes and %u descriptors",
				 answer->header.size, answer->fd_count);
	server->request_count--;
	memmove(&server->requests[0], &server->requests[1],
		server->request_count * sizeof(server->requests[0]));
	/* Some frontends answer with a negative errno, others with 1. */
	result = number < 0 && number > -4096 ? (int)number : -EIO;
	if (request.mapping)
		request.mapping->done(server->device, request.mapping, number == 0 ? 0 : result);
	return 0;
}

static void on_answer(void *context, uint32_t events)
{
	struct vhost_server *server = context;
	struct error error;
	int ret = 0;

	(void)events;
	for (int i = 0; i < ANSWERS_PER_TURN && ret >= 0; i++) {
		ret = vhost_channel_receive(&server->backend, &error);
		if (ret != VHOST_RECEIVE_MESSAGE)
			break;
		ret = take_answer(server, &error);
		vhost_channel_release(&server->backend);
	}
	if (ret < 0) {
		error_prefix(&error, "backend channel");
		vhost_server_mark_broken(server, &error);
	} else if (ret == VHOST_RECEIVE_END) {
		error_set(&error, ECONNRESET, "backend channel: it was closed");
		if (vhost_server_uses_iommu(server))
			vhost_server_mark_broken(server, &error);
		vhost_server_close_backend(server);
	}
	vhost_server_end_if_broken(server);
}

int vhost_server_open_backend(struct vhost_server *server, int fd, struct error *error)
{
	int ret;

	vhost_server_close_backend(server);
	ret = vhost_channel_open(&server->backend, fd, NULL, error);
	if (ret < 0)
		return ret;
	server->backend_source = (struct event_source){fd, on_answer, server};
	ret = event_loop_add(server->loop, &server->backend_source, EPOLLIN, error);
	if (ret < 0)
		vhost_server_close_backend(server);
	return ret;
}

/* Sends a message on the channel. False: there is none that can be used. */
static bool send_message(struct vhost_server *server, const struct vhost_message *message)
{
	struct error error;

	if (server->backend.fd < 0 || server->backend_lost)
		return false;
	if (vhost_channel_send(&server->backend, message, 0, &error) == 0)
		return true;
	/*
	 * The loop will find it closed, and cancel the requests: this may run within a call of the
	 * device, which does not expect answers now.
	 */
	server->backend_lost = true;
	shutdown(server->backend.fd, SHUT_RDWR);
	error_prefix(&error, "backend channel");
	/* An IOMMU cannot work without the channel; a configuration change may be lost. */
	if (vhost_server_uses_iommu(server))
		vhost_server_mark_broken(server, &error);
	else
		vhost_server_warn(server, "%s", error.message);
	return false;
}

void vhost_server_tell_frontend(struct vhost_server *server, uint32_t id,
				const struct vhost_iotlb_msg *iotlb)
{
	struct vhost_message message = {.header = {.request = id, .flags = VHOST_FLAG_VERSION}};

	if (iotlb) {
		message.payload.iotlb = *iotlb;
		message.header.size = sizeof(*iotlb);
	}
	send_message(server, &message);
}

static int request(struct vhost_server *server, uint32_t id, struct virtio_mapping *mapping)
{
	const struct vhost_message_row *row = vhost_find_backend_message(id);
	struct vhost_message message = {
		.header = {id, VHOST_FLAG_VERSION | VHOST_FLAG_NEED_REPLY,
			   sizeof(struct vhost_shmem_map)},
		.payload.map =
			{
				.id = mapping->region,
				.fd_offset = mapping->fd_offset,
				.shm_offset = mapping->offset,
				.length = mapping->length,
				.flags = mapping->writable ? VHOST_SHMEM_WRITABLE : 0,
			},
		.fds = {mapping->fd},
		.fd_count = row->fds_max,
	};

	if (!vhost_server_has(server, row->feature) ||
	    !vhost_server_has(server, VHOST_PROTOCOL_BACKEND_SEND_FD) ||
	    !vhost_server_has(server, VHOST_PROTOCOL_REPLY_ACK))
		return -EOPNOTSUPP;
	if (server->request_count == VHOST_REQUESTS_MAX)
		return -EBUSY;
	if (!send_message(server, &message))
		return -EOPNOTSUPP;
	server->requests[server->request_count++] = (struct vhost_request){id, mapping};
	return 0;
}

int vhost_server_map(struct virtio_device *device, struct virtio_mapping *mapping)
{
	return request(device->transport_context, VHOST_USER_BACKEND_SHMEM_MAP, mapping);
}

int vhost_server_unmap(struct virtio_device *device, struct virtio_mapping *mapping)
{
	return request(device->transport_context, VHOST_USER_BACKEND_SHMEM_UNMAP, mapping);
}
