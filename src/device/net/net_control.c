// SPDX-License-Identifier: BSD-3-Clause
/*
 * The control queue of the network device and what it controls: the receive filter, the number of
 * queue pairs, the offloads (VIRTIO 1.4, 5.1.9.5).
 */
#include <string.h>

#include "device/net/net.h"

/*
 * A command: what carries it out takes its data from the readable part of @request and returns
 * VIRTIO_NET_OK or VIRTIO_NET_ERR.
 */
struct command {
	uint8_t class, command;
	uint8_t feature; /* without it the driver may not use the command */
	uint8_t (*run)(struct net_device *net, struct virtio_request *request);
};

static bool is_multicast(const uint8_t *address)
{
	return address[0] & 1;
}

/* Reads one byte that is 0 or 1. */
static uint8_t read_switch(struct virtio_request *request, bool *value)
{
	uint8_t byte;

	if (request_read(request, &byte, sizeof(byte)) != sizeof(byte) || byte > 1)
		return VIRTIO_NET_ERR;
	*value = byte;
	return VIRTIO_NET_OK;
}

static uint8_t set_promiscuous(struct net_device *net, struct virtio_request *request)
{
	return read_switch(request, &net->filter.promiscuous);
}

static uint8_t set_all_multicast(struct net_device *net, struct virtio_request *request)
{
	return read_switch(request, &net->filter.all_multicast);
}

static uint8_t set_all_unicast(struct net_device *net, struct virtio_request *request)
{
	return read_switch(request, &net->filter.all_unicast);
}

static uint8_t set_no_multicast(struct net_device *net, struct virtio_request *request)
{
	return read_switch(request, &net->filter.no_multicast);
}

static uint8_t set_no_unicast(struct net_device *net, struct virtio_request *request)
{
	return read_switch(request, &net->filter.no_unicast);
}

static uint8_t set_no_broadcast(struct net_device *net, struct virtio_request *request)
{
	return read_switch(request, &net->filter.no_broadcast);
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

static uint8_t set_mac_table(struct net_device *net, struct virtio_request *request)
{
	struct net_filter filter = net->filter;

	if (!read_table(request, filter.unicast, &filter.unicast_count, &filter.unicast_overflow) ||
	    !read_table(request, filter.multicast, &filter.multicast_count,
			&filter.multicast_overflow))
		return VIRTIO_NET_ERR;
	net->filter = filter;
	return VIRTIO_NET_OK;
}

static uint8_t set_mac(struct net_device *net, struct virtio_request *request)
{
	uint8_t address[ETH_ALEN];

	if (request_read(request, address, sizeof(address)) != sizeof(address) ||
	    is_multicast(address))
		return VIRTIO_NET_ERR;
	/* VIRTIO 1.4, 5.1.9.5.2.1: in configuration space before the command is used. */
	memcpy(net->config.mac, address, sizeof(address));
	net->mac_set = true;
	return VIRTIO_NET_OK;
}

/*
 * Has the backend put frames on the pairs below @pairs whose queues run, and on no others. Returns
 * false when it cannot have them all so.
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

static uint8_t set_pairs(struct net_device *net, struct virtio_request *request)
{
	uint16_t pairs;

	/* VIRTIO 1.4, 5.1.9.5.6.1: 1 to max_virtqueue_pairs. */
	if (request_read(request, &pairs, sizeof(pairs)) != sizeof(pairs) || pairs == 0 ||
	    pairs > net->settings.pairs)
		return VIRTIO_NET_ERR;
	if (!use_pairs(net, pairs)) {
		use_pairs(net, net->pairs);
		return VIRTIO_NET_ERR;
	}
	net->pairs = pairs;
	for (uint16_t pair = 0; pair < net->settings.pairs; pair++) {
		if (pair >= pairs)
			net->backend->ops->stop(net->backend, pair);
		else if (net->device.queues[2 * pair].started)
			net->backend->ops->resume(net->backend, pair);
	}
	return VIRTIO_NET_OK;
}

static uint8_t set_offloads(struct net_device *net, struct virtio_request *request)
{
	uint64_t offloads;

	/* VIRTIO 1.4, 5.1.9.5.9.2: none that was not negotiated. */
	if (request_read(request, &offloads, sizeof(offloads)) != sizeof(offloads) ||
	    (offloads & ~net_guest_offloads(net)))
		return VIRTIO_NET_ERR;
	return net_set_offloads(net, offloads) ? VIRTIO_NET_OK : VIRTIO_NET_ERR;
}

static const struct command commands[] = {
	{VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_PROMISC, VIRTIO_NET_F_CTRL_RX, set_promiscuous},
	{VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLMULTI, VIRTIO_NET_F_CTRL_RX, set_all_multicast},
	{VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_ALLUNI, VIRTIO_NET_F_CTRL_RX_EXTRA,
	 set_all_unicast},
	{VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_NOMULTI, VIRTIO_NET_F_CTRL_RX_EXTRA,
	 set_no_multicast},
	{VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_NOUNI, VIRTIO_NET_F_CTRL_RX_EXTRA, set_no_unicast},
	{VIRTIO_NET_CTRL_RX, VIRTIO_NET_CTRL_RX_NOBCAST, VIRTIO_NET_F_CTRL_RX_EXTRA,
	 set_no_broadcast},
	{VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_TABLE_SET, VIRTIO_NET_F_CTRL_RX, set_mac_table},
	{VIRTIO_NET_CTRL_MAC, VIRTIO_NET_CTRL_MAC_ADDR_SET, VIRTIO_NET_F_CTRL_MAC_ADDR, set_mac},
	{VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, VIRTIO_NET_F_MQ, set_pairs},
	{VIRTIO_NET_CTRL_GUEST_OFFLOADS, VIRTIO_NET_CTRL_GUEST_OFFLOADS_SET,
	 VIRTIO_NET_F_CTRL_GUEST_OFFLOADS, set_offloads},
};

static uint8_t run_command(struct net_device *net, struct virtio_request *request)
{
	struct virtio_net_ctrl_hdr header;

	if (request_read(request, &header, sizeof(header)) != sizeof(header))
		return VIRTIO_NET_ERR;
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (commands[i].class == header.class && commands[i].command == header.cmd &&
		    virtio_has_feature(&net->device, commands[i].feature))
			return commands[i].run(net, request);
	return VIRTIO_NET_ERR;
}

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
		ack = run_command(net, request);
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
	net->mac_set = false;
	memcpy(net->config.mac, net->settings.mac, sizeof(net->config.mac));
}

static bool in_table(const uint8_t table[NET_FILTER_MAX][ETH_ALEN], uint8_t count,
		     const uint8_t *address)
{
	for (uint8_t i = 0; i < count; i++)
		if (!memcmp(table[i], address, ETH_ALEN))
			return true;
	return false;
}

/* Is this, of one station, an address of the driver's? */
static bool is_own_address(const struct net_device *net, const uint8_t *address)
{
	const struct net_filter *filter = &net->filter;

	/* VIRTIO 1.4, 5.1.4.2: without MAC the driver chooses an address, and may never tell. */
	if (!virtio_has_feature(&net->device, VIRTIO_NET_F_MAC) && !net->mac_set)
		return true;
	return !memcmp(address, net->config.mac, ETH_ALEN) ||
	       in_table(filter->unicast, filter->unicast_count, address);
}

bool net_filter_accepts(const struct net_device *net, const uint8_t *frame)
{
	static const uint8_t broadcast[ETH_ALEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	const struct net_filter *filter = &net->filter;
	bool listed = virtio_has_feature(&net->device, VIRTIO_NET_F_CTRL_RX);

	/*
	 * CTRL_RX needs CTRL_VQ (VIRTIO 1.4, 5.1.3.1). Without commands here the driver, or the
	 * frontend, does its own filtering, also for addresses that are not known here.
	 */
	if (!net_control_runs(net) || filter->promiscuous)
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
