// SPDX-License-Identifier: BSD-3-Clause
/*
 * The QMP client against a fake QEMU: negotiation, events, refusals, and a peer that sends garbage,
 * lines without end, or its messages byte by byte.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/event_loop.h"
#include "guest/engine/qemu/qmp.h"

#define GREETING "{\"QMP\": {\"version\": {\"qemu\": {\"major\": 7}}, \"capabilities\": []}}\r\n"
#define AGREED	 "{\"return\": {}, \"id\": \"qmp_capabilities\"}\r\n"

static struct event_loop loop;
static struct qmp qmp;
static int peer;
static char seen[1024]; /* the calls of the handlers */
static bool close_on_event;

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void note(const char *format, ...)
{
	size_t length = strlen(seen);
	va_list values;

	va_start(values, format);
	vsnprintf(seen + length, sizeof(seen) - length, format, values);
	va_end(values);
}

static void on_ready(void *context)
{
	note("ready;");
}

static void on_event(void *context, const char *name, const json_t *data)
{
	const char *reason = json_string_value(json_object_get(data, "reason"));

	note("%s(%s);", name, reason ? reason : "");
	if (close_on_event)
		qmp_close(&qmp);
}

static void on_answered(void *context, const char *command, const char *why)
{
	if (why)
		note("refused %s: %s;", command, why);
	else
		note("done %s;", command);
}

static void on_ended(void *context)
{
	note("ended;");
}

static const struct qmp_handlers handlers = {on_ready, on_event, on_answered, on_ended};

static int set_up(void **state)
{
	int ends[2];

	seen[0] = 0;
	close_on_event = false;
	if (event_loop_init(&loop, 0, NULL) < 0 ||
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0)
		return -1;
	peer = ends[1];
	return qmp_open(&qmp, &loop, ends[0], &handlers, NULL, NULL);
}

static int tear_down(void **state)
{
	qmp_close(&qmp);
	qmp_close(&qmp);
	if (peer >= 0)
		close(peer);
	event_loop_close(&loop);
	return 0;
}

static void turn_until_idle(void)
{
	while (event_loop_turn(&loop, 0) > 0)
		;
}

static void say(const char *text, size_t length)
{
	while (length) {
		ssize_t sent = send(peer, text, length, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent < 0)
			assert_int_equal(errno, EAGAIN);
		else
			text += sent, length -= sent;
		turn_until_idle();
	}
}

static void say_text(const char *text)
{
	say(text, strlen(text));
}

static void expect_heard(const char *want)
{
	char text[512];
	ssize_t bytes = recv(peer, text, sizeof(text) - 1, MSG_DONTWAIT);

	assert_true(bytes > 0);
	text[bytes] = 0;
	assert_string_equal(text, want);
}

static void negotiate(void)
{
	say_text(GREETING);
	expect_heard("{\"execute\":\"qmp_capabilities\",\"id\":\"qmp_capabilities\"}\n");
	say_text(AGREED);
	assert_string_equal(seen, "ready;");
	seen[0] = 0;
}

static void test_negotiation_and_commands(void **state)
{
	struct error error;

	assert_int_equal(qmp_execute(&qmp, "cont", &error), -EAGAIN);
	negotiate();
	assert_int_equal(qmp_execute(&qmp, "cont", &error), 0);
	expect_heard("{\"execute\":\"cont\",\"id\":\"cont\"}\n");
	say_text("{\"return\": {}, \"id\": \"cont\"}\r\n");
	assert_string_equal(seen, "done cont;");
	say_text(
		"{\"error\": {\"class\": \"GenericError\", \"desc\": \"not now\"}, \"id\": \"cont\"}"
		"\r\n");
	assert_string_equal(seen, "done cont;refused cont: not now;");
}

static void test_events(void **state)
{
	negotiate();
	say_text("{\"timestamp\": {\"seconds\": 1, \"microseconds\": 2}, \"event\": \"RESET\", "
		 "\"data\": {\"guest\": true, \"reason\": \"guest-reset\"}}\r\n"
		 "{\"event\": \"STOP\"}\r\n{\"event\": \"ODD\", \"data\": 7}\r\n");
	assert_string_equal(seen, "RESET(guest-reset);STOP();ODD();");
}

static void test_split_reads(void **state)
{
	const char *text = GREETING AGREED "{\"event\": \"STOP\"}\r\n";

	for (const char *at = text; *at; at++)
		say(at, 1);
	assert_string_equal(seen, "ready;STOP();");
}

static void test_garbage_is_ignored(void **state)
{
	static const char zeros[300];

	say_text("hello\n\n\r\n{\n[1]\n\"text\"\n{\"execute\": \"quit\"}\n{}\n");
	say(zeros, sizeof(zeros));
	say_text("\n\xff\xfe{\"event\": \"STOP\"}\n");
	assert_string_equal(seen, "");
	negotiate();
	/* An event's name must be a string, an error's text too. */
	say_text("{\"event\": 5}\n{\"event\": null}\n{\"error\": \"text\", \"id\": 3}\n");
	assert_string_equal(seen, "refused a command: no reason given;");
	seen[0] = 0;
	say_text("{\"event\": \"STOP\"}\n");
	assert_string_equal(seen, "STOP();");
}

static void test_unasked_agreement(void **state)
{
	/* Before the greeting, and twice: ready comes once. */
	say_text(AGREED AGREED GREETING);
	assert_string_equal(seen, "ready;done qmp_capabilities;");
}

static void test_overlong_line_is_left_out(void **state)
{
	size_t length = 3 * QMP_LINE_SIZE;
	char *line = malloc(length);

	negotiate();
	memset(line, 'x', length);
	memcpy(line, "{\"event\": \"", strlen("{\"event\": \""));
	say(line, length);
	say_text("\"}\n{\"event\": \"STOP\"}\n");
	assert_string_equal(seen, "STOP();");
	free(line);
}

static void test_longest_line(void **state)
{
	const char *start = "{\"event\": \"STOP\", \"data\": {\"x\": \"", *end = "\"}}\n";
	size_t length = QMP_LINE_SIZE - 1;
	char *line = malloc(length);

	negotiate();
	/* QMP_LINE_SIZE - 2 bytes and the end of the line. */
	memset(line, 'x', length);
	memcpy(line, start, strlen(start));
	memcpy(line + length - strlen(end), end, strlen(end));
	say(line, length);
	assert_string_equal(seen, "STOP();");
	free(line);
}

static void test_deep_nesting(void **state)
{
	char *line = malloc(QMP_LINE_SIZE);

	negotiate();
	memset(line, '[', QMP_LINE_SIZE - 10);
	line[QMP_LINE_SIZE - 10] = '\n';
	say(line, QMP_LINE_SIZE - 9);
	say_text("{\"event\": \"STOP\"}\n");
	assert_string_equal(seen, "STOP();");
	free(line);
}

static void test_peer_hangs_up(void **state)
{
	struct error error;

	negotiate();
	/* The last line counts even without a newline. */
	say_text("{\"event\": \"STOP\"}\n{\"event\": \"SHUTDOWN\"}");
	close(peer);
	peer = -1;
	turn_until_idle();
	assert_string_equal(seen, "STOP();SHUTDOWN();ended;");
	assert_true(qmp_execute(&qmp, "quit", &error) < 0);
	assert_true(error.message[0]);
}

static void test_handler_closes(void **state)
{
	negotiate();
	close_on_event = true;
	say_text("{\"event\": \"STOP\"}\n{\"event\": \"RESET\"}\n");
	assert_string_equal(seen, "STOP();");
}

static void test_drain(void **state)
{
	const char *text = "{\"event\": \"STOP\"}\n";

	negotiate();
	assert_int_equal(send(peer, text, strlen(text), MSG_NOSIGNAL), strlen(text));
	qmp_drain(&qmp);
	assert_string_equal(seen, "STOP();");
}

static void test_peer_that_does_not_read(void **state)
{
	struct error error;
	int result = 0;

	negotiate();
	for (int i = 0; i < 1000000 && result == 0; i++)
		result = qmp_execute(&qmp, "query-status", &error);
	assert_true(result < 0);
	assert_non_null(strstr(error.message, "query-status"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_negotiation_and_commands, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_events, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_split_reads, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_garbage_is_ignored, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_unasked_agreement, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_overlong_line_is_left_out, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_longest_line, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_deep_nesting, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_peer_hangs_up, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_handler_closes, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_drain, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_peer_that_does_not_read, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
