// SPDX-License-Identifier: BSD-3-Clause
/*
 * Fuzz target of the using side of vhost-user: the answers and the backend channel of a hostile
 * device process. An input is a choice of protocol features, and a sequence of steps (enum step):
 * calls with answers that are correct except for the input's patches, messages on the backend
 * channel, bytes. What the client sends must follow the table of messages, its ops must only see
 * what they are promised, and no descriptor may be left open.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "fuzz/input.h"
#include "promise.h"
#include "vhost/channel.h"
#include "vhost/client.h"
#include "virtio/feature.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define STEPS_MAX 200
#define REGIONS	  2

enum step {
	STEP_CALL,    /* call, control, patches */
	STEP_MESSAGE, /* row of the backend channel, control, patches */
	STEP_HANDLE,  /* handles the backend channel */
	STEP_BYTES,   /* channel and length, bytes */
	STEP_BEGIN,   /* begins or finishes an operation */
	STEP_CLOSE,   /* one of the two sockets */
	STEPS,
};

/* Bits of a control byte. */
#define CONTROL_SIZE   6   /* 0: correct, 2: one less, 4: one more, 6: huge */
#define CONTROL_FDS    24  /* 0: correct, 8: none, 16: one more, 24: many */
#define CONTROL_REFUSE 32  /* acknowledgements say no; requests want no answer */
#define CONTROL_CUT    128 /* the second half is missing */

struct fuzz {
	struct vhost_client *client;
	struct vhost_channel ours; /* the other end of its connection */
	int backend;		   /* of its backend channel; -1: none */
	bool negotiated;
	bool operation;
	bool in_call;
	uint8_t answers; /* of the ops */
};

static int memory_fd = -1;

/* What the client does with messages of the backend channel */

static void on_config_changed(void *context)
{
	struct fuzz *fuzz = context;

	PROMISE(fuzz->negotiated && !fuzz->in_call);
}

static void on_miss(void *context, uint64_t iova, uint8_t access)
{
	on_config_changed(context);
}

static int check_map(struct fuzz *fuzz, const struct vhost_shmem_map *map)
{
	PROMISE(fuzz->negotiated && vhost_client_has(fuzz->client, VHOST_PROTOCOL_SHMEM));
	PROMISE(map->length > 0 && map->shm_offset + map->length > map->shm_offset);
	PROMISE(map->fd_offset + map->length > map->fd_offset && map->flags <= 1);
	return -(int)(fuzz->answers++ % 3);
}

static int on_map(void *context, const struct vhost_shmem_map *map, int fd)
{
	int copy = dup(fd);

	PROMISE(copy >= 0);
	close(copy);
	return check_map(context, map);
}

static int on_unmap(void *context, const struct vhost_shmem_map *map)
{
	return check_map(context, map);
}

static const struct vhost_client_ops ops = {on_config_changed, on_miss, on_map, on_unmap};

/* The device process */

static void send_bytes(int socket, const void *bytes, size_t length, unsigned int fd_count)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * 16)];
		struct cmsghdr alignment;
	} control = {.bytes = {0}};
	struct iovec vector = {(void *)bytes, length};
	struct msghdr header = {.msg_iov = &vector, .msg_iovlen = 1};
	int fds[16];

	if (socket < 0 || length == 0)
		return;
	for (unsigned int i = 0; i < fd_count; i++)
		fds[i] = memory_fd;
	if (fd_count) {
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		control.alignment =
			(struct cmsghdr){CMSG_LEN(fd_count * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
		memcpy(CMSG_DATA(&control.alignment), fds, fd_count * sizeof(int));
	}
	/* A client that has disconnected, or does not read, counts as one that got it. */
	if (sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return;
}

/* A message with the mistakes that @control and @patches choose. */
static void send_spoiled(int socket, const struct vhost_header *header,
			 const union vhost_payload *payload, unsigned int fd_count, uint8_t control,
			 struct input *patches)
{
	struct {
		struct vhost_header header;
		union vhost_payload payload;
	} __attribute__((packed)) message = {*header, *payload};
	size_t length = header->size;

	if ((control & CONTROL_SIZE) == 2 && length)
		message.header.size = --length;
	else if ((control & CONTROL_SIZE) == 4)
		message.header.size++;
	else if ((control & CONTROL_SIZE) == 6)
		message.header.size = 0xfffffff0;
	if ((control & CONTROL_FDS) == 8)
		fd_count = 0;
	else if ((control & CONTROL_FDS) == 16)
		fd_count++;
	else if ((control & CONTROL_FDS) == 24)
		fd_count = 12;
	if (patches)
		for (uint8_t count = take_byte(patches) % 8; count > 0; count--) {
			uint8_t at = take_byte(patches), value = take_byte(patches);

			((uint8_t *)&message)[at % (sizeof(*header) + length)] ^= value;
		}
	length += sizeof(*header);
	send_bytes(socket, &message, control & CONTROL_CUT ? length / 2 : length, fd_count);
}

/* The answer to a message. */
static void send_answer(struct fuzz *fuzz, uint32_t id, uint64_t number, uint8_t control,
			struct input *patches)
{
	const struct vhost_message_row *row = vhost_find_frontend_message(id);
	bool acknowledged = row->reply == VHOST_PAYLOAD_NOTHING;
	struct vhost_header header = {id, VHOST_FLAG_VERSION | VHOST_FLAG_REPLY, sizeof(uint64_t)};
	union vhost_payload payload = {.number = number};
	uint32_t smallest;

	/* Without acknowledgements the client asks something that has an answer. */
	if (acknowledged && !vhost_client_has(fuzz->client, VHOST_PROTOCOL_REPLY_ACK)) {
		send_answer(fuzz, VHOST_USER_GET_FEATURES, UINT64_MAX, control, patches);
		return;
	}
	if (acknowledged && control & CONTROL_REFUSE)
		payload.number = 1;
	if (!acknowledged)
		vhost_payload_bounds(row->reply, &smallest, &header.size);
	if (id == VHOST_USER_GET_CONFIG) {
		header.size = smallest + 4;
		payload.config = (struct vhost_config){.size = 4};
	} else if (id == VHOST_USER_GET_SHMEM_CONFIG) {
		payload.shmem = (struct vhost_shmem_config){.count = 1, .sizes = {0, 0x10000}};
	} else if (id == VHOST_USER_GET_VRING_BASE) {
		payload.state = (struct vhost_vring_state){1, 5};
	}
	send_spoiled(fuzz->ours.fd, &header, &payload, id == VHOST_USER_GET_INFLIGHT_FD, control,
		     patches);
}

/* Takes what the client has sent: it must be according to the table. */
static void take_messages(struct fuzz *fuzz)
{
	struct error error;

	while (fuzz->ours.fd >= 0) {
		int ret = vhost_channel_receive(&fuzz->ours, &error);
		struct vhost_message *message = fuzz->ours.message;

		PROMISE(ret >= 0);
		if (ret != VHOST_RECEIVE_MESSAGE)
			return;
		PROMISE(vhost_find_frontend_message(message->header.request));
		if (message->header.request == VHOST_USER_SET_BACKEND_REQ_FD)
			fuzz->backend = vhost_message_take_fd(message, 0);
	}
}

/* Calls */

static int finish(struct fuzz *fuzz, struct error *error)
{
	fuzz->operation = false;
	return vhost_client_finish(fuzz->client, error);
}

static int call(struct fuzz *fuzz, uint32_t id, struct error *error)
{
	struct vhost_client *client = fuzz->client;
	const struct vhost_client_region region = {{0, 4096, 0, 0}, memory_fd};
	struct vhost_shmem_config config;
	struct vhost_inflight inflight = {.queue_count = 1, .queue_size = 4};
	uint8_t bytes[4];
	size_t length;
	uint32_t base;
	int fd = -1, ret;

	switch (id) {
	case VHOST_USER_SET_FEATURES:
		return vhost_client_set_features(client, 0, error);
	case VHOST_USER_GET_STATUS:
		return vhost_client_get_status(client, bytes, error);
	case VHOST_USER_SET_STATUS:
		return vhost_client_set_status(client, 1, error);
	case VHOST_USER_SET_MEM_TABLE:
		return vhost_client_set_memory(client, &region, 1, error);
	case VHOST_USER_GET_VRING_BASE:
		return vhost_client_stop_ring(client, 1, &base, error);
	case VHOST_USER_SET_VRING_CALL:
		return vhost_client_set_call(client, 1, memory_fd, error);
	case VHOST_USER_GET_CONFIG:
		return vhost_client_read_config(client, 0, bytes, sizeof(bytes), error);
	case VHOST_USER_SET_CONFIG:
		return vhost_client_write_config(client, 0, "abc", 3, error);
	case VHOST_USER_SET_INFLIGHT_FD:
		return vhost_client_set_inflight(client, &inflight, memory_fd, error);
	case VHOST_USER_GET_INFLIGHT_FD:
		ret = vhost_client_get_inflight(client, 1, 4, &inflight, &fd, error);
		PROMISE(ret < 0 ? fd < 0 : fd >= 0);
		if (fd >= 0)
			close(fd);
		return ret;
	case VHOST_USER_SET_DEVICE_STATE_FD:
		return vhost_client_save_state(client, bytes, sizeof(bytes), &length, error);
	case VHOST_USER_CHECK_DEVICE_STATE:
		return vhost_client_load_state(client, "state", 5, error);
	case VHOST_USER_SET_LOG_BASE:
		return vhost_client_set_log(client, memory_fd, 0, 64, error);
	case VHOST_USER_IOTLB_MSG:
		return vhost_client_invalidate_iotlb(client, 0, 1, error);
	default:
		ret = vhost_client_get_shmem_config(client, &config, error);
		for (unsigned int i = 0; ret == 0 && i < VHOST_SHMEM_REGIONS; i++)
			PROMISE(config.sizes[i] % 4096 == 0);
		return ret;
	}
}

static const uint32_t calls[] = {
	VHOST_USER_SET_FEATURES,    VHOST_USER_GET_STATUS,     VHOST_USER_SET_STATUS,
	VHOST_USER_SET_MEM_TABLE,   VHOST_USER_GET_VRING_BASE, VHOST_USER_SET_VRING_CALL,
	VHOST_USER_GET_CONFIG,	    VHOST_USER_SET_CONFIG,     VHOST_USER_SET_INFLIGHT_FD,
	VHOST_USER_GET_INFLIGHT_FD, VHOST_USER_IOTLB_MSG,      VHOST_USER_GET_SHMEM_CONFIG,
};

static void do_call(struct fuzz *fuzz, uint32_t id, uint8_t control, struct input *patches)
{
	struct error error = {.code = 0};
	bool slots = vhost_client_has(fuzz->client, VHOST_PROTOCOL_CONFIGURE_MEM_SLOTS);
	int ret;

	if (id == VHOST_USER_CHECK_DEVICE_STATE)
		send_answer(fuzz, VHOST_USER_SET_DEVICE_STATE_FD, VHOST_STATE_NO_FD, 0, NULL);
	send_answer(fuzz, id == VHOST_USER_SET_MEM_TABLE && slots ? VHOST_USER_ADD_MEM_REG : id,
		    id == VHOST_USER_SET_DEVICE_STATE_FD ? VHOST_STATE_NO_FD : 0, control, patches);
	fuzz->in_call = true;
	ret = call(fuzz, id, &error);
	fuzz->in_call = false;
	PROMISE(ret == 0 || (ret < 0 && error.code == -ret && error.message[0]));
	take_messages(fuzz);
}

/* @choice bits leave protocol features out, or spoil an answer. */
static void negotiate(struct fuzz *fuzz, uint8_t choice)
{
	uint64_t offered = UINT64_MAX;
	struct error error;

	if (choice & 1)
		offered &= ~FEATURE(VHOST_PROTOCOL_REPLY_ACK);
	if (choice & 2)
		offered &= ~FEATURE(VHOST_PROTOCOL_BACKEND_REQ);
	if (choice & 4)
		offered &= ~FEATURE(VHOST_PROTOCOL_BACKEND_SEND_FD);
	if (choice & 8)
		offered &= ~FEATURE(VHOST_PROTOCOL_CONFIGURE_MEM_SLOTS);
	send_answer(fuzz, VHOST_USER_GET_FEATURES, UINT64_MAX, 0, NULL);
	send_answer(fuzz, VHOST_USER_GET_PROTOCOL_FEATURES, offered, 0, NULL);
	send_answer(fuzz, VHOST_USER_GET_QUEUE_NUM, 4, choice >> 4 & CONTROL_SIZE, NULL);
	if (!(choice & 3)) {
		const struct vhost_header header = {VHOST_USER_SET_BACKEND_REQ_FD,
						    VHOST_FLAG_VERSION | VHOST_FLAG_REPLY,
						    sizeof(uint64_t)};

		send_spoiled(fuzz->ours.fd, &header, &(union vhost_payload){.number = 0}, 0, 0,
			     NULL);
	}
	vhost_client_negotiate(fuzz->client, &ops, fuzz, &error);
	fuzz->negotiated = true;
	take_messages(fuzz);
}

static void send_backend(struct fuzz *fuzz, uint8_t choice, uint8_t control, struct input *patches)
{
	static const uint32_t ids[] = {
		VHOST_USER_BACKEND_IOTLB_MSG,
		VHOST_USER_BACKEND_CONFIG_CHANGE_MSG,
		VHOST_USER_BACKEND_SHMEM_MAP,
		VHOST_USER_BACKEND_SHMEM_UNMAP,
	};
	const struct vhost_message_row *row = vhost_find_backend_message(ids[choice % 4]);
	struct vhost_header header = {row->id, VHOST_FLAG_VERSION, 0};
	union vhost_payload payload = {.bytes = {0}};
	uint32_t smallest;

	vhost_payload_bounds(row->shape, &smallest, &header.size);
	if (!(control & CONTROL_REFUSE))
		header.flags |= VHOST_FLAG_NEED_REPLY;
	if (row->shape == VHOST_PAYLOAD_IOTLB)
		payload.iotlb = (struct vhost_iotlb_msg){.perm = 1, .type = VHOST_IOTLB_MISS};
	else if (row->shape == VHOST_PAYLOAD_SHMEM_MAP)
		payload.map = (struct vhost_shmem_map){.id = 1, .length = 0x1000};
	send_spoiled(fuzz->backend, &header, &payload, row->fds_max, control, patches);
}

static void take_step(struct fuzz *fuzz, struct input *input)
{
	uint8_t step = take_byte(input);
	uint8_t a = take_byte(input), control;
	struct error error = {.code = 0};
	size_t length;
	int ret = 0;

	switch (step % STEPS) {
	case STEP_CALL:
		control = take_byte(input);
		do_call(fuzz, calls[a % (sizeof(calls) / sizeof(calls[0]))], control, input);
		break;
	case STEP_MESSAGE:
		control = take_byte(input);
		send_backend(fuzz, a, control, input);
		break;
	case STEP_HANDLE:
		ret = vhost_client_handle_backend(fuzz->client, &error);
		PROMISE(ret >= 0 || error.message[0]);
		break;
	case STEP_BYTES:
		length = a / 2u < input->left ? a / 2u : input->left;
		send_bytes(a & 1 ? fuzz->backend : fuzz->ours.fd, input->data, length, 0);
		input->data += length;
		input->left -= length;
		break;
	case STEP_BEGIN:
		if (fuzz->operation)
			ret = finish(fuzz, &error);
		else
			vhost_client_begin(fuzz->client);
		fuzz->operation = !(a & 1);
		PROMISE(ret >= 0 || error.message[0]);
		break;
	case STEP_CLOSE:
		if (a & 1) {
			vhost_channel_close(&fuzz->ours);
		} else if (fuzz->backend >= 0) {
			close(fuzz->backend);
			fuzz->backend = -1;
		}
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz fuzz = {.backend = -1};
	struct input input = {data, size};
	struct error error;
	int pair[2], first_fd;

	if (memory_fd < 0) {
		log_set_level(LOG_ERROR);
		memory_fd = memfd_create("memory", MFD_CLOEXEC);
	}
	first_fd = dup(memory_fd);
	close(first_fd);
	PROMISE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	PROMISE(vhost_channel_open(&fuzz.ours, pair[0], vhost_find_frontend_message, &error) == 0);
	/* All answers are there before the calls: nothing is gained by waiting. */
	fuzz.client = vhost_client_new(pair[1], 0, &error);
	PROMISE(fuzz.client);
	negotiate(&fuzz, take_byte(&input));
	for (unsigned int i = 0; i < STEPS_MAX && input.left > 0; i++)
		take_step(&fuzz, &input);
	vhost_client_free(fuzz.client);
	vhost_channel_close(&fuzz.ours);
	if (fuzz.backend >= 0)
		close(fuzz.backend);
	PROMISE(dup(memory_fd) == first_fd);
	close(first_fd);
	return 0;
}
