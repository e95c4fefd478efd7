// SPDX-License-Identifier: BSD-3-Clause
/*
 * The directories of guests: names that are taken, what dead guests leave, and directories that
 * cannot be used.
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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "host/guest_directory.h"
#include "unit/scratch.h"

static struct scratch scratch;
static char base[100], guests[120];

static int set_up(void **state)
{
	scratch_make(&scratch);
	snprintf(base, sizeof(base), "%s/avp", scratch.directory);
	snprintf(guests, sizeof(guests), "%s/guests", base);
	setenv(GUEST_DIRECTORY_VARIABLE, base, 1);
	return 0;
}

static int tear_down(void **state)
{
	scratch_remove(&scratch);
	return 0;
}

static const char *path_of(const char *name)
{
	static char path[200];

	snprintf(path, sizeof(path), "%s/%s", guests, name);
	return path;
}

/* A process that has reserved a name, with a control socket. */
struct holder {
	pid_t pid;
	char name[80]; /* that it got */
	char error[ERROR_MESSAGE_SIZE];
	bool usage;
};

/* Gives the name back at SIGUSR1, which is blocked. */
static _Noreturn void hold(int reports, const char *wanted, bool unnamed)
{
	struct guest_directory directory;
	struct holder holder = {.pid = getpid()};
	char *name = strdup(wanted);
	struct error error;
	int fd = -1, number;
	sigset_t signals;

	if (guest_directory_take(&directory, &name, unnamed, &error) == 0)
		fd = guest_directory_listen(&directory, &error);
	if (fd < 0) {
		memcpy(holder.error, error.message, sizeof(holder.error));
		holder.usage = error.usage;
	}
	snprintf(holder.name, sizeof(holder.name), "%s", name);
	if (write(reports, &holder, sizeof(holder)) != sizeof(holder))
		_exit(1);
	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	sigwait(&signals, &number);
	guest_directory_give(&directory, name);
	_exit(0);
}

static void take(struct holder *holder, const char *name, bool unnamed)
{
	int reports[2];
	sigset_t signals;
	pid_t pid;

	assert_int_equal(pipe2(reports, O_CLOEXEC), 0);
	sigemptyset(&signals);
	sigaddset(&signals, SIGUSR1);
	sigprocmask(SIG_BLOCK, &signals, NULL);
	pid = fork();
	if (pid == 0)
		hold(reports[1], name, unnamed);
	close(reports[1]);
	assert_int_equal(read(reports[0], holder, sizeof(*holder)), sizeof(*holder));
	assert_int_equal(holder->pid, pid);
	close(reports[0]);
}

static void give(struct holder *holder)
{
	int status;

	kill(holder->pid, SIGUSR1);
	assert_int_equal(waitpid(holder->pid, &status, 0), holder->pid);
	assert_int_equal(status, 0);
}

static void kill_holder(struct holder *holder)
{
	kill(holder->pid, SIGKILL);
	assert_int_equal(waitpid(holder->pid, NULL, 0), holder->pid);
}

/* Whether a client gets to guest @name. */
static bool connects(const char *name, struct error *error)
{
	cleanup_fd int fd = guest_directory_connect(name, error);

	return fd >= 0;
}

static void test_names(void **state)
{
	struct holder first, second, third;
	struct error error;
	char wanted[200];

	take(&first, "car", false);
	assert_string_equal(first.error, "");
	take(&second, "car", false);
	snprintf(wanted, sizeof(wanted),
		 "--name: a guest named 'car' runs already, in process %d; give another name",
		 (int)first.pid);
	assert_string_equal(second.error, wanted);
	assert_true(second.usage);
	give(&second);
	take(&second, "car", true);
	assert_string_equal(second.name, "car1");
	take(&third, "car", true);
	assert_string_equal(third.name, "car2");
	assert_true(connects("car", &error));
	assert_true(connects("car2", &error));
	give(&first);
	give(&second);
	give(&third);
	/* Nothing is left. */
	assert_int_equal(rmdir(guests), 0);
	assert_false(connects("car", &error));
	assert_string_equal(error.message, "no guest named 'car' of this user runs here");
}

static void test_remains_of_dead_guests(void **state)
{
	struct holder first, second;
	struct error error;
	struct stat status;

	take(&first, "car", false);
	take(&second, "bus", false);
	kill_holder(&first);
	kill_holder(&second);
	assert_int_equal(stat(path_of("car/control"), &status), 0);
	assert_false(connects("car", &error));
	/* The next guest, of whatever name, removes them. */
	take(&second, "car", false);
	assert_string_equal(second.error, "");
	assert_true(connects("car", &error));
	assert_int_equal(stat(path_of("bus"), &status), -1);
	take(&first, "bus", false);
	assert_true(connects("bus", &error));
	assert_true(connects("car", &error));
	give(&first);
	give(&second);
	assert_int_equal(rmdir(guests), 0);
}

/* Takes the name and gives it back, in a row: whoever has it is the only one. */
static _Noreturn void compete(const char *mark)
{
	unsigned int taken = 0;

	for (unsigned int i = 0; i < 2000; i++) {
		struct guest_directory directory;
		char *name = strdup("car");
		struct error error;
		int fd;

		if (guest_directory_take(&directory, &name, false, &error) == 0) {
			fd = open(mark, O_CREAT | O_EXCL | O_CLOEXEC, 0600);
			if (fd < 0 || close(fd) < 0 || unlink(mark) < 0)
				_exit(1);
			fd = guest_directory_listen(&directory, &error);
			if (fd < 0)
				_exit(2);
			close(fd);
			guest_directory_give(&directory, name);
			taken++;
		} else if (!error.usage) {
			dprintf(STDERR_FILENO, "%s\n", error.message);
			_exit(3);
		}
		free(name);
	}
	_exit(taken ? 0 : 4);
}

static void test_competitors(void **state)
{
	const char *mark = scratch_path(&scratch, "mark");
	int status;

	for (int i = 0; i < 4; i++)
		if (fork() == 0)
			compete(mark);
	while (wait(&status) > 0)
		assert_int_equal(status, 0);
	assert_int_equal(rmdir(guests), 0);
}

/* Takes the same name again and again, and leaves it as if it was killed each time. */
static _Noreturn void start_and_die(const char *wanted)
{
	for (unsigned int i = 0; i < 5000; i++) {
		struct guest_directory directory;
		char *name = strdup(wanted);
		struct error error;

		if (guest_directory_take(&directory, &name, false, &error) < 0) {
			dprintf(STDERR_FILENO, "%s\n", error.message);
			_exit(1);
		}
		close(directory.own);
		close(directory.lock);
		close(directory.guests);
		free(name);
	}
	_exit(0);
}

/* Guests that start at the same time remove each other's remains; no name is refused for that. */
static void test_neighbours(void **state)
{
	static const char *const names[] = {"car", "bus", "van", "cab"};
	int status;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (fork() == 0)
			start_and_die(names[i]);
	while (wait(&status) > 0)
		assert_int_equal(status, 0);
}

static void test_bad_names(void **state)
{
	static const char *const names[] = {"", ".", "..", "../car", "car/..", "/", "a b", "-"};
	char longest[301];
	struct error error;

	memset(longest, 'a', 300);
	longest[300] = 0;
	assert_false(connects(longest, &error));
	assert_true(error.usage);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_false(connects(names[i], &error));
		assert_non_null(strstr(error.message, "is not a guest's name"));
		assert_true(error.usage);
	}
}

static void expect_refusal(const char *what)
{
	struct holder holder;
	char wanted[500];

	take(&holder, "car", false);
	snprintf(wanted, sizeof(wanted),
		 "AVP_RUNTIME_DIR: %s; choose a directory of this user in one that exists", what);
	assert_string_equal(holder.error, wanted);
	assert_true(holder.usage);
	give(&holder);
}

static void test_foreign_directories(void **state)
{
	char text[200];

	assert_int_equal(symlink("/tmp", base), 0);
	snprintf(text, sizeof(text), "%s: is not a directory; symbolic links are not followed",
		 base);
	expect_refusal(text);
	assert_int_equal(unlink(base), 0);

	assert_int_equal(mkdir(base, 0777), 0);
	assert_int_equal(chmod(base, 0777), 0);
	snprintf(text, sizeof(text), "%s: other users can write to it", base);
	expect_refusal(text);
	assert_int_equal(chmod(base, 0700), 0);

	assert_int_equal(symlink("/tmp", guests), 0);
	snprintf(text, sizeof(text), "%s: is not a directory; symbolic links are not followed",
		 guests);
	expect_refusal(text);
	assert_int_equal(unlink(guests), 0);

	if (geteuid() == 0) {
		assert_int_equal(chown(base, 65534, 65534), 0);
		snprintf(text, sizeof(text), "%s: belongs to another user", base);
		expect_refusal(text);
		assert_int_equal(chown(base, 0, 0), 0);
	}
	setenv(GUEST_DIRECTORY_VARIABLE, "/proc/none/avp", 1);
	expect_refusal("/proc/none/avp: No such file or directory");
}

static void test_directory_in_the_way(void **state)
{
	struct holder holder;
	char wanted[500];

	assert_int_equal(mkdir(base, 0700) | mkdir(guests, 0700), 0);
	assert_int_equal(symlink("/tmp", path_of("car")), 0);
	take(&holder, "car", false);
	snprintf(wanted, sizeof(wanted),
		 "--name: %s: is not a directory; symbolic links are not followed", path_of("car"));
	assert_string_equal(holder.error, wanted);
	give(&holder);
	assert_int_equal(unlink(path_of("car")), 0);
	/* What is no guest's is left alone. */
	assert_int_equal(mkdir(path_of("note"), 0700), 0);
	take(&holder, "car", false);
	assert_string_equal(holder.error, "");
	give(&holder);
	assert_int_equal(rmdir(path_of("note")), 0);
}

/* A file system that is full, and one that is read-only. */
static void test_full_and_read_only(void **state)
{
	struct holder holder;
	char wanted[500];

	assert_int_equal(mkdir(base, 0700), 0);
	if (geteuid() || mount("none", base, "tmpfs", 0, "nr_inodes=2,mode=0700") < 0)
		skip();
	take(&holder, "car", false);
	snprintf(wanted, sizeof(wanted), "--name: %s: No space left on device", path_of("car"));
	assert_string_equal(holder.error, wanted);
	assert_false(holder.usage);
	give(&holder);
	assert_int_equal(mount("none", base, "tmpfs", MS_REMOUNT | MS_RDONLY, ""), 0);
	snprintf(wanted, sizeof(wanted), "%s: Read-only file system", base);
	expect_refusal(wanted);
	assert_int_equal(umount(base), 0);
}

/* A user whose only directory is another user's: the guest runs all the same, with a warning. */
static _Noreturn void take_nothing(unsigned int user, int errors)
{
	struct guest_directory directory;
	char *name = strdup("car");
	struct error error;

	dup2(errors, STDERR_FILENO);
	if (setresuid(user, user, user) < 0 ||
	    guest_directory_take(&directory, &name, false, &error) != 0 ||
	    guest_directory_listen(&directory, &error) != -ENOENT)
		_exit(1);
	guest_directory_give(&directory, name);
	_exit(0);
}

static void test_no_directory(void **state)
{
	const unsigned int user = 65533;
	char path[40], text[400] = "", wanted[200];
	int ends[2], status;

	snprintf(path, sizeof(path), "/tmp/avp-%u", user);
	if (geteuid() || mkdir(path, 0755) < 0)
		skip();
	unsetenv(GUEST_DIRECTORY_VARIABLE);
	setenv("XDG_RUNTIME_DIR", "/proc/none", 1);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	if (fork() == 0)
		take_nothing(user, ends[1]);
	close(ends[1]);
	assert_true(read(ends[0], text, sizeof(text) - 1) > 0);
	close(ends[0]);
	assert_true(wait(&status) > 0);
	assert_int_equal(status, 0);
	snprintf(wanted, sizeof(wanted),
		 "there is no control socket, and another guest named 'car' is not detected: "
		 "%s: belongs to another user; set AVP_RUNTIME_DIR",
		 path);
	assert_non_null(strstr(text, wanted));
	assert_int_equal(rmdir(path), 0);
}

/* Another user who has made the directory of this one, with a socket, is not asked. */
static void test_impostor(void **state)
{
	const unsigned int user = 65533;
	struct holder impostor;
	struct error error;
	int status;

	if (geteuid())
		skip();
	snprintf(base, sizeof(base), "/tmp/avp-%u", user);
	setenv(GUEST_DIRECTORY_VARIABLE, base, 1);
	take(&impostor, "car", false);
	assert_string_equal(impostor.error, "");
	assert_int_equal(chmod(base, 0755) | chmod("/tmp/avp-65533/guests", 0755) |
				 chmod("/tmp/avp-65533/guests/car", 0755) |
				 chmod("/tmp/avp-65533/guests/car/control", 0777),
			 0);
	if (fork() == 0) {
		unsetenv(GUEST_DIRECTORY_VARIABLE);
		unsetenv("XDG_RUNTIME_DIR");
		_exit(setresuid(user, user, user) < 0 || connects("car", &error));
	}
	assert_true(wait(&status) > 0);
	give(&impostor);
	assert_int_equal(rmdir("/tmp/avp-65533/guests") | rmdir(base), 0);
	assert_int_equal(status, 0);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_names),
		TEST(test_remains_of_dead_guests),
		TEST(test_competitors),
		TEST(test_neighbours),
		TEST(test_bad_names),
		TEST(test_foreign_directories),
		TEST(test_directory_in_the_way),
		TEST(test_full_and_read_only),
		TEST(test_no_directory),
		TEST(test_impostor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
