// SPDX-License-Identifier: BSD-3-Clause
/*
 * Loads files into guest memory at a start: kernels, initial file systems, firmware. Common to the
 * loaders of all architectures.
 */
#ifndef AVP_MONITOR_BOOT_FILE_H
#define AVP_MONITOR_BOOT_FILE_H

#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "monitor/boot.h"
#include "monitor/memory.h"

struct boot_file {
	int fd; /* owned by the caller */
	const char *name;
	uint64_t size;
};

/* Prepares to read @fd, which must be a regular file; errors call it @what, such as "a kernel". */
int boot_file_open(struct boot_file *file, int fd, const char *name, const char *what,
		   struct error *error);

/*
 * Opens the kernel of *source and reads its first @size bytes into @head, padded with zeros.
 * Returns the number of bytes read or, with *error set, a negative errno.
 */
ssize_t boot_file_open_kernel(struct boot_file *file, const struct boot_source *source, void *head,
			      size_t size, struct error *error);

/* Reads @size bytes at @offset. A usage error when the file is too short. */
int boot_file_read(const struct boot_file *file, uint64_t offset, void *buffer, size_t size,
		   struct error *error);

/*
 * Reads @size bytes at @offset to the guest's @address, and zeroes the memory after them up to
 * @memory_size. Usage errors when the file is too short or memory too small.
 */
int boot_file_load(struct monitor_memory *memory, const struct boot_file *file, uint64_t offset,
		   uint64_t address, uint64_t size, uint64_t memory_size, struct error *error);

/* The usage errors of a truncated file, and of a kernel that needs memory up to @end. */
int boot_file_truncated(const struct boot_file *file, struct error *error);
int boot_file_too_big(const struct monitor_memory *memory, const struct boot_file *file,
		      uint64_t end, struct error *error);
/* The usage error of a kernel for @architecture on this machine, @here. */
int boot_file_wrong_architecture(const struct boot_file *file, const char *architecture,
				 const char *here, struct error *error);

/* The architecture of an ELF file's e_machine, in words. */
const char *boot_file_machine(uint16_t machine);

/*
 * Reads the initial file system of *source, if any, as high as possible below @end, and not below
 * @start, where the kernel ends: there it does not collide with the kernel unpacking itself. *size
 * is 0 when there is none.
 */
int boot_file_load_initrd(struct monitor_memory *memory, const struct boot_source *source,
			  uint64_t start, uint64_t end, uint64_t *address, uint64_t *size,
			  struct error *error);

#endif
