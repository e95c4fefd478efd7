// SPDX-License-Identifier: BSD-3-Clause
/*
 * Starts a kernel on an x86 machine: loads it, its initrd and command line into memory, and
 * describes the machine by boot_params (Documentation/arch/x86/zero-page.rst) or hvm_start_info
 * (Xen, "x86/HVM direct boot ABI"), both with the ACPI tables.
 */
#include "monitor/boot.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "monitor/boot_file.h"
#include "monitor/power.h"
#include "monitor/x86/acpi.h"
#include "monitor/x86/kernel.h"
#include "monitor/x86/layout.h"

#define LOADER_UNKNOWN 0xff /* type_of_loader: one without a number of its own */

#define E820_RAM       1
#define E820_RESERVED  2

/* For kernels that do not say: Linux copies COMMAND_LINE_SIZE bytes, with the zero. */
#define COMMAND_LINE_DEFAULT 2047

#define START_INFO_MAGIC     0x336ec578

struct start_info {
	uint32_t magic, version, flags, module_count;
	uint64_t modules, command_line, rsdp, memory_map;
	uint32_t memory_map_count, reserved;
};

struct start_info_module {
	uint64_t address, size, command_line, reserved;
};

struct start_info_memory {
	uint64_t address, size;
	uint32_t type, reserved;
};

#define MEMORY_MAP_MAX 4

/* The memory content of a machine that is about to start. */
struct boot {
	struct monitor_memory *memory;
	struct x86_kernel kernel;
	uint64_t initrd_address, initrd_size; /* 0: none */
	struct start_info_memory map[MEMORY_MAP_MAX];
	uint32_t map_count;
};

/* The host address of low guest memory, which every machine has. */
static void *low_memory(struct boot *boot, uint64_t address, uint64_t size)
{
	void *host = NULL;

	guest_memory_translate_all(&boot->memory->guest, guest_addr(address), size,
				   GUEST_MEMORY_WRITE, &host);
	return host;
}

static void add_memory(struct boot *boot, uint64_t start, uint64_t end, uint32_t type)
{
	boot->map[boot->map_count++] =
		(struct start_info_memory){.address = start, .size = end - start, .type = type};
}

static void make_memory_map(struct boot *boot)
{
	const struct memory_range *ranges = boot->memory->ranges;

	add_memory(boot, 0, X86_LOW_MEMORY_END, E820_RAM);
	add_memory(boot, X86_LOW_MEMORY_END, X86_HIGH_MEMORY, E820_RESERVED);
	add_memory(boot, X86_HIGH_MEMORY, ranges[0].size, E820_RAM);
	if (boot->memory->count > 1)
		add_memory(boot, ranges[1].address, ranges[1].address + ranges[1].size, E820_RAM);
}

static int write_command_line(struct boot *boot, const struct boot_source *source,
			      struct error *error)
{
	size_t limit = X86_COMMAND_LINE_SIZE - 1, length = strlen(source->command_line);

	if (!boot->kernel.header.cmdline_size)
		limit = COMMAND_LINE_DEFAULT;
	else if (boot->kernel.header.cmdline_size < limit)
		limit = boot->kernel.header.cmdline_size;
	if (length > limit)
		return error_set_usage(
			error,
			"--append: the kernel's command line has %zu characters, and "
			"the kernel supports %zu; shorten it",
			length, limit);
	memcpy(low_memory(boot, X86_COMMAND_LINE, length + 1), source->command_line, length + 1);
	return 0;
}

static void write_boot_params(struct boot *boot)
{
	struct boot_params *params = low_memory(boot, X86_BOOT_PARAMS, sizeof(*params));

	memset(params, 0, sizeof(*params));
	params->hdr = boot->kernel.header;
	params->hdr.type_of_loader = LOADER_UNKNOWN;
	params->hdr.cmd_line_ptr = X86_COMMAND_LINE;
	params->hdr.ramdisk_image = (uint32_t)boot->initrd_address;
	params->hdr.ramdisk_size = (uint32_t)boot->initrd_size;
	params->acpi_rsdp_addr = X86_ACPI_ADDRESS;
	for (uint32_t i = 0; i < boot->map_count; i++)
		params->e820_table[i] = (struct boot_e820_entry){
			boot->map[i].address, boot->map[i].size, boot->map[i].type};
	params->e820_entries = (uint8_t)boot->map_count;
}

static void write_start_info(struct boot *boot)
{
	struct {
		struct start_info info;
		struct start_info_module module;
		struct start_info_memory map[MEMORY_MAP_MAX];
	} *start = low_memory(boot, X86_BOOT_PARAMS, sizeof(*start));

	memset(start, 0, sizeof(*start));
	start->info = (struct start_info){
		.magic = START_INFO_MAGIC,
		.version = 1,
		.module_count = boot->initrd_size ? 1 : 0,
		.modules = X86_BOOT_PARAMS + offsetof(__typeof__(*start), module),
		.command_line = X86_COMMAND_LINE,
		.rsdp = X86_ACPI_ADDRESS,
		.memory_map = X86_BOOT_PARAMS + offsetof(__typeof__(*start), map),
		.memory_map_count = boot->map_count,
	};
	start->module.address = boot->initrd_address;
	start->module.size = boot->initrd_size;
	memcpy(start->map, boot->map, sizeof(start->map));
}

/*
 * A minimal firmware: a jump to it resets the machine. Linux on hardware-reduced ACPI tries EFI
 * first and this next, before the reset register.
 */
static void write_reset_vector(struct boot *boot)
{
	const uint16_t port = X86_POWER_PORT + POWER_RESET;
	const uint8_t code[] = {
		0xba,	   port & 0xff,
		port >> 8,		      /* mov dx, port */
		0xb0,	   POWER_RESET_VALUE, /* mov al, POWER_RESET_VALUE */
		0xee,			      /* out dx, al */
		0xf4,			      /* hlt */
		0xeb,	   0xfd,	      /* jmp to the hlt */
	};

	memcpy(low_memory(boot, X86_RESET_VECTOR, sizeof(code)), code, sizeof(code));
}

int arch_boot_load(struct monitor_memory *memory, const struct boot_source *source,
		   struct boot_entry *entry, struct error *error)
{
	struct boot boot = {.memory = memory};
	int result = x86_kernel_load(memory, source, &boot.kernel, error);
	if (result == 0) {
		uint64_t end = memory->ranges[0].size;

		if (end > boot.kernel.initrd_end)
			end = boot.kernel.initrd_end;
		result = boot_file_load_initrd(memory, source, boot.kernel.end, end,
					       &boot.initrd_address, &boot.initrd_size, error);
	}
	if (result == 0)
		result = write_command_line(&boot, source, error);
	if (result < 0)
		return result;
	if (acpi_write_tables(low_memory(&boot, X86_ACPI_ADDRESS, X86_ACPI_SIZE), X86_ACPI_SIZE,
			      X86_ACPI_ADDRESS, source->cpus, source->virtio_devices) < 0)
		return error_set(error, ENOSPC, "the ACPI tables do not fit");
	make_memory_map(&boot);
	write_reset_vector(&boot);
	if (boot.kernel.protocol == BOOT_PVH)
		write_start_info(&boot);
	else
		write_boot_params(&boot);
	*entry = (struct boot_entry){boot.kernel.protocol, boot.kernel.entry, X86_BOOT_PARAMS};
	return 0;
}
