// SPDX-License-Identifier: BSD-3-Clause
/*
 * The peer is the gateway 10.0.2.2 of a user-mode network (libslirp), which AVP and QEMU both have;
 * the guest is 10.0.2.15 there. Without a peer, tests that need an answer are skipped.
 */
#include "devices/net.h"

#include "devices/dut.h"
#include "pages.h"

void net_put16(uint8_t *bytes, uint32_t value)
{
	bytes[0] = (uint8_t)(value >> 8);
	bytes[1] = (uint8_t)value;
}

static uint16_t get16(const uint8_t *bytes)
{
	return (uint16_t)(bytes[0] << 8 | bytes[1]);
}

static uint32_t get32(const uint8_t *bytes)
{
	return (uint32_t)get16(bytes) << 16 | get16(bytes + 2);
}

void net_offer(struct net *net, uint32_t index)
{
	struct driver_buffer buffer =
		buffer_of(net->buffers + index * net->buffer_size, net->buffer_size);
	struct queue *queue = net->receives[index / NET_BUFFERS];

	driver_queue_add(&queue->ring, &buffer, 0, 1, (void *)(uintptr_t)(index + 1));
	if (index >= NET_BUFFERS)
		queue_kick(queue);
}

/* VIRTIO 1.4, 5.1.9.3: how long the header is. */
static uint32_t header_size(const struct device *device)
{
	if (device->negotiated_high & (NET_HIGH_OUTER_HEADER | NET_HIGH_IPSEC))
		return 32;
	if (device->negotiated_high & NET_HIGH_HOST_TUNNEL)
		return 24;
	return device->negotiated & FEATURE(NET_F_HASH_REPORT) ? 20 : NET_HEADER;
}

/* Sets what depends on the negotiated features. */
static void take_memory(struct net *net, uint32_t size)
{
	struct device *device = net->device;

	net->buffer_size = size;
	net->header = header_size(device);
	net->buffers = pages_get(net->pairs * NET_BUFFERS * size);
	net->out = pages_get(NET_OUT);
	net->seen = pages_get(size);
	if (device->negotiated & FEATURE(VIRTIO_NET_F_MAC))
		for (uint32_t i = 0; i < 6; i++)
			net->mac[i] = (uint8_t)config_read(device, i, 1);
	else
		memcpy(net->mac, "\x02\x41\x56\x50\x00\x02", 6);
}

static void set_up_pairs(struct net *net)
{
	for (uint32_t i = 0; i < net->pairs; i++) {
		struct queue *transmit;

		net->receives[i] = device_queue(net->device, 2 * i, 64);
		transmit = device_queue(net->device, 2 * i + 1, 64);
		if (i == 0)
			net->transmit = transmit;
	}
	net->receive = net->receives[0];
}

static void fill_queues(struct net *net, uint32_t buffers)
{
	for (uint32_t pair = 0; pair < net->pairs; pair++)
		for (uint32_t i = 0; i < buffers; i++)
			net_offer(net, pair * NET_BUFFERS + i);
	queue_kick(net->receive);
}

bool net_open_nth(struct net *net, unsigned int nth, uint64_t features, uint32_t high,
		  uint32_t buffers, uint32_t size)
{
	*net = (struct net){.device = device_nth(VIRTIO_ID_NET, TRANSPORT_ANY, nth), .pairs = 1};
	if (!net->device)
		return false;
	device_open_wide(net->device, features | FEATURE(VIRTIO_NET_F_MAC), high);
	set_up_pairs(net);
	take_memory(net, size);
	device_run(net->device);
	fill_queues(net, buffers);
	return true;
}

void net_open(struct net *net, uint64_t features, uint32_t buffers, uint32_t size)
{
	net_open_nth(net, 0, features, 0, buffers, size);
}

struct queue *net_open_control(struct net *net, uint64_t features, uint32_t high, uint32_t buffers)
{
	const uint64_t several = FEATURE(VIRTIO_NET_F_MQ) | FEATURE(NET_F_RSS);
	struct device *device = device_find(VIRTIO_ID_NET, TRANSPORT_ANY);
	uint32_t pairs = 1;
	struct queue *queue;

	if (!(device_offered(device) & FEATURE(VIRTIO_NET_F_CTRL_VQ)))
		skip("%s does not offer VIRTIO_NET_F_CTRL_VQ", device_name(device));
	device_open_wide(
		device, features | FEATURE(VIRTIO_NET_F_MAC) | FEATURE(VIRTIO_NET_F_CTRL_VQ), high);
	/* VIRTIO 1.4, 5.1.2: the control queue follows max_virtqueue_pairs pairs. */
	if (device->negotiated & several)
		pairs = (uint32_t)config_read(device, 8, 2);
	*net = (struct net){.device = device, .pairs = pairs < NET_PAIRS ? pairs : NET_PAIRS};
	set_up_pairs(net);
	queue = device_queue(device, 2 * pairs, 16);
	take_memory(net, NET_BUFFER);
	device_run(device);
	fill_queues(net, buffers);
	return queue;
}

uint8_t net_control_result(struct queue *queue, uint8_t class, uint8_t command, const void *data,
			   uint32_t size, void *result, uint32_t result_size, uint32_t *written)
{
	static uint8_t head[2], body[1024];
	static volatile uint8_t answer;
	struct driver_buffer buffers[4];
	unsigned int count = 0, readable;

	head[0] = class;
	head[1] = command;
	memcpy(body, data, size);
	answer = NET_NO_ANSWER;
	buffers[count++] = buffer_of(head, sizeof(head));
	if (size)
		buffers[count++] = buffer_of(body, size);
	readable = count;
	buffers[count++] = buffer_of((void *)&answer, 1);
	if (result_size)
		buffers[count++] = buffer_of(result, result_size);
	check(queue_do(queue, buffers, readable, count - readable, written, ANSWER_MS),
	      "command %u of class %u was not used (status 0x%x)", command, class,
	      queue->device->ops->status(queue->device));
	return answer;
}

uint8_t net_control(struct queue *queue, uint8_t class, uint8_t command, const void *data,
		    uint32_t size)
{
	uint32_t written;

	return net_control_result(queue, class, command, data, size, NULL, 0, &written);
}

void net_send(struct net *net, uint32_t length, uint32_t cut)
{
	struct driver_buffer buffers[40];
	uint32_t count = 0, most = 40, written;

	if (net->transmit->size < most)
		most = net->transmit->size;
	for (uint32_t at = 0; at < length; count++) {
		uint32_t size = cut && cut < length - at && count + 1 < most ? cut : length - at;

		buffers[count] = buffer_of(net->out + at, size);
		at += size;
	}
	check(queue_do(net->transmit, buffers, count, 0, &written, ANSWER_MS),
	      "a frame of %u bytes in %u descriptors was not used (status 0x%x)", length, count,
	      net->device->ops->status(net->device));
}

static void form_head(struct net *net, const uint8_t to[6], uint32_t type)
{
	uint8_t *frame = net->out + net->header;

	memset(net->out, 0, net->header);
	memcpy(frame, to, 6);
	memcpy(frame + 6, net->mac, 6);
	net_put16(frame + 12, type);
}

uint32_t net_form_arp(struct net *net, uint8_t self, uint8_t last)
{
	static const uint8_t everyone[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	uint8_t *arp = net->out + net->header + 14;

	memset(net->out, 0, net->header + FRAME_MIN);
	form_head(net, everyone, 0x0806);
	memcpy(arp, "\x00\x01\x08\x00\x06\x04\x00\x01", 8);
	memcpy(arp + 8, net->mac, 6);
	memcpy(arp + 14, "\x0a\x00\x02", 3);
	arp[17] = self;
	memcpy(arp + 24, "\x0a\x00\x02", 3);
	arp[27] = last;
	return net->header + FRAME_MIN;
}

uint16_t net_sum(const uint8_t *data, uint32_t size, uint32_t start)
{
	uint32_t sum = start;

	for (uint32_t i = 0; i + 1 < size; i += 2)
		sum += get16(data + i);
	if (size & 1)
		sum += (uint32_t)data[size - 1] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

uint32_t net_pseudo_sum(const uint8_t *ip, uint32_t size)
{
	uint32_t sum = ip[9] + size;

	for (int i = 12; i < 20; i += 2)
		sum += get16(ip + i);
	return sum;
}

static uint8_t *form_ip(struct net *net, const uint8_t gateway[6], uint8_t protocol, uint32_t size)
{
	uint8_t *ip = net->out + net->header + 14;

	form_head(net, gateway, 0x0800);
	memset(ip, 0, 40);
	ip[0] = 0x45;
	net_put16(ip + 2, 20 + size);
	ip[8] = 64;
	ip[9] = protocol;
	memcpy(ip + 12, "\x0a\x00\x02\x0f\x0a\x00\x02\x02", 8);
	net_put16(ip + 10, net_sum(ip, 20, 0));
	return ip + 20;
}

uint32_t net_form_echo(struct net *net, const uint8_t gateway[6], uint16_t sequence, uint32_t size)
{
	uint8_t *icmp = form_ip(net, gateway, 1, 8 + size);

	icmp[0] = 8;
	net_put16(icmp + 4, 0x4156);
	net_put16(icmp + 6, sequence);
	for (uint32_t i = 0; i < size; i++)
		icmp[8 + i] = (uint8_t)(i * 7 + sequence);
	net_put16(icmp + 2, net_sum(icmp, 8 + size, 0));
	return net->header + 14 + 28 + size;
}

uint32_t net_form_tcp(struct net *net, const uint8_t gateway[6], uint16_t port, uint32_t sequence,
		      uint32_t size)
{
	uint8_t *tcp = form_ip(net, gateway, 6, 20 + size);

	memset(tcp, 0, 20);
	net_put16(tcp, port);
	net_put16(tcp + 2, 9); /* discard */
	net_put16(tcp + 4, sequence >> 16);
	net_put16(tcp + 6, sequence);
	tcp[12] = 5 << 4;
	tcp[13] = 8; /* push, without SYN and ACK */
	net_put16(tcp + 14, 1024);
	for (uint32_t i = 0; i < size; i++)
		tcp[20 + i] = (uint8_t)(i * 5 + sequence);
	net_put16(tcp + 16, net_sum(tcp, 20 + size, net_pseudo_sum(tcp - 20, 20 + size)));
	return net->header + 14 + 40 + size;
}

static struct queue *used_queue(const struct net *net)
{
	for (uint32_t i = 0; i < net->pairs; i++)
		if (driver_queue_has_used(&net->receives[i]->ring))
			return net->receives[i];
	return NULL;
}

bool net_wait(struct net *net, struct net_frame *frame, uint32_t *index, unsigned int ms)
{
	uint32_t written = 0;
	struct queue *queue = NULL;
	void *token;

	if (!wait_until((queue = used_queue(net)) != NULL, ms))
		return false;
	token = queue_wait(queue, &written, ms);
	if (!token)
		return false;
	*index = (uint32_t)(uintptr_t)token - 1;
	frame->data = net->buffers + *index * net->buffer_size;
	frame->length = written;
	frame->pair = *index / NET_BUFFERS;
	return true;
}

bool net_is_arp(const struct net *net, const struct net_frame *frame, uint8_t self)
{
	const uint8_t *ether = frame->data + net->header, *arp = ether + 14;

	return frame->length >= net->header + 42 && get16(ether + 12) == 0x0806 && arp[7] == 2 &&
	       arp[27] == self;
}

/* Which frame to wait for. */
struct wanted {
	uint32_t protocol; /* of IPv4; 0: ARP */
	uint32_t number;
};

static bool is_wanted(const struct net *net, const struct net_frame *frame, struct wanted wanted)
{
	const uint8_t *ether = frame->data + net->header, *ip = ether + 14, *payload = ip + 20;

	if (wanted.protocol == 0)
		return net_is_arp(net, frame, (uint8_t)wanted.number);
	if (frame->length < net->header + 42 || get16(ether + 12) != 0x0800 || ip[0] != 0x45 ||
	    ip[9] != wanted.protocol)
		return false;
	if (wanted.protocol == 1)
		return payload[0] == 0 && get16(payload + 6) == wanted.number;
	return frame->length >= net->header + 54 && get16(payload + 2) == wanted.number &&
	       payload[13] & 4;
}

static bool wait_for(struct net *net, struct wanted wanted, struct net_frame *frame,
		     unsigned int ms)
{
	uint32_t index;

	for (int i = 0; i < 1000 && net_wait(net, frame, &index, ms); i++) {
		bool ours = is_wanted(net, frame, wanted);

		/* The device may use the buffer again at once. */
		if (ours && frame->length <= net->buffer_size) {
			memcpy(net->seen, frame->data, frame->length);
			frame->data = net->seen;
		}
		net_offer(net, index);
		queue_kick(net->receive);
		if (ours)
			return true;
	}
	return false;
}

bool net_wait_arp(struct net *net, uint8_t self, uint8_t gateway[6], struct net_frame *frame,
		  unsigned int ms)
{
	if (!wait_for(net, (struct wanted){0, self}, frame, ms))
		return false;
	memcpy(gateway, frame->data + net->header + 14 + 8, 6);
	return true;
}

bool net_wait_echo(struct net *net, uint16_t sequence, struct net_frame *frame, unsigned int ms)
{
	return wait_for(net, (struct wanted){1, sequence}, frame, ms);
}

bool net_wait_reset(struct net *net, uint16_t port, uint32_t *acknowledged, struct net_frame *frame,
		    unsigned int ms)
{
	if (!wait_for(net, (struct wanted){6, port}, frame, ms))
		return false;
	*acknowledged = get32(frame->data + net->header + 14 + 20 + 8);
	return true;
}

void net_find_gateway(struct net *net, uint8_t gateway[6])
{
	struct net_frame frame;

	for (int i = 0; i < 3; i++) {
		net_send(net, net_form_arp(net, 15, 2), 0);
		if (net_wait_arp(net, 15, gateway, &frame, 700))
			return;
	}
	check(!option_number("gateway", 0),
	      "10.0.2.2 does not answer, though the command line has gateway=1");
	skip("10.0.2.2 does not answer: give the guest a user-mode network");
}

#define ORDERED	   8u
#define ORDERED_AT 20u /* the first address that asks */

void net_expect_order(struct net *net)
{
	uint32_t length = net->header + FRAME_MIN, written, index;
	uint8_t *frames = pages_get(ORDERED * length), next = 0;
	struct net_frame frame;

	for (uint8_t i = 0; i < ORDERED; i++) {
		struct driver_buffer buffer = buffer_of(frames + i * length, length);

		net_form_arp(net, (uint8_t)(ORDERED_AT + i), 2);
		memcpy(frames + i * length, net->out, length);
		check(driver_queue_add(&net->transmit->ring, &buffer, 1, 0, net) == 0, "no room");
	}
	queue_kick(net->transmit);
	for (uint32_t i = 0; i < ORDERED; i++)
		check(queue_wait(net->transmit, &written, ANSWER_MS), "%u of %u frames were used",
		      i, ORDERED);
	while (next < ORDERED && net_wait(net, &frame, &index, ANSWER_MS)) {
		const uint8_t *arp = frame.data + net->header + 14;
		uint8_t self = arp[27];

		if (self >= ORDERED_AT && net_is_arp(net, &frame, self)) {
			check(self == ORDERED_AT + next,
			      "the answer for .%u came before that for .%u", self,
			      ORDERED_AT + next);
			next++;
		}
		net_offer(net, index);
		queue_kick(net->receive);
	}
	check(next == ORDERED, "%u of %u answers arrived", next, ORDERED);
}

#define ETHERNET	14u
#define IP_HEADER	20u
#define IP_MORE		0x2000u
#define IP_OFFSET_UNITS 8u

void net_send_fragments(struct net *net, uint32_t length, uint32_t mtu)
{
	uint8_t *ip = net->out + net->header + ETHERNET;
	uint32_t total = length - net->header - ETHERNET - IP_HEADER;
	uint32_t most = (mtu - IP_HEADER) / IP_OFFSET_UNITS * IP_OFFSET_UNITS;
	uint8_t *payload = pages_get(total);

	memcpy(payload, ip + IP_HEADER, total);
	for (uint32_t at = 0; at < total; at += most) {
		uint32_t size = total - at < most ? total - at : most;

		net_put16(ip + 2, IP_HEADER + size);
		net_put16(ip + 6, at / IP_OFFSET_UNITS | (at + size < total ? IP_MORE : 0));
		net_put16(ip + 10, 0);
		net_put16(ip + 10, net_sum(ip, IP_HEADER, 0));
		memcpy(ip + IP_HEADER, payload + at, size);
		net_send(net, net->header + ETHERNET + IP_HEADER + size, 0);
	}
}
