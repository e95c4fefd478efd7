// SPDX-License-Identifier: BSD-3-Clause
/* Connections of the guest to the name server of the user-mode network. */
#include "device/net/user/dns_tcp.h"

#include <string.h>
#include <sys/random.h>

#include "base/big_endian.h"

#define MSS_LENGTH 4 /* of the option */

/* RFC 9293, 3.7.1: without an option; and the most that headers take of a packet. */
#define MSS_DEFAULT 536
#define HEADERS	    60

/* The smallest MSS used, even if the guest announces less: any packet has room for it. */
#define MSS_MIN 8

struct segment {
	uint32_t sequence, acknowledged, window;
	uint8_t flags;
	const uint8_t *data;
	size_t length;
};

void dns_tcp_init(struct dns_tcp *tcp, struct dns_relay *relay, uint16_t mtu, dns_tcp_send *send,
		  void *context)
{
	tcp->relay = relay;
	tcp->mss = mtu - HEADERS;
	tcp->send = send;
	tcp->context = context;
}

static int index_of(const struct dns_tcp *tcp, const struct dns_tcp_connection *connection)
{
	return (int)(connection - tcp->connections);
}

static void forget(struct dns_tcp *tcp, struct dns_tcp_connection *connection)
{
	if (connection->asked)
		dns_relay_forget(tcp->relay, index_of(tcp, connection));
	connection->asked = false;
	connection->state = DNS_TCP_FREE;
	tcp->active--;
}

/* The distance of two sequence numbers: RFC 9293, 3.4. */
static int32_t distance(uint32_t from, uint32_t to)
{
	return (int32_t)(to - from);
}

static void send_segment(struct dns_tcp *tcp, const struct dns_asker *guest,
			 const struct segment *segment)
{
	uint8_t *at = tcp->frame + DNS_TCP_ROOM;
	size_t header = TCP_HEADER;

	memset(at, 0, TCP_HEADER);
	big_endian_put16(at + PORT_SOURCE, DNS_PORT);
	big_endian_put16(at + PORT_DESTINATION, guest->port);
	big_endian_put32(at + TCP_SEQUENCE, segment->sequence);
	big_endian_put32(at + TCP_ACKNOWLEDGED, segment->acknowledged);
	at[TCP_FLAGS] = segment->flags;
	big_endian_put16(at + TCP_WINDOW, (uint16_t)segment->window);
	if (segment->flags & TCP_FLAG_SYN) {
		at[header] = TCP_OPTION_MSS;
		at[header + 1] = MSS_LENGTH;
		big_endian_put16(at + header + 2, (uint16_t)tcp->mss);
		header += MSS_LENGTH;
	}
	at[TCP_DATA_OFFSET] = (uint8_t)(header / 4 << 4);
	if (segment->length)
		memcpy(at + header, segment->data, segment->length);
	tcp->send(tcp->context, guest, at, header + segment->length);
}

/* Sends the next @length bytes with @flags. */
static void send_next(struct dns_tcp *tcp, struct dns_tcp_connection *connection, uint8_t flags,
		      size_t length)
{
	const struct segment segment = {
		.sequence = connection->next,
		.acknowledged = connection->expected,
		.window = (uint32_t)(sizeof(connection->in) - connection->in_length),
		.flags = flags | TCP_FLAG_ACK,
		.data = connection->out + connection->out_start +
			(uint32_t)distance(connection->first, connection->next),
		.length = length,
	};

	send_segment(tcp, &connection->guest, &segment);
	connection->next += (uint32_t)length + !!(flags & (TCP_FLAG_SYN | TCP_FLAG_FIN));
	if (distance(connection->reach, connection->next) > 0)
		connection->reach = connection->next;
}

/* RFC 9293, 3.10.7.1: the answer to a segment without a connection. */
static void send_reset(struct dns_tcp *tcp, const struct dns_asker *guest,
		       const struct segment *cause)
{
	struct segment reset = {.sequence = cause->acknowledged, .flags = TCP_FLAG_RST};

	if (!(cause->flags & TCP_FLAG_ACK)) {
		reset.sequence = 0;
		reset.flags |= TCP_FLAG_ACK;
		reset.acknowledged = cause->sequence + (uint32_t)cause->length +
				     !!(cause->flags & TCP_FLAG_SYN) +
				     !!(cause->flags & TCP_FLAG_FIN);
	}
	send_segment(tcp, guest, &reset);
}

static void abort_connection(struct dns_tcp *tcp, struct dns_tcp_connection *connection)
{
	const struct segment reset = {
		.sequence = connection->next,
		.acknowledged = connection->expected,
		.flags = TCP_FLAG_RST | TCP_FLAG_ACK,
	};

	send_segment(tcp, &connection->guest, &reset);
	forget(tcp, connection);
}

/*
 * Sends what is pending: as much of the answer as the guest's window allows, or the FIN; if neither
 * is pending and @acknowledge is set, an acknowledgement.
 */
static void send_due(struct dns_tcp *tcp, struct dns_tcp_connection *connection, bool acknowledge,
		     int64_t now_ms)
{
	bool sent = false;

	if (connection->state == DNS_TCP_HANDSHAKE)
		return;
	for (;;) {
		size_t ahead = (uint32_t)distance(connection->first, connection->next);
		size_t left = connection->asked ? 0 :
						  connection->out_length - connection->out_start;
		size_t most = connection->window < DNS_TCP_FLIGHT * connection->mss ?
				      connection->window :
				      DNS_TCP_FLIGHT * connection->mss;
		size_t length;

		if (ahead >= left || ahead >= most)
			break;
		length = left < most ? left - ahead : most - ahead;
		if (length > connection->mss)
			length = connection->mss;
		send_next(tcp, connection, ahead + length == left ? TCP_FLAG_PSH : 0, length);
		sent = true;
	}
	if (connection->state == DNS_TCP_CLOSING && connection->next == connection->first) {
		send_next(tcp, connection, TCP_FLAG_FIN, 0);
		sent = true;
	}
	if (!sent && acknowledge)
		send_next(tcp, connection, 0, 0);
	if (connection->out_start == connection->out_length &&
	    connection->next == connection->first)
		connection->resend_ms = INT64_MAX;
	else if (connection->resend_ms == INT64_MAX)
		connection->resend_ms = now_ms + (DNS_TCP_RESEND_MS << connection->resends);
}

/*
 * Relays the next complete query once the previous answer has been acknowledged, and closes when
 * the guest has closed and all queries are answered. False: the connection is gone.
 */
static bool serve(struct dns_tcp *tcp, struct dns_tcp_connection *connection, int64_t now_ms)
{
	size_t length;

	if (connection->state != DNS_TCP_OPEN || connection->asked ||
	    connection->out_start < connection->out_length)
		return true;
	connection->out_start = connection->out_length = 0;
	if (connection->in_length >= DNS_PREFIX) {
		length = big_endian_get16(connection->in);
		if (length > DNS_QUESTION_MAX) {
			abort_connection(tcp, connection);
			return false;
		}
		if (connection->in_length >= DNS_PREFIX + length) {
			size_t whole = DNS_PREFIX + length;
			bool good;

			connection->asked = true;
			connection->idle_ms = now_ms + DNS_TCP_IDLE_MS;
			/* The answer may come before this returns. */
			good = dns_relay_ask(tcp->relay, &connection->guest,
					     connection->in + DNS_PREFIX, length, connection->out,
					     now_ms);
			if (!good) {
				abort_connection(tcp, connection);
				return false;
			}
			connection->in_length -= whole;
			memmove(connection->in, connection->in + whole, connection->in_length);
			return true;
		}
	}
	if (connection->guest_closed)
		connection->state = DNS_TCP_CLOSING;
	return true;
}

void dns_tcp_answer(struct dns_tcp *tcp, int index, size_t length, int64_t now_ms)
{
	struct dns_tcp_connection *connection = &tcp->connections[index];

	big_endian_put16(connection->out, (uint16_t)length);
	connection->out_length = DNS_PREFIX + length;
	connection->asked = false;
	connection->idle_ms = now_ms + DNS_TCP_IDLE_MS;
	send_due(tcp, connection, false, now_ms);
}

/* The guest's MSS option (RFC 9293, 3.7.1); the frame filter has checked that options fit. */
static uint32_t read_mss(const uint8_t *segment)
{
	size_t at = TCP_HEADER, end = packet_tcp_header(segment);

	while (at < end && segment[at] != TCP_OPTION_END) {
		if (segment[at] == TCP_OPTION_NOP) {
			at++;
			continue;
		}
		if (at + 1 >= end || segment[at + 1] < 2 || at + segment[at + 1] > end)
			break;
		if (segment[at] == TCP_OPTION_MSS && segment[at + 1] == MSS_LENGTH)
			return big_endian_get16(segment + at + 2);
		at += segment[at + 1];
	}
	return MSS_DEFAULT;
}

/* A free entry, or that of the connection that has been idle for longest; NULL: all are busy. */
static struct dns_tcp_connection *find_free(struct dns_tcp *tcp)
{
	struct dns_tcp_connection *found = NULL;

	for (size_t i = 0; i < DNS_TCP_CONNECTIONS; i++) {
		struct dns_tcp_connection *connection = &tcp->connections[i];

		if (connection->state == DNS_TCP_FREE)
			return connection;
		if (!connection->asked && (!found || connection->idle_ms < found->idle_ms))
			found = connection;
	}
	return found;
}

static void open_connection(struct dns_tcp *tcp, const struct dns_asker *guest,
			    const struct segment *segment, uint32_t mss, int64_t now_ms)
{
	struct dns_tcp_connection *connection = find_free(tcp);

	/* The guest will repeat its SYN. */
	if (!connection)
		return;
	if (connection->state != DNS_TCP_FREE)
		abort_connection(tcp, connection);
	/* RFC 9293, 3.4.1. */
	if (getrandom(&connection->first, sizeof(connection->first), 0) !=
	    sizeof(connection->first))
		return;
	tcp->active++;
	connection->state = DNS_TCP_HANDSHAKE;
	connection->guest = *guest;
	connection->guest.connection = index_of(tcp, connection);
	connection->expected = segment->sequence + 1;
	connection->next = connection->reach = connection->first;
	connection->window = segment->window;
	connection->mss = mss < MSS_MIN ? MSS_MIN : mss < tcp->mss ? mss : tcp->mss;
	connection->guest_closed = connection->asked = false;
	connection->in_length = connection->out_start = connection->out_length = 0;
	connection->resends = 0;
	connection->resend_ms = now_ms + DNS_TCP_RESEND_MS;
	connection->idle_ms = now_ms + DNS_TCP_IDLE_MS;
	send_next(tcp, connection, TCP_FLAG_SYN, 0);
}

/* Handles an acknowledgement. False: the connection is gone. */
static bool take_acknowledgement(struct dns_tcp *tcp, struct dns_tcp_connection *connection,
				 const struct segment *segment, int64_t now_ms)
{
	int32_t count = distance(connection->first, segment->acknowledged);

	if (count < 0 || distance(connection->reach, segment->acknowledged) > 0)
		return true;
	connection->window = segment->window;
	if (count == 0)
		return true;
	connection->first = segment->acknowledged;
	if (distance(connection->first, connection->next) < 0)
		connection->next = connection->first;
	connection->resends = 0;
	connection->resend_ms = INT64_MAX;
	connection->idle_ms = now_ms + DNS_TCP_IDLE_MS;
	switch (connection->state) {
	case DNS_TCP_HANDSHAKE:
		connection->state = DNS_TCP_OPEN;
		break;
	case DNS_TCP_OPEN:
		connection->out_start += (uint32_t)count;
		break;
	case DNS_TCP_CLOSING:
		/* Our FIN was acknowledged: the connection is complete. */
		forget(tcp, connection);
		return false;
	case DNS_TCP_FREE:
		break;
	}
	return true;
}

/* Takes the next bytes of the guest, as much as there is room for. */
static void take_data(struct dns_tcp_connection *connection, const struct segment *segment,
		      int64_t now_ms)
{
	int32_t known = distance(segment->sequence, connection->expected);
	size_t room = sizeof(connection->in) - connection->in_length, length;

	if (connection->state != DNS_TCP_OPEN || connection->guest_closed || known < 0 ||
	    (size_t)known > segment->length)
		return;
	length = segment->length - (size_t)known;
	if (length > room)
		length = room;
	memcpy(connection->in + connection->in_length, segment->data + known, length);
	connection->in_length += length;
	connection->expected += (uint32_t)length;
	if (length)
		connection->idle_ms = now_ms + DNS_TCP_IDLE_MS;
	if (segment->flags & TCP_FLAG_FIN &&
	    connection->expected == segment->sequence + (uint32_t)segment->length) {
		connection->guest_closed = true;
		connection->expected++;
	}
}

static void take_segment(struct dns_tcp *tcp, struct dns_tcp_connection *connection,
			 const struct segment *segment, int64_t now_ms)
{
	bool carries = segment->length || segment->flags & TCP_FLAG_FIN;

	/*
	 * RFC 5961, 3.2: only with exactly the next number. Any other is dropped without an answer.
	 */
	if (segment->flags & TCP_FLAG_RST) {
		if (segment->sequence == connection->expected)
			forget(tcp, connection);
		return;
	}
	if (segment->flags & TCP_FLAG_SYN) {
		/* The guest did not get our SYN: the timer sends it again. */
		if (connection->state != DNS_TCP_HANDSHAKE)
			send_due(tcp, connection, true, now_ms);
		return;
	}
	if (!(segment->flags & TCP_FLAG_ACK))
		return;
	if (connection->state == DNS_TCP_HANDSHAKE && segment->acknowledged != connection->reach) {
		send_reset(tcp, &connection->guest, segment);
		return;
	}
	if (!take_acknowledgement(tcp, connection, segment, now_ms))
		return;
	take_data(connection, segment, now_ms);
	if (serve(tcp, connection, now_ms))
		send_due(tcp, connection, carries, now_ms);
}

void dns_tcp_take(struct dns_tcp *tcp, const struct dns_asker *guest, const uint8_t *segment,
		  size_t length, int64_t now_ms)
{
	size_t header = packet_tcp_header(segment);
	const struct segment read = {
		.sequence = big_endian_get32(segment + TCP_SEQUENCE),
		.acknowledged = big_endian_get32(segment + TCP_ACKNOWLEDGED),
		.window = big_endian_get16(segment + TCP_WINDOW),
		.flags = segment[TCP_FLAGS],
		.data = segment + header,
		.length = length - header,
	};

	for (size_t i = 0; i < DNS_TCP_CONNECTIONS; i++) {
		struct dns_tcp_connection *connection = &tcp->connections[i];

		if (connection->state == DNS_TCP_FREE || !dns_asker_is(&connection->guest, guest))
			continue;
		take_segment(tcp, connection, &read, now_ms);
		return;
	}
	if (read.flags & TCP_FLAG_RST)
		return;
	if ((read.flags & (TCP_FLAG_SYN | TCP_FLAG_ACK)) == TCP_FLAG_SYN)
		open_connection(tcp, guest, &read, read_mss(segment), now_ms);
	else
		send_reset(tcp, guest, &read);
}

void dns_tcp_forget_all(struct dns_tcp *tcp)
{
	for (size_t i = 0; i < DNS_TCP_CONNECTIONS; i++)
		if (tcp->connections[i].state != DNS_TCP_FREE)
			forget(tcp, &tcp->connections[i]);
}

int64_t dns_tcp_deadline_ms(const struct dns_tcp *tcp)
{
	int64_t deadline_ms = INT64_MAX;

	if (!tcp->active)
		return deadline_ms;
	for (size_t i = 0; i < DNS_TCP_CONNECTIONS; i++) {
		const struct dns_tcp_connection *connection = &tcp->connections[i];

		if (connection->state == DNS_TCP_FREE)
			continue;
		if (connection->idle_ms < deadline_ms)
			deadline_ms = connection->idle_ms;
		if (connection->resend_ms < deadline_ms)
			deadline_ms = connection->resend_ms;
	}
	return deadline_ms;
}

/* Sends again from the first unacknowledged byte. A zero window is probed with one byte. */
static void resend(struct dns_tcp *tcp, struct dns_tcp_connection *connection, int64_t now_ms)
{
	if (++connection->resends > DNS_TCP_RESENDS) {
		abort_connection(tcp, connection);
		return;
	}
	connection->next = connection->first;
	connection->resend_ms = INT64_MAX;
	if (connection->state == DNS_TCP_HANDSHAKE) {
		send_next(tcp, connection, TCP_FLAG_SYN, 0);
		connection->resend_ms = now_ms + (DNS_TCP_RESEND_MS << connection->resends);
		return;
	}
	if (!connection->window && connection->out_start < connection->out_length) {
		send_next(tcp, connection, 0, 1);
		/* A guest without room does not accept the probe. */
		connection->next = connection->first;
	}
	send_due(tcp, connection, false, now_ms);
}

void dns_tcp_expire(struct dns_tcp *tcp, int64_t now_ms)
{
	if (!tcp->active)
		return;
	for (size_t i = 0; i < DNS_TCP_CONNECTIONS; i++) {
		struct dns_tcp_connection *connection = &tcp->connections[i];

		if (connection->state == DNS_TCP_FREE)
			continue;
		if (connection->idle_ms <= now_ms)
			abort_connection(tcp, connection);
		else if (connection->resend_ms <= now_ms)
			resend(tcp, connection, now_ms);
	}
}
