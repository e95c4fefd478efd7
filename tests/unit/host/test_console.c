// SPDX-License-Identifier: BSD-3-Clause
/*
 * The guest's console on pipes, files and a terminal. A child process has them as its standard
 * input and output; the test plays the user on one side and the guest on the other.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "base/event_loop.h"
#include "host/console.h"
#include "host/sandbox.h"
#include "unit/scratch.h"

#define LIMIT_MS  20000
#define EXIT_QUIT 10
#define EXIT_BUSY 11

/* The child's side. */

static bool quit;
static volatile sig_atomic_t terminated;

static void on_quit(void *context)
{
	quit = true;
	/* For a test that must not wait for the end of the process. */
	if (isatty(STDOUT_FILENO) && write(STDOUT_FILENO, "quit!", 5) < 0)
		_exit(1);
}

static void on_first_output(void *context)
{
}

static void on_terminated(int number)
{
	terminated = 1;
}

static volatile sig_atomic_t continued;

static void on_continued(int number)
{
	continued = 1;
}

static void on_foreground(void *context)
{
	if (write(STDOUT_FILENO, "taken!", 6) < 0)
		_exit(1);
}

static const struct console_events events = {on_quit, on_first_output, on_foreground};

/* The next child is a background job of a session with a controlling terminal. */
static bool background;

/*
 * The sandbox of the next child: that of `avp monitor` by hand or of `avp device console` at a
 * terminal, which have the console in their own process. 0: none.
 */
static unsigned int locked;
/* The next job of a shell is started without `&`. */
static bool begins_in_foreground;

/* Runs a console until its quit keys or SIGTERM. */
static _Noreturn void child(int input, int output, int guest, int crash)
{
	struct sigaction action = {.sa_handler = on_terminated};
	struct console *console;
	struct event_loop loop;
	struct error error;
	sigset_t term, none;
	int status;

	/* Only while the loop sleeps, so that no signal is missed. */
	sigemptyset(&none);
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	sigprocmask(SIG_BLOCK, &term, NULL);
	sigaction(SIGTERM, &action, NULL);
	signal(SIGCONT, on_continued);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN);
	/* The test program handles that signal itself. */
	signal(SIGSYS, SIG_DFL);
	dup2(input, STDIN_FILENO);
	dup2(output, STDOUT_FILENO);
	if (isatty(STDIN_FILENO) && !background) {
		setsid();
		ioctl(STDIN_FILENO, TIOCSCTTY, 0);
	}
	/* As the users of a console do. */
	signal(SIGTTIN, SIG_IGN);
	signal(SIGTTOU, SIG_IGN);
	for (int fd = 3; fd < 64; fd++)
		if (fd != guest)
			close(fd);
	if (event_loop_init(&loop, 0, &error) < 0 ||
	    console_open(&console, &loop, &guest, 1, &events, NULL, &error) < 0)
		_exit(1);
	if (locked && sandbox_filter_calls(locked, &error) < 0)
		_exit(1);
	/* Ready: notifies the guest's side. */
	if (write(guest, "!", 1) != 1)
		_exit(1);
	/* Ignored signals stay ignored. */
	raise(SIGXFSZ);
	if (crash)
		raise(crash);
	while (!quit && !terminated) {
		if (continued) {
			continued = 0;
			console_resume(console);
			/* The test continues after the foreground check. */
			if (background && write(guest, "~", 1) != 1)
				_exit(1);
		}
		event_loop_turn(&loop, 0);
		sigprocmask(SIG_SETMASK, &none, NULL);
		if (!quit && !terminated)
			event_loop_turn(&loop, 50);
		sigprocmask(SIG_SETMASK, &term, NULL);
	}
	console_close(console, LIMIT_MS);
	/* Some hundred turns are for data; a busy loop makes thousands. */
	status = loop.sleeps > 1000 ? EXIT_BUSY : quit ? EXIT_QUIT : 0;
	/* Skip the exit handlers of sanitizers, whose system calls the filter denies. */
	for (;;)
		syscall(SYS_exit_group, status);
}

/* The test's side. */

struct user {
	pid_t pid;
	int guest; /* the guest's end of its console */
};

/* @crash: a signal that kills the child, or 0. */
static struct user start(int input, int output, int crash)
{
	const int small = 4096;
	struct user user;
	char byte;
	int ends[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	/* Small, so that the guest's input fills up soon. */
	setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	user.pid = fork();
	if (user.pid == 0)
		child(input, output, ends[0], crash);
	user.guest = ends[1];
	close(ends[0]);
	assert_int_equal(read(user.guest, &byte, 1), 1);
	return user;
}

static int finish(struct user *user)
{
	int status;

	close(user->guest);
	kill(user->pid, SIGTERM);
	assert_int_equal(waitpid(user->pid, &status, 0), user->pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Reads until @text has arrived, and drops what comes before it. */
static void expect_read(int fd, const char *text)
{
	char seen[4096];
	size_t length = 0;

	for (;;) {
		struct pollfd readable = {.fd = fd, .events = POLLIN};
		ssize_t bytes;

		seen[length] = 0;
		if (strstr(seen, text))
			return;
		assert_int_equal(poll(&readable, 1, LIMIT_MS), 1);
		bytes = read(fd, seen + length, sizeof(seen) - 1 - length);
		assert_true(bytes > 0);
		length += bytes;
	}
}

static void say(int fd, const char *text)
{
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

static void test_pipes(void **state)
{
	struct user user;
	int in[2], out[2];

	assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
	user = start(in[0], out[1], 0);
	say(in[1], "to the guest");
	expect_read(user.guest, "to the guest");
	/* Not a terminal: every byte is the guest's. */
	say(in[1], "\001x");
	expect_read(user.guest, "\001x");
	say(user.guest, "from the guest");
	expect_read(out[0], "from the guest");
	/* End of input does not end the console. */
	close(in[1]);
	usleep(50000);
	say(user.guest, "more");
	expect_read(out[0], "more");
	say(user.guest, "last words");
	assert_int_equal(finish(&user), 0);
	expect_read(out[0], "last words");
	close(in[0]);
	close(out[0]);
	close(out[1]);
}

static void test_files(void **state)
{
	struct scratch scratch;
	struct user user;
	int in, out, null;
	char text[64];

	scratch_make(&scratch);
	in = open(scratch_write(&scratch, "in", "from a file\n", 12), O_RDONLY | O_CLOEXEC);
	out = open(scratch_path(&scratch, "out"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	user = start(in, out, 0);
	expect_read(user.guest, "from a file\n");
	say(user.guest, "to a file\n");
	assert_int_equal(finish(&user), 0);
	assert_int_equal(pread(out, text, sizeof(text), 0), 10);
	assert_memory_equal(text, "to a file\n", 10);

	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	user = start(null, null, 0);
	say(user.guest, "to nobody");
	assert_int_equal(finish(&user), 0);
	close(null);
	close(in);
	close(out);
	scratch_remove(&scratch);
}

/* A reader that does not read stalls the guest, and nothing is lost. */
static void test_slow_reader(void **state)
{
	static char block[65536];
	struct user user;
	int in[2], out[2];
	size_t sent = 0, received = 0;

	assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
	user = start(in[0], out[1], 0);
	for (int i = 0; i < 100; i++) {
		ssize_t bytes;

		for (size_t j = 0; j < sizeof(block); j++)
			block[j] = (char)((sent + j) % 251);
		bytes = send(user.guest, block, sizeof(block), MSG_DONTWAIT | MSG_NOSIGNAL);
		if (bytes > 0)
			sent += bytes;
		else
			usleep(1000);
	}
	assert_in_range(sent, 65536, 4 << 20);
	/* The other direction is not stalled. */
	say(in[1], "still there");
	expect_read(user.guest, "still there");
	while (received < sent) {
		ssize_t bytes = read(out[0], block, sizeof(block));

		assert_true(bytes > 0);
		for (ssize_t j = 0; j < bytes; j++)
			assert_int_equal(block[j], (char)((received + j) % 251));
		received += bytes;
	}
	assert_int_equal(finish(&user), 0);
	close(in[0]);
	close(in[1]);
	close(out[0]);
	close(out[1]);
}

/* A guest that does not read causes no busy loop, and one that is gone no failure. */
static void test_slow_guest_and_gone_reader(void **state)
{
	static char block[1 << 20];
	struct user user;
	int in[2], out[2];

	assert_int_equal(pipe2(in, O_CLOEXEC) | pipe2(out, O_CLOEXEC), 0);
	fcntl(in[1], F_SETFL, O_NONBLOCK);
	user = start(in[0], out[1], 0);
	for (int i = 0; i < 20; i++) {
		if (write(in[1], block, sizeof(block)) < 0)
			assert_int_equal(errno, EAGAIN);
		usleep(5000);
	}
	close(out[0]);
	close(out[1]);
	for (int i = 0; i < 20; i++) {
		assert_true(send(user.guest, block, 1000, MSG_NOSIGNAL) > 0);
		usleep(1000);
	}
	close(in[1]);
	assert_int_equal(finish(&user), 0);
	close(in[0]);
}

static void expect_flags(int terminal, tcflag_t mask, bool set)
{
	struct termios mode;

	assert_int_equal(tcgetattr(terminal, &mode), 0);
	assert_int_equal(mode.c_lflag & mask, set ? mask : 0);
	/* Log lines need it. */
	assert_true(mode.c_oflag & OPOST);
}

/* Waits until the terminal is in raw mode. */
static void await_raw(int terminal)
{
	struct termios mode;

	for (int i = 0; i < LIMIT_MS; i++) {
		assert_int_equal(tcgetattr(terminal, &mode), 0);
		if (!(mode.c_lflag & ISIG))
			return;
		usleep(1000);
	}
	fail_msg("the terminal was not taken");
}

static void test_terminal(void **state)
{
	struct user user;
	int master, slave, status;

	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	expect_flags(slave, ICANON | ECHO | ISIG, true);
	user = start(slave, slave, 0);
	expect_flags(slave, ICANON | ECHO | ISIG, false);
	/* Keys arrive one by one, including those that otherwise send signals. */
	say(master, "a\003\032");
	expect_read(user.guest, "a\003\032");
	say(user.guest, "prompt> ");
	expect_read(master, "prompt> ");
	say(master, "\001\001b\001qc");
	expect_read(user.guest, "\001bc");
	/* The two keys may arrive separately. */
	say(master, "\001");
	usleep(20000);
	say(master, "x");
	assert_int_equal(waitpid(user.pid, &status, WNOHANG), 0);
	close(user.guest);
	assert_int_equal(waitpid(user.pid, &status, 0), user.pid);
	assert_int_equal(WEXITSTATUS(status), EXIT_QUIT);
	expect_flags(slave, ICANON | ECHO | ISIG, true);
	close(master);
	close(slave);
}

/*
 * Ctrl-D ends the input if a shell (while the job was stopped) or stty has switched the terminal
 * back to canonical mode. That does not end the terminal, whose next keys are the guest's.
 */
static void test_end_of_input_key(void **state)
{
	struct termios lines, raw;
	struct user user;
	int master, slave;

	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	assert_int_equal(tcgetattr(slave, &lines), 0);
	for (int i = 0; i < 2; i++) {
		locked = i == 1 ? SANDBOX_MONITOR | SANDBOX_TERMINAL : 0;
		user = start(slave, slave, 0);
		assert_int_equal(tcgetattr(slave, &raw), 0);
		say(master, "a");
		expect_read(user.guest, "a");
		assert_int_equal(tcsetattr(slave, TCSANOW, &lines), 0);
		say(master, "\004");
		say(master, "line\n");
		expect_read(user.guest, "line\n");
		say(master, "\004\004x\n");
		expect_read(user.guest, "x\n");
		/* As `fg` does: the console restores its terminal mode. */
		assert_int_equal(kill(user.pid, SIGCONT), 0);
		await_raw(slave);
		say(master, "b\004");
		expect_read(user.guest, "b\004");
		assert_int_equal(finish(&user), 0);
		/* The session of the terminal is over. */
		close(master);
		close(slave);
		assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	}
	locked = 0;
	close(master);
	close(slave);
}

/* The quit keys work with a guest that hangs and reads no input. */
static void test_quit_keys_of_a_guest_that_does_not_read(void **state)
{
	static char keys[64 << 10];
	struct user user;
	int master, slave, status;
	size_t said = 0;

	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	user = start(slave, slave, 0);
	memset(keys, 'k', sizeof(keys));
	fcntl(master, F_SETFL, O_NONBLOCK);
	for (int i = 0; i < LIMIT_MS && said < sizeof(keys); i++) {
		ssize_t written = write(master, keys + said, sizeof(keys) - said);

		if (written > 0)
			said += (size_t)written;
		else
			usleep(1000);
	}
	assert_int_equal(said, sizeof(keys));
	fcntl(master, F_SETFL, 0);
	say(master, "\001x");
	expect_read(master, "quit!");
	/* Only the first keys arrive, in order. */
	expect_read(user.guest, "kkkkkkkk");
	close(user.guest);
	assert_int_equal(waitpid(user.pid, &status, 0), user.pid);
	assert_int_equal(WEXITSTATUS(status), EXIT_QUIT);
	close(master);
	close(slave);
}

static void test_terminal_after_a_crash(void **state)
{
	static const int signals[] = {SIGABRT, SIGUSR1, SIGUSR2, SIGALRM, SIGXCPU,
				      SIGSYS,  SIGTRAP, SIGPWR,	 SIGHUP};

	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++) {
		struct user user;
		int master, slave, status;

		assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
		user = start(slave, slave, signals[i]);
		assert_int_equal(waitpid(user.pid, &status, 0), user.pid);
		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), signals[i]);
		expect_flags(slave, ICANON | ECHO | ISIG, true);
		close(user.guest);
		close(master);
		close(slave);
	}
}

/*
 * The shell of a session, in its own process: it has a job with a console. By @commands it puts the
 * job (f) or itself (b) in the foreground, and reads a key (k).
 */
static _Noreturn void shell(int terminal, int guest, const int command_ends[2], int answers)
{
	int commands = command_ends[0], status;
	char command, key;
	pid_t job;

	/* The job ends with this process. */
	close(command_ends[1]);
	setsid();
	ioctl(terminal, TIOCSCTTY, 0);
	signal(SIGTTOU, SIG_IGN);
	background = true;
	job = fork();
	if (job == 0) {
		setpgid(0, 0);
		if (begins_in_foreground)
			tcsetpgrp(terminal, getpgrp());
		child(terminal, terminal, guest, 0);
	}
	setpgid(job, job);
	close(guest);
	while (read(commands, &command, 1) == 1) {
		key = command;
		/* Only a stopped job can go to the background again. */
		if (command == 'b') {
			kill(job, SIGSTOP);
			waitpid(job, &status, WUNTRACED);
		}
		if (command == 'k' ? read(terminal, &key, 1) != 1 :
				     tcsetpgrp(terminal, command == 'f' ? job : getpgrp()) < 0)
			_exit(1);
		if (command == 'b')
			kill(job, SIGCONT);
		if (write(answers, &key, 1) != 1)
			_exit(1);
	}
	kill(job, SIGTERM);
	_exit(0);
}

static void order(int commands, int answers, char command, char answer)
{
	const char text[] = {answer, 0};

	assert_int_equal(write(commands, &command, 1), 1);
	expect_read(answers, text);
}

/*
 * Started with `&` and put in the foreground without a signal: then keys are the guest's.
 */
static void check_background(void)
{
	int master, slave, guest[2], commands[2], answers[2], status;
	struct termios mode;
	pid_t session;
	char byte;

	assert_int_equal(openpty(&master, &slave, NULL, NULL, NULL), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, guest), 0);
	assert_int_equal(pipe2(commands, O_CLOEXEC) | pipe2(answers, O_CLOEXEC), 0);
	/*
	 * A key at a time, as a shell's line editor has it; and output from the background stops.
	 */
	assert_int_equal(tcgetattr(slave, &mode), 0);
	mode.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	mode.c_lflag |= TOSTOP;
	assert_int_equal(tcsetattr(slave, TCSANOW, &mode), 0);
	session = fork();
	if (session == 0)
		shell(slave, guest[0], commands, answers[1]);
	close(guest[0]);
	assert_int_equal(read(guest[1], &byte, 1), 1);
	for (int i = 0; i < 2; i++) {
		say(guest[1], "says");
		expect_read(master, "says");
		order(commands[1], answers[0], 'b', 'b');
		expect_read(guest[1], "~");
		say(master, "s");
		order(commands[1], answers[0], 'k', 's');
		order(commands[1], answers[0], 'f', 'f');
		if (i == 0)
			expect_read(master, "taken!");
		await_raw(slave);
		say(master, "g\003");
		expect_read(guest[1], "g\003");
		/* Back to the background, without a signal. */
		mode.c_lflag |= ISIG;
		assert_int_equal(tcsetattr(slave, TCSANOW, &mode), 0);
	}
	order(commands[1], answers[0], 'b', 'b');
	expect_read(guest[1], "~");
	say(master, "s");
	order(commands[1], answers[0], 'k', 's');
	assert_int_equal(tcsetattr(slave, TCSANOW, &mode), 0);
	/* The guest got none of the shell's keys. */
	shutdown(guest[1], SHUT_WR);
	close(commands[1]);
	assert_int_equal(waitpid(session, &status, 0), session);
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(read(guest[1], &byte, 1), 0);
	/* And the shell's terminal mode is unchanged. */
	expect_flags(slave, ISIG, true);
	close(guest[1]);
	close(commands[0]);
	close(answers[0]);
	close(answers[1]);
	close(master);
	close(slave);
}

static void test_background(void **state)
{
	check_background();
}

static void test_background_of_a_monitor(void **state)
{
	locked = SANDBOX_MONITOR | SANDBOX_TERMINAL;
	check_background();
	locked = 0;
}

static void test_background_of_a_device(void **state)
{
	locked = SANDBOX_TERMINAL;
	check_background();
	/* It must start its check. */
	begins_in_foreground = true;
	check_background();
	locked = 0;
	check_background();
	begins_in_foreground = false;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pipes),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_slow_reader),
		cmocka_unit_test(test_slow_guest_and_gone_reader),
		cmocka_unit_test(test_terminal),
		cmocka_unit_test(test_end_of_input_key),
		cmocka_unit_test(test_quit_keys_of_a_guest_that_does_not_read),
		cmocka_unit_test(test_terminal_after_a_crash),
		cmocka_unit_test(test_background),
		cmocka_unit_test(test_background_of_a_monitor),
		cmocka_unit_test(test_background_of_a_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
