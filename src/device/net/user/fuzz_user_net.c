// SPDX-License-Identifier: BSD-3-Clause
/*
 * Frames of a hostile guest through the filter into libslirp, and actions of programs of a host:
 * answer, send urgent data, hang up, connect to forwarded ports. All in a network namespace with
 * only a loopback interface; where that is not available, frames end at the filter. The input
 * drives the clock.
 *
 * Use a library built with sanitizers (LD_LIBRARY_PATH) to find its faults; with
 * -fsanitize=fuzzer-no-link its coverage guides the fuzzer, too, as for the saved corpus.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/big_endian.h"
#include "base/internet_checksum.h"
#include "base/clock.h"
#include "device/net/user/router.h"
#include "device/net/user/slirp_library.h"
#include "fuzz/hostile_driver.h"
#include "device/net/user/fuzz_user_net_harness.h"

/*
 * The memory that the library may use: for each socket two buffers of 128 KiB and a packet; early
 * segments, each in a buffer for a whole packet; and the rest.
 */
#define SOCKET_BYTES	  (400 << 10)
#define OTHER_BYTES	  (1 << 20)
#define PACKET_BYTES(mtu) (2048 + (size_t)(mtu))

size_t __sanitizer_get_current_allocated_bytes(void);

static struct slirp_library library;
static bool isolated; /* in a namespace of our own */
static int server_tcp = -1, server_udp = -1;
static int dns_tcp = -1, dns_udp = -1;

/* Records values that the input can learn only from received frames. */
static ssize_t hear(const void *frame, size_t length, void *opaque)
{
	struct harness *h = opaque;
	const uint8_t *ip = (const uint8_t *)frame + PACKET_IP, *tcp = ip + IPV4_HEADER;
	bool ipv6 = big_endian_get16((const uint8_t *)frame + 12) == ETH_P_IPV6;
	size_t data;

	PROMISE(length >= ETH_HLEN && length <= PACKET_FRAME_MAX);
	h->heard++;
	if (!frame_filter_receive(&h->filter, frame, length) ||
	    length < PACKET_IP + (ipv6 ? IPV6_HEADER : IPV4_HEADER) + TCP_HEADER ||
	    ip[ipv6 ? IPV6_NEXT : IPV4_PROTOCOL] != PROTOCOL_TCP)
		return (ssize_t)length;
	if (ipv6)
		tcp = ip + IPV6_HEADER;
	data = length - (size_t)(tcp - (const uint8_t *)frame) - packet_tcp_header(tcp);
	h->their_ipv6 = ipv6;
	h->their_port = big_endian_get16(tcp + PORT_SOURCE);
	h->our_port = big_endian_get16(tcp + PORT_DESTINATION);
	h->their_sequence = big_endian_get32(tcp + 4) + (uint32_t)data +
			    !!(tcp[TCP_FLAGS] & (TCP_FLAG_SYN | TCP_FLAG_FIN));
	if (tcp[TCP_FLAGS] & TCP_FLAG_ACK)
		h->our_sequence = big_endian_get32(tcp + 8);
	return (ssize_t)length;
}

static void hear_name_server(void *context, const void *frame, size_t length)
{
	struct harness *h = context;
	const uint8_t *ip = (const uint8_t *)frame + PACKET_IP;
	size_t payload = length - PACKET_IP - IPV6_HEADER;

	if (big_endian_get16((const uint8_t *)frame + 12) == ETH_P_IPV6) {
		PROMISE(big_endian_get16(ip + IPV6_LENGTH) == payload &&
			length <= ETH_HLEN + h->mtu);
		PROMISE(packet_payload_fits(ip, (uint16_t)payload));
		hear(frame, length, h);
		return;
	}
	PROMISE(big_endian_get16(ip + IPV4_TOTAL_LENGTH) == length - PACKET_IP &&
		length <= ETH_HLEN + h->mtu);
	PROMISE(!internet_checksum(ip, IPV4_HEADER, 0));
	PROMISE(packet_payload_fits(ip, (uint16_t)(length - PACKET_IP - IPV4_HEADER)));
	PROMISE(big_endian_get32(ip + IPV4_SOURCE) == NAME_SERVER);
	hear(frame, length, h);
}

static int64_t read_clock(void *opaque)
{
	return ((struct harness *)opaque)->now_ms * 1000000;
}

static void ignore_message(const char *message, void *opaque)
{
	(void)message;
	(void)opaque;
}

static void count_descriptor(int fd, void *opaque)
{
	((struct harness *)opaque)->descriptors += fd >= 0;
}

static void ignore_descriptor(int fd, void *opaque)
{
	(void)fd;
	(void)opaque;
}

static const SlirpCb callbacks = {
	.send_packet = hear,
	.guest_error = ignore_message,
	.clock_get_ns = read_clock,
	.timer_new = slirp_library_make_timer,
	.timer_free = slirp_library_free_timer,
	.timer_mod = slirp_library_set_timer,
	.register_poll_fd = count_descriptor,
	.unregister_poll_fd = ignore_descriptor,
	.notify = slirp_library_notify,
};

static int add_poll(int fd, int events, void *opaque)
{
	struct harness *h = opaque;

	if (h->socket_count == SOCKETS_MAX)
		return -1;
	h->sockets[h->socket_count] = (struct pollfd){
		.fd = fd,
		.events = (short)((events & SLIRP_POLL_IN ? POLLIN : 0) |
				  (events & SLIRP_POLL_OUT ? POLLOUT : 0) |
				  (events & SLIRP_POLL_PRI ? POLLPRI : 0)),
	};
	return h->socket_count++;
}

static int get_events(int index, void *opaque)
{
	const struct harness *h = opaque;
	short events = index < 0 ? 0 : h->sockets[index].revents;

	return (events & POLLIN ? SLIRP_POLL_IN : 0) | (events & POLLOUT ? SLIRP_POLL_OUT : 0) |
	       (events & POLLPRI ? SLIRP_POLL_PRI : 0) | (events & POLLERR ? SLIRP_POLL_ERR : 0) |
	       (events & POLLHUP ? SLIRP_POLL_HUP : 0);
}

/* As user_net.c does it. */
static void answer_for_guest(struct harness *h)
{
	uint8_t answer[NEIGHBOURS_ANSWER_MAX];
	size_t length;

	while ((length = neighbours_take_answer(&h->filter.neighbours, answer)) > 0)
		library.input(h->slirp, answer, (int)length);
}

static void run_library(struct harness *h)
{
	uint32_t wait_ms = UINT32_MAX;

	event_loop_turn(&h->loop, 0);
	user_dns_expire(&h->dns, h->start_ms + h->now_ms);
	if (!h->slirp)
		return;
	h->socket_count = 0;
	library.fill(h->slirp, &wait_ms, add_poll, h);
	poll(h->sockets, (nfds_t)h->socket_count, 0);
	library.poll(h->slirp, 0, get_events, h);
	answer_for_guest(h);
	PROMISE(__sanitizer_get_current_allocated_bytes() <
		h->bytes_before + OTHER_BYTES + TCP_ORDER_EARLY * PACKET_BYTES(h->mtu) +
			h->descriptors * (SOCKET_BYTES + 2 * PACKET_BYTES(h->mtu)));
}

/* Checks again everything that the filter promises. */
static void check_passed(const struct harness *h, size_t length)
{
	const uint8_t *ip = h->frame + PACKET_IP, *data = ip + IPV4_HEADER;
	size_t size = length - PACKET_IP - IPV4_HEADER;
	uint32_t to;

	if (big_endian_get16(h->frame + 12) == ETH_P_ARP) {
		PROMISE(length == ARP_FRAME);
		return;
	}
	if (big_endian_get16(h->frame + 12) == ETH_P_IPV6) {
		user_net_check_ipv6(h, length);
		return;
	}
	PROMISE(big_endian_get16(h->frame + 12) == ETH_P_IP &&
		length >= PACKET_IP + IPV4_HEADER + 8);
	PROMISE(ip[0] == 0x45 && big_endian_get16(ip + IPV4_TOTAL_LENGTH) == length - PACKET_IP);
	PROMISE(!internet_checksum(ip, IPV4_HEADER, 0) && ip[IPV4_TTL]);
	PROMISE(!(big_endian_get16(ip + IPV4_FRAGMENT) & ~IPV4_DONT_FRAGMENT));
	to = big_endian_get32(ip + IPV4_DESTINATION);
	PROMISE(big_endian_get32(ip + IPV4_SOURCE) >> 8 == NETWORK >> 8);
	PROMISE(to == GATEWAY || to == NAME_SERVER || to >> 8 != NETWORK >> 8);
	/* The library has its own name server. */
	PROMISE(to != NAME_SERVER || ip[IPV4_PROTOCOL] == PROTOCOL_ICMP ||
		big_endian_get16(data + PORT_DESTINATION) != DNS_PORT);
	PROMISE(to >> 24 != 127 && to >> 24 != 0 && to >> 24 < 224);
	if (ip[IPV4_PROTOCOL] == PROTOCOL_TCP) {
		PROMISE(size >= packet_tcp_header(data));
		PROMISE(packet_payload_fits(ip, (uint16_t)size));
		PROMISE(data[TCP_DATA_OFFSET] >> 4 >= 5);
		PROMISE(!(data[TCP_FLAGS] & TCP_FLAG_URG) && !big_endian_get16(data + TCP_URGENT));
	} else if (ip[IPV4_PROTOCOL] == PROTOCOL_UDP) {
		PROMISE(big_endian_get16(data + UDP_LENGTH) == size);
		PROMISE(big_endian_get16(data + PORT_DESTINATION) != 69 || to != GATEWAY);
	} else {
		PROMISE(ip[IPV4_PROTOCOL] == PROTOCOL_ICMP && data[0] == 8);
	}
}

void user_net_send(struct harness *h, size_t length)
{
	uint8_t answer[DHCP_ANSWER_MAX], advertisement[ROUTER_FRAME_MAX],
		refusal[FRAME_REFUSAL_MAX];
	size_t size;
	uint32_t to;

	switch (frame_filter_check(&h->filter, h->frame, &length, h->now_ms)) {
	case FRAME_PASSED:
		check_passed(h, length);
		if (!h->slirp)
			break;
		library.input(h->slirp, h->frame, (int)length);
		answer_for_guest(h);
		break;
	case FRAME_REFUSED:
		frame_filter_refuse(&h->filter, h->frame, length, refusal);
		break;
	case FRAME_FOR_DHCP:
		size = dhcp_answer(&h->dhcp, h->frame + PACKET_UDP_DATA, length - PACKET_UDP_DATA,
				   answer, &to);
		PROMISE(size == 0 || (size >= 300 && size <= sizeof(answer)));
		break;
	case FRAME_FOR_DNS:
		user_dns_take(&h->dns, h->frame, length, h->start_ms + h->now_ms);
		break;
	case FRAME_FOR_ROUTER:
		PROMISE(router_advertise(advertisement, user_net_prefix, h->mtu, h->frame) <=
			sizeof(advertisement));
		break;
	case FRAME_KEPT:
	case FRAME_DROPPED:
		break;
	}
}

/* Overwrites some bytes of a frame as the input says, and corrects some checksums. */
static void finish(struct harness *h, size_t length, uint8_t how)
{
	uint8_t *ip = h->frame + PACKET_IP, *data = ip + IPV4_HEADER;
	size_t size = length > PACKET_IP + IPV4_HEADER ? length - PACKET_IP - IPV4_HEADER : 0;

	for (uint8_t patches = how & 3; patches > 0; patches--) {
		size_t at = take(h) % 80;

		h->frame[at] = take(h);
	}
	if (!(how & 4)) {
		size_t header = (size_t)(ip[0] & 0xf) * 4;

		big_endian_put16(ip + IPV4_CHECKSUM, 0);
		big_endian_put16(ip + IPV4_CHECKSUM, internet_checksum(ip, header, 0));
	}
	if (!(how & 8) && ip[IPV4_PROTOCOL] == PROTOCOL_TCP && size >= TCP_HEADER) {
		big_endian_put16(data + TCP_CHECKSUM, 0);
		big_endian_put16(data + TCP_CHECKSUM,
				 internet_checksum(data, size,
						   packet_pseudo_sum(ip, (uint16_t)size)));
	}
	if (!(how & 8) && ip[IPV4_PROTOCOL] == PROTOCOL_ICMP && size >= 8) {
		big_endian_put16(data + 2, 0);
		big_endian_put16(data + 2, internet_checksum(data, size, 0));
	}
	user_net_send(h, length);
}

/*
 * Headers of a packet of @protocol whose data of @length bytes is already there. Returns its
 * length.
 */
static size_t wrap(struct harness *h, uint8_t protocol, size_t length)
{
	static const uint32_t hosts[] = {GATEWAY,    NAME_SERVER,   SERVER,    UINT32_MAX,
					 0x7f000001, NETWORK + 255, GUEST + 1, SERVER};
	uint8_t *ip = h->frame + PACKET_IP, where = take(h);

	memset(h->frame, 2, 12);
	big_endian_put16(h->frame + 12, ETH_P_IP);
	memset(ip, 0, IPV4_HEADER);
	ip[IPV4_TTL] = (where & 8) ? 1 : 64;
	ip[IPV4_PROTOCOL] = protocol;
	big_endian_put16(ip + IPV4_ID, where >> 5);
	big_endian_put32(ip + IPV4_SOURCE, where & 16 ? GUEST + 1 : GUEST);
	big_endian_put32(ip + IPV4_DESTINATION, hosts[where % 8]);
	packet_finish_ip(ip, (uint16_t)(IPV4_HEADER + length));
	return PACKET_IP + IPV4_HEADER + length;
}

static void send_raw(struct harness *h, uint8_t how)
{
	size_t length = take(h);

	for (size_t i = 0; i < length; i++)
		h->frame[i] = take(h);
	finish(h, length, how);
}

#define ARP_ANSWERS 128
static void send_arp(struct harness *h, uint8_t how)
{
	static const uint8_t arp[] = {0,  1, 8, 0,  6, 4, 0, 1, 2, 2, 2,  2, 2, 2,
				      10, 0, 2, 15, 0, 0, 0, 0, 0, 0, 10, 0, 2, 2};

	memset(h->frame, 2, 12);
	big_endian_put16(h->frame + 12, ETH_P_ARP);
	memcpy(h->frame + ETH_HLEN, arp, sizeof(arp));
	h->frame[ETH_HLEN + ARP_OPERATION + 1] = how & ARP_ANSWERS ? ARP_REPLY : ARP_REQUEST;
	finish(h, ETH_HLEN + sizeof(arp), how | 12);
}

static void send_udp(struct harness *h, uint8_t how)
{
	static const uint16_t ports[] = {53, 67, 68, 69, 7, 1000, SERVER_PORT, FORWARDED};
	uint8_t *udp = h->frame + PACKET_IP + IPV4_HEADER, which = take(h);
	size_t length = take16(h) % (which & 64 ? 9000 : 64);

	memset(udp, take(h), UDP_HEADER + length);
	big_endian_put16(udp + PORT_SOURCE, ports[which % 8]);
	big_endian_put16(udp + PORT_DESTINATION, ports[which / 8 % 8]);
	big_endian_put16(udp + UDP_LENGTH, (uint16_t)(UDP_HEADER + length));
	big_endian_put16(udp + UDP_CHECKSUM, 0);
	finish(h, wrap(h, PROTOCOL_UDP, UDP_HEADER + length), how);
}

/* A segment of the connection seen last, or of a new one. */
static void send_tcp(struct harness *h, uint8_t how)
{
	uint8_t *tcp = h->frame + PACKET_IP + IPV4_HEADER, which = take(h);
	size_t options = which % 4 * 4, length = take16(h) % (which & 64 ? 2000 : 8);
	bool known = h->their_port && !(which & 128);

	memset(tcp, 0, TCP_HEADER);
	big_endian_put16(tcp + PORT_SOURCE, known ? h->our_port : 1000 + take(h) % 4);
	big_endian_put16(tcp + PORT_DESTINATION, known ? h->their_port : SERVER_PORT);
	big_endian_put32(tcp + 4, h->our_sequence + (which & 4 ? (uint32_t)(int8_t)take(h) : 0));
	big_endian_put32(tcp + 8, h->their_sequence + (which & 8 ? (uint32_t)(int8_t)take(h) : 0));
	tcp[TCP_DATA_OFFSET] = (uint8_t)((TCP_HEADER + options) / 4 << 4);
	tcp[TCP_FLAGS] = known ? take(h) : TCP_FLAG_SYN;
	big_endian_put16(tcp + 14, which & 16 ? take16(h) : 0xffff);
	if (which & 32)
		big_endian_put16(tcp + TCP_URGENT, take16(h));
	for (size_t i = 0; i < options; i++)
		tcp[TCP_HEADER + i] = take(h);
	memset(tcp + TCP_HEADER + options, 't', length);
	finish(h, wrap(h, PROTOCOL_TCP, TCP_HEADER + options + length), how);
}

static void send_icmp(struct harness *h, uint8_t how)
{
	uint8_t *icmp = h->frame + PACKET_IP + IPV4_HEADER;
	size_t length = 8 + take16(h) % 3000;

	memset(icmp, 0, length);
	icmp[0] = how & 16 ? take(h) : 8;
	finish(h, wrap(h, PROTOCOL_ICMP, length), how);
}

static void send_fragment(struct harness *h, uint8_t how)
{
	uint8_t *ip = h->frame + PACKET_IP, *data = ip + IPV4_HEADER;
	uint16_t field = take16(h);
	size_t length = (size_t)take(h) * (how & 16 ? 8 : 1), whole;

	memset(data, 0, length + UDP_HEADER);
	big_endian_put16(data + PORT_SOURCE, 1000);
	big_endian_put16(data + PORT_DESTINATION, 1000);
	big_endian_put16(data + UDP_LENGTH, take16(h));
	whole = wrap(h, how & 32 ? PROTOCOL_TCP : PROTOCOL_UDP, length);
	big_endian_put16(ip + IPV4_FRAGMENT, field & 0x20ff);
	finish(h, whole, how | 8);
}

static void send_dhcp(struct harness *h, uint8_t how)
{
	uint8_t *udp = h->frame + PACKET_IP + IPV4_HEADER, *message = udp + UDP_HEADER;
	size_t length = 240, options = take(h) % 64;

	memset(udp, 0, UDP_HEADER + 340);
	big_endian_put16(udp + PORT_SOURCE, 68);
	big_endian_put16(udp + PORT_DESTINATION, 67);
	message[0] = message[1] = 1;
	message[2] = 6;
	message[33] = take(h);
	big_endian_put32(message + 236, 0x63825363);
	for (size_t i = 0; i < options; i++)
		message[length++] = take(h);
	big_endian_put16(udp + UDP_LENGTH, (uint16_t)(UDP_HEADER + length));
	finish(h, wrap(h, PROTOCOL_UDP, UDP_HEADER + length), how);
}

/* A program of the host receives its data and acts on it. */
static void act_on_host(struct harness *h, uint8_t how)
{
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(FORWARDED)};
	struct sockaddr_storage from;
	socklen_t from_size = sizeof(from);
	uint8_t bytes[4096] = {0};
	size_t length = take16(h) % sizeof(bytes);
	ssize_t got;
	int fd;

	if (!isolated)
		return;
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	got = recvfrom(server_udp, bytes, sizeof(bytes), MSG_DONTWAIT, (struct sockaddr *)&from,
		       &from_size);
	if (got >= 0)
		sendto(server_udp, bytes, length, MSG_DONTWAIT, (struct sockaddr *)&from,
		       from_size);
	fd = accept4(server_tcp, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0 && how & 16) {
		fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
		connect(fd, (struct sockaddr *)&to, sizeof(to));
	}
	if (how & 32)
		sendto(server_udp, bytes, length, MSG_DONTWAIT, (struct sockaddr *)&to, sizeof(to));
	if (fd >= 0 && h->peer_count < PEERS_MAX)
		h->peers[h->peer_count++] = fd;
	else if (fd >= 0)
		close(fd);
	if (!h->peer_count)
		return;
	fd = h->peers[h->peer_count - 1];
	while (recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
	send(fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL | (how & 64 ? MSG_OOB : 0));
	if (how & 128)
		shutdown(fd, SHUT_WR);
	if (how & 4)
		close(h->peers[--h->peer_count]);
}

size_t user_net_make_question(struct harness *h, uint8_t *message)
{
	uint8_t label = take(h) % 64;

	memset(message, 0, DNS_HEADER);
	message[DNS_ID] = take(h) & 3;
	message[DNS_FLAGS] = 1;
	message[DNS_QUESTION_COUNT + 1] = 1;
	message[DNS_HEADER] = label;
	memset(message + DNS_HEADER + 1, 'n', label);
	big_endian_put32(message + DNS_HEADER + 1 + label, 0x000001);
	message[DNS_HEADER + 5 + label] = 1;
	return DNS_HEADER + (size_t)label + 6;
}

static void send_to_name_server(struct harness *h, uint8_t protocol, size_t length, uint8_t how)
{
	uint8_t *ip = h->frame + PACKET_IP;

	memset(h->frame, 2, 12);
	big_endian_put16(h->frame + 12, ETH_P_IP);
	memset(ip, 0, IPV4_HEADER);
	ip[IPV4_TTL] = 64;
	ip[IPV4_PROTOCOL] = protocol;
	big_endian_put32(ip + IPV4_SOURCE, GUEST);
	big_endian_put32(ip + IPV4_DESTINATION, NAME_SERVER);
	packet_finish_ip(ip, (uint16_t)(IPV4_HEADER + length));
	finish(h, PACKET_IP + IPV4_HEADER + length, how);
}

static void send_dns_udp(struct harness *h, uint8_t how)
{
	uint8_t *udp = h->frame + PACKET_IP + IPV4_HEADER;
	size_t length = UDP_HEADER + user_net_make_question(h, udp + UDP_HEADER);

	big_endian_put16(udp + PORT_SOURCE, 1000 + (how >> 6));
	big_endian_put16(udp + PORT_DESTINATION, DNS_PORT);
	big_endian_put16(udp + UDP_LENGTH, (uint16_t)length);
	big_endian_put16(udp + UDP_CHECKSUM, 0);
	send_to_name_server(h, PROTOCOL_UDP, length, how);
}

/* A segment of a connection to the name server: one that opens it, with a question, or any. */
static void send_dns_tcp(struct harness *h, uint8_t how)
{
	uint8_t *tcp = h->frame + PACKET_IP + IPV4_HEADER, which = take(h);
	size_t length = 0;

	memset(tcp, 0, TCP_HEADER);
	big_endian_put16(tcp + PORT_SOURCE, which & 1 ? 1000 + (which >> 3) : h->our_port);
	big_endian_put16(tcp + PORT_DESTINATION, DNS_PORT);
	big_endian_put32(tcp + 4, h->our_sequence + (which & 4 ? (uint32_t)(int8_t)take(h) : 0));
	big_endian_put32(tcp + 8, h->their_sequence - (which & 2 ? take16(h) : 0));
	tcp[TCP_DATA_OFFSET] = TCP_HEADER / 4 << 4;
	tcp[TCP_FLAGS] = which & 1 ? TCP_FLAG_SYN : TCP_FLAG_ACK;
	big_endian_put16(tcp + 14, how & 16 ? take16(h) : 0xffff);
	if (how & 32) {
		length = user_net_make_question(h, tcp + TCP_HEADER + 2);
		big_endian_put16(tcp + TCP_HEADER, (uint16_t)length);
		length += 2;
	}
	if (how & 64)
		tcp[TCP_FLAGS] = take(h);
	if (how & 128)
		length = take16(h) % 1400;
	send_to_name_server(h, PROTOCOL_TCP, TCP_HEADER + length, how);
}

/* Makes an answer of a question, or something like one. Returns its length. */
static size_t make_answer(struct harness *h, uint8_t *message, size_t length, uint8_t how)
{
	message[DNS_FLAGS] |= 0x80;
	message[DNS_FLAGS + 1] = how & 4 ? take(h) : 0;
	length += how & 8 ? take16(h) : 0;
	for (uint8_t patches = how & 3; patches > 0; patches--) {
		size_t at = take(h);

		message[at] = take(h);
	}
	return length < 65000 ? length : 65000;
}

/* A name server of the host receives its queries, and answers. */
static void act_on_name_server(struct harness *h, uint8_t how)
{
	static uint8_t bytes[2 + 70000];
	struct sockaddr_storage from;
	socklen_t from_size = sizeof(from);
	ssize_t got;
	int fd;

	if (!isolated)
		return;
	got = recvfrom(dns_udp, bytes, 4096, MSG_DONTWAIT, (struct sockaddr *)&from, &from_size);
	if (got >= 0)
		sendto(dns_udp, bytes, make_answer(h, bytes, (size_t)got, how), MSG_DONTWAIT,
		       (struct sockaddr *)&from, from_size);
	fd = accept4(dns_tcp, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd < 0)
		return;
	got = recv(fd, bytes, 4096, MSG_DONTWAIT);
	if (got >= 2) {
		size_t length = make_answer(h, bytes + 2, (size_t)got - 2, how);

		big_endian_put16(bytes, (uint16_t)(length + (how & 16 ? take(h) : 0)));
		send(fd, bytes, how & 32 ? take(h) : length + 2, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	if (how & 64)
		dns_relay_set_servers(&h->dns.relay, &(struct name_servers){0});
	close(fd);
}

static void pass_time(struct harness *h, uint8_t how)
{
	int64_t step = how & 128 ? 500 : 7;

	for (unsigned int i = take(h); i > 0; i--) {
		h->now_ms += step;
		run_library(h);
	}
}

static void take_step(struct harness *h)
{
	static void (*const steps[])(struct harness *, uint8_t) = {
		send_raw,      send_arp,  send_udp,  send_tcp,	  send_icmp,
		send_fragment, send_dhcp, pass_time, act_on_host, send_tcp,
	};
	static void (*const dns_steps[])(struct harness *, uint8_t) = {
		send_dns_udp,
		send_dns_tcp,
		act_on_name_server,
		send_dns_tcp,
	};
	uint8_t step = take(h), how = take(h);

	if (step >= 240)
		dns_steps[step % 4](h, how);
	else if (step >= 200)
		user_net_step_ipv6(h, step, how);
	else
		steps[step % (sizeof(steps) / sizeof(steps[0]))](h, how);
	run_library(h);
}

static void start(struct harness *h)
{
	/* The smallest with and without IPv6, and up to the largest that the library accepts. */
	static const uint16_t mtus[] = {576, 1280, 1500, 1500, 9000, 9000, 65521, 65521};
	uint8_t kind = take(h);
	struct frame_filter_settings settings = {
		.network = NETWORK,
		.mask = 0xffffff00,
		.gateway = GATEWAY,
		.name_server = NAME_SERVER,
		.host_loopback = kind & 1,
		.ipv6 = {.on = kind & 2, .mtu = mtus[kind / 2 % 8]},
	};
	SlirpConfig config = {
		.version = 1,
		.in_enabled = true,
		.vnetwork.s_addr = htonl(NETWORK),
		.vnetmask.s_addr = htonl(0xffffff00),
		.vhost.s_addr = htonl(GATEWAY),
		.vdhcp_start.s_addr = htonl(GUEST),
		.vnameserver.s_addr = htonl(NAME_SERVER),
		.if_mtu = settings.ipv6.mtu,
		.in6_enabled = settings.ipv6.on,
		.vprefix_len = IPV6_PREFIX * 8,
	};
	static const char list[] = "nameserver " DNS_SERVER "\nnameserver " DNS_NOBODY "\n";
	const struct in_addr any = {0}, guest = {htonl(GUEST)};
	struct name_servers servers;
	struct error error = {0};

	memcpy(settings.ipv6.prefix, user_net_prefix, IPV6_PREFIX);
	memcpy(config.vprefix_addr6.s6_addr, user_net_prefix, IPV6_PREFIX);
	packet_service_ipv6(config.vhost6.s6_addr, user_net_prefix, IPV6_GATEWAY);
	packet_service_ipv6(config.vnameserver6.s6_addr, user_net_prefix, IPV6_NAME_SERVER);
	h->mtu = settings.ipv6.mtu;
	frame_filter_init(&h->filter, &settings);
	h->dhcp.settings = (struct dhcp_settings){
		.gateway = GATEWAY,
		.mask = 0xffffff00,
		.name_server = NAME_SERVER,
		.first_address = GUEST,
		.mtu = 576,
		.host_name = "guest",
	};
	h->now_ms = 1000;
	h->start_ms = clock_now_ms() - h->now_ms;
	PROMISE(event_loop_init(&h->loop, 0, &error) == 0);
	user_dns_init(&h->dns, NAME_SERVER, user_net_prefix, h->mtu, hear_name_server, h);
	PROMISE(user_dns_start(&h->dns, &h->loop, NULL, &error) == 0);
	if (!isolated)
		return;
	name_servers_parse(&servers, list, strlen(list), NULL, NULL);
	dns_relay_set_servers(&h->dns.relay, &servers);
	h->bytes_before = __sanitizer_get_current_allocated_bytes();
	h->slirp = library.new(&config, &callbacks, h);
	PROMISE(h->slirp);
	library.add_forward(h->slirp, 0, any, FORWARDED, guest, SERVER_PORT);
	library.add_forward(h->slirp, 1, any, FORWARDED, guest, 7);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int bind_server(const char *where, uint16_t port, int type)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = inet_addr(where),
				      .sin_port = htons(port)};
	int fd = socket(AF_INET, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;

	PROMISE(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) == 0);
	PROMISE(bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	return fd;
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	struct ifreq request = {.ifr_name = "lo"};
	struct sockaddr_in *address = (struct sockaddr_in *)&request.ifr_addr;
	struct error error = {0};
	int fd;

	(void)argc;
	(void)argv;
	/* As in device processes. */
	signal(SIGPIPE, SIG_IGN);
	if (slirp_library_load(&library, &error) < 0 ||
	    (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0)) {
		fprintf(stderr, "no library or no network namespace: only the filter is tested\n");
		return 0;
	}
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	request.ifr_flags = IFF_UP;
	PROMISE(ioctl(fd, SIOCSIFFLAGS, &request) == 0);
	strcpy(request.ifr_name, "lo:1");
	*address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(SERVER)};
	PROMISE(ioctl(fd, SIOCSIFADDR, &request) == 0);
	close(fd);
	server_tcp = bind_server("0.0.0.0", SERVER_PORT, SOCK_STREAM);
	PROMISE(listen(server_tcp, 64) == 0);
	server_udp = bind_server("0.0.0.0", SERVER_PORT, SOCK_DGRAM);
	dns_tcp = bind_server(DNS_SERVER, DNS_PORT, SOCK_STREAM);
	PROMISE(listen(dns_tcp, 64) == 0);
	dns_udp = bind_server(DNS_SERVER, DNS_PORT, SOCK_DGRAM);
	user_net_start_ipv6();
	isolated = true;
	return 0;
}

static void finish_library(struct harness *h)
{
	unsigned int heard;

	if (!h->slirp)
		return;
	/*
	 * Let the guest answer, so that the packets waiting for it are sent: libslirp leaks those
	 * that remain at the end.
	 */
	send_arp(h, ARP_ANSWERS);
	do {
		heard = h->heard;
		run_library(h);
	} while (h->heard != heard);
	library.cleanup(h->slirp);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct harness *h = calloc(1, sizeof(*h));
	int fd;

	PROMISE(h);
	h->input = data;
	h->left = size;
	start(h);
	while (h->left)
		take_step(h);
	while (h->peer_count > 0)
		close(h->peers[--h->peer_count]);
	finish_library(h);
	user_dns_stop(&h->dns);
	event_loop_close(&h->loop);
	while (isolated && (fd = accept4(dns_tcp, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		close(fd);
	user_net_drain_ipv6();
	while (isolated && recv(dns_udp, NULL, 0, MSG_DONTWAIT) >= 0)
		;
	while (isolated && (fd = accept4(server_tcp, NULL, NULL, SOCK_CLOEXEC)) >= 0)
		close(fd);
	free(h);
	return 0;
}
