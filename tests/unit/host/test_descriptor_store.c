// SPDX-License-Identifier: BSD-3-Clause
/*
 * The descriptor store: what is kept, who gets it, and what hostile clients can do. The holder is
 * this program, called as `avp hold-descriptors`.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "host/descriptor_store.h"
#include "unit/scratch.h"

#define WAIT_MS	 20000
#define NOBODY	 65534
#define ALONE_MS "TEST_ALONE_MS"

static struct scratch scratch;
static struct descriptor_store *store;
static struct error error;

/* What the next holder does instead of its work. */
#define SILENT "TEST_SILENT_HOLDER" /* any value: wait to be killed */

static int run_holder(char **argv)
{
	const char *path = strchr(argv[2], '=') + 1, *alone = getenv(ALONE_MS);

	while (getenv(SILENT))
		pause();
	if (descriptor_store_hold(path, alone ? atoi(alone) : DESCRIPTOR_STORE_ALONE_MS, &error) ==
	    0)
		return 0;
	fprintf(stderr, "error hold-descriptors: %s\n", error.message);
	return 1;
}

static const char *socket_path(void)
{
	return scratch_path(&scratch, "store");
}

static int make_file(const char *content)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_int_equal(write(fd, content, strlen(content)), strlen(content));
	return fd;
}

static void expect_content(const char *name, const char *content)
{
	char text[64] = "";
	int fd = descriptor_store_get(store, name, &error);

	if (fd < 0)
		fail_msg("%s", error.message);
	assert_true(pread(fd, text, sizeof(text) - 1, 0) >= 0);
	assert_string_equal(text, content);
	close(fd);
}

static void put_file(const char *name, const char *content)
{
	int fd = make_file(content);

	if (descriptor_store_put(store, name, fd, &error) < 0)
		fail_msg("%s", error.message);
	close(fd);
}

static void open_store(void)
{
	if (descriptor_store_open(&store, socket_path(), &error) < 0)
		fail_msg("%s", error.message);
}

static bool is_held(void)
{
	struct stat status;

	return lstat(socket_path(), &status) == 0;
}

/* Waits until the holder has ended and removed its socket. */
static void expect_end(void)
{
	for (int64_t limit = clock_now_ms() + WAIT_MS; is_held() && clock_now_ms() < limit;)
		poll(NULL, 0, 10);
	assert_false(is_held());
	while (waitpid(-1, NULL, 0) > 0)
		;
}

static int set_up(void **state)
{
	unsetenv(ALONE_MS);
	scratch_make(&scratch);
	open_store();
	return 0;
}

static int tear_down(void **state)
{
	descriptor_store_end(store);
	store = NULL;
	expect_end();
	scratch_remove(&scratch);
	return 0;
}

static void test_put_get_remove(void **state)
{
	put_file("one", "first");
	put_file("two", "second");
	expect_content("one", "first");
	/* It is kept on. */
	expect_content("one", "first");
	put_file("one", "another");
	expect_content("one", "another");
	assert_int_equal(descriptor_store_remove(store, "one", &error), 0);
	assert_int_equal(descriptor_store_get(store, "one", &error), -ENOENT);
	assert_string_equal(error.message, "descriptor store: there is no descriptor one");
	assert_int_equal(descriptor_store_remove(store, "one", &error), -ENOENT);
	expect_content("two", "second");
}

static void test_names_and_bounds(void **state)
{
	/* No path: the name is only compared. */
	static const char *const odd[] = {"../store", "a/b", "a b", "\"", ".hidden"};
	char name[DESCRIPTOR_STORE_NAME_LENGTH + 2];
	int fd = make_file("x");

	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		assert_int_equal(descriptor_store_put(store, odd[i], fd, &error), 0);
		expect_content(odd[i], "x");
		assert_int_equal(descriptor_store_remove(store, odd[i], &error), 0);
	}
	assert_true(descriptor_store_put(store, "", fd, &error) < 0);
	assert_true(descriptor_store_get(store, "", &error) < 0);
	memset(name, 'n', sizeof(name));
	name[DESCRIPTOR_STORE_NAME_LENGTH + 1] = 0;
	assert_true(descriptor_store_put(store, name, fd, &error) < 0);
	name[DESCRIPTOR_STORE_NAME_LENGTH] = 0;
	assert_int_equal(descriptor_store_put(store, name, fd, &error), 0);
	expect_content(name, "x");
	/* Without a descriptor. */
	assert_int_equal(descriptor_store_put(store, "none", -1, &error), -EBADF);
	for (int i = 1; i < DESCRIPTOR_STORE_MAXIMUM; i++) {
		snprintf(name, sizeof(name), "file%d", i);
		assert_int_equal(descriptor_store_put(store, name, fd, &error), 0);
	}
	assert_int_equal(descriptor_store_put(store, "more", fd, &error), -ENOSPC);
	/* What is there can still be replaced. */
	assert_int_equal(descriptor_store_put(store, "file1", fd, &error), 0);
	assert_int_equal(descriptor_store_remove(store, "file2", &error), 0);
	assert_int_equal(descriptor_store_put(store, "more", fd, &error), 0);
	close(fd);
}

/* Connects to the Unix socket at @path. */
static int connect_to(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

/* What a supervisor does: it keeps a listening socket, and is killed. */
static void be_killed_supervisor(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	snprintf(address.sun_path, sizeof(address.sun_path), "%s",
		 scratch_path(&scratch, "device"));
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 4) < 0 ||
	    descriptor_store_open(&store, socket_path(), &error) < 0 ||
	    descriptor_store_put(store, "device", fd, &error) < 0)
		_exit(1);
	kill(getpid(), SIGKILL);
}

/* The holder was started by the supervisor that was killed, and outlives it. */
static void test_killed_supervisor(void **state)
{
	int listener, accepted, client, status;
	char text[8] = "";
	pid_t pid;

	descriptor_store_end(store);
	pid = fork();
	if (pid == 0)
		be_killed_supervisor();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	/* A client does not notice. */
	client = connect_to(scratch_path(&scratch, "device"));
	assert_int_equal(write(client, "hello", 5), 5);
	open_store();
	listener = descriptor_store_get(store, "device", &error);
	assert_true(listener >= 0);
	accepted = accept(listener, NULL, NULL);
	assert_int_equal(read(accepted, text, sizeof(text)), 5);
	assert_string_equal(text, "hello");
	close(accepted);
	close(client);
	close(listener);
}

static void test_hostile_clients(void **state)
{
	static const char *const lines[] = {
		"\n",
		"put\n",
		"get name=one name=two\n",
		"\x01\x02\x03\n",
		"get name=\"\\ud800\"\n",
		"unknown\n",
		"remove name=*\n",
	};
	int silent = connect_to(socket_path()), half = connect_to(socket_path()), flooder, fd;
	char flood[4096];

	put_file("one", "first");
	assert_int_equal(write(half, "put name=", 9), 9);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		fd = connect_to(socket_path());
		assert_int_equal(write(fd, lines[i], strlen(lines[i])), strlen(lines[i]));
		expect_content("one", "first");
		close(fd);
	}
	/* One that sends and never reads. */
	flooder = connect_to(socket_path());
	memset(flood, '\n', sizeof(flood));
	for (size_t i = 0; i + 13 < sizeof(flood); i += 13)
		memcpy(flood + i, "get name=one\n", 13);
	for (int i = 0; i < 1000; i++)
		if (send(flooder, flood, sizeof(flood) - sizeof(flood) % 13,
			 MSG_NOSIGNAL | MSG_DONTWAIT) < 0 &&
		    errno != EAGAIN)
			break;
	expect_content("one", "first");
	close(flooder);
	/* More clients than there are places. */
	for (int i = 0; i < 50; i++)
		close(connect_to(socket_path()));
	expect_content("one", "first");
	close(silent);
	close(half);
}

/* Another user gets nothing, even where the directory lets him in. */
static void test_other_user(void **state)
{
	int status;
	pid_t pid;

	if (geteuid() != 0)
		skip();
	put_file("one", "first");
	assert_int_equal(chmod(scratch.directory, 0755), 0);
	assert_int_equal(chmod(socket_path(), 0777), 0);
	pid = fork();
	if (pid == 0) {
		struct descriptor_store *other;

		if (setresuid(NOBODY, NOBODY, NOBODY) < 0 ||
		    descriptor_store_open(&other, socket_path(), &error) < 0)
			_exit(1);
		_exit(descriptor_store_get(other, "one", &error) < 0 ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_holder_that_is_killed(void **state)
{
	struct ucred holder;
	socklen_t length = sizeof(holder);
	int fd = connect_to(socket_path());

	put_file("one", "first");
	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &holder, &length), 0);
	close(fd);
	kill(holder.pid, SIGKILL);
	assert_int_equal(waitpid(holder.pid, NULL, 0), holder.pid);
	fd = make_file("x");
	assert_true(descriptor_store_put(store, "two", fd, &error) < 0);
	close(fd);
	descriptor_store_close(store);
	/* Its socket is still there. Another holder takes its place. */
	assert_true(is_held());
	open_store();
	assert_int_equal(descriptor_store_get(store, "one", &error), -ENOENT);
	put_file("one", "again");
}

/* With nobody there it ends: at once when it keeps nothing, else after some time. */
static void test_holder_that_is_left(void **state)
{
	int64_t before;

	descriptor_store_end(store);
	expect_end();
	setenv(ALONE_MS, "700", 1);
	open_store();
	put_file("one", "first");
	descriptor_store_close(store);
	poll(NULL, 0, 200);
	open_store();
	expect_content("one", "first");
	before = clock_now_ms();
	descriptor_store_close(store);
	expect_end();
	assert_in_range(clock_now_ms() - before, 600, WAIT_MS);
	setenv(ALONE_MS, "60000", 1);
	open_store();
	put_file("one", "first");
	assert_int_equal(descriptor_store_remove(store, "one", &error), 0);
	descriptor_store_close(store);
	expect_end();
	unsetenv(ALONE_MS);
	open_store();
}

static void test_holder_is_locked_in(void **state)
{
	struct ucred holder;
	socklen_t length = sizeof(holder);
	char path[64], text[4096], link[64];
	int fd = connect_to(socket_path());
	FILE *status;

	assert_int_equal(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &holder, &length), 0);
	close(fd);
	snprintf(path, sizeof(path), "/proc/%d/status", (int)holder.pid);
	status = fopen(path, "re");
	text[fread(text, 1, sizeof(text) - 1, status)] = 0;
	fclose(status);
	assert_non_null(strstr(text, "\nSeccomp:\t2\n"));
	assert_non_null(strstr(text, "\nCapEff:\t0000000000000000\n"));
	assert_non_null(strstr(text, "\nNoNewPrivs:\t1\n"));
	/* A session and a log of its own: it keeps nobody's terminal or pipe. */
	assert_int_equal(getsid(holder.pid), holder.pid);
	snprintf(path, sizeof(path), "/proc/%d/fd/2", (int)holder.pid);
	length = (socklen_t)readlink(path, link, sizeof(link) - 1);
	if ((int)length > 0) {
		link[length] = 0;
		assert_string_equal(link, "/dev/null");
	}
}

static void test_place_that_is_wrong(void **state)
{
	struct descriptor_store *other;
	char path[200];

	assert_true(descriptor_store_open(&other, "/nonexistent/store", &error) < 0);
	assert_non_null(strstr(error.message, "/nonexistent"));
	assert_null(other);
	memset(path, 'p', sizeof(path) - 1);
	path[0] = '/';
	path[sizeof(path) - 1] = 0;
	assert_true(descriptor_store_open(&other, path, &error) < 0);
	/* A file of somebody's. */
	scratch_write(&scratch, "file", "data", 4);
	assert_true(descriptor_store_open(&other, scratch_path(&scratch, "file"), &error) < 0);
}

static void test_holder_that_hangs(void **state)
{
	struct descriptor_store *silent;

	setenv(SILENT, "1", 1);
	assert_int_equal(descriptor_store_open(&silent, scratch_path(&scratch, "silent"), &error),
			 -ETIMEDOUT);
	unsetenv(SILENT);
	assert_null(silent);
	/* It is gone, and so is the other one now. */
	descriptor_store_end(store);
	store = NULL;
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(test_put_get_remove),	TEST(test_names_and_bounds),
		TEST(test_killed_supervisor),	TEST(test_hostile_clients),
		TEST(test_other_user),		TEST(test_holder_that_is_killed),
		TEST(test_holder_that_is_left), TEST(test_holder_is_locked_in),
		TEST(test_place_that_is_wrong), TEST(test_holder_that_hangs),
	};

	if (argc > 2 && !strcmp(argv[1], "hold-descriptors"))
		return run_holder(argv);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
