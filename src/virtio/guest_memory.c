// SPDX-License-Identifier: BSD-3-Clause
/*
 * Guest memory: a sorted table of ranges, the one checked way through it, and the log of what was
 * written.
 */
#include "virtio/guest_memory.h"

#include <errno.h>
#include <string.h>

/* The dummy target of a translation of zero bytes. */
static uint8_t nothing;

void guest_memory_init(struct guest_memory *memory, const struct guest_memory_ops *ops)
{
	memset(memory, 0, sizeof(*memory));
	memory->ops = ops;
}

void guest_memory_clear(struct guest_memory *memory)
{
	memory->region_count = memory->last_log = 0;
}

/* The first range that ends beyond @address: the only one that can contain it. */
static size_t lower_bound(const struct guest_memory *memory, uint64_t address)
{
	size_t low = 0, high = memory->region_count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		const struct guest_memory_region *region = &memory->regions[middle];

		if (address <= region->start.value + (region->size - 1))
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

int guest_memory_add(struct guest_memory *memory, struct guest_addr start, uint64_t size,
		     void *host)
{
	uint64_t last = start.value + size - 1;
	size_t at;

	if (size == 0 || last < start.value)
		return -EINVAL;
	if (memory->region_count == GUEST_MEMORY_REGIONS_MAX)
		return -ENOSPC;
	at = lower_bound(memory, start.value);
	if (at < memory->region_count && memory->regions[at].start.value <= last)
		return -EEXIST;
	memmove(&memory->regions[at + 1], &memory->regions[at],
		(memory->region_count - at) * sizeof(memory->regions[0]));
	memory->regions[at] = (struct guest_memory_region){start, size, host};
	memory->region_count++;
	memory->last_log = 0;
	return 0;
}

int guest_memory_remove(struct guest_memory *memory, struct guest_addr start, uint64_t size)
{
	size_t at = lower_bound(memory, start.value);

	if (at == memory->region_count || memory->regions[at].start.value != start.value ||
	    memory->regions[at].size != size)
		return -ENOENT;
	memory->region_count--;
	memmove(&memory->regions[at], &memory->regions[at + 1],
		(memory->region_count - at) * sizeof(memory->regions[0]));
	memory->last_log = 0;
	return 0;
}

int guest_memory_find(const struct guest_memory *memory, struct guest_addr address,
		      uint64_t *length, void **host)
{
	size_t at = lower_bound(memory, address.value);
	const struct guest_memory_region *region = &memory->regions[at];
	uint64_t offset;

	if (at == memory->region_count || address.value < region->start.value)
		return -EFAULT;
	offset = address.value - region->start.value;
	if (*length > region->size - offset)
		*length = region->size - offset;
	*host = region->host + offset;
	return 0;
}

int guest_memory_translate(struct guest_memory *memory, struct guest_addr address, uint64_t *length,
			   enum guest_access access, void **host)
{
	if (*length == 0) {
		*host = &nothing;
		return 0;
	}
	if (memory->ops)
		return memory->ops->translate(memory, address, length, access, host);
	return guest_memory_find(memory, address, length, host);
}

int guest_memory_translate_all(struct guest_memory *memory, struct guest_addr address,
			       uint64_t length, enum guest_access access, void **host)
{
	uint64_t contiguous = length;
	int ret = guest_memory_translate(memory, address, &contiguous, access, host);

	if (ret == 0 && contiguous != length)
		ret = -EFAULT;
	return ret;
}

void guest_memory_log(struct guest_memory *memory, uint64_t address, uint64_t length)
{
	uint64_t page = address / GUEST_MEMORY_LOG_PAGE, last;

	if (length == 0)
		return;
	if (__builtin_add_overflow(address, length - 1, &last) ||
	    last / GUEST_MEMORY_LOG_PAGE / 8 >= memory->log_size) {
		memory->log_exceeded = true;
		return;
	}
	last /= GUEST_MEMORY_LOG_PAGE;
	memory->log_written = true;
	/* A byte at a time: few steps even for a buffer of 4 GiB. */
	while (page <= last) {
		uint64_t next = (page | 7) + 1;
		unsigned int bits = 0xffu << page % 8;

		if (next > last + 1)
			bits &= 0xffu >> (next - (last + 1));
		/* One that sees the bits, and clears them, then reads what was written before. */
		__atomic_fetch_or(&memory->log[page / 8], (uint8_t)bits, __ATOMIC_RELEASE);
		page = next;
	}
}

/* The range that @host lies in, or NULL. */
static const struct guest_memory_region *find_host(struct guest_memory *memory, const uint8_t *host)
{
	size_t at = memory->last_log;

	for (size_t i = 0; i < memory->region_count; i++) {
		const struct guest_memory_region *region = &memory->regions[at];

		if ((uint64_t)((uintptr_t)host - (uintptr_t)region->host) < region->size) {
			memory->last_log = at;
			return region;
		}
		at = at + 1 < memory->region_count ? at + 1 : 0;
	}
	return NULL;
}

void guest_memory_log_host(struct guest_memory *memory, const void *host, uint64_t length)
{
	const uint8_t *at = host;

	while (length > 0) {
		const struct guest_memory_region *region = find_host(memory, at);
		uint64_t offset, part;

		if (!region) {
			memory->log_exceeded = true;
			return;
		}
		offset = (uint64_t)(at - region->host);
		part = region->size - offset < length ? region->size - offset : length;
		guest_memory_log(memory, region->start.value + offset, part);
		at += part;
		length -= part;
	}
}

static int copy(struct guest_memory *memory, struct guest_addr address, uint8_t *buffer,
		size_t length, enum guest_access access)
{
	while (length > 0) {
		uint64_t part = length;
		void *host;
		int ret = guest_memory_translate(memory, address, &part, access, &host);

		if (ret < 0)
			return ret;
		if (access == GUEST_MEMORY_WRITE)
			memcpy(host, buffer, part);
		else
			memcpy(buffer, host, part);
		buffer += part;
		length -= part;
		address = guest_addr_add(address, part);
	}
	return 0;
}

int guest_memory_read(struct guest_memory *memory, struct guest_addr address, void *buffer,
		      size_t length)
{
	return copy(memory, address, buffer, length, GUEST_MEMORY_READ);
}

int guest_memory_write(struct guest_memory *memory, struct guest_addr address, const void *buffer,
		       size_t length)
{
	return copy(memory, address, (uint8_t *)buffer, length, GUEST_MEMORY_WRITE);
}
