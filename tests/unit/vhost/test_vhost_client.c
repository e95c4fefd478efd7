// SPDX-License-Identifier: BSD-3-Clause
/*
 * Tests of src/vhost/client.c and client_device.c against a device process that replies according
 * to the specification, or breaks the protocol in all ways. Its backend channel:
 * test_vhost_client_backend.c. The client against our server: test_vhost_server.c.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "unit/vhost_fake.h"
#include "unit/vhost_raw.h"
#include "unit/vhost_rig.h"
#include "vhost/channel.h"

/* Every call of the client, by the message that it sends. */

static int do_negotiate(struct vhost_client *client, struct error *error)
{
	return 0;
}

static int do_features(struct vhost_client *client, struct error *error)
{
	return vhost_client_set_features(client, RIG_VERSION_1, error);
}

static int do_memory(struct vhost_client *client, struct error *error)
{
	struct vhost_client_region region = {{0, 4096, 0, 0}, vhost_client_fd(client)};

	return vhost_client_set_memory(client, &region, 1, error);
}

static int do_remove(struct vhost_client *client, struct error *error)
{
	return vhost_client_remove_memory(client, &(struct vhost_region){0, 4096, 0, 0}, error);
}

static int do_ring(struct vhost_client *client, struct error *error)
{
	int fd = vhost_client_fd(client);
	struct vhost_client_ring ring = {.index = 1,
					 .size = 4,
					 .kick_fd = fd,
					 .call_fd = fd,
					 .err_fd = fd};

	return vhost_client_start_ring(client, &ring, error);
}

static int do_stop(struct vhost_client *client, struct error *error)
{
	uint32_t base = 0;
	int ret = vhost_client_stop_ring(client, 1, &base, error);

	if (ret == 0)
		assert_int_equal(base, 77);
	return ret;
}

static int do_read_config(struct vhost_client *client, struct error *error)
{
	uint8_t bytes[20];
	int ret = vhost_client_read_config(client, 3, bytes, sizeof(bytes), error);

	if (ret == 0)
		assert_int_equal(bytes[19], 0x5a);
	return ret;
}

static int do_write_config(struct vhost_client *client, struct error *error)
{
	return vhost_client_write_config(client, 3, "abc", 3, error);
}

static int do_get_inflight(struct vhost_client *client, struct error *error)
{
	struct vhost_inflight inflight;
	int fd = -1;
	int ret = vhost_client_get_inflight(client, 1, 4, &inflight, &fd, error);

	if (ret == 0)
		close(fd);
	else
		assert_int_equal(fd, -1);
	return ret;
}

static int do_set_inflight(struct vhost_client *client, struct error *error)
{
	return vhost_client_set_inflight(client, &(struct vhost_inflight){.queue_count = 1},
					 vhost_client_fd(client), error);
}

static int do_get_status(struct vhost_client *client, struct error *error)
{
	uint8_t status = 0;
	int ret = vhost_client_get_status(client, &status, error);

	if (ret == 0)
		assert_int_equal(status, 5);
	return ret;
}

static int do_set_status(struct vhost_client *client, struct error *error)
{
	return vhost_client_set_status(client, 1, error);
}

static int do_iotlb(struct vhost_client *client, struct error *error)
{
	return vhost_client_invalidate_iotlb(client, 0, 1, error);
}

static int do_get_shmem_config(struct vhost_client *client, struct error *error)
{
	struct vhost_shmem_config config = {0};
	int ret = vhost_client_get_shmem_config(client, &config, error);

	if (ret == 0)
		assert_true(config.count == 1 && config.sizes[3] == 0x10000);
	return ret;
}

static int do_set_log(struct vhost_client *client, struct error *error)
{
	return vhost_client_set_log(client, vhost_client_fd(client), 8, 64, error);
}

static int do_save_state(struct vhost_client *client, struct error *error)
{
	char state[8] = "";
	size_t length = 0;
	int ret = vhost_client_save_state(client, state, sizeof(state), &length, error);

	if (ret == 0)
		assert_true(length == 5 && !memcmp(state, "state", 5));
	return ret;
}

static int do_load_state(struct vhost_client *client, struct error *error)
{
	return vhost_client_load_state(client, "state", 5, error);
}

static const struct {
	uint32_t id;
	int (*call)(struct vhost_client *client, struct error *error);
	bool at_negotiation, acknowledged, with_fd;
} calls[] = {
	{VHOST_USER_GET_FEATURES, do_negotiate, true, false, false},
	{VHOST_USER_GET_PROTOCOL_FEATURES, do_negotiate, true, false, false},
	{VHOST_USER_GET_QUEUE_NUM, do_negotiate, true, false, false},
	{VHOST_USER_SET_BACKEND_REQ_FD, do_negotiate, true, true, false},
	{VHOST_USER_SET_FEATURES, do_features, false, true, false},
	{VHOST_USER_ADD_MEM_REG, do_memory, false, true, false},
	{VHOST_USER_REM_MEM_REG, do_remove, false, true, false},
	{VHOST_USER_SET_VRING_NUM, do_ring, false, true, false},
	{VHOST_USER_SET_VRING_ADDR, do_ring, false, true, false},
	{VHOST_USER_SET_VRING_KICK, do_ring, false, true, false},
	{VHOST_USER_SET_VRING_CALL, do_ring, false, true, false},
	{VHOST_USER_SET_VRING_ERR, do_ring, false, true, false},
	{VHOST_USER_SET_VRING_ENABLE, do_ring, false, true, false},
	{VHOST_USER_GET_VRING_BASE, do_stop, false, false, false},
	{VHOST_USER_GET_CONFIG, do_read_config, false, false, false},
	{VHOST_USER_SET_CONFIG, do_write_config, false, true, false},
	{VHOST_USER_GET_INFLIGHT_FD, do_get_inflight, false, false, true},
	{VHOST_USER_SET_INFLIGHT_FD, do_set_inflight, false, true, false},
	{VHOST_USER_GET_STATUS, do_get_status, false, false, false},
	{VHOST_USER_SET_STATUS, do_set_status, false, true, false},
	{VHOST_USER_IOTLB_MSG, do_iotlb, false, true, false},
	{VHOST_USER_GET_SHMEM_CONFIG, do_get_shmem_config, false, false, false},
	{VHOST_USER_SET_LOG_BASE, do_set_log, false, false, false},
	{VHOST_USER_SET_DEVICE_STATE_FD, do_save_state, false, false, false},
	{VHOST_USER_CHECK_DEVICE_STATE, do_load_state, false, false, false},
};

#define CALLS (sizeof(calls) / sizeof(calls[0]))

static void every_call_works(void **state)
{
	struct fake_fixture *fixture = *state;
	struct error error;

	fake_run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, &fake_ops, fixture, &error), &error);
	assert_int_equal(vhost_client_queue_count(fixture->client), 5);
	assert_int_equal(vhost_client_features(fixture->client), RIG_VERSION_1);
	assert_true(vhost_client_backend_fd(fixture->client) >= 0);
	for (size_t i = 0; i < CALLS; i++) {
		assert_done(calls[i].call(fixture->client, &error), &error);
		assert_true(fixture->fake.received[calls[i].id] > 0);
		if (calls[i].acknowledged && !calls[i].at_negotiation)
			assert_true(fixture->fake.last[calls[i].id].flags & VHOST_FLAG_NEED_REPLY);
	}
	assert_int_equal(fixture->fake.received[VHOST_USER_SET_MEM_TABLE], 0);
}

static int expected_error(enum spoil spoil)
{
	switch (spoil) {
	case SPOIL_HANG_UP:
		return -ECONNRESET;
	case SPOIL_SILENCE:
		return -ETIMEDOUT;
	case SPOIL_REFUSE:
		return -EIO;
	default:
		return -EPROTO;
	}
}

static void every_wrong_answer_is_an_error(void **state)
{
	struct fake_fixture *fixture = *state;
	struct error error;

	fake_run(fixture);
	for (size_t i = 0; i < CALLS; i++) {
		for (enum spoil spoil = SPOIL_ID; spoil < SPOIL_KINDS; spoil++) {
			int ret;

			if ((spoil == SPOIL_REFUSE && !calls[i].acknowledged) ||
			    (spoil == SPOIL_FEWER_FDS && !calls[i].with_fd) ||
			    (spoil == SPOIL_SILENCE && i % 4)) /* they take their time */
				continue;
			fake_stop(fixture);
			fake_start(fixture,
				   spoil == SPOIL_SILENCE ? FAKE_TIMEOUT_MS : FAKE_PATIENCE_MS);
			fixture->fake.spoil = spoil;
			fixture->fake.spoil_id = calls[i].id;
			fake_run(fixture);
			ret = vhost_client_negotiate(fixture->client, &fake_ops, fixture, &error);
			if (!calls[i].at_negotiation) {
				assert_done(ret, &error);
				ret = calls[i].call(fixture->client, &error);
			}
			assert_int_equal(ret, expected_error(spoil));
			/* The error names the message, and says what was wrong. */
			assert_non_null(strstr(error.message,
					       vhost_find_frontend_message(calls[i].id)->name));
			ret = do_features(fixture->client, &error);
			if (spoil == SPOIL_REFUSE)
				assert_true(ret == 0 || calls[i].call == do_features);
			else
				assert_int_equal(ret, -EPIPE);
		}
	}
}

static void answers_that_say_something_else(void **state)
{
	struct fake_fixture *fixture = *state;
	struct error error;
	struct raw_message reply;
	const struct vhost_shmem_config part_of_a_page = {.count = 1, .sizes = {[255] = 0x1001}};
	const struct {
		struct raw_message reply;
		int (*call)(struct vhost_client *client, struct error *error);
	} cases[] = {
		{raw_message(VHOST_USER_GET_SHMEM_CONFIG, &part_of_a_page, sizeof(part_of_a_page)),
		 do_get_shmem_config},
		{raw_state(VHOST_USER_GET_VRING_BASE, 0, 77), do_stop},
		{raw_number(VHOST_USER_GET_STATUS, 0x100), do_get_status},
		{raw_message(VHOST_USER_GET_CONFIG, &(struct vhost_config){.offset = 3, .size = 19},
			     12 + 20),
		 do_read_config},
		{raw_message(VHOST_USER_GET_CONFIG, &(struct vhost_config){.offset = 4, .size = 20},
			     12 + 20),
		 do_read_config},
		{raw_message(VHOST_USER_GET_CONFIG, &(struct vhost_config){.offset = 3, .size = 20},
			     12 + 21),
		 do_read_config},
	};

	fake_run(fixture);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake_stop(fixture);
		fake_start(fixture, FAKE_PATIENCE_MS);
		fake_run(fixture);
		assert_done(vhost_client_negotiate(fixture->client, &fake_ops, fixture, &error),
			    &error);
		reply = cases[i].reply;
		reply.flags |= VHOST_FLAG_REPLY;
		/* The reply is there before the request. */
		assert_true(raw_send(fixture->fake.socket, &reply));
		assert_int_equal(cases[i].call(fixture->client, &error), -EPROTO);
		assert_int_equal(do_features(fixture->client, &error), -EPIPE);
	}
}

static void refused_log(void **state)
{
	struct fake_fixture *fixture = *state;
	struct error error;

	fixture->fake.refuses_log = true;
	fake_run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, NULL, NULL, &error), &error);
	assert_int_equal(do_set_log(fixture->client, &error), -EIO);
	assert_done(do_features(fixture->client, &error), &error);
}

/* The specification names no payload of the answer, and DPDK sends none. */
static void accepted_log_without_payload(void **state)
{
	struct fake_fixture *fixture = *state;
	struct raw_message reply = raw_message(VHOST_USER_SET_LOG_BASE, NULL, 0);
	struct error error;

	fake_run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, NULL, NULL, &error), &error);
	fixture->fake.spoil = SPOIL_SILENCE;
	fixture->fake.spoil_id = VHOST_USER_SET_LOG_BASE;
	reply.flags |= VHOST_FLAG_REPLY;
	assert_true(raw_send(fixture->fake.socket, &reply));
	assert_done(do_set_log(fixture->client, &error), &error);
	assert_done(do_features(fixture->client, &error), &error);
}

/* A device process that does with states what it should not, or may. */
static void states_that_do_not_arrive(void **state)
{
	struct fake_fixture *fixture = *state;
	struct fake *fake = &fixture->fake;
	int pair[2];
	struct error error;

	fake_run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, NULL, NULL, &error), &error);
	fake->state_answer = VHOST_STATE_NO_FD | 5;
	assert_int_equal(do_save_state(fixture->client, &error), -EIO);
	assert_int_equal(do_load_state(fixture->client, &error), -EIO);
	fake->state_answer = VHOST_STATE_NO_FD;
	fake->state_wrong = true;
	assert_int_equal(do_save_state(fixture->client, &error), -EIO);
	assert_int_equal(do_load_state(fixture->client, &error), -EIO);
	fake->state_wrong = false;
	fake->state = "longer than the buffer";
	fake->state_length = strlen(fake->state);
	assert_int_equal(do_save_state(fixture->client, &error), -E2BIG);
	/* It may choose the channel itself. */
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(write(pair[1], "state", 5), 5);
	close(pair[1]);
	close(fake->channel);
	fake->channel = pair[0];
	fake->state_answer = 0;
	assert_done(do_save_state(fixture->client, &error), &error);
	fake->channel = -1;
	/* It never closes its end. */
	fake->state_answer = VHOST_STATE_NO_FD;
	fake->state = "state";
	fake->state_length = 5;
	fake_stop(fixture);
	fake_start(fixture, FAKE_TIMEOUT_MS);
	fake->keeps_channel = true;
	fake_run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, NULL, NULL, &error), &error);
	assert_int_equal(do_save_state(fixture->client, &error), -ETIMEDOUT);
	assert_done(do_features(fixture->client, &error), &error);
	/* It says that it chose one, and sends none. */
	fake_stop(fixture);
	fake_start(fixture, FAKE_PATIENCE_MS);
	fake_run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, NULL, NULL, &error), &error);
	fake->spoil = SPOIL_FEWER_FDS;
	fake->spoil_id = VHOST_USER_SET_DEVICE_STATE_FD;
	fake->channel = eventfd(0, EFD_CLOEXEC);
	fake->state_answer = 0;
	assert_int_equal(do_save_state(fixture->client, &error), -EPROTO);
	fake->channel = -1;
	assert_int_equal(do_features(fixture->client, &error), -EPIPE);
}

/* The process's own choice of a channel may be anything: no call waits longer than it may. */
static void a_channel_that_would_block(void **state)
{
	static const uint8_t large[16384];
	struct fake_fixture *fixture = *state;
	struct error error;
	int pipes[2], ret;

	fake_run(fixture);
	fake_stop(fixture);
	fake_start(fixture, FAKE_TIMEOUT_MS);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_true(fcntl(pipes[1], F_SETPIPE_SZ, 4096) >= 4096);
	fixture->fake.channel = pipes[1];
	fixture->fake.state_answer = 0;
	fake_run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, NULL, NULL, &error), &error);
	ret = vhost_client_load_state(fixture->client, large, sizeof(large), &error);
	/* The latter on kernels that cannot use a pipe without waiting. */
	assert_true(ret == -ETIMEDOUT || ret == -EOPNOTSUPP);
	fixture->fake.channel = -1;
	close(pipes[0]);
}

/*
 * What it chose is always ready and never moves: a file with O_DIRECT at its end, which is no
 * channel at all; or it takes nothing, and the connection ends.
 */
static void a_channel_that_never_moves(void **state)
{
	static const uint8_t large[1 << 20];
	struct fake_fixture *fixture = *state;
	struct fake *fake = &fixture->fake;
	FILE *file = tmpfile();
	struct error error;
	int pair[2];

	assert_non_null(file);
	(void)!fcntl(fileno(file), F_SETFL, O_DIRECT);
	fake_run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, NULL, NULL, &error), &error);
	fake->state_answer = 0;
	fake->channel = dup(fileno(file));
	assert_int_equal(do_load_state(fixture->client, &error), -EPROTO);
	fake->channel = -1;
	assert_int_equal(do_features(fixture->client, &error), -EPIPE);
	fclose(file);
	fake_stop(fixture);

	fake_start(fixture, FAKE_PATIENCE_MS);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fake->channel = pair[0];
	fake->state_answer = 0;
	fake->ends_with_state = true;
	fake_run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, NULL, NULL, &error), &error);
	assert_int_equal(vhost_client_load_state(fixture->client, large, sizeof(large), &error),
			 -ECONNRESET);
	fake->channel = -1;
	close(pair[1]);
}

static void refused_configuration(void **state)
{
	struct fake_fixture *fixture = *state;
	struct error error;
	struct raw_message reply = raw_message(VHOST_USER_GET_CONFIG, NULL, 0);
	uint8_t byte;

	fake_run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, NULL, NULL, &error), &error);
	fixture->fake.spoil = SPOIL_SILENCE;
	fixture->fake.spoil_id = VHOST_USER_GET_CONFIG;
	reply.flags |= VHOST_FLAG_REPLY;
	assert_true(raw_send(fixture->fake.socket, &reply));
	assert_int_equal(vhost_client_read_config(fixture->client, 0, &byte, 1, &error), -EIO);
	assert_done(do_features(fixture->client, &error), &error);
}

/* An early device process: no protocol features, no acknowledgements. */
static void plain_device_processes_are_enough(void **state)
{
	struct fake_fixture *fixture = *state;
	struct error error;
	unsigned int barriers;

	fixture->fake.features = RIG_VERSION_1;
	fake_run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, &fake_ops, fixture, &error), &error);
	assert_int_equal(vhost_client_backend_fd(fixture->client), -1);
	assert_done(do_features(fixture->client, &error), &error);
	assert_done(do_memory(fixture->client, &error), &error);
	assert_int_equal(fixture->fake.received[VHOST_USER_SET_MEM_TABLE], 1);
	barriers = fixture->fake.received[VHOST_USER_GET_FEATURES];
	assert_done(do_ring(fixture->client, &error), &error);
	assert_int_equal(fixture->fake.received[VHOST_USER_SET_VRING_ENABLE], 0);
	/* A reply shows that everything before it was done. */
	assert_true(fixture->fake.received[VHOST_USER_GET_FEATURES] > barriers);
	assert_done(do_stop(fixture->client, &error), &error);
	assert_int_equal(do_read_config(fixture->client, &error), -EOPNOTSUPP);
	assert_int_equal(do_get_inflight(fixture->client, &error), -EOPNOTSUPP);
	assert_int_equal(do_get_status(fixture->client, &error), -EOPNOTSUPP);
	assert_int_equal(do_remove(fixture->client, &error), -EOPNOTSUPP);
	assert_int_equal(vhost_client_reset(fixture->client, &error), -EOPNOTSUPP);
	/* Not offering a feature is not an error. */
	assert_done(do_features(fixture->client, &error), &error);
}

static void an_operation_has_one_wait(void **state)
{
	struct fake_fixture *fixture = *state;
	struct error error;
	unsigned int added;

	fake_run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, NULL, NULL, &error), &error);
	/* More than may wait for their acknowledgements at once. */
	vhost_client_begin(fixture->client);
	for (unsigned int i = 0; i < 100; i++)
		assert_done(vhost_client_set_call(fixture->client, 0, -1, &error), &error);
	assert_done(vhost_client_finish(fixture->client, &error), &error);
	assert_int_equal(fixture->fake.received[VHOST_USER_SET_VRING_CALL], 100);
	/* A message without a reply. */
	vhost_client_begin(fixture->client);
	assert_done(vhost_client_finish(fixture->client, &error), &error);
	/*
	 * A failure is reported at the end, and once. Messages sent after it are replied to all the
	 * same; once a reply has reported the failure, nothing is sent any more.
	 */
	fixture->fake.spoil = SPOIL_REFUSE;
	fixture->fake.spoil_id = VHOST_USER_SET_VRING_ADDR;
	vhost_client_begin(fixture->client);
	assert_done(do_ring(fixture->client, &error), &error);
	assert_done(do_stop(fixture->client, &error), &error);
	assert_int_equal(do_features(fixture->client, &error), -EIO);
	assert_int_equal(fixture->fake.received[VHOST_USER_SET_FEATURES], 0);
	assert_int_equal(vhost_client_finish(fixture->client, &error), -EIO);
	assert_non_null(strstr(error.message, "SET_VRING_ADDR: refused"));
	assert_int_equal(fixture->fake.received[VHOST_USER_SET_VRING_ENABLE], 1);
	fixture->fake.spoil = SPOIL_NOTHING;
	vhost_client_begin(fixture->client);
	assert_done(do_ring(fixture->client, &error), &error);
	assert_done(vhost_client_finish(fixture->client, &error), &error);
	/* A reply that nobody needs is received with the others, and checked. */
	vhost_client_begin(fixture->client);
	assert_done(vhost_client_stop_ring(fixture->client, 1, NULL, &error), &error);
	assert_done(do_read_config(fixture->client, &error), &error);
	assert_done(vhost_client_finish(fixture->client, &error), &error);
	/* The set of shared memory is changed at once. */
	fixture->fake.spoil = SPOIL_REFUSE;
	fixture->fake.spoil_id = VHOST_USER_ADD_MEM_REG;
	vhost_client_begin(fixture->client);
	assert_int_equal(do_memory(fixture->client, &error), -EIO);
	assert_done(vhost_client_finish(fixture->client, &error), &error);
	/* It is not changed either when an earlier message failed. */
	fixture->fake.spoil_id = VHOST_USER_SET_FEATURES;
	added = fixture->fake.received[VHOST_USER_ADD_MEM_REG];
	vhost_client_begin(fixture->client);
	assert_done(do_features(fixture->client, &error), &error);
	assert_int_equal(do_memory(fixture->client, &error), -EIO);
	assert_done(vhost_client_finish(fixture->client, &error), &error);
	assert_int_equal(fixture->fake.received[VHOST_USER_ADD_MEM_REG], added);
}

/*
 * A failure is not lost with the connection, whether that breaks before or after the next message.
 */
static void a_refusal_outlives_the_connection(void **state)
{
	struct fake_fixture *fixture = *state;
	struct error error;

	fake_run(fixture);
	for (int sent_behind = 0; sent_behind < 2; sent_behind++) {
		struct pollfd end = {.events = POLLRDHUP};

		fake_stop(fixture);
		fake_start(fixture, FAKE_PATIENCE_MS);
		fixture->fake.spoil = SPOIL_REFUSE_AND_HANG_UP;
		fixture->fake.spoil_id = VHOST_USER_SET_FEATURES;
		fake_run(fixture);
		assert_done(vhost_client_negotiate(fixture->client, NULL, NULL, &error), &error);
		vhost_client_begin(fixture->client);
		assert_done(do_features(fixture->client, &error), &error);
		end.fd = vhost_client_fd(fixture->client);
		assert_int_equal(sent_behind ? 1 : poll(&end, 1, FAKE_PATIENCE_MS), 1);
		assert_true(do_read_config(fixture->client, &error) < 0);
		assert_true(vhost_client_is_broken(fixture->client));
		assert_int_equal(vhost_client_finish(fixture->client, &error), -EIO);
		assert_non_null(strstr(error.message, "SET_FEATURES: refused"));
		assert_int_equal(vhost_client_finish(fixture->client, &error), -EPIPE);
	}
}

static void an_operation_ends_in_time(void **state)
{
	struct fake_fixture *fixture = *state;
	struct error error;

	fake_run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, NULL, NULL, &error), &error);
	fixture->fake.spoil = SPOIL_SILENCE;
	fixture->fake.spoil_id = VHOST_USER_SET_VRING_BASE;
	vhost_client_begin(fixture->client);
	assert_done(do_ring(fixture->client, &error), &error);
	assert_int_equal(vhost_client_finish(fixture->client, &error), -EPROTO);
	assert_int_equal(vhost_client_finish(fixture->client, &error), -EPIPE);
	fake_stop(fixture);
	fake_start(fixture, FAKE_TIMEOUT_MS);
	fake_run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, NULL, NULL, &error), &error);
	fixture->fake.spoil = SPOIL_SILENCE;
	fixture->fake.spoil_id = VHOST_USER_SET_VRING_ENABLE;
	vhost_client_begin(fixture->client);
	assert_done(do_ring(fixture->client, &error), &error);
	assert_int_equal(vhost_client_finish(fixture->client, &error), -ETIMEDOUT);
	assert_non_null(strstr(error.message, "SET_VRING_ENABLE"));
}

/* Without acknowledgements, one request at the end confirms everything before it. */
static void an_operation_of_a_plain_process(void **state)
{
	struct fake_fixture *fixture = *state;
	struct error error;
	unsigned int questions;

	fixture->fake.features = RIG_VERSION_1;
	fake_run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, NULL, NULL, &error), &error);
	questions = fixture->fake.received[VHOST_USER_GET_FEATURES];
	vhost_client_begin(fixture->client);
	assert_done(do_features(fixture->client, &error), &error);
	assert_done(do_memory(fixture->client, &error), &error);
	assert_done(do_ring(fixture->client, &error), &error);
	assert_done(vhost_client_finish(fixture->client, &error), &error);
	assert_int_equal(fixture->fake.received[VHOST_USER_GET_FEATURES], questions + 1);
	/* If the last message was a request, it needs no other one. */
	vhost_client_begin(fixture->client);
	assert_done(do_stop(fixture->client, &error), &error);
	assert_done(vhost_client_finish(fixture->client, &error), &error);
	assert_int_equal(fixture->fake.received[VHOST_USER_GET_FEATURES], questions + 1);
}

static void too_much_memory_is_refused_here(void **state)
{
	struct fake_fixture *fixture = *state;
	struct vhost_client_region regions[70];
	struct error error;

	for (unsigned int i = 0; i < 70; i++)
		regions[i] = (struct vhost_client_region){{i * 4096, 4096, i * 4096, 0},
							  vhost_client_fd(fixture->client)};
	fixture->fake.protocol_features = 0;
	fake_run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, NULL, NULL, &error), &error);
	assert_done(vhost_client_set_memory(fixture->client, regions, 8, &error), &error);
	assert_int_equal(vhost_client_set_memory(fixture->client, regions, 9, &error), -ENOSPC);
	assert_done(vhost_client_set_memory(fixture->client, regions, 0, &error), &error);
	fake_stop(fixture);
	fake_start(fixture, FAKE_PATIENCE_MS);
	fake_run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, NULL, NULL, &error), &error);
	assert_int_equal(vhost_client_set_memory(fixture->client, regions, 70, &error), -ENOSPC);
	assert_done(vhost_client_set_memory(fixture->client, regions, 2, &error), &error);
	/* Sixty-four arrived, and were replaced by two. */
	assert_int_equal(fixture->fake.received[VHOST_USER_ADD_MEM_REG], 66);
	assert_int_equal(fixture->fake.received[VHOST_USER_REM_MEM_REG], 64);
}

static void connecting_has_a_time_limit(void **state)
{
	struct error error;
	int64_t start = clock_now_ms();
	char path[200];

	(void)state;
	assert_int_equal(vhost_client_connect("/nonexistent/socket", 30, &error), -ENOENT);
	assert_in_range(clock_now_ms() - start, 29, 5000);
	assert_non_null(strstr(error.message, "/nonexistent/socket"));
	memset(path, 'x', sizeof(path));
	path[sizeof(path) - 1] = 0;
	assert_int_equal(vhost_client_connect(path, 0, &error), -EINVAL);
	assert_true(error.usage);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fake_test(every_call_works),
		fake_test(every_wrong_answer_is_an_error),
		fake_test(answers_that_say_something_else),
		fake_test(refused_configuration),
		fake_test(refused_log),
		fake_test(accepted_log_without_payload),
		fake_test(a_channel_that_would_block),
		fake_test(a_channel_that_never_moves),
		fake_test(states_that_do_not_arrive),
		fake_test(plain_device_processes_are_enough),
		fake_test(an_operation_has_one_wait),
		fake_test(a_refusal_outlives_the_connection),
		fake_test(an_operation_ends_in_time),
		fake_test(an_operation_of_a_plain_process),
		fake_test(too_much_memory_is_refused_here),
		cmocka_unit_test(connecting_has_a_time_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
