// SPDX-License-Identifier: BSD-3-Clause
/*
 * Tests of src/vhost: the internal state of a device on its way through its channel, with both
 * ends, and with frontends that send something else, too much, half of it, or nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "unit/vhost_raw.h"
#include "unit/vhost_rig.h"
#include "virtio/device_state.h"

struct saved {
	uint8_t bytes[DEVICE_STATE_MAX];
	size_t length;
};

static void stop_rings(struct rig_guest *guest)
{
	struct error error;

	for (uint16_t i = 0; i < RIG_QUEUES; i++)
		assert_done(vhost_client_stop_ring(guest->client, i, &guest->rings[i].base, &error),
			    &error);
}

static void expect_setting(struct rig_guest *guest, const char *expected)
{
	char setting[RIG_WRITABLE];
	struct error error;

	assert_done(vhost_client_read_config(guest->client, 0, setting, sizeof(setting), &error),
		    &error);
	assert_memory_equal(setting, expected, sizeof(setting));
}

static const char initial[] = {0, 1, 2, 3, 4, 5, 6, 7};

/* A guest that set something and stopped its rings, and the device's state. */
static void save(struct rig_fixture *fixture, struct saved *saved)
{
	struct rig_guest *guest = &fixture->guest;
	struct error error;

	guest_boot(guest, &fixture->rig, RIG_VERSION_1 | RIG_DEVICE_FEATURE);
	assert_done(vhost_client_write_config(guest->client, 0, "settings", RIG_WRITABLE, &error),
		    &error);
	guest_echo(guest, 0);
	stop_rings(guest);
	assert_done(vhost_client_save_state(guest->client, saved->bytes, sizeof(saved->bytes),
					    &saved->length, &error),
		    &error);
}

static void reconnect(struct rig_fixture *fixture)
{
	guest_disconnect(&fixture->guest);
	assert_true(rig_wait_idle(&fixture->rig));
	guest_connect(&fixture->guest, &fixture->rig);
	expect_setting(&fixture->guest, initial);
}

/* The rings go on where they were. */
static void go_on(struct rig_guest *guest)
{
	for (uint16_t i = 0; i < RIG_QUEUES; i++)
		guest_start_ring(guest, i, false);
	guest_echo(guest, 0);
	guest_echo(guest, 1);
}

static void a_state_moves(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	unsigned int choices;
	struct saved saved;
	struct error error;

	save(fixture, &saved);
	/* Saving changes nothing. */
	go_on(guest);
	stop_rings(guest);
	/* Before the features are set, as in QEMU. */
	reconnect(fixture);
	assert_done(vhost_client_load_state(guest->client, saved.bytes, saved.length, &error),
		    &error);
	/* The choice came with the state: another one would undo what follows from it. */
	choices = fixture->rig.test.choices;
	guest_set_up(guest, RIG_VERSION_1 | RIG_DEVICE_FEATURE);
	assert_int_equal(fixture->rig.test.choices, choices);
	expect_setting(guest, "settings");
	go_on(guest);
	stop_rings(guest);
	/* After it. */
	reconnect(fixture);
	guest_set_up(guest, RIG_VERSION_1 | RIG_DEVICE_FEATURE);
	assert_done(vhost_client_load_state(guest->client, saved.bytes, saved.length, &error),
		    &error);
	expect_setting(guest, "settings");
	go_on(guest);
}

/* A driver that starts anew has nothing of it. */
static void a_state_ends_with_its_driver(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct saved saved;
	struct error error;

	save(fixture, &saved);
	for (int i = 0; i < 2; i++) {
		reconnect(fixture);
		assert_done(vhost_client_load_state(guest->client, saved.bytes, saved.length,
						    &error),
			    &error);
		expect_setting(guest, "settings");
		if (i)
			assert_done(vhost_client_reset(guest->client, &error), &error);
		guest_set_up(guest, RIG_VERSION_1);
		expect_setting(guest, initial);
		guest_start_ring(guest, 0, true);
		guest_echo(guest, 0);
	}
}

static void rings_must_be_stopped(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct saved saved;
	struct error error;

	save(fixture, &saved);
	guest_start_ring(guest, 1, false);
	assert_int_equal(vhost_client_save_state(guest->client, saved.bytes, sizeof(saved.bytes),
						 &saved.length, &error),
			 -EIO);
	assert_int_equal(vhost_client_load_state(guest->client, saved.bytes, saved.length, &error),
			 -EIO);
	guest_echo(guest, 1);
	/* A buffer that is too small does no harm. */
	stop_rings(guest);
	assert_int_equal(vhost_client_save_state(guest->client, saved.bytes, 4, &saved.length,
						 &error),
			 -E2BIG);
	assert_done(vhost_client_save_state(guest->client, saved.bytes, sizeof(saved.bytes),
					    &saved.length, &error),
		    &error);
}

/* Whatever is wrong with it, the device is as before, and the connection goes on. */
static void bad_states_are_refused(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct saved saved, bad;
	struct error error;
	uint8_t *huge = test_calloc(1, 1 << 20);

	save(fixture, &saved);
	reconnect(fixture);
	for (int i = 0; i < 8; i++) {
		bad = saved;
		if (i == 0)
			bad.length = 0;
		else if (i == 1)
			bad.length--;
		else if (i == 2)
			bad.bytes[bad.length++] = 0;
		else if (i == 3)
			bad.length = sizeof(bad.bytes);
		else
			bad.bytes[2 * i - 6]++; /* the magic, both versions, the id */
		assert_int_equal(vhost_client_load_state(guest->client, bad.bytes, bad.length,
							 &error),
				 -EIO);
		expect_setting(guest, initial);
		rig_forget_log_limit(&fixture->rig);
	}
	assert_true(rig_logged(&fixture->rig, "the state is of another type or version"));
	assert_int_equal(vhost_client_load_state(guest->client, huge, 1 << 20, &error), -EIO);
	assert_true(rig_logged(&fixture->rig, "longer than any"));
	test_free(huge);
	fixture->rig.test.host_refuses = true;
	assert_int_equal(vhost_client_load_state(guest->client, saved.bytes, saved.length, &error),
			 -EIO);
	fixture->rig.test.host_refuses = false;
	expect_setting(guest, initial);
	/* One with features that were not offered. */
	bad = saved;
	bad.bytes[12] ^= 1 << 5;
	assert_int_equal(vhost_client_load_state(guest->client, bad.bytes, bad.length, &error),
			 -EIO);
	guest_set_up(guest, RIG_VERSION_1);
	/* And one of a driver with other features. */
	assert_int_equal(vhost_client_load_state(guest->client, saved.bytes, saved.length, &error),
			 -EIO);
	expect_setting(guest, initial);
	guest_start_ring(guest, 0, true);
	guest_echo(guest, 0);
}

/*
 * Begins a transfer in raw messages. Returns the device's channel; -1: it refuses. The channel that
 * comes with the request is not used: an eventfd here.
 */
static int begin(struct rig_guest *guest, uint32_t direction, uint32_t phase)
{
	const struct vhost_state_transfer transfer = {direction, phase};
	struct raw_message message =
		raw_message(VHOST_USER_SET_DEVICE_STATE_FD, &transfer, sizeof(transfer));
	int unused = eventfd(0, EFD_CLOEXEC);

	raw_add_fd(&message, unused);
	assert_true(raw_send(vhost_client_fd(guest->client), &message));
	close(unused);
	assert_true(raw_receive(vhost_client_fd(guest->client), &message));
	assert_int_equal(message.id, VHOST_USER_SET_DEVICE_STATE_FD);
	assert_int_equal(message.flags, VHOST_FLAG_VERSION | VHOST_FLAG_REPLY);
	if (message.fd_count == 0) {
		assert_int_equal(message.payload.number, VHOST_STATE_NO_FD | 1);
		return -1;
	}
	assert_int_equal(message.payload.number, 0);
	assert_int_equal(message.fd_count, 1);
	return message.fds[0];
}

static uint64_t check(struct rig_guest *guest)
{
	struct raw_message message = raw_message(VHOST_USER_CHECK_DEVICE_STATE, NULL, 0);

	assert_true(raw_send(vhost_client_fd(guest->client), &message));
	assert_true(raw_receive(vhost_client_fd(guest->client), &message));
	assert_int_equal(message.id, VHOST_USER_CHECK_DEVICE_STATE);
	return message.payload.number;
}

static void transfers_that_make_no_sense(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	int channel, next;

	guest_connect(guest, &fixture->rig);
	assert_int_equal(check(guest), 1);
	assert_int_equal(begin(guest, 2, 0), -1);
	assert_int_equal(begin(guest, VHOST_STATE_SAVE, 1), -1);
	assert_int_equal(check(guest), 1);
	/* One that is begun again ends the one before, which sees that. */
	channel = begin(guest, VHOST_STATE_LOAD, 0);
	assert_true(channel >= 0);
	next = begin(guest, VHOST_STATE_SAVE, 0);
	assert_true(next >= 0);
	assert_true(raw_wait_end(channel));
	assert_int_equal(check(guest), 0);
	assert_int_equal(check(guest), 1);
	close(channel);
	close(next);
}

/* A frontend that stops in the middle, in each way. */
static void transfers_that_do_not_end(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct saved saved;
	int channel, small = 1;

	save(fixture, &saved);
	reconnect(fixture);
	/* It writes half and asks; then nothing, and disconnects. */
	for (int i = 0; i < 2; i++) {
		channel = begin(guest, VHOST_STATE_LOAD, 0);
		if (i == 0) {
			assert_int_equal(write(channel, saved.bytes, 10), 10);
			assert_int_equal(check(guest), 1);
			expect_setting(guest, initial);
		} else {
			reconnect(fixture);
		}
		close(channel);
	}
	/* All of it but the end: nothing is taken over. */
	channel = begin(guest, VHOST_STATE_LOAD, 0);
	assert_int_equal(write(channel, saved.bytes, saved.length), saved.length);
	assert_int_equal(check(guest), 1);
	expect_setting(guest, initial);
	close(channel);
	/* Nobody reads what is saved, or closes it. */
	channel = begin(guest, VHOST_STATE_SAVE, 0);
	close(channel);
	check(guest);
	/* Its end waits for nobody, whatever it shares and has set: the process goes on. */
	channel = begin(guest, VHOST_STATE_LOAD, 0);
	assert_int_equal(fcntl(channel, F_SETFL, 0), 0);
	assert_int_equal(setsockopt(channel, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small)), 0);
	assert_int_equal(write(channel, saved.bytes, 10), 10);
	expect_setting(guest, initial);
	assert_int_equal(check(guest), 1);
	close(channel);
	guest_set_up(guest, RIG_VERSION_1);
	guest_start_ring(guest, 0, true);
	guest_echo(guest, 0);
}

/*
 * A frontend may share the open file of the channel that it brings, make it blocking, and take what
 * the device process was told is there: the process must not read from it at all.
 */
static void the_channel_of_the_frontend_is_not_used(void **state)
{
	const struct vhost_state_transfer transfer = {VHOST_STATE_LOAD, 0};
	struct raw_message message =
		raw_message(VHOST_USER_SET_DEVICE_STATE_FD, &transfer, sizeof(transfer));
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	char byte = 'x';
	int ends[2];

	guest_connect(guest, &fixture->rig);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(write(ends[1], &byte, 1), 1);
	raw_add_fd(&message, ends[0]);
	assert_true(raw_send(vhost_client_fd(guest->client), &message));
	assert_true(raw_receive(vhost_client_fd(guest->client), &message));
	assert_int_equal(fcntl(ends[0], F_GETFL) & O_NONBLOCK, 0);
	assert_int_equal(check(guest), 1);
	/* It is still there. */
	assert_int_equal(read(ends[0], &byte, 1), 1);
	raw_close_fds(&message);
	close(ends[0]);
	close(ends[1]);
}

/* The state of a device whose rings run would be another one by the time that it is there. */
static void a_ring_that_starts_ends_the_transfer(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct saved saved;
	int channel;

	save(fixture, &saved);
	reconnect(fixture);
	guest_set_up(guest, RIG_VERSION_1 | RIG_DEVICE_FEATURE);
	channel = begin(guest, VHOST_STATE_LOAD, 0);
	guest_start_ring(guest, 0, true);
	assert_int_equal(write(channel, saved.bytes, 1), -1);
	assert_int_equal(errno, EPIPE);
	close(channel);
	assert_int_equal(check(guest), 1);
	expect_setting(guest, initial);
	guest_echo(guest, 0);
}

static void forget_state(struct vhost_rig *rig, void *context)
{
	struct virtio_device_class *without = context;

	*without = *rig->test.device.class;
	without->save = NULL;
	rig->test.device.class = without;
}

static void it_is_offered_only_where_there_is_one(void **state)
{
	struct rig_fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct virtio_device_class without;
	struct error error;

	rig_run(&fixture->rig, forget_state, &without);
	guest_boot(guest, &fixture->rig, RIG_VERSION_1);
	assert_false(vhost_client_has(guest->client, VHOST_PROTOCOL_DEVICE_STATE));
	assert_int_equal(vhost_client_load_state(guest->client, "state", 5, &error), -EOPNOTSUPP);
	guest_echo(guest, 0);
	guest_disconnect(guest);
	assert_true(rig_wait_idle(&fixture->rig));
	fixture->rig.test.device.class = &rig_class;
}

/* The record of requests in flight, which the frontend keeps. */
struct record {
	struct vhost_inflight description;
	int fd;
};

static void keep(struct vhost_rig *rig, void *context)
{
	virtio_device_keep_state(&rig->test.device);
}

/* A guest whose device has a record of requests in flight, and keeps a state. */
static struct record boot_and_keep(struct rig_fixture *fixture)
{
	struct rig_guest *guest = &fixture->guest;
	struct record record;
	struct error error;

	guest_connect(guest, &fixture->rig);
	guest_set_up(guest, RIG_VERSION_1 | RIG_DEVICE_FEATURE);
	assert_done(vhost_client_get_inflight(guest->client, RIG_QUEUES, RIG_QUEUE_SIZE,
					      &record.description, &record.fd, &error),
		    &error);
	assert_done(vhost_client_set_inflight(guest->client, &record.description, record.fd,
					      &error),
		    &error);
	for (uint16_t i = 0; i < RIG_QUEUES; i++)
		guest_start_ring(guest, i, true);
	/* A setting that is not kept, and then two that are. */
	assert_done(vhost_client_write_config(guest->client, 0, "settings", RIG_WRITABLE, &error),
		    &error);
	rig_run(&fixture->rig, keep, NULL);
	rig_run(&fixture->rig, keep, NULL);
	assert_done(vhost_client_write_config(guest->client, 0, "too late", RIG_WRITABLE, &error),
		    &error);
	return record;
}

/* Another process gets the record, and a driver with these features goes on. */
static void give_back(struct rig_fixture *fixture, const struct record *record, uint64_t features)
{
	struct rig_guest *guest = &fixture->guest;
	struct error error;

	reconnect(fixture);
	if (features)
		guest_set_up(guest, features);
	assert_done(vhost_client_set_inflight(guest->client, &record->description, record->fd,
					      &error),
		    &error);
}

static void a_state_is_kept_with_the_record(void **state)
{
	struct rig_fixture *fixture = *state;
	struct record record = boot_and_keep(fixture);
	struct rig_guest *guest = &fixture->guest;
	struct error error;

	for (int i = 0; i < 2; i++) {
		give_back(fixture, &record, RIG_VERSION_1 | RIG_DEVICE_FEATURE);
		expect_setting(guest, "settings");
		go_on(guest);
	}
	/* Before the features are set. */
	give_back(fixture, &record, 0);
	guest_set_up(guest, RIG_VERSION_1 | RIG_DEVICE_FEATURE);
	expect_setting(guest, "settings");
	/* A driver with other features is another one. */
	give_back(fixture, &record, RIG_VERSION_1);
	expect_setting(guest, initial);
	/* The driver resets its device, and the frontend keeps the record. */
	give_back(fixture, &record, RIG_VERSION_1 | RIG_DEVICE_FEATURE);
	expect_setting(guest, "settings");
	assert_done(vhost_client_reset(guest->client, &error), &error);
	give_back(fixture, &record, RIG_VERSION_1 | RIG_DEVICE_FEATURE);
	expect_setting(guest, initial);
	close(record.fd);
}

/* Where the newest slot begins: it has a sequence, a length and the bytes. */
static off_t newest_slot(const struct record *record)
{
	off_t first = (off_t)record->description.mmap_size - 2 * (16 + DEVICE_STATE_MAX);
	off_t second = first + 16 + DEVICE_STATE_MAX;
	uint64_t sequences[2];

	assert_int_equal(pread(record->fd, &sequences[0], 8, first), 8);
	assert_int_equal(pread(record->fd, &sequences[1], 8, second), 8);
	assert_true(sequences[0] != sequences[1]);
	return sequences[0] > sequences[1] ? first : second;
}

static void a_kept_state_may_be_anything(void **state)
{
	static const uint64_t lengths[] = {0, 1, DEVICE_STATE_MAX, DEVICE_STATE_MAX + 1,
					   UINT64_MAX};
	const uint64_t features = RIG_VERSION_1 | RIG_DEVICE_FEATURE;
	struct rig_fixture *fixture = *state;
	struct record record = boot_and_keep(fixture), small = record;
	struct rig_guest *guest = &fixture->guest;
	off_t slot = newest_slot(&record), other;
	uint64_t length;

	/* A process that dies while it writes the next state leaves the last one. */
	other = slot == (off_t)record.description.mmap_size - (16 + DEVICE_STATE_MAX) ?
			slot - (16 + DEVICE_STATE_MAX) :
			slot + 16 + DEVICE_STATE_MAX;
	assert_int_equal(pwrite(record.fd, "half of a state", 15, other + 8), 15);
	give_back(fixture, &record, features);
	expect_setting(guest, "settings");
	assert_int_equal(pread(record.fd, &length, 8, slot + 8), 8);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		assert_int_equal(pwrite(record.fd, &lengths[i], 8, slot + 8), 8);
		give_back(fixture, &record, features);
		expect_setting(guest, initial);
		go_on(guest);
	}
	assert_int_equal(pwrite(record.fd, &length, 8, slot + 8), 8);
	assert_int_equal(pwrite(record.fd, "XXXX", 4, slot + 16), 4);
	give_back(fixture, &record, features);
	expect_setting(guest, initial);
	/* A record without room for a state, as of other device processes. */
	small.description.mmap_size -= 16;
	give_back(fixture, &small, features);
	expect_setting(guest, initial);
	rig_run(&fixture->rig, keep, NULL);
	go_on(guest);
	close(record.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(a_state_moves),
		rig_test(a_state_ends_with_its_driver),
		rig_test(rings_must_be_stopped),
		rig_test(bad_states_are_refused),
		rig_test(transfers_that_make_no_sense),
		rig_test(transfers_that_do_not_end),
		rig_test(the_channel_of_the_frontend_is_not_used),
		rig_test(a_ring_that_starts_ends_the_transfer),
		rig_test(it_is_offered_only_where_there_is_one),
		rig_test(a_state_is_kept_with_the_record),
		rig_test(a_kept_state_may_be_anything),
	};

	/* As every process that serves a device. */
	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
