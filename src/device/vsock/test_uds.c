// SPDX-License-Identifier: BSD-3-Clause
/* The host side of a socket device, with real sockets and a driver that does what the test says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/socket_path.h"
#include "device/vsock/uds.h"
#include "unit/device_rig.h"
#include "unit/scratch.h"

#define CID	3
#define HEADER	sizeof(struct virtio_vsock_hdr)
#define BUFFERS 60
#define TURNS	2000
#define TURN_MS 10
#define BIG	(3u << 20)
#define PIECE	65536u

struct fixture {
	struct scratch scratch;
	char path[100];
	struct socket_path made;
	struct event_loop loop;
	struct uds uds;
	struct vsock_device vsock;
	struct device_rig rig;
	uint32_t received;
};

static void add_buffer(struct fixture *f)
{
	device_rig_add(&f->rig, VIRTIO_VSOCK_QUEUE_RX, NULL, 0, HEADER + 4096, 8192);
}

static struct fixture *boot(void)
{
	const struct vsock_settings settings = {.guest_cid = CID};
	struct fixture *f = calloc(1, sizeof(*f));
	struct error error;
	int listener;

	signal(SIGPIPE, SIG_IGN);
	scratch_make(&f->scratch);
	snprintf(f->path, sizeof(f->path), "%s", scratch_path(&f->scratch, "guest"));
	assert_int_equal(event_loop_init(&f->loop, 0, &error), 0);
	listener = socket_path_listen(&f->made, f->path, 64, "uds", &error);
	assert_true(listener >= 0);
	assert_int_equal(uds_open(&f->uds, &f->loop, listener, f->path, &error), 0);
	vsock_device_init(&f->vsock, &settings, &f->uds.host, f->uds.memory);
	uds_start(&f->uds);
	device_rig_start(&f->rig, &f->vsock.device, 0, 256);
	for (unsigned int i = 0; i < BUFFERS; i++)
		add_buffer(f);
	device_rig_kick(&f->rig, VIRTIO_VSOCK_QUEUE_RX);
	return f;
}

static void end(struct fixture *f)
{
	device_rig_stop(&f->rig);
	uds_close(&f->uds);
	event_loop_close(&f->loop);
	socket_path_remove(&f->made);
	scratch_remove(&f->scratch);
	free(f);
}

static void turn(struct fixture *f)
{
	assert_true(event_loop_turn(&f->loop, TURN_MS) >= 0);
}

/* The next packet; fails when none comes. */
static const struct virtio_vsock_hdr *next(struct fixture *f)
{
	uint32_t written;

	for (int i = 0; i < TURNS && !device_rig_has_used(&f->rig, VIRTIO_VSOCK_QUEUE_RX); i++)
		turn(f);
	return device_rig_at(&f->rig, device_rig_take(&f->rig, VIRTIO_VSOCK_QUEUE_RX, &written));
}

static void send_packet(struct fixture *f, uint16_t op, uint32_t guest_port, uint32_t host_port,
			const void *data, uint32_t length)
{
	struct virtio_vsock_hdr header = {
		.src_cid = CID,
		.dst_cid = VSOCK_CID_HOST,
		.src_port = guest_port,
		.dst_port = host_port,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
		.op = op,
		.len = length,
		.flags = op == VIRTIO_VSOCK_OP_SHUTDOWN ? VIRTIO_VSOCK_SHUTDOWN_SEND : 0,
		.buf_alloc = PIECE,
		.fwd_cnt = f->received,
	};
	uint8_t *bytes = malloc(HEADER + length);
	uint32_t written;

	memcpy(bytes, &header, HEADER);
	if (length)
		memcpy(bytes + HEADER, data, length);
	device_rig_add(&f->rig, VIRTIO_VSOCK_QUEUE_TX, bytes, HEADER + length, 0, HEADER + length);
	free(bytes);
	device_rig_kick(&f->rig, VIRTIO_VSOCK_QUEUE_TX);
	while (device_rig_has_used(&f->rig, VIRTIO_VSOCK_QUEUE_TX))
		device_rig_take(&f->rig, VIRTIO_VSOCK_QUEUE_TX, &written);
}

static int client_of(struct fixture *f, const char *text)
{
	int fd = socket_path_connect(f->path, SOCK_NONBLOCK);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	return fd;
}

/* Reads what is there, up to the end of a line. Returns the length; 0: the end. */
static size_t read_line(struct fixture *f, int fd, char *line, size_t size)
{
	size_t length = 0;

	for (int i = 0; i < TURNS && length < size - 1; i++) {
		ssize_t part = read(fd, line + length, 1);

		/* It has closed with bytes unread, or without. */
		if (part == 0 || (part < 0 && errno == ECONNRESET))
			break;
		if (part < 0) {
			assert_int_equal(errno, EAGAIN);
			turn(f);
			continue;
		}
		if (line[length++] == '\n')
			break;
	}
	line[length] = 0;
	return length;
}

static void expect_closed(struct fixture *f, int fd)
{
	char line[64];

	assert_int_equal(read_line(f, fd, line, sizeof(line)), 0);
	close(fd);
}

static void test_host_calls(void **state)
{
	struct fixture *f = boot();
	cleanup_fd int fd = client_of(f, "CONN");
	const struct virtio_vsock_hdr *got;
	char line[64], wanted[64];

	for (int i = 0; i < 5; i++)
		turn(f);
	/* The bytes behind the line belong to the connection. */
	assert_int_equal(write(fd, "ECT 1234\nhello", 14), 14);
	got = next(f);
	assert_int_equal(got->op, VIRTIO_VSOCK_OP_REQUEST);
	assert_int_equal(got->dst_port, 1234);
	snprintf(wanted, sizeof(wanted), "OK %u\n", got->src_port);
	send_packet(f, VIRTIO_VSOCK_OP_RESPONSE, 1234, got->src_port, NULL, 0);
	assert_int_equal(read_line(f, fd, line, sizeof(line)), strlen(wanted));
	assert_string_equal(line, wanted);
	got = next(f);
	assert_int_equal(got->op, VIRTIO_VSOCK_OP_RW);
	assert_int_equal(got->len, 5);
	assert_memory_equal(got + 1, "hello", 5);
	send_packet(f, VIRTIO_VSOCK_OP_RW, 1234, got->src_port, "answer\n", 7);
	assert_int_equal(read_line(f, fd, line, sizeof(line)), 7);
	/* The client ends: both directions are over. */
	close(take_fd(&fd));
	got = next(f);
	assert_int_equal(got->op, VIRTIO_VSOCK_OP_SHUTDOWN);
	if (got->flags != VSOCK_SHUTDOWN_BOTH)
		got = next(f);
	assert_int_equal(got->flags, VSOCK_SHUTDOWN_BOTH);
	end(f);
}

static void test_wrong_lines(void **state)
{
	static const char *const lines[] = {
		"HELLO\n",
		"CONNECT\n",
		"CONNECT \n",
		"CONNECT x\n",
		"CONNECT 1x\n",
		"CONNECT -1\n",
		"CONNECT 4294967296\n",
		"CONNECT 99999999999999999999\n",
		"CONNECT 00000000000000000000000000001\n",
		"\n",
	};
	struct fixture *f = boot();

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		expect_closed(f, client_of(f, lines[i]));
	assert_false(device_rig_has_used(&f->rig, VIRTIO_VSOCK_QUEUE_RX));
	end(f);
}

static void test_refused_and_given_up(void **state)
{
	struct fixture *f = boot();
	int fd = client_of(f, "connect 1\n");
	const struct virtio_vsock_hdr *got = next(f);

	send_packet(f, VIRTIO_VSOCK_OP_RST, 1, got->src_port, NULL, 0);
	expect_closed(f, fd);
	fd = client_of(f, "CONNECT 2\n");
	got = next(f);
	assert_int_equal(got->op, VIRTIO_VSOCK_OP_REQUEST);
	close(fd);
	got = next(f);
	assert_int_equal(got->op, VIRTIO_VSOCK_OP_RST);
	assert_int_equal(got->dst_port, 2);
	end(f);
}

/* Those who say nothing do not keep others out. */
static void test_silent_clients(void **state)
{
	struct fixture *f = boot();
	int silent[UDS_GREETERS_MAX + 1];

	for (unsigned int i = 0; i <= UDS_GREETERS_MAX; i++) {
		silent[i] = socket_path_connect(f->path, SOCK_NONBLOCK);
		assert_true(silent[i] >= 0);
		while (f->uds.clients <= i)
			turn(f);
	}
	expect_closed(f, silent[0]);
	close(client_of(f, "CONNECT 5\n"));
	assert_int_equal(next(f)->op, VIRTIO_VSOCK_OP_REQUEST);
	for (unsigned int i = 1; i <= UDS_GREETERS_MAX; i++)
		close(silent[i]);
	end(f);
}

static void test_guest_calls(void **state)
{
	struct fixture *f = boot();
	struct socket_path made = {0};
	const struct virtio_vsock_hdr *got;
	char path[120], line[64];
	cleanup_fd int listener = -1, fd = -1;
	struct error error;

	send_packet(f, VIRTIO_VSOCK_OP_REQUEST, 1, 5000, NULL, 0);
	assert_int_equal(next(f)->op, VIRTIO_VSOCK_OP_RST);
	snprintf(path, sizeof(path), "%s_5000", f->path);
	listener = socket_path_listen(&made, path, 4, "test", &error);
	send_packet(f, VIRTIO_VSOCK_OP_REQUEST, 1, 5000, NULL, 0);
	assert_int_equal(next(f)->op, VIRTIO_VSOCK_OP_RESPONSE);
	fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	assert_true(fd >= 0);
	send_packet(f, VIRTIO_VSOCK_OP_RW, 1, 5000, "hello\n", 6);
	assert_int_equal(read_line(f, fd, line, sizeof(line)), 6);
	/* Half of it is over, then the rest. */
	send_packet(f, VIRTIO_VSOCK_OP_SHUTDOWN, 1, 5000, NULL, 0);
	assert_int_equal(read_line(f, fd, line, sizeof(line)), 0);
	assert_int_equal(write(fd, "bye", 3), 3);
	got = next(f);
	assert_int_equal(got->op, VIRTIO_VSOCK_OP_RW);
	assert_int_equal(got->len, 3);
	shutdown(fd, SHUT_WR);
	got = next(f);
	assert_int_equal(got->op, VIRTIO_VSOCK_OP_SHUTDOWN);
	/* The guest gives up while the answer is on its way: nothing is left. */
	send_packet(f, VIRTIO_VSOCK_OP_REQUEST, 2, 5000, NULL, 0);
	send_packet(f, VIRTIO_VSOCK_OP_RST, 2, 5000, NULL, 0);
	for (int i = 0; i < 20; i++)
		turn(f);
	for (unsigned int i = 1; i < VSOCK_CONNECTIONS_MAX; i++)
		assert_int_equal(f->uds.streams[i].watch.source.fd, -1);
	socket_path_remove(&made);
	end(f);
}

/* More than all buffers hold, in both directions, to a program that reads late. */
static void test_much(void **state)
{
	struct fixture *f = boot();
	cleanup_fd int fd = client_of(f, "CONNECT 9\n");
	uint32_t port = next(f)->src_port, sent = 0, told = 0, got_back = 0;
	static uint8_t bytes[PIECE], back[PIECE];
	size_t placed;
	char line[64];

	for (unsigned int i = 0; i < PIECE; i++)
		bytes[i] = (uint8_t)(i * 7);
	send_packet(f, VIRTIO_VSOCK_OP_RESPONSE, 9, port, NULL, 0);
	assert_true(read_line(f, fd, line, sizeof(line)) > 3);
	/* The buffers stay where they are; packets are copied behind them, and used at once. */
	placed = f->rig.placed;
	for (int turns = 0; got_back < BIG; turns++) {
		ssize_t part;

		assert_true(turns < 100000);
		f->rig.placed = placed;
		while (sent < BIG && sent - told + PIECE <= VSOCK_WINDOW) {
			send_packet(f, VIRTIO_VSOCK_OP_RW, 9, port, bytes, PIECE);
			sent += PIECE;
		}
		part = read(fd, back, sizeof(back));
		for (ssize_t i = 0; i < part; i++)
			assert_int_equal(back[i], bytes[(got_back + (uint32_t)i) % PIECE]);
		got_back += part > 0 ? (uint32_t)part : 0;
		turn(f);
		while (device_rig_has_used(&f->rig, VIRTIO_VSOCK_QUEUE_RX)) {
			const struct virtio_vsock_hdr *got = next(f);

			assert_int_equal(got->op, VIRTIO_VSOCK_OP_CREDIT_UPDATE);
			told = got->fwd_cnt;
		}
	}
	assert_int_equal(f->vsock.counts.breaches, 0);
	end(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_host_calls),	     cmocka_unit_test(test_wrong_lines),
		cmocka_unit_test(test_refused_and_given_up), cmocka_unit_test(test_silent_clients),
		cmocka_unit_test(test_guest_calls),	     cmocka_unit_test(test_much),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
