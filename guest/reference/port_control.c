// SPDX-License-Identifier: BSD-3-Clause
/* The commands of the control queue (VIRTIO 1.4, 5.1.9.5). */
#include "port.h"

#define COMMAND_MAX 1024u
#define RESULT_MAX  1024u

/* Classes that kernel headers may lack. */
enum { COALESCING = 6, HASH_TUNNEL = 7, STATISTICS = 8, CONTEXTS = 9 };
enum { PAIRS_SET, RSS_CONFIG, HASH_CONFIG };
enum { TRANSMIT_SET, RECEIVE_SET, QUEUE_SET, QUEUE_GET };
enum { STATISTICS_QUERY, STATISTICS_GET };
enum { CONTEXT_CAP, CONTEXT_ADD, CONTEXT_MODIFY, CONTEXT_DELETE };
enum { RECEIVE_BASIC = 0, TRANSMIT_BASIC = 16, CONTROL = 32 };
#define BIT(number) (UINT64_C(1) << (number))

struct command {
	struct port *port;
	uint8_t class, number;
	const uint8_t *data;
	uint32_t size;
	/* What the command writes: before its ack, or after it. */
	uint8_t result[RESULT_MAX];
	uint32_t result_size;
	bool result_first; /* whether it succeeds or not */
};

static bool has(const struct command *command, unsigned int feature)
{
	return virtio_has_feature(&command->port->reference.device, feature);
}

static uint16_t read16(const uint8_t *data)
{
	return (uint16_t)(data[0] | data[1] << 8);
}

static uint32_t read32(const uint8_t *data)
{
	return read16(data) | (uint32_t)read16(data + 2) << 16;
}

static uint64_t read64(const uint8_t *data)
{
	return read32(data) | (uint64_t)read32(data + 4) << 32;
}

static void answer(struct command *command, const void *data, uint32_t size)
{
	if (size > RESULT_MAX - command->result_size)
		return;
	memcpy(command->result + command->result_size, data, size);
	command->result_size += size;
}

/* Each carries out a command of its class; false: VIRTIO_NET_ERR. */

static bool set_mode(struct command *command)
{
	struct settings *settings = &command->port->settings;
	bool *const modes[] = {
		&settings->promiscuous,	 &settings->all_multicast, &settings->all_unicast,
		&settings->no_multicast, &settings->no_unicast,	   &settings->no_broadcast,
	};
	uint8_t count = has(command, NET_F_CTRL_RX_EXTRA) ? 6 : 2;

	if (!has(command, VIRTIO_NET_F_CTRL_RX) || command->number >= count || command->size != 1)
		return false;
	*modes[command->number] = command->data[0];
	return true;
}

static bool set_addresses(struct command *command)
{
	struct port *port = command->port;
	uint8_t table[ADDRESSES_MAX][6];
	uint32_t count = 0, at = 0;

	if (command->number == VIRTIO_NET_CTRL_MAC_ADDR_SET) {
		if (!has(command, VIRTIO_NET_F_CTRL_MAC_ADDR) || command->size != 6)
			return false;
		memcpy(port->config.mac, command->data, 6);
		return true;
	}
	if (command->number != VIRTIO_NET_CTRL_MAC_TABLE_SET || !has(command, VIRTIO_NET_F_CTRL_RX))
		return false;
	/* Unicast addresses, then multicast ones. */
	for (int part = 0; part < 2; part++) {
		uint32_t entries;

		if (command->size - at < 4)
			return false;
		entries = read32(command->data + at);
		at += 4;
		if (entries > ADDRESSES_MAX - count || entries * 6 > command->size - at)
			return false;
		memcpy(table[count], command->data + at, entries * 6);
		at += entries * 6;
		count += entries;
	}
	memcpy(port->settings.addresses, table, sizeof(table));
	port->settings.address_count = count;
	return at == command->size;
}

static bool set_vlan(struct command *command)
{
	uint16_t tag;

	if (!has(command, VIRTIO_NET_F_CTRL_VLAN) || command->size != 2 ||
	    command->number > VIRTIO_NET_CTRL_VLAN_DEL)
		return false;
	tag = read16(command->data);
	if (tag >= 4096)
		return false;
	if (command->number == VIRTIO_NET_CTRL_VLAN_DEL || reference_fault(FAULT_VLAN_FORGOTTEN))
		command->port->settings.vlans[tag / 8] &= (uint8_t) ~(1u << tag % 8);
	else
		command->port->settings.vlans[tag / 8] |= (uint8_t)(1u << tag % 8);
	return true;
}

static bool acknowledge(struct command *command)
{
	if (!has(command, VIRTIO_NET_F_GUEST_ANNOUNCE) || command->number || command->size)
		return false;
	if (!reference_fault(FAULT_ANNOUNCE_KEPT))
		command->port->config.status &= (uint16_t)~VIRTIO_NET_S_ANNOUNCE;
	return true;
}

/* VIRTIO 1.4, 5.1.9.5.7.1. False, with nothing changed: not valid. */
static bool read_steering(const struct command *command, uint32_t at, struct steering *steering)
{
	const uint8_t *data = command->data + at;
	uint32_t size = command->size - at, entries, key_size, tail;

	if (command->size < at || size < 8)
		return false;
	entries = read16(data + 4) + 1u;
	tail = 8 + 2 * entries;
	if (entries > TABLE_MAX || entries & (entries - 1) || size < tail + 3)
		return false;
	key_size = data[tail + 2];
	if (key_size > KEY_MAX || size < tail + 3 + key_size)
		return false;
	*steering = (struct steering){.set = true,
				      .types = read32(data),
				      .entries = (uint16_t)entries,
				      .unclassified = read16(data + 6)};
	if (steering->types & ~command->port->config.hash_types ||
	    steering->unclassified >= PAIRS_MAX || read16(data + tail) > PAIRS_MAX)
		return false;
	for (uint32_t i = 0; i < entries; i++) {
		steering->table[i] = read16(data + 8 + 2 * i);
		if (steering->table[i] >= PAIRS_MAX)
			return false;
	}
	memcpy(steering->key, data + tail + 3, key_size);
	return true;
}

static bool set_queues(struct command *command)
{
	struct settings *settings = &command->port->settings;
	struct steering steering = {.set = true, .entries = 1};
	uint16_t pairs;

	switch (command->number) {
	case PAIRS_SET:
		if (!has(command, VIRTIO_NET_F_MQ) || command->size != 2)
			return false;
		pairs = read16(command->data);
		if (pairs == 0 || pairs > PAIRS_MAX)
			return false;
		settings->pairs = pairs;
		settings->steering.set = false;
		return true;
	case RSS_CONFIG:
		if (!has(command, NET_F_RSS) || !read_steering(command, 0, &steering))
			return false;
		settings->steering = steering;
		return true;
	case HASH_CONFIG:
		if (!has(command, NET_F_HASH_REPORT) || command->size < 13 ||
		    command->data[12] > KEY_MAX || command->size < 13u + command->data[12])
			return false;
		steering.types = read32(command->data);
		if (steering.types & ~command->port->config.hash_types)
			return false;
		memcpy(steering.key, command->data + 13, command->data[12]);
		settings->steering = steering;
		return true;
	default:
		return false;
	}
}

static struct coalescing read_coalescing(const uint8_t *data)
{
	return (struct coalescing){.packets = read32(data), .microseconds = read32(data + 4)};
}

static bool set_coalescing(struct command *command)
{
	struct port *port = command->port;
	struct settings *settings = &port->settings;
	bool one = command->number == QUEUE_SET || command->number == QUEUE_GET;
	uint16_t queue = 0;

	if (!has(command, one ? NET_F_QUEUE_COALESCING : NET_F_COALESCING) ||
	    command->number > QUEUE_GET)
		return false;
	if (!one) {
		uint16_t first = command->number == TRANSMIT_SET;

		if (command->size != 8)
			return false;
		settings->all[first] = read_coalescing(command->data);
		for (queue = first; queue < 2 * PAIRS_MAX; queue += 2)
			settings->queues[queue] = settings->all[first];
		return true;
	}
	if (command->size != (command->number == QUEUE_SET ? 12 : 4))
		return false;
	queue = read16(command->data);
	if (queue >= port_control_queue(port) || queue >= 2 * PAIRS_MAX ||
	    !port->reference.rings[queue].ready)
		return false;
	if (command->number == QUEUE_SET) {
		settings->queues[queue] = read_coalescing(command->data + 4);
		return true;
	}
	answer(command, &settings->queues[queue].packets, 4);
	answer(command, &settings->queues[queue].microseconds, 4);
	return true;
}

static bool set_tunnels(struct command *command)
{
	return has(command, NET_F_HASH_TUNNEL) && command->number == 0 && command->size == 4 &&
	       !(read32(command->data) & ~command->port->config.tunnel_types);
}

/* The types that a queue has. */
static uint64_t types_of(const struct port *port, uint16_t queue)
{
	if (queue == port_control_queue(port))
		return BIT(CONTROL);
	if (queue > port_control_queue(port) || queue >= 2 * PAIRS_MAX)
		return 0;
	return queue % 2 ? BIT(TRANSMIT_BASIC) : BIT(RECEIVE_BASIC);
}

static void answer_statistics(struct command *command, uint16_t queue, uint8_t type)
{
	const struct settings *settings = &command->port->settings;
	uint64_t counters[6] = {settings->commands, settings->commands_ok + 1};
	uint32_t count = type == CONTROL ? 2 : 6;
	uint8_t head[8] = {type, 0, (uint8_t)queue, (uint8_t)(queue >> 8)};

	if (type != CONTROL) {
		counters[0] = settings->counts[queue].kicks;
		counters[1] = settings->counts[queue].packets;
		counters[2] = settings->counts[queue].bytes;
		counters[3] = 0;
		counters[4] = counters[5] = settings->counts[queue].drops;
	}
	head[6] = (uint8_t)(sizeof(head) + 8 * count - reference_fault(FAULT_STATISTICS_SIZE));
	answer(command, head, sizeof(head));
	answer(command, counters, 8 * count);
}

static bool get_statistics(struct command *command)
{
	const uint64_t all = BIT(RECEIVE_BASIC) | BIT(TRANSMIT_BASIC) | BIT(CONTROL);

	if (!has(command, NET_F_STATISTICS))
		return false;
	if (command->number == STATISTICS_QUERY) {
		answer(command, &all, sizeof(all));
		return command->size == 0;
	}
	if (command->number != STATISTICS_GET || command->size == 0 || command->size % 16)
		return false;
	/* One wrong part fails the command. */
	for (uint32_t at = 0; at < command->size; at += 16)
		if (read64(command->data + at + 8) &
		    ~types_of(command->port, read16(command->data + at)))
			return false;
	for (uint32_t at = 0; at < command->size; at += 16)
		for (uint8_t type = 0; type < 64; type++)
			if (read64(command->data + at + 8) & BIT(type))
				answer_statistics(command, read16(command->data + at), type);
	return true;
}

static bool set_context(struct command *command)
{
	const uint16_t limit = CONTEXTS_MAX;
	struct settings *settings = &command->port->settings;
	struct steering steering;
	uint16_t id;

	if (!port_has_high(command->port, NET_HIGH_RSS_CONTEXT) || !has(command, NET_F_RSS))
		return false;
	if (command->number == CONTEXT_CAP) {
		answer(command, &limit, sizeof(limit));
		return command->size == 0;
	}
	if (command->number > CONTEXT_DELETE || command->size < 2)
		return false;
	id = read16(command->data);
	if (id == 0 || id > CONTEXTS_MAX - reference_fault(FAULT_CONTEXT_LESS) ||
	    settings->contexts[id - 1] == (command->number == CONTEXT_ADD))
		return false;
	if (command->number != CONTEXT_DELETE && !read_steering(command, 8, &steering))
		return false;
	settings->contexts[id - 1] = command->number != CONTEXT_DELETE;
	return true;
}

static bool (*const classes[])(struct command *command) = {
	[VIRTIO_NET_CTRL_RX] = set_mode,   [VIRTIO_NET_CTRL_MAC] = set_addresses,
	[VIRTIO_NET_CTRL_VLAN] = set_vlan, [VIRTIO_NET_CTRL_ANNOUNCE] = acknowledge,
	[VIRTIO_NET_CTRL_MQ] = set_queues, [COALESCING] = set_coalescing,
	[HASH_TUNNEL] = set_tunnels,	   [STATISTICS] = get_statistics,
	[CONTEXTS] = set_context,
};

static void write_answer(struct virtio_request *request, const struct command *command, bool ok)
{
	uint8_t ack = ok ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
	uint8_t *last = command->result_first ? request_take_last_byte(request) : NULL;

	if (!command->result_first)
		request_write(request, &ack, 1);
	if (ok)
		request_write(request, command->result, command->result_size);
	if (last) {
		*last = ack;
		/* Part of the used length if all before it is written. */
		request->written += request->writable.left == 0;
	}
}

void port_control(struct port *port, struct virtqueue *queue)
{
	static uint8_t data[COMMAND_MAX];
	static struct command command;
	struct virtio_request *request;

	for_each_request(request, queue) {
		uint8_t head[2] = {0xff, 0xff};
		size_t got = request_read(request, head, sizeof(head));
		bool ok = false;

		command = (struct command){.port = port, .class = head[0], .number = head[1]};
		command.size = (uint32_t)request_read(request, data, sizeof(data));
		command.data = data;
		command.result_first =
			(command.class == COALESCING && command.number == QUEUE_GET) ||
			(command.class == CONTEXTS && command.number == CONTEXT_CAP);
		port->settings.commands++;
		if (got == sizeof(head) && request->readable.left == 0 &&
		    command.class < sizeof(classes) / sizeof(classes[0]) && classes[command.class])
			ok = classes[command.class](&command);
		port->settings.commands_ok += ok;
		write_answer(request, &command, ok);
		virtqueue_push(queue, request);
	}
}
