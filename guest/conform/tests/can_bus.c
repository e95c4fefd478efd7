// SPDX-License-Identifier: BSD-3-Clause
/* Chapter CAN (VIRTIO 1.4, 5.20): frames between two controllers on one bus, and bus-off. */
#include "devices/can.h"
#include "devices/dut.h"
#include "host.h"
#include "pages.h"
#include "report.h"

#define CAN	 .device = VIRTIO_ID_CAN, .profile = "gateway"
#define STOP	 VIRTIO_CAN_SET_CTRL_MODE_STOP
#define EXTENDED VIRTIO_CAN_FLAGS_EXTENDED
#define FD	 VIRTIO_CAN_FLAGS_FD
#define RTR	 VIRTIO_CAN_FLAGS_RTR

/* Sends a frame from one controller to the other, which must get all of it. */
static void carry(struct can *from, struct can *to, uint32_t id, uint32_t flags, uint16_t length,
		  const char *what)
{
	struct can_message message = can_frame(id + length, id, flags, length);

	check(can_send(from, &message) == CAN_OK, "%s was not sent", what);
	can_expect(to, &message, what);
}

TEST(can_fd_is_real, "AVP-CAN-004", CAN)
{
	static const uint16_t lengths[] = {0, 1, 8, 12, 16, 20, 24, 32, 48, 64};
	struct can_bus bus;

	can_bus_open(&bus, CAN_ALL, CAN_ALL);
	if (!(bus.a.device->negotiated & bus.b.device->negotiated & CAN_FD))
		skip("CAN_FD is not offered");
	for (unsigned int i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		carry(&bus.a, &bus.b, 0x100, FD, lengths[i], "an FD frame");
}

TEST(can_extended_id, "AVP-CAN-015", CAN)
{
	static const uint32_t ids[] = {0, 0x7ff, 0x800, 0x12345678, 0x1fffffff};
	struct can_bus bus;
	uint32_t kind;

	can_bus_open(&bus, CAN_ALL, CAN_ALL);
	kind = bus.a.device->negotiated & CAN_CLASSIC ? 0 : FD;
	for (unsigned int i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		carry(&bus.a, &bus.b, ids[i], EXTENDED | kind, 8, "an extended frame");
		carry(&bus.b, &bus.a, ids[i], EXTENDED | kind, 8, "an extended frame back");
	}
}

TEST(can_receive_fields, "AVP-CAN-017", CAN)
{
	struct can_bus bus;

	can_bus_open(&bus, CAN_ALL, CAN_ALL);
	if (bus.a.device->negotiated & CAN_CLASSIC)
		for (uint16_t length = 0; length <= 8; length++)
			carry(&bus.a, &bus.b, 0x7ff - length, 0, length, "a classic frame");
	if (bus.a.device->negotiated & CAN_RTR)
		for (uint16_t length = 0; length <= 8; length += 4)
			carry(&bus.a, &bus.b, 0x200 + length, RTR, length, "a remote frame");
	if (bus.a.device->negotiated & CAN_FD)
		carry(&bus.a, &bus.b, 0x10000000, FD | EXTENDED, 64, "an extended FD frame");
}

TEST(can_receive_not_negotiated, "AVP-CAN-018", CAN)
{
	static const struct {
		uint64_t feature;
		uint32_t flags;
		uint16_t length;
	} frames[] = {{CAN_FD, FD, 64}, {CAN_FD, FD, 8}, {CAN_RTR, RTR, 1}};
	struct can_bus bus;

	if (!(device_offered(device_find(VIRTIO_ID_CAN, TRANSPORT_ANY)) & CAN_CLASSIC))
		skip("CAN_CLASSIC is not offered");
	can_bus_open(&bus, CAN_ALL, CAN_CLASSIC);
	for (unsigned int i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
		struct can_message message = can_frame(i, 0x100, frames[i].flags, frames[i].length);

		if (bus.a.device->negotiated & frames[i].feature)
			check(can_send(&bus.a, &message) == CAN_OK, "a frame was not sent");
	}
	can_pass(&bus.a, &bus.b, 9, "behind frames that the other driver did not negotiate");
}

#define CANARY 0xc4

/* Sends a frame to @b, whose Rxq has this buffer only; nothing around it may change. */
static void try_buffer(struct can_bus *bus, uint32_t size, bool writable)
{
	uint8_t *memory = pages_get(PAGE_SIZE);
	struct driver_buffer buffer = buffer_of(memory + 64, size);
	struct can_message message = can_frame(1, 0x100, 0, 8);

	can_open(&bus->b, 1, CAN_ALL, 0);
	can_start(&bus->b);
	memset(memory, CANARY, PAGE_SIZE);
	check(driver_queue_add(&bus->b.receive->ring, &buffer, !writable, writable, memory) == 0,
	      "no room");
	queue_kick(bus->b.receive);
	check(can_send(&bus->a, &message) == CAN_OK, "a frame was not sent");
	sleep_ms(20);
	for (uint32_t i = 0; i < PAGE_SIZE; i++)
		check(memory[i] == CANARY || (writable && i >= 64 && i < 64 + size),
		      "byte %u beside a buffer of %u bytes was written", i, size);
	can_open(&bus->b, 1, CAN_ALL, CAN_BUFFERS);
	can_start(&bus->b);
	can_pass(&bus->a, &bus->b, size, "after a bad receive buffer");
}

TEST(can_receive_short_buffer, "AVP-CAN-019", CAN, .limit_ms = 20000)
{
	static const uint32_t sizes[] = {1, CAN_HEAD - 1, CAN_HEAD, CAN_HEAD + 7};
	struct can_bus bus;

	can_bus_open(&bus, CAN_ALL, CAN_ALL);
	if (!(bus.a.device->negotiated & CAN_CLASSIC))
		skip("CAN_CLASSIC is not offered");
	for (unsigned int i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		try_buffer(&bus, sizes[i], true);
	try_buffer(&bus, sizeof(struct can_message), false);
}

/* Batches */

#define BATCH 32u

/* Frames with ids and data by number. */
static struct can_message numbered(uint32_t number, uint32_t id)
{
	struct can_message message = can_frame(number, id, 0, 8);

	message.data[0] = (uint8_t)number;
	return message;
}

static void add_batch(struct can *can, uint32_t first, uint32_t id, bool ids)
{
	for (uint32_t i = 0; i < BATCH; i++) {
		struct can_message message = numbered(first + i, ids ? id + i : id);

		can_add(can, i, &message, CAN_HEAD + 8);
	}
	queue_kick_if_wanted(can->transmit);
}

/* The numbers of all frames that have come. */
static uint32_t receive_numbers(struct can *can)
{
	struct can_message message;
	uint32_t length, seen = 0;

	while (can_receive(can, &message, &length, 100)) {
		uint32_t bit = UINT32_C(1) << message.data[0] % BATCH;

		check(!(seen & bit), "frame %u was received twice", message.data[0]);
		seen |= bit;
	}
	return seen;
}

/*
 * Adds a batch and a STOP behind it. Returns the slots that were used with OK when STOP is. All
 * must be used by then.
 */
static uint32_t stop_behind_batch(struct can *can)
{
	uint32_t sent = 0;

	add_batch(can, 0, 0x100, true);
	check(can_control(can, STOP) == CAN_OK, "STOP fails");
	for (uint32_t i = 0; i < BATCH; i++) {
		int slot = can_take(can, 0);

		check(slot >= 0, "%u of %u frames were not used before STOP was", BATCH - i, BATCH);
		sent |= (can->results[slot] == CAN_OK ? UINT32_C(1) : 0) << slot;
	}
	return sent;
}

#define ROUNDS 10

TEST(can_stop_returns_frames, "AVP-CAN-007", CAN, .limit_ms = 20000)
{
	struct can_bus bus;

	can_bus_open(&bus, CAN_ALL, CAN_ALL);
	for (unsigned int round = 0; round < ROUNDS; round++) {
		uint32_t sent = stop_behind_batch(&bus.a), seen = receive_numbers(&bus.b);

		check(!(seen & ~sent),
		      "frames 0x%x were used with NOT_OK and were on the bus all the same",
		      seen & ~sent);
		can_start(&bus.a);
		can_pass(&bus.a, &bus.b, round, "after STOP and START");
	}
}

TEST(can_order, "AVP-CAN-024", CAN, .limit_ms = 20000)
{
	struct can_bus bus;

	can_bus_open(&bus, CAN_ALL, CAN_ALL);
	for (unsigned int round = 0; round < 2 * ROUNDS; round++) {
		struct can *from = round % 2 ? &bus.b : &bus.a, *to = round % 2 ? &bus.a : &bus.b;

		add_batch(from, round, 0x100, false);
		for (uint32_t i = 0; i < BATCH; i++) {
			struct can_message message = numbered(round + i, 0x100);

			can_expect(to, &message, "frames of one id, in order");
		}
		for (uint32_t i = 0; i < BATCH; i++)
			check(can_take(from, ANSWER_MS) >= 0, "a frame was not used");
	}
}

TEST(can_receive_backlog, "AVP-CAN-025", CAN, .limit_ms = 20000)
{
	struct can_bus bus;

	can_bus_open(&bus, CAN_ALL, CAN_ALL);
	can_open(&bus.b, 1, CAN_ALL, 0);
	can_start(&bus.b);
	for (uint32_t i = 0; i < 64; i++) {
		struct can_message message = numbered(i, 0x100);

		check(can_send(&bus.a, &message) == CAN_OK, "a frame was not sent");
	}
	/* They are on their way to the other one. */
	sleep_ms(100);
	for (unsigned int i = 0; i < CAN_BUFFERS; i++)
		can_offer(&bus.b, i);
	for (uint32_t i = 0; i < 64; i++) {
		struct can_message message = numbered(i, 0x100);

		can_expect(&bus.b, &message, "64 frames that came without a buffer");
	}
}

/* Bus-off */

static uint16_t status_of(const struct can *can)
{
	return (uint16_t)config_read(can->device, 0, 2);
}

#define SENT_UNSEEN "frames 0x%x were used with OK and were not on the bus"

/* Sends a batch. *sent are the slots that were used with OK, *seen those that the other got. */
static void send_batch(struct can_bus *bus, uint32_t *sent, uint32_t *seen)
{
	*sent = 0;
	add_batch(&bus->a, 0, 0x100, true);
	for (uint32_t i = 0; i < BATCH; i++) {
		int slot = can_take(&bus->a, ANSWER_MS);

		check(slot >= 0, "%u of %u frames were not used", BATCH - i, BATCH);
		*sent |= (bus->a.results[slot] == CAN_OK ? UINT32_C(1) : 0) << slot;
	}
	*seen = receive_numbers(&bus->b);
}

/* Brings the first controller off the bus while it sends batches, of which this is the last. */
static void bring_off(struct can_bus *bus, uint32_t *sent, uint32_t *seen)
{
	struct deadline deadline = deadline_after_ms(HOST_MS);

	can_bus_open(bus, CAN_ALL, CAN_ALL);
	check(status_of(&bus->a) == 0, "status is 0x%x before anything", status_of(&bus->a));
	if (!host_breaks_bus())
		skip(HOST_NEEDED);
	host_break_bus();
	do {
		if (deadline_passed(&deadline))
			skip("the host did not bring the first CAN device off the bus");
		send_batch(bus, sent, seen);
		check(!(*sent & ~*seen), SENT_UNSEEN, *sent & ~*seen);
	} while (*sent == UINT32_MAX);
}

TEST(can_busoff_status, "AVP-CAN-020", CAN, .limit_ms = 20000)
{
	struct can_bus bus;
	uint32_t sent, seen;

	bring_off(&bus, &sent, &seen);
	check(wait_until(status_of(&bus.a) == VIRTIO_CAN_S_CTRL_BUSOFF, ANSWER_MS),
	      "status is 0x%x after bus-off", status_of(&bus.a));
	if (bus.a.device->connected)
		check(wait_until(bus.a.device->config_interrupts > 0, ANSWER_MS),
		      "no configuration change notification after bus-off");
	check(status_of(&bus.b) == 0, "status of the other controller is 0x%x", status_of(&bus.b));
}

TEST(can_busoff_returns_frames, "AVP-CAN-021", CAN, .limit_ms = 20000)
{
	struct can_message message = can_frame(1, 0x100, 0, 8);
	struct can_bus bus;
	uint32_t sent, seen;

	bring_off(&bus, &sent, &seen);
	check(!(seen & ~sent), "frames 0x%x were used with NOT_OK and were on the bus all the same",
	      seen & ~sent);
	check(can_send(&bus.a, &message) == CAN_NOT_OK, "a frame after bus-off is used with OK");
	check(receive_numbers(&bus.b) == 0, "a frame after bus-off was on the bus");
}

TEST(can_busoff_recovery, "AVP-CAN-022", CAN, .limit_ms = 20000)
{
	struct can_bus bus;
	uint32_t sent, seen;

	bring_off(&bus, &sent, &seen);
	can_start(&bus.a);
	check(status_of(&bus.a) == 0, "status is 0x%x after START", status_of(&bus.a));
	can_pass(&bus.a, &bus.b, 1, "after bus-off and START");
	can_pass(&bus.b, &bus.a, 2, "after bus-off and START");
}

TEST(can_busoff_stays, "AVP-CAN-023", CAN, .limit_ms = 20000)
{
	struct can_message message = can_frame(1, 0x100, 0, 8);
	struct can_bus bus;
	uint32_t sent, seen;

	bring_off(&bus, &sent, &seen);
	for (unsigned int i = 0; i < 5; i++) {
		sleep_ms(100);
		check(status_of(&bus.a) == VIRTIO_CAN_S_CTRL_BUSOFF, "status is 0x%x after bus-off",
		      status_of(&bus.a));
		check(can_send(&bus.a, &message) == CAN_NOT_OK,
		      "a frame after bus-off is used with OK");
	}
}

/* Frames that STOP and bus-off hold up are not on the bus, and may not be used with OK. */
TEST(can_late_ack, "AVP-CAN-016", CAN, .limit_ms = 20000)
{
	struct can_bus bus;
	uint32_t sent, seen;

	can_bus_open(&bus, CAN_ALL, CAN_ALL);
	if (!(bus.a.device->negotiated & CAN_LATE))
		skip("LATE_TX_ACK is not offered");
	for (unsigned int round = 0; round < ROUNDS; round++) {
		sent = stop_behind_batch(&bus.a);
		seen = receive_numbers(&bus.b);
		check(!(sent & ~seen), SENT_UNSEEN, sent & ~seen);
		can_start(&bus.a);
	}
	if (host_breaks_bus())
		bring_off(&bus, &sent, &seen);
}
