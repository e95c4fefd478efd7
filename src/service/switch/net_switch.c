// SPDX-License-Identifier: BSD-3-Clause
/* An Ethernet switch. */
#include "service/switch/net_switch.h"

#include <errno.h>
#include <string.h>

#include "service/switch/offload.h"

/* Frames from the queue of one port before the next one's turn. */
#define FRAMES_AT_ONCE 64

/*
 * Addresses of protocols between neighbours, such as spanning tree and pause frames, which a bridge
 * does not forward: 01:80:c2:00:00:00 to 0f (IEEE 802.1Q, 8.6.3).
 */
#define NEIGHBOURS UINT64_C(0x0180c2000000)

/* A frame on its way to a port. */
struct delivery {
	struct net_switch *net;
	const struct switch_frame *frame;
	const struct switch_port *from;
	struct switch_port *to;
	uint64_t now_ns;
};

void net_switch_init(struct net_switch *net, uint64_t seed)
{
	net->table.seed = seed;
}

void net_switch_close(struct net_switch *net)
{
	for (unsigned int i = 0; i < SWITCH_PORTS_MAX; i++)
		if (net->ports[i].used)
			net_switch_remove(net, &net->ports[i]);
}

/* Ports */

struct switch_port *net_switch_add(struct net_switch *net,
				   const struct switch_port_settings *settings,
				   const struct switch_port_ops *ops, void *context)
{
	struct switch_port *port = net->ports;

	while (port->used)
		if (++port == net->ports + SWITCH_PORTS_MAX)
			return NULL;
	*port = (struct switch_port){
		.used = true,
		.index = (uint8_t)(port - net->ports),
		.ops = ops,
		.context = context,
		.settings = settings,
		.frames = {settings->frames_per_second, 0, 0},
		.bytes = {settings->bytes_per_second, settings->burst, 0},
		.receive = {settings->receive_bytes_per_second, settings->burst, 0},
	};
	if (switch_queue_open(&port->queue) < 0) {
		port->used = false;
		return NULL;
	}
	return port;
}

void net_switch_remove(struct net_switch *net, struct switch_port *port)
{
	switch_table_forget(&net->table, port->index);
	switch_groups_forget(&net->groups, port->index);
	switch_queue_close(&port->queue);
	for (unsigned int i = 0; i < SWITCH_PORTS_MAX; i++)
		net->permitted[port->index][i] = net->permitted[i][port->index] = false;
	/* What it has sent and still waits is counted as that of the next port with its number. */
	port->used = false;
}

void net_switch_permit(struct net_switch *net, const struct switch_port *from,
		       const struct switch_port *to)
{
	net->permitted[from->index][to->index] = true;
}

uint64_t switch_port_wait(const struct switch_port *port, uint64_t now_ns)
{
	uint64_t frames = switch_limit_wait(&port->frames, now_ns);
	uint64_t bytes = switch_limit_wait(&port->bytes, now_ns);

	return frames > bytes ? frames : bytes;
}

/* Reserved addresses */

/* The place of the first pin that is not lower. */
static unsigned int find_pin(const struct net_switch *net, uint64_t address)
{
	unsigned int from = 0, to = net->pin_count;

	while (from < to) {
		unsigned int middle = (from + to) / 2;

		if (net->pins[middle].address < address)
			from = middle + 1;
		else
			to = middle;
	}
	return from;
}

int net_switch_pin(struct net_switch *net, uint64_t address,
		   const struct switch_port_settings *owner)
{
	unsigned int place = find_pin(net, address);

	if (place < net->pin_count && net->pins[place].address == address)
		return net->pins[place].owner == owner ? 0 : -EEXIST;
	if (net->pin_count == SWITCH_PINS_MAX)
		return -ENOSPC;
	memmove(&net->pins[place + 1], &net->pins[place],
		(net->pin_count - place) * sizeof(net->pins[0]));
	net->pins[place] = (struct switch_pin){address, owner};
	net->pin_count++;
	return 0;
}

static bool may_send_from(const struct net_switch *net, const struct switch_port *port,
			  uint64_t address)
{
	unsigned int place = find_pin(net, address);

	if (place < net->pin_count && net->pins[place].address == address)
		return net->pins[place].owner == port->settings;
	return !port->settings->pinned;
}

/* VLANs (IEEE 802.1Q, 8.6.1 and 8.6.2) */

static bool has_tagged(const struct switch_port_settings *settings, uint16_t vlan)
{
	return settings->trunk[vlan / 8] >> vlan % 8 & 1;
}

/* Gives the frame its VLAN and priority. False: the port may not send it. */
static bool classify(struct switch_frame *frame, const struct switch_port_settings *settings)
{
	uint8_t priority = frame->tagged ? frame->priority : settings->priority;
	bool untagged = frame->vlan == 0;

	if (untagged ? !settings->vlan : !has_tagged(settings, frame->vlan))
		return false;
	if (priority > settings->priority_max)
		priority = settings->priority_max;
	switch_frame_classify(frame, untagged ? settings->vlan : frame->vlan, priority);
	return true;
}

static bool carries(const struct switch_port *port, uint16_t vlan)
{
	return port->settings->vlan == vlan || has_tagged(port->settings, vlan);
}

/* To a port */

/* Finds room for a message in the port, or in its queue. */
static bool reserve(const struct delivery *delivery, uint32_t length, bool *queued,
		    struct channel_span *span)
{
	struct switch_port *to = delivery->to;

	*queued = !switch_queue_is_empty(&to->queue) ||
		  switch_limit_wait(&to->receive, delivery->now_ns) ||
		  !to->ops->reserve(to, length, span);
	if (!*queued || switch_queue_add(&to->queue, delivery->frame->priority,
					 delivery->from->index, length, span))
		return true;
	to->counts.lost++;
	return false;
}

static void commit(struct switch_port *to, uint32_t length, uint64_t now_ns)
{
	to->ops->commit(to);
	to->counts.delivered++;
	switch_limit_use(&to->receive, length - SWITCH_HEADER, now_ns);
}

static void deliver_segment(void *context, const uint8_t *message, uint32_t length)
{
	const struct delivery *delivery = context;
	struct channel_span span;
	bool queued;

	if (!reserve(delivery, length, &queued, &span))
		return;
	channel_span_write(&span, 0, message, length);
	if (!queued)
		commit(delivery->to, length, delivery->now_ns);
}

/* For a port that does not take what the sender has left undone. */
static bool deliver_completed(struct delivery *delivery, bool tagged)
{
	const struct switch_offload_ops ops = {deliver_segment, delivery};
	uint32_t length = switch_frame_size(delivery->frame, tagged);
	const struct channel_span span = {{delivery->net->message}, {length}};

	switch_frame_write(delivery->frame, tagged, &span);
	return switch_offload_complete(delivery->net->message, length,
				       2 * ETH_ALEN + (tagged ? SWITCH_TAG_SIZE : 0), &ops);
}

/* Returns false when headers of the frame are not what it says. */
static bool deliver(struct delivery *delivery)
{
	const struct switch_frame *frame = delivery->frame;
	struct switch_port *to = delivery->to;
	bool queued, tagged = to->settings->vlan != frame->vlan;
	uint32_t length = switch_frame_size(frame, tagged);
	struct channel_span span;

	if (!switch_offload_fits(&frame->header, to->offloads))
		return deliver_completed(delivery, tagged);
	if (!reserve(delivery, length, &queued, &span))
		return true;
	switch_frame_write(frame, tagged, &span);
	if (!queued)
		commit(to, length, delivery->now_ns);
	return true;
}

/* Who gets it */

static struct switch_audience find_audience(struct net_switch *net,
					    const struct switch_frame *frame,
					    const struct switch_port *from, uint64_t address,
					    uint32_t now_s)
{
	uint32_t start = ETH_HLEN + (frame->tagged ? SWITCH_TAG_SIZE : 0);
	struct switch_packet packet = {
		.type = frame->type,
		.vlan = frame->vlan,
		.port = from->index,
		.address = address,
		.bytes = frame->head + start,
		.length = frame->head_length > start ? frame->head_length - start : 0,
	};

	if (!switch_is_multicast(address))
		return (struct switch_audience){.all = true};
	if (switch_groups_reads(&packet)) {
		/* The headers were copied, and may have changed: it is read anew as a whole. */
		packet.length = frame->length - start;
		if (packet.length > sizeof(net->packet))
			packet.length = sizeof(net->packet);
		packet.bytes = net->packet;
		channel_span_read(&frame->span, SWITCH_HEADER + start, net->packet, packet.length);
	}
	return switch_groups_see(&net->groups, &packet, now_s);
}

static void flood(struct delivery *delivery, uint64_t address, uint32_t now_s)
{
	struct net_switch *net = delivery->net;
	const struct switch_port *from = delivery->from;
	const struct switch_audience audience =
		find_audience(net, delivery->frame, from, address, now_s);
	bool fine = true;

	for (struct switch_port *to = net->ports; to < net->ports + SWITCH_PORTS_MAX; to++) {
		if (!to->used || to == from || !net->permitted[from->index][to->index] ||
		    !carries(to, delivery->frame->vlan) ||
		    !switch_groups_wants(&net->groups, &audience, to->index, now_s))
			continue;
		delivery->to = to;
		fine = deliver(delivery) && fine;
	}
	if (!fine)
		net->ports[from->index].counts.malformed++;
}

static void forward(struct delivery *delivery, struct switch_port *from)
{
	struct net_switch *net = delivery->net;
	const struct switch_frame *frame = delivery->frame;
	uint32_t now_s = (uint32_t)(delivery->now_ns / SWITCH_SECOND_NS);
	uint64_t address = switch_address(frame->head);
	int port;

	if (switch_table_learn(&net->table, switch_address(frame->head + ETH_ALEN), frame->vlan,
			       from->index, now_s))
		from->counts.moved++;
	if ((address & ~UINT64_C(0x0f)) == NEIGHBOURS)
		return;
	port = switch_is_multicast(address) ?
		       -1 :
		       switch_table_find(&net->table, address, frame->vlan, now_s);
	/* It is on the side that it came from. */
	if (port == from->index)
		return;
	if (port >= 0 && !net->permitted[from->index][port]) {
		/* One that it may not send to cannot take what is for others by their addresses. */
		from->counts.not_permitted++;
		port = -1;
	}
	if (port < 0) {
		flood(delivery, address, now_s);
		return;
	}
	delivery->to = &net->ports[port];
	if (!deliver(delivery))
		from->counts.malformed++;
}

int net_switch_take(struct net_switch *net, struct switch_port *port,
		    const struct channel_span *span, uint32_t length, uint64_t now_ns)
{
	struct switch_frame frame;
	struct delivery delivery = {net, &frame, port, NULL, now_ns};

	switch_limit_use(&port->frames, 1, now_ns);
	switch_limit_use(&port->bytes, length, now_ns);
	switch (switch_frame_read(&frame, span, length)) {
	case SWITCH_FRAME_BROKEN:
		return -EPROTO;
	case SWITCH_FRAME_MALFORMED:
		port->counts.malformed++;
		return 0;
	case SWITCH_FRAME_TAGS:
		port->counts.bad_tag++;
		return 0;
	case SWITCH_FRAME_SOURCE:
		port->counts.bad_address++;
		return 0;
	case SWITCH_FRAME_FINE:
		break;
	}
	if (!classify(&frame, port->settings)) {
		port->counts.bad_tag++;
		return 0;
	}
	if (!may_send_from(net, port, switch_address(frame.head + ETH_ALEN))) {
		port->counts.bad_address++;
		return 0;
	}
	port->counts.frames++;
	if (net->taken)
		net->taken(net->context, port, &frame);
	forward(&delivery, port);
	return 0;
}

/* What waits */

/* Returns the time at which to go on, as net_switch_run. */
static uint64_t drain(struct switch_port *port, uint64_t now_ns)
{
	struct channel_span from, to;
	uint32_t length;

	port->blocked = false;
	for (int i = 0; switch_queue_first(&port->queue, &length, &from); i++) {
		uint64_t wait_ns = switch_limit_wait(&port->receive, now_ns);

		if (wait_ns > 0 || i == FRAMES_AT_ONCE)
			return now_ns + wait_ns;
		if (!port->ops->reserve(port, length, &to)) {
			port->blocked = true;
			break;
		}
		channel_span_write(&to, 0, from.base[0], from.length[0]);
		channel_span_write(&to, from.length[0], from.base[1], from.length[1]);
		switch_queue_remove(&port->queue);
		commit(port, length, now_ns);
	}
	return UINT64_MAX;
}

uint64_t net_switch_run(struct net_switch *net, uint64_t now_ns)
{
	uint64_t next_ns = UINT64_MAX;

	for (struct switch_port *port = net->ports; port < net->ports + SWITCH_PORTS_MAX; port++) {
		uint64_t port_ns;

		if (!port->used || (!port->blocked && switch_queue_is_empty(&port->queue)))
			continue;
		port_ns = drain(port, now_ns);
		next_ns = port_ns < next_ns ? port_ns : next_ns;
	}
	return next_ns;
}
