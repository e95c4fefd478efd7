// SPDX-License-Identifier: BSD-3-Clause
/* A network device on the user-mode network, and a guest made of a few frames. */
#include "device/net/user/test_user_net_rig.h"

#include <setjmp.h>
#include <stdarg.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <linux/virtio_net.h>
#include <net/if_arp.h>
#include <netinet/if_ether.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define QUEUE_SIZE 1024
#define HEADER	   sizeof(struct virtio_net_hdr_v1)

const uint8_t user_net_mac[ETH_ALEN] = {2, 0, 0, 0, 0, 1};
const uint8_t user_net_gateway_mac[ETH_ALEN] = {0x52, 0x55, 10, 0, 2, 2};
static const uint8_t everybody[ETH_ALEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static void start_driver(struct user_net_rig *f)
{
	device_rig_start(&f->rig, &f->net.device, 0, QUEUE_SIZE);
	for (int i = 0; i < USER_NET_BUFFERS; i++)
		device_rig_add(&f->rig, 0, NULL, 0, 2048, 4096);
	device_rig_kick(&f->rig, 0);
	f->rig.rings_end = f->rig.placed;
}

struct user_net_rig *user_net_rig_start(const struct port_forward *forwards, size_t count,
					bool host_loopback)
{
	const struct user_net_settings settings = {
		.subnet = subnet_default(0),
		.host_loopback = host_loopback,
		.forwards = forwards,
		.forward_count = count,
	};

	return user_net_rig_start_with(&settings);
}

struct user_net_rig *user_net_rig_start_with(const struct user_net_settings *settings)
{
	const struct net_settings net_settings = {.mac = {2, 0, 0, 0, 0, 1},
						  .pairs = 1,
						  .queue_size_max = QUEUE_SIZE};
	struct user_net_rig *f = calloc(1, sizeof(*f));
	struct error error = {0};

	assert_int_equal(event_loop_init(&f->loop, EVENT_LOOP_POLL_LIMIT_NS, &error), 0);
	f->user = user_net_new(&f->loop, settings, &error);
	if (!f->user && error.code == ENOENT) {
		print_message("%s\n", error.message);
		skip();
	}
	assert_non_null(f->user);
	net_device_init(&f->net, &net_settings, user_net_net(f->user), f->queues);
	start_driver(f);
	return f;
}

void user_net_rig_stop(struct user_net_rig *f)
{
	device_rig_stop(&f->rig);
	user_net_free(f->user);
	event_loop_close(&f->loop);
	free(f);
}

void user_net_rig_restart(struct user_net_rig *f)
{
	device_rig_stop(&f->rig);
	start_driver(f);
}

/* The guest sends a frame. */
void user_net_rig_send(struct user_net_rig *f, const void *frame, size_t length)
{
	uint8_t bytes[HEADER + 2048] = {0};
	uint32_t written;

	memcpy(bytes + HEADER, frame, length);
	device_rig_clear(&f->rig);
	device_rig_add(&f->rig, 1, bytes, HEADER + length, 0, 100);
	device_rig_kick(&f->rig, 1);
	device_rig_take(&f->rig, 1, &written);
}

/* Takes the next frame for the guest into f->frame; false when there is none. */
bool user_net_rig_take(struct user_net_rig *f)
{
	uint32_t written;
	uint8_t *in;

	if (!device_rig_has_used(&f->rig, 0))
		return false;
	in = device_rig_at(&f->rig, device_rig_take(&f->rig, 0, &written));
	assert_true(written > HEADER && written <= 2048);
	f->length = written - HEADER;
	memcpy(f->frame, in + HEADER, f->length);
	/* The header asks for no work of the guest: no offloads were offered. */
	assert_int_equal(in[0], 0);
	assert_int_equal(in[1], VIRTIO_NET_HDR_GSO_NONE);
	return true;
}

/* Answers the frame received last if it asks for the guest's Ethernet address. */
static bool answer_arp(struct user_net_rig *f)
{
	struct __attribute__((packed)) {
		struct ether_header ethernet;
		struct ether_arp arp;
	} frame;

	memcpy(&frame, f->frame, sizeof(frame));
	if (f->length < sizeof(frame) || frame.ethernet.ether_type != htons(ETHERTYPE_ARP) ||
	    frame.arp.arp_op != htons(ARPOP_REQUEST))
		return false;
	assert_memory_equal(frame.arp.arp_tpa, &(in_addr_t){inet_addr(USER_NET_GUEST)}, 4);
	memcpy(frame.ethernet.ether_dhost, frame.ethernet.ether_shost, ETH_ALEN);
	memcpy(frame.ethernet.ether_shost, user_net_mac, ETH_ALEN);
	frame.arp.arp_op = htons(ARPOP_REPLY);
	memcpy(frame.arp.arp_tha, frame.arp.arp_sha, ETH_ALEN);
	memcpy(frame.arp.arp_tpa, frame.arp.arp_spa, 4);
	memcpy(frame.arp.arp_sha, user_net_mac, ETH_ALEN);
	memcpy(frame.arp.arp_spa, &(in_addr_t){inet_addr(USER_NET_GUEST)}, 4);
	user_net_rig_send(f, &frame, sizeof(frame));
	return true;
}

void user_net_rig_wait(struct user_net_rig *f)
{
	const time_t limit = time(NULL) + 20;

	while (!user_net_rig_take(f) || answer_arp(f)) {
		assert_true(event_loop_turn(&f->loop, 30000) >= 0);
		assert_true(time(NULL) < limit);
	}
}

uint16_t user_net_rig_checksum(const void *data, size_t length, uint32_t sum)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < length; i++)
		sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

/* Fills in Ethernet and IP headers for @length bytes after them. Returns the frame's length. */
size_t user_net_rig_wrap(struct user_net_packet *packet, const uint8_t *destination,
			 uint8_t protocol, const char *from, const char *to, size_t length)
{
	memcpy(packet->ethernet.ether_dhost, destination, ETH_ALEN);
	memcpy(packet->ethernet.ether_shost, user_net_mac, ETH_ALEN);
	packet->ethernet.ether_type = htons(ETHERTYPE_IP);
	packet->ip = (struct iphdr){
		.version = 4,
		.ihl = 5,
		.tot_len = htons((uint16_t)(sizeof(packet->ip) + length)),
		.ttl = 64,
		.protocol = protocol,
		.saddr = inet_addr(from),
		.daddr = inet_addr(to),
	};
	packet->ip.check = user_net_rig_checksum(&packet->ip, sizeof(packet->ip), 0);
	return sizeof(packet->ethernet) + sizeof(packet->ip) + length;
}

const struct user_net_packet *user_net_rig_received(const struct user_net_rig *f)
{
	return (const struct user_net_packet *)f->frame;
}

/*
 * Sends DHCP message @type; the answer's type is returned and the address offered put in *address.
 */
uint8_t user_net_rig_dhcp(struct user_net_rig *f, uint8_t type, in_addr_t *address)
{
	static const uint8_t magic[4] = {99, 130, 83, 99};
	struct user_net_packet packet = {0};
	uint8_t *message = packet.data, *option = message + 240;
	size_t length = sizeof(packet.udp) + 300;
	const uint8_t *answer;

	message[0] = 1; /* request */
	message[1] = 1; /* Ethernet */
	message[2] = ETH_ALEN;
	message[4] = 0x77; /* transaction */
	memcpy(message + 28, user_net_mac, ETH_ALEN);
	memcpy(message + 236, magic, sizeof(magic));
	*option++ = 53;
	*option++ = 1;
	*option++ = type;
	if (type == 3) {
		*option++ = 50;
		*option++ = 4;
		memcpy(option, address, 4);
		option += 4;
	}
	*option = 255;
	packet.udp.uh_sport = htons(68);
	packet.udp.uh_dport = htons(67);
	packet.udp.uh_ulen = htons((uint16_t)length);
	user_net_rig_send(f, &packet,
			  user_net_rig_wrap(&packet, everybody, IPPROTO_UDP, "0.0.0.0",
					    "255.255.255.255", length));
	user_net_rig_wait(f);
	assert_int_equal(user_net_rig_received(f)->udp.uh_sport, htons(67));
	answer = user_net_rig_received(f)->data;
	assert_int_equal(answer[0], 2);
	assert_int_equal(answer[4], 0x77);
	memcpy(address, answer + 16, 4);
	assert_int_equal(answer[240], 53);
	return answer[242];
}

/* A socket of the host, bound to a port of its own; *port in host byte order. */
int user_net_rig_socket(int type, uint16_t *port)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t length = sizeof(address);
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
	*port = ntohs(address.sin_port);
	return fd;
}

bool user_net_rig_pending(int listener)
{
	struct pollfd poller = {.fd = listener, .events = POLLIN};

	return poll(&poller, 1, 0) > 0;
}

/* A port that is probably free. */
uint16_t user_net_rig_free_port(int type)
{
	uint16_t port;

	close(user_net_rig_socket(type, &port));
	return port;
}

/* The checksum of a TCP segment between two addresses. */
static uint16_t tcp_checksum(const void *segment, size_t length, in_addr_t from, in_addr_t to)
{
	uint8_t pseudo[12] =
		{[9] = IPPROTO_TCP, [10] = (uint8_t)(length >> 8), [11] = (uint8_t)length};
	uint32_t sum = 0;

	memcpy(pseudo, &from, 4);
	memcpy(pseudo + 4, &to, 4);
	for (size_t i = 0; i < sizeof(pseudo); i++)
		sum += i % 2 ? pseudo[i] : (uint32_t)pseudo[i] << 8;
	return user_net_rig_checksum(segment, length, sum);
}

uint16_t user_net_rig_tcp_checksum(const struct user_net_rig *f)
{
	const struct user_net_packet *packet = user_net_rig_received(f);

	return tcp_checksum(&packet->tcp, ntohs(packet->ip.tot_len) - sizeof(packet->ip),
			    packet->ip.saddr, packet->ip.daddr);
}

void user_net_rig_send_tcp(struct user_net_rig *f, const uint8_t *mac, uint16_t from_port,
			   const char *to, uint16_t to_port, uint8_t flags, uint32_t sequence,
			   uint32_t acknowledged, const char *text)
{
	user_net_rig_send_segment(f, mac, from_port, to, to_port, flags, sequence, acknowledged,
				  text, strlen(text));
}

void user_net_rig_send_segment(struct user_net_rig *f, const uint8_t *mac, uint16_t from_port,
			       const char *to, uint16_t to_port, uint8_t flags, uint32_t sequence,
			       uint32_t acknowledged, const void *data, size_t data_length)
{
	struct user_net_packet packet = {0};
	size_t length = sizeof(packet.tcp) + data_length;

	packet.tcp.th_sport = htons(from_port);
	packet.tcp.th_dport = htons(to_port);
	packet.tcp.th_seq = htonl(sequence);
	packet.tcp.th_ack = htonl(acknowledged);
	packet.tcp.th_off = 5;
	packet.tcp.th_flags = flags;
	packet.tcp.th_win = htons(8192);
	packet.tcp.th_urp = htons(f->urgent);
	memcpy((uint8_t *)&packet.tcp + sizeof(packet.tcp), data, data_length);
	packet.tcp.th_sum =
		tcp_checksum(&packet.tcp, length, inet_addr(USER_NET_GUEST), inet_addr(to)) ^
		f->damage;
	user_net_rig_send(f, &packet,
			  user_net_rig_wrap(&packet, mac, IPPROTO_TCP, USER_NET_GUEST, to, length));
}

/* Waits for a TCP segment with these flags. */
void user_net_rig_wait_tcp(struct user_net_rig *f, uint8_t flags)
{
	do
		user_net_rig_wait(f);
	while (user_net_rig_received(f)->ip.protocol != IPPROTO_TCP ||
	       (user_net_rig_received(f)->tcp.th_flags & flags) != flags);
}

int user_net_rig_connect(struct user_net_rig *f, int listener, uint16_t port, uint32_t *theirs)
{
	int fd;

	user_net_rig_send_tcp(f, user_net_gateway_mac, 5000, USER_NET_GATEWAY, port, TH_SYN, 1000,
			      0, "");
	user_net_rig_wait_tcp(f, TH_SYN | TH_ACK);
	*theirs = ntohl(user_net_rig_received(f)->tcp.th_seq) + 1;
	user_net_rig_send_tcp(f, user_net_gateway_mac, 5000, USER_NET_GATEWAY, port, TH_ACK, 1001,
			      *theirs, "");
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}
