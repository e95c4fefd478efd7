// SPDX-License-Identifier: BSD-3-Clause
/*
 * Chapter rings: what a driver must not do (VIRTIO 1.4, 2.7), each done once; a reset must make the
 * device work again.
 */
#include "bus/pci.h"
#include "tests/rings.h"

#define MOMENT_MS 15

/*
 * No registers of interrupt controllers: a device's write there raises an interrupt, as the guest
 * asked for.
 */
static const uint64_t wild_addresses[] = {
	0xfffffffffffffff8, 0xffffffffffffffff, 0x8000000000000000,
	0x00ffffffffffff00, 0x0000700000000000, 0x00000000f0001000,
};
#define WILD_COUNT (sizeof(wild_addresses) / sizeof(wild_addresses[0]))

void attack_duts(uint64_t features, craft_function *craft, const char *what)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_ANY, features)
	{
		struct device *device = dut.device;
		uint64_t mark = pages_mark();

		for (unsigned int variant = 0; variant < 64; variant++) {
			struct queue *queue;
			bool looks_used;
			char after[100];
			/* Memory that the device must not touch. */
			uint64_t *canary;

			pages_release(mark);
			canary = pages_get(PAGE_SIZE);
			for (unsigned int i = 0; i < PAGE_SIZE / 8; i++)
				canary[i] = 0xc0ffee00 + i;
			queue = dut_open(&dut, features, 16);
			if (!craft(&dut, queue, variant))
				break;
			looks_used = driver_queue_has_used(&queue->ring);
			queue_kick(queue);
			/* The device is done when it used the buffer or reports an error. */
			wait_until(driver_queue_has_used(&queue->ring) != looks_used ||
					   device->ops->status(device) & NEEDS_RESET,
				   MOMENT_MS);
			for (unsigned int i = 0; i < PAGE_SIZE / 8; i++)
				check(canary[i] == 0xc0ffee00 + i,
				      "%s: memory was overwritten by %s, variant %u",
				      device_name(device), what, variant);
			text_format(after, sizeof(after), "after %s, variant %u", what, variant);
			dut_must_recover(&dut, after);
		}
		device_reset(device);
	}
}

static bool craft_zero(struct dut *dut, struct queue *queue, unsigned int variant)
{
	struct vring_desc *table = split_table_of(queue);
	struct request request;
	unsigned int count;

	if (variant > 2)
		return false;
	dut_build(dut, 0, &request);
	count = request.readable + request.writable;
	if (variant == 0) { /* a descriptor that is the whole chain */
		table[0] = (struct vring_desc){(uint64_t)dut->area, 0, write_flag(dut), 0};
	} else { /* before or after a valid descriptor */
		unsigned int at = variant == 1 ? 0 : count;

		for (unsigned int i = 0, from = 0; i <= count; i++) {
			bool empty = i == at;
			unsigned int which = empty ? (from ? from - 1 : 0) : from;
			struct driver_buffer buffer = request.buffers[which];

			table[i] = (struct vring_desc){
				buffer.address.value, empty ? 0 : buffer.length,
				(uint16_t)((which >= request.readable ? VRING_DESC_F_WRITE : 0) |
					   (i < count ? VRING_DESC_F_NEXT : 0)),
				(uint16_t)(i + 1)};
			if (!empty)
				from++;
		}
	}
	split_offer(queue, 0);
	return true;
}

TEST(ring_zero_length, "AVP-RING-035", .limit_ms = 20000)
{
	attack_duts(SPLIT, craft_zero, "a descriptor of length 0");
}

static bool craft_loop(struct dut *dut, struct queue *queue, unsigned int variant)
{
	struct vring_desc *table = split_table_of(queue);
	unsigned int length = variant == 0 ? 1 : variant == 1 ? 2 : queue->size;

	if (variant > 2)
		return false;
	for (unsigned int i = 0; i < length; i++)
		table[i] = (struct vring_desc){(uint64_t)dut->area, 16,
					       write_flag(dut) | VRING_DESC_F_NEXT,
					       (uint16_t)((i + 1) % length)};
	split_offer(queue, 0);
	return true;
}

TEST(ring_split_loop, "AVP-RING-036", .limit_ms = 20000)
{
	attack_duts(SPLIT, craft_loop, "a chain that loops");
}

static bool craft_indirect_loop(struct dut *dut, struct queue *queue, unsigned int variant)
{
	struct vring_desc *inner = queue->ring.indirect_tables;

	if (variant > 1)
		return false;
	inner[0] = (struct vring_desc){(uint64_t)dut->area, 16, write_flag(dut) | VRING_DESC_F_NEXT,
				       1};
	inner[1] = (struct vring_desc){(uint64_t)dut->area, 16, write_flag(dut) | VRING_DESC_F_NEXT,
				       variant == 0 ? 0 : 1};
	split_table_of(queue)[0] =
		(struct vring_desc){(uint64_t)inner, 32, VRING_DESC_F_INDIRECT, 0};
	split_offer(queue, 0);
	return true;
}

TEST(ring_split_indirect_loop, "AVP-RING-036", .limit_ms = 20000)
{
	attack_duts(INDIRECT, craft_indirect_loop, "an indirect table that loops");
}

static bool craft_overlong(struct dut *dut, struct queue *queue, unsigned int variant)
{
	struct vring_desc *table = split_table_of(queue);
	uint64_t start, end;

	if (variant > 1)
		return false;
	pages_free_range(&start, &end);
	/* In sum more than 2^32: each descriptor is as long as memory, or longer. */
	for (unsigned int i = 0; i < queue->size; i++)
		table[i] = (struct vring_desc){
			variant ? (uint64_t)dut->area : end - PAGE_SIZE,
			variant ? 0x10000010 : PAGE_SIZE,
			(uint16_t)(write_flag(dut) |
				   (i + 1u < queue->size ? VRING_DESC_F_NEXT : 0)),
			(uint16_t)(i + 1)};
	if (variant == 0) /* longer than the queue, by a loop at its end */
		table[queue->size - 1].flags |= VRING_DESC_F_NEXT;
	split_offer(queue, 0);
	return true;
}

TEST(ring_split_overlong, "AVP-RING-037", .limit_ms = 60000)
{
	attack_duts(SPLIT, craft_overlong, "a chain that is too long");
}

static bool craft_next_wild(struct dut *dut, struct queue *queue, unsigned int variant)
{
	static const uint16_t wild[] = {16, 17, 0x8000, 0xffff};
	struct vring_desc *table = split_table_of(queue);

	if (variant >= 8)
		return false;
	table[0] = (struct vring_desc){(uint64_t)dut->area, 16, write_flag(dut) | VRING_DESC_F_NEXT,
				       wild[variant % 4]};
	split_offer(queue, variant < 4 ? 0 : wild[variant % 4]);
	return true;
}

TEST(ring_split_next_wild, "AVP-RING-038", .limit_ms = 20000)
{
	attack_duts(SPLIT, craft_next_wild, "a head that is not in the table");
}

static bool craft_address(struct dut *dut, struct queue *queue, unsigned int variant)
{
	struct request request;
	unsigned int total, victim;

	if (variant >= WILD_COUNT + 3)
		return false;
	dut_build(dut, 0, &request);
	total = request.readable + request.writable;
	victim = total > 1 ? 1 : 0;	 /* the data buffer of a read */
	if (variant == WILD_COUNT + 2) { /* registers of the device itself */
		request.buffers[victim].address.value =
			dut->device->pci ? dut->device->pci->notify : dut->device->base;
	} else if (variant < WILD_COUNT) {
		request.buffers[victim].address.value = wild_addresses[variant];
	} else { /* beyond the end of memory, and across it */
		uint64_t end = 0;

		for (unsigned int i = 0; i < machine.range_count; i++)
			if (machine.ranges[i].usable && machine.ranges[i].end > end)
				end = machine.ranges[i].end;
		request.buffers[victim].address.value =
			end + (variant == WILD_COUNT ? 0x1000000 : 0);
		if (variant > WILD_COUNT)
			request.buffers[victim].address.value -= 1;
		request.buffers[victim].length = 512;
	}
	driver_queue_add(&queue->ring, request.buffers, request.readable, request.writable, queue);
	return true;
}

TEST(ring_address_wild, "AVP-RING-039", .limit_ms = 30000)
{
	attack_duts(SPLIT, craft_address, "a buffer where there is no memory");
}

static bool craft_direction(struct dut *dut, struct queue *queue, unsigned int variant)
{
	struct vring_desc *table = split_table_of(queue);

	if (variant > 1)
		return false;
	if (variant == 0) { /* readable after writable */
		table[0] = (struct vring_desc){(uint64_t)dut->area, 16,
					       VRING_DESC_F_WRITE | VRING_DESC_F_NEXT, 1};
		table[1] = (struct vring_desc){(uint64_t)dut->area + 512, 16, 0, 0};
	} else { /* the only buffer is of the wrong direction */
		table[0] = (struct vring_desc){(uint64_t)dut->area, 64,
					       write_flag(dut) ^ VRING_DESC_F_WRITE, 0};
	}
	split_offer(queue, 0);
	return true;
}

TEST(ring_direction_order, "AVP-RING-040", .limit_ms = 20000)
{
	attack_duts(SPLIT, craft_direction, "a buffer of the wrong direction");
}

static bool craft_indirect(struct dut *dut, struct queue *queue, unsigned int variant)
{
	struct vring_desc *table = split_table_of(queue), *inner = queue->ring.indirect_tables;
	uint32_t length = 16;
	uint16_t flags = VRING_DESC_F_INDIRECT;

	inner[0] = (struct vring_desc){(uint64_t)dut->area, 16, write_flag(dut), 0};
	table[0].addr = (uint64_t)inner;
	switch (variant) {
	case 0:
		length = 0;
		break;
	case 1:
		length = 17;
		break;
	case 2:
		length = 15;
		break;
	case 3:
		table[0].addr = 0xfffffffffffffff0;
		break;
	case 4: /* a table in a table */
		inner[0] = (struct vring_desc){(uint64_t)inner, 16, VRING_DESC_F_INDIRECT, 0};
		break;
	case 5:
		flags |= VRING_DESC_F_NEXT;
		break;
	case 6:
		length = UINT32_MAX & ~15u;
		break;
	case 7: /* next beyond the table */
		inner[0].flags |= VRING_DESC_F_NEXT;
		inner[0].next = 60000;
		break;
	default:
		return false;
	}
	table[0].len = length;
	table[0].flags = flags;
	table[0].next = 0;
	split_offer(queue, 0);
	return true;
}

TEST(ring_split_indirect_wild, "AVP-RING-041", .limit_ms = 30000)
{
	attack_duts(INDIRECT, craft_indirect, "a wild indirect table");
}

static bool craft_indices(struct dut *dut, struct queue *queue, unsigned int variant)
{
	static const uint16_t jumps[] = {17, 0x7fff, 0x8000, 0xffff, 0xfff0};

	if (variant >= 5)
		return false;
	split_table_of(queue)[0] = (struct vring_desc){(uint64_t)dut->area, 16, write_flag(dut), 0};
	available_of(queue)[1] = jumps[variant];
	return true;
}

TEST(ring_split_idx_jump, "AVP-RING-042", .limit_ms = 20000)
{
	attack_duts(SPLIT, craft_indices, "a jump of the available index");
}

static bool craft_event(struct dut *dut, struct queue *queue, unsigned int variant)
{
	static const uint16_t values[] = {0xffff, 0x8000, 2, 0x5555};
	struct request request;

	if (variant >= 4)
		return false;
	dut_build(dut, 0, &request);
	driver_queue_add(&queue->ring, request.buffers, request.readable, request.writable, queue);
	if (queue->features & PACKED) {
		((volatile uint16_t *)queue->addresses[1])[0] = values[variant];
		((volatile uint16_t *)queue->addresses[1])[1] = values[3 - variant];
	} else {
		available_of(queue)[0] = values[variant];
		available_of(queue)[2 + queue->size] = values[3 - variant];
	}
	return true;
}

TEST(ring_event_wild, "AVP-RING-045", .limit_ms = 20000)
{
	struct dut dut;

	attack_duts(SPLIT, craft_event, "wild suppression fields");
	if (dut_get(0, TRANSPORT_ANY, EVENT_INDEX, &dut))
		attack_duts(EVENT_INDEX, craft_event, "a wild event index");
	if (dut_get(0, TRANSPORT_ANY, PACKED | EVENT_INDEX, &dut))
		attack_duts(PACKED | EVENT_INDEX, craft_event, "a wild event suppression");
}

static bool craft_overlap(struct dut *dut, struct queue *queue, unsigned int variant)
{
	struct request request;

	if (variant > 3)
		return false;
	dut_build(dut, 0, &request);
	for (unsigned int i = request.readable; i < request.readable + request.writable; i++)
		request.buffers[i].address.value = variant == 3 ? (uint64_t)request.memory :
								  queue->addresses[variant];
	driver_queue_add(&queue->ring, request.buffers, request.readable, request.writable, queue);
	return true;
}

TEST(ring_used_overlap, "AVP-RING-048", .limit_ms = 20000)
{
	attack_duts(SPLIT, craft_overlap, "a buffer that is the ring itself");
}

static bool craft_changing(struct dut *dut, struct queue *queue, unsigned int variant)
{
	struct request request;
	uint64_t until;

	if (variant > 1)
		return false;
	for (int i = 0; i < 3; i++) {
		dut_build(dut, (unsigned int)i, &request);
		driver_queue_add(&queue->ring, request.buffers, request.readable, request.writable,
				 queue);
	}
	queue_kick(queue);
	until = arch_ticks() + ns_to_ticks(3000000);
	while (arch_ticks() < until) {
		volatile struct vring_desc *table = split_table_of(queue);
		unsigned int which = (unsigned int)random_number() % 8;

		if (variant == 0)
			table[which].len = (uint32_t)random_number() % 600;
		else
			table[which].flags = (uint16_t)random_number() & 3;
	}
	return true;
}

TEST(ring_exposed_changed, "AVP-RING-044", .limit_ms = 20000)
{
	attack_duts(SPLIT, craft_changing, "descriptors that change while the device uses them");
}

/* Invalid addresses for the parts of a queue, written before the device runs. */
static void attack_parts(bool unaligned)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_ANY, SPLIT)
	{
		struct device *device = dut.device;
		uint64_t mark = pages_mark();

		for (unsigned int part = 0; part < 3; part++)
			for (unsigned int variant = 0; variant < (unaligned ? 1 : WILD_COUNT + 1);
			     variant++) {
				struct queue *queue;
				char after[80];

				pages_release(mark);
				device_open(device, SPLIT);
				queue = queue_prepare(device, dut.queue_index, 16);
				queue->addresses[part] =
					unaligned	     ? queue->addresses[part] + 1 :
					variant < WILD_COUNT ? wild_addresses[variant] :
							       queue->addresses[(part + 1) % 3];
				queue_enable(queue);
				device_run(device);
				queue_kick(queue);
				sleep_ms(2);
				text_format(after, sizeof(after), "after part %u at 0x%lx", part,
					    queue->addresses[part]);
				dut_must_recover(&dut, after);
			}
		device_reset(device);
	}
}

TEST(ring_parts_wild, "AVP-RING-047", .limit_ms = 60000)
{
	attack_parts(false);
}

TEST(ring_parts_unaligned, "AVP-RING-047", .limit_ms = 20000)
{
	attack_parts(true);
}

TEST(ring_broken_told, "AVP-RING-049", .limit_ms = 20000)
{
	struct dut dut;

	for_each_dut(dut, TRANSPORT_ANY, SPLIT)
	{
		struct queue *queue = dut_open(&dut, SPLIT, 16);

		split_offer(queue, 0xffff);
		queue_kick(queue);
		check(wait_until(dut.device->ops->status(dut.device) & NEEDS_RESET, 1000),
		      "SHOULD: %s: status 0x%x after a head that is not in the table",
		      device_name(dut.device), dut.device->ops->status(dut.device));
		dut_must_recover(&dut, "after a head that is not in the table");
	}
}
