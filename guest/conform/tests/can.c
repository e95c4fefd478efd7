// SPDX-License-Identifier: BSD-3-Clause
/* Chapter CAN (VIRTIO 1.4, 5.20): one controller, and frames that may not be sent. */
#include "devices/can.h"
#include "devices/dut.h"
#include "pages.h"
#include "report.h"
#include "tests/rings.h"

#define CAN	 .device = VIRTIO_ID_CAN, .profile = "gateway"
#define START	 VIRTIO_CAN_SET_CTRL_MODE_START
#define STOP	 VIRTIO_CAN_SET_CTRL_MODE_STOP
#define EXTENDED VIRTIO_CAN_FLAGS_EXTENDED
#define FD	 VIRTIO_CAN_FLAGS_FD
#define RTR	 VIRTIO_CAN_FLAGS_RTR

/* A frame to a controller that was never started: it comes back, and nobody else sees it. */
#define RESULT_AT 512

static void build(struct request *request, unsigned int slot)
{
	struct can_message message = can_frame(slot, 0x100 + slot % 0x100, 0, 8);

	memcpy(request->memory, &message, sizeof(message));
	request->memory[RESULT_AT] = 0xa5;
	request->buffers[0] = buffer_of(request->memory, CAN_HEAD + 8);
	request->buffers[1] = buffer_of(request->memory + RESULT_AT, 1);
	request->readable = request->writable = 1;
}

static const char *verify(const struct request *request, uint32_t written)
{
	if (written != 1)
		return "the used length of a frame to send is not 1";
	return request->memory[RESULT_AT] == CAN_NOT_OK ?
		       NULL :
		       "a frame to a stopped controller was not used with NOT_OK";
}

static const char *wrong_offer(uint64_t offered)
{
	if (!(offered & (CAN_CLASSIC | CAN_FD)))
		return "neither CAN_CLASSIC nor CAN_FD is offered";
	return offered & CAN_RTR && !(offered & CAN_CLASSIC) ?
		       "RTR_FRAMES is offered without CAN_CLASSIC" :
		       NULL;
}

DEVICE_TYPE(can) = {
	.id = VIRTIO_ID_CAN,
	.name = "can",
	.needed_features = CAN_CLASSIC | CAN_FD,
	.build = build,
	.verify = verify,
	.config_size = sizeof(struct virtio_can_config),
	.features = CAN_ALL,
	.dependent = CAN_RTR,
	.wrong_offer = wrong_offer,
};

TEST(can_found, "AVP-CAN-001", CAN)
{
	struct device *device;

	for (unsigned int i = 0; (device = device_nth(VIRTIO_ID_CAN, TRANSPORT_ANY, i)); i++)
		for (uint32_t queue = 0; queue < 3; queue++)
			check(device->ops->queue_size(device, queue) > 0, "%s has no queue %u",
			      device_name(device), queue);
}

TEST(can_features, "AVP-CAN-002", CAN)
{
	struct device *device;

	for (unsigned int i = 0; (device = device_nth(VIRTIO_ID_CAN, TRANSPORT_ANY, i)); i++) {
		const char *wrong = wrong_offer(device_offered(device));

		check(!wrong, "%s: %s", device_name(device), wrong);
	}
}

/* Whether the device takes these features, and no others of its type. */
static bool accepts(struct device *device, uint64_t features)
{
	features |= VERSION_1;
	check(device_reset(device), "%s: the reset does not complete", device_name(device));
	device->touched = true;
	device->ops->set_status(device, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	device->ops->set_status(device, STATUS_DRIVER);
	device->ops->set_features(device, 0, (uint32_t)features);
	device->ops->set_features(device, 1, (uint32_t)(features >> 32));
	device->ops->set_status(device, STATUS_FEATURES);
	return device->ops->status(device) & VIRTIO_CONFIG_S_FEATURES_OK;
}

TEST(can_features_refused, "AVP-CAN-003", CAN)
{
	struct device *device = device_find(VIRTIO_ID_CAN, TRANSPORT_ANY);
	uint64_t offered = device_offered(device);

	check(!accepts(device, 0), "no kind of frame is accepted");
	check(!accepts(device, offered & CAN_LATE), "no kind of frame is accepted");
	if (offered & CAN_RTR && offered & CAN_FD)
		check(!accepts(device, CAN_RTR | CAN_FD), "RTR_FRAMES alone is accepted");
	if (offered & CAN_CLASSIC)
		check(accepts(device, CAN_CLASSIC), "CAN_CLASSIC alone is refused");
	if (offered & CAN_FD)
		check(accepts(device, CAN_FD), "CAN_FD alone is refused");
	check(accepts(device, offered & CAN_ALL), "all that is offered is refused");
}

/* A frame must come back with NOT_OK. */
static void refuse_bytes(struct can *can, const struct can_message *message, uint32_t size,
			 const char *what)
{
	uint8_t result = can_send_bytes(can, message, size);

	check(result == CAN_NOT_OK, "%s (id 0x%x, flags 0x%x, length %u): the result is %u", what,
	      message->head.can_id, message->head.flags, message->head.length, result);
}

static void refuse(struct can *can, uint32_t id, uint32_t flags, uint16_t length, const char *what)
{
	struct can_message message = can_frame(1, id, flags, length);
	uint32_t data = flags & RTR ? 0 : length < CAN_DATA ? length : CAN_DATA;

	refuse_bytes(can, &message, CAN_HEAD + data, what);
}

TEST(can_stopped_at_reset, "AVP-CAN-005", CAN)
{
	struct can can;

	can_open(&can, 0, CAN_ALL & ~CAN_LATE, 1);
	refuse(&can, 0x100, 0, 8, "a frame before START");
	can_start(&can);
	can_open(&can, 0, CAN_ALL & ~CAN_LATE, 1);
	refuse(&can, 0x100, 0, 8, "a frame after a reset");
	can_start(&can);
}

TEST(can_start, "AVP-CAN-006", CAN)
{
	struct can_bus bus;

	can_bus_open(&bus, CAN_ALL, CAN_ALL);
	can_pass(&bus.a, &bus.b, 1, "after START");
	can_pass(&bus.b, &bus.a, 2, "after START");
	can_start(&bus.a);
	can_pass(&bus.a, &bus.b, 3, "after another START");
}

TEST(can_no_send_stopped, "AVP-CAN-008", CAN)
{
	struct can_bus bus;

	can_bus_open(&bus, CAN_ALL, CAN_ALL);
	check(can_control(&bus.a, STOP) == CAN_OK, "STOP fails");
	for (unsigned int i = 0; i < 10; i++)
		refuse(&bus.a, 0x100 + i, 0, 8, "a frame after STOP");
	can_start(&bus.a);
	can_pass(&bus.a, &bus.b, 1, "after STOP and START");
}

/* Several requests at once; @types ends with 0. The result of each must be OK. */
static void control_at_once(struct can *can, const uint16_t *types)
{
	uint8_t *memory = pages_get(PAGE_SIZE);
	unsigned int count = 0;

	for (; types[count]; count++) {
		struct driver_buffer buffers[2] = {buffer_of(memory + count * 8, 2),
						   buffer_of(memory + count * 8 + 4, 1)};

		memcpy(memory + count * 8, &types[count], 2);
		memory[count * 8 + 4] = 0xa5;
		check(driver_queue_add(&can->control->ring, buffers, 1, 1,
				       (void *)(uintptr_t)(count + 1)) == 0,
		      "no room for a control request");
	}
	queue_kick_if_wanted(can->control);
	for (unsigned int i = 0; i < count; i++) {
		uint32_t written;
		void *token = queue_wait(can->control, &written, ANSWER_MS);

		check(token, "control request %u of %u was not used", i, count);
		check((uintptr_t)token == i + 1, "control request %lu was used in place %u",
		      (uintptr_t)token - 1, i);
		check(memory[i * 8 + 4] == CAN_OK, "the result of control request %u is %u", i,
		      memory[i * 8 + 4]);
	}
}

TEST(can_control_order, "AVP-CAN-009", CAN)
{
	static const uint16_t to_started[] = {START, STOP, START, STOP, START, 0};
	static const uint16_t to_stopped[] = {STOP, START, STOP, START, STOP, 0};
	struct can_bus bus;

	can_bus_open(&bus, CAN_ALL, CAN_ALL);
	for (unsigned int i = 0; i < 10; i++) {
		control_at_once(&bus.a, to_stopped);
		refuse(&bus.a, 0x100, 0, 8, "a frame after several requests, the last STOP");
		control_at_once(&bus.a, to_started);
		can_pass(&bus.a, &bus.b, i, "after several requests, the last START");
	}
}

TEST(can_control_unknown, "AVP-CAN-010", CAN)
{
	static const uint16_t types[] = {0, 1, 0x0101, 0x0200, 0x0203, 0x8201, 0xffff};
	const unsigned int count = sizeof(types) / sizeof(types[0]);
	struct driver_buffer buffers[2];
	uint32_t written = 0;
	struct can_bus bus;

	can_bus_open(&bus, CAN_ALL, CAN_ALL);
	for (unsigned int i = 0; i < count; i++)
		check(can_control(&bus.a, types[i]) == CAN_NOT_OK,
		      "a control request of type 0x%x is used with OK", types[i]);
	/* One that is too short. */
	bus.a.request[0] = START & 0xff;
	buffers[0] = buffer_of(bus.a.request, 1);
	buffers[1] = buffer_of(bus.a.request + 8, 1);
	check(queue_do(bus.a.control, buffers, 1, 1, &written, ANSWER_MS) && written == 1 &&
		      bus.a.request[8] == CAN_NOT_OK,
	      "a control request of one byte is not used with NOT_OK");
	can_pass(&bus.a, &bus.b, 1, "after unknown control requests");
	check(can_control(&bus.a, STOP) == CAN_OK, "STOP fails");
	for (unsigned int i = 0; i < count; i++)
		can_control(&bus.a, types[i]);
	refuse(&bus.a, 0x100, 0, 8, "a frame to a stopped controller after unknown requests");
}

TEST(can_type_not_negotiated, "AVP-CAN-011", CAN)
{
	struct can_bus bus;
	uint64_t offered = device_offered(device_find(VIRTIO_ID_CAN, TRANSPORT_ANY));

	if (!(offered & CAN_CLASSIC) || !(offered & (CAN_FD | CAN_RTR)))
		skip("only one kind of frames is offered");
	can_bus_open(&bus, CAN_CLASSIC | CAN_LATE, CAN_ALL);
	refuse(&bus.a, 0x100, FD, 8, "an FD frame that was not negotiated");
	refuse(&bus.a, 0x100, FD | EXTENDED, 64, "an FD frame that was not negotiated");
	refuse(&bus.a, 0x100, RTR, 0, "a remote frame that was not negotiated");
	can_pass(&bus.a, &bus.b, 1, "after frames that were not negotiated");
	if (!(offered & CAN_FD))
		return;
	can_bus_open(&bus, CAN_FD | CAN_LATE, CAN_ALL);
	refuse(&bus.a, 0x100, 0, 8, "a classic frame that was not negotiated");
	refuse(&bus.a, 0x100, RTR, 0, "a remote frame that was not negotiated");
	can_pass(&bus.a, &bus.b, 2, "after frames that were not negotiated");
}

TEST(can_flags_undefined, "AVP-CAN-012", CAN, .limit_ms = 20000)
{
	struct can_bus bus;

	can_bus_open(&bus, CAN_ALL, CAN_ALL);
	for (unsigned int bit = 0; bit < 32; bit++) {
		uint32_t flag = UINT32_C(1) << bit;

		if (!(flag & (RTR | FD | EXTENDED)))
			refuse(&bus.a, 0x100, flag, 8, "a frame with an undefined flag");
	}
	refuse(&bus.a, 0x100, FD | RTR, 0, "a remote FD frame");
	can_pass(&bus.a, &bus.b, 1, "after undefined flags");
}

TEST(can_id_range, "AVP-CAN-013", CAN)
{
	static const uint32_t standard[] = {0x800, 0xfff, 0x10000, 0x1fffffff, 0x80000001};
	static const uint32_t extended[] = {0x20000000, 0x40000000, 0x80000000, 0xffffffff};
	struct can_bus bus;

	can_bus_open(&bus, CAN_ALL, CAN_ALL);
	for (unsigned int i = 0; i < sizeof(standard) / sizeof(standard[0]); i++)
		refuse(&bus.a, standard[i], 0, 8, "a standard frame with too large an id");
	for (unsigned int i = 0; i < sizeof(extended) / sizeof(extended[0]); i++)
		refuse(&bus.a, extended[i], EXTENDED, 8, "an extended frame with too large an id");
	can_pass(&bus.a, &bus.b, 1, "after ids out of range");
}

TEST(can_length_range, "AVP-CAN-014", CAN)
{
	static const uint16_t classic[] = {9, 12, 64, 65, 0x100, 0xffff};
	static const uint16_t fd[] = {9, 13, 33, 63, 65, 0x108, 0xffff};
	struct can_message message;
	struct can_bus bus;

	can_bus_open(&bus, CAN_ALL, CAN_ALL);
	for (unsigned int i = 0; i < sizeof(classic) / sizeof(classic[0]); i++)
		refuse(&bus.a, 0x100, 0, classic[i], "a classic frame of a length out of range");
	if (bus.a.device->negotiated & CAN_RTR)
		refuse(&bus.a, 0x100, RTR, 9, "a remote frame of a length out of range");
	for (unsigned int i = 0;
	     bus.a.device->negotiated & CAN_FD && i < sizeof(fd) / sizeof(fd[0]); i++)
		refuse(&bus.a, 0x100, FD, fd[i], "an FD frame of a length that does not exist");
	/* Less data than the head says. */
	message = can_frame(1, 0x100, 0, 8);
	for (uint32_t size = 0; size < 8; size++)
		refuse_bytes(&bus.a, &message, CAN_HEAD + size, "a frame with too little data");
	can_pass(&bus.a, &bus.b, 1, "after lengths out of range");
}

TEST(can_request_malformed, "AVP-CAN-028", CAN)
{
	static const uint16_t types[] = {0, 2, 0x100, VIRTIO_CAN_RX, START, 0x8001, 0xffff};
	struct can_message message = can_frame(1, 0x100, 0, 8);
	struct driver_buffer buffer;
	uint32_t written = 0;
	struct can_bus bus;

	can_bus_open(&bus, CAN_ALL, CAN_ALL);
	for (unsigned int i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		message.head.msg_type = types[i];
		refuse_bytes(&bus.a, &message, CAN_HEAD + 8, "a message of unknown type");
	}
	message.head.msg_type = VIRTIO_CAN_TX;
	for (uint32_t size = 1; size < CAN_HEAD; size++)
		refuse_bytes(&bus.a, &message, size, "a message without a whole head");
	can_pass(&bus.a, &bus.b, 1, "after malformed messages");
	/* Without room for a result, and with nothing else. */
	bus.a.out[0] = message;
	buffer = buffer_of(bus.a.out, CAN_HEAD + 8);
	check(queue_do(bus.a.transmit, &buffer, 1, 0, &written, ANSWER_MS) && written == 0,
	      "a frame without room for a result was not used");
	buffer = buffer_of(bus.a.out, 1);
	check(queue_do(bus.a.transmit, &buffer, 0, 1, &written, ANSWER_MS),
	      "a result without a frame was not used");
	check(!(bus.a.device->ops->status(bus.a.device) & NEEDS_RESET), "the device needs a reset");
	can_pass(&bus.a, &bus.b, 2, "after messages without a result");
}
