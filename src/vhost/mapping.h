// SPDX-License-Identifier: BSD-3-Clause
/*
 * Files that a peer shares, mapped and guarded: guest memory, the log of written pages, and the
 * record of requests in flight (vhost-user specification, "Memory regions description", "Log
 * description" and "Inflight description").
 *
 * A file system that the peer itself serves can stall a process that touches its files. Nothing
 * here prevents that; it stalls the device process that serves that peer, or those threads of the
 * monitor that use a device of that peer. For files that stay and that others touch, too, ask
 * vhost_file_never_waits first.
 */
#ifndef AVP_VHOST_MAPPING_H
#define AVP_VHOST_MAPPING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* A file, or a part of it, in our address space. */
struct vhost_mapping {
	void *start; /* of the first page; NULL: nothing is mapped */
	size_t length;
	uint8_t *content; /* the first byte that was asked for */
};

/*
 * Maps and guards @size bytes from @offset of the file @fd (which the caller keeps), shared and
 * writable. *@lost as in vhost_guard_add. -EINVAL: it is not a file, or too short.
 */
int vhost_mapping_open(struct vhost_mapping *mapping, int fd, uint64_t offset, uint64_t size,
		       volatile bool *lost, struct error *error);
void vhost_mapping_close(struct vhost_mapping *mapping);

/*
 * Whether nobody can make a process wait that examines or maps the file @fd: it can be read, and is
 * in memory or on a file system that says when it would wait, as ext4, XFS and Btrfs do. FUSE does
 * not, whose files a hostile peer may serve itself, nor do network file systems and overlays, which
 * may wait for such a one. Neither do fstat and fstatfs, which ask the file system. Any thread.
 */
bool vhost_file_never_waits(int fd);

/* The page size of the file @fd in bytes: that of huge pages if it consists of them. Any thread. */
uint64_t vhost_file_page_size(int fd);

#endif
