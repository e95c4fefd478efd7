// SPDX-License-Identifier: BSD-3-Clause
/* The monitor's side of its control socket. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "monitor/run/control_socket.h"

static struct event_loop loop;
static struct control_socket control;
static int far = -1;
static unsigned int buttons, ends, pauses, resumes, releases;

static void count_button(void *context)
{
	assert_ptr_equal(context, &loop);
	buttons++;
}

static void count_pause(void *context)
{
	pauses++;
}

static int count_release(void *context, const char *device, uint64_t attachments,
			 struct error *error)
{
	assert_int_equal(attachments, strcmp(device, "disk") ? 0 : 3);
	releases++;
	return strcmp(device, "disk") ? error_set(error, ENOENT, "there is no %s", device) : 0;
}

static void count_resume(void *context)
{
	resumes++;
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

	buttons = ends = pauses = resumes = releases = 0;
	control = (struct control_socket){
		.button = count_button,
		.end = count_end,
		.pause = count_pause,
		.resume = count_resume,
		.release = count_release,
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

/* What has come behind the greeting, without its end. */
static const char *hear(void)
{
	static const char hello[] = "hello interface=monitor version=1\n";
	static char text[500];
	ssize_t length = read(far, text, sizeof(text) - 1);

	assert_true(length >= 0);
	text[length] = 0;
	assert_int_equal(strncmp(text, hello, strlen(hello)), 0);
	return text + strlen(hello);
}

static void test_commands(void **state)
{
	say("stop\nstpo\nstop\nkill\n");
	assert_int_equal(event_loop_run(&loop), 0);
	assert_int_equal(buttons, 2);
	assert_int_equal(ends, 1);
	assert_string_equal(hear(), "ok\n"
				    "error code=ENOSYS "
				    "text=\"there is no verb stpo; did you mean stop?\"\n"
				    "ok\nok\n");
}

static void test_pause_and_log(void **state)
{
	say("pause\nresume\nlog-level level=debug\nlog-level\nlog-level level=all\nkill\n");
	assert_int_equal(event_loop_run(&loop), 0);
	assert_int_equal(pauses, 1);
	assert_int_equal(resumes, 1);
	assert_int_equal(log_get_level(), LOG_INFO);
	assert_string_equal(hear(), "ok\nok\nok before=info\nok before=debug\n"
				    "error code=EINVAL text=\"level: there is no choice 'all'; "
				    "give one of: error, warning, info, debug\"\nok\n");
}

static void test_release(void **state)
{
	say("release device=disk attachments=3\nrelease device=tape\nrelease\nrelease device=\"a b\"\nkill\n");
	assert_int_equal(event_loop_run(&loop), 0);
	assert_int_equal(releases, 2);
	assert_non_null(strstr(hear(), "ok\nerror code=ENOENT text=\"there is no tape\"\n"
				       "error code=EINVAL text=\"release: device is missing"));
}

static void test_hangup(void **state)
{
	close_fd(&far);
	assert_int_equal(event_loop_run(&loop), 0);
	assert_int_equal(ends, 1);
	/* Other threads may still send something. */
	control_socket_send(&control, "given-up", "device", "disk");
}

/* The same is true of a line that is not in the form. */
static void test_broken_form(void **state)
{
	say("stop\nSTOP\nstop\n");
	assert_int_equal(event_loop_run(&loop), 0);
	assert_int_equal(buttons, 1);
	assert_int_equal(ends, 1);
}

static void test_events(void **state)
{
	control_socket_send(&control, "running", NULL, NULL);
	control_socket_send(&control, "off", "text", "powered itself off");
	control_socket_send_step(&control, 12, "done");
	control_socket_send_device(&control, "attached", "disk", NULL);
	control_socket_send_device(&control, "released", "disk", "no state");
	assert_string_equal(hear(), "event name=running\n"
				    "event name=off text=\"powered itself off\"\n"
				    "event name=step time=12 text=done\n"
				    "event name=attached device=disk\n"
				    "event name=released device=disk text=\"no state\"\n");
}

/* A peer that does not read is treated like a hangup, and never blocks the sender. */
static void test_reader_that_stalls(void **state)
{
	char bytes[4096];
	ssize_t length;

	for (int i = 0; i < 100000; i++)
		control_socket_send_step(&control, 1, "done");
	do
		length = recv(far, bytes, sizeof(bytes), MSG_DONTWAIT);
	while (length > 0);
	assert_int_equal(length, 0);
	assert_int_equal(event_loop_run(&loop), 0);
	assert_int_equal(ends, 1);
}

static void test_none(void **state)
{
	struct control_socket none = CONTROL_SOCKET_NONE;

	control_socket_send(&none, "running", NULL, NULL);
	control_socket_close(&none);
	/* Standard input is still open. */
	assert_true(fcntl(STDIN_FILENO, F_GETFD) >= 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_commands, start, finish),
		cmocka_unit_test_setup_teardown(test_pause_and_log, start, finish),
		cmocka_unit_test_setup_teardown(test_release, start, finish),
		cmocka_unit_test_setup_teardown(test_hangup, start, finish),
		cmocka_unit_test_setup_teardown(test_broken_form, start, finish),
		cmocka_unit_test_setup_teardown(test_events, start, finish),
		cmocka_unit_test_setup_teardown(test_reader_that_stalls, start, finish),
		cmocka_unit_test(test_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
