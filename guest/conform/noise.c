// SPDX-License-Identifier: BSD-3-Clause
/*
 * What delays a guest once is seen in gaps between two reads of the counter, in a loop that makes
 * no exit, and in timers of the runner that come late (main.c). One long gap is not the longest
 * possible one, hence the factor. What takes many steps is delayed by the share of the time for
 * which the host does not run the guest: the sum of the gaps. Either is bounded, so that a real
 * fault of ten times a limit of the contract is not excused by any noise.
 */
#include "noise.h"

#include "arch/arch.h"
#include "report.h"
#include "test.h"

#define FACTOR	    4 /* of what was seen, and of a limit */
#define PATIENCE_NS UINT64_C(30000000000)
#define PERCENT_MAX 10000
#define START_NS    UINT64_C(50000000)
#define AGAIN_NS    UINT64_C(100000000)
#define GAP_NS	    UINT64_C(100000) /* shorter ones are interrupts and the like */
#define TURNS_MAX   100000000u	     /* if the counter stands still */

static uint64_t at_start, in_test;
/* By gaps, and between them, when they were measured the last time. */
static uint64_t lost, run;
static bool overwhelms;

void noise_note(uint64_t ns)
{
	if (ns > in_test)
		in_test = ns;
}

static void measure_gaps(uint64_t ns)
{
	uint64_t last = arch_ticks(), end = last + ns_to_ticks(ns);

	lost = run = 0;
	for (unsigned int turns = 0; last < end && turns < TURNS_MAX; turns++) {
		uint64_t now = arch_ticks(), gap = ticks_to_ns(now - last);

		*(gap < GAP_NS ? &run : &lost) += gap;
		noise_note(gap);
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

/* By how much noise may have delayed something with this limit. */
static uint64_t measure_delay(uint64_t limit_ns)
{
	uint64_t percent, by_share;

	measure_gaps(limit_ns / FACTOR < AGAIN_NS ? limit_ns / FACTOR : AGAIN_NS);
	percent = lost * 100 / (run + 1);
	by_share = limit_ns / 100 * (percent < PERCENT_MAX ? percent : PERCENT_MAX);
	return by_share > FACTOR * noise_ns() ? by_share : FACTOR * noise_ns();
}

uint64_t noise_patience(uint64_t limit_ns)
{
	uint64_t delay = measure_delay(limit_ns);

	overwhelms |= FACTOR * noise_ns() > PATIENCE_NS;
	return delay < PATIENCE_NS ? delay : PATIENCE_NS;
}

enum noise_verdict noise_judge(uint64_t took_ns, uint64_t limit_ns)
{
	uint64_t delay;

	if (took_ns <= limit_ns)
		return NOISE_WITHIN;
	delay = measure_delay(limit_ns);
	if (delay > FACTOR * limit_ns)
		delay = FACTOR * limit_ns;
	return took_ns <= limit_ns + delay ? NOISE_CANNOT_TELL : NOISE_LATE;
}
