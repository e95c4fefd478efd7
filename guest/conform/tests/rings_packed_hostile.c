// SPDX-License-Identifier: BSD-3-Clause
/*
 * Chapter rings: the order of a device's work; then invalid packed rings and indirect tables
 * (VIRTIO 1.4, 2.8), and what a device must ignore.
 */
#include "devices/block.h"
#include "devices/net.h"
#include "tests/rings.h"

/*
 * The driver sees in which order a device worked only where something else sees it as well: the
 * gateway answers frames in the order in which they were sent, whatever order they are used in.
 */
static void expect_order(uint64_t format)
{
	struct net net;
	uint8_t gateway[6];

	if (!device_find(VIRTIO_ID_NET, TRANSPORT_ANY))
		cannot_judge("the order in which devices begin shows in a network device only");
	net_open(&net, format, NET_BUFFERS, NET_BUFFER);
	if ((net.device->negotiated & format) != format)
		cannot_judge("%s, where the order would show, does not offer this format",
			     device_name(net.device));
	net_find_gateway(&net, gateway);
	net_expect_order(&net);
}

TEST(ring_split_order, "AVP-RING-054", .limit_ms = 15000)
{
	expect_order(SPLIT);
}

TEST(ring_packed_order, "AVP-RING-006", .limit_ms = 15000)
{
	expect_order(PACKED);
}

/*
 * A write whose pieces are in another order in memory than in the chain; then a read into all of
 * them.
 */
static bool serve_pieces(uint64_t format)
{
	const uint32_t pieces = 8, size = 64;
	struct dut dut;
	bool any = false;

	for (unsigned int n = 0; dut_get(n, TRANSPORT_ANY, format, &dut); n++) {
		struct virtio_blk_outhdr *header;
		struct driver_buffer buffers[10];
		struct queue *queue;
		uint8_t *data, *status;

		if (dut.device->id != VIRTIO_ID_BLOCK)
			continue;
		queue = dut_open(&dut, format, 16);
		if (!(format & INDIRECT) && queue->size < pieces + 2)
			continue;
		any = true;
		header = pages_get(PAGE_SIZE);
		status = (uint8_t *)header + 64;
		data = (uint8_t *)header + 1024;
		for (unsigned int round = 0; round < 10; round++) {
			*header = (struct virtio_blk_outhdr){.type = VIRTIO_BLK_T_OUT};
			*status = 0xee;
			buffers[0] = buffer_of(header, sizeof(*header));
			buffers[pieces + 1] = buffer_of(status, 1);
			for (uint32_t i = 0; i < pieces; i++) {
				uint8_t *piece = data + (i * 5 + round) % pieces * size;

				memset(piece, (int)(i * 16 + round), size);
				buffers[1 + i] = buffer_of(piece, size);
			}
			check(queue_do(queue, buffers, pieces + 1, 1, NULL, ANSWER_MS) &&
				      *status == VIRTIO_BLK_S_OK,
			      "%s: a write of %u pieces failed", device_name(dut.device), pieces);
			header->type = VIRTIO_BLK_T_IN;
			buffers[1] = buffer_of(data, pieces * size);
			buffers[2] = buffer_of(status, 1);
			memset(data, 0, pieces * size);
			check(queue_do(queue, buffers, 1, 2, NULL, ANSWER_MS) &&
				      *status == VIRTIO_BLK_S_OK,
			      "%s: a read failed", device_name(dut.device));
			for (uint32_t i = 0; i < pieces * size; i++)
				check(data[i] == (uint8_t)(i / size * 16 + round),
				      "%s: byte %u of %u pieces is 0x%x, not 0x%x",
				      device_name(dut.device), i, pieces, data[i],
				      (uint8_t)(i / size * 16 + round));
		}
	}
	return any;
}

TEST(ring_packed_chain_order, "AVP-RING-007", .limit_ms = 15000)
{
	static const uint64_t formats[] = {SPLIT, SPLIT | INDIRECT, PACKED, PACKED | INDIRECT};
	bool any = false;

	for (unsigned int i = 0; i < 4; i++)
		any |= serve_pieces(formats[i]);
	if (!any)
		skip("no disk that can be written");
}

/* Each used entry is in the ring's next place: the driver finds every buffer, and each once. */
static void expect_no_gap(struct dut *dut, struct queue *queue)
{
	struct request request;
	uint32_t written, seen = 0;
	unsigned int count;

	dut_build(dut, 0, &request);
	count = fitting(queue, &request, 4);
	for (uintptr_t i = 1; i <= count; i++) {
		dut_build(dut, (unsigned int)i, &request);
		check(driver_queue_add(&queue->ring, request.buffers, request.readable,
				       request.writable, (void *)i) == 0,
		      "no room");
	}
	queue_kick_if_wanted(queue);
	for (unsigned int i = 0; i < count; i++) {
		uintptr_t token = (uintptr_t)queue_wait(queue, &written, ANSWER_MS);

		check(token && !(seen & 1u << token), "%s: a buffer is missing or used twice",
		      device_name(dut->device));
		seen |= 1u << token;
	}
}

TEST(ring_packed_used_next, "AVP-RING-008", .limit_ms = 10000)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_ANY, PACKED)
	{
		struct queue *queue = dut_open(&dut, PACKED, 16);

		for (int round = 0; round < 30; round++)
			expect_no_gap(&dut, queue);
	}
}

/*
 * A flush and a request for the identity, which most disks answer first: the status of a request
 * shows that it is complete. Returns whether the second one was complete before the first.
 */
static bool overtake(struct queue *queue)
{
	struct pair {
		struct virtio_blk_outhdr header;
		uint8_t data[VIRTIO_BLK_ID_BYTES];
		volatile uint8_t status;
	} *requests = pages_get(2 * sizeof(*requests));
	struct pair *slow = &requests[0], *quick = &requests[1];
	struct driver_buffer buffers[3];
	uint8_t *data = pages_get(16 * PAGE_SIZE);
	bool overtaken = false;
	uint32_t written;

	block_must(queue, VIRTIO_BLK_T_OUT, BLOCK_TEST_SECTOR, data, 16 * PAGE_SIZE, true);
	slow->header.type = VIRTIO_BLK_T_FLUSH;
	quick->header.type = VIRTIO_BLK_T_GET_ID;
	slow->status = quick->status = NO_STATUS;
	buffers[0] = buffer_of(&slow->header, sizeof(slow->header));
	buffers[1] = buffer_of((void *)&slow->status, 1);
	check(driver_queue_add(&queue->ring, buffers, 1, 1, slow) == 0, "no room");
	buffers[0] = buffer_of(&quick->header, sizeof(quick->header));
	buffers[1] = buffer_of(quick->data, sizeof(quick->data));
	buffers[2] = buffer_of((void *)&quick->status, 1);
	check(driver_queue_add(&queue->ring, buffers, 1, 2, quick) == 0, "no room");
	queue_kick(queue);
	check(wait_until((overtaken = quick->status != NO_STATUS && slow->status == NO_STATUS) ||
				 slow->status != NO_STATUS,
			 ANSWER_MS),
	      "two requests are not complete");
	for (int i = 0; i < 2; i++) {
		void *used = queue_wait(queue, &written, ANSWER_MS);

		check(used, "%d of 2 requests were used", i);
		check(!overtaken || used == (i ? slow : quick),
		      "%s: a request was complete before an older one, and is used after it",
		      device_name(queue->device));
	}
	return overtaken;
}

TEST(ring_packed_complete_order, "AVP-RING-008", .limit_ms = 20000)
{
	struct queue *queue;
	uint64_t mark;
	unsigned int overtaken = 0;

	if (!device_find(VIRTIO_ID_BLOCK, TRANSPORT_ANY))
		skip("no disk: the order in which other devices complete requests does not show");
	queue = block_open(PACKED | FEATURE(VIRTIO_BLK_F_FLUSH), 16);
	if (!(queue->features & PACKED) || !(queue->features & FEATURE(VIRTIO_BLK_F_FLUSH)))
		skip("%s does not offer packed rings and VIRTIO_BLK_F_FLUSH",
		     device_name(queue->device));
	mark = pages_mark();
	for (int round = 0; round < 30; round++) {
		overtaken += overtake(queue);
		pages_release(mark);
	}
	if (overtaken == 0)
		cannot_judge("%s completed its requests in the order in which they came",
			     device_name(queue->device));
}

TEST(ring_data_before_used, "AVP-RING-016", .device = VIRTIO_ID_RNG, .limit_ms = 10000)
{
	struct dut dut;

	for (unsigned int n = 0; dut_get(n, TRANSPORT_ANY, SPLIT, &dut); n++) {
		struct queue *queue;

		if (dut.device->id != VIRTIO_ID_RNG)
			continue;
		queue = dut_open(&dut, SPLIT, 16);
		driver_queue_disable_interrupts(&queue->ring);
		for (int i = 0; i < 200; i++) {
			struct request request;
			uint32_t written;
			uint64_t sum = 0;

			dut_build(&dut, 0, &request);
			driver_queue_add(&queue->ring, request.buffers, 0, 1, queue);
			queue_kick(queue);
			/* As soon as the buffer is seen as used. */
			check(queue_wait(queue, &written, ANSWER_MS), "not used");
			for (uint32_t b = 0; b < written; b++)
				sum += request.memory[b];
			check(written < 8 || sum > 0,
			      "the data is not there when the buffer is used");
		}
	}
}

/* Makes one request by an indirect table, which @shape changes first. */
static void serve_shaped(uint64_t format, void (*shape)(struct queue *queue, void *table))
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_ANY, format | INDIRECT)
	{
		struct queue *queue;
		struct request request;
		uint32_t written = 0;
		const char *wrong;

		if (dut.device->id != VIRTIO_ID_BLOCK)
			continue;
		queue = dut_open(&dut, format | INDIRECT, 16);
		dut_build(&dut, 0, &request);
		check(driver_queue_add(&queue->ring, request.buffers, request.readable,
				       request.writable, queue) == 0,
		      "no room");
		shape(queue, queue->ring.indirect_tables);
		queue_kick(queue);
		check(queue_wait(queue, &written, ANSWER_MS),
		      "%s: a request was not used (status 0x%x)", device_name(dut.device),
		      dut.device->ops->status(dut.device));
		wrong = dut_verify(&dut, &request, written);
		check(!wrong, "%s: %s", device_name(dut.device), wrong);
		return;
	}
	skip("no block device with indirect descriptors");
}

static void shape_write_flag(struct queue *queue, void *table)
{
	(void)table;
	if (queue->features & PACKED)
		packed_ring_of(queue)[0].flags |= VRING_DESC_F_WRITE;
	else
		split_table_of(queue)[0].flags |= VRING_DESC_F_WRITE;
}

TEST(ring_indirect_write_flag, "AVP-RING-020")
{
	struct dut dut;

	serve_shaped(SPLIT, shape_write_flag);
	if (dut_get(0, TRANSPORT_ANY, PACKED | INDIRECT, &dut))
		serve_shaped(PACKED, shape_write_flag);
}

static void shape_reserved(struct queue *queue, void *table)
{
	struct vring_packed_desc *inner = table;

	(void)queue;
	for (unsigned int i = 0; i < 3; i++) {
		inner[i].id = (uint16_t)(0xff00 + i);
		inner[i].flags |= VRING_DESC_F_NEXT | 0x8080;
	}
}

TEST(ring_packed_indirect_reserved, "AVP-RING-022")
{
	serve_shaped(PACKED, shape_reserved);
}

TEST(ring_split_indirect_mixed, "AVP-RING-021")
{
	struct dut dut;
	bool any = false;

	for_each_dut(dut, TRANSPORT_ANY, INDIRECT)
	{
		struct queue *queue;
		struct request request;
		struct vring_desc *table, *inner;
		const char *wrong;

		if (dut.device->id != VIRTIO_ID_BLOCK)
			continue;
		any = true;
		queue = dut_open(&dut, INDIRECT, 16);
		dut_build(&dut, 0, &request);
		table = split_table_of(queue);
		inner = queue->ring.indirect_tables;
		/* The header in the ring, data and status in a table. */
		table[0] = (struct vring_desc){request.buffers[0].address.value,
					       request.buffers[0].length, VRING_DESC_F_NEXT, 1};
		inner[0] = (struct vring_desc){request.buffers[1].address.value,
					       request.buffers[1].length,
					       VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1};
		inner[1] = (struct vring_desc){request.buffers[2].address.value,
					       request.buffers[2].length, VRING_DESC_F_WRITE, 0};
		table[1] = (struct vring_desc){(uint64_t)inner, 32, VRING_DESC_F_INDIRECT, 0};
		split_offer(queue, 0);
		queue_kick(queue);
		check(wait_until(used_of(queue)[1] == 1, ANSWER_MS),
		      "%s: a chain that ends in an indirect table was not used (status 0x%x)",
		      device_name(dut.device), dut.device->ops->status(dut.device));
		wrong = dut_verify(&dut, &request, used_ring_of(queue)[0].len);
		check(!wrong, "%s: %s", device_name(dut.device), wrong);
	}
	if (!any)
		skip("no block device with indirect descriptors");
}

/* Hostile */

static bool craft_overlong(struct dut *dut, struct queue *queue, unsigned int variant)
{
	struct vring_packed_desc *ring = packed_ring_of(queue);

	if (variant > 1)
		return false;
	for (unsigned int i = 0; i < queue->size; i++)
		ring[i] = (struct vring_packed_desc){
			(uint64_t)dut->area, variant ? 0x10000010 : 16, 0,
			(uint16_t)(write_flag(dut) | VRING_DESC_F_NEXT | PACKED_AVAILABLE)};
	/* Without an end, or with an end, but more than 2^32 bytes in sum. */
	if (variant)
		ring[queue->size - 1].flags &= (uint16_t)~VRING_DESC_F_NEXT;
	return true;
}

TEST(ring_packed_overlong, "AVP-RING-037", .limit_ms = 60000)
{
	attack_duts(PACKED, craft_overlong, "a chain that is too long");
}

static bool craft_empty(struct dut *dut, struct queue *queue, unsigned int variant)
{
	struct vring_packed_desc *ring = packed_ring_of(queue);
	uint64_t memory = (uint64_t)dut->area;
	uint16_t flags = write_flag(dut) | PACKED_AVAILABLE;

	if (variant > 2)
		return false;
	/* Alone; before a descriptor with a length; and after one. */
	ring[0] = (struct vring_packed_desc){memory, variant == 2 ? 16 : 0, 0, flags};
	ring[1] = (struct vring_packed_desc){memory + 64, variant == 1 ? 16 : 0, 0, flags};
	if (variant > 0)
		ring[0].flags |= VRING_DESC_F_NEXT;
	else
		ring[1].flags = 0;
	return true;
}

TEST(ring_packed_zero_length, "AVP-RING-035", .limit_ms = 30000)
{
	attack_duts(PACKED, craft_empty, "a descriptor of length zero");
}

static bool craft_flags(struct dut *dut, struct queue *queue, unsigned int variant)
{
	static const struct {
		uint16_t id, flags;
	} rows[] = {
		{0xffff, PACKED_AVAILABLE},
		{16, PACKED_AVAILABLE},
		{0, PACKED_USED},
		{0, PACKED_AVAILABLE | PACKED_USED},
		{0, 0xffff},
		{0, 0x7f7f | PACKED_AVAILABLE},
		{0x8000, PACKED_AVAILABLE | VRING_DESC_F_NEXT},
	};

	if (variant >= sizeof(rows) / sizeof(rows[0]))
		return false;
	packed_ring_of(queue)[0] =
		(struct vring_packed_desc){(uint64_t)dut->area, 16, rows[variant].id,
					   (uint16_t)(rows[variant].flags | write_flag(dut))};
	return true;
}

TEST(ring_packed_wrap_wild, "AVP-RING-043", .limit_ms = 30000)
{
	attack_duts(PACKED, craft_flags, "wild flags and ids");
}

static bool craft_tables(struct dut *dut, struct queue *queue, unsigned int variant)
{
	struct vring_packed_desc *ring = packed_ring_of(queue),
				 *inner = queue->ring.indirect_tables;
	static const uint32_t lengths[] = {0, 15, 17, UINT32_MAX & ~15u, 16, 16};

	if (variant > 5)
		return false;
	inner[0] = (struct vring_packed_desc){(uint64_t)dut->area, 16, 0, write_flag(dut)};
	if (variant == 5)
		inner[0] =
			(struct vring_packed_desc){(uint64_t)inner, 16, 0, VRING_DESC_F_INDIRECT};
	ring[0] = (struct vring_packed_desc){variant == 4 ? 0xfffffffffffffff0 : (uint64_t)inner,
					     lengths[variant], 0,
					     VRING_DESC_F_INDIRECT | PACKED_AVAILABLE};
	return true;
}

TEST(ring_packed_indirect_wild, "AVP-RING-041", .limit_ms = 30000)
{
	attack_duts(PACKED | INDIRECT, craft_tables, "a wild indirect table");
}

static bool craft_unordered(struct dut *dut, struct queue *queue, unsigned int variant)
{
	struct vring_desc *table = split_table_of(queue);

	if (variant > 1)
		return false;
	/* A chain from 5 to 2; then one from 2. Neither begins at the expected descriptor. */
	table[5] = (struct vring_desc){(uint64_t)dut->area, 16,
				       (uint16_t)(write_flag(dut) | VRING_DESC_F_NEXT), 2};
	table[2] = (struct vring_desc){(uint64_t)dut->area + 64, 16, write_flag(dut), 0};
	split_offer(queue, variant ? 2 : 5);
	return true;
}

TEST(ring_in_order_broken, "AVP-RING-046", .limit_ms = 20000)
{
	struct dut dut;

	if (!dut_get(0, TRANSPORT_ANY, IN_ORDER, &dut))
		skip("no device offers VIRTIO_F_IN_ORDER");
	attack_duts(IN_ORDER, craft_unordered, "chains out of order");
}
