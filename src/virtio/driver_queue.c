// SPDX-License-Identifier: BSD-3-Clause
/* The driver side of virtqueues (VIRTIO 1.4, 2.7.13, 2.7.14, 2.8.21 and 2.8.22). */
#include "virtio/driver_queue.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>

#include "virtio/feature.h"
#include "virtio/ring.h"
#include "virtio/round_up.h"

struct driver_queue_format {
	/*
	 * Writes a chain with @id into the ring and makes it available; returns its ring entries.
	 */
	void (*add)(struct driver_queue *queue, uint16_t id, const struct driver_buffer *buffers,
		    unsigned int readable, unsigned int total, bool indirect);
	bool (*kick_wanted)(struct driver_queue *queue, uint16_t unkicked);
	bool (*has_used)(const struct driver_queue *queue);
	/* Reads the next used entry; -EPROTO when its id is invalid. */
	int (*read_used)(struct driver_queue *queue, uint16_t *id, uint32_t *written);
	/* Moves past the used entry that was read, which freed @slots ring entries. */
	void (*pass_used)(struct driver_queue *queue, uint16_t slots);
	void (*set_interrupts)(struct driver_queue *queue, bool enabled);
};

void driver_queue_layout(uint16_t size, bool packed, struct driver_queue_layout *layout)
{
	layout->descriptors = 0;
	layout->driver = size * sizeof(struct vring_desc);
	if (packed) {
		layout->device = layout->driver + sizeof(struct vring_packed_desc_event);
		layout->size = layout->device + sizeof(struct vring_packed_desc_event);
	} else {
		layout->device = round_up(layout->driver + (3u + size) * sizeof(uint16_t),
					  VRING_USED_ALIGN_SIZE);
		layout->size = layout->device + 3 * sizeof(uint16_t) +
			       size * sizeof(struct vring_used_elem);
	}
}

/* Split rings */

static struct vring_desc *split_table(const struct driver_queue *queue)
{
	return (struct vring_desc *)(queue->ring + queue->layout.descriptors);
}

static struct vring_avail *split_available(const struct driver_queue *queue)
{
	return (struct vring_avail *)(queue->ring + queue->layout.driver);
}

static struct vring_used *split_used(const struct driver_queue *queue)
{
	return (struct vring_used *)(queue->ring + queue->layout.device);
}

static uint16_t write_flags(unsigned int at, unsigned int readable, unsigned int total)
{
	return (at >= readable ? VRING_DESC_F_WRITE : 0) | (at + 1 < total ? VRING_DESC_F_NEXT : 0);
}

static void split_add(struct driver_queue *queue, uint16_t id, const struct driver_buffer *buffers,
		      unsigned int readable, unsigned int total, bool indirect)
{
	struct vring_avail *available = split_available(queue);
	struct vring_desc *table = split_table(queue);
	uint16_t at = id;

	if (indirect) {
		size_t offset = (size_t)id * DRIVER_INDIRECT_MAX * sizeof(struct vring_desc);

		table[id] = (struct vring_desc){
			.addr = queue->indirect_address.value + offset,
			.len = total * sizeof(struct vring_desc),
			.flags = VRING_DESC_F_INDIRECT,
		};
		table = (struct vring_desc *)((uint8_t *)queue->indirect_tables + offset);
		at = 0;
	}
	for (unsigned int i = 0; i < total; i++) {
		/* In a table, and with IN_ORDER, descriptors follow one another. */
		uint16_t next = indirect ? i + 1 : queue->descriptors[at].next;

		table[at] = (struct vring_desc){.addr = buffers[i].address.value,
						.len = buffers[i].length,
						.flags = write_flags(i, readable, total),
						.next = i + 1 < total ? next : 0};
		at = next;
	}
	shared_write(&available->ring[queue->available_index % queue->size], id);
	queue->available_index++;
	shared_release(&available->idx, queue->available_index);
}

static bool split_kick_wanted(struct driver_queue *queue, uint16_t unkicked)
{
	const struct vring_used *used = split_used(queue);

	if (!queue->event_index)
		return !(shared_read(&used->flags) & VRING_USED_F_NO_NOTIFY);
	return vring_need_event(shared_read((const uint16_t *)&used->ring[queue->size]),
				queue->available_index, queue->available_index - unkicked);
}

static bool split_has_used(const struct driver_queue *queue)
{
	return shared_acquire(&split_used(queue)->idx) != queue->used_index;
}

static int split_read_used(struct driver_queue *queue, uint16_t *id, uint32_t *written)
{
	const struct vring_used *used = split_used(queue);
	const struct vring_used_elem *element = &used->ring[queue->used_index % queue->size];
	uint32_t head = shared_read(&element->id);

	if (head >= queue->size)
		return -EPROTO;
	*id = (uint16_t)head;
	*written = shared_read(&element->len);
	return 0;
}

static void split_pass_used(struct driver_queue *queue, uint16_t slots)
{
	(void)slots;
	queue->used_index++;
}

static void split_set_interrupts(struct driver_queue *queue, bool enabled)
{
	struct vring_avail *available = split_available(queue);

	if (!queue->event_index)
		shared_write(&available->flags, enabled ? 0 : VRING_AVAIL_F_NO_INTERRUPT);
	else /* or an index that was just passed */
		shared_write(&available->ring[queue->size],
			     enabled ? queue->used_index : queue->used_index - 1);
}

static const struct driver_queue_format split_driver = {
	.add = split_add,
	.kick_wanted = split_kick_wanted,
	.has_used = split_has_used,
	.read_used = split_read_used,
	.pass_used = split_pass_used,
	.set_interrupts = split_set_interrupts,
};

/* Packed rings */

static struct vring_packed_desc *packed_ring(const struct driver_queue *queue)
{
	return (struct vring_packed_desc *)(queue->ring + queue->layout.descriptors);
}

static void packed_add(struct driver_queue *queue, uint16_t id, const struct driver_buffer *buffers,
		       unsigned int readable, unsigned int total, bool indirect)
{
	struct vring_packed_desc *ring = packed_ring(queue);
	uint16_t first = queue->available_index, first_flags = 0;
	unsigned int slots = indirect ? 1 : total;
	size_t offset = (size_t)id * DRIVER_INDIRECT_MAX * sizeof(struct vring_packed_desc);

	if (indirect) {
		struct vring_packed_desc *table =
			(struct vring_packed_desc *)((uint8_t *)queue->indirect_tables + offset);

		for (unsigned int i = 0; i < total; i++)
			table[i] = (struct vring_packed_desc){
				.addr = buffers[i].address.value,
				.len = buffers[i].length,
				.flags = i >= readable ? VRING_DESC_F_WRITE : 0,
			};
	}
	for (unsigned int i = 0; i < slots; i++) {
		struct vring_packed_desc *desc = &ring[queue->available_index];
		uint16_t flags = indirect ? VRING_DESC_F_INDIRECT : write_flags(i, readable, total);

		flags |= queue->available_wrap ? PACKED_AVAILABLE : PACKED_USED;
		shared_write(&desc->addr, indirect ? queue->indirect_address.value + offset :
						     buffers[i].address.value);
		shared_write(&desc->len,
			     indirect ? (uint32_t)(total * sizeof(*desc)) : buffers[i].length);
		shared_write(&desc->id, id);
		if (i == 0)
			first_flags = flags;
		else
			shared_write(&desc->flags, flags);
		packed_advance(queue->size, &queue->available_index, &queue->available_wrap, 1);
	}
	/* The list becomes available with its first descriptor (2.8.6). */
	shared_release(&ring[first].flags, first_flags);
}

static bool packed_kick_wanted(struct driver_queue *queue, uint16_t unkicked)
{
	const void *event = queue->ring + queue->layout.device;

	return packed_event_wanted(event, queue->event_index, queue->size, queue->available_index,
				   queue->available_wrap, unkicked);
}

static bool packed_has_used(const struct driver_queue *queue)
{
	uint16_t flags = shared_acquire(&packed_ring(queue)[queue->used_index].flags);

	return packed_is_used(flags, queue->used_wrap);
}

static int packed_read_used(struct driver_queue *queue, uint16_t *id, uint32_t *written)
{
	const struct vring_packed_desc *desc = &packed_ring(queue)[queue->used_index];

	*id = shared_read(&desc->id);
	if (*id >= queue->size)
		return -EPROTO;
	*written = shared_read(&desc->flags) & VRING_DESC_F_WRITE ? shared_read(&desc->len) : 0;
	return 0;
}

static void packed_pass_used(struct driver_queue *queue, uint16_t slots)
{
	packed_advance(queue->size, &queue->used_index, &queue->used_wrap, slots);
}

static void packed_set_interrupts(struct driver_queue *queue, bool enabled)
{
	void *event = queue->ring + queue->layout.driver;

	packed_ask_events(event, enabled, queue->event_index, queue->used_index, queue->used_wrap);
}

static const struct driver_queue_format packed_driver = {
	.add = packed_add,
	.kick_wanted = packed_kick_wanted,
	.has_used = packed_has_used,
	.read_used = packed_read_used,
	.pass_used = packed_pass_used,
	.set_interrupts = packed_set_interrupts,
};

/* Both */

void driver_queue_init(struct driver_queue *queue, uint16_t index, uint16_t size, uint64_t features,
		       void *ring, struct driver_descriptor *descriptors)
{
	bool packed = features & FEATURE(VIRTIO_F_RING_PACKED);

	memset(queue, 0, sizeof(*queue));
	queue->format = packed ? &packed_driver : &split_driver;
	queue->index = index;
	queue->size = size;
	queue->event_index = features & FEATURE(VIRTIO_RING_F_EVENT_IDX);
	queue->in_order = features & FEATURE(VIRTIO_F_IN_ORDER);
	queue->indirect = features & FEATURE(VIRTIO_RING_F_INDIRECT_DESC);
	queue->available_wrap = queue->used_wrap = true;
	queue->interrupts_enabled = true;
	queue->free_count = size;
	queue->ring = ring;
	driver_queue_layout(size, packed, &queue->layout);
	queue->descriptors = descriptors;
	for (uint16_t i = 0; i < size; i++)
		descriptors[i].next = (i + 1) % size;
}

void driver_queue_set_indirect(struct driver_queue *queue, void *tables, struct guest_addr address)
{
	queue->indirect_tables = tables;
	queue->indirect_address = address;
}

static bool is_packed(const struct driver_queue *queue)
{
	return queue->format == &packed_driver;
}

/*
 * A chain is identified by the number of its first descriptor (split) or by a free buffer id
 * (packed). With IN_ORDER both are taken in ring order, because they come back in that order.
 */
int driver_queue_add(struct driver_queue *queue, const struct driver_buffer *buffers,
		     unsigned int readable, unsigned int writable, void *token)
{
	unsigned int total = readable + writable;
	bool indirect = queue->indirect && queue->indirect_tables && total > 1 &&
			total <= DRIVER_INDIRECT_MAX;
	uint16_t slots = indirect ? 1 : (uint16_t)total;
	uint16_t id = queue->free_head, ids = is_packed(queue) && !queue->in_order ? 1 : slots;
	struct driver_descriptor *chain = &queue->descriptors[id];
	uint16_t after = id;

	if (total == 0 || total > queue->size)
		return -EINVAL;
	if (slots > queue->free_count)
		return -ENOSPC;
	chain->token = token;
	chain->count = slots;
	chain->writable = 0;
	for (unsigned int i = readable; i < total; i++)
		chain->writable += buffers[i].length;
	for (uint16_t i = 0; i < ids; i++)
		after = queue->descriptors[after].next;
	queue->format->add(queue, id, buffers, readable, total, indirect);
	queue->free_head = after;
	queue->free_count -= slots;
	if (queue->unkicked < queue->size)
		queue->unkicked += slots;
	return 0;
}

bool driver_queue_kick_wanted(struct driver_queue *queue)
{
	uint16_t unkicked = queue->unkicked;

	if (unkicked == 0)
		return false;
	queue->unkicked = 0;
	/* The available entry must be seen before we check whether the device wants a kick. */
	shared_barrier();
	return queue->format->kick_wanted(queue, unkicked);
}

uint32_t driver_queue_notification_data(const struct driver_queue *queue)
{
	uint16_t next = queue->available_index;

	if (is_packed(queue) && queue->available_wrap)
		next |= PACKED_WRAP;
	return (uint32_t)next << 16 | queue->index;
}

bool driver_queue_has_used(const struct driver_queue *queue)
{
	return queue->batch || queue->format->has_used(queue);
}

/* Frees a chain's entries and returns its token. */
static void *finish(struct driver_queue *queue, uint16_t id)
{
	struct driver_descriptor *chain = &queue->descriptors[id];
	uint16_t slots = chain->count;

	chain->count = 0;
	queue->free_count += slots;
	if (queue->in_order) { /* the links stay a circle, and free_head walks round it */
		queue->oldest = (queue->oldest + slots) % queue->size;
	} else {
		uint16_t last = id;

		for (uint16_t i = 1; i < slots && !is_packed(queue); i++)
			last = queue->descriptors[last].next;
		queue->descriptors[last].next = queue->free_head;
		queue->free_head = id;
	}
	return chain->token;
}

/* IN_ORDER: one used entry may stand for all chains up to its own (2.7.9, 2.8.11). */
static void *take_in_order(struct driver_queue *queue, uint32_t *written)
{
	uint16_t id = queue->oldest;
	struct driver_descriptor *chain = &queue->descriptors[id];

	*written = id == queue->batch_end ? queue->batch_written : chain->writable;
	queue->batch = id != queue->batch_end;
	queue->format->pass_used(queue, chain->count);
	return finish(queue, id);
}

void *driver_queue_take(struct driver_queue *queue, uint32_t *written, int *error)
{
	uint16_t id;

	if (!driver_queue_has_used(queue))
		return NULL;
	if (!queue->batch) {
		if (queue->format->read_used(queue, &id, written) < 0 ||
		    queue->descriptors[id].count == 0 ||
		    *written > queue->descriptors[id].writable) {
			*error = -EPROTO;
			return NULL;
		}
		if (!queue->in_order) {
			queue->format->pass_used(queue, queue->descriptors[id].count);
			return finish(queue, id);
		}
		queue->batch_end = id;
		queue->batch_written = *written;
	}
	return take_in_order(queue, written);
}

void driver_queue_disable_interrupts(struct driver_queue *queue)
{
	queue->interrupts_enabled = false;
	queue->format->set_interrupts(queue, false);
}

bool driver_queue_enable_interrupts(struct driver_queue *queue)
{
	queue->interrupts_enabled = true;
	queue->format->set_interrupts(queue, true);
	/* A buffer used before the device could see that comes without an interrupt. */
	shared_barrier();
	return driver_queue_has_used(queue);
}
