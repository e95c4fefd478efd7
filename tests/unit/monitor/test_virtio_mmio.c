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

#include "unit/mmio_board.h"

static void test_identity(void **state)
{
	struct board *board = *state;

	assert_int_equal(board_get(board, VIRTIO_MMIO_MAGIC_VALUE), 0x74726976);
	assert_int_equal(board_get(board, VIRTIO_MMIO_VERSION), 2);
	assert_int_equal(board_get(board, VIRTIO_MMIO_DEVICE_ID), DEVICE_ID);
	assert_int_equal(board_get(board, VIRTIO_MMIO_VENDOR_ID), 0x31505641);
	assert_true(board_offered(board) & RIG_VERSION_1);
	assert_true(board_offered(board) & RIG_PACKED);
	assert_true(board_offered(board) & FEATURE_RESET);
	assert_false(board_offered(board) & RIG_PLATFORM);
	board_put(board, VIRTIO_MMIO_DEVICE_FEATURES_SEL, 2);
	assert_int_equal(board_get(board, VIRTIO_MMIO_DEVICE_FEATURES), 0);
	board_put(board, VIRTIO_MMIO_QUEUE_SEL, RIG_QUEUES - 1);
	assert_int_equal(board_get(board, VIRTIO_MMIO_QUEUE_NUM_MAX), 256);
	board_put(board, VIRTIO_MMIO_QUEUE_SEL, RIG_QUEUES);
	assert_int_equal(board_get(board, VIRTIO_MMIO_QUEUE_NUM_MAX), 0);
}

static uint64_t get_pair(struct board *board, uint64_t low)
{
	return board_get(board, low) | (uint64_t)board_get(board, low + 4) << 32;
}

/* VIRTIO 1.4, 4.2.2; the rig's device has regions 0 and 2. */
static void test_shared_memory_registers(void **state)
{
	static const uint32_t none[] = {1, 3, 255, 256, 258, UINT32_MAX};
	struct board *board = *state;

	assert_int_equal(get_pair(board, VIRTIO_MMIO_SHM_LEN_LOW), 0x10000);
	assert_int_equal(get_pair(board, VIRTIO_MMIO_SHM_BASE_LOW), WINDOWS);
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		board_put(board, VIRTIO_MMIO_SHM_SEL, none[i]);
		assert_true(get_pair(board, VIRTIO_MMIO_SHM_LEN_LOW) == UINT64_MAX);
		assert_true(get_pair(board, VIRTIO_MMIO_SHM_BASE_LOW) == UINT64_MAX);
	}
	board_put(board, VIRTIO_MMIO_SHM_SEL, 2);
	assert_int_equal(get_pair(board, VIRTIO_MMIO_SHM_LEN_LOW), 0x4000);
	assert_int_equal(get_pair(board, VIRTIO_MMIO_SHM_BASE_LOW),
			 WINDOWS + SHARED_MEMORY_ALIGNMENT);
	/* They are read-only, and a reset selects region 0 again. */
	board_put(board, VIRTIO_MMIO_SHM_LEN_LOW, 1);
	board_put(board, VIRTIO_MMIO_SHM_BASE_LOW, 1);
	assert_int_equal(get_pair(board, VIRTIO_MMIO_SHM_LEN_LOW), 0x4000);
	board_put(board, VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(get_pair(board, VIRTIO_MMIO_SHM_LEN_LOW), 0x10000);
}

static void test_widths(void **state)
{
	struct board *board = *state;
	uint64_t data = 0;

	/* VIRTIO 1.4, 4.2.2.2: 32 bits and aligned, but for configuration space. */
	board_access(board, VIRTIO_MMIO_MAGIC_VALUE, &data, 1, false);
	board_access(board, VIRTIO_MMIO_MAGIC_VALUE, &data, 2, false);
	board_access(board, VIRTIO_MMIO_MAGIC_VALUE, &data, 8, false);
	board_access(board, VIRTIO_MMIO_MAGIC_VALUE + 2, &data, 4, false);
	assert_int_equal(data, 0);
	data = 0x03;
	board_access(board, VIRTIO_MMIO_STATUS, &data, 1, true);
	board_access(board, VIRTIO_MMIO_STATUS, &data, 8, true);
	assert_int_equal(board_get(board, VIRTIO_MMIO_STATUS), 0);
	for (uint32_t width = 1; width <= 8; width *= 2) {
		uint64_t value = 0, again = 0x1122334455667788;

		board_access(board, VIRTIO_MMIO_CONFIG, &again, width, true);
		board_access(board, VIRTIO_MMIO_CONFIG, &value, width, false);
		assert_memory_equal(&value, &again, width);
	}
	/* Beyond its end. */
	data = 0;
	board_access(board, VIRTIO_MMIO_CONFIG + 0x600, &data, 4, false);
	assert_int_equal(data, 0);
}

/* What they return is 0, whatever the bytes of the access held before (VIRTIO 1.4, 4.2.2). */
static void test_registers_that_have_nothing_to_read(void **state)
{
	static const uint32_t registers[] = {
		VIRTIO_MMIO_DEVICE_FEATURES_SEL,
		0x018,
		0x01c,
		VIRTIO_MMIO_DRIVER_FEATURES,
		VIRTIO_MMIO_DRIVER_FEATURES_SEL,
		0x028,
		0x02c,
		VIRTIO_MMIO_QUEUE_SEL,
		VIRTIO_MMIO_QUEUE_NUM,
		0x03c,
		0x040,
		0x048,
		0x04c,
		VIRTIO_MMIO_QUEUE_NOTIFY,
		0x054,
		0x058,
		VIRTIO_MMIO_INTERRUPT_ACK,
		0x068,
		0x06c,
		0x074,
		0x078,
		0x07c,
		VIRTIO_MMIO_QUEUE_DESC_LOW,
		VIRTIO_MMIO_QUEUE_DESC_HIGH,
		0x088,
		0x08c,
		VIRTIO_MMIO_QUEUE_AVAIL_LOW,
		VIRTIO_MMIO_QUEUE_AVAIL_HIGH,
		0x098,
		0x09c,
		VIRTIO_MMIO_QUEUE_USED_LOW,
		VIRTIO_MMIO_QUEUE_USED_HIGH,
		0x0a8,
		VIRTIO_MMIO_SHM_SEL,
		0x0c4,
		0x0c8,
		0x0d0,
		0x0e0,
		0x0f0,
		0x0f8,
	};
	struct board *board = *state;

	for (size_t i = 0; i < sizeof(registers) / sizeof(*registers); i++) {
		uint64_t data = UINT64_MAX;

		board_access(board, registers[i], &data, 4, false);
		assert_int_equal((uint32_t)data, 0);
	}
}

static void test_features(void **state)
{
	struct board *board = *state;

	assert_false(board_negotiate(board, 0) & VIRTIO_CONFIG_S_FEATURES_OK);
	assert_false(board_negotiate(board, RIG_VERSION_1 | RIG_PLATFORM) &
		     VIRTIO_CONFIG_S_FEATURES_OK);
	board_put(board, VIRTIO_MMIO_STATUS, 0);
	board_put(board, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 2);
	board_put(board, VIRTIO_MMIO_DRIVER_FEATURES, 1);
	board_put(board, VIRTIO_MMIO_DRIVER_FEATURES_SEL, 1);
	board_put(board, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(RIG_VERSION_1 >> 32));
	board_put(board, VIRTIO_MMIO_STATUS, STATUS_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK);
	assert_false(board_get(board, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_FEATURES_OK);
	assert_true(board_negotiate(board, RIG_VERSION_1) & VIRTIO_CONFIG_S_FEATURES_OK);
	/* The choice is final. */
	board_put(board, VIRTIO_MMIO_DRIVER_FEATURES, 0);
	board_set_up_queue(board, 0);
	board_drive_ok(board);
	board_echo(board, 0);
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
		board_boot(board, features[i]);
		assert_int_equal(board->fake.kick_count, RIG_QUEUES);
		/* With two, edges could be lost. */
		assert_int_equal(board->fake.interrupt_count, 1);
		assert_int_equal(board->fake.interrupts[0].irq, SLOT_IRQ);
		for (int j = 0; j < 40; j++)
			board_echo(board, (unsigned int)j % 2);
		board_put(board, VIRTIO_MMIO_STATUS, 0);
		assert_int_equal(board_get(board, VIRTIO_MMIO_STATUS), 0);
		assert_int_equal(board_get(board, VIRTIO_MMIO_QUEUE_READY), 0);
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

		board_boot(board, features[format]);
		for (int step = 0; step < 4000; step++) {
			unsigned int index = (unsigned int)rand() % 2;

			switch (rand() % 4) {
			case 0:
				if (pending[index] == QUEUE_SIZE / 2)
					break;
				board_request(board, index);
				pending[index]++;
				break;
			case 1:
				/* Wait for all, so that the number of used buffers is known. */
				for (index = 0; index < 2; index++)
					for (; pending[index] > 0; pending[index]--, used++)
						board_expect_answer(board, index);
				break;
			case 2: {
				uint32_t status = board_get(board, VIRTIO_MMIO_INTERRUPT_STATUS);

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
				board_put(board, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
				if (seen == UINT32_MAX) {
					/* Bring both to a known state. */
					for (index = 0; index < 2; index++)
						for (; pending[index] > 0; pending[index]--, used++)
							board_expect_answer(board, index);
					board_get(board, VIRTIO_MMIO_INTERRUPT_STATUS);
					board_put(board, VIRTIO_MMIO_INTERRUPT_ACK,
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

	board_boot(board, RIG_VERSION_1 | RIG_PACKED);
	board_echo(board, 0);
	board_get(board, VIRTIO_MMIO_INTERRUPT_STATUS);
	board_put(board, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	assert_int_equal(board_get(board, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	/* Two ring entries each, as readable and writable bytes are apart. */
	for (int i = 0; i < QUEUE_SIZE; i++) {
		board_request(board, 0);
		board_expect_answer(board, 0);
	}
	assert_int_equal(board_get(board, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_VRING);
	board_put(board, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	assert_int_equal(board_get(board, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
}

static void test_used_between_read_and_acknowledgement(void **state)
{
	struct board *board = *state;

	board_boot(board, RIG_VERSION_1);
	board_echo(board, 0);
	assert_true(board_get(board, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_VRING);
	board_echo(board, 1);
	board_put(board, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	assert_true(board_get(board, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_VRING);
	board_put(board, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_VRING);
	assert_int_equal(board_get(board, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
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

	board_boot(board, RIG_VERSION_1);
	generation = board_get(board, VIRTIO_MMIO_CONFIG_GENERATION);
	board_access(board, VIRTIO_MMIO_CONFIG + RIG_WRITABLE, &before, 1, false);
	/* The device may have polled its rings. */
	usleep(100000);
	fake_take_interrupt(&board->fake, SLOT_IRQ);
	rig_run(&board->rig, change_config, NULL);
	for (int i = 0; i < 5000 && !fake_take_interrupt(&board->fake, SLOT_IRQ); i++)
		usleep(1000);
	assert_int_equal(board_get(board, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	board_access(board, VIRTIO_MMIO_CONFIG + RIG_WRITABLE, &after, 1, false);
	assert_int_equal(after, before + 1);
	assert_int_not_equal(board_get(board, VIRTIO_MMIO_CONFIG_GENERATION), generation);
	board_put(board, VIRTIO_MMIO_INTERRUPT_ACK, VIRTIO_MMIO_INT_CONFIG);
	assert_int_equal(board_get(board, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
}

/* The notice of a change arrives while the driver reads, which takes it from the channel. */
static void test_configuration_changes_during_a_read(void **state)
{
	struct board *board = *state;
	uint8_t byte;

	board_boot(board, RIG_VERSION_1);
	assert_int_equal(board_get(board, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	loop_thread_stop(&board->thread);
	rig_run(&board->rig, change_config, NULL);
	board_access(board, VIRTIO_MMIO_CONFIG, &byte, 1, false);
	assert_int_equal(board_get(board, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	assert_int_equal(loop_thread_start(&board->thread, "test0", NULL), 0);
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

	board_boot(board, RIG_VERSION_1);
	board_access(board, VIRTIO_MMIO_CONFIG + RIG_WRITABLE, &before, 1, false);
	generation = board_get(board, VIRTIO_MMIO_CONFIG_GENERATION);
	rig_run(&board->rig, change_config_silently, NULL);
	board_access(board, VIRTIO_MMIO_CONFIG + RIG_WRITABLE, &after, 1, false);
	assert_int_equal(after, before + 1);
	assert_int_not_equal(board_get(board, VIRTIO_MMIO_CONFIG_GENERATION), generation);
	assert_false(board_get(board, VIRTIO_MMIO_INTERRUPT_STATUS) & VIRTIO_MMIO_INT_CONFIG);
}

/* VIRTIO 1.4, 5.2.5.2, for example: a field depends on the negotiated features. */
static void test_configuration_of_features(void **state)
{
	struct board *board = *state;
	uint8_t value = 0;

	board_negotiate(board, RIG_VERSION_1);
	board_access(board, VIRTIO_MMIO_CONFIG + RIG_CHOSEN, &value, 1, false);
	assert_int_equal(value, RIG_CHOSEN);
	board_negotiate(board, RIG_VERSION_1 | RIG_DEVICE_FEATURE);
	board_access(board, VIRTIO_MMIO_CONFIG + RIG_CHOSEN, &value, 1, false);
	assert_int_equal(value, 1);
	/* No interrupt before DRIVER_OK. */
	assert_int_equal(board_get(board, VIRTIO_MMIO_INTERRUPT_STATUS), 0);
	board_put(board, VIRTIO_MMIO_STATUS, 0);
	board_access(board, VIRTIO_MMIO_CONFIG + RIG_CHOSEN, &value, 1, false);
	assert_int_equal(value, RIG_CHOSEN);
}

static void test_queue_reset(void **state)
{
	struct board *board = *state;

	for (int packed = 0; packed < 2; packed++) {
		board_boot(board, RIG_VERSION_1 | FEATURE_RESET | (packed ? RIG_PACKED : 0));
		for (int i = 0; i < 5; i++) {
			board_echo(board, 0);
			board_echo(board, 1);
			board_put(board, VIRTIO_MMIO_QUEUE_SEL, 0);
			board_put(board, QUEUE_RESET, 1);
			assert_int_equal(board_get(board, QUEUE_RESET), 0);
			assert_int_equal(board_get(board, VIRTIO_MMIO_QUEUE_READY), 0);
			assert_false(fake_write(&board->fake,
						SLOT_ADDRESS + VIRTIO_MMIO_QUEUE_NOTIFY, 0));
			board_echo(board, 1);
			board_set_up_queue(board, 0);
		}
		board_echo(board, 0);
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
		assert_true(board_negotiate(board, RIG_VERSION_1) & VIRTIO_CONFIG_S_FEATURES_OK);
		board_put(board, VIRTIO_MMIO_QUEUE_SEL, 0);
		board_put(board, VIRTIO_MMIO_QUEUE_NUM, wrong[i].size);
		board_set_address(board, VIRTIO_MMIO_QUEUE_DESC_LOW, wrong[i].descriptors);
		board_set_address(board, VIRTIO_MMIO_QUEUE_AVAIL_LOW, wrong[i].driver);
		board_set_address(board, VIRTIO_MMIO_QUEUE_USED_LOW, wrong[i].device);
		board_put(board, VIRTIO_MMIO_QUEUE_READY, 1);
		board_drive_ok(board);
		assert_true(board_get(board, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
		assert_int_equal(board_get(board, VIRTIO_MMIO_INTERRUPT_STATUS),
				 VIRTIO_MMIO_INT_CONFIG);
		assert_int_equal(board->fake.kick_count, 0);
	}
	/* A reset recovers. */
	board_boot(board, RIG_VERSION_1);
	board_echo(board, 0);
}

static void test_on_before_its_queues(void **state)
{
	struct board *board = *state;

	board_put(board, VIRTIO_MMIO_STATUS, STATUS_DRIVER | VIRTIO_CONFIG_S_DRIVER_OK);
	assert_true(board_get(board, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_true(board_negotiate(board, RIG_VERSION_1) & VIRTIO_CONFIG_S_FEATURES_OK);
	board_drive_ok(board);
	assert_int_equal(board->fake.kick_count, 0);
	board_put(board, VIRTIO_MMIO_QUEUE_NOTIFY, 0);
	board_boot(board, RIG_VERSION_1);
	board_echo(board, 1);
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
		board_access(board, rand_r(&seed) % 4 ? offset & ~UINT64_C(3) : offset, &data,
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
	board_boot(board, RIG_VERSION_1 | RIG_PACKED);
	board_echo(board, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOARD_TEST(test_identity),
		BOARD_TEST(test_shared_memory_registers),
		BOARD_TEST(test_widths),
		BOARD_TEST(test_registers_that_have_nothing_to_read),
		BOARD_TEST(test_features),
		BOARD_TEST(test_life),
		BOARD_TEST(test_interrupt_status),
		BOARD_TEST(test_a_position_that_repeats),
		BOARD_TEST(test_used_between_read_and_acknowledgement),
		BOARD_TEST(test_configuration_changes),
		BOARD_TEST(test_configuration_changes_during_a_read),
		BOARD_TEST(test_configuration_that_changes_silently),
		BOARD_TEST(test_configuration_of_features),
		BOARD_TEST(test_queue_reset),
		BOARD_TEST(test_wrong_queues),
		BOARD_TEST(test_on_before_its_queues),
		BOARD_TEST(test_register_storm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
