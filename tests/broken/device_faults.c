// SPDX-License-Identifier: BSD-3-Clause
/* Faults of block, network and entropy devices (VIRTIO 1.4, 5.1, 5.2 and 5.4). */
#include <errno.h>
#include <string.h>

#include "broken/fault.h"
#include "virtio/feature.h"

/* Block */

static struct block_device *to_block(struct virtio_device *device)
{
	return (struct block_device *)device;
}

static struct block_request *block_request_of(const struct virtio_request *request)
{
	struct block_device *block = to_block(request->queue->device);

	return &block->requests[(size_t)request->queue->index * block->settings.queue_size_max +
				request->index];
}

/* The header has been read; it is in the first segment. */
static uint32_t type_of(const struct virtio_request *request)
{
	const struct virtio_blk_outhdr *header =
		(struct virtio_blk_outhdr *)request->segments[0].base - 1;

	return header->type;
}

static void use_unknown_status(struct virtqueue *queue, struct virtio_request *batch)
{
	uint8_t *status = block_request_of(batch)->status;

	if (*status != VIRTIO_BLK_S_OK)
		*status = 7;
	use_real(queue, batch);
}

static void use_unknown_type(struct virtqueue *queue, struct virtio_request *batch)
{
	uint8_t *status = block_request_of(batch)->status;

	if (*status == VIRTIO_BLK_S_UNSUPP)
		*status = VIRTIO_BLK_S_OK;
	use_real(queue, batch);
}

static void use_wild_range(struct virtqueue *queue, struct virtio_request *batch)
{
	uint8_t *status = block_request_of(batch)->status;

	if (*status == VIRTIO_BLK_S_IOERR && type_of(batch) == VIRTIO_BLK_T_WRITE_ZEROES)
		*status = VIRTIO_BLK_S_OK;
	use_real(queue, batch);
}

static void read_next_sector(struct block_backend *backend, struct block_operation *operation)
{
	if (operation->action == BLOCK_READ)
		operation->offset += BLOCK_SECTOR;
	fault_real_block->submit(backend, operation);
}

static void fail_flush(struct block_backend *backend, struct block_operation *operation)
{
	if (operation->action == BLOCK_FLUSH)
		operation->complete(operation, -EIO);
	else
		fault_real_block->submit(backend, operation);
}

static void range_too_long(struct block_backend *backend, struct block_operation *operation)
{
	if (operation->action == BLOCK_ZERO || operation->action == BLOCK_DISCARD)
		operation->length += BLOCK_SECTOR;
	fault_real_block->submit(backend, operation);
}

static void zero_nothing(struct block_backend *backend, struct block_operation *operation)
{
	if (operation->action == BLOCK_ZERO)
		operation->complete(operation, 0);
	else
		fault_real_block->submit(backend, operation);
}

/* Does the first range of a request only. */
static void zero_first(struct block_backend *backend, struct block_operation *operation)
{
	const struct block_request *request = (struct block_request *)operation;

	if (operation->action == BLOCK_ZERO && request->range_next > 1)
		operation->complete(operation, 0);
	else
		fault_real_block->submit(backend, operation);
}

#define SEGMENTS_SERVED 32

static void fail_many_segments(struct block_backend *backend, struct block_operation *operation)
{
	if (operation->action == BLOCK_READ && operation->data.count > SEGMENTS_SERVED)
		operation->complete(operation, -EIO);
	else
		fault_real_block->submit(backend, operation);
}

/* A cache of sectors that nothing writes back, and that a reset empties. */
static struct {
	uint64_t offset;
	uint8_t data[BLOCK_SECTOR];
} cached[32];
static size_t cached_count;

static void empty_cache(struct virtqueue *queue)
{
	cached_count = 0;
}

static void copy_stream(struct virtio_stream *stream, uint8_t *sector, bool to_stream)
{
	size_t done = 0;

	for (uint32_t i = 0; i < stream->count && done < BLOCK_SECTOR; i++) {
		const struct virtio_segment *segment = &stream->segments[i];

		if (to_stream)
			memcpy(segment->base, sector + done, segment->length);
		else
			memcpy(sector + done, segment->base, segment->length);
		done += segment->length;
	}
}

static void cache_for_ever(struct block_backend *backend, struct block_operation *operation)
{
	bool writes = operation->action == BLOCK_WRITE;
	size_t at = 0;

	if (operation->action == BLOCK_FLUSH) {
		operation->complete(operation, 0);
		return;
	}
	while (at < cached_count && cached[at].offset != operation->offset)
		at++;
	if (operation->length != BLOCK_SECTOR || at == sizeof(cached) / sizeof(cached[0]) ||
	    !(writes || (operation->action == BLOCK_READ && at < cached_count))) {
		fault_real_block->submit(backend, operation);
		return;
	}
	cached[at].offset = operation->offset;
	cached_count = at < cached_count ? cached_count : at + 1;
	copy_stream(&operation->data, cached[at].data, !writes);
	operation->complete(operation, 0);
}

static void tell_few_ranges(struct virtio_device *device)
{
	to_block(device)->config.max_write_zeroes_seg = 2;
}

static void misalign(struct virtio_device *device)
{
	to_block(device)->config.physical_block_exp = 1;
	to_block(device)->config.alignment_offset = 2;
}

static void tell_bytes(struct virtio_device *device)
{
	to_block(device)->config.capacity = to_block(device)->settings.capacity;
}

static void forget_capacity(struct virtio_device *device)
{
	to_block(device)->settings.capacity = UINT64_MAX / BLOCK_SECTOR * BLOCK_SECTOR;
}

static void leave_old_serial(struct virtio_device *device)
{
	memcpy(to_block(device)->settings.serial, "AVP\0left from before", VIRTIO_BLK_ID_BYTES);
}

static void offer_read_only(struct virtio_device *device)
{
	device->offered |= FEATURE(VIRTIO_BLK_F_RO);
}

static void hide_flush(struct virtio_device *device)
{
	device->offered &= ~FEATURE(VIRTIO_BLK_F_FLUSH);
}

/* Network */

static bool send_beginning(struct net_backend *backend, uint16_t pair,
			   const struct virtio_segment *segments, uint32_t count)
{
	return fault_real_net->send(backend, pair, segments, count < 2 ? count : 2);
}

static bool send_nothing(struct net_backend *backend, uint16_t pair,
			 const struct virtio_segment *segments, uint32_t count)
{
	return true;
}

/* Sends each frame after the next one. */
static bool send_swapped(struct net_backend *backend, uint16_t pair,
			 const struct virtio_segment *segments, uint32_t count)
{
	static uint8_t held[sizeof(struct virtio_net_hdr_v1) + NET_FRAME_MAX];
	static size_t held_length;
	struct virtio_segment again[2] = {{held, sizeof(struct virtio_net_hdr_v1)}};

	if (held_length == 0) {
		for (uint32_t i = 0; i < count; i++) {
			memcpy(held + held_length, segments[i].base, segments[i].length);
			held_length += segments[i].length;
		}
		return true;
	}
	fault_real_net->send(backend, pair, segments, count);
	again[1].base = held + again[0].length;
	again[1].length = held_length - again[0].length;
	held_length = 0;
	return fault_real_net->send(backend, pair, again, 2);
}

static enum net_received receive_nothing(struct net_device *net, uint16_t pair,
					 const struct virtio_net_hdr_v1 *header, const void *frame,
					 size_t length)
{
	return NET_RECEIVED;
}

static enum net_received receive_cut(struct net_device *net, uint16_t pair,
				     const struct virtio_net_hdr_v1 *header, const void *frame,
				     size_t length)
{
	return __real_net_device_receive(net, pair, header, frame,
					 length > ETH_ZLEN ? length - 1 : length);
}

/* Delays each frame until after the next one. */
static enum net_received receive_swapped(struct net_device *net, uint16_t pair,
					 const struct virtio_net_hdr_v1 *header, const void *frame,
					 size_t length)
{
	static uint8_t held[NET_FRAME_MAX];
	static size_t held_length;

	if (held_length == 0) {
		memcpy(held, frame, length);
		held_length = length;
		return NET_RECEIVED;
	}
	__real_net_device_receive(net, pair, header, frame, length);
	length = held_length;
	held_length = 0;
	return __real_net_device_receive(net, pair, header, held, length);
}

static enum net_received receive_until_full(struct net_device *net, uint16_t pair,
					    const struct virtio_net_hdr_v1 *header,
					    const void *frame, size_t length)
{
	static bool stalled;

	if (!stalled && __real_net_device_receive(net, pair, header, frame, length) == NET_FULL)
		stalled = true;
	return NET_RECEIVED;
}

#define FRAME_LONG 1000

/* Cuts frames whose hdr_len is not what it should be: nothing but the header is left. */
static int take_by_length(struct virtqueue *queue, struct virtio_request *request)
{
	int result = fault_real_format(queue)->take(queue, request);
	struct virtio_segment *first = request->segments;
	const struct virtio_net_hdr_v1 *header;

	if (result < 0 || request->readable.count != 1 || first->length < sizeof(*header))
		return result;
	header = first->base;
	if (header->hdr_len != 0)
		request->readable.left = first->length = sizeof(*header);
	return result;
}

static bool send_short(struct net_backend *backend, uint16_t pair,
		       const struct virtio_segment *segments, uint32_t count)
{
	size_t length = 0;

	for (uint32_t i = 0; i < count; i++)
		length += segments[i].length;
	return length > FRAME_LONG || fault_real_net->send(backend, pair, segments, count);
}

static void forget_mtu(struct virtio_device *device)
{
	((struct net_device *)device)->settings.mtu += FRAME_LONG;
}

/* Long frames arrive longer than any packet of the link is. */
static enum net_received receive_longer(struct net_device *net, uint16_t pair,
					const struct virtio_net_hdr_v1 *header, const void *frame,
					size_t length)
{
	static uint8_t longer[NET_FRAME_MAX];

	if (length < FRAME_LONG || length > sizeof(longer) - FRAME_LONG)
		return __real_net_device_receive(net, pair, header, frame, length);
	memcpy(longer, frame, length);
	return __real_net_device_receive(net, pair, header, longer, length + FRAME_LONG / 2);
}

static size_t write_header(struct virtio_request *request, const void *buffer, size_t length,
			   uint8_t flags, uint8_t gso_type, uint16_t more_buffers)
{
	struct virtio_net_hdr_v1 header;

	if (length != sizeof(header))
		return __real_request_write(request, buffer, length);
	memcpy(&header, buffer, sizeof(header));
	header.flags |= flags;
	header.gso_type |= gso_type;
	header.num_buffers += more_buffers;
	return __real_request_write(request, &header, sizeof(header));
}

static size_t count_wrongly(struct virtio_request *request, const void *buffer, size_t length)
{
	return write_header(request, buffer, length, 0, 0, 1);
}

static size_t need_checksum(struct virtio_request *request, const void *buffer, size_t length)
{
	return write_header(request, buffer, length, VIRTIO_NET_HDR_F_NEEDS_CSUM, 0, 0);
}

static size_t claim_segments(struct virtio_request *request, const void *buffer, size_t length)
{
	return write_header(request, buffer, length, 0, VIRTIO_NET_HDR_GSO_TCPV4, 0);
}

static size_t claim_large(struct virtio_request *request, const void *buffer, size_t length)
{
	struct virtio_net_hdr_v1 header;

	if (length != sizeof(header))
		return __real_request_write(request, buffer, length);
	memcpy(&header, buffer, sizeof(header));
	header.gso_type = VIRTIO_NET_HDR_GSO_TCPV4;
	header.gso_size = FRAME_LONG;
	return __real_request_write(request, &header, sizeof(header));
}

/* VIRTIO 1.4, 5.1.9: bits of flags and gso_type that kernel headers may lack. */
#define GSO_UDP_TUNNEL_IPV4 0x20
#define FLAG_SECURITY	    0x10

static size_t claim_tunnel(struct virtio_request *request, const void *buffer, size_t length)
{
	return write_header(request, buffer, length, 0, GSO_UDP_TUNNEL_IPV4, 0);
}

static size_t claim_coalesced(struct virtio_request *request, const void *buffer, size_t length)
{
	return write_header(request, buffer, length, VIRTIO_NET_HDR_F_RSC_INFO, 0, 0);
}

static size_t claim_secure(struct virtio_request *request, const void *buffer, size_t length)
{
	return write_header(request, buffer, length, FLAG_SECURITY, 0, 0);
}

static void offer_large(struct virtio_device *device)
{
	device->offered |= FEATURE(VIRTIO_NET_F_GUEST_CSUM) | FEATURE(VIRTIO_NET_F_GUEST_TSO4);
}

/* Leaves the end of each buffer unused; the first one has the header already. */
static size_t fill_loosely(struct virtio_request *request, const void *buffer, size_t length)
{
	if (request->written == 0 && length > request->writable.left)
		length = request->writable.left - 1;
	return __real_request_write(request, buffer, length);
}

static void offer_segmentation(struct virtio_device *device)
{
	device->offered |= FEATURE(VIRTIO_NET_F_HOST_TSO4);
}

/* Entropy */

static size_t fill_nothing(struct entropy_backend *backend, void *buffer, size_t length)
{
	return 0;
}

static size_t fill_half(struct entropy_backend *backend, void *buffer, size_t length)
{
	fault_real_fill(backend, buffer, (length + 1) / 2);
	return length;
}

static size_t fill_the_same(struct entropy_backend *backend, void *buffer, size_t length)
{
	for (size_t i = 0; i < length; i++)
		((uint8_t *)buffer)[i] = (uint8_t)(i * 0x9e3779b9u >> 13);
	return length;
}

static size_t fill_with_zeroes(struct entropy_backend *backend, void *buffer, size_t length)
{
	memset(buffer, 0, length);
	return length;
}

/* The position in a sequence of bytes that each start begins anew. */
static uint64_t sequence;

static void restart_sequence(struct virtqueue *queue)
{
	sequence = 0;
}

static size_t fill_by_sequence(struct entropy_backend *backend, void *buffer, size_t length)
{
	for (size_t i = 0; i < length; i++)
		((uint8_t *)buffer)[i] = (uint8_t)(++sequence * 0x9e3779b97f4a7c15u >> 56);
	return length;
}

const struct fault device_faults[] = {
	{"block-sector", "a read returns the next sector", "blk_write_read", "AVP-BLK-001",
	 .device = "block", .submit = read_next_sector},
	{"block-capacity", "the capacity is reported in bytes", "blk_capacity", "AVP-BLK-002",
	 .device = "block", .serve = tell_bytes},
	{"block-status", "a request ends with an undefined status", "blk_status", "AVP-BLK-003",
	 .device = "block", .use = use_unknown_status},
	{"block-beyond", "requests beyond the capacity are served", "blk_beyond_capacity",
	 "AVP-BLK-004", .device = "block", .serve = forget_capacity},
	{"block-unknown-type", "a request of an unknown type succeeds", "blk_unknown_type",
	 "AVP-BLK-007", .device = "block", .use = use_unknown_type},
	{"block-id", "GET_ID has bytes after the end of its text", "blk_get_id", "AVP-BLK-008",
	 .device = "block", .serve = leave_old_serial},
	{"block-read-only", "a read-only disk is written to", "blk_read_only", "AVP-BLK-009",
	 .device = "block", .serve = offer_read_only},
	{"block-flush", "a flush fails", "blk_flush", "AVP-BLK-010", .device = "block",
	 .submit = fail_flush},
	{"block-flush-ignored", "a flush makes nothing stable", "blk_flush", "AVP-BLK-010",
	 .device = "block", .submit = cache_for_ever, .started = empty_cache},
	{"block-flush-reset", "a flush makes nothing stable", "blk_flush_boot", "AVP-BLK-010",
	 .device = "block", .submit = cache_for_ever, .started = empty_cache},
	{"block-write-through", "writes of a driver that cannot flush are cached",
	 "blk_write_through", "AVP-BLK-011", .device = "block", .submit = cache_for_ever,
	 .started = empty_cache},
	{"block-segments", "reads of fewer segments than seg_max fail", "blk_geometry_limits",
	 "AVP-BLK-017", .device = "block", .submit = fail_many_segments},
	{"block-topology", "alignment_offset is beyond a physical block", "blk_topology",
	 "AVP-BLK-017", .device = "block", .serve = misalign},
	{"block-writeback", "CONFIG_WCE is offered without FLUSH", "blk_wce_dependency",
	 "AVP-BLK-013", .device = "block", .serve = hide_flush},
	{"block-discard", "a discard covers one sector too many", "blk_discard", "AVP-BLK-019",
	 .device = "block", .submit = range_too_long},
	{"block-zeroes", "write zeroes does nothing", "blk_write_zeroes", "AVP-BLK-020",
	 .device = "block", .submit = zero_nothing},
	{"block-zeroes-ranges", "write zeroes does the first range only", "blk_write_zeroes",
	 "AVP-BLK-020", .device = "block", .submit = zero_first},
	{"block-zeroes-limit", "more ranges are served than the configuration allows",
	 "blk_segments_wild", "AVP-BLK-023", .device = "block", .serve = tell_few_ranges},
	{"block-flags", "write zeroes and discard ignore unknown flags", "blk_unknown_flags",
	 "AVP-BLK-022", .device = "block", .use = use_unknown_type},
	{"block-ranges", "write zeroes beyond the limits succeeds", "blk_segments_wild",
	 "AVP-BLK-023", .device = "block", .use = use_wild_range},
	{"net-transmit", "only the first descriptors of a frame are sent", "net_transmit",
	 "AVP-NET-001", .device = "net", .send = send_beginning},
	{"net-transmit-nothing", "frames are used and never sent", "net_transmit", "AVP-NET-001",
	 .device = "net", .send = send_nothing},
	{"net-receive-nothing", "no frame is ever received", "net_receive", "AVP-NET-002",
	 .device = "net", .receive = receive_nothing},
	{"net-receive", "received frames lack their last byte", "net_receive", "AVP-NET-002",
	 .device = "net", .receive = receive_cut},
	{"net-order", "received frames are reordered", "net_order", "AVP-NET-003", .device = "net",
	 .receive = receive_swapped},
	{"net-order-sent", "frames are sent in another order", "ring_split_order", "AVP-RING-054",
	 .device = "net", .send = send_swapped},
	{"net-features", "segmentation is offered without checksums", "net_feature_dependencies",
	 "AVP-NET-006", .device = "net", .serve = offer_segmentation},
	{"net-num-buffers", "num_buffers is one more than there are", "net_num_buffers",
	 "AVP-NET-008", .device = "net", .write = count_wrongly},
	{"net-mergeable", "buffers of one frame are not filled", "net_mergeable", "AVP-NET-009",
	 .device = "net", .write = fill_loosely},
	{"net-stall", "reception stops once it had no buffer", "net_no_receive_buffers",
	 "AVP-NET-011", .device = "net", .receive = receive_until_full},
	{"net-checksum", "received frames ask for a checksum", "net_checksum_flags", "AVP-NET-014",
	 .device = "net", .write = need_checksum},
	{"net-checksum-complete", "checksums are left to the driver, and none is",
	 "net_checksum_receive", "AVP-NET-014", .allowed = true, .device = "net",
	 .serve = offer_large},
	{"net-checksum-wild", "received frames ask for a checksum at no place",
	 "net_checksum_receive", "AVP-NET-014", .device = "net", .serve = offer_large,
	 .write = need_checksum},
	{"net-gso", "received frames have gso_type set", "net_gso_receive", "AVP-NET-017",
	 .device = "net", .write = claim_segments},
	{"net-large", "large frames are accepted, and none arrives", "net_gso_headers",
	 "AVP-NET-017", .allowed = true, .device = "net", .serve = offer_large},
	{"net-gso-checksum", "large frames lack NEEDS_CSUM", "net_gso_headers", "AVP-NET-017",
	 .device = "net", .serve = offer_large, .write = claim_large},
	{"net-header-length", "frames with a wrong hdr_len are dropped", "net_hdr_len",
	 "AVP-NET-018", .device = "net", .take = take_by_length},
	{"net-tunnel", "received frames have a bit of a tunnel", "net_tunnel_unasked",
	 "AVP-NET-020", .device = "net", .write = claim_tunnel},
	{"net-coalesced", "received frames have RSC_INFO set", "net_rsc_unasked", "AVP-NET-021",
	 .device = "net", .write = claim_coalesced},
	{"net-mtu-sent", "long frames are not sent", "net_mtu_both_ways", "AVP-NET-022",
	 .device = "net", .send = send_short},
	{"net-mtu-received", "frames that exceed the mtu arrive", "net_mtu_exceeded", "AVP-NET-022",
	 .device = "net", .serve = forget_mtu, .receive = receive_longer},
	{"net-secure", "received frames have SECURITY set", "net_ipsec_flags", "AVP-NET-040",
	 .device = "net", .write = claim_secure},
	{"entropy-nothing", "buffers come back empty", "rng_fills", "AVP-RNG-001",
	 .device = "entropy", .fill = fill_nothing},
	{"entropy-half", "the used length counts bytes that were not written", "rng_used_length",
	 "AVP-RNG-002", .device = "entropy", .fill = fill_half},
	{"entropy-same", "the same bytes are returned each time", "rng_fresh", "AVP-RNG-003",
	 .device = "entropy", .fill = fill_the_same},
	{"entropy-boot", "each start gives the same bytes", "rng_fresh_boot", "AVP-RNG-003",
	 .device = "entropy", .fill = fill_by_sequence, .started = restart_sequence},
	{"entropy-zeroes", "all bytes are zero", "rng_plausible", "AVP-RNG-004",
	 .device = "entropy", .fill = fill_with_zeroes},
	{.name = NULL},
};
