// SPDX-License-Identifier: BSD-3-Clause
/* The CAN device (VIRTIO 1.4, 5.20). */
#include "device/can/can.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>

#include "virtio/container_of.h"
#include "virtio/device_state.h"
#include "virtio/feature.h"

#define FLAGS_KNOWN	 (VIRTIO_CAN_FLAGS_RTR | VIRTIO_CAN_FLAGS_FD | VIRTIO_CAN_FLAGS_EXTENDED)

#define CLASSIC_DATA_MAX 8
#define STANDARD_ID_MAX	 0x7ff
#define EXTENDED_ID_MAX	 0x1fffffff

_Static_assert(sizeof(struct virtio_can_head) == 16, "VIRTIO 1.4, 5.20.5.2");

static struct can_device *to_can(struct virtio_device *device)
{
	return container_of(device, struct can_device, device);
}

static struct virtqueue *queue_of(struct can_device *can, unsigned int index)
{
	return &can->queues[index];
}

/* Lengths of data that an FD frame can have (ISO 11898-1, the data length code). */
static bool is_fd_length(uint8_t length)
{
	return length <= CLASSIC_DATA_MAX || length == 12 || length == 16 || length == 20 ||
	       length == 24 || length == 32 || length == 48 || length == 64;
}

bool can_frame_is_valid(const struct can_frame *frame)
{
	if (frame->id > (frame->extended ? EXTENDED_ID_MAX : STANDARD_ID_MAX))
		return false;
	if (frame->fd)
		return !frame->rtr && is_fd_length(frame->length);
	return frame->length <= CLASSIC_DATA_MAX;
}

/* Whether the driver has negotiated frames of that kind. */
static bool kind_is_negotiated(const struct can_device *can, const struct can_frame *frame)
{
	const struct virtio_device *device = &can->device;

	if (frame->fd)
		return virtio_has_feature(device, VIRTIO_CAN_F_CAN_FD);
	return virtio_has_feature(device, VIRTIO_CAN_F_CAN_CLASSIC) &&
	       (!frame->rtr || virtio_has_feature(device, VIRTIO_CAN_F_RTR_FRAMES));
}

/* Puts the result behind the request, as far as there is room for it, and gives it back. */
static void answer(struct virtio_request *request, bool success)
{
	uint8_t result = success ? VIRTIO_CAN_RESULT_OK : VIRTIO_CAN_RESULT_NOT_OK;

	request_write(request, &result, sizeof(result));
	virtqueue_push(request->queue, request);
}

/* Reads the frame of a transmission. False: it must not go to the bus (5.20.5.2). */
static bool read_frame(const struct can_device *can, struct virtio_request *request,
		       struct can_frame *frame)
{
	struct virtio_can_head head;
	uint16_t length;
	uint32_t flags;
	size_t data;

	if (request_read(request, &head, sizeof(head)) != sizeof(head) ||
	    head.msg_type != VIRTIO_CAN_TX)
		return false;
	flags = head.flags;
	length = head.length;
	if (flags & ~(uint32_t)FLAGS_KNOWN || length > CAN_DATA_MAX)
		return false;
	*frame = (struct can_frame){
		.id = head.can_id,
		.extended = flags & VIRTIO_CAN_FLAGS_EXTENDED,
		.rtr = flags & VIRTIO_CAN_FLAGS_RTR,
		.fd = flags & VIRTIO_CAN_FLAGS_FD,
		.length = (uint8_t)length,
	};
	if (!can_frame_is_valid(frame) || !kind_is_negotiated(can, frame))
		return false;
	data = frame->rtr ? 0 : length;
	return request_read(request, frame->data, data) == data;
}

static struct can_slot *free_slot(struct can_device *can)
{
	for (unsigned int i = 0; i < CAN_OUTSTANDING_MAX; i++)
		if (!can->slots[i].tag)
			return &can->slots[i];
	return NULL;
}

/* A name for a frame in @slot that no other one had for a long time, and that is not 0. */
static uint32_t new_tag(struct can_device *can, const struct can_slot *slot)
{
	if (++can->generation > UINT32_MAX / CAN_OUTSTANDING_MAX)
		can->generation = 1;
	return (uint32_t)(can->generation - 1) * CAN_OUTSTANDING_MAX +
	       (uint32_t)(slot - can->slots) + 1;
}

/* Hands a request of the Txq to the bus or answers it. False: it has to wait. */
static bool transmit_one(struct can_device *can, struct virtio_request *request)
{
	struct can_frame frame;
	struct can_slot *slot = free_slot(can);
	uint32_t tag;

	/* What a process that died had at the bus may have been sent. */
	if (can->mode != CAN_STARTED || request->replayed) {
		can->counts.not_sent++;
		answer(request, false);
		return true;
	}
	if (!slot)
		return false;
	if (request->writable.left == 0 || !read_frame(can, request, &frame)) {
		can->counts.refused++;
		answer(request, false);
		return true;
	}
	tag = new_tag(can, slot);
	if (!can->backend->ops->send(can->backend, tag, &frame))
		return false;
	*slot = (struct can_slot){tag, request};
	can->outstanding++;
	/* "MAY already be marked as used" when it is scheduled (5.20.5.2). */
	if (!virtio_has_feature(&can->device, VIRTIO_CAN_F_LATE_TX_ACK)) {
		slot->request = NULL;
		answer(request, true);
	}
	return true;
}

static void transmit(struct can_device *can)
{
	struct virtqueue *queue = queue_of(can, VIRTIO_CAN_QUEUE_TX);
	struct virtio_request *request;
	bool any = false;

	for_each_request(request, queue) {
		if (!transmit_one(can, request)) {
			virtqueue_unpop(queue, request);
			break;
		}
		any = true;
	}
	if (any)
		can->backend->ops->flush(can->backend);
	virtqueue_notify(queue);
}

/* All frames at the bus come back with NOT_OK. */
static void fail_outstanding(struct can_device *can)
{
	for (unsigned int i = 0; can->outstanding > 0 && i < CAN_OUTSTANDING_MAX; i++)
		can_device_sent(can, can->slots[i].tag, false);
	virtqueue_notify(queue_of(can, VIRTIO_CAN_QUEUE_TX));
}

void can_device_sent(struct can_device *can, uint32_t tag, bool success)
{
	struct can_slot *slot = &can->slots[(tag - 1) % CAN_OUTSTANDING_MAX];
	struct virtio_request *request;

	/* A frame that was given up already. */
	if (!tag || slot->tag != tag)
		return;
	request = slot->request;
	*slot = (struct can_slot){0};
	can->outstanding--;
	if (success)
		can->counts.sent++;
	else
		can->counts.not_sent++;
	if (request)
		answer(request, success);
}

void can_device_resume(struct can_device *can)
{
	virtio_device_kick(&can->device, queue_of(can, VIRTIO_CAN_QUEUE_TX));
}

static void set_mode(struct can_device *can, enum can_mode mode)
{
	can->mode = mode;
	virtio_device_keep_state(&can->device);
}

/*
 * In the state STOPPED nothing is pending for transmission: what the driver had made available
 * before comes back as well. Nothing is received, either (5.20.5.1).
 */
static void finish_stop(struct can_device *can)
{
	set_mode(can, CAN_STOPPED);
	can->backlog_count = 0;
	fail_outstanding(can);
	virtio_device_kick(&can->device, queue_of(can, VIRTIO_CAN_QUEUE_TX));
}

/* Answers the control request that waits, and goes on with those behind it. */
static void finish_control(struct can_device *can, bool success)
{
	struct virtqueue *queue = queue_of(can, VIRTIO_CAN_QUEUE_CONTROL);
	struct virtio_request *request = can->control;

	can->control = NULL;
	if (!request)
		return;
	answer(request, success);
	/* A backend that answers from within: the loop there goes on. */
	if (can->in_control)
		return;
	virtqueue_notify(queue);
	virtio_device_kick(&can->device, queue);
}

void can_device_started(struct can_device *can, bool success)
{
	if (can->mode == CAN_STARTING) {
		/* The status is right before the request is used; no notification is needed. */
		if (success)
			can->config.status = 0;
		set_mode(can, success ? CAN_STARTED : CAN_STOPPED);
		finish_control(can, success);
	} else if (can->mode == CAN_STARTED && !success) {
		/* It was lost and does not come back: the driver has to start it. */
		can_device_bus_off(can);
	}
	if (success)
		can_device_resume(can);
}

void can_device_stopped(struct can_device *can)
{
	if (can->mode != CAN_STOPPING)
		return;
	finish_stop(can);
	finish_control(can, true);
}

void can_device_bus_off(struct can_device *can)
{
	enum can_mode before = can->mode;

	if (before == CAN_STOPPED)
		return;
	can->config.status = VIRTIO_CAN_S_CTRL_BUSOFF;
	finish_stop(can);
	virtio_device_config_changed(&can->device);
	finish_control(can, before == CAN_STOPPING);
}

void can_device_lost(struct can_device *can)
{
	fail_outstanding(can);
	if (can->mode == CAN_STOPPING)
		can_device_stopped(can);
}

static void run_control(struct can_device *can, struct virtio_request *request)
{
	struct virtio_can_control_out message;
	uint16_t type = 0;

	if (request_read(request, &message, sizeof(message)) == sizeof(message))
		type = message.msg_type;
	if (type == VIRTIO_CAN_SET_CTRL_MODE_START && can->mode == CAN_STOPPED) {
		can->control = request;
		set_mode(can, CAN_STARTING);
		can->backend->ops->start(can->backend);
	} else if (type == VIRTIO_CAN_SET_CTRL_MODE_STOP && can->mode == CAN_STARTED) {
		can->control = request;
		set_mode(can, CAN_STOPPING);
		can->backend->ops->stop(can->backend);
	} else {
		answer(request, type == VIRTIO_CAN_SET_CTRL_MODE_START ||
					type == VIRTIO_CAN_SET_CTRL_MODE_STOP);
	}
}

/* "Control queue messages are processed in order": one at a time (5.20.5.1). */
static void control(struct can_device *can)
{
	struct virtqueue *queue = queue_of(can, VIRTIO_CAN_QUEUE_CONTROL);
	struct virtio_request *request;

	can->in_control = true;
	for (uint32_t budget = queue->size; budget > 0 && !can->control; budget--) {
		request = virtqueue_pop(queue);
		if (!request)
			break;
		run_control(can, request);
	}
	can->in_control = false;
	virtqueue_notify(queue);
}

/* Puts a frame into a buffer of the Rxq. False: there is none, or it is too small for any frame. */
static bool deliver(struct can_device *can, const struct can_frame *frame)
{
	struct virtqueue *queue = queue_of(can, VIRTIO_CAN_QUEUE_RX);
	struct virtio_request *request = virtqueue_pop(queue);
	struct virtio_can_head head = {
		.msg_type = VIRTIO_CAN_RX,
		.length = frame->length,
		.flags = (frame->extended ? VIRTIO_CAN_FLAGS_EXTENDED : 0) |
			 (frame->rtr ? VIRTIO_CAN_FLAGS_RTR : 0) |
			 (frame->fd ? VIRTIO_CAN_FLAGS_FD : 0),
		.can_id = frame->id,
	};
	size_t data = frame->rtr ? 0 : frame->length;

	if (!request)
		return false;
	/* 5.20.4.1: each buffer has at least the size of the struct, with the data it may need. */
	if (request->writable.left < sizeof(head) + data) {
		virtio_device_fault(&can->device, queue, "buffer that is too small for a frame");
		return false;
	}
	request_write(request, &head, sizeof(head));
	request_write(request, frame->data, data);
	virtqueue_push(queue, request);
	can->counts.received++;
	return true;
}

static void deliver_backlog(struct can_device *can)
{
	while (can->backlog_count > 0 && deliver(can, &can->backlog[can->backlog_first])) {
		can->backlog_first = (can->backlog_first + 1) % CAN_BACKLOG_MAX;
		can->backlog_count--;
	}
	virtqueue_notify(queue_of(can, VIRTIO_CAN_QUEUE_RX));
}

void can_device_receive(struct can_device *can, const struct can_frame *frame)
{
	if (can->mode != CAN_STARTED)
		return;
	if (!can_frame_is_valid(frame) || !kind_is_negotiated(can, frame)) {
		can->counts.filtered++;
		return;
	}
	if (can->backlog_count == 0 && deliver(can, frame))
		return;
	if (can->backlog_count == CAN_BACKLOG_MAX) {
		can->counts.dropped++;
		return;
	}
	can->backlog[(can->backlog_first + can->backlog_count) % CAN_BACKLOG_MAX] = *frame;
	can->backlog_count++;
}

void can_device_received(struct can_device *can)
{
	virtqueue_notify(queue_of(can, VIRTIO_CAN_QUEUE_RX));
}

static void handle(struct virtio_device *device, struct virtqueue *queue)
{
	struct can_device *can = to_can(device);

	switch (queue->index) {
	case VIRTIO_CAN_QUEUE_TX:
		transmit(can);
		break;
	case VIRTIO_CAN_QUEUE_RX:
		deliver_backlog(can);
		break;
	default:
		control(can);
	}
}

/*
 * The device cannot wait for the bus here. Frames that are at the bus come back with NOT_OK; a
 * start that is under way has failed, and a stop is carried out at once.
 */
static void quiesce(struct virtio_device *device, struct virtqueue *queue)
{
	struct can_device *can = to_can(device);

	bool stopping = can->mode == CAN_STOPPING;

	if (queue->leaving) {
		/* The record of requests in flight has them. */
		memset(can->slots, 0, sizeof(can->slots));
		can->outstanding = 0;
		can->control = NULL;
		return;
	}
	if (queue->index == VIRTIO_CAN_QUEUE_TX) {
		fail_outstanding(can);
	} else if (queue->index == VIRTIO_CAN_QUEUE_CONTROL && can->control) {
		can->backend->ops->reset(can->backend);
		finish_stop(can);
		answer(can->control, stopping);
		can->control = NULL;
	}
}

static void reset(struct virtio_device *device)
{
	struct can_device *can = to_can(device);

	can->mode = CAN_STOPPED;
	can->config.status = 0;
	can->control = NULL;
	memset(can->slots, 0, sizeof(can->slots));
	can->outstanding = 0;
	can->backlog_count = 0;
	can->backend->ops->reset(can->backend);
}

/* 5.20.3.1: RTR needs classic frames, and there must be one kind of frames. */
static int features_chosen(struct virtio_device *device)
{
	bool classic = virtio_has_feature(device, VIRTIO_CAN_F_CAN_CLASSIC);

	if (!classic && (virtio_has_feature(device, VIRTIO_CAN_F_RTR_FRAMES) ||
			 !virtio_has_feature(device, VIRTIO_CAN_F_CAN_FD)))
		return -EINVAL;
	return 0;
}

static void save(struct virtio_device *device, struct device_state *state)
{
	const struct can_device *can = to_can(device);

	/* What is under way is finished by the successor: START again, or STOP. */
	state_put_u8(state, can->mode == CAN_STARTED || can->mode == CAN_STOPPING);
	state_put_u8(state, can->config.status != 0);
}

static int load(struct virtio_device *device, struct device_state *state)
{
	struct can_device *can = to_can(device);
	bool started = state_get_bool(state);
	bool bus_off = state_get_bool(state);

	state_require(state, !(started && bus_off));
	if (!state_is_complete(state))
		return -EINVAL;
	can->mode = started ? CAN_STARTED : CAN_STOPPED;
	can->config.status = bus_off ? VIRTIO_CAN_S_CTRL_BUSOFF : 0;
	if (started)
		can->backend->ops->start(can->backend);
	return 0;
}

static const struct virtio_device_class can_class = {
	.name = "can",
	.id = 36,
	.features_chosen = features_chosen,
	.handle = handle,
	.quiesce = quiesce,
	.reset = reset,
	.state_version = 1,
	.save = save,
	.load = load,
};

void can_device_init(struct can_device *can, struct can_backend *backend)
{
	uint64_t features = FEATURE(VIRTIO_CAN_F_LATE_TX_ACK);

	if (backend->classic)
		features |= FEATURE(VIRTIO_CAN_F_CAN_CLASSIC);
	if (backend->fd)
		features |= FEATURE(VIRTIO_CAN_F_CAN_FD);
	if (backend->classic && backend->rtr)
		features |= FEATURE(VIRTIO_CAN_F_RTR_FRAMES);
	memset(can, 0, sizeof(*can));
	can->backend = backend;
	backend->can = can;
	virtio_device_init(&can->device, &can_class, features, &can->config, sizeof(can->config),
			   can->queues, CAN_QUEUES, CAN_QUEUE_SIZE_MAX);
	/* Frames are acknowledged in the order of the bus. */
	can->device.offered &= ~FEATURE(VIRTIO_F_IN_ORDER);
}
