// SPDX-License-Identifier: BSD-3-Clause
/*
 * What a CAN bus and its clients say to each other over a channel (service/channel/channel.h). Each
 * message is one of these structs, and its kind says which; numbers are in the byte order of the
 * machine. can-bus.md describes it for those who write a client.
 *
 * A client numbers its participations: START opens one, and ends the one before; STOP ends it. Both
 * ends ignore what belongs to a participation that has ended. While the channel to a client has no
 * room for the longest message, the bus takes nothing from it; frames for it are lost when only
 * the room for its answers is left.
 */
#ifndef AVP_SERVICE_CAN_BUS_PROTOCOL_H
#define AVP_SERVICE_CAN_BUS_PROTOCOL_H

#include <stdint.h>

/* Slots of a channel: a message of any kind fits into one. */
#define CAN_BUS_SLOT_SIZE 128
#define CAN_BUS_SLOTS	  4096

/* Frames of a client that wait for the bus; more come back at once, not sent. */
#define CAN_BUS_PENDING_MAX 256

#define CAN_BUS_DATA_MAX    64

/* From a client. */
#define CAN_BUS_START 1 /* struct can_bus_participation */
#define CAN_BUS_STOP  2 /* struct can_bus_participation */
#define CAN_BUS_SEND  3 /* struct can_bus_send */

/* To a client. */
#define CAN_BUS_STARTED	 4 /* struct can_bus_participation: it takes part */
#define CAN_BUS_STOPPED	 5 /* struct can_bus_participation: as it was asked to */
#define CAN_BUS_BUS_OFF	 6 /* struct can_bus_participation: it was stopped by the bus */
#define CAN_BUS_SENT	 7 /* struct can_bus_sent */
#define CAN_BUS_RECEIVED 8 /* struct can_bus_received */

struct can_bus_participation {
	uint32_t number;
};

#define CAN_BUS_EXTENDED 1
#define CAN_BUS_RTR	 2
#define CAN_BUS_FD	 4

struct can_bus_frame {
	uint32_t id;
	uint8_t flags;	/* CAN_BUS_EXTENDED, … */
	uint8_t length; /* of the data; what a remote frame asks for */
	uint8_t zero[2];
	uint8_t data[CAN_BUS_DATA_MAX]; /* zeros behind @length */
};

struct can_bus_send {
	uint32_t number; /* of the participation */
	uint32_t tag;	 /* for the answer */
	struct can_bus_frame frame;
};

struct can_bus_sent {
	uint32_t number, tag;
	uint32_t success; /* 0: it was not, and will not be, on the bus */
};

struct can_bus_received {
	uint64_t time_ns; /* of the end of the frame, CLOCK_MONOTONIC */
	struct can_bus_frame frame;
};

#endif
