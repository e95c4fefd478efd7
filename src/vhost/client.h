// SPDX-License-Identifier: BSD-3-Clause
/*
 * The using side of vhost-user: a monitor that has a device served by another process.
 *
 * Calls block until the other side has done what was asked, at most for the time limit given to
 * vhost_client_new. Where it offers acknowledgements, each message asks for one, so that a guest
 * may kick as soon as a call has returned. Several calls can form one operation, with one wait at
 * its end. The device process is not trusted: its answers are checked, and after the first breach
 * of protocol every call fails.
 *
 * Functions return 0 or a negative errno with *error set, unless they say otherwise. -EOPNOTSUPP:
 * the other side does not offer that; -EPROTO: it broke the protocol; -ETIMEDOUT: no answer;
 * -EIO: it answered that it can't. There is no global state; a client belongs to one thread.
 */
#ifndef AVP_VHOST_CLIENT_H
#define AVP_VHOST_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "vhost/message.h"

struct vhost_client;

/* A time limit that leaves a device time to finish the requests it has taken. */
#define VHOST_CLIENT_TIMEOUT_MS 10000

/*
 * Requests and notices of the device process on the backend channel. None comes before the
 * operation or the call of vhost_client_negotiate has ended. All run in the thread of the call that
 * delivers them, with the locks of its caller.
 *
 * vhost_client_handle_backend delivers the first two, which may call the client. The others come
 * from any call that waits for an answer, because a device process may wait for theirs before it
 * answers; so they must not call the client, nor take a lock that a caller of the client may hold.
 * What the process asked for before it answered a call is done when the call returns, unless it
 * sent a flood.
 */
struct vhost_client_ops {
	/* Its configuration space or status changed. NULL: ignored. */
	void (*config_changed)(void *context);
	/*
	 * It needs the translation of an I/O virtual address for VHOST_ACCESS_*; answer with
	 * vhost_client_update_iotlb, or not at all when the guest has none. NULL: no IOMMU.
	 */
	void (*iotlb_miss)(void *context, uint64_t iova, uint8_t access);
	/*
	 * It wants a part of a shared memory region to show the file @fd, which stays the client's,
	 * or nothing any more. Offsets and length neither wrap nor are zero, and there are no
	 * unknown flags; nothing else of *map, and nothing about the file, has been checked.
	 * Returns 0 or a negative errno: the answer. Both or neither; NULL: no SHMEM.
	 */
	int (*shmem_map)(void *context, const struct vhost_shmem_map *map, int fd);
	int (*shmem_unmap)(void *context, const struct vhost_shmem_map *map);
};

/*
 * Connects to the socket at @path, trying for at most @wait_ms until it exists and accepts. Returns
 * a descriptor.
 */
int vhost_client_connect(const char *path, int wait_ms, struct error *error);

/*
 * Makes a client on the connected stream socket @fd, which the client owns from now on. No call
 * takes longer than @timeout_ms. NULL with *error set on failure.
 */
struct vhost_client *vhost_client_new(int fd, int timeout_ms, struct error *error);

/*
 * Begins an operation of several calls, which together take no longer than the client's timeout.
 * Calls without a result return as soon as their messages are sent: vhost_client_finish waits for
 * all of them at once.
 */
void vhost_client_begin(struct vhost_client *client);
/*
 * Within an operation: waits for all pending answers. -EIO: a message was refused; *error names the
 * first. Calls also fail with -EIO, without sending anything, once a refusal has come.
 */
int vhost_client_confirm(struct vhost_client *client, struct error *error);
/*
 * Ends the operation: waits as vhost_client_confirm does. A refusal is reported even when the
 * connection broke after it.
 */
int vhost_client_finish(struct vhost_client *client, struct error *error);
/* Whether the connection is unusable: every call fails. */
bool vhost_client_is_broken(const struct vhost_client *client);

/* Closes the connection. NULL is allowed. */
void vhost_client_free(struct vhost_client *client);

/*
 * Becomes the owner and negotiates protocol features; @ops (may be NULL) with a backend channel
 * if it is offered. Call once, before anything else.
 */
int vhost_client_negotiate(struct vhost_client *client, const struct vhost_client_ops *ops,
			   void *context, struct error *error);

/*
 * The feature bits that the device offers to a driver: without VHOST_USER_F_PROTOCOL_FEATURES and
 * VHOST_F_LOG_ALL.
 */
uint64_t vhost_client_features(const struct vhost_client *client);
/* Whether a protocol feature was negotiated. */
bool vhost_client_has(const struct vhost_client *client, enum vhost_protocol_feature feature);
/* The number of queues; 0: it does not report one. */
uint64_t vhost_client_queue_count(const struct vhost_client *client);

/* Writes the driver's choice of features, and with it, VHOST_F_LOG_ALL: see below. */
int vhost_client_set_features(struct vhost_client *client, uint64_t features, struct error *error);

/* The device status (VIRTIO 1.4, 2.1), where the STATUS protocol feature was negotiated. */
int vhost_client_get_status(struct vhost_client *client, uint8_t *status, struct error *error);
int vhost_client_set_status(struct vhost_client *client, uint8_t status, struct error *error);
/* Resets the device, by RESET_DEVICE or by status 0, whichever it offers. */
int vhost_client_reset(struct vhost_client *client, struct error *error);

/* A piece of guest memory and the file that it lies in, at region.mmap_offset. */
struct vhost_client_region {
	struct vhost_region region;
	int fd; /* owned by the caller; needed only during the call */
};

/*
 * Shares @count pieces of guest memory in place of those shared before. At most
 * VHOST_REGIONS_MAX without memory slots. After a failure it is unknown what is shared.
 */
int vhost_client_set_memory(struct vhost_client *client, const struct vhost_client_region *regions,
			    size_t count, struct error *error);
/* Shares one more piece, or stops sharing one: needs CONFIGURE_MEM_SLOTS. */
int vhost_client_add_memory(struct vhost_client *client, const struct vhost_client_region *region,
			    struct error *error);
int vhost_client_remove_memory(struct vhost_client *client, const struct vhost_region *region,
			       struct error *error);

/* A ring as the driver set it up. The caller keeps the descriptors; -1: none. */
struct vhost_client_ring {
	uint16_t index;
	uint16_t size;
	/* Addresses as in vhost_region.user_address; with ACCESS_PLATFORM the guest's. */
	uint64_t descriptors, driver, device;
	/*
	 * The position at which the device continues, as vhost_client_stop_ring returns it. A new
	 * ring: 0, or VHOST_PACKED_BASE when it is packed.
	 */
	uint32_t base;
	/*
	 * Its writes to the ring are logged, those to the used part as if that lay at this
	 * guest-physical address.
	 */
	bool logged;
	uint64_t log_address;
	int kick_fd; /* eventfd that the guest's kicks are written to; -1: the device polls */
	int call_fd; /* eventfd for interrupts; -1: the driver polls */
	int err_fd;
};

/* Both positions of a packed ring at its start: index 0, wrap counter 1. */
#define VHOST_PACKED_BASE 0x80008000u

/* Sets up a ring and enables it. */
int vhost_client_start_ring(struct vhost_client *client, const struct vhost_client_ring *ring,
			    struct error *error);
/* Replaces the interrupt descriptor of a ring. */
int vhost_client_set_call(struct vhost_client *client, uint16_t index, int call_fd,
			  struct error *error);
/* Enables or disables a ring that was started. */
int vhost_client_enable_ring(struct vhost_client *client, uint16_t index, bool enable,
			     struct error *error);
/* Stops a ring, with all its requests completed; *base (may be NULL) is its position. */
int vhost_client_stop_ring(struct vhost_client *client, uint16_t index, uint32_t *base,
			   struct error *error);

/*
 * The log of guest-physical pages that the device writes (struct guest_memory), for a migration:
 * @size bytes at @offset of the file @fd, which the caller keeps. Needs LOG_SHMFD. It is written
 * while VHOST_F_LOG_ALL is among the features; set those, and each ring's addresses, again to begin
 * or to end that, also while rings run. Read and clear it with atomic operations.
 */
int vhost_client_set_log(struct vhost_client *client, int fd, uint64_t offset, uint64_t size,
			 struct error *error);
/* Writes the addresses of a ring again, with what is to be logged. */
int vhost_client_set_ring_addresses(struct vhost_client *client,
				    const struct vhost_client_ring *ring, struct error *error);

/* Configuration space: @length bytes at @offset, in pieces of up to VHOST_CONFIG_MAX. */
int vhost_client_read_config(struct vhost_client *client, uint32_t offset, void *buffer,
			     uint32_t length, struct error *error);
/* -EIO: the device refuses the write. */
int vhost_client_write_config(struct vhost_client *client, uint32_t offset, const void *buffer,
			      uint32_t length, struct error *error);

/*
 * The sizes of the device's shared memory regions by id, whole pages; they stay as long as the
 * connection. *config is as on the wire, with the count corrected. Needs SHMEM.
 */
int vhost_client_get_shmem_config(struct vhost_client *client, struct vhost_shmem_config *config,
				  struct error *error);

/*
 * The internal state of the device, which its driver has set and cannot read back; needs
 * DEVICE_STATE. All rings must be stopped. save writes it to @buffer; -E2BIG: it is longer than
 * @size. load gives it to another device process of the same kind, before its rings start; -EIO:
 * it does not take it, and is as before. Both wait at most the client's timeout.
 */
int vhost_client_save_state(struct vhost_client *client, void *buffer, size_t size, size_t *length,
			    struct error *error);
int vhost_client_load_state(struct vhost_client *client, const void *state, size_t length,
			    struct error *error);

/*
 * Makes the device create a record of requests in flight for @queue_count rings of up to
 * @queue_size entries: *inflight describes it and *fd (owned by the caller) is its memory. Keep
 * both as long as the guest lives, and hand them to the device before the rings start, also after a
 * reconnection. Features must have been set.
 */
int vhost_client_get_inflight(struct vhost_client *client, uint16_t queue_count,
			      uint16_t queue_size, struct vhost_inflight *inflight, int *fd,
			      struct error *error);
int vhost_client_set_inflight(struct vhost_client *client, const struct vhost_inflight *inflight,
			      int fd, struct error *error);

/* Answers of the IOMMU. On return of invalidate the device no longer uses the range. */
int vhost_client_update_iotlb(struct vhost_client *client, uint64_t iova, uint64_t size,
			      uint64_t user_address, uint8_t access, struct error *error);
int vhost_client_invalidate_iotlb(struct vhost_client *client, uint64_t iova, uint64_t size,
				  struct error *error);

/* The connection, to watch for its end; do not read from it. */
int vhost_client_fd(const struct vhost_client *client);
/* The backend channel, to watch for EPOLLIN; -1: there is none. */
int vhost_client_backend_fd(const struct vhost_client *client);
/*
 * Handles the messages on the backend channel, without waiting, and calls the ops. Call it when the
 * channel is readable, and after other calls, which keep notices that arrive meanwhile for it.
 * Returns 1 when there is more: call again soon. Not from within the ops.
 */
int vhost_client_handle_backend(struct vhost_client *client, struct error *error);

#endif
