// SPDX-License-Identifier: BSD-3-Clause
/*
 * Child processes: they inherit only what they should, failures to execute are reported, and they
 * die with their parent. The children are this program, called with a word that selects what to do.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/process_output.h"

#define SELF	"/proc/self/exe"
#define WAIT_MS 20000

/* The children's side. */

static int list_descriptors(void)
{
	for (int fd = 0; fd < 256; fd++) {
		if (fcntl(fd, F_GETFD) >= 0)
			printf("%d ", fd);
	}
	return 0;
}

static int list_signals(void)
{
	struct sigaction action;
	sigset_t mask;

	sigprocmask(SIG_SETMASK, NULL, &mask);
	for (int i = 1; i < NSIG; i++) {
		if (sigismember(&mask, i) > 0)
			printf("blocked %d ", i);
		/* Sanitizers handle these three. */
		if (i == SIGSEGV || i == SIGBUS || i == SIGFPE)
			continue;
		if (sigaction(i, NULL, &action) == 0 && action.sa_handler != SIG_DFL)
			printf("handled %d ", i);
	}
	return 0;
}

static int child_main(int argc, char **argv)
{
	if (!strcmp(argv[1], "exit"))
		return atoi(argv[2]);
	if (!strcmp(argv[1], "abort"))
		raise(SIGTERM);
	if (!strcmp(argv[1], "descriptors"))
		return list_descriptors();
	if (!strcmp(argv[1], "signals"))
		return list_signals();
	if (!strcmp(argv[1], "cat"))
		for (int c = getchar(); c != EOF; c = getchar())
			putchar(c);
	if (!strcmp(argv[1], "complain"))
		fprintf(stderr, "complaint");
	if (!strcmp(argv[1], "stubborn")) {
		signal(SIGTERM, SIG_IGN);
		if (write(STDOUT_FILENO, "x", 1) != 1)
			return 1;
	}
	while (!strcmp(argv[1], "stubborn") || !strcmp(argv[1], "pause"))
		pause();
	return 0;
}

/* The tests' side. */

static struct process_spawn spawn_self(const char *const *argv)
{
	return (struct process_spawn){
		.program = SELF,
		.argv = argv,
		.stdin_fd = -1,
		.stdout_fd = -1,
		.stderr_fd = -1,
	};
}

static int wait_status(struct process *process)
{
	int status;

	assert_true(process_wait(process, WAIT_MS, &status));
	assert_int_equal(process->pid, 0);
	assert_int_equal(process->pidfd, -1);
	return status;
}

/* Runs a child to its end and returns its standard output. */
static int run_and_read(struct process_spawn *spawn, char *text, size_t size)
{
	struct error error;
	int status;

	assert_int_equal(process_output_read(text, size, spawn, false, WAIT_MS, &status, &error),
			 0);
	return status;
}

static void test_exit_status(void **state)
{
	const char *argv[] = {"child", "exit", "42", NULL};
	struct process_spawn spawn = spawn_self(argv);
	char text[PROCESS_STATUS_LENGTH];
	struct process process;
	struct error error;
	struct pollfd ended;
	int status;

	assert_int_equal(process_spawn(&process, &spawn, &error), 0);
	ended = (struct pollfd){.fd = process.pidfd, .events = POLLIN};
	assert_int_equal(poll(&ended, 1, WAIT_MS), 1);
	assert_true(process_reap(&process, &status));
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 42);
	assert_string_equal(process_describe(text, status), "exit status 42");
	assert_false(process_reap(&process, &status));
	/*
	 * A process that has ended is never signalled: its pid may belong to another process by
	 * now.
	 */
	process_signal(&process, SIGKILL);
	process_end(&process, 10);
}

static void test_death_by_signal(void **state)
{
	const char *argv[] = {"child", "abort", NULL};
	struct process_spawn spawn = spawn_self(argv);
	char text[PROCESS_STATUS_LENGTH];
	struct process process;
	struct error error;

	assert_int_equal(process_spawn(&process, &spawn, &error), 0);
	assert_string_equal(process_describe(text, wait_status(&process)),
			    "signal 15 (Terminated)");
}

static void expect_no_children(void)
{
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void test_exec_failure_is_reported(void **state)
{
	const char *argv[] = {"child", NULL};
	struct process_spawn spawn = spawn_self(argv);
	char path[] = "/tmp/test-process-XXXXXX";
	struct process process;
	struct error error;
	int fd;

	spawn.program = "/nonexistent/program";
	assert_int_equal(process_spawn(&process, &spawn, &error), -ENOENT);
	assert_non_null(strstr(error.message, "/nonexistent/program"));
	assert_int_equal(process.pid, 0);
	assert_int_equal(process.pidfd, -1);

	fd = mkstemp(path);
	spawn.program = path;
	assert_int_equal(process_spawn(&process, &spawn, &error), -EACCES);
	close(fd);
	unlink(path);

	spawn.program = "no-such-program-anywhere";
	assert_int_equal(process_spawn(&process, &spawn, &error), -ENOENT);
	expect_no_children();
}

static void check_descriptors(void)
{
	const char *argv[] = {"child", "descriptors", NULL};
	struct process_spawn spawn = spawn_self(argv);
	int fds[6], kept[2];
	char text[256], want[64];

	/* Some with CLOEXEC, some without: it does not matter. */
	for (int i = 0; i < 6; i++)
		fds[i] = fcntl(STDERR_FILENO, i % 2 ? F_DUPFD_CLOEXEC : F_DUPFD, 20 + 7 * i);
	kept[0] = fds[2];
	kept[1] = fds[5];
	spawn.kept_fds = kept;
	spawn.kept_fd_count = 2;
	assert_int_equal(run_and_read(&spawn, text, sizeof(text)), 0);
	snprintf(want, sizeof(want), "0 1 2 %d %d ", kept[0], kept[1]);
	assert_string_equal(text, want);
	/* Nothing has changed in the parent. */
	assert_int_equal(fcntl(fds[0], F_GETFD), 0);
	assert_int_equal(fcntl(fds[5], F_GETFD), FD_CLOEXEC);
	for (int i = 0; i < 6; i++)
		close(fds[i]);
}

static void test_only_kept_descriptors(void **state)
{
	check_descriptors();
}

/* In a child, because the filter stays. */
static void test_without_close_range(void **state)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
		int failed =
			seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(close_range), 0);

		if (failed || seccomp_load(filter) < 0)
			_exit(77);
		seccomp_release(filter);
		if (close_range(1000, 1001, 0) == 0 || errno != ENOSYS)
			_exit(78);
		check_descriptors();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void ignore_signal(int number)
{
}

static void test_signals_are_reset(void **state)
{
	const char *argv[] = {"child", "signals", NULL};
	struct process_spawn spawn = spawn_self(argv);
	struct sigaction action = {.sa_handler = ignore_signal};
	sigset_t mask, now;
	char text[256];

	signal(SIGPIPE, SIG_IGN);
	sigaction(SIGUSR1, &action, NULL);
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR2);
	sigaddset(&mask, SIGCHLD);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	assert_int_equal(run_and_read(&spawn, text, sizeof(text)), 0);
	assert_string_equal(text, "");
	sigprocmask(SIG_SETMASK, NULL, &now);
	assert_int_equal(sigismember(&now, SIGUSR2), 1);
	assert_int_equal(sigismember(&now, SIGTERM), 0);
	sigprocmask(SIG_UNBLOCK, &mask, NULL);
	signal(SIGPIPE, SIG_DFL);
}

static void test_standard_streams(void **state)
{
	const char *cat[] = {"child", "cat", NULL}, *complain[] = {"child", "complain", NULL};
	struct process_spawn spawn = spawn_self(cat);
	struct process process;
	struct error error;
	char text[64] = "";
	int ends[2];

	/* Without a descriptor, standard input is empty. */
	assert_int_equal(run_and_read(&spawn, text, sizeof(text)), 0);
	assert_string_equal(text, "");

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(write(ends[1], "hello", 5), 5);
	close(ends[1]);
	spawn.stdin_fd = ends[0];
	assert_int_equal(run_and_read(&spawn, text, sizeof(text)), 0);
	assert_string_equal(text, "hello");
	close(ends[0]);

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	spawn = spawn_self(complain);
	spawn.stderr_fd = ends[1];
	assert_int_equal(process_spawn(&process, &spawn, &error), 0);
	close(ends[1]);
	assert_int_equal(wait_status(&process), 0);
	assert_int_equal(read(ends[0], text, sizeof(text)), strlen("complaint"));
	close(ends[0]);
}

static void test_own_group(void **state)
{
	const char *argv[] = {"child", "pause", NULL};
	struct process_spawn spawn = spawn_self(argv);
	struct process process;
	struct error error;

	assert_int_equal(process_spawn(&process, &spawn, &error), 0);
	assert_int_equal(getpgid(process.pid), getpgrp());
	process_end(&process, 0);
	spawn.own_group = true;
	assert_int_equal(process_spawn(&process, &spawn, &error), 0);
	assert_int_equal(getpgid(process.pid), process.pid);
	process_signal(&process, SIGTERM);
	process_end(&process, WAIT_MS);
	expect_no_children();
}

/* Ignored and blocked: the parent's own signal settings must not matter. */
static void test_shielded_child(void **state)
{
	static const int shield[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM};
	const char *argv[] = {"child", "signals", NULL};
	struct process_spawn spawn = spawn_self(argv);
	char text[256], expected[256] = "";

	spawn.shielded = true;
	assert_int_equal(run_and_read(&spawn, text, sizeof(text)), 0);
	for (size_t i = 0; i < sizeof(shield) / sizeof(shield[0]); i++)
		snprintf(expected + strlen(expected), sizeof(expected) - strlen(expected),
			 "blocked %d handled %d ", shield[i], shield[i]);
	assert_string_equal(text, expected);
}

/* What does not end in time, or prints too much, is killed, and what came is there. */
static void test_output_has_a_limit(void **state)
{
	const char *argv[] = {"child", "stubborn", NULL}, *endless[] = {"yes", NULL},
		   *exact[] = {"printf", "%s", "1234567", NULL};
	struct process_spawn spawn = spawn_self(argv);
	struct error error;
	char text[8];
	int status;

	assert_int_equal(process_output_read(text, sizeof(text), &spawn, false, 300, &status,
					     &error),
			 -ETIMEDOUT);
	expect_no_children();
	spawn.argv = endless;
	spawn.program = "yes";
	assert_int_equal(process_output_read(text, sizeof(text), &spawn, false, WAIT_MS, &status,
					     &error),
			 -EOVERFLOW);
	assert_string_equal(text, "y\ny\ny\ny");
	assert_string_equal(error.message, "yes prints more than 7 bytes");
	expect_no_children();
	spawn.argv = exact;
	spawn.program = "printf";
	assert_int_equal(run_and_read(&spawn, text, sizeof(text)), 0);
	assert_string_equal(text, "1234567");
}

static void test_ignored_sigchld(void **state)
{
	const char *argv[] = {"child", "exit", "7", NULL};
	struct process_spawn spawn = spawn_self(argv);
	struct sigaction action = {.sa_handler = SIG_IGN};
	struct process process;
	struct error error;

	/* As a parent may leave it; SA_NOCLDWAIT also discards exit statuses. */
	for (int i = 0; i < 2; i++) {
		sigaction(SIGCHLD, &action, NULL);
		assert_int_equal(process_spawn(&process, &spawn, &error), 0);
		assert_int_equal(WEXITSTATUS(wait_status(&process)), 7);
		action = (struct sigaction){.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT};
	}
	expect_no_children();
}

/* An unknown exit status must not count as success. */
static void test_status_that_cannot_be_had(void **state)
{
	const char *argv[] = {"child", "exit", "0", NULL};
	struct process_spawn spawn = spawn_self(argv);
	char text[PROCESS_STATUS_LENGTH];
	struct process process;
	struct error error;
	int status;

	assert_int_equal(process_spawn(&process, &spawn, &error), 0);
	assert_int_equal(waitpid(process.pid, &status, 0), process.pid);
	assert_true(process_reap(&process, &status));
	assert_false(WIFEXITED(status) || WIFSIGNALED(status));
	assert_int_not_equal(status, 0);
	assert_string_equal(process_describe(text, status), "an unknown exit status");
}

static void test_end_of_a_stubborn_child(void **state)
{
	const char *argv[] = {"child", "stubborn", NULL};
	struct process_spawn spawn = spawn_self(argv);
	struct process process;
	struct error error;
	int ends[2], status;
	char ready;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	spawn.stdout_fd = ends[1];
	assert_int_equal(process_spawn(&process, &spawn, &error), 0);
	assert_int_equal(read(ends[0], &ready, 1), 1);
	assert_false(process_reap(&process, &status));
	process_signal(&process, SIGTERM);
	assert_false(process_wait(&process, 50, &status));
	process_end(&process, 50);
	assert_int_equal(process.pid, 0);
	expect_no_children();
	close(ends[0]);
	close(ends[1]);
}

/* Waits until every copy of the writing end has been closed. */
static void expect_end_of_file(int fd)
{
	struct pollfd readable = {.fd = fd, .events = POLLIN};
	char byte;

	assert_int_equal(poll(&readable, 1, WAIT_MS), 1);
	assert_int_equal(read(fd, &byte, 1), 0);
}

static void test_child_dies_with_its_parent(void **state)
{
	const char *argv[] = {"child", "stubborn", NULL};
	int ends[2], status;
	pid_t middle;
	char ready;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	middle = fork();
	if (middle == 0) {
		struct process_spawn spawn = spawn_self(argv);
		struct process process;

		spawn.stdout_fd = ends[1];
		if (process_spawn(&process, &spawn, NULL) < 0)
			_exit(1);
		for (;;)
			pause();
	}
	close(ends[1]);
	assert_int_equal(read(ends[0], &ready, 1), 1);
	kill(middle, SIGKILL);
	assert_int_equal(waitpid(middle, &status, 0), middle);
	assert_true(WIFSIGNALED(status));
	expect_end_of_file(ends[0]);
	close(ends[0]);
}

static void test_child_whose_parent_is_gone_already(void **state)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		process_die_with_parent(getppid() + 1);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 127);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exit_status),
		cmocka_unit_test(test_death_by_signal),
		cmocka_unit_test(test_exec_failure_is_reported),
		cmocka_unit_test(test_only_kept_descriptors),
		cmocka_unit_test(test_without_close_range),
		cmocka_unit_test(test_signals_are_reset),
		cmocka_unit_test(test_standard_streams),
		cmocka_unit_test(test_own_group),
		cmocka_unit_test(test_shielded_child),
		cmocka_unit_test(test_output_has_a_limit),
		cmocka_unit_test(test_ignored_sigchld),
		cmocka_unit_test(test_status_that_cannot_be_had),
		cmocka_unit_test(test_end_of_a_stubborn_child),
		cmocka_unit_test(test_child_dies_with_its_parent),
		cmocka_unit_test(test_child_whose_parent_is_gone_already),
	};

	if (argc > 1)
		return child_main(argc, argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
