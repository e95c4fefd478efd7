// SPDX-License-Identifier: BSD-3-Clause
/* Faults in rings and in the life of a device (VIRTIO 1.4, 2.1 to 2.8). */
#include <string.h>
#include <time.h>

#include "broken/fault.h"

/* How long a polling guest can see a buffer as used before its data is there. */
#define EARLY_NS 3000000
/* How late a device on a busy host notifies of its start: longer than a guest waits for it. */
#define LATE_NS	 60000000
#define OFTEN_NS 3000000

static struct vring_packed_desc *packed_ring(const struct virtqueue *queue)
{
	return queue->descriptors;
}

static void use_too_long(struct virtqueue *queue, struct virtio_request *batch)
{
	for (struct virtio_request *r = batch; r; r = r->next)
		r->written++;
	use_real(queue, batch);
}

static void use_other_id(struct virtqueue *queue, struct virtio_request *batch)
{
	for (struct virtio_request *r = batch; r; r = r->next)
		r->id = (r->id + 1) % queue->size;
	use_real(queue, batch);
}

static void use_jumping(struct virtqueue *queue, struct virtio_request *batch)
{
	if (!is_packed(queue))
		queue->used_index++;
	use_real(queue, batch);
}

static void use_twice(struct virtqueue *queue, struct virtio_request *batch)
{
	use_real(queue, batch);
	use_real(queue, batch);
}

/* Also for a chain of several descriptors. */
static void use_one_slot(struct virtqueue *queue, struct virtio_request *batch)
{
	for (struct virtio_request *r = batch; r; r = r->next)
		r->slots = 1;
	use_real(queue, batch);
}

static void use_first_round(struct virtqueue *queue, struct virtio_request *batch)
{
	queue->used_wrap = true;
	use_real(queue, batch);
}

/*
 * Writes the used entries to a separate ring first, then to the real one, each without its WRITE
 * flag.
 */
static void use_unflagged(struct virtqueue *queue, struct virtio_request *batch)
{
	static struct vring_packed_desc aside[VIRTQUEUE_SIZE_MAX];
	struct vring_packed_desc *ring = packed_ring(queue);

	if (!is_packed(queue)) {
		use_real(queue, batch);
		return;
	}
	for (struct virtio_request *next; batch; batch = next) {
		uint16_t at = queue->used_index;

		next = batch->next;
		batch->next = NULL;
		queue->descriptors = aside;
		use_real(queue, batch);
		batch->next = next;
		queue->descriptors = ring;
		ring[at].id = aside[at].id;
		ring[at].len = aside[at].len;
		shared_release(&ring[at].flags, aside[at].flags & (uint16_t)~VRING_DESC_F_WRITE);
	}
}

static void use_and_change_first(struct virtqueue *queue, struct virtio_request *batch)
{
	if (is_packed(queue) && queue->used_index > 0)
		packed_ring(queue)[0].len++;
	use_real(queue, batch);
}

/* Where each list of a packed ring began. */
static struct {
	uint16_t index;
	bool wrap;
} places[VIRTQUEUE_SIZE_MAX];

static int take_and_note_place(struct virtqueue *queue, struct virtio_request *request)
{
	uint16_t index = queue->available_index;
	bool wrap = queue->available_wrap;
	int result = fault_real_format(queue)->take(queue, request);

	if (result == 0 && is_packed(queue)) {
		places[request->id % VIRTQUEUE_SIZE_MAX].index = index;
		places[request->id % VIRTQUEUE_SIZE_MAX].wrap = wrap;
	}
	return result;
}

static void use_at_own_place(struct virtqueue *queue, struct virtio_request *batch)
{
	for (struct virtio_request *next; batch; batch = next) {
		next = batch->next;
		batch->next = NULL;
		if (is_packed(queue)) {
			queue->used_index = places[batch->id % VIRTQUEUE_SIZE_MAX].index;
			queue->used_wrap = places[batch->id % VIRTQUEUE_SIZE_MAX].wrap;
		}
		use_real(queue, batch);
		batch->next = next;
	}
}

/* Leaves a place of a packed ring free. */
static void use_with_gap(struct virtqueue *queue, struct virtio_request *batch)
{
	if (is_packed(queue))
		packed_advance(queue->size, &queue->used_index, &queue->used_wrap, 1);
	use_real(queue, batch);
}

/* The driver sees the buffer as used, and its data arrives a little later. */
static int64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

static void use_early(struct virtqueue *queue, struct virtio_request *batch)
{
	static uint8_t data[ENTROPY_REQUEST_MAX];
	struct virtio_request *request = batch;
	uint8_t *place = (uint8_t *)request->segments[0].base - request->written;
	int64_t until;

	memcpy(data, place, request->written);
	memset(place, 0, request->written);
	use_real(queue, batch);
	until = now_ns() + EARLY_NS;
	while (now_ns() < until)
		;
	memcpy(place, data, request->written);
}

/* The queue that has started and has not used a buffer yet. */
static const struct virtqueue *fresh;

/* Withholds the notification of the start, so that the one of the first used buffer replaces it. */
static void withhold_start(struct virtqueue *queue)
{
	fresh = queue;
	queue->notify_anyway = false;
}

/* Uses the buffers. Returns whether they are the first of the queue. */
static bool use_first(struct virtqueue *queue, struct virtio_request *batch)
{
	use_real(queue, batch);
	if (fresh != queue)
		return false;
	fresh = NULL;
	return true;
}

/*
 * Sends the notification of the start long after the first buffer was used, and before the
 * notification of that buffer.
 */
static void use_and_notify_late(struct virtqueue *queue, struct virtio_request *batch)
{
	int64_t until = now_ns() + LATE_NS;

	if (!use_first(queue, batch))
		return;
	while (now_ns() < until)
		;
	queue->ops->notify(queue);
}

/* A driver that checks twice sees an interrupt each time. */
static void use_and_notify_often(struct virtqueue *queue, struct virtio_request *batch)
{
	int64_t until = now_ns() + OFTEN_NS;

	if (!use_first(queue, batch))
		return;
	while (now_ns() < until)
		queue->ops->notify(queue);
}

/* Segments are consumed as they are written: the rest of one begins after what was written. */
static void use_and_write_beyond(struct virtqueue *queue, struct virtio_request *batch)
{
	for (struct virtio_request *r = batch; r; r = r->next)
		*(uint8_t *)r->segments[r->segment_count - 1].base = 0x5a;
	use_real(queue, batch);
}

static int take_real(struct virtqueue *queue, struct virtio_request *request)
{
	return fault_real_format(queue)->take(queue, request);
}

/* Byte 4 is in a field that neither disk nor network device uses: ioprio, and gso_size. */
static int take_and_write(struct virtqueue *queue, struct virtio_request *request)
{
	int result = take_real(queue, request);

	if (result == 0 && request->readable.count > 0 && request->segments[0].length > 4)
		((uint8_t *)request->segments[0].base)[4] ^= 0xff;
	return result;
}

static int take_and_clear(struct virtqueue *queue, struct virtio_request *request)
{
	struct vring_desc *table = queue->descriptors;
	int result = take_real(queue, request);

	if (result == 0 && !is_packed(queue))
		table[request->id].len = 0;
	return result;
}

static bool next_is_indirect(const struct virtqueue *queue)
{
	const struct vring_avail *available = queue->driver_area;
	const struct vring_desc *table = queue->descriptors;

	if (is_packed(queue))
		return packed_ring(queue)[queue->available_index].flags & VRING_DESC_F_INDIRECT;
	return table[available->ring[queue->available_index % queue->size] % queue->size].flags &
	       VRING_DESC_F_INDIRECT;
}

/* Writes to the indirect table of the next request. */
static int take_and_spoil_table(struct virtqueue *queue, struct virtio_request *request)
{
	const struct vring_avail *available = queue->driver_area;
	const struct vring_desc *table = queue->descriptors;
	struct vring_desc *inner;
	struct guest_addr address;
	bool indirect = next_is_indirect(queue);
	void *host;
	int result;

	if (is_packed(queue))
		address = guest_addr(packed_ring(queue)[queue->available_index].addr);
	else
		address = guest_addr(
			table[available->ring[queue->available_index % queue->size] % queue->size]
				.addr);
	result = take_real(queue, request);
	if (result == 0 && indirect &&
	    guest_memory_translate_all(queue->device->memory, address, sizeof(*inner),
				       GUEST_MEMORY_WRITE, &host) == 0) {
		inner = host;
		inner->len = 0;
	}
	return result;
}

static int take_and_disable_events(struct virtqueue *queue, struct virtio_request *request)
{
	struct vring_packed_desc_event *event = queue->driver_area;

	if (is_packed(queue))
		shared_write(&event->off_wrap, 0x5a);
	return take_real(queue, request);
}

static void drop_last(struct virtio_request *request)
{
	struct virtio_stream *stream = request->writable.count > 0 ? &request->writable :
								     &request->readable;

	stream->count--;
	stream->left -= request->segments[--request->segment_count].length;
}

static int take_without_last(struct virtqueue *queue, struct virtio_request *request)
{
	bool indirect = next_is_indirect(queue);
	int result = take_real(queue, request);

	if (result == 0 && indirect && request->segment_count > 1)
		drop_last(request);
	return result;
}

/* Takes the first descriptor for the whole readable part. */
static int take_first_readable(struct virtqueue *queue, struct virtio_request *request)
{
	struct virtio_stream *readable = &request->readable;
	int result = take_real(queue, request);
	uint32_t dropped;

	if (result < 0 || readable->count < 2)
		return result;
	dropped = readable->count - 1;
	readable->count = 1;
	readable->left = request->segments[0].length;
	request->segment_count -= (uint16_t)dropped;
	memmove(&request->segments[1], &request->segments[1 + dropped],
		request->writable.count * sizeof(request->segments[0]));
	return 0;
}

/* Follows a chain without a limit. */
static int take_uncounted(struct virtqueue *queue, struct virtio_request *request)
{
	const struct vring_avail *available = queue->driver_area;
	const struct vring_desc *table = queue->descriptors;
	uint16_t at;

	if (!is_packed(queue)) {
		at = available->ring[queue->available_index % queue->size] % queue->size;
		while (shared_read(&table[at].flags) & VRING_DESC_F_NEXT)
			at = shared_read(&table[at].next) % queue->size;
	}
	return take_real(queue, request);
}

static bool never_wanted(struct virtqueue *queue, uint16_t unsignalled)
{
	return false;
}

static bool always_wanted(struct virtqueue *queue, uint16_t unsignalled)
{
	return true;
}

/* Compares the event index with the entry before. */
static bool wanted_late(struct virtqueue *queue, uint16_t unsignalled)
{
	bool wanted;

	if (!queue->event_index || is_packed(queue))
		return fault_real_format(queue)->notification_wanted(queue, unsignalled);
	queue->used_index--;
	wanted = fault_real_format(queue)->notification_wanted(queue, unsignalled);
	queue->used_index++;
	return wanted;
}

/* Compares indices as if they never wrapped. */
static bool wanted_unwrapped(struct virtqueue *queue, uint16_t unsignalled)
{
	const struct vring_avail *available = queue->driver_area;
	uint16_t before = (uint16_t)(queue->used_index - unsignalled), event;

	if (!queue->event_index || is_packed(queue))
		return fault_real_format(queue)->notification_wanted(queue, unsignalled);
	event = shared_read(&available->ring[queue->size]);
	return event >= before && event < queue->used_index;
}

static bool wanted_with_event_index(struct virtqueue *queue, uint16_t unsignalled)
{
	return queue->event_index ||
	       fault_real_format(queue)->notification_wanted(queue, unsignalled);
}

static bool wanted_by_flags(struct virtqueue *queue, uint16_t unsignalled)
{
	bool event_index = queue->event_index, wanted;

	queue->event_index = false;
	wanted = fault_real_format(queue)->notification_wanted(queue, unsignalled);
	queue->event_index = event_index;
	return wanted;
}

static void set_undefined_flags(struct virtqueue *queue, bool enabled)
{
	struct vring_used *used = queue->device_area;

	fault_real_format(queue)->set_kicks(queue, enabled);
	if (!is_packed(queue))
		shared_write(&used->flags, used->flags | 0x10);
}

static void set_reserved_event(struct virtqueue *queue, bool enabled)
{
	struct vring_packed_desc_event *event = queue->device_area;

	fault_real_format(queue)->set_kicks(queue, enabled);
	if (is_packed(queue))
		shared_write(&event->flags, 3);
}

static void refuse_kicks(struct virtqueue *queue, bool enabled)
{
	fault_real_format(queue)->set_kicks(queue, false);
}

static void do_nothing(struct virtio_device *device, struct virtqueue *queue)
{
}

static void go_on(struct virtqueue *queue, uint16_t *available_index, uint16_t *used_index)
{
	uint16_t available = 0, used = 0;

	if (queue->started)
		queue->format->positions(queue, &available, &used);
	if (available_index)
		*available_index = available;
	if (used_index)
		*used_index = used;
}

#define SLOW_SECONDS 10

static void stop_slowly(struct virtqueue *queue, uint16_t *available_index, uint16_t *used_index)
{
	struct timespec from, now;

	clock_gettime(CLOCK_MONOTONIC, &from);
	/* The sandbox does not let it sleep. */
	do
		clock_gettime(CLOCK_MONOTONIC, &now);
	while (queue->started && now.tv_sec < from.tv_sec + SLOW_SECONDS);
	__real_virtio_device_stop_queue(queue->device, queue, available_index, used_index);
}

static void refuse_tables(struct virtqueue *queue)
{
	queue->indirect = false;
}

static void stay_broken(struct virtqueue *queue)
{
	if (queue->device->faults > 0)
		queue->broken = "it broke before the last reset";
}

static bool wanted_by_event_index(struct virtqueue *queue, uint16_t unsignalled)
{
	return queue->event_index &&
	       fault_real_format(queue)->notification_wanted(queue, unsignalled);
}

/* Starts of one device after which none of its queues works. */
#define STARTS_MAX 64

static void wear_out(struct virtqueue *queue)
{
	static unsigned int starts;

	if (++starts > STARTS_MAX)
		queue->broken = "it was started too often";
}

const struct fault ring_faults[] = {
	{"used-length", "the used length is one byte too large", "ring_used_length", "AVP-RING-014",
	 .use = use_too_long},
	{"used-id", "the used entry names another chain", "ring_split_request", "AVP-RING-001",
	 .use = use_other_id},
	{"used-index-jumps", "the used index moves by two", "ring_split_request", "AVP-RING-001",
	 .use = use_jumping},
	{"used-twice", "a buffer is used twice", "ring_split_request", "AVP-RING-001",
	 .device = "entropy", .use = use_twice},
	{"packed-one-slot", "a chain counts as one descriptor", "ring_packed_request",
	 "AVP-RING-002", .use = use_one_slot},
	{"packed-wrap", "the wrap counter of used descriptors never changes", "ring_packed_wrap",
	 "AVP-RING-003", .use = use_first_round},
	{"packed-gap", "a used descriptor is not in the next place", "ring_packed_used_next",
	 "AVP-RING-008", .use = use_with_gap},
	{"packed-own-place", "a used descriptor is where its list began",
	 "ring_packed_complete_order", "AVP-RING-008", .device = "block",
	 .take = take_and_note_place, .use = use_at_own_place},
	{"packed-used-changed", "a descriptor is changed after it was used",
	 "ring_packed_used_final", "AVP-RING-010", .use = use_and_change_first},
	{"packed-write-flag", "a used descriptor lacks the WRITE flag", "ring_packed_write_flag",
	 "AVP-RING-015", .use = use_unflagged},
	{"readable-written", "a device-readable buffer is written to", "ring_readonly_unwritten",
	 "AVP-RING-011", .take = take_and_write},
	{"readable-written-packed", "a device-readable buffer is written to",
	 "ring_packed_readonly_unwritten", "AVP-RING-011", .take = take_and_write},
	{"table-written", "the descriptor table is written to", "ring_table_unwritten",
	 "AVP-RING-012", .take = take_and_clear},
	{"indirect-written", "an indirect table is written to", "ring_table_unwritten",
	 "AVP-RING-012", .take = take_and_spoil_table},
	{"indirect-written-packed", "an indirect table is written to",
	 "ring_packed_table_unwritten", "AVP-RING-012", .take = take_and_spoil_table},
	{"event-written", "the driver's event suppression is written to",
	 "ring_packed_table_unwritten", "AVP-RING-012", .take = take_and_disable_events},
	{"write-beyond", "a byte after a device-writable buffer is written", "ring_write_bounds",
	 "AVP-RING-053", .device = "entropy", .use = use_and_write_beyond},
	{"used-early", "a buffer is used before its data is there", "ring_data_before_used",
	 "AVP-RING-016", .device = "entropy", .use = use_early},
	{"framing", "a request's header is taken to be in one descriptor", "ring_split_framing",
	 "AVP-RING-017", .device = "block", .take = take_first_readable},
	{"indirect-last", "the last entry of an indirect table is ignored", "ring_split_indirect",
	 "AVP-RING-019", .take = take_without_last},
	{"interrupt-missing", "a used buffer never causes an interrupt", "ring_split_notify",
	 "AVP-RING-023", .notification_wanted = never_wanted},
	{"vector-missing", "a used buffer never causes an interrupt", "pci_msix_delivered",
	 "AVP-PCI-020", .notification_wanted = never_wanted},
	{"interrupt-unasked", "an interrupt arrives though the driver disabled it",
	 "ring_split_no_notify", "AVP-RING-024", .notification_wanted = always_wanted},
	{"event-index-late", "an interrupt arrives one buffer after the event index",
	 "ring_split_event_idx", "AVP-RING-025", .notification_wanted = wanted_late},
	{"event-index-wrap", "an event index is compared without regard to the wrap",
	 "ring_split_event_wrap", "AVP-RING-025", .notification_wanted = wanted_unwrapped},
	{"event-index-always", "each buffer causes an interrupt, whatever the event index",
	 "ring_split_event_ahead", "AVP-RING-024", .notification_wanted = wanted_with_event_index},
	{"event-index-always-packed", "each buffer causes an interrupt, whatever the event index",
	 "ring_packed_event_ahead", "AVP-RING-024", .notification_wanted = wanted_with_event_index},
	{"event-index-ignored", "with an event index, the flags decide on interrupts",
	 "ring_split_flags_ignored", "AVP-RING-026", .notification_wanted = wanted_by_flags},
	{"used-flags", "the used ring has an undefined flag", "ring_split_used_flags",
	 "AVP-RING-027", .set_kicks = set_undefined_flags},
	{"packed-event", "the device's event suppression is a reserved value",
	 "ring_packed_event_reserved", "AVP-RING-028", .set_kicks = set_reserved_event},
	{"kicks-refused", "the device disables kicks, and sleeps", "ring_kick_needed",
	 "AVP-RING-029", .set_kicks = refuse_kicks},
	{"loop-followed", "the device follows a looping chain forever", "ring_split_loop",
	 "AVP-RING-036", .hangs = true, .take = take_uncounted},
	{"never-completed", "no device completes any request", "rng_progress", "AVP-RNG-007",
	 .handle = do_nothing},
	{"reset-ignored", "a reset does not stop the queues", "life_reset_quiet", "AVP-LIFE-002",
	 .stop_queue = go_on},
	{"reset-slow", "a reset takes ten times as long as it may", "life_reset_status",
	 "AVP-LIFE-001", .device = "block", .stop_queue = stop_slowly},
	{"reset-wears-out", "a device stops after many resets", "life_reset_again", "AVP-LIFE-004",
	 .started = wear_out},
	{"version-1-alone", "interrupts need a feature", "life_version_1_alone", "AVP-LIFE-035",
	 .notification_wanted = wanted_by_event_index},
	{"feature-unhonoured", "indirect descriptors are offered and then rejected",
	 "life_offer_works", "AVP-LIFE-011", .started = refuse_tables},
	{"broken-for-ever", "a broken device stays broken after a reset", "life_needs_reset_heals",
	 "AVP-LIFE-021", .started = stay_broken},
	{"start-told-late", "the notification of a start arrives after the first buffer",
	 "ring_split_no_notify", "AVP-RING-024", .allowed = true, .started = withhold_start,
	 .use = use_and_notify_late},
	{"start-told-late-msi", "the notification of a start arrives after the first buffer",
	 "irq_msi", "AVP-IRQ-024", .allowed = true, .started = withhold_start,
	 .use = use_and_notify_late},
	{"start-told-often", "the notification of a start arrives while the driver checks",
	 "pci_isr", "AVP-PCI-018", .allowed = true, .started = withhold_start,
	 .use = use_and_notify_often},
	{.name = NULL},
};
