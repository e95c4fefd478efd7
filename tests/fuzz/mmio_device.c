// SPDX-License-Identifier: BSD-3-Clause
/* See mmio_device.h. */
#include "fuzz/mmio_device.h"

#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "virtio/feature.h"
#include "virtio/inflight.h"

/* The functions of vhost/client.h have no context argument. */
static struct fuzz *current;

bool model_is_packed(const struct fuzz *fuzz)
{
	return fuzz->model.driver_features & FEATURE(VIRTIO_F_RING_PACKED);
}

bool device_has_record(const struct fuzz *fuzz)
{
	return !(fuzz->choice.faults & FAULT_RECORD);
}

static bool in_memory(uint64_t address, uint64_t size, uint64_t alignment)
{
	uint64_t start = address < SECOND_RANGE ? 0 : SECOND_RANGE;

	return address % alignment == 0 && address - start <= RANGE_BYTES &&
	       size <= RANGE_BYTES - (address - start);
}

uint8_t *model_host(const struct fuzz *fuzz, uint64_t address)
{
	return fuzz->memory->host +
	       (address < SECOND_RANGE ? address : address - SECOND_RANGE + RANGE_BYTES);
}

/* The index of a split used ring. */
static uint8_t *used_index(const struct fuzz *fuzz, const struct model_queue *queue)
{
	PROMISE(in_memory(queue->device, 4, 4));
	return model_host(fuzz, queue->device + offsetof(struct vring_used, idx));
}

/* VIRTIO 1.4, 2.7 and 2.8 */
bool model_is_right(const struct fuzz *fuzz, const struct model_queue *queue)
{
	bool packed = model_is_packed(fuzz);
	uint64_t size = queue->size;

	return size > 0 && size <= fuzz->size_max && (packed || !(size & (size - 1))) &&
	       in_memory(queue->descriptors, 16 * size, 16) &&
	       in_memory(queue->driver, packed ? 4 : 6 + 2 * size, packed ? 4 : 2) &&
	       in_memory(queue->device, packed ? 4 : 6 + 8 * size, 4);
}

/* A ring that no device has run is at its start. */
static void begin(const struct fuzz *fuzz, struct model_queue *queue)
{
	if (queue->fresh)
		queue->used = model_is_packed(fuzz) ? (uint16_t)VHOST_PACKED_BASE : 0;
}

uint16_t model_used(const struct fuzz *fuzz, const struct model_queue *queue)
{
	uint16_t position = queue->used;

	if (!model_is_packed(fuzz))
		memcpy(&position, used_index(fuzz, queue), sizeof(position));
	return position;
}

/* The device process: see vhost/client.h for the contracts of the functions. */

void device_choose(struct fuzz *fuzz)
{
	current = fuzz;
}

unsigned int device_queue_count(const struct fuzz *fuzz)
{
	unsigned int least = fuzz->shape.queues;
	unsigned int reported = fuzz->protocol & FEATURE(VHOST_PROTOCOL_MQ) ? fuzz->choice.queues :
									      0;

	if (reported > DEVICE_SHAPE_QUEUES_MAX)
		reported = DEVICE_SHAPE_QUEUES_MAX;
	return reported ? reported : least;
}

bool device_is_alive(const struct fuzz *fuzz)
{
	uint8_t byte;

	return fuzz->client && !fuzz->client->broken &&
	       recv(fuzz->client->peer, &byte, 1, MSG_DONTWAIT | MSG_PEEK) != 0;
}

bool device_runs(const struct fuzz *fuzz)
{
	for (unsigned int i = 0; i < DEVICE_SHAPE_QUEUES_MAX; i++)
		if (fuzz->client->running[i])
			return true;
	return false;
}

static int fail(struct vhost_client *client, struct error *error)
{
	client->broken = true;
	return error_set(error, EPROTO, "the connection has failed");
}

/* Does a call succeed? As the input selects. */
static int answer(struct vhost_client *client, struct error *error)
{
	struct fuzz *fuzz = current;

	if (!device_is_alive(fuzz))
		return fail(client, error);
	/*
	 * The first reply after a failed message reports the failure: then nothing is sent any
	 * more.
	 */
	if (client->refusal_known)
		return error_set(error, EIO, "refused");
	client->refusal_known = client->refusing;
	if (fuzz->refuse_after == 0 || --fuzz->refuse_after > 0)
		return 0;
	fuzz->refused = true;
	client->broken = fuzz->refuse_errno != EIO;
	return error_set(error, fuzz->refuse_errno, "refused");
}

/*
 * The same for a message that is only acknowledged: is it executed, and what does the call return?
 * In an operation the failure may be reported at its end: until then the call succeeds, and so do
 * those after it, none of which is executed.
 */
static bool carries_out(struct vhost_client *client, int *result, struct error *error)
{
	if (client->refusing && !client->refusal_known && device_is_alive(current)) {
		*result = 0;
		return false;
	}
	*result = answer(client, error);
	if (*result == -EIO && !client->refusing && current->refuse_late && client->in_operation) {
		client->refusing = true;
		*result = 0;
		return false;
	}
	return *result == 0;
}

int broker_connect(struct broker *broker, uint32_t device, int wait_ms, struct error *error)
{
	int pair[2];

	/* At the start the monitor waits for the process, later it polls. */
	if (wait_ms == 0 ? current->away : (current->choice.faults & FAULT_OPEN) == 1)
		return error_set(error, ENOENT, "not there");
	PROMISE(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
	current->peer = pair[1];
	return pair[0];
}

struct vhost_client *vhost_client_new(int fd, int timeout_ms, struct error *error)
{
	struct vhost_client *client = calloc(1, sizeof(*client));

	/* One connection at a time. */
	PROMISE(!current->client);
	client->fd = fd;
	client->peer = current->peer;
	client->backend_fd = vhost_client_has(client, VHOST_PROTOCOL_BACKEND_REQ) ?
				     eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) :
				     -1;
	current->client = client;
	current->notifications = 0;
	current->refuse_after = current->next_refuse_after;
	current->next_refuse_after = 0;
	current->device_status = 0;
	return client;
}

void vhost_client_free(struct vhost_client *client)
{
	if (!client)
		return;
	vhost_inflight_close(&client->area);
	close_fd(&client->fd);
	close_fd(&client->peer);
	close_fd(&client->backend_fd);
	free(client);
	current->client = NULL;
	current->watched = false;
}

void vhost_client_begin(struct vhost_client *client)
{
	PROMISE(!client->in_operation);
	client->in_operation = true;
}

int vhost_client_confirm(struct vhost_client *client, struct error *error)
{
	bool refusing = client->refusing;

	client->refusing = client->refusal_known = false;
	if (refusing)
		return error_set(error, EIO, "refused");
	return client->broken ? error_set(error, EPIPE, "the connection broke earlier") : 0;
}

int vhost_client_finish(struct vhost_client *client, struct error *error)
{
	client->in_operation = false;
	return vhost_client_confirm(client, error);
}

bool vhost_client_is_broken(const struct vhost_client *client)
{
	return client->broken;
}

int timerfd_settime(int fd, int flags, const struct itimerspec *value, struct itimerspec *old)
{
	const struct itimerspec at_once = {.it_value = {.tv_nsec = 1}};

	/* Sleeping would only slow down the fuzzer. */
	return (int)syscall(SYS_timerfd_settime, fd, flags, &at_once, old);
}

int vhost_client_negotiate(struct vhost_client *client, const struct vhost_client_ops *ops,
			   void *context, struct error *error)
{
	client->ops = ops;
	client->context = context;
	if ((current->choice.faults & FAULT_OPEN) == 2)
		return error_set(error, ETIMEDOUT, "no answer");
	return 0;
}

uint64_t vhost_client_features(const struct vhost_client *client)
{
	return current->offered;
}

bool vhost_client_has(const struct vhost_client *client, enum vhost_protocol_feature feature)
{
	return current->protocol & FEATURE(feature);
}

int vhost_client_get_shmem_config(struct vhost_client *client, struct vhost_shmem_config *config,
				  struct error *error)
{
	/* Not offered: see fuzz_shared_memory.c. */
	PROMISE(false);
	return 0;
}

uint64_t vhost_client_queue_count(const struct vhost_client *client)
{
	return vhost_client_has(client, VHOST_PROTOCOL_MQ) ? current->choice.queues : 0;
}

int vhost_client_set_features(struct vhost_client *client, uint64_t features, struct error *error)
{
	int result;

	if (!carries_out(client, &result, error))
		return result;
	PROMISE((features & ~current->offered) == 0 && (features & FEATURE(VIRTIO_F_VERSION_1)));
	PROMISE(!device_runs(current));
	client->features = features;
	return 0;
}

int vhost_client_get_status(struct vhost_client *client, uint8_t *status, struct error *error)
{
	int result = answer(client, error);

	if (result < 0)
		return result;
	*status = current->device_status;
	if (*status & VIRTIO_CONFIG_S_NEEDS_RESET)
		current->needs_reset = true;
	return 0;
}

int vhost_client_set_status(struct vhost_client *client, uint8_t status, struct error *error)
{
	int result;

	if (!carries_out(client, &result, error))
		return result;
	PROMISE(client->features && !(status & VIRTIO_CONFIG_S_NEEDS_RESET));
	if (status & VIRTIO_CONFIG_S_DRIVER_OK)
		PROMISE(client->memory_set);
	current->device_status = status;
	return 0;
}

int vhost_client_reset(struct vhost_client *client, struct error *error)
{
	int result;

	if (!carries_out(client, &result, error))
		return result;
	PROMISE(!device_runs(current));
	client->features = 0;
	current->device_status = 0;
	return 0;
}

int vhost_client_set_memory(struct vhost_client *client, const struct vhost_client_region *regions,
			    size_t count, struct error *error)
{
	int result;

	/*
	 * With memory slots the client waits for its own replies, and with them for those before.
	 */
	if (vhost_client_has(client, VHOST_PROTOCOL_CONFIGURE_MEM_SLOTS)) {
		result = vhost_client_confirm(client, error);
		if (result == 0)
			result = answer(client, error);
		if (result < 0)
			return result;
	} else if (!carries_out(client, &result, error)) {
		return result;
	}
	PROMISE(client->features && count == current->memory->count &&
		regions == current->memory->regions);
	client->memory_set = true;
	return 0;
}

int vhost_client_get_inflight(struct vhost_client *client, uint16_t queue_count,
			      uint16_t queue_size, struct vhost_inflight *inflight, int *fd,
			      struct error *error)
{
	int result = answer(client, error);

	if (result < 0)
		return result;
	PROMISE(client->features || client->refusing);
	PROMISE(queue_count == current->queues && queue_size > 0);
	*inflight = (struct vhost_inflight){.queue_count = queue_count, .queue_size = queue_size};
	*fd = vhost_inflight_create(inflight, model_is_packed(current), error);
	if (*fd < 0)
		return *fd;
	switch (current->choice.faults & FAULT_RECORD) {
	case 4:
		inflight->mmap_size = 64;
		break;
	case 8:
		inflight->queue_count /= 2;
		break;
	case 12:
		inflight->queue_size /= 2;
		break;
	}
	/* The monitor gives up this process; the next one sends a correct record. */
	current->choice.faults &= (uint8_t)~FAULT_RECORD;
	return 0;
}

int vhost_client_set_inflight(struct vhost_client *client, const struct vhost_inflight *inflight,
			      int fd, struct error *error)
{
	int result;

	if (!carries_out(client, &result, error))
		return result;
	PROMISE(client->features && !device_runs(current));
	result = vhost_inflight_open(&client->area, inflight, model_is_packed(current), fd,
				     &client->area_lost, error);
	PROMISE(result == 0);
	return 0;
}

/* A ring continues where it was, in the ring and in the in-flight record. */
static void start_record(struct vhost_client *client, const struct vhost_client_ring *ring)
{
	struct model_queue *queue = &current->model.queues[ring->index];
	void *record = vhost_inflight_record(&client->area, ring->index, ring->size);
	bool packed = model_is_packed(current);
	struct virtqueue_inflight inflight;

	begin(current, queue);
	if (packed && device_has_record(current))
		PROMISE(ring->base == ((uint32_t)queue->used << 16 | queue->used));
	else if (!packed)
		PROMISE(ring->base == 0 || ring->base == model_used(current, queue));
	if (!record)
		return;
	PROMISE(inflight_attach(&inflight, record, ring->size, packed) == 0);
	/* Requests in flight in an earlier ring must not be taken from this one. */
	PROMISE(!queue->fresh || !inflight_is_open(&inflight));
	/* It was closed when the ring stopped, too. */
	if (queue->fresh || !inflight_is_open(&inflight))
		inflight_open(&inflight, queue->used & 0x7fff, queue->used >> 15);
}

int vhost_client_start_ring(struct vhost_client *client, const struct vhost_client_ring *ring,
			    struct error *error)
{
	struct model_queue *queue = &current->model.queues[ring->index];
	int result;

	if (!carries_out(client, &result, error))
		return result;
	PROMISE(client->features && client->memory_set);
	PROMISE(ring->index < current->queues && !client->running[ring->index]);
	PROMISE(ring->kick_fd >= 0 && ring->call_fd >= 0 && ring->kick_fd != ring->call_fd);
	PROMISE(ring->call_fd == current->interrupt_fd || current->hypervisor_failed);
	PROMISE(!queue->attached || queue->kick_fd == ring->kick_fd);

	PROMISE(queue->ready && model_is_right(current, queue) && queue->size == ring->size);
	PROMISE(queue->descriptors == ring->descriptors && queue->driver == ring->driver &&
		queue->device == ring->device);
	start_record(client, ring);
	queue->fresh = false;
	client->running[ring->index] = true;
	client->rings[ring->index] = *ring;
	return 0;
}

int vhost_client_stop_ring(struct vhost_client *client, uint16_t index, uint32_t *base,
			   struct error *error)
{
	struct virtqueue_inflight inflight;
	const struct vhost_client_ring *ring = &client->rings[index];
	void *record = vhost_inflight_record(&client->area, index, ring->size);
	int result = answer(client, error);

	PROMISE(index < current->queues);
	if (!device_is_alive(current))
		return result;
	/* A ring has stopped even if the reply is an error: the monitor can do nothing about it. */
	client->running[index] = false;
	if (base && result == 0)
		*base = model_used(current, &current->model.queues[index]) * UINT32_C(0x10001);
	if (record && inflight_attach(&inflight, record, ring->size, model_is_packed(current)) == 0)
		inflight_close(&inflight);
	return result;
}

/* The state is a number; without rings, and for one driver only. */
int vhost_client_save_state(struct vhost_client *client, void *buffer, size_t size, size_t *length,
			    struct error *error)
{
	int result = answer(client, error);

	if (result < 0)
		return result;
	PROMISE(!device_runs(current) && size >= sizeof(current->states));
	current->state = ++current->states;
	memcpy(buffer, &current->states, sizeof(current->states));
	*length = sizeof(current->states);
	return 0;
}

int vhost_client_load_state(struct vhost_client *client, const void *state, size_t length,
			    struct error *error)
{
	int result = answer(client, error);
	uint64_t number;

	if (result < 0)
		return result;
	PROMISE(!device_runs(current) && length == sizeof(number));
	memcpy(&number, state, sizeof(number));
	PROMISE(number && number == current->state);
	return 0;
}

int vhost_client_read_config(struct vhost_client *client, uint32_t offset, void *buffer,
			     uint32_t length, struct error *error)
{
	int result = answer(client, error);

	if (result < 0)
		return result;
	PROMISE(offset == 0 && length <= CONFIG_BYTES);
	/* Some devices reject reads beyond their configuration. */
	if (length > current->choice.config_size)
		return error_set(error, EIO, "too much");
	memcpy(buffer, current->config, length);
	return 0;
}

int vhost_client_write_config(struct vhost_client *client, uint32_t offset, const void *buffer,
			      uint32_t length, struct error *error)
{
	int result;

	if (!carries_out(client, &result, error))
		return result;
	PROMISE(length > 0 && offset <= CONFIG_BYTES && length <= CONFIG_BYTES - offset);
	memcpy(current->config + offset, buffer, length);
	return 0;
}

int vhost_client_fd(const struct vhost_client *client)
{
	return client->fd;
}

int vhost_client_backend_fd(const struct vhost_client *client)
{
	/* The last call when the monitor attaches the device. */
	current->watched = true;
	return client->backend_fd;
}

int vhost_client_handle_backend(struct vhost_client *client, struct error *error)
{
	eventfd_t count;

	if (!device_is_alive(current))
		return fail(client, error);
	if (current->notifications == 0)
		return 0;
	if (--current->notifications == 0)
		eventfd_read(client->backend_fd, &count);
	current->notified = true;
	client->ops->config_changed(client->context);
	return current->notifications > 0;
}

/* The hypervisor */

static bool hypervisor_fails(struct fuzz *fuzz)
{
	if (fuzz->fail_after == 0 || --fuzz->fail_after > 0)
		return false;
	fuzz->hypervisor_failed = fuzz->refused = true;
	return true;
}

static int add_kick(struct hypervisor *hypervisor, const struct hypervisor_kick *kick,
		    struct error *error)
{
	struct fuzz *fuzz = (struct fuzz *)hypervisor;
	struct model_queue *queue = &fuzz->model.queues[kick->value];

	PROMISE(kick->address == SLOT_ADDRESS + VIRTIO_MMIO_QUEUE_NOTIFY && kick->length == 4);
	PROMISE(kick->value < fuzz->queues && kick->fd >= 0 && !queue->attached);
	/*
	 * The device has the ring before a kick can arrive, except when all rings are set up again.
	 */
	if (device_is_alive(fuzz) && fuzz->watched)
		PROMISE(fuzz->client->running[kick->value] &&
			fuzz->client->rings[kick->value].kick_fd == kick->fd);
	if (hypervisor_fails(fuzz))
		return error_set(error, ENOSPC, "no more kicks");
	queue->attached = true;
	queue->kick_fd = kick->fd;
	begin(fuzz, queue);
	if (!queue->disconnected)
		queue->seen = queue->acknowledged = model_used(fuzz, queue);
	queue->disconnected = false;
	return 0;
}

static int remove_kick(struct hypervisor *hypervisor, const struct hypervisor_kick *kick,
		       struct error *error)
{
	struct fuzz *fuzz = (struct fuzz *)hypervisor;
	struct model_queue *queue = &fuzz->model.queues[kick->value];

	PROMISE(kick->value < fuzz->queues);
	PROMISE(queue->attached ? queue->kick_fd == kick->fd : fuzz->hypervisor_failed);
	/* What the driver acknowledged survives the process. */
	queue->disconnected = queue->attached && fuzz->client && !fuzz->watched;
	queue->attached = false;
	return 0;
}

static int add_interrupt(struct hypervisor *hypervisor, uint32_t irq, int fd, struct error *error)
{
	struct fuzz *fuzz = (struct fuzz *)hypervisor;

	PROMISE(irq == SLOT_IRQ && fd >= 0 && fuzz->interrupt_fd < 0);
	if (hypervisor_fails(fuzz))
		return error_set(error, ENOSPC, "no more interrupts");
	fuzz->interrupt_fd = fd;
	return 0;
}

static int remove_interrupt(struct hypervisor *hypervisor, uint32_t irq, int fd,
			    struct error *error)
{
	struct fuzz *fuzz = (struct fuzz *)hypervisor;

	PROMISE(irq == SLOT_IRQ && fd >= 0 && fd == fuzz->interrupt_fd);
	device_take_interrupt(fuzz);
	fuzz->interrupt_fd = -1;
	return 0;
}

void device_take_interrupt(struct fuzz *fuzz)
{
	eventfd_t count;

	if (fuzz->interrupt_fd < 0 || eventfd_read(fuzz->interrupt_fd, &count) < 0)
		return;
	fuzz->edge = fuzz->model.config_possible = true;
}

const struct hypervisor_ops device_hypervisor = {
	.add_kick = add_kick,
	.remove_kick = remove_kick,
	.add_interrupt = add_interrupt,
	.remove_interrupt = remove_interrupt,
};

void device_use(struct fuzz *fuzz, unsigned int index, unsigned int count)
{
	struct model_queue *queue = &fuzz->model.queues[index];
	struct vhost_client *client = fuzz->client;
	uint16_t position = model_used(fuzz, queue);
	const struct vring_packed_desc descriptor = {.addr = 0};
	struct virtqueue_inflight inflight;
	unsigned int end;
	uint16_t head;
	void *record;

	if (!model_is_packed(fuzz)) {
		position = (uint16_t)(position + count);
		memcpy(used_index(fuzz, queue), &position, sizeof(position));
		return;
	}
	end = (position & 0x7fff) + count;
	queue->used = (uint16_t)(end % queue->size | (position & 0x8000));
	if (end / queue->size % 2)
		queue->used ^= 0x8000;
	record = vhost_inflight_record(&client->area, (uint16_t)index, (uint16_t)queue->size);
	if (!record || inflight_attach(&inflight, record, (uint16_t)queue->size, true) < 0)
		return;
	inflight_open(&inflight, queue->used & 0x7fff, queue->used >> 15);
	/* A new number, so that the record differs even if the position is the same. */
	inflight.counter = ++fuzz->uses;
	PROMISE(inflight_add_packed(&inflight, &descriptor) == 0);
	head = inflight_commit_packed(&inflight);
	inflight_link_packed(&inflight, head);
	inflight_begin_batch_packed(&inflight, queue->used & 0x7fff, queue->used >> 15);
	inflight_clear_packed(&inflight, head);
	inflight_end_batch_packed(&inflight);
}

void device_notify(struct fuzz *fuzz, bool needs_reset)
{
	if (!fuzz->client || fuzz->client->backend_fd < 0)
		return;
	if (needs_reset)
		fuzz->device_status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	fuzz->notifications++;
	eventfd_write(fuzz->client->backend_fd, 1);
}
