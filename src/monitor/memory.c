// SPDX-License-Identifier: BSD-3-Clause
/*
 * Guest memory as one memfd. It is sealed: nobody who has it can cut it short under us.
 */
#include "monitor/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"

static int map(struct monitor_memory *memory, bool huge_pages, struct error *error)
{
	unsigned int flags = MFD_CLOEXEC | MFD_ALLOW_SEALING | (huge_pages ? MFD_HUGETLB : 0);
	const char *advice = huge_pages ? "; are there so many huge pages? see "
					  "/proc/sys/vm/nr_hugepages" :
					  "";

	memory->fd = memfd_create("guest memory", flags);
	if (memory->fd < 0 || ftruncate(memory->fd, (off_t)memory->size) < 0)
		return error_set(error, errno, "cannot make %" PRIu64 " bytes of guest memory%s",
				 memory->size, advice);
	memory->host = mmap(NULL, memory->size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE,
			    memory->fd, 0);
	if (memory->host == MAP_FAILED) {
		memory->host = NULL;
		return error_set(error, errno, "cannot map %" PRIu64 " bytes of guest memory%s",
				 memory->size, advice);
	}
	if (fcntl(memory->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return error_set_errno(error, errno, "cannot seal the guest's memory");
	/* A core dump of this process is about this process. */
	madvise(memory->host, memory->size, MADV_DONTDUMP);
	return 0;
}

int monitor_memory_open(struct monitor_memory *memory, const struct memory_range *ranges,
			size_t count, bool huge_pages, struct error *error)
{
	uint64_t offset = 0;
	int result;

	*memory = (struct monitor_memory){.fd = -1, .count = count};
	guest_memory_init(&memory->guest, NULL);
	for (size_t i = 0; i < count; i++)
		memory->size += ranges[i].size;
	result = map(memory, huge_pages, error);
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
