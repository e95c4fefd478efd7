// SPDX-License-Identifier: BSD-3-Clause
/* The serving side of control channels, and clients that do everything wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/control_server.h"

#define HELLO "hello interface=test version=3\n"

struct set_values {
	char *name;
	uint64_t number;
};

static const struct option_row set_rows[] = {
	{
		.name = "name",
		.type = OPTION_NAME,
		.offset = offsetof(struct set_values, name),
		.required = true,
		.help = "the name",
	},
	{
		.name = "number",
		.type = OPTION_NUMBER,
		.offset = offsetof(struct set_values, number),
		.maximum = 10,
		.default_text = "5",
		.help = "the number",
	},
	{.name = NULL},
};

static struct event_loop loop;
static struct control_server server;
static struct sockaddr_un address;
static unsigned int gone;

static int handle_set(void *context, const struct control_call *call, struct error *error)
{
	const struct set_values *values = call->values;

	assert_ptr_equal(context, &loop);
	control_message_add(call->reply, "name", values->name);
	control_message_add_number(call->reply, "number", values->number);
	return 0;
}

static int handle_fail(void *context, const struct control_call *call, struct error *error)
{
	assert_null(call->values);
	return error_set(error, EBUSY, "it is \"busy\"");
}

static int handle_list(void *context, const struct control_call *call, struct error *error)
{
	struct control_message message;

	for (unsigned int i = 0; i < 2; i++) {
		control_message_begin(&message, "item");
		control_message_add_number(&message, "number", i);
		control_server_detail(call, &message);
	}
	return 0;
}

/* Of the next request `wait`. */
static uint64_t token;

static int handle_wait(void *context, const struct control_call *call, struct error *error)
{
	*call->token = token;
	return -EINPROGRESS;
}

static int handle_long(void *context, const struct control_call *call, struct error *error)
{
	char value[CONTROL_LINE_SIZE];

	memset(value, 'x', sizeof(value));
	value[sizeof(value) - 1] = 0;
	control_message_add(call->reply, "value", value);
	return 0;
}

static const struct control_verb verbs[] = {
	{
		.name = "set",
		.fields = set_rows,
		.size = sizeof(struct set_values),
		.handle = handle_set,
	},
	{.name = "fail", .handle = handle_fail},
	{.name = "list", .handle = handle_list},
	{.name = "wait", .handle = handle_wait},
	{.name = "long", .handle = handle_long},
	{.name = "events", .handle = control_server_subscribe},
	{.name = NULL},
};

static const struct control_interface interface = {.name = "test", .version = 3, .verbs = verbs};

static void count_gone(void *context)
{
	gone++;
}

static int set_up(void **state)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (event_loop_init(&loop, 0, NULL) < 0)
		return -1;
	gone = 0;
	server = CONTROL_SERVER_NONE;
	server.loop = &loop;
	server.interface = &interface;
	server.gone = count_gone;
	server.context = &loop;
	address = (struct sockaddr_un){.sun_family = AF_UNIX};
	/* Abstract: nothing to remove, and every user may connect. */
	snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "avp-test-%d", getpid());
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 32) < 0)
		return -1;
	return control_server_listen(&server, fd, NULL);
}

static int tear_down(void **state)
{
	control_server_close(&server);
	event_loop_close(&loop);
	return 0;
}

static void turn(void)
{
	while (event_loop_turn(&loop, 0) > 0)
		;
}

static int connect_one(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_true(fd >= 0);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* What has come, "closed" behind it when the connection is. */
static const char *hear(int fd)
{
	static char text[3 * CONTROL_LINE_SIZE];
	size_t length = 0;
	ssize_t bytes;

	turn();
	while ((bytes = read(fd, text + length, sizeof(text) - 10 - length)) > 0)
		length += (size_t)bytes;
	strcpy(text + length, bytes == 0 || errno != EAGAIN ? "closed" : "");
	return text;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void expect(int fd, const char *question, const char *answer)
{
	say(fd, question);
	assert_string_equal(hear(fd), answer);
}

static int greeted(void)
{
	int fd = connect_one();

	assert_string_equal(hear(fd), HELLO);
	return fd;
}

static void test_requests(void **state)
{
	cleanup_fd int fd = greeted();

	expect(fd, "set name=a\n", "ok name=a number=5\n");
	expect(fd, "set number=7 name=b\nset name=c number=0\n",
	       "ok name=b number=7\nok name=c number=0\n");
	expect(fd, "fail\n", "error code=EBUSY text=\"it is \\\"busy\\\"\"\n");
	expect(fd, "list\n", "item number=0\nitem number=1\nok\n");
	expect(fd, "long\n", "error code=EMSGSIZE text=\"the answer is too long\"\n");
	expect(fd, "fial\n",
	       "error code=ENOSYS text=\"there is no verb fial; did you mean fail?\"\n");
	expect(fd, "set number=1\n",
	       "error code=EINVAL text=\"set: name is missing; add it: "
	       "VALUE (the name)\"\n");
	expect(fd, "set nam=1\n", "error code=EINVAL text=\"set: there is no field nam\"\n");
	expect(fd, "fail name=1\n", "error code=EINVAL text=\"fail: there is no field name\"\n");
	expect(fd, "set name=a number=11\n",
	       "error code=EINVAL text=\"number: 11 is too large; give a number, from 0 to 10\"\n");
	say(fd, "set name=../a\n");
	assert_non_null(strstr(hear(fd), "error code=EINVAL text=\"name: '../a' "));
}

static void test_malformed(void **state)
{
	cleanup_fd int fd = greeted(), other = greeted();

	expect(fd, "set name=\"\nlist\n",
	       "error code=EPROTO text=\"the value of name is malformed\"\nclosed");
	assert_int_equal(gone, 1);
	expect(other, "fail\n", "error code=EBUSY text=\"it is \\\"busy\\\"\"\n");
}

static void test_half_line(void **state)
{
	cleanup_fd int fd = greeted(), other = greeted();

	expect(fd, "set na", "");
	expect(other, "set name=a\n", "ok name=a number=5\n");
	expect(fd, "me=b\n", "ok name=b number=5\n");
	expect(fd, "set name=c", "");
	close_fd(&fd);
	turn();
	assert_int_equal(gone, 1);
}

static void send_event(const char *name)
{
	struct control_message message;

	control_message_begin(&message, CONTROL_EVENT);
	control_message_add(&message, "name", name);
	control_server_event(&server, &message);
}

static void test_events(void **state)
{
	cleanup_fd int fd = greeted(), other = greeted();

	send_event("none");
	expect(fd, "events\n", "ok\n");
	send_event("one");
	assert_string_equal(hear(fd), "event name=one\n");
	assert_string_equal(hear(other), "");
}

static void test_wait(void **state)
{
	cleanup_fd int fd = greeted(), other = greeted(), third = greeted();
	struct error error;

	expect(fd, "events\nwait\nlist\nwait\n", "ok\n");
	expect(other, "wait\nset name=a\n", "");
	expect(third, "set name=b\n", "ok name=b number=5\n");
	send_event("one");
	assert_string_equal(hear(fd), "event name=one\n");
	control_server_finish(&server, "set", 0, NULL, NULL);
	assert_string_equal(hear(fd), "");
	control_server_finish(&server, "wait", 0, NULL, NULL);
	assert_string_equal(hear(fd), "ok\nitem number=0\nitem number=1\nok\n");
	assert_string_equal(hear(other), "ok\nok name=a number=5\n");
	error_set(&error, EIO, "no");
	control_server_finish(&server, "wait", 0, NULL, &error);
	assert_string_equal(hear(fd), "error code=EIO text=no\n");
	/* One that is gone before its answer. */
	expect(fd, "wait\n", "");
	close_fd(&fd);
	turn();
	assert_int_equal(gone, 1);
	control_server_finish(&server, "wait", 0, NULL, NULL);
}

/* Clients that wait for the same verb, but not for the same thing. */
static void test_wait_for_one_of_several(void **state)
{
	cleanup_fd int fd = greeted(), other = greeted();
	struct control_message reply;

	token = 1;
	expect(fd, "wait\nwait\n", "");
	token = 2;
	expect(other, "wait\n", "");
	control_message_begin(&reply, CONTROL_OK);
	control_message_add(&reply, "state", "kept");
	control_server_finish(&server, "wait", 2, &reply, NULL);
	assert_string_equal(hear(fd), "");
	assert_string_equal(hear(other), "ok state=kept\n");
	control_server_finish(&server, "wait", 1, &reply, NULL);
	/* The request behind it is another one. */
	assert_string_equal(hear(fd), "ok state=kept\n");
	control_server_finish(&server, "wait", 1, NULL, NULL);
	assert_string_equal(hear(fd), "");
	control_server_finish(&server, "wait", 2, NULL, NULL);
	assert_string_equal(hear(fd), "ok\n");
	token = 0;
}

/* A client that does not read loses its connection, and costs the others nothing. */
static void test_no_reader(void **state)
{
	cleanup_fd int fd = greeted(), flood = greeted(), other = greeted();
	unsigned int lines = 0;

	expect(fd, "events\n", "ok\n");
	for (int i = 0; i < 1000; i++)
		send_event("one");
	assert_int_equal(gone, 1);
	for (; gone < 2 && lines < 100000; lines++) {
		if (send(flood, "list\n", 5, MSG_NOSIGNAL) < 0)
			break;
		turn();
	}
	assert_int_equal(gone, 2);
	expect(other, "fail\n", "error code=EBUSY text=\"it is \\\"busy\\\"\"\n");
}

static void test_flood(void **state)
{
	cleanup_fd int fd = greeted(), other = greeted();
	char garbage[65536];

	memset(garbage, 'x', sizeof(garbage));
	assert_true(send(fd, garbage, sizeof(garbage), MSG_NOSIGNAL) > 0);
	expect(other, "fail\n", "error code=EBUSY text=\"it is \\\"busy\\\"\"\n");
	assert_int_equal(gone, 1);
}

/* The client that has been silent for the longest time makes room; those that listen stay. */
static void test_silence(void **state)
{
	int fds[CONTROL_CLIENTS], more[CONTROL_CLIENTS];

	for (size_t i = 0; i < CONTROL_CLIENTS; i++)
		fds[i] = greeted();
	for (size_t i = 0; i < CONTROL_SUBSCRIBERS; i++)
		expect(fds[i], "events\n", "ok\n");
	expect(fds[CONTROL_SUBSCRIBERS], "events\n",
	       "error code=EUSERS text=\"4 clients get events already\"\n");
	expect(fds[0], "events\n", "ok\n");
	usleep(2000);
	expect(fds[6], "fail\n", "error code=EBUSY text=\"it is \\\"busy\\\"\"\n");
	more[0] = greeted();
	assert_int_equal(gone, 1);
	assert_string_equal(hear(fds[6]), "");
	for (size_t i = 1; i < CONTROL_CLIENTS; i++) {
		usleep(2000);
		more[i] = greeted();
	}
	assert_int_equal(gone, CONTROL_CLIENTS);
	for (size_t i = 0; i < CONTROL_CLIENTS; i++) {
		assert_string_equal(hear(fds[i]), i < CONTROL_SUBSCRIBERS ? "" : "closed");
		close(fds[i]);
		close(more[i]);
	}
}

/* One that waits for an answer keeps its place, unless all do. */
static void test_silence_of_those_that_wait(void **state)
{
	int fds[CONTROL_CLIENTS], more[CONTROL_CLIENTS];

	for (size_t i = 0; i < CONTROL_CLIENTS; i++)
		fds[i] = greeted();
	expect(fds[0], "wait\n", "");
	usleep(2000);
	for (size_t i = 1; i < CONTROL_CLIENTS; i++)
		expect(fds[i], "fail\n", "error code=EBUSY text=\"it is \\\"busy\\\"\"\n");
	for (size_t i = 1; i < CONTROL_CLIENTS; i++) {
		more[i] = greeted();
		expect(more[i], "wait\n", "");
		usleep(2000);
	}
	assert_int_equal(gone, CONTROL_CLIENTS - 1);
	assert_string_equal(hear(fds[0]), "");
	more[0] = greeted();
	assert_string_equal(hear(fds[0]), "closed");
	control_server_finish(&server, "wait", 0, NULL, NULL);
	assert_string_equal(hear(more[0]), "");
	for (size_t i = 0; i < CONTROL_CLIENTS; i++) {
		if (i > 0)
			assert_string_equal(hear(more[i]), "ok\n");
		close(fds[i]);
		close(more[i]);
	}
}

/* Without a descriptor for a client nothing spins, and it is served with the next one. */
static void test_no_descriptor(void **state)
{
	struct rlimit limit, low;
	cleanup_fd int fd = connect_one(), other = -1;
	int next = dup(fd);

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	low = limit;
	low.rlim_cur = (rlim_t)next;
	close(next);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	assert_int_equal(event_loop_turn(&loop, 0), 1);
	assert_int_equal(event_loop_turn(&loop, 0), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_string_equal(hear(fd), "");
	other = greeted();
	assert_string_equal(hear(fd), HELLO);
}

static void test_many_at_once(void **state)
{
	int fds[20], served = 0;

	for (size_t i = 0; i < 20; i++)
		fds[i] = connect_one();
	turn();
	for (size_t i = 0; i < 20; i++) {
		served += !strcmp(hear(fds[i]), HELLO);
		close(fds[i]);
	}
	assert_int_equal(served, CONTROL_CLIENTS);
}

static void test_other_user(void **state)
{
	int status;
	pid_t child;

	if (geteuid())
		skip();
	child = fork();
	if (child == 0) {
		char text[200] = "";
		int fd;

		if (setresuid(65534, 65534, 65534) < 0)
			_exit(1);
		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		    recv(fd, text, sizeof(text) - 1, 0) < 0)
			_exit(2);
		_exit(strcmp(text, "error code=EPERM text=\"only this process's user and root are "
				   "served\"\n") ?
			      3 :
			      0);
	}
	while (waitpid(child, &status, WNOHANG) == 0)
		event_loop_turn(&loop, 10);
	assert_int_equal(status, 0);
}

static void test_connected(void **state)
{
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends),
			 0);
	assert_int_equal(control_server_add(&server, ends[0], NULL), 0);
	expect(ends[1], "set name=a\n", HELLO "ok name=a number=5\n");
	close(ends[1]);
	turn();
	assert_int_equal(gone, 1);
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SERVER(test_requests),	 WITH_SERVER(test_malformed),
		WITH_SERVER(test_half_line),	 WITH_SERVER(test_events),
		WITH_SERVER(test_wait),		 WITH_SERVER(test_wait_for_one_of_several),
		WITH_SERVER(test_no_reader),	 WITH_SERVER(test_flood),
		WITH_SERVER(test_silence),	 WITH_SERVER(test_silence_of_those_that_wait),
		WITH_SERVER(test_no_descriptor), WITH_SERVER(test_many_at_once),
		WITH_SERVER(test_other_user),	 WITH_SERVER(test_connected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
