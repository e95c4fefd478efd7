// SPDX-License-Identifier: BSD-3-Clause
/* Split virtqueues, device side (VIRTIO 1.4, 2.7). */
#include <errno.h>

#include "virtio/ring.h"

static uint64_t descriptor_bytes(uint16_t size)
{
	return sizeof(struct vring_desc) * size;
}

/* With the field for used_event or avail_event at the end, which drivers always leave room for. */
static uint64_t driver_bytes(uint16_t size)
{
	return sizeof(struct vring_avail) + sizeof(uint16_t) * (size + 1u);
}

static uint64_t device_bytes(uint16_t size)
{
	return sizeof(struct vring_used) + sizeof(struct vring_used_elem) * size + sizeof(uint16_t);
}

static uint16_t mask(const struct virtqueue *queue)
{
	return queue->size - 1;
}

/*
 * Whether the driver made @slots heads available before available_index, and no more heads than the
 * ring has room for.
 */
static bool has_taken(const struct virtqueue *queue, uint16_t slots)
{
	const struct vring_avail *available = queue->driver_area;
	uint16_t next = shared_read(&available->idx) - queue->available_index;

	return next <= queue->size - slots;
}

static int resume(struct virtqueue *queue)
{
	const struct vring_used *used = queue->device_area;
	struct inflight_position position = {0};
	int count;

	queue->used_index = shared_read(&used->idx);
	queue->available_index = queue->setup.available_index;
	if (queue->inflight && inflight_is_open(queue->inflight)) {
		count = inflight_resume_split(queue->inflight, queue->used_index, queue->replay,
					      &position);
		if (count < 0)
			return count;
		queue->replay_count = (uint16_t)count;
		/* All that was taken has either been used or is in the record. */
		queue->available_index = queue->used_index + position.slots;
		if (count > 0 && !has_taken(queue, position.slots))
			return -ESTALE;
	} else if (queue->inflight) {
		inflight_open(queue->inflight, queue->used_index, false);
	}
	queue->available_shadow = queue->available_index;
	return 0;
}

static bool has_request(struct virtqueue *queue)
{
	const struct vring_avail *available = queue->driver_area;

	if (queue->available_shadow == queue->available_index)
		queue->available_shadow = shared_acquire(&available->idx);
	return queue->available_shadow != queue->available_index;
}

static int follow_indirect(struct chain *chain, uint64_t address, uint32_t bytes)
{
	uint32_t count = bytes / sizeof(struct vring_desc);
	uint32_t at = 0;

	if (!chain->queue->indirect)
		return chain_broken(chain, "indirect descriptor that was not negotiated");
	if (bytes % sizeof(struct vring_desc) != 0 || count == 0)
		return chain_broken(chain, "indirect table of a wrong size");
	for (;;) {
		struct vring_desc desc;
		int ret = guest_memory_read(chain->queue->memory,
					    guest_addr(address + at * sizeof(desc)), &desc,
					    sizeof(desc));

		if (ret == -EAGAIN)
			return ret;
		if (ret < 0)
			return chain_broken(chain, "indirect table outside guest memory");
		if (desc.flags & VRING_DESC_F_INDIRECT)
			return chain_broken(chain, "indirect descriptor in an indirect table");
		ret = chain_count(chain, VIRTQUEUE_CHAIN_MAX);
		if (ret == 0)
			ret = chain_add(chain, desc.addr, desc.len,
					desc.flags & VRING_DESC_F_WRITE);
		if (ret < 0 || !(desc.flags & VRING_DESC_F_NEXT))
			return ret;
		if (desc.next >= count)
			return chain_broken(chain, "next descriptor outside the indirect table");
		at = desc.next;
	}
}

static int follow_chain(struct chain *chain, uint16_t head)
{
	const struct vring_desc *table = chain->queue->descriptors;
	uint16_t at = head;

	for (;;) {
		struct vring_desc desc = {.addr = shared_read(&table[at].addr),
					  .len = shared_read(&table[at].len),
					  .flags = shared_read(&table[at].flags),
					  .next = shared_read(&table[at].next)};
		int ret;

		if (desc.flags & VRING_DESC_F_INDIRECT) {
			if (desc.flags & VRING_DESC_F_NEXT) /* VIRTIO 1.4, 2.7.5.3.1 */
				return chain_broken(chain, "indirect descriptor with a next one");
			return follow_indirect(chain, desc.addr, desc.len);
		}
		ret = chain_count(chain, chain->queue->size);
		if (ret == 0)
			ret = chain_add(chain, desc.addr, desc.len,
					desc.flags & VRING_DESC_F_WRITE);
		if (ret < 0 || !(desc.flags & VRING_DESC_F_NEXT))
			return ret;
		if (desc.next >= chain->queue->size)
			return chain_broken(chain, "next descriptor outside the table");
		at = desc.next;
	}
}

static int take(struct virtqueue *queue, struct virtio_request *request)
{
	const struct vring_avail *available = queue->driver_area;
	struct chain chain = {.queue = queue, .request = request};
	int ret;

	if (request->replayed) {
		request->id = queue->replay[queue->replay_next];
		return follow_chain(&chain, request->id);
	}
	if ((uint16_t)(queue->available_shadow - queue->available_index) > queue->size)
		return chain_broken(&chain, "available index runs ahead of the ring");
	request->id = shared_read(&available->ring[queue->available_index & mask(queue)]);
	if (request->id >= queue->size)
		return chain_broken(&chain, "available descriptor outside the table");
	ret = follow_chain(&chain, request->id);
	if (ret < 0)
		return ret;
	queue->available_index++;
	if (queue->inflight)
		inflight_take_split(queue->inflight, request->id);
	return 0;
}

static void untake(struct virtqueue *queue, const struct virtio_request *request)
{
	queue->available_index--;
	if (queue->inflight)
		inflight_clear_split(queue->inflight, request->id);
}

static void use(struct virtqueue *queue, struct virtio_request *batch)
{
	struct vring_used *used = queue->device_area;

	for (const struct virtio_request *request = batch; request; request = request->next) {
		uint16_t at = queue->used_index++ & mask(queue);

		if (queue->inflight)
			inflight_link_split(queue->inflight, request->id);
		shared_write(&used->ring[at].id, request->id);
		shared_write(&used->ring[at].len, request->written);
	}
	shared_release(&used->idx, queue->used_index);
	if (!queue->inflight)
		return;
	for (const struct virtio_request *request = batch; request; request = request->next)
		inflight_clear_split(queue->inflight, request->id);
	inflight_end_batch_split(queue->inflight, queue->used_index);
}

static bool notification_wanted(struct virtqueue *queue, uint16_t unsignalled)
{
	const struct vring_avail *available = queue->driver_area;

	if (!queue->event_index)
		return !(shared_read(&available->flags) & VRING_AVAIL_F_NO_INTERRUPT);
	return vring_need_event(shared_read(&available->ring[queue->size]), queue->used_index,
				queue->used_index - unsignalled);
}

static void set_kicks(struct virtqueue *queue, bool enabled)
{
	struct vring_used *used = queue->device_area;
	uint16_t *available_event = (uint16_t *)&used->ring[queue->size];

	if (!queue->event_index)
		shared_write(&used->flags, enabled ? 0 : VRING_USED_F_NO_NOTIFY);
	else if (enabled) /* to disable kicks, leave a stale index there */
		shared_write(available_event, queue->available_index);
}

static void positions(const struct virtqueue *queue, uint16_t *available, uint16_t *used)
{
	*available = queue->available_index;
	*used = queue->used_index;
}

const struct virtqueue_format split_format = {
	.size_is_power_of_two = true,
	.descriptor_bytes = descriptor_bytes,
	.driver_bytes = driver_bytes,
	.device_bytes = device_bytes,
	.descriptor_alignment = VRING_DESC_ALIGN_SIZE,
	.driver_alignment = VRING_AVAIL_ALIGN_SIZE,
	.device_alignment = VRING_USED_ALIGN_SIZE,
	.resume = resume,
	.has_request = has_request,
	.take = take,
	.untake = untake,
	.use = use,
	.notification_wanted = notification_wanted,
	.set_kicks = set_kicks,
	.positions = positions,
};
