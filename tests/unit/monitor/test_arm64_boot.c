// SPDX-License-Identifier: BSD-3-Clause
/*
 * Loading an arm64 kernel or firmware, and the description of the machine: valid and faulty kernel
 * files, made here, and the device tree, read back by libfdt and by dtc.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <elf.h>
#include <errno.h>
#include <libfdt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "monitor/arm64/boot.h"
#include "monitor/arm64/fdt.h"
#include "monitor/arm64/layout.h"
#include "monitor/device_tree_part.h"
#include "unit/scratch.h"

#define MIB	     (UINT64_C(1) << 20)
#define MEMORY	     (64 * MIB)
#define IMAGE_SIZE   0x10000
#define VIRTUAL_BASE UINT64_C(0xffff800008000000)

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

static void open_memory(struct machine *machine)
{
	struct memory_range ranges[MONITOR_MEMORY_RANGES];
	size_t count = arm64_memory_ranges(MEMORY, &machine->source, ranges);

	assert_int_equal(monitor_memory_open(&machine->memory, ranges, count, false, NULL), 0);
}

static int set_up(void **state)
{
	static struct machine machine;

	memset(&machine, 0, sizeof(machine));
	machine.source = (struct boot_source){
		.kernel_fd = -1,
		.kernel_name = "KERNEL",
		.firmware_fd = -1,
		.firmware_name = "FIRMWARE",
		.initrd_fd = -1,
		.initrd_name = "INITRD",
		.command_line = "console=ttyAMA0 quiet",
		.cpus = 4,
		.virtio_devices = 3,
		.variant = 3,
		.tree_fd = -1,
	};
	open_memory(&machine);
	*state = &machine;
	return 0;
}

static int tear_down(void **state)
{
	struct machine *machine = *state;
	int fds[] = {machine->source.kernel_fd, machine->source.firmware_fd,
		     machine->source.initrd_fd, machine->source.tree_fd};

	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	monitor_memory_close(&machine->memory);
	return 0;
}

static int start(struct machine *machine)
{
	return arm64_boot_load(&machine->memory, &machine->source, &machine->entry,
			       &machine->error);
}

static int load(struct machine *machine, const void *kernel, size_t size)
{
	if (machine->source.kernel_fd >= 0)
		close(machine->source.kernel_fd);
	machine->source.kernel_fd = file_of(kernel, size);
	return start(machine);
}

static void expect_refusal(struct machine *machine, const void *kernel, size_t size,
			   const char *text)
{
	assert_int_equal(load(machine, kernel, size), -EINVAL);
	assert_true(machine->error.usage);
	if (!strstr(machine->error.message, text))
		fail_msg("'%s' is not in '%s'", text, machine->error.message);
}

/* Host memory behind the guest's @address. */
static uint8_t *at(struct machine *machine, uint64_t address)
{
	return machine->memory.host + (address - ARM64_MEMORY_ADDRESS);
}

static const void *tree_of(struct machine *machine)
{
	return at(machine, ARM64_TREE_ADDRESS);
}

static uint64_t number(const void *tree, const char *path, const char *name)
{
	int length;
	const void *value = fdt_getprop(tree, fdt_path_offset(tree, path), name, &length);

	assert_non_null(value);
	assert_true(length == 4 || length == 8);
	return length == 4 ? fdt32_ld(value) : fdt64_ld(value);
}

/* An Image with the fields that a loader reads. */
static struct {
	uint32_t code[2];
	uint64_t text_offset, image_size, flags, reserved[3];
	char magic[4];
	uint32_t pe;
	uint8_t rest[IMAGE_SIZE - 64];
} image;

static void make_image(void)
{
	memset(&image, 0, sizeof(image));
	for (size_t i = 0; i < sizeof(image.rest); i++)
		image.rest[i] = (uint8_t)(i * 7);
	image.image_size = 8 * MIB;
	image.flags = 0xa;
	memcpy(image.magic, "ARM\x64", 4);
}

static void test_image(void **state)
{
	struct machine *machine = *state;

	make_image();
	assert_int_equal(load(machine, &image, sizeof(image)), 0);
	assert_int_equal(machine->entry.protocol, BOOT_ARM64);
	assert_int_equal(machine->entry.address, ARM64_KERNEL_ADDRESS);
	assert_int_equal(machine->entry.argument, ARM64_TREE_ADDRESS);
	assert_memory_equal(at(machine, ARM64_KERNEL_ADDRESS), &image, sizeof(image));
	assert_int_equal(fdt_check_header(tree_of(machine)), 0);
	/* With an EFI stub only its first instruction differs. */
	memcpy(&image, "MZ", 2);
	image.text_offset = 0x80000;
	assert_int_equal(load(machine, &image, sizeof(image)), 0);
	assert_int_equal(machine->entry.address, ARM64_KERNEL_ADDRESS + 0x80000);
	assert_memory_equal(at(machine, machine->entry.address), &image, sizeof(image));
	/* Before Linux 3.17 neither size nor offset was reliable. */
	image.text_offset = 0x123;
	image.image_size = 0;
	assert_int_equal(load(machine, &image, sizeof(image)), 0);
	assert_int_equal(machine->entry.address, ARM64_KERNEL_ADDRESS + 0x80000);
}

static void test_faulty_images(void **state)
{
	struct machine *machine = *state;

	make_image();
	expect_refusal(machine, &image, 64, "KERNEL: is truncated");
	image.image_size = MEMORY;
	expect_refusal(machine, &image, sizeof(image), "the kernel needs memory up to 67 MiB");
	image.image_size = UINT64_MAX;
	expect_refusal(machine, &image, sizeof(image), "does not fit");
	make_image();
	image.text_offset = 2 * MIB;
	expect_refusal(machine, &image, sizeof(image), "is damaged");
	make_image();
	image.flags = 1;
	expect_refusal(machine, &image, sizeof(image), "big-endian");
}

static void test_no_kernels(void **state)
{
	struct machine *machine = *state;
	uint8_t x86[4096] = {0};
	Elf64_Ehdr elf = {
		.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
		.e_machine = EM_X86_64,
	};

	expect_refusal(machine, "#!/bin/sh\n", 10, "is not a kernel");
	expect_refusal(machine, "", 0, "is not a kernel");
	expect_refusal(machine, "\x1f\x8b\x08", 3, "gunzip -c KERNEL");
	expect_refusal(machine, "MZ\0\0zimg", 9, "EFI program");
	memcpy(x86 + 0x202, "HdrS", 4);
	expect_refusal(machine, x86, sizeof(x86), "a kernel for x86; this machine is arm64");
	expect_refusal(machine, &elf, sizeof(elf), "for x86-64");
	elf.e_machine = EM_ARM;
	expect_refusal(machine, &elf, sizeof(elf), "for 32-bit Arm");
	expect_refusal(machine, &elf, 20, "is truncated");
	elf.e_machine = EM_AARCH64;
	elf.e_ident[EI_DATA] = ELFDATA2MSB;
	expect_refusal(machine, &elf, sizeof(elf), "big-endian");
}

struct elf_file {
	Elf64_Ehdr header;
	Elf64_Phdr segments[2];
	uint8_t code[256];
};

static struct elf_file make_elf(uint64_t address)
{
	struct elf_file elf = {
		.header =
			{
				.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB,
					    EV_CURRENT},
				.e_type = ET_EXEC,
				.e_machine = EM_AARCH64,
				.e_entry = address + 0x10,
				.e_phoff = offsetof(struct elf_file, segments),
				.e_phentsize = sizeof(Elf64_Phdr),
				.e_phnum = 2,
			},
		.segments =
			{
				{.p_type = PT_NOTE, .p_filesz = UINT64_MAX},
				{
					.p_type = PT_LOAD,
					.p_offset = offsetof(struct elf_file, code),
					.p_paddr = address,
					.p_vaddr = address,
					.p_filesz = sizeof(elf.code),
					.p_memsz = 0x2000,
				},
			},
	};

	memset(elf.code, 0xcc, sizeof(elf.code));
	return elf;
}

static void test_elf(void **state)
{
	struct machine *machine = *state;
	struct elf_file elf = make_elf(VIRTUAL_BASE + 0x10000);
	uint64_t place = ARM64_KERNEL_ADDRESS + 0x10000;

	/* Linux, linked for virtual addresses. Its zeroed data is cleared. */
	memset(at(machine, place), 0xff, 0x2000);
	assert_int_equal(load(machine, &elf, sizeof(elf)), 0);
	assert_int_equal(machine->entry.address, place + 0x10);
	assert_memory_equal(at(machine, place), elf.code, sizeof(elf.code));
	for (size_t i = sizeof(elf.code); i < 0x2000; i++)
		assert_int_equal(at(machine, place)[i], 0);
	/* A bare-metal program stays at its link address. */
	elf = make_elf(ARM64_MEMORY_ADDRESS + 16 * MIB);
	assert_int_equal(load(machine, &elf, sizeof(elf)), 0);
	assert_int_equal(machine->entry.address, ARM64_MEMORY_ADDRESS + 16 * MIB + 0x10);
	elf.segments[1].p_vaddr = 0;
	assert_int_equal(load(machine, &elf, sizeof(elf)), 0);
	assert_int_equal(machine->entry.address, ARM64_MEMORY_ADDRESS + 16 * MIB + 0x10);
	/* Virtual and physical addresses may differ. */
	elf.segments[1].p_vaddr = 0x1000;
	elf.header.e_entry = 0x1020;
	assert_int_equal(load(machine, &elf, sizeof(elf)), 0);
	assert_int_equal(machine->entry.address, ARM64_MEMORY_ADDRESS + 16 * MIB + 0x20);
}

/* lld and strip put the offset of an all-zero segment beyond the file's end. */
static void test_elf_with_zeros_beyond_its_end(void **state)
{
	struct machine *machine = *state;
	struct elf_file elf = make_elf(VIRTUAL_BASE);

	elf.segments[0] = (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_offset = sizeof(elf) + 0x1000,
		.p_paddr = VIRTUAL_BASE + 0x4000,
		.p_vaddr = VIRTUAL_BASE + 0x4000,
		.p_memsz = 0x3000,
	};
	memset(at(machine, ARM64_KERNEL_ADDRESS + 0x4000), 0xff, 0x3001);
	assert_int_equal(load(machine, &elf, sizeof(elf)), 0);
	for (size_t i = 0; i < 0x3000; i++)
		assert_int_equal(at(machine, ARM64_KERNEL_ADDRESS + 0x4000)[i], 0);
	assert_int_equal(*at(machine, ARM64_KERNEL_ADDRESS + 0x7000), 0xff);
	elf.segments[0].p_filesz = 1;
	expect_refusal(machine, &elf, sizeof(elf), "is truncated");
}

static void test_faulty_elf_files(void **state)
{
	struct machine *machine = *state;
	struct elf_file elf = make_elf(VIRTUAL_BASE);

	expect_refusal(machine, &elf, sizeof(elf) - 10, "is truncated");
	elf.header.e_phnum = 65;
	expect_refusal(machine, &elf, sizeof(elf), "65 segments");
	elf = make_elf(VIRTUAL_BASE);
	elf.header.e_phoff = UINT64_MAX - 8;
	expect_refusal(machine, &elf, sizeof(elf), "is truncated");
	elf = make_elf(VIRTUAL_BASE);
	elf.segments[1].p_offset = UINT64_MAX - 8;
	expect_refusal(machine, &elf, sizeof(elf), "is truncated");
	elf = make_elf(0x80000);
	expect_refusal(machine, &elf, sizeof(elf), "memory begins at 0x40000000");
	elf = make_elf(ARM64_TREE_ADDRESS);
	expect_refusal(machine, &elf, sizeof(elf), "link it higher");
	elf = make_elf(ARM64_MEMORY_ADDRESS + 2 * MEMORY);
	expect_refusal(machine, &elf, sizeof(elf), "does not fit into 64 MiB");
	elf = make_elf(VIRTUAL_BASE);
	elf.segments[1].p_memsz = MEMORY;
	expect_refusal(machine, &elf, sizeof(elf), "does not fit");
	elf = make_elf(VIRTUAL_BASE);
	elf.segments[1].p_memsz = UINT64_MAX;
	expect_refusal(machine, &elf, sizeof(elf), "is damaged");
	elf = make_elf(VIRTUAL_BASE);
	elf.segments[1].p_memsz = 10;
	expect_refusal(machine, &elf, sizeof(elf), "is damaged");
	elf = make_elf(VIRTUAL_BASE);
	elf.header.e_entry = 0x10;
	expect_refusal(machine, &elf, sizeof(elf), "outside of its segments");
	elf = make_elf(VIRTUAL_BASE);
	elf.segments[1].p_type = PT_NOTE;
	expect_refusal(machine, &elf, sizeof(elf), "outside of its segments");
}

static void test_random_kernels(void **state)
{
	struct machine *machine = *state;

	srand(11);
	for (int i = 0; i < 3000; i++) {
		struct elf_file elf = make_elf(i % 2 ? VIRTUAL_BASE : ARM64_KERNEL_ADDRESS);
		uint8_t *bytes = (uint8_t *)&elf;

		for (int j = rand() % 4; j >= 0; j--)
			bytes[(size_t)rand() % (sizeof(elf) - sizeof(elf.code))] = (uint8_t)rand();
		load(machine, &elf, sizeof(elf) - (rand() % 4 ? 0 : (size_t)rand() % 200));
		make_image();
		for (int j = rand() % 4; j >= 0; j--)
			((uint8_t *)&image)[rand() % 64] = (uint8_t)rand();
		load(machine, &image, sizeof(image));
	}
}

static void test_initrd_and_command_line(void **state)
{
	struct machine *machine = *state;
	char line[2200];
	uint64_t initrd, last;

	make_image();
	machine->source.initrd_fd = file_of("initrd", 6);
	assert_int_equal(load(machine, &image, sizeof(image)), 0);
	initrd = number(tree_of(machine), "/chosen", "linux,initrd-start");
	last = number(tree_of(machine), "/chosen", "linux,initrd-end");
	assert_int_equal(last - initrd, 6);
	assert_int_equal(initrd, ARM64_MEMORY_ADDRESS + MEMORY - 4096);
	assert_memory_equal(at(machine, initrd), "initrd", 6);
	assert_int_equal(ftruncate(machine->source.initrd_fd, 60 * MIB), 0);
	expect_refusal(machine, &image, sizeof(image), "INITRD: 62914560 bytes do not fit");
	assert_int_equal(ftruncate(machine->source.initrd_fd, 6), 0);
	memset(line, 'x', sizeof(line));
	line[2047] = 0;
	machine->source.command_line = line;
	assert_int_equal(load(machine, &image, sizeof(image)), 0);
	line[2047] = 'x';
	line[2048] = 0;
	expect_refusal(
		machine, &image, sizeof(image),
		"--append: the kernel's command line has 2048 characters, and the kernel supports 2047");
}

static void test_seeds(void **state)
{
	struct machine *machine = *state;
	uint8_t before[ARM64_TREE_SEED];
	uint64_t kaslr;
	const void *seed;
	int length, chosen;

	make_image();
	assert_int_equal(load(machine, &image, sizeof(image)), 0);
	chosen = fdt_path_offset(tree_of(machine), "/chosen");
	seed = fdt_getprop(tree_of(machine), chosen, "rng-seed", &length);
	assert_int_equal(length, sizeof(before));
	memcpy(before, seed, sizeof(before));
	kaslr = number(tree_of(machine), "/chosen", "kaslr-seed");
	/* A reset is a start like any other. */
	assert_int_equal(start(machine), 0);
	chosen = fdt_path_offset(tree_of(machine), "/chosen");
	seed = fdt_getprop(tree_of(machine), chosen, "rng-seed", &length);
	assert_memory_not_equal(before, seed, sizeof(before));
	assert_true(kaslr != number(tree_of(machine), "/chosen", "kaslr-seed"));
}

static void test_firmware(void **state)
{
	struct machine *machine = *state;
	const uint64_t code = MEMORY; /* its offset in the host's mapping: after memory */
	uint8_t firmware[5000];

	memset(firmware, 0x5a, sizeof(firmware));
	monitor_memory_close(&machine->memory);
	machine->source.firmware_fd = file_of(firmware, sizeof(firmware));
	machine->source.command_line = "";
	open_memory(machine);
	assert_int_equal(start(machine), 0);
	assert_int_equal(machine->entry.address, 0);
	assert_int_equal(machine->entry.argument, 0);
	assert_memory_equal(machine->memory.host + code, firmware, sizeof(firmware));
	assert_int_equal(fdt_check_header(tree_of(machine)), 0);
	assert_null(fdt_getprop(tree_of(machine), fdt_path_offset(tree_of(machine), "/chosen"),
				"bootargs", NULL));
	/* The next start clears what the guest wrote. */
	machine->memory.host[code + 100] = 1;
	machine->memory.host[code + 2 * MIB] = 2;
	assert_int_equal(start(machine), 0);
	assert_int_equal(machine->memory.host[code + 100], 0x5a);
	assert_int_equal(machine->memory.host[code + 2 * MIB], 0);
	assert_int_equal(ftruncate(machine->source.firmware_fd, 0), 0);
	assert_int_equal(start(machine), -EINVAL);
	assert_int_equal(ftruncate(machine->source.firmware_fd, 65 * MIB), 0);
	assert_int_equal(start(machine), -EINVAL);
	assert_non_null(strstr(machine->error.message, "FIRMWARE: has 68157440 bytes"));
}

static void test_processors_are_numbered_as_kvm_does(void **state)
{
	static uint8_t tree[ARM64_TREE_SIZE];
	struct arm64_tree machine = {.memory = MEMORY, .cpus = 20, .gic = 3, .command_line = ""};

	(void)state;
	assert_true(arm64_tree_write(tree, sizeof(tree), &machine) > 0);
	assert_int_equal(number(tree, "/cpus/cpu@0", "reg"), 0);
	assert_int_equal(number(tree, "/cpus/cpu@f", "reg"), 15);
	assert_int_equal(number(tree, "/cpus/cpu@100", "reg"), 0x100);
	assert_int_equal(number(tree, "/cpus/cpu@103", "reg"), 0x103);
	assert_true(fdt_path_offset(tree, "/cpus/cpu@104") < 0);
	/* A tree that does not fit is an error. */
	assert_int_equal(arm64_tree_write(tree, 1000, &machine), -ENOSPC);
	assert_int_equal(arm64_tree_write(tree, 16, &machine), -ENOSPC);
}

/*
 * Writes a part that a device brings along: its root has @property, and a node below with the
 * phandle @phandle, @depth nodes deep.
 */
static size_t make_part(uint8_t part[DEVICE_SHAPE_TREE_MAX], const char *property, uint32_t phandle,
			int depth)
{
	assert_int_equal(fdt_create(part, DEVICE_SHAPE_TREE_MAX), 0);
	assert_int_equal(fdt_finish_reservemap(part), 0);
	assert_int_equal(fdt_begin_node(part, ""), 0);
	assert_int_equal(fdt_property_string(part, property, "x"), 0);
	for (int i = 0; i < depth; i++)
		assert_int_equal(fdt_begin_node(part, "gpio"), 0);
	assert_int_equal(fdt_property_u32(part, "phandle", phandle), 0);
	for (int i = 0; i <= depth; i++)
		assert_int_equal(fdt_end_node(part), 0);
	assert_int_equal(fdt_finish(part), 0);
	return fdt_totalsize(part);
}

static void test_devices_bring_parts_of_the_tree(void **state)
{
	static uint8_t tree[ARM64_TREE_SIZE], part[DEVICE_SHAPE_TREE_MAX];
	const struct device_shape none = {.tree = NULL}, gpio = {.tree = part};
	const struct device_shape *const shapes[] = {&none, &gpio};
	struct arm64_tree machine = {.memory = MEMORY,
				     .cpus = 1,
				     .gic = 3,
				     .command_line = "",
				     .virtio_devices = 2,
				     .shapes = shapes};
	struct error error;
	int node;

	(void)state;
	make_part(part, "label", DEVICE_TREE_PHANDLE_MIN, 1);
	assert_int_equal(device_tree_check_part(part, sizeof(part), &error), 0);
	assert_true(arm64_tree_write(tree, sizeof(tree), &machine) > 0);
	node = fdt_node_offset_by_phandle(tree, DEVICE_TREE_PHANDLE_MIN);
	assert_true(node >= 0);
	assert_string_equal(fdt_get_name(tree, node, NULL), "gpio");
	node = fdt_parent_offset(tree, node);
	assert_non_null(fdt_getprop(tree, node, "label", NULL));
	assert_non_null(fdt_getprop(tree, node, "reg", NULL));
	/* The second device alone has it. */
	assert_int_equal(node, fdt_node_offset_by_prop_value(tree, -1, "label", "x", 2));
	assert_true(fdt_node_offset_by_prop_value(tree, node, "label", "x", 2) < 0);
}

static void test_wrong_parts_of_the_tree(void **state)
{
	static uint8_t part[DEVICE_SHAPE_TREE_MAX + 1];
	struct error error;
	size_t size;

	(void)state;
	make_part(part, "reg", DEVICE_TREE_PHANDLE_MIN, 1);
	assert_int_equal(device_tree_check_part(part, DEVICE_SHAPE_TREE_MAX, &error), -EINVAL);
	assert_non_null(strstr(error.message, "its root has 'reg'"));
	make_part(part, "label", DEVICE_TREE_PHANDLE_MIN - 1, 1);
	assert_int_equal(device_tree_check_part(part, DEVICE_SHAPE_TREE_MAX, &error), -EINVAL);
	assert_non_null(strstr(error.message, "phandle that is not from 0x100 on"));
	make_part(part, "label", DEVICE_TREE_PHANDLE_MIN, 5);
	assert_int_equal(device_tree_check_part(part, DEVICE_SHAPE_TREE_MAX, &error), -EINVAL);
	assert_non_null(strstr(error.message, "more than 4 deep"));
	assert_int_equal(device_tree_check_part(part, DEVICE_SHAPE_TREE_MAX + 1, &error), -EINVAL);
	assert_non_null(strstr(error.message, "larger than 2048 bytes"));
	size = make_part(part, "label", DEVICE_TREE_PHANDLE_MIN, 1);
	/* Cut anywhere, and with any byte changed, it is refused or harmless. */
	for (size_t i = 0; i < size; i++) {
		assert_int_equal(device_tree_check_part(part, i, &error), -EINVAL);
		part[i] ^= 0xff;
		device_tree_check_part(part, size, &error);
		part[i] ^= 0xff;
	}
	assert_int_equal(device_tree_check_part(part, size, &error), 0);
}

/* dtc decompiles each tree without a warning. */
static void test_dtc(void **state)
{
	struct machine *machine = *state;
	struct scratch scratch;
	char command[1024];
	uint8_t dumped[ARM64_TREE_SIZE];
	ssize_t size;

	if (system("command -v dtc >/dev/null") != 0)
		skip();
	scratch_make(&scratch);
	make_image();
	machine->source.initrd_fd = file_of("initrd", 6);
	machine->source.tree_fd = file_of("", 0);
	for (int i = 0; i < 4; i++) {
		machine->source.variant = i % 2 ? 2 : 3;
		machine->source.cpus = i < 2 ? 1 : i % 2 ? 8 : 32;
		machine->source.virtio_devices = i < 2 ? 0 : ARM64_VIRTIO_SLOTS;
		assert_int_equal(load(machine, &image, sizeof(image)), 0);
		size = pread(machine->source.tree_fd, dumped, sizeof(dumped), 0);
		assert_int_equal(size, fdt_totalsize(tree_of(machine)));
		assert_memory_equal(dumped, tree_of(machine), (size_t)size);
		scratch_write(&scratch, "tree.dtb", dumped, (size_t)size);
		snprintf(command, sizeof(command),
			 "cd '%s' && dtc -I dtb -O dts -o tree.dts tree.dtb >log 2>&1; "
			 "test $? = 0 -a ! -s log || { cat log; exit 1; }",
			 scratch_path(&scratch, "."));
		if (system(command) != 0)
			fail_msg("dtc objects to tree %d", i);
	}
	snprintf(command, sizeof(command), "rm -f '%s'/*", scratch_path(&scratch, "."));
	assert_int_equal(system(command), 0);
	scratch_remove(&scratch);
}

static void test_places_do_not_overlap(void **state)
{
	struct virtio_slot last = arm64_virtio_slot(ARM64_VIRTIO_SLOTS - 1);

	(void)state;
	assert_true(last.address + VIRTIO_SLOT_SIZE <= ARM64_MEMORY_ADDRESS);
	assert_true(last.irq + ARM64_FIRST_SPI < ARM64_INTERRUPTS);
	assert_true(ARM64_GIC_REDISTRIBUTORS + 32 * ARM64_GIC_REDISTRIBUTOR_SIZE <=
		    ARM64_UART_ADDRESS);
	assert_true(ARM64_GIC_CPU + ARM64_GIC_CPU_SIZE <= ARM64_GIC_REDISTRIBUTORS);
	assert_true(ARM64_WATCHDOG_SPI < ARM64_VIRTIO_SPI && ARM64_GPIO_SPI < ARM64_VIRTIO_SPI);
}

int main(void)
{
#define MACHINE_TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
	const struct CMUnitTest tests[] = {
		MACHINE_TEST(test_image),
		MACHINE_TEST(test_faulty_images),
		MACHINE_TEST(test_no_kernels),
		MACHINE_TEST(test_elf),
		MACHINE_TEST(test_elf_with_zeros_beyond_its_end),
		MACHINE_TEST(test_faulty_elf_files),
		MACHINE_TEST(test_random_kernels),
		MACHINE_TEST(test_initrd_and_command_line),
		MACHINE_TEST(test_seeds),
		MACHINE_TEST(test_firmware),
		cmocka_unit_test(test_processors_are_numbered_as_kvm_does),
		cmocka_unit_test(test_devices_bring_parts_of_the_tree),
		cmocka_unit_test(test_wrong_parts_of_the_tree),
		MACHINE_TEST(test_dtc),
		cmocka_unit_test(test_places_do_not_overlap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
