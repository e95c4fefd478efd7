// SPDX-License-Identifier: BSD-3-Clause
/*
 * Device processes behind a virtio-mmio transport that refuse, die, are replaced or hang.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mmio.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "unit/mmio_board.h"

/* Each time, and the process stays. */
static void test_the_device_refuses_features(void **state)
{
	struct board *board = *state;

	for (int i = 0; i < 10; i++) {
		board->rig.test.refuses_features = true;
		for (int k = 0; k < 3; k++)
			assert_false(board_negotiate(board, RIG_VERSION_1) &
				     VIRTIO_CONFIG_S_FEATURES_OK);
		board->rig.test.refuses_features = false;
		/* The next driver finds a process, or its setup is sent to the next one. */
		board_boot(board, RIG_VERSION_1);
		board_echo(board, 0);
	}
}

/* How often a process was asked for. */
static atomic_uint connects;

int __wrap_broker_connect(struct broker *broker, uint32_t device, int wait_ms, struct error *error);
int __real_broker_connect(struct broker *broker, uint32_t device, int wait_ms, struct error *error);

int __wrap_broker_connect(struct broker *broker, uint32_t device, int wait_ms, struct error *error)
{
	connects++;
	return __real_broker_connect(broker, device, wait_ms, error);
}

/* Ends the server's process, and waits until the transport knows. */
static void stop_server(struct board *board)
{
	unsigned int before = connects;

	rig_stop(&board->rig);
	while (connects == before)
		usleep(1000);
}

/* The server's process is replaced in the middle; the next one has another socket. */
static void replace_server(struct board *board)
{
	rig_stop(&board->rig);
	rig_start(&board->rig, -1);
	board_lead_to_server(board);
}

/* The next process refuses what the driver set up while none was connected. */
static void test_the_next_process_refuses(void **state)
{
	struct board *board = *state;

	rig_stop(&board->rig);
	board_boot(board, RIG_VERSION_1);
	rig_start(&board->rig, -1);
	board->rig.test.refuses_features = true;
	board_lead_to_server(board);
	for (int i = 0;
	     i < 1000 && !(board_get(board, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET); i++)
		usleep(10000);
	assert_true(board_get(board, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(board_get(board, VIRTIO_MMIO_INTERRUPT_STATUS), VIRTIO_MMIO_INT_CONFIG);
	board->rig.test.refuses_features = false;
	board_boot(board, RIG_VERSION_1);
	board_echo(board, 0);
}

/* Waits until a process is attached, which handles writes to configuration space. */
static void wait_attached(struct board *board)
{
	uint8_t value = (uint8_t)(board->rig.test.config[0] + 1);

	for (int i = 0; i < 3000 && board->rig.test.config[0] != value; i++) {
		usleep(10000);
		board_access(board, VIRTIO_MMIO_CONFIG, &value, 1, true);
	}
	assert_int_equal(board->rig.test.config[0], value);
}

/* A process without rings gets no kicks, even if its predecessor had rings. */
static void expect_no_kicks(struct board *board)
{
	wait_attached(board);
	assert_true(board_get(board, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
	for (unsigned int i = 0; i < RIG_QUEUES; i++)
		assert_false(fake_write(&board->fake, SLOT_ADDRESS + VIRTIO_MMIO_QUEUE_NOTIFY, i));
	assert_int_equal(board->fake.kick_count, 0);
	board_boot(board, RIG_VERSION_1);
	for (unsigned int i = 0; i < RIG_QUEUES; i++)
		board_echo(board, i);
}

/* The other queues run after the process refused one and hung up. */
static void test_a_queue_is_refused(void **state)
{
	struct board *board = *state;

	board_boot(board, RIG_VERSION_1 | FEATURE_RESET);
	board_echo(board, 1);
	board_put(board, VIRTIO_MMIO_QUEUE_SEL, 0);
	board_put(board, QUEUE_RESET, 1);
	board_put(board, VIRTIO_MMIO_QUEUE_NUM, 2 * RIG_QUEUE_SIZE);
	board_set_address(board, VIRTIO_MMIO_QUEUE_DESC_LOW, 0x4000);
	board_set_address(board, VIRTIO_MMIO_QUEUE_AVAIL_LOW, 0x5000);
	board_set_address(board, VIRTIO_MMIO_QUEUE_USED_LOW, 0x6000);
	board_put(board, VIRTIO_MMIO_QUEUE_READY, 1);
	expect_no_kicks(board);
}

/* All queues run, then the process is replaced by one that refuses them. */
static void test_the_queues_are_refused_by_the_next_process(void **state)
{
	struct board *board = *state;

	board_boot(board, RIG_VERSION_1);
	board_echo(board, 1);
	rig_stop(&board->rig);
	rig_start(&board->rig, -1);
	board->rig.test.refuses_features = true;
	board_lead_to_server(board);
	for (int i = 0;
	     i < 3000 && !(board_get(board, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET); i++)
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
		board_boot(board, features[format]);
		board_echo(board, 0);
		/* Some requests that it holds, and some that nobody serves yet. */
		board->rig.test.hold = HOLD_EVERY_SECOND;
		for (int i = 0; i < 6; i++)
			board_request(board, 0);
		replace_server(board);
		for (int i = 0; i < 6; i++)
			board_request(board, 0);
		for (int i = 0; i < 12; i++)
			board_expect_answer(board, 0);
		board_echo(board, 1);
		assert_int_equal(board_get(board, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET,
				 0);
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

/* The process dies once, when it has been given all its rings. */
static bool dies_with_rings;

int __wrap_vhost_client_start_ring(struct vhost_client *client,
				   const struct vhost_client_ring *ring, struct error *error);
int __real_vhost_client_start_ring(struct vhost_client *client,
				   const struct vhost_client_ring *ring, struct error *error);

int __wrap_vhost_client_start_ring(struct vhost_client *client,
				   const struct vhost_client_ring *ring, struct error *error)
{
	int result = __real_vhost_client_start_ring(client, ring, error);

	if (result < 0 || !dies_with_rings || ring->index != RIG_QUEUES - 1)
		return result;
	dies_with_rings = false;
	return error_set(error, EPIPE, "it has died");
}

static void wait_needs_reset(struct board *board)
{
	for (int i = 0;
	     i < 3000 && !(board_get(board, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET); i++)
		usleep(10000);
	assert_true(board_get(board, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* Has two requests in flight while the process is replaced: queue 2 leaves them in the ring. */
static void replace_with_requests(struct board *board)
{
	board_boot(board, RIG_VERSION_1 | FEATURE(3));
	board_request(board, 2);
	board_request(board, 2);
	replace_server(board);
}

static void expect_repeated(struct board *board)
{
	for (int i = 0; i < 2; i++) {
		rig_nudge(&board->rig);
		board_expect_answer(board, 2);
	}
	assert_int_equal(board_get(board, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
}

/* A process of a type whose requests must not be repeated dies, and leaves no record of them. */
static void test_requests_are_not_repeated(void **state)
{
	struct board *board = *state;

	board->shape.replay = DEVICE_REPLAY_NOTHING;
	with_record = false;
	/* Without requests in flight the next process goes on, with those that came meanwhile. */
	board_boot(board, RIG_VERSION_1);
	board_echo(board, 0);
	stop_server(board);
	rig_start(&board->rig, -1);
	board_lead_to_server(board);
	board_echo(board, 0);
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

/*
 * The requests came when no process was there. The next one dies while it is set up, and may have
 * taken them.
 */
static void test_requests_are_not_repeated_after_a_set_up(void **state)
{
	struct board *board = *state;

	board->shape.replay = DEVICE_REPLAY_NOTHING;
	with_record = false;
	board_boot(board, RIG_VERSION_1 | FEATURE(3));
	stop_server(board);
	board_request(board, 2);
	dies_with_rings = true;
	rig_start(&board->rig, -1);
	board_lead_to_server(board);
	wait_needs_reset(board);
	assert_false(dies_with_rings);
	with_record = true;
}

/* A mapping of the device, and its answer: touched in the server's thread only. */
static struct virtio_mapping mapping;
static int map_result;
static atomic_uint map_answers;

static void on_mapped(struct virtio_device *device, struct virtio_mapping *done, int result)
{
	map_result = result;
	atomic_fetch_add(&map_answers, 1);
}

static void map_file(struct vhost_rig *rig, void *context)
{
	mapping = (struct virtio_mapping){
		.region = 2,
		.writable = true,
		.offset = 0x1000,
		.length = 0x2000,
		.fd = *(int *)context,
		.done = on_mapped,
	};
	assert_int_equal(virtio_device_map(&rig->test.device, &mapping), 0);
}

static int map_and_wait(struct board *board, int fd)
{
	unsigned int before = atomic_load(&map_answers);

	rig_run(&board->rig, map_file, &fd);
	for (int i = 0; i < 5000 && atomic_load(&map_answers) == before; i++)
		usleep(1000);
	assert_int_equal(atomic_load(&map_answers), before + 1);
	return map_result;
}

/* Files in a window: until the driver's reset, over the death of the process that mapped them. */
static void test_shared_memory(void **state)
{
	struct board *board = *state;
	const uint8_t *window = board->fake.windows[1].host + 0x1000;
	int first = memfd_create("first", MFD_CLOEXEC), second = memfd_create("", MFD_CLOEXEC);

	assert_int_equal(pwrite(first, "first", 6, 0), 6);
	assert_int_equal(pwrite(second, "other", 6, 0), 6);
	assert_int_equal(ftruncate(first, 0x2000), 0);
	assert_int_equal(ftruncate(second, 0x2000), 0);
	board_boot(board, RIG_VERSION_1);
	assert_int_equal(map_and_wait(board, first), 0);
	assert_string_equal((const char *)window, "first");
	assert_true(map_and_wait(board, second) < 0);
	assert_string_equal((const char *)window, "first");
	replace_server(board);
	board_echo(board, 0);
	assert_string_equal((const char *)window, "first");
	assert_int_equal(map_and_wait(board, second), 0);
	assert_string_equal((const char *)window, "other");
	assert_true(map_and_wait(board, first) < 0);
	board_put(board, VIRTIO_MMIO_STATUS, 0);
	assert_string_equal((const char *)window, "");
	board_boot(board, RIG_VERSION_1);
	assert_int_equal(map_and_wait(board, first), 0);
	/* A reset without a process, too. */
	rig_stop(&board->rig);
	board_put(board, VIRTIO_MMIO_STATUS, 0);
	assert_string_equal((const char *)window, "");
	rig_start(&board->rig, -1);
	board_lead_to_server(board);
	close(first);
	close(second);
}

/* What a process maps, or the guest writes, before a driver has set a status ends with a reset. */
static void test_shared_memory_at_status_0(void **state)
{
	struct board *board = *state;
	char *window = (char *)board->fake.windows[1].host + 0x1000;
	int file = memfd_create("file", MFD_CLOEXEC);

	assert_int_equal(pwrite(file, "file", 5, 0), 5);
	assert_int_equal(ftruncate(file, 0x2000), 0);
	for (int i = 0; i < 2; i++) {
		unsigned int before = atomic_load(&board->rig.test.resets);

		assert_int_equal(map_and_wait(board, file), 0);
		assert_string_equal(window, "file");
		board_put(board, VIRTIO_MMIO_STATUS, 0);
		assert_string_equal(window, "");
		/* The process has to know. */
		assert_int_equal(atomic_load(&board->rig.test.resets), before + 1);
	}
	/* Of blank memory, and by the reset of the machine. */
	strcpy(window, "secret");
	virtio_mmio_detach(board->transport);
	virtio_mmio_attach(board->transport, &board->fake.hypervisor);
	assert_string_equal(window, "");
	close(file);
}

/* What is mapped ends with a device that no process can go on with, before the driver's reset. */
static void test_shared_memory_of_a_device_that_is_given_up(void **state)
{
	struct board *board = *state;
	const uint8_t *window = board->fake.windows[1].host + 0x1000;
	int file = memfd_create("file", MFD_CLOEXEC);

	assert_int_equal(pwrite(file, "file", 5, 0), 5);
	assert_int_equal(ftruncate(file, 0x2000), 0);
	board_boot(board, RIG_VERSION_1);
	assert_int_equal(map_and_wait(board, file), 0);
	rig_stop(&board->rig);
	assert_string_equal((const char *)window, "file");
	rig_start(&board->rig, -1);
	board->rig.test.refuses_features = true;
	board_lead_to_server(board);
	wait_needs_reset(board);
	assert_string_equal((const char *)window, "");
	board->rig.test.refuses_features = false;
	/* The next process has mappings of its own. */
	wait_attached(board);
	assert_int_equal(map_and_wait(board, file), 0);
	assert_string_equal((const char *)window, "file");
	board_boot(board, RIG_VERSION_1);
	assert_string_equal((const char *)window, "");
	board_echo(board, 0);
	close(file);
}

/* The next process is not what the guest knows: with other regions, or with fewer features. */
static void replace_with_another(struct board *board, bool regions)
{
	static const uint64_t sizes[] = {0x10000, 0, 0x8000};
	struct virtio_device *device = &board->rig.test.device;

	rig_stop(&board->rig);
	rig_start(&board->rig, -1);
	if (regions)
		device->region_sizes = sizes;
	else
		device->offered &= ~RIG_EVENT_INDEX;
	board_lead_to_server(board);
}

/* Waits until the attempt to connect that is being made, if any, has ended, and another began. */
static void wait_for_attempt(void)
{
	unsigned int before = connects;

	while (connects == before)
		usleep(1000);
}

/*
 * Such a process is not used. The driver learns that it has to reset the device, whenever it has
 * started it, and what the last process mapped ends.
 */
static void test_another_device(void **state)
{
	struct board *board = *state;
	const char *window = (const char *)board->fake.windows[1].host + 0x1000;
	int file = memfd_create("file", MFD_CLOEXEC);

	assert_int_equal(pwrite(file, "file", 5, 0), 5);
	assert_int_equal(ftruncate(file, 0x2000), 0);
	for (int regions = 0; regions < 2; regions++) {
		board_boot(board, RIG_VERSION_1);
		board_echo(board, 0);
		assert_int_equal(map_and_wait(board, file), 0);
		replace_with_another(board, regions);
		wait_needs_reset(board);
		assert_string_equal(window, "");
		/* A device that is not started needs no reset. */
		board_negotiate(board, RIG_VERSION_1);
		wait_for_attempt();
		wait_for_attempt();
		assert_false(board_get(board, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET);
		board_set_up_queue(board, 0);
		board_drive_ok(board);
		board_request(board, 0);
		wait_needs_reset(board);
		assert_int_equal(atomic_load(&board->rig.test.handled), 0);
		rig_stop(&board->rig);
		wait_for_attempt();
		rig_start(&board->rig, -1);
		board_lead_to_server(board);
	}
	board_boot(board, RIG_VERSION_1);
	board_echo(board, 0);
	close(file);
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

	board_boot(board, RIG_VERSION_1);
	board_echo(board, 0);
	sem_init(&board->go_on, 0, 0);
	assert_int_equal(pthread_create(&holder, NULL, hold_server, board), 0);
	usleep(100000);
	board_put(board, VIRTIO_MMIO_STATUS, 0);
	assert_int_equal(board_get(board, VIRTIO_MMIO_STATUS), 0);
	assert_int_equal(board->reports[REMOTE_GIVEN_UP], 1);
	assert_int_equal(board->not_ended, 1);
	sem_post(&board->go_on);
	pthread_join(holder, NULL);
	sem_destroy(&board->go_on);
	/* This process was not killed, so the transport reconnects to it. */
	board_boot(board, RIG_VERSION_1);
	board_echo(board, 0);
	assert_int_equal(board->reports[REMOTE_GIVEN_UP], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOARD_TEST(test_the_device_refuses_features),
		BOARD_TEST(test_the_next_process_refuses),
		BOARD_TEST(test_a_queue_is_refused),
		BOARD_TEST(test_the_queues_are_refused_by_the_next_process),
		BOARD_TEST(test_the_process_is_replaced),
		BOARD_TEST(test_requests_are_not_repeated),
		BOARD_TEST(test_requests_are_not_repeated_after_a_set_up),
		BOARD_TEST(test_shared_memory),
		BOARD_TEST(test_shared_memory_at_status_0),
		BOARD_TEST(test_shared_memory_of_a_device_that_is_given_up),
		BOARD_TEST(test_another_device),
		BOARD_TEST(test_the_process_hangs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
