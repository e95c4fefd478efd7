// SPDX-License-Identifier: BSD-3-Clause
/*
 * How the conformance guest tells a slow hypervisor from a busy host (guest/conform/noise.c), on a
 * host whose processor is taken away as each test says.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "noise.h"

#define MS UINT64_C(1000000)

/* What the guest has below noise.c. */
uint64_t arch_ticks(void);
uint64_t ticks_to_ns(uint64_t ticks);
uint64_t ns_to_ticks(uint64_t ns);
void sleep_ms(unsigned int ms);
void report_line(const char *format, ...) __attribute__((format(printf, 1, 2)));

static struct {
	uint64_t now;	     /* ns */
	uint64_t read_cost;  /* of the counter */
	uint64_t every, gap; /* the host takes the processor away for so long, each time */
	uint64_t late;	     /* timers fire so late */
	uint64_t next;
	char report[100];
} host;

uint64_t arch_ticks(void)
{
	host.now += host.read_cost;
	if (host.every && host.now >= host.next) {
		host.now += host.gap;
		host.next = host.now + host.every;
	}
	return host.now;
}

uint64_t ticks_to_ns(uint64_t ticks)
{
	return ticks;
}

uint64_t ns_to_ticks(uint64_t ns)
{
	return ns;
}

void sleep_ms(unsigned int ms)
{
	host.now += ms * MS + host.late;
	noise_note(host.late);
}

void report_line(const char *format, ...)
{
	va_list list;

	va_start(list, format);
	vsnprintf(host.report, sizeof(host.report), format, list);
	va_end(list);
}

static void start_on(uint64_t every, uint64_t gap, uint64_t late)
{
	memset(&host, 0, sizeof(host));
	host.read_cost = 1000;
	host.every = every;
	host.gap = gap;
	host.late = late;
	noise_start();
	noise_begin();
}

static void test_a_quiet_host(void **state)
{
	start_on(0, 0, 0);
	assert_string_equal(host.report, "noise gap 1 us late 0 us");
	assert_int_equal(noise_judge(1000 * MS, 1000 * MS), NOISE_WITHIN);
	assert_int_equal(noise_judge(1001 * MS, 1000 * MS), NOISE_LATE);
	assert_int_equal(noise_judge(10000 * MS, 1000 * MS), NOISE_LATE);
}

/* Something that is delayed once. */
static void test_late_timers(void **state)
{
	start_on(0, 0, 30 * MS);
	assert_string_equal(host.report, "noise gap 1 us late 30000 us");
	assert_int_equal(noise_judge(1000 * MS, 1000 * MS), NOISE_WITHIN);
	assert_int_equal(noise_judge(1100 * MS, 1000 * MS), NOISE_CANNOT_TELL);
	assert_int_equal(noise_judge(1200 * MS, 1000 * MS), NOISE_LATE);
	assert_int_equal(noise_judge(10000 * MS, 1000 * MS), NOISE_LATE);
	assert_int_equal(noise_patience(10 * MS), 120 * MS);
	assert_false(noise_overwhelms());
}

/* Half of a processor: what takes many steps takes twice as long. */
static void test_a_busy_host(void **state)
{
	start_on(7 * MS, 7 * MS, 0);
	assert_string_equal(host.report, "noise gap 7001 us late 0 us");
	assert_int_equal(noise_judge(1000 * MS, 1000 * MS), NOISE_WITHIN);
	assert_int_equal(noise_judge(1800 * MS, 1000 * MS), NOISE_CANNOT_TELL);
	assert_int_equal(noise_judge(2300 * MS, 1000 * MS), NOISE_LATE);
	/* A tenth of one: still, ten times a limit of the contract is too late. */
	start_on(2 * MS, 20 * MS, 0);
	assert_int_equal(noise_judge(4900 * MS, 1000 * MS), NOISE_CANNOT_TELL);
	assert_int_equal(noise_judge(10000 * MS, 1000 * MS), NOISE_LATE);
	/* A wait that only gives up goes on until the guest has run for as long. */
	assert_in_range(noise_patience(1000 * MS), 9000 * MS, 12000 * MS);
	assert_int_equal(noise_patience(5000 * MS), 30000 * MS);
	assert_false(noise_overwhelms());
}

/* A host that got busy after the start is measured when a limit is exceeded. */
static void test_a_host_that_gets_busy(void **state)
{
	start_on(0, 0, 0);
	host.every = host.gap = 7 * MS;
	assert_int_equal(noise_judge(1800 * MS, 1000 * MS), NOISE_CANNOT_TELL);
	/* The longest limits do not overflow. */
	assert_int_equal(noise_judge(900000 * MS, 600000 * MS), NOISE_CANNOT_TELL);
	assert_int_equal(noise_judge(6000000 * MS, 600000 * MS), NOISE_LATE);
}

/* Whatever the noise, ten times the limit is a fault. */
static void test_ten_times_the_limit(void **state)
{
	static const uint64_t limits[] = {MS, 100 * MS, 1000 * MS, 10000 * MS};

	start_on(MS, 30000 * MS, 30000 * MS);
	for (unsigned int i = 0; i < 4; i++) {
		assert_int_equal(noise_judge(10 * limits[i], limits[i]), NOISE_LATE);
		assert_int_equal(noise_judge(5 * limits[i], limits[i]), NOISE_CANNOT_TELL);
	}
}

/* What one test saw does not excuse the next. */
static void test_noise_of_another_test(void **state)
{
	start_on(0, 0, 0);
	noise_note(8000 * MS);
	assert_int_equal(noise_ns(), 8000 * MS);
	assert_int_equal(noise_patience(100 * MS), 30000 * MS);
	assert_true(noise_overwhelms());
	noise_begin();
	assert_false(noise_overwhelms());
	assert_int_equal(noise_judge(1100 * MS, 1000 * MS), NOISE_LATE);
	assert_int_equal(noise_patience(1000 * MS) / MS, 0);
}

/* A clock that stands still ends the measurement all the same. */
static void test_a_clock_that_stands_still(void **state)
{
	start_on(0, 0, 0);
	host.read_cost = 0;
	assert_int_equal(noise_judge(1100 * MS, 1000 * MS), NOISE_LATE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_quiet_host),
		cmocka_unit_test(test_late_timers),
		cmocka_unit_test(test_a_busy_host),
		cmocka_unit_test(test_a_host_that_gets_busy),
		cmocka_unit_test(test_ten_times_the_limit),
		cmocka_unit_test(test_noise_of_another_test),
		cmocka_unit_test(test_a_clock_that_stands_still),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
