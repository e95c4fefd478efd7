// SPDX-License-Identifier: BSD-3-Clause
/*
 * Decides when a device process dies, or a guest resets, too often: @limit times in a row without
 * having lived for RESTART_QUIET_MS. Lives are counted, not deaths per time, because failing may
 * take long: a device process that hangs is killed only after ten seconds.
 */
#ifndef AVP_HOST_RESTART_POLICY_H
#define AVP_HOST_RESTART_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#define RESTART_QUIET_MS 30000

struct restart_policy {
	unsigned int in_a_row;
};

/*
 * Counts a life of @lived_ms that has ended. Returns whether the limit is reached; 0 is no limit.
 */
static inline bool restart_policy_count(struct restart_policy *policy, int64_t lived_ms,
					uint64_t limit)
{
	if (lived_ms >= RESTART_QUIET_MS) {
		policy->in_a_row = 0;
		return false;
	}
	policy->in_a_row++;
	return limit && policy->in_a_row >= limit;
}

#endif
