// SPDX-License-Identifier: BSD-3-Clause
/*
 * The block device: many requests at once, and the end of a queue.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device/block/test_block_rig.h"
#include "virtio/inflight.h"

/* Many requests on both queues, finished later and in another order. */
static void test_completion_out_of_order(void **state)
{
	struct block_rig *f = block_rig_start();
	struct virtio_blk_discard_write_zeroes ranges[2] = {
		{.sector = 60, .num_sectors = 1},
		{.sector = 62, .num_sectors = 1},
	};
	uint64_t reads[2][5];
	struct block_rig_message message;
	uint32_t written;

	(void)state;
	f->disk.hold = true;
	for (unsigned int queue = 0; queue < BLOCK_RIG_QUEUES; queue++) {
		for (unsigned int i = 0; i < 5; i++) {
			block_rig_compose(&message, VIRTIO_BLK_T_IN, 10 * queue + i, NULL, 0);
			reads[queue][i] = device_rig_add(&f->rig, queue, message.bytes,
							 message.length, 513, 4096);
		}
		device_rig_kick(&f->rig, queue);
		assert_false(device_rig_has_used(&f->rig, queue));
	}
	block_rig_compose(&message, VIRTIO_BLK_T_WRITE_ZEROES, 0, ranges, sizeof(ranges));
	device_rig_add(&f->rig, 0, message.bytes, message.length, 1, 4096);
	device_rig_kick(&f->rig, 0);
	assert_int_equal(f->disk.held_count, 11);
	/* A queue that starts notifies once in any case: start counting after that. */
	f->rig.queues[0].notifications = f->rig.queues[1].notifications = 0;
	memory_disk_release(&f->disk);
	assert_int_equal(f->rig.queues[0].notifications, 1);
	assert_int_equal(f->rig.queues[1].notifications, 1);
	/* The second range waits for its turn. */
	assert_int_equal(f->disk.zeroes, 1);
	assert_int_equal(f->disk.held_count, 1);
	memory_disk_release(&f->disk);
	assert_int_equal(f->disk.zeroes, 2);
	for (unsigned int queue = 0; queue < BLOCK_RIG_QUEUES; queue++) {
		for (unsigned int i = 0; i < 5; i++) {
			uint64_t in = device_rig_take(&f->rig, queue, &written);

			/* The last one finishes first. */
			assert_int_equal(in, reads[queue][4 - i]);
			assert_int_equal(written, 513);
			assert_memory_equal(device_rig_at(&f->rig, in),
					    f->disk.data + (10 * queue + 4 - i) * 512, 512);
		}
	}
	block_rig_stop(f);
}

static void test_stop_waits_for_the_backend(void **state)
{
	struct block_rig *f = block_rig_start();
	struct block_rig_message message;
	uint16_t available, used;
	uint32_t written;

	(void)state;
	f->disk.hold = true;
	block_rig_compose(&message, VIRTIO_BLK_T_IN, 0, NULL, 0);
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
	block_rig_stop(f);
}

/* Holds a write, which finds no room when its queue is stopped. Returns where its status is. */
static uint8_t *hold_write(struct block_rig *f)
{
	struct block_rig_message message;
	uint8_t data[512] = {0};
	uint64_t in;

	f->disk.hold = true;
	f->disk.fail = ENOSPC;
	device_rig_clear(&f->rig);
	block_rig_compose(&message, VIRTIO_BLK_T_OUT, 0, data, sizeof(data));
	in = device_rig_add(&f->rig, 0, message.bytes, message.length, 1, 4096);
	device_rig_kick(&f->rig, 0);
	return device_rig_at(&f->rig, in);
}

/*
 * A request that waits for room stays in flight when another process takes over the queue with the
 * record. A frontend that asks for the position of the queue must not be left with requests in
 * flight.
 */
static void test_no_room_at_the_stop(void **state)
{
	struct block_rig *f = block_rig_make();
	struct virtqueue *queue = &f->queues[0];
	struct virtqueue_inflight inflight;
	void *record = calloc(1, inflight_region_size(BLOCK_RIG_QUEUE_SIZE, false));
	uint16_t available, used;
	uint8_t *status;
	uint32_t written;

	(void)state;
	assert_int_equal(inflight_attach(&inflight, record, BLOCK_RIG_QUEUE_SIZE, false), 0);
	queue->inflight = &inflight;
	block_rig_start_with(f, block_rig_offered(f));
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
	/* Guest memory may change while the queue continues: no request may get lost. */
	status = hold_write(f);
	virtio_device_quiesce(&f->block.device);
	device_rig_take(&f->rig, 0, &written);
	assert_int_equal(*status, VIRTIO_BLK_S_IOERR);
	status = hold_write(f);
	virtio_device_stop_queue(&f->block.device, queue, &available, &used);
	device_rig_take(&f->rig, 0, &written);
	assert_int_equal(*status, VIRTIO_BLK_S_IOERR);
	assert_int_equal(available, used);
	block_rig_stop(f);
	free(record);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_completion_out_of_order),
		cmocka_unit_test(test_stop_waits_for_the_backend),
		cmocka_unit_test(test_no_room_at_the_stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
