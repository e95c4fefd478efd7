// SPDX-License-Identifier: BSD-3-Clause
/*
 * Fuzz target of kernel files for arm64 machines. The first bytes of an input select the machine;
 * the rest is the file, extended by a number of zero pages. A loaded kernel must be in memory above
 * the device tree, which must be complete in any case.
 */
#include <errno.h>
#include <fcntl.h>
#include <libfdt.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/log.h"
#include "monitor/arm64/boot.h"
#include "monitor/arm64/fdt.h"
#include "monitor/arm64/layout.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MIB	    (UINT64_C(1) << 20)
#define MEMORY	    (16 * MIB)
#define ZEROES_UNIT 4096

#define KIND_INITRD 1
#define KIND_GICV2  2

struct choice {
	uint8_t kinds;	/* KIND_* */
	uint8_t initrd; /* in pages */
	uint8_t cpus, devices;
	uint8_t zeroes; /* in ZEROES_UNIT: zeroes appended to the kernel's file */
};

static struct monitor_memory memory;
static int kernel_fd, initrd_fd;

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void make_machine(void)
{
	const struct memory_range range = {ARM64_MEMORY_ADDRESS, MEMORY};

	log_set_level(LOG_ERROR);
	require(monitor_memory_open(&memory, &range, 1, false, NULL) == 0);
	kernel_fd = memfd_create("kernel", MFD_CLOEXEC);
	initrd_fd = memfd_create("initrd", MFD_CLOEXEC);
	require(kernel_fd >= 0 && initrd_fd >= 0);
}

static void check_error(int result, const struct error *error)
{
	require(result == -EINVAL && error->usage && error->message[0]);
	for (const char *letter = error->message; *letter; letter++)
		require((unsigned char)*letter >= 0x20 && *letter != 0x7f);
}

static uint64_t chosen(const void *tree, const char *name)
{
	int length;
	const void *value = fdt_getprop(tree, fdt_path_offset(tree, "/chosen"), name, &length);

	require(value && length == 8);
	return fdt64_ld(value);
}

static void check_machine(const struct boot_entry *entry, uint64_t initrd)
{
	const void *tree = memory.host;
	uint64_t end = ARM64_MEMORY_ADDRESS + MEMORY;

	require(entry->protocol == BOOT_ARM64 && entry->argument == ARM64_TREE_ADDRESS);
	require(entry->address >= ARM64_TREE_ADDRESS + ARM64_TREE_SIZE && entry->address < end);
	require(fdt_check_header(tree) == 0 && fdt_totalsize(tree) <= ARM64_TREE_SIZE);
	if (!initrd)
		return;
	require(chosen(tree, "linux,initrd-end") - chosen(tree, "linux,initrd-start") == initrd);
	require(chosen(tree, "linux,initrd-start") > ARM64_TREE_ADDRESS + ARM64_TREE_SIZE);
	require(chosen(tree, "linux,initrd-end") <= end);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct choice choice;
	struct boot_source source = {
		.kernel_name = "KERNEL",
		.firmware_fd = -1,
		.initrd_fd = -1,
		.initrd_name = "INITRD",
		.command_line = "console=ttyAMA0",
		.tree_fd = -1,
	};
	struct boot_entry entry;
	struct error error = {0};
	uint64_t initrd = 0;
	int result;

	if (size < sizeof(choice))
		return 0;
	if (!memory.host)
		make_machine();
	memcpy(&choice, data, sizeof(choice));
	data += sizeof(choice);
	size -= sizeof(choice);
	require(ftruncate(kernel_fd, 0) == 0 && pwrite(kernel_fd, data, size, 0) == (ssize_t)size &&
		ftruncate(kernel_fd, (off_t)(size + choice.zeroes * ZEROES_UNIT)) == 0);
	source.kernel_fd = kernel_fd;
	source.cpus = 1 + choice.cpus % 32;
	source.virtio_devices = choice.devices % (ARM64_VIRTIO_SLOTS + 1);
	source.variant = choice.kinds & KIND_GICV2 ? 2 : 3;
	if (source.variant == 2)
		source.cpus = 1 + choice.cpus % 8;
	if (choice.kinds & KIND_INITRD) {
		initrd = (uint64_t)choice.initrd * ZEROES_UNIT;
		require(ftruncate(initrd_fd, (off_t)initrd) == 0);
		source.initrd_fd = initrd_fd;
	}
	result = arm64_boot_load(&memory, &source, &entry, &error);
	if (result < 0)
		check_error(result, &error);
	else
		check_machine(&entry, initrd);
	require(fallocate(memory.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			  (off_t)memory.size) == 0);
	return 0;
}
