// SPDX-License-Identifier: BSD-3-Clause
/*
 * The control socket of a guest that runs on a fake QEMU: its verbs and events, and clients that
 * send garbage, halves of lines and floods, or nothing, which cost the guest nothing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "guest/policy.h"
#include "guest/run/control.h"
#include "unit/fake_qemu.h"
#include "unit/guest_subject.h"
#include "unit/scratch.h"

#define LIMIT_MS 20000
#define HELLO	 "hello interface=guest version=1\n"

static struct scratch scratch;
static struct event_loop loop;
static struct guest_control control;
static struct sockaddr_un address;
static struct subject car;

static int set_up(void **state)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	car = (struct subject){.control = &control};
	car.config = (struct guest_config){
		.name = (char *)"car",
		.kernel = strdup(scratch_write_kernel(&scratch, "vmlinuz")),
		.cpus = 1,
		.memory = 64 << 20,
		.engine = engine_number("qemu"),
		.restart_limit = 2,
		.stop_timeout = 10,
	};
	address = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "avp-guest-%d", getpid());
	if (event_loop_init(&loop, 0, NULL) < 0 ||
	    bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 64) < 0)
		return -1;
	return guest_control_open(&control, &loop, &car.config, fd, NULL);
}

static int tear_down(void **state)
{
	struct guest *guest = control.guest;

	guest_control_close(&control);
	guest_free(guest);
	close_fd(&car.console);
	event_loop_close(&loop);
	free(car.config.kernel);
	log_set_level(LOG_INFO);
	return 0;
}

static void turn_until(const bool *flag)
{
	int64_t limit = clock_now_ms() + LIMIT_MS;

	while (!*flag && clock_now_ms() < limit)
		assert_true(event_loop_turn(&loop, 100) >= 0);
	assert_true(*flag);
}

static void start(const char *mode)
{
	struct guest_setup setup = {.loop = &loop,
				    .config = &car.config,
				    .events = &subject_events,
				    .context = &car};
	struct error error;
	int ends[2];

	fake_qemu_set(mode, "QEMU emulator version 7.2.22");
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	car.console = ends[0];
	setup.console_fd = ends[1];
	assert_int_equal(guest_start(&control.guest, &setup, &error), 0);
	turn_until(&car.running);
}

static int connect_one(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* What has come until the line with @end in it. */
static const char *hear_until(int fd, const char *end)
{
	static char text[3 * CONTROL_LINE_SIZE];
	int64_t limit = clock_now_ms() + LIMIT_MS;
	size_t length = 0;

	text[0] = 0;
	while (!strstr(text, end) && clock_now_ms() < limit) {
		ssize_t bytes = read(fd, text + length, sizeof(text) - 1 - length);

		length += bytes > 0 ? (size_t)bytes : 0;
		text[length] = 0;
		event_loop_turn(&loop, 1);
	}
	if (!strstr(text, end))
		fail_msg("no '%s' in: %s", end, text);
	return text;
}

static void say(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static int greeted(void)
{
	int fd = connect_one();

	assert_string_equal(hear_until(fd, "\n"), HELLO);
	return fd;
}

static void test_before_the_start(void **state)
{
	cleanup_fd int fd = greeted();
	char wanted[100];

	car.console = -1;
	say(fd, "state\n");
	snprintf(wanted, sizeof(wanted), "ok name=car state=starting process=%d\n", getpid());
	assert_string_equal(hear_until(fd, "\n"), wanted);
	say(fd, "stop\nkill\npause\nresume\ndevices\nrestart device=a\n");
	for (int i = 0; i < 6; i++)
		event_loop_turn(&loop, 10);
	assert_non_null(strstr(hear_until(fd, "\n"),
			       "error code=EAGAIN text=\"the guest is not started yet\"\n"));
}

static void test_verbs(void **state)
{
	cleanup_fd int fd = greeted(), other = greeted();
	char wanted[200];

	start("powerdown");
	snprintf(wanted, sizeof(wanted),
		 "ok name=car state=running process=%d engine=qemu engine-process=%d\n", getpid(),
		 (int)guest_engine_process(control.guest));
	say(fd, "state\n");
	assert_string_equal(hear_until(fd, "\n"), wanted);
	say(fd, "devices\n");
	assert_string_equal(hear_until(fd, "\n"), "ok\n");
	say(fd, "log-level level=error\n");
	assert_string_equal(hear_until(fd, "\n"), "ok before=info\n");
	assert_int_equal(log_get_level(), LOG_ERROR);
	say(other, "events\n");
	assert_string_equal(hear_until(other, "\n"), "ok\n");

	/* The answers wait for the effect. */
	say(fd, "pause\n");
	assert_string_equal(hear_until(fd, "\n"), "ok\n");
	assert_string_equal(guest_state(control.guest), "paused");
	assert_string_equal(hear_until(other, "\n"), "event name=guest-paused\n");
	say(fd, "resume\n");
	assert_string_equal(hear_until(fd, "\n"), "ok\n");
	assert_string_equal(guest_state(control.guest), "running");
	assert_string_equal(hear_until(other, "\n"), "event name=guest-resumed\n");

	say(fd, "restart device=disk\n");
	assert_string_equal(
		hear_until(fd, "\n"),
		"error code=EOPNOTSUPP text=\"restart: engine qemu has no restarting device "
		"processes with their state here; take another engine\"\n");

	/* A second call does not kill a guest that shuts down. */
	say(fd, "stop\nstop\n");
	turn_until(&car.ended);
	assert_string_equal(guest_how(control.guest), "powered off on request");
	assert_non_null(strstr(hear_until(other, "name=guest-ended"),
			       "event name=guest-stopping\n"
			       "event name=guest-ended end=powered-off milliseconds="));
}

static void test_kill(void **state)
{
	cleanup_fd int fd = greeted();

	start("deaf");
	say(fd, "stop\npause\n");
	assert_string_equal(hear_until(fd, "EBUSY"),
			    "ok\nerror code=EBUSY text=\"the guest is being stopped\"\n");
	say(fd, "kill\n");
	turn_until(&car.ended);
	assert_string_equal(guest_how(control.guest), "was killed");
}

static bool allows_state(const struct policy *policy, const struct policy_subject *subject,
			 enum policy_verb verb, const struct policy_object *object)
{
	char actor[40];

	snprintf(actor, sizeof(actor), "client of user %u", (unsigned int)geteuid());
	assert_string_equal(subject->guest, "car");
	assert_string_equal(object->kind, verb == POLICY_COMMAND ? "guest" : object->kind);
	if (verb == POLICY_COMMAND)
		assert_string_equal(subject->actor, actor);
	return verb != POLICY_COMMAND || !strcmp(object->name, "state");
}

static void test_policy(void **state)
{
	const struct policy policy = {.allows = allows_state};
	cleanup_fd int fd = greeted();

	car.config.policy = &policy;
	start("powerdown");
	say(fd, "state\n");
	assert_non_null(strstr(hear_until(fd, "\n"), "state=running"));
	say(fd, "kill\n");
	assert_non_null(strstr(hear_until(fd, "\n"),
			       "error code=EACCES text=\"the policy does not allow kill to user "));
	assert_false(car.ended);
}

/* Whoever waits for a pause gets an answer when it does not come. */
static void test_pause_in_vain(void **state)
{
	cleanup_fd int fd = greeted(), other = greeted();

	start("powerdown");
	say(fd, "pause\n");
	say(other, "resume\n");
	event_loop_turn(&loop, 10);
	assert_string_equal(hear_until(fd, "\n"),
			    "error code=ECANCELED text=\"the guest was resumed or stopped "
			    "meanwhile\"\n");
	assert_string_equal(hear_until(other, "\n"), "ok\n");
}

/* And when the engine refuses it, or its end. */
static void test_pause_that_is_refused(void **state)
{
	cleanup_fd int fd = greeted();

	start("no-stop");
	say(fd, "pause\n");
	assert_string_equal(hear_until(fd, "\n"),
			    "error code=EIO text=\"QEMU refused stop: not now\"\n");
	assert_string_equal(guest_state(control.guest), "running");
	say(fd, "resume\n");
	assert_string_equal(hear_until(fd, "\n"), "ok\n");
}

static void test_resume_that_is_refused(void **state)
{
	cleanup_fd int fd = greeted();

	start("no-cont");
	say(fd, "pause\n");
	assert_string_equal(hear_until(fd, "\n"), "ok\n");
	for (int i = 0; i < 2; i++) {
		say(fd, "resume\n");
		assert_string_equal(hear_until(fd, "\n"),
				    "error code=EIO text=\"QEMU refused cont: not now\"\n");
		assert_string_equal(guest_state(control.guest), "paused");
	}
	say(fd, "pause\n");
	assert_string_equal(hear_until(fd, "\n"), "ok\n");
	/* It is to pause again before it is known that it does not go on. */
	say(fd, "resume\npause\n");
	assert_non_null(strstr(hear_until(fd, "ok\n"), "QEMU refused cont"));
	assert_string_equal(guest_state(control.guest), "paused");
}

/* A pause that was requested behind one that is given up is a new one, which has its answer. */
static void test_pause_behind_a_pause(void **state)
{
	cleanup_fd int fd = greeted(), other = greeted();

	start("powerdown");
	say(fd, "pause\npause\n");
	say(other, "resume\n");
	assert_non_null(strstr(hear_until(fd, "ok\n"), "code=ECANCELED"));
	assert_string_equal(hear_until(other, "\n"), "ok\n");
	say(other, "state\n");
	assert_non_null(strstr(hear_until(other, "\n"), "state=paused"));
}

/* Everything that a client can do wrong, all at once, while the guest's own work goes on. */
static void test_hostile_clients(void **state)
{
	static const char *const pieces[] = {
		"stat", "\x01\xff\xfe", "state a=\"\n", "=\n", "{\"execute\":\"quit\"}\n",
		"\n",	"kill now\n",	"kill a=b\n",
	};
	int fds[40];
	char garbage[20000];
	unsigned int seed = 7;
	cleanup_fd int fd = -1;

	start("powerdown");
	for (size_t i = 0; i < sizeof(garbage); i++)
		garbage[i] = (char)rand_r(&seed);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
		const char *piece = pieces[i % (sizeof(pieces) / sizeof(pieces[0]))];

		fds[i] = connect_one();
		if (i % 3 == 0)
			(void)!send(fds[i], garbage, sizeof(garbage), MSG_NOSIGNAL | MSG_DONTWAIT);
		if (i % 3 == 1)
			(void)!send(fds[i], piece, strlen(piece), MSG_NOSIGNAL);
		event_loop_turn(&loop, 0);
	}
	/* A flood of requests whose answers are not read. */
	for (int i = 0; i < 20000; i++) {
		(void)!send(fds[39], "state\n", 6, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (i % 16 == 0)
			event_loop_turn(&loop, 0);
	}
	assert_false(car.ended);
	/* An orderly client among them is served. */
	fd = greeted();
	say(fd, "state\n");
	assert_non_null(strstr(hear_until(fd, "\n"), "state=running"));
	say(fd, "stop\n");
	turn_until(&car.ended);
	assert_string_equal(guest_how(control.guest), "powered off on request");
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		close(fds[i]);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_before_the_start),
		TEST(test_verbs),
		TEST(test_kill),
		TEST(test_policy),
		TEST(test_pause_in_vain),
		TEST(test_pause_that_is_refused),
		TEST(test_resume_that_is_refused),
		TEST(test_pause_behind_a_pause),
		TEST(test_hostile_clients),
	};
	int result;

	if (fake_qemu_called(argv))
		return fake_qemu_main(argv);
	scratch_make(&scratch);
	fake_qemu_install(&scratch);
	result = cmocka_run_group_tests(tests, NULL, NULL);
	scratch_remove(&scratch);
	return result;
}
