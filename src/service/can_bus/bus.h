// SPDX-License-Identifier: BSD-3-Clause
/*
 * A CAN bus with its nodes (ISO 11898-1): arbitration among the frames that wait, the time that
 * they take, error counters, and who gets what. It makes no system call: the owner says what time
 * it is, and is told what happens.
 *
 * Every frame is acknowledged, because the bus itself is a node, unless an error is injected.
 *
 * Times are those of one clock, in nanoseconds. The functions of can_bus_ops must not call any
 * here.
 */
#ifndef AVP_SERVICE_CAN_BUS_BUS_H
#define AVP_SERVICE_CAN_BUS_BUS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/can_bus/protocol.h"

#define CAN_BUS_NODES_MAX   64
#define CAN_BUS_FILTERS_MAX 32

/* The load is that of so many of these periods. */
#define CAN_BUS_PERIODS	  10
#define CAN_BUS_PERIOD_NS UINT64_C(100000000)

/* Identifiers: those that agree with @id where @mask has ones. */
struct can_bus_filter {
	uint32_t id, mask;
	bool extended;
};

struct can_bus_filters {
	size_t count; /* 0: all identifiers pass */
	struct can_bus_filter list[CAN_BUS_FILTERS_MAX];
};

struct can_bus_rights {
	struct can_bus_filters send, receive;
	/* The most frames that it may send: on average, and at once. 0: no limit. */
	uint32_t frames_per_second, burst;
};

/* States of a node (ISO 11898-1, 12.1.4.2), in the order of its error counters. */
enum can_bus_state { CAN_BUS_ACTIVE, CAN_BUS_WARNING, CAN_BUS_PASSIVE, CAN_BUS_OFF };

struct can_bus_counts {
	uint64_t sent, not_sent; /* frames of the node: on the bus, or returned */
	uint64_t received;	 /* delivered to it */
	uint64_t lost;		 /* it had no room for */
	uint64_t refused;	 /* of @not_sent: not permitted, or not a frame that exists */
	uint64_t errors;	 /* error frames for its transmissions */
};

struct can_bus_waiting {
	uint64_t priority, sequence;
	uint64_t since_ns;
	uint32_t tag;
	struct can_bus_frame frame;
};

struct can_bus_node {
	bool used, started;
	void *context; /* the owner's */
	const struct can_bus_rights *rights;
	struct can_bus_counts counts;
	uint16_t transmit_errors, receive_errors; /* the counters TEC and REC */
	uint32_t inject;       /* so many of its transmissions end with an error frame */
	uint64_t allowance;    /* frames that it may send at once, in 2^-32 */
	uint64_t allowance_ns; /* when that was computed */
	uint32_t waiting_count;
	struct can_bus_waiting *waiting; /* a heap: the one that goes next is first */
};

struct can_bus_ops {
	/* The frame @tag of the node is over. */
	void (*sent)(struct can_bus_node *node, uint32_t tag, bool success);
	/* A frame for the node. False: it has no room. */
	bool (*receive)(struct can_bus_node *node, const struct can_bus_frame *frame,
			uint64_t time_ns);
	/* The node went bus-off: it is stopped, and its frames are returned. */
	void (*bus_off)(struct can_bus_node *node);
	/* Each frame on the bus, for logs. May be NULL. */
	void (*carried)(void *context, const struct can_bus_frame *frame, uint64_t time_ns);
};

struct can_bus_settings {
	uint32_t bit_rate;	/* bits a second; 0: as fast as possible */
	uint32_t data_bit_rate; /* of FD frames' data; 0: they do not switch */
	bool fd;		/* the bus carries FD frames */
};

struct can_bus {
	struct can_bus_settings settings;
	const struct can_bus_ops *ops;
	void *context;
	struct can_bus_node nodes[CAN_BUS_NODES_MAX];
	uint64_t sequence;
	/* The frame on the wire: of @sender, until @busy_until_ns. */
	struct can_bus_node *sender; /* NULL: the bus is idle */
	struct can_bus_waiting current;
	bool current_fails;
	uint64_t busy_since_ns, busy_until_ns;
	uint64_t frames, busy_ns; /* in all */
	struct {
		uint64_t number; /* of the period since the clock began */
		uint64_t frames, busy_ns;
	} periods[CAN_BUS_PERIODS + 1]; /* the last ones and the present one */
};

void can_bus_init(struct can_bus *bus, const struct can_bus_settings *settings,
		  const struct can_bus_ops *ops, void *context);
void can_bus_close(struct can_bus *bus);

/*
 * Adds a node with these rights, which the owner keeps; it is stopped. NULL: too many, or no
 * memory. Removing a node gives no answers to its frames.
 */
struct can_bus_node *can_bus_add(struct can_bus *bus, const struct can_bus_rights *rights,
				 void *context, uint64_t now_ns);
void can_bus_remove(struct can_bus *bus, struct can_bus_node *node);

/* The node takes part: with its error counters at 0. */
void can_bus_start(struct can_bus_node *node);
/* It leaves: its frames come back, also one that is on the wire. */
void can_bus_stop(struct can_bus *bus, struct can_bus_node *node);

/*
 * A frame of the node waits for the bus from now on, or comes back at once: the node is stopped,
 * has too many that wait, may not send it, or there is no such frame. The bus first carries what
 * was due before it came. What is behind the data of a frame must be zero: others get it.
 */
void can_bus_send(struct can_bus *bus, struct can_bus_node *node, uint32_t tag,
		  const struct can_bus_frame *frame, uint64_t now_ns);

/*
 * Carries frames until @now_ns, at most @limit of them. Returns the time at which to call again, 0:
 * at once, UINT64_MAX: when a frame was sent.
 */
uint64_t can_bus_run(struct can_bus *bus, uint64_t now_ns, unsigned int limit);

/*
 * What the bus has carried in the last second: frames, and the share of time in which it was busy,
 * in parts of a thousand; 0 without a bit rate. It counts whole periods, so that a second is one of
 * at most CAN_BUS_PERIOD_NS before @now_ns.
 */
struct can_bus_load {
	uint64_t frames;
	unsigned int busy_permille;
};

struct can_bus_load can_bus_load(const struct can_bus *bus, uint64_t now_ns);

enum can_bus_state can_bus_state(const struct can_bus_node *node);

/* Whether the identifier of the frame passes. */
bool can_bus_filters_pass(const struct can_bus_filters *filters, const struct can_bus_frame *frame);

#endif
