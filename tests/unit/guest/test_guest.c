// SPDX-License-Identifier: BSD-3-Clause
/*
 * Guests as objects: two of them on one event loop, with a fake QEMU and fake device processes;
 * they leave signals, descriptors and children as they were.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "device/block/options.h"
#include "guest/engine/engine.h"
#include "guest/run/guest.h"
#include "unit/capture.h"
#include "unit/fake_device.h"
#include "unit/fake_qemu.h"
#include "unit/guest_subject.h"
#include "unit/scratch.h"

#define LIMIT_MS 20000
#define SIGNALS	 32

static struct scratch scratch;
static char *disk;
static struct block_options block_options;
static struct device_config device;
static struct event_loop loop;
static struct subject first, second;
static unsigned int descriptors;

static void (*handlers_before[SIGNALS])(int);

static void read_handlers(void (*handlers[SIGNALS])(int))
{
	memset(handlers, 0, sizeof(handlers_before));
	for (int number = 1; number < SIGNALS; number++) {
		struct sigaction action;

		sigaction(number, NULL, &action);
		handlers[number] = action.sa_handler;
	}
}

static unsigned int count_descriptors(void)
{
	cleanup_directory DIR *stream = opendir("/proc/self/fd");
	unsigned int count = 0;

	while (readdir(stream))
		count++;
	return count;
}

static void make_subject(struct subject *subject, const char *name)
{
	*subject = (struct subject){
		.config =
			{
				.name = (char *)name,
				.kernel = strdup(scratch_write_kernel(&scratch, name)),
				.cpus = 1,
				.memory = 64 << 20,
				.engine = engine_number("qemu"),
				.devices = &device,
				.restart_limit = 2,
				.stop_timeout = 10,
			},
		.console = -1,
	};
}

static int set_up(void **state)
{
	make_subject(&first, "first");
	make_subject(&second, "second");
	descriptors = count_descriptors();
	read_handlers(handlers_before);
	return event_loop_init(&loop, 0, NULL);
}

static int tear_down(void **state)
{
	void (*handlers[SIGNALS])(int);
	sigset_t mask;

	event_loop_close(&loop);
	free(first.config.kernel);
	free(second.config.kernel);
	assert_int_equal(count_descriptors(), descriptors);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(sigprocmask(SIG_SETMASK, NULL, &mask), 0);
	for (int number = 1; number < SIGNALS; number++)
		assert_int_equal(sigismember(&mask, number), 0);
	read_handlers(handlers);
	assert_memory_equal(handlers, handlers_before, sizeof(handlers));
	return 0;
}

static int start(struct subject *subject, const char *qemu_mode, const char *device_mode,
		 struct error *error)
{
	struct guest_setup setup = {
		.loop = &loop,
		.config = &subject->config,
		.events = &subject_events,
		.context = subject,
	};
	int ends[2];

	fake_qemu_set(qemu_mode, "QEMU emulator version 7.2.22");
	block_options.serial = (char *)device_mode;
	subject->config.device_count = device_mode ? 1 : 0;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	subject->console = ends[0];
	setup.console_fd = ends[1];
	return guest_start(&subject->guest, &setup, error);
}

static void turn_until(const bool *flag)
{
	int64_t limit = clock_now_ms() + LIMIT_MS;

	while (!*flag && clock_now_ms() < limit)
		assert_true(event_loop_turn(&loop, 100) >= 0);
	assert_true(*flag);
}

static int finish(struct subject *subject, enum guest_end *end, struct error *error)
{
	int result;

	guest_end(subject->guest);
	result = guest_take_result(subject->guest, "", end, error);
	guest_free(subject->guest);
	close_fd(&subject->console);
	return result;
}

static void test_two_on_one_loop(void **state)
{
	struct error error;
	enum guest_end end;
	char text[16] = "";

	assert_int_equal(start(&first, "echo", NULL, &error), 0);
	assert_int_equal(start(&second, "powerdown", "normal", &error), 0);
	turn_until(&first.ready);
	turn_until(&second.ready);
	assert_true(first.steps > 0);
	assert_string_equal(guest_engine_name(first.guest), "qemu");
	assert_true(guest_has_run(first.guest));

	/* Each has its own console, end and result. */
	assert_int_equal(write(first.console, "moin\n", 5), 5);
	turn_until(&first.ended);
	assert_int_equal(read(first.console, text, sizeof(text)), 5);
	assert_string_equal(text, "moin\n");
	assert_false(second.ended);
	assert_string_equal(guest_how(first.guest), "powered off");
	assert_int_equal(finish(&first, &end, &error), 0);
	assert_int_equal(end, GUEST_POWERED_OFF);
	assert_int_equal(first.stopping, 0);

	guest_stop(second.guest, "test");
	assert_int_equal(second.stopping, 1);
	turn_until(&second.ended);
	assert_string_equal(guest_how(second.guest), "powered off on request");
	/* Nothing happens to a guest that has ended. */
	guest_stop(second.guest, "test");
	guest_kill(second.guest, "test");
	assert_int_equal(second.stopping, 1);
	assert_int_equal(finish(&second, &end, &error), 0);
	assert_int_equal(end, GUEST_POWERED_OFF);
}

static void test_pause(void **state)
{
	struct error error;
	enum guest_end end;

	assert_int_equal(start(&first, "powerdown", NULL, &error), 0);
	assert_string_equal(guest_state(first.guest), "starting");
	assert_int_equal(guest_pause(first.guest, &error), -EAGAIN);
	assert_int_equal(guest_resume(first.guest), 0);
	turn_until(&first.running);
	assert_string_equal(guest_state(first.guest), "running");
	assert_int_equal(guest_pause(first.guest, &error), -EINPROGRESS);
	assert_int_equal(guest_pause(first.guest, &error), -EINPROGRESS);
	turn_until(&first.paused);
	assert_string_equal(guest_state(first.guest), "paused");
	assert_int_equal(guest_pause(first.guest, &error), 0);
	assert_int_equal(guest_resume(first.guest), -EINPROGRESS);
	turn_until(&first.resumed);
	assert_string_equal(guest_state(first.guest), "running");

	/* Both at once, in each order: the last one counts. */
	first.paused = first.resumed = false;
	assert_int_equal(guest_pause(first.guest, &error), -EINPROGRESS);
	assert_int_equal(guest_resume(first.guest), -EINPROGRESS);
	turn_until(&first.resumed);
	assert_string_equal(guest_state(first.guest), "running");
	assert_int_equal(guest_pause(first.guest, &error), -EINPROGRESS);
	turn_until(&first.paused);
	first.paused = false;
	assert_int_equal(guest_resume(first.guest), -EINPROGRESS);
	assert_int_equal(guest_pause(first.guest, &error), -EINPROGRESS);
	turn_until(&first.paused);
	assert_string_equal(guest_state(first.guest), "paused");

	/* A paused guest that is to stop must run. */
	guest_stop(first.guest, "test");
	assert_string_equal(guest_state(first.guest), "stopping");
	assert_int_equal(guest_pause(first.guest, &error), -EBUSY);
	turn_until(&first.ended);
	assert_string_equal(guest_state(first.guest), "ended");
	assert_string_equal(first.events, "guest-runs guest-paused guest-resumed guest-paused "
					  "guest-resumed guest-paused guest-stopping guest-resumed "
					  "guest-ended ");
	assert_int_equal(finish(&first, &end, &error), 0);
	assert_int_equal(end, GUEST_POWERED_OFF);
}

/* The end of a pause that was given up is not taken for that of the next one. */
static void test_pause_right_after_resume(void **state)
{
	struct error error;

	assert_int_equal(start(&first, "deaf", NULL, &error), 0);
	turn_until(&first.running);
	assert_int_equal(guest_pause(first.guest, &error), -EINPROGRESS);
	assert_int_equal(guest_resume(first.guest), -EINPROGRESS);
	assert_int_equal(guest_pause(first.guest, &error), -EINPROGRESS);
	turn_until(&first.paused);
	turn_until(&first.resumed);
	assert_string_equal(guest_state(first.guest), "paused");
	assert_string_equal(first.events, "guest-runs guest-paused ");
	guest_free(first.guest);
	close_fd(&first.console);
}

/* What QEMU refuses does not make the next stop after an error look like a pause. */
static void test_error_after_a_refused_pause(void **state)
{
	struct error error;
	enum guest_end end;

	assert_int_equal(start(&first, "no-stop", NULL, &error), 0);
	turn_until(&first.running);
	assert_int_equal(guest_pause(first.guest, &error), -EINPROGRESS);
	turn_until(&first.paused);
	assert_string_equal(guest_state(first.guest), "running");
	guest_stop(first.guest, "test");
	turn_until(&first.ended);
	assert_string_equal(guest_how(first.guest), "was stopped by QEMU after an error");
	assert_int_equal(finish(&first, &end, &error), 0);
	assert_int_equal(end, GUEST_FAILED);
}

/* A callback may kill the guest that is being stopped: its power button was pressed before. */
static void test_kill_in_a_callback(void **state)
{
	struct error error;
	enum guest_end end;

	assert_int_equal(start(&first, "powerdown", NULL, &error), 0);
	turn_until(&first.running);
	first.kill_at_stopping = true;
	guest_stop(first.guest, "test");
	turn_until(&first.ended);
	assert_string_equal(guest_how(first.guest), "powered off on request");
	assert_int_equal(finish(&first, &end, &error), 0);
}

/* What the engine was started with. */
static const struct engine_setup *engine_setup;

int __real_engine_start(struct engine_guest **guest, const struct engine *engine,
			const struct engine_setup *setup, struct error *error);
int __wrap_engine_start(struct engine_guest **guest, const struct engine *engine,
			const struct engine_setup *setup, struct error *error);

int __wrap_engine_start(struct engine_guest **guest, const struct engine *engine,
			const struct engine_setup *setup, struct error *error)
{
	engine_setup = setup;
	return __real_engine_start(guest, engine, setup, error);
}

/* The guest can have its watchdogs expire as often as it likes: the log is not flooded. */
static void test_watchdogs_that_expire_often(void **state)
{
	struct capture capture;
	unsigned int lines = 0;
	struct error error;

	assert_int_equal(start(&first, "deaf", NULL, &error), 0);
	turn_until(&first.running);
	capture_start(&capture, STDERR_FILENO);
	for (int i = 0; i < 1000; i++) {
		first.events[0] = 0;
		engine_setup->events->watchdog(engine_setup->context, "a watchdog");
		lines += strstr(capture_next(&capture), "a watchdog expired") != NULL;
		if (strcmp(first.events, "watchdog-expired ") != 0)
			break;
	}
	capture_stop(&capture);
	assert_string_equal(first.events, "watchdog-expired ");
	assert_in_range(lines, 1, 100);
	guest_free(first.guest);
	close_fd(&first.console);
}

static void test_kill(void **state)
{
	struct error error;
	enum guest_end end;

	assert_int_equal(start(&first, "deaf", NULL, &error), 0);
	turn_until(&first.running);
	/* The level of this process's log is the caller's. */
	guest_set_log_level(first.guest, LOG_ERROR);
	assert_int_equal(log_get_level(), LOG_INFO);
	guest_kill(first.guest, "test");
	turn_until(&first.ended);
	assert_int_equal(finish(&first, &end, &error), 0);
	assert_int_equal(end, GUEST_KILLED);
}

/* Freed while it runs, as by a caller that gives up. */
static void test_free_while_it_runs(void **state)
{
	struct error error;

	assert_int_equal(start(&first, "deaf", "normal", &error), 0);
	turn_until(&first.ready);
	guest_free(first.guest);
	close_fd(&first.console);
}

static void test_refused(void **state)
{
	struct error error;
	enum guest_end end;

	assert_int_equal(start(&first, "refuse", NULL, &error), 0);
	turn_until(&first.ended);
	assert_int_equal(finish(&first, &end, &error), -EIO);
	assert_non_null(strstr(error.message, "no room for memory"));
	/* The same where it is known at once: nothing is left. */
	first.ended = first.started = false;
	block_options.file = (char *)"/nonexistent";
	assert_true(start(&first, "powerdown", "normal", &error) < 0);
	block_options.file = disk;
	assert_non_null(strstr(error.message, "/nonexistent"));
	assert_null(first.guest);
	close_fd(&first.console);
	assert_false(first.started || first.ended);
}

static void test_device_that_fails(void **state)
{
	struct error error;
	enum guest_end end;

	assert_int_equal(start(&first, "powerdown", "usage", &error), 0);
	turn_until(&first.ended);
	/* The engine was never started. */
	assert_false(first.started);
	assert_int_equal(finish(&first, &end, &error), -EINVAL);
	assert_true(error.usage);
}

/* Each step of a restart is reported once. */
static void test_device_that_is_restarted(void **state)
{
	int64_t limit = clock_now_ms() + LIMIT_MS;
	struct error error;

	assert_int_equal(start(&first, "deaf", "normal", &error), 0);
	turn_until(&first.ready);
	assert_int_equal(kill(guest_device(first.guest, 0).pid, SIGKILL), 0);
	while (!strstr(first.events, "device-serves") && clock_now_ms() < limit)
		assert_true(event_loop_turn(&loop, 100) >= 0);
	assert_string_equal(first.events, "guest-runs device-ended device-serves ");
	guest_free(first.guest);
	close_fd(&first.console);
}

static void test_console_that_fails(void **state)
{
	struct error error;
	enum guest_end end;

	first.refuse_start = true;
	assert_int_equal(start(&first, "powerdown", "normal", &error), 0);
	turn_until(&first.ended);
	assert_int_equal(finish(&first, &end, &error), -EIO);
	assert_string_equal(error.message, "no terminal");
}

static void test_stop_before_it_runs(void **state)
{
	struct error error;
	enum guest_end end;

	/* Its device never serves, so there is no engine yet. */
	assert_int_equal(start(&first, "powerdown", "slow", &error), 0);
	assert_string_equal(guest_how(first.guest), "");
	guest_stop(first.guest, "test");
	assert_true(first.ended);
	assert_string_equal(first.end, "powered-off");
	assert_int_equal(finish(&first, &end, &error), 0);
	assert_int_equal(end, GUEST_POWERED_OFF);

	first.ended = false;
	assert_int_equal(start(&first, "powerdown", "slow", &error), 0);
	guest_kill(first.guest, "test");
	assert_true(first.ended);
	assert_string_equal(first.end, "killed");
	assert_int_equal(finish(&first, &end, &error), 0);
	assert_int_equal(end, GUEST_KILLED);
}

/* An engine that ends before it runs the guest, on request and by itself. */
static void test_engine_that_ends_early(void **state)
{
	struct error error;
	enum guest_end end;

	assert_int_equal(start(&first, "mute", NULL, &error), 0);
	guest_stop(first.guest, "test");
	turn_until(&first.ended);
	assert_string_equal(first.end, "powered-off");
	assert_int_equal(finish(&first, &end, &error), 0);
	assert_int_equal(end, GUEST_POWERED_OFF);

	first.ended = first.started = false;
	assert_int_equal(start(&first, "mute", NULL, &error), 0);
	assert_int_equal(kill(guest_engine_process(first.guest), SIGKILL), 0);
	turn_until(&first.ended);
	assert_string_equal(first.end, "failed");
	assert_true(finish(&first, &end, &error) < 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_two_on_one_loop),
		TEST(test_kill),
		TEST(test_pause),
		TEST(test_pause_right_after_resume),
		TEST(test_error_after_a_refused_pause),
		TEST(test_kill_in_a_callback),
		TEST(test_watchdogs_that_expire_often),
		TEST(test_free_while_it_runs),
		TEST(test_refused),
		TEST(test_device_that_fails),
		TEST(test_device_that_is_restarted),
		TEST(test_console_that_fails),
		TEST(test_stop_before_it_runs),
		TEST(test_engine_that_ends_early),
	};
	int result;

	if (fake_qemu_called(argv))
		return fake_qemu_main(argv);
	if (fake_device_called(argv))
		_exit(fake_device(argv)); /* without the leak check, which needs a process */
	scratch_make(&scratch);
	fake_qemu_install(&scratch);
	fake_device_install(scratch.directory);
	setenv("XDG_RUNTIME_DIR", scratch.directory, 1);
	scratch_write_zeros(&scratch, "disk", 4096);
	disk = strdup(scratch_path(&scratch, "disk"));
	block_options = (struct block_options){.file = disk,
					       .queues = 1,
					       .queue_size = 256,
					       .logical_block_size = 512};
	device = (struct device_config){.type = device_type_find("block"),
					.name = (char *)"block0",
					.options = &block_options,
					.origin = (char *)"--block: "};
	result = cmocka_run_group_tests(tests, NULL, NULL);
	free(disk);
	scratch_remove(&scratch);
	return result;
}
