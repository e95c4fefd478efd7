// SPDX-License-Identifier: BSD-3-Clause
/* The image in memory, and its state before the guest changed anything. */
#ifndef CONFORM_IMAGE_H
#define CONFORM_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

extern uint8_t image_start[], image_checked_end[], image_data_end[], image_end[];
extern uint8_t bss_start[], bss_end[];
/* CRC-32 of the bytes from image_start to image_checked_end; filled in by guest/conform/build. */
extern const volatile uint32_t image_sum[4];

struct image_state {
	uint64_t entry_ticks; /* the counter at the first instruction */
	uint64_t bss_nonzero; /* words */
	bool bss_promised;    /* the boot protocol promises zeros */
};
extern struct image_state image_state;

/* What the loader's structure contained. */
struct start_copy {
	uint64_t address, magic, version, map, map_count, rsdp, command_line, modules, module_count;
	uint64_t loader, boot_flag, preferred, init_size;
};
extern struct start_copy start_copy;

#endif
