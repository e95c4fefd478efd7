// SPDX-License-Identifier: BSD-3-Clause
/*
 * Tests of src/vhost: requests of a device for its shared memory regions, with both ends, and with
 * frontends that answer wrongly or not at all.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit/vhost_raw.h"
#include "unit/vhost_rig.h"
#include "vhost/server_private.h"

#define BIT(name)    (UINT64_C(1) << VHOST_PROTOCOL_##name)
#define PATIENCE_MS  5000
#define NOT_DONE     1
#define ALL_OF_SHMEM (BIT(SHMEM) | BIT(BACKEND_REQ) | BIT(BACKEND_SEND_FD) | BIT(REPLY_ACK))
#define MAPPINGS     (VHOST_REQUESTS_MAX + 1)

/* A request of the device: touched in the server's thread only. */
struct asked {
	struct virtio_mapping mapping; /* first: done casts */
	int accepted;		       /* of virtio_device_map or _unmap */
	int result;
	unsigned int answers;
};

static void on_done(struct virtio_device *device, struct virtio_mapping *mapping, int result)
{
	struct asked *asked = (struct asked *)mapping;

	asked->result = result;
	asked->answers++;
}

static struct asked new_request(int fd)
{
	return (struct asked){
		.mapping = {.region = 2,
			    .writable = true,
			    .offset = 0x1000,
			    .length = 0x2000,
			    .fd = fd,
			    .fd_offset = 0x3000,
			    .done = on_done},
		.result = NOT_DONE,
	};
}

static void map(struct vhost_rig *rig, void *context)
{
	struct asked *asked = context;

	asked->accepted = virtio_device_map(&rig->test.device, &asked->mapping);
}

static void unmap(struct vhost_rig *rig, void *context)
{
	struct asked *asked = context;

	asked->accepted = virtio_device_unmap(&rig->test.device, &asked->mapping);
}

struct look {
	const struct asked *asked;
	struct asked copy;
};

static void look(struct vhost_rig *rig, void *context)
{
	struct look *look = context;

	look->copy = *look->asked;
}

/* Waits for the answer to reach the device, which must be the only one. */
static int await(struct vhost_rig *rig, const struct asked *asked)
{
	struct look seen = {.asked = asked};

	for (int i = 0; i < PATIENCE_MS && seen.copy.answers == 0; i++) {
		rig_run(rig, look, &seen);
		if (seen.copy.answers == 0)
			usleep(1000);
	}
	assert_int_equal(seen.copy.answers, 1);
	return seen.copy.result;
}

static void device_maps_and_unmaps(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct vhost_shmem_config config;
	struct asked asked = new_request(guest->fd), again = asked, gone = asked;
	struct stat file;
	struct error error;

	guest_boot(guest, &fixture->rig, RIG_VERSION_1);
	assert_true(vhost_client_has(guest->client, VHOST_PROTOCOL_SHMEM));
	assert_done(vhost_client_get_shmem_config(guest->client, &config, &error), &error);
	assert_int_equal(config.count, 2);
	assert_int_equal(config.sizes[0], 0x10000);
	assert_int_equal(config.sizes[1], 0);
	assert_int_equal(config.sizes[2], 0x4000);
	assert_int_equal(config.sizes[3], 0);

	rig_run(&fixture->rig, map, &asked);
	assert_int_equal(asked.accepted, 0);
	assert_int_equal(asked.answers, 0);
	guest_wait_backend(guest, &guest->maps, 1);
	assert_int_equal(await(&fixture->rig, &asked), 0);
	assert_int_equal(guest->map.id, 2);
	assert_int_equal(guest->map.shm_offset, 0x1000);
	assert_int_equal(guest->map.length, 0x2000);
	assert_int_equal(guest->map.fd_offset, 0x3000);
	assert_int_equal(guest->map.flags, VHOST_SHMEM_WRITABLE);
	assert_int_equal(fstat(guest->fd, &file), 0);
	assert_int_equal(guest->mapped.st_ino, file.st_ino);

	/* The frontend's reason for a refusal arrives. */
	guest->map_answer = -EEXIST;
	again.mapping.writable = false;
	rig_run(&fixture->rig, map, &again);
	guest_wait_backend(guest, &guest->maps, 2);
	assert_int_equal(await(&fixture->rig, &again), -EEXIST);
	assert_int_equal(guest->map.flags, 0);

	guest->map_answer = 0;
	rig_run(&fixture->rig, unmap, &gone);
	guest_wait_backend(guest, &guest->unmaps, 1);
	assert_int_equal(await(&fixture->rig, &gone), 0);
	assert_int_equal(guest->map.shm_offset, 0x1000);
	guest_echo(guest, 0);
}

/* A successor's mappings are there when its rings run. */
static void maps_are_carried_out_before_the_answer(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct asked asked = new_request(guest->fd);
	struct error error;

	guest_connect(guest, &fixture->rig);
	guest_set_up(guest, RIG_VERSION_1);
	fixture->rig.test.map_when_ready = &asked.mapping;
	guest_start_ring(guest, 0, true);
	assert_int_equal(guest->maps, 1);
	assert_int_equal(await(&fixture->rig, &asked), 0);
	/* Once a driver: not for each ring. */
	guest_start_ring(guest, 1, true);
	assert_int_equal(guest->maps, 1);
	/* Also what was requested before a reset does not come after it. */
	asked = new_request(guest->fd);
	fixture->rig.test.map_when_ready = NULL;
	rig_run(&fixture->rig, map, &asked);
	assert_done(vhost_client_reset(guest->client, &error), &error);
	assert_int_equal(guest->maps, 2);
	assert_int_equal(await(&fixture->rig, &asked), -ECANCELED);
	assert_int_equal(vhost_client_handle_backend(guest->client, &error), 0);
	assert_int_equal(guest->maps, 2);
	/* The late answer to it is not taken for that of the next. */
	guest->map_answer = -ENOSPC;
	asked = new_request(guest->fd);
	rig_run(&fixture->rig, unmap, &asked);
	guest_wait_backend(guest, &guest->unmaps, 1);
	assert_int_equal(await(&fixture->rig, &asked), -ENOSPC);
}

static void requests_outside_regions_are_refused(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	const struct {
		uint8_t region;
		uint64_t offset, length;
	} cases[] = {
		{2, 0, 0x5000},	    {2, 0x4000, 0x1000}, {2, UINT64_MAX - 0xfff, 0x2000},
		{2, 0, UINT64_MAX}, {2, 0x1000, 0},	 {1, 0, 0x1000},
		{3, 0, 0x1000},	    {255, 0, 0x1000},
	};
	struct error error;

	guest_boot(guest, &fixture->rig, RIG_VERSION_1);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct asked asked = new_request(guest->fd);

		asked.mapping.region = cases[i].region;
		asked.mapping.offset = cases[i].offset;
		asked.mapping.length = cases[i].length;
		rig_run(&fixture->rig, map, &asked);
		assert_int_equal(asked.accepted, -EINVAL);
		rig_run(&fixture->rig, unmap, &asked);
		assert_int_equal(asked.accepted, -EINVAL);
	}
	assert_int_equal(vhost_client_handle_backend(guest->client, &error), 0);
	assert_int_equal(guest->maps + guest->unmaps, 0);
}

/* A frontend in raw messages: negotiates these protocol features and gives a channel. */
static int connect_raw(struct rig_fixture *fixture, uint64_t features, int *backend)
{
	struct raw_message message = raw_number(VHOST_USER_SET_PROTOCOL_FEATURES, features);
	struct raw_message question = raw_message(VHOST_USER_GET_FEATURES, NULL, 0);
	struct raw_message answer;
	struct error error;
	int fd = vhost_client_connect(fixture->rig.path, PATIENCE_MS, &error);
	int pair[2];

	assert_done(fd, &error);
	assert_true(raw_send(fd, &message));
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	message = raw_message(VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0);
	raw_add_fd(&message, pair[1]);
	assert_true(raw_send(fd, &message));
	close(pair[1]);
	/* Its answer shows that all of that was handled. */
	assert_true(raw_send(fd, &question));
	assert_true(raw_receive(fd, &answer));
	*backend = pair[0];
	return fd;
}

static void without_the_features_nothing_is_mapped(void **state)
{
	struct rig_fixture *fixture = *state;
	const uint64_t lacks[] = {BIT(SHMEM), BIT(BACKEND_SEND_FD), BIT(REPLY_ACK)};
	int fd, backend;

	for (size_t i = 0; i < sizeof(lacks) / sizeof(lacks[0]); i++) {
		struct asked asked = new_request(fixture->guest.fd);

		fd = connect_raw(fixture, ALL_OF_SHMEM & ~lacks[i], &backend);
		rig_run(&fixture->rig, map, &asked);
		assert_int_equal(asked.accepted, -EOPNOTSUPP);
		close(fd);
		close(backend);
		assert_true(rig_wait_idle(&fixture->rig));
	}
}

static void drop_regions(struct vhost_rig *rig, void *context)
{
	rig->test.device.region_count = 0;
}

static void without_regions_it_is_not_offered(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct raw_message message = raw_number(VHOST_USER_SET_PROTOCOL_FEATURES, ALL_OF_SHMEM);
	struct vhost_shmem_config config;
	struct error error;
	int fd;

	rig_run(&fixture->rig, drop_regions, NULL);
	guest_boot(guest, &fixture->rig, RIG_VERSION_1);
	assert_false(vhost_client_has(guest->client, VHOST_PROTOCOL_SHMEM));
	assert_true(vhost_client_has(guest->client, VHOST_PROTOCOL_BACKEND_SEND_FD));
	assert_int_equal(vhost_client_get_shmem_config(guest->client, &config, &error),
			 -EOPNOTSUPP);
	guest_disconnect(guest);
	fd = vhost_client_connect(fixture->rig.path, PATIENCE_MS, &error);
	assert_true(raw_send(fd, &message));
	assert_true(raw_wait_end(fd));
	close(fd);
	assert_true(rig_logged(&fixture->rig, "were not offered"));
}

static void nor_does_a_client_without_ops_take_it(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;

	guest->ops.shmem_unmap = NULL;
	guest_boot(guest, &fixture->rig, RIG_VERSION_1);
	assert_false(vhost_client_has(guest->client, VHOST_PROTOCOL_SHMEM));
	guest_echo(guest, 0);
}

/* As many requests as fit are pending; the device goes on without their answers. */
static void a_silent_frontend_holds_nothing_up(void **state)
{
	struct rig_fixture *fixture = *state;
	struct asked asked[MAPPINGS];
	struct raw_message question = raw_message(VHOST_USER_GET_FEATURES, NULL, 0);
	struct raw_message answer;
	int backend, fd = connect_raw(fixture, ALL_OF_SHMEM, &backend);

	for (unsigned int i = 0; i < MAPPINGS; i++) {
		asked[i] = new_request(fixture->guest.fd);
		rig_run(&fixture->rig, map, &asked[i]);
		assert_int_equal(asked[i].accepted, i < VHOST_REQUESTS_MAX ? 0 : -EBUSY);
	}
	assert_true(raw_send(fd, &question));
	assert_true(raw_receive(fd, &answer));
	/* One answer makes room for one request. */
	assert_true(raw_receive(backend, &answer));
	assert_int_equal(answer.id, VHOST_USER_BACKEND_SHMEM_MAP);
	assert_int_equal(answer.flags, VHOST_FLAG_VERSION | VHOST_FLAG_NEED_REPLY);
	raw_close_fds(&answer);
	answer = raw_number(VHOST_USER_BACKEND_SHMEM_MAP, 1);
	answer.flags |= VHOST_FLAG_REPLY;
	raw_send_slowly(backend, &answer);
	assert_int_equal(await(&fixture->rig, &asked[0]), -EIO);
	rig_run(&fixture->rig, map, &asked[MAPPINGS - 1]);
	assert_int_equal(asked[MAPPINGS - 1].accepted, 0);
	/* The connection ends: the device learns that for each. */
	close(fd);
	for (unsigned int i = 1; i < MAPPINGS; i++)
		assert_int_equal(await(&fixture->rig, &asked[i]), -ECANCELED);
	close(backend);
}

static void a_closed_channel_cancels_requests(void **state)
{
	struct rig_fixture *fixture = *state;
	struct asked asked = new_request(fixture->guest.fd), later = asked;
	struct raw_message question = raw_message(VHOST_USER_GET_FEATURES, NULL, 0);
	struct raw_message answer;
	int backend, fd = connect_raw(fixture, ALL_OF_SHMEM, &backend);

	rig_run(&fixture->rig, map, &asked);
	assert_int_equal(asked.accepted, 0);
	close(backend);
	assert_int_equal(await(&fixture->rig, &asked), -ECANCELED);
	rig_run(&fixture->rig, map, &later);
	assert_int_equal(later.accepted, -EOPNOTSUPP);
	/* The connection lasts. */
	assert_true(raw_send(fd, &question));
	assert_true(raw_receive(fd, &answer));
	close(fd);
}

static struct raw_message reply(uint32_t id, uint64_t number)
{
	struct raw_message message = raw_number(id, number);

	message.flags |= VHOST_FLAG_REPLY;
	return message;
}

static void wrong_answers_end_the_connection(void **state)
{
	struct rig_fixture *fixture = *state;
	struct raw_message good = reply(VHOST_USER_BACKEND_SHMEM_MAP, 0);
	struct {
		bool asked;
		const char *why;
		struct raw_message message;
	} cases[] = {
		{false, "nobody asked for", good},
		{true, "is the answer to message 9", reply(VHOST_USER_BACKEND_SHMEM_UNMAP, 0)},
		{true, "is the answer to message 9", reply(1234, 0)},
		{true, "is not an answer", raw_number(VHOST_USER_BACKEND_SHMEM_MAP, 0)},
		{true, "has 0 bytes", good},
		{true, "has 9 bytes", good},
		{true, "announces", good},
		{true, "1 descriptors", good},
		{true, "too many descriptors", good},
		{true, "protocol version", good},
		{true, "in the middle of a message", good},
	};

	cases[4].message.size = cases[4].message.length = 0;
	cases[5].message.size = cases[5].message.length = 9;
	cases[6].message.size = 0xfffffff0;
	raw_add_fd(&cases[7].message, fixture->guest.fd);
	while (cases[8].message.fd_count < 20)
		raw_add_fd(&cases[8].message, fixture->guest.fd);
	cases[9].message.flags ^= 3;
	cases[10].message.length = 3;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct asked asked = new_request(fixture->guest.fd);
		int backend, fd = connect_raw(fixture, ALL_OF_SHMEM, &backend);

		rig_forget_log_limit(&fixture->rig);
		if (cases[i].asked)
			rig_run(&fixture->rig, map, &asked);
		assert_true(raw_send(backend, &cases[i].message));
		if (cases[i].message.length == 3)
			shutdown(backend, SHUT_WR);
		assert_true(raw_wait_end(fd));
		if (cases[i].asked)
			assert_int_equal(await(&fixture->rig, &asked), -ECANCELED);
		close(backend);
		close(fd);
		assert_true(rig_logged(&fixture->rig, cases[i].why));
	}
	guest_boot(&fixture->guest, &fixture->rig, RIG_VERSION_1);
	guest_echo(&fixture->guest, 0);
}

/* Nobody reads the channel, which fills; the requests on it are cancelled from the loop. */
static void fill_channel(struct vhost_rig *rig, void *context)
{
	struct asked *asked = context;

	for (unsigned int i = 0; i < 3000; i++)
		virtio_device_config_changed(&rig->test.device);
	assert_int_equal(asked->answers, 0);
}

static void a_full_channel_cancels_requests(void **state)
{
	struct rig_fixture *fixture = *state;
	struct asked asked = new_request(fixture->guest.fd);
	struct raw_message question = raw_message(VHOST_USER_GET_FEATURES, NULL, 0);
	struct raw_message answer;
	int backend, fd = connect_raw(fixture, ALL_OF_SHMEM | BIT(CONFIG), &backend);

	rig_run(&fixture->rig, map, &asked);
	rig_run(&fixture->rig, fill_channel, &asked);
	assert_int_equal(await(&fixture->rig, &asked), -ECANCELED);
	assert_true(raw_send(fd, &question));
	assert_true(raw_receive(fd, &answer));
	close(backend);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(device_maps_and_unmaps),
		rig_test(maps_are_carried_out_before_the_answer),
		rig_test(requests_outside_regions_are_refused),
		rig_test(without_the_features_nothing_is_mapped),
		rig_test(without_regions_it_is_not_offered),
		rig_test(nor_does_a_client_without_ops_take_it),
		rig_test(a_silent_frontend_holds_nothing_up),
		rig_test(a_closed_channel_cancels_requests),
		rig_test(wrong_answers_end_the_connection),
		rig_test(a_full_channel_cancels_requests),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
