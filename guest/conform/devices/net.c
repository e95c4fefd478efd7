// SPDX-License-Identifier: BSD-3-Clause
/*
 * Who answers is the gateway 10.0.2.2 of a user-mode network (libslirp), which AVP and QEMU have alike;
 * the guest is 10.0.2.15 there. Where nobody answers, tests that need an answer are skipped.
 */
#include "devices/net.h"

#include "devices/vehicle.h"
#include "pages.h"

static void put16(uint8_t *place, uint32_t value)
{
	place[0] = (uint8_t)(value >> 8);
	place[1] = (uint8_t)value;
}

void net_offer(struct net *net, uint32_t index)
{
	struct driver_buffer buffer =
		buffer_of(net->buffers + index * net->buffer_size, net->buffer_size);

	driver_queue_add(&net->receive->ring, &buffer, 0, 1, (void *)(uintptr_t)(index + 1));
}

void net_open(struct net *net, uint64_t features, uint32_t buffers, uint32_t size)
{
	struct device *device = device_find(VIRTIO_ID_NET, TRANSPORT_ANY);

	*net = (struct net){.device = device, .buffer_size = size};
	device_open(device, features | FEATURE(VIRTIO_NET_F_MAC));
	net->receive = device_queue(device, 0, 64);
	net->transmit = device_queue(device, 1, 64);
	net->buffers = pages_get(NET_BUFFERS * size);
	net->out = pages_get(PAGE_SIZE);
	if (device->negotiated & FEATURE(VIRTIO_NET_F_MAC))
		for (uint32_t i = 0; i < 6; i++)
			net->mac[i] = (uint8_t)config_read(device, i, 1);
	else
		memcpy(net->mac, "\x02\x41\x56\x50\x00\x02", 6);
	device_run(device);
	for (uint32_t i = 0; i < buffers; i++)
		net_offer(net, i);
	queue_kick(net->receive);
}

void net_send(struct net *net, uint32_t length, uint32_t cut)
{
	struct driver_buffer buffers[40];
	uint32_t count = 0, written;

	for (uint32_t at = 0; at < length; count++) {
		uint32_t size = cut && cut < length - at && count < 39 ? cut : length - at;

		buffers[count] = buffer_of(net->out + at, size);
		at += size;
	}
	check(queue_do(net->transmit, buffers, count, 0, &written, ANSWER_MS),
	      "a frame of %u bytes in %u descriptors was not used (status 0x%x)", length, count,
	      net->device->ops->status(net->device));
}

static void form_head(struct net *net, const uint8_t to[6], uint32_t type)
{
	uint8_t *frame = net->out + NET_HEADER;

	memset(net->out, 0, NET_HEADER);
	memcpy(frame, to, 6);
	memcpy(frame + 6, net->mac, 6);
	put16(frame + 12, type);
}

uint32_t net_form_arp(struct net *net, uint8_t self, uint8_t last)
{
	static const uint8_t everyone[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	uint8_t *arp = net->out + NET_HEADER + 14;

	memset(net->out, 0, NET_HEADER + FRAME_MIN);
	form_head(net, everyone, 0x0806);
	memcpy(arp, "\x00\x01\x08\x00\x06\x04\x00\x01", 8);
	memcpy(arp + 8, net->mac, 6);
	memcpy(arp + 14, "\x0a\x00\x02", 3);
	arp[17] = self;
	memcpy(arp + 24, "\x0a\x00\x02", 3);
	arp[27] = last;
	return NET_HEADER + FRAME_MIN;
}

static uint16_t internet_sum(const uint8_t *data, uint32_t size)
{
	uint32_t sum = 0;

	for (uint32_t i = 0; i + 1 < size; i += 2)
		sum += (uint32_t)data[i] << 8 | data[i + 1];
	if (size & 1)
		sum += (uint32_t)data[size - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

uint32_t net_form_echo(struct net *net, const uint8_t gateway[6], uint16_t sequence, uint32_t size)
{
	uint8_t *ip = net->out + NET_HEADER + 14, *icmp = ip + 20;

	form_head(net, gateway, 0x0800);
	memset(ip, 0, 28);
	ip[0] = 0x45;
	put16(ip + 2, 28 + size);
	ip[8] = 64;
	ip[9] = 1;
	memcpy(ip + 12, "\x0a\x00\x02\x0f\x0a\x00\x02\x02", 8);
	put16(ip + 10, internet_sum(ip, 20));
	icmp[0] = 8;
	put16(icmp + 4, 0x4156);
	put16(icmp + 6, sequence);
	for (uint32_t i = 0; i < size; i++)
		icmp[8 + i] = (uint8_t)(i * 7 + sequence);
	put16(icmp + 2, internet_sum(icmp, 8 + size));
	return NET_HEADER + 14 + 28 + size;
}

bool net_wait(struct net *net, struct net_frame *frame, uint32_t *index, unsigned int ms)
{
	uint32_t written = 0;
	void *token = queue_wait(net->receive, &written, ms);

	if (!token)
		return false;
	*index = (uint32_t)(uintptr_t)token - 1;
	frame->data = net->buffers + *index * net->buffer_size;
	frame->length = written;
	return true;
}

bool net_wait_arp(struct net *net, uint8_t self, uint8_t gateway[6], struct net_frame *frame,
		  unsigned int ms)
{
	uint32_t index;

	for (int i = 0; i < 1000 && net_wait(net, frame, &index, ms); i++) {
		const uint8_t *arp = frame->data + NET_HEADER + 14;
		bool ours = frame->length >= NET_HEADER + 42 && arp[-2] == 8 && arp[-1] == 6 &&
			    arp[7] == 2 && arp[27] == self;

		if (ours)
			memcpy(gateway, arp + 8, 6);
		net_offer(net, index);
		queue_kick(net->receive);
		if (ours)
			return true;
	}
	return false;
}

void net_find_gateway(struct net *net, uint8_t gateway[6])
{
	struct net_frame frame;

	for (int i = 0; i < 3; i++) {
		net_send(net, net_form_arp(net, 15, 2), 0);
		if (net_wait_arp(net, 15, gateway, &frame, 700))
			return;
	}
	skip("nobody on the network answers for 10.0.2.2: give the guest a user-mode network");
}
