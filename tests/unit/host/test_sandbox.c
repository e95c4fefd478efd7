// SPDX-License-Identifier: BSD-3-Clause
/*
 * The sandbox: what a sandboxed process can still do, and what it cannot. Each attempt is made in a
 * process of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <asm/termbits.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "host/sandbox.h"
#include "unit/scratch.h"

static struct scratch scratch;

static int set_up(void **state)
{
	(void)state;
	scratch_make(&scratch);
	scratch_write(&scratch, "readable", "x", 1);
	scratch_write(&scratch, "other", "x", 1);
	assert_int_equal(mkdir(scratch_path(&scratch, "sockets"), 0700), 0);
	scratch_write(&scratch, "sockets/mine", "x", 1);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	scratch_remove(&scratch);
	return 0;
}

static bool has_landlock(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) > 0;
}

/* Exits by the system call itself: sanitizers make others in _exit. */
static void leave(int status)
{
	for (;;)
		syscall(SYS_exit_group, status);
}

/*
 * Runs @attempt in a process that is sandboxed with @needs. Returns its result: an errno, or 0 for
 * success.
 */
static int locked_in(unsigned int needs, const char *readable, const char *removable,
		     int (*attempt)(void))
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		const char *const directories[] = {removable, NULL};
		const char *const readables[] = {readable, NULL};
		const struct sandbox_rights rights = {needs, readables, directories};
		struct error error = {0};

		if (sandbox_lock_in(&rights, &error) < 0) {
			fprintf(stderr, "%s\n", error.message);
			leave(255);
		}
		leave(attempt());
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_not_equal(WEXITSTATUS(status), 255);
	return WEXITSTATUS(status);
}

static int open_readable(void)
{
	return open(scratch_path(&scratch, "readable"), O_RDONLY) < 0 ? errno : 0;
}

static int open_other(void)
{
	return open(scratch_path(&scratch, "other"), O_RDONLY) < 0 ? errno : 0;
}

static int write_readable(void)
{
	return open(scratch_path(&scratch, "readable"), O_RDWR) < 0 ? errno : 0;
}

static int remove_mine(void)
{
	return unlink(scratch_path(&scratch, "sockets/mine")) < 0 ? errno : 0;
}

static int remove_other(void)
{
	return unlink(scratch_path(&scratch, "other")) < 0 ? errno : 0;
}

static int make_socket(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) < 0 ? errno : 0;
}

/* The channel for a device's state. */
static int make_stream_pair(void)
{
	int pair[2];

	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0 ? errno : 0;
}

static int start_process(void)
{
	return fork() < 0 ? errno : 0;
}

static int execute(void)
{
	execl("/bin/true", "true", NULL);
	return errno;
}

static int get_random(void)
{
	char bytes[16];

	return syscall(SYS_getrandom, bytes, sizeof(bytes), 0) < 0 ? errno : 0;
}

/* The ioctls of C libraries on a terminal; none is one here. */
static int ask_terminal(void)
{
	static const unsigned long requests[] = {TCGETS, TCSETS, TCGETS2, TCSETS2};

	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		if (ioctl(-1, requests[i], NULL) < 0 && errno != EBADF)
			return errno;
	return 0;
}

/* Notifies a console of a new size. */
static int receive(void)
{
	char byte;

	return recv(-1, &byte, 1, MSG_DONTWAIT) < 0 && errno != EBADF ? errno : 0;
}

static int map_code(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
			       MAP_FAILED ?
		       errno :
		       0;
}

static int make_code(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return 200;
	return mprotect(page, 4096, PROT_READ | PROT_EXEC) < 0 ? errno : 0;
}

static int use_memory(void)
{
	char *bytes = malloc(1 << 20);

	memset(bytes, 1, 1 << 20);
	free(bytes);
	return 0;
}

static int terminal_ioctl(void)
{
	/* TIOCSTI would insert input into a terminal that others read. */
	return syscall(SYS_ioctl, 0, 0x5412, "x") < 0 ? errno : 0;
}

static int look_at_privileges(void)
{
	char line[256];
	int found = 0;
	FILE *status;

	/* Only files that were open can be read. */
	status = fdopen(9, "r");
	while (status && fgets(line, sizeof(line), status)) {
		found += !strcmp(line, "NoNewPrivs:\t1\n");
		found += !strcmp(line, "CapPrm:\t0000000000000000\n");
		found += !strcmp(line, "CapEff:\t0000000000000000\n");
	}
	found += prctl(PR_GET_DUMPABLE) == 0 || errno == EPERM;
	return found;
}

static void test_files(void **state)
{
	const char *readable = scratch_path(&scratch, "readable");

	(void)state;
	assert_int_equal(locked_in(0, NULL, NULL, open_readable), EPERM);
	/* The process with sockets has another process read the name servers. */
	assert_int_equal(locked_in(SANDBOX_SOCKETS, readable, NULL, open_readable), EPERM);
	assert_int_equal(locked_in(SANDBOX_READER, readable, NULL, open_readable), 0);
	assert_int_equal(locked_in(SANDBOX_READER, readable, NULL, write_readable), EPERM);
	if (!has_landlock())
		skip();
	assert_int_equal(locked_in(SANDBOX_READER, readable, NULL, open_other), EACCES);
	assert_int_equal(locked_in(SANDBOX_READER, NULL, NULL, open_readable), EACCES);
	assert_int_equal(locked_in(SANDBOX_READER, scratch.directory, NULL, open_other), 0);
}

static void test_removal(void **state)
{
	char directory[128];

	(void)state;
	snprintf(directory, sizeof(directory), "%s/sockets", scratch.directory);
	assert_int_equal(locked_in(0, NULL, directory, remove_mine), EPERM);
	if (has_landlock())
		assert_int_equal(locked_in(SANDBOX_UNLINK, NULL, directory, remove_other), EACCES);
	assert_int_equal(locked_in(SANDBOX_UNLINK, NULL, directory, remove_mine), 0);
}

static void test_sockets(void **state)
{
	(void)state;
	assert_int_equal(locked_in(0, NULL, NULL, make_socket), EPERM);
	assert_int_equal(locked_in(SANDBOX_DISK, NULL, NULL, make_socket), EPERM);
	assert_int_equal(locked_in(SANDBOX_TAP, NULL, NULL, make_socket), EPERM);
	assert_int_equal(locked_in(SANDBOX_SOCKETS, NULL, NULL, make_socket), 0);
	assert_int_equal(locked_in(SANDBOX_READER, NULL, NULL, make_socket), EPERM);
	assert_int_equal(locked_in(0, NULL, NULL, make_stream_pair), 0);
	assert_int_equal(locked_in(SANDBOX_READER, NULL, NULL, make_stream_pair), EPERM);
}

static void test_processes(void **state)
{
	const unsigned int all = SANDBOX_DISK | SANDBOX_TAP | SANDBOX_SOCKETS | SANDBOX_RANDOM;

	(void)state;
	assert_int_equal(locked_in(all, NULL, NULL, start_process), EPERM);
	assert_int_equal(locked_in(all, NULL, NULL, execute), EPERM);
}

static void test_random(void **state)
{
	(void)state;
	assert_int_equal(locked_in(SANDBOX_RANDOM, NULL, NULL, get_random), 0);
	assert_int_equal(locked_in(SANDBOX_DISK, NULL, NULL, get_random), EPERM);
}

static void test_terminal(void **state)
{
	(void)state;
	assert_int_equal(locked_in(SANDBOX_TERMINAL, NULL, NULL, ask_terminal), 0);
	assert_int_equal(locked_in(SANDBOX_DISK, NULL, NULL, ask_terminal), EPERM);
	assert_int_equal(locked_in(SANDBOX_TERMINAL, NULL, NULL, receive), 0);
	assert_int_equal(locked_in(SANDBOX_DISK, NULL, NULL, receive), EPERM);
}

static void test_memory(void **state)
{
	(void)state;
	assert_int_equal(locked_in(0, NULL, NULL, use_memory), 0);
	assert_int_equal(locked_in(0, NULL, NULL, map_code), EPERM);
	assert_int_equal(locked_in(0, NULL, NULL, make_code), EPERM);
}

static void test_ioctls(void **state)
{
	(void)state;
	assert_int_equal(locked_in(0, NULL, NULL, terminal_ioctl), EPERM);
	assert_int_equal(locked_in(SANDBOX_TAP | SANDBOX_SOCKETS, NULL, NULL, terminal_ioctl),
			 EPERM);
}

static void test_privileges(void **state)
{
	int status;
	pid_t child = fork();

	(void)state;
	assert_true(child >= 0);
	if (child == 0) {
		const struct sandbox_rights rights = {.needs = 0};
		struct error error = {0};
		int fd = open("/proc/self/status", O_RDONLY);

		if (fd < 0 || dup2(fd, 9) < 0 || sandbox_drop_rights(&rights, &error) < 0)
			leave(255);
		leave(look_at_privileges());
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 4);
}

static int thread_result;

static void *socket_in_thread(void *context)
{
	pthread_barrier_t *barrier = context;

	pthread_barrier_wait(barrier);
	pthread_barrier_wait(barrier);
	thread_result = make_socket();
	return NULL;
}

/* The filter also applies to existing threads. */
static void test_threads(void **state)
{
	int status;
	pid_t child = fork();

	(void)state;
	assert_true(child >= 0);
	if (child == 0) {
		const struct sandbox_rights rights = {.needs = SANDBOX_DISK};
		struct error error = {0};
		pthread_barrier_t barrier;
		pthread_t thread = 0;

		pthread_barrier_init(&barrier, NULL, 2);
		if (sandbox_drop_rights(&rights, &error) < 0 ||
		    pthread_create(&thread, NULL, socket_in_thread, &barrier))
			leave(255);
		pthread_barrier_wait(&barrier);
		if (sandbox_filter_calls(SANDBOX_DISK, &error) < 0)
			leave(255);
		pthread_barrier_wait(&barrier);
		pthread_join(thread, NULL);
		leave(thread_result);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EPERM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_files),	cmocka_unit_test(test_removal),
		cmocka_unit_test(test_sockets), cmocka_unit_test(test_processes),
		cmocka_unit_test(test_random),	cmocka_unit_test(test_memory),
		cmocka_unit_test(test_ioctls),	cmocka_unit_test(test_privileges),
		cmocka_unit_test(test_threads), cmocka_unit_test(test_terminal),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
