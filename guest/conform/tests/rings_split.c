// SPDX-License-Identifier: BSD-3-Clause
/*
 * Chapter rings: what both formats must do (VIRTIO 1.4, 2.7 and 2.8); each test exists once per
 * format.
 */
#include "tests/rings.h"

#include <linux/virtio_blk.h>

#define MANY 40

void split_offer(struct queue *queue, uint16_t head)
{
	volatile uint16_t *available = available_of(queue);

	available[2 + available[1] % queue->size] = head;
	shared_release(&available[1], (uint16_t)(available[1] + 1));
}

static void serve_one(uint64_t format)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_ANY, format)
	{
		struct queue *queue = dut_open(&dut, format, 0);

		for (int i = 0; i < MANY; i++)
			dut_must_do(&dut, queue, "among many");
		sleep_ms(2);
		check(!driver_queue_has_used(&queue->ring), "%s: a request was used twice",
		      device_name(dut.device));
	}
}

TEST(ring_split_request, "AVP-RING-001", .limit_ms = 20000)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_ANY, SPLIT)
	{
		struct queue *queue = dut_open(&dut, SPLIT, 0);

		dut_must_do(&dut, queue, "in a split ring");
		check(used_of(queue)[1] == 1, "%s: used.idx is %u after one request",
		      device_name(dut.device), used_of(queue)[1]);
		check(used_ring_of(queue)[0].id == 0, "%s: used id %u for the head 0",
		      device_name(dut.device), used_ring_of(queue)[0].id);
	}
	serve_one(SPLIT);
}

TEST(ring_packed_request, "AVP-RING-002", .limit_ms = 20000)
{
	serve_one(PACKED);
}

/* Finds a device for many requests at once: with one descriptor each, if possible. */
static void get_served(uint64_t format, struct dut *dut, uint32_t *descriptors)
{
	struct request request;

	if (!dut_get_simple(format, dut) && !dut_get(0, TRANSPORT_ANY, format, dut))
		skip("no suitable device");
	dut_build(dut, 0, &request);
	*descriptors = request.readable + request.writable;
}

/* Keeps the ring full with requests; what they read does not matter. */
static void serve_full(struct dut *dut, struct queue *queue, uint64_t total)
{
	uint64_t added = 0, done = 0;

	while (done < total) {
		uint32_t written;
		struct request request;
		int error = 0;

		dut_build(dut, 0, &request);
		while (added < total &&
		       driver_queue_add(&queue->ring, request.buffers, request.readable,
					request.writable, dut) == 0)
			added++;
		queue_kick_if_wanted(queue);
		check(wait_until(driver_queue_has_used(&queue->ring), ANSWER_MS),
		      "%s: %lu of %lu requests were used, then no more", device_name(dut->device),
		      done, added);
		while (driver_queue_take(&queue->ring, &written, &error))
			done++;
		check(error == 0, "%s: a used entry after %lu requests is wrong",
		      device_name(dut->device), done);
	}
}

/* Makes requests until @total ring entries were used. */
static void serve_wrap(uint64_t format, uint32_t size, uint64_t total)
{
	struct dut dut;
	uint32_t descriptors;
	struct queue *queue;

	get_served(format, &dut, &descriptors);
	queue = dut_open(&dut, format, size);
	/* A split ring has one available entry per request. */
	serve_full(&dut, queue, format == PACKED ? total / descriptors : total);
}

TEST(ring_split_wrap, "AVP-RING-003", .limit_ms = 60000)
{
	serve_wrap(SPLIT, RING_MAX, 3 * 65536 + 100);
}

TEST(ring_packed_wrap, "AVP-RING-003", .limit_ms = 30000)
{
	serve_wrap(PACKED, 16, 100 * 16 + 5);
	serve_wrap(PACKED, RING_MAX, 100 * RING_MAX + 5);
}

static void serve_sizes(uint64_t format)
{
	struct dut dut;

	for (uint32_t size = 1; size <= 1024; size *= 2) {
		uint32_t descriptors;
		struct queue *queue;
		uint64_t mark;

		get_served(format, &dut, &descriptors);
		if (size < descriptors)
			continue;
		mark = pages_mark();
		if (size > dut.device->ops->queue_size(dut.device, dut.queue_index))
			break;
		queue = dut_open(&dut, format, size);
		serve_full(&dut, queue, 3 * size);
		check(device_reset(dut.device), "the reset does not complete");
		pages_release(mark);
	}
}

TEST(ring_split_full, "AVP-RING-004", .limit_ms = 20000)
{
	serve_sizes(SPLIT);
}

TEST(ring_packed_full, "AVP-RING-004", .limit_ms = 20000)
{
	serve_sizes(PACKED);
}

TEST(ring_packed_odd_size, "AVP-RING-005", .limit_ms = 20000)
{
	static const uint32_t sizes[] = {3, 7, 33, 63};

	for (unsigned int i = 0; i < 4; i++)
		serve_wrap(PACKED, sizes[i], 10 * sizes[i] + 1);
}

TEST(ring_packed_avail_flag, "AVP-RING-009")
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_ANY, PACKED)
	{
		struct queue *queue = dut_open(&dut, PACKED, 16);
		struct vring_packed_desc *ring = packed_ring_of(queue), before;
		struct request request;

		dut_must_do(&dut, queue, "before");
		dut_build(&dut, 1, &request);
		/* Writes a descriptor, but with the flags of one that is not available. */
		ring[queue->ring.available_index] = (struct vring_packed_desc){
			.addr = request.buffers[0].address.value,
			.len = request.buffers[0].length,
			.id = 5,
			.flags = request.readable ? 0 : VRING_DESC_F_WRITE,
		};
		before = ring[queue->ring.available_index];
		for (int i = 0; i < 10; i++)
			queue_kick(queue);
		sleep_ms(20);
		check(!memcmp(&before, &ring[queue->ring.available_index], sizeof(before)),
		      "%s: an entry that was not available was used", device_name(dut.device));
		memset(&ring[queue->ring.available_index], 0, sizeof(before));
		dut_must_do(&dut, queue, "after kicks for nothing");
	}
}

TEST(ring_packed_used_final, "AVP-RING-010")
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_ANY, PACKED)
	{
		struct queue *queue = dut_open(&dut, PACKED, 16);
		struct vring_packed_desc first;

		dut_must_do(&dut, queue, "before");
		first = packed_ring_of(queue)[0];
		check(first.id == 0, "%s: the used descriptor has id %u, not 0",
		      device_name(dut.device), first.id);
		dut_must_do(&dut, queue, "again");
		check(!memcmp(&first, &packed_ring_of(queue)[0], sizeof(first)),
		      "%s: a used descriptor was changed afterwards", device_name(dut.device));
	}
}

TEST(ring_packed_write_flag, "AVP-RING-015")
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_ANY, PACKED)
	{
		struct queue *queue = dut_open(&dut, PACKED, 16);
		uint16_t flags;

		dut_must_do(&dut, queue, "before");
		flags = packed_ring_of(queue)[0].flags;
		check(!!(flags & VRING_DESC_F_WRITE) == dut.writes,
		      "%s: flags 0x%x of the used descriptor, whose buffer was %swritten",
		      device_name(dut.device), flags, dut.writes ? "" : "not ");
	}
}

static void expect_readable_kept(uint64_t format)
{
	struct dut dut;
	bool any = false;

	for_each_dut(dut, TRANSPORT_ANY, format)
	{
		struct queue *queue = dut_open(&dut, format, 16);
		struct request request;
		uint8_t before[256];
		uint32_t written, size;

		for (int i = 0; i < 20; i++) {
			dut_build(&dut, 0, &request);
			if (request.readable == 0)
				break;
			any = true;
			size = request.buffers[0].length;
			memcpy(before, request.memory, size);
			check(queue_do(queue, request.buffers, request.readable, request.writable,
				       &written, ANSWER_MS),
			      "%s: a request was not used", device_name(dut.device));
			check(!memcmp(before, request.memory, size),
			      "%s: a device-readable buffer was written to",
			      device_name(dut.device));
		}
	}
	if (!any)
		skip("no device that reads a buffer");
}

TEST(ring_readonly_unwritten, "AVP-RING-011")
{
	expect_readable_kept(SPLIT);
}

TEST(ring_packed_readonly_unwritten, "AVP-RING-011")
{
	expect_readable_kept(PACKED);
}

/* Cuts the first buffer in two, so that a request of one buffer takes an indirect table as well. */
static void cut_first(struct request *request)
{
	struct driver_buffer *buffers = request->buffers;
	uint32_t half = buffers[0].length / 2;

	if (half == 0 || request->readable + request->writable > 1)
		return;
	buffers[1] = buffer_of((void *)(buffers[0].address.value + half), buffers[0].length - half);
	buffers[0].length = half;
	if (request->readable)
		request->readable++;
	else
		request->writable++;
}

/* A part of a queue that only the driver writes. */
struct driver_part {
	const uint8_t *memory;
	size_t size;
	uint32_t sum;
};

static struct driver_part part_of(const void *memory, size_t size)
{
	return (struct driver_part){memory, size, text_sum(0, memory, size)};
}

static void expect_tables_kept(uint64_t features)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_ANY, features)
	{
		struct queue *queue = dut_open(&dut, features, 16);
		struct driver_part parts[2];
		struct request request;
		unsigned int count = 1;
		uint32_t written;

		dut_build(&dut, 0, &request);
		if (features & INDIRECT)
			cut_first(&request);
		check(driver_queue_add(&queue->ring, request.buffers, request.readable,
				       request.writable, queue) == 0,
		      "no room");
		/* Of a split ring: descriptors and available ring, which are adjacent. */
		if (features & PACKED)
			parts[0] = part_of((void *)queue->addresses[1],
					   sizeof(struct vring_packed_desc_event));
		else
			parts[0] = part_of(queue->memory,
					   queue->ring.layout.driver + 6 + 2u * queue->size);
		if (features & INDIRECT)
			parts[count++] = part_of(queue->ring.indirect_tables,
						 (size_t)queue->size * DRIVER_INDIRECT_MAX *
							 sizeof(struct vring_desc));
		queue_kick(queue);
		check(queue_wait(queue, &written, ANSWER_MS), "%s: a request was not used",
		      device_name(dut.device));
		for (unsigned int i = 0; i < count; i++)
			check(text_sum(0, parts[i].memory, parts[i].size) == parts[i].sum,
			      "%s: the device wrote to %s", device_name(dut.device),
			      i > 0		? "an indirect table" :
			      features & PACKED ? "the driver's event suppression structure" :
						  "the descriptor table or available ring");
	}
}

TEST(ring_table_unwritten, "AVP-RING-012", .limit_ms = 10000)
{
	struct dut dut;

	expect_tables_kept(SPLIT);
	if (dut_get(0, TRANSPORT_ANY, INDIRECT, &dut))
		expect_tables_kept(INDIRECT);
}

TEST(ring_packed_table_unwritten, "AVP-RING-012", .limit_ms = 10000)
{
	struct dut dut;

	expect_tables_kept(PACKED);
	if (dut_get(0, TRANSPORT_ANY, PACKED | INDIRECT, &dut))
		expect_tables_kept(PACKED | INDIRECT);
}

/* Is this byte of memory in a device-writable buffer? */
static bool is_writable(const struct request *request, const uint8_t *byte)
{
	for (unsigned int i = request->readable; i < request->readable + request->writable; i++)
		if ((uint64_t)byte - request->buffers[i].address.value < request->buffers[i].length)
			return true;
	return false;
}

static void expect_bounds(uint64_t format)
{
	static uint8_t before[3 * REQUEST_SIZE];
	struct dut dut;

	for (unsigned int n = 0; dut_get(n, TRANSPORT_ANY, format, &dut); n++) {
		struct queue *queue = dut_open(&dut, format, 16);
		struct request request;
		uint32_t written;

		for (int i = 0; i < 10; i++) {
			memset(dut.area, 0xa5, sizeof(before));
			/* The request in the middle of the area. */
			dut_build(&dut, 1, &request);
			memcpy(before, dut.area, sizeof(before));
			check(queue_do(queue, request.buffers, request.readable, request.writable,
				       &written, ANSWER_MS),
			      "%s: a request was not used", device_name(dut.device));
			for (unsigned int b = 0; b < sizeof(before); b++)
				check(dut.area[b] == before[b] ||
					      is_writable(&request, &dut.area[b]),
				      "%s: a byte outside all device-writable buffers was written",
				      device_name(dut.device));
		}
	}
}

TEST(ring_write_bounds, "AVP-RING-053", .limit_ms = 10000)
{
	struct dut dut;

	if (!dut_get(0, TRANSPORT_ANY, SPLIT, &dut))
		skip("no suitable device");
	expect_bounds(SPLIT);
	expect_bounds(PACKED);
}

TEST(ring_used_length, "AVP-RING-014")
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_ANY, SPLIT)
	{
		struct queue *queue = dut_open(&dut, SPLIT, 16);
		struct request request;
		uint32_t written = 0, space = 0;

		dut_build(&dut, 0, &request);
		/* A value that few random bytes have: it shows how far the device wrote. */
		if (dut.device->id == VIRTIO_ID_RNG)
			memset(request.memory, 0xa5, REQUEST_SIZE);
		for (unsigned int i = request.readable; i < request.readable + request.writable;
		     i++)
			space += request.buffers[i].length;
		check(queue_do(queue, request.buffers, request.readable, request.writable, &written,
			       ANSWER_MS),
		      "%s: a request was not used", device_name(dut.device));
		check(written <= space, "%s: used length %u of %u bytes", device_name(dut.device),
		      written, space);
		if (dut.device->id == VIRTIO_ID_RNG && written > 8) {
			unsigned int same = 0;

			for (uint32_t i = written - 8; i < written; i++)
				same += request.memory[i] == 0xa5;
			check(same < 8, "%s: used length %u, but the last bytes were not written",
			      device_name(dut.device), written);
		}
	}
}

/* The same read, with its buffers cut at every position. */
static void cut_reads(uint64_t format)
{
	struct dut dut;
	static const unsigned int cuts[] = {1, 3, 16, 100, 511};
	struct queue *queue;
	uint8_t *plain, *cut;

	if (!device_find(VIRTIO_ID_BLOCK, TRANSPORT_ANY))
		skip("no block device");
	for_each_dut(dut, TRANSPORT_ANY, format)
	{
		if (dut.device->id != VIRTIO_ID_BLOCK)
			continue;
		queue = dut_open(&dut, format, RING_MAX);
		dut_must_do(&dut, queue, "in one piece");
		plain = dut.area + 256;
		cut = pages_get(PAGE_SIZE);
		for (unsigned int c = 0; c < 5; c++) {
			struct driver_buffer buffers[64];
			struct virtio_blk_outhdr *header = (struct virtio_blk_outhdr *)(cut + 1024);
			unsigned int count = 0, readable;
			uint32_t written = 0;

			*header = (struct virtio_blk_outhdr){.type = VIRTIO_BLK_T_IN};
			memset(cut, 0, 512);
			cut[2048] = 0xee;
			/* The header in single bytes, or in one piece with the largest cut. */
			for (unsigned int i = 0; i < 16; i += c == 4 ? 16 : 4)
				buffers[count++] =
					buffer_of((uint8_t *)header + i, c == 4 ? 16 : 4);
			readable = count;
			for (unsigned int i = 0; i < 512 && count < 60;) {
				unsigned int size = count == 59 || 512 - i < cuts[c] ? 512 - i :
										       cuts[c];

				buffers[count++] = buffer_of(cut + i, size);
				i += size;
			}
			buffers[count++] = buffer_of(cut + 2048, 1);
			if (count > queue->size)
				continue;
			check(queue_do(queue, buffers, readable, count - readable, &written,
				       ANSWER_MS),
			      "%s: a read in %u descriptors was not used", device_name(dut.device),
			      count);
			check(cut[2048] == VIRTIO_BLK_S_OK && written <= 513,
			      "%s: a read in %u descriptors has status %u and used length %u",
			      device_name(dut.device), count, cut[2048], written);
			check(!memcmp(plain, cut, 512),
			      "%s: a read in %u descriptors returned different data",
			      device_name(dut.device), count);
		}
	}
}

TEST(ring_split_framing, "AVP-RING-017")
{
	cut_reads(SPLIT);
}

TEST(ring_packed_framing, "AVP-RING-017")
{
	cut_reads(PACKED);
}

TEST(ring_chain_limit, "AVP-RING-018", .device = VIRTIO_ID_RNG)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_ANY, SPLIT)
	{
		struct queue *queue;
		struct driver_buffer *buffers;
		uint32_t written = 0;

		if (dut.device->id != VIRTIO_ID_RNG)
			continue;
		queue = dut_open(&dut, SPLIT, RING_MAX);
		buffers = pages_get(queue->size * sizeof(*buffers));
		for (unsigned int i = 0; i < queue->size; i++)
			buffers[i] = buffer_of(dut.area + i, 1);
		check(queue_do(queue, buffers, 0, queue->size, &written, ANSWER_MS),
		      "%s: a chain of %u descriptors was not used", device_name(dut.device),
		      queue->size);
		check(written >= 1 && written <= queue->size, "used length %u", written);
		dut_must_do(&dut, queue, "after it");
	}
}

static void serve_indirect(uint64_t format)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_ANY, format | INDIRECT)
	{
		struct queue *queue = dut_open(&dut, format | INDIRECT, 16);

		for (int i = 0; i < MANY; i++)
			dut_must_do(&dut, queue, "by an indirect table");
		/* Also with one buffer, for which driver_queue_add would not make a table. */
		if (dut.device->id == VIRTIO_ID_RNG) {
			struct driver_buffer parts[3];
			uint32_t written = 0;

			for (int i = 0; i < 3; i++)
				parts[i] = buffer_of(dut.area + 100 * i, 8);
			check(queue_do(queue, parts, 0, 3, &written, ANSWER_MS),
			      "%s: an indirect table of three was not used",
			      device_name(dut.device));
			check(written >= 1 && written <= 24, "used length %u", written);
		}
	}
}

TEST(ring_split_indirect, "AVP-RING-019", .limit_ms = 10000)
{
	serve_indirect(SPLIT);
}

TEST(ring_packed_indirect, "AVP-RING-019", .limit_ms = 10000)
{
	serve_indirect(PACKED);
}

static void need_interrupts(bool any)
{
	if (!any)
		skip("this guest cannot find the interrupt of any device");
}

static void expect_notifications(uint64_t format)
{
	struct dut dut;
	bool any = false;

	for_each_dut(dut, TRANSPORT_ANY, format)
	{
		struct queue *queue = dut_open(&dut, format, 16);
		struct device *device = dut.device;

		if (!device->connected)
			continue;
		any = true;
		for (int i = 0; i < MANY; i++) {
			uint32_t before = device->queue_interrupts;

			dut_must_do(&dut, queue, "with notifications on");
			check(wait_until(device->queue_interrupts != before, 1000),
			      "%s: no interrupt for used buffer %d", device_name(device), i + 1);
		}
	}
	need_interrupts(any);
}

TEST(ring_split_notify, "AVP-RING-023", .limit_ms = 20000)
{
	expect_notifications(SPLIT);
}

TEST(ring_packed_notify, "AVP-RING-023", .limit_ms = 20000)
{
	expect_notifications(PACKED);
}

/* Sets the event index to @ahead entries after the device's next used entry. */
static void set_event_index(struct queue *queue, uint16_t ahead)
{
	volatile uint16_t *event = (volatile uint16_t *)queue->addresses[1];
	uint16_t index = queue->ring.used_index + ahead;
	bool wrap = queue->ring.used_wrap;

	if (queue->features & PACKED) {
		if (index >= queue->size) {
			index -= queue->size;
			wrap = !wrap;
		}
		event[0] = (uint16_t)(index | (wrap ? PACKED_WRAP : 0));
		event[1] = VRING_PACKED_EVENT_FLAG_DESC;
	} else {
		available_of(queue)[2 + queue->size] = index;
	}
	shared_barrier();
}

/*
 * Notifications are off: by the flags, or by an event index that is never reached, because it moves
 * on before each request.
 */
static void expect_none(uint64_t features)
{
	struct dut dut;
	bool any = false;

	for_each_dut(dut, TRANSPORT_ANY, features)
	{
		struct queue *queue = dut_open(&dut, features, 16);
		struct device *device = dut.device;
		uint32_t before;

		if (!device->connected)
			continue;
		any = true;
		driver_queue_disable_interrupts(&queue->ring);
		before = device->queue_interrupts;
		/* With a pause between them, because interrupts that are merged count once. */
		for (int i = 0; i < 20; i++) {
			if (features & EVENT_INDEX)
				set_event_index(queue, queue->size / 2);
			dut_must_do(&dut, queue, "with notifications off");
			sleep_ms(5);
		}
		check(device->queue_interrupts - before <= START_INTERRUPTS,
		      "SHOULD: %s: %u interrupts arrived though notifications were off",
		      device_name(device), device->queue_interrupts - before);
	}
	need_interrupts(any);
}

TEST(ring_split_no_notify, "AVP-RING-024", .limit_ms = 20000)
{
	expect_none(SPLIT);
}

TEST(ring_packed_no_notify, "AVP-RING-024", .limit_ms = 20000)
{
	expect_none(PACKED);
}

TEST(ring_split_event_ahead, "AVP-RING-024", .limit_ms = 20000)
{
	expect_none(SPLIT | EVENT_INDEX);
}

TEST(ring_packed_event_ahead, "AVP-RING-024", .limit_ms = 20000)
{
	expect_none(PACKED | EVENT_INDEX);
}

/*
 * Sets the event index three requests ahead; passing it must raise an interrupt, over several
 * rounds of the ring.
 */
static void expect_at_event(uint64_t format)
{
	struct dut dut;
	bool any = false;

	for_each_dut(dut, TRANSPORT_ANY, format | EVENT_INDEX)
	{
		struct queue *queue = dut_open(&dut, format | EVENT_INDEX, 16);
		struct device *device = dut.device;
		struct request request;
		uint16_t entries = 1;

		if (!device->connected)
			continue;
		any = true;
		dut_build(&dut, 0, &request);
		if (format == PACKED)
			entries = (uint16_t)(request.readable + request.writable);
		for (int round = 0; round < 12; round++) {
			uint32_t before;

			set_event_index(queue, 3 * entries);
			before = device->queue_interrupts;
			for (int i = 0; i < 4; i++)
				dut_must_do(&dut, queue, "with an event index");
			check(wait_until(device->queue_interrupts != before, 1000),
			      "%s: no interrupt when the event index was passed, round %d",
			      device_name(device), round);
		}
	}
	need_interrupts(any);
}

TEST(ring_split_event_idx, "AVP-RING-025", .limit_ms = 15000)
{
	expect_at_event(SPLIT);
}

TEST(ring_packed_event_idx, "AVP-RING-025", .limit_ms = 15000)
{
	expect_at_event(PACKED);
}

/* Indices of a split ring have 16 bits: each entry around the wrap gets its notification. */
TEST(ring_split_event_wrap, "AVP-RING-025", .limit_ms = 60000)
{
	const uint32_t margin = 16;
	struct dut dut;
	uint32_t descriptors, before;
	struct device *device;
	struct queue *queue;

	get_served(EVENT_INDEX, &dut, &descriptors);
	device = dut.device;
	queue = dut_open(&dut, EVENT_INDEX, RING_MAX);
	need_interrupts(device->connected);
	driver_queue_disable_interrupts(&queue->ring);
	serve_full(&dut, queue, UINT16_MAX + 1u - margin);
	for (uint32_t i = 0; i < 2 * margin; i++) {
		set_event_index(queue, 0);
		before = device->queue_interrupts;
		dut_must_do(&dut, queue, "with an event index");
		check(wait_until(device->queue_interrupts != before, 1000),
		      "%s: no interrupt for the used entry %u", device_name(device),
		      (uint16_t)(queue->ring.used_index - 1));
		/* Three entries further, as the first of a batch. */
		set_event_index(queue, 1);
		before = device->queue_interrupts;
		serve_full(&dut, queue, 3);
		check(wait_until(device->queue_interrupts != before, 1000),
		      "%s: no interrupt when the entry %u was passed", device_name(device),
		      (uint16_t)(queue->ring.used_index - 2));
	}
}

TEST(ring_split_flags_ignored, "AVP-RING-026", .limit_ms = 15000)
{
	struct dut dut;
	bool any = false;

	for_each_dut(dut, TRANSPORT_ANY, EVENT_INDEX)
	{
		struct queue *queue = dut_open(&dut, EVENT_INDEX, 16);
		struct device *device = dut.device;

		if (!device->connected)
			continue;
		any = true;
		/* With the event index, the device must ignore NO_INTERRUPT in the flags. */
		available_of(queue)[0] = VRING_AVAIL_F_NO_INTERRUPT;
		for (int i = 0; i < 10; i++) {
			uint32_t before = device->queue_interrupts;

			driver_queue_enable_interrupts(&queue->ring);
			dut_must_do(&dut, queue, "with an event index");
			check(wait_until(device->queue_interrupts != before, 1000),
			      "%s: no interrupt: the flags must have no effect",
			      device_name(device));
		}
	}
	need_interrupts(any);
}

TEST(ring_split_used_flags, "AVP-RING-027")
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_ANY, SPLIT)
	{
		struct queue *queue = dut_open(&dut, SPLIT, 16);

		for (int i = 0; i < 20; i++) {
			dut_must_do(&dut, queue, "in a split ring");
			check(used_of(queue)[0] <= 1, "%s: used flags are 0x%x",
			      device_name(dut.device), used_of(queue)[0]);
		}
		if (!(device_offered(dut.device) & EVENT_INDEX))
			continue;
		queue = dut_open(&dut, EVENT_INDEX, 16);
		for (int i = 0; i < 20; i++) {
			dut_must_do(&dut, queue, "with an event index");
			check(used_of(queue)[0] == 0,
			      "%s: used flags are 0x%x though VIRTIO_F_EVENT_IDX was negotiated",
			      device_name(dut.device), used_of(queue)[0]);
		}
	}
}

TEST(ring_packed_event_reserved, "AVP-RING-028")
{
	struct dut dut;

	for (int with = 0; with < 2; with++)
		for_each_dut(dut, TRANSPORT_ANY, PACKED | (with ? EVENT_INDEX : 0))
		{
			struct queue *queue = dut_open(&dut, PACKED | (with ? EVENT_INDEX : 0), 16);
			volatile uint16_t *event = (volatile uint16_t *)queue->addresses[2];

			for (int i = 0; i < 40; i++) {
				dut_must_do(&dut, queue, "in a packed ring");
				check(event[1] <= (with ? 2 : 1), "%s: event flags are 0x%x",
				      device_name(dut.device), event[1]);
				check(event[1] != 2 || (event[0] & 0x7fff) < queue->size,
				      "%s: the event offset is %u in a ring of %u",
				      device_name(dut.device), event[0] & 0x7fff, queue->size);
			}
		}
}
