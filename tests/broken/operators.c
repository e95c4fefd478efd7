// SPDX-License-Identifier: BSD-3-Clause
/*
 * Faults that any device can have: completions that are late, lost, in another order or for ever
 * absent, positions that do not wrap, features that are ignored, a device that hostile input stops
 * for good. Rows of one name are one fault that several tests must find; those with a name of
 * ring_faults.c or device_faults.c are further tests that find that fault.
 */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "broken/fault.h"
#include "virtio/feature.h"

#define SLOW_S	      3
#define PARTS_MAX     2
#define FRAMES_MAX    150
#define LONG_FRAME    500
#define LOST_EACH     7
#define DURABLE_START (64 * BLOCK_SECTOR) /* where pwr_reset_durable writes */

/* The device does nothing more, for the life of its process. */
static bool stopped;

static int take_real(struct virtqueue *queue, struct virtio_request *request)
{
	return stopped ? -EAGAIN : fault_real_format(queue)->take(queue, request);
}

static bool has_real(struct virtqueue *queue)
{
	return !stopped && fault_real_format(queue)->has_request(queue);
}

/* Positions */

static bool has_until_wrap(struct virtqueue *queue)
{
	static bool wrapped;

	wrapped |= !is_packed(queue) && queue->available_index == UINT16_MAX;
	return !wrapped && has_real(queue);
}

static bool has_but_last(struct virtqueue *queue)
{
	return queue->available_index % queue->size != queue->size - 1 && has_real(queue);
}

/* Any entry with a buffer, whatever its flags say. */
static bool has_any(struct virtqueue *queue)
{
	const struct vring_packed_desc *ring = queue->descriptors;

	if (!is_packed(queue))
		return has_real(queue);
	return shared_read(&ring[queue->available_index].addr) != 0;
}

/* Chains */

static int take_few_parts(struct virtqueue *queue, struct virtio_request *request)
{
	int result = take_real(queue, request);

	if (result < 0 || request->segment_count <= PARTS_MAX)
		return result;
	virtqueue_break(queue, "a chain of many parts");
	return -EPROTO;
}

/* The parts of what the device reads, but the first, in the opposite order. */
static int take_reversed(struct virtqueue *queue, struct virtio_request *request)
{
	int result = take_real(queue, request);
	uint32_t count = request->readable.count;

	for (uint32_t i = 1; result == 0 && i < count - i; i++) {
		struct virtio_segment segment = request->segments[i];

		request->segments[i] = request->segments[count - i];
		request->segments[count - i] = segment;
	}
	return result;
}

/* The next chain's first descriptor. */
static struct vring_desc next_head(const struct virtqueue *queue)
{
	const struct vring_packed_desc *ring = queue->descriptors;
	const struct vring_avail *available = queue->driver_area;
	const struct vring_desc *table = queue->descriptors;
	const struct vring_packed_desc *packed = &ring[queue->available_index % queue->size];

	if (is_packed(queue))
		return (struct vring_desc){packed->addr, packed->len, packed->flags, 0};
	return table[available->ring[queue->available_index % queue->size] % queue->size];
}

static bool chain_has_empty(const struct virtqueue *queue)
{
	const struct vring_packed_desc *ring = queue->descriptors;
	const struct vring_desc *table = queue->descriptors;
	struct vring_desc at = next_head(queue);
	uint16_t index = queue->available_index;

	for (uint16_t i = 0; i < queue->size; i++) {
		if (at.len == 0)
			return true;
		if (!(at.flags & VRING_DESC_F_NEXT))
			return false;
		index = (uint16_t)((index + 1) % queue->size);
		if (is_packed(queue))
			at = (struct vring_desc){ring[index].addr, ring[index].len,
						 ring[index].flags, 0};
		else
			at = table[at.next % queue->size];
	}
	return false;
}

static int take_no_empty(struct virtqueue *queue, struct virtio_request *request)
{
	stopped |= chain_has_empty(queue);
	return take_real(queue, request);
}

/* Both formats have the address, the length and, at the same place or two bytes later, flags. */
static int take_strict_tables(struct virtqueue *queue, struct virtio_request *request)
{
	struct vring_desc head = next_head(queue);
	struct vring_packed_desc inner;

	if (!(head.flags & VRING_DESC_F_INDIRECT))
		return take_real(queue, request);
	if (head.flags & VRING_DESC_F_WRITE) {
		virtqueue_break(queue, "WRITE in an indirect descriptor");
		return -EPROTO;
	}
	if (is_packed(queue) &&
	    guest_memory_read(queue->memory, guest_addr(head.addr), &inner, sizeof(inner)) == 0 &&
	    inner.flags & VRING_DESC_F_NEXT) {
		virtqueue_break(queue, "NEXT in an indirect table");
		return -EPROTO;
	}
	return take_real(queue, request);
}

static bool in_area(const void *base, const void *area, size_t size)
{
	return (const uint8_t *)base >= (const uint8_t *)area &&
	       (const uint8_t *)base < (const uint8_t *)area + size;
}

static int take_no_ring(struct virtqueue *queue, struct virtio_request *request)
{
	const struct virtqueue_format *format = fault_real_format(queue);
	int result = take_real(queue, request);

	for (uint16_t i = 0; result == 0 && i < request->segment_count; i++) {
		const void *base = request->segments[i].base;

		stopped |=
			in_area(base, queue->descriptors, format->descriptor_bytes(queue->size)) ||
			in_area(base, queue->driver_area, format->driver_bytes(queue->size)) ||
			in_area(base, queue->device_area, format->device_bytes(queue->size));
	}
	return result;
}

/* Completions */

static time_t now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

/* Does not sleep: the sandbox of a device forbids it. */
static void use_slowly(struct virtqueue *queue, struct virtio_request *batch)
{
	time_t until = now_s() + SLOW_S;

	while (now_s() < until)
		;
	use_real(queue, batch);
}

static void use_most(struct virtqueue *queue, struct virtio_request *batch)
{
	static unsigned int count;

	if (++count % LOST_EACH)
		use_real(queue, batch);
}

/* Suppression */

static bool wanted_unless_wild(struct virtqueue *queue, uint16_t unsignalled)
{
	const struct vring_packed_desc_event *event = queue->driver_area;
	const struct vring_avail *available = queue->driver_area;

	stopped |= is_packed(queue) ? shared_read(&event->flags) > VRING_PACKED_EVENT_FLAG_DESC :
				      shared_read(&available->flags) > VRING_AVAIL_F_NO_INTERRUPT;
	return fault_real_format(queue)->notification_wanted(queue, unsignalled);
}

/* Disks */

static void lose_write(struct block_backend *backend, struct block_operation *operation)
{
	if (operation->action == BLOCK_WRITE && operation->offset == DURABLE_START)
		operation->complete(operation, 0);
	else
		fault_real_block->submit(backend, operation);
}

/* Interfaces */

static bool drop_next;

static int take_known_flags(struct virtqueue *queue, struct virtio_request *request)
{
	int result = take_real(queue, request);

	if (result == 0 && request->readable.count > 0)
		drop_next = *(const uint8_t *)request->segments[0].base & ~1;
	return result;
}

static bool send_known(struct net_backend *backend, uint16_t pair,
		       const struct virtio_segment *segments, uint32_t count)
{
	return drop_next || fault_real_net->send(backend, pair, segments, count);
}

static bool send_few(struct net_backend *backend, uint16_t pair,
		     const struct virtio_segment *segments, uint32_t count)
{
	static unsigned int sent;

	return ++sent > FRAMES_MAX || fault_real_net->send(backend, pair, segments, count);
}

static int take_no_gso(struct virtqueue *queue, struct virtio_request *request)
{
	int result = take_real(queue, request);

	if (result == 0 && request->readable.count > 0 && request->segments[0].length > 1)
		stopped |= ((const uint8_t *)request->segments[0].base)[1] != 0;
	return result;
}

static enum net_received receive_short(struct net_device *net, uint16_t pair,
				       const struct virtio_net_hdr_v1 *header, const void *frame,
				       size_t length)
{
	static bool stalled;

	stalled |= length > LONG_FRAME;
	return stalled ? NET_RECEIVED : __real_net_device_receive(net, pair, header, frame, length);
}

/* The checksum of TCP over IPv4 without options. */
#define ETHER_TYPE 12
#define IP_PROTO   23
#define TCP_SUM	   50

static enum net_received receive_damaged(struct net_device *net, uint16_t pair,
					 const struct virtio_net_hdr_v1 *header, const void *frame,
					 size_t length)
{
	static uint8_t copy[NET_FRAME_MAX];

	if (length <= TCP_SUM || length > sizeof(copy))
		return __real_net_device_receive(net, pair, header, frame, length);
	memcpy(copy, frame, length);
	if (copy[ETHER_TYPE] == 8 && copy[ETHER_TYPE + 1] == 0 && copy[IP_PROTO] == 6)
		copy[TCP_SUM] ^= 0xff;
	return __real_net_device_receive(net, pair, header, copy, length);
}

static size_t set_header(struct virtio_request *request, const void *buffer, size_t length,
			 uint8_t flags, uint8_t gso_type)
{
	struct virtio_net_hdr_v1 header;

	if (length != sizeof(header))
		return __real_request_write(request, buffer, length);
	memcpy(&header, buffer, sizeof(header));
	header.flags |= flags;
	header.gso_type |= gso_type;
	return __real_request_write(request, &header, sizeof(header));
}

static size_t claim_all(struct virtio_request *request, const void *buffer, size_t length)
{
	return set_header(request, buffer, length, 0xf8, 0);
}

const struct fault operator_faults[] = {
	{"index-unwrapped", "the available index is not taken modulo 2^16", "ring_split_wrap",
	 "AVP-RING-003", .has_request = has_until_wrap},

	{"last-entry", "the last entry of a ring is never used", "ring_split_full", "AVP-RING-004",
	 .has_request = has_but_last},
	{"last-entry", "the last entry of a ring is never used", "ring_packed_full", "AVP-RING-004",
	 .further = true},
	{"last-entry", "the last entry of a ring is never used", "ring_packed_odd_size",
	 "AVP-RING-005", .further = true},

	{"not-available", "an entry that is not available is used", "ring_packed_avail_flag",
	 "AVP-RING-009", .has_request = has_any},

	{"many-parts", "a chain of more than two parts is refused", "ring_chain_limit",
	 "AVP-RING-018", .device = "entropy", .take = take_few_parts},
	{"many-parts", "a chain of more than two parts is refused", "rng_sizes", "AVP-RNG-005",
	 .further = true},

	{"parts-reversed", "the parts of a chain are taken in another order",
	 "ring_packed_chain_order", "AVP-RING-007", .device = "block", .take = take_reversed},

	{"empty-part", "an empty part stops the device for ever", "ring_zero_length",
	 "AVP-RING-035", .take = take_no_empty},
	{"empty-part", "an empty part stops the device for ever", "ring_packed_zero_length",
	 "AVP-RING-035", .further = true},
	{"empty-part", "an empty part stops the device for ever", "rng_wrong_direction",
	 "AVP-RNG-006", .further = true},

	{"strict-tables", "flags that must be ignored break the queue", "ring_indirect_write_flag",
	 "AVP-RING-020", .take = take_strict_tables},
	{"strict-tables", "flags that must be ignored break the queue",
	 "ring_packed_indirect_reserved", "AVP-RING-022", .further = true},

	{"ring-overlap", "a buffer in the ring itself stops the device for ever",
	 "ring_used_overlap", "AVP-RING-048", .take = take_no_ring},

	{"slow", "a request takes more than a second", "ring_broken_others", "AVP-RING-050",
	 .device = "entropy", .use = use_slowly},
	{"slow", "a request takes more than a second", "ring_flood", "AVP-RING-051",
	 .further = true},

	{"lost", "each seventh completion is lost", "ring_packed_complete_order", "AVP-RING-008",
	 .use = use_most},
	{"lost", "each seventh completion is lost", "ring_kick_race", "AVP-RING-029",
	 .further = true},
	{"lost", "each seventh completion is lost", "ring_request_cost", "AVP-RING-052",
	 .further = true},
	{"lost", "each seventh completion is lost", "blk_parallel", "AVP-BLK-033", .further = true},
	{"lost", "each seventh completion is lost", "blk_latency", "AVP-BLK-036", .further = true},
	{"lost", "each seventh completion is lost", "rng_rate", "AVP-RNG-008", .further = true},

	{"wild-suppression", "wild suppression fields stop the device for ever", "ring_event_wild",
	 "AVP-RING-045", .notification_wanted = wanted_unless_wild, .has_request = has_real},

	{"broken-for-ever", "a broken device stays broken after a reset",
	 "ring_split_indirect_loop", "AVP-RING-036", .further = true},
	{"broken-for-ever", "a broken device stays broken after a reset", "ring_split_overlong",
	 "AVP-RING-037", .further = true},
	{"broken-for-ever", "a broken device stays broken after a reset", "ring_split_next_wild",
	 "AVP-RING-038", .further = true},
	{"broken-for-ever", "a broken device stays broken after a reset", "ring_address_wild",
	 "AVP-RING-039", .further = true},
	{"broken-for-ever", "a broken device stays broken after a reset", "ring_direction_order",
	 "AVP-RING-040", .further = true},
	{"broken-for-ever", "a broken device stays broken after a reset",
	 "ring_split_indirect_wild", "AVP-RING-041", .further = true},
	{"broken-for-ever", "a broken device stays broken after a reset", "ring_split_idx_jump",
	 "AVP-RING-042", .further = true},
	{"broken-for-ever", "a broken device stays broken after a reset", "ring_packed_wrap_wild",
	 "AVP-RING-043", .further = true},
	{"broken-for-ever", "a broken device stays broken after a reset", "ring_exposed_changed",
	 "AVP-RING-044", .further = true},
	{"broken-for-ever", "a broken device stays broken after a reset", "ring_packed_overlong",
	 "AVP-RING-037", .further = true},
	{"broken-for-ever", "a broken device stays broken after a reset",
	 "ring_packed_indirect_wild", "AVP-RING-041", .further = true},
	{"broken-for-ever", "a broken device stays broken after a reset", "blk_short_request",
	 "AVP-BLK-006", .further = true},

	{"framing", "a request's header is taken to be in one descriptor", "ring_packed_framing",
	 "AVP-RING-017", .further = true},
	{"indirect-last", "the last entry of an indirect table is ignored", "ring_packed_indirect",
	 "AVP-RING-019", .further = true},
	{"interrupt-missing", "a used buffer never causes an interrupt", "ring_packed_notify",
	 "AVP-RING-023", .further = true},
	{"interrupt-missing", "a used buffer never causes an interrupt", "ring_packed_event_idx",
	 "AVP-RING-025", .further = true},
	{"interrupt-unasked", "an interrupt arrives though the driver disabled it",
	 "ring_packed_no_notify", "AVP-RING-024", .further = true},
	{"entropy-zeroes", "all bytes are zero", "mem_coherent", "AVP-MEM-015", .further = true},

	{"block-status", "a request ends with an undefined status", "blk_length_odd", "AVP-BLK-005",
	 .further = true},
	{"block-unknown-type", "a request of an unknown type succeeds", "blk_zoned_refused",
	 "AVP-BLK-026", .further = true},
	{"write-lost", "a write that was flushed is lost", "pwr_reset_durable", "AVP-PWR-006",
	 .device = "block", .submit = lose_write},

	{"net-flags", "frames with unknown flags are dropped", "net_flags_unknown", "AVP-NET-012",
	 .device = "net", .take = take_known_flags, .send = send_known},
	{"net-flood", "after many frames none is sent", "net_transmit_flood", "AVP-NET-042",
	 .device = "net", .send = send_few},
	{"net-flood", "after many frames none is sent", "net_round_trip", "AVP-NET-044",
	 .further = true},
	{"net-segments", "segmentation that was not negotiated stops the interface for ever",
	 "net_header_hostile", "AVP-NET-019", .device = "net", .take = take_no_gso},
	{"net-long", "a frame that is too long ends reception", "net_receive_small", "AVP-NET-010",
	 .device = "net", .receive = receive_short},
	{"net-sum", "received segments have a wrong checksum", "net_checksum_complete",
	 "AVP-NET-015", .device = "net", .receive = receive_damaged},
	{"net-security", "received frames have flags that were not negotiated", "net_ipsec_flags",
	 "AVP-NET-040", .device = "net", .write = claim_all},
	{.name = NULL},
};
