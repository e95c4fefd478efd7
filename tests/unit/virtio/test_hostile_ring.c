// SPDX-License-Identifier: BSD-3-Clause
/*
 * Rings whose driver breaks the rules: each rule once, on both formats. The queue must break,
 * return no more requests, leave the ring unchanged, and work after it was set up again. Also
 * streams.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <linux/virtio_ring.h>
#include <string.h>

#include "unit/ring_pair.h"

#define SIZE  8
#define DATA  (PAIR_BASE + 0x1000)
#define TABLE (PAIR_BASE + 0x2000)

/* A descriptor in either format. */
struct descriptor {
	uint64_t address;
	uint32_t length;
	uint16_t flags;
	uint16_t next; /* split only */
};

static void put_split(struct ring_pair *pair, const struct descriptor *chain, unsigned int count)
{
	struct vring_desc *table = ring_pair_at(pair, pair->setup.descriptors.value);

	for (unsigned int i = 0; i < count; i++)
		table[i] = (struct vring_desc){chain[i].address, chain[i].length, chain[i].flags,
					       chain[i].next};
}

static void make_available(struct ring_pair *pair, uint16_t head, uint16_t index)
{
	struct vring_avail *available = ring_pair_at(pair, pair->setup.driver.value);

	available->ring[(uint16_t)(index - 1) % SIZE] = head;
	available->idx = index;
}

static void put_packed(struct ring_pair *pair, const struct descriptor *chain, unsigned int count)
{
	struct vring_packed_desc *ring = ring_pair_at(pair, pair->setup.descriptors.value);

	for (unsigned int i = 0; i < count; i++)
		ring[i % SIZE] = (struct vring_packed_desc){
			chain[i].address, chain[i].length, (uint16_t)i,
			chain[i].flags | (1u << VRING_PACKED_DESC_F_AVAIL)};
}

/* The queue breaks for @reason, also on a second call, and works after a restart. */
static void expect_broken(struct ring_pair *pair, const char *reason)
{
	uint8_t before[64], *used = ring_pair_at(pair, pair->setup.device.value);

	memcpy(before, used, sizeof(before));
	assert_null(virtqueue_pop(&pair->device));
	assert_true(virtqueue_broken(&pair->device));
	assert_string_equal(pair->device.broken, reason);
	assert_false(virtqueue_has_request(&pair->device));
	assert_null(virtqueue_pop(&pair->device));
	pair->notifications = 0;
	virtqueue_notify(&pair->device);
	assert_int_equal(pair->notifications, 0);
	assert_memory_equal(before, used, sizeof(before));
	ring_pair_stop(pair);
}

#define W VRING_DESC_F_WRITE
#define N VRING_DESC_F_NEXT
#define I VRING_DESC_F_INDIRECT

static const struct {
	const char *reason;
	uint64_t features;
	unsigned int count;
	struct descriptor chain[3];
} common_cases[] = {
	{"buffer outside guest memory", 0, 1, {{0x10, 1, 0, 0}}},
	{"buffer outside guest memory", 0, 1, {{PAIR_BASE + 2 * PAIR_HALF - 1, 2, W, 0}}},
	{"buffer outside guest memory", 0, 1, {{UINT64_MAX, 2, 0, 0}}},
	{"readable descriptor after a writable one", 0, 2, {{DATA, 1, W | N, 1}, {DATA, 1, 0, 0}}},
	{"indirect descriptor that was not negotiated", 0, 1, {{TABLE, 16, I, 0}}},
	{"indirect table of a wrong size", PAIR_INDIRECT_DESC, 1, {{TABLE, 17, I, 0}}},
	{"indirect table of a wrong size", PAIR_INDIRECT_DESC, 1, {{TABLE, 0, I, 0}}},
	{"indirect table outside guest memory", PAIR_INDIRECT_DESC, 1, {{16, 16, I, 0}}},
};

static void test_common_cases(void **state)
{
	(void)state;
	for (unsigned int packed = 0; packed < 2; packed++) {
		for (unsigned int i = 0; i < sizeof(common_cases) / sizeof(common_cases[0]); i++) {
			struct ring_pair pair;

			ring_pair_start(&pair, SIZE,
					common_cases[i].features | (packed ? PAIR_PACKED : 0),
					i & 1);
			if (packed) {
				put_packed(&pair, common_cases[i].chain, common_cases[i].count);
			} else {
				put_split(&pair, common_cases[i].chain, common_cases[i].count);
				make_available(&pair, 0, 1);
			}
			expect_broken(&pair, common_cases[i].reason);
		}
	}
}

static void test_chain_of_too_many_bytes(void **state)
{
	/* There are not 4 GiB of guest memory: the same bytes repeatedly do as well. */
	struct descriptor chain[SIZE];
	struct ring_pair pair;

	(void)state;
	for (unsigned int packed = 0; packed < 2; packed++) {
		for (uint16_t i = 0; i < SIZE; i++)
			chain[i] = (struct descriptor){DATA, i == SIZE - 1 ? 0xffffffff : 0x1000,
						       i == SIZE - 1 ? 0 : N, i + 1};
		ring_pair_start(&pair, SIZE, packed ? PAIR_PACKED : 0, false);
		if (packed) {
			put_packed(&pair, chain, SIZE);
		} else {
			put_split(&pair, chain, SIZE);
			make_available(&pair, 0, 1);
		}
		expect_broken(&pair, "descriptor chain of more than 4 GiB");
	}
}

static void test_split_only(void **state)
{
	static const char *const loop = "descriptor chain loops or is longer than allowed";
	struct ring_pair pair;

	(void)state;
	ring_pair_start(&pair, SIZE, 0, false);
	put_split(&pair, (struct descriptor[]){{DATA, 1, N, 0}}, 1);
	make_available(&pair, 0, 1);
	expect_broken(&pair, loop);

	ring_pair_start(&pair, SIZE, 0, false);
	put_split(&pair, (struct descriptor[]){{DATA, 1, N, SIZE}}, 1);
	make_available(&pair, 0, 1);
	expect_broken(&pair, "next descriptor outside the table");

	ring_pair_start(&pair, SIZE, 0, false);
	make_available(&pair, SIZE, 1);
	expect_broken(&pair, "available descriptor outside the table");

	ring_pair_start(&pair, SIZE, 0, false);
	make_available(&pair, 0, SIZE + 1);
	expect_broken(&pair, "available index runs ahead of the ring");

	ring_pair_start(&pair, SIZE, PAIR_INDIRECT_DESC, false);
	put_split(&pair, (struct descriptor[]){{TABLE, 16, I | N, 1}, {DATA, 1, 0, 0}}, 2);
	make_available(&pair, 0, 1);
	expect_broken(&pair, "indirect descriptor with a next one");

	ring_pair_start(&pair, SIZE, PAIR_INDIRECT_DESC, false);
	put_split(&pair, (struct descriptor[]){{TABLE, 16, I, 0}}, 1);
	*(struct vring_desc *)ring_pair_at(&pair, TABLE) = (struct vring_desc){TABLE, 16, I, 0};
	make_available(&pair, 0, 1);
	expect_broken(&pair, "indirect descriptor in an indirect table");

	ring_pair_start(&pair, SIZE, PAIR_INDIRECT_DESC, false);
	put_split(&pair, (struct descriptor[]){{TABLE, 16, I, 0}}, 1);
	*(struct vring_desc *)ring_pair_at(&pair, TABLE) = (struct vring_desc){DATA, 1, N, 0};
	make_available(&pair, 0, 1);
	expect_broken(&pair, loop);

	ring_pair_start(&pair, SIZE, PAIR_INDIRECT_DESC, false);
	put_split(&pair, (struct descriptor[]){{TABLE, 16, I, 0}}, 1);
	*(struct vring_desc *)ring_pair_at(&pair, TABLE) = (struct vring_desc){DATA, 1, N, 1};
	make_available(&pair, 0, 1);
	expect_broken(&pair, "next descriptor outside the indirect table");
}

/* The same head repeatedly, without waiting for its use. */
static void test_split_more_than_ring(void **state)
{
	struct ring_pair pair;

	(void)state;
	ring_pair_start(&pair, SIZE, 0, false);
	put_split(&pair, (struct descriptor[]){{DATA, 1, 0, 0}}, 1);
	for (uint16_t i = 1; i <= SIZE; i++) {
		make_available(&pair, 0, i);
		assert_non_null(virtqueue_pop(&pair.device));
	}
	make_available(&pair, 0, SIZE + 1);
	expect_broken(&pair, "more buffers made available than the ring has entries");
}

static void test_packed_only(void **state)
{
	struct descriptor chain[SIZE];
	struct ring_pair pair;

	(void)state;
	for (uint16_t i = 0; i < SIZE; i++)
		chain[i] = (struct descriptor){DATA, 1, N, 0};
	ring_pair_start(&pair, SIZE, PAIR_PACKED, false);
	put_packed(&pair, chain, SIZE);
	expect_broken(&pair, "descriptor chain loops or is longer than allowed");

	ring_pair_start(&pair, SIZE, PAIR_PACKED | PAIR_INDIRECT_DESC, false);
	put_packed(&pair, (struct descriptor[]){{TABLE, 16, I | N, 0}, {DATA, 1, 0, 0}}, 2);
	expect_broken(&pair, "indirect descriptor in a list (2.8.19)");

	ring_pair_start(&pair, SIZE, PAIR_PACKED | PAIR_INDIRECT_DESC, false);
	put_packed(&pair, (struct descriptor[]){{DATA, 1, N, 0}, {TABLE, 16, I, 0}}, 2);
	expect_broken(&pair, "indirect descriptor in a list (2.8.19)");
}

static void test_set_up_is_checked(void **state)
{
	static const struct {
		uint64_t features;
		int error;
		struct virtqueue_setup setup;
	} cases[] = {
		{0, -EINVAL, {.size = 0}},
		{0, -EINVAL, {.size = 24}}, /* split: a power of two */
		{0, -EINVAL, {.size = 2048}},
		{PAIR_PACKED, -EINVAL, {.size = 1025}},
		{0, -EINVAL, {.size = 8, .descriptors = {PAIR_BASE + 8}}},
		{0, -EINVAL, {.size = 8, .descriptors = {PAIR_BASE}, .driver = {1}}},
		{0, -EINVAL, {.size = 8, .descriptors = {PAIR_BASE}, .driver = {2}, .device = {2}}},
		{0, -EFAULT, {.size = 8}},
		{0,
		 -EFAULT,
		 {.size = 8,
		  .descriptors = {PAIR_BASE},
		  .driver = {PAIR_BASE},
		  .device = {UINT64_MAX - 3}}},
		{PAIR_PACKED,
		 -EINVAL,
		 {.size = 8,
		  .descriptors = {PAIR_BASE},
		  .driver = {PAIR_BASE + 1024},
		  .device = {PAIR_BASE + 1028},
		  .available_index = 8}},
	};
	struct ring_pair pair;

	(void)state;
	for (unsigned int i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct virtqueue_setup good;
		uint64_t features;

		ring_pair_start(&pair, SIZE, 0, false);
		virtqueue_stop(&pair.device, NULL, NULL);
		good = pair.setup;
		features = pair.features;
		pair.setup = cases[i].setup;
		pair.features = cases[i].features;
		assert_int_equal(ring_pair_start_device(&pair), cases[i].error);
		assert_null(virtqueue_pop(&pair.device));
		pair.setup = good;
		pair.features = features;
		assert_int_equal(ring_pair_start_device(&pair), 0);
		ring_pair_stop(&pair);
	}
}

/*
 * VIRTIO 1.4, 2.7.5.3.2: direct descriptors, then one that refers to a table; its WRITE is ignored.
 */
static void test_direct_then_indirect(void **state)
{
	struct virtio_request *request;
	struct ring_pair pair;
	uint8_t bytes[8];

	(void)state;
	ring_pair_start(&pair, SIZE, PAIR_INDIRECT_DESC, false);
	put_split(&pair, (struct descriptor[]){{DATA, 2, N, 1}, {TABLE, 32, I | W, 0}}, 2);
	((struct vring_desc *)ring_pair_at(&pair, TABLE))[0] =
		(struct vring_desc){DATA + 2, 2, N, 1};
	((struct vring_desc *)ring_pair_at(&pair, TABLE))[1] =
		(struct vring_desc){DATA + 4, 3, W, 0};
	memcpy(ring_pair_at(&pair, DATA), "abcd", 4);
	make_available(&pair, 0, 1);
	request = virtqueue_pop(&pair.device);
	assert_non_null(request);
	assert_int_equal(request->readable.left, 4);
	assert_int_equal(request->writable.left, 3);
	assert_int_equal(request_read(request, bytes, sizeof(bytes)), 4);
	assert_memory_equal(bytes, "abcd", 4);
	ring_pair_stop(&pair);
}

/* Flags other than WRITE, and ids, are ignored in packed tables (2.8.7). */
static void test_packed_table_flags_ignored(void **state)
{
	struct vring_packed_desc *table;
	struct virtio_request *request;
	struct ring_pair pair;

	(void)state;
	ring_pair_start(&pair, SIZE, PAIR_PACKED | PAIR_INDIRECT_DESC, false);
	put_packed(&pair, (struct descriptor[]){{TABLE, 32, I | W, 0}}, 1);
	table = ring_pair_at(&pair, TABLE);
	table[0] = (struct vring_packed_desc){DATA, 2, 77, N | I};
	table[1] = (struct vring_packed_desc){DATA, 5, 78, W | N};
	request = virtqueue_pop(&pair.device);
	assert_non_null(request);
	assert_int_equal(request->readable.left, 2);
	assert_int_equal(request->writable.left, 5);
	ring_pair_stop(&pair);
}

static void test_streams(void **state)
{
	struct virtio_request *request;
	struct ring_pair pair;
	uint8_t *status;

	(void)state;
	ring_pair_start(&pair, SIZE, 0, false);
	/* empty descriptors carry nothing and do no harm */
	put_split(&pair,
		  (struct descriptor[]){{DATA, 4, N, 1},
					{0, 0, N, 2},
					{DATA + 8, 3, W | N, 3},
					{DATA + 16, 1, W, 0}},
		  4);
	make_available(&pair, 0, 1);
	request = virtqueue_pop(&pair.device);
	assert_non_null(request);
	assert_int_equal(request_skip(request, 3), 3);
	assert_int_equal(request_skip(request, 3), 1);
	status = request_take_last_byte(request);
	assert_ptr_equal(status, ring_pair_at(&pair, DATA + 16));
	assert_int_equal(request->writable.left, 3);
	assert_int_equal(request_write(request, "wxyz", 4), 3);
	assert_int_equal(request->written, 3);
	assert_memory_equal(ring_pair_at(&pair, DATA + 8), "wxy", 3);
	assert_null(request_take_last_byte(request));
	ring_pair_stop(&pair);
}

/*
 * A status byte after data that was not written: no used length describes that (VIRTIO 1.4, 2.8.5).
 */
static void test_last_byte_is_told(void **state)
{
	const struct vring_packed_desc *used;
	struct virtio_request *request;
	struct ring_pair pair;

	(void)state;
	ring_pair_start(&pair, SIZE, PAIR_PACKED, false);
	put_packed(&pair, (struct descriptor[]){{DATA, 4, N, 0}, {DATA + 8, 513, W, 0}}, 2);
	used = ring_pair_at(&pair, pair.setup.descriptors.value);
	request = virtqueue_pop(&pair.device);
	assert_non_null(request);
	*request_take_last_byte(request) = 1;
	virtqueue_push(&pair.device, request);
	assert_int_equal(used->len, 0);
	assert_true(used->flags & W);
	ring_pair_stop(&pair);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_common_cases),
		cmocka_unit_test(test_chain_of_too_many_bytes),
		cmocka_unit_test(test_split_only),
		cmocka_unit_test(test_split_more_than_ring),
		cmocka_unit_test(test_packed_only),
		cmocka_unit_test(test_set_up_is_checked),
		cmocka_unit_test(test_direct_then_indirect),
		cmocka_unit_test(test_packed_table_flags_ignored),
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_last_byte_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
