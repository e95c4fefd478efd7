// SPDX-License-Identifier: BSD-3-Clause
/*
 * User-mode networking: a network device on libslirp, and a guest that is a few frames in this
 * test.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <linux/virtio_net.h>
#include <net/ethernet.h>
#include <net/if_arp.h>
#include <netinet/if_ether.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "backend/user_net.h"
#include "device/net.h"
#include "device_rig.h"

#define HEADER	sizeof(struct virtio_net_hdr_v1)
#define GUEST	"10.0.2.15"
#define GATEWAY "10.0.2.2"
/* That the guest gives for frames. */
#define BUFFERS 30

static const uint8_t guest_mac[ETH_ALEN] = {2, 0, 0, 0, 0, 1};
static const uint8_t everybody[ETH_ALEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

struct fixture {
	struct event_loop loop;
	struct user_net *user;
	struct net_device net;
	struct virtqueue queues[3];
	struct device_rig rig;
	uint8_t frame[2048]; /* the last received */
	size_t length;
};

static struct fixture *start(const struct port_forward *forwards, size_t count)
{
	const struct user_net_settings settings = {.forwards = forwards, .forward_count = count};
	const struct net_settings net_settings = {.mac = {2, 0, 0, 0, 0, 1},
						  .pairs = 1,
						  .queue_size_max = 64};
	struct fixture *f = calloc(1, sizeof(*f));
	struct error error = {0};

	assert_int_equal(event_loop_init(&f->loop, EVENT_LOOP_POLL_LIMIT_NS, &error), 0);
	f->user = user_net_new(&f->loop, &settings, &error);
	if (!f->user && error.code == ENOENT) {
		print_message("%s\n", error.message);
		skip();
	}
	assert_non_null(f->user);
	net_device_init(&f->net, &net_settings, user_net_net(f->user), f->queues);
	device_rig_start(&f->rig, &f->net.device, 0, 64);
	for (int i = 0; i < BUFFERS; i++)
		device_rig_add(&f->rig, 0, NULL, 0, 2048, 4096);
	device_rig_kick(&f->rig, 0);
	f->rig.rings_end = f->rig.placed;
	return f;
}

static void stop(struct fixture *f)
{
	device_rig_stop(&f->rig);
	user_net_free(f->user);
	event_loop_close(&f->loop);
	free(f);
}

/* The guest sends a frame. */
static void send_frame(struct fixture *f, const void *frame, size_t length)
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
static bool take_frame(struct fixture *f)
{
	uint32_t written;
	uint8_t *in;

	if (!device_rig_has_used(&f->rig, 0))
		return false;
	in = device_rig_at(&f->rig, device_rig_take(&f->rig, 0, &written));
	assert_true(written > HEADER && written <= 2048);
	f->length = written - HEADER;
	memcpy(f->frame, in + HEADER, f->length);
	/* Nothing is left to the guest to compute: no offloads were offered. */
	assert_int_equal(in[0], 0);
	assert_int_equal(in[1], VIRTIO_NET_HDR_GSO_NONE);
	return true;
}

/* Runs the loop until a frame for the guest comes. */
static void wait_for_frame(struct fixture *f)
{
	const time_t limit = time(NULL) + 20;

	while (!take_frame(f)) {
		assert_true(event_loop_turn(&f->loop, 30000) >= 0);
		assert_true(time(NULL) < limit);
	}
}

static uint16_t checksum(const void *data, size_t length, uint32_t sum)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < length; i++)
		sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons((uint16_t)~sum);
}

struct __attribute__((packed)) packet {
	struct ether_header ethernet;
	struct iphdr ip;
	union {
		struct __attribute__((packed)) {
			struct udphdr udp;
			uint8_t data[600];
		};
		struct tcphdr tcp;
	};
};

/* Fills in Ethernet and IP headers for @length bytes behind them. Returns the frame's length. */
static size_t wrap(struct packet *packet, const uint8_t *destination, uint8_t protocol,
		   const char *from, const char *to, size_t length)
{
	memcpy(packet->ethernet.ether_dhost, destination, ETH_ALEN);
	memcpy(packet->ethernet.ether_shost, guest_mac, ETH_ALEN);
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
	packet->ip.check = checksum(&packet->ip, sizeof(packet->ip), 0);
	return sizeof(packet->ethernet) + sizeof(packet->ip) + length;
}

static const struct packet *received(const struct fixture *f)
{
	return (const struct packet *)f->frame;
}

/* Answers the request for the guest's Ethernet address that comes before any packet. */
static void answer_arp(struct fixture *f)
{
	struct __attribute__((packed)) {
		struct ether_header ethernet;
		struct ether_arp arp;
	} frame;

	wait_for_frame(f);
	assert_int_equal(received(f)->ethernet.ether_type, htons(ETHERTYPE_ARP));
	memcpy(&frame, f->frame, sizeof(frame));
	assert_int_equal(frame.arp.arp_op, htons(ARPOP_REQUEST));
	assert_memory_equal(frame.arp.arp_tpa, &(in_addr_t){inet_addr(GUEST)}, 4);
	memcpy(frame.ethernet.ether_dhost, frame.ethernet.ether_shost, ETH_ALEN);
	memcpy(frame.ethernet.ether_shost, guest_mac, ETH_ALEN);
	frame.arp.arp_op = htons(ARPOP_REPLY);
	memcpy(frame.arp.arp_tha, frame.arp.arp_sha, ETH_ALEN);
	memcpy(frame.arp.arp_tpa, frame.arp.arp_spa, 4);
	memcpy(frame.arp.arp_sha, guest_mac, ETH_ALEN);
	memcpy(frame.arp.arp_spa, &(in_addr_t){inet_addr(GUEST)}, 4);
	send_frame(f, &frame, sizeof(frame));
}

/* Sends DHCP message @type; the answer's type is returned and the address offered put in *address. */
static uint8_t dhcp(struct fixture *f, uint8_t type, in_addr_t *address)
{
	static const uint8_t magic[4] = {99, 130, 83, 99};
	struct packet packet = {0};
	uint8_t *message = packet.data, *option = message + 240;
	size_t length = sizeof(packet.udp) + 300;
	const uint8_t *answer;

	message[0] = 1; /* request */
	message[1] = 1; /* Ethernet */
	message[2] = ETH_ALEN;
	message[4] = 0x77; /* transaction */
	memcpy(message + 28, guest_mac, ETH_ALEN);
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
	send_frame(f, &packet,
		   wrap(&packet, everybody, IPPROTO_UDP, "0.0.0.0", "255.255.255.255", length));
	wait_for_frame(f);
	assert_int_equal(received(f)->udp.uh_sport, htons(67));
	answer = received(f)->data;
	assert_int_equal(answer[0], 2);
	assert_int_equal(answer[4], 0x77);
	memcpy(address, answer + 16, 4);
	assert_int_equal(answer[240], 53);
	return answer[242];
}

static void test_dhcp(void **state)
{
	struct fixture *f = start(NULL, 0);
	in_addr_t address;

	(void)state;
	assert_int_equal(dhcp(f, 1, &address), 2); /* discover, offer */
	assert_int_equal(address, inet_addr(GUEST));
	assert_int_equal(dhcp(f, 3, &address), 5); /* request, acknowledgement */
	assert_int_equal(address, inet_addr(GUEST));
	stop(f);
}

static void test_arp(void **state)
{
	struct fixture *f = start(NULL, 0);
	struct __attribute__((packed)) {
		struct ether_header ethernet;
		struct ether_arp arp;
	} frame, request = {
			 .ethernet.ether_type = htons(ETHERTYPE_ARP),
			 .arp.ea_hdr = {htons(ARPHRD_ETHER), htons(ETHERTYPE_IP), ETH_ALEN, 4,
					htons(ARPOP_REQUEST)},
		 };

	(void)state;
	memcpy(request.ethernet.ether_dhost, everybody, ETH_ALEN);
	memcpy(request.ethernet.ether_shost, guest_mac, ETH_ALEN);
	memcpy(request.arp.arp_sha, guest_mac, ETH_ALEN);
	memcpy(request.arp.arp_spa, &(in_addr_t){inet_addr(GUEST)}, 4);
	memcpy(request.arp.arp_tpa, &(in_addr_t){inet_addr(GATEWAY)}, 4);
	send_frame(f, &request, sizeof(request));
	wait_for_frame(f);
	memcpy(&frame, f->frame, sizeof(frame));
	assert_int_equal(frame.arp.arp_op, htons(ARPOP_REPLY));
	assert_memory_equal(frame.arp.arp_spa, &(in_addr_t){inet_addr(GATEWAY)}, 4);
	/* Only a guest that waits is notified: once for this. */
	assert_true(f->rig.queues[0].notifications > 0);
	/* Answers that the guest has no buffers for are counted. */
	for (int i = 0; i < BUFFERS + 5; i++)
		send_frame(f, &request, sizeof(request));
	assert_int_equal(f->net.counts.received, BUFFERS);
	assert_int_equal(f->net.counts.receive_dropped, 6);
	stop(f);
}

/* A socket of the host, bound to a port of its own; *port in host byte order. */
static int host_socket(int type, uint16_t *port)
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

/* A port that is free, as far as one can know. */
static uint16_t free_port(int type)
{
	uint16_t port;

	close(host_socket(type, &port));
	return port;
}

static void test_udp_forward(void **state)
{
	struct port_forward forward = {.udp = true,
				       .address.s_addr = htonl(INADDR_LOOPBACK),
				       .guest_port = 7};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct packet reply = {0};
	struct fixture *f;
	uint16_t own_port;
	int fd = host_socket(SOCK_DGRAM, &own_port);
	char got[16] = {0};

	(void)state;
	forward.port = free_port(SOCK_DGRAM);
	to.sin_port = htons(forward.port);
	f = start(&forward, 1);
	assert_int_equal(sendto(fd, "ping", 4, 0, (struct sockaddr *)&to, sizeof(to)), 4);
	answer_arp(f);
	wait_for_frame(f);
	assert_int_equal(received(f)->ip.protocol, IPPROTO_UDP);
	assert_int_equal(received(f)->udp.uh_dport, htons(7));
	assert_memory_equal(received(f)->data, "ping", 4);

	memcpy(reply.data, "pong", 4);
	reply.udp.uh_sport = htons(7);
	reply.udp.uh_dport = received(f)->udp.uh_sport;
	reply.udp.uh_ulen = htons(sizeof(reply.udp) + 4);
	send_frame(f, &reply,
		   wrap(&reply, received(f)->ethernet.ether_shost, IPPROTO_UDP, GUEST, GATEWAY,
			sizeof(reply.udp) + 4));
	assert_int_equal(recv(fd, got, sizeof(got), 0), 4);
	assert_string_equal(got, "pong");
	close(fd);
	stop(f);
}

/* Sends a TCP segment of the guest to @to. */
static void send_tcp(struct fixture *f, const uint8_t *mac, uint16_t from_port, const char *to,
		     uint16_t to_port, uint8_t flags, uint32_t sequence, uint32_t acknowledged,
		     const char *text)
{
	struct packet packet = {0};
	size_t length = sizeof(packet.tcp) + strlen(text);
	uint8_t pseudo[12] = {[9] = IPPROTO_TCP, [11] = (uint8_t)length};
	uint32_t sum = 0;

	packet.tcp.th_sport = htons(from_port);
	packet.tcp.th_dport = htons(to_port);
	packet.tcp.th_seq = htonl(sequence);
	packet.tcp.th_ack = htonl(acknowledged);
	packet.tcp.th_off = 5;
	packet.tcp.th_flags = flags;
	packet.tcp.th_win = htons(8192);
	memcpy((uint8_t *)&packet.tcp + sizeof(packet.tcp), text, strlen(text));
	memcpy(pseudo, &(in_addr_t){inet_addr(GUEST)}, 4);
	memcpy(pseudo + 4, &(in_addr_t){inet_addr(to)}, 4);
	for (size_t i = 0; i < sizeof(pseudo); i++)
		sum += i % 2 ? pseudo[i] : (uint32_t)pseudo[i] << 8;
	packet.tcp.th_sum = checksum(&packet.tcp, length, sum);
	send_frame(f, &packet, wrap(&packet, mac, IPPROTO_TCP, GUEST, to, length));
}

/* Waits for a TCP segment with these flags. */
static void wait_for_tcp(struct fixture *f, uint8_t flags)
{
	do
		wait_for_frame(f);
	while (received(f)->ip.protocol != IPPROTO_TCP ||
	       (received(f)->tcp.th_flags & flags) != flags);
}

/* A connection of the guest to a server on the host; data both ways, at a slow pace. */
static void test_tcp_connection(void **state)
{
	static const uint8_t gateway_mac[ETH_ALEN] = {0x52, 0x55, 10, 0, 2, 2};
	struct fixture *f = start(NULL, 0);
	uint32_t theirs, ours = 1000;
	uint16_t port;
	int listener = host_socket(SOCK_STREAM, &port), fd;
	char got[64] = {0};

	(void)state;
	assert_int_equal(listen(listener, 1), 0);
	send_tcp(f, gateway_mac, 5000, GATEWAY, port, TH_SYN, ours, 0, "");
	answer_arp(f);
	wait_for_tcp(f, TH_SYN | TH_ACK);
	theirs = ntohl(received(f)->tcp.th_seq) + 1;
	send_tcp(f, gateway_mac, 5000, GATEWAY, port, TH_ACK, ++ours, theirs, "");
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fd >= 0);
	for (int round = 0; round < 5; round++) {
		/* Turns in which nothing happens, and such in which the loop only polls. */
		for (int i = 0; i < 20; i++)
			event_loop_turn(&f->loop, i % 3);
		send_tcp(f, gateway_mac, 5000, GATEWAY, port, TH_ACK | TH_PUSH, ours, theirs,
			 "hello");
		ours += 5;
		memset(got, 0, sizeof(got));
		while (recv(fd, got, sizeof(got), MSG_DONTWAIT) < 0 && errno == EAGAIN)
			assert_true(event_loop_turn(&f->loop, 100) >= 0);
		assert_string_equal(got, "hello");
		assert_int_equal(send(fd, "world", 5, 0), 5);
		wait_for_tcp(f, TH_PUSH);
		assert_memory_equal((const uint8_t *)&received(f)->tcp + 20, "world", 5);
		theirs += 5;
		send_tcp(f, gateway_mac, 5000, GATEWAY, port, TH_ACK, ours, theirs, "");
	}
	send_tcp(f, gateway_mac, 5000, GATEWAY, port, TH_RST | TH_ACK, ours, theirs, "");
	while (recv(fd, got, sizeof(got), MSG_DONTWAIT) < 0 && errno == EAGAIN)
		assert_true(event_loop_turn(&f->loop, 100) >= 0);
	close(fd);
	close(listener);
	stop(f);
}

static void test_tcp_forward(void **state)
{
	struct port_forward forward = {.address.s_addr = htonl(INADDR_LOOPBACK), .guest_port = 80};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct fixture *f;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char byte;

	(void)state;
	forward.port = free_port(SOCK_STREAM);
	to.sin_port = htons(forward.port);
	f = start(&forward, 1);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	answer_arp(f);
	wait_for_tcp(f, TH_SYN);
	assert_int_equal(received(f)->tcp.th_dport, htons(80));
	/* Nobody listens there in this guest. */
	send_tcp(f, received(f)->ethernet.ether_shost, 80, GATEWAY,
		 ntohs(received(f)->tcp.th_sport), TH_RST | TH_ACK, 0,
		 ntohl(received(f)->tcp.th_seq) + 1, "");
	while (recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN)
		assert_true(event_loop_turn(&f->loop, 1000) >= 0);
	close(fd);
	stop(f);
}

static void test_port_in_use(void **state)
{
	struct port_forward forward = {.address.s_addr = htonl(INADDR_LOOPBACK), .guest_port = 80};
	const struct user_net_settings settings = {.forwards = &forward, .forward_count = 1};
	struct error error = {0};
	struct event_loop loop;
	int fd = host_socket(SOCK_STREAM, &forward.port);

	(void)state;
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(event_loop_init(&loop, 0, &error), 0);
	assert_null(user_net_new(&loop, &settings, &error));
	if (error.code != ENOENT) {
		assert_true(error.usage);
		assert_non_null(strstr(error.message, "cannot listen"));
	}
	event_loop_close(&loop);
	close(fd);
}

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* libslirp asks to be woken once a second; without connections that is not done. */
static void test_idle_is_quiet(void **state)
{
	struct port_forward forwards[2] = {
		{.address.s_addr = htonl(INADDR_LOOPBACK), .guest_port = 80},
		{.udp = true, .address.s_addr = htonl(INADDR_LOOPBACK), .guest_port = 80},
	};
	struct fixture *f;
	in_addr_t address;
	int64_t before;

	(void)state;
	forwards[0].port = free_port(SOCK_STREAM);
	forwards[1].port = free_port(SOCK_DGRAM);
	f = start(forwards, 2);
	/* The guest did something before. */
	assert_int_equal(dhcp(f, 1, &address), 2);
	while (event_loop_turn(&f->loop, 0) > 0)
		;
	before = now_ms();
	assert_int_equal(event_loop_turn(&f->loop, 2500), 0);
	assert_true(now_ms() - before >= 2400);
	stop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dhcp),	      cmocka_unit_test(test_arp),
		cmocka_unit_test(test_udp_forward),   cmocka_unit_test(test_tcp_connection),
		cmocka_unit_test(test_tcp_forward),   cmocka_unit_test(test_port_in_use),
		cmocka_unit_test(test_idle_is_quiet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
