// SPDX-License-Identifier: BSD-3-Clause
/*
 * User-mode networking: a network device on libslirp, and a guest made of a few frames in this
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

#include "base/clock.h"
#include "device/net/user/test_user_net_rig.h"

#define GUEST	USER_NET_GUEST
#define GATEWAY USER_NET_GATEWAY

static const uint8_t everybody[ETH_ALEN] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

static struct user_net_rig *start(const struct port_forward *forwards, size_t count)
{
	return user_net_rig_start(forwards, count, false);
}

static void test_dhcp(void **state)
{
	struct user_net_rig *f = start(NULL, 0);
	in_addr_t address;

	(void)state;
	assert_int_equal(user_net_rig_dhcp(f, 1, &address), 2); /* discover, offer */
	assert_int_equal(address, inet_addr(GUEST));
	assert_int_equal(user_net_rig_dhcp(f, 3, &address), 5); /* request, acknowledgement */
	assert_int_equal(address, inet_addr(GUEST));
	user_net_rig_stop(f);
}

static void test_arp(void **state)
{
	struct user_net_rig *f = start(NULL, 0);
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
	memcpy(request.ethernet.ether_shost, user_net_mac, ETH_ALEN);
	memcpy(request.arp.arp_sha, user_net_mac, ETH_ALEN);
	memcpy(request.arp.arp_spa, &(in_addr_t){inet_addr(GUEST)}, 4);
	memcpy(request.arp.arp_tpa, &(in_addr_t){inet_addr(GATEWAY)}, 4);
	user_net_rig_send(f, &request, sizeof(request));
	user_net_rig_wait(f);
	memcpy(&frame, f->frame, sizeof(frame));
	assert_int_equal(frame.arp.arp_op, htons(ARPOP_REPLY));
	assert_memory_equal(frame.arp.arp_spa, &(in_addr_t){inet_addr(GATEWAY)}, 4);
	/* Only a waiting guest is notified: once for this. */
	assert_true(f->rig.queues[0].notifications > 0);
	/* Answers that the guest has no buffers for are counted. */
	for (int i = 0; i < USER_NET_BUFFERS + 5; i++)
		user_net_rig_send(f, &request, sizeof(request));
	assert_int_equal(f->net.counts.received, USER_NET_BUFFERS);
	assert_int_equal(f->net.counts.receive_dropped, 6);
	user_net_rig_stop(f);
}

static void test_udp_forward(void **state)
{
	struct port_forward forward = {.udp = true,
				       .address.s_addr = htonl(INADDR_LOOPBACK),
				       .guest_port = 7};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct user_net_packet reply = {0};
	struct user_net_rig *f;
	uint16_t own_port;
	int fd = user_net_rig_socket(SOCK_DGRAM, &own_port);
	char got[16] = {0};

	(void)state;
	forward.port = user_net_rig_free_port(SOCK_DGRAM);
	to.sin_port = htons(forward.port);
	f = start(&forward, 1);
	assert_int_equal(sendto(fd, "ping", 4, 0, (struct sockaddr *)&to, sizeof(to)), 4);
	user_net_rig_wait(f);
	assert_int_equal(user_net_rig_received(f)->ip.protocol, IPPROTO_UDP);
	assert_int_equal(user_net_rig_received(f)->udp.uh_dport, htons(7));
	assert_memory_equal(user_net_rig_received(f)->data, "ping", 4);

	memcpy(reply.data, "pong", 4);
	reply.udp.uh_sport = htons(7);
	reply.udp.uh_dport = user_net_rig_received(f)->udp.uh_sport;
	reply.udp.uh_ulen = htons(sizeof(reply.udp) + 4);
	user_net_rig_send(f, &reply,
			  user_net_rig_wrap(&reply, user_net_rig_received(f)->ethernet.ether_shost,
					    IPPROTO_UDP, GUEST, GATEWAY, sizeof(reply.udp) + 4));
	assert_int_equal(recv(fd, got, sizeof(got), 0), 4);
	assert_string_equal(got, "pong");
	close(fd);
	user_net_rig_stop(f);
}

/* A connection of the guest to a server on the host; data both ways, at a slow pace. */
static void test_tcp_connection(void **state)
{
	struct user_net_rig *f = user_net_rig_start(NULL, 0, true);
	uint32_t theirs, ours = 1001;
	uint16_t port;
	int listener = user_net_rig_socket(SOCK_STREAM, &port), fd;
	char got[64] = {0};

	(void)state;
	assert_int_equal(listen(listener, 1), 0);
	fd = user_net_rig_connect(f, listener, port, &theirs);
	for (int round = 0; round < 5; round++) {
		/* Turns without events, and turns in which the loop only polls. */
		for (int i = 0; i < 20; i++)
			event_loop_turn(&f->loop, i % 3);
		user_net_rig_send_tcp(f, user_net_gateway_mac, 5000, GATEWAY, port,
				      TH_ACK | TH_PUSH, ours, theirs, "hello");
		ours += 5;
		memset(got, 0, sizeof(got));
		while (recv(fd, got, sizeof(got), MSG_DONTWAIT) < 0 && errno == EAGAIN)
			assert_true(event_loop_turn(&f->loop, 100) >= 0);
		assert_string_equal(got, "hello");
		assert_int_equal(send(fd, "world", 5, 0), 5);
		user_net_rig_wait_tcp(f, TH_PUSH);
		assert_memory_equal((const uint8_t *)&user_net_rig_received(f)->tcp + 20, "world",
				    5);
		theirs += 5;
		user_net_rig_send_tcp(f, user_net_gateway_mac, 5000, GATEWAY, port, TH_ACK, ours,
				      theirs, "");
	}
	user_net_rig_send_tcp(f, user_net_gateway_mac, 5000, GATEWAY, port, TH_RST | TH_ACK, ours,
			      theirs, "");
	while (recv(fd, got, sizeof(got), MSG_DONTWAIT) < 0 && errno == EAGAIN)
		assert_true(event_loop_turn(&f->loop, 100) >= 0);
	close(fd);
	close(listener);
	user_net_rig_stop(f);
}

static void test_tcp_forward(void **state)
{
	struct port_forward forward = {.address.s_addr = htonl(INADDR_LOOPBACK), .guest_port = 80};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct user_net_rig *f;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char byte;

	(void)state;
	forward.port = user_net_rig_free_port(SOCK_STREAM);
	to.sin_port = htons(forward.port);
	f = start(&forward, 1);
	assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
	user_net_rig_wait_tcp(f, TH_SYN);
	assert_int_equal(user_net_rig_received(f)->tcp.th_dport, htons(80));
	/* Nobody listens there in this guest. */
	user_net_rig_send_tcp(f, user_net_rig_received(f)->ethernet.ether_shost, 80, GATEWAY,
			      ntohs(user_net_rig_received(f)->tcp.th_sport), TH_RST | TH_ACK, 0,
			      ntohl(user_net_rig_received(f)->tcp.th_seq) + 1, "");
	while (recv(fd, &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN)
		assert_true(event_loop_turn(&f->loop, 1000) >= 0);
	close(fd);
	user_net_rig_stop(f);
}

/* Sends bytes @offset to @end of a UDP datagram of the guest as a fragment. */
static void send_fragment(struct user_net_rig *f, const uint8_t *datagram, size_t offset,
			  size_t end, size_t total)
{
	struct user_net_packet packet = {0};
	size_t length = user_net_rig_wrap(&packet, user_net_gateway_mac, IPPROTO_UDP, GUEST,
					  GATEWAY, end - offset);

	memcpy(&packet.udp, datagram + offset, end - offset);
	packet.ip.id = htons(77);
	packet.ip.frag_off = htons((uint16_t)(offset / 8 | (end < total ? IP_MF : 0)));
	packet.ip.check = 0;
	packet.ip.check = user_net_rig_checksum(&packet.ip, sizeof(packet.ip), 0);
	user_net_rig_send(f, &packet, length);
}

/* A datagram in fragments, the last one first, which crashed libslirp. */
static void test_big_datagram(void **state)
{
	struct user_net_rig *f = user_net_rig_start(NULL, 0, true);
	uint8_t datagram[sizeof(struct udphdr) + 4000], got[5000];
	struct udphdr *udp = (struct udphdr *)datagram;
	uint16_t port;
	int fd = user_net_rig_socket(SOCK_DGRAM, &port);

	(void)state;
	for (size_t i = 0; i < sizeof(datagram); i++)
		datagram[i] = (uint8_t)(i * 7 + i / 256);
	*udp = (struct udphdr){.uh_sport = htons(5000),
			       .uh_dport = htons(port),
			       .uh_ulen = htons(sizeof(datagram))};
	send_fragment(f, datagram, 2960, sizeof(datagram), sizeof(datagram));
	send_fragment(f, datagram, 1480, 2960, sizeof(datagram));
	send_fragment(f, datagram, 0, 1480, sizeof(datagram));
	assert_int_equal(recv(fd, got, sizeof(got), 0), 4000);
	assert_memory_equal(got, datagram + sizeof(*udp), 4000);
	assert_int_equal(f->net.counts.send_dropped, 0);
	close(fd);
	user_net_rig_stop(f);
}

/*
 * Urgent pointers beyond the data, which made libslirp send data without end that nobody had sent.
 */
static void test_urgent_data(void **state)
{
	struct user_net_rig *f = user_net_rig_start(NULL, 0, true);
	char got[64] = {0};
	uint32_t theirs, ours = 1001;
	size_t length = 0;
	uint16_t port;
	int listener = user_net_rig_socket(SOCK_STREAM, &port), fd;

	(void)state;
	assert_int_equal(listen(listener, 1), 0);
	fd = user_net_rig_connect(f, listener, port, &theirs);
	f->urgent = 1000;
	user_net_rig_send_tcp(f, user_net_gateway_mac, 5000, GATEWAY, port, TH_ACK | TH_URG, ours,
			      theirs, "abcd");
	f->urgent = 2048;
	user_net_rig_send_tcp(f, user_net_gateway_mac, 5000, GATEWAY, port, TH_ACK | TH_URG,
			      ours + 4, theirs, "efgh");
	f->urgent = 0;
	user_net_rig_send_tcp(f, user_net_gateway_mac, 5000, GATEWAY, port, TH_ACK | TH_FIN,
			      ours + 8, theirs, "end");
	for (;;) {
		ssize_t count = recv(fd, got + length, sizeof(got) - length, MSG_DONTWAIT);

		if (count == 0)
			break;
		if (count < 0)
			assert_int_equal(errno, EAGAIN);
		else
			length += (size_t)count;
		assert_true(length < sizeof(got));
		assert_true(event_loop_turn(&f->loop, 10) >= 0);
	}
	assert_string_equal(got, "abcdefghend");
	close(fd);
	close(listener);
	user_net_rig_stop(f);
}

/* Waits for the answer to a frame that was refused. */
static void expect_refusal(struct user_net_rig *f)
{
	const struct user_net_packet *packet;

	assert_true(user_net_rig_take(f));
	packet = user_net_rig_received(f);
	assert_int_equal(packet->ip.protocol, IPPROTO_ICMP);
	assert_memory_equal(packet->ethernet.ether_dhost, user_net_mac, ETH_ALEN);
	assert_int_equal(*(const uint8_t *)&packet->udp, 3); /* unreachable */
}

/* The host's loopback interface, at the gateway's address and at its own. */
static void test_host_loopback_is_off(void **state)
{
	struct user_net_rig *f = start(NULL, 0);
	struct user_net_packet packet = {0};
	uint16_t port, udp_port;
	int listener = user_net_rig_socket(SOCK_STREAM, &port);
	int fd = user_net_rig_socket(SOCK_DGRAM, &udp_port);
	char byte;

	(void)state;
	assert_int_equal(listen(listener, 1), 0);
	user_net_rig_send_tcp(f, user_net_gateway_mac, 5000, GATEWAY, port, TH_SYN, 1000, 0, "");
	expect_refusal(f);
	packet.udp.uh_sport = htons(5000);
	packet.udp.uh_dport = htons(udp_port);
	packet.udp.uh_ulen = htons(sizeof(packet.udp));
	user_net_rig_send(f, &packet,
			  user_net_rig_wrap(&packet, user_net_gateway_mac, IPPROTO_UDP, GUEST,
					    GATEWAY, sizeof(packet.udp)));
	expect_refusal(f);
	user_net_rig_send_tcp(f, user_net_gateway_mac, 5000, "127.0.0.1", port, TH_SYN, 1000, 0,
			      "");
	user_net_rig_send_tcp(f, user_net_gateway_mac, 5001, "0.0.0.0", port, TH_SYN, 1000, 0, "");
	for (int i = 0; i < 10; i++)
		event_loop_turn(&f->loop, 0);
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	assert_false(user_net_rig_pending(listener));
	assert_false(user_net_rig_take(f));
	close(fd);
	close(listener);
	user_net_rig_stop(f);
}

static void test_port_in_use(void **state)
{
	struct port_forward forward = {.address.s_addr = htonl(INADDR_LOOPBACK), .guest_port = 80};
	const struct user_net_settings settings = {.subnet = subnet_default(0),
						   .forwards = &forward,
						   .forward_count = 1};
	struct error error = {0};
	struct event_loop loop;
	int fd = user_net_rig_socket(SOCK_STREAM, &forward.port);

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

/* libslirp asks for a wake-up each second; without connections there is none. */
static void test_idle_is_quiet(void **state)
{
	struct port_forward forwards[2] = {
		{.address.s_addr = htonl(INADDR_LOOPBACK), .guest_port = 80},
		{.udp = true, .address.s_addr = htonl(INADDR_LOOPBACK), .guest_port = 80},
	};
	struct user_net_rig *f;
	in_addr_t address;
	int64_t before;

	(void)state;
	forwards[0].port = user_net_rig_free_port(SOCK_STREAM);
	forwards[1].port = user_net_rig_free_port(SOCK_DGRAM);
	f = start(forwards, 2);
	/* The guest did something before. */
	assert_int_equal(user_net_rig_dhcp(f, 1, &address), 2);
	while (event_loop_turn(&f->loop, 0) > 0)
		;
	before = clock_now_ms();
	assert_int_equal(event_loop_turn(&f->loop, 2500), 0);
	assert_true(clock_now_ms() - before >= 2400);
	user_net_rig_stop(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dhcp),
		cmocka_unit_test(test_arp),
		cmocka_unit_test(test_udp_forward),
		cmocka_unit_test(test_tcp_connection),
		cmocka_unit_test(test_tcp_forward),
		cmocka_unit_test(test_port_in_use),
		cmocka_unit_test(test_big_datagram),
		cmocka_unit_test(test_urgent_data),
		cmocka_unit_test(test_host_loopback_is_off),
		cmocka_unit_test(test_idle_is_quiet),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
