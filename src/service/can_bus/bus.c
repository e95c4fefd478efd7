// SPDX-License-Identifier: BSD-3-Clause
/* A CAN bus with its nodes. */
#include "service/can_bus/bus.h"

#include <stdlib.h>
#include <string.h>

#include "service/can_bus/frame.h"

#define SECOND_NS UINT64_C(1000000000)

/* Steps of the error counters (ISO 11898-1, 12.1.4.2), and the limits of the states. */
#define TRANSMIT_ERROR_STEP 8
#define WARNING_LIMIT	    96
#define PASSIVE_LIMIT	    128
#define BUS_OFF_LIMIT	    256

/* An error frame: flags of up to 12 bits, the delimiter of 8, and the intermission of 3. */
#define ERROR_BITS (12 + 8 + 3)

/* Frames that are carried late, before a new one is taken. */
#define CATCH_UP_MAX 64

/* A frame in units of an allowance. */
#define ONE_FRAME (UINT64_C(1) << 32)

void can_bus_init(struct can_bus *bus, const struct can_bus_settings *settings,
		  const struct can_bus_ops *ops, void *context)
{
	memset(bus, 0, sizeof(*bus));
	bus->settings = *settings;
	bus->ops = ops;
	bus->context = context;
}

void can_bus_close(struct can_bus *bus)
{
	for (unsigned int i = 0; i < CAN_BUS_NODES_MAX; i++)
		can_bus_remove(bus, &bus->nodes[i]);
}

struct can_bus_node *can_bus_add(struct can_bus *bus, const struct can_bus_rights *rights,
				 void *context, uint64_t now_ns)
{
	struct can_bus_node *node = bus->nodes;

	while (node->used)
		if (++node == bus->nodes + CAN_BUS_NODES_MAX)
			return NULL;
	*node = (struct can_bus_node){
		.used = true,
		.context = context,
		.rights = rights,
		.allowance = rights->burst * ONE_FRAME,
		.allowance_ns = now_ns,
		.waiting = calloc(CAN_BUS_PENDING_MAX, sizeof(*node->waiting)),
	};
	if (!node->waiting) {
		node->used = false;
		return NULL;
	}
	return node;
}

void can_bus_remove(struct can_bus *bus, struct can_bus_node *node)
{
	free(node->waiting);
	*node = (struct can_bus_node){0};
	/* A frame on the wire is as good as unfinished: nobody has it yet. */
	if (bus->sender == node)
		bus->sender = NULL;
}

enum can_bus_state can_bus_state(const struct can_bus_node *node)
{
	uint16_t highest = node->transmit_errors > node->receive_errors ? node->transmit_errors :
									  node->receive_errors;

	if (node->transmit_errors >= BUS_OFF_LIMIT)
		return CAN_BUS_OFF;
	if (highest >= PASSIVE_LIMIT)
		return CAN_BUS_PASSIVE;
	return highest >= WARNING_LIMIT ? CAN_BUS_WARNING : CAN_BUS_ACTIVE;
}

bool can_bus_filters_pass(const struct can_bus_filters *filters, const struct can_bus_frame *frame)
{
	bool extended = frame->flags & CAN_BUS_EXTENDED;

	for (size_t i = 0; i < filters->count; i++) {
		const struct can_bus_filter *filter = &filters->list[i];

		if (filter->extended == extended && !((filter->id ^ frame->id) & filter->mask))
			return true;
	}
	return filters->count == 0;
}

/* The heap of a node's frames */

static bool goes_before(const struct can_bus_waiting *a, const struct can_bus_waiting *b)
{
	if (a->priority != b->priority)
		return a->priority < b->priority;
	return a->sequence < b->sequence;
}

static void exchange(struct can_bus_waiting *a, struct can_bus_waiting *b)
{
	struct can_bus_waiting kept = *a;

	*a = *b;
	*b = kept;
}

static void heap_add(struct can_bus_node *node, const struct can_bus_waiting *waiting)
{
	uint32_t at = node->waiting_count++;

	node->waiting[at] = *waiting;
	while (at > 0 && goes_before(&node->waiting[at], &node->waiting[(at - 1) / 2])) {
		exchange(&node->waiting[at], &node->waiting[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
}

static void heap_remove_first(struct can_bus_node *node)
{
	uint32_t at = 0;

	node->waiting[0] = node->waiting[--node->waiting_count];
	for (;;) {
		uint32_t least = at;

		for (uint32_t child = 2 * at + 1; child <= 2 * at + 2; child++)
			if (child < node->waiting_count &&
			    goes_before(&node->waiting[child], &node->waiting[least]))
				least = child;
		if (least == at)
			return;
		exchange(&node->waiting[at], &node->waiting[least]);
		at = least;
	}
}

/* Nodes */

static void give_back(struct can_bus *bus, struct can_bus_node *node, uint32_t tag)
{
	node->counts.not_sent++;
	bus->ops->sent(node, tag, false);
}

void can_bus_start(struct can_bus_node *node)
{
	node->started = true;
	node->transmit_errors = node->receive_errors = 0;
}

void can_bus_stop(struct can_bus *bus, struct can_bus_node *node)
{
	node->started = false;
	while (node->waiting_count > 0) {
		uint32_t tag = node->waiting[0].tag;

		heap_remove_first(node);
		give_back(bus, node, tag);
	}
	/* It takes itself off the wire, in the middle of the frame. */
	if (bus->sender == node) {
		bus->sender = NULL;
		give_back(bus, node, bus->current.tag);
	}
}

void can_bus_send(struct can_bus *bus, struct can_bus_node *node, uint32_t tag,
		  const struct can_bus_frame *frame, uint64_t now_ns)
{
	/* What the bus has carried until now does not wait for this frame. */
	if (bus->settings.bit_rate)
		can_bus_run(bus, now_ns, CATCH_UP_MAX);
	if (!node->started || node->waiting_count == CAN_BUS_PENDING_MAX) {
		give_back(bus, node, tag);
		return;
	}
	if (!can_frame_exists(frame) || (frame->flags & CAN_BUS_FD && !bus->settings.fd) ||
	    !can_bus_filters_pass(&node->rights->send, frame)) {
		node->counts.refused++;
		give_back(bus, node, tag);
		return;
	}
	heap_add(node, &(struct can_bus_waiting){
			       .priority = can_frame_priority(frame),
			       .sequence = bus->sequence++,
			       .since_ns = now_ns,
			       .tag = tag,
			       .frame = *frame,
		       });
}

/* The bus */

static uint64_t time_of(uint64_t bits, uint32_t bit_rate)
{
	return bit_rate ? bits * SECOND_NS / bit_rate : 0;
}

static uint64_t duration_of(const struct can_bus *bus, const struct can_bus_frame *frame)
{
	struct can_frame_bits bits;

	if (!bus->settings.bit_rate)
		return 0;
	bits = can_frame_bits(frame, bus->settings.data_bit_rate != 0);
	return time_of(bits.nominal, bus->settings.bit_rate) +
	       time_of(bits.data, bus->settings.data_bit_rate);
}

static void carry(struct can_bus *bus, const struct can_bus_node *sender,
		  const struct can_bus_frame *frame, uint64_t now_ns)
{
	bus->frames++;
	for (struct can_bus_node *node = bus->nodes; node < bus->nodes + CAN_BUS_NODES_MAX;
	     node++) {
		if (!node->started || node == sender ||
		    !can_bus_filters_pass(&node->rights->receive, frame))
			continue;
		if (bus->ops->receive(node, frame, now_ns))
			node->counts.received++;
		else
			node->counts.lost++;
		if (node->receive_errors > 0)
			node->receive_errors--;
	}
	if (bus->ops->carried)
		bus->ops->carried(bus->context, frame, now_ns);
}

/*
 * Brings the allowance of a node up to date. Returns the time until it may send a frame, 0: now.
 * The allowance grows to @burst frames, and is worth a frame at least.
 */
static uint64_t allowance_wait(struct can_bus_node *node, uint64_t now_ns)
{
	uint64_t rate = node->rights->frames_per_second;
	uint64_t most = (node->rights->burst ? node->rights->burst : 1) * ONE_FRAME;
	__uint128_t allowance;

	if (!rate)
		return 0;
	allowance = (__uint128_t)(now_ns - node->allowance_ns) * rate / SECOND_NS;
	/* Whole frames first: their fractions could be too many for the number. */
	allowance = allowance > most / ONE_FRAME ?
			    most :
			    node->allowance + (__uint128_t)(now_ns - node->allowance_ns) * rate *
						      ONE_FRAME / SECOND_NS;
	node->allowance = allowance > most ? most : (uint64_t)allowance;
	node->allowance_ns = now_ns;
	if (node->allowance >= ONE_FRAME)
		return 0;
	return (uint64_t)((__uint128_t)(ONE_FRAME - node->allowance) * SECOND_NS / rate /
			  ONE_FRAME) +
	       1;
}

/*
 * The arbitration: the node whose frame goes next, or NULL; then *again_ns is lowered to when one
 * may send.
 */
static struct can_bus_node *arbitrate(struct can_bus *bus, uint64_t now_ns, uint64_t *again_ns)
{
	struct can_bus_node *best = NULL;

	for (struct can_bus_node *node = bus->nodes; node < bus->nodes + CAN_BUS_NODES_MAX;
	     node++) {
		uint64_t wait;

		if (!node->waiting_count)
			continue;
		wait = allowance_wait(node, now_ns);
		if (wait > 0) {
			if (now_ns + wait < *again_ns)
				*again_ns = now_ns + wait;
			continue;
		}
		if (!best || goes_before(&node->waiting[0], &best->waiting[0]))
			best = node;
	}
	return best;
}

/*
 * The frame starts when the bus became free, or when it came: the owner calls late. A node whose
 * allowance is limited starts now.
 */
static void begin(struct can_bus *bus, struct can_bus_node *node, uint64_t now_ns)
{
	uint64_t start_ns = node->waiting[0].since_ns, duration;

	if (start_ns < bus->busy_until_ns)
		start_ns = bus->busy_until_ns;
	if (start_ns > now_ns || node->rights->frames_per_second)
		start_ns = now_ns;

	bus->sender = node;
	bus->current = node->waiting[0];
	heap_remove_first(node);
	if (node->rights->frames_per_second)
		node->allowance -= ONE_FRAME;
	bus->current_fails = node->inject > 0;
	if (bus->current_fails)
		node->inject--;
	duration = bus->current_fails ? time_of(ERROR_BITS, bus->settings.bit_rate) :
					duration_of(bus, &bus->current.frame);
	bus->busy_since_ns = start_ns;
	bus->busy_until_ns = start_ns + duration;
}

/* An error frame: everyone sees it, and the sender tries again, or is off the bus. */
static void fail(struct can_bus *bus, struct can_bus_node *node)
{
	node->counts.errors++;
	node->transmit_errors += TRANSMIT_ERROR_STEP;
	for (struct can_bus_node *other = bus->nodes; other < bus->nodes + CAN_BUS_NODES_MAX;
	     other++)
		if (other->started && other != node && other->receive_errors < PASSIVE_LIMIT)
			other->receive_errors++;
	if (can_bus_state(node) == CAN_BUS_OFF) {
		give_back(bus, node, bus->current.tag);
		can_bus_stop(bus, node);
		bus->ops->bus_off(node);
		return;
	}
	/* Its place among frames of the same identifier is as it was. */
	if (node->waiting_count < CAN_BUS_PENDING_MAX)
		heap_add(node, &bus->current);
	else
		give_back(bus, node, bus->current.tag);
}

/* A frame on the wire was over at @now_ns. */
static void count(struct can_bus *bus, uint64_t busy_ns, uint64_t now_ns)
{
	uint64_t number = now_ns / CAN_BUS_PERIOD_NS;
	unsigned int place = (unsigned int)(number % (CAN_BUS_PERIODS + 1));

	bus->busy_ns += busy_ns;
	if (bus->periods[place].number != number) {
		bus->periods[place].number = number;
		bus->periods[place].frames = bus->periods[place].busy_ns = 0;
	}
	bus->periods[place].busy_ns += busy_ns;
	bus->periods[place].frames += !bus->current_fails;
}

struct can_bus_load can_bus_load(const struct can_bus *bus, uint64_t now_ns)
{
	uint64_t number = now_ns / CAN_BUS_PERIOD_NS, busy_ns = 0;
	struct can_bus_load load = {0};

	/* The present period is not over. */
	for (unsigned int i = 0; i <= CAN_BUS_PERIODS; i++) {
		if (bus->periods[i].number >= number ||
		    bus->periods[i].number + CAN_BUS_PERIODS < number)
			continue;
		load.frames += bus->periods[i].frames;
		busy_ns += bus->periods[i].busy_ns;
	}
	/* A frame counts in the period in which it ends. */
	load.busy_permille = (unsigned int)(busy_ns * 1000 / (CAN_BUS_PERIODS * CAN_BUS_PERIOD_NS));
	if (load.busy_permille > 1000)
		load.busy_permille = 1000;
	return load;
}

static void finish(struct can_bus *bus)
{
	struct can_bus_node *node = bus->sender;
	uint64_t now_ns = bus->busy_until_ns;

	bus->sender = NULL;
	count(bus, bus->busy_until_ns - bus->busy_since_ns, now_ns);
	if (bus->current_fails) {
		fail(bus, node);
		return;
	}
	if (node->transmit_errors > 0)
		node->transmit_errors--;
	carry(bus, node, &bus->current.frame, now_ns);
	node->counts.sent++;
	bus->ops->sent(node, bus->current.tag, true);
}

uint64_t can_bus_run(struct can_bus *bus, uint64_t now_ns, unsigned int limit)
{
	while (limit > 0) {
		uint64_t again_ns = UINT64_MAX;
		struct can_bus_node *next;

		if (bus->sender) {
			if (bus->busy_until_ns > now_ns)
				return bus->busy_until_ns;
			finish(bus);
			limit--;
			continue;
		}
		next = arbitrate(bus, now_ns, &again_ns);
		if (!next)
			return again_ns;
		begin(bus, next, now_ns);
	}
	return 0;
}
