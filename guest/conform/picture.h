// SPDX-License-Identifier: BSD-3-Clause
/*
 * What one boot of the guest found, in a form that can be stored and compared with that of the next
 * boot.
 */
#ifndef CONFORM_PICTURE_H
#define CONFORM_PICTURE_H

#include "bus/bus.h"

#define PICTURE_DEVICES 32

struct picture {
	uint64_t entry[8]; /* registers that the boot protocol defines */
	uint32_t command_line, map, description, image; /* checksums */
	uint32_t cpu_count, device_count, bss_nonzero;
	struct picture_device {
		uint64_t place; /* of its registers, or bus, slot and function */
		uint64_t features;
		uint32_t id, transport, interrupt, first_status;
		uint32_t identity; /* checksum of what a reset must not change */
	} devices[PICTURE_DEVICES];
};

void picture_take(struct picture *picture);
/* Checks that registers, memory map, description, command line and image are the same. */
void picture_check_start(const struct picture *before, const struct picture *now);
/* Checks that the devices have the same order, addresses, interrupts and identities. */
void picture_check_devices(const struct picture *before, const struct picture *now);
/* Checks that each device was in its reset state when the guest started. */
void picture_check_rest(const struct picture *now);

#endif
