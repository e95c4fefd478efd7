// SPDX-License-Identifier: BSD-3-Clause
/*
 * IPv6 in the user-mode network: a guest made of a few frames finds its router, makes connections,
 * asks for names, and reaches the host's ::1 only when it may. All in a network namespace.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/big_endian.h"
#include "device/net/user/packet.h"
#include "device/net/user/test_fake_dns.h"
#include "device/net/test_net_namespace.h"
#include "device/net/user/test_user_net_rig.h"

#define GUEST	    "fd61:7670:a00:200::15"
#define GUEST_LINK  "fe80::15"
#define GATEWAY	    "fd61:7670:a00:200::2"
#define NAME_SERVER "fd61:7670:a00:200::3"
#define ROUTER_LINK "fe80::2"

#define DATA	    (PACKET_IP + IPV6_HEADER)

struct fixture {
	struct user_net_rig *rig;
	uint8_t frame[2048]; /* that the guest sends */
	uint32_t ours, theirs;
};

static bool isolated;

static int enter_namespace(void **state)
{
	(void)state;
	isolated = net_namespace_enter() && net_namespace_has_ipv6();
	return 0;
}

static struct fixture *start(bool ipv6, bool host_loopback)
{
	const struct user_net_settings settings = {
		.subnet = subnet_default(0),
		.ipv6 = ipv6,
		.host_loopback = host_loopback,
	};
	struct fixture *f;

	if (!isolated)
		skip();
	f = calloc(1, sizeof(*f));
	assert_non_null(f);
	f->rig = user_net_rig_start_with(&settings);
	f->ours = 1000;
	return f;
}

static void stop(struct fixture *f)
{
	user_net_rig_stop(f->rig);
	free(f);
}

/* Sends the data in f->frame after headers, which it writes. */
static void send_frame(struct fixture *f, uint8_t protocol, const char *from, const char *to,
		       size_t length)
{
	struct packet_route_ipv6 route = {.hop_limit = 255};

	inet_pton(AF_INET6, from, route.source);
	inet_pton(AF_INET6, to, route.destination);
	packet_wrap_ipv6(f->frame + DATA, &route, protocol, (uint16_t)length);
	memcpy(f->frame + ETH_ALEN, user_net_mac, ETH_ALEN);
	user_net_rig_send(f->rig, f->frame, DATA + length);
}

static bool is_from(const struct fixture *f, const char *address)
{
	uint8_t bytes[IPV6_ADDRESS];

	inet_pton(AF_INET6, address, bytes);
	return !memcmp(f->rig->frame + PACKET_IP + IPV6_SOURCE, bytes, sizeof(bytes));
}

/* Answers when the library asks for the guest's Ethernet address. */
static bool answer_solicitation(struct fixture *f)
{
	const uint8_t *message = f->rig->frame + DATA;
	uint8_t *answer = f->frame + DATA;

	if (f->rig->frame[PACKET_IP + IPV6_NEXT] != PROTOCOL_ICMPV6 || message[0] != 135)
		return false;
	memset(answer, 0, 32);
	answer[0] = 136;
	answer[4] = 0x60;
	memcpy(answer + 8, message + 8, IPV6_ADDRESS);
	answer[24] = 2;
	answer[25] = 1;
	memcpy(answer + 26, user_net_mac, ETH_ALEN);
	send_frame(f, PROTOCOL_ICMPV6, GUEST, GATEWAY, 32);
	return true;
}

/* Waits for a complete packet of @protocol. Returns its data and *length. */
static const uint8_t *wait_for(struct fixture *f, uint8_t protocol, size_t *length)
{
	const uint8_t *ip = f->rig->frame + PACKET_IP;

	for (;;) {
		user_net_rig_wait(f->rig);
		assert_int_equal(big_endian_get16(f->rig->frame + 2 * ETH_ALEN), ETH_P_IPV6);
		*length = big_endian_get16(ip + IPV6_LENGTH);
		assert_int_equal(f->rig->length, DATA + *length);
		assert_true(packet_payload_fits(ip, (uint16_t)*length));
		if (answer_solicitation(f))
			continue;
		assert_int_equal(ip[IPV6_NEXT], protocol);
		return ip + IPV6_HEADER;
	}
}

static void send_tcp(struct fixture *f, const char *to, uint16_t port, uint8_t flags,
		     const void *data, size_t length)
{
	uint8_t *tcp = f->frame + DATA;

	memset(tcp, 0, TCP_HEADER);
	big_endian_put16(tcp + PORT_SOURCE, 5000);
	big_endian_put16(tcp + PORT_DESTINATION, port);
	big_endian_put32(tcp + 4, f->ours);
	big_endian_put32(tcp + 8, f->theirs);
	tcp[TCP_DATA_OFFSET] = TCP_HEADER / 4 << 4;
	tcp[TCP_FLAGS] = flags;
	big_endian_put16(tcp + 14, 8192);
	if (length)
		memcpy(tcp + TCP_HEADER, data, length);
	send_frame(f, PROTOCOL_TCP, GUEST, to, TCP_HEADER + length);
	f->ours += (uint32_t)length + !!(flags & (TCP_FLAG_SYN | TCP_FLAG_FIN));
}

/* Waits for a segment with @flags; *data becomes its data. Returns the length of the data. */
static size_t wait_for_tcp(struct fixture *f, uint8_t flags, const uint8_t **data)
{
	size_t length, header;
	const uint8_t *tcp;

	do
		tcp = wait_for(f, PROTOCOL_TCP, &length);
	while ((tcp[TCP_FLAGS] & flags) != flags);
	header = packet_tcp_header(tcp);
	*data = tcp + header;
	f->theirs = big_endian_get32(tcp + 4) + (uint32_t)(length - header) +
		    !!(tcp[TCP_FLAGS] & TCP_FLAG_SYN);
	return length - header;
}

/* A socket of the host at @address; *port in host byte order. */
static int host_socket(int type, const char *address, uint16_t *port)
{
	struct sockaddr_in6 own = {.sin6_family = AF_INET6};
	socklen_t length = sizeof(own);
	int fd = socket(AF_INET6, type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	inet_pton(AF_INET6, address, &own.sin6_addr);
	assert_int_equal(bind(fd, (struct sockaddr *)&own, length), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&own, &length), 0);
	*port = ntohs(own.sin6_port);
	if (type == SOCK_STREAM)
		assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static void test_router(void **state)
{
	struct fixture *f = start(true, false);
	static const uint8_t router_mac[ETH_ALEN] = {0x52, 0x56, 0, 0, 0, 2};
	const uint8_t *message;
	size_t length;

	(void)state;
	memcpy(f->frame + DATA, "\x85\0\0\0\0\0\0\0\1\1\2\0\0\0\0\1", 16);
	send_frame(f, PROTOCOL_ICMPV6, GUEST_LINK, "ff02::2", 16);
	message = wait_for(f, PROTOCOL_ICMPV6, &length);
	assert_int_equal(message[0], 134);
	assert_true(is_from(f, ROUTER_LINK));
	assert_memory_equal(f->rig->frame, user_net_mac, ETH_ALEN);
	/* The library has the address that it advertises. */
	memset(f->frame + DATA, 0, 24);
	f->frame[DATA] = 135;
	inet_pton(AF_INET6, ROUTER_LINK, f->frame + DATA + 8);
	memcpy(f->frame + DATA + 24, "\1\1\2\0\0\0\0\1", 8);
	send_frame(f, PROTOCOL_ICMPV6, GUEST_LINK, "ff02::1:ff00:2", 32);
	message = wait_for(f, PROTOCOL_ICMPV6, &length);
	assert_int_equal(message[0], 136);
	assert_memory_equal(message + 26, router_mac, ETH_ALEN);
	stop(f);
}

static void test_ping(void **state)
{
	struct fixture *f = start(true, false);
	const uint8_t *message;
	size_t length;

	(void)state;
	memcpy(f->frame + DATA, "\x80\0\0\0\0\1\0\1ping", 12);
	send_frame(f, PROTOCOL_ICMPV6, GUEST, GATEWAY, 12);
	message = wait_for(f, PROTOCOL_ICMPV6, &length);
	assert_int_equal(message[0], 129);
	assert_int_equal(length, 12);
	assert_memory_equal(message + 8, "ping", 4);
	stop(f);
}

/* A connection to @to, which leads to @address of the host: data both ways, and its end. */
static void converse(struct fixture *f, const char *to, const char *address)
{
	const uint8_t *data;
	char got[16] = {0};
	uint16_t port;
	int listener = host_socket(SOCK_STREAM, address, &port), fd;

	send_tcp(f, to, port, TCP_FLAG_SYN, NULL, 0);
	wait_for_tcp(f, TCP_FLAG_SYN | TCP_FLAG_ACK, &data);
	assert_true(is_from(f, to));
	send_tcp(f, to, port, TCP_FLAG_ACK, NULL, 0);
	fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fd >= 0);
	send_tcp(f, to, port, TCP_FLAG_ACK, "hello", 5);
	while (recv(fd, got, sizeof(got), MSG_DONTWAIT) < 0 && errno == EAGAIN)
		assert_true(event_loop_turn(&f->rig->loop, 100) >= 0);
	assert_string_equal(got, "hello");
	assert_int_equal(send(fd, "world", 5, 0), 5);
	while (wait_for_tcp(f, TCP_FLAG_ACK, &data) == 0)
		;
	assert_memory_equal(data, "world", 5);
	send_tcp(f, to, port, TCP_FLAG_RST | TCP_FLAG_ACK, NULL, 0);
	while (recv(fd, got, sizeof(got), MSG_DONTWAIT) < 0 && errno == EAGAIN)
		assert_true(event_loop_turn(&f->rig->loop, 100) >= 0);
	close(fd);
	close(listener);
}

static void test_tcp(void **state)
{
	struct fixture *f = start(true, false);

	(void)state;
	converse(f, NET_NAMESPACE_IPV6, NET_NAMESPACE_IPV6);
	stop(f);
}

static void send_udp(struct fixture *f, const char *to, uint16_t port, const void *data,
		     size_t length)
{
	uint8_t *udp = f->frame + DATA;

	big_endian_put16(udp + PORT_SOURCE, 4000);
	big_endian_put16(udp + PORT_DESTINATION, port);
	memcpy(udp + UDP_HEADER, data, length);
	send_frame(f, PROTOCOL_UDP, GUEST, to, UDP_HEADER + length);
}

static void test_udp(void **state)
{
	struct fixture *f = start(true, false);
	struct sockaddr_in6 from;
	socklen_t from_size = sizeof(from);
	const uint8_t *udp;
	char got[16] = {0};
	uint16_t port;
	int fd = host_socket(SOCK_DGRAM, NET_NAMESPACE_IPV6, &port);
	size_t length;

	(void)state;
	send_udp(f, NET_NAMESPACE_IPV6, port, "ping", 4);
	assert_int_equal(recvfrom(fd, got, sizeof(got), 0, (struct sockaddr *)&from, &from_size),
			 4);
	assert_string_equal(got, "ping");
	assert_int_equal(sendto(fd, "pong", 4, 0, (struct sockaddr *)&from, from_size), 4);
	udp = wait_for(f, PROTOCOL_UDP, &length);
	assert_int_equal(length, UDP_HEADER + 4);
	assert_memory_equal(udp + UDP_HEADER, "pong", 4);
	assert_int_equal(big_endian_get16(udp + PORT_DESTINATION), 4000);
	close(fd);
	stop(f);
}

/* The host's loopback interface: at the gateway's address, at its own, and at an unused one. */
static void test_host_loopback_is_off(void **state)
{
	static const char *const addresses[] = {"::1",	     "::ffff:127.0.0.1",     "fe80::1",
						ROUTER_LINK, "fd61:7670:a00:200::4", "ff02::1"};
	struct fixture *f = start(true, false);
	const uint8_t *message;
	uint16_t port, udp_port;
	int listener = host_socket(SOCK_STREAM, "::", &port);
	int fd = host_socket(SOCK_DGRAM, "::", &udp_port);
	size_t length;
	char byte;

	(void)state;
	send_tcp(f, GATEWAY, port, TCP_FLAG_SYN, NULL, 0);
	message = wait_for(f, PROTOCOL_ICMPV6, &length);
	assert_int_equal(message[0], 1);
	assert_int_equal(message[1], 1);
	send_udp(f, GATEWAY, udp_port, "ping", 4);
	message = wait_for(f, PROTOCOL_ICMPV6, &length);
	assert_int_equal(message[0], 1);
	for (size_t i = 0; i < sizeof(addresses) / sizeof(addresses[0]); i++) {
		send_tcp(f, addresses[i], port, TCP_FLAG_SYN, NULL, 0);
		send_udp(f, addresses[i], udp_port, "ping", 4);
	}
	for (int i = 0; i < 10; i++)
		event_loop_turn(&f->rig->loop, 0);
	assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	assert_false(user_net_rig_pending(listener));
	assert_false(user_net_rig_take(f->rig));
	close(fd);
	close(listener);
	stop(f);
}

static void test_host_loopback(void **state)
{
	struct fixture *f = start(true, true);

	(void)state;
	converse(f, GATEWAY, "::1");
	stop(f);
}

/* DNS over UDP and TCP. The host has no name servers, so both get SERVFAIL. */
static void test_names(void **state)
{
	struct fixture *f = start(true, false);
	uint8_t question[514];
	const uint8_t *data;
	size_t length = fake_dns_question(question + 2, "one", 77), size;

	(void)state;
	send_udp(f, NAME_SERVER, 53, question + 2, length);
	data = wait_for(f, PROTOCOL_UDP, &size);
	assert_true(is_from(f, NAME_SERVER));
	assert_int_equal(big_endian_get16(data + PORT_SOURCE), 53);
	assert_int_equal(big_endian_get16(data + PORT_DESTINATION), 4000);
	assert_int_equal(fake_dns_mark(question + 2, length, data + UDP_HEADER, size - UDP_HEADER),
			 -2);
	send_tcp(f, NAME_SERVER, 53, TCP_FLAG_SYN, NULL, 0);
	wait_for_tcp(f, TCP_FLAG_SYN | TCP_FLAG_ACK, &data);
	assert_true(is_from(f, NAME_SERVER));
	send_tcp(f, NAME_SERVER, 53, TCP_FLAG_ACK, NULL, 0);
	big_endian_put16(question, (uint16_t)length);
	send_tcp(f, NAME_SERVER, 53, TCP_FLAG_ACK, question, length + 2);
	while ((size = wait_for_tcp(f, TCP_FLAG_ACK, &data)) == 0)
		;
	assert_int_equal(fake_dns_mark(question + 2, length, data + 2, size - 2), -2);
	stop(f);
}

static void test_off(void **state)
{
	struct fixture *f = start(false, true);

	(void)state;
	memcpy(f->frame + DATA, "\x85\0\0\0\0\0\0\0\1\1\2\0\0\0\0\1", 16);
	send_frame(f, PROTOCOL_ICMPV6, GUEST_LINK, "ff02::2", 16);
	memcpy(f->frame + DATA, "\x80\0\0\0\0\1\0\1ping", 12);
	send_frame(f, PROTOCOL_ICMPV6, GUEST, GATEWAY, 12);
	for (int i = 0; i < 10; i++)
		event_loop_turn(&f->rig->loop, 0);
	assert_false(user_net_rig_take(f->rig));
	stop(f);
}

/* An idle network with IPv6 sleeps, too. */
static void test_idle(void **state)
{
	struct fixture *f = start(true, false);
	uint64_t sleeps;
	size_t length;

	(void)state;
	memcpy(f->frame + DATA, "\x80\0\0\0\0\1\0\1ping", 12);
	send_frame(f, PROTOCOL_ICMPV6, GUEST, GATEWAY, 12);
	wait_for(f, PROTOCOL_ICMPV6, &length);
	while (event_loop_turn(&f->rig->loop, 0) > 0)
		;
	sleeps = f->rig->loop.sleeps;
	assert_int_equal(event_loop_turn(&f->rig->loop, 2500), 0);
	assert_int_equal(f->rig->loop.sleeps, sleeps + 1);
	stop(f);
}

/* The host has IPv6 when it has an address and a route: here it has neither. */
static void test_host_without_ipv6(void **state)
{
	(void)state;
	if (!isolated)
		skip();
	assert_false(user_net_host_has_ipv6());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_router),
		cmocka_unit_test(test_ping),
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_udp),
		cmocka_unit_test(test_host_loopback_is_off),
		cmocka_unit_test(test_host_loopback),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_off),
		cmocka_unit_test(test_idle),
		cmocka_unit_test(test_host_without_ipv6),
	};

	return cmocka_run_group_tests(tests, enter_namespace, NULL);
}
