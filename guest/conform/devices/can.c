// SPDX-License-Identifier: BSD-3-Clause
/* Drives CAN devices. */
#include "devices/can.h"

#include "devices/dut.h"
#include "pages.h"

#define QUEUE_SIZE   128
#define MARKER_ID    0x155
#define RESULT_UNSET 0xa5

void can_offer(struct can *can, unsigned int index)
{
	struct driver_buffer buffer = buffer_of(&can->in[index], sizeof(can->in[index]));

	driver_queue_add(&can->receive->ring, &buffer, 0, 1, (void *)(uintptr_t)(index + 1));
	queue_kick_if_wanted(can->receive);
}

void can_open(struct can *can, unsigned int nth, uint64_t features, unsigned int buffers)
{
	struct device *device = device_nth(VIRTIO_ID_CAN, TRANSPORT_ANY, nth);

	if (!device)
		skip("there is no CAN device number %u", nth);
	*can = (struct can){.device = device};
	device_open(device, features);
	can->transmit = device_queue(device, VIRTIO_CAN_QUEUE_TX, QUEUE_SIZE);
	can->receive = device_queue(device, VIRTIO_CAN_QUEUE_RX, QUEUE_SIZE);
	can->control = device_queue(device, VIRTIO_CAN_QUEUE_CONTROL, QUEUE_SIZE);
	can->out = pages_get(CAN_FRAMES * sizeof(*can->out));
	can->in = pages_get(CAN_BUFFERS * sizeof(*can->in));
	can->results = pages_get(CAN_FRAMES);
	can->request = pages_get(16);
	device_run(device);
	for (unsigned int i = 0; i < buffers; i++)
		can_offer(can, i);
}

uint8_t can_control(struct can *can, uint16_t type)
{
	volatile uint8_t *result = can->request + 8;
	struct driver_buffer buffers[2] = {buffer_of(can->request, sizeof(type)),
					   buffer_of(can->request + 8, 1)};
	uint32_t written = 0;

	memcpy(can->request, &type, sizeof(type));
	*result = RESULT_UNSET;
	check(queue_do(can->control, buffers, 1, 1, &written, ANSWER_MS),
	      "%s: a control request of type 0x%x was not used", device_name(can->device), type);
	check(written == 1, "the used length of a control request is %u", written);
	return *result;
}

void can_start(struct can *can)
{
	uint8_t result = can_control(can, VIRTIO_CAN_SET_CTRL_MODE_START);

	check(result == CAN_OK, "%s: the result of START is %u", device_name(can->device), result);
}

struct can_message can_frame(uint32_t number, uint32_t id, uint32_t flags, uint16_t length)
{
	struct can_message message = {
		.head = {.msg_type = VIRTIO_CAN_TX, .length = length, .flags = flags, .can_id = id}};
	uint32_t data = flags & VIRTIO_CAN_FLAGS_RTR ? 0 : length;

	for (uint32_t i = 0; i < data && i < CAN_DATA; i++)
		message.data[i] = (uint8_t)(number * 3 + i * 7);
	return message;
}

/* The bytes of a well-formed message. */
static uint32_t size_of(const struct can_message *message)
{
	return CAN_HEAD + (message->head.flags & VIRTIO_CAN_FLAGS_RTR ? 0 : message->head.length);
}

void can_add(struct can *can, unsigned int slot, const struct can_message *message, uint32_t size)
{
	struct driver_buffer buffers[2] = {
		buffer_of(&can->out[slot], size),
		buffer_of((const void *)&can->results[slot], 1),
	};

	can->out[slot] = *message;
	can->results[slot] = RESULT_UNSET;
	check(driver_queue_add(&can->transmit->ring, buffers, 1, 1,
			       (void *)(uintptr_t)(slot + 1)) == 0,
	      "no room for a frame");
}

int can_take(struct can *can, unsigned int ms)
{
	uint32_t written = 0;
	void *token = queue_wait(can->transmit, &written, ms);
	int slot = (int)(uintptr_t)token - 1;

	if (!token)
		return -1;
	check(written == 1, "the used length of a frame to send is %u", written);
	check(can->results[slot] == CAN_OK || can->results[slot] == CAN_NOT_OK,
	      "the result of a frame is %u", can->results[slot]);
	return slot;
}

uint8_t can_send_bytes(struct can *can, const struct can_message *message, uint32_t size)
{
	can_add(can, 0, message, size);
	queue_kick_if_wanted(can->transmit);
	check(can_take(can, ANSWER_MS) == 0, "%s: a frame was not used", device_name(can->device));
	return can->results[0];
}

uint8_t can_send(struct can *can, const struct can_message *message)
{
	return can_send_bytes(can, message, size_of(message));
}

bool can_receive(struct can *can, struct can_message *message, uint32_t *length, unsigned int ms)
{
	unsigned int index;
	void *token = queue_wait(can->receive, length, ms);

	if (!token)
		return false;
	index = (unsigned int)(uintptr_t)token - 1;
	*message = can->in[index];
	can_offer(can, index);
	return true;
}

void can_expect(struct can *to, const struct can_message *sent, const char *what)
{
	const struct virtio_can_head *head = &sent->head;
	uint32_t data = size_of(sent) - CAN_HEAD, length = 0;
	struct can_message got;

	check(can_receive(to, &got, &length, ANSWER_MS), "%s: no frame was received", what);
	check(got.head.msg_type == VIRTIO_CAN_RX, "%s: msg_type of a received frame is 0x%x", what,
	      got.head.msg_type);
	check(got.head.can_id == head->can_id && got.head.flags == head->flags,
	      "%s: id 0x%x with flags 0x%x was received, not 0x%x with 0x%x", what, got.head.can_id,
	      got.head.flags, head->can_id, head->flags);
	check(got.head.length == head->length && length == CAN_HEAD + data,
	      "%s: a frame of length %u was received in %u bytes, not of %u in %lu", what,
	      got.head.length, length, head->length, CAN_HEAD + data);
	check(!memcmp(got.data, sent->data, data), "%s: other data was received", what);
}

/* A frame of a kind that the driver may send. */
static struct can_message marker(const struct can *can, uint32_t number)
{
	return can_frame(number, MARKER_ID,
			 can->device->negotiated & CAN_CLASSIC ? 0 : VIRTIO_CAN_FLAGS_FD, 8);
}

void can_pass(struct can *from, struct can *to, uint32_t number, const char *what)
{
	struct can_message message = marker(from, number);

	check(can_send(from, &message) == CAN_OK, "%s: a valid frame was not sent", what);
	can_expect(to, &message, what);
}

void can_bus_open(struct can_bus *bus, uint64_t features_a, uint64_t features_b)
{
	struct can_message message, got;
	uint32_t length;

	can_open(&bus->a, 0, CAN_ALL, 0);
	can_open(&bus->b, 1, CAN_ALL, 1);
	can_start(&bus->a);
	can_start(&bus->b);
	message = marker(&bus->a, 1);
	if (can_send(&bus->a, &message) != CAN_OK ||
	    !can_receive(&bus->b, &got, &length, ANSWER_MS)) {
		check(!option_number("bus", 0), "no frame gets from the first CAN device to the "
						"second");
		skip("the first two CAN devices are not on one bus: if they are, add bus=1");
	}
	can_open(&bus->a, 0, features_a, CAN_BUFFERS);
	can_open(&bus->b, 1, features_b, CAN_BUFFERS);
	can_start(&bus->a);
	can_start(&bus->b);
}
