// SPDX-License-Identifier: BSD-3-Clause
/* The socket device: connections, credit, restarts, and drivers that break the rules. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <linux/virtio_config.h>
#include <stdlib.h>
#include <string.h>

#include "device/vsock/test_vsock_rig.h"
#include "unit/state_check.h"

static void test_guest_calls(void **state)
{
	struct vsock_rig *f = vsock_rig_boot(ALL);

	vsock_rig_add_buffers(f, 10);
	vsock_rig_connect(f, 1000, 2000);
	assert_int_equal(f->called, 1);
	vsock_rig_send_bytes(f, "hello", 5);
	assert_int_equal(f->output_length, 5);
	assert_memory_equal(f->output, "hello", 5);
	vsock_rig_expect_nothing(f);
	/* Nobody listens. */
	f->refuses = true;
	vsock_rig_send_op(f, VIRTIO_VSOCK_OP_REQUEST, 1001, 2000);
	vsock_rig_expect(f, VIRTIO_VSOCK_OP_RST);
	assert_int_equal(f->closed, 0);
	/* The answer comes late; the guest has given up. */
	f->refuses = false;
	f->holds = true;
	vsock_rig_send_op(f, VIRTIO_VSOCK_OP_REQUEST, 1002, 2000);
	vsock_rig_expect_nothing(f);
	vsock_rig_send_op(f, VIRTIO_VSOCK_OP_RST, 1002, 2000);
	assert_int_equal(f->closed, 1);
	vsock_device_answer(&f->vsock, f->last, true);
	vsock_rig_expect_nothing(f);
	/* The host's program may have bytes before it reads. */
	memcpy(f->input, "data", 4);
	f->input_length = 4;
	vsock_rig_send_op(f, VIRTIO_VSOCK_OP_REQUEST, 1003, 2000);
	vsock_device_answer(&f->vsock, f->last, true);
	vsock_rig_expect(f, VIRTIO_VSOCK_OP_RESPONSE);
	vsock_rig_expect(f, VIRTIO_VSOCK_OP_RW);
	vsock_rig_end(f);
}

static void test_host_calls(void **state)
{
	struct vsock_rig *f = vsock_rig_boot(ALL);
	struct vsock_connection *connection;
	const struct virtio_vsock_hdr *got;
	uint32_t port;

	vsock_rig_add_buffers(f, 10);
	connection = vsock_device_call(&f->vsock, 80);
	got = vsock_rig_next(f);
	assert_int_equal(got->op, VIRTIO_VSOCK_OP_REQUEST);
	assert_int_equal(got->dst_port, 80);
	assert_int_equal(got->type, VIRTIO_VSOCK_TYPE_STREAM);
	port = got->src_port;
	memcpy(f->input, "data", 4);
	f->input_length = 4;
	vsock_device_readable(&f->vsock, connection);
	vsock_rig_expect_nothing(f);
	vsock_rig_send_op(f, VIRTIO_VSOCK_OP_RESPONSE, 80, port);
	assert_int_equal(f->accepted, 1);
	got = vsock_rig_next(f);
	assert_int_equal(got->op, VIRTIO_VSOCK_OP_RW);
	assert_int_equal(got->len, 4);
	assert_memory_equal(got + 1, "data", 4);
	/* Another one, which is refused; the ports differ. */
	vsock_device_call(&f->vsock, 80);
	got = vsock_rig_next(f);
	assert_int_not_equal(got->src_port, port);
	vsock_rig_send_op(f, VIRTIO_VSOCK_OP_RST, 80, got->src_port);
	assert_int_equal(f->closed, 1);
	/* One that the host takes back. */
	connection = vsock_device_call(&f->vsock, 81);
	vsock_rig_expect(f, VIRTIO_VSOCK_OP_REQUEST);
	vsock_device_ended(&f->vsock, connection, VSOCK_SHUTDOWN_BOTH);
	assert_int_equal(f->closed, 2);
	vsock_rig_expect(f, VIRTIO_VSOCK_OP_RST);
	/* All places are taken. */
	for (unsigned int i = 1; i < VSOCK_CONNECTIONS_MAX; i++)
		assert_non_null(vsock_device_call(&f->vsock, 82));
	assert_null(vsock_device_call(&f->vsock, 82));
	vsock_rig_end(f);
}

/* Bytes wait while the host takes none, and the guest learns what was taken. */
static void test_bytes_wait(void **state)
{
	struct vsock_rig *f = vsock_rig_connected();
	const struct virtio_vsock_hdr *got;
	static uint8_t bytes[VSOCK_WINDOW];

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + (i >> 8));
	f->room = 10;
	vsock_rig_send_bytes(f, bytes, 100000);
	assert_int_equal(f->output_length, 10);
	vsock_rig_send_bytes(f, bytes + 100000, 100000);
	assert_int_equal(f->output_length, 10);
	f->room = 60000;
	vsock_device_writable(&f->vsock, f->last);
	assert_int_equal(f->output_length, 60010);
	vsock_rig_expect_nothing(f);
	vsock_rig_send_bytes(f, bytes + 200000, sizeof(bytes) - 200000);
	/* All of it, around the end of the memory. */
	vsock_rig_send_bytes(f, bytes, 60000);
	f->room = SIZE_MAX;
	vsock_device_writable(&f->vsock, f->last);
	assert_int_equal(f->output_length, sizeof(bytes) + 60000);
	assert_memory_equal(f->output, bytes, sizeof(bytes));
	assert_memory_equal(f->output + sizeof(bytes), bytes, 60000);
	got = vsock_rig_next(f);
	assert_int_equal(got->op, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	assert_int_equal(got->fwd_cnt, f->sent);
	vsock_rig_expect_nothing(f);
	/* More than there is room for. */
	f->room = 0;
	vsock_rig_send_bytes(f, bytes, sizeof(bytes));
	vsock_rig_expect_nothing(f);
	assert_int_equal(f->discarded, 0);
	vsock_rig_send_bytes(f, bytes, 1);
	vsock_rig_expect(f, VIRTIO_VSOCK_OP_RST);
	assert_int_equal(f->closed, 1);
	assert_int_equal(f->discarded, 1);
	assert_int_equal(f->vsock.counts.breaches, 1);
	vsock_rig_end(f);
}

/* The device sends no more than the guest has room for, and asks once. */
static void test_credit_of_guest(void **state)
{
	struct vsock_rig *f = vsock_rig_boot(ALL);
	struct virtio_vsock_hdr header = vsock_rig_packet(VIRTIO_VSOCK_OP_REQUEST, 1000, 2000);
	const struct virtio_vsock_hdr *got;

	vsock_rig_add_buffers(f, 50);
	memset(f->input, 'x', 20000);
	f->input_length = 20000;
	header.buf_alloc = 5000;
	vsock_rig_send(f, &header, NULL, 0);
	vsock_rig_expect(f, VIRTIO_VSOCK_OP_RESPONSE);
	got = vsock_rig_next(f);
	assert_int_equal(got->len, 4096);
	got = vsock_rig_next(f);
	assert_int_equal(got->len, 5000 - 4096);
	vsock_rig_expect(f, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	vsock_rig_expect_nothing(f);
	vsock_device_readable(&f->vsock, f->last);
	vsock_rig_expect_nothing(f);
	header.op = VIRTIO_VSOCK_OP_CREDIT_UPDATE;
	header.fwd_cnt = 1000;
	vsock_rig_send(f, &header, NULL, 0);
	got = vsock_rig_next(f);
	assert_int_equal(got->op, VIRTIO_VSOCK_OP_RW);
	assert_int_equal(got->len, 1000);
	vsock_rig_expect(f, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	/* Lies: it got more than was sent, or has less room than before. */
	header.fwd_cnt = 6001;
	vsock_rig_send(f, &header, NULL, 0);
	vsock_rig_expect(f, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	header.fwd_cnt = 6000;
	header.buf_alloc = 0;
	vsock_rig_send(f, &header, NULL, 0);
	vsock_rig_expect(f, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	vsock_rig_expect_nothing(f);
	header.op = VIRTIO_VSOCK_OP_CREDIT_REQUEST;
	vsock_rig_send(f, &header, NULL, 0);
	vsock_rig_expect(f, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	vsock_rig_expect(f, VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	vsock_rig_end(f);
}

static void send_shutdown(struct vsock_rig *f, uint32_t flags)
{
	struct virtio_vsock_hdr header = vsock_rig_packet(VIRTIO_VSOCK_OP_SHUTDOWN, 1000, 2000);

	header.flags = flags;
	vsock_rig_send(f, &header, NULL, 0);
}

static void test_guest_shuts(void **state)
{
	struct vsock_rig *f = vsock_rig_connected();

	f->room = 3;
	vsock_rig_send_bytes(f, "hello", 5);
	send_shutdown(f, VIRTIO_VSOCK_SHUTDOWN_SEND);
	assert_int_equal(f->shut, 0);
	f->room = SIZE_MAX;
	vsock_device_writable(&f->vsock, f->last);
	assert_memory_equal(f->output, "hello", 5);
	assert_int_equal(f->shut, 1);
	/* The other direction still works. */
	memcpy(f->input, "data", 4);
	f->input_length = 4;
	vsock_device_readable(&f->vsock, f->last);
	vsock_rig_expect(f, VIRTIO_VSOCK_OP_RW);
	/* "successive packets with bits clear do not reset them" */
	send_shutdown(f, VIRTIO_VSOCK_SHUTDOWN_RCV);
	vsock_rig_expect(f, VIRTIO_VSOCK_OP_RST);
	assert_int_equal(f->closed, 1);
	assert_int_equal(f->shut, 1);
	/* Both at once, with bytes that wait. */
	vsock_rig_connect(f, 1000, 2000);
	f->room = 0;
	vsock_rig_send_bytes(f, "hello", 5);
	send_shutdown(f, VSOCK_SHUTDOWN_BOTH);
	vsock_rig_expect_nothing(f);
	f->room = SIZE_MAX;
	vsock_device_writable(&f->vsock, f->last);
	vsock_rig_expect(f, VIRTIO_VSOCK_OP_RST);
	assert_int_equal(f->closed, 2);
	/* It sends all the same. */
	vsock_rig_connect(f, 1000, 2000);
	send_shutdown(f, VIRTIO_VSOCK_SHUTDOWN_SEND);
	vsock_rig_send_bytes(f, "x", 1);
	vsock_rig_expect(f, VIRTIO_VSOCK_OP_RST);
	vsock_rig_end(f);
}

static void test_host_shuts(void **state)
{
	struct vsock_rig *f = vsock_rig_connected();
	const struct virtio_vsock_hdr *got;

	memcpy(f->input, "data", 4);
	f->input_length = 4;
	f->input_ended = true;
	vsock_device_readable(&f->vsock, f->last);
	vsock_rig_expect(f, VIRTIO_VSOCK_OP_RW);
	got = vsock_rig_next(f);
	assert_int_equal(got->op, VIRTIO_VSOCK_OP_SHUTDOWN);
	assert_int_equal(got->flags, VIRTIO_VSOCK_SHUTDOWN_SEND);
	vsock_rig_send_bytes(f, "hello", 5);
	assert_int_equal(f->output_length, 5);
	f->fails = true;
	vsock_rig_send_bytes(f, "hello", 5);
	got = vsock_rig_next(f);
	assert_int_equal(got->op, VIRTIO_VSOCK_OP_SHUTDOWN);
	assert_int_equal(got->flags, VSOCK_SHUTDOWN_BOTH);
	assert_int_equal(f->closed, 1);
	/* What was under way is dropped. */
	vsock_rig_send_bytes(f, "hello", 5);
	vsock_rig_expect_nothing(f);
	vsock_rig_send_op(f, VIRTIO_VSOCK_OP_RST, 1000, 2000);
	vsock_rig_expect_nothing(f);
	assert_int_equal(f->vsock.connections[0].state, VSOCK_FREE);
	assert_int_equal(f->closed, 1);
	vsock_rig_end(f);
}

/* What waits for a program that reads no more is dropped. */
static void test_host_stops_reading(void **state)
{
	struct vsock_rig *f = vsock_rig_connected();
	const struct virtio_vsock_hdr *got;

	f->room = 0;
	vsock_rig_send_bytes(f, "hello", 5);
	vsock_device_ended(&f->vsock, f->last, VIRTIO_VSOCK_SHUTDOWN_RCV);
	got = vsock_rig_next(f);
	assert_int_equal(got->flags, VIRTIO_VSOCK_SHUTDOWN_RCV);
	assert_int_equal(got->fwd_cnt, 5);
	send_shutdown(f, VSOCK_SHUTDOWN_BOTH);
	vsock_rig_expect(f, VIRTIO_VSOCK_OP_RST);
	vsock_rig_end(f);
}

/* A guest that does not answer SHUTDOWN loses its connection when the place is needed. */
static void test_unanswered_shutdown(void **state)
{
	struct vsock_rig *f = vsock_rig_boot(ALL);

	vsock_rig_add_buffers(f, 250);
	for (unsigned int i = 0; i < VSOCK_CONNECTIONS_MAX; i++)
		vsock_rig_connect(f, 1000 + i, 2000);
	vsock_device_ended(&f->vsock, &f->vsock.connections[3], VSOCK_SHUTDOWN_BOTH);
	vsock_rig_expect(f, VIRTIO_VSOCK_OP_SHUTDOWN);
	assert_null(vsock_device_call(&f->vsock, 80));
	vsock_rig_expect(f, VIRTIO_VSOCK_OP_RST);
	assert_non_null(vsock_device_call(&f->vsock, 80));
	vsock_rig_end(f);
}

static void test_hostile_packets(void **state)
{
	static const struct {
		const char *what;
		uint16_t op, type;
		uint64_t destination;
		bool answered;
	} rows[] = {
		{"bytes without a connection", VIRTIO_VSOCK_OP_RW, 1, 2, true},
		{"answer that nobody waits for", VIRTIO_VSOCK_OP_RESPONSE, 1, 2, true},
		{"operation 0", VIRTIO_VSOCK_OP_INVALID, 1, 2, true},
		{"operation that does not exist", 8, 1, 2, true},
		{"type that does not exist", VIRTIO_VSOCK_OP_REQUEST, 3, 2, true},
		{"type 0", VIRTIO_VSOCK_OP_REQUEST, 0, 2, true},
		{"messages to the host", VIRTIO_VSOCK_OP_REQUEST, 2, 2, true},
		{"RST without a connection", VIRTIO_VSOCK_OP_RST, 1, 2, false},
		{"RST of an unknown type", VIRTIO_VSOCK_OP_RST, 9, 2, false},
		{"itself", VIRTIO_VSOCK_OP_REQUEST, 1, CID, true},
		{"context id 0", VIRTIO_VSOCK_OP_REQUEST, 1, 0, true},
		{"context id 1", VIRTIO_VSOCK_OP_REQUEST, 1, 1, true},
		{"any context id", VIRTIO_VSOCK_OP_REQUEST, 1, UINT32_MAX, true},
		{"context id of 64 bits", VIRTIO_VSOCK_OP_REQUEST, 1, UINT64_C(1) << 32 | 2, true},
	};
	struct vsock_rig *f = vsock_rig_boot(ALL);

	vsock_rig_add_buffers(f, 50);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct virtio_vsock_hdr header = vsock_rig_packet(rows[i].op, 1000, 2000);
		const struct virtio_vsock_hdr *got;

		header.type = rows[i].type;
		header.dst_cid = rows[i].destination;
		vsock_rig_send(f, &header, NULL, 0);
		got = vsock_rig_next(f);
		if ((got != NULL) != rows[i].answered)
			fail_msg("%s", rows[i].what);
		if (!got)
			continue;
		assert_int_equal(got->op, VIRTIO_VSOCK_OP_RST);
		assert_int_equal(got->src_cid, rows[i].destination);
		assert_int_equal(got->src_port, 2000);
		assert_int_equal(got->dst_port, 1000);
		assert_int_equal(got->type, rows[i].type);
	}
	assert_int_equal(f->called, 0);
	assert_int_equal(f->forward_calls, 0);
	vsock_rig_end(f);
}

/* In a connection. */
static void test_hostile_connection(void **state)
{
	static const struct {
		uint16_t op, type;
	} rows[] = {
		{VIRTIO_VSOCK_OP_REQUEST, 1}, {VIRTIO_VSOCK_OP_RESPONSE, 1},
		{VIRTIO_VSOCK_OP_INVALID, 1}, {77, 1},
		{VIRTIO_VSOCK_OP_RW, 2},
	};
	struct vsock_rig *f = vsock_rig_connected();

	for (unsigned int i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct virtio_vsock_hdr header = vsock_rig_packet(rows[i].op, 1000, 2000);

		header.type = rows[i].type;
		vsock_rig_send(f, &header, NULL, 0);
		vsock_rig_expect(f, VIRTIO_VSOCK_OP_RST);
		assert_int_equal(f->closed, i + 1);
		vsock_rig_connect(f, 1000, 2000);
	}
	vsock_rig_end(f);
}

static void test_foreign_source(void **state)
{
	struct virtio_vsock_hdr header = vsock_rig_packet(VIRTIO_VSOCK_OP_REQUEST, 1000, 2000);
	static const uint64_t sources[] = {0, 1, 2, CID + 1, UINT32_MAX, UINT64_C(1) << 32 | CID};
	struct vsock_rig *f = vsock_rig_boot(ALL);

	vsock_rig_add_buffers(f, 10);
	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		header.src_cid = sources[i];
		vsock_rig_send(f, &header, NULL, 0);
	}
	vsock_rig_expect_nothing(f);
	assert_int_equal(f->called, 0);
	assert_int_equal(f->vsock.counts.foreign, sizeof(sources) / sizeof(sources[0]));
	vsock_rig_end(f);
}

static void test_malformed(void **state)
{
	struct virtio_vsock_hdr header = vsock_rig_packet(VIRTIO_VSOCK_OP_RW, 1000, 2000);
	struct vsock_rig *f = vsock_rig_connected();

	/* Only len bytes count (5.10.6). */
	header.len = 3;
	vsock_rig_send(f, &header, "hello", 5);
	assert_int_equal(f->output_length, 3);
	header.len = 6;
	device_rig_add(&f->rig, TX, &header, HEADER, 0, 100);
	device_rig_kick(&f->rig, TX);
	assert_true(f->vsock.device.status & VIRTIO_CONFIG_S_NEEDS_RESET);
	vsock_rig_end(f);
	f = vsock_rig_boot(ALL);
	device_rig_add(&f->rig, TX, &header, HEADER - 1, 0, 100);
	device_rig_kick(&f->rig, TX);
	assert_true(f->vsock.device.status & VIRTIO_CONFIG_S_NEEDS_RESET);
	vsock_rig_end(f);
	/* A buffer that is too small for a byte. */
	f = vsock_rig_boot(ALL);
	device_rig_add(&f->rig, RX, NULL, 0, HEADER, 100);
	vsock_rig_send_op(f, VIRTIO_VSOCK_OP_REQUEST, 1, 2);
	assert_true(f->vsock.device.status & VIRTIO_CONFIG_S_NEEDS_RESET);
	vsock_rig_end(f);
}

/* 5.10.6.1: packets are taken while the driver reads none, until the room for replies is full. */
static void test_driver_does_not_read(void **state)
{
	struct vsock_rig *f = vsock_rig_boot(ALL);
	unsigned int answers = 0;

	for (unsigned int i = 0; i < VSOCK_STRAY_MAX + 10; i++)
		vsock_rig_send_op(f, VIRTIO_VSOCK_OP_RW, i, 2000);
	assert_int_equal(f->vsock.stray_count, VSOCK_STRAY_MAX);
	assert_int_equal(f->vsock.counts.packets_received, VSOCK_STRAY_MAX);
	while (answers < VSOCK_STRAY_MAX + 10) {
		const struct virtio_vsock_hdr *got;

		vsock_rig_add_buffers(f, 20);
		vsock_device_poll(&f->vsock);
		while ((got = vsock_rig_next(f))) {
			assert_int_equal(got->op, VIRTIO_VSOCK_OP_RST);
			assert_int_equal(got->dst_port, answers++);
		}
	}
	assert_int_equal(f->vsock.counts.packets_received, VSOCK_STRAY_MAX + 10);
	vsock_rig_end(f);
}

/*
 * Packets that wait for room are not taken within a call of the host side: one could end the
 * connection that the caller is about to use.
 */
static void test_packets_wait_for_the_poller(void **state)
{
	struct vsock_rig *f = vsock_rig_boot(ALL);

	for (unsigned int i = 0; i < VSOCK_STRAY_MAX + 1; i++)
		vsock_rig_send_op(f, VIRTIO_VSOCK_OP_RW, i, 2000);
	assert_int_equal(f->vsock.counts.packets_received, VSOCK_STRAY_MAX);
	for (int i = 0; i < 3; i++)
		device_rig_add(&f->rig, RX, NULL, 0, HEADER + 100, 100);
	assert_non_null(vsock_device_call(&f->vsock, 77));
	assert_true(f->vsock.stray_count < VSOCK_STRAY_MAX);
	assert_int_equal(f->vsock.counts.packets_received, VSOCK_STRAY_MAX);
	assert_true(vsock_device_poll(&f->vsock));
	assert_int_equal(f->vsock.counts.packets_received, VSOCK_STRAY_MAX + 1);
	assert_false(vsock_device_poll(&f->vsock));
	vsock_rig_end(f);
}

static void test_too_many_connections(void **state)
{
	struct vsock_rig *f = vsock_rig_boot(ALL);

	vsock_rig_add_buffers(f, 250);
	for (unsigned int i = 0; i < VSOCK_CONNECTIONS_MAX; i++)
		vsock_rig_connect(f, i, 2000);
	vsock_rig_send_op(f, VIRTIO_VSOCK_OP_REQUEST, 5000, 2000);
	vsock_rig_expect(f, VIRTIO_VSOCK_OP_RST);
	vsock_rig_send_op(f, VIRTIO_VSOCK_OP_RST, 17, 2000);
	vsock_rig_connect(f, 5000, 2000);
	vsock_rig_end(f);
}

/* One packet each, in turn. */
static void test_fair(void **state)
{
	struct vsock_rig *f = vsock_rig_boot(ALL);
	unsigned int first = 0, second = 0;
	const struct virtio_vsock_hdr *got;

	vsock_rig_add_buffers(f, 2);
	vsock_rig_connect(f, 1, 2000);
	vsock_rig_connect(f, 2, 2000);
	memset(f->input, 'x', 40000);
	f->input_length = 40000;
	vsock_device_readable(&f->vsock, &f->vsock.connections[0]);
	vsock_device_readable(&f->vsock, &f->vsock.connections[1]);
	vsock_rig_add_buffers(f, 8);
	while ((got = vsock_rig_next(f)))
		*(got->dst_port == 1 ? &first : &second) += 1;
	assert_int_equal(first, 4);
	assert_int_equal(second, 4);
	vsock_rig_end(f);
}

static void send_message(struct vsock_rig *f, const void *data, size_t length, uint32_t flags)
{
	struct virtio_vsock_hdr header = vsock_rig_packet(VIRTIO_VSOCK_OP_RW, 1000, 7);

	header.type = VIRTIO_VSOCK_TYPE_SEQPACKET;
	header.len = (uint32_t)length;
	header.flags = flags;
	vsock_rig_send(f, &header, data, length);
}

static void test_echo(void **state)
{
	struct virtio_vsock_hdr header = vsock_rig_packet(VIRTIO_VSOCK_OP_REQUEST, 1000, 7);
	struct vsock_rig *f = vsock_rig_boot(ALL);
	static const char zeros[5000];
	const struct virtio_vsock_hdr *got;

	vsock_rig_add_buffers(f, 20);
	vsock_rig_connect(f, 999, 7);
	header.type = VIRTIO_VSOCK_TYPE_SEQPACKET;
	vsock_rig_send(f, &header, NULL, 0);
	vsock_rig_expect(f, VIRTIO_VSOCK_OP_RESPONSE);
	/* A message in two packets, an empty one, and one that is longer than a buffer. */
	send_message(f, "ab", 2, 0);
	got = vsock_rig_next(f);
	assert_int_equal(got->len, 2);
	assert_int_equal(got->flags, 0);
	send_message(f, "cd", 2, VIRTIO_VSOCK_SEQ_EOM);
	got = vsock_rig_next(f);
	assert_int_equal(got->flags, VIRTIO_VSOCK_SEQ_EOM);
	assert_memory_equal(got + 1, "cd", 2);
	send_message(f, "", 0, VIRTIO_VSOCK_SEQ_EOM);
	got = vsock_rig_next(f);
	assert_int_equal(got->len, 0);
	assert_int_equal(got->flags, VIRTIO_VSOCK_SEQ_EOM);
	send_message(f, zeros, sizeof(zeros), VIRTIO_VSOCK_SEQ_EOM | VIRTIO_VSOCK_SEQ_EOR);
	got = vsock_rig_next(f);
	assert_int_equal(got->len, 4096);
	assert_int_equal(got->flags, 0);
	got = vsock_rig_next(f);
	assert_int_equal(got->len, sizeof(zeros) - 4096);
	assert_int_equal(got->flags, VIRTIO_VSOCK_SEQ_EOM | VIRTIO_VSOCK_SEQ_EOR);
	vsock_rig_expect_nothing(f);
	/* The end comes back, too. */
	header = vsock_rig_packet(VIRTIO_VSOCK_OP_SHUTDOWN, 999, 7);
	header.flags = VIRTIO_VSOCK_SHUTDOWN_SEND;
	vsock_rig_send(f, &header, NULL, 0);
	got = vsock_rig_next(f);
	assert_int_equal(got->op, VIRTIO_VSOCK_OP_SHUTDOWN);
	assert_int_equal(got->flags, VIRTIO_VSOCK_SHUTDOWN_SEND);
	assert_int_equal(f->called, 0);
	vsock_rig_end(f);
}

/* Messages wait apart from each other; too many of them end the connection. */
static void test_messages_wait(void **state)
{
	struct virtio_vsock_hdr header = vsock_rig_packet(VIRTIO_VSOCK_OP_REQUEST, 1000, 7);
	struct vsock_rig *f = vsock_rig_boot(ALL);

	vsock_rig_add_buffers(f, 1);
	header.type = VIRTIO_VSOCK_TYPE_SEQPACKET;
	vsock_rig_send(f, &header, NULL, 0);
	vsock_rig_expect(f, VIRTIO_VSOCK_OP_RESPONSE);
	for (unsigned int i = 0; i < VSOCK_MARKS_MAX; i++) {
		send_message(f, "x", 1, VIRTIO_VSOCK_SEQ_EOM);
		device_rig_clear(&f->rig);
	}
	vsock_rig_add_buffers(f, 3);
	for (unsigned int i = 0; i < 3; i++) {
		const struct virtio_vsock_hdr *got = vsock_rig_next(f);

		assert_int_equal(got->len, 1);
		assert_int_equal(got->flags, VIRTIO_VSOCK_SEQ_EOM);
	}
	for (unsigned int i = 0; i < 4; i++)
		send_message(f, "x", 1, VIRTIO_VSOCK_SEQ_EOM);
	vsock_rig_add_buffers(f, 1);
	vsock_rig_expect(f, VIRTIO_VSOCK_OP_RST);
	vsock_rig_end(f);
}

/* 5.10.3: without a bit streams are implied, unless the driver knows better. */
static void test_features(void **state)
{
	static const struct {
		uint64_t features;
		bool stream, seqpacket;
	} rows[] = {
		{0, true, false},
		{STREAM, true, false},
		{SEQPACKET, true, true},
		{SEQPACKET | EXPLICIT, false, true},
		{STREAM | EXPLICIT, true, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct vsock_rig *f = vsock_rig_boot(rows[i].features);
		struct virtio_vsock_hdr header = vsock_rig_packet(VIRTIO_VSOCK_OP_REQUEST, 1000, 7);

		vsock_rig_add_buffers(f, 2);
		vsock_rig_send(f, &header, NULL, 0);
		vsock_rig_expect(f,
				 rows[i].stream ? VIRTIO_VSOCK_OP_RESPONSE : VIRTIO_VSOCK_OP_RST);
		header.src_port = 1001;
		header.type = VIRTIO_VSOCK_TYPE_SEQPACKET;
		vsock_rig_send(f, &header, NULL, 0);
		vsock_rig_expect(f, rows[i].seqpacket ? VIRTIO_VSOCK_OP_RESPONSE :
							VIRTIO_VSOCK_OP_RST);
		vsock_rig_end(f);
	}
}

static void add_event_buffer(struct vsock_rig *f)
{
	device_rig_add(&f->rig, EVENT, NULL, 0, 4, 4);
	device_rig_kick(&f->rig, EVENT);
}

static bool take_event(struct vsock_rig *f)
{
	const struct virtio_vsock_event *event;
	uint32_t written;

	if (!device_rig_has_used(&f->rig, EVENT))
		return false;
	event = device_rig_at(&f->rig, device_rig_take(&f->rig, EVENT, &written));
	assert_int_equal(written, sizeof(*event));
	assert_int_equal(event->id, VIRTIO_VSOCK_EVENT_TRANSPORT_RESET);
	return true;
}

/* A driver whose rings have a past is told once. */
static void test_restart(void **state)
{
	struct vsock_rig *f = vsock_rig_boot(ALL);

	add_event_buffer(f);
	vsock_rig_add_buffers(f, 4);
	vsock_rig_connect(f, 1, 2000);
	assert_false(take_event(f));
	vsock_rig_end(f);
	f = vsock_rig_boot(ALL);
	add_event_buffer(f);
	f->vsock.queues[RX].setup.available_index = 17;
	f->vsock.queues[TX].setup.available_index = 9;
	assert_false(take_event(f));
	vsock_rig_add_buffers(f, 4);
	assert_true(take_event(f));
	vsock_rig_connect(f, 1, 2000);
	add_event_buffer(f);
	assert_false(take_event(f));
	/* Another driver starts anew. */
	vsock_rig_end(f);
}

/* Stops a queue; with @anew it begins again at its start, else where it was. */
static void restart_queue(struct vsock_rig *f, unsigned int index, bool anew)
{
	struct virtqueue *queue = &f->vsock.queues[index];
	struct virtqueue_setup setup = queue->setup;
	uint16_t available, used;

	virtio_device_stop_queue(&f->vsock.device, queue, &available, &used);
	setup.available_index = anew ? 0 : available;
	assert_int_equal(virtqueue_start(queue, &setup, f->vsock.device.negotiated,
					 f->rig.queues[index].storage),
			 0);
}

/* A ring begins anew, and nobody has told of a reset. */
static void test_new_driver(void **state)
{
	struct vsock_rig *f = vsock_rig_connected();

	vsock_rig_send_bytes(f, "x", 1);
	/* It is the same driver. */
	restart_queue(f, TX, false);
	virtio_device_quiesce(&f->vsock.device);
	vsock_rig_send_op(f, VIRTIO_VSOCK_OP_CREDIT_REQUEST, 1000, 2000);
	vsock_rig_expect(f, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
	assert_int_equal(f->closed, 0);
	restart_queue(f, TX, true);
	device_rig_kick(&f->rig, TX);
	assert_int_equal(f->closed, 1);
	vsock_rig_end(f);
}

static void test_state(void **state)
{
	struct vsock_rig *f = vsock_rig_connected(), *other = vsock_rig_make();

	state_check(&f->vsock.device, &other->vsock.device);
	assert_int_equal(other->vsock.pending_events[0], 1);
	vsock_rig_end(f);
	free(other->memory);
	free(other);
}

static void test_forward(void **state)
{
	struct virtio_vsock_hdr header = vsock_rig_packet(VIRTIO_VSOCK_OP_RW, 1000, 2000);
	struct vsock_rig *f = vsock_rig_boot(ALL);

	vsock_rig_add_buffers(f, 4);
	header.dst_cid = 43;
	header.len = 5;
	vsock_rig_send(f, &header, "hello", 5);
	assert_memory_equal(&f->forwarded, &header, HEADER);
	assert_memory_equal(f->forwarded_bytes, "hello", 5);
	vsock_rig_expect_nothing(f);
	f->forwards = VSOCK_NO_WAY;
	vsock_rig_send(f, &header, "hello", 5);
	vsock_rig_expect(f, VIRTIO_VSOCK_OP_RST);
	f->forwards = VSOCK_NO_ROOM;
	header.src_port = 1;
	vsock_rig_send(f, &header, "hello", 5);
	vsock_rig_expect_nothing(f);
	assert_int_equal(f->forwarded.src_port, 1000);
	f->forwards = VSOCK_FORWARDED;
	vsock_device_resume(&f->vsock);
	assert_int_equal(f->forwarded.src_port, 1);
	vsock_rig_end(f);
}

static void test_deliver(void **state)
{
	struct virtio_vsock_hdr header = {
		.src_cid = 43,
		.dst_cid = CID,
		.type = VIRTIO_VSOCK_TYPE_SEQPACKET,
		.op = VIRTIO_VSOCK_OP_RW,
		.len = 6000,
		.flags = VIRTIO_VSOCK_SEQ_EOM,
	};
	static uint8_t bytes[6000];
	struct virtio_segment segments[2] = {{bytes, 100}, {bytes + 100, 5900}};
	struct vsock_rig *f = vsock_rig_boot(ALL);
	const struct virtio_vsock_hdr *got;
	uint32_t done = 0;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i % 251);
	vsock_rig_add_buffers(f, 1);
	assert_false(vsock_device_deliver(&f->vsock, &header, segments, &done));
	assert_int_equal(done, 4096);
	got = vsock_rig_next(f);
	assert_int_equal(got->len, 4096);
	assert_int_equal(got->flags, 0);
	assert_memory_equal(got + 1, bytes, 4096);
	vsock_rig_add_buffers(f, 1);
	assert_int_equal(f->wanted, 1);
	assert_true(vsock_device_deliver(&f->vsock, &header, segments, &done));
	got = vsock_rig_next(f);
	assert_int_equal(got->len, 6000 - 4096);
	assert_int_equal(got->flags, VIRTIO_VSOCK_SEQ_EOM);
	assert_memory_equal(got + 1, bytes + 4096, 6000 - 4096);
	/* A service that lies is not passed on. */
	done = 0;
	header.src_cid = VSOCK_CID_HOST;
	assert_true(vsock_device_deliver(&f->vsock, &header, segments, &done));
	header.src_cid = CID;
	assert_true(vsock_device_deliver(&f->vsock, &header, segments, &done));
	header.src_cid = 43;
	header.dst_cid = 44;
	assert_true(vsock_device_deliver(&f->vsock, &header, segments, &done));
	assert_int_equal(done, 0);
	/* The service is gone: nobody knows what was open. */
	add_event_buffer(f);
	vsock_device_lost(&f->vsock);
	assert_true(take_event(f));
	vsock_rig_end(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_guest_calls),
		cmocka_unit_test(test_host_calls),
		cmocka_unit_test(test_bytes_wait),
		cmocka_unit_test(test_credit_of_guest),
		cmocka_unit_test(test_guest_shuts),
		cmocka_unit_test(test_host_shuts),
		cmocka_unit_test(test_host_stops_reading),
		cmocka_unit_test(test_unanswered_shutdown),
		cmocka_unit_test(test_hostile_packets),
		cmocka_unit_test(test_hostile_connection),
		cmocka_unit_test(test_foreign_source),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_driver_does_not_read),
		cmocka_unit_test(test_packets_wait_for_the_poller),
		cmocka_unit_test(test_too_many_connections),
		cmocka_unit_test(test_fair),
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_messages_wait),
		cmocka_unit_test(test_features),
		cmocka_unit_test(test_restart),
		cmocka_unit_test(test_new_driver),
		cmocka_unit_test(test_state),
		cmocka_unit_test(test_forward),
		cmocka_unit_test(test_deliver),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
