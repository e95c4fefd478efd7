// SPDX-License-Identifier: BSD-3-Clause
/*
 * When each step of a guest's start was done, from the execution of the program on: for people who
 * have milliseconds to spare or not.
 */
#ifndef AVP_GUEST_RUN_TIMELINE_H
#define AVP_GUEST_RUN_TIMELINE_H

#include <stddef.h>
#include <stdint.h>

#define TIMELINE_STEPS 24

/* Steps beyond the room for them are not kept. */
struct timeline {
	uint64_t start; /* nanoseconds of CLOCK_MONOTONIC */
	size_t count;
	struct timeline_step {
		uint64_t time;
		char text[48];
	} steps[TIMELINE_STEPS];
};

/*
 * Starts a timeline at the execution of this program, as near as can be told: what it has computed
 * since then counts, what it has waited does not. To be called early.
 */
void timeline_start(struct timeline *timeline);

/* Adds a step, done at @time as clock_now_ns tells it. @text is copied, and cut to the room. */
void timeline_add(struct timeline *timeline, uint64_t time, const char *text);

/* Prints the steps in the order of their times to standard error. */
void timeline_print(struct timeline *timeline);

#endif
