// SPDX-License-Identifier: BSD-3-Clause
/*
 * The guest's memory: one memfd, mapped here, lent to device processes, and laid into the guest's
 * address space in the ranges that the architecture leaves free.
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

/* Of pages that the kernel makes huge by itself, where it can. */
#define MONITOR_HUGE_PAGE 0x200000u

/* A range of guest addresses that is memory. */
struct memory_range {
	uint64_t address, size;
};

struct monitor_memory {
	int fd;
	bool huge_pages; /* set aside by the host: then it cannot be written by its descriptor */
	uint8_t *host;
	uint64_t size;
	struct memory_range ranges[MONITOR_MEMORY_RANGES];
	size_t count;
	/* The same for vhost-user: user addresses are guest addresses. */
	struct vhost_client_region regions[MONITOR_MEMORY_RANGES];
	/* And for the monitor itself: the one checked way to it. */
	struct guest_memory guest;
};

/*
 * Makes memory of the sizes in @ranges, in their order; @huge_pages: of huge pages of the host,
 * which are set aside here, or it fails. Pages are taken when they are touched, huge ones where the
 * host has them for shared memory on advice. A size that is no multiple of the page size is a usage
 * error.
 */
int monitor_memory_open(struct monitor_memory *memory, const struct memory_range *ranges,
			size_t count, bool huge_pages, struct error *error);
void monitor_memory_close(struct monitor_memory *memory);

/* Gives the ranges to a new virtual machine. */
int monitor_memory_attach(const struct monitor_memory *memory, struct hypervisor *hypervisor,
			  struct error *error);

#endif
