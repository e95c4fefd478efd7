// SPDX-License-Identifier: BSD-3-Clause
/*
 * A switch whose clients are hostile: the input is the settings of the ports, and then frames and
 * what else they do, in turn. Every frame that it passes on is one that exists.
 */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "base/big_endian.h"
#include "fuzz/input.h"
#include "promise.h"
#include "service/switch/net_switch.h"

#define PORTS  4
#define BUFFER (SWITCH_HEADER + SWITCH_FRAME_MAX)

struct end {
	struct switch_port_settings settings;
	struct switch_port *port;
	unsigned int room;
	uint32_t length;
	uint8_t message[BUFFER];
};

static struct end ends[PORTS];

static bool reserve(struct switch_port *port, uint32_t length, struct channel_span *span)
{
	struct end *end = port->context;
	uint32_t first = length / 3;

	PROMISE(length >= SWITCH_HEADER + SWITCH_FRAME_MIN && length <= BUFFER);
	if (!end->room)
		return false;
	end->length = length;
	*span = (struct channel_span){{end->message, end->message + first},
				      {first, length - first}};
	return true;
}

static void commit(struct switch_port *port)
{
	struct end *end = port->context;
	const struct switch_port_settings *settings = port->settings;
	struct virtio_net_hdr_v1 header;
	uint16_t type = big_endian_get16(end->message + SWITCH_HEADER + 12);

	end->room--;
	memcpy(&header, end->message, sizeof(header));
	PROMISE(header.num_buffers == 0);
	PROMISE(!header.flags || port->offloads & SWITCH_CHECKSUM);
	PROMISE(!header.flags ||
		(uint32_t)le16toh(header.csum_start) + le16toh(header.csum_offset) + 2 <=
			end->length - SWITCH_HEADER);
	PROMISE(!header.gso_type || port->offloads & (SWITCH_TSO4 | SWITCH_TSO6));
	PROMISE(type != ETH_P_8021AD);
	if (type == ETH_P_8021Q) {
		uint16_t vlan = big_endian_get16(end->message + SWITCH_HEADER + 14) & 0xfff;

		PROMISE(settings->trunk[vlan / 8] >> vlan % 8 & 1);
	} else {
		PROMISE(settings->vlan);
	}
}

static const struct switch_port_ops ops = {reserve, commit};

static uint32_t take_word(struct input *input)
{
	uint32_t word = 0;

	for (int i = 0; i < 4; i++)
		word = word << 8 | take_byte(input);
	return word;
}

static void set_up(struct end *end, struct input *input)
{
	uint8_t what = take_byte(input);

	memset(&end->settings, 0, sizeof(end->settings));
	end->settings.vlan = what & 3;
	end->settings.trunk[0] = (uint8_t)(what >> 2 & 0x0e);
	end->settings.priority_max = 7;
	end->settings.receive_bytes_per_second = what & 0x80 ? 1000 : 0;
	end->settings.burst = 1000;
	end->room = take_byte(input);
}

/* A frame of the input's bytes, and more of them. */
static void send_frame(struct net_switch *net, struct end *from, struct input *input,
		       uint64_t now_ns)
{
	uint32_t size = take_byte(input), more = take_byte(input), length, cut;
	uint8_t *message;
	struct channel_span span;

	length = SWITCH_HEADER + size + more * 256;
	if (length > BUFFER)
		length = BUFFER;
	cut = take_byte(input) % (length + 1);
	message = malloc(length);
	memset(message, 0, length);
	for (uint32_t i = 0; i < length && i < SWITCH_HEADER + size; i++)
		message[i] = take_byte(input);
	span = (struct channel_span){{message, message + cut}, {cut, length - cut}};
	(void)net_switch_take(net, from->port, &span, length, now_ns);
	free(message);
}

static void act(struct net_switch *net, struct input *input, uint64_t *now_ns)
{
	uint8_t what = take_byte(input);
	struct end *end = &ends[what % PORTS];

	switch (what / PORTS % 8) {
	case 0:
		*now_ns += take_word(input) * UINT64_C(100);
		net_switch_run(net, *now_ns);
		break;
	case 1:
		end->room = take_byte(input);
		break;
	case 2:
		end->port->offloads = take_byte(input);
		break;
	case 3:
		net_switch_remove(net, end->port);
		end->port = net_switch_add(net, &end->settings, &ops, end);
		PROMISE(end->port);
		for (int i = 0; i < PORTS; i++) {
			net_switch_permit(net, end->port, ends[i].port);
			net_switch_permit(net, ends[i].port, end->port);
		}
		break;
	default:
		send_frame(net, end, input, *now_ns);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size};
	struct net_switch *net = calloc(1, sizeof(*net));
	uint64_t now_ns = SWITCH_SECOND_NS;

	net_switch_init(net, 1);
	for (int i = 0; i < PORTS; i++) {
		set_up(&ends[i], &input);
		ends[i].port = net_switch_add(net, &ends[i].settings, &ops, &ends[i]);
		PROMISE(ends[i].port);
	}
	for (int i = 0; i < PORTS; i++)
		for (int k = 0; k < PORTS; k++)
			net_switch_permit(net, ends[i].port, ends[k].port);
	while (input.left > 0)
		act(net, &input, &now_ns);
	net_switch_close(net);
	free(net);
	return 0;
}
