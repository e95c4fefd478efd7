// SPDX-License-Identifier: BSD-3-Clause
/*
 * What split and packed virtqueues have in common: storage, requests, order of completion,
 * notification, and the end of a queue whose driver breaks the rules (VIRTIO 1.4, 2.6).
 */
#include "virtio/virtqueue.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <string.h>

#include "virtio/device.h"
#include "virtio/feature.h"
#include "virtio/ring.h"

size_t virtqueue_memory_size(uint16_t size)
{
	return size * (sizeof(struct virtio_request) +
		       2 * VIRTQUEUE_SEGMENTS * sizeof(struct virtio_segment) + sizeof(uint16_t));
}

/* Cuts the storage into requests, segments and the replay list. */
static void set_up_storage(struct virtqueue *queue, void *storage)
{
	uint16_t size = queue->size;

	queue->requests = storage;
	queue->segments = (struct virtio_segment *)(queue->requests + size);
	queue->replay = (uint16_t *)(queue->segments + size * 2 * VIRTQUEUE_SEGMENTS);
	queue->free = NULL;
	for (uint16_t i = size; i-- > 0;) {
		struct virtio_request *request = &queue->requests[i];

		request->queue = queue;
		request->index = i;
		request->segments = &queue->segments[i * VIRTQUEUE_SEGMENTS];
		request->next = queue->free;
		queue->free = request;
	}
}

/* The writable segments of a request as they were taken, for the log. */
static struct virtio_segment *logged_segments(const struct virtqueue *queue,
					      const struct virtio_request *request)
{
	/*
	 * In a part of their own: between those that the streams consume they would double the
	 * distance of what each request uses.
	 */
	return &queue->segments[(queue->size + request->index) * VIRTQUEUE_SEGMENTS];
}

int virtqueue_translate(struct virtqueue *queue)
{
	const struct virtqueue_format *format = queue->format;
	const struct virtqueue_setup *setup = &queue->setup;
	uint16_t size = queue->size;
	int ret;

	ret = guest_memory_translate_all(
		queue->memory, setup->descriptors, format->descriptor_bytes(size),
		format->descriptors_written ? GUEST_MEMORY_READ_WRITE : GUEST_MEMORY_READ,
		&queue->descriptors);
	if (ret == 0)
		ret = guest_memory_translate_all(queue->memory, setup->driver,
						 format->driver_bytes(size), GUEST_MEMORY_READ,
						 &queue->driver_area);
	if (ret == 0)
		ret = guest_memory_translate_all(queue->memory, setup->device,
						 format->device_bytes(size),
						 GUEST_MEMORY_READ_WRITE, &queue->device_area);
	return ret;
}

/*
 * Queue size and alignment of the areas (VIRTIO 1.4, 2.6, 2.7 and 2.8.10). A device keeps what
 * belongs to a request by its index, so the device's limit is checked here, whatever the transport
 * has checked.
 */
static bool setup_allowed(const struct virtqueue *queue, const struct virtqueue_setup *setup)
{
	const struct virtqueue_format *format = queue->format;

	if (setup->size == 0 || setup->size > VIRTQUEUE_SIZE_MAX)
		return false;
	if (queue->device && setup->size > queue->device->queue_size_max)
		return false;
	if (format->size_is_power_of_two && (setup->size & (setup->size - 1)) != 0)
		return false;
	return setup->descriptors.value % format->descriptor_alignment == 0 &&
	       setup->driver.value % format->driver_alignment == 0 &&
	       setup->device.value % format->device_alignment == 0;
}

/* The device has written to the ring: its device area and, packed, its descriptors. */
static void log_ring(struct virtqueue *queue)
{
	const struct virtqueue_format *format = queue->format;
	struct guest_memory *memory = queue->memory;

	if (!queue->setup.log)
		return;
	/* Behind an IOMMU the address would be one that has to be translated. */
	if (memory->ops)
		guest_memory_log_host(memory, queue->device_area,
				      format->device_bytes(queue->size));
	else
		guest_memory_log(memory, queue->setup.log_address,
				 format->device_bytes(queue->size));
	if (format->descriptors_written)
		guest_memory_log_host(memory, queue->descriptors,
				      format->descriptor_bytes(queue->size));
}

static void set_kicks(struct virtqueue *queue, bool enabled)
{
	queue->format->set_kicks(queue, enabled);
	if (queue->memory->log)
		log_ring(queue);
}

int virtqueue_start(struct virtqueue *queue, const struct virtqueue_setup *setup, uint64_t features,
		    void *storage)
{
	int ret;

	queue->format = features & FEATURE(VIRTIO_F_RING_PACKED) ? &packed_format : &split_format;
	if (!setup_allowed(queue, setup))
		return -EINVAL;
	queue->setup = *setup;
	queue->size = setup->size;
	ret = virtqueue_translate(queue);
	if (ret < 0)
		return ret;
	queue->event_index = features & FEATURE(VIRTIO_RING_F_EVENT_IDX);
	queue->indirect = features & FEATURE(VIRTIO_RING_F_INDIRECT_DESC);
	queue->in_order = features & FEATURE(VIRTIO_F_IN_ORDER);
	queue->broken = NULL;
	queue->in_flight = 0;
	queue->oldest = queue->youngest = NULL;
	queue->unsignalled = 0;
	queue->replay_count = queue->replay_next = 0;
	set_up_storage(queue, storage);
	ret = queue->format->resume(queue);
	if (ret < 0)
		return ret;
	/* The record of requests in flight overrides the positions of the set-up. */
	queue->format->positions(queue, &queue->setup.available_index, &queue->setup.used_index);
	/* A device process that died may have used buffers without a notification. */
	queue->notify_anyway = true;
	queue->started = true;
	queue->kicks_enabled = true;
	queue->kicks_stale = false;
	set_kicks(queue, true);
	return 0;
}

void virtqueue_stop(struct virtqueue *queue, uint16_t *available_index, uint16_t *used_index)
{
	uint16_t available = 0, used = 0;

	if (queue->started)
		queue->format->positions(queue, &available, &used);
	queue->started = false;
	queue->requests = queue->free = queue->oldest = queue->youngest = NULL;
	queue->in_flight = 0;
	queue->replay_count = queue->replay_next = 0;
	if (available_index)
		*available_index = available;
	if (used_index)
		*used_index = used;
}

bool virtqueue_has_history(const struct virtqueue *queue)
{
	/* A packed ring starts at index 0 with wrap counter 1 (VIRTIO 1.4, 2.8.1). */
	uint16_t start = queue->format == &packed_format ? PACKED_WRAP : 0;

	return queue->started && queue->setup.available_index != start;
}

bool virtqueue_has_request(struct virtqueue *queue)
{
	if (!queue->started || queue->broken)
		return false;
	return queue->replay_next < queue->replay_count || queue->format->has_request(queue);
}

struct virtio_request *virtqueue_pop(struct virtqueue *queue)
{
	struct virtio_request *request = queue->free;

	if (!virtqueue_has_request(queue))
		return NULL;
	if (!request) {
		virtqueue_break(queue, "more buffers made available than the ring has entries");
		return NULL;
	}
	request->segment_count = 0;
	request->written = 0;
	request->last_byte_taken = false;
	request->done = false;
	request->replayed = queue->replay_next < queue->replay_count;
	request->slots = 1;
	memset(&request->readable, 0, sizeof(request->readable));
	memset(&request->writable, 0, sizeof(request->writable));
	if (queue->format->take(queue, request) < 0)
		return NULL;
	queue->kicks_stale = true;
	if (request->replayed)
		queue->replay_next++;
	request->readable.segments = request->segments;
	request->writable.segments = request->segments + request->readable.count;

	if (queue->memory->log) {
		request->logged = (uint16_t)request->writable.count;
		memcpy(logged_segments(queue, request), request->writable.segments,
		       request->logged * sizeof(struct virtio_segment));
	}

	queue->free = request->next;
	request->next = NULL;
	queue->in_flight++;
	queue->handed_out++;
	if (queue->in_order) {
		if (queue->youngest)
			queue->youngest->next = request;
		else
			queue->oldest = request;
		queue->youngest = request;
	}
	return request;
}

static void release(struct virtqueue *queue, struct virtio_request *request)
{
	request->next = queue->free;
	queue->free = request;
	queue->in_flight--;
}

void virtqueue_unpop(struct virtqueue *queue, struct virtio_request *request)
{
	if (queue->in_order) {
		struct virtio_request **link = &queue->oldest;
		struct virtio_request *previous = NULL;

		while (*link != request) {
			previous = *link;
			link = &previous->next;
		}
		*link = NULL;
		queue->youngest = previous;
	}
	if (request->replayed)
		queue->replay_next--;
	else
		queue->format->untake(queue, request);
	queue->handed_out--;
	release(queue, request);
}

/*
 * Logs all that the device may have written for @batch and those that follow it. Not just
 * request->written bytes: a read that fails may have changed more.
 */
static void log_batch(struct virtqueue *queue, const struct virtio_request *batch)
{
	for (const struct virtio_request *request = batch; request; request = request->next) {
		const struct virtio_segment *segments = logged_segments(queue, request);

		for (uint16_t i = 0; i < request->logged; i++)
			guest_memory_log_host(queue->memory, segments[i].base, segments[i].length);
	}
}

/* Writes @batch and those that follow it to the used ring, and frees them. */
static void complete(struct virtqueue *queue, struct virtio_request *batch)
{
	bool log = queue->memory->log;

	if (log)
		log_batch(queue, batch);
	if (!queue->broken)
		queue->format->use(queue, batch);
	if (log)
		log_ring(queue);
	while (batch) {
		struct virtio_request *next = batch->next;

		if (queue->unsignalled < queue->size)
			queue->unsignalled += batch->slots;
		else
			queue->notify_anyway = true;
		release(queue, batch);
		batch = next;
	}
}

/* With IN_ORDER: takes the oldest requests off the list in ring order, as far as they are done. */
static struct virtio_request *take_done(struct virtqueue *queue)
{
	struct virtio_request *first = queue->oldest, *last = NULL;

	while (queue->oldest && queue->oldest->done) {
		last = queue->oldest;
		queue->oldest = last->next;
	}
	if (!last)
		return NULL;
	last->next = NULL;
	if (!queue->oldest)
		queue->youngest = NULL;
	return first;
}

void virtqueue_push(struct virtqueue *queue, struct virtio_request *request)
{
	virtqueue_push_batch(queue, &request, 1);
}

void virtqueue_push_batch(struct virtqueue *queue, struct virtio_request *const *requests,
			  uint16_t count)
{
	struct virtio_request *batch = NULL;

	for (uint16_t i = count; i-- > 0;) {
		requests[i]->done = true;
		if (queue->in_order)
			continue;
		requests[i]->next = batch;
		batch = requests[i];
	}
	if (queue->in_order)
		batch = take_done(queue);
	if (batch)
		complete(queue, batch);
}

void virtqueue_notify(struct virtqueue *queue)
{
	uint16_t unsignalled = queue->unsignalled;
	bool anyway = queue->notify_anyway;

	if (!queue->started || queue->broken || (unsignalled == 0 && !anyway))
		return;
	queue->unsignalled = 0;
	queue->notify_anyway = false;
	/* The used entry must be seen before we check whether the driver wants a notification. */
	shared_barrier();
	if (anyway || queue->format->notification_wanted(queue, unsignalled))
		queue->ops->notify(queue);
}

void virtqueue_disable_kicks(struct virtqueue *queue)
{
	if (!queue->started || queue->broken || !queue->kicks_enabled)
		return;
	queue->kicks_enabled = false;
	set_kicks(queue, false);
}

bool virtqueue_enable_kicks(struct virtqueue *queue)
{
	if (!queue->started || queue->broken)
		return false;
	queue->kicks_enabled = true;
	queue->kicks_stale = false;
	set_kicks(queue, true);
	/* A buffer added before the driver could see that kicks are wanted comes without one. */
	shared_barrier();
	return virtqueue_has_request(queue);
}

void virtqueue_break(struct virtqueue *queue, const char *reason)
{
	if (queue->broken)
		return;
	queue->broken = reason;
	if (queue->device)
		virtio_device_fault(queue->device, queue, reason);
}

int chain_broken(struct chain *chain, const char *reason)
{
	virtqueue_break(chain->queue, reason);
	return -EPROTO;
}

int chain_count(struct chain *chain, uint32_t limit)
{
	if (++chain->descriptors > limit)
		return chain_broken(chain, "descriptor chain loops or is longer than allowed");
	return 0;
}

int chain_add(struct chain *chain, uint64_t address, uint32_t length, bool writable)
{
	struct virtio_request *request = chain->request;
	struct virtio_stream *stream = writable ? &request->writable : &request->readable;

	if (chain->writable_seen && !writable)
		return chain_broken(chain, "readable descriptor after a writable one");
	chain->writable_seen = writable;
	chain->total += length;
	if (chain->total > UINT32_MAX) /* VIRTIO 1.4, 2.7.5.2 */
		return chain_broken(chain, "descriptor chain of more than 4 GiB");
	while (length > 0) {
		uint64_t part = length;
		void *host;
		int ret = guest_memory_translate(chain->queue->memory, guest_addr(address), &part,
						 writable ? GUEST_MEMORY_WRITE : GUEST_MEMORY_READ,
						 &host);

		if (ret == -EAGAIN)
			return ret;
		if (ret < 0)
			return chain_broken(chain, "buffer outside guest memory");
		if (request->segment_count == VIRTQUEUE_SEGMENTS)
			return chain_broken(chain, "buffer in too many pieces");
		request->segments[request->segment_count++] = (struct virtio_segment){host, part};
		stream->count++;
		stream->left += part;
		address += part;
		length -= (uint32_t)part;
	}
	return 0;
}
