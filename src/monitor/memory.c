// SPDX-License-Identifier: BSD-3-Clause
/*
 * Guest memory as one memfd, sealed so that nobody can truncate it.
 */
#include "monitor/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/cleanup.h"

static int check_sizes(const struct monitor_memory *memory, const struct memory_range *ranges,
		       struct error *error)
{
	struct statfs system;

	if (fstatfs(memory->fd, &system) < 0)
		return error_set_errno(error, errno, "cannot examine the guest's memory");
	for (size_t i = 0; i < memory->count; i++)
		if (ranges[i].size % (uint64_t)system.f_bsize)
			return error_set_usage(
				error,
				"guest memory of %" PRIu64 " KiB at 0x%" PRIx64 " is not a whole "
				"number of the host's huge pages of %" PRIu64 " KiB: give a memory "
				"size that is, or no huge pages",
				ranges[i].size >> 10, ranges[i].address,
				(uint64_t)system.f_bsize >> 10);
	return 0;
}

static int map(struct monitor_memory *memory, const struct memory_range *ranges,
	       struct error *error)
{
	bool huge = memory->huge_pages;
	unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING | (huge ? MFD_HUGETLB : 0);
	const char *advice = huge ? " in huge pages (see /proc/sys/vm/nr_hugepages)" : "";
	int result;

	memory->fd = memfd_create("guest memory", flags);
	if (memory->fd >= 0 && huge) {
		result = check_sizes(memory, ranges, error);
		if (result < 0)
			return result;
	}
	if (memory->fd < 0 || ftruncate(memory->fd, (off_t)memory->size) < 0)
		return error_set_errno(error, errno,
				       "cannot make %" PRIu64 " bytes of guest memory%s",
				       memory->size, advice);
	/* Reserve huge pages: otherwise touching one when none is left kills this process. */
	memory->host = mmap(NULL, memory->size, PROT_READ | PROT_WRITE,
			    MAP_SHARED | (huge ? 0 : MAP_NORESERVE), memory->fd, 0);
	if (memory->host == MAP_FAILED) {
		memory->host = NULL;
		return error_set_errno(error, errno,
				       "cannot map %" PRIu64 " bytes of guest memory%s",
				       memory->size, advice);
	}
	if (fcntl(memory->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return error_set_errno(error, errno, "cannot seal the guest's memory");
	/*
	 * If the host allows huge pages for shared memory on advice, the guest exits at the first
	 * touch of 2 MiB, not of 4 KiB. The kernel chooses a suitable address for the mapping.
	 */
	if (!huge)
		madvise(memory->host, memory->size, MADV_HUGEPAGE);
	/* Keep guest memory out of core dumps of this process. */
	madvise(memory->host, memory->size, MADV_DONTDUMP);
	return 0;
}

int monitor_memory_open(struct monitor_memory *memory, const struct memory_range *ranges,
			size_t count, bool huge_pages, struct error *error)
{
	uint64_t offset = 0;
	int result;

	*memory = (struct monitor_memory){.fd = -1, .huge_pages = huge_pages, .count = count};
	guest_memory_init(&memory->guest, NULL);
	for (size_t i = 0; i < count; i++)
		memory->size += ranges[i].size;
	result = map(memory, ranges, error);
	for (size_t i = 0; i < count && result == 0; i++) {
		const struct memory_range *range = &ranges[i];

		memory->ranges[i] = *range;
		memory->regions[i] = (struct vhost_client_region){
			.region =
				{
					.guest_address = range->address,
					.size = range->size,
					.user_address = range->address,
					.mmap_offset = offset,
				},
			.fd = memory->fd,
		};
		if (guest_memory_add(&memory->guest, guest_addr(range->address), range->size,
				     memory->host + offset) < 0)
			result = error_set(error, EINVAL, "guest memory at 0x%" PRIx64,
					   range->address);
		offset += range->size;
	}
	if (result < 0)
		monitor_memory_close(memory);
	return result;
}

void monitor_memory_close(struct monitor_memory *memory)
{
	if (memory->host)
		munmap(memory->host, memory->size);
	memory->host = NULL;
	close_fd(&memory->fd);
}

void *monitor_memory_at(const struct monitor_memory *memory, uint64_t address, uint64_t size)
{
	uint64_t contiguous = size;
	void *host;

	if (guest_memory_find(&memory->guest, guest_addr(address), &contiguous, &host) < 0 ||
	    contiguous < size)
		return NULL;
	return host;
}

int monitor_memory_attach(const struct monitor_memory *memory, struct hypervisor *hypervisor,
			  struct error *error)
{
	uint64_t offset = 0;
	int result = 0;

	for (size_t i = 0; i < memory->count && result == 0; i++) {
		result = hypervisor->ops->add_memory(hypervisor, memory->ranges[i].address,
						     memory->ranges[i].size, memory->host + offset,
						     error);
		offset += memory->ranges[i].size;
	}
	return result;
}
