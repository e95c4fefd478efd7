// SPDX-License-Identifier: BSD-3-Clause
/*
 * `avp device block`, and `console` on a terminal, as processes: inherited sockets and its own, the
 * readiness byte, signals, what it leaves behind, and one line for each mistake in the call.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka needs the headers above
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include <utmp.h>

#include "avp_main.h"
#include "unit/capture.h"
#include "unit/scratch.h"

#define ARGUMENTS_MAX 12

static struct scratch scratch;

static int set_up(void **state)
{
	(void)state;
	scratch_make(&scratch);
	scratch_write_zeros(&scratch, "disk.img", 1 << 20);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	scratch_remove(&scratch);
	return 0;
}

struct child {
	pid_t pid;
	char output[4096]; /* standard error, once it has ended */
	int reader;
};

/* Our ends of what the next child gets; -1: none. */
static int not_for_child[2] = {-1, -1};
/* The next child starts with this limit, where @value is not RLIM_INFINITY. */
static struct {
	int resource;
	rlim_t value, hard;
} limit = {.value = RLIM_INFINITY};
/* The next child starts with the signals that end a process ignored, as under a supervisor. */
static bool ignore_signals;

static const int ending_signals[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT};
#define ENDING_SIGNALS (sizeof(ending_signals) / sizeof(ending_signals[0]))

/* Starts `avp device block --file disk.img` with more arguments, up to a NULL. */
static struct child start(const char *first, ...)
{
	char *arguments[ARGUMENTS_MAX + 6] = {(char *)"avp", (char *)"device", (char *)"block",
					      (char *)"--file"};
	struct child child;
	int pipes[2], count = 4;
	va_list list;

	arguments[count++] = strdup(scratch_path(&scratch, "disk.img"));
	va_start(list, first);
	for (const char *argument = first; argument; argument = va_arg(list, const char *)) {
		assert_true(count < ARGUMENTS_MAX + 5);
		arguments[count++] = strdup(argument);
	}
	va_end(list);
	assert_int_equal(pipe(pipes), 0);
	child.reader = pipes[0];
	child.pid = fork();
	assert_true(child.pid >= 0);
	if (child.pid == 0) {
		dup2(pipes[1], STDERR_FILENO);
		close(pipes[1]);
		close(pipes[0]);
		for (int i = 0; i < 2; i++)
			if (not_for_child[i] >= 0)
				close(not_for_child[i]);
		for (size_t i = 0; ignore_signals && i < ENDING_SIGNALS; i++)
			signal(ending_signals[i], SIG_IGN);
		if (limit.value != RLIM_INFINITY)
			setrlimit(limit.resource, &(struct rlimit){limit.value, limit.hard});
		count = avp_main(count, arguments);
		/* Skip the exit work of sanitizers, which the sandbox does not permit. */
		for (;;)
			syscall(SYS_exit_group, count);
	}
	close(pipes[1]);
	not_for_child[0] = not_for_child[1] = -1;
	ignore_signals = false;
	limit.value = RLIM_INFINITY;
	for (int i = 4; i < count; i++)
		free(arguments[i]);
	return child;
}

/* Waits for the end; returns the exit status, or minus the signal. */
static int finish(struct child *child)
{
	size_t length = 0;
	ssize_t got;
	int status;

	while ((got = read(child->reader, child->output + length,
			   sizeof(child->output) - 1 - length)) > 0)
		length += (size_t)got;
	child->output[length] = 0;
	close(child->reader);
	assert_int_equal(waitpid(child->pid, &status, 0), child->pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void expect_one_line(const struct child *child, const char *text)
{
	const char *end = strchr(child->output, '\n');

	if (!end || end[1])
		fail_msg("not one line: '%s'", child->output);
	if (!strstr(child->output, text))
		fail_msg("'%s' is not in '%s'", text, child->output);
}

static void make_address(struct sockaddr_un *address, const char *path)
{
	*address = (struct sockaddr_un){.sun_family = AF_UNIX};
	snprintf(address->sun_path, sizeof(address->sun_path), "%s", path);
}

/* Connects to a socket, which appears within some seconds. */
static int connect_to(const char *path)
{
	struct sockaddr_un address;

	make_address(&address, path);
	for (int i = 0; i < 2000; i++) {
		int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
			return fd;
		close(fd);
		usleep(10000);
	}
	fail_msg("no socket %s", path);
	return -1;
}

/* Asks for the features as a frontend does; fails when nobody answers. */
static void talk(int fd)
{
	const uint32_t request[3] = {1, 1, 0};
	struct {
		uint32_t header[3];
		uint64_t features;
	} __attribute__((packed)) reply;

	assert_int_equal(send(fd, request, sizeof(request), 0), sizeof(request));
	assert_int_equal(recv(fd, &reply, sizeof(reply), MSG_WAITALL), sizeof(reply));
	assert_int_equal(reply.header[0], 1);
	assert_true(reply.features >> 32 & 1);
}

static const char *number(int value)
{
	static char texts[4][16];
	static unsigned int next;

	next = (next + 1) % 4;
	snprintf(texts[next], sizeof(texts[next]), "%d", value);
	return texts[next];
}

static void limit_next(int resource, rlim_t value, rlim_t hard)
{
	limit.resource = resource;
	limit.value = value;
	limit.hard = hard;
}

/* A mask, as in /proc/PID/status. */
static uint64_t ignored_signals(pid_t pid)
{
	uint64_t mask = 0;
	char line[256];
	FILE *file;

	snprintf(line, sizeof(line), "/proc/%d/status", (int)pid);
	file = fopen(line, "r");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "SigIgn: %" SCNx64, &mask) == 1)
			break;
	fclose(file);
	return mask;
}

/* An error names the limit that is too low. */
static void test_limits(void **state)
{
	struct rlimit own, stack;
	struct child child;
	int fd;

	(void)state;
	limit_next(RLIMIT_STACK, 64 << 10, 64 << 10);
	child = start("--no-such-option", NULL);
	assert_int_equal(finish(&child), 1);
	expect_one_line(&child, "the stack is limited to 64 KiB, but needs 512; raise the limit "
				"(RLIMIT_STACK, `ulimit -s`)");

	limit_next(RLIMIT_FSIZE, 1 << 19, 1 << 19);
	child = start("--socket-path", scratch_path(&scratch, "short"), NULL);
	assert_int_equal(finish(&child), 1);
	expect_one_line(&child, "disk.img: has 1048576 bytes, but this process may write a file "
				"only up to 524288; raise the limit (RLIMIT_FSIZE, `ulimit -f`), "
				"or make the disk readonly");
	/* A read-only disk does not need the limit. */
	limit_next(RLIMIT_FSIZE, 1 << 19, 1 << 19);
	child = start("--readonly", "--socket-path", scratch_path(&scratch, "read"), NULL);
	fd = connect_to(scratch_path(&scratch, "read"));
	talk(fd);
	close(fd);
	kill(child.pid, SIGTERM);
	assert_int_equal(finish(&child), 0);

	limit_next(RLIMIT_NOFILE, 5, 5);
	child = start("--socket-path", scratch_path(&scratch, "few"), NULL);
	assert_int_equal(finish(&child), 1);
	expect_one_line(&child, "RLIMIT_NOFILE is 5, `ulimit -n`");

	/* A soft limit below the hard one is raised. */
	assert_int_equal(getrlimit(RLIMIT_STACK, &own), 0);
	limit_next(RLIMIT_STACK, 64 << 10, own.rlim_max);
	child = start("--socket-path", scratch_path(&scratch, "stack"), NULL);
	fd = connect_to(scratch_path(&scratch, "stack"));
	talk(fd);
	assert_int_equal(prlimit(child.pid, RLIMIT_STACK, NULL, &stack), 0);
	assert_true(stack.rlim_cur >= 512 << 10);
	/* A write beyond RLIMIT_FSIZE fails, and does not kill the process. */
	assert_true(ignored_signals(child.pid) >> (SIGXFSZ - 1) & 1);
	close(fd);
	kill(child.pid, SIGTERM);
	assert_int_equal(finish(&child), 0);
}

static void test_socket_path(void **state)
{
	const char *path = strdup(scratch_path(&scratch, "disk.sock"));
	struct child child;
	struct stat status;
	int fd;

	(void)state;
	for (size_t i = 0; i < ENDING_SIGNALS; i++) {
		child = start("--socket-path", path, NULL);
		/* One frontend after another. */
		for (int j = 0; j < 2; j++) {
			fd = connect_to(path);
			talk(fd);
			close(fd);
		}
		assert_int_equal(kill(child.pid, ending_signals[i]), 0);
		assert_int_equal(finish(&child), 0);
		assert_string_equal(child.output, "");
		assert_int_equal(lstat(path, &status), -1);
	}
	free((char *)path);
}

static void test_socket_of_another(void **state)
{
	const char *path = strdup(scratch_path(&scratch, "disk.sock"));
	struct child child = start("--socket-path", path, NULL);

	(void)state;
	close(connect_to(path));
	/* A file that somebody put in its place stays. */
	assert_int_equal(unlink(path), 0);
	scratch_write(&scratch, "disk.sock", "mine", 4);
	assert_int_equal(kill(child.pid, SIGTERM), 0);
	assert_int_equal(finish(&child), 0);
	assert_int_equal(unlink(path), 0);
	free((char *)path);
}

static void test_connected_descriptor(void **state)
{
	struct child child;
	int pair[2], ready[2];
	char byte;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(pipe(ready), 0);
	not_for_child[0] = pair[0];
	not_for_child[1] = ready[0];
	child = start("--fd", number(pair[1]), "--ready-fd", number(ready[1]), NULL);
	close(pair[1]);
	close(ready[1]);
	/* A byte, and the end of the pipe. */
	assert_int_equal(read(ready[0], &byte, 1), 1);
	assert_int_equal(read(ready[0], &byte, 1), 0);
	talk(pair[0]);
	close(pair[0]);
	close(ready[0]);
	/* It ends with the connection. */
	assert_int_equal(finish(&child), 0);
}

/* Starts a process that is served a connection and a control socket, and talks to it. */
static struct child start_controlled(int *connection, int *control)
{
	struct child child;
	int pairs[2][2];

	for (int i = 0; i < 2; i++) {
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pairs[i]), 0);
		not_for_child[i] = pairs[i][0];
	}
	child = start("--fd", number(pairs[0][1]), "--control-fd", number(pairs[1][1]), NULL);
	close(pairs[0][1]);
	close(pairs[1][1]);
	*connection = pairs[0][0];
	*control = pairs[1][0];
	talk(*connection);
	return child;
}

/* Signals ignored at the start stay ignored; the end of the control socket ends the process. */
static void test_control_descriptor(void **state)
{
	struct child child;
	int control, connection;
	char text[128] = "";

	(void)state;
	ignore_signals = true;
	child = start_controlled(&connection, &control);
	for (size_t i = 0; i < ENDING_SIGNALS; i++)
		assert_int_equal(kill(child.pid, ending_signals[i]), 0);
	for (int i = 0; i < 100; i++)
		talk(connection);
	/* A heartbeat. */
	assert_int_equal(write(control, "heartbeat\n", 10), 10);
	assert_int_equal(read(control, text, sizeof(text)), 3);
	assert_memory_equal(text, "ok\n", 3);
	assert_int_equal(write(control, "end now=1\n", 10), 10);
	assert_true(read(control, text, sizeof(text) - 1) > 0);
	assert_string_equal(text, "error code=ENOSYS text=\"there is no verb end\"\n");
	close(control);
	assert_int_equal(finish(&child), 0);
	assert_string_equal(child.output, "");
	close(connection);

	child = start("--fd", "0", "--control-fd", "63", NULL);
	assert_int_equal(finish(&child), 2);
	expect_one_line(&child, "--control-fd: descriptor 63 is not a stream socket");
}

/* The level of the log follows the supervisor's; what is not known is ignored. */
static void test_log_level_of_the_supervisor(void **state)
{
	static const char lines[] =
		"event name=other level=debug\nevent name=log-level level=loud\n"
		"event name=log-level level=debug\nevent name=log-level\n"
		"heartbeat\n";
	struct child child;
	int control, connection;
	char text[128] = "";

	(void)state;
	child = start_controlled(&connection, &control);
	assert_int_equal(write(control, lines, strlen(lines)), strlen(lines));
	assert_int_equal(read(control, text, sizeof(text)), 3);
	assert_memory_equal(text, "ok\n", 3);
	close(connection);
	assert_int_equal(finish(&child), 0);
	assert_non_null(strstr(child.output, "the frontend hung up"));
	close(control);
}

static void test_listening_descriptor(void **state)
{
	const char *path = strdup(scratch_path(&scratch, "listening"));
	int listener = socket(AF_UNIX, SOCK_STREAM, 0);
	struct sockaddr_un address;
	struct child child;

	(void)state;
	make_address(&address, path);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 1), 0);
	child = start("--fd", number(listener), NULL);
	close(listener);
	for (int i = 0; i < 3; i++) {
		int fd = connect_to(path);

		talk(fd);
		close(fd);
	}
	assert_int_equal(kill(child.pid, SIGTERM), 0);
	assert_int_equal(finish(&child), 0);
	/* The owner of the socket removes it. */
	assert_int_equal(unlink(path), 0);
	free((char *)path);
}

static void test_taken_paths(void **state)
{
	const char *path = strdup(scratch_path(&scratch, "taken"));
	int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address;
	struct child child;
	struct stat status;
	char lock[256];
	int fd;

	(void)state;
	scratch_write(&scratch, "taken", "x", 1);
	child = start("--socket-path", path, NULL);
	assert_int_equal(finish(&child), 2);
	expect_one_line(&child, "exists and is not a socket");
	assert_int_equal(unlink(path), 0);

	make_address(&address, path);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(listener, 1), 0);
	child = start("--socket-path", path, NULL);
	assert_int_equal(finish(&child), 2);
	expect_one_line(&child, "another process listens on it");
	close(listener);
	/* Left behind, first by another process, then by the device process itself. */
	for (int i = 0; i < 2; i++) {
		child = start("--socket-path", path, NULL);
		fd = connect_to(path);
		talk(fd);
		close(fd);
		assert_int_equal(kill(child.pid, i == 0 ? SIGKILL : SIGTERM), 0);
		assert_int_equal(finish(&child), i == 0 ? -SIGKILL : 0);
	}
	assert_int_equal(lstat(path, &status), -1);
	snprintf(lock, sizeof(lock), "%s.lock", path);
	assert_int_equal(lstat(lock, &status), -1);

	child = start("--socket-path", scratch_path(&scratch, "no/such/directory"), NULL);
	assert_int_equal(finish(&child), 2);
	expect_one_line(&child, "No such file or directory");
	free((char *)path);
}

static void test_wrong_calls(void **state)
{
	const char *path = strdup(scratch_path(&scratch, "never.sock"));
	char longer[200];
	int file = open(scratch_path(&scratch, "disk.img"), O_RDONLY);
	struct child child;
	struct stat status;

	(void)state;
	child = start(NULL);
	assert_int_equal(finish(&child), 2);
	expect_one_line(&child, "neither --socket-path nor --fd");
	child = start("--fd", "3", "--socket-path", path, NULL);
	assert_int_equal(finish(&child), 2);
	expect_one_line(&child, "--fd: excludes --socket-path");
	child = start("--fd", number(file), NULL);
	assert_int_equal(finish(&child), 2);
	expect_one_line(&child, "--fd: descriptor");
	child = start("--fd", "4711", NULL);
	assert_int_equal(finish(&child), 2);
	expect_one_line(&child, "Bad file descriptor");
	child = start("--socket-path", path, "--ready-fd", "4711", NULL);
	assert_int_equal(finish(&child), 2);
	expect_one_line(&child, "--ready-fd: descriptor 4711");
	memset(longer, 'x', sizeof(longer));
	longer[0] = '/';
	longer[sizeof(longer) - 1] = 0;
	child = start("--socket-path", longer, NULL);
	assert_int_equal(finish(&child), 2);
	expect_one_line(&child, "choose a shorter path");
	/* A mistake that is found after the socket was made takes the socket away again. */
	child = start("--socket-path", path, "--logical-block-size", "1024",
		      "--physical-block-size", "512", NULL);
	assert_int_equal(finish(&child), 2);
	expect_one_line(&child, "--physical-block-size");
	child = start("--socket-path", path, "--file", scratch_path(&scratch, "missing"), NULL);
	assert_int_equal(finish(&child), 2);
	expect_one_line(&child, "--file: ");
	assert_int_equal(lstat(path, &status), -1);
	close(file);
	free((char *)path);
}

/* Expects the image to be as it was made, without a log line in it. */
static void expect_clean_image(void)
{
	static char bytes[(1 << 20) + 1], zeros[1 << 20];
	int fd = open(scratch_path(&scratch, "disk.img"), O_RDONLY | O_CLOEXEC);

	assert_int_equal(read(fd, bytes, sizeof(bytes)), sizeof(zeros));
	close(fd);
	assert_memory_equal(bytes, zeros, sizeof(zeros));
}

/* Runs `avp device block` with @arguments in a child that has just the descriptors below. */
static pid_t start_with(int input, int output, int error, int socket, const char *first, ...)
{
	char *arguments[ARGUMENTS_MAX] = {(char *)"avp", (char *)"device", (char *)"block"};
	const int standard[] = {input, output, error};
	int count = 3;
	va_list list;
	pid_t pid;

	va_start(list, first);
	for (const char *argument = first; argument; argument = va_arg(list, const char *))
		arguments[count++] = (char *)argument;
	va_end(list);
	pid = fork();
	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	for (int fd = 0; fd < 3; fd++)
		if (standard[fd] < 0)
			close(fd);
		else
			dup2(standard[fd], fd);
	if (socket >= 0)
		dup2(socket, 9);
	close_range(3, 8, 0);
	close_range(10, ~0U, 0);
	count = avp_main(count, arguments);
	for (;;)
		syscall(SYS_exit_group, count);
}

static int wait_for(pid_t pid)
{
	int status;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

/* Sends a message that makes the process log a line. */
static void talk_nonsense(int fd)
{
	const uint32_t message[3] = {200, 1, 0};

	assert_int_equal(send(fd, message, sizeof(message), MSG_NOSIGNAL), sizeof(message));
}

/*
 * If descriptors 0 to 2 are closed, nothing that is opened later, such as the image, gets their
 * number.
 */
static void test_closed_standard_descriptors(void **state)
{
	const char *image = scratch_path(&scratch, "disk.img");
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), pair[2];

	(void)state;
	for (int closed = 1; closed < 8; closed++) {
		pid_t pid;

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
		pid = start_with(closed & 1 ? -1 : null, closed & 2 ? -1 : null,
				 closed & 4 ? -1 : null, pair[1], "--file", image, "--fd", "9",
				 NULL);
		close(pair[1]);
		talk(pair[0]);
		talk_nonsense(pair[0]);
		wait_for(pid);
		close(pair[0]);
		expect_clean_image();
	}
	close(null);
}

/* A closed descriptor is not inherited, even if something else took its number. */
static void test_closed_descriptors_named(void **state)
{
	static const char *const options[][4] = {
		{"--fd", "0"},
		{"--fd", "9", "--ready-fd", "1"},
		{"--fd", "9", "--file", "/dev/fd/0"},
	};
	const char *image = scratch_path(&scratch, "disk.img");
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	/* A process that does start to serve ends at once. */
	close(pair[0]);
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		struct capture capture;
		pid_t pid;

		capture_start(&capture, STDERR_FILENO);
		pid = start_with(-1, -1, STDERR_FILENO, pair[1], "--file", image, options[i][0],
				 options[i][1], options[i][2], options[i][3], NULL);
		assert_int_equal(wait_for(pid), 2);
		capture_all(&capture);
		capture_stop(&capture);
		if (!strstr(capture.text, options[i][2] ? options[i][2] : options[i][0]))
			fail_msg("%zu: '%s'", i, capture.text);
	}
	close(pair[1]);
}

/* A descriptor named by the number of standard error gets no log lines. */
static void test_named_standard_descriptors(void **state)
{
	const char *image = scratch_path(&scratch, "disk.img");
	int null = open("/dev/null", O_RDWR | O_CLOEXEC), pair[2], ready[2];
	int disk = open(image, O_RDWR | O_CLOEXEC);
	char bytes[256];
	pid_t pid;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	pid = start_with(null, null, disk, pair[1], "--file", "/dev/fd/2", "--fd", "9", NULL);
	close(pair[1]);
	/* The lock ends with the last descriptor, once the process has ended. */
	close(disk);
	talk(pair[0]);
	talk_nonsense(pair[0]);
	wait_for(pid);
	close(pair[0]);
	expect_clean_image();

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	pid = start_with(null, null, pair[1], -1, "--file", image, "--fd", "2", NULL);
	close(pair[1]);
	talk(pair[0]);
	talk_nonsense(pair[0]);
	wait_for(pid);
	assert_int_equal(recv(pair[0], bytes, sizeof(bytes), 0), 0);
	close(pair[0]);

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	pid = start_with(null, null, ready[1], pair[1], "--file", image, "--fd", "9", "--ready-fd",
			 "2", NULL);
	close(pair[1]);
	close(ready[1]);
	/*
	 * The readiness byte and the end of the pipe: nothing keeps it open, and no later
	 * descriptor is 2.
	 */
	assert_int_equal(read(ready[0], bytes, sizeof(bytes)), 1);
	assert_int_equal(bytes[0], 0);
	assert_int_equal(read(ready[0], bytes, sizeof(bytes)), 0);
	talk(pair[0]);
	talk_nonsense(pair[0]);
	wait_for(pid);
	assert_int_equal(recv(pair[0], bytes, sizeof(bytes), 0), 0);
	close(pair[0]);
	close(ready[0]);
	close(null);
}

/* Two processes never write one image; the second says so and leaves nothing behind. */
static void test_image_in_use(void **state)
{
	const char *first = strdup(scratch_path(&scratch, "first.sock"));
	const char *second = strdup(scratch_path(&scratch, "second.sock"));
	struct child holder = start("--socket-path", first, NULL), child;
	struct stat status;
	char text[64];
	int fd = connect_to(first);

	(void)state;
	/*
	 * It makes its socket before it takes the lock, and answers after: now the image is in use.
	 */
	talk(fd);
	close(fd);
	child = start("--socket-path", second, NULL);
	assert_int_equal(finish(&child), 2);
	snprintf(text, sizeof(text), "/disk.img: process %d has it open", (int)holder.pid);
	expect_one_line(&child, text);
	assert_int_equal(lstat(second, &status), -1);
	assert_int_equal(kill(holder.pid, SIGTERM), 0);
	assert_int_equal(finish(&holder), 0);
	free((char *)first);
	free((char *)second);
}

/* The rights that the process still has. */
static void test_locked_in(void **state)
{
	const char *path = strdup(scratch_path(&scratch, "disk.sock"));
	struct child child = start("--socket-path", path, NULL);
	char name[64], line[256];
	int found = 0;
	FILE *status;
	int fd;

	(void)state;
	fd = connect_to(path);
	talk(fd);
	snprintf(name, sizeof(name), "/proc/%d/status", (int)child.pid);
	status = fopen(name, "re");
	assert_non_null(status);
	while (fgets(line, sizeof(line), status)) {
		found += !strcmp(line, "NoNewPrivs:\t1\n");
		found += !strcmp(line, "Seccomp:\t2\n");
		found += !strcmp(line, "CapPrm:\t0000000000000000\n");
	}
	fclose(status);
	close(fd);
	assert_int_equal(kill(child.pid, SIGTERM), 0);
	assert_int_equal(finish(&child), 0);
	assert_int_equal(found, 3);
	free((char *)path);
}

/* A console on a terminal of its own: how it sets the terminal, and how it restores it. */
static void test_console_on_a_terminal(void **state)
{
	const char *path = strdup(scratch_path(&scratch, "console.sock"));
	struct termios cooked, mode;
	int master, slave, status;
	uint64_t ignored;
	pid_t pid;

	(void)state;
	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	assert_int_equal(tcgetattr(slave, &cooked), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		char *arguments[] = {(char *)"avp",	      (char *)"device", (char *)"console",
				     (char *)"--socket-path", (char *)path,	NULL};
		int result;

		login_tty(slave);
		result = avp_main(5, arguments);
		for (;;)
			syscall(SYS_exit_group, result);
	}
	close(connect_to(path));
	assert_int_equal(tcgetattr(slave, &mode), 0);
	assert_false(mode.c_lflag & ICANON);
	/* Running in the background of the terminal does not stop it: see console.h. */
	ignored = ignored_signals(pid);
	assert_true(ignored >> (SIGTTIN - 1) & 1);
	assert_true(ignored >> (SIGTTOU - 1) & 1);
	/* Stopped, while a shell sets the terminal differently. */
	assert_int_equal(tcsetattr(slave, TCSANOW, &cooked), 0);
	assert_int_equal(kill(pid, SIGCONT), 0);
	for (int i = 0; i < 20000 && mode.c_lflag & ICANON; i++) {
		usleep(1000);
		assert_int_equal(tcgetattr(slave, &mode), 0);
	}
	assert_false(mode.c_lflag & ICANON);
	assert_int_equal(kill(pid, SIGTERM), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(tcgetattr(slave, &mode), 0);
	assert_int_equal(mode.c_lflag, cooked.c_lflag);
	close(master);
	close(slave);
	free((char *)path);
}

/* Descriptors of the wrong kind. */
static void test_console_with_wrong_descriptors(void **state)
{
	static const char *const options[] = {"--stream-fd", "--size-fd", "--resized-fd"};
	int sockets[2], closed;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets), 0);
	closed = dup(sockets[0]);
	close(closed);
	for (size_t i = 0; i < 3; i++) {
		const char *stream = number(i == 0 ? closed : sockets[1]);
		char *arguments[] = {
			(char *)"avp",	(char *)"device",	    (char *)"console",
			(char *)"--fd", (char *)number(sockets[0]), (char *)"--stream-fd",
			(char *)stream, (char *)options[i],	    (char *)number(closed),
			NULL,
		};
		int status, count = i == 0 ? 7 : 9;
		struct capture capture;
		pid_t pid;

		arguments[count] = NULL;
		capture_start(&capture, STDERR_FILENO);
		pid = fork();
		if (pid == 0)
			_exit(avp_main(count, arguments));
		waitpid(pid, &status, 0);
		capture_all(&capture);
		capture_stop(&capture);
		assert_int_equal(WEXITSTATUS(status), 2);
		if (!strstr(capture.text, options[i]))
			fail_msg("'%s' is not in '%s'", options[i], capture.text);
	}
	close(sockets[0]);
	close(sockets[1]);
}

static void test_capabilities_are_printed(void **state)
{
	int pipes[2], status;
	char text[256] = {0};
	pid_t child;

	(void)state;
	assert_int_equal(pipe(pipes), 0);
	child = fork();
	if (child == 0) {
		char *arguments[] = {(char *)"avp", (char *)"device", (char *)"block",
				     (char *)"--print-capabilities", NULL};

		dup2(pipes[1], STDOUT_FILENO);
		status = avp_main(4, arguments);
		fflush(stdout);
		_exit(status);
	}
	close(pipes[1]);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	assert_true(read(pipes[0], text, sizeof(text) - 1) > 0);
	assert_non_null(strstr(text, "\"type\": \"block\""));
	close(pipes[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_socket_path),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_socket_of_another),
		cmocka_unit_test(test_connected_descriptor),
		cmocka_unit_test(test_control_descriptor),
		cmocka_unit_test(test_log_level_of_the_supervisor),
		cmocka_unit_test(test_listening_descriptor),
		cmocka_unit_test(test_taken_paths),
		cmocka_unit_test(test_wrong_calls),
		cmocka_unit_test(test_closed_standard_descriptors),
		cmocka_unit_test(test_closed_descriptors_named),
		cmocka_unit_test(test_named_standard_descriptors),
		cmocka_unit_test(test_image_in_use),
		cmocka_unit_test(test_locked_in),
		cmocka_unit_test(test_console_on_a_terminal),
		cmocka_unit_test(test_console_with_wrong_descriptors),
		cmocka_unit_test(test_capabilities_are_printed),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
