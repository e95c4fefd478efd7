// SPDX-License-Identifier: BSD-3-Clause
/*
 * The CAN device (VIRTIO 1.4, 5.20): a controller on a bus that the backend provides.
 *
 * Frames of the driver go to the backend, at most CAN_OUTSTANDING_MAX at a time; the rest waits in
 * the Txq. The bus decides which goes first, so they come back in any order, and IN_ORDER is not
 * offered. Received frames that the driver has no buffers for are kept, CAN_BACKLOG_MAX of them.
 *
 * What became of a frame that was at the bus when the connection to it ended, or this process, is
 * not known: it comes back with NOT_OK, so that none is sent twice.
 */
#ifndef AVP_DEVICE_CAN_CAN_H
#define AVP_DEVICE_CAN_CAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/can/virtio_can.h"
#include "virtio/device.h"

#define CAN_QUEUES	    3
#define CAN_QUEUE_SIZE_MAX  256
#define CAN_OUTSTANDING_MAX 64
#define CAN_BACKLOG_MAX	    256

#define CAN_DATA_MAX	    64

struct can_frame {
	uint32_t id;
	bool extended, rtr, fd;
	uint8_t length; /* of the data; of a remote frame, which has none, what it asks for */
	uint8_t data[CAN_DATA_MAX];
};

/* Whether a bus can carry it: the ranges of id and length, and kinds that exist. */
bool can_frame_is_valid(const struct can_frame *frame);

struct can_device;
struct can_backend;

struct can_backend_ops {
	/*
	 * Takes part in the bus, or leaves it. The answers are can_device_started and
	 * can_device_stopped; they may come from within. Frames that the bus still has when it is
	 * left come back with can_device_sent before can_device_stopped, or not at all.
	 */
	void (*start)(struct can_backend *backend);
	void (*stop)(struct can_backend *backend);
	/*
	 * Sends the frame; what became of it is told with can_device_sent and @tag, not from
	 * within. Only while the controller is started. False: there is no bus, or no room, at
	 * present; can_device_resume follows.
	 */
	bool (*send)(struct can_backend *backend, uint32_t tag, const struct can_frame *frame);
	/* A batch of sends is complete. */
	void (*flush)(struct can_backend *backend);
	/*
	 * The device was reset: leave the bus, and give no answers to what came before. Also for a
	 * backend that is not started.
	 */
	void (*reset)(struct can_backend *backend);
};

struct can_backend {
	const struct can_backend_ops *ops;
	bool classic, fd, rtr;	/* what frames the bus carries */
	struct can_device *can; /* set by the device */
};

enum can_mode { CAN_STOPPED, CAN_STARTING, CAN_STARTED, CAN_STOPPING };

struct can_counts {
	uint64_t sent, not_sent, refused;     /* frames of the driver; refused: not valid */
	uint64_t received, dropped, filtered; /* filtered: of a kind that was not negotiated */
};

struct can_device {
	struct virtio_device device;
	struct virtqueue queues[CAN_QUEUES];
	struct can_backend *backend;
	struct virtio_can_config config;
	enum can_mode mode;
	struct virtio_request *control; /* waits for the backend; NULL: none does */
	bool in_control;		/* requests are being taken from the Controlq */
	/* Frames at the bus. */
	struct can_slot {
		uint32_t tag;			/* 0: the slot is free */
		struct virtio_request *request; /* NULL: acknowledged already */
	} slots[CAN_OUTSTANDING_MAX];
	uint16_t outstanding;
	uint32_t generation; /* of tags */
	/* Received frames that wait for buffers: a ring. */
	uint16_t backlog_first, backlog_count;
	struct can_counts counts;
	struct can_frame backlog[CAN_BACKLOG_MAX];
};

void can_device_init(struct can_device *can, struct can_backend *backend);

/* The controller takes part in the bus, or (@success false) it cannot. */
void can_device_started(struct can_device *can, bool success);
/* It has left the bus, as it was asked to. */
void can_device_stopped(struct can_device *can);
/*
 * The frame of @tag was acknowledged on the bus, or (@success false) will not be sent. A tag that
 * is not known is of a frame that was given up, and ignored. Call can_device_resume after a batch.
 */
void can_device_sent(struct can_device *can, uint32_t tag, bool success);
/* The controller went bus-off: it takes no part in the bus until it is started again. */
void can_device_bus_off(struct can_device *can);
/* The bus is gone, with all frames that it had. A start that waits for its answer still does. */
void can_device_lost(struct can_device *can);
/* Notifies the driver of what was sent, and takes more frames. */
void can_device_resume(struct can_device *can);
/* A frame of somebody else was on the bus. Call can_device_received after a batch. */
void can_device_receive(struct can_device *can, const struct can_frame *frame);
void can_device_received(struct can_device *can);

#endif
