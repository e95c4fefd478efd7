// SPDX-License-Identifier: BSD-3-Clause
/*
 * When each step of a guest's start was done, counted from the execution of the program.
 */
#ifndef AVP_GUEST_RUN_TIMELINE_H
#define AVP_GUEST_RUN_TIMELINE_H

#include <stddef.h>
#include <stdint.h>

#define TIMELINE_STEPS 24

/* When the array is full, further steps are dropped. */
struct timeline {
	uint64_t start; /* nanoseconds of CLOCK_MONOTONIC */
	size_t count;
	struct timeline_step {
		uint64_t time;
		char text[48];
	} steps[TIMELINE_STEPS];
};

/*
 * Starts a timeline at the execution of this program, estimated from the processor time used since
 * then; time spent waiting is not included. Call it early.
 */
void timeline_start(struct timeline *timeline);

/* Adds a step done at @time (clock_now_ns). @text is copied, and truncated if it is too long. */
void timeline_add(struct timeline *timeline, uint64_t time, const char *text);

/* Prints the steps to standard error, sorted by time. */
void timeline_print(struct timeline *timeline);

#endif
