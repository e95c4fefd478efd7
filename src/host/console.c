// SPDX-License-Identifier: BSD-3-Clause
/*
 * The guest's console on standard input and output. Nothing here blocks the loop: a slow reader
 * stalls only the guest's console.
 */
#include "host/console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/timer.h"

#define COMPONENT   "console"
#define BUFFER_SIZE 4096
/* Limit per event, so that a flood does not starve other sources. */
#define TRANSFERS_PER_EVENT 16
/*
 * How often a console in the background of its terminal checks whether it is in the foreground now:
 * the shell does not notify a running job.
 */
#define FOREGROUND_CHECK_MS 500
/* What a terminal that is writable accepts without blocking. */
#define CAUTIOUS_SIZE 256

#define KEY_ESCAPE    0x01 /* Ctrl-A */
#define KEY_QUIT      'x'
#define KEY_HELP      'h'

/* Bytes on their way in one direction. */
struct stream {
	int from, to;
	bool from_polled; /* polled; else reading never blocks */
	bool to_socket;
	bool to_blocks; /* a write may block: poll first, and write little at a time */
	bool ended;	/* end of file */
	size_t start, length;
	char bytes[BUFFER_SIZE];
};

/* A console of the guest: its serial port or a console device. */
struct guest_end {
	struct console *console;
	struct event_watch watch;
	struct stream out;
};

struct console {
	struct event_loop *loop;
	const struct console_events *events;
	void *context;
	struct guest_end ends[CONSOLE_ENDS];
	size_t end_count;
	struct guest_end *keys; /* the end that keys go to: the last one */
	struct event_watch input_watch, output_watch;
	struct stream in;
	int output_fd;	 /* standard output, reopened with O_NONBLOCK; -1: failed */
	bool terminal;	 /* standard input is a terminal; this program is in its foreground */
	bool background; /* standard input is a terminal; this program is in its background */
	struct timer foreground_check; /* TIMER_NONE: standard input is not our terminal */
	bool escaped;		       /* the escape key was pressed */
	bool had_output;
	bool output_terminal;
	char last_byte; /* of the guest's output */
};

/*
 * Global, because the handlers of fatal signals need it.
 */
static struct termios saved_terminal;
static bool terminal_saved;
static volatile sig_atomic_t terminal_changed;

static bool is_foreground_terminal(void)
{
	return isatty(STDIN_FILENO) && tcgetpgrp(STDIN_FILENO) == getpgrp();
}

static void restore_terminal(void)
{
	/* In the background the shell has set its own mode. */
	if (terminal_changed && is_foreground_terminal())
		tcsetattr(STDIN_FILENO, TCSANOW, &saved_terminal);
	terminal_changed = 0;
}

static void handle_crash(int number)
{
	restore_terminal();
	/* SA_RESETHAND is set: this one ends the program. */
	raise(number);
}

static void make_raw(void)
{
	struct termios raw = saved_terminal;

	/* As cfmakeraw, but log lines still get their carriage return. */
	raw.c_iflag &= ~(IGNBRK | BRKINT | PARMRK | ISTRIP | INLCR | IGNCR | ICRNL | IXON);
	raw.c_lflag &= ~(ECHO | ECHONL | ICANON | ISIG | IEXTEN);
	raw.c_cflag &= ~(CSIZE | PARENB);
	raw.c_cflag |= CS8;
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	terminal_changed = 1;
	tcsetattr(STDIN_FILENO, TCSANOW, &raw);
}

/* Switches the terminal to raw mode, and back on any exit of the program. */
static void take_terminal(void)
{
	/* All signals that end a process by default and can be handled. */
	static const int fatal[] = {SIGSEGV, SIGBUS,  SIGFPE,  SIGILL,	  SIGABRT, SIGTRAP,
				    SIGSYS,  SIGHUP,  SIGINT,  SIGQUIT,	  SIGTERM, SIGUSR1,
				    SIGUSR2, SIGALRM, SIGPROF, SIGVTALRM, SIGXCPU, SIGXFSZ,
				    SIGIO,   SIGPWR,  SIGPIPE};
	struct sigaction action = {.sa_handler = handle_crash, .sa_flags = SA_RESETHAND}, before;
	static bool registered;

	/* Save once: a shell may restore a job's own raw mode with its foreground. */
	if (!terminal_saved && tcgetattr(STDIN_FILENO, &saved_terminal) < 0)
		return;
	terminal_saved = true;
	for (size_t i = 0; i < sizeof(fatal) / sizeof(fatal[0]); i++)
		if (sigaction(fatal[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
			sigaction(fatal[i], &action, NULL);
	if (!registered)
		atexit(restore_terminal);
	registered = true;
	make_raw();
}

static void update_watches(struct console *console);

/* Takes or leaves the terminal when the program came to fore- or background. */
static void follow_foreground(struct console *console)
{
	bool foreground = is_foreground_terminal();

	if (console->foreground_check.source.fd < 0)
		return;
	if (foreground && !console->terminal)
		take_terminal();
	if (!foreground)
		terminal_changed = 0; /* the shell has set its own mode */
	if (foreground)
		timer_cancel(&console->foreground_check);
	else
		timer_set_ms(&console->foreground_check, FOREGROUND_CHECK_MS);
	console->terminal = foreground;
	console->background = !foreground;
	update_watches(console);
}

static void check_foreground(void *context)
{
	console_resume(context);
}

static void show_help(struct console *console)
{
	console_finish_line(console);
	log_line(LOG_INFO, COMPONENT,
		 "Ctrl-A x ends the guest, Ctrl-A Ctrl-A sends Ctrl-A, Ctrl-A h shows this");
}

/*
 * Removes the escape sequences from @length bytes at @bytes. Returns the new length. Raises the
 * quit event at most once.
 */
static size_t filter_keys(struct console *console, char *bytes, size_t length)
{
	size_t kept = 0;
	bool quit = false;

	for (size_t i = 0; i < length; i++) {
		char key = bytes[i];

		if (!console->escaped) {
			console->escaped = key == KEY_ESCAPE;
			if (!console->escaped)
				bytes[kept++] = key;
			continue;
		}
		console->escaped = false;
		if (key == KEY_ESCAPE)
			bytes[kept++] = key;
		else if (key == KEY_QUIT)
			quit = true;
		else if (key == KEY_HELP)
			show_help(console);
	}
	if (quit)
		console->events->quit(console->context);
	return kept;
}

/* As write(2) to the stream's destination, but never blocks. */
static ssize_t write_some(const struct stream *stream, const char *bytes, size_t length)
{
	if (stream->to_socket)
		return send(stream->to, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (stream->to_blocks) {
		struct pollfd writable = {.fd = stream->to, .events = POLLOUT};

		if (poll(&writable, 1, 0) == 0) {
			errno = EAGAIN;
			return -1;
		}
		if (length > CAUTIOUS_SIZE)
			length = CAUTIOUS_SIZE;
	}
	return write(stream->to, bytes, length);
}

/* Writes the buffered bytes. Returns false when the destination would block. */
static bool stream_write(struct stream *stream)
{
	while (stream->length) {
		ssize_t written = write_some(stream, stream->bytes + stream->start, stream->length);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0 && errno == EAGAIN)
			return false;
		if (written < 0) {
			/* The reader is gone: drop this and later output. */
			stream->length = 0;
			break;
		}
		stream->start += written;
		stream->length -= written;
	}
	stream->start = 0;
	return true;
}

/*
 * As read(2) from the stream's source. Returns 0 when it would block, or has ended.
 */
static size_t read_some(struct stream *stream, char *bytes, size_t size)
{
	ssize_t length;

	do {
		length = read(stream->from, bytes, size);
	} while (length < 0 && errno == EINTR);
	if (length == 0 || (length < 0 && errno != EAGAIN))
		stream->ended = true;
	return length > 0 ? (size_t)length : 0;
}

/* Fills the empty buffer. Returns false when the source would block, or has ended. */
static bool stream_read(struct stream *stream)
{
	stream->length = read_some(stream, stream->bytes, sizeof(stream->bytes));
	return stream->length > 0;
}

/* Copies output of one of the guest's consoles. */
static void transfer_out(struct guest_end *end)
{
	struct console *console = end->console;
	struct stream *out = &end->out;

	for (int i = 0; i < TRANSFERS_PER_EVENT && stream_write(out) && !out->ended; i++) {
		if (!stream_read(out))
			break;
		console->last_byte = out->bytes[out->length - 1];
		if (!console->had_output) {
			console->had_output = true;
			console->events->first_output(console->context);
		}
	}
	/* Write the last chunk: only bytes that would block may stay in the buffer. */
	stream_write(out);
}

/* Copies standard input; @ready: a read will not block. */
static void transfer_in(struct console *console, bool ready)
{
	struct stream *in = &console->in;

	for (int i = 0; i < TRANSFERS_PER_EVENT && stream_write(in) && !in->ended; i++) {
		if (!ready || !stream_read(in))
			break;
		/* After one read only a file, which cannot be polled, is surely ready. */
		ready = !in->from_polled;
	}
	stream_write(in);
}

/*
 * Reads keys from a terminal, even while the guest reads none, so that the quit keys always work.
 * Keys that do not fit in the buffer are dropped, as a terminal does.
 */
static void read_keys(struct console *console)
{
	struct stream *in = &console->in;
	char keys[BUFFER_SIZE];
	size_t length, room = sizeof(in->bytes) - in->length;

	/* In the background the keys belong to the shell. */
	follow_foreground(console);
	if (!console->terminal)
		return;
	length = filter_keys(console, keys, read_some(in, keys, sizeof(keys)));
	/*
	 * End of file: if the terminal is gone it has no foreground. Otherwise this program went to
	 * the background just now (EIO, with SIGTTIN ignored), or someone set the terminal to
	 * canonical mode and pressed Ctrl-D; neither is the end.
	 */
	if (in->ended && tcgetpgrp(STDIN_FILENO) >= 0)
		in->ended = false;
	if (length > room)
		length = room;
	memmove(in->bytes, in->bytes + in->start, in->length);
	in->start = 0;
	memcpy(in->bytes + in->length, keys, length);
	in->length += length;
	stream_write(in);
}

/* Polls only what the streams wait for: an idle console causes no wake-ups. */
static void update_watches(struct console *console)
{
	const struct stream *in = &console->in;
	bool output_full = false;

	for (size_t i = 0; i < console->end_count; i++) {
		struct guest_end *end = &console->ends[i];
		uint32_t wanted = 0;

		if (!end->out.ended && !end->out.length)
			wanted |= EPOLLIN;
		if (end == console->keys && (in->length || (!in->ended && !in->from_polled)))
			wanted |= EPOLLOUT;
		event_watch_set(console->loop, &end->watch, wanted);
		output_full = output_full || end->out.length;
	}
	event_watch_set(console->loop, &console->input_watch,
			in->from_polled && !in->ended && !console->background &&
					(console->terminal || !in->length) ?
				EPOLLIN :
				0);
	event_watch_set(console->loop, &console->output_watch, output_full ? EPOLLOUT : 0);
}

static void handle_guest(void *context, uint32_t events)
{
	struct guest_end *end = context;
	struct console *console = end->console;

	transfer_out(end);
	if (end == console->keys)
		transfer_in(console, !console->in.from_polled);
	update_watches(console);
}

static void handle_input(void *context, uint32_t events)
{
	struct console *console = context;

	if (console->terminal)
		read_keys(console);
	else
		transfer_in(console, true);
	update_watches(console);
}

static void handle_output(void *context, uint32_t events)
{
	struct console *console = context;

	for (size_t i = 0; i < console->end_count; i++)
		transfer_out(&console->ends[i]);
	update_watches(console);
}

/* Whether epoll supports a descriptor; it does not support regular files. */
static bool can_be_watched(struct console *console, int fd)
{
	struct event_source probe = {.fd = fd};

	if (event_loop_add(console->loop, &probe, 0, NULL) < 0)
		return false;
	event_loop_remove(console->loop, &probe);
	return true;
}

/* Reopens standard output as the destination of the guest's output. */
static void open_output(struct console *console, struct stream *out)
{
	struct stat status;

	out->to = STDOUT_FILENO;
	console->output_terminal = isatty(STDOUT_FILENO);
	if (fstat(STDOUT_FILENO, &status) < 0)
		return;
	out->to_socket = S_ISSOCK(status.st_mode);
	if (!S_ISFIFO(status.st_mode) && !S_ISCHR(status.st_mode))
		return;
	/*
	 * O_NONBLOCK on standard output would also affect the shell that shares it. Reopening the
	 * same terminal or pipe gives separate flags.
	 */
	if (console->output_fd < 0)
		console->output_fd =
			open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	out->to_blocks = console->output_fd < 0;
	if (!out->to_blocks)
		out->to = console->output_fd;
}

static int add_end(struct console *console, int fd, struct error *error)
{
	struct guest_end *end = &console->ends[console->end_count++];

	end->console = console;
	end->watch.source = (struct event_source){fd, handle_guest, end};
	if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
		return error_set_errno(error, errno, "cannot use the guest's console");
	end->out.from = fd;
	end->out.from_polled = true;
	open_output(console, &end->out);
	console->output_watch.source = (struct event_source){end->out.to, handle_output, console};
	return 0;
}

/* In the background do not read the terminal; never read one that does not control us. */
static int open_input(struct console *console, struct error *error)
{
	console->in.from = STDIN_FILENO;
	console->in.from_polled = can_be_watched(console, STDIN_FILENO);
	console->input_watch.source = (struct event_source){STDIN_FILENO, handle_input, console};
	if (!isatty(STDIN_FILENO))
		return 0;
	console->background = true;
	console->in.ended = tcgetpgrp(STDIN_FILENO) < 0;
	if (console->in.ended)
		return 0;
	return timer_open(&console->foreground_check, console->loop, CLOCK_MONOTONIC,
			  check_foreground, console, error);
}

static void free_console(struct console *console)
{
	timer_close(&console->foreground_check);
	for (size_t i = 0; i < console->end_count; i++)
		close_fd(&console->ends[i].watch.source.fd);
	close_fd(&console->output_fd);
	free(console);
}

int console_open(struct console **out, struct event_loop *loop, const int *guest_fds, size_t count,
		 const struct console_events *events, void *context, struct error *error)
{
	struct console *console = calloc(1, sizeof(*console));
	int result = 0;

	*out = NULL;
	if (!console) {
		for (size_t i = 0; i < count; i++)
			close(guest_fds[i]);
		return error_set(error, ENOMEM, "out of memory");
	}
	console->loop = loop;
	console->events = events;
	console->context = context;
	console->output_fd = -1;
	console->foreground_check = TIMER_NONE;
	for (size_t i = 0; i < count; i++) {
		int added = add_end(console, guest_fds[i], error);

		result = result < 0 ? result : added;
	}
	if (result == 0)
		result = open_input(console, error);
	if (result < 0) {
		free_console(console);
		return result;
	}
	console->keys = &console->ends[count - 1];
	console->in.to = guest_fds[count - 1];
	console->in.to_socket = true;
	follow_foreground(console);
	update_watches(console);
	*out = console;
	return 0;
}

bool console_is_terminal(const struct console *console)
{
	return console->terminal;
}

void console_finish_line(struct console *console)
{
	if (!console || !console->output_terminal || !console->had_output ||
	    console->last_byte == '\n')
		return;
	console->last_byte = '\n';
	/* Do not wait for a terminal that would block. */
	write_some(&console->keys->out, "\r\n", 2);
}

void console_resume(struct console *console)
{
	bool before = console->terminal;

	follow_foreground(console);
	if (!console->terminal)
		return;
	if (before)
		make_raw();
	else if (console->events->foreground)
		console->events->foreground(console->context);
}

/* Copies the rest of a console's output, until its end or the deadline. */
static void drain(struct guest_end *end, int64_t deadline)
{
	struct stream *out = &end->out;

	for (;;) {
		struct pollfd wait = {.fd = out->from, .events = POLLIN};
		int64_t left = deadline - clock_now_ms();

		transfer_out(end);
		if (left <= 0 || (out->ended && !out->length))
			return;
		if (out->length)
			wait = (struct pollfd){.fd = out->to, .events = POLLOUT};
		poll(&wait, 1, (int)left);
	}
}

void console_close(struct console *console, int limit_ms)
{
	int64_t deadline = clock_now_ms() + limit_ms;

	if (!console)
		return;
	for (size_t i = 0; i < console->end_count; i++)
		drain(&console->ends[i], deadline);
	for (size_t i = 0; i < console->end_count; i++)
		event_watch_set(console->loop, &console->ends[i].watch, 0);
	event_watch_set(console->loop, &console->input_watch, 0);
	event_watch_set(console->loop, &console->output_watch, 0);
	console_finish_line(console);
	restore_terminal();
	free_console(console);
}
