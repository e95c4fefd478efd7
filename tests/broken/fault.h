// SPDX-License-Identifier: BSD-3-Clause
/*
 * Faults of devices, injected from outside: functions that replace those of the core, of a device
 * or of a backend. The product has no code for them.
 */
#ifndef AVP_BROKEN_FAULT_H
#define AVP_BROKEN_FAULT_H

#include "device/block/block.h"
#include "device/can/can.h"
#include "device/entropy/entropy.h"
#include "device/net/net.h"
#include "virtio/ring.h"

struct fault {
	const char *name;
	const char *what; /* is broken */
	/* Test of the conformance guest that must find it, and the requirement that it breaks. */
	const char *test, *requirement;
	bool hangs;	    /* the guest hangs, not only a request */
	bool allowed;	    /* not a fault: the test must pass */
	bool further;	    /* another test that finds the fault of that name */
	const char *device; /* name of the only device class that has it; NULL: all of them */

	/* Replacements, which may call the real function. NULL: the real function. */
	bool (*has_request)(struct virtqueue *queue);
	int (*take)(struct virtqueue *queue, struct virtio_request *request);
	void (*use)(struct virtqueue *queue, struct virtio_request *batch);
	bool (*notification_wanted)(struct virtqueue *queue, uint16_t unsignalled);
	void (*set_kicks)(struct virtqueue *queue, bool enabled);
	void (*stop_queue)(struct virtqueue *queue, uint16_t *available_index,
			   uint16_t *used_index);
	void (*handle)(struct virtio_device *device, struct virtqueue *queue);
	size_t (*write)(struct virtio_request *request, const void *buffer, size_t length);
	void (*submit)(struct block_backend *backend, struct block_operation *operation);
	size_t (*fill)(struct entropy_backend *backend, void *buffer, size_t length);
	bool (*send)(struct net_backend *backend, uint16_t pair,
		     const struct virtio_segment *segments, uint32_t count);
	enum net_received (*receive)(struct net_device *net, uint16_t pair,
				     const struct virtio_net_hdr_v1 *header, const void *frame,
				     size_t length);
	void (*can_start)(struct can_backend *backend);
	void (*can_stop)(struct can_backend *backend);
	bool (*can_send)(struct can_backend *backend, uint32_t tag, const struct can_frame *frame);
	void (*can_receive)(struct can_device *can, const struct can_frame *frame);

	/* Called in addition: when a queue has started, and before a device is served. */
	void (*started)(struct virtqueue *queue);
	void (*serve)(struct virtio_device *device);
};

/* The tables of the files of that name, and of operators.c; each ends with an empty row. */
extern const struct fault ring_faults[], device_faults[], can_faults[], vsock_faults[],
	operator_faults[];

/* The real functions. */
const struct virtqueue_format *fault_real_format(const struct virtqueue *queue);

static inline bool is_packed(const struct virtqueue *queue)
{
	return fault_real_format(queue) == &packed_format;
}

static inline void use_real(struct virtqueue *queue, struct virtio_request *batch)
{
	fault_real_format(queue)->use(queue, batch);
}

extern void (*fault_real_handle)(struct virtio_device *device, struct virtqueue *queue);
extern const struct block_backend_ops *fault_real_block;
extern const struct net_backend_ops *fault_real_net;
extern const struct can_backend_ops *fault_real_can;
extern size_t (*fault_real_fill)(struct entropy_backend *backend, void *buffer, size_t length);
void __real_virtio_device_stop_queue(struct virtio_device *device, struct virtqueue *queue,
				     uint16_t *available_index, uint16_t *used_index);
size_t __real_request_write(struct virtio_request *request, const void *buffer, size_t length);
enum net_received __real_net_device_receive(struct net_device *net, uint16_t pair,
					    const struct virtio_net_hdr_v1 *header,
					    const void *frame, size_t length);
void __real_can_device_receive(struct can_device *can, const struct can_frame *frame);

#endif
