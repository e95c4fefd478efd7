// SPDX-License-Identifier: BSD-3-Clause
/*
 * pvpanic. It has no state.
 */
#include "monitor/panic.h"

static void handle_panic(void *context, const struct bus_access *access)
{
	struct panic *panic = context;
	uint64_t event;

	if (!access->write) {
		bus_answer(access, PANIC_EVENT_PANICKED | PANIC_EVENT_CRASH_LOADED);
		return;
	}
	event = bus_value(access);
	if (event & PANIC_EVENT_PANICKED)
		panic->setup->report(panic->setup->context, PLATFORM_PANICKED, "");
	/* A guest with a crash kernel handles its panic itself, and continues. */
	else if (event & PANIC_EVENT_CRASH_LOADED && panic->crash_loaded)
		panic->crash_loaded(panic);
}

void panic_init(struct panic *panic, uint64_t address, const struct platform_setup *setup,
		void (*crash_loaded)(struct panic *panic))
{
	*panic = (struct panic){
		.registers = {address, PANIC_SIZE, handle_panic, panic, "pvpanic"},
		.setup = setup,
		.crash_loaded = crash_loaded,
	};
}
