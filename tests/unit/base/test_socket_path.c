// SPDX-License-Identifier: BSD-3-Clause
/*
 * Sockets with a path: what a killed process left behind is replaced, what another process has or
 * uses is not, and of several processes one gets the path.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/socket_path.h"
#include "unit/scratch.h"

#define PROCESSES 8
/* How often each of several processes binds and releases the same path. */
#define ROUNDS 300

static struct scratch scratch;

/* Called once, when a file has been opened and is about to be locked. */
static void (*before_flock)(void);

/* Replaces the C library's function. */
int flock(int fd, int operation)
{
	void (*happens)(void) = before_flock;

	before_flock = NULL;
	if (happens)
		happens();
	return (int)syscall(SYS_flock, fd, operation);
}

static int set_up(void **state)
{
	scratch_make(&scratch);
	return 0;
}

/* Where processes report, and what they wait for before they exit; -1: not open. */
static int report[2] = {-1, -1}, release_gate[2] = {-1, -1};

static void close_gates(void)
{
	for (int i = 0; i < 2; i++) {
		close_fd(&report[i]);
		close_fd(&release_gate[i]);
	}
}

static int tear_down(void **state)
{
	before_flock = NULL;
	/* Also what a failed test has left running. */
	close_gates();
	while (wait(NULL) > 0)
		;
	scratch_remove(&scratch);
	return 0;
}

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	return address;
}

/* A socket at @path that nobody listens on, and no lock beside it. */
static void leave_socket(const char *path)
{
	struct sockaddr_un address = address_of(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
}

/* Returns 0 or an errno. */
static int try_connect(const char *path)
{
	struct sockaddr_un address = address_of(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int result = connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? errno : 0;

	close(fd);
	return result;
}

static bool exists(const char *path)
{
	struct stat status;

	return lstat(path, &status) == 0;
}

static void expect_refused(const char *path, const char *text)
{
	struct socket_path made;
	struct error error = {0};

	assert_true(socket_path_listen(&made, path, 1, "option", &error) < 0);
	assert_null(made.path);
	assert_true(error.usage);
	if (!strstr(error.message, text))
		fail_msg("'%s' is not in '%s'", text, error.message);
}

static void expect_made(const char *path)
{
	struct socket_path made;
	struct error error = {0};
	struct stat status;
	int fd = socket_path_listen(&made, path, 1, "option", &error);

	if (fd < 0)
		fail_msg("%s", error.message);
	assert_int_equal(try_connect(path), 0);
	assert_int_equal(stat(scratch_path(&scratch, "s.lock"), &status), 0);
	assert_int_equal(status.st_mode & 07777, 0600);
	socket_path_remove(&made);
	close(fd);
	assert_false(exists(path));
	assert_false(exists(scratch_path(&scratch, "s.lock")));
}

static void test_stale_socket_is_replaced(void **state)
{
	char *path = strdup(scratch_path(&scratch, "s"));

	expect_made(path);
	leave_socket(path);
	expect_made(path);
	/* With its lock file, which a dead process no longer locks. */
	leave_socket(path);
	scratch_write(&scratch, "s.lock", "", 0);
	chmod(scratch_path(&scratch, "s.lock"), 0600);
	expect_made(path);
	free(path);
}

/* What a killed process leaves behind that did all this itself. */
static void test_killed_listener(void **state)
{
	char *path = strdup(scratch_path(&scratch, "s"));
	char byte;
	pid_t pid;

	assert_int_equal(pipe2(report, O_CLOEXEC), 0);
	assert_int_equal(pipe2(release_gate, O_CLOEXEC), 0);
	pid = fork();
	if (pid == 0) {
		struct socket_path made;

		close(release_gate[1]);
		if (socket_path_listen(&made, path, 1, "option", NULL) >= 0 &&
		    write(report[1], "", 1) == 1 && read(release_gate[0], &byte, 1) < 0)
			_exit(2);
		_exit(1);
	}
	close_fd(&report[1]);
	assert_int_equal(read(report[0], &byte, 1), 1);
	expect_refused(path, "another process listens");
	/* Even if another process removes its lock file. */
	assert_int_equal(unlink(scratch_path(&scratch, "s.lock")), 0);
	expect_refused(path, "another process listens");
	assert_int_equal(try_connect(path), 0);
	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	assert_int_equal(try_connect(path), ECONNREFUSED);
	expect_made(path);
	free(path);
}

static void test_what_is_not_ours(void **state)
{
	char *path = strdup(scratch_path(&scratch, "s"));
	char *other = strdup(scratch_path(&scratch, "other"));

	scratch_write(&scratch, "s", "mine", 4);
	expect_refused(path, "is not a socket");
	assert_true(exists(path));
	unlink(path);
	/* A link, even to a socket that could be replaced. */
	leave_socket(other);
	assert_int_equal(symlink(other, path), 0);
	expect_refused(path, "is not a socket");
	assert_true(exists(path) && exists(other));
	unlink(path);
	unlink(other);
	/* A directory in which other users could replace it meanwhile. */
	leave_socket(path);
	chmod(scratch.directory, 0777);
	expect_refused(path, "remove it: rm");
	assert_true(exists(path));
	chmod(scratch.directory, 01777);
	expect_made(path);
	chmod(scratch.directory, 0700);
	/* Another user's. */
	if (geteuid() == 0) {
		leave_socket(path);
		assert_int_equal(lchown(path, 65534, 65534), 0);
		expect_refused(path, "remove it: rm");
		assert_true(exists(path));
		unlink(path);
	}
	free(path);
	free(other);
}

static void test_what_is_in_the_way_of_a_lock(void **state)
{
	char *path = strdup(scratch_path(&scratch, "s"));
	char *lock = strdup(scratch_path(&scratch, "s.lock"));
	int fd;

	assert_int_equal(symlink(scratch_path(&scratch, "target"), lock), 0);
	expect_refused(path, "in the way of a lock file");
	assert_false(exists(scratch_path(&scratch, "target")));
	unlink(lock);
	assert_int_equal(mkfifo(lock, 0600), 0);
	expect_refused(path, "in the way of a lock file");
	unlink(lock);
	assert_int_equal(mkdir(lock, 0700), 0);
	expect_refused(path, "in the way of a lock file");
	rmdir(lock);
	if (geteuid() == 0) {
		scratch_write(&scratch, "s.lock", "", 0);
		assert_int_equal(chown(lock, 65534, 65534), 0);
		expect_refused(path, "in the way of a lock file");
		unlink(lock);
	}
	/* Another process is about to listen, and has got no further than this. */
	leave_socket(path);
	fd = open(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	expect_refused(path, "another process listens");
	assert_true(exists(path));
	close(fd);
	expect_made(path);
	free(path);
	free(lock);
}

/* A file that replaced our socket stays. */
static void test_removal_takes_only_its_own(void **state)
{
	char *path = strdup(scratch_path(&scratch, "s"));
	char *lock = strdup(scratch_path(&scratch, "s.lock"));
	struct socket_path made;
	int fd = socket_path_listen(&made, path, 1, "option", NULL);

	assert_true(fd >= 0);
	unlink(path);
	unlink(lock);
	scratch_write(&scratch, "s", "x", 1);
	scratch_write(&scratch, "s.lock", "x", 1);
	socket_path_remove(&made);
	close(fd);
	assert_true(exists(path) && exists(lock));
	unlink(path);
	unlink(lock);
	free(path);
	free(lock);
}

static int other_lock;

/* The holder of the lock exits, and another process gets it and is about to listen. */
static void change_holder(void)
{
	const char *lock = scratch_path(&scratch, "s.lock");

	assert_int_equal(unlink(lock), 0);
	other_lock = open(lock, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	assert_int_equal(flock(other_lock, LOCK_EX), 0);
	leave_socket(scratch_path(&scratch, "s"));
}

/* A lock file without a name locks nothing. */
static void test_lock_that_is_removed_meanwhile(void **state)
{
	char *path = strdup(scratch_path(&scratch, "s"));

	before_flock = change_holder;
	expect_refused(path, "another process listens");
	assert_true(exists(path));
	close(other_lock);
	expect_made(path);
	free(path);
}

/* Starts a child that runs @run once the other end of @gate is closed. */
static pid_t start(const int gate[2], int (*run)(const char *path), const char *path)
{
	pid_t pid = fork();
	char byte;

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	close(gate[1]);
	if (read(gate[0], &byte, 1) != 0)
		_exit(100);
	_exit(run(path));
}

/* Reports 1: it listens; 0: another process was faster. Waits until all have reported. */
static int listen_once(const char *path)
{
	struct socket_path made;
	struct error error = {0};
	char result = 1;

	close(release_gate[1]);
	if (socket_path_listen(&made, path, 1, "option", &error) < 0)
		result = strstr(error.message, "another process listens") ? 0 : 2;
	if (write(report[1], &result, 1) != 1 || read(release_gate[0], &result, 1) != 0)
		return 1;
	return 0;
}

/* Does a connection to @path reach this process? */
static bool reached(int listener, const char *path)
{
	int client, result = try_connect(path);

	if (result != 0)
		return false;
	client = accept(listener, NULL, NULL);
	close(client);
	return client >= 0;
}

static int listen_again_and_again(const char *path)
{
	int wins = 0;

	for (int i = 0; i < ROUNDS; i++) {
		struct socket_path made;
		struct error error = {0};
		int fd = socket_path_listen(&made, path, 1, "option", &error);

		if (fd < 0 && !strstr(error.message, "another process listens"))
			return 2;
		if (fd < 0)
			continue;
		wins++;
		if (!reached(fd, path))
			return 3;
		/* Every other time as if it had been killed: the lock goes with the descriptor. */
		if (i % 2) {
			close(fd);
			close(made.lock_fd);
			free(made.path);
		} else {
			socket_path_remove(&made);
			close(fd);
		}
	}
	return wins > 0;
}

static void test_several_at_the_same_time(void **state)
{
	char *path = strdup(scratch_path(&scratch, "s"));

	for (int round = 0; round < 20; round++) {
		int gate[2], status, winners = 0;
		char result;

		leave_socket(path);
		assert_int_equal(pipe2(gate, O_CLOEXEC), 0);
		assert_int_equal(pipe2(report, O_CLOEXEC), 0);
		assert_int_equal(pipe2(release_gate, O_CLOEXEC), 0);
		for (int i = 0; i < PROCESSES; i++)
			start(gate, listen_once, path);
		close(gate[0]);
		close(gate[1]);
		close_fd(&report[1]);
		for (int i = 0; i < PROCESSES; i++) {
			assert_int_equal(read(report[0], &result, 1), 1);
			assert_true(result < 2);
			winners += result;
		}
		assert_int_equal(winners, 1);
		assert_int_equal(try_connect(path), 0);
		close_fd(&release_gate[1]);
		for (int i = 0; i < PROCESSES; i++) {
			assert_true(wait(&status) > 0);
			assert_int_equal(status, 0);
		}
		close_gates();
		unlink(path);
	}
	free(path);
}

/* Once a process listens, clients reach it at the path until it releases the path. */
static void test_taking_turns(void **state)
{
	char *path = strdup(scratch_path(&scratch, "s"));
	int gate[2], status;

	assert_int_equal(pipe2(gate, O_CLOEXEC), 0);
	for (int i = 0; i < PROCESSES; i++)
		start(gate, listen_again_and_again, path);
	close(gate[0]);
	close(gate[1]);
	for (int i = 0; i < PROCESSES; i++) {
		assert_true(wait(&status) > 0);
		assert_true(WIFEXITED(status));
		if (WEXITSTATUS(status) > 1)
			fail_msg("a process ended with %d", WEXITSTATUS(status));
	}
	unlink(path);
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_stale_socket_is_replaced, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_killed_listener, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_is_not_ours, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_what_is_in_the_way_of_a_lock, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_removal_takes_only_its_own, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_lock_that_is_removed_meanwhile, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_several_at_the_same_time, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_taking_turns, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
