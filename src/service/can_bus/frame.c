// SPDX-License-Identifier: BSD-3-Clause
/* CAN frames on the wire (ISO 11898-1:2015, 10.4 to 10.6). */
#include "service/can_bus/frame.h"

#define CLASSIC_DATA_MAX 8
#define STANDARD_ID_MAX	 0x7ff
#define EXTENDED_ID_MAX	 0x1fffffff

/* CRC delimiter, slot and delimiter of the acknowledgement, end of frame, and intermission. */
#define END_BITS (1 + 1 + 1 + 7 + 3)

/* x^15 + x^14 + x^10 + x^8 + x^7 + x^4 + x^3 + 1. */
#define CRC_15 0x4599

static bool is_fd_length(uint8_t length)
{
	return length <= CLASSIC_DATA_MAX || length == 12 || length == 16 || length == 20 ||
	       length == 24 || length == 32 || length == 48 || length == 64;
}

bool can_frame_exists(const struct can_bus_frame *frame)
{
	if (frame->flags & ~(CAN_BUS_EXTENDED | CAN_BUS_RTR | CAN_BUS_FD) ||
	    frame->id > (frame->flags & CAN_BUS_EXTENDED ? EXTENDED_ID_MAX : STANDARD_ID_MAX))
		return false;
	if (frame->flags & CAN_BUS_FD)
		return !(frame->flags & CAN_BUS_RTR) && is_fd_length(frame->length);
	return frame->length <= CLASSIC_DATA_MAX;
}

/* Bits as they come onto the wire. */
struct wire {
	uint32_t bits, stuff_bits;
	unsigned int last, equal; /* the last bit, and how many are equal to it */
	bool stuffed;		  /* the last bit was a stuff bit */
	uint32_t crc;
};

static void put_bit(struct wire *wire, unsigned int bit)
{
	unsigned int top = wire->crc >> 14 & 1;

	wire->crc = (wire->crc << 1 & 0x7fff) ^ (top != bit ? CRC_15 : 0);
	wire->bits++;
	wire->equal = wire->equal && bit == wire->last ? wire->equal + 1 : 1;
	wire->last = bit;
	wire->stuffed = wire->equal == 5;
	/* After five equal bits one of the other value, which counts for the next five. */
	if (wire->stuffed) {
		wire->stuff_bits++;
		wire->last = !bit;
		wire->equal = 1;
	}
}

static void put(struct wire *wire, uint32_t value, unsigned int bits)
{
	while (bits-- > 0)
		put_bit(wire, value >> bits & 1);
}

static uint32_t take_bits(struct wire *wire)
{
	uint32_t bits = wire->bits + wire->stuff_bits;

	wire->bits = wire->stuff_bits = 0;
	return bits;
}

/* The data length code. */
static unsigned int length_code(uint8_t length)
{
	static const uint8_t lengths[] = {12, 16, 20, 24, 32, 48, 64};
	unsigned int code = 0;

	if (length <= CLASSIC_DATA_MAX)
		return length;
	while (lengths[code] < length)
		code++;
	return CLASSIC_DATA_MAX + 1 + code;
}

/* From the start of the frame to the bit that tells classic and FD frames apart. */
static void put_arbitration(struct wire *wire, const struct can_bus_frame *frame)
{
	bool remote = frame->flags & CAN_BUS_RTR;

	put(wire, 0, 1);
	if (frame->flags & CAN_BUS_EXTENDED) {
		put(wire, frame->id >> 18, 11);
		put(wire, 3, 2); /* SRR, IDE */
		put(wire, frame->id & 0x3ffff, 18);
		put(wire, remote, 1);
	} else {
		put(wire, frame->id, 11);
		put(wire, remote, 1);
		put(wire, 0, 1); /* IDE */
	}
	put(wire, (frame->flags & CAN_BUS_FD) != 0, 1);
}

struct can_frame_bits can_frame_bits(const struct can_bus_frame *frame, bool switched)
{
	struct wire wire = {0};
	struct can_frame_bits bits;
	uint8_t data = frame->flags & CAN_BUS_RTR ? 0 : frame->length;

	put_arbitration(&wire, frame);
	if (!(frame->flags & CAN_BUS_FD)) {
		if (frame->flags & CAN_BUS_EXTENDED)
			put(&wire, 0, 1); /* the second reserved bit */
		put(&wire, length_code(frame->length), 4);
		for (uint8_t i = 0; i < data; i++)
			put(&wire, frame->data[i], 8);
		put(&wire, wire.crc, 15);
		return (struct can_frame_bits){take_bits(&wire) + END_BITS, 0};
	}
	put(&wire, 0, 1); /* reserved */
	put(&wire, switched, 1);
	bits.nominal = take_bits(&wire) + END_BITS;
	put(&wire, 0, 1); /* error state indicator */
	put(&wire, length_code(frame->length), 4);
	for (uint8_t i = 0; i < data; i++)
		put(&wire, frame->data[i], 8);
	/*
	 * The stuff count and the CRC, with stuff bits at fixed places: one before every four. The
	 * first takes the place of one that the data ask for.
	 */
	bits.data = take_bits(&wire) - wire.stuffed + (data <= 16 ? 4 + 17 + 6 : 4 + 21 + 7);
	if (!switched)
		bits = (struct can_frame_bits){bits.nominal + bits.data, 0};
	return bits;
}

uint64_t can_frame_priority(const struct can_bus_frame *frame)
{
	uint64_t remote = frame->flags & CAN_BUS_RTR ? 1 : 0;
	uint64_t fd = frame->flags & CAN_BUS_FD ? 1 : 0;

	if (frame->flags & CAN_BUS_EXTENDED)
		return (uint64_t)(frame->id >> 18) << 22 | 1 << 21 | 1 << 20 |
		       (uint64_t)(frame->id & 0x3ffff) << 2 | remote << 1 | fd;
	return (uint64_t)frame->id << 22 | remote << 21 | 0 << 20 | fd << 19;
}
