// SPDX-License-Identifier: BSD-3-Clause
/*
 * Starts a kernel on an arm64 machine (Linux, Documentation/arch/arm64/booting.rst), or firmware,
 * which finds a kernel itself. The device tree is at the start of memory.
 */
#include "monitor/arm64/boot.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "monitor/arm64/fdt.h"
#include "monitor/arm64/image.h"
#include "monitor/arm64/layout.h"
#include "monitor/boot_file.h"

/* The size in Linux (arch/arm64/include/uapi/asm/setup.h), with the terminating zero. */
#define COMMAND_LINE_SIZE 2048

struct virtio_slot arm64_virtio_slot(unsigned int index)
{
	return (struct virtio_slot){
		.address = ARM64_VIRTIO_ADDRESS + (uint64_t)index * VIRTIO_SLOT_SIZE,
		.irq = ARM64_VIRTIO_SPI + index,
	};
}

size_t arm64_memory_ranges(uint64_t size, const struct boot_source *source,
			   struct memory_range ranges[MONITOR_MEMORY_RANGES])
{
	ranges[0] = (struct memory_range){ARM64_MEMORY_ADDRESS, size};
	ranges[1] = (struct memory_range){ARM64_FIRMWARE_ADDRESS, ARM64_FIRMWARE_SIZE};
	return source->firmware_fd >= 0 ? 2 : 1;
}

static int load_firmware(struct monitor_memory *memory, const struct boot_source *source,
			 struct boot_entry *entry, struct error *error)
{
	struct boot_file file;
	uint8_t *host;
	int result = boot_file_open(&file, source->firmware_fd, source->firmware_name,
				    "firmware, such as /usr/lib/u-boot/qemu_arm64/u-boot.bin",
				    error);

	if (result < 0)
		return result;
	if (file.size == 0 || file.size > ARM64_FIRMWARE_CODE_SIZE)
		return error_set_usage(error,
				       "%s: has %" PRIu64 " bytes; firmware has 1 to %" PRIu64
				       ": give such a file",
				       file.name, file.size, ARM64_FIRMWARE_CODE_SIZE);
	/* Clear all of it: the guest before the reset may have written behind the file's end. */
	if (guest_memory_translate_all(&memory->guest, guest_addr(ARM64_FIRMWARE_ADDRESS),
				       ARM64_FIRMWARE_SIZE, GUEST_MEMORY_WRITE,
				       (void **)&host) < 0 ||
	    fallocate(memory->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, host - memory->host,
		      (off_t)ARM64_FIRMWARE_SIZE) < 0)
		return error_set_errno(error, errno, "cannot clear the firmware's memory");
	*entry = (struct boot_entry){BOOT_ARM64, ARM64_FIRMWARE_ADDRESS, 0};
	return boot_file_load(memory, &file, 0, ARM64_FIRMWARE_ADDRESS, file.size, file.size,
			      error);
}

static int load_kernel(struct monitor_memory *memory, const struct boot_source *source,
		       struct arm64_tree *tree, struct boot_entry *entry, struct error *error)
{
	uint64_t end = memory->ranges[0].address + memory->ranges[0].size;
	struct arm64_image image;
	int result = arm64_image_load(memory, source, &image, error);

	if (result < 0)
		return result;
	if (end > ARM64_INITRD_END)
		end = ARM64_INITRD_END;
	*entry = (struct boot_entry){BOOT_ARM64, image.entry, ARM64_TREE_ADDRESS};
	return boot_file_load_initrd(memory, source, image.end, end, &tree->initrd_address,
				     &tree->initrd_size, error);
}

/* Draws new random seeds for each start. */
static int draw_seeds(struct arm64_tree *tree, struct error *error)
{
	if (getrandom(tree->rng_seed, sizeof(tree->rng_seed), 0) != sizeof(tree->rng_seed) ||
	    getrandom(&tree->kaslr_seed, sizeof(tree->kaslr_seed), 0) != sizeof(tree->kaslr_seed))
		return error_set_errno(error, errno, "cannot draw random numbers for the guest");
	return 0;
}

static int write_tree(struct monitor_memory *memory, const struct boot_source *source,
		      const struct arm64_tree *tree, struct error *error)
{
	void *host;
	int size;

	if (guest_memory_translate_all(&memory->guest, guest_addr(ARM64_TREE_ADDRESS),
				       ARM64_TREE_SIZE, GUEST_MEMORY_WRITE, &host) < 0)
		return error_set_usage(error,
				       "%" PRIu64 " bytes of memory cannot hold the device tree; "
				       "give more",
				       memory->size);
	memset(host, 0, ARM64_TREE_SIZE);
	size = arm64_tree_write(host, ARM64_TREE_SIZE, tree);
	if (size < 0)
		return error_set(error, -size, "the device tree does not fit");
	if (source->tree_fd >= 0 && (ftruncate(source->tree_fd, 0) < 0 ||
				     pwrite(source->tree_fd, host, (size_t)size, 0) != size))
		return error_set_errno(error, errno, "cannot write the device tree");
	return 0;
}

int arm64_boot_load(struct monitor_memory *memory, const struct boot_source *source,
		    struct boot_entry *entry, struct error *error)
{
	struct arm64_tree tree = {
		.memory = memory->ranges[0].size,
		.cpus = source->cpus,
		.gic = source->variant == 2 ? 2 : 3,
		.virtio_devices = source->virtio_devices,
		.shapes = source->shapes,
		.command_line = source->command_line,
	};
	size_t length = strlen(source->command_line);
	int result;

	if (length >= COMMAND_LINE_SIZE)
		return error_set_usage(
			error,
			"--append: the kernel's command line has %zu characters, and "
			"the kernel supports %d; shorten it",
			length, COMMAND_LINE_SIZE - 1);
	result = source->firmware_fd >= 0 ? load_firmware(memory, source, entry, error) :
					    load_kernel(memory, source, &tree, entry, error);
	if (result == 0)
		result = draw_seeds(&tree, error);
	if (result == 0)
		result = write_tree(memory, source, &tree, error);
	return result;
}
