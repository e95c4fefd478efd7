// SPDX-License-Identifier: BSD-3-Clause
/* Waits for configuration changes that the host makes. */
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
 * Runs each device of this transport that has a configuration and a configuration interrupt, and
 * waits a while. False: nothing changed, now or in an earlier wait.
 */
bool watch_configurations(enum transport transport, struct config_change *change);
/* The reason for skipping then. */
#define NOTHING_CHANGED \
	"the host changed no configuration during the test: take a link down, or resize a disk"

/*
 * A change must come with a new generation, which register @name of the transport reports; skips if
 * nothing changes.
 */
void expect_generation(enum transport transport, const char *name);

#endif
