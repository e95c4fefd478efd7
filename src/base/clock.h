// SPDX-License-Identifier: BSD-3-Clause
/* CLOCK_MONOTONIC as a number, for deadlines and intervals. */
#ifndef AVP_BASE_CLOCK_H
#define AVP_BASE_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static inline int64_t clock_now_ms(void)
{
	return (int64_t)(clock_now_ns() / 1000000);
}

#endif
