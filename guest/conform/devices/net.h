// SPDX-License-Identifier: BSD-3-Clause
/* A network device with both of its first queues, and someone on the network who answers (VIRTIO 1.4, 5.1). */
#ifndef CONFORM_NET_H
#define CONFORM_NET_H

#include <linux/virtio_net.h>

#include "bus/bus.h"

#define NET_HEADER  12u
#define FRAME_MIN   60u
#define NET_BUFFERS 16u
#define NET_BUFFER  2048u

struct net {
	struct device *device;
	struct queue *receive, *transmit;
	uint8_t *buffers; /* NET_BUFFERS of buffer_size bytes each */
	uint32_t buffer_size;
	uint8_t mac[6];
	uint8_t *out; /* place for a frame to be sent, with its header */
};

/* A frame that came. */
struct net_frame {
	uint8_t *data;	 /* header, then frame */
	uint32_t length; /* of both, as the device told */
};

/* Opens it; with @buffers receive buffers of @size bytes. */
void net_open(struct net *net, uint64_t features, uint32_t buffers, uint32_t size);
void net_offer(struct net *net, uint32_t index);
/* Sends out[0 .. length), cut into pieces of @cut bytes (0: whole); waits until it was used. */
void net_send(struct net *net, uint32_t length, uint32_t cut);
/* Forms a question for who has address @last of the network 10.0.2.0, asked by @self of it. */
uint32_t net_form_arp(struct net *net, uint8_t self, uint8_t last);
/* Forms an echo request with @size bytes of data to the gateway, whose MAC is @gateway. */
uint32_t net_form_echo(struct net *net, const uint8_t gateway[6], uint16_t sequence, uint32_t size);
/* Waits for a frame that came, gives its buffer's number in *token. False: none. */
bool net_wait(struct net *net, struct net_frame *frame, uint32_t *index, unsigned int ms);
/* Waits for the answer to the question of @self, giving buffers back. */
bool net_wait_arp(struct net *net, uint8_t self, uint8_t gateway[6], struct net_frame *frame,
		  unsigned int ms);
/* Asks until the gateway answers; skips when nobody does. */
void net_find_gateway(struct net *net, uint8_t gateway[6]);

#endif
