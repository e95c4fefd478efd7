// SPDX-License-Identifier: BSD-3-Clause
/*
 * A hostile guest on the user-mode network tries to make the library keep what it sends. The memory
 * in use must stay below a bound that does not depend on the number of frames.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <arpa/inet.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "device/net/user/slirp_sockets.h"
#include "device/net/user/test_user_net_rig.h"

#define GATEWAY USER_NET_GATEWAY

#define FRAMES	10000
/* What the library may keep: far less than FRAMES of its buffers, of 1.6 KiB each. */
#define BOUND (2 << 20)
/* Memory of a socket: a buffer for each direction, 128 KiB each, and a packet. */
#define SOCKET_BYTES (400 << 10)
/* The sockets that a guest can have in these tests. */
#define SOCKETS	    SLIRP_SOCKETS_RESERVE
#define DESCRIPTORS (2 * SLIRP_SOCKETS_RESERVE)

/* For sanitizers, whose mallinfo2 reports nothing. */
size_t __sanitizer_get_current_allocated_bytes(void) __attribute__((weak));

static size_t memory_in_use(void)
{
	struct mallinfo2 info;

	if (__sanitizer_get_current_allocated_bytes)
		return __sanitizer_get_current_allocated_bytes();
	info = mallinfo2();
	return info.uordblks + info.hblkhd;
}

static void take_all(struct user_net_rig *f)
{
	while (user_net_rig_take(f))
		;
}

/* A packet of the guest with @length bytes of data after a header of 8 bytes. */
static void send_packet(struct user_net_rig *f, uint8_t protocol, const char *from, const char *to,
			struct user_net_packet *packet, size_t length)
{
	user_net_rig_send(f, packet,
			  user_net_rig_wrap(packet, user_net_gateway_mac, protocol, from, to,
					    sizeof(packet->udp) + length));
}

static void send_ping(struct user_net_rig *f, const char *from, const char *to, size_t length)
{
	struct user_net_packet packet = {0};
	uint8_t *icmp = (uint8_t *)&packet.udp;
	uint16_t sum;

	icmp[0] = 8;
	sum = user_net_rig_checksum(icmp, sizeof(packet.udp) + length, 0);
	memcpy(icmp + 2, &sum, sizeof(sum));
	send_packet(f, IPPROTO_ICMP, from, to, &packet, length);
}

/* The library waits for an ARP answer before each reply, and it never comes. */
static void test_address_that_does_not_answer(void **state)
{
	struct user_net_rig *f = user_net_rig_start(NULL, 0, false);
	size_t before;

	(void)state;
	send_ping(f, "10.0.2.77", GATEWAY, 1400);
	before = memory_in_use();
	for (int i = 0; i < FRAMES; i++) {
		send_ping(f, "10.0.2.77", GATEWAY, 1400);
		assert_true(memory_in_use() < before + BOUND);
	}
	user_net_rig_stop(f);
}

/* More of them than the library tracks at a time. */
static void test_many_addresses(void **state)
{
	struct user_net_rig *f = user_net_rig_start(NULL, 0, false);
	size_t before;
	char from[16];

	(void)state;
	send_ping(f, "10.0.2.77", GATEWAY, 1400);
	before = memory_in_use();
	for (int i = 0; i < FRAMES; i++) {
		snprintf(from, sizeof(from), "10.0.2.%d", 20 + i % 200);
		send_ping(f, from, GATEWAY, 1400);
		if (i % 500 == 0)
			while (event_loop_turn(&f->loop, 0) > 0)
				;
		assert_true(memory_in_use() < before + BOUND);
	}
	user_net_rig_stop(f);
}

/* Replies of a program of the host, in fragments. */
static void test_replies_to_an_address_that_does_not_answer(void **state)
{
	struct user_net_rig *f = user_net_rig_start(NULL, 0, true);
	struct sockaddr_in from;
	socklen_t from_size = sizeof(from);
	uint8_t bytes[30000] = {0};
	uint16_t port;
	int fd = user_net_rig_socket(SOCK_DGRAM, &port);
	size_t before;

	(void)state;
	before = memory_in_use();
	for (uint16_t i = 0; i < 60; i++) {
		struct user_net_packet packet = {0};

		packet.udp.uh_sport = htons((uint16_t)(5000 + i));
		packet.udp.uh_dport = htons(port);
		packet.udp.uh_ulen = htons(sizeof(packet.udp));
		send_packet(f, IPPROTO_UDP, "10.0.2.77", GATEWAY, &packet, 0);
		assert_int_equal(recvfrom(fd, bytes, sizeof(bytes), 0, (struct sockaddr *)&from,
					  &from_size),
				 0);
		for (int reply = 0; reply < 4; reply++)
			assert_int_equal(sendto(fd, bytes, sizeof(bytes), 0,
						(struct sockaddr *)&from, from_size),
					 sizeof(bytes));
		while (event_loop_turn(&f->loop, 0) > 0)
			;
		take_all(f);
		assert_true(memory_in_use() < before + BOUND);
	}
	close(fd);
	user_net_rig_stop(f);
}

/* Connections that are opened halfway, datagrams and pings: no more than there are sockets. */
static void test_many_connections(void **state)
{
	struct user_net_rig *f = user_net_rig_start(NULL, 0, true);
	uint16_t tcp_port, udp_port;
	int listener = user_net_rig_socket(SOCK_STREAM, &tcp_port);
	int fd = user_net_rig_socket(SOCK_DGRAM, &udp_port);
	size_t before;

	(void)state;
	assert_int_equal(listen(listener, 1), 0);
	before = memory_in_use();
	for (unsigned int i = 0; i < FRAMES; i++) {
		struct user_net_packet packet = {0};
		uint16_t port = (uint16_t)(1024 + i);

		user_net_rig_send_tcp(f, user_net_gateway_mac, port, GATEWAY, tcp_port, TH_SYN, i,
				      0, "data");
		packet.udp.uh_sport = htons(port);
		packet.udp.uh_dport = htons(udp_port);
		packet.udp.uh_ulen = htons(sizeof(packet.udp) + 1400);
		send_packet(f, IPPROTO_UDP, USER_NET_GUEST, GATEWAY, &packet, 1400);
		send_ping(f, USER_NET_GUEST, "192.0.2.1", 1400);
		take_all(f);
		assert_true(memory_in_use() < before + BOUND + SOCKETS * SOCKET_BYTES);
	}
	close(fd);
	close(listener);
	user_net_rig_stop(f);
}

struct connection {
	struct user_net_rig *rig;
	int listener, fd;
	uint16_t port;
	uint32_t theirs;
};

static int set_up_connection(void **state)
{
	struct connection *c = test_calloc(1, sizeof(*c));

	c->rig = user_net_rig_start(NULL, 0, true);
	c->listener = user_net_rig_socket(SOCK_STREAM, &c->port);
	assert_int_equal(listen(c->listener, 1), 0);
	c->fd = user_net_rig_connect(c->rig, c->listener, c->port, &c->theirs);
	*state = c;
	return 0;
}

static int tear_down_connection(void **state)
{
	struct connection *c = *state;

	close(c->fd);
	close(c->listener);
	user_net_rig_stop(c->rig);
	test_free(c);
	return 0;
}

/* The guest sends @text at @offset in its stream. */
static void send_text(struct connection *c, uint8_t flags, uint32_t offset, const char *text)
{
	user_net_rig_send_tcp(c->rig, user_net_gateway_mac, 5000, GATEWAY, c->port, TH_ACK | flags,
			      1001 + offset, c->theirs, text);
}

static void expect_text(struct connection *c, const char *text)
{
	char got[64] = {0};
	size_t length = 0;

	while (length < strlen(text)) {
		ssize_t count = recv(c->fd, got + length, strlen(text) - length, MSG_DONTWAIT);

		assert_true(count != 0);
		if (count > 0)
			length += (size_t)count;
		else
			assert_true(event_loop_turn(&c->rig->loop, 100) >= 0);
	}
	assert_string_equal(got, text);
}

/* Short segments, each with a gap before it, all in the window. */
static void test_segments_before_their_turn(void **state)
{
	struct connection *c = *state;
	size_t before = memory_in_use();

	/* A segment with a gap before it: the ACK names the byte that is missing. */
	send_text(c, 0, 1, "x");
	user_net_rig_wait_tcp(c->rig, TH_ACK);
	assert_int_equal(ntohl(user_net_rig_received(c->rig)->tcp.th_ack), 1001);
	for (uint32_t i = 0; i < FRAMES; i++) {
		send_text(c, 0, 1 + 2 * i, "x");
		take_all(c->rig);
		assert_true(memory_in_use() < before + BOUND);
	}
	/* The connection still works. */
	send_text(c, 0, 0, "hello");
	expect_text(c, "hello");
}

/* The same FIN with a gap before it, many times: it has no data by which a repeat is recognised. */
static void test_ends_before_their_turn(void **state)
{
	struct connection *c = *state;
	size_t before = memory_in_use();

	for (uint32_t i = 0; i < FRAMES; i++) {
		send_text(c, TH_FIN, 5, "");
		take_all(c->rig);
		assert_true(memory_in_use() < before + BOUND);
	}
	send_text(c, 0, 0, "hello");
	expect_text(c, "hello");
}

/* Segments that the library drops for a wrong checksum, and segments after them. */
static void test_segments_behind_damaged_ones(void **state)
{
	struct connection *c = *state;
	size_t before = memory_in_use();

	for (uint32_t i = 0; i < FRAMES; i++) {
		c->rig->damage = true;
		send_text(c, 0, 0, "x");
		c->rig->damage = false;
		send_text(c, 0, 1 + 2 * i, "x");
		take_all(c->rig);
		assert_true(memory_in_use() < before + BOUND);
	}
	send_text(c, 0, 0, "hello");
	expect_text(c, "hello");
}

static int limit_descriptors(void **state)
{
	const struct rlimit files = {.rlim_cur = DESCRIPTORS, .rlim_max = DESCRIPTORS};

	(void)state;
	return setrlimit(RLIMIT_NOFILE, &files);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_address_that_does_not_answer),
		cmocka_unit_test(test_many_addresses),
		cmocka_unit_test(test_replies_to_an_address_that_does_not_answer),
		cmocka_unit_test(test_many_connections),
		cmocka_unit_test_setup_teardown(test_segments_before_their_turn, set_up_connection,
						tear_down_connection),
		cmocka_unit_test_setup_teardown(test_ends_before_their_turn, set_up_connection,
						tear_down_connection),
		cmocka_unit_test_setup_teardown(test_segments_behind_damaged_ones,
						set_up_connection, tear_down_connection),
	};

	return cmocka_run_group_tests(tests, limit_descriptors, NULL);
}
