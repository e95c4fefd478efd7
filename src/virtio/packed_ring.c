// SPDX-License-Identifier: BSD-3-Clause
/* Packed virtqueues, device side (VIRTIO 1.4, 2.8). */
#include <errno.h>

#include "virtio/ring.h"

static uint64_t descriptor_bytes(uint16_t size)
{
	return sizeof(struct vring_packed_desc) * size;
}

static uint64_t suppression_bytes(uint16_t size)
{
	(void)size;
	return sizeof(struct vring_packed_desc_event);
}

static struct vring_packed_desc *descriptor_at(const struct virtqueue *queue, uint16_t index)
{
	return (struct vring_packed_desc *)queue->descriptors + index;
}

static bool is_available(const struct virtqueue *queue, uint16_t index, bool wrap)
{
	return packed_is_available(shared_acquire(&descriptor_at(queue, index)->flags), wrap);
}

/*
 * Sets the available position behind the @slots ring entries from used_index, which were taken and
 * not used. False when the driver did not make all of them available.
 */
static bool skip_taken(struct virtqueue *queue, uint16_t slots)
{
	queue->available_index = queue->used_index;
	queue->available_wrap = queue->used_wrap;
	for (; slots > 0; slots--) {
		if (!is_available(queue, queue->available_index, queue->available_wrap))
			return false;
		packed_advance(queue->size, &queue->available_index, &queue->available_wrap, 1);
	}
	return true;
}

static int resume(struct virtqueue *queue)
{
	struct inflight_position position = {0};
	int count;

	packed_split(queue->setup.available_index, &queue->available_index, &queue->available_wrap);
	packed_split(queue->setup.used_index, &queue->used_index, &queue->used_wrap);
	if (queue->inflight && inflight_is_open(queue->inflight)) {
		count = inflight_resume_packed(queue->inflight, queue->descriptors, queue->replay,
					       &position);
		if (count < 0)
			return count;
		queue->replay_count = (uint16_t)count;
		queue->used_index = position.used_index;
		queue->used_wrap = position.used_wrap;
		/* All that was taken has either been used or is in the record. */
		if (!skip_taken(queue, position.slots))
			return -ESTALE;
	}
	if (queue->available_index >= queue->size || queue->used_index >= queue->size)
		return -EINVAL;
	if (queue->inflight && !inflight_is_open(queue->inflight))
		inflight_open(queue->inflight, queue->used_index, queue->used_wrap);
	return 0;
}

static bool has_request(struct virtqueue *queue)
{
	return is_available(queue, queue->available_index, queue->available_wrap);
}

static int follow_indirect(struct chain *chain, uint64_t address, uint32_t bytes)
{
	uint32_t count = bytes / sizeof(struct vring_packed_desc);

	if (!chain->queue->indirect)
		return chain_broken(chain, "indirect descriptor that was not negotiated");
	if (bytes % sizeof(struct vring_packed_desc) != 0 || count == 0)
		return chain_broken(chain, "indirect table of a wrong size");
	for (uint32_t i = 0; i < count; i++) {
		struct vring_packed_desc desc;
		int ret = guest_memory_read(chain->queue->memory,
					    guest_addr(address + i * sizeof(desc)), &desc,
					    sizeof(desc));

		if (ret == -EAGAIN)
			return ret;
		if (ret < 0)
			return chain_broken(chain, "indirect table outside guest memory");
		ret = chain_count(chain, VIRTQUEUE_CHAIN_MAX);
		if (ret == 0) /* flags other than WRITE are ignored in a table (2.8.7) */
			ret = chain_add(chain, desc.addr, desc.len,
					desc.flags & VRING_DESC_F_WRITE);
		if (ret < 0)
			return ret;
	}
	return 0;
}

static int follow_descriptor(struct chain *chain, const struct vring_packed_desc *desc)
{
	int ret;

	if (desc->flags & VRING_DESC_F_INDIRECT) {
		if ((desc->flags & VRING_DESC_F_NEXT) || chain->descriptors > 0)
			return chain_broken(chain, "indirect descriptor in a list (2.8.19)");
		return follow_indirect(chain, desc->addr, desc->len);
	}
	ret = chain_count(chain, chain->queue->size);
	if (ret == 0)
		ret = chain_add(chain, desc->addr, desc->len, desc->flags & VRING_DESC_F_WRITE);
	return ret;
}

/* Takes a request from the record of requests in flight: the ring no longer holds it. */
static int take_recorded(struct chain *chain)
{
	struct virtqueue *queue = chain->queue;
	struct virtio_request *request = chain->request;
	uint16_t entry = queue->replay[queue->replay_next];

	request->record = entry;
	request->slots = inflight_count_packed(queue->inflight, entry);
	for (uint16_t i = 0; i < request->slots; i++) {
		struct vring_packed_desc desc;
		int ret = inflight_read_packed(queue->inflight, &entry, &desc);

		if (ret < 0)
			return chain_broken(chain, "record of requests in flight is damaged");
		ret = follow_descriptor(chain, &desc);
		if (ret < 0)
			return ret;
		request->id = desc.id;
	}
	return 0;
}

static int take_from_ring(struct chain *chain)
{
	struct virtqueue *queue = chain->queue;
	struct virtio_request *request = chain->request;
	uint16_t index = queue->available_index;
	bool wrap = queue->available_wrap;
	struct vring_packed_desc desc;
	uint16_t slots = 0;

	do {
		const struct vring_packed_desc *shared = descriptor_at(queue, index);
		int ret;

		desc.addr = shared_read(&shared->addr);
		desc.len = shared_read(&shared->len);
		desc.id = shared_read(&shared->id);
		desc.flags = shared_read(&shared->flags);
		if (queue->inflight && inflight_add_packed(queue->inflight, &desc) < 0)
			return chain_broken(chain, "more descriptors in flight than the ring has");
		ret = follow_descriptor(chain, &desc);
		if (ret < 0)
			return ret;
		slots++;
		packed_advance(queue->size, &index, &wrap, 1);
	} while (desc.flags & VRING_DESC_F_NEXT);
	request->id = desc.id; /* of the last descriptor in the list (2.8.6) */
	request->slots = slots;
	queue->available_index = index;
	queue->available_wrap = wrap;
	return 0;
}

static int take(struct virtqueue *queue, struct virtio_request *request)
{
	struct chain chain = {.queue = queue, .request = request};
	int ret;

	if (request->replayed)
		return take_recorded(&chain);
	ret = take_from_ring(&chain);
	if (queue->inflight && ret < 0)
		inflight_cancel_packed(queue->inflight);
	else if (queue->inflight)
		request->record = inflight_commit_packed(queue->inflight);
	return ret;
}

static void untake(struct virtqueue *queue, const struct virtio_request *request)
{
	uint16_t slots = request->slots;

	if (queue->available_index < slots) {
		queue->available_index += queue->size;
		queue->available_wrap = !queue->available_wrap;
	}
	queue->available_index -= slots;
	if (queue->inflight)
		inflight_untake_packed(queue->inflight, request->record);
}

/* Records the whole batch before the ring is written: see inflight_resume_packed. */
static void open_batch(const struct virtqueue *queue, const struct virtio_request *batch)
{
	uint16_t index = queue->used_index;
	bool wrap = queue->used_wrap;

	for (const struct virtio_request *request = batch; request; request = request->next) {
		inflight_link_packed(queue->inflight, request->record);
		packed_advance(queue->size, &index, &wrap, request->slots);
	}
	inflight_begin_batch_packed(queue->inflight, index, wrap);
}

static void close_batch(const struct virtqueue *queue, const struct virtio_request *batch)
{
	for (const struct virtio_request *request = batch; request; request = request->next)
		inflight_clear_packed(queue->inflight, request->record);
	inflight_end_batch_packed(queue->inflight);
}

static void use(struct virtqueue *queue, struct virtio_request *batch)
{
	struct vring_packed_desc *first = descriptor_at(queue, queue->used_index);
	uint16_t first_flags = 0;

	if (queue->inflight)
		open_batch(queue, batch);
	for (const struct virtio_request *request = batch; request; request = request->next) {
		struct vring_packed_desc *shared = descriptor_at(queue, queue->used_index);
		uint16_t flags = queue->used_wrap ? PACKED_AVAILABLE | PACKED_USED : 0;

		/*
		 * "any data [...] into any parts of the buffer" (2.8.5), else the length is not
		 * valid.
		 */
		if (request->written > 0 || request->last_byte_taken)
			flags |= VRING_DESC_F_WRITE;
		shared_write(&shared->id, request->id);
		shared_write(&shared->len, request->written);
		if (request == batch)
			first_flags = flags;
		else
			shared_release(&shared->flags, flags);
		packed_advance(queue->size, &queue->used_index, &queue->used_wrap, request->slots);
	}
	/* The driver reads no other entry before it has seen this one. */
	shared_release(&first->flags, first_flags);
	if (queue->inflight)
		close_batch(queue, batch);
}

static bool notification_wanted(struct virtqueue *queue, uint16_t unsignalled)
{
	return packed_event_wanted(queue->driver_area, queue->event_index, queue->size,
				   queue->used_index, queue->used_wrap, unsignalled);
}

static void set_kicks(struct virtqueue *queue, bool enabled)
{
	packed_ask_events(queue->device_area, enabled, queue->event_index, queue->available_index,
			  queue->available_wrap);
}

static void positions(const struct virtqueue *queue, uint16_t *available, uint16_t *used)
{
	*available = packed_join(queue->available_index, queue->available_wrap);
	*used = packed_join(queue->used_index, queue->used_wrap);
}

const struct virtqueue_format packed_format = {
	.descriptor_bytes = descriptor_bytes,
	.driver_bytes = suppression_bytes,
	.device_bytes = suppression_bytes,
	.descriptor_alignment = sizeof(struct vring_packed_desc),
	.driver_alignment = sizeof(struct vring_packed_desc_event),
	.device_alignment = sizeof(struct vring_packed_desc_event),
	.descriptors_written = true,
	.resume = resume,
	.has_request = has_request,
	.take = take,
	.untake = untake,
	.use = use,
	.notification_wanted = notification_wanted,
	.set_kicks = set_kicks,
	.positions = positions,
};
