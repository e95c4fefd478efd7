// SPDX-License-Identifier: BSD-3-Clause
/*
 * DNS over TCP as the guest sees it, segment by segment: whole conversations, segments in any
 * order, twice or not at all, full windows, all kinds of ends. The test drives the clock.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/big_endian.h"
#include "base/clock.h"
#include "device/net/user/dns_tcp.h"
#include "device/net/user/test_fake_dns.h"

#define MTU	     1500
#define SEGMENTS_MAX 64
#define SEGMENT_MAX  2000
#define SYN	     TCP_FLAG_SYN
#define ACK	     TCP_FLAG_ACK
#define FIN	     TCP_FLAG_FIN
#define RST	     TCP_FLAG_RST

struct fixture {
	struct event_loop loop;
	struct dns_relay relay;
	struct dns_tcp tcp;
	struct fake_dns server;
	int64_t now_ms;
	/* The guest. */
	struct dns_asker guest;
	uint32_t next, expected; /* sequence numbers: ours and theirs */
	uint16_t window;
	struct {
		uint16_t port;
		uint32_t sequence, acknowledged;
		uint16_t window;
		uint8_t flags;
		size_t length;
		uint8_t data[SEGMENT_MAX];
	} segments[SEGMENTS_MAX]; /* that came */
	size_t count;
};

static void take_segment(void *context, const struct dns_asker *guest, uint8_t *segment,
			 size_t length)
{
	struct fixture *f = context;
	size_t header = packet_tcp_header(segment);

	/* The room before it is ours. */
	memset(segment - DNS_TCP_ROOM, 0xaa, DNS_TCP_ROOM);
	assert_true(f->count < SEGMENTS_MAX && length - header <= SEGMENT_MAX);
	assert_int_equal(big_endian_get16(segment + PORT_SOURCE), DNS_PORT);
	assert_int_equal(big_endian_get16(segment + PORT_DESTINATION), guest->port);
	f->segments[f->count].port = guest->port;
	f->segments[f->count].sequence = big_endian_get32(segment + 4);
	f->segments[f->count].acknowledged = big_endian_get32(segment + 8);
	f->segments[f->count].flags = segment[TCP_FLAGS];
	f->segments[f->count].window = big_endian_get16(segment + 14);
	f->segments[f->count].length = length - header;
	memcpy(f->segments[f->count].data, segment + header, length - header);
	f->count++;
}

static void take_answer(void *context, const struct dns_asker *asker, const uint8_t *message,
			size_t length)
{
	struct fixture *f = context;

	assert_ptr_equal(message, f->tcp.connections[asker->connection].out + DNS_PREFIX);
	dns_tcp_answer(&f->tcp, asker->connection, length, f->now_ms);
}

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct name_servers servers;
	struct error error = {0};

	assert_non_null(f);
	assert_int_equal(event_loop_init(&f->loop, 0, &error), 0);
	dns_relay_init(&f->relay, &f->loop, take_answer, f);
	dns_tcp_init(&f->tcp, &f->relay, MTU, take_segment, f);
	f->relay.port = fake_dns_start(&f->server, &f->loop, "127.0.0.1", 0, 1);
	name_servers_parse(&servers, "nameserver 127.0.0.1", 20, NULL, NULL);
	dns_relay_set_servers(&f->relay, &servers);
	f->now_ms = clock_now_ms();
	f->guest = (struct dns_asker){.address = {10, 0, 2, 15}, .port = 4000};
	f->next = 0xfffffff0;
	f->window = 60000;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	dns_tcp_forget_all(&f->tcp);
	assert_int_equal(f->tcp.active, 0);
	assert_int_equal(f->relay.active, 0);
	assert_int_equal(dns_tcp_deadline_ms(&f->tcp), INT64_MAX);
	fake_dns_stop(&f->server);
	event_loop_close(&f->loop);
	free(f);
	return 0;
}

/* The guest sends a segment that starts @offset bytes from its next sequence number. */
static void send_at(struct fixture *f, int32_t offset, uint8_t flags, const uint8_t *data,
		    size_t length)
{
	uint8_t segment[TCP_HEADER + 4 + 8192] = {0};
	size_t header = TCP_HEADER + (flags & SYN ? 4 : 0);

	big_endian_put16(segment + PORT_SOURCE, f->guest.port);
	big_endian_put16(segment + PORT_DESTINATION, DNS_PORT);
	big_endian_put32(segment + 4, f->next + (uint32_t)offset);
	big_endian_put32(segment + 8, flags & ACK ? f->expected : 0);
	segment[TCP_DATA_OFFSET] = (uint8_t)(header / 4 << 4);
	segment[TCP_FLAGS] = flags;
	big_endian_put16(segment + 14, f->window);
	if (flags & SYN)
		memcpy(segment + TCP_HEADER, "\2\4\5\264", 4); /* MSS 1460 */
	if (length)
		memcpy(segment + header, data, length);
	dns_tcp_take(&f->tcp, &f->guest, segment, header + length, f->now_ms);
}

static void send_bytes(struct fixture *f, uint8_t flags, const uint8_t *data, size_t length)
{
	send_at(f, 0, flags, data, length);
	f->next += (uint32_t)length + !!(flags & (SYN | FIN));
}

static void acknowledge(struct fixture *f)
{
	send_bytes(f, ACK, NULL, 0);
}

/* Opens a connection. */
static void open_connection(struct fixture *f)
{
	f->count = 0;
	send_bytes(f, SYN, NULL, 0);
	assert_int_equal(f->count, 1);
	assert_int_equal(f->segments[0].flags, SYN | ACK);
	assert_int_equal(f->segments[0].acknowledged, f->next);
	f->expected = f->segments[0].sequence + 1;
	f->count = 0;
	acknowledge(f);
	assert_int_equal(f->count, 0);
}

/* A query after its length. Returns the length of both. */
static size_t make_question(uint8_t bytes[514], const char *name, uint16_t id)
{
	size_t length = fake_dns_question(bytes + 2, name, id);

	big_endian_put16(bytes, (uint16_t)length);
	return length + 2;
}

static void wait_for_segments(struct fixture *f, size_t count)
{
	const time_t limit = time(NULL) + 30;

	while (f->count < count) {
		assert_true(event_loop_turn(&f->loop, 100) >= 0);
		assert_true(time(NULL) < limit);
	}
}

/* Assembles the answer, of @size bytes with its length, from the received segments. */
static void read_answer(struct fixture *f, uint8_t *bytes, size_t size)
{
	size_t length = 0;

	for (size_t i = 0; i < f->count; i++) {
		assert_int_equal(f->segments[i].acknowledged, f->next);
		if (!f->segments[i].length)
			continue;
		assert_int_equal(f->segments[i].sequence, f->expected);
		assert_true(length + f->segments[i].length <= size);
		memcpy(bytes + length, f->segments[i].data, f->segments[i].length);
		length += f->segments[i].length;
		f->expected += (uint32_t)f->segments[i].length;
	}
	f->count = 0;
}

/* Asks, and waits for the answer, which the guest acknowledges or not. */
static void converse(struct fixture *f, const char *name, uint16_t id, bool take)
{
	uint8_t question[514], answer[1000];
	size_t length = make_question(question, name, id);

	f->count = 0;
	send_bytes(f, ACK, question, length);
	/* The acknowledgement, and the answer. */
	wait_for_segments(f, 2);
	if (!take)
		return;
	read_answer(f, answer, sizeof(answer));
	assert_int_equal(big_endian_get16(answer), length - 2 + 16);
	assert_int_equal(fake_dns_mark(question + 2, length - 2, answer + 2, length - 2 + 16), 1);
	acknowledge(f);
	assert_int_equal(f->count, 0);
}

static void test_conversation(void **state)
{
	struct fixture *f = *state;

	open_connection(f);
	converse(f, "one", 1, true);
	converse(f, "two", 2, true);
	/* The guest closes, and so do we. */
	send_bytes(f, ACK | FIN, NULL, 0);
	assert_int_equal(f->count, 1);
	assert_int_equal(f->segments[0].flags, ACK | FIN);
	assert_int_equal(f->segments[0].acknowledged, f->next);
	f->expected++;
	assert_int_equal(f->tcp.active, 1);
	acknowledge(f);
	assert_int_equal(f->tcp.active, 0);
}

/* Several queries at once, cut anywhere, directly followed by the guest's FIN. */
static void test_questions_in_pieces(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[1028], answer[1000];
	size_t first = make_question(bytes, "first", 1);
	size_t length = first + make_question(bytes + first, "second", 2);

	open_connection(f);
	for (size_t i = 0; i < length; i++) {
		send_bytes(f, ACK, bytes + i, 1);
		if (f->count > SEGMENTS_MAX / 2)
			f->count = 0;
	}
	f->count = 0;
	send_bytes(f, ACK | FIN, NULL, 0);
	wait_for_segments(f, 2);
	read_answer(f, answer, sizeof(answer));
	assert_int_equal(fake_dns_mark(bytes + 2, first - 2, answer + 2, big_endian_get16(answer)),
			 1);
	acknowledge(f);
	wait_for_segments(f, 1);
	read_answer(f, answer, sizeof(answer));
	assert_int_equal(fake_dns_mark(bytes + first + 2, length - first - 2, answer + 2,
				       big_endian_get16(answer)),
			 1);
	assert_int_equal(f->server.asked, 2);
	acknowledge(f);
	assert_int_equal(f->count, 1);
	assert_int_equal(f->segments[0].flags, ACK | FIN);
	f->expected++;
	acknowledge(f);
	assert_int_equal(f->tcp.active, 0);
}

/* Segments that come twice, with a gap, or with old bytes. */
static void test_disorder(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[514], answer[1000];
	size_t length = make_question(bytes, "one", 1);

	open_connection(f);
	send_at(f, 10, ACK, bytes + 10, length - 10);
	assert_int_equal(f->count, 1);
	assert_int_equal(f->segments[0].acknowledged, f->next);
	send_at(f, 0, ACK, bytes, 10);
	send_at(f, 0, ACK, bytes, 10);
	send_at(f, 5, ACK, bytes + 5, length - 5);
	f->next += (uint32_t)length;
	f->count = 0;
	send_at(f, -(int32_t)length, ACK, bytes, length);
	wait_for_segments(f, 2);
	read_answer(f, answer, sizeof(answer));
	assert_int_equal(f->server.asked, 1);
	assert_int_equal(fake_dns_mark(bytes + 2, length - 2, answer + 2, big_endian_get16(answer)),
			 1);
}

/* An answer of many segments, to a guest with a small window. */
static void test_large_answer(void **state)
{
	static uint8_t answer[DNS_STREAM_MAX];
	struct fixture *f = *state;
	uint8_t bytes[514];
	size_t length = make_question(bytes, "one", 1), size, got = 0;

	f->server.padding = 60000;
	f->window = 5000;
	open_connection(f);
	send_bytes(f, ACK, bytes, length);
	size = length + 16 + 60000;
	f->count = 0;
	wait_for_segments(f, 4);
	while (got < size) {
		size_t before = got;

		for (size_t i = 0; i < f->count; i++) {
			assert_int_equal(f->segments[i].sequence, f->expected);
			assert_true(f->segments[i].length <= MTU - 40);
			memcpy(answer + got, f->segments[i].data, f->segments[i].length);
			got += f->segments[i].length;
			f->expected += (uint32_t)f->segments[i].length;
		}
		assert_true(got > before && got - before <= f->window);
		f->count = 0;
		acknowledge(f);
	}
	assert_int_equal(got, size);
	assert_int_equal(big_endian_get16(answer), size - 2);
	assert_int_equal(fake_dns_mark(bytes + 2, length - 2, answer + 2, size - 2), 1);
	assert_int_equal(f->count, 0);
	/* With a large window: no more segments than a guest has frames for. */
	f->window = 65535;
	send_bytes(f, ACK, bytes, length);
	f->count = 0;
	wait_for_segments(f, DNS_TCP_FLIGHT);
	assert_int_equal(f->count, DNS_TCP_FLIGHT);
}

/* Advances the clock to the deadline; segments sent then are in f->segments. */
static void let_time_pass(struct fixture *f)
{
	f->count = 0;
	f->now_ms = dns_tcp_deadline_ms(&f->tcp);
	assert_true(f->now_ms < INT64_MAX);
	dns_tcp_expire(&f->tcp, f->now_ms);
}

/* Unacknowledged segments are sent again, and finally given up. */
static void test_silent_guest(void **state)
{
	struct fixture *f = *state;

	open_connection(f);
	converse(f, "one", 1, false);
	for (int i = 0; i < DNS_TCP_RESENDS; i++) {
		let_time_pass(f);
		if (!f->tcp.active)
			break;
		assert_int_equal(f->count, 1);
		assert_int_equal(f->segments[0].sequence, f->expected);
		assert_true(f->segments[0].length > 16);
	}
	if (f->tcp.active)
		let_time_pass(f);
	assert_int_equal(f->segments[f->count - 1].flags & RST, RST);
	assert_int_equal(f->tcp.active, 0);
}

/* A zero window is probed now and then with one byte. */
static void test_window_is_closed(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[514], answer[1000];
	size_t length = make_question(bytes, "one", 1);

	open_connection(f);
	f->window = 0;
	send_bytes(f, ACK, bytes, length);
	while (f->server.asked == 0 || f->relay.active)
		assert_true(event_loop_turn(&f->loop, 100) >= 0);
	assert_int_equal(f->count, 1); /* no data */
	let_time_pass(f);
	assert_int_equal(f->count, 1);
	assert_int_equal(f->segments[0].length, 1);
	f->count = 0;
	acknowledge(f);
	assert_int_equal(f->count, 0);
	f->window = 1000;
	acknowledge(f);
	assert_int_equal(f->count, 1);
	read_answer(f, answer, sizeof(answer));
	assert_int_equal(fake_dns_mark(bytes + 2, length - 2, answer + 2, big_endian_get16(answer)),
			 1);
}

/* The handshake is sent again until it is answered. */
static void test_handshake_is_lost(void **state)
{
	struct fixture *f = *state;

	send_bytes(f, SYN, NULL, 0);
	let_time_pass(f);
	assert_int_equal(f->count, 1);
	assert_int_equal(f->segments[0].flags, SYN | ACK);
	f->next--;
	f->count = 0;
	send_bytes(f, SYN, NULL, 0);
	f->expected = f->segments[0].sequence + 1;
	acknowledge(f);
	converse(f, "one", 1, true);
}

/* RFC 9293, 3.10.7.1: segments without a connection get a reset, except resets. */
static void test_no_connection(void **state)
{
	struct fixture *f = *state;

	f->expected = 5000;
	send_at(f, 0, ACK, (const uint8_t *)"data", 4);
	assert_int_equal(f->count, 1);
	assert_int_equal(f->segments[0].flags, RST);
	assert_int_equal(f->segments[0].sequence, 5000);
	send_at(f, 0, RST, NULL, 0);
	send_at(f, 0, RST | ACK, NULL, 0);
	assert_int_equal(f->count, 1);
	/* An acknowledgement of what was not sent, in the handshake. */
	send_bytes(f, SYN, NULL, 0);
	f->expected = f->segments[1].sequence + 2;
	acknowledge(f);
	assert_int_equal(f->count, 3);
	assert_int_equal(f->segments[2].flags, RST);
}

static void test_reset(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[514];

	open_connection(f);
	/*
	 * RFC 5961: only a reset with the next number ends a connection, and a SYN gets a challenge
	 * ACK.
	 */
	send_at(f, 1, RST, NULL, 0);
	assert_int_equal(f->tcp.active, 1);
	send_at(f, 100, SYN, NULL, 0);
	assert_int_equal(f->count, 1);
	assert_int_equal(f->segments[0].flags, ACK);
	/* With a question that is being asked. */
	f->server.manner = FAKE_DNS_IS_SILENT;
	send_bytes(f, ACK, bytes, make_question(bytes, "one", 1));
	assert_int_equal(f->relay.active, 1);
	send_at(f, 0, RST, NULL, 0);
	assert_int_equal(f->tcp.active, 0);
	assert_int_equal(f->relay.active, 0);
}

/* Messages that are not queries, or too large, end their connection. */
static void test_no_questions(void **state)
{
	static const struct {
		uint8_t bytes[16];
		size_t length;
	} cases[] = {
		{{0, 0}, 2},
		{{0, 1, 7}, 3},
		{{0, 12, 0, 1, 0x80}, 14},
		{{(DNS_QUESTION_MAX + 1) >> 8, (DNS_QUESTION_MAX + 1) & 0xff}, 2},
		{{0xff, 0xff}, 2},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		f->guest.port++;
		open_connection(f);
		send_bytes(f, ACK, cases[i].bytes, cases[i].length);
		assert_int_equal(f->segments[f->count - 1].flags & RST, RST);
		assert_int_equal(f->tcp.active, 0);
	}
}

/* The window is the room for queries; bytes beyond it are not accepted. */
static void test_more_than_the_window(void **state)
{
	static uint8_t bytes[8000];
	struct fixture *f = *state;

	f->server.manner = FAKE_DNS_IS_SILENT;
	open_connection(f);
	make_question(bytes, "one", 1);
	send_at(f, 0, ACK, bytes, sizeof(bytes));
	assert_int_equal(f->count, 1);
	assert_int_equal(f->segments[0].acknowledged, f->next + DNS_PREFIX + DNS_QUESTION_MAX);
}

/* More connections than there can be: those that were idle for longest are replaced. */
static void test_many_connections(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 3 * DNS_TCP_CONNECTIONS; i++) {
		f->guest.port++;
		f->now_ms++;
		f->count = 0;
		send_bytes(f, SYN, NULL, 0);
		assert_int_equal(f->count, i < DNS_TCP_CONNECTIONS ? 1 : 2);
		assert_int_equal(f->segments[f->count - 1].flags, SYN | ACK);
		if (i >= DNS_TCP_CONNECTIONS)
			assert_int_equal(f->segments[0].port, f->guest.port - DNS_TCP_CONNECTIONS);
		f->expected = f->segments[f->count - 1].sequence + 1;
		acknowledge(f);
	}
	assert_int_equal(f->tcp.active, DNS_TCP_CONNECTIONS);
	converse(f, "one", 1, true);
}

/* All of them busy: one more waits. */
static void test_busy_connections(void **state)
{
	struct fixture *f = *state;
	uint8_t bytes[514];
	size_t length = make_question(bytes, "one", 1);

	f->server.manner = FAKE_DNS_IS_SILENT;
	for (int i = 0; i < DNS_TCP_CONNECTIONS; i++) {
		f->guest.port++;
		open_connection(f);
		send_bytes(f, ACK, bytes, length);
	}
	f->guest.port++;
	f->count = 0;
	send_bytes(f, SYN, NULL, 0);
	assert_int_equal(f->count, 0);
}

static void test_idle_connection(void **state)
{
	struct fixture *f = *state;

	open_connection(f);
	assert_int_equal(dns_tcp_deadline_ms(&f->tcp), f->now_ms + DNS_TCP_IDLE_MS);
	let_time_pass(f);
	assert_int_equal(f->count, 1);
	assert_int_equal(f->segments[0].flags, RST | ACK);
	assert_int_equal(f->tcp.active, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_conversation),
		TEST(test_questions_in_pieces),
		TEST(test_disorder),
		TEST(test_large_answer),
		TEST(test_silent_guest),
		TEST(test_window_is_closed),
		TEST(test_handshake_is_lost),
		TEST(test_no_connection),
		TEST(test_reset),
		TEST(test_no_questions),
		TEST(test_more_than_the_window),
		TEST(test_many_connections),
		TEST(test_busy_connections),
		TEST(test_idle_connection),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
