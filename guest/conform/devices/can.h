// SPDX-License-Identifier: BSD-3-Clause
/* CAN devices (VIRTIO 1.4, 5.20) in tests: one alone, or two controllers on one bus. */
#ifndef CONFORM_CAN_H
#define CONFORM_CAN_H

#include "bus/bus.h"
#include "device/can/virtio_can.h"

#define CAN_DATA    64
#define CAN_BUFFERS 64 /* of the Rxq, at most */
#define CAN_FRAMES  64 /* in flight, at most */

#define CAN_CLASSIC FEATURE(VIRTIO_CAN_F_CAN_CLASSIC)
#define CAN_FD	    FEATURE(VIRTIO_CAN_F_CAN_FD)
#define CAN_RTR	    FEATURE(VIRTIO_CAN_F_RTR_FRAMES)
#define CAN_LATE    FEATURE(VIRTIO_CAN_F_LATE_TX_ACK)
#define CAN_ALL	    (CAN_CLASSIC | CAN_FD | CAN_RTR | CAN_LATE)

#define CAN_OK	    VIRTIO_CAN_RESULT_OK
#define CAN_NOT_OK  VIRTIO_CAN_RESULT_NOT_OK

struct can_message {
	struct virtio_can_head head;
	uint8_t data[CAN_DATA];
};
#define CAN_HEAD sizeof(struct virtio_can_head)

struct can {
	struct device *device;
	struct queue *transmit, *receive, *control;
	struct can_message *out, *in;
	volatile uint8_t *results; /* of the frames, by slot */
	uint8_t *request;	   /* of the Controlq */
};

/* Opens the @nth CAN device, stopped, with @buffers in its Rxq. Skips if there is none. */
void can_open(struct can *can, unsigned int nth, uint64_t features, unsigned int buffers);
/* Gives buffer @index to the Rxq. */
void can_offer(struct can *can, unsigned int index);

/* Sends a control request and returns its result; fails the test if there is none. */
uint8_t can_control(struct can *can, uint16_t type);
/* The same with a START that must succeed. */
void can_start(struct can *can);

/* A message to send, with data that depends on @number; @flags VIRTIO_CAN_FLAGS_*. */
struct can_message can_frame(uint32_t number, uint32_t id, uint32_t flags, uint16_t length);
/* Makes the first @size bytes of a message available, with a result, as number @slot. No kick. */
void can_add(struct can *can, unsigned int slot, const struct can_message *message, uint32_t size);
/* Waits for the next used frame. Returns its slot; -1: none came in time. */
int can_take(struct can *can, unsigned int ms);
/* Sends one message and returns its result; fails the test if it is not used. */
uint8_t can_send_bytes(struct can *can, const struct can_message *message, uint32_t size);
uint8_t can_send(struct can *can, const struct can_message *message);

/* Waits for a frame and copies it. False: none came. *length: of all that was written. */
bool can_receive(struct can *can, struct can_message *message, uint32_t *length, unsigned int ms);

/* Two controllers on one bus. */
struct can_bus {
	struct can a, b;
};

/*
 * Opens and starts both with these features; skips if there are no two controllers on one bus, or
 * fails if the command line has bus=1.
 */
void can_bus_open(struct can_bus *bus, uint64_t features_a, uint64_t features_b);
/* The next frame that @to gets must be the one sent, in all that a bus carries of it. */
void can_expect(struct can *to, const struct can_message *sent, const char *what);
/* Sends a frame from @from, which must arrive at @to as the next one. */
void can_pass(struct can *from, struct can *to, uint32_t number, const char *what);

#endif
