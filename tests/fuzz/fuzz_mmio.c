// SPDX-License-Identifier: BSD-3-Clause
/*
 * Fuzz target of the virtio-mmio registers, with all monitor code behind them: what a hostile
 * driver does to them, and what the device process does meanwhile. An input is a struct choice and
 * a sequence of steps (enum step).
 *
 * mmio_device.c replaces the device process and the hypervisor; a model of the driver (struct
 * model) says what the driver may see.
 */
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "fuzz/input.h"
#include "fuzz/mmio_device.h"
#include "guest/config/config.h"
#include "virtio/feature.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define RING_START  UINT64_C(0x1000)
#define RING_STRIDE UINT64_C(0x3000)
#define STEPS_MAX   200
#define TURNS_MAX   64
#define CONNECT_MS  10000 /* the monitor answers within that time, or is stuck */

#define QUEUE_RESET 0x0c0 /* VIRTIO 1.4, 4.2.2 */
#define STATUS_OK   (VIRTIO_CONFIG_S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK)
#define RING_RESET  FEATURE(40)

enum step {
	STEP_WRITE,	 /* register, 4 bytes: a correct access */
	STEP_ACCESS,	 /* write and width, offset (2), 8 bytes: any access */
	STEP_NEGOTIATE,	 /* features: from a reset to FEATURES_OK, like a correct driver */
	STEP_QUEUE,	 /* queue, size: set up like a correct driver */
	STEP_DRIVER_OK,	 /* - */
	STEP_USE,	 /* queue, count: the device uses buffers */
	STEP_CONFIG,	 /* offset, value: the device changes its configuration space */
	STEP_NOTIFY,	 /* status: the device notifies of that, or that it needs a reset */
	STEP_REFUSE,	 /* how, when: a call to the device process, or the next one, fails */
	STEP_HYPERVISOR, /* when: a call to the hypervisor fails */
	STEP_GONE,	 /* whether it stays away: the device process dies */
	STEP_BACK,	 /* - */
	STEP_TURN,	 /* - */
	STEP_INTERRUPT,	 /* acknowledged: reads InterruptStatus and acknowledges */
	STEP_RESTART,	 /* - : the machine is reset */
	STEP_RELEASE,	 /* whether the next one stays away: the device process is replaced */
	STEPS,
};

static const uint32_t types[] = {VIRTIO_ID_BLOCK, VIRTIO_ID_NET, VIRTIO_ID_CONSOLE, VIRTIO_ID_RNG,
				 42};
#define TYPES (sizeof(types) / sizeof(types[0]))

#define RIGHT FEATURE(VIRTIO_F_VERSION_1)
static const uint64_t feature_sets[8] = {
	RIGHT,
	RIGHT | FEATURE(VIRTIO_F_RING_PACKED),
	RIGHT | FEATURE(VIRTIO_RING_F_EVENT_IDX),
	RIGHT | FEATURE(VIRTIO_F_RING_PACKED) | FEATURE(VIRTIO_RING_F_EVENT_IDX),
	UINT64_MAX,
	RIGHT | 0xff,
	FEATURE(VIRTIO_F_RING_PACKED),
	0,
};

/* Selected by the bits of choice.offers. */
static const enum vhost_protocol_feature protocol_bits[8] = {
	VHOST_PROTOCOL_MQ,
	VHOST_PROTOCOL_CONFIG,
	VHOST_PROTOCOL_INFLIGHT_SHMFD,
	VHOST_PROTOCOL_RESET_DEVICE,
	VHOST_PROTOCOL_STATUS,
	VHOST_PROTOCOL_BACKEND_REQ,
	VHOST_PROTOCOL_CONFIGURE_MEM_SLOTS,
	VHOST_PROTOCOL_REPLY_ACK,
};
static const uint8_t feature_bits[8] = {
	VIRTIO_F_RING_PACKED,
	VIRTIO_RING_F_EVENT_IDX,
	VIRTIO_RING_F_INDIRECT_DESC,
	VIRTIO_F_ACCESS_PLATFORM,
	VIRTIO_F_SR_IOV,
	38, /* NOTIFICATION_DATA */
	40,
	/* RING_RESET */ 31,
};

/* Reused for all inputs. */
static struct monitor_memory memory;
static uint64_t take_number(struct input *input, unsigned int bytes)
{
	uint64_t number = 0;

	for (unsigned int i = 0; i < bytes; i++)
		number |= (uint64_t)take_byte(input) << 8 * i;
	return number;
}

/* The driver */

static bool features_are_right(const struct fuzz *fuzz)
{
	const struct model *model = &fuzz->model;

	return !(model->driver_features & ~fuzz->visible) && !model->unknown_features &&
	       (model->driver_features & FEATURE(VIRTIO_F_VERSION_1));
}

static struct model_queue *selected(struct fuzz *fuzz)
{
	return fuzz->model.queue_select < fuzz->queues ?
		       &fuzz->model.queues[fuzz->model.queue_select] :
		       NULL;
}

/* After a reset everything is in its initial state; what the guest set up is gone. */
static void forget_device(struct fuzz *fuzz)
{
	for (unsigned int i = 0; i < DEVICE_SHAPE_QUEUES_MAX; i++)
		PROMISE(!fuzz->model.queues[i].attached);
	if (device_is_alive(fuzz))
		PROMISE(!device_runs(fuzz));
	memset(&fuzz->model, 0, sizeof(fuzz->model));
	fuzz->hypervisor_failed = false;
	fuzz->state = 0;
}

static void set_half(uint64_t *number, bool high, uint32_t value)
{
	*number &= high ? UINT32_MAX : ~(uint64_t)UINT32_MAX;
	*number |= (uint64_t)value << (high ? 32 : 0);
}

/* The effects of a register write that must be visible during the write. */
static void model_write(struct fuzz *fuzz, uint32_t address, uint32_t value)
{
	struct model *model = &fuzz->model;
	struct model_queue *queue = selected(fuzz);
	bool open = queue && !queue->ready;

	switch (address) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL:
		model->features_select = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL:
		model->driver_features_select = value;
		break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		if (model->status & VIRTIO_CONFIG_S_FEATURES_OK)
			break;
		if (model->driver_features_select > 1)
			model->unknown_features |= value != 0;
		else
			set_half(&model->driver_features, model->driver_features_select, value);
		break;
	case VIRTIO_MMIO_QUEUE_SEL:
		model->queue_select = value;
		break;
	case VIRTIO_MMIO_QUEUE_NUM:
		if (open)
			queue->size = value;
		break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW:
	case VIRTIO_MMIO_QUEUE_DESC_HIGH:
		if (open)
			set_half(&queue->descriptors, address & 4, value);
		break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW:
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH:
		if (open)
			set_half(&queue->driver, address & 4, value);
		break;
	case VIRTIO_MMIO_QUEUE_USED_LOW:
	case VIRTIO_MMIO_QUEUE_USED_HIGH:
		if (open)
			set_half(&queue->device, address & 4, value);
		break;
	case VIRTIO_MMIO_QUEUE_READY:
		if (open && value == 1)
			queue->ready = queue->fresh = fuzz->made_ready = true;
		break;
	case VIRTIO_MMIO_STATUS:
		fuzz->written = value & 0xff;
		break;
	}
}

/* The effects that are visible after the write. */
static void model_written(struct fuzz *fuzz, uint32_t address, uint32_t value)
{
	struct model *model = &fuzz->model;
	struct model_queue *queue = selected(fuzz);

	switch (address) {
	case VIRTIO_MMIO_QUEUE_READY:
		if (queue && value == 0)
			queue->ready = false;
		break;
	case QUEUE_RESET:
		if (!queue || value != 1 || !(model->driver_features & RING_RESET))
			break;
		PROMISE(!queue->attached);
		*queue = (struct model_queue){.size = 0};
		break;
	case VIRTIO_MMIO_INTERRUPT_ACK:
		if (value & VIRTIO_MMIO_INT_CONFIG)
			model->config_due = model->config_possible = false;
		for (unsigned int i = 0; (value & VIRTIO_MMIO_INT_VRING) && i < fuzz->queues; i++)
			model->queues[i].acknowledged = model->queues[i].seen;
		break;
	case VIRTIO_MMIO_STATUS:
		if (value == 0)
			forget_device(fuzz);
		break;
	}
}

/* A used buffer is reported until the driver has read and acknowledged it. */
static void check_interrupts(struct fuzz *fuzz, uint32_t value)
{
	bool used = false;

	PROMISE((value & ~(VIRTIO_MMIO_INT_VRING | VIRTIO_MMIO_INT_CONFIG)) == 0);
	device_take_interrupt(fuzz);
	if (value & VIRTIO_MMIO_INT_CONFIG)
		PROMISE(fuzz->model.config_possible || fuzz->interrupt_fd < 0 ||
			fuzz->hypervisor_failed);
	else
		PROMISE(!fuzz->model.config_due);
	for (unsigned int i = 0; i < fuzz->queues; i++) {
		struct model_queue *queue = &fuzz->model.queues[i];

		if (!queue->attached)
			continue;
		queue->seen = model_used(fuzz, queue);
		used |= queue->seen != queue->acknowledged;
	}
	if (used && (!model_is_packed(fuzz) || device_has_record(fuzz)))
		PROMISE(value & VIRTIO_MMIO_INT_VRING);
	/* The position of a packed ring is known late if its device was away at the start. */
	if (!used && !model_is_packed(fuzz) && !fuzz->hypervisor_failed)
		PROMISE(!(value & VIRTIO_MMIO_INT_VRING));
}

static void check_read(struct fuzz *fuzz, uint32_t address, uint32_t value)
{
	const struct model *model = &fuzz->model;
	const struct model_queue *queue = selected(fuzz);

	switch (address) {
	case VIRTIO_MMIO_MAGIC_VALUE:
		PROMISE(value == 0x74726976);
		break;
	case VIRTIO_MMIO_VERSION:
		PROMISE(value == 2);
		break;
	case VIRTIO_MMIO_DEVICE_ID:
		PROMISE(value == fuzz->shape.virtio_id);
		break;
	case VIRTIO_MMIO_VENDOR_ID:
	case VIRTIO_MMIO_STATUS:
	case VIRTIO_MMIO_CONFIG_GENERATION:
		break; /* see check_status and check_config */
	case VIRTIO_MMIO_DEVICE_FEATURES:
		PROMISE(value ==
			(model->features_select > 1 ?
				 0 :
				 (uint32_t)(fuzz->visible >> 32 * model->features_select)));
		break;
	case VIRTIO_MMIO_QUEUE_NUM_MAX:
		PROMISE(value == (queue ? fuzz->size_max : 0));
		break;
	case VIRTIO_MMIO_QUEUE_READY:
		PROMISE(value == (queue && queue->ready));
		break;
	case VIRTIO_MMIO_INTERRUPT_STATUS:
		check_interrupts(fuzz, value);
		break;
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH:
		PROMISE(value == UINT32_MAX);
		break;
	default:
		PROMISE(value == 0);
	}
}

/* All register accesses go through this function. */
static uint64_t access_registers(struct fuzz *fuzz, uint32_t offset, uint32_t width, bool write,
				 uint64_t value)
{
	/* Exactly as large as the access, so that sanitizers catch writes beyond it. */
	cleanup_free uint8_t *data = malloc(width);
	const struct bus_access access = {SLOT_ADDRESS + offset, width, write, data};
	bool on_bus = offset + width <= VIRTIO_SLOT_SIZE, config = offset >= VIRTIO_MMIO_CONFIG;
	bool proper = !config && width == 4 && offset % 4 == 0;

	bus_answer(&access, write ? value : UINT64_MAX);
	if (write && proper)
		model_write(fuzz, offset, (uint32_t)value);
	if (write && config && on_bus) {
		fuzz->config_start = offset - VIRTIO_MMIO_CONFIG;
		fuzz->config_end = fuzz->config_start + width;
	}
	bus_access(&fuzz->bus, &access);
	if (write && proper)
		model_written(fuzz, offset, (uint32_t)value);
	if (write)
		return 0;
	value = bus_value(&access);
	if (!on_bus)
		PROMISE(value == UINT64_MAX >> (64 - 8 * width));
	else if (proper)
		check_read(fuzz, offset, (uint32_t)value);
	else if (!config)
		PROMISE(value == 0);
	return value;
}

static uint32_t get(struct fuzz *fuzz, uint32_t offset)
{
	return (uint32_t)access_registers(fuzz, offset, 4, false, 0);
}

static void put(struct fuzz *fuzz, uint32_t offset, uint32_t value)
{
	access_registers(fuzz, offset, 4, true, value);
}

static void put_address(struct fuzz *fuzz, uint32_t low, uint64_t address)
{
	put(fuzz, low, (uint32_t)address);
	put(fuzz, low + 4, (uint32_t)(address >> 32));
}

/* What the driver may expect at any time */

static bool rings_are_right(const struct fuzz *fuzz)
{
	for (unsigned int i = 0; i < fuzz->queues; i++)
		if (fuzz->model.queues[i].ready && !model_is_right(fuzz, &fuzz->model.queues[i]))
			return false;
	return true;
}

static void check_status(struct fuzz *fuzz)
{
	const uint32_t features = VIRTIO_CONFIG_S_FEATURES_OK, on = VIRTIO_CONFIG_S_DRIVER_OK;
	const uint32_t broken = VIRTIO_CONFIG_S_NEEDS_RESET;
	uint32_t before = fuzz->model.status, status = get(fuzz, VIRTIO_MMIO_STATUS);
	uint32_t gained = status & ~before;
	bool wrong = false;

	/* Only the driver sets bits; all that it sets are kept. */
	PROMISE((before & ~status) == 0);
	PROMISE((gained & ~broken & ~fuzz->written) == 0);
	PROMISE((fuzz->written & ~status & ~features & ~broken) == 0);
	if (gained & features)
		PROMISE(features_are_right(fuzz));
	else if (fuzz->written & ~status & features)
		PROMISE(!features_are_right(fuzz) || fuzz->refused);
	/* DEVICE_NEEDS_RESET has a cause. */
	if (gained & on)
		wrong = !(status & features) || !rings_are_right(fuzz);
	else if (fuzz->made_ready && (status & STATUS_OK) == STATUS_OK && !(before & broken))
		wrong = !rings_are_right(fuzz);
	if (wrong)
		PROMISE(status & broken);
	if (gained & broken) {
		PROMISE(wrong || fuzz->refused || fuzz->needs_reset);
		PROMISE(!(status & on) || fuzz->edge || fuzz->interrupt_fd < 0);
		fuzz->model.config_due = status & on;
	}
	fuzz->model.status = status;
}

/* An access beyond the end reads nothing, so read in pieces that no type's end splits. */
static void read_config(struct fuzz *fuzz, uint8_t config[CONFIG_SEEN])
{
	bool network = fuzz->shape.virtio_id == VIRTIO_ID_NET;
	unsigned int seen = fuzz->shape.virtio_id == VIRTIO_ID_BLOCK ? CONFIG_SEEN : 16;
	unsigned int width = network ? 2 : 4;

	memset(config, 0, CONFIG_SEEN);
	for (unsigned int i = 0; i < seen; i += width)
		bus_access(&fuzz->bus, &(struct bus_access){SLOT_ADDRESS + VIRTIO_MMIO_CONFIG + i,
							    width, false, config + i});
}

/*
 * A driver that reads twice and finds the same generation has read one version (VIRTIO 1.4, 2.5).
 */
static void check_config(struct fuzz *fuzz)
{
	uint32_t generation, before;
	uint8_t config[CONFIG_SEEN];
	bool changed = false;

	do {
		before = get(fuzz, VIRTIO_MMIO_CONFIG_GENERATION);
		read_config(fuzz, config);
		generation = get(fuzz, VIRTIO_MMIO_CONFIG_GENERATION);
	} while (generation != before);
	for (unsigned int i = 0; i < CONFIG_SEEN; i++)
		if (i < fuzz->config_start || i >= fuzz->config_end)
			changed |= config[i] != fuzz->config_seen[i];
	/* A device that rejects a call may shorten its configuration, which is its own fault. */
	if (fuzz->notified || (changed && !fuzz->refused))
		PROMISE(generation != fuzz->generation);
	/* A change without notification, found when the driver read, needs no interrupt. */
	if (generation != fuzz->generation && (fuzz->model.status & VIRTIO_CONFIG_S_DRIVER_OK)) {
		PROMISE(fuzz->edge || fuzz->interrupt_fd < 0 || !fuzz->notified);
		fuzz->model.config_due |= fuzz->notified ||
					  get(fuzz, VIRTIO_MMIO_INTERRUPT_STATUS) &
						  VIRTIO_MMIO_INT_CONFIG;
	}
	fuzz->generation = generation;
	memcpy(fuzz->config_seen, config, sizeof(config));
}

static void check_queues(const struct fuzz *fuzz)
{
	uint32_t status = fuzz->model.status;
	bool on = (status & STATUS_OK) == STATUS_OK;
	bool good = on && !(status & VIRTIO_CONFIG_S_NEEDS_RESET);
	bool alive = device_is_alive(fuzz);
	unsigned int attached = 0;

	for (unsigned int i = 0; i < fuzz->queues; i++) {
		const struct model_queue *queue = &fuzz->model.queues[i];

		if (queue->attached)
			PROMISE(on && queue->ready);
		if (good && queue->ready)
			PROMISE(queue->attached);
		attached += queue->attached;
		if (!alive)
			continue;
		if (queue->attached)
			PROMISE(fuzz->client->running[i] &&
				fuzz->client->rings[i].kick_fd == queue->kick_fd);
		if (fuzz->client->running[i])
			PROMISE(queue->ready);
	}
	PROMISE(fuzz->interrupt_fd >= 0 || !attached || fuzz->hypervisor_failed);
}

static void check(struct fuzz *fuzz)
{
	uint8_t config[CONFIG_SEEN];

	/* Delivers the notices that have come, of changes and of a device that needs a reset. */
	read_config(fuzz, config);
	device_take_interrupt(fuzz);
	check_status(fuzz);
	check_config(fuzz);
	check_queues(fuzz);
	get(fuzz, VIRTIO_MMIO_QUEUE_READY);
	get(fuzz, VIRTIO_MMIO_DEVICE_FEATURES);
	fuzz->refused = fuzz->notified = fuzz->needs_reset = fuzz->edge = fuzz->made_ready = false;
	fuzz->written = 0;
	fuzz->config_start = fuzz->config_end = 0;
}

/* What happens */

/* The process is back: the monitor finds it. */
static void come_back(struct fuzz *fuzz)
{
	fuzz->away = false;
	for (int i = 0; i < CONNECT_MS / 10 && !fuzz->watched; i++)
		PROMISE(event_loop_turn(&fuzz->loop, 10) >= 0);
	PROMISE(fuzz->watched);
}

static void turn(struct fuzz *fuzz)
{
	for (int i = 0; i < TURNS_MAX && event_loop_turn(&fuzz->loop, 0) > 0; i++)
		;
	if (!fuzz->client && !fuzz->away)
		come_back(fuzz);
}

static void negotiate(struct fuzz *fuzz, uint64_t features)
{
	uint32_t status = VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER;

	put(fuzz, VIRTIO_MMIO_STATUS, 0);
	check(fuzz);
	put(fuzz, VIRTIO_MMIO_STATUS, status);
	put(fuzz, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	put(fuzz, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)features);
	put(fuzz, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	put(fuzz, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32));
	put(fuzz, VIRTIO_MMIO_STATUS, status | VIRTIO_CONFIG_S_FEATURES_OK);
}

static void set_up_queue(struct fuzz *fuzz, unsigned int index, uint32_t size)
{
	uint64_t ring = RING_START + index % 16 * RING_STRIDE + (index & 16 ? SECOND_RANGE : 0);

	put(fuzz, VIRTIO_MMIO_QUEUE_SEL, index);
	/* A queue that is ready is not changed. */
	if (get(fuzz, VIRTIO_MMIO_QUEUE_READY))
		return;
	memset(model_host(fuzz, ring), 0, RING_STRIDE);
	put(fuzz, VIRTIO_MMIO_QUEUE_NUM, size);
	put_address(fuzz, VIRTIO_MMIO_QUEUE_DESC_LOW, ring);
	put_address(fuzz, VIRTIO_MMIO_QUEUE_AVAIL_LOW, ring + 0x1000);
	put_address(fuzz, VIRTIO_MMIO_QUEUE_USED_LOW, ring + 0x2000);
	put(fuzz, VIRTIO_MMIO_QUEUE_READY, 1);
}

static void go_away(struct fuzz *fuzz, bool stay_away)
{
	if (!fuzz->client)
		return;
	fuzz->away = stay_away;
	fuzz->client->broken = true;
	shutdown(fuzz->client->peer, SHUT_RDWR);
	turn(fuzz);
}

/* Its state is saved, and it ends; or something fails, and it ends nevertheless. */
static void replace(struct fuzz *fuzz, bool stay_away)
{
	virtio_mmio_release(fuzz->transport, fuzz->attachments);
	for (int i = 0; i < TURNS_MAX && event_loop_turn(&fuzz->loop, 0) > 0; i++)
		;
	go_away(fuzz, stay_away);
}

static void restart(struct fuzz *fuzz, bool with_turn)
{
	virtio_mmio_detach(fuzz->transport);
	PROMISE(fuzz->interrupt_fd < 0);
	forget_device(fuzz);
	if (with_turn)
		turn(fuzz);
	virtio_mmio_attach(fuzz->transport, &fuzz->hypervisor);
}

static void take_step(struct fuzz *fuzz, struct input *input)
{
	uint8_t step = take_byte(input), a = take_byte(input), b;
	uint32_t offset;

	switch (step % STEPS) {
	case STEP_WRITE:
		put(fuzz, a % 64 * 4, (uint32_t)take_number(input, 4));
		break;
	case STEP_ACCESS:
		offset = (uint32_t)take_number(input, 2) % VIRTIO_SLOT_SIZE;
		access_registers(fuzz, offset, a % 8 + 1, a & 8, take_number(input, 8));
		break;
	case STEP_NEGOTIATE:
		negotiate(fuzz, fuzz->visible & (feature_sets[a % 8] | (a & 8 ? RING_RESET : 0)));
		break;
	case STEP_QUEUE:
		b = take_byte(input);
		set_up_queue(fuzz, a % (fuzz->queues + 1), b < 9 ? 1u << b : b);
		break;
	case STEP_DRIVER_OK:
		put(fuzz, VIRTIO_MMIO_STATUS, fuzz->model.status | VIRTIO_CONFIG_S_DRIVER_OK);
		break;
	case STEP_USE:
		a %= fuzz->queues;
		b = take_byte(input);
		if (fuzz->model.queues[a].attached && device_is_alive(fuzz))
			device_use(fuzz, a, b % 64 + 1);
		break;
	case STEP_CONFIG:
		fuzz->config[a] = take_byte(input);
		break;
	case STEP_NOTIFY:
		device_notify(fuzz, a & 1);
		break;
	case STEP_REFUSE:
		fuzz->refuse_errno = a & 1 ? EPROTO : EIO;
		fuzz->refuse_late = a & 2;
		*(a & 4 ? &fuzz->next_refuse_after : &fuzz->refuse_after) = take_byte(input) % 32;
		break;
	case STEP_HYPERVISOR:
		fuzz->fail_after = a % 8;
		break;
	case STEP_GONE:
		go_away(fuzz, a & 1);
		break;
	case STEP_BACK:
		if (!fuzz->client)
			come_back(fuzz);
		break;
	case STEP_TURN:
		turn(fuzz);
		break;
	case STEP_INTERRUPT:
		get(fuzz, VIRTIO_MMIO_INTERRUPT_STATUS);
		put(fuzz, VIRTIO_MMIO_INTERRUPT_ACK, a);
		break;
	case STEP_RESTART:
		restart(fuzz, a & 1);
		break;
	case STEP_RELEASE:
		replace(fuzz, a & 1);
		break;
	}
	check(fuzz);
}

/* After a reset, a correct driver must have a working device, whatever happened before. */
static void check_recovery(struct fuzz *fuzz)
{
	fuzz->away = false;
	fuzz->refuse_after = fuzz->next_refuse_after = fuzz->fail_after = 0;
	turn(fuzz);
	negotiate(fuzz, FEATURE(VIRTIO_F_VERSION_1));
	check(fuzz);
	for (unsigned int i = 0; i < fuzz->queues; i++)
		set_up_queue(fuzz, i, 16);
	put(fuzz, VIRTIO_MMIO_STATUS, fuzz->model.status | VIRTIO_CONFIG_S_DRIVER_OK);
	check(fuzz);
	PROMISE(get(fuzz, VIRTIO_MMIO_STATUS) == 15);
	for (unsigned int i = 0; i < fuzz->queues; i++) {
		get(fuzz, VIRTIO_MMIO_INTERRUPT_STATUS);
		put(fuzz, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
		PROMISE(!(get(fuzz, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_VRING));
		device_use(fuzz, i, 1);
		PROMISE(get(fuzz, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_VRING);
	}
}

/* Checks the offered features; some must never be offered (VIRTIO 1.4, 6). */
static void check_features(struct fuzz *fuzz)
{
	static const uint8_t never[] = {24, 26, 27, 30, 31, 33, 36, 37, 38, 39, 41};

	for (uint32_t half = 0; half < 2; half++) {
		uint32_t value = 0;

		put(fuzz, VIRTIO_MMIO_DEVICE_FEATURES_SEL, half);
		bus_access(&fuzz->bus,
			   &(struct bus_access){SLOT_ADDRESS + VIRTIO_MMIO_DEVICE_FEATURES, 4,
						false, (uint8_t *)&value});
		set_half(&fuzz->visible, half, value);
	}
	PROMISE((fuzz->visible & ~fuzz->offered) == (RING_RESET & ~fuzz->offered));
	for (size_t i = 0; i < sizeof(never); i++)
		PROMISE(!(fuzz->visible & FEATURE(never[i])));
	/* Only the record tells where a dead process left a packed ring. */
	if (!(fuzz->protocol & FEATURE(VHOST_PROTOCOL_INFLIGHT_SHMFD)))
		PROMISE(!(fuzz->visible & FEATURE(VIRTIO_F_RING_PACKED)));
	put(fuzz, VIRTIO_MMIO_STATUS, 0);
	fuzz->generation = get(fuzz, VIRTIO_MMIO_CONFIG_GENERATION);
	read_config(fuzz, fuzz->config_seen);
	check(fuzz);
}

static void make_memory(void)
{
	const struct memory_range ranges[] = {{0, RANGE_BYTES}, {SECOND_RANGE, RANGE_BYTES}};

	log_set_level(LOG_ERROR);
	PROMISE(monitor_memory_open(&memory, ranges, 2, false, NULL) == 0);
}

/* The number that the next descriptor gets: it is higher if one was left open. */
static int next_fd(void)
{
	int fd = dup(memory.fd);

	close(fd);
	return fd;
}

/* The supervisor ends a process that the monitor gave up. */
static void end_process(void *context, const char *name, enum remote_report report, const char *why)
{
	struct fuzz *fuzz = context;

	fuzz->attachments += report == REMOTE_ATTACHED;
	if (report == REMOTE_GIVEN_UP && fuzz->client)
		shutdown(fuzz->client->peer, SHUT_RDWR);
}

/* A process that was ended does not stay. */
static void process_stays(void *context, const char *name)
{
	abort();
}

/* The shape of an AVP device type, or one for a type that AVP does not have. */
static struct device_shape find_shape(uint32_t virtio_id)
{
	for_each_device_type(type)
		if (type->shape.virtio_id == virtio_id)
			return type->shape;
	return (struct device_shape){.virtio_id = virtio_id, .queues = 1, .queue_size_max = 256};
}

static bool open_device(struct fuzz *fuzz)
{
	const struct transport_setup setup = {
		.name = "fuzz",
		.shape = &fuzz->shape,
		.peer = {.fd = -1},
		.memory = &memory,
		.loop = &fuzz->loop,
		.reported = end_process,
		.not_ended = process_stays,
		.context = fuzz,
	};
	unsigned int fault = fuzz->choice.faults & FAULT_OPEN;
	struct error error = {0};
	int result;

	if (fault != 3)
		fuzz->offered = FEATURE(VIRTIO_F_VERSION_1);
	for (unsigned int i = 0; i < 8; i++) {
		if (fuzz->choice.offers[0] & 1 << i)
			fuzz->protocol |= FEATURE(protocol_bits[i]);
		if (fuzz->choice.offers[1] & 1 << i)
			fuzz->offered |= FEATURE(feature_bits[i]);
	}
	fuzz->protocol |= FEATURE(VHOST_PROTOCOL_DEVICE_STATE);
	fuzz->offered |= fuzz->choice.offers[2];
	fuzz->shape = find_shape(types[fuzz->choice.type % TYPES]);
	fuzz->size_max = fuzz->shape.queue_size_max;
	fuzz->queues = device_queue_count(fuzz);
	result = virtio_mmio_open(&fuzz->transport, &setup,
				  (struct virtio_slot){SLOT_ADDRESS, SLOT_IRQ}, &error);
	PROMISE((result < 0) == (fault != 0));
	PROMISE(result == 0 || (result == -error.code && error.message[0]));
	return result == 0;
}

static void run(struct fuzz *fuzz, struct input *input)
{
	virtio_mmio_attach(fuzz->transport, &fuzz->hypervisor);
	PROMISE(bus_add(&fuzz->bus, virtio_mmio_registers(fuzz->transport), NULL) == 0);
	check_features(fuzz);
	for (unsigned int i = 0; i < STEPS_MAX && input->left > 0; i++)
		take_step(fuzz, input);
	/* Half of the inputs that end without the device process do not wait for it. */
	if (fuzz->client || fuzz->choice.faults & FAULT_AT_END)
		check_recovery(fuzz);
	virtio_mmio_detach(fuzz->transport);
	PROMISE(fuzz->interrupt_fd < 0);
	forget_device(fuzz);
	virtio_mmio_hang_up(fuzz->transport);
	virtio_mmio_free(fuzz->transport);
	PROMISE(!fuzz->client);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz *fuzz;
	struct input input;
	int first_fd;

	if (size < sizeof(fuzz->choice))
		return 0;
	if (!memory.host)
		make_memory();
	memset(memory.host, 0, memory.size);
	first_fd = next_fd();
	fuzz = calloc(1, sizeof(*fuzz));
	memcpy(&fuzz->choice, data, sizeof(fuzz->choice));
	input = (struct input){data + sizeof(fuzz->choice), size - sizeof(fuzz->choice)};
	fuzz->hypervisor.ops = &device_hypervisor;
	fuzz->interrupt_fd = -1;
	fuzz->bus.name = "address";
	PROMISE(event_loop_init(&fuzz->loop, 0, NULL) == 0);
	fuzz->memory = &memory;
	device_choose(fuzz);

	if (open_device(fuzz))
		run(fuzz, &input);
	event_loop_close(&fuzz->loop);
	free(fuzz);
	PROMISE(next_fd() == first_fd);
	return 0;
}
