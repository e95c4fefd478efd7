// SPDX-License-Identifier: BSD-3-Clause
/* The segments of a guest's TCP connections: which pass as they are, and which lose their data. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <string.h>

#include "base/big_endian.h"
#include "base/internet_checksum.h"
#include "device/net/user/tcp_order.h"

#define GUEST 0x0a00020fU
#define HOST  0xc0000201U /* 192.0.2.1 */
/* The content of each segment: an option and "hello". */
#define HEADER (TCP_HEADER + 4)
#define WHOLE  (IPV4_HEADER + HEADER + 5)

struct fixture {
	struct tcp_order order;
	uint8_t ip[WHOLE];
	size_t total;
};

static int set_up(void **state)
{
	*state = test_calloc(1, sizeof(struct fixture));
	return 0;
}

static int tear_down(void **state)
{
	test_free(*state);
	return 0;
}

static uint8_t *tcp_of(struct fixture *f)
{
	return f->ip + IPV4_HEADER;
}

static void make(struct fixture *f, uint8_t flags, uint32_t sequence, uint32_t acknowledged)
{
	static const uint8_t option[] = {2, 4, 5, 180};

	memset(f->ip, 0, sizeof(f->ip));
	f->ip[IPV4_PROTOCOL] = PROTOCOL_TCP;
	big_endian_put32(tcp_of(f) + TCP_SEQUENCE, sequence);
	big_endian_put32(tcp_of(f) + TCP_ACKNOWLEDGED, acknowledged);
	tcp_of(f)[TCP_DATA_OFFSET] = HEADER / 4 << 4;
	tcp_of(f)[TCP_FLAGS] = flags;
	memcpy(tcp_of(f) + TCP_HEADER, option, sizeof(option));
	memcpy(tcp_of(f) + HEADER, "hello", 5);
	f->total = WHOLE;
}

/* The guest sends "hello", with the sequence number @sequence. */
static void send_segment(struct fixture *f, uint8_t flags, uint32_t sequence, uint16_t port)
{
	make(f, flags, sequence, 1);
	big_endian_put32(f->ip + IPV4_SOURCE, GUEST);
	big_endian_put32(f->ip + IPV4_DESTINATION, HOST);
	big_endian_put16(tcp_of(f) + PORT_SOURCE, port);
	big_endian_put16(tcp_of(f) + PORT_DESTINATION, 80);
	packet_finish_ip(f->ip, WHOLE);
	packet_finish_payload(f->ip, WHOLE - IPV4_HEADER);
	tcp_order_send(&f->order, f->ip, &f->total);
	assert_int_equal(big_endian_get16(f->ip + IPV4_TOTAL_LENGTH), f->total);
	assert_int_equal(internet_checksum(f->ip, IPV4_HEADER, 0), 0);
	assert_true(packet_payload_fits(f->ip, (uint16_t)(f->total - IPV4_HEADER)));
}

static void expect_whole(struct fixture *f, uint32_t sequence)
{
	assert_int_equal(f->total, WHOLE);
	assert_int_equal(big_endian_get32(tcp_of(f) + TCP_SEQUENCE), sequence);
}

/* Without its data, before byte @expected. */
static void expect_probe(struct fixture *f, uint32_t expected)
{
	assert_int_equal(f->total, IPV4_HEADER + HEADER);
	assert_int_equal(big_endian_get32(tcp_of(f) + TCP_SEQUENCE), expected - 1);
	assert_int_equal(tcp_of(f)[TCP_FLAGS], TCP_FLAG_ACK);
}

/* The library acknowledges all before byte @expected. */
static void acknowledge(struct fixture *f, uint8_t flags, uint32_t expected, uint16_t port)
{
	make(f, flags, 1, expected);
	big_endian_put32(f->ip + IPV4_SOURCE, HOST);
	big_endian_put32(f->ip + IPV4_DESTINATION, GUEST);
	big_endian_put16(tcp_of(f) + PORT_SOURCE, 80);
	big_endian_put16(tcp_of(f) + PORT_DESTINATION, port);
	tcp_order_receive(&f->order, f->ip, f->total);
}

/* A connection that begins: the guest's first byte is @start. */
static void open_connection(struct fixture *f, uint32_t start, uint16_t port)
{
	send_segment(f, TCP_FLAG_SYN, start - 1, port);
	acknowledge(f, TCP_FLAG_SYN | TCP_FLAG_ACK, start, port);
}

static void test_segments_in_order(void **state)
{
	static const uint32_t starts[] = {1000, 0xfffffffc};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
		const uint32_t start = starts[i];

		open_connection(f, start, 1000);
		send_segment(f, TCP_FLAG_ACK, start, 1000);
		expect_whole(f, start);
		send_segment(f, TCP_FLAG_ACK | TCP_FLAG_PSH, start + 5, 1000);
		expect_whole(f, start + 5);
		/* The same again, and one that is partly old. */
		send_segment(f, TCP_FLAG_ACK, start, 1000);
		expect_whole(f, start);
		send_segment(f, TCP_FLAG_ACK, start + 8, 1000);
		expect_whole(f, start + 8);
		/* A FIN takes a number, too. */
		send_segment(f, TCP_FLAG_ACK | TCP_FLAG_FIN, start + 13, 1000);
		expect_whole(f, start + 13);
		send_segment(f, TCP_FLAG_ACK, start + 19, 1000);
		expect_whole(f, start + 19);
	}
}

/* Early segments, from @first on and each with a gap before it, until no more pass. */
static uint32_t fill_with_early(struct fixture *f, uint32_t expected, uint32_t first, uint16_t port)
{
	uint32_t count = 0;

	for (;; count++) {
		send_segment(f, TCP_FLAG_ACK | TCP_FLAG_PSH, first + 6 * count, port);
		if (f->total < WHOLE)
			break;
		expect_whole(f, first + 6 * count);
	}
	expect_probe(f, expected);
	return count;
}

static void test_early_segments(void **state)
{
	struct fixture *f = *state;

	open_connection(f, 1000, 1000);
	open_connection(f, 1000, 1001);
	send_segment(f, TCP_FLAG_ACK, 1001, 1000);
	expect_whole(f, 1001);
	/* The same again, with and without FIN. */
	send_segment(f, TCP_FLAG_ACK | TCP_FLAG_FIN, 1001, 1000);
	expect_probe(f, 1000);
	send_segment(f, TCP_FLAG_ACK | TCP_FLAG_PSH, 1001, 1000);
	expect_probe(f, 1000);
	/* All connections together. */
	assert_int_equal(fill_with_early(f, 1000, 2000, 1000), TCP_ORDER_EARLY - 1);
	assert_int_equal(fill_with_early(f, 1000, 2000, 1001), 0);
	/* Segments in order pass, and the library releases the early ones that it has reached. */
	send_segment(f, TCP_FLAG_ACK, 1000, 1000);
	expect_whole(f, 1000);
	acknowledge(f, TCP_FLAG_ACK, 1006, 1000);
	assert_int_equal(fill_with_early(f, 1000, 2000, 1001), 1);
	acknowledge(f, TCP_FLAG_ACK, 2000 + 6 * 100 - 2, 1000);
	assert_int_equal(fill_with_early(f, 1000, 3000, 1001), 99);
	acknowledge(f, TCP_FLAG_ACK, 2000 + 6 * 100 - 1, 1000);
	assert_int_equal(fill_with_early(f, 1000, 4000, 1001), 1);
}

/*
 * The end of a connection releases all its early segments; a segment that the library may ignore
 * does not end one.
 */
static void test_early_segments_of_ended_connections(void **state)
{
	struct fixture *f = *state;

	open_connection(f, 1000, 1000);
	assert_int_equal(fill_with_early(f, 1000, 2000, 1000), TCP_ORDER_EARLY);
	acknowledge(f, TCP_FLAG_RST, 0, 1000);
	assert_int_equal(fill_with_early(f, 1000, 2000, 1000), TCP_ORDER_EARLY);
	acknowledge(f, TCP_FLAG_RST | TCP_FLAG_ACK, 5000, 1000);
	assert_int_equal(fill_with_early(f, 1000, 2000, 1000), TCP_ORDER_EARLY);
	send_segment(f, TCP_FLAG_SYN, 4999, 1000);
	assert_int_equal(fill_with_early(f, 6000, 6000, 1000), 0);
	acknowledge(f, TCP_FLAG_SYN | TCP_FLAG_ACK, 5000, 1000);
	assert_int_equal(fill_with_early(f, 5000, 6000, 1000), TCP_ORDER_EARLY);
	/* The library accepts a reset at its expected number. */
	send_segment(f, TCP_FLAG_RST | TCP_FLAG_ACK, 7000, 1000);
	assert_int_equal(f->total, IPV4_HEADER + HEADER);
	assert_int_equal(big_endian_get32(tcp_of(f) + TCP_SEQUENCE), 5000);
	assert_int_equal(tcp_of(f)[TCP_FLAGS], TCP_FLAG_RST | TCP_FLAG_ACK);
	assert_int_equal(fill_with_early(f, 5000, 6000, 1000), TCP_ORDER_EARLY);
	/* None of these is one more that the library keeps. */
	send_segment(f, TCP_FLAG_SYN, 999, 1000);
	send_segment(f, TCP_FLAG_RST, 1000, 1000);
	assert_int_equal(big_endian_get32(tcp_of(f) + TCP_SEQUENCE), 5000);
}

/* The library has taken less than what passed. */
static void test_acknowledgement_goes_back(void **state)
{
	struct fixture *f = *state;

	open_connection(f, 1000, 1000);
	send_segment(f, TCP_FLAG_ACK, 1000, 1000);
	expect_whole(f, 1000);
	acknowledge(f, TCP_FLAG_ACK, 1003, 1000);
	assert_int_equal(fill_with_early(f, 1003, 1005, 1000), TCP_ORDER_EARLY);
	/* A reset does not count as an acknowledgement. */
	acknowledge(f, TCP_FLAG_RST | TCP_FLAG_ACK, 2000, 1000);
	assert_int_equal(fill_with_early(f, 1003, 1005, 1000), TCP_ORDER_EARLY);
	send_segment(f, TCP_FLAG_ACK, 1003, 1000);
	expect_whole(f, 1003);
}

static size_t early_in_use(const struct fixture *f)
{
	size_t count = 0;

	for (size_t i = 0; i < TCP_ORDER_EARLY; i++)
		count += !!f->order.early[i].flow;
	return count;
}

/*
 * When a stream ends in order, the library releases segments from beyond its end without a sign of
 * it. So it gets none from there, whichever comes first.
 */
static void test_segments_beyond_the_end(void **state)
{
	struct fixture *f = *state;

	for (uint16_t port = 1; port <= 2 * TCP_ORDER_EARLY; port++) {
		open_connection(f, 1000, port);
		/* First the segment beyond it. */
		send_segment(f, TCP_FLAG_ACK, 1011, port);
		expect_whole(f, 1011);
		send_segment(f, TCP_FLAG_ACK | TCP_FLAG_FIN, 1000, port);
		expect_probe(f, 1000);
		send_segment(f, TCP_FLAG_ACK | TCP_FLAG_FIN, 1005, port);
		expect_probe(f, 1000);
		/* A FIN at the known end of the stream passes. */
		send_segment(f, TCP_FLAG_ACK | TCP_FLAG_FIN, 1016, port);
		expect_whole(f, 1016);
		send_segment(f, TCP_FLAG_ACK, 1021, port);
		expect_probe(f, 1000);
		send_segment(f, TCP_FLAG_ACK, 1005, port);
		expect_whole(f, 1005);
		assert_int_equal(early_in_use(f), 3);
		send_segment(f, TCP_FLAG_ACK, 1000, port);
		expect_whole(f, 1000);
		acknowledge(f, TCP_FLAG_ACK, 1022, port);
		assert_int_equal(early_in_use(f), 0);
		/* It has ended. */
		send_segment(f, TCP_FLAG_ACK, 1030, port);
		expect_probe(f, 1022);
		assert_int_equal(early_in_use(f), 0);
	}
	/* The next one on the same port is not bound by that. */
	open_connection(f, 1000, 1);
	assert_int_equal(fill_with_early(f, 1000, 2000, 1), TCP_ORDER_EARLY);
}

/*
 * The library has no connection any more: the table forgets connections that timed out without a
 * report.
 */
static void test_no_connection_left(void **state)
{
	struct fixture *f = *state;

	open_connection(f, 1000, 1000);
	assert_int_equal(fill_with_early(f, 1000, 2000, 1000), TCP_ORDER_EARLY);
	tcp_order_forget(&f->order);
	open_connection(f, 1000, 1001);
	assert_int_equal(fill_with_early(f, 1000, 2000, 1001), TCP_ORDER_EARLY);
}

/* A SYN that the library may ignore does not set the expected number. */
static void test_connection_after_a_syn(void **state)
{
	struct fixture *f = *state;

	open_connection(f, 1000, 1000);
	send_segment(f, TCP_FLAG_SYN, 1000U - 0x7fffffffU, 1000);
	send_segment(f, TCP_FLAG_ACK, 1002, 1000);
	expect_probe(f, 1002);
	acknowledge(f, TCP_FLAG_ACK, 1000, 1000);
	assert_int_equal(fill_with_early(f, 1000, 2000, 1000), TCP_ORDER_EARLY);
	/* One of the host's that begins. */
	acknowledge(f, TCP_FLAG_SYN, 0, 1002);
	send_segment(f, TCP_FLAG_ACK, 0xf0000000, 1002);
	expect_probe(f, 0xf0000000);
}

/* A connection that is unknown until the library acknowledges. */
static void test_unknown_connection(void **state)
{
	struct fixture *f = *state;

	send_segment(f, TCP_FLAG_ACK, 5000, 1000);
	expect_probe(f, 5000);
	send_segment(f, TCP_FLAG_ACK, 5000, 1000);
	expect_probe(f, 5000);
	acknowledge(f, TCP_FLAG_ACK, 5000, 1000);
	send_segment(f, TCP_FLAG_ACK, 5000, 1000);
	expect_whole(f, 5000);
	/* One is not like the other. */
	send_segment(f, TCP_FLAG_ACK, 5005, 1001);
	expect_probe(f, 5005);
	/* Without ACK the library keeps nothing, and its reset counts the bytes. */
	send_segment(f, 0, 5006, 1000);
	expect_whole(f, 5006);
}

/*
 * More connections than there is room for: active ones continue, and none is forgotten while the
 * library keeps segments of it.
 */
static void test_many_connections(void **state)
{
	struct fixture *f = *state;

	open_connection(f, 1000, 0xffff);
	assert_int_equal(fill_with_early(f, 1000, 2000, 0xffff), TCP_ORDER_EARLY);
	for (uint32_t port = 1; port < 65535; port++) {
		open_connection(f, port + 1, (uint16_t)port);
		send_segment(f, TCP_FLAG_ACK, port + 1, (uint16_t)port);
		expect_whole(f, port + 1);
	}
	send_segment(f, TCP_FLAG_ACK, 7, 1);
	expect_probe(f, 7);
	acknowledge(f, TCP_FLAG_ACK, 7, 1);
	send_segment(f, TCP_FLAG_ACK, 7, 1);
	expect_whole(f, 7);
	assert_int_equal(fill_with_early(f, 7 + 5, 2000, 1), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_segments_in_order, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_early_segments, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_early_segments_of_ended_connections, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_acknowledgement_goes_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_segments_beyond_the_end, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_connection_left, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_connection_after_a_syn, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unknown_connection, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_many_connections, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
