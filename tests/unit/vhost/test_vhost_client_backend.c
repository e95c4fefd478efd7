// SPDX-License-Identifier: BSD-3-Clause
/*
 * Tests of src/vhost/client.c: notices and requests on the backend channel, from a device process
 * that follows the specification or does not.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "unit/vhost_fake.h"

static int do_features(struct vhost_client *client, struct error *error)
{
	return vhost_client_set_features(client, RIG_VERSION_1, error);
}

static int do_stop(struct vhost_client *client, struct error *error)
{
	uint32_t base;

	return vhost_client_stop_ring(client, 1, &base, error);
}

static void send_backend(struct fake_fixture *fixture, uint32_t id, const void *payload,
			 size_t size, bool need_reply)
{
	struct raw_message message = raw_message(id, payload, size);

	message.flags |= need_reply ? VHOST_FLAG_NEED_REPLY : 0;
	assert_true(raw_send(fixture->fake.backend, &message));
}

static void backend_messages_arrive(void **state)
{
	struct fake_fixture *fixture = *state;
	struct vhost_iotlb_msg miss = {.iova = 0x1000,
				       .perm = VHOST_ACCESS_RW,
				       .type = VHOST_IOTLB_MISS};
	struct raw_message reply;
	struct error error;

	fake_run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, &fake_ops, fixture, &error), &error);
	assert_int_equal(vhost_client_handle_backend(fixture->client, &error), 0);
	send_backend(fixture, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, NULL, 0, true);
	send_backend(fixture, VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, NULL, 0, false);
	send_backend(fixture, VHOST_USER_BACKEND_IOTLB_MSG, &miss, sizeof(miss), true);
	miss.iova = 0x2000;
	send_backend(fixture, VHOST_USER_BACKEND_IOTLB_MSG, &miss, sizeof(miss), false);
	/* They also arrive while the client waits for a reply, but are reported only here. */
	assert_done(do_features(fixture->client, &error), &error);
	assert_int_equal(fixture->config_changes, 0);
	fixture->update_on_miss = true;
	assert_int_equal(vhost_client_handle_backend(fixture->client, &error), 0);
	assert_int_equal(fixture->config_changes, 1);
	assert_int_equal(fixture->misses, 2);
	assert_int_equal(fixture->last_iova, 0x2000);
	assert_int_equal(fixture->fake.received[VHOST_USER_IOTLB_MSG], 2);
	for (int i = 0; i < 2; i++) {
		assert_true(raw_receive(fixture->fake.backend, &reply));
		assert_int_equal(reply.id, i ? VHOST_USER_BACKEND_IOTLB_MSG :
					       VHOST_USER_BACKEND_CONFIG_CHANGE_MSG);
		assert_int_equal(reply.flags, VHOST_FLAG_VERSION | VHOST_FLAG_REPLY);
		assert_int_equal(reply.payload.number, 0);
	}
	/* The peer may close the channel. */
	close(fixture->fake.backend);
	fixture->fake.backend = -1;
	assert_int_equal(vhost_client_handle_backend(fixture->client, &error), 0);
	assert_int_equal(vhost_client_backend_fd(fixture->client), -1);
	assert_done(do_features(fixture->client, &error), &error);
}

/* A correct request for region 3, but for its descriptor. */
static struct raw_message map_request(uint32_t id)
{
	const struct vhost_shmem_map map = {.id = 3,
					    .fd_offset = 0x1000,
					    .shm_offset = 0x2000,
					    .length = 0x3000,
					    .flags = VHOST_SHMEM_WRITABLE};
	struct raw_message message = raw_message(id, &map, sizeof(map));

	message.flags |= VHOST_FLAG_NEED_REPLY;
	return message;
}

static void broken_backend_messages_break_the_connection(void **state)
{
	struct fake_fixture *fixture = *state;
	struct error error;
	struct raw_message map = map_request(VHOST_USER_BACKEND_SHMEM_MAP);
	struct raw_message unmap = map_request(VHOST_USER_BACKEND_SHMEM_UNMAP);
	struct raw_message cases[] = {
		map, /* without a descriptor */
		map,
		map,
		unmap,
		raw_number(9, 0),
		raw_number(8, 0),
		raw_number(VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, 0),
		{.id = VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, .flags = 2},
		{.id = VHOST_USER_BACKEND_IOTLB_MSG, .flags = VHOST_FLAG_VERSION, .size = ~0u},
		{.id = VHOST_USER_BACKEND_IOTLB_MSG,
		 .flags = VHOST_FLAG_VERSION | VHOST_FLAG_REPLY,
		 .size = 32,
		 .length = 32},
	};

	raw_add_fd(&cases[1], STDIN_FILENO);
	raw_add_fd(&cases[1], STDIN_FILENO);
	raw_add_fd(&cases[2], STDIN_FILENO);
	cases[2].size = cases[2].length = cases[2].size - 1;
	raw_add_fd(&cases[3], STDIN_FILENO);
	fake_run(fixture);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (int during_call = 0; during_call < 2; during_call++) {
			int ret;

			fake_stop(fixture);
			fake_start(fixture, FAKE_PATIENCE_MS);
			fake_run(fixture);
			assert_done(vhost_client_negotiate(fixture->client, &fake_ops, fixture,
							   &error),
				    &error);
			assert_true(raw_send(fixture->fake.backend, &cases[i]));
			if (during_call) {
				fixture->fake.spoil = SPOIL_SILENCE;
				fixture->fake.spoil_id = VHOST_USER_SET_FEATURES;
				ret = do_features(fixture->client, &error);
			} else {
				ret = vhost_client_handle_backend(fixture->client, &error);
			}
			assert_int_equal(ret, -EPROTO);
			assert_non_null(strstr(error.message, "backend channel"));
			assert_int_equal(do_features(fixture->client, &error), -EPIPE);
		}
	}
}

static void shmem_requests_are_answered(void **state)
{
	struct fake_fixture *fixture = *state;
	struct raw_message map = map_request(VHOST_USER_BACKEND_SHMEM_MAP), reply;
	struct raw_message unmap = map_request(VHOST_USER_BACKEND_SHMEM_UNMAP);
	struct vhost_shmem_map *fields = &map.payload.map;
	struct error error;

	raw_add_fd(&map, STDIN_FILENO);
	fake_run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, &fake_ops, fixture, &error), &error);
	assert_true(raw_send(fixture->fake.backend, &map));
	raw_send_slowly(fixture->fake.backend, &unmap);
	assert_int_equal(vhost_client_handle_backend(fixture->client, &error), 0);
	assert_int_equal(fixture->maps, 1);
	assert_int_equal(fixture->unmaps, 1);
	for (int i = 0; i < 2; i++) {
		assert_true(raw_receive(fixture->fake.backend, &reply));
		assert_int_equal(reply.id, i ? unmap.id : map.id);
		assert_int_equal(reply.payload.number, 0);
	}
	/* The answer is that of the op; without need_reply there is none. */
	fixture->map_answer = -ENOSPC;
	map.flags = VHOST_FLAG_VERSION;
	assert_true(raw_send(fixture->fake.backend, &map));
	assert_true(raw_send(fixture->fake.backend, &unmap));
	assert_int_equal(vhost_client_handle_backend(fixture->client, &error), 0);
	assert_int_equal(fixture->maps, 2);
	assert_true(raw_receive(fixture->fake.backend, &reply));
	assert_int_equal(reply.id, unmap.id);
	assert_int_equal((int64_t)reply.payload.number, -ENOSPC);
	/* What makes no sense is answered without asking. */
	fixture->map_answer = 0;
	map.flags |= VHOST_FLAG_NEED_REPLY;
	for (int i = 0; i < 5; i++) {
		*fields = unmap.payload.map;
		fields->length = i == 0 ? 0 : fields->length;
		fields->flags = i == 1 ? 2 : fields->flags;
		fields->fd_offset = i == 2 ? UINT64_MAX - 0xfff : fields->fd_offset;
		fields->shm_offset = i == 3 ? UINT64_MAX - 0x1fff : fields->shm_offset;
		fields->length = i == 4 ? UINT64_MAX : fields->length;
		assert_true(raw_send(fixture->fake.backend, &map));
		assert_int_equal(vhost_client_handle_backend(fixture->client, &error), 0);
		assert_true(raw_receive(fixture->fake.backend, &reply));
		assert_int_equal((int64_t)reply.payload.number, -EINVAL);
	}
	assert_int_equal(fixture->maps, 2);
	assert_done(do_features(fixture->client, &error), &error);
}

/* The device process answers only after it got its own answer. */
static void requests_are_answered_during_a_call(void **state)
{
	struct fake_fixture *fixture = *state;
	struct error error;

	fixture->fake.question = map_request(VHOST_USER_BACKEND_SHMEM_MAP);
	raw_add_fd(&fixture->fake.question, STDIN_FILENO);
	fixture->map_answer = -EEXIST;
	fake_run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, &fake_ops, fixture, &error), &error);
	fixture->fake.spoil = SPOIL_ASK;
	fixture->fake.spoil_id = VHOST_USER_GET_VRING_BASE;
	assert_done(do_stop(fixture->client, &error), &error);
	assert_int_equal(fixture->maps, 1);
	assert_int_equal((int64_t)fixture->fake.backend_answer, -EEXIST);
}

/* Answer and request are both there: the request was sent first, and is carried out first. */
static void requests_before_an_answer_come_before_it(void **state)
{
	struct fake_fixture *fixture = *state;
	struct raw_message map = map_request(VHOST_USER_BACKEND_SHMEM_MAP);
	struct raw_message reply = raw_state(VHOST_USER_GET_VRING_BASE, 1, 77);
	struct error error;

	raw_add_fd(&map, STDIN_FILENO);
	reply.flags |= VHOST_FLAG_REPLY;
	fake_run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, &fake_ops, fixture, &error), &error);
	fixture->fake.spoil = SPOIL_SILENCE;
	fixture->fake.spoil_id = VHOST_USER_GET_VRING_BASE;
	assert_true(raw_send(fixture->fake.backend, &map));
	assert_true(raw_send(fixture->fake.socket, &reply));
	assert_done(do_stop(fixture->client, &error), &error);
	assert_int_equal(fixture->maps, 1);
}

/* More than are handled in one portion. */
static void many_requests_before_an_answer(void **state)
{
	struct fake_fixture *fixture = *state;
	struct raw_message unmap = map_request(VHOST_USER_BACKEND_SHMEM_UNMAP);
	struct raw_message reply = raw_state(VHOST_USER_GET_VRING_BASE, 1, 77);
	struct error error;

	unmap.flags = VHOST_FLAG_VERSION;
	reply.flags |= VHOST_FLAG_REPLY;
	fake_run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, &fake_ops, fixture, &error), &error);
	fixture->fake.spoil = SPOIL_SILENCE;
	fixture->fake.spoil_id = VHOST_USER_GET_VRING_BASE;
	for (int i = 0; i < 150; i++)
		assert_true(raw_send(fixture->fake.backend, &unmap));
	assert_true(raw_send(fixture->fake.socket, &reply));
	assert_done(do_stop(fixture->client, &error), &error);
	assert_int_equal(fixture->unmaps, 150);
}

static void requests_wait_for_the_end_of_negotiation(void **state)
{
	struct fake_fixture *fixture = *state;
	struct error error;

	for (int operation = 0; operation < 2; operation++) {
		struct fake *fake = &fixture->fake;

		fake_run(fixture);
		fake_stop(fixture);
		fake_start(fixture, FAKE_PATIENCE_MS);
		fixture->maps = 0;
		fake->question = map_request(VHOST_USER_BACKEND_SHMEM_MAP);
		raw_add_fd(&fake->question, STDIN_FILENO);
		fake->spoil = SPOIL_ASK;
		fake->spoil_id = VHOST_USER_SET_BACKEND_REQ_FD;
		fake_run(fixture);
		if (operation)
			vhost_client_begin(fixture->client);
		assert_done(vhost_client_negotiate(fixture->client, &fake_ops, fixture, &error),
			    &error);
		if (operation)
			assert_done(vhost_client_finish(fixture->client, &error), &error);
		assert_int_equal(fixture->maps, 0);
		assert_int_equal(vhost_client_handle_backend(fixture->client, &error), 0);
		assert_int_equal(fixture->maps, 1);
		fake_stop(fixture);
		fake_start(fixture, FAKE_PATIENCE_MS);
	}
	fake_run(fixture);
}

/* One that did not negotiate SHMEM may not use it. */
static void requests_without_the_feature_break_the_connection(void **state)
{
	struct fake_fixture *fixture = *state;
	struct raw_message map = map_request(VHOST_USER_BACKEND_SHMEM_MAP);
	struct error error;

	raw_add_fd(&map, STDIN_FILENO);
	fixture->fake.protocol_features &= ~(UINT64_C(1) << VHOST_PROTOCOL_BACKEND_SEND_FD);
	fake_run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, &fake_ops, fixture, &error), &error);
	assert_false(vhost_client_has(fixture->client, VHOST_PROTOCOL_SHMEM));
	assert_true(raw_send(fixture->fake.backend, &map));
	assert_int_equal(vhost_client_handle_backend(fixture->client, &error), -EPROTO);
	assert_int_equal(fixture->maps, 0);
}

/* More than are handled at once: the caller learns that it has to come back. */
static void a_flood_of_requests_is_handled_in_portions(void **state)
{
	struct fake_fixture *fixture = *state;
	struct raw_message unmap = map_request(VHOST_USER_BACKEND_SHMEM_UNMAP);
	unsigned int calls_needed = 0;
	struct error error;
	int ret;

	unmap.flags = VHOST_FLAG_VERSION;
	fake_run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, &fake_ops, fixture, &error), &error);
	for (int i = 0; i < 150; i++)
		assert_true(raw_send(fixture->fake.backend, &unmap));
	do {
		ret = vhost_client_handle_backend(fixture->client, &error);
		assert_done(ret, &error);
		calls_needed++;
	} while (ret > 0);
	assert_int_equal(fixture->unmaps, 150);
	assert_in_range(calls_needed, 2, 10);
	/* One that never reads the answers loses its connection. */
	unmap.flags |= VHOST_FLAG_NEED_REPLY;
	for (int i = 0; i < 100000 && ret >= 0; i++) {
		assert_true(raw_send(fixture->fake.backend, &unmap));
		ret = vhost_client_handle_backend(fixture->client, &error);
	}
	assert_int_equal(ret, -ETIMEDOUT);
	assert_true(vhost_client_is_broken(fixture->client));
}

static void *flood(void *context)
{
	struct fake_fixture *fixture = context;
	struct raw_message change = raw_message(VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, NULL, 0);

	while (raw_send(fixture->fake.backend, &change))
		;
	return NULL;
}

static void a_flood_does_not_stop_the_clock(void **state)
{
	struct fake_fixture *fixture = *state;
	struct error error;
	pthread_t thread;
	int64_t start;

	fake_run(fixture);
	fake_stop(fixture);
	fake_start(fixture, 4 * FAKE_TIMEOUT_MS);
	fake_run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, &fake_ops, fixture, &error), &error);
	fixture->fake.spoil = SPOIL_SILENCE;
	fixture->fake.spoil_id = VHOST_USER_SET_FEATURES;
	assert_int_equal(pthread_create(&thread, NULL, flood, fixture), 0);
	start = clock_now_ms();
	assert_int_equal(do_features(fixture->client, &error), -ETIMEDOUT);
	assert_in_range(clock_now_ms() - start, 4 * FAKE_TIMEOUT_MS, FAKE_PATIENCE_MS);
	vhost_client_free(fixture->client);
	fixture->client = NULL;
	pthread_join(thread, NULL);
}

static void questions_are_kept_within_bounds(void **state)
{
	struct fake_fixture *fixture = *state;
	struct vhost_iotlb_msg miss = {.perm = VHOST_ACCESS_RW, .type = VHOST_IOTLB_MISS};
	struct error error;

	fake_run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, &fake_ops, fixture, &error), &error);
	for (unsigned int i = 0; i < 200; i++) {
		miss.iova = i;
		send_backend(fixture, VHOST_USER_BACKEND_IOTLB_MSG, &miss, sizeof(miss), false);
	}
	while (fixture->misses < 200)
		assert_done(vhost_client_handle_backend(fixture->client, &error), &error);
	assert_int_equal(fixture->last_iova, 199);
	assert_int_equal(vhost_client_handle_backend(fixture->client, &error), 0);
	assert_int_equal(fixture->misses, 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		fake_test(backend_messages_arrive),
		fake_test(broken_backend_messages_break_the_connection),
		fake_test(shmem_requests_are_answered),
		fake_test(requests_are_answered_during_a_call),
		fake_test(requests_before_an_answer_come_before_it),
		fake_test(many_requests_before_an_answer),
		fake_test(requests_wait_for_the_end_of_negotiation),
		fake_test(requests_without_the_feature_break_the_connection),
		fake_test(a_flood_of_requests_is_handled_in_portions),
		fake_test(a_flood_does_not_stop_the_clock),
		fake_test(questions_are_kept_within_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
