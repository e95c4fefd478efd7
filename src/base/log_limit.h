// SPDX-License-Identifier: BSD-3-Clause
/*
 * How often lines are written that somebody who is not trusted can cause: a number of them at once,
 * and then as many as are earned with time.
 */
#ifndef AVP_BASE_LOG_LIMIT_H
#define AVP_BASE_LOG_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

/* Zero but for the first two, it starts with all that it may have at once. */
struct log_limit {
	unsigned int burst;	  /* lines at once */
	unsigned int interval_ms; /* how long it takes to earn another */
	bool begun;		  /* it has had what it may have at once */
	int64_t refilled_ms;
	unsigned int tokens;
	unsigned int
		suppressed; /* lines left out since the last that was not; the caller's to clear */
};

/* May a line be written at @now_ms, of a clock that runs on? Else it is counted. */
bool log_limit_take(struct log_limit *limit, int64_t now_ms);

#endif
