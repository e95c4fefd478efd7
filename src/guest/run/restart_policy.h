// SPDX-License-Identifier: BSD-3-Clause
/*
 * When a device process that dies, or a guest that resets, has done so once too often: when it has,
 * that many times in a row, not lived for RESTART_QUIET_MS. How long one takes to fail does not
 * matter so: a device process that hangs is only given up after ten seconds.
 */
#ifndef AVP_GUEST_RUN_RESTART_POLICY_H
#define AVP_GUEST_RUN_RESTART_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#define RESTART_QUIET_MS 30000

struct restart_policy {
	unsigned int in_a_row;
};

/*
 * Counts the end of a life of @lived_ms. Returns whether it was one too many for @limit; 0 is no
 * limit.
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
