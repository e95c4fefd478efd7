// SPDX-License-Identifier: BSD-3-Clause
/*
 * Fuzz target of what the monitor reads before a guest runs: a kernel file, and the placement of an
 * initrd and the command line around it (src/monitor/x86). An input is a struct choice and the
 * file. An accepted file must be in guest memory where it says, and nothing else may be written; a
 * rejected one gives an error that a person can act on.
 */
#include <asm/bootparam.h>
#include <elf.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "fuzz/hostile_driver.h"
#include "monitor/boot.h"
#include "monitor/x86/kernel.h"
#include "monitor/x86/layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define KIB	     UINT64_C(1024)
#define MIB	     (1024 * KIB)
#define GIB	     (1024 * MIB)

#define CPUS_MAX     32 /* the limit of the options of `avp run` */
#define LINE_MAX     (X86_COMMAND_LINE_SIZE + 1)
#define INITRD_UNIT  1021 /* odd, so that an initrd ends anywhere in a page */
#define ZEROES_UNIT  4096
#define ENTRY_64BIT  0x200
#define PVH_MAGIC    0x336ec578
#define SETUP_HEADER 0x1f1

/* The machine, and what it gets besides the kernel. The input starts with it. */
struct choice {
	uint8_t machine;
	uint8_t kinds;	   /* KIND_* */
	uint8_t initrd[2]; /* in INITRD_UNIT */
	uint8_t line[2];   /* characters of the command line */
	uint8_t cpus, devices;
	uint8_t zeroes; /* in ZEROES_UNIT: zeroes appended to the kernel's file */
};

#define KIND_INITRD	 1 /* there is an initrd */
#define KIND_INITRD_PIPE 2 /* it is not a regular file */
#define KIND_KERNEL_PIPE 4

/*
 * Memory sizes: hardly more than low memory; an odd number of pages; the least that the options
 * allow; one that continues above the hole, with little there; and one of more than 32 bits. Pages
 * are allocated when they are touched, so a large one costs nothing.
 */
static const struct memory_range machines[][MONITOR_MEMORY_RANGES] = {
	{{0, 2 * MIB}, {0, 0}},
	{{0, 4 * MIB + 12 * KIB}, {0, 0}},
	{{0, 32 * MIB}, {0, 0}},
	{{0, 8 * MIB}, {X86_HOLE_END, 4 * MIB}},
	{{0, X86_HOLE_START}, {X86_HOLE_END, 3 * GIB}},
};
#define MACHINES (sizeof(machines) / sizeof(machines[0]))
/* The zeroes of an ELF segment are written: the last machine would allow too many. */
#define MACHINES_FOR_ELF (MACHINES - 1)

/* Reused for all inputs. */
static struct monitor_memory memories[MACHINES];
static int kernel_fd, initrd_fd, pipe_fd;
static char command_line[LINE_MAX + 1];

/* The kernel's file: @size bytes, then zeroes. */
struct file {
	const uint8_t *data;
	size_t size, zeroes;
};

static void make_machines(void)
{
	int pipes[2];

	log_set_level(LOG_ERROR);
	for (size_t i = 0; i < MACHINES; i++)
		PROMISE(monitor_memory_open(&memories[i], machines[i], machines[i][1].size ? 2 : 1,
					    false, NULL) == 0);
	kernel_fd = memfd_create("kernel", MFD_CLOEXEC);
	initrd_fd = memfd_create("initrd", MFD_CLOEXEC);
	PROMISE(pipe2(pipes, O_CLOEXEC) == 0);
	pipe_fd = pipes[0];
	memset(command_line, 'x', LINE_MAX);
}

static void make_file(int fd, const void *data, size_t size, size_t zeroes)
{
	PROMISE(ftruncate(fd, 0) == 0);
	PROMISE(pwrite(fd, data, size, 0) == (ssize_t)size);
	PROMISE(ftruncate(fd, (off_t)(size + zeroes)) == 0);
}

static void forget_memory(struct monitor_memory *memory)
{
	PROMISE(fallocate(memory->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			  (off_t)memory->size) == 0);
}

/* A range that may have been written to. */
struct allowed {
	uint64_t start, end;
};

static bool is_zero(const uint8_t *bytes, uint64_t size)
{
	return size == 0 || (bytes[0] == 0 && !memcmp(bytes, bytes + 1, size - 1));
}

/*
 * Checks that all memory is zero except @allowed, which is sorted by start and ends with an empty
 * range at UINT64_MAX. Reads only pages that were touched, as the file behind the memory reports
 * them.
 */
static void check_untouched(const struct monitor_memory *memory, const struct allowed *allowed)
{
	off_t place = 0, end;

	while ((place = lseek(memory->fd, place, SEEK_DATA)) >= 0) {
		uint64_t at = (uint64_t)place;

		end = lseek(memory->fd, place, SEEK_HOLE);
		PROMISE(end > place);
		for (const struct allowed *next = allowed; at < (uint64_t)end; next++) {
			uint64_t stop = next->start < (uint64_t)end ? next->start : (uint64_t)end;

			if (at < stop)
				PROMISE(is_zero(memory->host + at, stop - at));
			if (at < stop)
				at = stop;
			if (at < next->end && at >= next->start)
				at = next->end;
		}
		place = end;
	}
}

static void check_error(int result, const struct error *error)
{
	PROMISE(result == -error->code && error->usage && error->code > 0 && error->message[0]);
	for (const char *letter = error->message; *letter; letter++)
		PROMISE((unsigned char)*letter >= 0x20 && *letter != 0x7f);
}

/* Checks that the bytes of the file from @offset on are in memory. */
static void check_bytes(const struct file *file, uint64_t offset, const uint8_t *host,
			uint64_t size)
{
	uint64_t there = offset < file->size ? file->size - offset : 0;

	if (there > size)
		there = size;
	if (there)
		PROMISE(!memcmp(host, file->data + offset, there));
	PROMISE(is_zero(host + there, size - there));
}

/* Returns the segment that was loaded last, so that no other one overwrote it. */
static const uint8_t *last_segment(const struct monitor_memory *memory, const struct file *file,
				   Elf64_Phdr *last)
{
	Elf64_Ehdr elf;
	bool found = false;

	memcpy(&elf, file->data, sizeof(elf));
	for (unsigned int i = 0; i < elf.e_phnum; i++) {
		uint64_t at = elf.e_phoff + i * sizeof(*last);
		Elf64_Phdr segment = {.p_type = PT_NULL};

		/* A header in the zeroes at the file's end is PT_NULL. */
		if (at < file->size)
			memcpy(&segment, file->data + at,
			       file->size - at < sizeof(segment) ? file->size - at :
								   sizeof(segment));
		if (segment.p_type != PT_LOAD || segment.p_memsz == 0)
			continue;
		*last = segment;
		found = true;
	}
	PROMISE(found);
	PROMISE(last->p_paddr >= X86_HIGH_MEMORY && last->p_paddr <= memory->ranges[0].size &&
		last->p_memsz <= memory->ranges[0].size - last->p_paddr);
	return memory->host + last->p_paddr;
}

static bool is_elf(const struct file *file)
{
	return file->size >= SELFMAG && !memcmp(file->data, ELFMAG, SELFMAG);
}

static void check_content(const struct monitor_memory *memory, const struct file *file,
			  const struct x86_kernel *kernel)
{
	Elf64_Phdr segment;
	const uint8_t *host;

	if (!is_elf(file)) {
		struct setup_header header;
		uint64_t offset, size, all = file->size + file->zeroes;

		PROMISE(file->size >= SETUP_HEADER);
		memset(&header, 0, sizeof(header));
		size = file->size - SETUP_HEADER;
		memcpy(&header, file->data + SETUP_HEADER,
		       size < sizeof(header) ? size : sizeof(header));
		offset = (uint64_t)((header.setup_sects ? header.setup_sects : 4) + 1) * 512;
		size = (uint64_t)header.syssize * 16;
		PROMISE(offset < all && kernel->entry == header.pref_address + ENTRY_64BIT);
		check_bytes(file, offset, memory->host + header.pref_address,
			    size < all - offset ? size : all - offset);
		return;
	}
	host = last_segment(memory, file, &segment);
	check_bytes(file, segment.p_offset, host, segment.p_filesz);
	PROMISE(is_zero(host + segment.p_filesz, segment.p_memsz - segment.p_filesz));
}

/* Writes to memory that must be zero after the next start, as a guest before a reset does. */
static void write_garbage(const struct monitor_memory *memory, const struct file *file)
{
	Elf64_Phdr segment;
	uint8_t *host;
	uint64_t size;

	if (!is_elf(file))
		return;
	host = (uint8_t *)last_segment(memory, file, &segment) + segment.p_filesz;
	size = segment.p_memsz - segment.p_filesz;
	memset(host, 0xff, size < ZEROES_UNIT ? size : ZEROES_UNIT);
}

static void check_kernel(const struct monitor_memory *memory, const struct file *file,
			 const struct x86_kernel *kernel)
{
	const struct allowed allowed[] = {{X86_HIGH_MEMORY, kernel->end}, {UINT64_MAX, 0}};

	PROMISE(kernel->end > X86_HIGH_MEMORY && kernel->end <= memory->ranges[0].size);
	PROMISE(kernel->entry >= X86_HIGH_MEMORY && kernel->entry < kernel->end);
	check_content(memory, file, kernel);
	check_untouched(memory, allowed);
}

/* Copies a structure in low memory. */
static void take(const struct monitor_memory *memory, uint64_t address, void *out, size_t size)
{
	PROMISE(address <= X86_LOW_MEMORY_END && size <= X86_LOW_MEMORY_END - address);
	memcpy(out, memory->host + address, size);
}

/* What the kernel gets: an initrd if there is one, and a memory map. */
struct boot_info {
	uint64_t initrd, initrd_size, command_line;
	struct boot_e820_entry map[8];
	uint32_t map_count;
};

static struct boot_info read_boot_params(const struct monitor_memory *memory, uint64_t address)
{
	struct boot_params params;
	struct boot_info boot;

	take(memory, address, &params, sizeof(params));
	PROMISE(params.hdr.header == 0x53726448 && params.acpi_rsdp_addr == X86_ACPI_ADDRESS);
	boot = (struct boot_info){
		.initrd = params.hdr.ramdisk_image,
		.initrd_size = params.hdr.ramdisk_size,
		.command_line = params.hdr.cmd_line_ptr,
		.map_count = params.e820_entries,
	};
	PROMISE(boot.map_count <= 8);
	memcpy(boot.map, params.e820_table, sizeof(boot.map));
	return boot;
}

/* Xen, "x86/HVM direct boot ABI", include/public/arch-x86/hvm/start_info.h */
static struct boot_info read_start_info(const struct monitor_memory *memory, uint64_t address)
{
	struct {
		uint32_t magic, version, flags, modules;
		uint64_t module, command_line, rsdp, map;
		uint32_t map_count, reserved;
	} info;
	uint64_t module[4] = {0};
	struct {
		uint64_t address, size;
		uint32_t type, reserved;
	} range;
	struct boot_info boot;

	take(memory, address, &info, sizeof(info));
	PROMISE(info.magic == PVH_MAGIC && info.modules <= 1 && info.map_count <= 8);
	PROMISE(info.rsdp == X86_ACPI_ADDRESS);
	if (info.modules)
		take(memory, info.module, module, sizeof(module));
	boot = (struct boot_info){
		.initrd = module[0],
		.initrd_size = module[1],
		.command_line = info.command_line,
		.map_count = info.map_count,
	};
	for (uint32_t i = 0; i < info.map_count; i++) {
		take(memory, info.map + i * sizeof(range), &range, sizeof(range));
		boot.map[i] = (struct boot_e820_entry){range.address, range.size, range.type};
	}
	return boot;
}

static void check_map(const struct monitor_memory *memory, const struct boot_info *boot)
{
	uint64_t before = 0, usable = 0;

	for (uint32_t i = 0; i < boot->map_count; i++) {
		const struct boot_e820_entry *entry = &boot->map[i];
		uint64_t end = entry->addr + entry->size;
		bool high = entry->addr >= X86_HOLE_END;

		PROMISE(entry->size > 0 && entry->addr >= before && end > entry->addr);
		PROMISE(!high || memory->count > 1);
		PROMISE(end <= memory->ranges[high].address + memory->ranges[high].size);
		before = end;
		if (entry->type == 1)
			usable += entry->size;
	}
	PROMISE(usable == memory->size - (X86_HIGH_MEMORY - X86_LOW_MEMORY_END));
}

static void check_machine(const struct monitor_memory *memory, const struct boot_source *source,
			  const struct x86_kernel *kernel, const struct boot_entry *entry,
			  const struct choice *choice, uint64_t initrd_size)
{
	struct boot_info boot = entry->protocol == BOOT_PVH ?
					read_start_info(memory, entry->argument) :
					read_boot_params(memory, entry->argument);
	const struct allowed allowed[] = {
		{X86_BOOT_PARAMS, X86_COMMAND_LINE},
		{X86_COMMAND_LINE, X86_COMMAND_LINE + X86_COMMAND_LINE_SIZE},
		{X86_ACPI_ADDRESS, X86_ACPI_ADDRESS + X86_ACPI_SIZE},
		{X86_RESET_VECTOR, X86_HIGH_MEMORY},
		{X86_HIGH_MEMORY, kernel->end},
		{boot.initrd, boot.initrd + boot.initrd_size},
		{UINT64_MAX, 0},
	};
	size_t length = strlen(source->command_line);
	uint8_t last = 0;

	PROMISE(entry->protocol == kernel->protocol && entry->address == kernel->entry);
	check_map(memory, &boot);
	PROMISE(!memcmp(memory->host + X86_ACPI_ADDRESS, "RSD PTR ", 8));
	PROMISE(boot.command_line == X86_COMMAND_LINE && length < X86_COMMAND_LINE_SIZE);
	PROMISE(!memcmp(memory->host + X86_COMMAND_LINE, source->command_line, length + 1));
	PROMISE(!kernel->header.cmdline_size || length <= kernel->header.cmdline_size);

	PROMISE(boot.initrd_size == (choice->kinds & KIND_INITRD ? initrd_size : 0));
	if (boot.initrd_size) {
		PROMISE(boot.initrd >= kernel->end && boot.initrd % 4096 == 0);
		PROMISE(boot.initrd + boot.initrd_size <= memory->ranges[0].size);
		PROMISE(boot.initrd + boot.initrd_size <= kernel->initrd_end);
		PROMISE(pread(initrd_fd, &last, 1, (off_t)initrd_size - 1) == 1);
		PROMISE(memory->host[boot.initrd] == 'I' || boot.initrd_size == 1);
		PROMISE(memory->host[boot.initrd + boot.initrd_size - 1] == last);
	}
	check_untouched(memory, allowed);
}

static void boot(struct monitor_memory *memory, const struct choice *choice,
		 const struct file *file)
{
	uint64_t initrd_size = (uint64_t)(choice->initrd[0] | choice->initrd[1] << 8) * INITRD_UNIT;
	size_t length = (size_t)(choice->line[0] | choice->line[1] << 8) % (LINE_MAX + 1);
	struct boot_source source = {
		.kernel_fd = choice->kinds & KIND_KERNEL_PIPE ? pipe_fd : kernel_fd,
		.kernel_name = "KERNEL",
		.firmware_fd = -1,
		.tree_fd = -1,
		.initrd_fd = -1,
		.initrd_name = "INITRD",
		.command_line = command_line + LINE_MAX - length,
		.cpus = 1 + choice->cpus % CPUS_MAX,
		.virtio_devices = choice->devices % (arch_virtio_slots + 1),
	};
	const struct allowed kernel_only[] = {{X86_HIGH_MEMORY, memory->ranges[0].size},
					      {UINT64_MAX, 0}};
	struct boot_entry entry;
	struct x86_kernel kernel;
	struct error error = {0};
	int result;

	if (choice->kinds & KIND_INITRD)
		source.initrd_fd = choice->kinds & KIND_INITRD_PIPE ? pipe_fd : initrd_fd;
	make_file(kernel_fd, file->data, file->size, file->zeroes);
	make_file(initrd_fd, "I", 1, 0);
	PROMISE(ftruncate(initrd_fd, (off_t)initrd_size) == 0);
	if (initrd_size > 1)
		PROMISE(pwrite(initrd_fd, "D", 1, (off_t)initrd_size - 1) == 1);

	result = x86_kernel_load(memory, &source, &kernel, &error);
	if (result < 0) {
		check_error(result, &error);
		check_untouched(memory, kernel_only);
		PROMISE(arch_boot_load(memory, &source, &entry, &error) == result);
		return;
	}
	check_kernel(memory, file, &kernel);
	write_garbage(memory, file);
	result = arch_boot_load(memory, &source, &entry, &error);
	check_content(memory, file, &kernel);
	if (result < 0)
		check_error(result, &error);
	else
		check_machine(memory, &source, &kernel, &entry, choice, initrd_size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct choice choice;
	struct file file;
	size_t machine;

	if (size < sizeof(choice))
		return 0;
	if (!memories[0].host)
		make_machines();
	memcpy(&choice, data, sizeof(choice));
	file = (struct file){data + sizeof(choice), size - sizeof(choice),
			     (size_t)choice.zeroes * ZEROES_UNIT};
	machine = choice.machine % (is_elf(&file) ? MACHINES_FOR_ELF : MACHINES);
	boot(&memories[machine], &choice, &file);
	forget_memory(&memories[machine]);
	return 0;
}
