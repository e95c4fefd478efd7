// SPDX-License-Identifier: BSD-3-Clause
/*
 * The shared memory regions of a device (VIRTIO 1.4, 2.10): a window of guest addresses for each,
 * into which the device process maps files (vhost-user specification, SHMEM_MAP and SHMEM_UNMAP).
 *
 * All windows of a device are one reservation of host addresses, which is given to the hypervisor
 * when the machine is made and never changes after. A file is mapped into that reservation, so the
 * guest reaches it without exits. Where nothing is mapped there is blank memory, so that any access
 * of the guest is harmless. Blank memory reads as zeros. It is a small file mapped again and again:
 * what a guest writes to it may appear at other places without a mapping, and takes no more memory
 * than that file has.
 *
 * Mappings outlive the process that asked for them, because drivers do not repeat their requests;
 * they stay until the next process maps the same part again, or unmaps it, until the device is
 * given up, because no process can go on where the last one stopped, or until the driver resets it.
 *
 * A file may shrink below a mapping. Then KVM_RUN fails with EFAULT but no address, or hands out
 * the access, or, with the asynchronous page faults of x86, waits and tries again for ever. So a
 * timer looks at files that may shrink while any is mapped.
 *
 * A lock in here guards each call, and nothing is called with it held: any thread may call at any
 * time, unless noted otherwise.
 */
#ifndef AVP_MONITOR_VIRTIO_SHARED_MEMORY_H
#define AVP_MONITOR_VIRTIO_SHARED_MEMORY_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/event_loop.h"
#include "base/log_limit.h"
#include "base/timer.h"
#include "monitor/bus.h"
#include "monitor/kvm/hypervisor.h"
#include "vhost/message.h"

/* Limits for a device; the host allows a process 65530 mappings by default (vm.max_map_count). */
#define SHARED_MEMORY_REGIONS_MAX  8
#define SHARED_MEMORY_BYTES_MAX	   (UINT64_C(64) << 30) /* of all its windows */
#define SHARED_MEMORY_MAPPINGS_MAX 1024
/*
 * Windows start at multiples of this: Linux wants it of memory that it manages by pages
 * (memremap_compat_align), and large pages of host and guest fit.
 */
#define SHARED_MEMORY_ALIGNMENT UINT64_C(0x200000)

struct shared_region {
	uint8_t id;
	uint64_t size;	  /* bytes, whole pages */
	uint64_t offset;  /* in the reservation */
	uint64_t address; /* the guest's */
};

/* A file in the reservation. */
struct shared_mapping {
	uint64_t start, length; /* in the reservation */
	uint64_t shown; /* of length: the rest was beyond the end of the file, and is blank */
	uint64_t file_offset;
	int fd; /* owned */
	bool may_shrink;
	bool inherited; /* from a process that is gone */
};

struct shared_memory {
	pthread_mutex_t lock;
	const char *name; /* of the device, for the log */
	uint64_t page;	  /* the host's, bytes */
	void *base;	  /* of base_size bytes: the reservation and its alignment; NULL: none */
	uint64_t base_size;
	uint8_t *host; /* the reservation */
	uint64_t size;
	int blank_fd; /* of blank_size bytes */
	uint64_t blank_size;
	struct shared_region regions[SHARED_MEMORY_REGIONS_MAX]; /* sorted by id */
	unsigned int region_count;
	struct bus_device failing;	 /* all windows */
	struct shared_mapping *mappings; /* SHARED_MEMORY_MAPPINGS_MAX, sorted by start */
	unsigned int mapping_count;
	struct timer timer;	    /* looks at files that may shrink */
	struct log_limit log_limit; /* of what the process can cause */
};

/*
 * Reserves host addresses for regions of the sizes in *config; none: takes nothing. @name and *loop
 * must outlive *memory. Before the loop runs. Returns 0 or a negative errno with *error set;
 * -EPROTO: beyond the limits.
 */
int shared_memory_open(struct shared_memory *memory, const char *name,
		       const struct vhost_shmem_config *config, struct event_loop *loop,
		       struct error *error);
/* When no loop runs and no virtual machine has the windows any more. Fine for a zeroed struct. */
void shared_memory_close(struct shared_memory *memory);

/*
 * Gives the windows guest addresses from @address on, in their order, and returns the end of the
 * last; @address if there is none. Before the calls below.
 */
uint64_t shared_memory_place(struct shared_memory *memory, uint64_t address);
/*
 * Accesses that the hypervisor hands out because the host cannot provide the memory: reads return
 * zeros, and the next access finds mended memory. NULL: there is no window.
 */
const struct bus_device *shared_memory_bus_device(const struct shared_memory *memory);
/* Gives the windows to a new virtual machine. */
int shared_memory_attach(struct shared_memory *memory, struct hypervisor *hypervisor,
			 struct error *error);
/* The window of region @id; NULL: there is no such region. */
const struct shared_region *shared_memory_find(const struct shared_memory *memory, uint32_t id);
/* Whether another process has the same regions. */
bool shared_memory_matches(const struct shared_memory *memory,
			   const struct vhost_shmem_config *config);

/*
 * The process maps *map of the file @fd, which stays the caller's, or takes that back. As required
 * of struct vhost_client_ops: 0 or a negative errno.
 *
 * -EINVAL: not within a region, or not whole pages of the host and of the file; for unmap also: not
 * a mapping as a whole;
 * -EEXIST: a part is mapped already; -ENOSPC: too many mappings; -ENODEV: not a regular file that
 * can be read, in memory or on a file system that says when it would wait, as ext4, XFS and Btrfs;
 * else as mmap, with the part blank.
 *
 * What the file does not have at that moment is blank, also when it grows later. Read-only mappings
 * are private copies of what the guest writes to: it may write anywhere.
 */
int shared_memory_map(struct shared_memory *memory, const struct vhost_shmem_map *map, int fd);
int shared_memory_unmap(struct shared_memory *memory, const struct vhost_shmem_map *map);
/* The process is gone. The next one may map the same parts again. */
void shared_memory_inherit(struct shared_memory *memory);
/* The device is given up: what an earlier process has mapped, nobody maps again; it is blank. */
void shared_memory_disinherit(struct shared_memory *memory);
/* The driver has reset the device: all is blank. */
void shared_memory_clear(struct shared_memory *memory);

/*
 * Makes parts blank that files no longer have, as files may shrink: the guest cannot use them, and
 * KVM does not tell which they are. Returns whether there were any.
 */
bool shared_memory_mend(struct shared_memory *memory);

#endif
