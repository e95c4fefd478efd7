// SPDX-License-Identifier: BSD-3-Clause
/* Asks the kernel for huge pages, and gives them back before one is touched. */
#include "base/huge_pages.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"

uint64_t huge_pages_size(void)
{
	cleanup_fd int fd = memfd_create("avp", MFD_CLOEXEC | MFD_HUGETLB);
	struct statfs system;

	return fd >= 0 && fstatfs(fd, &system) == 0 ? (uint64_t)system.f_bsize : 0;
}

int huge_pages_check(uint64_t bytes, struct error *error)
{
	cleanup_fd int fd = memfd_create("avp", MFD_CLOEXEC | MFD_HUGETLB);
	char size[TEXT_SIZE_LENGTH];
	void *memory = MAP_FAILED;
	int code;

	/*
	 * A mapping reserves its pages, so the limits of control groups and other mappings count.
	 */
	if (fd >= 0 && ftruncate(fd, (off_t)bytes) == 0)
		memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	code = errno;
	if (memory != MAP_FAILED) {
		munmap(memory, bytes);
		return 0;
	}
	return error_set(
		error, code,
		"the host cannot give %s in huge pages (%s); check /proc/sys/vm/nr_hugepages",
		text_format_size(size, bytes), strerror(code));
}
