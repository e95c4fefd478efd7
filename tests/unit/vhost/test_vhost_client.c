// SPDX-License-Identifier: BSD-3-Clause
/*
 * Tests of src/vhost/client.c and client_device.c against a device process that replies according
 * to the specification, or breaks the protocol in all ways. The client against our server:
 * test_vhost_server.c.
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
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "unit/vhost_raw.h"
#include "unit/vhost_rig.h"
#include "vhost/channel.h"

/* Timeouts where a reply must come, however busy the machine is, and where none comes. */
#define PATIENCE_MS 10000
#define TIMEOUT_MS  250
#define EVERYTHING  (UINT64_C(1) << VHOST_USER_F_PROTOCOL_FEATURES | RIG_VERSION_1)

/* How a reply is spoiled. */
enum spoil {
	SPOIL_NOTHING,
	SPOIL_ID,
	SPOIL_REPLY_FLAG,
	SPOIL_VERSION,
	SPOIL_SHORT,
	SPOIL_LONG,
	SPOIL_HUGE,
	SPOIL_MORE_FDS,
	SPOIL_MANY_FDS,
	SPOIL_FEWER_FDS, /* only where a reply is required */
	SPOIL_HANG_UP,
	SPOIL_HALF,
	SPOIL_SILENCE,
	SPOIL_REFUSE, /* only acknowledgements */
	SPOIL_KINDS,
	SPOIL_REFUSE_AND_HANG_UP, /* depends on the messages before it */
	SPOIL_ASK,		  /* correct, but after a request and its answer */
};

/* A device process in a thread. */
struct fake {
	int socket;
	int backend; /* what SET_BACKEND_REQ_FD brought */
	pthread_t thread;
	uint64_t features, protocol_features;
	uint32_t spoil_id;
	enum spoil spoil;
	struct raw_message question; /* of SPOIL_ASK */
	uint64_t backend_answer;     /* to it */
	unsigned int received[64];   /* messages by id */
	struct raw_message last[64];
};

/* The correct reply; false when there is none. */
static bool answer(struct fake *fake, const struct raw_message *request, struct raw_message *reply)
{
	bool acknowledged = request->flags & VHOST_FLAG_NEED_REPLY;

	*reply = (struct raw_message){
		.id = request->id,
		.flags = VHOST_FLAG_VERSION | VHOST_FLAG_REPLY,
		.size = request->size,
		.payload = request->payload,
	};
	switch (request->id) {
	case VHOST_USER_GET_FEATURES:
		reply->payload.number = fake->features;
		reply->size = sizeof(uint64_t);
		break;
	case VHOST_USER_GET_PROTOCOL_FEATURES:
		reply->payload.number = fake->protocol_features;
		reply->size = sizeof(uint64_t);
		break;
	case VHOST_USER_GET_QUEUE_NUM:
	case VHOST_USER_GET_STATUS:
		reply->payload.number = 5;
		reply->size = sizeof(uint64_t);
		break;
	case VHOST_USER_GET_VRING_BASE:
		reply->payload.state.num = 77;
		break;
	case VHOST_USER_GET_CONFIG:
		memset(reply->payload.config.data, 0x5a, VHOST_CONFIG_MAX);
		break;
	case VHOST_USER_GET_SHMEM_CONFIG:
		reply->payload.shmem.sizes[3] = 0x10000;
		reply->payload.shmem.count = 1;
		reply->size = sizeof(reply->payload.shmem);
		break;
	case VHOST_USER_GET_INFLIGHT_FD:
		reply->payload.inflight.mmap_size = 4096;
		raw_add_fd(reply, memfd_create("inflight", MFD_CLOEXEC));
		break;
	default:
		reply->payload.number = 0;
		reply->size = sizeof(uint64_t);
		reply->length = reply->size;
		return acknowledged;
	}
	reply->length = reply->size;
	return true;
}

/* Sends a wrong reply. False: that ended the connection. */
static bool send_spoiled(struct fake *fake, struct raw_message *reply)
{
	struct raw_message got;

	switch (fake->spoil) {
	case SPOIL_ID:
		reply->id ^= 1;
		break;
	case SPOIL_REPLY_FLAG:
		reply->flags &= ~VHOST_FLAG_REPLY;
		break;
	case SPOIL_VERSION:
		reply->flags ^= 3;
		break;
	case SPOIL_SHORT:
		reply->size = reply->length = reply->size - 1;
		break;
	case SPOIL_LONG:
		reply->size = reply->length = reply->size + 1;
		break;
	case SPOIL_HUGE:
		reply->size = 0xffffffff;
		break;
	case SPOIL_MORE_FDS:
		raw_add_fd(reply, dup(fake->socket));
		break;
	case SPOIL_MANY_FDS:
		while (reply->fd_count < 40)
			raw_add_fd(reply, dup(fake->socket));
		break;
	case SPOIL_FEWER_FDS:
		raw_close_fds(reply);
		break;
	case SPOIL_HANG_UP:
		return false;
	case SPOIL_HALF:
		reply->length = 3;
		raw_send(fake->socket, reply);
		return false;
	case SPOIL_SILENCE:
		return true;
	case SPOIL_REFUSE:
		reply->payload.number = 1;
		break;
	case SPOIL_REFUSE_AND_HANG_UP:
		reply->payload.number = 1;
		raw_send(fake->socket, reply);
		return false;
	case SPOIL_ASK:
		raw_send(fake->backend, &fake->question);
		/* Before the channel is taken into use, an answer cannot be awaited. */
		if (fake->spoil_id == VHOST_USER_SET_BACKEND_REQ_FD)
			break;
		assert_true(raw_receive(fake->backend, &got));
		assert_int_equal(got.id, fake->question.id);
		assert_int_equal(got.flags, VHOST_FLAG_VERSION | VHOST_FLAG_REPLY);
		assert_int_equal(got.size, sizeof(uint64_t));
		fake->backend_answer = got.payload.number;
		break;
	default:
		break;
	}
	return raw_send(fake->socket, reply);
}

static void *run_fake(void *context)
{
	struct fake *fake = context;
	struct raw_message request, reply;
	bool going = true;

	while (going && raw_receive(fake->socket, &request)) {
		fake->received[request.id % 64]++;
		fake->last[request.id % 64] = request;
		if (request.id == VHOST_USER_SET_BACKEND_REQ_FD && fake->backend < 0) {
			fake->backend = request.fds[0];
			request.fd_count = 0;
		}
		raw_close_fds(&request);
		if (!answer(fake, &request, &reply))
			continue;
		if (fake->spoil != SPOIL_NOTHING && request.id == fake->spoil_id)
			going = send_spoiled(fake, &reply);
		else
			raw_send(fake->socket, &reply);
		raw_close_fds(&reply);
	}
	close(fake->socket);
	return NULL;
}

struct fixture {
	struct fake fake;
	struct vhost_client *client;
	unsigned int fds;
	unsigned int config_changes, misses;
	uint64_t last_iova;
	bool update_on_miss;
	unsigned int maps, unmaps;
	int map_answer;
};

static void start_fake(struct fixture *fixture, int timeout_ms)
{
	struct error error;
	int pair[2];

	memset(&fixture->fake, 0, sizeof(fixture->fake));
	fixture->fake.features = EVERYTHING;
	fixture->fake.protocol_features = vhost_protocol_features;
	fixture->fake.backend = -1;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fixture->fake.socket = pair[0];
	fixture->client = vhost_client_new(pair[1], timeout_ms, &error);
	assert_non_null(fixture->client);
}

static void run(struct fixture *fixture)
{
	assert_int_equal(pthread_create(&fixture->fake.thread, NULL, run_fake, &fixture->fake), 0);
}

static void stop_fake(struct fixture *fixture)
{
	vhost_client_free(fixture->client);
	pthread_join(fixture->fake.thread, NULL);
	if (fixture->fake.backend >= 0)
		close(fixture->fake.backend);
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	fixture->fds = rig_count_fds();
	start_fake(fixture, PATIENCE_MS);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	unsigned int before = fixture->fds;

	stop_fake(fixture);
	free(fixture);
	assert_int_equal(rig_count_fds(), before);
	return 0;
}

static void on_config_changed(void *context)
{
	((struct fixture *)context)->config_changes++;
}

static void on_miss(void *context, uint64_t iova, uint8_t access)
{
	struct fixture *fixture = context;
	struct error error;

	fixture->misses++;
	fixture->last_iova = iova;
	assert_int_equal(access, VHOST_ACCESS_RW);
	if (fixture->update_on_miss)
		assert_done(vhost_client_update_iotlb(fixture->client, iova, 1, 1, access, &error),
			    &error);
}

static int on_map(void *context, const struct vhost_shmem_map *map, int fd)
{
	struct fixture *fixture = context;

	fixture->maps++;
	assert_true(fcntl(fd, F_GETFD) >= 0);
	assert_int_equal(map->id, 3);
	return fixture->map_answer;
}

static int on_unmap(void *context, const struct vhost_shmem_map *map)
{
	struct fixture *fixture = context;

	fixture->unmaps++;
	assert_int_equal(map->id, 3);
	return fixture->map_answer;
}

static const struct vhost_client_ops ops = {on_config_changed, on_miss, on_map, on_unmap};

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
};

#define CALLS (sizeof(calls) / sizeof(calls[0]))

static void every_call_works(void **state)
{
	struct fixture *fixture = *state;
	struct error error;

	run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, &ops, fixture, &error), &error);
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
	struct fixture *fixture = *state;
	struct error error;

	run(fixture);
	for (size_t i = 0; i < CALLS; i++) {
		for (enum spoil spoil = SPOIL_ID; spoil < SPOIL_KINDS; spoil++) {
			int ret;

			if ((spoil == SPOIL_REFUSE && !calls[i].acknowledged) ||
			    (spoil == SPOIL_FEWER_FDS && !calls[i].with_fd) ||
			    (spoil == SPOIL_SILENCE && i % 4)) /* they take their time */
				continue;
			stop_fake(fixture);
			start_fake(fixture, spoil == SPOIL_SILENCE ? TIMEOUT_MS : PATIENCE_MS);
			fixture->fake.spoil = spoil;
			fixture->fake.spoil_id = calls[i].id;
			run(fixture);
			ret = vhost_client_negotiate(fixture->client, &ops, fixture, &error);
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
	struct fixture *fixture = *state;
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

	run(fixture);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		stop_fake(fixture);
		start_fake(fixture, PATIENCE_MS);
		run(fixture);
		assert_done(vhost_client_negotiate(fixture->client, &ops, fixture, &error), &error);
		reply = cases[i].reply;
		reply.flags |= VHOST_FLAG_REPLY;
		/* The reply is there before the request. */
		assert_true(raw_send(fixture->fake.socket, &reply));
		assert_int_equal(cases[i].call(fixture->client, &error), -EPROTO);
		assert_int_equal(do_features(fixture->client, &error), -EPIPE);
	}
}

static void refused_configuration(void **state)
{
	struct fixture *fixture = *state;
	struct error error;
	struct raw_message reply = raw_message(VHOST_USER_GET_CONFIG, NULL, 0);
	uint8_t byte;

	run(fixture);
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
	struct fixture *fixture = *state;
	struct error error;
	unsigned int barriers;

	fixture->fake.features = RIG_VERSION_1;
	run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, &ops, fixture, &error), &error);
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
	struct fixture *fixture = *state;
	struct error error;
	unsigned int added;

	run(fixture);
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
	struct fixture *fixture = *state;
	struct error error;

	run(fixture);
	for (int sent_behind = 0; sent_behind < 2; sent_behind++) {
		struct pollfd end = {.events = POLLRDHUP};

		stop_fake(fixture);
		start_fake(fixture, PATIENCE_MS);
		fixture->fake.spoil = SPOIL_REFUSE_AND_HANG_UP;
		fixture->fake.spoil_id = VHOST_USER_SET_FEATURES;
		run(fixture);
		assert_done(vhost_client_negotiate(fixture->client, NULL, NULL, &error), &error);
		vhost_client_begin(fixture->client);
		assert_done(do_features(fixture->client, &error), &error);
		end.fd = vhost_client_fd(fixture->client);
		assert_int_equal(sent_behind ? 1 : poll(&end, 1, PATIENCE_MS), 1);
		assert_true(do_read_config(fixture->client, &error) < 0);
		assert_true(vhost_client_is_broken(fixture->client));
		assert_int_equal(vhost_client_finish(fixture->client, &error), -EIO);
		assert_non_null(strstr(error.message, "SET_FEATURES: refused"));
		assert_int_equal(vhost_client_finish(fixture->client, &error), -EPIPE);
	}
}

static void an_operation_ends_in_time(void **state)
{
	struct fixture *fixture = *state;
	struct error error;

	run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, NULL, NULL, &error), &error);
	fixture->fake.spoil = SPOIL_SILENCE;
	fixture->fake.spoil_id = VHOST_USER_SET_VRING_BASE;
	vhost_client_begin(fixture->client);
	assert_done(do_ring(fixture->client, &error), &error);
	assert_int_equal(vhost_client_finish(fixture->client, &error), -EPROTO);
	assert_int_equal(vhost_client_finish(fixture->client, &error), -EPIPE);
	stop_fake(fixture);
	start_fake(fixture, TIMEOUT_MS);
	run(fixture);
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
	struct fixture *fixture = *state;
	struct error error;
	unsigned int questions;

	fixture->fake.features = RIG_VERSION_1;
	run(fixture);
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
	struct fixture *fixture = *state;
	struct vhost_client_region regions[70];
	struct error error;

	for (unsigned int i = 0; i < 70; i++)
		regions[i] = (struct vhost_client_region){{i * 4096, 4096, i * 4096, 0},
							  vhost_client_fd(fixture->client)};
	fixture->fake.protocol_features = 0;
	run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, NULL, NULL, &error), &error);
	assert_done(vhost_client_set_memory(fixture->client, regions, 8, &error), &error);
	assert_int_equal(vhost_client_set_memory(fixture->client, regions, 9, &error), -ENOSPC);
	assert_done(vhost_client_set_memory(fixture->client, regions, 0, &error), &error);
	stop_fake(fixture);
	start_fake(fixture, PATIENCE_MS);
	run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, NULL, NULL, &error), &error);
	assert_int_equal(vhost_client_set_memory(fixture->client, regions, 70, &error), -ENOSPC);
	assert_done(vhost_client_set_memory(fixture->client, regions, 2, &error), &error);
	/* Sixty-four arrived, and were replaced by two. */
	assert_int_equal(fixture->fake.received[VHOST_USER_ADD_MEM_REG], 66);
	assert_int_equal(fixture->fake.received[VHOST_USER_REM_MEM_REG], 64);
}

/* The backend channel */

static void send_backend(struct fixture *fixture, uint32_t id, const void *payload, size_t size,
			 bool need_reply)
{
	struct raw_message message = raw_message(id, payload, size);

	message.flags |= need_reply ? VHOST_FLAG_NEED_REPLY : 0;
	assert_true(raw_send(fixture->fake.backend, &message));
}

static void backend_messages_arrive(void **state)
{
	struct fixture *fixture = *state;
	struct vhost_iotlb_msg miss = {.iova = 0x1000,
				       .perm = VHOST_ACCESS_RW,
				       .type = VHOST_IOTLB_MISS};
	struct raw_message reply;
	struct error error;

	run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, &ops, fixture, &error), &error);
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
	struct fixture *fixture = *state;
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
	run(fixture);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		for (int during_call = 0; during_call < 2; during_call++) {
			int ret;

			stop_fake(fixture);
			start_fake(fixture, PATIENCE_MS);
			run(fixture);
			assert_done(vhost_client_negotiate(fixture->client, &ops, fixture, &error),
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
	struct fixture *fixture = *state;
	struct raw_message map = map_request(VHOST_USER_BACKEND_SHMEM_MAP), reply;
	struct raw_message unmap = map_request(VHOST_USER_BACKEND_SHMEM_UNMAP);
	struct vhost_shmem_map *fields = &map.payload.map;
	struct error error;

	raw_add_fd(&map, STDIN_FILENO);
	run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, &ops, fixture, &error), &error);
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
	struct fixture *fixture = *state;
	struct error error;

	fixture->fake.question = map_request(VHOST_USER_BACKEND_SHMEM_MAP);
	raw_add_fd(&fixture->fake.question, STDIN_FILENO);
	fixture->map_answer = -EEXIST;
	run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, &ops, fixture, &error), &error);
	fixture->fake.spoil = SPOIL_ASK;
	fixture->fake.spoil_id = VHOST_USER_GET_VRING_BASE;
	assert_done(do_stop(fixture->client, &error), &error);
	assert_int_equal(fixture->maps, 1);
	assert_int_equal((int64_t)fixture->fake.backend_answer, -EEXIST);
}

/* Answer and request are both there: the request was sent first, and is carried out first. */
static void requests_before_an_answer_come_before_it(void **state)
{
	struct fixture *fixture = *state;
	struct raw_message map = map_request(VHOST_USER_BACKEND_SHMEM_MAP);
	struct raw_message reply = raw_state(VHOST_USER_GET_VRING_BASE, 1, 77);
	struct error error;

	raw_add_fd(&map, STDIN_FILENO);
	reply.flags |= VHOST_FLAG_REPLY;
	run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, &ops, fixture, &error), &error);
	fixture->fake.spoil = SPOIL_SILENCE;
	fixture->fake.spoil_id = VHOST_USER_GET_VRING_BASE;
	assert_true(raw_send(fixture->fake.backend, &map));
	assert_true(raw_send(fixture->fake.socket, &reply));
	assert_done(do_stop(fixture->client, &error), &error);
	assert_int_equal(fixture->maps, 1);
}

static void requests_wait_for_the_end_of_negotiation(void **state)
{
	struct fixture *fixture = *state;
	struct error error;

	for (int operation = 0; operation < 2; operation++) {
		struct fake *fake = &fixture->fake;

		run(fixture);
		stop_fake(fixture);
		start_fake(fixture, PATIENCE_MS);
		fixture->maps = 0;
		fake->question = map_request(VHOST_USER_BACKEND_SHMEM_MAP);
		raw_add_fd(&fake->question, STDIN_FILENO);
		fake->spoil = SPOIL_ASK;
		fake->spoil_id = VHOST_USER_SET_BACKEND_REQ_FD;
		run(fixture);
		if (operation)
			vhost_client_begin(fixture->client);
		assert_done(vhost_client_negotiate(fixture->client, &ops, fixture, &error), &error);
		if (operation)
			assert_done(vhost_client_finish(fixture->client, &error), &error);
		assert_int_equal(fixture->maps, 0);
		assert_int_equal(vhost_client_handle_backend(fixture->client, &error), 0);
		assert_int_equal(fixture->maps, 1);
		stop_fake(fixture);
		start_fake(fixture, PATIENCE_MS);
	}
	run(fixture);
}

/* One that did not negotiate SHMEM may not use it. */
static void requests_without_the_feature_break_the_connection(void **state)
{
	struct fixture *fixture = *state;
	struct raw_message map = map_request(VHOST_USER_BACKEND_SHMEM_MAP);
	struct error error;

	raw_add_fd(&map, STDIN_FILENO);
	fixture->fake.protocol_features &= ~(UINT64_C(1) << VHOST_PROTOCOL_BACKEND_SEND_FD);
	run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, &ops, fixture, &error), &error);
	assert_false(vhost_client_has(fixture->client, VHOST_PROTOCOL_SHMEM));
	assert_true(raw_send(fixture->fake.backend, &map));
	assert_int_equal(vhost_client_handle_backend(fixture->client, &error), -EPROTO);
	assert_int_equal(fixture->maps, 0);
}

/* More than are handled at once: the caller learns that it has to come back. */
static void a_flood_of_requests_is_handled_in_portions(void **state)
{
	struct fixture *fixture = *state;
	struct raw_message unmap = map_request(VHOST_USER_BACKEND_SHMEM_UNMAP);
	unsigned int calls_needed = 0;
	struct error error;
	int ret;

	unmap.flags = VHOST_FLAG_VERSION;
	run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, &ops, fixture, &error), &error);
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
	struct fixture *fixture = context;
	struct raw_message change = raw_message(VHOST_USER_BACKEND_CONFIG_CHANGE_MSG, NULL, 0);

	while (raw_send(fixture->fake.backend, &change))
		;
	return NULL;
}

static void a_flood_does_not_stop_the_clock(void **state)
{
	struct fixture *fixture = *state;
	struct error error;
	pthread_t thread;
	int64_t start;

	run(fixture);
	stop_fake(fixture);
	start_fake(fixture, 4 * TIMEOUT_MS);
	run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, &ops, fixture, &error), &error);
	fixture->fake.spoil = SPOIL_SILENCE;
	fixture->fake.spoil_id = VHOST_USER_SET_FEATURES;
	assert_int_equal(pthread_create(&thread, NULL, flood, fixture), 0);
	start = clock_now_ms();
	assert_int_equal(do_features(fixture->client, &error), -ETIMEDOUT);
	assert_in_range(clock_now_ms() - start, 4 * TIMEOUT_MS, PATIENCE_MS);
	vhost_client_free(fixture->client);
	fixture->client = NULL;
	pthread_join(thread, NULL);
}

static void questions_are_kept_within_bounds(void **state)
{
	struct fixture *fixture = *state;
	struct vhost_iotlb_msg miss = {.perm = VHOST_ACCESS_RW, .type = VHOST_IOTLB_MISS};
	struct error error;

	run(fixture);
	assert_done(vhost_client_negotiate(fixture->client, &ops, fixture, &error), &error);
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

#define fake_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		fake_test(every_call_works),
		fake_test(every_wrong_answer_is_an_error),
		fake_test(answers_that_say_something_else),
		fake_test(refused_configuration),
		fake_test(plain_device_processes_are_enough),
		fake_test(an_operation_has_one_wait),
		fake_test(a_refusal_outlives_the_connection),
		fake_test(an_operation_ends_in_time),
		fake_test(an_operation_of_a_plain_process),
		fake_test(too_much_memory_is_refused_here),
		fake_test(backend_messages_arrive),
		fake_test(broken_backend_messages_break_the_connection),
		fake_test(shmem_requests_are_answered),
		fake_test(requests_are_answered_during_a_call),
		fake_test(requests_before_an_answer_come_before_it),
		fake_test(requests_wait_for_the_end_of_negotiation),
		fake_test(requests_without_the_feature_break_the_connection),
		fake_test(a_flood_of_requests_is_handled_in_portions),
		fake_test(a_flood_does_not_stop_the_clock),
		fake_test(questions_are_kept_within_bounds),
		cmocka_unit_test(connecting_has_a_time_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
