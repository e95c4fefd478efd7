// SPDX-License-Identifier: BSD-3-Clause
/*
 * The block device, driven through the driver side of its queues, on a disk in memory that finishes
 * at once, later, or with an error.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ring.h>
#include <stdlib.h>
#include <string.h>

#include "device/block.h"
#include "device_rig.h"
#include "virtio/inflight.h"

#define BIT(n)	     (UINT64_C(1) << (n))

#define DISK_SECTORS 64
#define DISK_SIZE    (DISK_SECTORS * BLOCK_SECTOR)
#define QUEUE_SIZE   64
#define QUEUES	     2
#define HEADER	     16

struct disk {
	struct block_backend backend;
	uint8_t data[DISK_SIZE];
	bool hold;	/* finish nothing until release */
	bool blank;	/* of any size, and nothing on it */
	int fail;	/* errno of the operations to come; 0: none */
	int fail_after; /* only from that operation on */
	struct block_operation *held[64];
	unsigned int held_count;
	unsigned int reads, writes, durable, flushes, discards, zeroes, unmaps, commits, drains;
};

struct fixture {
	struct disk disk;
	struct block_settings settings;
	struct block_device block;
	struct virtqueue queues[QUEUES];
	struct block_request *requests;
	struct device_rig rig;
};

static struct disk *to_disk(struct block_backend *backend)
{
	return (struct disk *)backend; /* its first member */
}

static void transfer(struct disk *disk, struct block_operation *operation)
{
	uint8_t *at = disk->data + operation->offset;

	assert_int_equal(operation->data.left, operation->length);
	for (uint32_t i = 0; i < operation->data.count; i++) {
		struct virtio_segment *segment = &operation->data.segments[i];

		if (operation->action == BLOCK_READ)
			memcpy(segment->base, at, segment->length);
		else
			memcpy(at, segment->base, segment->length);
		at += segment->length;
	}
	assert_ptr_equal(at, disk->data + operation->offset + operation->length);
}

static void perform(struct disk *disk, struct block_operation *operation)
{
	int result = 0;

	if (disk->fail && disk->fail_after-- <= 0)
		result = -disk->fail;
	if (operation->action != BLOCK_FLUSH && !disk->blank) {
		assert_true(operation->length <= DISK_SIZE);
		assert_true(operation->offset <= DISK_SIZE - operation->length);
	}
	disk->durable += operation->durable;
	switch (operation->action) {
	case BLOCK_READ:
		disk->reads++;
		break;
	case BLOCK_WRITE:
		disk->writes++;
		break;
	case BLOCK_FLUSH:
		disk->flushes++;
		break;
	case BLOCK_DISCARD:
		disk->discards++;
		break;
	case BLOCK_ZERO:
		disk->zeroes++;
		disk->unmaps += operation->may_unmap;
		break;
	}
	if (result == 0 && operation->action <= BLOCK_WRITE && !disk->blank)
		transfer(disk, operation);
	if (result == 0 && operation->action == BLOCK_ZERO)
		memset(disk->data + operation->offset, 0, operation->length);
	operation->complete(operation, result);
}

static void submit(struct block_backend *backend, struct block_operation *operation)
{
	struct disk *disk = to_disk(backend);

	if (!disk->hold) {
		perform(disk, operation);
		return;
	}
	assert_true(disk->held_count < 64);
	disk->held[disk->held_count++] = operation;
}

static void commit(struct block_backend *backend)
{
	to_disk(backend)->commits++;
}

/* Finishes what is held, the last first; operations that follow from it are held in turn. */
static void release(struct disk *disk)
{
	struct block_operation *held[64];
	unsigned int count = disk->held_count;

	memcpy(held, disk->held, sizeof(held));
	disk->held_count = 0;
	while (count > 0)
		perform(disk, held[--count]);
	disk->backend.completed(disk->backend.context);
}

static void drain(struct block_backend *backend, uint16_t queue)
{
	struct disk *disk = to_disk(backend);

	disk->drains++;
	while (disk->held_count > 0)
		release(disk);
}

static const struct block_backend_ops disk_ops = {
	.submit = submit,
	.commit = commit,
	.drain = drain,
};

static void start_sized(struct fixture *f, uint64_t features, uint16_t queue_size)
{
	f->disk.backend.ops = &disk_ops;
	for (size_t i = 0; i < DISK_SIZE; i++)
		f->disk.data[i] = (uint8_t)(i * 7 + i / 512);
	f->requests = calloc(block_request_count(&f->settings), sizeof(*f->requests));
	block_device_init(&f->block, &f->settings, &f->disk.backend, f->queues, f->requests);
	device_rig_start(&f->rig, &f->block.device, features, queue_size);
}

static void start_with(struct fixture *f, uint64_t features)
{
	start_sized(f, features, QUEUE_SIZE);
}

static struct fixture *make(void)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->settings = (struct block_settings){
		.capacity = DISK_SIZE,
		.logical_block_size = 512,
		.physical_block_size = 4096,
		.discard_granularity = 4096,
		.serial = "the serial number 20",
		.queue_count = QUEUES,
		.queue_size_max = QUEUE_SIZE,
	};
	return f;
}

/* All that is offered but the packed ring: the parts of the driver side are chosen by tests. */
static uint64_t offered(const struct fixture *f)
{
	struct block_device probe = {0};
	struct virtqueue queues[QUEUES] = {0};
	struct disk disk = {0};

	block_device_init(&probe, &f->settings, &disk.backend, queues, NULL);
	return probe.device.offered & ~(BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_F_IN_ORDER));
}

static struct fixture *start(void)
{
	struct fixture *f = make();

	start_with(f, offered(f));
	return f;
}

static void stop(struct fixture *f)
{
	device_rig_stop(&f->rig);
	free(f->requests);
	free(f);
}

/* The readable part of a request: header and data. */
struct message {
	uint8_t bytes[HEADER + 65536];
	size_t length;
};

static void compose(struct message *message, uint32_t type, uint64_t sector, const void *data,
		    size_t length)
{
	struct virtio_blk_outhdr header = {.type = type, .sector = sector};

	memcpy(message->bytes, &header, sizeof(header));
	if (length > 0)
		memcpy(message->bytes + sizeof(header), data, length);
	message->length = sizeof(header) + length;
}

/*
 * Makes a request with @in_length writable bytes before the status, cut as said. Returns the status
 * byte; *data (may be NULL) gets the writable part and *written the used length.
 */
static uint8_t exchange(struct fixture *f, const struct message *message, size_t in_length,
			size_t cut, uint8_t **data, uint32_t *written)
{
	uint32_t length;
	uint8_t *in;

	device_rig_clear(&f->rig);
	device_rig_add(&f->rig, 0, message->bytes, message->length, in_length + 1, cut);
	device_rig_kick(&f->rig, 0);
	in = device_rig_at(&f->rig, device_rig_take(&f->rig, 0, &length));
	if (data)
		*data = in;
	if (written)
		*written = length;
	return in[in_length];
}

static uint8_t request(struct fixture *f, uint32_t type, uint64_t sector, const void *out,
		       size_t out_length, size_t in_length)
{
	struct message message;

	compose(&message, type, sector, out, out_length);
	return exchange(f, &message, in_length, 4096, NULL, NULL);
}

static void test_configuration(void **state)
{
	struct fixture *f = start();
	struct virtio_blk_config config = {0};
	uint8_t padding;

	(void)state;
	virtio_device_config_read(&f->block.device, 0, &config, sizeof(config));
	assert_int_equal(config.capacity, DISK_SECTORS);
	assert_int_equal(config.blk_size, 512);
	assert_int_equal(config.physical_block_exp, 3);
	assert_int_equal(config.alignment_offset, 0);
	assert_int_equal(config.num_queues, QUEUES);
	assert_int_equal(config.wce, 1);
	assert_int_equal(config.seg_max, QUEUE_SIZE - 2);
	assert_int_equal(config.max_discard_seg, BLOCK_RANGES_MAX);
	assert_int_equal(config.discard_sector_alignment, 8);
	assert_int_equal(config.write_zeroes_may_unmap, 1);
	virtio_device_config_read(&f->block.device, offsetof(struct virtio_blk_config, wce) + 1,
				  &padding, 1);
	assert_int_equal(padding, 0);
	/* Nothing but writeback can be written. */
	assert_int_equal(virtio_device_config_write(&f->block.device, 0, &config, 8), -EPERM);
	stop(f);
}

static void test_features_follow_settings(void **state)
{
	struct fixture *f = make();
	uint64_t features = offered(f);

	(void)state;
	assert_true(features & BIT(VIRTIO_BLK_F_FLUSH));
	assert_true(features & BIT(VIRTIO_BLK_F_CONFIG_WCE));
	assert_true(features & BIT(VIRTIO_BLK_F_MQ));
	assert_true(features & BIT(VIRTIO_BLK_F_DISCARD));
	assert_false(features & BIT(VIRTIO_BLK_F_RO));
	f->settings.queue_count = 1;
	f->settings.discard_granularity = 0;
	f->settings.write_through = true;
	features = offered(f);
	assert_false(features & BIT(VIRTIO_BLK_F_MQ));
	assert_false(features & BIT(VIRTIO_BLK_F_DISCARD));
	assert_true(features & BIT(VIRTIO_BLK_F_WRITE_ZEROES));
	assert_true(features & BIT(VIRTIO_BLK_F_FLUSH));
	assert_false(features & BIT(VIRTIO_BLK_F_CONFIG_WCE));
	f->settings.readonly = true;
	features = offered(f);
	assert_true(features & BIT(VIRTIO_BLK_F_RO));
	assert_false(features & BIT(VIRTIO_BLK_F_WRITE_ZEROES));
	free(f);
}

/* The longest chain that seg_max allows must fit the smallest queue that is likely. */
static void test_segments_follow_queue_size(void **state)
{
	static const struct {
		uint16_t queue_size;
		uint32_t seg_max;
	} cases[] = {{2, 1}, {4, 2}, {64, 62}, {128, 126}, {256, 126}, {1024, 126}};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture *f = make();

		f->settings.queue_size_max = cases[i].queue_size;
		block_device_init(&f->block, &f->settings, &f->disk.backend, f->queues, NULL);
		assert_int_equal(f->block.config.seg_max, cases[i].seg_max);
		free(f);
	}
}

static void test_read_and_write(void **state)
{
	struct fixture *f = start();
	uint8_t pattern[1024], *data;
	struct message message;
	uint32_t written;

	(void)state;
	memset(pattern, 0x5a, sizeof(pattern));
	assert_int_equal(request(f, VIRTIO_BLK_T_OUT, 3, pattern, sizeof(pattern), 0),
			 VIRTIO_BLK_S_OK);
	assert_memory_equal(f->disk.data + 3 * 512, pattern, sizeof(pattern));
	compose(&message, VIRTIO_BLK_T_IN, 2, NULL, 0);
	assert_int_equal(exchange(f, &message, 2048, 4096, &data, &written), VIRTIO_BLK_S_OK);
	assert_int_equal(written, 2049);
	assert_memory_equal(data, f->disk.data + 1024, 2048);
	assert_int_equal(f->disk.durable, 0);
	assert_int_equal(f->disk.commits, 2);
	stop(f);
}

/* VIRTIO 1.4, 2.7.4: how the driver cuts a request makes no difference. */
static void test_any_framing(void **state)
{
	static const uint64_t rings[] = {
		0,
		BIT(VIRTIO_RING_F_INDIRECT_DESC),
		BIT(VIRTIO_F_RING_PACKED),
		BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_RING_F_INDIRECT_DESC),
		BIT(VIRTIO_F_RING_PACKED) | BIT(VIRTIO_F_IN_ORDER),
		BIT(VIRTIO_RING_F_EVENT_IDX) | BIT(VIRTIO_F_IN_ORDER),
	};
	/* Header in single bytes with a whole chain of them; status alone; status with data. */
	static const size_t cuts[] = {1, 3, 10, 16, 17, 511, 512, 513, 65536};

	(void)state;
	for (size_t i = 0; i < sizeof(rings) / sizeof(rings[0]); i++) {
		struct fixture *f = make();

		start_with(f, BIT(VIRTIO_BLK_F_FLUSH) | rings[i]);
		for (size_t j = 0; j < sizeof(cuts) / sizeof(cuts[0]); j++) {
			/* A chain is at most as long as the queue: small cuts get few bytes. */
			size_t length = cuts[j] < 10 ? 0 : 512;
			struct message message;
			uint8_t out[512], *data;
			uint32_t written;

			memset(out, (int)(i * 16 + j), sizeof(out));
			if (cuts[j] == 1) {
				compose(&message, VIRTIO_BLK_T_GET_ID, 0, NULL, 0);
				assert_int_equal(exchange(f, &message, 20, 1, &data, &written),
						 VIRTIO_BLK_S_OK);
				assert_memory_equal(data, f->settings.serial, 20);
				assert_int_equal(written, 21);
			}
			compose(&message, VIRTIO_BLK_T_OUT, j, out, length);
			assert_int_equal(exchange(f, &message, 0, cuts[j], NULL, &written),
					 VIRTIO_BLK_S_OK);
			assert_int_equal(written, 1);
			assert_memory_equal(f->disk.data + j * 512, out, length);
			compose(&message, VIRTIO_BLK_T_IN, j, NULL, 0);
			assert_int_equal(exchange(f, &message, length, cuts[j], &data, &written),
					 VIRTIO_BLK_S_OK);
			assert_int_equal(written, length + 1);
			assert_memory_equal(data, out, length);
		}
		stop(f);
	}
}

static void test_out_of_range(void **state)
{
	static const struct {
		uint64_t sector;
		size_t length;
	} cases[] = {
		{DISK_SECTORS, 512},	   {DISK_SECTORS - 1, 1024},	{UINT64_MAX, 512},
		{UINT64_MAX / 512, 512},   {UINT64_MAX / 512 + 1, 512}, {UINT64_MAX - 1, 1536},
		{(uint64_t)1 << 55, 1024}, {DISK_SECTORS + 1, 0},
	};
	struct fixture *f = start();
	uint8_t out[2048] = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct message message;
		uint32_t written;

		assert_int_equal(request(f, VIRTIO_BLK_T_OUT, cases[i].sector, out, cases[i].length,
					 0),
				 VIRTIO_BLK_S_IOERR);
		compose(&message, VIRTIO_BLK_T_IN, cases[i].sector, NULL, 0);
		assert_int_equal(exchange(f, &message, cases[i].length, 4096, NULL, &written),
				 VIRTIO_BLK_S_IOERR);
		/* The data was not written, so the length must not reach beyond it. */
		assert_int_equal(written, cases[i].length == 0 ? 1 : 0);
	}
	/* The last sector is there. */
	assert_int_equal(request(f, VIRTIO_BLK_T_OUT, DISK_SECTORS - 1, out, 512, 0),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(f->disk.writes, 1);
	assert_int_equal(f->disk.reads, 0);
	assert_int_equal(f->block.device.faults, 0);
	stop(f);
}

static void test_unaligned(void **state)
{
	struct fixture *f = start();
	uint8_t out[1024] = {0};

	(void)state;
	assert_int_equal(request(f, VIRTIO_BLK_T_OUT, 0, out, 511, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(f, VIRTIO_BLK_T_OUT, 0, out, 513, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 0, NULL, 0, 100), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(f, VIRTIO_BLK_T_OUT, 0, out, 0, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(f->disk.writes, 0);
	stop(f);
}

/*
 * seg_max and size_max bind a driver that negotiated both: with one of them alone there is no
 * bound on the product. Firmware negotiates neither.
 */
static void test_limits_that_were_negotiated(void **state)
{
	const uint64_t size = BIT(VIRTIO_BLK_F_SIZE_MAX), segments = BIT(VIRTIO_BLK_F_SEG_MAX);
	const uint64_t cases[] = {0, size, segments, size | segments};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture *f = make();
		bool bound = cases[i] == (size | segments);
		/* One segment of 1 MiB is what two entries have room for. */
		const size_t fits = BLOCK_SEGMENT_MAX, more = BLOCK_SEGMENT_MAX + 512;
		struct message message;
		uint32_t written;

		f->settings.queue_size_max = 2;
		f->settings.capacity = 4 * BLOCK_SEGMENT_MAX;
		f->disk.blank = true;
		start_sized(f, (offered(f) & ~(size | segments)) | cases[i], 2);
		compose(&message, VIRTIO_BLK_T_IN, 0, NULL, 0);
		assert_int_equal(exchange(f, &message, fits, 2 * more, NULL, &written),
				 VIRTIO_BLK_S_OK);
		assert_int_equal(written, fits + 1);
		assert_int_equal(exchange(f, &message, more, 2 * more, NULL, &written),
				 bound ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK);
		assert_int_equal(written, bound ? 0 : more + 1);
		/* The disk's end still holds. */
		compose(&message, VIRTIO_BLK_T_IN, f->settings.capacity / 512 - 1, NULL, 0);
		assert_int_equal(exchange(f, &message, fits, 2 * more, NULL, NULL),
				 VIRTIO_BLK_S_IOERR);
		stop(f);
	}
}

static void test_short_header(void **state)
{
	struct fixture *f = start();
	struct message message;

	(void)state;
	compose(&message, VIRTIO_BLK_T_IN, 0, NULL, 0);
	for (message.length = 1; message.length < HEADER; message.length++)
		assert_int_equal(exchange(f, &message, 512, 4096, NULL, NULL), VIRTIO_BLK_S_IOERR);
	stop(f);
}

static void test_no_room_for_status(void **state)
{
	struct fixture *f = start();
	struct message message;

	(void)state;
	compose(&message, VIRTIO_BLK_T_FLUSH, 0, NULL, 0);
	device_rig_add(&f->rig, 0, message.bytes, message.length, 0, 4096);
	device_rig_kick(&f->rig, 0);
	assert_false(device_rig_has_used(&f->rig, 0));
	assert_true(f->block.device.status & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(f->rig.reports, 1);
	assert_int_equal(f->rig.config_changes, 1);
	/* Nothing is taken until the reset, on no queue. */
	device_rig_add(&f->rig, 1, message.bytes, message.length, 1, 4096);
	device_rig_kick(&f->rig, 1);
	assert_false(device_rig_has_used(&f->rig, 1));
	assert_int_equal(f->disk.flushes, 0);
	stop(f);
}

static void test_read_only(void **state)
{
	struct fixture *f = make();
	struct virtio_blk_discard_write_zeroes range = {.sector = 0, .num_sectors = 1};
	uint8_t out[512] = {0};
	uint8_t before[DISK_SIZE];

	(void)state;
	f->settings.readonly = true;
	start_with(f, offered(f));
	memcpy(before, f->disk.data, sizeof(before));
	assert_int_equal(request(f, VIRTIO_BLK_T_OUT, 0, out, 512, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(f, VIRTIO_BLK_T_WRITE_ZEROES, 0, &range, sizeof(range), 0),
			 VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(request(f, VIRTIO_BLK_T_DISCARD, 0, &range, sizeof(range), 0),
			 VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(request(f, VIRTIO_BLK_T_IN, 0, NULL, 0, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(request(f, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, 0), VIRTIO_BLK_S_OK);
	assert_memory_equal(before, f->disk.data, sizeof(before));
	stop(f);
}

static void test_get_id(void **state)
{
	struct fixture *f = start();
	struct message message;
	uint32_t written;
	uint8_t *data;

	(void)state;
	compose(&message, VIRTIO_BLK_T_GET_ID, 0, NULL, 0);
	assert_int_equal(exchange(f, &message, 20, 7, &data, &written), VIRTIO_BLK_S_OK);
	assert_memory_equal(data, "the serial number 20", 20);
	assert_int_equal(written, 21);
	assert_int_equal(exchange(f, &message, 19, 4096, NULL, NULL), VIRTIO_BLK_S_IOERR);
	assert_int_equal(exchange(f, &message, 21, 4096, NULL, NULL), VIRTIO_BLK_S_IOERR);
	assert_int_equal(exchange(f, &message, 0, 4096, NULL, NULL), VIRTIO_BLK_S_IOERR);
	stop(f);
}

static void test_unknown_commands(void **state)
{
	static const uint32_t types[] = {2, 3, 5, 7, 10, 14, 15, 99, UINT32_MAX, 0x80000000};
	struct fixture *f = start();

	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		assert_int_equal(request(f, types[i], 0, NULL, 0, 0), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(f->block.device.faults, 0);
	stop(f);
}

static void test_discard_and_write_zeroes(void **state)
{
	struct fixture *f = start();
	struct virtio_blk_discard_write_zeroes ranges[] = {
		{.sector = 1, .num_sectors = 2},
		{.sector = 5, .num_sectors = 0}, /* empty: nothing to do */
		{.sector = DISK_SECTORS - 1, .num_sectors = 1},
	};
	uint8_t zeroes[1024] = {0}, kept[512];

	(void)state;
	memcpy(kept, f->disk.data, 512);
	assert_int_equal(request(f, VIRTIO_BLK_T_WRITE_ZEROES, 0, ranges, sizeof(ranges), 0),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(f->disk.zeroes, 2);
	assert_int_equal(f->disk.unmaps, 0);
	assert_memory_equal(f->disk.data + 512, zeroes, 1024);
	assert_memory_equal(f->disk.data + DISK_SIZE - 512, zeroes, 512);
	assert_memory_equal(f->disk.data, kept, 512);
	assert_int_equal(request(f, VIRTIO_BLK_T_DISCARD, 0, ranges, sizeof(ranges), 0),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(f->disk.discards, 2);
	ranges[0].flags = ranges[2].flags = VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	assert_int_equal(request(f, VIRTIO_BLK_T_WRITE_ZEROES, 0, ranges, sizeof(ranges), 0),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(f->disk.unmaps, 2);
	/* Only empty ranges: done without asking the backend. */
	assert_int_equal(request(f, VIRTIO_BLK_T_DISCARD, 0, &ranges[1], sizeof(ranges[1]), 0),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(f->disk.discards, 2);
	stop(f);
}

static void test_range_errors(void **state)
{
	const uint32_t types[] = {VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES};
	struct fixture *f = start();

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct virtio_blk_discard_write_zeroes many[BLOCK_RANGES_MAX + 1] = {{0}};
		struct virtio_blk_discard_write_zeroes range = {.num_sectors = 1};

		/* None, half of one, and more than max_discard_seg. */
		assert_int_equal(request(f, types[i], 0, NULL, 0, 0), VIRTIO_BLK_S_IOERR);
		assert_int_equal(request(f, types[i], 0, &range, 15, 0), VIRTIO_BLK_S_IOERR);
		assert_int_equal(request(f, types[i], 0, many, 24, 0), VIRTIO_BLK_S_IOERR);
		assert_int_equal(request(f, types[i], 0, many, sizeof(many), 0),
				 VIRTIO_BLK_S_IOERR);
		assert_int_equal(request(f, types[i], 0, many, sizeof(many) - 16, 0),
				 VIRTIO_BLK_S_OK);
		range.sector = DISK_SECTORS;
		assert_int_equal(request(f, types[i], 0, &range, 16, 0), VIRTIO_BLK_S_IOERR);
		range.sector = UINT64_MAX;
		assert_int_equal(request(f, types[i], 0, &range, 16, 0), VIRTIO_BLK_S_IOERR);
		range.sector = UINT64_MAX / 512 + 1;
		assert_int_equal(request(f, types[i], 0, &range, 16, 0), VIRTIO_BLK_S_IOERR);
		range.sector = 0;
		range.num_sectors = BLOCK_RANGE_SECTORS_MAX + 1;
		assert_int_equal(request(f, types[i], 0, &range, 16, 0), VIRTIO_BLK_S_IOERR);
		range.num_sectors = UINT32_MAX;
		assert_int_equal(request(f, types[i], 0, &range, 16, 0), VIRTIO_BLK_S_IOERR);
		/* VIRTIO 1.4, 5.2.6.2: unknown flags are not supported, whatever else is wrong. */
		range.num_sectors = 1;
		range.flags = 2;
		assert_int_equal(request(f, types[i], 0, &range, 16, 0), VIRTIO_BLK_S_UNSUPP);
		range.flags = UINT32_MAX;
		assert_int_equal(request(f, types[i], 0, &range, 16, 0), VIRTIO_BLK_S_UNSUPP);
		range.flags = VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
		assert_int_equal(request(f, types[i], 0, &range, 16, 0),
				 i == 0 ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_OK);
	}
	assert_int_equal(f->disk.discards, 0);
	stop(f);
}

static void test_not_negotiated_ranges(void **state)
{
	struct fixture *f = make();
	struct virtio_blk_discard_write_zeroes range = {.num_sectors = 1};

	(void)state;
	start_with(f, BIT(VIRTIO_BLK_F_FLUSH));
	assert_int_equal(request(f, VIRTIO_BLK_T_DISCARD, 0, &range, 16, 0), VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(request(f, VIRTIO_BLK_T_WRITE_ZEROES, 0, &range, 16, 0),
			 VIRTIO_BLK_S_UNSUPP);
	stop(f);
}

/* VIRTIO 1.4, 5.2.6.2: when is a completed write stable? */
static void test_cache_modes(void **state)
{
	static const struct {
		uint64_t features;
		bool write_through; /* by the settings */
		bool durable;
	} cases[] = {
		{0, false, true},
		{BIT(VIRTIO_BLK_F_FLUSH), false, false},
		{BIT(VIRTIO_BLK_F_FLUSH) | BIT(VIRTIO_BLK_F_CONFIG_WCE), false, false},
		{BIT(VIRTIO_BLK_F_CONFIG_WCE), false, true},
		{BIT(VIRTIO_BLK_F_FLUSH), true, true},
		{0, true, true},
	};
	uint8_t out[512] = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct fixture *f = make();
		struct virtio_blk_discard_write_zeroes range = {.num_sectors = 1};
		uint8_t writeback;

		f->settings.write_through = cases[i].write_through;
		start_with(f, cases[i].features | BIT(VIRTIO_BLK_F_WRITE_ZEROES));
		virtio_device_config_read(&f->block.device, offsetof(struct virtio_blk_config, wce),
					  &writeback, 1);
		assert_int_equal(writeback, !cases[i].durable);
		assert_int_equal(request(f, VIRTIO_BLK_T_OUT, 0, out, 512, 0), VIRTIO_BLK_S_OK);
		assert_int_equal(f->disk.durable, cases[i].durable);
		assert_int_equal(request(f, VIRTIO_BLK_T_WRITE_ZEROES, 0, &range, 16, 0),
				 VIRTIO_BLK_S_OK);
		assert_int_equal(f->disk.durable, 2 * cases[i].durable);
		stop(f);
	}
}

static void test_writeback_toggle(void **state)
{
	const size_t at = offsetof(struct virtio_blk_config, wce);
	struct fixture *f = start();
	struct virtio_device *device = &f->block.device;
	uint8_t out[512] = {0}, value = 0;
	uint16_t two = 0;

	(void)state;
	assert_int_equal(virtio_device_config_write(device, at, &value, 1), 0);
	assert_int_equal(request(f, VIRTIO_BLK_T_OUT, 0, out, 512, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(f->disk.durable, 1);
	/* A transport that states the features again does not change the mode. */
	assert_int_equal(virtio_device_set_features(device, device->negotiated), 0);
	assert_int_equal(request(f, VIRTIO_BLK_T_OUT, 0, out, 512, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(f->disk.durable, 2);
	value = 1;
	assert_int_equal(virtio_device_config_write(device, at, &value, 1), 0);
	assert_int_equal(request(f, VIRTIO_BLK_T_OUT, 0, out, 512, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(f->disk.durable, 2);
	value = 2;
	assert_int_equal(virtio_device_config_write(device, at, &value, 1), -EPERM);
	assert_int_equal(virtio_device_config_write(device, at, &two, 2), -EPERM);
	virtio_device_reset(device);
	virtio_device_config_read(device, at, &value, 1);
	assert_int_equal(value, 1);
	stop(f);

	f = make();
	start_with(f, BIT(VIRTIO_BLK_F_FLUSH));
	value = 0;
	assert_int_equal(virtio_device_config_write(&f->block.device, at, &value, 1), -EPERM);
	stop(f);
}

static void test_flush(void **state)
{
	struct fixture *f = start();
	uint8_t out[100] = {0};

	(void)state;
	assert_int_equal(request(f, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, 0), VIRTIO_BLK_S_OK);
	/* "SHOULD NOT include any data": it is ignored. */
	assert_int_equal(request(f, VIRTIO_BLK_T_FLUSH, 7, out, sizeof(out), 0), VIRTIO_BLK_S_OK);
	assert_int_equal(f->disk.flushes, 2);
	stop(f);
}

static void test_errors_of_the_backend(void **state)
{
	const struct virtio_blk_discard_write_zeroes ranges[3] = {
		{.sector = 0, .num_sectors = 1},
		{.sector = 2, .num_sectors = 1},
		{.sector = 4, .num_sectors = 1},
	};
	struct fixture *f = start();
	uint8_t out[512] = {0};
	struct message message;
	uint32_t written;

	(void)state;
	f->disk.fail = ENOSPC;
	assert_int_equal(request(f, VIRTIO_BLK_T_OUT, 0, out, 512, 0), VIRTIO_BLK_S_IOERR);
	assert_int_equal(request(f, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, 0), VIRTIO_BLK_S_IOERR);
	compose(&message, VIRTIO_BLK_T_IN, 0, NULL, 0);
	assert_int_equal(exchange(f, &message, 512, 4096, NULL, &written), VIRTIO_BLK_S_IOERR);
	assert_int_equal(written, 0);
	/* The second of three ranges fails: the third is not tried. */
	f->disk.fail_after = 1;
	assert_int_equal(request(f, VIRTIO_BLK_T_WRITE_ZEROES, 0, ranges, sizeof(ranges), 0),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(f->disk.zeroes, 2);
	stop(f);
}

/* Many requests on both queues, finished later and in another order. */
static void test_completion_out_of_order(void **state)
{
	struct fixture *f = start();
	struct virtio_blk_discard_write_zeroes ranges[2] = {
		{.sector = 60, .num_sectors = 1},
		{.sector = 62, .num_sectors = 1},
	};
	uint64_t reads[2][5];
	struct message message;
	uint32_t written;

	(void)state;
	f->disk.hold = true;
	for (unsigned int queue = 0; queue < QUEUES; queue++) {
		for (unsigned int i = 0; i < 5; i++) {
			compose(&message, VIRTIO_BLK_T_IN, 10 * queue + i, NULL, 0);
			reads[queue][i] = device_rig_add(&f->rig, queue, message.bytes,
							 message.length, 513, 4096);
		}
		device_rig_kick(&f->rig, queue);
		assert_false(device_rig_has_used(&f->rig, queue));
	}
	compose(&message, VIRTIO_BLK_T_WRITE_ZEROES, 0, ranges, sizeof(ranges));
	device_rig_add(&f->rig, 0, message.bytes, message.length, 1, 4096);
	device_rig_kick(&f->rig, 0);
	assert_int_equal(f->disk.held_count, 11);
	/* A queue that starts notifies once without need: start counting. */
	f->rig.queues[0].notifications = f->rig.queues[1].notifications = 0;
	release(&f->disk);
	assert_int_equal(f->rig.queues[0].notifications, 1);
	assert_int_equal(f->rig.queues[1].notifications, 1);
	/* The second range waits for its turn. */
	assert_int_equal(f->disk.zeroes, 1);
	assert_int_equal(f->disk.held_count, 1);
	release(&f->disk);
	assert_int_equal(f->disk.zeroes, 2);
	for (unsigned int queue = 0; queue < QUEUES; queue++) {
		for (unsigned int i = 0; i < 5; i++) {
			uint64_t in = device_rig_take(&f->rig, queue, &written);

			/* Finished the last first. */
			assert_int_equal(in, reads[queue][4 - i]);
			assert_int_equal(written, 513);
			assert_memory_equal(device_rig_at(&f->rig, in),
					    f->disk.data + (10 * queue + 4 - i) * 512, 512);
		}
	}
	stop(f);
}

static void test_stop_waits_for_the_backend(void **state)
{
	struct fixture *f = start();
	struct message message;
	uint16_t available, used;
	uint32_t written;

	(void)state;
	f->disk.hold = true;
	compose(&message, VIRTIO_BLK_T_IN, 0, NULL, 0);
	device_rig_add(&f->rig, 0, message.bytes, message.length, 513, 4096);
	device_rig_kick(&f->rig, 0);
	/* The other queue has nothing in flight, and nothing to wait for. */
	virtio_device_stop_queue(&f->block.device, &f->queues[1], &available, &used);
	assert_int_equal(f->disk.drains, 0);
	virtio_device_stop_queue(&f->block.device, &f->queues[0], &available, &used);
	assert_int_equal(f->disk.drains, 1);
	assert_int_equal(available, used);
	device_rig_take(&f->rig, 0, &written);
	assert_int_equal(written, 513);
	stop(f);
}

/* Holds a write, which finds no room when its queue is stopped. Returns where its status is. */
static uint8_t *hold_write(struct fixture *f)
{
	struct message message;
	uint8_t data[512] = {0};
	uint64_t in;

	f->disk.hold = true;
	f->disk.fail = ENOSPC;
	device_rig_clear(&f->rig);
	compose(&message, VIRTIO_BLK_T_OUT, 0, data, sizeof(data));
	in = device_rig_add(&f->rig, 0, message.bytes, message.length, 1, 4096);
	device_rig_kick(&f->rig, 0);
	return device_rig_at(&f->rig, in);
}

/*
 * What waits for room stays in flight when somebody else takes the queue over, as told by the
 * record. Who asks for the position of the queue may not be left with anything in flight.
 */
static void test_no_room_at_the_stop(void **state)
{
	struct fixture *f = make();
	struct virtqueue *queue = &f->queues[0];
	struct virtqueue_inflight inflight;
	void *record = calloc(1, inflight_region_size(QUEUE_SIZE, false));
	uint16_t available, used;
	uint8_t *status;
	uint32_t written;

	(void)state;
	assert_int_equal(inflight_attach(&inflight, record, QUEUE_SIZE, false), 0);
	queue->inflight = &inflight;
	start_with(f, offered(f));
	status = hold_write(f);
	virtio_device_stop_queue(&f->block.device, queue, NULL, NULL);
	assert_int_equal(f->disk.drains, 1);
	assert_false(device_rig_has_used(&f->rig, 0));
	assert_int_equal(*status, 0xee);
	/* The next one finds room. */
	f->disk.hold = false;
	f->disk.fail = 0;
	f->disk.writes = 0;
	assert_int_equal(virtqueue_start(queue, &queue->setup, f->block.device.negotiated,
					 f->rig.queues[0].storage),
			 0);
	device_rig_kick(&f->rig, 0);
	assert_int_equal(f->disk.writes, 1);
	device_rig_take(&f->rig, 0, &written);
	assert_int_equal(*status, VIRTIO_BLK_S_OK);
	/* Memory may change while the queue goes on: nothing may get lost. */
	status = hold_write(f);
	virtio_device_quiesce(&f->block.device);
	device_rig_take(&f->rig, 0, &written);
	assert_int_equal(*status, VIRTIO_BLK_S_IOERR);
	status = hold_write(f);
	virtio_device_stop_queue(&f->block.device, queue, &available, &used);
	device_rig_take(&f->rig, 0, &written);
	assert_int_equal(*status, VIRTIO_BLK_S_IOERR);
	assert_int_equal(available, used);
	stop(f);
	free(record);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_configuration),
		cmocka_unit_test(test_features_follow_settings),
		cmocka_unit_test(test_segments_follow_queue_size),
		cmocka_unit_test(test_read_and_write),
		cmocka_unit_test(test_any_framing),
		cmocka_unit_test(test_out_of_range),
		cmocka_unit_test(test_unaligned),
		cmocka_unit_test(test_limits_that_were_negotiated),
		cmocka_unit_test(test_short_header),
		cmocka_unit_test(test_no_room_for_status),
		cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_get_id),
		cmocka_unit_test(test_unknown_commands),
		cmocka_unit_test(test_discard_and_write_zeroes),
		cmocka_unit_test(test_range_errors),
		cmocka_unit_test(test_not_negotiated_ranges),
		cmocka_unit_test(test_cache_modes),
		cmocka_unit_test(test_writeback_toggle),
		cmocka_unit_test(test_flush),
		cmocka_unit_test(test_errors_of_the_backend),
		cmocka_unit_test(test_completion_out_of_order),
		cmocka_unit_test(test_stop_waits_for_the_backend),
		cmocka_unit_test(test_no_room_at_the_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
