// SPDX-License-Identifier: BSD-3-Clause
/*
 * Guest memory as a device sees it: ranges of guest addresses and the host memory behind them.
 * guest_memory_translate is the only way from a guest address to a host pointer.
 *
 * How an address is looked up sits behind struct guest_memory_ops, so that an environment with an
 * IOMMU, or another hypervisor, can replace it. What a pointer leads to can change at any time:
 * copy once, then check the copy.
 */
#ifndef AVP_VIRTIO_GUEST_MEMORY_H
#define AVP_VIRTIO_GUEST_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A guest address: a type of its own, so that it is never taken for a host pointer or a length. */
struct guest_addr {
	uint64_t value;
};

static inline struct guest_addr guest_addr(uint64_t value)
{
	return (struct guest_addr){value};
}

static inline struct guest_addr guest_addr_add(struct guest_addr address, uint64_t offset)
{
	return (struct guest_addr){address.value + offset};
}

enum guest_access {
	GUEST_MEMORY_READ = 1,
	GUEST_MEMORY_WRITE = 2,
	GUEST_MEMORY_READ_WRITE = 3,
};

/* As many as a vhost-user frontend may add with memory slots. */
#define GUEST_MEMORY_REGIONS_MAX 64

/* One range of guest addresses that is contiguous in host memory. */
struct guest_memory_region {
	struct guest_addr start;
	uint64_t size;
	uint8_t *host;
};

struct guest_memory;

struct guest_memory_ops {
	/*
	 * Looks @address up for @access. *length is the number of bytes wanted (at least 1) and
	 * becomes how many of them are contiguous in host memory from *host on. Returns 0, -EFAULT
	 * when the guest may not use the address, or -EAGAIN when the translation is not known yet:
	 * the caller tries again once it has arrived.
	 */
	int (*translate)(struct guest_memory *memory, struct guest_addr address, uint64_t *length,
			 enum guest_access access, void **host);
};

/* A page of the log, whatever the size of the guest's or the host's. */
#define GUEST_MEMORY_LOG_PAGE 4096

struct guest_memory {
	const struct guest_memory_ops *ops;
	size_t region_count;
	size_t last_log; /* the region that was logged last */
	struct guest_memory_region regions[GUEST_MEMORY_REGIONS_MAX]; /* sorted by start */
	/*
	 * The log of pages that the device has written, for a migration: bit n % 8 of byte n / 8
	 * stands for page n of guest-physical memory. Others read and clear it at any time. NULL:
	 * nobody wants to know. Set by the owner while no queue runs.
	 */
	uint8_t *log;
	uint64_t log_size; /* bytes */
	bool log_written;  /* since the owner last cleared this */
	bool log_exceeded; /* something was written that the log has no bit for */
};

/* Starts with no regions. @ops NULL: guest-physical addresses, looked up in the regions. */
void guest_memory_init(struct guest_memory *memory, const struct guest_memory_ops *ops);

/*
 * Adds a range; The caller owns @host, which must live until the range is removed. -EINVAL: empty,
 * or wraps; -EEXIST: overlaps a range; -ENOSPC: too many ranges.
 */
int guest_memory_add(struct guest_memory *memory, struct guest_addr start, uint64_t size,
		     void *host);
/* Removes exactly that range. -ENOENT: there is none. */
int guest_memory_remove(struct guest_memory *memory, struct guest_addr start, uint64_t size);

/* See struct guest_memory_ops.translate. A zero *length succeeds with a non-NULL dummy pointer. */
int guest_memory_translate(struct guest_memory *memory, struct guest_addr address, uint64_t *length,
			   enum guest_access access, void **host);

/* As guest_memory_translate, but all of @length bytes must be contiguous: else -EFAULT. */
int guest_memory_translate_all(struct guest_memory *memory, struct guest_addr address,
			       uint64_t length, enum guest_access access, void **host);

/*
 * Looks up in the regions alone: for guest-physical addresses, such as the output of an IOMMU.
 * *length as in struct guest_memory_ops.translate. 0 or -EFAULT. Any number of threads at once,
 * while the regions do not change.
 */
int guest_memory_find(const struct guest_memory *memory, struct guest_addr address,
		      uint64_t *length, void **host);

/* Removes all ranges. */
void guest_memory_clear(struct guest_memory *memory);

/*
 * For the log: @length bytes were written, at a guest-physical address or at a host pointer that a
 * look-up has returned. Call after the writes, only while memory->log is set.
 */
void guest_memory_log(struct guest_memory *memory, uint64_t address, uint64_t length);
void guest_memory_log_host(struct guest_memory *memory, const void *host, uint64_t length);

/* Copy between guest memory and @buffer, across ranges. 0, -EFAULT or -EAGAIN (partly copied). */
int guest_memory_read(struct guest_memory *memory, struct guest_addr address, void *buffer,
		      size_t length);
int guest_memory_write(struct guest_memory *memory, struct guest_addr address, const void *buffer,
		       size_t length);

#endif
