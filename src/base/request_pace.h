// SPDX-License-Identifier: BSD-3-Clause
/*
 * A rate limit for the requests of a client that may be hostile: at most REQUEST_PACE_COUNT answers
 * in REQUEST_PACE_MS, counted from the first. All vCPUs of the largest guest may ask at once.
 */
#ifndef AVP_BASE_REQUEST_PACE_H
#define AVP_BASE_REQUEST_PACE_H

#include <stdint.h>

#define REQUEST_PACE_COUNT 512
#define REQUEST_PACE_MS	   1000

struct request_pace {
	int64_t since_ms; /* of the monotonic clock */
	unsigned int count;
};

/*
 * Counts an answer at @now_ms. Returns 0, or how many milliseconds the next request has to wait,
 * from 1 to REQUEST_PACE_MS.
 */
static inline int request_pace_count(struct request_pace *pace, int64_t now_ms)
{
	if (!pace->count || now_ms - pace->since_ms >= REQUEST_PACE_MS)
		*pace = (struct request_pace){.since_ms = now_ms};
	if (++pace->count < REQUEST_PACE_COUNT)
		return 0;
	pace->count = 0;
	return (int)(REQUEST_PACE_MS - (now_ms - pace->since_ms));
}

#endif
