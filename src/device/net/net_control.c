// SPDX-License-Identifier: BSD-3-Clause
/*
 * The control queue of the network device and what it controls: the receive filter, the number of
 * queue pairs, the offloads (VIRTIO 1.4, 5.1.9.5).
 */
#include <errno.h>
#include <string.h>

#include "device/kit/command_table.h"
#include "device/net/net.h"
#include "virtio/device_state.h"

/* The data of the commands, except the table of addresses. */
struct switch_command {
	struct virtio_net_ctrl_hdr header;
	uint8_t on;
};

struct address_command {
	struct virtio_net_ctrl_hdr header;
	uint8_t address[ETH_ALEN];
};

struct pairs_command {
	struct virtio_net_ctrl_hdr header;
	uint16_t pairs;
};

struct offloads_command {
	struct virtio_net_ctrl_hdr header;
	uint64_t offloads;
} __attribute__((packed));

static bool is_multicast(const uint8_t *address)
{
	return address[0] & 1;
}

static int set_switch(struct virtio_device *device, const void *message,
		      struct virtio_request *request)
{
	struct net_filter *filter = &to_net(device)->filter;
	const struct switch_command *command = message;
	bool *const switches[] = {
		[VIRTIO_NET_CTRL_RX_PROMISC] = &filter->promiscuous,
		[VIRTIO_NET_CTRL_RX_ALLMULTI] = &filter->all_multicast,
		[VIRTIO_NET_CTRL_RX_ALLUNI] = &filter->all_unicast,
		[VIRTIO_NET_CTRL_RX_NOMULTI] = &filter->no_multicast,
		[VIRTIO_NET_CTRL_RX_NOUNI] = &filter->no_unicast,
		[VIRTIO_NET_CTRL_RX_NOBCAST] = &filter->no_broadcast,
	};

	if (command->on > 1)
		return -EINVAL;
	/* The table of commands has only these. */
	*switches[command->header.cmd] = command->on;
	return 0;
}

/* Reads a counted table of addresses; false: it is longer than the command. */
static bool read_table(struct virtio_request *request, uint8_t table[NET_FILTER_MAX][ETH_ALEN],
		       uint8_t *count, bool *overflow)
{
	uint32_t entries;

	if (request_read(request, &entries, sizeof(entries)) != sizeof(entries) ||
	    entries > request->readable.left / ETH_ALEN)
		return false;
	*overflow = entries > NET_FILTER_MAX;
	*count = *overflow ? 0 : (uint8_t)entries;
	if (*overflow)
		request_skip(request, (size_t)entries * ETH_ALEN);
	else
		request_read(request, table, (size_t)entries * ETH_ALEN);
	return true;
}

static int set_mac_table(struct virtio_device *device, const void *message,
			 struct virtio_request *request)
{
	struct net_device *net = to_net(device);
	struct net_filter filter = net->filter;

	if (!read_table(request, filter.unicast, &filter.unicast_count, &filter.unicast_overflow) ||
	    !read_table(request, filter.multicast, &filter.multicast_count,
			&filter.multicast_overflow))
		return -EINVAL;
	net->filter = filter;
	net->filter_known = true;
	return 0;
}

static int set_mac(struct virtio_device *device, const void *message,
		   struct virtio_request *request)
{
	const struct address_command *command = message;
	struct net_device *net = to_net(device);

	if (is_multicast(command->address))
		return -EINVAL;
	/* VIRTIO 1.4, 5.1.9.5.2.1: in configuration space before the command is used. */
	memcpy(net->config.mac, command->address, sizeof(command->address));
	net->mac_set = true;
	return 0;
}

/*
 * Makes the backend use the pairs below @pairs whose queues run, and no others. Returns false if
 * that fails for any.
 */
static bool use_pairs(struct net_device *net, uint16_t pairs)
{
	const struct net_backend_ops *ops = net->backend->ops;
	bool done = true;

	for (uint16_t pair = 0; ops->use_pair && pair < net->settings.pairs; pair++)
		if (pair >= pairs || net->device.queues[2 * pair].started)
			done = ops->use_pair(net->backend, pair, pair < pairs) && done;
	return done;
}

static int set_pairs(struct virtio_device *device, const void *message,
		     struct virtio_request *request)
{
	const struct pairs_command *command = message;
	struct net_device *net = to_net(device);
	uint16_t pairs = command->pairs;

	/* VIRTIO 1.4, 5.1.9.5.6.1: 1 to max_virtqueue_pairs. */
	if (pairs == 0 || pairs > net->settings.pairs)
		return -EINVAL;
	if (!use_pairs(net, pairs)) {
		use_pairs(net, net->pairs);
		return -EIO;
	}
	net->pairs = pairs;
	for (uint16_t pair = 0; pair < net->settings.pairs; pair++) {
		if (pair >= pairs)
			net->backend->ops->stop(net->backend, pair);
		else if (net->device.queues[2 * pair].started)
			net->backend->ops->resume(net->backend, pair);
	}
	return 0;
}

static int set_offloads(struct virtio_device *device, const void *message,
			struct virtio_request *request)
{
	const struct offloads_command *command = message;
	struct net_device *net = to_net(device);

	/* VIRTIO 1.4, 5.1.9.5.9.2: only offloads that were negotiated. */
	if (command->offloads & ~net_guest_offloads(net))
		return -EINVAL;
	return net_set_offloads(net, command->offloads) ? 0 : -EIO;
}

#define COMMAND_ID(class, command) ((class) << 8 | (command))

static uint32_t id_of(const void *header)
{
	const struct virtio_net_ctrl_hdr *command = header;

	return COMMAND_ID(command->class, command->cmd);
}

static const struct command_row commands[] = {
	{COMMAND_ID(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC), VIRTIO_NET_F_CTRL_RX,
	 sizeof(struct switch_command), set_switch},
	{COMMAND_ID(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLMULTI), VIRTIO_NET_F_CTRL_RX,
	 sizeof(struct switch_command), set_switch},
	{COMMAND_ID(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLUNI), VIRTIO_NET_F_CTRL_RX_EXTRA,
	 sizeof(struct switch_command), set_switch},
	{COMMAND_ID(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_NOMULTI), VIRTIO_NET_F_CTRL_RX_EXTRA,
	 sizeof(struct switch_command), set_switch},
	{COMMAND_ID(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_NOUNI), VIRTIO_NET_F_CTRL_RX_EXTRA,
	 sizeof(struct switch_command), set_switch},
	{COMMAND_ID(VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_NOBCAST), VIRTIO_NET_F_CTRL_RX_EXTRA,
	 sizeof(struct switch_command), set_switch},
	{COMMAND_ID(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET), VIRTIO_NET_F_CTRL_RX,
	 sizeof(struct virtio_net_ctrl_hdr), set_mac_table},
	{COMMAND_ID(VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET), VIRTIO_NET_F_CTRL_MAC_ADDR,
	 sizeof(struct address_command), set_mac},
	{COMMAND_ID(VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET), VIRTIO_NET_F_MQ,
	 sizeof(struct pairs_command), set_pairs},
	{COMMAND_ID(VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET),
	 VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, sizeof(struct offloads_command), set_offloads},
};

static const struct command_table command_table = {
	.rows = commands,
	.count = sizeof(commands) / sizeof(commands[0]),
	.header_size = sizeof(struct virtio_net_ctrl_hdr),
	.id_of = id_of,
};

void net_control_handle(struct net_device *net, struct virtqueue *queue)
{
	struct virtio_request *request;

	for_each_request(request, queue) {
		uint8_t ack;

		if (request->writable.left == 0) {
			virtio_device_fault(&net->device, queue,
					    "network command without room for its ack byte");
			return;
		}
		ack = command_table_run(&command_table, &net->device, request) < 0 ?
			      VIRTIO_NET_ERR :
			      VIRTIO_NET_OK;
		if (ack == VIRTIO_NET_OK)
			virtio_device_keep_state(&net->device);
		request_write(request, &ack, sizeof(ack));
		virtqueue_push(queue, request);
	}
	virtqueue_notify(queue);
}

void net_control_reset(struct net_device *net)
{
	/* VIRTIO 1.4, 5.1.9.5.2.1 and 5.1.9.5.6.2: an empty table, and one pair. */
	net->filter = (struct net_filter){0};
	net->pairs = 1;
	net->mac_set = net->filter_known = false;
	memcpy(net->config.mac, net->settings.mac, sizeof(net->config.mac));
}

static void save_table(struct device_state *state, const uint8_t table[NET_FILTER_MAX][ETH_ALEN],
		       uint8_t count, bool overflow)
{
	state_put_u8(state, overflow);
	state_put_u8(state, count);
	state_put(state, table, (size_t)count * ETH_ALEN);
}

static void load_table(struct device_state *state, uint8_t table[NET_FILTER_MAX][ETH_ALEN],
		       uint8_t *count, bool *overflow)
{
	*overflow = state_get_bool(state);
	*count = state_get_u8(state);
	state_require(state, *count <= (*overflow ? 0 : NET_FILTER_MAX));
	if (!state->failed)
		state_get(state, table, (size_t)*count * ETH_ALEN);
}

void net_control_save(struct virtio_device *device, struct device_state *state)
{
	const struct net_device *net = to_net(device);
	const struct net_filter *filter = &net->filter;

	/* The driver knows the limits, too. */
	state_put_u16(state, net->settings.mtu);
	state_put_u16(state, net->settings.pairs);
	state_put(state, net->config.mac, sizeof(net->config.mac));
	state_put_u8(state, net->mac_set);
	state_put_u8(state, net->filter_known);
	state_put_u16(state, net->pairs);
	state_put_u64(state, net->offloads);
	state_put_u8(state, filter->promiscuous);
	state_put_u8(state, filter->all_multicast);
	state_put_u8(state, filter->all_unicast);
	state_put_u8(state, filter->no_multicast);
	state_put_u8(state, filter->no_unicast);
	state_put_u8(state, filter->no_broadcast);
	save_table(state, filter->unicast, filter->unicast_count, filter->unicast_overflow);
	save_table(state, filter->multicast, filter->multicast_count, filter->multicast_overflow);
}

int net_control_load(struct virtio_device *device, struct device_state *state)
{
	struct net_device *net = to_net(device);
	struct net_filter filter = {0};
	uint8_t mac[ETH_ALEN];
	uint64_t offloads;
	uint16_t pairs;
	bool mac_set, filter_known;

	state_require(state, state_get_u16(state) == net->settings.mtu);
	state_require(state, state_get_u16(state) == net->settings.pairs);
	state_get(state, mac, sizeof(mac));
	mac_set = state_get_bool(state);
	filter_known = state_get_bool(state);
	pairs = state_get_u16(state);
	offloads = state_get_u64(state);
	filter.promiscuous = state_get_bool(state);
	filter.all_multicast = state_get_bool(state);
	filter.all_unicast = state_get_bool(state);
	filter.no_multicast = state_get_bool(state);
	filter.no_unicast = state_get_bool(state);
	filter.no_broadcast = state_get_bool(state);
	load_table(state, filter.unicast, &filter.unicast_count, &filter.unicast_overflow);
	load_table(state, filter.multicast, &filter.multicast_count, &filter.multicast_overflow);
	/* What no command could have set. */
	state_require(state, !is_multicast(mac));
	state_require(state, pairs >= 1 && pairs <= net->settings.pairs);
	state_require(state, pairs == 1 || virtio_has_feature(device, VIRTIO_NET_F_MQ));
	state_require(state, !(offloads & ~net_guest_offloads(net)));
	if (!state_is_complete(state))
		return -EINVAL;
	if (!net_set_offloads(net, offloads))
		return -EIO;
	memcpy(net->config.mac, mac, sizeof(mac));
	net->mac_set = mac_set;
	net->pairs = pairs;
	net->filter = filter;
	net->filter_known = filter_known;
	return 0;
}

static bool in_table(const uint8_t table[NET_FILTER_MAX][ETH_ALEN], uint8_t count,
		     const uint8_t *address)
{
	for (uint8_t i = 0; i < count; i++)
		if (!memcmp(table[i], address, ETH_ALEN))
			return true;
	return false;
}

/* Whether this unicast address is one of the driver's. */
static bool is_own_address(const struct net_device *net, const uint8_t *address)
{
	const struct net_filter *filter = &net->filter;

	/*
	 * VIRTIO 1.4, 5.1.4.2: without MAC the driver chooses an address, and need not report it.
	 */
	if (!virtio_has_feature(&net->device, VIRTIO_NET_F_MAC) && !net->mac_set)
		return true;
	return !memcmp(address, net->config.mac, ETH_ALEN) ||
	       in_table(filter->unicast, filter->unicast_count, address);
}

bool net_filter_accepts(const struct net_device *net, const uint8_t *frame)
{
	static const uint8_t broadcast[ETH_ALEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	const struct virtqueue *control = net_control_queue(net);
	const struct net_filter *filter = &net->filter;
	bool listed = virtio_has_feature(&net->device, VIRTIO_NET_F_CTRL_RX);

	/*
	 * CTRL_RX needs CTRL_VQ (VIRTIO 1.4, 5.1.3.1). Without commands here the driver, or the
	 * frontend, does its own filtering, also for addresses that are not known here.
	 */
	if (!control || filter->promiscuous)
		return true;
	/*
	 * The driver has set a filter in a process that died, or before a pause: until it does so
	 * again it gets too much rather than too little, and sorts that out as on any network.
	 */
	if (!net->filter_known && virtqueue_has_history(control))
		return true;
	if (!memcmp(frame, broadcast, sizeof(broadcast)))
		return !filter->no_broadcast;
	if (is_multicast(frame))
		return !filter->no_multicast &&
		       (!listed || filter->all_multicast || filter->multicast_overflow ||
			in_table(filter->multicast, filter->multicast_count, frame));
	return !filter->no_unicast && (!listed || filter->all_unicast || filter->unicast_overflow ||
				       is_own_address(net, frame));
}
