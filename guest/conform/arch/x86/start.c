// SPDX-License-Identifier: BSD-3-Clause
/*
 * From the entry to the common code: copies what the loader reported before anything overwrites it.
 */
#include <asm/bootparam.h>

#include "arch/arch.h"
#include "arch/efi.h"
#include "arch/image.h"
#include "arch/x86/x86.h"
#include "text.h"

struct start_info {
	uint32_t magic, version, flags, module_count;
	uint64_t modules, command_line, rsdp, memory_map;
	uint32_t memory_map_count, reserved;
};

struct memory_map_entry {
	uint64_t address, size;
	uint32_t type, reserved;
};

struct module {
	uint64_t address, size, command_line, reserved;
};

#define PVH_MAGIC 0x336ec578
#define TYPE_RAM  1

struct start_copy start_copy;
struct image_state image_state;

void x86_start(void);
void conform_main(void);

static void copy_command_line(uint64_t address)
{
	const char *line = (const char *)address;
	size_t i = 0;

	if (address == 0 || address >> 32)
		return;
	for (; i < sizeof(machine.command_line) - 1 && line[i]; i++)
		machine.command_line[i] = line[i];
	machine.command_line_cut = line[i] != 0;
}

static void read_start_info(uint64_t address)
{
	const struct start_info *info = (const struct start_info *)address;
	const struct memory_map_entry *map;

	machine.entry = "pvh";
	start_copy.address = address;
	if (address == 0 || address >> 32 || info->magic != PVH_MAGIC)
		return;
	start_copy.magic = info->magic;
	start_copy.version = info->version;
	start_copy.map = info->memory_map;
	start_copy.map_count = info->memory_map_count;
	start_copy.rsdp = info->rsdp;
	start_copy.command_line = info->command_line;
	start_copy.modules = info->modules;
	start_copy.module_count = info->module_count;
	copy_command_line(info->command_line);
	machine.description = info->rsdp;
	map = (const struct memory_map_entry *)info->memory_map;
	for (uint32_t i = 0;
	     info->version >= 1 && info->memory_map && i < info->memory_map_count && i < RANGES_MAX;
	     i++)
		machine_add_range(map[i].address, map[i].address + map[i].size,
				  map[i].type == TYPE_RAM);
	if (info->module_count > 0 && info->modules) {
		const struct module *module = (const struct module *)info->modules;

		machine.initrd_start = module->address;
		machine.initrd_end = module->address + module->size;
	}
}

static void read_boot_params(uint64_t address, const char *entry)
{
	const struct boot_params *params = (const struct boot_params *)address;

	machine.entry = entry;
	start_copy.address = address;
	if (address == 0 || address >> 32)
		return;
	start_copy.magic = params->hdr.header;
	start_copy.version = params->hdr.version;
	start_copy.loader = params->hdr.type_of_loader;
	start_copy.boot_flag = params->hdr.boot_flag;
	start_copy.map_count = params->e820_entries;
	start_copy.command_line = params->hdr.cmd_line_ptr;
	start_copy.preferred = params->hdr.pref_address;
	start_copy.init_size = params->hdr.init_size;
	start_copy.rsdp = params->acpi_rsdp_addr;
	copy_command_line(params->hdr.cmd_line_ptr);
	machine.description = params->acpi_rsdp_addr;
	for (unsigned int i = 0; i < params->e820_entries && i < E820_MAX_ENTRIES_ZEROPAGE; i++) {
		struct boot_e820_entry range = params->e820_table[i];

		machine_add_range(range.addr, range.addr + range.size, range.type == TYPE_RAM);
	}
	if (params->hdr.ramdisk_image && params->hdr.ramdisk_size) {
		machine.initrd_start = params->hdr.ramdisk_image;
		machine.initrd_end = machine.initrd_start + params->hdr.ramdisk_size;
	}
}

static void read_efi(const struct efi_start *start)
{
	efi_read_start(start);
	machine.description = start->rsdp;
}

/* Does not use memset(): .bss is not usable yet. */
static uint64_t count_nonzero(void)
{
	uint64_t count = 0;

	for (volatile uint64_t *word = (volatile uint64_t *)bss_start;
	     word < (volatile uint64_t *)bss_end; word++) {
		if (*word)
			count++;
		*word = 0;
	}
	return count;
}

void x86_start(void)
{
	uint64_t first_ticks = arch_ticks();
	uint64_t nonzero = count_nonzero();

	image_state.entry_ticks = first_ticks;
	image_state.bss_nonzero = nonzero;
	image_state.bss_promised = start_state.kind == 0;
	conform_main();
}

void arch_init(void)
{
	x86_load_idt();
	if (start_state.kind == 0)
		read_start_info(start_state.information);
	else if (start_state.kind == 3)
		read_efi((const struct efi_start *)start_state.information);
	else
		read_boot_params(start_state.information,
				 start_state.kind == 1 ? "linux32" : "linux64");
	/* COM1, where the earliest log of any PC goes, whether or not a table describes it. */
	machine.serial = SERIAL_16550_PORT;
	machine.serial_address = 0x3f8;
}
