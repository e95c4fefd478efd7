// SPDX-License-Identifier: BSD-3-Clause
/*
 * Fuzz target of the vhost-user backend: the socket, the memory tables and the rings of a hostile
 * frontend. An input is a sequence of steps (enum step): messages that are correct except for the
 * input's patches, bytes, writes to guest memory, kicks, requests of the device for its shared
 * memory and answers to them. Afterwards the server must serve the next frontend, no descriptor may
 * be left open, and the device must have learned what became of each of its requests.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "fuzz/input.h"
#include "promise.h"
#include "vhost/channel.h"
#include "vhost/server.h"
#include "virtio/device.h"
#include "virtio/device_state.h"
#include "virtio/driver_queue.h"
#include "virtio/feature.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define QUEUES	     2
#define QUEUE_SIZE   16
#define MEMORY_BYTES 0x20000u
#define RING_START   0x1000u
#define RING_BYTES   0x1000u
#define BUFFERS	     0x8000u
#define GUEST	     UINT64_C(0x100000)	      /* guest address of the memory */
#define USER	     UINT64_C(0x7f0000000000) /* the frontend's address of the memory */
#define RECORD_BYTES 0x4000u
#define LOG_BYTES    64u /* more than the pages of the memory */
#define STEPS_MAX    200
#define MAPPINGS     20

enum step {
	STEP_MESSAGE, /* id, ring, control, patches */
	STEP_MEMORY,  /* offset (2), length, bytes: written to guest memory */
	STEP_KICK,    /* ring */
	STEP_SET_UP,  /* features: sets up the whole device, like a correct frontend */
	STEP_REQUEST, /* ring, length: a correct request */
	STEP_BYTES,   /* length, bytes: written to the socket */
	STEP_RECONNECT,
	STEP_TRUNCATE, /* pages: truncates the memory file, and extends it again */
	STEP_ANSWER,   /* takes requests from the backend channel and answers them */
	STEP_TURN,     /* how often */
	STEP_HOLD,     /* the device keeps requests, or completes them */
	STEP_MAP,      /* the device asks for a mapping (even) or its end: region, page, pages */
	STEP_REPLY,    /* control, patches: an answer on the backend channel */
	STEP_LOG,      /* LOG_*: like a frontend that begins or ends a migration */
	STEP_STATE,    /* length, bytes: loads them as a state; length 0: saves one and loads it */
	STEPS,
};

/* Bits of a message's control byte. */
#define CONTROL_NEED_REPLY 1
#define CONTROL_SIZE	   6   /* 0: correct, 2: one less, 4: one more, 6: huge */
#define CONTROL_FDS	   24  /* 0: correct, 8: none, 16: one more, 24: many */
#define CONTROL_KIND	   96  /* 0: correct, 32: eventfd, 64: memory, 96: socket */
#define CONTROL_CUT	   128 /* in two pieces */

/* What STEP_LOG does; without LOG_ON logging ends. */
#define LOG_ON	     1
#define LOG_BASE     2
#define LOG_TRUNCATE 4

struct fuzz {
	struct virtio_device device; /* first: the class casts */
	struct virtqueue queues[QUEUES];
	uint8_t config[32];
	struct mapping {
		struct virtio_mapping mapping; /* first: done casts */
		bool pending;
	} mappings[MAPPINGS];
	bool hold;
	struct virtio_request *held[QUEUES * QUEUE_SIZE];
	unsigned int held_count;

	struct event_loop loop;
	struct vhost_server *server;
	int socket;
	struct vhost_channel backend; /* ours; the server has the other end */
	int kick[QUEUES], call[QUEUES];
	uint64_t features;
	bool log;
	struct driver_queue drivers[QUEUES];
	struct driver_descriptor descriptors[QUEUES][QUEUE_SIZE];
};

/* Reused for all inputs. */
static int memory_fd, record_fd, socket_fd, log_fd;
static uint8_t *memory;

/* The device: echoes the readable bytes, or keeps requests until it is quiesced. */

static void answer(struct virtio_request *request)
{
	uint8_t buffer[64];
	size_t length;

	while ((length = request_read(request, buffer, sizeof(buffer))) > 0)
		request_write(request, buffer, length);
	virtqueue_push(request->queue, request);
}

static void quiesce(struct virtio_device *device, struct virtqueue *queue)
{
	struct fuzz *fuzz = (struct fuzz *)device;
	unsigned int kept = 0;

	for (unsigned int i = 0; i < fuzz->held_count; i++) {
		if (fuzz->held[i]->queue == queue)
			answer(fuzz->held[i]);
		else
			fuzz->held[kept++] = fuzz->held[i];
	}
	fuzz->held_count = kept;
	virtqueue_notify(queue);
}

static void handle(struct virtio_device *device, struct virtqueue *queue)
{
	struct fuzz *fuzz = (struct fuzz *)device;
	struct virtio_request *request;

	/* A guest that refills as fast as the device takes: bounded by the ring size. */
	for (unsigned int i = 0; i < QUEUE_SIZE && (request = virtqueue_pop(queue)); i++) {
		PROMISE(request->queue == queue && request->index < QUEUE_SIZE);
		if (fuzz->hold)
			fuzz->held[fuzz->held_count++] = request;
		else
			answer(request);
	}
	virtqueue_notify(queue);
}

static void reset(struct virtio_device *device)
{
	PROMISE(((struct fuzz *)device)->held_count == 0);
}

static int config_write(struct virtio_device *device, size_t offset, const void *buffer,
			size_t length)
{
	memcpy(((struct fuzz *)device)->config + offset, buffer, length);
	virtio_device_config_changed(device);
	return 0;
}

static void save(struct virtio_device *device, struct device_state *state)
{
	state_put(state, ((struct fuzz *)device)->config, 4);
}

static int load(struct virtio_device *device, struct device_state *state)
{
	uint8_t config[4];

	for (unsigned int i = 0; i < QUEUES; i++)
		PROMISE(!device->queues[i].started);
	state_get(state, config, sizeof(config));
	if (!state_is_complete(state))
		return -EINVAL;
	memcpy(((struct fuzz *)device)->config, config, sizeof(config));
	return 0;
}

static const uint64_t region_sizes[] = {0, 0x4000, 0x1000};

static void mapped(struct virtio_device *device, struct virtio_mapping *mapping, int result)
{
	struct mapping *slot = (struct mapping *)mapping;

	PROMISE(slot->pending && result <= 0);
	slot->pending = false;
}

/* The device asks for something about its regions, within them or not. */
static void ask(struct fuzz *fuzz, bool map, uint8_t region, uint8_t page, uint8_t pages)
{
	struct mapping *slot = fuzz->mappings;

	while (slot->pending)
		if (++slot == fuzz->mappings + MAPPINGS)
			return;
	slot->mapping = (struct virtio_mapping){
		.region = region,
		.offset = page * 4096u,
		.length = pages * 4096u,
		.fd = memory_fd,
		.done = mapped,
	};
	slot->pending = true;
	if ((map ? virtio_device_map : virtio_device_unmap)(&fuzz->device, &slot->mapping) < 0)
		slot->pending = false;
}

static void driver_ready(struct virtio_device *device)
{
	ask((struct fuzz *)device, true, 2, 0, 1);
}

static const struct virtio_device_class fuzz_class = {
	.name = "fuzz",
	.id = 42,
	.config_write = config_write,
	.handle = handle,
	.quiesce = quiesce,
	.reset = reset,
	.driver_ready = driver_ready,
	.state_version = 1,
	.save = save,
	.load = load,
};

/* The connection */

static void turn(struct fuzz *fuzz, unsigned int times)
{
	for (unsigned int i = 0; i < times; i++) {
		PROMISE(event_loop_turn(&fuzz->loop, 0) >= 0);
		fuzz->loop.stopped = false;
	}
}

static void hang_up(struct fuzz *fuzz)
{
	if (fuzz->socket >= 0)
		close(fuzz->socket);
	fuzz->socket = -1;
	vhost_channel_close(&fuzz->backend);
	turn(fuzz, 4);
}

static void connect_again(struct fuzz *fuzz)
{
	struct error error;
	int pair[2];

	hang_up(fuzz);
	PROMISE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
	PROMISE(vhost_server_serve(fuzz->server, pair[0], &error) == 0);
	fuzz->socket = pair[1];
}

/* Discards replies; a full socket would end the connection. */
static void discard_replies(struct fuzz *fuzz)
{
	uint8_t buffer[4096];

	while (recv(fuzz->socket, buffer, sizeof(buffer), MSG_DONTWAIT) > 0)
		;
}

/* Sends @length bytes of a message, the descriptors with the first. */
static void send_bytes(struct fuzz *fuzz, const void *bytes, size_t length, const int *fds,
		       unsigned int fd_count)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int) * 16)];
		struct cmsghdr alignment;
	} control = {.bytes = {0}};
	struct iovec vector = {(void *)bytes, length};
	struct msghdr header = {.msg_iov = &vector, .msg_iovlen = 1};

	if (fd_count) {
		header.msg_control = &control;
		header.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
		control.alignment =
			(struct cmsghdr){CMSG_LEN(fd_count * sizeof(int)), SOL_SOCKET, SCM_RIGHTS};
		memcpy(CMSG_DATA(&control.alignment), fds, fd_count * sizeof(int));
	}
	/* A server that has disconnected counts as one that accepted the message. */
	if (length && sendmsg(fuzz->socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		return;
}

/* Messages */

/* A correct payload for a message about ring @ring. */
static void fill_payload(struct fuzz *fuzz, uint32_t id, unsigned int ring,
			 union vhost_payload *payload)
{
	const struct driver_queue_layout *layout = &fuzz->drivers[ring].layout;
	uint64_t start = RING_START + ring * RING_BYTES;
	const struct vhost_region region = {GUEST, MEMORY_BYTES, USER, 0};

	memset(payload, 0, sizeof(*payload));
	switch (id) {
	case VHOST_USER_SET_FEATURES:
		payload->number = fuzz->features | FEATURE(VHOST_USER_F_PROTOCOL_FEATURES);
		if (fuzz->log)
			payload->number |= FEATURE(VHOST_F_LOG_ALL);
		break;
	case VHOST_USER_SET_LOG_BASE:
		payload->log.size = LOG_BYTES;
		break;
	case VHOST_USER_SET_PROTOCOL_FEATURES:
		payload->number = vhost_protocol_features;
		break;
	case VHOST_USER_SET_MEM_TABLE:
		payload->table.count = 1;
		payload->table.regions[0] = region;
		break;
	case VHOST_USER_ADD_MEM_REG:
	case VHOST_USER_REM_MEM_REG:
		payload->slot.region = region;
		break;
	case VHOST_USER_SET_VRING_NUM:
		payload->state = (struct vhost_vring_state){ring, QUEUE_SIZE};
		break;
	case VHOST_USER_SET_VRING_BASE:
		payload->state.index = ring;
		payload->state.num = fuzz->features & FEATURE(VIRTIO_F_RING_PACKED) ? 0x80008000u :
										      0;
		break;
	case VHOST_USER_SET_VRING_ADDR:
		start += fuzz->features & FEATURE(VIRTIO_F_ACCESS_PLATFORM) ? GUEST : USER;
		payload->address = (struct vhost_vring_addr){
			.index = ring,
			.desc_user_addr = start + layout->descriptors,
			.avail_user_addr = start + layout->driver,
			.used_user_addr = start + layout->device,
			.flags = fuzz->log ? 1u << VHOST_VRING_F_LOG : 0,
			.log_guest_addr = GUEST,
		};
		break;
	case VHOST_USER_GET_CONFIG:
	case VHOST_USER_SET_CONFIG:
		payload->config.size = 4;
		break;
	case VHOST_USER_IOTLB_MSG:
		payload->iotlb = (struct vhost_iotlb_msg){
			.iova = GUEST,
			.size = MEMORY_BYTES,
			.uaddr = USER,
			.perm = VHOST_ACCESS_RW,
			.type = VHOST_IOTLB_UPDATE,
		};
		break;
	case VHOST_USER_GET_INFLIGHT_FD:
	case VHOST_USER_SET_INFLIGHT_FD:
		payload->inflight = (struct vhost_inflight){RECORD_BYTES, 0, QUEUES, QUEUE_SIZE, 0};
		break;
	case VHOST_USER_SET_VRING_KICK:
	case VHOST_USER_SET_VRING_CALL:
	case VHOST_USER_SET_VRING_ERR:
		payload->number = ring;
		break;
	default:
		payload->state = (struct vhost_vring_state){ring, 1};
		break;
	}
}

static uint32_t payload_size(const struct vhost_message_row *row)
{
	uint32_t smallest, largest;

	vhost_payload_bounds(row->shape, &smallest, &largest);
	if (row->shape == VHOST_PAYLOAD_TABLE)
		return offsetof(struct vhost_memory_table, regions[1]);
	if (row->shape == VHOST_PAYLOAD_CONFIG)
		return smallest + 4;
	return largest;
}

/* The descriptor that belongs to a message. */
static int right_fd(struct fuzz *fuzz, uint32_t id, unsigned int ring, int *backend)
{
	struct error error;
	int pair[2];

	switch (id) {
	case VHOST_USER_SET_VRING_KICK:
		return fuzz->kick[ring];
	case VHOST_USER_SET_VRING_CALL:
	case VHOST_USER_SET_VRING_ERR:
		return fuzz->call[ring];
	case VHOST_USER_SET_LOG_FD:
		return fuzz->call[ring];
	case VHOST_USER_SET_LOG_BASE:
		return log_fd;
	case VHOST_USER_SET_INFLIGHT_FD:
		return record_fd;
	case VHOST_USER_SET_BACKEND_REQ_FD:
		PROMISE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
		vhost_channel_close(&fuzz->backend);
		PROMISE(vhost_channel_open(&fuzz->backend, pair[0], vhost_find_backend_message,
					   &error) == 0);
		*backend = pair[1];
		return pair[1];
	default:
		return memory_fd;
	}
}

static void send_message(struct fuzz *fuzz, const struct vhost_message_row *row, uint32_t id,
			 unsigned int ring, uint8_t control, struct input *patches)
{
	struct {
		struct vhost_header header;
		union vhost_payload payload;
	} __attribute__((packed)) message;
	union vhost_payload payload;
	uint32_t length = row ? payload_size(row) : 8;
	unsigned int fd_count = row ? row->fds_max : 0;
	int backend = -1;
	int fds[16];
	size_t bytes;

	if (id == VHOST_USER_SET_MEM_TABLE)
		fd_count = 1;
	else if (id == VHOST_USER_REM_MEM_REG)
		fd_count = 0;
	fill_payload(fuzz, id, ring, &payload);
	message.header = (struct vhost_header){id, VHOST_FLAG_VERSION, length};
	if (control & CONTROL_NEED_REPLY)
		message.header.flags |= VHOST_FLAG_NEED_REPLY;
	if ((control & CONTROL_SIZE) == 2 && length)
		message.header.size = --length;
	else if ((control & CONTROL_SIZE) == 4)
		message.header.size = ++length;
	else if ((control & CONTROL_SIZE) == 6)
		message.header.size = 0xfffffff0;
	if ((control & CONTROL_FDS) == 8)
		fd_count = 0;
	else if ((control & CONTROL_FDS) == 16)
		fd_count++;
	else if ((control & CONTROL_FDS) == 24)
		fd_count = 12;
	for (unsigned int i = 0; i < fd_count; i++) {
		if ((control & CONTROL_KIND) == 32)
			fds[i] = fuzz->kick[ring];
		else if ((control & CONTROL_KIND) == 64)
			fds[i] = memory_fd;
		else if ((control & CONTROL_KIND) == 96)
			fds[i] = socket_fd;
		else if (i > 0 && backend >= 0)
			fds[i] = backend;
		else
			fds[i] = right_fd(fuzz, id, ring, &backend);
	}
	if (patches) {
		for (uint8_t count = take_byte(patches) % 8; count > 0; count--) {
			uint8_t at = take_byte(patches), value = take_byte(patches);

			payload.bytes[at % (length ? length : 1)] ^= value;
		}
	}
	memcpy(&message.payload, &payload, sizeof(payload));
	bytes = sizeof(message.header) + length;
	if (control & CONTROL_CUT) {
		size_t cut = 1 + bytes / 3;

		send_bytes(fuzz, &message, cut, fds, fd_count);
		turn(fuzz, 1);
		send_bytes(fuzz, (uint8_t *)&message + cut, bytes - cut, NULL, 0);
	} else {
		send_bytes(fuzz, &message, bytes, fds, fd_count);
	}
	if (backend >= 0)
		close(backend);
	turn(fuzz, 1);
	discard_replies(fuzz);
}

static void send_good(struct fuzz *fuzz, uint32_t id, unsigned int ring)
{
	send_message(fuzz, vhost_find_frontend_message(id), id, ring, CONTROL_NEED_REPLY, NULL);
}

static void init_driver(struct fuzz *fuzz, unsigned int ring)
{
	memset(fuzz->descriptors[ring], 0, sizeof(fuzz->descriptors[ring]));
	driver_queue_init(&fuzz->drivers[ring], ring, QUEUE_SIZE, fuzz->features,
			  memory + RING_START + ring * RING_BYTES, fuzz->descriptors[ring]);
}

static void set_up(struct fuzz *fuzz, uint8_t choice)
{
	fuzz->features = FEATURE(VIRTIO_F_VERSION_1);
	if (choice & 1)
		fuzz->features |= FEATURE(VIRTIO_F_RING_PACKED);
	if (choice & 2)
		fuzz->features |= FEATURE(VIRTIO_RING_F_EVENT_IDX);
	if (choice & 4)
		fuzz->features |= FEATURE(VIRTIO_RING_F_INDIRECT_DESC);
	if (choice & 8)
		fuzz->features |= FEATURE(VIRTIO_F_IN_ORDER);
	if (choice & 16)
		fuzz->features |= FEATURE(VIRTIO_F_ACCESS_PLATFORM);
	send_good(fuzz, VHOST_USER_SET_OWNER, 0);
	send_good(fuzz, VHOST_USER_SET_PROTOCOL_FEATURES, 0);
	send_good(fuzz, VHOST_USER_SET_BACKEND_REQ_FD, 0);
	send_good(fuzz, VHOST_USER_SET_FEATURES, 0);
	if (choice & 32)
		send_good(fuzz, VHOST_USER_SET_INFLIGHT_FD, 0);
	send_good(fuzz, choice & 64 ? VHOST_USER_SET_MEM_TABLE : VHOST_USER_ADD_MEM_REG, 0);
	if (choice & 16 && choice & 128)
		send_good(fuzz, VHOST_USER_IOTLB_MSG, 0);
	for (unsigned int ring = 0; ring < QUEUES; ring++) {
		memset(memory + RING_START + ring * RING_BYTES, 0, RING_BYTES);
		init_driver(fuzz, ring);
		send_good(fuzz, VHOST_USER_SET_VRING_NUM, ring);
		send_good(fuzz, VHOST_USER_SET_VRING_BASE, ring);
		send_good(fuzz, VHOST_USER_SET_VRING_ADDR, ring);
		send_good(fuzz, VHOST_USER_SET_VRING_CALL, ring);
		send_good(fuzz, VHOST_USER_SET_VRING_KICK, ring);
		send_good(fuzz, VHOST_USER_SET_VRING_ENABLE, ring);
	}
}

static void kick(struct fuzz *fuzz, unsigned int ring)
{
	eventfd_write(fuzz->kick[ring], 1);
	turn(fuzz, 2);
}

static void add_request(struct fuzz *fuzz, unsigned int ring, uint8_t length)
{
	struct driver_buffer buffers[2] = {
		{guest_addr(GUEST + BUFFERS), length},
		{guest_addr(GUEST + BUFFERS + 0x1000), length},
	};
	uint32_t written;
	int error = 0;

	/*
	 * The ring's memory may contain anything by now, so the driver side must expect that too.
	 */
	if (length)
		driver_queue_add(&fuzz->drivers[ring], buffers, 1, 1, fuzz);
	kick(fuzz, ring);
	driver_queue_take(&fuzz->drivers[ring], &written, &error);
}

/* Sends an answer on the backend channel, correct for the patches. */
static void send_reply(struct fuzz *fuzz, uint32_t id, uint8_t control, struct input *patches)
{
	struct {
		struct vhost_header header;
		uint64_t number;
		uint8_t more[8];
	} __attribute__((packed)) reply = {
		.header = {id, VHOST_FLAG_VERSION | VHOST_FLAG_REPLY, sizeof(uint64_t)},
	};
	unsigned int fd_count = control & CONTROL_FDS ? 1 : 0;
	size_t length = offsetof(typeof(reply), more);
	int socket = fuzz->socket;

	if (fuzz->backend.fd < 0)
		return;
	if ((control & CONTROL_SIZE) == 2)
		reply.header.size = 0;
	else if ((control & CONTROL_SIZE) == 4)
		reply.header.size += 8;
	else if ((control & CONTROL_SIZE) == 6)
		reply.header.size = 0xfffffff0;
	if (patches)
		for (uint8_t count = take_byte(patches) % 8; count > 0; count--) {
			uint8_t at = take_byte(patches), value = take_byte(patches);

			((uint8_t *)&reply)[at % sizeof(reply)] ^= value;
		}
	if (control & CONTROL_CUT)
		length /= 2;
	fuzz->socket = fuzz->backend.fd;
	send_bytes(fuzz, &reply, length, &memory_fd, fd_count);
	fuzz->socket = socket;
	turn(fuzz, 1);
}

/* Takes requests from the backend channel and answers them. */
static void answer_requests(struct fuzz *fuzz)
{
	struct vhost_message *question = fuzz->backend.message;
	struct error error;

	for (int i = 0; i < 8 && fuzz->backend.fd >= 0; i++) {
		int ret = vhost_channel_receive(&fuzz->backend, &error);

		PROMISE(ret >= 0);
		if (ret != VHOST_RECEIVE_MESSAGE)
			return;
		PROMISE(vhost_find_backend_message(question->header.request));
		if (question->header.flags & VHOST_FLAG_NEED_REPLY)
			send_reply(fuzz, question->header.request, 0, NULL);
		else
			send_good(fuzz, VHOST_USER_IOTLB_MSG, 0);
	}
}

static void change_log(struct fuzz *fuzz, uint8_t choice)
{
	fuzz->log = choice & LOG_ON;
	if (choice & LOG_BASE)
		send_good(fuzz, VHOST_USER_SET_LOG_BASE, 0);
	send_good(fuzz, VHOST_USER_SET_FEATURES, 0);
	for (unsigned int ring = 0; ring < QUEUES; ring++)
		send_good(fuzz, VHOST_USER_SET_VRING_ADDR, ring);
	if (choice & LOG_TRUNCATE) {
		PROMISE(ftruncate(log_fd, 0) == 0);
		turn(fuzz, 2);
		PROMISE(ftruncate(log_fd, LOG_BYTES) == 0);
	}
}

/* Reads what has come. Returns the last descriptor that came along; -1: none did. */
static int receive_descriptor(struct fuzz *fuzz)
{
	union {
		char bytes[CMSG_SPACE(sizeof(int))];
		struct cmsghdr alignment;
	} control;
	uint8_t buffer[4096];
	struct iovec vector = {buffer, sizeof(buffer)};
	struct msghdr header = {.msg_iov = &vector, .msg_iovlen = 1};
	int fd = -1;

	do {
		const struct cmsghdr *attached = CMSG_FIRSTHDR(&header);

		if (attached) {
			close_fd(&fd);
			memcpy(&fd, CMSG_DATA(attached), sizeof(fd));
		}
		header.msg_control = &control;
		header.msg_controllen = sizeof(control);
	} while (recvmsg(fuzz->socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) > 0);
	return fd;
}

/* Begins a transfer. Returns the server's channel; -1: it refused. */
static int transfer(struct fuzz *fuzz, uint32_t direction)
{
	struct {
		struct vhost_header header;
		struct vhost_state_transfer transfer;
	} __attribute__((packed))
	message = {{VHOST_USER_SET_DEVICE_STATE_FD, VHOST_FLAG_VERSION, 8}, {direction, 0}};

	discard_replies(fuzz);
	send_bytes(fuzz, &message, sizeof(message), &memory_fd, 1);
	turn(fuzz, 1);
	return receive_descriptor(fuzz);
}

static void move_state(struct fuzz *fuzz, struct input *input, uint8_t wanted)
{
	uint8_t saved[256];
	size_t length = wanted < input->left ? wanted : input->left;
	const uint8_t *bytes = input->data;
	int channel;

	input->data += length;
	input->left -= length;
	if (wanted == 0) {
		ssize_t count = 0;

		channel = transfer(fuzz, VHOST_STATE_SAVE);
		turn(fuzz, 1);
		if (channel >= 0)
			count = recv(channel, saved, sizeof(saved), MSG_DONTWAIT);
		length = count > 0 ? (size_t)count : 0;
		bytes = saved;
		close_fd(&channel);
		send_good(fuzz, VHOST_USER_CHECK_DEVICE_STATE, 0);
	}
	channel = transfer(fuzz, VHOST_STATE_LOAD);
	if (channel >= 0)
		PROMISE(send(channel, bytes, length, MSG_DONTWAIT) == (ssize_t)length);
	/* Sometimes the end comes late, or not at all. */
	if (wanted % 4 != 1)
		close_fd(&channel);
	send_good(fuzz, VHOST_USER_CHECK_DEVICE_STATE, 0);
	close_fd(&channel);
}

static void take_step(struct fuzz *fuzz, struct input *input)
{
	uint8_t step = take_byte(input);
	uint8_t a = take_byte(input), b = 0, control;

	switch (step % STEPS) {
	case STEP_MESSAGE:
		b = take_byte(input) % QUEUES;
		control = take_byte(input);
		send_message(fuzz, vhost_find_frontend_message(a), a, b, control, input);
		break;
	case STEP_MEMORY: {
		unsigned int offset = (a << 8 | take_byte(input)) * 2;

		for (b = take_byte(input) % 64; b > 0; b--, offset++)
			memory[offset % MEMORY_BYTES] = take_byte(input);
		break;
	}
	case STEP_KICK:
		kick(fuzz, a % QUEUES);
		break;
	case STEP_SET_UP:
		set_up(fuzz, a);
		break;
	case STEP_REQUEST:
		b = take_byte(input);
		add_request(fuzz, a % QUEUES, b);
		break;
	case STEP_BYTES: {
		size_t length = a < input->left ? a : input->left;

		send_bytes(fuzz, input->data, length, NULL, 0);
		input->data += length;
		input->left -= length;
		turn(fuzz, 2);
		discard_replies(fuzz);
		break;
	}
	case STEP_RECONNECT:
		connect_again(fuzz);
		break;
	case STEP_TRUNCATE:
		PROMISE(ftruncate(memory_fd, (a % 32) * 4096) == 0);
		turn(fuzz, 2);
		PROMISE(ftruncate(memory_fd, MEMORY_BYTES) == 0);
		break;
	case STEP_ANSWER:
		answer_requests(fuzz);
		break;
	case STEP_TURN:
		turn(fuzz, a % 8);
		break;
	case STEP_HOLD:
		fuzz->hold = a & 1;
		break;
	case STEP_MAP:
		b = take_byte(input);
		control = take_byte(input);
		ask(fuzz, !(a & 1), a >> 1, b, control);
		break;
	case STEP_LOG:
		change_log(fuzz, a);
		break;
	case STEP_STATE:
		move_state(fuzz, input, a);
		break;
	case STEP_REPLY:
		send_reply(fuzz,
			   a & 1 ? VHOST_USER_BACKEND_SHMEM_UNMAP : VHOST_USER_BACKEND_SHMEM_MAP,
			   a & ~1, input);
		break;
	}
}

/* The next frontend sends a request and gets its reply. */
static void check_recovery(struct fuzz *fuzz)
{
	const struct vhost_header question = {VHOST_USER_GET_FEATURES, VHOST_FLAG_VERSION, 0};
	struct {
		struct vhost_header header;
		uint64_t features;
	} __attribute__((packed)) reply;

	connect_again(fuzz);
	send_bytes(fuzz, &question, sizeof(question), NULL, 0);
	turn(fuzz, 2);
	PROMISE(recv(fuzz->socket, &reply, sizeof(reply), MSG_DONTWAIT) == sizeof(reply));
	PROMISE(reply.header.request == VHOST_USER_GET_FEATURES);
	PROMISE(reply.features == (fuzz->device.offered | FEATURE(VHOST_USER_F_PROTOCOL_FEATURES) |
				   FEATURE(VHOST_F_LOG_ALL)));
	hang_up(fuzz);
	PROMISE(fuzz->device.memory->region_count == 0 && fuzz->device.status == 0);
	for (unsigned int i = 0; i < QUEUES; i++)
		PROMISE(!fuzz->queues[i].started);
	for (unsigned int i = 0; i < MAPPINGS; i++)
		PROMISE(!fuzz->mappings[i].pending);
}

static void make_files(void)
{
	int pair[2];

	log_set_level(LOG_ERROR);
	signal(SIGPIPE, SIG_IGN);
	memory_fd = memfd_create("memory", MFD_CLOEXEC);
	record_fd = memfd_create("record", MFD_CLOEXEC);
	log_fd = memfd_create("log", MFD_CLOEXEC);
	PROMISE(ftruncate(log_fd, LOG_BYTES) == 0);
	PROMISE(ftruncate(memory_fd, MEMORY_BYTES) == 0 && ftruncate(record_fd, RECORD_BYTES) == 0);
	/* Not the end of a connection to the server: its holder would never see a disconnect. */
	PROMISE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	socket_fd = pair[0];
	memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
	PROMISE(memory != MAP_FAILED);
}

/* The number that the next descriptor gets: it is higher if one was left open. */
static int next_fd(void)
{
	int fd = dup(memory_fd);

	close(fd);
	return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz *fuzz = calloc(1, sizeof(*fuzz));
	struct input input = {data, size};
	struct error error;
	int first_fd;

	if (!memory)
		make_files();
	first_fd = next_fd();
	memset(memory, 0, MEMORY_BYTES);
	PROMISE(ftruncate(record_fd, 0) == 0 && ftruncate(record_fd, RECORD_BYTES) == 0);
	fuzz->socket = fuzz->backend.fd = -1;
	for (unsigned int i = 0; i < QUEUES; i++) {
		fuzz->kick[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		fuzz->call[i] = eventfd(0, EFD_CLOEXEC);
		init_driver(fuzz, i);
	}
	virtio_device_init(&fuzz->device, &fuzz_class, 0, fuzz->config, sizeof(fuzz->config),
			   fuzz->queues, QUEUES, QUEUE_SIZE);
	fuzz->device.region_sizes = region_sizes;
	fuzz->device.region_count = sizeof(region_sizes) / sizeof(region_sizes[0]);
	PROMISE(event_loop_init(&fuzz->loop, 0, &error) == 0);
	fuzz->server = vhost_server_new(&fuzz->loop, &fuzz->device, &error);
	PROMISE(fuzz->server);
	connect_again(fuzz);

	for (unsigned int i = 0; i < STEPS_MAX && input.left > 0; i++)
		take_step(fuzz, &input);

	fuzz->hold = false;
	check_recovery(fuzz);
	vhost_server_free(fuzz->server);
	event_loop_close(&fuzz->loop);
	for (unsigned int i = 0; i < QUEUES; i++) {
		close(fuzz->kick[i]);
		close(fuzz->call[i]);
	}
	free(fuzz);
	PROMISE(next_fd() == first_fd);
	return 0;
}
