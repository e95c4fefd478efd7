// SPDX-License-Identifier: BSD-3-Clause
/*
 * Split and packed rings, device side against driver side, under thousands of random schedules:
 * every combination of ring features, sizes, chain shapes, orders of completion, and points at
 * which either side goes to sleep. Nothing may be lost, duplicated, corrupted, or left asleep.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
// cmocka needs the headers above
#include <cmocka.h>

#include "unit/ring_pair.h"

#define SCHEDULES     4000
#define STEPS	      600
#define BUFFER_BYTES  48
#define IN_FLIGHT_MAX 64

/* One transfer: what the driver sent, and what it should get back. */
struct transfer {
	bool busy;
	uint32_t sequence;
	uint32_t readable, writable; /* bytes */
	uint32_t address;	     /* of its memory, from PAIR_BASE on */
};

struct schedule {
	struct ring_pair pair;
	uint64_t random;
	struct transfer transfers[IN_FLIGHT_MAX];
	struct virtio_request *held[IN_FLIGHT_MAX]; /* popped by the device, not yet pushed */
	unsigned int held_count;
	uint32_t added, taken;
	bool device_asleep, driver_asleep;
	bool kicked;
};

/* Both ends of the border between the ranges lie within the buffers' area. */
static uint32_t buffer_address(unsigned int slot)
{
	return PAIR_HALF - IN_FLIGHT_MAX * BUFFER_BYTES / 2 + slot * BUFFER_BYTES;
}

static uint8_t pattern(uint32_t sequence, uint32_t at)
{
	return (uint8_t)(sequence * 31 + at * 7 + (sequence >> 8));
}

/* Cuts @bytes into up to @max random pieces. */
static unsigned int cut(struct schedule *s, uint32_t address, uint32_t bytes,
			struct driver_buffer *buffers, unsigned int max)
{
	unsigned int count = 0;

	while (bytes > 0 && count < max) {
		uint32_t part = count + 1 == max ? bytes : 1 + test_random_below(&s->random, bytes);

		buffers[count++] = (struct driver_buffer){guest_addr(PAIR_BASE + address), part};
		address += part;
		bytes -= part;
	}
	return count;
}

static void driver_add(struct schedule *s)
{
	unsigned int slot = test_random_below(&s->random, IN_FLIGHT_MAX);
	struct transfer *t = &s->transfers[slot];
	struct driver_buffer buffers[8];
	unsigned int readable, writable;
	uint32_t address = buffer_address(slot);

	if (t->busy)
		return;
	t->readable = test_random_below(&s->random, BUFFER_BYTES / 2);
	t->writable = test_random_below(&s->random, BUFFER_BYTES / 2);
	if (t->readable + t->writable == 0)
		t->readable = 1;
	readable = cut(s, address, t->readable, buffers, 1 + test_random_below(&s->random, 4));
	writable = cut(s, address + BUFFER_BYTES / 2, t->writable, buffers + readable,
		       1 + test_random_below(&s->random, 4));
	if (readable + writable > s->pair.size)
		return;
	t->sequence = s->added;
	t->address = address;
	for (uint32_t i = 0; i < t->readable; i++)
		*(uint8_t *)ring_pair_at(&s->pair, PAIR_BASE + address + i) =
			pattern(t->sequence, i);
	for (uint32_t i = 0; i < t->writable; i++)
		*(uint8_t *)ring_pair_at(&s->pair, PAIR_BASE + address + BUFFER_BYTES / 2 + i) = 0;
	if (driver_queue_add(&s->pair.driver, buffers, readable, writable, t) < 0)
		return;
	t->busy = true;
	s->added++;
}

static void driver_kick(struct schedule *s)
{
	if (driver_queue_kick_wanted(&s->pair.driver))
		s->kicked = true;
}

static void driver_take(struct schedule *s)
{
	uint32_t written;
	int error = 0;
	struct transfer *t = driver_queue_take(&s->pair.driver, &written, &error);

	assert_int_equal(error, 0);
	if (!t)
		return;
	assert_true(t->busy);
	assert_int_equal(written, t->writable);
	for (uint32_t i = 0; i < t->writable; i++)
		assert_int_equal(*(uint8_t *)ring_pair_at(&s->pair, PAIR_BASE + t->address +
									    BUFFER_BYTES / 2 + i),
				 pattern(t->sequence, i + 100));
	if (s->pair.features & PAIR_IN_ORDER)
		assert_int_equal(t->sequence, s->taken);
	t->busy = false;
	s->taken++;
}

static void device_pop(struct schedule *s)
{
	struct virtio_request *request;
	uint8_t bytes[BUFFER_BYTES];
	size_t length = 0, part;

	if (s->held_count == IN_FLIGHT_MAX)
		return;
	request = virtqueue_pop(&s->pair.device);
	assert_false(virtqueue_broken(&s->pair.device));
	if (!request)
		return;
	if (test_random_below(&s->random, 8) == 0) { /* inspected, and returned */
		virtqueue_unpop(&s->pair.device, request);
		return;
	}
	/* The stream arrives in pieces of any size, whatever the framing. */
	while ((part = request_read(request, bytes + length,
				    1 + test_random_below(&s->random, 9))) > 0)
		length += part;
	assert_int_equal(request->readable.left, 0);
	s->held[s->held_count++] = request;
	/* The pattern's position gives the sequence number: look up the transfer. */
	for (unsigned int i = 0; i < IN_FLIGHT_MAX; i++) {
		struct transfer *t = &s->transfers[i];
		uint8_t answer[BUFFER_BYTES];

		if (!t->busy || t->readable != length || t->writable != request->writable.left)
			continue;
		if (length > 0 && memcmp(bytes, ring_pair_at(&s->pair, PAIR_BASE + t->address), 1))
			continue;
		if (t->writable > 0 &&
		    request->writable.segments[0].base !=
			    ring_pair_at(&s->pair, PAIR_BASE + t->address + BUFFER_BYTES / 2))
			continue;
		for (uint32_t k = 0; k < length; k++)
			assert_int_equal(bytes[k], pattern(t->sequence, k));
		for (uint32_t k = 0; k < t->writable; k++)
			answer[k] = pattern(t->sequence, k + 100);
		for (uint32_t k = 0; k < t->writable; k += (uint32_t)part)
			part = request_write(request, answer + k,
					     1 + test_random_below(&s->random, t->writable - k));
		break;
	}
	assert_int_equal(request->writable.left, 0);
}

static void device_push(struct schedule *s)
{
	unsigned int which;

	if (s->held_count == 0)
		return;
	which = test_random_below(&s->random, s->held_count);
	virtqueue_push(&s->pair.device, s->held[which]);
	s->held[which] = s->held[--s->held_count];
}

static bool take_notification(struct schedule *s)
{
	bool notified = s->pair.notifications > 0;

	s->pair.notifications = 0;
	return notified;
}

/*
 * One step of either side. A side that went to sleep stays asleep until it is notified: wrong
 * suppression shows as two sides asleep with work left.
 */
static void step(struct schedule *s)
{
	switch (test_random_below(&s->random, 12)) {
	case 0 ... 2:
		driver_add(s); /* asleep or not: buffers come from the layer above */
		break;
	case 3:
		driver_kick(s);
		break;
	case 4 ... 5:
		if (!s->driver_asleep)
			driver_take(s);
		break;
	case 6:
		driver_kick(s); /* no side sleeps with a buffer that was not notified */
		s->driver_asleep = !driver_queue_enable_interrupts(&s->pair.driver);
		break;
	case 7 ... 8:
		if (!s->device_asleep)
			device_pop(s);
		break;
	case 9:
		device_push(s);
		virtqueue_notify(&s->pair.device);
		break;
	case 10:
		s->device_asleep = !virtqueue_enable_kicks(&s->pair.device);
		break;
	default:
		if (!s->device_asleep && test_random_below(&s->random, 2))
			virtqueue_disable_kicks(&s->pair.device);
		if (!s->driver_asleep && test_random_below(&s->random, 2))
			driver_queue_disable_interrupts(&s->pair.driver);
	}
	if (s->kicked) {
		s->kicked = false;
		s->device_asleep = false;
	}
	if (take_notification(s))
		s->driver_asleep = false;
}

/*
 * Both sides work only when awake, and add nothing more: all requests must be completed
 * nevertheless.
 */
static void drain(struct schedule *s)
{
	driver_kick(s);
	if (s->kicked)
		s->device_asleep = false;
	for (unsigned int turn = 0; turn < 4000 && s->taken != s->added; turn++) {
		if (!s->device_asleep) {
			device_pop(s);
			if (!virtqueue_has_request(&s->pair.device))
				s->device_asleep = !virtqueue_enable_kicks(&s->pair.device);
		}
		device_push(s);
		virtqueue_notify(&s->pair.device);
		if (take_notification(s))
			s->driver_asleep = false;
		if (!s->driver_asleep) {
			driver_take(s);
			if (!driver_queue_has_used(&s->pair.driver))
				s->driver_asleep = !driver_queue_enable_interrupts(&s->pair.driver);
		}
	}
	assert_int_equal(s->taken, s->added);
}

static void run_schedule(uint64_t seed, bool track)
{
	static const uint64_t bits[] = {PAIR_PACKED, PAIR_EVENT_INDEX, PAIR_INDIRECT_DESC,
					PAIR_IN_ORDER};
	struct schedule s = {.random = seed};
	uint64_t features = UINT64_C(1) << 32;
	uint16_t size;

	for (unsigned int i = 0; i < 4; i++)
		if (seed >> i & 1)
			features |= bits[i];
	size = (uint16_t)(1u << test_random_below(&s.random, 7));
	if (features & PAIR_PACKED) /* any size is allowed */
		size = (uint16_t)(1 + test_random_below(&s.random, 70));
	ring_pair_start(&s.pair, size, features, track);
	s.pair.notifications = 0;
	for (unsigned int i = 0; i < STEPS; i++)
		step(&s);
	drain(&s);
	ring_pair_stop(&s.pair);
}

static void test_random_schedules(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < SCHEDULES; seed++)
		run_schedule(seed, false);
}

static void test_random_schedules_tracked(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < SCHEDULES / 4; seed++)
		run_schedule(seed, true);
}

/* Indices wrap at 65536: wrap more than once, with suppression active. */
static void test_index_wrap(void **state)
{
	(void)state;
	for (unsigned int packed = 0; packed < 2; packed++) {
		struct schedule s = {.random = 7};

		ring_pair_start(&s.pair, 8, PAIR_EVENT_INDEX | (packed ? PAIR_PACKED : 0), false);
		while (s.added < 140000)
			step(&s);
		drain(&s);
		ring_pair_stop(&s.pair);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random_schedules),
		cmocka_unit_test(test_random_schedules_tracked),
		cmocka_unit_test(test_index_wrap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
