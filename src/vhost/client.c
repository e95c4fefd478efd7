// SPDX-License-Identifier: BSD-3-Clause
/*
 * The using side of vhost-user: connection, negotiation, messages with their answers, and the
 * backend channel (vhost-user specification, "Communication").
 */
#include "vhost/client.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "vhost/client_private.h"
#include "virtio/feature.h"

#define PROTOCOL_BIT	    FEATURE(VHOST_USER_F_PROTOCOL_FEATURES)

#define CONNECT_INTERVAL_MS 5

/* Messages on the backend channel and misses handled before other event sources get their turn. */
#define MESSAGES_PER_CALL 64
#define MISSES_PER_CALL	  256

int vhost_client_connect(const char *path, int wait_ms, struct error *error)
{
	const struct timespec pause = {.tv_nsec = CONNECT_INTERVAL_MS * 1000000};
	int64_t deadline = clock_now_ms() + wait_ms;
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	cleanup_fd int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return error_set_errno(error, errno, "cannot make a socket");
	/* A name that begins with a zero byte is in the abstract namespace. */
	if (!*path)
		return error_set_usage(error, "the path of the socket is empty; give one");
	if (strlen(path) >= sizeof(address.sun_path))
		return error_set_usage(error,
				       "%s: is longer than the %zu bytes that a socket may have; "
				       "choose a shorter path",
				       path, sizeof(address.sun_path) - 1);
	strcpy(address.sun_path, path);
	while (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
		int code = errno;

		if ((code != ENOENT && code != ECONNREFUSED && code != EAGAIN && code != EINTR) ||
		    clock_now_ms() >= deadline)
			return error_set_errno(error, code, "cannot connect to %s", path);
		nanosleep(&pause, NULL);
	}
	return take_fd(&fd);
}

struct vhost_client *vhost_client_new(int fd, int timeout_ms, struct error *error)
{
	struct vhost_client *client = calloc(1, sizeof(*client));

	if (!client) {
		close(fd);
		error_set(error, ENOMEM, "out of memory");
		return NULL;
	}
	if (vhost_channel_open(&client->channel, fd, NULL, error) < 0) {
		free(client);
		return NULL;
	}
	client->timeout_ms = timeout_ms;
	client->backend.fd = -1;
	return client;
}

void vhost_client_begin(struct vhost_client *client)
{
	client->in_operation = true;
	client->deadline_ms = clock_now_ms() + client->timeout_ms;
}

int64_t vhost_client_deadline(const struct vhost_client *client)
{
	return client->in_operation ? client->deadline_ms : clock_now_ms() + client->timeout_ms;
}

void vhost_client_free(struct vhost_client *client)
{
	if (!client)
		return;
	vhost_channel_close(&client->channel);
	vhost_channel_close(&client->backend);
	free(client);
}

int vhost_client_fd(const struct vhost_client *client)
{
	return client->channel.fd;
}

int vhost_client_backend_fd(const struct vhost_client *client)
{
	return client->backend.fd;
}

uint64_t vhost_client_features(const struct vhost_client *client)
{
	return client->features & ~(PROTOCOL_BIT | FEATURE(VHOST_F_LOG_ALL));
}

bool vhost_client_has(const struct vhost_client *client, enum vhost_protocol_feature feature)
{
	return feature == VHOST_PROTOCOL_ALWAYS || client->protocol_features & FEATURE(feature);
}

uint64_t vhost_client_queue_count(const struct vhost_client *client)
{
	return client->queue_count;
}

/* The backend channel */

static int answer_backend(struct vhost_client *client, int result, struct error *error)
{
	const struct vhost_header *header = &client->backend.message->header;
	struct vhost_message reply = {
		.header = {header->request, VHOST_FLAG_VERSION | VHOST_FLAG_REPLY,
			   sizeof(uint64_t)},
		.payload.number = (uint64_t)(int64_t)result,
	};

	if (!(header->flags & VHOST_FLAG_NEED_REPLY))
		return 0;
	return vhost_channel_send(&client->backend, &reply, 0, error);
}

/* Whether nothing wraps and the flags are known: see struct vhost_client_ops. */
static bool is_sound(const struct vhost_shmem_map *map)
{
	uint64_t end;

	return map->length > 0 && !(map->flags & ~VHOST_SHMEM_WRITABLE) &&
	       !__builtin_add_overflow(map->fd_offset, map->length, &end) &&
	       !__builtin_add_overflow(map->shm_offset, map->length, &end);
}

/* Carries out a request or records a notice. Returns the answer: 0 or a negative errno. */
static int handle_backend_message(struct vhost_client *client)
{
	const struct vhost_message *message = client->backend.message;
	const struct vhost_iotlb_msg *iotlb = &message->payload.iotlb;
	const struct vhost_shmem_map *map = &message->payload.map;

	switch (message->header.request) {
	case VHOST_USER_BACKEND_CONFIG_CHANGE_MSG:
		client->config_changed = true;
		return 0;
	case VHOST_USER_BACKEND_IOTLB_MSG:
		if (iotlb->type != VHOST_IOTLB_MISS)
			return 0;
		client->misses[client->miss_count].iova = iotlb->iova;
		client->misses[client->miss_count].access = iotlb->perm;
		client->miss_count++;
		return 0;
	case VHOST_USER_BACKEND_SHMEM_MAP:
		return is_sound(map) ?
			       client->ops->shmem_map(client->context, map, message->fds[0]) :
			       -EINVAL;
	default: /* VHOST_USER_BACKEND_SHMEM_UNMAP */
		return is_sound(map) ? client->ops->shmem_unmap(client->context, map) : -EINVAL;
	}
}

/*
 * Receives messages from the backend channel, in the middle of a call, too. Returns 1 when there
 * may be more: the number is bounded, so that a flood of messages cannot outlast the caller's
 * deadline, and there is room for a number of misses only.
 */
static int take_backend_messages(struct vhost_client *client, struct error *error)
{
	struct vhost_channel *backend = &client->backend;

	for (int i = 0; i < MESSAGES_PER_CALL; i++) {
		const struct vhost_message_row *row;
		int ret;

		if (backend->fd < 0 || client->negotiating)
			return 0;
		if (client->miss_count == VHOST_CLIENT_MISSES)
			return 1;
		ret = vhost_channel_receive(backend, error);
		if (ret == VHOST_RECEIVE_NOTHING)
			return 0;
		if (ret == VHOST_RECEIVE_END) {
			/* The other side may close the channel. */
			vhost_channel_close(backend);
			return 0;
		}
		if (ret < 0)
			return ret;
		row = vhost_find_backend_message(backend->message->header.request);
		if (!row || !vhost_client_has(client, row->feature))
			return error_set(error, EPROTO, "message %u on the backend channel",
					 backend->message->header.request);
		ret = answer_backend(client, handle_backend_message(client), error);
		vhost_channel_release(backend);
		if (ret < 0)
			return ret;
	}
	return 1;
}

static int fail(struct vhost_client *client, int ret)
{
	client->broken = true;
	return ret;
}

int vhost_client_handle_backend(struct vhost_client *client, struct error *error)
{
	int ret = client->broken ? 0 : take_backend_messages(client, error);
	bool more = ret > 0;

	if (ret < 0) {
		error_prefix(error, "backend channel");
		return fail(client, ret);
	}
	if (client->config_changed) {
		client->config_changed = false;
		if (client->ops && client->ops->config_changed)
			client->ops->config_changed(client->context);
	}
	/*
	 * An answer often triggers the next request; continue later with a peer that never stops.
	 */
	for (int i = 0; i < MISSES_PER_CALL && client->miss_count > 0; i++) {
		uint64_t iova = client->misses[0].iova;
		uint8_t access = client->misses[0].access;

		client->miss_count--;
		memmove(&client->misses[0], &client->misses[1],
			client->miss_count * sizeof(client->misses[0]));
		if (client->ops && client->ops->iotlb_miss)
			client->ops->iotlb_miss(client->context, iova, access);
	}
	return more || client->miss_count > 0 || client->config_changed;
}

/* Calls */

/* Whether messages on the backend channel can be received now. */
static bool takes_backend_messages(const struct vhost_client *client)
{
	return !client->negotiating && client->miss_count < VHOST_CLIENT_MISSES;
}

/*
 * Handles what is in the backend channel: all of it, or what the first of the deadline and the room
 * for misses allows. Returns 1 when there may be more.
 */
static int drain_backend(struct vhost_client *client, int64_t deadline, struct error *error)
{
	int ret;

	do
		ret = take_backend_messages(client, error);
	while (ret > 0 && takes_backend_messages(client) && clock_now_ms() < deadline);
	if (ret < 0)
		error_prefix(error, "backend channel");
	return ret;
}

/*
 * Waits until a message is complete in the channel, and meanwhile handles the backend channel: the
 * other side may not answer before its own message there has been handled. What it sent there
 * before its answer is handled before the answer counts: after a reset, for example, nothing may
 * come that it requested before. Behind more misses than there is room for, it may.
 */
static int wait_for_message(struct vhost_client *client, int64_t deadline, struct error *error)
{
	for (;;) {
		struct pollfd wanted[2] = {
			{.fd = client->channel.fd, .events = POLLIN},
			{.fd = client->backend.fd, .events = POLLIN},
		};
		int64_t left = deadline - clock_now_ms();
		int found = vhost_channel_receive(&client->channel, error), ret;

		if (found < 0)
			return found;
		ret = drain_backend(client, deadline, error);
		if (ret < 0)
			return ret;
		if (ret > 0 && takes_backend_messages(client))
			return error_set(error, ETIMEDOUT,
					 "the device process does not stop sending on the backend "
					 "channel");
		if (found == VHOST_RECEIVE_MESSAGE)
			return 0;
		if (found == VHOST_RECEIVE_END)
			return error_set(error, ECONNRESET, "the device process hung up");
		if (left <= 0)
			return error_set(error, ETIMEDOUT, "the device process does not answer");
		if (poll(wanted, takes_backend_messages(client) ? 2 : 1, (int)left) < 0 &&
		    errno != EINTR)
			return error_set_errno(error, errno, "cannot wait for an answer");
	}
}

/*
 * Whether an answer without payload is one: GET_CONFIG was refused, or the log is accepted, as DPDK
 * says it.
 */
static bool may_be_empty(uint32_t id)
{
	return id == VHOST_USER_GET_CONFIG || id == VHOST_USER_SET_LOG_BASE;
}

/*
 * Receives an answer with that id and payload, and at least and at most so many descriptors; any
 * other breaks the connection.
 */
static int take_answer(struct vhost_client *client, uint32_t id, enum vhost_shape shape,
		       unsigned int fds_min, unsigned int fds_max, int64_t deadline,
		       struct error *error)
{
	const struct vhost_message *answer = client->channel.message;
	int ret = wait_for_message(client, deadline, error);

	if (ret < 0)
		return ret;
	if (answer->header.request != id || !(answer->header.flags & VHOST_FLAG_REPLY))
		return error_set(error, EPROTO, "the device process sent message %u as an answer",
				 answer->header.request);
	if (!vhost_payload_fits(shape, answer->header.size) &&
	    !(answer->header.size == 0 && may_be_empty(id)))
		return error_set(error, EPROTO, "the answer has %u bytes", answer->header.size);
	if (answer->fd_count < fds_min || answer->fd_count > fds_max)
		return error_set(error, EPROTO, "the answer came with %u descriptors",
				 answer->fd_count);
	return 0;
}

/* Receives the pending answers, until @deadline, and records the first refusal. */
static int take_pending(struct vhost_client *client, int64_t deadline, struct error *error)
{
	const struct vhost_message *answer = client->channel.message;

	for (size_t i = 0; i < client->pending_count; i++) {
		const struct vhost_pending *pending = &client->pending[i];
		bool acknowledged = pending->row->reply == VHOST_PAYLOAD_NOTHING;
		int ret = take_answer(client, pending->row->id,
				      acknowledged ? VHOST_PAYLOAD_NUMBER : pending->row->reply, 0,
				      0, deadline, error);

		if (ret == 0 && acknowledged && answer->payload.number != 0 &&
		    !client->refusal.code)
			error_set(&client->refusal, EIO, "%s: refused", pending->row->name);
		if (ret == 0 && pending->row->id == VHOST_USER_GET_VRING_BASE &&
		    answer->payload.state.index != pending->ring)
			ret = error_set(error, EPROTO, "asked for ring %u, got %u", pending->ring,
					answer->payload.state.index);
		vhost_channel_release(&client->channel);
		if (ret < 0) {
			error_prefix(error, "%s", pending->row->name);
			return ret;
		}
	}
	client->pending_count = 0;
	return 0;
}

static int send_message(struct vhost_client *client, const struct vhost_message_row *row,
			struct vhost_message *message, int64_t deadline, struct error *error)
{
	bool acknowledged = row->reply == VHOST_PAYLOAD_NOTHING &&
			    vhost_client_has(client, VHOST_PROTOCOL_REPLY_ACK);
	int ret = client->pending_count == VHOST_CLIENT_PENDING ?
			  take_pending(client, deadline, error) :
			  0;
	int64_t left = deadline - clock_now_ms();
	struct error ignored;

	/*
	 * vhost_client_finish or _confirm reports the refusal; here it only stops further messages.
	 */
	if (ret == 0 && client->refusal.code)
		ret = error_set(error, EIO, "not sent, because a message before it was refused");
	if (ret < 0)
		return ret;
	message->header.flags = VHOST_FLAG_VERSION | (acknowledged ? VHOST_FLAG_NEED_REPLY : 0);
	ret = vhost_channel_send(&client->channel, message, left > 0 ? (int)left : 0, error);
	/* A peer that hung up may have sent a refusal before. */
	if (ret < 0)
		take_pending(client, 0, &ignored);
	client->unanswered = row->reply == VHOST_PAYLOAD_NOTHING && !acknowledged;
	return ret;
}

static int exchange(struct vhost_client *client, const struct vhost_message_row *row,
		    struct vhost_message *message, struct vhost_message *reply, int *fd,
		    struct error *error)
{
	struct vhost_channel *channel = &client->channel;
	int64_t deadline = vhost_client_deadline(client);
	int ret = send_message(client, row, message, deadline, error);

	if (ret < 0 || client->unanswered)
		return ret;
	if (!reply) {
		client->pending[client->pending_count++] =
			(struct vhost_pending){row, message->payload.state.index};
		return 0;
	}
	/* Answers come in the order of the messages. */
	ret = take_pending(client, deadline, error);
	if (ret < 0)
		return ret;
	ret = take_answer(client, row->id, row->reply,
			  fd && row->id != VHOST_USER_SET_DEVICE_STATE_FD, fd ? 1 : 0, deadline,
			  error);
	if (ret == 0 && fd)
		*fd = vhost_message_take_fd(channel->message, 0);
	if (ret == 0)
		*reply = *channel->message;
	vhost_channel_release(channel);
	return ret;
}

/* After any failure other than a refusal the two sides are out of step. */
static int end_call(struct vhost_client *client, int ret)
{
	if (ret < 0 && ret != -EIO)
		client->broken = true;
	return ret;
}

int vhost_client_confirm(struct vhost_client *client, struct error *error)
{
	int ret = client->broken ?
			  error_set(error, EPIPE, "the connection broke earlier") :
			  end_call(client,
				   take_pending(client, vhost_client_deadline(client), error));

	if (!client->refusal.code)
		return ret;
	/* Reported once, also if the connection broke afterwards. */
	*error = client->refusal;
	client->refusal.code = 0;
	return -EIO;
}

int vhost_client_call(struct vhost_client *client, struct vhost_message *message,
		      struct vhost_message *reply, int *fd, struct error *error)
{
	const struct vhost_message_row *row = vhost_find_frontend_message(message->header.request);
	uint32_t smallest, largest;
	int ret;

	if (client->broken)
		return error_set(error, EPIPE, "%s: the connection broke earlier", row->name);
	if (!vhost_client_has(client, row->feature))
		return error_set(error, EOPNOTSUPP, "%s: the device process does not offer it",
				 row->name);
	vhost_payload_bounds(row->shape, &smallest, &largest);
	if (message->header.size == 0)
		message->header.size = largest;
	ret = exchange(client, row, message, reply, fd, error);
	if (ret < 0)
		error_prefix(error, "%s", row->name);
	else if (!client->in_operation)
		ret = vhost_client_confirm(client, error);
	return end_call(client, ret);
}

/* Without acknowledgements, an answer to any message shows that all before it are done. */
static int ask_for_reply(struct vhost_client *client, struct error *error)
{
	struct vhost_message message = {.header.request = VHOST_USER_GET_FEATURES};
	struct vhost_message reply;

	return client->unanswered ? vhost_client_call(client, &message, &reply, NULL, error) : 0;
}

int vhost_client_synchronize(struct vhost_client *client, struct error *error)
{
	return client->in_operation ? 0 : ask_for_reply(client, error);
}

int vhost_client_finish(struct vhost_client *client, struct error *error)
{
	int ret = vhost_client_confirm(client, error);

	if (ret == 0)
		ret = ask_for_reply(client, error);
	client->in_operation = client->negotiating = false;
	return ret;
}

bool vhost_client_is_broken(const struct vhost_client *client)
{
	return client->broken;
}

/* Negotiation */

static int get_number(struct vhost_client *client, uint32_t id, uint64_t *number,
		      struct error *error)
{
	struct vhost_message message = {.header.request = id};
	struct vhost_message reply;
	int ret = vhost_client_call(client, &message, &reply, NULL, error);

	if (ret == 0)
		*number = reply.payload.number;
	return ret;
}

static int set_number(struct vhost_client *client, uint32_t id, uint64_t number,
		      struct error *error)
{
	struct vhost_message message = {.header.request = id, .payload.number = number};

	return vhost_client_call(client, &message, NULL, NULL, error);
}

static int open_backend_channel(struct vhost_client *client, struct error *error)
{
	struct vhost_message message = {.header.request = VHOST_USER_SET_BACKEND_REQ_FD};
	int pair[2];
	int ret;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return error_set_errno(error, errno, "cannot make a backend channel");
	ret = vhost_channel_open(&client->backend, pair[0], vhost_find_backend_message, error);
	message.fds[0] = pair[1];
	message.fd_count = 1;
	if (ret == 0)
		ret = vhost_client_call(client, &message, NULL, NULL, error);
	close(pair[1]);
	return ret;
}

/* What of the @offered features both sides can use together. */
static uint64_t choose_features(uint64_t offered, const struct vhost_client_ops *ops)
{
	const uint64_t descriptors = FEATURE(VHOST_PROTOCOL_BACKEND_REQ) |
				     FEATURE(VHOST_PROTOCOL_BACKEND_SEND_FD);

	offered &= vhost_protocol_features;
	if (!ops)
		offered &= ~FEATURE(VHOST_PROTOCOL_BACKEND_REQ);
	if (!(offered & FEATURE(VHOST_PROTOCOL_BACKEND_REQ)))
		offered &= ~FEATURE(VHOST_PROTOCOL_BACKEND_SEND_FD);
	if (!ops || !ops->shmem_map || !ops->shmem_unmap || (offered & descriptors) != descriptors)
		offered &= ~FEATURE(VHOST_PROTOCOL_SHMEM);
	return offered;
}

static int negotiate(struct vhost_client *client, const struct vhost_client_ops *ops, void *context,
		     struct error *error)
{
	struct vhost_message owner = {.header.request = VHOST_USER_SET_OWNER};
	uint64_t offered = 0;
	int ret = vhost_client_call(client, &owner, NULL, NULL, error);

	client->ops = ops;
	client->context = context;
	if (ret == 0)
		ret = get_number(client, VHOST_USER_GET_FEATURES, &client->features, error);
	if (ret < 0 || !(client->features & PROTOCOL_BIT))
		return ret;
	ret = get_number(client, VHOST_USER_GET_PROTOCOL_FEATURES, &offered, error);
	if (ret < 0)
		return ret;
	offered = choose_features(offered, ops);
	ret = set_number(client, VHOST_USER_SET_PROTOCOL_FEATURES, offered, error);
	if (ret < 0)
		return ret;
	client->protocol_features = offered;
	if (vhost_client_has(client, VHOST_PROTOCOL_MQ))
		ret = get_number(client, VHOST_USER_GET_QUEUE_NUM, &client->queue_count, error);
	if (ret == 0 && vhost_client_has(client, VHOST_PROTOCOL_BACKEND_REQ))
		ret = open_backend_channel(client, error);
	return ret;
}

int vhost_client_negotiate(struct vhost_client *client, const struct vhost_client_ops *ops,
			   void *context, struct error *error)
{
	int ret;

	client->negotiating = true;
	ret = negotiate(client, ops, context, error);
	client->negotiating = client->in_operation;
	return ret;
}

int vhost_client_set_features(struct vhost_client *client, uint64_t features, struct error *error)
{
	int ret = set_number(client, VHOST_USER_SET_FEATURES,
			     features | (client->features & PROTOCOL_BIT), error);

	return ret < 0 ? ret : vhost_client_synchronize(client, error);
}

int vhost_client_get_status(struct vhost_client *client, uint8_t *status, struct error *error)
{
	uint64_t number = 0;
	int ret = get_number(client, VHOST_USER_GET_STATUS, &number, error);

	if (ret < 0)
		return ret;
	if (number > UINT8_MAX) {
		client->broken = true;
		return error_set(error, EPROTO, "GET_STATUS: more than eight bits");
	}
	*status = number;
	return 0;
}

int vhost_client_set_status(struct vhost_client *client, uint8_t status, struct error *error)
{
	int ret = set_number(client, VHOST_USER_SET_STATUS, status, error);

	return ret < 0 ? ret : vhost_client_synchronize(client, error);
}

int vhost_client_reset(struct vhost_client *client, struct error *error)
{
	struct vhost_message message = {.header.request = VHOST_USER_RESET_DEVICE};
	int ret;

	if (vhost_client_has(client, VHOST_PROTOCOL_STATUS))
		return vhost_client_set_status(client, 0, error);
	ret = vhost_client_call(client, &message, NULL, NULL, error);
	return ret < 0 ? ret : vhost_client_synchronize(client, error);
}
