// SPDX-License-Identifier: BSD-3-Clause
/* Tests of src/vhost/message.c and channel.c: the table, and messages on a socket. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "unit/vhost_raw.h"
#include "unit/vhost_rig.h"
#include "vhost/channel.h"
#include "virtio/feature.h"

static void table_is_sound(void **state)
{
	uint64_t features = 0;

	(void)state;
	for (size_t i = 0; i < vhost_frontend_row_count; i++) {
		const struct vhost_message_row *row = &vhost_frontend_rows[i];
		uint32_t smallest, largest;

		assert_ptr_equal(vhost_find_frontend_message(row->id), row);
		assert_string_equal(vhost_message_name(row->id), row->name);
		assert_true(row->fds_min <= row->fds_max && row->fds_max <= VHOST_FDS_MAX);
		vhost_payload_bounds(row->shape, &smallest, &largest);
		assert_true(smallest <= largest && largest <= sizeof(union vhost_payload));
		assert_true(vhost_payload_fits(row->shape, smallest));
		assert_true(vhost_payload_fits(row->shape, largest));
		assert_false(vhost_payload_fits(row->shape, largest + 1));
		assert_false(vhost_payload_fits(row->shape, smallest - 1));
		if (row->feature != VHOST_PROTOCOL_ALWAYS)
			features |= FEATURE(row->feature);
		for (size_t j = 0; j < i; j++)
			assert_true(vhost_frontend_rows[j].id < row->id);
	}
	/* Each offered feature has its messages, except those that say how to send others. */
	features |= FEATURE(VHOST_PROTOCOL_REPLY_ACK) | FEATURE(VHOST_PROTOCOL_BACKEND_SEND_FD);
	assert_int_equal(features, vhost_protocol_features);
}

static void sizes_are_those_of_the_wire(void **state)
{
	(void)state;
	assert_true(vhost_payload_fits(VHOST_PAYLOAD_TABLE, 8));
	assert_true(vhost_payload_fits(VHOST_PAYLOAD_TABLE, 8 + 3 * 32));
	assert_false(vhost_payload_fits(VHOST_PAYLOAD_TABLE, 8 + 3 * 32 + 8));
	assert_false(vhost_payload_fits(VHOST_PAYLOAD_TABLE, 8 + 9 * 32));
	assert_true(vhost_payload_fits(VHOST_PAYLOAD_CONFIG, 12 + 1));
	assert_true(vhost_payload_fits(VHOST_PAYLOAD_CONFIG, 12 + 256));
	assert_false(vhost_payload_fits(VHOST_PAYLOAD_CONFIG, 12 + 257));
	assert_true(vhost_payload_fits(VHOST_PAYLOAD_INFLIGHT, 20));
	assert_true(vhost_payload_fits(VHOST_PAYLOAD_INFLIGHT, 24));
	assert_false(vhost_payload_fits(VHOST_PAYLOAD_INFLIGHT, 22));
	assert_string_equal(vhost_message_name(41), "GET_SHARED_OBJECT");
	assert_string_equal(vhost_message_name(41 << 16), "?");
	assert_string_equal(vhost_message_name(25), "SET_CONFIG");
	assert_null(vhost_find_frontend_message(0));
	assert_null(vhost_find_backend_message(22));
	assert_string_equal(vhost_find_backend_message(2)->name, "CONFIG_CHANGE_MSG");
	/* Bit 21 is what SHMEM was in drafts, and is something else today. */
	assert_int_equal(vhost_protocol_features >> 21 & 3, 2);
}

/* Two connected channels; the second receives frontend messages. */
struct pair {
	struct vhost_channel a, b;
	unsigned int fds;
};

static int set_up(void **state)
{
	struct pair *pair = calloc(1, sizeof(*pair));
	struct error error;
	int sockets[2];

	pair->fds = rig_count_fds();
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	assert_int_equal(vhost_channel_open(&pair->a, sockets[0], NULL, &error), 0);
	assert_int_equal(
		vhost_channel_open(&pair->b, sockets[1], vhost_find_frontend_message, &error), 0);
	*state = pair;
	return 0;
}

static int tear_down(void **state)
{
	struct pair *pair = *state;
	unsigned int before = pair->fds;

	vhost_channel_close(&pair->a);
	vhost_channel_close(&pair->b);
	free(pair);
	assert_int_equal(rig_count_fds(), before);
	return 0;
}

static void messages_go_there_and_back(void **state)
{
	struct pair *pair = *state;
	struct vhost_message message = {
		.header = {VHOST_USER_SET_MEM_TABLE, VHOST_FLAG_VERSION, 8 + 2 * 32},
		.payload.table = {.count = 2, .regions = {{1, 2, 3, 4}, {5, 6, 7, 8}}},
		.fd_count = 2,
	};
	const struct vhost_message *got = pair->b.message;
	struct error error;
	int event = eventfd(7, EFD_CLOEXEC);
	uint64_t value;
	int taken;

	message.fds[0] = message.fds[1] = event;
	assert_int_equal(vhost_channel_receive(&pair->b, &error), VHOST_RECEIVE_NOTHING);
	assert_done(vhost_channel_send(&pair->a, &message, 0, &error), &error);
	assert_done(vhost_channel_send(&pair->a, &message, 0, &error), &error);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(vhost_channel_receive(&pair->b, &error), VHOST_RECEIVE_MESSAGE);
		assert_memory_equal(&got->header, &message.header, sizeof(got->header));
		assert_memory_equal(&got->payload, &message.payload, message.header.size);
		assert_int_equal(got->payload.table.regions[2].size, 0);
		assert_int_equal(got->fd_count, 2);
		assert_int_equal(fcntl(got->fds[0], F_GETFD), FD_CLOEXEC);
	}
	/* One is taken, the other is closed with the message. */
	taken = vhost_message_take_fd(pair->b.message, 1);
	vhost_channel_release(&pair->b);
	assert_int_equal(read(taken, &value, sizeof(value)), sizeof(value));
	assert_int_equal(value, 7);
	close(taken);
	close(event);
	assert_int_equal(vhost_channel_receive(&pair->b, &error), VHOST_RECEIVE_NOTHING);
	vhost_channel_close(&pair->a);
	assert_int_equal(vhost_channel_receive(&pair->b, &error), VHOST_RECEIVE_END);
}

static void pieces_make_a_message(void **state)
{
	struct pair *pair = *state;
	struct vhost_config config = {.offset = 4, .size = 3, .data = "abc"};
	struct raw_message message = raw_message(VHOST_USER_SET_CONFIG, &config, 15);
	uint8_t bytes[64];
	size_t length = raw_bytes(&message, bytes);
	struct error error;

	for (size_t i = 0; i < length; i++) {
		assert_int_equal(vhost_channel_receive(&pair->b, &error), VHOST_RECEIVE_NOTHING);
		assert_int_equal(write(pair->a.fd, bytes + i, 1), 1);
	}
	assert_int_equal(vhost_channel_receive(&pair->b, &error), VHOST_RECEIVE_MESSAGE);
	assert_memory_equal(&pair->b.message->payload, &config, 15);
	/* Two and a half at once. */
	assert_int_equal(write(pair->a.fd, bytes, length), length);
	assert_int_equal(write(pair->a.fd, bytes, length), length);
	assert_int_equal(write(pair->a.fd, bytes, 9), 9);
	assert_int_equal(vhost_channel_receive(&pair->b, &error), VHOST_RECEIVE_MESSAGE);
	assert_int_equal(vhost_channel_receive(&pair->b, &error), VHOST_RECEIVE_MESSAGE);
	assert_int_equal(vhost_channel_receive(&pair->b, &error), VHOST_RECEIVE_NOTHING);
	vhost_channel_close(&pair->a);
	assert_int_equal(vhost_channel_receive(&pair->b, &error), -EPROTO);
	assert_non_null(strstr(error.message, "middle"));
}

/* A wrong message is rejected by its header, before its payload arrives. */
static void header_is_judged_alone(void **state)
{
	struct pair *pair = *state;
	struct raw_message message = raw_number(VHOST_USER_SET_FEATURES, 0);
	struct error error;

	message.size = 9;
	message.length = 0;
	assert_true(raw_send(pair->a.fd, &message));
	assert_int_equal(vhost_channel_receive(&pair->b, &error), -EPROTO);
	assert_string_equal(error.message, "SET_FEATURES has a payload of 9 bytes");
}

static void too_many_descriptors(void **state)
{
	struct pair *pair = *state;
	struct raw_message message = raw_number(999, 0);
	struct error error;

	/* An unknown message may have as many as fit; one more is an error. */
	while (message.fd_count < VHOST_FDS_MAX)
		raw_add_fd(&message, pair->a.fd);
	assert_true(raw_send(pair->a.fd, &message));
	assert_int_equal(vhost_channel_receive(&pair->b, &error), VHOST_RECEIVE_MESSAGE);
	assert_int_equal(pair->b.message->fd_count, VHOST_FDS_MAX);
	raw_add_fd(&message, pair->a.fd);
	assert_true(raw_send(pair->a.fd, &message));
	assert_int_equal(vhost_channel_receive(&pair->b, &error), -EPROTO);
	assert_string_equal(error.message, "a message came with too many descriptors");
}

static void sending_does_not_wait_for_ever(void **state)
{
	struct pair *pair = *state;
	struct vhost_message message = {
		.header = {VHOST_USER_SET_CONFIG, VHOST_FLAG_VERSION, 12 + 256}};
	struct error error;
	int64_t start;
	int ret;

	do {
		ret = vhost_channel_send(&pair->a, &message, 0, &error);
	} while (ret == 0);
	assert_int_equal(ret, -ETIMEDOUT);
	start = clock_now_ms();
	assert_int_equal(vhost_channel_send(&pair->a, &message, 50, &error), -ETIMEDOUT);
	assert_in_range(clock_now_ms() - start, 49, 5000);
	vhost_channel_close(&pair->b);
	assert_int_equal(vhost_channel_send(&pair->a, &message, 50, &error), -EPIPE);
}

/* What a full socket cut off is continued; with a slow reader at the other end. */
struct reader {
	int fd;
	size_t count;
};

static void *read_slowly(void *context)
{
	struct reader *reader = context;
	uint8_t bytes[61];
	ssize_t count;

	for (unsigned int i = 1; (count = read(reader->fd, bytes, sizeof(bytes))) > 0; i++) {
		reader->count += count;
		if (i % 2000 == 0)
			usleep(1000);
	}
	return NULL;
}

static void sending_goes_on_where_it_was_cut(void **state)
{
	struct pair *pair = *state;
	struct reader reader = {.fd = pair->b.fd};
	struct vhost_message message = {
		.header = {VHOST_USER_SET_CONFIG, VHOST_FLAG_VERSION, 12 + 256}};
	struct error error;
	pthread_t thread;
	int size = 1, i;

	/* Room for few messages. */
	assert_int_equal(setsockopt(pair->a.fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)), 0);
	assert_int_equal(pthread_create(&thread, NULL, read_slowly, &reader), 0);
	for (i = 0; i < 3000; i++)
		assert_done(vhost_channel_send(&pair->a, &message, 5000, &error), &error);
	vhost_channel_close(&pair->a);
	pthread_join(thread, NULL);
	assert_int_equal(reader.count, i * (sizeof(message.header) + message.header.size));
}

#define pair_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(table_is_sound),
		cmocka_unit_test(sizes_are_those_of_the_wire),
		pair_test(messages_go_there_and_back),
		pair_test(pieces_make_a_message),
		pair_test(header_is_judged_alone),
		pair_test(too_many_descriptors),
		pair_test(sending_does_not_wait_for_ever),
		pair_test(sending_goes_on_where_it_was_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
