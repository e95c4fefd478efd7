// SPDX-License-Identifier: BSD-3-Clause
/*
 * A limit of a rate: so much in a second on average, and a burst at once. What is more than the
 * burst is possible if nothing is owed, and then takes its time.
 */
#ifndef AVP_SERVICE_SWITCH_LIMIT_H
#define AVP_SERVICE_SWITCH_LIMIT_H

#include <stdint.h>

#define SWITCH_SECOND_NS UINT64_C(1000000000)

struct switch_limit {
	uint64_t rate;	  /* a second; 0: no limit */
	uint64_t burst;	  /* at once */
	uint64_t paid_ns; /* what was used is paid for until then */
};

/* The time until something may be used, 0: now. */
static inline uint64_t switch_limit_wait(const struct switch_limit *limit, uint64_t now_ns)
{
	uint64_t burst_ns;

	if (!limit->rate)
		return 0;
	burst_ns = limit->burst * SWITCH_SECOND_NS / limit->rate;
	return limit->paid_ns > now_ns + burst_ns ? limit->paid_ns - burst_ns - now_ns : 0;
}

/* At most 2^32 are used at once. */
static inline void switch_limit_use(struct switch_limit *limit, uint64_t amount, uint64_t now_ns)
{
	if (!limit->rate)
		return;
	if (limit->paid_ns < now_ns)
		limit->paid_ns = now_ns;
	limit->paid_ns += amount * SWITCH_SECOND_NS / limit->rate;
}

#endif
