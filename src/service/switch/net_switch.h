// SPDX-License-Identifier: BSD-3-Clause
/*
 * An Ethernet switch (IEEE 802.1Q): learning, VLANs, priorities, and who may send to whom. It makes
 * no system call: the owner says what time it is, and gives room for frames.
 *
 * A frame goes to the port at once, or waits in a queue of its priority: while the port has no
 * room, or a limit. What the queue has no room for is lost.
 *
 * Times are those of one clock, in nanoseconds. Functions that are called from here must not
 * call any here.
 */
#ifndef AVP_SERVICE_SWITCH_NET_SWITCH_H
#define AVP_SERVICE_SWITCH_NET_SWITCH_H

#include <stdbool.h>
#include <stdint.h>

#include "service/channel/channel.h"
#include "service/switch/frame.h"
#include "service/switch/groups.h"
#include "service/switch/limit.h"
#include "service/switch/queue.h"
#include "service/switch/table.h"

#define SWITCH_VLANS 4096
/* Addresses that are reserved for ports, in all. */
#define SWITCH_PINS_MAX 1024

struct switch_port_settings {
	uint16_t vlan;			 /* of untagged frames; 0: there are none */
	uint8_t trunk[SWITCH_VLANS / 8]; /* a bit for each VLAN of tagged frames */
	uint8_t priority;		 /* of frames without one */
	uint8_t priority_max;		 /* higher ones are lowered */
	bool pinned;			 /* it sends only from the addresses pinned to it */
	/* What it may send, and be sent: the rest waits. 0: no limit. */
	uint64_t frames_per_second, bytes_per_second, receive_bytes_per_second;
	uint64_t burst; /* bytes that it may send at once, and be sent */
};

struct switch_counts {
	uint64_t frames;	/* that it sent, and that were taken */
	uint64_t delivered;	/* to it */
	uint64_t lost;		/* for it: the queue had no room */
	uint64_t malformed;	/* that it sent: no frame has this length, or such headers */
	uint64_t bad_tag;	/* VLANs that it may not send in, more than one tag */
	uint64_t bad_address;	/* addresses that are not its own, or nobody's */
	uint64_t not_permitted; /* frames for an address of one that it may not send to */
	uint64_t limited;	/* how often it had to wait for a limit */
	uint64_t moved;		/* addresses that moved to it from another port */
};

struct switch_port;

struct switch_port_ops {
	/* Reserves room for a message (protocol.h) to the port. False: there is none at present. */
	bool (*reserve)(struct switch_port *port, uint32_t length, struct channel_span *span);
	/* What was reserved is complete. */
	void (*commit)(struct switch_port *port);
};

struct switch_port {
	bool used;
	bool blocked; /* frames wait for room, not for a limit */
	uint8_t index;
	const struct switch_port_ops *ops;
	void *context; /* the owner's */
	const struct switch_port_settings *settings;
	uint32_t offloads; /* SWITCH_CHECKSUM, … */
	struct switch_limit frames, bytes, receive;
	struct switch_queue queue;
	struct switch_counts counts;
};

struct switch_pin {
	uint64_t address;
	const struct switch_port_settings *owner;
};

struct net_switch {
	/* Each frame that was taken, for captures; NULL: there are none. */
	void (*taken)(void *context, const struct switch_port *port,
		      const struct switch_frame *frame);
	void *context; /* of taken */
	struct switch_port ports[SWITCH_PORTS_MAX];
	bool permitted[SWITCH_PORTS_MAX][SWITCH_PORTS_MAX]; /* from, to */
	unsigned int pin_count;
	struct switch_pin pins[SWITCH_PINS_MAX]; /* sorted */
	struct switch_table table;
	struct switch_groups groups;
	uint8_t message[SWITCH_HEADER + SWITCH_FRAME_MAX]; /* being completed */
	uint8_t packet[SWITCH_REPORT_MAX];		   /* being looked at */
};

/* *net is zeroed. @seed: a number that nobody can guess. */
void net_switch_init(struct net_switch *net, uint64_t seed);
void net_switch_close(struct net_switch *net);

/*
 * Reserves an address for ports with these settings. Returns 0; -EEXIST: it is reserved for others;
 * -ENOSPC: there are too many.
 */
int net_switch_pin(struct net_switch *net, uint64_t address,
		   const struct switch_port_settings *owner);

/*
 * Adds a port with these settings, which the owner keeps. It may not send to any other, nor they to
 * it. NULL: too many, or no memory.
 */
struct switch_port *net_switch_add(struct net_switch *net,
				   const struct switch_port_settings *settings,
				   const struct switch_port_ops *ops, void *context);
/* Removes it, with what waits for it and what was learned. */
void net_switch_remove(struct net_switch *net, struct switch_port *port);

void net_switch_permit(struct net_switch *net, const struct switch_port *from,
		       const struct switch_port *to);

/*
 * A message of kind SWITCH_FRAME from the port. Its limits are the owner's to keep:
 * switch_port_wait. Returns 0, or -EPROTO: no correct client sends that.
 */
int net_switch_take(struct net_switch *net, struct switch_port *port,
		    const struct channel_span *span, uint32_t length, uint64_t now_ns);

/* The time until the port may send again, 0: now. */
uint64_t switch_port_wait(const struct switch_port *port, uint64_t now_ns);

/*
 * Gives ports what waits for them, a bounded number of frames. Returns the time at which to call
 * again, @now_ns: at once, UINT64_MAX: when a frame was taken, or a port that is blocked has room.
 */
uint64_t net_switch_run(struct net_switch *net, uint64_t now_ns);

#endif
