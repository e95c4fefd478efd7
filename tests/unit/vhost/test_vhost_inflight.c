// SPDX-License-Identifier: BSD-3-Clause
/*
 * Tests of requests in flight over vhost-user: a device process is killed with requests in flight;
 * the next one gets the record and takes them again.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "unit/ring_pair.h"
#include "unit/vhost_rig.h"
#include "vhost/server_private.h"
#include "virtio/device_state.h"

#define REQUESTS 20u

/* A device process: a rig in a child. */
struct process {
	pid_t pid;
	struct vhost_rig *rig; /* memory shared with the child, to inspect and to set hold */
	const char *path;
};

static void start_process(struct process *process, const char *path, enum rig_hold hold)
{
	process->rig = mmap(NULL, sizeof(*process->rig), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(process->rig, MAP_FAILED);
	unlink(path);
	process->pid = fork();
	assert_true(process->pid >= 0);
	if (process->pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		rig_start(process->rig, -1);
		process->rig->test.hold = hold;
		if (rename(process->rig->path, path) < 0)
			_exit(1);
		scratch_remove(&process->rig->scratch);
		for (;;)
			pause();
	}
}

static void kill_process(struct process *process)
{
	int status;

	kill(process->pid, SIGKILL);
	assert_int_equal(waitpid(process->pid, &status, 0), process->pid);
	assert_int_equal(WTERMSIG(status), SIGKILL);
	munmap(process->rig, sizeof(*process->rig));
}

struct fixture {
	struct scratch scratch;
	char *path;
	struct process process;
	struct rig_guest guest;
	struct vhost_rig address; /* only its path is used, to connect */
	struct vhost_inflight description;
	int record;
	unsigned int waiting; /* requests not answered yet */
	uint8_t values[RIG_QUEUE_SIZE];
	unsigned int answers[RIG_QUEUE_SIZE];
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	scratch_make(&fixture->scratch);
	fixture->path = strdup(scratch_path(&fixture->scratch, "device"));
	fixture->address.path = fixture->path;
	fixture->record = -1;
	guest_create(&fixture->guest);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;

	guest_destroy(&fixture->guest);
	if (fixture->process.pid)
		kill_process(&fixture->process);
	if (fixture->record >= 0)
		close(fixture->record);
	free(fixture->path);
	scratch_remove(&fixture->scratch);
	free(fixture);
	return 0;
}

/* Connects to the current process, and starts ring 0 at its position. */
static void begin(struct fixture *fixture, uint64_t features, bool fresh)
{
	struct rig_guest *guest = &fixture->guest;
	struct error error;

	guest_connect(guest, &fixture->address);
	guest_set_up(guest, features);
	if (fixture->record < 0)
		assert_done(vhost_client_get_inflight(guest->client, RIG_QUEUES, RIG_QUEUE_SIZE,
						      &fixture->description, &fixture->record,
						      &error),
			    &error);
	assert_done(vhost_client_set_inflight(guest->client, &fixture->description, fixture->record,
					      &error),
		    &error);
	if (!fresh)
		guest->rings[0].base = guest_position(guest, 0);
	guest_start_ring(guest, 0, fresh);
}

static void send_request(struct fixture *fixture, unsigned int number)
{
	fixture->values[number] = number * 3;
	guest_request(&fixture->guest, 0, number, fixture->values[number]);
	fixture->waiting++;
}

/* Takes answers, in any order. */
static bool take_answer(struct fixture *fixture)
{
	struct driver_queue *driver = &fixture->guest.rings[0].driver;
	uint32_t written;
	int broken = 0;
	void *token = driver_queue_take(driver, &written, &broken);
	unsigned int number = (uintptr_t)token - 1;

	assert_int_equal(broken, 0);
	if (!token)
		return false;
	assert_int_equal(*(uint8_t *)guest_at(&fixture->guest, GUEST_HIGH + number),
			 (uint8_t)(fixture->values[number] + 1));
	fixture->answers[number]++;
	fixture->waiting--;
	return true;
}

static void take_answers(struct fixture *fixture, unsigned int left)
{
	for (int i = 0; i < 5000 && fixture->waiting > left; i++)
		if (!take_answer(fixture))
			usleep(1000);
	assert_int_equal(fixture->waiting, left);
}

static void crash_and_resume(struct fixture *fixture, uint64_t features)
{
	start_process(&fixture->process, fixture->path, HOLD_EVERY_SECOND);
	begin(fixture, features, true);
	for (unsigned int i = 0; i < REQUESTS; i++)
		send_request(fixture, i);
	/* Half of them are answered, the process holds the others. */
	take_answers(fixture, REQUESTS / 2);
	kill_process(&fixture->process);
	vhost_client_free(fixture->guest.client);

	/* More requests that no process has taken yet. */
	for (unsigned int i = REQUESTS; i < REQUESTS + 5; i++)
		send_request(fixture, i);
	start_process(&fixture->process, fixture->path, HOLD_NONE);
	begin(fixture, features, false);
	take_answers(fixture, 0);
	for (unsigned int i = 0; i < REQUESTS + 5; i++)
		assert_int_equal(fixture->answers[i], 1);
	guest_echo(&fixture->guest, 0);
}

static void split_requests_survive_a_crash(void **state)
{
	crash_and_resume(*state, RIG_VERSION_1);
}

static void split_requests_survive_a_crash_with_event_index(void **state)
{
	crash_and_resume(*state, RIG_VERSION_1 | RIG_EVENT_INDEX);
}

static void packed_requests_survive_a_crash(void **state)
{
	crash_and_resume(*state, RIG_VERSION_1 | RIG_PACKED);
}

static void packed_requests_survive_a_crash_with_event_index(void **state)
{
	crash_and_resume(*state, RIG_VERSION_1 | RIG_PACKED | RIG_EVENT_INDEX);
}

/* Killed at random moments, repeatedly: each request is answered, and no answer is wrong. */
static void survive_many_crashes(struct fixture *fixture, uint64_t features)
{
	uint64_t random = 11;
	bool outstanding[RIG_QUEUE_SIZE / 2] = {false};

	start_process(&fixture->process, fixture->path, HOLD_EVERY_SECOND);
	begin(fixture, features, true);
	for (unsigned int round = 0; round < 40; round++) {
		for (unsigned int i = 0; i < RIG_QUEUE_SIZE / 2; i++) {
			if (outstanding[i])
				continue;
			fixture->answers[i] = 0;
			send_request(fixture, i);
			outstanding[i] = true;
		}
		usleep(test_random_below(&random, 3000));
		kill_process(&fixture->process);
		vhost_client_free(fixture->guest.client);
		while (take_answer(fixture))
			;
		for (unsigned int i = 0; i < RIG_QUEUE_SIZE / 2; i++) {
			assert_in_range(fixture->answers[i], 0, 1);
			if (fixture->answers[i])
				outstanding[i] = false;
		}
		start_process(&fixture->process, fixture->path,
			      round % 2 ? HOLD_EVERY_SECOND : HOLD_NONE);
		begin(fixture, features, false);
	}
	kill_process(&fixture->process);
	vhost_client_free(fixture->guest.client);
	start_process(&fixture->process, fixture->path, HOLD_NONE);
	begin(fixture, features, false);
	take_answers(fixture, 0);
	guest_echo(&fixture->guest, 0);
}

static void split_rings_survive_many_crashes(void **state)
{
	survive_many_crashes(*state, RIG_VERSION_1);
}

static void packed_rings_survive_many_crashes(void **state)
{
	survive_many_crashes(*state, RIG_VERSION_1 | RIG_PACKED);
}

static void the_record_is_as_specified(void **state)
{
	struct fixture *fixture = *state;
	struct stat status;

	start_process(&fixture->process, fixture->path, HOLD_NONE);
	begin(fixture, RIG_VERSION_1, true);
	guest_echo(&fixture->guest, 0);
	assert_int_equal(fixture->description.queue_count, RIG_QUEUES);
	assert_int_equal(fixture->description.queue_size, RIG_QUEUE_SIZE);
	assert_int_equal(fixture->description.mmap_offset, 0);
	/* The records, and behind them the state of the device. */
	assert_true(fixture->description.mmap_size >=
		    RIG_QUEUES * inflight_region_size(RIG_QUEUE_SIZE, false) + DEVICE_STATE_MAX);
	assert_int_equal(fstat(fixture->record, &status), 0);
	assert_int_equal(status.st_size, fixture->description.mmap_size);
	/* Its size is sealed, for whoever maps it. */
	assert_int_equal(ftruncate(fixture->record, 0), -1);
	assert_int_equal(fcntl(fixture->record, F_GET_SEALS),
			 F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
}

/* A pause and a reset leave nothing that would be replayed. */
static void nothing_is_replayed_after_a_stop(struct fixture *fixture, uint64_t features)
{
	struct rig_guest *guest = &fixture->guest;
	struct error error;

	start_process(&fixture->process, fixture->path, HOLD_ALL);
	begin(fixture, features, true);
	send_request(fixture, 1);
	while (!fixture->process.rig->test.handled)
		usleep(100);
	assert_done(vhost_client_stop_ring(guest->client, 0, &guest->rings[0].base, &error),
		    &error);
	take_answers(fixture, 0);
	fixture->process.rig->test.hold = HOLD_NONE;
	guest_start_ring(guest, 0, false);
	guest_echo(guest, 0);

	assert_done(vhost_client_reset(guest->client, &error), &error);
	assert_done(vhost_client_set_features(guest->client, features, &error), &error);
	assert_done(vhost_client_set_inflight(guest->client, &fixture->description, fixture->record,
					      &error),
		    &error);
	guest_start_ring(guest, 0, true);
	guest_echo(guest, 0);
}

static void nothing_is_replayed_after_a_stop_of_a_split_ring(void **state)
{
	nothing_is_replayed_after_a_stop(*state, RIG_VERSION_1);
}

static void nothing_is_replayed_after_a_stop_of_a_packed_ring(void **state)
{
	nothing_is_replayed_after_a_stop(*state, RIG_VERSION_1 | RIG_PACKED);
}

/* The frontend disconnects and reconnects, and the process lives on. */
static void reconnection_finds_the_record(struct fixture *fixture, uint64_t features)
{
	start_process(&fixture->process, fixture->path, HOLD_ALL);
	begin(fixture, features, true);
	for (unsigned int i = 0; i < REQUESTS; i++)
		send_request(fixture, i);
	while (fixture->process.rig->test.handled < REQUESTS)
		usleep(100);
	guest_disconnect(&fixture->guest);
	/* It has finished the requests that it held. */
	take_answers(fixture, 0);
	fixture->process.rig->test.hold = HOLD_NONE;
	begin(fixture, features, false);
	guest_echo(&fixture->guest, 0);
}

static void reconnection_finds_the_record_of_a_split_ring(void **state)
{
	reconnection_finds_the_record(*state, RIG_VERSION_1);
}

static void reconnection_finds_the_record_of_a_packed_ring(void **state)
{
	reconnection_finds_the_record(*state, RIG_VERSION_1 | RIG_PACKED);
}

/* Killed between the update of the ring and the interrupt: the driver may be asleep. */
static void the_driver_is_told_after_a_crash(void **state)
{
	struct fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct pollfd call = {.fd = guest->rings[0].call_fd, .events = POLLIN};
	struct pollfd kick = {.fd = guest->rings[0].kick_fd, .events = POLLIN};
	uint64_t value;

	start_process(&fixture->process, fixture->path, HOLD_NONE);
	begin(fixture, RIG_VERSION_1, true);
	send_request(fixture, 1);
	assert_int_equal(read(call.fd, &value, sizeof(value)), sizeof(value));
	while (!driver_queue_has_used(&guest->rings[0].driver))
		assert_int_equal(read(call.fd, &value, sizeof(value)), sizeof(value));
	kill_process(&fixture->process);
	vhost_client_free(guest->client);
	while (poll(&call, 1, 0) == 1)
		assert_int_equal(read(call.fd, &value, sizeof(value)), sizeof(value));
	while (poll(&kick, 1, 0) == 1)
		assert_int_equal(read(kick.fd, &value, sizeof(value)), sizeof(value));

	start_process(&fixture->process, fixture->path, HOLD_NONE);
	begin(fixture, RIG_VERSION_1, false);
	assert_int_equal(poll(&call, 1, 2000), 1);
	take_answers(fixture, 0);
}

/* The driver was reset while there was no process, and set up a smaller ring. */
static void a_record_of_a_larger_ring_is_forgotten(void **state)
{
	struct fixture *fixture = *state;
	struct rig_guest *guest = &fixture->guest;
	struct vhost_client_ring setup;
	struct error error;

	start_process(&fixture->process, fixture->path, HOLD_ALL);
	begin(fixture, RIG_VERSION_1, true);
	send_request(fixture, 1);
	while (!fixture->process.rig->test.handled)
		usleep(100);
	kill_process(&fixture->process);
	vhost_client_free(guest->client);
	start_process(&fixture->process, fixture->path, HOLD_NONE);
	guest_connect(guest, &fixture->address);
	guest_set_up(guest, RIG_VERSION_1);
	assert_done(vhost_client_set_inflight(guest->client, &fixture->description, fixture->record,
					      &error),
		    &error);
	guest_clear_ring(guest, 0);
	setup = guest_ring_setup(guest, 0);
	setup.size /= 2;
	assert_done(vhost_client_start_ring(guest->client, &setup, &error), &error);
	guest_request(guest, 0, 2, 5);
	guest_expect(guest, 0, 2, 5);
}

/* Messages that stop ring 0 of a running device for a while. */
static void remove_memory(struct rig_guest *guest)
{
	struct error error;

	assert_done(vhost_client_remove_memory(guest->client, &guest->regions[0].region, &error),
		    &error);
}

static void disable(struct rig_guest *guest)
{
	struct error error;

	assert_done(vhost_client_enable_ring(guest->client, 0, false, &error), &error);
}

/*
 * Killed while its ring is stopped: only the record tells the next process its position; what the
 * frontend says after a crash is wrong.
 */
static void a_crash_between_changes(struct fixture *fixture, uint64_t features,
				    void (*stop)(struct rig_guest *guest))
{
	struct rig_guest *guest = &fixture->guest;
	struct error error;

	start_process(&fixture->process, fixture->path, HOLD_EVERY_SECOND);
	begin(fixture, features, true);
	for (unsigned int i = 0; i < REQUESTS; i++)
		send_request(fixture, i);
	take_answers(fixture, REQUESTS / 2);
	/* The process has to complete its requests before the memory goes away. */
	stop(guest);
	take_answers(fixture, 0);
	kill_process(&fixture->process);
	vhost_client_free(guest->client);
	for (unsigned int i = REQUESTS; i < REQUESTS + 5; i++)
		send_request(fixture, i);

	start_process(&fixture->process, fixture->path, HOLD_NONE);
	guest_connect(guest, &fixture->address);
	guest_set_up(guest, features);
	assert_done(vhost_client_set_inflight(guest->client, &fixture->description, fixture->record,
					      &error),
		    &error);
	guest->rings[0].base = features & RIG_PACKED ? VHOST_PACKED_BASE : 0;
	guest_start_ring(guest, 0, false);
	take_answers(fixture, 0);
	for (unsigned int i = 0; i < REQUESTS + 5; i++)
		assert_int_equal(fixture->answers[i], 1);
	guest_echo(guest, 0);
}

static void a_crash_between_removing_and_adding_memory_split(void **state)
{
	a_crash_between_changes(*state, RIG_VERSION_1, remove_memory);
}

static void a_crash_between_removing_and_adding_memory_packed(void **state)
{
	a_crash_between_changes(*state, RIG_VERSION_1 | RIG_PACKED, remove_memory);
}

static void a_crash_of_a_disabled_split_ring(void **state)
{
	a_crash_between_changes(*state, RIG_VERSION_1, disable);
}

static void a_crash_of_a_disabled_packed_ring(void **state)
{
	a_crash_between_changes(*state, RIG_VERSION_1 | RIG_PACKED, disable);
}

#define crash_test(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		crash_test(the_record_is_as_specified),
		crash_test(split_requests_survive_a_crash),
		crash_test(split_requests_survive_a_crash_with_event_index),
		crash_test(packed_requests_survive_a_crash),
		crash_test(packed_requests_survive_a_crash_with_event_index),
		crash_test(split_rings_survive_many_crashes),
		crash_test(packed_rings_survive_many_crashes),
		crash_test(nothing_is_replayed_after_a_stop_of_a_split_ring),
		crash_test(nothing_is_replayed_after_a_stop_of_a_packed_ring),
		crash_test(reconnection_finds_the_record_of_a_split_ring),
		crash_test(reconnection_finds_the_record_of_a_packed_ring),
		crash_test(the_driver_is_told_after_a_crash),
		crash_test(a_record_of_a_larger_ring_is_forgotten),
		crash_test(a_crash_between_removing_and_adding_memory_split),
		crash_test(a_crash_between_removing_and_adding_memory_packed),
		crash_test(a_crash_of_a_disabled_split_ring),
		crash_test(a_crash_of_a_disabled_packed_ring),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
