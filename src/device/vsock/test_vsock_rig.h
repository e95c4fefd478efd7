// SPDX-License-Identifier: BSD-3-Clause
/* A socket device in a test, with a host side and a driver that do what the test says. */
#ifndef AVP_DEVICE_VSOCK_TEST_VSOCK_RIG_H
#define AVP_DEVICE_VSOCK_TEST_VSOCK_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "device/vsock/vsock.h"
#include "unit/device_rig.h"
#include "virtio/feature.h"

#define RX	  VIRTIO_VSOCK_QUEUE_RX
#define TX	  VIRTIO_VSOCK_QUEUE_TX
#define EVENT	  VIRTIO_VSOCK_QUEUE_EVENT

#define STREAM	  FEATURE(VIRTIO_VSOCK_F_STREAM)
#define SEQPACKET FEATURE(VIRTIO_VSOCK_F_SEQPACKET)
#define EXPLICIT  FEATURE(VIRTIO_VSOCK_F_NO_IMPLIED_STREAM)
#define ALL	  (STREAM | SEQPACKET | EXPLICIT)

#define CID	  42
#define GUEST_BUF (1u << 20)
#define HEADER	  sizeof(struct virtio_vsock_hdr)
#define RX_BUFFER (HEADER + 4096)

struct vsock_rig {
	struct vsock_host host;
	struct vsock_device vsock;
	struct vsock_memory *memory;
	struct device_rig rig;
	bool refuses, holds; /* answers calls of the guest with no; not at all */
	struct vsock_connection *last;
	uint8_t input[200000], output[600000]; /* of the host side */
	size_t input_length, output_length, room;
	bool input_ended, fails;
	unsigned int called, accepted, shut, closed, discarded, wanted;
	enum vsock_forwarded forwards;
	struct virtio_vsock_hdr forwarded;
	uint8_t forwarded_bytes[100];
	unsigned int forward_calls;
	uint32_t sent; /* bytes of the driver in the connection of port 1000 */
};

/* Makes a device without a driver, and one with a driver that accepts @features. */
struct vsock_rig *vsock_rig_make(void);
struct vsock_rig *vsock_rig_boot(uint64_t features);

/* One with buffers and a connection from port 1000 of the guest to port 2000 of the host. */
struct vsock_rig *vsock_rig_connected(void);

/* Stops and frees it. */
void vsock_rig_end(struct vsock_rig *f);

/* Gives the device so many receive buffers. */
void vsock_rig_add_buffers(struct vsock_rig *f, unsigned int count);

/* The header of a packet; sends one with its bytes; one without any; bytes of that connection. */
struct virtio_vsock_hdr vsock_rig_packet(uint16_t op, uint32_t guest_port, uint32_t host_port);
void vsock_rig_send(struct vsock_rig *f, const struct virtio_vsock_hdr *header, const void *data,
		    size_t length);
void vsock_rig_send_op(struct vsock_rig *f, uint16_t op, uint32_t guest_port, uint32_t host_port);
void vsock_rig_send_bytes(struct vsock_rig *f, const void *data, size_t length);

/* The next packet for the driver, with its bytes behind it; NULL: there is none. */
struct virtio_vsock_hdr *vsock_rig_next(struct vsock_rig *f);

/* That its operation is this; that there is none. */
void vsock_rig_expect(struct vsock_rig *f, uint16_t op);
void vsock_rig_expect_nothing(struct vsock_rig *f);

/* Connects two ports. */
void vsock_rig_connect(struct vsock_rig *f, uint32_t guest_port, uint32_t host_port);

#endif
