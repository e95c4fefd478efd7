// SPDX-License-Identifier: BSD-3-Clause
/*
 * Loads files into guest memory, straight from the page cache.
 */
#include "monitor/boot_file.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_SIZE 0x1000u

int boot_file_open(struct boot_file *file, int fd, const char *name, const char *what,
		   struct error *error)
{
	struct stat status;

	*file = (struct boot_file){.fd = fd, .name = name};
	if (fstat(fd, &status) < 0)
		return error_set_errno(error, errno, "%s", name);
	if (!S_ISREG(status.st_mode))
		return error_set_usage(error, "%s: is not a regular file; give %s", name, what);
	file->size = (uint64_t)status.st_size;
	return 0;
}

/* Returns 0, -ENODATA if the file is too short, or another negative errno. */
static int read_bytes(int fd, uint64_t offset, uint8_t *buffer, uint64_t size)
{
	while (size > 0) {
		ssize_t got = pread(fd, buffer, size, (off_t)offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -ENODATA;
		buffer += got;
		offset += (uint64_t)got;
		size -= (uint64_t)got;
	}
	return 0;
}

int boot_file_read(const struct boot_file *file, uint64_t offset, void *buffer, size_t size,
		   struct error *error)
{
	int result = -ENODATA;

	if (offset <= file->size)
		result = read_bytes(file->fd, offset, buffer, size);
	if (result == -ENODATA)
		return boot_file_truncated(file, error);
	return result < 0 ? error_set_errno(error, -result, "%s", file->name) : 0;
}

ssize_t boot_file_open_kernel(struct boot_file *file, const struct boot_source *source, void *head,
			      size_t size, struct error *error)
{
	int result =
		boot_file_open(file, source->kernel_fd, source->kernel_name, "a kernel", error);

	if (result < 0)
		return result;
	memset(head, 0, size);
	if (size > file->size)
		size = file->size;
	result = boot_file_read(file, 0, head, size, error);
	return result < 0 ? result : (ssize_t)size;
}

int boot_file_truncated(const struct boot_file *file, struct error *error)
{
	return error_set_usage(error,
			       "%s: is truncated: the kernel needs more than its %" PRIu64
			       " bytes; "
			       "give the whole file",
			       file->name, file->size);
}

int boot_file_too_big(const struct monitor_memory *memory, const struct boot_file *file,
		      uint64_t end, struct error *error)
{
	return error_set_usage(error,
			       "%s: does not fit into %" PRIu64 " MiB of memory: the kernel needs "
			       "memory up to %" PRIu64 " MiB; give more",
			       file->name, memory->size >> 20, (end >> 20) + 1);
}

int boot_file_wrong_architecture(const struct boot_file *file, const char *architecture,
				 const char *here, struct error *error)
{
	return error_set_usage(error,
			       "%s: is a kernel for %s; this machine is %s: give a kernel "
			       "for it",
			       file->name, architecture, here);
}

const char *boot_file_machine(uint16_t machine)
{
	switch (machine) {
	case EM_386:
		return "32-bit x86";
	case EM_X86_64:
		return "x86-64";
	case EM_AARCH64:
		return "arm64";
	case EM_ARM:
		return "32-bit Arm";
	case EM_RISCV:
		return "RISC-V";
	default:
		return "another architecture";
	}
}

/*
 * A write to a memfd allocates small pages. Touch each huge page first, so that huge pages are
 * allocated if possible. A failure shows in the write that follows.
 */
static void populate_huge_pages(uint8_t *host, uint64_t size)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint8_t *end = host + size;

	for (host -= (uintptr_t)host % page; host < end;
	     host += MONITOR_HUGE_PAGE - (uintptr_t)host % MONITOR_HUGE_PAGE)
		madvise(host, page, MADV_POPULATE_READ);
}

/*
 * Copies from the page cache to the memfd's pages with write: pages need not be zeroed first, nor
 * be mapped here. If the file is truncated meanwhile, the write fails.
 */
static int write_memory(const struct monitor_memory *memory, int fd, uint64_t offset, uint8_t *host,
			uint64_t size)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	uint64_t before = offset % page, length = size + before;
	uint8_t *file, *from;
	int result = 0;

	populate_huge_pages(host, size);
	file = mmap(NULL, length, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd,
		    (off_t)(offset - before));
	if (file == MAP_FAILED)
		return -errno;
	from = file + before;
	while (size > 0) {
		ssize_t put = pwrite(memory->fd, from, size, host - memory->host);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0) {
			result = put < 0 && errno != EFAULT ? -errno : -ENODATA;
			break;
		}
		host += put;
		from += put;
		size -= (uint64_t)put;
	}
	munmap(file, length);
	return result;
}

/* -EFAULT: not in guest memory; -ENODATA: the file is too short; or another negative errno. */
static int read_file(struct monitor_memory *memory, int fd, uint64_t offset, uint64_t address,
		     uint64_t size)
{
	uint8_t *host;

	if (size == 0)
		return 0;
	if (guest_memory_translate_all(&memory->guest, guest_addr(address), size,
				       GUEST_MEMORY_WRITE, (void **)&host) < 0)
		return -EFAULT;
	/* write(2) does not work on a memfd of huge pages. */
	return memory->huge_pages ? read_bytes(fd, offset, host, size) :
				    write_memory(memory, fd, offset, host, size);
}

int boot_file_load(struct monitor_memory *memory, const struct boot_file *file, uint64_t offset,
		   uint64_t address, uint64_t size, uint64_t memory_size, struct error *error)
{
	void *rest;
	int result;

	/* The offset of an empty segment may be outside of the file. */
	if (size > 0 && (offset > file->size || size > file->size - offset))
		return boot_file_truncated(file, error);
	result = read_file(memory, file->fd, offset, address, size);
	if (result == -EFAULT)
		return boot_file_too_big(memory, file, address + size, error);
	if (result == -ENODATA)
		return boot_file_truncated(file, error);
	if (result < 0)
		return error_set_errno(error, -result, "%s", file->name);
	/* After a reset it holds the guest's old data. */
	if (memory_size > size &&
	    guest_memory_translate_all(&memory->guest, guest_addr(address + size),
				       memory_size - size, GUEST_MEMORY_WRITE, &rest) == 0)
		memset(rest, 0, memory_size - size);
	return 0;
}

int boot_file_load_initrd(struct monitor_memory *memory, const struct boot_source *source,
			  uint64_t start, uint64_t end, uint64_t *address, uint64_t *size,
			  struct error *error)
{
	struct boot_file file;
	int result;

	*address = *size = 0;
	if (source->initrd_fd < 0)
		return 0;
	result = boot_file_open(&file, source->initrd_fd, source->initrd_name,
				"an initial file system", error);
	if (result < 0)
		return result;
	if (file.size == 0)
		return error_set_usage(error, "%s: is empty; give an initial file system",
				       source->initrd_name);
	*address = file.size > end ? 0 : (end - file.size) & ~(uint64_t)(PAGE_SIZE - 1);
	if (*address < start)
		return error_set_usage(error,
				       "%s: %" PRIu64 " bytes do not fit between the kernel, which "
				       "needs memory up to %" PRIu64 " MiB, and %" PRIu64 " MiB; "
				       "give more memory",
				       source->initrd_name, file.size, (start >> 20) + 1,
				       end >> 20);
	*size = file.size;
	result = read_file(memory, file.fd, 0, *address, *size);
	if (result < 0)
		return error_set_errno(error, -result, "%s", source->initrd_name);
	return 0;
}
