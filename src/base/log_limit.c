// SPDX-License-Identifier: BSD-3-Clause
/* A limit on lines: a bucket of tokens. */
#include "base/log_limit.h"

#include "base/clock.h"

bool log_limit_take(struct log_limit *limit, int64_t now_ms)
{
	int64_t earned;

	/* Soon after boot the clock is near 0, so "full since 0" would grant too little. */
	if (!limit->begun) {
		limit->begun = true;
		limit->refilled_ms = now_ms;
		limit->tokens = limit->burst;
	}
	earned = (now_ms - limit->refilled_ms) / limit->interval_ms;
	if (earned > 0) {
		limit->refilled_ms += earned * limit->interval_ms;
		limit->tokens = earned > limit->burst - limit->tokens ? limit->burst :
									limit->tokens + earned;
	}
	if (limit->tokens == 0) {
		limit->suppressed++;
		return false;
	}
	limit->tokens--;
	return true;
}

bool log_limit_allow(struct log_limit *limit, const char *component)
{
	if (!log_limit_take(limit, clock_now_ms()))
		return false;
	if (limit->suppressed > 0)
		log_line(LOG_WARNING, component, "%u lines are suppressed", limit->suppressed);
	limit->suppressed = 0;
	return true;
}
