// SPDX-License-Identifier: BSD-3-Clause
/*
 * When something that dies, a process, or a guest that resets, is started again, and when it has
 * failed. After its first death in a row it is started at once, then with a delay that doubles from
 * RESTART_DELAY_MS to RESTART_DELAY_MAXIMUM_MS. A life of RESTART_QUIET_MS ends the row. As many
 * deaths in a row as the limit says are a failure: the owner's last resort follows. Lives are
 * counted, not deaths per time, because failing may take long: a device process that hangs is
 * killed only after ten seconds.
 */
#ifndef AVP_HOST_RESTART_POLICY_H
#define AVP_HOST_RESTART_POLICY_H

#include <stdbool.h>
#include <stdint.h>

#define RESTART_QUIET_MS	 30000
#define RESTART_DELAY_MS	 100
#define RESTART_DELAY_MAXIMUM_MS 5000

struct restart_policy {
	unsigned int in_a_row;
};

/*
 * Counts a death after a life of @lived_ms. Returns whether @limit deaths in a row are reached; a
 * limit of 0 is none.
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

/* How long to wait before the next start. */
static inline uint64_t restart_policy_delay_ms(const struct restart_policy *policy)
{
	uint64_t delay_ms = RESTART_DELAY_MS;

	if (policy->in_a_row < 2)
		return 0;
	for (unsigned int i = 2; i < policy->in_a_row && delay_ms < RESTART_DELAY_MAXIMUM_MS; i++)
		delay_ms *= 2;
	return delay_ms < RESTART_DELAY_MAXIMUM_MS ? delay_ms : RESTART_DELAY_MAXIMUM_MS;
}

#endif
