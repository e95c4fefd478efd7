// SPDX-License-Identifier: BSD-3-Clause
/*
 * pvpanic. It has no state.
 */
#include "monitor/panic.h"

static void handle_panic(void *context, const struct bus_access *access)
{
	const struct platform_setup *setup = context;

	if (!access->write)
		bus_answer(access, PANIC_EVENT_PANICKED | PANIC_EVENT_CRASH_LOADED);
	/* A guest with a crash kernel deals with its panic itself, and goes on. */
	else if (bus_value(access) & PANIC_EVENT_PANICKED)
		setup->tell(setup->context, PLATFORM_PANICKED, "");
}

void panic_init(struct bus_device *panic, uint64_t address, const struct platform_setup *setup)
{
	*panic = (struct bus_device){address, PANIC_SIZE, handle_panic, (void *)setup, "pvpanic"};
}
