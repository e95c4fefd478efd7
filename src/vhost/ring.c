// SPDX-License-Identifier: BSD-3-Clause
/* The life of a ring (vhost-user specification, "Ring states"). */
#include "vhost/ring.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>

#include "vhost/server_private.h"
#include "virtio/device.h"

/* The polling interval of an idle ring without a kick descriptor. */
#define POLL_INTERVAL_MS 1

static void fail(struct vhost_ring *ring, int code, const char *what)
{
	struct error error;

	error_set_errno(&error, code, "ring %u: cannot use its %s descriptor", ring->queue->index,
			what);
	vhost_server_mark_broken(ring->server, &error);
}

static void notify(struct virtqueue *queue)
{
	struct vhost_server *server = queue->device->transport_context;
	struct vhost_ring *ring = &server->rings[queue->index];
	int ret = vhost_event_signal(&ring->call);

	if (ret < 0) {
		vhost_event_close(&ring->call);
		fail(ring, -ret, "call");
	}
}

static const struct virtqueue_ops ring_ops = {.notify = notify};

static void on_kick(void *context, uint32_t events)
{
	struct vhost_ring *ring = context;
	int ret = vhost_event_drain(&ring->kick);

	(void)events;
	if (ret < 0) {
		event_loop_remove(ring->server->loop, &ring->kick_source);
		fail(ring, -ret, "kick");
		return;
	}
	ring->declined = false;
	/*
	 * Kicks stay disabled until the loop is about to sleep; then prepare enables them at the
	 * new position.
	 */
	virtqueue_disable_kicks(ring->queue);
	virtio_device_kick(ring->queue->device, ring->queue);
}

void vhost_ring_init(struct vhost_ring *ring, struct vhost_server *server, struct virtqueue *queue)
{
	*ring = (struct vhost_ring){
		.server = server,
		.queue = queue,
		.kick_source = {.fd = -1, .handle = on_kick, .context = ring},
		.kick = VHOST_EVENT_NONE,
		.call = VHOST_EVENT_NONE,
		.err = VHOST_EVENT_NONE,
	};
	queue->memory = &server->memory.guest;
	queue->ops = &ring_ops;
}

static void watch_kick(struct vhost_ring *ring, bool watch)
{
	struct event_loop *loop = ring->server->loop;
	struct error error;

	if (ring->kick_source.fd >= 0) {
		event_loop_remove(loop, &ring->kick_source);
		ring->kick_source.fd = -1;
	}
	if (!watch || ring->kick.fd < 0)
		return;
	ring->kick_source.fd = ring->kick.fd;
	if (event_loop_add(loop, &ring->kick_source, EPOLLIN, &error) < 0) {
		ring->kick_source.fd = -1;
		vhost_server_mark_broken(ring->server, &error);
	}
}

static bool is_packed(const struct vhost_ring *ring)
{
	return virtio_has_feature(ring->queue->device, VIRTIO_F_RING_PACKED);
}

void vhost_ring_pause(struct vhost_ring *ring)
{
	uint16_t available, used;

	if (!ring->queue->started)
		return;
	watch_kick(ring, false);
	virtio_device_stop_queue(ring->queue->device, ring->queue, &available, &used);
	ring->base = is_packed(ring) ? (uint32_t)used << 16 | available : available;
	ring->record = ring->queue->inflight ? VHOST_RECORD_OWN : VHOST_RECORD_STALE;
	ring->ended_at = ring->base;
	ring->ended_features = ring->queue->device->negotiated;
}

/* The frontend's record for a ring of @size entries, whichever run wrote it; NULL: none. */
static void *find_record(const struct vhost_ring *ring, uint16_t size)
{
	return vhost_inflight_record(&ring->server->inflight, ring->queue->index, size);
}

/* Discards the record, unless the last run left requests undone. */
static void forget_if_complete(struct vhost_ring *ring)
{
	const struct vhost_inflight_area *area = &ring->server->inflight;
	void *record = find_record(ring, 0);

	if (record && (ring->record != VHOST_RECORD_OWN ||
		       !inflight_holds_requests(record, area->queue_size, area->packed)))
		inflight_forget(record);
}

/* Forgets the state that ends with a device reset; call and err belong to the connection. */
static void forget(struct vhost_ring *ring)
{
	ring->queue->inflight = NULL;
	watch_kick(ring, false);
	vhost_event_close(&ring->kick);
	ring->kick_set = false;
	ring->enable = VHOST_RING_UNSAID;
	ring->size = 0;
	ring->address_set = false;
	ring->declined = false;
}

/*
 * Pauses a ring that may not continue, after completing, if possible, the requests that a dead
 * process had taken.
 */
static void end_run(struct vhost_ring *ring)
{
	if (virtqueue_replaying(ring->queue))
		virtio_device_kick(ring->queue->device, ring->queue);
	vhost_ring_pause(ring);
}

void vhost_ring_reset(struct vhost_ring *ring)
{
	/*
	 * QEMU also writes status 0 when it pauses a guest: up to 7.2 before it asks for the
	 * position, later after that. So keep position and undone requests until a ring starts.
	 */
	end_run(ring);
	/* The record has the position of a ring that only waits for its memory. */
	if (ring->record != VHOST_RECORD_INHERITED || !ring->address_set)
		forget_if_complete(ring);
	forget(ring);
}

void vhost_ring_begin(struct vhost_ring *ring)
{
	vhost_ring_pause(ring);
	ring->record = VHOST_RECORD_STALE;
	forget_if_complete(ring);
	/*
	 * Disabled meant to drain the ring of the previous driver: the frontend has to say it
	 * again.
	 */
	if (ring->enable == VHOST_RING_DISABLED && ring->server->protocol_bit)
		ring->enable = VHOST_RING_UNSAID;
}

void vhost_ring_close(struct vhost_ring *ring)
{
	/*
	 * Do not close the record of requests in flight: a frontend that reconnects without
	 * GET_VRING_BASE knows the position from it alone.
	 */
	if (ring->queue->started)
		virtio_device_stop_queue(ring->queue->device, ring->queue, NULL, NULL);
	forget(ring);
	ring->base = 0;
	ring->record = VHOST_RECORD_INHERITED;
	vhost_event_close(&ring->call);
	vhost_event_close(&ring->err);
	if (ring->storage)
		munmap(ring->storage, ring->storage_size);
	ring->storage = NULL;
	ring->storage_size = 0;
}

/* Fresh zero pages for each start; the pages that an earlier ring touched are freed. */
static int make_storage(struct vhost_ring *ring, struct error *error)
{
	size_t size = virtqueue_memory_size(ring->size);
	void *storage;

	if (ring->storage)
		munmap(ring->storage, ring->storage_size);
	ring->storage = NULL;
	storage = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (storage == MAP_FAILED)
		return error_set_errno(error, errno, "cannot get %zu bytes for a ring", size);
	ring->storage = storage;
	ring->storage_size = size;
	return 0;
}

/* Ring addresses are the frontend's own, or the guest's with an IOMMU. */
static int translate_addresses(const struct vhost_ring *ring, struct virtqueue_setup *setup)
{
	const struct vhost_guest_memory *memory = &ring->server->memory;

	if (vhost_server_uses_iommu(ring->server)) {
		setup->descriptors = guest_addr(ring->address.desc_user_addr);
		setup->driver = guest_addr(ring->address.avail_user_addr);
		setup->device = guest_addr(ring->address.used_user_addr);
		return 0;
	}
	if (vhost_memory_user_to_guest(memory, ring->address.desc_user_addr, &setup->descriptors) <
		    0 ||
	    vhost_memory_user_to_guest(memory, ring->address.avail_user_addr, &setup->driver) < 0 ||
	    vhost_memory_user_to_guest(memory, ring->address.used_user_addr, &setup->device) < 0)
		return -EFAULT;
	return 0;
}

/*
 * Whether the last run continues. A new driver starts at another position, or chooses other
 * features.
 */
static bool continues_last_run(const struct vhost_ring *ring)
{
	uint32_t changed = ring->base ^ ring->ended_at;

	/* Some frontends omit the used part: see used_index. */
	if (ring->base >> 16 == 0)
		changed &= UINT16_MAX;
	return !changed && ring->ended_features == ring->queue->device->negotiated;
}

static int attach_record(struct vhost_ring *ring, struct error *error)
{
	struct vhost_server *server = ring->server;
	void *record = find_record(ring, ring->size);

	ring->queue->inflight = NULL;
	if (!record)
		return 0;
	if (ring->record == VHOST_RECORD_STALE ||
	    (ring->record == VHOST_RECORD_OWN && !continues_last_run(ring)))
		inflight_forget(record);
	if (server->inflight.packed != is_packed(ring) ||
	    inflight_attach(&ring->inflight, record, ring->size, is_packed(ring)) < 0)
		return error_set(
			error, EINVAL,
			"ring %u: its record of requests in flight belongs to another ring",
			ring->queue->index);
	ring->queue->inflight = &ring->inflight;
	return 0;
}

/*
 * "In the disabled state the back-end must not supply any new RX packets, but must process and
 * discard any TX packets" (vhost-user, "Ring states"). Only once the frontend has disabled the
 * ring: a ring that is about to be enabled, such as after a crash of this process, has packets to
 * send.
 */
static bool discards(const struct vhost_ring *ring)
{
	return ring->queue->discards && ring->enable == VHOST_RING_DISABLED;
}

static bool may_run(const struct vhost_ring *ring)
{
	const struct vhost_server *server = ring->server;
	bool enabled = ring->enable == VHOST_RING_UNSAID ? !server->protocol_bit :
							   ring->enable == VHOST_RING_ENABLED;

	return server->features_set && (enabled || discards(ring)) && ring->kick_set &&
	       ring->address_set && ring->size > 0 &&
	       !(server->device->status & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/*
 * The used position of a packed ring. Many frontends send the available part alone: DPDK's
 * virtio-user, whose rings start at 0x8000, and those that keep 16 bits of the answer to
 * GET_VRING_BASE. A used part of zero counts as omitted. As a position it would mean that the
 * entries in between are in flight, a whole ring in the case of 0x8000; but a stopped ring has
 * nothing in flight, and the requests of a process that died are in a record, which has a position
 * of its own.
 */
static uint16_t used_index(uint32_t base)
{
	uint16_t used = (uint16_t)(base >> 16);

	return used ? used : (uint16_t)base;
}

int vhost_ring_update(struct vhost_ring *ring, bool memory_comes, struct error *error)
{
	struct virtio_device *device = ring->server->device;
	struct virtqueue_setup setup = {
		.size = ring->size,
		.available_index = (uint16_t)ring->base,
		.used_index = used_index(ring->base),
		.log = ring->address.flags & (1u << VHOST_VRING_F_LOG),
		.log_address = ring->address.log_guest_addr,
	};
	int ret;

	if (ring->queue->started || !may_run(ring))
		return 0;
	if (!virtio_has_feature(device, VIRTIO_F_VERSION_1))
		return error_set(error, ENOTSUP,
				 "the guest's driver is older than VIRTIO 1.0 (no VERSION_1) or "
				 "treats the device as transitional; on QEMU add disable-legacy=on "
				 "to the device");
	ret = make_storage(ring, error);
	if (ret == 0)
		ret = attach_record(ring, error);
	if (ret < 0)
		return ret;
	ring->queue->disabled = discards(ring);
	ret = translate_addresses(ring, &setup);
	if (ret == 0)
		ret = virtqueue_start(ring->queue, &setup, device->negotiated, ring->storage);
	if (ret == -ESTALE) {
		vhost_server_warn(ring->server,
				  "ring %u: the requests in its record belong to another driver",
				  ring->queue->index);
		inflight_close(&ring->inflight);
		ret = virtqueue_start(ring->queue, &setup, device->negotiated, ring->storage);
	}
	if (ret == -EAGAIN || (ret == -EFAULT && (memory_comes || ring->server->memory.count == 0)))
		return 0;
	/*
	 * The driver chose the place of the ring: this is a fault of the driver and does not end
	 * the connection.
	 */
	if (ret < 0) {
		virtio_device_fault(device, ring->queue,
				    ret == -EFAULT ? "the ring lies outside guest memory" :
						     "size, position or alignment of the ring is "
						     "not allowed");
		return 0;
	}
	/* Frontends without the STATUS feature never set it themselves. */
	virtio_device_set_status(device, device->status | VIRTIO_CONFIG_S_DRIVER_OK);
	ring->declined = false;
	watch_kick(ring, true);
	/*
	 * Kicks stay disabled until the loop is about to sleep: polling may take buffers before
	 * that.
	 */
	virtqueue_disable_kicks(ring->queue);
	/*
	 * A device process that died may have used buffers without a notification; the driver may
	 * sleep.
	 */
	virtqueue_notify(ring->queue);
	return 0;
}

uint32_t vhost_ring_stop(struct vhost_ring *ring)
{
	end_run(ring);
	watch_kick(ring, false);
	vhost_event_close(&ring->kick);
	ring->kick_set = false;
	/* If the ring did not run, its record has the better position. */
	if (ring->record == VHOST_RECORD_OWN)
		forget_if_complete(ring);
	return ring->base;
}

void vhost_ring_set_base(struct vhost_ring *ring, uint32_t base)
{
	ring->base = base;
}

int vhost_ring_set_enable(struct vhost_ring *ring, bool enabled, struct error *error)
{
	enum vhost_ring_enable enable = enabled ? VHOST_RING_ENABLED : VHOST_RING_DISABLED;

	if (ring->enable != enable)
		vhost_ring_pause(ring);
	ring->enable = enable;
	return vhost_ring_update(ring, false, error);
}

int vhost_ring_set_kick(struct vhost_ring *ring, int fd, struct error *error)
{
	int ret;

	watch_kick(ring, false);
	ret = vhost_event_set(&ring->kick, fd, error);
	if (ret < 0)
		return ret;
	ring->kick_set = true;
	if (ring->queue->started) {
		vhost_ring_retry(ring);
		watch_kick(ring, true);
		return 0;
	}
	return vhost_ring_update(ring, false, error);
}

int vhost_ring_set_call(struct vhost_ring *ring, int fd, struct error *error)
{
	int ret = vhost_event_set(&ring->call, fd, error);

	/* A signal on the previous descriptor may never have reached the guest. */
	if (ret == 0 && ring->queue->started)
		notify(ring->queue);
	return ret;
}

static bool overlap(uint64_t area, uint64_t bytes, uint64_t start, uint64_t last)
{
	uint64_t end;

	/* @bytes is an upper bound, and may lead beyond the end of the address space. */
	if (__builtin_add_overflow(area, bytes - 1, &end))
		end = UINT64_MAX;
	return area <= last && end >= start;
}

bool vhost_ring_touches(const struct vhost_ring *ring, uint64_t start, uint64_t last)
{
	/* The largest area of either format: a table of descriptors. */
	uint64_t bytes = (uint64_t)ring->size * sizeof(struct vring_desc);

	return ring->address_set && (overlap(ring->address.desc_user_addr, bytes, start, last) ||
				     overlap(ring->address.avail_user_addr, bytes, start, last) ||
				     overlap(ring->address.used_user_addr, bytes, start, last));
}

void vhost_ring_retry(struct vhost_ring *ring)
{
	ring->declined = false;
}

/* Whether the device still declines the next request: do not offer it again. */
static bool still_declined(struct vhost_ring *ring)
{
	struct virtqueue *queue = ring->queue;

	if (ring->declined &&
	    (ring->declined_at != queue->handed_out || !virtqueue_has_request(queue)))
		ring->declined = false;
	return ring->declined;
}

bool vhost_ring_poll(struct vhost_ring *ring)
{
	struct virtqueue *queue = ring->queue;
	uint64_t before = queue->handed_out;

	if (!queue->started || still_declined(ring) || !virtqueue_has_request(queue))
		return false;
	virtqueue_disable_kicks(queue);
	virtio_device_kick(queue->device, queue);
	ring->declined = queue->started && queue->handed_out == before;
	ring->declined_at = before;
	return !ring->declined;
}

bool vhost_ring_prepare(struct vhost_ring *ring, int *timeout_ms)
{
	struct virtqueue *queue = ring->queue;

	if (!queue->started || virtqueue_broken(queue))
		return false;
	if (ring->kick.fd < 0 && (*timeout_ms < 0 || *timeout_ms > POLL_INTERVAL_MS))
		*timeout_ms = POLL_INTERVAL_MS;
	if (ring->kick.fd < 0 || still_declined(ring) || virtqueue_awaits_kick(queue))
		return false;
	return virtqueue_enable_kicks(queue);
}
