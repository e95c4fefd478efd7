// SPDX-License-Identifier: BSD-3-Clause
/*
 * A network device with its first two queues, and the gateway that answers it (VIRTIO 1.4, 5.1).
 */
#ifndef CONFORM_NET_H
#define CONFORM_NET_H

#include <linux/virtio_net.h>

#include "bus/bus.h"

#define NET_HEADER  12u
#define FRAME_MIN   60u
#define NET_BUFFERS 16u /* for each receive queue */
#define NET_BUFFER  2048u
#define NET_PAIRS   4u /* most that are set up */

/* Features and values that kernel headers may lack (VIRTIO 1.4, 5.1.3, 5.1.9). */
#define NET_F_CTRL_RX_EXTRA    UINT64_C(20)
#define NET_F_GUEST_RSC4       UINT64_C(41)
#define NET_F_GUEST_RSC6       UINT64_C(42)
#define NET_F_STATISTICS       UINT64_C(50)
#define NET_F_HASH_TUNNEL      UINT64_C(51)
#define NET_F_QUEUE_COALESCING UINT64_C(52)
#define NET_F_COALESCING       UINT64_C(53)
#define NET_F_GUEST_USO4       UINT64_C(54)
#define NET_F_GUEST_USO6       UINT64_C(55)
#define NET_F_HOST_USO	       UINT64_C(56)
#define NET_F_HASH_REPORT      UINT64_C(57)
#define NET_F_GUEST_HDRLEN     UINT64_C(59)
#define NET_F_RSS	       UINT64_C(60)
#define NET_F_RSC_EXT	       UINT64_C(61)
#define NET_F_SPEED_DUPLEX     UINT64_C(63)
#define NET_FLAG_RSC_INFO      4
#define NET_FLAG_TUNNEL_CSUM   8
#define NET_FLAGS_SECURITY     0x70
#define NET_GSO_UDP_L4	       5
#define NET_GSO_TUNNELS	       0x60
#define NET_NO_ANSWER	       0xee

/* Bits of the third word of features. */
#define NET_HIGH_RSS_CONTEXT  (1u << 0)
#define NET_HIGH_HOST_TUNNEL  (1u << 3)
#define NET_HIGH_OUTER_HEADER (1u << 5)
#define NET_HIGH_IPSEC	      (1u << 6)
#define NET_HIGH_DEFINED      ((NET_HIGH_IPSEC << 1) - 1)

/* Reads a field of the configuration (VIRTIO 1.4, 5.1.4). */
#define NET_CONFIG(device, field)                                        \
	config_read((device), offsetof(struct virtio_net_config, field), \
		    sizeof(((struct virtio_net_config *)NULL)->field))

struct net {
	struct device *device;
	struct queue *receive, *transmit; /* of the first pair */
	struct queue *receives[NET_PAIRS];
	uint32_t pairs;
	uint32_t header;  /* bytes before a frame */
	uint8_t *buffers; /* NET_BUFFERS of buffer_size bytes each, for each pair */
	uint32_t buffer_size;
	uint8_t mac[6];
	uint8_t *out;  /* buffer for a frame to send, with its header */
	uint8_t *seen; /* copy of the last frame that was waited for */
};

#define NET_OUT 65536u

/* A received frame. */
struct net_frame {
	uint8_t *data;	 /* header, then frame */
	uint32_t length; /* of both: the used length */
	uint32_t pair;
};

/* Opens the first device, with @buffers receive buffers of @size bytes. */
void net_open(struct net *net, uint64_t features, uint32_t buffers, uint32_t size);
/*
 * The same with the @nth device and @high, the third word of feature bits; false: no such device.
 */
bool net_open_nth(struct net *net, unsigned int nth, uint64_t features, uint32_t high,
		  uint32_t buffers, uint32_t size);
void net_offer(struct net *net, uint32_t index);
/* Sends out[0 .. length) in pieces of @cut bytes (0: whole); waits until the device used them. */
void net_send(struct net *net, uint32_t length, uint32_t cut);
/* Writes an ARP request of 10.0.2.@self for 10.0.2.@last to out; returns its length. */
uint32_t net_form_arp(struct net *net, uint8_t self, uint8_t last);
/* Writes an echo request with @size bytes of data to the gateway, whose MAC is @gateway. */
uint32_t net_form_echo(struct net *net, const uint8_t gateway[6], uint16_t sequence, uint32_t size);
/*
 * Writes a TCP segment with @size bytes from @port to a closed port of the gateway. It belongs to
 * no connection, so a receiver that finds its checksum right answers with a reset that acknowledges
 * @sequence + @size (RFC 9293, 3.10.7.1).
 */
uint32_t net_form_tcp(struct net *net, const uint8_t gateway[6], uint16_t port, uint32_t sequence,
		      uint32_t size);
/* Waits for a frame; *index is its buffer's number. False: none. */
bool net_wait(struct net *net, struct net_frame *frame, uint32_t *index, unsigned int ms);
/* Sends several ARP requests at once; the gateway must get, and so answer, them in order. */
void net_expect_order(struct net *net);
/* Is it the ARP reply to @self? */
bool net_is_arp(const struct net *net, const struct net_frame *frame, uint8_t self);
/* Waits for the ARP reply to @self; returns the buffers of all received frames to the device. */
bool net_wait_arp(struct net *net, uint8_t self, uint8_t gateway[6], struct net_frame *frame,
		  unsigned int ms);
/* The same for an echo reply, and for a TCP reset to @port, which acknowledges *acknowledged. */
bool net_wait_echo(struct net *net, uint16_t sequence, struct net_frame *frame, unsigned int ms);
bool net_wait_reset(struct net *net, uint16_t port, uint32_t *acknowledged, struct net_frame *frame,
		    unsigned int ms);
/*
 * Asks until the gateway answers. If it does not, skips the test, or fails it if the command line
 * has gateway=1.
 */
void net_find_gateway(struct net *net, uint8_t gateway[6]);
/* Writes 16 bits in network byte order. */
void net_put16(uint8_t *bytes, uint32_t value);
/*
 * Sends the IPv4 packet in out[], whose frame is @length bytes long with its header, in fragments
 * of at most @mtu bytes.
 */
void net_send_fragments(struct net *net, uint32_t length, uint32_t mtu);
/* The internet checksum of @size bytes, added to the sum @start. */
uint16_t net_sum(const uint8_t *data, uint32_t size, uint32_t start);
/* The sum over the pseudo header of the IPv4 packet @ip and its payload of @size bytes. */
uint32_t net_pseudo_sum(const uint8_t *ip, uint32_t size);

/*
 * Opens the device with a control queue, which is returned, and, with VIRTIO_NET_F_MQ or RSS, with
 * as many pairs as it has (at most NET_PAIRS); skips if it has no control queue.
 */
struct queue *net_open_control(struct net *net, uint64_t features, uint32_t high, uint32_t buffers);
/* Sends a command with at most 1024 bytes of data; returns its ack, or NET_NO_ANSWER. */
uint8_t net_control(struct queue *queue, uint8_t class, uint8_t command, const void *data,
		    uint32_t size);
/* The same, with a result of at most @result_size bytes after the ack; *written counts both. */
uint8_t net_control_result(struct queue *queue, uint8_t class, uint8_t command, const void *data,
			   uint32_t size, void *result, uint32_t result_size, uint32_t *written);

#endif
