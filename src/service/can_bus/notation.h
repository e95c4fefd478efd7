// SPDX-License-Identifier: BSD-3-Clause
/*
 * CAN frames as text, in the notation of cansend and of the log files of candump -L (can-utils):
 *
 *	123#DEADBEEF	an identifier of 11 bits, and data; dots between the bytes are ignored
 *	12345678#	one of 29 bits: 8 digits; no data
 *	123#R4		a remote frame that asks for 4 bytes; R alone asks for none
 *	123##1AABB	an FD frame: a digit of flags, then data
 *	(1436509052.249713) can0 123#DEADBEEF	a line of a log
 *
 * The flags of an FD frame (1 BRS, 2 ESI) are accepted and not kept: the bus switches the bit rate
 * or does not, and no client knows an error state. Written are 1 or 0 as the bus does it. A log may
 * have error frames, 8 digits with the bit 0x20000000.
 */
#ifndef AVP_SERVICE_CAN_BUS_NOTATION_H
#define AVP_SERVICE_CAN_BUS_NOTATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/can_bus/protocol.h"

/* The longest frame as text, with its zero: 8 digits, "##1", and 64 bytes. */
#define CAN_NOTATION_SIZE (8 + 3 + 2 * CAN_BUS_DATA_MAX + 1)

/*
 * Parses the @length bytes at @text, all of which must be the frame. False: they are not one that
 * exists.
 */
bool can_notation_parse(const char *text, size_t length, struct can_bus_frame *frame);

/* Writes a frame that exists. Returns its length, without the zero. */
size_t can_notation_format(const struct can_bus_frame *frame, bool switched,
			   char text[CAN_NOTATION_SIZE]);

/* The longest name of an interface in a log, and the longest line with newline and zero. */
#define CAN_NOTATION_NAME_MAX  255
#define CAN_NOTATION_LINE_SIZE (40 + CAN_NOTATION_NAME_MAX + CAN_NOTATION_SIZE + 1)

/*
 * Writes a line of a log, with its newline; @time_ns: of CLOCK_REALTIME. Returns its length,
 * without the zero.
 */
size_t can_notation_format_line(const struct can_bus_frame *frame, bool switched, const char *name,
				uint64_t time_ns, char line[CAN_NOTATION_LINE_SIZE]);

struct can_notation_line {
	uint64_t time_ns;
	const char *name; /* of the interface, in the line */
	size_t name_length;
	bool error; /* an error frame of candump -e; it has no @frame */
	struct can_bus_frame frame;
};

/* Parses a line of a log, without its newline. False: it is not one. */
bool can_notation_parse_line(const char *text, size_t length, struct can_notation_line *line);

#endif
