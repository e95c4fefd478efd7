// SPDX-License-Identifier: BSD-3-Clause
/*
 * A rate limit for log lines that an untrusted party can cause: a burst, then one line an interval.
 */
#ifndef AVP_BASE_LOG_LIMIT_H
#define AVP_BASE_LOG_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/log.h"

/* Set the first two members and zero the rest: it starts with a full burst. */
struct log_limit {
	unsigned int burst;	  /* lines at once */
	unsigned int interval_ms; /* the time that earns another line */
	bool begun;		  /* the first burst was granted */
	int64_t refilled_ms;
	unsigned int tokens;
	unsigned int suppressed; /* lines dropped since the last written; the caller clears it */
};

/* Whether a line may be written at @now_ms, of a monotonic clock. If not, it is counted. */
bool log_limit_take(struct log_limit *limit, int64_t now_ms);

/* The same, now; if lines were suppressed, a warning of @component says so first. */
bool log_limit_allow(struct log_limit *limit, const char *component);

#endif
