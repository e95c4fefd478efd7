// SPDX-License-Identifier: BSD-3-Clause
/*
 * A device process is replaced by another one that goes on with its state: both ends, with
 * processes that refuse, that die in between, and drivers that do something meanwhile.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <linux/virtio_config.h>
#include <linux/virtio_mmio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit/mmio_board.h"

#define PACKED (RIG_VERSION_1 | RIG_PACKED | RIG_EVENT_INDEX)

static const uint64_t formats[] = {RIG_VERSION_1, RIG_VERSION_1 | RIG_EVENT_INDEX, PACKED};
#define FORMATS (sizeof(formats) / sizeof(formats[0]))

/* What device processes lack, and when they die: wrapped around the real calls. */
static struct {
	bool no_state, no_record;
	bool dies_in_stop, dies_in_save, dies_in_load;
} weak;

/* A process that dies, as the monitor sees it. */
static void die(struct vhost_client *client)
{
	shutdown(vhost_client_fd(client), SHUT_RDWR);
}

bool __wrap_vhost_client_has(const struct vhost_client *client,
			     enum vhost_protocol_feature feature);
bool __real_vhost_client_has(const struct vhost_client *client,
			     enum vhost_protocol_feature feature);

bool __wrap_vhost_client_has(const struct vhost_client *client, enum vhost_protocol_feature feature)
{
	return (feature != VHOST_PROTOCOL_DEVICE_STATE || !weak.no_state) &&
	       (feature != VHOST_PROTOCOL_INFLIGHT_SHMFD || !weak.no_record) &&
	       __real_vhost_client_has(client, feature);
}

int __wrap_vhost_client_stop_ring(struct vhost_client *client, uint16_t index, uint32_t *base,
				  struct error *error);
int __real_vhost_client_stop_ring(struct vhost_client *client, uint16_t index, uint32_t *base,
				  struct error *error);

/* It stops the ring and closes its record, and dies before it answers. */
int __wrap_vhost_client_stop_ring(struct vhost_client *client, uint16_t index, uint32_t *base,
				  struct error *error)
{
	uint32_t unknown;
	int result;

	if (!base || !weak.dies_in_stop || index != 1)
		return __real_vhost_client_stop_ring(client, index, base, error);
	weak.dies_in_stop = false;
	result = __real_vhost_client_stop_ring(client, index, &unknown, error);
	die(client);
	return result < 0 ? result : error_set(error, ECONNRESET, "it has died");
}

int __wrap_vhost_client_save_state(struct vhost_client *client, void *buffer, size_t size,
				   size_t *length, struct error *error);
int __real_vhost_client_save_state(struct vhost_client *client, void *buffer, size_t size,
				   size_t *length, struct error *error);

int __wrap_vhost_client_save_state(struct vhost_client *client, void *buffer, size_t size,
				   size_t *length, struct error *error)
{
	if (weak.dies_in_save)
		die(client);
	weak.dies_in_save = false;
	return __real_vhost_client_save_state(client, buffer, size, length, error);
}

int __wrap_vhost_client_load_state(struct vhost_client *client, const void *state, size_t length,
				   struct error *error);
int __real_vhost_client_load_state(struct vhost_client *client, const void *state, size_t length,
				   struct error *error);

int __wrap_vhost_client_load_state(struct vhost_client *client, const void *state, size_t length,
				   struct error *error)
{
	if (weak.dies_in_load)
		die(client);
	weak.dies_in_load = false;
	return __real_vhost_client_load_state(client, state, length, error);
}

/* Waits until there were @count reports of a kind. */
static void wait_report(struct board *board, enum remote_report report, unsigned int count)
{
	for (int i = 0; i < 10000 && atomic_load(&board->reports[report]) < count; i++)
		usleep(1000);
	assert_int_equal(atomic_load(&board->reports[report]), count);
}

static unsigned int count(struct board *board, enum remote_report report)
{
	return atomic_load(&board->reports[report]);
}

static void set(struct board *board, unsigned int offset, uint8_t value)
{
	board_access(board, VIRTIO_MMIO_CONFIG + offset, &value, 1, true);
}

static uint8_t get(struct board *board, unsigned int offset)
{
	uint8_t value = 0;

	board_access(board, VIRTIO_MMIO_CONFIG + offset, &value, 1, false);
	return value;
}

/* Has the process let go; @why: what keeps its state back, or "". */
static void let_go(struct board *board, const char *why)
{
	unsigned int before = count(board, REMOTE_RELEASED);

	virtio_mmio_release(board->transport, count(board, REMOTE_ATTACHED));
	wait_report(board, REMOTE_RELEASED, before + 1);
	if (*why)
		assert_non_null(strstr(board->why[REMOTE_RELEASED], why));
	else
		assert_string_equal(board->why[REMOTE_RELEASED], "");
}

/* The process that was meant is gone, and nobody would end the one that came. */
static void expect_not_let_go(struct board *board)
{
	unsigned int before = count(board, REMOTE_RELEASED);

	virtio_mmio_release(board->transport, count(board, REMOTE_ATTACHED) - 1);
	wait_report(board, REMOTE_RELEASED, before + 1);
	assert_string_equal(board->why[REMOTE_RELEASED], "another process is connected already");
	board_echo(board, 0);
}

/* The process ends, and the next one comes. */
static void replace(struct board *board)
{
	rig_stop(&board->rig);
	rig_start(&board->rig, -1);
	board_lead_to_server(board);
}

static void replace_and_wait(struct board *board, const char *why)
{
	unsigned int before = count(board, REMOTE_ATTACHED);

	replace(board);
	wait_report(board, REMOTE_ATTACHED, before + 1);
	if (*why)
		assert_non_null(strstr(board->why[REMOTE_ATTACHED], why));
	else
		assert_string_equal(board->why[REMOTE_ATTACHED], "");
}

static void expect_no_reset(struct board *board)
{
	assert_int_equal(board_get(board, VIRTIO_MMIO_STATUS) & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
	assert_int_equal(count(board, REMOTE_GIVEN_UP), 0);
}

/* Requests from before, from meanwhile, and what the driver has set: nothing is lost. */
static void test_the_state_is_carried(void **state)
{
	struct board *board = *state;
	unsigned int taken;

	for (size_t format = 0; format < FORMATS; format++) {
		board_boot(board, formats[format]);
		for (int round = 0; round < 3; round++) {
			board_echo(board, 0);
			set(board, 0, (uint8_t)(0x50 + round));
			board->rig.test.hold = HOLD_EVERY_SECOND;
			taken = board->rig.test.handled + 6;
			for (int i = 0; i < 6; i++)
				board_request(board, 0);
			while (board->rig.test.handled < taken)
				usleep(1000);
			let_go(board, "");
			/* No process takes these. */
			for (int i = 0; i < 6; i++)
				board_request(board, 0);
			assert_int_equal(get(board, 0), 0x50 + round);
			replace_and_wait(board, "");
			for (int i = 0; i < 12; i++)
				board_expect_answer(board, 0);
			assert_int_equal(board->rig.test.handled, 6);
			assert_int_equal(get(board, 0), 0x50 + round);
			board_echo(board, 0);
			board_echo(board, 1);
		}
		expect_no_reset(board);
	}
}

/* The next process goes on without. */
static void test_the_state_is_refused(void **state)
{
	struct board *board = *state;

	for (size_t format = 0; format < FORMATS; format++) {
		board_boot(board, formats[format]);
		board_echo(board, 0);
		set(board, 0, 0x55);
		let_go(board, "");
		board_request(board, 0);
		rig_stop(&board->rig);
		rig_start(&board->rig, -1);
		board->rig.test.host_refuses = true;
		board_lead_to_server(board);
		wait_report(board, REMOTE_ATTACHED, (unsigned int)format + 1);
		assert_non_null(strstr(board->why[REMOTE_ATTACHED], "CHECK_DEVICE_STATE"));
		board_expect_answer(board, 0);
		assert_int_equal(get(board, 0), 0);
		board_echo(board, 0);
	}
	expect_no_reset(board);
	/* It is not offered to anyone else. */
	replace_and_wait(board, "");
	board_echo(board, 0);
	assert_int_equal(get(board, 0), 0);
}

static void test_the_process_has_no_state(void **state)
{
	struct board *board = *state;

	weak.no_state = true;
	board_boot(board, PACKED);
	board_echo(board, 0);
	let_go(board, "does not offer its state");
	/* Nothing was stopped. */
	board_echo(board, 0);
	assert_int_equal(count(board, REMOTE_DETACHED), 0);
	replace_and_wait(board, "");
	board_echo(board, 0);
	weak.no_state = false;
	/* The next one has none, though this one did. */
	let_go(board, "");
	weak.no_state = true;
	replace_and_wait(board, "does not take a state");
	board_echo(board, 0);
	weak.no_state = false;
	expect_no_reset(board);
}

/* It dies while it stops its rings, and while it saves its state: as any death, with the record. */
static void test_the_process_dies_meanwhile(void **state)
{
	struct board *board = *state;

	for (size_t format = 0; format < FORMATS; format++) {
		board_boot(board, formats[format]);
		for (int when = 0; when < 2; when++) {
			for (unsigned int i = 0; i < RIG_QUEUES - 1; i++)
				board_echo(board, i);
			weak.dies_in_stop = when == 0;
			weak.dies_in_save = when == 1;
			let_go(board, when == 0 ? "it has died" : "SET_DEVICE_STATE_FD");
			assert_false(weak.dies_in_stop || weak.dies_in_save);
			for (unsigned int i = 0; i < RIG_QUEUES - 1; i++)
				board_request(board, i);
			replace(board);
			for (unsigned int i = 0; i < RIG_QUEUES - 1; i++)
				board_expect_answer(board, i);
			for (unsigned int i = 0; i < RIG_QUEUES - 1; i++)
				board_echo(board, i);
		}
		expect_no_reset(board);
	}
}

static void test_the_next_process_dies_over_the_state(void **state)
{
	struct board *board = *state;

	for (size_t format = 0; format < FORMATS; format++) {
		unsigned int before = count(board, REMOTE_ATTACHED);

		board_boot(board, formats[format]);
		board_echo(board, 1);
		set(board, 0, 0x66);
		let_go(board, "");
		board_request(board, 1);
		weak.dies_in_load = true;
		/* This server is "the next process" twice, because only its connection ends. */
		replace(board);
		wait_report(board, REMOTE_ATTACHED, before + 1);
		assert_false(weak.dies_in_load);
		assert_true(board->why[REMOTE_ATTACHED][0]);
		board_expect_answer(board, 1);
		assert_int_equal(get(board, 0), 0);
		board_echo(board, 1);
		expect_no_reset(board);
	}
}

static void test_it_is_asked_twice(void **state)
{
	struct board *board = *state;

	board_boot(board, PACKED);
	set(board, 0, 0x77);
	let_go(board, "");
	let_go(board, "no process is connected");
	board_request(board, 0);
	replace_and_wait(board, "");
	board_expect_answer(board, 0);
	assert_int_equal(get(board, 0), 0x77);
	assert_int_equal(count(board, REMOTE_DETACHED), 1);
	expect_not_let_go(board);
	expect_no_reset(board);
}

/* Nothing of a driver gets to the next one, or to another ring. */
static void test_the_driver_resets_meanwhile(void **state)
{
	struct board *board = *state;

	board_boot(board, RIG_VERSION_1 | RIG_DEVICE_FEATURE);
	board_echo(board, 0);
	set(board, 0, 0x11);
	let_go(board, "");
	board_boot(board, PACKED);
	board_request(board, 0);
	replace_and_wait(board, "");
	board_expect_answer(board, 0);
	assert_int_equal(get(board, 0), 0);
	board_echo(board, 1);
	/* A queue. */
	board_boot(board, PACKED | FEATURE_RESET);
	board_echo(board, 0);
	board_echo(board, 1);
	let_go(board, "");
	board_put(board, VIRTIO_MMIO_QUEUE_SEL, 0);
	board_put(board, QUEUE_RESET, 1);
	board_set_up_queue(board, 0);
	replace_and_wait(board, "");
	board_echo(board, 0);
	board_echo(board, 1);
	expect_no_reset(board);
}

/* What the driver sets meanwhile is newer than the state. */
static void test_the_driver_sets_meanwhile(void **state)
{
	struct board *board = *state;

	board->shape.setting_offset = 0;
	board->shape.setting_length = 1;
	board_boot(board, PACKED);
	set(board, 0, 0x21);
	set(board, 1, 0x22);
	let_go(board, "");
	set(board, 0, 0x23);
	assert_int_equal(get(board, 0), 0x23);
	replace_and_wait(board, "");
	assert_int_equal(get(board, 0), 0x23);
	assert_int_equal(get(board, 1), 0x22);
	expect_no_reset(board);
}

/* No driver has set up the device, so there is no state to lose. */
static void test_no_driver(void **state)
{
	struct board *board = *state;

	let_go(board, "");
	replace_and_wait(board, "");
	board_boot(board, PACKED);
	board_echo(board, 0);
	let_go(board, "");
	replace_and_wait(board, "");
	board_put(board, VIRTIO_MMIO_STATUS, 0);
	let_go(board, "");
	replace_and_wait(board, "");
	board_boot(board, RIG_VERSION_1);
	board_echo(board, 0);
}

/* Requests that must not be repeated were not taken by a process that was released. */
static void test_requests_without_a_record(void **state)
{
	struct board *board = *state;

	board->shape.replay = DEVICE_REPLAY_NOTHING;
	weak.no_record = true;
	board_boot(board, RIG_VERSION_1);
	board_echo(board, 0);
	let_go(board, "");
	board_request(board, 0);
	replace_and_wait(board, "");
	board_expect_answer(board, 0);
	board_echo(board, 0);
	expect_no_reset(board);
	weak.no_record = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOARD_TEST(test_the_state_is_carried),
		BOARD_TEST(test_the_state_is_refused),
		BOARD_TEST(test_the_process_has_no_state),
		BOARD_TEST(test_the_process_dies_meanwhile),
		BOARD_TEST(test_the_next_process_dies_over_the_state),
		BOARD_TEST(test_it_is_asked_twice),
		BOARD_TEST(test_the_driver_resets_meanwhile),
		BOARD_TEST(test_the_driver_sets_meanwhile),
		BOARD_TEST(test_no_driver),
		BOARD_TEST(test_requests_without_a_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
