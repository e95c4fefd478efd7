// SPDX-License-Identifier: BSD-3-Clause
/* The monitor's side of its control socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "monitor/run/control_socket.h"
#include "unit/capture.h"

static struct event_loop loop;
static struct control_socket control;
static int far = -1;
static unsigned int buttons, ends;

static void count_button(void *context)
{
	assert_ptr_equal(context, &loop);
	buttons++;
}

static void count_end(void *context)
{
	assert_ptr_equal(context, &loop);
	ends++;
	event_loop_stop(&loop, 0);
}

static int start(void **state)
{
	struct error error;
	int pair[2];

	buttons = ends = 0;
	control = (struct control_socket){
		.button = count_button,
		.end = count_end,
		.context = &loop,
	};
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(event_loop_init(&loop, 0, &error), 0);
	assert_int_equal(control_socket_open(&control, &loop, pair[0], &error), 0);
	far = pair[1];
	return 0;
}

static int finish(void **state)
{
	control_socket_close(&control);
	event_loop_close(&loop);
	close_fd(&far);
	return 0;
}

static void say(const char *text)
{
	assert_int_equal(write(far, text, strlen(text)), (ssize_t)strlen(text));
}

static void test_commands(void **state)
{
	struct capture errors;

	capture_start(&errors, STDERR_FILENO);
	say("button\nbutto\nbutton\nend\n");
	assert_int_equal(event_loop_run(&loop), 0);
	assert_int_equal(buttons, 2);
	assert_int_equal(ends, 1);
	assert_non_null(strstr(capture_all(&errors), "there is no command 'butto'"));
	capture_stop(&errors);
}

static void test_hangup(void **state)
{
	close_fd(&far);
	assert_int_equal(event_loop_run(&loop), 0);
	assert_int_equal(ends, 1);
	/* Other threads may still send something. */
	control_socket_send(&control, "given-up", "disk");
}

static void test_events(void **state)
{
	char text[100] = "";

	control_socket_send(&control, "running", NULL);
	control_socket_send(&control, "off", "powered itself off");
	assert_true(read(far, text, sizeof(text) - 1) > 0);
	assert_string_equal(text, "running\noff powered itself off\n");
}

/* A peer that does not read is treated like a hangup, and never blocks the sender. */
static void test_reader_that_stalls(void **state)
{
	char bytes[4096];
	ssize_t length;

	for (int i = 0; i < 100000; i++)
		control_socket_send(&control, "step", "1 done");
	do
		length = recv(far, bytes, sizeof(bytes), MSG_DONTWAIT);
	while (length > 0);
	assert_int_equal(length, 0);
	assert_int_equal(event_loop_run(&loop), 0);
	assert_int_equal(ends, 1);
}

static void test_none(void **state)
{
	struct control_socket none = {.fd = -1};

	control_socket_send(&none, "running", NULL);
	control_socket_close(&none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_commands, start, finish),
		cmocka_unit_test_setup_teardown(test_hangup, start, finish),
		cmocka_unit_test_setup_teardown(test_events, start, finish),
		cmocka_unit_test_setup_teardown(test_reader_that_stalls, start, finish),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
