// SPDX-License-Identifier: BSD-3-Clause
/*
 * The bus: which device gets an access, and what happens where there is none.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include "monitor/bus.h"

struct probe {
	struct bus_access last;
	uint64_t value;
	unsigned int calls;
};

static void handle(void *context, const struct bus_access *access)
{
	struct probe *probe = context;

	probe->last = *access;
	probe->calls++;
	if (access->write)
		probe->value = bus_value(access);
	else
		bus_answer(access, 0x8877665544332211);
}

static uint64_t read_at(struct bus *bus, uint64_t address, uint32_t length)
{
	uint8_t data[8] = {0};
	struct bus_access access = {address, length, false, data};
	uint64_t value;

	bus_access(bus, &access);
	memcpy(&value, data, sizeof(value));
	return value;
}

static void test_each_access_finds_its_device(void **state)
{
	struct bus bus = {.name = "address"};
	struct probe probes[5] = {0};
	struct bus_device devices[5];
	/* Added out of order; some touch each other. */
	static const uint64_t starts[] = {0x3000, 0x1000, 0x1010, UINT64_MAX - 0xf, 0};
	uint8_t data[4] = {1, 2, 3, 4};
	struct bus_access access = {0x1014, 4, true, data};

	(void)state;
	for (int i = 0; i < 5; i++) {
		devices[i] = (struct bus_device){starts[i], 0x10, handle, &probes[i], "probe"};
		assert_int_equal(bus_add(&bus, &devices[i], NULL), 0);
	}
	for (int i = 0; i < 5; i++) {
		assert_int_equal(read_at(&bus, starts[i], 1), 0x11);
		assert_int_equal(read_at(&bus, starts[i] + 8, 8), 0x8877665544332211);
		assert_int_equal(probes[i].calls, 2);
		assert_int_equal(probes[i].last.address, 8);
	}
	bus_access(&bus, &access);
	assert_int_equal(probes[2].value, 0x04030201);
	assert_int_equal(probes[2].last.address, 4);
	assert_int_equal(bus.unanswered, 0);
}

static void test_nothing_answers(void **state)
{
	struct bus bus = {.name = "address"};
	struct probe probe = {0};
	struct bus_device device = {0x1000, 0x10, handle, &probe, "probe"};

	(void)state;
	assert_int_equal(read_at(&bus, 0, 4), 0xffffffff);
	assert_int_equal(bus_add(&bus, &device, NULL), 0);
	assert_int_equal(read_at(&bus, 0xfff, 1), 0xff);
	assert_int_equal(read_at(&bus, 0x1010, 2), 0xffff);
	/* Across its end, and at an address where the sum would wrap. */
	assert_int_equal(read_at(&bus, 0x100d, 4), 0xffffffff);
	assert_int_equal(read_at(&bus, UINT64_MAX, 8), UINT64_MAX);
	assert_int_equal(probe.calls, 0);
	assert_int_equal(bus.unanswered, 5);
}

static void test_overlaps_are_refused(void **state)
{
	static const struct {
		uint64_t start, size;
	} wrong[] = {{0x1000, 0x10}, {0xff1, 0x10}, {0x100f, 1}, {0x0, 0x2000}, {0x1008, 4}};
	struct bus bus = {.name = "address"};
	struct bus_device device = {0x1000, 0x10, handle, NULL, "first"};
	struct bus_device below = {0xff0, 0x10, handle, NULL, "below"};
	struct error error;

	(void)state;
	assert_int_equal(bus_add(&bus, &device, NULL), 0);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct bus_device second = {wrong[i].start, wrong[i].size, handle, NULL, "second"};

		assert_int_equal(bus_add(&bus, &second, &error), -EEXIST);
		assert_non_null(strstr(error.message, "second"));
		assert_int_equal(bus.count, 1);
	}
	assert_int_equal(bus_add(&bus, &below, NULL), 0);
}

static void test_the_table_is_bounded(void **state)
{
	struct bus bus = {.name = "address"};
	struct bus_device devices[BUS_DEVICES_MAX + 1];

	(void)state;
	for (int i = 0; i <= BUS_DEVICES_MAX; i++) {
		devices[i] = (struct bus_device){(uint64_t)i * 16, 16, handle, NULL, "many"};
		assert_int_equal(bus_add(&bus, &devices[i], NULL),
				 i < BUS_DEVICES_MAX ? 0 : -ENOSPC);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_access_finds_its_device),
		cmocka_unit_test(test_nothing_answers),
		cmocka_unit_test(test_overlaps_are_refused),
		cmocka_unit_test(test_the_table_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
