// SPDX-License-Identifier: BSD-3-Clause
/* The guest's packets to its name server, and their answers. */
#include "device/net/user/user_dns.h"

#include <stdio.h>
#include <string.h>

#include "base/big_endian.h"
#include "base/clock.h"
#include "base/log.h"
#include "device/net/user/packet.h"

/* The payload of any packet that a 16-bit MTU allows fits after DNS_TCP_ROOM. */
_Static_assert(sizeof(((struct user_dns *)0)->frame) >= DNS_TCP_ROOM + UINT16_MAX - IPV4_HEADER,
	       "an IPv4 packet is longer than the frame");
_Static_assert(sizeof(((struct dns_tcp *)0)->frame) >= DNS_TCP_ROOM + UINT16_MAX - IPV6_HEADER,
	       "a segment is longer than the frame");

static void list_servers(const struct name_servers *servers, char *text, size_t size)
{
	size_t length = 0;

	text[0] = 0;
	for (uint32_t i = 0; i < servers->count && length < size; i++) {
		char server[NAME_SERVER_TEXT];

		length += (size_t)snprintf(text + length, size - length, "%s%s", i ? ", " : "",
					   name_server_print(&servers->servers[i], server));
	}
}

static void change_servers(void *context, const struct name_servers *servers)
{
	struct user_dns *dns = context;
	char text[NAME_SERVERS_MAX * (NAME_SERVER_TEXT + 2)];

	if (dns->known && name_servers_are_equal(servers, &dns->relay.servers))
		return;
	dns_relay_set_servers(&dns->relay, servers);
	list_servers(servers, text, sizeof(text));
	if (!servers->count)
		log_warning("%s lists no name server: the guest cannot look up names",
			    dns->reader.path);
	else if (dns->known)
		log_info("name servers of the host are now %s", text);
	else
		log_debug("name servers of the host are %s", text);
	dns->known = true;
}

static void send_ipv4(struct user_dns *dns, const struct dns_asker *asker, uint8_t *payload,
		      uint8_t protocol, size_t length)
{
	uint8_t *frame = payload - PACKET_IP - IPV4_HEADER;
	struct packet_flow flow = {
		.source = dns->address,
		.destination = big_endian_get32(asker->address),
		.source_port = DNS_PORT,
		.destination_port = asker->port,
	};

	memcpy(flow.mac, asker->mac, sizeof(flow.mac));
	length = protocol == PROTOCOL_TCP ?
			 packet_wrap_tcp(frame, &flow, (uint16_t)length) :
			 packet_wrap_udp(frame, &flow, (uint16_t)(length - UDP_HEADER));
	dns->deliver(dns->context, frame, length);
}

static void send_ipv6(struct user_dns *dns, const struct dns_asker *asker, uint8_t *payload,
		      uint8_t protocol, size_t length)
{
	struct packet_route_ipv6 route = {.hop_limit = PACKET_HOPS};

	memcpy(route.mac, asker->mac, sizeof(route.mac));
	memcpy(route.destination, asker->address, sizeof(route.destination));
	packet_service_ipv6(route.source, dns->prefix, IPV6_NAME_SERVER);
	big_endian_put16(payload + PORT_SOURCE, DNS_PORT);
	big_endian_put16(payload + PORT_DESTINATION, asker->port);
	packet_wrap_ipv6(payload, &route, protocol, (uint16_t)length);
	dns->deliver(dns->context, payload - IPV6_HEADER - PACKET_IP,
		     PACKET_IP + IPV6_HEADER + length);
}

/* Sends the guest @length bytes at @payload, which has room for headers before it. */
static void send_payload(struct user_dns *dns, const struct dns_asker *asker, uint8_t *payload,
			 uint8_t protocol, size_t length)
{
	if (asker->is_ipv6)
		send_ipv6(dns, asker, payload, protocol, length);
	else
		send_ipv4(dns, asker, payload, protocol, length);
}

static void send_segment(void *context, const struct dns_asker *guest, uint8_t *segment,
			 size_t length)
{
	send_payload(context, guest, segment, PROTOCOL_TCP, length);
}

/*
 * Answers that do not fit into a packet are truncated, and the guest gets them by TCP (RFC 2181,
 * 9). This is the only check of a datagram's length.
 */
static void send_datagram(struct user_dns *dns, const struct dns_asker *asker,
			  const uint8_t *message, size_t length)
{
	size_t headers = (asker->is_ipv6 ? IPV6_HEADER : IPV4_HEADER) + UDP_HEADER;
	uint8_t *udp = dns->frame + DNS_TCP_ROOM;

	if (headers + length <= dns->mtu)
		memcpy(udp + UDP_HEADER, message, length);
	else
		length = dns_make_empty(message, length, udp + UDP_HEADER, DNS_FLAG_TRUNCATED,
					dns_rcode(message));
	send_payload(dns, asker, udp, PROTOCOL_UDP, UDP_HEADER + length);
}

static void take_answer(void *context, const struct dns_asker *asker, const uint8_t *message,
			size_t length)
{
	struct user_dns *dns = context;

	if (asker->connection < 0)
		send_datagram(dns, asker, message, length);
	else
		dns_tcp_answer(&dns->tcp, asker->connection, length, clock_now_ms());
}

void user_dns_init(struct user_dns *dns, uint32_t address, const uint8_t prefix[IPV6_PREFIX],
		   uint16_t mtu, user_dns_deliver *deliver, void *context)
{
	dns->reader = RESOLV_READER_NONE;
	dns->address = address;
	memcpy(dns->prefix, prefix, IPV6_PREFIX);
	dns->mtu = mtu;
	dns->deliver = deliver;
	dns->context = context;
	dns_tcp_init(&dns->tcp, &dns->relay, dns->mtu, send_segment, dns);
}

int user_dns_start(struct user_dns *dns, struct event_loop *loop, const char *path,
		   struct error *error)
{
	dns_relay_init(&dns->relay, loop, take_answer, dns);
	return path ? resolv_reader_start(&dns->reader, loop, path, change_servers, dns, error) : 0;
}

void user_dns_stop(struct user_dns *dns)
{
	user_dns_reset(dns);
	resolv_reader_stop(&dns->reader);
}

bool user_dns_take(struct user_dns *dns, const uint8_t *frame, size_t length, int64_t now_ms)
{
	const uint8_t *ip = frame + PACKET_IP, *data = ip + packet_ip_header(ip);
	struct dns_asker asker = {
		.connection = -1,
		.is_ipv6 = packet_is_ipv6(ip),
		.port = big_endian_get16(data + PORT_SOURCE),
	};

	memcpy(asker.mac, frame + ETH_ALEN, sizeof(asker.mac));
	packet_take_address(asker.address, ip, true);
	length -= (size_t)(data - frame);
	if (packet_protocol(ip) == PROTOCOL_UDP)
		return dns_relay_ask(&dns->relay, &asker, data + UDP_HEADER, length - UDP_HEADER,
				     NULL, now_ms);
	dns_tcp_take(&dns->tcp, &asker, data, length, now_ms);
	return true;
}

void user_dns_reset(struct user_dns *dns)
{
	dns_tcp_forget_all(&dns->tcp);
	dns_relay_forget_all(&dns->relay);
}

int64_t user_dns_deadline_ms(const struct user_dns *dns)
{
	int64_t relay_ms = dns_relay_deadline_ms(&dns->relay);
	int64_t tcp_ms = dns_tcp_deadline_ms(&dns->tcp);

	return relay_ms < tcp_ms ? relay_ms : tcp_ms;
}

void user_dns_expire(struct user_dns *dns, int64_t now_ms)
{
	dns_relay_expire(&dns->relay, now_ms);
	dns_tcp_expire(&dns->tcp, now_ms);
}
