// SPDX-License-Identifier: BSD-3-Clause
/* Reads what the EFI application found, and the firmware's memory map (UEFI 2.10, 7.2.3). */
#include "arch/efi.h"

#include "machine.h"
#include "text.h"

#define EFI_PAGE UINT64_C(4096)

/* Whether the memory is the guest's, once boot services have ended (UEFI 2.10, table 7.10). */
static bool is_usable(uint32_t type)
{
	return (type >= EFI_LOADER_CODE && type <= EFI_BOOT_SERVICES_DATA) ||
	       type == EFI_CONVENTIONAL;
}

void efi_read_start(const struct efi_start *start)
{
	struct range range = {0, 0, false};

	machine.entry = "efi";
	machine.has_firmware = true;
	memcpy(machine.command_line, start->command_line, sizeof(machine.command_line));
	machine.command_line_cut = start->command_line_cut;
	/* Firmware splits its memory in many pieces: join those that have the same use. */
	for (uint64_t at = 0; at + sizeof(struct efi_memory_descriptor) <= start->map_size;
	     at += start->descriptor_size) {
		const struct efi_memory_descriptor *entry =
			(const struct efi_memory_descriptor *)(start->map + at);
		bool usable = is_usable(entry->type);

		if (entry->start != range.end || usable != range.usable) {
			machine_add_range(range.start, range.end, range.usable);
			range.start = entry->start;
		}
		range.end = entry->start + entry->pages * EFI_PAGE;
		range.usable = usable;
	}
	machine_add_range(range.start, range.end, range.usable);
}
