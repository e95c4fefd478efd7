// SPDX-License-Identifier: BSD-3-Clause
/*
 * The virtio-mmio transport with a device served by vhost-user in another thread: its registers as
 * used by a driver and by an attacker, and a device process that goes away and comes back.
 */
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

#include "guest/config/config.h"
#include "monitor/loop_thread.h"
#include "monitor/virtio/virtio_mmio.h"
#include "unit/fake_hypervisor.h"
#include "unit/vhost_rig.h"

#define SLOT_ADDRESS  UINT64_C(0xd0003000)
#define SLOT_IRQ      9
#define QUEUE_SIZE    32
#define RING_STRIDE   0x4000
#define BUFFERS	      0x20000
#define MEMORY_SIZE   (1 << 20)
#define DEVICE_ID     VIRTIO_ID_BLOCK
#define QUEUE_RESET   0x0c0
#define FEATURE_RESET (UINT64_C(1) << 40)
#define STATUS_DRIVER (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)

struct board {
	struct device_shape shape;
	struct vhost_rig rig;
	struct scratch scratch;
	char path[128];
	struct fake_hypervisor fake;
	struct monitor_memory memory;
	struct loop_thread thread; /* handles the device process */
	/* The broker of the transport. */
	struct broker broker;
	int service_fd;
	pthread_t service;
	atomic_uint given_up, not_ended;
	sem_t go_on;
	struct virtio_mmio *transport;
	const struct bus_device *device;
	struct driver_queue queues[RIG_QUEUES];
	struct driver_descriptor descriptors[RIG_QUEUES][QUEUE_SIZE];
	uint64_t features;
	unsigned int number; /* of the next request, on all queues */
};

static void on_given_up(void *context, const char *name)
{
	struct board *board = context;

	assert_string_equal(name, "test0");
	board->given_up++;
}

static void on_not_ended(void *context, const char *name)
{
	struct board *board = context;

	/* It got its time to end. */
	assert_int_equal(board->given_up, 1);
	board->not_ended++;
}

static void *serve_broker(void *argument)
{
	struct board *board = argument;
	const char *const path = board->path;
	const struct broker_service service = {getpid(), &path, 1};

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

/* Links the broker's path to the server's socket. */
static void lead_to_server(struct board *board)
{
	const char *path = scratch_path(&board->scratch, "device");

	unlink(path);
	assert_int_equal(symlink(board->rig.path, path), 0);
}

static int set_up(void **state)
{
	static struct board board;
	struct memory_range range = {0, MEMORY_SIZE};
	struct virtio_mmio_setup setup = {
		.name = "test0",
		.shape = &board.shape,
		.slot = {SLOT_ADDRESS, SLOT_IRQ},
		.memory = &board.memory,
		.loop = &board.thread.loop,
		.given_up = on_given_up,
		.not_ended = on_not_ended,
		.context = &board,
	};
	struct error error;

	memset(&board, 0, sizeof(board));
	board.shape = device_type_find("block")->shape;
	rig_start(&board.rig, -1);
	scratch_make(&board.scratch);
	lead_to_server(&board);
	snprintf(board.path, sizeof(board.path), "%s", scratch_path(&board.scratch, "device"));
	start_broker(&board);
	setup.peer = (struct remote_peer){-1, &board.broker, 0};
	fake_open(&board.fake);
	assert_int_equal(loop_thread_open(&board.thread, NULL), 0);
	assert_int_equal(monitor_memory_open(&board.memory, &range, 1, false, NULL), 0);
	assert_done(virtio_mmio_open(&board.transport, &setup, &error), &error);
	assert_int_equal(loop_thread_start(&board.thread, "test0", NULL), 0);
	virtio_mmio_attach(board.transport, &board.fake.hypervisor);
	board.device = virtio_mmio_registers(board.transport);
	*state = &board;
	return 0;
}

static int tear_down(void **state)
{
	struct board *board = *state;

	virtio_mmio_detach(board->transport);
	assert_int_equal(board->fake.kick_count, 0);
	assert_int_equal(board->fake.interrupt_count, 0);
	virtio_mmio_hang_up(board->transport);
	loop_thread_stop(&board->thread);
	virtio_mmio_free(board->transport);
	monitor_memory_close(&board->memory);
	loop_thread_close(&board->thread);
	stop_broker(board);
	fake_close(&board->fake);
	rig_stop(&board->rig);
	unlink(board->path);
	scratch_remove(&board->scratch);
	return 0;
}

static void access_register(struct board *board, uint64_t offset, void *data, uint32_t length,
			    bool write)
{
	board->device->handle(board->device->context,
			      &(struct bus_access){offset, length, write, data});
}

static uint32_t get(struct board *board, uint64_t offset)
{
	uint32_t value = 0;

	access_register(board, offset, &value, 4, false);
	return value;
}

static void put(struct board *board, uint64_t offset, uint32_t value)
{
	access_register(board, offset, &value, 4, true);
}

static uint64_t offered(struct board *board)
{
	uint64_t low;

	put(board, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0);
	low = get(board, VIRTIO_MMIO_DEVICE_FEATURES);
	put(board, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 1);
	return low | (uint64_t)get(board, VIRTIO_MMIO_DEVICE_FEATURES) << 32;
}

/* Up to FEATURES_OK; returns the status. */
static uint32_t negotiate(struct board *board, uint64_t features)
{
	put(board, VIRTIO_MMIO_STATUS, 0);
	put(board, VIRTIO_MMIO_STATUS, STATUS_DRIVER);
	put(board, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 0);
	put(board, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)features);
	put(board, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	put(board, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(features >> 32));
	put(board, VIRTIO_MMIO_STATUS, STATUS_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK);
	board->features = features;
	return get(board, VIRTIO_MMIO_STATUS);
}

static void set_address(struct board *board, uint64_t low, uint64_t address)
{
	put(board, low, (uint32_t)address);
	put(board, low + 4, (uint32_t)(address >> 32));
}

static void set_up_queue(struct board *board, unsigned int index)
{
	uint64_t ring = 0x4000 + index * RING_STRIDE;
	struct driver_queue *queue = &board->queues[index];

	memset(board->memory.host + ring, 0, RING_STRIDE);
	memset(board->descriptors[index], 0, sizeof(board->descriptors[index]));
	driver_queue_init(queue, (uint16_t)index, QUEUE_SIZE, board->features,
			  board->memory.host + ring, board->descriptors[index]);
	put(board, VIRTIO_MMIO_QUEUE_SEL, index);
	put(board, VIRTIO_MMIO_QUEUE_NUM, QUEUE_SIZE);
	set_address(board, VIRTIO_MMIO_QUEUE_DESC_LOW, ring + queue->layout.descriptors);
	set_address(board, VIRTIO_MMIO_QUEUE_AVAIL_LOW, ring + queue->layout.driver);
	set_address(board, VIRTIO_MMIO_QUEUE_USED_LOW, ring + queue->layout.device);
	put(board, VIRTIO_MMIO_QUEUE_READY, 1);
}

static void drive_ok(struct board *board)
{
	put(board, VIRTIO_MMIO_STATUS, get(board, VIRTIO_MMIO_STATUS) | VIRTIO_CONFIG_S_DRIVER_OK);
}

static void boot(struct board *board, uint64_t features)
{
	assert_true(negotiate(board, features) & VIRTIO_CONFIG_S_FEATURES_OK);
	for (unsigned int i = 0; i < RIG_QUEUES; i++)
		set_up_queue(board, i);
	drive_ok(board);
	assert_int_equal(get(board, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
}

/* Adds a request for one byte and kicks. */
static void request(struct board *board, unsigned int index)
{
	unsigned int number = board->number++;
	uint64_t address = BUFFERS + number % 1024 * 2;
	struct driver_buffer buffers[2] = {{guest_addr(address), 1}, {guest_addr(address + 1), 1}};

	board->memory.host[address] = (uint8_t)number;
	assert_int_equal(driver_queue_add(&board->queues[index], buffers, 1, 1,
					  (void *)(uintptr_t)(number + 1)),
			 0);
	if (driver_queue_kick_wanted(&board->queues[index]))
		assert_true(
			fake_write(&board->fake, SLOT_ADDRESS + VIRTIO_MMIO_QUEUE_NOTIFY, index));
}

/* Takes an answer, waiting for it; the interrupt must have come by then. */
static void expect_answer(struct board *board, unsigned int index)
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

static void echo(struct board *board, unsigned int index)
{
	for (int i = 0; i < 5; i++) {
		request(board, index);
		expect_answer(board, index);
	}
}

static void test_identity(void **state)
{
	struct board *board = *state;

	assert_int_equal(get(board, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	assert_int_equal(get(board, VIRTIO_MMIO_VERSION), 2);
	assert_int_equal(get(board, VIRTIO_MMIO_DEVICE_ID), DEVICE_ID);
	assert_int_equal(get(board, VIRTIO_MMIO_VENDOR_ID), 0x31505641);
	assert_true(offered(board) & RIG_VERSION_1);
	assert_true(offered(board) & RIG_PACKED);
	assert_true(offered(board) & FEATURE_RESET);
	assert_false(offered(board) & RIG_PLATFORM);
	put(board, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
	assert_int_equal(get(board, VIRTIO_MMIO_DEVICE_FEATURES), 0);
	/* No shared memory: VIRTIO 1.4, 4.2.2. */
	assert_int_equal(get(board, VIRTIO_MMIO_SHM_LEN_LOW), UINT32_MAX);
	assert_int_equal(get(board, VIRTIO_MMIO_SHM_BASE_HIGH), UINT32_MAX);
	put(board, VIRTIO_MMIO_QUEUE_SEL, RIG_QUEUES - 1);
	assert_int_equal(get(board, VIRTIO_MMIO_QUEUE_NUM_MAX), 256);
	put(board, VIRTIO_MMIO_QUEUE_SEL, RIG_QUEUES);
	assert_int_equal(get(board, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
}

static void test_widths(void **state)
{
	struct board *board = *state;
	uint64_t data = 0;

	/* VIRTIO 1.4, 4.2.2.2: 32 bits and aligned, but for configuration space. */
	access_register(board, VIRTIO_MMIO_MAGIC_VALUE, &data, 1, false);
	access_register(board, VIRTIO_MMIO_MAGIC_VALUE, &data, 2, false);
	access_register(board, VIRTIO_MMIO_MAGIC_VALUE, &data, 8, false);
	access_register(board, VIRTIO_MMIO_MAGIC_VALUE + 2, &data, 4, false);
	assert_int_equal(data, 0);
	data = 0x03;
	access_register(board, VIRTIO_MMIO_STATUS, &data, 1, true);
	access_register(board, VIRTIO_MMIO_STATUS, &data, 8, true);
	assert_int_equal(get(board, VIRTIO_MMIO_STATUS), 0);
	for (uint32_t width = 1; width <= 8; width *= 2) {
		uint64_t value = 0, again = 0x1122334455667788;

		access_register(board, VIRTIO_MMIO_CONFIG, &again, width, true);
		access_register(board, VIRTIO_MMIO_CONFIG, &value, width, false);
		assert_memory_equal(&value, &again, width);
	}
	/* Beyond its end. */
	data = 0;
	access_register(board, VIRTIO_MMIO_CONFIG + 0x600, &data, 4, false);
	assert_int_equal(data, 0);
}

static void test_features(void **state)
{
	struct board *board = *state;

	assert_false(negotiate(board, 0) & VIRTIO_CONFIG_S_FEATURES_OK);
	assert_false(negotiate(board, RIG_VERSION_1 | RIG_PLATFORM) & VIRTIO_CONFIG_S_FEATURES_OK);
	put(board, VIRTIO_MMIO_STATUS, 0);
	put(board, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 2);
	put(board, VIRTIO_MMIO_DRIVER_FEATURES, 1);
	put(board, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	put(board, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(RIG_VERSION_1 >> 32));
	put(board, VIRTIO_MMIO_STATUS, STATUS_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK);
	assert_false(get(board, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_FEATURES_OK);
	assert_true(negotiate(board, RIG_VERSION_1) & VIRTIO_CONFIG_S_FEATURES_OK);
	/* The choice is final. */
	put(board, VIRTIO_MMIO_DRIVER_FEATURES, 0);
	set_up_queue(board, 0);
	drive_ok(board);
	echo(board, 0);
}

static void test_life(void **state)
{
	struct board *board = *state;
	static const uint64_t features[] = {
		RIG_VERSION_1,
		RIG_VERSION_1 | RIG_EVENT_INDEX,
		RIG_VERSION_1 | RIG_PACKED,
		RIG_VERSION_1 | RIG_PACKED | RIG_EVENT_INDEX | FEATURE_RESET,
	};

	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		/* Not attached before DRIVER_OK, nor after a reset. */
		assert_false(fake_write(&board->fake, SLOT_ADDRESS + VIRTIO_MMIO_QUEUE_NOTIFY, 0));
		boot(board, features[i]);
		assert_int_equal(board->fake.kick_count, RIG_QUEUES);
		/* With two, edges could be lost. */
		assert_int_equal(board->fake.interrupt_count, 1);
		assert_int_equal(board->fake.interrupts[0].irq, SLOT_IRQ);
		for (int j = 0; j < 40; j++)
			echo(board, (unsigned int)j % 2);
		put(board, VIRTIO_MMIO_STATUS, 0);
		assert_int_equal(get(board, VIRTIO_MMIO_STATUS), 0);
		assert_int_equal(get(board, VIRTIO_MMIO_QUEUE_READY), 0);
		assert_int_equal(board->fake.kick_count, 0);
	}
}

/*
 * Bit 0 of InterruptStatus under random schedules, against a count of acknowledged buffers.
 */
static void test_interrupt_status(void **state)
{
	struct board *board = *state;
	static const uint64_t features[] = {RIG_VERSION_1, RIG_VERSION_1 | RIG_PACKED};

	srand(7);
	for (size_t format = 0; format < 2; format++) {
		unsigned int used = 0, seen = 0, acknowledged = 0, pending[2] = {0};

		boot(board, features[format]);
		for (int step = 0; step < 4000; step++) {
			unsigned int index = (unsigned int)rand() % 2;

			switch (rand() % 4) {
			case 0:
				if (pending[index] == QUEUE_SIZE / 2)
					break;
				request(board, index);
				pending[index]++;
				break;
			case 1:
				/* Wait for all, so that the number of used buffers is known. */
				for (index = 0; index < 2; index++)
					for (; pending[index] > 0; pending[index]--, used++)
						expect_answer(board, index);
				break;
			case 2: {
				uint32_t status = get(board, VIRTIO_MMIO_INTERRUPT_STATUS);

				if (used != acknowledged)
					assert_true(status & VIRTIO_MMIO_INT_VRING);
				if (pending[0] + pending[1] == 0) {
					assert_int_equal(status & VIRTIO_MMIO_INT_VRING,
							 used != acknowledged);
					seen = used;
				} else {
					seen = UINT32_MAX; /* more may have been used */
				}
				break;
			}
			case 3:
				put(board, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
				if (seen == UINT32_MAX) {
					/* Bring both to a known state. */
					for (index = 0; index < 2; index++)
						for (; pending[index] > 0; pending[index]--, used++)
							expect_answer(board, index);
					get(board, VIRTIO_MMIO_INTERRUPT_STATUS);
					put(board, VIRTIO_MMIO_INTERRUPT_ACK,
					    VIRTIO_MMIO_INT_VRING);
					seen = used;
				}
				acknowledged = seen;
				break;
			}
		}
		assert_true(used > 500);
	}
}

/* A polling driver may use so many buffers that a packed ring's position repeats. */
static void test_a_position_that_repeats(void **state)
{
	struct board *board = *state;

	boot(board, RIG_VERSION_1 | RIG_PACKED);
	echo(board, 0);
	get(board, VIRTIO_MMIO_INTERRUPT_STATUS);
	put(board, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	assert_int_equal(get(board, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	/* Two ring entries each, as readable and writable bytes are apart. */
	for (int i = 0; i < QUEUE_SIZE; i++) {
		request(board, 0);
		expect_answer(board, 0);
	}
	assert_int_equal(get(board, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	put(board, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	assert_int_equal(get(board, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
}

static void test_used_between_read_and_acknowledgement(void **state)
{
	struct board *board = *state;

	boot(board, RIG_VERSION_1);
	echo(board, 0);
	assert_true(get(board, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_VRING);
	echo(board, 1);
	put(board, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	assert_true(get(board, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_VRING);
	put(board, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	assert_int_equal(get(board, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
}

static void change_config(struct vhost_rig *rig, void *context)
{
	rig->test.config[RIG_WRITABLE]++;
	virtio_device_config_changed(&rig->test.device);
}

static void test_configuration_changes(void **state)
{
	struct board *board = *state;
	uint32_t generation;
	uint8_t before = 0, after = 0;

	boot(board, RIG_VERSION_1);
	generation = get(board, VIRTIO_MMIO_CONFIG_GENERATION);
	access_register(board, VIRTIO_MMIO_CONFIG + RIG_WRITABLE, &before, 1, false);
	/* The device may have polled its rings. */
	usleep(100000);
	fake_take_interrupt(&board->fake, SLOT_IRQ);
	rig_run(&board->rig, change_config, NULL);
	for (int i = 0; i < 5000 && !fake_take_interrupt(&board->fake, SLOT_IRQ); i++)
		usleep(1000);
	assert_int_equal(get(board, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	access_register(board, VIRTIO_MMIO_CONFIG + RIG_WRITABLE, &after, 1, false);
	assert_int_equal(after, before + 1);
	assert_int_not_equal(get(board, VIRTIO_MMIO_CONFIG_GENERATION), generation);
	put(board, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_CONFIG);
	assert_int_equal(get(board, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
}

static void change_config_silently(struct vhost_rig *rig, void *context)
{
	rig->test.config[RIG_WRITABLE]++;
}

/*
 * A change of configuration space by a command on a queue is visible when the command is used,
 * without an interrupt.
 */
static void test_configuration_that_changes_silently(void **state)
{
	struct board *board = *state;
	uint32_t generation;
	uint8_t before = 0, after = 0;

	boot(board, RIG_VERSION_1);
	access_register(board, VIRTIO_MMIO_CONFIG + RIG_WRITABLE, &before, 1, false);
	generation = get(board, VIRTIO_MMIO_CONFIG_GENERATION);
	rig_run(&board->rig, change_config_silently, NULL);
	access_register(board, VIRTIO_MMIO_CONFIG + RIG_WRITABLE, &after, 1, false);
	assert_int_equal(after, before + 1);
	assert_int_not_equal(get(board, VIRTIO_MMIO_CONFIG_GENERATION), generation);
	assert_false(get(board, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_CONFIG);
}

/* VIRTIO 1.4, 5.2.5.2, for example: a field depends on the negotiated features. */
static void test_configuration_of_features(void **state)
{
	struct board *board = *state;
	uint8_t value = 0;

	negotiate(board, RIG_VERSION_1);
	access_register(board, VIRTIO_MMIO_CONFIG + RIG_CHOSEN, &value, 1, false);
	assert_int_equal(value, RIG_CHOSEN);
	negotiate(board, RIG_VERSION_1 | RIG_DEVICE_FEATURE);
	access_register(board, VIRTIO_MMIO_CONFIG + RIG_CHOSEN, &value, 1, false);
	assert_int_equal(value, 1);
	/* No interrupt before DRIVER_OK. */
	assert_int_equal(get(board, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	put(board, VIRTIO_MMIO_STATUS, 0);
	access_register(board, VIRTIO_MMIO_CONFIG + RIG_CHOSEN, &value, 1, false);
	assert_int_equal(value, RIG_CHOSEN);
}

static void test_queue_reset(void **state)
{
	struct board *board = *state;

	for (int packed = 0; packed < 2; packed++) {
		boot(board, RIG_VERSION_1 | FEATURE_RESET | (packed ? RIG_PACKED : 0));
		for (int i = 0; i < 5; i++) {
			echo(board, 0);
			echo(board, 1);
			put(board, VIRTIO_MMIO_QUEUE_SEL, 0);
			put(board, QUEUE_RESET, 1);
			assert_int_equal(get(board, QUEUE_RESET), 0);
			assert_int_equal(get(board, VIRTIO_MMIO_QUEUE_READY), 0);
			assert_false(fake_write(&board->fake,
						SLOT_ADDRESS + VIRTIO_MMIO_QUEUE_NOTIFY, 0));
			echo(board, 1);
			set_up_queue(board, 0);
		}
		echo(board, 0);
	}
}

static void test_wrong_queues(void **state)
{
	struct board *board = *state;
	static const struct {
		uint32_t size;
		uint64_t descriptors, driver, device;
	} wrong[] = {
		{0, 0x4000, 0x5000, 0x6000},	   {3, 0x4000, 0x5000, 0x6000},
		{512, 0x4000, 0x5000, 0x6000},	   {65535, 0x4000, 0x5000, 0x6000},
		{32, 0x4001, 0x5000, 0x6000},	   {32, 0x4000, 0x5001, 0x6000},
		{32, 0x4000, 0x5000, 0x6002},	   {32, UINT64_MAX - 15, 0x5000, 0x6000},
		{32, 0x4000, MEMORY_SIZE, 0x6000}, {32, 0x4000, 0x5000, MEMORY_SIZE - 64},
	};

	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		assert_true(negotiate(board, RIG_VERSION_1) & VIRTIO_CONFIG_S_FEATURES_OK);
		put(board, VIRTIO_MMIO_QUEUE_SEL, 0);
		put(board, VIRTIO_MMIO_QUEUE_NUM, wrong[i].size);
		set_address(board, VIRTIO_MMIO_QUEUE_DESC_LOW, wrong[i].descriptors);
		set_address(board, VIRTIO_MMIO_QUEUE_AVAIL_LOW, wrong[i].driver);
		set_address(board, VIRTIO_MMIO_QUEUE_USED_LOW, wrong[i].device);
		put(board, VIRTIO_MMIO_QUEUE_READY, 1);
		drive_ok(board);
		assert_true(get(board, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
		assert_int_equal(get(board, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
		assert_int_equal(board->fake.kick_count, 0);
	}
	/* A reset recovers. */
	boot(board, RIG_VERSION_1);
	echo(board, 0);
}

static void test_on_before_its_queues(void **state)
{
	struct board *board = *state;

	put(board, VIRTIO_MMIO_STATUS, STATUS_DRIVER | VIRTIO_CONFIG_S_DRIVER_OK);
	assert_true(get(board, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_true(negotiate(board, RIG_VERSION_1) & VIRTIO_CONFIG_S_FEATURES_OK);
	drive_ok(board);
	assert_int_equal(board->fake.kick_count, 0);
	put(board, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	boot(board, RIG_VERSION_1);
	echo(board, 1);
}

/* The server hangs up after its refusal, before or after the configuration is requested. */
static void test_the_device_refuses_features(void **state)
{
	struct board *board = *state;

	for (int i = 0; i < 10; i++) {
		board->rig.test.refuses_features = true;
		assert_false(negotiate(board, RIG_VERSION_1) & VIRTIO_CONFIG_S_FEATURES_OK);
		board->rig.test.refuses_features = false;
		/* The next driver finds a process, or its setup is sent to the next one. */
		boot(board, RIG_VERSION_1);
		echo(board, 0);
	}
}

/* The server's process is replaced in the middle; the next one has another socket. */
static void replace_server(struct board *board)
{
	rig_stop(&board->rig);
	rig_start(&board->rig, -1);
	lead_to_server(board);
}

/* The next process refuses what the driver set up while none was connected. */
static void test_the_next_process_refuses(void **state)
{
	struct board *board = *state;

	rig_stop(&board->rig);
	boot(board, RIG_VERSION_1);
	rig_start(&board->rig, -1);
	board->rig.test.refuses_features = true;
	lead_to_server(board);
	for (int i = 0; i < 1000 && !(get(board, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
	     i++)
		usleep(10000);
	assert_true(get(board, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(get(board, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	board->rig.test.refuses_features = false;
	boot(board, RIG_VERSION_1);
	echo(board, 0);
}

/* Waits until a process is attached, which handles writes to configuration space. */
static void wait_attached(struct board *board)
{
	uint8_t value = (uint8_t)(board->rig.test.config[0] + 1);

	for (int i = 0; i < 3000 && board->rig.test.config[0] != value; i++) {
		usleep(10000);
		access_register(board, VIRTIO_MMIO_CONFIG, &value, 1, true);
	}
	assert_int_equal(board->rig.test.config[0], value);
}

/* A process without rings gets no kicks, even if its predecessor had rings. */
static void expect_no_kicks(struct board *board)
{
	wait_attached(board);
	assert_true(get(board, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
	for (unsigned int i = 0; i < RIG_QUEUES; i++)
		assert_false(fake_write(&board->fake, SLOT_ADDRESS + VIRTIO_MMIO_QUEUE_NOTIFY, i));
	assert_int_equal(board->fake.kick_count, 0);
	boot(board, RIG_VERSION_1);
	for (unsigned int i = 0; i < RIG_QUEUES; i++)
		echo(board, i);
}

/* The other queues run after the process refused one and hung up. */
static void test_a_queue_is_refused(void **state)
{
	struct board *board = *state;

	boot(board, RIG_VERSION_1 | FEATURE_RESET);
	echo(board, 1);
	put(board, VIRTIO_MMIO_QUEUE_SEL, 0);
	put(board, QUEUE_RESET, 1);
	put(board, VIRTIO_MMIO_QUEUE_NUM, 2 * RIG_QUEUE_SIZE);
	set_address(board, VIRTIO_MMIO_QUEUE_DESC_LOW, 0x4000);
	set_address(board, VIRTIO_MMIO_QUEUE_AVAIL_LOW, 0x5000);
	set_address(board, VIRTIO_MMIO_QUEUE_USED_LOW, 0x6000);
	put(board, VIRTIO_MMIO_QUEUE_READY, 1);
	expect_no_kicks(board);
}

/* All queues run, then the process is replaced by one that refuses them. */
static void test_the_queues_are_refused_by_the_next_process(void **state)
{
	struct board *board = *state;

	boot(board, RIG_VERSION_1);
	echo(board, 1);
	rig_stop(&board->rig);
	rig_start(&board->rig, -1);
	board->rig.test.refuses_features = true;
	lead_to_server(board);
	for (int i = 0; i < 3000 && !(get(board, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
	     i++)
		usleep(10000);
	board->rig.test.refuses_features = false;
	expect_no_kicks(board);
}

static void test_the_process_is_replaced(void **state)
{
	struct board *board = *state;
	static const uint64_t features[] = {
		RIG_VERSION_1,
		RIG_VERSION_1 | RIG_EVENT_INDEX,
		RIG_VERSION_1 | RIG_PACKED | RIG_EVENT_INDEX,
	};

	for (size_t format = 0; format < sizeof(features) / sizeof(features[0]); format++) {
		boot(board, features[format]);
		echo(board, 0);
		/* Some requests that it holds, and some that nobody serves yet. */
		board->rig.test.hold = HOLD_EVERY_SECOND;
		for (int i = 0; i < 6; i++)
			request(board, 0);
		replace_server(board);
		for (int i = 0; i < 6; i++)
			request(board, 0);
		for (int i = 0; i < 12; i++)
			expect_answer(board, 0);
		echo(board, 1);
		assert_int_equal(get(board, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
	}
}

/* Whether device processes keep a record of requests in flight. */
static bool with_record = true;

bool __wrap_vhost_client_has(const struct vhost_client *client,
			     enum vhost_protocol_feature feature);
bool __real_vhost_client_has(const struct vhost_client *client,
			     enum vhost_protocol_feature feature);

bool __wrap_vhost_client_has(const struct vhost_client *client, enum vhost_protocol_feature feature)
{
	return (feature != VHOST_PROTOCOL_INFLIGHT_SHMFD || with_record) &&
	       __real_vhost_client_has(client, feature);
}

static void wait_needs_reset(struct board *board)
{
	for (int i = 0; i < 3000 && !(get(board, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
	     i++)
		usleep(10000);
	assert_true(get(board, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* Has two requests in flight while the process is replaced: queue 2 leaves them in the ring. */
static void replace_with_requests(struct board *board)
{
	boot(board, RIG_VERSION_1 | FEATURE(3));
	request(board, 2);
	request(board, 2);
	replace_server(board);
}

static void expect_repeated(struct board *board)
{
	for (int i = 0; i < 2; i++) {
		rig_nudge(&board->rig);
		expect_answer(board, 2);
	}
	assert_int_equal(get(board, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
}

/* A process of a type whose requests must not be repeated dies, and leaves no record of them. */
static void test_requests_are_not_repeated(void **state)
{
	struct board *board = *state;

	board->shape.replay = DEVICE_REPLAY_NOTHING;
	with_record = false;
	/* Without requests in flight the next process goes on, with those that came meanwhile. */
	boot(board, RIG_VERSION_1);
	echo(board, 0);
	replace_server(board);
	echo(board, 0);
	replace_with_requests(board);
	wait_needs_reset(board);
	board->shape.replay = DEVICE_REPLAY_ALL;
	replace_with_requests(board);
	wait_attached(board);
	expect_repeated(board);
	/* A record tells what was done: then the policy does not matter. */
	with_record = true;
	board->shape.replay = DEVICE_REPLAY_NOTHING;
	replace_with_requests(board);
	wait_attached(board);
	expect_repeated(board);
}

static void wait_for_semaphore(struct vhost_rig *rig, void *context)
{
	sem_wait(context);
}

static void *hold_server(void *argument)
{
	struct board *board = argument;

	rig_run(&board->rig, wait_for_semaphore, &board->go_on);
	return NULL;
}

/* It neither answers nor ends: the driver's reset completes, with the not_ended event. */
static void test_the_process_hangs(void **state)
{
	struct board *board = *state;
	pthread_t holder;

	boot(board, RIG_VERSION_1);
	echo(board, 0);
	sem_init(&board->go_on, 0, 0);
	assert_int_equal(pthread_create(&holder, NULL, hold_server, board), 0);
	usleep(100000);
	put(board, VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(get(board, VIRTIO_MMIO_STATUS), 0);
	assert_int_equal(board->given_up, 1);
	assert_int_equal(board->not_ended, 1);
	sem_post(&board->go_on);
	pthread_join(holder, NULL);
	sem_destroy(&board->go_on);
	/* This process was not killed, so the transport reconnects to it. */
	boot(board, RIG_VERSION_1);
	echo(board, 0);
	assert_int_equal(board->given_up, 1);
}

static void *storm(void *argument)
{
	struct board *board = argument;
	unsigned int seed = (unsigned int)(uintptr_t)pthread_self();

	for (int i = 0; i < 20000; i++) {
		static const uint32_t widths[] = {1, 2, 4, 4, 4, 4, 4, 8};
		uint64_t data = (uint64_t)rand_r(&seed) << 33 ^ (uint64_t)rand_r(&seed);
		uint64_t offset = (uint64_t)rand_r(&seed) % (rand_r(&seed) % 8 ? 0x130 : 0xff8);

		if (rand_r(&seed) % 2)
			data %= 64;
		access_register(board, rand_r(&seed) % 4 ? offset & ~UINT64_C(3) : offset, &data,
				widths[rand_r(&seed) % 8], rand_r(&seed) % 4);
	}
	return NULL;
}

static void test_register_storm(void **state)
{
	struct board *board = *state;
	pthread_t threads[2];

	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, storm, board), 0);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	boot(board, RIG_VERSION_1 | RIG_PACKED);
	echo(board, 0);
}

int main(void)
{
#define BOARD_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		BOARD_TEST(test_identity),
		BOARD_TEST(test_widths),
		BOARD_TEST(test_features),
		BOARD_TEST(test_life),
		BOARD_TEST(test_interrupt_status),
		BOARD_TEST(test_a_position_that_repeats),
		BOARD_TEST(test_used_between_read_and_acknowledgement),
		BOARD_TEST(test_configuration_changes),
		BOARD_TEST(test_configuration_that_changes_silently),
		BOARD_TEST(test_configuration_of_features),
		BOARD_TEST(test_queue_reset),
		BOARD_TEST(test_wrong_queues),
		BOARD_TEST(test_on_before_its_queues),
		BOARD_TEST(test_the_device_refuses_features),
		BOARD_TEST(test_the_next_process_refuses),
		BOARD_TEST(test_a_queue_is_refused),
		BOARD_TEST(test_the_queues_are_refused_by_the_next_process),
		BOARD_TEST(test_the_process_is_replaced),
		BOARD_TEST(test_requests_are_not_repeated),
		BOARD_TEST(test_the_process_hangs),
		BOARD_TEST(test_register_storm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
