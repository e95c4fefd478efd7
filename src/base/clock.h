// SPDX-License-Identifier: BSD-3-Clause
/* Clocks as numbers, for deadlines and intervals. */
#ifndef AVP_BASE_CLOCK_H
#define AVP_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Reads @clock, which must exist, in nanoseconds. */
static inline uint64_t clock_read_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* CLOCK_MONOTONIC. */
static inline uint64_t clock_now_ns(void)
{
	return clock_read_ns(CLOCK_MONOTONIC);
}

static inline int64_t clock_now_ms(void)
{
	return (int64_t)(clock_now_ns() / 1000000);
}

#endif
