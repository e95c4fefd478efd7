// SPDX-License-Identifier: BSD-3-Clause
/* Streams of a console on sockets, files and pipes; the test acts as the device. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/socket_path.h"
#include "device/console/stream.h"
#include "unit/device_rig.h"
#include "unit/failing_epoll.h"
#include "unit/scratch.h"

enum { RECEIVE = 0, TRANSMIT = 1, RING = 16 };

struct fixture {
	struct event_loop loop;
	struct stream_backend *backend;
	struct console_device console;
	struct virtqueue queues[2];
	struct device_rig rig;
};

static void set_up(struct fixture *f)
{
	struct error error;

	signal(SIGPIPE, SIG_IGN);
	memset(f, 0, sizeof(*f));
	assert_int_equal(event_loop_init(&f->loop, 0, &error), 0);
}

static void serve(struct fixture *f)
{
	struct console_port_setup port = {"tty", stream_backend_stream(f->backend)};

	console_device_init(&f->console, &port, 1, false, f->queues);
	device_rig_start(&f->rig, &f->console.device, 0, RING);
}

static void tear_down(struct fixture *f)
{
	device_rig_stop(&f->rig);
	stream_backend_free(f->backend);
	event_loop_close(&f->loop);
}

/* Runs the loop until it is idle. If that never happens, a source spins. */
static void turn(struct fixture *f)
{
	for (int i = 0; i < 1000; i++)
		if (event_loop_turn(&f->loop, 0) == 0)
			return;
	fail_msg("a source spins");
}

static void offer(struct fixture *f, size_t length)
{
	device_rig_add(&f->rig, RECEIVE, NULL, 0, length, length);
	device_rig_kick(&f->rig, RECEIVE);
}

static void expect_input(struct fixture *f, const char *text)
{
	uint32_t written;
	const char *in = device_rig_at(&f->rig, device_rig_take(&f->rig, RECEIVE, &written));

	assert_int_equal(written, strlen(text));
	assert_memory_equal(in, text, written);
}

static void send_bytes(struct fixture *f, const void *bytes, size_t length)
{
	device_rig_add(&f->rig, TRANSMIT, bytes, length, 0, length);
	device_rig_kick(&f->rig, TRANSMIT);
}

static void expect_sent(struct fixture *f)
{
	uint32_t written;

	device_rig_take(&f->rig, TRANSMIT, &written);
	device_rig_clear(&f->rig);
}

static void expect_heard(int fd, const char *text)
{
	char heard[64];
	ssize_t length = recv(fd, heard, sizeof(heard), MSG_DONTWAIT);

	assert_int_equal(length, strlen(text));
	assert_memory_equal(heard, text, strlen(text));
}

static bool connected(struct fixture *f)
{
	return stream_backend_stream(f->backend)->connected;
}

static void test_connected_socket(void **state)
{
	struct fixture f;
	struct error error;
	int ends[2];

	set_up(&f);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	f.backend = stream_backend_new_connected(&f.loop, ends[0], &error);
	serve(&f);
	send_bytes(&f, "hello", 5);
	expect_sent(&f);
	expect_heard(ends[1], "hello");
	offer(&f, 16);
	assert_int_equal(write(ends[1], "abc", 3), 3);
	turn(&f);
	expect_input(&f, "abc");
	/* Without a buffer it waits, without wake-ups. */
	assert_int_equal(write(ends[1], "d", 1), 1);
	turn(&f);
	offer(&f, 16);
	expect_input(&f, "d");
	/* The last data of a peer that hangs up is still read. */
	assert_int_equal(write(ends[1], "bye", 3), 3);
	close(ends[1]);
	turn(&f);
	assert_true(connected(&f));
	offer(&f, 16);
	expect_input(&f, "bye");
	offer(&f, 16);
	turn(&f);
	assert_false(connected(&f));
	send_bytes(&f, "void", 4);
	expect_sent(&f);
	tear_down(&f);
}

static void test_slow_reader(void **state)
{
	static char chunk[64 << 10];
	size_t sent = 0, heard = 0;
	struct fixture f;
	struct error error;
	int ends[2];

	set_up(&f);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	f.backend = stream_backend_new_connected(&f.loop, ends[0], &error);
	serve(&f);
	for (size_t i = 0; i < sizeof(chunk); i++)
		chunk[i] = (char)(i * 7 + i / 251);
	for (;; sent++) {
		send_bytes(&f, chunk, sizeof(chunk));
		if (!device_rig_has_used(&f.rig, TRANSMIT))
			break;
		expect_sent(&f);
		assert_true(sent < 1000);
	}
	turn(&f);
	while (heard < (sent + 1) * sizeof(chunk)) {
		char bytes[1000];
		ssize_t length = recv(ends[1], bytes, sizeof(bytes), MSG_DONTWAIT);

		assert_true(length > 0);
		for (ssize_t i = 0; i < length; i++, heard++)
			if (bytes[i] != chunk[heard % sizeof(chunk)])
				fail_msg("byte %zu is another", heard);
		turn(&f);
	}
	expect_sent(&f);
	close(ends[1]);
	tear_down(&f);
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(address.sun_path, path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* A port that listens in @scratch; clients connect to made->path. */
static void set_up_listening(struct fixture *f, struct scratch *scratch, struct socket_path *made)
{
	struct error error;
	int fd;

	set_up(f);
	scratch_make(scratch);
	fd = socket_path_listen(made, scratch_path(scratch, "port"), 4, "port", &error);
	f->backend = stream_backend_new_listening(&f->loop, fd, &error);
	serve(f);
}

static void tear_down_listening(struct fixture *f, struct scratch *scratch,
				struct socket_path *made)
{
	socket_path_remove(made);
	tear_down(f);
	scratch_remove(scratch);
}

static void test_clients_one_after_the_other(void **state)
{
	struct socket_path made;
	struct scratch scratch;
	struct fixture f;
	struct rlimit limit, few;
	int first, second;

	set_up_listening(&f, &scratch, &made);
	/* Without a client the guest's bytes are dropped. */
	assert_false(connected(&f));
	send_bytes(&f, "void", 4);
	expect_sent(&f);
	first = connect_to(made.path);
	second = connect_to(made.path);
	assert_int_equal(write(first, "one", 3), 3);
	assert_int_equal(write(second, "two", 3), 3);
	turn(&f);
	assert_true(connected(&f));
	offer(&f, 16);
	expect_input(&f, "one");
	offer(&f, 16);
	turn(&f);
	assert_false(device_rig_has_used(&f.rig, RECEIVE));
	/* A client that has shut down its sending direction still reads. */
	shutdown(first, SHUT_WR);
	turn(&f);
	assert_true(connected(&f));
	send_bytes(&f, "answer", 6);
	expect_sent(&f);
	expect_heard(first, "answer");
	close(first);
	turn(&f);
	expect_input(&f, "two");
	assert_true(connected(&f));
	send_bytes(&f, "2", 1);
	expect_sent(&f);
	expect_heard(second, "2");
	/* A client that leaves while the guest writes, and while it does not read. */
	close(second);
	send_bytes(&f, "void", 4);
	expect_sent(&f);
	offer(&f, 16);
	turn(&f);
	assert_false(connected(&f));
	for (int i = 0; i < 20; i++) {
		first = connect_to(made.path);
		turn(&f);
		close(first);
		turn(&f);
	}
	assert_false(connected(&f));
	/* Without a free descriptor a client waits until another one comes, and nothing spins. */
	getrlimit(RLIMIT_NOFILE, &limit);
	first = connect_to(made.path);
	few = (struct rlimit){(rlim_t)first + 1, limit.rlim_max};
	setrlimit(RLIMIT_NOFILE, &few);
	turn(&f);
	assert_false(connected(&f));
	setrlimit(RLIMIT_NOFILE, &limit);
	second = connect_to(made.path);
	turn(&f);
	assert_true(connected(&f));
	send_bytes(&f, "first", 5);
	expect_sent(&f);
	expect_heard(first, "first");
	close(first);
	close(second);
	turn(&f);
	tear_down_listening(&f, &scratch, &made);
}

/* A client that the loop cannot watch at first is served nevertheless. */
static void test_client_that_cannot_be_watched(void **state)
{
	struct socket_path made;
	struct scratch scratch;
	struct fixture f;
	int client;

	set_up_listening(&f, &scratch, &made);
	offer(&f, 16);
	client = connect_to(made.path);
	failing_watches = 1000;
	turn(&f);
	assert_true(connected(&f));
	assert_true(failed_watches > 0);
	failing_watches = 0;
	assert_int_equal(write(client, "one", 3), 3);
	for (int turns = 0; !device_rig_has_used(&f.rig, RECEIVE) && turns < 10; turns++)
		assert_true(event_loop_turn(&f.loop, 2000) >= 0);
	expect_input(&f, "one");
	close(client);
	tear_down_listening(&f, &scratch, &made);
}

/*
 * A client that left without sending is gone, whether or not the guest reads; data that a client
 * sent is delivered.
 */
static void test_silent_client_leaves(void **state)
{
	struct socket_path made;
	struct scratch scratch;
	struct fixture f;
	int client;

	set_up_listening(&f, &scratch, &made);
	client = connect_to(made.path);
	turn(&f);
	assert_true(connected(&f));
	close(client);
	turn(&f);
	assert_false(connected(&f));
	client = connect_to(made.path);
	assert_int_equal(write(client, "bye", 3), 3);
	turn(&f);
	close(client);
	turn(&f);
	assert_true(connected(&f));
	offer(&f, 16);
	expect_input(&f, "bye");
	offer(&f, 16);
	turn(&f);
	assert_false(connected(&f));
	tear_down_listening(&f, &scratch, &made);
}

static void test_files_and_pipes(void **state)
{
	static char chunk[64 << 10];
	struct scratch scratch;
	struct fixture f;
	struct error error;
	char heard[sizeof(chunk)];
	int ends[2], fd;

	set_up(&f);
	scratch_make(&scratch);
	fd = open(scratch_path(&scratch, "log"), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	f.backend = stream_backend_new_output(&f.loop, dup(fd), &error);
	serve(&f);
	send_bytes(&f, "line\n", 5);
	expect_sent(&f);
	assert_int_equal(pread(fd, heard, sizeof(heard), 0), 5);
	assert_memory_equal(heard, "line\n", 5);
	/* There is no input from a file. */
	offer(&f, 16);
	turn(&f);
	assert_false(device_rig_has_used(&f.rig, RECEIVE));
	tear_down(&f);
	close(fd);
	scratch_remove(&scratch);

	set_up(&f);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	f.backend = stream_backend_new_output(&f.loop, ends[1], &error);
	serve(&f);
	memset(chunk, 'x', sizeof(chunk));
	send_bytes(&f, chunk, sizeof(chunk));
	expect_sent(&f);
	send_bytes(&f, "full", 4);
	turn(&f);
	assert_false(device_rig_has_used(&f.rig, TRANSMIT));
	assert_int_equal(read(ends[0], heard, sizeof(heard)), sizeof(heard));
	turn(&f);
	expect_sent(&f);
	assert_int_equal(read(ends[0], heard, sizeof(heard)), 4);
	/* The reader of the pipe leaves while it is full. */
	send_bytes(&f, chunk, sizeof(chunk));
	expect_sent(&f);
	send_bytes(&f, "full", 4);
	close(ends[0]);
	turn(&f);
	expect_sent(&f);
	tear_down(&f);
}

static void test_null(void **state)
{
	struct fixture f;
	struct error error;

	set_up(&f);
	f.backend = stream_backend_new_null(&error);
	serve(&f);
	send_bytes(&f, "void", 4);
	expect_sent(&f);
	offer(&f, 16);
	turn(&f);
	assert_false(device_rig_has_used(&f.rig, RECEIVE));
	tear_down(&f);
}

static void test_echo(void **state)
{
	static char chunk[4096];
	struct fixture f;
	struct error error;

	set_up(&f);
	f.backend = stream_backend_new_echo(&f.loop, &error);
	serve(&f);
	assert_true(connected(&f));
	offer(&f, 16);
	send_bytes(&f, "hello", 5);
	turn(&f);
	expect_sent(&f);
	expect_input(&f, "hello");
	/* Without a buffer it waits, without wake-ups. */
	send_bytes(&f, "first", 5);
	expect_sent(&f);
	turn(&f);
	/* A guest that does not read can continue to write. */
	for (int i = 0; i < 1000; i++) {
		send_bytes(&f, chunk, sizeof(chunk));
		expect_sent(&f);
	}
	offer(&f, 5);
	turn(&f);
	expect_input(&f, "first");
	tear_down(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_connected_socket),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_clients_one_after_the_other),
		cmocka_unit_test(test_client_that_cannot_be_watched),
		cmocka_unit_test(test_silent_client_leaves),
		cmocka_unit_test(test_files_and_pipes),
		cmocka_unit_test(test_echo),
		cmocka_unit_test(test_null),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
