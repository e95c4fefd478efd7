// SPDX-License-Identifier: BSD-3-Clause
/*
 * Frames of a CAN bus as they are on the wire (ISO 11898-1): which of them exist, which wins, and
 * how long they take.
 */
#ifndef AVP_SERVICE_CAN_BUS_FRAME_H
#define AVP_SERVICE_CAN_BUS_FRAME_H

#include <stdbool.h>
#include <stdint.h>

#include "service/can_bus/protocol.h"

/* Whether a bus can carry it. What is behind the data is not looked at. */
bool can_frame_exists(const struct can_bus_frame *frame);

/*
 * The bits that decide in the arbitration, the first one on the wire in the highest place: of two
 * frames, that with the smaller number wins.
 */
uint64_t can_frame_priority(const struct can_bus_frame *frame);

/*
 * The bits of a frame with its stuff bits, its acknowledgement and the space behind it: those at
 * the nominal bit rate, and those at that of the data phase. With @switched false, and for classic
 * frames, all are at the nominal one.
 */
struct can_frame_bits {
	uint32_t nominal, data;
};

struct can_frame_bits can_frame_bits(const struct can_bus_frame *frame, bool switched);

#endif
