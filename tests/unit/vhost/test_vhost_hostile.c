// SPDX-License-Identifier: BSD-3-Clause
/*
 * Tests of src/vhost: a frontend that breaks the protocol loses its connection with a log line,
 * none of its descriptors stays open, and the next frontend is served.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "unit/vhost_raw.h"
#include "unit/vhost_rig.h"
#include "vhost/server_private.h"

/* Linux passes at most 253; this is more than a message may have. */
#define MANY_FDS 40

static int connect_raw(struct rig_fixture *fixture)
{
	struct error error;
	int fd = vhost_client_connect(fixture->rig.path, 5000, &error);

	assert_done(fd, &error);
	return fd;
}

/* Serves a whole guest, which shows that nothing of the previous one is left. */
static void next_is_served(struct rig_fixture *fixture)
{
	guest_boot(&fixture->guest, &fixture->rig, RIG_VERSION_1);
	guest_echo(&fixture->guest, 0);
	guest_disconnect(&fixture->guest);
}

/* The connection ends, with a line that says why. */
static void expect_end(struct rig_fixture *fixture, int fd, const char *why)
{
	assert_true(raw_wait_end(fd));
	close(fd);
	assert_true(rig_logged(&fixture->rig, why));
	next_is_served(fixture);
}

/* One message, then the end of the connection. */
static void expect_breach(struct rig_fixture *fixture, const struct raw_message *message,
			  const char *why)
{
	int fd = connect_raw(fixture);

	raw_send(fd, message);
	expect_end(fixture, fd, why);
}

/* The log has a rate limit, which these tests exceed. */
static void forget_limit(struct rig_fixture *fixture)
{
	rig_forget_log_limit(&fixture->rig);
}

static void wrong_sizes_end_the_connection(void **state)
{
	struct rig_fixture *fixture = *state;

	for (size_t i = 0; i < vhost_frontend_row_count; i++) {
		const struct vhost_message_row *row = &vhost_frontend_rows[i];
		uint32_t smallest, largest;
		struct raw_message message = raw_message(row->id, NULL, 0);

		vhost_payload_bounds(row->shape, &smallest, &largest);
		forget_limit(fixture);
		message.size = message.length = largest + 1;
		expect_breach(fixture, &message, row->name);
		if (smallest == 0)
			continue;
		forget_limit(fixture);
		message.size = message.length = smallest - 1;
		expect_breach(fixture, &message, row->name);
	}
}

static void huge_sizes_end_the_connection(void **state)
{
	struct rig_fixture *fixture = *state;
	const uint32_t sizes[] = {sizeof(union vhost_payload) + 1, 0x7fffffff, 0x80000000,
				  0xfffffff4, 0xffffffff};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct raw_message known = raw_message(VHOST_USER_SET_MEM_TABLE, NULL, 0);
		struct raw_message unknown = raw_message(1234, NULL, 0);

		forget_limit(fixture);
		known.size = unknown.size = sizes[i];
		expect_breach(fixture, &known, "announces");
		expect_breach(fixture, &unknown, "announces");
	}
}

static void wrong_numbers_of_descriptors_end_the_connection(void **state)
{
	struct rig_fixture *fixture = *state;

	for (size_t i = 0; i < vhost_frontend_row_count; i++) {
		const struct vhost_message_row *row = &vhost_frontend_rows[i];
		uint32_t smallest, largest;
		struct raw_message message = raw_message(row->id, NULL, 0);

		vhost_payload_bounds(row->shape, &smallest, &largest);
		message.size = message.length = smallest;
		forget_limit(fixture);
		if (row->fds_min)
			expect_breach(fixture, &message, "came with 0 descriptors");
		while (message.fd_count <= row->fds_max && message.fd_count < VHOST_FDS_MAX)
			raw_add_fd(&message, fixture->guest.rings[0].kick_fd);
		if (message.fd_count > row->fds_max)
			expect_breach(fixture, &message, row->name);
		while (message.fd_count < MANY_FDS)
			raw_add_fd(&message, fixture->guest.rings[0].kick_fd);
		expect_breach(fixture, &message, "too many descriptors");
	}
}

static void late_descriptors_end_the_connection(void **state)
{
	struct rig_fixture *fixture = *state;
	struct raw_message head = raw_number(VHOST_USER_SET_VRING_CALL, 0);
	struct raw_message tail = raw_message(0, NULL, 0);
	int fd = connect_raw(fixture);

	/* The header alone, then a header-like payload, with the descriptor. */
	head.fd_count = 1;
	head.fds[0] = fixture->guest.rings[0].call_fd;
	head.length = 0;
	assert_true(raw_send(fd, &head));
	raw_add_fd(&tail, fixture->guest.rings[0].call_fd);
	raw_send(fd, &tail);
	expect_end(fixture, fd, "in the middle of a message");
}

static void unknown_messages_end_the_connection(void **state)
{
	struct rig_fixture *fixture = *state;
	const uint32_t ids[] = {0, 19, 35, 41, 45, 46, 1002, 0xffffffff};

	for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++) {
		struct raw_message message = raw_number(ids[i], 0);

		forget_limit(fixture);
		/* Without the feature the flag means nothing. */
		message.flags |= VHOST_FLAG_NEED_REPLY;
		raw_add_fd(&message, fixture->guest.fd);
		expect_breach(fixture, &message, "not supported");
	}
	expect_breach(fixture, &(struct raw_message){.id = 19, .flags = 1}, "SEND_RARP");
}

static void unknown_messages_are_refused_when_asked(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct raw_message message = raw_number(1234, 0);
	struct raw_message reply;
	int fd;

	guest_boot(guest, &fixture->rig, RIG_VERSION_1);
	fd = vhost_client_fd(guest->client);
	message.flags |= VHOST_FLAG_NEED_REPLY;
	raw_add_fd(&message, guest->fd);
	assert_true(raw_send(fd, &message));
	assert_true(raw_receive(fd, &reply));
	assert_int_equal(reply.id, 1234);
	assert_int_equal(reply.flags, VHOST_FLAG_VERSION | VHOST_FLAG_REPLY);
	assert_int_equal(reply.size, sizeof(uint64_t));
	assert_int_not_equal(reply.payload.number, 0);
	guest_echo(guest, 0);
}

static void features_must_be_negotiated(void **state)
{
	struct rig_fixture *fixture = *state;

	for (size_t i = 0; i < vhost_frontend_row_count; i++) {
		const struct vhost_message_row *row = &vhost_frontend_rows[i];
		struct raw_message message = raw_message(row->id, NULL, 0);
		uint32_t smallest, largest;

		if (row->feature == VHOST_PROTOCOL_ALWAYS)
			continue;
		vhost_payload_bounds(row->shape, &smallest, &largest);
		message.size = message.length = smallest;
		while (message.fd_count < row->fds_min)
			raw_add_fd(&message, fixture->guest.rings[0].kick_fd);
		forget_limit(fixture);
		expect_breach(fixture, &message, row->name);
	}
}

static void wrong_headers_end_the_connection(void **state)
{
	struct rig_fixture *fixture = *state;
	struct raw_message message = raw_message(VHOST_USER_GET_FEATURES, NULL, 0);

	message.flags = 0;
	expect_breach(fixture, &message, "version 0");
	message.flags = 2;
	expect_breach(fixture, &message, "version 2");
	message.flags = VHOST_FLAG_VERSION | VHOST_FLAG_REPLY;
	expect_breach(fixture, &message, "reply that nobody asked for");
}

static void hanging_up_in_the_middle_ends_the_connection(void **state)
{
	struct rig_fixture *fixture = *state;
	struct raw_message message = raw_number(VHOST_USER_SET_VRING_KICK, 0);
	uint8_t bytes[sizeof(struct vhost_header) + sizeof(message.payload)];
	size_t length = raw_bytes(&message, bytes);

	for (size_t cut = 1; cut < length; cut++) {
		int fd = connect_raw(fixture);

		forget_limit(fixture);
		if (cut >= sizeof(struct vhost_header)) {
			/* With a descriptor, which must not stay open. */
			raw_add_fd(&message, fixture->guest.rings[0].kick_fd);
			message.length = cut - sizeof(struct vhost_header);
			assert_true(raw_send(fd, &message));
			message.fd_count = 0;
		} else {
			assert_int_equal(write(fd, bytes, cut), cut);
		}
		close(fd);
		assert_true(rig_logged(&fixture->rig, "hung up in the middle"));
	}
	next_is_served(fixture);
}

static void slow_messages_freeze_nobody(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct raw_message message = raw_number(VHOST_USER_SET_VRING_CALL, 0);
	struct raw_message half = raw_number(VHOST_USER_SET_VRING_CALL, 1);
	const uint8_t zeroes[sizeof(uint64_t)] = {1};
	int fd;

	guest_boot(guest, &fixture->rig, RIG_VERSION_1);
	fd = vhost_client_fd(guest->client);
	raw_add_fd(&message, guest->rings[0].call_fd);
	raw_send_slowly(fd, &message);
	guest_echo(guest, 0);
	/* Rings work while a message is incomplete. */
	raw_add_fd(&half, guest->rings[1].call_fd);
	half.length = 3;
	assert_true(raw_send(fd, &half));
	guest_echo(guest, 0);
	guest_echo(guest, 1);
	assert_int_equal(write(fd, zeroes + 1, 5), 5);
	guest_echo(guest, 1);
}

static void reading_no_replies_ends_the_connection(void **state)
{
	struct rig_fixture *fixture = *state;
	struct raw_message message = raw_message(VHOST_USER_GET_FEATURES, NULL, 0);
	int fd = connect_raw(fixture);

	while (raw_send(fd, &message))
		;
	assert_true(rig_logged(&fixture->rig, "does not read"));
	close(fd);
	next_is_served(fixture);
}

/* A guest that is set up except for what the message changes. */
static void expect_breach_of_guest(struct rig_fixture *fixture, uint64_t features,
				   const struct raw_message *message, const char *why)
{
	struct rig_guest *guest = &fixture->guest;
	struct raw_message reply;
	struct raw_message asking = *message;

	forget_limit(fixture);
	guest_boot(guest, &fixture->rig, features);
	guest_echo(guest, 0);
	assert_true(raw_send(vhost_client_fd(guest->client), message));
	assert_true(raw_wait_end(vhost_client_fd(guest->client)));
	guest_disconnect(guest);
	assert_true(rig_logged(&fixture->rig, why));

	/* The same with an acknowledgement: it reports a failure. */
	guest_boot(guest, &fixture->rig, features);
	asking.flags |= VHOST_FLAG_NEED_REPLY;
	assert_true(raw_send(vhost_client_fd(guest->client), &asking));
	if (vhost_find_frontend_message(message->id)->reply == VHOST_PAYLOAD_NOTHING) {
		assert_true(raw_receive(vhost_client_fd(guest->client), &reply));
		assert_int_equal(reply.id, message->id);
		assert_int_not_equal(reply.payload.number, 0);
	}
	assert_true(raw_wait_end(vhost_client_fd(guest->client)));
	guest_disconnect(guest);
	assert_true(rig_logged(&fixture->rig, why));
	next_is_served(fixture);
}

/* The driver's fault: its device needs a reset, and the frontend stays connected. */
static void expect_driver_fault(struct rig_fixture *fixture, uint64_t features,
				const struct raw_message *message, const char *why)
{
	struct rig_guest *guest = &fixture->guest;
	struct raw_message asking = *message, reply;

	forget_limit(fixture);
	guest_boot(guest, &fixture->rig, features);
	guest_echo(guest, 0);
	asking.flags |= VHOST_FLAG_NEED_REPLY;
	assert_true(raw_send(vhost_client_fd(guest->client), &asking));
	assert_true(raw_receive(vhost_client_fd(guest->client), &reply));
	assert_int_equal(reply.id, message->id);
	assert_int_equal(reply.payload.number, 0);
	asking = raw_message(VHOST_USER_GET_STATUS, NULL, 0);
	assert_true(raw_send(vhost_client_fd(guest->client), &asking));
	assert_true(raw_receive(vhost_client_fd(guest->client), &reply));
	assert_int_equal(reply.id, VHOST_USER_GET_STATUS);
	assert_true(reply.payload.number & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_true(rig_logged(&fixture->rig, why));
	guest_disconnect(guest);
	next_is_served(fixture);
}

static void rings_that_are_not_there(void **state)
{
	struct rig_fixture *fixture = *state;
	const uint32_t with_state[] = {VHOST_USER_SET_VRING_NUM, VHOST_USER_SET_VRING_BASE,
				       VHOST_USER_GET_VRING_BASE, VHOST_USER_SET_VRING_ENABLE};
	const uint32_t with_event[] = {VHOST_USER_SET_VRING_KICK, VHOST_USER_SET_VRING_CALL,
				       VHOST_USER_SET_VRING_ERR};
	struct raw_message message;

	for (size_t i = 0; i < 4; i++) {
		message = raw_state(with_state[i], RIG_QUEUES, 1);
		expect_breach_of_guest(fixture, RIG_VERSION_1, &message, "no ring 3");
		message = raw_state(with_state[i], 0xffffffff, 1);
		expect_breach_of_guest(fixture, RIG_VERSION_1, &message, "no ring 4294967295");
	}
	for (size_t i = 0; i < 3; i++) {
		message = raw_number(with_event[i], 0xff);
		raw_add_fd(&message, fixture->guest.rings[0].kick_fd);
		expect_breach_of_guest(fixture, RIG_VERSION_1, &message, "no ring 255");
	}
	message = raw_message(VHOST_USER_SET_VRING_ADDR,
			      &(struct vhost_vring_addr){.index = RIG_QUEUES},
			      sizeof(struct vhost_vring_addr));
	expect_breach_of_guest(fixture, RIG_VERSION_1, &message, "no ring 3");
}

static void ring_settings_that_make_no_sense(void **state)
{
	struct rig_fixture *fixture = *state;
	struct raw_message message;

	message = raw_state(VHOST_USER_SET_VRING_NUM, 0, 0);
	expect_breach_of_guest(fixture, RIG_VERSION_1, &message, "can't have 0 entries");
	message = raw_state(VHOST_USER_SET_VRING_NUM, 0, RIG_QUEUE_SIZE + 1);
	expect_breach_of_guest(fixture, RIG_VERSION_1, &message, "can't have 65 entries");
	message = raw_state(VHOST_USER_SET_VRING_NUM, 0, 0x10000 + RIG_QUEUE_SIZE);
	expect_breach_of_guest(fixture, RIG_VERSION_1, &message, "can't have");
	message = raw_state(VHOST_USER_SET_VRING_NUM, 0, 12);
	expect_driver_fault(fixture, RIG_VERSION_1, &message, "not allowed");
	message = raw_state(VHOST_USER_SET_VRING_BASE, 0, RIG_QUEUE_SIZE | RIG_QUEUE_SIZE << 16);
	expect_driver_fault(fixture, RIG_VERSION_1 | RIG_PACKED, &message, "not allowed");
	message = raw_state(VHOST_USER_SET_VRING_ENABLE, 0, 2);
	expect_breach_of_guest(fixture, RIG_VERSION_1, &message, "neither 0 nor 1");
	message = raw_number(VHOST_USER_SET_STATUS, 0x100);
	expect_breach_of_guest(fixture, RIG_VERSION_1, &message, "more than eight bits");
	message = raw_number(VHOST_USER_SET_FEATURES, RIG_VERSION_1 | RIG_PACKED);
	expect_breach_of_guest(fixture, RIG_VERSION_1, &message, "while rings run");
	message = raw_number(VHOST_USER_SET_PROTOCOL_FEATURES, UINT64_C(1) << 21);
	expect_breach_of_guest(fixture, RIG_VERSION_1, &message, "not offered");
}

static void ring_addresses_outside_memory(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	uint64_t low = (uintptr_t)guest->host, high = low + GUEST_LOW_SIZE;
	const struct {
		uint64_t descriptors, driver, device;
		const char *why;
	} cases[] = {
		{0, low, low, "outside guest memory"},
		{low, UINT64_MAX - 15, low, "outside guest memory"},
		{low, low, low - 16, "outside guest memory"},
		{low, low, high, "outside guest memory"},
		/* The start is inside, the end outside. */
		{high - 16, low, low, "outside guest memory"},
		{low, high - 16, low, "outside guest memory"},
		{low, low, high - 16, "outside guest memory"},
		{low + 4, low, low, "not allowed"},
		{low, low + 1, low, "not allowed"},
		{low, low, low + 2, "not allowed"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vhost_vring_addr address = {
			.desc_user_addr = cases[i].descriptors,
			.avail_user_addr = cases[i].driver,
			.used_user_addr = cases[i].device,
		};
		struct raw_message message =
			raw_message(VHOST_USER_SET_VRING_ADDR, &address, sizeof(address));

		expect_driver_fault(fixture, RIG_VERSION_1, &message, cases[i].why);
	}
}

static void memory_tables_that_make_no_sense(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	const struct {
		struct vhost_region regions[2];
		const char *why;
	} cases[] = {
		{{{0x1000, 0, 0, 0}}, "not valid"},
		{{{UINT64_MAX - 0xfff, 0x2000, 0, 0}}, "not valid"},
		{{{0x1000, 0x2000, UINT64_MAX - 0xfff, 0}}, "not valid"},
		{{{0x1000, 0x1000, 0, UINT64_MAX - 0xfff}}, "wrap"},
		{{{0x1000, 0x1000, 0, INT64_MAX - 0xfff}}, "wrap"},
		{{{0x1000, INT64_MAX, 0, 0}}, "wrap"},
		{{{0x1000, GUEST_FILE_SIZE + 1, 0, 0}}, "beyond the file"},
		{{{0x1000, GUEST_FILE_SIZE, 0, 16}}, "beyond the file"},
		{{{0x1000, 0x1000, 0, 1}}, "aligned alike"},
		{{{0x1008, 0x1000, 0, 0}}, "aligned alike"},
		{{{0x1000, 0x1000, 8, 0}}, "aligned alike"},
		{{{0x1000, 0x1000, 0, GUEST_FILE_SIZE}}, "beyond the file"},
		{{{0x1000, 0x2000, 0x1000, 0}, {0x2000, 0x1000, 0x8000, 0}}, "overlaps"},
	};
	struct vhost_memory_table table = {.count = 1};
	struct raw_message message;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct raw_message slot;

		table.count = cases[i].regions[1].size ? 2 : 1;
		memcpy(table.regions, cases[i].regions, sizeof(cases[i].regions));
		message = raw_message(VHOST_USER_SET_MEM_TABLE, &table, 8 + 32 * table.count);
		for (unsigned int j = 0; j < table.count; j++)
			raw_add_fd(&message, guest->fd);
		expect_breach_of_guest(fixture, RIG_VERSION_1, &message, cases[i].why);
		if (table.count == 2)
			continue;
		slot = raw_message(VHOST_USER_ADD_MEM_REG,
				   &(struct vhost_memory_slot){0, table.regions[0]},
				   sizeof(struct vhost_memory_slot));
		slot.payload.slot.region.guest_address += UINT64_C(0x200000000);
		if (strcmp(cases[i].why, "not valid") != 0)
			raw_add_fd(&slot, guest->fd);
		else
			continue;
		expect_breach_of_guest(fixture, RIG_VERSION_1, &slot, cases[i].why);
	}

	/* Announced size, received size and descriptors must match. */
	table.regions[0] = guest->regions[0].region;
	table.count = 1;
	message = raw_message(VHOST_USER_SET_MEM_TABLE, &table, 40);
	expect_breach_of_guest(fixture, RIG_VERSION_1, &message, "0 descriptors");
	raw_add_fd(&message, guest->fd);
	raw_add_fd(&message, guest->fd);
	expect_breach_of_guest(fixture, RIG_VERSION_1, &message, "2 descriptors");
	message.payload.table.count = 2;
	expect_breach_of_guest(fixture, RIG_VERSION_1, &message, "40 bytes");
	message.payload.table.count = 9;
	message.size = message.length = 264;
	expect_breach_of_guest(fixture, RIG_VERSION_1, &message, "9 regions");
	message.payload.table.count = 0xffffffff;
	expect_breach_of_guest(fixture, RIG_VERSION_1, &message, "4294967295 regions");
}

static void more_memory_slots_than_there_are(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct error error;
	int ret = 0;

	guest_connect(guest, &fixture->rig);
	for (unsigned int i = 0; i < 64; i++) {
		struct vhost_client_region region = {{i * 0x1000, 0x1000, 0x100000 + i * 0x1000,
						      i * 0x1000},
						     guest->fd};

		assert_done(vhost_client_add_memory(guest->client, &region, &error), &error);
	}
	/* The client counts as well, so write the messages by hand. */
	struct raw_message message =
		raw_message(VHOST_USER_ADD_MEM_REG,
			    &(struct vhost_memory_slot){0, {0x10000000, 0x1000, 0x10000000, 0}},
			    sizeof(struct vhost_memory_slot));
	raw_add_fd(&message, guest->fd);
	assert_true(raw_send(vhost_client_fd(guest->client), &message));
	assert_true(raw_wait_end(vhost_client_fd(guest->client)));
	assert_true(rig_logged(&fixture->rig, "64 regions"));
	assert_int_equal(ret, 0);
}

/* Descriptors of every kind; -1 if this machine has none. */
enum {
	KIND_PIPE_READ,
	KIND_PIPE_WRITE,
	KIND_SOCKET,
	KIND_FILE,
	KIND_DIRECTORY,
	KIND_NULL,
	KIND_EPOLL,
	KIND_EVENT,
	KINDS
};

static void open_kinds(int *fds)
{
	int pair[2];

	assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
	fds[KIND_PIPE_READ] = pair[0];
	fds[KIND_PIPE_WRITE] = pair[1];
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	fds[KIND_SOCKET] = pair[0];
	close(pair[1]);
	fds[KIND_FILE] = memfd_create("file", MFD_CLOEXEC);
	fds[KIND_DIRECTORY] = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	fds[KIND_NULL] = open("/dev/null", O_RDWR | O_CLOEXEC);
	fds[KIND_EPOLL] = epoll_create1(EPOLL_CLOEXEC);
	fds[KIND_EVENT] = eventfd(0, EFD_CLOEXEC);
}

static void descriptors_of_the_wrong_kind(void **state)
{
	struct rig_fixture *fixture = *state;
	const uint32_t events[] = {VHOST_USER_SET_VRING_KICK, VHOST_USER_SET_VRING_CALL,
				   VHOST_USER_SET_VRING_ERR};
	struct vhost_memory_slot slot = {0, {UINT64_C(0x200000000), 0x1000, 0x1000, 0}};
	struct vhost_inflight inflight = {0x4000, 0, 1, RIG_QUEUE_SIZE, 0};
	int kinds[KINDS];

	open_kinds(kinds);
	for (int kind = 0; kind < KINDS; kind++) {
		struct raw_message message;

		for (size_t i = 0; i < 3 && kind != KIND_EVENT && kind != KIND_EPOLL; i++) {
			message = raw_number(events[i], 0);
			raw_add_fd(&message, kinds[kind]);
			expect_breach_of_guest(fixture, RIG_VERSION_1, &message, "not an eventfd");
		}
		message = raw_message(VHOST_USER_ADD_MEM_REG, &slot, sizeof(slot));
		raw_add_fd(&message, kinds[kind]);
		expect_breach_of_guest(fixture, RIG_VERSION_1, &message, "ADD_MEM_REG");
		message = raw_message(VHOST_USER_SET_INFLIGHT_FD, &inflight, sizeof(inflight));
		raw_add_fd(&message, kinds[kind]);
		expect_breach_of_guest(fixture, RIG_VERSION_1, &message, "SET_INFLIGHT_FD");
		if (kind == KIND_SOCKET)
			continue;
		message = raw_message(VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0);
		raw_add_fd(&message, kinds[kind]);
		expect_breach_of_guest(fixture, RIG_VERSION_1, &message, "not a stream socket");
	}
	for (int kind = 0; kind < KINDS; kind++)
		close(kinds[kind]);
}

/* An epoll descriptor looks like an eventfd; using it fails harmlessly. */
static void descriptors_that_fail_when_used(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct error error;

	/* In blocking mode there never seems to be room, and nothing is written. */
	assert_int_equal(fcntl(epoll, F_SETFL, O_NONBLOCK), 0);
	guest_boot(guest, &fixture->rig, RIG_VERSION_1);
	assert_done(vhost_client_set_call(guest->client, 0, epoll, &error), &error);
	guest_request(guest, 0, 1, 1);
	assert_true(raw_wait_end(vhost_client_fd(guest->client)));
	guest_disconnect(guest);
	close(epoll);
	assert_true(rig_logged(&fixture->rig, "call descriptor"));
	next_is_served(fixture);
}

static void kick_descriptors_that_fail_when_used(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	int epoll = epoll_create1(EPOLL_CLOEXEC), readable = eventfd(1, EFD_CLOEXEC);
	struct epoll_event event = {.events = EPOLLIN};
	struct vhost_client_ring setup;
	struct error error;

	assert_int_equal(epoll_ctl(epoll, EPOLL_CTL_ADD, readable, &event), 0);
	guest_connect(guest, &fixture->rig);
	guest_set_up(guest, RIG_VERSION_1);
	guest_clear_ring(guest, 0);
	setup = guest_ring_setup(guest, 0);
	setup.kick_fd = epoll;
	/* It may end before or after the reply to the last message of the set-up. */
	vhost_client_start_ring(guest->client, &setup, &error);
	assert_true(raw_wait_end(vhost_client_fd(guest->client)));
	guest_disconnect(guest);
	close(epoll);
	close(readable);
	assert_true(rig_logged(&fixture->rig, "kick descriptor"));
	next_is_served(fixture);
}

/* If our end were passed to us, the frontend would stay forever. */
static void backend_channels_that_lead_back(void **state)
{
	struct rig_fixture *fixture = *state;
	struct raw_message message = raw_message(VHOST_USER_SET_BACKEND_REQ_FD, NULL, 0);
	struct error error;
	int other;

	guest_boot(&fixture->guest, &fixture->rig, RIG_VERSION_1);
	raw_add_fd(&message, vhost_client_fd(fixture->guest.client));
	assert_true(raw_send(vhost_client_fd(fixture->guest.client), &message));
	assert_true(raw_wait_end(vhost_client_fd(fixture->guest.client)));
	guest_disconnect(&fixture->guest);
	assert_true(rig_logged(&fixture->rig, "leads back"));
	/* Nor may it be that of the next connection. */
	guest_boot(&fixture->guest, &fixture->rig, RIG_VERSION_1);
	other = vhost_client_connect(fixture->rig.path, 1000, &error);
	assert_done(other, &error);
	message.fds[0] = other;
	assert_true(raw_send(vhost_client_fd(fixture->guest.client), &message));
	assert_true(raw_wait_end(vhost_client_fd(fixture->guest.client)));
	guest_disconnect(&fixture->guest);
	close(other);
	assert_true(rig_logged(&fixture->rig, "leads back"));
	next_is_served(fixture);
}

static void change_config_often(struct vhost_rig *rig, void *context)
{
	for (unsigned int i = 0; i < 2000; i++)
		virtio_device_config_changed(&rig->test.device);
}

/* Messages that the peer does not read are dropped, and the device continues. */
static void backend_channels_that_nobody_reads(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;

	guest_boot(guest, &fixture->rig, RIG_VERSION_1);
	rig_run(&fixture->rig, change_config_often, NULL);
	assert_true(rig_logged(&fixture->rig, "backend channel: the other side does not read"));
	guest_echo(guest, 0);
	/* Behind an IOMMU nothing can continue without replies. */
	guest_disconnect(guest);
	guest_boot(guest, &fixture->rig, RIG_VERSION_1 | RIG_PLATFORM);
	guest_echo(guest, 0);
	rig_run(&fixture->rig, change_config_often, NULL);
	assert_true(raw_wait_end(vhost_client_fd(guest->client)));
	assert_true(rig_logged(&fixture->rig, "connection ended: backend channel"));
	guest_disconnect(guest);
	next_is_served(fixture);
}

static void event_messages_must_say_what_comes(void **state)
{
	struct rig_fixture *fixture = *state;
	struct raw_message message = raw_number(VHOST_USER_SET_VRING_KICK, 0);

	expect_breach_of_guest(fixture, RIG_VERSION_1, &message, "its flags contradict");
	message = raw_number(VHOST_USER_SET_VRING_CALL, VHOST_RING_NO_FD);
	raw_add_fd(&message, fixture->guest.rings[0].call_fd);
	expect_breach_of_guest(fixture, RIG_VERSION_1, &message, "its flags contradict");
	message = raw_number(VHOST_USER_SET_VRING_CALL, 1 << 9);
	raw_add_fd(&message, fixture->guest.rings[0].call_fd);
	expect_breach_of_guest(fixture, RIG_VERSION_1, &message, "unknown bits");
}

static void config_messages_must_be_as_long_as_they_say(void **state)
{
	struct rig_fixture *fixture = *state;
	struct vhost_config config = {.offset = 0, .size = 4};
	struct raw_message message;

	message = raw_message(VHOST_USER_SET_CONFIG, &config, 12 + 3);
	expect_breach_of_guest(fixture, RIG_VERSION_1, &message, "announced");
	message = raw_message(VHOST_USER_GET_CONFIG, &config, 12 + 3);
	expect_breach_of_guest(fixture, RIG_VERSION_1, &message, "announced");
	config.size = 0xffffffff;
	message = raw_message(VHOST_USER_GET_CONFIG, &config, 12 + 256);
	expect_breach_of_guest(fixture, RIG_VERSION_1, &message, "announced");
}

static void inflight_descriptions_that_make_no_sense(void **state)
{
	struct rig_fixture *fixture = *state;
	const struct vhost_inflight cases[] = {
		{0x10000, 0, 0, RIG_QUEUE_SIZE, 0},
		{0x10000, 0, RIG_QUEUES + 1, RIG_QUEUE_SIZE, 0},
		{0x10000, 0, 1, 0, 0},
		{0x10000, 0, 1, 1025, 0},
		{0x10000, 0, 1, 0xffff, 0},
		{0x400, 0, 1, RIG_QUEUE_SIZE, 0},
		{0x10000, 4, 1, RIG_QUEUE_SIZE, 0},
		{0x10000, UINT64_MAX - 63, 1, RIG_QUEUE_SIZE, 0},
		{0x10000, GUEST_FILE_SIZE, 1, RIG_QUEUE_SIZE, 0},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct raw_message message =
			raw_message(VHOST_USER_SET_INFLIGHT_FD, &cases[i], sizeof(cases[i]));

		raw_add_fd(&message, fixture->guest.fd);
		expect_breach_of_guest(fixture, RIG_VERSION_1, &message, "SET_INFLIGHT_FD");
		if (i >= 5)
			continue;
		message = raw_message(VHOST_USER_GET_INFLIGHT_FD, &cases[i], sizeof(cases[i]));
		expect_breach_of_guest(fixture, RIG_VERSION_1, &message, "GET_INFLIGHT_FD");
	}
}

static void wrong_translations_are_refused(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct error error;

	guest_boot(guest, &fixture->rig, RIG_VERSION_1 | RIG_PLATFORM);
	assert_int_equal(vhost_client_update_iotlb(guest->client, 0, 0, 0, 3, &error), -EIO);
	assert_int_equal(vhost_client_update_iotlb(guest->client, 0, 1, 0, 0, &error), -EIO);
	assert_int_equal(vhost_client_update_iotlb(guest->client, 0, 1, 0, 4, &error), -EIO);
	assert_int_equal(vhost_client_update_iotlb(guest->client, UINT64_MAX, 2, 0, 3, &error),
			 -EIO);
	assert_int_equal(vhost_client_update_iotlb(guest->client, 0, 2, UINT64_MAX, 3, &error),
			 -EIO);
	assert_int_equal(vhost_client_invalidate_iotlb(guest->client, 5, 0, &error), -EIO);
	assert_int_equal(vhost_client_invalidate_iotlb(guest->client, 5, UINT64_MAX, &error), -EIO);
	guest_echo(guest, 0);
	/* Without an IOMMU there is nothing to translate. */
	guest_disconnect(guest);
	guest_boot(guest, &fixture->rig, RIG_VERSION_1);
	assert_int_equal(vhost_client_update_iotlb(guest->client, 0, 1, 0, 3, &error), -EIO);
	guest_echo(guest, 0);
}

/* Log lines in an hour for a peer that is rejected each second, as QEMU with reconnect=1 is. */
static void count_lines_of_an_hour(struct vhost_rig *rig, void *context)
{
	struct log_limit limit = rig->server->log_limit;

	for (int64_t second = 0; second < 3600; second++)
		*(unsigned int *)context += log_limit_take(&limit, clock_now_ms() + second * 1000);
}

static void a_peer_that_comes_again_fills_no_log(void **state)
{
	struct rig_fixture *fixture = *state;
	unsigned int lines = 0;

	rig_run(&fixture->rig, count_lines_of_an_hour, &lines);
	assert_in_range(lines, 1, 200);
}

static void drivers_of_old_are_refused(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct vhost_client_ring setup;
	struct error error;

	guest_connect(guest, &fixture->rig);
	guest_set_up(guest, 0);
	guest_clear_ring(guest, 0);
	setup = guest_ring_setup(guest, 0);
	assert_int_equal(vhost_client_start_ring(guest->client, &setup, &error), -EIO);
	guest_disconnect(guest);
	assert_true(rig_logged(&fixture->rig, "disable-legacy=on"));
	next_is_served(fixture);
}

static void memory_taken_away_ends_the_connection(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;

	guest_boot(guest, &fixture->rig, RIG_VERSION_1);
	guest_echo(guest, 0);
	/* Our own mapping would raise the same signal, but it is not guarded. */
	assert_int_equal(ftruncate(guest->fd, 0), 0);
	assert_int_equal(eventfd_write(guest->rings[0].kick_fd, 1), 0);
	assert_true(raw_wait_end(vhost_client_fd(guest->client)));
	assert_true(rig_logged(&fixture->rig, "truncated a file of memory"));
	guest_disconnect(guest);
	assert_int_equal(ftruncate(guest->fd, GUEST_FILE_SIZE), 0);
	next_is_served(fixture);
}

static void many_breaches_do_not_flood_the_log(void **state)
{
	struct rig_fixture *fixture = *state;
	struct raw_message message = raw_number(1234, 0);

	for (unsigned int i = 0; i < 300; i++) {
		int fd = connect_raw(fixture);

		raw_send(fd, &message);
		assert_true(raw_wait_end(fd));
		close(fd);
	}
	assert_in_range(rig_count_lines(&fixture->rig), 5, 40);
	next_is_served(fixture);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(wrong_sizes_end_the_connection),
		rig_test(huge_sizes_end_the_connection),
		rig_test(wrong_numbers_of_descriptors_end_the_connection),
		rig_test(late_descriptors_end_the_connection),
		rig_test(unknown_messages_end_the_connection),
		rig_test(unknown_messages_are_refused_when_asked),
		rig_test(features_must_be_negotiated),
		rig_test(wrong_headers_end_the_connection),
		rig_test(hanging_up_in_the_middle_ends_the_connection),
		rig_test(slow_messages_freeze_nobody),
		rig_test(reading_no_replies_ends_the_connection),
		rig_test(rings_that_are_not_there),
		rig_test(ring_settings_that_make_no_sense),
		rig_test(ring_addresses_outside_memory),
		rig_test(memory_tables_that_make_no_sense),
		rig_test(more_memory_slots_than_there_are),
		rig_test(descriptors_of_the_wrong_kind),
		rig_test(descriptors_that_fail_when_used),
		rig_test(kick_descriptors_that_fail_when_used),
		rig_test(backend_channels_that_lead_back),
		rig_test(backend_channels_that_nobody_reads),
		rig_test(event_messages_must_say_what_comes),
		rig_test(config_messages_must_be_as_long_as_they_say),
		rig_test(inflight_descriptions_that_make_no_sense),
		rig_test(wrong_translations_are_refused),
		rig_test(a_peer_that_comes_again_fills_no_log),
		rig_test(drivers_of_old_are_refused),
		rig_test(memory_taken_away_ends_the_connection),
		rig_test(many_breaches_do_not_flood_the_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
