// SPDX-License-Identifier: BSD-3-Clause
/* A device process for the tests of the using side of vhost-user. */
#include "unit/vhost_fake.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

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
	case VHOST_USER_SET_DEVICE_STATE_FD:
		reply->payload.number = fake->state_answer;
		reply->size = sizeof(uint64_t);
		if (!(fake->state_answer & VHOST_STATE_NO_FD))
			raw_add_fd(reply, fake->channel);
		break;
	case VHOST_USER_CHECK_DEVICE_STATE:
		reply->payload.number = fake->state_wrong;
		reply->size = sizeof(uint64_t);
		break;
	case VHOST_USER_SET_LOG_BASE:
		reply->payload.number = fake->refuses_log;
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

/* Writes what it saves; of what it is to load it keeps the channel. */
static void move_state(struct fake *fake, struct raw_message *request)
{
	bool load = request->payload.transfer.direction == VHOST_STATE_LOAD;

	if (!load && fake->state_answer == VHOST_STATE_NO_FD)
		assert_int_equal(write(request->fds[0], fake->state, fake->state_length),
				 fake->state_length);
	if ((load && fake->state_answer & VHOST_STATE_NO_FD) || fake->keeps_channel) {
		if (fake->channel >= 0)
			close(fake->channel);
		fake->channel = request->fds[0];
		request->fd_count = 0;
	}
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
		if (request.id == VHOST_USER_SET_DEVICE_STATE_FD)
			move_state(fake, &request);
		raw_close_fds(&request);
		if (!answer(fake, &request, &reply))
			continue;
		if (fake->spoil != SPOIL_NOTHING && request.id == fake->spoil_id)
			going = send_spoiled(fake, &reply);
		else
			raw_send(fake->socket, &reply);
		raw_close_fds(&reply);
		going &= !(fake->ends_with_state && request.id == VHOST_USER_SET_DEVICE_STATE_FD);
	}
	close(fake->socket);
	return NULL;
}

void fake_start(struct fake_fixture *fixture, int timeout_ms)
{
	struct error error;
	int pair[2];

	memset(&fixture->fake, 0, sizeof(fixture->fake));
	fixture->fake.features = FAKE_FEATURES;
	fixture->fake.protocol_features = vhost_protocol_features;
	fixture->fake.backend = fixture->fake.channel = -1;
	fixture->fake.state_answer = VHOST_STATE_NO_FD;
	fixture->fake.state = "state";
	fixture->fake.state_length = 5;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fixture->fake.socket = pair[0];
	fixture->client = vhost_client_new(pair[1], timeout_ms, &error);
	assert_non_null(fixture->client);
}

void fake_run(struct fake_fixture *fixture)
{
	assert_int_equal(pthread_create(&fixture->fake.thread, NULL, run_fake, &fixture->fake), 0);
}

void fake_stop(struct fake_fixture *fixture)
{
	vhost_client_free(fixture->client);
	pthread_join(fixture->fake.thread, NULL);
	if (fixture->fake.backend >= 0)
		close(fixture->fake.backend);
	if (fixture->fake.channel >= 0)
		close(fixture->fake.channel);
}

int fake_set_up(void **state)
{
	struct fake_fixture *fixture = calloc(1, sizeof(*fixture));

	fixture->fds = rig_count_fds();
	fake_start(fixture, FAKE_PATIENCE_MS);
	*state = fixture;
	return 0;
}

int fake_tear_down(void **state)
{
	struct fake_fixture *fixture = *state;
	unsigned int before = fixture->fds;

	fake_stop(fixture);
	free(fixture);
	assert_int_equal(rig_count_fds(), before);
	return 0;
}

static void on_config_changed(void *context)
{
	((struct fake_fixture *)context)->config_changes++;
}

static void on_miss(void *context, uint64_t iova, uint8_t access)
{
	struct fake_fixture *fixture = context;
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
	struct fake_fixture *fixture = context;

	fixture->maps++;
	assert_true(fcntl(fd, F_GETFD) >= 0);
	assert_int_equal(map->id, 3);
	return fixture->map_answer;
}

static int on_unmap(void *context, const struct vhost_shmem_map *map)
{
	struct fake_fixture *fixture = context;

	fixture->unmaps++;
	assert_int_equal(map->id, 3);
	return fixture->map_answer;
}

const struct vhost_client_ops fake_ops = {on_config_changed, on_miss, on_map, on_unmap};
