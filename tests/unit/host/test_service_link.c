// SPDX-License-Identifier: BSD-3-Clause
/* Joining what is, and what is not, a service: a child that answers as each test says. */
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
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/socket_fd.h"
#include "host/service_link.h"
#include "unit/scratch.h"

#define HELLO	 "hello interface=avp-service version=1\n"
#define LIMIT_MS 20000 /* an answer ends the wait */
#define SHORT_MS 100   /* no answer comes */

static struct scratch scratch;
static char path[108]; /* as long as an address has room for */

/* Receives a request. Returns the descriptor that came with it, or -1. */
static int take_request(int fd, char *text, size_t size)
{
	int received;
	ssize_t bytes = socket_receive_fd(fd, text, size - 1, &received, 0);

	text[bytes > 0 ? bytes : 0] = 0;
	return received;
}

/* Says each text, the last one again and again if it ends with '+'. */
static void serve(int fd, const char *greeting, const char *answer)
{
	char request[256];
	int channel;

	(void)!write(fd, greeting, strlen(greeting));
	channel = take_request(fd, request, sizeof(request));
	if (channel >= 0)
		(void)!send(channel, request, strlen(request), 0);
	(void)!write(fd, answer, strcspn(answer, "+"));
	while (strchr(answer, '+'))
		if (send(fd, answer, strcspn(answer, "+"), MSG_NOSIGNAL) < 0)
			return;
	/* Until the client is gone. */
	while (read(fd, request, sizeof(request)) > 0)
		;
}

/* Starts a child that serves one connection; with @greeting NULL, it ends that at once. */
static pid_t start(const char *greeting, const char *answer)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	pid_t pid;

	unlink(path);
	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fd = accept(fd, NULL, NULL);
		if (greeting)
			serve(fd, greeting, answer);
		_exit(0);
	}
	close(fd);
	return pid;
}

/* Joins what answers so. Returns what service_link_join does; *error has the message. */
static int join(const char *greeting, const char *answer, int limit_ms, struct error *error)
{
	pid_t pid = start(greeting, answer);
	int result = service_link_join(path, "car.can0", limit_ms, error);

	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	return result;
}

static void expect(int result, int wanted, const struct error *error, const char *text)
{
	assert_int_equal(result, wanted);
	if (!strstr(error->message, text) || !strstr(error->message, path))
		fail_msg("'%s' is not in '%s'", text, error->message);
}

static void test_joins(void **state)
{
	char text[256] = "";
	struct error error;
	int fd = join(HELLO, "ok\n", LIMIT_MS, &error);

	assert_true(fd >= 0);
	/* The other end went to the service, which sent the request back on it. */
	assert_true(recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT) > 0);
	assert_string_equal(text, "join client=car.can0\n");
	close(fd);
	/* Events may come in between. */
	fd = join(HELLO "event name=log-level level=info\n", "event name=x\nok\n", LIMIT_MS,
		  &error);
	assert_true(fd >= 0);
	close(fd);
}

static void test_nobody(void **state)
{
	char long_path[200];
	struct error error;

	unlink(path);
	expect(service_link_join(path, "a", LIMIT_MS, &error), -ENOENT, &error, "cannot connect");
	memset(long_path, 'x', sizeof(long_path) - 1);
	long_path[sizeof(long_path) - 1] = 0;
	assert_true(service_link_join(long_path, "a", LIMIT_MS, &error) < 0);
	assert_true(error.usage);
}

static void test_others(void **state)
{
	static const char *const greetings[] = {
		"hello interface=monitor version=1\n",
		"hello interface=avp-service version=2\n",
		"hello interface=avp-service version=x\n",
		"hello\n",
		"ok\n",
		"event name=x\n",
	};
	struct error error;

	for (size_t i = 0; i < sizeof(greetings) / sizeof(greetings[0]); i++)
		expect(join(greetings[i], "ok\n", LIMIT_MS, &error), -EPROTO, &error,
		       "does not speak version 1 of the interface");
	assert_true(join("HTTP/1.1 400 Bad Request\r\n", "ok\n", LIMIT_MS, &error) < 0);
	assert_non_null(strstr(error.message, path));
	expect(join(NULL, NULL, LIMIT_MS, &error), -EPIPE, &error, "has closed the connection");
	expect(join(HELLO, "error code=EACCES text=\"not you\"\n", LIMIT_MS, &error), -EACCES,
	       &error, "not you");
	expect(join("error code=EUSERS text=\"too many\"\n", "", LIMIT_MS, &error), -EUSERS, &error,
	       "too many");
}

/* The time is bounded, whatever comes. */
static void test_without_an_answer(void **state)
{
	static const struct {
		const char *greeting, *answer;
	} cases[] = {
		{"", ""},     {"hello interface=avp-ser", ""},
		{HELLO, ""},  {HELLO, "event name=x\n+"},
		{HELLO, "o"},
	};
	struct error error;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		expect(join(cases[i].greeting, cases[i].answer, SHORT_MS, &error), -ETIMEDOUT,
		       &error, "does not answer");
	/* A line without an end. */
	assert_true(join(HELLO, "o+", LIMIT_MS, &error) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_joins),
		cmocka_unit_test(test_nobody),
		cmocka_unit_test(test_others),
		cmocka_unit_test(test_without_an_answer),
	};
	int result;

	scratch_make(&scratch);
	snprintf(path, sizeof(path), "%s", scratch_path(&scratch, "service.sock"));
	result = cmocka_run_group_tests(tests, NULL, NULL);
	scratch_remove(&scratch);
	return result;
}
