// SPDX-License-Identifier: BSD-3-Clause
/* Descriptors that the command line names. */
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

#include "base/inherited_fd.h"

static void test_socket(void **state)
{
	static const int types[] = {SOCK_STREAM, SOCK_SEQPACKET};
	struct error error;

	for (size_t i = 0; i < 2; i++) {
		int ends[2];

		assert_int_equal(socketpair(AF_UNIX, types[i], 0, ends), 0);
		assert_int_equal(inherited_fd_take_socket(ends[0], types[i], "--x-fd", &error),
				 ends[0]);
		/* No child inherits it. */
		assert_int_equal(fcntl(ends[0], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
		assert_int_equal(fcntl(ends[1], F_GETFD) & FD_CLOEXEC, 0);
		close(ends[0]);
		close(ends[1]);
	}
}

static void check_refused(int fd, int type, const char *message)
{
	struct error error;

	assert_true(inherited_fd_take_socket(fd, type, "--x-fd", &error) < 0);
	assert_true(error.usage);
	if (!strstr(error.message, message))
		fail_msg("\"%s\" is not in: %s", message, error.message);
}

/* A file, a closed descriptor and a socket of the other type: the error names option and remedy. */
static void test_what_is_not_that_socket(void **state)
{
	int file = open("/dev/null", O_RDONLY), ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	check_refused(file, SOCK_STREAM, "--x-fd: descriptor ");
	check_refused(ends[0], SOCK_SEQPACKET, "is not a packet socket: Protocol wrong type");
	close(file);
	check_refused(file, SOCK_STREAM, "is not a stream socket: Bad file descriptor; give");
	close(ends[0]);
	close(ends[1]);
}

/*
 * Descriptors 0 to 2 are moved, and the old number reads nothing: log lines must not reach the
 * peer.
 */
static void test_standard_descriptor(void **state)
{
	int kept = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 10), ends[2], own;
	struct error error;
	char byte;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	assert_int_equal(dup2(ends[0], STDIN_FILENO), STDIN_FILENO);
	own = inherited_fd_take_socket(STDIN_FILENO, SOCK_STREAM, "--x-fd", &error);
	assert_true(own > STDERR_FILENO);
	assert_int_equal(read(STDIN_FILENO, &byte, 1), -1);
	assert_int_equal(errno, EBADF);
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_int_equal(read(own, &byte, 1), 1);
	dup2(kept, STDIN_FILENO);
	close(kept);
	close(own);
	close(ends[0]);
	close(ends[1]);
}

/* What was inherited is closed; what is this program's own, and so closed on exec, is not. */
static void test_others_are_closed(void **state)
{
	int inherited = open("/dev/null", O_RDONLY), own = open("/dev/null", O_RDONLY | O_CLOEXEC);

	inherited_fd_close_others();
	assert_int_equal(fcntl(inherited, F_GETFD), -1);
	assert_int_equal(fcntl(own, F_GETFD), FD_CLOEXEC);
	assert_true(fcntl(STDERR_FILENO, F_GETFD) >= 0);
	close(own);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_socket),
		cmocka_unit_test(test_what_is_not_that_socket),
		cmocka_unit_test(test_standard_descriptor),
		cmocka_unit_test(test_others_are_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
