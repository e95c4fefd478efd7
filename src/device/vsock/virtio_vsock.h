// SPDX-License-Identifier: BSD-3-Clause
/* What the kernel's header of the socket device lacks (VIRTIO 1.4, 5.10). */
#ifndef AVP_DEVICE_VSOCK_VIRTIO_VSOCK_H
#define AVP_DEVICE_VSOCK_VIRTIO_VSOCK_H

#include <linux/virtio_vsock.h>

/* Virtqueues (5.10.2). */
#define VIRTIO_VSOCK_QUEUE_RX	 0
#define VIRTIO_VSOCK_QUEUE_TX	 1
#define VIRTIO_VSOCK_QUEUE_EVENT 2

/* Feature bits (5.10.3). */
#define VIRTIO_VSOCK_F_STREAM		 0
#define VIRTIO_VSOCK_F_NO_IMPLIED_STREAM 2

/* Context ids that no guest has (5.10.4). */
#define VSOCK_CID_HYPERVISOR 0
#define VSOCK_CID_LOCAL	     1
#define VSOCK_CID_HOST	     2
#define VSOCK_CID_ANY	     0xffffffffu

/* The smallest and the largest that a guest can have. */
#define VSOCK_CID_MIN	    3
#define VSOCK_CID_MAX	    0xfffffffeu

#define VSOCK_SHUTDOWN_BOTH (VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND)

#endif
