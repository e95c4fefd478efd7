// SPDX-License-Identifier: BSD-3-Clause
/* Guest memory: look-ups at and across borders, overlaps, and addresses that wrap. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "virtio/guest_memory.h"

static uint8_t low[0x1000], high[0x2000], top[0x1000];

static void set_up(struct guest_memory *memory)
{
	guest_memory_init(memory, NULL);
	/* Added out of order; low and high are adjacent, top ends at the last address. */
	assert_int_equal(guest_memory_add(memory, guest_addr(0x11000), sizeof(high), high), 0);
	assert_int_equal(guest_memory_add(memory, guest_addr(UINT64_MAX - 0xfff), sizeof(top), top),
			 0);
	assert_int_equal(guest_memory_add(memory, guest_addr(0x10000), sizeof(low), low), 0);
}

static void test_translate(void **state)
{
	struct guest_memory memory;
	uint64_t length;
	void *host;

	(void)state;
	set_up(&memory);
	length = 8;
	assert_int_equal(guest_memory_translate(&memory, guest_addr(0x10010), &length,
						GUEST_MEMORY_READ, &host),
			 0);
	assert_int_equal(length, 8);
	assert_ptr_equal(host, low + 0x10);
	length = 64;
	assert_int_equal(guest_memory_translate(&memory, guest_addr(0x10fff), &length,
						GUEST_MEMORY_READ, &host),
			 0);
	assert_int_equal(length, 1); /* cut at the border */
	length = UINT64_MAX;
	assert_int_equal(guest_memory_translate(&memory, guest_addr(UINT64_MAX), &length,
						GUEST_MEMORY_READ, &host),
			 0);
	assert_int_equal(length, 1);
	assert_ptr_equal(host, top + 0xfff);
	length = 0;
	assert_int_equal(guest_memory_translate(&memory, guest_addr(0), &length, GUEST_MEMORY_READ,
						&host),
			 0);
	assert_non_null(host);
}

static void test_outside(void **state)
{
	static const uint64_t outside[] = {0, 0xffff, 0x13000, 0x7fffffffffffffff,
					   UINT64_MAX - 0x1000};
	struct guest_memory memory;
	uint64_t length = 1;
	void *host;

	(void)state;
	guest_memory_init(&memory, NULL);
	assert_int_equal(guest_memory_translate(&memory, guest_addr(0), &length, GUEST_MEMORY_READ,
						&host),
			 -EFAULT);
	set_up(&memory);
	for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
		/* whatever the last look-up found */
		length = 1;
		assert_int_equal(guest_memory_translate(&memory, guest_addr(0x10000 + i * 0x800),
							&length, GUEST_MEMORY_READ, &host),
				 0);
		assert_int_equal(guest_memory_translate(&memory, guest_addr(outside[i]), &length,
							GUEST_MEMORY_READ, &host),
				 -EFAULT);
	}
	assert_int_equal(guest_memory_translate_all(&memory, guest_addr(0x10ff0), 0x20,
						    GUEST_MEMORY_READ, &host),
			 -EFAULT);
}

static void test_add_and_remove(void **state)
{
	struct guest_memory memory;
	uint8_t byte;

	(void)state;
	set_up(&memory);
	assert_int_equal(guest_memory_add(&memory, guest_addr(0x5000), 0, low), -EINVAL);
	assert_int_equal(guest_memory_add(&memory, guest_addr(UINT64_MAX), 2, low), -EINVAL);
	assert_int_equal(guest_memory_add(&memory, guest_addr(0xf000), 0x1001, low), -EEXIST);
	assert_int_equal(guest_memory_add(&memory, guest_addr(0x12fff), 1, low), -EEXIST);
	assert_int_equal(guest_memory_add(&memory, guest_addr(0xf000), 0x10000, low), -EEXIST);
	assert_int_equal(guest_memory_add(&memory, guest_addr(0x13000), 1, low), 0);
	assert_int_equal(guest_memory_remove(&memory, guest_addr(0x13000), 2), -ENOENT);
	assert_int_equal(guest_memory_remove(&memory, guest_addr(0x12fff), 1), -ENOENT);
	assert_int_equal(guest_memory_remove(&memory, guest_addr(0x10000), 0x1000), 0);
	assert_int_equal(guest_memory_read(&memory, guest_addr(0x10000), &byte, 1), -EFAULT);
	assert_int_equal(guest_memory_read(&memory, guest_addr(0x11000), &byte, 1), 0);
	for (uint64_t i = memory.region_count; i < GUEST_MEMORY_REGIONS_MAX; i++)
		assert_int_equal(guest_memory_add(&memory, guest_addr(i << 20), 16, low), 0);
	assert_int_equal(guest_memory_add(&memory, guest_addr(1 << 30), 16, low), -ENOSPC);
}

static void test_copy_across(void **state)
{
	struct guest_memory memory;
	uint8_t out[64], in[64];

	(void)state;
	set_up(&memory);
	for (unsigned int i = 0; i < sizeof(out); i++)
		out[i] = (uint8_t)(i + 1);
	assert_int_equal(guest_memory_write(&memory, guest_addr(0x10fe0), out, 64), 0);
	assert_memory_equal(low + 0xfe0, out, 32);
	assert_memory_equal(high, out + 32, 32);
	assert_int_equal(guest_memory_read(&memory, guest_addr(0x10fe0), in, 64), 0);
	assert_memory_equal(in, out, 64);
	assert_int_equal(guest_memory_read(&memory, guest_addr(0x12fe0), in, 64), -EFAULT);
}

/* The log of the first pages, as one number; it is cleared. */
static uint32_t take_log(struct guest_memory *memory)
{
	uint32_t bits;

	memcpy(&bits, memory->log, sizeof(bits));
	memset(memory->log, 0, memory->log_size);
	return bits;
}

static void test_log(void **state)
{
	struct guest_memory memory;
	uint8_t log[8] = {[4] = 0x55, [5] = 0x55, [6] = 0x55, [7] = 0x55};

	(void)state;
	set_up(&memory);
	memory.log = log;
	memory.log_size = 4;
	guest_memory_log(&memory, 0, 0);
	assert_int_equal(take_log(&memory), 0);
	assert_false(memory.log_written);
	guest_memory_log(&memory, 0xfff, 1);
	assert_int_equal(take_log(&memory), 1 << 0);
	assert_true(memory.log_written);
	guest_memory_log(&memory, 0xfff, 2);
	assert_int_equal(take_log(&memory), 3 << 0);
	guest_memory_log(&memory, 0x6000, 0x2001);
	assert_int_equal(take_log(&memory), 7 << 6);
	guest_memory_log(&memory, 0x7fff, 0x9002);
	assert_int_equal(take_log(&memory), 0x7ff << 7);
	guest_memory_log(&memory, 0, 32 * 4096);
	assert_int_equal(take_log(&memory), UINT32_MAX);
	/* The pages at 0x10000, which are elsewhere for the host; also across ranges. */
	guest_memory_log_host(&memory, low + 0xfff, 1);
	assert_int_equal(take_log(&memory), 1 << 16);
	guest_memory_log_host(&memory, high + 0x800, 0x1000);
	assert_int_equal(take_log(&memory), 3 << 17);
	assert_false(memory.log_exceeded);
	/* Pages beyond the log, and what is not guest memory. */
	guest_memory_log(&memory, 31 * 4096, 4097);
	assert_true(memory.log_exceeded);
	memory.log_exceeded = false;
	guest_memory_log(&memory, UINT64_MAX, 2);
	assert_true(memory.log_exceeded);
	memory.log_exceeded = false;
	guest_memory_log_host(&memory, top, 1);
	assert_true(memory.log_exceeded);
	memory.log_exceeded = false;
	guest_memory_log_host(&memory, &memory, 1);
	assert_true(memory.log_exceeded);
	assert_int_equal(take_log(&memory), 0);
	for (int i = 4; i < 8; i++)
		assert_int_equal(log[i], 0x55);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_translate),
		cmocka_unit_test(test_outside),
		cmocka_unit_test(test_add_and_remove),
		cmocka_unit_test(test_copy_across),
		cmocka_unit_test(test_log),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
