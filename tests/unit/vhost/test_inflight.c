// SPDX-License-Identifier: BSD-3-Clause
/*
 * The in-flight record: device sides that are killed with SIGKILL at random moments and restarted,
 * repeatedly, must complete every request exactly once; a record that was tampered with is rejected
 * or survived.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "unit/ring_pair.h"

#define KILLS	  100
#define TRANSFERS 48
#define HELD	  24

struct answer {
	uint32_t request, reply;
};

static struct answer *answer_of(struct ring_pair *pair, unsigned int slot)
{
	return ring_pair_at(pair, PAIR_BASE + slot * 64);
}

/* The device process: takes requests, holds some, and completes them in random order, forever. */
static void run_device(struct ring_pair *pair, uint64_t random)
{
	struct virtio_request *held[HELD];
	unsigned int count = 0;

	if (ring_pair_start_device(pair) < 0)
		_exit(1);
	for (;;) {
		struct virtio_request *request;
		struct answer answer;

		if (count < HELD && (request = virtqueue_pop(&pair->device))) {
			if (request_read(request, &answer.request, 4) != 4)
				_exit(2);
			answer.reply = ~answer.request;
			if (request_write(request, &answer.reply, 4) != 4)
				_exit(3);
			held[count++] = request;
		}
		if (virtqueue_broken(&pair->device))
			_exit(4);
		if (count > 0 && test_random_below(&random, 3) == 0) {
			unsigned int which = test_random_below(&random, count);

			virtqueue_push(&pair->device, held[which]);
			held[which] = held[--count];
		}
	}
}

/* A request in @pieces descriptors, the last one of which is for the answer. */
static void add_pieces(struct ring_pair *pair, unsigned int slot, unsigned int pieces,
		       uint32_t *sequence, bool *busy)
{
	uint64_t address = PAIR_BASE + slot * 64;
	struct driver_buffer whole[] = {{guest_addr(address), 4}, {guest_addr(address + 4), 4}};
	struct driver_buffer cut[] = {{guest_addr(address), 1},
				      {guest_addr(address + 1), 3},
				      {guest_addr(address + 4), 4}};
	struct answer *answer = answer_of(pair, slot);

	if (busy[slot])
		return;
	answer->request = *sequence;
	answer->reply = 0;
	if (driver_queue_add(&pair->driver, pieces == 2 ? whole : cut, pieces - 1, 1, answer) ==
	    0) {
		busy[slot] = true;
		++*sequence;
	}
}

static void add(struct ring_pair *pair, unsigned int slot, uint32_t *sequence, bool *busy)
{
	add_pieces(pair, slot, 3, sequence, busy);
}

/* Takes used requests; yields the processor to the device when there are none. */
static unsigned int take_all(struct ring_pair *pair, bool *busy)
{
	unsigned int taken = 0;
	struct answer *answer;
	uint32_t written;
	int error = 0;

	while ((answer = driver_queue_take(&pair->driver, &written, &error))) {
		unsigned int slot = (unsigned int)(((uint8_t *)answer - pair->halves[0]) / 64);

		assert_true(busy[slot]);
		assert_int_equal(written, 4);
		assert_int_equal(answer->reply, ~answer->request);
		busy[slot] = false;
		taken++;
	}
	assert_int_equal(error, 0);
	if (taken == 0)
		sched_yield();
	return taken;
}

static pid_t start_device_process(struct ring_pair *pair, uint64_t seed)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		run_device(pair, seed);
	return pid;
}

static void kill_device_process(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status)); /* run_device treats an exit of its own as a failure */
}

static void survive_kills(uint64_t features, uint16_t size)
{
	struct ring_pair pair;
	uint64_t random = size + features;
	uint32_t added = 0, taken = 0;
	bool busy[TRANSFERS] = {false};
	pid_t pid;

	ring_pair_start(&pair, size, features, true);
	virtqueue_stop(&pair.device, NULL, NULL); /* owned by the child from here on */
	for (unsigned int kills = 0; kills < KILLS; kills++) {
		/* Some are killed before they did anything, most while they work. */
		uint32_t target = taken + test_random_below(&random, 60);

		pid = start_device_process(&pair, random);
		for (time_t end = time(NULL) + 60; taken < target && time(NULL) < end;) {
			add(&pair, test_random_below(&random, TRANSFERS), &added, busy);
			taken += take_all(&pair, busy);
		}
		assert_true(taken >= target);
		nanosleep(&(struct timespec){.tv_nsec = test_random_below(&random, 30000)}, NULL);
		kill_device_process(pid);
	}
	pid = start_device_process(&pair, random);
	for (time_t end = time(NULL) + 60; taken < added && time(NULL) < end;)
		taken += take_all(&pair, busy);
	kill_device_process(pid);
	assert_int_equal(taken, added);
	assert_true(added > KILLS);
	ring_pair_stop(&pair);
}

static void test_kills_split(void **state)
{
	(void)state;
	survive_kills(PAIR_EVENT_INDEX, 64);
	survive_kills(PAIR_INDIRECT_DESC, 16);
}

static void test_kills_packed(void **state)
{
	(void)state;
	survive_kills(PAIR_PACKED | PAIR_EVENT_INDEX, 64);
	survive_kills(PAIR_PACKED | PAIR_INDIRECT_DESC, 17);
	survive_kills(PAIR_PACKED, 3);
}

static void test_kills_in_order(void **state)
{
	(void)state;
	survive_kills(PAIR_IN_ORDER, 32);
	survive_kills(PAIR_IN_ORDER | PAIR_PACKED, 33);
}

static void answer_one(struct virtio_request *request)
{
	uint32_t value;

	if (!request || request_read(request, &value, 4) != 4)
		_exit(2);
	value = ~value;
	if (request_write(request, &value, 4) != 4)
		_exit(3);
}

/*
 * Takes two requests and completes them as one, takes one and returns it, takes and completes it
 * again, between two stops that the tracer sees.
 */
static void run_traced_device(struct ring_pair *pair)
{
	struct virtio_request *requests[4];

	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0 || ring_pair_start_device(pair) < 0)
		_exit(1);
	for (unsigned int i = 0; i < 2; i++)
		answer_one(requests[i] = virtqueue_pop(&pair->device));
	raise(SIGSTOP);
	virtqueue_push_batch(&pair->device, requests, 2);
	for (unsigned int i = 2; i < 4 && virtqueue_has_request(&pair->device); i++) {
		virtqueue_unpop(&pair->device, virtqueue_pop(&pair->device));
		answer_one(requests[i] = virtqueue_pop(&pair->device));
		virtqueue_push(&pair->device, requests[i]);
	}
	raise(SIGSTOP);
	_exit(4);
}

/* What a kill leaves: guest memory and the record. */
#define SNAPSHOTS_MAX 256

struct snapshot {
	uint8_t *halves[2];
	uint8_t *record;
};

static void save(const struct ring_pair *pair, size_t record_bytes, struct snapshot *snapshot)
{
	for (unsigned int i = 0; i < 2; i++)
		snapshot->halves[i] = memcpy(malloc(PAIR_HALF), pair->halves[i], PAIR_HALF);
	snapshot->record = memcpy(malloc(record_bytes), pair->record, record_bytes);
}

static bool unchanged(const struct ring_pair *pair, size_t record_bytes,
		      const struct snapshot *snapshot)
{
	return !memcmp(snapshot->record, pair->record, record_bytes) &&
	       !memcmp(snapshot->halves[0], pair->halves[0], PAIR_HALF) &&
	       !memcmp(snapshot->halves[1], pair->halves[1], PAIR_HALF);
}

static void restore(struct ring_pair *pair, size_t record_bytes, struct snapshot *snapshot)
{
	for (unsigned int i = 0; i < 2; i++) {
		memcpy(pair->halves[i], snapshot->halves[i], PAIR_HALF);
		free(snapshot->halves[i]);
	}
	memcpy(pair->record, snapshot->record, record_bytes);
	free(snapshot->record);
}

/* Each entry of a packed record belongs to a request in flight or is free, and none is lost. */
static void assert_nothing_leaked(const struct ring_pair *pair)
{
	const uint16_t *header = pair->record;
	const uint8_t *entries = (const uint8_t *)pair->record + 32;
	unsigned int found = 0;
	uint16_t free = header[6];

	if (!(pair->features & PAIR_PACKED))
		return;
	for (; free < pair->size && found <= pair->size; found++)
		memcpy(&free, entries + free * 32 + 2, sizeof(free));
	assert_int_equal(found, pair->size);
}

/*
 * Fills and empties the ring until it has wrapped, so that its slots hold old content, and the used
 * and available positions are in its middle.
 */
static void go_round(struct ring_pair *pair, unsigned int requests, uint32_t *sequence, bool *busy)
{
	for (unsigned int i = 0; i < requests; i++) {
		struct virtio_request *request;

		add(pair, 0, sequence, busy);
		request = virtqueue_pop(&pair->device);
		answer_one(request);
		virtqueue_push(&pair->device, request);
		assert_int_equal(take_all(pair, busy), 1);
	}
}

/*
 * Single-steps through the device's work and keeps each different state of shared memory: every
 * state that a kill can leave. From each, another device finishes the work. The first two of @count
 * requests, of @pieces descriptors each, complete as one.
 */
static void survive_kill_at_each_instruction(uint64_t features, unsigned int rounds,
					     const unsigned int *pieces, unsigned int count)
{
	size_t record_bytes = inflight_region_size(16, features & PAIR_PACKED);
	struct driver_descriptor descriptors[16];
	struct snapshot snapshots[SNAPSHOTS_MAX];
	struct driver_queue driver;
	struct ring_pair pair;
	bool busy[TRANSFERS] = {false};
	unsigned int states = 0;
	uint32_t sequence = 0;
	int status;
	pid_t pid;

	ring_pair_start(&pair, 16, features, true);
	go_round(&pair, rounds, &sequence, busy);
	virtqueue_stop(&pair.device, NULL, NULL);
	for (unsigned int i = 0; i < count; i++)
		add_pieces(&pair, i, pieces[i], &sequence, busy);
	driver = pair.driver;
	memcpy(descriptors, pair.descriptors, sizeof(descriptors));
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		run_traced_device(&pair);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
	do {
		if (states == 0 || !unchanged(&pair, record_bytes, &snapshots[states - 1])) {
			assert_true(states < SNAPSHOTS_MAX);
			save(&pair, record_bytes, &snapshots[states++]);
		}
		assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSTOPPED(status));
	} while (WSTOPSIG(status) != SIGSTOP);
	kill(pid, SIGKILL);
	waitpid(pid, &status, 0);
	/* Two requests cannot be completed in a handful of stores. */
	assert_true(states > 8);

	for (unsigned int i = 0; i < states; i++) {
		uint32_t taken = 0;

		restore(&pair, record_bytes, &snapshots[i]);
		pair.driver = driver;
		memcpy(pair.descriptors, descriptors, sizeof(descriptors));
		for (unsigned int slot = 0; slot < count; slot++)
			busy[slot] = true;
		taken += take_all(&pair, busy);
		/* Of requests that complete as one, the driver sees all or none. */
		assert_int_not_equal(taken, 1);
		/* The same must hold with the next device, which completes them one by one. */
		assert_int_equal(ring_pair_start_device(&pair), 0);
		assert_int_equal(take_all(&pair, busy), 0);
		virtqueue_stop(&pair.device, NULL, NULL);
		pid = start_device_process(&pair, i);
		for (time_t end = time(NULL) + 60; taken < count && time(NULL) < end;)
			taken += take_all(&pair, busy);
		assert_int_equal(taken, count);
		/*
		 * The driver sees a request as used before the record is updated: one more round.
		 */
		kill_device_process(pid);
		assert_int_equal(ring_pair_start_device(&pair), 0);
		assert_int_equal(take_all(&pair, busy), 0);
		assert_nothing_leaked(&pair);
		virtqueue_stop(&pair.device, NULL, NULL);
	}
	ring_pair_stop(&pair);
}

static void test_kill_at_each_instruction(void **state)
{
	static const unsigned int pieces[] = {3, 3, 3, 3};

	(void)state;
	survive_kill_at_each_instruction(0, 0, pieces, 4);
	survive_kill_at_each_instruction(PAIR_EVENT_INDEX | PAIR_IN_ORDER, 0, pieces, 4);
	survive_kill_at_each_instruction(PAIR_PACKED, 0, pieces, 4);
	survive_kill_at_each_instruction(PAIR_PACKED | PAIR_EVENT_INDEX, 0, pieces, 4);
	survive_kill_at_each_instruction(PAIR_PACKED | PAIR_IN_ORDER, 0, pieces, 4);
}

/* The batch crosses the end of the ring, or ends exactly there. */
static void test_kill_at_the_end_of_the_ring(void **state)
{
	static const unsigned int over[] = {3, 3, 3}, up_to[] = {3, 2};

	(void)state;
	/* 9 requests of 3 in a ring of 16: the next one begins at 11. */
	survive_kill_at_each_instruction(0, 9, over, 3);
	survive_kill_at_each_instruction(PAIR_PACKED, 9, over, 3);
	/* Slot 0 is not the first of its chain: it still has the driver's content. */
	survive_kill_at_each_instruction(PAIR_PACKED, 9, up_to, 2);
}

#define BATCH_MAX 6
#define BATCHES	  5000

/* Completes batches of random sizes, each with one answer in all of its requests. */
static void *push_batches(void *context)
{
	struct ring_pair *pair = context;
	struct virtio_request *batch[BATCH_MAX];
	uint64_t random = pair->features;

	for (uint32_t number = 1; number <= BATCHES; number++) {
		uint32_t want = 1 + test_random_below(&random, BATCH_MAX);
		uint32_t answer[2] = {number, want};

		for (uint32_t i = 0; i < want;) {
			batch[i] = virtqueue_pop(&pair->device);
			if (batch[i])
				i++;
			else
				sched_yield();
		}
		for (uint32_t i = 0; i < want; i++)
			request_write(batch[i], answer, sizeof(answer));
		virtqueue_push_batch(&pair->device, batch, (uint16_t)want);
	}
	return NULL;
}

static void take_whole_batches(uint64_t features, bool track)
{
	unsigned int cut[] = {8, 4}; /* chains of one descriptor, and of two */
	struct ring_pair pair;
	pthread_t thread;
	uint64_t added = 0;
	uint32_t slots = 0;

	ring_pair_start(&pair, 32, features, track);
	assert_int_equal(pthread_create(&thread, NULL, push_batches, &pair), 0);
	for (uint32_t number = 1; number <= BATCHES;) {
		uint32_t *answer, written;
		int error = 0;

		while (slots < 16) {
			uint64_t address = PAIR_BASE + added % 16 * 8;
			uint32_t first = cut[added % 2];
			struct driver_buffer buffers[] = {
				{guest_addr(address), first},
				{guest_addr(address + first), 8 - first},
			};

			assert_int_equal(driver_queue_add(&pair.driver, buffers, 0,
							  first < 8 ? 2 : 1,
							  ring_pair_at(&pair, address)),
					 0);
			added++;
			slots++;
		}
		answer = driver_queue_take(&pair.driver, &written, &error);
		assert_int_equal(error, 0);
		if (!answer)
			continue;
		slots--;
		assert_int_equal(answer[0], number++);
		/* The driver has seen its first request: it takes the others without waiting. */
		for (uint32_t i = 1, want = answer[1]; i < want; i++) {
			answer = driver_queue_take(&pair.driver, &written, &error);
			assert_non_null(answer);
			assert_int_equal(answer[0], number - 1);
			slots--;
		}
	}
	pthread_join(thread, NULL);
	ring_pair_stop(&pair);
}

/* A driver on another processor polls, and requests in flight are tracked. */
static void test_batches_stay_whole(void **state)
{
	(void)state;
	for (unsigned int track = 0; track < 2; track++) {
		take_whole_batches(0, track);
		take_whole_batches(PAIR_PACKED, track);
		take_whole_batches(PAIR_IN_ORDER | PAIR_EVENT_INDEX, track);
		take_whole_batches(PAIR_PACKED | PAIR_IN_ORDER, track);
	}
}

/* Replay keeps the order in which requests were first taken. */
static void test_replay_order(void **state)
{
	struct ring_pair pair;
	bool busy[TRANSFERS] = {false};
	uint32_t sequence = 0;

	(void)state;
	for (unsigned int packed = 0; packed < 2; packed++) {
		struct virtio_request *requests[8];
		uint32_t first;

		sequence = 0;
		memset(busy, 0, sizeof(busy));
		ring_pair_start(&pair, 32, packed ? PAIR_PACKED : 0, true);
		for (unsigned int i = 0; i < 8; i++)
			add(&pair, i, &sequence, busy);
		for (unsigned int i = 0; i < 6; i++)
			assert_non_null(requests[i] = virtqueue_pop(&pair.device));
		/* 3 completes; 0, 1, 2, 4, 5 were in flight; 6, 7 not taken yet */
		assert_int_equal(request_write(requests[3], "....", 4), 4);
		virtqueue_push(&pair.device, requests[3]);
		assert_int_equal(ring_pair_start_device(&pair), 0);
		for (unsigned int i = 0; i < 8; i++) {
			struct virtio_request *request;

			if (i == 3)
				continue;
			request = virtqueue_pop(&pair.device);
			assert_non_null(request);
			assert_int_equal(request_read(request, &first, 4), 4);
			assert_int_equal(first, i);
		}
		assert_null(virtqueue_pop(&pair.device));
		ring_pair_stop(&pair);
	}
}

/* Takes @count requests, which must be those that begin with @numbers. */
static void take_these(struct ring_pair *pair, const uint32_t *numbers, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		struct virtio_request *request = virtqueue_pop(&pair->device);
		uint32_t number;

		assert_non_null(request);
		assert_int_equal(request_read(request, &number, 4), 4);
		assert_int_equal(number, numbers[i]);
	}
}

/* Requests taken after a restart come after those taken before, also for the next restart. */
static void test_replay_order_of_two_restarts(void **state)
{
	static const uint32_t first[] = {0, 1, 2}, second[] = {0, 1, 2, 3, 4};

	(void)state;
	for (unsigned int packed = 0; packed < 2; packed++) {
		struct ring_pair pair;
		bool busy[TRANSFERS] = {false};
		uint32_t sequence = 0;

		ring_pair_start(&pair, 32, packed ? PAIR_PACKED : 0, true);
		for (unsigned int i = 0; i < 3; i++)
			add(&pair, i, &sequence, busy);
		take_these(&pair, first, 3);
		assert_int_equal(ring_pair_start_device(&pair), 0);
		for (unsigned int i = 3; i < 5; i++)
			add(&pair, i, &sequence, busy);
		take_these(&pair, second, 5);
		assert_int_equal(ring_pair_start_device(&pair), 0);
		take_these(&pair, second, 5);
		assert_null(virtqueue_pop(&pair.device));
		ring_pair_stop(&pair);
	}
}

/*
 * Stopped with requests in flight, for example by a change of memory: they are taken again later.
 */
static void test_stop_keeps_what_is_in_flight(void **state)
{
	static const uint64_t features[] = {0, PAIR_PACKED};

	(void)state;
	for (size_t i = 0; i < sizeof(features) / sizeof(features[0]); i++) {
		struct ring_pair pair;
		bool busy[TRANSFERS] = {false};
		uint32_t sequence = 0, number;
		struct virtio_request *request;
		uint16_t available, used;

		ring_pair_start(&pair, 16, features[i], true);
		for (unsigned int slot = 0; slot < 4; slot++)
			add(&pair, slot, &sequence, busy);
		for (unsigned int slot = 0; slot < 4; slot++)
			assert_non_null(virtqueue_pop(&pair.device));
		assert_int_equal(ring_pair_start_device(&pair), 0);
		request = virtqueue_pop(&pair.device);
		assert_int_equal(request_read(request, &number, 4), 4);
		number = ~number;
		assert_int_equal(request_write(request, &number, 4), 4);
		virtqueue_push(&pair.device, request);

		virtqueue_stop(&pair.device, &available, &used);
		pair.setup.available_index = available;
		pair.setup.used_index = used;
		assert_int_equal(ring_pair_start_device(&pair), 0);
		for (unsigned int slot = 1; slot < 4; slot++) {
			request = virtqueue_pop(&pair.device);
			assert_non_null(request);
			assert_int_equal(request_read(request, &number, 4), 4);
			assert_int_equal(number, slot);
		}
		assert_null(virtqueue_pop(&pair.device));
		ring_pair_stop(&pair);
	}
}

/* The frontend can write to the record at any time: no index in it is used unchecked. */
static void test_record_changed_in_the_middle(void **state)
{
	struct virtqueue_inflight inflight;
	struct vring_packed_desc descriptor = {0};
	uint64_t record[128] = {0};

	(void)state;
	assert_int_equal(inflight_attach(&inflight, record, 16, true), 0);
	inflight_open(&inflight, 0, true);
	assert_int_equal(inflight_add_packed(&inflight, &descriptor), 0);
	((uint16_t *)record)[7] = 60000; /* old_free_head */
	assert_in_range(inflight_commit_packed(&inflight), 0, 15);
}

/*
 * With random bytes in the record, it is rejected, or the ring breaks, or it works; nothing worse.
 */
static void test_damaged_record(void **state)
{
	uint64_t random = 1;

	(void)state;
	for (unsigned int round = 0; round < 4000; round++) {
		bool packed = round & 1;
		struct ring_pair pair;
		bool busy[TRANSFERS] = {false};
		uint32_t sequence = 0;
		size_t bytes = inflight_region_size(16, packed);

		ring_pair_start(&pair, 16, packed ? PAIR_PACKED : 0, true);
		for (unsigned int i = 0; i < 5; i++)
			add(&pair, i, &sequence, busy);
		for (unsigned int i = 0; i < 4; i++)
			virtqueue_pop(&pair.device);
		for (unsigned int i = 0; i <= test_random_below(&random, 12); i++) {
			uint8_t *byte = (uint8_t *)pair.record +
					test_random_below(&random, (uint32_t)bytes);

			*byte = (uint8_t)test_random(&random);
		}
		if (ring_pair_start_device(&pair) == 0) {
			struct virtio_request *request;
			unsigned int taken = 0;

			while ((request = virtqueue_pop(&pair.device))) {
				assert_true(++taken <= 64);
				virtqueue_push(&pair.device, request);
			}
		}
		ring_pair_stop(&pair);
	}
}

static void test_wrong_record_is_refused(void **state)
{
	struct virtqueue_inflight inflight;
	uint8_t record[4096] = {0};

	(void)state;
	assert_int_equal(inflight_attach(&inflight, record, 16, false), 0);
	inflight_open(&inflight, 0, false);
	assert_int_equal(inflight_attach(&inflight, record, 16, false), 0);
	assert_true(inflight_is_open(&inflight));
	assert_int_equal(inflight_attach(&inflight, record, 32, false), 0);
	assert_false(inflight_is_open(&inflight));
	record[8] = 9; /* version */
	assert_int_equal(inflight_attach(&inflight, record, 16, false), -EINVAL);
	assert_int_equal(inflight_region_size(128, false) % 64, 0);
	assert_true(inflight_region_size(128, false) >= 16 + 128 * 16);
	assert_true(inflight_region_size(128, true) >= 32 + 128 * 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kills_split),
		cmocka_unit_test(test_kills_packed),
		cmocka_unit_test(test_kills_in_order),
		cmocka_unit_test(test_kill_at_each_instruction),
		cmocka_unit_test(test_kill_at_the_end_of_the_ring),
		cmocka_unit_test(test_batches_stay_whole),
		cmocka_unit_test(test_replay_order),
		cmocka_unit_test(test_replay_order_of_two_restarts),
		cmocka_unit_test(test_stop_keeps_what_is_in_flight),
		cmocka_unit_test(test_record_changed_in_the_middle),
		cmocka_unit_test(test_damaged_record),
		cmocka_unit_test(test_wrong_record_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
