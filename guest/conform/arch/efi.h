// SPDX-License-Identifier: BSD-3-Clause
/*
 * What the EFI application (efi/) hands to the guest's image, which it placed in memory: the same
 * file is part of both. The image is entered at image_start + EFI_ENTRY with the address of this
 * structure in the first argument's register.
 */
#ifndef CONFORM_ARCH_EFI_H
#define CONFORM_ARCH_EFI_H

#ifdef __x86_64__
#define EFI_ENTRY 0x300
#else
#define EFI_ENTRY 4
#endif

#ifndef __ASSEMBLER__
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Below 4 GiB, in memory that the map lists as the loader's. */
struct efi_start {
	uint64_t rsdp, tree; /* addresses from the configuration table; 0: none */
	uint64_t map_size, descriptor_size;
	bool command_line_cut;
	char command_line[2048];
	uint8_t map[65536] __attribute__((aligned(8)));
};

/* UEFI 2.10, 7.2.3, GetMemoryMap() */
struct efi_memory_descriptor {
	uint32_t type, padding;
	uint64_t start, virtual_start, pages, attributes;
};

enum efi_memory_type {
	EFI_LOADER_CODE = 1,
	EFI_LOADER_DATA = 2,
	EFI_BOOT_SERVICES_CODE = 3,
	EFI_BOOT_SERVICES_DATA = 4,
	EFI_CONVENTIONAL = 7,
};

/* Fills in what struct machine has of it. */
void efi_read_start(const struct efi_start *start);
#endif

#endif
