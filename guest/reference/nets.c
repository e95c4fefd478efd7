// SPDX-License-Identifier: BSD-3-Clause
/* The queues of a port, and its header of a frame (VIRTIO 1.4, 5.1.9). */
#include "port.h"

#include "actions.h"

#define HASH_TYPES   (HASH_IPV4 | HASH_TCPV4 | HASH_UDPV4)
#define TUNNEL_TYPES 0 /* no encapsulation has an inner hash */

#define FEATURES                                                                            \
	(FEATURE(VIRTIO_NET_F_CSUM) | FEATURE(VIRTIO_NET_F_GUEST_CSUM) |                    \
	 FEATURE(VIRTIO_NET_F_MTU) | FEATURE(VIRTIO_NET_F_MAC) |                            \
	 FEATURE(VIRTIO_NET_F_GUEST_TSO4) | FEATURE(VIRTIO_NET_F_GUEST_TSO6) |              \
	 FEATURE(VIRTIO_NET_F_HOST_TSO4) | FEATURE(VIRTIO_NET_F_HOST_TSO6) |                \
	 FEATURE(VIRTIO_NET_F_MRG_RXBUF) | FEATURE(VIRTIO_NET_F_STATUS) |                   \
	 FEATURE(VIRTIO_NET_F_CTRL_VQ) | FEATURE(VIRTIO_NET_F_CTRL_RX) |                    \
	 FEATURE(VIRTIO_NET_F_CTRL_VLAN) | FEATURE(NET_F_CTRL_RX_EXTRA) |                   \
	 FEATURE(VIRTIO_NET_F_GUEST_ANNOUNCE) | FEATURE(VIRTIO_NET_F_MQ) |                  \
	 FEATURE(VIRTIO_NET_F_CTRL_MAC_ADDR) | FEATURE(NET_F_STATISTICS) |                  \
	 FEATURE(NET_F_HASH_TUNNEL) | FEATURE(NET_F_QUEUE_COALESCING) |                     \
	 FEATURE(NET_F_COALESCING) | FEATURE(NET_F_HOST_USO) | FEATURE(NET_F_HASH_REPORT) | \
	 FEATURE(NET_F_GUEST_HDRLEN) | FEATURE(NET_F_RSS) | FEATURE(NET_F_RSC_EXT) |        \
	 FEATURE(NET_F_SPEED_DUPLEX))
#define FEATURES_HIGH (NET_HIGH_RSS_CONTEXT | NET_HIGH_HOST_TUNNEL | NET_HIGH_OUTER_HEADER)

static struct port ports[2];

static bool has(const struct port *port, unsigned int feature)
{
	return virtio_has_feature(&port->reference.device, feature);
}

bool port_has_high(const struct port *port, uint32_t features)
{
	return port->reference.negotiated_high & features;
}

bool port_has_link(const struct port *port)
{
	return port->config.status & VIRTIO_NET_S_LINK_UP || reference_fault(FAULT_LINK_IGNORED);
}

uint16_t port_control_queue(const struct port *port)
{
	return has(port, VIRTIO_NET_F_MQ) || has(port, NET_F_RSS) ? 2 * PAIRS_MAX : 2;
}

uint32_t port_header_size(const struct port *port)
{
	if (port_has_high(port, NET_HIGH_OUTER_HEADER | NET_HIGH_IPSEC))
		return 32;
	if (port_has_high(port, NET_HIGH_HOST_TUNNEL))
		return 24;
	return has(port, NET_F_HASH_REPORT) ? 20 : NET_HEADER;
}

/* Receive */

/* Takes buffers for @length bytes. Returns how many; 0: there are too few, and none is taken. */
static uint16_t take_buffers(const struct port *port, struct virtqueue *queue, uint32_t length,
			     struct virtio_request *requests[RING_LARGE])
{
	uint16_t count = 0;
	uint64_t room = 0;

	while (room < length && count < (has(port, VIRTIO_NET_F_MRG_RXBUF) ? queue->size : 1)) {
		struct virtio_request *request = virtqueue_pop(queue);

		if (!request)
			break;
		requests[count++] = request;
		room += request->writable.left;
	}
	if (room >= length)
		return count;
	while (count > 0)
		virtqueue_unpop(queue, requests[--count]);
	return 0;
}

static void write_parts(struct virtio_request **requests, const uint8_t *data, uint32_t length)
{
	for (; length > 0; requests++) {
		uint32_t part = (uint32_t)request_write(*requests, data, length);

		data += part;
		length -= part;
	}
}

/* False: there are too few buffers. */
static bool deliver(struct port *port, const uint8_t *frame, uint32_t length)
{
	static uint8_t whole[32 + FRAME_MAX];
	struct virtio_request *requests[RING_LARGE];
	struct virtio_net_hdr_v1 header = {.num_buffers = 1};
	uint32_t size = port_header_size(port), hash = 0;
	struct virtqueue *queue;
	uint16_t pair, report, count;

	pair = port_choose_pair(port, frame, length, &hash, &report);
	queue = &port->reference.queues[2 * pair];
	count = queue->started ? take_buffers(port, queue, size + length, requests) : 0;
	if (count == 0)
		return false;
	header.num_buffers = count;
	memset(whole, 0, size);
	if (reference_fault(FAULT_RSC_UNCOUNTED))
		header.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	memcpy(whole, &header, sizeof(header));
	if (has(port, NET_F_HASH_REPORT)) {
		if (reference_fault(FAULT_HASH_WRONG))
			hash++;
		memcpy(whole + 12, &hash, 4);
		memcpy(whole + 16, &report, 2);
	}
	memcpy(whole + size, frame, length);
	write_parts(requests, whole, size + length);
	virtqueue_push_batch(queue, requests, count);
	virtqueue_notify(queue);
	virtqueue_enable_kicks(queue);
	port->settings.counts[2 * pair].packets++;
	port->settings.counts[2 * pair].bytes += length;
	return true;
}

/* In the order in which they came. */
static void deliver_waiting(struct port *port)
{
	struct waiting *waiting = &port->waiting;

	while (waiting->count > 0 &&
	       deliver(port, waiting->frames[waiting->first], waiting->lengths[waiting->first])) {
		waiting->first = (waiting->first + 1) % WAITING_MAX;
		waiting->count--;
	}
}

void port_receive(struct port *port, const uint8_t *frame, uint32_t length)
{
	struct waiting *waiting = &port->waiting;
	uint32_t last = (waiting->first + waiting->count) % WAITING_MAX;

	if (!(port->reference.device.status & VIRTIO_CONFIG_S_DRIVER_OK) ||
	    port->reference.suspended || !port_accepts(port, frame, length) ||
	    length > sizeof(waiting->frames[0]))
		return;
	if (waiting->count == 0 && deliver(port, frame, length))
		return;
	if (waiting->count == WAITING_MAX) {
		port->settings.counts[0].drops++;
		return;
	}
	memcpy(waiting->frames[last], frame, length);
	waiting->lengths[last] = length;
	waiting->count++;
	deliver_waiting(port);
}

/* Transmit */

static void send_frames(struct port *port, struct virtqueue *queue)
{
	static uint8_t frame[FRAME_MAX];
	struct virtio_request *request;

	for_each_request(request, queue) {
		uint8_t header[32] = {0};
		uint32_t size = port_header_size(port);
		struct virtio_net_hdr_v1 fields;
		uint16_t offsets[2];
		size_t got = request_read(request, header, size);
		size_t length = request_read(request, frame, FRAME_MAX);
		bool malformed = got < size || request->readable.left > 0;

		memcpy(&fields, header, sizeof(fields));
		memcpy(offsets, header + 20, sizeof(offsets));
		virtqueue_push(queue, request);
		/* resource_id, without the bit that makes it valid. */
		malformed |= reference_fault(FAULT_RESOURCE_USED) && size == 32 && header[26];
		if (malformed) {
			port->settings.counts[queue->index].drops++;
			continue;
		}
		port->settings.last_pair = queue->index / 2;
		port->settings.counts[queue->index].packets++;
		port->settings.counts[queue->index].bytes += length;
		if (port_has_link(port))
			port_send(port, &fields, frame, (uint32_t)length, offsets[0], offsets[1]);
	}
}

static void handle(struct virtio_device *device, struct virtqueue *queue)
{
	struct port *port = (struct port *)device;

	if (queue->index == port_control_queue(port) && has(port, VIRTIO_NET_F_CTRL_VQ)) {
		port_control(port, queue);
		return;
	}
	if (queue->index < 2 * PAIRS_MAX)
		port->settings.counts[queue->index].kicks++;
	if (queue->index % 2)
		send_frames(port, queue);
	else
		deliver_waiting(port);
}

/* Life */

static void reset(struct virtio_device *device)
{
	struct port *port = (struct port *)device;

	memset(&port->settings, 0, sizeof(port->settings));
	port->waiting.count = 0;
	port->settings.pairs = 1;
	memcpy(port->config.mac, port->address, 6);
}

/* VIRTIO 1.4, 5.1.9.5.10: a queue that is enabled again has the parameters of all. */
static void queue_changed(struct reference *reference, uint16_t queue)
{
	struct port *port = (struct port *)reference;

	if (queue < 2 * PAIRS_MAX && !reference->rings[queue].ready &&
	    !reference_fault(FAULT_COALESCING_KEPT))
		port->settings.queues[queue] = port->settings.all[queue % 2];
}

static const struct virtio_device_class port_class = {
	.name = "port",
	.id = VIRTIO_ID_NET,
	.handle = handle,
	.reset = reset,
};

void reference_add_nets(void)
{
	for (unsigned int i = 0; i < 2; i++) {
		struct port *port = &ports[i];

		port->config = (struct port_config){
			.mac = {2, 0x41, 0x56, 0x50, 1, (uint8_t)(i + 1)},
			.status = VIRTIO_NET_S_LINK_UP,
			.pairs = PAIRS_MAX,
			.mtu = MTU,
			.speed = 10000,
			.duplex = 1, /* full */
			.key_max = KEY_MAX,
			.table_max = TABLE_MAX,
			.hash_types = HASH_TYPES,
			.tunnel_types = TUNNEL_TYPES,
		};
		memcpy(port->address, port->config.mac, 6);
		reference_init(&port->reference, &port_class, FEATURES, &port->config,
			       sizeof(port->config), QUEUES, RING_LARGE);
		port->reference.offered_high = FEATURES_HIGH;
		port->reference.queue_changed = queue_changed;
		reset(&port->reference.device);
		link_add(port);
	}
	actions_take_port(&ports[0]);
	windows_add(&ports[0].reference);
	functions_add(&ports[1].reference);
}
