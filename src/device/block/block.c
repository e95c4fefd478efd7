// SPDX-License-Identifier: BSD-3-Clause
/* The block device (VIRTIO 1.4, 5.2). */
#include "device/block/block.h"

#include <errno.h>
#include <string.h>

#include "virtio/container_of.h"
#include "virtio/device_state.h"
#include "virtio/feature.h"

/*
 * In a batch the driver is notified after the first request, after every NOTIFY_AFTER more, and at
 * the end.
 */
#define NOTIFY_AFTER 32

_Static_assert(sizeof(struct virtio_blk_outhdr) == 16, "request header");
_Static_assert(sizeof(struct virtio_blk_discard_write_zeroes) == 16, "discard range");

static struct block_device *to_block(struct virtio_device *device)
{
	return container_of(device, struct block_device, device);
}

static struct block_request *to_request(struct block_operation *operation)
{
	return container_of(operation, struct block_request, operation);
}

/* Completes a request for the driver. */
static void finish(struct block_request *block_request, uint8_t status)
{
	struct virtio_request *request = block_request->request;

	*block_request->status = status;
	/*
	 * The used length counts from the first writable byte without a gap (VIRTIO 1.4, 2.7.8.2),
	 * so the status after the data counts only when all the data was written.
	 */
	if (request->writable.left == 0)
		request->written++;
	virtqueue_push(request->queue, request);
}

static void finish_operation(struct block_request *block_request, int result)
{
	struct virtio_request *request = block_request->request;

	/* The next process may find room. */
	if ((result == -ENOSPC || result == -EDQUOT) && request->queue->leaving)
		return;
	if (result == 0 && block_request->operation.action == BLOCK_READ) {
		request->written = (uint32_t)block_request->operation.length;
		request->writable.left = 0;
	}
	finish(block_request, result == 0 ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR);
}

/* The next range of a discard or write zeroes request that is not empty; false: none is left. */
static bool next_range(struct block_request *block_request)
{
	struct block_operation *operation = &block_request->operation;

	while (block_request->range_next < block_request->range_count) {
		const struct virtio_blk_discard_write_zeroes *range =
			&block_request->ranges[block_request->range_next++];

		operation->offset = range->sector * BLOCK_SECTOR;
		operation->length = (uint64_t)range->num_sectors * BLOCK_SECTOR;
		operation->may_unmap = range->flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
		if (operation->length > 0)
			return true;
	}
	return false;
}

/*
 * Submits the operation, and after it those of the further ranges for as long as the backend
 * completes them at once. A loop rather than recursion: the driver chooses how many there are.
 */
static void submit(struct block_request *block_request)
{
	struct block_backend *backend = block_request->block->backend;

	do {
		block_request->submitting = true;
		block_request->completed = false;
		backend->ops->submit(backend, &block_request->operation);
		block_request->submitting = false;
		if (!block_request->completed)
			return;
	} while (block_request->operation.result == 0 && next_range(block_request));
	finish_operation(block_request, block_request->operation.result);
}

static void operation_complete(struct block_operation *operation, int result)
{
	struct block_request *block_request = to_request(operation);
	struct block_backend *backend = block_request->block->backend;

	operation->result = result;
	if (block_request->submitting) {
		block_request->completed = true;
		return;
	}
	if (result == 0 && next_range(block_request)) {
		submit(block_request);
		backend->ops->commit(backend);
		return;
	}
	finish_operation(block_request, result);
}

/* Whether a range lies within the disk; false if sectors or bytes wrap. */
static bool within_capacity(const struct block_device *block, uint64_t sector, uint64_t bytes)
{
	uint64_t sectors = block->settings.capacity / BLOCK_SECTOR;

	return sector <= sectors && bytes / BLOCK_SECTOR <= sectors - sector;
}

static void start_transfer(struct block_request *block_request, enum block_action action,
			   uint64_t sector)
{
	struct block_operation *operation = &block_request->operation;
	struct block_device *block = block_request->block;
	struct virtio_request *request = block_request->request;
	const struct virtio_stream *data = action == BLOCK_READ ? &request->writable :
								  &request->readable;

	/* VIRTIO 1.4, 5.2.6.2: a write to a read-only disk fails and writes nothing. */
	if (action == BLOCK_WRITE && block->settings.readonly) {
		finish(block_request, VIRTIO_BLK_S_IOERR);
		return;
	}
	/* VIRTIO 1.4, 5.2.6.1: whole sectors within capacity. */
	if (data->left % BLOCK_SECTOR != 0 || !within_capacity(block, sector, data->left)) {
		finish(block_request, VIRTIO_BLK_S_IOERR);
		return;
	}
	operation->action = action;
	operation->durable = action == BLOCK_WRITE && !block->config.wce;
	operation->offset = sector * BLOCK_SECTOR;
	operation->length = data->left;
	operation->data = *data;
	if (operation->length == 0) {
		finish_operation(block_request, 0);
		return;
	}
	submit(block_request);
}

static void start_flush(struct block_request *block_request)
{
	block_request->operation.action = BLOCK_FLUSH;
	submit(block_request);
}

/* Reads and checks the ranges of a discard or write zeroes request: 0 or the status byte. */
static uint8_t take_ranges(struct block_request *block_request, uint32_t allowed_flags)
{
	const size_t size = sizeof(block_request->ranges[0]);
	struct virtio_request *request = block_request->request;
	uint64_t bytes = request->readable.left;

	/* VIRTIO 1.4, 5.2.6.1: one or more whole ranges, at most as many as configuration says. */
	if (bytes == 0 || bytes % size != 0 || bytes > BLOCK_RANGES_MAX * size)
		return VIRTIO_BLK_S_IOERR;
	request_read(request, block_request->ranges, bytes);
	block_request->range_count = (uint8_t)(bytes / size);
	for (uint8_t i = 0; i < block_request->range_count; i++)
		/* VIRTIO 1.4, 5.2.6.2: unknown flags, and unmap in a discard. */
		if (block_request->ranges[i].flags & ~allowed_flags)
			return VIRTIO_BLK_S_UNSUPP;
	for (uint8_t i = 0; i < block_request->range_count; i++) {
		const struct virtio_blk_discard_write_zeroes *range = &block_request->ranges[i];

		if (range->num_sectors > BLOCK_RANGE_SECTORS_MAX ||
		    !within_capacity(block_request->block, range->sector,
				     (uint64_t)range->num_sectors * BLOCK_SECTOR))
			return VIRTIO_BLK_S_IOERR;
	}
	return VIRTIO_BLK_S_OK;
}

static void start_ranges(struct block_request *block_request, enum block_action action)
{
	struct block_operation *operation = &block_request->operation;
	struct block_device *block = block_request->block;
	bool zero = action == BLOCK_ZERO;
	uint8_t status = VIRTIO_BLK_S_UNSUPP;

	/* A disk that is read-only, or cannot discard, does not offer the features. */
	if (virtio_has_feature(&block->device,
			       zero ? VIRTIO_BLK_F_WRITE_ZEROES : VIRTIO_BLK_F_DISCARD))
		status = take_ranges(block_request, zero ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0);
	if (status != VIRTIO_BLK_S_OK) {
		finish(block_request, status);
		return;
	}
	operation->action = action;
	operation->durable = zero && !block->config.wce;
	if (next_range(block_request))
		submit(block_request);
	else
		finish_operation(block_request, 0);
}

static void get_id(struct block_request *block_request)
{
	struct block_device *block = block_request->block;

	/* VIRTIO 1.4, 5.2.6.1: the data is 20 bytes long. */
	if (block_request->request->writable.left != VIRTIO_BLK_ID_BYTES) {
		finish(block_request, VIRTIO_BLK_S_IOERR);
		return;
	}
	request_write(block_request->request, block->settings.serial, VIRTIO_BLK_ID_BYTES);
	finish(block_request, VIRTIO_BLK_S_OK);
}

static void start(struct block_device *block, struct virtio_request *request)
{
	struct block_request *block_request =
		&block->requests[(size_t)request->queue->index * block->settings.queue_size_max +
				 request->index];
	struct virtio_blk_outhdr header;

	block_request->block = block;
	block_request->request = request;
	block_request->range_count = block_request->range_next = 0;
	block_request->operation = (struct block_operation){
		.queue = request->queue->index,
		.complete = operation_complete,
	};
	block_request->status = request_take_last_byte(request);
	if (!block_request->status) {
		virtio_device_fault(&block->device, request->queue,
				    "block request without room for a status byte");
		return;
	}
	if (request_read(request, &header, sizeof(header)) != sizeof(header)) {
		finish(block_request, VIRTIO_BLK_S_IOERR);
		return;
	}
	switch (header.type) {
	case VIRTIO_BLK_T_IN:
		start_transfer(block_request, BLOCK_READ, header.sector);
		break;
	case VIRTIO_BLK_T_OUT:
		start_transfer(block_request, BLOCK_WRITE, header.sector);
		break;
	case VIRTIO_BLK_T_FLUSH:
		start_flush(block_request);
		break;
	case VIRTIO_BLK_T_GET_ID:
		get_id(block_request);
		break;
	case VIRTIO_BLK_T_DISCARD:
		start_ranges(block_request, BLOCK_DISCARD);
		break;
	case VIRTIO_BLK_T_WRITE_ZEROES:
		start_ranges(block_request, BLOCK_ZERO);
		break;
	default:
		finish(block_request, VIRTIO_BLK_S_UNSUPP);
	}
}

static void handle(struct virtio_device *device, struct virtqueue *queue)
{
	struct block_device *block = to_block(device);
	struct virtio_request *request;
	uint32_t taken = 0;

	for_each_request(request, queue) {
		start(block, request);
		/* Wake up a driver that sleeps while we continue. */
		if (taken++ % NOTIFY_AFTER == 0)
			virtqueue_notify(queue);
	}
	block->backend->ops->commit(block->backend);
	virtqueue_notify(queue);
}

/* The backend completed operations of any queue. */
static void completed(void *context)
{
	struct block_device *block = context;

	for (uint16_t i = 0; i < block->device.queue_count; i++)
		virtqueue_notify(&block->device.queues[i]);
}

static void quiesce(struct virtio_device *device, struct virtqueue *queue)
{
	struct block_device *block = to_block(device);

	if (queue->in_flight > 0)
		block->backend->ops->drain(block->backend, queue->index);
}

/*
 * Whether completed writes are already durable (VIRTIO 1.4, 5.2.5.2 and 5.2.6.2). A driver that
 * negotiated neither FLUSH nor CONFIG_WCE may rely on that; one with FLUSH alone assumes a
 * write-back cache; one with CONFIG_WCE starts with write-back only if it can also flush. If a
 * transport sets the same features again, the mode stays as the driver set it.
 */
static int features_chosen(struct virtio_device *device)
{
	struct block_device *block = to_block(device);

	if (!virtio_has_feature(device, VIRTIO_BLK_F_FLUSH))
		block->config.wce = 0;
	return 0;
}

static void reset(struct virtio_device *device)
{
	struct block_device *block = to_block(device);

	block->config.wce = !block->settings.write_through;
}

static int config_write(struct virtio_device *device, size_t offset, const void *buffer,
			size_t length)
{
	struct block_device *block = to_block(device);
	uint8_t value = *(const uint8_t *)buffer;

	/* VIRTIO 1.4, 5.2.5: only writeback is writable, if CONFIG_WCE was negotiated. */
	if (!config_is_member(offset, length, struct virtio_blk_config, wce) || value > 1 ||
	    !virtio_has_feature(device, VIRTIO_BLK_F_CONFIG_WCE))
		return -EPERM;
	block->config.wce = value;
	/* A frontend need not send it to the next process, and QEMU does not. */
	virtio_device_keep_state(device);
	return 0;
}

/* The driver set the cache mode, and knows the size of the disk and of its blocks. */
static void save(struct virtio_device *device, struct device_state *state)
{
	const struct block_device *block = to_block(device);

	state_put_u64(state, block->settings.capacity);
	state_put_u32(state, block->settings.logical_block_size);
	state_put_u8(state, block->config.wce);
}

static int load(struct virtio_device *device, struct device_state *state)
{
	struct block_device *block = to_block(device);
	bool write_back;

	state_require(state, state_get_u64(state) == block->settings.capacity);
	state_require(state, state_get_u32(state) == block->settings.logical_block_size);
	write_back = state_get_bool(state);
	/* Where the host wants every write to be durable, and where the driver cannot flush. */
	if (block->settings.write_through || (!virtio_has_feature(device, VIRTIO_BLK_F_FLUSH) &&
					      !virtio_has_feature(device, VIRTIO_BLK_F_CONFIG_WCE)))
		state_require(state, !write_back);
	if (!state_is_complete(state))
		return -EINVAL;
	block->config.wce = write_back;
	return 0;
}

static const struct virtio_device_class block_class = {
	.name = "block",
	.id = 2,
	.config_write = config_write,
	.features_chosen = features_chosen,
	.handle = handle,
	.quiesce = quiesce,
	.reset = reset,
	.state_version = 1,
	.save = save,
	.load = load,
};

/*
 * Segments may be of any size. SeaBIOS before 1.17 computes from a limit for them (SIZE_MAX) how
 * much it may read at once, with the lower 16 bits of the bytes (1.16.0) or sectors; those are 0
 * for many limits.
 */
static uint64_t features(const struct block_settings *settings)
{
	uint64_t bits = FEATURE(VIRTIO_BLK_F_SEG_MAX) | FEATURE(VIRTIO_BLK_F_BLK_SIZE) |
			FEATURE(VIRTIO_BLK_F_TOPOLOGY) | FEATURE(VIRTIO_BLK_F_FLUSH);

	if (settings->queue_count > 1)
		bits |= FEATURE(VIRTIO_BLK_F_MQ);
	if (settings->readonly)
		return bits | FEATURE(VIRTIO_BLK_F_RO);
	bits |= FEATURE(VIRTIO_BLK_F_WRITE_ZEROES);
	if (settings->discard_granularity > 0)
		bits |= FEATURE(VIRTIO_BLK_F_DISCARD);
	if (!settings->write_through)
		bits |= FEATURE(VIRTIO_BLK_F_CONFIG_WCE);
	return bits;
}

/*
 * A request of seg_max segments has two more for its header and status, and no chain may be
 * longer than its queue (VIRTIO 1.4, 2.7.5.3.1). The driver or the frontend may choose a smaller
 * queue than the largest, and QEMU does: 128 entries are its default.
 */
static uint32_t segments_max(const struct block_settings *settings)
{
	uint32_t room = settings->queue_size_max > 2 ? settings->queue_size_max - 2u : 1;

	return room < BLOCK_SEGMENTS_MAX ? room : BLOCK_SEGMENTS_MAX;
}

static void make_config(struct virtio_blk_config *config, const struct block_settings *settings)
{
	uint32_t blocks = settings->physical_block_size / settings->logical_block_size;

	memset(config, 0, sizeof(*config));
	config->capacity = settings->capacity / BLOCK_SECTOR;
	config->seg_max = segments_max(settings);
	config->blk_size = settings->logical_block_size;
	config->physical_block_exp = (uint8_t)__builtin_ctz(blocks);
	config->min_io_size = (uint16_t)blocks;
	config->wce = !settings->write_through;
	config->num_queues = settings->queue_count;
	if (settings->readonly)
		return;
	config->max_write_zeroes_sectors = BLOCK_RANGE_SECTORS_MAX;
	config->max_write_zeroes_seg = BLOCK_RANGES_MAX;
	if (settings->discard_granularity > 0) {
		config->max_discard_sectors = BLOCK_RANGE_SECTORS_MAX;
		config->max_discard_seg = BLOCK_RANGES_MAX;
		config->discard_sector_alignment = settings->discard_granularity / BLOCK_SECTOR;
		/* VIRTIO 1.4, 5.2.6.2: write zeroes may free storage. */
		config->write_zeroes_may_unmap = 1;
	}
}

void block_device_init(struct block_device *block, const struct block_settings *settings,
		       struct block_backend *backend, struct virtqueue *queues,
		       struct block_request *requests)
{
	block->settings = *settings;
	block->backend = backend;
	block->requests = requests;
	backend->completed = completed;
	backend->context = block;
	make_config(&block->config, settings);
	virtio_device_init(&block->device, &block_class, features(settings), &block->config,
			   offsetof(struct virtio_blk_config, unused1) +
				   sizeof(block->config.unused1),
			   queues, settings->queue_count, settings->queue_size_max);
}
