// SPDX-License-Identifier: BSD-3-Clause
/*
 * What one boot of the guest found, in a form that can be stored and compared with that of the next
 * boot.
 */
#ifndef CONFORM_SNAPSHOT_H
#define CONFORM_SNAPSHOT_H

#include "bus/bus.h"

#define SNAPSHOT_DEVICES 32

struct snapshot {
	uint64_t entry[8]; /* registers that the boot protocol defines */
	uint32_t command_line, map, description, image; /* checksums */
	uint32_t cpu_count, device_count, bss_nonzero;
	struct snapshot_device {
		uint64_t address; /* of its registers, or bus, slot and function */
		uint64_t features;
		uint32_t id, transport, interrupt, first_status;
		uint32_t identity; /* checksum of what a reset must not change */
	} devices[SNAPSHOT_DEVICES];
};

void snapshot_take(struct snapshot *snapshot);
/* Checks that registers, memory map, description, command line and image are the same. */
void snapshot_check_start(const struct snapshot *before, const struct snapshot *now);
/* Checks that the devices have the same order, addresses, interrupts and identities. */
void snapshot_check_devices(const struct snapshot *before, const struct snapshot *now);
/* Checks that each device was in its reset state when the guest started. */
void snapshot_check_rest(const struct snapshot *now);

#endif
