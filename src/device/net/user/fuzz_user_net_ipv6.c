// SPDX-License-Identifier: BSD-3-Clause
/* The IPv6 part of the fuzz target of the user-mode network. */
#include <errno.h>
#include <linux/ipv6.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/big_endian.h"
#include "base/internet_checksum.h"
#include "fuzz/hostile_driver.h"
#include "device/net/user/fuzz_user_net_harness.h"

/* IPv6 addresses: the guest's, and its destinations. */
const uint8_t user_net_prefix[IPV6_PREFIX] = {0xfd, 'a', 'v', 'p', 10, 0, 2, 0};
static const uint8_t guest6[2][IPV6_ADDRESS] = {{0xfd, 'a', 'v', 'p', 10, 0, 2, 0, [15] = 15},
						{0xfe, 0x80, [15] = 15}};
static const uint8_t hosts6[8][IPV6_ADDRESS] = {
	{0x20, 0x01, 0x0d, 0xb8, [15] = 1}, /* of the loopback interface */
	{0xfd, 'a', 'v', 'p', 10, 0, 2, 0, [15] = 2},
	{0xfd, 'a', 'v', 'p', 10, 0, 2, 0, [15] = 3},
	{0xfe, 0x80, [15] = 2},
	{0xff, 2, [11] = 1, 0xff, 0, 0, 2},
	{0xff, 2, [15] = 1},
	{[15] = 1},
	{0xff, 2, [15] = 2},
};

static int server_tcp6 = -1, server_udp6 = -1;

static bool in_network6(const uint8_t *address)
{
	return !memcmp(address, user_net_prefix, IPV6_PREFIX);
}

void user_net_check_ipv6(const struct harness *h, size_t length)
{
	const uint8_t *ip = h->frame + PACKET_IP, *data = ip + IPV6_HEADER;
	const uint8_t *to = ip + IPV6_DESTINATION;
	size_t size = length - PACKET_IP - IPV6_HEADER;

	PROMISE(h->filter.settings.ipv6.on && length >= PACKET_IP + IPV6_HEADER + 8);
	PROMISE(ip[0] >> 4 == 6 && big_endian_get16(ip + IPV6_LENGTH) == size &&
		ip[IPV6_HOP_LIMIT]);
	PROMISE(size + IPV6_HEADER <= h->mtu);
	if (ip[IPV6_NEXT] == PROTOCOL_ICMPV6) {
		PROMISE(!data[1] && (data[0] == 128 || data[0] == 135 || data[0] == 136));
		PROMISE(data[0] == 128 || (size >= 24 && ip[IPV6_HOP_LIMIT] == 255));
		return;
	}
	PROMISE(in_network6(ip + IPV6_SOURCE));
	PROMISE((to[0] & 0xe0) == 0x20 || (to[0] & 0xfe) == 0xfc ||
		big_endian_get32(to) == 0x0064ff9b);
	PROMISE(!in_network6(to) || (h->filter.settings.host_loopback && to[15] == 2));
	if (ip[IPV6_NEXT] == PROTOCOL_TCP) {
		PROMISE(size >= packet_tcp_header(data));
		PROMISE(!(data[TCP_FLAGS] & TCP_FLAG_URG) && !big_endian_get16(data + TCP_URGENT));
	} else {
		PROMISE(ip[IPV6_NEXT] == PROTOCOL_UDP &&
			big_endian_get16(data + UDP_LENGTH) == size);
		PROMISE(!in_network6(to) || (big_endian_get16(data + PORT_DESTINATION) != 69 &&
					     big_endian_get16(data + PORT_DESTINATION) != 547));
	}
}

/* Sends @length bytes of @protocol over IPv6, changed as the input says. */
static void send_ipv6(struct harness *h, uint8_t protocol, size_t length, uint8_t how)
{
	struct packet_route_ipv6 route = {.hop_limit = 255};
	uint8_t where = take(h), *ip = h->frame + PACKET_IP, *data = ip + IPV6_HEADER;

	memset(route.mac, 2, ETH_ALEN);
	memcpy(route.source, guest6[where >> 7], IPV6_ADDRESS);
	if (where & 64)
		route.source[15] = take(h);
	memcpy(route.destination, hosts6[where % 8], IPV6_ADDRESS);
	if (where & 32)
		route.destination[take(h) % IPV6_ADDRESS] = take(h);
	packet_wrap_ipv6(data, &route, protocol, (uint16_t)length);
	memset(h->frame + ETH_ALEN, 2, ETH_ALEN);
	/* An extension header, or something like one, before it. */
	if (where & 16) {
		size_t units = 1 + take(h) % 3;

		memmove(data + units * 8, data, length);
		memset(data, 0, units * 8);
		data[0] = protocol;
		data[1] = (uint8_t)(units - 1 + (how & 128 ? take(h) : 0));
		for (size_t i = 2; i < 8; i++)
			data[i] = how & 64 ? take(h) : 0;
		ip[IPV6_NEXT] = take(h) % 64;
		length += units * 8;
		big_endian_put16(ip + IPV6_LENGTH, (uint16_t)length);
	}
	for (uint8_t patches = how & 3; patches > 0; patches--) {
		size_t at = take(h) % 120;

		h->frame[at] = take(h);
	}
	if (how & 4 && !(where & 16) && ip[IPV6_NEXT] == PROTOCOL_ICMPV6) {
		big_endian_put16(data + 2, 0);
		big_endian_put16(data + 2,
				 internet_checksum(data, length,
						   packet_pseudo_sum(ip, (uint16_t)length)));
	}
	user_net_send(h, PACKET_IP + IPV6_HEADER + length);
}

/* A message of neighbour discovery (RFC 4861, 4) with options, or any other. */
static void send_icmp6(struct harness *h, uint8_t how)
{
	/* Solicitations and advertisements of routers, then of neighbours; pings. */
	static const uint8_t types[8] = {133, 134, 135, 136, 128, 128, 128, 128};
	static const uint8_t lengths[8] = {8, 16, 24, 24, 24, 24, 24, 24};
	uint8_t *icmp = h->frame + PACKET_IP + IPV6_HEADER, which = take(h);
	size_t length = which & 128 ? 8 + take16(h) % 1400 : lengths[which % 8];

	memset(icmp, 0, length + 64);
	icmp[0] = which & 8 ? take(h) : types[which % 8];
	icmp[4] = which & 16 ? 0x60 : 0x20;
	if (length >= 24)
		memcpy(icmp + 8, which & 16 ? guest6[which & 1] : hosts6[1 + which % 3],
		       IPV6_ADDRESS);
	if (which & 32) {
		uint8_t options = take(h) % 64;

		for (uint8_t i = 0; i < options; i++)
			icmp[length + i] = take(h);
		length += options;
	}
	send_ipv6(h, PROTOCOL_ICMPV6, length, how);
}

static void send_udp6(struct harness *h, uint8_t how)
{
	static const uint16_t ports[] = {DNS_PORT, 547, 69, SERVER_PORT};
	uint8_t *udp = h->frame + PACKET_IP + IPV6_HEADER, which = take(h);
	size_t length = take16(h) % (which & 64 ? 2000 : 64);

	memset(udp, 0, UDP_HEADER + length);
	if (which & 128)
		length = user_net_make_question(h, udp + UDP_HEADER);
	big_endian_put16(udp + PORT_SOURCE, 1000 + which % 4);
	big_endian_put16(udp + PORT_DESTINATION, ports[which / 4 % 4]);
	send_ipv6(h, PROTOCOL_UDP, UDP_HEADER + length, how);
}

/* A segment of the connection seen last, or one that opens one. */
static void send_tcp6(struct harness *h, uint8_t how)
{
	uint8_t *tcp = h->frame + PACKET_IP + IPV6_HEADER, which = take(h);
	size_t length = take16(h) % (which & 64 ? 1200 : 8);
	bool known = h->their_ipv6 && !(which & 128);

	memset(tcp, 0, TCP_HEADER + 1300);
	big_endian_put16(tcp + PORT_SOURCE, known ? h->our_port : 1000 + take(h) % 4);
	big_endian_put16(tcp + PORT_DESTINATION, known	   ? h->their_port :
						 which & 1 ? DNS_PORT :
							     SERVER_PORT);
	big_endian_put32(tcp + 4, h->our_sequence + (which & 4 ? (uint32_t)(int8_t)take(h) : 0));
	big_endian_put32(tcp + 8, h->their_sequence + (which & 8 ? (uint32_t)(int8_t)take(h) : 0));
	tcp[TCP_DATA_OFFSET] = TCP_HEADER / 4 << 4;
	tcp[TCP_FLAGS] = known ? take(h) : TCP_FLAG_SYN;
	big_endian_put16(tcp + 14, which & 16 ? take16(h) : 0xffff);
	if (which & 32)
		big_endian_put16(tcp + TCP_URGENT, take16(h));
	send_ipv6(h, PROTOCOL_TCP, TCP_HEADER + length, how);
}

/* A program of the host that listens on IPv6. */
static void act_on_host6(struct harness *h, uint8_t how)
{
	struct sockaddr_storage from;
	socklen_t from_size = sizeof(from);
	uint8_t bytes[4096] = {0};
	size_t length = take16(h) % sizeof(bytes);
	int fd;

	if (server_tcp6 < 0)
		return;
	if (recvfrom(server_udp6, bytes, sizeof(bytes), MSG_DONTWAIT, (struct sockaddr *)&from,
		     &from_size) >= 0)
		sendto(server_udp6, bytes, length, MSG_DONTWAIT, (struct sockaddr *)&from,
		       from_size);
	fd = accept4(server_tcp6, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	send(fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL | (how & 64 ? MSG_OOB : 0));
	if (how & 128 || h->peer_count == PEERS_MAX)
		close(fd);
	else
		h->peers[h->peer_count++] = fd;
}

void user_net_step_ipv6(struct harness *h, uint8_t step, uint8_t how)
{
	static void (*const steps[])(struct harness *, uint8_t) = {
		send_icmp6,
		send_udp6,
		send_tcp6,
		act_on_host6,
	};

	steps[step % 4](h, how);
}

static int bind_server6(int type)
{
	struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(SERVER_PORT)};
	int fd = socket(AF_INET6, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;

	PROMISE(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) == 0);
	PROMISE(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0);
	PROMISE(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	return fd;
}

void user_net_start_ipv6(void)
{
	struct in6_ifreq request = {.ifr6_prefixlen = 128, .ifr6_ifindex = 1};
	int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(&request.ifr6_addr, hosts6[0], IPV6_ADDRESS);
	if (fd >= 0 && ioctl(fd, SIOCSIFADDR, &request) == 0) {
		server_tcp6 = bind_server6(SOCK_STREAM);
		PROMISE(listen(server_tcp6, 64) == 0);
		server_udp6 = bind_server6(SOCK_DGRAM);
	}
	close(fd);
}

void user_net_drain_ipv6(void)
{
	int fd;

	while (server_tcp6 >= 0 && (fd = accept4(server_tcp6, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		close(fd);
}
