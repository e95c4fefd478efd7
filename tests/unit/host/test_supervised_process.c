// SPDX-License-Identifier: BSD-3-Clause
/*
 * A supervised process that is not a device: settings in each of its lives, and one that is never
 * started again. The children are this program, called with a word that selects what to do.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "host/supervised_process.h"
#include "unit/capture.h"

#define LIMIT_MS 20000

/* The child's side. */

static int child_main(char **argv)
{
	int ready = atoi(argv[2]), control = atoi(argv[3]);
	char bytes[64];

	if (!strcmp(argv[1], "exit"))
		return 42;
	dprintf(STDERR_FILENO, "warning child: color %s, files %d\n", getenv("COLOR") ?: "none",
		(int)sysconf(_SC_OPEN_MAX));
	if (write(ready, "r", 1) != 1)
		return 1;
	if (!strcmp(argv[1], "writes"))
		while (read(control, bytes, sizeof(bytes)) > 0)
			;
	if (!strcmp(argv[1], "writes"))
		return dprintf(STDERR_FILENO, "warning child: was asked\n") > 0 ? 0 : 1;
	if (!strcmp(argv[1], "dies"))
		return 7;
	if (!strcmp(argv[1], "told")) {
		ssize_t length = read(control, bytes, sizeof(bytes));

		return length == 33 && !memcmp(bytes, "event name=log-level level=debug\n", 33) ?
			       3 :
			       4;
	}
	while (!strcmp(argv[1], "stubborn"))
		pause();
	/* Answers no heartbeat. */
	while (read(control, bytes, sizeof(bytes)) > 0)
		;
	return 0;
}

/* The tests' side. */

static struct event_loop loop;
static struct supervised_process process;
static struct error error, failure;
static const char *word;
static unsigned int refusals; /* of starts to come */
static unsigned int served, served_again, failed, ended;
static int end_status;
static char events[200];

static int prepare(void *context, struct supervised_launch *launch, struct error *why)
{
	if (served && refusals) {
		refusals--;
		return error_set(why, EMFILE, "no descriptors");
	}
	launch->spawn.program = "/proc/self/exe";
	arguments_add(&launch->arguments, "child");
	arguments_add(&launch->arguments, word);
	arguments_add_format(&launch->arguments, "%d", launch->ready_fd);
	arguments_add_format(&launch->arguments, "%d", launch->control_fd);
	return 0;
}

static void on_serves(void *context, bool again)
{
	if (again)
		served_again++;
	else
		served++;
}

static void on_happened(void *context, const struct log_field *fields)
{
	size_t length = strlen(events);

	snprintf(events + length, sizeof(events) - length, "%s ", fields->text);
}

static void on_ended(void *context, int status)
{
	ended++;
	end_status = status;
}

static void on_failed(void *context, const struct error *why)
{
	failed++;
	failure = *why;
}

static const struct supervised_ops ops = {
	.prepare = prepare,
	.happened = on_happened,
	.serves = on_serves,
	.ended = on_ended,
	.failed = on_failed,
};

static struct supervised_setup make_setup(const struct process_settings *settings)
{
	return (struct supervised_setup){
		.loop = &loop,
		.ops = &ops,
		.kind = "service",
		.name = "can-bus",
		.settings = settings,
		.reports = true,
		.restart_limit = 3,
	};
}

/* Starts the child that @what names. Returns as supervised_process_start. */
static int start(const char *what, const struct supervised_setup *setup)
{
	memset(&process, 0, sizeof(process));
	word = what;
	process.output.name = "can-bus";
	assert_int_equal(supervised_process_open(&process, setup, &error), 0);
	return supervised_process_start(&process, &error);
}

static void run_until(const unsigned int *count)
{
	for (int64_t limit = clock_now_ms() + LIMIT_MS; !*count && clock_now_ms() < limit;)
		assert_true(event_loop_turn(&loop, 100) >= 0);
	assert_true(*count > 0);
}

static int set_up(void **state)
{
	served = served_again = failed = ended = 0;
	events[0] = 0;
	refusals = 0;
	return event_loop_init(&loop, 0, &error);
}

static int tear_down(void **state)
{
	supervised_process_ask_to_end(&process);
	supervised_process_close(&process, LIMIT_MS);
	event_loop_close(&loop);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	return 0;
}

static void test_settings_in_each_life(void **state)
{
	static const char *const environment[] = {"COLOR=blue", NULL};
	static const struct process_limit limits[] = {{RLIMIT_NOFILE, {77, 77}}};
	/* No directory of a control group: refused everywhere. */
	const struct process_settings settings = {
		.set = PROCESS_LIMITS | PROCESS_CGROUP,
		.optional = PROCESS_CGROUP,
		.cgroup = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC),
		.limits = limits,
		.limit_count = 1,
		.environment = environment,
	};
	const struct supervised_setup setup = make_setup(&settings);
	static struct capture capture;
	const char *text, *found;

	capture_start(&capture, STDERR_FILENO);
	assert_int_equal(start("serves", &setup), 0);
	run_until(&served);
	supervised_process_kill(&process);
	run_until(&served_again);
	text = capture_all(&capture);
	capture_stop(&capture);
	for (int life = 0; life < 2; life++) {
		found = strstr(text, "this host refuses its control group: ");
		assert_non_null(found);
		found = strstr(found, "can-bus: color blue, files 77\n");
		assert_non_null(found);
		text = found;
	}
	assert_int_equal(process.restarts, 1);
	close(settings.cgroup);
}

/* What the program cannot do without fails the start. */
static void test_setting_that_is_refused(void **state)
{
	const struct process_settings settings = {
		.set = PROCESS_CGROUP,
		.cgroup = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC),
	};
	const struct supervised_setup setup = make_setup(&settings);

	assert_int_equal(start("serves", &setup), -ENOENT);
	assert_non_null(strstr(error.message, "this host refuses its control group"));
	close(settings.cgroup);
}

static void test_service_that_dies(void **state)
{
	const struct supervised_setup setup = make_setup(NULL);

	assert_int_equal(start("dies", &setup), 0);
	run_until(&failed);
	assert_int_equal(failed, 1);
	assert_string_equal(failure.message,
			    "can-bus: its service process died 3 times in a row, each within 30 s "
			    "of its start: exit status 7");
	assert_int_equal(process.restarts, 2);
	assert_int_equal(ended, 0);
}

static void test_heartbeats_without_answer(void **state)
{
	struct supervised_setup setup = make_setup(NULL);

	setup.heartbeat_ms = 20;
	assert_int_equal(start("lives", &setup), 0);
	run_until(&served_again);
	assert_string_equal(events, "service-hangs service-ended service-serves ");
}

static void test_log_level_is_told(void **state)
{
	struct supervised_setup setup = make_setup(NULL);

	setup.once = true;
	assert_int_equal(start("told", &setup), 0);
	run_until(&served);
	supervised_process_set_log_level(&process, LOG_DEBUG);
	run_until(&ended);
	assert_int_equal(WEXITSTATUS(end_status), 3);
	/* Nobody is there. */
	supervised_process_set_log_level(&process, LOG_INFO);
}

/* A host that cannot start it now may do so later; not for ever. */
static void test_restarts_that_are_refused(void **state)
{
	struct supervised_setup setup = make_setup(NULL);

	setup.restart_limit = 4;
	refusals = 1;
	assert_int_equal(start("lives", &setup), 0);
	run_until(&served);
	supervised_process_kill(&process);
	run_until(&served_again);
	assert_int_equal(failed, 0);
	refusals = 1;
	supervised_process_kill(&process);
	run_until(&failed);
	assert_string_equal(failure.message, "no descriptors");
}

/* As an engine: it reports nothing, and its end is its owner's. */
static void test_process_that_is_started_once(void **state)
{
	struct supervised_setup setup = make_setup(NULL);

	setup.reports = false;
	setup.once = true;
	assert_int_equal(start("exit", &setup), 0);
	assert_int_equal(process.state, SUPERVISED_SERVING);
	run_until(&ended);
	assert_int_equal(WEXITSTATUS(end_status), 42);
	assert_int_equal(supervised_process_pid(&process), 0);
	for (int turns = 0; turns < 3; turns++)
		event_loop_turn(&loop, 50);
	assert_int_equal(ended, 1);
	assert_int_equal(failed, 0);
	assert_int_equal(process.restarts, 0);
}

/* One that is retired goes on, and stays dead when it has died. */
static void test_retired_process(void **state)
{
	const struct supervised_setup setup = make_setup(NULL);

	assert_int_equal(start("serves", &setup), 0);
	run_until(&served);
	supervised_process_retire(&process);
	supervised_process_kill(&process);
	for (int turns = 0; turns < 6; turns++)
		event_loop_turn(&loop, 50);
	assert_int_equal(process.state, SUPERVISED_DEAD);
	assert_int_equal(served_again + failed, 0);
}

/* More often than it may die, and nobody counts it as a death. */
static void test_replaced_process(void **state)
{
	const struct supervised_setup setup = make_setup(NULL);
	static struct capture capture;
	const char *text;

	capture_start(&capture, STDERR_FILENO);
	assert_int_equal(start("writes", &setup), 0);
	/* Not before it serves. */
	supervised_process_replace(&process);
	assert_int_equal(process.state, SUPERVISED_STARTING);
	run_until(&served);
	for (unsigned int i = 1; i <= 5; i++) {
		pid_t before = supervised_process_pid(&process);

		served_again = 0;
		events[0] = 0;
		supervised_process_replace(&process);
		assert_int_equal(process.state, SUPERVISED_ENDING);
		supervised_process_replace(&process);
		run_until(&served_again);
		assert_true(supervised_process_pid(&process) != before);
		assert_int_equal(process.replacements, i);
		assert_string_equal(events, "service-replaced service-serves ");
	}
	text = capture_all(&capture);
	capture_stop(&capture);
	for (unsigned int i = 0; i < 5; i++) {
		text = strstr(text, "was asked");
		assert_non_null(text);
		text++;
	}
	assert_int_equal(process.restarts, 0);
	assert_int_equal(process.policy.in_a_row, 0);
	assert_int_equal(failed, 0);
	/* A death is one after it, too. */
	served_again = 0;
	supervised_process_kill(&process);
	run_until(&served_again);
	assert_int_equal(process.restarts, 1);
	assert_int_equal(process.replacements, 5);
}

static void test_stubborn_process_is_replaced(void **state)
{
	const struct supervised_setup setup = make_setup(NULL);

	assert_int_equal(start("stubborn", &setup), 0);
	run_until(&served);
	supervised_process_replace(&process);
	run_until(&served_again);
	assert_int_equal(process.replacements, 1);
	assert_int_equal(process.restarts, 0);
	/* One that is retired meanwhile stays dead. */
	supervised_process_replace(&process);
	supervised_process_retire(&process);
	for (int64_t limit = clock_now_ms() + LIMIT_MS;
	     process.state != SUPERVISED_DEAD && clock_now_ms() < limit;)
		event_loop_turn(&loop, 100);
	for (int turns = 0; turns < 3; turns++)
		event_loop_turn(&loop, 50);
	assert_int_equal(process.state, SUPERVISED_DEAD);
	assert_int_equal(process.replacements, 1);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_settings_in_each_life, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_setting_that_is_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_service_that_dies, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_heartbeats_without_answer, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_log_level_is_told, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_restarts_that_are_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_process_that_is_started_once, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_replaced_process, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_stubborn_process_is_replaced, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_retired_process, set_up, tear_down),
	};

	if (argc > 3)
		return child_main(argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
