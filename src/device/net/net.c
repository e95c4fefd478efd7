// SPDX-License-Identifier: BSD-3-Clause
/*
 * The network device (VIRTIO 1.4, 5.1): frames, configuration and features. The control queue is
 * in net_control.c.
 */
#include "device/net/net.h"

#include <errno.h>
#include <string.h>

#include "virtio/feature.h"

#define HEADER_LENGTH sizeof(struct virtio_net_hdr_v1)

_Static_assert(HEADER_LENGTH == 12, "header of VIRTIO 1.0 and later");

/* Received frames of these kinds are longer than the MTU. */
#define GUEST_SEGMENTATION (FEATURE(VIRTIO_NET_F_GUEST_TSO4) | FEATURE(VIRTIO_NET_F_GUEST_TSO6))

/*
 * Whether a packet with this gso_type may be segmented under the features or offloads @allowed,
 * of which @tso4, @tso6 and @ecn are bits.
 */
static bool segmentation_allowed(uint8_t gso_type, uint64_t allowed, unsigned int tso4,
				 unsigned int tso6, unsigned int ecn)
{
	if ((gso_type & VIRTIO_NET_HDR_GSO_ECN) && !(allowed & FEATURE(ecn)))
		return false;
	switch (gso_type & ~VIRTIO_NET_HDR_GSO_ECN) {
	case VIRTIO_NET_HDR_GSO_TCPV4:
		return allowed & FEATURE(tso4);
	case VIRTIO_NET_HDR_GSO_TCPV6:
		return allowed & FEATURE(tso6);
	}
	return false;
}

/*
 * Checks the driver's header of a packet of @length bytes and leaves in *header only what the
 * backend may use (VIRTIO 1.4, 5.1.9.2.1 and 5.1.9.2.2). False: the header is not allowed.
 */
static bool check_header(const struct net_device *net, struct virtio_net_hdr_v1 *header,
			 uint64_t length)
{
	uint64_t features = net->device.negotiated;
	bool checksum = header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;

	/* Flags that are not recognized are ignored: those of features not negotiated, too. */
	checksum = checksum && (features & FEATURE(VIRTIO_NET_F_CSUM));
	header->flags = checksum ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0;
	header->num_buffers = 0;
	if (length < ETH_HLEN || length > NET_FRAME_MAX)
		return false;
	if (!checksum) {
		/* "MUST NOT use the csum_start and csum_offset" */
		header->csum_start = header->csum_offset = 0;
	} else if ((uint32_t)header->csum_start + header->csum_offset + sizeof(uint16_t) > length) {
		return false;
	}
	if (header->gso_type == VIRTIO_NET_HDR_GSO_NONE) {
		header->gso_size = header->hdr_len = 0;
		return true;
	}
	/* "MUST NOT rely on hdr_len to be correct": the kernel requires that it fits the packet. */
	if (header->hdr_len > length)
		header->hdr_len = (uint16_t)length;
	return checksum && header->gso_size > 0 &&
	       segmentation_allowed(header->gso_type, features, VIRTIO_NET_F_HOST_TSO4,
				    VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_HOST_ECN);
}

/* Sends one packet. The segments stay in guest memory; only the header is copied. */
static void send_packet(struct net_device *net, uint16_t pair, struct virtio_request *request)
{
	struct virtio_segment segments[1 + VIRTQUEUE_SEGMENTS];
	const struct virtio_stream *packet = &request->readable;
	struct virtio_net_hdr_v1 header;

	if (request->queue->disabled ||
	    request_read(request, &header, HEADER_LENGTH) != HEADER_LENGTH ||
	    !check_header(net, &header, packet->left)) {
		net->counts.send_dropped++;
		return;
	}
	segments[0] = (struct virtio_segment){&header, HEADER_LENGTH};
	memcpy(&segments[1], packet->segments, packet->count * sizeof(segments[0]));
	if (net->backend->ops->send(net->backend, pair, segments, 1 + packet->count))
		net->counts.sent++;
	else
		net->counts.send_dropped++;
}

static void transmit(struct net_device *net, uint16_t pair, struct virtqueue *queue)
{
	struct virtio_request *request;

	for_each_request(request, queue) {
		send_packet(net, pair, request);
		virtqueue_push(queue, request);
	}
	virtqueue_notify(queue);
}

/* Whether received frames may use this pair. */
static bool pair_in_use(const struct net_device *net, uint16_t pair)
{
	/*
	 * VIRTIO 1.4, 5.1.9.5.6.2: not beyond the number that the driver set. Without a control
	 * queue here, the frontend handles it and starts only the queues in use.
	 */
	return pair < net->pairs || !virtio_has_feature(&net->device, VIRTIO_NET_F_CTRL_VQ);
}

static struct virtqueue *receive_queue(const struct net_device *net, uint16_t pair)
{
	return &net->device.queues[2 * pair];
}

/*
 * The index of the control queue: after the pairs that can be used (VIRTIO 1.4, 5.1.2). Queues
 * after it do not exist.
 */
static uint16_t control_index(const struct net_device *net)
{
	bool multiqueue = virtio_has_feature(&net->device, VIRTIO_NET_F_MQ);

	return (uint16_t)(2 * (multiqueue ? net->settings.pairs : 1));
}

const struct virtqueue *net_control_queue(const struct net_device *net)
{
	const struct virtqueue *queue = &net->device.queues[control_index(net)];

	return virtio_has_feature(&net->device, VIRTIO_NET_F_CTRL_VQ) && queue->started ? queue :
											  NULL;
}

static void handle(struct virtio_device *device, struct virtqueue *queue)
{
	struct net_device *net = to_net(device);
	uint16_t pair = queue->index / 2;

	if (queue->index > control_index(net))
		return;
	if (queue->index == control_index(net)) {
		if (virtio_has_feature(device, VIRTIO_NET_F_CTRL_VQ))
			net_control_handle(net, queue);
	} else if (queue->index % 2) {
		transmit(net, pair, queue);
	} else if (pair_in_use(net, pair)) {
		net->backend->ops->resume(net->backend, pair);
	}
}

/*
 * Leaves in *header only what the driver negotiated (VIRTIO 1.4, 5.1.9.4.1). False: the driver
 * cannot get this frame. The backend knows the offloads, but frames made before they changed may
 * still arrive.
 */
static bool check_received(const struct net_device *net, struct virtio_net_hdr_v1 *header,
			   size_t length)
{
	bool checksum_left = header->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM;

	if (header->gso_type != VIRTIO_NET_HDR_GSO_NONE)
		return checksum_left &&
		       segmentation_allowed(header->gso_type, net->offloads,
					    VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_TSO6,
					    VIRTIO_NET_F_GUEST_ECN);
	if (!(net->offloads & FEATURE(VIRTIO_NET_F_GUEST_CSUM))) {
		if (checksum_left)
			return false;
		header->flags = 0;
	}
	header->flags &= VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID;
	/* VIRTIO 1.4, 5.1.4.1: never more than the MTU, not counting the VLAN tag. */
	return !virtio_has_feature(&net->device, VIRTIO_NET_F_MTU) ||
	       length <= (size_t)net->settings.mtu + ETH_HLEN + 4;
}

/*
 * Takes *count buffers for @bytes from the queue. They are taken only if it returns NET_RECEIVED
 * with *count above 0; NET_RECEIVED with 0 means that the frame can never be delivered.
 */
static enum net_received take_buffers(struct net_device *net, struct virtqueue *queue,
				      uint64_t bytes, uint16_t *count)
{
	bool mergeable = virtio_has_feature(&net->device, VIRTIO_NET_F_MRG_RXBUF);
	/* VIRTIO 1.4, 5.1.9.3.2: without MRG_RXBUF one buffer must be enough. */
	uint16_t limit = mergeable ? queue->size : 1;
	uint64_t room = 0;

	*count = 0;
	while (room < bytes && *count < limit) {
		struct virtio_request *request = virtqueue_pop(queue);

		if (!request)
			break;
		net->buffers[(*count)++] = request;
		room += request->writable.left;
	}
	if (*count == 0)
		return virtqueue_broken(queue) ? NET_RECEIVED : NET_FULL;
	/* VIRTIO 1.4, 5.1.9.3.1: the first buffer has room for the header at least. */
	if (net->buffers[0]->writable.left < HEADER_LENGTH) {
		virtio_device_fault(&net->device, queue,
				    "receive buffer smaller than the packet header");
		*count = 0;
		return NET_RECEIVED;
	}
	if (room >= bytes)
		return NET_RECEIVED;
	limit -= *count;
	while (*count > 0)
		virtqueue_unpop(queue, net->buffers[--*count]);
	/* If it does not fit into a full ring of buffers, do not wait. */
	return limit == 0 || virtqueue_broken(queue) ? NET_RECEIVED : NET_SHORT;
}

/* Copies a frame into the buffers taken, each full but the last (VIRTIO 1.4, 5.1.9.4.1). */
static void fill_buffers(struct net_device *net, struct virtqueue *queue, uint16_t count,
			 const struct virtio_net_hdr_v1 *header, const uint8_t *frame,
			 size_t length)
{
	size_t done = 0;

	request_write(net->buffers[0], header, HEADER_LENGTH);
	for (uint16_t i = 0; i < count; i++)
		done += request_write(net->buffers[i], frame + done, length - done);
	virtqueue_push_batch(queue, net->buffers, count);
}

void net_device_count_dropped(struct net_device *net)
{
	net->counts.receive_dropped++;
}

static enum net_received drop(struct net_device *net)
{
	net_device_count_dropped(net);
	return NET_RECEIVED;
}

enum net_received net_device_receive(struct net_device *net, uint16_t pair,
				     const struct virtio_net_hdr_v1 *header, const void *frame,
				     size_t length)
{
	struct virtqueue *queue = receive_queue(net, pair);
	struct virtio_net_hdr_v1 own = *header;
	enum net_received result;
	uint16_t count;

	if (!queue->started || virtqueue_broken(queue) || !pair_in_use(net, pair)) {
		net->backend->ops->stop(net->backend, pair);
		return drop(net);
	}
	if (length < ETH_HLEN || length > NET_FRAME_MAX || !check_received(net, &own, length))
		return drop(net);
	if (!net_filter_accepts(net, frame)) {
		net->counts.filtered++;
		return NET_RECEIVED;
	}
	result = take_buffers(net, queue, HEADER_LENGTH + length, &count);
	if (result != NET_RECEIVED)
		return result;
	if (count == 0)
		return drop(net);
	own.num_buffers = count;
	fill_buffers(net, queue, count, &own, frame, length);
	net->counts.received++;
	return NET_RECEIVED;
}

void net_device_received(struct net_device *net, uint16_t pair)
{
	virtqueue_notify(receive_queue(net, pair));
}

void net_device_set_link(struct net_device *net, bool up)
{
	uint16_t status = up ? VIRTIO_NET_S_LINK_UP : 0;

	if (net->config.status == status)
		return;
	net->config.status = status;
	virtio_device_config_changed(&net->device);
}

uint64_t net_guest_offloads(const struct net_device *net)
{
	return net->device.negotiated & net->backend->features &
	       (FEATURE(VIRTIO_NET_F_GUEST_CSUM) | FEATURE(VIRTIO_NET_F_GUEST_ECN) |
		GUEST_SEGMENTATION);
}

bool net_set_offloads(struct net_device *net, uint64_t offloads)
{
	const struct net_backend_ops *ops = net->backend->ops;

	if (ops->set_offloads && !ops->set_offloads(net->backend, offloads))
		return false;
	net->offloads = offloads;
	return true;
}

/* Segmentation requires checksum offload (VIRTIO 1.4, 5.1.3.1). */
static int features_chosen(struct virtio_device *device)
{
	static const uint8_t needs[][3] = {
		{VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_GUEST_CSUM},
		{VIRTIO_NET_F_GUEST_TSO6, VIRTIO_NET_F_GUEST_CSUM, VIRTIO_NET_F_GUEST_CSUM},
		{VIRTIO_NET_F_GUEST_ECN, VIRTIO_NET_F_GUEST_TSO4, VIRTIO_NET_F_GUEST_TSO6},
		{VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_CSUM, VIRTIO_NET_F_CSUM},
		{VIRTIO_NET_F_HOST_TSO6, VIRTIO_NET_F_CSUM, VIRTIO_NET_F_CSUM},
		{VIRTIO_NET_F_HOST_ECN, VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_HOST_TSO6},
	};
	struct net_device *net = to_net(device);

	for (size_t i = 0; i < sizeof(needs) / sizeof(needs[0]); i++)
		if (virtio_has_feature(device, needs[i][0]) &&
		    !virtio_has_feature(device, needs[i][1]) &&
		    !virtio_has_feature(device, needs[i][2]))
			return -EINVAL;
	/*
	 * VIRTIO 1.4, 5.1.9.5.9.1: the negotiated offloads are in force until the driver changes
	 * them. Those that cannot be set must not be negotiated.
	 */
	return net_set_offloads(net, net_guest_offloads(net)) ? 0 : -EINVAL;
}

static void reset(struct virtio_device *device)
{
	struct net_device *net = to_net(device);

	for (uint16_t pair = 0; pair < net->settings.pairs; pair++)
		net->backend->ops->stop(net->backend, pair);
	net_control_reset(net);
	/* If this fails, so does the next negotiation: until then no frames are received. */
	net_set_offloads(net, 0);
	if (net->backend->ops->reset)
		net->backend->ops->reset(net->backend);
}

static const struct virtio_device_class net_class = {
	.name = "net",
	.id = 1,
	.features_chosen = features_chosen,
	.handle = handle,
	.reset = reset,
	.state_version = 1,
	.save = net_control_save,
	.load = net_control_load,
};

static uint64_t features(const struct net_settings *settings, uint64_t backend_features)
{
	const uint64_t guest = FEATURE(VIRTIO_NET_F_GUEST_CSUM) | FEATURE(VIRTIO_NET_F_GUEST_ECN) |
			       GUEST_SEGMENTATION;
	const uint64_t host = FEATURE(VIRTIO_NET_F_CSUM) | FEATURE(VIRTIO_NET_F_HOST_TSO4) |
			      FEATURE(VIRTIO_NET_F_HOST_TSO6) | FEATURE(VIRTIO_NET_F_HOST_ECN);
	uint64_t bits = backend_features & (guest | host);

	if (bits & guest)
		bits |= FEATURE(VIRTIO_NET_F_CTRL_GUEST_OFFLOADS);
	if (settings->mtu > 0)
		bits |= FEATURE(VIRTIO_NET_F_MTU);
	if (settings->pairs > 1)
		bits |= FEATURE(VIRTIO_NET_F_MQ);
	return bits | FEATURE(VIRTIO_NET_F_MAC) | FEATURE(VIRTIO_NET_F_STATUS) |
	       FEATURE(VIRTIO_NET_F_MRG_RXBUF) | FEATURE(VIRTIO_NET_F_CTRL_VQ) |
	       FEATURE(VIRTIO_NET_F_CTRL_RX) | FEATURE(VIRTIO_NET_F_CTRL_RX_EXTRA) |
	       FEATURE(VIRTIO_NET_F_CTRL_MAC_ADDR);
}

void net_device_init(struct net_device *net, const struct net_settings *settings,
		     struct net_backend *backend, struct virtqueue *queues)
{
	memset(net, 0, sizeof(*net));
	net->settings = *settings;
	net->backend = backend;
	backend->net = net;
	net->config.status = VIRTIO_NET_S_LINK_UP;
	net->config.max_virtqueue_pairs = settings->pairs;
	net->config.mtu = settings->mtu;
	net_control_reset(net);
	virtio_device_init(&net->device, &net_class, features(settings, backend->features),
			   &net->config, offsetof(struct virtio_net_config, speed), queues,
			   net_queue_count(settings), settings->queue_size_max);
	for (uint16_t pair = 0; pair < settings->pairs; pair++)
		queues[2 * pair + 1].discards = true;
}
