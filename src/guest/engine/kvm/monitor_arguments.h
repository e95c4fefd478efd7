// SPDX-License-Identifier: BSD-3-Clause
/*
 * The arguments that make `avp monitor` the engine of a guest.
 */
#ifndef AVP_GUEST_ENGINE_KVM_MONITOR_ARGUMENTS_H
#define AVP_GUEST_ENGINE_KVM_MONITOR_ARGUMENTS_H

#include "base/arguments.h"
#include "guest/engine/engine.h"

/* What the monitor inherits in addition to struct engine_launch. */
struct monitor_descriptors {
	int broker;
	int devices[GUEST_DEVICES_MAXIMUM]; /* connections, in the order of the setup's devices */
	int trees[GUEST_DEVICES_MAXIMUM]; /* files with their parts of the device tree; -1: none */
};

/* Appends all arguments, the program's name first. */
void monitor_arguments(struct arguments *arguments, const struct engine_setup *setup,
		       const struct engine_launch *launch,
		       const struct monitor_descriptors *descriptors);

#endif
