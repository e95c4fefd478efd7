// SPDX-License-Identifier: BSD-3-Clause
/*
 * The guest's memory: one memfd, mapped here, shared with device processes, and placed in the
 * guest's address space in the ranges of the architecture.
 */
#ifndef AVP_MONITOR_MEMORY_H
#define AVP_MONITOR_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "monitor/kvm/hypervisor.h"
#include "vhost/client.h"
#include "virtio/guest_memory.h"

#define MONITOR_MEMORY_RANGES 2

/* The size of transparent huge pages. */
#define MONITOR_HUGE_PAGE 0x200000u

/* A range of guest addresses that is memory. */
struct memory_range {
	uint64_t address, size;
};

struct monitor_memory {
	int fd;
	bool huge_pages; /* of the host's pool: the memfd does not support write(2) */
	uint8_t *host;
	uint64_t size;
	struct memory_range ranges[MONITOR_MEMORY_RANGES];
	size_t count;
	/* The same for vhost-user; user addresses equal guest addresses. */
	struct vhost_client_region regions[MONITOR_MEMORY_RANGES];
	/* For the monitor itself: checked access. */
	struct guest_memory guest;
};

/*
 * Makes memory of the sizes in @ranges, in their order. @huge_pages: from the host's pool, reserved
 * here, or it fails. Other pages are allocated when touched, as transparent huge pages if the host
 * supports that for shared memory on advice. A size that is not a multiple of the page size is a
 * usage error.
 */
int monitor_memory_open(struct monitor_memory *memory, const struct memory_range *ranges,
			size_t count, bool huge_pages, struct error *error);
void monitor_memory_close(struct monitor_memory *memory);

/*
 * The host address of @size bytes, at least 1, of guest memory at the guest's @address; NULL:
 * outside. Any thread, also while others do the same.
 */
void *monitor_memory_at(const struct monitor_memory *memory, uint64_t address, uint64_t size);

/* Gives the ranges to a new virtual machine. */
int monitor_memory_attach(const struct monitor_memory *memory, struct hypervisor *hypervisor,
			  struct error *error);

#endif
