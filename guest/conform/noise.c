// SPDX-License-Identifier: BSD-3-Clause
/*
 * Two sources: gaps between two reads of the counter in a loop that makes no exit, and timers of
 * the runner that come late (main.c). One long gap is not the longest possible one, hence the
 * factor; its product has a limit, so that a real fault of that size is not excused by any noise.
 */
#include "noise.h"

#include "arch/arch.h"
#include "report.h"
#include "test.h"

#define FACTOR	  4 /* of what was seen, and of a limit */
#define STALL_NS  UINT64_C(500000000)
#define START_NS  UINT64_C(50000000)
#define AGAIN_NS  UINT64_C(20000000)
#define TURNS_MAX 100000000u /* if the counter stands still */

static uint64_t at_start, in_test;
static bool overwhelms;

void noise_note(uint64_t ns)
{
	if (ns > in_test)
		in_test = ns;
}

static void measure_gaps(uint64_t ns)
{
	uint64_t last = arch_ticks(), end = last + ns_to_ticks(ns);

	for (unsigned int turns = 0; last < end && turns < TURNS_MAX; turns++) {
		uint64_t now = arch_ticks();

		noise_note(ticks_to_ns(now - last));
		last = now;
	}
}

void noise_start(void)
{
	uint64_t gap;

	in_test = 0;
	measure_gaps(START_NS);
	gap = in_test;
	in_test = 0;
	/* The runner notes how late its timers are. */
	sleep_ms(START_NS / 1000000);
	at_start = gap > in_test ? gap : in_test;
	report_line("noise gap %lu us late %lu us", gap / 1000, in_test / 1000);
}

void noise_begin(void)
{
	in_test = 0;
	overwhelms = false;
}

uint64_t noise_ns(void)
{
	return at_start > in_test ? at_start : in_test;
}

bool noise_overwhelms(void)
{
	return overwhelms;
}

uint64_t noise_allowance(uint64_t limit_ns)
{
	uint64_t allowance;

	measure_gaps(limit_ns < AGAIN_NS ? limit_ns : AGAIN_NS);
	allowance = FACTOR * noise_ns();
	if (allowance < FACTOR * limit_ns)
		return allowance;
	overwhelms |= noise_ns() >= STALL_NS;
	return FACTOR * limit_ns;
}

enum noise_verdict noise_judge(uint64_t took_ns, uint64_t limit_ns)
{
	if (took_ns <= limit_ns)
		return NOISE_WITHIN;
	return took_ns <= limit_ns + noise_allowance(limit_ns) ? NOISE_CANNOT_TELL : NOISE_LATE;
}
