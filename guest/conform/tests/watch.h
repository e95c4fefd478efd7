// SPDX-License-Identifier: BSD-3-Clause
/* Changes of a device's configuration that come from the host, while a test waits for them. */
#ifndef CONFORM_WATCH_H
#define CONFORM_WATCH_H

#include "bus/bus.h"

struct config_change {
	struct device *device;
	uint32_t offset; /* of the first byte that changed */
	uint32_t generation_before, generation_after;
	bool notified; /* within a second */
};

/*
 * Runs each device of this transport that has a configuration and an interrupt for it, and waits a
 * while. False: nothing has changed, now or when it was watched before.
 */
bool watch_configurations(enum transport transport, struct config_change *change);
/* What to say of that. */
#define NOTHING_CHANGED                                                                              \
	"the host changed no configuration while the test waited: take a link away, say, or give a " \
	"disk another size"

/*
 * A change must come with another generation, which that register of the transport tells; skips
 * without one.
 */
void expect_generation(enum transport transport, const char *name);

#endif
