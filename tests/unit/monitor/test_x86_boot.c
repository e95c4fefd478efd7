// SPDX-License-Identifier: BSD-3-Clause
/*
 * Loading an x86 kernel, and the description of the machine: valid and faulty kernel files, made
 * here; CPUID; and the ACPI tables, read back by iasl.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <asm/bootparam.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "monitor/boot.h"
#include "monitor/x86/acpi.h"
#include "monitor/x86/cpuid.h"
#include "monitor/x86/layout.h"
#include "unit/scratch.h"

#define MIB	     (UINT64_C(1) << 20)
#define MEMORY	     (64 * MIB)
#define LOAD_ADDRESS 0x1000000
#define PAYLOAD_SIZE 0x10000
#define SETUP_SIZE   (5 * 512)

struct machine {
	struct monitor_memory memory;
	struct boot_source source;
	struct boot_entry entry;
	struct error error;
};

static int file_of(const void *data, size_t size)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, size, 0), size);
	return fd;
}

static int set_up(void **state)
{
	static struct machine machine;
	struct memory_range ranges[MONITOR_MEMORY_RANGES];
	size_t count = arch_memory_ranges(MEMORY, NULL, ranges);

	memset(&machine, 0, sizeof(machine));
	assert_int_equal(monitor_memory_open(&machine.memory, ranges, count, false, NULL), 0);
	machine.source = (struct boot_source){
		.kernel_fd = -1,
		.kernel_name = "KERNEL",
		.firmware_fd = -1,
		.tree_fd = -1,
		.initrd_fd = -1,
		.initrd_name = "INITRD",
		.command_line = "console=ttyS0 quiet",
		.cpus = 4,
		.virtio_devices = 3,
	};
	*state = &machine;
	return 0;
}

static int tear_down(void **state)
{
	struct machine *machine = *state;

	if (machine->source.kernel_fd >= 0)
		close(machine->source.kernel_fd);
	if (machine->source.initrd_fd >= 0)
		close(machine->source.initrd_fd);
	monitor_memory_close(&machine->memory);
	return 0;
}

static int load(struct machine *machine, const void *kernel, size_t size)
{
	if (machine->source.kernel_fd >= 0)
		close(machine->source.kernel_fd);
	machine->source.kernel_fd = file_of(kernel, size);
	return arch_boot_load(&machine->memory, &machine->source, &machine->entry, &machine->error);
}

static void expect_refusal(struct machine *machine, const void *kernel, size_t size,
			   const char *text)
{
	assert_int_equal(load(machine, kernel, size), -EINVAL);
	assert_true(machine->error.usage);
	if (!strstr(machine->error.message, text))
		fail_msg("'%s' is not in '%s'", text, machine->error.message);
}

/* A bzImage with the fields that a loader reads. */
static uint8_t bzimage[SETUP_SIZE + PAYLOAD_SIZE];

static struct setup_header *make_bzimage(void)
{
	struct setup_header *header = (struct setup_header *)(bzimage + 0x1f1);

	for (size_t i = 0; i < sizeof(bzimage); i++)
		bzimage[i] = (uint8_t)(i * 7);
	memset(bzimage, 0, SETUP_SIZE);
	bzimage[0x200] = 0xeb;
	bzimage[0x201] = 0x6a;
	header->setup_sects = 4;
	header->boot_flag = 0xaa55;
	header->header = 0x53726448;
	header->version = 0x20f;
	header->xloadflags = XLF_KERNEL_64;
	header->syssize = PAYLOAD_SIZE / 16;
	header->pref_address = LOAD_ADDRESS;
	header->init_size = 0x800000;
	header->initrd_addr_max = 0x7fffffff;
	header->cmdline_size = 2047;
	return header;
}

static void test_bzimage(void **state)
{
	struct machine *machine = *state;
	const struct boot_params *params;
	uint8_t initrd[5000];

	make_bzimage();
	memset(initrd, 0x5a, sizeof(initrd));
	machine->source.initrd_fd = file_of(initrd, sizeof(initrd));
	assert_int_equal(load(machine, bzimage, sizeof(bzimage)), 0);
	assert_int_equal(machine->entry.protocol, BOOT_LINUX64);
	assert_int_equal(machine->entry.address, LOAD_ADDRESS + 0x200);
	assert_memory_equal(machine->memory.host + LOAD_ADDRESS, bzimage + SETUP_SIZE,
			    PAYLOAD_SIZE);

	params = (const struct boot_params *)(machine->memory.host + machine->entry.argument);
	assert_int_equal(params->hdr.header, 0x53726448);
	assert_int_equal(params->hdr.type_of_loader, 0xff);
	assert_string_equal((char *)machine->memory.host + params->hdr.cmd_line_ptr,
			    "console=ttyS0 quiet");
	assert_int_equal(params->hdr.ramdisk_size, sizeof(initrd));
	assert_int_equal(params->hdr.ramdisk_image % 4096, 0);
	assert_true(params->hdr.ramdisk_image + sizeof(initrd) <= MEMORY);
	assert_memory_equal(machine->memory.host + params->hdr.ramdisk_image, initrd,
			    sizeof(initrd));
	assert_memory_equal(machine->memory.host + params->acpi_rsdp_addr, "RSD PTR ", 8);
	assert_int_equal(params->e820_entries, 3);
	assert_int_equal(params->e820_table[2].addr, MIB);
	assert_int_equal(params->e820_table[2].size, MEMORY - MIB);
	assert_int_equal(params->e820_table[2].type, 1);
}

static void test_memory_around_the_hole(void **state)
{
	struct memory_range ranges[MONITOR_MEMORY_RANGES];

	(void)state;
	assert_int_equal(arch_memory_ranges(3072 * MIB, NULL, ranges), 1);
	assert_int_equal(arch_memory_ranges(6144 * MIB, NULL, ranges), 2);
	assert_int_equal(ranges[0].size, 3072 * MIB);
	assert_int_equal(ranges[1].address, UINT64_C(1) << 32);
	assert_int_equal(ranges[1].size, 3072 * MIB);
	/* No slot or controller overlaps memory, and each slot has its own interrupt. */
	for (unsigned int i = 0; i < arch_virtio_slots; i++) {
		struct virtio_slot slot = arch_virtio_slot(i);

		assert_true(slot.address >= ranges[0].size);
		assert_true(slot.irq < X86_IOAPIC_PINS && slot.irq != X86_SERIAL_PIN &&
			    slot.irq != X86_POWER_PIN);
		/* Linux takes these for the timer and for a second PIC. */
		assert_true(slot.irq != 0 && slot.irq != 2);
		for (unsigned int j = 0; j < i; j++)
			assert_int_not_equal(slot.irq, arch_virtio_slot(j).irq);
	}
}

static void test_faulty_bzimages(void **state)
{
	struct machine *machine = *state;
	struct setup_header *header = make_bzimage();

	expect_refusal(machine, bzimage, sizeof(bzimage) - 100, "KERNEL: is truncated");
	expect_refusal(machine, bzimage, SETUP_SIZE - 1, "is truncated");
	expect_refusal(machine, bzimage, 700, "is truncated");
	header->xloadflags = 0;
	expect_refusal(machine, bzimage, sizeof(bzimage), "without the 64-bit boot protocol");
	header = make_bzimage();
	header->init_size = 63 * MIB;
	expect_refusal(machine, bzimage, sizeof(bzimage), "give more");
	header = make_bzimage();
	header->pref_address = UINT64_MAX - 0x1000;
	expect_refusal(machine, bzimage, sizeof(bzimage), "does not fit");
	header->pref_address = 0x1000;
	expect_refusal(machine, bzimage, sizeof(bzimage), "does not fit");
	header = make_bzimage();
	header->syssize = UINT32_MAX;
	expect_refusal(machine, bzimage, sizeof(bzimage), "is truncated");
	header->syssize = 0;
	expect_refusal(machine, bzimage, sizeof(bzimage), "is truncated");
}

static void test_no_kernels(void **state)
{
	struct machine *machine = *state;
	uint8_t arm64[4096] = {0};
	Elf64_Ehdr elf = {
		.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		.e_machine = EM_AARCH64,
	};

	expect_refusal(machine, "#!/bin/sh\n", 10, "is not a kernel");
	expect_refusal(machine, "", 0, "is not a kernel");
	memcpy(arm64 + 56, "ARM\x64", 4);
	expect_refusal(machine, arm64, sizeof(arm64), "for arm64");
	expect_refusal(machine, &elf, sizeof(elf), "for arm64");
	elf.e_machine = EM_386;
	expect_refusal(machine, &elf, sizeof(elf), "for 32-bit x86");
	expect_refusal(machine, &elf, 20, "is truncated");
}

struct elf_file {
	Elf64_Ehdr header;
	Elf64_Phdr segments[2];
	struct {
		Elf64_Nhdr head;
		char name[4];
		uint32_t entry;
	} note;
	uint8_t code[256];
};

static struct elf_file make_elf(void)
{
	struct elf_file elf = {
		.header =
			{
				.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB,
					    EV_CURRENT},
				.e_type = ET_EXEC,
				.e_machine = EM_X86_64,
				.e_entry = 0x200010,
				.e_phoff = offsetof(struct elf_file, segments),
				.e_phentsize = sizeof(Elf64_Phdr),
				.e_phnum = 2,
			},
		.segments =
			{
				{
					.p_type = PT_LOAD,
					.p_offset = offsetof(struct elf_file, code),
					.p_paddr = 0x200000,
					.p_vaddr = 0x200000,
					.p_filesz = sizeof(elf.code),
					.p_memsz = 0x2000,
				},
				{
					.p_type = PT_NOTE,
					.p_offset = offsetof(struct elf_file, note),
					.p_filesz = sizeof(elf.note),
				},
			},
		.note = {{4, 4, 18}, "Xen", 0x200020},
	};

	memset(elf.code, 0xcc, sizeof(elf.code));
	return elf;
}

static void test_elf(void **state)
{
	struct machine *machine = *state;
	struct elf_file elf = make_elf();
	uint32_t magic;

	/* Data of the last guest where this kernel needs zeros. */
	memset(machine->memory.host + 0x200000, 0xff, 0x2000);
	assert_int_equal(load(machine, &elf, sizeof(elf)), 0);
	assert_int_equal(machine->entry.protocol, BOOT_PVH);
	assert_int_equal(machine->entry.address, 0x200020);
	memcpy(&magic, machine->memory.host + machine->entry.argument, 4);
	assert_int_equal(magic, 0x336ec578);
	assert_memory_equal(machine->memory.host + 0x200000, elf.code, sizeof(elf.code));
	for (size_t i = sizeof(elf.code); i < 0x2000; i++)
		assert_int_equal(machine->memory.host[0x200000 + i], 0);

	/* Without the note it starts at its entry, which may be a virtual address. */
	elf.note.head.n_type = 1;
	assert_int_equal(load(machine, &elf, sizeof(elf)), 0);
	assert_int_equal(machine->entry.protocol, BOOT_LINUX64);
	assert_int_equal(machine->entry.address, 0x200010);
	elf.segments[0].p_vaddr = 0xffffffff80200000;
	elf.header.e_entry = 0xffffffff80200018;
	assert_int_equal(load(machine, &elf, sizeof(elf)), 0);
	assert_int_equal(machine->entry.address, 0x200018);
}

/* lld and strip put the offset of an all-zero segment beyond the file's end. */
static void test_elf_with_zeros_beyond_its_end(void **state)
{
	struct machine *machine = *state;
	struct {
		struct elf_file file;
		Elf64_Phdr segments[4];
	} elf = {.file = make_elf()};

	elf.file.header.e_phoff = offsetof(__typeof__(elf), segments);
	elf.file.header.e_phnum = 4;
	memcpy(elf.segments, elf.file.segments, sizeof(elf.file.segments));
	elf.segments[2] = (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_offset = sizeof(elf) + 0x1000,
		.p_paddr = 0x300000,
		.p_vaddr = 0x300000,
		.p_memsz = 0x3000,
	};
	elf.segments[3] = (Elf64_Phdr){.p_type = PT_NOTE, .p_offset = sizeof(elf) + 0x1000};
	memset(machine->memory.host + 0x300000, 0xff, 0x3001);
	assert_int_equal(load(machine, &elf, sizeof(elf)), 0);
	assert_int_equal(machine->entry.address, 0x200020);
	for (size_t i = 0; i < 0x3000; i++)
		assert_int_equal(machine->memory.host[0x300000 + i], 0);
	assert_int_equal(machine->memory.host[0x303000], 0xff);
	/* With a byte in the file, it is out of range. */
	elf.segments[2].p_filesz = 1;
	expect_refusal(machine, &elf, sizeof(elf), "is truncated");
}

/* Notes as linkers lay them out. */
struct notes {
	uint8_t bytes[256];
	size_t size;
};

static void put(struct notes *notes, const void *bytes, size_t size, size_t alignment)
{
	memcpy(notes->bytes + notes->size, bytes, size);
	notes->size += size;
	notes->size += -notes->size % alignment;
}

/* A note whose value and end are aligned. */
static void put_note(struct notes *notes, const char *name, uint32_t type, const void *value,
		     uint32_t size, size_t alignment)
{
	const Elf64_Nhdr head = {(uint32_t)strlen(name) + 1, size, type};

	put(notes, &head, sizeof(head), 1);
	put(notes, name, head.n_namesz, alignment);
	put(notes, value, size, alignment);
}

static void test_pvh_notes(void **state)
{
	struct machine *machine = *state;
	static const uint8_t build_id[20] = {1, 2, 3}, property[16] = {4, 5, 6};
	const uint64_t entry = 0x200020;
	struct notes rows[9] = {0};
	uint64_t alignments[] = {4, 4, 4, 8, 8, 8, 8, 4, 8};

	/* Alone, with both lengths of its value, after a note not a multiple of 8 long. */
	put_note(&rows[0], "Xen", 18, &entry, 4, 4);
	put_note(&rows[1], "Xen", 18, &entry, 8, 4);
	put_note(&rows[2], "GNU", 3, build_id, sizeof(build_id), 4);
	put_note(&rows[2], "Xen", 18, &entry, 4, 4);
	/* A segment with alignment 8, because one of its notes has it. */
	put_note(&rows[3], "GNU", 5, property, sizeof(property), 8);
	put_note(&rows[3], "Xen", 18, &entry, 8, 8);
	put_note(&rows[4], "GNU", 3, build_id, sizeof(build_id), 8);
	put_note(&rows[4], "Xen", 18, &entry, 4, 8);
	put_note(&rows[5], "Linux", 257, build_id, 4, 8);
	put_note(&rows[5], "Xen", 18, &entry, 4, 8);
	/* But the others have alignment 4. */
	put_note(&rows[6], "GNU", 5, property, sizeof(property), 8);
	put_note(&rows[6], "GNU", 3, build_id, sizeof(build_id), 4);
	put_note(&rows[6], "Xen", 18, &entry, 4, 4);
	put_note(&rows[7], "Linux", 257, build_id, 4, 4);
	put_note(&rows[7], "Xen", 18, &entry, 4, 4);
	/* Padding that reads as a note without name and value. */
	put(&rows[8], (uint8_t[16]){0}, 16, 8);
	put_note(&rows[8], "Xen", 18, &entry, 4, 8);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct {
			struct elf_file file;
			uint8_t notes[256];
		} elf = {.file = make_elf()};

		memcpy(elf.notes, rows[i].bytes, sizeof(elf.notes));
		elf.file.segments[1].p_offset = offsetof(__typeof__(elf), notes);
		elf.file.segments[1].p_filesz = rows[i].size;
		elf.file.segments[1].p_align = alignments[i];
		assert_int_equal(load(machine, &elf, sizeof(elf)), 0);
		if (machine->entry.protocol != BOOT_PVH || machine->entry.address != entry)
			fail_msg("notes %zu: entry at %#lx", i,
				 (unsigned long)machine->entry.address);
	}
}

static void test_faulty_elf_files(void **state)
{
	struct machine *machine = *state;
	struct elf_file elf = make_elf();

	expect_refusal(machine, &elf, sizeof(elf) - 10, "is truncated");
	elf.header.e_phnum = 65;
	expect_refusal(machine, &elf, sizeof(elf), "65 segments");
	elf = make_elf();
	elf.header.e_phoff = UINT64_MAX - 8;
	expect_refusal(machine, &elf, sizeof(elf), "is truncated");
	elf = make_elf();
	elf.segments[0].p_offset = UINT64_MAX - 8;
	expect_refusal(machine, &elf, sizeof(elf), "is truncated");
	elf = make_elf();
	elf.segments[0].p_paddr = 0x9000;
	expect_refusal(machine, &elf, sizeof(elf), "below 1 MiB");
	elf = make_elf();
	elf.segments[0].p_paddr = UINT64_MAX - 0x100;
	expect_refusal(machine, &elf, sizeof(elf), "is damaged");
	elf = make_elf();
	elf.segments[0].p_memsz = MEMORY;
	expect_refusal(machine, &elf, sizeof(elf), "does not fit");
	elf = make_elf();
	elf.segments[0].p_memsz = 10;
	expect_refusal(machine, &elf, sizeof(elf), "is damaged");
	elf = make_elf();
	elf.note.entry = 0x10;
	expect_refusal(machine, &elf, sizeof(elf), "outside of its segments");
	/* A note longer than its segment is ignored. */
	elf = make_elf();
	elf.note.head.n_descsz = UINT32_MAX;
	assert_int_equal(load(machine, &elf, sizeof(elf)), 0);
	assert_int_equal(machine->entry.protocol, BOOT_LINUX64);
}

static void test_random_kernels(void **state)
{
	struct machine *machine = *state;

	srand(11);
	for (int i = 0; i < 3000; i++) {
		struct elf_file elf = make_elf();
		uint8_t *bytes = (uint8_t *)&elf;

		for (int j = rand() % 4; j >= 0; j--)
			bytes[(size_t)rand() % (sizeof(elf) - sizeof(elf.code))] = (uint8_t)rand();
		load(machine, &elf, sizeof(elf) - (rand() % 4 ? 0 : (size_t)rand() % 200));
		make_bzimage();
		for (int j = rand() % 4; j >= 0; j--)
			bzimage[0x1f1 + rand() % 0x80] = (uint8_t)rand();
		load(machine, bzimage, sizeof(bzimage));
	}
}

static void test_initrd_and_command_line(void **state)
{
	struct machine *machine = *state;
	struct elf_file elf = make_elf();
	char line[4200];

	make_bzimage();
	machine->source.initrd_fd = memfd_create("initrd", MFD_CLOEXEC);
	assert_int_equal(ftruncate(machine->source.initrd_fd, 60 * MIB), 0);
	expect_refusal(machine, bzimage, sizeof(bzimage), "INITRD: 62914560 bytes do not fit");
	close(machine->source.initrd_fd);
	machine->source.initrd_fd = -1;
	memset(line, 'x', sizeof(line));
	line[2048] = 0;
	machine->source.command_line = line;
	expect_refusal(
		machine, bzimage, sizeof(bzimage),
		"--append: the kernel's command line has 2048 characters, and the kernel supports 2047");
	/* An ELF file has no limit. */
	expect_refusal(
		machine, &elf, sizeof(elf),
		"--append: the kernel's command line has 2048 characters, and the kernel supports 2047");
	line[2047] = 0;
	assert_int_equal(load(machine, &elf, sizeof(elf)), 0);
	assert_string_equal((char *)machine->memory.host + X86_COMMAND_LINE, line);
}

static void test_cpuid(void **state)
{
	struct kvm_cpuid2 *cpuid =
		calloc(1, sizeof(*cpuid) + CPUID_ENTRIES_MAX * sizeof(cpuid->entries[0]));
	struct kvm_cpuid_entry2 *entries = cpuid->entries;

	(void)state;
	cpuid->nent = 4;
	entries[0] = (struct kvm_cpuid_entry2){.function = 1, .ebx = 0xff0812ab, .ecx = 1u << 27};
	entries[1] = (struct kvm_cpuid_entry2){.function = 0xb, .index = 1};
	entries[2] = (struct kvm_cpuid_entry2){.function = 4, .index = 3, .eax = 0x163};
	entries[3] = (struct kvm_cpuid_entry2){.function = 0x80000008, .ecx = 0x50ff};
	for (uint32_t i = 0; i < 6; i++) {
		cpuid_set_processor(cpuid, i, 6);
		assert_int_equal(entries[0].ebx, i << 24 | 6 << 16 | 0x12ab);
		assert_int_equal(entries[0].ecx, 1u << 31 | 1u << 24 | 1u << 21);
		assert_int_equal(entries[1].eax, 3); /* bits for six */
		assert_int_equal(entries[1].ebx, 6);
		assert_int_equal(entries[1].ecx, 0x201);
		assert_int_equal(entries[1].edx, i);
		assert_int_equal(entries[2].eax >> 26, 5);
		assert_int_equal(entries[2].eax >> 14 & 0xfff, 5);
		assert_int_equal(entries[3].ecx, 3 << 12 | 5);
	}
	free(cpuid);
}

/* AMD has a bit that says whether logical CPUs are cores or threads. */
static void test_cpuid_of_vendors(void **state)
{
	static const struct {
		char name[13]; /* ebx, edx, ecx */
		bool amd;
	} vendors[] = {{"AuthenticAMD", true}, {"HygonGenuine", true}, {"GenuineIntel", false}};
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + 2 * sizeof(cpuid->entries[0]));
	struct kvm_cpuid_entry2 *entries = cpuid->entries;

	(void)state;
	cpuid->nent = 2;
	for (size_t i = 0; i < sizeof(vendors) / sizeof(vendors[0]); i++) {
		entries[0] = (struct kvm_cpuid_entry2){.function = 0};
		memcpy(&entries[0].ebx, vendors[i].name, 4);
		memcpy(&entries[0].edx, vendors[i].name + 4, 4);
		memcpy(&entries[0].ecx, vendors[i].name + 8, 4);
		entries[1] = (struct kvm_cpuid_entry2){.function = 0x80000001, .ecx = 0x101};
		cpuid_set_processor(cpuid, 1, 2);
		assert_int_equal(entries[1].ecx, vendors[i].amd ? 0x103 : 0x101);
		cpuid_set_processor(cpuid, 0, 1);
		assert_int_equal(entries[1].ecx, 0x101);
	}
	free(cpuid);
}

/* The flags of the extended interrupt descriptor for @pin, in the only table that has one. */
static uint8_t interrupt_flags(const uint8_t *tables, size_t size, uint8_t pin)
{
	const uint8_t *found = NULL;

	for (size_t i = 0; i + 9 <= size; i++)
		if (!memcmp(tables + i, "\x89\x06", 3) && tables[i + 4] == 1 &&
		    !memcmp(tables + i + 5, (uint8_t[]){pin, 0, 0, 0}, 4)) {
			assert_null(found);
			found = tables + i;
		}
	assert_non_null(found);
	return found[3];
}

static void test_interrupt_triggers(void **state)
{
	static uint8_t tables[X86_ACPI_SIZE];
	int size = acpi_write_tables(tables, sizeof(tables), X86_ACPI_ADDRESS, 1, 2);

	(void)state;
	assert_true(size > 0);
	/* ACPI 6.5, 6.4.3.6: consumer, active high, exclusive; bit 1: edge. */
	assert_int_equal(interrupt_flags(tables, size, X86_POWER_PIN), 0x1);
	assert_int_equal(interrupt_flags(tables, size, X86_SERIAL_PIN), 0x1);
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(interrupt_flags(tables, size, (uint8_t)arch_virtio_slot(i).irq),
				 0x3);
}

/* iasl disassembles and reassembles each table without a warning. */
static void test_acpi_tables(void **state)
{
	static uint8_t tables[X86_ACPI_SIZE];
	struct scratch scratch;
	char command[1024];
	int size;

	(void)state;
	if (system("command -v iasl >/dev/null") != 0)
		skip();
	scratch_make(&scratch);
	for (uint32_t cpus = 1; cpus <= 32; cpus *= 32) {
		size = acpi_write_tables(tables, sizeof(tables), X86_ACPI_ADDRESS, cpus,
					 cpus == 1 ? 0 : arch_virtio_slots);
		assert_true(size > 0);
		for (uint32_t place = 48, length; place < (uint32_t)size;
		     place = (place + length + 15) & ~15u) {
			uint8_t sum = 0;

			memcpy(&length, tables + place + 4, 4);
			assert_true(length >= 36 && place + length <= (uint32_t)size);
			for (uint32_t i = 0; i < length; i++)
				sum += tables[place + i];
			assert_int_equal(sum, 0);
			scratch_write(&scratch, "table.dat", tables + place, length);
			snprintf(
				command, sizeof(command),
				"cd '%s' && rm -f table.dsl table.aml && "
				"iasl -d table.dat >log 2>&1 && iasl table.dsl >>log 2>&1 && "
				"! grep -iE 'warning +[0-9]|error +[0-9]|invalid|could not' log && "
				"grep -q ' 0 Errors, 0 Warnings' log",
				scratch_path(&scratch, "."));
			if (system(command) != 0)
				fail_msg("iasl objects to table %.4s", tables + place);
		}
	}
	/* Tables that do not fit are an error. */
	assert_int_equal(acpi_write_tables(tables, 1000, X86_ACPI_ADDRESS, 32, 20), -ENOSPC);
	snprintf(command, sizeof(command), "rm -f '%s'/*", scratch_path(&scratch, "."));
	assert_int_equal(system(command), 0);
	scratch_remove(&scratch);
}

int main(void)
{
#define MACHINE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		MACHINE_TEST(test_bzimage),
		cmocka_unit_test(test_memory_around_the_hole),
		MACHINE_TEST(test_faulty_bzimages),
		MACHINE_TEST(test_no_kernels),
		MACHINE_TEST(test_elf),
		MACHINE_TEST(test_elf_with_zeros_beyond_its_end),
		MACHINE_TEST(test_pvh_notes),
		MACHINE_TEST(test_faulty_elf_files),
		MACHINE_TEST(test_random_kernels),
		MACHINE_TEST(test_initrd_and_command_line),
		cmocka_unit_test(test_cpuid),
		cmocka_unit_test(test_cpuid_of_vendors),
		cmocka_unit_test(test_interrupt_triggers),
		cmocka_unit_test(test_acpi_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
