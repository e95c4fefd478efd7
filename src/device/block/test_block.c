// SPDX-License-Identifier: BSD-3-Clause
/* The block device: its configuration, and each kind of request. */
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

#include "device/block/test_block_rig.h"
#include "unit/state_check.h"
#include "virtio/feature.h"

static void test_configuration(void **state)
{
	struct block_rig *f = block_rig_start();
	struct virtio_blk_config config = {0};
	uint8_t padding;

	(void)state;
	virtio_device_config_read(&f->block.device, 0, &config, sizeof(config));
	assert_int_equal(config.capacity, MEMORY_DISK_SECTORS);
	assert_int_equal(config.blk_size, 512);
	assert_int_equal(config.physical_block_exp, 3);
	assert_int_equal(config.alignment_offset, 0);
	assert_int_equal(config.num_queues, BLOCK_RIG_QUEUES);
	assert_int_equal(config.wce, 1);
	assert_int_equal(config.seg_max, BLOCK_RIG_QUEUE_SIZE - 2);
	assert_int_equal(config.max_discard_seg, BLOCK_RANGES_MAX);
	assert_int_equal(config.discard_sector_alignment, 8);
	assert_int_equal(config.write_zeroes_may_unmap, 1);
	virtio_device_config_read(&f->block.device, offsetof(struct virtio_blk_config, wce) + 1,
				  &padding, 1);
	assert_int_equal(padding, 0);
	/* Only writeback can be written. */
	assert_int_equal(virtio_device_config_write(&f->block.device, 0, &config, 8), -EPERM);
	block_rig_stop(f);
}

static void test_features_follow_settings(void **state)
{
	struct block_rig *f = block_rig_make();
	uint64_t features = block_rig_offered(f);

	(void)state;
	assert_true(features & FEATURE(VIRTIO_BLK_F_FLUSH));
	assert_true(features & FEATURE(VIRTIO_BLK_F_CONFIG_WCE));
	assert_true(features & FEATURE(VIRTIO_BLK_F_MQ));
	assert_true(features & FEATURE(VIRTIO_BLK_F_DISCARD));
	assert_false(features & FEATURE(VIRTIO_BLK_F_RO));
	f->settings.queue_count = 1;
	f->settings.discard_granularity = 0;
	f->settings.write_through = true;
	features = block_rig_offered(f);
	assert_false(features & FEATURE(VIRTIO_BLK_F_MQ));
	assert_false(features & FEATURE(VIRTIO_BLK_F_DISCARD));
	assert_true(features & FEATURE(VIRTIO_BLK_F_WRITE_ZEROES));
	assert_true(features & FEATURE(VIRTIO_BLK_F_FLUSH));
	assert_false(features & FEATURE(VIRTIO_BLK_F_CONFIG_WCE));
	f->settings.readonly = true;
	features = block_rig_offered(f);
	assert_true(features & FEATURE(VIRTIO_BLK_F_RO));
	assert_false(features & FEATURE(VIRTIO_BLK_F_WRITE_ZEROES));
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
		struct block_rig *f = block_rig_make();

		f->settings.queue_size_max = cases[i].queue_size;
		block_device_init(&f->block, &f->settings, &f->disk.backend, f->queues, NULL);
		assert_int_equal(f->block.config.seg_max, cases[i].seg_max);
		free(f);
	}
}

static void test_read_and_write(void **state)
{
	struct block_rig *f = block_rig_start();
	uint8_t pattern[1024], *data;
	struct block_rig_message message;
	uint32_t written;

	(void)state;
	memset(pattern, 0x5a, sizeof(pattern));
	assert_int_equal(block_rig_request(f, VIRTIO_BLK_T_OUT, 3, pattern, sizeof(pattern), 0),
			 VIRTIO_BLK_S_OK);
	assert_memory_equal(f->disk.data + 3 * 512, pattern, sizeof(pattern));
	block_rig_compose(&message, VIRTIO_BLK_T_IN, 2, NULL, 0);
	assert_int_equal(block_rig_exchange(f, &message, 2048, 4096, &data, &written),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(written, 2049);
	assert_memory_equal(data, f->disk.data + 1024, 2048);
	assert_int_equal(f->disk.durable, 0);
	assert_int_equal(f->disk.commits, 2);
	block_rig_stop(f);
}

/* VIRTIO 1.4, 2.7.4: how the driver splits a request makes no difference. */
static void test_any_framing(void **state)
{
	static const uint64_t rings[] = {
		0,
		FEATURE(VIRTIO_RING_F_INDIRECT_DESC),
		FEATURE(VIRTIO_F_RING_PACKED),
		FEATURE(VIRTIO_F_RING_PACKED) | FEATURE(VIRTIO_RING_F_INDIRECT_DESC),
		FEATURE(VIRTIO_F_RING_PACKED) | FEATURE(VIRTIO_F_IN_ORDER),
		FEATURE(VIRTIO_RING_F_EVENT_IDX) | FEATURE(VIRTIO_F_IN_ORDER),
	};
	/* Header in single bytes with a whole chain of them; status alone; status with data. */
	static const size_t cuts[] = {1, 3, 10, 16, 17, 511, 512, 513, 65536};

	(void)state;
	for (size_t i = 0; i < sizeof(rings) / sizeof(rings[0]); i++) {
		struct block_rig *f = block_rig_make();

		block_rig_start_with(f, FEATURE(VIRTIO_BLK_F_FLUSH) | rings[i]);
		for (size_t j = 0; j < sizeof(cuts) / sizeof(cuts[0]); j++) {
			/*
			 * A chain is at most as long as the queue, so small segments get few bytes.
			 */
			size_t length = cuts[j] < 10 ? 0 : 512;
			struct block_rig_message message;
			uint8_t out[512], *data;
			uint32_t written;

			memset(out, (int)(i * 16 + j), sizeof(out));
			if (cuts[j] == 1) {
				block_rig_compose(&message, VIRTIO_BLK_T_GET_ID, 0, NULL, 0);
				assert_int_equal(block_rig_exchange(f, &message, 20, 1, &data,
								    &written),
						 VIRTIO_BLK_S_OK);
				assert_memory_equal(data, f->settings.serial, 20);
				assert_int_equal(written, 21);
			}
			block_rig_compose(&message, VIRTIO_BLK_T_OUT, j, out, length);
			assert_int_equal(block_rig_exchange(f, &message, 0, cuts[j], NULL,
							    &written),
					 VIRTIO_BLK_S_OK);
			assert_int_equal(written, 1);
			assert_memory_equal(f->disk.data + j * 512, out, length);
			block_rig_compose(&message, VIRTIO_BLK_T_IN, j, NULL, 0);
			assert_int_equal(block_rig_exchange(f, &message, length, cuts[j], &data,
							    &written),
					 VIRTIO_BLK_S_OK);
			assert_int_equal(written, length + 1);
			assert_memory_equal(data, out, length);
		}
		block_rig_stop(f);
	}
}

static void test_out_of_range(void **state)
{
	static const struct {
		uint64_t sector;
		size_t length;
	} cases[] = {
		{MEMORY_DISK_SECTORS, 512}, {MEMORY_DISK_SECTORS - 1, 1024}, {UINT64_MAX, 512},
		{UINT64_MAX / 512, 512},    {UINT64_MAX / 512 + 1, 512},     {UINT64_MAX - 1, 1536},
		{(uint64_t)1 << 55, 1024},  {MEMORY_DISK_SECTORS + 1, 0},
	};
	struct block_rig *f = block_rig_start();
	uint8_t out[2048] = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct block_rig_message message;
		uint32_t written;

		assert_int_equal(block_rig_request(f, VIRTIO_BLK_T_OUT, cases[i].sector, out,
						   cases[i].length, 0),
				 VIRTIO_BLK_S_IOERR);
		block_rig_compose(&message, VIRTIO_BLK_T_IN, cases[i].sector, NULL, 0);
		assert_int_equal(block_rig_exchange(f, &message, cases[i].length, 4096, NULL,
						    &written),
				 VIRTIO_BLK_S_IOERR);
		/* The data was not written, so the length must not reach beyond it. */
		assert_int_equal(written, cases[i].length == 0 ? 1 : 0);
	}
	/* The last sector exists. */
	assert_int_equal(block_rig_request(f, VIRTIO_BLK_T_OUT, MEMORY_DISK_SECTORS - 1, out, 512,
					   0),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(f->disk.writes, 1);
	assert_int_equal(f->disk.reads, 0);
	assert_int_equal(f->block.device.faults, 0);
	block_rig_stop(f);
}

static void test_unaligned(void **state)
{
	struct block_rig *f = block_rig_start();
	uint8_t out[1024] = {0};

	(void)state;
	assert_int_equal(block_rig_request(f, VIRTIO_BLK_T_OUT, 0, out, 511, 0),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(block_rig_request(f, VIRTIO_BLK_T_OUT, 0, out, 513, 0),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(block_rig_request(f, VIRTIO_BLK_T_IN, 0, NULL, 0, 100),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(block_rig_request(f, VIRTIO_BLK_T_OUT, 0, out, 0, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(f->disk.writes, 0);
	block_rig_stop(f);
}

/* A segment has no limit, whatever the driver negotiated: see features() in block.c. */
static void test_segments_of_any_size(void **state)
{
	const uint64_t segments = FEATURE(VIRTIO_BLK_F_SEG_MAX);

	(void)state;
	for (unsigned int negotiated = 0; negotiated < 2; negotiated++) {
		struct block_rig *f = block_rig_make();
		const size_t bytes = (1u << 20) + 512;
		struct block_rig_message message;
		uint32_t written;

		f->settings.queue_size_max = 2;
		f->settings.capacity = 2 * bytes;
		f->disk.blank = true;
		assert_false(block_rig_offered(f) & FEATURE(VIRTIO_BLK_F_SIZE_MAX));
		block_rig_start_sized(
			f, (block_rig_offered(f) & ~segments) | (negotiated ? segments : 0), 2);
		block_rig_compose(&message, VIRTIO_BLK_T_IN, 0, NULL, 0);
		assert_int_equal(block_rig_exchange(f, &message, bytes, 2 * bytes, NULL, &written),
				 VIRTIO_BLK_S_OK);
		assert_int_equal(written, bytes + 1);
		/* The disk's end still holds. */
		block_rig_compose(&message, VIRTIO_BLK_T_IN, f->settings.capacity / 512 - 1, NULL,
				  0);
		assert_int_equal(block_rig_exchange(f, &message, bytes, 2 * bytes, NULL, NULL),
				 VIRTIO_BLK_S_IOERR);
		block_rig_stop(f);
	}
}

static void test_short_header(void **state)
{
	struct block_rig *f = block_rig_start();
	struct block_rig_message message;

	(void)state;
	block_rig_compose(&message, VIRTIO_BLK_T_IN, 0, NULL, 0);
	for (message.length = 1; message.length < BLOCK_RIG_HEADER; message.length++)
		assert_int_equal(block_rig_exchange(f, &message, 512, 4096, NULL, NULL),
				 VIRTIO_BLK_S_IOERR);
	block_rig_stop(f);
}

static void test_no_room_for_status(void **state)
{
	struct block_rig *f = block_rig_start();
	struct block_rig_message message;

	(void)state;
	block_rig_compose(&message, VIRTIO_BLK_T_FLUSH, 0, NULL, 0);
	device_rig_add(&f->rig, 0, message.bytes, message.length, 0, 4096);
	device_rig_kick(&f->rig, 0);
	assert_false(device_rig_has_used(&f->rig, 0));
	assert_true(f->block.device.status & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(f->rig.reports, 1);
	assert_int_equal(f->rig.config_changes, 1);
	/* Until the reset no queue takes requests. */
	device_rig_add(&f->rig, 1, message.bytes, message.length, 1, 4096);
	device_rig_kick(&f->rig, 1);
	assert_false(device_rig_has_used(&f->rig, 1));
	assert_int_equal(f->disk.flushes, 0);
	block_rig_stop(f);
}

static void test_read_only(void **state)
{
	struct block_rig *f = block_rig_make();
	struct virtio_blk_discard_write_zeroes range = {.sector = 0, .num_sectors = 1};
	uint8_t out[512] = {0};
	uint8_t before[MEMORY_DISK_SIZE];

	(void)state;
	f->settings.readonly = true;
	block_rig_start_with(f, block_rig_offered(f));
	memcpy(before, f->disk.data, sizeof(before));
	assert_int_equal(block_rig_request(f, VIRTIO_BLK_T_OUT, 0, out, 512, 0),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(block_rig_request(f, VIRTIO_BLK_T_WRITE_ZEROES, 0, &range, sizeof(range),
					   0),
			 VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(block_rig_request(f, VIRTIO_BLK_T_DISCARD, 0, &range, sizeof(range), 0),
			 VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(block_rig_request(f, VIRTIO_BLK_T_IN, 0, NULL, 0, 512), VIRTIO_BLK_S_OK);
	assert_int_equal(block_rig_request(f, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, 0), VIRTIO_BLK_S_OK);
	assert_memory_equal(before, f->disk.data, sizeof(before));
	block_rig_stop(f);
}

static void test_get_id(void **state)
{
	struct block_rig *f = block_rig_start();
	struct block_rig_message message;
	uint32_t written;
	uint8_t *data;

	(void)state;
	block_rig_compose(&message, VIRTIO_BLK_T_GET_ID, 0, NULL, 0);
	assert_int_equal(block_rig_exchange(f, &message, 20, 7, &data, &written), VIRTIO_BLK_S_OK);
	assert_memory_equal(data, "the serial number 20", 20);
	assert_int_equal(written, 21);
	assert_int_equal(block_rig_exchange(f, &message, 19, 4096, NULL, NULL), VIRTIO_BLK_S_IOERR);
	assert_int_equal(block_rig_exchange(f, &message, 21, 4096, NULL, NULL), VIRTIO_BLK_S_IOERR);
	assert_int_equal(block_rig_exchange(f, &message, 0, 4096, NULL, NULL), VIRTIO_BLK_S_IOERR);
	block_rig_stop(f);
}

static void test_unknown_commands(void **state)
{
	static const uint32_t types[] = {2, 3, 5, 7, 10, 14, 15, 99, UINT32_MAX, 0x80000000};
	struct block_rig *f = block_rig_start();

	(void)state;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		assert_int_equal(block_rig_request(f, types[i], 0, NULL, 0, 0),
				 VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(f->block.device.faults, 0);
	block_rig_stop(f);
}

static void test_discard_and_write_zeroes(void **state)
{
	struct block_rig *f = block_rig_start();
	struct virtio_blk_discard_write_zeroes ranges[] = {
		{.sector = 1, .num_sectors = 2},
		{.sector = 5, .num_sectors = 0}, /* empty: nothing to do */
		{.sector = MEMORY_DISK_SECTORS - 1, .num_sectors = 1},
	};
	uint8_t zeroes[1024] = {0}, kept[512];

	(void)state;
	memcpy(kept, f->disk.data, 512);
	assert_int_equal(block_rig_request(f, VIRTIO_BLK_T_WRITE_ZEROES, 0, ranges, sizeof(ranges),
					   0),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(f->disk.zeroes, 2);
	assert_int_equal(f->disk.unmaps, 0);
	assert_memory_equal(f->disk.data + 512, zeroes, 1024);
	assert_memory_equal(f->disk.data + MEMORY_DISK_SIZE - 512, zeroes, 512);
	assert_memory_equal(f->disk.data, kept, 512);
	assert_int_equal(block_rig_request(f, VIRTIO_BLK_T_DISCARD, 0, ranges, sizeof(ranges), 0),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(f->disk.discards, 2);
	ranges[0].flags = ranges[2].flags = VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	assert_int_equal(block_rig_request(f, VIRTIO_BLK_T_WRITE_ZEROES, 0, ranges, sizeof(ranges),
					   0),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(f->disk.unmaps, 2);
	/* Only empty ranges: done without asking the backend. */
	assert_int_equal(block_rig_request(f, VIRTIO_BLK_T_DISCARD, 0, &ranges[1],
					   sizeof(ranges[1]), 0),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(f->disk.discards, 2);
	block_rig_stop(f);
}

static void test_range_errors(void **state)
{
	const uint32_t types[] = {VIRTIO_BLK_T_DISCARD, VIRTIO_BLK_T_WRITE_ZEROES};
	struct block_rig *f = block_rig_start();

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct virtio_blk_discard_write_zeroes many[BLOCK_RANGES_MAX + 1] = {{0}};
		struct virtio_blk_discard_write_zeroes range = {.num_sectors = 1};

		/* None, half of one, and more than max_discard_seg. */
		assert_int_equal(block_rig_request(f, types[i], 0, NULL, 0, 0), VIRTIO_BLK_S_IOERR);
		assert_int_equal(block_rig_request(f, types[i], 0, &range, 15, 0),
				 VIRTIO_BLK_S_IOERR);
		assert_int_equal(block_rig_request(f, types[i], 0, many, 24, 0),
				 VIRTIO_BLK_S_IOERR);
		assert_int_equal(block_rig_request(f, types[i], 0, many, sizeof(many), 0),
				 VIRTIO_BLK_S_IOERR);
		assert_int_equal(block_rig_request(f, types[i], 0, many, sizeof(many) - 16, 0),
				 VIRTIO_BLK_S_OK);
		range.sector = MEMORY_DISK_SECTORS;
		assert_int_equal(block_rig_request(f, types[i], 0, &range, 16, 0),
				 VIRTIO_BLK_S_IOERR);
		range.sector = UINT64_MAX;
		assert_int_equal(block_rig_request(f, types[i], 0, &range, 16, 0),
				 VIRTIO_BLK_S_IOERR);
		range.sector = UINT64_MAX / 512 + 1;
		assert_int_equal(block_rig_request(f, types[i], 0, &range, 16, 0),
				 VIRTIO_BLK_S_IOERR);
		range.sector = 0;
		range.num_sectors = BLOCK_RANGE_SECTORS_MAX + 1;
		assert_int_equal(block_rig_request(f, types[i], 0, &range, 16, 0),
				 VIRTIO_BLK_S_IOERR);
		range.num_sectors = UINT32_MAX;
		assert_int_equal(block_rig_request(f, types[i], 0, &range, 16, 0),
				 VIRTIO_BLK_S_IOERR);
		/* VIRTIO 1.4, 5.2.6.2: unknown flags are not supported, whatever else is wrong. */
		range.num_sectors = 1;
		range.flags = 2;
		assert_int_equal(block_rig_request(f, types[i], 0, &range, 16, 0),
				 VIRTIO_BLK_S_UNSUPP);
		range.flags = UINT32_MAX;
		assert_int_equal(block_rig_request(f, types[i], 0, &range, 16, 0),
				 VIRTIO_BLK_S_UNSUPP);
		range.flags = VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
		assert_int_equal(block_rig_request(f, types[i], 0, &range, 16, 0),
				 i == 0 ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_OK);
	}
	assert_int_equal(f->disk.discards, 0);
	block_rig_stop(f);
}

static void test_not_negotiated_ranges(void **state)
{
	struct block_rig *f = block_rig_make();
	struct virtio_blk_discard_write_zeroes range = {.num_sectors = 1};

	(void)state;
	block_rig_start_with(f, FEATURE(VIRTIO_BLK_F_FLUSH));
	assert_int_equal(block_rig_request(f, VIRTIO_BLK_T_DISCARD, 0, &range, 16, 0),
			 VIRTIO_BLK_S_UNSUPP);
	assert_int_equal(block_rig_request(f, VIRTIO_BLK_T_WRITE_ZEROES, 0, &range, 16, 0),
			 VIRTIO_BLK_S_UNSUPP);
	block_rig_stop(f);
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
		{FEATURE(VIRTIO_BLK_F_FLUSH), false, false},
		{FEATURE(VIRTIO_BLK_F_FLUSH) | FEATURE(VIRTIO_BLK_F_CONFIG_WCE), false, false},
		{FEATURE(VIRTIO_BLK_F_CONFIG_WCE), false, true},
		{FEATURE(VIRTIO_BLK_F_FLUSH), true, true},
		{0, true, true},
	};
	uint8_t out[512] = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct block_rig *f = block_rig_make();
		struct virtio_blk_discard_write_zeroes range = {.num_sectors = 1};
		uint8_t writeback;

		f->settings.write_through = cases[i].write_through;
		block_rig_start_with(f, cases[i].features | FEATURE(VIRTIO_BLK_F_WRITE_ZEROES));
		virtio_device_config_read(&f->block.device, offsetof(struct virtio_blk_config, wce),
					  &writeback, 1);
		assert_int_equal(writeback, !cases[i].durable);
		assert_int_equal(block_rig_request(f, VIRTIO_BLK_T_OUT, 0, out, 512, 0),
				 VIRTIO_BLK_S_OK);
		assert_int_equal(f->disk.durable, cases[i].durable);
		assert_int_equal(block_rig_request(f, VIRTIO_BLK_T_WRITE_ZEROES, 0, &range, 16, 0),
				 VIRTIO_BLK_S_OK);
		assert_int_equal(f->disk.durable, 2 * cases[i].durable);
		block_rig_stop(f);
	}
}

static void test_writeback_toggle(void **state)
{
	const size_t at = offsetof(struct virtio_blk_config, wce);
	struct block_rig *f = block_rig_start();
	struct virtio_device *device = &f->block.device;
	uint8_t out[512] = {0}, value = 0;
	uint16_t two = 0;

	(void)state;
	assert_int_equal(virtio_device_config_write(device, at, &value, 1), 0);
	assert_int_equal(block_rig_request(f, VIRTIO_BLK_T_OUT, 0, out, 512, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(f->disk.durable, 1);
	/* A transport that sets the features again does not change the mode. */
	assert_int_equal(virtio_device_set_features(device, device->negotiated), 0);
	assert_int_equal(block_rig_request(f, VIRTIO_BLK_T_OUT, 0, out, 512, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(f->disk.durable, 2);
	value = 1;
	assert_int_equal(virtio_device_config_write(device, at, &value, 1), 0);
	assert_int_equal(block_rig_request(f, VIRTIO_BLK_T_OUT, 0, out, 512, 0), VIRTIO_BLK_S_OK);
	assert_int_equal(f->disk.durable, 2);
	value = 2;
	assert_int_equal(virtio_device_config_write(device, at, &value, 1), -EPERM);
	assert_int_equal(virtio_device_config_write(device, at, &two, 2), -EPERM);
	virtio_device_reset(device);
	virtio_device_config_read(device, at, &value, 1);
	assert_int_equal(value, 1);
	block_rig_stop(f);

	f = block_rig_make();
	block_rig_start_with(f, FEATURE(VIRTIO_BLK_F_FLUSH));
	value = 0;
	assert_int_equal(virtio_device_config_write(&f->block.device, at, &value, 1), -EPERM);
	block_rig_stop(f);
}

static unsigned int kept;

static void note_keep(struct virtio_device *device)
{
	kept++;
	assert_int_equal(((struct block_device *)device)->config.wce, 0);
}

/* A driver's choice of the cache outlives the process; a write that is refused changes nothing. */
static void test_choice_is_kept(void **state)
{
	static const struct virtio_transport_ops transport = {.keep_state = note_keep};
	const size_t at = offsetof(struct virtio_blk_config, wce);
	struct block_rig *f = block_rig_start();
	struct virtio_device *device = &f->block.device;
	uint8_t value = 0;

	(void)state;
	kept = 0;
	device->transport = &transport;
	assert_int_equal(virtio_device_config_write(device, at, &value, 1), 0);
	assert_int_equal(kept, 1);
	value = 2;
	assert_int_equal(virtio_device_config_write(device, at, &value, 1), -EPERM);
	assert_int_equal(kept, 1);
	block_rig_stop(f);
}

/* A driver's choice of the cache moves; a disk of another kind does not take it. */
static void test_state(void **state)
{
	const size_t at = offsetof(struct virtio_blk_config, wce);
	struct block_rig *f = block_rig_start(), *other = block_rig_make();
	struct virtqueue queues[BLOCK_RIG_QUEUES] = {0};
	uint8_t value = 0;

	(void)state;
	assert_int_equal(virtio_device_config_write(&f->block.device, at, &value, 1), 0);
	block_device_init(&other->block, &other->settings, &other->disk.backend, queues,
			  other->requests);
	state_check(&f->block.device, &other->block.device);
	assert_int_equal(other->block.config.wce, 0);
	virtio_device_reset(&other->block.device);

	other->block.settings.capacity += BLOCK_SECTOR;
	assert_false(state_moves(&f->block.device, &other->block.device));
	other->block.settings = other->settings;
	other->block.settings.logical_block_size *= 2;
	assert_false(state_moves(&f->block.device, &other->block.device));
	other->block.settings = other->settings;
	other->block.settings.write_through = true;
	assert_true(state_moves(&f->block.device, &other->block.device));
	virtio_device_reset(&other->block.device);
	f->block.config.wce = 1;
	assert_false(state_moves(&f->block.device, &other->block.device));
	block_rig_stop(f);
	free(other);
}

static void test_flush(void **state)
{
	struct block_rig *f = block_rig_start();
	uint8_t out[100] = {0};

	(void)state;
	assert_int_equal(block_rig_request(f, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, 0), VIRTIO_BLK_S_OK);
	/* "SHOULD NOT include any data": it is ignored. */
	assert_int_equal(block_rig_request(f, VIRTIO_BLK_T_FLUSH, 7, out, sizeof(out), 0),
			 VIRTIO_BLK_S_OK);
	assert_int_equal(f->disk.flushes, 2);
	block_rig_stop(f);
}

static void test_errors_of_the_backend(void **state)
{
	const struct virtio_blk_discard_write_zeroes ranges[3] = {
		{.sector = 0, .num_sectors = 1},
		{.sector = 2, .num_sectors = 1},
		{.sector = 4, .num_sectors = 1},
	};
	struct block_rig *f = block_rig_start();
	uint8_t out[512] = {0};
	struct block_rig_message message;
	uint32_t written;

	(void)state;
	f->disk.fail = ENOSPC;
	assert_int_equal(block_rig_request(f, VIRTIO_BLK_T_OUT, 0, out, 512, 0),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(block_rig_request(f, VIRTIO_BLK_T_FLUSH, 0, NULL, 0, 0),
			 VIRTIO_BLK_S_IOERR);
	block_rig_compose(&message, VIRTIO_BLK_T_IN, 0, NULL, 0);
	assert_int_equal(block_rig_exchange(f, &message, 512, 4096, NULL, &written),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(written, 0);
	/* The second of three ranges fails: the third is not tried. */
	f->disk.fail_after = 1;
	assert_int_equal(block_rig_request(f, VIRTIO_BLK_T_WRITE_ZEROES, 0, ranges, sizeof(ranges),
					   0),
			 VIRTIO_BLK_S_IOERR);
	assert_int_equal(f->disk.zeroes, 2);
	block_rig_stop(f);
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
		cmocka_unit_test(test_segments_of_any_size),
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
		cmocka_unit_test(test_choice_is_kept),
		cmocka_unit_test(test_state),
		cmocka_unit_test(test_flush),
		cmocka_unit_test(test_errors_of_the_backend),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
