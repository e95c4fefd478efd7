// SPDX-License-Identifier: BSD-3-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mmio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "unit/mmio_board.h"

#include "guest/config/config.h"

static void on_reported(void *context, const char *name, enum remote_report report, const char *why)
{
	struct board *board = context;

	assert_string_equal(name, "test0");
	snprintf(board->why[report], sizeof(board->why[report]), "%s", why ? why : "");
	board->reports[report]++;
}

static void on_not_ended(void *context, const char *name)
{
	struct board *board = context;

	/* It got its time to end. */
	assert_int_equal(board->reports[REMOTE_GIVEN_UP], 1);
	board->not_ended++;
}

static void *serve_broker(void *argument)
{
	struct board *board = argument;
	const char *const path = board->path;
	const struct broker_service service = {.monitor = getpid(), .paths = &path, .count = 1};

	while (broker_answer(board->service_fd, &service))
		;
	return NULL;
}

static void start_broker(struct board *board)
{
	int ends[2];

	assert_int_equal(broker_make_pair(ends, NULL), 0);
	board->broker = (struct broker)BROKER_NONE;
	board->broker.fd = ends[0];
	board->service_fd = ends[1];
	assert_int_equal(pthread_create(&board->service, NULL, serve_broker, board), 0);
}

static void stop_broker(struct board *board)
{
	broker_close(&board->broker);
	pthread_join(board->service, NULL);
	close(board->service_fd);
}

void board_lead_to_server(struct board *board)
{
	const char *path = scratch_path(&board->scratch, "device");

	unlink(path);
	assert_int_equal(symlink(board->rig.path, path), 0);
}

void board_open(struct board *board)
{
	const struct memory_range range = {0, MEMORY_SIZE};

	memset(board, 0, sizeof(*board));
	board->shape = device_type_find("block")->shape;
	rig_start(&board->rig, -1);
	scratch_make(&board->scratch);
	board_lead_to_server(board);
	snprintf(board->path, sizeof(board->path), "%s", scratch_path(&board->scratch, "device"));
	start_broker(board);
	fake_open(&board->fake);
	assert_int_equal(loop_thread_open(&board->thread, NULL), 0);
	assert_int_equal(monitor_memory_open(&board->memory, &range, 1, false, NULL), 0);
	board->setup = (struct transport_setup){
		.name = "test0",
		.shape = &board->shape,
		.peer = {-1, &board->broker, 0},
		.memory = &board->memory,
		.loop = &board->thread.loop,
		.reported = on_reported,
		.not_ended = on_not_ended,
		.context = board,
	};
}

void board_close(struct board *board)
{
	monitor_memory_close(&board->memory);
	loop_thread_close(&board->thread);
	stop_broker(board);
	fake_close(&board->fake);
	rig_stop(&board->rig);
	unlink(board->path);
	scratch_remove(&board->scratch);
}

int board_set_up(void **state)
{
	static struct board board;
	struct error error;

	board_open(&board);
	assert_done(virtio_mmio_open(&board.transport, &board.setup,
				     (struct virtio_slot){SLOT_ADDRESS, SLOT_IRQ}, &error),
		    &error);
	assert_int_equal(loop_thread_start(&board.thread, "test0", NULL), 0);
	virtio_mmio_attach(board.transport, &board.fake.hypervisor);
	board.device = virtio_mmio_registers(board.transport);
	assert_true(shared_memory_place(virtio_mmio_shared_memory(board.transport), WINDOWS) >
		    WINDOWS);
	assert_int_equal(shared_memory_attach(virtio_mmio_shared_memory(board.transport),
					      &board.fake.hypervisor, NULL),
			 0);
	*state = &board;
	return 0;
}

int board_tear_down(void **state)
{
	struct board *board = *state;

	virtio_mmio_detach(board->transport);
	assert_int_equal(board->fake.kick_count, 0);
	assert_int_equal(board->fake.interrupt_count, 0);
	virtio_mmio_hang_up(board->transport);
	loop_thread_stop(&board->thread);
	virtio_mmio_free(board->transport);
	board_close(board);
	return 0;
}

void board_access(struct board *board, uint64_t offset, void *data, uint32_t length, bool write)
{
	board->device->handle(board->device->context,
			      &(struct bus_access){offset, length, write, data});
}

uint32_t board_get(struct board *board, uint64_t offset)
{
	uint32_t value = 0;

	board_access(board, offset, &value, 4, false);
	return value;
}

void board_put(struct board *board, uint64_t offset, uint32_t value)
{
	board_access(board, offset, &value, 4, true);
}

uint64_t board_offered(struct board *board)
{
	uint64_t low;

	board_put(board, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	low = board_get(board, VIRTIO_MMIO_DEVICE_FEATURES);
	board_put(board, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	return low | (uint64_t)board_get(board, VIRTIO_MMIO_DEVICE_FEATURES) << 32;
}

uint32_t board_negotiate(struct board *board, uint64_t features)
{
	board_put(board, VIRTIO_MMIO_STATUS, 0);
	board_put(board, VIRTIO_MMIO_STATUS, STATUS_DRIVER);
	board_put(board, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	board_put(board, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)features);
	board_put(board, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	board_put(board, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32));
	board_put(board, VIRTIO_MMIO_STATUS, STATUS_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK);
	board->features = features;
	return board_get(board, VIRTIO_MMIO_STATUS);
}

void board_set_address(struct board *board, uint64_t low, uint64_t address)
{
	board_put(board, low, (uint32_t)address);
	board_put(board, low + 4, (uint32_t)(address >> 32));
}

uint64_t board_clear_queue(struct board *board, unsigned int index)
{
	uint64_t ring = 0x4000 + index * RING_STRIDE;

	memset(board->memory.host + ring, 0, RING_STRIDE);
	memset(board->descriptors[index], 0, sizeof(board->descriptors[index]));
	driver_queue_init(&board->queues[index], (uint16_t)index, QUEUE_SIZE, board->features,
			  board->memory.host + ring, board->descriptors[index]);
	return ring;
}

void board_set_up_queue(struct board *board, unsigned int index)
{
	uint64_t ring = board_clear_queue(board, index);
	const struct driver_queue *queue = &board->queues[index];

	board_put(board, VIRTIO_MMIO_QUEUE_SEL, index);
	board_put(board, VIRTIO_MMIO_QUEUE_NUM, QUEUE_SIZE);
	board_set_address(board, VIRTIO_MMIO_QUEUE_DESC_LOW, ring + queue->layout.descriptors);
	board_set_address(board, VIRTIO_MMIO_QUEUE_AVAIL_LOW, ring + queue->layout.driver);
	board_set_address(board, VIRTIO_MMIO_QUEUE_USED_LOW, ring + queue->layout.device);
	board_put(board, VIRTIO_MMIO_QUEUE_READY, 1);
}

void board_drive_ok(struct board *board)
{
	board_put(board, VIRTIO_MMIO_STATUS,
		  board_get(board, VIRTIO_MMIO_STATUS) | VIRTIO_CONFIG_S_DRIVER_OK);
}

void board_boot(struct board *board, uint64_t features)
{
	assert_true(board_negotiate(board, features) & VIRTIO_CONFIG_S_FEATURES_OK);
	for (unsigned int i = 0; i < RIG_QUEUES; i++)
		board_set_up_queue(board, i);
	board_drive_ok(board);
	assert_int_equal(board_get(board, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
}

void board_add(struct board *board, unsigned int index)
{
	unsigned int number = board->number++;
	uint64_t address = BUFFERS + number % 1024 * 2;
	struct driver_buffer buffers[2] = {{guest_addr(address), 1}, {guest_addr(address + 1), 1}};

	board->memory.host[address] = (uint8_t)number;
	assert_int_equal(driver_queue_add(&board->queues[index], buffers, 1, 1,
					  (void *)(uintptr_t)(number + 1)),
			 0);
}

void board_request(struct board *board, unsigned int index)
{
	board_add(board, index);
	if (driver_queue_kick_wanted(&board->queues[index]))
		assert_true(
			fake_write(&board->fake, SLOT_ADDRESS + VIRTIO_MMIO_QUEUE_NOTIFY, index));
}

void board_expect_answer(struct board *board, unsigned int index)
{
	struct driver_queue *queue = &board->queues[index];
	uint32_t written;
	int error = 0;
	void *token = NULL;

	for (int i = 0; i < 10000 && !(token = driver_queue_take(queue, &written, &error)); i++)
		usleep(1000);
	assert_int_equal(error, 0);
	assert_non_null(token);
	assert_int_equal(board->memory.host[BUFFERS + ((uintptr_t)token - 1) % 1024 * 2 + 1],
			 (uint8_t)((uintptr_t)token));
}

void board_echo(struct board *board, unsigned int index)
{
	for (int i = 0; i < 5; i++) {
		board_request(board, index);
		board_expect_answer(board, index);
	}
}
